/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_priv.h - what the files of the store share.
 *
 * Locks, outermost first: `rows` (SQLite and what its statements hold), a
 * shard's, the store's own.  Files and placement belong to the writer thread.
 */
#ifndef ENGINE_STORE_STORE_PRIV_H
#define ENGINE_STORE_STORE_PRIV_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/err.h"
#include "engine/store/format.h"
#include "engine/store/store.h"
#include "engine/store/view.h"

enum { GAPS_MAX = 16384 }; /* kept of a direction */

struct gap {
	uint64_t at, len, time_ns;
	uint8_t why;
};

struct extents {
	struct extent *at; /* owned */
	size_t n, room;
};

/* A direction, or the turns.  Positions leave gaps out, offsets do not. */
struct way {
	struct extents disk;
	struct buf flushing; /* on its way to the disk, behind those */
	struct buf tail;     /* behind those; appends go here */
	uint64_t len;	     /* the position behind all of it */
	uint64_t end;	     /* the offset behind all that was given */
	struct gap *gaps;    /* owned */
	size_t n_gaps, gaps_room;
	bool capped;

	/* The writer's, until it hands them over. */
	struct extents fresh;
	uint32_t fill, fill_crc; /* bytes put into the last extent */
	uint64_t taken_end;	 /* `end` when flushing was taken */
};

struct store_stream {
	uint64_t id;
	struct store_shard *shard;
	struct store_row row;
	struct way way[WAYS];
	uint64_t known_packets; /* after a restart: older rows are not news */
	bool known_over;	/* it ended with them */
	bool dirty, ended, ended_taken;
	bool stored; /* it has a row; the writer's */
	uint32_t n_tags; /* given, doubles too */
	size_t due;  /* its place in the list of rows to be put, from 1 */
	struct store_stream *next_dirty;
	struct store_stream *next_same; /* in a bucket of the table */
};

/* Rows of an origin up to this packet may be there from an earlier run. */
struct known {
	uint8_t origin[STORE_ORIGIN];
	uint64_t first_max;
};

struct store_shard {
	struct store *store;
	pthread_mutex_t lock;
	struct store_stream *dirty;
	struct store_stream **buckets; /* by id; owned, with the streams */
	size_t n_buckets, n_streams;
	struct known *known; /* owned; the last one used is the first */
	size_t n_known;
	struct buf rows;	/* what is not a stream's own row; rows.h */
};

/* -- payload.c: segment files ------------------------------------------------ */

struct segment {
	uint32_t number;
	uint64_t size;
	int file;	/* -1: not open for writing */
	bool ours;	/* begun by this run: it may grow */
	bool unsynced;
};

struct payload {
	struct sys *sys;
	char *dir;
	uint64_t max;
	uint32_t segment_max, extent_max;
	struct segment *at; /* oldest first; the last is the active one */
	size_t n, room;
	uint64_t bytes; /* of all */
	uint32_t next;	/* number of the next segment */
	bool new_names; /* not synced */
	bool moving;	/* extents that must stay; they may use the reserve */
	struct buf out; /* gathered, not written */
	uint32_t out_segment;
	uint64_t out_at;
	uint32_t *dead; /* to be unlinked after the next commit */
	size_t n_dead;
};

int payload_open(struct payload *p, const struct store_config *cfg,
		 uint32_t next, struct err *err);
void payload_close(struct payload *p);

/* Disk space that placing len more bytes behind these extents takes. */
uint64_t payload_need(const struct payload *p, const struct extents *disk,
		      uint64_t len, bool exact);

/*
 * Write the flushing bytes of a way.  `exact`: nothing will follow.  ERR_FULL
 * where it would pass the cap; what was written before stands.
 */
int payload_place(struct payload *p, uint64_t id, int number, struct way *w,
		  bool exact, struct err *err);
/* Copy an extent to a new place; *e is changed. */
int payload_move(struct payload *p, uint64_t id, int way, struct extent *e,
		 struct err *err);
int payload_flush(struct payload *p, struct err *err); /* gathered bytes */
int payload_sync(struct payload *p, struct err *err);
/* Room for `need` more bytes, with what placing may waste? */
bool payload_fits(const struct payload *p, uint64_t need);
/* A whole segment into memory; ERR_DAMAGED where the header is not. */
int payload_load(struct payload *p, const struct segment *seg, struct buf *to,
		 struct err *err);
void payload_bury(struct payload *p, uint32_t number);
int payload_unlink_dead(struct payload *p, struct err *err);

int payload_read(struct sys *sys, const char *dir, const struct extent *e,
		 uint32_t from, uint32_t len, uint8_t *to);

void extents_add(struct extents *list, const struct extent *e);

/* -- rows.c: SQLite ------------------------------------------------------------- */

enum row_kind { ROW_GAP, ROW_MESSAGE, ROW_MATCH, ROW_TAG, ROW_KINDS };

struct rows {
	sqlite3 *db;
	char *path;
	bool changed; /* since the last commit */
	uint64_t dropped_tags;
	bool (*live)(void *arg, uint64_t id);
	void *live_arg;
	uint64_t streams;
	sqlite3_stmt *put_stream, *update_stream, *get_stream, *set_runs, *put_position;
	sqlite3_stmt *has_tag, *put[ROW_KINDS];
};

/* What a stream's row needs besides struct store_row. */
struct row_runs {
	struct bytes way[WAYS]; /* borrowed; until the next call on reading */
};

