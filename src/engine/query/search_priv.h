/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search_priv.h - rows, payload and verdicts of a search.
 */
#ifndef ENGINE_QUERY_SEARCH_PRIV_H
#define ENGINE_QUERY_SEARCH_PRIV_H

#include <sqlite3.h>

#include "engine/query/query_priv.h"
#include "engine/query/search.h"
#include "engine/store/view.h"

/* -- candidates.c: rows that may be meant, newest first --------------------------- */

enum { PAGE = 128, TEST_WORDS = QUERY_NODES_MAX / 64 + 1 };

struct candidate {
	uint64_t id, first_ns, last_ns, patterns;
	uint64_t kept, end[2];
	uint8_t caller;
	bool evicted, over;
	struct bytes runs[3]; /* until the next page */
	uint64_t tests[TEST_WORDS]; /* what came of each TEST, by node */
};

struct candidates_config {
	const struct query *q;
	const char *dir;
	uint64_t behind_ns, behind_id; /* only older ones; INT64_MAX: all */
	uint64_t patterns_below; /* searched for older patterns; 0: all */
	const uint64_t *ids;	 /* only these, in this order; or NULL */
	size_t n_ids;
	/* Asked while SQLite works; true ends that. */
	int (*stop)(void *arg);
	void *arg;
};

struct candidates {
	const struct query *q;
	bool by_id;
	sqlite3 *db;
	char *path;
	struct query_sql sql;
	sqlite3_stmt *page, *one, *gaps;
	int next_at; /* the parameter behind the query's */
	uint64_t behind_ns, behind_id;
	uint64_t *ids; /* in the order asked for, if that is not by time */
	size_t n_ids, at_id;
	uint64_t ids_bytes; /* payload of those that were not read yet */
	bool begun, over;
	struct candidate list[PAGE];
	size_t n, at;
	struct buf runs;
};

int candidates_open(struct candidates *c, const struct candidates_config *cfg,
		    struct err *err);
void candidates_close(struct candidates *c);
/* The next one, or NULL at the end or after a failure. */
const struct candidate *candidates_next(struct candidates *c, struct err *err);
/* What is still to come, without what candidates_next() has given. */
int candidates_left(struct candidates *c, uint64_t *streams, uint64_t *bytes,
		    struct err *err);

/* -- pieces.c: payload of a candidate, in order ---------------------------------------- */

struct pieces;
struct pieces *pieces_open(const struct search_config *cfg,
			   struct candidates *rows, struct err *err);
void pieces_close(struct pieces *p);
/* As store_view_read() gives them; way 0 or 1. */
/* For what pieces are not for: turns. */
struct store_view *pieces_view(struct pieces *p);
int pieces_read(struct pieces *p, const struct candidate *c, int way,
		int (*fn)(void *arg, const struct store_piece *piece),
		void *arg, struct err *err);

/* -- verdict.c --------------------------------------------------------------------------- */

enum verdict { NO, YES, OPEN };

/* What is known of a stream's payload; a bit a side. */
struct knowledge {
	uint8_t found[QUERY_TERMS_MAX]; /* sides with a match */
	enum verdict then[QUERY_NODES_MAX + 1]; /* of THEN nodes */
	bool all; /* the pass is over: what was not found is not there */
};

enum verdict verdict_of(const struct query *q, const struct candidate *c,
			const struct knowledge *k);

/* -- scan.c: payload terms ------------------------------------------------------------------ */

struct scan;
struct scan *scan_new(const struct query *q, const struct search_config *cfg,
		      struct pieces *pieces, struct err *err);
void scan_free(struct scan *s);
/* Streams in which not everything could be put in order. */
uint64_t scan_unordered(const struct scan *s);

struct scan_watch {
	void *arg;
	/* So many more bytes were looked at; not 0: stop. */
	int (*looked)(void *arg, uint64_t bytes, uint64_t missing);
};

/*
 * Decide about a candidate.  Matches are in *hit until the next call.  ERR_END
 * when watch said stop.
 */
int scan_candidate(struct scan *s, const struct candidate *c,
		   const struct scan_watch *watch, enum verdict *v,
		   struct search_hit *hit, struct err *err);

#endif
