/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both directions in pieces whose lengths the input chooses, gaps among them:
 * messages of a direction follow each other, inside what was fed, and memory
 * stays within the limit on heads.
 */
#include <stdlib.h>

#include "base/cursor.h"
#include "codec/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	uint64_t end[2], ordinal[2], fed[2];
};

static void on_message(void *self, const struct message *m)
{
	struct seen *seen = self;

	if (m->all.start < seen->end[m->way] || m->all.end < m->all.start ||
	    m->all.end > seen->fed[m->way] ||
	    m->ordinal != seen->ordinal[m->way]++)
		abort();
	if (m->kind != MESSAGE_ERROR) {
		if (!m->http || m->body_bytes > m->body.end - m->body.start)
			abort();
		seen->end[m->way] = m->all.end;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen seen = { { 0 } };
	struct message_sink sink = { .self = &seen, .message = on_message };
	struct http1_stream s = { .header_max = 4096 };
	struct cursor c = cursor_on(bytes_of(data, size));

	while (c.len) {
		uint8_t how = get_u8(&c);
		int way = how & 1;
		size_t n = how >> 2;
		struct bytes piece = get_bytes(&c, n < c.len ? n : c.len);
		uint64_t at = seen.fed[way];

		if (how & 2) {
			seen.fed[way] += n;
			http1_stream_gap(&s, way, at + n, &sink);
			continue;
		}
		seen.fed[way] += piece.len;
		http1_stream_feed(&s, way, at, piece, &sink);
		if (s.way[way].bytes.cap > 16384)
			abort();
	}
	http1_stream_end(&s, 0, &sink);
	http1_stream_end(&s, 1, &sink);
	http1_stream_release(&s);
	return 0;
}
