/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/hpack.h"

#include <stdlib.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/mem.h"

enum {
	ENTRY_EXTRA = 32, /* what an entry counts besides its bytes */
	SYMBOLS = 257,	  /* all bytes, and the end mark */
	END_MARK = 256,
	CODE_MIN = 5,
	CODE_MAX = 30,
	SLACK_MIN = 4096 /* dead bytes before they are squeezed out */
};

/* RFC 7541, appendix A. */
static const struct {
	const char *name, *value;
} statics[HPACK_STATIC] = {
	{ ":authority", "" },
	{ ":method", "GET" },
	{ ":method", "POST" },
	{ ":path", "/" },
	{ ":path", "/index.html" },
	{ ":scheme", "http" },
	{ ":scheme", "https" },
	{ ":status", "200" },
	{ ":status", "204" },
	{ ":status", "206" },
	{ ":status", "304" },
	{ ":status", "400" },
	{ ":status", "404" },
	{ ":status", "500" },
	{ "accept-charset", "" },
	{ "accept-encoding", "gzip, deflate" },
	{ "accept-language", "" },
	{ "accept-ranges", "" },
	{ "accept", "" },
	{ "access-control-allow-origin", "" },
	{ "age", "" },
	{ "allow", "" },
	{ "authorization", "" },
	{ "cache-control", "" },
	{ "content-disposition", "" },
	{ "content-encoding", "" },
	{ "content-language", "" },
	{ "content-length", "" },
	{ "content-location", "" },
	{ "content-range", "" },
	{ "content-type", "" },
	{ "cookie", "" },
	{ "date", "" },
	{ "etag", "" },
	{ "expect", "" },
	{ "expires", "" },
	{ "from", "" },
	{ "host", "" },
	{ "if-match", "" },
	{ "if-modified-since", "" },
	{ "if-none-match", "" },
	{ "if-range", "" },
	{ "if-unmodified-since", "" },
	{ "last-modified", "" },
	{ "link", "" },
	{ "location", "" },
	{ "max-forwards", "" },
	{ "proxy-authenticate", "" },
	{ "proxy-authorization", "" },
	{ "range", "" },
	{ "referer", "" },
	{ "refresh", "" },
	{ "retry-after", "" },
	{ "server", "" },
	{ "set-cookie", "" },
	{ "strict-transport-security", "" },
	{ "transfer-encoding", "" },
	{ "user-agent", "" },
	{ "vary", "" },
	{ "via", "" },
	{ "www-authenticate", "" },
};

/* -- Huffman --------------------------------------------------------------- */

/*
 * RFC 7541, appendix B.  The code is canonical: codes of a length follow each
 * other in the order of their symbols, and begin where the shorter ones have
 * ended.  So it is enough to know how many there are of each length.
 */
static const uint8_t codes_of_length[CODE_MAX + 1] = {
	0, 0, 0, 0, 0, 10, 26, 32, 6,  0, 5,  3,  2,  6, 2, 3,
	0, 0, 0, 3, 8, 13, 26, 29, 12, 4, 15, 19, 29, 0, 4,
};

static const uint16_t by_length[SYMBOLS] = {
	48,  49,  50,  97,  99,	 101, 105, 111, 115, 116, 32,  37,  45,	 46,
	47,  51,  52,  53,  54,	 55,  56,  57,	61,  65,  95,  98,  100, 102,
	103, 104, 108, 109, 110, 112, 114, 117, 58,  66,  67,  68,  69,	 70,
	71,  72,  73,  74,  75,	 76,  77,  78,	79,  80,  81,  82,  83,	 84,
	85,  86,  87,  89,  106, 107, 113, 118, 119, 120, 121, 122, 38,	 42,
	44,  59,  88,  90,  33,	 34,  40,  41,	63,  39,  43,  124, 35,	 62,
	0,   36,  64,  91,  93,	 126, 94,  125, 60,  96,  123, 92,  195, 208,
	128, 130, 131, 162, 184, 194, 224, 226, 153, 161, 167, 172, 176, 177,
	179, 209, 216, 217, 227, 229, 230, 129, 132, 133, 134, 136, 146, 154,
	156, 160, 163, 164, 169, 170, 173, 178, 181, 185, 186, 187, 189, 190,
	196, 198, 228, 232, 233, 1,   135, 137, 138, 139, 140, 141, 143, 147,
	149, 150, 151, 152, 155, 157, 158, 165, 166, 168, 174, 175, 180, 182,
	183, 188, 191, 197, 231, 239, 9,   142, 144, 145, 148, 159, 171, 206,
	215, 225, 236, 237, 199, 207, 234, 235, 192, 193, 200, 201, 202, 205,
	210, 213, 218, 219, 238, 240, 242, 243, 255, 203, 204, 211, 212, 214,
	221, 222, 223, 241, 244, 245, 246, 247, 248, 250, 251, 252, 253, 254,
	2,   3,	  4,   5,   6,	 7,   8,   11,	12,  14,  15,  16,  17,	 18,
	19,  20,  21,  23,  24,	 25,  26,  27,	28,  29,  30,  31,  127, 220,
	249, 10,  13,  22,  256,
};

