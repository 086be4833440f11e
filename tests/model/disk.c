/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk.c - the record of changes, and the disks that it allows.
 */
#include "model/disk.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

enum { SECTOR = 512, ROOT = 0, CHOICES_MAX = 48, HANDLE_BASE = 1000 };

#define NEVER UINT64_MAX

enum op_kind { OP_WRITE, OP_TRUNCATE, OP_SYNC, OP_ADD, OP_DEL, OP_RENAME };

/* One change.  `covered` is the index of the sync that made it durable. */
struct op {
	enum op_kind kind;
	unsigned inode;	    /* the file, or what the name stands for */
	unsigned dir, dir2; /* of name and of name2 */
	char *name, *name2;
	uint64_t at; /* WRITE, and the size of TRUNCATE */
	uint8_t *data;
	size_t len;
	uint64_t size; /* of the file, as cached, afterwards */
	bool resizes;
	bool lost; /* a sync failed over it */
	uint64_t covered;
};

struct inode {
	bool is_dir;
	struct buf base; /* when this disk began: durable */
	struct buf now;
	uint64_t reserved;
	unsigned handles, names;
	int locked_by;	       /* a handle, or -1 */
	uint64_t *ops;	       /* indices of its changes */
	size_t n_ops, settled; /* all before `settled` are covered or lost */
};

struct entry {
	unsigned dir, inode;
	char *name;
};

struct names {
	struct entry *e;
	size_t n;
};

struct handle {
	bool open;
	unsigned inode;
	int flags;
};

struct disk {
	struct sys sys;
	pthread_mutex_t lock;
	struct inode *inodes;
	unsigned n_inodes;
	struct names base, now;
	struct op *ops;
	uint64_t n_ops;
	struct handle *handles;
	int n_handles;
	struct disk_clock clock;
	uint64_t chance;
	uint64_t limit;
	struct disk_fault fault;
	uint64_t fault_calls;
	bool dead; /* nothing happens until the next process starts */
	void *net;
};

static struct disk *disk_of(struct sys *sys)
{
	return (struct disk *)sys;
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* -- names -------------------------------------------------------------- */

static struct entry *names_find(const struct names *t, unsigned dir,
				const char *name)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->e[i].dir == dir && strcmp(t->e[i].name, name) == 0)
			return &t->e[i];
	return NULL;
}

static void names_set(struct names *t, unsigned dir, const char *name,
		      unsigned inode)
{
	struct entry *e = names_find(t, dir, name);

	if (!e) {
		t->e = mem_grow(t->e, (t->n + 1) * sizeof(*t->e));
		e = &t->e[t->n++];
		*e = (struct entry){ .dir = dir, .name = mem_text(name) };
	}
	e->inode = inode;
}

static void names_remove(struct names *t, unsigned dir, const char *name)
{
	struct entry *e = names_find(t, dir, name);

	if (!e)
		return;
	free(e->name);
	*e = t->e[--t->n];
}

static void names_release(struct names *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->e[i].name);
	free(t->e);
	*t = (struct names){ NULL, 0 };
}

static struct names names_copy(const struct names *t)
{
	struct names copy = { NULL, 0 };

	for (size_t i = 0; i < t->n; i++)
		names_set(&copy, t->e[i].dir, t->e[i].name, t->e[i].inode);
	return copy;
}

/* A path taken apart: the directory it lies in and its last name. */
struct place {
	unsigned dir;
	char name[SYS_NAME_MAX];
	bool found;
	unsigned inode;
};

/* 0 when all but the last name exist.  "/a", "a" and "./a" are the same. */
static int look_up(const struct disk *d, const char *path, struct place *p)
{
	*p = (struct place){ .dir = ROOT, .found = true, .inode = ROOT };
	while (*path) {
		size_t len = strcspn(path, "/");
		const struct entry *e;

		if (len == 0 || (len == 1 && path[0] == '.')) {
			path += len + (path[len] == '/');
			continue;
		}
		if (len >= sizeof(p->name))
			return -ENAMETOOLONG;
		if (!p->found)
			return -ENOENT;
		if (!d->inodes[p->inode].is_dir)
			return -ENOTDIR;
		p->dir = p->inode;
		memcpy(p->name, path, len);
		p->name[len] = '\0';
		e = names_find(&d->now, p->dir, p->name);
		p->found = e != NULL;
		p->inode = e ? e->inode : 0;
		path += len + (path[len] == '/');
	}
	return 0;
}

static bool dir_empty(const struct disk *d, unsigned dir)
{
	for (size_t i = 0; i < d->now.n; i++)
		if (d->now.e[i].dir == dir)
			return false;
	return true;
}

/* -- inodes and the record ---------------------------------------------- */

