/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/http2.h"

#include <stdlib.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/mem.h"
#include "codec/http1.h"

enum frame_type {
	DATA,
	HEADERS,
	PRIORITY,
	RST_STREAM,
	SETTINGS,
	PUSH_PROMISE,
	PING,
	GOAWAY,
	WINDOW_UPDATE,
	CONTINUATION,
	FRAME_TYPES
};

enum {
	END_STREAM = 1, /* of DATA and HEADERS */
	ACK = 1,	/* of SETTINGS */
	END_HEADERS = 4,
	PADDED = 8,
	HAS_PRIORITY = 32
};

enum { SETTING_TABLE = 1, SETTING_FRAME = 5 };

enum {
	HEADER_MAX = 64 << 10,
	FRAME_MAX = 16384,		/* until the other side allows more */
	FRAME_MOST = (1 << 24) - 1,	/* that a length can say */
	CONTROL_KEEP = 1024,		/* read of a SETTINGS or GOAWAY */
	BEFORE_BLOCK = 1 + 5 + 4 + 255, /* padding, priority, promised id */
	ID_LIKELY = 1 << 24,		/* when searching for a frame */
	KEEP_MAX = 4096 /* room that an idle direction holds on to */
};

static const char PREFACE[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
enum { PREFACE_LEN = sizeof(PREFACE) - 1 };

static const char HOLE[] = "a hole: header fields are not known from here on";

static uint32_t header_max(const struct http2_stream *s)
{
	return s->header_max ? s->header_max : HEADER_MAX;
}

static bool is_client(const struct http2_stream *s, int way)
{
	return s->client == way + 1;
}

/* -- what frames look like ------------------------------------------------- */

struct frame_head {
	uint32_t length, id;
	uint8_t type, flags;
};

static struct frame_head frame_head_of(const uint8_t p[HTTP2_FRAME_HEAD])
{
	struct cursor c = cursor_on(bytes_of(p, HTTP2_FRAME_HEAD));
	struct frame_head f = { .length = (uint32_t)get_be(&c, 3) };

	f.type = get_u8(&c);
	f.flags = get_u8(&c);
	f.id = get_be32(&c) & INT32_MAX;
	return f;
}

/* NULL, or what is wrong with it. */
static const char *wrong_with(const struct frame_head *f)
{
	static const struct {
		bool of_stream, of_connection;
		uint32_t length; /* 0: any */
	} rules[FRAME_TYPES] = {
		[DATA] = { .of_stream = true },
		[HEADERS] = { .of_stream = true },
		[PRIORITY] = { .of_stream = true, .length = 5 },
		[RST_STREAM] = { .of_stream = true, .length = 4 },
		[SETTINGS] = { .of_connection = true },
		[PUSH_PROMISE] = { .of_stream = true },
		[PING] = { .of_connection = true, .length = 8 },
		[GOAWAY] = { .of_connection = true },
		[WINDOW_UPDATE] = { .length = 4 },
		[CONTINUATION] = { .of_stream = true },
	};

	if (f->type >= FRAME_TYPES)
		return NULL; /* an extension: to be ignored */
	if ((rules[f->type].of_stream && !f->id) ||
	    (rules[f->type].of_connection && f->id))
		return "a frame of a stream where none may be";
	if ((rules[f->type].length && f->length != rules[f->type].length) ||
	    (f->type == SETTINGS && f->length % 6) ||
	    (f->type == GOAWAY && f->length < 8))
		return "a frame of a length that its kind cannot have";
	return NULL;
}

/* For who does not know where a frame begins: strict in all that is free. */
static bool is_likely(const uint8_t p[HTTP2_FRAME_HEAD])
{
	static const uint8_t flags[FRAME_TYPES] = {
		[DATA] = END_STREAM | PADDED,
		[HEADERS] = END_STREAM | END_HEADERS | PADDED | HAS_PRIORITY,
		[SETTINGS] = ACK,
		[PUSH_PROMISE] = END_HEADERS | PADDED,
		[PING] = ACK,
		[CONTINUATION] = END_HEADERS,
	};
	struct frame_head f = frame_head_of(p);

	return f.type < FRAME_TYPES && !(f.flags & ~flags[f.type]) &&
	       f.length <= FRAME_MAX && f.id < ID_LIKELY && !(p[5] & 0x80) &&
	       !wrong_with(&f);
}

bool http2_looks_like(struct bytes start)
{
	uint8_t settings[HTTP2_FRAME_HEAD] = { [3] = SETTINGS };
	size_t n = start.len < PREFACE_LEN ? start.len : PREFACE_LEN;

	if (n && memcmp(start.p, PREFACE, n) == 0)
		return true;
	/* A server begins with SETTINGS, not many of them. */
	if (n > HTTP2_FRAME_HEAD)
		n = HTTP2_FRAME_HEAD;
	if (n)
		memcpy(settings, start.p, n);
	return n && !settings[0] && !settings[1] && settings[3] == SETTINGS &&
	       !settings[4] && is_likely(settings);
}

/* -- messages -------------------------------------------------------------- */

static struct http2_message *find(struct http2_way *w, uint32_t id)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->under_way[i].id == id)
			return &w->under_way[i];
	return NULL;
}

