/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recover.c - what a crash left, set right before the writer goes on.
 *
 * doc/spool-format.md, "After a crash", step by step.  Doing it twice changes
 * nothing, and a crash inside it only repeats it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "codec/record.h"
#include "engine/spool/spool_priv.h"

struct recovery {
	struct sys *sys;
	const char *dir;
	const struct spool_identity *id;
	unsigned sibling;
	struct scan_dir names;
	bool has_live;
	struct live live;
	bool mended; /* the last segment was made again */
	struct recovered *out;
};

/* -- what the disk really has --------------------------------------------- */

/*
 * Write again what is there, in place.  After a sync that failed the pages may
 * look clean and be on no disk; written anew, the next sync tells the truth.
 */
static int write_again(struct recovery *r, int file, uint64_t from, uint64_t to)
{
	enum { CHUNK = 1 << 20 };
	struct buf b = { 0 };
	int rc = 0;

	for (uint64_t at = from; rc == 0 && at < to; at += CHUNK) {
		size_t len = to - at < CHUNK ? (size_t)(to - at) : CHUNK;

		rc = sys_read_full(r->sys, file, buf_reserve(&b, CHUNK), len,
				   at);
		if (rc == 0)
			rc = sys_write_full(r->sys, file, b.p, len, at);
	}
	buf_release(&b);
	return rc;
}

/* How many entries of the last segment are surely on the disk. */
static uint32_t surely_durable(const struct recovery *r, uint64_t first)
{
	if (!r->has_live)
		return 0;
	/* Of another boot: what can be read now came from the disk. */
	if (r->live.boot != r->sys->boot_id(r->sys))
		return UINT32_MAX;
	return r->live.segment == first ? r->live.entries : 0;
}

/*
 * Before a spare gets its name: what a writer of this boot left in it may be
 * on no disk, and a name without content would stop the next start.
 */
static int make_durable(struct recovery *r, uint64_t spare, const char *kind,
			struct err *err)
{
	char *path = spare_path(r->dir, spare, kind);
	int file = r->sys->open(r->sys, path, SYS_READ | SYS_WRITE);
	uint64_t size;
	int rc = file < 0 ? file : r->sys->size(r->sys, file, &size);

	if (rc == 0)
		rc = write_again(r, file, 0, size);
	if (rc == 0)
		rc = r->sys->sync(r->sys, file);
	if (rc < 0)
		err_disk(err, -rc, "%s cannot be made durable", path);
	if (file >= 0)
		r->sys->close(r->sys, file);
	free(path);
	return rc < 0 ? err->code : 0;
}

/* -- names --------------------------------------------------------------- */

static int sync_names(struct recovery *r, struct err *err)
{
	int rc = r->sys->sync_dir(r->sys, r->dir);

	return rc < 0 ? err_disk(err, -rc, "%s cannot be synced", r->dir) : 0;
}

static int move(struct recovery *r, uint64_t spare, uint64_t first,
		const char *kind, struct err *err)
{
	char *from = spare_path(r->dir, spare, kind);
	char *to = segment_path(r->dir, first, kind);
	int rc = r->sys->rename(r->sys, from, to);

	if (rc < 0)
		err_disk(err, -rc, "%s cannot be renamed to %s", from, to);
	free(from);
	free(to);
	return rc < 0 ? err->code : sync_names(r, err);
}

static int drop(struct recovery *r, char *path, struct err *err)
{
	int rc = r->sys->unlink(r->sys, path);

	if (rc < 0 && rc != -ENOENT)
		err_sys(err, -rc, "%s cannot be removed", path);
	else
		rc = 0;
	free(path);
	return rc < 0 ? err->code : 0;
}

static int drop_spare(struct recovery *r, const struct scan_pair *spare,
		      struct err *err)
{
	if (spare->pcap &&
	    drop(r, spare_path(r->dir, spare->number, "pcap"), err) < 0)
		return err->code;
	if (spare->idx &&
	    drop(r, spare_path(r->dir, spare->number, "idx"), err) < 0)
		return err->code;
	return 0;
}

static int list_again(struct recovery *r, struct err *err)
{
	scan_release(&r->names);
	return scan_list(r->sys, r->dir, &r->names, err);
}

static int rename_old(struct recovery *r, uint64_t number, const char *kind,
		      struct err *err)
{
	char *from = old_spare_path(r->dir, number, kind);
	char *to = spare_path(r->dir, number, kind);
	int rc = r->sys->rename(r->sys, from, to);

