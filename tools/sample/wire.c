/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire.c - chance, addresses, checksums: from a transport header to frames.
 */
#include "sample.h"

#include <string.h>

#include "base/mem.h"

enum { MTU = 1500, IPV4_HEADER = 20, IPV6_HEADER = 40, FRAGMENT_HEADER = 8 };
enum { MORE_FRAGMENTS = 0x2000, DO_NOT_FRAGMENT = 0x4000, NEXT_FRAGMENT = 44 };

/* -- chance ------------------------------------------------------------ */

/* splitmix64 */
uint64_t draw(struct gen *g)
{
	uint64_t z = g->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint32_t below(struct gen *g, uint32_t n)
{
	return (uint32_t)(draw(g) % n);
}

uint32_t between(struct gen *g, uint32_t lo, uint32_t hi)
{
	return lo + below(g, hi - lo + 1);
}

void put_noise(struct gen *g, struct buf *b, size_t n)
{
	while (n--)
		put_u8(b, (uint8_t)draw(g));
}

void put_word(struct gen *g, struct buf *b, size_t letters)
{
	static const char from[] = "abcdefghijklmnopqrstuvwxyz0123456789";

	while (letters--)
		put_u8(b, (uint8_t)from[below(g, sizeof(from) - 1)]);
}

void put_flag(struct gen *g, struct buf *b)
{
	put_text(b, "flag{");
	put_word(g, b, 32);
	put_text(b, "}");
}

void put_name_of(struct gen *g, struct buf *b)
{
	static const char *const names[] = { "ada",    "barbara", "claude",
					     "edsger", "grace",	  "hedy",
					     "ken",    "margaret" };

	put_text(b, names[below(g, 8)]);
	put_format(b, "%u", below(g, 1000));
}

struct path path_to(struct gen *g, struct host client, struct host server,
		    uint16_t port)
{
	return (struct path){
		.end = { client, server },
		.port = { (uint16_t)between(g, 32768, 60999), port },
		.v6 = below(g, 6) == 0,
		/* Some teams come by another way, which is tagged. */
		.vlan = client.team == 5 ? 60 : 0,
	};
}

/* -- addresses ---------------------------------------------------------- */

/* Other teams are behind the gateway, and have its address on this wire. */
void put_mac(struct buf *b, struct host h)
{
	put_bytes(b, bytes_of("\x02\x00\x0a\x3c\x01", 5));
	put_u8(b, h.team == box.team ? h.n : gateway.n);
}

void put_ipv4_address(struct buf *b, struct host h)
{
	put_be16(b, 10 << 8 | 60);
	put_u8(b, h.team);
	put_u8(b, h.n);
}

void put_ipv6_address(struct buf *b, struct host h)
{
	put_be16(b, 0xfd60);
	put_zeros(b, 10);
	put_be16(b, h.team);
	put_be16(b, h.n);
}

static void put_address(struct buf *b, struct host h, bool v6)
{
	if (v6)
		put_ipv6_address(b, h);
	else
		put_ipv4_address(b, h);
}

/* -- checksums ---------------------------------------------------------- */

static uint32_t sum16(struct bytes in)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < in.len; i++)
		sum += i & 1 ? in.p[i] : (uint32_t)in.p[i] << 8;
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void poke_be16(struct buf *b, size_t at, uint16_t v)
{
	b->p[at] = (uint8_t)(v >> 8);
	b->p[at + 1] = (uint8_t)v;
}

static uint16_t transport_sum(const struct path *path, int from,
			      uint8_t protocol, struct bytes transport)
{
	struct buf pseudo = { 0 };
	uint32_t sum = sum16(transport);
	uint16_t check;

	put_address(&pseudo, path->end[from], path->v6);
	put_address(&pseudo, path->end[!from], path->v6);
	put_be16(&pseudo, protocol);
	put_be16(&pseudo, (uint16_t)transport.len);
	if (protocol != IP_ICMP)
		sum += sum16(buf_bytes(&pseudo));
	buf_release(&pseudo);
	check = fold(sum);
	/* In UDP zero would say that there is none. */
	return protocol == IP_UDP && !check ? 0xffff : check;
}

/* -- frames ------------------------------------------------------------- */

void frame_at(struct gen *g, uint64_t time_ns, struct bytes frame)
{
	if (g->n == g->cap) {
		g->cap = g->cap ? 2 * g->cap : 4096;
		g->frames = mem_grow(g->frames, g->cap * sizeof(*g->frames));
	}
	g->frames[g->n] =
		(struct frame){ time_ns, g->n, g->bytes.len, frame.len };
	g->n++;
	put_bytes(&g->bytes, frame);
}

