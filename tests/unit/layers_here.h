/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layers_here.h - a layer run over bytes in pieces, and the packers whose work
 * it undoes.
 */
#ifndef TESTS_UNIT_LAYERS_HERE_H
#define TESTS_UNIT_LAYERS_HERE_H

#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

#include "base/buf.h"
#include "codec/layer/layer.h"

#include "t.h"

struct outcome {
	struct layer *layer;
	struct layer_result result;
	struct buf out;
};

static inline bool take_here(void *self, struct bytes out)
{
	put_bytes(self, out);
	return true;
}

static inline void outcome_release(struct outcome *o)
{
	layer_free(o->layer);
	buf_release(&o->out);
}

static inline void begin_here(struct outcome *o, enum layer_kind kind)
{
	struct layer_limits limits = LAYER_LIMITS_DEFAULT;

	*o = (struct outcome){ .layer = layer_new(kind, &limits) };
}

static inline void feed_here(struct outcome *o, struct bytes in)
{
	struct layer_sink sink = { &o->out, take_here };

	layer_feed(o->layer, in, &sink);
}

static inline void end_here(struct outcome *o)
{
	struct layer_sink sink = { &o->out, take_here };

	layer_end(o->layer, &sink);
	o->result = *layer_result(o->layer);
}

/* In pieces of `step`; 0: as a whole. */
static inline struct outcome undo_here(enum layer_kind kind, struct bytes in,
				       size_t step)
{
	struct outcome o;

	begin_here(&o, kind);
	step = step ? step : in.len ? in.len : 1;
	for (size_t at = 0; at < in.len; at += step) {
		size_t n = in.len - at < step ? in.len - at : step;

		feed_here(&o, bytes_of(in.p + at, n));
	}
	end_here(&o);
	return o;
}

/* deflate; window as deflateInit2() wants it. */
static inline void put_deflated(struct buf *b, struct bytes in, int window)
{
	z_stream z = { .zalloc = NULL };

	CHECK_EQ(deflateInit2(&z, 9, Z_DEFLATED, window, 8, 0), Z_OK);
	z.next_in = (Bytef *)(uintptr_t)in.p;
	z.avail_in = (uInt)in.len;
	z.avail_out = (uInt)deflateBound(&z, in.len);
	z.next_out = buf_reserve(b, z.avail_out);
	CHECK_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
	buf_added(b, z.total_out);
	deflateEnd(&z);
}

static inline void put_gzip(struct buf *b, struct bytes in)
{
	put_deflated(b, in, 15 + 16);
}

static inline void put_brotli(struct buf *b, struct bytes in)
{
	size_t n = BrotliEncoderMaxCompressedSize(in.len);

	CHECK(BrotliEncoderCompress(5, 22, BROTLI_MODE_GENERIC, in.len, in.p,
				    &n, buf_reserve(b, n)));
	buf_added(b, n);
}

static inline void put_zstd(struct buf *b, struct bytes in)
{
	size_t n = ZSTD_compressBound(in.len);

	n = ZSTD_compress(buf_reserve(b, n), n, in.p, in.len, 3);
	CHECK(!ZSTD_isError(n));
	buf_added(b, n);
}

/* Chunks of up to `size` bytes. */
static inline void put_chunked(struct buf *b, struct bytes in, size_t size)
{
	for (size_t at = 0; at < in.len; at += size) {
		size_t n = in.len - at < size ? in.len - at : size;

		put_format(b, "%zx\r\n", n);
		put_bytes(b, bytes_of(in.p + at, n));
		put_text(b, "\r\n");
	}
	put_text(b, "0\r\n\r\n");
}

/* Words, so that packers have something to do. */
static inline void put_words(struct buf *b, size_t len)
{
	static const char *const words[] = { "GET ",	 "flag{",  "} ",
					     "<td>",	 "</td>\n", "session=",
					     "password ", "\xc3\xa4 " };

	while (b->len < len) {
		put_text(b, words[t_random_below(8)]);
		put_format(b, "%x", (unsigned)t_random_below(1 << 16));
	}
	b->len = len;
}

#endif