static void add_part(struct http2_message *m, uint64_t from, uint64_t to)
{
	if (from >= to)
		return;
	m->parts_seen++;
	m->body_end = to;
	if (m->n_parts == HTTP2_PARTS_MAX)
		return;
	if (m->n_parts == m->parts_room) {
		m->parts_room = m->parts_room ? 2 * m->parts_room : 8;
		m->parts =
			mem_grow(m->parts, m->parts_room * sizeof(*m->parts));
	}
	m->parts[m->n_parts++] = (struct message_range){ from, to };
}

/* Fields lie as two lengths, the name and the value, one behind the other. */
static bool next_field(struct cursor *c, struct http_field *f)
{
	uint32_t name_len = get_be32(c), value_len = get_be32(c);

	f->name = get_bytes(c, name_len);
	f->value = get_bytes(c, value_len);
	return !c->short_;
}

static uint32_t number_of(struct bytes text)
{
	uint32_t n = 0;

	for (size_t i = 0; i < text.len && i < 3; i++)
		if (text.p[i] >= '0' && text.p[i] <= '9')
			n = n * 10 + (text.p[i] - '0');
	return n;
}

static void take_pseudo(struct http_head *h, const struct http_field *f)
{
	if (bytes_equal(f->name, bytes_of_text(":method")))
		h->method = f->value;
	else if (bytes_equal(f->name, bytes_of_text(":path")))
		h->target = f->value;
	else if (bytes_equal(f->name, bytes_of_text(":authority")))
		h->authority = f->value;
	else if (bytes_equal(f->name, bytes_of_text(":status")))
		h->status = number_of(f->value);
}

static void head_of(const struct http2_message *m, struct http_head *h)
{
	struct cursor c = cursor_on(bytes_of(m->fields.p, m->head_len));
	struct http_field f;
	size_t trailers = 0;

	*h = (struct http_head){ .version = bytes_of_text("HTTP/2"),
				 .fields_seen = m->fields_over };
	while (next_field(&c, &f)) {
		if (f.name.len && f.name.p[0] == ':')
			take_pseudo(h, &f);
		if (h->n_fields < HTTP_FIELDS_MAX)
			h->fields[h->n_fields++] = f;
		h->fields_seen++;
	}
	c = cursor_on(buf_from(&m->fields, m->head_len));
	while (next_field(&c, &f) &&
	       trailers < sizeof(h->trailers) / sizeof(*h->trailers))
		h->trailers[trailers++] = f;
	h->n_trailers = trailers;
}

static void describe(struct message *m, const struct http_head *h)
{
	if (!h)
		message_summary(m, "stream %u, fields not known", m->stream);
	else if (m->kind == MESSAGE_RESPONSE)
		message_summary(m, "%u", h->status);
	else
		message_summary(
			m, "%.*s %.*s",
			(int)(h->method.len > 32 ? 32 : h->method.len),
			(const char *)h->method.p,
			(int)(h->target.len > 200 ? 200 : h->target.len),
			(const char *)h->target.p);
}

static void report(struct http2_way *w, int way, enum message_kind kind,
		   const struct http2_message *from, enum message_status status,
		   const struct message_sink *sink)
{
	struct http_head head;
	struct message m = {
		.protocol = MESSAGE_HTTP2,
		.kind = kind,
		.status = from->partial || from->unread ? MESSAGE_PARTIAL
							: status,
		.way = way,
		.ordinal = w->ordinal++,
		.all = { from->start, from->end },
		.head = { from->start, from->head_end },
		.body = { from->head_end, from->head_end },
		.body_bytes = from->body_bytes,
		.stream = from->id,
		.parts = from->parts,
		.n_parts = from->n_parts,
		.parts_seen = from->parts_seen,
	};

	if (from->n_parts)
		m.body = (struct message_range){ from->parts[0].start,
						 from->body_end };
	if (!from->unread) {
		head_of(from, &head);
		m.http = &head;
	}
	describe(&m, m.http);
	sink->message(sink->self, &m);
}

