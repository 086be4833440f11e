/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spool.c - appending and committing.
 *
 * What is appended waits in memory until the commit that makes it durable has
 * succeeded, so that it can be written again when the disk refuses once.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "codec/record.h"
#include "engine/spool/spool_priv.h"

enum {
	/* Appending more than this commits by itself. */
	PENDING_MAX = 32 << 20,
	PENDING_ITEMS_MAX = 1 << 16,
	/* One write call, and what the disk begins with meanwhile. */
	WRITE_MAX = 2 << 20
};

/* -- appending ----------------------------------------------------------- */

static struct item *add_item(struct spool *s)
{
	if (s->n_items == s->items_cap) {
		s->items_cap = s->items_cap ? 2 * s->items_cap : 64;
		s->items = mem_grow(s->items, s->items_cap * sizeof(*s->items));
	}
	s->items[s->n_items] = (struct item){ .at = s->next };
	return &s->items[s->n_items++];
}

/* Room for one more, if need be by committing what waits. */
static int make_room(struct spool *s, size_t len, struct err *err)
{
	if (s->n_items < PENDING_ITEMS_MAX &&
	    (s->pending == 0 || s->pending + len <= PENDING_MAX))
		return 0;
	return spool_commit(s, err);
}

static int append(struct spool *s, const struct run *r, const uint64_t *chain,
		  bool lent, struct err *err)
{
	struct item *item;

	assert(r->first == s->next);
	assert(r->count >= 1 && r->count <= RUN_COUNT_MAX);
	assert(r->records.len >= RECORD_HEADER &&
	       r->records.len <= RUN_BYTES_MAX);
	if (make_room(s, r->records.len, err) < 0)
		return err->code;

	item = add_item(s);
	item->run = *r;
	item->chain = chain ? *chain
			    : chain_behind(s->next_chain, r,
					   (uint32_t)r->records.len);
	if (!lent) {
		item->copy = s->copies.len;
		put_bytes(&s->copies, r->records);
		item->run.records.p = NULL;
	}
	s->next += r->count;
	s->next_chain = item->chain;
	s->pending += r->records.len;
	return 0;
}

int spool_append(struct spool *s, const struct run *r, const uint64_t *chain,
		 struct err *err)
{
	return append(s, r, chain, false, err);
}

int spool_append_lent(struct spool *s, const struct run *r,
		      const uint64_t *chain, struct err *err)
{
	return append(s, r, chain, true, err);
}

int spool_append_note(struct spool *s, const struct spool_note *note,
		      struct err *err)
{
	struct item *item;

	if (note->is == SPOOL_IS_GAP && note->value <= s->next)
		return err_set(err, ERR_MALFORMED,
			       "a gap from %" PRIu64 " to %" PRIu64 " is empty",
			       s->next, note->value);
	if (make_room(s, 0, err) < 0)
		return err->code;
	item = add_item(s);
	item->is_note = true;
	item->note = *note;
	item->chain = s->next_chain;
	if (note->is == SPOOL_IS_GAP)
		s->next = note->value;
	return 0;
}

uint64_t spool_next(const struct spool *s)
{
	return s->next;
}

/* -- one group ----------------------------------------------------------- */

/* The items that one commit writes into the open segment. */
struct group {
	size_t n;
	bool seal;
	uint64_t length; /* of the .pcap behind it */
	uint64_t end, next, chain, dropped;
	uint32_t batches;
	uint64_t sealed_ns;
};

static bool age_is_due(const struct spool *s)
{
	return s->seg.open && s->seg.batches && s->cfg.segment_age_ns &&
	       s->sys->mono_ns(s->sys) - s->seg.begun_ns >=
		       s->cfg.segment_age_ns;
}

static bool seal_is_due(const struct spool *s)
{
	return age_is_due(s) || (s->seg.open && s->seg.next != s->seg.end);
}

static void take_run(struct group *g, const struct item *item)
{
	g->length += item->run.records.len;
	g->end = g->next = item->run.first + item->run.count;
	g->chain = item->chain;
	g->batches++;
}

