/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http.h - HTTP requests to handlers, on a thread of the server's own.
 *
 * libevent's evhttp speaks the protocol; here are the rules of the house.  A
 * page of another site must not reach what a browser on this machine can:
 * Host has to be an address in digits, localhost or a name that was allowed
 * (no name that somebody else may point at us), Origin, where there is one,
 * has to be the same, and nothing is changed by GET.  Heads, bodies, idle time
 * and connections are bounded.
 *
 * A handler answers at once, or keeps the request and answers later, or
 * streams.  Everything runs on the server's thread but http_wake().
 */
#ifndef ENGINE_WEB_HTTP_H
#define ENGINE_WEB_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct buf;
struct err;
struct http_request;
struct http_server;

enum {
	HTTP_CONNECTIONS_MAX = 256,
	HTTP_HEAD_MAX = 16 << 10,
	HTTP_BODY_MAX = 1 << 20,
	HTTP_PARAMS_MAX = 3,
	HTTP_IDLE_SECONDS = 15 /* for a request to come, or to be taken */
};

/* "/api/streams/{id}/content": each {} takes one segment of the path. */
struct http_route {
	const char *method; /* "GET"; one that is GET is HEAD too */
	const char *path;
	void (*handler)(void *app, struct http_request *r);
};

struct http_config {
	const char *address; /* "host:port"; a port alone is on loopback */
	const char *const *hosts; /* allowed names in Host; at most 16 */
	int n_hosts;
	const struct http_route *routes;
	int n_routes;
	void *app;
	/* Before each handler; it answers by itself when it returns false. */
	bool (*admit)(void *app, struct http_request *r);
	void (*woken)(void *app); /* after http_wake() */
	void (*tick)(void *app);  /* ten times a second */
};

/*
 * Listens and starts the thread, for which *s is set already; NULL on failure.
 * cfg->routes is borrowed.
 */
int http_start(struct http_server **s, const struct http_config *cfg,
	       struct err *err);
void http_stop(struct http_server *s); /* joins it; NULL is fine */
const char *http_address(const struct http_server *s); /* as it listens */

/* Any thread: have woken() called soon, once for any number of calls. */
void http_wake(struct http_server *s);

struct http_counters {
	uint64_t requests, refused; /* by the rules above */
	unsigned connections;
};
void http_counters(const struct http_server *s, struct http_counters *c);

/* -- in a handler ---------------------------------------------------------- */

const char *http_method(const struct http_request *r);
const char *http_path(const struct http_request *r);

/* What the nth {} of the route took; decoded. */
const char *http_param(const struct http_request *r, int n);

/* The value of ?name=, decoded; NULL where it is not given. */
const char *http_query(const struct http_request *r, const char *name);

/* Of the request; NULL where it is not given. */
const char *http_header(const struct http_request *r, const char *name);
struct bytes http_body(const struct http_request *r);

/* "address:port" of the one who asks. */
const char *http_peer(const struct http_request *r);

/* What http_answer() will send; write it with json_*() or put_*(). */
struct buf *http_out(struct http_request *r);
void http_set(struct http_request *r, const char *header, const char *value);

/* Each of these ends the request: it must not be touched after. */
void http_answer(struct http_request *r, int status, const char *type);
void http_json(struct http_request *r, int status);
void http_fail(struct http_request *r, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * The answer comes later, from woken() or tick() or another handler.  gone()
 * is called when the client hangs up before, and the request ends then.
 */
void http_keep(struct http_request *r, void (*gone)(void *arg), void *arg);

/*
 * An answer in pieces: http_stream(), then http_write() as often as there is
 * something, then http_stream_end().  gone() as above; http_behind() is how
 * many bytes the client has not taken yet.
 */
void http_stream(struct http_request *r, const char *type,
		 void (*gone)(void *arg), void *arg);
void http_write(struct http_request *r, struct bytes data);
size_t http_behind(const struct http_request *r);
void http_stream_end(struct http_request *r);

#endif
