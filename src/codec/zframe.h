/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zframe.h - one batch of bytes, compressed whole and without memory of the
 * batch before it.
 *
 * Written: one zstd frame, single-segment, with content size and checksum.  Read: any number of frames of any make, skippable ones
 * too, as long as no window is over ZFRAME_WINDOW_MAX and all together do not
 * inflate over the caller's bound.
 */
#ifndef CODEC_ZFRAME_H
#define CODEC_ZFRAME_H

#include "base/bytes.h"

struct buf;

enum { ZFRAME_WINDOW_LOG = 25, ZFRAME_WINDOW_MAX = 1 << ZFRAME_WINDOW_LOG };

/* Working memory that is kept from batch to batch; a zeroed one is empty. */
struct zframe {
	int level; /* zstd's, for the next batch; 0 is 1, the usual fast one */
	struct ZSTD_CCtx_s *pack; /* owned */
	struct ZSTD_DCtx_s *unpack;
};

/* Append `in`, at most ZFRAME_WINDOW_MAX bytes, as one frame to `out`. */
void zframe_pack(struct zframe *z, struct bytes in, struct buf *out);

/*
 * Append what the frames in `in` hold to `out`.  0, ERR_MALFORMED (not zstd,
 * cut short, a wrong checksum), or ERR_LIMIT: over `max` bytes or a window
 * that is too large.  `out` keeps its length on failure, and is never given
 * room for more than `max` or twice what came out, whichever is less, unless
 * the frames declare their size.
 */
int zframe_unpack(struct zframe *z, struct bytes in, struct buf *out,
		  size_t max);

void zframe_release(struct zframe *z);

#endif
