/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_here.h - a store in the test's directory, and streams to put into it.
 *
 * What a stream says is a function of its number, so a test can tell what must
 * be read back, and the same "analysis" can be run twice.
 */
#ifndef TESTS_UNIT_STORE_HERE_H
#define TESTS_UNIT_STORE_HERE_H

#include "base/buf.h"
#include "engine/store/store.h"
#include "engine/store/view.h"

#include "lib/t.h"

static const uint8_t here_origin[STORE_ORIGIN] = "a source of test";

/* The byte at `offset` of a direction of stream n. */
static inline uint8_t byte_of(uint64_t n, int way, uint64_t offset)
{
	uint64_t x = (n * 2 + (uint64_t)way + 1) * UINT64_C(0x9e3779b97f4a7c15);

	x += offset / 8 * UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 29;
	return (uint8_t)(x >> (8 * (offset % 8)));
}

static inline void fill(uint8_t *to, uint64_t n, int way, uint64_t offset,
			size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] = byte_of(n, way, offset + i);
}

static inline uint64_t id_of(uint64_t n)
{
	return (n + 1) * UINT64_C(0xd1342543de82ef95);
}

static inline struct store_row row_of(uint64_t n)
{
	struct store_row row = {
		.id = id_of(n),
		.flow_key = n,
		.flow = { .protocol = IP_TCP,
			  .state = FLOW_OPEN,
			  .first_index = n * 10,
			  .first_ns = 1000000 + n * 1000,
			  .last_ns = 1000000 + n * 1000,
			  .end = { { { .b = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
					      0xff, 0xff, 10, 0, 0, 1 },
				       .version = 4 },
				     40000 },
				   { { .b = { 0x20, 1, 0xd, 0xb8, [15] = 7 },
				       .version = 6 },
				     80 } } },
		.service = "http",
		.service_source = "port",
	};

	memcpy(row.origin, here_origin, STORE_ORIGIN);
	return row;
}

static inline void count_packet(struct store_row *row, int way, size_t len)
{
	row->flow.way[way].packets++;
	row->flow.way[way].payload += len;
	row->flow.way[way].offset += len;
	row->flow.last_ns += 10;
}

/* Append the next `len` bytes of a direction. */
static inline void say(struct store_stream *st, struct store_row *row,
		       uint64_t n, int way, size_t len)
{
	static _Thread_local uint8_t room[1 << 16];
	uint64_t offset = row->flow.way[way].offset;

	fill(room, n, way, offset, len);
	count_packet(row, way, len);
	store_append(st, way, offset, bytes_of(room, len), row->flow.last_ns,
		     row->flow.first_index + row->flow.way[0].packets +
			     row->flow.way[1].packets);
}

static inline void finish(struct store_stream *st, struct store_row *row)
{
	row->flow.state = FLOW_CLOSED;
	row->flow.ended = FLOW_END_FIN;
	store_end(st, row);
}

struct seen {
	uint64_t n;
	int way;
	uint64_t bytes, wrong, holes, hole_bytes, next;
	int why;
};

static inline int on_piece(void *arg, const struct store_piece *piece)
{
	struct seen *seen = arg;

	seen->wrong += piece->offset != seen->next;
	seen->next = piece->offset + piece->len;
	if (piece->hole) {
		seen->holes++;
		seen->hole_bytes += piece->len;
		seen->why = piece->why;
		return 0;
	}
	seen->bytes += piece->len;
	seen->wrong += piece->data.len != piece->len;
	for (uint64_t i = 0; i < piece->data.len; i++)
		seen->wrong += piece->data.p[i] !=
			       byte_of(seen->n, seen->way, piece->offset + i);
	return 0;
}

/* Read a whole direction and compare it. */
static inline struct seen look(struct store_view *v, uint64_t n, int way)
{
	struct seen seen = { .n = n, .way = way };
	struct err err = ERR_NONE;

	CHECK_OK(store_view_read(v, id_of(n), way, 0, UINT64_MAX, on_piece,
				 &seen, &err),
		 &err);
	CHECK_EQ(seen.wrong, 0);
	return seen;
}

#endif
