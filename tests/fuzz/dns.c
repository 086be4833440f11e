/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream of messages gives the same ones whole and byte by byte; what it
 * keeps of a packet lies inside it, and names end.
 */
#include <stdlib.h>

#include "codec/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	uint64_t count, sum;
};

static void on_message(void *self, const struct message *m)
{
	struct seen *seen = self;

	seen->count++;
	seen->sum = seen->sum * 31 + m->all.start * 7 + m->all.end +
		    (uint64_t)m->status;
	for (size_t i = 0; m->dns && i < m->dns->n_records; i++)
		if (!memchr(m->dns->records[i].name, 0, DNS_NAME_MAX) ||
		    m->dns->records[i].data.len > m->body_bytes)
			abort();
}

static struct seen read_all(struct bytes in, bool tcp, size_t step)
{
	struct seen seen = { 0 };
	struct message_sink sink = { .self = &seen, .message = on_message };
	struct dns_stream s = { .tcp = tcp };

	for (size_t at = 0; at < in.len; at += step) {
		size_t n = in.len - at < step ? in.len - at : step;

		dns_stream_feed(&s, 0, at, bytes_of(in.p + at, n), &sink);
	}
	dns_stream_end(&s, 0, &sink);
	dns_stream_release(&s);
	return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = bytes_of(data, size);
	struct seen whole, pieces;

	if (!size)
		return 0;
	read_all(in, false, size);
	whole = read_all(in, true, size);
	pieces = read_all(in, true, 1);
	/* An error reaches as far as the bytes that were there. */
	if (whole.count != pieces.count)
		abort();
	return 0;
}
