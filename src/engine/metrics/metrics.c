/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.c - the registry, and the page it makes (Prometheus text format
 * 0.0.4: all samples of one name stand together, below its HELP and TYPE).
 */
#include "engine/metrics/metrics.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"

enum { METRICS_MAX = 4096, LABELS_MAX = 4096 };

struct entry {
	struct metric what;
	double (*value)(void *arg); /* NULL: arg is a count */
	const void *arg;
};

struct metrics {
	struct entry *entries; /* owned */
	size_t n, cap;
	char **labels; /* owned, each of them too */
	size_t n_labels;
	struct buf page;
};

struct metrics *metrics_new(void)
{
	return mem_alloc(sizeof(struct metrics));
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n_labels; i++)
		free(m->labels[i]);
	free(m->labels);
	free(m->entries);
	buf_release(&m->page);
	free(m);
}

static void put_escaped(struct buf *b, const char *text, bool quotes)
{
	for (; *text; text++) {
		if (*text == '\n')
			put_text(b, "\\n");
		else if (*text == '\\')
			put_text(b, "\\\\");
		else if (*text == '"' && quotes)
			put_text(b, "\\\"");
		else
			put_u8(b, (uint8_t)*text);
	}
}

const char *metrics_labels(struct metrics *m, const char *name, ...)
{
	struct buf b = { 0 };
	va_list ap;

	assert(m->n_labels < LABELS_MAX);
	va_start(ap, name);
	for (; name; name = va_arg(ap, const char *)) {
		put_format(&b, "%s%s=\"", b.len ? "," : "", name);
		put_escaped(&b, va_arg(ap, const char *), true);
		put_u8(&b, '"');
	}
	va_end(ap);
	put_u8(&b, 0);
	m->labels = mem_grow(m->labels, (m->n_labels + 1) * sizeof(*m->labels));
	return m->labels[m->n_labels++] = (char *)b.p;
}

static void add(struct metrics *m, const struct entry *e)
{
	assert(m->n < METRICS_MAX);
	if (m->n == m->cap) {
		m->cap = m->cap ? 2 * m->cap : 32;
		m->entries = mem_grow(m->entries, m->cap * sizeof(*e));
	}
	m->entries[m->n++] = *e;
}

void metrics_add(struct metrics *m, const struct metric *what,
		 double (*value)(void *arg), void *arg)
{
	add(m, &(struct entry){ *what, value, arg });
}

void metrics_add_count(struct metrics *m, const struct metric *what,
		       const atomic_uint_fast64_t *count)
{
	add(m, &(struct entry){ *what, NULL, count });
}

void metrics_remove(struct metrics *m, const void *arg)
{
	size_t kept = 0;

	for (size_t i = 0; i < m->n; i++)
		if (m->entries[i].arg != arg)
			m->entries[kept++] = m->entries[i];
	m->n = kept;
}

static void put_number(struct buf *b, double v)
{
	if (isnan(v))
		put_text(b, "NaN");
	else if (isinf(v))
		put_text(b, v > 0 ? "+Inf" : "-Inf");
	else if (v == floor(v) && fabs(v) < 9e15)
		put_format(b, "%.0f", v);
	else
		put_format(b, "%.15g", v);
}

static void put_sample(struct buf *b, const struct entry *e)
{
	put_text(b, e->what.name);
	if (e->what.labels)
		put_format(b, "{%s}", e->what.labels);
	put_u8(b, ' ');
	if (e->value) {
		put_number(b, e->value((void *)e->arg));
	} else {
		const atomic_uint_fast64_t *count = e->arg;

		put_format(b, "%llu",
			   (unsigned long long)atomic_load_explicit(
				   count, memory_order_relaxed));
	}
	put_u8(b, '\n');
}

/* All samples that share the name of entry `first`, which is the first one. */
static void put_family(struct metrics *m, size_t first)
{
	const struct metric *what = &m->entries[first].what;
	struct buf *b = &m->page;

	put_format(b, "# HELP %s ", what->name);
	put_escaped(b, what->help, false);
	put_format(b, "\n# TYPE %s %s\n", what->name,
		   what->type == METRIC_COUNTER ? "counter" : "gauge");
	for (size_t i = first; i < m->n; i++)
		if (strcmp(m->entries[i].what.name, what->name) == 0)
			put_sample(b, &m->entries[i]);
}

static bool is_first_of_name(const struct metrics *m, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (strcmp(m->entries[i].what.name, m->entries[at].what.name) ==
		    0)
			return false;
	return true;
}

struct bytes metrics_text(struct metrics *m)
{
	buf_clear(&m->page);
	for (size_t i = 0; i < m->n; i++)
		if (is_first_of_name(m, i))
			put_family(m, i);
	return buf_bytes(&m->page);
}
