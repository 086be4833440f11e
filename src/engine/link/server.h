/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h - the agent's door: accepts collectors, bounds strangers, and
 * drives the serving end of each connection.
 *
 * Strangers are cheap on purpose: at most LINK_HALF_OPEN connections that have
 * not proven themselves (the oldest gives way), LINK_RATE a second from one
 * address, one multiplication each, at most one log line a second for all.
 *
 * Everything runs in link_server_run(), which never blocks: call it when a
 * socket is ready (link_server_watch()), when a spool may have grown, and at
 * the deadline.  One thread.
 */
#ifndef ENGINE_LINK_SERVER_H
#define ENGINE_LINK_SERVER_H

#include "engine/link/agent.h"
#include "engine/link/watch.h"

struct err;
struct link_server;

enum {
	LINK_HALF_OPEN = 64,
	LINK_SESSIONS_MAX = 64, /* that have proven themselves */
	LINK_RATE = 20,
	LINK_BURST = 5
};

struct link_server_config {
	struct link_agent_config agent; /* its callbacks and arg are set here */
	const char *listen;
	/* A socket was accepted: set what no sys knows (keepalive). */
	void (*tune)(void *arg, int socket);
	/* The live connections have changed; may be NULL. */
	void (*on_links)(void *arg);
	bool (*stats)(void *arg, const struct link_source *source,
		      struct link_capture_stats *stats);
	void *arg;
};

/* All texts and tables of cfg are borrowed. */
struct link_server *link_server_new(const struct link_server_config *cfg,
				    struct err *err);

/* Says nothing more to anybody and hangs up.  NULL is ignored. */
void link_server_free(struct link_server *s);

/* *deadline_ns: when to call again at the latest. */
void link_server_run(struct link_server *s, uint64_t now_ns,
		     uint64_t *deadline_ns);

/* What to wait for. */
void link_server_watch(const struct link_server *s, struct link_watch *w);

/* "address port address port" of live connection i; false beyond the last. */
bool link_server_link(const struct link_server *s, int i, char *line,
		      size_t size);

int link_server_live(const struct link_server *s);
int link_server_half_open(const struct link_server *s);

/* "address:port" that it listens at. */
const char *link_server_bound(const struct link_server *s);

#endif
