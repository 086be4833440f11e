/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/websocket.h"

#include <stdlib.h>
#include <strings.h>

#include <zlib.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/mem.h"

enum {
	FIN = 0x80,
	COMPRESSED = 0x40,
	RESERVED = 0x30,
	MASKED = 0x80,
	CONTROL_MAX = 125,
	INFLATE_STEP = 4096,
	INFLATE_STATE = 44 << 10, /* of zlib, its window included */
	INFLATE_STEPS_MAX = 4096
};

/* -- the agreement on compression --------------------------------------------- */

static bool has_word(struct bytes in, const char *word)
{
	size_t len = strlen(word);

	for (size_t i = 0; i + len <= in.len; i++)
		if (strncasecmp((const char *)in.p + i, word, len) == 0)
			return true;
	return false;
}

struct websocket_deflate websocket_deflate_of(struct bytes extensions,
					      int server)
{
	struct websocket_deflate d = { .on = false };

	d.on = has_word(extensions, "permessage-deflate");
	d.forget[server] = has_word(extensions, "server_no_context_takeover");
	d.forget[!server] = has_word(extensions, "client_no_context_takeover");
	return d;
}

static size_t payload_max(const struct websocket_stream *s)
{
	return s->payload_max ? s->payload_max : WEBSOCKET_PAYLOAD_MAX;
}

static void end_inflate(struct websocket_way *w)
{
	if (w->inflate)
		inflateEnd(w->inflate);
	free(w->inflate);
	w->inflate = NULL;
}

/*
 * All of `in` goes through the window; what comes out behind the cap is
 * thrown away, so that the next message can still be read.
 */
static int inflate_some(struct websocket_way *w, struct bytes in, size_t cap,
			struct buf *out, bool *cut)
{
	uint8_t room[INFLATE_STEP];
	z_stream *z = w->inflate;
	int steps = 0;

	z->next_in = (Bytef *)(uintptr_t)in.p;
	z->avail_in = (uInt)in.len;
	do {
		size_t n, keep;
		int rc;

		if (++steps > INFLATE_STEPS_MAX)
			return ERR_LIMIT;
		z->next_out = room;
		z->avail_out = sizeof(room);
		rc = inflate(z, Z_SYNC_FLUSH);
		if (rc == Z_STREAM_END) /* a final block; a new one begins */
			rc = inflateReset(z);
		if (rc != Z_OK && rc != Z_BUF_ERROR)
			return ERR_MALFORMED;
		n = sizeof(room) - z->avail_out;
		keep = n < cap - out->len ? n : cap - out->len;
		put_bytes(out, bytes_of(room, keep));
		*cut |= keep < n;
	} while (z->avail_in || !z->avail_out);
	return 0;
}

static int begin_inflate(struct websocket_way *w)
{
	if (w->inflate)
		return 0;
	w->inflate = mem_alloc(sizeof(*w->inflate));
	if (inflateInit2(w->inflate, -15) == Z_OK)
		return 0;
	free(w->inflate);
	w->inflate = NULL;
	return ERR_FAILED;
}

/* Replace the payload by what is compressed in it, if that can be done. */
static void inflate_message(struct websocket_stream *s, int way,
			    struct buf *out)
{
	static const uint8_t tail[] = { 0, 0, 0xff, 0xff };
	struct websocket_way *w = &s->way[way];
	struct websocket_frame *m = &w->message;
	bool cut = false;
	int rc;

	if (m->cut || w->broken_by_gap)
		w->inflate_lost = !s->deflate.forget[way];
	if (m->cut || w->broken_by_gap || w->inflate_lost)
		return;
	rc = begin_inflate(w);
	if (rc == 0)
		rc = inflate_some(w, buf_bytes(&w->payload), payload_max(s),
				  out, &cut);
	if (rc == 0)
		rc = inflate_some(w, bytes_of(tail, sizeof(tail)),
				  payload_max(s), out, &cut);
	if (rc < 0 || s->deflate.forget[way])
		end_inflate(w);
	if (rc < 0)
		w->inflate_lost = !s->deflate.forget[way];
	if (rc < 0 && rc != ERR_LIMIT)
		return;
	/* Of what was too much the beginning is good. */
	m->inflated = true;
	m->cut = cut || rc < 0;
	m->payload = buf_bytes(out);
}

/* -- messages -------------------------------------------------------------------- */

static const char *opcode_name(enum websocket_opcode op)
{
	switch (op) {
	case WEBSOCKET_TEXT:
		return "text";
	case WEBSOCKET_BINARY:
		return "binary";
	case WEBSOCKET_CLOSE:
		return "close";
	case WEBSOCKET_PING:
		return "ping";
	case WEBSOCKET_PONG:
		return "pong";
	default:
		return "continuation";
	}
}

