/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live.h - what changed, in order, for whoever watches.
 *
 * Threads that follow streams say which one has changed; watchers ask for
 * everything behind a cursor.  The log has a fixed size: a watcher who was
 * away for too long is told so, and looks at the whole again.  Entries name
 * streams, they do not hold them: the reader shows each as it is when asked,
 * so telling costs a few nanoseconds and a burst of changes is one row.
 */
#ifndef ENGINE_WEB_LIVE_H
#define ENGINE_WEB_LIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct live;

enum live_kind { LIVE_STREAM, LIVE_MATCH, LIVE_STATUS, LIVE_STATS, LIVE_NOTE };

enum { LIVE_TEXT = 96 };

struct live_entry {
	uint64_t cursor; /* from 1 on, without holes */
	enum live_kind kind;
	uint64_t stream;
	/* LIVE_MATCH */
	uint8_t way;
	uint64_t start, end;
	/* Of the pattern ("regex:0 name"), the status, or what was noted. */
	char text[LIVE_TEXT];
};

/* `woken` is called, from any thread, when there is something to read. */
struct live *live_new(size_t capacity, void (*woken)(void *arg), void *arg);
void live_free(struct live *l); /* NULL is fine */

/* -- any thread -------------------------------------------------------------- */

void live_stream(struct live *l, uint64_t stream);
void live_match(struct live *l, uint64_t stream, int way, uint64_t start,
		uint64_t end, const char *pattern);
void live_status(struct live *l, const char *status);
void live_stats(struct live *l); /* numbers may be others now */
/* Somebody did something to a stream (0: to none): marks, rules, settings. */
void live_note(struct live *l, uint64_t stream, const char *what);

struct live_range {
	uint64_t first, next; /* cursors that can be read: [first, next) */
};
struct live_range live_range(struct live *l);

/* Copy at most n entries from `cursor` on; how many. */
size_t live_read(struct live *l, uint64_t cursor, struct live_entry *out,
		 size_t n);

/*
 * To be called a few times a second: a stream that went on changing after it
 * was last told is told once more, so that nobody keeps an old row.
 */
void live_settle(struct live *l, uint64_t now_ns);

#endif
