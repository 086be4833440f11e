/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.h - the wishes of a link's driver, kept in an event loop.
 *
 * After each run the driver names all it waits for, and whatever it does not
 * name any more is forgotten.  Descriptors must be real ones.
 */
#ifndef ENGINE_LINK_WATCH_H
#define ENGINE_LINK_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct link_watch;
struct loop;

/* `fn` is called once for each descriptor that is ready. */
struct link_watch *link_watch_new(struct loop *loop, void (*fn)(void *arg),
				  void *arg);
void link_watch_free(struct link_watch *w); /* NULL is fine */

void link_watch_begin(struct link_watch *w);
/* `number` tells two lives of one descriptor apart. */
void link_watch_want(struct link_watch *w, int fd, uint64_t number, bool read,
		     bool write);
void link_watch_end(struct link_watch *w);

#endif
