/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/analyze_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "codec/message.h"
#include "engine/analyze/analyze.h"
#include "engine/match/match.h"
#include "engine/store/store.h"

struct keeper_shard {
	struct store_shard *shard;
	int slot; /* in a stream's owners */
};

struct keeper {
	struct store *store;
	struct keeper_shard *shards; /* owned */
};

static struct store_row row_of(const struct stream *s)
{
	struct store_row row = {
		.id = s->id,
		.flow_key = s->flow_key,
		.flow = *s->flow,
		.content_kind = (uint8_t)s->kind,
		.matches = s->matches,
	};

	memcpy(row.origin, s->source->origin, STORE_ORIGIN);
	snprintf(row.service, sizeof(row.service), "%s", s->service.name);
	snprintf(row.service_source, sizeof(row.service_source), "%s",
		 service_source_name((enum service_source)s->service.source));
	return row;
}

static void on_opened(void *self, struct stream *s)
{
	struct keeper_shard *k = self;
	struct store_row row = row_of(s);

	s->owner[k->slot] = store_begin(k->shard, &row);
}

static void on_slice(void *self, struct stream *s, const struct flow_slice *b)
{
	struct keeper_shard *k = self;

	store_append(s->owner[k->slot], b->way, b->offset, b->data,
		     b->from ? b->from->time_ns : s->flow->last_ns,
		     b->from ? b->from->index : s->flow->first_index);
}

static void on_gap(void *self, struct stream *s, int way, uint64_t offset,
		   uint64_t len, enum flow_gap why, uint64_t time_ns)
{
	struct keeper_shard *k = self;

	store_gap(s->owner[k->slot], way, offset, len, why, time_ns);
}

static void on_match(void *self, struct stream *s, int way,
		     const struct match *m)
{
	static const char *const kinds[] = { "substring", "regex", "binary" };
	struct keeper_shard *k = self;
	char pattern[32];
	struct store_match match = {
		.way = (uint8_t)way,
		.start = m->start,
		.end = m->end,
		.time_ns = s->flow->last_ns,
		.name = bytes_of_text(m->pattern->name),
		.content = m->content,
	};

	snprintf(pattern, sizeof(pattern), "%s:%" PRIu32,
		 kinds[m->pattern->kind], m->pattern->id);
	match.pattern = bytes_of_text(pattern);
	store_match(s->owner[k->slot], &match);
}

static void on_message(void *self, struct stream *s, const struct message *m)
{
	static const char *const kinds[] = { "request", "response", "frame",
					     "record", "error" };
	struct keeper_shard *k = self;
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
		.time_ns = s->flow->last_ns,
		.kind = bytes_of_text(kinds[m->kind]),
		.summary = bytes_of_text(m->summary),
		.error = bytes_of_text(m->error ? m->error : ""),
	};

	store_message(s->owner[k->slot], &to);
}

static void on_changed(void *self, struct stream *s)
{
	struct keeper_shard *k = self;
	struct store_row row = row_of(s);

	store_update(s->owner[k->slot], &row);
}

static void on_closed(void *self, struct stream *s)
{
	struct keeper_shard *k = self;
	struct store_row row = row_of(s);

	store_end(s->owner[k->slot], &row);
	s->owner[k->slot] = NULL;
}

struct keeper *keeper_new(struct analyze *a, const struct store_config *cfg,
			  struct err *err)
{
	struct keeper *k = mem_alloc(sizeof(*k));
	struct store_config with = *cfg;

	with.shards = (int)analyze_workers(a);
	k->shards = mem_array((size_t)with.shards, sizeof(*k->shards));
	k->store = store_open(&with, err);
	for (int i = 0; k->store && i < with.shards; i++) {
		struct keeper_shard *ks = &k->shards[i];
		const struct stream_sink sink = {
			.self = ks,
			.opened = on_opened,
			.slice = on_slice,
			.gap = on_gap,
			.match = on_match,
			.message = on_message,
			.changed = on_changed,
			.closed = on_closed,
		};

		ks->shard = store_shard(k->store, i);
		ks->slot = analyze_add_sink(a, (unsigned)i, &sink);
		if (ks->slot < 0) {
			err_set(err, ERR_LIMIT,
				"there is no place for another sink");
			break;
		}
	}
	if (err->code == 0)
		return k;
	store_close(k->store);
	free(k->shards);
	free(k);
	return NULL;
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
