/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay_outputs.h - where a replay goes: interfaces, or a capture file.
 */
#ifndef CMD_REPLAY_OUTPUTS_H
#define CMD_REPLAY_OUTPUTS_H

#include "base/opt.h"
#include "engine/replay/replay.h"

struct dataset;
struct err;
struct replay_outputs;

struct replay_outputs_config {
	const struct opt_list *interfaces;
	const char *file;  /* instead of interfaces; "-": standard output */
	bool paced;	   /* the file has a reader that waits for packets */
	const char *split; /* "port" or the clients' network; NULL: none */
	const struct dataset *set;
	uint64_t first_ns; /* when the first packet was recorded */
};

/* NULL when one cannot be opened, or nothing of the set fits it. */
struct replay_outputs *
replay_outputs_open(const struct replay_outputs_config *cfg, struct err *err);

/* Sinks, choice and link types of cfg; what an interface takes at most. */
void replay_outputs_use(struct replay_outputs *o, struct replay_config *cfg);
uint32_t replay_outputs_length_max(const struct replay_outputs *o);

/* Packets that the interfaces say they dropped. */
uint64_t replay_outputs_drops(const struct replay_outputs *o);

/* NULL is fine.  An error when a file could not be written to its end. */
int replay_outputs_close(struct replay_outputs *o, struct err *err);

#endif
