/* SPDX-License-Identifier: Apache-2.0 */
/*
 * analyze_rules.h - the patterns and saved queries that a store remembers, at
 * work in a running analysis: on new streams at once, on old ones in a thread
 * of their own while live traffic leaves time.
 */
#ifndef CMD_ANALYZE_RULES_H
#define CMD_ANALYZE_RULES_H

#include <stdint.h>

struct analyze;
struct err;
struct match_set;
struct ruler;
struct store;

struct ruler_config {
	struct analyze *analyze;
	struct store *store;
	const char *dir;	/* the store's */
	struct match_set *own;	/* of the command line; borrowed; or NULL */
	uint32_t window;
	uint64_t matches_max; /* of a stream */
};

/* Before the first packet: from then on stored patterns are in force. */
struct ruler *ruler_new(const struct ruler_config *cfg, struct err *err);

/* Look for rules that come, and go through the past, until ruler_free(). */
int ruler_start(struct ruler *r, struct err *err);

/*
 * The input has ended by itself, and analysis with it: do what is left to do.
 */
void ruler_finish(struct ruler *r, struct err *err);

/* Before the store goes; what is left is done another time.  NULL is fine. */
void ruler_free(struct ruler *r);

#endif
