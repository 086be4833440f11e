/* SPDX-License-Identifier: Apache-2.0 */
/*
 * find.h - the capture files below some folders, in the order of their paths.
 */
#ifndef ENGINE_DATASET_FIND_H
#define ENGINE_DATASET_FIND_H

#include "engine/dataset/map.h"

struct found_file {
	char *path; /* owned */
	uint64_t bytes, mtime_ns, inode;
};

struct found {
	struct found_file *at; /* owned */
	size_t n;
	size_t other; /* not wanted */
};

/* Fill an empty struct found. */
int find_files(const struct map_config *cfg, struct found *f, struct err *err);
void found_release(struct found *f);

#endif
