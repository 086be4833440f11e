/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/store/store_priv.h"

#include <stdlib.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "sys/sys.h"

enum {
	PAGE = 256,	     /* rows fetched at once */
	PIECE = 256 << 10,   /* bytes handed out at once */
	TRIES = 4	     /* a segment may go while it is being read */
};

struct store_view {
	struct store *store; /* NULL: another process's */
	struct rows own;     /* then */
	struct rows *rows;
	struct sys *sys;
	char *payload_dir; /* owned */
};

struct store_view *store_view_open(struct sys *sys, const char *dir,
				   const char *payload_dir, struct err *err)
{
	struct store_view *v = mem_alloc(sizeof(*v));
	char *path = mem_format("%s/store.db", dir);

	v->sys = sys ? sys : sys_host();
	v->rows = &v->own;
	v->payload_dir = payload_dir ? mem_text(payload_dir)
				     : mem_format("%s/payload", dir);
	if (rows_open(&v->own, path, false, err) < 0) {
		store_view_close(v);
		v = NULL;
	}
	free(path);
	return v;
}

struct store_view *store_view_of(struct store *s)
{
	struct store_view *v = mem_alloc(sizeof(*v));

	v->store = s;
	v->rows = &s->rows;
	v->sys = s->sys;
	v->payload_dir = mem_text(s->payload.dir);
	return v;
}

void store_view_close(struct store_view *v)
{
	if (!v)
		return;
	if (!v->store)
		rows_close(&v->own);
	free(v->payload_dir);
	free(v);
}

static void lock_rows(struct store_view *v)
{
	if (v->store)
		pthread_mutex_lock(&v->store->rows_lock);
}

static void unlock_rows(struct store_view *v)
{
	if (v->store)
		pthread_mutex_unlock(&v->store->rows_lock);
}

/* All that was given so far gets its rows; after a failure, what there is. */
static void settle(struct store_view *v)
{
	if (v->store)
		writer_ask(v->store, false, NULL);
}

/* -- rows ---------------------------------------------------------------------- */

static sqlite3_stmt *prepare_page(struct store_view *v,
				  const struct store_filter *f,
				  struct err *err)
{
	char *sql = mem_format(
		"SELECT %s%s FROM streams WHERE (?1 IS NULL OR service=?1)%s "
		"ORDER BY first_ns DESC,id DESC LIMIT %d",
		store_columns, store_beside, f->behind ? " AND (first_ns,id)<(?2,?3)" : "",
		PAGE);
	sqlite3_stmt *st = rows_prepare(v->rows, sql, err);

	free(sql);
	if (!st)
		return NULL;
	if (f->service)
		sqlite3_bind_text(st, 1, f->service, -1, SQLITE_STATIC);
	if (f->behind) {
		sqlite3_bind_int64(st, 2, (int64_t)f->behind_ns);
		sqlite3_bind_int64(st, 3, (int64_t)f->behind_id);
	}
	return st;
}

/* The page behind f; returns how many. */
static int read_page(struct store_view *v, const struct store_filter *f,
		     struct store_row *page, struct err *err)
{
	sqlite3_stmt *st;
	int n = 0, rc = SQLITE_ERROR;

	lock_rows(v);
	st = prepare_page(v, f, err);
	while (st && n < PAGE && (rc = sqlite3_step(st)) == SQLITE_ROW)
		rows_read_stream(st, &page[n++], NULL);
	if (st && rc != SQLITE_ROW && rc != SQLITE_DONE)
		rows_failed(v->rows, err);
	sqlite3_finalize(st);
	unlock_rows(v);
	return n;
}

int store_view_rows(struct store_view *v, const struct store_filter *f,
		    int (*fn)(void *arg, const struct store_row *row),
		    void *arg, struct err *err)
{
	struct store_row *page = mem_array(PAGE, sizeof(*page));
	struct store_filter at = *f;
	uint64_t left = f->limit ? f->limit : UINT64_MAX;
	int n = PAGE, stop = 0;

	settle(v);
	while (n == PAGE && left && !stop && err->code == 0) {
		n = read_page(v, &at, page, err);
		for (int i = 0; i < n && left && !stop; i++, left--)
			stop = fn(arg, &page[i]);
		if (n) {
			at.behind = true;
			at.behind_ns = page[n - 1].flow.first_ns;
			at.behind_id = page[n - 1].id;
		}
	}
	free(page);
	return err->code;
}

