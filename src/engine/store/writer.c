/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer.c - the one thread that writes.
 *
 * A round takes what waits in all shards (buffers are swapped under their
 * locks), places it in segment files, hands the new extents over and puts the
 * rows: at once those of streams that are new or have ended, with the next
 * commit those that only grew.  A commit is a round, then a sync of the payload, then the end of the
 * transaction: so a row never names bytes that a power cut may take.
 *
 * When the cap on payload is near, room is made before placing: the oldest
 * segment is cleared.  Streams in it that have ended and are not pinned lose
 * their payload; extents of the others move to the newest segment.  The file
 * goes after the commit that no longer names it.
 */
#include "engine/store/store_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "sys/sys.h"

enum {
	FRUITLESS = 4, /* segments that gave little before we stop trying */
	PAUSE = 3      /* of the time that a commit took, between two */
};

#define NS UINT64_C(1000000000)

struct positions {
	struct store_position *at; /* owned */
	size_t n;
};

struct batch {
	struct store_stream **at; /* owned */
	size_t n, room;
	struct buf rest[STORE_SHARDS_MAX];
	uint64_t need; /* disk space */
};

/* -- failing ---------------------------------------------------------------------- */

static void fail(struct store *s, const struct err *err)
{
	if (atomic_load(&s->has_failed))
		return;
	log_error("store", "%s; nothing more is kept", err->text);
	pthread_mutex_lock(&s->lock);
	s->failed = *err;
	atomic_store(&s->has_failed, true);
	pthread_mutex_unlock(&s->lock);
}

/* -- taking what waits --------------------------------------------------------------- */

static void take_stream(struct store *s, struct store_stream *st,
			struct batch *b)
{
	st->dirty = false;
	st->ended_taken = st->ended;
	for (int i = 0; i < WAYS; i++) {
		struct way *w = &st->way[i];
		struct buf empty = w->flushing;

		w->flushing = w->tail;
		w->tail = empty;
		w->taken_end = w->end;
		w->fresh.n = 0;
		w->fill = 0;
		b->need += payload_need(&s->payload, &w->disk, w->flushing.len,
					st->ended);
	}
	if (b->n == b->room) {
		b->room = b->room ? 2 * b->room : 1024;
		b->at = mem_grow(b->at, b->room * sizeof(struct store_stream *));
	}
	b->at[b->n++] = st;
}

static void take_shard(struct store *s, int n, struct batch *b)
{
	struct store_shard *sh = &s->shards[n];
	struct store_stream *st, *next;
	struct buf empty = b->rest[n];

	pthread_mutex_lock(&sh->lock);
	for (st = sh->dirty; st; st = next) {
		next = st->next_dirty;
		take_stream(s, st, b);
	}
	sh->dirty = NULL;
	b->rest[n] = sh->rows;
	sh->rows = empty;
	pthread_mutex_unlock(&sh->lock);
}

/* -- the row of a stream -------------------------------------------------------------------------------- */

static void runs_of(const struct extents *list, struct buf *b)
{
	buf_clear(b);
	for (size_t i = 0; i < list->n; i++)
		put_extent(b, &list->at[i]);
}

static void becomes_due(struct store *s, struct store_stream *st)
{
	if (st->due)
		return;
	if (s->n_due == s->due_room) {
		s->due_room = s->due_room ? 2 * s->due_room : 1024;
		s->due = mem_grow(s->due, s->due_room *
						  sizeof(struct store_stream *));
	}
	s->due[s->n_due++] = st;
	st->due = s->n_due;
}

static void not_due(struct store *s, struct store_stream *st)
{
	struct store_stream *last = s->due[s->n_due - 1];

	s->due[st->due - 1] = last;
	last->due = st->due;
	s->n_due--;
	st->due = 0;
}

static void snapshot(struct store_stream *st, struct store_row *row)
{
	pthread_mutex_lock(&st->shard->lock);
	*row = st->row;
	for (int i = 0; i < 2; i++) {
		row->end[i] = st->way[i].taken_end;
		row->kept[i] = st->way[i].len - st->way[i].tail.len;
	}
	pthread_mutex_unlock(&st->shard->lock);
}

static int put_row(struct store *s, struct store_stream *st,
		   struct buf bufs[WAYS], struct err *err)
{
	struct store_row row;
	struct row_runs runs;

