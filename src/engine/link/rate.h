/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rate.h - how often one address may knock, and how often that is told.
 *
 * A table of fixed size: when it is full, the entry that was idle longest
 * gives way, so a flood from many addresses costs nothing but its own entries.
 */
#ifndef ENGINE_LINK_RATE_H
#define ENGINE_LINK_RATE_H

#include <stdbool.h>
#include <stdint.h>

enum { RATE_ENTRIES = 1024 };

struct rate_entry;

struct rate {
	struct rate_entry *entries; /* owned */
	unsigned per_second, burst;
};

void rate_init(struct rate *r, unsigned per_second, unsigned burst);
void rate_release(struct rate *r);

/* May this "address:port" go on now?  Its port does not count. */
bool rate_allows(struct rate *r, const char *peer, uint64_t now_ns);

/* One line a second. */
struct rate_log {
	uint64_t told_ns, untold;
	bool began;
};

/* True when a line may be written; `more` says how many were not. */
bool rate_log(struct rate_log *l, uint64_t now_ns, char more[64]);

#endif
