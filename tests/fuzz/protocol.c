/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream of slices and gaps whose lengths the input chooses, on a port that
 * it chooses: nothing is held when it has ended, and never more than the cap
 * and one slice.
 */
#include <stdlib.h>

#include "base/cursor.h"
#include "engine/protocol/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_message(void *self, const struct message *m)
{
	uint64_t *fed = self;

	if (m->all.end < m->all.start || m->all.end > fed[m->way] ||
	    !memchr(m->summary, 0, sizeof(m->summary)) ||
	    (m->kind == MESSAGE_ERROR) != (m->error != NULL))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct protocol_config cfg = PROTOCOL_CONFIG_DEFAULT;
	struct protocols *all = protocols_new(&cfg);
	struct cursor c = cursor_on(bytes_of(data, size));
	uint8_t first = get_u8(&c);
	uint16_t port[2] = { first & 1 ? 53 : 80, 40000 };
	uint64_t fed[2] = { 0, 0 };
	struct message_sink sink = { .self = fed, .message = on_message };
	struct protocol_stream *s =
		protocol_stream_new(all, first & 2 ? 17 : 6, port);
	struct protocol_counters counters;

	while (c.len) {
		uint8_t how = get_u8(&c);
		int way = how & 1;
		size_t n = how & 2 ? how >> 2 : 1u << (how >> 2) % 12;
		struct bytes piece;
		uint64_t at = fed[way];

		if (how & 2) {
			fed[way] += n;
			protocol_stream_gap(s, way, at, n, &sink);
			continue;
		}
		piece = get_bytes(&c, n < c.len ? n : c.len);
		fed[way] += piece.len;
		protocol_stream_feed(s, way, at, piece, &sink);
	}
	protocol_stream_end(s, &sink);
	protocols_counters(all, &counters);
	if (counters.bytes || counters.streams)
		abort();
	protocols_free(all);
	return 0;
}
