/* SPDX-License-Identifier: Apache-2.0 */
/*
 * brotli.c - brotli (RFC 7932), by its own library, whose memory is bounded.
 * It has no magic number and no checksum: what is none fails sooner or later.
 */
#include "codec/layer/layer_priv.h"

#include <assert.h>
#include <stdlib.h>

#include <brotli/decode.h>

enum {
	STEP = 1024,
	SLACK = 8,
	OUT = 16 << 10,
	/* The largest window that the RFC has, and the tables. */
	MEMORY_MAX = 24 << 20
};

struct brotli {
	BrotliDecoderState *decoder;
	size_t held;
	uint64_t mark; /* all output of the input before it is out */
	bool gave;     /* there was some since */
	uint8_t out[OUT];
};

/* Sizes are kept in front of the blocks, so that freeing gives them back. */
static void *take_memory(void *opaque, size_t size)
{
	struct brotli *b = opaque;
	max_align_t *p;

	if (size > MEMORY_MAX - b->held)
		return NULL;
	p = malloc(sizeof(*p) + size);
	if (!p)
		return NULL;
	memcpy(p, &size, sizeof(size));
	b->held += size;
	return p + 1;
}

static void give_memory(void *opaque, void *memory)
{
	struct brotli *b = opaque;
	max_align_t *p = memory;
	size_t size;

	if (!p)
		return;
	memcpy(&size, --p, sizeof(size));
	b->held -= size;
	free(p);
}

static void begin(struct layer *l)
{
	struct brotli *b = (struct brotli *)l->state;

	b->decoder = BrotliDecoderCreateInstance(take_memory, give_memory, b);
	assert(b->decoder);
}

static void go_wrong(struct layer *l)
{
	struct brotli *b = (struct brotli *)l->state;

	layer_fail(l, l->result.in,
		   BrotliDecoderErrorString(
			   BrotliDecoderGetErrorCode(b->decoder)));
}

/* One step of input; returns how much of it was used. */
static size_t take_step(struct layer *l, struct bytes in)
{
	struct brotli *b = (struct brotli *)l->state;
	uint64_t start = l->result.in;
	size_t left = in.len;
	BrotliDecoderResult rc;

	do {
		uint8_t *to = b->out;
		size_t room = OUT;
		uint64_t from = b->mark > SLACK ? b->mark - SLACK : 0;

		rc = BrotliDecoderDecompressStream(b->decoder, &left, &in.p,
						   &room, &to, NULL);
		l->result.in = start + in.len - left;
		b->gave |= room < OUT;
		if (room < OUT)
			layer_put(l, bytes_of(b->out, OUT - room),
				  (struct layer_units){ from,
							l->result.in - from,
							OUT - room });
	} while (rc == BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT &&
		 layer_goes_on(l));
	if (rc == BROTLI_DECODER_RESULT_SUCCESS)
		layer_over(l, l->result.in);
	else if (rc == BROTLI_DECODER_RESULT_ERROR)
		go_wrong(l);
	if (b->gave && l->result.in % STEP == 0) {
		b->mark = l->result.in;
		b->gave = false;
	}
	return in.len - left;
}

static void feed(struct layer *l, struct bytes in)
{
	while (in.len && layer_goes_on(l)) {
		size_t n = STEP - l->result.in % STEP;

		n = take_step(l, bytes_of(in.p, n < in.len ? n : in.len));
		in = bytes_of(in.p + n, in.len - n);
	}
}

static void end(struct layer *l)
{
	layer_fail(l, l->result.in, "it ends early");
}

static void release(struct layer *l)
{
	struct brotli *b = (struct brotli *)l->state;

	if (b->decoder)
		BrotliDecoderDestroyInstance(b->decoder);
}

static size_t held(const struct layer *l)
{
	return ((const struct brotli *)l->state)->held;
}

const struct layer_ops layer_brotli = {
	.state_size = sizeof(struct brotli),
	.begin = begin,
	.feed = feed,
	.end = end,
	.release = release,
	.held = held,
};
