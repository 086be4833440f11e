/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan_priv.h - one capture file, looked through once.
 *
 * A plain classic pcap is hopped through from record header to record header;
 * everything else comes through capfile.  Both tell the same numbers and the
 * same sentences.
 */
#ifndef ENGINE_DATASET_SCAN_PRIV_H
#define ENGINE_DATASET_SCAN_PRIV_H

#include <stdatomic.h>

#include "engine/dataset/dataset.h"

struct scan_file;

/* Part of a hop: records that begin at `from` or behind it, before `to`. */
struct scan_part {
	uint64_t from, to;
	struct dataset_tally tally;
	uint64_t end;	 /* where the record behind the last one begins */
	const char *why; /* what is wrong at `end`; NULL while all is well */
	bool too_long;	 /* it is a length over the bound: not a torn end */
	int number;	 /* errno of a failed read, or 0 */
};

void tally_add(struct dataset_tally *t, uint64_t time_ns, uint32_t captured,
	       uint32_t wire);

/* `next` is of the packets right behind those of t. */
void tally_join(struct dataset_tally *t, const struct dataset_tally *next);

/* Look at path, size, time and head: what is it?  NULL on failure. */
struct scan_file *scan_open(const char *path, struct err *err);
void scan_close(struct scan_file *s); /* NULL is fine */

/* May it be hopped through, and so in parts? */
bool scan_hops(const struct scan_file *s);
uint64_t scan_size(const struct scan_file *s);

/*
 * Begin a part at `from` of the file's bytes: the first place from there on
 * that looks like the head of a record and is followed by many more.  Where
 * it is none after all, the part before will not end there.
 */
uint64_t scan_guess(const struct scan_file *s, uint64_t from);

/* Hop through a part; bytes are added to *done as they are passed. */
void scan_hop(const struct scan_file *s, struct scan_part *part,
	      atomic_uint_fast64_t *done);

/* The whole file with one thread. */
int scan_whole(struct scan_file *s, struct dataset_file *f,
	       atomic_uint_fast64_t *done, struct err *err);

/* What hopping through all of it came to. */
int scan_finish(const struct scan_file *s, const struct scan_part *all,
		struct dataset_file *f, struct err *err);

#endif
