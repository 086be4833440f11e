/* SPDX-License-Identifier: Apache-2.0 */
#include "model/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "model/disk.h"
#include "sys/sys.h"

enum { SOCKETS = 100000, PORTS = 40000, MACHINE_NAME = 32 };

#define NO_CUT UINT64_MAX

enum state { FREE, LISTENING, DIALLING, REFUSED, OPEN };

/* Bytes under way to a socket. */
struct piece {
	uint64_t arrives;
	struct buf bytes;
	size_t taken;
};

struct socket {
	enum state state;
	unsigned machine;
	char name[SYS_PEER_MAX]; /* "machine:port" of this end */
	char peer_name[SYS_PEER_MAX];
	int peer;	 /* index, or -1 */
	int waiting_for; /* dialled, not yet accepted: the listener */
	uint64_t ready;	 /* when a dial is answered */
	struct piece *in;
	size_t n_in;
	size_t under_way; /* bytes in `in` */
	bool ended, reset;
	uint64_t ends;	    /* when the end arrives */
	uint64_t sent, cut; /* bytes sent; behind which it breaks */
};

struct machine {
	struct disk *disk;
	char name[MACHINE_NAME];
};

struct net {
	struct net_weather weather;
	uint64_t now;
	struct machine *machines;
	unsigned n_machines;
	struct socket *sockets;
	int n_sockets;
	unsigned ports;
	uint64_t dials;
	uint64_t next_cut[2];
	int last[2]; /* the two ends of the last connection */
	uint64_t carried[2];
};

static struct net *net_of(struct sys *sys)
{
	return disk_net(sys);
}

static unsigned machine_of(const struct net *n, const struct sys *sys)
{
	for (unsigned i = 0; i < n->n_machines; i++)
		if (n->machines[i].disk && disk_sys(n->machines[i].disk) == sys)
			return i;
	abort(); /* it left, and uses a stream all the same */
}

static int new_socket(struct net *n, unsigned machine, enum state state)
{
	int i = 0;

	while (i < n->n_sockets && n->sockets[i].state != FREE)
		i++;
	if (i == n->n_sockets)
		n->sockets =
			mem_grow(n->sockets, (size_t)++n->n_sockets *
						     sizeof(struct socket));
	n->sockets[i] = (struct socket){ .state = state,
					 .machine = machine,
					 .peer = -1,
					 .waiting_for = -1,
					 .cut = NO_CUT };
	return i;
}

static struct socket *socket_at(struct net *n, int handle)
{
	int i = handle - SOCKETS;

	return i >= 0 && i < n->n_sockets && n->sockets[i].state != FREE
		       ? &n->sockets[i]
		       : NULL;
}

static void drop_in(struct socket *s)
{
	for (size_t i = 0; i < s->n_in; i++)
		buf_release(&s->in[i].bytes);
	free(s->in);
	s->in = NULL;
	s->n_in = s->under_way = 0;
}

static void remember_carried(struct net *n, int i)
{
	for (int way = 0; way < 2; way++)
		if (n->last[way] == i)
			n->carried[way] = n->sockets[i].sent;
}

static void close_socket(struct net *n, int i, bool reset)
{
	struct socket *s = &n->sockets[i];

	remember_carried(n, i);
	for (int way = 0; way < 2; way++)
		if (n->last[way] == i)
			n->last[way] = -1;
	if (s->peer >= 0) {
		struct socket *peer = &n->sockets[s->peer];

		peer->peer = -1;
		peer->reset |= reset;
		peer->ended = true;
		peer->ends = n->now + n->weather.latency_ns;
	}
	for (int k = 0; k < n->n_sockets; k++)
		if (s->state == LISTENING && n->sockets[k].state != FREE &&
		    n->sockets[k].waiting_for == i) {
			/* Nobody will take it now: its caller is refused. */
			n->sockets[k].waiting_for = -1;
			close_socket(n, k, true);
		}
	drop_in(s);
	s->state = FREE;
}

/* -- the calls of struct sys -------------------------------------------- */

static int find_listener(const struct net *n, const char *address)
{
	for (int i = 0; i < n->n_sockets; i++)
		if (n->sockets[i].state == LISTENING &&
		    strcmp(n->sockets[i].name, address) == 0)
			return i;
	return -1;
}

static int net_listen(struct sys *sys, const char *address)
{
	struct net *n = net_of(sys);
	unsigned machine = machine_of(n, sys);
	const char *port = strrchr(address, ':');
	char name[SYS_PEER_MAX];
	int i;

	if (!port || !port[1])
		return -EINVAL;
	if (strcmp(port, ":0") == 0)
		snprintf(name, sizeof(name), "%s:%u", n->machines[machine].name,
			 PORTS + n->ports++);
	else
		snprintf(name, sizeof(name), "%s%s", n->machines[machine].name,
			 port);
	if (find_listener(n, name) >= 0)
		return -EADDRINUSE;
	i = new_socket(n, machine, LISTENING);
	strcpy(n->sockets[i].name, name);
	return SOCKETS + i;
}

