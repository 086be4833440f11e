/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.c - a table of names over memfd descriptors.
 *
 * A node is a file or a directory under its whole path; an inode is what a
 * file's name and its open handles share.  One lock guards the tables, and is
 * not held while bytes are copied.
 */
#include "sys/sys.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"

struct inode {
	int fd;
	unsigned users;	   /* names and handles */
	uint64_t end;	   /* where the last write ends */
	uint64_t reserved; /* blocks asked for */
	int locked_by;	   /* a handle, or -1 */
};

struct node {
	char *path;	     /* without "//" or a "/" at its end */
	struct inode *inode; /* NULL: a directory */
};

/* By descriptor; inode is NULL where it is not one of our handles. */
struct handle {
	struct inode *inode;
	int flags;
};

struct memory {
	struct sys sys;
	uint64_t limit;
	pthread_mutex_t lock; /* of all below */
	uint64_t used;
	struct node *nodes;
	size_t n_nodes;
	struct handle *handles;
	size_t n_handles;
};

static struct memory *memory_of(struct sys *sys)
{
	return (struct memory *)sys;
}

/* -- inodes and what they weigh ----------------------------------------- */

static uint64_t weight(uint64_t end, uint64_t reserved)
{
	return end > reserved ? end : reserved;
}

/* Change what a file occupies; nothing changes when there is no room. */
static int weigh_locked(struct memory *m, struct inode *inode, uint64_t end,
			uint64_t reserved)
{
	uint64_t others = m->used - weight(inode->end, inode->reserved);
	uint64_t mine = weight(end, reserved);

	if (mine > weight(inode->end, inode->reserved) &&
	    mine > m->limit - others)
		return -ENOSPC;
	m->used = others + mine;
	inode->end = end;
	inode->reserved = reserved;
	return 0;
}

static void inode_put_locked(struct memory *m, struct inode *inode)
{
	if (--inode->users)
		return;
	m->used -= weight(inode->end, inode->reserved);
	close(inode->fd);
	free(inode);
}

/* -- names -------------------------------------------------------------- */

static char *tidy(const char *path)
{
	char *out = mem_alloc(strlen(path) + 1), *to = out;

	for (const char *p = path; *p; p++)
		if (*p != '/' || to == out || to[-1] != '/')
			*to++ = *p;
	if (to > out + 1 && to[-1] == '/')
		to--;
	*to = '\0';
	return out;
}

static bool is_root(const char *path)
{
	return strcmp(path, "/") == 0 || strcmp(path, ".") == 0;
}

static struct node *find_locked(struct memory *m, const char *path)
{
	for (size_t i = 0; i < m->n_nodes; i++)
		if (strcmp(m->nodes[i].path, path) == 0)
			return &m->nodes[i];
	return NULL;
}

/* 0 when `path` is a directory. */
static int directory_locked(struct memory *m, const char *path)
{
	const struct node *node;

	if (is_root(path))
		return 0;
	node = find_locked(m, path);
	if (!node)
		return -ENOENT;
	return node->inode ? -ENOTDIR : 0;
}

/* 0 when a name may be made at `path`: the directory it lies in exists. */
static int parent_locked(struct memory *m, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *parent;
	int rc;

	if (!path[0])
		return -ENOENT;
	if (!slash || slash == path)
		return 0;
	parent = mem_text(path);
	parent[slash - path] = '\0';
	rc = directory_locked(m, parent);
	free(parent);
	return rc;
}

/* The name inside directory `dir`, or NULL when the path lies elsewhere. */
static const char *name_in(const char *dir, const char *path)
{
	size_t len = strlen(dir);

	if (strcmp(dir, ".") == 0)
		return path[0] == '/' || strchr(path, '/') ? NULL : path;
	if (strcmp(dir, "/") == 0)
		len = 0;
	if (strncmp(path, dir, len) != 0 || path[len] != '/')
		return NULL;
	return strchr(path + len + 1, '/') ? NULL : path + len + 1;
}

/* Takes the path. */
static struct node *add_locked(struct memory *m, char *path,
			       struct inode *inode)
{
	m->nodes = mem_grow(m->nodes, (m->n_nodes + 1) * sizeof(*m->nodes));
	m->nodes[m->n_nodes] = (struct node){ path, inode };
	return &m->nodes[m->n_nodes++];
}

static void remove_locked(struct memory *m, struct node *node)
{
	if (node->inode)
		inode_put_locked(m, node->inode);
	free(node->path);
	*node = m->nodes[--m->n_nodes];
}

static bool empty_locked(struct memory *m, const char *dir)
{
	for (size_t i = 0; i < m->n_nodes; i++)
		if (name_in(dir, m->nodes[i].path))
			return false;
	return true;
}

