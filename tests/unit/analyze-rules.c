/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pure rules: kinds of content, services, stream ids.
 */
#include "t.h"

#include "codec/decode.h"
#include "engine/analyze/content.h"
#include "engine/analyze/service.h"
#include "engine/analyze/streamid.h"

/* -- content -----------------------------------------------------------------
 */

static enum content_kind kind_of(const void *p, size_t n)
{
	struct content c = { 0 };

	content_see(&c, bytes_of(p, n));
	return content_kind(&c);
}

static void fill(uint8_t *p, size_t n, size_t control, uint8_t with)
{
	memset(p, 'a', n);
	memset(p, with, control);
}

TEST(R15_one_nul_or_more_than_five_percent_control_is_binary)
{
	uint8_t p[1000];

	CHECK_EQ(kind_of("", 0), CONTENT_UNKNOWN);
	fill(p, sizeof(p), 1, 0);
	CHECK_EQ(kind_of(p, sizeof(p)), CONTENT_BINARY);
	fill(p, sizeof(p), 51, 1);
	CHECK_EQ(kind_of(p, sizeof(p)), CONTENT_BINARY);
	fill(p, sizeof(p), 51, 0x7f);
	CHECK_EQ(kind_of(p, sizeof(p)), CONTENT_BINARY);
	fill(p, sizeof(p), 50, 1);
	CHECK_EQ(kind_of(p, sizeof(p)), CONTENT_TEXT);
}

TEST(R15_line_ends_and_high_bytes_are_text)
{
	uint8_t p[1000];

	fill(p, sizeof(p), 900, '\n');
	CHECK_EQ(kind_of(p, sizeof(p)), CONTENT_TEXT);
	fill(p, sizeof(p), 1000, 0xc3);
	CHECK_EQ(kind_of(p, sizeof(p)), CONTENT_TEXT);
	CHECK_EQ(kind_of("\r\n\t ", 4), CONTENT_TEXT);
}

TEST(R15_only_the_first_4096_bytes_count)
{
	static uint8_t p[CONTENT_SAMPLE];
	struct content c = { 0 };

	memset(p, 'x', sizeof(p));
	content_see(&c, bytes_of(p, sizeof(p)));
	content_see(&c, bytes_of("\0\0\0", 3));
	CHECK_EQ(content_kind(&c), CONTENT_TEXT);
	CHECK_EQ(c.seen, CONTENT_SAMPLE);
}

TEST(R15_two_directions_of_different_kind_are_mixed)
{
	CHECK_EQ(content_of_both(CONTENT_UNKNOWN, CONTENT_TEXT), CONTENT_TEXT);
	CHECK_EQ(content_of_both(CONTENT_BINARY, CONTENT_UNKNOWN),
		 CONTENT_BINARY);
	CHECK_EQ(content_of_both(CONTENT_BINARY, CONTENT_TEXT), CONTENT_MIXED);
	CHECK_EQ(content_of_both(CONTENT_MIXED, CONTENT_TEXT), CONTENT_MIXED);
	CHECK_EQ(content_of_both(CONTENT_TEXT, CONTENT_TEXT), CONTENT_TEXT);
	CHECK_EQ(content_of_both(CONTENT_UNKNOWN, CONTENT_UNKNOWN),
		 CONTENT_UNKNOWN);
}

/* -- services
 * ------------------------------------------------------------------ */

