/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/base64.h"

#include "base/err.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			       "abcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_of(char *out, struct bytes in)
{
	char *to = out;

	for (size_t i = 0; i < in.len; i += 3) {
		size_t left = in.len - i;
		uint32_t v = (uint32_t)in.p[i] << 16 |
			     (left > 1 ? (uint32_t)in.p[i + 1] << 8 : 0) |
			     (left > 2 ? in.p[i + 2] : 0);

		*to++ = alphabet[v >> 18];
		*to++ = alphabet[v >> 12 & 63];
		*to++ = left > 1 ? alphabet[v >> 6 & 63] : '=';
		*to++ = left > 2 ? alphabet[v & 63] : '=';
	}
	*to = '\0';
	return out;
}

static int value_of(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '/')
		return c == '+' ? 62 : 63;
	return -1;
}

/* Four characters that stand for n bytes, 1 to 3. */
static int parse_group(const uint8_t *text, uint8_t *out, size_t n)
{
	uint32_t v = 0;

	for (size_t i = 0; i < 4; i++) {
		int bits = i > n ? 0 : value_of(text[i]);

		if (bits < 0 || (i > n && text[i] != '='))
			return ERR_MALFORMED;
		v = v << 6 | (uint32_t)bits;
	}
	if (n < 3 && v & ((1U << 8 * (3 - n)) - 1))
		return ERR_MALFORMED;
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(v >> (16 - 8 * i));
	return 0;
}

int base64_parse(struct bytes text, uint8_t *out, size_t len)
{
	if (text.len != BASE64_SIZE(len))
		return ERR_MALFORMED;
	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;

		if (parse_group(text.p + i / 3 * 4, out + i, n) < 0)
			return ERR_MALFORMED;
	}
	return 0;
}
