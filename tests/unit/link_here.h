/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link_here.h - an agent over a small spool and a collector with a mirror,
 * fed to each other in memory, with the clock as an argument.
 */
#ifndef TESTS_UNIT_LINK_HERE_H
#define TESTS_UNIT_LINK_HERE_H

#include <poll.h>

#include "engine/link/agent.h"
#include "engine/link/collector.h"
#include "engine/link/mirror.h"
#include "engine/link/wire.h"
#include "spool_here.h"

enum { MS = 1000000 };

/* Which direction a cut is about.  One way: the other goes on. */
enum pair_way { PAIR_BOTH_WAYS, PAIR_TO_AGENT, PAIR_TO_COLLECTOR };

struct pair {
	struct noise_keypair agent_key, collector_key;
	uint8_t listed[1][NOISE_KEY];
	struct link_source source;
	struct link_agent_config agent_cfg;
	struct link_collector_config collector_cfg;
	struct link_agent_counts agent_counts;
	struct link_collector_counts counts;
	struct mirror *mirror;
	struct link_beat beat;
	struct link_agent *agent;
	struct link_collector *collector;
	uint64_t now;
	/* Of this connection: bytes that crossed, and behind which it is cut.
	 * What comes behind a cut of one way is swallowed. */
	enum pair_way way;
	uint64_t crossed, cut;
	uint64_t beats, acks_written;
	struct err agent_err, collector_err;
};

#define NO_CUT UINT64_MAX

static inline struct mirror *mirror_in(struct sys *sys, const char *dir,
				       uint16_t source)
{
	struct mirror_config cfg = {
		.sys = sys,
		.dir = dir,
		.source = source,
		.name = "src1",
		.spool = SPOOL_CONFIG_DEFAULT,
		.writer = SPOOL_WRITER_CONFIG_DEFAULT,
	};
	struct err err = ERR_NONE;
	struct mirror *m;

	cfg.spool.reserve = false;
	cfg.writer.commit_min_ns = 0;
	cfg.writer.staging_max = 32 << 20;
	m = mirror_open(&cfg, &err);
	if (!m)
		fail_msg("mirror_open: %s", err.text);
	return m;
}

static inline struct mirror *mirror_of_source(uint16_t source)
{
	mkdir(t_path("mirror"), 0700);
	return mirror_in(sys_here(), t_path("mirror/src1"), source);
}

static inline struct mirror *mirror_here(void)
{
	return mirror_of_source(1);
}

/* A pair over <spool_dir>/src1, in whatever sys; both outlive it. */
static inline void pair_init_in(struct pair *p, struct sys *sys,
				const char *spool_dir, const char *source_dir,
				struct mirror *mirror)
{
	*p = (struct pair){ .now = UINT64_C(1000000000000), .cut = NO_CUT };
	noise_keypair_of(&p->agent_key, (const uint8_t[NOISE_KEY]){ 1 });
	noise_keypair_of(&p->collector_key, (const uint8_t[NOISE_KEY]){ 2 });
	memcpy(p->listed[0], p->collector_key.public, NOISE_KEY);
	p->source =
		(struct link_source){ .id = 1, .name = "", .dir = source_dir };
	p->agent_cfg = (struct link_agent_config){
		.sys = sys,
		.key = &p->agent_key,
		.n_collectors = 1,
		.sources = &p->source,
		.n_sources = 1,
		.spool_dir = spool_dir,
		.compress = true,
		.counts = &p->agent_counts,
	};
	p->mirror = mirror;
	p->collector_cfg = (struct link_collector_config){
		.sys = sys,
		.key = &p->collector_key,
		.agent = p->agent_key.public,
		.mirrors = &p->mirror,
		.beats = &p->beat,
		.n_mirrors = 1,
		.ack_every = 64,
		.counts = &p->counts,
	};
}

static inline void pair_init(struct pair *p)
{
	pair_init_in(p, sys_here(), t_path("spool"), t_path("spool/src1"),
		     mirror_here());
}

static inline void pair_connect(struct pair *p)
{
	p->agent_cfg.collectors = (const uint8_t(*)[NOISE_KEY])p->listed;
	p->agent = link_agent_new(&p->agent_cfg, p->now);
	p->collector = link_collector_new(&p->collector_cfg, p->now);
	p->crossed = 0;
	p->agent_err = p->collector_err = ERR_NONE;
}

static inline void pair_hang_up(struct pair *p)
{
	link_agent_free(p->agent);
	link_collector_free(p->collector);
	p->agent = NULL;
	p->collector = NULL;
}

static inline void pair_release(struct pair *p)
{
	pair_hang_up(p);
	mirror_close(p->mirror);
	p->mirror = NULL;
}

