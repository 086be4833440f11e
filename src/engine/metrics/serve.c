/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve.c - just enough HTTP: one GET, one answer, one connection.
 *
 * A library server has no bound on how many connections it holds; this one
 * has a table of CLIENTS_MAX and stops accepting while it is full.  Each
 * client has CLIENT_NS in all, so a silent one frees its place soon.
 */
#include "engine/metrics/metrics.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "sys/loop.h"
#include "sys/sys.h"

enum { CLIENTS_MAX = 16, REQUEST_MAX = 8192 };
static const uint64_t CLIENT_NS = UINT64_C(5000000000);

struct client {
	struct metrics_server *server;
	int slot;
	int socket;
	struct loop_watch *watch;
	struct loop_timer *limit;
	char request[REQUEST_MAX];
	size_t len;
	struct buf answer;
	size_t sent;
};

struct metrics_server {
	struct loop *loop;
	struct metrics *metrics; /* borrowed */
	struct sys *sys;
	int socket;
	struct loop_watch *watch; /* NULL while the table is full */
	struct client *clients[CLIENTS_MAX];
};

static void on_waiting(void *arg, int fd, int what);

static void listen_again(struct metrics_server *s)
{
	if (!s->watch)
		s->watch = loop_watch(s->loop, s->socket, LOOP_READ, on_waiting,
				      s);
}

static void client_free(struct client *c)
{
	struct metrics_server *s = c->server;

	s->clients[c->slot] = NULL;
	loop_watch_free(c->watch);
	loop_timer_free(c->limit);
	s->sys->hang_up(s->sys, c->socket);
	buf_release(&c->answer);
	free(c);
}

static void client_done(struct client *c)
{
	struct metrics_server *s = c->server;

	client_free(c);
	listen_again(s);
}

static void on_limit(void *arg)
{
	client_done(arg);
}

static void put_answer(struct buf *b, const char *status, struct bytes body)
{
	put_format(b,
		   "HTTP/1.1 %s\r\n"
		   "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
		   "Content-Length: %zu\r\nConnection: close\r\n\r\n",
		   status, body.len);
	put_bytes(b, body);
}

static void answer(struct client *c)
{
	static const char want[] = "GET /metrics";
	const char *after = c->request + sizeof(want) - 1;

	if (strncmp(c->request, want, sizeof(want) - 1) == 0 &&
	    (*after == ' ' || *after == '?'))
		put_answer(&c->answer, "200 OK",
			   metrics_text(c->server->metrics));
	else
		put_answer(&c->answer, "404 Not Found",
			   bytes_of_text("only GET /metrics is here\n"));
}

/* Take what came.  1 when the request is whole, 0 for more, -1 for the end. */
static int read_request(struct client *c)
{
	struct sys *sys = c->server->sys;
	ssize_t n = sys->recv(sys, c->socket, c->request + c->len,
			      REQUEST_MAX - 1 - c->len);

	if (n == -EAGAIN || n == -EINTR)
		return 0;
	if (n <= 0)
		return -1;
	c->len += (size_t)n;
	c->request[c->len] = 0;
	if (strstr(c->request, "\r\n\r\n") || strstr(c->request, "\n\n"))
		return 1;
	return c->len < REQUEST_MAX - 1 ? 0 : -1;
}

/* 1 when all is sent, 0 for later, -1 when the client went away. */
static int send_answer(struct client *c)
{
	struct sys *sys = c->server->sys;

	while (c->sent < c->answer.len) {
		ssize_t n = sys->send(sys, c->socket, c->answer.p + c->sent,
				      c->answer.len - c->sent);

		if (n == -EAGAIN || n == -EINTR)
			return 0;
		if (n <= 0)
			return -1;
		c->sent += (size_t)n;
	}
	return 1;
}

static void on_client(void *arg, int fd, int what)
{
	struct client *c = arg;
	int rc;

	(void)fd;
	(void)what;
	if (!c->answer.len) {
		rc = read_request(c);
		if (rc < 0) {
			client_done(c);
			return;
		}
		if (rc == 0)
			return;
		answer(c);
		loop_watch_change(c->watch, LOOP_WRITE);
	}
	if (send_answer(c) != 0)
		client_done(c);
}

static int free_slot(const struct metrics_server *s)
{
	for (int i = 0; i < CLIENTS_MAX; i++)
		if (!s->clients[i])
			return i;
	return -1;
}

static void client_add(struct metrics_server *s, int slot, int socket)
{
	struct client *c = mem_alloc(sizeof(*c));

	c->server = s;
	c->slot = slot;
	c->socket = socket;
	c->watch = loop_watch(s->loop, socket, LOOP_READ, on_client, c);
	c->limit = loop_timer(s->loop, on_limit, c);
	loop_timer_in(c->limit, CLIENT_NS);
	s->clients[slot] = c;
}

static void on_waiting(void *arg, int fd, int what)
{
	struct metrics_server *s = arg;
	char peer[SYS_PEER_MAX];
	int slot = free_slot(s);
	int socket;

	(void)fd;
	(void)what;
	if (slot < 0) {
		loop_watch_free(s->watch);
		s->watch = NULL;
		return;
	}
	socket = s->sys->accept(s->sys, s->socket, peer);
	if (socket >= 0)
		client_add(s, slot, socket);
}

/* "9100" is a port of this machine only. */
static char *whole_address(const char *address)
{
	return strchr(address, ':') ? mem_text(address)
				    : mem_format("127.0.0.1:%s", address);
}

struct metrics_server *metrics_serve(struct loop *loop, struct metrics *m,
				     const char *address, struct err *err)
{
	struct metrics_server *s = mem_alloc(sizeof(*s));
	char *whole = whole_address(address);

	s->loop = loop;
	s->metrics = m;
	s->sys = sys_host();
	s->socket = s->sys->listen(s->sys, whole);
	if (s->socket < 0) {
		err_sys(err, -s->socket, "metrics cannot listen on %s", whole);
		free(whole);
		free(s);
		return NULL;
	}
	free(whole);
	listen_again(s);
	return s;
}

void metrics_server_free(struct metrics_server *s)
{
	if (!s)
		return;
	for (int i = 0; i < CLIENTS_MAX; i++)
		if (s->clients[i])
			client_free(s->clients[i]);
	loop_watch_free(s->watch);
	s->sys->hang_up(s->sys, s->socket);
	free(s);
}

unsigned metrics_server_port(const struct metrics_server *s)
{
	struct sockaddr_storage at = { 0 };
	socklen_t len = sizeof(at);

	if (getsockname(s->socket, (struct sockaddr *)&at, &len) < 0)
		return 0;
	if (at.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)&at)->sin6_port);
	return ntohs(((struct sockaddr_in *)&at)->sin_port);
}
