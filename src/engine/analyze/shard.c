/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shard.c - the streams of a share of all flows, in one thread.
 *
 * The flow table says what happened; here it becomes a stream: counted,
 * classified, searched for patterns, told to the sinks and to the events.
 * Streams and their heads come from pools that only grow.
 */
#include "engine/analyze/analyze_priv.h"

#include <stdlib.h>
#include <time.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/message.h"
#include "engine/match/match.h"

enum {
	SLAB = 256,	 /* streams made at once */
	HEAD_LEAST = 64, /* bytes of a start, for the service's sake */
	GUESS_SLICES = 4, /* datagrams of a direction that are looked at */
	SETTLE_NS = 100000000,
	ROOM_WORK = 4 /* flows ended after a packet, when memory is short */
};

/* Memory that is given out again; what is free is linked by its first bytes. */
struct pool {
	void **slabs;
	size_t n_slabs;
	void *free;
};

struct shard {
	const struct analyze_config *cfg;
	struct shared_counts *shared;
	unsigned number;
	struct flow_table *table;
	struct pool streams, heads;
	size_t head_size;
	struct match_scratch *scratch;
	struct patterns *patterns; /* what they are now; and as last seen: */
	struct match_set *set;
	uint64_t set_version, set_changes;
	/* Held while a stream begins, so that others can wait for its end. */
	pthread_mutex_t beginning;
	struct stream_sink sinks[STREAM_SINKS_MAX];
	int n_sinks;
	size_t weight; /* bytes that each stream takes at least */
	struct events events;
	uint64_t settled_ns; /* monotonic; when the sinks were last told */

	/* The packet that is being taken. */
	const struct stream_source *source;
	uint32_t linktype;
	struct stream *feeding; /* the matcher's */
	int feeding_way;
	uint64_t feeding_ns;

	struct shard_counts counts;
	atomic_uint_fast64_t published[sizeof(struct shard_counts) / 8];
};

#define TELL(sh, call, ...)                                                    \
	for (int i_ = 0; i_ < (sh)->n_sinks; i_++)                             \
		if ((sh)->sinks[i_].call)                                      \
	(sh)->sinks[i_].call((sh)->sinks[i_].self, __VA_ARGS__)

/* -- counts -------------------------------------------------------------------
 */

void counts_publish(atomic_uint_fast64_t *to, const void *from, size_t size)
{
	const uint64_t *words = from;

	for (size_t i = 0; i < size / 8; i++)
		atomic_store_explicit(&to[i], words[i], memory_order_relaxed);
}

void counts_read(void *to, atomic_uint_fast64_t *from, size_t size)
{
	uint64_t *words = to;

	for (size_t i = 0; i < size / 8; i++)
		words[i] = atomic_load_explicit(&from[i], memory_order_relaxed);
}

static uint64_t mono_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void settle(struct shard *sh, uint64_t now)
{
	sh->settled_ns = now;
	for (int i = 0; i < sh->n_sinks; i++)
		if (sh->sinks[i].settle)
			sh->sinks[i].settle(sh->sinks[i].self);
}

void shard_publish(struct shard *sh)
{
	uint64_t now = mono_ns();

	if (now - sh->settled_ns >= SETTLE_NS)
		settle(sh, now);

	sh->counts.events = sh->events.count;
	flow_table_counters(sh->table, &sh->counts.flow);
	counts_publish(sh->published, &sh->counts, sizeof(sh->counts));
}

void shard_counts(struct shard *sh, struct shard_counts *c)
{
	counts_read(c, sh->published, sizeof(*c));
}

/* -- pools
 * ---------------------------------------------------------------------- */

static uint8_t *new_slab(struct pool *p, size_t size)
{
	p->slabs = mem_grow(p->slabs, (p->n_slabs + 1) * sizeof(*p->slabs));
	p->slabs[p->n_slabs] = mem_array(SLAB, size);
	return p->slabs[p->n_slabs++];
}

static void *pool_get(struct pool *p, size_t size)
{
	void *got;

	if (!p->free) {
		uint8_t *slab = new_slab(p, size);

		for (int i = 0; i < SLAB; i++) {
			void *piece = slab + (size_t)i * size;

			memcpy(piece, &p->free, sizeof(p->free));
			p->free = piece;
		}
	}
	got = p->free;
	memcpy(&p->free, got, sizeof(p->free));
	return got;
}

