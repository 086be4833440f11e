/* SPDX-License-Identifier: Apache-2.0 */
/*
 * merge.c - a heap of open files by the time of their next packet.
 */
#include "engine/replay/merge.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/capfile/capfile.h"
#include "engine/dataset/dataset.h"

static const char part[] = "replay";

/* A packet that waits in a file's sorting window; its bytes follow. */
struct waiting {
	uint64_t time_ns, order;
	uint32_t linktype, wire_len, len;
	uint8_t data[];
};

struct input {
	uint32_t number;
	const struct dataset_file *file;
	uint64_t begin_ns; /* on the merged clock */
	uint64_t shift_ns; /* what is taken off its times */
	struct capfile *open;

	bool have; /* `next` is there */
	struct merge_packet next;
	uint64_t last_ns; /* of what it gave */

	/* while sorting */
	struct waiting **heap; /* owned */
	size_t n, cap, bytes;
	uint64_t newest_ns, order;
	bool ended;
	struct waiting *given; /* the one that `next` points into */
};

struct merge {
	struct merge_config cfg;
	struct input *inputs; /* owned; by beginning */
	size_t n, opened;     /* how many were reached by the clock */
	struct input **heap;  /* owned; those with a packet */
	size_t in_heap;
	struct input *last; /* gave the packet that is out; not in the heap */
	struct merge_counts counts;
};

/* -- the beginning -------------------------------------------------------- */

