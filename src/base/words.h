/* SPDX-License-Identifier: Apache-2.0 */
/*
 * words.h - a command line in one text, cut into words as a shell would.
 *
 * Blanks separate.  'single quotes' keep everything; "double quotes" keep
 * everything but \" \\ \$ \` and a backslash before a line end; outside of
 * quotes a backslash keeps the next character.  Nothing is expanded, and
 * nothing is run: $HOME, *, ; and | are ordinary characters.
 */
#ifndef BASE_WORDS_H
#define BASE_WORDS_H

#include <stddef.h>

struct err;

struct words {
	char **at; /* owned; ends with a NULL, fit for exec */
	size_t n;
};

/*
 * 0, or ERR_USAGE with a sentence: a quote that is never closed, a backslash
 * at the very end.  A text of blanks has no words.
 */
int words_split(struct words *w, const char *text, struct err *err);
void words_release(struct words *w);

#endif