	if (rc < 0)
		err_disk(err, -rc, "%s cannot be renamed to %s", from, to);
	/* A crash may have left both names: then renaming does nothing. */
	if (rc == 0 && (rc = r->sys->unlink(r->sys, from)) < 0 && rc != -ENOENT)
		err_sys(err, -rc, "%s cannot be removed", from);
	free(from);
	free(to);
	return rc < 0 && rc != -ENOENT ? err->code : 0;
}

/* Spares had names without a dot once; one of them may be the next segment. */
static int adopt_old_spares(struct recovery *r, struct err *err)
{
	for (size_t i = 0; i < r->names.n_old; i++) {
		const struct scan_pair *old = &r->names.old[i];

		if ((old->pcap &&
		     rename_old(r, old->number, "pcap", err) < 0) ||
		    (old->idx && rename_old(r, old->number, "idx", err) < 0))
			return err->code;
	}
	if (!r->names.n_old)
		return 0;
	if (sync_names(r, err) < 0)
		return err->code;
	return list_again(r, err);
}

static struct scan_pair *segment_at(struct recovery *r, uint64_t first)
{
	for (size_t i = 0; i < r->names.n_segments; i++)
		if (r->names.segments[i].number == first)
			return &r->names.segments[i];
	return NULL;
}

/*
 * Does a segment of this first index follow on what is named already?  It does
 * behind the end of the last one, at a batch boundary inside it (the last one
 * was given up there), and in place of it (it was given up before its first
 * batch).
 */
static int follows(struct recovery *r, const struct scan_index *x,
		   struct err *err)
{
	const struct scan_pair *last =
		r->names.n_segments
			? &r->names.segments[r->names.n_segments - 1]
			: NULL;
	struct scan_index before = { 0 };
	struct scan_walk w;
	char *path;
	int rc;

	if (!last || last->number == x->first)
		return 1;
	if (last->number > x->first)
		return 0;
	path = segment_path(r->dir, last->number, "idx");
	rc = scan_index_load(r->sys, path, r->id, last->number, &before);
	if (rc == 0)
		rc = scan_walk(r->sys, &before, -1, x->head.before, &w, err);
	else if (rc != -ENOENT)
		rc = err_sys(err, -rc, "%s cannot be read", path);
	else
		rc = 0;
	if (rc == 0)
		rc = before.n && w.entries == x->head.before &&
		     w.next == x->first;
	scan_index_release(&before);
	free(path);
	return rc;
}

/* Has a writer made something durable in this spare? */
static int holds_something(struct recovery *r, const struct scan_pair *spare,
			   const struct scan_index *x, struct err *err)
{
	char *path = spare_path(r->dir, spare->number, "pcap");
	int pcap = r->sys->open(r->sys, path, SYS_READ);
	struct scan_walk w = { 0 };
	int rc;

	if (pcap < 0)
		rc = err_sys(err, -pcap, "%s cannot be opened", path);
	else
		rc = scan_walk(r->sys, x, pcap, UINT32_MAX, &w, err);
	if (pcap >= 0)
		r->sys->close(r->sys, pcap);
	free(path);
	return rc < 0 ? rc : w.entries > 0;
}

static void note_segment(struct recovery *r, uint64_t first)
{
	size_t n = r->names.n_segments;
	struct scan_pair *known = segment_at(r, first);

	if (known) {
		known->pcap = known->idx = true;
		return;
	}
	r->names.segments =
		mem_grow(r->names.segments, (n + 1) * sizeof(struct scan_pair));
	r->names.segments[n] = (struct scan_pair){ first, true, true };
	r->names.n_segments = n + 1;
}

/*
 * Has its place been taken by a named segment that others follow already?  Then
 * it was given up before anything in it was durable, and the disk would not
 * even let it be removed.
 */
static bool is_superseded(struct recovery *r, uint64_t first)
{
	const struct scan_pair *named = segment_at(r, first);

	return named && named->pcap && named->idx &&
	       named < &r->names.segments[r->names.n_segments - 1];
}