static int by_beginning(const void *a, const void *b)
{
	const struct input *x = a, *y = b;

	if (x->begin_ns != y->begin_ns)
		return x->begin_ns < y->begin_ns ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

/* Nothing of the file lies in the window of time. */
static bool outside(const struct merge_config *cfg,
		    const struct dataset_file *f)
{
	if (f->tally.packets && cfg->to_ns != UINT64_MAX &&
	    f->tally.min_ns > cfg->to_ns)
		return true;
	return f->tally.packets && cfg->from_ns != UINT64_MAX &&
	       f->tally.max_ns < cfg->from_ns;
}

struct merge *merge_new(const struct merge_config *cfg)
{
	const struct dataset *set = cfg->set;
	struct merge *m = mem_alloc(sizeof(*m));

	m->cfg = *cfg;
	m->inputs = mem_array(set->n_files + 1, sizeof(*m->inputs));
	m->heap = mem_array(set->n_files + 1, sizeof(struct input *));
	for (size_t i = 0; i < set->n_files; i++) {
		const struct dataset_file *f = &set->files[i];
		struct input *in = &m->inputs[m->n];

		if (outside(cfg, f)) {
			m->counts.outside += f->tally.packets;
			continue;
		}
		in->number = (uint32_t)i;
		in->file = f;
		in->begin_ns = f->tally.min_ns;
		if (cfg->all_at_once) {
			in->shift_ns = f->tally.min_ns - set->min_ns;
			in->begin_ns = set->min_ns;
		}
		m->n++;
	}
	if (m->n)
		qsort(m->inputs, m->n, sizeof(*m->inputs), by_beginning);
	return m;
}

static void close_input(struct input *in)
{
	capfile_close(in->open);
	in->open = NULL;
	in->have = false;
	while (in->n)
		free(in->heap[--in->n]);
	free(in->heap);
	free(in->given);
	in->heap = NULL;
	in->given = NULL;
	in->cap = in->bytes = 0;
	in->newest_ns = in->order = in->last_ns = 0;
	in->ended = false;
}

void merge_rewind(struct merge *m)
{
	for (size_t i = 0; i < m->n; i++)
		close_input(&m->inputs[i]);
	m->opened = m->in_heap = 0;
	m->last = NULL;
}

void merge_free(struct merge *m)
{
	if (!m)
		return;
	merge_rewind(m);
	free(m->inputs);
	free(m->heap);
	free(m);
}

const struct merge_counts *merge_counts(const struct merge *m)
{
	return &m->counts;
}

/* -- one file ------------------------------------------------------------- */

/* A packet of the file that is wanted.  0, ERR_END or a failure. */
static int read_wanted(struct merge *m, struct input *in,
		       struct capfile_packet *p, struct err *err)
{
	int rc;

	while ((rc = capfile_next(in->open, p, err)) == 0) {
		uint64_t ns = p->packet.time_ns;

		if ((m->cfg.from_ns != UINT64_MAX && ns < m->cfg.from_ns) ||
		    (m->cfg.to_ns != UINT64_MAX && ns > m->cfg.to_ns)) {
			m->counts.outside++;
			continue;
		}
		if (m->cfg.skip_out_of_order && ns < in->last_ns) {
			m->counts.out_of_order++;
			continue;
		}
		if (ns > in->last_ns)
			in->last_ns = ns;
		p->packet.time_ns = ns > in->shift_ns ? ns - in->shift_ns : 0;
		return 0;
	}
	return rc;
}

/* A torn or broken file gives what is good of it. */
static int read_or_end(struct merge *m, struct input *in,
		       struct capfile_packet *p)
{
	struct err err = ERR_NONE;
	int rc = read_wanted(m, in, p, &err);

	if (rc == 0)
		return 0;
	if (rc == ERR_END && !capfile_warning(in->open))
		return ERR_END;
	m->counts.damaged_files++;
	log_warn(part, "%s",
		 rc == ERR_END ? capfile_warning(in->open) : err.text);
	return ERR_END;
}

/* -- sorting -------------------------------------------------------------- */

static bool before(const struct waiting *a, const struct waiting *b)
{
	return a->time_ns != b->time_ns ? a->time_ns < b->time_ns
					: a->order < b->order;
}

static void push_waiting(struct input *in, const struct capfile_packet *p)
{
	struct waiting *w = mem_alloc(sizeof(*w) + p->packet.data.len);
	size_t i = in->n++;

	w->time_ns = p->packet.time_ns;
	w->order = in->order++;
	w->linktype = p->linktype;
	w->wire_len = p->packet.wire_len;
	w->len = (uint32_t)p->packet.data.len;
	memcpy(w->data, p->packet.data.p, w->len);
	if (in->n > in->cap) {
		in->cap = in->cap ? 2 * in->cap : 256;
		in->heap = mem_grow(in->heap, in->cap * sizeof(*in->heap));
	}
	for (; i && before(w, in->heap[(i - 1) / 2]); i = (i - 1) / 2)
		in->heap[i] = in->heap[(i - 1) / 2];
	in->heap[i] = w;
	in->bytes += sizeof(*w) + w->len;
	if (w->time_ns > in->newest_ns)
		in->newest_ns = w->time_ns;
}

static struct waiting *pop_waiting(struct input *in)
{
	struct waiting *top = in->heap[0], *w = in->heap[--in->n];
	size_t i = 0, c;

	for (; (c = 2 * i + 1) < in->n; i = c) {
		if (c + 1 < in->n && before(in->heap[c + 1], in->heap[c]))
			c++;
		if (!before(in->heap[c], w))
			break;
		in->heap[i] = in->heap[c];
	}
	if (in->n)
		in->heap[i] = w;
	in->bytes -= sizeof(*top) + top->len;
	return top;
}

/* Can nothing earlier than the earliest one still come? */
static bool is_settled(const struct merge *m, const struct input *in)
{
	uint64_t window =
		m->cfg.sort_ns ? m->cfg.sort_ns : in->file->tally.backward_ns;

	if (in->ended || in->bytes >= MERGE_WINDOW_BYTES)
		return in->n > 0;
	return in->n && in->newest_ns - in->heap[0]->time_ns > window;
}

static int next_sorted(struct merge *m, struct input *in)
{
	uint64_t given_ns = in->given ? in->given->time_ns : 0;
	struct capfile_packet p;
	struct waiting *w;

	while (!is_settled(m, in)) {
		if (in->ended)
			return ERR_END;
		if (read_or_end(m, in, &p) < 0)
			in->ended = true;
		else
			push_waiting(in, &p);
	}
	free(in->given);
	in->given = w = pop_waiting(in);
	m->counts.unsorted += w->time_ns < given_ns;
	in->next = (struct merge_packet){
		.packet = { .data = bytes_of(w->data, w->len),
			    .time_ns = w->time_ns,
			    .wire_len = w->wire_len },
		.linktype = w->linktype,
		.file = in->number,
	};
	return 0;
}

static int next_plain(struct merge *m, struct input *in)
{
	struct capfile_packet p;
	int rc = read_or_end(m, in, &p);

	if (rc == 0)
		in->next = (struct merge_packet){ .packet = p.packet,
						  .linktype = p.linktype,
						  .file = in->number };
	return rc;
}

/* -- all files ------------------------------------------------------------ */

static bool earlier(const struct input *a, const struct input *b)
{
	uint64_t x = a->next.packet.time_ns, y = b->next.packet.time_ns;

	return x != y ? x < y : a->number < b->number;
}

static void push(struct merge *m, struct input *in)
{
	size_t i = m->in_heap++;

	for (; i && earlier(in, m->heap[(i - 1) / 2]); i = (i - 1) / 2)
		m->heap[i] = m->heap[(i - 1) / 2];
	m->heap[i] = in;
}

static struct input *pop(struct merge *m)
{
	struct input *top = m->heap[0], *in = m->heap[--m->in_heap];
	size_t i = 0, c;

	for (; (c = 2 * i + 1) < m->in_heap; i = c) {
		if (c + 1 < m->in_heap && earlier(m->heap[c + 1], m->heap[c]))
			c++;
		if (!earlier(m->heap[c], in))
			break;
		m->heap[i] = m->heap[c];
	}
	if (m->in_heap)
		m->heap[i] = in;
	return top;
}

/* The input's next packet, and its place in the heap; or its end. */
static void advance(struct merge *m, struct input *in)
{
	int rc = m->cfg.sort ? next_sorted(m, in) : next_plain(m, in);

	if (rc == 0)
		push(m, in);
	else
		close_input(in);
}

static int open_input(struct merge *m, struct input *in, struct err *err)
{
	in->open = m->cfg.open ? m->cfg.open(m->cfg.arg, in->file, err)
			       : capfile_open(in->file->path, err);
	if (!in->open)
		return err->code;
	advance(m, in);
	return 0;
}

int merge_next(struct merge *m, struct merge_packet *p, struct err *err)
{
	if (m->last) {
		struct input *in = m->last;

		m->last = NULL;
		advance(m, in);
	}
	/* Whoever begins before the earliest packet must be asked, too. */
	while (m->opened < m->n &&
	       (m->in_heap == 0 || m->inputs[m->opened].begin_ns <=
					   m->heap[0]->next.packet.time_ns))
		if (open_input(m, &m->inputs[m->opened++], err) < 0)
			return err->code;
	if (m->in_heap == 0)
		return ERR_END;
	m->last = pop(m);
	*p = m->last->next;
	m->counts.packets++;
	return 0;
}
