/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/analyze_store.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "codec/dns.h"
#include "codec/http1.h"
#include "codec/message.h"
#include "codec/tls.h"
#include "engine/analyze/analyze.h"
#include "engine/match/match.h"
#include "engine/store/store.h"

/* A stream that is open, beside its place in the store. */
struct kept {
	struct store_stream *in; /* NULL: not kept at all */
	struct stream *stream;
	uint64_t last_index, messages, messages_dropped;
	const char *tagged;	     /* with this last; a pattern's */
	struct kept *before, *after; /* of those whose row is old */
	bool stale, begun;
};

struct keeper_shard {
	struct store_shard *shard;
	int slot; /* in a stream's owners */
	uint64_t messages_max;
	struct kept *stale;
	struct keeper *keeper;
	bool left; /* what comes now is not of the conversations */
};

struct keeper {
	struct analyze *analyze;
	struct store *store;
	struct keeper_shard *shards; /* owned */
	bool live;
	atomic_uint_fast64_t past; /* streams may have begun before it */
	atomic_uint_fast64_t unkept;
};

static struct store_row row_of(const struct stream *s, const struct kept *k)
{
	struct store_row row = {
		.id = s->id,
		.flow_key = s->flow_key,
		.flow = *s->flow,
		.content_kind = (uint8_t)s->kind,
		.last_index = k->last_index,
		.matches = s->matches,
		.matches_dropped = s->matches_dropped,
		.patterns = s->patterns_version,
		.caller = (uint8_t)stream_caller(s),
		.messages = k->messages,
		.messages_dropped = k->messages_dropped,
	};

	memcpy(row.origin, s->source->origin, STORE_ORIGIN);
	snprintf(row.service, sizeof(row.service), "%s", s->service.name);
	snprintf(row.service_source, sizeof(row.service_source), "%s",
		 service_source_name((enum service_source)s->service.source));
	return row;
}

/*
 * The store hears of a stream when there is something to say, or a moment
 * later: connections without an answer, by the hundred thousand, need not go
 * through it at the rate at which they come.
 */
static void begin(struct keeper_shard *ks, struct kept *k)
{
	struct store_row row;

	if (k->begun)
		return;
	k->begun = true;
	row = row_of(k->stream, k);
	k->in = store_begin(ks->shard, &row);
}

/* -- rows: not with each packet -------------------------------------------- */

static void becomes_stale(struct keeper_shard *ks, struct kept *k)
{
	if (k->stale)
		return;
	k->stale = true;
	k->before = NULL;
	k->after = ks->stale;
	if (ks->stale)
		ks->stale->before = k;
	ks->stale = k;
}

static void not_stale(struct keeper_shard *ks, struct kept *k)
{
	if (!k->stale)
		return;
	k->stale = false;
	if (k->before)
		k->before->after = k->after;
	else
		ks->stale = k->after;
	if (k->after)
		k->after->before = k->before;
}

static void on_settle(void *self)
{
	struct keeper_shard *ks = self;

	while (ks->stale) {
		struct kept *k = ks->stale;
		struct store_row row;

		not_stale(ks, k);
		if (!k->begun && store_pressed(ks->keeper->store))
			continue;
		begin(ks, k);
		row = row_of(k->stream, k);
		store_update(k->in, &row);
	}
}

static void on_leave(void *self)
{
	((struct keeper_shard *)self)->left = true;
}

/* -- a stream ---------------------------------------------------------------- */

static void on_opened(void *self, struct stream *s)
{
	struct keeper_shard *ks = self;
	struct kept *k = mem_alloc(sizeof(*k));

	k->stream = s;
	k->last_index = s->flow->first_index;
	s->owner[ks->slot] = k;
	if (s->flow->first_index >= atomic_load(&ks->keeper->past))
		return;
	begin(ks, k);
	s->packets_known = store_packets_known(k->in);
}

static void on_packet(void *self, struct stream *s, int way,
		      const struct flow_packet *p)
{
	struct keeper_shard *ks = self;
	struct kept *k = s->owner[ks->slot];

	(void)way;
	k->last_index = p->index;
	becomes_stale(ks, k);
}