/*
 * As many items as the segment still takes.  A batch never spans two segments,
 * one that is larger than a segment gets its own, and a GAP is the last.
 */
static struct group next_group(const struct spool *s)
{
	const struct segment *seg = &s->seg;
	struct group g = { .length = seg->length ? seg->length : PCAP_HEADER,
			   .end = seg->end,
			   .next = seg->next,
			   .chain = s->chain,
			   .dropped = s->dropped,
			   .batches = seg->batches };
	uint64_t last = 0;

	while (g.n < s->n_items && !g.seal && g.next == g.end) {
		const struct item *item = &s->items[g.n];
		uint64_t len = item->is_note ? 0 : item->run.records.len;

		if (g.batches && (g.length + len > s->cfg.segment_max ||
				  seg->entries + g.n + 2 >= IDX_ENTRIES_MAX)) {
			g.seal = true;
			break;
		}
		if (!item->is_note)
			take_run(&g, item);
		else if (item->note.is == SPOOL_IS_DROP && !item->counted)
			g.dropped += item->note.value;
		else if (item->note.is == SPOOL_IS_GAP)
			g.next = item->note.value;
		last = len ? len : last;
		g.n++;
	}
	/* Another batch like the last one would not fit: seal it right away,
	 * and not in a commit of its own later. */
	if (g.next != g.end || age_is_due(s) ||
	    (g.batches && last && g.length + last > s->cfg.segment_max))
		g.seal = true;
	g.sealed_ns = g.seal ? s->sys->wall_ns(s->sys) : 0;
	return g;
}

static const uint8_t *records_of(const struct spool *s, const struct item *item)
{
	return item->run.records.p ? item->run.records.p
				   : s->copies.p + item->copy;
}

/*
 * Neighbours in memory become one write, and while the next one is copied into
 * the cache the disk is at work on it already.
 */
static int write_piece(struct spool *s, const uint8_t *from, size_t len,
		       uint64_t *at)
{
	int rc = sys_write_full(s->sys, s->seg.pcap, from, len, *at);

	if (rc == 0)
		s->sys->write_out(s->sys, s->seg.pcap, *at, len);
	*at += len;
	return rc;
}

static int write_records(struct spool *s, const struct group *g, uint64_t at)
{
	const uint8_t *from = NULL;
	size_t len = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < g->n; i++) {
		const struct item *item = &s->items[i];
		const uint8_t *p;

		if (item->is_note)
			continue;
		p = records_of(s, item);
		if (len && (from + len != p || len >= WRITE_MAX)) {
			rc = write_piece(s, from, len, &at);
			len = 0;
		}
		if (!len)
			from = p;
		len += item->run.records.len;
	}
	return rc == 0 && len ? write_piece(s, from, len, &at) : rc;
}

static void put_item(struct spool *s, const struct item *item, uint32_t seed,
		     uint64_t *offset)
{
	struct idx_entry e;

	if (item->is_note) {
		entry_of_note(&e, &item->note, item->at);
	} else {
		e = (struct idx_entry){
			.type = ENTRY_BATCH,
			.packets = item->run.count,
			.index = item->run.first,
			.value = *offset,
			.length = (uint32_t)item->run.records.len,
			.crc = item->run.crc,
			.begin_ns = item->run.min_ns,
			.end_ns = item->run.max_ns,
		};
		*offset += item->run.records.len;
	}
	e.chain = item->chain;
	e.synced = s->seg.entries;
	put_entry(&s->out, seed, &e);
}

static void put_heads(struct spool *s)
{
	struct idx_head head = {
		.first = s->seg.first,
		.chain = s->chain,
		.incarnation = s->incarnation,
		.created_ns = s->sys->wall_ns(s->sys),
		.linktype = s->identity.linktype,
		.snaplen = s->identity.snaplen,
		.dropped = s->dropped_before,
		.before = s->before,
	};

	memcpy(head.id, s->identity.id, SPOOL_ID);
	put_idx_head(&s->out, &head);
}

