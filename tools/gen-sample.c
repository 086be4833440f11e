/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gen-sample FILE.pcap [SEED] - a minute of invented traffic, for a first run.
 *
 * Clients talk to the services of one host: web (IPv4, IPv6, keep-alive), TLS
 * by its look, a line protocol with flags in it, names, time, pings, a call,
 * and what goes wrong on real wires: refused and reset connections, segments
 * lost, doubled and out of order.  Addresses are those for documentation;
 * checksums are right; the same seed gives the same bytes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "codec/record.h"

enum {
	SECONDS = 60,
	PACKETS_MIN = 20000,
	MSS = 1448,
	MS = 1000000, /* in ns */
	US = 1000,
};
#define START_NS (UINT64_C(1767225600) * 1000000000) /* 2026-01-01 */

enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16 };
enum { IP_ICMP = 1, IP_TCP = 6, IP_UDP = 17 };

struct frame {
	uint64_t time_ns;
	size_t order; /* keeps equal times in the order they were made */
	size_t offset, len;
};

struct gen {
	struct buf bytes;
	struct frame *frames;
	size_t n, cap;
	uint64_t state;
};

struct host {
	uint8_t n; /* last byte of each of its addresses */
	bool v6;
};

static const struct host server = { 10, false };

/* -- chance ------------------------------------------------------------ */

