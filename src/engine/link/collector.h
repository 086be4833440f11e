/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collector.h - the dialling end of a connection, without any I/O on the
 * network.
 *
 * It shakes hands with the pinned agent, finds out which protocol the agent
 * speaks, asks for what its mirrors lack, and puts what comes into them.  It
 * acknowledges what is durable there.  The agent is believed nothing beyond
 * that: see mirror.h for what a mirror refuses.
 *
 * One thread.  Mirrors outlive the connection.
 */
#ifndef ENGINE_LINK_COLLECTOR_H
#define ENGINE_LINK_COLLECTOR_H

#include <stdatomic.h>

#include "codec/noise.h"

#include "engine/link/end.h"

struct link_collector;
struct mirror;
struct sys;

/* What the agent says about a source once a second. */
struct link_beat {
	bool known;
	uint64_t head, oldest, captured, dropped_kernel, dropped_interface;
	uint64_t bytes, heard_ns;
};

/* Each only grows. */
struct link_collector_counts {
	atomic_uint_fast64_t sessions, corrupt_frames, keylines;
};

struct link_collector_config {
	struct sys *sys;
	const struct noise_keypair *key;
	const uint8_t *agent; /* its public key, NOISE_KEY bytes */
	struct mirror **mirrors;
	struct link_beat *beats; /* one a mirror; filled in */
	int n_mirrors;
	uint64_t ack_every; /* packets; but at least once a second */
	bool only_ipcap;    /* say no hello */
	/* A line of a TLS key file, already checked; may be NULL. */
	void (*on_keyline)(void *arg, struct bytes line);
	void *arg;
	struct link_collector_counts *counts; /* may be NULL */
};

/* All of cfg is borrowed until the end is freed. */
struct link_collector *link_collector_new(const struct link_collector_config *,
					  uint64_t now_ns);
void link_collector_free(struct link_collector *c);

struct link_end *link_collector_end(struct link_collector *c);

/* The agent has answered the handshake. */
bool link_collector_shaken(const struct link_collector *c);

/* A first good frame has come. */
bool link_collector_live(const struct link_collector *c);
const char *link_collector_protocol(const struct link_collector *c);

/* The session ended only to begin again at once with another question. */
bool link_collector_again(const struct link_collector *c);

/* Say END; the next work sends it. */
void link_collector_leave(struct link_collector *c);

#endif
