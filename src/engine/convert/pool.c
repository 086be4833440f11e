/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.c - processes of one converter, and who may use which.
 *
 * A process is used by one caller at a time, who has it to himself between
 * take() and give_back(); the lock covers the table, not the talk.  A thread
 * of the pool's own starts the processes: the kernel ends a child with the
 * thread that made it, and callers come and go.
 */
#include "engine/convert/convert_priv.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "base/words.h"

enum slot_state { SLOT_FREE, SLOT_USED, SLOT_WANTED, SLOT_STARTED };

struct slot {
	enum slot_state state;
	struct process process;
	unsigned failures;   /* in a row */
	uint64_t not_before; /* monotonic; a start is to wait for that */
	struct err err;	     /* of a start that failed, or of the last stream */
};

struct converter {
	struct converter_config cfg;
	struct words words;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a slot's state, or stop */
	struct slot slots[CONVERT_PROCESSES_MAX];
	struct converter_counters counters;
	pthread_t starter;
	bool stop;
};

const struct converter_config *converter_config(const struct converter *c)
{
	return &c->cfg;
}

const char *convert_state_name(enum convert_state state)
{
	static const char *const names[] = { "done",   "refused",  "crashed",
					     "hung",   "too_much", "nonsense",
					     "resting" };

	return names[state];
}

/* -- the thread that starts processes ----------------------------- */

static struct slot *slot_in(struct converter *c, enum slot_state state)
{
	for (unsigned i = 0; i < c->cfg.processes; i++)
		if (c->slots[i].state == state)
			return &c->slots[i];
	return NULL;
}

static void start_process(struct converter *c, struct slot *s)
{
	struct child_limits limits = { .memory_max = c->cfg.memory_max,
				       .file_max = 16 << 20,
				       .files_max = 256 };
	struct process *p = &s->process;

	s->err = ERR_NONE;
	buf_clear(&p->in);
	p->words[0] = '\0';
	p->n_line = 0;
	p->running = child_start_apart(&p->child, c->words.at, &limits,
				       &s->err) == 0;
	p->fresh = true;
	p->silent = p->spoilt = false;
}

