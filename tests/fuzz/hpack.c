/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks of one direction, each with a length byte or two before it: the table
 * keeps its books and its bounds, and fields are no longer than their block
 * and the table can make them.
 */
#include <stdlib.h>

#include "base/cursor.h"
#include "codec/hpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_field(void *self, const struct hpack_field *f)
{
	size_t *max = self;

	if (f->name.len > *max || f->value.len > *max)
		abort();
}

static void check(const struct hpack *h)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < h->n; i++) {
		const struct hpack_entry *e = &h->entries[h->first + i];

		sum += e->name_len + e->value_len + 32;
		if (e->at < h->base ||
		    e->at + e->name_len + e->value_len > h->base + h->bytes.len)
			abort();
	}
	if (sum != h->size || h->size > h->limit ||
	    h->limit > HPACK_TABLE_MAX || h->first + h->n > h->room ||
	    h->bytes.cap > 4 * HPACK_TABLE_MAX)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_on(bytes_of(data, size));
	struct hpack h;
	int rc = 0;

	hpack_begin(&h);
	while (c.len && rc == 0) {
		uint8_t how = get_u8(&c);
		size_t n = how & 0x80 ? (how & 0x7fu) << 8 | get_u8(&c) : how;
		struct bytes block = get_bytes(&c, n < c.len ? n : c.len);
		size_t max = block.len * 8 / 5 + HPACK_TABLE_MAX;
		struct hpack_sink sink = { &max, on_field };

		if (how == 0x7f)
			hpack_allow(&h, (uint32_t)block.len * 64);
		rc = hpack_decode(&h, block, &sink);
		check(&h);
	}
	hpack_release(&h);
	return 0;
}
