/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extract.h - members of an archive into one folder.
 *
 * A member's name is only looked at for its last part: nothing is ever written
 * outside of the folder, whatever the archive says.  Where a name was given
 * out already the next member of that name gets its folders in front
 * ("y_c.pcap").  Links, devices and what else is no file are passed over and
 * told.  A file is written beside its name and renamed when it is whole; of a
 * damaged archive the whole members stay, and the torn one is removed.
 *
 * One thread reads and unpacks; with a packing, others pack what it gives.
 */
#ifndef ENGINE_ARCHIVE_EXTRACT_H
#define ENGINE_ARCHIVE_EXTRACT_H

#include <stdbool.h>
#include <stdint.h>

struct err;

enum { EXTRACT_WORKERS_MAX = 64, EXTRACT_MEMBERS_MAX = 1 << 22 };

enum extract_packing { EXTRACT_PLAIN, EXTRACT_GZIP, EXTRACT_ZSTD };

enum extract_fate {
	EXTRACT_WRITTEN,
	EXTRACT_LISTED,	 /* a dry run */
	EXTRACT_NO_FILE, /* a link, a device, a sparse or odd member */
	EXTRACT_BAD_NAME
};

struct extract_event {
	enum extract_fate fate;
	const char *name; /* in the archive */
	const char *as;	  /* in the folder; NULL where there is none */
	uint64_t size;
};

struct extract_progress {
	uint64_t position, size; /* bytes of the archive; size 0: not known */
	uint64_t members, written, bytes;
};

struct extract_config {
	const char *archive, *dir;
	enum extract_packing packing;
	unsigned workers; /* that pack */
	bool dry_run;
	uint64_t bytes_max; /* of all that is written, unpacked */
	/* Is this member wanted?  NULL: every file. */
	bool (*wanted)(void *arg, const char *name);
	/* All on the calling thread; or NULL. */
	void (*event)(void *arg, const struct extract_event *e);
	void (*progress)(void *arg, const struct extract_progress *p);
	void *arg;
};

struct extract_counts {
	uint64_t members, wanted, written, bytes, renamed, no_files, bad_names;
};

/* 0, or a failure; counts tell what was done before it. */
int extract_archive(const struct extract_config *cfg,
		    struct extract_counts *counts, struct err *err);

#endif
