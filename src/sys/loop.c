/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop.c - libevent's epoll and timers, our own signals and wake-ups.
 *
 * libevent gives signals to one base of the process only, and needs locks in
 * every base for its wake-ups.  Ours go through one eventfd a loop: a signal
 * handler or another thread leaves a mark and writes to it.
 */
#include "sys/loop.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

enum { LOOPS_MAX = 32, SIGNALS = 64 };

/*
 * How others reach a loop.  Its descriptor stays open for ever and is handed
 * to the next loop: a handler that still runs in some thread can then never
 * write into a file that has got the same number.
 */
struct bell {
	atomic_int fd; /* one more than the descriptor; 0: none */
	bool taken;    /* under bells_lock */
	atomic_bool stop;
	atomic_uint_fast64_t due; /* signals, bit n - 1 for signal n */
};

struct handler {
	void (*fn)(void *arg, int sig);
	void *arg;
};

struct loop {
	struct event_base *base;
	struct event *ringing;
	struct bell *bell;
	struct handler handlers[SIGNALS];
	int n_handlers;
	int ended_by;
};

struct loop_watch {
	struct event *ev;
	struct event_base *base;
	int fd;
	loop_watch_fn fn;
	void *arg;
};

struct loop_timer {
	struct event *ev;
	void (*fn)(void *arg);
	void *arg;
};

struct loop_wake {
	int fd;
	struct loop_watch *watch;
	void (*fn)(void *arg);
	void *arg;
};

static pthread_mutex_t bells_lock = PTHREAD_MUTEX_INITIALIZER;
static struct bell bells[LOOPS_MAX];
static int bells_taken;			 /* under bells_lock */
static struct sigaction before[SIGNALS]; /* under bells_lock */
static bool caught[SIGNALS];		 /* under bells_lock */

/* -- bells -------------------------------------------------------------- */

static void ring(struct bell *bell)
{
	uint64_t one = 1;
	int fd = atomic_load(&bell->fd);
	ssize_t done = 0;

	if (fd > 0)
		done = write(fd - 1, &one, sizeof(one));
	(void)done; /* only a full counter fails, and that one rings already */
}