/* -- handles ------------------------------------------------------------ */

static struct handle *handle_locked(struct memory *m, int file, int flags)
{
	struct handle *h;

	if (file < 0 || (size_t)file >= m->n_handles)
		return NULL;
	h = &m->handles[file];
	return h->inode && (h->flags & flags) == flags ? h : NULL;
}

static int new_handle_locked(struct memory *m, struct inode *inode, int flags)
{
	int fd = dup(inode->fd);
	size_t need = (size_t)fd + 1;

	if (fd < 0)
		return -errno;
	if (need > m->n_handles) {
		m->handles = mem_grow(m->handles, need * sizeof(*m->handles));
		memset(m->handles + m->n_handles, 0,
		       (need - m->n_handles) * sizeof(*m->handles));
		m->n_handles = need;
	}
	m->handles[fd] = (struct handle){ inode, flags };
	inode->users++;
	return fd;
}

static struct inode *new_inode(const char *path)
{
	int fd = memfd_create(path, MFD_CLOEXEC);
	struct inode *inode;

	if (fd < 0)
		return NULL;
	inode = mem_alloc(sizeof(*inode));
	*inode = (struct inode){ .fd = fd, .users = 1, .locked_by = -1 };
	return inode;
}

static int truncate_locked(struct memory *m, struct inode *inode,
			   uint64_t bytes)
{
	int rc = weigh_locked(m, inode, bytes, 0);

	if (rc == 0 && ftruncate(inode->fd, (off_t)bytes) < 0)
		rc = -errno;
	return rc;
}

static int create_locked(struct memory *m, const char *path,
			 struct inode **inode)
{
	int rc = parent_locked(m, path);

	if (rc < 0)
		return rc;
	/* The kernel's name of a memfd is short, and only for people. */
	*inode = new_inode("weir");
	if (!*inode)
		return -errno;
	add_locked(m, mem_text(path), *inode);
	return 0;
}

static int open_locked(struct memory *m, const char *path, int flags)
{
	struct node *node = find_locked(m, path);
	struct inode *inode = node ? node->inode : NULL;
	int rc = 0;

	if (is_root(path) || (node && !inode))
		return -EISDIR;
	if (!node && !(flags & SYS_CREATE)) {
		rc = parent_locked(m, path);
		return rc < 0 ? rc : -ENOENT;
	}
	if (node && flags & SYS_CREATE && flags & SYS_EXCL)
		return -EEXIST;
	if (!node)
		rc = create_locked(m, path, &inode);
	else if (flags & SYS_TRUNCATE)
		rc = truncate_locked(m, inode, 0);
	if (!(flags & SYS_WRITE))
		flags |= SYS_READ;
	return rc < 0 ? rc : new_handle_locked(m, inode, flags);
}

/* -- the calls of struct sys -------------------------------------------- */

static int memory_open(struct sys *sys, const char *path, int flags)
{
	struct memory *m = memory_of(sys);
	char *tidied = tidy(path);
	int rc;

	pthread_mutex_lock(&m->lock);
	rc = open_locked(m, tidied, flags);
	pthread_mutex_unlock(&m->lock);
	free(tidied);
	return rc;
}

static int memory_close(struct sys *sys, int file)
{
	struct memory *m = memory_of(sys);
	struct handle *h;
	struct inode *inode;
	int rc = -EBADF;

	pthread_mutex_lock(&m->lock);
	h = handle_locked(m, file, 0);
	if (h) {
		inode = h->inode;
		h->inode = NULL;
		if (inode->locked_by == file)
			inode->locked_by = -1;
		/* The number must not come back before the table knows. */
		rc = close(file) < 0 ? -errno : 0;
		inode_put_locked(m, inode);
	}
	pthread_mutex_unlock(&m->lock);
	return rc;
}

static ssize_t memory_pread(struct sys *sys, int file, void *to, size_t len,
			    uint64_t at)
{
	struct memory *m = memory_of(sys);
	bool mine;

	pthread_mutex_lock(&m->lock);
	mine = handle_locked(m, file, SYS_READ) != NULL;
	pthread_mutex_unlock(&m->lock);
	return mine ? sys_host()->pread(sys, file, to, len, at) : -EBADF;
}

static ssize_t memory_pwrite(struct sys *sys, int file, const void *from,
			     size_t len, uint64_t at)
{
	struct memory *m = memory_of(sys);
	struct handle *h;
	int rc = -EBADF;

	if (at > INT64_MAX - len)
		return -EFBIG;
	pthread_mutex_lock(&m->lock);
	h = handle_locked(m, file, SYS_WRITE);
	if (h)
		rc = weigh_locked(m, h->inode,
				  at + len > h->inode->end ? at + len
							   : h->inode->end,
				  h->inode->reserved);
	pthread_mutex_unlock(&m->lock);
	return rc < 0 ? rc : sys_host()->pwrite(sys, file, from, len, at);
}