static void pool_put(struct pool *p, void *piece)
{
	if (!piece)
		return;
	memcpy(piece, &p->free, sizeof(p->free));
	p->free = piece;
}

static void pool_release(struct pool *p)
{
	for (size_t i = 0; i < p->n_slabs; i++)
		free(p->slabs[i]);
	free(p->slabs);
}

/* -- events of a stream
 * ------------------------------------------------------------ */

static void remember_told(struct stream *s)
{
	const struct flow *f = s->flow;

	s->announced = true;
	s->told_state = f->state > FLOW_OPEN ? f->state : FLOW_OPEN;
	s->told_kind = s->kind;
	s->told_service = s->service.name;
	s->told_packets = f->way[0].packets + f->way[1].packets;
	s->told_bytes = f->way[0].delivered + f->way[1].delivered;
}

static void tell_stream(struct shard *sh, const char *kind, struct stream *s,
			int way, const struct flow_packet *p)
{
	if (sh->cfg->inventory)
		events_stream(&sh->events, kind, s, sh->cfg->preview, way, p);
	remember_told(s);
}

/* Nothing of a stream is told before the stream itself. */
static void announce(struct shard *sh, struct stream *s, int way,
		     const struct flow_packet *p)
{
	if (!s->announced)
		tell_stream(sh, "stream_open", s, way, p);
}

static bool has_changed(const struct shard *sh, const struct stream *s)
{
	const struct flow *f = s->flow;
	uint64_t packets = f->way[0].packets + f->way[1].packets;
	uint64_t bytes = f->way[0].delivered + f->way[1].delivered;
	uint8_t state = f->state > FLOW_OPEN ? f->state : FLOW_OPEN;

	return state != s->told_state || s->kind != s->told_kind ||
	       s->service.name != s->told_service ||
	       (sh->cfg->update_packets &&
		packets - s->told_packets >= sh->cfg->update_packets) ||
	       (sh->cfg->update_bytes &&
		bytes - s->told_bytes >= sh->cfg->update_bytes);
}

/* -- memory
 * -------------------------------------------------------------------------- */

static void hold(struct shard *sh, struct stream *s, uint64_t bytes)
{
	s->held += bytes;
	atomic_fetch_add_explicit(&sh->shared->held, bytes,
				  memory_order_relaxed);
}

static void let_go(struct shard *sh, struct stream *s)
{
	atomic_fetch_sub_explicit(&sh->shared->held, s->held,
				  memory_order_relaxed);
}

/* Each packet begins one stream at the most, so this keeps up. */
static void make_room(struct shard *sh)
{
	for (int i = 0; i < ROOM_WORK; i++)
		if (atomic_load_explicit(&sh->shared->held,
					 memory_order_relaxed) <=
			    sh->cfg->memory_max ||
		    !flow_table_evict(sh->table))
			return;
}

/* -- matching
 * ------------------------------------------------------------------------ */

/* The caps: of a stream, and of the process. */
static bool may_match(struct shard *sh, struct stream *s)
{
	if (s->matches < sh->cfg->stream_matches_max) {
		if (atomic_fetch_add(&sh->shared->matches, 1) <
		    sh->cfg->matches_max)
			return true;
		atomic_fetch_sub(&sh->shared->matches, 1);
	}
	s->matches_dropped++;
	sh->counts.matches_dropped++;
	return false;
}

/* Others were set.  Without memory for them, the old ones go on. */
static int renew_patterns(struct shard *sh, struct err *err)
{
	uint64_t version;
	struct match_set *set =
		patterns_get(sh->patterns, &version, &sh->set_changes);

	if (set && !sh->scratch)
		sh->scratch = match_scratch_new(set, err);
	else if (set)
		match_scratch_fit(sh->scratch, set, err);
	if (err->code) {
		match_set_put(set);
		return err->code;
	}
	match_set_put(sh->set);
	sh->set = set;
	sh->set_version = version;
	return 0;
}

