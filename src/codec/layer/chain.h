/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain.h - layers behind one another, outermost first: "chunked,gzip".
 *
 * Only the last layer's output is kept, up to the limits; between layers bytes
 * flow in small steps.  When a layer fails or meets a cap, what has come out
 * stands, nothing more is read, and the layers in front of it say that they
 * were not read to their end.
 */
#ifndef CODEC_LAYER_CHAIN_H
#define CODEC_LAYER_CHAIN_H

#include "codec/layer/layer.h"

struct err;
struct http_head;

enum { LAYER_CHAIN_MAX = 8 };

struct layer_plan {
	enum layer_kind kind[LAYER_CHAIN_MAX];
	size_t n;
	/* A coding that the message names and we do not know; borrowed. */
	struct bytes unknown;
};

/*
 * "chunked,gzip": names with , | + or > between, blanks around them, "" for
 * none.  0, or ERR_USAGE with a sentence: a name that is no layer, too many.
 */
int layer_plan_parse(struct layer_plan *plan, const char *text,
		     struct err *err);

/*
 * What has to be undone to a message's body as it stands on the wire: its
 * transfer codings, then its content codings.  Behind one that is not known
 * nothing can be; the plan ends there.
 */
void layer_plan_of_http(struct layer_plan *plan, const struct http_head *head);

struct layer_chain;

struct layer_chain *layer_chain_new(const struct layer_plan *plan,
				    const struct layer_limits *limits);
void layer_chain_free(struct layer_chain *c);

/* False: nothing more needs to be fed. */
bool layer_chain_feed(struct layer_chain *c, struct bytes in);

/* There is no more; or, with a constant sentence, there is, but not here. */
void layer_chain_end(struct layer_chain *c, const char *missing);

/* Borrowed until the next call. */
struct bytes layer_chain_output(const struct layer_chain *c);

/* How the n-th layer fared, n < plan.n. */
const struct layer_result *layer_chain_result(const struct layer_chain *c,
					      size_t n);

/* Is everything there was to decode decoded? */
bool layer_chain_whole(const struct layer_chain *c);

/* Was there more output than the limit? */
bool layer_chain_full(const struct layer_chain *c);

/* The least range of what was fed that gave this range of the output. */
struct layer_span layer_chain_back(const struct layer_chain *c,
				   struct layer_span out);

/* Bytes of memory that it holds now. */
size_t layer_chain_held(const struct layer_chain *c);

#endif
