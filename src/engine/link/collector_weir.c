/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collector_weir.c - the dialling end speaks Weir (doc/link-protocol.md).
 */
#include "engine/link/collector_priv.h"

#include <ctype.h>
#include <stdio.h>

#include "base/err.h"
#include "base/log.h"

static void put_frame(struct link_collector *c, struct weirlink_frame *f)
{
	f->sequence = c->sent++;
	put_weirlink(&c->wire.plain, f);
}

int collector_weir_ask(struct link_collector *c, struct err *err)
{
	struct weirlink_entry entries[WEIRLINK_ENTRIES_MAX];
	int n = 0;

	(void)err;
	for (int i = 0; i < c->cfg.n_mirrors; i++) {
		/* Each source gets its newest spool in, whatever else. */
		int room =
			WEIRLINK_ENTRIES_MAX - n - (c->cfg.n_mirrors - i - 1);

		n += mirror_entries(c->cfg.mirrors[i], entries + n, room);
		c->sources[i].acked_ns = c->now_ns;
	}
	put_weirlink_resume(&c->wire.plain, c->sent++, entries, n);
	return 0;
}

static int find(const struct link_collector *c, uint16_t source)
{
	for (int i = 0; i < c->cfg.n_mirrors; i++)
		if (mirror_config(c->cfg.mirrors[i])->source == source)
			return i;
	return -1;
}

/* The agent's name for it is shown and kept, so only what is harmless of it. */
static void copy_name(char to[SPOOL_NAME_MAX + 1], const char *from,
		      uint16_t source)
{
	size_t n = 0;

	for (; n < SPOOL_NAME_MAX && isgraph((unsigned char)from[n]); n++)
		to[n] = from[n];
	to[n] = '\0';
	if (!n)
		snprintf(to, SPOOL_NAME_MAX + 1, "src%u", source);
}

/* Is `at` where an earlier spool of the mirror ends? */
static bool have_below(const struct mirror *m, const uint8_t *origin,
		       uint64_t at)
{
	struct weirlink_entry e[MIRROR_SPOOLS_MAX];
	int n = mirror_entries(m, e, MIRROR_SPOOLS_MAX);

	for (int i = 0; i < n; i++)
		if ((e[i].flags & WEIRLINK_HAS) && e[i].next == at &&
		    memcmp(e[i].origin, origin, SPOOL_ID) == 0)
			return true;
	return false;
}

static int take_source(struct link_collector *c, int i,
		       const struct weirlink_frame *f, struct err *err)
{
	const struct weirlink_source *s = &f->as_source;
	struct mirror *m = c->cfg.mirrors[i];
	const struct spool_identity *have = mirror_identity(m);
	struct spool_identity id = { .linktype = s->linktype,
				     .snaplen = s->snaplen };
	bool same, resumed = s->verdict == WEIRLINK_RESUMED;
	uint64_t first = 0;

	memcpy(id.origin, s->origin, SPOOL_ID);
	copy_name(id.name, s->name, f->source);
	same = have && have->linktype == s->linktype &&
	       memcmp(have->origin, s->origin, SPOOL_ID) == 0;
	if (resumed && !same)
		return err_set(err, ERR_MALFORMED,
			       "source %u: the agent goes "
			       "on with a spool that this mirror does not have",
			       f->source);
	c->sources[i].announced = true;
	c->sources[i].acked = 0;
	if (resumed) {
		mirror_turn(m, &id, 0, false);
		return 0;
	}
	if (have)
		log_warn("link",
			 "source %u: the agent serves another spool "
			 "than the mirror's (%s); it goes beside it",
			 f->source,
			 s->verdict == WEIRLINK_NEXT ? "the next one"
						     : "not its continuation");
	if (have_below(m, s->origin, f->at))
		first = f->at;
	mirror_turn(m, &id, first, true);
	/* What was gone before we ever asked is a gap too. */
	return mirror_put_gap(m, first, f->at, SPOOL_GAP_RETENTION, c->now_ns,
			      err);
}

static int take_run(struct link_collector *c, struct mirror *m,
		    const struct weirlink_frame *f, struct err *err)
{
	struct run r = f->as_run.run;
	int rc;

	if (f->as_run.codec == WEIRLINK_ZSTD_FRAME) {
		buf_clear(&c->unpacked);
		rc = zframe_unpack(&c->z, f->as_run.body, &c->unpacked,
				   f->as_run.raw_len);
		if (rc < 0 || c->unpacked.len != f->as_run.raw_len)
			return collector_corrupt(c, ERR_MALFORMED, err,
						 "a run that does not inflate "
						 "to what it says");
		r.records = buf_bytes(&c->unpacked);
	}
	rc = mirror_put_run(m, &r, true, c->now_ns, err);
	if (rc == ERR_MALFORMED && c->cfg.counts)
		atomic_fetch_add(&c->cfg.counts->corrupt_frames, 1);
	return rc;
}

