/* SPDX-License-Identifier: Apache-2.0 */
/*
 * changes.h - what changed, in order, for whoever watches.
 *
 * Threads that follow streams say which one has changed; watchers ask for
 * everything behind a cursor.  The log has a fixed size: a watcher who was
 * away for too long is told so, and looks at the whole again.  Entries name
 * streams, they do not hold them: the reader shows each as it is when asked,
 * so telling costs a few nanoseconds and a burst of changes is one row.
 */
#ifndef ENGINE_WEB_CHANGES_H
#define ENGINE_WEB_CHANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct changes;

enum change_kind { CHANGE_STREAM, CHANGE_MATCH, CHANGE_STATUS, CHANGE_STATS, CHANGE_NOTE };

enum { CHANGE_TEXT = 96 };

struct change {
	uint64_t cursor; /* from 1 on, without holes */
	enum change_kind kind;
	uint64_t stream;
	/* CHANGE_MATCH */
	uint8_t way;
	uint64_t start, end;
	/* Of the pattern ("regex:0 name"), the status, or what was noted. */
	char text[CHANGE_TEXT];
};

/* `woken` is called, from any thread, when there is something to read. */
struct changes *changes_new(size_t capacity, void (*woken)(void *arg), void *arg);
void changes_free(struct changes *l); /* NULL is fine */

/* -- any thread -------------------------------------------------------------- */

void changes_stream(struct changes *l, uint64_t stream);
void changes_match(struct changes *l, uint64_t stream, int way, uint64_t start,
		uint64_t end, const char *pattern);
void changes_status(struct changes *l, const char *status);
void changes_stats(struct changes *l); /* numbers may be others now */
/* Somebody did something to a stream (0: to none): marks, rules, settings. */
void changes_note(struct changes *l, uint64_t stream, const char *what);

struct changes_range {
	uint64_t first, next; /* cursors that can be read: [first, next) */
};
struct changes_range changes_range(struct changes *l);

/* Copy at most n entries from `cursor` on; how many. */
size_t changes_read(struct changes *l, uint64_t cursor, struct change *out,
		 size_t n);

/*
 * To be called a few times a second: a stream that went on changing after it
 * was last told is told once more, so that nobody keeps an old row.
 */
void changes_settle(struct changes *l, uint64_t now_ns);

#endif
