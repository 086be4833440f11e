/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search.h - which streams of a store a query is true of, newest first.
 *
 * Conditions on rows go to SQLite first; what is left is decided by one pass
 * of the pattern library over the stored payload, all terms together, exact
 * over every border of packets and segments.  Results are given as they are
 * found.  Nothing is left out in silence: the state says how much was looked
 * at, how much there was, and how much of it the store has no more.
 *
 * The store may be written meanwhile, by this process or another one: what was
 * committed last is searched, streams that still grow as far as they go.  A
 * search is one thread's; its memory is bounded whatever the store holds.
 */
#ifndef ENGINE_QUERY_SEARCH_H
#define ENGINE_QUERY_SEARCH_H

#include "engine/query/query.h"

struct buf;
struct err;
struct sys;

struct search_config {
	struct sys *sys; /* of the payload files; NULL: the machine's */
	const char *dir;
	const char *payload_dir; /* NULL: DIR/payload */
	uint32_t matches_max;	 /* told a stream; more are counted */
	uint32_t window;	 /* the longest match of an expression */
	/* Only these, in this order; or NULL.  Borrowed. */
	const uint64_t *ids;
	size_t n_ids;
	/* Only older ones than where a search was stopped; zeros: all. */
	uint64_t behind_ns, behind_id;
};

enum { SEARCH_WINDOW = 4096 };

struct search_match {
	uint32_t term;
	uint8_t way;	     /* of the store: 0 or 1 */
	bool client;	     /* the client said it */
	uint64_t start, end; /* offsets in its direction */
};

struct search_hit {
	uint64_t id, first_ns;
	const struct search_match *matches; /* until the call returns */
	size_t n_matches;
	uint64_t matches_total;
};

enum search_end { SEARCH_RUNS, SEARCH_DONE, SEARCH_LIMIT, SEARCH_STOPPED };

struct search_state {
	enum search_end end;
	uint64_t hits;
	uint64_t streams, streams_total; /* looked at, of all there are */
	uint64_t bytes, bytes_total;	 /* payload of those */
	bool total_known;
	uint64_t missing;   /* bytes that the store has no more */
	uint64_t unordered; /* streams too long to know what came when */
	uint64_t at_ns, at_id; /* the last stream that was looked at */
};

/* Either may be NULL; a result that is not 0 ends the search. */
struct search_sink {
	void *self;
	int (*hit)(void *self, const struct search_hit *hit);
	/* Called at least every few milliseconds of work. */
	int (*progress)(void *self, const struct search_state *state);
};

/*
 * Search to the end, the query's limit, or until the sink says stop.  0, or an
 * error; the state is true in any case.
 */
int search_run(const struct query *q, const struct search_config *cfg,
	       const struct search_sink *sink, struct search_state *state,
	       struct err *err);

/* What a term of a match looks for, for people: /FLAG/ or "text". */
void search_term_text(const struct query *q, uint32_t term, struct buf *to);

#endif
