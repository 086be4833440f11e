/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever the bytes are: the chunking changes nothing, and what was read,
 * written as records and read again, is the same.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "codec/pcapstream.h"
#include "codec/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All packets as records, behind a header; *rc says how it ended. */
static void read_all(struct bytes in, size_t piece, struct buf *out, int *rc)
{
	const struct pcap_head head = { .snaplen = PACKET_SNAPLEN };
	struct pcapstream *s = pcapstream_new(1 + piece);
	struct pcapstream_item item;

	put_pcap_head(out, &head);
	*rc = ERR_AGAIN;
	while (in.len && *rc == ERR_AGAIN) {
		size_t n = in.len < piece ? in.len : piece;

		pcapstream_feed(s, bytes_of(in.p, n));
		in = bytes_of(in.p + n, in.len - n);
		while ((*rc = pcapstream_next(s, &item)) == 0)
			if (item.kind == PCAPSTREAM_PACKET)
				put_record(out, &item.packet);
	}
	if (*rc == ERR_AGAIN)
		*rc = pcapstream_end(s);
	pcapstream_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = { 0 }, pieces = { 0 }, again = { 0 };
	size_t piece = size ? 1 + data[size - 1] % 64 : 1;
	int rc, rc_pieces;

	read_all(bytes_of(data, size), size + 1, &whole, &rc);
	read_all(bytes_of(data, size), piece, &pieces, &rc_pieces);
	if (rc != rc_pieces ||
	    !bytes_equal(buf_bytes(&whole), buf_bytes(&pieces)))
		abort();
	read_all(buf_bytes(&whole), piece, &again, &rc);
	if (rc != 0 || !bytes_equal(buf_bytes(&whole), buf_bytes(&again)))
		abort();
	buf_release(&whole);
	buf_release(&pieces);
	buf_release(&again);
	return 0;
}
