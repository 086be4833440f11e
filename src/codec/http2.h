/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http2.h - HTTP/2 as it goes by, in clear text (RFC 9113).
 *
 * Fed both directions from the client's preface on (with prior knowledge), or
 * from the byte behind the 101 response (h2c); of a capture without the
 * client's side, from the server's first SETTINGS.  Each stream of the
 * connection is a request and a response, told when it ends in its direction,
 * with the ranges of its DATA; what a push promises is a request of the
 * server's direction.  RST_STREAM and GOAWAY are messages of kind FRAME.
 *
 * What header fields say depends on all that came before in their direction.
 * A gap over any frame but DATA loses that: it is told as an error, and from
 * there on messages of the direction have their ranges but no fields (http is
 * NULL), which is never guessed at.  A gap inside DATA breaks that message
 * only.  Behind a gap over a border between frames, the next bytes that look
 * like two frames in a row are taken for that.
 */
#ifndef CODEC_HTTP2_H
#define CODEC_HTTP2_H

#include "base/buf.h"
#include "codec/hpack.h"
#include "codec/message.h"

enum {
	HTTP2_STREAMS_MAX = 128, /* followed at once, a direction */
	HTTP2_PARTS_MAX = 1024,	 /* of a body, kept; more are counted only */
	HTTP2_FRAME_HEAD = 9
};

/* Could a connection begin like this?  True for a prefix of one, too. */
bool http2_looks_like(struct bytes start);

/* A message under way: one direction of one stream of the connection. */
struct http2_message {
	uint32_t id;
	uint64_t start, head_end, end;
	uint64_t body_bytes, body_end;
	struct buf fields;    /* decoded: of the head, then of the trailers */
	size_t head_len;      /* of `fields` */
	uint32_t fields_over; /* not kept: over the limit */
	bool has_head, unread, partial;
	struct message_range *parts;
	uint32_t n_parts, parts_room, parts_seen;
};

enum http2_state {
	HTTP2_START,
	HTTP2_PREFACE,
	HTTP2_HEAD,
	HTTP2_PAYLOAD,
	HTTP2_SEARCHING, /* for a border between frames */
	HTTP2_LOST
};

struct http2_way {
	enum http2_state state;
	uint64_t next; /* offset of the next byte */
	uint64_t ordinal;
	/* The frame under way. */
	uint64_t frame_start;
	uint8_t head[HTTP2_FRAME_HEAD];
	size_t n_head; /* or of the preface */
	uint8_t type, flags;
	uint32_t id, length, left, came;
	bool torn;
	struct buf payload; /* what must be gathered of it */
	/* The header block under way; block_id 0: none is. */
	uint32_t block_id, promised;
	uint64_t block_start;
	bool block_ends_stream, block_torn, block_over;
	struct buf block;
	struct hpack hpack;
	bool hpack_ready, fields_lost;
	/* What the other side's SETTINGS allow here; 0: not heard of. */
	uint32_t frame_max, table_max;
	struct http2_message *under_way; /* oldest first */
	size_t n, room;
};

/* Zeroed is ready; release gives memory back. */
struct http2_stream {
	struct http2_way way[2];
	int client;	     /* its way plus one; 0: not known yet */
	uint32_t header_max; /* bytes of a header block; 0: 64 KiB */
	uint64_t forgotten;  /* told PARTIAL for HTTP2_STREAMS_MAX */
};

void http2_stream_feed(struct http2_stream *s, int way, uint64_t offset,
		       struct bytes data, const struct message_sink *sink);

/* Bytes up to `to` will never come. */
void http2_stream_gap(struct http2_stream *s, int way, uint64_t to,
		      const struct message_sink *sink);

/* A direction has ended: what is under way is PARTIAL. */
void http2_stream_end(struct http2_stream *s, int way,
		      const struct message_sink *sink);
void http2_stream_release(struct http2_stream *s);

/* Bytes of memory behind a direction. */
size_t http2_way_held(const struct http2_way *w);

#endif
