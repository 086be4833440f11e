/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunk.h - the records of one run in the form in which clients get them.
 *
 * A chunk is made once from a run and kept while there is room, so that all
 * clients of a listener share the work.  It is only a cache: making it again
 * gives the same bytes, so a client remembers no more than how many of them
 * it has sent, and pins nothing.
 *
 * Where clients get exactly what lies in the spool a chunk holds no bytes,
 * only the word that the run's checksum was right: `plain`.
 */
#ifndef ENGINE_FEED_CHUNK_H
#define ENGINE_FEED_CHUNK_H

#include "base/buf.h"
#include "engine/spool/spool.h"

struct chunk_cache;
struct expression;

/* What a listener does to records. */
struct variant {
	bool nano;
	uint32_t snaplen;		 /* longer records are cut to this */
	const struct expression *filter; /* borrowed; NULL: all packets */
};

struct chunk_key {
	uint8_t spool[SPOOL_ID]; /* the id, not the origin */
	uint64_t first;		 /* of the run */
	uint32_t skip;		 /* leading packets that are not wanted */
};

struct chunk {
	struct chunk_key key;
	bool plain;
	uint32_t head;	   /* plain: bytes of the run before the first wanted */
	size_t len;	   /* bytes to send */
	uint32_t records;  /* in them */
	uint32_t clipped;  /* how many of these are cut */
	uint32_t left_out; /* by the filter */
	struct buf bytes;  /* unless plain */
	struct chunk *older, *newer; /* of the cache: by last use */
	struct chunk *next;	     /* of the cache: in its bucket */
};

/*
 * Turn a loaded run, the content of `records`, into a chunk.  It takes the
 * buffer, unless the chunk is plain and needs none.  ERR_MALFORMED when these
 * are no whole records.
 */
int chunk_make(struct chunk *k, const struct variant *v, struct buf *records);
void chunk_release(struct chunk *k);

/* Where the record ends that byte `at` of the chunk lies in, and how many
 * there are up to it; `bytes` begin as the chunk does.  A boundary is its own
 * end. */
size_t chunk_record_end(struct bytes bytes, size_t at, uint32_t *records);

/*
 * How many packets of a run (with those that are skipped) lie wholly in the
 * first `len` bytes of its chunk, or were left out before them.
 */
uint32_t chunk_packets_in(const struct variant *v, struct bytes records,
			  uint32_t skip, size_t len);

struct chunk_cache *chunk_cache_new(uint64_t bytes_max);
void chunk_cache_free(struct chunk_cache *c);

/* Borrowed until the next call of add or clear; NULL when it is not there. */
struct chunk *chunk_cache_find(struct chunk_cache *c,
			       const struct chunk_key *key);

/*
 * Takes what *k holds; the oldest ones make room.  The new one stays in any
 * case until the next call.
 */
struct chunk *chunk_cache_add(struct chunk_cache *c, struct chunk *k);
void chunk_cache_clear(struct chunk_cache *c);

/* Nobody will ask for this one soon: its room is better used now. */
void chunk_cache_drop(struct chunk_cache *c, const struct chunk_key *key);

/*
 * An empty buffer for the next run, with the room of a chunk that went: pages
 * that are there already, and in the processor's caches if it has just gone.
 * The caller's; chunk_cache_give_back() takes one that was not needed.
 */
struct buf chunk_cache_spare(struct chunk_cache *c);
void chunk_cache_give_back(struct chunk_cache *c, struct buf *b);
uint64_t chunk_cache_bytes(const struct chunk_cache *c);

#endif
