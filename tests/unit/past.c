/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules and the past: streams that grow while a rule comes, that end later,
 * steps that are cut short, and a run that begins again.
 */
#include "store_here.h"

#include <sqlite3.h>
#include <unistd.h>

#include "base/mem.h"
#include "engine/query/past.h"

static struct store_config config(void)
{
	struct store_config cfg = STORE_CONFIG_DEFAULT;

	cfg.dir = t_path("store");
	cfg.commit_ns = 0;
	return cfg;
}

static struct store *open_here(void)
{
	struct store_config cfg = config();
	struct err err = ERR_NONE;
	struct store *s = store_open(&cfg, &err);

	if (!s)
		fail_msg("%s", err.text);
	return s;
}

static void commit(struct store *s)
{
	struct err err = ERR_NONE;

	CHECK_OK(store_checkpoint(s, NULL, &err), &err);
}

struct talk {
	struct store_stream *st;
	struct store_row row;
};

static struct talk begin(struct store *s, uint64_t n)
{
	struct talk t = { .row = row_of(n) };

	t.st = store_begin(store_shard(s, 0), &t.row);
	CHECK(t.st != NULL);
	return t;
}

static void text_say(struct talk *t, int way, const char *text)
{
	struct flow_way *w = &t->row.flow.way[way];
	size_t len = strlen(text);

	count_packet(&t->row, way, len);
	store_append(t->st, way, w->offset - len, bytes_of(text, len),
		     t->row.flow.last_ns, 1);
	store_update(t->st, &t->row);
}

static void whole(struct store *s, uint64_t n, const char *text)
{
	struct talk t = begin(s, n);

	text_say(&t, 0, text);
	finish(t.st, &t.row);
}

/* -- rules --------------------------------------------------------------------- */

static int add(enum rule_kind kind, const char *name, const char *text,
	       struct err *err)
{
	struct rules *r = rules_open(t_path("store"), err);
	struct rule rule = { .kind = kind, .text = (char *)(uintptr_t)text };
	int rc;

	CHECK(r != NULL);
	strncpy(rule.name, name, RULE_NAME - 1);
	rc = rules_add(r, &rule, err);
	rules_close(r);
	return rc;
}

static void add_rule(enum rule_kind kind, const char *name, const char *text)
{
	struct err err = ERR_NONE;

	CHECK_OK(add(kind, name, text, &err), &err);
}

TEST(R24_rules_are_checked_before_they_are_remembered)
{
	struct err err = ERR_NONE;

	CHECK_EQ(add(RULE_REGEX, "bad", "(", &err), ERR_USAGE);
	err = ERR_NONE;
	CHECK_EQ(add(RULE_BINARY, "bad", "abc", &err), ERR_USAGE);
	err = ERR_NONE;
	CHECK_EQ(add(RULE_QUERY, "bad", "port:80 limit:3", &err), ERR_USAGE);
	err = ERR_NONE;
	CHECK_EQ(add(RULE_QUERY, "bad", "prt:80", &err), ERR_USAGE);
	err = ERR_NONE;
	CHECK_EQ(add(RULE_REGEX, "two words", "a", &err), ERR_USAGE);
	err = ERR_NONE;
	CHECK_EQ(add(RULE_REGEX, "flag-out", "a", &err), ERR_USAGE);
	err = ERR_NONE;
	add_rule(RULE_REGEX, "good", "a+");
	CHECK_EQ(add(RULE_SUBSTRING, "good", "b", &err), ERR_USAGE);
}

TEST(R24_the_version_grows_with_each_rule_that_comes_or_goes)
{
	struct err err = ERR_NONE;
	struct rules *r = rules_open(t_path("store"), &err);
	struct rule *list;
	uint64_t version;
	size_t n;

	CHECK_OK(rules_version(r, &version, &err), &err);
	CHECK_EQ(version, 0);
	add_rule(RULE_REGEX, "one", "a");
	add_rule(RULE_SUBSTRING, "two", "b");
	CHECK_OK(rules_load(r, &list, &n, &version, &err), &err);
	CHECK_EQ(n, 2);
	CHECK_EQ(version, 2);
	CHECK_EQ(list[1].version, 2);
	CHECK_STR(list[1].text, "b");
	CHECK(!list[1].past.done);
	rules_free_list(list, n);
	CHECK_OK(rules_remove(r, "one", &err), &err);
	CHECK_OK(rules_version(r, &version, &err), &err);
	CHECK_EQ(version, 3);
	CHECK_EQ(rules_remove(r, "one", &err), ERR_GONE);
	rules_close(r);
}

/* -- the past ---------------------------------------------------------------------- */

static struct past *past_here(struct store *s)
{
	const struct past_config cfg = { .dir = t_path("store"),
					 .store = s,
					 .window = 4096,
					 .matches_max = 100 };
	struct err err = ERR_NONE;
	struct past *p = past_new(&cfg, &err);