static unsigned new_inode(struct disk *d, bool is_dir)
{
	d->inodes = mem_grow(d->inodes, (d->n_inodes + 1) * sizeof(*d->inodes));
	d->inodes[d->n_inodes] =
		(struct inode){ .is_dir = is_dir, .locked_by = -1 };
	return d->n_inodes++;
}

static struct op *record(struct disk *d, struct op op)
{
	op.covered = NEVER;
	d->ops = mem_grow(d->ops, (d->n_ops + 1) * sizeof(*d->ops));
	d->ops[d->n_ops] = op;
	return &d->ops[d->n_ops++];
}

static void record_name(struct disk *d, enum op_kind kind,
			const struct place *p, unsigned inode,
			const struct place *to)
{
	record(d, (struct op){ .kind = kind,
			       .inode = inode,
			       .dir = p->dir,
			       .name = mem_text(p->name),
			       .dir2 = to ? to->dir : 0,
			       .name2 = to ? mem_text(to->name) : NULL });
}

static void record_bytes(struct disk *d, unsigned file, struct op op)
{
	struct inode *in = &d->inodes[file];

	op.inode = file;
	op.size = in->now.len;
	record(d, op);
	in->ops = mem_grow(in->ops, (in->n_ops + 1) * sizeof(*in->ops));
	in->ops[in->n_ops++] = d->n_ops - 1;
}

static void settle(struct op *op, uint64_t by, bool ok)
{
	if (op->covered != NEVER || op->lost)
		return;
	if (ok)
		op->covered = by;
	else
		op->lost = true;
}

static void settle_file(struct disk *d, unsigned file, bool ok)
{
	struct inode *in = &d->inodes[file];
	uint64_t by;

	/* A failed sync writes no metadata either, so it is no size to keep. */
	if (ok)
		record_bytes(d, file, (struct op){ .kind = OP_SYNC });
	by = d->n_ops - 1;
	for (; in->settled < in->n_ops; in->settled++)
		settle(&d->ops[in->ops[in->settled]], by, ok);
}

static void settle_names(struct disk *d, unsigned dir)
{
	uint64_t by = d->n_ops;

	record(d, (struct op){ .kind = OP_SYNC });
	for (uint64_t i = 0; i < by; i++) {
		struct op *op = &d->ops[i];
		bool here = op->kind == OP_ADD || op->kind == OP_DEL ||
			    op->kind == OP_RENAME;

		if (here && (op->dir == dir ||
			     (op->kind == OP_RENAME && op->dir2 == dir)))
			settle(op, by, true);
	}
}

static uint64_t weight(const struct inode *in)
{
	if (!in->names && !in->handles)
		return 0;
	return in->now.len > in->reserved ? in->now.len : in->reserved;
}

static uint64_t used(const struct disk *d)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < d->n_inodes; i++)
		sum += weight(&d->inodes[i]);
	return sum;
}

/* May this file grow to `bytes`? */
static bool fits(const struct disk *d, const struct inode *in, uint64_t bytes)
{
	return d->limit == NEVER || bytes <= weight(in) ||
	       used(d) - weight(in) + bytes <= d->limit;
}

static void set_size(struct inode *in, uint64_t bytes)
{
	if (bytes > in->now.len)
		put_zeros(&in->now, (size_t)bytes - in->now.len);
	in->now.len = (size_t)bytes;
}

/* -- failing calls ------------------------------------------------------ */

/* True when the fault strikes this call. */
static bool strikes_locked(struct disk *d, enum disk_call call)
{
	uint64_t n;

	if (d->dead)
		return true;
	if (!(d->fault.calls & call))
		return false;
	n = d->fault_calls++;
	return n == d->fault.nth || (d->fault.sticky && n > d->fault.nth);
}

/* The error to give, or 0. */
static int failure_locked(struct disk *d, enum disk_call call)
{
	if (!strikes_locked(d, call))
		return 0;
	return d->dead ? -EIO : -d->fault.error;
}

void disk_fail(struct disk *d, struct disk_fault fault)
{
	d->fault = fault;
	d->fault_calls = 0;
}

uint64_t disk_fault_calls(const struct disk *d)
{
	return d->fault_calls;
}

/* -- handles ------------------------------------------------------------ */

static struct handle *handle_of(struct disk *d, int file, int flags)
{
	struct handle *h;

	if (file < HANDLE_BASE || file >= HANDLE_BASE + d->n_handles)
		return NULL;
	h = &d->handles[file - HANDLE_BASE];
	return h->open && (h->flags & flags) == flags ? h : NULL;
}

static int new_handle(struct disk *d, unsigned inode, int flags)
{
	int i = 0;

	while (i < d->n_handles && d->handles[i].open)
		i++;
	if (i == d->n_handles)
		d->handles = mem_grow(d->handles, (size_t)++d->n_handles *
							  sizeof(*d->handles));
	d->handles[i] = (struct handle){ true, inode, flags };
	d->inodes[inode].handles++;
	return HANDLE_BASE + i;
}

