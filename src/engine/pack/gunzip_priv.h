/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gunzip_priv.h - one gzip member at a time, streaming.
 *
 * Two libraries can do it: ISA-L, which is about twice as fast, in weir, and
 * zlib in weir-agent, which has it anyway.  One of the two is linked.
 */
#ifndef ENGINE_PACK_GUNZIP_PRIV_H
#define ENGINE_PACK_GUNZIP_PRIV_H

#include "base/bytes.h"

struct gunzip;

struct gunzip *gunzip_new(void);
void gunzip_free(struct gunzip *g); /* NULL is fine */

/*
 * Take bytes from the front of *in and put at most `room` at `out`; *made says
 * how many, *ended whether the member's last byte was taken and its checksum
 * is right: the next call begins another one.  0 or ERR_MALFORMED.
 */
int gunzip_step(struct gunzip *g, struct bytes *in, uint8_t *out, size_t room,
		size_t *made, bool *ended);

/* After ERR_MALFORMED; may be NULL. */
const char *gunzip_why(const struct gunzip *g);

#endif