static void release_message(struct http2_message *m)
{
	buf_release(&m->fields);
	free(m->parts);
}

/* Tell it and let it go; its pointer is dead afterwards. */
static void finish(struct http2_stream *s, int way, struct http2_message *m,
		   enum message_status status, const struct message_sink *sink)
{
	struct http2_way *w = &s->way[way];
	size_t at = (size_t)(m - w->under_way);

	report(w, way, is_client(s, way) ? MESSAGE_REQUEST : MESSAGE_RESPONSE,
	       m, status, sink);
	release_message(m);
	w->n--;
	memmove(m, m + 1, (w->n - at) * sizeof(*m));
}

static struct http2_message *open_message(struct http2_stream *s, int way,
					  uint32_t id, uint64_t start,
					  const struct message_sink *sink)
{
	struct http2_way *w = &s->way[way];
	struct http2_message *m;

	if (w->n == HTTP2_STREAMS_MAX) {
		finish(s, way, &w->under_way[0], MESSAGE_PARTIAL, sink);
		s->forgotten++;
	}
	if (w->n == w->room) {
		w->room = w->room ? 2 * w->room : 4;
		w->under_way =
			mem_grow(w->under_way, w->room * sizeof(*w->under_way));
	}
	m = &w->under_way[w->n++];
	*m = (struct http2_message){
		.id = id, .start = start, .head_end = start, .end = start
	};
	return m;
}

static void tell(struct http2_way *w, int way, enum message_kind kind,
		 const struct message_range *all, const char *error,
		 struct message *m, const struct message_sink *sink)
{
	m->protocol = MESSAGE_HTTP2;
	m->kind = kind;
	m->status = error ? MESSAGE_PARSE_ERROR : MESSAGE_COMPLETE;
	m->way = way;
	m->ordinal = w->ordinal++;
	m->all = *all;
	m->error = error;
	if (error)
		message_summary(m, "%s", error);
	sink->message(sink->self, m);
}

static void tell_error(struct http2_way *w, int way, uint64_t from, uint64_t to,
		       const char *error, const struct message_sink *sink)
{
	struct message_range all = { from, to };
	struct message m = { .stream = 0 };

	tell(w, way, MESSAGE_ERROR, &all, error, &m, sink);
}

/* -- header blocks --------------------------------------------------------- */

static void forget_block(struct http2_way *w)
{
	w->block_id = w->promised = 0;
	w->block_torn = w->block_over = w->block_ends_stream = false;
	if (w->block.cap > KEEP_MAX)
		buf_release(&w->block);
	buf_clear(&w->block);
}

/* From here on no field of this direction means anything; said once. */
static void lose_fields(struct http2_way *w, int way, uint64_t from,
			uint64_t to, const char *why,
			const struct message_sink *sink)
{
	if (w->fields_lost)
		return;
	w->fields_lost = true;
	hpack_release(&w->hpack);
	w->hpack_ready = false;
	tell_error(w, way, from, to, why, sink);
}

/* RFC 9113's measure of a header list: each field counts 32 more. */
enum { FIELD_EXTRA = 32 };

struct collecting {
	struct http2_message *m;
	size_t max;
};

static void collect(void *self, const struct hpack_field *f)
{
	struct collecting *c = self;
	struct buf *to = &c->m->fields;
	size_t size = f->name.len + f->value.len + FIELD_EXTRA;

	if (size > c->max) {
		c->m->fields_over++;
		return;
	}
	c->max -= size;
	put_be32(to, (uint32_t)f->name.len);
	put_be32(to, (uint32_t)f->value.len);
	put_bytes(to, f->name);
	put_bytes(to, f->value);
}

