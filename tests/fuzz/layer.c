/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One coding, chosen by the first byte, over the rest: as a whole and in
 * pieces it gives the same, within its limits, and every byte leads back to
 * some of the input.
 */
#include "codec/layer/layer.h"

#include <stdlib.h>

#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool take(void *self, struct bytes out)
{
	put_bytes(self, out);
	return true;
}

static struct layer *undo(enum layer_kind kind, struct bytes in, size_t step,
			  struct buf *out)
{
	struct layer_limits limits = { .out_max = 256 << 10,
				       .ratio_max = 64,
				       .ratio_free = 4096 };
	struct layer *l = layer_new(kind, &limits);
	struct layer_sink sink = { out, take };

	for (size_t at = 0; at < in.len; at += step)
		layer_feed(l,
			   bytes_of(in.p + at, in.len - at < step
						       ? in.len - at
						       : step),
			   &sink);
	layer_end(l, &sink);
	return l;
}

static void check(const struct layer *l, const struct buf *out, size_t size)
{
	const struct layer_result *r = layer_result(l);
	struct layer_span last = { 0, 0 };

	if (r->status == LAYER_OPEN || r->out != out->len ||
	    out->len > 256 << 10 || r->in > size || r->at > size ||
	    r->in + r->behind > size ||
	    (r->status != LAYER_OK && !r->why) ||
	    layer_map_end(layer_map(l)) != out->len)
		abort();
	for (size_t at = 0; at < out->len; at += 1 + at / 16) {
		struct layer_span s = layer_map_back(
			layer_map(l), (struct layer_span){ at, at + 1 });

		if (s.start >= s.end || s.end > size || s.start < last.start ||
		    s.end < last.end)
			abort();
		last = s;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = { 0 }, pieces = { 0 };
	enum layer_kind kind;
	struct layer *a, *b;
	struct bytes in;

	if (size < 2)
		return 0;
	kind = (enum layer_kind)(data[0] % LAYER_KINDS);
	in = bytes_of(data + 2, size - 2);
	a = undo(kind, in, in.len ? in.len : 1, &whole);
	b = undo(kind, in, 1 + data[1] % 64, &pieces);
	check(a, &whole, in.len);
	check(b, &pieces, in.len);
	/* Where a cap cuts depends on how much had been read by then. */
	if (layer_result(a)->status != LAYER_STOPPED &&
	    layer_result(b)->status != LAYER_STOPPED &&
	    (layer_result(a)->status != layer_result(b)->status ||
	     layer_result(a)->behind != layer_result(b)->behind ||
	     !bytes_equal(buf_bytes(&whole), buf_bytes(&pieces))))
		abort();
	layer_free(a);
	layer_free(b);
	buf_release(&whole);
	buf_release(&pieces);
	return 0;
}
