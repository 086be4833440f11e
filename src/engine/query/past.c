/* SPDX-License-Identifier: Apache-2.0 */
/*
 * past.c - new patterns over old streams, newest first, a little at a time.
 *
 * Each rule has a cursor: nothing newer is left to do for it.  A step takes
 * the patterns whose cursor is the newest, all together, down to the next
 * cursor below, where the patterns that wait there join.  So one that comes
 * while another is half-way is not searched for from the start again.
 *
 * At the end of a step results are written, the store is asked to make them
 * durable, and only then the cursors move in rules.db.
 */
#include "engine/query/past_priv.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "engine/match/match.h"

enum {
	STEP_NS = 500000000,
	PAUSE_MS = 200,
	WAY_MS = 20,
	SLICE = 64 << 10,
	LOWEST = 19 /* of priorities */
};

static const char part[] = "past";

uint64_t past_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

bool past_is_stopped(const struct past *p)
{
	return atomic_load_explicit(&p->stop, memory_order_relaxed) ||
	       (p->stop_flag && *p->stop_flag);
}

bool past_is_over(const struct past *p)
{
	return past_is_stopped(p) || past_now() >= p->step_until_ns;
}

/* Sleeps in short pieces: whoever ends the thread waits for it. */
void past_give_way(const struct past *p)
{
	const struct timespec t = { .tv_nsec = WAY_MS * 1000000 };

	while (p->cfg.busy && p->cfg.busy(p->cfg.self) && !past_is_stopped(p))
		nanosleep(&t, NULL);
}

struct rule *past_rule(struct past *p, uint64_t id)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->list[i].id == id)
			return &p->list[i];
	return NULL;
}

const struct rule *past_rules(const struct past *p, size_t *n)
{
	*n = p->n;
	return p->list;
}

size_t past_patterns(const struct rule *list, size_t n,
		     struct match_pattern *out)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		if (list[i].kind != RULE_QUERY)
			out[count++] = (struct match_pattern){
				.kind = (enum match_kind)list[i].kind,
				.id = (uint32_t)(MATCH_STORED + list[i].id),
				.name = list[i].name,
				.text = list[i].text,
				.role = (enum match_role)list[i].role,
			};
	return count;
}

/* -- making ---------------------------------------------------------------------- */

struct past *past_new(const struct past_config *cfg, struct err *err)
{
	struct past *p = mem_alloc(sizeof(*p));

	p->cfg = *cfg;
	p->dir = mem_text(cfg->dir);
	p->cfg.dir = p->dir;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	p->rules = rules_open(p->dir, err);
	if (p->rules)
		p->view = store_view_open(NULL, p->dir, NULL, err);
	if (p->view)
		return p;
	past_free(p);
	return NULL;
}

static void stop_thread(struct past *p)
{
	atomic_store(&p->stop, true);
	if (!p->running)
		return;
	pthread_mutex_lock(&p->lock);
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	p->running = false;
}

void past_free(struct past *p)
{
	if (!p)
		return;
	stop_thread(p);
	past_unfollow_all(p);
	match_scratch_free(p->scratch);
	match_set_put(p->set);
	results_release(&p->results);
	rules_free_list(p->list, p->n);
	rules_close(p->rules);
	store_view_close(p->view);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->wake);
	free(p->together);
	free(p->dir);
	free(p);
}

/* -- patterns ---------------------------------------------------------------------- */

static bool are_together(const struct past *p, const uint64_t *ids, size_t n)
{
	return p->set && p->n_together == n &&
	       memcmp(p->together, ids, n * sizeof(*ids)) == 0;
}

int past_compile(struct past *p, const uint64_t *ids, size_t n,
		 struct err *err)
{
	struct match_pattern *all;
	struct rule *list;
	struct match_set *set;

