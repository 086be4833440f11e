/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/capture/capture.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/capture/capture_priv.h"
#include "engine/capture/filter.h"
#include "sys/interface.h"
#include "sys/sys.h"

static const char part[] = "capture";

enum {
	BATCH = 512,	/* packets given to the writer at a time */
	ROUNDS = 256,	/* batches before looking around */
	TURN_MS = 100,	/* longest sleep, so that a watchdog sees us */
	HOLD_MS = 2,	/* while queues wait for one another */
	DRAIN_MS = 5000 /* longest wait for the ring to be empty at the end */
};

/* -- what is written down ------------------------------------------------- */

static void note(struct capture *c, uint16_t kind, uint64_t value)
{
	uint64_t now = c->sys->wall_ns(c->sys);
	struct spool_note n = { .is = SPOOL_IS_NOTE,
				.reason = kind,
				.value = value,
				.begin_ns = now,
				.end_ns = now };

	if (c->writer && spool_writer_note(c->writer, &n) < 0)
		log_warn(part, "no room to note a change of %s in the spool",
			 c->cfg.ring.iface);
}

/* Losses that could not be written yet are kept and written later. */
static void write_losses(struct capture *c, struct loss *l, uint16_t reason)
{
	struct spool_note n = { .is = SPOOL_IS_DROP,
				.reason = reason,
				.value = l->packets,
				.begin_ns = l->begin_ns,
				.end_ns = l->end_ns };

	if (l->packets && c->writer && spool_writer_note(c->writer, &n) == 0)
		l->packets = 0;
}

static void add_losses(struct capture *c, struct loss *l, uint64_t packets)
{
	uint64_t now = c->sys->wall_ns(c->sys);

	if (packets) {
		if (l->packets == 0)
			l->begin_ns = c->counted_ns;
		l->end_ns = now;
		l->packets += packets;
	}
}

/* The only reader of the kernel's counters. */
static void count_losses(struct capture *c)
{
	struct ring_counts k = { 0 };
	struct err err = ERR_NONE;

	if (c->ring && ring_counts(c->ring, &k, &err) < 0)
		log_warn(part, "%s", err.text);
	add_losses(c, &c->kernel, k.drops);
	add_losses(c, &c->iface, atomic_exchange(&c->iface_losses, 0));
	c->counted_ns = c->sys->wall_ns(c->sys);
	atomic_fetch_add(&c->dropped_kernel, k.drops);
	atomic_fetch_add(&c->filtered, k.filtered);
	write_losses(c, &c->kernel, SPOOL_DROP_KERNEL);
	write_losses(c, &c->iface, SPOOL_DROP_INTERFACE);
}

/* -- the spool ------------------------------------------------------------ */

/* A spool for this link type is open behind a writer. */
static int have_writer(struct capture *c, uint32_t linktype, struct err *err)
{
	struct spool_writer *old = c->writer, *w;
	struct spool_config cfg = c->cfg.spool;
	struct spool *s;

	if (old && c->linktype == linktype)
		return 0;
	if (old) {
		log_warn(part,
			 "%s has link type %u now, it was %u: the source "
			 "goes on in its next spool",
			 c->cfg.ring.iface, linktype, c->linktype);
		pthread_mutex_lock(&c->lock);
		c->writer = NULL;
		pthread_mutex_unlock(&c->lock);
		if (spool_writer_stop(old, err) < 0)
			log_error(part, "%s", err->text);
		*err = ERR_NONE;
	}
	cfg.want.linktype = linktype;
	cfg.want.snaplen = c->cfg.ring.snaplen;
	s = spool_open(c->sys, &cfg, err);
	w = s ? spool_writer_start(s, &c->cfg.writer, err) : NULL;
	if (!w)
		return err->code;
	pthread_mutex_lock(&c->lock);
	c->writer = w;
	c->linktype = linktype;
	pthread_mutex_unlock(&c->lock);
	return 0;
}

/* -- the interface ----------------------------------------------------------
 */

