/* SPDX-License-Identifier: Apache-2.0 */
/*
 * places.h - where clients stopped, by address, for those that come again.
 *
 * In memory, for the life of the feed, at most PLACES_MAX of them: the one
 * that was not touched for longest goes first.
 */
#ifndef ENGINE_FEED_PLACES_H
#define ENGINE_FEED_PLACES_H

#include <stdbool.h>

#include "engine/spool/spool.h"

struct places;

enum { PLACES_MAX = 1024, PLACE_HOST_MAX = 64 };

struct place {
	uint8_t origin[SPOOL_ID];
	uint64_t next; /* first packet that the client did not take */
};

struct places *places_new(void);
void places_free(struct places *p); /* NULL is fine */

/* `peer` is "address:port"; the port does not count. */
void places_put(struct places *p, const char *peer, const struct place *place);
bool places_get(struct places *p, const char *peer, struct place *place);

/* Do both have the same address? */
bool places_same_host(const char *peer, const char *other);

#endif
