/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader.c - walking the spools of a source.
 *
 * A reader trusts what checksums cover and nothing else: `live` bounds what it
 * may give, the index says what comes next, and where either is broken it says
 * so and goes on behind it.
 */
#include "engine/spool/reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "codec/record.h"
#include "engine/spool/spool_priv.h"

enum { BLOCK = 64 }; /* entries read at once */

static const uint64_t bytes_every_ns = UINT64_C(5000000000);

/* One spool, seen from outside. */
struct view {
	unsigned number; /* 0: none */
	char *dir;
	struct spool_identity identity;
	int live, lock;
};

/* What may be given of it at this moment. */
struct horizon {
	bool bounded; /* by `live`; else every real batch counts */
	bool known;   /* there is one */
	bool nothing; /* a writer is there and has not said anything yet */
	bool alive;
	struct live live;
};

struct spool_reader {
	struct sys *sys;
	char *source_dir;
	struct view view;
	struct horizon horizon;
	bool begin_due;
	bool last_look; /* a later spool is there; this one was asked again */
	unsigned unreadable; /* a spool whose id was said to be damaged */

	uint64_t at; /* index of the next event */
	bool gap_due;
	uint64_t gap_from;
	struct spool_note gap;

	/* the open segment */
	bool open;
	int pcap, idx;
	uint64_t first;
	uint32_t seed;
	uint32_t pos; /* next entry */
	bool checked_heads, reopened;
	uint64_t retired_ns; /* when it was first found removed; 0: it is not */
	bool limited;	     /* `limit` is known for good */
	uint32_t limit;
	uint64_t walked_len; /* length of the .idx at the last walk, */
	uint32_t walked;     /* and the limit that it found */
	uint8_t block[BLOCK * IDX_ENTRY];
	uint32_t block_at, block_n;

	uint64_t newest_ns;
	uint64_t bytes, bytes_ns;
	bool bytes_known;

	int notify, watch_dir, watch_parent;
	unsigned watched; /* which spool watch_dir is of */
};

/* -- one spool ----------------------------------------------------------- */

static int open_in(struct sys *sys, const char *dir, const char *name)
{
	char *path = path_in(dir, name);
	int file = sys->open(sys, path, SYS_READ);

	free(path);
	return file;
}

static void view_close(struct sys *sys, struct view *v)
{
	if (v->live >= 0 && v->number)
		sys->close(sys, v->live);
	if (v->lock >= 0 && v->number)
		sys->close(sys, v->lock);
	free(v->dir);
	*v = (struct view){ .live = -1, .lock = -1 };
}

/* 0, ERR_GONE when it has no id (yet), ERR_DAMAGED, ERR_FAILED. */
static int view_open(struct sys *sys, const char *source_dir, unsigned number,
		     struct view *out, struct err *err)
{
	struct view v = { .number = number, .live = -1, .lock = -1 };
	int rc;

	v.dir = sibling_dir(source_dir, number);
	rc = identity_load(sys, v.dir, &v.identity, err);
	if (rc < 0) {
		free(v.dir);
		return rc;
	}
	v.live = open_in(sys, v.dir, "live");
	v.lock = open_in(sys, v.dir, "lock");
	*out = v;
	return 0;
}

static struct horizon look(struct spool_reader *r, struct view *v)
{
	struct horizon h = { 0 };

	if (v->live < 0)
		v->live = open_in(r->sys, v->dir, "live");
	if (v->lock < 0)
		v->lock = open_in(r->sys, v->dir, "lock");
	h.alive = v->lock >= 0 && r->sys->locked(r->sys, v->lock) == 1;
	h.known = v->live >= 0 && live_load(r->sys, v->live, &h.live) == 0;
	h.bounded =
		h.known && (h.alive || h.live.boot == r->sys->boot_id(r->sys));
	h.nothing = !h.known && h.alive;
	return h;
}

/* The nearest readable spool above number `after`; 0 when there is none. */
static int sibling_after(struct spool_reader *r, unsigned after,
			 struct view *out, struct err *err)
{
	struct siblings all;
	int rc = siblings_list(r->sys, r->source_dir, &all, err);
	int found = 0;

	for (size_t i = 0; rc == 0 && !found && i < all.n; i++) {
		unsigned n = all.at[i];

		if (n <= after || n == r->unreadable)
			continue;
		rc = view_open(r->sys, r->source_dir, n, out, err);
		if (rc == 0)
			found = 1;
		else if (rc == ERR_GONE)
			rc = 0;
		else if (rc == ERR_DAMAGED)
			r->unreadable = n;
	}
	siblings_release(&all);
	return rc < 0 ? rc : found;
}

/* -- the open segment ---------------------------------------------------- */

static void leave_segment(struct spool_reader *r)
{
	if (r->open) {
		r->sys->close(r->sys, r->pcap);
		r->sys->close(r->sys, r->idx);
	}
	r->open = false;
	r->pcap = r->idx = -1;
}

