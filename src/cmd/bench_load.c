/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/bench_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "engine/capfile/capfile.h"

enum {
	ETHERNET = 1,
	TOGETHER = 64, /* flows that take turns */
	MSS = 1448,
	FIN = 1, SYN = 2, PSH = 8, ACK = 16,
	TCP = 6, UDP = 17
};

/* One packet under way: whose, and what it says. */
struct flow_at {
	uint64_t n; /* number of the flow */
	uint32_t seq[2];
	uint16_t port; /* of the server */
};

/* -- packets -------------------------------------------------------------------- */

static void add(struct bench_load *l, size_t at, uint64_t time_ns)
{
	size_t len = l->bytes.len - at;

	if (l->n == l->room) {
		l->room = l->room ? 2 * l->room : 4096;
		l->packets = mem_grow(l->packets,
				      l->room * sizeof(*l->packets));
	}
	/* Where it lies is known when all are there: see settle(). */
	l->packets[l->n++] = (struct packet){
		.data = { (const uint8_t *)NULL, len },
		.time_ns = time_ns,
		.wire_len = (uint32_t)len,
	};
}

static void settle(struct bench_load *l)
{
	const uint8_t *at = l->bytes.p;

	for (size_t i = 0; i < l->n; i++) {
		l->packets[i].data.p = at;
		at += l->packets[i].data.len;
	}
}

static void put_head(struct bench_load *l, const struct flow_at *f, int way,
		     uint8_t protocol, size_t len)
{
	uint32_t client = 0x0a000000u + (uint32_t)(f->n >> 14);
	uint32_t server = 0xc0a80001u + (uint32_t)(f->n & 7);
	uint16_t port = (uint16_t)(1024 + (f->n & 16383));
	struct buf *b = &l->bytes;

	put_zeros(b, 12);
	put_be16(b, 0x0800);
	put_be16(b, 0x4500);
	put_be16(b, (uint16_t)(20 + len));
	put_be32(b, 0x4000);
	put_u8(b, 64);
	put_u8(b, protocol);
	put_be16(b, 0);
	put_be32(b, way ? server : client);
	put_be32(b, way ? client : server);
	put_be16(b, way ? f->port : port);
	put_be16(b, way ? port : f->port);
}

/* 20 us apart, so that nothing idles out within a load. */
static uint64_t next_time(const struct bench_load *l)
{
	return UINT64_C(1700000000000000000) + l->n * 20000;
}

static void segment(struct bench_load *l, struct flow_at *f, int way, int flags,
		    struct bytes data)
{
	size_t at = l->bytes.len;

	put_head(l, f, way, TCP, 20 + data.len);
	put_be32(&l->bytes, f->seq[way]);
	put_be32(&l->bytes, f->seq[!way]);
	put_u8(&l->bytes, 0x50);
	put_u8(&l->bytes, (uint8_t)flags);
	put_be16(&l->bytes, 65535);
	put_be32(&l->bytes, 0);
	put_bytes(&l->bytes, data);
	f->seq[way] += (uint32_t)data.len + (flags & (SYN | FIN) ? 1 : 0);
	add(l, at, next_time(l));
}

static void datagram(struct bench_load *l, struct flow_at *f, int way,
		     struct bytes data)
{
	size_t at = l->bytes.len;

	put_head(l, f, way, UDP, 8 + data.len);
	put_be16(&l->bytes, (uint16_t)(8 + data.len));
	put_be16(&l->bytes, 0);
	put_bytes(&l->bytes, data);
	add(l, at, next_time(l));
}

/* -- what is said ------------------------------------------------------------------ */

static const uint8_t filler[4 * MSS];

static void put_request(struct buf *b, const struct flow_at *f, uint64_t n)
{
	buf_clear(b);
	put_format(b,
		   "GET /item/%llu/%llu HTTP/1.1\r\nHost: bench.test\r\n"
		   "User-Agent: bench\r\nAccept: */*\r\n\r\n",
		   (unsigned long long)f->n, (unsigned long long)n);
}

