/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.c - what lies in a spool's directory; reads, changes nothing.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "codec/record.h"
#include "engine/spool/spool_priv.h"

enum { IDX_MAX = IDX_HEADER + (IDX_ENTRIES_MAX + 65536) * IDX_ENTRY };

char *segment_path(const char *dir, uint64_t first, const char *kind)
{
	char name[FILE_NAME_MAX];

	segment_name(name, first, kind);
	return path_in(dir, name);
}

char *spare_path(const char *dir, uint64_t number, const char *kind)
{
	char name[FILE_NAME_MAX];

	spare_name(name, number, kind);
	return path_in(dir, name);
}

char *old_spare_path(const char *dir, uint64_t number, const char *kind)
{
	char name[FILE_NAME_MAX];

	old_spare_name(name, number, kind);
	return path_in(dir, name);
}

/* -- names --------------------------------------------------------------- */

static void add_file(void *arg, const char *name)
{
	struct scan_dir *d = arg;
	struct file_name file;
	struct scan_pair **list;
	bool made = strncmp(name, MEND_PREFIX, strlen(MEND_PREFIX)) == 0;
	size_t *n;

	if (file_name_parse(name + (made ? strlen(MEND_PREFIX) : 0), &file) <
		    0 ||
	    (made && file.spare))
		return;
	list = made	    ? &d->made
	       : file.old   ? &d->old
	       : file.spare ? &d->spares
			    : &d->segments;
	n = made	 ? &d->n_made
	    : file.old	 ? &d->n_old
	    : file.spare ? &d->n_spares
			 : &d->n_segments;
	/* Doubling by powers of two, the room is never stored. */
	if ((*n & (*n - 1)) == 0)
		*list = mem_grow(*list, (*n ? 2 * *n : 1) * sizeof(**list));
	(*list)[(*n)++] = (struct scan_pair){ .number = file.number,
					      .pcap = !file.idx,
					      .idx = file.idx };
}