static void on_signal(int sig)
{
	int kept = errno;

	/* A second Ctrl-C must work even when the loop is stuck. */
	if (sig == SIGINT || sig == SIGTERM) {
		signal(SIGINT, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
	}
	for (int i = 0; i < LOOPS_MAX; i++) {
		atomic_fetch_or(&bells[i].due, UINT64_C(1) << (sig - 1));
		ring(&bells[i]);
	}
	errno = kept;
}

static void catch_locked(int sig)
{
	struct sigaction how = { .sa_flags = SA_RESTART };
	struct sigaction old;

	how.sa_handler = sig == SIGPIPE ? SIG_IGN : on_signal;
	sigfillset(&how.sa_mask);
	sigaction(sig, &how, &old);
	if (!caught[sig - 1])
		before[sig - 1] = old;
	caught[sig - 1] = true;
}

static void uncatch_all_locked(void)
{
	for (int i = 0; i < SIGNALS; i++) {
		if (caught[i])
			sigaction(i + 1, &before[i], NULL);
		caught[i] = false;
	}
}

static struct bell *free_bell_locked(struct err *err)
{
	for (int i = 0; i < LOOPS_MAX; i++) {
		struct bell *bell = &bells[i];
		int fd;

		if (bell->taken)
			continue;
		if (atomic_load(&bell->fd))
			return bell;
		fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (fd < 0) {
			err_sys(err, errno, "a wake-up for an event loop");
			return NULL;
		}
		atomic_store(&bell->fd, fd + 1);
		return bell;
	}
	err_set(err, ERR_LIMIT, "more than %d event loops", LOOPS_MAX);
	return NULL;
}

static struct bell *bell_take(struct err *err)
{
	struct bell *bell;

	pthread_mutex_lock(&bells_lock);
	bell = free_bell_locked(err);
	if (bell) {
		bell->taken = true;
		bells_taken++;
		atomic_store(&bell->stop, false);
		atomic_store(&bell->due, 0);
		catch_locked(SIGINT);
		catch_locked(SIGTERM);
		catch_locked(SIGPIPE);
	}
	pthread_mutex_unlock(&bells_lock);
	return bell;
}

static void bell_give_back(struct bell *bell)
{
	pthread_mutex_lock(&bells_lock);
	bell->taken = false;
	if (--bells_taken == 0)
		uncatch_all_locked();
	pthread_mutex_unlock(&bells_lock);
}

/* Eat what an eventfd counted. */
static void drain(int fd)
{
	uint64_t count;
	ssize_t n = read(fd, &count, sizeof(count));

	(void)n;
}

/* -- the loop ----------------------------------------------------------- */

static void on_bell(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;
	uint64_t due;

	(void)what;
	drain(fd);
	due = atomic_exchange(&l->bell->due, 0);
	for (int i = 0; i < SIGNALS; i++) {
		if (!(due >> i & 1))
			continue;
		if (l->handlers[i].fn)
			l->handlers[i].fn(l->handlers[i].arg, i + 1);
		else if (i + 1 == SIGINT || i + 1 == SIGTERM)
			l->ended_by = i + 1;
	}
}

/* It would print what our callers already learn from a return value. */
static void on_event_log(int severity, const char *text)
{
	(void)severity;
	log_debug("loop", "%s", text);
}

/* Timers run from the moment they are set, with the kernel's own precision. */
static struct event_base *new_base(void)
{
	struct event_config *cfg = event_config_new();
	struct event_base *base = NULL;

	if (!cfg)
		return NULL;
	event_set_log_callback(on_event_log);
	event_config_set_flag(cfg, EVENT_BASE_FLAG_NO_CACHE_TIME |
					   EVENT_BASE_FLAG_PRECISE_TIMER);
	base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	return base;
}

struct loop *loop_new(struct err *err)
{
	struct loop *l = mem_alloc(sizeof(*l));

	l->bell = bell_take(err);
	if (!l->bell) {
		loop_free(l);
		return NULL;
	}
	l->base = new_base();
	if (l->base)
		l->ringing = event_new(l->base, atomic_load(&l->bell->fd) - 1,
				       EV_READ | EV_PERSIST, on_bell, l);
	if (!l->ringing || event_add(l->ringing, NULL) < 0) {
		err_sys(err, errno, "an event loop");
		loop_free(l);
		return NULL;
	}
	return l;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	if (l->ringing)
		event_free(l->ringing);
	if (l->base)
		event_base_free(l->base);
	if (l->bell)
		bell_give_back(l->bell);
	free(l);
}

/* Anything but our own bell. */
static bool has_work(const struct loop *l)
{
	return l->n_handlers > 0 ||
	       event_base_get_num_events(l->base,
					 EVENT_BASE_COUNT_ADDED |
						 EVENT_BASE_COUNT_ACTIVE) > 1;
}

int loop_run(struct loop *l)
{
	int sig;

	while (!atomic_load(&l->bell->stop) && !l->ended_by && has_work(l))
		if (event_base_loop(l->base, EVLOOP_ONCE) < 0)
			break;
	atomic_store(&l->bell->stop, false);
	sig = l->ended_by;
	l->ended_by = 0;
	return sig;
}

void loop_stop(struct loop *l)
{
	atomic_store(&l->bell->stop, true);
	ring(l->bell);
}

void loop_on_signal(struct loop *l, int signal, void (*fn)(void *arg, int sig),
		    void *arg)
{
	struct handler *h;

	assert(signal >= 1 && signal <= SIGNALS);
	h = &l->handlers[signal - 1];
	if (!h->fn)
		l->n_handlers++;
	*h = (struct handler){ fn, arg };
	pthread_mutex_lock(&bells_lock);
	catch_locked(signal);
	pthread_mutex_unlock(&bells_lock);
}

struct event_base *loop_base(struct loop *l)
{
	return l->base;
}

/* -- descriptors -------------------------------------------------------- */

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct loop_watch *w = arg;
	int seen = (what & EV_READ ? LOOP_READ : 0) |
		   (what & EV_WRITE ? LOOP_WRITE : 0);

	w->fn(w->arg, fd, seen); /* may free w */
}

