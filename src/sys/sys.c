/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/sys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

int sys_read_full(struct sys *sys, int file, void *to, size_t len, uint64_t at)
{
	uint8_t *p = to;

	while (len) {
		ssize_t n = sys->pread(sys, file, p, len, at);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		p += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int sys_write_full(struct sys *sys, int file, const void *from, size_t len,
		   uint64_t at)
{
	const uint8_t *p = from;

	while (len) {
		ssize_t n = sys->pwrite(sys, file, p, len, at);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		p += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* The directory that holds `path`; the caller frees it. */
static char *parent_of(const char *path)
{
	char *parent = mem_text(path);
	char *slash = strrchr(parent, '/');

	if (!slash)
		strcpy(parent, path[0] ? "." : "");
	else
		slash[slash == parent] = '\0';
	return parent;
}

static int sync_parent(struct sys *sys, const char *path)
{
	char *parent = parent_of(path);
	int rc = sys->sync_dir(sys, parent);

	free(parent);
	return rc;
}

/*
 * A part that is already there may have been made by a process that died
 * before its sync, so it is synced as well; but it may also be a directory
 * that we may not read ("/home"), whose maker answers for it.
 */
static int mkdir_one(struct sys *sys, const char *path)
{
	int made = sys->mkdir(sys, path);
	int rc;

	if (made < 0 && made != -EEXIST)
		return made;
	rc = sync_parent(sys, path);
	return made == 0 || rc == -EIO ? rc : 0;
}

int sys_mkdir_all(struct sys *sys, const char *path)
{
	char *part = mem_text(path);
	size_t len = strlen(part);
	int rc = 0;

	while (len > 1 && part[len - 1] == '/')
		part[--len] = '\0';
	for (char *p = part + 1; rc == 0 && len > 1 && *p; p++)
		if (*p == '/' && p[-1] != '/') {
			*p = '\0';
			rc = mkdir_one(sys, part);
			*p = '/';
		}
	if (rc == 0 && strcmp(part, "/") != 0)
		rc = mkdir_one(sys, part);
	free(part);
	return rc;
}

static int write_new(struct sys *sys, const char *path, const void *from,
		     size_t len)
{
	int file = sys->open(sys, path, SYS_WRITE | SYS_CREATE | SYS_TRUNCATE);
	int rc, closed;

	if (file < 0)
		return file;
	rc = sys_write_full(sys, file, from, len, 0);
	if (rc == 0)
		rc = sys->sync(sys, file);
	closed = sys->close(sys, file);
	return rc < 0 ? rc : closed;
}

int sys_replace_file(struct sys *sys, const char *path, const void *from,
		     size_t len)
{
	char *tmp = mem_format("%s.tmp", path);
	int rc = write_new(sys, tmp, from, len);

	if (rc == 0)
		rc = sys->rename(sys, tmp, path);
	if (rc < 0)
		sys->unlink(sys, tmp);
	else
		rc = sync_parent(sys, path);
	free(tmp);
	return rc < 0 ? rc : 0;
}
