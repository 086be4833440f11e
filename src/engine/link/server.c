/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/link/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "sys/sys.h"

#include "engine/link/pump.h"
#include "engine/link/rate.h"

enum {
	SLOTS = LINK_HALF_OPEN + LINK_SESSIONS_MAX,
	ACCEPTS = 16 /* in one run */
};

struct slot {
	struct link_agent *agent; /* NULL: free */
	struct link_pump pump;
	char peer[SYS_PEER_MAX], here[SYS_PEER_MAX];
	uint64_t began_ns;
	uint64_t number; /* of all connections: tells those on one fd apart */
	bool live;
	bool over; /* to be closed: a newer connection has spoken */
};

struct link_server {
	struct link_server_config cfg;
	struct sys *sys;
	int socket;
	char bound[SYS_PEER_MAX];
	struct slot slots[SLOTS];
	struct rate rate;
	struct rate_log log;
	int n_live, n_half;
	bool links_moved;
	uint64_t now_ns;
	uint64_t numbers;
};

/* -- one connection ------------------------------------------------------ */

static void close_slot(struct link_server *s, struct slot *c)
{
	if (c->live) {
		s->n_live--;
		s->links_moved = true;
	} else {
		s->n_half--;
	}
	link_pump_release(&c->pump);
	link_agent_free(c->agent);
	*c = (struct slot){ .agent = NULL };
}

/* Strangers' failures are one line a second, however many there are. */
static void failed(struct link_server *s, struct slot *c, const struct err *err)
{
	char more[64];

	if (c->live) {
		log_info("link", "collector %s: %s", c->peer, err->text);
		return;
	}
	if (s->cfg.agent.counts)
		atomic_fetch_add(&s->cfg.agent.counts->handshakes_failed, 1);
	if (rate_log(&s->log, s->now_ns, more))
		log_warn("link", "%s: %s%s", c->peer, err->text, more);
}

static struct slot *slot_of(struct link_server *s, const struct link_agent *a)
{
	for (int i = 0; i < SLOTS; i++)
		if (s->slots[i].agent == a)
			return &s->slots[i];
	return NULL;
}

/*
 * This collector has spoken, so an older connection of it is a dead one.
 * Closing waits until the caller's stack is off the agent.
 */
static void on_live(void *arg, struct link_agent *a)
{
	struct link_server *s = arg;
	struct slot *c = slot_of(s, a);

	c->live = true;
	s->n_half--;
	s->n_live++;
	s->links_moved = true;
	log_info("link", "collector %s is connected and speaks %s", c->peer,
		 link_agent_protocol(a));
	for (int i = 0; i < SLOTS; i++) {
		struct slot *o = &s->slots[i];

		if (o->agent && o != c && o->live &&
		    noise_key_equal(link_agent_peer(o->agent),
				    link_agent_peer(a)))
			o->over = true;
	}
	if (s->n_live > LINK_SESSIONS_MAX)
		c->over = true;
}

static bool on_stats(void *arg, const struct link_source *source,
		     struct link_capture_stats *stats)
{
	struct link_server *s = arg;

	return s->cfg.stats(s->cfg.arg, source, stats);
}

/* -- accepting ----------------------------------------------------------- */

static void give_way(struct link_server *s)
{
	struct slot *oldest = NULL;

	for (int i = 0; i < SLOTS; i++) {
		struct slot *c = &s->slots[i];

		if (c->agent && !c->live &&
		    (!oldest || c->began_ns < oldest->began_ns))
			oldest = c;
	}
	if (oldest)
		close_slot(s, oldest);
}

static void begin(struct link_server *s, int socket, const char *peer)
{
	struct slot *c;

	if (s->n_half >= LINK_HALF_OPEN)
		give_way(s);
	c = slot_of(s, NULL);
	if (!c) {
		s->sys->hang_up(s->sys, socket);
		return;
	}
	if (s->cfg.tune)
		s->cfg.tune(s->cfg.arg, socket);
	c->began_ns = s->now_ns;
	c->number = ++s->numbers;
	snprintf(c->peer, sizeof(c->peer), "%s", peer);
	if (s->sys->bound(s->sys, socket, c->here) < 0)
		c->here[0] = '\0';
	c->agent = link_agent_new(&s->cfg.agent, s->now_ns);
	link_pump_init(&c->pump, s->sys, socket, link_agent_end(c->agent),
		       s->now_ns);
	s->n_half++;
}

static void accept_some(struct link_server *s)
{
	for (int i = 0; i < ACCEPTS; i++) {
		char peer[SYS_PEER_MAX], more[64];
		int socket = s->sys->accept(s->sys, s->socket, peer);

		if (socket < 0) {
			if (socket != -EAGAIN && socket != -EINTR &&
			    socket != -ECONNABORTED &&
			    rate_log(&s->log, s->now_ns, more))
				log_warn("link", "cannot accept: %s%s",
					 strerror(-socket), more);
			return;
		}
		if (s->cfg.agent.counts)
			atomic_fetch_add(&s->cfg.agent.counts->connections, 1);
		if (rate_allows(&s->rate, peer, s->now_ns)) {
			begin(s, socket, peer);
			continue;
		}
		s->sys->hang_up(s->sys, socket);
		if (rate_log(&s->log, s->now_ns, more))
			log_warn("link",
				 "%s: more than %d connections a "
				 "second%s",
				 peer, LINK_RATE, more);
	}
}

