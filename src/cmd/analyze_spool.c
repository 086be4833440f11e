/* SPDX-License-Identifier: Apache-2.0 */
/*
 * analyze_spool.c - a spool or mirror as the source of an analysis.
 *
 * Marks tell how far it has come; with a memory of earlier runs it goes on
 * where the oldest stream began that was open then.
 */
#include "cmd/analyze_input_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/record.h"
#include "engine/spool/reader.h"

static const char part[] = "analyze";

enum {
	TICK_MS = 100,
	MARK_NS = 100000000,
	/* Fragments may lie this far before the packet that they complete. */
	MARGIN = 4096
};

struct spool_input {
	struct input *in;
	struct spool_reader *reader;
	const struct stream_source *source;
	uint8_t origin[ORIGIN_SIZE];
	uint32_t linktype;
	uint64_t next;	    /* index behind what was given */
	uint64_t given;	    /* an earlier run had all before it */
	bool going_on;	    /* the first packet has not come */
	uint64_t marked;    /* `next` of the last mark */
	uint64_t marked_ns; /* monotonic */
	struct buf records;
	struct packet *batch;
};

/* -- how far ------------------------------------------------------------------ */

/* A limit on packets ends a run within a batch: then nobody goes on. */
static bool remembers(const struct spool_input *s)
{
	return s->in->cfg.memory.where && !s->in->cfg.packets_max && s->source;
}

static void mark(struct spool_input *s, bool leave)
{
	struct sys *sys = sys_host();

	if (!remembers(s))
		return;
	s->marked = s->next;
	s->marked_ns = sys->mono_ns(sys);
	analyze_mark(s->in->cfg.analyze, s->source, s->next, leave);
}

static void mark_now_and_then(struct spool_input *s)
{
	struct sys *sys = sys_host();

	if (s->next != s->marked && sys->mono_ns(sys) - s->marked_ns > MARK_NS)
		mark(s, false);
}

/* Move to where the oldest stream began that was open. */
static int go_back(struct spool_input *s, const uint8_t *spool_origin,
		   struct err *err)
{
	const struct input_memory *m = &s->in->cfg.memory;
	struct spool_seek to = { .place = SPOOL_INDEX };
	uint64_t resume;
	int rc;

	s->given = 0;
	s->going_on = false;
	if (!remembers(s) ||
	    !m->where(m->arg, s->source->origin, s->in->cfg.spool, &resume,
		      &s->given))
		return 0;
	s->going_on = true;
	memcpy(to.origin, spool_origin, SPOOL_ID);
	to.index = resume > MARGIN ? resume - MARGIN : 0;
	s->next = s->marked = s->given;
	rc = spool_reader_seek(s->reader, &to, err);
	if (rc == ERR_GONE || rc == ERR_UNKNOWN) {
		log_warn(part,
			 "%s; packets up to number %llu are in the store "
			 "already", err->text, (unsigned long long)s->given);
		*err = ERR_NONE;
		return 0;
	}
	if (rc == 0)
		log_info(part,
			 "going on at packet %llu of %s, from %llu for the "
			 "streams that were open", (unsigned long long)s->given,
			 s->source->name, (unsigned long long)to.index);
	return rc;
}

static int has_gone_back(struct spool_input *s, uint64_t first,
			 struct err *err)
{
	const struct input_memory *m = &s->in->cfg.memory;

	if (!s->going_on)
		return 0;
	s->going_on = false;
	return m->go_on(m->arg, s->source, first, s->given, err);
}

/* -- events -------------------------------------------------------------------- */

static void use_source(struct spool_input *s, const struct spool_identity *id)
{
	struct stream_source source = { 0 };

	if (s->in->cfg.identity) {
		s->source = input_source(s->in, id->name, NULL, 0);
		return;
	}
	memcpy(source.origin, id->origin, ORIGIN_SIZE);
	snprintf(source.name, sizeof(source.name), "%s", id->name);
	s->source = analyze_source(s->in->cfg.analyze, &source);
}

/*
 * A spool's own origin is its identity, in a mirror and in the original.
 * Another one is another capture: no conversation goes on in it.
 */
static int begin_spool(struct spool_input *s, const struct spool_identity *id,
		       struct err *err)
{
	s->linktype = id->linktype;
	if (s->source && memcmp(s->origin, id->origin, ORIGIN_SIZE) == 0)
		return 0;
	if (s->source) {
		analyze_end_flows(s->in->cfg.analyze);
		mark(s, false);
	}
	memcpy(s->origin, id->origin, ORIGIN_SIZE);
	use_source(s, id);
	s->next = s->marked = 0;
	return go_back(s, id->origin, err);
}

static int take_run(struct spool_input *s, struct spool_event *ev,
		    struct err *err)
{
	struct cursor c;
	uint64_t index = ev->run.first;
	int n = 0, rc;

