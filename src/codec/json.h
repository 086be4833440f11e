/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.h - JSON written straight to the end of a buffer (RFC 8259).
 *
 *	json_begin(b, NULL);
 *	json_uint(b, "packets", 12);
 *	json_list(b, "names");
 *	json_word(b, NULL, "one");
 *	json_list_end(b);
 *	json_end(b);
 *
 * Each call takes the member's name, or NULL inside a list and at the top; the
 * commas come by themselves.  Names are ours and plain.  What is written is
 * always valid UTF-8: a byte of a text that is not becomes U+FFFD.  Nothing
 * can fail (buf.h); nothing is allocated beyond the buffer.
 */
#ifndef CODEC_JSON_H
#define CODEC_JSON_H

#include "base/bytes.h"

struct buf;

void json_begin(struct buf *b, const char *name); /* { */
void json_end(struct buf *b);
void json_list(struct buf *b, const char *name); /* [ */
void json_list_end(struct buf *b);

void json_text(struct buf *b, const char *name, struct bytes text);
void json_word(struct buf *b, const char *name, const char *text);
void json_base64(struct buf *b, const char *name, struct bytes bytes);
void json_hex64(struct buf *b, const char *name, uint64_t v); /* 16 digits */
void json_uint(struct buf *b, const char *name, uint64_t v);
void json_decimal(struct buf *b, const char *name, double v, int digits);
void json_bool(struct buf *b, const char *name, bool v);
void json_none(struct buf *b, const char *name);

/* A value that is JSON already. */
void json_raw(struct buf *b, const char *name, struct bytes json);

#endif
