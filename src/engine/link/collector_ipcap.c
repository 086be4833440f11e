/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collector_ipcap.c - the dialling end speaks ipcap's protocol.
 *
 * One connection carries one source: the first mirror's.  What names a spool
 * is its epoch, a text; the mirror's origin is made of it.
 */
#include "engine/link/collector_priv.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/log.h"
#include "codec/hex.h"
#include "codec/ipcap.h"
#include "codec/record.h"

enum {
	RUN_TARGET = 4 << 20, /* a longer batch is put as several runs */
	ACK_EVERY = 256,
	ORIGIN_LIFE = 7, /* where the origin counts fallen-back lives */
	ORIGIN_EPOCH = 8
};

static const char origin_mark[ORIGIN_LIFE] = "ipcap-e";

static struct mirror *mirror_of(const struct link_collector *c)
{
	return c->cfg.mirrors[0];
}

static void put_ack(struct link_collector *c, uint64_t next, uint64_t seq)
{
	const struct ipcap_frame f = { .type = IPCAP_ACK,
				       .source = c->ipcap.source };
	const struct ipcap_ack ack = { f.source, next, seq };
	size_t begun = ipcap_frame_begin(&c->wire.plain);

	put_ipcap_ack(&c->wire.plain, &ack);
	ipcap_frame_end(&c->wire.plain, begun, &f);
	c->sources[0].acked = next;
	c->sources[0].acked_ns = c->now_ns;
}

int collector_ipcap_ask(struct link_collector *c, struct err *err)
{
	(void)err;
	if (c->cfg.n_mirrors > 1)
		log_warn("link",
			 "the agent speaks ipcap's protocol, which "
			 "carries one source a connection: only source %u is "
			 "collected, run one collector for each other one",
			 mirror_config(mirror_of(c))->source);
	c->ipcap.source = mirror_config(mirror_of(c))->source;
	c->ipcap.wanted = mirror_next(mirror_of(c));
	put_ack(c, c->ipcap.wanted, 0);
	return 0;
}

/* -- the preamble -------------------------------------------------------- */

static void origin_of(uint8_t origin[SPOOL_ID], const char *epoch)
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	size_t len = strlen(epoch);

	memset(origin, 0, SPOOL_ID);
	memcpy(origin, origin_mark, sizeof(origin_mark));
	if (!len || hex_parse(bytes_of(epoch, len), origin + ORIGIN_EPOCH,
			      SPOOL_ID - ORIGIN_EPOCH) == 0)
		return;
	if (!EVP_Digest(epoch, len, hash, NULL, EVP_sha256(), NULL))
		assert(!"SHA-256 is there");
	memcpy(origin + ORIGIN_EPOCH, hash, SPOOL_ID - ORIGIN_EPOCH);
}

static bool same_epoch(const uint8_t a[SPOOL_ID], const uint8_t b[SPOOL_ID])
{
	return memcmp(a, b, ORIGIN_LIFE) == 0 &&
	       memcmp(a + ORIGIN_EPOCH, b + ORIGIN_EPOCH,
		      SPOOL_ID - ORIGIN_EPOCH) == 0;
}

static const struct ipcap_source *find_source(const struct ipcap_preamble *p,
					      uint16_t id)
{
	for (int i = 0; i < p->n_sources; i++)
		if (p->sources[i].id == id)
			return &p->sources[i];
	return NULL;
}

static uint64_t served_from(const struct link_collector *c,
			    const struct ipcap_preamble *p)
{
	for (int i = 0; i < p->n_resume; i++)
		if (p->resume[i].source == c->ipcap.source)
			return p->resume[i].index;
	return c->ipcap.wanted;
}

/*
 * Another spool than the mirror's.  If the agent took our index for one of
 * its own, what lies below it would be lost: ask again for all of it.
 */
static int turn(struct link_collector *c, const struct spool_identity *id,
		uint64_t from, struct err *err)
{
	struct mirror *m = mirror_of(c);

	mirror_turn(m, id, 0, true);
	if (c->ipcap.wanted && from == c->ipcap.wanted) {
		c->again = true;
		return err_set(err, ERR_END,
			       "the agent has another spool now; "
			       "asking for it from its first packet on");
	}
	/* Served from its oldest: what lies below is gone there.  What was
	 * wanted was about the spool before. */
	c->ipcap.wanted = 0;
	return mirror_put_gap(m, 0, from, SPOOL_GAP_RETENTION, c->now_ns, err);
}

static bool continues(const struct spool_identity *have,
		      const struct spool_identity *id)
{
	return have && same_epoch(have->origin, id->origin) &&
	       have->linktype == id->linktype;
}

