/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp.c - what the receiver of each segment makes of it.
 *
 * Each direction counts its bytes from 0 in 64 bits; a sequence number becomes
 * such an offset by its distance to the next one expected, so streams may wrap
 * as often as they like.  Bytes in order go to the sink at once; early ones
 * wait (early.c).  A hole is given up when
 *   - the other side acknowledged it and hole_ns have passed since,
 *   - a cap on waiting data is reached,
 *   - the source itself lost packets, or
 *   - the flow ends.
 */
#include "engine/flow/flow_priv.h"

enum {
	/* Farther ahead than any window reaches: not of this connection. */
	AHEAD_MAX = 1 << 30
};

/* Everything that a helper needs to hand bytes on. */
struct delivery {
	struct flow_table *t;
	struct entry *e;
	int way;
	const struct flow_packet *p; /* NULL at the end of a flow */
};

static uint64_t when(const struct delivery *d)
{
	return d->p ? d->p->time_ns : d->e->flow.last_ns;
}

/* The next byte that the receiver waits for. */
static uint64_t *next_of(const struct delivery *d)
{
	return &d->e->flow.way[d->way].offset;
}

static struct tcp_way *way_of(const struct delivery *d)
{
	return &d->e->tcp[d->way];
}

/* A sequence number's offset; below 0 it is older than the stream. */
static int64_t offset_of(const struct delivery *d, uint32_t seq)
{
	uint64_t next = *next_of(d);
	uint32_t expected = way_of(d)->base + (uint32_t)next;

	return (int64_t)next + (int32_t)(seq - expected);
}

/* -- handing on ------------------------------------------------------------- */

static void give(void *arg, uint64_t offset, struct bytes b)
{
	const struct delivery *d = arg;
	struct flow_table *t = d->t;
	struct flow_way *way = &d->e->flow.way[d->way];
	struct flow_slice s = { d->way, offset, b, d->p };

	way->delivered += b.len;
	way->offset = offset + b.len;
	if (t->sink.slice)
		t->sink.slice(t->sink.self, &d->e->flow, &s);
}

static void give_gap(const struct delivery *d, uint64_t to, enum flow_gap why)
{
	struct flow_table *t = d->t;
	struct flow_way *way = &d->e->flow.way[d->way];
	uint64_t len = to - way->offset;

	way->gaps++;
	way->gap_bytes += len;
	t->counters.gaps++;
	t->counters.gap_bytes += len;
	if (t->sink.gap)
		t->sink.gap(t->sink.self, &d->e->flow, d->way, way->offset,
			    len, why, when(d));
	way->offset = to;
}

/* Hand on all that waits without a hole in front of it. */
static void drain(struct delivery *d)
{
	struct tcp_way *w = way_of(d);

	while (early_start(d->t, w) <= *next_of(d))
		early_take(d->t, w, *next_of(d), give, d);
	w->hole_ns = 0;
	w->source_gaps = d->t->source_gaps;
	if (w->fin_known && *next_of(d) >= w->fin_at)
		d->e->flow.way[d->way].fin = true;
}

/* Give up the hole in front of what waits. */
static void skip_hole(struct delivery *d, enum flow_gap why)
{
	uint64_t to = early_start(d->t, way_of(d));

	if (to == UINT64_MAX)
		return;
	if (to > *next_of(d))
		give_gap(d, to, why);
	drain(d);
}

/* -- data --------------------------------------------------------------------- */

static void count_ignored(const struct delivery *d)
{
	d->e->flow.way[d->way].ignored++;
	d->t->counters.ignored++;
}

static void count_repeated(const struct delivery *d, uint64_t offset,
			   struct bytes again)
{
	struct flow_table *t = d->t;

	d->e->flow.way[d->way].repeated++;
	t->counters.repeated++;
	if (t->sink.repeated && again.len)
		t->sink.repeated(t->sink.self, &d->e->flow, d->way, offset,
				 again, when(d));
}

