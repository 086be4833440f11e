/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zstd.c - zstandard frames (RFC 8878), by its own library.
 */
#include "codec/layer/layer_priv.h"

#include <assert.h>

#include <zstd.h>
#include <zstd_errors.h>

enum {
	STEP = 1024,
	OUT = 16 << 10,
	WINDOW_LOG = 23, /* RFC 9659: more is not allowed in HTTP */
	MAGIC = 4
};

struct zstd {
	ZSTD_DCtx *decoder;
	uint64_t frame; /* offset of this frame */
	uint64_t frames;
	uint64_t mark; /* all output of the input before it is out */
	bool gave;     /* there was some since */
	uint8_t out[OUT];
};

static struct zstd *state_of(struct layer *l)
{
	return (struct zstd *)l->state;
}

/* A frame, or one that is to be skipped. */
static enum layer_look look(struct bytes head)
{
	static const uint8_t magic[] = { 0x28, 0xb5, 0x2f, 0xfd };
	static const uint8_t skip[] = { 0x50, 0x2a, 0x4d, 0x18 };
	uint8_t first[MAGIC] = { 0 };

	memcpy(first, head.p, head.len);
	first[0] &= 0xf0;
	if (memcmp(head.p, magic, head.len) != 0 &&
	    memcmp(first, skip, head.len) != 0)
		return LOOK_NO;
	return head.len == MAGIC ? LOOK_YES : LOOK_MORE;
}

static void begin(struct layer *l)
{
	struct zstd *z = state_of(l);
	size_t rc;

	z->decoder = ZSTD_createDCtx();
	assert(z->decoder);
	rc = ZSTD_DCtx_setParameter(z->decoder, ZSTD_d_windowLogMax,
				    WINDOW_LOG);
	assert(!ZSTD_isError(rc));
}

static void go_wrong(struct layer *l, size_t rc)
{
	struct zstd *z = state_of(l);
	ZSTD_ErrorCode code = ZSTD_getErrorCode(rc);

	if (z->frames && code == ZSTD_error_prefix_unknown)
		layer_over(l, z->frame);
	else
		layer_fail(l, l->result.in, ZSTD_getErrorString(code));
}

static void end_frame(struct layer *l)
{
	struct zstd *z = state_of(l);

	z->frames++;
	z->frame = z->mark = l->result.in;
	z->gave = false;
}

/* As much as fits into `out`, of one frame; false: there is no more to do. */
static bool take_some(struct layer *l, ZSTD_inBuffer *in, uint64_t start)
{
	struct zstd *z = state_of(l);
	ZSTD_outBuffer out = { z->out, OUT, 0 };
	size_t rc = ZSTD_decompressStream(z->decoder, &out, in);

	l->result.in = start + in->pos;
	if (out.pos) {
		z->gave = true;
		layer_put(l, bytes_of(z->out, out.pos),
			  (struct layer_units){ z->mark, l->result.in - z->mark,
						out.pos });
	}
	if (ZSTD_isError(rc))
		go_wrong(l, rc);
	else if (!rc)
		end_frame(l);
	return layer_goes_on(l) &&
	       (in->pos < in->size || (rc && out.pos == OUT));
}

static void take_step(struct layer *l, struct bytes in)
{
	struct zstd *z = state_of(l);
	ZSTD_inBuffer from = { in.p, in.len, 0 };
	uint64_t start = l->result.in;

	while (take_some(l, &from, start))
		;
	if (z->gave && l->result.in % STEP == 0) {
		z->mark = l->result.in;
		z->gave = false;
	}
}

static void feed(struct layer *l, struct bytes in)
{
	while (in.len && layer_goes_on(l)) {
		size_t n = STEP - l->result.in % STEP;

		n = n < in.len ? n : in.len;
		take_step(l, bytes_of(in.p, n));
		in = bytes_of(in.p + n, in.len - n);
	}
}

static void end(struct layer *l)
{
	struct zstd *z = state_of(l);
	uint64_t seen = l->result.in - z->frame;

	if (z->frames && seen && seen < MAGIC)
		layer_over(l, z->frame);
	else if (!z->frames || seen)
		layer_fail(l, l->result.in, "it ends early");
}

static void release(struct layer *l)
{
	ZSTD_freeDCtx(state_of(l)->decoder);
}

static size_t held(const struct layer *l)
{
	const struct zstd *z = (const struct zstd *)l->state;

	return z->decoder ? ZSTD_sizeof_DCtx(z->decoder) : 0;
}

const struct layer_ops layer_zstd = {
	.state_size = sizeof(struct zstd),
	.look = look,
	.not_mine = "it does not begin like zstd",
	.begin = begin,
	.feed = feed,
	.end = end,
	.release = release,
	.held = held,
};