/* A spare with both of its files: the next segment, or nothing. */
static int settle_pair(struct recovery *r, const struct scan_pair *spare,
		       const struct scan_index *x, struct err *err)
{
	int held = x->headed ? holds_something(r, spare, x, err) : 0;
	int rc;

	if (held < 0)
		return held;
	if (!held || is_superseded(r, x->first))
		return drop_spare(r, spare, err);
	rc = follows(r, x, err);
	if (rc < 0)
		return rc;
	if (!rc) {
		char *path = spare_path(r->dir, spare->number, "idx");

		err_set(err, ERR_DAMAGED,
			"%s holds packets from %" PRIu64 " on, but the segment "
			"before it is missing; weir recover shows and repairs",
			path, x->first);
		free(path);
		return err->code;
	}
	if (surely_durable(r, x->first) != UINT32_MAX &&
	    (make_durable(r, spare->number, "pcap", err) < 0 ||
	     make_durable(r, spare->number, "idx", err) < 0))
		return err->code;
	/* Where a crash left both names of a file, renaming does nothing. */
	if (move(r, spare->number, x->first, "pcap", err) < 0 ||
	    move(r, spare->number, x->first, "idx", err) < 0 ||
	    drop_spare(r, spare, err) < 0)
		return err->code;
	note_segment(r, x->first);
	return 0;
}

/* Only the .pcap got its name, or is new under an old one. */
static int settle_idx(struct recovery *r, const struct scan_pair *spare,
		      const struct scan_index *x, struct err *err)
{
	struct scan_pair *to = x->headed ? segment_at(r, x->first) : NULL;

	if (!to || !to->pcap)
		return drop_spare(r, spare, err);
	to->idx = true;
	if (move(r, spare->number, x->first, "idx", err) < 0)
		return err->code;
	return drop_spare(r, spare, err);
}

/* Only the .idx got its name. */
static int settle_pcap(struct recovery *r, const struct scan_pair *spare,
		       struct err *err)
{
	size_t n = r->names.n_segments;
	struct scan_pair *to = n ? &r->names.segments[n - 1] : NULL;

	if (!to || !to->idx || to->pcap)
		return drop_spare(r, spare, err);
	to->pcap = true;
	if (move(r, spare->number, to->number, "pcap", err) < 0)
		return err->code;
	return drop_spare(r, spare, err);
}

/* A spare by the first index that its header claims; 0 where it has none. */
struct claim {
	const struct scan_pair *spare;
	bool headed;
	uint64_t first;
};

static int by_first(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;

	if (x->first != y->first)
		return x->first > y->first ? 1 : -1;
	return (x->spare->number < y->spare->number) -
	       (x->spare->number > y->spare->number);
}

static int read_claim(struct recovery *r, const struct scan_pair *spare,
		      struct scan_index *x, struct err *err)
{
	char *path = spare_path(r->dir, spare->number, "idx");
	int rc = scan_index_load_spare(r->sys, path, r->id, x);

	if (rc < 0)
		err_sys(err, -rc, "%s cannot be read", path);
	free(path);
	return rc < 0 ? err->code : 0;
}

static int settle_claims(struct recovery *r, struct claim *claims, size_t n,
			 struct err *err)
{
	struct scan_index x = { 0 };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		const struct claim *c = &claims[i];
		bool twice = i && c->headed && claims[i - 1].headed &&
			     claims[i - 1].first == c->first;

		rc = read_claim(r, c->spare, &x, err);
		if (rc < 0)
			break;
		/* Of two for one place the later one counts; the other was
		 * given up before anything in it was durable. */
		if (twice && segment_at(r, c->first))
			rc = drop_spare(r, c->spare, err);
		else if (c->spare->pcap)
			rc = settle_pair(r, c->spare, &x, err);
		else
			rc = settle_idx(r, c->spare, &x, err);
	}
	scan_index_release(&x);
	return rc;
}

/* Oldest packets first: several may have begun and have no name yet. */
static int settle_spares(struct recovery *r, struct err *err)
{
	size_t all = r->names.n_spares, n = 0;
	struct claim *claims = mem_array(all, sizeof(*claims));
	struct scan_index x = { 0 };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < all; i++) {
		const struct scan_pair *spare = &r->names.spares[i];

		r->out->spare = spare->number + 1;
		if (!spare->idx) {
			rc = settle_pcap(r, spare, err);
			continue;
		}
		rc = read_claim(r, spare, &x, err);
		claims[n++] = (struct claim){ spare, x.headed, x.first };
	}
	scan_index_release(&x);
	if (n)
		qsort(claims, n, sizeof(*claims), by_first);
	if (rc == 0)
		rc = settle_claims(r, claims, n, err);
	free(claims);
	return rc == 0 && all ? sync_names(r, err) : rc;
}