/* The symbol at the top of a window of 32 bits, and how long its code is. */
static int symbol_at(uint32_t window, int *len)
{
	uint32_t first = 0, at = 0;

	/* The code is complete: it ends at the longest at the latest. */
	for (int n = CODE_MIN;; n++) {
		uint32_t nth = (window >> (32 - n)) - first;

		if (nth < codes_of_length[n]) {
			*len = n;
			return by_length[at + nth];
		}
		at += codes_of_length[n];
		first = (first + codes_of_length[n]) << 1;
	}
}

int hpack_huffman(struct bytes in, struct buf *out)
{
	uint64_t bits = 0; /* `have` of them, in the low end */
	int have = 0;
	size_t i = 0;

	for (;;) {
		uint32_t window;
		int symbol, len;

		for (; have <= 32 && i < in.len; have += 8)
			bits = bits << 8 | in.p[i++];
		if (!have)
			return 0;
		/* Behind the end stand ones, as in the padding. */
		window = have >= 32 ? (uint32_t)(bits >> (have - 32))
				    : (uint32_t)(bits << (32 - have) |
						 ((UINT64_C(1) << (32 - have)) -
						  1));
		symbol = symbol_at(window, &len);
		if (len > have)
			return have < 8 && window == UINT32_MAX ? 0
								: ERR_MALFORMED;
		if (symbol == END_MARK)
			return ERR_MALFORMED;
		put_u8(out, (uint8_t)symbol);
		have -= len;
		bits &= (UINT64_C(1) << have) - 1;
	}
}

/* -- the dynamic table ----------------------------------------------------- */

void hpack_begin(struct hpack *h)
{
	*h = (struct hpack){ .limit = HPACK_TABLE_DEFAULT,
			     .allowed = HPACK_TABLE_MAX };
}

void hpack_release(struct hpack *h)
{
	buf_release(&h->bytes);
	buf_release(&h->name);
	buf_release(&h->value);
	free(h->entries);
	*h = (struct hpack){ .limit = 0 };
}

void hpack_allow(struct hpack *h, uint32_t table_size)
{
	h->allowed =
		table_size < HPACK_TABLE_MAX ? table_size : HPACK_TABLE_MAX;
}

size_t hpack_held(const struct hpack *h)
{
	return h->bytes.cap + h->name.cap + h->value.cap +
	       h->room * sizeof(*h->entries);
}

static uint32_t size_of(const struct hpack_entry *e)
{
	return e->name_len + e->value_len + ENTRY_EXTRA;
}

/* Drop the oldest entries until `need` more would fit. */
static void evict(struct hpack *h, uint64_t need)
{
	while (h->n && h->size + need > h->limit) {
		h->size -= size_of(&h->entries[h->first]);
		h->first++;
		h->n--;
	}
	if (!h->n)
		h->first = 0;
}

/* Squeeze out what was evicted, once it is as much as what is there. */
static void squeeze(struct hpack *h)
{
	uint64_t keep = h->n ? h->entries[h->first].at : h->base + h->bytes.len;
	size_t dead = (size_t)(keep - h->base);

	if (dead >= SLACK_MIN && dead >= h->bytes.len / 2) {
		buf_consume(&h->bytes, dead);
		h->base = keep;
	}
	if (h->first && h->first + h->n == h->room && h->first >= h->n) {
		memcpy(h->entries, h->entries + h->first,
		       h->n * sizeof(*h->entries));
		h->first = 0;
	}
}

static void insert(struct hpack *h, struct bytes name, struct bytes value)
{
	uint64_t need = (uint64_t)name.len + value.len + ENTRY_EXTRA;
	struct hpack_entry e = { .name_len = (uint32_t)name.len,
				 .value_len = (uint32_t)value.len };

	evict(h, need);
	squeeze(h);
	if (need > h->limit)
		return; /* and the table is empty now */
	if (h->first + h->n == h->room) {
		h->room = h->room ? 2 * h->room : 64;
		h->entries =
			mem_grow(h->entries, h->room * sizeof(*h->entries));
	}
	e.at = h->base + h->bytes.len;
	put_bytes(&h->bytes, name);
	put_bytes(&h->bytes, value);
	h->entries[h->first + h->n++] = e;
	h->size += (uint32_t)need;
}

