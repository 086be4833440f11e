/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervise.h - keep programs running, and end them well.
 *
 * Each child runs in a process group of its own, so that a Ctrl-C reaches only
 * us and we decide the order of the end; when we die, however it happens, the
 * kernel sends it SIGTERM.  What it writes comes to us line by line.  One that
 * ends although nobody asked is started again after 1, 2, 4 ... 32 s, and the
 * log says so.
 *
 * Everything runs on the loop's thread, which must be the process's first one
 * and the only one that starts children.
 */
#ifndef ENGINE_SUPERVISE_SUPERVISE_H
#define ENGINE_SUPERVISE_SUPERVISE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct err;
struct loop;
struct supervisor;

enum { SUPERVISE_MAX = 16, SUPERVISE_ARGS_MAX = 32, SUPERVISE_LINE = 4096 };

struct supervisor_config {
	/* One line that a child wrote, without its end; cut to SUPERVISE_LINE. */
	void (*on_line)(void *arg, const char *name, struct bytes line);
	/* One that was added as `once` has ended, as wait(2) says in status. */
	void (*on_done)(void *arg, const char *name, int status);
	/* After supervisor_end(): the last child is gone. */
	void (*on_gone)(void *arg);
	void *arg;
	uint64_t backoff_ns;  /* before the first restart; then doubled */
	uint64_t backoff_max_ns;
	uint64_t steady_ns;   /* who ran that long is forgiven */
	uint64_t patience_ns; /* from the first request to end until SIGKILL */
};

#define SUPERVISOR_CONFIG_DEFAULT                                              \
	((struct supervisor_config){ .backoff_ns = UINT64_C(1000000000),       \
				     .backoff_max_ns = UINT64_C(32000000000),  \
				     .steady_ns = UINT64_C(60000000000),       \
				     .patience_ns = UINT64_C(5000000000) })

struct supervisor *supervisor_new(struct loop *loop,
				  const struct supervisor_config *cfg);

/* Kills what still runs.  NULL is ignored. */
void supervisor_free(struct supervisor *s);

/*
 * Start a program and watch over it.  The words of argv, which ends with NULL,
 * and the name are copied.  With `once` it is not started again, however it
 * ends: on_done hears of it.  ERR_LIMIT when there are too many, ERR_FAILED when the
 * system cannot start it.
 */
int supervisor_add(struct supervisor *s, const char *name,
		   const char *const *argv, bool once, struct err *err);

/* Ask one to end, and do not start it again. */
void supervisor_end_one(struct supervisor *s, const char *name);

/* Ask all of them; on_gone is called when none is left, also at once. */
void supervisor_end(struct supervisor *s);

bool supervisor_runs(const struct supervisor *s, const char *name);

/* How often it was started again. */
unsigned supervisor_restarts(const struct supervisor *s, const char *name);

#endif
