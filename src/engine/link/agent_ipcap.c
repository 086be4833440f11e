/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent_ipcap.c - the serving end speaks ipcap's protocol.
 *
 * An ipcap collector knows one number and the epoch of what it has.  So one
 * connection carries one spool: where the next one begins, the connection
 * ends, and the next connection announces another epoch
 * (doc/link-protocol.md, "ipcap").
 */
#include "engine/link/agent_priv.h"

#include <stdio.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/log.h"
#include "codec/ipcap.h"
#include "codec/record.h"
#include "sys/sys.h"

static int malformed(struct err *err, int code)
{
	return err_set(err, code, "a frame that breaks its form or checksum");
}

/* -- what the collector says --------------------------------------------- */

static int take_first(struct link_agent *a, const struct ipcap_frame *f,
		      struct err *err)
{
	struct agent_ipcap *s = &a->ipcap;
	struct ipcap_ack ack;

	if (f->type != IPCAP_ACK || ipcap_ack_parse(f->payload, &ack) < 0)
		return err_set(err, ERR_MALFORMED,
			       "the first frame is of type "
			       "%02x, not an ACK",
			       f->type);
	/* An ipcap agent has one source and gives it whatever is asked. */
	s->source = agent_source_find(a, ack.source);
	if (!s->source)
		s->source = &a->sources[0];
	s->wanted = ack.next;
	a->resumed = true;
	memory_get_served(a->cfg.sys, a->cfg.spool_dir, s->source->is->id,
			  a->fingerprint, &s->was);
	return agent_source_open(a, s->source, err);
}

/*
 * An ACK behind the first one answers frames behind the preamble, so the
 * collector has made our epoch its own: from now on its index counts.
 */
static void take_ack(struct link_agent *a, const struct ipcap_frame *f)
{
	struct agent_ipcap *s = &a->ipcap;
	struct err why = ERR_NONE;
	struct ipcap_ack ack;

	if (!s->announced || ipcap_ack_parse(f->payload, &ack) < 0)
		return;
	if (!s->confirmed) {
		s->now.known = true;
		if (memory_put_served(a->cfg.sys, a->cfg.spool_dir,
				      s->source->is->id, a->fingerprint,
				      &s->now, &why) < 0)
			log_warn("link", "%s", why.text);
		s->confirmed = true;
	}
	if (ack.next > s->source->acked && ack.next < WEIRLINK_INDEX_END) {
		s->source->acked = ack.next;
		memcpy(s->source->origin, s->now.origin, SPOOL_ID);
		s->source->ack_moved = true;
	}
}

int agent_ipcap_take(struct link_agent *a, struct err *err)
{
	struct ipcap_frame f;
	size_t used;
	int rc;

	for (;;) {
		rc = ipcap_frame_parse(link_wire_in(&a->wire), &used, &f);
		if (rc == ERR_AGAIN)
			break;
		if (rc < 0)
			return malformed(err, rc);
		if (!a->resumed)
			rc = take_first(a, &f, err);
		else if (f.type == IPCAP_ACK)
			take_ack(a, &f);
		a->wire.in_at += used;
		if (rc < 0)
			return rc;
	}
	if (link_wire_in(&a->wire).len > AGENT_FRAME_MAX)
		return err_set(err, ERR_LIMIT,
			       "a frame of over %d bytes from a collector",
			       AGENT_FRAME_MAX);
	return 0;
}

/* -- what the spool says ------------------------------------------------- */

static void put_gap(struct link_agent *a, uint64_t from, uint64_t to)
{
	struct agent_ipcap *s = &a->ipcap;
	struct ipcap_frame f = { .type = IPCAP_GAP,
				 .flags = IPCAP_GAP_FLAG,
				 .source = s->source->is->id,
				 .seq = s->seq_gap++ };
	const struct ipcap_gap g = { f.source, from, to };
	size_t begun = ipcap_frame_begin(&a->wire.plain);

	put_ipcap_gap(&a->wire.plain, &g);
	ipcap_frame_end(&a->wire.plain, begun, &f);
	log_warn("link",
		 "source %u: packets [%llu, %llu) are not there any "
		 "more; the collector is told",
		 f.source, (unsigned long long)from, (unsigned long long)to);
	if (a->cfg.counts)
		atomic_fetch_add(&a->cfg.counts->gaps, 1);
}

/* The records of one batch from the head of `pending` on; how many. */
static int put_batch(struct link_agent *a, struct cursor *c)
{
	struct agent_ipcap *s = &a->ipcap;
	struct ipcap_frame f = { .type = IPCAP_BATCH,
				 .source = s->source->is->id,
				 .base = s->pending_first };
	struct buf *to = &a->wire.plain;
	size_t begun = ipcap_frame_begin(to);
	int n;

	buf_clear(&a->batch);
	n = put_ipcap_batch(&a->batch, c, IPCAP_BATCH_COUNT, IPCAP_BATCH_BYTES);
	if (n <= 0) {
		to->len = begun;
		return n;
	}
	buf_clear(&a->packed);
	if (agent_pack(a, buf_bytes(&a->batch), to))
		f.flags = IPCAP_COMPRESSED;
	else
		put_bytes(to, buf_bytes(&a->batch));
	f.seq = s->seq_batch++;
	ipcap_frame_end(to, begun, &f);
	return n;
}

