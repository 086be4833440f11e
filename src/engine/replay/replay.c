/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/replay/replay.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "codec/expression.h"
#include "engine/replay/histogram.h"
#include "engine/replay/pace_priv.h"
#include "sys/channel.h"

enum {
	BATCHES = 32,
	BATCH_PACKETS = 4096,
	BATCH_BYTES = 2 << 20, /* a packet more may come on top */
	LINKTYPES_MAX = 16,
	RETRY_NS = 20000,
	BURST_MOST = 32 /* packets at once, after a stall */
};

#define STALL_NS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

struct slot {
	uint64_t deadline_ns, time_ns;
	size_t at; /* in the batch's bytes */
	uint32_t len, wire_len, linktype;
	uint8_t sink;
};

struct batch {
	struct slot slots[BATCH_PACKETS];
	int n;
	bool loop_ends; /* behind the last one */
	struct buf bytes;
};

struct counters {
	atomic_uint_fast64_t loops, sent, bytes, failed, oversize, filtered,
		other_linktype, retries, stalls, wanted_ns, took_ns;
	atomic_int_fast64_t drift_ns;
};

struct replay {
	struct replay_config cfg;
	struct merge *merge;
	struct channel *full, *empty;
	struct batch *batches[BATCHES]; /* owned; all of them */
	pthread_t reader, sender;
	bool reading, sending;
	atomic_bool stop, ended;
	int end_fd;

	/* the reader's */
	struct batch *filling;
	struct {
		uint32_t linktype;
		struct expression *e;
	} expressions[LINKTYPES_MAX];
	int n_expressions;
	struct err read_err;

	/* the sender's */
	struct pace pace;
	struct err send_err;

	struct counters count;
	struct histogram errors;
};

static void bump(atomic_uint_fast64_t *v, uint64_t by)
{
	atomic_store_explicit(
		v, atomic_load_explicit(v, memory_order_relaxed) + by,
		memory_order_relaxed);
}