static int take_note(struct link_collector *c, struct mirror *m,
		     const struct weirlink_frame *f, struct err *err)
{
	const struct weirlink_note *n = &f->as_note;
	const struct spool_note note = { .is = n->is,
					 .reason = n->reason,
					 .value = n->value,
					 .begin_ns = n->begin_ns,
					 .end_ns = n->end_ns };

	return mirror_put_note(m, f->at, &note, c->now_ns, err);
}

static void take_beat(struct link_collector *c, int i,
		      const struct weirlink_frame *f)
{
	const struct weirlink_beat *b = &f->as_beat;

	c->cfg.beats[i] = (struct link_beat){
		.known = true,
		.head = f->at,
		.oldest = b->oldest,
		.captured = b->captured,
		.dropped_kernel = b->dropped_kernel,
		.dropped_interface = b->dropped_interface,
		.bytes = b->bytes,
		.heard_ns = c->now_ns,
	};
}

/* A frame about a source. */
static int take_of_source(struct link_collector *c,
			  const struct weirlink_frame *f, struct err *err)
{
	int i = find(c, f->source);
	struct mirror *m;

	if (i < 0)
		return collector_corrupt(c, ERR_MALFORMED, err,
					 "a source that was not asked for");
	m = c->cfg.mirrors[i];
	if (f->type == WEIRLINK_SOURCE)
		return take_source(c, i, f, err);
	if (f->type == WEIRLINK_BEAT) {
		take_beat(c, i, f);
		return 0;
	}
	if (!c->sources[i].announced)
		return collector_corrupt(c, ERR_MALFORMED, err,
					 "packets before their source");
	switch (f->type) {
	case WEIRLINK_RUN:
		return take_run(c, m, f, err);
	case WEIRLINK_GAP:
		return mirror_put_gap(m, f->at, f->as_gap.to, f->as_gap.reason,
				      c->now_ns, err);
	default:
		return take_note(c, m, f, err);
	}
}

static int take_frame(struct link_collector *c, const struct weirlink_frame *f,
		      struct err *err)
{
	switch (f->type) {
	case WEIRLINK_SOURCE:
	case WEIRLINK_RUN:
	case WEIRLINK_GAP:
	case WEIRLINK_NOTE:
	case WEIRLINK_BEAT:
		return take_of_source(c, f, err);
	case WEIRLINK_KEYLOG:
		collector_keyline(c, f->payload);
		return 0;
	case WEIRLINK_ERROR:
		return err_set(err, ERR_FAILED, "the agent says: %.*s",
			       (int)f->as_error.sentence.len,
			       (const char *)f->as_error.sentence.p);
	case WEIRLINK_END:
		return err_set(err, ERR_END, "the agent has left");
	default:
		return f->type & 0x80
			       ? 0
			       : collector_corrupt(
					 c, ERR_MALFORMED, err,
					 "a frame that only a collector sends");
	}
}

int collector_weir_take(struct link_collector *c, struct err *err)
{
	struct weirlink_frame f;
	size_t size;
	int rc;

	for (;;) {
		rc = weirlink_parse(link_wire_in(&c->wire), &f, &size);
		if (rc == ERR_AGAIN)
			return 0;
		if (rc < 0 && rc != ERR_UNKNOWN)
			return collector_corrupt(c, rc, err,
						 "a frame that breaks its "
						 "form");
		if (f.sequence != c->received)
			return collector_corrupt(c, ERR_MALFORMED, err,
						 "a frame out of sequence");
		c->live = true;
		rc = rc == ERR_UNKNOWN ? 0 : take_frame(c, &f, err);
		if (rc < 0)
			return rc;
		c->received++;
		c->wire.in_at += size;
	}
}

/* How far each mirror is durable: as it moves, and once a second anyway. */
void collector_weir_ack(struct link_collector *c)
{
	for (int i = 0; i < c->cfg.n_mirrors; i++) {
		struct collector_source *s = &c->sources[i];
		struct mirror *m = c->cfg.mirrors[i];
		struct weirlink_frame f = { .type = WEIRLINK_ACK };
		uint64_t durable = mirror_durable(m);

		if (s->announced && durable < s->acked + c->cfg.ack_every &&
		    c->now_ns - s->acked_ns < LINK_BEAT_NS)
			continue;
		if (!s->announced && c->now_ns - s->acked_ns < LINK_BEAT_NS)
			continue;
		f.source = mirror_config(m)->source;
		f.at = s->announced ? durable : 0;
		put_frame(c, &f);
		s->acked = durable;
		s->acked_ns = c->now_ns;
	}
}

void collector_weir_end(struct link_collector *c)
{
	struct weirlink_frame f = { .type = WEIRLINK_END };

	put_frame(c, &f);
}