	if (are_together(p, ids, n))
		return 0;
	all = mem_array(n + 1, sizeof(*all));
	list = mem_array(n + 1, sizeof(*list));
	for (size_t i = 0; i < n; i++)
		list[i] = *past_rule(p, ids[i]);
	set = match_compile(all, past_patterns(list, n, all), p->cfg.window,
			    err);
	free(list);
	free(all);
	if (set && !p->scratch)
		p->scratch = match_scratch_new(set, err);
	else if (set)
		match_scratch_fit(p->scratch, set, err);
	if (err->code) {
		match_set_put(set);
		return err->code;
	}
	match_set_put(p->set);
	p->set = set;
	p->together = mem_grow(p->together, (n + 1) * sizeof(*ids));
	memcpy(p->together, ids, n * sizeof(*ids));
	p->n_together = n;
	return 0;
}

/* -- what is found ------------------------------------------------------------------- */

static bool is_meant(const struct past *p, const struct match_pattern *pattern)
{
	int caller = p->follower ? p->follower->caller : p->at->caller;

	return pattern->role == MATCH_ANY ||
	       (pattern->role == MATCH_FLAG_IN) == (p->way == caller);
}

void past_on_match(void *self, const struct match *m)
{
	struct past *p = self;
	struct rule *rule = past_rule(p, m->pattern->id - MATCH_STORED);
	uint64_t stream;
	struct result *r;

	/* Let go of without a look, or a rule that is no more. */
	if (!rule || (!p->follower && !p->at) || !is_meant(p, m->pattern))
		return;
	if ((p->follower ? p->follower->patterns : p->at->patterns) >=
	    rule->version)
		return;
	stream = p->follower ? p->follower->stream : p->at->id;
	if (p->found_here++ >= p->cfg.matches_max) {
		p->dropped++;
		return;
	}
	r = results_add(&p->results, RESULT_MATCH, stream, rule->name);
	r->way = (uint8_t)p->way;
	r->rule = rule->id;
	r->start = m->start;
	r->end = m->end;
	r->content = p->results.bytes.len;
	r->content_len = m->content.len < CONTENT_MAX ? m->content.len
						      : CONTENT_MAX;
	put_bytes(&p->results.bytes, bytes_of(m->content.p, r->content_len));
}

int past_feed(struct past *p, const struct store_piece *piece)
{
	const struct match_sink sink = { p, past_on_match };
	uint64_t n;

	for (uint64_t at = 0; at < piece->len && !piece->hole; at += n) {
		n = piece->len - at < SLICE ? piece->len - at : SLICE;
		match_stream_feed(p->stream, p->scratch, piece->offset + at,
				  bytes_of(piece->data.p + at, (size_t)n),
				  &sink);
		past_give_way(p);
		if (past_is_stopped(p))
			return 1;
	}
	return past_is_stopped(p);
}

/* -- when a match was said, and the tags that it makes ------------------------------------ */

struct timing {
	struct result *at;
	size_t n, next[2]; /* of each way, by its end */
	size_t begin[2], end[2];
};

static int by_way_and_end(const void *a, const void *b)
{
	const struct result *x = a, *y = b;

	if (x->way != y->way)
		return x->way < y->way ? -1 : 1;
	return x->end < y->end ? -1 : x->end > y->end;
}

static int on_turn(void *arg, const struct store_turn *turn)
{
	struct timing *t = arg;
	size_t *i = &t->next[turn->way];

	while (*i < t->end[turn->way] &&
	       t->at[*i].end <= turn->offset + turn->len)
		t->at[(*i)++].time_ns = turn->time_ns;
	return t->next[0] == t->end[0] && t->next[1] == t->end[1];
}

static void put_tags(struct past *p, uint64_t stream, size_t first, size_t n)
{
	for (size_t i = first; i < first + n; i++) {
		const char *name = p->results.at[i].name;
		size_t k = first + n;

		while (k < p->results.n && p->results.at[k].name != name)
			k++;
		if (k == p->results.n)
			results_add(&p->results, RESULT_TAG, stream, name);
	}
}

void past_put_times(struct past *p, uint64_t stream, size_t first)
{
	struct timing t = { .at = p->results.at + first,
			    .n = p->results.n - first };
	struct err gone = ERR_NONE;

	if (!t.n)
		return;
	qsort(t.at, t.n, sizeof(*t.at), by_way_and_end);
	while (t.end[0] < t.n && t.at[t.end[0]].way == 0)
		t.end[0]++;
	t.next[1] = t.end[0];
	t.end[1] = t.n;
	store_view_turns(p->view, stream, on_turn, &t, &gone);
	put_tags(p, stream, first, t.n);
}

