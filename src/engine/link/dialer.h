/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialer.h - keeps a collector connected to its agent.
 *
 * Dials, drives the dialling end, and dials again after a random part of a
 * pause that grows from 0.1 s to 5 s; it is short again after a session that
 * was healthy for 10 s or brought packets, and cut short when the network
 * changes.
 *
 * While nobody answers at all it dials four times a second, without a pause,
 * so that a path that comes back is noticed at once.  It does so also beside a
 * session that has been silent for 1.5 s: which of the two is heard first goes
 * on.  TCP alone would be up to twice the length of the outage late.
 *
 * Never blocks, but for the resolver where the address is a name.  One thread.
 */
#ifndef ENGINE_LINK_DIALER_H
#define ENGINE_LINK_DIALER_H

#include "engine/link/collector.h"
#include "engine/link/watch.h"

struct link_dialer;

struct link_dialer_config {
	struct link_collector_config collector; /* its agent key: see target */
	/* A dial was answered: set what no sys knows (keepalive). */
	void (*tune)(void *arg, int socket);
	void *arg;
};

struct link_dialer *link_dialer_new(const struct link_dialer_config *cfg);

/* Says END where it can, and hangs up.  NULL is ignored. */
void link_dialer_free(struct link_dialer *d);

/*
 * Whom to dial; NULL for nobody yet.  Another target than before ends the
 * session and dials at once.
 */
void link_dialer_target(struct link_dialer *d, const char *address,
			const uint8_t agent[NOISE_KEY]);

/* The network has changed: do not wait out the pause. */
void link_dialer_nudge(struct link_dialer *d);

void link_dialer_run(struct link_dialer *d, uint64_t now_ns,
		     uint64_t *deadline_ns);
void link_dialer_watch(const struct link_dialer *d, struct link_watch *w);

struct link_dialer_status {
	bool connected; /* a good frame has come in this session */
	const char *protocol;
	uint64_t reconnects; /* sessions after the first one */
	uint64_t attempts, received, sent;
};
void link_dialer_status(const struct link_dialer *d,
			struct link_dialer_status *status);

#endif
