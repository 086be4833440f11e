/* SPDX-License-Identifier: Apache-2.0 */
/*
 * early.c - TCP payload that came before its turn, kept under caps.
 *
 * A direction has a short list of runs, sorted by start, that do not overlap
 * and never hold the same byte twice.  Segments keep their own borders as long
 * as the list is short, since the kernel's rule for overlaps ("the segment
 * with the lower start wins") asks for them; when the list is full,
 * neighbours that touch become one run.
 */
#include "engine/flow/flow_priv.h"

#include <assert.h>

bool early_init(struct flow_table *t)
{
	uint64_t blocks = t->cfg.early_total_max / sizeof(struct block);

	t->blocks_max = blocks < NONE / 2 ? (uint32_t)blocks : NONE / 2;
	t->earlies_max = t->blocks_max;
	t->free_block = t->free_early = NONE;
	t->blocks = pool_map(t->blocks_max, sizeof(*t->blocks));
	t->earlies = pool_map(t->earlies_max, sizeof(*t->earlies));
	return t->blocks && t->earlies;
}

void early_release(struct flow_table *t)
{
	pool_unmap(t->blocks, t->blocks_max, sizeof(*t->blocks));
	pool_unmap(t->earlies, t->earlies_max, sizeof(*t->earlies));
}

/* -- the pools -------------------------------------------------------------- */

static uint32_t block_get(struct flow_table *t)
{
	uint32_t i = t->free_block;

	if (i != NONE)
		t->free_block = t->blocks[i].next;
	else
		i = t->fresh_block++;
	assert(i < t->blocks_max);
	t->blocks[i].next = NONE;
	t->blocks[i].len = 0;
	t->blocks_used++;
	return i;
}

static void blocks_put(struct flow_table *t, uint32_t first)
{
	while (first != NONE) {
		uint32_t next = t->blocks[first].next;

		t->blocks[first].next = t->free_block;
		t->free_block = first;
		t->blocks_used--;
		first = next;
	}
}

static uint32_t early_get(struct flow_table *t)
{
	uint32_t i = t->free_early;

	if (i != NONE)
		t->free_early = t->earlies[i].next;
	else
		i = t->fresh_early++;
	assert(i < t->earlies_max);
	return i;
}

static uint32_t chain_count(const struct flow_table *t, uint32_t first)
{
	uint32_t n = 0;

	for (; first != NONE; first = t->blocks[first].next)
		n++;
	return n;
}

static void count_blocks(struct flow_table *t, struct tcp_way *w, int64_t n)
{
	int64_t bytes = n * (int64_t)sizeof(struct block);

	w->early_bytes = (uint64_t)((int64_t)w->early_bytes + bytes);
	t->counters.early_bytes =
		(uint64_t)((int64_t)t->counters.early_bytes + bytes);
	if (t->counters.early_bytes > t->counters.early_bytes_peak)
		t->counters.early_bytes_peak = t->counters.early_bytes;
}

/* Unlink the run that *link names and give its memory back. */
static void forget(struct flow_table *t, struct tcp_way *w, uint32_t *link)
{
	uint32_t i = *link;
	struct early *r = &t->earlies[i];

	*link = r->next;
	count_blocks(t, w, -(int64_t)chain_count(t, r->first));
	blocks_put(t, r->first);
	r->next = t->free_early;
	t->free_early = i;
	w->early_n--;
}

void early_drop_all(struct flow_table *t, struct tcp_way *w)
{
	while (w->early != NONE)
		forget(t, w, &w->early);
}

uint64_t early_start(const struct flow_table *t, const struct tcp_way *w)
{
	return w->early == NONE ? UINT64_MAX : t->earlies[w->early].start;
}

/* -- putting ------------------------------------------------------------------ */

static uint32_t blocks_for(size_t len)
{
	return (uint32_t)((len + BLOCK_ROOM - 1) / BLOCK_ROOM);
}

