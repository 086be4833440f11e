/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.c - a shard with a thread of its own, fed by batches.
 *
 * The dispatcher fills a batch: what it decoded, and a copy of the frame.  A
 * full one goes down the queue and comes back empty, so that a fixed number of
 * batches serves for ever.  Frame bytes never move inside a batch, since the
 * decoded packets point at them; a frame larger than a whole batch gets a
 * larger batch to itself.
 */
#include "engine/analyze/analyze_priv.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "sys/channel.h"

enum {
	BATCH_PACKETS = 256,
	BATCH_BYTES = 256 << 10,
	SPARE = 2, /* one being filled, one being worked on */
	FLUSH_MS = 100
};

/* A packet, or an order between packets. */
struct slot {
	struct decoded decoded;
	struct flow_packet packet;
	uint64_t now_ns;
	uint32_t linktype;
	uint8_t order; /* enum worker_order; 0: a packet */
	struct mark *mark;
};

struct batch {
	const struct stream_source *source;
	bool flush; /* nothing more is there behind it */
	int n;
	struct buf bytes;
	struct slot slots[BATCH_PACKETS];
};

struct worker {
	struct shard *shard;
	pthread_t thread;
	struct channel *full, *empty;
	struct batch *all;
	unsigned n_all;
	struct batch *filling; /* the dispatcher's */
	bool lost;	       /* a packet was dropped: tell the shard */
	atomic_uint waiting;   /* packets handed over, not taken */
	uint64_t end_ns;       /* set before the channel is closed */
};

/* -- the worker's thread
 * -------------------------------------------------------- */

/* A giant frame's memory is not kept. */
static void empty(struct batch *b)
{
	if (b->bytes.cap > 4 * BATCH_BYTES)
		buf_release(&b->bytes);
	buf_clear(&b->bytes);
	buf_reserve(&b->bytes, BATCH_BYTES);
}

static void take_batch(struct worker *w, struct batch *b)
{
	shard_source(w->shard, b->source);
	for (int i = 0; i < b->n; i++) {
		const struct slot *s = &b->slots[i];

		switch (s->order) {
		case 0:
			shard_packet(w->shard, s->linktype, &s->decoded,
				     &s->packet, s->now_ns);
			break;
		case WORKER_LOST:
			shard_lost(w->shard, s->now_ns);
			break;
		case WORKER_TICK:
			shard_tick(w->shard, s->now_ns);
			break;
		case WORKER_END:
			shard_end_flows(w->shard, s->now_ns);
			break;
		case WORKER_MARK:
			shard_mark(w->shard, s->mark);
			break;
		}
	}
	atomic_fetch_sub(&w->waiting, (unsigned)b->n);
	if (b->flush)
		shard_flush(w->shard);
	else
		shard_publish(w->shard);
	b->n = 0;
	b->flush = false;
	empty(b);
	channel_send(w->empty, b, true);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct batch *b;
	bool flushed = true;

	for (;;) {
		b = channel_receive(w->full, flushed ? -1 : FLUSH_MS);
		if (b) {
			flushed = b->flush;
			take_batch(w, b);
		} else if (channel_over(w->full)) {
			break;
		} else {
			shard_flush(w->shard);
			flushed = true;
		}
	}
	shard_finish(w->shard, w->end_ns);
	return NULL;
}

/* -- the dispatcher's side
 * ------------------------------------------------------- */

void worker_free(struct worker *w)
{
	if (!w)
		return;
	for (unsigned i = 0; i < w->n_all; i++)
		buf_release(&w->all[i].bytes);
	channel_free(w->full);
	channel_free(w->empty);
	free(w->all);
	free(w);
}

struct worker *worker_start(struct shard *sh, uint32_t queue_packets,
			    struct err *err)
{
	struct worker *w = mem_alloc(sizeof(*w));
	unsigned depth = (queue_packets + BATCH_PACKETS - 1) / BATCH_PACKETS;
	int rc;

	depth = depth ? depth : 1;
	w->shard = sh;
	w->n_all = depth + SPARE;
	w->all = mem_array(w->n_all, sizeof(*w->all));
	w->full = channel_new(depth);
	w->empty = channel_new(w->n_all);
	for (unsigned i = 0; i < w->n_all; i++) {
		buf_reserve(&w->all[i].bytes, BATCH_BYTES);
		channel_send(w->empty, &w->all[i], false);
	}
	rc = pthread_create(&w->thread, NULL, work, w);
	if (rc) {
		err_sys(err, rc, "a worker's thread");
		worker_free(w);
		return NULL;
	}
	pthread_setname_np(w->thread, "flow");
	return w;
}