static int write_pcap_head(struct spool *s)
{
	const struct pcap_head head = { .linktype = s->identity.linktype,
					.snaplen = s->identity.snaplen };
	uint8_t room[PCAP_HEADER];
	struct buf b = { .p = room, .cap = sizeof(room) };

	put_pcap_head(&b, &head);
	return sys_write_full(s->sys, s->seg.pcap, b.p, b.len, 0);
}

static void put_seal(struct spool *s, const struct group *g, uint32_t seed)
{
	const struct idx_entry e = {
		.type = ENTRY_SEAL,
		.packets = g->batches,
		.index = g->end,
		.value = g->length,
		.begin_ns = g->sealed_ns,
		.end_ns = g->sealed_ns,
		.chain = g->chain,
		.synced = s->seg.entries,
	};

	put_entry(&s->out, seed, &e);
}

/* Index entries of the group, behind the header where there is none yet. */
static int write_index(struct spool *s, const struct group *g)
{
	struct segment *seg = &s->seg;
	uint32_t seed = entry_seed(s->identity.id, seg->first);
	uint64_t offset = seg->length ? seg->length : PCAP_HEADER;
	uint64_t at = IDX_HEADER + (uint64_t)seg->entries * IDX_ENTRY;
	int rc;

	buf_clear(&s->out);
	if (!seg->length) {
		at = 0;
		put_heads(s);
	}
	for (size_t i = 0; i < g->n; i++)
		put_item(s, &s->items[i], seed, &offset);
	assert(offset == g->length);
	if (g->seal)
		put_seal(s, g, seed);
	rc = sys_write_full(s->sys, seg->idx, s->out.p, s->out.len, at);
	/* So that one commit of the file system's journal has both files. */
	if (rc == 0)
		s->sys->write_out(s->sys, seg->idx, at, s->out.len);
	return rc;
}

static int refused(struct spool *s, int rc, const char *kind, const char *what,
		   struct err *err)
{
	char *path;

	pthread_mutex_lock(&s->lock);
	path = segment_where(s->dir, &s->seg, kind);
	pthread_mutex_unlock(&s->lock);
	err_disk(err, -rc, "%s cannot be %s", path, what);
	free(path);
	return err->code;
}

static int write_group(struct spool *s, const struct group *g, struct err *err)
{
	struct segment *seg = &s->seg;
	uint64_t at = seg->length ? seg->length : PCAP_HEADER;
	int rc = seg->length ? 0 : write_pcap_head(s);

	if (rc == 0)
		rc = write_records(s, g, at);
	if (rc < 0)
		return refused(s, rc, "pcap", "written", err);
	rc = write_index(s, g);
	if (rc < 0)
		return refused(s, rc, "idx", "written", err);
	if (g->length != seg->length) {
		rc = s->sys->sync(s->sys, seg->pcap);
		if (rc < 0)
			return refused(s, rc, "pcap", "synced", err);
	}
	rc = s->sys->sync(s->sys, seg->idx);
	if (rc < 0)
		return refused(s, rc, "idx", "synced", err);
	return 0;
}

/* -- segments ------------------------------------------------------------ */

/*
 * What was given up before it held anything durable goes before another one
 * takes its place: a restart could not tell which of the two is the later.
 */
static int remove_litter(struct spool *s, struct err *err)
{
	struct segment g = { .spare = s->litter };
	int rc;

	if (!s->litter)
		return 0;
	pthread_mutex_lock(&s->house);
	rc = segment_discard(s->sys, s->dir, &g, err);
	pthread_mutex_unlock(&s->house);
	if (rc == 0)
		s->litter = 0;
	return rc;
}

static int begin_segment(struct spool *s, struct err *err)
{
	struct segment seg;

	if (remove_litter(s, err) < 0)
		return err->code;
	if (house_take_spare(s, &seg, err) < 0)
		return err->code;
	pthread_mutex_lock(&s->lock);
	seg.first = seg.end = seg.next = s->head;
	seg.replaces = s->shown.entries && s->shown.segment == s->head;
	for (size_t i = 0; i < s->n_done; i++)
		seg.replaces |= s->done[i].first == s->head;
	s->seg = seg;
	s->seg_bytes = 0;
	pthread_mutex_unlock(&s->lock);
	return 0;
}