static int memory_truncate(struct sys *sys, int file, uint64_t bytes)
{
	struct memory *m = memory_of(sys);
	struct handle *h;
	int rc = -EBADF;

	pthread_mutex_lock(&m->lock);
	h = handle_locked(m, file, SYS_WRITE);
	if (h)
		rc = truncate_locked(m, h->inode, bytes);
	pthread_mutex_unlock(&m->lock);
	return rc;
}

/* Only the promise is kept; pages come when they are written. */
static int memory_reserve(struct sys *sys, int file, uint64_t bytes)
{
	struct memory *m = memory_of(sys);
	struct handle *h;
	int rc = -EBADF;

	pthread_mutex_lock(&m->lock);
	h = handle_locked(m, file, SYS_WRITE);
	if (h)
		rc = weigh_locked(m, h->inode, h->inode->end,
				  weight(bytes, h->inode->reserved));
	pthread_mutex_unlock(&m->lock);
	return rc;
}

static void memory_write_out(struct sys *sys, int file, uint64_t at,
			     uint64_t len)
{
	(void)sys;
	(void)file;
	(void)at;
	(void)len;
}

static int memory_sync(struct sys *sys, int file)
{
	struct memory *m = memory_of(sys);
	bool mine;

	pthread_mutex_lock(&m->lock);
	mine = handle_locked(m, file, 0) != NULL;
	pthread_mutex_unlock(&m->lock);
	return mine ? 0 : -EBADF;
}

static int memory_sync_dir(struct sys *sys, const char *path)
{
	struct memory *m = memory_of(sys);
	char *tidied = tidy(path);
	int rc;

	pthread_mutex_lock(&m->lock);
	rc = directory_locked(m, tidied);
	pthread_mutex_unlock(&m->lock);
	free(tidied);
	return rc;
}

/* Everything below a directory moves with it. */
static void move_locked(struct memory *m, const char *from, const char *to)
{
	size_t len = strlen(from);

	for (size_t i = 0; i < m->n_nodes; i++) {
		char *old = m->nodes[i].path;

		if (strncmp(old, from, len) != 0 ||
		    (old[len] && old[len] != '/'))
			continue;
		m->nodes[i].path = mem_format("%s%s", to, old + len);
		free(old);
	}
}

static int rename_locked(struct memory *m, const char *from, const char *to)
{
	struct node *old = find_locked(m, from), *target = find_locked(m, to);
	size_t len = strlen(from);

	if (!old)
		return -ENOENT;
	if (parent_locked(m, to) < 0)
		return parent_locked(m, to);
	if (strcmp(from, to) == 0)
		return 0;
	if (!old->inode && strncmp(from, to, len) == 0 && to[len] == '/')
		return -EINVAL;
	if (target && !old->inode && target->inode)
		return -ENOTDIR;
	if (target && old->inode && !target->inode)
		return -EISDIR;
	if (target && !target->inode && !empty_locked(m, to))
		return -ENOTEMPTY;
	if (target)
		remove_locked(m, target);
	move_locked(m, from, to);
	return 0;
}

static int memory_rename(struct sys *sys, const char *from, const char *to)
{
	struct memory *m = memory_of(sys);
	char *tidy_from = tidy(from), *tidy_to = tidy(to);
	int rc;

	pthread_mutex_lock(&m->lock);
	rc = rename_locked(m, tidy_from, tidy_to);
	pthread_mutex_unlock(&m->lock);
	free(tidy_from);
	free(tidy_to);
	return rc;
}

static int unlink_locked(struct memory *m, const char *path)
{
	struct node *node = find_locked(m, path);

	if (!node)
		return parent_locked(m, path) < 0 ? parent_locked(m, path)
						  : -ENOENT;
	if (!node->inode)
		return -EISDIR;
	remove_locked(m, node);
	return 0;
}

static int memory_unlink(struct sys *sys, const char *path)
{
	struct memory *m = memory_of(sys);
	char *tidied = tidy(path);
	int rc;

	pthread_mutex_lock(&m->lock);
	rc = unlink_locked(m, tidied);
	pthread_mutex_unlock(&m->lock);
	free(tidied);
	return rc;
}

