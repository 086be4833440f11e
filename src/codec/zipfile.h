/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zipfile.h - the records of a zip archive (APPNOTE.TXT 6.3.9), read purely.
 *
 * The list of members stands at the end: find it in the file's tail, then read
 * one entry after the other.  Numbers of 64 bits are understood; archives in
 * parts and encrypted members are not, and are told as such.
 */
#ifndef CODEC_ZIPFILE_H
#define CODEC_ZIPFILE_H

#include "base/bytes.h"

enum {
	/* The end record with the longest comment, and its 64-bit locator. */
	ZIPFILE_TAIL_MAX = 22 + 65535 + 20,
	ZIPFILE_ENTRY = 46, /* fixed part of an entry of the list */
	ZIPFILE_LOCAL = 30, /* fixed part of what stands before a member */
	ZIPFILE_END64 = 56
};

/* Where the list of members is. */
struct zipfile_end {
	uint64_t entries, offset, size;
	bool needs_end64; /* look at end64_offset first */
	uint64_t end64_offset;
};

struct zipfile_entry {
	struct bytes name; /* borrowed */
	uint64_t packed, size, offset;
	uint32_t crc, mode; /* mode 0: not told */
	uint16_t method;    /* 0 stored, 8 deflated */
	bool encrypted;
	size_t length; /* of the entry in the list */
};

/* From the file's last bytes.  0, ERR_MALFORMED, ERR_UNKNOWN (in parts). */
int zipfile_end_parse(struct bytes tail, struct zipfile_end *end);

/* From ZIPFILE_END64 bytes at end64_offset. */
int zipfile_end64_parse(struct bytes in, struct zipfile_end *end);

/* The entry at the front.  0, ERR_AGAIN (not all of it is there) or
 * ERR_MALFORMED. */
int zipfile_entry_parse(struct bytes in, struct zipfile_entry *e);

/* How many bytes stand before the member's own, from ZIPFILE_LOCAL bytes. */
int zipfile_local_parse(struct bytes in, size_t *length);

#endif