static void put_response(struct buf *b, size_t body)
{
	buf_clear(b);
	put_format(b,
		   "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
		   "Content-Length: %zu\r\n\r\n", body);
	put_bytes(b, bytes_of(filler, body));
}

static void shake_hands(struct bench_load *l, struct flow_at *f)
{
	struct bytes none = bytes_of(NULL, 0);

	segment(l, f, 0, SYN, none);
	segment(l, f, 1, SYN | ACK, none);
	segment(l, f, 0, ACK, none);
}

static void say_goodbye(struct bench_load *l, struct flow_at *f)
{
	struct bytes none = bytes_of(NULL, 0);

	segment(l, f, 0, FIN | ACK, none);
	segment(l, f, 1, FIN | ACK, none);
	segment(l, f, 0, ACK, none);
}

static void exchange(struct bench_load *l, struct flow_at *f, uint64_t n)
{
	struct buf b = { 0 };

	put_request(&b, f, n);
	segment(l, f, 0, ACK | PSH, buf_bytes(&b));
	put_response(&b, 400);
	segment(l, f, 1, ACK | PSH, buf_bytes(&b));
	buf_release(&b);
}

/* A response in four segments, the second one last. */
static void exchange_early(struct bench_load *l, struct flow_at *f, uint64_t n)
{
	static const int order[] = { 0, 2, 3, 1 };
	struct buf b = { 0 };
	uint32_t start = f->seq[1];
	size_t part;

	put_request(&b, f, n);
	segment(l, f, 0, ACK | PSH, buf_bytes(&b));
	put_response(&b, 2000);
	part = b.len / 4;
	for (int i = 0; i < 4; i++) {
		size_t from = (size_t)order[i] * part;
		size_t to = order[i] == 3 ? b.len : from + part;

		f->seq[1] = start + (uint32_t)from;
		segment(l, f, 1, ACK, bytes_of(b.p + from, to - from));
	}
	f->seq[1] = start + (uint32_t)b.len;
	buf_release(&b);
}

static void ask_dns(struct bench_load *l, struct flow_at *f)
{
	static const char question[] =
		"\x12\x34\x01\0\0\1\0\0\0\0\0\0\5bench\4test\0\0\1\0\1";
	static const char answer[] =
		"\x12\x34\x81\x80\0\1\0\1\0\0\0\0\5bench\4test\0\0\1\0\1"
		"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x0a\0\0\1";

	datagram(l, f, 0, bytes_of(question, sizeof(question) - 1));
	datagram(l, f, 1, bytes_of(answer, sizeof(answer) - 1));
}

static void say_line(struct bench_load *l, struct flow_at *f, const char *ask,
		     const char *answer)
{
	segment(l, f, 0, ACK | PSH, bytes_of_text(ask));
	segment(l, f, 1, ACK | PSH, bytes_of_text(answer));
}

/* -- the fixtures --------------------------------------------------------------------- */

static uint16_t mixed_port(uint64_t n)
{
	static const uint16_t ports[] = { 80, 53, 6379, 25, 31337 };

	return ports[n % 5];
}

static void mixed(struct bench_load *l, struct flow_at *f, uint64_t n)
{
	switch (f->port) {
	case 53:
		ask_dns(l, f);
		break;
	case 6379:
		say_line(l, f, "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n",
			 "$5\r\nvalue\r\n");
		break;
	case 25:
		say_line(l, f, "NOOP\r\n", "250 OK\r\n");
		break;
	case 31337:
		segment(l, f, n & 1, ACK | PSH, bytes_of(filler, 700));
		break;
	default:
		exchange(l, f, n);
	}
}

static void one_datagram(struct bench_load *l, struct flow_at *f, uint64_t n)
{
	(void)n;
	datagram(l, f, 0, bytes_of(filler, 1200));
}

