/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/web/changes.h"
#include "engine/web/notes.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "sys/sys.h"
#include "t.h"

/* -- changes ------------------------------------------------------------------- */

static void count(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
}

TEST(R39_changes_come_in_order_with_cursors_without_holes)
{
	atomic_int woken = 0;
	struct changes *c = changes_new(16, count, &woken);
	struct change e[16];

	changes_stream(c, 7);
	changes_match(c, 7, 1, 10, 20, "regex:0 flag");
	changes_status(c, "completed");
	CHECK_EQ(changes_read(c, 1, e, 16), 3);
	CHECK_EQ(e[0].cursor, 1);
	CHECK_EQ(e[0].kind, CHANGE_STREAM);
	CHECK_EQ(e[1].start, 10);
	CHECK_STR(e[1].text, "regex:0 flag");
	CHECK_EQ(e[2].cursor, 3);
	CHECK_STR(e[2].text, "completed");
	CHECK_EQ(changes_read(c, 4, e, 16), 0);
	CHECK_EQ(woken, 3);
	changes_free(c);
}

TEST(R40_the_log_keeps_as_many_as_it_may_and_says_where_it_begins)
{
	struct changes *c = changes_new(16, NULL, NULL);
	struct changes_range r;
	struct change e[32];

	for (uint64_t i = 1; i <= 100; i++)
		changes_stream(c, i);
	r = changes_range(c);
	CHECK_EQ(r.first, 85);
	CHECK_EQ(r.next, 101);
	CHECK_EQ(changes_read(c, 1, e, 32), 16);
	CHECK_EQ(e[0].cursor, 85);
	CHECK_EQ(e[0].stream, 85);
	changes_free(c);
}

TEST(a_stream_is_told_once_more_when_it_has_settled_and_not_again)
{
	struct sys *sys = sys_host();
	struct changes *c = changes_new(64, NULL, NULL);
	uint64_t later = sys->mono_ns(sys) + UINT64_C(1000000000);
	struct change e[8];

	changes_stream(c, 5);
	changes_settle(c, sys->mono_ns(sys));
	CHECK_EQ(changes_range(c).next, 2);
	changes_settle(c, later);
	CHECK_EQ(changes_read(c, 2, e, 8), 1);
	CHECK_EQ(e[0].stream, 5);
	changes_settle(c, later + UINT64_C(9000000000));
	CHECK_EQ(changes_range(c).next, 3);
	changes_free(c);
}

static void *tell_many(void *arg)
{
	for (uint64_t i = 0; i < 20000; i++)
		changes_stream(arg, i);
	return NULL;
}

TEST(several_threads_tell_and_one_reads_every_cursor_once)
{
	struct changes *c = changes_new(1 << 16, NULL, NULL);
	pthread_t threads[3];
	struct change e[512];
	uint64_t next = 1;

	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, tell_many, c), 0);
	while (next <= 60000) {
		size_t n = changes_read(c, next, e, 512);

		for (size_t i = 0; i < n; i++)
			CHECK_EQ(e[i].cursor, next++);
	}
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(changes_range(c).next, 60001);
	changes_free(c);
}

/* -- notes ---------------------------------------------------------------------- */

static struct notes *open_notes(void)
{
	struct err err = ERR_NONE;
	struct notes *n = notes_open(t_path("page.db"), &err);

	if (!n)
		fail_msg("%s", err.text);
	return n;
}

static struct notes_rule rule_of(enum notes_rule_kind kind, const char *value)
{
	struct notes_rule r = { .kind = kind, .by = "eve" };

	snprintf(r.value, sizeof(r.value), "%s", value);
	return r;
}

TEST(R32_what_people_did_is_there_after_the_next_start)
{
	const struct notes_state heart = { .favorite = true };
	struct notes *n = open_notes();
	struct notes_rule rule = rule_of(NOTES_PORT, "8080");
	const struct notes_rule *rules;
	struct err err = ERR_NONE;
	uint64_t version = notes_version(n);
	size_t count;

	CHECK_EQ(notes_set_state(n, UINT64_MAX, heart, "eve", &err), 0);
	CHECK_EQ(notes_set_state(n, 3, heart, "eve", &err), 0);
	CHECK_EQ(notes_set_state(n, 3, (struct notes_state){ .hidden = true },
				 "eve", &err),
		 0);
	CHECK_EQ(notes_add_rule(n, &rule, &err), 0);
	CHECK_EQ(notes_version(n), version + 4);
	notes_close(n);

	n = open_notes();
	CHECK_EQ(notes_version(n), version + 4);
	CHECK(notes_state(n, UINT64_MAX).favorite);
	CHECK(!notes_state(n, 3).favorite);
	CHECK(notes_state(n, 3).hidden);
	CHECK(!notes_state(n, 4).hidden);
	CHECK_EQ(notes_favorites(n), 1);
	CHECK_EQ(notes_hidden(n), 1);
	rules = notes_rules(n, &count);
	CHECK_EQ(count, 1);
	CHECK_EQ(rules[0].kind, NOTES_PORT);
	CHECK_STR(rules[0].value, "8080");
	CHECK_STR(rules[0].by, "eve");
	CHECK_EQ(notes_remove_rule(n, rules[0].id, &err), 0);
	CHECK_EQ(notes_remove_rule(n, 77, &err), ERR_GONE);
	notes_close(n);
}

TEST(a_rule_that_is_there_is_not_made_again_and_the_cap_holds)
{
	struct notes *n = open_notes();
	struct err err = ERR_NONE;
	struct notes_rule rule;
	char value[16];
	size_t count;

	for (int i = 0; i < NOTES_RULES_MAX; i++) {
		snprintf(value, sizeof(value), "%d", i);
		rule = rule_of(NOTES_PORT, value);
		CHECK_EQ(notes_add_rule(n, &rule, &err), 0);
	}
	rule = rule_of(NOTES_PORT, "5");
	CHECK_EQ(notes_add_rule(n, &rule, &err), 0);
	CHECK_EQ(rule.id, 6);
	rule = rule_of(NOTES_SERVICE, "http");
	CHECK_EQ(notes_add_rule(n, &rule, &err), ERR_FULL);
	CHECK(strstr(err.text, "1000 hide rules"));
	notes_rules(n, &count);
	CHECK_EQ(count, NOTES_RULES_MAX);
	notes_close(n);
}

TEST(a_file_that_is_no_database_is_one_sentence)
{
	struct err err = ERR_NONE;

	t_save(t_path("page.db"), bytes_of_text("this is no database at all, "
						"and it is long enough"));
	CHECK(!notes_open(t_path("page.db"), &err));
	CHECK(strstr(err.text, "page.db"));
}
