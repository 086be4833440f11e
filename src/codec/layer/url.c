/* SPDX-License-Identifier: Apache-2.0 */
/*
 * url.c - percent escapes (RFC 3986, 2.1), and + for a blank as in forms.  A
 * percent sign that begins no escape stands for itself, as in browsers.
 */
#include "codec/layer/layer_priv.h"

#include "codec/layer/text.h"

struct url {
	uint8_t escape[3];
	unsigned n; /* of it that have come */
};

static void take_escape(struct layer *l, struct url *u, uint8_t c)
{
	uint64_t first = l->result.in - u->n;
	uint8_t out;

	if (text_hex_value(c) < 0) {
		unsigned n = u->n;

		u->n = 0;
		layer_put_same(l, bytes_of(u->escape, n), first);
		return; /* c is looked at again */
	}
	u->escape[u->n++] = c;
	l->result.in++;
	if (u->n < 3)
		return;
	u->n = 0;
	out = (uint8_t)(text_hex_value(u->escape[1]) << 4 |
			text_hex_value(u->escape[2]));
	layer_put(l, bytes_of(&out, 1), (struct layer_units){ first, 3, 1 });
}

/* Up to the next special character; returns how many. */
static size_t take_plain(struct layer *l, struct bytes in, bool plus)
{
	size_t n = 0;

	while (n < in.len && in.p[n] != '%' && !(plus && in.p[n] == '+'))
		n++;
	if (n)
		layer_put_same(l, bytes_of(in.p, n), l->result.in);
	l->result.in += n;
	return n;
}

static void feed_some(struct layer *l, struct bytes in, bool plus)
{
	struct url *u = (struct url *)l->state;

	for (size_t i = 0; i < in.len && layer_goes_on(l);) {
		uint64_t was = l->result.in;

		if (u->n) {
			take_escape(l, u, in.p[i]);
		} else if (in.p[i] == '%') {
			u->escape[u->n++] = '%';
			l->result.in++;
		} else if (plus && in.p[i] == '+') {
			l->changed = true;
			layer_put_same(l, bytes_of(" ", 1), l->result.in++);
		} else {
			take_plain(l, bytes_of(in.p + i, in.len - i), plus);
		}
		i += (size_t)(l->result.in - was);
	}
}

static void feed_url(struct layer *l, struct bytes in)
{
	feed_some(l, in, true);
}

static void feed_percent(struct layer *l, struct bytes in)
{
	feed_some(l, in, false);
}

static void end(struct layer *l)
{
	struct url *u = (struct url *)l->state;

	if (u->n)
		layer_put_same(l, bytes_of(u->escape, u->n),
			       l->result.in - u->n);
}

const struct layer_ops layer_url = {
	.state_size = sizeof(struct url),
	.feed = feed_url,
	.end = end,
	.text = true,
};

const struct layer_ops layer_percent = {
	.state_size = sizeof(struct url),
	.feed = feed_percent,
	.end = end,
	.text = true,
};
