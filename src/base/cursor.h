/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cursor.h - reading numbers out of borrowed bytes without ever leaving them.
 *
 * The error is sticky: a read past the end marks the cursor short, gives zeros
 * and moves nothing, so a parser reads on and asks once at the end.
 */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include "base/bytes.h"

struct cursor {
	const uint8_t *p;
	size_t len; /* bytes not read yet */
	bool short_;
};

static inline struct cursor cursor_on(struct bytes in)
{
	return (struct cursor){ .p = in.p, .len = in.len };
}

/* Everything was there and nothing is left over. */
static inline bool cursor_done(const struct cursor *c)
{
	return !c->short_ && c->len == 0;
}

/* The next n bytes, borrowed from the input; empty when they are not there. */
static inline struct bytes get_bytes(struct cursor *c, size_t n)
{
	struct bytes out = { .p = c->p, .len = n };

	if (c->short_ || n > c->len) {
		c->short_ = true;
		return (struct bytes){ .p = c->p, .len = 0 };
	}
	if (n) {
		c->p += n;
		c->len -= n;
	}
	return out;
}

static inline struct bytes get_rest(struct cursor *c)
{
	return get_bytes(c, c->short_ ? 0 : c->len);
}

static inline void skip_bytes(struct cursor *c, size_t n)
{
	(void)get_bytes(c, n);
}

static inline uint64_t get_be(struct cursor *c, size_t size)
{
	struct bytes b = get_bytes(c, size);
	uint64_t v = 0;

	for (size_t i = 0; i < b.len; i++)
		v = v << 8 | b.p[i];
	return v;
}

static inline uint64_t get_le(struct cursor *c, size_t size)
{
	struct bytes b = get_bytes(c, size);
	uint64_t v = 0;

	for (size_t i = b.len; i > 0; i--)
		v = v << 8 | b.p[i - 1];
	return v;
}

static inline uint8_t get_u8(struct cursor *c)
{
	return (uint8_t)get_be(c, 1);
}

static inline uint16_t get_be16(struct cursor *c)
{
	return (uint16_t)get_be(c, 2);
}

static inline uint32_t get_be32(struct cursor *c)
{
	return (uint32_t)get_be(c, 4);
}

static inline uint64_t get_be64(struct cursor *c)
{
	return get_be(c, 8);
}

static inline uint16_t get_le16(struct cursor *c)
{
	return (uint16_t)get_le(c, 2);
}

static inline uint32_t get_le32(struct cursor *c)
{
	return (uint32_t)get_le(c, 4);
}

static inline uint64_t get_le64(struct cursor *c)
{
	return get_le(c, 8);
}

#endif