static int memory_mkdir(struct sys *sys, const char *path)
{
	struct memory *m = memory_of(sys);
	char *tidied = tidy(path);
	int rc;

	pthread_mutex_lock(&m->lock);
	rc = is_root(tidied) || find_locked(m, tidied)
		     ? -EEXIST
		     : parent_locked(m, tidied);
	if (rc == 0)
		add_locked(m, mem_text(tidied), NULL);
	pthread_mutex_unlock(&m->lock);
	free(tidied);
	return rc;
}

static int rmdir_locked(struct memory *m, const char *path)
{
	int rc = directory_locked(m, path);

	if (rc < 0)
		return rc;
	if (is_root(path))
		return -EBUSY;
	if (!empty_locked(m, path))
		return -ENOTEMPTY;
	remove_locked(m, find_locked(m, path));
	return 0;
}

static int memory_rmdir(struct sys *sys, const char *path)
{
	struct memory *m = memory_of(sys);
	char *tidied = tidy(path);
	int rc;

	pthread_mutex_lock(&m->lock);
	rc = rmdir_locked(m, tidied);
	pthread_mutex_unlock(&m->lock);
	free(tidied);
	return rc;
}

/* The names are copied first, so that fn may call us. */
static int memory_list(struct sys *sys, const char *path, sys_list_fn fn,
		       void *arg)
{
	struct memory *m = memory_of(sys);
	char *tidied = tidy(path);
	char **names = NULL;
	size_t n = 0;
	int rc;

	pthread_mutex_lock(&m->lock);
	rc = directory_locked(m, tidied);
	if (rc == 0)
		names = mem_array(m->n_nodes, sizeof(*names));
	for (size_t i = 0; rc == 0 && i < m->n_nodes; i++) {
		const char *name = name_in(tidied, m->nodes[i].path);

		if (name)
			names[n++] = mem_text(name);
	}
	pthread_mutex_unlock(&m->lock);

	for (size_t i = 0; i < n; i++) {
		fn(arg, names[i]);
		free(names[i]);
	}
	free(names);
	free(tidied);
	return rc;
}

static int memory_lock(struct sys *sys, int file)
{
	struct memory *m = memory_of(sys);
	struct handle *h;
	int rc = -EBADF;

	pthread_mutex_lock(&m->lock);
	h = handle_locked(m, file, SYS_WRITE);
	if (h && h->inode->locked_by >= 0 && h->inode->locked_by != file) {
		rc = -EWOULDBLOCK;
	} else if (h) {
		h->inode->locked_by = file;
		rc = 0;
	}
	pthread_mutex_unlock(&m->lock);
	return rc;
}

static int memory_locked(struct sys *sys, int file)
{
	struct memory *m = memory_of(sys);
	struct handle *h;
	int rc = -EBADF;

	pthread_mutex_lock(&m->lock);
	h = handle_locked(m, file, 0);
	if (h)
		rc = h->inode->locked_by >= 0 && h->inode->locked_by != file;
	pthread_mutex_unlock(&m->lock);
	return rc;
}

static int memory_space(struct sys *sys, const char *path, uint64_t *free)
{
	struct memory *m = memory_of(sys);

	(void)path;
	pthread_mutex_lock(&m->lock);
	*free = m->used < m->limit ? m->limit - m->used : 0;
	pthread_mutex_unlock(&m->lock);
	return 0;
}

struct sys *sys_memory_new(uint64_t limit)
{
	struct memory *m = mem_alloc(sizeof(*m));

	m->sys = *sys_host();
	m->limit = limit;
	pthread_mutex_init(&m->lock, NULL);
	m->sys.open = memory_open;
	m->sys.close = memory_close;
	m->sys.pread = memory_pread;
	m->sys.pwrite = memory_pwrite;
	m->sys.truncate = memory_truncate;
	m->sys.reserve = memory_reserve;
	m->sys.write_out = memory_write_out;
	m->sys.sync = memory_sync;
	m->sys.sync_dir = memory_sync_dir;
	m->sys.rename = memory_rename;
	m->sys.unlink = memory_unlink;
	m->sys.mkdir = memory_mkdir;
	m->sys.rmdir = memory_rmdir;
	m->sys.list = memory_list;
	m->sys.lock = memory_lock;
	m->sys.locked = memory_locked;
	m->sys.space = memory_space;
	return &m->sys;
}

void sys_memory_free(struct sys *sys)
{
	struct memory *m = memory_of(sys);

	if (!sys)
		return;
	for (size_t i = 0; i < m->n_handles; i++)
		if (m->handles[i].inode)
			memory_close(sys, (int)i);
	while (m->n_nodes)
		remove_locked(m, &m->nodes[m->n_nodes - 1]);
	pthread_mutex_destroy(&m->lock);
	free(m->handles);
	free(m->nodes);
	free(m);
}
