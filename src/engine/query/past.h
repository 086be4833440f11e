/* SPDX-License-Identifier: Apache-2.0 */
/*
 * past.h - rules at work on what a store has already.
 *
 * A rule that is new (rules.h) is searched for from the newest stream down, in
 * small steps: a pattern in the payload of all streams that were begun without
 * it, a saved query over all.  What is found becomes rows like those of live
 * traffic: matches and tags, each once.  Streams that are still open then are
 * followed to their end; a saved query is asked again when a stream has ended.
 *
 * How far it is stands in rules.db, never ahead of what is durable, so a run
 * that is killed goes on where it was.  Live traffic comes first: a thread of
 * this has the lowest priority, and rests while `busy` says so.
 */
#ifndef ENGINE_QUERY_PAST_H
#define ENGINE_QUERY_PAST_H

#include "engine/match/match.h"
#include "engine/query/rules.h"

struct past;
struct store;

struct past_config {
	const char *dir;
	struct store *store; /* of that directory, open for writing */
	uint32_t window;     /* the longest match of an expression */
	uint64_t matches_max; /* of a stream in one go; more are counted */
	bool alone; /* nobody appends: no stream will grow any more */
	void *self;
	/*
	 * May be NULL.  The stored patterns are others now: when it returns,
	 * every new stream is searched for these, and every stream that is not
	 * has been given to the store.
	 */
	void (*changed)(void *self, const struct match_pattern *patterns,
			size_t n, uint64_t version);
	bool (*busy)(void *self); /* may be NULL */
};

/* NULL on failure. */
struct past *past_new(const struct past_config *cfg, struct err *err);
/* Ends the thread, if there is one; at once. */
void past_free(struct past *p);

/* A thread that steps until past_free(). */
int past_start(struct past *p, struct err *err);

/* End the thread, and do all that is left; nothing will come any more. */
int past_finish(struct past *p, struct err *err);

/*
 * Without a thread: work for about so long; with 0, only look for rules.
 * *more: something is left that can be done now.  *stop, if not NULL, is looked at in between.
 */
int past_step(struct past *p, uint64_t ns, const volatile int *stop, bool *more,
	      struct err *err);
/* The rules as they stand; borrowed until the next step. */
const struct rule *past_rules(const struct past *p, size_t *n);

/* The patterns among rules: out has room for n; texts are the rules'. */
size_t past_patterns(const struct rule *list, size_t n,
		     struct match_pattern *out);

#endif
