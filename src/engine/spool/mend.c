/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mend.c - making a damaged spool one that a writer can go on with.
 *
 * A damaged segment is taken apart into its good batches, and made again as
 * one segment for each stretch of them, with a GAP at the end of each where
 * packets are missing.  The old files are copied to damaged/ first.  The new
 * ones are made beside them, and a file called "mending" says that all of them
 * are there: from then on they take the places of the old ones, after any
 * crash, and before it none does.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/record.h"
#include "engine/spool/mend_priv.h"

enum { REBUILT_BATCH = 256 << 10, ASIDE_MAX = 1000 };

static const char journal_name[] = "mending";

/* A good entry and where its records lie in the old .pcap. */
struct pieces {
	struct idx_entry *at;
	size_t n, cap;
};

/* One segment being made. */
struct made {
	uint64_t first;
	int pcap;
	struct buf idx;
	uint64_t length;
	uint32_t entries, batches;
	struct made *next; /* made before it */
};

struct mending {
	struct check c;
	struct spool_report report;
	uint32_t before; /* entries of the segment before */
	uint64_t chain, dropped, incarnation;
	bool changed; /* the segment before was made again */
	struct made *made;
};

static void add_piece(struct pieces *p, const struct idx_entry *e)
{
	if (p->n == p->cap) {
		p->cap = p->cap ? 2 * p->cap : 256;
		p->at = mem_grow(p->at, p->cap * sizeof(*p->at));
	}
	p->at[p->n++] = *e;
}

/* -- taking apart --------------------------------------------------------- */

static void take_entries(struct mending *m, struct pieces *p)
{
	struct check *c = &m->c;
	uint64_t at = c->first;
	struct idx_entry e;

	for (uint32_t i = 0; i < c->limit; i++) {
		if (scan_entry(&c->x, i, &e) < 0 || e.index < at ||
		    e.type == ENTRY_SEAL)
			continue;
		if (e.type == ENTRY_BATCH &&
		    (c->pcap < 0 ||
		     scan_records_good(c->sys, c->pcap, &e, &c->scratch) != 1))
			continue;
		add_piece(p, &e);
		at = e.type == ENTRY_BATCH ? e.index + e.packets
		     : e.type == ENTRY_GAP ? e.value
					   : e.index;
	}
}

/* One batch of whole records at the cursor; false when there is none. */
static bool take_records(struct cursor *c, struct run *r, uint64_t max)
{
	const uint8_t *from = c->p;
	struct packet p;

	*r = (struct run){ .min_ns = UINT64_MAX };
	while (r->count < max && r->count < RUN_COUNT_MAX &&
	       c->p - from < REBUILT_BATCH && record_next(c, &p) == 0) {
		r->count++;
		if (p.time_ns < r->min_ns)
			r->min_ns = p.time_ns;
		if (p.time_ns > r->max_ns)
			r->max_ns = p.time_ns;
	}
	r->records = bytes_of(from, (size_t)(c->p - from));
	r->crc = crc32c(r->records);
	return r->count > 0;
}

/*
 * The .idx is lost: number the whole records of the .pcap.  The last batch
 * gets the chain value that the next segment's header counts on.
 */
static int take_from_pcap(struct mending *m, struct pieces *p, struct err *err)
{
	struct check *c = &m->c;
	char *path = segment_path(c->dir, c->first, "pcap");
	struct buf all = { 0 };
	struct cursor at;
	struct run r;
	uint64_t index = c->first, chain = m->chain;
	int rc = file_load(c->sys, path, UINT32_MAX, &all);

	if (rc < 0)
		err_sys(err, -rc, "%s cannot be read", path);
	free(path);
	if (rc < 0)
		return err->code;
	at = cursor_on(buf_bytes(&all));
	skip_bytes(&at, PCAP_HEADER);
	while (take_records(&at, &r,
			    c->has_next ? c->next - index : UINT64_MAX)) {
		struct idx_entry e = {
			.type = ENTRY_BATCH,
			.packets = r.count,
			.index = index,
			.value = (uint64_t)(r.records.p - all.p),
			.length = (uint32_t)r.records.len,
			.crc = r.crc,
			.begin_ns = r.min_ns,
			.end_ns = r.max_ns,
		};

		r.first = index;
		chain = chain_behind(chain, &r, e.length);
		e.chain = chain;
		add_piece(p, &e);
		index += r.count;
	}
	buf_release(&all);
	return 0;
}

