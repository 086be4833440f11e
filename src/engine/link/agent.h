/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent.h - the serving end of a connection, without any I/O on the network.
 *
 * It answers the handshake, speaks Weir or ipcap as the collector does, and
 * gives what lies durable in the spools of its sources.  It reads the spools
 * and writes only beside them: how far a collector is (peers/), and which
 * spool an ipcap collector was given last (served/).
 *
 * One thread.  What is told about a collector that has not proven itself by a
 * first record is nothing.
 */
#ifndef ENGINE_LINK_AGENT_H
#define ENGINE_LINK_AGENT_H

#include <stdatomic.h>

#include "codec/noise.h"

#include "engine/link/end.h"

struct link_agent;
struct sys;

enum { LINK_SOURCES_MAX = 32, LINK_FINGERPRINT = 32 };

/* What capture counts; zero where it is not known. */
struct link_capture_stats {
	uint64_t captured, dropped_kernel, dropped_interface;
};

struct link_source {
	uint16_t id;
	const char *name; /* for ipcap's preamble; may be empty */
	const char *dir;  /* the source's directory */
};

/* Each only grows. */
struct link_agent_counts {
	atomic_uint_fast64_t connections, handshakes_failed, sessions;
	atomic_uint_fast64_t packets, bytes, gaps, keylines;
};

struct link_agent_config {
	struct sys *sys;
	const struct noise_keypair *key;
	const uint8_t (*collectors)[NOISE_KEY]; /* the allow-list */
	int n_collectors;
	const struct link_source *sources;
	int n_sources;
	const char *spool_dir; /* served/ is made in it */
	bool compress;	       /* as hard as it pays (squeeze.h) */
	int level;	       /* or always at this level of zstd's, not 0 */
	bool only_ipcap;       /* answer no hello */
	/* A collector has proven itself on this connection; may be NULL. */
	void (*on_live)(void *arg, struct link_agent *a);
	/* False where capture has left no counters; may be NULL. */
	bool (*stats)(void *arg, const struct link_source *source,
		      struct link_capture_stats *stats);
	void *arg;
	struct link_agent_counts *counts; /* may be NULL */
};

/* All of cfg is borrowed until the end is freed. */
struct link_agent *link_agent_new(const struct link_agent_config *cfg,
				  uint64_t now_ns);
void link_agent_free(struct link_agent *a);

struct link_end *link_agent_end(struct link_agent *a);

/* Has the peer proven itself, and who is it? */
bool link_agent_live(const struct link_agent *a);
const uint8_t *link_agent_peer(const struct link_agent *a);
const char *link_agent_protocol(const struct link_agent *a); /* "weir" … */

/* How hard it compresses at the moment: "off", "level 1",
 * or "fixed". */
const char *link_agent_compression(const struct link_agent *a);

/* A descriptor that tells that source i has grown, or -1: poll. */
int link_agent_fd(const struct link_agent *a, int i);

/* 32 hex digits and a NUL. */
void link_fingerprint(char out[LINK_FINGERPRINT + 1],
		      const uint8_t key[NOISE_KEY]);

#endif
