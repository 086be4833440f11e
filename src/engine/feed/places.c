/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/feed/places.h"

#include <stdlib.h>

#include "base/mem.h"

struct entry {
	char host[PLACE_HOST_MAX];
	struct place place;
	uint64_t touched; /* 0: the entry is free */
};

struct places {
	uint64_t now; /* counts touches */
	struct entry at[PLACES_MAX];
};

struct places *places_new(void)
{
	return mem_alloc(sizeof(struct places));
}

void places_free(struct places *p)
{
	free(p);
}

static size_t host_len(const char *peer)
{
	const char *colon = strrchr(peer, ':');

	return colon ? (size_t)(colon - peer) : strlen(peer);
}

bool places_same_host(const char *peer, const char *other)
{
	size_t len = host_len(peer);

	return len == host_len(other) && memcmp(peer, other, len) == 0;
}

static struct entry *find(struct places *p, const char *peer)
{
	size_t len = host_len(peer);

	for (struct entry *e = p->at; e < p->at + PLACES_MAX; e++)
		if (e->touched && strlen(e->host) == len &&
		    memcmp(e->host, peer, len) == 0)
			return e;
	return NULL;
}

void places_put(struct places *p, const char *peer, const struct place *place)
{
	struct entry *e = find(p, peer);
	size_t len = host_len(peer);

	if (len >= PLACE_HOST_MAX)
		return;
	if (!e) {
		e = p->at;
		for (struct entry *x = p->at; x < p->at + PLACES_MAX; x++)
			if (x->touched < e->touched)
				e = x;
	}
	memcpy(e->host, peer, len);
	e->host[len] = 0;
	e->place = *place;
	e->touched = ++p->now;
}

bool places_get(struct places *p, const char *peer, struct place *place)
{
	struct entry *e = find(p, peer);

	if (!e)
		return false;
	e->touched = ++p->now;
	*place = e->place;
	return true;
}
