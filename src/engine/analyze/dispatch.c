/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dispatch.c - from the packets of a source to the shard of their flow.
 */
#include "engine/analyze/analyze_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "engine/match/match.h"

/* What the dispatcher counts; only numbers of 64 bits. */
struct counts {
	uint64_t packets, bytes, packets_again, decoded[DECODE_STATUSES];
	uint64_t source_gaps, source_lost, queue_dropped, events;
	struct defrag_counters defrag;
};

struct analyze {
	struct analyze_config cfg;
	struct shared_counts shared;
	struct patterns patterns;
	struct analyze_marks marks;
	struct siphash_key key; /* chooses the shard */
	struct shard *shards[ANALYZE_WORKERS_MAX];
	struct worker *workers[ANALYZE_WORKERS_MAX]; /* NULL: no threads */
	unsigned n;
	struct defrag *defrag;
	struct events events; /* of the dispatcher itself */

	struct stream_source **sources; /* streams refer to them */
	size_t n_sources;
	const struct stream_source *source;
	uint32_t linktype;
	uint64_t now_ns;
	/* What an earlier run has followed of a source. */
	const struct stream_source *past_source; /* NULL: nothing */
	uint64_t past_given, *begins;		 /* owned */
	size_t n_begins, next_begin;
	bool dropping; /* a hole of our own making: `drop` */
	struct analyze_loss drop;

	struct counts counts;
	atomic_uint_fast64_t published[sizeof(struct counts) / 8];
};

/* -- making
 * -------------------------------------------------------------------- */

static unsigned processors(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	if (n < 1)
		return 1;
	return n > ANALYZE_WORKERS_MAX ? ANALYZE_WORKERS_MAX : (unsigned)n;
}

static int make_shards(struct analyze *a, struct err *err)
{
	for (unsigned i = 0; i < a->n; i++) {
		const struct shard_config cfg = { &a->cfg, &a->shared, &a->patterns, i,
						  a->n };

		a->shards[i] = shard_new(&cfg, err);
		if (!a->shards[i])
			return err->code;
	}
	for (unsigned i = 0; a->n > 1 && i < a->n; i++) {
		a->workers[i] =
			worker_start(a->shards[i], a->cfg.queue_packets, err);
		if (!a->workers[i])
			return err->code;
	}
	return 0;
}

struct analyze *analyze_new(const struct analyze_config *cfg, struct err *err)
{
	struct analyze *a = mem_alloc(sizeof(*a));
	uint8_t seed[16 + sizeof(a->key)];

	assert(cfg->preview <= ANALYZE_HEAD_MAX);
	a->cfg = *cfg;
	patterns_init(&a->patterns, cfg->patterns, cfg->patterns_version);
	if (getrandom(seed, sizeof(seed), 0) != sizeof(seed)) {
		err_set(err, ERR_FAILED, "the kernel gives no random bytes");
		analyze_free(a);
		return NULL;
	}
	memcpy(a->cfg.flow.seed, seed, 16);
	memcpy(&a->key, seed + 16, sizeof(a->key));
	a->n = cfg->dump ? 1 : cfg->workers ? cfg->workers : processors();
	assert(a->n <= ANALYZE_WORKERS_MAX);
	events_init(&a->events, cfg->output, cfg->output_events);
	a->defrag = defrag_new(&cfg->defrag, seed);
	if (make_shards(a, err) == 0)
		return a;
	analyze_finish(a);
	analyze_free(a);
	return NULL;
}

unsigned analyze_workers(const struct analyze *a)
{
	return a->n;
}

int analyze_add_sink(struct analyze *a, unsigned worker,
		     const struct stream_sink *sink)
{
	assert(worker < a->n);
	return shard_add_sink(a->shards[worker], sink);
}

void analyze_set_patterns(struct analyze *a, struct match_set *set,
			  uint64_t version)
{
	patterns_set(&a->patterns, set, version);
	for (unsigned i = 0; i < a->n; i++)
		shard_wait_beginning(a->shards[i]);
}

void analyze_hear_marks(struct analyze *a, const struct analyze_marks *who)
{
	a->marks = *who;
}

void analyze_free(struct analyze *a)
{
	if (!a)
		return;
	for (unsigned i = 0; i < a->n; i++) {
		worker_free(a->workers[i]);
		shard_free(a->shards[i]);
	}
	for (size_t i = 0; i < a->n_sources; i++)
		free(a->sources[i]);
	free(a->sources);
	free(a->begins);
	defrag_free(a->defrag);
	events_release(&a->events);
	patterns_release(&a->patterns);
	free(a);
}

/* -- counts
 * --------------------------------------------------------------------- */