/* The block's fields behind those that m has; false when they are lost. */
static bool read_block(struct http2_stream *s, int way, struct http2_message *m,
		       const struct message_sink *sink)
{
	struct http2_way *w = &s->way[way];
	struct collecting to = { m, header_max(s) };
	struct hpack_sink fields = { &to, collect };
	const char *why = "a header block that breaks its format";
	size_t had = m->fields.len;
	int rc;

	if (w->fields_lost)
		return false;
	if (!w->hpack_ready)
		hpack_begin(&w->hpack);
	w->hpack_ready = true;
	if (w->table_max)
		hpack_allow(&w->hpack, w->table_max);
	rc = w->block_torn || w->block_over
		     ? ERR_LIMIT
		     : hpack_decode(&w->hpack, buf_bytes(&w->block), &fields);
	if (rc == 0)
		return true;
	if (w->block_torn)
		why = HOLE;
	else if (rc == ERR_LIMIT)
		why = "a header block, list or table over the limit";
	m->fields.len = had;
	lose_fields(w, way, w->block_start, w->next, why, sink);
	return false;
}

static void read_promise(struct http2_stream *s, int way,
			 const struct message_sink *sink)
{
	struct http2_way *w = &s->way[way];
	struct http2_message m = { .id = w->promised,
				   .start = w->block_start,
				   .head_end = w->next,
				   .end = w->next };

	m.unread = !read_block(s, way, &m, sink);
	m.head_len = m.fields.len;
	report(w, way, MESSAGE_REQUEST, &m, MESSAGE_COMPLETE, sink);
	release_message(&m);
}

/* 100 Continue and its kin: a response of its own, before the true one. */
static bool is_interim(const struct http2_message *m)
{
	struct http_head h;

	head_of(m, &h);
	return h.status >= 100 && h.status < 200;
}

static void read_headers(struct http2_stream *s, int way,
			 const struct message_sink *sink)
{
	struct http2_way *w = &s->way[way];
	struct http2_message *m = find(w, w->block_id);
	bool ends = w->block_ends_stream;
	bool read;

	if (!m)
		m = open_message(s, way, w->block_id, w->block_start, sink);
	read = read_block(s, way, m, sink);
	m->end = w->next;
	if (!m->has_head) {
		m->has_head = true;
		m->unread |= !read;
		m->head_len = m->fields.len;
		m->head_end = w->next;
		ends |= read && !is_client(s, way) && is_interim(m);
	} else {
		m->partial |= !read;
	}
	if (ends)
		finish(s, way, m, MESSAGE_COMPLETE, sink);
}

static void end_block(struct http2_stream *s, int way,
		      const struct message_sink *sink)
{
	struct http2_way *w = &s->way[way];

	if (w->promised)
		read_promise(s, way, sink);
	else
		read_headers(s, way, sink);
	forget_block(w);
}

/* -- frames ---------------------------------------------------------------- */

/* The payload without what stands before and behind a fragment. */
static int fragment_of(struct http2_way *w, struct bytes *fragment)
{
	struct cursor c = cursor_on(buf_bytes(&w->payload));
	uint8_t pad = 0;

	if (w->type != CONTINUATION && w->flags & PADDED)
		pad = get_u8(&c);
	if (w->type == HEADERS && w->flags & HAS_PRIORITY)
		skip_bytes(&c, 5);
	if (w->type == PUSH_PROMISE)
		w->promised = get_be32(&c) & INT32_MAX;
	if (c.short_ || pad > c.len ||
	    (w->type == PUSH_PROMISE && !w->promised))
		return ERR_MALFORMED;
	*fragment = bytes_of(c.p, c.len - pad);
	return 0;
}

static void end_fragment(struct http2_stream *s, int way,
			 const struct message_sink *sink)
{
	struct http2_way *w = &s->way[way];
	struct bytes fragment = bytes_of(NULL, 0);

	if (w->type != CONTINUATION) {
		w->block_id = w->id;
		w->block_start = w->frame_start;
		w->block_ends_stream =
			w->type == HEADERS && w->flags & END_STREAM;
	}
	w->block_torn |= w->torn;
	w->block_over |= w->payload.len < w->length && !w->torn;
	if (!w->block_torn && !w->block_over && fragment_of(w, &fragment) < 0) {
		lose_fields(w, way, w->frame_start, w->next,
			    "padding longer than its frame", sink);
		w->promised = w->type == PUSH_PROMISE ? w->id : 0;
	}
	/* A promise that cannot be read still is no head of this stream. */
	if (w->type == PUSH_PROMISE && !w->promised)
		w->promised = w->id;
	if (w->block.len + fragment.len > header_max(s))
		w->block_over = true;
	else
		put_bytes(&w->block, fragment);
	if (w->flags & END_HEADERS)
		end_block(s, way, sink);
}

