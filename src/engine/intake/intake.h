/* SPDX-License-Identifier: Apache-2.0 */
/*
 * intake.h - packets out of a stream of capture bytes, by a thread of its own.
 *
 * The stream is a descriptor (a command's output, standard input) or another
 * feed, which is dialled again whenever it ends.  Classic pcap and pcapng are
 * both understood.  The thread hands what it reads to a sink and waits when
 * the sink waits: a pipe holds its writer back, nothing is lost here.
 *
 * A sink gets one link type at a time.  A capture file whose interfaces have
 * several makes it change more often than is good for anybody who reads along,
 * so after INTAKE_CHANGES_MAX changes in one stream packets of other types
 * are left out, counted, and said so once.
 */
#ifndef ENGINE_INTAKE_INTAKE_H
#define ENGINE_INTAKE_INTAKE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct err;
struct intake;
struct packet;
struct sys;

enum { INTAKE_CHANGES_MAX = 16 };

/* All calls come from the intake's thread. */
struct intake_sink {
	/* What follows is of this link type.  snaplen 0: no limit was told. */
	int (*begin)(void *self, uint32_t linktype, uint32_t snaplen,
		     struct err *err);
	/* Take all of them, waiting if need be; borrowed until it returns. */
	int (*give)(void *self, const struct packet *p, int n, struct err *err);
	void *self;
};

struct intake_config {
	struct sys *sys;     /* of the machine: sockets and clocks */
	const char *name;    /* for sentences: "the command"; borrowed */
	int fd;		     /* borrowed; read to its end */
	const char *address; /* "host:port"; then fd is not used; borrowed */
	struct intake_sink sink;
	void (*ended)(void *arg); /* on the intake's thread, the last thing */
	void *arg;
};

struct intake_counters {
	atomic_uint_fast64_t packets;
	atomic_uint_fast64_t bytes;    /* of the stream */
	atomic_uint_fast64_t left_out; /* of other link types */
	atomic_uint_fast64_t connects; /* of a dialled source */
};

struct intake *intake_start(const struct intake_config *cfg, struct err *err);

/*
 * Read no more, wait for the thread (and so for a sink that waits), free.  0
 * when the stream ended well, was stopped, or was empty; otherwise why not.
 * NULL is ignored.
 */
int intake_stop(struct intake *i, struct err *err);

const struct intake_counters *intake_counters(const struct intake *i);

#endif
