/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunked.c - HTTP/1's chunks (RFC 9112, 7.1): sizes, extensions and trailers
 * are left out.  Lines may end in LF alone.
 */
#include "codec/layer/layer_priv.h"

#include "codec/layer/text.h"

enum { LINE = 4096, TRAILERS_MAX = 64 << 10, DIGITS_MAX = 15 };

enum chunked_state { SIZE, DATA, DATA_END, TRAILERS };

struct chunked {
	enum chunked_state state;
	uint64_t left; /* of a chunk, or its size as far as it was read */
	uint32_t digits, line; /* of this line */
	bool extension;
	uint32_t trailers; /* bytes */
};

static enum layer_look look(struct bytes head)
{
	return text_hex_value(head.p[0]) >= 0 ? LOOK_YES : LOOK_NO;
}

static void begin_line(struct chunked *c, enum chunked_state state)
{
	c->state = state;
	c->digits = c->line = 0;
	c->extension = false;
}

/* A byte of a size line; NULL, or what is wrong with it. */
static const char *take_size(struct chunked *c, uint8_t byte)
{
	int d = text_hex_value(byte);

	if (!c->line++)
		c->left = 0;
	if (c->line > LINE)
		return "a chunk size longer than a line may be";
	if (byte == '\n') {
		if (!c->digits)
			return "a chunk without a size";
		begin_line(c, c->left ? DATA : TRAILERS);
	} else if (c->extension) {
		return NULL;
	} else if (d >= 0) {
		if (++c->digits > DIGITS_MAX)
			return "a chunk size past all numbers";
		c->left = c->left << 4 | (unsigned)d;
	} else if (c->digits && strchr(";\r \t", byte) && byte) {
		c->extension = true;
	} else {
		return "a chunk size that is no number";
	}
	return NULL;
}

static size_t take_data(struct layer *l, struct chunked *c, struct bytes in)
{
	size_t n = in.len < c->left ? in.len : (size_t)c->left;

	layer_put_same(l, bytes_of(in.p, n), l->result.in);
	l->changed = true;
	c->left -= n;
	if (!c->left)
		begin_line(c, DATA_END);
	return n;
}

static const char *take_data_end(struct chunked *c, uint8_t byte)
{
	if (byte == '\n')
		begin_line(c, SIZE);
	else if (byte != '\r' || c->line++)
		return "a chunk longer than its size";
	return NULL;
}

static const char *take_trailer(struct layer *l, struct chunked *c,
				uint8_t byte)
{
	if (++c->trailers > TRAILERS_MAX)
		return "trailers longer than the limit";
	if (byte != '\n') {
		c->line += byte != '\r';
	} else if (c->line) {
		c->line = 0;
	} else {
		layer_over(l, l->result.in + 1);
	}
	return NULL;
}

static void feed(struct layer *l, struct bytes in)
{
	struct chunked *c = (struct chunked *)l->state;
	const char *why;

	for (size_t i = 0; i < in.len && layer_goes_on(l);) {
		size_t n = 1;

		why = NULL;
		if (c->state == DATA)
			n = take_data(l, c, bytes_of(in.p + i, in.len - i));
		else if (c->state == SIZE)
			why = take_size(c, in.p[i]);
		else if (c->state == DATA_END)
			why = take_data_end(c, in.p[i]);
		else
			why = take_trailer(l, c, in.p[i]);
		if (why)
			layer_fail(l, l->result.in, why);
		if (l->ended || why)
			return;
		i += n;
		l->result.in += n;
	}
}

/* The last line may be missing: of the data nothing is. */
static void end(struct layer *l)
{
	struct chunked *c = (struct chunked *)l->state;

	l->changed = true;
	if (c->state != TRAILERS)
		layer_fail(l, l->result.in, "it ends before its last chunk");
}

const struct layer_ops layer_chunked = {
	.state_size = sizeof(struct chunked),
	.look = look,
	.not_mine = "it does not begin with the size of a chunk",
	.feed = feed,
	.end = end,
};
