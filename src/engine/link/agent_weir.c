/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent_weir.c - the serving end speaks Weir (doc/link-protocol.md).
 */
#include "engine/link/agent_priv.h"

#include <stdio.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "sys/sys.h"

/* Runs in one turn of one source. */
enum { TURN_RUNS = 4 };

static void put_frame(struct link_agent *a, struct weirlink_frame *f)
{
	f->sequence = a->sent++;
	put_weirlink(&a->wire.plain, f);
}

/* Tell the peer why before the connection ends; returns err->code. */
static int say_error(struct link_agent *a, const struct err *err)
{
	struct weirlink_frame f = { .type = WEIRLINK_ERROR };
	size_t len = strnlen(err->text, WEIRLINK_SENTENCE_MAX);

	f.as_error.code = (uint16_t)-err->code;
	f.as_error.sentence = bytes_of(err->text, len);
	put_frame(a, &f);
	return err->code;
}

/* -- what the collector says --------------------------------------------- */

static bool same_origin(const uint8_t a[SPOOL_ID], const uint8_t b[SPOOL_ID])
{
	return memcmp(a, b, SPOOL_ID) == 0;
}

/*
 * Is what the collector says it has of this spool a beginning of ours?  Only
 * the chain can tell after a spool was restored or rolled back; where no
 * chain is left to compare, below the oldest, the origin decides.
 */
static bool matches(struct agent_source *s, const struct weirlink_entry *e)
{
	struct spool_seek to = { .place = SPOOL_INDEX, .index = e->next };
	struct spool_reader_status st;
	struct err why = ERR_NONE;
	uint64_t chain;
	int rc;

	if (!(e->flags & WEIRLINK_HAS))
		return false;
	memcpy(to.origin, e->origin, SPOOL_ID);
	if (e->flags & WEIRLINK_CHAIN) {
		rc = spool_reader_chain(s->reader, e->origin, e->next, &chain,
					&why);
		if (rc == 0 && chain != e->chain)
			return false;
		if (rc == ERR_UNKNOWN)
			return false;
		/* Not the end of one of our batches, though still here. */
		if (rc < 0 && spool_reader_status(s->reader, &st, &why) == 0 &&
		    same_origin(st.identity.origin, e->origin) &&
		    e->next >= st.oldest)
			return false;
	}
	return spool_reader_seek(s->reader, &to, &why) == 0;
}

/* Place the reader by the newest entry that matches, or at the oldest. */
static void place(struct agent_source *s)
{
	struct spool_seek oldest = { .place = SPOOL_OLDEST };
	struct err why = ERR_NONE;
	bool had = false;

	for (int i = 0; i < s->n_entries; i++) {
		struct weirlink_entry *e = &s->entries[i];

		had |= e->flags & WEIRLINK_HAS;
		if (!matches(s, e))
			continue;
		e->flags = 0;
		s->verdict = i ? WEIRLINK_DIVERGED : WEIRLINK_RESUMED;
		return;
	}
	s->verdict = had ? WEIRLINK_DIVERGED : WEIRLINK_FRESH;
	/* The source need not exist yet; then it begins at its oldest too. */
	(void)spool_reader_seek(s->reader, &oldest, &why);
}

static int take_entries(struct link_agent *a, const struct weirlink_frame *f,
			struct err *err)
{
	for (int i = 0; i < f->entries; i++) {
		struct weirlink_entry e;
		struct agent_source *s;

		weirlink_entry_at(f, i, &e);
		s = agent_source_find(a, e.source);
		if (!s) {
			err_set(err, ERR_UNKNOWN, "there is no source %u here",
				e.source);
			return say_error(a, err);
		}
		if (agent_source_open(a, s, err) < 0)
			return say_error(a, err);
		if (!s->entries)
			s->entries = mem_array(WEIRLINK_ENTRIES_MAX,
					       sizeof(*s->entries));
		s->entries[s->n_entries++] = e;
	}
	for (int i = 0; i < a->cfg.n_sources; i++)
		if (a->sources[i].wanted)
			place(&a->sources[i]);
	a->resumed = true;
	return 0;
}

static void take_ack(struct link_agent *a, const struct weirlink_frame *f)
{
	struct agent_source *s = agent_source_find(a, f->source);

	/* What was not sent can only be about the spool before this one. */
	if (!s || !s->begun || f->at <= s->acked || f->at > s->given)
		return;
	s->acked = f->at;
	s->ack_moved = true;
}