static void put_ethernet(struct buf *b, const struct path *path, int from)
{
	put_mac(b, path->end[!from]);
	put_mac(b, path->end[from]);
	if (path->vlan) {
		put_be16(b, 0x8100);
		put_be16(b, path->vlan);
	}
	put_be16(b, path->v6 ? 0x86dd : 0x0800);
}

static void put_ipv4(struct buf *b, const struct path *path, int from,
		     uint8_t protocol, size_t len, uint16_t id,
		     uint16_t fragment)
{
	size_t start = b->len;

	put_be16(b, 0x4500);
	put_be16(b, (uint16_t)(IPV4_HEADER + len));
	put_be16(b, id);
	put_be16(b, fragment);
	/* Other teams are two hops away. */
	put_u8(b, path->end[from].team == box.team ? 64 : 62);
	put_u8(b, protocol);
	put_be16(b, 0);
	put_ipv4_address(b, path->end[from]);
	put_ipv4_address(b, path->end[!from]);
	poke_be16(b, start + 10, fold(sum16(buf_from(b, start))));
}

static void put_ipv6(struct buf *b, const struct path *path, int from,
		     uint8_t protocol, size_t len)
{
	put_be32(b, 0x60000000);
	put_be16(b, (uint16_t)len);
	put_u8(b, protocol);
	put_u8(b, protocol == IP_ICMP6		     ? 255
		  : path->end[from].team == box.team ? 64
						     : 62);
	put_ipv6_address(b, path->end[from]);
	put_ipv6_address(b, path->end[!from]);
}

/* The bytes [at, at + part) of a packet of `len`. */
static void fragment_at(struct gen *g, uint64_t time_ns,
			const struct path *path, int from, uint8_t protocol,
			struct bytes whole, size_t at, size_t part, uint32_t id)
{
	uint16_t more = at + part < whole.len;
	struct buf b = { 0 };

	put_ethernet(&b, path, from);
	if (path->v6) {
		put_ipv6(&b, path, from, NEXT_FRAGMENT, FRAGMENT_HEADER + part);
		put_u8(&b, protocol);
		put_u8(&b, 0);
		put_be16(&b, (uint16_t)(at | more));
		put_be32(&b, id);
	} else {
		put_ipv4(&b, path, from, protocol, part, (uint16_t)id,
			 (uint16_t)(at / 8 | (more ? MORE_FRAGMENTS : 0)));
	}
	put_bytes(&b, bytes_of(whole.p + at, part));
	frame_at(g, time_ns, buf_bytes(&b));
	buf_release(&b);
}

static void fragments_at(struct gen *g, uint64_t time_ns,
			 const struct path *path, int from, uint8_t protocol,
			 struct bytes whole)
{
	size_t header = path->v6 ? IPV6_HEADER + FRAGMENT_HEADER : IPV4_HEADER;
	size_t most = (MTU - header) & ~(size_t)7;
	uint32_t id = (uint32_t)draw(g);
	bool backwards = below(g, 3) == 0;

	for (size_t at = 0; at < whole.len; at += most) {
		size_t left = whole.len - at;
		uint64_t turn = backwards ? left / most : at / most;

		fragment_at(g, time_ns + turn * 13 * US, path, from, protocol,
			    whole, at, left < most ? left : most, id);
	}
}

void packet_at(struct gen *g, uint64_t time_ns, const struct path *path,
	       int from, uint8_t protocol, struct bytes transport, size_t check)
{
	size_t header = path->v6 ? IPV6_HEADER : IPV4_HEADER;
	struct buf whole = { 0 }, b = { 0 };

	put_bytes(&whole, transport);
	poke_be16(&whole, check,
		  transport_sum(path, from, protocol, transport));
	if (whole.len > MTU - header) {
		fragments_at(g, time_ns, path, from, protocol,
			     buf_bytes(&whole));
	} else {
		put_ethernet(&b, path, from);
		if (path->v6)
			put_ipv6(&b, path, from, protocol, whole.len);
		else
			put_ipv4(&b, path, from, protocol, whole.len,
				 (uint16_t)draw(g), DO_NOT_FRAGMENT);
		put_bytes(&b, buf_bytes(&whole));
		frame_at(g, time_ns, buf_bytes(&b));
	}
	buf_release(&whole);
	buf_release(&b);
}

void datagram_at(struct gen *g, uint64_t time_ns, const struct path *path,
		 int from, struct bytes payload)
{
	struct buf b = { 0 };

	put_be16(&b, path->port[from]);
	put_be16(&b, path->port[!from]);
	put_be16(&b, (uint16_t)(8 + payload.len));
	put_be16(&b, 0);
	put_bytes(&b, payload);
	packet_at(g, time_ns, path, from, IP_UDP, buf_bytes(&b), 6);
	buf_release(&b);
}