/* Retention removes .pcap before .idx, and always the oldest. */
static int finish_reaping(struct recovery *r, struct err *err)
{
	size_t gone = 0;

	while (gone + 1 < r->names.n_segments &&
	       !r->names.segments[gone].pcap) {
		if (drop(r,
			 segment_path(r->dir, r->names.segments[gone].number,
				      "idx"),
			 err) < 0)
			return err->code;
		gone++;
	}
	if (!gone)
		return 0;
	r->names.n_segments -= gone;
	memmove(r->names.segments, r->names.segments + gone,
		r->names.n_segments * sizeof(*r->names.segments));
	return 0;
}

/* -- joins --------------------------------------------------------------- */

static int damaged(struct recovery *r, uint64_t first, const char *kind,
		   struct err *err, const char *what)
{
	char *path = segment_path(r->dir, first, kind);

	err_set(err, ERR_DAMAGED, "%s %s; weir recover shows and repairs", path,
		what);
	free(path);
	return err->code;
}

/* The ends of one that was given up: its successor says what counts. */
static int walk_given_up(struct recovery *r, uint64_t first, uint32_t entries,
			 struct scan_ends *ends, struct err *err)
{
	struct scan_index x = { 0 };
	struct scan_walk w = { 0 };
	char *path = segment_path(r->dir, first, "idx");
	int rc = scan_index_load(r->sys, path, r->id, first, &x);

	if (rc < 0)
		rc = err_sys(err, -rc, "%s cannot be read", path);
	else
		rc = scan_walk(r->sys, &x, -1, entries, &w, err);
	if (rc == 0 && w.entries != entries)
		rc = damaged(
			r, first, "idx", err,
			"has lost entries that the next segment counts on");
	ends->end = w.end;
	ends->next = w.next;
	ends->gap = w.next != w.end;
	ends->chain = w.chain;
	ends->sealed = w.sealed;
	ends->sealed_ns = x.headed ? x.head.created_ns : 0;
	scan_index_release(&x);
	free(path);
	return rc;
}

static int check_join(struct recovery *r, uint64_t first,
		      const struct scan_ends *a, uint64_t next,
		      const struct scan_ends *b, struct err *err)
{
	char *from, *to;

	if (a->next == next && (a->gap || a->chain == b->head.chain))
		return 0;
	from = segment_path(r->dir, first, "pcap");
	to = segment_path(r->dir, next, "pcap");
	if (a->next < next)
		err_set(err, ERR_DAMAGED,
			"packets %" PRIu64 " to %" PRIu64 " are missing: no "
			"%020" PRIu64 ".pcap between %s and %s; weir recover "
			"shows and repairs",
			a->next, next - 1, a->next, from, to);
	else
		err_set(err, ERR_DAMAGED,
			"%s does not join %s, which ends at %" PRIu64
			"%s; weir recover shows and repairs",
			to, from, a->next,
			a->next == next ? " with another chain value" : "");
	free(from);
	free(to);
	return err->code;
}

static int load_ends(struct recovery *r, const struct scan_pair *seg,
		     struct scan_ends *ends, struct err *err)
{
	int rc;

	if (!seg->pcap)
		return damaged(r, seg->number, "pcap", err, "is missing");
	if (!seg->idx)
		return damaged(r, seg->number, "idx", err, "is missing");
	rc = scan_ends(r->sys, r->dir, r->id, seg->number, ends);
	if (rc < 0)
		return err_sys(err, -rc,
			       "%s: segment %020" PRIu64 " cannot be read",
			       r->dir, seg->number);
	if (!ends->headed)
		return damaged(r, seg->number, "idx", err,
			       "has a damaged header, or is of another spool");
	return 0;
}

static void keep(struct recovery *r, uint64_t first,
		 const struct scan_ends *ends)
{
	struct recovered *out = r->out;

	out->kept[out->n_kept++] = (struct kept){
		.sibling = r->sibling,
		.first = first,
		.end = ends->end,
		.next = ends->next,
		.bytes = ends->pcap_len + ends->idx_len,
		.sealed_ns = ends->sealed_ns,
	};
}

/*
 * A seal counts when the next segment counts on it: the commit that wrote it
 * may have failed, and the segment been given up.
 */
static bool ends_sealed(const struct scan_ends *ends, uint32_t entries)
{
	return ends->sealed &&
	       ends->idx_len == IDX_HEADER + (uint64_t)entries * IDX_ENTRY;
}

