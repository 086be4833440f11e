/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/analyze_protocol.h"

#include <stdlib.h>

#include "base/mem.h"
#include "engine/analyze/analyze.h"

/* At one worker, and used by its thread alone. */
struct parser {
	struct protocols *protocols;
	int slot;
};

struct parsers {
	unsigned n;
	struct parser at[ANALYZE_WORKERS_MAX];
};

static void on_message(void *self, const struct message *m)
{
	stream_message(self, m);
}

static void on_opened(void *self, struct stream *s)
{
	struct parser *p = self;
	const uint16_t port[2] = { s->flow->end[0].port, s->flow->end[1].port };

	s->owner[p->slot] =
		protocol_stream_new(p->protocols, s->flow->protocol, port);
}

static void on_slice(void *self, struct stream *s, const struct flow_slice *b)
{
	const struct parser *p = self;
	const struct message_sink sink = { s, on_message };

	protocol_stream_feed(s->owner[p->slot], b->way, b->offset, b->data,
			     &sink);
}

static void on_gap(void *self, struct stream *s, int way, uint64_t offset,
		   uint64_t len, enum flow_gap why, uint64_t time_ns)
{
	const struct parser *p = self;
	const struct message_sink sink = { s, on_message };

	(void)why;
	(void)time_ns;
	protocol_stream_gap(s->owner[p->slot], way, offset, len, &sink);
}

static void on_closed(void *self, struct stream *s)
{
	const struct parser *p = self;
	const struct message_sink sink = { s, on_message };

	protocol_stream_end(s->owner[p->slot], &sink);
	s->owner[p->slot] = NULL;
}

struct parsers *parsers_new(struct analyze *a,
			    const struct protocol_config *cfg)
{
	struct parsers *all = mem_alloc(sizeof(*all));
	struct protocol_config share = *cfg;

	all->n = analyze_workers(a);
	share.streams_max = (cfg->streams_max + all->n - 1) / all->n;
	share.bytes_max = (cfg->bytes_max + all->n - 1) / all->n;
	for (unsigned i = 0; i < all->n; i++) {
		struct parser *p = &all->at[i];
		const struct stream_sink sink = { .self = p,
						  .opened = on_opened,
						  .slice = on_slice,
						  .gap = on_gap,
						  .closed = on_closed };

		p->protocols = protocols_new(&share);
		p->slot = analyze_add_sink(a, i, &sink);
		if (p->slot < 0) {
			parsers_free(all);
			return NULL;
		}
	}
	return all;
}

void parsers_free(struct parsers *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < p->n; i++)
		protocols_free(p->at[i].protocols);
	free(p);
}
