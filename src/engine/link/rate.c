/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/link/rate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { WAYS = 8, ADDRESS = 48 };

static const uint64_t second_ns = UINT64_C(1000000000);

struct rate_entry {
	char address[ADDRESS];
	uint64_t seen_ns;
	uint64_t tokens_ns; /* one connection costs second / per_second */
};

void rate_init(struct rate *r, unsigned per_second, unsigned burst)
{
	r->entries = mem_array(RATE_ENTRIES, sizeof(struct rate_entry));
	r->per_second = per_second;
	r->burst = burst;
}

void rate_release(struct rate *r)
{
	free(r->entries);
	r->entries = NULL;
}

static uint32_t hash(const char *text)
{
	uint32_t h = 2166136261u;

	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * 16777619u;
	return h;
}

/*
 * Its entry, or the one of its set that was idle longest.  Somebody who knows
 * the hash can push out one other address; that one only gets a fresh burst.
 */
static struct rate_entry *find(struct rate *r, const char *address)
{
	struct rate_entry *set =
		r->entries + hash(address) % (RATE_ENTRIES / WAYS) * WAYS;
	struct rate_entry *oldest = set;

	for (struct rate_entry *e = set; e < set + WAYS; e++) {
		if (strcmp(e->address, address) == 0)
			return e;
		if (e->seen_ns < oldest->seen_ns)
			oldest = e;
	}
	memset(oldest, 0, sizeof(*oldest));
	strcpy(oldest->address, address);
	return oldest;
}

bool rate_allows(struct rate *r, const char *peer, uint64_t now_ns)
{
	const uint64_t price = second_ns / r->per_second;
	const uint64_t most = price * r->burst;
	const char *colon = strrchr(peer, ':');
	char address[ADDRESS];
	struct rate_entry *e;

	snprintf(address, sizeof(address), "%.*s",
		 colon ? (int)(colon - peer) : (int)strlen(peer), peer);
	e = find(r, address);
	e->tokens_ns += e->seen_ns ? now_ns - e->seen_ns : most;
	if (e->tokens_ns > most)
		e->tokens_ns = most;
	e->seen_ns = now_ns;
	if (e->tokens_ns < price)
		return false;
	e->tokens_ns -= price;
	return true;
}

bool rate_log(struct rate_log *l, uint64_t now_ns, char more[64])
{
	if (l->began && now_ns - l->told_ns < second_ns) {
		l->untold++;
		return false;
	}
	more[0] = '\0';
	if (l->untold)
		snprintf(more, 64, " (and %llu more like it)",
			 (unsigned long long)l->untold);
	l->began = true;
	l->told_ns = now_ns;
	l->untold = 0;
	return true;
}