/* -- a sweep of patterns ------------------------------------------------------------------- */

struct sweep {
	uint64_t ids[RULES_MAX];
	size_t n;
	uint64_t behind_ns, behind_id; /* the newest cursor */
	uint64_t to_ns, to_id;	       /* the next one below; or zeros */
	uint64_t below;		       /* the newest version of these rules */
};

/* By time, then by id as SQLite sorts it. */
static int compare(uint64_t a_ns, uint64_t a_id, uint64_t b_ns, uint64_t b_id)
{
	if (a_ns != b_ns)
		return (int64_t)a_ns < (int64_t)b_ns ? -1 : 1;
	return (int64_t)a_id < (int64_t)b_id ? -1 : a_id != b_id;
}

static bool is_waiting(const struct rule *rule)
{
	return rule->kind != RULE_QUERY && !rule->past.done;
}

static void choose(const struct past *p, struct sweep *s)
{
	s->n = 0;
	s->behind_ns = s->behind_id = s->to_ns = s->to_id = s->below = 0;
	for (size_t i = 0; i < p->n; i++) {
		const struct rule *rule = &p->list[i];
		const struct rule_past *at = &rule->past;
		int order = s->n ? compare(at->behind_ns, at->behind_id,
					   s->behind_ns, s->behind_id)
				 : 1;

		if (!is_waiting(rule))
			continue;
		if (order > 0) {
			s->to_ns = s->n ? s->behind_ns : 0;
			s->to_id = s->n ? s->behind_id : 0;
			s->behind_ns = at->behind_ns;
			s->behind_id = at->behind_id;
			s->n = 0;
			s->below = 0;
		} else if (order < 0) {
			if (compare(at->behind_ns, at->behind_id, s->to_ns,
				    s->to_id) > 0) {
				s->to_ns = at->behind_ns;
				s->to_id = at->behind_id;
			}
			continue;
		}
		s->ids[s->n++] = rule->id;
		if (rule->version > s->below)
			s->below = rule->version;
	}
}

static int on_piece(void *arg, const struct store_piece *piece)
{
	return past_feed(arg, piece);
}

/* False: stopped in the middle, and nothing of it counts. */
static bool scan(struct past *p, struct pieces *pieces,
		 const struct candidate *c, struct err *err)
{
	const struct match_sink sink = { p, past_on_match };
	size_t first = p->results.n;

	p->at = c;
	p->found_here = 0;
	for (p->way = 0; p->way < 2 && !err->code; p->way++) {
		p->stream = match_stream_open(p->set);
		pieces_read(pieces, c, p->way, on_piece, p, err);
		match_stream_close(p->stream, p->scratch, &sink);
	}
	p->at = NULL;
	if (past_is_stopped(p) || err->code) {
		results_cut(&p->results, first);
		return false;
	}
	past_put_times(p, c->id, first);
	return true;
}

static void count(struct past *p, const struct sweep *s,
		  const struct candidate *c, size_t found_from)
{
	for (size_t i = 0; i < s->n; i++) {
		struct rule *rule = past_rule(p, s->ids[i]);

		rule->past.behind_ns = c->first_ns;
		rule->past.behind_id = c->id;
		rule->past.streams++;
		rule->past.bytes += c->kept;
		for (size_t k = found_from; k < p->results.n; k++)
			if (p->results.at[k].kind == RESULT_TAG &&
			    p->results.at[k].name == rule->name)
				rule->past.found++;
	}
}

/* Where the sweep ended: at the next cursor, or at the very end. */
static void arrive(struct past *p, const struct sweep *s)
{
	for (size_t i = 0; i < s->n; i++) {
		struct rule *rule = past_rule(p, s->ids[i]);

		rule->past.behind_ns = s->to_ns;
		rule->past.behind_id = s->to_id;
		rule->past.done = !s->to_ns;
		if (rule->past.done)
			log_info(part,
				 "%s: %llu of %llu old streams have it",
				 rule->name,
				 (unsigned long long)rule->past.found,
				 (unsigned long long)rule->past.streams);
	}
}

