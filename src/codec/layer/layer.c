/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/layer/layer.h"

#include <stdlib.h>
#include <strings.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/layer/layer_priv.h"

static const struct {
	const struct layer_ops *ops;
	const char *name, *alias;
} kinds[LAYER_KINDS] = {
	[LAYER_CHUNKED] = { &layer_chunked, "chunked", "http_chunked" },
	[LAYER_GZIP] = { &layer_gzip, "gzip", "x-gzip" },
	[LAYER_ZLIB] = { &layer_zlib, "zlib", NULL },
	[LAYER_DEFLATE] = { &layer_deflate, "deflate", NULL },
	[LAYER_RAW_DEFLATE] = { &layer_raw_deflate, "raw-deflate", NULL },
	[LAYER_BROTLI] = { &layer_brotli, "br", "brotli" },
	[LAYER_ZSTD] = { &layer_zstd, "zstd", NULL },
	[LAYER_BASE64] = { &layer_base64, "base64", NULL },
	[LAYER_HEX] = { &layer_hex, "hex", NULL },
	[LAYER_URL] = { &layer_url, "url", "url_decode" },
	[LAYER_PERCENT] = { &layer_percent, "percent", NULL },
	[LAYER_JSON] = { &layer_json, "json", NULL },
	[LAYER_JSON_BASE64] = { &layer_json_base64, "json-base64", NULL },
	[LAYER_WEBSOCKET] = { &layer_websocket, "websocket",
			      "websocket_deflate" },
};

const char *layer_name(enum layer_kind kind)
{
	return kinds[kind].name;
}

static bool is_word(struct bytes b, const char *word)
{
	return word && b.len == strlen(word) &&
	       strncasecmp((const char *)b.p, word, b.len) == 0;
}

int layer_kind_of(struct bytes name, enum layer_kind *kind)
{
	for (int i = 0; i < LAYER_KINDS; i++)
		if (is_word(name, kinds[i].name) ||
		    is_word(name, kinds[i].alias)) {
			*kind = (enum layer_kind)i;
			return 0;
		}
	return ERR_UNKNOWN;
}

const char *layer_status_name(enum layer_status status)
{
	static const char *const names[] = { "open", "ok", "noop", "failed",
					     "stopped" };

	return names[status];
}

struct layer *layer_new(enum layer_kind kind, const struct layer_limits *limits)
{
	const struct layer_ops *ops = kinds[kind].ops;
	struct layer *l = mem_alloc(sizeof(*l) + ops->state_size);

	l->ops = ops;
	l->limits = *limits;
	return l;
}

void layer_free(struct layer *l)
{
	if (!l)
		return;
	if (l->ops->release)
		l->ops->release(l);
	layer_map_release(&l->map);
	free(l);
}

/* -- results ------------------------------------------------------ */

void layer_fail(struct layer *l, uint64_t at, const char *why)
{
	if (l->result.status != LAYER_OPEN)
		return;
	l->result.status = LAYER_FAILED;
	l->result.at = at;
	l->result.why = why;
}

static void stop(struct layer *l, uint64_t at, const char *why)
{
	if (l->result.status != LAYER_OPEN)
		return;
	l->result.status = LAYER_STOPPED;
	l->result.at = at;
	l->result.why = why;
}

void layer_over(struct layer *l, uint64_t at)
{
	l->ended = true;
	l->result.in = at;
}

const struct layer_result *layer_result(const struct layer *l)
{
	return &l->result;
}

const struct layer_map *layer_map(const struct layer *l)
{
	return &l->map;
}

size_t layer_held(const struct layer *l)
{
	return sizeof(*l) + l->ops->state_size +
	       l->map.cap * sizeof(*l->map.at) +
	       (l->ops->held ? l->ops->held(l) : 0);
}

/* -- output ------------------------------------------------------- */

static void give(struct layer *l, struct bytes out)
{
	if (out.len && !l->sink->bytes(l->sink->self, out))
		stop(l, l->result.in, "what reads it wants no more");
}

static void flush(struct layer *l)
{
	struct bytes out = bytes_of(l->room, l->n_room);

	l->n_room = 0;
	give(l, out);
}

/* How much output there may be once the input up to `in` was used. */
static uint64_t most(const struct layer *l, uint64_t in)
{
	uint64_t by_ratio;

	if (!l->limits.ratio_max ||
	    __builtin_mul_overflow(in, l->limits.ratio_max, &by_ratio))
		return l->limits.out_max;
	if (by_ratio < l->limits.ratio_free)
		by_ratio = l->limits.ratio_free;
	return by_ratio < l->limits.out_max ? by_ratio : l->limits.out_max;
}

