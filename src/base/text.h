/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text.h - numbers, sizes and times as people write them.
 *
 * All readers take the whole string or refuse it: no sign, no blanks, no
 * silent wrap.  They return 0, ERR_MALFORMED or ERR_LIMIT (does not fit).
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int text_to_uint(const char *text, uint64_t *v);

/* "65536", "64KiB", "64k", "48GiB", "2MB": k, M, G, T are powers of 1024. */
int text_to_size(const char *text, uint64_t *bytes);

/* "500ms", "10s", "1h30m", "1.5s", "7d"; a bare number is seconds. */
int text_to_duration_ns(const char *text, uint64_t *ns);

/* "3.2 GiB", "17 B"; returns out. */
enum { TEXT_SIZE = 32 };
char *text_of_size(char out[TEXT_SIZE], uint64_t bytes);

/*
 * Copy `in` into a JSON string body (no quotes) of at most cap bytes with the
 * closing NUL.  Anything that is not valid UTF-8 becomes U+FFFD.
 */
void text_to_json(char *out, size_t cap, const char *in);

/* How many single-character edits turn a into b; for "did you mean". */
unsigned text_distance(const char *a, const char *b);

#endif
