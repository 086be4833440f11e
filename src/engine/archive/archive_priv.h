/* SPDX-License-Identifier: Apache-2.0 */
/*
 * archive_priv.h - what the two kinds of archive share: a file, its name, and
 * how a failure is told.
 */
#ifndef ENGINE_ARCHIVE_ARCHIVE_PRIV_H
#define ENGINE_ARCHIVE_ARCHIVE_PRIV_H

#include "base/err.h"
#include "engine/archive/archive.h"

enum { ARCHIVE_BUFFER = 256 << 10 };

struct zip;

/* Takes the descriptor.  NULL on failure. */
struct zip *zip_open(int fd, const char *name, uint64_t size, struct err *err);
void zip_close(struct zip *z); /* NULL is fine */

int zip_next(struct zip *z, struct archive_member *m, struct err *err);
int zip_read(struct zip *z, struct bytes *data, struct err *err);
uint64_t zip_position(const struct zip *z);

struct unxz;

struct unxz *unxz_new(void);
void unxz_free(struct unxz *x); /* NULL is fine */

/* As unpack_step(); ERR_LIMIT when it asks for too much memory. */
int unxz_step(struct unxz *x, struct bytes *in, bool last, uint8_t *out,
	      size_t room, size_t *made);
bool unxz_whole(const struct unxz *x);

#endif
