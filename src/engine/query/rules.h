/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rules.h - patterns and saved queries that a store remembers: DIR/rules.db.
 *
 * Rules are added and taken away by any process, at any time; whoever writes
 * the store looks for them often, puts them to work on what comes, and searches
 * what came before (past.h), leaving word here how far it is.  Small SQLite
 * transactions of their own: nobody waits for the writer of the streams.
 *
 * A struct rules belongs to one thread.
 */
#ifndef ENGINE_QUERY_RULES_H
#define ENGINE_QUERY_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct rules;

enum { RULE_NAME = 65, RULES_MAX = 4096 };

/* The first three are those of patterns (match.h). */
enum rule_kind { RULE_SUBSTRING, RULE_REGEX, RULE_BINARY, RULE_QUERY };

/* How far the search of the past has come, from the newest stream down. */
struct rule_past {
	bool done;
	bool total_known;
	uint64_t behind_ns, behind_id; /* nothing newer is left to do */
	uint64_t streams, streams_total;
	uint64_t bytes, bytes_total;
	uint64_t found;	  /* streams */
	uint64_t work_ns; /* that it took */
};

struct rule {
	uint64_t id;	  /* never given twice */
	uint64_t version; /* of all rules, when this one was added */
	enum rule_kind kind;
	uint8_t role; /* enum match_role */
	char name[RULE_NAME];
	char *text;
	struct rule_past past;
};

/* Creates what is not there. */
struct rules *rules_open(const char *dir, struct err *err);
void rules_close(struct rules *r);

/* It grows with each rule that comes or goes; 0: there never was one. */
int rules_version(struct rules *r, uint64_t *version, struct err *err);

/*
 * name, kind, role and text of *rule.  ERR_USAGE where it cannot be: a wrong
 * regex, query or hex text, a name that is taken.
 */
int rules_add(struct rules *r, const struct rule *rule, struct err *err);
/* What it found stays.  ERR_GONE: there is none of that name. */
int rules_remove(struct rules *r, const char *name, struct err *err);

/* All, as they stand at *version; the list is the caller's. */
int rules_load(struct rules *r, struct rule **list, size_t *n,
	       uint64_t *version, struct err *err);
void rules_free_list(struct rule *list, size_t n);

int rules_put_past(struct rules *r, uint64_t id, const struct rule_past *past,
		   struct err *err);

/*
 * Streams that were open when the search of the past came by, and are followed
 * to their end; all of them at once.
 */
struct rule_follow {
	uint64_t rule, stream;
};
int rules_put_following(struct rules *r, const struct rule_follow *list,
			size_t n, struct err *err);
int rules_get_following(struct rules *r, struct rule_follow **list, size_t *n,
			struct err *err);

#endif
