/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/loop.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "t.h"

static struct loop *new_loop(void)
{
	struct err err = ERR_NONE;
	struct loop *l = loop_new(&err);

	if (!l)
		fail_msg("%s", err.text);
	return l;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* What the callbacks of a test share. */
struct scene {
	struct loop *loop;
	struct loop_watch *watch[2];
	struct loop_timer *timer[2];
	struct loop_wake *wake;
	int pipe[2];
	int seen;
	int calls;
};

static void count_it(void *arg)
{
	struct scene *s = arg;

	s->calls++;
}

static void stop_it(void *arg)
{
	struct scene *s = arg;

	s->calls++;
	loop_stop(s->loop);
}

TEST(a_loop_without_anything_to_wait_for_returns)
{
	struct loop *l = new_loop();

	CHECK_EQ(loop_run(l), 0);
	loop_free(l);
	loop_free(NULL);
}

TEST(a_timer_fires_once_and_not_early)
{
	struct scene s = { .loop = new_loop() };
	uint64_t start = now_ns();

	s.timer[0] = loop_timer(s.loop, count_it, &s);
	CHECK_EQ(loop_run(s.loop), 0); /* it is not running */
	CHECK_EQ(s.calls, 0);
	loop_timer_in(s.timer[0], 3000001);
	CHECK_EQ(loop_run(s.loop), 0);
	CHECK_EQ(s.calls, 1);
	CHECK(now_ns() - start >= 3000001);
	loop_timer_free(s.timer[0]);
	loop_free(s.loop);
}

TEST(a_timer_set_again_forgets_its_first_time_and_may_be_cancelled)
{
	struct scene s = { .loop = new_loop() };

	s.timer[0] = loop_timer(s.loop, stop_it, &s);
	s.timer[1] = loop_timer(s.loop, count_it, &s);
	loop_timer_in(s.timer[0], UINT64_C(3600000000000));
	loop_timer_in(s.timer[0], 1000000);
	loop_timer_in(s.timer[1], 0);
	loop_timer_cancel(s.timer[1]);
	CHECK_EQ(loop_run(s.loop), 0);
	CHECK_EQ(s.calls, 1);
	loop_timer_free(s.timer[0]);
	loop_timer_free(s.timer[1]);
	loop_timer_free(NULL);
	loop_free(s.loop);
}

static void on_both(void *arg, int fd, int what)
{
	struct scene *s = arg;
	char byte;

	s->seen |= what;
	if (what & LOOP_READ) {
		CHECK_EQ(read(fd, &byte, 1), 1);
		loop_watch_change(s->watch[0], 0);
	} else {
		CHECK_EQ(write(fd, "x", 1), 1);
		loop_watch_free(s->watch[1]);
		s->watch[1] = NULL;
	}
}

TEST(a_watch_sees_what_it_asked_for_and_may_rest_or_free_itself)
{
	struct scene s = { .loop = new_loop() };

	CHECK_EQ(pipe(s.pipe), 0);
	s.watch[0] = loop_watch(s.loop, s.pipe[0], LOOP_READ, on_both, &s);
	s.watch[1] = loop_watch(s.loop, s.pipe[1], LOOP_WRITE, on_both, &s);
	CHECK_EQ(loop_run(s.loop), 0); /* ends: nothing is left */
	CHECK_EQ(s.seen, LOOP_READ | LOOP_WRITE);
	loop_watch_free(s.watch[0]);
	loop_watch_free(NULL);
	loop_free(s.loop);
	close(s.pipe[0]);
	close(s.pipe[1]);
}

static void free_both(void *arg, int fd, int what)
{
	struct scene *s = arg;

	(void)fd;
	(void)what;
	s->calls++;
	for (int i = 0; i < 2; i++) {
		loop_watch_free(s->watch[i]);
		s->watch[i] = NULL;
	}
}

TEST(a_callback_may_free_another_watch_that_is_due_as_well)
{
	struct scene s = { .loop = new_loop() };
	int second[2];

	CHECK_EQ(pipe(s.pipe), 0);
	CHECK_EQ(pipe(second), 0);
	s.watch[0] = loop_watch(s.loop, s.pipe[1], LOOP_WRITE, free_both, &s);
	s.watch[1] = loop_watch(s.loop, second[1], LOOP_WRITE, free_both, &s);
	CHECK_EQ(loop_run(s.loop), 0);
	CHECK_EQ(s.calls, 1);
	loop_free(s.loop);
	for (int i = 0; i < 2; i++) {
		close(s.pipe[i]);
		close(second[i]);
	}
}

TEST(a_regular_file_cannot_be_watched)
{
	struct loop *l = new_loop();
	int file = open(t_path("f"), O_CREAT | O_RDWR, 0600);

	CHECK(file >= 0);
	CHECK(loop_watch(l, file, LOOP_READ, on_both, NULL) == NULL);
	close(file);
	loop_free(l);
}

static void *wake_thrice(void *arg)
{
	struct scene *s = arg;

	for (int i = 0; i < 3; i++)
		loop_wake(s->wake);
	return NULL;
}

static void free_wake(void *arg)
{
	struct scene *s = arg;

	s->calls++;
	loop_wake_free(s->wake);
	s->wake = NULL;
}

TEST(another_thread_wakes_the_loop)
{
	struct scene s = { .loop = new_loop() };
	pthread_t thread;

	s.wake = loop_wake_new(s.loop, stop_it, &s);
	CHECK_EQ(pthread_create(&thread, NULL, wake_thrice, &s), 0);
	CHECK_EQ(loop_run(s.loop), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK(s.calls >= 1);
	loop_wake_free(s.wake);

	s.wake = loop_wake_new(s.loop, free_wake, &s);
	s.calls = 0;
	loop_wake(s.wake);
	loop_wake(s.wake);
	CHECK_EQ(loop_run(s.loop), 0);
	CHECK_EQ(s.calls, 1);
	loop_wake_free(NULL);
	loop_free(s.loop);
}

static void *stop_from_outside(void *arg)
{
	struct scene *s = arg;

	loop_stop(s->loop);
	return NULL;
}

TEST(another_thread_stops_the_loop_and_it_may_run_again)
{
	struct scene s = { .loop = new_loop() };
	pthread_t thread;

	s.wake = loop_wake_new(s.loop, stop_it, &s);
	CHECK_EQ(pthread_create(&thread, NULL, stop_from_outside, &s), 0);
	CHECK_EQ(loop_run(s.loop), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(s.calls, 0);
	loop_wake(s.wake);
	CHECK_EQ(loop_run(s.loop), 0);
	CHECK_EQ(s.calls, 1);
	loop_wake_free(s.wake);
	loop_free(s.loop);
}

/* -- signals ------------------------------------------------------------ */

static void raise_term(void *arg)
{
	(void)arg;
	raise(SIGTERM);
}

TEST(SIGTERM_ends_every_loop)
{
	struct scene a = { .loop = new_loop() }, b = { .loop = new_loop() };

	a.wake = loop_wake_new(a.loop, raise_term, &a);
	b.wake = loop_wake_new(b.loop, count_it, &b);
	loop_wake(a.wake);
	CHECK_EQ(loop_run(a.loop), SIGTERM);
	CHECK_EQ(loop_run(b.loop), SIGTERM);
	loop_wake_free(a.wake);
	loop_wake_free(b.wake);
	loop_free(a.loop);
	loop_free(b.loop);
}

static void on_hup(void *arg, int sig)
{
	struct scene *s = arg;

	s->seen = sig;
	loop_stop(s->loop);
}

static void raise_hup(void *arg)
{
	(void)arg;
	raise(SIGHUP);
	raise(SIGPIPE); /* must be ignored */
}

TEST(a_signal_with_a_handler_calls_it_instead)
{
	struct scene s = { .loop = new_loop() };

	loop_on_signal(s.loop, SIGHUP, on_hup, &s);
	s.wake = loop_wake_new(s.loop, raise_hup, &s);
	loop_wake(s.wake);
	CHECK_EQ(loop_run(s.loop), 0);
	CHECK_EQ(s.seen, SIGHUP);
	loop_wake_free(s.wake);
	loop_free(s.loop);
}

static void raise_twice(void *arg)
{
	(void)arg;
	raise(SIGINT);
	raise(SIGTERM);
	_exit(0); /* not reached */
}

TEST(the_second_signal_ends_the_process_though_the_loop_is_stuck)
{
	int status = 0;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		struct loop *l = loop_new(NULL);
		struct loop_timer *t = loop_timer(l, raise_twice, NULL);

		loop_timer_in(t, 0);
		loop_run(l);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGTERM);
}

TEST(the_last_loop_gives_the_signals_back)
{
	struct sigaction how;
	struct loop *l = new_loop();

	CHECK_EQ(sigaction(SIGTERM, NULL, &how), 0);
	CHECK(how.sa_handler != SIG_DFL);
	loop_free(l);
	CHECK_EQ(sigaction(SIGTERM, NULL, &how), 0);
	CHECK(how.sa_handler == SIG_DFL);
}

TEST(one_loop_too_many_is_refused_with_the_limit)
{
	struct loop *many[33];
	struct err err = ERR_NONE;
	int n = 0;

	while (n < 33 && (many[n] = loop_new(&err)) != NULL)
		n++;
	CHECK_EQ(n, 32);
	CHECK_EQ(err.code, ERR_LIMIT);
	CHECK(strstr(err.text, "32") != NULL);
	while (n)
		loop_free(many[--n]);
}
