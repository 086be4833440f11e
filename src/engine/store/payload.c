/* SPDX-License-Identifier: Apache-2.0 */
/*
 * payload.c - segment files: extents handed out from front to back.
 *
 * New extents follow each other in the active segment, so small streams are
 * gathered into one large write.  Only the room left in a stream's last extent
 * is written out of order.
 */
#include "engine/store/store_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "sys/sys.h"

enum {
	SEGMENT_LEAST = 128 << 10,
	SEGMENT_MOST = 64 << 20,
	SEGMENTS = 16, /* that the cap is divided into, where it can */
	GATHER = 1 << 20,
	PAD = 4 << 10 /* zeros rather than another write */
};

static char *segment_path(const char *dir, uint32_t number)
{
	char name[SEGMENT_NAME];

	payload_name(name, number);
	return mem_format("%s/%s", dir, name);
}

void extents_add(struct extents *list, const struct extent *e)
{
	if (list->n == list->room) {
		list->room = list->room ? 2 * list->room : 4;
		list->at = mem_grow(list->at, list->room * sizeof(*list->at));
	}
	list->at[list->n++] = *e;
}

/* -- opening ---------------------------------------------------------------- */

static struct segment *add_segment(struct payload *p, uint32_t number)
{
	if (p->n == p->room) {
		p->room = p->room ? 2 * p->room : 16;
		p->at = mem_grow(p->at, p->room * sizeof(*p->at));
	}
	p->at[p->n] = (struct segment){ .number = number, .file = -1 };
	return &p->at[p->n++];
}

static void on_name(void *arg, const char *name)
{
	struct payload *p = arg;
	uint32_t number;

	if (payload_name_parse(name, &number) == 0)
		add_segment(p, number);
}

static int by_number(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

static int measure(struct payload *p, struct segment *seg, struct err *err)
{
	char *path = segment_path(p->dir, seg->number);
	int file = p->sys->open(p->sys, path, SYS_READ);
	int rc = file < 0 ? file : p->sys->size(p->sys, file, &seg->size);

	if (file >= 0)
		p->sys->close(p->sys, file);
	if (rc < 0)
		err_sys(err, -rc, "cannot measure %s", path);
	free(path);
	p->bytes += seg->size;
	return rc < 0 ? ERR_FAILED : 0;
}

/*
 * Segments from `next` on were begun after the last commit: no row knows them.
 */
static int drop_unknown(struct payload *p, uint32_t next, struct err *err)
{
	while (p->n && p->at[p->n - 1].number >= next) {
		char *path = segment_path(p->dir, p->at[--p->n].number);
		int rc = p->sys->unlink(p->sys, path);

		if (rc < 0)
			err_sys(err, -rc, "cannot remove %s", path);
		free(path);
		if (rc < 0)
			return ERR_FAILED;
	}
	return 0;
}

int payload_open(struct payload *p, const struct store_config *cfg,
		 uint32_t next, struct err *err)
{
	uint64_t segment = cfg->payload_max / SEGMENTS;
	int rc;

	p->sys = cfg->sys;
	p->max = cfg->payload_max;
	p->segment_max = segment < SEGMENT_LEAST  ? SEGMENT_LEAST
			 : segment > SEGMENT_MOST ? SEGMENT_MOST
						  : (uint32_t)segment;
	p->extent_max = p->segment_max / 4 < EXTENT_MOST ? p->segment_max / 4
							 : EXTENT_MOST;
	p->next = next;
	rc = sys_mkdir_all(p->sys, p->dir);
	if (rc >= 0)
		rc = p->sys->list(p->sys, p->dir, on_name, p);
	if (rc < 0)
		return err_sys(err, -rc, "cannot read %s", p->dir);
	if (p->n)
		qsort(p->at, p->n, sizeof(*p->at), by_number);
	if (drop_unknown(p, next, err) < 0)
		return err->code;
	for (size_t i = 0; i < p->n; i++)
		if (measure(p, &p->at[i], err) < 0)
			return err->code;
	return 0;
}

void payload_close(struct payload *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->at[i].file >= 0)
			p->sys->close(p->sys, p->at[i].file);
	free(p->at);
	free(p->dir);
	free(p->dead);
	buf_release(&p->out);
	*p = (struct payload){ 0 };
}

