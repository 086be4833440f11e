/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/tls.h"

#include "messages_here.h"
#include "t.h"

/*
 * Extensions with GREASE: server name, ALPN h2 and http/1.1, groups, point
 * formats, signatures, versions 1.3 and 1.2.
 */
static const char EXTENSIONS[] =
	"1a1a 0000"
	"0000 000e 000c 00 0009 782e6578616d706c65"
	"0010 000e 000c 02 6832 08 687474702f312e31"
	"000a 0008 0006 2a2a 001d 0017"
	"000b 0002 01 00"
	"000d 0006 0004 0403 0804"
	"002b 0007 06 3a3a 0304 0303";

static void put_block(struct buf *out, size_t size, struct bytes body)
{
	for (size_t i = size; i > 0; i--)
		put_u8(out, (uint8_t)(body.len >> 8 * (i - 1)));
	put_bytes(out, body);
}

/* A ClientHello message with these extensions. */
static struct bytes client_hello(struct buf *out, const char *extensions)
{
	struct buf body = { 0 };

	put_be16(&body, 0x0303);
	put_zeros(&body, 32);
	put_block(&body, 1, t_hex("aabb"));
	put_block(&body, 2, t_hex("0a0a 1301 c02b"));
	put_block(&body, 1, t_hex("00"));
	put_block(&body, 2, t_hex(extensions));
	put_u8(out, 1);
	put_block(out, 3, buf_bytes(&body));
	buf_release(&body);
	return buf_bytes(out);
}

static void put_record(struct buf *out, uint8_t type, struct bytes body)
{
	put_u8(out, type);
	put_be16(out, 0x0301);
	put_block(out, 2, body);
}

TEST(R30_a_client_hello_tells_its_name_protocols_and_fingerprints)
{
	struct buf b = { 0 };
	struct tls_facts f = { .length = 0 };

	CHECK_EQ(tls_hello_parse(client_hello(&b, EXTENSIONS), false, &f), 0);
	CHECK_STR(f.sni, "x.example");
	CHECK_EQ(f.n_alpn, 2);
	CHECK_STR(f.alpn[0], "h2");
	CHECK_STR(f.alpn[1], "http/1.1");
	CHECK_EQ(f.hello_version, 0x0304);
	CHECK_EQ(f.ciphers.n, 2);
	/* Both worked out by hand from the lists above. */
	CHECK_STR(f.ja3, "c9a5c7bf9ecc2971a48696fc62269fa7");
	CHECK_STR(f.ja4, "t13d0206h2_777cda164f4b_fb71836bce29");
	buf_release(&b);
}

TEST(a_server_hello_tells_what_was_chosen)
{
	struct tls_facts f = { .length = 0 };
	struct bytes hello = t_hex(
		"02 00002e 0303"
		"0000000000000000 0000000000000000"
		"0000000000000000 0000000000000000"
		"00 1301 00 0006 002b 0002 0304");

	CHECK_EQ(tls_hello_parse(hello, false, &f), 0);
	CHECK_EQ(f.hello, TLS_SERVER_HELLO);
	CHECK_EQ(f.ciphers.at[0], 0x1301);
	CHECK_EQ(f.hello_version, 0x0304);
	CHECK_STR(f.ja3, "cce84e7a8b742462e40afb585a3e3ccc");
}

TEST(R30_a_hello_cut_anywhere_is_malformed_or_reads_inside_its_bytes)
{
	struct buf b = { 0 };
	struct bytes whole = client_hello(&b, EXTENSIONS);

	for (size_t n = 0; n < whole.len; n++) {
		struct tls_facts f = { .length = 0 };
		uint8_t *exact = malloc(n ? n : 1);

		memcpy(exact, whole.p, n);
		CHECK_EQ(tls_hello_parse(bytes_of(exact, n), false, &f),
			 ERR_MALFORMED);
		free(exact);
	}
	buf_release(&b);
}

TEST(an_alpn_that_is_no_text_goes_into_ja4_as_hex)
{
	struct buf b = { 0 };
	struct tls_facts f = { .length = 0 };

	CHECK_EQ(tls_hello_parse(
			 client_hello(&b, "0010 0005 0003 02 ab3c"), false,
			 &f), 0);
	CHECK_BYTES(bytes_of(f.ja4, 10), bytes_of_text("t12i0201ac"));
	buf_release(&b);
}

static void feed_in_pieces(struct bytes all, size_t step, struct buf *out)
{
	struct message_sink sink = { .self = out, .message = note_message };
	struct tls_stream s = { .way[0].next = 0 };

	for (size_t at = 0; at < all.len; at += step) {
		size_t n = all.len - at < step ? all.len - at : step;

		tls_stream_feed(&s, 0, at, bytes_of(all.p + at, n), &sink);
	}
	tls_stream_end(&s, 0, &sink);
	tls_stream_release(&s);
}

/* Records of a client that says hello twice, the first time in two records. */
static void put_client(struct buf *all)
{
	struct buf b = { 0 };
	struct bytes hello = client_hello(&b, EXTENSIONS);

	put_record(all, 22, bytes_of(hello.p, 50));
	put_record(all, 22, bytes_of(hello.p + 50, hello.len - 50));
	put_record(all, 20, t_hex("01"));
	put_record(all, 22, hello);
	put_record(all, 20, t_hex("01"));
	put_record(all, 22, t_hex("0100003400112233"));
	put_record(all, 23, t_hex("aabbccdd"));
	put_bytes(all, t_hex("1703030010aa"));
	buf_release(&b);
}

