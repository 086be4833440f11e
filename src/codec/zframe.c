/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/zframe.h"

#include <assert.h>

#include <zstd.h>
#include <zstd_errors.h>

#include "base/buf.h"
#include "base/err.h"

enum { LEVEL_USUAL = 1, WINDOW_LOG_MIN = 10, STEP = 128 << 10 };

static void must(size_t rc)
{
	assert(!ZSTD_isError(rc));
}

/* A window that holds all of it is what makes the frame single-segment. */
static int window_log(size_t len)
{
	int log = WINDOW_LOG_MIN;

	while ((size_t)1 << log < len)
		log++;
	return log;
}

void zframe_pack(struct zframe *z, struct bytes in, struct buf *out)
{
	size_t cap = ZSTD_compressBound(in.len);
	size_t len;

	assert(in.len <= ZFRAME_WINDOW_MAX);
	if (!z->pack) {
		z->pack = ZSTD_createCCtx();
		assert(z->pack);
		must(ZSTD_CCtx_setParameter(z->pack, ZSTD_c_checksumFlag, 1));
	}
	must(ZSTD_CCtx_setParameter(z->pack, ZSTD_c_compressionLevel,
				    z->level ? z->level : LEVEL_USUAL));
	must(ZSTD_CCtx_setParameter(z->pack, ZSTD_c_windowLog,
				    window_log(in.len)));
	len = ZSTD_compress2(z->pack, buf_reserve(out, cap), cap, in.p, in.len);
	must(len);
	buf_added(out, len);
}

/*
 * Room for what comes next.  With a declared size all of it, so that the frame
 * is inflated in one go; without, a step, or as much again as there is.
 */
static size_t room_for(const ZSTD_inBuffer *in, bool at_frame, size_t done,
		       size_t max)
{
	unsigned long long size = ZSTD_CONTENTSIZE_UNKNOWN;
	size_t left = max - done;
	size_t step = done > STEP ? done : STEP;

	if (at_frame)
		size = ZSTD_getFrameContentSize(
			(const uint8_t *)in->src + in->pos, in->size - in->pos);
	if (size != ZSTD_CONTENTSIZE_UNKNOWN &&
	    size != ZSTD_CONTENTSIZE_ERROR && size > 0)
		step = size < SIZE_MAX ? (size_t)size : SIZE_MAX;
	return step < left ? step : left;
}

static int code_of(size_t rc)
{
	return ZSTD_getErrorCode(rc) == ZSTD_error_frameParameter_windowTooLarge
		       ? ERR_LIMIT
		       : ERR_MALFORMED;
}

static int unpack_all(ZSTD_DCtx *ctx, struct bytes from, struct buf *to,
		      size_t max)
{
	ZSTD_inBuffer in = { from.p, from.len, 0 };
	size_t start = to->len;
	size_t hint = 0; /* 0: between two frames */

	while (in.pos < in.size || hint) {
		size_t done = to->len - start;
		size_t was = in.pos;
		size_t room = room_for(&in, hint == 0, done, max);
		ZSTD_outBuffer out = { buf_reserve(to, room + 1), room, 0 };

		hint = ZSTD_decompressStream(ctx, &out, &in);
		if (ZSTD_isError(hint))
			return code_of(hint);
		buf_added(to, out.pos);
		if (!hint || out.pos || in.pos > was)
			continue;
		/* Stuck: nothing to read, or no room left to write to. */
		return to->len - start == max ? ERR_LIMIT : ERR_MALFORMED;
	}
	return 0;
}

int zframe_unpack(struct zframe *z, struct bytes in, struct buf *out,
		  size_t max)
{
	size_t start = out->len;
	int rc;

	if (!z->unpack) {
		z->unpack = ZSTD_createDCtx();
		assert(z->unpack);
		must(ZSTD_DCtx_setParameter(z->unpack, ZSTD_d_windowLogMax,
					    ZFRAME_WINDOW_LOG));
	}
	must(ZSTD_DCtx_reset(z->unpack, ZSTD_reset_session_only));
	if (!in.len)
		return ERR_MALFORMED;
	rc = unpack_all(z->unpack, in, out, max);
	if (rc < 0)
		out->len = start;
	return rc;
}

void zframe_release(struct zframe *z)
{
	ZSTD_freeCCtx(z->pack);
	ZSTD_freeDCtx(z->unpack);
	*z = (struct zframe){ 0 };
}