/* A stream keeps the patterns that it began with. */
static void take_patterns(struct shard *sh, struct stream *s)
{
	struct err err = ERR_NONE;

	if (atomic_load_explicit(&sh->patterns->changes,
				 memory_order_acquire) != sh->set_changes &&
	    renew_patterns(sh, &err) < 0)
		log_error("analyze", "%s", err.text);
	if (sh->set)
		match_set_get(sh->set);
	s->patterns = sh->set;
	s->patterns_version = sh->set_version;
}

void shard_wait_beginning(struct shard *sh)
{
	pthread_mutex_lock(&sh->beginning);
	pthread_mutex_unlock(&sh->beginning);
}

static bool is_meant(const struct match_pattern *p, const struct stream *s,
		     int way)
{
	bool to_server = way == stream_caller(s);

	return p->role == MATCH_ANY || (p->role == MATCH_FLAG_IN) == to_server;
}

static void on_match(void *self, const struct match *m)
{
	struct shard *sh = self;
	struct stream *s = sh->feeding;

	if (!is_meant(m->pattern, s, sh->feeding_way) || !may_match(sh, s))
		return;
	sh->counts.streams_matched += s->matches == 0;
	s->matches++;
	announce(sh, s, sh->feeding_way, NULL);
	events_match(&sh->events, s, sh->feeding_way, m, sh->feeding_ns);
	TELL(sh, match, s, sh->feeding_way, m);
}

static void feed_patterns(struct shard *sh, struct stream *s,
			  const struct flow_slice *slice, uint64_t time_ns)
{
	const struct match_sink sink = { sh, on_match };
	struct stream_way *w = &s->way[slice->way];

	bool first = !w->match;

	if (first)
		w->match = match_stream_open(s->patterns);
	sh->feeding = s;
	sh->feeding_way = slice->way;
	sh->feeding_ns = time_ns;
	match_stream_feed(w->match, sh->scratch, slice->offset, slice->data,
			  &sink);
	if (first)
		hold(sh, s, match_stream_memory(w->match));
}

static void close_patterns(struct shard *sh, struct stream *s)
{
	const struct match_sink sink = { sh, on_match };

	sh->feeding = s;
	sh->feeding_ns = s->flow->last_ns;
	for (int way = 0; way < 2; way++) {
		sh->feeding_way = way;
		match_stream_close(s->way[way].match, sh->scratch, &sink);
		s->way[way].match = NULL;
	}
	match_set_put(s->patterns);
	s->patterns = NULL;
}

/* -- what the flow table tells
 * ---------------------------------------------------------- */

static void on_opened(void *self, struct flow *f)
{
	struct shard *sh = self;
	struct stream *s;

	sh->counts.streams++;
	if (atomic_fetch_add(&sh->shared->streams_open, 1) >=
	    sh->cfg->streams_max) {
		atomic_fetch_sub(&sh->shared->streams_open, 1);
		sh->counts.streams_refused++;
		return;
	}
	s = pool_get(&sh->streams, sizeof(*s));
	*s = (struct stream){
		.id = streamid_of(sh->source->origin, f->first_index),
		.flow_key = flow_endpoint_hash(f),
		.flow = f,
		.source = sh->source,
		.shard = sh->number,
		.linktype = sh->linktype,
		.service = service_of_ports(f->protocol, f->end[0].port,
					    f->end[1].port),
		.home = sh,
	};
	f->owner = s;
	pthread_mutex_lock(&sh->beginning);
	take_patterns(sh, s);
	hold(sh, s, sh->weight);
	TELL(sh, opened, s);
	pthread_mutex_unlock(&sh->beginning);
	f->packets_known = s->packets_known;
}

/* Keep the start of a direction, up to the first hole. */
static bool grow_head(struct shard *sh, struct stream *s, struct stream_way *w,
		      const struct flow_slice *slice)
{
	size_t room = sh->head_size - w->head_len;

	if (!room || slice->offset != w->head_len)
		return false;
	if (!w->head) {
		w->head = pool_get(&sh->heads, sh->head_size);
		hold(sh, s, sh->head_size);
	}
	if (room > slice->data.len)
		room = slice->data.len;
	memcpy(w->head + w->head_len, slice->data.p, room);
	w->head_len = (uint16_t)(w->head_len + room);
	return true;
}

