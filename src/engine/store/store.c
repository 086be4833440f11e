/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.c - what is given to the store, while it waits to be written.
 *
 * A shard's lock is taken by its own thread, by readers that copy a range out,
 * and by the writer for as long as it takes to swap buffers.
 */
#include "engine/store/store_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "sys/sys.h"

enum { BUCKETS_FIRST = 1024, TAGS_GIVEN = 16 };

/* -- the table of a shard ------------------------------------------------------- */

/* Ids are spread by their making (streamid.h); whoever could choose them
 * could choose only those of its own streams. */
static size_t bucket_of(const struct store_shard *sh, uint64_t id)
{
	return (size_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 20) &
	       (sh->n_buckets - 1);
}

static void put_in_table(struct store_shard *sh, struct store_stream *st)
{
	size_t i = bucket_of(sh, st->id);

	st->next_same = sh->buckets[i];
	sh->buckets[i] = st;
}

static void grow_table(struct store_shard *sh)
{
	struct store_stream **old = sh->buckets, *st, *next;
	size_t n = sh->n_buckets;

	sh->n_buckets *= 2;
	sh->buckets = mem_array(sh->n_buckets, sizeof(struct store_stream *));
	for (size_t i = 0; i < n; i++) {
		for (st = old[i]; st; st = next) {
			next = st->next_same;
			put_in_table(sh, st);
		}
	}
	free(old);
}

struct store_stream *shard_find(struct store_shard *sh, uint64_t id)
{
	struct store_stream *st = sh->buckets[bucket_of(sh, id)];

	while (st && st->id != id)
		st = st->next_same;
	return st;
}

void shard_forget(struct store_shard *sh, struct store_stream *st)
{
	struct store_stream **at = &sh->buckets[bucket_of(sh, st->id)];

	while (*at != st)
		at = &(*at)->next_same;
	*at = st->next_same;
	sh->n_streams--;
}

void stream_free(struct store_stream *st)
{
	for (int i = 0; i < WAYS; i++) {
		struct way *w = &st->way[i];

		free(w->disk.at);
		free(w->fresh.at);
		free(w->gaps);
		buf_release(&w->flushing);
		buf_release(&w->tail);
	}
	free(st);
}

void stream_touch(struct store_stream *st)
{
	if (st->dirty)
		return;
	st->dirty = true;
	st->next_dirty = st->shard->dirty;
	st->shard->dirty = st;
}

/* -- opening and closing ---------------------------------------------------------- */

static int take_lock(struct store *s, struct err *err)
{
	char *path = mem_format("%s/lock", s->dir);
	struct sys *host = sys_host();
	int rc = sys_mkdir_all(host, s->dir);

	if (rc >= 0)
		rc = s->lock_file = host->open(host, path,
					       SYS_READ | SYS_WRITE |
						       SYS_CREATE);
	if (rc >= 0)
		rc = host->lock(host, s->lock_file);
	if (rc == -EWOULDBLOCK)
		err_set(err, ERR_BUSY,
			"%s is being written by another process", s->dir);
	else if (rc < 0)
		err_sys(err, -rc, "cannot open %s", path);
	free(path);
	return err->code;
}

static int load_positions(struct store *s, struct err *err)
{
	sqlite3_stmt *st = rows_prepare(
		&s->rows, "SELECT origin,resume,given FROM positions", err);

	while (st && sqlite3_step(st) == SQLITE_ROW) {
		struct store_position p = {
			.resume = (uint64_t)sqlite3_column_int64(st, 1),
			.given = (uint64_t)sqlite3_column_int64(st, 2),
		};

		if (sqlite3_column_bytes(st, 0) != STORE_ORIGIN)
			continue;
		memcpy(p.origin, sqlite3_column_blob(st, 0), STORE_ORIGIN);
		s->positions = mem_grow(s->positions,
					(s->n_positions + 1) * sizeof(p));
		s->positions[s->n_positions++] = p;
	}
	sqlite3_finalize(st);
	return err->code;
}

static bool is_live(void *arg, uint64_t id)
{
	return store_find_live(arg, id) != NULL;
}

