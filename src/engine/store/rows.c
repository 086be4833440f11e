/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows.c - the tables in SQLite, from tables in C.
 */
#include "engine/store/store_priv.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "base/mem.h"

enum { VERSION = 3 };
#define VERSION_TEXT "3"

/* -- what a stream's row holds ------------------------------------------------- */

/* Numbers of struct store_row, in the order of the columns behind `id`. */
struct number {
	const char *name;
	uint16_t at;
	uint8_t size;
};

#define NUMBER(name_, field_)                                                  \
	{ name_, offsetof(struct store_row, field_),                           \
	  sizeof(((struct store_row *)NULL)->field_) }
#define WAY_NUMBERS(w_, i_)                                                    \
	NUMBER("packets_" w_, flow.way[i_].packets),                           \
	NUMBER("bytes_" w_, flow.way[i_].bytes),                               \
	NUMBER("payload_" w_, flow.way[i_].payload),                           \
	NUMBER("delivered_" w_, flow.way[i_].delivered),                       \
	NUMBER("offset_" w_, flow.way[i_].offset),                             \
	NUMBER("gap_bytes_" w_, flow.way[i_].gap_bytes),                       \
	NUMBER("gaps_" w_, flow.way[i_].gaps),                                 \
	NUMBER("repeated_" w_, flow.way[i_].repeated),                         \
	NUMBER("early_" w_, flow.way[i_].early),                               \
	NUMBER("conflicts_" w_, flow.way[i_].conflicts),                       \
	NUMBER("ignored_" w_, flow.way[i_].ignored),                           \
	NUMBER("first_seq_" w_, flow.way[i_].first_seq),                       \
	NUMBER("last_seq_" w_, flow.way[i_].last_seq),                         \
	NUMBER("syn_" w_, flow.way[i_].syn),                                   \
	NUMBER("fin_" w_, flow.way[i_].fin),                                   \
	NUMBER("rst_" w_, flow.way[i_].rst),                                   \
	NUMBER("urgent_" w_, flow.way[i_].urgent),                             \
	NUMBER("end_" w_, end[i_]), NUMBER("kept_" w_, kept[i_])

static const struct number numbers[] = {
	NUMBER("flow_key", flow_key),
	NUMBER("protocol", flow.protocol),
	NUMBER("state", flow.state),
	NUMBER("ended", flow.ended),
	NUMBER("opener", flow.opener),
	NUMBER("vlan", flow.vlan),
	NUMBER("tunnels", flow.tunnels),
	NUMBER("first_index", flow.first_index),
	NUMBER("first_ns", flow.first_ns),
	NUMBER("last_ns", flow.last_ns),
	NUMBER("port_a", flow.end[0].port),
	NUMBER("port_b", flow.end[1].port),
	WAY_NUMBERS("a", 0),
	WAY_NUMBERS("b", 1),
	NUMBER("content_kind", content_kind),
	NUMBER("last_index", last_index),
	NUMBER("matches", matches),
	NUMBER("matches_dropped", matches_dropped),
	NUMBER("patterns", patterns),
	NUMBER("caller", caller),
	NUMBER("messages", messages),
	NUMBER("messages_dropped", messages_dropped),
	NUMBER("dropped_bytes", dropped_bytes),
	NUMBER("over", over),
	NUMBER("capped", capped),
	NUMBER("evicted", evicted),
};

enum { N_NUMBERS = sizeof(numbers) / sizeof(*numbers) };

#define WAY_COLUMNS(w)                                                         \
	"packets_" w ",bytes_" w ",payload_" w ",delivered_" w ",offset_" w    \
	",gap_bytes_" w ",gaps_" w ",repeated_" w ",early_" w ",conflicts_" w  \
	",ignored_" w ",first_seq_" w ",last_seq_" w ",syn_" w ",fin_" w       \
	",rst_" w ",urgent_" w ",end_" w ",kept_" w ","

/* In the order in which rows_put_stream() binds. */
const char store_columns[] =
	"id,flow_key,protocol,state,ended,opener,vlan,tunnels,first_index,"
	"first_ns,last_ns,port_a,port_b," WAY_COLUMNS("a") WAY_COLUMNS("b")
	"content_kind,last_index,matches,matches_dropped,patterns,caller,"
	"messages,"
	"messages_dropped,dropped_bytes,over,capped,evicted,"
	"address_a,address_b,service,service_source,origin,"
	"runs_a,runs_b,runs_turns";

