/* SPDX-License-Identifier: Apache-2.0 */
/*
 * analyze_input.h - where the packets of an analysis come from.
 *
 * One thread reads, whatever the source: files and folders, standard input, an
 * interface, a feed that is dialled, sensors that push, a spool that grows.
 * The other calls belong to the thread that started it.
 */
#ifndef CMD_ANALYZE_INPUT_H
#define CMD_ANALYZE_INPUT_H

#include <stdbool.h>
#include <stdint.h>

struct analyze;
struct err;
struct input;
struct output;
struct stream_source;

/* What is known of earlier runs over a spool; zeros: nothing. */
struct input_memory {
	void *arg;
	/* Every packet before `given` was followed; those from `resume` on
	 * are needed again.  False: none was. */
	bool (*where)(void *arg, const uint8_t *origin, const char *spool,
		      uint64_t *resume, uint64_t *given);
	/* Packets from `from` on will be given. */
	int (*go_on)(void *arg, const struct stream_source *source,
		     uint64_t from, uint64_t given, struct err *err);
};

/* One of the kinds of source is given.  Texts are borrowed until the stop. */
struct input_config {
	struct analyze *analyze;
	const struct output *output; /* reading ends when it fails; or NULL */
	const char *const *files;    /* files, folders, "-" */
	int n_files;
	const char *iface;
	const char *from;	/* "host:port" of a feed */
	const char *listen;	/* "host:port" where sensors push */
	const char *spool;	/* a source's directory */
	bool follow;		/* a spool: wait for more at its end */
	struct input_memory memory; /* a spool: it is given marks, too */
	const char *identity;	/* in place of what the packets tell */
	const char *expression; /* NULL: everything */
	uint64_t packets_max;	/* 0: no limit */
	uint32_t batch;
	/* An interface: */
	uint32_t snaplen, timeout_ms;
	uint64_t ring_bytes;
	bool promiscuous;
	void (*ended)(void *arg); /* on the reading thread, the last thing */
	void *arg;
};

struct input_status {
	uint64_t received; /* packets taken from the source */
	uint64_t filtered; /* of them, left out by the expression */
	uint64_t dropped_kernel, dropped_interface;
	uint64_t position, size; /* bytes of the file; size 0: nobody knows */
};

struct input *input_start(const struct input_config *cfg, struct err *err);
void input_status(struct input *in, struct input_status *s);

/* The address where sensors push; NULL when it does not listen. */
const char *input_address(const struct input *in);

/* Read no more, end the thread, free; 0 or why reading failed. */
int input_stop(struct input *in, struct err *err);

#endif