/* -- making again ---------------------------------------------------------- */

static char *mend_path(const char *dir, uint64_t first, const char *kind)
{
	char name[FILE_NAME_MAX + sizeof(MEND_PREFIX)] = MEND_PREFIX;

	segment_name(name + strlen(MEND_PREFIX), first, kind);
	return path_in(dir, name);
}

static char *made_path(struct mending *m, uint64_t first, const char *kind)
{
	return mend_path(m->c.dir, first, kind);
}

static int begin_made(struct mending *m, uint64_t first, struct err *err)
{
	const struct spool_identity *id = &m->report.identity;
	struct idx_head head = { .first = first,
				 .chain = m->chain,
				 .incarnation = m->incarnation,
				 .linktype = id->linktype,
				 .snaplen = id->snaplen,
				 .dropped = m->dropped,
				 .before = m->before };
	struct pcap_head pcap = { .linktype = id->linktype,
				  .snaplen = id->snaplen };
	struct made *made = mem_alloc(sizeof(*made));
	struct buf b = { 0 };
	char *path = made_path(m, first, "pcap");
	int rc;

	memcpy(head.id, id->id, SPOOL_ID);
	if (m->c.x.headed) {
		head.incarnation = m->c.x.head.incarnation;
		head.created_ns = m->c.x.head.created_ns;
	}
	made->first = first;
	made->length = PCAP_HEADER;
	made->next = m->made;
	m->made = made;
	put_idx_head(&made->idx, &head);
	put_pcap_head(&b, &pcap);
	made->pcap = rc = m->c.sys->open(m->c.sys, path,
					 SYS_READ | SYS_WRITE | SYS_CREATE |
						 SYS_TRUNCATE);
	if (rc >= 0)
		rc = sys_write_full(m->c.sys, made->pcap, b.p, b.len, 0);
	if (rc < 0)
		err_disk(err, -rc, "%s cannot be written", path);
	buf_release(&b);
	free(path);
	return rc < 0 ? err->code : 0;
}

static void put_made(struct mending *m, struct idx_entry e)
{
	struct made *made = m->made;

	e.synced = 0;
	put_entry(&made->idx, entry_seed(m->report.identity.id, made->first),
		  &e);
	made->entries++;
}

/* Copy a batch's records, which c->scratch is filled with again. */
static int copy_batch(struct mending *m, struct idx_entry e, struct err *err)
{
	struct made *made = m->made;
	int rc = scan_records_good(m->c.sys, m->c.pcap, &e, &m->c.scratch);

	if (rc == 1)
		rc = sys_write_full(m->c.sys, made->pcap, m->c.scratch.p,
				    e.length, made->length);
	else if (rc == 0)
		rc = -EIO; /* it was good a moment ago */
	if (rc < 0)
		return err_disk(err, -rc,
				"%s: packet %" PRIu64 " cannot be copied",
				m->c.dir, e.index);
	e.value = made->length;
	made->length += e.length;
	made->batches++;
	m->chain = e.chain;
	put_made(m, e);
	return 0;
}

/* GAP [at, to) if there is one, SEAL, both files written and synced. */
static int end_made(struct mending *m, uint64_t at, uint64_t to, bool gap,
		    struct err *err)
{
	struct made *made = m->made;
	struct sys *sys = m->c.sys;
	uint64_t now = sys->wall_ns(sys);
	char *path = made_path(m, made->first, "idx");
	int file, rc;

