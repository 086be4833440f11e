/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pieces.c - stored payload, read for a search: in large blocks, kept a while.
 *
 * Streams that are neighbours in time lie side by side in a segment, so one
 * block serves many of them.  Where a run is not what its row says (the row
 * was rewritten since, its segment has gone, the disk is at fault), the rest
 * of that direction comes from store_view_read(), which looks again.
 */
#include "engine/query/search_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "engine/store/format.h"
#include "sys/sys.h"

enum {
	BLOCK = 512 << 10,
	BLOCKS = 16,
	FILES = 4,
	LARGE = 128 << 10 /* such runs would only push others out */
};

struct block {
	bool used;
	uint32_t segment, number;
	size_t len;
	uint64_t last; /* when it was of use */
	uint8_t *p;    /* owned */
};

struct file {
	int handle; /* -1: none */
	uint32_t segment;
	uint64_t last;
};

struct hole {
	uint64_t at, len;
	int why;
};

struct pieces {
	struct candidates *rows;
	struct store_view *view;
	struct sys *sys;
	char *dir; /* owned */
	struct block blocks[BLOCKS];
	struct file files[FILES];
	uint64_t now;
	uint8_t *room; /* an extent's */
	struct hole *holes;
	size_t n_holes, holes_room;
};

struct pieces *pieces_open(const struct search_config *cfg,
			   struct candidates *rows, struct err *err)
{
	struct pieces *p = mem_alloc(sizeof(*p));

	p->rows = rows;
	p->sys = cfg->sys ? cfg->sys : sys_host();
	p->dir = cfg->payload_dir ? mem_text(cfg->payload_dir)
				  : mem_format("%s/payload", cfg->dir);
	p->room = mem_alloc(EXTENT_MOST);
	for (int i = 0; i < FILES; i++)
		p->files[i].handle = -1;
	p->view = store_view_open(p->sys, cfg->dir, p->dir, err);
	if (p->view)
		return p;
	pieces_close(p);
	return NULL;
}

void pieces_close(struct pieces *p)
{
	if (!p)
		return;
	for (int i = 0; i < FILES; i++)
		if (p->files[i].handle >= 0)
			p->sys->close(p->sys, p->files[i].handle);
	for (int i = 0; i < BLOCKS; i++)
		free(p->blocks[i].p);
	store_view_close(p->view);
	free(p->holes);
	free(p->room);
	free(p->dir);
	free(p);
}

struct store_view *pieces_view(struct pieces *p)
{
	return p->view;
}

/* -- files and blocks ---------------------------------------------------------- */

/* A handle, or a negated errno. */
static int file_of(struct pieces *p, uint32_t segment)
{
	struct file *oldest = &p->files[0];
	char name[SEGMENT_NAME];
	char *path;

	p->now++;
	for (int i = 0; i < FILES; i++) {
		struct file *f = &p->files[i];

		if (f->handle >= 0 && f->segment == segment) {
			f->last = p->now;
			return f->handle;
		}
		if (f->last < oldest->last)
			oldest = f;
	}
	if (oldest->handle >= 0)
		p->sys->close(p->sys, oldest->handle);
	payload_name(name, segment);
	path = mem_format("%s/%s", p->dir, name);
	*oldest = (struct file){ p->sys->open(p->sys, path, SYS_READ), segment,
				 p->now };
	free(path);
	return oldest->handle;
}