/* -- writing ---------------------------------------------------------------- */

static struct segment *find_segment(struct payload *p, uint32_t number)
{
	for (size_t i = p->n; i > 0; i--)
		if (p->at[i - 1].number == number)
			return &p->at[i - 1];
	return NULL;
}

static int open_segment(struct payload *p, struct segment *seg, int flags,
			struct err *err)
{
	char *path;

	if (seg->file >= 0)
		return 0;
	path = segment_path(p->dir, seg->number);
	seg->file = p->sys->open(p->sys, path, SYS_READ | SYS_WRITE | flags);
	if (seg->file < 0)
		err_sys(err, -seg->file, "cannot open %s", path);
	free(path);
	return seg->file < 0 ? ERR_FAILED : 0;
}

static int write_at(struct payload *p, uint32_t number, uint64_t at,
		    struct bytes data, struct err *err)
{
	struct segment *seg = find_segment(p, number);
	int rc;

	if (!seg)
		return err_set(err, ERR_DAMAGED, "%s: segment %08x is gone",
			       p->dir, number);
	if (open_segment(p, seg, 0, err) < 0)
		return err->code;
	seg->unsynced = true;
	rc = sys_write_full(p->sys, seg->file, data.p, data.len, at);
	if (rc < 0)
		return err_sys(err, -rc, "cannot write segment %08x in %s",
			       number, p->dir);
	return 0;
}

int payload_flush(struct payload *p, struct err *err)
{
	int rc = 0;

	if (p->out.len)
		rc = write_at(p, p->out_segment, p->out_at, buf_bytes(&p->out),
			      err);
	buf_clear(&p->out);
	return rc;
}

static int begin_segment(struct payload *p, struct err *err)
{
	struct segment *seg;

	if (payload_flush(p, err) < 0)
		return err->code;
	/* One segment's room is for moving what must stay. */
	if (p->bytes + (p->moving ? 1 : 2) * (uint64_t)p->segment_max > p->max)
		return err_set(err, ERR_FULL, "%s has reached its cap", p->dir);
	seg = add_segment(p, p->next++);
	p->new_names = true;
	p->out_segment = seg->number;
	p->out_at = 0;
	put_segment_head(&p->out, seg->number, p->sys->wall_ns(p->sys));
	seg->size = SEGMENT_HEADER;
	seg->ours = true;
	p->bytes += seg->size;
	return open_segment(p, seg, SYS_CREATE | SYS_TRUNCATE, err);
}

/* Gather what belongs at `at` of the active segment; it only goes forward. */
static int gather(struct payload *p, uint64_t at, struct bytes data,
		  struct err *err)
{
	uint32_t active = p->at[p->n - 1].number;
	uint64_t end = p->out_at + p->out.len;

	if (p->out.len &&
	    (p->out_segment != active || p->out.len > GATHER ||
	     at - end > PAD) &&
	    payload_flush(p, err) < 0)
		return err->code;
	if (!p->out.len) {
		p->out_segment = active;
		p->out_at = at;
	}
	put_zeros(&p->out, (size_t)(at - p->out_at - p->out.len));
	put_bytes(&p->out, data);
	return 0;
}

/* Take room for an extent; its header is written. */
static int new_extent(struct payload *p, const struct extent_head *h,
		      struct extent *e, struct err *err)
{
	uint64_t size = EXTENT_HEADER + (uint64_t)h->cap;
	struct segment *seg = p->n ? &p->at[p->n - 1] : NULL;
	struct buf head = { 0 };
	int rc;

