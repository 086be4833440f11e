/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recover_ipcap.h - looking at a spool of ipcap, and bringing its packets into
 * a source of Weir.
 *
 * Its files are only read.  Packets keep the numbers that they have there, and
 * what is missing becomes a GAP.  The source gets the origin that a collector
 * of Weir knows an agent of ipcap by, so that a mirror which was fed by that
 * one goes on where it is.
 */
#ifndef CMD_RECOVER_IPCAP_H
#define CMD_RECOVER_IPCAP_H

#include <stdbool.h>
#include <stdint.h>

struct err;

struct recover_ipcap {
	const char *dir; /* where its files lie */
	uint16_t id;
	const char *into; /* a source is made in it; NULL: only look */
	/* A file that is not what it should be; [from, to) may be empty. */
	void (*on_fault)(void *arg, const char *file, uint64_t from,
			 uint64_t to, const char *what);
	void *arg;
};

struct recover_ipcap_report {
	uint64_t files, bytes, packets, missing;
	uint64_t oldest, head; /* [oldest, head) with what is missing */
	bool torn;	       /* the last file ends inside a record */
	unsigned linktypes;    /* more than one: each becomes a spool */
	uint64_t brought;      /* packets that were not in the source yet */
};

/* Is there any file of that source? */
bool recover_ipcap_there(const char *dir, uint16_t id);

/* 0, or a failure to read or to write.  Interrupted, it may be run again. */
int recover_ipcap(const struct recover_ipcap *how,
		  struct recover_ipcap_report *report, struct err *err);

#endif