static int take_frame(struct link_agent *a, const struct weirlink_frame *f,
		      struct err *err)
{
	if (f->sequence != a->received++)
		return err_set(err, ERR_MALFORMED, "a frame out of sequence");
	if (!a->resumed && f->type != WEIRLINK_RESUME)
		return err_set(err, ERR_MALFORMED,
			       "the first frame is of type %02x, not RESUME",
			       f->type);
	switch (f->type) {
	case WEIRLINK_RESUME:
		if (a->resumed)
			return err_set(err, ERR_MALFORMED, "a second RESUME");
		return take_entries(a, f, err);
	case WEIRLINK_ACK:
		take_ack(a, f);
		return 0;
	case WEIRLINK_ERROR:
		return err_set(err, ERR_FAILED, "the collector says: %.*s",
			       (int)f->as_error.sentence.len,
			       (const char *)f->as_error.sentence.p);
	case WEIRLINK_END:
		a->ended = true;
		return 0;
	default:
		return f->type & 0x80 ? 0
				      : err_set(err, ERR_MALFORMED,
						"a frame of type %02x, "
						"which no collector sends",
						f->type);
	}
}

int agent_weir_take(struct link_agent *a, struct err *err)
{
	struct weirlink_frame f;
	size_t size;
	int rc;

	for (;;) {
		rc = weirlink_parse(link_wire_in(&a->wire), &f, &size);
		if (rc == ERR_AGAIN)
			break;
		if (rc < 0 && rc != ERR_UNKNOWN)
			return err_set(err, rc, "a frame that breaks its form");
		rc = take_frame(a, &f, err);
		a->wire.in_at += size;
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

static void put_source(struct link_agent *a, struct agent_source *s,
		       const struct spool_event *ev)
{
	const struct spool_identity *id = ev->identity;
	struct spool_reader_status st = { 0 };
	struct err why = ERR_NONE;
	struct weirlink_frame f = { .type = WEIRLINK_SOURCE,
				    .source = s->is->id,
				    .at = ev->at };

	f.as_source = (struct weirlink_source){ .verdict = s->verdict,
						.linktype = id->linktype,
						.snaplen = id->snaplen,
						.oldest = ev->at,
						.head = ev->at };
	memcpy(f.as_source.id, id->id, SPOOL_ID);
	memcpy(f.as_source.origin, id->origin, SPOOL_ID);
	snprintf(f.as_source.name, sizeof(f.as_source.name), "%s", id->name);
	if (spool_reader_status(s->reader, &st, &why) == 0 &&
	    memcmp(st.identity.id, id->id, SPOOL_ID) == 0) {
		f.as_source.oldest = st.oldest;
		f.as_source.head = st.head;
	}
	put_frame(a, &f);
	memcpy(s->origin, id->origin, SPOOL_ID);
	s->verdict = WEIRLINK_NEXT;
	s->begun = true;
	s->given = ev->at;
	s->acked = 0;
}

/* A spool begins: go on where an entry of the collector says, if one does. */
static void give_begin(struct link_agent *a, struct agent_source *s,
		       const struct spool_event *ev)
{
	for (int i = 0; i < s->n_entries; i++) {
		struct weirlink_entry *e = &s->entries[i];

		if (!(e->flags & WEIRLINK_HAS) ||
		    !same_origin(e->origin, ev->identity->origin))
			continue;
		if (matches(s, e)) {
			if (i == 0 && s->verdict != WEIRLINK_NEXT)
				s->verdict = WEIRLINK_RESUMED;
			e->flags = 0;
			return; /* the reader says BEGIN again */
		}
		e->flags = 0;
	}
	put_source(a, s, ev);
}

static int give_run(struct link_agent *a, struct agent_source *s,
		    struct spool_event *ev, struct err *err)
{
	struct weirlink_frame f = { .type = WEIRLINK_RUN,
				    .source = s->is->id,
				    .at = ev->run.first };
	struct bytes records;

	buf_clear(&a->load);
	if (spool_reader_load(s->reader, ev, &a->load, err) < 0)
		return err->code;
	records = ev->run.records;
	f.as_run.run = ev->run;
	f.as_run.raw_len = (uint32_t)records.len;
	f.as_run.body = records;
	buf_clear(&a->packed);
	if (a->zstd && agent_pack(a, records, &a->packed)) {
		f.as_run.codec = WEIRLINK_ZSTD_FRAME;
		f.as_run.body = buf_bytes(&a->packed);
	}
	put_frame(a, &f);
	s->given = ev->run.first + ev->run.count;
	agent_count(a, ev->run.count, records.len);
	return agent_close_record(a, AGENT_RECORD, err);
}

static void give_gap(struct link_agent *a, struct agent_source *s, uint64_t at,
		     const struct spool_note *n)
{
	struct weirlink_frame f = { .type = WEIRLINK_GAP,
				    .source = s->is->id,
				    .at = at };

	f.as_gap = (struct weirlink_gap){ .to = n->value,
					  .reason = n->reason,
					  .begin_ns = n->begin_ns,
					  .end_ns = n->end_ns };
	put_frame(a, &f);
	s->given = n->value;
	log_warn("link",
		 "source %u: packets [%llu, %llu) are not there any "
		 "more; the collector is told",
		 s->is->id, (unsigned long long)at,
		 (unsigned long long)n->value);
	if (a->cfg.counts)
		atomic_fetch_add(&a->cfg.counts->gaps, 1);
}

static void give_note(struct link_agent *a, struct agent_source *s,
		      const struct spool_event *ev)
{
	const struct spool_note *n = &ev->note;
	struct weirlink_frame f = { .type = WEIRLINK_NOTE,
				    .source = s->is->id,
				    .at = ev->at };

	if (n->is == SPOOL_IS_GAP) {
		give_gap(a, s, ev->at, n);
		return;
	}
	f.as_note = (struct weirlink_note){ .is = (uint8_t)n->is,
					    .reason = n->reason,
					    .value = n->value,
					    .begin_ns = n->begin_ns,
					    .end_ns = n->end_ns };
	put_frame(a, &f);
}

/* One event.  0, ERR_AGAIN when this source has nothing now, or the end. */
static int give_one(struct link_agent *a, struct agent_source *s,
		    struct err *err)
{
	struct spool_event ev;
	struct err why = ERR_NONE;
	int rc = spool_reader_next(s->reader, &ev, &why);

	if (rc == ERR_AGAIN)
		return rc;
	if (rc == 0) {
		switch (ev.kind) {
		case SPOOL_EVENT_BEGIN:
			give_begin(a, s, &ev);
			return agent_close_record(a, 1, err);
		case SPOOL_EVENT_RUN:
			rc = give_run(a, s, &ev, &why);
			break;
		case SPOOL_EVENT_NOTE:
			give_note(a, s, &ev);
			return 0;
		case SPOOL_EVENT_GAP:
			give_gap(a, s, ev.at, &ev.note);
			return 0;
		}
	}
	if (rc == ERR_DAMAGED) {
		/* The next event is the gap over it. */
		log_error("link", "source %u: %s", s->is->id, why.text);
		return 0;
	}
	return rc < 0 ? err_set(err, rc, "source %u: %s", s->is->id, why.text)
		      : 0;
}

static bool full(const struct link_agent *a)
{
	return link_wire_out(&a->wire).len + a->wire.plain.len >= LINK_OUT_HIGH;
}

/* Sources take turns, so that a busy one starves nobody. */
int agent_weir_give(struct link_agent *a, struct err *err)
{
	int quiet = 0;

	while (quiet < a->cfg.n_sources && !full(a)) {
		struct agent_source *s = &a->sources[a->turn];
		int rc = ERR_AGAIN;

		a->turn = (a->turn + 1) % a->cfg.n_sources;
		for (int i = 0; s->wanted && i < TURN_RUNS && !full(a); i++) {
			rc = give_one(a, s, err);
			if (rc == ERR_AGAIN)
				break;
			if (rc < 0)
				return say_error(a, err);
		}
		quiet = rc == ERR_AGAIN ? quiet + 1 : 0;
	}
	return 0;
}

int agent_weir_beat(struct link_agent *a, struct err *err)
{
	(void)err;
	for (int i = 0; i < a->cfg.n_sources; i++) {
		struct agent_source *s = &a->sources[i];
		struct link_capture_stats counted = agent_stats(a, s);
		struct spool_reader_status st = { 0 };
		struct weirlink_frame f = { .type = WEIRLINK_BEAT,
					    .source = s->is->id };
		struct err why = ERR_NONE;

		if (!s->wanted)
			continue;
		if (spool_reader_status(s->reader, &st, &why) < 0)
			st = (struct spool_reader_status){ 0 };
		f.at = st.head;
		f.as_beat = (struct weirlink_beat){
			.oldest = st.oldest,
			.captured = counted.captured,
			.dropped_kernel = counted.dropped_kernel,
			.dropped_interface = counted.dropped_interface,
			.dropped = st.dropped,
			.bytes = st.bytes,
			.wall_ns = a->cfg.sys->wall_ns(a->cfg.sys),
			.mono_ns = a->now_ns,
		};
		put_frame(a, &f);
	}
	return 0;
}