static int have_filter(struct capture *c, uint32_t linktype, struct err *err)
{
	struct filter_config cfg = { .expression = c->cfg.expression,
				     .linktype = linktype,
				     .snaplen = c->cfg.ring.snaplen };
	struct exclude x;
	struct filter *f;

	if (c->filter && c->filter_linktype == linktype)
		return 0;
	pthread_mutex_lock(&c->lock);
	x = c->exclude;
	pthread_mutex_unlock(&c->lock);
	cfg.exclude = &x;
	f = filter_new(&cfg, err);
	if (!f)
		return err->code;
	filter_free(c->filter);
	c->filter = f;
	c->filter_linktype = linktype;
	return 0;
}

static void say_up(struct capture *c, bool up)
{
	if (c->at.up == up && c->noted)
		return;
	/* The spool begins with the interface up unless it says otherwise. */
	if (c->noted || !up || c->was_away)
		note(c, up ? SPOOL_NOTE_UP : SPOOL_NOTE_DOWN, 0);
	if (!up)
		atomic_fetch_add(&c->downs, 1);
	if (c->noted || !up)
		log_at(up ? LOG_INFO : LOG_WARN, part, "%s is %s",
		       c->cfg.ring.iface, up ? "up" : "down");
	c->noted = true;
	c->at.up = up;
	atomic_store(&c->up, up);
}

/* Open ring, filter and spool for the interface that is there now. */
static int open_interface(struct capture *c, struct err *err)
{
	struct interface i;
	uint32_t linktype;

	if (interface_find(c->cfg.ring.iface, &i, err) < 0)
		return err->code;
	linktype = ring_linktype(&i);
	if (have_filter(c, linktype, err) < 0)
		return err->code;
	c->counted_ns = c->sys->wall_ns(c->sys);
	c->ring = ring_open(&c->cfg.ring, &i, c->filter, err);
	if (!c->ring)
		return err->code;
	if (have_writer(c, linktype, err) < 0) {
		ring_close(c->ring);
		c->ring = NULL;
		return err->code;
	}
	c->at.index = i.index;
	atomic_store(&c->index, i.index);
	log_info(part, "capturing from %s, link type %u, ring %llu MiB",
		 c->cfg.ring.iface, linktype,
		 (unsigned long long)(c->cfg.ring.bytes >> 20));
	say_up(c, i.up);
	return 0;
}

static bool take_all(struct capture *c);

static void close_interface(struct capture *c)
{
	struct err err = ERR_NONE;

	if (!c->ring)
		return;
	if (ring_stop(c->ring, &err) < 0)
		log_warn(part, "%s", err.text);
	while (take_all(c))
		;
	count_losses(c);
	ring_close(c->ring);
	c->ring = NULL;
	atomic_store(&c->index, 0);
	c->was_away = true;
	c->backoff_ns = CAPTURE_BACKOFF_MIN_NS;
	c->retry_ns = 0;
}

/* Something may have changed: is it still the interface that we opened? */
static void look_at_interface(struct capture *c)
{
	struct err err = ERR_NONE;
	struct interface i = { 0 };
	int rc = interface_find(c->cfg.ring.iface, &i, &err);

	if (!c->ring) {
		c->retry_ns = 0;
		return;
	}
	if (ring_error(c->ring) == ENETDOWN)
		say_up(c, false);
	if (rc < 0 || i.index != c->at.index) {
		say_up(c, false);
		log_warn(part,
			 "interface %s is gone; capture goes on when it "
			 "is back",
			 c->cfg.ring.iface);
		close_interface(c);
	} else {
		say_up(c, i.up);
	}
}

static void try_again(struct capture *c)
{
	uint64_t now = c->sys->mono_ns(c->sys);
	struct err err = ERR_NONE;

	if (now < c->retry_ns)
		return;
	if (open_interface(c, &err) == 0) {
		c->complained[0] = 0;
		return;
	}
	c->retry_ns = now + c->backoff_ns;
	c->backoff_ns *= 2;
	if (c->backoff_ns > CAPTURE_BACKOFF_MAX_NS)
		c->backoff_ns = CAPTURE_BACKOFF_MAX_NS;
	/* One line a reason, not one a try. */
	if (strcmp(c->complained, err.text) != 0)
		log_warn(part, "%s; trying again", err.text);
	memcpy(c->complained, err.text, sizeof(c->complained));
}

/* -- packets -------------------------------------------------------------- */

