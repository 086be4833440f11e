/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/supervise/supervise.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "sys/loop.h"
#include "sys/sys.h"
#include "t.h"

enum { LINES_MAX = 64 };
#define MS UINT64_C(1000000)

struct scene {
	struct loop *loop;
	struct supervisor *s;
	struct loop_timer *limit;
	char lines[LINES_MAX][64];
	size_t lens[LINES_MAX];
	uint64_t at_ns[LINES_MAX];
	int n, wanted; /* the loop stops when so many lines have come */
	int done[2], n_done; /* statuses of those that run once */
	bool gone, late;
};

static void on_line(void *arg, const char *name, struct bytes line)
{
	struct scene *sc = arg;

	(void)name;
	CHECK(sc->n < LINES_MAX);
	snprintf(sc->lines[sc->n], sizeof(sc->lines[0]), "%.*s",
		 (int)(line.len < 60 ? line.len : 60), (const char *)line.p);
	sc->lens[sc->n] = line.len;
	sc->at_ns[sc->n] = sys_host()->mono_ns(sys_host());
	if (++sc->n == sc->wanted)
		loop_stop(sc->loop);
}

static void on_gone(void *arg)
{
	struct scene *sc = arg;

	sc->gone = true;
	loop_stop(sc->loop);
}

static void on_done(void *arg, const char *name, int status)
{
	struct scene *sc = arg;

	(void)name;
	sc->done[sc->n_done++] = WEXITSTATUS(status);
	if (sc->n_done == 2)
		loop_stop(sc->loop);
}

static void on_late(void *arg)
{
	struct scene *sc = arg;

	sc->late = true;
	loop_stop(sc->loop);
}

static void scene_begin(struct scene *sc)
{
	struct supervisor_config cfg = SUPERVISOR_CONFIG_DEFAULT;
	struct err err = ERR_NONE;

	log_setup(LOG_ERROR, false);
	*sc = (struct scene){ .loop = loop_new(&err) };
	CHECK(sc->loop != NULL);
	cfg.on_line = on_line;
	cfg.on_gone = on_gone;
	cfg.on_done = on_done;
	cfg.arg = sc;
	cfg.backoff_ns = 20 * MS;
	cfg.backoff_max_ns = 80 * MS;
	cfg.patience_ns = 300 * MS;
	sc->s = supervisor_new(sc->loop, &cfg);
	sc->limit = loop_timer(sc->loop, on_late, sc);
	loop_timer_in(sc->limit, 20000 * MS);
}

static void scene_end(struct scene *sc)
{
	supervisor_free(sc->s);
	loop_timer_free(sc->limit);
	loop_free(sc->loop);
}

static void add_shell(struct scene *sc, const char *name, const char *script,
		      bool once)
{
	const char *const argv[] = { "/bin/sh", "-c", script, NULL };
	struct err err = ERR_NONE;

	CHECK_OK(supervisor_add(sc->s, name, argv, once, &err), &err);
}

static void run_to_line(struct scene *sc, int wanted)
{
	sc->wanted = wanted;
	if (sc->n < wanted)
		loop_run(sc->loop);
	CHECK(!sc->late);
}

static void run_to_end(struct scene *sc)
{
	sc->wanted = 0;
	supervisor_end(sc->s);
	if (!sc->gone)
		loop_run(sc->loop);
	CHECK(!sc->late);
	CHECK(sc->gone);
}

TEST(a_crashed_child_comes_back_after_a_doubled_wait)
{
	struct scene sc;

	scene_begin(&sc);
	add_shell(&sc, "a", "echo up; exit 3", false);
	run_to_line(&sc, 6);
	/* 20, 40, 80 and then no more than 80 ms lie between them. */
	CHECK(sc.at_ns[1] - sc.at_ns[0] >= 20 * MS);
	CHECK(sc.at_ns[2] - sc.at_ns[1] >= 40 * MS);
	CHECK(sc.at_ns[3] - sc.at_ns[2] >= 80 * MS);
	CHECK(sc.at_ns[5] - sc.at_ns[4] >= 80 * MS);
	CHECK_EQ(supervisor_restarts(sc.s, "a"), 5);
	run_to_end(&sc);
	scene_end(&sc);
}