	snapshot(st, &row);
	if (row.flow.last_ns > s->newest_ns)
		s->newest_ns = row.flow.last_ns;
	for (int i = 0; i < WAYS; i++) {
		runs_of(&st->way[i].disk, &bufs[i]);
		runs.way[i] = buf_bytes(&bufs[i]);
	}
	if (rows_put_stream(&s->rows, &row, &runs, !st->stored, err) < 0)
		return err->code;
	s->rows.streams += !st->stored;
	st->stored = true;
	if (st->due)
		not_due(s, st);
	return 0;
}

/* All rows that only grew; rows_lock held. */
static int put_due(struct store *s, struct err *err)
{
	struct buf bufs[WAYS] = { 0 };

	while (s->n_due && err->code == 0)
		put_row(s, s->due[s->n_due - 1], bufs, err);
	for (int i = 0; i < WAYS; i++)
		buf_release(&bufs[i]);
	return err->code;
}


/* -- making room ------------------------------------------------------------------------ */

struct store_stream *store_find_live(struct store *s, uint64_t id)
{
	struct store_stream *st = NULL;

	/* Only the writer takes streams out of a table: st stays. */
	for (int i = 0; i < s->cfg.shards && !st; i++) {
		pthread_mutex_lock(&s->shards[i].lock);
		st = shard_find(&s->shards[i], id);
		pthread_mutex_unlock(&s->shards[i].lock);
	}
	return st;
}

static struct extent *find_extent(struct extents *list, uint64_t pos,
				  const struct extent *place)
{
	size_t low = 0, high = list->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (list->at[middle].pos < pos)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == list->n || list->at[low].pos != pos ||
	    list->at[low].segment != place->segment ||
	    list->at[low].offset != place->offset)
		return NULL;
	return &list->at[low];
}

static int put_runs(struct store *s, uint64_t id, struct extents lists[WAYS],
		    bool evicted, struct err *err)
{
	struct buf bufs[WAYS] = { 0 };
	struct row_runs runs;
	int rc;

	for (int i = 0; i < WAYS; i++) {
		runs_of(&lists[i], &bufs[i]);
		runs.way[i] = buf_bytes(&bufs[i]);
	}
	pthread_mutex_lock(&s->rows_lock);
	rc = rows_set_runs(&s->rows, id, &runs, evicted, err);
	pthread_mutex_unlock(&s->rows_lock);
	for (int i = 0; i < WAYS; i++)
		buf_release(&bufs[i]);
	return rc;
}

/* Of a stream that still grows: it moves. */
static int move_live(struct store *s, struct store_stream *st, int way,
		     struct extent *e, struct err *err)
{
	struct extents lists[WAYS];
	struct extent moved = *e;

	if (payload_move(&s->payload, st->id, way, &moved, err) < 0)
		return err->code;
	pthread_mutex_lock(&st->shard->lock);
	*e = moved;
	pthread_mutex_unlock(&st->shard->lock);
	for (int i = 0; i < WAYS; i++)
		lists[i] = st->way[i].disk;
	return put_runs(s, st->id, lists, false, err);
}

static bool load_lists(struct store *s, uint64_t id, struct store_row *row,
		       struct extents lists[WAYS], struct err *err)
{
	struct row_runs runs;
	bool found;

	pthread_mutex_lock(&s->rows_lock);
	found = rows_get_stream(&s->rows, id, row, &runs, err) == 1;
	for (int i = 0; found && i < WAYS; i++) {
		size_t n;

		if (extents_check(runs.way[i], &n) < 0)
			n = 0;
		for (size_t k = 0; k < n; k++) {
			struct extent e = extent_at(runs.way[i], k);

			extents_add(&lists[i], &e);
		}
	}
	if (found)
		rows_got(&s->rows);
	pthread_mutex_unlock(&s->rows_lock);
	return found;
}

static int evict(struct store *s, const struct store_row *row, struct err *err)
{
	struct extents none[WAYS] = { { 0 } };

	s->own.evicted_streams++;
	s->own.evicted_bytes += row->kept[0] + row->kept[1];
	return put_runs(s, row->id, none, true, err);
}

static int clear_stored(struct store *s, const struct extent_head *h,
			const struct extent *place, struct err *err)
{
	struct extents lists[WAYS] = { { 0 } };
	struct store_row row;
	struct extent *e = NULL;
	int rc = 0;

	if (load_lists(s, h->id, &row, lists, err))
		e = find_extent(&lists[h->way], h->pos, place);
	if (e && !row.pinned) {
		rc = evict(s, &row, err);
	} else if (e) {
		rc = payload_move(&s->payload, h->id, h->way, e, err);
		if (rc == 0)
			rc = put_runs(s, h->id, lists, row.evicted, err);
	}
	for (int i = 0; i < WAYS; i++)
		free(lists[i].at);
	return err->code ? err->code : rc;
}

