/* SPDX-License-Identifier: Apache-2.0 */
/*
 * format.h - the bytes of payload segments and of the runs that name them.
 *
 * Pure: layouts as doc/store-format.md has them, no file is touched.  Parsers
 * return 0 or ERR_MALFORMED.
 */
#ifndef ENGINE_STORE_FORMAT_H
#define ENGINE_STORE_FORMAT_H

#include "base/bytes.h"

struct buf;

enum {
	SEGMENT_HEADER = 64,
	EXTENT_HEADER = 32, /* in the segment, before the extent's bytes */
	EXTENT_RECORD = 32, /* in the row */
	TURN_RECORD = 32,
	EXTENT_LEAST = 512,
	EXTENT_MOST = 256 << 10,
	SEGMENT_NAME = 24,
	WAYS = 3,      /* two directions and the turns */
	WAY_TURNS = 2
};

/* Bytes [pos, pos + used) of a way, gaps left out, at `offset` of a segment. */
struct extent {
	uint32_t segment, offset;
	uint32_t cap, used;
	uint64_t pos;
	uint32_t crc; /* of the used bytes */
};

struct extent_head {
	uint64_t id, pos;
	uint32_t cap;
	uint8_t way;
};

struct turn {
	uint64_t offset, time_ns, packet;
	uint32_t len;
	uint8_t way;
};

void put_segment_head(struct buf *b, uint32_t number, uint64_t created_ns);
int segment_head_parse(struct bytes in, uint32_t *number);

void put_extent_head(struct buf *b, const struct extent_head *h);
int extent_head_parse(struct bytes in, struct extent_head *h);

/* A way's runs as its row holds them: records one behind the other. */
void put_extent(struct buf *b, const struct extent *e);
/* They must follow each other without a hole.  *n is how many. */
int extents_check(struct bytes in, size_t *n);
struct extent extent_at(struct bytes in, size_t i);

void put_turn(struct buf *b, const struct turn *t);
int turn_parse(struct bytes in, struct turn *t);

/*
 * What the n-th extent of a way has room for when `len` bytes wait: each at
 * least twice the one before, up to `most`.
 */
uint32_t extent_cap(size_t n, uint64_t len, uint32_t most);

/* "0000001f.seg": hexadecimal */
void payload_name(char out[SEGMENT_NAME], uint32_t number);
int payload_name_parse(const char *name, uint32_t *number);

#endif
