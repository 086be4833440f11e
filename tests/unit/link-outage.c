/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an outage costs: a collector's dialer and an agent's server over a
 * network that swallows everything for a while, with TCP's habit of trying
 * again later each time.  The clock is the test's.
 */
#include <errno.h>

#include "link_here.h"

#include "base/log.h"
#include "engine/link/dialer.h"
#include "engine/link/server.h"

/* -- a network with patience --------------------------------------------- */

enum { DIALLER, LISTENER, SIDES };
enum { CONNECTIONS = 256, LISTENING = 1, FIRST_SOCKET = 16 };

static const uint64_t ms = MS;
static const uint64_t patience_ms[SIDES] = { 3000, 20000 };

/* What one side has sent: on its way, and arrived. */
struct way {
	struct buf sent, arrived;
	bool fin, ended; /* hung up: said, and heard */
	uint64_t lost_ns, rto_ms, next_ns;
};

struct connection {
	bool used, up, accepted;
	bool open[SIDES];
	bool dead[SIDES]; /* this side has lost its patience */
	uint64_t syn_ns, syn_rto_ms;
	struct way from[SIDES];
};

static struct network {
	uint64_t now;
	bool swallows;
	struct connection all[CONNECTIONS];
	uint64_t dials;
} net;

static struct connection *connection_of(int socket, int *side)
{
	*side = (socket - FIRST_SOCKET) % SIDES;
	return &net.all[(socket - FIRST_SOCKET) / SIDES];
}

static int socket_of(const struct connection *c, int side)
{
	return FIRST_SOCKET + (int)(c - net.all) * SIDES + side;
}

static int sim_dial(struct sys *sys, const char *address)
{
	(void)sys;
	(void)address;
	net.dials++;
	for (int i = 0; i < CONNECTIONS; i++) {
		struct connection *c = &net.all[i];

		if (c->used)
			continue;
		*c = (struct connection){ .used = true,
					  .open = { true, false },
					  .syn_ns = net.now,
					  .syn_rto_ms = 1000 };
		return socket_of(c, DIALLER);
	}
	return -EMFILE;
}

static int sim_dialled(struct sys *sys, int socket)
{
	int side;

	(void)sys;
	return connection_of(socket, &side)->up ? 0 : -EINPROGRESS;
}

static int sim_listen(struct sys *sys, const char *address)
{
	(void)sys;
	(void)address;
	return LISTENING;
}

static int sim_bound(struct sys *sys, int socket, char here[SYS_PEER_MAX])
{
	(void)sys;
	snprintf(here, SYS_PEER_MAX, "10.0.0.1:%d", socket);
	return 0;
}

static int sim_accept(struct sys *sys, int socket, char peer[SYS_PEER_MAX])
{
	(void)sys;
	CHECK_EQ(socket, LISTENING);
	for (int i = 0; i < CONNECTIONS; i++) {
		struct connection *c = &net.all[i];

		if (!c->used || !c->up || c->accepted)
			continue;
		c->accepted = true;
		snprintf(peer, SYS_PEER_MAX, "10.0.0.2:%d", i + 1);
		return socket_of(c, LISTENER);
	}
	return -EAGAIN;
}

static ssize_t sim_recv(struct sys *sys, int socket, void *to, size_t len)
{
	int side;
	struct connection *c = connection_of(socket, &side);
	struct way *w = &c->from[!side];

	(void)sys;
	if (w->arrived.len) {
		if (len > w->arrived.len)
			len = w->arrived.len;
		memcpy(to, w->arrived.p, len);
		buf_consume(&w->arrived, len);
		return (ssize_t)len;
	}
	if (c->dead[side])
		return -ETIMEDOUT;
	return w->ended ? 0 : -EAGAIN;
}

static ssize_t sim_send(struct sys *sys, int socket, const void *from,
			size_t len)
{
	int side;
	struct connection *c = connection_of(socket, &side);

	(void)sys;
	if (c->dead[side])
		return -ETIMEDOUT;
	if (!c->open[!side])
		return -EPIPE;
	put_bytes(&c->from[side].sent, bytes_of(from, len));
	return (ssize_t)len;
}

static void forget(struct connection *c)
{
	for (int i = 0; i < SIDES; i++) {
		buf_release(&c->from[i].sent);
		buf_release(&c->from[i].arrived);
	}
	*c = (struct connection){ .used = false };
}

