/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How hard to compress: against a model of a processor and a network, the
 * best step is found and kept, and none of the swings costs much.
 */
#include "engine/link/squeeze.h"
#include "t.h"

/* What one core does at each step, and what it leaves of the records. */
struct machine {
	double rate[3];	 /* bytes of records a second */
	double ratio[3]; /* records to wire */
	double network;	 /* bytes of wire a second */
	double offered;	 /* bytes of records that come a second; 0: more */
};

static const struct machine traffic = {
	{ 1.1e9, 6.5e8, 5.0e8 }, { 1.0, 2.06, 2.15 }, 0, 0
};

static double rate_at(const struct machine *m, enum squeeze_step step)
{
	double net = m->network * m->ratio[step];

	return m->rate[step] < net ? m->rate[step] : net;
}

static double best_of(const struct machine *m, enum squeeze_step *step)
{
	double best = 0;

	for (int i = SQUEEZE_OFF; i <= SQUEEZE_HARD; i++) {
		if (rate_at(m, i) <= best)
			continue;
		best = rate_at(m, i);
		*step = (enum squeeze_step)i;
	}
	return best;
}

/* One piece of records goes out; how long that took. */
static double give(const struct machine *m, struct squeeze *q, double bytes)
{
	double ours = bytes / m->rate[q->step];
	double theirs = bytes / m->ratio[q->step] / m->network;
	double idle = m->offered > 0 ? bytes / m->offered - ours : 0;

	(void)squeeze_pass(q, SQUEEZE_BUSY, (uint64_t)(ours * 1e9),
			   (uint64_t)bytes);
	if (idle > 0 && theirs < bytes / m->offered) {
		(void)squeeze_pass(q, SQUEEZE_IDLE, (uint64_t)(idle * 1e9), 0);
		return ours + idle;
	}
	if (theirs <= ours)
		return ours;
	(void)squeeze_pass(q, SQUEEZE_BLOCKED,
			   (uint64_t)((theirs - ours) * 1e9), 0);
	return theirs;
}

/* Seconds of the model's time; how many bytes of records went. */
static double go_on(const struct machine *m, struct squeeze *q, double seconds)
{
	double sum = 0, piece = 256 << 10;

	for (double t = 0; t < seconds; sum += piece)
		t += give(m, q, piece);
	return sum;
}

TEST(I37_the_step_that_carries_most_is_found_and_kept)
{
	static const double networks[] = { 1e6, 1e7, 1.2e8, 2.5e8, 3.1e8,
					   4e8, 7e8, 1.2e9, 5e9 };

	for (size_t i = 0; i < sizeof(networks) / sizeof(networks[0]); i++) {
		struct machine m = traffic;
		enum squeeze_step best = SQUEEZE_OFF;
		struct squeeze q;
		double most, went;

		m.network = networks[i];
		most = best_of(&m, &best);
		squeeze_init(&q);
		(void)go_on(&m, &q, 20);
		went = go_on(&m, &q, 60) / 60;
		printf("# network %4.0f MB/s: %.2f of the best, %s, %llu "
		       "changes\n",
		       m.network / 1e6, went / most, squeeze_name(&q),
		       (unsigned long long)q.changes);
		CHECK(went > 0.93 * most);
		CHECK(q.changes < 40);
	}
}

TEST(a_network_that_becomes_another_one_is_noticed_within_seconds)
{
	struct machine m = traffic;
	struct squeeze q;

	squeeze_init(&q);
	m.network = 5e9;
	(void)go_on(&m, &q, 30);
	CHECK_EQ(q.step, SQUEEZE_OFF);
	m.network = 1e7;
	(void)go_on(&m, &q, 60);
	CHECK(q.step != SQUEEZE_OFF);
	m.network = 5e9;
	(void)go_on(&m, &q, 60);
	CHECK_EQ(q.step, SQUEEZE_OFF);
}

TEST(while_little_comes_the_usual_level_is_used)
{
	struct machine m = traffic;
	struct squeeze q;

	squeeze_init(&q);
	m.network = 5e9;
	(void)go_on(&m, &q, 10);
	CHECK_EQ(q.step, SQUEEZE_OFF);
	m.offered = 1e7;
	(void)go_on(&m, &q, 10);
	CHECK_EQ(q.step, SQUEEZE_USUAL);
}

TEST(what_was_never_begun_stays_off)
{
	struct squeeze q = { 0 };

	for (int i = 0; i < 100; i++)
		CHECK(!squeeze_pass(&q, SQUEEZE_BLOCKED, 1000000000, 1 << 20));
	CHECK_EQ(q.step, SQUEEZE_OFF);
}