/* All of one direction that the cut lets through; 1 when bytes moved. */
static inline int pair_pass(struct pair *p, enum pair_way way,
			    struct link_end *from, struct link_end *to,
			    struct err *err)
{
	bool counts = p->way == PAIR_BOTH_WAYS || p->way == way;
	struct bytes out = link_wire_out(from->wire);
	uint64_t room = counts ? p->cut - p->crossed : NO_CUT;
	size_t n = out.len < room ? out.len : (size_t)room;
	int rc = 0;

	if (!out.len)
		return 0;
	if (counts)
		p->crossed += n;
	if (n)
		rc = to->calls->take(to, bytes_of(out.p, n), p->now, err);
	link_wire_sent(from->wire, p->way == PAIR_BOTH_WAYS ? n : out.len);
	return rc < 0 ? rc : n > 0;
}

/* Wait until the mirror's thread has made durable what was put. */
static inline void pair_settle(struct pair *p)
{
	while (mirror_fd(p->mirror) >= 0 &&
	       mirror_durable(p->mirror) != mirror_next(p->mirror)) {
		struct pollfd fd = { .fd = mirror_fd(p->mirror),
				     .events = POLLIN };

		if (mirror_identity(p->mirror) == NULL)
			return;
		CHECK(poll(&fd, 1, 10000) == 1);
		mirror_clear(p->mirror);
	}
}

/*
 * Until nothing moves any more.  0, or 1 when the connection has ended: by
 * either end (agent_err, collector_err) or by the cut.
 */
static inline int pair_run(struct pair *p)
{
	struct link_end *a = link_agent_end(p->agent);
	struct link_end *c = link_collector_end(p->collector);

	for (int round = 0; round < 100000; round++) {
		int rc = 0, moved = 0;

		rc |= c->calls->work(c, p->now, &p->collector_err);
		moved |= pair_pass(p, PAIR_TO_AGENT, c, a, &p->agent_err);
		rc |= a->calls->work(a, p->now, &p->agent_err);
		if (p->agent_err.code)
			rc = -1;
		moved |= pair_pass(p, PAIR_TO_COLLECTOR, a, c,
				   &p->collector_err);
		if (rc < 0 || moved < 0 || p->collector_err.code)
			return 1;
		if (p->way == PAIR_BOTH_WAYS && p->crossed >= p->cut)
			return 1;
		if (!moved && c->calls->hungry(c))
			return p->crossed >= p->cut;
		pair_settle(p);
	}
	fail_msg("a conversation without end");
	return 1;
}

/* The same while time passes. */
static inline int pair_live(struct pair *p, int seconds)
{
	for (int i = 0; i < seconds * 4; i++) {
		if (pair_run(p))
			return 1;
		p->now += 250 * MS;
	}
	return 0;
}

/* Up to `times` connections of a few seconds each, however they end. */
static inline void pair_try(struct pair *p, int times)
{
	for (int i = 0; i < times; i++) {
		pair_connect(p);
		(void)pair_live(p, 3);
		pair_hang_up(p);
	}
	pair_settle(p);
}

/* The same, and it must go well. */
static inline void pair_go(struct pair *p)
{
	if (pair_run(p))
		fail_msg("agent: %s; collector: %s", p->agent_err.text,
			 p->collector_err.text);
}

/* A whole connection that goes well until nothing moves; then it is cut. */
static inline void pair_session(struct pair *p)
{
	pair_connect(p);
	pair_go(p);
	pair_hang_up(p);
}

/* What a fresh reader finds in a source directory. */
static inline struct got read_dir(const char *dir)
{
	struct err err = ERR_NONE;
	struct spool_reader *r = spool_reader_open(sys_here(), dir, &err);
	struct got g = { 0 };

	if (!r)
		fail_msg("spool_reader_open: %s", err.text);
	seek_to(r, SPOOL_OLDEST, 0);
	read_on(r, &g);
	spool_reader_close(r);
	return g;
}

/*
 * What a reader finds in the mirror.  A segment that has just begun is durable
 * before it has its name, so this waits until all of it is shown.
 */
static inline struct got mirror_got(struct pair *p)
{
	struct got g = { 0 };

	pair_settle(p);
	for (int tries = 0; tries < 2000; tries++) {
		g = read_dir(t_path("mirror/src1"));
		if (!p->mirror || !mirror_identity(p->mirror) ||
		    g.next == mirror_durable(p->mirror))
			return g;
		poll(NULL, 0, 5);
	}
	fail_msg("the mirror is durable up to %llu and shows %llu",
		 (unsigned long long)mirror_durable(p->mirror),
		 (unsigned long long)g.next);
	return g;
}

/* The mirror holds that many packets, each once and what it must be. */
static inline void check_mirror(struct pair *p, uint64_t packets, uint64_t next)
{
	struct got g = mirror_got(p);

	CHECK_EQ(g.damaged, 0);
	CHECK_EQ(g.packets, packets);
	CHECK_EQ(g.next, next);
}

#endif