/* 0, or ERR_GONE when one of its files is not there. */
static int open_files(struct spool_reader *r, uint64_t first, int *pcap,
		      int *idx, struct err *err)
{
	char *pcap_path = segment_path(r->view.dir, first, "pcap");
	char *idx_path = segment_path(r->view.dir, first, "idx");

	/* Reaping takes the .pcap first: with it open the .idx was there. */
	*idx = r->sys->open(r->sys, idx_path, SYS_READ);
	*pcap = *idx < 0 ? *idx : r->sys->open(r->sys, pcap_path, SYS_READ);
	if (*pcap < 0 && *idx >= 0)
		r->sys->close(r->sys, *idx);
	if (*pcap < 0 && *pcap != -ENOENT)
		err_sys(err, -*pcap, "%s cannot be opened",
			*idx < 0 ? idx_path : pcap_path);
	else if (*pcap < 0)
		err_set(err, ERR_GONE, "%s is gone", pcap_path);
	free(pcap_path);
	free(idx_path);
	return *pcap < 0 ? err->code : 0;
}

static int enter_segment(struct spool_reader *r, uint64_t first,
			 struct err *err)
{
	int pcap, idx;

	if (open_files(r, first, &pcap, &idx, err) < 0)
		return err->code;
	leave_segment(r);
	r->open = true;
	r->pcap = pcap;
	r->idx = idx;
	r->first = first;
	r->seed = entry_seed(r->view.identity.id, first);
	r->pos = 0;
	r->checked_heads = r->reopened = r->limited = false;
	r->retired_ns = 0;
	r->walked_len = 0;
	r->block_n = 0;
	return 0;
}

/* The writer may have put another file in its place before its first batch. */
static void reopen_segment(struct spool_reader *r)
{
	int pcap, idx;

	r->reopened = true;
	if (open_files(r, r->first, &pcap, &idx, NULL) < 0)
		return;
	r->sys->close(r->sys, r->pcap);
	r->sys->close(r->sys, r->idx);
	r->pcap = pcap;
	r->idx = idx;
	r->block_n = 0;
}

/* Entry `i`, which lies below `limit`; what is read ahead does too. */
static int entry_at(struct spool_reader *r, uint32_t i, uint32_t limit,
		    struct idx_entry *e)
{
	if (i < r->block_at || i >= r->block_at + r->block_n) {
		uint32_t n = limit - i < BLOCK ? limit - i : BLOCK;
		ssize_t got = r->sys->pread(
			r->sys, r->idx, r->block, (size_t)n * IDX_ENTRY,
			IDX_HEADER + (uint64_t)i * IDX_ENTRY);

		r->block_at = i;
		r->block_n = got < 0 ? 0 : (uint32_t)(got / IDX_ENTRY);
		if (!r->block_n)
			return ERR_END;
	}
	return entry_parse(
		bytes_of(r->block + (i - r->block_at) * IDX_ENTRY, IDX_ENTRY),
		r->seed, e);
}

static int load_index(struct spool_reader *r, uint64_t first,
		      struct scan_index *x)
{
	char *path = segment_path(r->view.dir, first, "idx");
	int rc = scan_index_load(r->sys, path, &r->view.identity, first, x);

	free(path);
	return rc;
}

/* The first named segment at or above `from`, and whether one is below. */
struct place {
	bool found, below;
	uint64_t first;
};

static int find_segment(struct spool_reader *r, uint64_t from, struct place *p,
			struct err *err)
{
	struct scan_dir names;

	*p = (struct place){ 0 };
	if (scan_list(r->sys, r->view.dir, &names, err) < 0)
		return err->code;
	for (size_t i = 0; i < names.n_segments && !p->found; i++) {
		const struct scan_pair *s = &names.segments[i];

		if (!s->pcap || !s->idx)
			continue;
		if (s->number < from) {
			p->below = true;
		} else {
			p->found = true;
			p->first = s->number;
		}
	}
	scan_release(&names);
	return 0;
}

/* The named segment that `index` lies in: the last that begins at or below. */
static int segment_of(struct spool_reader *r, uint64_t index, uint64_t *first,
		      struct err *err)
{
	struct scan_dir names;
	bool any = false;

	if (scan_list(r->sys, r->view.dir, &names, err) < 0)
		return err->code;
	for (size_t i = 0; i < names.n_segments; i++) {
		const struct scan_pair *s = &names.segments[i];

		if (s->pcap && s->idx && s->number <= index &&
		    (!r->horizon.bounded ||
		     s->number <= r->horizon.live.segment)) {
			*first = s->number;
			any = true;
		}
	}
	scan_release(&names);
	return any;
}

/*
 * Not the newest: the header of the next one says how many entries count, all
 * of them, or fewer where it was given up after an error of the disk.
 */
static int limit_by_next(struct spool_reader *r, uint64_t next, struct err *err)
{
	char *path = segment_path(r->view.dir, next, "idx");
	int file = r->sys->open(r->sys, path, SYS_READ);
	struct scan_index here = { 0 };
	uint8_t raw[IDX_HEADER];
	struct idx_head head;
	struct scan_walk w;
	int rc = file < 0 ? file : 0;

	if (rc == 0)
		rc = sys_read_full(r->sys, file, raw, sizeof(raw), 0);
	if (file >= 0)
		r->sys->close(r->sys, file);
	free(path);
	/* Whatever is wrong with that one is said when it is its turn. */
	if (rc < 0 || idx_head_parse(bytes_of(raw, sizeof(raw)), &head) < 0 ||
	    head.first != next || head.before == r->limit)
		return 0;
	/* And that it is the next one, not a later one after a reaping. */
	if (load_index(r, r->first, &here) == 0 &&
	    scan_walk(r->sys, &here, -1, head.before, &w, err) == 0 &&
	    w.entries == head.before && w.next == next)
		r->limit = head.before;
	scan_index_release(&here);
	return 0;
}

