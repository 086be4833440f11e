/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dataset.h - what is known of a set of capture files, and the file it is in.
 *
 * The file is JSON that gophercap reads, and gophercap's is read here
 * (doc/data-sets.md names every member).  A file of the set is described
 * whatever state it is in: empty, with equal times, cut at its end.  One that
 * could not be read at all stands in `failed` with the reason.
 *
 * A struct dataset belongs to one thread.
 */
#ifndef ENGINE_DATASET_DATASET_H
#define ENGINE_DATASET_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct buf;
struct err;

enum {
	DATASET_FILES_MAX = 1 << 20,
	DATASET_JSON_MAX = 1 << 30, /* bytes of such a file */
	DATASET_PATH_MAX = 4096
};

/* What one pass over the packets of a file says. */
struct dataset_tally {
	uint64_t packets;
	uint64_t captured, wire;    /* bytes, without record headers */
	uint64_t largest;	    /* captured bytes of one packet */
	uint64_t out_of_order;	    /* earlier than the packet before it */
	uint64_t backward_ns;	    /* most that one lies behind the latest */
	uint64_t first_ns, last_ns; /* in the order of the file */
	uint64_t min_ns, max_ns;
};

struct dataset_file {
	char *path;			 /* owned, as it was given */
	uint64_t bytes, mtime_ns, inode; /* 0: not known */
	uint64_t digest;    /* of its first and last 4 KiB; 0: not known */
	const char *format; /* "pcap", "pcapng"; static, NULL: not known */
	const char *packed; /* "gzip", "zstd", "lz4"; static, or NULL */
	uint32_t linktype;
	bool known_linktype, mixed_linktypes;
	bool nanoseconds; /* an interface counts finer than microseconds */
	uint32_t snaplen;
	struct dataset_tally tally;
	char *damage; /* owned: a sentence, or NULL */
};

struct dataset_failed {
	char *path, *why; /* owned */
};

struct dataset {
	struct dataset_file *files; /* owned */
	size_t n_files;
	struct dataset_failed *failed; /* owned */
	size_t n_failed;
	/* Of all files that have a packet; 0 where none has. */
	uint64_t min_ns, max_ns;
	uint64_t packets, captured, bytes;
};

void dataset_release(struct dataset *d);
void dataset_file_release(struct dataset_file *f);

/* min_ns, max_ns and the sums, after files were added or taken out. */
void dataset_sum(struct dataset *d);

/* Keep the files whose path `wanted` answers true for. */
void dataset_keep(struct dataset *d,
		  bool (*wanted)(void *arg, const struct dataset_file *f),
		  void *arg);

/* The file of that path; NULL when there is none.  O(n) without an index. */
const struct dataset_file *dataset_find(const struct dataset *d,
					const char *path);

/*
 * Read from / written to JSON.  dataset_parse() fills an empty set; `name` is
 * for sentences.  0, ERR_MALFORMED or ERR_LIMIT with a sentence that tells the
 * byte.
 */
int dataset_parse(struct bytes json, const char *name, struct dataset *d,
		  struct err *err);
void dataset_put_json(const struct dataset *d, struct buf *out);

/* The same with files; ERR_GONE when there is none.  "-" is standard output. */
int dataset_load(const char *path, struct dataset *d, struct err *err);
int dataset_save(const char *path, const struct dataset *d, struct err *err);

/*
 * Is the file still the one that was described?  By size and time of change,
 * where they are known, and by what lies at its head and tail where asked.
 * False with a sentence; also when it is gone.
 */
bool dataset_fresh(const struct dataset_file *f, bool digest, struct err *err);

#endif
