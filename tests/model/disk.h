/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk.h - a disk in memory that can lose power at any call.
 *
 * It implements struct sys and knows, for the bytes of every file and for the
 * names of every directory separately, what is durable and what is only
 * cached.  Each change is recorded; from the record a new disk can be built
 * that looks as this one might after power was cut behind any change:
 *
 *   - what a successful sync covered is there; sync covers bytes and size of
 *     one file, sync_dir the names of one directory, and nothing else;
 *   - of every other write nothing, all, or any of its 512-byte sectors;
 *   - the size of the file as behind any of its changes since the last sync;
 *     where it covers bytes that never arrived these are zeros, or in reserved
 *     blocks what some other file had there;
 *   - of the names any subset of their changes; a rename happened, did not, or
 *     left both names.  (Losing both would be no rename but a broken disk.)
 *
 * A sync that fails leaves the bytes readable and never makes them durable,
 * however often it is called again, as Linux does.  Names whose sync_dir failed
 * are still waiting for the next one.
 *
 * Clocks stand still unless set, chance is seeded: the same calls give the
 * same disk.  Calls may come from several threads, but then their order is
 * theirs.  The calls for streams are those of net.h, once it has been joined.
 */
#ifndef TESTS_MODEL_DISK_H
#define TESTS_MODEL_DISK_H

#include "sys/sys.h"

struct disk;

struct disk *disk_new(uint64_t seed);
void disk_free(struct disk *d); /* NULL is fine; open handles go with it */

/* The table may be changed: a test that replaces `sync` has a lying disk. */
struct sys *disk_sys(struct disk *d);

/* What it says when asked; to be set at will. */
struct disk_clock {
	uint64_t wall_ns, mono_ns, boot_id;
};
struct disk_clock *disk_clock(struct disk *d);

/* Bytes of all files (or what they reserved); beyond: -ENOSPC.  No limit
 * at first. */
void disk_limit(struct disk *d, uint64_t bytes);

/*
 * The process dies, the machine does not: handles and locks are gone, the
 * cache stays.  What is left of the process in the test may call on, to
 * release its memory: everything fails and changes nothing until the next one
 * starts.
 */
void disk_kill(struct disk *d);
void disk_start(struct disk *d);

/* -- power cuts --------------------------------------------------------- */

/* Changes recorded so far. */
uint64_t disk_ops(const struct disk *d);

/* What becomes of the changes that nothing made durable. */
enum disk_fate {
	DISK_LOSE_ALL,
	DISK_KEEP_ALL,
	DISK_BY_CHANCE /* seeded */
};

/* The disk after power was cut behind the first `after` changes. */
struct disk *disk_crash(const struct disk *d, uint64_t after,
			enum disk_fate fate, uint64_t seed);

/*
 * All states behind change `from` up to `to`, if there are at most `bound` of
 * a point; else that many by chance, with "all lost" and "all kept" among
 * them.  Take the next until it is NULL.
 */
struct disk_walk {
	const struct disk *d;
	uint64_t from, to;
	unsigned bound;
	uint64_t at; /* the point of the last state given */
	/* counted for the report */
	uint64_t states, points, whole_points;
	/* private */
	struct disk_choice *choice;
	unsigned given, total;
};
struct disk *disk_walk_next(struct disk_walk *w);
void disk_walk_end(struct disk_walk *w);

/* -- failing calls ------------------------------------------------------ */

enum disk_call {
	DISK_OPEN = 1,
	DISK_READ = 2,
	DISK_WRITE = 4,
	DISK_SIZE = 8,
	DISK_TRUNCATE = 16,
	DISK_RESERVE = 32,
	DISK_SYNC = 64,
	DISK_SYNC_DIR = 128,
	DISK_RENAME = 256,
	DISK_UNLINK = 512,
	DISK_MKDIR = 1024, /* and rmdir */
	DISK_LIST = 2048,
	DISK_ANY = 4095,
	DISK_CHANGE = DISK_WRITE | DISK_TRUNCATE | DISK_RESERVE | DISK_SYNC |
		      DISK_SYNC_DIR | DISK_RENAME | DISK_UNLINK | DISK_MKDIR
};

struct disk_fault {
	unsigned calls; /* of enum disk_call; 0: nothing fails */
	uint64_t nth;	/* counted among those from now on; the first is 0 */
	int error;	/* a positive errno; 0: a write moves half its bytes */
	bool sticky;	/* and every one after it */
};
void disk_fail(struct disk *d, struct disk_fault fault);

/* How many calls of the fault's kinds came since disk_fail(). */
uint64_t disk_fault_calls(const struct disk *d);

/* -- for net.c ---------------------------------------------------------- */

void disk_set_net(struct disk *d, void *net);
void *disk_net(struct sys *sys);

#endif
