/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base64.c - base64 (RFC 4648, 4 and 5) and hexadecimal digits, as people and
 * programs write them: either alphabet, blanks and line ends between, padding
 * or none.
 */
#include "codec/layer/layer_priv.h"

#include "codec/layer/text.h"

enum { GROUPS = 256 };

/* -- base64 ------------------------------------------------------- */

struct base64 {
	uint32_t bits; /* of `n` characters */
	unsigned n;
	uint64_t first; /* offset of the first of them */
	bool padded;	/* a "=" ended the group */
};

static enum layer_look look_base64(struct bytes head)
{
	return text_is_blank(head.p[0]) || text_base64_value(head.p[0]) >= 0
		       ? LOOK_YES
		       : LOOK_NO;
}

/* What 2, 3 or 4 characters stand for, made of the input up to `end`. */
static void put_group(struct layer *l, struct base64 *b, uint64_t end)
{
	uint32_t v = b->bits << 6 * (4 - b->n);
	uint8_t out[3] = { (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };

	if (b->n > 1)
		layer_put(l, bytes_of(out, b->n - 1),
			  (struct layer_units){ b->first, end - b->first,
						b->n - 1 });
	b->n = 0;
	b->bits = 0;
}

/* Whole groups that stand together; returns how many characters. */
static size_t take_groups(struct layer *l, struct bytes in)
{
	uint8_t out[3 * GROUPS];
	size_t n = 0;

	for (; n < GROUPS && in.len >= 4 * (n + 1); n++) {
		const uint8_t *p = in.p + 4 * n;
		int a = text_base64_value(p[0]), b = text_base64_value(p[1]);
		int c = text_base64_value(p[2]), d = text_base64_value(p[3]);
		uint32_t v;

		if ((a | b | c | d) < 0)
			break;
		v = (uint32_t)a << 18 | (uint32_t)b << 12 | (uint32_t)c << 6 |
		    (uint32_t)d;
		out[3 * n] = (uint8_t)(v >> 16);
		out[3 * n + 1] = (uint8_t)(v >> 8);
		out[3 * n + 2] = (uint8_t)v;
	}
	if (n)
		layer_put(l, bytes_of(out, 3 * n),
			  (struct layer_units){ l->result.in, 4, 3 });
	return 4 * n;
}

static void take_character(struct layer *l, struct base64 *b, uint8_t c)
{
	int value = text_base64_value(c);

	if (c == '=' && (b->padded || b->n > 1)) {
		if (!b->padded)
			put_group(l, b, l->result.in + 1);
		b->padded = true;
	} else if (value >= 0) {
		if (!b->n)
			b->first = l->result.in;
		b->padded = false;
		b->bits = b->bits << 6 | (uint32_t)value;
		if (++b->n == 4)
			put_group(l, b, l->result.in + 1);
	} else if (!text_is_blank(c)) {
		if (b->n > 1) /* the last whole bytes are good */
			put_group(l, b, l->result.in);
		layer_fail(l, l->result.in, "a character that base64 has not");
	}
}

static void feed_base64(struct layer *l, struct bytes in)
{
	struct base64 *b = (struct base64 *)l->state;

	l->changed = true;
	while (in.len && layer_goes_on(l)) {
		size_t n = b->n ? 0 : take_groups(l, in);

		if (n) {
			b->padded = false;
		} else {
			take_character(l, b, in.p[0]);
			n = 1;
		}
		if (!layer_goes_on(l))
			return;
		l->result.in += n;
		in = bytes_of(in.p + n, in.len - n);
	}
}

static void end_base64(struct layer *l)
{
	struct base64 *b = (struct base64 *)l->state;

	if (b->n == 1)
		layer_fail(l, b->first, "one character is left over");
	else
		put_group(l, b, l->result.in);
}

const struct layer_ops layer_base64 = {
	.state_size = sizeof(struct base64),
	.look = look_base64,
	.not_mine = "it does not begin with a character of base64",
	.feed = feed_base64,
	.end = end_base64,
};

/* -- hexadecimal digits ------------------------------------------- */

struct hex {
	int high; /* a digit that waits for its other one, + 1 */
	uint64_t first;
};

static enum layer_look look_hex(struct bytes head)
{
	return text_is_blank(head.p[0]) || text_hex_value(head.p[0]) >= 0
		       ? LOOK_YES
		       : LOOK_NO;
}

static size_t take_pairs(struct layer *l, struct bytes in)
{
	uint8_t out[GROUPS];
	size_t n = 0;

	for (; n < GROUPS && in.len >= 2 * (n + 1); n++) {
		int a = text_hex_value(in.p[2 * n]);
		int b = text_hex_value(in.p[2 * n + 1]);

		if ((a | b) < 0)
			break;
		out[n] = (uint8_t)(a << 4 | b);
	}
	if (n)
		layer_put(l, bytes_of(out, n),
			  (struct layer_units){ l->result.in, 2, 1 });
	return 2 * n;
}

static void take_digit(struct layer *l, struct hex *h, uint8_t c)
{
	int value = text_hex_value(c);

	if (value >= 0 && !h->high) {
		h->high = value + 1;
		h->first = l->result.in;
	} else if (value >= 0) {
		uint8_t out = (uint8_t)((h->high - 1) << 4 | value);

		h->high = 0;
		layer_put(l, bytes_of(&out, 1),
			  (struct layer_units){
				  h->first, l->result.in + 1 - h->first, 1 });
	} else if (h->high || (!text_is_blank(c) && c != ':')) {
		layer_fail(l, l->result.in, "a character that is no digit");
	}
}

static void feed_hex(struct layer *l, struct bytes in)
{
	struct hex *h = (struct hex *)l->state;

	l->changed = true;
	while (in.len && layer_goes_on(l)) {
		size_t n = h->high ? 0 : take_pairs(l, in);

		if (!n) {
			take_digit(l, h, in.p[0]);
			n = 1;
		}
		if (!layer_goes_on(l))
			return;
		l->result.in += n;
		in = bytes_of(in.p + n, in.len - n);
	}
}

static void end_hex(struct layer *l)
{
	struct hex *h = (struct hex *)l->state;

	if (h->high)
		layer_fail(l, h->first, "one digit is left over");
}

const struct layer_ops layer_hex = {
	.state_size = sizeof(struct hex),
	.look = look_hex,
	.not_mine = "it does not begin with a digit",
	.feed = feed_hex,
	.end = end_hex,
};