static const struct live *live_of(const struct spool_reader *r)
{
	return r->horizon.known ? &r->horizon.live : NULL;
}

/* Nobody wrote since this boot: what is real in the last segment counts. */
static int limit_by_walk(struct spool_reader *r, struct err *err)
{
	struct scan_index x = { 0 };
	struct scan_walk w;
	uint64_t len = 0;
	int rc = r->sys->size(r->sys, r->idx, &len);

	if (rc == 0 && len == r->walked_len) {
		r->limit = r->walked;
		return 0;
	}
	if (rc == 0)
		rc = load_index(r, r->first, &x);
	if (rc == 0)
		rc = scan_last(r->sys, &x, r->pcap, live_of(r), &w, err);
	else
		rc = err_sys(err, -rc,
			     "%s: segment %020" PRIu64 " cannot be read",
			     r->view.dir, r->first);
	if (rc == 0) {
		r->walked_len = len;
		r->limit = r->walked = w.damaged ? x.n : w.entries;
	}
	scan_index_release(&x);
	return rc;
}

/* How many entries of the open segment may be given. */
static int find_limit(struct spool_reader *r, struct err *err)
{
	struct place p;
	uint64_t len = 0;

	if (r->limited)
		return 0;
	if (r->horizon.nothing ||
	    (r->horizon.bounded && r->first > r->horizon.live.segment)) {
		r->limit = 0;
		return 0;
	}
	if (r->horizon.bounded && r->first == r->horizon.live.segment) {
		r->limit = r->horizon.live.entries;
		return 0;
	}
	if (r->sys->size(r->sys, r->idx, &len) < 0 || len < IDX_HEADER)
		len = IDX_HEADER;
	r->limit = (uint32_t)((len - IDX_HEADER) / IDX_ENTRY);
	if (find_segment(r, r->first + 1, &p, err) < 0)
		return err->code;
	if (!p.found && !r->horizon.bounded)
		return limit_by_walk(r, err);
	r->limited = true;
	return p.found ? limit_by_next(r, p.first, err) : 0;
}

/* -- moving on ----------------------------------------------------------- */

static void owe_gap(struct spool_reader *r, uint64_t to, uint16_t reason)
{
	uint64_t now = r->sys->wall_ns(r->sys);

	if (to <= r->at)
		return;
	r->gap_due = true;
	r->gap_from = r->at;
	r->gap = (struct spool_note){ .is = SPOOL_IS_GAP,
				      .reason = reason,
				      .value = to,
				      .begin_ns = now,
				      .end_ns = now };
	r->at = to;
}

static void watch(struct spool_reader *r);

static void enter_view(struct spool_reader *r, struct view *v, uint64_t at)
{
	leave_segment(r);
	if (r->view.number)
		view_close(r->sys, &r->view);
	r->view = *v;
	r->at = at;
	r->begin_due = true;
	r->gap_due = false;
	r->last_look = false;
	r->bytes_known = false;
	watch(r);
}

static int oldest_in(struct spool_reader *r, struct view *v, uint64_t *first)
{
	struct view mine = r->view;
	struct place p;
	int rc;

	r->view = *v;
	rc = find_segment(r, 0, &p, NULL);
	r->view = mine;
	*first = p.found ? p.first : 0;
	return rc == 0 && p.found;
}

/* Into the next spool, if there is one and this one is surely exhausted. */
static int next_view(struct spool_reader *r, struct err *err)
{
	struct view v;
	uint64_t oldest;
	int rc = sibling_after(r, r->view.number, &v, err);

	if (rc < 0)
		return rc;
	if (!rc)
		return ERR_AGAIN;
	if (r->view.number && !r->last_look) {
		view_close(r->sys, &v);
		r->last_look = true;
		return 0;
	}
	oldest_in(r, &v, &oldest);
	enter_view(r, &v, oldest);
	return 0;
}

/*
 * Where no segment begins at `at`, one may hold it: a start has made another
 * one from parts of that which was read so far.
 */
static int enter_middle(struct spool_reader *r, struct err *err)
{
	struct idx_entry e;
	uint64_t first;
	int rc = segment_of(r, r->at, &first, err);

	if (rc <= 0 || (r->open && first == r->first))
		return rc < 0 ? rc : 0;
	if (enter_segment(r, first, err) < 0 || find_limit(r, err) < 0)
		return err->code == ERR_GONE ? 0 : err->code;
	while (r->pos < r->limit &&
	       (entry_at(r, r->pos, r->limit, &e) < 0 || e.index < r->at))
		r->pos++;
	return r->pos < r->limit && e.type != ENTRY_SEAL;
}

