/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/quic.h"

#include "codec/tls.h"
#include "messages_here.h"
#include "sealed.h"
#include "t.h"

/* RFC 9001 and RFC 9369, appendix A: one connection id, two versions. */
static const char DCID[] = "8394c8f03e515708";

static void check_keys(uint32_t version, enum quic_side side, const char *key,
		       const char *iv, const char *mask)
{
	struct quic_keys k;

	CHECK_EQ(quic_initial_keys(version, t_hex(DCID), side, &k), 0);
	CHECK_BYTES(bytes_of(k.key, sizeof(k.key)), t_hex(key));
	CHECK_BYTES(bytes_of(k.iv, sizeof(k.iv)), t_hex(iv));
	CHECK_BYTES(bytes_of(k.mask, sizeof(k.mask)), t_hex(mask));
}

TEST(R30_the_standards_keys_come_out)
{
	struct quic_keys k;

	check_keys(1, QUIC_CLIENT, "1f369613dd76d5467730efcbe3b1a22d",
		   "fa044b2f42a3fd3b46fb255c",
		   "9f50449e04a0e810283a1e9933adedd2");
	check_keys(1, QUIC_SERVER, "cf3a5331653c364c88f0f379b6067e37",
		   "0ac1493ca1905853b0bba03e",
		   "c206b8d9b9f0f37644430b490eeaa314");
	check_keys(0x6b3343cf, QUIC_CLIENT, "8b1a0bc121284290a29e0971b5cd045d",
		   "91f73e2351d8fa91660e909f",
		   "45b95e15235d6f45a6b19cbcb0294ba9");
	check_keys(0x6b3343cf, QUIC_SERVER, "82db637861d55e1d011f19ea71d5d2a7",
		   "dd13c276499c0249d3310652",
		   "edf6d05c83121201b436e16877593c3a");
	CHECK_EQ(quic_initial_keys(2, t_hex(DCID), QUIC_CLIENT, &k),
		 ERR_UNKNOWN);
}

/* RFC 9001, A.3: the server's answer, an ACK and its hello. */
static const char ANSWER[] =
	"cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a"
	"5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3"
	"dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84"
	"022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc4"
	"2158407dd074ee";

TEST(R30_the_standards_packet_is_opened)
{
	struct buf out = { 0 };
	struct message_sink sink = { &out, note_message };
	struct quic_stream s = { .client = 1 };

	CHECK(quic_looks_like(t_hex(ANSWER)));
	CHECK_EQ(quic_initial_keys(1, t_hex(DCID), QUIC_SERVER,
				   &s.keys[QUIC_SERVER]),
		 0);
	quic_stream_feed(&s, 1, 0, t_hex(ANSWER), &sink);
	CHECK_STR(text_here(&out),
		  "1 record complete [0,135) body 0+0: server hello 1301\n");
	quic_stream_release(&s);
	buf_release(&out);
}

/* -- flights of our own ---------------------------------------------------- */

static const char HELLO[] =
	"01000057 0303"
	"0000000000000000 0000000000000000 0000000000000000 0000000000000000"
	"00 0004 1301c02b 01 00 002a"
	"0000 000e 000c 00 0009 612e6578616d706c65" /* a.example */
	"0010 0005 0003 02 6833"		    /* h3 */
	"002b 0003 02 0304"
	"000d 0004 0002 0403";

struct flight {
	struct quic_stream s;
	struct quic_keys keys; /* the client's */
	struct buf out;
	char ja4[TLS_JA4], alpn[TLS_ALPN_TEXT];
	uint64_t at[2];
	uint8_t number;
	uint32_t version;
	const char *dcid;
};

static void note_hello(void *self, const struct message *m)
{
	struct flight *f = self;

	note_message(&f->out, m);
	if (m->tls) {
		memcpy(f->ja4, m->tls->ja4, sizeof(f->ja4));
		memcpy(f->alpn, m->tls->alpn[0], sizeof(f->alpn));
	}
}

static void begin(struct flight *f)
{
	*f = (struct flight){ .dcid = DCID, .version = 1 };
	CHECK_EQ(quic_initial_keys(1, t_hex(DCID), QUIC_CLIENT, &f->keys), 0);
}

static void datagram(struct flight *f, int way, struct bytes d)
{
	struct message_sink sink = { f, note_hello };

	quic_stream_feed(&f->s, way, f->at[way], d, &sink);
	f->at[way] += d.len;
}

