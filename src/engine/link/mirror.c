/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/link/mirror.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/record.h"
#include "engine/spool/reader.h"
#include "sys/sys.h"

enum {
	NOTES_MAX = 64, /* remembered at one index, to tell doubles */
	PATH_SIZE = 1024
};

static const uint64_t day_ns = UINT64_C(86400000000000);

struct mirror {
	struct mirror_config cfg;
	int lock;
	struct spool_writer *writer; /* NULL before there is a spool */
	bool had;		     /* there was one, or is */
	uint64_t life;		     /* counts writers */
	struct spool_identity identity;
	struct weirlink_entry now; /* what was put into it so far */

	bool turned; /* the next put begins another spool: */
	struct spool_identity turn_to;
	uint64_t turn_first;

	/* What stands at now.next already: notes have no number. */
	struct spool_note notes[NOTES_MAX];
	int n_notes;

	struct weirlink_entry older[MIRROR_SPOOLS_MAX]; /* newest first */
	int n_older;
	uint64_t begun_ns[MIRROR_SIBLINGS_A_DAY]; /* a ring */
	unsigned n_begun;
	uint64_t packets, bytes, gaps, missing, doubles;
	struct buf scratch;
};

/* -- beginning ----------------------------------------------------------- */

static int take_lock(struct mirror *m, struct err *err)
{
	struct sys *sys = m->cfg.sys;
	char path[PATH_SIZE];
	int rc;

	if (snprintf(path, sizeof(path), "%s.lock", m->cfg.dir) >= PATH_SIZE)
		return err_set(err, ERR_LIMIT, "the path %s is too long",
			       m->cfg.dir);
	m->lock = sys->open(sys, path, SYS_READ | SYS_WRITE | SYS_CREATE);
	if (m->lock < 0)
		return err_sys(err, -m->lock, "cannot open %s", path);
	rc = sys->lock(sys, m->lock);
	if (rc < 0)
		return err_set(err, ERR_BUSY,
			       "another collector writes to %s "
			       "(it has locked %s); stop it, or give this one "
			       "another --mirror-dir",
			       m->cfg.dir, path);
	return 0;
}

static int start_writer(struct mirror *m, const struct spool_config *sc,
			struct err *err)
{
	struct spool *s = spool_open(m->cfg.sys, sc, err);
	struct spool_status st;

	if (!s)
		return err->code;
	spool_status(s, &st);
	m->writer = spool_writer_start(s, &m->cfg.writer, err);
	if (!m->writer)
		return err->code;
	m->had = true;
	m->life++;
	m->identity = st.identity;
	m->now = (struct weirlink_entry){ .source = m->cfg.source,
					  .flags = WEIRLINK_HAS,
					  .next = st.next,
					  .chain = st.chain };
	memcpy(m->now.origin, st.identity.origin, SPOOL_ID);
	m->n_notes = 0;
	return 0;
}

/*
 * What the end of the spool looks like: the notes that stand there, and
 * whether a batch ends there.  Behind a gap the chain is not the sender's.
 */
static void read_end(struct mirror *m)
{
	struct spool_seek to = { .place = SPOOL_INDEX };
	struct spool_reader *r;
	struct spool_event ev;
	struct err why = ERR_NONE;

	memcpy(to.origin, m->now.origin, SPOOL_ID);
	to.index = m->now.next ? m->now.next - 1 : 0;
	r = spool_reader_open(m->cfg.sys, m->cfg.dir, &why);
	if (!r)
		return;
	if (spool_reader_seek(r, &to, &why) == 0) {
		while (spool_reader_next(r, &ev, &why) == 0) {
			if (ev.kind == SPOOL_EVENT_RUN &&
			    ev.run.first + ev.run.count == m->now.next &&
			    ev.run.chain == m->now.chain)
				m->now.flags |= WEIRLINK_CHAIN;
			if (ev.kind == SPOOL_EVENT_NOTE &&
			    ev.at == m->now.next && m->n_notes < NOTES_MAX)
				m->notes[m->n_notes++] = ev.note;
		}
	}
	spool_reader_close(r);
}