TEST(R16_services_by_port)
{
	static const struct {
		uint8_t protocol;
		uint16_t a, b;
		const char *name;
		uint8_t side, confidence;
	} cases[] = {
		{ IP_TCP, 22, 50000, "ssh", SERVICE_SIDE_A, 95 },
		{ IP_TCP, 50000, 22, "ssh", SERVICE_SIDE_B, 95 },
		{ IP_TCP, 50000, 8081, "http", SERVICE_SIDE_B, 90 },
		{ IP_TCP, 443, 50000, "https", SERVICE_SIDE_A, 92 },
		{ IP_UDP, 443, 50000, "quic", SERVICE_SIDE_A, 80 },
		{ IP_UDP, 53, 50000, "dns", SERVICE_SIDE_A, 95 },
		{ IP_TCP, 53, 50000, "dns", SERVICE_SIDE_A, 95 },
		{ IP_UDP, 22, 50000, "unknown", SERVICE_SIDE_UNKNOWN, 0 },
		{ IP_TCP, 31337, 50000, "unknown", SERVICE_SIDE_UNKNOWN, 0 },
		{ IP_ICMP, 22, 22, "unknown", SERVICE_SIDE_UNKNOWN, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct service s = service_of_ports(cases[i].protocol,
						    cases[i].a, cases[i].b);

		CHECK_STR(s.name, cases[i].name);
		CHECK_EQ(s.side, cases[i].side);
		CHECK_EQ(s.confidence, cases[i].confidence);
	}
}

struct payload_case {
	uint8_t protocol;
	uint16_t a, b;
	int way;
	const char *text;
	size_t len; /* 0: as long as the text */
	const char *name, *source;
	enum service_side side;
};

static void check_payload(const struct payload_case *c)
{
	struct service s = service_of_ports(c->protocol, c->a, c->b);
	struct bytes in = bytes_of(c->text, c->len ? c->len : strlen(c->text));

	service_see(&s, c->protocol, c->way, in);
	CHECK_STR(s.name, c->name);
	CHECK_STR(service_source_name(s.source), c->source);
	CHECK_EQ(s.side, c->side);
}

TEST(R16_payload_knows_better_than_the_port)
{
	static const struct payload_case cases[] = {
		{ IP_TCP, 31337, 40000, 1, "GET /flag HTTP/1.1\r\n\r\n", 0,
		  "http", "payload", SERVICE_SIDE_A },
		{ IP_TCP, 31337, 40000, 0, "HTTP/1.0 200 OK\r\n", 0, "http",
		  "payload", SERVICE_SIDE_A },
		{ IP_TCP, 40000, 80, 0, "GET / HTTP/1.1\r\n", 0, "http",
		  "port_and_payload", SERVICE_SIDE_B },
		{ IP_TCP, 22, 40000, 1, "GET / HTTP/1.1\r\n", 0, "http",
		  "payload", SERVICE_SIDE_A },
		{ IP_TCP, 80, 40000, 0, "SSH-2.0-x\r\n", 0, "ssh", "payload",
		  SERVICE_SIDE_A },
		{ IP_TCP, 50000, 80, 0,
		  "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\n\r\n",
		  0, "websocket", "payload", SERVICE_SIDE_B },
		{ IP_TCP, 50000, 443, 0, "\x16\x03\x01\x00\x2a\x01\x00\x00", 8,
		  "https", "port_and_payload", SERVICE_SIDE_B },
		{ IP_TCP, 50000, 31337, 0, "\x16\x03\x01\x00\x2a\x01\x00\x00",
		  8, "tls", "payload", SERVICE_SIDE_B },
		{ IP_TCP, 50000, 31337, 0, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		  0, "http2", "payload", SERVICE_SIDE_B },
		{ IP_TCP, 50000, 31337, 0, "*1\r\n$4\r\nPING\r\n", 0, "redis",
		  "payload", SERVICE_SIDE_B },
		{ IP_UDP, 40000, 9953, 0,
		  "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01z\x00"
		  "\x00\x01\x00\x01",
		  19, "dns", "payload", SERVICE_SIDE_B },
		{ IP_UDP, 40000, 5355, 0,
		  "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01z\x00"
		  "\x00\x01\x00\x01",
		  19, "llmnr", "port", SERVICE_SIDE_B },
		{ IP_UDP, 40000, 4433, 0, "\xc3\x00\x00\x00\x01\x08", 6, "quic",
		  "payload", SERVICE_SIDE_B },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		check_payload(&cases[i]);
}

/* Each of these is taken for something else by a looser rule. */
TEST(R16_lookalikes_keep_what_their_port_says)
{
	static const struct payload_case cases[] = {
		{ IP_TCP, 110, 40000, 0, "+OK ready\r\n", 0, "pop3",
		  "port_and_payload", SERVICE_SIDE_A },
		{ IP_TCP, 143, 40000, 0, "* OK IMAP4 ready\r\n", 0, "imap",
		  "port_and_payload", SERVICE_SIDE_A },
		{ IP_TCP, 1337, 40000, 0, "+OK ready\r\n", 0, "unknown",
		  "unknown", SERVICE_SIDE_UNKNOWN },
		{ IP_TCP, 21, 40000, 0, "220 ready\r\n", 0, "ftp",
		  "port_and_payload", SERVICE_SIDE_A },
		{ IP_TCP, 25, 40000, 0, "220 ready\r\n", 0, "smtp",
		  "port_and_payload", SERVICE_SIDE_A },
		{ IP_TCP, 1337, 40000, 1, "set this\r\n", 0, "unknown",
		  "unknown", SERVICE_SIDE_UNKNOWN },
		{ IP_UDP, 27777, 40000, 1, "\xe1 move", 6, "unknown", "unknown",
		  SERVICE_SIDE_UNKNOWN },
		{ IP_UDP, 27777, 40000, 1,
		  "\x00\x01\x00\x00\x00\x01\x00\x00"
		  "\x00\x00\x00\x00",
		  12, "unknown", "unknown", SERVICE_SIDE_UNKNOWN },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		check_payload(&cases[i]);
}

struct sample {
	uint8_t protocol;
	const char *name, *hex;
	enum service_side side; /* end a said it */
};

/* Each of them said by end a, between ports that nobody knows. */
TEST(R16_protocols_are_known_by_how_they_begin)
{
	static const struct sample samples[] = {
		{ IP_TCP, "smb", "00000010 fe534d42 4000", SERVICE_SIDE_B },
		{ IP_TCP, "dcerpc", "05000b03 10000000 4800 0000 01000000",
		  SERVICE_SIDE_B },
		{ IP_TCP, "dcerpc", "05000c03 10000000 3c00 0000 01000000",
		  SERVICE_SIDE_A },
		{ IP_TCP, "rdp",
		  "03000028 23e0 0000000000 436f6f6b69653a206d737473686173683d"
		  "617d0d0a 0100080003000000",
		  SERVICE_SIDE_B },
		{ IP_TCP, "s7", "03000019 02f08032 0100", SERVICE_SIDE_B },
		{ IP_TCP, "bgp",
		  "ffffffffffffffffffffffffffffffff 0013 04", SERVICE_SIDE_B },
		{ IP_TCP, "mqtt", "100c 00044d515454 0402003c0000",
		  SERVICE_SIDE_B },
		{ IP_TCP, "mqtt", "8101", SERVICE_SIDE_UNKNOWN },
		{ IP_TCP, "amqp", "414d5150 00000901", SERVICE_SIDE_B },
		{ IP_TCP, "vnc", "524642203030332e3030380a", SERVICE_SIDE_A },
		{ IP_TCP, "mssql", "1201000c 00000000 00001500",
		  SERVICE_SIDE_B },
		{ IP_TCP, "telnet", "fffd18fffd20", SERVICE_SIDE_A },
		{ IP_TCP, "bittorrent",
		  "13426974546f7272656e742070726f746f636f6c", SERVICE_SIDE_B },
		{ IP_UDP, "bittorrent", "64313a6164323a696432303a",
		  SERVICE_SIDE_B },
		{ IP_UDP, "kerberos", "6a0530030201 05", SERVICE_SIDE_B },
		{ IP_TCP, "kerberos", "00000007 6a0530030201 05",
		  SERVICE_SIDE_B },
		{ IP_TCP, "ldap", "300c 020101 6007 0201030400 8000",
		  SERVICE_SIDE_B },
		{ IP_UDP, "nfs",
		  "01020304 00000000 00000002 000186a3 00000003 00000000",
		  SERVICE_SIDE_B },
		{ IP_TCP, "rpc",
		  "80000028 01020304 00000000 00000002 000186a0 00000002"
		  "00000003",
		  SERVICE_SIDE_B },
		{ IP_UDP, "snmp", "300a 020101 0403616263 a000",
		  SERVICE_SIDE_B },
		{ IP_UDP, "radius",
		  "01050017 00000000000000000000000000000000 010361",
		  SERVICE_SIDE_B },
		{ IP_UDP, "tftp", "0001 6100 6f6374657400", SERVICE_SIDE_B },
		{ IP_UDP, "stun",
		  "00010000 2112a442 000000000000000000000000",
		  SERVICE_SIDE_B },
		{ IP_UDP, "stun",
		  "01010000 2112a442 000000000000000000000000",
		  SERVICE_SIDE_A },
		{ IP_UDP, "dtls", "16feff 0000 000000000000 0001 01",
		  SERVICE_SIDE_B },
		{ IP_UDP, "dnp3", "0564 05c0 01000004 e921", SERVICE_SIDE_B },
	};

	for (size_t i = 0; i < sizeof(samples) / sizeof(*samples); i++) {
		const struct sample *c = &samples[i];
		struct bytes in = t_hex(c->hex);
		bool known = c->side != SERVICE_SIDE_UNKNOWN;

		for (size_t n = 0; n <= in.len; n++) {
			struct service s =
				service_of_ports(c->protocol, 40000, 40001);

			service_see(&s, c->protocol, 0, bytes_of(in.p, n));
			if (n < in.len)
				continue; /* it only must not read too far */
			if (strcmp(s.name, known ? c->name : "unknown") != 0)
				fail_msg("%s: %s", c->hex, s.name);
			CHECK_EQ(s.side, c->side);
		}
	}
}

TEST(R16_text_protocols_are_told_apart)
{
	static const struct payload_case cases[] = {
		{ IP_UDP, 40000, 40001, 0, "OPTIONS sip:x@y SIP/2.0\r\n", 0,
		  "sip", "payload", SERVICE_SIDE_B },
		{ IP_UDP, 40000, 40001, 0, "SIP/2.0 200 OK\r\n", 0, "sip",
		  "payload", SERVICE_SIDE_A },
		{ IP_TCP, 40000, 40001, 0, "OPTIONS rtsp://y RTSP/1.0\r\n", 0,
		  "rtsp", "payload", SERVICE_SIDE_B },
		{ IP_UDP, 40000, 1900, 0, "M-SEARCH * HTTP/1.1\r\n", 0, "ssdp",
		  "port_and_payload", SERVICE_SIDE_B },
		{ IP_TCP, 40000, 40001, 0, "OPTIONS / HTTP/1.1\r\n", 0, "http",
		  "payload", SERVICE_SIDE_B },
		{ IP_TCP, 40000, 40001, 0, "<stream:stream to='x'>", 0, "xmpp",
		  "payload", SERVICE_SIDE_B },
		{ IP_TCP, 40000, 40001, 0, "* OK IMAP4rev1 ready\r\n", 0,
		  "imap", "payload", SERVICE_SIDE_A },
		{ IP_TCP, 40000, 40001, 0, "get flag\r\n", 0, "memcached",
		  "payload", SERVICE_SIDE_B },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		check_payload(&cases[i]);
}

TEST(R16_any_bytes_can_be_looked_at)
{
	for (int round = 0; round < 200000; round++) {
		uint8_t in[64];
		size_t n = t_random_below(sizeof(in));
		uint8_t protocol = round & 1 ? IP_TCP : IP_UDP;
		struct service s = service_of_ports(protocol, 1, 2);

		for (size_t i = 0; i < n; i++)
			in[i] = (uint8_t)(t_random() >> 9);
		service_see(&s, protocol, round & 2 ? 1 : 0, bytes_of(in, n));
		CHECK(s.name != NULL);
	}
}

/* -- ids
 * ------------------------------------------------------------------------ */

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

TEST(R07_no_two_packets_of_a_source_give_the_same_id)
{
	enum { N = 200000 };
	static uint64_t ids[N];
	uint8_t origin[ORIGIN_SIZE];

	for (int i = 0; i < ORIGIN_SIZE; i++)
		origin[i] = (uint8_t)t_random();
	for (uint64_t i = 0; i < N; i++) {
		ids[i] = streamid_of(origin, i);
		CHECK(streamid_index(origin, ids[i]) == i);
	}
	qsort(ids, N, sizeof(*ids), by_value);
	for (int i = 1; i < N; i++)
		CHECK(ids[i] != ids[i - 1]);
}

TEST(R07_any_index_comes_back)
{
	uint8_t origin[ORIGIN_SIZE] = { 9 };

	for (int i = 0; i < 10000; i++) {
		uint64_t index = t_random();

		CHECK(streamid_index(origin, streamid_of(origin, index)) ==
		      index);
	}
}

TEST(R07_the_origin_is_the_key)
{
	uint8_t a[ORIGIN_SIZE] = { 1 }, b[ORIGIN_SIZE] = { 1 };
	int same_bits = 0;

	b[15] ^= 1;
	for (uint64_t i = 0; i < 1000; i++)
		same_bits += 64 - __builtin_popcountll(streamid_of(a, i) ^
						       streamid_of(b, i));
	/* Half of them, as with random numbers. */
	CHECK(same_bits > 31000 && same_bits < 33000);
}
