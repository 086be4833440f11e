/* SPDX-License-Identifier: Apache-2.0 */
/*
 * small.c - what is on every wire besides: names, pings, neighbours, scans.
 */
#include "sample.h"

#include <string.h>

/* -- names -------------------------------------------------------------- */

enum { DNS_A = 1, DNS_TXT = 16, DNS_AAAA = 28 };

static void put_labels(struct buf *b, const char *name)
{
	while (*name) {
		size_t len = strcspn(name, ".");

		put_u8(b, (uint8_t)len);
		put_bytes(b, bytes_of(name, len));
		name += len + (name[len] == '.');
	}
	put_u8(b, 0);
}

static void put_answer(struct gen *g, struct buf *b, uint16_t type)
{
	struct host host = { (uint8_t)between(g, 1, 8), 2 };

	put_be16(b, 0xc00c); /* the name that was asked for */
	put_be16(b, type);
	put_be16(b, 1);
	put_be32(b, 60);
	switch (type) {
	case DNS_A:
		put_be16(b, 4);
		put_ipv4_address(b, host);
		break;
	case DNS_AAAA:
		put_be16(b, 16);
		put_ipv6_address(b, host);
		break;
	default:
		put_be16(b, 33);
		put_u8(b, 32);
		put_word(g, b, 32);
	}
}

static void put_question(struct buf *b, const char *name, uint16_t type,
			 uint16_t id, uint16_t flags, uint16_t answers)
{
	put_be16(b, id);
	put_be16(b, flags);
	put_be16(b, 1);
	put_be16(b, answers);
	put_be32(b, 0);
	put_labels(b, name);
	put_be16(b, type);
	put_be16(b, 1);
}

void names_story(struct gen *g, uint64_t at, struct path *path)
{
	static const char *const names[] = {
		"notes.team3.example", "chat.team7.example",
		"vault.team2.example", "scoreboard.example",
		"submit.example",      "nobody.example",
	};
	static const uint16_t types[] = { DNS_A, DNS_AAAA, DNS_TXT };
	uint32_t pick = below(g, 6);
	uint16_t type = types[below(g, 3)], id = (uint16_t)draw(g);
	bool known = pick < 5;
	struct buf b = { 0 };

	path->end[0] = box;
	path->end[1] = gateway;
	path->port[1] = 53;
	path->vlan = 0;
	put_question(&b, names[pick], type, id, 0x0100, 0);
	datagram_at(g, at, path, 0, buf_bytes(&b));
	buf_clear(&b);
	put_question(&b, names[pick], type, id, known ? 0x8180 : 0x8183, known);
	if (known)
		put_answer(g, &b, type);
	datagram_at(g, at + between(g, 150, 20000) * US, path, 1,
		    buf_bytes(&b));
	buf_release(&b);
}

/* -- pings and refusals ------------------------------------------------- */

static void icmp_at(struct gen *g, uint64_t at, const struct path *path,
		    int from, uint16_t type_code, uint32_t rest,
		    struct bytes body)
{
	struct buf b = { 0 };

	put_be16(&b, type_code);
	put_be16(&b, 0);
	put_be32(&b, rest);
	put_bytes(&b, body);
	packet_at(g, at, path, from, path->v6 ? IP_ICMP6 : IP_ICMP,
		  buf_bytes(&b), 2);
	buf_release(&b);
}

void ping_story(struct gen *g, uint64_t at, struct path *path)
{
	static const uint16_t kinds[2][2] = { { 0x0800, 0 },
					      { 0x8000, 0x8100 } };
	uint32_t id = below(g, 65536) << 16;
	uint32_t rtt_us = between(g, 200, 30000);
	struct buf body = { 0 };

	for (uint32_t i = 0; i < 56; i++)
		put_u8(&body, (uint8_t)i);
	for (uint32_t i = 1; i <= between(g, 3, 10); i++) {
		icmp_at(g, at, path, 0, kinds[path->v6][0], id | i,
			buf_bytes(&body));
		icmp_at(g, at + rtt_us * US + below(g, 90 * US), path, 1,
			kinds[path->v6][1], id | i, buf_bytes(&body));
		at += 1000 * (uint64_t)MS + below(g, MS);
	}
	buf_release(&body);
}

