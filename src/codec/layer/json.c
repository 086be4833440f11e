/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.c - the strings of JSON as they are meant: escapes undone, and, when
 * that is asked for, base64 as well.  Everything outside of strings stays as
 * it is, so the output is for eyes and searches, not for a parser.
 *
 * A string counts as base64 when all of it is, and what it stands for is text,
 * or it is too long and too mixed to be a word.
 */
#include "codec/layer/layer_priv.h"

#include "base/buf.h"
#include "codec/layer/text.h"

enum {
	STRING_MAX = 1 << 20, /* longer ones are not looked at for base64 */
	ESCAPE = 12,	      /* two \uXXXX */
	TEXT_LEAST = 8,	      /* characters, of what stands for text */
	MIXED_LEAST = 32      /* of what stands for anything */
};

struct json {
	uint64_t at; /* offset of the byte that is looked at */
	bool in_string;
	uint8_t escape[ESCAPE];
	unsigned n_escape;
	bool gathering;	     /* a string, behind its quote */
	bool gather_escape;  /* the next byte belongs to a backslash */
	bool gather_escapes; /* there was one */
	struct buf string;
};

static struct json *state_of(struct layer *l)
{
	return (struct json *)l->state;
}

/* -- escapes ------------------------------------------------------ */

static size_t utf8(uint8_t out[4], uint32_t c)
{
	if (c < 0x80) {
		out[0] = (uint8_t)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (uint8_t)(0xc0 | c >> 6);
		out[1] = (uint8_t)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (uint8_t)(0xe0 | c >> 12);
		out[1] = (uint8_t)(0x80 | (c >> 6 & 63));
		out[2] = (uint8_t)(0x80 | (c & 63));
		return 3;
	}
	out[0] = (uint8_t)(0xf0 | c >> 18);
	out[1] = (uint8_t)(0x80 | (c >> 12 & 63));
	out[2] = (uint8_t)(0x80 | (c >> 6 & 63));
	out[3] = (uint8_t)(0x80 | (c & 63));
	return 4;
}

static uint32_t unicode(const uint8_t *digits)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++)
		v = v << 4 | (uint32_t)text_hex_value(digits[i]);
	return v;
}

static bool is_surrogate(uint32_t v, uint32_t first)
{
	return (v & 0xfc00) == first;
}

/* The escape is whole; it began where it is long. */
static void put_escape(struct layer *l, struct bytes out)
{
	struct json *j = state_of(l);
	unsigned n = j->n_escape;

	j->n_escape = 0;
	layer_put(l, out, (struct layer_units){ j->at - n, n, out.len });
}

static void put_character(struct layer *l, uint32_t c)
{
	uint8_t out[4];

	put_escape(l, bytes_of(out, utf8(out, c)));
}

/* The first n bytes of what was held are no escape: as they are. */
static void put_back(struct layer *l, unsigned n)
{
	struct json *j = state_of(l);

	layer_put_same(l, bytes_of(j->escape, n), j->at - j->n_escape);
	j->n_escape -= n;
	memmove(j->escape, j->escape + n, j->n_escape);
}

/* Does the byte go on with what was held? */
static bool may_follow(const struct json *j, uint8_t c)
{
	switch (j->n_escape) {
	case 1:
		return c && strchr("\"\\/bfnrtu", c);
	case 6: /* a first surrogate wants its second */
		return c == '\\';
	case 7:
		return c == 'u';
	}
	return text_hex_value(c) >= 0;
}

static void end_simple(struct layer *l)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *which = strchr(from, state_of(l)->escape[1]);

	put_escape(l, bytes_of(to + (which - from), 1));
}

static void end_unicode(struct layer *l)
{
	struct json *j = state_of(l);
	uint32_t v = unicode(j->escape + 2);

	if (is_surrogate(v, 0xd800))
		return; /* its other half comes now, or never */
	if (is_surrogate(v, 0xdc00))
		put_back(l, 6);
	else
		put_character(l, v);
}

