/* SPDX-License-Identifier: Apache-2.0 */
/*
 * past_priv.h - what the parts of past.h share.
 */
#ifndef ENGINE_QUERY_PAST_PRIV_H
#define ENGINE_QUERY_PAST_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "engine/query/past.h"
#include "engine/query/search_priv.h"
#include "engine/store/store.h"

/* -- past_rows.c: what was found, on its way into the store -------------------------- */

enum result_kind {
	RESULT_MATCH,
	RESULT_TAG,
	RESULT_UNTAG,
	RESULT_CHECKED /* its saved queries are answered */
};

struct result {
	enum result_kind kind;
	uint8_t way;
	uint64_t stream, rule;
	uint64_t start, end, time_ns;
	const char *name; /* the rule's; it outlives the results */
	size_t content, content_len; /* in results.bytes */
};

struct results {
	struct result *at; /* owned */
	size_t n, room;
	struct buf bytes;
};

struct result *results_add(struct results *r, enum result_kind kind,
			   uint64_t stream, const char *name);
void results_cut(struct results *r, size_t n); /* forget those from n on */
void results_release(struct results *r);
/* Into the store's rows; they are empty then. */
int results_write(struct results *r, struct store *store, struct err *err);
/* Have the store note which streams end, or stop noting. */
int results_note_ends(struct store *store, bool on, struct err *err);

/* -- past_follow.c: streams that were open when the search came by ------------------- */

struct follower {
	uint64_t stream;
	struct match_set *set; /* a reference */
	struct match_stream *way[2];
	uint64_t next[2];
	uint64_t patterns; /* it is searched for older ones as it comes */
	uint8_t caller;
	struct follower *after;
};

/* -- past.c ------------------------------------------------------------------------------ */

enum { CONTENT_MAX = 4096 };

struct past {
	struct past_config cfg;
	char *dir; /* owned */
	struct rules *rules;
	struct rule *list; /* owned */
	size_t n;
	uint64_t version;
	bool loaded, failed; /* failed: what is here may not be true */

	/* The patterns that are looked for together. */
	uint64_t *together; /* ids of rules; owned */
	size_t n_together;
	struct match_set *set;
	struct match_scratch *scratch;

	struct results results;
	bool unsettled; /* some were written, and may not be durable */
	struct follower *followers;
	size_t n_followers;
	bool following_changed;
	uint64_t polled_ns, poll_every_ns;
	struct store_view *view; /* of the directory: what is committed */

	/* The stream that is being scanned. */
	const struct candidate *at;
	struct follower *follower;
	struct match_stream *stream;
	int way;
	uint64_t found_here;
	uint64_t dropped; /* matches over matches_max */

	/* The step that is under way. */
	uint64_t step_from_ns, step_until_ns;
	const volatile int *stop_flag;

	pthread_t thread;
	bool running;
	atomic_bool stop;
	pthread_mutex_t lock;
	pthread_cond_t wake;
};

uint64_t past_now(void);
bool past_is_stopped(const struct past *p);
bool past_is_over(const struct past *p); /* the step's time */
/* Wait while live traffic needs the machine. */
void past_give_way(const struct past *p);
struct rule *past_rule(struct past *p, uint64_t id);
/* Feed a piece to p->stream; what is found goes to the results. */
int past_feed(struct past *p, const struct store_piece *piece);
void past_on_match(void *self, const struct match *m);
/* Set p->set for these rules. */
int past_compile(struct past *p, const uint64_t *ids, size_t n,
		 struct err *err);
/* Times of the matches of a stream that were added from `first` on. */
void past_put_times(struct past *p, uint64_t stream, size_t first);

void past_follow(struct past *p, uint64_t stream);
int past_follow_on(struct past *p, struct err *err);
void past_unfollow_all(struct past *p);
int past_load_following(struct past *p, struct err *err);
int past_save_following(struct past *p, struct err *err);

int past_sweep_query(struct past *p, struct rule *rule, struct err *err);
int past_check_ended(struct past *p, bool *more, struct err *err);

#endif
