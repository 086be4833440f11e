/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture_priv.h - what the capture thread and its owner share.
 */
#ifndef ENGINE_CAPTURE_CAPTURE_PRIV_H
#define ENGINE_CAPTURE_CAPTURE_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/err.h"
#include "engine/capture/capture.h"
#include "sys/interface.h"

#define CAPTURE_BACKOFF_MIN_NS UINT64_C(100000000)
#define CAPTURE_BACKOFF_MAX_NS UINT64_C(2000000000)
#define CAPTURE_COUNT_NS       UINT64_C(200000000)
#define CAPTURE_SIDE_NS	       UINT64_C(1000000000)

/* Packets lost that the spool does not say yet. */
struct loss {
	uint64_t packets, begin_ns, end_ns;
};

struct capture {
	struct capture_config cfg;
	struct sys *sys;
	pthread_t thread;
	int wake; /* eventfd: look at stop and exclude_changed */

	/* The thread's own; the owner's before it starts and after it ends. */
	struct ring *ring; /* NULL: the interface is away */
	struct filter *filter;
	uint32_t filter_linktype;
	struct packet *batch;
	int watch;	     /* changes of interfaces */
	struct interface at; /* what is open; up: as noted last */
	bool noted, was_away;
	struct loss kernel, iface;
	uint64_t counted_ns; /* wall clock: kernel counters were read */
	uint64_t due_ns;     /* monotonic: they are read again */
	uint64_t retry_ns, backoff_ns;
	char complained[ERR_TEXT];

	/* Between the two. */
	pthread_mutex_t lock;
	struct spool_writer *writer; /* under lock; the thread alone sets it */
	uint32_t linktype;	     /* the same */
	struct exclude exclude;	     /* under lock; the owner alone sets it */
	atomic_bool stop, exclude_changed, up;
	atomic_int index; /* of the open interface, or 0 */
	atomic_uint_fast64_t beats, captured, dropped_kernel, filtered, downs;
	atomic_uint_fast64_t iface_losses; /* to be noted by the thread */

	/* The owner's own. */
	atomic_uint_fast64_t dropped_interface;
	uint64_t side_ns; /* monotonic: next time for the rest */
	int losses_of;	  /* index that losses_before belongs to */
	uint64_t losses_before;
	struct buf links; /* the file as it was read last */
	int n_links;
	int stats_file;
	uint64_t seen_beats, seen_head;
	bool seen_staged;
};

/* capture_side.c: what the owner's thread does beside the packets. */
void capture_side_links(struct capture *c);
void capture_side_stats(struct capture *c);
void capture_side_close(struct capture *c);

/* From now on these are left out. */
void capture_side_exclude(struct capture *c, const struct exclude *x);

#endif