static int no_stream(uint64_t id, struct err *err)
{
	return err_set(err, ERR_GONE, "there is no stream %016llx",
		       (unsigned long long)id);
}

int store_view_row(struct store_view *v, uint64_t id, struct store_row *row,
		   struct err *err)
{
	struct row_runs runs;
	int rc;

	settle(v);
	lock_rows(v);
	rc = rows_get_stream(v->rows, id, row, &runs, err);
	if (rc == 1)
		rows_got(v->rows);
	unlock_rows(v);
	return rc == 1 ? 0 : rc == 0 ? no_stream(id, err) : rc;
}

char *store_view_spool(struct store_view *v,
		       const uint8_t origin[STORE_ORIGIN])
{
	struct err err = ERR_NONE;
	char *spool = NULL;
	sqlite3_stmt *st;

	lock_rows(v);
	st = rows_prepare(v->rows, "SELECT spool FROM sources WHERE origin=?",
			  &err);
	if (st)
		sqlite3_bind_blob(st, 1, origin, STORE_ORIGIN, SQLITE_STATIC);
	if (st && sqlite3_step(st) == SQLITE_ROW &&
	    sqlite3_column_text(st, 0))
		spool = mem_text((const char *)sqlite3_column_text(st, 0));
	sqlite3_finalize(st);
	unlock_rows(v);
	return spool;
}

/* -- payload: how a way stands at one moment -------------------------------------- */

struct still {
	struct way way;	 /* disk, gaps, len, end; all owned */
	struct buf memory;   /* what is not on disk */
	uint64_t memory_pos; /* of its first byte */
	bool evicted;
};

static void still_release(struct still *still)
{
	free(still->way.disk.at);
	free(still->way.gaps);
	buf_release(&still->memory);
	*still = (struct still){ 0 };
}

/* Of bytes that begin at *pos, those in [from, to) into memory. */
static void copy_part(struct still *still, uint64_t *pos, struct bytes b,
		      uint64_t from, uint64_t to)
{
	uint64_t end = *pos + b.len;
	uint64_t first = from > *pos ? from : *pos;
	uint64_t last = to < end ? to : end;

	if (first < last) {
		if (!still->memory.len)
			still->memory_pos = first;
		put_bytes(&still->memory,
			  bytes_of(b.p + (first - *pos),
				   (size_t)(last - first)));
	}
	*pos = end;
}

static void copy_way(struct still *still, const struct way *w, bool turns,
		     uint64_t from, uint64_t len)
{
	uint64_t pos = w->len - w->flushing.len - w->tail.len, at, to;

	still->way.len = w->len;
	still->way.end = turns ? w->len : w->end;
	for (size_t i = 0; i < w->disk.n; i++)
		extents_add(&still->way.disk, &w->disk.at[i]);
	if (w->n_gaps) {
		still->way.gaps = mem_array(w->n_gaps, sizeof(*w->gaps));
		memcpy(still->way.gaps, w->gaps, w->n_gaps * sizeof(*w->gaps));
		still->way.n_gaps = w->n_gaps;
	}
	at = gaps_position(w->gaps, w->n_gaps, from);
	to = len > UINT64_MAX - at ? UINT64_MAX : at + len;
	copy_part(still, &pos, buf_bytes(&w->flushing), at, to);
	copy_part(still, &pos, buf_bytes(&w->tail), at, to);
}

static bool still_of_live(struct store_view *v, uint64_t id, int way,
			  uint64_t from, uint64_t len, struct still *still)
{
	struct store_stream *st = NULL;

	for (int i = 0; v->store && i < v->store->cfg.shards && !st; i++) {
		struct store_shard *sh = &v->store->shards[i];

		pthread_mutex_lock(&sh->lock);
		st = shard_find(sh, id);
		if (st) {
			copy_way(still, &st->way[way], way == WAY_TURNS, from,
				 len);
			still->evicted = st->row.evicted;
		}
		pthread_mutex_unlock(&sh->lock);
	}
	return st != NULL;
}

static int still_of_row(struct store_view *v, uint64_t id, int way,
			struct still *still, struct err *err)
{
	struct row_runs runs;
	struct store_row row;
	size_t n = 0;
	int rc;