	if (gap)
		put_made(m, (struct idx_entry){ .type = ENTRY_GAP,
						.reason = SPOOL_GAP_DAMAGE,
						.index = at,
						.value = to,
						.begin_ns = now,
						.end_ns = now,
						.chain = m->chain });
	put_made(m, (struct idx_entry){ .type = ENTRY_SEAL,
					.packets = made->batches,
					.index = at,
					.value = made->length,
					.begin_ns = now,
					.end_ns = now,
					.chain = m->chain });
	m->before = made->entries;
	file = rc = sys->open(sys, path,
			      SYS_READ | SYS_WRITE | SYS_CREATE | SYS_TRUNCATE);
	if (rc >= 0)
		rc = sys_write_full(sys, file, made->idx.p, made->idx.len, 0);
	if (rc == 0)
		rc = sys->sync(sys, file);
	if (rc == 0)
		rc = sys->sync(sys, made->pcap);
	if (file >= 0)
		sys->close(sys, file);
	sys->close(sys, made->pcap);
	made->pcap = -1;
	if (rc < 0)
		err_disk(err, -rc, "%s cannot be written", path);
	free(path);
	return rc < 0 ? err->code : 0;
}

static int make_again(struct mending *m, const struct pieces *p,
		      struct err *err)
{
	uint64_t at = m->c.first, end;

	if (begin_made(m, at, err) < 0)
		return err->code;
	for (size_t i = 0; i < p->n; i++) {
		const struct idx_entry *e = &p->at[i];

		if (e->index > at) {
			if (end_made(m, at, e->index, true, err) < 0 ||
			    begin_made(m, e->index, err) < 0)
				return err->code;
			at = e->index;
		}
		if (e->type == ENTRY_BATCH) {
			if (copy_batch(m, *e, err) < 0)
				return err->code;
			at += e->packets;
		} else if (e->type != ENTRY_GAP) {
			put_made(m, *e);
			if (e->type == ENTRY_DROP)
				m->dropped += e->value;
		} else if (!m->c.has_next) {
			return end_made(m, at, e->value, true, err);
		}
	}
	/* Where the next one begins, or where the index says that it ended:
	 * no number of a lost packet is given to another. */
	end = m->c.has_next ? m->c.next : m->c.at;
	return end_made(m, at, end, end > at, err);
}

/* -- names ----------------------------------------------------------------- */

/* Is the file at `path` this?  False also where there is none. */
static bool holds(struct sys *sys, const char *path, struct bytes what)
{
	struct buf b = { 0 };
	bool same = file_load(sys, path, UINT32_MAX, &b) == 0 &&
		    b.len == what.len &&
		    (!what.len || memcmp(b.p, what.p, what.len) == 0);

	buf_release(&b);
	return same;
}

/*
 * Beside what was kept there before; the same a second time, as a start that
 * was interrupted leaves it, is not kept twice.
 */
static char *name_aside(struct sys *sys, const char *aside, const char *name,
			struct bytes what, bool *there)
{
	char *path = path_in(aside, name);

	for (unsigned n = 2;; n++) {
		int file = sys->open(sys, path, SYS_READ);

		if (file >= 0)
			sys->close(sys, file);
		*there = file >= 0 && holds(sys, path, what);
		if (file == -ENOENT || *there || n > ASIDE_MAX)
			return path;
		free(path);
		path = mem_format("%s/%s.%u", aside, name, n);
	}
}

int keep_aside(struct sys *sys, const char *dir, const char *name,
	       struct err *err)
{
	char *aside = path_in(dir, "damaged");
	char *from = path_in(dir, name), *to = NULL;
	struct buf all = { 0 };
	bool there = false;
	int rc = file_load(sys, from, UINT32_MAX, &all);

	if (rc == 0)
		rc = sys_mkdir_all(sys, aside);
	if (rc == 0)
		to = name_aside(sys, aside, name, buf_bytes(&all), &there);
	if (rc == 0 && !there)
		rc = sys_replace_file(sys, to, all.p, all.len);
	if (rc == -ENOENT)
		rc = 0;
	if (rc < 0)
		err_disk(err, -rc, "%s cannot be copied to %s", from, aside);
	buf_release(&all);
	free(aside);
	free(from);
	free(to);
	return rc < 0 ? err->code : 0;
}

static int set_aside(struct mending *m, struct err *err)
{
	char name[FILE_NAME_MAX];

	segment_name(name, m->c.first, "pcap");
	if (keep_aside(m->c.sys, m->c.dir, name, err) < 0)
		return err->code;
	segment_name(name, m->c.first, "idx");
	return keep_aside(m->c.sys, m->c.dir, name, err);
}

