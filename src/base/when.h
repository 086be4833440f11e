/* SPDX-License-Identifier: Apache-2.0 */
/*
 * when.h - points in time and spans as other programs write them.
 *
 * Times are nanoseconds since 1970, UTC, as everywhere in Weir.  What is read
 * is RFC 3339 ("2026-11-25T06:54:03.25+01:00") and the same with a blank
 * between day and hour; without an offset it is UTC.  A time before 1970 or
 * after 2554 does not fit.
 */
#ifndef BASE_WHEN_H
#define BASE_WHEN_H

#include <stdint.h>

enum { WHEN_SIZE = 48 };

/* 0, ERR_MALFORMED, or ERR_LIMIT for a time that does not fit. */
int when_parse(const char *text, uint64_t *ns);

/* "2026-11-25T06:54:03.25Z", as many digits as it needs; returns out. */
char *when_format(char out[WHEN_SIZE], uint64_t ns);

/* "1h2m3.5s", "250ms", "0s"; the way Go writes durations; returns out. */
char *when_span(char out[WHEN_SIZE], uint64_t ns);

#endif
