/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer.h - a thread that makes packets durable while others go on.
 *
 * The producer copies packets into staging memory and never waits.  The writer
 * thread takes all that is staged, appends and commits it, and so on: what
 * came in during one commit is the next one (group commit), so latency is one
 * commit and throughput is the disk's.  A second thread keeps house.  When
 * staging is full packets are dropped, counted, and the DROP is recorded at
 * its place.
 *
 * Staging is reserved at the start but costs memory only as it is used: a
 * quiet source stays in its first 2 MiB; under load as much is in use as is on
 * its way to the disk, with some 16 MiB that a third thread makes ready ahead,
 * so that the producer meets no page for the first time.  What a stall has
 * once taken is kept.
 *
 * One producer thread calls put, put_run and note; the others may be called
 * from anywhere.
 */
#ifndef ENGINE_SPOOL_WRITER_H
#define ENGINE_SPOOL_WRITER_H

#include "engine/spool/spool.h"

struct spool_writer;

struct spool_writer_config {
	uint64_t staging_max;	 /* bytes; 256 MiB by default */
	uint64_t batch_max;	 /* records of one batch; 256 KiB by default */
	uint64_t commit_min_ns;	 /* least time between commits; 2 ms */
	uint64_t commit_warn_ns; /* log a commit slower than this; 500 ms */
	/* No thread: what is put is committed before the call returns, or,
	 * where the disk refuses, with the next call.  For the model world,
	 * where the order of all calls hangs on one seed. */
	bool at_once;
};

#define SPOOL_WRITER_CONFIG_DEFAULT                                            \
	((struct spool_writer_config){ .staging_max = UINT64_C(256) << 20,     \
				       .batch_max = 256 << 10,                 \
				       .commit_min_ns = 2000000,               \
				       .commit_warn_ns = 500000000 })

struct spool_writer_status {
	struct spool_status spool;
	uint64_t staged_bytes; /* not durable yet */
	uint64_t staging_max;
	uint64_t dropped_staging; /* packets that found no room */
	uint64_t dropped_disk;
	uint64_t commit_ns_last, commit_ns_max;
	uint64_t durable_age_ns; /* age of the oldest packet not durable */
	bool degraded;		 /* the disk refuses; packets only wait */
	char trouble[160];	 /* its last sentence */
};

/* Takes the spool, also when it fails. */
struct spool_writer *spool_writer_start(struct spool *s,
					const struct spool_writer_config *cfg,
					struct err *err);

/* Drain, commit, close the spool and end the threads; 0 when all is durable. */
int spool_writer_stop(struct spool_writer *w, struct err *err);

/*
 * Copy packets; they get the next indices.  Returns how many were taken; the
 * others found no room, and are counted as one DROP.  A packet longer than
 * PACKET_MAX is cut to it.
 */
int spool_writer_put(struct spool_writer *w, const struct packet *p, int n);

/*
 * Copy a whole run as one batch (a mirror).  ERR_FULL when there is no room:
 * keep it and try again after durable has moved.
 */
int spool_writer_put_run(struct spool_writer *w, const struct run *r,
			 const uint64_t *chain, struct err *err);

/* At this place in the stream.  0 or ERR_FULL. */
int spool_writer_note(struct spool_writer *w, const struct spool_note *note);

/* Staged packets become a batch now, not when the next one fills it. */
void spool_writer_flush(struct spool_writer *w);

/* First index that is not durable yet. */
uint64_t spool_writer_durable(const struct spool_writer *w);

/* First index that was not put yet. */
uint64_t spool_writer_next(const struct spool_writer *w);

/* Becomes readable when durable has moved; read 8 bytes to clear it. */
int spool_writer_fd(const struct spool_writer *w);

void spool_writer_status(const struct spool_writer *w,
			 struct spool_writer_status *status);

#endif