/* splitmix64 */
static uint64_t draw(struct gen *g)
{
	uint64_t z = g->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint32_t below(struct gen *g, uint32_t n)
{
	return (uint32_t)(draw(g) % n);
}

static uint32_t between(struct gen *g, uint32_t lo, uint32_t hi)
{
	return lo + below(g, hi - lo + 1);
}

static void put_noise(struct gen *g, struct buf *b, size_t n)
{
	while (n--)
		put_u8(b, (uint8_t)draw(g));
}

static void put_word(struct gen *g, struct buf *b, size_t letters)
{
	static const char from[] = "abcdefghijklmnopqrstuvwxyz0123456789";

	while (letters--)
		put_u8(b, (uint8_t)from[below(g, sizeof(from) - 1)]);
}

/* -- frames ------------------------------------------------------------ */

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

static void put_mac(struct buf *b, const struct host *h)
{
	put_bytes(b, bytes_of("\x02\0\0\0\0", 5));
	put_u8(b, h->n);
}

static void put_ethernet(struct buf *b, const struct host *from,
			 const struct host *to, uint16_t type)
{
	put_mac(b, to);
	put_mac(b, from);
	put_be16(b, type);
}

static void put_address(struct buf *b, const struct host *h, bool v6)
{
	if (v6) {
		put_bytes(b, bytes_of("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0",
				      15));
		put_u8(b, h->n);
	} else {
		put_bytes(b, bytes_of("\xc0\0\x02", 3)); /* 192.0.2.0/24 */
		put_u8(b, h->n);
	}
}

static void put_ipv4(struct gen *g, struct buf *b, const struct host *from,
		     const struct host *to, uint8_t protocol, size_t len)
{
	size_t start = b->len;

	put_be16(b, 0x4500);
	put_be16(b, (uint16_t)(20 + len));
	put_be16(b, (uint16_t)draw(g));
	put_be16(b, 0x4000); /* do not fragment */
	put_u8(b, 64);
	put_u8(b, protocol);
	put_be16(b, 0);
	put_address(b, from, false);
	put_address(b, to, false);
	poke_be16(b, start + 10, fold(sum16(buf_from(b, start))));
}

static void put_ipv6(struct buf *b, const struct host *from,
		     const struct host *to, uint8_t protocol, size_t len)
{
	put_be32(b, 0x60000000);
	put_be16(b, (uint16_t)len);
	put_u8(b, protocol);
	put_u8(b, 64);
	put_address(b, from, true);
	put_address(b, to, true);
}

/*
 * One packet around a transport header with its payload, whose checksum field
 * lies at `at` and is zero.
 */
static void packet(struct gen *g, uint64_t time_ns, const struct host *from,
		   const struct host *to, uint8_t protocol,
		   struct bytes transport, size_t at)
{
	bool v6 = from->v6 || to->v6;
	struct buf pseudo = { 0 };
	struct frame *f;
	size_t start = g->bytes.len;
	uint16_t check;

	put_address(&pseudo, from, v6);
	put_address(&pseudo, to, v6);
	put_be16(&pseudo, protocol);
	put_be16(&pseudo, (uint16_t)transport.len);
	check = fold(sum16(transport) +
		     (protocol == IP_ICMP ? 0 : sum16(buf_bytes(&pseudo))));
	buf_release(&pseudo);

	put_ethernet(&g->bytes, from, to, v6 ? 0x86dd : 0x0800);
	if (v6)
		put_ipv6(&g->bytes, from, to, protocol, transport.len);
	else
		put_ipv4(g, &g->bytes, from, to, protocol, transport.len);
	at += g->bytes.len;
	put_bytes(&g->bytes, transport);
	poke_be16(&g->bytes, at, check);

	if (g->n == g->cap) {
		g->cap = g->cap ? 2 * g->cap : 4096;
		g->frames = mem_grow(g->frames, g->cap * sizeof(*g->frames));
	}
	f = &g->frames[g->n];
	*f = (struct frame){ time_ns, g->n, start, g->bytes.len - start };
	g->n++;
}

static void udp(struct gen *g, uint64_t time_ns, const struct host *from,
		uint16_t from_port, const struct host *to, uint16_t to_port,
		struct bytes payload)
{
	struct buf b = { 0 };

	put_be16(&b, from_port);
	put_be16(&b, to_port);
	put_be16(&b, (uint16_t)(8 + payload.len));
	put_be16(&b, 0);
	put_bytes(&b, payload);
	packet(g, time_ns, from, to, IP_UDP, buf_bytes(&b), 6);
	buf_release(&b);
}

/* -- TCP connections --------------------------------------------------- */

struct side {
	const struct host *host;
	uint16_t port;
	uint32_t seq;
};

struct conn {
	struct gen *g;
	struct side side[2]; /* client, server */
	uint64_t now_ns;
	uint32_t half_rtt_us;
	unsigned trouble; /* of 1000 segments */
};

static void segment(struct conn *c, int from, uint8_t flags, uint64_t time_ns,
		    struct bytes payload)
{
	struct side *me = &c->side[from], *peer = &c->side[!from];
	struct buf b = { 0 };

	put_be16(&b, me->port);
	put_be16(&b, peer->port);
	put_be32(&b, me->seq);
	put_be32(&b, flags & TCP_ACK ? peer->seq : 0);
	put_u8(&b, flags & TCP_SYN ? 6 << 4 : 5 << 4);
	put_u8(&b, flags);
	put_be16(&b, 64240);
	put_be32(&b, 0);
	if (flags & TCP_SYN)
		put_be32(&b, 0x020405b4); /* segments of up to 1460 bytes */
	put_bytes(&b, payload);
	packet(c->g, time_ns, me->host, peer->host, IP_TCP, buf_bytes(&b), 16);
	buf_release(&b);
	me->seq += (uint32_t)payload.len + !!(flags & (TCP_SYN | TCP_FIN));
}

static void travel(struct conn *c)
{
	c->now_ns += (uint64_t)c->half_rtt_us * US + below(c->g, 60 * US);
}

static struct bytes nothing(void)
{
	return bytes_of(NULL, 0);
}

static struct conn conn_to(struct gen *g, const struct host *client,
			   const struct host *to, uint16_t port,
			   uint64_t time_ns)
{
	return (struct conn){
		.g = g,
		.side = { { client, (uint16_t)between(g, 32768, 60999),
			    (uint32_t)draw(g) },
			  { to, port, (uint32_t)draw(g) } },
		.now_ns = time_ns,
		.half_rtt_us = between(g, 100, 18000),
		.trouble = below(g, 4) ? 0 : 40,
	};
}

static void conn_open(struct conn *c)
{
	segment(c, 0, TCP_SYN, c->now_ns, nothing());
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
	uint32_t kind = below(c->g, 3);
	uint64_t late = (uint64_t)c->half_rtt_us * 2 * US + 200 * US;

	if (trouble && kind == 0) { /* not seen by the capture */
		c->side[from].seq += (uint32_t)part.len;
		return;
	}
	if (trouble && kind == 1) { /* out of order */
		segment(c, from, flags, c->now_ns + 300 * US, part);
		return;
	}
	segment(c, from, flags, c->now_ns, part);
	if (trouble) { /* sent again */
		c->side[from].seq -= (uint32_t)part.len;
		segment(c, from, flags, c->now_ns + late, part);
	}
}

static void conn_say(struct conn *c, int from, struct bytes what)
{
	unsigned n = 0;

	while (what.len) {
		size_t len = what.len < MSS ? what.len : MSS;
		bool last = len == what.len;

		data_segment(c, from, last ? TCP_PSH | TCP_ACK : TCP_ACK,
			     bytes_of(what.p, len));
		c->now_ns += between(c->g, 8, 140) * US;
		if (last || ++n % 2 == 0)
			segment(c, !from, TCP_ACK,
				c->now_ns + c->half_rtt_us * US, nothing());
		what.p += len;
		what.len -= len;
	}
	travel(c);
}

static void conn_say_buf(struct conn *c, int from, struct buf *b)
{
	conn_say(c, from, buf_bytes(b));
	buf_clear(b);
}

static void conn_close(struct conn *c, int first)
{
	segment(c, first, TCP_FIN | TCP_ACK, c->now_ns, nothing());
	travel(c);
	segment(c, !first, TCP_FIN | TCP_ACK, c->now_ns, nothing());
	travel(c);
	segment(c, first, TCP_ACK, c->now_ns, nothing());
}

/* -- stories ------------------------------------------------------------ */

static void think(struct conn *c, uint32_t max_ms)
{
	c->now_ns += (uint64_t)between(c->g, 1, max_ms) * MS;
}

static void web_request(struct conn *c, struct buf *b, bool last)
{
	static const char *const paths[] = { "/", "/login", "/api/notes",
					     "/static/app.js", "/search?q=" };
	struct gen *g = c->g;
	size_t len = 200 + below(g, below(g, 8) ? 4000 : 60000);

	put_format(b, "GET %s", paths[below(g, 5)]);
	put_word(g, b, below(g, 12));
	put_format(b,
		   " HTTP/1.1\r\nHost: notes.example\r\nUser-Agent: sample\r\n"
		   "Connection: %s\r\n\r\n",
		   last ? "close" : "keep-alive");
	conn_say_buf(c, 0, b);
	think(c, 30);
	put_format(b,
		   "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
		   "Content-Length: %zu\r\n\r\n",
		   len);
	put_word(g, b, len);
	conn_say_buf(c, 1, b);
}

static void web_story(struct gen *g, uint64_t at, const struct host *client)
{
	struct conn c = conn_to(g, client, &server, 80, at);
	struct buf b = { 0 };
	uint32_t n = between(g, 1, 6);

	conn_open(&c);
	for (uint32_t i = 1; i <= n; i++) {
		web_request(&c, &b, i == n);
		think(&c, 900);
	}
	conn_close(&c, 1);
	buf_release(&b);
}

/* A hello that names the server, then records of noise. */
static void put_client_hello(struct gen *g, struct buf *b)
{
	static const char name[] = "vault.example";
	enum { NAME = sizeof(name) - 1, EXTENSION = NAME + 9, BODY = 41 + 2 };

	put_be16(b, 0x1603);
	put_u8(b, 1);
	put_be16(b, 4 + BODY + EXTENSION);
	put_be32(b, 1 << 24 | (BODY + EXTENSION));
	put_be16(b, 0x0303);
	put_noise(g, b, 32);
	put_u8(b, 0);
	put_be16(b, 2);
	put_be16(b, 0x1301); /* TLS_AES_128_GCM_SHA256 */
	put_be16(b, 0x0100); /* one compression method: none */
	put_be16(b, EXTENSION);
	put_be16(b, 0); /* server_name */
	put_be16(b, NAME + 5);
	put_be16(b, NAME + 3);
	put_u8(b, 0);
	put_be16(b, NAME);
	put_text(b, name);
}

static void put_tls_data(struct gen *g, struct buf *b, size_t len)
{
	put_be16(b, 0x1703);
	put_u8(b, 3);
	put_be16(b, (uint16_t)len);
	put_noise(g, b, len);
}

static void tls_story(struct gen *g, uint64_t at, const struct host *client)
{
	struct conn c = conn_to(g, client, &server, 443, at);
	struct buf b = { 0 };

	conn_open(&c);
	put_client_hello(g, &b);
	conn_say_buf(&c, 0, &b);
	for (uint32_t n = between(g, 2, 8); n; n--) {
		put_tls_data(g, &b, between(g, 300, 9000));
		conn_say_buf(&c, 1, &b);
		think(&c, 400);
		put_tls_data(g, &b, between(g, 60, 900));
		conn_say_buf(&c, 0, &b);
	}
	conn_close(&c, 0);
	buf_release(&b);
}

/* A service of a game: flags are put in, and taken out again. */
static void game_story(struct gen *g, uint64_t at, const struct host *client)
{
	struct conn c = conn_to(g, client, &server, 1337, at);
	struct buf b = { 0 };
	bool put = below(g, 2);

	conn_open(&c);
	conn_say(&c, 1, bytes_of_text("welcome to the vault\n> "));
	think(&c, 60);
	put_format(&b, put ? "put %u FLAG{" : "get %u\n", below(g, 1000));
	if (put) {
		put_word(g, &b, 24);
		put_text(&b, "}\n");
	}
	conn_say_buf(&c, 0, &b);
	think(&c, 20);
	put_text(&b, put ? "stored\n> " : "FLAG{");
	if (!put) {
		put_word(g, &b, 24);
		put_text(&b, "}\n> ");
	}
	conn_say_buf(&c, 1, &b);
	if (below(g, 5))
		conn_close(&c, 0);
	else
		segment(&c, 0, TCP_RST | TCP_ACK, c.now_ns, nothing());
	buf_release(&b);
}

/* Somebody tries ports. */
static void refused_story(struct gen *g, uint64_t at, const struct host *client)
{
	for (uint32_t n = between(g, 1, 12); n; n--) {
		uint16_t port = (uint16_t)between(g, 1, 1024);
		struct conn c = conn_to(g, client, &server, port, at);

		segment(&c, 0, TCP_SYN, c.now_ns, nothing());
		travel(&c);
		segment(&c, 1, TCP_RST | TCP_ACK, c.now_ns, nothing());
		at += between(g, 1, 40) * MS;
	}
}

static void put_question(struct buf *b, uint16_t id, bool answered)
{
	put_be16(b, id);
	put_be16(b, answered ? 0x8180 : 0x0100);
	put_be16(b, 1);
	put_be16(b, answered);
	put_be32(b, 0);
	put_bytes(b, bytes_of("\5notes\7example\0", 15));
	put_be32(b, 0x00010001); /* A, IN */
	if (!answered)
		return;
	put_be16(b, 0xc00c);
	put_be32(b, 0x00010001);
	put_be32(b, 300);
	put_be16(b, 4);
	put_address(b, &server, false);
}

static void names_story(struct gen *g, uint64_t at, const struct host *client)
{
	uint16_t id = (uint16_t)draw(g), port = (uint16_t)between(g, 32768, 60999);
	struct buf b = { 0 };

	put_question(&b, id, false);
	udp(g, at, client, port, &server, 53, buf_bytes(&b));
	buf_clear(&b);
	put_question(&b, id, true);
	udp(g, at + between(g, 300, 20000) * US, &server, 53, client, port,
	    buf_bytes(&b));
	buf_release(&b);
}

/* A call: 172 bytes each way every 20 ms. */
static void call_story(struct gen *g, uint64_t at, const struct host *client)
{
	uint16_t port = (uint16_t)between(g, 20000, 20999);
	struct buf b = { 0 };

	for (uint16_t i = 0; i < 120; i++) {
		at += 20 * MS + below(g, 400) * US;
		for (int back = 0; back < 2; back++) {
			put_be16(&b, 0x8000);
			put_be16(&b, i);
			put_be32(&b, i * 160u);
			put_be32(&b, client->n);
			put_noise(g, &b, 160);
			udp(g, at + (uint64_t)back * 7 * MS,
			    back ? &server : client, port,
			    back ? client : &server, port, buf_bytes(&b));
			buf_clear(&b);
		}
	}
	buf_release(&b);
}

static void ping_story(struct gen *g, uint64_t at, const struct host *client)
{
	uint16_t id = (uint16_t)draw(g);

	for (uint16_t i = 1; i <= 5; i++, at += 1000 * MS)
		for (int reply = 0; reply < 2; reply++) {
			struct buf b = { 0 };

			put_be16(&b, reply ? 0 : 0x0800);
			put_be16(&b, 0);
			put_be16(&b, id);
			put_be16(&b, i);
			put_zeros(&b, 56);
			packet(g, at + (uint64_t)reply * 900 * US,
			       reply ? &server : client,
			       reply ? client : &server, IP_ICMP, buf_bytes(&b),
			       2);
			buf_release(&b);
		}
}

static const struct story {
	void (*tell)(struct gen *g, uint64_t at, const struct host *client);
	unsigned weight;
	bool v4_only;
} stories[] = {
	{ web_story, 36, false },   { tls_story, 16, false },
	{ game_story, 24, false },  { names_story, 14, false },
	{ refused_story, 3, false }, { call_story, 2, false },
	{ ping_story, 5, true },
};

static void tell_one(struct gen *g)
{
	uint64_t at = START_NS + draw(g) % (UINT64_C(1000000000) * SECONDS);
	struct host client = { (uint8_t)between(g, 20, 90), below(g, 4) == 0 };
	unsigned pick = below(g, 100);
	const struct story *s = stories;

	while (pick >= s->weight)
		pick -= (s++)->weight;
	if (s->v4_only)
		client.v6 = false;
	s->tell(g, at, &client);
}

/* -- the file ----------------------------------------------------------- */

static int by_time(const void *a, const void *b)
{
	const struct frame *x = a, *y = b;

	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static void put_file(struct gen *g, struct buf *out)
{
	const struct pcap_head head = { .linktype = 1,
					.snaplen = PACKET_SNAPLEN };

	put_pcap_head(out, &head);
	qsort(g->frames, g->n, sizeof(*g->frames), by_time);
	for (size_t i = 0; i < g->n; i++) {
		const struct frame *f = &g->frames[i];
		struct packet p = {
			.data = bytes_of(g->bytes.p + f->offset, f->len),
			.time_ns = f->time_ns,
			.wire_len = (uint32_t)f->len,
		};

		put_record(out, &p);
	}
}

int main(int argc, char **argv)
{
	struct gen g = { .state = argc > 2 ? strtoull(argv[2], NULL, 0) : 1 };
	struct buf out = { 0 };
	FILE *f;
	bool ok;

	if (argc < 2) {
		fprintf(stderr, "usage: gen-sample FILE.pcap [SEED]\n");
		return 2;
	}
	while (g.n < PACKETS_MIN + PACKETS_MIN / 5)
		tell_one(&g);
	put_file(&g, &out);
	f = fopen(argv[1], "wb");
	ok = f && fwrite(out.p, 1, out.len, f) == out.len;
	if (f)
		ok = fclose(f) == 0 && ok;
	if (!ok)
		perror(argv[1]);
	buf_release(&out);
	buf_release(&g.bytes);
	free(g.frames);
	return ok ? 0 : 1;
}