TEST(R30_records_are_the_same_however_they_are_cut)
{
	struct buf all = { 0 }, whole = { 0 };

	put_client(&all);
	feed_in_pieces(buf_bytes(&all), all.len, &whole);
	CHECK_STR(
		text_here(&whole),
		"0 record complete [0,55) body 5+50: "
		"handshake, 50 bytes\n"
		"0 record complete [55,142) body 60+82: "
		"client hello x.example\n"
		"0 record complete [142,148) body 147+1: "
		"change cipher spec, 1 bytes\n"
		"0 record complete [148,285) body 153+132: "
		"client hello x.example\n"
		"0 record complete [285,291) body 290+1: "
		"change cipher spec, 1 bytes\n"
		"0 record complete [291,304) body 296+8: "
		"handshake, 8 bytes\n"
		"0 record complete [304,313) body 309+4: "
		"application data, 4 bytes\n"
		"0 record partial [313,319) body 318+1: "
		"application data, 16 bytes\n");
	for (size_t step = 1; step < all.len; step++) {
		struct buf out = { 0 };

		feed_in_pieces(buf_bytes(&all), step, &out);
		CHECK_STR(text_here(&out), text_here(&whole));
		buf_release(&out);
	}
	buf_release(&whole);
	buf_release(&all);
}

TEST(R30_what_is_no_record_is_one_error)
{
	struct buf out = { 0 };

	feed_in_pieces(t_hex("1603010001 00 47455420 2f0d0a0d0a 00000000"), 1,
		       &out);
	CHECK_STR(text_here(&out),
		  "0 record complete [0,6) body 5+1: handshake, 1 bytes\n"
		  "0 error parse_error [6,11) body 11+0: "
		  "no TLS record begins here\n");
	buf_release(&out);
}

TEST(R31_a_handshake_message_over_the_limit_is_an_error_and_memory_flat)
{
	struct buf out = { 0 }, record = { 0 };
	struct message_sink sink = { .self = &out, .message = note_message };
	struct tls_stream s = { .way[0].next = 0 };
	struct buf body = { 0 };
	uint64_t at = 0;

	put_bytes(&body, t_hex("0bffffff"));
	put_zeros(&body, 16000);
	put_record(&record, 22, buf_bytes(&body));
	for (int i = 0; i < 100; i++, at += record.len) {
		tls_stream_feed(&s, 0, at, buf_bytes(&record), &sink);
		CHECK(s.way[0].bytes.cap <= 64 << 10);
	}
	CHECK(strstr(text_here(&out), "a handshake message over the limit"));
	tls_stream_release(&s);
	buf_release(&body);
	buf_release(&record);
	buf_release(&out);
}

TEST(R31_records_past_the_cap_are_followed_but_not_told)
{
	struct buf out = { 0 }, record = { 0 };
	struct message_sink sink = { .self = &out, .message = note_message };
	struct tls_stream s = { .way[0].next = 0 };
	int lines = 0;

	put_record(&record, 23, t_hex("00"));
	for (uint64_t i = 0; i < TLS_RECORDS_MAX + 50; i++)
		tls_stream_feed(&s, 0, i * record.len, buf_bytes(&record),
				&sink);
	for (const char *p = text_here(&out); *p; p++)
		lines += *p == '\n';
	CHECK_EQ(lines, TLS_RECORDS_MAX);
	CHECK_EQ(s.way[0].ordinal, TLS_RECORDS_MAX + 50);
	tls_stream_release(&s);
	buf_release(&record);
	buf_release(&out);
}

TEST(a_gap_inside_a_record_keeps_the_framing)
{
	struct buf out = { 0 };
	struct message_sink sink = { .self = &out, .message = note_message };
	struct tls_stream s = { .way[0].next = 0 };

	tls_stream_feed(&s, 0, 0, t_hex("1703030064 aabb"), &sink);
	tls_stream_gap(&s, 0, 100, &sink);
	tls_stream_feed(&s, 0, 100, t_hex("0000000000 1503030002 0100"),
			&sink);
	CHECK_STR(text_here(&out),
		  "0 record partial [0,105) body 5+100: "
		  "application data, 100 bytes\n"
		  "0 record complete [105,112) body 110+2: alert, 2 bytes\n");
	buf_clear(&out);
	tls_stream_gap(&s, 0, 200, &sink);
	tls_stream_feed(&s, 0, 200, t_hex("1503030002 0100"), &sink);
	CHECK_EQ(out.len, 0);
	tls_stream_release(&s);
	buf_release(&out);
}

TEST(a_prefix_of_a_hello_looks_like_one)
{
	struct bytes start = t_hex("160301 0200 01");

	for (size_t n = 1; n <= start.len; n++)
		CHECK(tls_looks_like(bytes_of(start.p, n)));
	CHECK(!tls_looks_like(bytes_of_text("GET / ")));
	CHECK(!tls_looks_like(t_hex("160301 ffff 01")));
	CHECK(!tls_looks_like(bytes_of(NULL, 0)));
}
