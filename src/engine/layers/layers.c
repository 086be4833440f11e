/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream is walked twice: once to learn whether it has messages of a
 * protocol that has bodies, up to the first one, and once to give them out.
 * A body is read a second time when its message has ended, which is when its
 * head and its ranges are known; nothing of it needs to be kept until then.
 */
#include "engine/layers/layers.h"

#include <stdlib.h>
#include <strings.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "codec/http1.h"
#include "codec/websocket.h"
#include "engine/protocol/protocol.h"
#include "engine/store/view.h"

enum {
	RUN_MAX = 256 << 10, /* read at once, of what one side says */
	HEAD_MAX = 64 << 10,
	PARTS_MAX = 4096 /* of a body with holes */
};

/* -- plans -------------------------------------------------------- */

int layers_plan_parse(struct layers_plan *plan, const char *text,
		      struct err *err)
{
	*plan = (struct layers_plan){ .as_told = true };
	if (!text)
		return 0;
	while (*text == ' ')
		text++;
	plan->as_told = strncasecmp(text, "auto", 4) == 0 &&
			(!text[4] || strchr(", |+>", text[4]));
	if (plan->as_told) {
		text += 4;
		text += strspn(text, " ");
		if (!*text)
			return 0;
		text++;
	}
	return layer_plan_parse(&plan->then, text, err);
}

/* What the head says, then what the user wants. */
static struct layer_plan plan_for(const struct layers_plan *wanted,
				  const struct message *m)
{
	struct layer_plan plan = { .n = 0 };

	if (wanted->as_told && m && m->http)
		layer_plan_of_http(&plan, m->http);
	/* HTTP/2 has no transfer codings: its frames are told as parts. */
	for (size_t i = 0; i < wanted->then.n && !plan.unknown.len; i++) {
		if (plan.n == LAYER_CHAIN_MAX)
			plan.unknown =
				bytes_of_text(layer_name(wanted->then.kind[i]));
		else
			plan.kind[plan.n++] = wanted->then.kind[i];
	}
	return plan;
}

/* -- a walk over a stream ----------------------------------------- */

struct walk {
	struct store_view *view;
	const struct store_row *row;
	const struct layers_config *cfg;
	const struct layers_sink *sink;
	struct err *err;
	struct protocols *protocols;
	struct protocol_stream *protocol;
	struct message_sink messages;

	/* What one side says until the other one speaks. */
	int way;
	uint64_t read[2], to; /* offsets */
	uint64_t time_ns;

	bool speaks;	   /* a protocol whose messages have bodies */
	bool plain;	   /* it does not, and is given out in runs */
	uint64_t given[2]; /* offset up to which items were given */
	bool frames[2];	   /* the last message was of HTTP/2 */
	int stop;
};

static bool has_bodies(const struct message *m)
{
	return m->kind != MESSAGE_ERROR &&
	       (m->protocol == MESSAGE_HTTP1 || m->protocol == MESSAGE_HTTP2 ||
		m->protocol == MESSAGE_WEBSOCKET);
}

static int on_piece(void *arg, const struct store_piece *piece)
{
	struct walk *w = arg;

	if (piece->hole)
		protocol_stream_gap(w->protocol, w->way, piece->offset,
				    piece->len, &w->messages);
	else
		protocol_stream_feed(w->protocol, w->way, piece->offset,
				     piece->data, &w->messages);
	return w->stop;
}

static void give_plain(struct walk *w, int way, uint64_t from, uint64_t to);

/* Everything up to w->to of this direction goes where it belongs. */
static void read_run(struct walk *w)
{
	uint64_t from = w->read[w->way];

	if (w->to <= from || w->stop || w->err->code)
		return;
	w->read[w->way] = w->to;
	if (w->plain)
		give_plain(w, w->way, from, w->to);
	else
		store_view_read(w->view, w->row->id, w->way, from, w->to - from,
				on_piece, w, w->err);
}

static int on_turn(void *arg, const struct store_turn *turn)
{
	struct walk *w = arg;

	if (w->way >= 0 && (turn->way != w->way ||
			    (!w->plain && w->to - w->read[w->way] > RUN_MAX)))
		read_run(w);
	w->way = turn->way;
	w->time_ns = turn->time_ns;
	w->to = turn->offset + turn->len;
	return w->stop || w->err->code;
}