static bool take_all(struct capture *c)
{
	bool some = false;

	for (int i = 0; i < ROUNDS; i++) {
		int n = ring_take(c->ring, c->batch, BATCH);

		if (n > 0) {
			int taken = spool_writer_put(c->writer, c->batch, n);

			atomic_fetch_add(&c->captured, (uint64_t)taken);
			some = true;
		}
		if (ring_lost(c->ring))
			count_losses(c);
		else if (n == 0)
			break;
	}
	if (some)
		spool_writer_flush(c->writer);
	return some;
}

static void change_filter(struct capture *c)
{
	struct err err = ERR_NONE;
	struct exclude x;
	struct filter *f;

	pthread_mutex_lock(&c->lock);
	x = c->exclude;
	pthread_mutex_unlock(&c->lock);
	if (!c->filter)
		return;
	f = filter_again(c->filter, &x, &err);
	if (f && c->ring && ring_filter(c->ring, f, &err) < 0) {
		/* Some queues may have it: begin anew with all of them. */
		close_interface(c);
	}
	if (err.code)
		log_error(part, "live links are captured too: %s", err.text);
	if (!f)
		return;
	filter_free(c->filter);
	c->filter = f;
	note(c, SPOOL_NOTE_FILTER, (uint64_t)x.n_links);
}

static void sleep_until_something(struct capture *c)
{
	struct pollfd fds[RING_QUEUES_MAX + 2] = {
		{ .fd = c->wake, .events = POLLIN },
		{ .fd = c->watch, .events = POLLIN },
	};
	bool hold = c->ring && ring_holds(c->ring);
	int n = 2 + (c->ring && !hold ? ring_pollfds(c->ring, fds + 2) : 0);
	bool look = false;

	if (poll(fds, (nfds_t)n, hold ? HOLD_MS : TURN_MS) <= 0)
		return;
	if (fds[0].revents) {
		uint64_t count;

		(void)!read(c->wake, &count, sizeof(count));
	}
	if (fds[1].revents) {
		interface_watch_drain(c->watch);
		look = true;
	}
	for (int i = 2; i < n; i++)
		look = look || (fds[i].revents & POLLERR);
	if (look)
		look_at_interface(c);
}

static void *run(void *arg)
{
	struct capture *c = arg;

	while (!atomic_load(&c->stop)) {
		uint64_t now = c->sys->mono_ns(c->sys);

		atomic_fetch_add(&c->beats, 1);
		if (atomic_exchange(&c->exclude_changed, false))
			change_filter(c);
		if (!c->ring)
			try_again(c);
		else if (take_all(c) && now < c->due_ns)
			continue;
		if (now >= c->due_ns) {
			count_losses(c);
			c->due_ns = now + CAPTURE_COUNT_NS;
		}
		sleep_until_something(c);
	}
	return NULL;
}

/*
 * The last block is handed over only when its time has come, and a queue may
 * wait for the others: go on until nothing has come for longer than that.
 */
static void drain(struct capture *c)
{
	uint64_t quiet_since = c->sys->mono_ns(c->sys);
	uint64_t end = quiet_since + DRAIN_MS * UINT64_C(1000000);
	uint64_t quiet = c->cfg.ring.queues > 1
				 ? 2 * (uint64_t)RING_WINDOW_NS
				 : 10 * RING_RETIRE_MS * UINT64_C(1000000);
	struct err err = ERR_NONE;

	if (!c->ring)
		return;
	if (ring_stop(c->ring, &err) < 0)
		log_warn(part, "%s", err.text);
	for (uint64_t now = quiet_since; now < end && now < quiet_since + quiet;
	     now = c->sys->mono_ns(c->sys)) {
		if (take_all(c))
			quiet_since = now;
		else
			poll(NULL, 0, HOLD_MS);
	}
	close_interface(c);
}

/* -- for the other thread ---------------------------------------------------
 */

static void wake(struct capture *c)
{
	uint64_t one = 1;

	(void)!write(c->wake, &one, sizeof(one));
}

