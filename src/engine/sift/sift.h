/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sift.h - one capture file through named filters, each with its output.
 *
 * One pass: a packet is decoded once, perhaps taken out of its tunnels,
 * perhaps dropped as a double, and then offered to every filter.  What a
 * filter takes goes to DIR/FILTER/NAME.pcap with the link type it has then;
 * where a filter takes packets of several link types, each has a file.  Time
 * and original length are kept, to the nanosecond where the source has them.
 *
 * An output is written beside its name and renamed when it is whole.  One
 * thread a file; rules are the thread's.
 */
#ifndef ENGINE_SIFT_SIFT_H
#define ENGINE_SIFT_SIFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct rules;

struct sift_config {
	const char *dir; /* folders of the filters lie there */
	bool decap;
	int64_t decap_depth; /* tunnels taken off; below 0: all */
	bool compress;	     /* gzip */
	uint64_t dedup_ns;   /* window; 0: keep doubles */
};

/* Of one filter on one file. */
struct sift_result {
	uint64_t matched, bytes;
};

struct sift_counts {
	uint64_t packets, doubles, decapsulated;
	uint64_t decap_errors; /* tunnels that are cut or broken: kept as is */
	uint64_t undecoded;    /* no IP, broken, or a link type not read */
};

/*
 * Read `input`; `name` is what the outputs are called, without a suffix.
 * `results` has a place for each filter.  0 also for a damaged end, with a
 * sentence in `warning`; a failure to write leaves no output half done.
 */
int sift_file(const struct sift_config *cfg, struct rules *rules,
	      const char *input, const char *name, struct sift_result *results,
	      struct sift_counts *counts, struct err *warning, struct err *err);

/*
 * A name for each of n inputs, owned by the caller: its last part without
 * ".gz" or ".pcap", with its folders where others are called the same.
 */
char **sift_names(const char *const *inputs, size_t n);

#endif
