/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layer.h - one coding undone: bytes in, bytes out, and the way back.
 *
 * A layer is fed its input in pieces of any size and gives its output to a
 * sink, the same whatever the pieces were.  Bytes that lie never harm: output
 * is bounded in bytes and in proportion to the input, memory by what the
 * coding needs (a window of 16 MiB for brotli, 8 MiB for zstd, 32 KiB for
 * deflate), and whatever was decoded before something went wrong is kept.
 *
 * What does not begin like its coding passes through unchanged: NOOP.  So does
 * text in which a coding of text found nothing to undo.
 */
#ifndef CODEC_LAYER_LAYER_H
#define CODEC_LAYER_LAYER_H

#include "base/bytes.h"
#include "codec/layer/map.h"

enum layer_kind {
	LAYER_CHUNKED,	   /* HTTP/1's transfer coding, RFC 9112 7.1 */
	LAYER_GZIP,	   /* any number of members, RFC 1952 */
	LAYER_ZLIB,	   /* RFC 1950 */
	LAYER_DEFLATE,	   /* as HTTP has it: zlib's, or bare */
	LAYER_RAW_DEFLATE, /* RFC 1951 */
	LAYER_BROTLI,	   /* RFC 7932 */
	LAYER_ZSTD,	   /* any number of frames, RFC 8878 */
	LAYER_BASE64,	   /* either alphabet, blanks and padding as they are */
	LAYER_HEX,	   /* blanks and colons between the bytes */
	LAYER_URL,	   /* percent escapes, and + for a blank */
	LAYER_PERCENT,	   /* percent escapes only */
	LAYER_JSON,	   /* escapes in the strings of JSON */
	LAYER_JSON_BASE64, /* and base64 in them */
	LAYER_WEBSOCKET,   /* one direction's frames: what they carry */
	LAYER_KINDS
};

/* "gzip"; what layer_kind_of() takes. */
const char *layer_name(enum layer_kind kind);

/* By a name of ours, HTTP's or rustmate's, any case; or ERR_UNKNOWN. */
int layer_kind_of(struct bytes name, enum layer_kind *kind);

enum layer_status {
	LAYER_OPEN, /* its input has not ended */
	LAYER_OK,
	LAYER_NOOP,   /* there was nothing to undo: unchanged */
	LAYER_FAILED, /* at `at`; what came out before is good */
	LAYER_STOPPED /* at a cap; there would have been more */
};

const char *layer_status_name(enum layer_status status);

struct layer_result {
	enum layer_status status;
	uint64_t in, out; /* bytes that were used and that came out */
	uint64_t at;	  /* FAILED, STOPPED: offset in the input */
	uint64_t behind;  /* bytes behind the end of what was coded */
	const char *why;  /* a constant, not for OPEN and OK */
};

struct layer_limits {
	uint64_t out_max;
	/* No more than this many a byte of input, above ratio_free bytes. */
	uint64_t ratio_max, ratio_free;
};

/* 16 MiB, and 200 to 1 above one MiB. */
#define LAYER_LIMITS_DEFAULT                                                   \
	((struct layer_limits){ .out_max = 16 << 20,                           \
				.ratio_max = 200,                              \
				.ratio_free = 1 << 20 })

/* Takes output, borrowed until it returns; false: it wants no more. */
struct layer_sink {
	void *self;
	bool (*bytes)(void *self, struct bytes out);
};

struct layer;

struct layer *layer_new(enum layer_kind kind,
			const struct layer_limits *limits);
void layer_free(struct layer *l);

/*
 * The next bytes.  After anything but LAYER_OPEN what is fed is only counted
 * as `behind`, where the coding has an end and it had come.
 */
void layer_feed(struct layer *l, struct bytes in,
		const struct layer_sink *sink);

/* There is no more input: the result is final, and not LAYER_OPEN. */
void layer_end(struct layer *l, const struct layer_sink *sink);

/* As layer_end() when bytes are missing from here on; `why` is a constant. */
void layer_break(struct layer *l, const char *why,
		 const struct layer_sink *sink);

const struct layer_result *layer_result(const struct layer *l);
const struct layer_map *layer_map(const struct layer *l);

/* Bytes of memory that it holds now, its map included. */
size_t layer_held(const struct layer *l);

#endif
