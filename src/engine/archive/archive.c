/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/archive/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "engine/archive/archive_priv.h"
#include "engine/pack/unpack.h"

static const uint8_t xz_magic[] = { 0xfd, '7', 'z', 'X', 'Z', 0 };

enum { DRAIN_MAX = 64 << 20 };

struct archive {
	int fd;
	char *name;
	uint64_t position, size;
	const char *format;

	struct zip *zip; /* then nothing below is used, and fd is its */

	uint8_t *raw, *plain; /* owned */
	struct bytes packed;  /* of raw, not unpacked yet */
	struct unpack *unpack;
	struct unxz *unxz;
	bool ended; /* nothing more comes from fd */

	struct tarball *tar;
	struct bytes bytes; /* of the tar, not looked at yet */
	bool inside;	    /* a member is open */
	bool drained;	    /* all behind its end was looked at */
	int drain_code;
	uint64_t members;
	struct err failed;
};

/* -- opening -------------------------------------------------------------- */

static int read_some(struct archive *a)
{
	ssize_t n;

	do
		n = read(a->fd, a->raw, ARCHIVE_BUFFER);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(&a->failed, errno, "%s cannot be read", a->name);
	a->position += (uint64_t)n;
	a->ended = n == 0;
	a->packed = bytes_of(a->raw, (size_t)n);
	return 0;
}

