/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "sys/sys.h"

static int check(const char *path, const struct stat *st, bool any_mode,
		 size_t max, struct err *err)
{
	if (!S_ISREG(st->st_mode))
		return err_set(err, ERR_FAILED, "%s is not a regular file",
			       path);
	if (!any_mode && st->st_mode & (S_IRWXG | S_IRWXO))
		return err_set(err, ERR_AUTH,
			       "%s has mode %04o, so others may read it; "
			       "chmod 600 %s",
			       path, (unsigned)st->st_mode & 07777, path);
	if ((uintmax_t)st->st_size > max)
		return err_set(err, ERR_LIMIT,
			       "%s has %jd bytes; a key file has at most %zu",
			       path, (intmax_t)st->st_size, max);
	return 0;
}

/* It may shrink meanwhile, and grow: never past what was looked at. */
static int read_all(int file, const char *path, size_t len, struct buf *out,
		    struct err *err)
{
	while (len) {
		ssize_t n = read(file, buf_reserve(out, len), len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "cannot read %s", path);
		if (n == 0)
			break;
		buf_added(out, (size_t)n);
		len -= (size_t)n;
	}
	return 0;
}

int secret_load(const char *path, bool any_mode, size_t max, struct buf *out,
		struct err *err)
{
	/* Not to wait for the other end where somebody left a pipe. */
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int rc;

	if (file < 0)
		return err_sys(err, errno, "cannot open %s", path);
	if (fstat(file, &st) < 0)
		rc = err_sys(err, errno, "cannot look at %s", path);
	else
		rc = check(path, &st, any_mode, max, err);
	if (rc == 0)
		rc = read_all(file, path, (size_t)st.st_size, out, err);
	close(file);
	return rc;
}

static int sync_parent_of(struct sys *sys, const char *path)
{
	char *parent = mem_text(path);
	char *slash = strrchr(parent, '/');
	int rc;

	if (slash)
		slash[slash == parent] = '\0';
	rc = sys->sync_dir(sys, slash ? parent : ".");
	free(parent);
	return rc;
}

static int create(const char *path, struct bytes content, struct err *err)
{
	struct sys *sys = sys_host();
	int file = sys->open(sys, path, SYS_WRITE | SYS_CREATE | SYS_EXCL);
	int rc;

	if (file == -EEXIST)
		return err_set(err, ERR_BUSY, "%s is there already", path);
	if (file < 0)
		return err_sys(err, -file, "cannot create %s", path);
	rc = sys_write_full(sys, file, content.p, content.len, 0);
	if (rc == 0)
		rc = sys->sync(sys, file);
	sys->close(sys, file);
	if (rc == 0)
		rc = sync_parent_of(sys, path);
	if (rc == 0)
		return 0;
	sys->unlink(sys, path);
	return err_sys(err, -rc, "cannot write %s", path);
}

int secret_save(const char *path, bool replace, struct bytes content,
		struct err *err)
{
	int rc;

	if (!replace)
		return create(path, content, err);
	rc = sys_replace_file(sys_host(), path, content.p, content.len);
	return rc < 0 ? err_sys(err, -rc, "cannot replace %s", path) : 0;
}

void secret_release(struct buf *b)
{
	if (b->p)
		mem_wipe(b->p, b->cap);
	buf_release(b);
}
