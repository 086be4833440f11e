/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rules_here.h - put the rules of a store to work when nobody else does.
 */
#ifndef CMD_RULES_HERE_H
#define CMD_RULES_HERE_H

struct err;
struct rule;

/*
 * Remember a rule in the store, and then do what rules_work() does; says on
 * standard error how it stands.
 */
int rules_remember(const char *dir, const struct rule *rule, struct err *err);

/*
 * Search the past of the store for what waits, here and now, with a line of
 * progress.  Where another process writes the store, that one does it: then,
 * and where there is no store yet, this says so and returns 0.
 */
int rules_work(const char *dir, struct err *err);

/* "1.2 GiB of 3.4 GiB, 812 of 4112 streams, 12 s left"; returns out. */
enum { RULES_TEXT = 192 };
char *rules_text(char out[RULES_TEXT], const struct rule *rule);

#endif
