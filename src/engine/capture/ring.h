/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.h - packets of an interface, as they were on the wire.
 *
 * One or several kernel rings (sys/packet_socket.h) read as one source.  What
 * the kernel took off is put back: a VLAN tag, with its own type, priority and
 * number (also number 0), and for links without a header of their own the
 * 20-byte cooked one (SLL2).  Both directions are captured.  Frames longer
 * than 65,535 bytes, as offloading makes them, are whole up to the snaplen.
 *
 * Packets of one ring come in the kernel's order.  Several queues are merged by
 * time stamp: a packet is held until every other queue has shown a later one
 * or RING_WINDOW_NS have passed, so order across queues is the stamps' order as
 * long as the kernel hands a block over within that window.
 *
 * No call, lock or allocation a packet.  One thread.
 */
#ifndef ENGINE_CAPTURE_RING_H
#define ENGINE_CAPTURE_RING_H

#include "codec/packet.h"

struct err;
struct filter;
struct interface;
struct pollfd;
struct ring;

enum {
	RING_QUEUES_MAX = 32,
	RING_RETIRE_MS = 4,
	/* A busy machine hands blocks over later than it should. */
	RING_WINDOW_NS = 100000000,
	/* A block holds the longest frame and its header. */
	RING_BLOCK = 512 << 10
};

struct ring_config {
	const char *iface; /* "any": all of them */
	uint64_t bytes;	   /* of each ring */
	uint32_t snaplen;
	unsigned queues;
	bool promiscuous;
};

/* Counted since the last ring_counts(). */
struct ring_counts {
	uint64_t packets;  /* that passed the kernel's filter, with drops */
	uint64_t drops;	   /* of them, no room in the ring */
	uint64_t filtered; /* of them, not wanted by the expression */
};

/* The link type that packets of this interface have (LINKTYPE_ number). */
uint32_t ring_linktype(const struct interface *i);

/*
 * Capture from an interface that interface_find() found.  The filter must be
 * made for its link type and outlive the ring or be replaced.  No packet from
 * before the filter is ever given.  NULL on failure: ERR_GONE when the
 * interface went away, ERR_AGAIN when several queues wait for it to come up.
 */
struct ring *ring_open(const struct ring_config *cfg, const struct interface *i,
		       const struct filter *f, struct err *err);
void ring_close(struct ring *r); /* NULL is fine */

/* From the next packet that the kernel sees on, this filter decides. */
int ring_filter(struct ring *r, const struct filter *f, struct err *err);

/* Take no packet any more; what is in the ring can still be taken. */
int ring_stop(struct ring *r, struct err *err);

/*
 * Up to max packets, borrowed until the next call; 0 when none is ready.
 * Stops before a packet in front of which the kernel has lost some that
 * ring_counts() has not told yet: ring_lost() is then true.
 */
int ring_take(struct ring *r, struct packet *p, int max);
bool ring_lost(const struct ring *r);

/* For poll(); returns how many, at most RING_QUEUES_MAX. */
int ring_pollfds(const struct ring *r, struct pollfd *fds);

/* Is a queue's block waiting for the others?  Then poll for the window only. */
bool ring_holds(const struct ring *r);

/* The error behind POLLERR: ENETDOWN when the interface went down, 0: none. */
int ring_error(struct ring *r);

/* Read and reset the kernel's counters: one reader, once an interval. */
int ring_counts(struct ring *r, struct ring_counts *c, struct err *err);

#endif