/* -- the calls of struct sys -------------------------------------------- */

static void truncate_locked(struct disk *d, unsigned file, uint64_t bytes)
{
	struct inode *in = &d->inodes[file];

	set_size(in, bytes);
	in->reserved = 0;
	record_bytes(d, file,
		     (struct op){ .kind = OP_TRUNCATE,
				  .at = bytes,
				  .resizes = true });
}

static int open_locked(struct disk *d, const char *path, int flags)
{
	struct place p;
	int rc = failure_locked(d, DISK_OPEN);

	if (rc == 0)
		rc = look_up(d, path, &p);
	if (rc < 0)
		return rc;
	if (!p.found && !(flags & SYS_CREATE))
		return -ENOENT;
	if (p.found && (flags & SYS_CREATE) && (flags & SYS_EXCL))
		return -EEXIST;
	if (p.found && d->inodes[p.inode].is_dir)
		return -EISDIR;
	if (!p.found) {
		p.inode = new_inode(d, false);
		d->inodes[p.inode].names = 1;
		names_set(&d->now, p.dir, p.name, p.inode);
		record_name(d, OP_ADD, &p, p.inode, NULL);
	} else if (flags & SYS_TRUNCATE) {
		truncate_locked(d, p.inode, 0);
	}
	if (!(flags & SYS_WRITE))
		flags |= SYS_READ;
	return new_handle(d, p.inode, flags);
}

static int disk_open(struct sys *sys, const char *path, int flags)
{
	struct disk *d = disk_of(sys);
	int rc;

	pthread_mutex_lock(&d->lock);
	rc = open_locked(d, path, flags);
	pthread_mutex_unlock(&d->lock);
	return rc;
}

static void close_locked(struct disk *d, struct handle *h)
{
	struct inode *in = &d->inodes[h->inode];

	if (in->locked_by == (int)(h - d->handles))
		in->locked_by = -1;
	in->handles--;
	h->open = false;
}

static int disk_close(struct sys *sys, int file)
{
	struct disk *d = disk_of(sys);
	struct handle *h;

	pthread_mutex_lock(&d->lock);
	h = handle_of(d, file, 0);
	if (h)
		close_locked(d, h);
	pthread_mutex_unlock(&d->lock);
	return h ? 0 : -EBADF;
}

static ssize_t pread_locked(struct disk *d, int file, void *to, size_t len,
			    uint64_t at)
{
	const struct handle *h = handle_of(d, file, SYS_READ);
	const struct inode *in;
	int rc = failure_locked(d, DISK_READ);

	if (rc < 0)
		return rc;
	if (!h)
		return -EBADF;
	in = &d->inodes[h->inode];
	if (at >= in->now.len)
		return 0;
	if (len > in->now.len - at)
		len = in->now.len - (size_t)at;
	memcpy(to, in->now.p + at, len);
	return (ssize_t)len;
}

static ssize_t disk_pread(struct sys *sys, int file, void *to, size_t len,
			  uint64_t at)
{
	struct disk *d = disk_of(sys);
	ssize_t n;

	pthread_mutex_lock(&d->lock);
	n = pread_locked(d, file, to, len, at);
	pthread_mutex_unlock(&d->lock);
	return n;
}

static ssize_t pwrite_locked(struct disk *d, int file, const void *from,
			     size_t len, uint64_t at)
{
	const struct handle *h = handle_of(d, file, SYS_WRITE);
	struct op op = { .kind = OP_WRITE, .at = at };
	struct inode *in;
	bool strikes = strikes_locked(d, DISK_WRITE);

	if (!h)
		return -EBADF;
	if (strikes && d->fault.error)
		return -d->fault.error;
	if (strikes)
		len = (len + 1) / 2;
	in = &d->inodes[h->inode];
	assert(at + len < 1 << 30); /* a model of a small disk */
	if (!fits(d, in, at + len))
		return -ENOSPC;
	op.resizes = at + len > in->now.len;
	if (op.resizes)
		set_size(in, at + len);
	if (len) {
		memcpy(in->now.p + at, from, len);
		op.data = mem_alloc(len);
		memcpy(op.data, from, len);
	}
	op.len = len;
	record_bytes(d, h->inode, op);
	return (ssize_t)len;
}

static ssize_t disk_pwrite(struct sys *sys, int file, const void *from,
			   size_t len, uint64_t at)
{
	struct disk *d = disk_of(sys);
	ssize_t n;

	pthread_mutex_lock(&d->lock);
	n = pwrite_locked(d, file, from, len, at);
	pthread_mutex_unlock(&d->lock);
	return n;
}

