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
	"SELECT s.id,s.first_ns,s.kept_a+s.kept_b,s.end_a,s.end_b,s.opener,"
	"s.evicted,s.runs_a,s.runs_b,s.runs_turns";
enum { N_COLUMNS = 10 };

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
		"SELECT s.id,s.kept_a+s.kept_b FROM streams s WHERE (%s) IS "
		"NOT FALSE ORDER BY %s %s,s.first_ns DESC,s.id DESC",
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
			  "%s%s FROM streams s WHERE (%s) IS NOT FALSE AND "
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

int candidates_open(struct candidates *c, const struct query *q,
		    const char *dir, int (*stop)(void *arg), void *arg,
		    struct err *err)
{
	*c = (struct candidates){ .q = q,
				  .path = mem_format("%s/store.db", dir),
				  .behind_ns = INT64_MAX,
				  .behind_id = INT64_MAX };
	if (sqlite3_open_v2(c->path, &c->db,
			    SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX,
			    NULL) != SQLITE_OK)
		return failed(c, err);
	sqlite3_busy_timeout(c->db, 5000);
	if (stop)
		sqlite3_progress_handler(c->db, OPERATIONS, stop, arg);
	query_sql_make(q, &c->sql);
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
		.opener = (uint8_t)number(st, 5),
		.evicted = number(st, 6) != 0,
	};
	for (int i = 0; i < 3; i++) {
		const void *p = sqlite3_column_blob(st, 7 + i);

		to->runs[i].len = (size_t)sqlite3_column_bytes(st, 7 + i);
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

	if (!c->begun && c->q->sort)
		rc = read_ids(c, err);
	c->begun = true;
	c->n = c->at = 0;
	buf_clear(&c->runs);
	if (rc == 0)
		rc = c->q->sort ? read_some(c, err) : read_page(c, err);
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
	if (c->q->sort) {
		*streams += c->n_ids - c->at_id;
		*bytes += c->ids_bytes;
		return 0;
	}
	st = c->over ? NULL
		     : prepare(c, err,
			       "SELECT count(*),sum(s.kept_a+s.kept_b) FROM "
			       "streams s WHERE (%s) IS NOT FALSE AND "
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
