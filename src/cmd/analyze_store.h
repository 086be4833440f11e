/* SPDX-License-Identifier: Apache-2.0 */
/*
 * analyze_store.h - what analysis finds goes into a store.
 *
 * A sink of every worker's streams; each has a shard of the store.  Of a spool
 * the store remembers how far it has come, so that a later run goes on there.
 */
#ifndef CMD_ANALYZE_STORE_H
#define CMD_ANALYZE_STORE_H

#include "cmd/analyze_input.h"

struct analyze;
struct err;
struct keeper;
struct store;
struct store_config;
struct store_counters;

struct keeper_config {
	uint64_t messages_max; /* kept of a stream; more are counted */
	bool live; /* the source does not wait: see the counter `unkept` */
};

/* Before the first packet.  cfg->shards is filled in.  NULL on failure. */
struct keeper *keeper_new(struct analyze *a, const struct store_config *cfg,
			  const struct keeper_config *how, struct err *err);

/* Any thread.  `unkept`: streams without an answer that went by unkept. */
void keeper_counters(struct keeper *k, struct store_counters *c,
		     uint64_t *unkept);

struct store *keeper_store(struct keeper *k);

/* What the input has to know of earlier runs; as long as k. */
struct input_memory keeper_memory(struct keeper *k);

/*
 * After analyze_finish(): everything is durable when it returns 0.  Frees k,
 * which may be NULL.
 */
int keeper_end(struct keeper *k, struct err *err);

#endif
