/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/pack/gunzip_priv.h"

#include <stdlib.h>

#include <zlib.h>

#include "base/err.h"
#include "base/mem.h"

struct gunzip {
	z_stream z;
};

struct gunzip *gunzip_new(void)
{
	struct gunzip *g = mem_alloc(sizeof(*g));

	/* 16: with the frame of gzip, at the largest window. */
	inflateInit2(&g->z, 16 + MAX_WBITS);
	return g;
}

void gunzip_free(struct gunzip *g)
{
	if (!g)
		return;
	inflateEnd(&g->z);
	free(g);
}

int gunzip_step(struct gunzip *g, struct bytes *in, uint8_t *out, size_t room,
		size_t *made, bool *ended)
{
	size_t taken;
	int rc;

	g->z.next_in = (Bytef *)in->p;
	g->z.avail_in = (uInt)(in->len < UINT32_MAX ? in->len : UINT32_MAX);
	g->z.next_out = out;
	g->z.avail_out = (uInt)(room < UINT32_MAX ? room : UINT32_MAX);
	rc = inflate(&g->z, Z_NO_FLUSH);
	*made = (size_t)(g->z.next_out - out);
	taken = (size_t)(g->z.next_in - in->p);
	in->p += taken;
	in->len -= taken;
	*ended = rc == Z_STREAM_END;
	if (*ended)
		inflateReset(&g->z);
	return *ended || rc == Z_OK || rc == Z_BUF_ERROR ? 0 : ERR_MALFORMED;
}

const char *gunzip_why(const struct gunzip *g)
{
	return g->z.msg;
}
