/* SPDX-License-Identifier: Apache-2.0 */
/*
 * websocket.c - what the frames of one direction carry: payload unmasked, put
 * together and inflated, control frames left out (codec/websocket.h).  That
 * permessage-deflate was agreed on is taken from the frames themselves, with
 * the context kept.
 */
#include "codec/layer/layer_priv.h"

#include "codec/websocket.h"

enum { PAYLOAD_MAX = 16 << 20 };

struct websocket {
	struct websocket_stream stream;
};

static enum layer_look look(struct bytes head)
{
	uint8_t op = head.p[0] & 15;

	return (head.p[0] & 0x30) == 0 &&
			       (op <= WEBSOCKET_BINARY ||
				(op >= WEBSOCKET_CLOSE && op <= WEBSOCKET_PONG))
		       ? LOOK_YES
		       : LOOK_NO;
}

static void begin(struct layer *l)
{
	struct websocket *w = (struct websocket *)l->state;
	uint64_t max = l->limits.out_max;

	w->stream.deflate.on = true;
	w->stream.payload_max =
		max < PAYLOAD_MAX ? (uint32_t)max + 1 : (uint32_t)PAYLOAD_MAX;
}

static void put_payload(struct layer *l, const struct message *m)
{
	const struct websocket_frame *f = m->websocket;
	uint64_t len = m->body.end - m->body.start;
	bool exact = !f->inflated && f->frames == 1;

	l->changed = true;
	if (f->payload.len)
		layer_put(l, f->payload,
			  exact ? (struct layer_units){ m->body.start, 1, 1 }
				: (struct layer_units){ m->body.start, len,
							f->payload.len });
}

static void on_message(void *self, const struct message *m)
{
	struct layer *l = self;
	const struct websocket_frame *f = m->websocket;

	if (m->kind == MESSAGE_ERROR) {
		layer_fail(l, m->all.start, m->error);
	} else if (!f || f->opcode >= WEBSOCKET_CLOSE) {
		return;
	} else if (f->compressed && !f->inflated) {
		layer_fail(l, m->all.start,
			   "a compressed message that cannot be inflated");
	} else {
		put_payload(l, m);
		if (f->cut)
			layer_fail(l, m->all.start,
				   "a message longer than 16 MiB");
	}
}

static void feed(struct layer *l, struct bytes in)
{
	struct websocket *w = (struct websocket *)l->state;
	struct message_sink sink = { .self = l, .message = on_message };

	websocket_stream_feed(&w->stream, 0, l->result.in, in, &sink);
	l->result.in += in.len;
}

static void end(struct layer *l)
{
	struct websocket *w = (struct websocket *)l->state;
	struct websocket_way *way = &w->stream.way[0];
	struct message_sink sink = { .self = l, .message = on_message };
	bool inside = way->in_message || way->in_payload || way->n_head;

	websocket_stream_end(&w->stream, 0, &sink);
	if (inside)
		layer_fail(l, l->result.in, "it ends inside a message");
}

static void release(struct layer *l)
{
	websocket_stream_release(&((struct websocket *)l->state)->stream);
}

static size_t held(const struct layer *l)
{
	const struct websocket *w = (const struct websocket *)l->state;

	return websocket_way_held(&w->stream.way[0]);
}

const struct layer_ops layer_websocket = {
	.state_size = sizeof(struct websocket),
	.look = look,
	.not_mine = "it does not begin like a WebSocket frame",
	.begin = begin,
	.feed = feed,
	.end = end,
	.release = release,
	.held = held,
};
