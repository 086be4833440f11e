/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dedup.c - a ring of the packets of the window, and a table into it.
 */
#include "engine/sift/dedup.h"

#include <stdlib.h>
#include <sys/random.h>

#include "base/mem.h"
#include "base/siphash.h"

enum { TABLE = 2 * DEDUP_MAX, HEAD_MAX = 40, NONE = -1 };

struct seen {
	uint64_t hash[2];
	uint64_t time_ns;
	int32_t next; /* of the same place in the table */
};

struct dedup {
	uint64_t window_ns;
	struct siphash_key keys[2];
	struct seen *ring; /* owned */
	uint32_t cap, first, n;
	int32_t *table; /* owned */
	uint64_t forgotten;
};

struct dedup *dedup_new(uint64_t window_ns)
{
	struct dedup *d = mem_alloc(sizeof(*d));

	d->window_ns = window_ns;
	if (getrandom(d->keys, sizeof(d->keys), 0) < 0)
		memset(d->keys, 0x5a, sizeof(d->keys));
	d->ring = mem_array(DEDUP_MAX, sizeof(*d->ring));
	d->cap = DEDUP_MAX;
	d->table = mem_array(TABLE, sizeof(*d->table));
	memset(d->table, 0xff, TABLE * sizeof(*d->table));
	return d;
}

void dedup_free(struct dedup *d)
{
	if (!d)
		return;
	free(d->ring);
	free(d->table);
	free(d);
}

/*
 * The header without what a router changes: time to live and checksum in
 * IPv4, the hop limit in IPv6.
 */
static size_t steady_head(struct bytes in, uint8_t head[HEAD_MAX])
{
	uint8_t version = in.len ? in.p[0] >> 4 : 0;
	size_t len = version == 4 ? 20 : version == 6 ? 40 : 0;

	if (!len || in.len < len)
		return 0;
	memcpy(head, in.p, len);
	if (version == 4)
		head[8] = head[10] = head[11] = 0;
	else
		head[7] = 0;
	return len;
}

static bool hash_packet(const struct dedup *d, struct bytes in,
			uint64_t hash[2])
{
	uint8_t head[HEAD_MAX];
	size_t len = steady_head(in, head);

	if (!len)
		return false;
	for (int i = 0; i < 2; i++) {
		uint64_t parts[2] = {
			siphash(&d->keys[i], bytes_of(head, len)),
			siphash(&d->keys[i],
				bytes_of(in.p + len, in.len - len)),
		};

		hash[i] = siphash(&d->keys[i], bytes_of(parts, sizeof(parts)));
	}
	return true;
}

static void forget_oldest(struct dedup *d)
{
	struct seen *old = &d->ring[d->first];
	int32_t *at = &d->table[old->hash[0] % TABLE];

	while (*at != (int32_t)d->first)
		at = &d->ring[*at].next;
	*at = old->next;
	d->first = (d->first + 1) % d->cap;
	d->n--;
}

static uint64_t apart(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

static void expire(struct dedup *d, uint64_t now_ns)
{
	while (d->n && now_ns > d->ring[d->first].time_ns &&
	       now_ns - d->ring[d->first].time_ns > d->window_ns)
		forget_oldest(d);
	if (d->n == d->cap) {
		forget_oldest(d);
		d->forgotten++;
	}
}

static void keep(struct dedup *d, const uint64_t hash[2], uint64_t time_ns)
{
	uint32_t place = (d->first + d->n) % d->cap;
	int32_t *at = &d->table[hash[0] % TABLE];

	d->ring[place] = (struct seen){ .hash = { hash[0], hash[1] },
					.time_ns = time_ns,
					.next = *at };
	*at = (int32_t)place;
	d->n++;
}

bool dedup_seen(struct dedup *d, struct bytes network, uint64_t time_ns)
{
	uint64_t hash[2];

	if (!hash_packet(d, network, hash))
		return false;
	expire(d, time_ns);
	for (int32_t i = d->table[hash[0] % TABLE]; i != NONE;
	     i = d->ring[i].next)
		if (d->ring[i].hash[0] == hash[0] &&
		    d->ring[i].hash[1] == hash[1] &&
		    apart(d->ring[i].time_ns, time_ns) <= d->window_ns)
			return true;
	keep(d, hash, time_ns);
	return false;
}

uint64_t dedup_forgotten(const struct dedup *d)
{
	return d->forgotten;
}
