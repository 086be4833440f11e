/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/analyze_rules.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/analyze/analyze.h"
#include "engine/match/match.h"
#include "engine/query/past.h"

struct ruler {
	struct ruler_config cfg;
	struct past *past;
};

/* Those of the command line, and behind them those of the store. */
static struct match_set *compile(const struct ruler *r,
				 const struct match_pattern *stored, size_t n,
				 struct err *err)
{
	size_t own = 0;
	const struct match_pattern *first =
		r->cfg.own ? match_set_patterns(r->cfg.own, &own) : NULL;
	struct match_pattern *all = mem_array(own + n + 1, sizeof(*all));
	struct match_set *set = NULL;

	for (size_t i = 0; i < own; i++)
		all[i] = first[i];
	for (size_t i = 0; i < n; i++)
		all[own + i] = stored[i];
	if (own + n)
		set = match_compile(all, own + n, r->cfg.window, err);
	free(all);
	return set;
}

static void on_changed(void *self, const struct match_pattern *stored, size_t n,
		       uint64_t version)
{
	struct ruler *r = self;
	struct err err = ERR_NONE;
	struct match_set *set = compile(r, stored, n, &err);

	/* The old ones go on; all of the new ones are then searched later. */
	if (err.code) {
		log_error("past", "%s", err.text);
		return;
	}
	analyze_set_patterns(r->cfg.analyze, set, version);
	match_set_put(set);
}

/* Packets wait for the workers: they need the processor more than we do. */
static bool is_busy(void *self)
{
	const struct ruler *r = self;
	struct analyze_counters c;

	analyze_counters(r->cfg.analyze, &c);
	return c.queue_room && c.queue_packets > c.queue_room / 2;
}

struct ruler *ruler_new(const struct ruler_config *cfg, struct err *err)
{
	struct ruler *r = mem_alloc(sizeof(*r));
	const struct past_config past = { .dir = cfg->dir,
					  .store = cfg->store,
					  .window = cfg->window,
					  .matches_max = cfg->matches_max,
					  .self = r,
					  .changed = on_changed,
					  .busy = is_busy };
	bool more;

	r->cfg = *cfg;
	r->past = past_new(&past, err);
	/* One look at the rules, no time for anything else. */
	if (r->past && past_step(r->past, 0, NULL, &more, err) == 0)
		return r;
	ruler_free(r);
	return NULL;
}

int ruler_start(struct ruler *r, struct err *err)
{
	return past_start(r->past, err);
}

void ruler_finish(struct ruler *r, struct err *err)
{
	past_finish(r->past, err);
}

void ruler_free(struct ruler *r)
{
	if (!r)
		return;
	past_free(r->past);
	free(r);
}
