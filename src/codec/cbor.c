/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/cbor.h"

#include "base/buf.h"
#include "base/err.h"

enum cbor_major {
	CBOR_UINT,
	CBOR_NEGATIVE,
	CBOR_BYTES,
	CBOR_TEXT,
	CBOR_ARRAY,
	CBOR_MAP,
	CBOR_TAG,
	CBOR_SIMPLE
};

enum { CBOR_NULL = 0xf6, CBOR_UNDEFINED = 0xf7, CBOR_BREAK = 0xff };

/* -- writing ------------------------------------------------------------ */

static void put_head(struct buf *b, enum cbor_major major, uint64_t v)
{
	uint8_t top = (uint8_t)(major << 5);

	if (v < 24) {
		put_u8(b, (uint8_t)(top | v));
	} else if (v <= UINT8_MAX) {
		put_u8(b, top | 24);
		put_u8(b, (uint8_t)v);
	} else if (v <= UINT16_MAX) {
		put_u8(b, top | 25);
		put_be16(b, (uint16_t)v);
	} else if (v <= UINT32_MAX) {
		put_u8(b, top | 26);
		put_be32(b, (uint32_t)v);
	} else {
		put_u8(b, top | 27);
		put_be64(b, v);
	}
}

void put_cbor_uint(struct buf *b, uint64_t v)
{
	put_head(b, CBOR_UINT, v);
}

void put_cbor_text(struct buf *b, const char *text)
{
	put_head(b, CBOR_TEXT, strlen(text));
	put_text(b, text);
}

void put_cbor_array(struct buf *b, uint64_t n)
{
	put_head(b, CBOR_ARRAY, n);
}

void put_cbor_map(struct buf *b, uint64_t n)
{
	put_head(b, CBOR_MAP, n);
}

/* -- reading ------------------------------------------------------------ */

struct head {
	enum cbor_major major;
	uint64_t v;
	bool indefinite;
};

static int get_head(struct cursor *c, struct head *h)
{
	uint8_t first = get_u8(c);
	unsigned size = first & 31;

	*h = (struct head){ .major = first >> 5, .v = size };
	if (size == 31)
		h->indefinite = true;
	else if (size >= 28)
		return ERR_MALFORMED;
	else if (size >= 24)
		h->v = get_be(c, 1U << (size - 24));
	return c->short_ ? ERR_MALFORMED : 0;
}

int cbor_uint(struct cursor *c, uint64_t max, uint64_t *v)
{
	struct head h;

	if (get_head(c, &h) < 0 || h.major != CBOR_UINT || h.indefinite)
		return ERR_MALFORMED;
	if (h.v > max)
		return ERR_LIMIT;
	*v = h.v;
	return 0;
}

static bool at_break(struct cursor *c)
{
	if (c->short_ || !c->len || *c->p != CBOR_BREAK)
		return false;
	skip_bytes(c, 1);
	return true;
}

/* The next run of a string; a definite one is a single run. */
static int get_string(struct cursor *c, const struct head *h, struct bytes *run)
{
	*run = bytes_of(c->p, 0);
	if (h->v > c->len)
		return ERR_MALFORMED;
	*run = get_bytes(c, (size_t)h->v);
	return 0;
}

static int append(char *out, size_t cap, size_t *len, struct bytes run)
{
	if (run.len && memchr(run.p, '\0', run.len))
		return ERR_MALFORMED;
	if (run.len >= cap - *len)
		return ERR_LIMIT;
	if (run.len)
		memcpy(out + *len, run.p, run.len);
	*len += run.len;
	out[*len] = '\0';
	return 0;
}

int cbor_text(struct cursor *c, char *out, size_t cap)
{
	struct bytes run;
	struct head h, part;
	size_t len = 0;
	int rc = 0;

	out[0] = '\0';
	if (get_head(c, &h) < 0 || h.major != CBOR_TEXT)
		return ERR_MALFORMED;
	if (!h.indefinite)
		return get_string(c, &h, &run) < 0
			       ? ERR_MALFORMED
			       : append(out, cap, &len, run);
	while (rc == 0 && !at_break(c)) {
		if (get_head(c, &part) < 0 || part.major != CBOR_TEXT ||
		    part.indefinite || get_string(c, &part, &run) < 0)
			return ERR_MALFORMED;
		rc = append(out, cap, &len, run);
	}
	return rc;
}

static int begin_walk(struct cursor *c, struct cbor_walk *w,
		      enum cbor_major major)
{
	struct head h;

	if (get_head(c, &h) < 0 || h.major != major)
		return ERR_MALFORMED;
	*w = (struct cbor_walk){ .left = h.v, .indefinite = h.indefinite };
	return 0;
}

int cbor_array(struct cursor *c, struct cbor_walk *w)
{
	return begin_walk(c, w, CBOR_ARRAY);
}

int cbor_map(struct cursor *c, struct cbor_walk *w)
{
	return begin_walk(c, w, CBOR_MAP);
}

int cbor_more(struct cursor *c, struct cbor_walk *w)
{
	if (w->indefinite ? at_break(c) : w->left == 0)
		return 0;
	if (c->short_ || !c->len)
		return ERR_MALFORMED;
	if (!w->indefinite)
		w->left--;
	return 1;
}

bool cbor_null(struct cursor *c)
{
	if (c->short_ || !c->len ||
	    (*c->p != CBOR_NULL && *c->p != CBOR_UNDEFINED))
		return false;
	skip_bytes(c, 1);
	return true;
}

static int skip_value(struct cursor *c, int depth);

static int skip_string(struct cursor *c, const struct head *h)
{
	struct bytes run;
	struct head part;

	if (!h->indefinite)
		return get_string(c, h, &run);
	while (!at_break(c))
		if (get_head(c, &part) < 0 || part.major != h->major ||
		    part.indefinite || get_string(c, &part, &run) < 0)
			return ERR_MALFORMED;
	return 0;
}

/* `each` values an element: 1 in an array, 2 in a map. */
static int skip_list(struct cursor *c, const struct head *h, int each,
		     int depth)
{
	struct cbor_walk w = { .left = h->v, .indefinite = h->indefinite };
	int rc;

	while ((rc = cbor_more(c, &w)) > 0)
		for (int i = 0; i < each; i++)
			if (skip_value(c, depth + 1) < 0)
				return ERR_MALFORMED;
	return rc;
}

static int skip_value(struct cursor *c, int depth)
{
	struct head h;

	if (depth > CBOR_DEPTH_MAX || get_head(c, &h) < 0)
		return ERR_MALFORMED;
	switch (h.major) {
	case CBOR_BYTES:
	case CBOR_TEXT:
		return skip_string(c, &h);
	case CBOR_ARRAY:
	case CBOR_MAP:
		return skip_list(c, &h, h.major == CBOR_MAP ? 2 : 1, depth);
	case CBOR_TAG:
		return h.indefinite ? ERR_MALFORMED : skip_value(c, depth + 1);
	default:
		return h.indefinite ? ERR_MALFORMED : 0;
	}
}

int cbor_skip(struct cursor *c)
{
	return skip_value(c, 1);
}
