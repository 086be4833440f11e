/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layers.h - a stored stream as it was meant: its messages, layers undone.
 *
 * The stream is read from its store and parsed again, so it does not matter
 * what was asked for when it was recorded.  Messages of HTTP and WebSocket
 * come one by one as they end, and what lies between them; a stream of another
 * protocol comes as what one side said until the other one spoke.  Each byte
 * of the stream is in some item, but for HTTP/2's frames without data and what
 * goes over a limit, which the item says.
 *
 * One item is held at a time, within the limits on its output.
 */
#ifndef ENGINE_LAYERS_LAYERS_H
#define ENGINE_LAYERS_LAYERS_H

#include "codec/layer/chain.h"
#include "codec/message.h"

struct err;
struct store_row;
struct store_view;

/* What to undo: "auto" is what the message's head says. */
struct layers_plan {
	bool as_told;
	struct layer_plan then;
};

/*
 * "auto", "auto,base64", "chunked,gzip", …; NULL is "auto".  0, or ERR_USAGE
 * with a sentence.
 */
int layers_plan_parse(struct layers_plan *plan, const char *text,
		      struct err *err);

struct layers_step {
	const char *name;
	struct layer_result result;
};

/* Borrowed until the call returns, all of it. */
struct layers_item {
	const struct message *message; /* NULL: of no protocol */
	int way;
	uint64_t time_ns;	    /* when its last bytes came */
	struct message_range range; /* all of it on the wire */
	struct bytes head;	    /* as on the wire; empty: there is none */
	struct bytes body;	    /* decoded */
	struct layers_step step[LAYER_CHAIN_MAX + 1]; /* outermost first */
	size_t n_steps;
	bool whole;	      /* all that was coded is decoded */
	bool too_long;	      /* the body goes on over the limit */
	uint64_t missing;     /* bytes of it that the store has not */
	struct bytes unknown; /* a coding that cannot be undone */
	/* Where on the wire lies what was decoded, and how: layers_back(). */
	const struct message_range *parts;
	size_t n_parts;
	const struct layer_chain *chain;
};

/* The least range on the wire that gave this range of item->body. */
struct message_range layers_back(const struct layers_item *item,
				 struct layer_span body);

struct layers_config {
	struct layers_plan plan;
	struct layer_limits limits;
};

/* Calls item() in order; when that returns non-zero, nothing more is read. */
struct layers_sink {
	void *self;
	int (*item)(void *self, const struct layers_item *item);
};

int layers_of_stream(struct store_view *v, const struct store_row *row,
		     const struct layers_config *cfg,
		     const struct layers_sink *sink, struct err *err);

#endif
