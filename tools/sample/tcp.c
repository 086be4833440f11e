/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp.c - connections: handshakes, segments, acknowledgements, and trouble.
 */
#include "sample.h"

enum { MSS = 1428, HEADER_SYN = 40, HEADER = 32 };

struct conn conn_new(struct gen *g, const struct path *path, uint64_t time_ns)
{
	return (struct conn){
		.g = g,
		.path = *path,
		.seq = { (uint32_t)draw(g), (uint32_t)draw(g) },
		.clock = { (uint32_t)draw(g), (uint32_t)draw(g) },
		.now_ns = time_ns,
		.half_rtt_us = between(g, 100, 18000),
		.trouble = below(g, 4) ? 0 : 40,
	};
}

/* Milliseconds, as an end counts them. */
static uint32_t stamp(const struct conn *c, int from, uint64_t time_ns)
{
	return c->clock[from] + (uint32_t)(time_ns / MS);
}

static void put_options(const struct conn *c, struct buf *b, int from,
			uint8_t flags, uint64_t time_ns)
{
	uint64_t echoed = time_ns - (uint64_t)c->half_rtt_us * US;

	if (flags & TCP_SYN) {
		put_be16(b, 0x0204);
		put_be16(b, MSS + 12);
		put_be16(b, 0x0402); /* selective acknowledgements */
	} else {
		put_be16(b, 0x0101);
	}
	put_be16(b, 0x080a);
	put_be32(b, stamp(c, from, time_ns));
	put_be32(b, flags & TCP_ACK ? stamp(c, !from, echoed) : 0);
	if (flags & TCP_SYN)
		put_be32(b, 0x01030307); /* windows count in 128 bytes */
}

static void segment(struct conn *c, int from, uint8_t flags, uint64_t time_ns,
		    struct bytes payload)
{
	struct buf b = { 0 };

	put_be16(&b, c->path.port[from]);
	put_be16(&b, c->path.port[!from]);
	put_be32(&b, c->seq[from]);
	put_be32(&b, flags & TCP_ACK ? c->seq[!from] : 0);
	put_u8(&b, (flags & TCP_SYN ? HEADER_SYN : HEADER) / 4 << 4);
	put_u8(&b, flags);
	put_be16(&b, flags & TCP_SYN ? 64240 : 501);
	put_be32(&b, 0);
	put_options(c, &b, from, flags, time_ns);
	put_bytes(&b, payload);
	packet_at(c->g, time_ns, &c->path, from, IP_TCP, buf_bytes(&b), 16);
	buf_release(&b);
	c->seq[from] += (uint32_t)payload.len + !!(flags & (TCP_SYN | TCP_FIN));
}

static void travel(struct conn *c)
{
	c->now_ns += (uint64_t)c->half_rtt_us * US + below(c->g, 60 * US);
}

void conn_open(struct conn *c)
{
	segment(c, 0, TCP_SYN, c->now_ns, nothing());
	if (c->trouble && below(c->g, 8) == 0) { /* nobody answered at first */
		c->now_ns += 1000 * (uint64_t)MS;
		c->seq[0]--;
		segment(c, 0, TCP_SYN, c->now_ns, nothing());
	}
	travel(c);
	segment(c, 1, TCP_SYN | TCP_ACK, c->now_ns, nothing());
	travel(c);
	segment(c, 0, TCP_ACK, c->now_ns, nothing());
}

/* A segment of data as it goes on the wire: sometimes late, twice or never. */
static void data_segment(struct conn *c, int from, uint8_t flags,
			 struct bytes part)
{
	bool trouble = below(c->g, 1000) < c->trouble;
	uint32_t kind = below(c->g, 5);
	uint64_t late = (uint64_t)c->half_rtt_us * 2 * US + 200 * MS;

	if (trouble && kind == 0) { /* the capture missed it */
		c->seq[from] += (uint32_t)part.len;
		return;
	}
	if (trouble && kind < 3) { /* out of order */
		segment(c, from, flags, c->now_ns + 300 * US, part);
		return;
	}
	segment(c, from, flags, c->now_ns, part);
	if (trouble) { /* sent again */
		c->seq[from] -= (uint32_t)part.len;
		segment(c, from, flags, c->now_ns + late, part);
	}
}

void conn_say(struct conn *c, int from, struct bytes what)
{
	unsigned n = 0;

	while (what.len) {
		size_t len = what.len < MSS ? what.len : MSS;
		bool last = len == what.len;

		data_segment(c, from, last ? TCP_PSH | TCP_ACK : TCP_ACK,
			     bytes_of(what.p, len));
		c->now_ns += between(c->g, 8, 140) * US + below(c->g, US);
		if (last || ++n % 2 == 0)
			segment(c, !from, TCP_ACK,
				c->now_ns + c->half_rtt_us * US, nothing());
		what.p += len;
		what.len -= len;
	}
	travel(c);
}

void conn_say_buf(struct conn *c, int from, struct buf *b)
{
	conn_say(c, from, buf_bytes(b));
	buf_clear(b);
}

void conn_think(struct conn *c, uint32_t max_ms)
{
	c->now_ns += (uint64_t)below(c->g, max_ms) * MS + below(c->g, MS);
}

void conn_close(struct conn *c, int first)
{
	segment(c, first, TCP_FIN | TCP_ACK, c->now_ns, nothing());
	travel(c);
	segment(c, !first, TCP_FIN | TCP_ACK, c->now_ns, nothing());
	travel(c);
	segment(c, first, TCP_ACK, c->now_ns, nothing());
}

void conn_reset(struct conn *c, int from)
{
	segment(c, from, TCP_RST | TCP_ACK, c->now_ns, nothing());
}

void conn_refused(struct conn *c)
{
	segment(c, 0, TCP_SYN, c->now_ns, nothing());
	travel(c);
	c->seq[1] = 0;
	segment(c, 1, TCP_RST | TCP_ACK, c->now_ns, nothing());
}
