/* SPDX-License-Identifier: Apache-2.0 */
/*
 * web.h - the API of a stream store over HTTP: doc/api.md has every route.
 *
 * Paths, parameters and fields are rustmate's, and more.  One thread of its
 * own answers (http.h); it reads the store through a view and never holds up
 * those who write.  What people do (favourites, hide rules, comments) is kept
 * beside the store, in page.db, and outlives it.
 */
#ifndef ENGINE_WEB_WEB_H
#define ENGINE_WEB_WEB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;
struct changes;
struct metrics;
struct store;
struct web;

struct web_config {
	const char *address;	  /* "host:port"; a port alone is on loopback */
	const char *const *hosts; /* further names of ours */
	int n_hosts;
	const char *token; /* whoever asks has to know it; NULL: nobody */
	const char *dir;	  /* of the store; page.db lies there too */
	struct store *store;	  /* written by this process; or NULL */
	size_t deltas_max;	  /* changes that can be asked for later */
	uint64_t slice_max;	  /* bytes of content in one answer */
	uint32_t highlights_max;  /* in one answer */
	uint32_t hex_row;	  /* bytes, 1 to 64 */
	uint32_t rows_max;	  /* in one answer, at the most 512 */
	/* Puts the members "stats" and "queue"; on the page's thread. */
	void (*numbers)(void *arg, struct buf *b);
	void *arg;
};

enum { WEB_ROWS_MAX = 512, WEB_TOKEN_MIN = 16, WEB_TOKEN_MAX = 128 };

#define WEB_CONFIG_DEFAULT                                                     \
	((struct web_config){ .deltas_max = 16384,                             \
			      .slice_max = 64 << 10,                           \
			      .highlights_max = 4096,                          \
			      .hex_row = 16,                                   \
			      .rows_max = WEB_ROWS_MAX })

/*
 * Listens and answers from now on; NULL on failure.  An address that other
 * machines reach is refused without a token.
 */
struct web *web_start(const struct web_config *cfg, struct err *err);
void web_stop(struct web *w); /* NULL is fine */

const char *web_address(const struct web *w); /* "127.0.0.1:33111" */

/* Where those who follow streams tell what changed; lives as long as w. */
struct changes *web_changes(struct web *w);

/* Any thread: "running", "completed", "failed". */
void web_run_status(struct web *w, const char *status);

#endif