static uint64_t read_of(const atomic_uint_fast64_t *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

static bool stopped(const struct replay *r)
{
	return atomic_load_explicit(&r->stop, memory_order_relaxed);
}

/* -- reading -------------------------------------------------------------- */

/* Does the expression want it?  1, 0 or an error. */
static int wanted(struct replay *r, const struct merge_packet *p)
{
	int i = 0;

	if (!r->cfg.expression || !*r->cfg.expression)
		return 1;
	while (i < r->n_expressions &&
	       r->expressions[i].linktype != p->linktype)
		i++;
	if (i == LINKTYPES_MAX)
		return err_set(&r->read_err, ERR_LIMIT,
			       "a filter over more than %d link types",
			       LINKTYPES_MAX);
	if (i == r->n_expressions) {
		struct expression *e = expression_new(
			r->cfg.expression, p->linktype, &r->read_err);

		if (!e)
			return r->read_err.code;
		r->expressions[i].linktype = p->linktype;
		r->expressions[i].e = e;
		r->n_expressions++;
	}
	return expression_matches(r->expressions[i].e, &p->packet);
}

/* An empty batch, waited for; NULL when it is over. */
static struct batch *take_empty(struct replay *r)
{
	struct batch *b = channel_receive(r->empty, -1);

	if (b) {
		b->n = 0;
		b->loop_ends = false;
		buf_clear(&b->bytes);
	}
	return b;
}

static bool pass_on(struct replay *r)
{
	if (!channel_send(r->full, r->filling, true))
		return false;
	r->filling = take_empty(r);
	return r->filling && !stopped(r);
}

/* Which sink, or -1 where none takes it. */
static int sink_of(struct replay *r, const struct merge_packet *p)
{
	int i = r->cfg.choose ? r->cfg.choose(r->cfg.arg, p) : 0;

	if (r->cfg.takes && !r->cfg.takes(r->cfg.arg, i, p->linktype))
		return -1;
	return i;
}

static void fill(struct replay *r, const struct merge_packet *p, int sink)
{
	struct batch *b = r->filling;
	uint32_t len = (uint32_t)p->packet.data.len;

	b->slots[b->n++] = (struct slot){
		.deadline_ns =
			schedule_next(&r->cfg.schedule, p->packet.time_ns, len),
		.time_ns = p->packet.time_ns,
		.at = b->bytes.len,
		.len = len,
		.wire_len = p->packet.wire_len,
		.linktype = p->linktype,
		.sink = (uint8_t)sink,
	};
	put_bytes(&b->bytes, p->packet.data);
}

/*
 * One packet.  What is not sent keeps its place in time: the schedule does not
 * move for packets that are filtered, too long or of another link type.
 */
static int one_packet(struct replay *r, const struct merge_packet *p)
{
	int rc = wanted(r, p), sink;

	if (rc < 0)
		return rc;
	if (rc == 0) {
		bump(&r->count.filtered, 1);
		return 0;
	}
	sink = sink_of(r, p);
	if (sink < 0) {
		bump(&r->count.other_linktype, 1);
		return 0;
	}
	if (r->cfg.length_max && p->packet.data.len > r->cfg.length_max) {
		bump(&r->count.oversize, 1);
		return 0;
	}
	fill(r, p, sink);
	if (r->filling->n == BATCH_PACKETS ||
	    r->filling->bytes.len >= BATCH_BYTES)
		return pass_on(r) ? 0 : ERR_END;
	return 0;
}

/* Once through the set.  *span is how long it is in recorded time. */
static int one_round(struct replay *r, uint64_t base_ns, uint64_t *first_ns,
		     uint64_t *last_ns)
{
	struct merge_packet p;
	bool begun = false;
	int rc;

	while (!stopped(r) &&
	       (rc = merge_next(r->merge, &p, &r->read_err)) == 0) {
		uint64_t ns = p.packet.time_ns;

		if (!begun) {
			schedule_begin(&r->cfg.schedule, ns, base_ns);
			*first_ns = *last_ns = ns;
			begun = true;
		}
		if (ns > *last_ns)
			*last_ns = ns;
		rc = one_packet(r, &p);
		if (rc < 0)
			return rc;
	}
	if (stopped(r))
		return ERR_END;
	return rc == ERR_END ? (begun ? 0 : ERR_END) : rc;
}

/*
 * When the next round begins: a mean gap behind the last packet of this one;
 * a set of no length takes a second.
 */
static uint64_t next_base(struct replay *r, uint64_t first_ns, uint64_t last_ns)
{
	const struct schedule *s = &r->cfg.schedule;
	uint64_t gap;

	if (s->kind != SCHEDULE_RECORDED) {
		gap = s->packets ? (s->last_ns - s->base_ns) / s->packets : 0;
		return s->last_ns + gap;
	}
	if (last_ns == first_ns)
		return s->last_ns + schedule_span(s, NS_PER_S);
	gap = s->packets > 1 ? (s->last_ns - s->base_ns) / (s->packets - 1) : 0;
	return s->last_ns + gap;
}

static int read_rounds(struct replay *r)
{
	uint64_t base = 0, first = 0, last = 0;

	for (uint64_t i = 0; r->cfg.loops == 0 || i < r->cfg.loops; i++) {
		int rc;

		if (i)
			merge_rewind(r->merge);
		rc = one_round(r, base, &first, &last);
		if (rc < 0)
			return rc;
		r->filling->loop_ends = true;
		if (!pass_on(r))
			return ERR_END;
		base = next_base(r, first, last);
	}
	return ERR_END;
}

static void *run_reader(void *arg)
{
	struct replay *r = arg;

	r->filling = take_empty(r);
	if (r->filling)
		read_rounds(r);
	/* What was read before a failure is still sent. */
	if (r->filling && r->filling->n)
		channel_send(r->full, r->filling, true);
	channel_close(r->full);
	return NULL;
}

/* -- sending -------------------------------------------------------------- */

static void make_packet(const struct batch *b, const struct slot *s,
			struct replay_packet *p)
{
	p->packet.data = bytes_of(b->bytes.p + s->at, s->len);
	p->packet.time_ns = s->time_ns;
	p->packet.wire_len = s->wire_len;
	p->deadline_ns = s->deadline_ns;
	p->linktype = s->linktype;
}

static void account(struct replay *r, const struct slot *s, uint64_t now_ns)
{
	uint64_t late = now_ns > s->deadline_ns ? now_ns - s->deadline_ns : 0;

	bump(&r->count.sent, 1);
	bump(&r->count.bytes, s->len);
	if (r->cfg.wait)
		histogram_add(&r->errors, late);
	atomic_store_explicit(&r->count.wanted_ns, s->deadline_ns,
			      memory_order_relaxed);
	atomic_store_explicit(&r->count.took_ns, now_ns, memory_order_relaxed);
	atomic_store_explicit(&r->count.drift_ns,
			      (int64_t)now_ns - (int64_t)s->deadline_ns,
			      memory_order_relaxed);
}

/*
 * Hand over the n packets from slot i on, which are due.  Their times are
 * taken to lie evenly between before and after the call.  Returns how many are
 * settled, or a failure.
 */
static int send_due(struct replay *r, struct batch *b, int i, int n)
{
	const struct replay_sink *sink = &r->cfg.sinks[b->slots[i].sink];
	struct replay_packet p[REPLAY_BATCH];
	uint64_t before = pace_now(&r->pace), after;
	int took;

	for (int k = 0; k < n; k++)
		make_packet(b, &b->slots[i + k], &p[k]);
	took = sink->give(sink->self, p, n, &r->send_err);
	if (took == ERR_LIMIT) {
		bump(&r->count.failed, 1);
		return 1;
	}
	if (took == 0) {
		bump(&r->count.retries, 1);
		pace_until(&r->pace, before + RETRY_NS);
		return 0;
	}
	if (took < 0)
		return took;
	after = pace_now(&r->pace);
	for (int k = 0; k < took; k++)
		account(r, &b->slots[i + k],
			before + (after - before) * (uint64_t)k /
					 (uint64_t)took);
	return took;
}

/* How many from slot i on are due now and go to the same sink. */
static int count_due(const struct replay *r, const struct batch *b, int i,
		     uint64_t now)
{
	bool gently = r->cfg.wait && r->cfg.late == REPLAY_LATE_CATCH_UP;
	int most = gently && !r->pace.on_time ? BURST_MOST : REPLAY_BATCH;
	int n = 1;

	while (n < most && i + n < b->n &&
	       b->slots[i + n].sink == b->slots[i].sink &&
	       (!r->cfg.wait || b->slots[i + n].deadline_ns <= now))
		n++;
	return n;
}

/*
 * Wait for slot i.  Behind time packets go in small bursts, each after half of
 * the time that the burst before it was recorded in: twice the rate.
 */
static void wait_for(struct replay *r, const struct slot *s)
{
	uint64_t now = pace_now(&r->pace), at = s->deadline_ns, gap = 0;

	if (at > r->pace.last_deadline_ns)
		gap = at - r->pace.last_deadline_ns;

	if (now > at + STALL_NS && r->pace.on_time) {
		r->pace.on_time = false;
		bump(&r->count.stalls, 1);
	} else if (now <= at + STALL_NS) {
		r->pace.on_time = true;
	}
	if (r->cfg.late == REPLAY_LATE_CATCH_UP && now > at &&
	    r->pace.last_ns + gap / 2 > at)
		at = r->pace.last_ns + gap / 2;
	while (now < at && !stopped(r))
		now = pace_until(&r->pace, at);
}

static int send_batch(struct replay *r, struct batch *b)
{
	int i = 0;

	while (i < b->n && !stopped(r)) {
		int n, rc;

		if (r->cfg.wait)
			wait_for(r, &b->slots[i]);
		if (stopped(r))
			break;
		n = count_due(r, b, i, pace_now(&r->pace));
		rc = send_due(r, b, i, n);
		if (rc < 0)
			return rc;
		if (rc > 0) {
			r->pace.last_ns = pace_now(&r->pace);
			r->pace.last_deadline_ns = b->slots[i].deadline_ns;
		}
		i += rc;
	}
	return 0;
}

static void *run_sender(void *arg)
{
	struct replay *r = arg;
	struct batch *b = channel_receive(r->full, -1);
	uint64_t one = 1;
	ssize_t done;
	int rc = 0;

	/* The clock starts when the first packet is there. */
	pace_begin(&r->pace);
	for (; b && rc == 0;
	     b = rc == 0 ? channel_receive(r->full, -1) : NULL) {
		rc = send_batch(r, b);
		if (rc == 0 && b->loop_ends && !stopped(r))
			bump(&r->count.loops, 1);
		channel_send(r->empty, b, true);
	}
	atomic_store(&r->stop, true);
	channel_close(r->empty);
	channel_close(r->full);
	atomic_store(&r->ended, true);
	done = write(r->end_fd, &one, sizeof(one));
	(void)done; /* the counter of an eventfd has room */
	return NULL;
}

/* -- the face ------------------------------------------------------------- */

static int start_threads(struct replay *r, struct err *err)
{
	int rc = pthread_create(&r->reader, NULL, run_reader, r);

	r->reading = rc == 0;
	if (rc == 0)
		rc = pthread_create(&r->sender, NULL, run_sender, r);
	r->sending = rc == 0 && r->reading;
	return rc ? err_sys(err, rc, "no thread can be started") : 0;
}

struct replay *replay_start(const struct replay_config *cfg, struct err *err)
{
	struct replay *r = mem_alloc(sizeof(*r));

	r->cfg = *cfg;
	r->merge = merge_new(&cfg->merge);
	r->full = channel_new(BATCHES);
	r->empty = channel_new(BATCHES);
	for (int i = 0; i < BATCHES; i++) {
		r->batches[i] = mem_alloc(sizeof(struct batch));
		channel_send(r->empty, r->batches[i], false);
	}
	/* Top speed is not to wait. */
	if (cfg->schedule.kind == SCHEDULE_TOP)
		r->cfg.wait = false;
	r->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->end_fd < 0)
		err_sys(err, errno, "no descriptor is left");
	else if (start_threads(r, err) == 0)
		return r;
	replay_stop(r, &(struct replay_status){ 0 }, NULL);
	return NULL;
}

