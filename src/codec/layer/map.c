/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/layer/map.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

static uint64_t out_end(const struct layer_run *r)
{
	return r->out + r->n * r->out_unit;
}

static uint64_t in_end(const struct layer_run *r)
{
	return r->in + r->n * r->in_unit;
}

uint64_t layer_map_end(const struct layer_map *m)
{
	return m->n ? out_end(&m->at[m->n - 1]) : 0;
}

/* Everything from the start of `last` to the end of `run` as one unit. */
static void merge(struct layer_run *last, const struct layer_run *run)
{
	uint64_t end = in_end(run) > in_end(last) ? in_end(run) : in_end(last);

	if (run->in < last->in)
		last->in = run->in;
	last->out_unit = out_end(run) - last->out;
	last->in_unit = end - last->in;
	last->n = 1;
}

static bool goes_on(const struct layer_run *last, const struct layer_run *run)
{
	return last->in_unit == run->in_unit &&
	       last->out_unit == run->out_unit && in_end(last) == run->in;
}

void layer_map_add(struct layer_map *m, struct layer_run run)
{
	struct layer_run *last = m->n ? &m->at[m->n - 1] : NULL;

	assert(run.out == layer_map_end(m) && run.n && run.out_unit);
	if (last && goes_on(last, &run)) {
		last->n += run.n;
	} else if (last && last->n == 1 && run.n == 1 && last->in == run.in) {
		merge(last, &run);
	} else if (m->n == LAYER_RUNS_MAX) {
		m->coarse = true;
		merge(last, &run);
	} else {
		if (m->n == m->cap) {
			m->cap = m->cap ? 2 * m->cap : 16;
			m->at = mem_grow(m->at, m->cap * sizeof(*m->at));
		}
		m->at[m->n++] = run;
	}
}

/* The run that holds a byte of output, which is there. */
static const struct layer_run *run_with(const struct layer_map *m, uint64_t out)
{
	size_t low = 0, high = m->n;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (m->at[middle].out <= out)
			low = middle;
		else
			high = middle;
	}
	return &m->at[low];
}

/* The unit that gave a byte of output. */
static struct layer_span unit_of(const struct layer_map *m, uint64_t out)
{
	const struct layer_run *r = run_with(m, out);
	uint64_t start = r->in + (out - r->out) / r->out_unit * r->in_unit;

	return (struct layer_span){ start, start + r->in_unit };
}

struct layer_span layer_map_back(const struct layer_map *m,
				 struct layer_span out)
{
	uint64_t end = layer_map_end(m);
	struct layer_span first, last;

	if (out.end > end)
		out.end = end;
	if (out.start >= out.end)
		return (struct layer_span){ 0, 0 };
	first = unit_of(m, out.start);
	last = unit_of(m, out.end - 1);
	return (struct layer_span){ first.start, last.end };
}

void layer_map_release(struct layer_map *m)
{
	free(m->at);
	*m = (struct layer_map){ 0 };
}
