/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flood.c - traffic that wants to be too much, as a capture on standard output.
 *
 *	flood streams N     N connections, all open at once, each says a line
 *	flood closed N      N connections, one after the other, FIN both ways
 *	flood syn N         N SYNs from N endpoints, never answered
 *	flood big BYTES     one connection that carries so many bytes
 *	flood same N        N endpoints that differ in few bits only
 *	flood holes N       one connection with N holes in it
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, MSS = 1448 };

static uint64_t now_us = UINT64_C(1700000000000000);

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

struct end {
	uint32_t address;
	uint16_t port;
};

static void put_packet(struct end from, struct end to, uint32_t seq,
		       uint32_t ack, int flags, const void *data, size_t len)
{
	static uint8_t frame[54 + 65536];
	uint32_t head[4] = { (uint32_t)(now_us / 1000000),
			     (uint32_t)(now_us % 1000000),
			     (uint32_t)(54 + len), (uint32_t)(54 + len) };
	uint8_t *ip = frame + 14, *tcp = frame + 34;

	memset(frame, 0, 54);
	frame[0] = frame[6] = 2;
	frame[12] = 8;
	ip[0] = 0x45;
	put16(ip + 2, (uint32_t)(40 + len));
	ip[8] = 64;
	ip[9] = 6;
	put32(ip + 12, from.address);
	put32(ip + 16, to.address);
	put16(tcp, from.port);
	put16(tcp + 2, to.port);
	put32(tcp + 4, seq);
	put32(tcp + 8, ack);
	tcp[12] = 0x50;
	tcp[13] = (uint8_t)flags;
	put16(tcp + 14, 65535);
	if (len)
		memcpy(tcp + 20, data, len);
	fwrite(head, sizeof(head), 1, stdout);
	fwrite(frame, 54 + len, 1, stdout);
	now_us += 2;
}

static struct end client(uint64_t n)
{
	return (struct end){ 0x0a000000u + (uint32_t)(n >> 14),
			     (uint16_t)(1024 + (n & 16383)) };
}

static const struct end server = { 0xc0a80001u, 8000 };

static void open_one(struct end c)
{
	put_packet(c, server, 1, 0, SYN, NULL, 0);
	put_packet(server, c, 1, 2, SYN | ACK, NULL, 0);
	put_packet(c, server, 2, 2, ACK, NULL, 0);
}

static void flood_streams(uint64_t n, int closed)
{
	static const char line[] = "a line that somebody says\n";
	uint32_t len = sizeof(line) - 1;

	for (uint64_t i = 0; i < n; i++) {
		struct end c = client(i);

		open_one(c);
		put_packet(c, server, 2, 2, ACK | PSH, line, len);
		if (!closed)
			continue;
		put_packet(c, server, 2 + len, 2, ACK | FIN, NULL, 0);
		put_packet(server, c, 2, 3 + len, ACK | FIN, NULL, 0);
		put_packet(c, server, 3 + len, 3, ACK, NULL, 0);
	}
}

static void flood_syn(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		put_packet(client(i), server, (uint32_t)i, 0, SYN, NULL, 0);
}

static void flood_big(uint64_t bytes)
{
	static uint8_t data[MSS];
	struct end c = client(1);
	uint32_t seq = 2;

	open_one(c);
	for (uint64_t at = 0; at < bytes;) {
		size_t len = bytes - at < MSS ? (size_t)(bytes - at) : MSS;

		for (size_t i = 0; i < sizeof(at); i++)
			data[i] = (uint8_t)(at >> 8 * i);
		put_packet(c, server, seq, 2, ACK, data, len);
		seq += (uint32_t)len;
		at += len;
		if (at / MSS % 8 == 0)
			put_packet(server, c, 2, seq, ACK, NULL, 0);
	}
	put_packet(c, server, seq, 2, ACK | FIN, NULL, 0);
	put_packet(server, c, 2, seq + 1, ACK | FIN, NULL, 0);
}

/* Whoever hashes addresses and ports by adding them has one bucket here. */
static void flood_same(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		struct end c = { 0x0a000000u + (uint32_t)i * 65536u,
				 (uint16_t)(60000 - i / 256 % 50000) };
		struct end s = { 0xc0a80001u - (uint32_t)i * 65536u, 8000 };

		put_packet(c, s, 1, 1, ACK | PSH, "x", 1);
	}
}

static void flood_holes(uint64_t n)
{
	struct end c = client(1);
	uint32_t seq = 2;

	open_one(c);
	for (uint64_t i = 0; i < n; i++) {
		put_packet(c, server, seq, 2, ACK, "0123456789", 10);
		seq += 20;
		put_packet(server, c, 2, seq, ACK, NULL, 0);
		now_us += 600000;
	}
}

int main(int argc, char **argv)
{
	static const uint32_t head[6] = { 0xa1b2c3d4, 0x00040002, 0,
					  0,	      262144,	  1 };
	const char *what = argc == 3 ? argv[1] : "";
	uint64_t n = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;

	fwrite(head, sizeof(head), 1, stdout);
	if (strcmp(what, "streams") == 0)
		flood_streams(n, 0);
	else if (strcmp(what, "closed") == 0)
		flood_streams(n, 1);
	else if (strcmp(what, "syn") == 0)
		flood_syn(n);
	else if (strcmp(what, "big") == 0)
		flood_big(n);
	else if (strcmp(what, "same") == 0)
		flood_same(n);
	else if (strcmp(what, "holes") == 0)
		flood_holes(n);
	else
		return 2;
	return ferror(stdout) ? 1 : 0;
}
