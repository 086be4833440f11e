/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/jsonread.h"

#include "base/buf.h"
#include "base/err.h"

/* What is left of the text; sticky, as cursors are. */
struct reader {
	const uint8_t *p, *end;
	bool bad;
};

static int peek(const struct reader *r)
{
	return r->bad || r->p == r->end ? -1 : *r->p;
}

static void skip_blanks(struct reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' ||
				 *r->p == '\n' || *r->p == '\r'))
		r->p++;
}

static void want(struct reader *r, uint8_t c)
{
	if (peek(r) == c)
		r->p++;
	else
		r->bad = true;
}

static int hex_of_digit(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void skip_escape(struct reader *r)
{
	int c = peek(r);

	r->p += c >= 0;
	if (c == 'u') {
		for (int i = 0; i < 4; i++) {
			r->bad |= peek(r) < 0 || hex_of_digit(peek(r)) < 0;
			r->p += !r->bad;
		}
	} else if (c < 0 || !strchr("\"\\/bfnrt", c) || !c) {
		r->bad = true;
	}
}

/* Between the quotes. */
static struct bytes read_string(struct reader *r)
{
	const uint8_t *start;

	want(r, '"');
	start = r->p;
	while (peek(r) >= 0x20 && peek(r) != '"')
		if (*r->p++ == '\\')
			skip_escape(r);
	want(r, '"');
	return r->bad ? (struct bytes){ 0 }
		      : bytes_of(start, (size_t)(r->p - start) - 1);
}

static size_t skip_digits(struct reader *r)
{
	const uint8_t *start = r->p;

	while (peek(r) >= '0' && peek(r) <= '9')
		r->p++;
	return (size_t)(r->p - start);
}

static void skip_number(struct reader *r)
{
	const uint8_t *first;
	size_t digits;

	if (peek(r) == '-')
		r->p++;
	first = r->p;
	digits = skip_digits(r);
	r->bad |= !digits || (digits > 1 && *first == '0');
	if (peek(r) == '.') {
		r->p++;
		r->bad |= !skip_digits(r);
	}
	if (peek(r) == 'e' || peek(r) == 'E') {
		r->p++;
		if (peek(r) == '+' || peek(r) == '-')
			r->p++;
		r->bad |= !skip_digits(r);
	}
}

static void skip_word(struct reader *r, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(r->end - r->p) < len || memcmp(r->p, word, len) != 0)
		r->bad = true;
	else
		r->p += len;
}

static void skip_nested(struct reader *r);

/* Anything but an object or a list. */
static enum json_kind skip_scalar(struct reader *r)
{
	switch (peek(r)) {
	case '"':
		(void)read_string(r);
		return JSON_STRING;
	case 't':
		skip_word(r, "true");
		return JSON_BOOL;
	case 'f':
		skip_word(r, "false");
		return JSON_BOOL;
	case 'n':
		skip_word(r, "null");
		return JSON_NULL;
	default:
		skip_number(r);
		return JSON_NUMBER;
	}
}

static struct json_member read_value(struct reader *r)
{
	struct json_member m = { .kind = JSON_NULL };
	const uint8_t *start;

	skip_blanks(r);
	start = r->p;
	if (peek(r) == '{' || peek(r) == '[') {
		m.kind = *r->p == '{' ? JSON_OBJECT : JSON_LIST;
		skip_nested(r);
	} else {
		m.kind = skip_scalar(r);
	}
	m.value = bytes_of(start, (size_t)(r->p - start));
	if (m.kind == JSON_STRING && !r->bad)
		m.value = bytes_of(start + 1, m.value.len - 2);
	return m;
}

/*
 * An object or a list with all that is in it.  A list of what is open stands
 * in for recursion: strangers choose the depth.
 */
static void skip_nested(struct reader *r)
{
	char open[JSON_DEPTH_MAX];
	size_t depth = 0;
	bool value = true; /* one must come, or the end of an empty one */

	do {
		int c;

		skip_blanks(r);
		c = peek(r);
		if (value && (c == '{' || c == '[')) {
			if (depth == JSON_DEPTH_MAX) {
				r->bad = true;
				return;
			}
			open[depth++] = (char)(c + 2); /* what closes it */
			r->p++;
			skip_blanks(r);
			value = peek(r) != open[depth - 1];
		} else if (value) {
			(void)skip_scalar(r);
			value = false;
		} else if (c == open[depth - 1]) {
			r->p++;
			depth--;
			continue;
		} else {
			want(r, ',');
			value = true;
		}
		skip_blanks(r);
		if (value && depth && open[depth - 1] == '}') {
			(void)read_string(r);
			skip_blanks(r);
			want(r, ':');
		}
	} while (depth && !r->bad);
}