/* What of the DATA frame is known to be body, so far. */
static void take_data(struct http2_way *w, struct http2_message *m)
{
	uint64_t from = w->frame_start + HTTP2_FRAME_HEAD;
	uint64_t to = w->next, framing = 0;

	if (w->flags & PADDED && w->payload.len) {
		/* The padding is at the end, if that has come. */
		uint8_t pad = w->left ? 0 : w->payload.p[0];

		framing = 1u + pad;
		from++;
		to = pad < to - from ? to - pad : from;
	}
	add_part(m, from, to);
	if (w->came > framing)
		m->body_bytes += w->came - framing;
	m->partial |= w->torn;
	m->end = w->next;
}

/* The message that DATA belongs to; NULL: of none that is followed. */
static struct http2_message *data_message(struct http2_stream *s, int way,
					  const struct message_sink *sink)
{
	struct http2_way *w = &s->way[way];
	struct http2_message *m = find(w, w->id);

	/* Its head may have been in a hole. */
	if (!m && w->fields_lost) {
		m = open_message(s, way, w->id, w->frame_start, sink);
		m->unread = m->has_head = true;
	}
	return m;
}

static void end_data(struct http2_stream *s, int way,
		     const struct message_sink *sink)
{
	struct http2_way *w = &s->way[way];
	struct http2_message *m;

	if (w->flags & PADDED && !w->torn &&
	    (!w->length || w->payload.p[0] >= w->length)) {
		tell_error(w, way, w->frame_start, w->next,
			   "padding longer than its frame", sink);
		return;
	}
	m = data_message(s, way, sink);
	if (!m)
		return;
	take_data(w, m);
	if (w->flags & END_STREAM)
		finish(s, way, m, MESSAGE_COMPLETE, sink);
}

static const char *error_name(uint32_t code)
{
	static const char *const names[] = {
		"no error",
		"protocol error",
		"internal error",
		"flow control error",
		"settings timeout",
		"stream closed",
		"frame size error",
		"refused stream",
		"cancel",
		"compression error",
		"connect error",
		"enhance your calm",
		"inadequate security",
		"HTTP/1.1 required",
	};

	return code < sizeof(names) / sizeof(*names) ? names[code]
						     : "unknown error";
}

/* A stream is over at once, in both directions. */
static void end_reset(struct http2_stream *s, int way,
		      const struct message_sink *sink)
{
	struct http2_way *w = &s->way[way];
	struct cursor c = cursor_on(buf_bytes(&w->payload));
	struct message_range all = { w->frame_start, w->next };
	struct message told = { .stream = w->id };
	uint32_t id = w->id;

	for (int i = 0; i < 2; i++) {
		struct http2_message *m = find(&s->way[i], id);

		if (m)
			finish(s, i, m, MESSAGE_PARTIAL, sink);
	}
	message_summary(&told, "stream %u reset: %s", id,
			error_name(get_be32(&c)));
	tell(w, way, MESSAGE_FRAME, &all, NULL, &told, sink);
}

static void end_goaway(struct http2_way *w, int way,
		       const struct message_sink *sink)
{
	struct cursor c = cursor_on(buf_bytes(&w->payload));
	struct message_range all = { w->frame_start, w->next };
	struct message told = { .stream = 0 };
	uint32_t last = get_be32(&c) & INT32_MAX;

	message_summary(&told, "going away, last stream %u: %s", last,
			error_name(get_be32(&c)));
	tell(w, way, MESSAGE_FRAME, &all, NULL, &told, sink);
}

static void raise(uint32_t *bound, uint32_t least, uint32_t to)
{
	if (*bound < least)
		*bound = least;
	if (*bound < to)
		*bound = to;
}

/*
 * What one side accepts bounds what the other sends.  When exactly it learns
 * of it nobody outside can know, so a bound is only ever raised.
 */
static void end_settings(struct http2_stream *s, int way)
{
	struct cursor c = cursor_on(buf_bytes(&s->way[way].payload));
	struct http2_way *other = &s->way[!way];

	if (s->way[way].flags & ACK)
		return;
	raise(&other->table_max, HPACK_TABLE_DEFAULT, 0);
	raise(&other->frame_max, FRAME_MAX, 0);
	while (c.len >= 6) {
		uint16_t what = get_be16(&c);
		uint32_t value = get_be32(&c);

		if (what == SETTING_TABLE)
			raise(&other->table_max, 0, value);
		else if (what == SETTING_FRAME && value <= FRAME_MOST)
			raise(&other->frame_max, 0, value);
	}
}