/* Hand the batch over; false when the queue has no room and !wait. */
static bool hand_over(struct worker *w, bool wait)
{
	unsigned n = (unsigned)w->filling->n;

	atomic_fetch_add(&w->waiting, n);
	if (!channel_send(w->full, w->filling, wait)) {
		atomic_fetch_sub(&w->waiting, n);
		return false;
	}
	w->filling = NULL;
	return true;
}

static bool fits(const struct batch *b, const struct stream_source *source,
		 size_t len)
{
	return b->n == 0 || (b->n < BATCH_PACKETS - 1 && b->source == source &&
			     b->bytes.len + len <= b->bytes.cap);
}

/* A batch with room for one more slot and `len` bytes, or NULL. */
static struct batch *room_for(struct worker *w,
			      const struct stream_source *source, size_t len,
			      bool wait)
{
	if (w->filling && !fits(w->filling, source, len) && !hand_over(w, wait))
		return NULL;
	if (!w->filling)
		w->filling = channel_receive(w->empty, wait ? -1 : 0);
	if (!w->filling)
		return NULL;
	if (w->filling->n == 0) {
		w->filling->source = source;
		buf_reserve(&w->filling->bytes, len);
	}
	return w->filling;
}

static const uint8_t *copy(struct batch *b, struct bytes in)
{
	const uint8_t *at = b->bytes.p + b->bytes.len;

	put_bytes(&b->bytes, in);
	return at;
}

static bool lies_in(struct bytes part, struct bytes whole)
{
	return part.p >= whole.p && part.p + part.len <= whole.p + whole.len;
}

static void put_order(struct batch *b, enum worker_order what, uint64_t now_ns)
{
	struct slot *s = &b->slots[b->n++];

	s->order = (uint8_t)what;
	s->now_ns = now_ns;
}

bool worker_packet(struct worker *w, const struct stream_source *source,
		   uint32_t linktype, const struct decoded *d,
		   const struct flow_packet *p, uint64_t now_ns, bool wait)
{
	bool apart = !lies_in(d->payload, p->frame); /* a whole datagram */
	size_t len = p->frame.len + (apart ? d->payload.len : 0);
	struct batch *b = room_for(w, source, len, wait);
	struct slot *s;

	if (!b) {
		w->lost = true;
		return false;
	}
	if (w->lost)
		put_order(b, WORKER_LOST, now_ns);
	w->lost = false;
	s = &b->slots[b->n++];
	s->order = 0;
	s->now_ns = now_ns;
	s->linktype = linktype;
	s->packet = *p;
	s->decoded = *d;
	s->packet.frame.p = copy(b, p->frame);
	s->decoded.payload.p =
		apart ? copy(b, d->payload)
		      : s->packet.frame.p + (d->payload.p - p->frame.p);
	/* Nobody behind this reads these. */
	s->decoded.tcp.options = bytes_of(NULL, 0);
	s->decoded.piece.data = bytes_of(NULL, 0);
	return true;
}

void worker_order(struct worker *w, enum worker_order what, uint64_t now_ns,
		  bool wait)
{
	struct batch *b =
		room_for(w, w->filling ? w->filling->source : NULL, 0, wait);

	if (b)
		put_order(b, what, now_ns);
	else
		w->lost |= what == WORKER_LOST;
}

void worker_mark(struct worker *w, struct mark *m)
{
	struct batch *b = room_for(w, w->filling ? w->filling->source
						 : m->source, 0, true);

	put_order(b, WORKER_MARK, 0);
	b->slots[b->n - 1].mark = m;
}

void worker_flush(struct worker *w, bool wait)
{
	if (!w->filling || w->filling->n == 0)
		return;
	w->filling->flush = true;
	hand_over(w, wait);
}

uint32_t worker_waiting(struct worker *w)
{
	return atomic_load(&w->waiting);
}

void worker_stop(struct worker *w, uint64_t now_ns)
{
	worker_flush(w, true);
	w->end_ns = now_ns; /* the channel's lock hands it over */
	channel_close(w->full);
	pthread_join(w->thread, NULL);
}
