/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/analyze/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

enum { NUMBERS_MAX = 9999 };

struct output {
	char *path;
	int fd;
	bool ours; /* to close */
	pthread_mutex_t lock;
	atomic_bool failed;
	atomic_uint_fast64_t bytes;
	struct err err;
};

/* Out of the way, to the first number that nobody has. */
static int rotate(const char *path, struct err *err)
{
	for (int i = 1; i <= NUMBERS_MAX; i++) {
		char *to = mem_format("%s.%d", path, i);
		int rc = renameat2(AT_FDCWD, path, AT_FDCWD, to,
				   RENAME_NOREPLACE);
		int number = errno;

		if (rc == 0)
			log_info("analyze", "%s was there; it is %s now", path,
				 to);
		free(to);
		if (rc == 0)
			return 0;
		if (number != EEXIST)
			return err_sys(err, number,
				       "cannot rename %s, which is there and "
				       "is not written over",
				       path);
	}
	return err_set(err, ERR_FULL,
		       "%s is there, and so is every name from %s.1 to %s.%d",
		       path, path, path, NUMBERS_MAX);
}

static int open_file(struct output *o, struct err *err)
{
	struct stat st;

	if (strcmp(o->path, "-") == 0) {
		o->fd = STDOUT_FILENO;
		return 0;
	}
	/* A pipe or /dev/null is not renamed. */
	if (stat(o->path, &st) == 0 && S_ISREG(st.st_mode) &&
	    rotate(o->path, err) < 0)
		return err->code;
	o->fd = open(o->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (o->fd < 0)
		return err_sys(err, errno, "cannot write %s", o->path);
	o->ours = true;
	return 0;
}

struct output *output_open(const char *path, struct err *err)
{
	struct output *o = mem_alloc(sizeof(*o));

	o->path = mem_text(path);
	pthread_mutex_init(&o->lock, NULL);
	o->fd = -1;
	if (open_file(o, err) == 0)
		return o;
	output_close(o, NULL);
	return NULL;
}

static int write_all(int fd, struct bytes b)
{
	while (b.len) {
		ssize_t n = write(fd, b.p, b.len);

		if (n < 0 && errno == EAGAIN) {
			struct pollfd p = { .fd = fd, .events = POLLOUT };

			poll(&p, 1, -1);
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		b.p += n;
		b.len -= (size_t)n;
	}
	return 0;
}

void output_write(struct output *o, struct bytes lines)
{
	int rc;

	if (!lines.len)
		return;
	pthread_mutex_lock(&o->lock);
	rc = atomic_load(&o->failed) ? 0 : write_all(o->fd, lines);
	if (rc < 0) {
		err_sys(&o->err, -rc, "cannot write %s",
			o->ours ? o->path : "standard output");
		atomic_store(&o->failed, true);
	} else if (!atomic_load(&o->failed)) {
		atomic_fetch_add(&o->bytes, lines.len);
	}
	pthread_mutex_unlock(&o->lock);
}

bool output_failed(const struct output *o)
{
	return atomic_load(&o->failed);
}

uint64_t output_bytes(const struct output *o)
{
	return atomic_load(&o->bytes);
}

int output_close(struct output *o, struct err *err)
{
	int rc = 0;

	if (!o)
		return 0;
	if (o->ours && close(o->fd) < 0 && !o->err.code)
		err_sys(&o->err, errno, "cannot write %s", o->path);
	if (o->err.code && err) {
		*err = o->err;
		rc = err->code;
	}
	pthread_mutex_destroy(&o->lock);
	free(o->path);
	free(o);
	return rc;
}