static int clear_extent(struct store *s, const struct extent_head *h,
			const struct extent *place, struct err *err)
{
	struct store_stream *st = store_find_live(s, h->id);
	struct extent *e;

	if (!st)
		return clear_stored(s, h, place, err);
	e = find_extent(&st->way[h->way].disk, h->pos, place);
	return e ? move_live(s, st, h->way, e, err) : 0;
}

/* A segment that cannot be read holds nothing that could be kept. */
static int clear_segment(struct store *s, const struct segment *seg,
			 struct err *err)
{
	struct err unreadable = ERR_NONE;
	struct buf all = { 0 };
	uint64_t at = SEGMENT_HEADER;
	uint32_t number = seg->number;

	if (payload_load(&s->payload, seg, &all, &unreadable) < 0) {
		log_warn("store", "%s", unreadable.text);
		buf_clear(&all);
	}
	while (err->code == 0 && at + EXTENT_HEADER <= all.len) {
		struct extent_head h;
		struct extent place = {
			.segment = number,
			.offset = (uint32_t)at + EXTENT_HEADER,
		};

		/* Behind the last commit of a run that was killed. */
		if (extent_head_parse(buf_from(&all, (size_t)at), &h) < 0)
			break;
		clear_extent(s, &h, &place, err);
		at += EXTENT_HEADER + (uint64_t)h.cap;
	}
	buf_release(&all);
	payload_bury(&s->payload, number);
	return err->code;
}

static bool is_needed(struct store *s, const struct extent_head *h,
		      const struct extent *place)
{
	struct extents lists[WAYS] = { { 0 } };
	struct store_stream *st = store_find_live(s, h->id);
	struct err err = ERR_NONE;
	struct store_row row;
	bool needed;

	if (st)
		return find_extent(&st->way[h->way].disk, h->pos, place);
	needed = load_lists(s, h->id, &row, lists, &err) &&
		 find_extent(&lists[h->way], h->pos, place);
	for (int i = 0; i < WAYS; i++)
		free(lists[i].at);
	return needed || err.code;
}

bool writer_segment_needed(struct store *s, const struct segment *seg)
{
	struct err err = ERR_NONE;
	struct buf all = { 0 };
	uint64_t at = SEGMENT_HEADER;
	bool needed = payload_load(&s->payload, seg, &all, &err) < 0;

	while (!needed && at + EXTENT_HEADER <= all.len) {
		struct extent_head h;
		struct extent place = {
			.segment = seg->number,
			.offset = (uint32_t)at + EXTENT_HEADER,
		};

		if (extent_head_parse(buf_from(&all, (size_t)at), &h) < 0)
			break;
		needed = is_needed(s, &h, &place);
		at += EXTENT_HEADER + (uint64_t)h.cap;
	}
	buf_release(&all);
	return needed;
}

static int put_next_segment(struct store *s, struct err *err)
{
	char *sql = mem_format("DELETE FROM payload;"
			       "INSERT INTO payload VALUES(%u)",
			       s->payload.next);
	int rc = rows_run(&s->rows, sql, err);

	free(sql);
	return rc;
}

/* Payload first, then the rows that name it, then what they named before. */
static int commit(struct store *s, const struct positions *p, struct err *err)
{
	int rc = payload_sync(&s->payload, err);

	pthread_mutex_lock(&s->rows_lock);
	if (rc == 0)
		rc = put_due(s, err);
	for (size_t i = 0; rc == 0 && p && i < p->n; i++)
		rc = rows_put_position(&s->rows, &p->at[i], err);
	if (rc == 0)
		rc = retain_rows(s, err);
	if (rc == 0 && s->rows.changed)
		rc = put_next_segment(s, err);
	if (rc == 0)
		rc = rows_commit(&s->rows, err);
	pthread_mutex_unlock(&s->rows_lock);
	return rc == 0 ? payload_unlink_dead(&s->payload, err) : rc;
}

static int make_room(struct store *s, uint64_t need, struct err *err)
{
	struct payload *p = &s->payload;
	int fruitless = 0;

	while (!payload_fits(p, need) && p->n > 1 && fruitless < FRUITLESS) {
		struct segment oldest = p->at[0];
		uint64_t before = p->bytes;

		if (clear_segment(s, &oldest, err) < 0 ||
		    commit(s, NULL, err) < 0)
			return err->code;
		fruitless = p->bytes + oldest.size / 4 > before ? fruitless + 1
								: 0;
	}
	return 0;
}