static void put_early(struct delivery *d, uint64_t offset, struct bytes data)
{
	struct tcp_way *w = way_of(d);

	d->e->flow.way[d->way].early++;
	/* Each round gives up one hole, so the list gets shorter. */
	while (!early_put(d->t, d->e, d->way, offset, data, when(d))) {
		if (w->early == NONE || early_start(d->t, w) > offset) {
			/* Nothing to free: this one is the next to go on. */
			give_gap(d, offset, FLOW_GAP_LIMIT);
			give(d, offset, data);
			drain(d);
			return;
		}
		skip_hole(d, FLOW_GAP_LIMIT);
		if (offset <= *next_of(d)) {
			uint64_t had = *next_of(d) - offset;

			if (had < data.len)
				give(d, *next_of(d),
				     bytes_of(data.p + had, data.len - had));
			drain(d);
			return;
		}
	}
	if (w->source_gaps != d->t->source_gaps)
		skip_hole(d, FLOW_GAP_SOURCE);
}

/* Bytes at an offset; cut to what is new and inside the stream. */
static void take_data(struct delivery *d, int64_t at, struct bytes data)
{
	struct tcp_way *w = way_of(d);
	uint64_t next = *next_of(d);
	uint64_t offset, old;

	if (at < 0) {
		/* Before a stream that we joined half-way. */
		uint64_t before = (uint64_t)-at;

		if (before >= data.len) {
			count_repeated(d, 0, bytes_of(data.p, 0));
			return;
		}
		data = bytes_of(data.p + before, data.len - before);
		at = 0;
	}
	offset = (uint64_t)at;
	if (w->fin_known && offset + data.len > w->fin_at) {
		if (offset >= w->fin_at) {
			count_ignored(d);
			return;
		}
		data.len = (size_t)(w->fin_at - offset);
	}
	if (offset > next) {
		put_early(d, offset, data);
		return;
	}
	old = next - offset;
	if (old >= data.len) {
		count_repeated(d, offset, data);
		return;
	}
	if (old)
		count_repeated(d, offset, bytes_of(data.p, (size_t)old));
	give(d, next, bytes_of(data.p + old, data.len - (size_t)old));
	drain(d);
}

/* The wire had more than was captured: what lies behind cannot come. */
static void take_snapped(struct delivery *d, int64_t end, uint32_t missing)
{
	struct tcp_way *w = way_of(d);
	uint64_t to = (uint64_t)end + missing;

	if (end < 0 || (uint64_t)end != *next_of(d))
		return; /* waits in the list: the hole shows there */
	if (early_start(d->t, w) < to)
		to = early_start(d->t, w);
	give_gap(d, to, FLOW_GAP_SNAPPED);
	drain(d);
}

static void take_fin(struct delivery *d, int64_t end)
{
	struct tcp_way *w = way_of(d);

	if (end < 0 || w->fin_known)
		return;
	w->fin_known = true;
	w->fin_at = (uint64_t)end;
	if (w->fin_at <= *next_of(d))
		d->e->flow.way[d->way].fin = true;
}

/* -- acknowledgements and holes -------------------------------------------------- */

/* Way `way` of the flow has been received up to `ack`, says its receiver. */
static void take_ack(struct delivery *d, uint32_t ack)
{
	struct tcp_way *w = way_of(d);
	int64_t at;

	if (!w->based)
		return;
	at = offset_of(d, ack);
	if (at < 0 || (uint64_t)at > *next_of(d) + AHEAD_MAX)
		return;
	if ((uint64_t)at > w->acked)
		w->acked = (uint64_t)at;
}

/* Is there an acknowledged hole that has had its time? */
static void judge_hole(struct delivery *d)
{
	struct tcp_way *w = way_of(d);
	uint64_t next = *next_of(d);
	uint64_t waiting = early_start(d->t, w);

	if (!w->based || waiting == UINT64_MAX || w->acked <= next) {
		w->hole_ns = 0;
		return;
	}
	if (!w->hole_ns)
		w->hole_ns = when(d);
	else if (when(d) >= w->hole_ns + d->t->cfg.hole_ns)
		skip_hole(d, FLOW_GAP_LOST);
}