int rows_open(struct rows *r, const char *path, bool writer, struct err *err);
void rows_set_cache(struct rows *r, uint64_t bytes);
void rows_close(struct rows *r);
int rows_change(struct rows *r, struct err *err); /* before one */
int rows_commit(struct rows *r, struct err *err);
int rows_put_stream(struct rows *r, const struct store_row *row,
		    const struct row_runs *runs, bool first, struct err *err);
/* 1: it is there, 0: it is not, or an error.  End with rows_got(). */
int rows_get_stream(struct rows *r, uint64_t id, struct store_row *row,
		    struct row_runs *runs, struct err *err);
void rows_got(struct rows *r);
int rows_set_runs(struct rows *r, uint64_t id, const struct row_runs *runs,
		  bool evicted, struct err *err);
/* What row_begin() and its puts gathered. */
int rows_put_rest(struct rows *r, struct bytes rest, struct err *err);
int rows_put_position(struct rows *r, const struct store_position *p,
		      struct err *err);
int rows_get_position(struct rows *r, struct store_position *p,
		      struct err *err);
/* One more than the first packet of the newest stream of a source; 0. */
int rows_last_first(struct rows *r, const uint8_t *origin, uint64_t *v,
		    struct err *err);
int rows_put_source(struct rows *r, const uint8_t *origin, const char *spool,
		    struct err *err);
/* See store_resume(). */
int rows_close_cut(struct rows *r, const uint8_t *origin, uint64_t from,
		   struct err *err);
int rows_get_firsts(struct rows *r, const uint8_t *origin, uint64_t from,
		    uint64_t **firsts, size_t *n, struct err *err);
int rows_get_gaps(struct rows *r, uint64_t id, int way, struct way *w,
		  struct err *err);
/*
 * Take away up to `n` of the oldest unpinned streams that nobody writes, with
 * all that is kept of them: of those that fulfil a condition on the columns.
 */
int rows_remove(struct rows *r, const char *condition, uint64_t n,
		uint64_t *removed, struct err *err);
/* SQL may ask is_live(id). */
int rows_know_live(struct rows *r, bool (*fn)(void *arg, uint64_t id),
		   void *arg, struct err *err);
int rows_bytes(struct rows *r, uint64_t *bytes, struct err *err);
int rows_number(struct rows *r, const char *sql, uint64_t *v,
		struct err *err);
int rows_run(struct rows *r, const char *sql, struct err *err);
sqlite3_stmt *rows_prepare(struct rows *r, const char *sql, struct err *err);
int rows_failed(const struct rows *r, struct err *err);
/* Column by column as SELECT store_columns store_beside gives them. */
extern const char store_columns[], store_beside[];
void rows_read_stream(sqlite3_stmt *st, struct store_row *row,
		      struct row_runs *runs);

/* A row for later: kind and stream, then as many numbers and texts as it has. */
void row_begin(struct buf *b, enum row_kind kind, uint64_t stream);
void row_number(struct buf *b, uint64_t v);
void row_text(struct buf *b, struct bytes text);

/* -- store.c, writer.c ------------------------------------------------------------ */

struct store {
	struct store_config cfg;
	struct sys *sys;
	char *dir;
	int lock_file;
	struct payload payload;
	pthread_mutex_t rows_lock;
	struct rows rows;
	struct store_shard *shards;

	pthread_mutex_t lock;
	pthread_cond_t work, done; /* the writer waits, others wait */
	pthread_t thread;
	bool running, stop;
	uint64_t asked, answered;	/* rounds */
	uint64_t asked_commits, commits;
	struct store_position *put; /* go with the next commit; owned */
	size_t n_put;
	struct err failed; /* why nothing more is written */
	atomic_bool has_failed;

	uint64_t flush_at;
	atomic_uint_fast64_t waiting;
	struct store_position *positions; /* as of the opening */
	size_t n_positions;
	struct store_counters own, counters; /* the writer's; published */
	struct store_keep *keep;   /* owned */
	uint64_t newest_ns;	   /* last packet of any stream */
	uint64_t retained_ns;	   /* monotonic; of the last look */
	uint64_t swept;		   /* removed_streams, when payload was swept */
	struct store_stream **due; /* rows to be put with the commit; owned */
	size_t n_due, due_room;
	atomic_uint_fast64_t dropped, skipped, differing, waits, peak,
		dropped_tags;
};

/* -- retain.c: what may stay; both with the writer's thread -------------------- */

/* Rows over a cap or too old go; rows_lock held. */
int retain_rows(struct store *s, struct err *err);
/* Segments that hold nothing any more go with the next commit. */
int retain_payload(struct store *s, struct err *err);

uint64_t store_mono_ns(void);
struct store_stream *store_find_live(struct store *s, uint64_t id);
/* Does anything that is kept lie in it? */
bool writer_segment_needed(struct store *s, const struct segment *seg);

int writer_start(struct store *s, struct err *err);
void writer_stop(struct store *s);
/* Wait for a round (and a commit) that begins after the call. */
int writer_ask(struct store *s, bool commit, struct err *err);
void writer_give_room(struct store *s);

struct store_stream *shard_find(struct store_shard *sh, uint64_t id);
void shard_forget(struct store_shard *sh, struct store_stream *st);
void stream_free(struct store_stream *st);
void stream_touch(struct store_stream *st); /* shard lock held */
void way_capped(struct store_stream *st, int way, uint64_t dropped);

/* Where the bytes behind an offset lie: gaps before it left out. */
uint64_t gaps_position(const struct gap *gaps, size_t n, uint64_t offset);

#endif