static void end_pair(struct layer *l)
{
	struct json *j = state_of(l);
	uint32_t high = unicode(j->escape + 2), low = unicode(j->escape + 8);

	if (is_surrogate(low, 0xdc00)) {
		put_character(l,
			      0x10000 + ((high & 0x3ff) << 10 | (low & 0x3ff)));
		return;
	}
	put_back(l, 6); /* the second one may be good without it */
	end_unicode(l);
}

static void take_escape(struct layer *l, uint8_t c)
{
	struct json *j = state_of(l);

	j->escape[j->n_escape++] = c;
	j->at++;
	if (j->n_escape == 2 && c != 'u')
		end_simple(l);
	else if (j->n_escape == 6)
		end_unicode(l);
	else if (j->n_escape == ESCAPE)
		end_pair(l);
}

/* -- bytes -------------------------------------------------------- */

/* What means nothing by itself, inside a string or outside. */
static size_t plain_length(const struct json *j, struct bytes in)
{
	size_t n = 0;

	while (n < in.len && in.p[n] != '"' &&
	       !(j->in_string && in.p[n] == '\\'))
		n++;
	return n;
}

/* One byte, or many that mean nothing; returns how many. */
static size_t take_some(struct layer *l, struct bytes in)
{
	struct json *j = state_of(l);
	size_t n = j->n_escape ? 0 : plain_length(j, in);
	uint8_t c = in.p[0];

	if (n) {
		layer_put_same(l, bytes_of(in.p, n), j->at);
		j->at += n;
		return n;
	}
	if (j->n_escape && !may_follow(j, c)) {
		/* Behind a lone surrogate a new escape may have begun. */
		put_back(l, j->n_escape == 7 ? 6 : j->n_escape);
		return 0;
	}
	if (j->n_escape || c == '\\') {
		take_escape(l, c);
	} else {
		j->in_string = !j->in_string;
		layer_put_same(l, bytes_of(in.p, 1), j->at++);
	}
	return 1;
}

static void take_all(struct layer *l, struct bytes in)
{
	while (in.len && layer_goes_on(l)) {
		size_t n = take_some(l, in);

		in = bytes_of(in.p + n, in.len - n);
	}
}

/* -- base64 in strings -------------------------------------------- */

/* How many characters of base64, padding included; 0 when it is none. */
static size_t count_base64(struct bytes s)
{
	size_t n = 0, padding = 0;

	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '\\' && i + 1 < s.len && s.p[i + 1] == '/')
			continue;
		if (s.p[i] == '=')
			padding++;
		else if (padding || text_base64_value(s.p[i]) < 0)
			return 0;
		else
			n++;
	}
	if (padding > 2 || (padding && (n + padding) % 4) || n % 4 == 1)
		return 0;
	return n + padding;
}

static size_t decode_base64(struct bytes s, uint8_t *out)
{
	uint32_t bits = 0;
	size_t n = 0, len = 0;

	for (size_t i = 0; i < s.len && s.p[i] != '='; i++) {
		if (s.p[i] == '\\')
			continue;
		bits = bits << 6 | (uint32_t)text_base64_value(s.p[i]);
		if (++n % 4 != 1)
			out[len++] = (uint8_t)(bits >> (6 - 2 * ((n - 1) % 4)));
	}
	return len;
}

static bool is_text(struct bytes b)
{
	for (size_t i = 0; i < b.len; i++)
		if ((b.p[i] < 0x20 && !text_is_blank(b.p[i])) || b.p[i] > 0x7e)
			return false;
	return true;
}

static bool is_mixed(struct bytes s)
{
	bool lower = false, upper = false, digit = false;

	for (size_t i = 0; i < s.len; i++) {
		lower |= s.p[i] >= 'a' && s.p[i] <= 'z';
		upper |= s.p[i] >= 'A' && s.p[i] <= 'Z';
		digit |= s.p[i] >= '0' && s.p[i] <= '9';
	}
	return lower && upper && digit;
}