/* -- placing ---------------------------------------------------------------------------- */

static int place_stream(struct store *s, struct store_stream *st,
			struct err *err)
{
	for (int i = 0; i < WAYS; i++) {
		struct way *w = &st->way[i];
		struct err full = ERR_NONE;

		if (!w->flushing.len)
			continue;
		payload_place(&s->payload, st->id, i, w, st->ended_taken,
			      &full);
		if (full.code != 0 && full.code != ERR_FULL) {
			*err = full;
			return err->code;
		}
	}
	return 0;
}

static int place_all(struct store *s, struct batch *b, struct err *err)
{
	if (make_room(s, b->need, err) < 0)
		return err->code;
	for (size_t i = 0; i < b->n; i++)
		if (place_stream(s, b->at[i], err) < 0)
			return err->code;
	return payload_flush(&s->payload, err);
}

/* What was written is the disk's; what was not is lost.  Lock held. */
static uint64_t hand_over(struct store_stream *st, int way, bool failed)
{
	struct way *w = &st->way[way];
	uint64_t done = 0, taken = w->flushing.len;

	if (failed) {
		w->fill = 0;
		w->fresh.n = 0;
	}
	if (w->fill) {
		struct extent *last = &w->disk.at[w->disk.n - 1];

		last->used += w->fill;
		last->crc = w->fill_crc;
		done += w->fill;
	}
	for (size_t i = 0; i < w->fresh.n; i++) {
		extents_add(&w->disk, &w->fresh.at[i]);
		done += w->fresh.at[i].used;
	}
	if (done < w->flushing.len) {
		taken += w->tail.len;
		w->len -= taken - done;
		if (way == WAY_TURNS)
			w->capped = true;
		else
			way_capped(st, way, taken - done);
		buf_release(&w->tail);
	}
	buf_release(&w->flushing);
	return taken;
}

static void hand_all_over(struct store *s, struct batch *b)
{
	bool failed = atomic_load(&s->has_failed);
	uint64_t taken = 0;

	for (size_t i = 0; i < b->n; i++) {
		struct store_stream *st = b->at[i];

		pthread_mutex_lock(&st->shard->lock);
		for (int way = 0; way < WAYS; way++)
			taken += hand_over(st, way, failed);
		pthread_mutex_unlock(&st->shard->lock);
	}
	for (int i = 0; i < s->cfg.shards; i++)
		taken += b->rest[i].len;
	atomic_fetch_sub(&s->waiting, taken);
}

/* -- the rows of a round -------------------------------------------------------------- */

/* `all`: also those that only grew. */
static int put_rows(struct store *s, struct batch *b, bool all, struct err *err)
{
	struct buf bufs[WAYS] = { 0 };

	pthread_mutex_lock(&s->rows_lock);
	for (size_t i = 0; i < b->n && err->code == 0; i++) {
		if (!all && b->at[i]->stored && !b->at[i]->ended_taken)
			becomes_due(s, b->at[i]);
		else
			put_row(s, b->at[i], bufs, err);
	}
	for (int i = 0; i < s->cfg.shards && err->code == 0; i++)
		rows_put_rest(&s->rows, buf_bytes(&b->rest[i]), err);
	pthread_mutex_unlock(&s->rows_lock);
	for (int i = 0; i < WAYS; i++)
		buf_release(&bufs[i]);
	return err->code;
}

static void let_go(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		struct store_stream *st = b->at[i];
		struct store_shard *sh = st->shard;
		bool gone;

		pthread_mutex_lock(&sh->lock);
		gone = st->ended && st->ended_taken && !st->dirty;
		if (gone)
			shard_forget(sh, st);
		if (gone)
			atomic_fetch_sub(&sh->store->waiting,
					 store_stream_weight());
		pthread_mutex_unlock(&sh->lock);
		if (gone)
			stream_free(st);
	}
}

/* -- rounds ------------------------------------------------------------------------------- */

static void write_round(struct store *s, bool all, bool with_commit,
			const struct positions *p)
{
	struct batch b = { 0 };
	struct err err = ERR_NONE;

	for (int i = 0; i < s->cfg.shards; i++)
		take_shard(s, i, &b);
	if (!atomic_load(&s->has_failed) && place_all(s, &b, &err) < 0)
		fail(s, &err);
	hand_all_over(s, &b);
	if (!atomic_load(&s->has_failed) &&
	    (put_rows(s, &b, all || with_commit, &err) < 0 ||
	     (with_commit && (retain_payload(s, &err) < 0 ||
			      commit(s, p, &err) < 0))))
		fail(s, &err);
	let_go(&b);
	for (int i = 0; i < s->cfg.shards; i++)
		buf_release(&b.rest[i]);
	free(b.at);
}