/* The segment that holds or follows `at` has to be opened. */
static int next_segment(struct spool_reader *r, struct err *err)
{
	struct place p;
	int rc;

	/* One without a batch has no next but that in its own place. */
	if (!(r->open && r->at == r->first) &&
	    enter_segment(r, r->at, err) == 0)
		return 0;
	if (err->code && err->code != ERR_GONE)
		return err->code;
	if (find_segment(r, r->at + (r->open && r->at == r->first), &p, err) <
	    0)
		return err->code;
	if (p.below && !(r->open && r->at == r->first)) {
		rc = enter_middle(r, err);
		if (rc)
			return rc < 0 ? rc : 0;
		*err = ERR_NONE;
	}
	if (!p.found || r->horizon.nothing ||
	    (r->horizon.bounded && p.first > r->horizon.live.segment))
		return next_view(r, err);
	owe_gap(r, p.first, p.below ? SPOOL_GAP_DAMAGE : SPOOL_GAP_RETENTION);
	if (enter_segment(r, p.first, err) == 0 || err->code == ERR_GONE)
		return 0; /* reaped meanwhile: the next call looks again */
	return err->code;
}

/* -- events -------------------------------------------------------------- */

static int give_begin(struct spool_reader *r, struct spool_event *ev)
{
	r->begin_due = false;
	ev->kind = SPOOL_EVENT_BEGIN;
	return 0;
}

static int give_gap(struct spool_reader *r, struct spool_event *ev)
{
	r->gap_due = false;
	ev->kind = SPOOL_EVENT_GAP;
	ev->at = r->gap_from;
	ev->note = r->gap;
	return 0;
}

static int give_entry(struct spool_reader *r, const struct idx_entry *e,
		      struct spool_event *ev)
{
	r->pos++;
	r->last_look = r->reopened = false;
	ev->at = e->index;
	if (e->type != ENTRY_BATCH) {
		ev->kind = SPOOL_EVENT_NOTE;
		note_of_entry(&ev->note, e);
		if (e->type == ENTRY_GAP)
			r->at = e->value;
		return 0;
	}
	ev->kind = SPOOL_EVENT_RUN;
	ev->run = (struct run){ .first = e->index,
				.count = e->packets,
				.crc = e->crc,
				.min_ns = e->begin_ns,
				.max_ns = e->end_ns,
				.chain = e->chain };
	ev->file = r->pcap;
	ev->offset = e->value;
	ev->length = e->length;
	r->at = e->index + e->packets;
	r->newest_ns = e->end_ns;
	return 0;
}

/* A header that is damaged costs no packet, but is not passed in silence. */
static int check_heads(struct spool_reader *r, struct err *err)
{
	const struct pcap_head head = { .linktype = r->view.identity.linktype,
					.snaplen = r->view.identity.snaplen };
	uint8_t want_room[PCAP_HEADER], got[IDX_HEADER];
	struct buf want = { .p = want_room, .cap = sizeof(want_room) };
	struct idx_head idx;
	const char *kind = NULL;
	char *path;

	r->checked_heads = true;
	put_pcap_head(&want, &head);
	if (sys_read_full(r->sys, r->pcap, got, PCAP_HEADER, 0) < 0 ||
	    memcmp(got, want.p, PCAP_HEADER) != 0)
		kind = "pcap";
	if (sys_read_full(r->sys, r->idx, got, IDX_HEADER, 0) < 0 ||
	    idx_head_parse(bytes_of(got, IDX_HEADER), &idx) < 0 ||
	    idx.first != r->first ||
	    memcmp(idx.id, r->view.identity.id, SPOOL_ID) != 0)
		kind = "idx";
	if (!kind)
		return 0;
	path = segment_path(r->view.dir, r->first, kind);
	err_set(err, ERR_DAMAGED,
		"%s has a damaged header; what follows it is read all the same",
		path);
	free(path);
	return err->code;
}

/* Entry `pos` is not what must stand there: say so, and find a way on. */
static int step_over(struct spool_reader *r, struct err *err)
{
	uint64_t from = r->at, entry = r->pos;
	struct idx_entry e;
	struct place p = { 0 };
	uint32_t i = r->pos;

	while (i < r->limit &&
	       (entry_at(r, i, r->limit, &e) < 0 || e.index < r->at))
		i++;
	if (i < r->limit)
		owe_gap(r, e.index, SPOOL_GAP_DAMAGE);
	else if (find_segment(r, r->first + 1, &p, err) < 0)
		return err->code;
	else if (p.found)
		owe_gap(r, p.first, SPOOL_GAP_DAMAGE);
	else if (r->horizon.bounded ||
		 (r->horizon.known && r->horizon.live.segment == r->first))
		owe_gap(r, r->horizon.live.head, SPOOL_GAP_DAMAGE);
	r->pos = i;
	return err_set(err, ERR_DAMAGED,
		       "%s/%020" PRIu64 ".idx is damaged at entry %" PRIu64
		       " (offset %" PRIu64 "): packets %" PRIu64 " to %" PRIu64
		       " cannot be read",
		       r->view.dir, r->first, entry,
		       IDX_HEADER + entry * IDX_ENTRY, from,
		       r->at == from ? from : r->at - 1);
}

/* An entry of the open segment.  1 when it gave nothing, and is to be asked
 * again. */
