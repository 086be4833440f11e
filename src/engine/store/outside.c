/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outside.c - what people say of a stream while another process writes it.
 *
 * Each is one small transaction on tables that the writer only reads; SQLite
 * lets it in between two commits of the writer.
 */
#include "engine/store/store_priv.h"

#include <stdlib.h>

#include "base/mem.h"

enum { PATIENCE_MS = 10000 };

static int open_rows(sqlite3 **db, const char *dir, struct err *err)
{
	char *path = mem_format("%s/store.db", dir);
	int rc = sqlite3_open_v2(path, db, SQLITE_OPEN_READWRITE, NULL);

	if (rc != SQLITE_OK)
		err_set(err, ERR_FAILED, "%s: %s", path,
			*db ? sqlite3_errmsg(*db) : sqlite3_errstr(rc));
	else
		sqlite3_busy_timeout(*db, PATIENCE_MS);
	free(path);
	return err->code;
}

/* One statement with the stream as ?1 and a number or a text as ?2. */
static int say(const char *dir, const char *sql, uint64_t id, int number,
	       const char *text, struct err *err)
{
	sqlite3_stmt *st = NULL;
	sqlite3 *db = NULL;

	if (open_rows(&db, dir, err) == 0 &&
	    sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK) {
		sqlite3_bind_int64(st, 1, (int64_t)id);
		if (text)
			sqlite3_bind_text(st, 2, text, -1, SQLITE_STATIC);
		else
			sqlite3_bind_int(st, 2, number);
		if (sqlite3_step(st) == SQLITE_DONE && !sqlite3_changes(db))
			err_set(err, ERR_GONE, "there is no stream %016llx",
				(unsigned long long)id);
	}
	if (!err->code && sqlite3_errcode(db) != SQLITE_OK &&
	    sqlite3_errcode(db) != SQLITE_DONE)
		err_set(err, ERR_FAILED, "%s/store.db: %s", dir,
			sqlite3_errmsg(db));
	sqlite3_finalize(st);
	sqlite3_close(db);
	return err->code;
}

int store_outside_pin(const char *dir, uint64_t id, bool on, struct err *err)
{
	return say(dir,
		   "INSERT INTO marks(stream,pinned) SELECT id,?2 FROM streams "
		   "WHERE id=?1 ON CONFLICT(stream) DO UPDATE SET "
		   "pinned=excluded.pinned", id, on, NULL, err);
}