/* Hand the segment over to the housekeeping; none is open then. */
static void finish_segment(struct spool *s)
{
	pthread_mutex_lock(&s->lock);
	if (s->n_done == s->done_cap) {
		s->done_cap = s->done_cap ? 2 * s->done_cap : 4;
		s->done = mem_grow(s->done, s->done_cap * sizeof(*s->done));
	}
	s->done[s->n_done++] = s->seg;
	/* One without a batch is going to be replaced, and counts for none. */
	if (s->seg.batches || s->seg.sealed) {
		s->before = s->seg.entries;
		s->dropped_before = s->dropped;
	}
	s->seg = (struct segment){ .pcap = -1, .idx = -1 };
	s->seg_bytes = 0;
	pthread_mutex_unlock(&s->lock);
}

/* Durable notes of a segment that is given up before its first batch. */
static void save_notes(struct spool *s)
{
	const struct segment *seg = &s->seg;
	uint32_t seed = entry_seed(s->identity.id, seg->first);
	struct idx_entry e;
	uint8_t raw[IDX_ENTRY];
	size_t n = 0;

	for (uint32_t i = 0; i < seg->entries; i++) {
		struct item item = { .is_note = true,
				     .counted = true,
				     .at = seg->first,
				     .chain = s->chain };

		if (sys_read_full(s->sys, seg->idx, raw, sizeof(raw),
				  IDX_HEADER + (uint64_t)i * IDX_ENTRY) < 0 ||
		    entry_parse(bytes_of(raw, sizeof(raw)), seed, &e) < 0)
			break;
		note_of_entry(&item.note, &e);
		(void)add_item(s);
		memmove(s->items + n + 1, s->items + n,
			(s->n_items - 1 - n) * sizeof(*s->items));
		s->items[n++] = item;
	}
}

/*
 * An error has told us that pages of this segment may never reach the disk:
 * nothing is written to it any more, and no sync of it is believed again.
 */
static void poison(struct spool *s, const struct err *why)
{
	struct segment *seg = &s->seg;
	struct segment unused;
	struct err ignored = ERR_NONE;

	log_warn("spool", "%s; the segment is given up at packet %" PRIu64,
		 why->text, s->head);
	pthread_mutex_lock(&s->lock);
	s->poisoned++;
	seg->poisoned = true;
	pthread_mutex_unlock(&s->lock);
	/* So that a restart does not take for real what only looks written. */
	if (seg->length)
		s->sys->truncate(s->sys, seg->idx,
				 IDX_HEADER +
					 (uint64_t)seg->entries * IDX_ENTRY);
	if (seg->length) {
		if (!seg->batches)
			save_notes(s);
		finish_segment(s);
		return;
	}
	pthread_mutex_lock(&s->lock);
	unused = *seg;
	*seg = (struct segment){ .pcap = -1, .idx = -1 };
	pthread_mutex_unlock(&s->lock);
	pthread_mutex_lock(&s->house);
	if (segment_discard(s->sys, s->dir, &unused, &ignored) < 0) {
		s->litter = unused.spare;
		segment_close(s->sys, &unused);
	}
	pthread_mutex_unlock(&s->house);
}

/* -- commit -------------------------------------------------------------- */

static void forget_items(struct spool *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!s->items[i].is_note)
			s->pending -= s->items[i].run.records.len;
	s->n_items -= n;
	memmove(s->items, s->items + n, s->n_items * sizeof(*s->items));
	if (!s->n_items)
		buf_clear(&s->copies);
}

static void account(struct spool *s, const struct group *g)
{
	struct segment *seg = &s->seg;

	pthread_mutex_lock(&s->lock);
	if (!seg->batches && g->batches)
		seg->begun_ns = s->sys->mono_ns(s->sys);
	seg->sealed_ns = g->sealed_ns;
	seg->length = g->length;
	seg->entries += (uint32_t)g->n + g->seal;
	seg->batches = g->batches;
	seg->end = g->end;
	seg->next = g->next;
	seg->sealed = g->seal;
	s->seg_bytes =
		g->length + IDX_HEADER + (uint64_t)seg->entries * IDX_ENTRY;
	s->head = g->next;
	s->chain = g->chain;
	s->dropped = g->dropped;
	s->commits++;
	if (seg->named) {
		s->shown.segment = seg->first;
		s->shown.entries = seg->entries;
		s->shown.head = s->head;
		live_write_locked(s);
	}
	pthread_mutex_unlock(&s->lock);
	forget_items(s, g->n);
}