/* Enough bytes to tell what it is; a pipe may give them one by one. */
static int read_head(struct archive *a)
{
	size_t have = 0;

	while (have < sizeof(xz_magic)) {
		ssize_t n = read(a->fd, a->raw + have, ARCHIVE_BUFFER - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(&a->failed, errno, "%s cannot be read",
				       a->name);
		if (n == 0)
			break;
		have += (size_t)n;
	}
	a->position = have;
	a->packed = bytes_of(a->raw, have);
	return have ? 0
		    : err_set(&a->failed, ERR_UNKNOWN, "%s is empty", a->name);
}

static bool is_zip(struct bytes head)
{
	return head.len >= 4 && head.p[0] == 'P' && head.p[1] == 'K' &&
	       ((head.p[2] == 3 && head.p[3] == 4) ||
		(head.p[2] == 5 && head.p[3] == 6));
}

static int open_zip(struct archive *a)
{
	a->format = "zip";
	if (!a->size)
		return err_set(&a->failed, ERR_UNKNOWN,
			       "%s is a zip archive, whose list stands at its "
			       "end: it cannot be read from a pipe",
			       a->name);
	a->zip = zip_open(a->fd, a->name, a->size, &a->failed);
	a->fd = -1;
	return a->failed.code;
}

static int look(struct archive *a)
{
	const char *foreign = NULL, *packing;

	if (read_head(a) < 0)
		return a->failed.code;
	if (is_zip(a->packed))
		return open_zip(a);
	a->tar = tarball_new();
	a->format = "tar";
	if (a->packed.len >= sizeof(xz_magic) &&
	    memcmp(a->packed.p, xz_magic, sizeof(xz_magic)) == 0) {
		a->unxz = unxz_new();
		a->format = "tar.xz";
		return 0;
	}
	a->unpack = unpack_new(a->packed, &foreign);
	if (foreign)
		return err_set(&a->failed, ERR_UNKNOWN,
			       "%s is packed with %s, which is not read here",
			       a->name, foreign);
	if (!a->unpack)
		return 0;
	packing = unpack_name(a->unpack);
	a->format = strcmp(packing, "gzip") == 0   ? "tar.gz"
		    : strcmp(packing, "zstd") == 0 ? "tar.zst"
						   : "tar.lz4";
	return 0;
}

struct archive *archive_open(const char *path, struct err *err)
{
	struct archive *a = mem_alloc(sizeof(*a));
	bool in = strcmp(path, "-") == 0;
	struct stat st;

	a->name = mem_text(in ? "standard input" : path);
	a->raw = mem_alloc(ARCHIVE_BUFFER);
	a->plain = mem_alloc(ARCHIVE_BUFFER);
	a->fd = in ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
		   : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (a->fd < 0) {
		err_sys(err, errno, "%s cannot be opened", a->name);
		archive_close(a);
		return NULL;
	}
	if (fstat(a->fd, &st) == 0 && S_ISREG(st.st_mode))
		a->size = (uint64_t)st.st_size;
	posix_fadvise(a->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	if (look(a) < 0) {
		*err = a->failed;
		archive_close(a);
		return NULL;
	}
	return a;
}

void archive_close(struct archive *a)
{
	if (!a)
		return;
	if (a->fd >= 0)
		close(a->fd);
	zip_close(a->zip);
	tarball_free(a->tar);
	unpack_free(a->unpack);
	unxz_free(a->unxz);
	free(a->raw);
	free(a->plain);
	free(a->name);
	free(a);
}

const char *archive_format(const struct archive *a)
{
	return a->format;
}

uint64_t archive_position(const struct archive *a)
{
	return a->zip ? zip_position(a->zip) : a->position;
}

uint64_t archive_size(const struct archive *a)
{
	return a->size;
}

/* -- bytes of the tar ----------------------------------------------------- */

static int broken_packing(struct archive *a, int code)
{
	if (code == ERR_LIMIT)
		return err_set(&a->failed, ERR_LIMIT,
			       "%s needs over 256 MiB of memory to be unpacked",
			       a->name);
	return err_set(
		&a->failed, ERR_DAMAGED,
		"%s is damaged near its byte %llu: it cannot be "
		"unpacked%s%s; %llu members were whole before it",
		a->name, (unsigned long long)(a->position - a->packed.len),
		a->unpack ? ": " : "", a->unpack ? unpack_why(a->unpack) : "",
		(unsigned long long)a->members);
}

static int torn_packing(struct archive *a)
{
	return err_set(&a->failed, ERR_DAMAGED,
		       "%s is damaged: its packed data end too early, at byte "
		       "%llu; %llu members were whole",
		       a->name, (unsigned long long)a->position,
		       (unsigned long long)a->members);
}

static int step(struct archive *a, size_t *made)
{
	if (a->unxz)
		return unxz_step(a->unxz, &a->packed, a->ended, a->plain,
				 ARCHIVE_BUFFER, made);
	return unpack_step(a->unpack, &a->packed, a->plain, ARCHIVE_BUFFER,
			   made);
}

static bool packing_is_whole(const struct archive *a)
{
	return a->unxz ? unxz_whole(a->unxz) : unpack_whole(a->unpack);
}

static int fill_packed(struct archive *a)
{
	for (;;) {
		size_t before = a->packed.len, made;
		int rc = step(a, &made);

		if (made) {
			a->bytes = bytes_of(a->plain, made);
			return 0;
		}
		if (rc == ERR_END)
			return ERR_END;
		if (rc < 0)
			return broken_packing(a, rc);
		if (a->packed.len < before)
			continue;
		if (a->ended)
			return packing_is_whole(a) ? ERR_END : torn_packing(a);
		if (read_some(a) < 0)
			return a->failed.code;
	}
}

static int fill_plain(struct archive *a)
{
	if (!a->packed.len && !a->ended && read_some(a) < 0)
		return a->failed.code;
	if (a->ended)
		return ERR_END;
	a->bytes = a->packed;
	a->packed = bytes_of(NULL, 0);
	return 0;
}

/* No more bytes: may the archive end here? */
static int end_tar(struct archive *a)
{
	if (tarball_end(a->tar) == 0)
		return ERR_END;
	return err_set(&a->failed, ERR_DAMAGED,
		       "%s is damaged at byte %llu%s: %s; %llu members were "
		       "whole before it",
		       a->name, (unsigned long long)tarball_offset(a->tar),
		       a->unpack || a->unxz ? " of what it unpacks to" : "",
		       tarball_why(a->tar), (unsigned long long)a->members);
}

/*
 * Behind the archive's own end: the rest of the packing, since its checksum
 * stands there.  What is more than a tape's padding is not looked at.
 */
static int drain(struct archive *a)
{
	uint64_t passed = 0;

	while ((a->unpack || a->unxz) && passed < DRAIN_MAX) {
		int rc = fill_packed(a);

		if (rc < 0)
			return rc;
		passed += a->bytes.len;
	}
	return ERR_END;
}

static int next_item(struct archive *a, struct tarball_item *item)
{
	int rc;

	while ((rc = tarball_next(a->tar, &a->bytes, item)) == ERR_AGAIN) {
		rc = a->unpack || a->unxz ? fill_packed(a) : fill_plain(a);
		if (rc == ERR_END)
			return end_tar(a);
		if (rc < 0)
			return rc;
	}
	if (rc == ERR_END && !a->drained) {
		a->drained = true;
		a->drain_code = drain(a);
	}
	if (rc == ERR_END)
		return a->drain_code;
	if (rc == 0)
		return rc;
	if (a->members == 0 && !a->inside)
		return err_set(&a->failed, ERR_UNKNOWN,
			       "%s is no archive that is read here: tar, also "
			       "packed with gzip, zstd, lz4 or xz, and zip are "
			       "(%s)",
			       a->name, tarball_why(a->tar));
	return end_tar(a);
}

/* -- members -------------------------------------------------------------- */

static int fail(struct archive *a, struct err *err)
{
	if (err)
		*err = a->failed;
	return a->failed.code;
}

int archive_next(struct archive *a, struct archive_member *m, struct err *err)
{
	struct tarball_item item;
	int rc;

	if (a->zip)
		return zip_next(a->zip, m, err);
	if (a->failed.code)
		return fail(a, err);
	while ((rc = next_item(a, &item)) == 0) {
		if (item.kind == TARBALL_MEMBER_END) {
			a->inside = false;
			a->members++;
		}
		if (item.kind != TARBALL_MEMBER)
			continue;
		a->inside = true;
		*m = (struct archive_member){ .name = item.name,
					      .type = item.type,
					      .size = item.size,
					      .mode = item.mode };
		return 0;
	}
	return rc == ERR_END ? rc : fail(a, err);
}

int archive_read(struct archive *a, struct bytes *data, struct err *err)
{
	struct tarball_item item;
	int rc;

	if (a->zip)
		return zip_read(a->zip, data, err);
	if (a->failed.code)
		return fail(a, err);
	if (!a->inside)
		return ERR_END;
	rc = next_item(a, &item);
	if (rc == 0 && item.kind == TARBALL_DATA) {
		*data = item.data;
		return 0;
	}
	if (rc == 0 || rc == ERR_END) {
		a->inside = false;
		a->members++;
		return ERR_END;
	}
	return fail(a, err);
}