static void tell(struct websocket_way *w, int way, struct message *m,
		 const struct websocket_frame *f,
		 const struct message_sink *sink)
{
	int shown = f->payload.len < 64 ? (int)f->payload.len : 64;

	m->protocol = MESSAGE_WEBSOCKET;
	m->kind = MESSAGE_FRAME;
	m->way = way;
	m->ordinal = w->ordinal++;
	m->websocket = f;
	message_summary(m, "%s, %llu bytes%s%.*s", opcode_name(f->opcode),
			(unsigned long long)m->body_bytes,
			f->opcode == WEBSOCKET_TEXT && shown ? ": " : "",
			f->opcode == WEBSOCKET_TEXT ? shown : 0,
			(const char *)f->payload.p);
	sink->message(sink->self, m);
}

static void end_message(struct websocket_stream *s, int way,
			enum message_status status,
			const struct message_sink *sink)
{
	struct websocket_way *w = &s->way[way];
	struct buf inflated = { 0 };
	struct message m = {
		.status = w->broken_by_gap ? MESSAGE_PARTIAL : status,
		.all = { w->start, w->next },
		.head = { w->start, w->body_start },
		.body = { w->body_start, w->next },
		.body_bytes = w->body_bytes,
	};

	w->message.payload = buf_bytes(&w->payload);
	if (w->message.compressed && status == MESSAGE_COMPLETE)
		inflate_message(s, way, &inflated);
	tell(w, way, &m, &w->message, sink);
	buf_release(&inflated);
	buf_release(&w->payload);
	w->in_message = false;
	w->broken_by_gap = false;
	w->body_bytes = 0;
}

static void end_control(struct websocket_way *w, int way,
			enum message_status status,
			const struct message_sink *sink)
{
	struct websocket_frame f = {
		.opcode = (enum websocket_opcode)w->frame_opcode,
		.frames = 1,
		.masked = w->head[1] & MASKED,
		.wire_bytes = w->done,
		.payload = buf_bytes(&w->control),
	};
	uint64_t body = w->frame_start + w->n_head;
	struct message m = {
		.status = status,
		.all = { w->frame_start, w->next },
		.head = { w->frame_start, body },
		.body = { body, w->next },
		.body_bytes = w->done,
	};

	tell(w, way, &m, &f, sink);
	buf_release(&w->control);
}

static void lose(struct websocket_way *w, int way, const char *error,
		 const struct message_sink *sink)
{
	struct message m = {
		.protocol = MESSAGE_WEBSOCKET,
		.kind = MESSAGE_ERROR,
		.status = MESSAGE_PARSE_ERROR,
		.way = way,
		.ordinal = w->ordinal++,
		.all = { w->frame_start, w->next },
		.error = error,
	};

	message_summary(&m, "%s", error);
	sink->message(sink->self, &m);
	w->lost = true;
	buf_release(&w->payload);
	buf_release(&w->control);
	end_inflate(w);
}

/* -- frames ------------------------------------------------------------------------ */

static bool is_control(uint8_t opcode)
{
	return opcode & 8;
}

/* How long the head is, as far as its first two bytes tell. */
static size_t head_length(const uint8_t *head)
{
	uint8_t len = head[1] & 127;

	return 2u + (len == 126 ? 2 : len == 127 ? 8 : 0) +
	       (head[1] & MASKED ? 4 : 0);
}

static void begin_message(struct websocket_way *w)
{
	w->start = w->frame_start;
	w->body_start = w->next;
	w->in_message = true;
	w->message = (struct websocket_frame){
		.opcode = (enum websocket_opcode)w->frame_opcode,
		.masked = w->head[1] & MASKED,
		.compressed = w->head[0] & COMPRESSED,
	};
}

/* The head is whole.  NULL, or what is wrong with it. */
static const char *begin_frame(struct websocket_stream *s, int way)
{
	struct websocket_way *w = &s->way[way];
	struct cursor c = cursor_on(bytes_of(w->head, w->n_head));
	uint8_t first = get_u8(&c), second = get_u8(&c);
	uint8_t len = second & 127, op = first & 15;

	w->left = len == 126 ? get_be16(&c) : len == 127 ? get_be64(&c) : len;
	w->done = 0;
	w->frame_opcode = op;
	if (first & RESERVED || (first & COMPRESSED && !s->deflate.on))
		return "reserved bits that nobody agreed on";
	if ((op > WEBSOCKET_BINARY && op < WEBSOCKET_CLOSE) ||
	    op > WEBSOCKET_PONG)
		return "an opcode that WebSocket does not have";
	if (is_control(op))
		return !(first & FIN) || w->left > CONTROL_MAX
			       ? "a control frame too long or in pieces"
			       : NULL;
	if (w->left > INT64_MAX)
		return "a payload length past all numbers";
	if ((op == WEBSOCKET_CONTINUATION) != w->in_message)
		return w->in_message ? "a message inside a message"
				     : "a continuation of nothing";
	if (!w->in_message)
		begin_message(w);
	w->message.frames++;
	return NULL;
}

