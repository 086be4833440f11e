/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/replay/schedule.h"

#include <math.h>

#define NS_PER_S UINT64_C(1000000000)

static uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c)
{
	unsigned __int128 v = (unsigned __int128)a * b / (c ? c : 1);

	return v > UINT64_MAX / 2 ? UINT64_MAX / 2 : (uint64_t)v;
}

void schedule_by_factor(struct schedule *s, double factor)
{
	double parts = factor * 1e9;

	s->kind = SCHEDULE_RECORDED;
	/* Nine digits behind the point, and any size before it. */
	if (parts < 1e18) {
		s->numerator = NS_PER_S;
		s->denominator = (uint64_t)llround(parts < 1 ? 1 : parts);
	} else {
		s->numerator = 1;
		s->denominator = factor < 1e18 ? (uint64_t)llround(factor)
					       : UINT64_C(1000000000000000000);
	}
}

void schedule_by_duration(struct schedule *s, uint64_t set_ns,
			  uint64_t wanted_ns)
{
	s->kind = SCHEDULE_RECORDED;
	s->numerator = wanted_ns;
	s->denominator = set_ns ? set_ns : 1;
}

void schedule_begin(struct schedule *s, uint64_t first_ns, uint64_t base_ns)
{
	s->first_ns = s->recorded_ns = first_ns;
	s->base_ns = s->last_ns = base_ns;
	s->cut_ns = 0;
	s->packets = s->bytes = 0;
}

uint64_t schedule_span(const struct schedule *s, uint64_t recorded_ns)
{
	return mul_div(recorded_ns, s->numerator, s->denominator);
}

/* What of the pause before this packet is too long is left out for good. */
static void cut_pause(struct schedule *s, uint64_t time_ns)
{
	if (s->gap_max_ns && time_ns > s->recorded_ns &&
	    time_ns - s->recorded_ns > s->gap_max_ns)
		s->cut_ns += time_ns - s->recorded_ns - s->gap_max_ns;
	if (time_ns > s->recorded_ns)
		s->recorded_ns = time_ns;
}

uint64_t schedule_next(struct schedule *s, uint64_t time_ns, uint32_t len)
{
	uint64_t at = s->base_ns, since;

	switch (s->kind) {
	case SCHEDULE_RECORDED:
		cut_pause(s, time_ns);
		since = time_ns > s->first_ns ? time_ns - s->first_ns : 0;
		since = since > s->cut_ns ? since - s->cut_ns : 0;
		at += schedule_span(s, since);
		break;
	case SCHEDULE_PPS:
		at += mul_div(s->packets, NS_PER_S, s->rate);
		break;
	case SCHEDULE_BPS:
		at += mul_div(s->bytes * 8, NS_PER_S, s->rate);
		break;
	case SCHEDULE_TOP:
		break;
	}
	s->packets++;
	s->bytes += len;
	if (at < s->last_ns)
		at = s->last_ns;
	s->last_ns = at;
	return at;
}
