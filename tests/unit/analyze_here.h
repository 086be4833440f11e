/* SPDX-License-Identifier: Apache-2.0 */
/*
 * analyze_here.h - packets made by hand and an analysis of them, for tests.
 */
#ifndef TESTS_UNIT_ANALYZE_HERE_H
#define TESTS_UNIT_ANALYZE_HERE_H

#include "base/buf.h"
#include "engine/analyze/analyze.h"

enum { HERE_LINK = 1, HERE_FRAME_MAX = 2048 };

/* Two hosts, 10.0.0.1 and 10.0.0.2; `from` says who sends. */
struct here_packet {
	int from;
	uint8_t protocol; /* IP_TCP or IP_UDP */
	uint16_t port[2];
	uint32_t seq, ack;
	uint8_t flags;
	struct bytes payload;
};

static inline void here_frame(struct buf *b, const struct here_packet *p)
{
	uint16_t transport = p->protocol == IP_TCP ? 20 : 8;

	buf_clear(b);
	put_zeros(b, 12);
	put_be16(b, 0x0800);
	put_u8(b, 0x45);
	put_u8(b, 0);
	put_be16(b, (uint16_t)(20 + transport + p->payload.len));
	put_be32(b, 0);
	put_u8(b, 64);
	put_u8(b, p->protocol);
	put_be16(b, 0);
	put_be32(b, 0x0a000001 + (uint32_t)p->from);
	put_be32(b, 0x0a000001 + (uint32_t)!p->from);
	put_be16(b, p->port[p->from]);
	put_be16(b, p->port[!p->from]);
	if (p->protocol == IP_TCP) {
		put_be32(b, p->seq);
		put_be32(b, p->ack);
		put_u8(b, 0x50);
		put_u8(b, p->flags);
		put_be16(b, 65535);
		put_be32(b, 0);
	} else {
		put_be16(b, (uint16_t)(8 + p->payload.len));
		put_be16(b, 0);
	}
	put_bytes(b, p->payload);
}

/* An analysis that packets are given to one by one. */
struct here {
	struct analyze *a;
	const struct stream_source *source;
	struct buf frame;
	uint64_t index, time_ns;
	uint16_t port[2];
	uint8_t protocol;
	uint32_t next[2]; /* sequence numbers */
};

static inline void here_begin(struct here *h, struct analyze *a)
{
	static const struct stream_source source = { .origin = { 1, 2, 3 },
						     .name = "here" };

	*h = (struct here){ .a = a,
			    .time_ns = UINT64_C(1700000000000000000),
			    .port = { 40000, 8080 },
			    .protocol = IP_TCP };
	h->source = analyze_source(a, &source);
}

static inline void here_put(struct here *h, int from, uint32_t seq, int flags,
			    struct bytes payload)
{
	const struct here_packet hp = { .from = from,
					.protocol = h->protocol,
					.port = { h->port[0], h->port[1] },
					.seq = seq,
					.ack = h->next[!from],
					.flags = (uint8_t)flags,
					.payload = payload };
	struct packet p;

	here_frame(&h->frame, &hp);
	h->time_ns += 1000000;
	p = (struct packet){ buf_bytes(&h->frame), h->time_ns,
			     (uint32_t)h->frame.len };
	analyze_packets(h->a, h->source, HERE_LINK, &p, 1, h->index++);
}

static inline void here_handshake(struct here *h)
{
	h->next[0] = 1000;
	h->next[1] = 0xfffffff0; /* so that it wraps soon */
	here_put(h, 0, h->next[0]++, TCP_SYN, bytes_of(NULL, 0));
	here_put(h, 1, h->next[1]++, TCP_SYN | TCP_ACK, bytes_of(NULL, 0));
	here_put(h, 0, h->next[0], TCP_ACK, bytes_of(NULL, 0));
}

static inline void here_say(struct here *h, int from, struct bytes what)
{
	here_put(h, from, h->next[from], TCP_ACK | TCP_PSH, what);
	h->next[from] += (uint32_t)what.len;
}

static inline void here_text(struct here *h, int from, const char *text)
{
	here_say(h, from, bytes_of_text(text));
}

static inline void here_fin(struct here *h, int first)
{
	here_put(h, first, h->next[first]++, TCP_FIN | TCP_ACK,
		 bytes_of(NULL, 0));
	here_put(h, !first, h->next[!first]++, TCP_FIN | TCP_ACK,
		 bytes_of(NULL, 0));
	here_put(h, first, h->next[first], TCP_ACK, bytes_of(NULL, 0));
}

static inline void here_end(struct here *h)
{
	analyze_finish(h->a);
	analyze_free(h->a);
	buf_release(&h->frame);
}

#endif