/* Walk over all segments; the last one's ends are left in `last`. */
static int check_joins(struct recovery *r, struct scan_ends *last,
		       struct err *err)
{
	const struct scan_pair *seg = r->names.segments;
	struct scan_ends ends;

	if (load_ends(r, &seg[0], last, err) < 0)
		return err->code;
	for (size_t i = 1; i < r->names.n_segments; i++) {
		if (load_ends(r, &seg[i], &ends, err) < 0)
			return err->code;
		if (!ends_sealed(last, ends.head.before) &&
		    walk_given_up(r, seg[i - 1].number, ends.head.before, last,
				  err) < 0)
			return err->code;
		if (check_join(r, seg[i - 1].number, last, seg[i].number, &ends,
			       err) < 0)
			return err->code;
		keep(r, seg[i - 1].number, last);
		*last = ends;
	}
	return 0;
}

/* -- tail ---------------------------------------------------------------- */

/*
 * The .pcap's own header: the cut may have gone through it, or the crash may
 * have come between the two files.  What it must be is known.
 */
static int restore_head(struct recovery *r, int pcap)
{
	struct pcap_head head = { .linktype = r->id->linktype,
				  .snaplen = r->id->snaplen };
	uint8_t room[PCAP_HEADER], there[PCAP_HEADER];
	struct buf b = { .p = room, .cap = sizeof(room) };

	put_pcap_head(&b, &head);
	if (sys_read_full(r->sys, pcap, there, sizeof(there), 0) == 0 &&
	    memcmp(there, room, sizeof(room)) == 0)
		return 0;
	return sys_write_full(r->sys, pcap, b.p, b.len, 0);
}

/* Cut a file to `size` and make all of it durable. */
static int cut(struct recovery *r, int file, uint64_t size, uint64_t again)
{
	uint64_t had;
	int rc = r->sys->size(r->sys, file, &had);

	if (rc == 0 && had > size)
		rc = r->sys->truncate(r->sys, file, size);
	if (rc == 0 && again < size)
		rc = write_again(r, file, again, had < size ? had : size);
	return rc < 0 ? rc : r->sys->sync(r->sys, file);
}

static uint64_t length_of(const struct scan_index *x, uint32_t entries)
{
	uint64_t length = PCAP_HEADER;
	struct idx_entry e;

	for (uint32_t i = 0; i < entries && scan_entry(x, i, &e) == 0; i++)
		if (e.type == ENTRY_BATCH)
			length += e.length;
	return length;
}

/*
 * Something has shortened a file whose end was durable.  The torn record is
 * cut like any other, but a copy is kept, and it is said.
 */
static int keep_shortened(struct recovery *r, uint64_t first, bool torn,
			  struct err *err)
{
	const struct scan_walk *w = &r->out->last;
	char name[FILE_NAME_MAX];

	log_error("spool",
		  "%s: segment %020" PRIu64
		  " was whole and durable up to packet "
		  "%" PRIu64 " and ends before packet %" PRIu64 " now: "
		  "something has shortened its files%s; the numbers from there "
		  "on are given again",
		  r->dir, first, w->durable, w->next,
		  torn ? ", which are kept in damaged/" : "");
	if (!torn)
		return 0;
	segment_name(name, first, "pcap");
	if (keep_aside(r->sys, r->dir, name, err) < 0)
		return err->code;
	segment_name(name, first, "idx");
	return keep_aside(r->sys, r->dir, name, err);
}

static int cut_tail(struct recovery *r, const struct scan_index *x, int pcap,
		    int idx, struct err *err)
{
	const struct scan_walk *w = &r->out->last;
	uint64_t idx_len = IDX_HEADER + (uint64_t)w->entries * IDX_ENTRY;
	uint32_t sure = surely_durable(r, x->first);
	uint64_t pcap_had = 0;
	int rc = r->sys->size(r->sys, pcap, &pcap_had);

	if (rc == 0 && w->shortened &&
	    keep_shortened(r, x->first, pcap_had > w->length, err) < 0)
		return err->code;
	if (rc == 0 && (pcap_had > w->length || x->bytes.len > idx_len))
		log_warn("spool",
			 "%s: segment %020" PRIu64 ": a torn tail of %" PRIu64
			 " bytes is cut; the next packet is %" PRIu64,
			 r->dir, x->first,
			 pcap_had > w->length ? pcap_had - w->length : 0,
			 w->next);
	if (rc == 0)
		rc = cut(r, idx, idx_len,
			 !sure ? 0
			 : sure < w->entries
				 ? IDX_HEADER + (uint64_t)sure * IDX_ENTRY
				 : UINT64_MAX);
	if (rc == 0)
		rc = restore_head(r, pcap);
	if (rc == 0)
		rc = cut(r, pcap, w->length,
			 !sure		     ? 0
			 : sure < w->entries ? length_of(x, sure)
					     : UINT64_MAX);
	return rc < 0 ? err_disk(err, -rc,
				 "%s: the tail of segment %020" PRIu64
				 " cannot be cut",
				 r->dir, x->first)
		      : 0;
}

