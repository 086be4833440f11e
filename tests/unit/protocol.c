/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/protocol/protocol.h"

#include "messages_here.h"
#include "t.h"

static const uint16_t NO_PORT[2] = { 40000, 9999 };
static const uint16_t DNS_PORT[2] = { 53, 40000 };

/* A stream, the place of each direction, and what was said. */
struct talk {
	struct protocols *all;
	struct protocol_stream *s;
	uint64_t at[2];
	struct buf out;
	struct message_sink sink;
};

static void begin(struct talk *t, const struct protocol_config *cfg,
		  uint8_t over, const uint16_t port[2])
{
	*t = (struct talk){ .all = protocols_new(cfg) };
	t->sink = (struct message_sink){ &t->out, note_message };
	t->s = protocol_stream_new(t->all, over, port);
}

static void say(struct talk *t, int way, struct bytes b)
{
	protocol_stream_feed(t->s, way, t->at[way], b, &t->sink);
	t->at[way] += b.len;
}

static void say_slowly(struct talk *t, int way, struct bytes b)
{
	for (size_t i = 0; i < b.len; i++)
		say(t, way, bytes_of(b.p + i, 1));
}

static const char *end(struct talk *t)
{
	struct protocol_counters c;

	protocol_stream_end(t->s, &t->sink);
	protocols_counters(t->all, &c);
	CHECK_EQ(c.streams, 0);
	CHECK_EQ(c.bytes, 0);
	protocols_free(t->all);
	return text_here(&t->out);
}

static const struct protocol_config usual = PROTOCOL_CONFIG_DEFAULT;

static const char HELLO[] =
	"160301002f 0100002b 0303"
	"0000000000000000 0000000000000000 0000000000000000 0000000000000000"
	"00 0004 1301c02b 01 00";

static struct bytes text(const char *s)
{
	return bytes_of_text(s);
}

TEST(R29_http_is_known_by_its_bytes_on_any_port)
{
	struct talk t;

	begin(&t, &usual, 6, NO_PORT);
	say_slowly(&t, 1, text("GET /a HTTP/1.1\r\n\r\n"));
	say_slowly(&t, 0, text("HTTP/1.1 204 No\r\n\r\n"));
	CHECK_STR(end(&t),
		  "1 request complete [0,19) body 19+0: GET /a\n"
		  "0 response complete [0,19) body 19+0: 204 No\n");
	buf_release(&t.out);
}

TEST(R30_tls_is_known_by_its_bytes_on_any_port)
{
	struct talk t;

	begin(&t, &usual, 6, NO_PORT);
	say_slowly(&t, 0, t_hex(HELLO));
	say(&t, 1, t_hex("1503030002 0228"));
	CHECK_STR(end(&t), "0 record complete [0,52) body 5+47: client hello \n"
			   "1 record complete [0,7) body 5+2: alert, 2 bytes\n");
	buf_release(&t.out);
}

TEST(tls_begins_in_the_middle_of_a_plain_conversation)
{
	struct talk t;

	begin(&t, &usual, 6, NO_PORT);
	say(&t, 1, text("220 mail.example ESMTP, be welcome\r\n"));
	say(&t, 0, text("STARTTLS\r\n"));
	say(&t, 1, text("220 go ahead\r\n"));
	say(&t, 0, t_hex(HELLO));
	say(&t, 1, t_hex("1503030002 0228"));
	CHECK_STR(end(&t),
		  "0 record complete [10,62) body 15+47: client hello \n"
		  "1 record complete [50,57) body 55+2: alert, 2 bytes\n");
	buf_release(&t.out);
}

TEST(tls_begins_behind_a_connect)
{
	struct talk t;

	begin(&t, &usual, 6, NO_PORT);
	say(&t, 0, text("CONNECT h:443 HTTP/1.1\r\n\r\n"));
	say(&t, 1, text("HTTP/1.1 200 OK\r\n\r\n"));
	say(&t, 0, t_hex(HELLO));
	say(&t, 1, t_hex("1503030002 0228"));
	CHECK(strstr(end(&t),
		     "0 record complete [26,78) body 31+47: client hello \n"
		     "1 record complete [19,26) body 24+2: alert, 2 bytes\n"));
	buf_release(&t.out);
}

