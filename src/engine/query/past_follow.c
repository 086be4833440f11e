/* SPDX-License-Identifier: Apache-2.0 */
/*
 * past_follow.c - streams that were open when the search of the past came by.
 *
 * Each has the state of the pattern library for both directions, and is fed
 * what was committed since the last look, until its row says that it is over:
 * so a match that grows across looks is found once and whole.  Which streams
 * these are is remembered; after a restart they are read from their start, and
 * what was found before is there already.
 */
#include "engine/query/past_priv.h"

#include <stdlib.h>

#include "base/mem.h"
#include "engine/match/match.h"

enum { POLL_NS = 300000000, POLL_SHARE = 10 };

static void let_go(struct past *p, struct follower *f, bool heard)
{
	struct match_sink sink = { p, past_on_match };

	for (int way = 0; way < 2; way++) {
		p->follower = heard ? f : NULL;
		p->way = way;
		match_stream_close(f->way[way], p->scratch, &sink);
	}
	p->follower = NULL;
	match_set_put(f->set);
	p->n_followers--;
}

void past_unfollow_all(struct past *p)
{
	while (p->followers) {
		struct follower *f = p->followers;

		p->followers = f->after;
		let_go(p, f, false);
		free(f);
	}
}

/* With the patterns of p->set. */
static void add(struct past *p, uint64_t stream)
{
	struct follower *f = mem_alloc(sizeof(*f));

	*f = (struct follower){ .stream = stream, .set = p->set,
				.after = p->followers };
	match_set_get(f->set);
	for (int way = 0; way < 2; way++)
		f->way[way] = match_stream_open(f->set);
	p->followers = f;
	p->n_followers++;
	p->following_changed = true;
}

/* -- a look --------------------------------------------------------------------- */

static int on_piece(void *arg, const struct store_piece *piece)
{
	struct past *p = arg;

	if (!piece->hole || piece->why < (int)STORE_HOLE_CAP)
		p->follower->next[p->way] = piece->offset + piece->len;
	return past_feed(p, piece);
}

static int read_on(struct past *p, struct follower *f, struct err *err)
{
	for (int way = 0; way < 2 && err->code == 0; way++) {
		p->follower = f;
		p->way = way;
		p->stream = f->way[way];
		store_view_read(p->view, f->stream, way, f->next[way],
				UINT64_MAX, on_piece, p, err);
		p->follower = NULL;
	}
	return err->code;
}

/* True when it need not be followed any more. */
static bool look_at(struct past *p, struct follower *f, struct err *err)
{
	size_t first = p->results.n;
	struct store_row row;
	struct err gone = ERR_NONE;
	bool over;

	if (store_view_row(p->view, f->stream, &row, &gone) < 0)
		return gone.code == ERR_GONE;
	/* Its end was committed, so all of its payload was, too. */
	over = row.over || row.evicted || p->cfg.alone;
	f->caller = row.caller;
	f->patterns = row.patterns;
	p->found_here = 0;
	if (read_on(p, f, &gone) < 0 && gone.code != ERR_GONE)
		*err = gone;
	if (over && !past_is_stopped(p))
		let_go(p, f, true);
	past_put_times(p, f->stream, first);
	return over && !past_is_stopped(p);
}

int past_follow_on(struct past *p, struct err *err)
{
	struct follower **at = &p->followers;
	uint64_t from = past_now();

	if (from < p->polled_ns + p->poll_every_ns)
		return 0;
	while (*at && !past_is_stopped(p) && err->code == 0) {
		struct follower *f = *at;
		bool done = look_at(p, f, err);

		p->unsettled |= p->results.n > 0;
		if (err->code == 0)
			results_write(&p->results, p->cfg.store, err);
		if (done) {
			*at = f->after;
			free(f);
			p->following_changed = true;
		} else {
			at = &f->after;
		}
		past_give_way(p);
	}
	/* Many of them must not keep it busy all the time. */
	p->polled_ns = past_now();
	p->poll_every_ns = POLL_SHARE * (p->polled_ns - from);
	if (p->poll_every_ns < POLL_NS)
		p->poll_every_ns = POLL_NS;
	return err->code;
}

void past_follow(struct past *p, uint64_t stream)
{
	add(p, stream);
	p->polled_ns = 0; /* soon */
}

/* -- over a restart ------------------------------------------------------------------ */

int past_save_following(struct past *p, struct err *err)
{
	struct rule_follow *list = NULL;
	size_t n = 0;

	if (!p->following_changed)
		return 0;
	for (struct follower *f = p->followers; f; f = f->after) {
		const struct match_pattern *all;
		size_t count;

		all = match_set_patterns(f->set, &count);
		list = mem_grow(list, (n + count + 1) * sizeof(*list));
		for (size_t i = 0; i < count; i++)
			list[n++] = (struct rule_follow){
				all[i].id - MATCH_STORED, f->stream
			};
	}
	if (rules_put_following(p->rules, list, n, err) == 0)
		p->following_changed = false;
	free(list);
	return err->code;
}

/* Those of list[from…] that are about one stream, and still count. */
static size_t rules_of(struct past *p, const struct rule_follow *list, size_t n,
		       uint64_t patterns, uint64_t *ids)
{
	size_t count = 0;

	for (size_t i = 0; i < n && list[i].stream == list->stream; i++) {
		const struct rule *rule = past_rule(p, list[i].rule);

		/* It may have begun again since, and be searched as it comes. */
		if (rule && rule->kind != RULE_QUERY &&
		    patterns < rule->version)
			ids[count++] = rule->id;
	}
	return count;
}

int past_load_following(struct past *p, struct err *err)
{
	struct rule_follow *list;
	uint64_t ids[RULES_MAX];
	size_t n, count;

	rules_get_following(p->rules, &list, &n, err);
	for (size_t i = 0; i < n && err->code == 0;) {
		struct store_row row;
		struct err gone = ERR_NONE;
		uint64_t stream = list[i].stream;

		if (store_view_row(p->view, stream, &row, &gone) == 0) {
			count = rules_of(p, list + i, n - i, row.patterns, ids);
			if (count && past_compile(p, ids, count, err) == 0)
				add(p, stream);
		}
		while (i < n && list[i].stream == stream)
			i++;
	}
	free(list);
	return err->code;
}