	lock_rows(v);
	rc = rows_get_stream(v->rows, id, &row, &runs, err);
	if (rc == 1) {
		if (extents_check(runs.way[way], &n) < 0)
			n = 0;
		for (size_t i = 0; i < n; i++) {
			struct extent e = extent_at(runs.way[way], i);

			extents_add(&still->way.disk, &e);
			still->way.len += e.used;
		}
		rows_got(v->rows);
		still->evicted = row.evicted;
		still->way.end = way == WAY_TURNS ? still->way.len
						  : row.end[way];
		rc = rows_get_gaps(v->rows, id, way, &still->way, err);
	} else if (rc == 0) {
		rc = no_stream(id, err);
	}
	unlock_rows(v);
	return rc;
}

static int still_of(struct store_view *v, uint64_t id, int way, uint64_t from,
		    uint64_t len, struct still *still, struct err *err)
{
	still_release(still);
	if (still_of_live(v, id, way, from, len, still))
		return 0;
	return still_of_row(v, id, way, still, err);
}

/* -- payload: pieces ---------------------------------------------------------------- */

/* What is at `at`: a hole, or where its bytes lie; never behind `to`. */
static struct store_piece piece_at(const struct still *still, uint64_t at,
				   uint64_t to, uint64_t *pos)
{
	const struct way *w = &still->way;
	struct store_piece piece = { .offset = at, .len = to - at };
	uint64_t before = 0;

	for (size_t i = 0; i < w->n_gaps; i++) {
		const struct gap *g = &w->gaps[i];

		if (at < g->at) {
			if (g->at < to)
				piece.len = g->at - at;
			break;
		}
		if (at - g->at < g->len) {
			piece.hole = true;
			piece.why = g->why;
			if (g->len - (at - g->at) < piece.len)
				piece.len = g->len - (at - g->at);
			return piece;
		}
		before += g->len;
	}
	*pos = at - before;
	if (*pos >= w->len) {
		piece.hole = true;
		piece.why = still->evicted ? STORE_HOLE_EVICTED
					   : STORE_HOLE_CAP;
	} else if (piece.len > w->len - *pos) {
		piece.len = w->len - *pos;
	}
	return piece;
}

static const struct extent *extent_with(const struct extents *list,
					uint64_t pos)
{
	size_t low = 0, high = list->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (list->at[middle].pos + list->at[middle].used <= pos)
			low = middle + 1;
		else
			high = middle;
	}
	return low < list->n ? &list->at[low] : NULL;
}

/*
 * Bytes of a piece, from its first one on, as many as lie together.  An extent
 * that is read as a whole is compared with its checksum.
 */
static int load_piece(struct store_view *v, const struct still *still,
		      uint64_t pos, struct store_piece *piece, uint8_t *room)
{
	const struct extent *e = extent_with(&still->way.disk, pos);
	uint32_t from, len;
	int rc;

	if (!e) {
		piece->data = bytes_of(still->memory.p +
					       (pos - still->memory_pos),
				       (size_t)piece->len);
		return 0;
	}
	from = (uint32_t)(pos - e->pos);
	len = e->used - from;
	if (len < piece->len)
		piece->len = len;
	rc = payload_read(v->sys, v->payload_dir, e, from,
			  (uint32_t)piece->len, room);
	piece->data = bytes_of(room, (size_t)piece->len);
	if (rc == 0 && piece->len == e->used && crc32c(piece->data) != e->crc)
		rc = ERR_DAMAGED;
	return rc;
}

static int read_way(struct store_view *v, uint64_t id, int way, uint64_t from,
		    uint64_t len,
		    int (*fn)(void *arg, const struct store_piece *piece),
		    void *arg, struct err *err)
{
	uint8_t *room = mem_alloc(PIECE);
	struct still still = { 0 };
	uint64_t to = len > UINT64_MAX - from ? UINT64_MAX : from + len;
	int tries = TRIES, stop = 0;

	if (still_of(v, id, way, from, len, &still, err) == 0 &&
	    to > still.way.end)
		to = still.way.end;
	while (err->code == 0 && !stop && from < to) {
		uint64_t pos = 0;
		struct store_piece piece = piece_at(&still, from, to, &pos);
		int rc = piece.hole ? 0
				    : load_piece(v, &still, pos, &piece, room);

		/* It has moved, or had to make room, since we looked. */
		if (rc == ERR_GONE && tries > 0) {
			tries--;
			still_of(v, id, way, from, to - from, &still, err);
			continue;
		}
		if (rc < 0) {
			piece.hole = true;
			piece.why = STORE_HOLE_DAMAGED;
			piece.data = (struct bytes){ 0 };
		}
		stop = fn(arg, &piece);
		from += piece.len;
	}
	still_release(&still);
	free(room);
	return err->code;
}