static void publish(struct analyze *a)
{
	a->counts.events = a->events.count;
	defrag_counters(a->defrag, &a->counts.defrag);
	counts_publish(a->published, &a->counts, sizeof(a->counts));
	if (a->n == 1)
		shard_publish(a->shards[0]);
}

static void add_flow_counts(struct flow_counters *to,
			    const struct flow_counters *from)
{
	uint64_t *sum = (uint64_t *)to;
	const uint64_t *words = (const uint64_t *)from;

	for (size_t i = 0; i < sizeof(*to) / 8; i++)
		sum[i] += words[i];
}

static void add_shard(struct analyze_counters *c, unsigned n,
		      const struct shard_counts *s, uint32_t waiting)
{
	c->events += s->events;
	c->streams += s->streams;
	c->streams_refused += s->streams_refused;
	c->streams_matched += s->streams_matched;
	c->slices += s->slices;
	c->slice_bytes += s->slice_bytes;
	c->matches_dropped += s->matches_dropped;
	add_flow_counts(&c->flow, &s->flow);
	if (waiting > c->queue_packets)
		c->queue_packets = waiting;
	if (s->packets > c->busiest_packets) {
		c->busiest = n;
		c->busiest_packets = s->packets;
	}
}

void analyze_counters(struct analyze *a, struct analyze_counters *c)
{
	struct counts d;

	counts_read(&d, a->published, sizeof(d));
	*c = (struct analyze_counters){
		.packets = d.packets,
		.packets_again = d.packets_again,
		.bytes = d.bytes,
		.source_gaps = d.source_gaps,
		.source_lost = d.source_lost,
		.queue_dropped = d.queue_dropped,
		.events = d.events,
		.defrag = d.defrag,
		.workers = a->n,
		.queue_room = a->n > 1 ? a->cfg.queue_packets : 0,
		.streams_open = atomic_load(&a->shared.streams_open),
		.streams_bytes = atomic_load(&a->shared.held),
		.matches = atomic_load(&a->shared.matches),
	};
	memcpy(c->decoded, d.decoded, sizeof(d.decoded));
	for (unsigned i = 0; i < a->n; i++) {
		struct shard_counts s;

		shard_counts(a->shards[i], &s);
		add_shard(c, i, &s,
			  a->workers[i] ? worker_waiting(a->workers[i]) : 0);
	}
}

/* -- packets
 * ----------------------------------------------------------------------- */

const struct stream_source *analyze_source(struct analyze *a,
					   const struct stream_source *source)
{
	struct stream_source *s = mem_alloc(sizeof(*s));

	*s = *source;
	a->sources =
		mem_grow(a->sources, (a->n_sources + 1) * sizeof(*a->sources));
	a->sources[a->n_sources++] = s;
	return s;
}

static void use_source(struct analyze *a, const struct stream_source *source)
{
	a->source = source;
	if (a->n == 1)
		shard_source(a->shards[0], source);
}

/*
 * The source's clock.  Packets a little out of order do not turn it back; one
 * that is older than any flow may be quiet means that the clock was set.
 */
static void turn_clock(struct analyze *a, uint64_t time_ns)
{
	if (time_ns > a->now_ns || time_ns + a->cfg.flow.idle_ns < a->now_ns)
		a->now_ns = time_ns;
}

static void tell_loss(struct analyze *a, const struct analyze_loss *loss)
{
	a->counts.source_gaps++;
	events_source_gap(&a->events, a->source, a->linktype, loss);
}

/* A live source and a worker that is behind. */
static void drop(struct analyze *a, const struct flow_packet *p)
{
	a->counts.queue_dropped++;
	if (!a->dropping)
		a->drop = (struct analyze_loss){ .reason = "queue",
						 .index = p->index,
						 .begin_ns = p->time_ns,
						 .numbered = true };
	a->dropping = true;
	a->drop.packets++;
	a->drop.end_ns = p->time_ns;
}

static void end_of_drop(struct analyze *a)
{
	a->dropping = false;
	tell_loss(a, &a->drop);
}

static void dispatch(struct analyze *a, const struct decoded *d,
		     const struct flow_packet *p)
{
	struct worker *w;

	if (a->n == 1) {
		shard_packet(a->shards[0], a->linktype, d, p, a->now_ns);
		return;
	}
	w = a->workers[flow_hash(&a->key, d) % a->n];
	if (!worker_packet(w, a->source, a->linktype, d, p, a->now_ns,
			   !a->cfg.live))
		drop(a, p);
	else if (a->dropping)
		end_of_drop(a);
}

