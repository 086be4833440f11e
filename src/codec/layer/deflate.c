/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deflate.c - gzip, zlib and bare deflate (RFC 1950 to 1952), by zlib.
 *
 * The map has one unit a step of input.  What comes out of a step may have
 * begun a few bits before it, which zlib holds: SLACK covers them.
 */
#include "codec/layer/layer_priv.h"

#include <assert.h>

#include <zlib.h>

enum {
	STEP = 1024,
	SLACK = 8,
	OUT = 16 << 10,
	GZIP_HEAD = 10,
	WINDOW = 15,
	STATE = 44 << 10 /* of zlib, its window included */
};

struct deflate {
	z_stream z;
	int window; /* as inflateInit2() wants it */
	bool begun;
	uint64_t member; /* offset of this gzip member */
	uint64_t mark;	 /* all output of the input before it is out */
	bool gave;	 /* there was some since */
	uint64_t members;
	uint8_t out[OUT];
};

static struct deflate *state_of(struct layer *l)
{
	return (struct deflate *)l->state;
}

/* -- beginnings --------------------------------------------------- */

static enum layer_look look_gzip(struct bytes head)
{
	static const uint8_t magic[] = { 0x1f, 0x8b, 8 };

	if (memcmp(head.p, magic, head.len) != 0)
		return LOOK_NO;
	return head.len == sizeof(magic) ? LOOK_YES : LOOK_MORE;
}

static bool is_zlib(const uint8_t *p)
{
	return (p[0] & 15) == 8 && p[0] >> 4 < 8 &&
	       (p[0] << 8 | p[1]) % 31 == 0;
}

static enum layer_look look_zlib(struct bytes head)
{
	if (head.len < 2)
		return (head.p[0] & 15) == 8 ? LOOK_MORE : LOOK_NO;
	return is_zlib(head.p) ? LOOK_YES : LOOK_NO;
}

static enum layer_look look_deflate(struct bytes head)
{
	return head.len < 2 ? LOOK_MORE : LOOK_YES;
}

static void begin(struct layer *l, int window)
{
	struct deflate *d = state_of(l);

	d->window = window;
	d->begun = inflateInit2(&d->z, window) == Z_OK;
	assert(d->begun); /* it fails for want of memory only */
}

static void begin_gzip(struct layer *l)
{
	begin(l, WINDOW + 16);
}

static void begin_zlib(struct layer *l)
{
	begin(l, WINDOW);
}

static void begin_raw(struct layer *l)
{
	begin(l, -WINDOW);
}

/* What servers call deflate is either (RFC 9110, 8.4.1.2). */
static void begin_deflate(struct layer *l)
{
	begin(l, is_zlib(l->head) ? WINDOW : -WINDOW);
}

/* -- bytes -------------------------------------------------------- */

/* A gzip member may be followed by another one; nothing else is. */
static void end_member(struct layer *l)
{
	struct deflate *d = state_of(l);

	d->members++;
	d->member = d->mark = l->result.in;
	d->gave = false;
	if (d->window > WINDOW)
		inflateReset(&d->z);
	else
		layer_over(l, l->result.in);
}

/* What stands behind a member is no other one. */
static bool is_behind(const struct deflate *d)
{
	return d->members && !d->z.total_out;
}

static void go_wrong(struct layer *l, const char *why)
{
	struct deflate *d = state_of(l);
	uint64_t seen = l->result.in - d->member;

	if (is_behind(d) && seen < GZIP_HEAD)
		layer_over(l, d->member);
	else
		layer_fail(l, l->result.in, why ? why : "it is no deflate");
}

static void put_some(struct layer *l, uint64_t in_end)
{
	struct deflate *d = state_of(l);
	uint64_t from =
		d->mark - d->member > SLACK ? d->mark - SLACK : d->member;
	size_t n = OUT - d->z.avail_out;

	if (n)
		layer_put(l, bytes_of(d->out, n),
			  (struct layer_units){ from, in_end - from, n });
}

/* One step of input; returns how much of it belongs to this member. */
static size_t take_step(struct layer *l, struct bytes in)
{
	struct deflate *d = state_of(l);
	uint64_t start = l->result.in;
	int rc;

	d->z.next_in = (Bytef *)(uintptr_t)in.p;
	d->z.avail_in = (uInt)in.len;
	do {
		d->z.next_out = d->out;
		d->z.avail_out = OUT;
		rc = inflate(&d->z, Z_NO_FLUSH);
		l->result.in = start + in.len - d->z.avail_in;
		d->gave |= d->z.avail_out < OUT;
		put_some(l, l->result.in);
		if (rc == Z_STREAM_END)
			end_member(l);
		else if (rc != Z_OK && rc != Z_BUF_ERROR)
			go_wrong(l, rc == Z_NEED_DICT ? "it needs a dictionary"
						      : d->z.msg);
	} while (rc == Z_OK && !d->z.avail_out && layer_goes_on(l));
	if (d->gave && l->result.in % STEP == 0) {
		d->mark = l->result.in;
		d->gave = false;
	}
	return in.len - d->z.avail_in;
}

static void feed(struct layer *l, struct bytes in)
{
	while (in.len && layer_goes_on(l)) {
		size_t n = STEP - l->result.in % STEP;

		n = take_step(l, bytes_of(in.p, n < in.len ? n : in.len));
		in = bytes_of(in.p + n, in.len - n);
	}
}

static void end(struct layer *l)
{
	struct deflate *d = state_of(l);

	if (!d->members || l->result.in > d->member)
		go_wrong(l, "it ends early");
}

static void release(struct layer *l)
{
	struct deflate *d = state_of(l);

	if (d->begun)
		inflateEnd(&d->z);
}

static size_t held(const struct layer *l)
{
	return ((const struct deflate *)l->state)->begun ? (size_t)STATE : 0;
}

const struct layer_ops layer_gzip = {
	.state_size = sizeof(struct deflate),
	.look = look_gzip,
	.not_mine = "it does not begin like gzip",
	.begin = begin_gzip,
	.feed = feed,
	.end = end,
	.release = release,
	.held = held,
};

const struct layer_ops layer_zlib = {
	.state_size = sizeof(struct deflate),
	.look = look_zlib,
	.not_mine = "it does not begin like zlib's format",
	.begin = begin_zlib,
	.feed = feed,
	.end = end,
	.release = release,
	.held = held,
};

const struct layer_ops layer_deflate = {
	.state_size = sizeof(struct deflate),
	.look = look_deflate,
	.not_mine = "it is too short for deflate",
	.begin = begin_deflate,
	.feed = feed,
	.end = end,
	.release = release,
	.held = held,
};

const struct layer_ops layer_raw_deflate = {
	.state_size = sizeof(struct deflate),
	.begin = begin_raw,
	.feed = feed,
	.end = end,
	.release = release,
	.held = held,
};