int store_view_read(struct store_view *v, uint64_t id, int way, uint64_t from,
		    uint64_t len,
		    int (*fn)(void *arg, const struct store_piece *piece),
		    void *arg, struct err *err)
{
	return read_way(v, id, way, from, len, fn, arg, err);
}

const char *store_hole_name(int why)
{
	switch (why) {
	case FLOW_GAP_LOST:
		return "lost";
	case FLOW_GAP_LIMIT:
		return "limit";
	case FLOW_GAP_END:
		return "end";
	case FLOW_GAP_SNAPPED:
		return "snapped";
	case FLOW_GAP_SOURCE:
		return "source";
	case STORE_HOLE_CAP:
		return "cap";
	case STORE_HOLE_EVICTED:
		return "evicted";
	case STORE_HOLE_DAMAGED:
		return "damaged";
	}
	return "unknown";
}

/* -- turns ------------------------------------------------------------------------------ */

struct turn_walk {
	int (*fn)(void *arg, const struct store_turn *turn);
	void *arg;
	uint8_t cut[TURN_RECORD]; /* a record over the border of two pieces */
	size_t n_cut;
};

static int give_turn(struct turn_walk *walk, struct bytes record)
{
	struct turn t;
	struct store_turn turn;

	if (turn_parse(record, &t) < 0)
		return 0;
	turn = (struct store_turn){ t.way, t.offset, t.time_ns, t.packet,
				    t.len };
	return walk->fn(walk->arg, &turn);
}

static int on_turn_bytes(void *arg, const struct store_piece *piece)
{
	struct turn_walk *walk = arg;
	struct bytes in = piece->data;

	if (piece->hole) /* records after it would be read askew */
		return 1;
	while (in.len) {
		size_t n = TURN_RECORD - walk->n_cut;
		int stop;

		if (n > in.len)
			n = in.len;
		memcpy(walk->cut + walk->n_cut, in.p, n);
		walk->n_cut += n;
		in = bytes_of(in.p + n, in.len - n);
		if (walk->n_cut < TURN_RECORD)
			break;
		walk->n_cut = 0;
		stop = give_turn(walk, bytes_of(walk->cut, TURN_RECORD));
		if (stop)
			return stop;
	}
	return 0;
}

int store_view_turns(struct store_view *v, uint64_t id,
		     int (*fn)(void *arg, const struct store_turn *turn),
		     void *arg, struct err *err)
{
	struct turn_walk walk = { .fn = fn, .arg = arg };

	return read_way(v, id, WAY_TURNS, 0, UINT64_MAX, on_turn_bytes, &walk,
			err);
}

/* -- what was found ----------------------------------------------------------------------- */

static struct bytes column_bytes(sqlite3_stmt *st, int at)
{
	const void *p = sqlite3_column_blob(st, at);

	return bytes_of(p, (size_t)sqlite3_column_bytes(st, at));
}

static uint64_t column(sqlite3_stmt *st, int at)
{
	return (uint64_t)sqlite3_column_int64(st, at);
}

/*
 * Each row of one statement about one stream.  A live view holds the lock on
 * rows meanwhile: fn may not call the store.
 */
static int walk_rows(struct store_view *v, const char *sql, uint64_t id,
		     int (*fn)(void *arg, sqlite3_stmt *st), void *arg,
		     struct err *err)
{
	sqlite3_stmt *st;
	int rc = SQLITE_ERROR, stop = 0;

	settle(v);
	lock_rows(v);
	st = rows_prepare(v->rows, sql, err);
	if (st)
		sqlite3_bind_int64(st, 1, (int64_t)id);
	while (st && !stop && (rc = sqlite3_step(st)) == SQLITE_ROW)
		stop = fn(arg, st);
	if (st && rc != SQLITE_ROW && rc != SQLITE_DONE)
		rows_failed(v->rows, err);
	sqlite3_finalize(st);
	unlock_rows(v);
	return err->code;
}

