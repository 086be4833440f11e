/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/feed/chunk.h"

#include <assert.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/mem.h"
#include "codec/expression.h"
#include "codec/record.h"

enum { BUCKETS = 4096 };

/* -- one chunk ------------------------------------------------------------- */

static bool wants(const struct variant *v, const struct packet *p)
{
	return !v->filter || expression_matches(v->filter, p);
}

static size_t size_of(const struct variant *v, const struct packet *p)
{
	size_t len = p->data.len < v->snaplen ? p->data.len : v->snaplen;

	return RECORD_HEADER + len;
}

/* Do clients get the bytes of the run as they lie in the spool? */
static bool check_plain(struct chunk *k, const struct variant *v,
			struct bytes records)
{
	struct cursor c = cursor_on(records);
	struct packet p;

	for (uint32_t i = 0; record_next(&c, &p) == 0; i++) {
		if (i < k->key.skip)
			k->head += (uint32_t)(RECORD_HEADER + p.data.len);
		else if (p.data.len > v->snaplen)
			return false;
		else
			k->records++;
	}
	k->len = records.len - k->head;
	k->plain = true;
	return true;
}

/* A filter may have left little of a large run. */
static void give_back(struct buf *b)
{
	if (b->len == 0) {
		buf_release(b);
	} else if (b->cap / 2 > b->len) {
		b->p = mem_grow(b->p, b->len);
		b->cap = b->len;
	}
}

/* In place: what comes out of a record is never longer than the record. */
static void convert(struct chunk *k, const struct variant *v,
		    struct buf *records)
{
	struct cursor c = cursor_on(buf_bytes(records));
	uint8_t *to = records->p;
	struct packet p;

	for (uint32_t i = 0; record_next(&c, &p) == 0; i++) {
		const uint8_t *from = p.data.p;

		if (i < k->key.skip)
			continue;
		if (!wants(v, &p)) {
			k->left_out++;
			continue;
		}
		if (p.data.len > v->snaplen) {
			p.data.len = v->snaplen;
			k->clipped++;
		}
		if (v->nano)
			record_head_at(to, &p);
		else
			record_head_micro_at(to, &p);
		if (to + RECORD_HEADER != from)
			memmove(to + RECORD_HEADER, from, p.data.len);
		to += RECORD_HEADER + p.data.len;
		k->records++;
	}
	k->len = records->len = (size_t)(to - records->p);
	k->bytes = *records;
	give_back(&k->bytes);
}

int chunk_make(struct chunk *k, const struct variant *v, struct buf *records)
{
	struct cursor c = cursor_on(buf_bytes(records));
	struct packet p;
	int rc;

	*k = (struct chunk){ .key = k->key };
	while ((rc = record_next(&c, &p)) == 0)
		;
	if (rc != ERR_END) {
		buf_release(records);
		return ERR_MALFORMED;
	}
	if (v->nano && !v->filter && check_plain(k, v, buf_bytes(records)))
		return 0;
	k->records = k->head = 0;
	convert(k, v, records);
	*records = (struct buf){ 0 };
	return 0;
}

void chunk_release(struct chunk *k)
{
	buf_release(&k->bytes);
	*k = (struct chunk){ 0 };
}

size_t chunk_record_end(struct bytes bytes, size_t at, uint32_t *records)
{
	struct cursor c = cursor_on(bytes);
	size_t end = 0;

	*records = 0;
	/* The fraction may be in microseconds; lengths lie where they did. */
	while (end < at) {
		uint32_t len;

		skip_bytes(&c, 8);
		len = get_le32(&c);
		skip_bytes(&c, 4);
		skip_bytes(&c, len);
		assert(!c.short_);
		end += RECORD_HEADER + len;
		++*records;
	}
	return end;
}