#define TAGS_MAX_TEXT "256" /* STORE_TAGS_MAX */
/* A search of the past finds matches that analysis has not counted. */
const char store_beside[] =
	",(SELECT pinned FROM marks WHERE stream=id)"
	",(SELECT count(*) FROM matches WHERE stream=id)";

/* What else is kept: how its row is written, and its shape. */
static const struct {
	const char *sql;
	int n_numbers, n_texts;
} kinds[ROW_KINDS] = {
	[ROW_GAP] = { "INSERT OR IGNORE INTO gaps VALUES(?,?,?,?,?,?)", 5, 0 },
	[ROW_MESSAGE] = { "INSERT OR REPLACE INTO messages VALUES"
			  "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?"
			  ",?,?,?,?,?,?,?,?,?)",
			  14, 9 },
	[ROW_MATCH] = { "INSERT OR IGNORE INTO matches VALUES"
			"(?,?,?,?,?,?,?,?)",
			4, 3 },
	[ROW_TAG] = { "INSERT OR IGNORE INTO tags SELECT ?1,?2 WHERE (SELECT "
		      "count(*) FROM tags WHERE stream=?1)<" TAGS_MAX_TEXT,
		      0, 1 },
};

static const char tables[] =
	"CREATE TABLE IF NOT EXISTS gaps("
	"stream INTEGER,way INTEGER,at INTEGER,len INTEGER,why INTEGER,"
	"time_ns INTEGER,PRIMARY KEY(stream,way,at)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS messages("
	"stream INTEGER,way INTEGER,protocol INTEGER,ordinal INTEGER,"
	"status INTEGER,start INTEGER,end INTEGER,head_start INTEGER,"
	"head_end INTEGER,body_start INTEGER,body_end INTEGER,"
	"body_bytes INTEGER,link INTEGER,code INTEGER,time_ns INTEGER,"
	"kind TEXT,summary TEXT,error TEXT,method TEXT,target TEXT,host TEXT,"
	"version TEXT,name TEXT,extra TEXT,"
	"PRIMARY KEY(stream,way,protocol,ordinal)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS matches("
	"stream INTEGER,way INTEGER,start INTEGER,end INTEGER,"
	"time_ns INTEGER,pattern TEXT,name TEXT,content BLOB,"
	"PRIMARY KEY(stream,way,start,end,pattern)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS tags("
	"stream INTEGER,tag TEXT,PRIMARY KEY(stream,tag)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS marks("
	"stream INTEGER PRIMARY KEY,pinned INTEGER NOT NULL DEFAULT 0,"
	"comment TEXT NOT NULL DEFAULT '');"
	"CREATE TABLE IF NOT EXISTS positions("
	"origin BLOB PRIMARY KEY,resume INTEGER,given INTEGER);"
	"CREATE TABLE IF NOT EXISTS sources("
	"origin BLOB PRIMARY KEY,spool TEXT);"
	"CREATE TABLE IF NOT EXISTS payload(next INTEGER);"
	"CREATE INDEX IF NOT EXISTS streams_by_time ON streams(first_ns,id);"
	"CREATE INDEX IF NOT EXISTS streams_by_packet ON "
	"streams(origin,first_index);";

/* -- the connection -------------------------------------------------------------- */

int rows_failed(const struct rows *r, struct err *err)
{
	return err_set(err, ERR_FAILED, "%s: %s", r->path,
		       sqlite3_errmsg(r->db));
}