static int go_on(struct mirror *m, struct err *err)
{
	struct spool_reader *r = spool_reader_open(m->cfg.sys, m->cfg.dir, err);
	struct spool_reader_status st = { 0 };
	struct spool_config sc = m->cfg.spool;
	int rc = r ? spool_reader_status(r, &st, err) : err->code;

	spool_reader_close(r);
	if (rc < 0 || !st.exists)
		return rc;
	sc.source_dir = m->cfg.dir;
	sc.want = st.identity;
	/* Of a sibling, should it have to begin: the segments may be gone. */
	m->cfg.sys->random(m->cfg.sys, sc.want.id, SPOOL_ID);
	if (start_writer(m, &sc, err) < 0)
		return err->code;
	read_end(m);
	return 0;
}

struct mirror *mirror_open(const struct mirror_config *cfg, struct err *err)
{
	struct mirror *m = mem_alloc(sizeof(*m));

	m->cfg = *cfg;
	m->lock = -1;
	if (take_lock(m, err) < 0 || go_on(m, err) < 0) {
		mirror_close(m);
		return NULL;
	}
	return m;
}

static void stop_writer(struct mirror *m)
{
	struct err err = ERR_NONE;

	if (m->writer && spool_writer_stop(m->writer, &err) < 0)
		log_error("mirror", "%s: %s", m->cfg.name, err.text);
	m->writer = NULL;
}

void mirror_close(struct mirror *m)
{
	if (!m)
		return;
	stop_writer(m);
	if (m->lock >= 0)
		m->cfg.sys->close(m->cfg.sys, m->lock);
	buf_release(&m->scratch);
	free(m);
}

int mirror_entries(const struct mirror *m, struct weirlink_entry *entries,
		   int max)
{
	int n = 0;

	assert(max > 0);
	entries[n++] =
		m->writer ? m->now
			  : (struct weirlink_entry){ .source = m->cfg.source };
	for (int i = 0; i < m->n_older && n < max; i++)
		entries[n++] = m->older[i];
	return n;
}

/* -- turning to another spool -------------------------------------------- */

void mirror_turn(struct mirror *m, const struct spool_identity *spool,
		 uint64_t first, bool anew)
{
	m->turned = false;
	if (m->writer && !anew && m->identity.linktype == spool->linktype &&
	    memcmp(m->identity.origin, spool->origin, SPOOL_ID) == 0)
		return;
	m->turned = true;
	m->turn_to = *spool;
	m->turn_first = first;
}

static void remember(struct mirror *m)
{
	if (m->n_older == MIRROR_SPOOLS_MAX - 1)
		m->n_older--;
	memmove(m->older + 1, m->older,
		(size_t)m->n_older * sizeof(m->older[0]));
	m->older[0] = m->now;
	m->n_older++;
}

/* A peer that makes us begin one spool after another must run dry. */
static int may_begin(struct mirror *m, uint64_t now_ns, struct err *err)
{
	uint64_t *slot = &m->begun_ns[m->n_begun % MIRROR_SIBLINGS_A_DAY];

	if (m->n_begun >= MIRROR_SIBLINGS_A_DAY && now_ns - *slot < day_ns)
		return err_set(err, ERR_LIMIT,
			       "%s: the agent has begun more "
			       "than %d spools in a day; no other one is "
			       "mirrored until then. Look at the agent, then "
			       "restart the collector",
			       m->cfg.name, MIRROR_SIBLINGS_A_DAY);
	*slot = now_ns;
	m->n_begun++;
	return 0;
}