/* A datagram to a port where nobody listens comes back, quoted. */
void closed_story(struct gen *g, uint64_t at, struct path *path)
{
	const struct frame *f;
	struct buf quoted = { 0 }, b = { 0 };
	size_t header;

	path->port[1] = (uint16_t)between(g, 40000, 60000);
	put_noise(g, &b, between(g, 8, 60));
	datagram_at(g, at, path, 0, buf_bytes(&b));
	f = &g->frames[g->n - 1];
	header = path->vlan ? 18 : 14;
	put_bytes(&quoted,
		  bytes_of(g->bytes.p + f->offset + header, f->len - header));
	icmp_at(g, at + between(g, 20, 300) * US, path, 1,
		path->v6 ? 0x0104 : 0x0303, 0, buf_bytes(&quoted));
	buf_release(&quoted);
	buf_release(&b);
}

/* Port after port; most refuse, an open one is left at once. */
void scan_story(struct gen *g, uint64_t at, struct path *path)
{
	static const uint16_t open[] = { 1337, 3000, 8080 };
	uint32_t n = between(g, 60, 300);

	for (uint32_t i = 0; i < n; i++) {
		struct path one = *path;
		bool is_open = below(g, 40) == 0;
		struct conn c;

		one.port[0] = (uint16_t)between(g, 32768, 60999);
		one.port[1] = is_open ? open[below(g, 3)]
				      : (uint16_t)between(g, 1, 1023);
		c = conn_new(g, &one, at);
		c.trouble = 0;
		if (is_open) {
			conn_open(&c);
			conn_reset(&c, 0);
		} else {
			conn_refused(&c);
		}
		at += between(g, 300, 9000) * US;
	}
}

/* -- neighbours --------------------------------------------------------- */

static void put_arp(struct buf *b, struct host from, struct host to, bool reply)
{
	if (reply)
		put_mac(b, to);
	else
		put_bytes(b, bytes_of("\xff\xff\xff\xff\xff\xff", 6));
	put_mac(b, from);
	put_be16(b, 0x0806);
	put_be16(b, 1);
	put_be16(b, 0x0800);
	put_be16(b, 0x0604);
	put_be16(b, reply ? 2 : 1);
	put_mac(b, from);
	put_ipv4_address(b, from);
	if (reply)
		put_mac(b, to);
	else
		put_zeros(b, 6);
	put_ipv4_address(b, to);
	put_zeros(b, 18); /* the shortest frame is 60 bytes long */
}

/* The same question in IPv6, asked of the neighbour itself. */
static void solicit(struct gen *g, uint64_t at, struct host from,
		    struct host to)
{
	struct path path = { .end = { from, to }, .v6 = true };
	struct buf body = { 0 };

	put_ipv6_address(&body, to);
	put_be16(&body, 0x0101); /* my address on this wire */
	put_mac(&body, from);
	icmp_at(g, at, &path, 0, 0x8700, 0, buf_bytes(&body));
	buf_clear(&body);
	put_ipv6_address(&body, to);
	put_be16(&body, 0x0201);
	put_mac(&body, to);
	icmp_at(g, at + 90 * US, &path, 1, 0x8800, 0x60000000,
		buf_bytes(&body));
	buf_release(&body);
}

void who_has_story(struct gen *g, uint64_t at, struct path *path)
{
	struct host other = { box.team, (uint8_t)between(g, 3, 20) };
	struct host asks = below(g, 2) ? box : other;
	struct host asked = below(g, 3) ? gateway : box;
	struct buf b = { 0 };

	(void)path;
	if (asks.n == asked.n)
		asks = gateway;
	put_arp(&b, asks, asked, false);
	frame_at(g, at, buf_bytes(&b));
	buf_clear(&b);
	put_arp(&b, asked, asks, true);
	frame_at(g, at + between(g, 30, 400) * US, buf_bytes(&b));
	solicit(g, at + between(g, 1, 900) * MS, asks, asked);
	buf_release(&b);
}