	/* A segment of an earlier run is not gone on with: what lies behind
	 * its last committed extent is anybody's guess. */
	if ((!seg || !seg->ours || seg->size + size > p->segment_max) &&
	    begin_segment(p, err) < 0)
		return err->code;
	seg = &p->at[p->n - 1];
	put_extent_head(&head, h);
	rc = gather(p, seg->size, buf_bytes(&head), err);
	buf_release(&head);
	*e = (struct extent){ .segment = seg->number,
			      .offset = (uint32_t)seg->size + EXTENT_HEADER,
			      .cap = h->cap,
			      .pos = h->pos };
	seg->size += size;
	p->bytes += size;
	return rc;
}

static uint32_t cap_for(const struct payload *p, size_t n, uint64_t len,
			bool exact)
{
	uint32_t cap = extent_cap(n, len, p->extent_max);

	return exact && len < cap ? (uint32_t)len : cap;
}

uint64_t payload_need(const struct payload *p, const struct extents *disk,
		      uint64_t len, bool exact)
{
	const struct extent *last = disk->n ? &disk->at[disk->n - 1] : NULL;
	uint64_t room = last ? last->cap - last->used : 0, need = 0;

	len -= len < room ? len : room;
	for (size_t n = disk->n; len; n++) {
		uint32_t cap = cap_for(p, n, len, exact);

		need += EXTENT_HEADER + (uint64_t)cap;
		len -= len < cap ? len : cap;
	}
	return need;
}

/* The room that the last extent still has. */
static int fill_last(struct payload *p, struct way *w, struct bytes *data,
		     struct err *err)
{
	const struct extent *last;
	struct bytes part = *data;

	w->fill = 0;
	if (!w->disk.n)
		return 0;
	last = &w->disk.at[w->disk.n - 1];
	if (part.len > last->cap - last->used)
		part.len = last->cap - last->used;
	if (!part.len)
		return 0;
	if (write_at(p, last->segment, last->offset + (uint64_t)last->used,
		     part, err) < 0)
		return err->code;
	w->fill = (uint32_t)part.len;
	w->fill_crc = crc32c_more(last->crc, part);
	*data = bytes_of(data->p + part.len, data->len - part.len);
	return 0;
}

int payload_place(struct payload *p, uint64_t id, int number, struct way *w,
		  bool exact, struct err *err)
{
	struct bytes data = buf_bytes(&w->flushing);
	const struct extent *last = w->disk.n ? &w->disk.at[w->disk.n - 1]
					      : NULL;
	uint64_t pos = last ? last->pos + last->used : 0;

	if (fill_last(p, w, &data, err) < 0)
		return err->code;
	for (pos += w->fill; data.len;) {
		size_t n = w->disk.n + w->fresh.n;
		struct extent_head head = {
			.id = id,
			.pos = pos,
			.cap = cap_for(p, n, data.len, exact),
			.way = (uint8_t)number,
		};
		struct bytes part = data;
		struct extent e;

		if (part.len > head.cap)
			part.len = head.cap;
		if (new_extent(p, &head, &e, err) < 0 ||
		    gather(p, e.offset, part, err) < 0)
			return err->code;
		e.used = (uint32_t)part.len;
		e.crc = crc32c(part);
		extents_add(&w->fresh, &e);
		pos += part.len;
		data = bytes_of(data.p + part.len, data.len - part.len);
	}
	return 0;
}

int payload_move(struct payload *p, uint64_t id, int way, struct extent *e,
		 struct err *err)
{
	struct extent_head head = { .id = id, .pos = e->pos, .cap = e->cap,
				    .way = (uint8_t)way };
	uint8_t *content = mem_alloc(e->used ? e->used : 1);
	struct extent to;
	int rc = payload_read(p->sys, p->dir, e, 0, e->used, content);

	p->moving = true;
	/* Damaged bytes move too: their checksum keeps telling. */
	if (rc < 0)
		err_set(err, rc, "cannot read segment %08x in %s", e->segment,
			p->dir);
	else
		rc = new_extent(p, &head, &to, err);
	if (rc == 0)
		rc = gather(p, to.offset, bytes_of(content, e->used), err);
	if (rc == 0) {
		to.used = e->used;
		to.crc = e->crc;
		*e = to;
	}
	p->moving = false;
	free(content);
	return rc;
}

