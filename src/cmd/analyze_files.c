/* SPDX-License-Identifier: Apache-2.0 */
/*
 * analyze_files.c - capture files, folders of them, and pipes.
 *
 * The files of a folder are read in the order of their first packets, so that
 * a conversation goes on from one rotated file to the next.
 */
#include "cmd/analyze_input_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/capfile/capfile.h"

enum { FOLDER_MAX = 100000 }; /* files of one folder */

static const char part[] = "analyze";

struct reading {
	struct input *in;
	const char *path;
	struct capfile *file;
	int fd;	      /* the file's */
	bool pipe;    /* it may be waited for */
	bool refused; /* not the file's fault: the expression is wrong */
	const struct stream_source *source;
	uint64_t index;
};

/* -- one file
 * ------------------------------------------------------------------- */

/* A file's first packets tell who it is, whatever its name and format. */
static const struct stream_source *identify(struct input *in, const char *path)
{
	struct err scrap = ERR_NONE;
	struct capfile *f = capfile_open(path, &scrap);
	struct packet first[IDENTITY_PACKETS];
	struct buf copies = { 0 };
	struct capfile_packet p;
	const struct stream_source *s;
	int n = 0;

	buf_reserve(&copies, IDENTITY_PACKETS * 64);
	while (f && n < IDENTITY_PACKETS && capfile_next(f, &p, &scrap) == 0) {
		size_t len = p.packet.data.len < 64 ? p.packet.data.len : 64;

		first[n] = p.packet;
		first[n++].data = bytes_of(copies.p + copies.len, len);
		put_bytes(&copies, bytes_of(p.packet.data.p, len));
	}
	capfile_close(f);
	s = input_source(in, path, first, n);
	buf_release(&copies);
	return s;
}

static int open_reading(struct reading *r, struct err *err)
{
	bool in = strcmp(r->path, "-") == 0;
	struct stat st;

	/* A description of our own, so that nobody else's stops blocking. */
	r->fd = open(in ? "/dev/stdin" : r->path, O_RDONLY | O_CLOEXEC);
	if (r->fd < 0 && in)
		r->fd = dup(STDIN_FILENO);
	else if (r->fd >= 0 && fstat(r->fd, &st) == 0 && !S_ISREG(st.st_mode))
		r->pipe = fcntl(r->fd, F_SETFL, O_NONBLOCK) == 0;
	if (r->fd < 0)
		return err_sys(err, errno, "cannot open %s", r->path);
	r->file = capfile_open_fd(r->fd, in ? "standard input" : r->path);
	if (!r->pipe && !in)
		r->source = identify(r->in, r->path);
	atomic_store(&r->in->size, capfile_size(r->file));
	return 0;
}

/* Nothing is there now; what came is shown meanwhile. */
static int wait_for_more(struct reading *r)
{
	analyze_flush(r->in->cfg.analyze);
	input_wait(r->in, r->fd, -1);
	return 0;
}

static int take_batch(struct reading *r, struct packet *batch, struct err *err)
{
	struct packet_source from = capfile_source(r->file);
	uint32_t linktype = 0;
	int n = capfile_linktype(r->file, &linktype, err);

	if (n == 0)
		n = from.take(from.self, batch, (int)r->in->cfg.batch, err);
	atomic_store(&r->in->position, capfile_position(r->file));
	if (n == 0 || n == ERR_AGAIN)
		return wait_for_more(r);
	if (n < 0)
		return n;
	if (!r->source)
		r->source = input_source(r->in, "standard input", batch, 1);
	if (input_give(r->in, r->source, linktype, batch, n, r->index, err) <
	    0) {
		r->refused = true;
		return err->code;
	}
	r->index += (uint64_t)n;
	if (r->pipe)
		analyze_flush(r->in->cfg.analyze);
	return 0;
}

/*
 * A damaged end costs nothing but itself.  A file of which nothing could be
 * read is a failure.
 */
static int judge_end(struct reading *r, int rc, struct err *err)
{
	const char *warning = capfile_warning(r->file);

	if (warning)
		log_warn(part, "%s", warning);
	if (rc == 0 || rc == ERR_END)
		return 0;
	if (r->refused || r->index == 0)
		return rc;
	log_warn(part, "%s", err->text);
	*err = ERR_NONE;
	return 0;
}

static int read_file(struct input *in, const char *path, struct packet *batch,
		     struct err *err)
{
	struct reading r = { .in = in, .path = path, .fd = -1 };
	int rc = open_reading(&r, err);

	if (rc < 0)
		return rc;
	while (rc == 0 && !input_stopped(in))
		rc = take_batch(&r, batch, err);
	rc = judge_end(&r, rc, err);
	capfile_close(r.file);
	return rc;
}

/* -- folders
 * -------------------------------------------------------------------------- */

struct found {
	char *path;
	uint64_t first_ns;
};

static int by_time(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->first_ns != y->first_ns)
		return x->first_ns < y->first_ns ? -1 : 1;
	return strcmp(x->path, y->path);
}

/* A regular file with a packet in it; others of a folder are passed by. */
static bool look_at(struct found *f)
{
	struct err err = ERR_NONE;
	struct capfile_packet p;
	struct capfile *file;
	struct stat st;
	int rc;

	if (stat(f->path, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	file = capfile_open(f->path, &err);
	rc = file ? capfile_next(file, &p, &err) : err.code;
	if (rc == 0)
		f->first_ns = p.packet.time_ns;
	else if (rc != ERR_END)
		log_warn(part, "passed by: %s", err.text);
	capfile_close(file);
	return rc == 0;
}

static int list_folder(const char *path, struct found **all, int *n,
		       struct err *err)
{
	DIR *d = opendir(path);
	struct dirent *e;

	if (!d)
		return err_sys(err, errno, "cannot read the folder %s", path);
	while ((e = readdir(d)) != NULL && *n < FOLDER_MAX) {
		struct found f = { mem_format("%s/%s", path, e->d_name), 0 };

		if (e->d_name[0] == '.' || !look_at(&f)) {
			free(f.path);
			continue;
		}
		*all = mem_grow(*all, (size_t)(*n + 1) * sizeof(**all));
		(*all)[(*n)++] = f;
	}
	closedir(d);
	if (*n == FOLDER_MAX)
		log_warn(part,
			 "%s has more than %d captures; the rest is "
			 "left out",
			 path, FOLDER_MAX);
	if (*n)
		qsort(*all, (size_t)*n, sizeof(**all), by_time);
	return 0;
}

static int read_folder(struct input *in, const char *path, struct packet *batch,
		       struct err *err)
{
	struct found *all = NULL;
	int n = 0, rc = list_folder(path, &all, &n, err);

	if (rc == 0 && n == 0)
		rc = err_set(err, ERR_FAILED,
			     "%s holds no capture with a "
			     "packet in it",
			     path);
	for (int i = 0; i < n; i++) {
		if (rc == 0 && !input_stopped(in))
			rc = read_file(in, all[i].path, batch, err);
		free(all[i].path);
	}
	free(all);
	return rc;
}

int input_read_files(struct input *in, struct err *err)
{
	struct packet *batch = mem_array(in->cfg.batch, sizeof(*batch));
	int rc = 0;

	for (int i = 0; i < in->cfg.n_files && rc == 0; i++) {
		const char *path = in->cfg.files[i];
		struct stat st;

		if (input_stopped(in))
			break;
		if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
			rc = read_folder(in, path, batch, err);
		else
			rc = read_file(in, path, batch, err);
	}
	free(batch);
	return rc;
}
