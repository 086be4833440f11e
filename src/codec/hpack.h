/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hpack.h - HTTP/2's compressed header fields, decoded (RFC 7541).
 *
 * One struct hpack is the memory of one direction of a connection: what a
 * block means depends on all blocks before it.  After a failure, or when a
 * block was missed, that memory says nothing any more: hpack_release() it and
 * decode no further.
 *
 * Whatever a block says, memory stays within HPACK_TABLE_MAX and one block's
 * strings, and each byte of a block costs a bounded amount of work.
 */
#ifndef CODEC_HPACK_H
#define CODEC_HPACK_H

#include "base/buf.h"

enum {
	HPACK_TABLE_DEFAULT = 4096,
	HPACK_TABLE_MAX = 64 << 10, /* of a dynamic table that is followed */
	HPACK_LIST_MAX = 1 << 20,   /* of what a block decodes to, 32 a field */
	HPACK_STATIC = 61	    /* entries that both ends know */
};

struct hpack_entry {
	uint64_t at; /* of its name; the value follows */
	uint32_t name_len, value_len;
};

struct hpack {
	struct buf bytes;	     /* of the dynamic table, oldest first */
	uint64_t base;		     /* position of bytes.p[0] */
	struct hpack_entry *entries; /* oldest first, from `first` on */
	size_t first, n, room;
	uint32_t size;	  /* of the table, as RFC 7541 4.1 counts */
	uint32_t limit;	  /* that its writer has set */
	uint32_t allowed; /* that its reader has; a limit over it is wrong */
	struct buf name, value; /* of the field under way */
};

/* Borrowed until the call returns. */
struct hpack_field {
	struct bytes name, value;
	bool never_indexed; /* its sender asks that nobody compress it */
};

struct hpack_sink {
	void *self;
	void (*field)(void *self, const struct hpack_field *f);
};

void hpack_begin(struct hpack *h);
void hpack_release(struct hpack *h);

/*
 * What the other side's SETTINGS_HEADER_TABLE_SIZE allows; until it is called
 * only HPACK_TABLE_MAX bounds the table.
 */
void hpack_allow(struct hpack *h, uint32_t table_size);

/*
 * A whole block; the sink is called with each field before this returns.
 * ERR_MALFORMED, or ERR_LIMIT: over HPACK_TABLE_MAX or HPACK_LIST_MAX.
 */
int hpack_decode(struct hpack *h, struct bytes block,
		 const struct hpack_sink *sink);

/*
 * The string behind a Huffman code, appended to out.  ERR_MALFORMED when it
 * holds the end mark, or ends in anything but up to seven bits of that.
 */
int hpack_huffman(struct bytes in, struct buf *out);

/* Bytes of memory behind it. */
size_t hpack_held(const struct hpack *h);

#endif
