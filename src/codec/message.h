/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message.h - a protocol unit found in a stream, and how parsers report it.
 *
 * A protocol parser is pure and incremental: it is fed the slices of its
 * directions in order, gaps included, and calls a sink with each message that
 * is whole, was broken off, or turned out to break its format.  Ranges are
 * offsets in that direction's stream, so raw bytes are never copied here.
 */
#ifndef CODEC_MESSAGE_H
#define CODEC_MESSAGE_H

#include "base/bytes.h"

struct dns_packet;
struct http_head;
struct tls_facts;
struct websocket_frame;

enum message_protocol {
	MESSAGE_HTTP1,
	MESSAGE_HTTP2,
	MESSAGE_WEBSOCKET,
	MESSAGE_DNS,
	MESSAGE_TLS,
	MESSAGE_QUIC,
	MESSAGE_PROTOCOLS
};

enum message_kind {
	MESSAGE_REQUEST,
	MESSAGE_RESPONSE,
	MESSAGE_FRAME,	/* WebSocket; of HTTP/2 one that ends streams */
	MESSAGE_RECORD, /* TLS */
	MESSAGE_ERROR	/* what stands here is not of the protocol */
};

enum message_status {
	MESSAGE_COMPLETE,
	MESSAGE_PARTIAL, /* the stream ended, or a gap lies inside */
	MESSAGE_PARSE_ERROR
};

/* [start, end) of a direction's stream; start == end: there is none. */
struct message_range {
	uint64_t start, end;
};

enum { MESSAGE_SUMMARY = 256 };

struct message {
	enum message_protocol protocol;
	enum message_kind kind;
	enum message_status status;
	int way;
	uint64_t ordinal;	  /* counts from 0 in this direction */
	struct message_range all; /* as on the wire */
	struct message_range head;
	struct message_range body;	/* with its framing, if it has one */
	uint64_t body_bytes;		/* without it */
	uint32_t stream; /* of an HTTP/2 connection; 0: there are none */
	/*
	 * Where the body stands when other messages lie between its pieces;
	 * `body` goes from the first to the last.  Borrowed.  parts_seen are
	 * all of them, n_parts those that are here.
	 */
	const struct message_range *parts;
	uint32_t n_parts, parts_seen;
	char summary[MESSAGE_SUMMARY];	/* "GET /login"; printable ASCII */
	const char *error;		/* PARSE_ERROR: a constant sentence */
	/* Of its protocol; borrowed until the call returns, or NULL. */
	const struct http_head *http;
	const struct dns_packet *dns;
	const struct tls_facts *tls;
	const struct websocket_frame *websocket;
};

struct message_sink {
	void *self;
	void (*message)(void *self, const struct message *m);
};

/* Printable ASCII of outside bytes into a summary, cut where it is full. */
void message_summary(struct message *m, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

const char *message_protocol_name(enum message_protocol p);
const char *message_status_name(enum message_status s);

#endif