static int place(struct link_collector *c, struct spool_identity *id,
		 uint64_t from, struct err *err)
{
	struct mirror *m = mirror_of(c);
	const struct spool_identity *have = mirror_identity(m);

	/* From below what was asked for come doubles, or, from an agent that
	 * has fallen back, other packets: fell_back() tells. */
	if (continues(mirror_target(m), id))
		return 0;
	if (continues(have, id)) {
		mirror_turn(m, have, 0, false);
		return 0;
	}
	if (have && same_epoch(have->origin, id->origin))
		id->origin[ORIGIN_LIFE] =
			(uint8_t)(have->origin[ORIGIN_LIFE] + 1);
	if (have)
		log_warn("link",
			 "source %u: the agent has begun another "
			 "spool; it goes beside the mirror",
			 c->ipcap.source);
	return turn(c, id, from, err);
}

/*
 * The same epoch, and less than the mirror has: the spool was wiped or rolled
 * back, and what it gives now are other packets with the same numbers.  They
 * go into a new spool, from the first one on.
 */
static int fell_back(struct link_collector *c, uint64_t head, struct err *err)
{
	struct mirror *m = mirror_of(c);
	const struct spool_identity *have = mirror_identity(m);
	struct spool_identity id;

	if (!have || head >= c->ipcap.wanted)
		return 0;
	id = *have;
	id.origin[ORIGIN_LIFE]++;
	log_warn("link",
		 "source %u: the agent says it has the same spool as "
		 "before, but only %llu packets of it where the mirror has "
		 "%llu; what it has goes beside the mirror",
		 c->ipcap.source, (unsigned long long)head,
		 (unsigned long long)c->ipcap.wanted);
	mirror_turn(m, &id, 0, true);
	c->again = true;
	return err_set(err, ERR_END,
		       "the agent has lost what it once had; "
		       "asking for it from its first packet on");
}

static int take_preamble(struct link_collector *c,
			 const struct ipcap_preamble *p, struct err *err)
{
	const struct ipcap_source *s = find_source(p, c->ipcap.source);
	struct spool_identity id = { .linktype = 0 };
	uint64_t from = served_from(c, p);

	if (!s)
		return err_set(err, ERR_UNKNOWN,
			       "the agent does not announce "
			       "source %u (its first of %d is %u); see "
			       "--src-id",
			       c->ipcap.source, p->n_sources,
			       p->n_sources ? p->sources[0].id : 0);
	if (from >= WEIRLINK_INDEX_END)
		return collector_corrupt(c, ERR_MALFORMED, err,
					 "an index beyond all");
	id.linktype = s->linktype;
	id.snaplen = s->snaplen;
	snprintf(id.name, sizeof(id.name), "src%u", c->ipcap.source);
	origin_of(id.origin, s->epoch);
	c->ipcap.preamble = true;
	c->sources[0].announced = true;
	return place(c, &id, from, err);
}

/* -- frames -------------------------------------------------------------- */

/* How many bytes of whole records make one run. */
static size_t run_length(struct bytes records, uint32_t *count)
{
	struct cursor c = cursor_on(records);
	struct packet p;

	*count = 0;
	while (records.len - c.len < RUN_TARGET && record_next(&c, &p) == 0)
		++*count;
	return records.len - c.len;
}

static int put_records(struct link_collector *c, uint64_t base, struct err *err)
{
	struct bytes left = buf_bytes(&c->records);

	while (left.len) {
		struct run r = { .first = base };
		uint32_t count;
		size_t len = run_length(left, &count);
		int rc;

		r.records = bytes_of(left.p, len);
		if (!len || run_measure(&r) < 0)
			return collector_corrupt(
				c, ERR_MALFORMED, err,
				"packets that no record holds");
		rc = mirror_put_run(mirror_of(c), &r, false, c->now_ns, err);
		if (rc < 0)
			return rc;
		left = bytes_of(left.p + len, left.len - len);
		base += count;
	}
	return 0;
}

static int take_batch(struct link_collector *c, const struct ipcap_frame *f,
		      struct err *err)
{
	struct collector_ipcap *s = &c->ipcap;
	struct bytes payload = f->payload;
	uint32_t count = 0;
	int rc = 0;

	if (f->base >= WEIRLINK_INDEX_END)
		return collector_corrupt(c, ERR_MALFORMED, err,
					 "an index beyond all");
	if (f->flags & IPCAP_COMPRESSED) {
		buf_clear(&c->unpacked);
		rc = zframe_unpack(&c->z, payload, &c->unpacked,
				   IPCAP_INFLATED_MAX);
		payload = buf_bytes(&c->unpacked);
	}
	buf_clear(&c->records);
	if (rc == 0)
		rc = f->type == IPCAP_PKT
			     ? ipcap_pkt_records(payload, &c->records, &count)
			     : ipcap_batch_records(payload, &c->records,
						   &count);
	if (rc < 0)
		return collector_corrupt(c, ERR_MALFORMED, err,
					 "a batch that breaks its form");
	rc = put_records(c, f->base, err);
	if (rc < 0 || !count)
		return rc;
	s->sent[s->n_sent % COLLECTOR_BATCHES].end = f->base + count;
	s->sent[s->n_sent % COLLECTOR_BATCHES].seq = f->seq;
	s->n_sent++;
	return 0;
}