/* True when there is nothing more of this sweep. */
static bool sweep_some(struct past *p, const struct sweep *s,
		       struct candidates *rows, struct pieces *pieces,
		       struct err *err)
{
	const struct candidate *c;

	/* One at least, however slow the machine is. */
	while ((c = candidates_next(rows, err)) != NULL) {
		size_t first = p->results.n;

		/* The one at the cursor was searched for the others only. */
		if (s->to_ns && compare(c->first_ns, c->id, s->to_ns,
					s->to_id) < 0)
			return true;
		if (!c->over && !p->cfg.alone)
			past_follow(p, c->id);
		else if (!scan(p, pieces, c, err))
			return false;
		count(p, s, c, first);
		if (past_is_over(p))
			return false;
	}
	return err->code == 0;
}

static void know_totals(struct past *p, const struct sweep *s,
			struct candidates *rows, struct err *err)
{
	uint64_t streams = 0, bytes = 0;
	bool known = true;

	for (size_t i = 0; i < s->n; i++)
		known &= past_rule(p, s->ids[i])->past.total_known;
	if (known || candidates_left(rows, &streams, &bytes, err) < 0)
		return;
	for (size_t i = 0; i < s->n; i++) {
		struct rule_past *past = &past_rule(p, s->ids[i])->past;

		if (past->total_known)
			continue;
		past->total_known = true;
		past->streams_total = past->streams + streams;
		past->bytes_total = past->bytes + bytes;
	}
}

static int sweep_patterns(struct past *p, const struct sweep *s,
			  struct err *err)
{
	struct query *all = query_parse("", 0, NULL, err);
	const struct candidates_config cfg = { .q = all,
					       .dir = p->dir,
					       .behind_ns = s->behind_ns,
					       .behind_id = s->behind_id,
					       .patterns_below = s->below };
	const struct search_config where = { .dir = p->dir };
	struct candidates *rows = mem_alloc(sizeof(*rows));
	struct pieces *pieces = NULL;

	if (past_compile(p, s->ids, s->n, err) == 0 &&
	    candidates_open(rows, &cfg, err) == 0)
		pieces = pieces_open(&where, rows, err);
	if (pieces) {
		know_totals(p, s, rows, err);
		if (sweep_some(p, s, rows, pieces, err))
			arrive(p, s);
	}
	pieces_close(pieces);
	candidates_close(rows);
	free(rows);
	query_free(all);
	return err->code;
}

/* -- steps ------------------------------------------------------------------------------- */

/* What was found is durable before anybody believes that it was searched. */
static int settle(struct past *p, struct err *err)
{
	p->unsettled |= p->results.n > 0 || p->following_changed;
	if (results_write(&p->results, p->cfg.store, err) < 0)
		return err->code;
	if (p->unsettled && store_checkpoint(p->cfg.store, NULL, err) < 0)
		return err->code;
	p->unsettled = false;
	return past_save_following(p, err);
}

static int put_past(struct past *p, const uint64_t *ids, size_t n,
		    uint64_t took_ns, struct err *err)
{
	for (size_t i = 0; i < n && err->code == 0; i++) {
		struct rule *rule = past_rule(p, ids[i]);

		rule->past.work_ns += took_ns;
		rules_put_past(p->rules, rule->id, &rule->past, err);
	}
	return err->code;
}

static bool any_query(const struct past *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->list[i].kind == RULE_QUERY)
			return true;
	return false;
}

/* Rules came or went: tell, and see that every old stream has its row. */
static int reload(struct past *p, struct err *err)
{
	struct match_pattern *all;
	uint64_t was = p->version;
	bool told = p->loaded;
	size_t n;

	results_cut(&p->results, 0); /* they name old ones */
	rules_free_list(p->list, p->n);
	if (rules_load(p->rules, &p->list, &p->n, &p->version, err) < 0)
		return err->code;
	/* Numbers of rules may stand for other texts by now. */
	match_set_put(p->set);
	p->set = NULL;
	all = mem_array(p->n + 1, sizeof(*all));
	n = past_patterns(p->list, p->n, all);
	if (p->cfg.changed && (!told || was != p->version))
		p->cfg.changed(p->cfg.self, all, n, p->version);
	free(all);
	if (results_note_ends(p->cfg.store, any_query(p), err) < 0 ||
	    store_checkpoint(p->cfg.store, NULL, err) < 0)
		return err->code;
	if (!p->loaded && !p->cfg.alone)
		past_load_following(p, err);
	p->loaded = true;
	return err->code;
}