static int commit_group(struct spool *s, struct err *err)
{
	struct group g;

	if (!s->seg.open && begin_segment(s, err) < 0)
		return err->code;
	g = next_group(s);
	if (write_group(s, &g, err) < 0) {
		poison(s, err);
		return err->code;
	}
	account(s, &g);
	if (g.seal)
		finish_segment(s);
	return 0;
}

/* Once more, in a new segment; where room is missing, over the oldest one. */
static int commit_again(struct spool *s, struct err *err)
{
	int rc;

	do {
		if (err->code == ERR_FULL) {
			struct err ignored = ERR_NONE;

			pthread_mutex_lock(&s->house);
			rc = house_reap_one(s, &ignored);
			pthread_mutex_unlock(&s->house);
			if (!rc)
				return err->code;
		}
		rc = commit_group(s, err);
	} while (rc == ERR_FULL);
	return rc;
}

static int show(struct spool *s, struct err *err)
{
	bool waiting;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	waiting = s->n_done || s->live_stale ||
		  (s->seg.open && !s->seg.named && s->seg.length);
	pthread_mutex_unlock(&s->lock);
	if (!waiting)
		return 0;
	if (s->wake_keeper) {
		s->wake_keeper(s->keeper);
		return 0;
	}
	pthread_mutex_lock(&s->house);
	rc = house_names(s, err);
	pthread_mutex_unlock(&s->house);
	return rc;
}

int spool_commit(struct spool *s, struct err *err)
{
	struct err first = ERR_NONE, second = ERR_NONE;

	while (s->n_items || seal_is_due(s)) {
		if (commit_group(s, &first) < 0 &&
		    commit_again(s, &first) < 0) {
			show(s, &second);
			return err_set(err, first.code, "%s", first.text);
		}
	}
	if (show(s, &second) < 0)
		return err_set(err, second.code, "%s", second.text);
	return 0;
}

/* -- opening ------------------------------------------------------------- */

static bool is_zero(const uint8_t id[SPOOL_ID])
{
	static const uint8_t zero[SPOOL_ID];

	return memcmp(id, zero, SPOOL_ID) == 0;
}

/* Take the lock of spool number `n` and make it ours; an earlier one is let
 * go of only then, so that two writers never pass each other. */
static int enter(struct spool *s, unsigned n, struct err *err)
{
	char *dir = sibling_dir(s->source_dir, n);
	char *path = path_in(dir, "lock");
	int file = -1;
	int rc = sys_mkdir_all(s->sys, dir);

	if (rc < 0)
		err_disk(err, -rc, "%s cannot be made", dir);
	else if ((file = rc = s->sys->open(
			  s->sys, path, SYS_READ | SYS_WRITE | SYS_CREATE)) < 0)
		err_disk(err, -rc, "%s cannot be opened", path);
	else if ((rc = s->sys->lock(s->sys, file)) == -EWOULDBLOCK)
		rc = err_set(err, ERR_BUSY,
			     "%s is being written by another process; one "
			     "writer a spool",
			     dir);
	else if (rc < 0)
		err_sys(err, -rc, "%s cannot be locked", path);
	free(path);
	if (rc < 0) {
		if (file >= 0)
			s->sys->close(s->sys, file);
		free(dir);
		return err->code;
	}
	if (s->lock_file >= 0)
		s->sys->close(s->sys, s->lock_file);
	s->lock_file = file;
	free(s->dir);
	s->dir = dir;
	s->sibling = n;
	return 0;
}