/* Both directions in the order of their packets, holes among them. */
static void walk_stream(struct walk *w)
{
	struct protocol_config cfg = PROTOCOL_CONFIG_DEFAULT;
	uint16_t port[2] = { w->row->flow.end[0].port,
			     w->row->flow.end[1].port };

	cfg.messages_max = UINT32_MAX;
	cfg.payload_max = w->cfg->limits.out_max < 16 << 20
				  ? (uint32_t)w->cfg->limits.out_max
				  : 16u << 20;
	w->protocols = protocols_new(&cfg);
	if (!w->plain)
		w->protocol = protocol_stream_new(w->protocols,
						  w->row->flow.protocol, port);
	w->way = -1;
	store_view_turns(w->view, w->row->id, on_turn, w, w->err);
	if (w->way >= 0)
		read_run(w);
	/* What no turn tells of: holes at the end, what came over a cap. */
	for (w->way = 0; w->way < 2; w->way++) {
		w->to = w->row->end[w->way];
		w->time_ns = w->row->flow.last_ns;
		read_run(w);
	}
	protocol_stream_end(w->protocol, &w->messages);
	protocols_free(w->protocols);
	w->protocol = NULL;
	w->read[0] = w->read[1] = 0;
}

/* -- bodies ------------------------------------------------------- */

struct body {
	struct layer_chain *chain;
	bool coded;		     /* behind a hole nothing can be decoded */
	uint64_t missing;	     /* bytes, up to where it was read */
	struct message_range *parts; /* that were fed; owned */
	size_t n, cap;
};

static void note_part(struct body *b, uint64_t start, uint64_t end)
{
	if (b->n && b->parts[b->n - 1].end == start) {
		b->parts[b->n - 1].end = end;
		return;
	}
	if (b->n == b->cap) {
		b->cap = b->cap ? 2 * b->cap : 4;
		b->parts = mem_grow(b->parts, b->cap * sizeof(*b->parts));
	}
	b->parts[b->n++] = (struct message_range){ start, end };
}

static int on_body(void *arg, const struct store_piece *piece)
{
	struct body *b = arg;

	if (piece->hole) {
		b->missing += piece->len;
		return b->coded || b->n >= PARTS_MAX;
	}
	note_part(b, piece->offset, piece->offset + piece->len);
	return !layer_chain_feed(b->chain, piece->data);
}

static void read_body(struct walk *w, struct body *b,
		      const struct layers_item *item)
{
	for (size_t i = 0; i < item->n_parts; i++) {
		const struct message_range *p = &item->parts[i];

		if (p->end > p->start)
			store_view_read(w->view, w->row->id, item->way,
					p->start, p->end - p->start, on_body, b,
					w->err);
		if ((b->coded && b->missing) ||
		    !layer_chain_feed(b->chain, (struct bytes){ 0 }))
			return;
	}
}

/* The body, or what a parser has made of it, through the chain. */
static void decode(struct walk *w, struct layers_item *item, struct body *b,
		   const struct bytes *parsed)
{
	if (parsed) {
		note_part(b, item->message->body.start,
			  item->message->body.end);
		layer_chain_feed(b->chain, *parsed);
	} else {
		read_body(w, b, item);
	}
	layer_chain_end(b->chain, b->coded && b->missing
					  ? "bytes are missing on the wire"
					  : NULL);
	item->chain = b->chain;
	item->parts = b->parts;
	item->n_parts = b->n;
	item->missing = b->missing;
	item->body = layer_chain_output(b->chain);
	item->too_long = layer_chain_full(b->chain);
	item->whole &= layer_chain_whole(b->chain) && !b->missing;
}

static void give(struct walk *w, struct layers_item *item,
		 const struct layer_plan *plan, const struct bytes *parsed)
{
	struct body b = { .chain = layer_chain_new(plan, &w->cfg->limits),
			  .coded = plan->n > 0 };

	item->time_ns = w->time_ns;
	item->unknown = plan->unknown;
	decode(w, item, &b, parsed);
	for (size_t i = 0; i < plan->n; i++)
		item->step[item->n_steps++] = (struct layers_step){
			layer_name(plan->kind[i]),
			*layer_chain_result(b.chain, i),
		};
	item->whole &= !plan->unknown.len;
	if (!w->stop && !w->err->code)
		w->stop = w->sink->item(w->sink->self, item);
	layer_chain_free(b.chain);
	free(b.parts);
	if (w->given[item->way] < item->range.end)
		w->given[item->way] = item->range.end;
}

