/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spool.h - a crash-safe, numbered store of packet runs on disk.
 *
 * The promise: when spool_commit() has returned 0, every run appended before
 * it survives a power cut, and its numbers are never given to other packets.
 * Nothing is promised about later runs; spool_open() cuts a torn tail back to
 * the last real batch.  Damage in the last segment where it was durable becomes
 * a gap, and what it was is kept in damaged/ (doc/spool-format.md).
 *
 * One writer a directory.  A struct spool belongs to one thread, except
 * spool_housekeep(), which one other thread may call.  Readers (reader.h) live
 * in any thread or process and never see past the last commit.
 * spool/writer.h puts a thread and staging memory around it.
 */
#ifndef ENGINE_SPOOL_SPOOL_H
#define ENGINE_SPOOL_SPOOL_H

#include "codec/packet.h"

struct sys;
struct spool;

enum { SPOOL_ID = 16, SPOOL_NAME_MAX = 64 };

enum spool_drop_reason {
	SPOOL_DROP_KERNEL = 1,
	SPOOL_DROP_INTERFACE = 2,
	SPOOL_DROP_STAGING = 3,
	SPOOL_DROP_DISK = 4
};

enum spool_gap_reason {
	SPOOL_GAP_RETENTION = 1,
	SPOOL_GAP_DAMAGE = 2,
	SPOOL_GAP_QUOTA = 3,
	SPOOL_GAP_UNKNOWN = 4
};

enum spool_note_kind {
	SPOOL_NOTE_START = 1,
	SPOOL_NOTE_DOWN = 2,
	SPOOL_NOTE_UP = 3,
	SPOOL_NOTE_FILTER = 4,
	SPOOL_NOTE_CLOCK = 5,
	SPOOL_NOTE_LATE_DROPS = 6
};

/* Who a spool is; the content of its `id` file. */
struct spool_identity {
	uint8_t id[SPOOL_ID];
	uint8_t origin[SPOOL_ID]; /* of the spool it copies; else its own id */
	char name[SPOOL_NAME_MAX + 1];
	uint32_t linktype;
	uint32_t snaplen;
};

struct spool_config {
	const char *source_dir; /* "spool/src1"; siblings are made beside it */
	/* An all-zero id is made at random; an all-zero origin is the id. */
	struct spool_identity want;
	uint64_t first;		 /* index of the first packet of a new spool */
	uint64_t segment_max;	 /* bytes in a .pcap before the next begins */
	uint64_t segment_age_ns; /* seal a segment with data after this long */
	uint64_t keep_max; /* bytes of all files of the source; 0: no limit */
	uint64_t keep_age_ns; /* 0: no limit */
	bool reserve;	      /* reserve blocks ahead (fallocate) */
	bool keeps_little;    /* it is meant to be full: no warning at 70 % */
	bool begin_anew;      /* begin the next sibling in any case */
};

/* The defaults: 64 MiB, 60 s, 48 GiB, no age limit, blocks reserved. */
#define SPOOL_CONFIG_DEFAULT                                                   \
	((struct spool_config){ .segment_max = UINT64_C(64) << 20,             \
				.segment_age_ns = UINT64_C(60000000000),       \
				.keep_max = UINT64_C(48) << 30,                \
				.reserve = true })

/* A DROP, GAP or NOTE; doc/spool-format.md says what the fields mean. */
struct spool_note {
	enum { SPOOL_IS_DROP = 2, SPOOL_IS_GAP = 3, SPOOL_IS_NOTE = 4 } is;
	uint16_t reason;   /* or the kind of a NOTE */
	uint64_t value;	   /* packets lost, end of the gap, or the value */
	uint64_t begin_ns; /* span of a DROP; else when it was noticed */
	uint64_t end_ns;
};

/* Counters; all of them only grow, except bytes and oldest index order. */
struct spool_status {
	struct spool_identity identity;
	char dir[SPOOL_NAME_MAX * 4]; /* the sibling in use */
	uint64_t oldest;	      /* first index still on disk */
	uint64_t head;		      /* first index not yet durable */
	uint64_t next;		      /* first index not yet appended */
	uint64_t bytes;		      /* of all files of the source */
	uint64_t dropped; /* sum of the DROP entries of this spool */
	uint64_t commits;
	uint64_t segments;
	uint64_t reaped;   /* packets removed by retention, and of these */
	uint64_t reaped_unacked; /* what not every collector had yet */
	uint64_t poisoned; /* segments given up after an error */
	uint64_t incarnation;
	uint64_t chain; /* after the last durable batch */
};

/*
 * Open the newest spool of cfg->source_dir for writing, creating what is not
 * there and repairing what a crash left.  A spool whose link type differs from
 * cfg->want, or which was wiped, is left as it is and a sibling begins; so is
 * one whose origin differs when cfg->want names an origin or an id.  A name or
 * snaplen that differs does not matter: the old ones stay.  NULL on failure:
 * ERR_BUSY while another writer has it, ERR_DAMAGED when it must not go on.
 */
struct spool *spool_open(struct sys *sys, const struct spool_config *cfg,
			 struct err *err);

/* Release everything; what was not committed may be lost.  NULL is ignored. */
void spool_close(struct spool *s);

/*
 * Append a copy of a run.  r->first must be spool_next(); count, crc and times
 * must be right (run_measure()).  With `chain` NULL the chain is computed,
 * otherwise it is taken from there (a mirror).  0, or: ERR_FULL when the disk
 * has no room even after retention (nothing changed; call again later),
 * ERR_FAILED when the disk refuses (the run is kept for spool_commit()).
 */
int spool_append(struct spool *s, const struct run *r, const uint64_t *chain,
		 struct err *err);

/* Append a DROP or a NOTE, or a GAP [spool_next(), value): next moves there. */
int spool_append_note(struct spool *s, const struct spool_note *note,
		      struct err *err);

/*
 * Make everything appended durable and visible to readers.  After an error of
 * the disk the segment is poisoned and what was appended since the last commit
 * is written again into a new one; only when that fails too does this fail,
 * and may be called again.
 */
int spool_commit(struct spool *s, struct err *err);

/*
 * Seal by age, apply retention, prepare the next segment, finish renames.
 * Call it about five times a second from a thread that may wait for the disk;
 * sealing by age is left to the next spool_commit().
 */
int spool_housekeep(struct spool *s, struct err *err);

uint64_t spool_next(const struct spool *s);
void spool_status(const struct spool *s, struct spool_status *status);

#endif