/*
 * Check the last segment's every byte, cut what is torn, leave it durable.  A
 * damaged one stays as it is.
 */
static int settle_tail(struct recovery *r, uint64_t first, struct err *err)
{
	char *pcap_path = segment_path(r->dir, first, "pcap");
	char *idx_path = segment_path(r->dir, first, "idx");
	int pcap = r->sys->open(r->sys, pcap_path, SYS_READ | SYS_WRITE);
	int idx = r->sys->open(r->sys, idx_path, SYS_READ | SYS_WRITE);
	struct scan_index x = { 0 };
	int rc = 0;

	if (pcap < 0)
		rc = err_sys(err, -pcap, "%s cannot be opened", pcap_path);
	else if (idx < 0)
		rc = err_sys(err, -idx, "%s cannot be opened", idx_path);
	else if ((rc = scan_index_load(r->sys, idx_path, r->id, first, &x)) < 0)
		rc = err_sys(err, -rc, "%s cannot be read", idx_path);
	if (rc == 0)
		rc = scan_last(r->sys, &x, pcap, r->has_live ? &r->live : NULL,
			       &r->out->last, err);
	if (rc == 0 && !r->out->last.damaged)
		rc = cut_tail(r, &x, pcap, idx, err);
	if (pcap >= 0)
		r->sys->close(r->sys, pcap);
	if (idx >= 0)
		r->sys->close(r->sys, idx);
	scan_index_release(&x);
	free(pcap_path);
	free(idx_path);
	return rc;
}

/* -- all ------------------------------------------------------------------ */

static int settle(struct recovery *r, struct err *err);

/*
 * The last segment is damaged.  What is whole in it becomes segments of their
 * own, what is not becomes GAPs, and then the spool is as good as any.
 */
static int mend(struct recovery *r, uint64_t first, struct err *err)
{
	if (r->mended)
		return damaged(r, first, "pcap", err,
			       "is damaged, also after it was made again");
	log_error("spool",
		  "%s: segment %020" PRIu64 " is damaged where it was durable; "
		  "what is whole stays, the rest becomes a gap, and the "
		  "damaged files are kept in %s/damaged",
		  r->dir, first, r->dir);
	r->mended = true;
	recovered_release(r->out);
	*r->out = (struct recovered){ .spare = r->out->spare };
	if (mend_last(r->sys, r->dir, r->id, &r->names,
		      r->has_live ? &r->live : NULL, err) < 0 ||
	    list_again(r, err) < 0)
		return err->code;
	return settle(r, err);
}

/*
 * The header of the last index is damaged, and nothing else says that the spool
 * is not whole: then the segment before tells what must stand there.
 */
static bool last_head_is_lost(struct recovery *r)
{
	size_t n = r->names.n_segments;
	const struct scan_pair *seg = r->names.segments;
	struct scan_ends before, last;

	return n > 1 && seg[n - 1].pcap && seg[n - 1].idx &&
	       scan_ends(r->sys, r->dir, r->id, seg[n - 2].number, &before) ==
		       0 &&
	       before.headed && before.sealed &&
	       before.next == seg[n - 1].number &&
	       scan_ends(r->sys, r->dir, r->id, seg[n - 1].number, &last) ==
		       0 &&
	       !last.headed;
}

/* Readers have seen more segments than there are. */
static int check_newest(struct recovery *r, uint64_t first, struct err *err)
{
	const struct live *live = &r->live;
	char *path;

	if (!r->has_live || live->segment <= first ||
	    live->head <= r->out->last.next)
		return 0;
	path = segment_path(r->dir, live->segment, "pcap");
	err_set(err, ERR_DAMAGED,
		"packets %" PRIu64 " to %" PRIu64
		" are missing: there was a %s; weir recover shows and repairs",
		r->out->last.next, live->head - 1, path);
	free(path);
	return err->code;
}