static int disk_size(struct sys *sys, int file, uint64_t *bytes)
{
	struct disk *d = disk_of(sys);
	const struct handle *h;
	int rc;

	pthread_mutex_lock(&d->lock);
	h = handle_of(d, file, 0);
	rc = failure_locked(d, DISK_SIZE);
	if (rc == 0 && !h)
		rc = -EBADF;
	if (rc == 0)
		*bytes = d->inodes[h->inode].now.len;
	pthread_mutex_unlock(&d->lock);
	return rc;
}

static int disk_truncate(struct sys *sys, int file, uint64_t bytes)
{
	struct disk *d = disk_of(sys);
	const struct handle *h;
	int rc;

	pthread_mutex_lock(&d->lock);
	h = handle_of(d, file, SYS_WRITE);
	rc = failure_locked(d, DISK_TRUNCATE);
	if (rc == 0 && !h)
		rc = -EBADF;
	if (rc == 0 && !fits(d, &d->inodes[h->inode], bytes))
		rc = -ENOSPC;
	if (rc == 0)
		truncate_locked(d, h->inode, bytes);
	pthread_mutex_unlock(&d->lock);
	return rc;
}

static int disk_reserve(struct sys *sys, int file, uint64_t bytes)
{
	struct disk *d = disk_of(sys);
	const struct handle *h;
	int rc;

	pthread_mutex_lock(&d->lock);
	h = handle_of(d, file, SYS_WRITE);
	rc = failure_locked(d, DISK_RESERVE);
	if (rc == 0 && !h)
		rc = -EBADF;
	if (rc == 0 && !fits(d, &d->inodes[h->inode], bytes))
		rc = -ENOSPC;
	if (rc == 0 && bytes > d->inodes[h->inode].reserved)
		d->inodes[h->inode].reserved = bytes;
	pthread_mutex_unlock(&d->lock);
	return rc;
}

/* Any write may have reached the disk before a cut; this makes it likelier,
 * which is nothing that a state could show. */
static void disk_write_out(struct sys *sys, int file, uint64_t at, uint64_t len)
{
	(void)sys;
	(void)file;
	(void)at;
	(void)len;
}

static int disk_sync(struct sys *sys, int file)
{
	struct disk *d = disk_of(sys);
	const struct handle *h;
	int rc;

	pthread_mutex_lock(&d->lock);
	h = handle_of(d, file, 0);
	rc = failure_locked(d, DISK_SYNC);
	if (rc == 0 && !h)
		rc = -EBADF;
	if (h)
		settle_file(d, h->inode, rc == 0);
	pthread_mutex_unlock(&d->lock);
	return rc;
}

/* A directory, by path. */
static int look_up_dir(const struct disk *d, const char *path, unsigned *dir)
{
	struct place p;
	int rc = look_up(d, path, &p);

	if (rc < 0)
		return rc;
	if (!p.found)
		return -ENOENT;
	if (!d->inodes[p.inode].is_dir)
		return -ENOTDIR;
	*dir = p.inode;
	return 0;
}

static int disk_sync_dir(struct sys *sys, const char *path)
{
	struct disk *d = disk_of(sys);
	unsigned dir = 0;
	int rc;

	pthread_mutex_lock(&d->lock);
	rc = failure_locked(d, DISK_SYNC_DIR);
	if (rc == 0)
		rc = look_up_dir(d, path, &dir);
	if (rc == 0)
		settle_names(d, dir);
	pthread_mutex_unlock(&d->lock);
	return rc;
}

/* May `to` be replaced by what is at `from`? */
static int replaceable(const struct disk *d, const struct place *from,
		       const struct place *to)
{
	bool dir = d->inodes[from->inode].is_dir;

	if (!to->found)
		return 0;
	if (dir && !d->inodes[to->inode].is_dir)
		return -ENOTDIR;
	if (!dir && d->inodes[to->inode].is_dir)
		return -EISDIR;
	return dir && !dir_empty(d, to->inode) ? -ENOTEMPTY : 0;
}

/* Does directory `dir` lie in `above`, or is it that? */
static bool lies_in(const struct disk *d, unsigned dir, unsigned above)
{
	while (dir != above && dir != ROOT)
		for (size_t i = 0; i < d->now.n; i++)
			if (d->now.e[i].inode == dir) {
				dir = d->now.e[i].dir;
				break;
			}
	return dir == above;
}

static int rename_locked(struct disk *d, const char *from, const char *to)
{
	struct place a, b;
	int rc = failure_locked(d, DISK_RENAME);

	if (rc == 0)
		rc = look_up(d, from, &a);
	if (rc == 0)
		rc = look_up(d, to, &b);
	if (rc < 0)
		return rc;
	if (!a.found)
		return -ENOENT;
	if (b.found && b.inode == a.inode)
		return 0;
	if (d->inodes[a.inode].is_dir && lies_in(d, b.dir, a.inode))
		return -EINVAL;
	rc = replaceable(d, &a, &b);
	if (rc < 0)
		return rc;
	if (b.found)
		d->inodes[b.inode].names--;
	names_set(&d->now, b.dir, b.name, a.inode);
	names_remove(&d->now, a.dir, a.name);
	record_name(d, OP_RENAME, &a, a.inode, &b);
	return 0;
}