static int open_live(struct spool *s, struct err *err)
{
	char *path = path_in(s->dir, "live");

	s->live_file =
		s->sys->open(s->sys, path, SYS_READ | SYS_WRITE | SYS_CREATE);
	if (s->live_file < 0)
		err_disk(err, -s->live_file, "%s cannot be opened", path);
	free(path);
	return s->live_file < 0 ? err->code : 0;
}

static const uint8_t *wanted_origin(const struct spool *s)
{
	return is_zero(s->cfg.want.origin) ? s->cfg.want.id
					   : s->cfg.want.origin;
}

/* Write the id of a new spool in the directory that was entered. */
static int found(struct spool *s, struct err *err)
{
	struct spool_identity *id = &s->identity;
	struct scan_dir names;
	size_t n;

	if (scan_list(s->sys, s->dir, &names, err) < 0)
		return err->code;
	n = names.n_segments;
	scan_release(&names);
	if (n)
		return err_set(err, ERR_DAMAGED,
			       "%s has %zu segments and no id file; weir "
			       "recover shows and repairs",
			       s->dir, n);
	*id = s->cfg.want;
	if (is_zero(id->id))
		s->sys->random(s->sys, id->id, SPOOL_ID);
	memcpy(id->origin,
	       is_zero(wanted_origin(s)) ? id->id : wanted_origin(s), SPOOL_ID);
	if (!source_name_good(id->name))
		return err_set(err, ERR_USAGE,
			       "\"%s\" cannot name a source: 1 to %d printable "
			       "ASCII characters without blanks",
			       id->name, SPOOL_NAME_MAX);
	s->head = s->cfg.first;
	return identity_save(s->sys, s->dir, id, err);
}

/* Why the newest spool cannot be gone on with; NULL when it can. */
static const char *unfit(const struct spool *s)
{
	if (s->cfg.begin_anew)
		return "a new spool is asked for";
	if (s->identity.linktype != s->cfg.want.linktype)
		return "the link type is another one";
	if (!is_zero(wanted_origin(s)) &&
	    memcmp(wanted_origin(s), s->identity.origin, SPOOL_ID) != 0)
		return "it comes from another source";
	return NULL;
}

/*
 * Nobody will write the spool that is left behind: settle it, and show its
 * readers all of it.
 */
static void leave_settled(struct spool *s)
{
	struct recovered r;
	struct err why = ERR_NONE;

	if (spool_recover(s->sys, s->dir, &s->identity, s->sibling, &r, &why) <
	    0) {
		log_warn("spool", "%s", why.text);
		return;
	}
	if (live_settle(s->sys, s->dir, &r, &why) < 0)
		log_warn("spool", "%s", why.text);
	recovered_release(&r);
}

static int next_sibling(struct spool *s, const char *why, struct err *err)
{
	log_warn("spool", "%s is left as it is (%s); the next spool begins",
		 s->dir, why);
	if (enter(s, s->sibling + 1, err) < 0)
		return err->code;
	return found(s, err);
}

/* Enter the newest spool, or a new one. */
static int choose(struct spool *s, struct recovered *r, struct err *err)
{
	struct siblings all;
	unsigned newest;
	int rc;

	if (siblings_list(s->sys, s->source_dir, &all, err) < 0)
		return err->code;
	newest = all.n ? all.at[all.n - 1] : 1;
	siblings_release(&all);
	if (enter(s, newest, err) < 0)
		return err->code;
	rc = identity_load(s->sys, s->dir, &s->identity, err);
	if (rc == ERR_GONE) {
		*err = ERR_NONE;
		return found(s, err);
	}
	if (rc < 0)
		return rc;
	if (unfit(s)) {
		leave_settled(s);
		return next_sibling(s, unfit(s), err);
	}
	if (spool_recover(s->sys, s->dir, &s->identity, s->sibling, r, err) < 0)
		return err->code;
	if (!r->any)
		return next_sibling(s, "its segments were removed", err);
	return 0;
}

static int add_kept(struct spool *s, const struct kept *list, size_t n)
{
	s->kept = mem_grow(s->kept, (s->n_kept + n + 1) * sizeof(*s->kept));
	s->kept_cap = s->n_kept + n + 1;
	for (size_t i = 0; i < n; i++) {
		s->kept[s->n_kept++] = list[i];
		s->kept_bytes += list[i].bytes;
	}
	return 0;
}

