/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unpack.h - gzip, zstd and lz4 behind one face, streaming.
 */
#ifndef ENGINE_PACK_UNPACK_H
#define ENGINE_PACK_UNPACK_H

#include "base/bytes.h"

struct unpack;

enum { UNPACK_MAGIC = 4 }; /* bytes that unpack_new() wants to see */

/*
 * Whatever `head` begins with; NULL when it is none of the three.  *foreign is
 * then the name of a packing that is known but not read, or NULL.
 */
struct unpack *unpack_new(struct bytes head, const char **foreign);
void unpack_free(struct unpack *u);
const char *unpack_name(const struct unpack *u);

/*
 * Take bytes from the front of *in and put at most `room` at `out`; *made says
 * how many.  0, also when nothing moved for want of input; ERR_MALFORMED, which
 * stays and may come with good bytes made; or ERR_END: a member has ended and
 * what follows is none.
 */
int unpack_step(struct unpack *u, struct bytes *in, uint8_t *out, size_t room,
		size_t *made);

/* Between two members or frames: the input may end here. */
bool unpack_whole(const struct unpack *u);

/* After ERR_MALFORMED: what the library says. */
const char *unpack_why(const struct unpack *u);

#endif
