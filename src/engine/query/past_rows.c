/* SPDX-License-Identifier: Apache-2.0 */
/*
 * past_rows.c - results, a few at a time, into the rows of the store.
 *
 * The keys of the tables see to it that each match and tag is there once,
 * whoever found it.
 */
#include "engine/query/past_priv.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/match/match.h"

enum { AT_ONCE = 256 }; /* while the writer waits */

struct result *results_add(struct results *r, enum result_kind kind,
			   uint64_t stream, const char *name)
{
	if (r->n == r->room) {
		r->room = r->room ? 2 * r->room : 64;
		r->at = mem_grow(r->at, r->room * sizeof(*r->at));
	}
	r->at[r->n] = (struct result){ .kind = kind, .stream = stream,
				       .name = name };
	return &r->at[r->n++];
}

void results_cut(struct results *r, size_t n)
{
	for (size_t i = n; i < r->n; i++)
		if (r->at[i].kind == RESULT_MATCH &&
		    r->at[i].content < r->bytes.len)
			r->bytes.len = r->at[i].content;
	r->n = n;
}

void results_release(struct results *r)
{
	free(r->at);
	buf_release(&r->bytes);
	*r = (struct results){ 0 };
}

/* -- statements --------------------------------------------------------------- */

static const char *const sql[] = {
	[RESULT_MATCH] = "INSERT OR IGNORE INTO matches SELECT ?1,?2,?3,?4,?5,"
			 "?6,?7,?8 WHERE EXISTS(SELECT 1 FROM streams WHERE "
			 "id=?1)",
	[RESULT_TAG] = "INSERT OR IGNORE INTO tags SELECT ?1,?2 WHERE "
		       "EXISTS(SELECT 1 FROM streams WHERE id=?1) AND (SELECT "
		       "count(*) FROM tags WHERE stream=?1)<256",
	[RESULT_UNTAG] = "DELETE FROM tags WHERE stream=?1 AND tag=?2",
	[RESULT_CHECKED] = "DELETE FROM unchecked WHERE stream=?1",
};
enum { KINDS = sizeof(sql) / sizeof(*sql) };

struct writing {
	const struct results *r;
	size_t from, to;
	sqlite3 *db;
	sqlite3_stmt *st[KINDS];
	struct err *err;
};

static sqlite3_stmt *statement(struct writing *w, enum result_kind kind)
{
	if (!w->st[kind] && sqlite3_prepare_v2(w->db, sql[kind], -1,
					       &w->st[kind], NULL) != SQLITE_OK)
		err_set(w->err, ERR_FAILED, "%s", sqlite3_errmsg(w->db));
	return w->st[kind];
}

static void run(struct writing *w, sqlite3_stmt *st)
{
	if (sqlite3_step(st) != SQLITE_DONE)
		err_set(w->err, ERR_FAILED, "%s", sqlite3_errmsg(w->db));
	sqlite3_reset(st);
}

static void put_match(struct writing *w, const struct result *m)
{
	sqlite3_stmt *st = statement(w, RESULT_MATCH);
	char key[MATCH_KEY];

	if (!st)
		return;
	snprintf(key, sizeof(key), "stored:%llu", (unsigned long long)m->rule);
	sqlite3_bind_int64(st, 1, (int64_t)m->stream);
	sqlite3_bind_int(st, 2, m->way);
	sqlite3_bind_int64(st, 3, (int64_t)m->start);
	sqlite3_bind_int64(st, 4, (int64_t)m->end);
	sqlite3_bind_int64(st, 5, (int64_t)m->time_ns);
	sqlite3_bind_text(st, 6, key, -1, SQLITE_TRANSIENT);
	sqlite3_bind_text(st, 7, m->name, -1, SQLITE_STATIC);
	/* As the store puts its own. */
	sqlite3_bind_text(st, 8, (const char *)w->r->bytes.p + m->content,
			  (int)m->content_len, SQLITE_STATIC);
	run(w, st);
}

static void put_other(struct writing *w, const struct result *o)
{
	sqlite3_stmt *st = statement(w, o->kind);

	if (!st)
		return;
	sqlite3_bind_int64(st, 1, (int64_t)o->stream);
	if (o->kind != RESULT_CHECKED)
		sqlite3_bind_text(st, 2, o->name, -1, SQLITE_STATIC);
	run(w, st);
}

static int write_some(void *arg, sqlite3 *db, struct err *err)
{
	struct writing *w = arg;

	w->db = db;
	w->err = err;
	for (size_t i = w->from; i < w->to && err->code == 0; i++) {
		const struct result *at = &w->r->at[i];

		if (at->kind == RESULT_MATCH)
			put_match(w, at);
		else
			put_other(w, at);
	}
	for (int i = 0; i < KINDS; i++)
		sqlite3_finalize(w->st[i]);
	return err->code;
}

int results_write(struct results *r, struct store *store, struct err *err)
{
	for (size_t i = 0; i < r->n && err->code == 0; i += AT_ONCE) {
		struct writing w = {
			.r = r,
			.from = i,
			.to = r->n - i < AT_ONCE ? r->n : i + AT_ONCE,
		};

		store_with_rows(store, write_some, &w, err);
	}
	results_cut(r, 0);
	return err->code;
}

/* -- which streams end ------------------------------------------------------------- */

static int note_ends(void *arg, sqlite3 *db, struct err *err)
{
	const bool *on = arg;
	const char *what =
		*on ? "CREATE TABLE IF NOT EXISTS unchecked("
		      "stream INTEGER PRIMARY KEY);"
		      "CREATE TRIGGER IF NOT EXISTS streams_unchecked AFTER "
		      "INSERT ON streams WHEN new.over BEGIN INSERT OR IGNORE "
		      "INTO unchecked VALUES(new.id);END;"
		      "CREATE TRIGGER IF NOT EXISTS streams_ended AFTER UPDATE "
		      "OF over ON streams WHEN new.over AND NOT old.over BEGIN "
		      "INSERT OR IGNORE INTO unchecked VALUES(new.id);END"
		    : "DROP TRIGGER IF EXISTS streams_unchecked;"
		      "DROP TRIGGER IF EXISTS streams_ended;"
		      "DROP TABLE IF EXISTS unchecked";

	if (sqlite3_exec(db, what, NULL, NULL, NULL) != SQLITE_OK)
		return err_set(err, ERR_FAILED, "%s", sqlite3_errmsg(db));
	return 0;
}

int results_note_ends(struct store *store, bool on, struct err *err)
{
	return store_with_rows(store, note_ends, &on, err);
}
