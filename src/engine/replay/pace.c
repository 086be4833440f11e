/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pace.c - sleep to shortly before, spin the rest.
 *
 * The guard follows how late the kernel wakes us: at once up to the latest
 * waking seen, slowly down again.  Where wakings are sharp little is spun;
 * where they are not the spin covers them.
 */
#include "engine/replay/pace_priv.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

enum {
	GUARD_FIRST_NS = 100000,
	GUARD_LEAST_NS = 20000,
	GUARD_MOST_NS = 1000000,
	GUARD_EXTRA_NS = 5000
};

#define SLEEP_MOST_NS UINT64_C(100000000)
#define NS_PER_S      UINT64_C(1000000000)

static uint64_t clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

void pace_begin(struct pace *p)
{
	/* Of this thread; the default of 50 us is added to every sleep. */
	prctl(PR_SET_TIMERSLACK, 1);
	/* Of this thread as well, on Linux; where it is not allowed, well. */
	setpriority(PRIO_PROCESS, 0, -20);
	*p = (struct pace){ .start_ns = clock_now(),
			    .guard_ns = GUARD_FIRST_NS,
			    .on_time = true };
}

uint64_t pace_now(const struct pace *p)
{
	return clock_now() - p->start_ns;
}

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

/* A waking that was late by so much. */
static void learn(struct pace *p, uint64_t late)
{
	uint64_t want = late + GUARD_EXTRA_NS;

	if (want > p->guard_ns)
		p->guard_ns = want;
	else
		p->guard_ns -= (p->guard_ns - want) / 64;
	if (p->guard_ns < GUARD_LEAST_NS)
		p->guard_ns = GUARD_LEAST_NS;
	if (p->guard_ns > GUARD_MOST_NS)
		p->guard_ns = GUARD_MOST_NS;
}

static void sleep_until(struct pace *p, uint64_t at_ns)
{
	uint64_t at = p->start_ns + at_ns, now;
	struct timespec t = { .tv_sec = (time_t)(at / NS_PER_S),
			      .tv_nsec = (long)(at % NS_PER_S) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) ==
	       EINTR)
		;
	now = clock_now();
	learn(p, now > at ? now - at : 0);
}

uint64_t pace_until(struct pace *p, uint64_t at_ns)
{
	uint64_t now = pace_now(p);

	if (at_ns > now + p->guard_ns) {
		uint64_t wake = at_ns - p->guard_ns;

		sleep_until(p, wake < now + SLEEP_MOST_NS
				       ? wake
				       : now + SLEEP_MOST_NS);
		now = pace_now(p);
		if (at_ns > now + GUARD_MOST_NS)
			return now;
	}
	while (now < at_ns) {
		relax();
		now = pace_now(p);
	}
	return now;
}
