/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/layer/chain.h"

#include <stdlib.h>
#include <strings.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "codec/http1.h"

/* -- plans -------------------------------------------------------- */

/* A field may be folded over lines. */
static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct bytes trim(struct bytes b)
{
	while (b.len && is_blank(b.p[0]))
		b = bytes_of(b.p + 1, b.len - 1);
	while (b.len && is_blank(b.p[b.len - 1]))
		b.len--;
	return b;
}

int layer_plan_parse(struct layer_plan *plan, const char *text, struct err *err)
{
	*plan = (struct layer_plan){ .n = 0 };
	if (!trim(bytes_of_text(text)).len)
		return 0;
	for (;; text++) {
		size_t len = strcspn(text, ",|+>");
		struct bytes name = trim(bytes_of(text, len));

		if (plan->n == LAYER_CHAIN_MAX)
			return err_set(err, ERR_USAGE,
				       "more than %d layers in one chain",
				       LAYER_CHAIN_MAX);
		if (layer_kind_of(name, &plan->kind[plan->n]) < 0)
			return err_set(err, ERR_USAGE,
				       "\"%.*s\" is no layer; there are "
				       "chunked, gzip, zlib, deflate, "
				       "raw-deflate, br, zstd, base64, hex, "
				       "url, percent, json, json-base64 and "
				       "websocket",
				       (int)name.len, (const char *)name.p);
		plan->n++;
		text += len;
		if (!*text)
			return 0;
	}
}

static bool is_identity(struct bytes name)
{
	return !name.len || (name.len == 8 && strncasecmp((const char *)name.p,
							  "identity", 8) == 0);
}

/* The last item of a list, which is cut off from it. */
static struct bytes take_last(struct bytes *list)
{
	size_t n = list->len;
	struct bytes item;

	while (n && list->p[n - 1] != ',')
		n--;
	item = bytes_of(list->p + n, list->len - n);
	list->len = n ? n - 1 : 0;
	return trim(item);
}

/* Codings are named in the order in which they were applied. */
static void plan_list(struct layer_plan *plan, struct bytes list)
{
	while (list.len && !plan->unknown.len) {
		struct bytes name = take_last(&list);

		if (is_identity(name))
			continue;
		if (plan->n == LAYER_CHAIN_MAX ||
		    layer_kind_of(name, &plan->kind[plan->n]) < 0)
			plan->unknown = name;
		else
			plan->n++;
	}
}

static void plan_field(struct layer_plan *plan, const struct http_head *head,
		       const char *name)
{
	/* Of several fields of one name the last was applied last. */
	for (size_t i = head->n_fields; i > 0; i--) {
		const struct http_field *f = &head->fields[i - 1];

		if (f->name.len == strlen(name) &&
		    strncasecmp((const char *)f->name.p, name, f->name.len) ==
			    0)
			plan_list(plan, f->value);
	}
}

void layer_plan_of_http(struct layer_plan *plan, const struct http_head *head)
{
	*plan = (struct layer_plan){ .n = 0 };
	plan_field(plan, head, "transfer-encoding");
	plan_field(plan, head, "content-encoding");
}

/* -- chains ------------------------------------------------------- */

struct link {
	struct layer *layer; /* owned; NULL at the end, where output is kept */
	struct layer_sink sink; /* to the next link */
	struct layer_chain *chain;
};

struct layer_chain {
	size_t n;
	struct link link[LAYER_CHAIN_MAX + 1];
	struct layer_limits limits;
	struct buf out;
	bool full;
};

static bool keep(struct layer_chain *c, struct bytes in)
{
	uint64_t room = c->limits.out_max - c->out.len;

	c->full |= in.len > room;
	put_bytes(&c->out, bytes_of(in.p, c->full ? (size_t)room : in.len));
	return !c->full;
}

static bool on_bytes(void *self, struct bytes in)
{
	struct link *l = self;
	const struct layer_result *r;

	if (!l->layer)
		return keep(l->chain, in);
	layer_feed(l->layer, in, &l->sink);
	r = layer_result(l->layer);
	return r->status == LAYER_OPEN;
}

struct layer_chain *layer_chain_new(const struct layer_plan *plan,
				    const struct layer_limits *limits)
{
	struct layer_chain *c = mem_alloc(sizeof(*c));

	c->n = plan->n;
	c->limits = *limits;
	for (size_t i = 0; i <= c->n; i++) {
		struct link *l = &c->link[i];

		l->chain = c;
		if (i == c->n)
			break;
		l->layer = layer_new(plan->kind[i], limits);
		l->sink = (struct layer_sink){ &c->link[i + 1], on_bytes };
	}
	return c;
}

void layer_chain_free(struct layer_chain *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n; i++)
		layer_free(c->link[i].layer);
	buf_release(&c->out);
	free(c);
}

static bool goes_on(const struct layer_chain *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (layer_result(c->link[i].layer)->status != LAYER_OPEN)
			return false;
	return !c->full;
}

bool layer_chain_feed(struct layer_chain *c, struct bytes in)
{
	if (goes_on(c) && in.len)
		on_bytes(&c->link[0], in);
	return goes_on(c);
}

void layer_chain_end(struct layer_chain *c, const char *missing)
{
	/* The end, or the break, reaches each layer behind its last bytes. */
	for (size_t i = 0; i < c->n; i++) {
		struct link *l = &c->link[i];
		const struct layer_result *r = layer_result(l->layer);

		if (missing)
			layer_break(l->layer, missing, &l->sink);
		else
			layer_end(l->layer, &l->sink);
		missing = r->status == LAYER_FAILED
				  ? "the layer in front of it failed"
			  : r->status == LAYER_STOPPED
				  ? "the layer in front of it was stopped"
				  : NULL;
	}
}

struct bytes layer_chain_output(const struct layer_chain *c)
{
	return buf_bytes(&c->out);
}

const struct layer_result *layer_chain_result(const struct layer_chain *c,
					      size_t n)
{
	return layer_result(c->link[n].layer);
}

bool layer_chain_whole(const struct layer_chain *c)
{
	for (size_t i = 0; i < c->n; i++) {
		enum layer_status s = layer_result(c->link[i].layer)->status;

		if (s != LAYER_OK && s != LAYER_NOOP)
			return false;
	}
	return !c->full;
}

bool layer_chain_full(const struct layer_chain *c)
{
	const struct layer_result *last =
		c->n ? layer_result(c->link[c->n - 1].layer) : NULL;

	return c->full || (last && last->status == LAYER_STOPPED);
}

struct layer_span layer_chain_back(const struct layer_chain *c,
				   struct layer_span out)
{
	if (out.end > c->out.len)
		out.end = c->out.len;
	if (out.start >= out.end)
		return (struct layer_span){ 0, 0 };
	for (size_t i = c->n; i > 0; i--)
		out = layer_map_back(layer_map(c->link[i - 1].layer), out);
	return out;
}

size_t layer_chain_held(const struct layer_chain *c)
{
	size_t n = sizeof(*c) + c->out.cap;

	for (size_t i = 0; i < c->n; i++)
		n += layer_held(c->link[i].layer);
	return n;
}