/* As many bytes as the file has there; a negated errno. */
static ssize_t read_at(struct pieces *p, uint32_t segment, uint64_t at,
		       uint8_t *to, size_t len)
{
	int handle = file_of(p, segment);
	size_t done = 0;

	if (handle < 0)
		return handle;
	while (done < len) {
		ssize_t n = p->sys->pread(p->sys, handle, to + done,
					  len - done, at + done);

		if (n == -EINTR)
			continue;
		if (n < 0)
			return n;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static const struct block *block_of(struct pieces *p, uint32_t segment,
				    uint32_t number)
{
	struct block *oldest = &p->blocks[0];
	ssize_t n;

	p->now++;
	for (int i = 0; i < BLOCKS; i++) {
		struct block *b = &p->blocks[i];

		if (b->used && b->segment == segment && b->number == number) {
			b->last = p->now;
			return b;
		}
		if (b->last < oldest->last)
			oldest = b;
	}
	if (!oldest->p)
		oldest->p = mem_alloc(BLOCK);
	oldest->used = false;
	n = read_at(p, segment, (uint64_t)number * BLOCK, oldest->p, BLOCK);
	if (n < 0)
		return NULL;
	oldest->used = true;
	oldest->segment = segment;
	oldest->number = number;
	oldest->len = (size_t)n;
	oldest->last = p->now;
	return oldest;
}

/* It grew since it was read, or is another one's by now. */
static void forget_blocks(struct pieces *p, uint32_t segment)
{
	for (int i = 0; i < BLOCKS; i++)
		if (p->blocks[i].segment == segment)
			p->blocks[i].used = false;
}

/* -- extents ---------------------------------------------------------------------- */

static bool fits(const struct extent *e, struct bytes in)
{
	return in.len == e->used && crc32c(in) == e->crc;
}

static struct bytes through_blocks(struct pieces *p, const struct extent *e)
{
	uint32_t first = e->offset / BLOCK, from = e->offset % BLOCK;
	const struct block *b = block_of(p, e->segment, first);
	size_t len = e->used, done;

	if (!b || from > b->len)
		return bytes_of(NULL, 0);
	if (from + len <= b->len)
		return bytes_of(b->p + from, len);
	done = b->len - from;
	memcpy(p->room, b->p + from, done);
	b = block_of(p, e->segment, first + 1);
	if (!b || len - done > b->len)
		return bytes_of(NULL, 0);
	memcpy(p->room + done, b->p, len - done);
	return bytes_of(p->room, len);
}

static struct bytes directly(struct pieces *p, const struct extent *e)
{
	ssize_t n = read_at(p, e->segment, e->offset, p->room, e->used);

	return bytes_of(p->room, n < 0 ? 0 : (size_t)n);
}

/* Its bytes, in room or in a block until the next call; false: look again. */
static bool load(struct pieces *p, const struct extent *e, struct bytes *out)
{
	if (e->used > EXTENT_MOST)
		return false;
	if (e->used < LARGE) {
		*out = through_blocks(p, e);
		if (fits(e, *out))
			return true;
		forget_blocks(p, e->segment);
	}
	*out = directly(p, e);
	return fits(e, *out);
}

/* -- holes ------------------------------------------------------------------------- */

static int load_holes(struct pieces *p, const struct candidate *c, int way,
		      struct err *err)
{
	sqlite3_stmt *st = p->rows->gaps;
	int rc;

	p->n_holes = 0;
	sqlite3_bind_int64(st, 1, (int64_t)c->id);
	sqlite3_bind_int(st, 2, way);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		if (p->n_holes == p->holes_room) {
			p->holes_room = p->holes_room ? 2 * p->holes_room : 16;
			p->holes = mem_grow(p->holes, p->holes_room *
							      sizeof(*p->holes));
		}
		p->holes[p->n_holes++] = (struct hole){
			.at = (uint64_t)sqlite3_column_int64(st, 0),
			.len = (uint64_t)sqlite3_column_int64(st, 1),
			.why = sqlite3_column_int(st, 2),
		};
	}
	sqlite3_reset(st);
	if (rc != SQLITE_DONE)
		return err_set(err, ERR_FAILED, "%s: %s", p->rows->path,
			       sqlite3_errmsg(p->rows->db));
	return 0;
}

/* -- a direction ---------------------------------------------------------------------- */

struct walk {
	struct pieces *p;
	uint64_t offset, end;
	size_t hole; /* the next one */
	int (*fn)(void *arg, const struct store_piece *piece);
	void *arg;
};

static int give_hole(struct walk *w, uint64_t len, int why)
{
	const struct store_piece piece = { .offset = w->offset, .len = len,
					   .hole = true, .why = why };

	w->offset += len;
	return len ? w->fn(w->arg, &piece) : 0;
}

/* Holes that begin where we are. */
static int give_holes(struct walk *w)
{
	int stop = 0;

	while (!stop && w->hole < w->p->n_holes &&
	       w->p->holes[w->hole].at <= w->offset) {
		const struct hole *h = &w->p->holes[w->hole++];

		stop = give_hole(w, h->at + h->len > w->offset
					    ? h->at + h->len - w->offset
					    : 0, h->why);
	}
	return stop;
}

static uint64_t to_next_hole(const struct walk *w, uint64_t most)
{
	uint64_t at = w->hole < w->p->n_holes ? w->p->holes[w->hole].at
					      : UINT64_MAX;

	return at - w->offset < most ? at - w->offset : most;
}

static int give_data(struct walk *w, struct bytes data)
{
	int stop = 0;

	while (data.len && !stop) {
		struct store_piece piece = { 0 };

		stop = give_holes(w);
		if (stop)
			break;
		piece.offset = w->offset;
		piece.len = to_next_hole(w, data.len);
		piece.data = bytes_of(data.p, (size_t)piece.len);
		data = bytes_of(data.p + piece.len, data.len - piece.data.len);
		w->offset += piece.len;
		stop = w->fn(w->arg, &piece);
	}
	return stop;
}

/* What no run holds: holes, and what is not there any more. */
static int give_rest(struct walk *w, int why)
{
	int stop = 0;

	while (!stop && w->offset < w->end) {
		stop = give_holes(w);
		if (!stop && w->offset < w->end)
			stop = give_hole(w, to_next_hole(w, w->end - w->offset),
					 why);
	}
	return stop;
}

int pieces_read(struct pieces *p, const struct candidate *c, int way,
		int (*fn)(void *arg, const struct store_piece *piece),
		void *arg, struct err *err)
{
	struct walk w = { .p = p, .end = c->end[way], .fn = fn, .arg = arg };
	uint64_t kept = 0;
	size_t n = 0;
	int stop = 0;

	if (extents_check(c->runs[way], &n) < 0)
		n = 0;
	for (size_t i = 0; i < n; i++)
		kept += extent_at(c->runs[way], i).used;
	p->n_holes = 0;
	if (kept != w.end && load_holes(p, c, way, err) < 0)
		return err->code;
	for (size_t i = 0; i < n && !stop; i++) {
		struct extent e = extent_at(c->runs[way], i);
		struct bytes data;

		if (!load(p, &e, &data)) {
			store_view_read(p->view, c->id, way, w.offset,
					UINT64_MAX, fn, arg, err);
			/* The whole stream had to go meanwhile. */
			if (err->code == ERR_GONE)
				*err = ERR_NONE;
			return err->code;
		}
		stop = give_data(&w, data);
	}
	if (!stop)
		give_rest(&w, c->evicted ? STORE_HOLE_EVICTED : STORE_HOLE_CAP);
	return 0;
}