static int settle(struct recovery *r, struct err *err)
{
	struct recovered *out = r->out;
	struct scan_ends last;
	uint64_t first;

	if (settle_spares(r, err) < 0 || finish_reaping(r, err) < 0)
		return err->code;
	if (!r->names.n_segments)
		return 0;
	first = r->names.segments[r->names.n_segments - 1].number;
	if (!r->mended && last_head_is_lost(r))
		return mend(r, first, err);
	out->any = true;
	out->kept = mem_array(r->names.n_segments, sizeof(*out->kept));
	if (check_joins(r, &last, err) < 0)
		return err->code;
	out->first = first;
	out->head = last.head;
	/* Also a sealed one: the SEAL may have reached the disk before what it
	 * seals. */
	if (settle_tail(r, first, err) < 0)
		return err->code;
	if (out->last.damaged)
		return mend(r, first, err);
	if (check_newest(r, first, err) < 0)
		return err->code;
	out->open = !out->last.sealed;
	last.end = out->last.end;
	last.next = out->last.next;
	last.sealed_ns = out->last.end_ns;
	if (!out->open)
		keep(r, first, &last);
	return 0;
}

int spool_recover(struct sys *sys, const char *dir,
		  const struct spool_identity *id, unsigned sibling,
		  struct recovered *out, struct err *err)
{
	struct recovery r = {
		.sys = sys, .dir = dir, .id = id, .sibling = sibling, .out = out
	};
	int rc;

	*out = (struct recovered){ 0 };
	r.has_live = live_find(sys, dir, &r.live);
	rc = scan_list(sys, dir, &r.names, err);
	if (rc == 0)
		rc = mend_settle(sys, dir, &r.names, err);
	if (rc > 0)
		rc = list_again(&r, err);
	if (rc == 0)
		rc = adopt_old_spares(&r, err);
	if (rc == 0)
		rc = settle(&r, err);
	scan_release(&r.names);
	if (rc < 0)
		recovered_release(out);
	return rc;
}

int live_settle(struct sys *sys, const char *dir, const struct recovered *r,
		struct err *err)
{
	const struct live live = {
		.boot = sys->boot_id(sys),
		.incarnation = r->last.incarnation,
		.oldest = r->n_kept ? r->kept[0].first : r->first,
		.head = r->last.next,
		.dropped = r->head.dropped + r->last.dropped,
		.segment = r->first,
		.entries = r->last.entries,
	};
	char *path = path_in(dir, "live");
	int file = sys->open(sys, path, SYS_READ | SYS_WRITE | SYS_CREATE);
	int rc = file < 0 ? file : 0;

	if (rc == 0 && r->any)
		rc = live_put(sys, file, &live);
	if (file >= 0)
		sys->close(sys, file);
	if (rc < 0)
		err_disk(err, -rc, "%s cannot be written", path);
	free(path);
	return rc < 0 ? err->code : 0;
}

void recovered_release(struct recovered *r)
{
	free(r->kept);
	r->kept = NULL;
	r->n_kept = 0;
}

int kept_load(struct sys *sys, const char *dir, unsigned sibling,
	      struct kept **list, size_t *n, struct err *err)
{
	struct spool_identity id;
	struct scan_dir names;
	struct scan_ends ends;

	*list = NULL;
	*n = 0;
	if (scan_list(sys, dir, &names, err) < 0)
		return err->code;
	/* Not even its name is needed to count its bytes. */
	if (identity_load(sys, dir, &id, NULL) < 0)
		id = (struct spool_identity){ 0 };
	*list = mem_array(names.n_segments, sizeof(**list));
	for (size_t i = 0; i < names.n_segments; i++) {
		uint64_t first = names.segments[i].number;

		if (scan_ends(sys, dir, &id, first, &ends) < 0)
			ends = (struct scan_ends){ 0 };
		(*list)[(*n)++] = (struct kept){
			.sibling = sibling,
			.first = first,
			.end = ends.sealed ? ends.end : first,
			.next = ends.sealed ? ends.next : first,
			.bytes = ends.pcap_len + ends.idx_len,
			.sealed_ns = ends.sealed ? ends.sealed_ns
						 : ends.head.created_ns,
		};
	}
	scan_release(&names);
	return 0;
}
