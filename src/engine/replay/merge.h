/* SPDX-License-Identifier: Apache-2.0 */
/*
 * merge.h - the packets of a whole set in the order of their times.
 *
 * At each step the file whose next packet is the earliest gives it, equal
 * times in the order of the files: what mergecap does, for any number of
 * files, whatever their order or overlap.  Files are opened when the clock
 * reaches their beginning, as the map tells it, and closed at their end, so
 * only those that overlap are open.  Order inside a file is kept, unless
 * packets are to be sorted within a window or left out.
 *
 * One thread.  Memory: a packet a file, and the sorting windows, bounded.
 */
#ifndef ENGINE_REPLAY_MERGE_H
#define ENGINE_REPLAY_MERGE_H

#include "codec/packet.h"

struct capfile;
struct dataset;
struct dataset_file;
struct err;
struct merge;

enum { MERGE_WINDOW_BYTES = 64 << 20 }; /* of one file */

struct merge_config {
	const struct dataset *set; /* borrowed */
	/* Packets before and after are passed over; UINT64_MAX: none is. */
	uint64_t from_ns, to_ns;
	bool all_at_once;	/* every file begins at the set's beginning */
	bool skip_out_of_order; /* earlier than one of its file before it */
	bool sort;		/* within the window */
	uint64_t sort_ns;	/* 0: as the map says each file needs */
	/* How a file is opened; NULL: from its path. */
	struct capfile *(*open)(void *arg, const struct dataset_file *f,
				struct err *err);
	void *arg;
};

struct merge_packet {
	struct packet packet; /* valid until the next call */
	uint32_t linktype;
	uint32_t file; /* its number in the set */
};

struct merge_counts {
	uint64_t packets;	/* handed out */
	uint64_t outside;	/* of the window of time */
	uint64_t out_of_order;	/* left out */
	uint64_t unsorted;	/* the sorting window was too small for them */
	uint64_t damaged_files; /* whose end was not whole */
};

struct merge *merge_new(const struct merge_config *cfg);
void merge_free(struct merge *m); /* NULL is fine */

/*
 * The next packet.  0, ERR_END, or a failure.  A file that breaks is told by
 * the log and ends there; one that cannot be opened is a failure.
 */
int merge_next(struct merge *m, struct merge_packet *p, struct err *err);

/* Begin again from the first packet. */
void merge_rewind(struct merge *m);

const struct merge_counts *merge_counts(const struct merge *m);

#endif
