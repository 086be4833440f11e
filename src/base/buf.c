/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

enum { BUF_FIRST = 256 };

void buf_release(struct buf *b)
{
	free(b->p);
	*b = (struct buf){ 0 };
}

uint8_t *buf_reserve(struct buf *b, size_t n)
{
	size_t need = b->len + n;
	size_t cap = b->cap ? b->cap : BUF_FIRST;

	assert(need >= n);
	if (need > b->cap) {
		while (cap < need)
			cap *= 2;
		b->p = mem_grow(b->p, cap);
		b->cap = cap;
	}
	return b->p + b->len;
}

void buf_consume(struct buf *b, size_t n)
{
	assert(n <= b->len);
	b->len -= n;
	if (b->len)
		memmove(b->p, b->p + n, b->len);
}

void put_bytes(struct buf *b, struct bytes bytes)
{
	if (!bytes.len)
		return;
	memcpy(buf_reserve(b, bytes.len), bytes.p, bytes.len);
	b->len += bytes.len;
}

void put_zeros(struct buf *b, size_t n)
{
	memset(buf_reserve(b, n), 0, n);
	b->len += n;
}

void put_text(struct buf *b, const char *text)
{
	put_bytes(b, bytes_of_text(text));
}

void put_format(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int len;

	assert(fmt);
	va_start(ap, fmt);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	assert(len >= 0);

	va_start(ap, fmt);
	vsnprintf((char *)buf_reserve(b, (size_t)len + 1), (size_t)len + 1, fmt,
		  ap);
	va_end(ap);
	b->len += (size_t)len;
}

static void put_be(struct buf *b, uint64_t v, size_t size)
{
	uint8_t *p = buf_reserve(b, size);

	for (size_t i = 0; i < size; i++)
		p[i] = (uint8_t)(v >> (8 * (size - 1 - i)));
	b->len += size;
}

static void put_le(struct buf *b, uint64_t v, size_t size)
{
	uint8_t *p = buf_reserve(b, size);

	for (size_t i = 0; i < size; i++)
		p[i] = (uint8_t)(v >> (8 * i));
	b->len += size;
}

void put_u8(struct buf *b, uint8_t v)
{
	put_be(b, v, 1);
}

void put_be16(struct buf *b, uint16_t v)
{
	put_be(b, v, 2);
}

void put_be32(struct buf *b, uint32_t v)
{
	put_be(b, v, 4);
}

void put_be64(struct buf *b, uint64_t v)
{
	put_be(b, v, 8);
}

void put_le16(struct buf *b, uint16_t v)
{
	put_le(b, v, 2);
}

void put_le32(struct buf *b, uint32_t v)
{
	put_le(b, v, 4);
}

void put_le64(struct buf *b, uint64_t v)
{
	put_le(b, v, 8);
}