static int sim_hang_up(struct sys *sys, int socket)
{
	int side;
	struct connection *c;

	(void)sys;
	if (socket == LISTENING)
		return 0;
	c = connection_of(socket, &side);
	CHECK(c->used && c->open[side]);
	c->open[side] = false;
	c->from[side].fin = true;
	if (!c->open[!side])
		forget(c);
	return 0;
}

/* One side's segments: they arrive, or are tried again later and later. */
static void carry(struct connection *c, int side)
{
	struct way *w = &c->from[side];

	if ((!w->sent.len && (!w->fin || w->ended)) || net.now < w->next_ns)
		return;
	if (net.swallows) {
		if (!w->lost_ns)
			w->lost_ns = net.now;
		w->rto_ms = w->rto_ms ? w->rto_ms * 2 : 200;
		w->next_ns = net.now + w->rto_ms * ms;
		if (net.now - w->lost_ns >= patience_ms[side] * ms)
			c->dead[side] = true;
		return;
	}
	put_bytes(&w->arrived, buf_bytes(&w->sent));
	buf_clear(&w->sent);
	w->ended = w->fin;
	w->lost_ns = w->rto_ms = w->next_ns = 0;
}

static void connect_or_wait(struct connection *c)
{
	if (net.now < c->syn_ns)
		return;
	if (net.swallows) {
		c->syn_ns = net.now + c->syn_rto_ms * ms;
		c->syn_rto_ms *= 2;
		return;
	}
	c->up = c->open[LISTENER] = true;
}

static void net_step(void)
{
	for (int i = 0; i < CONNECTIONS; i++) {
		struct connection *c = &net.all[i];

		if (!c->used)
			continue;
		if (!c->up)
			connect_or_wait(c);
		for (int side = 0; c->up && side < SIDES; side++)
			carry(c, side);
	}
}

/* -- both ends on it ----------------------------------------------------- */

enum { STEP_MS = 5, PACKET_EACH_MS = 50 };

struct world {
	struct sys *sys;
	struct pair p; /* for its keys and configurations */
	struct spool *spool;
	struct link_server *server;
	struct link_dialer *dialer;
	bool frozen;  /* the agent */
	bool writing; /* packets come */
	uint64_t put_ns;
};

static void world_begin(struct world *w, bool ipcap)
{
	struct spool_config sc = config_here();
	struct link_server_config server;
	struct link_dialer_config dialer;
	struct err err = ERR_NONE;

	memset(&net, 0, sizeof(net));
	net.now = UINT64_C(1000000000000);
	*w = (struct world){ .sys = sys_memory_new(256 << 20),
			     .writing = true };
	w->sys->dial = sim_dial;
	w->sys->dialled = sim_dialled;
	w->sys->listen = sim_listen;
	w->sys->bound = sim_bound;
	w->sys->accept = sim_accept;
	w->sys->recv = sim_recv;
	w->sys->send = sim_send;
	w->sys->hang_up = sim_hang_up;
	CHECK_EQ(sys_mkdir_all(w->sys, "spool"), 0);
	CHECK_EQ(sys_mkdir_all(w->sys, "mirror"), 0);
	sc.source_dir = "spool/src1";
	w->spool = spool_open(w->sys, &sc, &err);
	CHECK(w->spool != NULL);
	pair_init_in(&w->p, w->sys, "spool", "spool/src1",
		     mirror_in(w->sys, "mirror/src1", 1));
	w->p.collector_cfg.only_ipcap = ipcap;
	server = (struct link_server_config){ .agent = w->p.agent_cfg,
					      .listen = "any" };
	server.agent.collectors = (const uint8_t(*)[NOISE_KEY])w->p.listed;
	w->server = link_server_new(&server, &err);
	CHECK(w->server != NULL);
	dialer = (struct link_dialer_config){ .collector = w->p.collector_cfg };
	w->dialer = link_dialer_new(&dialer);
	link_dialer_target(w->dialer, "agent", w->p.agent_key.public);
}

static void world_end(struct world *w)
{
	link_dialer_free(w->dialer);
	link_server_free(w->server);
	for (int i = 0; i < CONNECTIONS; i++)
		if (net.all[i].used)
			forget(&net.all[i]);
	mirror_close(w->p.mirror);
	spool_close(w->spool);
	sys_memory_free(w->sys);
}

static void put_one(struct world *w)
{
	append_run(w->spool, 1);
	commit(w->spool);
	housekeep(w->spool);
	w->put_ns = net.now;
}