static void note_run(struct layer *l, uint64_t in, uint64_t n, uint64_t in_unit,
		     uint64_t out_unit)
{
	struct layer_run run = { .out = layer_map_end(&l->map),
				 .in = in,
				 .n = n,
				 .in_unit = in_unit,
				 .out_unit = out_unit };

	if (n && out_unit)
		layer_map_add(&l->map, run);
}

bool layer_put(struct layer *l, struct bytes out, struct layer_units of)
{
	uint64_t in_end = of.in + out.len / of.out_unit * of.in_unit;
	uint64_t max = most(l, in_end), room = max - l->result.out;
	uint64_t units, rest;

	if (l->result.status != LAYER_OPEN)
		return false;
	if (out.len > room) {
		stop(l, of.in,
		     max == l->limits.out_max
			     ? "its output is longer than the cap"
			     : "it grows over the proportion that is allowed");
		out.len = (size_t)room;
	}
	/* A cap may cut through a unit. */
	units = out.len / of.out_unit;
	rest = out.len % of.out_unit;
	note_run(l, of.in, units, of.in_unit, of.out_unit);
	note_run(l, of.in + units * of.in_unit, rest != 0, of.in_unit, rest);
	l->changed |= of.in_unit != 1 || of.out_unit != 1;
	l->result.out += out.len;

	if (l->n_room + out.len > LAYER_ROOM)
		flush(l);
	if (out.len > LAYER_ROOM) {
		give(l, out);
	} else if (out.len) {
		memcpy(l->room + l->n_room, out.p, out.len);
		l->n_room += out.len;
	}
	return l->result.status == LAYER_OPEN;
}

/* -- input -------------------------------------------------------- */

static void pass(struct layer *l, struct bytes in)
{
	layer_put_same(l, in, l->result.in);
	l->result.in += in.len;
}

/* As much as the coding wants; what comes behind its end is counted. */
static void feed_coding(struct layer *l, struct bytes in)
{
	uint64_t end = l->result.in + in.len;

	if (!in.len)
		return;
	if (l->passes)
		pass(l, in);
	else
		l->ops->feed(l, in);
	if (l->ended)
		l->result.behind = end - l->result.in;
}

static void begin(struct layer *l, enum layer_look look)
{
	l->known = true;
	l->passes = look != LOOK_YES;
	if (!l->passes && l->ops->begin)
		l->ops->begin(l);
	feed_coding(l, bytes_of(l->head, l->n_head));
}

/* Gather its first bytes until they tell; returns how many were taken. */
static size_t look(struct layer *l, struct bytes in)
{
	size_t taken = 0;
	enum layer_look found = l->ops->look ? LOOK_MORE : LOOK_YES;

	while (found == LOOK_MORE && taken < in.len && l->n_head < LAYER_HEAD) {
		l->head[l->n_head++] = in.p[taken++];
		found = l->ops->look(bytes_of(l->head, l->n_head));
	}
	if (found != LOOK_MORE)
		begin(l, found);
	return taken;
}

void layer_feed(struct layer *l, struct bytes in, const struct layer_sink *sink)
{
	l->sink = sink;
	if (in.len && !l->known) {
		size_t n = look(l, in);

		in = bytes_of(in.p + n, in.len - n);
	}
	if (l->ended)
		l->result.behind += in.len;
	else if (l->known && l->result.status == LAYER_OPEN)
		feed_coding(l, in);
	flush(l);
	l->sink = NULL;
}

static void settle(struct layer *l)
{
	bool same = l->passes || !l->result.in || (l->ops->text && !l->changed);

	if (l->result.status != LAYER_OPEN)
		return;
	l->result.status = same ? LAYER_NOOP : LAYER_OK;
	if (!l->result.in)
		l->result.why = "there is nothing";
	else if (l->passes)
		l->result.why = l->ops->not_mine;
	else if (same)
		l->result.why = "nothing in it is coded";
}

void layer_end(struct layer *l, const struct layer_sink *sink)
{
	l->sink = sink;
	if (!l->known && l->n_head) /* too short to be anything */
		begin(l, LOOK_NO);
	if (l->known && !l->passes && layer_goes_on(l) && l->ops->end) {
		uint64_t all = l->result.in;

		l->ops->end(l);
		if (l->ended)
			l->result.behind = all - l->result.in;
	}
	settle(l);
	flush(l);
	l->sink = NULL;
}

void layer_break(struct layer *l, const char *why,
		 const struct layer_sink *sink)
{
	l->sink = sink;
	if (!l->known && l->n_head)
		begin(l, LOOK_NO);
	if (layer_goes_on(l))
		layer_fail(l, l->result.in, why);
	settle(l);
	flush(l);
	l->sink = NULL;
}
