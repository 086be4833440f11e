/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert.h - streams given to a program of the user's, and what it makes of
 * them.
 *
 * A converter is any executable that reads JSON lines and answers with JSON
 * lines (doc/converters.md).  Up to so many processes of it run at once, each
 * for one stream at a time and many after another.  Whatever a process does
 * (crash, hang, write without end, write nonsense) becomes the state of the
 * stream that it had; the process is ended with everything it started, and the
 * next stream gets another one, after a while when it keeps failing.
 *
 * converter_run() may be called from any thread and waits; everything else
 * belongs to whoever made the converter.
 */
#ifndef ENGINE_CONVERT_CONVERT_H
#define ENGINE_CONVERT_CONVERT_H

#include "base/buf.h"
#include "base/err.h"

enum { CONVERT_PROCESSES_MAX = 64, CONVERT_CHUNKS_MAX = 1 << 16 };

struct converter_config {
	const char *command; /* a program and its words, as in a shell */
	unsigned processes;  /* at most, at once */
	uint64_t stream_ns;  /* time for one stream, waiting included */
	uint64_t input_max;  /* bytes of a stream; what follows is cut off */
	uint64_t output_max; /* bytes of an answer */
	uint64_t memory_max; /* of a process; 0: no limit */
	uint64_t backoff_ns; /* after a failure; doubled with each one */
	uint64_t backoff_max_ns;
};

#define CONVERTER_CONFIG_DEFAULT                                               \
	((struct converter_config){ .processes = 2,                            \
				    .stream_ns = UINT64_C(10000000000),        \
				    .input_max = 16 << 20,                     \
				    .output_max = 16 << 20,                    \
				    .memory_max = UINT64_C(1) << 30,           \
				    .backoff_ns = 100000000,                   \
				    .backoff_max_ns = UINT64_C(30000000000) })

struct converter;

/* Starts no process yet.  NULL: the command line is no good. */
struct converter *converter_new(const struct converter_config *cfg,
				struct err *err);

/* Ends all processes; nobody is in converter_run(). */
void converter_free(struct converter *c);

/* -- what is asked ------------------------------------------------ */

struct convert_about {
	uint64_t id;
	const char *service;	 /* "http"; "" is not known */
	const char *protocol;	 /* "tcp" */
	const char *endpoint[2]; /* "10.0.0.1:80" of a and b */
	int opener;		 /* 0: a, 1: b */
};

/* The lines of one stream.  A zeroed one is empty. */
struct convert_request {
	struct buf lines;
	uint64_t id;
	uint64_t input, input_max; /* bytes */
	bool cut;		   /* there were more */
};

void convert_request_begin(struct convert_request *r, const struct converter *c,
			   const struct convert_about *about);

/* False: no more fits. */
bool convert_request_data(struct convert_request *r, int way, uint64_t offset,
			  uint64_t time_ns, struct bytes data);
void convert_request_missing(struct convert_request *r, int way,
			     uint64_t offset, uint64_t len, const char *why);
void convert_request_end(struct convert_request *r);
void convert_request_release(struct convert_request *r);

/* -- what is answered --------------------------------------------- */

enum convert_state {
	CONVERT_DONE,
	CONVERT_REFUSED,  /* it said that it cannot, and why */
	CONVERT_CRASHED,  /* it ended before it was done */
	CONVERT_HUNG,	  /* its time was over */
	CONVERT_TOO_MUCH, /* its answer went over the limit */
	CONVERT_NONSENSE, /* it wrote what is no answer */
	CONVERT_RESTING	  /* it failed so often that it must wait */
};

const char *convert_state_name(enum convert_state state);

struct convert_chunk {
	int way;	   /* who is to have said it */
	size_t at, len;	   /* in `bytes` */
	bool has_range;	   /* it said where it took that from: */
	uint64_t from, to; /* offsets in the direction */
};

struct convert_answer {
	enum convert_state state;
	struct err err;	  /* not DONE: a sentence, with its last words */
	struct buf bytes; /* what came, also when it was not done */
	struct convert_chunk *chunks; /* owned */
	size_t n, cap;
};

void convert_answer_release(struct convert_answer *a);

/*
 * Ask a process and wait for its answer, for no longer than stream_ns.  The
 * answer is filled whatever happens; returns its state.
 */
enum convert_state converter_run(struct converter *c,
				 const struct convert_request *r,
				 struct convert_answer *answer);

/* Any thread. */
struct converter_counters {
	uint64_t streams, done;
	uint64_t refused, crashed, hung, too_much, nonsense, resting;
	uint64_t started; /* processes, all in all */
	unsigned running; /* now */
};
void converter_counters(struct converter *c, struct converter_counters *n);

#endif
