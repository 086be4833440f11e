/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/json.h"

#include <math.h>

#include "base/buf.h"
#include "codec/base64.h"

/* After an opening, a colon, a line end or nothing no comma is due. */
static void begin_value(struct buf *b, const char *name)
{
	uint8_t last = b->len ? b->p[b->len - 1] : '\n';

	if (last != '{' && last != '[' && last != ':' && last != '\n')
		put_u8(b, ',');
	if (!name)
		return;
	put_u8(b, '"');
	put_bytes(b, bytes_of_text(name));
	put_bytes(b, bytes_of("\":", 2));
}

void json_begin(struct buf *b, const char *name)
{
	begin_value(b, name);
	put_u8(b, '{');
}

void json_end(struct buf *b)
{
	put_u8(b, '}');
}

void json_list(struct buf *b, const char *name)
{
	begin_value(b, name);
	put_u8(b, '[');
}

void json_list_end(struct buf *b)
{
	put_u8(b, ']');
}

/* -- texts ------------------------------------------------------------------
 */

static bool is_plain(uint8_t c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static bool follows(struct bytes in, size_t i, uint8_t low, uint8_t high)
{
	return i < in.len && in.p[i] >= low && in.p[i] <= high;
}

/* Bytes of the character at the front (RFC 3629), 0 when it is none. */
static size_t character(struct bytes in)
{
	uint8_t c = in.p[0];
	uint8_t low = 0x80, high = 0xbf;

	if (c < 0x80)
		return 1;
	if (c >= 0xc2 && c <= 0xdf)
		return follows(in, 1, 0x80, 0xbf) ? 2 : 0;
	if (c >= 0xe0 && c <= 0xef) {
		if (c == 0xe0)
			low = 0xa0; /* shorter forms exist */
		if (c == 0xed)
			high = 0x9f; /* surrogates */
		return follows(in, 1, low, high) && follows(in, 2, 0x80, 0xbf)
			       ? 3
			       : 0;
	}
	if (c >= 0xf0 && c <= 0xf4) {
		if (c == 0xf0)
			low = 0x90;
		if (c == 0xf4)
			high = 0x8f; /* the last is U+10FFFF */
		return follows(in, 1, low, high) &&
				       follows(in, 2, 0x80, 0xbf) &&
				       follows(in, 3, 0x80, 0xbf)
			       ? 4
			       : 0;
	}
	return 0;
}

static void put_escape(struct buf *b, uint8_t c)
{
	static const char digits[] = "0123456789abcdef";
	static const char from[] = "\b\f\n\r\t\"\\", to[] = "bfnrt\"\\";
	const char *at = c ? strchr(from, c) : NULL;

	put_u8(b, '\\');
	if (at) {
		put_u8(b, (uint8_t)to[at - from]);
		return;
	}
	put_bytes(b, bytes_of("u00", 3));
	put_u8(b, (uint8_t)digits[c >> 4]);
	put_u8(b, (uint8_t)digits[c & 15]);
}

/* The special character at the front; returns how many bytes it took. */
static size_t put_special(struct buf *b, struct bytes in)
{
	size_t n = character(in);

	if (n == 0) {
		put_bytes(b, bytes_of("\xef\xbf\xbd", 3));
		return 1;
	}
	if (n == 1)
		put_escape(b, in.p[0]);
	else
		put_bytes(b, bytes_of(in.p, n));
	return n;
}

void json_text(struct buf *b, const char *name, struct bytes text)
{
	begin_value(b, name);
	put_u8(b, '"');
	while (text.len) {
		size_t n = 0;

		while (n < text.len && is_plain(text.p[n]))
			n++;
		if (n)
			put_bytes(b, bytes_of(text.p, n));
		else
			n = put_special(b, text);
		text.p += n;
		text.len -= n;
	}
	put_u8(b, '"');
}

void json_word(struct buf *b, const char *name, const char *text)
{
	json_text(b, name, bytes_of_text(text));
}

void json_base64(struct buf *b, const char *name, struct bytes bytes)
{
	size_t n = BASE64_SIZE(bytes.len);

	begin_value(b, name);
	put_u8(b, '"');
	base64_of((char *)buf_reserve(b, n + 1), bytes);
	buf_added(b, n);
	put_u8(b, '"');
}

/* -- numbers -----------------------------------------------------------------
 */

void json_hex64(struct buf *b, const char *name, uint64_t v)
{
	static const char digits[] = "0123456789abcdef";
	char text[16];

	for (int i = 0; i < 16; i++)
		text[i] = digits[v >> (60 - 4 * i) & 15];
	json_text(b, name, bytes_of(text, sizeof(text)));
}

void json_uint(struct buf *b, const char *name, uint64_t v)
{
	char text[20];
	size_t n = 0;

	begin_value(b, name);
	do {
		text[sizeof(text) - ++n] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	put_bytes(b, bytes_of(text + sizeof(text) - n, n));
}

/* JSON knows neither infinity nor what is no number. */
void json_decimal(struct buf *b, const char *name, double v, int digits)
{
	begin_value(b, name);
	if (isfinite(v))
		put_format(b, "%.*f", digits, v);
	else
		put_text(b, "null");
}

void json_bool(struct buf *b, const char *name, bool v)
{
	begin_value(b, name);
	put_text(b, v ? "true" : "false");
}

void json_none(struct buf *b, const char *name)
{
	begin_value(b, name);
	put_text(b, "null");
}

void json_raw(struct buf *b, const char *name, struct bytes json)
{
	begin_value(b, name);
	put_bytes(b, json);
}