int json_read(struct bytes text,
	      void (*fn)(void *arg, const struct json_member *m), void *arg)
{
	struct reader check = { text.p, text.p + text.len, false };
	struct reader r;

	/* All of it first: nobody is told of half an object. */
	skip_blanks(&check);
	if (peek(&check) != '{')
		return ERR_MALFORMED;
	skip_nested(&check);
	skip_blanks(&check);
	if (check.bad || check.p != check.end)
		return ERR_MALFORMED;

	r = (struct reader){ text.p, text.p + text.len, false };
	skip_blanks(&r);
	want(&r, '{');
	skip_blanks(&r);
	while (peek(&r) == '"') {
		struct bytes name = read_string(&r);
		struct json_member m;

		skip_blanks(&r);
		want(&r, ':');
		m = read_value(&r);
		m.name = name;
		fn(arg, &m);
		skip_blanks(&r);
		if (peek(&r) != ',')
			break;
		want(&r, ',');
		skip_blanks(&r);
	}
	return 0;
}

/* -- values -------------------------------------------------------- */

bool json_is_named(const struct json_member *m, const char *name)
{
	return bytes_equal(m->name, bytes_of_text(name));
}

static uint32_t four_digits(const uint8_t *p)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++)
		v = v << 4 | (uint32_t)hex_of_digit(p[i]);
	return v;
}

static void put_utf8(struct buf *b, uint32_t c)
{
	if (c < 0x80) {
		put_u8(b, (uint8_t)c);
	} else if (c < 0x800) {
		put_u8(b, (uint8_t)(0xc0 | c >> 6));
		put_u8(b, (uint8_t)(0x80 | (c & 63)));
	} else if (c < 0x10000) {
		put_u8(b, (uint8_t)(0xe0 | c >> 12));
		put_u8(b, (uint8_t)(0x80 | (c >> 6 & 63)));
		put_u8(b, (uint8_t)(0x80 | (c & 63)));
	} else {
		put_u8(b, (uint8_t)(0xf0 | c >> 18));
		put_u8(b, (uint8_t)(0x80 | (c >> 12 & 63)));
		put_u8(b, (uint8_t)(0x80 | (c >> 6 & 63)));
		put_u8(b, (uint8_t)(0x80 | (c & 63)));
	}
}

/* Behind "\u"; half a pair becomes U+FFFD.  Returns how many bytes more. */
static size_t put_unicode(struct buf *b, struct bytes in)
{
	uint32_t v = four_digits(in.p), low;

	if (v < 0xd800 || v >= 0xe000) {
		put_utf8(b, v);
		return 4;
	}
	if (v < 0xdc00 && in.len >= 10 && in.p[4] == '\\' && in.p[5] == 'u') {
		low = four_digits(in.p + 6);
		if (low >= 0xdc00 && low < 0xe000) {
			put_utf8(b,
				 0x10000 + ((v & 0x3ff) << 10 | (low & 0x3ff)));
			return 10;
		}
	}
	put_utf8(b, 0xfffd);
	return 4;
}

void json_put_string(struct buf *b, const struct json_member *m)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	struct bytes in = m->value;

	if (m->kind != JSON_STRING)
		return;
	for (size_t i = 0; i < in.len; i++) {
		const uint8_t *mark = memchr(in.p + i, '\\', in.len - i);
		size_t n = mark ? (size_t)(mark - in.p) - i : in.len - i;

		put_bytes(b, bytes_of(in.p + i, n));
		i += n;
		if (i == in.len)
			break;
		i++; /* what was checked once is whole */
		if (in.p[i] == 'u')
			i += put_unicode(
				b, bytes_of(in.p + i + 1, in.len - i - 1));
		else
			put_u8(b, (uint8_t)to[strchr(from, in.p[i]) - from]);
	}
}

int json_to_uint(const struct json_member *m, uint64_t *v)
{
	uint64_t sum = 0;

	if (m->kind != JSON_NUMBER)
		return ERR_MALFORMED;
	for (size_t i = 0; i < m->value.len; i++) {
		uint8_t c = m->value.p[i];

		if (c < '0' || c > '9' ||
		    __builtin_mul_overflow(sum, 10u, &sum) ||
		    __builtin_add_overflow(sum, (uint64_t)(c - '0'), &sum))
			return ERR_MALFORMED;
	}
	*v = sum;
	return 0;
}

bool json_is_true(const struct json_member *m)
{
	return m->kind == JSON_BOOL && m->value.len == 4;
}
