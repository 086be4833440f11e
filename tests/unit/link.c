/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two ends fed to each other: what is in the spool is in the mirror, once.
 */
#include "link_here.h"

/* Which end speaks only ipcap's protocol. */
static const struct {
	bool agent, collector;
	const char *protocol;
} pairs[] = {
	{ false, false, "weir" },
	{ true, false, "ipcap" },
	{ false, true, "ipcap" },
	{ true, true, "ipcap" },
};
enum { PAIRS = 4 };

static void begin(struct pair *p, int i)
{
	remove_dir(t_path("spool"));
	remove_dir(t_path("mirror"));
	pair_init(p);
	p->agent_cfg.only_ipcap = pairs[i].agent;
	p->collector_cfg.only_ipcap = pairs[i].collector;
}

static void write_spool(int batches, uint32_t count)
{
	struct spool *s = open_here();

	write_some(s, batches, count);
	spool_close(s);
}

TEST(X06_every_pair_of_ends_carries_a_spool_into_a_mirror)
{
	for (int i = 0; i < PAIRS; i++) {
		struct pair p;

		begin(&p, i);
		write_spool(7, 100);
		pair_connect(&p);
		pair_go(&p);
		CHECK_STR(link_collector_protocol(p.collector),
			  pairs[i].protocol);
		check_mirror(&p, 700, 700);
		CHECK_EQ(atomic_load(&p.agent_counts.packets), 700);
		pair_release(&p);
	}
}