static void step(struct world *w)
{
	uint64_t at;

	net.now += STEP_MS * ms;
	if (w->writing && net.now - w->put_ns >= PACKET_EACH_MS * ms)
		put_one(w);
	net_step();
	if (!w->frozen) {
		link_server_run(w->server, net.now, &at);
		CHECK(at >= net.now);
	}
	net_step();
	link_dialer_run(w->dialer, net.now, &at);
	/* A deadline in the past is a loop that never sleeps. */
	CHECK(at >= net.now);
}

static void live(struct world *w, uint64_t for_ms)
{
	for (uint64_t i = 0; i < for_ms; i += STEP_MS)
		step(w);
}

/* How long until the mirror has what the spool holds now, in ms. */
static uint64_t catch_up(struct world *w)
{
	uint64_t want, began = net.now;

	put_one(w);
	want = spool_next(w->spool);
	while (mirror_next(w->p.mirror) < want) {
		step(w);
		if (net.now - began > 60000 * ms)
			fail_msg("nothing comes any more");
	}
	return (net.now - began) / ms;
}

static uint64_t sessions(const struct world *w)
{
	return atomic_load(&w->p.counts.sessions);
}

static uint64_t outage(struct world *w, uint64_t for_ms)
{
	net.swallows = true;
	live(w, for_ms);
	net.swallows = false;
	return catch_up(w);
}

/* -- what must hold ------------------------------------------------------- */

static void outages_of_all_lengths(bool ipcap, bool writing)
{
	uint64_t worst = 0, worst_of = 0;
	struct world w;

	log_setup(LOG_ERROR, false);
	world_begin(&w, ipcap);
	w.writing = writing;
	CHECK(catch_up(&w) < 1000);
	for (uint64_t length = 50; length < 15000; length += length / 9 + 5) {
		uint64_t took;

		live(&w, 2500 + t_random_below(1000));
		took = outage(&w, length);
		if (took > worst) {
			worst = took;
			worst_of = length;
		}
	}
	printf("# %s, %s: %llu ms at worst, after %llu ms\n",
	       ipcap ? "ipcap" : "weir", writing ? "busy" : "idle",
	       (unsigned long long)worst, (unsigned long long)worst_of);
	CHECK(worst < 1000);
	world_end(&w);
}

TEST(I42_after_an_outage_of_any_length_the_link_goes_on_within_a_second)
{
	outages_of_all_lengths(false, true);
	outages_of_all_lengths(false, false);
	outages_of_all_lengths(true, true);
	outages_of_all_lengths(true, false);
}

TEST(I42_an_agent_that_was_only_busy_keeps_its_session)
{
	struct world w;

	log_setup(LOG_ERROR, false);
	world_begin(&w, false);
	live(&w, 1000);
	for (int i = 0; i < 5; i++) {
		uint64_t dials = net.dials;

		w.frozen = true;
		live(&w, 4000);
		CHECK(net.dials > dials);
		w.frozen = false;
		CHECK(catch_up(&w) < 100);
		CHECK_EQ(link_server_live(w.server), 1);
		dials = net.dials;
		live(&w, 3000);
		CHECK_EQ(net.dials, dials);
		CHECK_EQ(link_server_half_open(w.server), 0);
	}
	CHECK_EQ(sessions(&w), 1);
	world_end(&w);
}

TEST(I41_an_agent_that_stays_frozen_is_dropped_after_20_s_and_comes_back)
{
	struct link_dialer_status st;
	struct world w;

	log_setup(LOG_ERROR, false);
	world_begin(&w, false);
	live(&w, 1000);
	w.frozen = true;
	live(&w, 18900);
	link_dialer_status(w.dialer, &st);
	CHECK(st.connected);
	live(&w, 2500);
	link_dialer_status(w.dialer, &st);
	CHECK(!st.connected);
	w.frozen = false;
	CHECK(catch_up(&w) < 1000);
	CHECK_EQ(sessions(&w), 2);
	world_end(&w);
}

TEST(dials_into_the_void_are_four_a_second_and_leave_nothing_behind)
{
	struct world w;
	int open = 0;

	log_setup(LOG_ERROR, false);
	world_begin(&w, false);
	live(&w, 1000);
	net.swallows = true;
	live(&w, 5000);
	net.dials = 0;
	live(&w, 60000);
	CHECK(net.dials >= 200 && net.dials <= 250);
	for (int i = 0; i < CONNECTIONS; i++)
		open += net.all[i].used && net.all[i].open[DIALLER];
	CHECK(open <= 5);
	net.swallows = false;
	CHECK(catch_up(&w) < 1000);
	world_end(&w);
}
