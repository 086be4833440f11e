/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/query/rules.h"

#include <ctype.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/mem.h"
#include "engine/match/match.h"
#include "engine/query/query.h"
#include "sys/sys.h"

struct rules {
	sqlite3 *db;
	char *path; /* owned */
};

static const char tables[] =
	"PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;"
	"BEGIN IMMEDIATE;"
	"CREATE TABLE IF NOT EXISTS rules("
	"id INTEGER PRIMARY KEY AUTOINCREMENT,version INTEGER NOT NULL,"
	"name TEXT NOT NULL UNIQUE,kind INTEGER NOT NULL,role INTEGER NOT NULL,"
	"text TEXT NOT NULL,added_ns INTEGER,done INTEGER NOT NULL DEFAULT 0,"
	"total_known INTEGER NOT NULL DEFAULT 0,"
	"behind_ns INTEGER NOT NULL DEFAULT 9223372036854775807,"
	"behind_id INTEGER NOT NULL DEFAULT 9223372036854775807,"
	"streams INTEGER NOT NULL DEFAULT 0,"
	"streams_total INTEGER NOT NULL DEFAULT 0,"
	"bytes INTEGER NOT NULL DEFAULT 0,"
	"bytes_total INTEGER NOT NULL DEFAULT 0,"
	"found INTEGER NOT NULL DEFAULT 0,"
	"work_ns INTEGER NOT NULL DEFAULT 0);"
	"CREATE TABLE IF NOT EXISTS following("
	"rule INTEGER,stream INTEGER,PRIMARY KEY(rule,stream)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS state(version INTEGER NOT NULL);"
	"INSERT INTO state SELECT 0 WHERE NOT EXISTS(SELECT 1 FROM state);"
	"COMMIT";

static int failed(const struct rules *r, struct err *err)
{
	return err_set(err, ERR_FAILED, "%s: %s", r->path,
		       sqlite3_errmsg(r->db));
}

static int run(struct rules *r, const char *sql, struct err *err)
{
	if (sqlite3_exec(r->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return failed(r, err);
	return 0;
}

static sqlite3_stmt *prepare(struct rules *r, const char *sql, struct err *err)
{
	sqlite3_stmt *st = NULL;

	if (sqlite3_prepare_v2(r->db, sql, -1, &st, NULL) != SQLITE_OK)
		failed(r, err);
	return st;
}

/* A statement without rows, to its end. */
static int finish(struct rules *r, sqlite3_stmt *st, struct err *err)
{
	if (st && sqlite3_step(st) != SQLITE_DONE)
		failed(r, err);
	sqlite3_finalize(st);
	return err->code;
}

struct rules *rules_open(const char *dir, struct err *err)
{
	struct rules *r = mem_alloc(sizeof(*r));
	int rc = sys_mkdir_all(sys_host(), dir);

	r->path = mem_format("%s/rules.db", dir);
	if (rc < 0)
		err_sys(err, -rc, "cannot create %s", dir);
	else if (sqlite3_open(r->path, &r->db) != SQLITE_OK)
		failed(r, err);
	if (err->code == 0) {
		sqlite3_busy_timeout(r->db, 5000);
		run(r, tables, err);
	}
	if (err->code == 0)
		return r;
	rules_close(r);
	return NULL;
}

void rules_close(struct rules *r)
{
	if (!r)
		return;
	sqlite3_close(r->db);
	free(r->path);
	free(r);
}

int rules_version(struct rules *r, uint64_t *version, struct err *err)
{
	sqlite3_stmt *st = prepare(r, "SELECT version FROM state", err);

	*version = 0;
	if (st && sqlite3_step(st) == SQLITE_ROW)
		*version = (uint64_t)sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return err->code;
}

/* -- adding and taking away ---------------------------------------------------- */

static int check_name(const char *name, struct err *err)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) &&
		    !strchr("-_.:/", name[i]))
			len = 0;
	if (!len || len >= RULE_NAME)
		return err_set(err, ERR_USAGE,
			       "\"%s\" is no name: letters, digits and -_.:/, "
			       "up to %d of them", name, RULE_NAME - 1);
	if (strcmp(name, "flag-in") == 0 || strcmp(name, "flag-out") == 0)
		return err_set(err, ERR_USAGE,
			       "the tag %s is for --flag-in and --flag-out",
			       name);
	return 0;
}