static void end_frame(struct http2_stream *s, int way,
		      const struct message_sink *sink)
{
	struct http2_way *w = &s->way[way];

	w->state = HTTP2_HEAD;
	switch (w->type) {
	case DATA:
		end_data(s, way, sink);
		break;
	case HEADERS:
	case PUSH_PROMISE:
		end_fragment(s, way, sink);
		break;
	case CONTINUATION:
		if (w->block_id)
			end_fragment(s, way, sink);
		break;
	case RST_STREAM:
		end_reset(s, way, sink);
		break;
	case GOAWAY:
		end_goaway(w, way, sink);
		break;
	case SETTINGS:
		end_settings(s, way);
		break;
	default:
		break;
	}
	if (w->payload.cap > KEEP_MAX)
		buf_release(&w->payload);
}

static void give_up(struct http2_way *w, int way, const char *why,
		    const struct message_sink *sink)
{
	tell_error(w, way, w->frame_start, w->next, why, sink);
	w->state = HTTP2_LOST;
	forget_block(w);
	hpack_release(&w->hpack);
	w->hpack_ready = false;
}

static void begin_frame(struct http2_stream *s, int way,
			const struct message_sink *sink)
{
	struct http2_way *w = &s->way[way];
	struct frame_head f = frame_head_of(w->head);
	const char *wrong = wrong_with(&f);

	w->n_head = 0;
	if (w->frame_max && f.length > w->frame_max)
		wrong = "a frame longer than was agreed";
	if (wrong) {
		give_up(w, way, wrong, sink);
		return;
	}
	if ((w->block_id != 0) != (f.type == CONTINUATION) ||
	    (w->block_id && w->block_id != f.id)) {
		lose_fields(w, way, w->frame_start, w->next,
			    "a header block that is broken off", sink);
		forget_block(w);
	}
	w->type = f.type;
	w->flags = f.flags;
	w->id = f.id;
	w->length = w->left = f.length;
	w->came = 0;
	w->torn = false;
	buf_clear(&w->payload);
	w->state = HTTP2_PAYLOAD;
	if (!w->left)
		end_frame(s, way, sink);
}

/* How much of the frame's payload must be gathered. */
static size_t wanted(const struct http2_stream *s, const struct http2_way *w)
{
	switch (w->type) {
	case DATA:
		return w->flags & PADDED ? 1 : 0;
	case HEADERS:
	case PUSH_PROMISE:
	case CONTINUATION:
		return header_max(s) + BEFORE_BLOCK;
	case RST_STREAM:
	case SETTINGS:
	case GOAWAY:
		return CONTROL_KEEP;
	default:
		return 0;
	}
}

/* -- bytes ----------------------------------------------------------------- */

static void feed_payload(struct http2_stream *s, int way, struct cursor *c,
			 const struct message_sink *sink)
{
	struct http2_way *w = &s->way[way];
	size_t n = c->len < w->left ? c->len : w->left;
	struct bytes in = get_bytes(c, n);
	size_t want = wanted(s, w);

	if (w->payload.len < want && !w->torn) {
		want -= w->payload.len;
		put_bytes(&w->payload,
			  bytes_of(in.p, in.len < want ? in.len : want));
	}
	w->next += n;
	w->came += (uint32_t)n;
	w->left -= (uint32_t)n;
	if (!w->left)
		end_frame(s, way, sink);
}

static void feed_head(struct http2_stream *s, int way, struct cursor *c,
		      const struct message_sink *sink)
{
	struct http2_way *w = &s->way[way];

	if (!w->n_head)
		w->frame_start = w->next;
	w->head[w->n_head++] = get_u8(c);
	w->next++;
	if (w->n_head == HTTP2_FRAME_HEAD)
		begin_frame(s, way, sink);
}

static void feed_preface(struct http2_way *w, int way, struct cursor *c,
			 const struct message_sink *sink)
{
	uint8_t b = get_u8(c);

	w->next++;
	if (b != (uint8_t)PREFACE[w->n_head++])
		give_up(w, way, "a preface that is none", sink);
	else if (w->n_head == PREFACE_LEN) {
		w->n_head = 0;
		w->state = HTTP2_HEAD;
	}
}

