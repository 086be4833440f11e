/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query.h - the query language: a text in, a tree of conditions out.
 *
 * doc/query.md is the language.  Parsing is pure: no file, no clock, and every
 * size is bounded, so it may be given to a stranger.  A query never changes
 * once it is parsed; any number of threads may use it.
 */
#ifndef ENGINE_QUERY_QUERY_H
#define ENGINE_QUERY_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;
struct query;

enum {
	QUERY_TEXT_MAX = 16384,
	QUERY_DEPTH_MAX = 64,	/* brackets and negations inside each other */
	QUERY_NODES_MAX = 256,
	QUERY_VALUES_MAX = 512, /* of all conditions together */
	QUERY_TERMS_MAX = 64	/* payload terms */
};

/* Which bytes of the text a sentence is about. */
struct query_place {
	size_t at, len;
};

/*
 * Times like -10m count back from now_ns (since 1970).  NULL with ERR_USAGE, a
 * sentence, and its place in the text.
 */
struct query *query_parse(const char *text, uint64_t now_ns,
			  struct query_place *place, struct err *err);
void query_free(struct query *q); /* NULL is fine */

/* The text that it was parsed from. */
const char *query_text(const struct query *q);

/* Does payload have to be looked at? */
bool query_needs_payload(const struct query *q);

/* At most so many streams; 0: all. */
uint64_t query_limit(const struct query *q);
bool query_is_sorted(const struct query *q); /* not by time */

/* The tree, in one spelling: brackets everywhere, values as understood. */
void query_print(const struct query *q, struct buf *to);

/* The table of keys, for help and completion; false behind the last one. */
struct query_key_info {
	const char *name, *also; /* also: another spelling, or NULL */
	const char *values;	 /* what may stand behind it */
	const char *about;
};
bool query_key_info(size_t i, struct query_key_info *info);

#endif