static void one_segment(struct bench_load *l, struct flow_at *f, uint64_t n)
{
	segment(l, f, 1, ACK, bytes_of(filler, MSS));
	if (n % 8 == 7)
		segment(l, f, 0, ACK, bytes_of(NULL, 0));
}

/* How a load is made of flows and what they exchange. */
static const struct fixture {
	const char *name;
	void (*exchange)(struct bench_load *l, struct flow_at *f, uint64_t n);
	uint32_t merge; /* so many flows are one, with all their messages */
	uint16_t port;	/* 0: mixed */
	bool udp;
} fixtures[] = {
	{ "http-requests", exchange, 1, 80, false },
	{ "out-of-order-http", exchange_early, 1, 80, false },
	{ "http-keep-alive", exchange, 50, 80, false },
	{ "mixed-services", mixed, 1, 0, false },
	{ "udp-elephant", one_datagram, UINT32_MAX, 5000, true },
	{ "tcp-elephant", one_segment, UINT32_MAX, 9000, false },
};

const char bench_load_names[] = "http-requests, out-of-order-http, "
				"http-keep-alive, mixed-services, "
				"udp-elephant or tcp-elephant";

/* Flows from `first` on, a few at a time, each a step in turn. */
static void run_together(struct bench_load *l, const struct fixture *x,
			 uint64_t first, uint64_t n, uint64_t messages)
{
	struct flow_at flows[TOGETHER];

	for (uint64_t i = 0; i < n; i++) {
		flows[i] = (struct flow_at){
			.n = first + i,
			.seq = { (uint32_t)(first + i) * 7919u, 1 },
			.port = x->port ? x->port : mixed_port(first + i),
		};
		if (!x->udp && flows[i].port != 53)
			shake_hands(l, &flows[i]);
	}
	for (uint64_t m = 0; m < messages; m++)
		for (uint64_t i = 0; i < n; i++)
			x->exchange(l, &flows[i], m);
	for (uint64_t i = 0; i < n; i++)
		if (!x->udp && flows[i].port != 53)
			say_goodbye(l, &flows[i]);
}

int bench_load_make(struct bench_load *l, const char *name,
		    const struct bench_size *size, struct err *err)
{
	uint64_t flows, messages;
	const struct fixture *x = NULL;

	*l = (struct bench_load){ .name = name, .linktype = ETHERNET };
	for (size_t i = 0; i < sizeof(fixtures) / sizeof(*fixtures); i++)
		if (strcmp(fixtures[i].name, name) == 0)
			x = &fixtures[i];
	if (!x)
		return err_set(err, ERR_USAGE,
			       "there is no load \"%s\"; there are %s, and "
			       "capture files", name, bench_load_names);
	flows = (size->flows + x->merge - 1) / x->merge;
	messages = size->messages * size->flows / flows;
	for (uint64_t at = 0; at < flows; at += TOGETHER)
		run_together(l, x, at,
			     flows - at < TOGETHER ? flows - at : TOGETHER,
			     messages);
	settle(l);
	return 0;
}

int bench_load_file(struct bench_load *l, const char *path, struct err *err)
{
	struct capfile *f = capfile_open(path, err);
	struct capfile_packet p;
	int rc = f ? capfile_linktype(f, &l->linktype, err) : err->code;

	*l = (struct bench_load){ .name = path, .linktype = l->linktype };
	if (rc == 0)
		capfile_only(f, l->linktype);
	while (rc == 0 && (rc = capfile_next(f, &p, err)) == 0) {
		size_t at = l->bytes.len;

		put_bytes(&l->bytes, p.packet.data);
		add(l, at, p.packet.time_ns);
		l->packets[l->n - 1].wire_len = p.packet.wire_len;
	}
	capfile_close(f);
	if (rc == ERR_END) {
		*err = ERR_NONE;
		rc = 0;
	}
	settle(l);
	return rc;
}

void bench_load_release(struct bench_load *l)
{
	free(l->packets);
	buf_release(&l->bytes);
	*l = (struct bench_load){ 0 };
}
