/* SPDX-License-Identifier: Apache-2.0 */
/*
 * examine.h - looking at a spool without writing it, and mending one.
 *
 * Examining changes nothing, not even the access of a running writer.  Mending
 * takes the writer's lock, keeps every file that it replaces under damaged/,
 * loses no packet whose checksum is right, and records what is lost as GAPs.
 */
#ifndef ENGINE_SPOOL_EXAMINE_H
#define ENGINE_SPOOL_EXAMINE_H

#include "engine/spool/spool.h"

struct sys;

/* One thing that is not as it was written; [from, to) is empty when no packet
 * is lost by it. */
struct spool_fault {
	const char *file;
	uint64_t offset;
	uint64_t from, to;
	const char *what;
};

struct spool_examine {
	bool verify; /* read all packets, not only those of the last segment */
	void (*on_fault)(void *arg, const struct spool_fault *fault);
	void (*on_progress)(void *arg, uint64_t done, uint64_t total);
	void *arg; /* both may be NULL */
};

struct spool_report {
	struct spool_identity identity; /* name is empty when id is damaged */
	uint64_t oldest, head;
	uint64_t bytes, segments;
	uint64_t gaps, lost; /* recorded GAPs and the packets in them */
	uint64_t dropped;
	uint64_t torn;	      /* bytes behind the last whole batch */
	uint64_t faults, bad; /* found now, and the packets in them */
	bool written;	      /* a writer has it open */
};

/* `dir` is one spool ("spool/src1.2").  0, ERR_GONE when there is none. */
int spool_examine(struct sys *sys, const char *dir,
		  const struct spool_examine *how, struct spool_report *out,
		  struct err *err);

/*
 * Mend what spool_examine() with verify finds, and cut a torn tail.  0 when
 * the writer can go on with it; ERR_BUSY while one has it.  Interrupted at any
 * place it may be run again.
 */
int spool_mend(struct sys *sys, const char *dir,
	       const struct spool_examine *how, struct err *err);

#endif