/* A CRYPTO frame and some padding, in a datagram of its own. */
static void say(struct flight *f, size_t offset, struct bytes what)
{
	struct buf frames = { 0 }, out = { 0 };

	put_u8(&frames, 1); /* PING */
	put_u8(&frames, 6);
	put_be32(&frames, 0x80000000u + (uint32_t)offset);
	put_be16(&frames, (uint16_t)(0x4000 + what.len));
	put_bytes(&frames, what);
	put_zeros(&frames, 20);
	seal_initial(&f->keys, f->version, t_hex(f->dcid), f->number++,
		     buf_bytes(&frames), &out);
	datagram(f, 0, buf_bytes(&out));
	buf_release(&frames);
	buf_release(&out);
}

static const char *end(struct flight *f)
{
	struct message_sink sink = { f, note_hello };

	quic_stream_end(&f->s, 0, &sink);
	quic_stream_release(&f->s);
	return text_here(&f->out);
}

TEST(R30_a_hello_is_put_together_in_any_order)
{
	struct bytes hello = t_hex(HELLO);

	for (size_t cut = 1; cut < hello.len; cut++) {
		struct flight f;

		begin(&f);
		say(&f, cut, bytes_of(hello.p + cut, hello.len - cut));
		say(&f, cut, bytes_of(hello.p + cut, 1)); /* again */
		CHECK_EQ(f.out.len, 0);
		say(&f, 0, bytes_of(hello.p, cut));
		CHECK(strstr(end(&f), "client hello a.example") != NULL);
		CHECK(strncmp(f.ja4, "q13d0204h3_", 11) == 0);
		CHECK_STR(f.alpn, "h3");
		buf_release(&f.out);
	}
}

TEST(R30_after_a_retry_the_keys_are_of_the_new_id)
{
	struct bytes hello = t_hex(HELLO);
	struct flight f;

	begin(&f);
	say(&f, 0, bytes_of(hello.p, 10));
	f.dcid = "0102030405060708";
	CHECK_EQ(quic_initial_keys(1, t_hex(f.dcid), QUIC_CLIENT, &f.keys), 0);
	say(&f, 0, hello);
	CHECK(strstr(end(&f), "client hello a.example") != NULL);
	buf_release(&f.out);
}

TEST(R30_a_version_that_nobody_has_is_tried_with_those_that_are)
{
	/* 0x1a2a3a4a, sealed as draft 29 is: by an interoperability test. */
	struct bytes hello = t_hex(HELLO);
	struct flight f;

	begin(&f);
	f.version = 0x1a2a3a4a;
	CHECK_EQ(quic_initial_keys(0xff00001d, t_hex(DCID), QUIC_CLIENT,
				   &f.keys),
		 0);
	say(&f, 0, hello);
	CHECK(strstr(end(&f), "client hello a.example") != NULL);
	buf_release(&f.out);
}

TEST(a_packet_that_does_not_verify_says_nothing)
{
	struct bytes hello = t_hex(HELLO);
	struct flight f;

	begin(&f);
	f.keys.key[0] ^= 1;
	say(&f, 0, hello);
	CHECK_EQ(f.out.len, 0);
	CHECK_EQ(f.s.way[0].tried, 1);
	CHECK_STR(end(&f), "");
	buf_release(&f.out);
}

TEST(R31_a_handshake_stays_within_its_caps)
{
	struct bytes hello = t_hex(HELLO);
	struct flight f;

	/* Every other byte: more pieces than are kept. */
	begin(&f);
	for (size_t i = 0; i < QUIC_PACKETS_MAX + 10; i++)
		say(&f, 2 * i, bytes_of(hello.p, 1));
	CHECK_EQ(f.s.way[0].n_pieces, QUIC_PACKETS_MAX);
	CHECK_EQ(f.s.way[0].tried, QUIC_PACKETS_MAX);
	CHECK_STR(end(&f), "0 record partial [0,2112) body 0+0: "
			   "a hello that is cut off\n");
	buf_release(&f.out);

	begin(&f);
	say(&f, QUIC_CRYPTO_MAX - 1, bytes_of(hello.p, 1));
	say(&f, QUIC_CRYPTO_MAX, bytes_of(hello.p, 1));
	say(&f, 0x3fffffff, bytes_of(hello.p, 1));
	CHECK_EQ(f.s.way[0].n_pieces, 1);
	say(&f, 0, t_hex("01ffffff"));
	CHECK(strstr(end(&f), "a hello over the limit") != NULL);
	buf_release(&f.out);
}