/* -- connections ------------------------------------------------------------------- */

static void base_on(struct delivery *d, uint32_t first_seq)
{
	struct tcp_way *w = way_of(d);

	w->base = first_seq;
	w->based = true;
	w->source_gaps = d->t->source_gaps;
}

/*
 * Data on a SYN counts only when the answer acknowledges it (RFC 7413); until
 * then it waits in front of the stream.
 */
static void take_syn_data(struct delivery *d, struct bytes data)
{
	struct tcp_way *w = way_of(d);

	if (*next_of(d) == 0 && w->early == NONE && data.len)
		(void)early_put(d->t, d->e, d->way, 0, data, when(d));
}

/* The answer to a SYN says how much of it was taken. */
static void judge_syn_data(struct delivery *d)
{
	struct tcp_way *w = way_of(d);

	if (*next_of(d) || early_start(d->t, w) > 0)
		return;
	if (w->acked > 0)
		drain(d);
	else
		early_drop_all(d->t, w);
}

static void take_syn(struct delivery *d, const struct decoded *seg)
{
	struct flow_way *way = &d->e->flow.way[d->way];

	/* Sent again with another number before any answer: it counts. */
	if (!way_of(d)->based || (way->offset == 0 && !d->e->again))
		base_on(d, seg->tcp.seq + 1);
	if (!way->syn) {
		way->syn = true;
		d->e->flow.opener = (uint8_t)(seg->tcp.flags & TCP_ACK
						      ? !d->way
						      : d->way);
	}
}

/*
 * A reset closes only with exactly the number that the receiver expects
 * (RFC 5961), or, while it answers a SYN, with the right acknowledgement.  We
 * may have missed data, so the end of what waits and what was acknowledged
 * count as expected too.
 */
static bool reset_is_exact(struct delivery *d, const struct decoded *seg)
{
	struct tcp_way *w = way_of(d);
	struct tcp_way *other = &d->e->tcp[!d->way];
	int64_t at;

	if (!w->based)
		return !(seg->tcp.flags & TCP_ACK) || !other->based ||
		       seg->tcp.ack - other->base <=
			       (uint32_t)d->e->flow.way[!d->way].offset + 1;
	at = offset_of(d, seg->tcp.seq);
	if (at < 0)
		return false;
	return (uint64_t)at == *next_of(d) || (uint64_t)at == w->acked ||
	       (w->fin_known && (uint64_t)at == w->fin_at + 1) ||
	       (w->early != NONE && (uint64_t)at > *next_of(d) &&
		(uint64_t)at < *next_of(d) + (1 << 20));
}

static void update_state(struct entry *e)
{
	struct flow *f = &e->flow;

	if (f->state == FLOW_CLOSED)
		return;
	if (f->way[0].fin && f->way[1].fin) {
		f->state = FLOW_CLOSED;
		f->ended = FLOW_END_FIN;
	} else if (f->way[0].fin || f->way[1].fin) {
		f->state = FLOW_CLOSING;
	} else if (f->way[0].packets && f->way[1].packets) {
		f->state = FLOW_OPEN;
	} else if (f->way[0].payload || f->way[1].payload) {
		f->state = FLOW_OPEN; /* one-sided capture */
	}
}

static void take_reset(struct delivery *d, const struct decoded *seg)
{
	struct flow *f = &d->e->flow;

	if (!reset_is_exact(d, seg)) {
		count_ignored(d);
		return;
	}
	f->way[d->way].rst = true;
	if (f->state != FLOW_CLOSED) {
		f->state = FLOW_CLOSED;
		f->ended = FLOW_END_RST;
	}
}

/* Would the receiver of an open connection look at this segment at all? */
static bool is_plausible(struct delivery *d, const struct decoded *seg)
{
	const struct flow *f = &d->e->flow;
	bool handshake = f->way[0].syn && f->way[1].syn;
	int64_t at;

	if (handshake && !(seg->tcp.flags & (TCP_ACK | TCP_SYN)))
		return false; /* RFC 9293 3.10.7.4: no ACK, no data */
	at = offset_of(d, seg->tcp.seq);
	return at <= (int64_t)(*next_of(d) + AHEAD_MAX);
}