/* Older siblings count in the retention, and go first. */
static int load_older(struct spool *s, struct err *err)
{
	struct siblings all;
	int rc = siblings_list(s->sys, s->source_dir, &all, err);

	for (size_t i = 0; rc == 0 && i < all.n && all.at[i] < s->sibling;
	     i++) {
		char *dir = sibling_dir(s->source_dir, all.at[i]);
		struct kept *list;
		size_t n;

		rc = kept_load(s->sys, dir, all.at[i], &list, &n, err);
		if (rc == ERR_GONE) /* a plain file of that name */
			rc = 0;
		else if (rc == 0)
			add_kept(s, list, n);
		free(list);
		free(dir);
	}
	siblings_release(&all);
	return rc;
}

static int reopen_last(struct spool *s, const struct recovered *r,
		       struct err *err)
{
	struct segment *seg = &s->seg;
	char *pcap = segment_path(s->dir, r->first, "pcap");
	char *idx = segment_path(s->dir, r->first, "idx");

	*seg = (struct segment){
		.open = true,
		.named = true,
		.pcap = s->sys->open(s->sys, pcap, SYS_READ | SYS_WRITE),
		.idx = s->sys->open(s->sys, idx, SYS_READ | SYS_WRITE),
		.first = r->first,
		.end = r->last.end,
		.next = r->last.next,
		.length = r->last.length,
		.entries = r->last.entries,
		.batches = r->last.batches,
		.begun_ns = s->sys->mono_ns(s->sys),
	};
	if (seg->pcap < 0)
		err_sys(err, -seg->pcap, "%s cannot be opened", pcap);
	else if (seg->idx < 0)
		err_sys(err, -seg->idx, "%s cannot be opened", idx);
	s->seg_bytes =
		seg->length + IDX_HEADER + (uint64_t)seg->entries * IDX_ENTRY;
	free(pcap);
	free(idx);
	return seg->pcap < 0 || seg->idx < 0 ? err->code : 0;
}

/* Go on where the recovered segments end. */
static int go_on(struct spool *s, const struct recovered *r, struct err *err)
{
	s->incarnation = 1;
	s->next_spare = r->spare ? r->spare : 1;
	if (r->any) {
		s->head = r->last.next;
		s->chain = r->last.chain;
		s->dropped = r->head.dropped + r->last.dropped;
		s->incarnation = r->last.incarnation + 1;
		s->before = r->open ? r->head.before : r->last.entries;
		s->dropped_before = r->open ? r->head.dropped : s->dropped;
		add_kept(s, r->kept, r->n_kept);
		s->shown.segment = r->first;
		s->shown.entries = r->last.entries;
		s->shown.head = s->head;
		if (r->open && reopen_last(s, r, err) < 0)
			return err->code;
	} else {
		s->shown.segment = s->shown.head = s->head;
	}
	s->next = s->head;
	s->next_chain = s->chain;
	return 0;
}

/* The first commit of this writer: it names itself. */
static int say_start(struct spool *s, struct err *err)
{
	const struct spool_note start = { .is = SPOOL_IS_NOTE,
					  .reason = SPOOL_NOTE_START,
					  .value = s->incarnation,
					  .begin_ns = s->sys->wall_ns(s->sys),
					  .end_ns = s->sys->wall_ns(s->sys) };

	if (spool_append_note(s, &start, err) < 0)
		return err->code;
	/* A full disk is no reason not to begin: room may come back. */
	if (spool_commit(s, err) < 0 && err->code != ERR_FULL)
		return err->code;
	if (err->code)
		log_warn("spool", "%s", err->text);
	*err = ERR_NONE;
	return 0;
}

static int start(struct spool *s, struct err *err)
{
	struct recovered r = { 0 };
	int rc = choose(s, &r, err);

	if (rc == 0)
		rc = load_older(s, err);
	if (rc == 0)
		rc = go_on(s, &r, err);
	if (rc == 0)
		rc = open_live(s, err);
	if (rc == 0) {
		pthread_mutex_lock(&s->lock);
		live_write_locked(s);
		pthread_mutex_unlock(&s->lock);
		rc = say_start(s, err);
	}
	recovered_release(&r);
	return rc;
}