static int arm(struct loop_watch *w, int what)
{
	short wanted = (short)((what & LOOP_READ ? EV_READ : 0) |
			       (what & LOOP_WRITE ? EV_WRITE : 0));

	event_assign(w->ev, w->base, w->fd, wanted | EV_PERSIST, on_watch, w);
	return wanted ? event_add(w->ev, NULL) : 0;
}

struct loop_watch *loop_watch(struct loop *l, int fd, int what,
			      loop_watch_fn fn, void *arg)
{
	struct loop_watch *w = mem_alloc(sizeof(*w));

	*w = (struct loop_watch){
		.base = l->base, .fd = fd, .fn = fn, .arg = arg
	};
	w->ev = mem_alloc(event_get_struct_event_size());
	if (arm(w, what) < 0) {
		free(w->ev);
		free(w);
		return NULL;
	}
	return w;
}

void loop_watch_change(struct loop_watch *w, int what)
{
	event_del(w->ev);
	arm(w, what);
}

void loop_watch_free(struct loop_watch *w)
{
	if (!w)
		return;
	event_del(w->ev);
	free(w->ev);
	free(w);
}

/* -- timers ------------------------------------------------------------- */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct loop_timer *t = arg;

	(void)fd;
	(void)what;
	t->fn(t->arg); /* may free t */
}

struct loop_timer *loop_timer(struct loop *l, void (*fn)(void *arg), void *arg)
{
	struct loop_timer *t = mem_alloc(sizeof(*t));

	*t = (struct loop_timer){ .fn = fn, .arg = arg };
	t->ev = mem_alloc(event_get_struct_event_size());
	event_assign(t->ev, l->base, -1, 0, on_timer, t);
	return t;
}

void loop_timer_in(struct loop_timer *t, uint64_t ns)
{
	/* Rounded up: a timer that comes early makes its owner spin. */
	uint64_t us = ns / 1000 + (ns % 1000 != 0);
	struct timeval in = { .tv_sec = (time_t)(us / 1000000),
			      .tv_usec = (suseconds_t)(us % 1000000) };

	event_add(t->ev, &in);
}

void loop_timer_cancel(struct loop_timer *t)
{
	event_del(t->ev);
}

void loop_timer_free(struct loop_timer *t)
{
	if (!t)
		return;
	event_del(t->ev);
	free(t->ev);
	free(t);
}

/* -- wake-ups ----------------------------------------------------------- */

static void on_wake(void *arg, int fd, int what)
{
	struct loop_wake *w = arg;

	(void)what;
	drain(fd);
	w->fn(w->arg); /* may free w */
}

struct loop_wake *loop_wake_new(struct loop *l, void (*fn)(void *arg),
				void *arg)
{
	struct loop_wake *w = mem_alloc(sizeof(*w));

	*w = (struct loop_wake){ .fn = fn, .arg = arg };
	w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->fd >= 0)
		w->watch = loop_watch(l, w->fd, LOOP_READ, on_wake, w);
	if (!w->watch) {
		loop_wake_free(w);
		return NULL;
	}
	return w;
}

void loop_wake(struct loop_wake *w)
{
	uint64_t one = 1;
	ssize_t done = write(w->fd, &one, sizeof(one));

	(void)done; /* only a full counter fails: it wakes already */
}

void loop_wake_free(struct loop_wake *w)
{
	if (!w)
		return;
	loop_watch_free(w->watch);
	if (w->fd >= 0)
		close(w->fd);
	free(w);
}
