/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/archive/outfile_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zstd.h>

#include "base/err.h"
#include "base/mem.h"
#include "engine/pack/gzip.h"

enum { ZSTD_LEVEL = 1, ZSTD_OUT = 256 << 10 };

struct outfile {
	int fd;
	char *path, *part;
	struct gzip *gzip;
	ZSTD_CCtx *zstd;
	uint8_t *out; /* owned; of zstd */
};

static const char *suffix_of(enum extract_packing packing)
{
	return packing == EXTRACT_GZIP	 ? ".gz"
	       : packing == EXTRACT_ZSTD ? ".zst"
					 : "";
}

struct outfile *outfile_new(const char *dir, const char *name,
			    enum extract_packing packing, uint32_t mode,
			    struct err *err)
{
	struct outfile *o = mem_alloc(sizeof(*o));

	o->path = mem_format("%s/%s%s", dir, name, suffix_of(packing));
	o->part = mem_format("%s.part", o->path);
	/* What an earlier run left goes; a link of that name is not followed.
	 */
	unlink(o->part);
	o->fd = open(o->part,
		     O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		     (mode & 0777) | 0600);
	if (o->fd < 0) {
		err_sys(err, errno, "%s cannot be written", o->part);
		free(o->path);
		free(o->part);
		free(o);
		return NULL;
	}
	if (packing == EXTRACT_GZIP)
		o->gzip = gzip_new(o->fd, o->path);
	if (packing == EXTRACT_ZSTD) {
		o->zstd = ZSTD_createCCtx();
		ZSTD_CCtx_setParameter(o->zstd, ZSTD_c_compressionLevel,
				       ZSTD_LEVEL);
		ZSTD_CCtx_setParameter(o->zstd, ZSTD_c_checksumFlag, 1);
		o->out = mem_alloc(ZSTD_OUT);
	}
	return o;
}

static void close_all(struct outfile *o)
{
	if (o->fd >= 0)
		close(o->fd);
	gzip_free(o->gzip);
	ZSTD_freeCCtx(o->zstd);
	free(o->out);
	free(o->path);
	free(o->part);
	free(o);
}

static int write_all(struct outfile *o, struct bytes b, struct err *err)
{
	while (b.len) {
		ssize_t n = write(o->fd, b.p, b.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "%s cannot be written",
				       o->path);
		b = bytes_of(b.p + n, b.len - (size_t)n);
	}
	return 0;
}

static int write_zstd(struct outfile *o, struct bytes b, ZSTD_EndDirective how,
		      struct err *err)
{
	ZSTD_inBuffer in = { .src = b.p, .size = b.len };
	size_t left = 1;

	while (in.pos < in.size || (how == ZSTD_e_end && left)) {
		ZSTD_outBuffer out = { .dst = o->out, .size = ZSTD_OUT };

		left = ZSTD_compressStream2(o->zstd, &out, &in, how);
		if (ZSTD_isError(left))
			return err_set(err, ERR_FAILED,
				       "%s cannot be packed: %s", o->path,
				       ZSTD_getErrorName(left));
		if (write_all(o, bytes_of(o->out, out.pos), err) < 0)
			return err->code;
	}
	return 0;
}

int outfile_write(struct outfile *o, struct bytes data, struct err *err)
{
	if (o->gzip)
		return gzip_write(o->gzip, data, err);
	if (o->zstd)
		return write_zstd(o, data, ZSTD_e_continue, err);
	return write_all(o, data, err);
}

int outfile_keep(struct outfile *o, struct err *err)
{
	int rc = 0;

	if (o->gzip)
		rc = gzip_finish(o->gzip, err);
	if (o->zstd)
		rc = write_zstd(o, bytes_of(NULL, 0), ZSTD_e_end, err);
	if (rc == 0 && close(o->fd) < 0)
		rc = err_sys(err, errno, "%s cannot be closed", o->part);
	else if (rc < 0)
		close(o->fd);
	o->fd = -1;
	if (rc == 0 && rename(o->part, o->path) < 0)
		rc = err_sys(err, errno, "%s cannot be made", o->path);
	if (rc < 0)
		unlink(o->part);
	close_all(o);
	return rc;
}

void outfile_drop(struct outfile *o)
{
	if (!o)
		return;
	unlink(o->part);
	close_all(o);
}