struct message_walk {
	int (*fn)(void *arg, const struct store_message *m);
	void *arg;
};

static int on_message(void *arg, sqlite3_stmt *st)
{
	const struct message_walk *walk = arg;
	struct store_message m = {
		.way = (uint8_t)column(st, 0),
		.protocol = (uint8_t)column(st, 1),
		.ordinal = column(st, 2),
		.status = (uint8_t)column(st, 3),
		.start = column(st, 4),
		.end = column(st, 5),
		.head_start = column(st, 6),
		.head_end = column(st, 7),
		.body_start = column(st, 8),
		.body_end = column(st, 9),
		.body_bytes = column(st, 10),
		.link = column(st, 11),
		.code = column(st, 12),
		.time_ns = column(st, 13),
		.kind = column_bytes(st, 14),
		.summary = column_bytes(st, 15),
		.error = column_bytes(st, 16),
		.method = column_bytes(st, 17),
		.target = column_bytes(st, 18),
		.host = column_bytes(st, 19),
		.version = column_bytes(st, 20),
		.name = column_bytes(st, 21),
		.extra = column_bytes(st, 22),
	};

	return walk->fn(walk->arg, &m);
}

int store_view_turn_count(struct store_view *v, uint64_t id, uint64_t *n,
			  struct err *err)
{
	struct still still = { 0 };
	int rc = still_of(v, id, WAY_TURNS, 0, 0, &still, err);

	*n = still.way.len / TURN_RECORD;
	still_release(&still);
	return rc;
}

int store_view_messages(struct store_view *v, uint64_t id,
			int (*fn)(void *arg, const struct store_message *m),
			void *arg, struct err *err)
{
	struct message_walk walk = { fn, arg };

	return walk_rows(v,
			 "SELECT way,protocol,ordinal,status,start,end,"
			 "head_start,head_end,body_start,body_end,body_bytes,"
			 "link,code,time_ns,kind,summary,error,method,target,"
			 "host,version,name,extra FROM messages WHERE stream=? "
			 "ORDER BY time_ns,way,ordinal",
			 id, on_message, &walk, err);
}

struct match_walk {
	int (*fn)(void *arg, const struct store_match *m);
	void *arg;
};

static int on_match(void *arg, sqlite3_stmt *st)
{
	const struct match_walk *walk = arg;
	struct store_match m = {
		.way = (uint8_t)column(st, 0),
		.start = column(st, 1),
		.end = column(st, 2),
		.time_ns = column(st, 3),
		.pattern = column_bytes(st, 4),
		.name = column_bytes(st, 5),
		.content = column_bytes(st, 6),
	};

	return walk->fn(walk->arg, &m);
}

int store_view_matches(struct store_view *v, uint64_t id,
		       int (*fn)(void *arg, const struct store_match *m),
		       void *arg, struct err *err)
{
	struct match_walk walk = { fn, arg };

	return walk_rows(v,
			 "SELECT way,start,end,time_ns,pattern,name,content "
			 "FROM matches WHERE stream=? ORDER BY way,start,end",
			 id, on_match, &walk, err);
}

struct tag_walk {
	int (*fn)(void *arg, const char *tag);
	void *arg;
};

static int on_tag(void *arg, sqlite3_stmt *st)
{
	const struct tag_walk *walk = arg;

	return walk->fn(walk->arg, (const char *)sqlite3_column_text(st, 0));
}

int store_view_tags(struct store_view *v, uint64_t id,
		    int (*fn)(void *arg, const char *tag), void *arg,
		    struct err *err)
{
	struct tag_walk walk = { fn, arg };

	return walk_rows(v, "SELECT tag FROM tags WHERE stream=? ORDER BY tag",
			 id, on_tag, &walk, err);
}

static int on_comment(void *arg, sqlite3_stmt *st)
{
	const char *text = (const char *)sqlite3_column_text(st, 0);

	if (text && strlen(text) < STORE_TEXT_MAX)
		strcpy(arg, text);
	return 1;
}

int store_view_comment(struct store_view *v, uint64_t id,
		       char out[STORE_TEXT_MAX], struct err *err)
{
	out[0] = '\0';
	return walk_rows(v, "SELECT comment FROM marks WHERE stream=?", id,
			 on_comment, out, err);
}