bool payload_fits(const struct payload *p, uint64_t need)
{
	/* Each begun segment may waste an extent's room at its end. */
	uint64_t waste = (need / (p->segment_max - p->extent_max) + 1) *
			 (p->extent_max + SEGMENT_HEADER);

	return p->bytes + need + waste + 2 * (uint64_t)p->segment_max <=
	       p->max;
}

int payload_sync(struct payload *p, struct err *err)
{
	if (payload_flush(p, err) < 0)
		return err->code;
	for (size_t i = 0; i < p->n; i++) {
		struct segment *seg = &p->at[i];
		int rc = seg->unsynced ? p->sys->sync(p->sys, seg->file) : 0;

		if (rc < 0)
			return err_sys(err, -rc,
				       "cannot sync segment %08x in %s",
				       seg->number, p->dir);
		seg->unsynced = false;
		/* Only the active one stays open. */
		if (i + 1 < p->n && seg->file >= 0) {
			p->sys->close(p->sys, seg->file);
			seg->file = -1;
		}
	}
	if (p->new_names) {
		int rc = p->sys->sync_dir(p->sys, p->dir);

		if (rc < 0)
			return err_sys(err, -rc, "cannot sync %s", p->dir);
		p->new_names = false;
	}
	return 0;
}

/* -- giving back ------------------------------------------------------------ */

int payload_load(struct payload *p, const struct segment *seg, struct buf *to,
		 struct err *err)
{
	char *path = segment_path(p->dir, seg->number);
	int file = p->sys->open(p->sys, path, SYS_READ), rc = file;
	uint64_t size = 0;
	uint32_t number;

	if (rc >= 0)
		rc = p->sys->size(p->sys, file, &size);
	if (rc >= 0 && size > SEGMENT_MOST)
		size = SEGMENT_MOST;
	buf_clear(to);
	if (rc >= 0)
		rc = sys_read_full(p->sys, file, buf_reserve(to, size), size,
				   0);
	if (file >= 0)
		p->sys->close(p->sys, file);
	if (rc < 0) {
		err_sys(err, -rc, "cannot read %s", path);
	} else {
		buf_added(to, size);
		rc = segment_head_parse(buf_bytes(to), &number);
		if (rc < 0 || number != seg->number)
			rc = err_set(err, ERR_DAMAGED,
				     "%s is not the segment of its name", path);
	}
	free(path);
	return rc < 0 ? err->code : 0;
}

void payload_bury(struct payload *p, uint32_t number)
{
	p->dead = mem_grow(p->dead, (p->n_dead + 1) * sizeof(*p->dead));
	p->dead[p->n_dead++] = number;
}

int payload_unlink_dead(struct payload *p, struct err *err)
{
	for (; p->n_dead; p->n_dead--) {
		struct segment *seg = find_segment(p, p->dead[p->n_dead - 1]);
		char *path = segment_path(p->dir, seg->number);
		int rc;

		if (seg->file >= 0)
			p->sys->close(p->sys, seg->file);
		rc = p->sys->unlink(p->sys, path);
		if (rc < 0)
			err_sys(err, -rc, "cannot remove %s", path);
		free(path);
		if (rc < 0)
			return ERR_FAILED;
		p->bytes -= seg->size;
		memmove(seg, seg + 1,
			(size_t)(p->at + p->n - seg - 1) * sizeof(*seg));
		p->n--;
	}
	return 0;
}

/* -- reading; any thread ------------------------------------------------------ */

int payload_read(struct sys *sys, const char *dir, const struct extent *e,
		 uint32_t from, uint32_t len, uint8_t *to)
{
	char *path = segment_path(dir, e->segment);
	int file = sys->open(sys, path, SYS_READ);
	int rc = file;

	free(path);
	if (file >= 0) {
		rc = sys_read_full(sys, file, to, len,
				   e->offset + (uint64_t)from);
		sys->close(sys, file);
	}
	return rc == -ENOENT ? ERR_GONE : rc == -EIO ? ERR_DAMAGED
	       : rc < 0	     ? ERR_FAILED
			     : 0;
}
