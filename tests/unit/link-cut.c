/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire cut at every byte of an exchange of 200 packets: whatever was on
 * its way, the next connection brings each packet once.
 *
 * Each cut has a world of its own, a spool and a mirror in memory.  The plain
 * cut of both directions is made at every byte for both protocols; the other
 * rows of the table take a stride from a random byte on, or every byte too
 * with WEIR_TEST_LONG=1.  Builds for a sanitizer, some ten times slower, take
 * a stride for all.
 */
#include "link_here.h"

#include "base/log.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STEP_LEAST = 23 };
#else
enum { STEP_LEAST = 1 };
#endif

enum { BATCHES = 4, BATCH = 50, PACKETS = BATCHES * BATCH };

static const struct kind {
	const char *name;
	bool agent_ipcap, collector_ipcap, compress;
	enum pair_way way;
	uint64_t step;
} kinds[] = {
	{ "weir", false, false, true, PAIR_BOTH_WAYS, 1 },
	{ "ipcap", true, true, true, PAIR_BOTH_WAYS, 1 },
	{ "weir, to the agent only", false, false, true, PAIR_TO_AGENT, 1 },
	{ "ipcap, to the agent only", true, true, true, PAIR_TO_AGENT, 1 },
	{ "weir, to the collector only", false, false, true, PAIR_TO_COLLECTOR,
	  11 },
	{ "ipcap, to the collector only", true, true, true, PAIR_TO_COLLECTOR,
	  11 },
	{ "weir, not compressed", false, false, false, PAIR_BOTH_WAYS, 37 },
	{ "ipcap, not compressed", true, true, false, PAIR_BOTH_WAYS, 37 },
	{ "ipcap's agent", true, false, true, PAIR_BOTH_WAYS, 37 },
	{ "ipcap's collector", false, true, true, PAIR_BOTH_WAYS, 37 },
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static void write_spool(struct sys *sys)
{
	struct spool_config cfg = config_here();
	struct err err = ERR_NONE;
	struct spool *s;

	cfg.source_dir = "spool/src1";
	s = spool_open(sys, &cfg, &err);
	if (!s)
		fail_msg("spool_open: %s", err.text);
	write_some(s, BATCHES, BATCH);
	spool_close(s);
}

static void begin(struct pair *p, const struct kind *k)
{
	struct sys *sys = sys_memory_new(64 << 20);

	CHECK_EQ(sys_mkdir_all(sys, "spool"), 0);
	CHECK_EQ(sys_mkdir_all(sys, "mirror"), 0);
	write_spool(sys);
	pair_init_in(p, sys, "spool", "spool/src1",
		     mirror_in(sys, "mirror/src1", 1));
	p->agent_cfg.only_ipcap = k->agent_ipcap;
	p->agent_cfg.compress = k->compress;
	p->collector_cfg.only_ipcap = k->collector_ipcap;
	p->way = k->way;
}

/* The mirror holds all, each packet once and what it must be. */
static void end(struct pair *p, const struct kind *k, uint64_t cut)
{
	struct sys *sys = p->agent_cfg.sys;
	struct got g;

	pair_release(p);
	g = read_from(sys, "mirror/src1");
	if (g.packets != PACKETS || g.next != PACKETS || g.begins != 1 ||
	    g.gaps || g.damaged)
		fail_msg("%s, cut behind byte %llu: %llu packets up to %llu, "
			 "%llu spools, %llu gaps, %llu damaged",
			 k->name, (unsigned long long)cut,
			 (unsigned long long)g.packets,
			 (unsigned long long)g.next,
			 (unsigned long long)g.begins,
			 (unsigned long long)g.gaps,
			 (unsigned long long)g.damaged);
	sys_memory_free(sys);
}

/* How many bytes the whole exchange takes, in the direction that is cut. */
static uint64_t bytes_in(const struct kind *k)
{
	struct pair p;
	uint64_t n;

	begin(&p, k);
	pair_connect(&p);
	pair_go(&p);
	n = p.crossed;
	end(&p, k, n);
	return n;
}

/* As another process finds its mirror. */
static void restart(struct pair *p)
{
	mirror_close(p->mirror);
	p->mirror = mirror_in(p->collector_cfg.sys, "mirror/src1", 1);
}

static void cut_behind(const struct kind *k, uint64_t cut)
{
	struct pair p;

	begin(&p, k);
	p.cut = cut;
	pair_connect(&p);
	CHECK_EQ(pair_run(&p), 1);
	CHECK_EQ(p.crossed, cut);
	CHECK_EQ(p.agent_err.code, 0);
	CHECK_EQ(p.collector_err.code, 0);
	pair_hang_up(&p);
	/* Every other time the collector is another process after it. */
	if (cut & 1)
		restart(&p);
	p.cut = NO_CUT;
	pair_session(&p);
	end(&p, k, cut);
}

static uint64_t step_of(const struct kind *k)
{
	if (getenv("WEIR_TEST_LONG"))
		return 1;
	return k->step > STEP_LEAST ? k->step : STEP_LEAST;
}

TEST(I43_a_wire_cut_at_any_byte_gives_each_packet_once)
{
	log_setup(LOG_ERROR, false);
	for (int i = 0; i < KINDS; i++) {
		const struct kind *k = &kinds[i];
		uint64_t most = bytes_in(k), step = step_of(k), n = 0;

		for (uint64_t cut = t_random_below(step); cut < most;
		     cut += step, n++)
			cut_behind(k, cut);
		printf("# %s: %llu cuts in %llu bytes\n", k->name,
		       (unsigned long long)n, (unsigned long long)most);
		CHECK(n >= most / step);
	}
}