	buf_clear(&s->records);
	rc = spool_reader_load(s->reader, ev, &s->records, err);
	if (rc == ERR_DAMAGED) {
		log_warn(part, "%s", err->text);
		*err = ERR_NONE;
		return 0; /* the next event is the gap */
	}
	if (rc == 0)
		rc = has_gone_back(s, index, err);
	if (rc < 0)
		return rc;
	c = cursor_on(ev->run.records);
	while (rc == 0 && c.len && !input_stopped(s->in)) {
		for (n = 0; n < (int)s->in->cfg.batch &&
			    record_next(&c, &s->batch[n]) == 0;)
			n++;
		if (n == 0)
			break;
		rc = input_give(s->in, s->source, s->linktype, s->batch, n,
				index, err);
		index += (uint64_t)n;
		if (index > s->next)
			s->next = index;
	}
	return rc;
}

static const char *drop_name(uint16_t reason)
{
	switch ((enum spool_drop_reason)reason) {
	case SPOOL_DROP_KERNEL:
		return "kernel";
	case SPOOL_DROP_INTERFACE:
		return "interface";
	case SPOOL_DROP_STAGING:
		return "staging";
	case SPOOL_DROP_DISK:
		return "disk";
	}
	return "unknown";
}

static const char *gap_name(uint16_t reason)
{
	switch ((enum spool_gap_reason)reason) {
	case SPOOL_GAP_RETENTION:
		return "retention";
	case SPOOL_GAP_DAMAGE:
		return "damage";
	case SPOOL_GAP_QUOTA:
		return "quota";
	case SPOOL_GAP_UNKNOWN:
		break;
	}
	return "unknown";
}

/* A DROP says how many came to grief, a GAP which numbers will not come. */
static void take_note(struct spool_input *s, const struct spool_event *ev)
{
	const struct spool_note *note = &ev->note;
	struct analyze_loss loss = { .index = ev->at,
				     .packets = note->value,
				     .begin_ns = note->begin_ns,
				     .end_ns = note->end_ns,
				     .past = ev->at < s->given };

	if (note->is == SPOOL_IS_DROP) {
		loss.reason = drop_name(note->reason);
		if (!loss.past)
			atomic_fetch_add(note->reason == SPOOL_DROP_INTERFACE
						 ? &s->in->dropped_interface
						 : &s->in->dropped_kernel,
					 note->value);
	} else if (note->is == SPOOL_IS_GAP) {
		uint64_t from = loss.past ? s->given : ev->at;

		loss.reason = gap_name(note->reason);
		loss.numbered = true;
		loss.index = note->value;
		loss.past = note->value <= from;
		loss.packets = loss.past ? 0 : note->value - from;
		if (note->value > s->next)
			s->next = note->value;
	} else {
		return;
	}
	analyze_lost(s->in->cfg.analyze, s->source, &loss);
}

static int take_event(struct spool_input *s, struct err *err)
{
	struct spool_event ev;
	int rc = spool_reader_next(s->reader, &ev, err);

	if (rc == ERR_DAMAGED) {
		log_warn(part, "%s", err->text);
		*err = ERR_NONE;
		return 0;
	}
	if (rc < 0)
		return rc;
	switch (ev.kind) {
	case SPOOL_EVENT_BEGIN:
		return begin_spool(s, ev.identity, err);
	case SPOOL_EVENT_RUN:
		return take_run(s, &ev, err);
	case SPOOL_EVENT_NOTE:
	case SPOOL_EVENT_GAP:
		take_note(s, &ev);
		break;
	}
	return 0;
}

/* Everything durable was given; false: nobody waits for more. */
static bool wait_for_more(struct spool_input *s)
{
	analyze_flush(s->in->cfg.analyze);
	if (s->next != s->marked)
		mark(s, false);
	if (s->in->cfg.follow)
		input_wait(s->in, spool_reader_fd(s->reader), TICK_MS);
	return s->in->cfg.follow;
}

int input_read_spool(struct input *in, struct err *err)
{
	struct spool_input s = { .in = in };
	bool ended = false;
	int rc = 0;

	s.reader = spool_reader_open(sys_host(), in->cfg.spool, err);
	if (!s.reader)
		return err->code;
	s.batch = mem_array(in->cfg.batch, sizeof(*s.batch));
	while (rc == 0 && !ended && !input_stopped(in)) {
		rc = take_event(&s, err);
		mark_now_and_then(&s);
		if (rc == ERR_AGAIN) {
			*err = ERR_NONE;
			rc = 0;
			ended = !wait_for_more(&s);
		}
	}
	if (ended)
		analyze_end_flows(in->cfg.analyze);
	mark(&s, !ended);
	spool_reader_close(s.reader);
	buf_release(&s.records);
	free(s.batch);
	return rc;
}