static void on_slice(void *self, struct stream *s, const struct flow_slice *b)
{
	struct keeper_shard *ks = self;
	struct kept *k = s->owner[ks->slot];

	if (ks->left)
		return;
	begin(ks, k);
	store_append(k->in, b->way, b->offset, b->data,
		     b->from ? b->from->time_ns : s->flow->last_ns,
		     b->from ? b->from->index : s->flow->first_index);
}

static void on_gap(void *self, struct stream *s, int way, uint64_t offset,
		   uint64_t len, enum flow_gap why, uint64_t time_ns)
{
	struct keeper_shard *ks = self;
	struct kept *k = s->owner[ks->slot];

	if (ks->left)
		return;
	begin(ks, k);
	store_gap(k->in, way, offset, len, why, time_ns);
}

static void on_match(void *self, struct stream *s, int way,
		     const struct match *m)
{
	struct keeper_shard *ks = self;
	struct kept *k = s->owner[ks->slot];
	char pattern[MATCH_KEY];
	const char *tag = match_tag(m->pattern);
	struct store_match match = {
		.way = (uint8_t)way,
		.start = m->start,
		.end = m->end,
		.time_ns = s->flow->last_ns,
		.name = bytes_of_text(m->pattern->name),
		.content = m->content,
	};

	if (ks->left)
		return;
	match.pattern = bytes_of_text(match_key(pattern, m->pattern));
	begin(ks, k);
	store_match(k->in, &match);
	if (tag && tag != k->tagged) /* the store knows the others, too */
		store_tag(k->in, tag);
	k->tagged = tag ? tag : k->tagged;
	becomes_stale(ks, k);
}

/* One that was never answered may go unkept where the source cannot wait. */
static void end(struct keeper_shard *ks, struct kept *k)
{
	struct keeper *all = ks->keeper;
	struct store_row row;

	if (!k->begun && all->live && store_pressed(all->store)) {
		atomic_fetch_add(&all->unkept, 1);
		return;
	}
	begin(ks, k);
	row = row_of(k->stream, k);
	store_end(k->in, &row);
}

static void on_closed(void *self, struct stream *s)
{
	struct keeper_shard *ks = self;
	struct kept *k = s->owner[ks->slot];

	not_stale(ks, k);
	if (!ks->left)
		end(ks, k);
	s->owner[ks->slot] = NULL;
	free(k);
}

/* -- messages ------------------------------------------------------------------ */

/* The columns of its protocol: what people search for. */
static void fill_message(struct store_message *to, const struct message *m)
{
	if (m->http) {
		to->method = m->http->method;
		to->target = m->http->target;
		to->version = m->http->version;
		to->code = m->http->status;
		if (m->http->method.len)
			to->host = http_host(m->http);
	}
	if (m->dns) {
		to->code = m->dns->rcode;
		if (m->dns->n_records)
			to->name = bytes_of_text(m->dns->records[0].name);
	}
	if (m->tls)
		to->host = bytes_of_text(m->tls->sni);
}

static void on_message(void *self, struct stream *s, const struct message *m)
{
	static const char *const kinds[] = { "request", "response", "frame",
					     "record", "error" };
	struct keeper_shard *ks = self;
	struct kept *k = s->owner[ks->slot];
	struct store_message to = {
		.way = (uint8_t)m->way,
		.protocol = (uint8_t)m->protocol,
		.status = (uint8_t)m->status,
		.ordinal = m->ordinal,
		.start = m->all.start,
		.end = m->all.end,
		.head_start = m->head.start,
		.head_end = m->head.end,
		.body_start = m->body.start,
		.body_end = m->body.end,
		.body_bytes = m->body_bytes,
		.link = m->stream, /* of HTTP/2: what belongs together */
		.time_ns = s->flow->last_ns,
		.kind = bytes_of_text(kinds[m->kind]),
		.summary = bytes_of_text(m->summary),
		.error = bytes_of_text(m->error ? m->error : ""),
	};

	if (ks->left)
		return;
	becomes_stale(ks, k);
	if (k->messages == ks->messages_max) {
		k->messages_dropped++;
		return;
	}
	k->messages++;
	begin(ks, k);
	fill_message(&to, m);
	store_message(k->in, &to);
}

/* -- going on where an earlier run stopped ---------------------------------------- */

