/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/capture_stats.h"

#include "base/buf.h"
#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/err.h"

static const char magic[8] = "WEIRSTA1";

void capture_stats_store(uint8_t to[CAPTURE_STATS_SIZE],
			 const struct capture_stats *s)
{
	struct buf b = { 0 };

	put_bytes(&b, bytes_of(magic, sizeof(magic)));
	put_le64(&b, s->time_ns);
	put_le64(&b, s->captured);
	put_le64(&b, s->dropped_kernel);
	put_le64(&b, s->dropped_interface);
	put_le64(&b, s->filtered);
	put_le32(&b, s->up);
	put_zeros(&b, 8);
	put_le32(&b, crc32c(buf_bytes(&b)));
	memcpy(to, b.p, CAPTURE_STATS_SIZE);
	buf_release(&b);
}

int capture_stats_parse(struct bytes in, struct capture_stats *s)
{
	struct cursor c = cursor_on(in);
	struct bytes head = get_bytes(&c, sizeof(magic));

	*s = (struct capture_stats){ .time_ns = get_le64(&c) };
	s->captured = get_le64(&c);
	s->dropped_kernel = get_le64(&c);
	s->dropped_interface = get_le64(&c);
	s->filtered = get_le64(&c);
	s->up = get_le32(&c) & 1;
	skip_bytes(&c, 8);
	if (get_le32(&c) != crc32c(bytes_of(in.p, c.short_ ? 0 : 60)) ||
	    !cursor_done(&c) ||
	    !bytes_equal(head, bytes_of(magic, sizeof(magic))))
		return ERR_MALFORMED;
	return 0;
}
