/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow_priv.h - what table.c, tcp.c and early.c share.
 */
#ifndef ENGINE_FLOW_FLOW_PRIV_H
#define ENGINE_FLOW_FLOW_PRIV_H

#include "base/siphash.h"
#include "engine/flow/flow.h"

enum {
	NONE = UINT32_MAX, /* no index */
	BLOCK_ROOM = 2032  /* payload bytes in a block of waiting data */
};

/* A piece of waiting payload, in a chain. */
struct block {
	uint32_t next;
	uint32_t len;
	uint64_t unused;
	uint8_t bytes[BLOCK_ROOM];
};

/* Waiting payload without a hole: stream offsets [start, end). */
struct early {
	uint64_t start, end;
	uint32_t next; /* of the same direction, by start; or free list */
	uint32_t first, last; /* blocks */
};

/* One direction of a TCP connection, as its receiver sees it. */
struct tcp_way {
	uint32_t base;	      /* sequence number of offset 0 */
	bool based;	      /* base is known */
	bool fin_known;
	uint64_t fin_at;      /* offset behind the last byte */
	uint64_t acked;	      /* the other side has everything below */
	uint64_t hole_ns;     /* since when a hole was acknowledged; 0: none */
	uint64_t source_gaps; /* of the table, when last in order */
	uint32_t early;	      /* first of the waiting, by start */
	uint32_t early_n;
	uint64_t early_bytes; /* in whole blocks */
};

enum list { LIST_HALF_OPEN, LIST_OPEN, LIST_CLOSED, LISTS };

struct entry {
	struct flow flow;
	struct tcp_way tcp[2];
	uint32_t hash;
	uint32_t chain;	     /* next in the bucket, or in the free list */
	uint32_t older, newer;
	uint32_t before, after; /* in the order of their first packets */
	uint8_t list;
	bool used;
	bool again;	     /* a SYN with another number came */
	uint8_t again_way;
	uint32_t again_seq;
};

struct lru {
	uint32_t oldest, newest;
	uint32_t n;
};

struct flow_table {
	struct flow_config cfg;
	struct flow_sink sink;
	struct siphash_key key;
	struct entry *entries; /* cfg.flows_max, pages touched when used */
	uint32_t *buckets;
	uint32_t bucket_mask;
	uint32_t free_entry, fresh_entry;
	struct lru lists[LISTS];
	uint32_t first_born, last_born;
	struct early *earlies;
	uint32_t earlies_max, free_early, fresh_early;
	struct block *blocks;
	uint32_t blocks_max, free_block, fresh_block, blocks_used;
	uint64_t now_ns;
	uint64_t source_gaps;
	struct flow_counters counters;
};

/* -- tcp.c ---------------------------------------------------------------- */

/* Take one segment; the flow is the right one for it. */
void tcp_segment(struct flow_table *t, struct entry *e, int way,
		 const struct decoded *d, const struct flow_packet *p);

/* Is this SYN the first sign of another connection?  May only note it. */
bool tcp_is_reuse(struct flow_table *t, struct entry *e, int way,
		  const struct decoded *d);

/* The flow ends: give everything that waits, with its gaps. */
void tcp_flush(struct flow_table *t, struct entry *e);

/* -- early.c: payload that came before its turn ---------------------------- */

bool early_init(struct flow_table *t);
void early_release(struct flow_table *t);

/*
 * Keep bytes [offset, offset + len) of a direction, resolving overlaps by the
 * table's policy.  False when a cap forbids it; nothing has changed then.
 */
bool early_put(struct flow_table *t, struct entry *e, int way, uint64_t offset,
	       struct bytes data, uint64_t time_ns);

/* Where the first waiting byte is; UINT64_MAX when none waits. */
uint64_t early_start(const struct flow_table *t, const struct tcp_way *w);

/*
 * Hand the first waiting run on from tcp offset `from` (what lies below is
 * dropped) with give(arg, offset, bytes) and forget it; returns its end.
 */
uint64_t early_take(struct flow_table *t, struct tcp_way *w, uint64_t from,
		    void (*give)(void *arg, uint64_t offset, struct bytes b),
		    void *arg);

void early_drop_all(struct flow_table *t, struct tcp_way *w);

/* -- table.c --------------------------------------------------------------- */

void *pool_map(size_t n, size_t size);
void pool_unmap(void *p, size_t n, size_t size);

#endif