static int from_segment(struct spool_reader *r, struct spool_event *ev,
			struct err *err)
{
	struct idx_entry e;
	int rc;

	if (find_limit(r, err) < 0)
		return err->code;
	if (r->pos >= r->limit) {
		if (!r->limited)
			return ERR_AGAIN; /* its end is not known yet */
		rc = next_segment(r, err);
		return rc < 0 ? rc : 1;
	}
	if (!r->checked_heads && check_heads(r, err) < 0)
		return err->code;
	rc = entry_at(r, r->pos, r->limit, &e);
	if ((rc < 0 || e.index > r->at) && !r->reopened) {
		reopen_segment(r);
		rc = entry_at(r, r->pos, r->limit, &e);
	}
	/* The SEAL behind a GAP names the end before it. */
	if (rc == 0 && e.type == ENTRY_SEAL && e.index <= r->at) {
		r->pos++;
		r->limited = true;
		r->limit = r->pos;
		return 1;
	}
	if (rc < 0 || e.index != r->at)
		return step_over(r, err);
	return give_entry(r, &e, ev);
}

/* Take the wake-ups off the descriptor; were there any? */
static bool drain(struct spool_reader *r)
{
	char room[4096];
	bool any = false;

	while (r->notify >= 0 && read(r->notify, room, sizeof(room)) > 0)
		any = true;
	if (any)
		watch(r);
	return any;
}

int spool_reader_next(struct spool_reader *r, struct spool_event *ev,
		      struct err *err)
{
	int rc;

	*ev = (struct spool_event){ .file = -1 };
	*err = ERR_NONE;
	for (;;) {
		ev->identity = &r->view.identity;
		ev->at = r->at;
		if (r->begin_due)
			return give_begin(r, ev);
		if (r->gap_due)
			return give_gap(r, ev);
		if (r->view.number)
			r->horizon = look(r, &r->view);
		if (!r->view.number)
			rc = next_view(r, err);
		else if (r->open)
			rc = from_segment(r, ev, err);
		else
			rc = next_segment(r, err);
		if (rc == ERR_AGAIN && r->view.number) {
			/* Waiting here is right only in the newest spool. */
			*err = ERR_NONE;
			rc = next_view(r, err);
		}
		/* Only a look after the wake-ups were taken off is the last. */
		if (rc == ERR_AGAIN && !drain(r))
			return err_set(err, ERR_AGAIN, "%s: all was read",
				       r->source_dir);
		if (rc < 0 && rc != ERR_AGAIN)
			return rc;
		*err = ERR_NONE;
		if (ev->kind)
			return 0;
	}
}

int spool_reader_load(struct spool_reader *r, struct spool_event *ev,
		      struct buf *out, struct err *err)
{
	uint8_t *to = buf_reserve(out, ev->length);
	int rc = sys_read_full(r->sys, ev->file, to, ev->length, ev->offset);

	if (rc == 0 && crc32c(bytes_of(to, ev->length)) == ev->run.crc) {
		buf_added(out, ev->length);
		ev->run.records = bytes_of(to, ev->length);
		return 0;
	}
	r->at = ev->run.first;
	owe_gap(r, ev->run.first + ev->run.count, SPOOL_GAP_DAMAGE);
	if (rc < 0 && rc != -EIO)
		return err_sys(err, -rc,
			       "%s/%020" PRIu64 ".pcap cannot be read",
			       r->view.dir, r->first);
	return err_set(
		err, ERR_DAMAGED,
		"%s/%020" PRIu64 ".pcap is damaged between offsets %" PRIu64
		" and %" PRIu64 ": packets %" PRIu64 " to %" PRIu64
		" are not what was written",
		r->view.dir, r->first, ev->offset, ev->offset + ev->length,
		ev->run.first, ev->run.first + ev->run.count - 1);
}

/* -- seeking ------------------------------------------------------------- */

static bool is_zero(const uint8_t id[SPOOL_ID])
{
	static const uint8_t zero[SPOOL_ID];

	return memcmp(id, zero, SPOOL_ID) == 0;
}

/* The newest readable spool with that origin, or of all. */
static int newest_view(struct spool_reader *r, const uint8_t *origin,
		       struct view *out, struct err *err)
{
	struct siblings all;
	bool any = false;
	int rc = siblings_list(r->sys, r->source_dir, &all, err);

	for (size_t i = rc < 0 ? 0 : all.n; i > 0; i--) {
		struct view v;

		if (view_open(r->sys, r->source_dir, all.at[i - 1], &v, err) <
		    0)
			continue;
		any = true;
		if (!origin || is_zero(origin) ||
		    memcmp(v.identity.origin, origin, SPOOL_ID) == 0) {
			siblings_release(&all);
			*out = v;
			*err = ERR_NONE;
			return 0;
		}
		view_close(r->sys, &v);
	}
	siblings_release(&all);
	if (rc < 0 || (!any && err->code == ERR_DAMAGED))
		return err->code;
	return any ? err_set(err, ERR_UNKNOWN, "%s: no spool of that origin",
			     r->source_dir)
		   : err_set(err, ERR_AGAIN, "%s: there is no spool yet",
			     r->source_dir);
}

