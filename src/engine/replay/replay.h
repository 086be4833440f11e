/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay.h - a set of captures sent again, each packet at its time.
 *
 * A reading thread merges the files and fills batches with packets and their
 * deadlines; a sending thread takes them from a bounded channel, waits and
 * sends.  Sending begins when enough is ready.  Deadlines are absolute: what
 * is late stays late by itself and moves nothing behind it.
 *
 * Waiting is a sleep up to shortly before the deadline, and a spin for the
 * rest; how shortly follows from how late the kernel wakes us.  After a stall
 * packets go out at up to twice the recorded rate until they are on time
 * again, so that a burst does not run over who receives.
 *
 * All calls from one thread; replay_status() at any time.
 */
#ifndef ENGINE_REPLAY_REPLAY_H
#define ENGINE_REPLAY_REPLAY_H

#include "engine/replay/merge.h"
#include "engine/replay/schedule.h"

struct err;
struct replay;

enum {
	REPLAY_BATCH = 64, /* packets a call of the sink */
	REPLAY_OUTPUTS_MAX = 2
};

enum replay_late {
	REPLAY_LATE_CATCH_UP, /* at most twice the recorded rate */
	REPLAY_LATE_BURST     /* at once */
};

/* A packet that is due. */
struct replay_packet {
	struct packet packet; /* time_ns: as recorded */
	uint64_t deadline_ns; /* from the start */
	uint32_t linktype;
};

/*
 * Where packets go.  `give` takes the first of n > 0; it returns how many it
 * took, 0 when the first cannot be taken now and is to be tried again, or, for
 * the first, ERR_LIMIT (this packet never will be: counted, goes on) or
 * ERR_FAILED with a sentence (all is over).  Called on the sending thread.
 */
struct replay_sink {
	int (*give)(void *self, const struct replay_packet *p, int n,
		    struct err *err);
	void *self;
};

struct replay_config {
	struct merge_config merge;
	struct schedule schedule; /* how; its run begins here */
	const char *expression;	  /* only packets it matches; NULL: all */
	uint32_t length_max;	  /* longer ones are counted; 0: none is */
	uint64_t loops;		  /* 0: until it is stopped */
	bool wait;		  /* false: do not wait at all (a file) */
	enum replay_late late;
	uint64_t late_ns; /* later than this counts as late */

	/* Where a packet goes; NULL: all to the first sink. */
	int (*choose)(void *arg, const struct merge_packet *p);
	void *arg;
	/* What link types each sink takes; NULL: all. */
	bool (*takes)(void *arg, int sink, uint32_t linktype);
	struct replay_sink sinks[REPLAY_OUTPUTS_MAX];
	int n_sinks;
};

struct replay_status {
	bool ended;
	uint64_t loops; /* rounds that are over */
	uint64_t sent, bytes;
	uint64_t failed; /* the sink refused them for good */
	uint64_t oversize, filtered, other_linktype;
	uint64_t retries;   /* the sink was full */
	uint64_t late;	    /* by more than late_ns */
	uint64_t stalls;    /* a millisecond or more behind */
	uint64_t wanted_ns; /* deadline of the last packet sent */
	uint64_t took_ns;   /* from the first packet to the last */
	uint64_t error_p50_ns, error_p90_ns, error_p99_ns, error_p999_ns,
		error_max_ns;
	int64_t drift_ns;	   /* how late the last packet was */
	struct merge_counts merge; /* valid when it has ended */
};

struct replay *replay_start(const struct replay_config *cfg, struct err *err);
void replay_status(struct replay *r, struct replay_status *s);

/* Readable when it has ended by itself. */
int replay_fd(const struct replay *r);

/*
 * End, also before it is done, tell the last numbers and free.  0, or the
 * failure that ended it.
 */
int replay_stop(struct replay *r, struct replay_status *last, struct err *err);

#endif