static int disk_rename(struct sys *sys, const char *from, const char *to)
{
	struct disk *d = disk_of(sys);
	int rc;

	pthread_mutex_lock(&d->lock);
	rc = rename_locked(d, from, to);
	pthread_mutex_unlock(&d->lock);
	return rc;
}

static int remove_locked(struct disk *d, const char *path, bool want_dir)
{
	struct place p;
	int rc = failure_locked(d, want_dir ? DISK_MKDIR : DISK_UNLINK);

	if (rc == 0)
		rc = look_up(d, path, &p);
	if (rc < 0)
		return rc;
	if (!p.found)
		return -ENOENT;
	if (d->inodes[p.inode].is_dir != want_dir)
		return want_dir ? -ENOTDIR : -EISDIR;
	if (want_dir && p.inode == ROOT)
		return -EBUSY;
	if (want_dir && !dir_empty(d, p.inode))
		return -ENOTEMPTY;
	d->inodes[p.inode].names--;
	names_remove(&d->now, p.dir, p.name);
	record_name(d, OP_DEL, &p, p.inode, NULL);
	return 0;
}

static int disk_unlink(struct sys *sys, const char *path)
{
	struct disk *d = disk_of(sys);
	int rc;

	pthread_mutex_lock(&d->lock);
	rc = remove_locked(d, path, false);
	pthread_mutex_unlock(&d->lock);
	return rc;
}

static int disk_rmdir(struct sys *sys, const char *path)
{
	struct disk *d = disk_of(sys);
	int rc;

	pthread_mutex_lock(&d->lock);
	rc = remove_locked(d, path, true);
	pthread_mutex_unlock(&d->lock);
	return rc;
}

static int mkdir_locked(struct disk *d, const char *path)
{
	struct place p;
	int rc = failure_locked(d, DISK_MKDIR);

	if (rc == 0)
		rc = look_up(d, path, &p);
	if (rc < 0)
		return rc;
	if (p.found)
		return -EEXIST;
	p.inode = new_inode(d, true);
	d->inodes[p.inode].names = 1;
	names_set(&d->now, p.dir, p.name, p.inode);
	record_name(d, OP_ADD, &p, p.inode, NULL);
	return 0;
}

static int disk_mkdir(struct sys *sys, const char *path)
{
	struct disk *d = disk_of(sys);
	int rc;

	pthread_mutex_lock(&d->lock);
	rc = mkdir_locked(d, path);
	pthread_mutex_unlock(&d->lock);
	return rc;
}

static int disk_list(struct sys *sys, const char *path, sys_list_fn fn,
		     void *arg)
{
	struct disk *d = disk_of(sys);
	struct names copy = { NULL, 0 };
	unsigned dir = 0;
	int rc;

	pthread_mutex_lock(&d->lock);
	rc = failure_locked(d, DISK_LIST);
	if (rc == 0)
		rc = look_up_dir(d, path, &dir);
	if (rc == 0)
		copy = names_copy(&d->now);
	pthread_mutex_unlock(&d->lock);

	for (size_t i = 0; i < copy.n; i++)
		if (copy.e[i].dir == dir)
			fn(arg, copy.e[i].name);
	names_release(&copy);
	return rc;
}

static int disk_lock(struct sys *sys, int file)
{
	struct disk *d = disk_of(sys);
	struct handle *h;
	int rc = -EBADF;

	pthread_mutex_lock(&d->lock);
	h = handle_of(d, file, SYS_WRITE);
	if (h) {
		int *by = &d->inodes[h->inode].locked_by;
		int me = (int)(h - d->handles);

		rc = *by >= 0 && *by != me ? -EWOULDBLOCK : 0;
		if (rc == 0)
			*by = me;
	}
	pthread_mutex_unlock(&d->lock);
	return rc;
}

static int disk_locked(struct sys *sys, int file)
{
	struct disk *d = disk_of(sys);
	struct handle *h;
	int rc = -EBADF;

	pthread_mutex_lock(&d->lock);
	h = handle_of(d, file, 0);
	if (h) {
		int by = d->inodes[h->inode].locked_by;

		rc = by >= 0 && by != (int)(h - d->handles);
	}
	pthread_mutex_unlock(&d->lock);
	return rc;
}

static int disk_space(struct sys *sys, const char *path, uint64_t *free)
{
	struct disk *d = disk_of(sys);
	uint64_t most, taken;

	(void)path;
	pthread_mutex_lock(&d->lock);
	most = d->limit == NEVER ? UINT64_C(1) << 40 : d->limit;
	taken = used(d);
	*free = taken < most ? most - taken : 0;
	pthread_mutex_unlock(&d->lock);
	return 0;
}