/* A string without escapes maps group by group, another one as a whole. */
static void put_base64(struct layer *l, struct bytes string, struct bytes out)
{
	struct json *j = state_of(l);
	size_t whole = out.len / 3 * 3;

	if (j->gather_escapes) {
		layer_put(l, out,
			  (struct layer_units){ j->at, string.len, out.len });
		return;
	}
	if (whole)
		layer_put(l, bytes_of(out.p, whole),
			  (struct layer_units){ j->at, 4, 3 });
	if (out.len > whole)
		layer_put(l, bytes_of(out.p + whole, out.len - whole),
			  (struct layer_units){ j->at + whole / 3 * 4,
						string.len - whole / 3 * 4,
						out.len - whole });
}

/* The gathered string is whole; it began at j->at. */
static void end_string(struct layer *l)
{
	struct json *j = state_of(l);
	struct bytes string = buf_bytes(&j->string);
	size_t n = count_base64(string);
	struct buf out = { 0 };

	j->gathering = false;
	if (n >= TEXT_LEAST) {
		buf_added(&out, decode_base64(string, buf_reserve(&out, n)));
		if (!is_text(buf_bytes(&out)) &&
		    !(n >= MIXED_LEAST && is_mixed(string)))
			buf_clear(&out);
	}
	if (out.len) {
		put_base64(l, string, buf_bytes(&out));
		j->at += string.len;
	} else {
		take_all(l, string);
	}
	buf_release(&out);
	buf_clear(&j->string);
}

/* Up to the string's end; returns how many bytes. */
static size_t gather(struct layer *l, struct bytes in)
{
	struct json *j = state_of(l);
	size_t n = 0;

	for (; n < in.len; n++) {
		if (!j->gather_escape && in.p[n] == '"')
			break;
		j->gather_escape = !j->gather_escape && in.p[n] == '\\';
		j->gather_escapes |= j->gather_escape;
	}
	put_bytes(&j->string, bytes_of(in.p, n));
	if (n < in.len)
		end_string(l);
	else if (j->string.len > STRING_MAX) {
		j->gathering = false;
		take_all(l, buf_bytes(&j->string));
		buf_release(&j->string);
	}
	return n;
}

static void begin_gathering(struct json *j)
{
	j->gathering = true;
	j->gather_escape = j->gather_escapes = false;
	buf_clear(&j->string);
}

static void feed_base64(struct layer *l, struct bytes in)
{
	struct json *j = state_of(l);
	struct bytes all = in;

	while (in.len && layer_goes_on(l)) {
		size_t n;

		if (j->gathering) {
			n = gather(l, in);
		} else {
			bool was = j->in_string;

			n = take_some(l, in);
			if (!was && j->in_string)
				begin_gathering(j);
		}
		in = bytes_of(in.p + n, in.len - n);
	}
	l->result.in += all.len;
}

static void feed_json(struct layer *l, struct bytes in)
{
	take_all(l, in);
	l->result.in += in.len;
}

/* Where the text ends, a string or an escape may not have. */
static void end(struct layer *l)
{
	struct json *j = state_of(l);

	if (j->gathering) {
		j->gathering = false;
		take_all(l, buf_bytes(&j->string));
	}
	if (j->n_escape)
		put_back(l, j->n_escape);
}

static void release(struct layer *l)
{
	buf_release(&state_of(l)->string);
}

static size_t held(const struct layer *l)
{
	return ((const struct json *)l->state)->string.cap;
}

const struct layer_ops layer_json = {
	.state_size = sizeof(struct json),
	.feed = feed_json,
	.end = end,
	.release = release,
	.held = held,
	.text = true,
};

const struct layer_ops layer_json_base64 = {
	.state_size = sizeof(struct json),
	.feed = feed_base64,
	.end = end,
	.release = release,
	.held = held,
	.text = true,
};