static int open_all(struct store *s, struct err *err)
{
	char *path = mem_format("%s/store.db", s->dir);
	uint64_t next = 0;

	if (take_lock(s, err) == 0)
		rows_open(&s->rows, path, true, err);
	free(path);
	if (err->code == 0)
		rows_know_live(&s->rows, is_live, s, err);
	if (err->code == 0)
		rows_number(&s->rows, "SELECT max(first_ns) FROM streams",
			    &s->newest_ns, err);
	if (err->code == 0)
		rows_set_cache(&s->rows, s->cfg.cache_max);
	if (err->code == 0)
		rows_number(&s->rows, "SELECT next FROM payload", &next, err);
	if (err->code == 0)
		load_positions(s, err);
	if (err->code == 0)
		payload_open(&s->payload, &s->cfg, (uint32_t)next, err);
	if (err->code == 0)
		writer_start(s, err);
	return err->code;
}

static void bound_config(struct store_config *cfg)
{
	if (!cfg->sys)
		cfg->sys = sys_host();
	if (cfg->payload_max < STORE_PAYLOAD_LEAST)
		cfg->payload_max = STORE_PAYLOAD_LEAST;
	/* What is written at once must find room in what may be cleared. */
	if (cfg->memory_max > cfg->payload_max / 4)
		cfg->memory_max = cfg->payload_max / 4;
	if (cfg->shards < 1)
		cfg->shards = 1;
	assert(cfg->shards <= STORE_SHARDS_MAX);
}

struct store *store_open(const struct store_config *cfg, struct err *err)
{
	struct store *s = mem_alloc(sizeof(*s));

	s->cfg = *cfg;
	bound_config(&s->cfg);
	s->sys = s->cfg.sys;
	s->dir = mem_text(cfg->dir);
	s->lock_file = -1;
	s->payload.dir = cfg->payload_dir
				 ? mem_text(cfg->payload_dir)
				 : mem_format("%s/payload", cfg->dir);
	s->flush_at = s->cfg.memory_max / 2;
	s->keep = mem_array(cfg->n_keep + 1, sizeof(*s->keep));
	for (size_t i = 0; i < cfg->n_keep; i++)
		s->keep[i] = cfg->keep[i];
	pthread_mutex_init(&s->rows_lock, NULL);
	pthread_mutex_init(&s->lock, NULL);
	s->shards = mem_array((size_t)s->cfg.shards, sizeof(*s->shards));
	for (int i = 0; i < s->cfg.shards; i++) {
		struct store_shard *sh = &s->shards[i];

		sh->store = s;
		pthread_mutex_init(&sh->lock, NULL);
		sh->n_buckets = BUCKETS_FIRST;
		sh->buckets = mem_array(sh->n_buckets,
					sizeof(struct store_stream *));
	}
	if (open_all(s, err) < 0) {
		store_close(s);
		return NULL;
	}
	return s;
}

static void release_shard(struct store_shard *sh)
{
	struct store_stream *st, *next;

	for (size_t i = 0; i < sh->n_buckets; i++) {
		for (st = sh->buckets[i]; st; st = next) {
			next = st->next_same;
			stream_free(st);
		}
	}
	free(sh->buckets);
	free(sh->known);
	buf_release(&sh->rows);
	pthread_mutex_destroy(&sh->lock);
}