static bool has_work(const struct store *s)
{
	return s->stop || s->asked > s->answered ||
	       s->asked_commits > s->commits ||
	       atomic_load(&s->waiting) >= s->flush_at;
}

/* True when it is time to commit, whoever asked. */
static bool wait_for_work(struct store *s, const struct timespec *until)
{
	while (!has_work(s)) {
		if (!s->cfg.commit_ns)
			pthread_cond_wait(&s->work, &s->lock);
		else if (pthread_cond_timedwait(&s->work, &s->lock, until) ==
			 ETIMEDOUT)
			return true;
	}
	return false;
}

/* A slow disk, or very many rows, must not keep us committing all the time. */
static struct timespec next_commit(const struct store *s, uint64_t took_ns)
{
	uint64_t wait = s->cfg.commit_ns, at;

	if (wait < took_ns * PAUSE)
		wait = took_ns * PAUSE;
	at = store_mono_ns() + wait;
	return (struct timespec){ (time_t)(at / NS), (long)(at % NS) };
}

/* Those that were put by now; what was given before them is in this round. */
static struct positions take_positions(struct store *s)
{
	struct positions p = { s->put, s->n_put };

	s->put = NULL;
	s->n_put = 0;
	return p;
}

static void publish(struct store *s)
{
	s->own.streams = s->rows.streams;
	s->own.dropped_tags = s->rows.dropped_tags;
	s->own.payload_bytes = s->payload.bytes;
	s->counters = s->own;
}

static void *run_writer(void *arg)
{
	struct store *s = arg;
	struct timespec until = next_commit(s, 0);
	bool stop = false;

	pthread_mutex_lock(&s->lock);
	while (!stop) {
		bool due = wait_for_work(s, &until);
		uint64_t asked = s->asked, answered = s->answered;
		uint64_t commits = s->asked_commits;
		struct positions p = { 0 };
		uint64_t begun = store_mono_ns();
		bool with_commit;

		stop = s->stop;
		with_commit = due || stop || commits > s->commits;
		if (with_commit)
			p = take_positions(s);
		pthread_mutex_unlock(&s->lock);
		write_round(s, asked > answered, with_commit, &p);
		free(p.at);
		if (with_commit)
			until = next_commit(s, store_mono_ns() - begun);
		pthread_mutex_lock(&s->lock);
		publish(s);
		s->answered = asked;
		if (with_commit)
			s->commits = commits;
		pthread_cond_broadcast(&s->done);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

int writer_start(struct store *s, struct err *err)
{
	pthread_condattr_t how;
	int rc;

	pthread_condattr_init(&how);
	pthread_condattr_setclock(&how, CLOCK_MONOTONIC);
	pthread_cond_init(&s->work, &how);
	pthread_cond_init(&s->done, &how);
	pthread_condattr_destroy(&how);
	publish(s);
	rc = pthread_create(&s->thread, NULL, run_writer, s);
	if (rc)
		return err_sys(err, rc, "cannot start the store's writer");
	s->running = true;
	return 0;
}

void writer_stop(struct store *s)
{
	if (!s->running)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->work);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	pthread_cond_destroy(&s->work);
	pthread_cond_destroy(&s->done);
	s->running = false;
}

int writer_ask(struct store *s, bool commit, struct err *err)
{
	uint64_t ticket;

	pthread_mutex_lock(&s->lock);
	ticket = commit ? ++s->asked_commits : ++s->asked;
	pthread_cond_signal(&s->work);
	while ((commit ? s->commits : s->answered) < ticket)
		pthread_cond_wait(&s->done, &s->lock);
	if (s->failed.code && err)
		*err = s->failed;
	pthread_mutex_unlock(&s->lock);
	return err ? err->code : 0;
}

void writer_give_room(struct store *s)
{
	atomic_fetch_add(&s->waits, 1);
	pthread_mutex_lock(&s->lock);
	while (atomic_load(&s->waiting) > s->cfg.memory_max) {
		pthread_cond_signal(&s->work);
		pthread_cond_wait(&s->done, &s->lock);
	}
	pthread_mutex_unlock(&s->lock);
}
