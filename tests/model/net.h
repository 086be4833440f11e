/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net.h - a network in memory, with a clock that only the test moves.
 *
 * Machines are model disks (disk.h) that joined under a name; the stream calls
 * of their struct sys then lead here, so that files and streams of several
 * machines run under one seed.  Bytes arrive in order after the latency, in
 * pieces as small as wanted.  Connections can be cut behind any byte, reset,
 * or held up by a partition.  One thread.
 */
#ifndef TESTS_MODEL_NET_H
#define TESTS_MODEL_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct disk;
struct net;

struct net *net_new(void);
void net_free(struct net *n); /* the disks stay, and must not use it again */

/* The disk's machine is reached as "name:port" from now on. */
void net_join(struct net *n, struct disk *d, const char *name);

/*
 * The machine is gone: its sockets are closed, its peers see a reset.  A disk
 * that was rebuilt after a power cut may join under the same name.
 */
void net_leave(struct net *n, struct disk *d);

/* -- time --------------------------------------------------------------- */

uint64_t net_now(const struct net *n);

/* Move the clock here and, by as much, those of all that joined. */
void net_advance(struct net *n, uint64_t ns);

/* Move it to the next moment something arrives; false when nothing will. */
bool net_advance_to_next(struct net *n);

/* -- weather ------------------------------------------------------------ */

struct net_weather {
	uint64_t latency_ns;
	size_t piece_max;  /* most bytes of one recv; 0: no bound */
	size_t window_max; /* most bytes under way; send then says -EAGAIN */
	bool partition;	   /* nothing arrives, not even an end */
};

/* May be changed in place at any time. */
struct net_weather *net_weather(struct net *n);

enum net_way { NET_FROM_DIALLER, NET_FROM_LISTENER };

/*
 * The next connection that is dialled is reset behind `bytes` bytes of that
 * way; those do arrive.
 */
void net_cut_next(struct net *n, enum net_way way, uint64_t bytes);

/* Reset every connection now; what is under way is lost. */
void net_reset_all(struct net *n);

/* Bytes sent that way on the connection that was dialled last. */
uint64_t net_carried(const struct net *n, enum net_way way);

/* Connections dialled so far. */
uint64_t net_dials(const struct net *n);

#endif
