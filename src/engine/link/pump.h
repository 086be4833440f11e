/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pump.h - moves bytes between one end and one socket of a struct sys.
 *
 * No loop and no clock of its own: whoever calls brings both, an event loop
 * or a simulation.  link_pump_run() never blocks and does a bounded amount of
 * work; it says for what to wait.  It may be called too often.
 */
#ifndef ENGINE_LINK_PUMP_H
#define ENGINE_LINK_PUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct link_end;
struct sys;

/* A socket that takes nothing for this long is given up. */
#define LINK_WRITE_NS UINT64_C(30000000000)

struct link_pump {
	struct sys *sys;
	int socket;
	struct link_end *end; /* borrowed */
	uint64_t moved_ns;    /* when the socket last took something */
	uint64_t received, sent;
	/* What to wait for; set by each run. */
	bool wants_read, wants_write;
	bool more; /* it stopped for fairness: call again soon */
	uint64_t deadline_ns;
};

/* The socket is the pump's from now on. */
void link_pump_init(struct link_pump *p, struct sys *sys, int socket,
		    struct link_end *end, uint64_t now_ns);

/*
 * Receive, work and send until nothing moves.  0, or why the connection is
 * over: the end's reason, or ERR_FAILED for the network's.
 */
int link_pump_run(struct link_pump *p, uint64_t now_ns, struct err *err);

/* Hang up; what the end still had to say is tried once. */
void link_pump_release(struct link_pump *p);

#endif
