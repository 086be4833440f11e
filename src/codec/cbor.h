/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cbor.h - the part of CBOR (RFC 8949) that ipcap's messages are made of:
 * unsigned integers, text, arrays and maps.
 *
 * Written shortest and with definite lengths.  Read in any spelling: longer
 * integers, indefinite lengths, keys in any order; what a reader does not know
 * it skips, whatever it is, down to CBOR_DEPTH_MAX levels.  Nothing is
 * allocated.
 */
#ifndef CODEC_CBOR_H
#define CODEC_CBOR_H

#include "base/cursor.h"

struct buf;

enum { CBOR_DEPTH_MAX = 32 };

void put_cbor_uint(struct buf *b, uint64_t v);
void put_cbor_text(struct buf *b, const char *text);
void put_cbor_array(struct buf *b, uint64_t n); /* n values follow */
void put_cbor_map(struct buf *b, uint64_t n);	/* n keys with values follow */

/* Where a walk through an array or a map stands. */
struct cbor_walk {
	uint64_t left;
	bool indefinite;
};

/*
 * The readers return 0 and move the cursor, or ERR_MALFORMED (not CBOR, or
 * not of that kind) or ERR_LIMIT (does not fit), and leave it anywhere.
 */
int cbor_uint(struct cursor *c, uint64_t max, uint64_t *v);

/* A NUL-terminated copy; text with a NUL inside is ERR_MALFORMED. */
int cbor_text(struct cursor *c, char *out, size_t cap);

int cbor_array(struct cursor *c, struct cbor_walk *w);
int cbor_map(struct cursor *c, struct cbor_walk *w);

/* 1: another element (or key) follows; 0: that was all; or ERR_MALFORMED. */
int cbor_more(struct cursor *c, struct cbor_walk *w);

/* True, and moved on, where a null or an undefined stands. */
bool cbor_null(struct cursor *c);

/* One whole value of any kind. */
int cbor_skip(struct cursor *c);

#endif