TEST(R30_http_hands_over_to_websocket_in_the_same_slice)
{
	struct talk t;
	struct buf b = { 0 };

	begin(&t, &usual, 6, NO_PORT);
	say(&t, 0, text("GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"));
	put_text(&b, "HTTP/1.1 101 Go\r\nUpgrade: WebSocket\r\n\r\n");
	put_bytes(&b, t_hex("8105 48656c6c6f"));
	say(&t, 1, buf_bytes(&b));
	say_slowly(&t, 0, t_hex("8185 37fa213d 7f9f4d5158"));
	CHECK(strstr(end(&t),
		     "1 frame complete [39,46) body 41+5: text, 5 bytes: Hello"
		     "\n0 frame complete [42,53) body 48+5: "
		     "text, 5 bytes: Hello\n"));
	buf_release(&b);
	buf_release(&t.out);
}

TEST(R29_http2_is_known_by_its_preface_on_any_port)
{
	struct talk t;

	begin(&t, &usual, 6, NO_PORT);
	say_slowly(&t, 1, text("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
	say_slowly(&t, 0, t_hex("000000 04 00 00000000"));
	say_slowly(&t, 1, t_hex("000003 01 05 00000001 828684"));
	say_slowly(&t, 0, t_hex("000001 01 05 00000001 88"));
	CHECK_STR(end(&t), "1 request complete [24,36) body 36+0: GET /\n"
			   "0 response complete [9,19) body 19+0: 200\n");
	buf_release(&t.out);
}

TEST(R29_http2_is_known_by_a_whole_preface)
{
	struct talk t;

	begin(&t, &usual, 6, NO_PORT);
	say(&t, 0, text("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
	say(&t, 0, t_hex("000003 01 05 00000001 828684"));
	CHECK_STR(end(&t), "0 request complete [24,36) body 36+0: GET /\n");
	buf_release(&t.out);
}

TEST(R29_http2_is_known_by_a_servers_settings)
{
	struct talk t;

	begin(&t, &usual, 6, NO_PORT);
	say_slowly(&t, 1, t_hex("000006 04 00 00000000 000300000064"));
	say_slowly(&t, 1, t_hex("000001 01 05 00000001 88"));
	CHECK_STR(end(&t), "1 response complete [15,25) body 25+0: 200\n");
	buf_release(&t.out);
}

TEST(R29_http_hands_over_to_http2_in_the_same_slice)
{
	struct talk t;
	struct buf b = { 0 };

	begin(&t, &usual, 6, NO_PORT);
	say(&t, 0, text("GET /up HTTP/1.1\r\nUpgrade: h2c\r\n\r\n"));
	put_text(&b, "HTTP/1.1 101 Go\r\nUpgrade: h2c\r\n\r\n");
	put_bytes(&b, t_hex("000000 04 00 00000000"
			    "000001 01 05 00000001 88"));
	say(&t, 1, buf_bytes(&b));
	say(&t, 0, text("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
	say(&t, 0, t_hex("000003 01 05 00000003 828684"));
	CHECK_STR(end(&t), "0 request complete [0,34) body 34+0: GET /up\n"
			   "1 response complete [0,33) body 33+0: 101 Go\n"
			   "1 response complete [42,52) body 52+0: 200\n"
			   "0 request complete [58,70) body 70+0: GET /\n");
	buf_release(&b);
	buf_release(&t.out);
}

TEST(R30_quic_is_known_by_a_datagram_on_any_port)
{
	/* RFC 9001, A.3: it needs the client's keys, so nothing is told. */
	static const char initial[] =
		"cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac"
		"406a5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec249"
		"3a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b"
		"562bfb19fb84022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d"
		"20398c276456cbc42158407dd074ee";
	struct protocol_counters before, after;
	struct talk t;

	begin(&t, &usual, 17, NO_PORT);
	for (int i = 0; i < PROTOCOL_DATAGRAMS - 1; i++)
		say(&t, 0, text("something else"));
	protocols_counters(t.all, &before);
	say(&t, 0, t_hex(initial));
	protocols_counters(t.all, &after);
	CHECK(after.bytes > before.bytes); /* it has a parser now */
	CHECK_STR(end(&t), "");
	buf_release(&t.out);

	begin(&t, &usual, 17, NO_PORT);
	for (int i = 0; i < PROTOCOL_DATAGRAMS; i++)
		say(&t, 0, text("something else"));
	protocols_counters(t.all, &before);
	say(&t, 0, t_hex(initial));
	protocols_counters(t.all, &after);
	CHECK_EQ(after.bytes, before.bytes);
	CHECK_STR(end(&t), "");
	buf_release(&t.out);
}

TEST(R29_http_begins_in_the_middle_of_something_else)
{
	struct talk t;

	/* SOCKS first, and the answers to it. */
	begin(&t, &usual, 6, NO_PORT);
	say(&t, 0, t_hex("050100"));
	say(&t, 1, t_hex("0500"));
	say(&t, 0, t_hex("050100017f0000010050"));
	say(&t, 1, t_hex("05000001000000000000"));
	say(&t, 0, text("FETCH / HTTP/1.1\r\n\r\n"));
	say(&t, 1, t_hex("0500"));
	say(&t, 1, text("HTTP/1.1 204 No\r\n\r\n"));
	CHECK_STR(end(&t), "0 request complete [13,33) body 33+0: FETCH /\n"
			   "1 response complete [14,33) body 33+0: 204 No\n");
	buf_release(&t.out);
}

TEST(R30_ssdp_and_dns_are_known_by_a_datagram)
{
	struct talk t;

	begin(&t, &usual, 17, NO_PORT);
	say(&t, 0, text("M-SEARCH * HTTP/1.1\r\nMAN: x\r\n\r\n"));
	say(&t, 1, text("HTTP/1.1 200 OK\r\nST: y\r\n\r\n"));
	say(&t, 1, text("HTTP/1.1 200 OK\r\nST: z\r\n\r\n"));
	CHECK_STR(end(&t), "0 request complete [0,31) body 31+0: M-SEARCH *\n"
			   "1 response complete [0,26) body 26+0: 200 OK\n"
			   "1 response complete [26,52) body 52+0: 200 OK\n");
	buf_release(&t.out);

	begin(&t, &usual, 17, NO_PORT);
	say(&t, 0, text("nothing"));
	say(&t, 0, t_hex("1234 0100 0001 0000 0000 0000 00 0002 0001"));
	CHECK_STR(end(&t), "0 request complete [7,24) body 7+17: query NS .\n");
	buf_release(&t.out);
}

TEST(R30_dns_by_its_port_but_not_over_http)
{
	struct talk t;
	struct bytes q = t_hex("1234 0100 0001 0000 0000 0000 00 0002 0001");

	begin(&t, &usual, 17, DNS_PORT);
	say(&t, 0, q);
	CHECK_STR(end(&t), "0 request complete [0,17) body 0+17: query NS .\n");
	buf_release(&t.out);
	begin(&t, &usual, 6, DNS_PORT);
	say_slowly(&t, 0, t_hex("0011 1234 0100 0001 0000 0000 0000"
				"00 0002 0001"));
	CHECK_STR(end(&t), "0 request complete [0,19) body 2+17: query NS .\n");
	buf_release(&t.out);
	begin(&t, &usual, 6, DNS_PORT);
	say(&t, 0, text("GET / HTTP/1.1\r\n\r\n"));
	CHECK_STR(end(&t), "0 request complete [0,18) body 18+0: GET /\n");
	buf_release(&t.out);
}

TEST(what_nobody_knows_is_soon_left_alone)
{
	struct talk t;
	struct protocol_counters c;
	uint8_t noise[1000];

	memset(noise, 0x80, sizeof(noise));
	begin(&t, &usual, 6, NO_PORT);
	for (int i = 0; i < 100; i++)
		say(&t, 0, bytes_of(noise, sizeof(noise)));
	protocols_counters(t.all, &c);
	CHECK(c.bytes < 1024);
	say(&t, 0, t_hex(HELLO)); /* too late */
	CHECK_STR(end(&t), "");
	buf_release(&t.out);
	CHECK(protocol_stream_new(NULL, 132, NO_PORT) == NULL);
}

TEST(R31_streams_over_the_cap_are_refused_and_counted)
{
	struct protocol_config cfg = usual;
	struct protocol_counters c;
	struct talk t;

	cfg.streams_max = 1;
	begin(&t, &cfg, 6, NO_PORT);
	CHECK(protocol_stream_new(t.all, 6, NO_PORT) == NULL);
	protocols_counters(t.all, &c);
	CHECK_EQ(c.refused, 1);
	CHECK_EQ(c.streams_peak, 1);
	end(&t);
	buf_release(&t.out);
	/* NULL is taken everywhere. */
	protocol_stream_feed(NULL, 0, 0, text("x"), NULL);
	protocol_stream_gap(NULL, 0, 0, 1, NULL);
	protocol_stream_end(NULL, NULL);
}

TEST(R31_messages_over_the_cap_of_a_call_are_dropped_and_counted)
{
	struct protocol_config cfg = usual;
	struct protocol_counters c;
	struct buf b = { 0 };
	struct talk t;

	cfg.messages_max = 3;
	for (int i = 0; i < 5; i++)
		put_format(&b, "GET /%d HTTP/1.1\r\n\r\n", i);
	begin(&t, &cfg, 6, NO_PORT);
	say(&t, 0, buf_bytes(&b));
	protocols_counters(t.all, &c);
	CHECK_EQ(c.messages, 3);
	CHECK_EQ(c.messages_dropped, 2);
	say(&t, 0, text("GET /last HTTP/1.1\r\n\r\n"));
	CHECK(strstr(end(&t), "GET /last\n") != NULL);
	buf_release(&b);
	buf_release(&t.out);
}

TEST(R31_memory_over_the_cap_ends_a_parser_and_is_counted)
{
	struct protocol_config cfg = usual;
	struct protocol_counters c;
	struct buf b = { 0 };
	struct talk t;

	cfg.bytes_max = 16384;
	put_text(&b, "GET / HTTP/1.1\r\nX: ");
	put_zeros(&b, 20000);
	begin(&t, &cfg, 6, NO_PORT);
	say(&t, 0, buf_bytes(&b));
	protocols_counters(t.all, &c);
	CHECK_EQ(c.over_bytes, 1);
	CHECK(c.bytes < 1024);
	end(&t);
	buf_release(&b);
	buf_release(&t.out);
}

TEST(R31_a_stream_of_errors_is_given_up)
{
	struct protocol_config cfg = usual;
	struct protocol_counters c;
	struct talk t;

	cfg.errors_max = 2;
	begin(&t, &cfg, 17, DNS_PORT);
	for (int i = 0; i < 10; i++)
		say(&t, 0, text("?"));
	protocols_counters(t.all, &c);
	CHECK_EQ(c.errors, 2);
	CHECK_EQ(c.gave_up, 1);
	end(&t);
	buf_release(&t.out);
}

TEST(a_gap_is_known_to_whoever_reads)
{
	struct talk t;

	begin(&t, &usual, 6, NO_PORT);
	protocol_stream_gap(t.s, 0, 0, 500, &t.sink);
	t.at[0] = 500;
	say(&t, 0, text("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nab"));
	protocol_stream_gap(t.s, 0, t.at[0], 4, &t.sink);
	t.at[0] += 4;
	say(&t, 0, text("cdefGET /2 HTTP/1.1\r\n\r\n"));
	CHECK_STR(end(&t),
		  "0 request partial [500,549) body 539+6: POST /\n"
		  "0 request complete [549,568) body 568+0: GET /2\n");
	buf_release(&t.out);
}
