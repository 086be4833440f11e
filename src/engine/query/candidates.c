/* SPDX-License-Identifier: Apache-2.0 */
/*
 * candidates.c - rows that SQLite cannot rule out, a page at a time.
 *
 * No statement stays open between pages: a reader that holds a snapshot would
 * keep the store's log from being cut.  By time, a page begins behind the last
 * row of the one before; in another order the ids are read once.
 */
#include "engine/query/search_priv.h"

#include <stdlib.h>

#include "base/mem.h"

enum { OPERATIONS = 20000 }; /* of SQLite, between two looks at stop */

static const char columns[] =
	"SELECT s.id,s.first_ns,s.kept_a+s.kept_b,s.end_a,s.end_b,s.caller,"
	"s.evicted,s.over,s.last_ns,s.patterns,s.runs_a,s.runs_b,s.runs_turns";
enum { RUNS_AT = 10, N_COLUMNS = 13 };

static int failed(const struct candidates *c, struct err *err)
{
	if (sqlite3_errcode(c->db) == SQLITE_INTERRUPT)
		return ERR_END;
	return err_set(err, ERR_FAILED, "%s: %s", c->path,
		       sqlite3_errmsg(c->db));
}

static sqlite3_stmt *prepare(struct candidates *c, struct err *err,
			     const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static sqlite3_stmt *prepare(struct candidates *c, struct err *err,
			     const char *fmt, ...)
{
	sqlite3_stmt *st = NULL;
	char *sql;
	va_list ap;

	va_start(ap, fmt);
	sql = sqlite3_vmprintf(fmt, ap);
	va_end(ap);
	if (err->code == 0 &&
	    sqlite3_prepare_v2(c->db, sql, -1, &st, NULL) != SQLITE_OK)
		failed(c, err);
	sqlite3_free(sql);
	if (st)
		query_sql_bind(c->q, st);
	return st;
}

static const char *where(const struct candidates *c)
{
	return (const char *)c->sql.where.p;
}

static uint64_t number(sqlite3_stmt *st, int at)
{
	return (uint64_t)sqlite3_column_int64(st, at);
}

/* Largest first, unless it was asked for otherwise; all ids at once. */
static int read_ids(struct candidates *c, struct err *err)
{
	sqlite3_stmt *st = prepare(
		c, err,
		"SELECT s.id,s.kept_a+s.kept_b FROM streams s WHERE %s "
		"ORDER BY %s %s,s.first_ns DESC,s.id DESC",
		where(c), c->q->sort->sql, c->q->sort_up ? "ASC" : "DESC");
	size_t room = 0;
	int rc = SQLITE_ERROR;

	while (st && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		if (c->n_ids == room) {
			room = room ? 2 * room : 1024;
			c->ids = mem_grow(c->ids, room * sizeof(*c->ids));
		}
		c->ids[c->n_ids++] = number(st, 0);
		c->ids_bytes += number(st, 1);
	}
	rc = st && rc != SQLITE_DONE ? failed(c, err) : 0;
	sqlite3_finalize(st);
	return rc;
}

static int prepare_all(struct candidates *c, struct err *err)
{
	const char *tests = (const char *)c->sql.tests.p;

	c->page = prepare(c, err,
			  "%s%s FROM streams s WHERE %s AND "
			  "(s.first_ns,s.id)<(?%d,?%d) "
			  "ORDER BY s.first_ns DESC,s.id DESC LIMIT %d",
			  columns, tests, where(c), c->next_at, c->next_at + 1,
			  PAGE);
	c->one = prepare(c, err, "%s%s FROM streams s WHERE s.id=?%d", columns,
			 tests, c->next_at);
	c->gaps = prepare(c, err,
			  "SELECT at,len,why FROM gaps WHERE stream=?1 AND "
			  "way=?2 ORDER BY at");
	return err->code;
}

/* What the query says, and what the caller does. */
static void make_where(struct candidates *c,
		       const struct candidates_config *cfg)
{
	struct buf all = { 0 };

	put_format(&all, "(%s) IS NOT FALSE", (const char *)c->sql.where.p);
	if (cfg->patterns_below)
		put_format(&all, " AND s.patterns<%llu",
			   (unsigned long long)cfg->patterns_below);
	put_u8(&all, 0);
	buf_release(&c->sql.where);
	c->sql.where = all;
}

static void take_ids(struct candidates *c, const struct candidates_config *cfg)
{
	c->ids = mem_array(cfg->n_ids + 1, sizeof(*c->ids));
	memcpy(c->ids, cfg->ids, cfg->n_ids * sizeof(*c->ids));
	c->n_ids = cfg->n_ids;
	c->begun = true;
}

int candidates_open(struct candidates *c, const struct candidates_config *cfg,
		    struct err *err)
{
	*c = (struct candidates){ .q = cfg->q,
				  .by_id = cfg->ids || cfg->q->sort,
				  .path = mem_format("%s/store.db", cfg->dir),
				  .behind_ns = cfg->behind_ns,
				  .behind_id = cfg->behind_id };
	if (sqlite3_open_v2(c->path, &c->db,
			    SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX,
			    NULL) != SQLITE_OK)
		return failed(c, err);
	sqlite3_busy_timeout(c->db, 5000);
	if (cfg->stop)
		sqlite3_progress_handler(c->db, OPERATIONS, cfg->stop,
					 cfg->arg);
	query_sql_make(c->q, &c->sql);
	make_where(c, cfg);
	if (cfg->ids)
		take_ids(c, cfg);
	c->next_at = c->sql.n_bound + 1;
	if (query_sql_functions(c->db, err) < 0)
		return err->code;
	return prepare_all(c, err);
}

void candidates_close(struct candidates *c)
{
	sqlite3_finalize(c->page);
	sqlite3_finalize(c->one);
	sqlite3_finalize(c->gaps);
	sqlite3_close(c->db);
	query_sql_release(&c->sql);
	buf_release(&c->runs);
	free(c->path);
	free(c->ids);
}

/* The runs are copied; where they lie is told when the page is whole. */
static void take_row(struct candidates *c, sqlite3_stmt *st)
{
	struct candidate *to = &c->list[c->n++];
	int at = N_COLUMNS;

	*to = (struct candidate){
		.id = number(st, 0),
		.first_ns = number(st, 1),
		.kept = number(st, 2),
		.end = { number(st, 3), number(st, 4) },
		.caller = number(st, 5) != 0,
		.evicted = number(st, 6) != 0,
		.over = number(st, 7) != 0,
		.last_ns = number(st, 8),
		.patterns = number(st, 9),
	};
	for (int i = 0; i < 3; i++) {
		const void *p = sqlite3_column_blob(st, RUNS_AT + i);

		to->runs[i].len = (size_t)sqlite3_column_bytes(st, RUNS_AT + i);
		if (to->runs[i].len)
			put_bytes(&c->runs, bytes_of(p, to->runs[i].len));
	}
	for (uint32_t n = 1; n <= c->q->n_nodes; n++)
		if (c->q->nodes[n].kind == QUERY_TEST && number(st, at++))
			to->tests[n / 64] |= UINT64_C(1) << (n % 64);
}

static void point_at_runs(struct candidates *c)
{
	const uint8_t *p = c->runs.p;

	for (size_t n = 0; n < c->n; n++)
		for (int i = 0; i < 3; i++) {
			c->list[n].runs[i].p = p;
			if (p)
				p += c->list[n].runs[i].len;
		}
}

static int read_page(struct candidates *c, struct err *err)
{
	int rc;

	sqlite3_bind_int64(c->page, c->next_at, (int64_t)c->behind_ns);
	sqlite3_bind_int64(c->page, c->next_at + 1, (int64_t)c->behind_id);
	while ((rc = sqlite3_step(c->page)) == SQLITE_ROW)
		take_row(c, c->page);
	rc = rc == SQLITE_DONE ? 0 : failed(c, err);
	sqlite3_reset(c->page);
	c->over = c->n < PAGE;
	if (c->n) {
		c->behind_ns = c->list[c->n - 1].first_ns;
		c->behind_id = c->list[c->n - 1].id;
	}
	return rc;
}

/* It may have grown since the ids were read. */
static void forget_bytes(struct candidates *c, uint64_t kept)
{
	c->ids_bytes -= kept < c->ids_bytes ? kept : c->ids_bytes;
}

/* Rows that went away meanwhile are none. */
static int read_some(struct candidates *c, struct err *err)
{
	int rc = SQLITE_DONE;

	while (c->at_id < c->n_ids && c->n < PAGE &&
	       (rc == SQLITE_DONE || rc == SQLITE_ROW)) {
		sqlite3_bind_int64(c->one, c->next_at,
				   (int64_t)c->ids[c->at_id++]);
		rc = sqlite3_step(c->one);
		if (rc == SQLITE_ROW) {
			take_row(c, c->one);
			forget_bytes(c, c->list[c->n - 1].kept);
		}
		sqlite3_reset(c->one);
	}
	c->over = c->at_id == c->n_ids;
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : failed(c, err);
}

static int fill(struct candidates *c, struct err *err)
{
	int rc = 0;

	if (!c->begun && c->by_id)
		rc = read_ids(c, err);
	c->begun = true;
	c->n = c->at = 0;
	buf_clear(&c->runs);
	if (rc == 0)
		rc = c->by_id ? read_some(c, err) : read_page(c, err);
	point_at_runs(c);
	return rc;
}

const struct candidate *candidates_next(struct candidates *c, struct err *err)
{
	while (c->at == c->n) {
		if (c->over || fill(c, err) < 0)
			return NULL;
	}
	return &c->list[c->at++];
}

int candidates_left(struct candidates *c, uint64_t *streams, uint64_t *bytes,
		    struct err *err)
{
	sqlite3_stmt *st;
	int rc;

	*streams = c->n - c->at;
	*bytes = 0;
	for (size_t i = c->at; i < c->n; i++)
		*bytes += c->list[i].kept;
	if (c->by_id) {
		*streams += c->n_ids - c->at_id;
		*bytes += c->ids_bytes;
		return 0;
	}
	st = c->over ? NULL
		     : prepare(c, err,
			       "SELECT count(*),sum(s.kept_a+s.kept_b) FROM "
			       "streams s WHERE %s AND "
			       "(s.first_ns,s.id)<(?%d,?%d)",
			       where(c), c->next_at, c->next_at + 1);
	if (!st)
		return err->code;
	sqlite3_bind_int64(st, c->next_at, (int64_t)c->behind_ns);
	sqlite3_bind_int64(st, c->next_at + 1, (int64_t)c->behind_id);
	rc = sqlite3_step(st) == SQLITE_ROW ? 0 : failed(c, err);
	if (rc == 0) {
		*streams += number(st, 0);
		*bytes += number(st, 1);
	}
	sqlite3_finalize(st);
	return rc;
}
