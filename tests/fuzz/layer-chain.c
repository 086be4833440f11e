/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Up to eight layers behind one another: the output is bounded, each layer has
 * an end, and what came out leads back into what was fed.
 */
#include <stdlib.h>

#include "base/cursor.h"
#include "codec/layer/chain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct layer_chain *c, size_t n, uint64_t fed)
{
	size_t len = layer_chain_output(c).len;

	if (len > 64 << 10 || layer_chain_held(c) > 512 << 20)
		abort();
	for (size_t i = 0; i < n; i++)
		if (layer_chain_result(c, i)->status == LAYER_OPEN)
			abort();
	for (size_t at = 0; at < len; at += 1 + at / 8) {
		struct layer_span s = layer_chain_back(
			c, (struct layer_span){ at, len });

		if (s.start >= s.end || s.end > fed)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct layer_limits limits = { .out_max = 64 << 10,
				       .ratio_max = 100,
				       .ratio_free = 16 << 10 };
	struct cursor in = cursor_on(bytes_of(data, size));
	uint8_t how = get_u8(&in);
	size_t step = (size_t)get_u8(&in) * 8 + 1;
	struct layer_plan plan = { .n = how % (LAYER_CHAIN_MAX + 1) };
	struct layer_chain *c;
	uint64_t fed = 0;

	for (size_t i = 0; i < plan.n; i++)
		plan.kind[i] = (enum layer_kind)(get_u8(&in) % LAYER_KINDS);
	if (in.short_)
		return 0;
	c = layer_chain_new(&plan, &limits);
	while (in.len) {
		struct bytes piece =
			get_bytes(&in, in.len < step ? in.len : step);

		fed += piece.len;
		if (!layer_chain_feed(c, piece))
			break;
	}
	layer_chain_end(c, how & 0x80 ? "bytes are missing" : NULL);
	check(c, plan.n, fed);
	layer_chain_free(c);
	return 0;
}