static uint64_t disk_wall_ns(struct sys *sys)
{
	return disk_of(sys)->clock.wall_ns;
}

static uint64_t disk_mono_ns(struct sys *sys)
{
	return disk_of(sys)->clock.mono_ns;
}

static uint64_t disk_boot_id(struct sys *sys)
{
	return disk_of(sys)->clock.boot_id;
}

static void disk_random(struct sys *sys, void *to, size_t len)
{
	struct disk *d = disk_of(sys);
	uint8_t *p = to;

	pthread_mutex_lock(&d->lock);
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)next_random(&d->chance);
	pthread_mutex_unlock(&d->lock);
}

/* -- making and ending -------------------------------------------------- */

static struct disk *disk_empty(uint64_t seed)
{
	struct disk *d = mem_alloc(sizeof(*d));

	d->sys = (struct sys){
		.open = disk_open,
		.close = disk_close,
		.pread = disk_pread,
		.pwrite = disk_pwrite,
		.size = disk_size,
		.truncate = disk_truncate,
		.reserve = disk_reserve,
		.write_out = disk_write_out,
		.sync = disk_sync,
		.sync_dir = disk_sync_dir,
		.rename = disk_rename,
		.unlink = disk_unlink,
		.mkdir = disk_mkdir,
		.rmdir = disk_rmdir,
		.list = disk_list,
		.lock = disk_lock,
		.locked = disk_locked,
		.space = disk_space,
		.wall_ns = disk_wall_ns,
		.mono_ns = disk_mono_ns,
		.boot_id = disk_boot_id,
		.random = disk_random,
	};
	pthread_mutex_init(&d->lock, NULL);
	d->clock = (struct disk_clock){
		.wall_ns = UINT64_C(1700000000) * 1000000000,
		.mono_ns = 1000000000,
		.boot_id = 1,
	};
	d->chance = seed;
	d->limit = NEVER;
	return d;
}

struct disk *disk_new(uint64_t seed)
{
	struct disk *d = disk_empty(seed);

	new_inode(d, true);
	return d;
}

void disk_free(struct disk *d)
{
	if (!d)
		return;
	for (unsigned i = 0; i < d->n_inodes; i++) {
		buf_release(&d->inodes[i].base);
		buf_release(&d->inodes[i].now);
		free(d->inodes[i].ops);
	}
	for (uint64_t i = 0; i < d->n_ops; i++) {
		free(d->ops[i].name);
		free(d->ops[i].name2);
		free(d->ops[i].data);
	}
	names_release(&d->base);
	names_release(&d->now);
	pthread_mutex_destroy(&d->lock);
	free(d->inodes);
	free(d->ops);
	free(d->handles);
	free(d);
}

struct sys *disk_sys(struct disk *d)
{
	return &d->sys;
}

struct disk_clock *disk_clock(struct disk *d)
{
	return &d->clock;
}

void disk_limit(struct disk *d, uint64_t bytes)
{
	d->limit = bytes;
}

void disk_start(struct disk *d)
{
	d->dead = false;
}

void disk_kill(struct disk *d)
{
	d->dead = true;
	for (int i = 0; i < d->n_handles; i++)
		if (d->handles[i].open)
			close_locked(d, &d->handles[i]);
}

uint64_t disk_ops(const struct disk *d)
{
	return d->n_ops;
}

void disk_set_net(struct disk *d, void *net)
{
	d->net = net;
}

void *disk_net(struct sys *sys)
{
	return disk_of(sys)->net;
}

/* -- what a power cut leaves -------------------------------------------- */

/*
 * The decisions of one cut, in the order in which they come up.  Walking
 * through all of them is counting with these as digits: a run with some digits
 * finds out how far each one goes.
 */
struct disk_choice {
	enum { BY_DIGITS, LOSE, KEEP, CHANCE } how;
	uint64_t state; /* of chance; sectors of a torn write use it always */
	unsigned n;
	unsigned digit[CHOICES_MAX], radix[CHOICES_MAX];
};

/* A number below `radix`: 0 is "nothing happened", the last is "all did". */
static unsigned decide(struct disk_choice *c, unsigned radix)
{
	unsigned i = c->n++;

	if (i < CHOICES_MAX)
		c->radix[i] = radix;
	switch (c->how) {
	case LOSE:
		return 0;
	case KEEP:
		return radix - 1;
	case CHANCE:
		return (unsigned)(next_random(&c->state) % radix);
	default:
		return i < CHOICES_MAX ? c->digit[i] : 0;
	}
}

static bool durable(const struct op *op, uint64_t after)
{
	return op->covered < after;
}

/* The bytes of a file being rebuilt, and which of them ever arrived. */
struct image {
	struct buf bytes, arrived;
};