/* -- the server ---------------------------------------------------------- */

struct link_server *link_server_new(const struct link_server_config *cfg,
				    struct err *err)
{
	struct link_server *s = mem_alloc(sizeof(*s));

	s->cfg = *cfg;
	s->sys = cfg->agent.sys;
	s->cfg.agent.on_live = on_live;
	s->cfg.agent.stats = cfg->stats ? on_stats : NULL;
	s->cfg.agent.arg = s;
	rate_init(&s->rate, LINK_RATE, LINK_BURST);
	s->socket = s->sys->listen(s->sys, cfg->listen);
	if (s->socket < 0) {
		err_sys(err, -s->socket, "cannot listen at %s", cfg->listen);
		link_server_free(s);
		return NULL;
	}
	if (s->sys->bound(s->sys, s->socket, s->bound) < 0)
		snprintf(s->bound, sizeof(s->bound), "%s", cfg->listen);
	return s;
}

void link_server_free(struct link_server *s)
{
	if (!s)
		return;
	for (int i = 0; i < SLOTS; i++)
		if (s->slots[i].agent)
			close_slot(s, &s->slots[i]);
	if (s->socket >= 0)
		s->sys->hang_up(s->sys, s->socket);
	rate_release(&s->rate);
	free(s);
}

static void run_slot(struct link_server *s, struct slot *c,
		     uint64_t *deadline_ns)
{
	struct err err = ERR_NONE;
	int rc = link_pump_run(&c->pump, s->now_ns, &err);

	if (rc < 0) {
		failed(s, c, &err);
		close_slot(s, c);
	} else if (c->pump.more) {
		*deadline_ns = s->now_ns;
	} else if (c->pump.deadline_ns < *deadline_ns) {
		*deadline_ns = c->pump.deadline_ns;
	}
}

void link_server_run(struct link_server *s, uint64_t now_ns,
		     uint64_t *deadline_ns)
{
	s->now_ns = now_ns;
	*deadline_ns = now_ns + LINK_BEAT_NS;
	accept_some(s);
	for (int i = 0; i < SLOTS; i++)
		if (s->slots[i].agent)
			run_slot(s, &s->slots[i], deadline_ns);
	for (int i = 0; i < SLOTS; i++) {
		if (!s->slots[i].over)
			continue;
		log_info("link",
			 "collector %s: a newer connection of it "
			 "takes over",
			 s->slots[i].peer);
		close_slot(s, &s->slots[i]);
	}
	if (s->links_moved && s->cfg.on_links) {
		s->links_moved = false;
		s->cfg.on_links(s->cfg.arg);
	}
}

static void watch_sources(const struct link_server *s, const struct slot *c,
			  struct link_watch *w)
{
	for (int i = 0; i < s->cfg.agent.n_sources; i++) {
		int fd = link_agent_fd(c->agent, i);

		/* While the socket is full the spool can wait. */
		if (fd >= 0 && !c->pump.wants_write)
			link_watch_want(w, fd, c->number, true, false);
	}
}

void link_server_watch(const struct link_server *s, struct link_watch *w)
{
	link_watch_want(w, s->socket, 0, true, false);
	for (int i = 0; i < SLOTS; i++) {
		const struct slot *c = &s->slots[i];

		if (!c->agent)
			continue;
		link_watch_want(w, c->pump.socket, c->number,
				c->pump.wants_read, c->pump.wants_write);
		if (c->live)
			watch_sources(s, c, w);
	}
}

/* "[::ffff:10.0.0.1]:7" is how a socket for both kinds shows IPv4. */
static void split_address(const char *text, char *out, size_t size)
{
	const char *colon = strrchr(text, ':');
	const char *from = text, *to = colon ? colon : text;

	if (*from == '[') {
		from++;
		to--;
	}
	if (strncasecmp(from, "::ffff:", 7) == 0 &&
	    memchr(from, '.', (size_t)(to - from)))
		from += 7;
	snprintf(out, size, "%.*s %s", (int)(to - from), from,
		 colon ? colon + 1 : "0");
}

bool link_server_link(const struct link_server *s, int i, char *line,
		      size_t size)
{
	char here[SYS_PEER_MAX + 1], peer[SYS_PEER_MAX + 1];

	for (int k = 0; k < SLOTS; k++) {
		const struct slot *c = &s->slots[k];

		if (!c->agent || !c->live || i-- > 0)
			continue;
		split_address(c->here, here, sizeof(here));
		split_address(c->peer, peer, sizeof(peer));
		snprintf(line, size, "%s %s", here, peer);
		return true;
	}
	return false;
}

int link_server_live(const struct link_server *s)
{
	return s->n_live;
}

int link_server_half_open(const struct link_server *s)
{
	return s->n_half;
}

const char *link_server_bound(const struct link_server *s)
{
	return s->bound;
}
