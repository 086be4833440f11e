/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both directions in pieces whose lengths the input chooses, gaps among them:
 * every range lies inside what was fed, the pieces of a body follow each other
 * and hold it, and memory stays within what the caps make.
 */
#include <stdlib.h>

#include "base/cursor.h"
#include "codec/http1.h"
#include "codec/http2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADERS_MAX = 4096 };

struct seen {
	uint64_t fed[2], ordinal[2];
};

static void check_parts(const struct message *m)
{
	uint64_t at = m->all.start, sum = 0;

	for (uint32_t i = 0; i < m->n_parts; i++) {
		if (m->parts[i].start < at ||
		    m->parts[i].end <= m->parts[i].start)
			abort();
		at = m->parts[i].end;
		sum += m->parts[i].end - m->parts[i].start;
	}
	if (at > m->all.end || m->n_parts > m->parts_seen ||
	    (m->n_parts == m->parts_seen && m->body_bytes > sum))
		abort();
}

static void on_message(void *self, const struct message *m)
{
	struct seen *seen = self;

	if (m->all.end < m->all.start || m->all.end > seen->fed[m->way] ||
	    m->head.end > m->all.end || m->body.end > m->all.end ||
	    m->ordinal != seen->ordinal[m->way]++ ||
	    (m->kind == MESSAGE_ERROR) != (m->error != NULL))
		abort();
	if (m->http && (m->http->n_fields > HTTP_FIELDS_MAX ||
			m->http->n_fields > m->http->fields_seen))
		abort();
	check_parts(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen seen = { { 0 } };
	struct message_sink sink = { .self = &seen, .message = on_message };
	struct http2_stream s = { .header_max = HEADERS_MAX };
	struct cursor c = cursor_on(bytes_of(data, size));

	/* Most of what can be found stands behind a preface. */
	if (get_u8(&c) & 1) {
		static const char preface[] =
			"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

		seen.fed[0] = sizeof(preface) - 1;
		http2_stream_feed(&s, 0, 0, bytes_of_text(preface), &sink);
	}
	while (c.len) {
		uint8_t how = get_u8(&c);
		int way = how & 1;
		size_t n = how & 2 ? how >> 2 : 1u << (how >> 2) % 12;
		struct bytes piece;
		uint64_t at = seen.fed[way];

		if ((how & 6) == 6) {
			seen.fed[way] += n;
			http2_stream_gap(&s, way, at + n, &sink);
			continue;
		}
		piece = get_bytes(&c, n < c.len ? n : c.len);
		seen.fed[way] += piece.len;
		http2_stream_feed(&s, way, at, piece, &sink);
		if (s.way[way].n > HTTP2_STREAMS_MAX ||
		    s.way[way].block.cap > 2 * HEADERS_MAX ||
		    s.way[way].payload.cap > 4 * HEADERS_MAX)
			abort();
	}
	http2_stream_end(&s, 0, &sink);
	http2_stream_end(&s, 1, &sink);
	if (s.way[0].n || s.way[1].n)
		abort();
	http2_stream_release(&s);
	return 0;
}
