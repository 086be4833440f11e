/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_load.h - packets in memory for weir bench: made ones, or a capture's.
 */
#ifndef CMD_BENCH_LOAD_H
#define CMD_BENCH_LOAD_H

#include "base/buf.h"
#include "codec/packet.h"

struct err;

struct bench_load {
	const char *name;
	uint32_t linktype;
	struct packet *packets; /* owned; their bytes lie in `bytes` */
	size_t n, room;
	struct buf bytes;
};

/* The names, for a sentence: "http-requests, …". */
extern const char bench_load_names[];

struct bench_size {
	uint64_t flows, messages; /* of each flow */
};

/*
 * rustmate-load's fixtures by their names; the same packets at each call.
 * ERR_USAGE for another name.
 */
int bench_load_make(struct bench_load *l, const char *name,
		    const struct bench_size *size, struct err *err);
int bench_load_file(struct bench_load *l, const char *path, struct err *err);
void bench_load_release(struct bench_load *l);

#endif