void tcp_segment(struct flow_table *t, struct entry *e, int way,
		 const struct decoded *seg, const struct flow_packet *p)
{
	struct delivery d = { t, e, way, p };
	struct delivery back = { t, e, !way, p };
	struct flow_way *fw = &e->flow.way[way];
	int64_t at;

	if (fw->packets == 1)
		fw->first_seq = seg->tcp.seq;
	fw->last_seq = seg->tcp.seq;
	if (seg->tcp.flags & TCP_URG)
		fw->urgent = true;

	if (seg->tcp.flags & TCP_RST) {
		take_reset(&d, seg); /* what it carries is no content */
		return;
	}
	if (seg->tcp.flags & TCP_SYN) {
		take_syn(&d, seg);
		take_syn_data(&d, seg->payload);
	} else {
		if (!way_of(&d)->based && (seg->payload.len || seg->missing))
			base_on(&d, seg->tcp.seq);
		if (way_of(&d)->based && !is_plausible(&d, seg)) {
			count_ignored(&d);
			return;
		}
		at = offset_of(&d, seg->tcp.seq);
		if (way_of(&d)->based && seg->payload.len)
			take_data(&d, at, seg->payload);
		if (way_of(&d)->based && seg->missing)
			take_snapped(&d, at + (int64_t)seg->payload.len,
				     seg->missing);
		if (seg->tcp.flags & TCP_FIN && way_of(&d)->based)
			take_fin(&d, at + (int64_t)seg->payload.len +
					     seg->missing);
		else if (seg->tcp.flags & TCP_FIN)
			fw->fin = true;
	}
	if (seg->tcp.flags & TCP_ACK) {
		take_ack(&back, seg->tcp.ack);
		judge_syn_data(&back);
		judge_hole(&back);
	}
	judge_hole(&d);
	update_state(e);
}

bool tcp_is_reuse(struct flow_table *t, struct entry *e, int way,
		  const struct decoded *seg)
{
	struct delivery d = { t, e, way, NULL };
	struct tcp_way *w = &e->tcp[way];
	uint32_t seq = seg->tcp.seq;

	if (!(seg->tcp.flags & TCP_SYN))
		/* Data of a connection whose answer we did not see. */
		return e->again && way == e->again_way && seg->payload.len &&
		       seq == e->again_seq + 1;
	if (w->based && seq + 1 == w->base)
		return false; /* sent again */
	if (e->flow.state == FLOW_CLOSED)
		return true;
	if (seg->tcp.flags & TCP_ACK)
		return e->again && way != e->again_way &&
		       seg->tcp.ack == e->again_seq + 1;
	if (!w->based && !e->flow.way[way].packets)
		return false; /* the SYN of an answer that we saw first */
	if (e->flow.state == FLOW_HALF_OPEN)
		return false;
	/*
	 * In an open connection the receiver only challenges it.  It may be a
	 * new connection all the same, after an end that we missed: what comes
	 * next tells.
	 */
	e->again = true;
	e->again_way = (uint8_t)way;
	e->again_seq = seq;
	count_ignored(&d);
	return false;
}

void tcp_flush(struct flow_table *t, struct entry *e)
{
	for (int way = 0; way < 2; way++) {
		struct delivery d = { t, e, way, NULL };
		struct tcp_way *w = &e->tcp[way];
		uint64_t next;

		while (w->early != NONE)
			skip_hole(&d, FLOW_GAP_END);
		/* The last number acknowledged may be that of a lost FIN. */
		next = e->flow.way[way].offset;
		if (w->based && w->acked > next + 1 &&
		    (!w->fin_known || w->fin_at > next))
			give_gap(&d, w->fin_known ? w->fin_at : w->acked,
				 FLOW_GAP_LOST);
	}
}
