/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/jsontoken.h"

#include "base/buf.h"
#include "base/err.h"

static int fail(struct json_reader *r)
{
	return r->failed = ERR_MALFORMED;
}

static void advance(struct json_reader *r, size_t n)
{
	r->left.p += n;
	r->left.len -= n;
}

static int peek(const struct json_reader *r)
{
	return r->left.len ? r->left.p[0] : -1;
}

static void skip_blanks(struct json_reader *r)
{
	int c;

	while ((c = peek(r)) == ' ' || c == '\t' || c == '\n' || c == '\r')
		advance(r, 1);
}

static bool in_list(const struct json_reader *r)
{
	return r->depth && r->lists >> (r->depth - 1) & 1;
}

/* -- texts and numbers ---------------------------------------------------- */

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits behind \u, or -1. */
static int hex4(struct bytes in)
{
	int v = 0;

	if (in.len < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int d = hex_digit(in.p[i]);

		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

/* How long the escape at the front is, the backslash included; 0: none. */
static size_t escape_length(struct bytes in)
{
	if (in.len < 2)
		return 0;
	if (in.p[1] == 'u')
		return hex4(bytes_of(in.p + 2, in.len - 2)) >= 0 ? 6 : 0;
	return in.p[1] && strchr("\"\\/bfnrt", in.p[1]) ? 2 : 0;
}

/* From behind the opening quote to behind the closing one. */
static int take_text(struct json_reader *r, struct bytes *raw)
{
	size_t i = 0;

	while (i < r->left.len && r->left.p[i] != '"') {
		size_t n = 1;

		if (r->left.p[i] < 0x20)
			return fail(r);
		if (r->left.p[i] == '\\')
			n = escape_length(
				bytes_of(r->left.p + i, r->left.len - i));
		if (!n)
			return fail(r);
		i += n;
	}
	if (i >= r->left.len)
		return fail(r);
	*raw = bytes_of(r->left.p, i);
	advance(r, i + 1);
	return 0;
}

static size_t count_digits(struct bytes in, size_t i)
{
	size_t from = i;

	while (i < in.len && in.p[i] >= '0' && in.p[i] <= '9')
		i++;
	return i - from;
}

static int take_number(struct json_reader *r, struct bytes *raw)
{
	struct bytes in = r->left;
	size_t i = in.p[0] == '-', n = count_digits(in, i);

	if (!n || (n > 1 && in.p[i] == '0'))
		return fail(r);
	i += n;
	if (i < in.len && in.p[i] == '.') {
		n = count_digits(in, i + 1);
		if (!n)
			return fail(r);
		i += 1 + n;
	}
	if (i < in.len && (in.p[i] | 0x20) == 'e') {
		i++;
		i += i < in.len && (in.p[i] == '+' || in.p[i] == '-');
		n = count_digits(in, i);
		if (!n)
			return fail(r);
		i += n;
	}
	*raw = bytes_of(in.p, i);
	advance(r, i);
	return 0;
}

static int take_word(struct json_reader *r, const char *word)
{
	size_t len = strlen(word);

	if (r->left.len < len || memcmp(r->left.p, word, len) != 0)
		return fail(r);
	advance(r, len);
	return 0;
}

/* -- structure ------------------------------------------------------------ */

static int open_level(struct json_reader *r, bool list)
{
	if (r->depth == JSON_DEPTH_MAX)
		return fail(r);
	advance(r, 1);
	r->lists &= ~(UINT64_C(1) << r->depth);
	r->lists |= (uint64_t)list << r->depth;
	r->depth++;
	r->value = false;
	return 0;
}

static int close_level(struct json_reader *r)
{
	advance(r, 1);
	r->depth--;
	r->value = true;
	return 0;
}

static int take_value(struct json_reader *r, struct json_token *t)
{
	r->value = true;
	switch (peek(r)) {
	case '{':
		t->kind = JSON_OBJECT;
		return open_level(r, false);
	case '[':
		t->kind = JSON_LIST;
		return open_level(r, true);
	case '"':
		t->kind = JSON_TEXT;
		advance(r, 1);
		return take_text(r, &t->raw);
	case 't':
		t->kind = JSON_TRUE;
		return take_word(r, "true");
	case 'f':
		t->kind = JSON_FALSE;
		return take_word(r, "false");
	case 'n':
		t->kind = JSON_NONE;
		return take_word(r, "null");
	case -1:
		return fail(r);
	default:
		t->kind = JSON_NUMBER;
		return take_number(r, &t->raw);
	}
}

static int take_name(struct json_reader *r, struct json_token *t)
{
	if (peek(r) != '"')
		return fail(r);
	advance(r, 1);
	if (take_text(r, &t->name) < 0)
		return r->failed;
	skip_blanks(r);
	if (peek(r) != ':')
		return fail(r);
	advance(r, 1);
	skip_blanks(r);
	return 0;
}

int json_next(struct json_reader *r, struct json_token *t)
{
	*t = (struct json_token){ .kind = JSON_NONE };
	if (r->failed)
		return r->failed;
	skip_blanks(r);
	if (!r->depth && r->begun)
		return r->left.len ? fail(r) : ERR_END;
	r->begun = true;
	if (r->depth && peek(r) == (in_list(r) ? ']' : '}')) {
		t->kind = in_list(r) ? JSON_LIST_END : JSON_OBJECT_END;
		return close_level(r);
	}
	if (r->depth && r->value) {
		if (peek(r) != ',')
			return fail(r);
		advance(r, 1);
		skip_blanks(r);
	}
	if (r->depth && !in_list(r) && take_name(r, t) < 0)
		return r->failed;
	return take_value(r, t);
}

int json_skip(struct json_reader *r, const struct json_token *t)
{
	int level = r->depth - 1, rc = 0;
	struct json_token inner;

	if (t->kind != JSON_OBJECT && t->kind != JSON_LIST)
		return 0;
	while (rc == 0 && r->depth > level)
		rc = json_next(r, &inner);
	return rc;
}

size_t json_offset(const struct json_reader *r)
{
	return (size_t)(r->left.p - r->start);
}

/* -- values --------------------------------------------------------------- */

bool json_named(const struct json_token *t, const char *name)
{
	return bytes_equal(t->name, bytes_of_text(name));
}

static void put_utf8(struct buf *out, uint32_t c)
{
	if (c < 0x80) {
		put_u8(out, (uint8_t)c);
	} else if (c < 0x800) {
		put_u8(out, (uint8_t)(0xc0 | c >> 6));
		put_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		put_u8(out, (uint8_t)(0xe0 | c >> 12));
		put_u8(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
		put_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
	} else {
		put_u8(out, (uint8_t)(0xf0 | c >> 18));
		put_u8(out, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
		put_u8(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
		put_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
	}
}

/* \uD83D\uDE00 is one character; half of such a pair is none. */
static size_t put_unicode(struct bytes in, struct buf *out)
{
	uint32_t c = (uint32_t)hex4(bytes_of(in.p + 2, 4));
	int low = -1;

	if (c >= 0xd800 && c < 0xdc00 && in.len >= 12 && in.p[6] == '\\' &&
	    in.p[7] == 'u')
		low = hex4(bytes_of(in.p + 8, 4));
	if (low >= 0xdc00 && low < 0xe000) {
		put_utf8(out, 0x10000 + ((c - 0xd800) << 10) +
				      ((uint32_t)low - 0xdc00));
		return 12;
	}
	put_utf8(out, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
	return 6;
}

static size_t put_escape(struct bytes in, struct buf *out)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	const char *at;

	if (in.p[1] == 'u')
		return put_unicode(in, out);
	at = strchr(from, in.p[1]);
	put_u8(out, at ? (uint8_t)to[at - from] : in.p[1]);
	return 2;
}

void json_text_of(const struct json_token *t, struct buf *out)
{
	struct bytes in = t->raw;

	while (in.len) {
		const uint8_t *at = memchr(in.p, '\\', in.len);
		size_t n = at ? (size_t)(at - in.p) : in.len;

		put_bytes(out, bytes_of(in.p, n));
		in = bytes_of(in.p + n, in.len - n);
		if (in.len) {
			n = put_escape(in, out);
			in = bytes_of(in.p + n, in.len - n);
		}
	}
}

static int digits_of(struct bytes in, uint64_t *v)
{
	*v = 0;
	for (size_t i = 0; i < in.len; i++)
		if (in.p[i] < '0' || in.p[i] > '9' ||
		    __builtin_mul_overflow(*v, 10u, v) ||
		    __builtin_add_overflow(*v, (unsigned)(in.p[i] - '0'), v))
			return ERR_MALFORMED;
	return in.len ? 0 : ERR_MALFORMED;
}

int json_uint_of(const struct json_token *t, uint64_t *v)
{
	return t->kind == JSON_NUMBER ? digits_of(t->raw, v) : ERR_MALFORMED;
}

int json_int_of(const struct json_token *t, int64_t *v)
{
	bool minus = t->kind == JSON_NUMBER && t->raw.p[0] == '-';
	uint64_t most = (uint64_t)INT64_MAX, u;

	if (t->kind != JSON_NUMBER ||
	    digits_of(bytes_of(t->raw.p + minus, t->raw.len - minus), &u) < 0 ||
	    u > most)
		return ERR_MALFORMED;
	*v = minus ? -(int64_t)u : (int64_t)u;
	return 0;
}