	if (!p)
		fail_msg("%s", err.text);
	return p;
}

/* Until nothing is left that could be done now; and a look at who grows. */
static void work(struct past *p)
{
	struct err err = ERR_NONE;
	bool more = true;

	while (more)
		CHECK_OK(past_step(p, 100000000, NULL, &more, &err), &err);
}

static uint64_t ask(const char *sql)
{
	sqlite3 *db;
	sqlite3_stmt *st;
	uint64_t v;

	CHECK_EQ(sqlite3_open_v2(t_path("store/store.db"), &db,
				 SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	CHECK_EQ(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	CHECK_EQ(sqlite3_step(st), SQLITE_ROW);
	v = (uint64_t)sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return v;
}

/* With a limit: followers are looked at every 0.3 s. */
static void wait_until(struct past *p, const char *sql, uint64_t want)
{
	for (int i = 0; i < 2000 && ask(sql) != want; i++) {
		work(p);
		usleep(5000);
	}
	CHECK_EQ(ask(sql), want);
}

TEST(R24_a_new_pattern_finds_what_came_before_each_match_once)
{
	struct store *s = open_here();
	struct past *p;

	whole(s, 1, "a FLAG{1} and FLAG{2}");
	whole(s, 2, "nothing");
	whole(s, 3, "FLAG{3}");
	commit(s);
	p = past_here(s);
	work(p);
	CHECK_EQ(ask("SELECT count(*) FROM matches"), 0);
	add_rule(RULE_REGEX, "flag", "FLAG\\{\\d\\}");
	work(p);
	CHECK_EQ(ask("SELECT count(*) FROM matches"), 3);
	CHECK_EQ(ask("SELECT count(*) FROM tags WHERE tag='flag'"), 2);
	CHECK_EQ(ask("SELECT start FROM matches WHERE content='FLAG{2}'"), 14);
	/* When it was said. */
	CHECK_EQ(ask("SELECT time_ns FROM matches WHERE content='FLAG{3}'"),
		 1000000 + 3 * 1000 + 10);
	work(p);
	CHECK_EQ(ask("SELECT count(*) FROM matches"), 3);
	past_free(p);
	store_close(s);
}

/* What was begun with the pattern is the live search's. */
TEST(X10_streams_that_know_the_pattern_are_left_alone)
{
	struct store *s = open_here();
	struct past *p = past_here(s);
	struct talk t;

	add_rule(RULE_SUBSTRING, "x", "x");
	t = begin(s, 1);
	t.row.patterns = 1;
	text_say(&t, 0, "xxx");
	finish(t.st, &t.row);
	whole(s, 2, "xx");
	commit(s);
	work(p);
	CHECK_EQ(ask("SELECT count(*) FROM matches"), 2);
	past_free(p);
	store_close(s);
}

TEST(X10_an_open_stream_is_followed_and_a_growing_match_is_found_whole)
{
	struct store *s = open_here();
	struct talk t = begin(s, 1);
	struct past *p;

	text_say(&t, 0, "..ab");
	commit(s);
	add_rule(RULE_REGEX, "word", "ab+c?");
	p = past_here(s);
	work(p);
	CHECK_EQ(ask("SELECT count(*) FROM matches"), 0);
	text_say(&t, 0, "bbb");
	commit(s);
	work(p);
	text_say(&t, 0, "c, abb");
	commit(s);
	wait_until(p, "SELECT count(*) FROM matches", 1);
	CHECK_EQ(ask("SELECT end FROM matches"), 8);
	finish(t.st, &t.row);
	commit(s);
	wait_until(p, "SELECT count(*) FROM matches", 2);
	CHECK_EQ(ask("SELECT max(end) FROM matches"), 13);
	past_free(p);
	store_close(s);
}

TEST(X10_after_a_restart_open_streams_are_still_followed)
{
	struct store *s = open_here();
	struct talk t = begin(s, 1);
	struct past *p;

	text_say(&t, 0, "FL");
	commit(s);
	add_rule(RULE_SUBSTRING, "flag", "FLAG");
	p = past_here(s);
	work(p);
	past_free(p); /* it remembers */
	text_say(&t, 0, "AG");
	finish(t.st, &t.row);
	commit(s);
	p = past_here(s);
	wait_until(p, "SELECT count(*) FROM matches", 1);
	past_free(p);
	store_close(s);
}

static uint64_t is_tagged(unsigned n)
{
	char *sql = mem_format("SELECT count(*) FROM tags JOIN streams ON "
			       "id=stream WHERE tag='x' AND first_index=%u",
			       n * 10);
	uint64_t v = ask(sql);

	free(sql);
	return v;
}

/* A rule that comes half-way joins at the newest, and nothing is done twice. */
TEST(X10_the_newest_come_first_and_steps_can_be_cut_anywhere)
{
	struct store *s = open_here();
	const struct rule *list;
	struct err err = ERR_NONE;
	struct past *p;
	bool more = true;
	int steps = 0;
	size_t n;

	for (uint64_t i = 1; i <= 400; i++)
		whole(s, i, i % 2 ? "x" : "y");
	commit(s);
	add_rule(RULE_SUBSTRING, "x", "x");
	p = past_here(s);
	for (; more; steps++) {
		if (steps == 2)
			add_rule(RULE_SUBSTRING, "y", "y");
		CHECK_OK(past_step(p, 500000, NULL, &more, &err), &err);
		list = past_rules(p, &n);
		/* The newest is the first one, the oldest the last. */
		if (list[0].past.streams > 1)
			CHECK_EQ(is_tagged(399), 1);
		if (list[0].past.streams < 400)
			CHECK_EQ(is_tagged(1), 0);
	}
	CHECK(steps > 2);
	list = past_rules(p, &n);
	CHECK_EQ(n, 2);
	for (size_t i = 0; i < n; i++) {
		CHECK(list[i].past.done);
		CHECK_EQ(list[i].past.streams, 400);
		CHECK_EQ(list[i].past.streams_total, 400);
		CHECK_EQ(list[i].past.bytes, 400);
		CHECK_EQ(list[i].past.found, 200);
	}
	CHECK_EQ(ask("SELECT count(*) FROM tags WHERE tag='x'"), 200);
	CHECK_EQ(ask("SELECT count(*) FROM tags WHERE tag='y'"), 200);
	past_free(p);
	store_close(s);
}

TEST(X10_what_was_searched_is_not_searched_again)
{
	struct store *s = open_here();
	struct err err = ERR_NONE;
	const struct rule *list;
	struct past *p;
	uint64_t was;
	bool more;
	size_t n;

	for (uint64_t i = 1; i <= 3000; i++)
		whole(s, i, "x");
	commit(s);
	add_rule(RULE_SUBSTRING, "x", "x");
	p = past_here(s);
	CHECK_OK(past_step(p, 2000000, NULL, &more, &err), &err);
	was = past_rules(p, &n)->past.streams;
	past_free(p);
	p = past_here(s);
	CHECK_OK(past_step(p, 0, NULL, &more, &err), &err);
	list = past_rules(p, &n);
	CHECK_EQ(list[0].past.streams, was);
	work(p);
	CHECK_EQ(past_rules(p, &n)->past.streams, 3000);
	CHECK_EQ(ask("SELECT count(*) FROM matches"), 3000);
	past_free(p);
	store_close(s);
}

TEST(X08_a_saved_query_is_asked_again_when_a_stream_ends)
{
	struct store *s = open_here();
	struct past *p = past_here(s);
	struct talk t;

	whole(s, 1, "GET /");
	t = begin(s, 2);
	text_say(&t, 0, "GET /");
	commit(s);
	add_rule(RULE_QUERY, "get", "data:GET -data:bye");
	work(p);
	CHECK_EQ(ask("SELECT count(*) FROM tags"), 2);
	text_say(&t, 0, "bye");
	finish(t.st, &t.row);
	whole(s, 3, "GET it");
	whole(s, 4, "PUT it");
	commit(s);
	work(p);
	CHECK_EQ(ask("SELECT count(*) FROM tags"), 2);
	CHECK_EQ(ask("SELECT count(*) FROM tags WHERE stream=(SELECT id FROM "
		     "streams WHERE first_index=30)"), 1);
	CHECK_EQ(ask("SELECT count(*) FROM unchecked"), 0);
	past_free(p);
	store_close(s);
}

TEST(X10_a_rule_that_was_removed_is_looked_for_no_more)
{
	struct store *s = open_here();
	struct past *p = past_here(s);
	struct err err = ERR_NONE;
	struct rules *r;

	add_rule(RULE_SUBSTRING, "x", "x");
	r = rules_open(t_path("store"), &err);
	CHECK_OK(rules_remove(r, "x", &err), &err);
	rules_close(r);
	whole(s, 1, "x");
	commit(s);
	work(p);
	CHECK_EQ(ask("SELECT count(*) FROM matches"), 0);
	past_free(p);
	store_close(s);
}

/* The thread itself, beside somebody who appends. */
TEST(X10_the_thread_works_while_streams_come)
{
	struct store *s = open_here();
	struct past *p = past_here(s);
	struct err err = ERR_NONE;

	CHECK_OK(past_start(p, &err), &err);
	for (uint64_t i = 1; i <= 500; i++) {
		whole(s, i, "x");
		if (i == 250)
			add_rule(RULE_SUBSTRING, "x", "x");
		if (i % 50 == 0)
			commit(s);
	}
	commit(s);
	CHECK_OK(past_finish(p, &err), &err);
	CHECK_EQ(ask("SELECT count(*) FROM matches WHERE stream IN (SELECT id "
		     "FROM streams WHERE first_index<=2500)"), 250);
	past_free(p);
	store_close(s);
}
