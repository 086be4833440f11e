/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/web/http.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "codec/json.h"
#include "sys/loop.h"
#include "sys/sys.h"

enum {
	TICK_NS = 100000000,
	FULL_NS = 100000000, /* look again whether there is room */
	KEPT_SECONDS = 90,   /* a kept or streamed request may be silent */
	PARAM_MAX = 256
};

struct connection {
	struct evhttp_connection *ev; /* NULL: free */
	struct http_request *request; /* under way, or NULL */
	char peer[72];
};

struct http_server {
	struct http_config cfg;
	char *hosts[16]; /* owned copies */
	int n_hosts;
	char address[SYS_PEER_MAX];
	struct loop *loop;
	struct loop_wake *wake, *stop;
	struct loop_timer *tick, *full;
	struct evhttp *http;
	struct evconnlistener *listener;
	int socket;
	pthread_t thread;
	bool runs;
	struct connection connections[HTTP_CONNECTIONS_MAX];
	/* Accepted and silent so far: when, a ring. */
	uint64_t silent[HTTP_CONNECTIONS_MAX];
	unsigned silent_first, n_silent;
	atomic_uint n_connections;
	atomic_uint_fast64_t requests, refused;
};

struct http_request {
	struct http_server *server;
	struct connection *connection;
	struct evhttp_request *ev;
	struct evkeyvalq query;
	struct buf out;
	char params[HTTP_PARAMS_MAX][PARAM_MAX];
	bool kept, streams;
	void (*gone)(void *arg);
	void *arg;
};

/* -- requests ---------------------------------------------------------------- */

static struct http_request *request_new(struct http_server *s,
					struct connection *c,
					struct evhttp_request *ev)
{
	struct http_request *r = mem_alloc(sizeof(*r));
	const char *query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(ev));

	r->server = s;
	r->connection = c;
	r->ev = ev;
	TAILQ_INIT(&r->query);
	if (query)
		(void)evhttp_parse_query_str(query, &r->query);
	c->request = r;
	return r;
}

static void request_free(struct http_request *r)
{
	r->connection->request = NULL;
	evhttp_clear_headers(&r->query);
	buf_release(&r->out);
	free(r);
}

const char *http_method(const struct http_request *r)
{
	switch (evhttp_request_get_command(r->ev)) {
	case EVHTTP_REQ_GET:
	case EVHTTP_REQ_HEAD:
		return "GET";
	case EVHTTP_REQ_POST:
		return "POST";
	case EVHTTP_REQ_PUT:
		return "PUT";
	case EVHTTP_REQ_DELETE:
		return "DELETE";
	case EVHTTP_REQ_PATCH:
		return "PATCH";
	default:
		return "";
	}
}

const char *http_path(const struct http_request *r)
{
	const char *path = evhttp_uri_get_path(
		evhttp_request_get_evhttp_uri(r->ev));

	return path ? path : "";
}

const char *http_param(const struct http_request *r, int n)
{
	assert(n >= 0 && n < HTTP_PARAMS_MAX);
	return r->params[n];
}

const char *http_query(const struct http_request *r, const char *name)
{
	return evhttp_find_header(&r->query, name);
}

const char *http_header(const struct http_request *r, const char *name)
{
	return evhttp_find_header(evhttp_request_get_input_headers(r->ev),
				  name);
}

struct bytes http_body(const struct http_request *r)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(r->ev);
	size_t len = evbuffer_get_length(in);

	return bytes_of(len ? evbuffer_pullup(in, -1) : NULL, len);
}

const char *http_peer(const struct http_request *r)
{
	return r->connection->peer;
}

struct buf *http_out(struct http_request *r)
{
	return &r->out;
}

void http_set(struct http_request *r, const char *header, const char *value)
{
	struct evkeyvalq *to = evhttp_request_get_output_headers(r->ev);

	evhttp_remove_header(to, header);
	evhttp_add_header(to, header, value);
}