/* What cannot be put to work shall not be remembered. */
static int check_text(const struct rule *rule, struct err *err)
{
	const struct match_pattern p = { .kind = (enum match_kind)rule->kind,
					 .name = rule->name,
					 .text = rule->text };
	struct match_set *set;
	struct query *q;

	if (rule->kind != RULE_QUERY) {
		set = match_compile(&p, 1, MATCH_WINDOW_MAX, err);
		match_set_put(set);
	} else {
		q = query_parse(rule->text, 0, NULL, err);
		if (q && (query_limit(q) || query_is_sorted(q)))
			err_set(err, ERR_USAGE,
				"a saved query has neither sort nor limit");
		query_free(q);
	}
	if (err->code)
		err->code = ERR_USAGE;
	return err->code;
}

static uint64_t wall_ns(void)
{
	return sys_host()->wall_ns(sys_host());
}

static int insert(struct rules *r, const struct rule *rule, struct err *err)
{
	sqlite3_stmt *st = prepare(
		r, "INSERT OR IGNORE INTO rules(version,name,kind,role,text,"
		   "added_ns) SELECT version,?1,?2,?3,?4,?5 FROM state "
		   "WHERE (SELECT count(*) FROM rules)<?6", err);

	if (!st)
		return err->code;
	sqlite3_bind_text(st, 1, rule->name, -1, SQLITE_STATIC);
	sqlite3_bind_int(st, 2, (int)rule->kind);
	sqlite3_bind_int(st, 3, rule->role);
	sqlite3_bind_text(st, 4, rule->text, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 5, (int64_t)wall_ns());
	sqlite3_bind_int(st, 6, RULES_MAX);
	if (finish(r, st, err) == 0 && !sqlite3_changes(r->db))
		err_set(err, ERR_USAGE,
			"there is a rule %s already, or %d of them", rule->name,
			RULES_MAX);
	return err->code;
}

/* In a transaction with the version; what fails leaves nothing. */
static int end(struct rules *r, struct err *err)
{
	struct err ignored = ERR_NONE;

	run(r, err->code ? "ROLLBACK" : "COMMIT", err->code ? &ignored : err);
	return err->code;
}

int rules_add(struct rules *r, const struct rule *rule, struct err *err)
{
	if (check_name(rule->name, err) < 0 || check_text(rule, err) < 0 ||
	    run(r, "BEGIN IMMEDIATE;UPDATE state SET version=version+1", err) <
		    0)
		return err->code;
	insert(r, rule, err);
	return end(r, err);
}

int rules_remove(struct rules *r, const char *name, struct err *err)
{
	sqlite3_stmt *st;

	if (run(r, "BEGIN IMMEDIATE;UPDATE state SET version=version+1", err) <
	    0)
		return err->code;
	st = prepare(r, "DELETE FROM rules WHERE name=?", err);
	if (st)
		sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
	if (finish(r, st, err) == 0 && !sqlite3_changes(r->db))
		err_set(err, ERR_GONE, "there is no rule %s", name);
	return end(r, err);
}

/* -- reading --------------------------------------------------------------------- */

static uint64_t number(sqlite3_stmt *st, int at)
{
	return (uint64_t)sqlite3_column_int64(st, at);
}