/* Entry number `index` of both tables, as a field whose bytes are theirs. */
static int entry_at(const struct hpack *h, uint32_t index,
		    struct hpack_field *f)
{
	const struct hpack_entry *e;
	const uint8_t *p;

	*f = (struct hpack_field){ .never_indexed = false };
	if (index == 0 || index > HPACK_STATIC + h->n)
		return ERR_MALFORMED;
	if (index <= HPACK_STATIC) {
		f->name = bytes_of_text(statics[index - 1].name);
		f->value = bytes_of_text(statics[index - 1].value);
		return 0;
	}
	e = &h->entries[h->first + h->n - (index - HPACK_STATIC)];
	p = h->bytes.p + (e->at - h->base);
	f->name = bytes_of(p, e->name_len);
	f->value = bytes_of(p + e->name_len, e->value_len);
	return 0;
}

/* -- blocks ---------------------------------------------------------------- */

/* An integer whose first byte has `bits` bits of it; over 2^28 is no size. */
static int get_integer(struct cursor *c, uint8_t first, int bits, uint32_t *v)
{
	uint32_t mask = (1u << bits) - 1;
	uint8_t b;

	*v = first & mask;
	if (*v < mask)
		return 0;
	for (int shift = 0; shift <= 21; shift += 7) {
		b = get_u8(c);
		*v += (uint32_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return c->short_ ? ERR_MALFORMED : 0;
	}
	return ERR_MALFORMED;
}

static int get_string(struct cursor *c, struct buf *out)
{
	uint8_t first = get_u8(c);
	struct bytes in;
	uint32_t len;

	if (c->short_ || get_integer(c, first, 7, &len) < 0)
		return ERR_MALFORMED;
	in = get_bytes(c, len);
	if (c->short_)
		return ERR_MALFORMED;
	buf_clear(out);
	if (first & 0x80)
		return hpack_huffman(in, out);
	put_bytes(out, in);
	return 0;
}

/* A name by its number, or spelled out, and a value that is always. */
static int get_literal(struct hpack *h, struct cursor *c, uint8_t first,
		       int bits, struct hpack_field *f)
{
	uint32_t index;

	if (get_integer(c, first, bits, &index) < 0)
		return ERR_MALFORMED;
	if (index) {
		if (entry_at(h, index, f) < 0)
			return ERR_MALFORMED;
		/* A copy: adding the field may evict where it comes from. */
		buf_clear(&h->name);
		put_bytes(&h->name, f->name);
	} else if (get_string(c, &h->name) < 0) {
		return ERR_MALFORMED;
	}
	if (get_string(c, &h->value) < 0)
		return ERR_MALFORMED;
	*f = (struct hpack_field){ .name = buf_bytes(&h->name),
				   .value = buf_bytes(&h->value) };
	return 0;
}

static int resize(struct hpack *h, struct cursor *c, uint8_t first)
{
	uint32_t limit;

	if (get_integer(c, first, 5, &limit) < 0)
		return ERR_MALFORMED;
	if (limit > HPACK_TABLE_MAX)
		return ERR_LIMIT;
	if (limit > h->allowed)
		return ERR_MALFORMED;
	h->limit = limit;
	evict(h, 0);
	return 0;
}

static int get_field(struct hpack *h, struct cursor *c, uint8_t first,
		     struct hpack_field *f)
{
	uint32_t index;
	int rc;

	if (first & 0x80)
		return get_integer(c, first, 7, &index) < 0
			       ? ERR_MALFORMED
			       : entry_at(h, index, f);
	if (first & 0x40) {
		rc = get_literal(h, c, first, 6, f);
		if (rc == 0)
			insert(h, f->name, f->value);
		return rc;
	}
	rc = get_literal(h, c, first, 4, f);
	f->never_indexed = first & 0x10;
	return rc;
}

int hpack_decode(struct hpack *h, struct bytes block,
		 const struct hpack_sink *sink)
{
	struct cursor c = cursor_on(block);
	size_t room = HPACK_LIST_MAX;
	bool begun = false;

	while (c.len) {
		uint8_t first = get_u8(&c);
		struct hpack_field f;
		int rc;

		if ((first & 0xe0) == 0x20) {
			/* Sizes change before the first field only. */
			rc = begun ? ERR_MALFORMED : resize(h, &c, first);
			if (rc < 0)
				return rc;
			continue;
		}
		begun = true;
		rc = get_field(h, &c, first, &f);
		if (rc < 0)
			return rc;
		/* A byte may stand for a whole table: work is bounded here. */
		if (f.name.len + f.value.len + ENTRY_EXTRA > room)
			return ERR_LIMIT;
		room -= f.name.len + f.value.len + ENTRY_EXTRA;
		sink->field(sink->self, &f);
	}
	return 0;
}