void store_close(struct store *s)
{
	struct sys *host = sys_host();

	if (!s)
		return;
	writer_stop(s);
	payload_close(&s->payload);
	rows_close(&s->rows);
	if (s->lock_file >= 0)
		host->close(host, s->lock_file);
	for (int i = 0; i < s->cfg.shards; i++)
		release_shard(&s->shards[i]);
	free(s->shards);
	free(s->positions);
	free(s->put);
	free(s->keep);
	free(s->due);
	free(s->dir);
	pthread_mutex_destroy(&s->rows_lock);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* -- positions ----------------------------------------------------------------------- */

void store_position(struct store *s, struct store_position *p)
{
	struct err err = ERR_NONE;

	pthread_mutex_lock(&s->rows_lock);
	rows_get_position(&s->rows, p, &err);
	pthread_mutex_unlock(&s->rows_lock);
}

void store_put_position(struct store *s, const struct store_position *p)
{
	size_t i = 0;

	pthread_mutex_lock(&s->lock);
	while (i < s->n_put &&
	       memcmp(s->put[i].origin, p->origin, STORE_ORIGIN) != 0)
		i++;
	if (i == s->n_put)
		s->put = mem_grow(s->put, ++s->n_put * sizeof(*s->put));
	s->put[i] = *p;
	pthread_mutex_unlock(&s->lock);
}

int store_checkpoint(struct store *s, const struct store_position *p,
		     struct err *err)
{
	if (p)
		store_put_position(s, p);
	return writer_ask(s, true, err);
}

int store_resume(struct store *s, const uint8_t origin[STORE_ORIGIN],
		 uint64_t from, uint64_t **begins, size_t *n, struct err *err)
{
	int rc;

	pthread_mutex_lock(&s->rows_lock);
	rc = rows_close_cut(&s->rows, origin, from, err);
	if (rc == 0)
		rc = rows_get_firsts(&s->rows, origin, from, begins, n, err);
	pthread_mutex_unlock(&s->rows_lock);
	return rc;
}

static uint64_t given_before(const struct store *s, const uint8_t *origin)
{
	for (size_t i = 0; i < s->n_positions; i++)
		if (memcmp(s->positions[i].origin, origin, STORE_ORIGIN) == 0)
			return s->positions[i].given;
	return 0;
}

/* -- streams -------------------------------------------------------------------------- */

int store_put_source(struct store *s, const uint8_t origin[STORE_ORIGIN],
		     const char *spool, struct err *err)
{
	int rc;

	pthread_mutex_lock(&s->rows_lock);
	rc = rows_put_source(&s->rows, origin, spool, err);
	pthread_mutex_unlock(&s->rows_lock);
	return rc;
}

struct store_shard *store_shard(struct store *s, int n)
{
	assert(n >= 0 && n < s->cfg.shards);
	return &s->shards[n];
}

static uint64_t packets_of(const struct store_row *row)
{
	return row->flow.way[0].packets + row->flow.way[1].packets;
}

static void load_runs(struct way *w, struct bytes runs)
{
	size_t n;

	if (extents_check(runs, &n) < 0)
		n = 0; /* read as evicted, and never appended to */
	for (size_t i = 0; i < n; i++) {
		struct extent e = extent_at(runs, i);

		extents_add(&w->disk, &e);
		w->len += e.used;
	}
}

/* What an earlier run left of this stream.  False: nothing. */
static bool load_stream(struct store *s, struct store_stream *st, uint64_t id)
{
	struct err err = ERR_NONE;
	struct row_runs runs;
	struct store_row row;
	bool found;

	pthread_mutex_lock(&s->rows_lock);
	found = rows_get_stream(&s->rows, id, &row, &runs, &err) == 1;
	for (int i = 0; found && i < WAYS; i++)
		load_runs(&st->way[i], runs.way[i]);
	if (found)
		rows_got(&s->rows);
	for (int i = 0; found && i < 2; i++) {
		rows_get_gaps(&s->rows, id, i, &st->way[i], &err);
		st->way[i].end = row.end[i];
		st->way[i].capped = row.capped >> i & 1 || row.evicted ||
				    st->way[i].len != row.kept[i];
	}
	pthread_mutex_unlock(&s->rows_lock);
	if (found) {
		st->row = row;
		st->known_packets = packets_of(&row);
		st->known_over = row.over;
		st->way[WAY_TURNS].capped = row.evicted;
		st->stored = true;
	}
	return found;
}

/* It has ended, but the writer has not let go of it. */
static struct store_stream *begin_again(struct store_shard *sh, uint64_t id)
{
	struct store_stream *st;

	pthread_mutex_lock(&sh->lock);
	st = shard_find(sh, id);
	if (st) {
		if (st->ended)
			atomic_fetch_sub(&sh->store->waiting,
					 store_stream_weight());
		st->ended = false;
		st->known_packets = packets_of(&st->row);
		st->known_over = true;
	}
	pthread_mutex_unlock(&sh->lock);
	return st;
}

/* May an earlier run have left a row of this stream? */
static bool may_be_known(struct store_shard *sh, const struct store_row *row)
{
	struct store *s = sh->store;
	struct err err = ERR_NONE;
	struct known k = { .first_max = 0 };
	size_t i = 0;

	while (i < sh->n_known &&
	       memcmp(sh->known[i].origin, row->origin, STORE_ORIGIN) != 0)
		i++;
	if (i == sh->n_known) {
		memcpy(k.origin, row->origin, STORE_ORIGIN);
		pthread_mutex_lock(&s->rows_lock);
		rows_last_first(&s->rows, k.origin, &k.first_max, &err);
		pthread_mutex_unlock(&s->rows_lock);
		sh->known = mem_grow(sh->known, ++sh->n_known * sizeof(k));
		sh->known[i] = k;
	}
	k = sh->known[i];
	sh->known[i] = sh->known[0];
	sh->known[0] = k;
	return row->flow.first_index < k.first_max;
}

struct store_stream *store_begin(struct store_shard *sh,
				 const struct store_row *row)
{
	struct store *s = sh->store;
	struct store_stream *st = begin_again(sh, row->id);
	bool old;

	if (st)
		return st;
	if (atomic_load_explicit(&s->waiting, memory_order_relaxed) >
	    s->cfg.memory_max)
		writer_give_room(s);
	st = mem_alloc(sizeof(*st));
	old = may_be_known(sh, row) && load_stream(s, st, row->id);
	/* All that had begun by then has a row: this is somebody's tail. */
	if (!old && row->flow.first_index < given_before(s, row->origin)) {
		stream_free(st);
		return NULL;
	}
	st->id = row->id;
	st->shard = sh;
	if (!old) {
		st->row = *row;
		st->row.dropped_bytes = 0;
		st->row.over = st->row.capped = 0;
		st->row.evicted = st->row.pinned = 0;
	}
	pthread_mutex_lock(&sh->lock);
	if (++sh->n_streams > sh->n_buckets)
		grow_table(sh);
	put_in_table(sh, st);
	stream_touch(st);
	pthread_mutex_unlock(&sh->lock);
	return st;
}

bool store_pressed(const struct store *s)
{
	return atomic_load_explicit(&s->waiting, memory_order_relaxed) >
	       s->cfg.memory_max / 4 * 3;
}

size_t store_stream_weight(void)
{
	/* With its first extents, of both ways and the turns. */
	return sizeof(struct store_stream) + WAYS * 4 * sizeof(struct extent);
}

uint64_t store_packets_known(const struct store_stream *st)
{
	return st && st->known_over ? st->known_packets : 0;
}

/* -- payload ---------------------------------------------------------------------------- */

static void count_waiting(struct store *s, uint64_t bytes)
{
	uint64_t now = atomic_fetch_add(&s->waiting, bytes) + bytes;
	uint64_t peak = atomic_load_explicit(&s->peak, memory_order_relaxed);

	while (now > peak &&
	       !atomic_compare_exchange_weak(&s->peak, &peak, now))
		;
	/* Once, when the line is crossed. */
	if (now >= s->flush_at && now - bytes < s->flush_at) {
		pthread_mutex_lock(&s->lock);
		pthread_cond_signal(&s->work);
		pthread_mutex_unlock(&s->lock);
	}
}

struct comparison {
	struct store *s;
	uint64_t from;
	struct bytes with;
};

static int compare_piece(void *arg, const struct store_piece *piece)
{
	struct comparison *c = arg;

	if (!piece->hole &&
	    memcmp(c->with.p + (piece->offset - c->from), piece->data.p,
		   piece->data.len) != 0)
		atomic_fetch_add(&c->s->differing, piece->len);
	return 0;
}

/* Bytes that are there already, given again. */
static void compare(struct store_stream *st, int way, uint64_t offset,
		    struct bytes data)
{
	struct store *s = st->shard->store;
	struct comparison c = { s, offset, data };
	struct store_view *v = store_view_of(s);
	struct err err = ERR_NONE;

	store_view_read(v, st->id, way, offset, data.len, compare_piece, &c,
			&err);
	store_view_close(v);
	atomic_fetch_add(&s->skipped, data.len);
}

void way_capped(struct store_stream *st, int way, uint64_t dropped)
{
	st->way[way].capped = true;
	st->row.capped |= (uint8_t)(1u << way);
	st->row.dropped_bytes += dropped;
	atomic_fetch_add(&st->shard->store->dropped, dropped);
}

/* How much of `len` more bytes may be kept. */
static size_t may_keep(struct store_stream *st, int way, size_t len)
{
	struct store *s = st->shard->store;
	uint64_t kept = st->way[0].len + st->way[1].len;
	uint64_t room = s->cfg.stream_max > kept ? s->cfg.stream_max - kept : 0;

	if (st->way[way].capped || atomic_load(&s->has_failed))
		return 0;
	return len < room ? len : (size_t)room;
}

static size_t keep(struct store_stream *st, int way, struct bytes data,
		   const struct turn *turn)
{
	struct way *w = &st->way[way], *turns = &st->way[WAY_TURNS];
	size_t n = may_keep(st, way, data.len), before = turns->tail.len;

	put_bytes(&w->tail, bytes_of(data.p, n));
	w->len += n;
	w->end += data.len;
	if (n < data.len)
		way_capped(st, way, data.len - n);
	if (!turns->capped && !atomic_load(&st->shard->store->has_failed)) {
		put_turn(&turns->tail, turn);
		turns->len += TURN_RECORD;
	}
	stream_touch(st);
	return n + turns->tail.len - before;
}

void store_append(struct store_stream *st, int way, uint64_t offset,
		  struct bytes data, uint64_t time_ns, uint64_t packet)
{
	struct turn turn = { .time_ns = time_ns, .packet = packet,
			     .way = (uint8_t)way };
	struct store *s;
	uint64_t end;
	size_t again, kept;

	if (!st || !data.len)
		return;
	s = st->shard->store;
	end = st->way[way].end;
	if (offset < end) {
		again = end - offset < data.len ? (size_t)(end - offset)
						: data.len;
		compare(st, way, offset, bytes_of(data.p, again));
		data = bytes_of(data.p + again, data.len - again);
		offset += again;
		if (!data.len)
			return;
	}
	/* Nobody told what is missing: a hole all the same. */
	if (offset > end)
		store_gap(st, way, end, offset - end, FLOW_GAP_LOST, time_ns);
	if (atomic_load_explicit(&s->waiting, memory_order_relaxed) >
	    s->cfg.memory_max)
		writer_give_room(s);
	turn.offset = offset;
	turn.len = (uint32_t)data.len;
	pthread_mutex_lock(&st->shard->lock);
	kept = keep(st, way, data, &turn);
	count_waiting(s, kept);
	pthread_mutex_unlock(&st->shard->lock);
}

uint64_t gaps_position(const struct gap *gaps, size_t n, uint64_t offset)
{
	uint64_t before = 0;

	for (size_t i = 0; i < n && gaps[i].at < offset; i++) {
		if (offset - gaps[i].at <= gaps[i].len)
			return gaps[i].at - before;
		before += gaps[i].len;
	}
	return offset - before;
}

static void add_gap(struct way *w, const struct gap *g)
{
	if (w->n_gaps == w->gaps_room) {
		w->gaps_room = w->gaps_room ? 2 * w->gaps_room : 4;
		w->gaps = mem_grow(w->gaps, w->gaps_room * sizeof(*w->gaps));
	}
	w->gaps[w->n_gaps++] = *g;
}

void store_gap(struct store_stream *st, int way, uint64_t offset, uint64_t len,
	       enum flow_gap why, uint64_t time_ns)
{
	struct gap g = { .time_ns = time_ns, .why = (uint8_t)why };
	struct way *w;
	struct buf *b;
	size_t start;

	/* After a restart, what is known already goes by again. */
	if (!st || offset + len <= st->way[way].end)
		return;
	w = &st->way[way];
	b = &st->shard->rows;
	len += offset - w->end;
	offset = g.at = w->end;
	g.len = len;
	pthread_mutex_lock(&st->shard->lock);
	start = b->len;
	w->end += len;
	if (w->n_gaps == GAPS_MAX && !w->capped)
		way_capped(st, way, 0);
	if (!w->capped) {
		add_gap(w, &g);
		row_begin(b, ROW_GAP, st->id);
		row_number(b, (uint64_t)way);
		row_number(b, offset);
		row_number(b, len);
		row_number(b, (uint64_t)why);
		row_number(b, time_ns);
		count_waiting(st->shard->store, b->len - start);
	}
	stream_touch(st);
	pthread_mutex_unlock(&st->shard->lock);
}

/* -- what was found in it ----------------------------------------------------------------- */

/* Begin a row of a stream, with its shard locked; end_row() counts it. */
static size_t begin_row(struct store_stream *st, enum row_kind kind)
{
	struct store *s = st->shard->store;
	size_t start;

	if (atomic_load_explicit(&s->waiting, memory_order_relaxed) >
	    s->cfg.memory_max)
		writer_give_room(s);
	pthread_mutex_lock(&st->shard->lock);
	start = st->shard->rows.len;
	row_begin(&st->shard->rows, kind, st->id);
	return start;
}

static void end_row(struct store_stream *st, size_t start)
{
	struct store *s = st->shard->store;
	struct buf *b = &st->shard->rows;
	size_t len = b->len - start;

	if (atomic_load(&s->has_failed)) {
		b->len = start;
		len = 0;
	}
	stream_touch(st);
	count_waiting(s, len);
	pthread_mutex_unlock(&st->shard->lock);
}

void store_message(struct store_stream *st, const struct store_message *m)
{
	struct buf *b;
	size_t start;

	if (!st)
		return;
	start = begin_row(st, ROW_MESSAGE);
	b = &st->shard->rows;
	row_number(b, m->way);
	row_number(b, m->protocol);
	row_number(b, m->ordinal);
	row_number(b, m->status);
	row_number(b, m->start);
	row_number(b, m->end);
	row_number(b, m->head_start);
	row_number(b, m->head_end);
	row_number(b, m->body_start);
	row_number(b, m->body_end);
	row_number(b, m->body_bytes);
	row_number(b, m->link);
	row_number(b, m->code);
	row_number(b, m->time_ns);
	row_text(b, m->kind);
	row_text(b, m->summary);
	row_text(b, m->error);
	row_text(b, m->method);
	row_text(b, m->target);
	row_text(b, m->host);
	row_text(b, m->version);
	row_text(b, m->name);
	row_text(b, m->extra);
	end_row(st, start);
}

void store_match(struct store_stream *st, const struct store_match *m)
{
	struct buf *b;
	size_t start;

	if (!st)
		return;
	start = begin_row(st, ROW_MATCH);
	b = &st->shard->rows;
	row_number(b, m->way);
	row_number(b, m->start);
	row_number(b, m->end);
	row_number(b, m->time_ns);
	row_text(b, m->pattern);
	row_text(b, m->name);
	row_text(b, m->content);
	end_row(st, start);
}

void store_tag(struct store_stream *st, const char *tag)
{
	size_t start;

	if (!st)
		return;
	/* Doubles are sorted out when they are written, up to a point. */
	if (st->n_tags++ >= TAGS_GIVEN * STORE_TAGS_MAX) {
		atomic_fetch_add(&st->shard->store->dropped_tags, 1);
		return;
	}
	start = begin_row(st, ROW_TAG);
	row_text(&st->shard->rows, bytes_of_text(tag));
	end_row(st, start);
}

/* -- the row --------------------------------------------------------------------------------- */

static void take_row(struct store_stream *st, const struct store_row *row)
{
	struct store_row was = st->row;

	/* After a restart the past goes by again: it is no news. */
	if (packets_of(row) < st->known_packets + st->known_over)
		return;
	st->row = *row;
	st->row.dropped_bytes = was.dropped_bytes;
	st->row.over = was.over;
	st->row.capped = was.capped;
	st->row.evicted = was.evicted;
	st->row.pinned = was.pinned;
	stream_touch(st);
}

void store_update(struct store_stream *st, const struct store_row *row)
{
	if (!st)
		return;
	pthread_mutex_lock(&st->shard->lock);
	take_row(st, row);
	pthread_mutex_unlock(&st->shard->lock);
}

void store_end(struct store_stream *st, const struct store_row *row)
{
	struct store_shard *sh;

	if (!st)
		return;
	sh = st->shard;
	pthread_mutex_lock(&sh->lock);
	take_row(st, row);
	/* From now on it only waits to be written. */
	if (!st->ended)
		count_waiting(sh->store, store_stream_weight());
	st->ended = true;
	st->row.over = 1;
	stream_touch(st); /* the writer lets it go, so it must look at it */
	pthread_mutex_unlock(&sh->lock);
}

/* -- people ------------------------------------------------------------------------------------- */

static int mark(struct store *s, const char *sql, uint64_t id, int on,
		const char *text, struct err *err)
{
	sqlite3_stmt *st;

	if (writer_ask(s, false, err) < 0) /* its row is there */
		return err->code;
	pthread_mutex_lock(&s->rows_lock);
	st = rows_prepare(&s->rows, sql, err);
	if (st && rows_change(&s->rows, err) == 0) {
		sqlite3_bind_int64(st, 1, (int64_t)id);
		if (text)
			sqlite3_bind_text(st, 2, text, -1, SQLITE_STATIC);
		else
			sqlite3_bind_int(st, 2, on);
		if (sqlite3_step(st) != SQLITE_DONE)
			rows_failed(&s->rows, err);
		else if (!sqlite3_changes(s->rows.db))
			err_set(err, ERR_GONE, "there is no stream %016llx",
				(unsigned long long)id);
	}
	sqlite3_finalize(st);
	pthread_mutex_unlock(&s->rows_lock);
	return err->code ? err->code : writer_ask(s, true, err);
}

int store_pin(struct store *s, uint64_t id, bool on, struct err *err)
{
	return mark(s,
		    "INSERT INTO marks(stream,pinned) SELECT id,?2 FROM streams "
		    "WHERE id=?1 ON CONFLICT(stream) DO UPDATE SET "
		    "pinned=excluded.pinned", id, on, NULL, err);
}

int store_comment(struct store *s, uint64_t id, const char *text,
		  struct err *err)
{
	if (strlen(text) >= STORE_TEXT_MAX)
		return err_set(err, ERR_LIMIT,
			       "a comment has at most %d bytes; this one has "
			       "%zu", STORE_TEXT_MAX - 1, strlen(text));
	return mark(s,
		    "INSERT INTO marks(stream,comment) SELECT id,?2 FROM "
		    "streams WHERE id=?1 ON CONFLICT(stream) DO UPDATE SET "
		    "comment=excluded.comment", id, 0, text, err);
}

int store_with_rows(struct store *s,
		    int (*fn)(void *arg, struct sqlite3 *db, struct err *err),
		    void *arg, struct err *err)
{
	int rc;

	pthread_mutex_lock(&s->rows_lock);
	rc = rows_change(&s->rows, err);
	if (rc == 0)
		rc = fn(arg, s->rows.db, err);
	pthread_mutex_unlock(&s->rows_lock);
	return rc;
}

void store_counters(struct store *s, struct store_counters *c)
{
	pthread_mutex_lock(&s->lock);
	*c = s->counters;
	pthread_mutex_unlock(&s->lock);
	c->waiting_bytes = atomic_load(&s->waiting);
	c->waiting_peak = atomic_load(&s->peak);
	c->dropped_bytes = atomic_load(&s->dropped);
	c->skipped_bytes = atomic_load(&s->skipped);
	c->differing_bytes = atomic_load(&s->differing);
	c->waits = atomic_load(&s->waits);
	c->dropped_tags += atomic_load(&s->dropped_tags);
}