/* A first frame cannot be so long that its length begins with this letter. */
static void begin_way(struct http2_stream *s, int way, uint8_t first)
{
	struct http2_way *w = &s->way[way];
	bool preface = first == (uint8_t)PREFACE[0];

	w->frame_start = w->next;
	w->state = preface ? HTTP2_PREFACE : HTTP2_HEAD;
	if (!s->client)
		s->client = preface ? way + 1 : !way + 1;
}

/*
 * Where do frames begin again?  At the start of the bytes one head that is
 * likely is enough, further in there must be two, or the end, in the right
 * distance.
 */
static bool find_frame(struct bytes data, size_t *at)
{
	for (size_t i = 0; i + HTTP2_FRAME_HEAD <= data.len; i++) {
		struct frame_head f;
		size_t next;

		if (!is_likely(data.p + i))
			continue;
		f = frame_head_of(data.p + i);
		next = i + HTTP2_FRAME_HEAD + f.length;
		*at = i;
		if (next + HTTP2_FRAME_HEAD <= data.len) {
			if (is_likely(data.p + next))
				return true;
		} else if (next == data.len || i == 0) {
			return true;
		}
	}
	return false;
}

static void search(struct http2_way *w, struct cursor *c)
{
	struct bytes rest = bytes_of(c->p, c->len);
	size_t at = rest.len;

	if (find_frame(rest, &at))
		w->state = HTTP2_HEAD;
	else
		at = rest.len;
	skip_bytes(c, at);
	w->next += at;
	w->n_head = 0;
}

void http2_stream_feed(struct http2_stream *s, int way, uint64_t offset,
		       struct bytes data, const struct message_sink *sink)
{
	struct http2_way *w = &s->way[way];
	struct cursor c = cursor_on(data);

	if (offset != w->next)
		http2_stream_gap(s, way, offset, sink);
	if (w->state == HTTP2_START && data.len)
		begin_way(s, way, data.p[0]);
	while (c.len && w->state != HTTP2_LOST) {
		if (w->state == HTTP2_PREFACE)
			feed_preface(w, way, &c, sink);
		else if (w->state == HTTP2_HEAD)
			feed_head(s, way, &c, sink);
		else if (w->state == HTTP2_PAYLOAD)
			feed_payload(s, way, &c, sink);
		else
			search(w, &c);
	}
	w->next = offset + data.len;
}

void http2_stream_gap(struct http2_stream *s, int way, uint64_t to,
		      const struct message_sink *sink)
{
	struct http2_way *w = &s->way[way];
	uint64_t from = w->next, skipped = to - from;

	if (w->state == HTTP2_PAYLOAD && skipped <= w->left) {
		w->torn = true;
		w->left -= (uint32_t)skipped;
		w->next = to;
		if (!w->left)
			end_frame(s, way, sink);
		return;
	}
	w->next = to;
	if (w->state == HTTP2_LOST)
		return;
	forget_block(w);
	for (size_t i = 0; i < w->n; i++)
		w->under_way[i].partial = true;
	lose_fields(w, way, from, to, HOLE, sink);
	w->state = HTTP2_SEARCHING;
}

void http2_stream_end(struct http2_stream *s, int way,
		      const struct message_sink *sink)
{
	struct http2_way *w = &s->way[way];
	struct http2_message *m;

	if (w->state == HTTP2_PAYLOAD && w->type == DATA) {
		m = find(w, w->id);
		if (m)
			take_data(w, m);
	}
	if (w->block_id)
		lose_fields(w, way, w->block_start, w->next,
			    "the stream ended inside a header block", sink);
	while (w->n)
		finish(s, way, &w->under_way[0], MESSAGE_PARTIAL, sink);
	w->state = HTTP2_LOST;
}

void http2_stream_release(struct http2_stream *s)
{
	for (int i = 0; i < 2; i++) {
		struct http2_way *w = &s->way[i];

		for (size_t k = 0; k < w->n; k++)
			release_message(&w->under_way[k]);
		free(w->under_way);
		buf_release(&w->payload);
		buf_release(&w->block);
		hpack_release(&w->hpack);
	}
}

size_t http2_way_held(const struct http2_way *w)
{
	size_t n = w->payload.cap + w->block.cap + hpack_held(&w->hpack) +
		   w->room * sizeof(*w->under_way);

	for (size_t i = 0; i < w->n; i++)
		n += w->under_way[i].fields.cap +
		     w->under_way[i].parts_room *
			     sizeof(*w->under_way[i].parts);
	return n;
}