static void end_frame(struct websocket_stream *s, int way,
		      const struct message_sink *sink)
{
	struct websocket_way *w = &s->way[way];

	if (is_control(w->frame_opcode))
		end_control(w, way, MESSAGE_COMPLETE, sink);
	else if (w->head[0] & FIN)
		end_message(s, way, MESSAGE_COMPLETE, sink);
	w->in_payload = false;
	w->n_head = 0;
}

static void feed_head(struct websocket_stream *s, int way, struct cursor *c,
		      const struct message_sink *sink)
{
	struct websocket_way *w = &s->way[way];
	const char *error;

	if (!w->n_head)
		w->frame_start = w->next;
	w->head[w->n_head++] = get_u8(c);
	w->next++;
	if (w->n_head < 2 || w->n_head < head_length(w->head))
		return;
	error = begin_frame(s, way);
	if (error) {
		lose(w, way, error, sink);
		return;
	}
	w->in_payload = true;
	if (!w->left)
		end_frame(s, way, sink);
}

/* Payload in clear, as much of it as is kept. */
static void keep(struct websocket_stream *s, int way, struct bytes in)
{
	struct websocket_way *w = &s->way[way];
	bool control = is_control(w->frame_opcode);
	struct buf *to = control ? &w->control : &w->payload;
	size_t room = payload_max(s) > to->len ? payload_max(s) - to->len : 0;
	size_t n = in.len < room ? in.len : room;
	const uint8_t *key = w->head + w->n_head - 4;
	uint8_t *out = buf_reserve(to, n ? n : 1);

	for (size_t i = 0; i < n; i++)
		out[i] = w->head[1] & MASKED
				 ? in.p[i] ^ key[(w->done + i) & 3]
				 : in.p[i];
	buf_added(to, n);
	if (!control && n < in.len)
		w->message.cut = true;
}

static void took_payload(struct websocket_way *w, uint64_t n)
{
	w->left -= n;
	w->done += n;
	w->next += n;
}

static void feed_payload(struct websocket_stream *s, int way,
			 struct cursor *c, const struct message_sink *sink)
{
	struct websocket_way *w = &s->way[way];
	size_t n = c->len < w->left ? c->len : (size_t)w->left;

	keep(s, way, get_bytes(c, n));
	took_payload(w, n);
	if (!is_control(w->frame_opcode)) {
		w->body_bytes += n;
		w->message.wire_bytes += n;
	}
	if (!w->left)
		end_frame(s, way, sink);
}

void websocket_stream_feed(struct websocket_stream *s, int way,
			   uint64_t offset, struct bytes data,
			   const struct message_sink *sink)
{
	struct websocket_way *w = &s->way[way];
	struct cursor c = cursor_on(data);

	if (offset != w->next)
		websocket_stream_gap(s, way, offset, sink);
	while (c.len && !w->lost) {
		if (w->in_payload)
			feed_payload(s, way, &c, sink);
		else
			feed_head(s, way, &c, sink);
	}
	w->next = offset + data.len;
}

void websocket_stream_gap(struct websocket_stream *s, int way, uint64_t to,
			  const struct message_sink *sink)
{
	struct websocket_way *w = &s->way[way];
	uint64_t skipped = to - w->next;

	if (w->in_payload && skipped < w->left &&
	    !is_control(w->frame_opcode) && !w->lost) {
		took_payload(w, skipped);
		w->broken_by_gap = true;
		w->message.cut = true;
	} else if (!w->lost) {
		websocket_stream_end(s, way, sink);
		w->lost = true;
	}
	w->next = to;
}

void websocket_stream_end(struct websocket_stream *s, int way,
			  const struct message_sink *sink)
{
	struct websocket_way *w = &s->way[way];

	if (w->in_payload && is_control(w->frame_opcode))
		end_control(w, way, MESSAGE_PARTIAL, sink);
	if (w->in_message)
		end_message(s, way, MESSAGE_PARTIAL, sink);
	w->in_payload = false;
	w->n_head = 0;
	end_inflate(w);
}

size_t websocket_way_held(const struct websocket_way *w)
{
	return w->payload.cap + w->control.cap +
	       (w->inflate ? (size_t)INFLATE_STATE : 0);
}

void websocket_stream_release(struct websocket_stream *s)
{
	for (int i = 0; i < 2; i++) {
		buf_release(&s->way[i].payload);
		buf_release(&s->way[i].control);
		end_inflate(&s->way[i]);
	}
}
