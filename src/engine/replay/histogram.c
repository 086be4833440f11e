/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/replay/histogram.h"

/* Up to 15 each value has its place; then sixteen places a power of two. */
static unsigned place_of(uint64_t v)
{
	unsigned bits;

	if (v < HISTOGRAM_STEPS)
		return (unsigned)v;
	bits = 63 - (unsigned)__builtin_clzll(v);
	return (bits - 3) * HISTOGRAM_STEPS +
	       (unsigned)(v >> (bits - 4) & (HISTOGRAM_STEPS - 1));
}

static uint64_t most_of(unsigned place)
{
	unsigned bits = place / HISTOGRAM_STEPS + 3;
	uint64_t step = place % HISTOGRAM_STEPS;

	if (place < HISTOGRAM_STEPS)
		return place;
	return ((HISTOGRAM_STEPS + step + 1) << (bits - 4)) - 1;
}

static uint64_t get(const atomic_uint_fast64_t *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

static void add_one(atomic_uint_fast64_t *v)
{
	atomic_store_explicit(v, get(v) + 1, memory_order_relaxed);
}

void histogram_add(struct histogram *h, uint64_t v)
{
	add_one(&h->place[place_of(v)]);
	add_one(&h->n);
	if (v > get(&h->max))
		atomic_store_explicit(&h->max, v, memory_order_relaxed);
}

uint64_t histogram_at(const struct histogram *h, double share)
{
	uint64_t n = get(&h->n), sum = 0;
	double want = share * (double)n;

	for (unsigned i = 0; i < HISTOGRAM_PLACES && n; i++) {
		sum += get(&h->place[i]);
		if ((double)sum >= want && sum) {
			uint64_t most = most_of(i), max = get(&h->max);

			return most < max ? most : max;
		}
	}
	return get(&h->max);
}

uint64_t histogram_above(const struct histogram *h, uint64_t v)
{
	uint64_t sum = 0;

	for (unsigned i = place_of(v) + 1; i < HISTOGRAM_PLACES; i++)
		sum += get(&h->place[i]);
	return sum;
}
