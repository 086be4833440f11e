/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/archive/archive_priv.h"

#include <stdlib.h>

#include <lzma.h>

#include "base/mem.h"

enum { MEMORY_MAX = 256 << 20 }; /* xz -9 asks for 65 MiB */

struct unxz {
	lzma_stream z;
	bool whole, failed;
};

struct unxz *unxz_new(void)
{
	struct unxz *x = mem_alloc(sizeof(*x));

	x->z = (lzma_stream)LZMA_STREAM_INIT;
	x->failed = lzma_stream_decoder(&x->z, MEMORY_MAX, LZMA_CONCATENATED) !=
		    LZMA_OK;
	return x;
}

void unxz_free(struct unxz *x)
{
	if (!x)
		return;
	lzma_end(&x->z);
	free(x);
}

int unxz_step(struct unxz *x, struct bytes *in, bool last, uint8_t *out,
	      size_t room, size_t *made)
{
	size_t taken;
	lzma_ret rc;

	*made = 0;
	if (x->failed)
		return ERR_MALFORMED;
	x->z.next_in = in->p;
	x->z.avail_in = in->len;
	x->z.next_out = out;
	x->z.avail_out = room;
	rc = lzma_code(&x->z, last ? LZMA_FINISH : LZMA_RUN);
	*made = room - x->z.avail_out;
	taken = in->len - x->z.avail_in;
	in->p += taken;
	in->len -= taken;
	x->whole = rc == LZMA_STREAM_END;
	if (rc == LZMA_OK || rc == LZMA_STREAM_END || rc == LZMA_BUF_ERROR)
		return 0;
	x->failed = true;
	return rc == LZMA_MEMLIMIT_ERROR ? ERR_LIMIT : ERR_MALFORMED;
}

bool unxz_whole(const struct unxz *x)
{
	return x->whole;
}