/* A reader of its own for looking around without moving the first. */
static void scout_open(struct spool_reader *r, struct view *v,
		       struct spool_reader *scout)
{
	*scout = (struct spool_reader){ .sys = r->sys,
					.source_dir = r->source_dir,
					.view = *v,
					.pcap = -1,
					.idx = -1,
					.notify = -1 };
	scout->horizon = look(scout, &scout->view);
}

/* One past the last packet that any valid entry speaks of. */
static uint64_t last_index(const struct scan_index *x)
{
	uint64_t last = x->first;
	struct idx_entry e;

	for (uint32_t i = 0; i < x->n; i++)
		if (scan_entry(x, i, &e) == 0 && e.type == ENTRY_BATCH &&
		    e.index + e.packets > last)
			last = e.index + e.packets;
	return last;
}

/* First and last index that the spool gives now. */
static int bounds(struct spool_reader *scout, uint64_t *oldest, uint64_t *head,
		  uint64_t *dropped, struct err *err)
{
	const struct horizon *h = &scout->horizon;
	struct scan_index x = { 0 };
	struct scan_walk w;
	struct scan_dir names;
	uint64_t last;
	bool any = false;

	*oldest = *head = *dropped = last = 0;
	if (scan_list(scout->sys, scout->view.dir, &names, err) < 0)
		return err->code;
	for (size_t i = 0; i < names.n_segments; i++) {
		if (!names.segments[i].pcap || !names.segments[i].idx)
			continue;
		if (!any)
			*oldest = names.segments[i].number;
		any = true;
		last = names.segments[i].number;
	}
	scan_release(&names);
	*head = last;
	if (h->bounded) {
		*head = h->live.head;
		*dropped = h->live.dropped;
		if (!any)
			*oldest = *head;
		return 0;
	}
	if (h->nothing || !any || enter_segment(scout, last, err) < 0)
		return 0;
	if (load_index(scout, last, &x) == 0 &&
	    scan_last(scout->sys, &x, scout->pcap, live_of(scout), &w, err) ==
		    0) {
		*head = w.damaged ? last_index(&x) : w.next;
		if (w.damaged && w.durable > *head)
			*head = w.durable;
		*dropped = (x.headed ? x.head.dropped : 0) + w.dropped;
	}
	scan_index_release(&x);
	return 0;
}

/* Put the scout on the first entry that does not lie wholly before index. */
static int place_scout(struct spool_reader *scout, uint64_t index,
		       struct err *err)
{
	struct idx_entry e;
	uint64_t first;
	int rc = segment_of(scout, index, &first, err);

	scout->at = index;
	if (rc <= 0)
		return rc;
	rc = enter_segment(scout, first, err);
	if (rc == ERR_GONE)
		return 0;
	if (rc < 0 || find_limit(scout, err) < 0)
		return err->code;
	scout->at = first;
	while (scout->pos < scout->limit) {
		if (entry_at(scout, scout->pos, scout->limit, &e) == 0) {
			uint64_t behind = e.type == ENTRY_BATCH
						  ? e.index + e.packets
					  : e.type == ENTRY_GAP ? e.value
								: e.index;

			if (e.type == ENTRY_SEAL || behind > index ||
			    (e.index >= index && e.type != ENTRY_BATCH))
				break;
			scout->at = behind;
		}
		scout->pos++;
	}
	if (scout->pos == scout->limit)
		scout->at = index;
	return 0;
}

/* Take the scout's place; the next event is a BEGIN there. */
static void follow_scout(struct spool_reader *r, struct spool_reader *scout)
{
	enter_view(r, &scout->view, scout->at);
	r->horizon = scout->horizon;
	if (!scout->open)
		return;
	r->open = true;
	r->pcap = scout->pcap;
	r->idx = scout->idx;
	r->first = scout->first;
	r->seed = scout->seed;
	r->pos = scout->pos;
	r->checked_heads = r->reopened = false;
	r->retired_ns = 0;
	r->limited = scout->limited;
	r->limit = scout->limit;
	r->walked_len = scout->walked_len;
	r->walked = scout->walked;
	r->block_n = 0;
}

static void scout_close(struct spool_reader *scout)
{
	leave_segment(scout);
	view_close(scout->sys, &scout->view);
}

static int seek_index(struct spool_reader *r, struct view *v,
		      const struct spool_seek *to, struct err *err)
{
	struct spool_reader scout;
	uint64_t oldest, head, dropped;
	uint64_t index = to->index;
	int rc;

	scout_open(r, v, &scout);
	rc = bounds(&scout, &oldest, &head, &dropped, err);
	leave_segment(&scout);
	if (rc == 0 && to->place == SPOOL_LIVE)
		index = head;
	if (rc == 0 && index > head)
		rc = err_set(err, ERR_GONE,
			     "packet %" PRIu64
			     " is ahead of %s, which ends at %" PRIu64,
			     index, scout.view.dir, head);
	if (rc == 0)
		rc = place_scout(&scout, index, err);
	if (rc < 0) {
		scout_close(&scout);
		return rc;
	}
	/* Notes that stand at the head are history to a live reader. */
	if (to->place == SPOOL_LIVE && scout.open && scout.at == head)
		scout.pos = scout.limit;
	follow_scout(r, &scout);
	return 0;
}