int replay_fd(const struct replay *r)
{
	return r->end_fd;
}

void replay_status(struct replay *r, struct replay_status *s)
{
	const struct counters *c = &r->count;

	*s = (struct replay_status){
		.ended = atomic_load(&r->ended),
		.loops = read_of(&c->loops),
		.sent = read_of(&c->sent),
		.bytes = read_of(&c->bytes),
		.failed = read_of(&c->failed),
		.oversize = read_of(&c->oversize),
		.filtered = read_of(&c->filtered),
		.other_linktype = read_of(&c->other_linktype),
		.retries = read_of(&c->retries),
		.stalls = read_of(&c->stalls),
		.wanted_ns = read_of(&c->wanted_ns),
		.took_ns = read_of(&c->took_ns),
		.late = histogram_above(&r->errors, r->cfg.late_ns),
		.error_p50_ns = histogram_at(&r->errors, 0.5),
		.error_p90_ns = histogram_at(&r->errors, 0.9),
		.error_p99_ns = histogram_at(&r->errors, 0.99),
		.error_p999_ns = histogram_at(&r->errors, 0.999),
		.error_max_ns = read_of(&r->errors.max),
		.drift_ns = atomic_load_explicit(&c->drift_ns,
						 memory_order_relaxed),
	};
}

int replay_stop(struct replay *r, struct replay_status *last, struct err *err)
{
	struct err why;
	int rc;

	if (!r)
		return 0;
	atomic_store(&r->stop, true);
	channel_close(r->empty);
	channel_close(r->full);
	if (r->reading)
		pthread_join(r->reader, NULL);
	if (r->sending)
		pthread_join(r->sender, NULL);
	replay_status(r, last);
	last->merge = *merge_counts(r->merge);
	why = r->send_err.code == ERR_FAILED ? r->send_err : r->read_err;
	rc = why.code == ERR_END ? 0 : why.code;
	if (rc && err)
		*err = why;
	for (int i = 0; i < BATCHES; i++) {
		buf_release(&r->batches[i]->bytes);
		free(r->batches[i]);
	}
	for (int i = 0; i < r->n_expressions; i++)
		expression_free(r->expressions[i].e);
	channel_free(r->empty);
	channel_free(r->full);
	merge_free(r->merge);
	if (r->end_fd >= 0)
		close(r->end_fd);
	free(r);
	return rc;
}