static int begin_spool(struct mirror *m, uint64_t now_ns, struct err *err)
{
	struct spool_config sc = m->cfg.spool;

	if (m->had && may_begin(m, now_ns, err) < 0)
		return err->code;
	if (m->writer) {
		stop_writer(m);
		remember(m);
	}
	sc.source_dir = m->cfg.dir;
	sc.want = m->turn_to;
	sc.first = m->turn_first;
	sc.begin_anew = m->had;
	/* Two copies of one spool are two spools. */
	m->cfg.sys->random(m->cfg.sys, sc.want.id, SPOOL_ID);
	if (start_writer(m, &sc, err) < 0)
		return err->code;
	m->turned = false;
	log_info("mirror",
		 "%s: a spool begins in the mirror at index %llu, "
		 "link type %u",
		 m->cfg.name, (unsigned long long)m->turn_first,
		 m->identity.linktype);
	return 0;
}

/* The spool that a put goes to. */
static int ready(struct mirror *m, uint64_t now_ns, struct err *err)
{
	if (m->turned)
		return begin_spool(m, now_ns, err);
	if (!m->writer)
		return err_set(err, ERR_MALFORMED,
			       "%s: packets of a source "
			       "that was not announced",
			       m->cfg.name);
	return 0;
}

/* -- putting ------------------------------------------------------------- */

static int hole(struct mirror *m, uint64_t at, struct err *err)
{
	return err_set(err, ERR_MALFORMED,
		       "%s: the agent jumps from index "
		       "%llu to %llu without saying that packets are lost",
		       m->cfg.name, (unsigned long long)mirror_next(m),
		       (unsigned long long)at);
}

/* Are the records what the run says they are? */
static int check_run(struct mirror *m, const struct run *r, struct err *err)
{
	struct run seen = { .records = r->records };

	if (r->first >= WEIRLINK_INDEX_END - RUN_COUNT_MAX)
		return err_set(err, ERR_MALFORMED,
			       "%s: index %llu is beyond "
			       "all",
			       m->cfg.name, (unsigned long long)r->first);
	if (run_measure(&seen) < 0 || seen.count != r->count ||
	    seen.crc != r->crc || seen.min_ns != r->min_ns ||
	    seen.max_ns != r->max_ns)
		return err_set(err, ERR_MALFORMED,
			       "%s: the run at index %llu "
			       "is not what it says it is",
			       m->cfg.name, (unsigned long long)r->first);
	return 0;
}

/* Leave only what is not here yet. */
static void cut(struct run *r, uint64_t next)
{
	struct cursor c = cursor_on(r->records);
	struct packet p;

	for (; r->first < next; r->first++)
		if (record_next(&c, &p) < 0)
			assert(!"the run was measured");
	r->records = get_rest(&c);
	if (run_measure(r) < 0)
		assert(!"the run was measured");
}

int mirror_put_run(struct mirror *m, struct run *r, bool chained,
		   uint64_t now_ns, struct err *err)
{
	struct run left = *r;
	uint64_t next = mirror_next(m);
	int rc;

	if (check_run(m, r, err) < 0)
		return err->code;
	if (r->first > next)
		return hole(m, r->first, err);
	if (r->first + r->count <= next) {
		m->doubles += r->count;
		return 0;
	}
	if (ready(m, now_ns, err) < 0)
		return err->code;
	if (left.first < next)
		cut(&left, next);
	rc = spool_writer_put_run(m->writer, &left, chained ? &r->chain : NULL,
				  err);
	if (rc < 0)
		return rc;
	m->doubles += r->count - left.count;
	m->packets += left.count;
	m->bytes += left.records.len;
	m->now.next = left.first + left.count;
	m->now.chain = r->chain;
	m->now.flags = WEIRLINK_HAS | (chained ? WEIRLINK_CHAIN : 0);
	m->n_notes = 0;
	return 0;
}

