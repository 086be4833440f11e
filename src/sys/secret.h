/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret.h - small files that nobody but their owner may read.
 */
#ifndef SYS_SECRET_H
#define SYS_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

struct buf;
struct err;

/*
 * Append the content of the regular file at `path` to `out`.  ERR_AUTH when
 * its mode lets group or others read or write it, unless `any_mode`;
 * ERR_LIMIT over `max` bytes.  The caller wipes what it got: secret_release().
 */
int secret_load(const char *path, bool any_mode, size_t max, struct buf *out,
		struct err *err);

/*
 * Make `path` hold `content`, mode 0600, durable when 0 is returned.  ERR_BUSY
 * where the file is there already, unless `replace`: then either the old
 * content or the whole new one is there at any moment.
 */
int secret_save(const char *path, bool replace, struct bytes content,
		struct err *err);

/* Wipe and free. */
void secret_release(struct buf *b);

#endif