static int sync_names(struct sys *sys, const char *dir, struct err *err)
{
	int rc = sys->sync_dir(sys, dir);

	return rc < 0 ? err_disk(err, -rc, "%s cannot be synced", dir) : 0;
}

static int settle_file(struct sys *sys, const char *dir, uint64_t first,
		       const char *kind, bool take, struct err *err)
{
	char *from = mend_path(dir, first, kind);
	char *to = segment_path(dir, first, kind);
	int rc = take ? sys->rename(sys, from, to) : 0;

	if (rc < 0)
		err_disk(err, -rc, "%s cannot be renamed to %s", from, to);
	/* A crash may have left both names: then renaming does nothing. */
	if (rc == 0 && (rc = sys->unlink(sys, from)) < 0 && rc != -ENOENT)
		err_sys(err, -rc, "%s cannot be removed", from);
	free(from);
	free(to);
	return rc < 0 && rc != -ENOENT ? err->code : 0;
}

int mend_settle(struct sys *sys, const char *dir, const struct scan_dir *names,
		struct err *err)
{
	char *journal = path_in(dir, journal_name);
	int file = sys->open(sys, journal, SYS_READ);
	bool take = file >= 0;
	int rc = 0;

	if (take)
		sys->close(sys, file);
	else if (file != -ENOENT)
		rc = err_sys(err, -file, "%s cannot be opened", journal);
	for (size_t i = 0; rc == 0 && i < names->n_made; i++) {
		const struct scan_pair *made = &names->made[i];

		if (made->pcap)
			rc = settle_file(sys, dir, made->number, "pcap", take,
					 err);
		if (rc == 0 && made->idx)
			rc = settle_file(sys, dir, made->number, "idx", take,
					 err);
	}
	if (rc == 0 && take)
		rc = sync_names(sys, dir, err);
	if (rc == 0 && take) {
		rc = sys->unlink(sys, journal);
		if (rc < 0)
			err_disk(err, -rc, "%s cannot be removed", journal);
		else
			rc = sync_names(sys, dir, err);
	}
	free(journal);
	return rc < 0 ? err->code : take || names->n_made;
}

/* From here on the made files count, and not those whose places they take. */
static int name_made(struct mending *m, struct err *err)
{
	static const char text[] = "the files mend-* take their places\n";
	char *journal = path_in(m->c.dir, journal_name);
	struct scan_dir names;
	int rc = sync_names(m->c.sys, m->c.dir, err);

	if (rc == 0) {
		rc = sys_replace_file(m->c.sys, journal, text,
				      sizeof(text) - 1);
		if (rc < 0)
			err_disk(err, -rc, "%s cannot be written", journal);
	}
	free(journal);
	if (rc < 0)
		return err->code;
	if (scan_list(m->c.sys, m->c.dir, &names, err) < 0)
		return err->code;
	rc = mend_settle(m->c.sys, m->c.dir, &names, err);
	scan_release(&names);
	return rc < 0 ? rc : 0;
}

static void forget_made(struct mending *m)
{
	while (m->made) {
		struct made *made = m->made;

		m->made = made->next;
		if (made->pcap >= 0)
			m->c.sys->close(m->c.sys, made->pcap);
		buf_release(&made->idx);
		free(made);
	}
}

/* -- segments -------------------------------------------------------------- */

static int rebuild(struct mending *m, struct err *err)
{
	struct pieces p = { 0 };
	int rc = set_aside(m, err);

	/* What its header says of those before it, if that is still true. */
	if (m->c.x.headed) {
		m->chain = m->c.x.head.chain;
		if (!m->changed) {
			m->dropped = m->c.x.head.dropped;
			m->before = m->c.x.head.before;
		}
	}
	if (rc == 0 && m->c.has_idx)
		take_entries(m, &p);
	else if (rc == 0 && m->c.pcap >= 0)
		rc = take_from_pcap(m, &p, err);
	/* Whatever chain the next one counts on is the last one's. */
	if (rc == 0 && !m->c.has_idx && p.n && m->c.has_next &&
	    p.at[p.n - 1].index + p.at[p.n - 1].packets == m->c.next) {
		struct scan_ends ends;

		if (scan_ends(m->c.sys, m->c.dir, &m->report.identity,
			      m->c.next, &ends) == 0 &&
		    ends.headed)
			p.at[p.n - 1].chain = ends.head.chain;
	}
	if (rc == 0)
		rc = make_again(m, &p, err);
	if (rc == 0)
		rc = name_made(m, err);
	forget_made(m);
	free(p.at);
	m->changed = true;
	return rc;
}

