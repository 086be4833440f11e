/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.h - the program's numbers for Prometheus, over HTTP.
 *
 * A registry holds what can be asked; each GET /metrics asks it, so a number
 * costs nothing while nobody looks.  Everything runs on the loop's thread;
 * what another thread counts is an _Atomic with one writer.  The server
 * answers one request a connection, holds few connections, and gives each a
 * few seconds: whoever reaches the port can take nothing else.
 */
#ifndef ENGINE_METRICS_METRICS_H
#define ENGINE_METRICS_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/bytes.h"

struct err;
struct loop;
struct metrics;
struct metrics_server;

enum metric_type {
	METRIC_COUNTER, /* only grows; by custom its name ends in _total */
	METRIC_GAUGE
};

/* What a number is; all texts are borrowed as long as the registry lives. */
struct metric {
	enum metric_type type;
	const char *name;   /* "weir_feed_clients" */
	const char *help;   /* one sentence */
	const char *labels; /* from metrics_labels(), or NULL */
};

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m); /* NULL is fine */

/*
 * Pairs of name and value, ended by NULL, as the labels of a metric:
 * metrics_labels(m, "source", name, NULL).  Any value is made safe.  Lives as
 * long as the registry.
 */
const char *metrics_labels(struct metrics *m, const char *name, ...)
	__attribute__((sentinel));

/* A number that is worked out, or just read, when somebody asks. */
void metrics_add(struct metrics *m, const struct metric *what,
		 double (*value)(void *arg), void *arg);
void metrics_add_count(struct metrics *m, const struct metric *what,
		       const atomic_uint_fast64_t *count);

/* Forget all numbers that were added with this arg (or are this count). */
void metrics_remove(struct metrics *m, const void *arg);

/* The whole page; borrowed until the next call. */
struct bytes metrics_text(struct metrics *m);

/*
 * Serve it at "addr:port"; a port alone ("9100") is on loopback, and ":9100"
 * is every address.  Port 0 picks one.  NULL on failure.
 */
struct metrics_server *metrics_serve(struct loop *loop, struct metrics *m,
				     const char *address, struct err *err);
void metrics_server_free(struct metrics_server *s); /* NULL is fine */

/* The port it listens on. */
unsigned metrics_server_port(const struct metrics_server *s);

#endif
