/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mend_priv.h - the check of one segment, shared by examine.c and mend.c.
 */
#ifndef ENGINE_SPOOL_MEND_PRIV_H
#define ENGINE_SPOOL_MEND_PRIV_H

#include "engine/spool/examine.h"
#include "engine/spool/spool_priv.h"

struct check {
	struct sys *sys;
	const char *dir;
	const struct spool_examine *how;
	struct spool_report *report;
	uint64_t done, total; /* bytes, for the progress */
	bool has_live;
	struct live live;
	struct buf scratch;
	bool any; /* a segment was looked at before */

	/* the segment */
	uint64_t first;
	int pcap; /* -1 when it is missing */
	bool has_idx;
	struct scan_index x;
	uint64_t pcap_len;
	uint32_t limit;	 /* entries that count */
	bool torn;	 /* what lies behind them is a torn tail */
	uint64_t length; /* torn: of the .pcap that counts */
	bool data;	 /* read the packets too */
	uint64_t at;	 /* where the next packet must be */
	bool gap;	 /* a GAP of the writer ends it */
	bool bad;
	bool has_next;
	uint64_t next; /* first index of the next segment */
	/* The last one: how far packets were durable that are missing now. */
	uint64_t durable;
};

void check_place(struct check *c, const struct scan_dir *names, size_t i);
bool half_reaped(const struct check *c, const struct scan_pair *pair);
int check_open(struct check *c, const struct scan_pair *pair, struct err *err);
void check_segment(struct check *c);
void check_entries(struct check *c);
void check_close(struct check *c);
void check_fault(struct check *c, const char *kind, uint64_t offset,
		 uint64_t from, uint64_t to, const char *what);

/* Id, link type and snaplen as any index header has them. */
int id_from_headers(struct sys *sys, const char *dir,
		    const struct scan_dir *names, struct spool_identity *id);

#endif