static struct rule *waiting_query(struct past *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->list[i].kind == RULE_QUERY && !p->list[i].past.done)
			return &p->list[i];
	return NULL;
}

static int step_patterns(struct past *p, bool *more, struct err *err)
{
	struct sweep *s = mem_alloc(sizeof(*s));
	uint64_t from = past_now();

	choose(p, s);
	if (s->n) {
		*more = true;
		p->step_until_ns = from + (p->step_until_ns - p->step_from_ns);
		p->step_from_ns = from;
		if (sweep_patterns(p, s, err) == 0 && settle(p, err) == 0)
			put_past(p, s->ids, s->n, past_now() - from, err);
	}
	free(s);
	return err->code;
}

static int step_query(struct past *p, bool *more, struct err *err)
{
	struct rule *rule = waiting_query(p);
	uint64_t from = past_now();

	if (!rule)
		return 0;
	*more = true;
	p->step_until_ns = from + (p->step_until_ns - p->step_from_ns);
	p->step_from_ns = from;
	if (past_sweep_query(p, rule, err) == 0 && settle(p, err) == 0)
		put_past(p, &rule->id, 1, past_now() - from, err);
	return err->code;
}

static void do_some(struct past *p, bool *more, struct err *err)
{
	if (err->code == 0)
		step_patterns(p, more, err);
	if (err->code == 0)
		step_query(p, more, err);
	if (err->code == 0)
		past_follow_on(p, err);
	if (err->code == 0 && any_query(p))
		past_check_ended(p, more, err);
	if (err->code == 0)
		settle(p, err);
}

int past_step(struct past *p, uint64_t ns, const volatile int *stop, bool *more,
	      struct err *err)
{
	uint64_t version;

	*more = false;
	p->stop_flag = stop;
	p->step_from_ns = past_now();
	p->step_until_ns = p->step_from_ns + ns;
	if (rules_version(p->rules, &version, err) == 0 &&
	    (!p->loaded || p->failed || version != p->version))
		reload(p, err);
	if (ns)
		do_some(p, more, err);
	p->stop_flag = NULL;
	p->failed = err->code != 0;
	return err->code;
}

int past_finish(struct past *p, struct err *err)
{
	bool more = true;

	stop_thread(p);
	atomic_store(&p->stop, false);
	/* All rows first: what is over says so. */
	store_checkpoint(p->cfg.store, NULL, err);
	p->cfg.alone = true;
	p->cfg.busy = NULL;
	while (more && err->code == 0) {
		p->polled_ns = p->poll_every_ns = 0;
		past_step(p, STEP_NS, NULL, &more, err);
	}
	return err->code;
}

/* -- the thread ---------------------------------------------------------------------------- */

static void pause_a_while(struct past *p)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += PAUSE_MS * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&p->lock);
	if (!past_is_stopped(p))
		pthread_cond_timedwait(&p->wake, &p->lock, &until);
	pthread_mutex_unlock(&p->lock);
}

static void *run_thread(void *arg)
{
	struct past *p = arg;
	struct err told = ERR_NONE;

	/* Linux has a priority for each thread. */
	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), LOWEST);
	while (!past_is_stopped(p)) {
		struct err err = ERR_NONE;
		bool more = false;

		past_give_way(p);
		past_step(p, STEP_NS, NULL, &more, &err);
		if (err.code && strcmp(err.text, told.text) != 0) {
			log_warn(part, "%s", err.text);
			told = err;
		}
		if (!more || err.code)
			pause_a_while(p);
	}
	return NULL;
}

int past_start(struct past *p, struct err *err)
{
	int rc = pthread_create(&p->thread, NULL, run_thread, p);

	if (rc)
		return err_sys(err, rc, "cannot start the search of the past");
	pthread_setname_np(p->thread, part);
	p->running = true;
	return 0;
}
