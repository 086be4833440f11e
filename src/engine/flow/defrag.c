/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/flow/defrag.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/siphash.h"

enum {
	NONE = UINT32_MAX,
	DATAGRAM_MAX = 65535,
	ROOM_STEP = 4096 /* bytes that a datagram's memory grows by */
};

/* Bytes [start, end) are there. */
struct piece {
	uint32_t start, end;
};

struct key {
	uint8_t src[16], dst[16];
	uint32_t id;
	uint8_t protocol, version;
	uint8_t pad[2];
};

struct datagram {
	struct key key;
	uint32_t chain;	       /* next in the bucket, or free */
	uint32_t older, newer; /* by the time of the first piece */
	uint64_t since_ns;
	uint32_t total; /* 0 until the last piece has come */
	uint32_t n;
	uint32_t room;
	bool poisoned; /* dropped: swallow what still comes */
	uint8_t *bytes;
	struct piece *pieces; /* sorted, not touching */
};

struct defrag {
	struct defrag_config cfg;
	struct siphash_key hash_key;
	struct datagram *datagrams;
	uint32_t *buckets;
	uint32_t mask;
	uint32_t free, oldest, newest;
	uint8_t *out; /* the last whole one */
	struct defrag_counters counters;
};

struct defrag *defrag_new(const struct defrag_config *cfg,
			  const uint8_t seed[16])
{
	struct defrag *g = mem_alloc(sizeof(*g));
	uint32_t n = 64;

	assert(cfg->datagrams_max > 0 && cfg->pieces_max > 1);
	while (n < cfg->datagrams_max)
		n *= 2;
	g->cfg = *cfg;
	memcpy(&g->hash_key, seed, sizeof(g->hash_key));
	g->datagrams = mem_array(cfg->datagrams_max, sizeof(*g->datagrams));
	g->buckets = mem_array(n, sizeof(*g->buckets));
	memset(g->buckets, 0xff, n * sizeof(*g->buckets));
	g->mask = n - 1;
	g->oldest = g->newest = NONE;
	for (uint32_t i = 0; i < cfg->datagrams_max; i++)
		g->datagrams[i].chain =
			i + 1 < cfg->datagrams_max ? i + 1 : NONE;
	return g;
}

static void give_back(struct defrag *g, struct datagram *d)
{
	g->counters.bytes -= d->room;
	free(d->bytes);
	free(d->pieces);
	d->bytes = NULL;
	d->pieces = NULL;
	d->room = d->n = 0;
}

void defrag_free(struct defrag *g)
{
	if (!g)
		return;
	for (uint32_t i = g->oldest; i != NONE; i = g->datagrams[i].newer)
		give_back(g, &g->datagrams[i]);
	free(g->out);
	free(g->buckets);
	free(g->datagrams);
	free(g);
}

static uint32_t number_of(const struct defrag *g, const struct datagram *d)
{
	return (uint32_t)(d - g->datagrams);
}

static uint32_t *bucket_of(struct defrag *g, const struct key *key)
{
	uint64_t h = siphash(&g->hash_key, bytes_of(key, sizeof(*key)));

	return &g->buckets[h & g->mask];
}

static void drop(struct defrag *g, struct datagram *d)
{
	uint32_t *link = bucket_of(g, &d->key);

	give_back(g, d);
	while (*link != number_of(g, d))
		link = &g->datagrams[*link].chain;
	*link = d->chain;
	if (d->older == NONE)
		g->oldest = d->newer;
	else
		g->datagrams[d->older].newer = d->newer;
	if (d->newer == NONE)
		g->newest = d->older;
	else
		g->datagrams[d->newer].older = d->older;
	d->chain = g->free;
	g->free = number_of(g, d);
	g->counters.waiting--;
}

static struct key key_of(const struct decoded *d)
{
	struct key key = { .id = d->piece.id, .version = d->src.version };

	memcpy(key.src, d->src.b, 16);
	memcpy(key.dst, d->dst.b, 16);
	/* Pieces of an IPv6 datagram need not agree on what comes next. */
	if (d->src.version == 4)
		key.protocol = d->protocol;
	return key;
}

static struct datagram *find_or_begin(struct defrag *g,
				      const struct decoded *from,
				      uint64_t now_ns)
{
	struct key key = key_of(from);
	uint32_t *bucket = bucket_of(g, &key);
	struct datagram *d;

	for (uint32_t i = *bucket; i != NONE; i = g->datagrams[i].chain)
		if (memcmp(&g->datagrams[i].key, &key, sizeof(key)) == 0)
			return &g->datagrams[i];
	if (g->free == NONE) {
		g->counters.evicted++;
		drop(g, &g->datagrams[g->oldest]);
	}
	d = &g->datagrams[g->free];
	g->free = d->chain;
	*d = (struct datagram){ .key = key, .since_ns = now_ns,
				.chain = *bucket, .older = g->newest,
				.newer = NONE };
	*bucket = number_of(g, d);
	if (g->newest == NONE)
		g->oldest = number_of(g, d);
	else
		g->datagrams[g->newest].newer = number_of(g, d);
	g->newest = number_of(g, d);
	g->counters.waiting++;
	return d;
}

