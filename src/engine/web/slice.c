/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slice.c - what a stream says: a window of one direction, or both in turn.
 */
#include "engine/web/web_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/hex.h"

enum slice_mode { SLICE_TEXT, SLICE_HEX, SLICE_RAW };

enum { SEGMENTS_MAX = 1024, TURNS_DEFAULT = 256, TURNS_MAX = 4096 };

struct segment {
	uint64_t start, len;
	size_t at; /* in slice.data */
};

struct slice {
	int way;
	uint64_t start, len; /* as asked */
	bool cut;	     /* a limit of ours came first */
	enum slice_mode mode;
	struct buf data;
	struct segment segments[SEGMENTS_MAX];
	int n;
	struct buf holes; /* JSON */
};

/* -- views of bytes -------------------------------------------------------------- */

/* How many bytes from p are one whole character of UTF-8; 0: none. */
static size_t utf8_len(const uint8_t *p, size_t len)
{
	size_t n = p[0] < 0x80		       ? 1
		   : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
		   : (p[0] & 0xf0) == 0xe0	       ? 3
		   : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
						 : 0;

	if (!n || n > len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

static bool is_utf8(struct bytes b)
{
	for (size_t at = 0, n; at < b.len; at += n) {
		n = utf8_len(b.p + at, b.len - at);
		if (!n)
			return false;
	}
	return true;
}

static void put_hex_row(struct buf *b, uint64_t offset, struct bytes row)
{
	char hex[64 * 3 + 1], ascii[64 + 1];

	for (size_t i = 0; i < row.len; i++) {
		snprintf(hex + i * 3, 4, i + 1 < row.len ? "%02x " : "%02x",
			 row.p[i]);
		ascii[i] = row.p[i] >= ' ' && row.p[i] < 0x7f ? (char)row.p[i]
							      : '.';
	}
	ascii[row.len] = 0;
	json_begin(b, NULL);
	json_uint(b, "offset", offset);
	json_word(b, "hex", hex);
	json_word(b, "ascii", ascii);
	json_end(b);
}

static void put_view(struct web *w, struct buf *b, enum slice_mode mode,
		     uint64_t offset, struct bytes data)
{
	static const char *const names[] = { "text", "hex", "raw" };
	size_t row = w->cfg.hex_row;

	json_begin(b, "view");
	json_word(b, "mode", names[mode]);
	if (mode == SLICE_TEXT) {
		json_text(b, "text", data);
		json_bool(b, "lossy", !is_utf8(data));
	} else if (mode == SLICE_HEX) {
		json_list(b, "rows");
		for (size_t at = 0; at < data.len; at += row)
			put_hex_row(b, offset + at,
				    bytes_of(data.p + at,
					     data.len - at < row ? data.len - at
								 : row));
		json_list_end(b);
	}
	json_end(b);
}

static bool take_mode(struct http_request *r, enum slice_mode *mode)
{
	const char *text = http_query(r, "mode");

	if (!text || strcmp(text, "text") == 0)
		*mode = SLICE_TEXT;
	else if (strcmp(text, "hex") == 0)
		*mode = SLICE_HEX;
	else if (strcmp(text, "raw") == 0)
		*mode = SLICE_RAW;
	else {
		http_fail(r, 400, "mode takes text, hex or raw, not \"%.40s\"",
			  text);
		return false;
	}
	return true;
}

/* -- a window --------------------------------------------------------------------- */

static void put_hole(struct buf *b, int way, const struct store_piece *piece)
{
	json_begin(b, NULL);
	json_word(b, "direction", way ? "b_to_a" : "a_to_b");
	json_uint(b, "logical_start", piece->offset);
	json_uint(b, "logical_end", piece->offset + piece->len);
	json_word(b, "reason", store_hole_name(piece->why));
	json_end(b);
}

static int on_piece(void *arg, const struct store_piece *piece)
{
	struct slice *s = arg;
	struct segment *last = s->n ? &s->segments[s->n - 1] : NULL;

	if (piece->hole) {
		put_hole(&s->holes, s->way, piece);
		return 0;
	}
	if (!last || last->start + last->len != piece->offset) {
		if (s->n == SEGMENTS_MAX) {
			s->cut = true;
			return 1;
		}
		last = &s->segments[s->n++];
		*last = (struct segment){ piece->offset, 0, s->data.len };
	}
	put_bytes(&s->data, piece->data);
	last->len += piece->data.len;
	return 0;
}

static void put_segments(struct web *w, struct buf *b, const struct slice *s)
{
	json_list(b, "segments");
	for (int i = 0; i < s->n; i++) {
		const struct segment *g = &s->segments[i];
		struct bytes data = bytes_of(s->data.p + g->at,
					     (size_t)g->len);

		json_begin(b, NULL);
		json_uint(b, "logical_start", g->start);
		json_uint(b, "logical_end", g->start + g->len);
		json_uint(b, "bytes_len", g->len);
		json_base64(b, "base64", data);
		put_view(w, b, s->mode, g->start, data);
		json_end(b);
	}
	json_list_end(b);
}

struct highlights {
	const struct slice *s;
	struct buf *b;
	uint32_t n, max;
	uint64_t dropped;
};

/* A match that reaches over the window's edge is clipped to it. */
static int on_match(void *arg, const struct store_match *m)
{
	struct highlights *h = arg;

	if (m->way != h->s->way)
		return 0;
	for (int i = 0; i < h->s->n; i++) {
		const struct segment *g = &h->s->segments[i];
		uint64_t from = m->start > g->start ? m->start : g->start;
		uint64_t to = m->end < g->start + g->len ? m->end
							 : g->start + g->len;

		if (from >= to)
			continue;
		if (h->n == h->max) {
			h->dropped++;
			continue;
		}
		h->n++;
		json_begin(h->b, NULL);
		web_put_match(h->b, m);
		json_uint(h->b, "segment_index", (uint64_t)i);
		json_uint(h->b, "segment_start", from - g->start);
		json_uint(h->b, "segment_end", to - g->start);
		json_end(h->b);
	}
	return 0;
}

static void put_highlights(struct web *w, struct buf *b, uint64_t id,
			   const struct slice *s, struct err *err)
{
	struct highlights h = { .s = s, .b = b, .max = w->cfg.highlights_max };

	json_list(b, "highlights");
	store_view_matches(w->view, id, on_match, &h, err);
	json_list_end(b);
	json_uint(b, "dropped_highlights", h.dropped);
}

static bool take_window(struct web *w, struct http_request *r, struct slice *s)
{
	if (!web_take_direction(r, &s->way) ||
	    !web_take_uint(r, "start", INT64_MAX, &s->start) ||
	    !web_take_uint(r, "len", INT64_MAX, &s->len) ||
	    !take_mode(r, &s->mode))
		return false;
	if (!s->len) {
		http_fail(r, 400, "len is at least 1");
		return false;
	}
	if (s->len > w->cfg.slice_max) {
		s->len = w->cfg.slice_max;
		s->cut = true;
	}
	return true;
}

static void put_content(struct web *w, struct buf *b,
			const struct store_row *row, const struct slice *s,
			struct err *err)
{
	json_begin(b, NULL);
	json_uint(b, "stream_id", row->id);
	json_hex64(b, "stream_id_hex", row->id);
	json_word(b, "direction", s->way ? "b_to_a" : "a_to_b");
	json_uint(b, "requested_start", s->start);
	json_uint(b, "requested_end", s->start + s->len);
	json_uint(b, "logical_end", row->end[s->way]);
	json_uint(b, "returned_bytes", s->data.len);
	json_bool(b, "truncated_by_limit",
		  s->cut && s->start + s->len < row->end[s->way]);
	put_segments(w, b, s);
	json_list(b, "holes");
	put_bytes(b, buf_bytes(&s->holes));
	json_list_end(b);
	put_highlights(w, b, row->id, s, err);
	json_list(b, "transforms");
	json_list_end(b);
	json_end(b);
}

void web_content(void *app, struct http_request *r)
{
	struct web *w = app;
	struct slice *s = mem_alloc(sizeof(*s));
	struct err err = ERR_NONE;
	struct store_row row;

	s->len = w->cfg.slice_max;
	if (take_window(w, r, s) && web_take_stream(w, r, &row)) {
		store_view_read(w->view, row.id, s->way, s->start, s->len,
				on_piece, s, &err);
		if (err.code == 0)
			put_content(w, http_out(r), &row, s, &err);
		if (err.code == 0)
			http_json(r, 200);
		else
			web_store_failed(r, &err);
	}
	buf_release(&s->data);
	buf_release(&s->holes);
	free(s);
}

/* -- both directions in the order in which they spoke -------------------------------- */

/* What one side says until the other one speaks. */
struct talk {
	struct web *web;
	struct http_request *r;
	struct buf *b;
	struct err *err;
	uint64_t id;
	enum slice_mode mode;
	uint64_t from, limit, bytes_left; /* parts */
	uint64_t parts;
	int way;
	uint64_t shown[2], to, first_ns, last_ns, packet;
	bool more;
};

static int on_said(void *arg, const struct store_piece *piece)
{
	struct talk *t = arg;

	json_begin(t->b, NULL);
	json_uint(t->b, "logical_start", piece->offset);
	json_uint(t->b, "logical_end", piece->offset + piece->len);
	if (piece->hole) {
		json_word(t->b, "hole", store_hole_name(piece->why));
	} else {
		json_base64(t->b, "base64", piece->data);
		put_view(t->web, t->b, t->mode, piece->offset, piece->data);
	}
	json_end(t->b);
	return 0;
}

static void say(struct talk *t)
{
	uint64_t from = t->shown[t->way], len = t->to - from, given = len;

	if (t->to <= from)
		return;
	t->shown[t->way] = t->to;
	if (t->parts++ < t->from)
		return;
	if (t->parts > t->from + t->limit || !t->bytes_left) {
		t->more = true;
		return;
	}
	if (given > t->bytes_left)
		given = t->bytes_left;
	t->bytes_left -= given;
	json_begin(t->b, NULL);
	json_uint(t->b, "index", t->parts - 1);
	json_word(t->b, "direction", t->way ? "b_to_a" : "a_to_b");
	json_uint(t->b, "first_us", t->first_ns / 1000);
	json_uint(t->b, "last_us", t->last_ns / 1000);
	json_uint(t->b, "packet", t->packet);
	json_uint(t->b, "logical_start", from);
	json_uint(t->b, "logical_end", t->to);
	json_uint(t->b, "given_end", from + given);
	json_list(t->b, "pieces");
	store_view_read(t->web->view, t->id, t->way, from, given, on_said, t,
			t->err);
	json_list_end(t->b);
	json_end(t->b);
}

static int on_turn(void *arg, const struct store_turn *turn)
{
	struct talk *t = arg;

	if (turn->way != t->way) {
		if (t->way >= 0)
			say(t);
		t->way = turn->way;
		t->first_ns = turn->time_ns;
		t->packet = turn->packet;
	}
	t->last_ns = turn->time_ns;
	t->to = turn->offset + turn->len;
	return t->more || t->err->code;
}

static void say_rest(struct talk *t, const struct store_row *row)
{
	if (t->way >= 0)
		say(t);
	/* What no turn tells of: holes at the end, what came over a cap. */
	for (t->way = 0; t->way < 2 && !t->err->code; t->way++) {
		t->to = row->end[t->way];
		t->first_ns = t->last_ns = row->flow.last_ns;
		say(t);
	}
}

void web_conversation(void *app, struct http_request *r)
{
	struct web *w = app;
	struct err err = ERR_NONE;
	struct talk t = { .web = w,
			  .r = r,
			  .b = http_out(r),
			  .err = &err,
			  .limit = TURNS_DEFAULT,
			  .bytes_left = w->cfg.slice_max,
			  .way = -1 };
	struct store_row row;

	if (!take_mode(r, &t.mode) ||
	    !web_take_uint(r, "cursor", UINT64_MAX / 2, &t.from) ||
	    !web_take_uint(r, "limit", TURNS_MAX, &t.limit) ||
	    !web_take_uint(r, "bytes", 16 * w->cfg.slice_max, &t.bytes_left) ||
	    !web_take_stream(w, r, &row))
		return;
	t.id = row.id;
	json_begin(t.b, NULL);
	web_put_row(w, t.b, "row", &row);
	json_list(t.b, "parts");
	store_view_turns(w->view, row.id, on_turn, &t, &err);
	if (!err.code && !t.more)
		say_rest(&t, &row);
	json_list_end(t.b);
	if (err.code) {
		web_store_failed(r, &err);
		return;
	}
	if (t.more)
		json_uint(t.b, "next_cursor", t.parts - 1);
	else
		json_none(t.b, "next_cursor");
	json_end(t.b);
	http_json(r, 200);
}
