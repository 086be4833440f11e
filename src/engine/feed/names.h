/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.h - the names of clients' addresses, found out aside, for the log.
 *
 * A resolver may take seconds or never answer.  One thread asks it, one
 * address at a time, from a short queue: what waited longer than NAMES_LATE_NS,
 * or found the queue full, is not asked at all.  Nobody ever waits for it, not
 * even names_stop(): a thread that hangs in the resolver is left behind.
 */
#ifndef ENGINE_FEED_NAMES_H
#define ENGINE_FEED_NAMES_H

struct names;

enum { NAMES_QUEUE = 16, NAMES_LATE_NS = 100000000 };

/* NULL when there can be no thread: then there are no names. */
struct names *names_start(void);
void names_stop(struct names *n); /* NULL is fine */

/* Log the name of "address:port" when it is known soon; NULL does nothing. */
void names_ask(struct names *n, const char *peer);

#endif
