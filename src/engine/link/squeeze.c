/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/link/squeeze.h"

#include <assert.h>

enum {
	/* A decision needs so much of both, or the longest time. */
	DECIDE_BYTES = 2 << 20,
	REST_FIRST = 4,
	REST_MOST = 256
};

static const uint64_t decide_ns = 100000000, decide_at_last_ns = 2000000000;

/* What a step must bring to stay. */
static const double gain = 1.03;

void squeeze_init(struct squeeze *q)
{
	*q = (struct squeeze){ .step = SQUEEZE_USUAL, .rests = REST_FIRST };
}

/* Which way the times point: -1, 0 or 1. */
static int leaning(const struct squeeze *q)
{
	uint64_t busy = q->ns[SQUEEZE_BUSY], blocked = q->ns[SQUEEZE_BLOCKED];

	if (blocked > busy)
		return q->step < SQUEEZE_HARD ? 1 : 0;
	if (busy > 8 * blocked)
		return q->step > SQUEEZE_OFF ? -1 : 0;
	return 0;
}

static bool turn_to(struct squeeze *q, enum squeeze_step step)
{
	bool other = q->step != step;

	q->step = step;
	q->changes += other;
	return other;
}

/* Was the trial worth it?  If not, back, and a longer rest. */
static bool judge(struct squeeze *q, double rate)
{
	q->trial = false;
	if (rate >= q->rate * gain) {
		q->rests = REST_FIRST;
		return false;
	}
	q->rests = q->rests * 2 < REST_MOST ? q->rests * 2 : REST_MOST;
	q->rest = q->rests;
	return turn_to(q, q->before);
}

static bool decide(struct squeeze *q)
{
	uint64_t waited = q->ns[SQUEEZE_BUSY] + q->ns[SQUEEZE_BLOCKED];
	double rate = (double)q->bytes / ((double)waited / 1e9 + 1e-9);
	int lean;

	if (waited < q->ns[SQUEEZE_IDLE]) {
		q->trial = false;
		return turn_to(q, SQUEEZE_USUAL);
	}
	if (q->trial)
		return judge(q, rate);
	if (q->rest) {
		q->rest--;
		return false;
	}
	lean = leaning(q);
	if (!lean)
		return false;
	q->trial = true;
	q->rate = rate;
	q->before = q->step;
	return turn_to(q, (enum squeeze_step)((int)q->step + lean));
}

bool squeeze_pass(struct squeeze *q, enum squeeze_time what, uint64_t ns,
		  uint64_t bytes)
{
	uint64_t all = 0;
	bool other;

	if (!q->rests)
		return false;
	q->ns[what] += ns;
	q->bytes += bytes;
	for (int i = 0; i < SQUEEZE_TIMES; i++)
		all += q->ns[i];
	if (all < decide_ns ||
	    (q->bytes < DECIDE_BYTES && all < decide_at_last_ns))
		return false;
	other = decide(q);
	for (int i = 0; i < SQUEEZE_TIMES; i++)
		q->ns[i] = 0;
	q->bytes = 0;
	return other;
}

int squeeze_level(const struct squeeze *q)
{
	assert(q->step != SQUEEZE_OFF);
	return q->step == SQUEEZE_HARD ? 1 : -1;
}

const char *squeeze_name(const struct squeeze *q)
{
	static const char *const names[] = { "off", "level -1", "level 1" };

	return names[q->step];
}
