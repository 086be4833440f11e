/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf.h - bytes that grow at their end.
 *
 * A zeroed struct buf is an empty buffer.  The put_* calls cannot fail: sizes
 * are ours (mem.h), so a layout reads as a list of puts.  To keep a buffer
 * inside a bound, check the size before the first put.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/bytes.h"

struct buf {
	uint8_t *p; /* owned */
	size_t len; /* used */
	size_t cap;
};

void buf_release(struct buf *b);

/* Forget the content, keep the room. */
static inline void buf_clear(struct buf *b)
{
	b->len = 0;
}

/* Room for n more bytes; returns where they go.  buf_added() takes them in. */
uint8_t *buf_reserve(struct buf *b, size_t n);

static inline void buf_added(struct buf *b, size_t n)
{
	b->len += n;
}

/* Drop the first n bytes. */
void buf_consume(struct buf *b, size_t n);

/* Borrowed until the next put. */
static inline struct bytes buf_bytes(const struct buf *b)
{
	return bytes_of(b->p, b->len);
}

static inline struct bytes buf_from(const struct buf *b, size_t start)
{
	return bytes_of(b->p + start, b->len - start);
}

void put_bytes(struct buf *b, struct bytes bytes);
void put_zeros(struct buf *b, size_t n);
void put_text(struct buf *b, const char *text);
void put_format(struct buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

void put_u8(struct buf *b, uint8_t v);
void put_be16(struct buf *b, uint16_t v);
void put_be32(struct buf *b, uint32_t v);
void put_be64(struct buf *b, uint64_t v);
void put_le16(struct buf *b, uint16_t v);
void put_le32(struct buf *b, uint32_t v);
void put_le64(struct buf *b, uint64_t v);

#endif
