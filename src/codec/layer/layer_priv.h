/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layer_priv.h - what the codings share: one table of functions each, and the
 * one way in which their output leaves.
 */
#ifndef CODEC_LAYER_LAYER_PRIV_H
#define CODEC_LAYER_LAYER_PRIV_H

#include "codec/layer/layer.h"

enum { LAYER_HEAD = 4, LAYER_ROOM = 4096 };

enum layer_look { LOOK_NO, LOOK_YES, LOOK_MORE };

struct layer {
	const struct layer_ops *ops;
	struct layer_limits limits;
	struct layer_result result; /* in: offset of the next byte */
	struct layer_map map;
	uint8_t head[LAYER_HEAD]; /* until it is known */
	size_t n_head;
	bool known, passes;
	bool ended;   /* what was coded has: the rest is behind it */
	bool changed; /* some output is not its input */
	uint8_t room[LAYER_ROOM]; /* output that the sink has not seen */
	size_t n_room;
	const struct layer_sink *sink; /* of the call that is under way */
	_Alignas(max_align_t) uint8_t state[];
};

struct layer_ops {
	size_t state_size;
	/* Does its coding begin like this?  NULL: it says so as it goes. */
	enum layer_look (*look)(struct bytes head);
	const char *not_mine; /* the sentence for LOOK_NO */
	/* The head is known; NULL: a zeroed state will do. */
	void (*begin)(struct layer *l);
	/*
	 * Uses up all of the input and moves result.in, unless it ends or
	 * fails on the way.
	 */
	void (*feed)(struct layer *l, struct bytes in);
	void (*end)(struct layer *l); /* no more comes */
	void (*release)(struct layer *l);
	size_t (*held)(const struct layer *l); /* besides its state */
	bool text;			       /* unchanged is NOOP */
};

extern const struct layer_ops layer_chunked, layer_gzip, layer_zlib,
	layer_deflate, layer_raw_deflate, layer_brotli, layer_zstd,
	layer_base64, layer_hex, layer_url, layer_percent, layer_json,
	layer_json_base64, layer_websocket;

/* Is it to go on? */
static inline bool layer_goes_on(const struct layer *l)
{
	return l->result.status == LAYER_OPEN && !l->ended;
}

void layer_fail(struct layer *l, uint64_t at, const char *why);

/* What was coded has ended in front of the byte `at`. */
void layer_over(struct layer *l, uint64_t at);

/*
 * Output, units of out_unit bytes, made of as many of in_unit bytes from `in`
 * on.  False: a cap was met, and the layer is not to go on.
 */
struct layer_units {
	uint64_t in, in_unit, out_unit;
};
bool layer_put(struct layer *l, struct bytes out, struct layer_units of);

/* Bytes that stand for themselves. */
static inline bool layer_put_same(struct layer *l, struct bytes out,
				  uint64_t in)
{
	return layer_put(l, out, (struct layer_units){ in, 1, 1 });
}

#endif