static void forget_old(struct defrag *g, uint64_t now_ns)
{
	while (g->oldest != NONE &&
	       now_ns > g->datagrams[g->oldest].since_ns + g->cfg.wait_ns) {
		g->counters.timed_out++;
		drop(g, &g->datagrams[g->oldest]);
	}
}

static bool make_room(struct defrag *g, struct datagram *d, uint32_t end)
{
	uint32_t room = (end + ROOM_STEP - 1) / ROOM_STEP * ROOM_STEP;

	if (!d->pieces)
		d->pieces = mem_array(g->cfg.pieces_max, sizeof(*d->pieces));
	if (room <= d->room)
		return true;
	while (g->counters.bytes + room - d->room > g->cfg.bytes_max) {
		struct datagram *oldest = &g->datagrams[g->oldest];

		if (oldest == d)
			return false;
		g->counters.evicted++;
		drop(g, oldest);
	}
	d->bytes = mem_grow(d->bytes, room);
	g->counters.bytes += room - d->room;
	d->room = room;
	return true;
}

enum verdict { KEEP, REPEATED, OVERLAP };

/* What the new range does to the ones that are there; *at is its place. */
static enum verdict judge(const struct datagram *d, uint32_t start,
			  uint32_t end, uint32_t *at)
{
	uint32_t i = 0;

	while (i < d->n && d->pieces[i].end <= start)
		i++;
	*at = i;
	if (i == d->n || d->pieces[i].start >= end)
		return KEEP;
	return start >= d->pieces[i].start && end <= d->pieces[i].end
		       ? REPEATED
		       : OVERLAP;
}

/* Put the range at place `at`, joining neighbours that touch. */
static void add(struct datagram *d, uint32_t at, uint32_t start, uint32_t end)
{
	bool left = at > 0 && d->pieces[at - 1].end == start;
	bool right = at < d->n && d->pieces[at].start == end;

	if (left && right) {
		d->pieces[at - 1].end = d->pieces[at].end;
		memmove(&d->pieces[at], &d->pieces[at + 1],
			(d->n - at - 1) * sizeof(*d->pieces));
		d->n--;
	} else if (left) {
		d->pieces[at - 1].end = end;
	} else if (right) {
		d->pieces[at].start = start;
	} else {
		memmove(&d->pieces[at + 1], &d->pieces[at],
			(d->n - at) * sizeof(*d->pieces));
		d->pieces[at] = (struct piece){ start, end };
		d->n++;
	}
}

static void poison(struct defrag *g, struct datagram *d)
{
	give_back(g, d);
	d->poisoned = true;
	g->counters.overlaps++;
}

static bool is_whole(const struct datagram *d)
{
	return d->total && d->n == 1 && d->pieces[0].start == 0 &&
	       d->pieces[0].end == d->total;
}

static void hand_out(struct defrag *g, struct datagram *whole,
		     struct decoded *d)
{
	free(g->out);
	g->out = whole->bytes;
	whole->bytes = NULL;
	g->counters.bytes -= whole->room;
	whole->room = 0;
	g->counters.whole++;
	d->missing = 0;
	decode_datagram(bytes_of(g->out, whole->total), d);
}

/* A piece that was itself cut by the capture, or lies outside of any datagram. */
static bool cannot_be(const struct decoded *d)
{
	const struct decoded_piece *p = &d->piece;

	return d->missing || !p->data.len ||
	       p->offset + p->data.len > DATAGRAM_MAX ||
	       (p->more && p->data.len % 8);
}

bool defrag_put(struct defrag *g, struct decoded *d, uint64_t now_ns)
{
	uint32_t start = d->piece.offset;
	uint32_t end = start + (uint32_t)d->piece.data.len;
	struct datagram *whole;
	uint32_t at;

	g->counters.pieces++;
	forget_old(g, now_ns);
	if (cannot_be(d)) {
		g->counters.broken++;
		return false;
	}
	whole = find_or_begin(g, d, now_ns);
	if (whole->poisoned)
		return false;
	if (!d->piece.more && whole->total && whole->total != end) {
		poison(g, whole);
		return false;
	}
	if (!make_room(g, whole, end)) {
		g->counters.evicted++;
		drop(g, whole);
		return false;
	}
	switch (judge(whole, start, end, &at)) {
	case REPEATED:
		g->counters.repeated++;
		return false;
	case OVERLAP:
		poison(g, whole);
		return false;
	case KEEP:
		break;
	}
	if (whole->n == g->cfg.pieces_max ||
	    (whole->total && end > whole->total) ||
	    (!d->piece.more && whole->n &&
	     whole->pieces[whole->n - 1].end > end)) {
		poison(g, whole);
		return false;
	}
	memcpy(whole->bytes + start, d->piece.data.p, d->piece.data.len);
	add(whole, at, start, end);
	if (!d->piece.more)
		whole->total = end;
	if (!is_whole(whole))
		return false;
	hand_out(g, whole, d);
	drop(g, whole);
	return true;
}

void defrag_counters(const struct defrag *g, struct defrag_counters *c)
{
	*c = g->counters;
}