int mirror_put_gap(struct mirror *m, uint64_t from, uint64_t to,
		   unsigned reason, uint64_t now_ns, struct err *err)
{
	uint64_t next = mirror_next(m);
	uint64_t wall = m->cfg.sys->wall_ns(m->cfg.sys);
	struct spool_note n = { .is = SPOOL_IS_GAP,
				.reason = (uint16_t)reason,
				.value = to,
				.begin_ns = wall,
				.end_ns = wall };

	if (from > next)
		return hole(m, from, err);
	if (to <= next)
		return 0;
	if (to >= WEIRLINK_INDEX_END || to - next > MIRROR_GAP_MAX)
		return err_set(err, ERR_MALFORMED,
			       "%s: a gap from %llu to "
			       "%llu is too wide to be believed",
			       m->cfg.name, (unsigned long long)next,
			       (unsigned long long)to);
	if (ready(m, now_ns, err) < 0)
		return err->code;
	if (spool_writer_note(m->writer, &n) < 0)
		return err_set(err, ERR_FULL, "%s: staging is full",
			       m->cfg.name);
	m->gaps++;
	m->missing += to - next;
	m->now.next = to;
	m->now.flags = WEIRLINK_HAS;
	m->n_notes = 0;
	log_warn("mirror", "%s: packets [%llu, %llu) are lost (%llu of them)",
		 m->cfg.name, (unsigned long long)next, (unsigned long long)to,
		 (unsigned long long)(to - next));
	return 0;
}

static bool same_note(const struct spool_note *a, const struct spool_note *b)
{
	return a->is == b->is && a->reason == b->reason &&
	       a->value == b->value && a->begin_ns == b->begin_ns &&
	       a->end_ns == b->end_ns;
}

int mirror_put_note(struct mirror *m, uint64_t at,
		    const struct spool_note *note, uint64_t now_ns,
		    struct err *err)
{
	uint64_t next = mirror_next(m);

	assert(note->is != SPOOL_IS_GAP);
	if (at > next)
		return hole(m, at, err);
	if (at < next)
		return 0;
	for (int i = 0; !m->turned && i < m->n_notes; i++)
		if (same_note(&m->notes[i], note))
			return 0;
	if (ready(m, now_ns, err) < 0)
		return err->code;
	/* More at one place than an honest writer makes: the rest is noise. */
	if (m->n_notes == NOTES_MAX)
		return 0;
	if (spool_writer_note(m->writer, note) < 0)
		return err_set(err, ERR_FULL, "%s: staging is full",
			       m->cfg.name);
	m->notes[m->n_notes++] = *note;
	return 0;
}

/* -- asking -------------------------------------------------------------- */

uint64_t mirror_next(const struct mirror *m)
{
	return m->turned ? m->turn_first : m->now.next;
}

uint64_t mirror_durable(const struct mirror *m)
{
	if (m->turned)
		return m->turn_first;
	return m->writer ? spool_writer_durable(m->writer) : 0;
}

const struct spool_identity *mirror_identity(const struct mirror *m)
{
	return m->writer ? &m->identity : NULL;
}

const struct spool_identity *mirror_target(const struct mirror *m)
{
	return m->turned ? &m->turn_to : mirror_identity(m);
}

int mirror_fd(const struct mirror *m)
{
	return m->writer ? spool_writer_fd(m->writer) : -1;
}

void mirror_clear(struct mirror *m)
{
	uint64_t count;

	if (m->writer &&
	    read(spool_writer_fd(m->writer), &count, sizeof(count)) < 0)
		return; /* nothing to clear */
}

uint64_t mirror_life(const struct mirror *m)
{
	return m->life;
}

const struct mirror_config *mirror_config(const struct mirror *m)
{
	return &m->cfg;
}

void mirror_status(const struct mirror *m, struct mirror_status *status)
{
	*status = (struct mirror_status){
		.begun = m->writer,
		.identity = m->identity,
		.next = mirror_next(m),
		.durable = mirror_durable(m),
		.packets = m->packets,
		.bytes = m->bytes,
		.gaps = m->gaps,
		.missing = m->missing,
		.doubles = m->doubles,
		.siblings = m->n_begun,
	};
	if (m->writer) {
		struct spool_writer_status w;

		spool_writer_status(m->writer, &w);
		status->oldest = w.spool.oldest;
		status->spool_bytes = w.spool.bytes;
		status->degraded = w.degraded;
		memcpy(status->trouble, w.trouble, sizeof(status->trouble));
	}
}