static void take(struct analyze *a, const struct flow_packet *p)
{
	struct decoded d;

	decode_frame(a->linktype, p->frame, p->wire_len, &d);
	a->counts.decoded[d.status]++;
	turn_clock(a, p->time_ns);
	if (d.status == DECODE_FRAGMENT &&
	    !defrag_put(a->defrag, &d, a->now_ns))
		return;
	if (d.status == DECODE_OK)
		dispatch(a, &d, p);
}

/* Indices rise, so one step a known beginning is enough. */
static enum flow_past past_of(struct analyze *a, uint64_t index)
{
	while (a->next_begin < a->n_begins &&
	       a->begins[a->next_begin] < index)
		a->next_begin++;
	if (a->next_begin < a->n_begins && a->begins[a->next_begin] == index)
		return FLOW_PAST_BEGINS;
	if (index < a->past_given)
		return FLOW_PAST_GOES_ON;
	if (a->next_begin == a->n_begins)
		a->past_source = NULL;
	return FLOW_PAST_NONE;
}

static void count(struct analyze *a, const struct flow_packet *p)
{
	if (a->past_source && p->index < a->past_given) {
		a->counts.packets_again++;
		return;
	}
	a->counts.packets++;
	a->counts.bytes += p->frame.len;
}

void analyze_packets(struct analyze *a, const struct stream_source *source,
		     uint32_t linktype, const struct packet *p, int n,
		     uint64_t first)
{
	use_source(a, source);
	a->linktype = linktype;
	for (int i = 0; i < n; i++) {
		struct flow_packet packet = { .index = first + (uint64_t)i,
					      .time_ns = p[i].time_ns,
					      .wire_len = p[i].wire_len,
					      .frame = p[i].data };

		if (a->past_source && a->past_source == source)
			packet.past = past_of(a, packet.index);
		count(a, &packet);
		if (a->cfg.dump)
			events_packet(&a->events, linktype, &p[i]);
		else
			take(a, &packet);
	}
	publish(a);
}

void analyze_lost(struct analyze *a, const struct stream_source *source,
		  const struct analyze_loss *loss)
{
	use_source(a, source);
	if (!loss->past) {
		a->counts.source_lost += loss->packets;
		tell_loss(a, loss);
	}
	if (a->n == 1)
		shard_lost(a->shards[0], a->now_ns);
	else
		for (unsigned i = 0; i < a->n; i++)
			worker_order(a->workers[i], WORKER_LOST, a->now_ns,
				     !a->cfg.live);
	publish(a);
}

void analyze_mark(struct analyze *a, const struct stream_source *source,
		  uint64_t index, bool leave)
{
	struct mark *m = mem_alloc(sizeof(*m));

	m->who = &a->marks;
	m->source = source;
	m->index = index;
	m->now_ns = a->now_ns;
	m->leave = leave;
	atomic_store(&m->oldest, index);
	atomic_store(&m->left, a->n);
	for (unsigned i = 0; i < a->n; i++) {
		if (a->n == 1)
			shard_mark(a->shards[i], m);
		else
			worker_mark(a->workers[i], m);
	}
}

void analyze_past(struct analyze *a, const struct stream_source *source,
		  uint64_t given, uint64_t *begins, size_t n)
{
	free(a->begins);
	a->begins = begins;
	a->n_begins = n;
	a->next_begin = 0;
	a->past_given = given;
	a->past_source = given || n ? source : NULL;
}

void analyze_end_flows(struct analyze *a)
{
	for (unsigned i = 0; i < a->n; i++) {
		if (a->n == 1)
			shard_end_flows(a->shards[i], a->now_ns);
		else
			worker_order(a->workers[i], WORKER_END, a->now_ns,
				     true);
	}
}

void analyze_flush(struct analyze *a)
{
	if (a->n == 1)
		shard_flush(a->shards[0]);
	else
		for (unsigned i = 0; i < a->n; i++)
			worker_flush(a->workers[i], !a->cfg.live);
	events_flush(&a->events);
	publish(a);
}

void analyze_tick(struct analyze *a, uint64_t now_ns)
{
	turn_clock(a, now_ns);
	if (a->n == 1)
		shard_tick(a->shards[0], a->now_ns);
	else
		for (unsigned i = 0; i < a->n; i++)
			worker_order(a->workers[i], WORKER_TICK, a->now_ns,
				     false);
	analyze_flush(a);
}

void analyze_finish(struct analyze *a)
{
	if (a->dropping)
		end_of_drop(a);
	for (unsigned i = 0; i < a->n; i++) {
		if (a->workers[i])
			worker_stop(a->workers[i], a->now_ns);
		else if (a->shards[i])
			shard_finish(a->shards[i], a->now_ns);
	}
	events_flush(&a->events);
	if (a->defrag)
		publish(a);
}