/* The bytes from which a service may be told, if these are some. */
static struct bytes telling(const struct stream *s, const struct stream_way *w,
			    const struct flow_slice *slice, bool grew)
{
	bool datagram = s->flow->protocol != IP_TCP;

	if (slice->offset == 0 || (datagram && w->slices <= GUESS_SLICES))
		return bytes_of(slice->data.p,
				slice->data.len < ANALYZE_HEAD_MAX
					? slice->data.len
					: ANALYZE_HEAD_MAX);
	return bytes_of(w->head, grew && !datagram ? w->head_len : 0);
}

static void on_slice(void *self, struct flow *f, const struct flow_slice *slice)
{
	struct shard *sh = self;
	struct stream *s = f->owner;
	struct stream_way *w;
	bool grew;

	sh->counts.slices++;
	sh->counts.slice_bytes += slice->data.len;
	if (!s)
		return;
	w = &s->way[slice->way];
	w->slices++;
	grew = grow_head(sh, s, w, slice);
	if (w->content.seen < CONTENT_SAMPLE) {
		content_see(&w->content, slice->data);
		s->kind = content_of_both(content_kind(&s->way[0].content),
					  content_kind(&s->way[1].content));
	}
	service_see(&s->service, f->protocol, slice->way,
		    telling(s, w, slice, grew));
	TELL(sh, slice, s, slice);
	if (s->patterns)
		feed_patterns(sh, s, slice,
			      slice->from ? slice->from->time_ns : f->last_ns);
}

static void on_gap(void *self, struct flow *f, int way, uint64_t offset,
		   uint64_t len, enum flow_gap why, uint64_t time_ns)
{
	struct shard *sh = self;
	struct stream *s = f->owner;

	if (!s)
		return;
	announce(sh, s, way, NULL);
	events_gap(&sh->events, s, way, offset, len, why, time_ns);
	TELL(sh, gap, s, way, offset, len, why, time_ns);
}

static void on_conflict(void *self, struct flow *f, int way, uint64_t offset,
			struct bytes loser, uint64_t time_ns)
{
	struct shard *sh = self;

	if (f->owner)
		TELL(sh, conflict, f->owner, way, offset, loser, time_ns);
}

static void on_packet(void *self, struct flow *f, int way,
		      const struct flow_packet *p)
{
	struct shard *sh = self;
	struct stream *s = f->owner;

	if (!s)
		return;
	TELL(sh, packet, s, way, p);
	if (!s->announced) {
		announce(sh, s, way, p);
		TELL(sh, changed, s);
	} else if (has_changed(sh, s)) {
		tell_stream(sh, "stream_update", s, way, p);
		TELL(sh, changed, s);
	}
}

/* The last one first: what it still has to say, the others must hear. */
static void tell_closed(struct shard *sh, struct stream *s)
{
	for (int i = sh->n_sinks; i > 0; i--)
		if (sh->sinks[i - 1].closed)
			sh->sinks[i - 1].closed(sh->sinks[i - 1].self, s);
}

static void on_closed(void *self, struct flow *f)
{
	struct shard *sh = self;
	struct stream *s = f->owner;

	if (!s)
		return;
	close_patterns(sh, s);
	announce(sh, s, f->opener, NULL);
	tell_closed(sh, s);
	tell_stream(sh, "stream_close", s, f->opener, NULL);
	let_go(sh, s);
	pool_put(&sh->heads, s->way[0].head);
	pool_put(&sh->heads, s->way[1].head);
	pool_put(&sh->streams, s);
	f->owner = NULL;
	atomic_fetch_sub(&sh->shared->streams_open, 1);
}

void stream_message(struct stream *s, const struct message *m)
{
	struct shard *sh = s->home;

	announce(sh, s, m->way, NULL);
	events_message(&sh->events, s, m, s->flow->last_ns);
	TELL(sh, message, s, m);
}

/* -- the shard
 * ------------------------------------------------------------------------- */

static uint32_t share32(uint32_t all, unsigned of)
{
	uint32_t n = (uint32_t)(((uint64_t)all + of - 1) / of);

	return n ? n : 1;
}

/* Its part of the caps on flows and on waiting bytes. */
static struct flow_config flow_config_of(const struct shard_config *cfg)
{
	struct flow_config f = cfg->cfg->flow;