static void fill(struct flow_table *t, struct early *r, struct bytes data)
{
	r->first = r->last = NONE;
	while (data.len) {
		size_t n = data.len < BLOCK_ROOM ? data.len : BLOCK_ROOM;
		uint32_t b = block_get(t);

		memcpy(t->blocks[b].bytes, data.p, n);
		t->blocks[b].len = (uint32_t)n;
		if (r->last == NONE)
			r->first = b;
		else
			t->blocks[r->last].next = b;
		r->last = b;
		data.p += n;
		data.len -= n;
	}
}

/* Call fn for the bytes of run r that lie in [from, to). */
static void each_byte_run(struct flow_table *t, const struct early *r,
			  uint64_t from, uint64_t to,
			  void (*fn)(void *arg, uint64_t at, struct bytes b),
			  void *arg)
{
	uint64_t at = r->start;

	for (uint32_t b = r->first; b != NONE && at < to;
	     b = t->blocks[b].next) {
		uint64_t end = at + t->blocks[b].len;
		uint64_t low = at > from ? at : from;
		uint64_t high = end < to ? end : to;

		if (low < high)
			fn(arg, low,
			   bytes_of(t->blocks[b].bytes + (low - at),
				    (size_t)(high - low)));
		at = end;
	}
}

struct comparison {
	struct bytes other; /* its first byte is at offset `at` */
	uint64_t at;
	bool differs;
};

static void compare(void *arg, uint64_t at, struct bytes b)
{
	struct comparison *c = arg;

	if (memcmp(b.p, c->other.p + (at - c->at), b.len) != 0)
		c->differs = true;
}

struct conflict_report {
	struct flow_table *t;
	struct flow *flow;
	int way;
	uint64_t time_ns;
};

static void report_loser(void *arg, uint64_t at, struct bytes loser)
{
	struct conflict_report *c = arg;

	if (c->t->sink.conflict)
		c->t->sink.conflict(c->t->sink.self, c->flow, c->way, at, loser,
				    c->time_ns);
}

/*
 * The same place twice, [from, to) in both.  Who wins is decided; here the
 * content is compared and the loser reported.
 */
static void judge(struct conflict_report *c, const struct early *old,
		  struct bytes data, uint64_t offset, uint64_t from,
		  uint64_t to, bool new_wins)
{
	struct comparison cmp = { .other = data, .at = offset };

	each_byte_run(c->t, old, from, to, compare, &cmp);
	if (!cmp.differs)
		return;
	c->flow->way[c->way].conflicts++;
	c->t->counters.conflicts++;
	if (new_wins)
		each_byte_run(c->t, old, from, to, report_loser, c);
	else
		report_loser(c, from,
			     bytes_of(data.p + (from - offset),
				      (size_t)(to - from)));
}

/* Write the part of `data` that lies in [from, to) over the run's bytes. */
struct overwrite {
	struct flow_table *t;
	struct bytes data;
	uint64_t at;
};

static void overwrite(void *arg, uint64_t at, struct bytes b)
{
	struct overwrite *o = arg;

	/* The run is ours; each_byte_run() only lends it as const. */
	memcpy((uint8_t *)(uintptr_t)b.p, o->data.p + (at - o->at), b.len);
}

static bool new_one_wins(enum flow_policy policy, const struct early *old,
			 uint64_t start, uint64_t end)
{
	switch (policy) {
	case FLOW_POLICY_FIRST:
		return false;
	case FLOW_POLICY_LAST:
		return true;
	case FLOW_POLICY_LINUX:
		break;
	}
	return start < old->start || (start == old->start && end > old->end);
}

/* Put a run of its own for data at offset, behind the link. */
static void insert(struct flow_table *t, struct tcp_way *w, uint32_t *link,
		   uint64_t offset, struct bytes data)
{
	uint32_t i = early_get(t);
	struct early *r = &t->earlies[i];

	*r = (struct early){ .start = offset, .end = offset + data.len,
			     .next = *link };
	fill(t, r, data);
	*link = i;
	w->early_n++;
	count_blocks(t, w, blocks_for(data.len));
}

