/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/pack/gzip.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <isa-l/igzip_lib.h>

#include "base/err.h"
#include "base/mem.h"

enum { OUT_SIZE = 256 << 10 };

struct gzip {
	struct isal_zstream z;
	uint8_t *level; /* owned; what the library works in */
	uint8_t *out;	/* owned */
	char *name;
	int fd;
	struct err failed; /* sticky */
};

struct gzip *gzip_new(int fd, const char *name)
{
	struct gzip *g = mem_alloc(sizeof(*g));

	g->fd = fd;
	g->name = mem_text(name);
	g->out = mem_alloc(OUT_SIZE);
	g->level = mem_alloc(ISAL_DEF_LVL1_DEFAULT);
	isal_deflate_init(&g->z);
	g->z.level = 1;
	g->z.level_buf = g->level;
	g->z.level_buf_size = ISAL_DEF_LVL1_DEFAULT;
	g->z.gzip_flag = IGZIP_GZIP;
	return g;
}

static int write_out(struct gzip *g)
{
	size_t len = (size_t)(g->z.next_out - g->out), done = 0;

	while (done < len) {
		ssize_t n = write(g->fd, g->out + done, len - done);

		if (n >= 0)
			done += (size_t)n;
		else if (errno != EINTR)
			return err_sys(&g->failed, errno,
				       "%s cannot be written", g->name);
	}
	return 0;
}

static int pack(struct gzip *g, struct bytes in, bool end, struct err *err)
{
	g->z.next_in = (uint8_t *)in.p;
	g->z.avail_in = (uint32_t)in.len;
	g->z.end_of_stream = end;
	do {
		g->z.next_out = g->out;
		g->z.avail_out = OUT_SIZE;
		if (!g->failed.code && isal_deflate(&g->z) != COMP_OK)
			err_set(&g->failed, ERR_FAILED, "%s cannot be packed",
				g->name);
		if (g->failed.code || write_out(g) < 0) {
			if (err)
				*err = g->failed;
			return g->failed.code;
		}
	} while (g->z.avail_out == 0 ||
		 (end && g->z.internal_state.state != ZSTATE_END));
	return 0;
}

int gzip_write(struct gzip *g, struct bytes in, struct err *err)
{
	while (in.len) {
		size_t n = in.len < 1 << 30 ? in.len : 1 << 30;
		int rc = pack(g, bytes_of(in.p, n), false, err);

		if (rc < 0)
			return rc;
		in = bytes_of(in.p + n, in.len - n);
	}
	return 0;
}

int gzip_finish(struct gzip *g, struct err *err)
{
	return pack(g, bytes_of(NULL, 0), true, err);
}

void gzip_free(struct gzip *g)
{
	if (!g)
		return;
	free(g->level);
	free(g->out);
	free(g->name);
	free(g);
}
