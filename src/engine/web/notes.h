/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notes.h - what people say of streams: favourites, what to hide, comments.
 *
 * Kept in an SQLite file of its own, each change with a version, a time and a
 * name.  One thread.  A change is durable when the call returns 0.
 */
#ifndef ENGINE_WEB_NOTES_H
#define ENGINE_WEB_NOTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct notes;

enum {
	NOTES_RULES_MAX = 1000,
	NOTES_STREAMS_MAX = 100000, /* favourites and hidden ones */
	NOTES_VALUE = 128,
	NOTES_BY = 64
};

enum notes_rule_kind {
	NOTES_STREAM,
	NOTES_SERVICE,
	NOTES_PROTOCOL,
	NOTES_PORT,
	NOTES_CONTENT_KIND,
	NOTES_STATUS,
	NOTES_PATTERN,
	NOTES_RULE_KINDS
};
const char *notes_kind_name(enum notes_rule_kind kind);
/* -1: there is no such kind. */
int notes_kind_of(const char *name);

struct notes_rule {
	uint64_t id;
	enum notes_rule_kind kind;
	char value[NOTES_VALUE];
	char by[NOTES_BY];
	uint64_t at_ns;
};

struct notes *notes_open(const char *path, struct err *err);
void notes_close(struct notes *n); /* NULL is fine */

/* Grows with every change. */
uint64_t notes_version(const struct notes *n);

struct notes_state {
	bool favorite, hidden;
};
struct notes_state notes_state(const struct notes *n, uint64_t stream);
/* ERR_FULL over NOTES_STREAMS_MAX. */
int notes_set_state(struct notes *n, uint64_t stream, struct notes_state state,
		    const char *by, struct err *err);
size_t notes_favorites(const struct notes *n);
size_t notes_hidden(const struct notes *n);

/* In the order in which they were made; borrowed until the next change. */
const struct notes_rule *notes_rules(const struct notes *n, size_t *count);
/* The rule as it is kept, in *rule; one that is there is not made again. */
int notes_add_rule(struct notes *n, struct notes_rule *rule, struct err *err);
int notes_remove_rule(struct notes *n, uint64_t id, struct err *err);

#endif