static int net_bound(struct sys *sys, int socket, char here[SYS_PEER_MAX])
{
	const struct socket *s = socket_at(net_of(sys), socket);

	if (!s)
		return -EBADF;
	strcpy(here, s->name);
	return 0;
}

static int net_dial(struct sys *sys, const char *address)
{
	struct net *n = net_of(sys);
	unsigned machine = machine_of(n, sys);
	int i = new_socket(n, machine, DIALLING), peer;
	struct socket *s = &n->sockets[i], *other;

	if (!strchr(address, ':') || strlen(address) >= SYS_PEER_MAX) {
		s->state = FREE;
		return -EINVAL;
	}
	n->dials++;
	snprintf(s->name, sizeof(s->name), "%s:%u", n->machines[machine].name,
		 PORTS + n->ports++);
	strcpy(s->peer_name, address);
	s->ready = n->now + n->weather.latency_ns;
	s->waiting_for = find_listener(n, address);
	if (s->waiting_for < 0) {
		s->state = REFUSED;
		return SOCKETS + i;
	}
	peer = new_socket(n, n->sockets[s->waiting_for].machine, DIALLING);
	s = &n->sockets[i]; /* the table may have moved */
	other = &n->sockets[peer];
	strcpy(other->name, address);
	strcpy(other->peer_name, s->name);
	other->waiting_for = s->waiting_for;
	other->ready = s->ready;
	s->waiting_for = -1;
	other->peer = i;
	s->peer = peer;
	s->state = OPEN;
	s->cut = n->next_cut[NET_FROM_DIALLER];
	other->cut = n->next_cut[NET_FROM_LISTENER];
	n->next_cut[0] = n->next_cut[1] = NO_CUT;
	n->last[NET_FROM_DIALLER] = i;
	n->last[NET_FROM_LISTENER] = peer;
	n->carried[0] = n->carried[1] = 0;
	return SOCKETS + i;
}

/* Has the moment come, and does the network let it through? */
static bool arrived(const struct net *n, uint64_t when)
{
	return !n->weather.partition && when <= n->now;
}

static int net_dialled(struct sys *sys, int socket)
{
	struct net *n = net_of(sys);
	const struct socket *s = socket_at(n, socket);

	if (!s)
		return -EBADF;
	if (s->reset)
		return -ECONNRESET;
	if (!arrived(n, s->ready))
		return -EINPROGRESS;
	return s->state == REFUSED ? -ECONNREFUSED : 0;
}

static int net_accept(struct sys *sys, int socket, char peer[SYS_PEER_MAX])
{
	struct net *n = net_of(sys);
	const struct socket *listener = socket_at(n, socket);

	if (!listener)
		return -EBADF;
	for (int i = 0; i < n->n_sockets; i++) {
		struct socket *s = &n->sockets[i];

		if (s->state == DIALLING &&
		    s->waiting_for == socket - SOCKETS &&
		    arrived(n, s->ready)) {
			s->state = OPEN;
			s->waiting_for = -1;
			strcpy(peer, s->peer_name);
			return SOCKETS + i;
		}
	}
	return -EAGAIN;
}

static size_t take(const struct net *n, struct socket *s, uint8_t *to,
		   size_t len)
{
	size_t done = 0;

	if (n->weather.piece_max && len > n->weather.piece_max)
		len = n->weather.piece_max;
	while (done < len && s->n_in && arrived(n, s->in[0].arrives)) {
		struct piece *p = &s->in[0];
		size_t step = p->bytes.len - p->taken;

		if (step > len - done)
			step = len - done;
		memcpy(to + done, p->bytes.p + p->taken, step);
		done += step;
		p->taken += step;
		if (p->taken == p->bytes.len) {
			buf_release(&p->bytes);
			memmove(s->in, s->in + 1, --s->n_in * sizeof(*s->in));
		}
	}
	s->under_way -= done;
	return done;
}

static ssize_t net_recv(struct sys *sys, int socket, void *to, size_t len)
{
	struct net *n = net_of(sys);
	struct socket *s = socket_at(n, socket);
	size_t got;

	if (!s)
		return -EBADF;
	got = take(n, s, to, len);
	if (got)
		return (ssize_t)got;
	if (s->n_in || !s->ended || !arrived(n, s->ends))
		return -EAGAIN;
	return s->reset ? -ECONNRESET : 0;
}

/* Both ends are over; what arrived before may still be read. */
static void cut(struct net *n, int i)
{
	int ends[2] = { i, n->sockets[i].peer };

	for (int k = 0; k < 2; k++) {
		struct socket *s = &n->sockets[ends[k]];

		s->reset = s->ended = true;
		s->ends = n->now + n->weather.latency_ns;
		s->peer = -1;
	}
}

