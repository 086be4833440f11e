/* SPDX-License-Identifier: Apache-2.0 */
/*
 * archive.h - the members of an archive, one after the other.
 *
 * tar, plain or packed with gzip, zstd, lz4 or xz, from a file or a pipe; and
 * zip (stored and deflated) from a file.  What it is is seen from its bytes.
 * One pass, nothing is kept: memory does not depend on the archive's size.
 * One thread at a time.
 */
#ifndef ENGINE_ARCHIVE_ARCHIVE_H
#define ENGINE_ARCHIVE_ARCHIVE_H

#include "codec/tarball.h"

struct archive;
struct err;

struct archive_member {
	const char *name; /* as in the archive: believe nothing of it */
	enum tarball_type type;
	uint64_t size; /* as claimed */
	uint32_t mode;
};

/* NULL on failure.  "-" is standard input. */
struct archive *archive_open(const char *path, struct err *err);
void archive_close(struct archive *a); /* NULL is fine */

/*
 * The next member; what is left of the one before is passed over.  0, ERR_END
 * behind the last one, or a failure that stays: the sentence tells where the
 * archive breaks.  The name is valid until the next call.
 */
int archive_next(struct archive *a, struct archive_member *m, struct err *err);

/*
 * The next bytes of the present member, valid until the next call: 0 with at
 * least one byte, ERR_END when it is whole, or a failure that stays.
 */
int archive_read(struct archive *a, struct bytes *data, struct err *err);

/* "tar", "tar.gz", "zip", …; NULL before the first member. */
const char *archive_format(const struct archive *a);

/* Bytes of the file read so far, and in all; 0 where nobody knows. */
uint64_t archive_position(const struct archive *a);
uint64_t archive_size(const struct archive *a);

#endif
