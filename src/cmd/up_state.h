/* SPDX-License-Identifier: Apache-2.0 */
/*
 * up_state.h - the folder in which `weir up` keeps everything.
 *
 *	lock                 held by the one `weir up` that uses the folder
 *	keys/agent.key       made on first start, mode 0600
 *	keys/collector.key
 *	config/vulnbox.yml   where the collector finds the agent; rewritten
 *	config/infra.yml
 *	spool/               what was captured
 *	mirror/              what the collector has
 *	store/               the streams that analysis makes of it
 */
#ifndef CMD_UP_STATE_H
#define CMD_UP_STATE_H

#include "codec/keyfile.h"

struct err;

struct up_state {
	char *dir; /* all owned */
	char *agent_key, *collector_key;
	char *config, *spool, *mirror, *store;
	char collector_public[KEYFILE_TEXT + 1];
	unsigned link_port; /* of 127.0.0.1, free a moment ago */
	int lock;
};

/* The user's own state folder, to be freed. */
char *up_state_default(void);

/*
 * Make what is missing below `dir`, or below the user's own state folder when
 * it is NULL, and take the lock.  ERR_BUSY while another one has it.
 */
int up_state_open(struct up_state *st, const char *dir, struct err *err);
void up_state_close(struct up_state *st); /* a zeroed one is fine */

#endif
