/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gzip.h - bytes packed with gzip on their way into a descriptor.
 *
 * ISA-L's fast levels: several times the speed of gzip -1 at about its ratio.
 * One thread at a time per writer.
 */
#ifndef ENGINE_PACK_GZIP_H
#define ENGINE_PACK_GZIP_H

#include "base/bytes.h"

struct err;
struct gzip;

/* The descriptor stays the caller's; `name` is for sentences. */
struct gzip *gzip_new(int fd, const char *name);

/* 0, or ERR_FAILED, which stays. */
int gzip_write(struct gzip *g, struct bytes in, struct err *err);

/* The end of the member; nothing can be written behind it. */
int gzip_finish(struct gzip *g, struct err *err);

void gzip_free(struct gzip *g); /* NULL is fine */

#endif