/* Bytes that belong to no message. */
static void give_plain(struct walk *w, int way, uint64_t from, uint64_t to)
{
	struct message_range range = { from, to };
	struct layers_item item = { .way = way,
				    .range = range,
				    .whole = true,
				    .parts = &range,
				    .n_parts = 1 };
	/* Between messages lies nothing that a chain for bodies was meant for.
	 */
	struct layer_plan none = { .n = 0 };
	struct layer_plan plan =
		w->plain ? plan_for(&w->cfg->plan, NULL) : none;

	give(w, &item, &plan, NULL);
}

/* Has a message, or the end, left bytes behind that nobody spoke of? */
static void give_between(struct walk *w, int way, uint64_t to)
{
	if (w->given[way] < to && !w->frames[way])
		give_plain(w, way, w->given[way], to);
}

static int keep_head(void *arg, const struct store_piece *piece)
{
	struct buf *b = arg;

	if (piece->hole || b->len + piece->len > HEAD_MAX)
		return 1;
	put_bytes(b, piece->data);
	return 0;
}

/* WebSocket's parser has the payload already. */
static void note_websocket(struct layers_item *item,
			   const struct websocket_frame *f)
{
	struct layers_step *s = &item->step[item->n_steps++];

	s->name = f->inflated ? "websocket, inflated" : "websocket";
	s->result = (struct layer_result){ .status = LAYER_OK,
					   .in = f->wire_bytes,
					   .out = f->payload.len };
	if (f->cut) {
		s->result.status = LAYER_STOPPED;
		s->result.at = f->wire_bytes;
		s->result.why = "its output is longer than the cap";
	} else if (f->compressed && !f->inflated) {
		s->result.status = LAYER_FAILED;
		s->result.why = "a compressed message whose past is missing";
	}
	item->whole = s->result.status == LAYER_OK;
}

static void on_message(void *self, const struct message *m)
{
	struct walk *w = self;
	struct layers_item item = { .message = m,
				    .way = m->way,
				    .range = m->all,
				    .whole = true,
				    .parts = m->n_parts ? m->parts : &m->body,
				    .n_parts = m->n_parts ? m->n_parts : 1 };
	struct layer_plan plan;
	struct buf head = { 0 };

	if (!has_bodies(m) || w->stop || w->err->code)
		return;
	if (!w->sink) { /* the first walk */
		w->speaks = true;
		w->stop = 1;
		return;
	}
	give_between(w, m->way, m->all.start);
	w->frames[m->way] = m->protocol == MESSAGE_HTTP2;
	plan = plan_for(&w->cfg->plan, m);
	if (m->protocol == MESSAGE_HTTP1 && m->head.end > m->head.start) {
		store_view_read(w->view, w->row->id, m->way, m->head.start,
				m->head.end - m->head.start, keep_head, &head,
				w->err);
		item.head = buf_bytes(&head);
	}
	if (m->websocket)
		note_websocket(&item, m->websocket);
	give(w, &item, &plan, m->websocket ? &m->websocket->payload : NULL);
	buf_release(&head);
}

/* -- all of it ---------------------------------------------------- */

int layers_of_stream(struct store_view *v, const struct store_row *row,
		     const struct layers_config *cfg,
		     const struct layers_sink *sink, struct err *err)
{
	struct walk w = { .view = v, .row = row, .cfg = cfg, .err = err };

	w.messages = (struct message_sink){ .self = &w, .message = on_message };
	walk_stream(&w);
	w.sink = sink;
	w.stop = 0;
	w.plain = !w.speaks;
	if (!err->code)
		walk_stream(&w);
	for (int way = 0; way < 2 && w.speaks; way++)
		give_between(&w, way, row->end[way]);
	return err->code;
}

/* Where a byte of the body, as it stood on the wire, lies in its direction. */
static uint64_t wire_of(const struct layers_item *item, uint64_t at, bool end)
{
	for (size_t i = 0; i < item->n_parts; i++) {
		const struct message_range *p = &item->parts[i];
		uint64_t len = p->end - p->start;

		if (at < len || (end && at == len))
			return p->start + at;
		at -= len;
	}
	return item->range.end;
}

struct message_range layers_back(const struct layers_item *item,
				 struct layer_span body)
{
	struct layer_span in = layer_chain_back(item->chain, body);

	if (in.start >= in.end)
		return (struct message_range){ 0, 0 };
	/* What was unmasked and inflated is known as a whole only. */
	if (item->message && item->message->websocket)
		return item->message->body;
	return (struct message_range){ wire_of(item, in.start, false),
				       wire_of(item, in.end, true) };
}
