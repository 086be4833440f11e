/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/store/format.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/err.h"

static const char segment_magic[] = "WEIRSEG1";
enum { EXTENT_MAGIC = 0x31545857 }; /* "WXT1" */

void put_segment_head(struct buf *b, uint32_t number, uint64_t created_ns)
{
	size_t start = b->len;

	put_text(b, segment_magic);
	put_le32(b, 1);
	put_le32(b, SEGMENT_HEADER);
	put_le32(b, number);
	put_le32(b, 0);
	put_le64(b, created_ns);
	put_zeros(b, SEGMENT_HEADER - 4 - (b->len - start));
	put_le32(b, crc32c(buf_from(b, start)));
}

int segment_head_parse(struct bytes in, uint32_t *number)
{
	struct cursor c = cursor_on(in);

	if (in.len < SEGMENT_HEADER || memcmp(in.p, segment_magic, 8) != 0)
		return ERR_MALFORMED;
	skip_bytes(&c, 8);
	if (get_le32(&c) != 1 || get_le32(&c) != SEGMENT_HEADER)
		return ERR_MALFORMED;
	*number = get_le32(&c);
	c = cursor_on(bytes_of(in.p + SEGMENT_HEADER - 4, 4));
	return get_le32(&c) == crc32c(bytes_of(in.p, SEGMENT_HEADER - 4))
		       ? 0
		       : ERR_MALFORMED;
}

void put_extent_head(struct buf *b, const struct extent_head *h)
{
	size_t start = b->len;

	put_le32(b, EXTENT_MAGIC);
	put_u8(b, h->way);
	put_zeros(b, 3);
	put_le64(b, h->id);
	put_le64(b, h->pos);
	put_le32(b, h->cap);
	put_le32(b, crc32c(buf_from(b, start)));
	assert(b->len - start == EXTENT_HEADER);
}

int extent_head_parse(struct bytes in, struct extent_head *h)
{
	struct cursor c = cursor_on(in);

	if (get_le32(&c) != EXTENT_MAGIC)
		return ERR_MALFORMED;
	h->way = get_u8(&c);
	skip_bytes(&c, 3);
	h->id = get_le64(&c);
	h->pos = get_le64(&c);
	h->cap = get_le32(&c);
	if (get_le32(&c) != crc32c(bytes_of(in.p, EXTENT_HEADER - 4)) ||
	    c.short_ || h->way >= WAYS || h->cap == 0 || h->cap > EXTENT_MOST)
		return ERR_MALFORMED;
	return 0;
}

void put_extent(struct buf *b, const struct extent *e)
{
	put_le32(b, e->segment);
	put_le32(b, e->offset);
	put_le64(b, e->pos);
	put_le32(b, e->cap);
	put_le32(b, e->used);
	put_le32(b, e->crc);
	put_le32(b, 0);
}

struct extent extent_at(struct bytes in, size_t i)
{
	struct cursor c = cursor_on(in);
	struct extent e;

	skip_bytes(&c, i * EXTENT_RECORD);
	e.segment = get_le32(&c);
	e.offset = get_le32(&c);
	e.pos = get_le64(&c);
	e.cap = get_le32(&c);
	e.used = get_le32(&c);
	e.crc = get_le32(&c);
	return e;
}

int extents_check(struct bytes in, size_t *n)
{
	uint64_t pos = 0;

	*n = in.len / EXTENT_RECORD;
	if (in.len % EXTENT_RECORD)
		return ERR_MALFORMED;
	for (size_t i = 0; i < *n; i++) {
		struct extent e = extent_at(in, i);

		if (e.pos != pos || e.used == 0 || e.used > e.cap ||
		    e.cap > EXTENT_MOST || (i + 1 < *n && e.used < e.cap))
			return ERR_MALFORMED;
		pos += e.used;
	}
	return 0;
}

void put_turn(struct buf *b, const struct turn *t)
{
	put_le64(b, t->offset);
	put_le64(b, t->time_ns);
	put_le64(b, t->packet);
	put_le32(b, t->len);
	put_u8(b, t->way);
	put_zeros(b, 3);
}

int turn_parse(struct bytes in, struct turn *t)
{
	struct cursor c = cursor_on(in);

	t->offset = get_le64(&c);
	t->time_ns = get_le64(&c);
	t->packet = get_le64(&c);
	t->len = get_le32(&c);
	t->way = get_u8(&c);
	return c.short_ || t->way > 1 ? ERR_MALFORMED : 0;
}

uint32_t extent_cap(size_t n, uint64_t len, uint32_t most)
{
	uint32_t cap = n < 9 ? (uint32_t)EXTENT_LEAST << n : EXTENT_MOST;

	while (cap < len && cap < most)
		cap *= 2;
	return cap < most ? cap : most;
}

void payload_name(char out[SEGMENT_NAME], uint32_t number)
{
	snprintf(out, SEGMENT_NAME, "%08" PRIx32 ".seg", number);
}

int payload_name_parse(const char *name, uint32_t *number)
{
	char again[SEGMENT_NAME];

	if (sscanf(name, "%8" SCNx32, number) != 1)
		return ERR_UNKNOWN;
	payload_name(again, *number);
	return strcmp(again, name) == 0 ? 0 : ERR_UNKNOWN;
}
