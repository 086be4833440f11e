/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tarball.h - the members of a tar archive, from bytes that arrive in pieces.
 *
 * Old tar, ustar, GNU (long names, large numbers) and pax (path, size).
 * Sparse members are told as what they are and their bytes passed over.  No
 * descriptor, no clock; memory is bounded by TARBALL_NAME_MAX and
 * TARBALL_EXTENDED_MAX, whatever the archive claims.
 *
 *	while ((rc = tarball_next(t, &in, &item)) == 0)
 *		...
 *	ERR_AGAIN: give more bytes, or tarball_end() when there are none
 */
#ifndef CODEC_TARBALL_H
#define CODEC_TARBALL_H

#include "base/bytes.h"

struct tarball;

enum {
	TARBALL_BLOCK = 512,
	TARBALL_NAME_MAX = 65536,
	TARBALL_EXTENDED_MAX = 1 << 20 /* of one pax header */
};

enum tarball_type {
	TARBALL_FILE,
	TARBALL_FOLDER,
	TARBALL_LINK,	/* hard or symbolic */
	TARBALL_DEVICE, /* or a named pipe */
	TARBALL_SPARSE,
	TARBALL_OTHER
};

enum tarball_kind { TARBALL_MEMBER, TARBALL_DATA, TARBALL_MEMBER_END };

struct tarball_item {
	enum tarball_kind kind;
	/* TARBALL_MEMBER; name is valid until the next member */
	enum tarball_type type;
	const char *name;
	uint64_t size;
	uint32_t mode;
	/* TARBALL_DATA, borrowed from the input */
	struct bytes data;
};

struct tarball *tarball_new(void);
void tarball_free(struct tarball *t); /* NULL is fine */

/*
 * Take bytes from the front of *in until there is an item.  0, ERR_AGAIN,
 * ERR_END (the archive's own end; what follows is not looked at),
 * ERR_MALFORMED or ERR_LIMIT, which stay.
 */
int tarball_next(struct tarball *t, struct bytes *in,
		 struct tarball_item *item);

/* No more bytes come.  0 where an archive may end, else ERR_DAMAGED. */
int tarball_end(const struct tarball *t);

/* What is wrong, as the middle of a sentence; and at which byte. */
const char *tarball_why(const struct tarball *t);
uint64_t tarball_offset(const struct tarball *t);

#endif
