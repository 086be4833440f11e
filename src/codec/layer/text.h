/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text.h - what single characters stand for in codings of text; -1: nothing.
 */
#ifndef CODEC_LAYER_TEXT_H
#define CODEC_LAYER_TEXT_H

#include <stdbool.h>
#include <stdint.h>

static inline bool text_is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static inline int text_hex_value(uint8_t c)
{
	uint8_t lower = c | 0x20;

	if (c >= '0' && c <= '9')
		return c - '0';
	return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Of both alphabets of RFC 4648. */
static inline int text_base64_value(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	return c == '/' || c == '_' ? 63 : -1;
}

#endif