static ssize_t net_send(struct sys *sys, int socket, const void *from,
			size_t len)
{
	struct net *n = net_of(sys);
	struct socket *s = socket_at(n, socket), *peer;
	size_t room;
	struct piece *p;

	if (!s || s->state != OPEN)
		return -EBADF;
	if (s->peer < 0)
		return s->reset ? -ECONNRESET : -EPIPE;
	if (s->ready > n->now)
		return -EAGAIN;
	peer = &n->sockets[s->peer];
	room = n->weather.window_max - peer->under_way;
	if (peer->under_way >= n->weather.window_max)
		return -EAGAIN;
	len = len < room ? len : room;
	len = len < s->cut - s->sent ? len : (size_t)(s->cut - s->sent);
	if (len) {
		peer->in = mem_grow(peer->in,
				    (peer->n_in + 1) * sizeof(*peer->in));
		p = &peer->in[peer->n_in++];
		*p = (struct piece){ .arrives =
					     n->now + n->weather.latency_ns };
		put_bytes(&p->bytes, bytes_of(from, len));
		peer->under_way += len;
		s->sent += len;
		remember_carried(n, socket - SOCKETS);
	}
	if (s->sent == s->cut)
		cut(n, socket - SOCKETS);
	return len ? (ssize_t)len : -ECONNRESET;
}

static ssize_t net_send_file(struct sys *sys, int socket, int file,
			     uint64_t *at, size_t len)
{
	uint8_t chunk[4096];
	ssize_t n = sys->pread(sys, file, chunk,
			       len < sizeof(chunk) ? len : sizeof(chunk), *at);

	if (n > 0)
		n = net_send(sys, socket, chunk, (size_t)n);
	if (n > 0)
		*at += (uint64_t)n;
	return n;
}

static int net_hang_up(struct sys *sys, int socket)
{
	struct net *n = net_of(sys);

	if (!socket_at(n, socket))
		return -EBADF;
	close_socket(n, socket - SOCKETS, false);
	return 0;
}

/* -- the test's side ---------------------------------------------------- */

struct net *net_new(void)
{
	struct net *n = mem_alloc(sizeof(*n));

	n->weather.window_max = 64 << 10;
	n->next_cut[0] = n->next_cut[1] = NO_CUT;
	n->last[0] = n->last[1] = -1;
	return n;
}

void net_free(struct net *n)
{
	if (!n)
		return;
	for (int i = 0; i < n->n_sockets; i++)
		drop_in(&n->sockets[i]);
	free(n->sockets);
	free(n->machines);
	free(n);
}

void net_join(struct net *n, struct disk *d, const char *name)
{
	struct sys *sys = disk_sys(d);
	struct machine *m;

	n->machines = mem_grow(n->machines,
			       (n->n_machines + 1) * sizeof(*n->machines));
	m = &n->machines[n->n_machines++];
	*m = (struct machine){ .disk = d };
	snprintf(m->name, sizeof(m->name), "%s", name);
	disk_set_net(d, n);
	sys->dial = net_dial;
	sys->dialled = net_dialled;
	sys->listen = net_listen;
	sys->bound = net_bound;
	sys->accept = net_accept;
	sys->recv = net_recv;
	sys->send = net_send;
	sys->send_file = net_send_file;
	sys->hang_up = net_hang_up;
}

void net_leave(struct net *n, struct disk *d)
{
	unsigned machine = machine_of(n, disk_sys(d));

	for (int i = 0; i < n->n_sockets; i++)
		if (n->sockets[i].state != FREE &&
		    n->sockets[i].machine == machine)
			close_socket(n, i, true);
	n->machines[machine].disk = NULL;
}

uint64_t net_now(const struct net *n)
{
	return n->now;
}

void net_advance(struct net *n, uint64_t ns)
{
	n->now += ns;
	for (unsigned i = 0; i < n->n_machines; i++)
		if (n->machines[i].disk) {
			struct disk_clock *c = disk_clock(n->machines[i].disk);

			c->mono_ns += ns;
			c->wall_ns += ns;
		}
}

static void sooner(const struct net *n, uint64_t when, uint64_t *next)
{
	if (when > n->now && when < *next)
		*next = when;
}

bool net_advance_to_next(struct net *n)
{
	uint64_t next = UINT64_MAX;

	for (int i = 0; i < n->n_sockets; i++) {
		const struct socket *s = &n->sockets[i];

		if (s->state == FREE)
			continue;
		sooner(n, s->ready, &next);
		if (s->ended)
			sooner(n, s->ends, &next);
		for (size_t k = 0; k < s->n_in; k++)
			sooner(n, s->in[k].arrives, &next);
	}
	if (next == UINT64_MAX || n->weather.partition)
		return false;
	net_advance(n, next - n->now);
	return true;
}

struct net_weather *net_weather(struct net *n)
{
	return &n->weather;
}

void net_cut_next(struct net *n, enum net_way way, uint64_t bytes)
{
	n->next_cut[way] = bytes;
}

void net_reset_all(struct net *n)
{
	for (int i = 0; i < n->n_sockets; i++)
		if (n->sockets[i].state != FREE && n->sockets[i].peer >= 0) {
			int peer = n->sockets[i].peer;

			drop_in(&n->sockets[i]);
			drop_in(&n->sockets[peer]);
			cut(n, i);
		}
}

uint64_t net_carried(const struct net *n, enum net_way way)
{
	return n->carried[way];
}

uint64_t net_dials(const struct net *n)
{
	return n->dials;
}