uint32_t chunk_packets_in(const struct variant *v, struct bytes records,
			  uint32_t skip, size_t len)
{
	struct cursor c = cursor_on(records);
	struct packet p;
	uint32_t n = 0;
	size_t end = 0;

	for (; record_next(&c, &p) == 0; n++) {
		if (n < skip || !wants(v, &p))
			continue;
		end += size_of(v, &p);
		if (end > len)
			break;
	}
	return n;
}

/* -- the cache ------------------------------------------------------------- */

struct chunk_cache {
	uint64_t max, bytes;
	struct buf spare;
	struct chunk *oldest, *newest;
	struct chunk *buckets[BUCKETS];
};

struct chunk_cache *chunk_cache_new(uint64_t bytes_max)
{
	struct chunk_cache *c = mem_alloc(sizeof(*c));

	c->max = bytes_max;
	return c;
}

static struct chunk **bucket(struct chunk_cache *c, const struct chunk_key *key)
{
	uint64_t h = (key->first + key->skip) * UINT64_C(0x9e3779b97f4a7c15);

	return &c->buckets[(h >> 32) % BUCKETS];
}

static bool same(const struct chunk_key *a, const struct chunk_key *b)
{
	return a->first == b->first && a->skip == b->skip &&
	       memcmp(a->spool, b->spool, SPOOL_ID) == 0;
}

static void unlink_age(struct chunk_cache *c, struct chunk *k)
{
	*(k->older ? &k->older->newer : &c->oldest) = k->newer;
	*(k->newer ? &k->newer->older : &c->newest) = k->older;
}

static void link_newest(struct chunk_cache *c, struct chunk *k)
{
	k->older = c->newest;
	k->newer = NULL;
	*(c->newest ? &c->newest->newer : &c->oldest) = k;
	c->newest = k;
}

static uint64_t weight(const struct chunk *k)
{
	return sizeof(*k) + k->bytes.cap;
}

static void drop(struct chunk_cache *c, struct chunk *k)
{
	struct chunk **at = bucket(c, &k->key);

	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	unlink_age(c, k);
	c->bytes -= weight(k);
	chunk_cache_give_back(c, &k->bytes);
	chunk_release(k);
	free(k);
}

struct chunk *chunk_cache_find(struct chunk_cache *c,
			       const struct chunk_key *key)
{
	struct chunk *k = *bucket(c, key);

	while (k && !same(&k->key, key))
		k = k->next;
	if (k && k != c->newest) {
		unlink_age(c, k);
		link_newest(c, k);
	}
	return k;
}

struct chunk *chunk_cache_add(struct chunk_cache *c, struct chunk *k)
{
	struct chunk **at = bucket(c, &k->key);
	struct chunk *mine = mem_alloc(sizeof(*mine));

	assert(!chunk_cache_find(c, &k->key));
	while (c->oldest && c->bytes + weight(k) > c->max)
		drop(c, c->oldest);
	*mine = *k;
	*k = (struct chunk){ 0 };
	mine->next = *at;
	*at = mine;
	link_newest(c, mine);
	c->bytes += weight(mine);
	return mine;
}

void chunk_cache_drop(struct chunk_cache *c, const struct chunk_key *key)
{
	struct chunk *k = chunk_cache_find(c, key);

	if (k)
		drop(c, k);
}

void chunk_cache_clear(struct chunk_cache *c)
{
	while (c->oldest)
		drop(c, c->oldest);
}

struct buf chunk_cache_spare(struct chunk_cache *c)
{
	struct buf b = { .p = c->spare.p, .cap = c->spare.cap };

	c->spare = (struct buf){ 0 };
	return b;
}

/* The larger of the two is kept. */
void chunk_cache_give_back(struct chunk_cache *c, struct buf *b)
{
	struct buf other = c->spare;

	if (b->cap > other.cap) {
		c->spare = *b;
		*b = other;
	}
	buf_release(b);
}

uint64_t chunk_cache_bytes(const struct chunk_cache *c)
{
	return c->bytes;
}

void chunk_cache_free(struct chunk_cache *c)
{
	if (c) {
		chunk_cache_clear(c);
		buf_release(&c->spare);
	}
	free(c);
}
