/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/query/search_priv.h"

#include "sys/sys.h"

enum { TELL_NS = 5000000, TOTAL_NS = 200000000 };

struct search {
	const struct search_sink *sink;
	struct search_state *state;
	struct candidates rows;
	struct scan *scan;
	struct sys *sys;
	uint64_t begun_ns, told_ns;
	uint64_t kept, looked; /* of the stream that it is at */
	bool stopped, ticking;
};

static uint64_t now(const struct search *s)
{
	return s->sys->mono_ns(s->sys);
}

/* Tell how far it is, if that was some time ago.  Not 0: stop. */
static int tick(void *arg)
{
	struct search *s = arg;
	uint64_t at = now(s);

	if (s->stopped)
		return 1;
	if (!s->sink->progress || s->ticking || at < s->told_ns + TELL_NS)
		return 0;
	s->told_ns = at;
	s->ticking = true;
	if (s->sink->progress(s->sink->self, s->state) != 0)
		s->stopped = true;
	s->ticking = false;
	return s->stopped;
}

static int looked(void *arg, uint64_t bytes, uint64_t missing)
{
	struct search *s = arg;

	/* A stream may have grown since its row was read. */
	if (bytes > s->kept - s->looked)
		bytes = s->kept - s->looked;
	s->looked += bytes;
	s->state->bytes += bytes;
	s->state->missing += missing;
	return tick(s);
}

/* How much there is takes a walk over all rows: not before the first hits. */
static void count_all(struct search *s, struct err *err)
{
	uint64_t streams, bytes;

	if (s->state->total_known || !s->sink->progress ||
	    now(s) < s->begun_ns + TOTAL_NS)
		return;
	if (candidates_left(&s->rows, &streams, &bytes, err) < 0)
		return;
	s->state->streams_total = s->state->streams + streams;
	s->state->bytes_total = s->state->bytes + bytes;
	s->state->total_known = true;
}

static int decide(struct search *s, const struct candidate *c,
		  enum verdict *v, struct search_hit *hit, struct err *err)
{
	const struct scan_watch watch = { s, looked };
	const struct knowledge none = { .all = true };

	if (s->scan)
		return scan_candidate(s->scan, c, &watch, v, hit, err);
	*hit = (struct search_hit){ .id = c->id, .first_ns = c->first_ns };
	*v = verdict_of(s->rows.q, c, &none);
	return tick(s) ? ERR_END : 0;
}

/* One candidate; 0 to go on. */
static int look_at(struct search *s, const struct candidate *c,
		   struct err *err)
{
	struct search_state *state = s->state;
	struct search_hit hit;
	enum verdict v;
	int rc;

	s->kept = c->kept;
	s->looked = 0;
	rc = decide(s, c, &v, &hit, err);
	if (rc < 0)
		return rc;
	state->at_ns = c->first_ns;
	state->at_id = c->id;
	state->streams++;
	state->bytes += s->kept - s->looked;
	if (v != YES)
		return 0;
	state->hits++;
	if (s->sink->hit && s->sink->hit(s->sink->self, &hit) != 0)
		return ERR_END;
	if (s->rows.q->limit && state->hits == s->rows.q->limit) {
		state->end = SEARCH_LIMIT;
		return ERR_LIMIT;
	}
	return 0;
}

static void walk(struct search *s, struct err *err)
{
	const struct candidate *c;
	int rc = 0;

	while (rc == 0 && (c = candidates_next(&s->rows, err)) != NULL) {
		rc = look_at(s, c, err);
		if (rc == 0)
			count_all(s, err);
	}
	if (rc == ERR_LIMIT)
		return;
	if (s->stopped || rc == ERR_END) {
		s->state->end = SEARCH_STOPPED;
	} else if (err->code == 0) {
		s->state->end = SEARCH_DONE;
		s->state->streams_total = s->state->streams;
		s->state->bytes_total = s->state->bytes;
		s->state->total_known = true;
	}
}

int search_run(const struct query *q, const struct search_config *cfg,
	       const struct search_sink *sink, struct search_state *state,
	       struct err *err)
{
	struct search s = { .sink = sink, .state = state,
			    .sys = cfg->sys ? cfg->sys : sys_host() };
	const struct candidates_config rows = {
		.q = q,
		.dir = cfg->dir,
		.behind_ns = cfg->behind_ns ? cfg->behind_ns : INT64_MAX,
		.behind_id = cfg->behind_ns ? cfg->behind_id : INT64_MAX,
		.ids = cfg->ids,
		.n_ids = cfg->n_ids,
		.stop = tick,
		.arg = &s,
	};
	struct pieces *pieces = NULL;

	*state = (struct search_state){ .end = SEARCH_RUNS };
	s.begun_ns = s.told_ns = now(&s);
	candidates_open(&s.rows, &rows, err);
	if (err->code == 0 && query_needs_payload(q)) {
		pieces = pieces_open(cfg, &s.rows, err);
		if (pieces)
			s.scan = scan_new(q, cfg, pieces, err);
	}
	if (err->code == 0)
		walk(&s, err);
	if (s.scan)
		state->unordered = scan_unordered(s.scan);
	scan_free(s.scan);
	pieces_close(pieces);
	candidates_close(&s.rows);
	return err->code;
}

void search_term_text(const struct query *q, uint32_t term, struct buf *to)
{
	const struct query_term *t = &q->terms[term];

	if (t->regex)
		put_format(to, "/%s/", t->text);
	else
		put_format(to, "x\"%s\"", t->text);
}
