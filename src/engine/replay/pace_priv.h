/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pace_priv.h - waiting for a moment, to the microsecond.
 */
#ifndef ENGINE_REPLAY_PACE_PRIV_H
#define ENGINE_REPLAY_PACE_PRIV_H

#include <stdbool.h>
#include <stdint.h>

struct pace {
	uint64_t start_ns; /* on the monotonic clock */
	uint64_t guard_ns; /* that much before a deadline sleeping ends */
	uint64_t last_ns;  /* when the call before was over */
	uint64_t last_deadline_ns; /* of its first packet */
	bool on_time;
};

/* The clock starts now. */
void pace_begin(struct pace *p);

/* Nanoseconds since the start. */
uint64_t pace_now(const struct pace *p);

/*
 * Sleep and spin until then; at most a tenth of a second at a time where the
 * moment is far, so look again.  Returns the time.
 */
uint64_t pace_until(struct pace *p, uint64_t at_ns);

#endif
