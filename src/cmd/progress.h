/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress.h - one line on the terminal that shows how far long work has got.
 *
 * Drawn on standard error, over itself, at most five times a second, and only
 * when that is a terminal: in a pipe nothing is ever written.  While the line
 * stands, log lines clear it first.  One thread, one line a process.
 *
 *	struct progress p;
 *
 *	progress_begin(&p);
 *	while (more)
 *		if (progress_due(&p))
 *			progress_draw(&p, "%d of %d segments", i, n);
 *	progress_end(&p);
 */
#ifndef CMD_PROGRESS_H
#define CMD_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool terminal;
	bool drawn;
	uint64_t next_ns; /* monotonic; not drawn before */
};

void progress_begin(struct progress *p);

/* Is it time for the next line?  Cheap enough to ask for each packet batch. */
bool progress_due(const struct progress *p);

/* Draw now, cut to the width of the terminal. */
void progress_draw(struct progress *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Clear the line; what is written next begins at the left. */
void progress_end(struct progress *p);

#endif
