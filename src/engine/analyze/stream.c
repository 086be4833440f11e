/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/analyze/stream.h"

int stream_caller(const struct stream *s)
{
	const struct flow *f = s->flow;

	if (f->way[0].syn || f->way[1].syn || f->protocol != IP_TCP)
		return f->opener;
	if (s->service.side != SERVICE_SIDE_UNKNOWN)
		return s->service.side == SERVICE_SIDE_A;
	return f->end[1].port > f->end[0].port;
}

const char *stream_status(const struct stream *s)
{
	switch ((enum flow_state)s->flow->state) {
	case FLOW_CLOSING:
		return "closing";
	case FLOW_CLOSED:
		return "closed";
	case FLOW_HALF_OPEN:
	case FLOW_OPEN:
		break;
	}
	return "open";
}

const char *stream_gap_name(enum flow_gap why)
{
	static const char *const names[] = { "lost", "limit", "end", "snapped",
					     "source" };

	return names[why];
}

const char *stream_end_name(enum flow_end end)
{
	static const char *const names[] = { "none", "fin",    "rst",
					     "idle", "reused", "evicted",
					     "input" };

	return names[end];
}