/* Nothing of ours is framed, guessed, kept by proxies or fetched elsewhere. */
static void set_guards(struct http_request *r, const char *type)
{
	static const char *const guards[][2] = {
		{ "Content-Security-Policy",
		  "default-src 'none'; script-src 'self'; style-src 'self'; "
		  "img-src 'self' data:; connect-src 'self'; frame-src 'self'; "
		  "base-uri 'none'; form-action 'none'; "
		  "frame-ancestors 'none'" },
		{ "X-Content-Type-Options", "nosniff" },
		{ "Referrer-Policy", "no-referrer" },
		{ "Cross-Origin-Resource-Policy", "same-origin" },
		{ "Cross-Origin-Opener-Policy", "same-origin" },
		{ "Cache-Control", "no-store" },
	};
	struct evkeyvalq *to = evhttp_request_get_output_headers(r->ev);

	for (size_t i = 0; i < sizeof(guards) / sizeof(*guards); i++)
		if (!evhttp_find_header(to, guards[i][0]))
			evhttp_add_header(to, guards[i][0], guards[i][1]);
	http_set(r, "Content-Type", type);
}

static const char *reason_of(int status)
{
	static const struct {
		int status;
		const char *reason;
	} all[] = {
		{ 200, "OK" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 303, "See Other" },
		{ 304, "Not Modified" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 409, "Conflict" },
		{ 413, "Content Too Large" },
		{ 429, "Too Many Requests" },
		{ 500, "Internal Server Error" },
		{ 503, "Service Unavailable" },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (all[i].status == status)
			return all[i].reason;
	return "Answer";
}

/* A client waited for us; from now on we wait for it again. */
static void idle_again(struct http_request *r)
{
	if (r->kept)
		evhttp_connection_set_timeout(r->connection->ev,
					      HTTP_IDLE_SECONDS);
}

void http_answer(struct http_request *r, int status, const char *type)
{
	struct evhttp_request *ev = r->ev;
	struct evbuffer *out = evhttp_request_get_output_buffer(ev);

	assert(!r->streams);
	set_guards(r, type);
	evbuffer_add(out, r->out.p, r->out.len);
	idle_again(r);
	request_free(r);
	evhttp_send_reply(ev, status, reason_of(status), NULL);
}

void http_json(struct http_request *r, int status)
{
	http_answer(r, status, "application/json");
}

void http_fail(struct http_request *r, int status, const char *fmt, ...)
{
	char text[ERR_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_clear(&r->out);
	json_begin(&r->out, NULL);
	json_word(&r->out, "error", text);
	json_end(&r->out);
	http_json(r, status);
}

void http_keep(struct http_request *r, void (*gone)(void *arg), void *arg)
{
	r->kept = true;
	r->gone = gone;
	r->arg = arg;
	evhttp_connection_set_timeout(r->connection->ev, KEPT_SECONDS);
}

void http_stream(struct http_request *r, const char *type,
		 void (*gone)(void *arg), void *arg)
{
	http_keep(r, gone, arg);
	r->streams = true;
	set_guards(r, type);
	evhttp_send_reply_start(r->ev, 200, "OK");
}

void http_write(struct http_request *r, struct bytes data)
{
	struct evbuffer *piece;

	if (!data.len)
		return; /* an empty chunk would be the end */
	piece = evbuffer_new();
	assert(piece);
	evbuffer_add(piece, data.p, data.len);
	evhttp_send_reply_chunk(r->ev, piece);
	evbuffer_free(piece);
}

size_t http_behind(const struct http_request *r)
{
	return evbuffer_get_length(bufferevent_get_output(
		evhttp_connection_get_bufferevent(r->connection->ev)));
}

void http_stream_end(struct http_request *r)
{
	struct evhttp_request *ev = r->ev;

	idle_again(r);
	request_free(r);
	evhttp_send_reply_end(ev);
}

/* -- who may ask ------------------------------------------------------------- */

/* "[::1]:80", "10.0.0.1:80", "name:80" without the port. */
static bool host_alone(const char *host, char out[PARAM_MAX])
{
	const char *end = host + strlen(host), *colon = strrchr(host, ':');

	if (*host == '[') {
		host++;
		end = strchr(host, ']');
		if (!end)
			return false;
	} else if (colon) {
		end = colon;
	}
	if (end - host >= PARAM_MAX || end == host)
		return false;
	memcpy(out, host, (size_t)(end - host));
	out[end - host] = 0;
	return true;
}

static bool in_digits(const char *host)
{
	uint8_t a[16];

	return inet_pton(AF_INET, host, a) == 1 ||
	       inet_pton(AF_INET6, host, a) == 1;
}

static bool host_is_ours(const struct http_server *s, const char *host)
{
	char alone[PARAM_MAX];

	if (!host || !host_alone(host, alone))
		return false;
	if (in_digits(alone) || strcasecmp(alone, "localhost") == 0)
		return true;
	for (int i = 0; i < s->n_hosts; i++)
		if (strcasecmp(alone, s->hosts[i]) == 0)
			return true;
	return false;
}

static bool origin_is_ours(const char *origin, const char *host)
{
	const char *at = strstr(origin, "://");

	return at && strcasecmp(at + 3, host) == 0;
}

static int count_headers(const struct http_request *r, const char *name)
{
	struct evkeyvalq *in = evhttp_request_get_input_headers(r->ev);
	struct evkeyval *h;
	int n = 0;

	TAILQ_FOREACH(h, in, next)
		n += strcasecmp(h->key, name) == 0;
	return n;
}

/* True when the request may go on; else it has been answered. */
static bool passes(struct http_request *r)
{
	struct http_server *s = r->server;
	const char *host = http_header(r, "Host");
	const char *origin = http_header(r, "Origin");
	const char *site = http_header(r, "Sec-Fetch-Site");

	if (count_headers(r, "Content-Length") > 1 ||
	    count_headers(r, "Host") > 1) {
		http_fail(r, 400, "a head that says the same thing twice");
	} else if (!host_is_ours(s, host)) {
		http_fail(r, 403,
			  "the name \"%.100s\" is not one of ours; use the "
			  "address in digits, or allow the name",
			  host ? host : "");
	} else if (origin && !origin_is_ours(origin, host)) {
		http_fail(r, 403, "pages of another site may not ask this");
	} else if (site && strcmp(http_method(r), "GET") != 0 &&
		   strcmp(site, "same-origin") != 0 &&
		   strcmp(site, "none") != 0) {
		http_fail(r, 403, "pages of another site may not change this");
	} else {
		return true;
	}
	atomic_fetch_add(&s->refused, 1);
	return false;
}

/* -- routes ------------------------------------------------------------------- */

/* Copy a path's segment, decoded; false where it does not fit. */
static bool take_segment(const char *from, size_t len, char out[PARAM_MAX])
{
	char raw[PARAM_MAX], *decoded;
	size_t n;

	if (len >= PARAM_MAX)
		return false;
	memcpy(raw, from, len);
	raw[len] = 0;
	decoded = evhttp_uridecode(raw, 0, &n);
	assert(decoded);
	memcpy(out, decoded, n + 1);
	free(decoded);
	return strlen(out) == n;
}

static bool path_fits(const char *route, const char *path,
		      char params[HTTP_PARAMS_MAX][PARAM_MAX])
{
	int n = 0;

	while (*route) {
		if (*route == '{') {
			size_t len = strcspn(path, "/");

			if (!len || n == HTTP_PARAMS_MAX ||
			    !take_segment(path, len, params[n++]))
				return false;
			path += len;
			route = strchr(route, '}') + 1;
		} else if (*route++ != *path++) {
			return false;
		}
	}
	return *path == 0;
}

static const struct http_route *route_of(struct http_request *r, bool *there)
{
	const struct http_config *cfg = &r->server->cfg;
	const char *path = http_path(r), *method = http_method(r);

	*there = false;
	for (int i = 0; i < cfg->n_routes; i++) {
		const struct http_route *at = &cfg->routes[i];

		if (!path_fits(at->path, path, r->params))
			continue;
		*there = true;
		if (strcmp(at->method, method) == 0)
			return at;
	}
	return NULL;
}

static void dispatch(struct http_request *r)
{
	struct http_server *s = r->server;
	const struct http_route *route;
	bool there;

	if (!passes(r))
		return;
	route = route_of(r, &there);
	if (!route && there)
		http_fail(r, 405, "%s cannot be asked this way",
			  http_path(r));
	else if (!route)
		http_fail(r, 404, "there is nothing at %.200s", http_path(r));
	else if (!s->cfg.admit || s->cfg.admit(s->cfg.app, r))
		route->handler(s->cfg.app, r);
}

/* -- connections ---------------------------------------------------------------- */

static uint64_t now(void)
{
	struct sys *sys = sys_host();

	return sys->mono_ns(sys);
}

static struct connection *find(struct http_server *s,
			       struct evhttp_connection *ev)
{
	for (int i = 0; i < HTTP_CONNECTIONS_MAX; i++)
		if (s->connections[i].ev == ev)
			return &s->connections[i];
	return NULL;
}

static void on_closed(struct evhttp_connection *ev, void *arg)
{
	struct http_server *s = arg;
	struct connection *c = find(s, ev);
	struct http_request *r;

	if (!c)
		return;
	r = c->request;
	if (r) {
		void (*gone)(void *) = r->gone;
		void *whose = r->arg;

		request_free(r);
		if (gone)
			gone(whose);
	}
	*c = (struct connection){ .ev = NULL };
	atomic_fetch_sub(&s->n_connections, 1);
}

static struct connection *meet(struct http_server *s,
			       struct evhttp_connection *ev)
{
	struct connection *c = find(s, ev);
	char *address;
	uint16_t port;

	if (c)
		return c;
	c = find(s, NULL);
	if (!c)
		return NULL;
	if (s->n_silent) {
		s->silent_first = (s->silent_first + 1) % HTTP_CONNECTIONS_MAX;
		s->n_silent--;
	}
	evhttp_connection_get_peer(ev, &address, &port);
	*c = (struct connection){ .ev = ev };
	snprintf(c->peer, sizeof(c->peer), "%.60s:%u", address, port);
	evhttp_connection_set_closecb(ev, on_closed, s);
	atomic_fetch_add(&s->n_connections, 1);
	return c;
}

static void on_request(struct evhttp_request *ev, void *arg)
{
	struct http_server *s = arg;
	struct connection *c = meet(s, evhttp_request_get_connection(ev));

	atomic_fetch_add(&s->requests, 1);
	if (!c) { /* more came at once than the listener could hold back */
		atomic_fetch_add(&s->refused, 1);
		evhttp_send_reply(ev, 503, "Service Unavailable", NULL);
		return;
	}
	dispatch(request_new(s, c, ev));
}

/* Those that were silent for too long, evhttp has closed. */
static bool is_full(struct http_server *s)
{
	uint64_t patience = UINT64_C(1000000000) * (HTTP_IDLE_SECONDS + 1);
	uint64_t at = now();

	while (s->n_silent && at - s->silent[s->silent_first] > patience) {
		s->silent_first = (s->silent_first + 1) % HTTP_CONNECTIONS_MAX;
		s->n_silent--;
	}
	return s->n_silent + atomic_load(&s->n_connections) >=
	       HTTP_CONNECTIONS_MAX;
}

/* evhttp wants a connection's buffers: one more is there. */
static struct bufferevent *on_accepted(struct event_base *base, void *arg)
{
	struct http_server *s = arg;

	if (s->n_silent < HTTP_CONNECTIONS_MAX)
		s->silent[(s->silent_first + s->n_silent++) %
			  HTTP_CONNECTIONS_MAX] = now();
	if (is_full(s)) {
		evconnlistener_disable(s->listener);
		loop_timer_in(s->full, FULL_NS);
	}
	return bufferevent_socket_new(base, -1, 0);
}

static void on_full(void *arg)
{
	struct http_server *s = arg;

	if (is_full(s))
		loop_timer_in(s->full, FULL_NS);
	else
		evconnlistener_enable(s->listener);
}

/* -- the thread -------------------------------------------------------------------- */

static void on_tick(void *arg)
{
	struct http_server *s = arg;

	s->cfg.tick(s->cfg.app);
	loop_timer_in(s->tick, TICK_NS);
}

static void on_wake(void *arg)
{
	struct http_server *s = arg;

	if (s->cfg.woken)
		s->cfg.woken(s->cfg.app);
}

static void on_stop(void *arg)
{
	struct http_server *s = arg;

	loop_stop(s->loop);
}

static void *serve(void *arg)
{
	struct http_server *s = arg;

	loop_run(s->loop);
	return NULL;
}

static int start_thread(struct http_server *s)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&s->thread, NULL, serve, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	s->runs = rc == 0;
	return rc;
}

static int listen_on(struct http_server *s, struct err *err)
{
	struct sys *sys = sys_host();
	const char *given = s->cfg.address;
	char *whole = strchr(given, ':') ? mem_text(given)
					 : mem_format("127.0.0.1:%s", given);

	s->socket = sys->listen(sys, whole);
	if (s->socket < 0)
		err_sys(err, -s->socket, "the page cannot listen on %s", whole);
	free(whole);
	if (s->socket < 0)
		return err->code;
	sys->bound(sys, s->socket, s->address);
	s->listener = evconnlistener_new(loop_base(s->loop), NULL, NULL,
					 LEV_OPT_CLOSE_ON_FREE |
						 LEV_OPT_CLOSE_ON_EXEC,
					 0, s->socket);
	if (!s->listener)
		return err_set(err, ERR_FAILED, "no memory for a listener");
	s->socket = -1; /* the listener's now */
	return 0;
}

static int set_up(struct http_server *s, struct err *err)
{
	s->loop = loop_new(err);
	if (!s->loop || listen_on(s, err) < 0)
		return err->code;
	s->http = evhttp_new(loop_base(s->loop));
	s->wake = loop_wake_new(s->loop, on_wake, s);
	s->stop = loop_wake_new(s->loop, on_stop, s);
	s->full = loop_timer(s->loop, on_full, s);
	if (!s->http || !s->wake || !s->stop ||
	    !evhttp_bind_listener(s->http, s->listener))
		return err_set(err, ERR_FAILED, "no descriptor is left");
	evhttp_set_max_headers_size(s->http, HTTP_HEAD_MAX);
	evhttp_set_max_body_size(s->http, HTTP_BODY_MAX);
	evhttp_set_timeout(s->http, HTTP_IDLE_SECONDS);
	evhttp_set_allowed_methods(s->http,
				   EVHTTP_REQ_GET | EVHTTP_REQ_HEAD |
					   EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
					   EVHTTP_REQ_PATCH |
					   EVHTTP_REQ_DELETE);
	evhttp_set_bevcb(s->http, on_accepted, s);
	evhttp_set_gencb(s->http, on_request, s);
	if (s->cfg.tick) {
		s->tick = loop_timer(s->loop, on_tick, s);
		loop_timer_in(s->tick, TICK_NS);
	}
	return start_thread(s) ? err_set(err, ERR_FAILED, "no thread is left")
			       : 0;
}

int http_start(struct http_server **out, const struct http_config *cfg,
	       struct err *err)
{
	struct http_server *s = mem_alloc(sizeof(*s));

	*out = s;
	s->cfg = *cfg;
	s->socket = -1;
	for (int i = 0; i < cfg->n_hosts && i < 16; i++)
		s->hosts[s->n_hosts++] = mem_text(cfg->hosts[i]);
	if (set_up(s, err) == 0)
		return 0;
	http_stop(s);
	*out = NULL;
	return err->code;
}

void http_stop(struct http_server *s)
{
	struct sys *sys = sys_host();

	if (!s)
		return;
	if (s->runs) {
		loop_wake(s->stop);
		pthread_join(s->thread, NULL);
	}
	if (s->socket >= 0)
		sys->hang_up(sys, s->socket);
	/* Closes connections, and so tells those who keep requests. */
	if (s->http)
		evhttp_free(s->http);
	else if (s->listener)
		evconnlistener_free(s->listener);
	loop_timer_free(s->tick);
	loop_timer_free(s->full);
	loop_wake_free(s->wake);
	loop_wake_free(s->stop);
	loop_free(s->loop);
	for (int i = 0; i < s->n_hosts; i++)
		free(s->hosts[i]);
	free(s);
}

const char *http_address(const struct http_server *s)
{
	return s->address;
}

void http_wake(struct http_server *s)
{
	loop_wake(s->wake);
}

void http_counters(const struct http_server *s, struct http_counters *c)
{
	*c = (struct http_counters){
		.requests = atomic_load(&s->requests),
		.refused = atomic_load(&s->refused),
		.connections = atomic_load(&s->n_connections),
	};
}
