/* SPDX-License-Identifier: Apache-2.0 */
/*
 * analyze_input_priv.h - what the kinds of source have in common.
 */
#ifndef CMD_ANALYZE_INPUT_PRIV_H
#define CMD_ANALYZE_INPUT_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/err.h"
#include "cmd/analyze_input.h"
#include "engine/analyze/analyze.h"
#include "sys/sys.h"

struct expression;

enum { INPUT_BATCH_MAX = 65536, IDENTITY_PACKETS = 256 };

struct input {
	struct input_config cfg;
	int halt; /* eventfd: readable from the stop on */
	pthread_t thread;
	atomic_bool stop;
	atomic_uint_fast64_t received, filtered, dropped_kernel,
		dropped_interface, position, size;
	struct err failure; /* the thread's, until it is joined */

	/* The reading thread's own. */
	struct expression *expression;
	uint32_t expression_type;
	uint64_t taken;			 /* packets given on */
	uint8_t (*origins)[ORIGIN_SIZE]; /* of this run */
	int n_origins;

	int listener;
	char address[SYS_PEER_MAX];
};

bool input_stopped(const struct input *in);

/* Until the descriptor (-1: none) is readable, the time is over, or the stop:
 * then false. */
bool input_wait(const struct input *in, int fd, int ms);

/*
 * Give packets on: filtered, counted, up to the limit, at which the input
 * stops.  `index` is that of the first of them in the source.
 */
int input_give(struct input *in, const struct stream_source *source,
	       uint32_t linktype, const struct packet *p, int n, uint64_t index,
	       struct err *err);

/*
 * A source known by its name, or by its first packets.  The second one with
 * the same packets in a run is told apart by its number.
 */
const struct stream_source *input_source(struct input *in, const char *name,
					 const struct packet *p, int n);

int input_read_files(struct input *in, struct err *err);
int input_read_interface(struct input *in, struct err *err);
int input_read_feed(struct input *in, struct err *err);
int input_read_pushed(struct input *in, struct err *err);
int input_read_spool(struct input *in, struct err *err);

#endif
