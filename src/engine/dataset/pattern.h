/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pattern.h - a regular expression over names (PCRE2; RE2's are alike).
 *
 * It matches anywhere unless it says otherwise.  Work on one name is bounded;
 * what goes over the bound does not match.  Any thread may ask.
 */
#ifndef ENGINE_DATASET_PATTERN_H
#define ENGINE_DATASET_PATTERN_H

#include <stdbool.h>

struct err;
struct pattern;

/* NULL with ERR_USAGE when it does not compile: the place is named. */
struct pattern *pattern_new(const char *text, struct err *err);
void pattern_free(struct pattern *p); /* NULL is fine */

/* A NULL pattern matches everything. */
bool pattern_matches(const struct pattern *p, const char *name);

#endif
