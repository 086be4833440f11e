/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/analyze_api.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "cmd/analyze_health.h"
#include "codec/json.h"
#include "engine/analyze/analyze.h"
#include "engine/match/match.h"
#include "engine/web/changes.h"

static const uint64_t tell_every_ns = 100000000;

struct api {
	struct web *web;
	struct changes *changes;
	struct analyze *analyze;
	int slot; /* in a stream's owners: when it was told last */
	pthread_mutex_t lock;
	struct buf stats, queue; /* JSON, as they were last */
};

/* A few milliseconds coarse, and as cheap as reading memory. */
static uint64_t about_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void tell(struct api *a, struct stream *s)
{
	s->owner[a->slot] = (void *)(uintptr_t)about_now();
	changes_stream(a->changes, s->id);
}

static void on_opened(void *self, struct stream *s)
{
	tell(self, s);
}

static void on_packet(void *self, struct stream *s, int way,
		      const struct flow_packet *p)
{
	struct api *a = self;
	uint64_t last = (uint64_t)(uintptr_t)s->owner[a->slot];

	(void)way;
	(void)p;
	if (about_now() - last >= tell_every_ns)
		tell(a, s);
}

static void on_match(void *self, struct stream *s, int way,
		     const struct match *m)
{
	static const char *const kinds[] = { "substring", "regex", "binary" };
	struct api *a = self;
	char pattern[CHANGE_TEXT];

	snprintf(pattern, sizeof(pattern), "%s:%" PRIu32 " %s",
		 kinds[m->pattern->kind], m->pattern->id, m->pattern->name);
	changes_match(a->changes, s->id, way, m->start, m->end, pattern);
	tell(a, s);
}

/* State, kind or service: worth a word at once. */
static void on_changed(void *self, struct stream *s)
{
	tell(self, s);
}

static void on_closed(void *self, struct stream *s)
{
	tell(self, s);
}

/* -- numbers ------------------------------------------------------------------- */

void api_numbers(struct api *a, const struct health *health)
{
	const struct analyze_counters *c = &health->now.analyze;
	struct buf b = { 0 };

	json_begin(&b, NULL);
	health_put(health, &b);
	json_end(&b);
	pthread_mutex_lock(&a->lock);
	buf_release(&a->stats);
	a->stats = b;
	b = a->queue;
	buf_clear(&b);
	json_begin(&b, NULL);
	json_uint(&b, "workers", c->workers);
	json_uint(&b, "max_len", c->queue_packets);
	json_uint(&b, "capacity", c->queue_room);
	json_uint(&b, "dropped_packets", c->queue_dropped);
	json_uint(&b, "busiest_worker", c->busiest);
	json_uint(&b, "busiest_worker_packets", c->busiest_packets);
	json_end(&b);
	a->queue = b;
	pthread_mutex_unlock(&a->lock);
}

/* On the page's thread. */
static void put_numbers(void *arg, struct buf *b)
{
	struct api *a = arg;

	pthread_mutex_lock(&a->lock);
	json_raw(b, "stats", a->stats.len ? buf_bytes(&a->stats)
					  : bytes_of_text("{}"));
	json_raw(b, "queue", a->queue.len ? buf_bytes(&a->queue)
					  : bytes_of_text("{}"));
	pthread_mutex_unlock(&a->lock);
}

/* -- life ------------------------------------------------------------------------- */

static int add_sinks(struct api *a, struct err *err)
{
	const struct stream_sink sink = {
		.self = a,
		.opened = on_opened,
		.packet = on_packet,
		.match = on_match,
		.changed = on_changed,
		.closed = on_closed,
	};

	for (unsigned i = 0; i < analyze_workers(a->analyze); i++) {
		a->slot = analyze_add_sink(a->analyze, i, &sink);
		if (a->slot < 0)
			return err_set(err, ERR_LIMIT,
				       "there is no place for another sink");
	}
	return 0;
}

struct api *api_start(struct analyze *analyze, const struct web_config *cfg,
		      struct err *err)
{
	struct api *a = mem_alloc(sizeof(*a));
	struct web_config with = *cfg;

	a->analyze = analyze;
	pthread_mutex_init(&a->lock, NULL);
	with.numbers = put_numbers;
	with.arg = a;
	a->web = web_start(&with, err);
	if (a->web) {
		a->changes = web_changes(a->web);
		if (add_sinks(a, err) == 0)
			return a;
	}
	api_stop(a);
	return NULL;
}

const char *api_address(const struct api *a)
{
	return web_address(a->web);
}

void api_status(struct api *a, const char *status)
{
	if (a)
		web_run_status(a->web, status);
}

void api_stop(struct api *a)
{
	if (!a)
		return;
	web_stop(a->web);
	pthread_mutex_destroy(&a->lock);
	buf_release(&a->stats);
	buf_release(&a->queue);
	free(a);
}
