/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/web/notes.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "sys/sys.h"

struct state {
	uint64_t stream;
	struct notes_state is;
};

struct notes {
	sqlite3 *db;
	char *path; /* owned */
	uint64_t version;
	struct state *states; /* sorted by stream; owned */
	size_t n_states, states_cap, favorites, hidden;
	struct notes_rule *rules; /* owned */
	size_t n_rules;
};

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS state(stream INTEGER PRIMARY KEY,"
	"favorite INTEGER NOT NULL,hidden INTEGER NOT NULL,"
	"by TEXT NOT NULL,at_ns INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS rules(id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"kind TEXT NOT NULL,value TEXT NOT NULL,by TEXT NOT NULL,"
	"at_ns INTEGER NOT NULL,UNIQUE(kind,value));"
	"CREATE TABLE IF NOT EXISTS version(n INTEGER NOT NULL);"
	"INSERT INTO version SELECT 1 WHERE NOT EXISTS(SELECT 1 FROM version);";

static const char *const kinds[NOTES_RULE_KINDS] = {
	"stream", "service", "protocol", "port", "content_kind", "status",
	"pattern",
};

const char *notes_kind_name(enum notes_rule_kind kind)
{
	return kinds[kind];
}

int notes_kind_of(const char *name)
{
	for (int i = 0; i < NOTES_RULE_KINDS; i++)
		if (strcmp(kinds[i], name) == 0)
			return i;
	return -1;
}

static int failed(struct notes *n, struct err *err)
{
	return err_set(err, ERR_FAILED, "%s: %s", n->path,
		       sqlite3_errmsg(n->db));
}

/* -- states in memory ---------------------------------------------------------- */

static size_t place_of(const struct notes *n, uint64_t stream)
{
	size_t low = 0, high = n->n_states;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (n->states[mid].stream < stream)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool has_place(const struct notes *n, size_t at, uint64_t stream)
{
	return at < n->n_states && n->states[at].stream == stream;
}

struct notes_state notes_state(const struct notes *n, uint64_t stream)
{
	size_t at = place_of(n, stream);

	return has_place(n, at, stream) ? n->states[at].is
					: (struct notes_state){ .hidden = 0 };
}

static void put_state(struct notes *n, uint64_t stream, struct notes_state is)
{
	size_t at = place_of(n, stream);
	struct notes_state was = notes_state(n, stream);

	n->favorites += (size_t)is.favorite - was.favorite;
	n->hidden += (size_t)is.hidden - was.hidden;
	if (has_place(n, at, stream)) {
		n->states[at].is = is;
		return;
	}
	if (n->n_states == n->states_cap) {
		n->states_cap = n->states_cap ? 2 * n->states_cap : 64;
		n->states = mem_grow(n->states,
				     n->states_cap * sizeof(*n->states));
	}
	memmove(n->states + at + 1, n->states + at,
		(n->n_states - at) * sizeof(*n->states));
	n->states[at] = (struct state){ stream, is };
	n->n_states++;
}

size_t notes_favorites(const struct notes *n)
{
	return n->favorites;
}

size_t notes_hidden(const struct notes *n)
{
	return n->hidden;
}

uint64_t notes_version(const struct notes *n)
{
	return n->version;
}

/* -- the file ----------------------------------------------------------------------- */

static uint64_t now(void)
{
	struct sys *sys = sys_host();

	return sys->wall_ns(sys);
}

static void copy_text(char *to, size_t cap, const unsigned char *from)
{
	snprintf(to, cap, "%s", from ? (const char *)from : "");
}

static int load_states(struct notes *n, struct err *err)
{
	sqlite3_stmt *st;
	int rc;

	if (sqlite3_prepare_v2(n->db,
			       "SELECT stream,favorite,hidden FROM state", -1,
			       &st, NULL) != SQLITE_OK)
		return failed(n, err);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW &&
	       n->n_states < NOTES_STREAMS_MAX)
		put_state(n, (uint64_t)sqlite3_column_int64(st, 0),
			  (struct notes_state){
				  .favorite = sqlite3_column_int(st, 1) != 0,
				  .hidden = sqlite3_column_int(st, 2) != 0 });
	sqlite3_finalize(st);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : failed(n, err);
}

static int load_rules(struct notes *n, struct err *err)
{
	sqlite3_stmt *st;
	int rc;

	n->rules = mem_array(NOTES_RULES_MAX, sizeof(*n->rules));
	if (sqlite3_prepare_v2(n->db,
			       "SELECT id,kind,value,by,at_ns FROM rules "
			       "ORDER BY id",
			       -1, &st, NULL) != SQLITE_OK)
		return failed(n, err);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW &&
	       n->n_rules < NOTES_RULES_MAX) {
		struct notes_rule *r = &n->rules[n->n_rules];
		int kind = notes_kind_of(
			(const char *)sqlite3_column_text(st, 1));

		if (kind < 0) /* of a newer Weir */
			continue;
		r->id = (uint64_t)sqlite3_column_int64(st, 0);
		r->kind = (enum notes_rule_kind)kind;
		copy_text(r->value, sizeof(r->value),
			  sqlite3_column_text(st, 2));
		copy_text(r->by, sizeof(r->by), sqlite3_column_text(st, 3));
		r->at_ns = (uint64_t)sqlite3_column_int64(st, 4);
		n->n_rules++;
	}
	sqlite3_finalize(st);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : failed(n, err);
}

static int load_version(struct notes *n, struct err *err)
{
	sqlite3_stmt *st;
	int rc = SQLITE_ERROR;

	if (sqlite3_prepare_v2(n->db, "SELECT max(n) FROM version", -1, &st,
			       NULL) == SQLITE_OK) {
		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW)
			n->version = (uint64_t)sqlite3_column_int64(st, 0);
		sqlite3_finalize(st);
	}
	return rc == SQLITE_ROW ? 0 : failed(n, err);
}