/* Neighbours that touch become one run; small pieces move together. */
static void merge_touching(struct flow_table *t, struct tcp_way *w)
{
	for (uint32_t i = w->early; i != NONE; i = t->earlies[i].next) {
		struct early *r = &t->earlies[i];

		while (r->next != NONE &&
		       t->earlies[r->next].start == r->end) {
			uint32_t n = r->next;
			struct early *next = &t->earlies[n];
			struct block *last = &t->blocks[r->last];
			struct block *head = &t->blocks[next->first];

			r->end = next->end;
			r->next = next->next;
			if (last->len + head->len <= BLOCK_ROOM) {
				uint32_t gone = next->first;

				memcpy(last->bytes + last->len, head->bytes,
				       head->len);
				last->len += head->len;
				last->next = head->next;
				if (next->last != gone)
					r->last = next->last;
				t->blocks[gone].next = NONE;
				blocks_put(t, gone);
				count_blocks(t, w, -1);
			} else {
				last->next = next->first;
				r->last = next->last;
			}
			next->next = t->free_early;
			t->free_early = n;
			w->early_n--;
		}
	}
}

/* Blocks that the holes of [offset, end) between the runs will take. */
static uint64_t blocks_needed(const struct flow_table *t,
			      const struct tcp_way *w, uint64_t offset,
			      uint64_t end)
{
	uint64_t at = offset, n = 0;

	for (uint32_t i = w->early; i != NONE && at < end;
	     i = t->earlies[i].next) {
		const struct early *r = &t->earlies[i];
		uint64_t to = r->start < end ? r->start : end;

		if (at < to)
			n += blocks_for((size_t)(to - at));
		if (at < r->end)
			at = r->end;
	}
	return at < end ? n + blocks_for((size_t)(end - at)) : n;
}

static bool there_is_room(struct flow_table *t, struct tcp_way *w,
			  uint64_t offset, uint64_t end)
{
	uint64_t n;

	if (w->early_n >= t->cfg.early_segments_max)
		merge_touching(t, w);
	n = blocks_needed(t, w, offset, end);
	return w->early_n < t->cfg.early_segments_max &&
	       w->early_bytes + n * sizeof(struct block) <=
		       t->cfg.early_bytes_max &&
	       t->blocks_used + n <= t->blocks_max;
}

bool early_put(struct flow_table *t, struct entry *e, int way, uint64_t offset,
	       struct bytes data, uint64_t time_ns)
{
	struct tcp_way *w = &e->tcp[way];
	struct conflict_report report = { t, &e->flow, way, time_ns };
	uint64_t end = offset + data.len;
	uint64_t at = offset; /* what lies below is placed */
	uint32_t *link = &w->early;

	if (!data.len)
		return true;
	if (!there_is_room(t, w, offset, end))
		return false;
	while (at < end) {
		struct early *r = *link == NONE ? NULL : &t->earlies[*link];
		uint64_t from, to;
		bool wins;

		if (r && r->end <= at) {
			link = &r->next;
			continue;
		}
		/* The hole in front of the next run, or behind the last. */
		to = r && r->start < end ? r->start : end;
		if (at < to) {
			insert(t, w, link, at,
			       bytes_of(data.p + (at - offset),
					(size_t)(to - at)));
			link = &t->earlies[*link].next;
			at = to;
			continue;
		}
		from = at;
		to = r->end < end ? r->end : end;
		wins = new_one_wins(t->cfg.policy, r, offset, end);
		judge(&report, r, data, offset, from, to, wins);
		if (wins) {
			struct overwrite o = { t, data, offset };

			each_byte_run(t, r, from, to, overwrite, &o);
		}
		at = to;
	}
	/* Filling the holes of a full list makes neighbours that touch. */
	if (w->early_n > t->cfg.early_segments_max)
		merge_touching(t, w);
	return true;
}

uint64_t early_take(struct flow_table *t, struct tcp_way *w, uint64_t from,
		    void (*give)(void *arg, uint64_t offset, struct bytes b),
		    void *arg)
{
	uint64_t end;

	assert(w->early != NONE);
	end = t->earlies[w->early].end;
	each_byte_run(t, &t->earlies[w->early], from, end, give, arg);
	forget(t, w, &w->early);
	return end;
}