static int take_gap(struct link_collector *c, const struct ipcap_frame *f,
		    struct err *err)
{
	struct mirror *m = mirror_of(c);
	struct ipcap_gap g;

	if (ipcap_gap_parse(f->payload, &g) < 0)
		return collector_corrupt(c, ERR_MALFORMED, err,
					 "a gap that breaks its form");
	/* As ipcap's own collector: what the gap says of its begin is not
	 * looked at; it begins where we are. */
	return mirror_put_gap(m, mirror_next(m), g.to, SPOOL_GAP_RETENTION,
			      c->now_ns, err);
}

static int take_numbers(struct link_collector *c, const struct ipcap_frame *f,
			struct err *err)
{
	struct link_beat *b = &c->cfg.beats[0];
	struct ipcap_heartbeat h;
	struct ipcap_stats s;

	if (f->type == IPCAP_HEARTBEAT) {
		if (ipcap_heartbeat_parse(f->payload, &h) < 0)
			return 0;
		b->head = h.head;
	} else {
		if (ipcap_stats_parse(f->payload, &s) < 0)
			return 0;
		b->captured = s.captured;
		b->dropped_kernel = s.dropped_kernel;
		b->dropped_interface = s.ifdrop;
		b->bytes = s.spool_bytes;
		b->oldest = s.oldest;
		b->head = s.head;
	}
	b->known = true;
	b->heard_ns = c->now_ns;
	return f->type == IPCAP_HEARTBEAT ? fell_back(c, h.head, err) : 0;
}

static int take_frame(struct link_collector *c, const struct ipcap_frame *f,
		      struct err *err)
{
	bool ours = !f->source || f->source == c->ipcap.source;

	switch (ipcap_collector_manner(f->type)) {
	case IPCAP_REFUSES:
		return collector_corrupt(c, ERR_MALFORMED, err,
					 "a frame of an unknown type");
	case IPCAP_SKIPS:
		return 0;
	case IPCAP_TAKES:
		break;
	}
	if (!ours && f->type != IPCAP_HEARTBEAT)
		return 0;
	switch (f->type) {
	case IPCAP_PKT:
	case IPCAP_BATCH:
		return take_batch(c, f, err);
	case IPCAP_GAP:
		return take_gap(c, f, err);
	case IPCAP_HEARTBEAT:
	case IPCAP_STATS:
		return take_numbers(c, f, err);
	case IPCAP_KEYLOG:
		collector_keyline(c, f->payload);
		return 0;
	default:
		return 0;
	}
}

static int wait_preamble(struct link_collector *c, struct err *err)
{
	struct ipcap_preamble p;
	size_t used;
	int rc = ipcap_preamble_parse(link_wire_in(&c->wire), &used, &p);

	if (rc == ERR_AGAIN)
		return rc;
	if (rc < 0)
		return collector_corrupt(c, rc, err,
					 "a preamble that breaks its form, "
					 "checksum or version");
	c->wire.in_at += used;
	c->live = true;
	return take_preamble(c, &p, err);
}

int collector_ipcap_take(struct link_collector *c, struct err *err)
{
	struct ipcap_frame f;
	size_t used;
	int rc = 0;

	if (!c->ipcap.preamble)
		rc = wait_preamble(c, err);
	while (rc == 0) {
		rc = ipcap_frame_parse(link_wire_in(&c->wire), &used, &f);
		if (rc == ERR_AGAIN)
			break;
		if (rc < 0)
			return collector_corrupt(c, rc, err,
						 "a frame that breaks its form "
						 "or checksum");
		rc = take_frame(c, &f, err);
		c->ipcap.heard = true;
		if (rc == 0)
			c->wire.in_at += used;
	}
	return rc == ERR_AGAIN ? 0 : rc;
}

/* -- acknowledging ------------------------------------------------------- */

/* The sequence number of the last batch that is durable. */
static uint64_t durable_seq(struct collector_ipcap *s, uint64_t durable)
{
	unsigned n =
		s->n_sent < COLLECTOR_BATCHES ? s->n_sent : COLLECTOR_BATCHES;

	for (unsigned i = 1; i <= n; i++) {
		unsigned at = (s->n_sent - i) % COLLECTOR_BATCHES;

		if (s->sent[at].end <= durable) {
			s->seq_done = s->sent[at].seq;
			break;
		}
	}
	return s->seq_done;
}

void collector_ipcap_ack(struct link_collector *c)
{
	struct collector_source *s = &c->sources[0];
	uint64_t durable = mirror_durable(mirror_of(c));

	if (!s->announced)
		return;
	if (durable < s->acked + ACK_EVERY &&
	    (c->now_ns - s->acked_ns < LINK_BEAT_NS || !c->ipcap.heard))
		return;
	c->ipcap.heard = false;
	put_ack(c, durable, durable_seq(&c->ipcap, durable));
}