static int by_number(const void *a, const void *b)
{
	const struct scan_pair *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

/* Sort, and make one of the two files of a pair. */
static size_t join_pairs(struct scan_pair *list, size_t n)
{
	size_t out = 0;

	if (n)
		qsort(list, n, sizeof(*list), by_number);
	for (size_t i = 0; i < n; i++) {
		if (out && list[out - 1].number == list[i].number) {
			list[out - 1].pcap |= list[i].pcap;
			list[out - 1].idx |= list[i].idx;
		} else {
			list[out++] = list[i];
		}
	}
	return out;
}

int scan_list(struct sys *sys, const char *dir, struct scan_dir *out,
	      struct err *err)
{
	int rc;

	*out = (struct scan_dir){ 0 };
	rc = sys->list(sys, dir, add_file, out);
	if (rc < 0) {
		scan_release(out);
		if (rc == -ENOENT || rc == -ENOTDIR)
			return err_set(err, ERR_GONE,
				       "%s: there is no such directory", dir);
		return err_sys(err, -rc, "%s cannot be listed", dir);
	}
	out->n_segments = join_pairs(out->segments, out->n_segments);
	out->n_spares = join_pairs(out->spares, out->n_spares);
	out->n_old = join_pairs(out->old, out->n_old);
	out->n_made = join_pairs(out->made, out->n_made);
	return 0;
}

void scan_release(struct scan_dir *s)
{
	free(s->segments);
	free(s->spares);
	free(s->old);
	free(s->made);
	*s = (struct scan_dir){ 0 };
}

/* -- index --------------------------------------------------------------- */

static bool is_of(const struct idx_head *head, const struct spool_identity *id)
{
	return memcmp(head->id, id->id, SPOOL_ID) == 0;
}

static int load(struct sys *sys, const char *path,
		const struct spool_identity *id, struct scan_index *out)
{
	int rc = file_load(sys, path, IDX_MAX, &out->bytes);

	out->headed = false;
	out->n = 0;
	if (rc < 0)
		return rc;
	if (out->bytes.len >= IDX_HEADER)
		out->n = (uint32_t)((out->bytes.len - IDX_HEADER) / IDX_ENTRY);
	out->headed = idx_head_parse(buf_bytes(&out->bytes), &out->head) == 0 &&
		      is_of(&out->head, id);
	return 0;
}

int scan_index_load(struct sys *sys, const char *path,
		    const struct spool_identity *id, uint64_t first,
		    struct scan_index *out)
{
	int rc = load(sys, path, id, out);

	out->headed = out->headed && out->head.first == first;
	out->first = first;
	out->seed = entry_seed(id->id, first);
	return rc;
}

int scan_index_load_spare(struct sys *sys, const char *path,
			  const struct spool_identity *id,
			  struct scan_index *out)
{
	int rc = load(sys, path, id, out);

	out->first = out->headed ? out->head.first : 0;
	out->seed = entry_seed(id->id, out->first);
	return rc;
}

void scan_index_release(struct scan_index *x)
{
	buf_release(&x->bytes);
	*x = (struct scan_index){ 0 };
}

int scan_entry(const struct scan_index *x, uint32_t i, struct idx_entry *e)
{
	if (i >= x->n)
		return ERR_END;
	return entry_parse(
		bytes_of(x->bytes.p + IDX_HEADER + (size_t)i * IDX_ENTRY,
			 IDX_ENTRY),
		x->seed, e);
}

int scan_records_good(struct sys *sys, int pcap, const struct idx_entry *e,
		      struct buf *scratch)
{
	int rc;

	buf_clear(scratch);
	rc = sys_read_full(sys, pcap, buf_reserve(scratch, e->length),
			   e->length, e->value);
	if (rc == -EIO)
		return 0; /* the file ends before them, or rots: not real */
	if (rc < 0)
		return rc;
	return crc32c(bytes_of(scratch->p, e->length)) == e->crc;
}

/* Is entry e what may stand behind the walk so far?  1, 0 or an errno. */
static int is_real(struct sys *sys, int pcap, const struct idx_entry *e,
		   const struct scan_walk *w, struct buf *scratch)
{
	if (w->sealed || e->index != w->end)
		return 0;
	if (e->type == ENTRY_SEAL)
		return e->value == w->length;
	/* Behind a GAP only the SEAL may stand. */
	if (w->next != w->end)
		return 0;
	if (e->type != ENTRY_BATCH)
		return 1;
	if (e->value != w->length)
		return 0;
	return pcap < 0 ? 1 : scan_records_good(sys, pcap, e, scratch);
}

static void step(struct scan_walk *w, const struct idx_entry *e)
{
	w->entries++;
	switch (e->type) {
	case ENTRY_BATCH:
		w->batches++;
		w->end = w->next = e->index + e->packets;
		w->length += e->length;
		w->chain = e->chain;
		if (e->end_ns > w->end_ns)
			w->end_ns = e->end_ns;
		break;
	case ENTRY_DROP:
		w->dropped += e->value;
		break;
	case ENTRY_GAP:
		w->next = e->value;
		w->lost += e->value - e->index;
		break;
	case ENTRY_NOTE:
		if (e->reason == SPOOL_NOTE_START && e->value > w->incarnation)
			w->incarnation = e->value;
		break;
	case ENTRY_SEAL:
		w->sealed = true;
		w->end_ns = e->end_ns;
		break;
	}
}

/*
 * Entries behind the first unreal one that belong to a later commit prove that
 * it was durable once: damage, not a torn tail.
 */
static int find_later(struct sys *sys, const struct scan_index *x, int pcap,
		      uint32_t limit, struct scan_walk *w, struct buf *scratch)
{
	struct idx_entry e;
	int rc;

	for (uint32_t i = w->entries + 1; i < limit && i < x->n; i++) {
		if (scan_entry(x, i, &e) < 0 || e.synced <= w->entries ||
		    e.synced > i)
			continue;
		rc = e.type == ENTRY_BATCH && pcap >= 0
			     ? scan_records_good(sys, pcap, &e, scratch)
			     : 1;
		if (rc < 0)
			return rc;
		if (rc) {
			w->damaged = true;
			return 0;
		}
	}
	return 0;
}

int scan_walk(struct sys *sys, const struct scan_index *x, int pcap,
	      uint32_t limit, struct scan_walk *w, struct err *err)
{
	struct buf scratch = { 0 };
	struct idx_entry e;
	int rc = 1;

	*w = (struct scan_walk){
		.end = x->first,
		.next = x->first,
		.length = PCAP_HEADER,
		.chain = x->headed ? x->head.chain : 0,
		.incarnation = x->headed ? x->head.incarnation : 0,
	};
	while (w->entries < limit && scan_entry(x, w->entries, &e) == 0) {
		rc = is_real(sys, pcap, &e, w, &scratch);
		if (rc <= 0)
			break;
		step(w, &e);
	}
	if (rc >= 0 && !w->sealed && w->entries < limit)
		rc = find_later(sys, x, pcap, limit, w, &scratch);
	buf_release(&scratch);
	if (rc < 0)
		return err_sys(err, -rc, "segment %llu cannot be read",
			       (unsigned long long)x->first);
	return 0;
}

/* The first batch of the seal's own commit that is not real; x->n if none. */
static int check_last_commit(struct sys *sys, const struct scan_index *x,
			     int pcap, uint32_t from, uint32_t *bad)
{
	struct buf scratch = { 0 };
	struct idx_entry e;
	int rc = 1;

	for (*bad = from; rc > 0 && *bad < x->n; ++*bad) {
		rc = scan_entry(x, *bad, &e) == 0;
		if (rc && e.type == ENTRY_BATCH)
			rc = scan_records_good(sys, pcap, &e, &scratch);
		if (rc <= 0)
			break;
	}
	buf_release(&scratch);
	return rc < 0 ? rc : 0;
}

/*
 * What `live` says was durable and is not real is no torn tail.  It may say
 * less than was durable, since it is not synced itself, but never more.
 */
static int hold_against_live(struct sys *sys, const struct scan_index *x,
			     int pcap, const struct live *live,
			     struct scan_walk *w)
{
	struct idx_entry e;
	uint64_t size = 0;
	int rc;

	if (!live || live->segment != x->first || live->head <= w->next)
		return 0;
	w->durable = live->head;
	if (w->damaged)
		return 0;
	rc = sys->size(sys, pcap, &size);
	w->shortened = w->entries >= x->n ||
		       (scan_entry(x, w->entries, &e) == 0 &&
			e.type == ENTRY_BATCH && e.value + e.length > size);
	w->damaged = !w->shortened;
	return rc;
}

static int walk_last(struct sys *sys, const struct scan_index *x, int pcap,
		     struct scan_walk *w, struct err *err)
{
	struct idx_entry seal;
	uint32_t bad;
	int rc;

	if (scan_walk(sys, x, -1, UINT32_MAX, w, err) < 0)
		return err->code;
	if (!w->sealed || scan_entry(x, w->entries - 1, &seal) < 0)
		return scan_walk(sys, x, pcap, UINT32_MAX, w, err);
	rc = check_last_commit(sys, x, pcap, seal.synced, &bad);
	if (rc < 0)
		return err_sys(err, -rc, "segment %llu cannot be read",
			       (unsigned long long)x->first);
	return bad < w->entries ? scan_walk(sys, x, -1, bad, w, err) : 0;
}

int scan_last(struct sys *sys, const struct scan_index *x, int pcap,
	      const struct live *live, struct scan_walk *w, struct err *err)
{
	int rc = walk_last(sys, x, pcap, w, err);

	if (rc < 0)
		return rc;
	rc = hold_against_live(sys, x, pcap, live, w);
	if (rc < 0)
		return err_sys(err, -rc, "segment %llu cannot be read",
			       (unsigned long long)x->first);
	return 0;
}

/* -- ends ---------------------------------------------------------------- */

static int size_of(struct sys *sys, const char *path, uint64_t *size)
{
	int file = sys->open(sys, path, SYS_READ);
	int rc;

	if (file < 0)
		return file;
	rc = sys->size(sys, file, size);
	sys->close(sys, file);
	return rc;
}

static void take_ends(struct scan_ends *out, uint32_t seed,
		      const uint8_t raw[2 * IDX_ENTRY])
{
	struct idx_entry e;

	if (entry_parse(bytes_of(raw + IDX_ENTRY, IDX_ENTRY), seed, &e) < 0 ||
	    e.type != ENTRY_SEAL)
		return;
	out->sealed = true;
	out->end = out->next = e.index;
	out->chain = e.chain;
	out->length = e.value;
	out->sealed_ns = e.end_ns;
	if (entry_parse(bytes_of(raw, IDX_ENTRY), seed, &e) == 0 &&
	    e.type == ENTRY_GAP) {
		out->gap = true;
		out->next = e.value;
	}
}

int scan_ends(struct sys *sys, const char *dir, const struct spool_identity *id,
	      uint64_t first, struct scan_ends *out)
{
	char *pcap = segment_path(dir, first, "pcap");
	char *idx = segment_path(dir, first, "idx");
	uint8_t raw[2 * IDX_ENTRY] = { 0 };
	int file = sys->open(sys, idx, SYS_READ);
	int rc = file < 0 ? file : 0;

	_Static_assert(IDX_HEADER == 2 * IDX_ENTRY, "one buffer for both");
	*out = (struct scan_ends){ 0 };
	if (rc == 0)
		rc = size_of(sys, pcap, &out->pcap_len);
	if (rc == 0)
		rc = sys->size(sys, file, &out->idx_len);
	if (rc == 0 && out->idx_len >= IDX_HEADER &&
	    (rc = sys_read_full(sys, file, raw, IDX_HEADER, 0)) == 0)
		out->headed = idx_head_parse(bytes_of(raw, IDX_HEADER),
					     &out->head) == 0 &&
			      is_of(&out->head, id) && out->head.first == first;
	/* The entry before the last may be a GAP; before the first entry is
	 * the header, which never parses as one. */
	if (rc == 0 && out->idx_len > IDX_HEADER &&
	    (rc = sys_read_full(sys, file, raw, sizeof(raw),
				out->idx_len - sizeof(raw))) == 0)
		take_ends(out, entry_seed(id->id, first), raw);
	if (file >= 0)
		sys->close(sys, file);
	free(pcap);
	free(idx);
	return rc;
}
