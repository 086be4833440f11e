/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop.h - one thread's event loop: descriptors, timers, signals, wake-ups.
 *
 * A thin face on libevent, so that engines need four verbs and tests need no
 * loop.  Everything belongs to the loop's thread, except loop_stop() and
 * loop_wake().  A callback may free its own or any other watch.
 */
#ifndef SYS_LOOP_H
#define SYS_LOOP_H

#include <stdint.h>

struct err;
struct event_base;
struct loop;
struct loop_watch;
struct loop_timer;

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

/*
 * SIGINT and SIGTERM end loop_run() of every loop; the second one ends the
 * process.  SIGPIPE is ignored.  At most 32 loops at a time, else ERR_LIMIT.
 */
struct loop *loop_new(struct err *err);
void loop_free(struct loop *l);

/* Until a stop, a signal or nothing is left to wait for.  The number of the
 * signal that ended it, or 0. */
int loop_run(struct loop *l);

/* From any thread or callback. */
void loop_stop(struct loop *l);

/* Call fn for each arrival of `signal` instead of ending (SIGHUP, SIGCHLD). */
void loop_on_signal(struct loop *l, int signal, void (*fn)(void *arg, int sig),
		    void *arg);

typedef void (*loop_watch_fn)(void *arg, int fd, int what);

/*
 * Level-triggered; `what` of LOOP_READ | LOOP_WRITE may be changed, 0 rests.
 * NULL where the descriptor cannot be waited for (a regular file).
 */
struct loop_watch *loop_watch(struct loop *l, int fd, int what,
			      loop_watch_fn fn, void *arg);
void loop_watch_change(struct loop_watch *w, int what);
void loop_watch_free(struct loop_watch *w); /* does not close; NULL is fine */

/* A timer that is not running; start it as often as wanted. */
struct loop_timer *loop_timer(struct loop *l, void (*fn)(void *arg), void *arg);
void loop_timer_in(struct loop_timer *t, uint64_t ns); /* once, from now */
void loop_timer_cancel(struct loop_timer *t);
void loop_timer_free(struct loop_timer *t);

/*
 * loop_wake() runs fn(arg) on the loop's thread soon, once for any number of
 * calls before it; any thread may call.  NULL when descriptors have run out.
 */
struct loop_wake;
struct loop_wake *loop_wake_new(struct loop *l, void (*fn)(void *arg),
				void *arg);
void loop_wake(struct loop_wake *w);
void loop_wake_free(struct loop_wake *w);

/* For libraries that bring their own events (evhttp). */
struct event_base *loop_base(struct loop *l);

#endif
