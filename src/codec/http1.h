/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http1.h - HTTP/1.0 and 1.1 as it goes by (RFC 9110, 9112).
 *
 * Both directions of a stream are fed in the order in which they were
 * delivered.  Keep-alive, pipelining, chunked bodies with trailers, interim
 * responses (100 Continue), HEAD, CONNECT and Upgrade are followed; bodies are
 * measured, not kept.  What stands where a message should begin and is none is
 * one message of kind ERROR; after a gap the next slice that begins like a
 * message is taken for one.
 */
#ifndef CODEC_HTTP1_H
#define CODEC_HTTP1_H

#include "base/buf.h"
#include "codec/message.h"

enum {
	HTTP_FIELDS_MAX = 128, /* kept of one head; more are counted only */
	HTTP_PENDING_MAX = 256 /* requests whose answers have not come */
};

struct http_field {
	struct bytes name, value; /* value without blanks around it */
};

/* The head of a message.  Everything is borrowed from it. */
struct http_head {
	struct bytes method, target; /* of a request */
	struct bytes authority;	     /* of an HTTP/2 request, like Host */
	uint32_t status;	     /* of a response */
	struct bytes reason;
	struct bytes version; /* "HTTP/1.1", "HTTP/2" */
	struct http_field fields[HTTP_FIELDS_MAX];
	size_t n_fields, fields_seen;
	struct http_field trailers[16];
	size_t n_trailers;
	bool chunked;
	bool until_close;     /* the body ends with the stream */
	struct bytes upgrade; /* of a 101 response */
};

/*
 * A whole head, its empty line included.  0 or ERR_MALFORMED.  Lines may end
 * in LF alone; a field may be continued (obsolete folding): the value then
 * holds the fold as it is.
 */
int http_head_parse(struct bytes in, struct http_head *head);

/* The value of a field, by its name in any case; empty when it is not there. */
struct bytes http_field(const struct http_head *head, const char *name);

/* Host, or what HTTP/2 has in its place. */
struct bytes http_host(const struct http_head *head);

/* Could a message begin like this?  True for a prefix of one, too. */
bool http1_looks_like(struct bytes start);

/* Stands here a whole first line of a message, with whatever method? */
bool http1_begins(struct bytes start);

enum http1_state {
	HTTP1_HEAD,
	HTTP1_BODY, /* `left` more bytes */
	HTTP1_CHUNK_SIZE,
	HTTP1_CHUNK_DATA, /* `left` more bytes */
	HTTP1_CHUNK_END,  /* the line end behind the data */
	HTTP1_TRAILERS,
	HTTP1_UNTIL_CLOSE,
	HTTP1_TUNNEL, /* not HTTP any more */
	HTTP1_LOST
};

struct http1_way {
	enum http1_state state;
	uint64_t next; /* offset of the next byte */
	uint64_t left;
	uint64_t ordinal;
	uint64_t start, head_end, body_bytes;
	uint64_t tunnel_at;
	struct buf bytes; /* the head, then a chunk line or trailers */
	size_t head_len;
	bool broken_by_gap;
	bool in_message; /* a head was read, its end has not come */
};

struct http1_stream {
	struct http1_way way[2];
	uint32_t header_max; /* bytes of a head; 0: 64 KiB */
	/* Of requests without a response, oldest first: 'H', 'C' or '.'. */
	char pending[HTTP_PENDING_MAX];
	size_t n_pending;
	bool upgraded;
};

/*
 * The next bytes of a direction.  Returns how many were HTTP: the rest, from
 * way[].tunnel_at on, belongs to what the stream was upgraded to.
 */
size_t http1_stream_feed(struct http1_stream *s, int way, uint64_t offset,
			 struct bytes data, const struct message_sink *sink);

/*
 * Bytes up to `to` will never come.  A body goes on behind a gap that lies
 * inside it; whatever else was under way is broken off.
 */
void http1_stream_gap(struct http1_stream *s, int way, uint64_t to,
		      const struct message_sink *sink);

/* A direction has ended: what is under way is PARTIAL, or whole by that. */
void http1_stream_end(struct http1_stream *s, int way,
		      const struct message_sink *sink);

void http1_stream_release(struct http1_stream *s);

#endif