	f.flows_max = share32(f.flows_max, cfg->of);
	f.half_open_max = share32(f.half_open_max, cfg->of);
	f.early_total_max = (f.early_total_max + cfg->of - 1) / cfg->of;
	return f;
}

struct shard *shard_new(const struct shard_config *cfg, struct err *err)
{
	struct flow_config flow = flow_config_of(cfg);
	struct shard *sh = mem_alloc(sizeof(*sh));
	const struct flow_sink sink = { sh,	     on_opened, on_packet,
					on_slice,    on_gap,	NULL,
					on_conflict, on_closed };

	sh->cfg = cfg->cfg;
	sh->shared = cfg->shared;
	sh->number = cfg->number;
	sh->weight = sizeof(struct stream) + flow_table_weight();
	sh->head_size =
		cfg->cfg->preview > HEAD_LEAST ? cfg->cfg->preview : HEAD_LEAST;
	events_init(&sh->events, cfg->cfg->output, cfg->cfg->output_events);
	sh->patterns = cfg->patterns;
	pthread_mutex_init(&sh->beginning, NULL);
	renew_patterns(sh, err);
	sh->table = flow_table_new(&flow, &sink);
	if (!sh->table)
		err_set(err, ERR_LIMIT, "no memory for %u flows",
			flow.flows_max);
	if (err->code) {
		shard_free(sh);
		return NULL;
	}
	return sh;
}

void shard_free(struct shard *sh)
{
	if (!sh)
		return;
	flow_table_free(sh->table);
	match_scratch_free(sh->scratch);
	match_set_put(sh->set);
	pthread_mutex_destroy(&sh->beginning);
	pool_release(&sh->streams);
	pool_release(&sh->heads);
	events_release(&sh->events);
	free(sh);
}

int shard_add_sink(struct shard *sh, const struct stream_sink *sink)
{
	if (sh->n_sinks == STREAM_SINKS_MAX)
		return -1;
	sh->sinks[sh->n_sinks] = *sink;
	sh->weight += sink->weight;
	return sh->n_sinks++;
}

void shard_source(struct shard *sh, const struct stream_source *source)
{
	sh->source = source;
}

void shard_packet(struct shard *sh, uint32_t linktype, const struct decoded *d,
		  const struct flow_packet *p, uint64_t now_ns)
{
	sh->counts.packets++;
	sh->linktype = linktype;
	flow_table_clock(sh->table, now_ns);
	flow_table_packet(sh->table, d, p);
	if (sh->cfg->memory_max)
		make_room(sh);
}

void shard_lost(struct shard *sh, uint64_t now_ns)
{
	flow_table_source_gap(sh->table, now_ns);
}

void shard_tick(struct shard *sh, uint64_t now_ns)
{
	flow_table_tick(sh->table, now_ns);
}

void shard_finish(struct shard *sh, uint64_t now_ns)
{
	flow_table_clock(sh->table, now_ns);
	flow_table_finish(sh->table);
	shard_flush(sh);
}

void shard_end_flows(struct shard *sh, uint64_t now_ns)
{
	flow_table_clock(sh->table, now_ns);
	flow_table_finish(sh->table);
}

static void lower(atomic_uint_fast64_t *to, uint64_t v)
{
	uint64_t was = atomic_load(to);

	while (v < was && !atomic_compare_exchange_weak(to, &was, v))
		;
}

void shard_mark(struct shard *sh, struct mark *m)
{
	if (m->leave) {
		flow_table_clock(sh->table, m->now_ns);
		flow_table_settle(sh->table);
		settle(sh, mono_ns());
		for (int i = 0; i < sh->n_sinks; i++)
			if (sh->sinks[i].leave)
				sh->sinks[i].leave(sh->sinks[i].self);
	}
	lower(&m->oldest, flow_table_oldest(sh->table, m->index));
	if (atomic_fetch_sub(&m->left, 1) > 1)
		return;
	if (m->who->passed)
		m->who->passed(m->who->arg, m->source,
			       atomic_load(&m->oldest), m->index);
	free(m);
}

void shard_flush(struct shard *sh)
{
	events_flush(&sh->events);
	settle(sh, mono_ns());
	shard_publish(sh);
}
