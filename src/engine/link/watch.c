/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/link/watch.h"

#include <stdlib.h>

#include "base/mem.h"
#include "sys/loop.h"

struct entry {
	int fd;
	uint64_t number;
	int what;
	bool named; /* in this round */
	struct loop_watch *watch;
};

struct link_watch {
	struct loop *loop;
	void (*fn)(void *arg);
	void *arg;
	struct entry *at; /* owned */
	int n, room;
};

static void on_ready(void *arg, int fd, int what)
{
	struct link_watch *w = arg;

	(void)fd;
	(void)what;
	w->fn(w->arg);
}

struct link_watch *link_watch_new(struct loop *loop, void (*fn)(void *arg),
				  void *arg)
{
	struct link_watch *w = mem_alloc(sizeof(*w));

	w->loop = loop;
	w->fn = fn;
	w->arg = arg;
	return w;
}

void link_watch_free(struct link_watch *w)
{
	if (!w)
		return;
	for (int i = 0; i < w->n; i++)
		loop_watch_free(w->at[i].watch);
	free(w->at);
	free(w);
}

void link_watch_begin(struct link_watch *w)
{
	for (int i = 0; i < w->n; i++)
		w->at[i].named = false;
}

static struct entry *find(struct link_watch *w, int fd)
{
	for (int i = 0; i < w->n; i++)
		if (w->at[i].fd == fd)
			return &w->at[i];
	if (w->n == w->room) {
		w->room = w->room ? w->room * 2 : 16;
		w->at = mem_grow(w->at, (size_t)w->room * sizeof(*w->at));
	}
	w->at[w->n] = (struct entry){ .fd = fd };
	return &w->at[w->n++];
}

void link_watch_want(struct link_watch *w, int fd, uint64_t number, bool read,
		     bool write)
{
	int what = (read ? LOOP_READ : 0) | (write ? LOOP_WRITE : 0);
	struct entry *e;

	if (!what)
		return;
	e = find(w, fd);
	e->named = true;
	if (e->watch && e->number != number) {
		/* Closed and opened again: the kernel has forgotten it. */
		loop_watch_free(e->watch);
		e->watch = NULL;
	}
	if (!e->watch)
		e->watch = loop_watch(w->loop, fd, what, on_ready, w);
	else if (e->what != what)
		loop_watch_change(e->watch, what);
	e->number = number;
	e->what = what;
}

void link_watch_end(struct link_watch *w)
{
	for (int i = 0; i < w->n;) {
		if (w->at[i].named) {
			i++;
			continue;
		}
		loop_watch_free(w->at[i].watch);
		w->at[i] = w->at[--w->n];
	}
}
