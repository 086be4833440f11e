/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/web/changes.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sys/sys.h"

enum { SETTLE_NS = 200000000 };

/* An entry, and when it was told. */
struct told {
	struct change entry;
	uint64_t at_ns;
	bool again; /* told to settle: not a reason to tell it once more */
};

struct changes {
	pthread_mutex_t lock;
	struct told *ring; /* owned */
	size_t capacity;
	uint64_t next;	  /* cursor of the next entry */
	uint64_t settled; /* entries below have been told again */
	void (*woken)(void *arg);
	void *arg;
};

struct changes *changes_new(size_t capacity, void (*woken)(void *arg), void *arg)
{
	struct changes *l = mem_alloc(sizeof(*l));

	assert(capacity > 0);
	pthread_mutex_init(&l->lock, NULL);
	l->ring = mem_array(capacity, sizeof(*l->ring));
	l->capacity = capacity;
	l->next = l->settled = 1;
	l->woken = woken;
	l->arg = arg;
	return l;
}

void changes_free(struct changes *l)
{
	if (!l)
		return;
	pthread_mutex_destroy(&l->lock);
	free(l->ring);
	free(l);
}

static uint64_t now(void)
{
	struct sys *sys = sys_host();

	return sys->mono_ns(sys);
}

static struct told *place(struct changes *l, uint64_t cursor)
{
	return &l->ring[cursor % l->capacity];
}

static void add_locked(struct changes *l, const struct change *e,
		       uint64_t at_ns, bool again)
{
	struct told *t = place(l, l->next);

	t->entry = *e;
	t->entry.cursor = l->next++;
	t->at_ns = at_ns;
	t->again = again;
}

static void add(struct changes *l, const struct change *e)
{
	uint64_t at = now();

	pthread_mutex_lock(&l->lock);
	add_locked(l, e, at, false);
	pthread_mutex_unlock(&l->lock);
	if (l->woken)
		l->woken(l->arg);
}

void changes_stream(struct changes *l, uint64_t stream)
{
	add(l, &(struct change){ .kind = CHANGE_STREAM, .stream = stream });
}

void changes_match(struct changes *l, uint64_t stream, int way, uint64_t start,
		uint64_t end, const char *pattern)
{
	struct change e = { .kind = CHANGE_MATCH,
				.stream = stream,
				.way = (uint8_t)way,
				.start = start,
				.end = end };

	snprintf(e.text, sizeof(e.text), "%s", pattern);
	add(l, &e);
}

void changes_status(struct changes *l, const char *status)
{
	struct change e = { .kind = CHANGE_STATUS };

	snprintf(e.text, sizeof(e.text), "%s", status);
	add(l, &e);
}

void changes_stats(struct changes *l)
{
	add(l, &(struct change){ .kind = CHANGE_STATS });
}

void changes_note(struct changes *l, uint64_t stream, const char *what)
{
	struct change e = { .kind = CHANGE_NOTE, .stream = stream };

	snprintf(e.text, sizeof(e.text), "%s", what);
	add(l, &e);
}

static uint64_t first_locked(const struct changes *l)
{
	return l->next - 1 > l->capacity ? l->next - l->capacity : 1;
}

struct changes_range changes_range(struct changes *l)
{
	struct changes_range r;

	pthread_mutex_lock(&l->lock);
	r = (struct changes_range){ first_locked(l), l->next };
	pthread_mutex_unlock(&l->lock);
	return r;
}

size_t changes_read(struct changes *l, uint64_t cursor, struct change *out,
		 size_t n)
{
	size_t got = 0;

	pthread_mutex_lock(&l->lock);
	if (cursor < first_locked(l))
		cursor = first_locked(l);
	while (got < n && cursor < l->next)
		out[got++] = place(l, cursor++)->entry;
	pthread_mutex_unlock(&l->lock);
	return got;
}

void changes_settle(struct changes *l, uint64_t now_ns)
{
	bool any = false;

	pthread_mutex_lock(&l->lock);
	if (l->settled < first_locked(l))
		l->settled = first_locked(l);
	while (l->settled < l->next) {
		const struct told *t = place(l, l->settled);
		const struct change e = t->entry;

		if (t->at_ns + SETTLE_NS > now_ns)
			break;
		l->settled++;
		if (e.kind == CHANGE_STREAM && !t->again) {
			add_locked(l, &e, now_ns, true);
			any = true;
		}
	}
	pthread_mutex_unlock(&l->lock);
	if (any && l->woken)
		l->woken(l->arg);
}