static void read_rule(sqlite3_stmt *st, struct rule *rule)
{
	*rule = (struct rule){
		.id = number(st, 0),
		.version = number(st, 1),
		.kind = (enum rule_kind)(number(st, 3) & 3),
		.role = (uint8_t)number(st, 4),
		.text = mem_text((const char *)sqlite3_column_text(st, 5)),
		.past = { .done = number(st, 6) != 0,
			  .total_known = number(st, 7) != 0,
			  .behind_ns = number(st, 8),
			  .behind_id = number(st, 9),
			  .streams = number(st, 10),
			  .streams_total = number(st, 11),
			  .bytes = number(st, 12),
			  .bytes_total = number(st, 13),
			  .found = number(st, 14),
			  .work_ns = number(st, 15) },
	};
	strncpy(rule->name, (const char *)sqlite3_column_text(st, 2),
		RULE_NAME - 1);
}

static int read_rules(struct rules *r, struct rule **list, size_t *n,
		      struct err *err)
{
	sqlite3_stmt *st = prepare(
		r, "SELECT id,version,name,kind,role,text,done,total_known,"
		   "behind_ns,behind_id,streams,streams_total,bytes,"
		   "bytes_total,found,work_ns FROM rules ORDER BY id", err);
	int rc = SQLITE_ERROR;

	while (st && *n < RULES_MAX && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		*list = mem_grow(*list, (*n + 1) * sizeof(**list));
		read_rule(st, &(*list)[(*n)++]);
	}
	if (st && rc != SQLITE_DONE && rc != SQLITE_ROW)
		failed(r, err);
	sqlite3_finalize(st);
	return err->code;
}

int rules_load(struct rules *r, struct rule **list, size_t *n,
	       uint64_t *version, struct err *err)
{
	*list = NULL;
	*n = 0;
	if (run(r, "BEGIN", err) < 0)
		return err->code;
	if (rules_version(r, version, err) == 0)
		read_rules(r, list, n, err);
	if (end(r, err) < 0) {
		rules_free_list(*list, *n);
		*list = NULL;
		*n = 0;
	}
	return err->code;
}

void rules_free_list(struct rule *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i].text);
	free(list);
}

/* -- how far the past is ------------------------------------------------------------ */

int rules_put_past(struct rules *r, uint64_t id, const struct rule_past *past,
		   struct err *err)
{
	const uint64_t numbers[] = { past->done, past->total_known,
				     past->behind_ns, past->behind_id,
				     past->streams, past->streams_total,
				     past->bytes, past->bytes_total,
				     past->found, past->work_ns, id };
	sqlite3_stmt *st = prepare(
		r, "UPDATE rules SET done=?1,total_known=?2,behind_ns=?3,"
		   "behind_id=?4,streams=?5,streams_total=?6,bytes=?7,"
		   "bytes_total=?8,found=?9,work_ns=?10 WHERE id=?11", err);

	for (int i = 0; st && i < 11; i++)
		sqlite3_bind_int64(st, i + 1, (int64_t)numbers[i]);
	return finish(r, st, err);
}

int rules_put_following(struct rules *r, const struct rule_follow *list,
			size_t n, struct err *err)
{
	sqlite3_stmt *st;

	if (run(r, "BEGIN IMMEDIATE;DELETE FROM following", err) < 0)
		return err->code;
	st = prepare(r, "INSERT OR IGNORE INTO following VALUES(?,?)", err);
	for (size_t i = 0; i < n && st && err->code == 0; i++) {
		sqlite3_bind_int64(st, 1, (int64_t)list[i].rule);
		sqlite3_bind_int64(st, 2, (int64_t)list[i].stream);
		if (sqlite3_step(st) != SQLITE_DONE)
			failed(r, err);
		sqlite3_reset(st);
	}
	sqlite3_finalize(st);
	return end(r, err);
}

int rules_get_following(struct rules *r, struct rule_follow **list, size_t *n,
			struct err *err)
{
	sqlite3_stmt *st = prepare(
		r, "SELECT rule,stream FROM following ORDER BY stream", err);

	*list = NULL;
	*n = 0;
	while (st && sqlite3_step(st) == SQLITE_ROW) {
		*list = mem_grow(*list, (*n + 1) * sizeof(**list));
		(*list)[(*n)++] = (struct rule_follow){ number(st, 0),
							number(st, 1) };
	}
	sqlite3_finalize(st);
	return err->code;
}
