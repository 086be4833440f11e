/* SPDX-License-Identifier: Apache-2.0 */
/*
 * captures_here.h - capture files for tests, byte by byte.
 */
#ifndef TESTS_UNIT_CAPTURES_HERE_H
#define TESTS_UNIT_CAPTURES_HERE_H

#include "t.h"

#include "base/buf.h"
#include "codec/record.h"

#define SECOND UINT64_C(1000000000)

static inline void here_head(struct buf *b)
{
	const struct pcap_head head = { .linktype = 1, .snaplen = 262144 };

	put_pcap_head(b, &head);
}

/* `len` bytes whose first eight are `number`. */
static inline void here_packet(struct buf *b, uint64_t time_ns, size_t len,
			       uint64_t number)
{
	static uint8_t data[65536];
	struct packet p = { .data = bytes_of(data, len),
			    .time_ns = time_ns,
			    .wire_len = (uint32_t)len };

	memcpy(data, &number, len < 8 ? len : 8);
	put_record(b, &p);
}

/* A file with a packet of 60 bytes at each of the times. */
static inline const char *here_file(const char *name, const uint64_t *times,
				    size_t n)
{
	const char *path = t_path("%s", name);
	struct buf b = { 0 };

	here_head(&b);
	for (size_t i = 0; i < n; i++)
		here_packet(&b, times[i], 60, i);
	t_save(path, buf_bytes(&b));
	buf_release(&b);
	return path;
}

#endif
