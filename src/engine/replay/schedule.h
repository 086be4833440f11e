/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schedule.h - from recorded time to the time of sending.
 *
 * Every packet has a deadline, in nanoseconds from the start, that depends on
 * its own time only: nothing is added up, so nothing drifts.  All arithmetic
 * is in 128 bits.  Pure; copied by value.
 */
#ifndef ENGINE_REPLAY_SCHEDULE_H
#define ENGINE_REPLAY_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

struct err;

enum schedule_kind {
	SCHEDULE_RECORDED, /* times numerator / denominator */
	SCHEDULE_PPS,	   /* packets a second, evenly */
	SCHEDULE_BPS,	   /* bits a second, each packet for its length */
	SCHEDULE_TOP	   /* no waiting */
};

struct schedule {
	enum schedule_kind kind;
	uint64_t numerator, denominator;
	uint64_t rate;	     /* of SCHEDULE_PPS and SCHEDULE_BPS */
	uint64_t gap_max_ns; /* longer pauses are cut to it; 0: never */

	/* of the run */
	uint64_t first_ns;    /* what the present round counts from */
	uint64_t base_ns;     /* deadline of the present round's beginning */
	uint64_t last_ns;     /* deadline of the packet before */
	uint64_t recorded_ns; /* of the packet before, for the pauses */
	uint64_t cut_ns;      /* pauses cut so far, in recorded time */
	uint64_t packets, bytes;
};

/* `factor` times as fast as recorded; 0.5 is half as fast. */
void schedule_by_factor(struct schedule *s, double factor);

/* A set of `set_ns` in `wanted_ns`. */
void schedule_by_duration(struct schedule *s, uint64_t set_ns,
			  uint64_t wanted_ns);

/* A round begins: times count from first_ns, deadlines from base_ns. */
void schedule_begin(struct schedule *s, uint64_t first_ns, uint64_t base_ns);

/*
 * The deadline of the next packet.  One that is earlier than the packet before
 * it goes right behind that one.
 */
uint64_t schedule_next(struct schedule *s, uint64_t time_ns, uint32_t len);

/* How long a span of recorded time takes. */
uint64_t schedule_span(const struct schedule *s, uint64_t recorded_ns);

#endif
