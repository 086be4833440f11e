/* SPDX-License-Identifier: Apache-2.0 */
/*
 * past_tags.c - saved queries: a tag on every stream that they are true of.
 *
 * One that is new is asked of all streams there are; all of them are asked of
 * each stream that has ended since.  A stream that was tagged while it was
 * open loses the tag at its end if the query is true no more.
 */
#include "engine/query/past_priv.h"

#include <stdlib.h>

#include "base/mem.h"
#include "sys/sys.h"

enum { ENDED_AT_ONCE = 256 };

struct asking {
	struct past *p;
	const struct rule *rule;
	uint64_t found;
	bool *hit; /* of ids, in their order; or NULL */
	const uint64_t *ids;
	size_t n_ids;
};

static int on_hit(void *self, const struct search_hit *hit)
{
	struct asking *a = self;

	a->found++;
	results_add(&a->p->results, RESULT_TAG, hit->id, a->rule->name);
	for (size_t i = 0; i < a->n_ids; i++)
		if (a->ids[i] == hit->id)
			a->hit[i] = true;
	return 0;
}

static int on_progress(void *self, const struct search_state *state)
{
	struct asking *a = self;

	past_give_way(a->p);
	/* One stream at least, however slow the machine is. */
	if (a->ids || !state->streams)
		return past_is_stopped(a->p);
	return past_is_over(a->p);
}

static int ask(struct asking *a, const struct search_config *cfg,
	       struct search_state *state, struct err *err)
{
	const struct search_sink sink = { a, on_hit, on_progress };
	struct sys *host = sys_host();
	struct query *q = query_parse(a->rule->text, host->wall_ns(host), NULL,
				      err);

	*state = (struct search_state){ .end = SEARCH_RUNS };
	if (q)
		search_run(q, cfg, &sink, state, err);
	query_free(q);
	return err->code;
}

int past_sweep_query(struct past *p, struct rule *rule, struct err *err)
{
	struct asking a = { .p = p, .rule = rule };
	struct search_config cfg = { .dir = p->dir,
				     .window = p->cfg.window };
	struct rule_past *past = &rule->past;
	struct search_state state;

	cfg.behind_ns = past->behind_ns;
	cfg.behind_id = past->behind_id;
	if (ask(&a, &cfg, &state, err) < 0)
		return err->code;
	if (state.streams) {
		past->behind_ns = state.at_ns;
		past->behind_id = state.at_id;
	}
	past->found += a.found;
	if (state.total_known && !past->total_known) {
		past->total_known = true;
		past->streams_total = past->streams + state.streams_total;
		past->bytes_total = past->bytes + state.bytes_total;
	}
	past->streams += state.streams;
	past->bytes += state.bytes;
	past->done = state.end == SEARCH_DONE;
	return 0;
}

/* -- streams that have ended ------------------------------------------------------ */

struct ended {
	uint64_t ids[ENDED_AT_ONCE];
	size_t n;
};

static int read_ended(void *arg, sqlite3 *db, struct err *err)
{
	struct ended *e = arg;
	sqlite3_stmt *st = NULL;

	if (sqlite3_prepare_v2(db, "SELECT stream FROM unchecked LIMIT 256", -1,
			       &st, NULL) != SQLITE_OK)
		return err_set(err, ERR_FAILED, "%s", sqlite3_errmsg(db));
	while (e->n < ENDED_AT_ONCE && sqlite3_step(st) == SQLITE_ROW)
		e->ids[e->n++] = (uint64_t)sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return 0;
}

static int ask_of(struct past *p, const struct rule *rule,
		  const struct ended *e, struct err *err)
{
	bool hit[ENDED_AT_ONCE] = { false };
	struct asking a = { .p = p, .rule = rule, .hit = hit, .ids = e->ids,
			    .n_ids = e->n };
	const struct search_config cfg = { .dir = p->dir,
					   .window = p->cfg.window,
					   .ids = e->ids,
					   .n_ids = e->n };
	struct search_state state;

	if (ask(&a, &cfg, &state, err) < 0 || state.end != SEARCH_DONE)
		return err->code ? err->code : ERR_END;
	for (size_t i = 0; i < e->n; i++)
		if (!hit[i])
			results_add(&p->results, RESULT_UNTAG, e->ids[i],
				    rule->name);
	return 0;
}

int past_check_ended(struct past *p, bool *more, struct err *err)
{
	struct ended e = { .n = 0 };
	int rc = 0;

	if (store_with_rows(p->cfg.store, read_ended, &e, err) < 0 || !e.n)
		return err->code;
	/* Their last bytes are to be found in what is committed. */
	if (store_checkpoint(p->cfg.store, NULL, err) < 0)
		return err->code;
	for (size_t i = 0; i < p->n && rc == 0; i++)
		if (p->list[i].kind == RULE_QUERY)
			rc = ask_of(p, &p->list[i], &e, err);
	if (rc < 0) {
		results_cut(&p->results, 0); /* the same ones again, later */
		return err->code;
	}
	for (size_t i = 0; i < e.n; i++)
		results_add(&p->results, RESULT_CHECKED, e.ids[i], NULL);
	*more |= e.n == ENDED_AT_ONCE;
	return 0;
}
