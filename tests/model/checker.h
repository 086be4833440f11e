/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checker.h - does a spool keep its promises?  Asked of the bytes alone.
 *
 * Written from doc/spool-format.md, it shares no code with the spool or the
 * codecs: its own checksums, parsers and idea of what a crash may leave.  It
 * reads through a struct sys and changes nothing, so it works on a disk as a
 * power cut left it as well as behind a recovery.
 *
 * An oracle knows what must be there: each packet that was acknowledged as
 * durable or shown to anybody, and since which change of the disk.
 */
#ifndef TESTS_MODEL_CHECKER_H
#define TESTS_MODEL_CHECKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sys;

enum { CHECKER_ID = 16, CHECKER_HASH = 32 };

/* -- the oracle --------------------------------------------------------- */

struct oracle_packet {
	uint8_t spool[CHECKER_ID];
	uint64_t index;
	uint8_t hash[CHECKER_HASH]; /* SHA-256 of the whole record */
	uint64_t since;
};

/* Zeroed, it knows nothing. */
struct oracle {
	struct oracle_packet *p; /* owned */
	size_t n;
	/* Retention may have taken what lies below, in any spool. */
	uint64_t reaped;
	/* The first index that a spool ever had. */
	uint64_t first;
};

/* From change `since` on this record must survive every cut. */
void oracle_add(struct oracle *o, const uint8_t spool[CHECKER_ID],
		uint64_t index, const void *record, size_t len, uint64_t since);
void oracle_release(struct oracle *o);

/* -- what lies on a disk ------------------------------------------------ */

struct checked_packet {
	uint64_t index;
	uint8_t hash[CHECKER_HASH];
};

struct checked_gap {
	uint64_t from, to;
	unsigned reason;
};

struct checked_spool {
	uint8_t id[CHECKER_ID], origin[CHECKER_ID];
	char name[65];
	uint32_t linktype, snaplen;
	struct checked_packet *p; /* ascending; owned */
	size_t n;
	struct checked_gap *gaps; /* owned */
	size_t n_gaps;
	unsigned segments;
	uint64_t oldest, next, chain, dropped, bytes;
};

/* Violations are counted; the first is told. */
struct checked {
	struct checked_spool *spools; /* by sibling number; owned */
	size_t n;
	unsigned violations;
	unsigned lost; /* packets that the oracle knows and the disk does not */
	char first[256];
};

enum checker_how {
	CHECKER_CUT,   /* as it lies there after a power cut */
	CHECKER_CLOSED /* a writer opened and closed it: no tail is left */
};

/* Read all spools of a source, and hold them against the oracle as of change
 * `at`.  A NULL oracle knows nothing. */
void checker_run(struct sys *sys, const char *source_dir, enum checker_how how,
		 const struct oracle *o, uint64_t at, struct checked *out);
void checked_release(struct checked *c);

/* The same packets and gaps under the same numbers? */
bool checked_equal(const struct checked *a, const struct checked *b);

/*
 * Is every packet of `mirror` the one that `source` has, or had, under this
 * number; and is nothing missing between those it has but for its gaps?
 * Adds to the violations of `mirror`.
 */
void checker_mirror(struct checked *mirror, const struct checked *source);

/* For other tests that count and tell in the same way. */
void checker_violation(struct checked *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
