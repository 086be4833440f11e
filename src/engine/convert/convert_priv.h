/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert_priv.h - lines, one exchange with one process, and the pool.
 */
#ifndef ENGINE_CONVERT_CONVERT_PRIV_H
#define ENGINE_CONVERT_CONVERT_PRIV_H

#include "engine/convert/convert.h"
#include "sys/child.h"

enum {
	LINE_MAX_BYTES = 4 << 20, /* of an answer */
	LAST_WORDS = 256,	  /* kept of what it writes to standard error */
	STOP_MS = 200		  /* between asking it to end and killing it */
};

/* One process. */
struct process {
	struct child child;
	bool running;
	bool fresh;		/* it has served no stream yet */
	bool silent;		/* it closed its standard error */
	bool spoilt;  /* it did not hear all that it was asked */
	struct buf in;		/* what it wrote and nobody has read */
	char words[LAST_WORDS]; /* its last line on standard error */
	char line[LAST_WORDS];	/* that is under way */
	size_t n_line;
};

uint64_t convert_now_ns(void); /* monotonic */

const struct converter_config *converter_config(const struct converter *c);

/* Ask it, and read its answer until it is whole or `until` is over. */
enum convert_state process_ask(struct process *p,
			       const struct convert_request *r,
			       uint64_t output_max, uint64_t until_ns,
			       struct convert_answer *a);

/* Has it said something that nobody asked for, or ended? */
bool process_is_idle(struct process *p);

void process_stop(struct process *p, int grace_ms);

/* One line, without its end; 1 when the answer is whole, 0 when not yet. */
int convert_answer_line(struct convert_answer *a, uint64_t id,
			struct bytes line);

#endif