static void *run_starter(void *arg)
{
	struct converter *c = arg;

	pthread_mutex_lock(&c->lock);
	while (!c->stop) {
		struct slot *s = slot_in(c, SLOT_WANTED);

		if (!s) {
			pthread_cond_wait(&c->changed, &c->lock);
			continue;
		}
		/* WANTED and STARTED keep everybody else away from it. */
		pthread_mutex_unlock(&c->lock);
		start_process(c, s);
		pthread_mutex_lock(&c->lock);
		s->state = SLOT_STARTED;
		c->counters.started += s->process.running;
		c->counters.running += s->process.running;
		pthread_cond_broadcast(&c->changed);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* -- taking and giving back --------------------------------------- */

static void wait_until(struct converter *c, uint64_t ns)
{
	struct timespec t = { (time_t)(ns / 1000000000),
			      (long)(ns % 1000000000) };

	pthread_cond_timedwait(&c->changed, &c->lock, &t);
}

/* One that runs, else one that may be started, else NULL and until when. */
static struct slot *find_slot(struct converter *c, uint64_t now, uint64_t *next,
			      const struct slot **resting)
{
	struct slot *found = NULL;

	*next = UINT64_MAX;
	*resting = NULL;
	for (unsigned i = 0; i < c->cfg.processes; i++) {
		struct slot *s = &c->slots[i];

		if (s->state != SLOT_FREE)
			continue;
		if (s->process.running)
			return s;
		if (s->not_before <= now) {
			found = found ? found : s;
		} else if (s->not_before < *next) {
			*next = s->not_before;
			*resting = s;
		}
	}
	return found;
}

static struct slot *refuse(const struct slot *resting, uint64_t now,
			   struct convert_answer *a)
{
	a->state = CONVERT_RESTING;
	if (resting)
		err_set(&a->err, ERR_BUSY,
			"the converter failed %u times in a row and rests for "
			"%.1f s more; last: %.300s",
			resting->failures,
			(double)(resting->not_before - now) / 1e9,
			resting->err.text);
	else
		err_set(&a->err, ERR_BUSY,
			"no process of the converter was free in time");
	return NULL;
}

/* Others use all of them, or are at rest: is it worth to wait? */
static bool all_rest(const struct converter *c)
{
	for (unsigned i = 0; i < c->cfg.processes; i++)
		if (c->slots[i].state != SLOT_FREE)
			return false;
	return true;
}

static struct slot *take_locked(struct converter *c, uint64_t until,
				struct convert_answer *a)
{
	const struct slot *resting;
	struct slot *s;
	uint64_t next, now;

	for (;;) {
		now = convert_now_ns();
		s = find_slot(c, now, &next, &resting);
		if (s)
			break;
		if (now >= until || (all_rest(c) && next > until))
			return refuse(resting, now, a);
		wait_until(c, next < until ? next : until);
	}
	if (s->process.running) {
		s->state = SLOT_USED;
		return s;
	}
	s->state = SLOT_WANTED;
	pthread_cond_broadcast(&c->changed);
	while (s->state == SLOT_WANTED)
		pthread_cond_wait(&c->changed, &c->lock);
	s->state = SLOT_USED;
	return s;
}

static void forget_process(struct converter *c, struct slot *s)
{
	struct process *p = &s->process;

	if (!p->running)
		return;
	process_stop(p, STOP_MS);
	child_release(&p->child);
	buf_release(&p->in);
	p->running = false;
	pthread_mutex_lock(&c->lock);
	c->counters.running--;
	pthread_mutex_unlock(&c->lock);
}

static void rest(const struct converter *c, struct slot *s)
{
	uint64_t wait = c->cfg.backoff_ns;

	for (unsigned i = 1; i < s->failures && wait < c->cfg.backoff_max_ns;
	     i++)
		wait *= 2;
	if (wait > c->cfg.backoff_max_ns)
		wait = c->cfg.backoff_max_ns;
	/* The first failure may be the stream's: the next one tells. */
	s->not_before = s->failures++ ? convert_now_ns() + wait : 0;
}

static void give_back(struct converter *c, struct slot *s,
		      const struct convert_answer *a)
{
	bool well = a->state == CONVERT_DONE || a->state == CONVERT_REFUSED;

	if (!well || s->process.spoilt)
		forget_process(c, s);
	pthread_mutex_lock(&c->lock);
	if (well) {
		s->failures = 0;
		s->not_before = 0;
	} else {
		rest(c, s);
		s->err = a->err;
	}
	s->state = SLOT_FREE;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

/* -- one stream
 * ---------------------------------------------------------------- */

/* Begin anew with a process that no other stream has spoilt. */
static void replace(struct converter *c, struct slot *s)
{
	forget_process(c, s);
	pthread_mutex_lock(&c->lock);
	s->state = SLOT_WANTED;
	pthread_cond_broadcast(&c->changed);
	while (s->state == SLOT_WANTED)
		pthread_cond_wait(&c->changed, &c->lock);
	s->state = SLOT_USED;
	pthread_mutex_unlock(&c->lock);
}

static void ask(struct converter *c, struct slot *s,
		const struct convert_request *r, uint64_t until,
		struct convert_answer *a)
{
	if (!s->process.running) {
		a->state = CONVERT_CRASHED;
		a->err = s->err;
		return;
	}
	process_ask(&s->process, r, c->cfg.output_max, until, a);
}

/*
 * What a process did between two streams, or because of the one before, is not
 * the fault of this one: it gets another try with a fresh process.
 */
static bool deserves_another(const struct process *p, bool was_fresh,
			     const struct convert_answer *a)
{
	return !was_fresh && p->running &&
	       (a->state == CONVERT_CRASHED || a->state == CONVERT_NONSENSE);
}

static void count(struct converter *c, const struct convert_answer *a)
{
	struct converter_counters *n = &c->counters;
	uint64_t *const each[] = { &n->done,   &n->refused,  &n->crashed,
				   &n->hung,   &n->too_much, &n->nonsense,
				   &n->resting };

	pthread_mutex_lock(&c->lock);
	n->streams++;
	++*each[a->state];
	pthread_mutex_unlock(&c->lock);
}

enum convert_state converter_run(struct converter *c,
				 const struct convert_request *r,
				 struct convert_answer *a)
{
	uint64_t until = convert_now_ns() + c->cfg.stream_ns;
	struct slot *s;
	bool fresh;

	*a = (struct convert_answer){ .err = ERR_NONE };
	pthread_mutex_lock(&c->lock);
	s = take_locked(c, until, a);
	pthread_mutex_unlock(&c->lock);
	if (s) {
		if (s->process.running && !s->process.fresh &&
		    !process_is_idle(&s->process))
			replace(c, s);
		fresh = s->process.fresh;
		ask(c, s, r, until, a);
		if (deserves_another(&s->process, fresh, a)) {
			convert_answer_release(a);
			replace(c, s);
			ask(c, s, r, until, a);
		}
		give_back(c, s, a);
	}
	count(c, a);
	return a->state;
}

void converter_counters(struct converter *c, struct converter_counters *n)
{
	pthread_mutex_lock(&c->lock);
	*n = c->counters;
	pthread_mutex_unlock(&c->lock);
}

/* -- making and ending
 * ------------------------------------------------------------ */

struct converter *converter_new(const struct converter_config *cfg,
				struct err *err)
{
	struct converter *c = mem_alloc(sizeof(*c));
	pthread_condattr_t attr;
	int rc;

	c->cfg = *cfg;
	if (words_split(&c->words, cfg->command, err) == 0 && !c->words.n)
		err_set(err, ERR_USAGE, "the converter's command is empty");
	if (err->code) {
		words_release(&c->words);
		free(c);
		return NULL;
	}
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->changed, &attr);
	pthread_condattr_destroy(&attr);
	rc = pthread_create(&c->starter, NULL, run_starter, c);
	if (rc) {
		err_sys(err, rc, "a thread for a converter");
		words_release(&c->words);
		free(c);
		return NULL;
	}
	return c;
}

void converter_free(struct converter *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < c->cfg.processes; i++)
		forget_process(c, &c->slots[i]);
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->starter, NULL);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	words_release(&c->words);
	free(c);
}
