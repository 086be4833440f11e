/* SPDX-License-Identifier: Apache-2.0 */
/*
 * histogram.h - how late packets were: exact to 6 % from a nanosecond on.
 *
 * Fixed size, no allocation, one writer; another thread may read meanwhile and
 * sees each count as it was at some moment.
 */
#ifndef ENGINE_REPLAY_HISTOGRAM_H
#define ENGINE_REPLAY_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

enum { HISTOGRAM_STEPS = 16, HISTOGRAM_PLACES = 61 * HISTOGRAM_STEPS };

struct histogram {
	atomic_uint_fast64_t place[HISTOGRAM_PLACES];
	atomic_uint_fast64_t n, max;
};

void histogram_add(struct histogram *h, uint64_t v);

/* The value that `share` (0 to 1) of all do not exceed, rounded up. */
uint64_t histogram_at(const struct histogram *h, double share);

/* How many are above v; those of v's own place are not. */
uint64_t histogram_above(const struct histogram *h, uint64_t v);

#endif