static int seek_oldest(struct spool_reader *r, struct err *err)
{
	struct view v;
	uint64_t oldest;
	int rc = sibling_after(r, 0, &v, err);

	if (rc < 0)
		return rc;
	if (!rc) {
		leave_segment(r);
		view_close(r->sys, &r->view);
		return 0;
	}
	oldest_in(r, &v, &oldest);
	enter_view(r, &v, oldest);
	return 0;
}

/* Latest time in a segment, by its last batch; 0 when it has none. */
static uint64_t latest_in(struct spool_reader *scout, uint64_t first)
{
	struct scan_index x = { 0 };
	struct idx_entry e;
	uint64_t latest = 0;

	if (load_index(scout, first, &x) == 0)
		for (uint32_t i = x.n; i > 0 && !latest; i--)
			if (scan_entry(&x, i - 1, &e) == 0 &&
			    e.type == ENTRY_BATCH)
				latest = e.end_ns;
	scan_index_release(&x);
	return latest;
}

/* The first run in the scout's spool with a latest time of at least ns. */
static int find_time(struct spool_reader *scout, uint64_t ns, uint64_t *index,
		     struct err *err)
{
	struct scan_dir names;
	struct scan_index x = { 0 };
	struct idx_entry e;
	size_t low = 0, high;
	int found = 0;

	if (scan_list(scout->sys, scout->view.dir, &names, err) < 0)
		return err->code;
	high = names.n_segments;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (latest_in(scout, names.segments[mid].number) >= ns)
			high = mid;
		else
			low = mid + 1;
	}
	for (; low < names.n_segments && !found; low++) {
		if (load_index(scout, names.segments[low].number, &x) < 0)
			continue;
		for (uint32_t i = 0; i < x.n && !found; i++)
			if (scan_entry(&x, i, &e) == 0 &&
			    e.type == ENTRY_BATCH && e.end_ns >= ns) {
				*index = e.index;
				found = 1;
			}
	}
	scan_index_release(&x);
	scan_release(&names);
	return found;
}

static int seek_time(struct spool_reader *r, uint64_t ns, struct err *err)
{
	struct siblings all;
	struct spool_seek to = { .place = SPOOL_INDEX };
	struct view v;
	int rc = siblings_list(r->sys, r->source_dir, &all, err);

	for (size_t i = 0; rc == 0 && i < all.n; i++) {
		struct spool_reader scout;
		uint64_t oldest, head, dropped;

		if (view_open(r->sys, r->source_dir, all.at[i], &v, NULL) < 0)
			continue;
		scout_open(r, &v, &scout);
		rc = find_time(&scout, ns, &to.index, err);
		/* What is not durable yet is not found yet. */
		if (rc == 1 &&
		    (bounds(&scout, &oldest, &head, &dropped, err) < 0 ||
		     to.index >= head))
			rc = 0;
		leave_segment(&scout);
		if (rc == 1) {
			rc = seek_index(r, &scout.view, &to, err);
			siblings_release(&all);
			return rc;
		}
		scout_close(&scout);
	}
	siblings_release(&all);
	if (rc < 0)
		return rc;
	to.place = SPOOL_LIVE;
	return spool_reader_seek(r, &to, err);
}

int spool_reader_seek(struct spool_reader *r, const struct spool_seek *to,
		      struct err *err)
{
	struct view v;

	*err = ERR_NONE;
	r->unreadable = 0;
	if (to->place == SPOOL_OLDEST)
		return seek_oldest(r, err);
	if (to->place == SPOOL_TIME)
		return seek_time(r, to->time_ns, err);
	if (newest_view(r, to->place == SPOOL_INDEX ? to->origin : NULL, &v,
			err) < 0)
		return err->code;
	return seek_index(r, &v, to, err);
}

int spool_reader_chain(struct spool_reader *r, const uint8_t origin[SPOOL_ID],
		       uint64_t index, uint64_t *chain, struct err *err)
{
	struct spool_reader scout;
	struct scan_index x = { 0 };
	struct idx_entry e;
	struct view v;
	uint64_t first = 0;
	int rc;

	*err = ERR_NONE;
	if (newest_view(r, origin, &v, err) < 0)
		return err->code;
	scout_open(r, &v, &scout);
	/* Behind its last batch a segment knows the chain as well as the next
	 * one does, so the one that ends here is asked first. */
	rc = segment_of(&scout, index, &first, err);
	if (rc > 0 && load_index(&scout, first, &x) == 0) {
		rc = x.headed && first == index ? 0 : ERR_GONE;
		*chain = x.head.chain;
		for (uint32_t i = 0; rc < 0 && i < x.n; i++)
			if (scan_entry(&x, i, &e) == 0 &&
			    e.type == ENTRY_BATCH &&
			    e.index + e.packets == index) {
				*chain = e.chain;
				rc = 0;
			}
	} else if (rc >= 0) {
		rc = ERR_GONE;
	}
	if (rc == 0 && scout.horizon.bounded && index > scout.horizon.live.head)
		rc = ERR_GONE;
	if (rc == ERR_GONE)
		err_set(err, ERR_GONE,
			"%s has no batch that ends at packet %" PRIu64,
			scout.view.dir, index);
	scan_index_release(&x);
	scout_close(&scout);
	return rc;
}