/* Send what is pending while it fills batches, or all of it. */
static int give_batches(struct link_agent *a, bool all, struct err *err)
{
	struct agent_ipcap *s = &a->ipcap;
	struct cursor c = cursor_on(buf_bytes(&s->pending));

	while (s->pending_n >= IPCAP_BATCH_COUNT ||
	       c.len >= IPCAP_BATCH_BYTES || (all && s->pending_n)) {
		size_t before = c.len;
		int n = put_batch(a, &c);
		struct packet p;

		if (n == ERR_LIMIT) {
			/* No frame of ipcap's holds this packet. */
			if (record_next(&c, &p) < 0)
				n = ERR_MALFORMED;
			else
				put_gap(a, s->pending_first,
					s->pending_first + 1);
		}
		if (n <= 0 && n != ERR_LIMIT)
			return err_set(err, ERR_MALFORMED,
				       "the run at %llu is "
				       "not made of records",
				       (unsigned long long)s->pending_first);
		agent_count(a, n < 0 ? 0 : (uint64_t)n, before - c.len);
		n = n < 0 ? 1 : n;
		s->pending_first += (uint64_t)n;
		s->pending_n -= (uint32_t)n;
		if (agent_close_record(a, AGENT_RECORD, err) < 0)
			return err->code;
	}
	buf_consume(&s->pending, s->pending.len - c.len);
	return 0;
}

/* Where this collector goes on, by what is remembered about it. */
static void place(struct link_agent *a)
{
	struct agent_ipcap *s = &a->ipcap;
	struct spool_seek to = { .place = SPOOL_INDEX, .index = s->wanted };
	struct spool_seek oldest = { .place = SPOOL_OLDEST };
	struct err why = ERR_NONE;
	int rc = ERR_UNKNOWN;

	s->now = s->was;
	if (s->was.known) {
		memcpy(to.origin, s->was.origin, SPOOL_ID);
		rc = spool_reader_seek(s->source->reader, &to, &why);
		if (rc == ERR_GONE)
			s->now.fallen++;
	}
	if (rc < 0)
		(void)spool_reader_seek(s->source->reader, &oldest, &why);
	s->placed = true;
}

/*
 * A spool begins.  Which one this session is about is known once something of
 * it comes.  The one behind that needs another connection, but not before the
 * collector has taken this one's epoch over: it would be given it again.
 */
static int give_begin(struct link_agent *a, const struct spool_event *ev,
		      struct err *err)
{
	struct agent_ipcap *s = &a->ipcap;
	const uint8_t *origin = ev->identity->origin;
	struct spool_reader_status st;
	struct err why = ERR_NONE;
	bool same = memcmp(s->now.origin, origin, SPOOL_ID) == 0;

	if (s->announced) {
		s->over = !same;
		return s->over ? give_batches(a, true, err) : 0;
	}
	if (!same || !s->now.known) {
		memcpy(s->now.origin, origin, SPOOL_ID);
		s->now.fallen = 0;
		if (spool_reader_status(s->source->reader, &st, &why) == 0 &&
		    memcmp(st.identity.origin, origin, SPOOL_ID) == 0 &&
		    !s->was.known && s->wanted > st.head)
			s->now.fallen = 1;
		s->from = ev->at;
	} else if (s->now.fallen != s->was.fallen) {
		s->from = ev->at;
	} else {
		s->from = ev->at > s->wanted ? ev->at : s->wanted;
	}
	s->now.known = true;
	return 0;
}

/* The preamble, before anything of the spool that has begun. */
static int announce(struct link_agent *a, const struct spool_identity *id,
		    struct err *err)
{
	struct agent_ipcap *s = &a->ipcap;
	struct ipcap_preamble p = { .n_sources = 1, .n_resume = 1 };
	struct ipcap_source *src = &p.sources[0];

	snprintf(p.compression, sizeof(p.compression), "%s",
		 a->cfg.compress ? "zstd" : "none");
	src->id = s->source->is->id;
	src->linktype = (uint16_t)id->linktype;
	src->snaplen = id->snaplen;
	snprintf(src->name, sizeof(src->name), "%s",
		 s->source->is->name ? s->source->is->name : "");
	snprintf(src->kind, sizeof(src->kind), "afpacket");
	served_epoch(src->epoch, &s->now);
	p.resume[0] = (struct ipcap_resume){ src->id, s->from };
	put_ipcap_preamble(&a->wire.plain, &p);
	s->announced = true;
	s->pending_first = s->from;
	if (s->from > s->wanted)
		put_gap(a, s->wanted, s->from);
	return agent_close_record(a, 1, err);
}

static int give_run(struct link_agent *a, struct spool_event *ev,
		    struct err *err)
{
	struct agent_ipcap *s = &a->ipcap;
	struct packet p;
	struct cursor c;
	uint64_t at = ev->run.first;

