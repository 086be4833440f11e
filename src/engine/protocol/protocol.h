/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol.h - which protocol a stream speaks, and its messages.
 *
 * One object a stream, fed what the flow table delivers.  The first bytes of
 * either direction choose a parser, ports only where bytes cannot; HTTP hands
 * over to WebSocket or HTTP/2 after an upgrade and to whatever stands behind a
 * CONNECT; a ClientHello at the start of a later slice (STARTTLS and its kin)
 * begins TLS; a datagram on any port that begins with a QUIC Initial, QUIC.
 * When nothing is recognised within the first bytes, a slice costs one
 * comparison, and behind PROTOCOL_LOOK bytes nothing at all.
 *
 * Everything is bounded: parsers alive, the memory they hold together, the
 * messages told a call and the errors a stream.  What a bound took is counted.
 * A struct protocols and its streams belong to one thread.
 */
#ifndef ENGINE_PROTOCOL_PROTOCOL_H
#define ENGINE_PROTOCOL_PROTOCOL_H

#include "codec/message.h"

struct protocol_stream;
struct protocols;

enum {
	PROTOCOL_LOOK = 64 << 10, /* a later TLS is looked for up to here */
	PROTOCOL_DATAGRAMS = 4	  /* looked at for QUIC */
};

struct protocol_config {
	uint32_t streams_max;  /* parsers alive */
	uint64_t bytes_max;    /* that they hold together */
	uint32_t header_max;   /* bytes of an HTTP head */
	uint32_t payload_max;  /* kept of a WebSocket message; 0: 64 KiB */
	uint32_t messages_max; /* told a call */
	uint32_t errors_max;   /* told a stream; then its parser goes */
};

#define PROTOCOL_CONFIG_DEFAULT                                                \
	((struct protocol_config){ .streams_max = 131072,                      \
				   .bytes_max = UINT64_C(256) << 20,           \
				   .header_max = 64 << 10,                     \
				   .messages_max = 512,                        \
				   .errors_max = 16 })

struct protocol_counters {
	uint64_t streams, streams_peak; /* parsers alive now, and the most */
	uint64_t refused;		/* streams over streams_max */
	uint64_t bytes;			/* held now */
	uint64_t over_bytes;		/* parsers ended by bytes_max */
	uint64_t messages, errors;
	uint64_t messages_dropped; /* over messages_max */
	uint64_t gave_up;	   /* parsers ended by errors_max */
	uint64_t forgotten;	   /* messages cut short by HTTP2_STREAMS_MAX */
};

struct protocols *protocols_new(const struct protocol_config *cfg);
void protocols_free(struct protocols *p); /* after its streams */
void protocols_counters(const struct protocols *p, struct protocol_counters *c);

/*
 * For a conversation over TCP (6) or UDP (17) between these ports.  NULL when
 * there is nothing to parse in it, or no room: the calls below take NULL.
 */
struct protocol_stream *protocol_stream_new(struct protocols *p,
					    uint8_t ip_protocol,
					    const uint16_t port[2]);

/* The sink is called before these return, never later. */
void protocol_stream_feed(struct protocol_stream *s, int way, uint64_t offset,
			  struct bytes data, const struct message_sink *sink);
void protocol_stream_gap(struct protocol_stream *s, int way, uint64_t offset,
			 uint64_t len, const struct message_sink *sink);

/* Both directions have ended; the stream is gone afterwards. */
void protocol_stream_end(struct protocol_stream *s,
			 const struct message_sink *sink);

#endif
