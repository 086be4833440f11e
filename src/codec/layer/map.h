/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map.h - from bytes that came out of a layer back to those it was given.
 *
 * The output is a row of runs.  A run is n units, each of which was in_unit
 * bytes long and came out as out_unit bytes: 1 and 1 inside a chunk, 4 and 3
 * in base64, 3 and 1 in a row of percent escapes.  What a compressor packed is
 * one unit a step of its input.  Input that gave nothing (chunk sizes, line
 * ends) lies between runs.
 *
 * At most LAYER_RUNS_MAX runs are kept; behind that the rest is one unit that
 * grows, so a map is always right and only gets coarser.
 */
#ifndef CODEC_LAYER_MAP_H
#define CODEC_LAYER_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LAYER_RUNS_MAX = 1 << 16 };

struct layer_run {
	uint64_t out, in; /* offsets of the first unit */
	uint64_t n;
	uint64_t in_unit, out_unit;
};

/* A zeroed map is empty. */
struct layer_map {
	struct layer_run *at; /* owned */
	size_t n, cap;
	bool coarse; /* there were more runs than are kept */
};

/* [start, end) */
struct layer_span {
	uint64_t start, end;
};

/*
 * The next run of output.  Runs join by themselves: units that go on where the
 * last ones ended, and more output of the same single unit.
 */
void layer_map_add(struct layer_map *m, struct layer_run run);

/*
 * The least range of input that gave the output of a span, as far as the map
 * knows; a span that is empty or reaches behind the output is cut, and where
 * nothing is left the range is empty.
 */
struct layer_span layer_map_back(const struct layer_map *m,
				 struct layer_span out);

/* Offset behind the last byte of output. */
uint64_t layer_map_end(const struct layer_map *m);

void layer_map_release(struct layer_map *m);

#endif
