/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns.h - DNS messages (RFC 1035), over UDP and over TCP.
 *
 * Names may be compressed; a pointer must point backwards, so that reading a
 * name ends whatever a packet says.
 */
#ifndef CODEC_DNS_H
#define CODEC_DNS_H

#include "base/buf.h"
#include "codec/message.h"

enum {
	DNS_NAME_MAX = 1024, /* as text: 255 bytes, each of them as \ddd */
	DNS_RECORDS_MAX = 64 /* kept; the counts of the header are all there */
};

struct dns_record {
	char name[DNS_NAME_MAX]; /* "example.org", "." for the root */
	uint16_t type, class;
	uint32_t ttl;	   /* not of a question */
	struct bytes data; /* borrowed from the packet */
};

struct dns_packet {
	uint16_t id;
	bool response;
	uint8_t opcode, rcode;
	uint16_t questions, answers, authorities, additionals;
	struct dns_record records[DNS_RECORDS_MAX]; /* in their order */
	size_t n_records;
};

/* 0 or ERR_MALFORMED. */
int dns_parse(struct bytes in, struct dns_packet *out);

/* Is it a message with one question and nothing behind its end? */
bool dns_looks_like(struct bytes datagram);

/* "A", "AAAA", "MX", or "TYPE65280"; a constant or written into room. */
const char *dns_type_name(uint16_t type, char room[16]);

/*
 * What carries DNS: datagrams, each of them a message, or a stream of messages
 * with a length before each.  Zeroed is ready; release gives memory back.
 * After a gap in TCP nobody can tell where a message begins: that direction is
 * not read any more.
 */
struct dns_stream {
	bool tcp;
	struct dns_way {
		uint64_t start, next; /* of what is gathered; of what comes */
		uint64_t ordinal;
		struct buf bytes; /* a message that is not whole yet */
		bool lost;	  /* framing is gone; nothing more is read */
	} way[2];
};

void dns_stream_feed(struct dns_stream *s, int way, uint64_t offset,
		     struct bytes data, const struct message_sink *sink);
/* Bytes up to `to` will never come. */
void dns_stream_gap(struct dns_stream *s, int way, uint64_t to,
		    const struct message_sink *sink);

/* A direction has ended: what is gathered is PARTIAL. */
void dns_stream_end(struct dns_stream *s, int way,
		    const struct message_sink *sink);

void dns_stream_release(struct dns_stream *s);

#endif
