/* SPDX-License-Identifier: Apache-2.0 */
/*
 * squeeze.h - how hard to compress, by what there is to wait for.
 *
 * Compression trades our time for the network's.  While records wait and the
 * socket is full the network is what is short: compress harder.  While records
 * wait and the socket takes all of them we are: compress less, or not at all.
 * While nothing waits the usual level is fine.  Each step is a trial: it stays
 * only when records went faster by it, and after one that did not the next
 * trial is put off, longer each time.  So where both are equally short nothing
 * swings.
 *
 * Pure: time and amounts are arguments.
 */
#ifndef ENGINE_LINK_SQUEEZE_H
#define ENGINE_LINK_SQUEEZE_H

#include <stdbool.h>
#include <stdint.h>

enum squeeze_step { SQUEEZE_OFF, SQUEEZE_USUAL, SQUEEZE_HARD };

/* What became of the time between two calls. */
enum squeeze_time {
	SQUEEZE_IDLE,	 /* all that the spool had was given */
	SQUEEZE_BUSY,	 /* records waited for us */
	SQUEEZE_BLOCKED, /* and for the network */
	SQUEEZE_TIMES
};

struct squeeze {
	enum squeeze_step step, before; /* before: what a trial began from */
	bool trial;
	double rate;	/* bytes of records a second, before the trial */
	unsigned rest;	/* decisions until the next trial */
	unsigned rests; /* how long the last rest was */
	uint64_t changes;
	/* since the last decision: */
	uint64_t ns[SQUEEZE_TIMES];
	uint64_t bytes;
};

/* It begins with the usual level; a zeroed one is off and stays so. */
void squeeze_init(struct squeeze *q);

/* `bytes` of records were given in that time.  True when the step is another
 * one now. */
bool squeeze_pass(struct squeeze *q, enum squeeze_time what, uint64_t ns,
		  uint64_t bytes);

/* For zstd; not for SQUEEZE_OFF. */
int squeeze_level(const struct squeeze *q);

const char *squeeze_name(const struct squeeze *q);

#endif
