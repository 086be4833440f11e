/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map.h - find capture files and look through each of them once.
 *
 * Several threads read, one file each and the largest first; a large plain
 * pcap is shared among them.  The result does not depend on their number: it
 * stands in the order of the paths.
 */
#ifndef ENGINE_DATASET_MAP_H
#define ENGINE_DATASET_MAP_H

#include "engine/dataset/dataset.h"

struct pattern;

enum {
	MAP_WORKERS_MAX = 256, /* also what "unlimited" comes to */
	MAP_DEPTH_MAX = 100,   /* folders in folders */
	/* A plain pcap from here on is shared among workers. */
	MAP_SPLIT_BYTES = 256 << 20
};

struct map_progress {
	size_t files, files_done;
	uint64_t bytes, bytes_done;
};

struct map_config {
	const char *const *paths; /* folders, or single files */
	size_t n_paths;
	/* A file of a folder is wanted when its name, without the suffix of a
	 * packing, ends in one of these; none: every file. */
	const char *const *suffixes;
	size_t n_suffixes;
	const struct pattern *pattern; /* of the path; NULL: any */
	unsigned workers;	       /* 0: as many as there are files */
	uint64_t split_bytes;	       /* 0: MAP_SPLIT_BYTES */
	/* What is known already: files that did not change are not read. */
	const struct dataset *known;
	/* Called about five times a second on the calling thread; or NULL. */
	void (*progress)(void *arg, const struct map_progress *p);
	void *arg;
};

struct map_counts {
	size_t reused; /* files that were not read again */
	size_t other;  /* files of the folders that were not wanted */
};

/*
 * Fill an empty set.  0 also when some files failed (d->failed); an error when
 * a path is not there, none is wanted, or there are more than
 * DATASET_FILES_MAX.
 */
int map_files(const struct map_config *cfg, struct dataset *d,
	      struct map_counts *counts, struct err *err);

#endif