/* The segment before has another number of entries now, or was another. */
static int patch_head(struct mending *m, struct err *err)
{
	struct scan_index *x = &m->c.x;
	char *path = segment_path(m->c.dir, m->c.first, "idx");
	struct buf b = { 0 };
	int rc;

	x->head.before = m->before;
	put_idx_head(&b, &x->head);
	put_bytes(&b,
		  bytes_of(x->bytes.p + IDX_HEADER, x->bytes.len - IDX_HEADER));
	rc = sys_replace_file(m->c.sys, path, b.p, b.len);
	if (rc < 0)
		err_disk(err, -rc, "%s cannot be written", path);
	buf_release(&b);
	free(path);
	return rc < 0 ? err->code : 0;
}

static void go_behind(struct mending *m)
{
	struct idx_entry e;

	if (m->c.x.headed) {
		m->chain = m->c.x.head.chain;
		m->dropped = m->c.x.head.dropped;
		m->incarnation = m->c.x.head.incarnation;
	}
	for (uint32_t i = 0; i < m->c.limit; i++) {
		if (scan_entry(&m->c.x, i, &e) < 0)
			continue;
		m->chain = e.chain;
		if (e.type == ENTRY_DROP)
			m->dropped += e.value;
	}
	m->before = m->c.limit;
	m->changed = false;
}

static int mend_segment(struct mending *m, struct err *err)
{
	struct check *c = &m->c;

	check_segment(c);
	if (c->bad)
		return rebuild(m, err);
	if (m->changed && c->x.head.before != m->before &&
	    patch_head(m, err) < 0)
		return err->code;
	go_behind(m);
	return 0;
}

/* -- id -------------------------------------------------------------------- */