/* -- status -------------------------------------------------------------- */

static uint64_t bytes_in(struct spool_reader *r, const char *dir)
{
	struct spool_identity id = { 0 };
	struct scan_dir names;
	struct scan_ends ends;
	uint64_t bytes = 0;

	if (scan_list(r->sys, dir, &names, NULL) < 0)
		return 0;
	for (size_t i = 0; i < names.n_segments; i++)
		if (scan_ends(r->sys, dir, &id, names.segments[i].number,
			      &ends) == 0)
			bytes += ends.pcap_len + ends.idx_len;
	scan_release(&names);
	return bytes;
}

/* Costs two opened files a segment, so it is not asked at every call. */
static uint64_t bytes_of_source(struct spool_reader *r)
{
	uint64_t now = r->sys->mono_ns(r->sys);
	struct siblings all;

	if (r->bytes_known && now - r->bytes_ns < bytes_every_ns)
		return r->bytes;
	r->bytes = 0;
	if (siblings_list(r->sys, r->source_dir, &all, NULL) == 0)
		for (size_t i = 0; i < all.n; i++) {
			char *dir = sibling_dir(r->source_dir, all.at[i]);

			r->bytes += bytes_in(r, dir);
			free(dir);
		}
	siblings_release(&all);
	r->bytes_known = true;
	r->bytes_ns = now;
	return r->bytes;
}

/* What was removed long ago is held no longer: its blocks count nowhere. */
static void let_go_of_retired(struct spool_reader *r)
{
	uint64_t now = r->sys->mono_ns(r->sys);
	char *path;
	int file;

	if (!r->open)
		return;
	path = segment_path(r->view.dir, r->first, "idx");
	file = r->sys->open(r->sys, path, SYS_READ);
	free(path);
	if (file >= 0)
		r->sys->close(r->sys, file);
	if (file != -ENOENT)
		r->retired_ns = 0;
	else if (!r->retired_ns)
		r->retired_ns = now ? now : 1;
	else if (now - r->retired_ns >= SPOOL_RETIRED_NS)
		leave_segment(r);
}

int spool_reader_status(struct spool_reader *r,
			struct spool_reader_status *status, struct err *err)
{
	struct spool_reader scout;
	struct view v;
	int rc;

	*err = ERR_NONE;
	let_go_of_retired(r);
	*status = (struct spool_reader_status){ .position = r->at,
						.newest_ns = r->newest_ns };
	rc = newest_view(r, NULL, &v, err);
	if (rc == ERR_AGAIN) {
		*err = ERR_NONE;
		return 0;
	}
	if (rc < 0)
		return rc;
	scout_open(r, &v, &scout);
	status->exists = true;
	status->identity = v.identity;
	status->writer_alive = scout.horizon.alive;
	rc = bounds(&scout, &status->oldest, &status->head, &status->dropped,
		    err);
	status->bytes = bytes_of_source(r);
	scout_close(&scout);
	return rc;
}

/* -- opening, waiting ---------------------------------------------------- */

static void watch(struct spool_reader *r)
{
	char *parent;

	if (r->notify < 0)
		return;
	if (r->view.number != r->watched && r->watch_dir >= 0) {
		inotify_rm_watch(r->notify, r->watch_dir);
		r->watch_dir = -1;
	}
	r->watched = r->view.number;
	if (r->view.number && r->watch_dir < 0)
		r->watch_dir =
			inotify_add_watch(r->notify, r->view.dir,
					  IN_MODIFY | IN_CREATE | IN_MOVED_TO);
	if (r->watch_parent >= 0)
		return;
	parent = source_parent(r->source_dir);
	r->watch_parent =
		inotify_add_watch(r->notify, parent, IN_CREATE | IN_MOVED_TO);
	free(parent);
}

/*
 * Made when somebody asks: most readers are never waited on, and a user may
 * have only some 128 of these.  What grew before is not missed: taking a watch
 * away leaves an event, so that the descriptor begins readable.
 */
int spool_reader_fd(struct spool_reader *r)
{
	/* Only the machine's own files can be watched. */
	if (r->notify >= 0 || r->sys != sys_host())
		return r->notify;
	r->notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (r->notify < 0)
		return -1;
	inotify_rm_watch(r->notify,
			 inotify_add_watch(r->notify, "/", IN_DELETE_SELF));
	watch(r);
	return r->notify;
}

struct spool_reader *spool_reader_open(struct sys *sys, const char *source_dir,
				       struct err *err)
{
	struct spool_reader *r = mem_alloc(sizeof(*r));
	struct siblings all;

	r->sys = sys;
	r->source_dir = mem_text(source_dir);
	r->view.live = r->view.lock = r->pcap = r->idx = -1;
	r->notify = r->watch_dir = r->watch_parent = -1;
	if (siblings_list(sys, source_dir, &all, err) < 0) {
		spool_reader_close(r);
		return NULL;
	}
	siblings_release(&all);
	return r;
}

void spool_reader_close(struct spool_reader *r)
{
	if (!r)
		return;
	leave_segment(r);
	view_close(r->sys, &r->view);
	if (r->notify >= 0)
		close(r->notify);
	free(r->source_dir);
	free(r);
}
