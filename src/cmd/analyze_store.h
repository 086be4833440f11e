/* SPDX-License-Identifier: Apache-2.0 */
/*
 * analyze_store.h - what analysis finds goes into a store.
 *
 * A sink of every worker's streams; each has a shard of the store.
 */
#ifndef CMD_ANALYZE_STORE_H
#define CMD_ANALYZE_STORE_H

struct analyze;
struct err;
struct keeper;
struct store_config;

/*
 * Before the first packet.  cfg->shards is filled in.  NULL on failure.
 */
struct keeper *keeper_new(struct analyze *a, const struct store_config *cfg,
			  struct err *err);

/*
 * After analyze_finish(): everything is durable when it returns 0.  Frees k,
 * which may be NULL.
 */
int keeper_end(struct keeper *k, struct err *err);

#endif