/* The commonest damage: one bit.  There is only one way back. */
static bool flip_back(struct buf *text, struct spool_identity *id)
{
	for (size_t bit = 0; bit < text->len * 8; bit++) {
		text->p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (identity_parse(buf_bytes(text), id) == 0)
			return true;
		text->p[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	return false;
}

/* The directory's own name will do where the source's is lost. */
static void name_by_dir(const char *dir, struct spool_identity *id)
{
	const char *base = strrchr(dir, '/');
	size_t len;

	base = base ? base + 1 : dir;
	len = strcspn(base, ".");
	if (len < 1 || len > SPOOL_NAME_MAX)
		len = 0;
	memcpy(id->name, len ? base : "source", len ? len : 6);
	id->name[len ? len : 6] = '\0';
	if (!source_name_good(id->name))
		memcpy(id->name, "source", 7);
}

static int mend_id(struct mending *m, const struct scan_dir *names,
		   struct err *err)
{
	struct spool_identity *id = &m->report.identity;
	char *path = path_in(m->c.dir, "id");
	struct buf text = { 0 };
	int rc = identity_load(m->c.sys, m->c.dir, id, err);
	bool known = false;

	if (rc == ERR_DAMAGED || (rc == ERR_GONE && names->n_segments)) {
		*err = ERR_NONE;
		if (file_load(m->c.sys, path, IDENTITY_MAX, &text) == 0)
			known = flip_back(&text, id);
		if (!known) {
			rc = id_from_headers(m->c.sys, m->c.dir, names, id);
			name_by_dir(m->c.dir, id);
		} else {
			rc = 0;
		}
		if (rc < 0)
			err_set(err, rc,
				"%s is damaged, and no index tells "
				"what it was",
				path);
		else if (keep_aside(m->c.sys, m->c.dir, "id", err) < 0)
			rc = err->code;
		else
			rc = identity_save(m->c.sys, m->c.dir, id, err);
	}
	buf_release(&text);
	free(path);
	return rc;
}

/* -- all ------------------------------------------------------------------- */

/* The segments, behind a mending that may have been interrupted. */
static int list_settled(struct mending *m, struct scan_dir *names,
			struct err *err)
{
	int rc = scan_list(m->c.sys, m->c.dir, names, err);

	if (rc == 0)
		rc = mend_settle(m->c.sys, m->c.dir, names, err);
	if (rc > 0) {
		scan_release(names);
		rc = scan_list(m->c.sys, m->c.dir, names, err);
	}
	if (rc < 0)
		scan_release(names);
	return rc;
}

static int mend_all(struct mending *m, struct err *err)
{
	struct scan_dir names;
	struct recovered r;
	int rc;

	if (list_settled(m, &names, err) < 0)
		return err->code;
	m->c.has_live = live_find(m->c.sys, m->c.dir, &m->c.live);
	rc = mend_id(m, &names, err);
	for (size_t i = 0; rc == 0 && i < names.n_segments; i++) {
		check_place(&m->c, &names, i);
		if (half_reaped(&m->c, &names.segments[i]))
			continue;
		m->c.any = true;
		rc = check_open(&m->c, &names.segments[i], err);
		if (rc == 0)
			rc = mend_segment(m, err);
		check_close(&m->c);
	}
	scan_release(&names);
	if (rc < 0)
		return rc;
	rc = spool_recover(m->c.sys, m->c.dir, &m->report.identity, 1, &r, err);
	if (rc == 0)
		rc = live_settle(m->c.sys, m->c.dir, &r, err);
	if (rc == 0)
		recovered_release(&r);
	return rc;
}

static void tell(void *arg, const struct spool_fault *f)
{
	(void)arg;
	if (f->to > f->from)
		log_error("spool",
			  "%s, offset %" PRIu64 ", packets %" PRIu64
			  " to %" PRIu64 ": %s",
			  f->file, f->offset, f->from, f->to - 1, f->what);
	else
		log_error("spool", "%s, offset %" PRIu64 ": %s", f->file,
			  f->offset, f->what);
}

int mend_last(struct sys *sys, const char *dir, const struct spool_identity *id,
	      const struct scan_dir *names, const struct live *live,
	      struct err *err)
{
	const struct spool_examine how = { .verify = true, .on_fault = tell };
	struct mending m = { .report.identity = *id };
	size_t last = names->n_segments - 1;
	int rc = 0;

	m.c = (struct check){ .sys = sys,
			      .dir = dir,
			      .how = &how,
			      .report = &m.report,
			      .pcap = -1,
			      .has_live = live != NULL };
	if (live)
		m.c.live = *live;
	for (size_t i = last ? last - 1 : last; rc == 0 && i <= last; i++) {
		check_place(&m.c, names, i);
		rc = check_open(&m.c, &names->segments[i], err);
		if (rc == 0 && i < last)
			go_behind(&m);
		if (rc == 0 && i == last) {
			check_segment(&m.c);
			rc = rebuild(&m, err);
		}
		check_close(&m.c);
	}
	buf_release(&m.c.scratch);
	return rc;
}

int spool_mend(struct sys *sys, const char *dir,
	       const struct spool_examine *how, struct err *err)
{
	struct spool_examine all = *how;
	struct mending m = { .c = { .sys = sys, .dir = dir, .pcap = -1 } };
	char *path = path_in(dir, "lock");
	int lock = sys->open(sys, path, SYS_READ | SYS_WRITE | SYS_CREATE);
	int rc = lock < 0 ? lock : sys->lock(sys, lock);

	all.verify = true;
	m.c.how = &all;
	m.c.report = &m.report;
	if (rc == -EWOULDBLOCK)
		rc = err_set(err, ERR_BUSY,
			     "%s is being written; stop the writer first", dir);
	else if (rc < 0)
		rc = err_sys(err, -rc, "%s cannot be locked", path);
	else
		rc = mend_all(&m, err);
	if (lock >= 0)
		sys->close(sys, lock);
	buf_release(&m.c.scratch);
	free(path);
	return rc;
}