struct spool *spool_open(struct sys *sys, const struct spool_config *cfg,
			 struct err *err)
{
	struct spool *s = mem_alloc(sizeof(*s));
	struct err why = ERR_NONE;

	s->sys = sys;
	s->cfg = *cfg;
	if (!s->cfg.segment_max)
		s->cfg.segment_max = SPOOL_CONFIG_DEFAULT.segment_max;
	s->source_dir = mem_text(cfg->source_dir);
	s->lock_file = s->live_file = -1;
	s->seg.pcap = s->seg.idx = -1;
	s->boot = sys->boot_id(sys);
	pthread_mutex_init(&s->house, NULL);
	pthread_mutex_init(&s->lock, NULL);
	if (start(s, &why) == 0)
		return s;
	err_set(err, why.code, "%s", why.text);
	spool_close(s);
	return NULL;
}

/* A segment that ended well is sealed, so that the next start believes it. */
static void seal_last(struct spool *s)
{
	const struct group g = {
		.seal = true,
		.length = s->seg.length,
		.end = s->seg.end,
		.next = s->seg.next,
		.chain = s->chain,
		.dropped = s->dropped,
		.batches = s->seg.batches,
		.sealed_ns = s->sys->wall_ns(s->sys),
	};
	struct err ignored = ERR_NONE;

	if (!s->seg.open || s->n_items || !s->seg.batches)
		return;
	if (write_group(s, &g, &ignored) < 0)
		return;
	account(s, &g);
	finish_segment(s);
}

void spool_close(struct spool *s)
{
	struct err ignored = ERR_NONE;

	if (!s)
		return;
	seal_last(s);
	pthread_mutex_lock(&s->house);
	if (s->ready.open)
		segment_discard(s->sys, s->dir, &s->ready, &ignored);
	/* A short run may end before the keeper's turn to make room. */
	if (house_names(s, &ignored) == 0)
		house_retain(s, &ignored);
	pthread_mutex_unlock(&s->house);
	segment_close(s->sys, &s->ready);
	segment_close(s->sys, &s->seg);
	for (size_t i = 0; i < s->n_done; i++)
		segment_close(s->sys, &s->done[i]);
	if (s->live_file >= 0)
		s->sys->close(s->sys, s->live_file);
	if (s->lock_file >= 0)
		s->sys->close(s->sys, s->lock_file);
	pthread_mutex_destroy(&s->house);
	pthread_mutex_destroy(&s->lock);
	buf_release(&s->copies);
	buf_release(&s->out);
	free(s->items);
	free(s->done);
	free(s->kept);
	free(s->source_dir);
	free(s->dir);
	free(s);
}

void spool_set_keeper(struct spool *s, void (*wake)(void *arg), void *arg)
{
	s->keeper = arg;
	s->wake_keeper = wake;
}

void spool_status(const struct spool *s, struct spool_status *status)
{
	struct spool *unlocked = (struct spool *)s;

	pthread_mutex_lock(&unlocked->lock);
	*status = (struct spool_status){
		.identity = s->identity,
		.oldest = spool_oldest_locked(s),
		.head = s->head,
		.next = s->next,
		.bytes = s->kept_bytes + s->seg_bytes,
		.dropped = s->dropped,
		.commits = s->commits,
		.segments = s->n_kept + s->n_done + s->seg.open,
		.reaped = s->reaped,
		.reaped_unacked = s->reaped_unacked,
		.poisoned = s->poisoned,
		.incarnation = s->incarnation,
		.chain = s->chain,
	};
	snprintf(status->dir, sizeof(status->dir), "%s", s->dir);
	for (size_t i = 0; i < s->n_done; i++)
		status->bytes += s->done[i].length + IDX_HEADER +
				 (uint64_t)s->done[i].entries * IDX_ENTRY;
	pthread_mutex_unlock(&unlocked->lock);
}