	buf_clear(&a->load);
	if (spool_reader_load(s->source->reader, ev, &a->load, err) < 0)
		return err->code;
	c = cursor_on(ev->run.records);
	while (at < s->from && record_next(&c, &p) == 0)
		at++;
	if (!s->pending_n)
		s->pending_first = at;
	put_bytes(&s->pending, get_rest(&c));
	s->pending_n += ev->run.count - (uint32_t)(at - ev->run.first);
	return give_batches(a, false, err);
}

static int give_gap(struct link_agent *a, uint64_t at, uint64_t to,
		    struct err *err)
{
	if (give_batches(a, true, err) < 0)
		return err->code;
	put_gap(a, at, to);
	return 0;
}

/* One event that is not a BEGIN. */
static int give_event(struct link_agent *a, struct spool_event *ev,
		      struct err *err)
{
	struct agent_ipcap *s = &a->ipcap;
	bool gap =
		ev->kind == SPOOL_EVENT_GAP ||
		(ev->kind == SPOOL_EVENT_NOTE && ev->note.is == SPOOL_IS_GAP);

	if (!s->announced) {
		/* Below the oldest: the session begins behind the gap. */
		if (gap && ev->note.value > s->from) {
			s->from = ev->note.value;
			gap = false;
		}
		if (announce(a, ev->identity, err) < 0)
			return err->code;
	}
	if (gap)
		return give_gap(a, ev->at, ev->note.value, err);
	if (ev->kind == SPOOL_EVENT_RUN)
		return give_run(a, ev, err);
	return 0; /* losses are in STATS */
}

static int idle(struct link_agent *a, struct err *err)
{
	struct agent_ipcap *s = &a->ipcap;
	struct spool_reader_status st;

	if (!s->announced && s->now.known && s->placed) {
		if (spool_reader_status(s->source->reader, &st, err) < 0)
			return err->code;
		if (memcmp(st.identity.origin, s->now.origin, SPOOL_ID) == 0 &&
		    announce(a, &st.identity, err) < 0)
			return err->code;
	}
	return s->announced ? give_batches(a, true, err) : 0;
}

/* One event.  0, ERR_AGAIN when there is none now, or the end. */
static int give_one(struct link_agent *a, struct err *err)
{
	struct spool_event ev;
	struct err why = ERR_NONE;
	int rc = spool_reader_next(a->ipcap.source->reader, &ev, &why);

	if (rc == ERR_AGAIN)
		return rc;
	if (rc == 0)
		rc = ev.kind == SPOOL_EVENT_BEGIN ? give_begin(a, &ev, &why)
						  : give_event(a, &ev, &why);
	if (rc == ERR_DAMAGED) {
		/* The next event is the gap over it. */
		log_error("link", "source %u: %s", a->ipcap.source->is->id,
			  why.text);
		return 0;
	}
	return rc < 0 ? err_set(err, rc, "source %u: %s",
				a->ipcap.source->is->id, why.text)
		      : 0;
}

int agent_ipcap_give(struct link_agent *a, struct err *err)
{
	int rc = 0;

	if (!a->ipcap.placed)
		place(a);
	if (a->ipcap.over && a->ipcap.confirmed)
		return err_set(err, ERR_END,
			       "the next spool of source %u "
			       "begins; ipcap's protocol needs a new "
			       "connection for it",
			       a->ipcap.source->is->id);
	while (rc == 0 && !a->ipcap.over &&
	       link_wire_out(&a->wire).len + a->wire.plain.len < LINK_OUT_HIGH)
		rc = give_one(a, err);
	return rc == ERR_AGAIN ? idle(a, err) : rc;
}

/* -- once a second ------------------------------------------------------- */

int agent_ipcap_beat(struct link_agent *a, struct err *err)
{
	struct agent_ipcap *s = &a->ipcap;
	struct link_capture_stats counted;
	struct spool_reader_status st;
	struct ipcap_frame f = { .source = s->source->is->id };
	struct buf *to = &a->wire.plain;
	size_t begun;

	if (!s->announced)
		return 0;
	if (spool_reader_status(s->source->reader, &st, err) < 0)
		return err->code;
	counted = agent_stats(a, s->source);
	f.type = IPCAP_STATS;
	f.seq = s->seq_stats++;
	begun = ipcap_frame_begin(to);
	put_ipcap_stats(to, &(struct ipcap_stats){
				    .captured = counted.captured,
				    .dropped_kernel = counted.dropped_kernel,
				    .ifdrop = counted.dropped_interface,
				    .spool_bytes = st.bytes,
				    .oldest = st.oldest,
				    .head = st.head });
	ipcap_frame_end(to, begun, &f);
	f.type = IPCAP_HEARTBEAT;
	f.seq = s->seq_beat++;
	begun = ipcap_frame_begin(to);
	put_ipcap_heartbeat(to,
			    &(struct ipcap_heartbeat){
				    .wall_ns = a->cfg.sys->wall_ns(a->cfg.sys),
				    .head = st.head });
	ipcap_frame_end(to, begun, &f);
	return 0;
}