static void image_room(struct image *im, uint64_t len)
{
	if (len > im->bytes.len) {
		size_t more = (size_t)len - im->bytes.len;

		put_zeros(&im->bytes, more);
		put_zeros(&im->arrived, more);
	}
}

static void image_put(struct image *im, const uint8_t *from, size_t len,
		      uint64_t at)
{
	if (!len)
		return;
	image_room(im, at + len);
	memcpy(im->bytes.p + at, from, len);
	memset(im->arrived.p + at, 1, len);
}

static void image_put_torn(struct image *im, const struct op *op,
			   struct disk_choice *c)
{
	size_t done = 0;

	while (done < op->len) {
		uint64_t at = op->at + done;
		size_t step = SECTOR - (size_t)(at % SECTOR);

		if (step > op->len - done)
			step = op->len - done;
		if (next_random(&c->state) & 1)
			image_put(im, op->data + done, step, at);
		done += step;
	}
}

static void image_write(struct image *im, const struct op *op, uint64_t after,
			struct disk_choice *c)
{
	bool one = op->len == 0 ||
		   op->at / SECTOR == (op->at + op->len - 1) / SECTOR;
	unsigned what;

	if (durable(op, after)) {
		image_put(im, op->data, op->len, op->at);
		return;
	}
	what = decide(c, one ? 2 : 3);
	if (what == (one ? 1 : 2))
		image_put(im, op->data, op->len, op->at);
	else if (what == 1)
		image_put_torn(im, op, c);
}

/*
 * Which of the size changes since the last sync is the last that arrived: an
 * index of the record, and the size behind it.
 */
static uint64_t choose_size(const struct disk *d, const struct inode *in,
			    uint64_t after, struct disk_choice *c,
			    uint64_t *size)
{
	unsigned changes = 0, kept;
	uint64_t upto = 0;

	*size = in->base.len;
	for (size_t i = 0; i < in->n_ops && in->ops[i] < after; i++) {
		const struct op *op = &d->ops[in->ops[i]];

		if (op->kind == OP_SYNC) {
			changes = 0;
			*size = op->size;
			upto = in->ops[i];
		}
		changes += op->resizes;
	}
	kept = changes ? decide(c, changes + 1) : 0;
	for (size_t i = 0; kept && i < in->n_ops; i++) {
		const struct op *op = &d->ops[in->ops[i]];

		if (in->ops[i] >= upto && op->resizes) {
			*size = op->size;
			upto = in->ops[i];
			kept--;
		}
	}
	return upto;
}

/* Reserved blocks may show what another file once had at this place. */
static uint8_t stale_byte(const struct disk *d, const struct inode *in,
			  size_t at)
{
	for (unsigned i = d->n_inodes; i-- > 0;)
		if (&d->inodes[i] != in && !d->inodes[i].is_dir &&
		    at < d->inodes[i].now.len)
			return d->inodes[i].now.p[at];
	return 0xa5;
}

static void fill_holes(const struct disk *d, const struct inode *in,
		       struct image *im, struct disk_choice *c)
{
	bool holes = false;

	for (size_t i = 0; i < im->bytes.len; i++)
		if (!im->arrived.p[i]) {
			im->bytes.p[i] = 0;
			holes |= i < in->reserved;
		}
	if (!holes || !decide(c, 2))
		return;
	for (size_t i = 0; i < im->bytes.len && i < in->reserved; i++)
		if (!im->arrived.p[i])
			im->bytes.p[i] = stale_byte(d, in, i);
}

static struct buf file_after(const struct disk *d, const struct inode *in,
			     uint64_t after, struct disk_choice *c)
{
	struct image im = { 0 };
	uint64_t size, upto = choose_size(d, in, after, c, &size);

	image_put(&im, in->base.p, in->base.len, 0);
	for (size_t i = 0; i < in->n_ops && in->ops[i] < after; i++) {
		const struct op *op = &d->ops[in->ops[i]];

		if (op->kind == OP_WRITE) {
			image_write(&im, op, after, c);
		} else if (op->kind == OP_TRUNCATE && in->ops[i] <= upto &&
			   op->at < im.bytes.len) {
			im.bytes.len = im.arrived.len = (size_t)op->at;
		}
	}
	image_room(&im, size);
	im.bytes.len = im.arrived.len = (size_t)size;
	fill_holes(d, in, &im, c);
	buf_release(&im.arrived);
	return im.bytes;
}

static struct names names_after(const struct disk *d, uint64_t after,
				struct disk_choice *c)
{
	struct names t = names_copy(&d->base);