int rows_run(struct rows *r, const char *sql, struct err *err)
{
	if (sqlite3_exec(r->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return rows_failed(r, err);
	return 0;
}

sqlite3_stmt *rows_prepare(struct rows *r, const char *sql, struct err *err)
{
	sqlite3_stmt *st = NULL;

	if (sqlite3_prepare_v2(r->db, sql, -1, &st, NULL) != SQLITE_OK)
		rows_failed(r, err);
	return st;
}

int rows_number(struct rows *r, const char *sql, uint64_t *v, struct err *err)
{
	sqlite3_stmt *st = rows_prepare(r, sql, err);
	int rc = st ? sqlite3_step(st) : SQLITE_ERROR;

	*v = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(st, 0) : 0;
	sqlite3_finalize(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : rows_failed(r, err);
}

static char *create_streams(void)
{
	struct buf b = { 0 };

	put_text(&b, "CREATE TABLE IF NOT EXISTS streams("
		     "seq INTEGER PRIMARY KEY,id INTEGER UNIQUE");
	for (int i = 0; i < N_NUMBERS; i++)
		put_format(&b, ",%s INTEGER", numbers[i].name);
	put_text(&b, ",address_a TEXT,address_b TEXT,service TEXT,"
		     "service_source TEXT,origin BLOB,runs_a BLOB,runs_b BLOB,"
		     "runs_turns BLOB);");
	put_u8(&b, 0);
	return (char *)b.p;
}

static char *insert_stream(void)
{
	struct buf b = { 0 };

	put_format(&b, "INSERT OR REPLACE INTO streams(%s) VALUES(?",
		   store_columns);
	for (int i = 0; i < N_NUMBERS + 8; i++)
		put_text(&b, ",?");
	put_text(&b, ")");
	put_u8(&b, 0);
	return (char *)b.p;
}

/* What never changes is left alone, and so are the indexes over it. */
static bool is_fixed(const char *name, size_t len)
{
	static const char *const fixed[] = {
		"id", "flow_key", "protocol", "first_index", "first_ns",
		"port_a", "port_b", "address_a", "address_b", "origin",
	};

	for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++)
		if (strlen(fixed[i]) == len &&
		    strncmp(fixed[i], name, len) == 0)
			return true;
	return false;
}

/* Binds as the insert does, by number. */
static char *update_stream(void)
{
	struct buf b = { 0 };
	const char *at = store_columns;
	const char *comma = "";

	put_text(&b, "UPDATE streams SET ");
	for (int n = 1; *at; n++) {
		size_t len = strcspn(at, ",");

		if (!is_fixed(at, len)) {
			put_format(&b, "%s%.*s=?%d", comma, (int)len, at, n);
			comma = ",";
		}
		at += len + (at[len] == ',');
	}
	put_text(&b, " WHERE id=?1");
	put_u8(&b, 0);
	return (char *)b.p;
}

static int prepare_get(struct rows *r, struct err *err)
{
	char *get = mem_format("SELECT %s%s FROM streams WHERE id=?",
			       store_columns, store_beside);

	r->get_stream = rows_prepare(r, get, err);
	free(get);
	return err->code;
}

static int prepare_all(struct rows *r, struct err *err)
{
	char *insert = insert_stream(), *update = update_stream();

	r->put_stream = rows_prepare(r, insert, err);
	r->update_stream = rows_prepare(r, update, err);
	free(update);
	r->set_runs = rows_prepare(
		r, "UPDATE streams SET runs_a=?2,runs_b=?3,runs_turns=?4,"
		   "evicted=?5 WHERE id=?1", err);
	r->put_position = rows_prepare(
		r, "INSERT OR REPLACE INTO positions VALUES(?,?,?)", err);
	r->has_tag = rows_prepare(
		r, "SELECT 1 FROM tags WHERE stream=? AND tag=?", err);
	for (int i = 0; i < ROW_KINDS; i++)
		r->put[i] = rows_prepare(r, kinds[i].sql, err);
	free(insert);
	return err->code ? err->code : prepare_get(r, err);
}

static int create(struct rows *r, struct err *err)
{
	char *streams = create_streams();
	uint64_t version;
	int rc;

	rc = rows_run(r, "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;"
			 "PRAGMA temp_store=MEMORY;"
			 "PRAGMA wal_autocheckpoint=1000;"
			 "PRAGMA journal_size_limit=4194304;", err);
	if (rc == 0)
		rc = rows_number(r, "PRAGMA user_version", &version, err);
	if (rc == 0 && version && version != VERSION)
		rc = err_set(err, ERR_UNKNOWN,
			     "%s has version %d of its format; this program "
			     "knows %d", r->path, (int)version, VERSION);
	if (rc == 0)
		rc = rows_run(r, "BEGIN", err);
	if (rc == 0)
		rc = rows_run(r, streams, err);
	if (rc == 0)
		rc = rows_run(r, tables, err);
	if (rc == 0)
		rc = rows_run(r, "PRAGMA user_version=" VERSION_TEXT
			      ";COMMIT", err);
	free(streams);
	return rc;
}

void rows_set_cache(struct rows *r, uint64_t bytes)
{
	struct err err = ERR_NONE;
	char *sql = mem_format("PRAGMA cache_size=-%llu",
			       (unsigned long long)(bytes / 1024));

	rows_run(r, sql, &err);
	free(sql);
}

int rows_open(struct rows *r, const char *path, bool writer, struct err *err)
{
	int flags = writer ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
			   : SQLITE_OPEN_READONLY;
	int rc;

	*r = (struct rows){ .path = mem_text(path) };
	if (sqlite3_open_v2(path, &r->db, flags | SQLITE_OPEN_NOMUTEX, NULL) !=
	    SQLITE_OK)
		return rows_failed(r, err);
	sqlite3_busy_timeout(r->db, 5000);
	rc = writer ? create(r, err) : 0;
	if (rc == 0)
		rc = writer ? prepare_all(r, err) : prepare_get(r, err);
	if (rc == 0 && writer)
		rc = rows_number(r, "SELECT count(*) FROM streams",
				 &r->streams, err);
	return rc;
}

void rows_close(struct rows *r)
{
	sqlite3_finalize(r->put_stream);
	sqlite3_finalize(r->update_stream);
	sqlite3_finalize(r->get_stream);
	sqlite3_finalize(r->set_runs);
	sqlite3_finalize(r->put_position);
	sqlite3_finalize(r->has_tag);
	for (int i = 0; i < ROW_KINDS; i++)
		sqlite3_finalize(r->put[i]);
	sqlite3_close(r->db); /* what was not committed never was */
	free(r->path);
	*r = (struct rows){ 0 };
}

/*
 * A transaction begins with its first change, and as a writing one: one that
 * had read before could find that somebody else wrote meanwhile (outside.c).
 */
int rows_change(struct rows *r, struct err *err)
{
	if (r->changed)
		return 0;
	if (rows_run(r, "BEGIN IMMEDIATE", err) < 0)
		return err->code;
	r->changed = true;
	return 0;
}

int rows_commit(struct rows *r, struct err *err)
{
	if (!r->changed)
		return 0;
	if (rows_run(r, "COMMIT", err) < 0)
		return err->code;
	r->changed = false;
	return 0;
}

/* Run a statement that gives no rows, and make it ready for the next time. */
static int finish(struct rows *r, sqlite3_stmt *st, struct err *err)
{
	int rc = rows_change(r, err);

	if (rc == 0 && sqlite3_step(st) != SQLITE_DONE)
		rc = rows_failed(r, err);
	sqlite3_reset(st);
	return rc;
}

/* -- streams ----------------------------------------------------------------------- */

static uint64_t number_of(const struct store_row *row, const struct number *n)
{
	const uint8_t *p = (const uint8_t *)row + n->at;
	uint64_t v = 0;

	/* Little-endian machines only, as the bytes on disk. */
	memcpy(&v, p, n->size);
	return v;
}

static void bind_text(sqlite3_stmt *st, int at, const char *text)
{
	sqlite3_bind_text(st, at, text, -1, SQLITE_TRANSIENT);
}

static void bind_blob(sqlite3_stmt *st, int at, struct bytes b)
{
	sqlite3_bind_blob(st, at, b.len ? (const void *)b.p : "", (int)b.len,
			  SQLITE_STATIC);
}

int rows_put_stream(struct rows *r, const struct store_row *row,
		    const struct row_runs *runs, bool first, struct err *err)
{
	sqlite3_stmt *st = first ? r->put_stream : r->update_stream;
	char text[ADDRESS_TEXT];
	int at = 1;

	sqlite3_bind_int64(st, at++, (int64_t)row->id);
	for (int i = 0; i < N_NUMBERS; i++)
		sqlite3_bind_int64(st, at++,
				   (int64_t)number_of(row, &numbers[i]));
	for (int i = 0; i < 2; i++)
		bind_text(st, at++,
			  address_text(text, &row->flow.end[i].address));
	bind_text(st, at++, row->service);
	bind_text(st, at++, row->service_source);
	bind_blob(st, at++, bytes_of(row->origin, STORE_ORIGIN));
	for (int i = 0; i < WAYS; i++)
		bind_blob(st, at++, runs->way[i]);
	return finish(r, st, err);
}

static void read_text(sqlite3_stmt *st, int at, char *out, size_t cap)
{
	const char *text = (const char *)sqlite3_column_text(st, at);
	size_t len = text ? strlen(text) : 0;

	if (len >= cap)
		len = cap - 1;
	if (len)
		memcpy(out, text, len);
	out[len] = '\0';
}

static struct bytes read_blob(sqlite3_stmt *st, int at)
{
	const void *p = sqlite3_column_blob(st, at);

	return bytes_of(p, (size_t)sqlite3_column_bytes(st, at));
}

static void read_address(sqlite3_stmt *st, int at, struct address *a)
{
	char text[ADDRESS_TEXT];

	read_text(st, at, text, sizeof(text));
	*a = (struct address){ .version = 6 };
	if (inet_pton(AF_INET, text, a->b + 12) == 1) {
		a->b[10] = a->b[11] = 0xff;
		a->version = 4;
	} else if (inet_pton(AF_INET6, text, a->b) != 1) {
		*a = (struct address){ 0 };
	}
}

void rows_read_stream(sqlite3_stmt *st, struct store_row *row,
		      struct row_runs *runs)
{
	struct bytes origin;
	int at = 0;

	*row = (struct store_row){ 0 };
	row->id = (uint64_t)sqlite3_column_int64(st, at++);
	for (int i = 0; i < N_NUMBERS; i++) {
		int64_t v = sqlite3_column_int64(st, at++);

		memcpy((uint8_t *)row + numbers[i].at, &v, numbers[i].size);
	}
	for (int i = 0; i < 2; i++)
		read_address(st, at++, &row->flow.end[i].address);
	read_text(st, at++, row->service, sizeof(row->service));
	read_text(st, at++, row->service_source, sizeof(row->service_source));
	origin = read_blob(st, at++);
	if (origin.len == STORE_ORIGIN)
		memcpy(row->origin, origin.p, STORE_ORIGIN);
	for (int i = 0; i < WAYS; i++, at++)
		if (runs)
			runs->way[i] = read_blob(st, at);
	row->pinned = (uint8_t)sqlite3_column_int(st, at++);
	row->matches = (uint64_t)sqlite3_column_int64(st, at);
}

int rows_get_stream(struct rows *r, uint64_t id, struct store_row *row,
		    struct row_runs *runs, struct err *err)
{
	int rc;

	sqlite3_bind_int64(r->get_stream, 1, (int64_t)id);
	rc = sqlite3_step(r->get_stream);
	if (rc == SQLITE_ROW) {
		rows_read_stream(r->get_stream, row, runs);
		return 1;
	}
	if (rc != SQLITE_DONE)
		rows_failed(r, err);
	rows_got(r);
	return rc == SQLITE_DONE ? 0 : ERR_FAILED;
}

void rows_got(struct rows *r)
{
	sqlite3_reset(r->get_stream);
}

int rows_set_runs(struct rows *r, uint64_t id, const struct row_runs *runs,
		  bool evicted, struct err *err)
{
	sqlite3_stmt *st = r->set_runs;

	sqlite3_bind_int64(st, 1, (int64_t)id);
	for (int i = 0; i < WAYS; i++)
		bind_blob(st, 2 + i, runs->way[i]);
	sqlite3_bind_int(st, 5, evicted);
	return finish(r, st, err);
}

/* -- everything else that is kept of a stream ------------------------------------- */

void row_begin(struct buf *b, enum row_kind kind, uint64_t stream)
{
	put_u8(b, (uint8_t)kind);
	put_le64(b, stream);
}

void row_number(struct buf *b, uint64_t v)
{
	put_le64(b, v);
}

void row_text(struct buf *b, struct bytes text)
{
	if (text.len > STORE_TEXT_MAX)
		text.len = STORE_TEXT_MAX;
	put_le16(b, (uint16_t)text.len);
	put_bytes(b, text);
}

/* It was not put: it is there already, or there are too many. */
static void count_tag(struct rows *r, uint64_t stream, struct bytes tag)
{
	sqlite3_stmt *st = r->has_tag;

	sqlite3_bind_int64(st, 1, (int64_t)stream);
	sqlite3_bind_text(st, 2, (const char *)tag.p, (int)tag.len,
			  SQLITE_STATIC);
	r->dropped_tags += sqlite3_step(st) != SQLITE_ROW;
	sqlite3_reset(st);
}

int rows_put_rest(struct rows *r, struct bytes rest, struct err *err)
{
	struct cursor c = cursor_on(rest);

	while (c.len) {
		int kind = get_u8(&c), at = 1;
		uint64_t stream = get_le64(&c);
		struct bytes text = { 0 };
		sqlite3_stmt *st;

		assert(kind < ROW_KINDS);
		st = r->put[kind];
		sqlite3_bind_int64(st, at++, (int64_t)stream);
		for (int i = 0; i < kinds[kind].n_numbers; i++)
			sqlite3_bind_int64(st, at++, (int64_t)get_le64(&c));
		for (int i = 0; i < kinds[kind].n_texts; i++) {
			text = get_bytes(&c, get_le16(&c));
			sqlite3_bind_text(st, at++,
					  text.len ? (const char *)text.p : "",
					  (int)text.len, SQLITE_STATIC);
		}
		assert(!c.short_);
		if (finish(r, st, err) < 0)
			return err->code;
		if (kind == ROW_TAG && !sqlite3_changes(r->db))
			count_tag(r, stream, text);
	}
	return 0;
}

int rows_get_gaps(struct rows *r, uint64_t id, int way, struct way *w,
		  struct err *err)
{
	sqlite3_stmt *st = rows_prepare(
		r, "SELECT at,len,time_ns,why FROM gaps WHERE stream=? AND "
		   "way=? ORDER BY at", err);
	int rc = SQLITE_ERROR;

	if (!st)
		return err->code;
	sqlite3_bind_int64(st, 1, (int64_t)id);
	sqlite3_bind_int(st, 2, way);
	while (w->n_gaps < GAPS_MAX && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct gap g = {
			.at = (uint64_t)sqlite3_column_int64(st, 0),
			.len = (uint64_t)sqlite3_column_int64(st, 1),
			.time_ns = (uint64_t)sqlite3_column_int64(st, 2),
			.why = (uint8_t)sqlite3_column_int(st, 3),
		};

		if (w->n_gaps == w->gaps_room) {
			w->gaps_room = w->gaps_room ? 2 * w->gaps_room : 4;
			w->gaps = mem_grow(w->gaps,
					   w->gaps_room * sizeof(*w->gaps));
		}
		w->gaps[w->n_gaps++] = g;
	}
	if (rc != SQLITE_DONE && rc != SQLITE_ROW)
		rows_failed(r, err);
	sqlite3_finalize(st);
	return err->code;
}

/* -- going on after a restart ------------------------------------------------------- */

static sqlite3_stmt *of_origin(struct rows *r, const char *sql,
			       const uint8_t *origin, uint64_t from,
			       struct err *err)
{
	sqlite3_stmt *st = rows_prepare(r, sql, err);

	if (st) {
		bind_blob(st, 1, bytes_of(origin, STORE_ORIGIN));
		sqlite3_bind_int64(st, 2, (int64_t)from);
	}
	return st;
}

int rows_last_first(struct rows *r, const uint8_t *origin, uint64_t *v,
		    struct err *err)
{
	sqlite3_stmt *st = of_origin(
		r, "SELECT max(first_index)+1 FROM streams WHERE origin=?1 AND "
		   "first_index>=?2", origin, 0, err);
	int rc = st ? sqlite3_step(st) : SQLITE_ERROR;

	*v = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(st, 0) : 0;
	sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 0 : rows_failed(r, err);
}

int rows_put_source(struct rows *r, const uint8_t *origin, const char *spool,
		    struct err *err)
{
	sqlite3_stmt *st = rows_prepare(
		r, "INSERT OR REPLACE INTO sources VALUES(?,?)", err);
	int rc = err->code;

	if (st) {
		bind_blob(st, 1, bytes_of(origin, STORE_ORIGIN));
		bind_text(st, 2, spool);
		rc = finish(r, st, err);
	}
	sqlite3_finalize(st);
	return rc;
}

int rows_close_cut(struct rows *r, const uint8_t *origin, uint64_t from,
		   struct err *err)
{
	char *sql = mem_format("UPDATE streams SET over=1,state=%d,"
			       "ended=CASE ended WHEN 0 THEN %d ELSE ended END "
			       "WHERE origin=?1 AND first_index<?2 AND over=0",
			       FLOW_CLOSED, FLOW_END_INPUT);
	sqlite3_stmt *st = of_origin(r, sql, origin, from, err);
	int rc = st ? finish(r, st, err) : err->code;

	sqlite3_finalize(st);
	free(sql);
	return rc;
}

int rows_get_firsts(struct rows *r, const uint8_t *origin, uint64_t from,
		    uint64_t **firsts, size_t *n, struct err *err)
{
	sqlite3_stmt *st = of_origin(
		r, "SELECT first_index FROM streams WHERE origin=?1 AND "
		   "first_index>=?2 ORDER BY first_index", origin, from, err);
	size_t room = 0;
	int rc = SQLITE_ERROR;

	*firsts = NULL;
	*n = 0;
	while (st && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		if (*n == room) {
			room = room ? 2 * room : 1024;
			*firsts = mem_grow(*firsts, room * sizeof(**firsts));
		}
		(*firsts)[(*n)++] = (uint64_t)sqlite3_column_int64(st, 0);
	}
	if (st && rc != SQLITE_DONE)
		rows_failed(r, err);
	sqlite3_finalize(st);
	return err->code;
}

/* -- positions, and the bound on rows ----------------------------------------------- */

int rows_put_position(struct rows *r, const struct store_position *p,
		      struct err *err)
{
	bind_blob(r->put_position, 1, bytes_of(p->origin, STORE_ORIGIN));
	sqlite3_bind_int64(r->put_position, 2, (int64_t)p->resume);
	sqlite3_bind_int64(r->put_position, 3, (int64_t)p->given);
	return finish(r, r->put_position, err);
}

int rows_get_position(struct rows *r, struct store_position *p,
		      struct err *err)
{
	sqlite3_stmt *st = rows_prepare(
		r, "SELECT resume,given FROM positions WHERE origin=?", err);
	int rc;

	p->resume = p->given = 0;
	if (!st)
		return err->code;
	bind_blob(st, 1, bytes_of(p->origin, STORE_ORIGIN));
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		p->resume = (uint64_t)sqlite3_column_int64(st, 0);
		p->given = (uint64_t)sqlite3_column_int64(st, 1);
	}
	sqlite3_finalize(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : rows_failed(r, err);
}

int rows_remove(struct rows *r, const char *condition, uint64_t n,
		uint64_t *removed, struct err *err)
{
	static const char *const from[] = { "gaps", "messages", "matches",
					    "tags", "marks" };
	char *sql = mem_format(
		"CREATE TEMP TABLE IF NOT EXISTS gone(id INTEGER PRIMARY KEY);"
		"DELETE FROM temp.gone;INSERT INTO temp.gone SELECT id FROM "
		"streams WHERE (%s) AND (over OR NOT is_live(id)) AND id NOT "
		"IN (SELECT stream FROM marks WHERE pinned) "
		"ORDER BY first_ns,id LIMIT %lld",
		condition, (long long)n);
	int rc = rows_run(r, sql, err);

	free(sql);
	if (rc == 0)
		rc = rows_change(r, err);
	for (size_t i = 0; rc == 0 && i < sizeof(from) / sizeof(*from); i++) {
		sql = mem_format("DELETE FROM %s WHERE stream IN (SELECT id "
				 "FROM temp.gone)", from[i]);
		rc = rows_run(r, sql, err);
		free(sql);
	}
	if (rc == 0)
		rc = rows_run(r, "DELETE FROM streams WHERE id IN (SELECT id "
				 "FROM temp.gone)", err);
	*removed = rc == 0 ? (uint64_t)sqlite3_changes64(r->db) : 0;
	r->streams -= *removed;
	return rc;
}

static void is_live(sqlite3_context *c, int n, sqlite3_value **v)
{
	const struct rows *r = sqlite3_user_data(c);

	(void)n;
	sqlite3_result_int(c, r->live(r->live_arg,
				      (uint64_t)sqlite3_value_int64(v[0])));
}

int rows_know_live(struct rows *r, bool (*fn)(void *arg, uint64_t id),
		   void *arg, struct err *err)
{
	r->live = fn;
	r->live_arg = arg;
	if (sqlite3_create_function(r->db, "is_live", 1, SQLITE_UTF8, r,
				    is_live, NULL, NULL) != SQLITE_OK)
		return rows_failed(r, err);
	return 0;
}

/* Pages that are free are used again before the file grows. */
int rows_bytes(struct rows *r, uint64_t *bytes, struct err *err)
{
	uint64_t pages, unused = 0, size = 0;

	if (rows_number(r, "PRAGMA page_count", &pages, err) == 0 &&
	    rows_number(r, "PRAGMA freelist_count", &unused, err) == 0)
		rows_number(r, "PRAGMA page_size", &size, err);
	*bytes = (pages - unused) * size;
	return err->code;
}