struct notes *notes_open(const char *path, struct err *err)
{
	struct notes *n = mem_alloc(sizeof(*n));

	n->path = mem_text(path);
	if (sqlite3_open_v2(path, &n->db,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
				    SQLITE_OPEN_NOMUTEX,
			    NULL) != SQLITE_OK ||
	    sqlite3_busy_timeout(n->db, 2000) != SQLITE_OK ||
	    sqlite3_exec(n->db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL) !=
		    SQLITE_OK ||
	    sqlite3_exec(n->db, "PRAGMA synchronous=FULL", NULL, NULL, NULL) !=
		    SQLITE_OK ||
	    sqlite3_exec(n->db, schema, NULL, NULL, NULL) != SQLITE_OK)
		failed(n, err);
	else if (load_version(n, err) == 0 && load_states(n, err) == 0 &&
		 load_rules(n, err) == 0)
		return n;
	notes_close(n);
	return NULL;
}

void notes_close(struct notes *n)
{
	if (!n)
		return;
	sqlite3_close(n->db);
	free(n->path);
	free(n->states);
	free(n->rules);
	free(n);
}

/* One change and the version behind it, both or neither. */
static int change(struct notes *n, sqlite3_stmt *st, struct err *err)
{
	int rc = sqlite3_exec(n->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st) == SQLITE_DONE ? SQLITE_OK
						     : SQLITE_ERROR;
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(n->db, "UPDATE version SET n=n+1", NULL,
				  NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(n->db, "COMMIT", NULL, NULL, NULL);
	if (rc != SQLITE_OK) {
		failed(n, err);
		sqlite3_exec(n->db, "ROLLBACK", NULL, NULL, NULL);
	} else {
		n->version++;
	}
	sqlite3_finalize(st);
	return rc == SQLITE_OK ? 0 : err->code;
}

static sqlite3_stmt *prepare(struct notes *n, const char *sql, struct err *err)
{
	sqlite3_stmt *st = NULL;

	if (sqlite3_prepare_v2(n->db, sql, -1, &st, NULL) != SQLITE_OK)
		failed(n, err);
	return st;
}

int notes_set_state(struct notes *n, uint64_t stream, struct notes_state state,
		    const char *by, struct err *err)
{
	sqlite3_stmt *st;
	int rc;

	if (n->n_states >= NOTES_STREAMS_MAX &&
	    !has_place(n, place_of(n, stream), stream))
		return err_set(err, ERR_FULL,
			       "%d streams are favourites or hidden; a hide "
			       "rule takes many at once",
			       NOTES_STREAMS_MAX);
	st = prepare(n,
		     "INSERT INTO state VALUES(?,?,?,?,?) ON CONFLICT(stream) "
		     "DO UPDATE SET favorite=excluded.favorite,"
		     "hidden=excluded.hidden,by=excluded.by,"
		     "at_ns=excluded.at_ns",
		     err);
	if (!st)
		return err->code;
	sqlite3_bind_int64(st, 1, (int64_t)stream);
	sqlite3_bind_int(st, 2, state.favorite);
	sqlite3_bind_int(st, 3, state.hidden);
	sqlite3_bind_text(st, 4, by, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 5, (int64_t)now());
	rc = change(n, st, err);
	if (rc == 0)
		put_state(n, stream, state);
	return rc;
}

/* -- rules ---------------------------------------------------------------------------- */

const struct notes_rule *notes_rules(const struct notes *n, size_t *count)
{
	*count = n->n_rules;
	return n->rules;
}

int notes_add_rule(struct notes *n, struct notes_rule *rule, struct err *err)
{
	sqlite3_stmt *st;
	int rc;

	for (size_t i = 0; i < n->n_rules; i++)
		if (n->rules[i].kind == rule->kind &&
		    strcmp(n->rules[i].value, rule->value) == 0) {
			*rule = n->rules[i];
			return 0;
		}
	if (n->n_rules == NOTES_RULES_MAX)
		return err_set(err, ERR_FULL,
			       "there are %d hide rules; remove one first",
			       NOTES_RULES_MAX);
	st = prepare(n,
		     "INSERT INTO rules(kind,value,by,at_ns) VALUES(?,?,?,?)",
		     err);
	if (!st)
		return err->code;
	rule->at_ns = now();
	sqlite3_bind_text(st, 1, kinds[rule->kind], -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, rule->value, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 3, rule->by, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 4, (int64_t)rule->at_ns);
	rc = change(n, st, err);
	if (rc == 0) {
		rule->id = (uint64_t)sqlite3_last_insert_rowid(n->db);
		n->rules[n->n_rules++] = *rule;
	}
	return rc;
}

int notes_remove_rule(struct notes *n, uint64_t id, struct err *err)
{
	sqlite3_stmt *st;
	size_t at = 0;
	int rc;

	while (at < n->n_rules && n->rules[at].id != id)
		at++;
	if (at == n->n_rules)
		return err_set(err, ERR_GONE, "there is no hide rule %llu",
			       (unsigned long long)id);
	st = prepare(n, "DELETE FROM rules WHERE id=?", err);
	if (!st)
		return err->code;
	sqlite3_bind_int64(st, 1, (int64_t)id);
	rc = change(n, st, err);
	if (rc == 0) {
		n->n_rules--;
		memmove(n->rules + at, n->rules + at + 1,
			(n->n_rules - at) * sizeof(*n->rules));
	}
	return rc;
}