TEST(a_killed_child_comes_back_but_not_one_that_was_asked_to_end)
{
	struct scene sc;

	scene_begin(&sc);
	add_shell(&sc, "a", "echo $$; exec sleep 1000", false);
	run_to_line(&sc, 1);
	kill((pid_t)atoi(sc.lines[0]), SIGKILL);
	run_to_line(&sc, 2);
	CHECK(strcmp(sc.lines[0], sc.lines[1]) != 0);
	run_to_end(&sc);
	CHECK_EQ(supervisor_restarts(sc.s, "a"), 1);
	CHECK(kill((pid_t)atoi(sc.lines[1]), 0) < 0);
	scene_end(&sc);
}

TEST(work_that_is_done_once_is_not_done_again_however_it_ends)
{
	struct scene sc;

	scene_begin(&sc);
	add_shell(&sc, "a", "echo done", true);
	add_shell(&sc, "b", "echo failing; exit 7", true);
	loop_run(sc.loop);
	CHECK(!sc.late);
	CHECK_EQ(sc.done[0] + sc.done[1], 7);
	CHECK_EQ(sc.n, 2);
	CHECK_EQ(supervisor_restarts(sc.s, "a"), 0);
	CHECK_EQ(supervisor_restarts(sc.s, "b"), 0);
	run_to_end(&sc);
	CHECK_EQ(sc.n, 2);
	scene_end(&sc);
}

TEST(a_child_that_does_not_end_is_killed_after_our_patience)
{
	struct scene sc;
	uint64_t asked_ns;

	scene_begin(&sc);
	add_shell(&sc, "deaf",
		  "trap '' TERM; echo up; while :; do sleep 0.05; done", false);
	run_to_line(&sc, 1);
	asked_ns = sys_host()->mono_ns(sys_host());
	run_to_end(&sc);
	CHECK(sys_host()->mono_ns(sys_host()) - asked_ns >= 300 * MS);
	CHECK(!supervisor_runs(sc.s, "deaf"));
	scene_end(&sc);
}

TEST(what_a_child_writes_at_its_end_is_not_lost)
{
	struct scene sc;

	scene_begin(&sc);
	add_shell(&sc, "a",
		  "trap 'echo bye; exit 0' TERM; echo up >&2; "
		  "while :; do sleep 0.05; done",
		  false);
	run_to_line(&sc, 1);
	CHECK_STR(sc.lines[0], "up");
	run_to_end(&sc);
	CHECK_EQ(sc.n, 2);
	CHECK_STR(sc.lines[1], "bye");
	scene_end(&sc);
}

TEST(a_line_without_an_end_costs_no_memory)
{
	struct scene sc;

	scene_begin(&sc);
	add_shell(&sc, "a",
		  "head -c 1000000 /dev/zero | tr '\\0' x; echo; echo next",
		  true);
	run_to_line(&sc, 2);
	CHECK_EQ(sc.lens[0], SUPERVISE_LINE);
	CHECK_STR(sc.lines[1], "next");
	run_to_end(&sc);
	scene_end(&sc);
}

TEST(a_program_that_is_not_there_is_named)
{
	const char *const argv[] = { "/nowhere/weir", NULL };
	struct scene sc;
	struct err err = ERR_NONE;

	scene_begin(&sc);
	CHECK_OK(supervisor_add(sc.s, "a", argv, false, &err), &err);
	run_to_line(&sc, 1);
	CHECK(strstr(sc.lines[0], "/nowhere/weir cannot be run: No such file"));
	run_to_end(&sc);
	scene_end(&sc);
}

TEST(no_more_children_than_the_table_holds)
{
	const char *const argv[] = { "/bin/sleep", "1000", NULL };
	struct scene sc;
	struct err err = ERR_NONE;

	scene_begin(&sc);
	for (int i = 0; i < SUPERVISE_MAX; i++)
		CHECK_OK(supervisor_add(sc.s, "a", argv, false, &err), &err);
	CHECK_EQ(supervisor_add(sc.s, "a", argv, false, &err), ERR_LIMIT);
	run_to_end(&sc);
	scene_end(&sc);
}