static int free_capture(struct capture *c, struct err *err)
{
	int rc = 0;

	ring_close(c->ring);
	filter_free(c->filter);
	if (c->writer)
		rc = spool_writer_stop(c->writer, err);
	capture_side_close(c);
	if (c->wake >= 0)
		close(c->wake);
	if (c->watch >= 0)
		close(c->watch);
	pthread_mutex_destroy(&c->lock);
	free(c->batch);
	free(c);
	return rc;
}

static void say_waiting(const struct capture *c)
{
	struct buf names = { 0 };

	interface_names(&names);
	log_warn(part,
		 "there is no interface named %s yet; waiting for it "
		 "(there are: %.*s)",
		 c->cfg.ring.iface, (int)names.len, (const char *)names.p);
	buf_release(&names);
}

static int begin(struct capture *c, struct err *err)
{
	c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->watch = interface_watch();
	if (c->wake < 0)
		return err_sys(err, errno, "cannot make an eventfd");
	if (c->watch < 0)
		return err_sys(err, -c->watch,
			       "cannot watch the interfaces for changes");
	capture_side_links(c);
	if (open_interface(c, err) == 0)
		return 0;
	if (err->code == ERR_AGAIN) {
		log_warn(part, "%s: it is down; waiting for it", err->text);
	} else if (err->code == ERR_GONE) {
		say_waiting(c);
		memcpy(c->complained, err->text, sizeof(c->complained));
	} else {
		return err->code;
	}
	c->was_away = true;
	*err = ERR_NONE;
	return 0;
}

struct capture *capture_start(struct sys *sys, const struct capture_config *cfg,
			      struct err *err)
{
	struct capture *c = mem_alloc(sizeof(*c));
	struct err scrap = ERR_NONE;
	int number;

	c->cfg = *cfg;
	c->sys = sys;
	c->exclude = cfg->exclude;
	c->wake = c->watch = c->stats_file = -1;
	c->batch = mem_array(BATCH, sizeof(*c->batch));
	c->backoff_ns = CAPTURE_BACKOFF_MIN_NS;
	pthread_mutex_init(&c->lock, NULL);
	if (begin(c, err) < 0) {
		free_capture(c, &scrap);
		return NULL;
	}
	number = pthread_create(&c->thread, NULL, run, c);
	if (number) {
		err_sys(err, number, "cannot start the capture thread");
		free_capture(c, &scrap);
		return NULL;
	}
	pthread_setname_np(c->thread, "ring");
	return c;
}

int capture_stop(struct capture *c, struct capture_status *last,
		 struct err *err)
{
	atomic_store(&c->stop, true);
	wake(c);
	pthread_join(c->thread, NULL);
	/* The thread has ended: what it owned is ours now. */
	drain(c);
	capture_side_stats(c);
	capture_status(c, last);
	return free_capture(c, err);
}

void capture_side_exclude(struct capture *c, const struct exclude *x)
{
	pthread_mutex_lock(&c->lock);
	c->exclude = *x;
	pthread_mutex_unlock(&c->lock);
	atomic_store(&c->exclude_changed, true);
	wake(c);
}

void capture_status(struct capture *c, struct capture_status *s)
{
	*s = (struct capture_status){
		.captured = atomic_load(&c->captured),
		.dropped_kernel = atomic_load(&c->dropped_kernel),
		.dropped_interface = atomic_load(&c->dropped_interface),
		.filtered = atomic_load(&c->filtered),
		.downs = atomic_load(&c->downs),
		.links = c->n_links,
		.up = atomic_load(&c->up),
	};
	pthread_mutex_lock(&c->lock);
	s->linktype = c->linktype;
	s->spooling = c->writer != NULL;
	if (c->writer)
		spool_writer_status(c->writer, &s->writer);
	pthread_mutex_unlock(&c->lock);
}

bool capture_moves(struct capture *c)
{
	struct capture_status s;
	uint64_t beats = atomic_load(&c->beats);
	bool moves;

	capture_status(c, &s);
	/* Bytes staged just now are on their way; only those that were there
	   last time too should have become durable since. */
	moves = beats != c->seen_beats &&
		(!s.writer.staged_bytes || !c->seen_staged ||
		 s.writer.spool.head != c->seen_head);
	c->seen_beats = beats;
	c->seen_head = s.writer.spool.head;
	c->seen_staged = s.writer.staged_bytes != 0;
	return moves;
}
