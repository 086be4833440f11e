/* SPDX-License-Identifier: Apache-2.0 */
/*
 * websocket.h - WebSocket frames and messages (RFC 6455, RFC 7692).
 *
 * Fed both directions from the byte behind the 101 response on.  A message is
 * told when its last frame has come; control frames, which may stand between
 * its frames, are told on their own.  Payload is unmasked and, when both ends
 * agreed on permessage-deflate, inflated, up to a cap: behind it a message is
 * measured and no longer kept.
 */
#ifndef CODEC_WEBSOCKET_H
#define CODEC_WEBSOCKET_H

#include "base/buf.h"
#include "codec/message.h"

struct z_stream_s;

enum { WEBSOCKET_PAYLOAD_MAX = 64 << 10 };

enum websocket_opcode {
	WEBSOCKET_CONTINUATION = 0,
	WEBSOCKET_TEXT = 1,
	WEBSOCKET_BINARY = 2,
	WEBSOCKET_CLOSE = 8,
	WEBSOCKET_PING = 9,
	WEBSOCKET_PONG = 10
};

/* A whole message, or a control frame. */
struct websocket_frame {
	enum websocket_opcode opcode; /* of the first frame */
	uint32_t frames;
	bool masked, compressed;
	bool inflated;	   /* payload is what the compression held */
	bool cut;	   /* there was more payload than the cap */
	uint64_t wire_bytes; /* of payload, before inflating */
	struct bytes payload; /* unmasked */
};

/* What the 101 response says of permessage-deflate. */
struct websocket_deflate {
	bool on;
	bool forget[2]; /* a direction starts each message afresh */
};

/* `extensions` is the response's Sec-WebSocket-Extensions; `server` its way. */
struct websocket_deflate websocket_deflate_of(struct bytes extensions,
					      int server);

struct websocket_way {
	uint64_t next;	  /* offset of the next byte */
	uint64_t start;	  /* of the message */
	uint64_t body_start;
	uint64_t frame_start;
	uint64_t ordinal;
	uint8_t head[14];
	size_t n_head;
	uint64_t left, done; /* of the frame's payload */
	uint8_t frame_opcode;
	struct websocket_frame message; /* data frames under way */
	uint64_t body_bytes;
	bool in_message, in_payload, broken_by_gap, lost;
	bool inflate_lost; /* a piece of the compressed past is missing */
	struct buf payload, control;
	struct z_stream_s *inflate;
};

/* Bytes of memory behind a direction. */
size_t websocket_way_held(const struct websocket_way *w);

/* Zeroed is ready; release gives memory back. */
struct websocket_stream {
	struct websocket_way way[2];
	struct websocket_deflate deflate;
	uint32_t payload_max; /* 0: WEBSOCKET_PAYLOAD_MAX */
};

void websocket_stream_feed(struct websocket_stream *s, int way,
			   uint64_t offset, struct bytes data,
			   const struct message_sink *sink);

/* Only inside a frame's payload the framing holds. */
void websocket_stream_gap(struct websocket_stream *s, int way, uint64_t to,
			  const struct message_sink *sink);
void websocket_stream_end(struct websocket_stream *s, int way,
			  const struct message_sink *sink);
void websocket_stream_release(struct websocket_stream *s);

#endif
