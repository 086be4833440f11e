/* SPDX-License-Identifier: Apache-2.0 */
/*
 * analyze_health.h - how an analysis is doing, in rustmate's numbers.
 *
 * One JSON line among the events and one log line each interval, and the same
 * numbers for Prometheus.  One thread.
 */
#ifndef CMD_ANALYZE_HEALTH_H
#define CMD_ANALYZE_HEALTH_H

#include "cmd/analyze_input.h"
#include "engine/analyze/analyze.h"
#include "engine/store/store.h"

struct buf;
struct keeper;
struct metrics;
struct output;

/* What is known at one moment. */
struct health_sample {
	uint64_t at_ns; /* monotonic */
	struct analyze_counters analyze;
	struct input_status input;
	struct store_counters store; /* zeros without a store */
	uint64_t unkept;	     /* streams that the store never saw */
	uint64_t resident;	     /* bytes of memory of this process */
};

struct health {
	struct analyze *analyze;
	struct input *input;
	struct output *output; /* NULL: no lines */
	struct keeper *keeper; /* NULL: no store */
	uint64_t memory_max;   /* for the process */
	struct health_sample now, before;
};

void health_begin(struct health *h);

/* Look, and say it; `status` is "running", "completed" or "failed". */
void health_report(struct health *h, const char *status, bool log);

/* Look only: for the metrics and the progress line. */
void health_look(struct health *h);

/* All numbers, as members of the object that is open. */
void health_put(const struct health *h, struct buf *b);

void health_add_metrics(struct health *h, struct metrics *m);

#endif