	for (uint64_t i = 0; i < after; i++) {
		const struct op *op = &d->ops[i];
		bool sure = durable(op, after);

		switch (op->kind) {
		case OP_ADD:
			if (sure || decide(c, 2))
				names_set(&t, op->dir, op->name, op->inode);
			break;
		case OP_DEL:
			if (sure || decide(c, 2))
				names_remove(&t, op->dir, op->name);
			break;
		case OP_RENAME: {
			unsigned how = sure ? 2 : decide(c, 3);

			if (how > 0)
				names_set(&t, op->dir2, op->name2, op->inode);
			if (how > 1)
				names_remove(&t, op->dir, op->name);
			break;
		}
		default:
			break;
		}
	}
	return t;
}

enum { NOT_THERE = 0 }; /* in the map of inodes; the root maps to itself */

/* Copy what can be reached from directory `from` into `to`. */
static void copy_tree(struct disk *to, const struct disk *d,
		      const struct names *t, unsigned from, unsigned into,
		      uint64_t after, struct disk_choice *c, unsigned *map)
{
	for (size_t i = 0; i < t->n; i++) {
		unsigned old = t->e[i].inode;
		const struct inode *in = &d->inodes[old];
		bool fresh = map[old] == NOT_THERE;

		if (t->e[i].dir != from)
			continue;
		if (fresh)
			map[old] = new_inode(to, in->is_dir);
		to->inodes[map[old]].names++;
		names_set(&to->base, into, t->e[i].name, map[old]);
		if (fresh && in->is_dir)
			copy_tree(to, d, t, old, map[old], after, c, map);
		else if (fresh)
			to->inodes[map[old]].base = file_after(d, in, after, c);
	}
}

static struct disk *crash(const struct disk *d, uint64_t after,
			  struct disk_choice *c)
{
	struct disk *to = disk_empty(d->chance ^ after ^ c->state);
	unsigned *map = mem_array(d->n_inodes, sizeof(*map));
	struct names t;

	assert(after <= d->n_ops);
	c->n = 0;
	to->clock = d->clock;
	to->clock.boot_id++;
	to->clock.mono_ns = 1000000000;
	to->limit = d->limit;
	t = names_after(d, after, c);
	new_inode(to, true);
	copy_tree(to, d, &t, ROOT, ROOT, after, c, map);
	for (unsigned i = 0; i < to->n_inodes; i++)
		put_bytes(&to->inodes[i].now, buf_bytes(&to->inodes[i].base));
	to->now = names_copy(&to->base);
	names_release(&t);
	free(map);
	return to;
}

struct disk *disk_crash(const struct disk *d, uint64_t after,
			enum disk_fate fate, uint64_t seed)
{
	struct disk_choice c = {
		.how = fate == DISK_LOSE_ALL   ? LOSE
		       : fate == DISK_KEEP_ALL ? KEEP
					       : CHANCE,
		.state = seed,
	};

	return crash(d, after, &c);
}

/*
 * The next run of digits in order, or false behind the last.  A decision may
 * depend on those before it, so the last one that can go further does, and all
 * behind it begin again.
 */
static bool next_digits(struct disk_choice *c)
{
	unsigned i = c->n < CHOICES_MAX ? c->n : CHOICES_MAX;

	while (i-- > 0) {
		if (c->digit[i] + 1 < c->radix[i]) {
			c->digit[i]++;
			memset(c->digit + i + 1, 0,
			       sizeof(c->digit) - (i + 1) * sizeof(*c->digit));
			return true;
		}
	}
	return false;
}

/* How many states a point has; no more than bound + 1 are counted. */
static unsigned count_states(const struct disk_walk *w, struct disk_choice *c)
{
	unsigned n = 0;

	*c = (struct disk_choice){ .how = BY_DIGITS };
	do {
		disk_free(crash(w->d, w->at, c));
		if (c->n > CHOICES_MAX)
			n = w->bound;
	} while (++n <= w->bound && next_digits(c));
	return n;
}

static void next_point(struct disk_walk *w)
{
	w->total = count_states(w, w->choice);
	*w->choice = (struct disk_choice){ .how = BY_DIGITS };
	w->given = 0;
	w->points++;
	w->whole_points += w->total <= w->bound;
}

struct disk *disk_walk_next(struct disk_walk *w)
{
	struct disk_choice *c = w->choice;
	struct disk *next;
	bool all;

	if (!c) {
		c = w->choice = mem_alloc(sizeof(*w->choice));
		w->at = w->from;
		next_point(w);
	} else if (w->given == (w->total < w->bound ? w->total : w->bound)) {
		if (++w->at > w->to)
			return NULL;
		next_point(w);
	}
	all = w->total <= w->bound;
	if (all && w->given)
		next_digits(c);
	c->how = all		 ? BY_DIGITS
		 : w->given == 0 ? LOSE
		 : w->given == 1 ? KEEP
				 : CHANCE;
	c->state = w->at << 32 | w->given;
	next = crash(w->d, w->at, c);
	w->given++;
	w->states++;
	return next;
}

void disk_walk_end(struct disk_walk *w)
{
	free(w->choice);
	w->choice = NULL;
}
