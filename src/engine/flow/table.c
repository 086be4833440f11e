/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.c - finding the flow of a packet, and ending flows in time.
 *
 * Entries lie in one array; a bucket is a chain of entry numbers, a list of
 * age is a doubly linked one, so that every operation costs the same at any
 * size.  There are three lists (half open, open, closed) since each has its
 * own time limit, and half-open ones a limit of their own.
 */
#include "engine/flow/flow_priv.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/mem.h"

enum {
	TICK_WORK = 256, /* flows ended by one tick at the most */
	PACKET_WORK = 2, /* and by one packet */
	MANY = 8	 /* half-open flows for as many open ones */
};

/* -- memory ------------------------------------------------------------------- */

/* Address space now, memory when it is touched. */
void *pool_map(size_t n, size_t size)
{
	void *p = mmap(NULL, (n ? n : 1) * size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void pool_unmap(void *p, size_t n, size_t size)
{
	if (p)
		munmap(p, (n ? n : 1) * size);
}

static uint32_t power_of_two_over(uint32_t n)
{
	uint32_t p = 1024;

	while (p < n && p < (UINT32_C(1) << 31))
		p *= 2;
	return p;
}

struct flow_table *flow_table_new(const struct flow_config *cfg,
				  const struct flow_sink *sink)
{
	struct flow_table *t = mem_alloc(sizeof(*t));
	uint32_t n = power_of_two_over(cfg->flows_max);

	assert(cfg->flows_max > 0 && cfg->half_open_max > 0 &&
	       cfg->early_segments_max > 0);
	t->cfg = *cfg;
	t->sink = *sink;
	memcpy(&t->key, cfg->seed, sizeof(t->key));
	t->bucket_mask = n - 1;
	t->buckets = mem_array(n, sizeof(*t->buckets));
	memset(t->buckets, 0xff, n * sizeof(*t->buckets));
	t->free_entry = NONE;
	for (int i = 0; i < LISTS; i++)
		t->lists[i].oldest = t->lists[i].newest = NONE;
	t->first_born = t->last_born = NONE;
	t->entries = pool_map(cfg->flows_max, sizeof(*t->entries));
	if (!t->entries || !early_init(t)) {
		flow_table_free(t);
		return NULL;
	}
	return t;
}

void flow_table_free(struct flow_table *t)
{
	if (!t)
		return;
	early_release(t);
	pool_unmap(t->entries, t->cfg.flows_max, sizeof(*t->entries));
	free(t->buckets);
	free(t);
}

/* -- lists of age ---------------------------------------------------------------- */

static uint32_t number_of(const struct flow_table *t, const struct entry *e)
{
	return (uint32_t)(e - t->entries);
}

static void unlink_age(struct flow_table *t, struct entry *e)
{
	struct lru *l = &t->lists[e->list];

	if (e->older == NONE)
		l->oldest = e->newer;
	else
		t->entries[e->older].newer = e->newer;
	if (e->newer == NONE)
		l->newest = e->older;
	else
		t->entries[e->newer].older = e->older;
	l->n--;
}

static void link_newest(struct flow_table *t, struct entry *e, enum list list)
{
	struct lru *l = &t->lists[list];

	e->list = (uint8_t)list;
	e->older = l->newest;
	e->newer = NONE;
	if (l->newest == NONE)
		l->oldest = number_of(t, e);
	else
		t->entries[l->newest].newer = number_of(t, e);
	l->newest = number_of(t, e);
	l->n++;
}

static enum list list_for(const struct flow *f)
{
	if (f->state == FLOW_CLOSED)
		return LIST_CLOSED;
	return f->state == FLOW_HALF_OPEN ? LIST_HALF_OPEN : LIST_OPEN;
}

static void touch(struct flow_table *t, struct entry *e)
{
	unlink_age(t, e);
	link_newest(t, e, list_for(&e->flow));
}

static void link_born(struct flow_table *t, struct entry *e)
{
	uint32_t n = number_of(t, e);

	e->before = t->last_born;
	e->after = NONE;
	if (t->last_born == NONE)
		t->first_born = n;
	else
		t->entries[t->last_born].after = n;
	t->last_born = n;
}

static void unlink_born(struct flow_table *t, struct entry *e)
{
	if (e->before == NONE)
		t->first_born = e->after;
	else
		t->entries[e->before].after = e->after;
	if (e->after == NONE)
		t->last_born = e->before;
	else
		t->entries[e->after].before = e->before;
}

uint64_t flow_table_oldest(const struct flow_table *t, uint64_t none)
{
	return t->first_born == NONE
		       ? none
		       : t->entries[t->first_born].flow.first_index;
}

/* -- keys -------------------------------------------------------------------------- */

static int compare_ends(const struct flow_endpoint *a,
			const struct flow_endpoint *b)
{
	int d = (int)a->address.version - (int)b->address.version;

	if (!d)
		d = memcmp(a->address.b, b->address.b, sizeof(a->address.b));
	return d ? d : (int)a->port - (int)b->port;
}

/* The endpoints in their order; returns the way that this packet goes. */
static int ends_of(const struct decoded *d, struct flow_endpoint end[2])
{
	struct flow_endpoint from = { d->src, d->src_port };
	struct flow_endpoint to = { d->dst, d->dst_port };
	int way = compare_ends(&from, &to) > 0;

	end[way] = from;
	end[!way] = to;
	return way;
}

static uint64_t hash_ends(const struct siphash_key *key, uint8_t protocol,
			  const struct flow_endpoint end[2])
{
	uint8_t b[2 * 18 + 1];

	for (int i = 0; i < 2; i++) {
		memcpy(b + 18 * i, end[i].address.b, 16);
		memcpy(b + 18 * i + 16, &end[i].port, 2);
	}
	b[36] = protocol;
	return siphash(key, bytes_of(b, sizeof(b)));
}

uint64_t flow_hash(const struct siphash_key *key, const struct decoded *d)
{
	struct flow_endpoint end[2];

	ends_of(d, end);
	return hash_ends(key, d->protocol, end);
}

/* FNV-1a over protocol, then family, address and port of both ends. */
uint64_t flow_endpoint_hash(const struct flow *f)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	uint8_t b[64];
	size_t n = 0;

	b[n++] = f->protocol == IP_TCP ? 1 : f->protocol == IP_UDP ? 2 : 3;
	for (int i = 0; i < 2; i++) {
		bool v4 = f->end[i].address.version == 4;
		size_t len = v4 ? 4 : 16;

		b[n++] = v4 ? 4 : 6;
		memcpy(b + n, f->end[i].address.b + (v4 ? 12 : 0), len);
		n += len;
		b[n++] = (uint8_t)(f->end[i].port >> 8);
		b[n++] = (uint8_t)f->end[i].port;
	}
	for (size_t i = 0; i < n; i++)
		h = (h ^ b[i]) * UINT64_C(0x100000001b3);
	return h;
}

/* -- ending --------------------------------------------------------------------------- */

static void unchain(struct flow_table *t, struct entry *e)
{
	uint32_t *link = &t->buckets[e->hash & t->bucket_mask];

	while (*link != number_of(t, e))
		link = &t->entries[*link].chain;
	*link = e->chain;
}

static void end_flow(struct flow_table *t, struct entry *e, enum flow_end why)
{
	struct flow *f = &e->flow;

	if (f->protocol == IP_TCP)
		tcp_flush(t, e);
	if (f->ended == FLOW_END_NONE)
		f->ended = (uint8_t)why;
	f->state = FLOW_CLOSED;
	if (t->sink.closed)
		t->sink.closed(t->sink.self, f);
	for (int way = 0; way < 2; way++)
		early_drop_all(t, &e->tcp[way]);
	unchain(t, e);
	unlink_age(t, e);
	unlink_born(t, e);
	e->used = false;
	e->chain = t->free_entry;
	t->free_entry = number_of(t, e);
	t->counters.closed++;
	t->counters.open--;
}

static uint64_t limit_of(const struct flow_table *t, enum list list)
{
	return list == LIST_CLOSED ? t->cfg.closed_ns : t->cfg.idle_ns;
}

/* Quiet for too long, or from before the clock was set back. */
static bool is_over(const struct flow_table *t, const struct entry *e)
{
	uint64_t last = e->flow.last_ns;

	return t->now_ns >= last + limit_of(t, (enum list)e->list) ||
	       last >= t->now_ns + t->cfg.idle_ns;
}

static void end_over(struct flow_table *t, struct entry *e)
{
	if (e->list != LIST_CLOSED)
		t->counters.idled++;
	end_flow(t, e, FLOW_END_IDLE);
}

/* End up to `work` flows whose time is over. */
static void end_idle(struct flow_table *t, int work)
{
	for (int list = 0; list < LISTS; list++) {
		while (work && t->lists[list].oldest != NONE) {
			struct entry *e = &t->entries[t->lists[list].oldest];

			if (!is_over(t, e))
				break;
			end_over(t, e);
			work--;
		}
	}
}

/*
 * Closed ones go first, then the quietest.  Where many have no answer, these
 * go before open ones; where few have, they are handshakes under way.
 */
static uint32_t victim(const struct flow_table *t)
{
	const struct lru *half = &t->lists[LIST_HALF_OPEN];
	const struct lru *open = &t->lists[LIST_OPEN];

	if (t->lists[LIST_CLOSED].oldest != NONE)
		return t->lists[LIST_CLOSED].oldest;
	if (half->oldest == NONE || open->oldest == NONE)
		return half->oldest == NONE ? open->oldest : half->oldest;
	if (half->n >= open->n / MANY ||
	    t->entries[half->oldest].flow.last_ns <
		    t->entries[open->oldest].flow.last_ns)
		return half->oldest;
	return open->oldest;
}

bool flow_table_evict(struct flow_table *t)
{
	uint32_t i = victim(t);

	if (i == NONE)
		return false;
	t->counters.evicted++;
	end_flow(t, &t->entries[i], FLOW_END_EVICTED);
	return true;
}

size_t flow_table_weight(void)
{
	return sizeof(struct entry) + sizeof(uint32_t);
}

/* -- packets --------------------------------------------------------------------------- */

static struct entry *find(struct flow_table *t, uint32_t hash,
			  uint8_t protocol, const struct flow_endpoint end[2])
{
	uint32_t i = t->buckets[hash & t->bucket_mask];

	for (; i != NONE; i = t->entries[i].chain) {
		struct entry *e = &t->entries[i];

		if (e->hash == hash && e->flow.protocol == protocol &&
		    compare_ends(&e->flow.end[0], &end[0]) == 0 &&
		    compare_ends(&e->flow.end[1], &end[1]) == 0)
			return e;
	}
	return NULL;
}

static struct entry *fresh_entry(struct flow_table *t)
{
	uint32_t i = t->free_entry;

	if (i != NONE)
		t->free_entry = t->entries[i].chain;
	else if (t->fresh_entry < t->cfg.flows_max)
		i = t->fresh_entry++;
	return i == NONE ? NULL : &t->entries[i];
}

static struct entry *open_flow(struct flow_table *t, uint32_t hash,
			       const struct decoded *d,
			       const struct flow_packet *p,
			       const struct flow_endpoint end[2], int way)
{
	struct entry *e = fresh_entry(t);

	if (!e) {
		flow_table_evict(t);
		e = fresh_entry(t);
	}
	*e = (struct entry){
		.hash = hash,
		.used = true,
		.tcp = { { .early = NONE }, { .early = NONE } },
		.flow = {
			.end = { end[0], end[1] },
			.protocol = d->protocol,
			.state = d->protocol == IP_TCP ? FLOW_HALF_OPEN
						       : FLOW_OPEN,
			.opener = (uint8_t)way,
			.vlan = d->n_vlans ? d->vlans[0] : 0,
			.tunnels = d->tunnels,
			.first_index = p->index,
			.first_ns = p->time_ns,
			.last_ns = p->time_ns,
		},
	};
	e->chain = t->buckets[hash & t->bucket_mask];
	t->buckets[hash & t->bucket_mask] = number_of(t, e);
	link_newest(t, e, list_for(&e->flow));
	link_born(t, e);
	t->counters.opened++;
	t->counters.open++;
	if (t->sink.opened)
		t->sink.opened(t->sink.self, &e->flow);
	return e;
}

/* A connection after another that we did not see end. */
static struct entry *reopen(struct flow_table *t, struct entry *old,
			    const struct decoded *d,
			    const struct flow_packet *p, int way)
{
	struct flow_endpoint end[2] = { old->flow.end[0], old->flow.end[1] };
	bool again = old->again;
	uint8_t again_way = old->again_way;
	uint32_t again_seq = old->again_seq;
	uint32_t hash = old->hash;
	struct entry *e;

	end_flow(t, old, FLOW_END_REUSED);
	t->counters.reused++;
	e = open_flow(t, hash, d, p, end, way);
	if (again && !(d->tcp.flags & TCP_SYN && way == again_way)) {
		/* Its SYN was counted with the old one. */
		e->tcp[again_way].base = again_seq + 1;
		e->tcp[again_way].based = true;
		e->flow.way[again_way].syn = true;
		e->flow.opener = again_way;
	}
	return e;
}

static void count(struct entry *e, int way, const struct decoded *d,
		  const struct flow_packet *p)
{
	struct flow_way *w = &e->flow.way[way];

	w->packets++;
	w->bytes += p->wire_len;
	w->payload += d->payload.len + d->missing;
	if (p->time_ns > e->flow.last_ns)
		e->flow.last_ns = p->time_ns;
}

/* Each datagram is a slice of its own. */
static void datagram(struct flow_table *t, struct entry *e, int way,
		     const struct decoded *d, const struct flow_packet *p)
{
	struct flow_way *w = &e->flow.way[way];
	struct flow_slice s = { way, w->offset, d->payload, p };

	w->delivered += d->payload.len;
	w->offset += d->payload.len;
	if (d->payload.len && t->sink.slice)
		t->sink.slice(t->sink.self, &e->flow, &s);
	if (d->missing) {
		w->gaps++;
		w->gap_bytes += d->missing;
		t->counters.gaps++;
		t->counters.gap_bytes += d->missing;
		if (t->sink.gap)
			t->sink.gap(t->sink.self, &e->flow, way, w->offset,
				    d->missing, FLOW_GAP_SNAPPED, p->time_ns);
		w->offset += d->missing;
	}
}

static void limit_half_open(struct flow_table *t)
{
	if (t->lists[LIST_HALF_OPEN].n <= t->cfg.half_open_max)
		return;
	t->counters.half_open_evicted++;
	end_flow(t, &t->entries[t->lists[LIST_HALF_OPEN].oldest],
		 FLOW_END_EVICTED);
}

void flow_table_clock(struct flow_table *t, uint64_t now_ns)
{
	t->now_ns = now_ns;
}

/* The flow on these endpoints; one that is over ends here. */
static struct entry *find_open(struct flow_table *t, uint32_t hash,
			       uint8_t protocol,
			       const struct flow_endpoint end[2])
{
	struct entry *e = find(t, hash, protocol, end);

	if (!e)
		return NULL;
	if (is_over(t, e)) {
		end_over(t, e);
		return NULL;
	}
	if (e->flow.packets_known &&
	    e->flow.way[0].packets + e->flow.way[1].packets >=
		    e->flow.packets_known) {
		end_flow(t, e, FLOW_END_EVICTED);
		return NULL;
	}
	return e;
}

/* Flows begin where they did; false: the packet is of none that goes on. */
static bool fits_past(struct flow_table *t, struct entry **e,
		      const struct flow_packet *p)
{
	if (p->past == FLOW_PAST_BEGINS && *e) {
		end_flow(t, *e, FLOW_END_REUSED);
		*e = NULL;
	}
	if (p->past == FLOW_PAST_GOES_ON && !*e) {
		t->counters.tails++;
		return false;
	}
	return true;
}

void flow_table_packet(struct flow_table *t, const struct decoded *d,
		       const struct flow_packet *p)
{
	struct flow_endpoint end[2];
	int way = ends_of(d, end);
	uint32_t hash = (uint32_t)hash_ends(&t->key, d->protocol, end);
	struct entry *e;

	assert(d->status == DECODE_OK);
	if (p->time_ns > t->now_ns)
		t->now_ns = p->time_ns;
	t->counters.packets++;
	end_idle(t, PACKET_WORK);

	e = find_open(t, hash, d->protocol, end);
	if (e && d->protocol == IP_TCP && tcp_is_reuse(t, e, way, d))
		e = reopen(t, e, d, p, way);
	else if (p->past && !fits_past(t, &e, p))
		return;
	if (!e)
		e = open_flow(t, hash, d, p, end, way);
	count(e, way, d, p);
	if (d->protocol == IP_TCP)
		tcp_segment(t, e, way, d, p);
	else
		datagram(t, e, way, d, p);
	touch(t, e);
	if (t->sink.packet)
		t->sink.packet(t->sink.self, &e->flow, way, p);
	limit_half_open(t);
}

void flow_table_source_gap(struct flow_table *t, uint64_t now_ns)
{
	t->source_gaps++;
	if (now_ns > t->now_ns)
		t->now_ns = now_ns;
}

void flow_table_tick(struct flow_table *t, uint64_t now_ns)
{
	if (now_ns > t->now_ns)
		t->now_ns = now_ns;
	end_idle(t, TICK_WORK);
}

void flow_table_settle(struct flow_table *t)
{
	end_idle(t, INT_MAX);
}

void flow_table_finish(struct flow_table *t)
{
	for (int list = 0; list < LISTS; list++)
		while (t->lists[list].oldest != NONE) {
			struct entry *e = &t->entries[t->lists[list].oldest];

			if (is_over(t, e))
				end_over(t, e);
			else
				end_flow(t, e, FLOW_END_INPUT);
		}
}

void flow_table_counters(const struct flow_table *t, struct flow_counters *c)
{
	*c = t->counters;
	c->half_open = t->lists[LIST_HALF_OPEN].n;
}