static void on_mark(void *arg, const struct stream_source *source,
		    uint64_t oldest, uint64_t index)
{
	struct keeper *k = arg;
	struct store_position p = { .resume = oldest, .given = index };

	memcpy(p.origin, source->origin, STORE_ORIGIN);
	store_put_position(k->store, &p);
}

static bool where(void *arg, const uint8_t *origin, const char *spool,
		  uint64_t *resume, uint64_t *given)
{
	struct keeper *k = arg;
	struct store_position p = { .resume = 0 };
	char *whole = realpath(spool, NULL);
	struct err err = ERR_NONE;

	if (store_put_source(k->store, origin, whole ? whole : spool, &err) <
	    0)
		log_warn("store", "%s", err.text);
	free(whole);
	memcpy(p.origin, origin, STORE_ORIGIN);
	store_position(k->store, &p);
	*resume = p.resume;
	*given = p.given;
	return p.given > 0;
}

static int go_on(void *arg, const struct stream_source *source, uint64_t from,
		 uint64_t given, struct err *err)
{
	struct keeper *k = arg;
	uint64_t *begins = NULL;
	size_t n = 0;

	if (store_resume(k->store, source->origin, from, &begins, &n, err) <
	    0) {
		free(begins);
		return err->code;
	}
	atomic_store(&k->past, n && begins[n - 1] >= given ? begins[n - 1] + 1
							   : given);
	analyze_past(k->analyze, source, given, begins, n);
	return 0;
}

struct store *keeper_store(struct keeper *k)
{
	return k->store;
}

struct input_memory keeper_memory(struct keeper *k)
{
	return (struct input_memory){ k, where, go_on };
}

/* -- making and ending -------------------------------------------------------------- */

static int hear(struct keeper *k, unsigned worker, uint64_t messages_max,
		struct err *err)
{
	struct keeper_shard *ks = &k->shards[worker];
	const struct stream_sink sink = {
		.self = ks,
		.weight = sizeof(struct kept) + store_stream_weight(),
		.opened = on_opened,
		.packet = on_packet,
		.slice = on_slice,
		.gap = on_gap,
		.match = on_match,
		.message = on_message,
		.closed = on_closed,
		.settle = on_settle,
		.leave = on_leave,
	};

	ks->keeper = k;
	ks->shard = store_shard(k->store, (int)worker);
	ks->messages_max = messages_max;
	ks->slot = analyze_add_sink(k->analyze, worker, &sink);
	if (ks->slot < 0)
		err_set(err, ERR_LIMIT, "there is no place for another sink");
	return err->code;
}

struct keeper *keeper_new(struct analyze *a, const struct store_config *cfg,
			  const struct keeper_config *how, struct err *err)
{
	struct keeper *k = mem_alloc(sizeof(*k));
	const struct analyze_marks marks = { k, on_mark };
	struct store_config with = *cfg;

	with.shards = (int)analyze_workers(a);
	k->analyze = a;
	k->live = how->live;
	/* A file's rows may be there from an earlier run. */
	atomic_store(&k->past, how->live ? 0 : UINT64_MAX);
	k->shards = mem_array((size_t)with.shards, sizeof(*k->shards));
	k->store = store_open(&with, err);
	for (int i = 0; k->store && !err->code && i < with.shards; i++)
		hear(k, (unsigned)i, how->messages_max, err);
	if (err->code == 0) {
		analyze_hear_marks(a, &marks);
		return k;
	}
	store_close(k->store);
	free(k->shards);
	free(k);
	return NULL;
}

void keeper_counters(struct keeper *k, struct store_counters *c,
		     uint64_t *unkept)
{
	store_counters(k->store, c);
	*unkept = atomic_load(&k->unkept);
}

static void say(struct store *s)
{
	struct store_counters c;
	char payload[TEXT_SIZE], dropped[TEXT_SIZE];

	store_counters(s, &c);
	log_info("store",
		 "%" PRIu64 " streams, %s of payload files, %" PRIu64
		 " streams had to make room, %s dropped over caps",
		 c.streams, text_of_size(payload, c.payload_bytes),
		 c.evicted_streams, text_of_size(dropped, c.dropped_bytes));
}

int keeper_end(struct keeper *k, struct err *err)
{
	int rc;

	if (!k)
		return 0;
	rc = store_checkpoint(k->store, NULL, err);
	say(k->store);
	store_close(k->store);
	free(k->shards);
	free(k);
	return rc;
}
