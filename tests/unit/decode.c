/* SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

#include "base/buf.h"
#include "codec/decode.h"

/* -- frames, put together from the outside in ----------------------------- */

static struct buf frame;

static void ethernet(uint16_t type)
{
	buf_clear(&frame);
	put_bytes(&frame, t_hex("020000000002 020000000001"));
	put_be16(&frame, type);
}

static void ip4(uint8_t protocol, uint16_t payload_len)
{
	put_be16(&frame, 0x4500);
	put_be16(&frame, 20 + payload_len);
	put_be32(&frame, 0x12340000);
	put_u8(&frame, 64);
	put_u8(&frame, protocol);
	put_be16(&frame, 0);
	put_bytes(&frame, t_hex("0a3c0103 0a3c0002"));
}

static void ip6(uint8_t next, uint16_t payload_len)
{
	put_be32(&frame, 0x60000000);
	put_be16(&frame, payload_len);
	put_u8(&frame, next);
	put_u8(&frame, 64);
	put_bytes(&frame, t_hex("20010db8000000000000000000000001"
				"20010db8000000000000000000000002"));
}

static void udp(uint16_t from, uint16_t to, const char *text)
{
	put_be16(&frame, from);
	put_be16(&frame, to);
	put_be16(&frame, (uint16_t)(8 + strlen(text)));
	put_be16(&frame, 0);
	put_text(&frame, text);
}

static void tcp(uint16_t from, uint16_t to, const char *text)
{
	put_be16(&frame, from);
	put_be16(&frame, to);
	put_be32(&frame, 1000);
	put_be32(&frame, 2000);
	put_be16(&frame, 0x5018);
	put_be16(&frame, 512);
	put_be32(&frame, 0);
	put_text(&frame, text);
}

static struct decoded decode(uint32_t linktype)
{
	struct decoded d;

	decode_frame(linktype, buf_bytes(&frame), (uint32_t)frame.len, &d);
	return d;
}

static void check_hello(const struct decoded *d)
{
	char text[ADDRESS_TEXT];

	CHECK_EQ(d->status, DECODE_OK);
	CHECK_EQ(d->protocol, IP_TCP);
	CHECK_STR(address_text(text, &d->src), "10.60.1.3");
	CHECK_STR(address_text(text, &d->dst), "10.60.0.2");
	CHECK_EQ(d->src_port, 40000);
	CHECK_EQ(d->dst_port, 80);
	CHECK_EQ(d->tcp.seq, 1000);
	CHECK_EQ(d->tcp.flags, TCP_ACK | TCP_PSH);
	CHECK_BYTES(d->payload, bytes_of_text("hello"));
}

static void hello(void)
{
	ip4(IP_TCP, 25);
	tcp(40000, 80, "hello");
}

/* -- link layers ---------------------------------------------------------- */

TEST(R05_the_same_flow_is_read_under_every_link_type)
{
	static const struct {
		uint32_t linktype;
		const char *head;
	} links[] = {
		{ 0, "02000000" },
		{ 0, "00000002" },
		{ 1, "020000000002 020000000001 0800" },
		{ 1, "020000000002 020000000001 8100 0064 0800" },
		{ 1, "020000000002 020000000001 88a8 0064 8100 00c8 0800" },
		{ 1, "020000000002 020000000001 8847 00064140 0800" },
		{ 1, "020000000002 020000000001 8864 1100 0001 002f 0021" },
		{ 9, "ff03 0021" },
		{ 12, "" },
		{ 101, "" },
		{ 104, "0f00 0800" },
		{ 108, "00000002" },
		{ 113, "0000 0001 0006 020000000001 0000 0800" },
		{ 228, "" },
		{ 276, "0800 0000 00000003 0001 00 06 020000000001 0000" },
	};

	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++) {
		struct decoded d;

		buf_clear(&frame);
		/* An MPLS label with the bottom bit set, and no EtherType. */
		if (strstr(links[i].head, "8847"))
			put_bytes(&frame, t_hex("020000000002 020000000001"
						"8847 00064140"));
		else
			put_bytes(&frame, t_hex(links[i].head));
		hello();
		d = decode(links[i].linktype);
		check_hello(&d);
	}
}

TEST(vlan_tags_are_kept_outermost_first)
{
	struct decoded d;

	buf_clear(&frame);
	put_bytes(&frame, t_hex("020000000002 020000000001"
				"88a8 6064 8100 00c8 0800"));
	hello();
	d = decode(1);
	CHECK_EQ(d.n_vlans, 2);
	CHECK_EQ(d.vlans[0], 100);
	CHECK_EQ(d.vlans[1], 200);
}

/* -- tunnels -------------------------------------------------------------- */

TEST(tunnels_are_peeled_off_and_named)
{
	struct decoded d;

	ethernet(0x0800);
	ip4(IP_GRE, 4 + 45);
	put_be32(&frame, 0x00000800);
	hello();
	d = decode(1);
	check_hello(&d);
	CHECK_EQ(d.tunnels, DECODE_GRE);

	ethernet(0x0800); /* with checksum, key and sequence number */
	ip4(IP_GRE, 16 + 45);
	put_bytes(&frame, t_hex("b000 0800 00000000 00000001 00000002"));
	hello();
	d = decode(1);
	check_hello(&d);

	ethernet(0x0800);
	ip4(IP_IN_IP, 45);
	hello();
	d = decode(1);
	check_hello(&d);
	CHECK_EQ(d.tunnels, DECODE_IP_IN_IP);

	ethernet(0x0800); /* VXLAN */
	ip4(IP_UDP, 8 + 8 + 14 + 45);
	put_be32(&frame, (5000u << 16) | 4789);
	put_be32(&frame, (8 + 8 + 14 + 45) << 16);
	put_bytes(&frame, t_hex("08000000 00000100"
				"020000000002 020000000001 0800"));
	hello();
	d = decode(1);
	check_hello(&d);
	CHECK_EQ(d.tunnels, DECODE_VXLAN);

	ethernet(0x0800); /* Geneve with one option of four bytes */
	ip4(IP_UDP, 8 + 12 + 14 + 45);
	put_be32(&frame, (5000u << 16) | 6081);
	put_be32(&frame, (8 + 12 + 14 + 45) << 16);
	put_bytes(&frame, t_hex("0100 6558 00000100 00000000"
				"020000000002 020000000001 0800"));
	hello();
	d = decode(1);
	check_hello(&d);
	CHECK_EQ(d.tunnels, DECODE_GENEVE);

	ethernet(0x0800); /* ERSPAN II inside GRE with a sequence number */
	ip4(IP_GRE, 8 + 8 + 14 + 45);
	put_bytes(&frame, t_hex("1000 88be 00000001 10010001 00000000"
				"020000000002 020000000001 0800"));
	hello();
	d = decode(1);
	check_hello(&d);
	CHECK_EQ(d.tunnels, DECODE_GRE | DECODE_ERSPAN);
}

TEST(tunnels_without_end_stop_at_the_depth)
{
	struct decoded d;

	ethernet(0x0800);
	for (int i = 0; i < 100; i++)
		ip4(IP_IN_IP, (uint16_t)(20 * (99 - i)));
	d = decode(1);
	CHECK_EQ(d.status, DECODE_TOO_DEEP);
	CHECK(d.depth <= DECODE_TUNNELS_MAX);
}

TEST(payload_for_vxlan_s_port_that_is_none_stays_payload)
{
	struct decoded d;

	ethernet(0x0800);
	ip4(IP_UDP, 8 + 30);
	udp(4000, 4789, "just some text that is not VXL");
	d = decode(1);
	CHECK_EQ(d.status, DECODE_OK);
	CHECK_EQ(d.payload.len, 30);
}

/* -- IP ------------------------------------------------------------------- */

TEST(ipv6_extension_headers_are_walked)
{
	struct decoded d;

	ethernet(0x86dd);
	ip6(0, 8 + 8 + 8 + 12 + 8 + 2);
	put_bytes(&frame, t_hex("2b00 010400000000")); /* hop by hop */
	put_bytes(&frame, t_hex("3c00 000000000000")); /* routing */
	put_bytes(&frame, t_hex("3300 010400000000")); /* destination */
	put_bytes(&frame, t_hex("1101 0000 00000001 00000001")); /* AH */
	udp(53, 5353, "hi");
	d = decode(1);
	CHECK_EQ(d.status, DECODE_OK);
	CHECK_EQ(d.protocol, IP_UDP);
	CHECK_EQ(d.dst_port, 5353);
	CHECK_BYTES(d.payload, bytes_of_text("hi"));
}

TEST(R06_each_kind_of_frame_has_its_status)
{
	struct decoded d;

	ethernet(0x0806);
	put_zeros(&frame, 28);
	CHECK_EQ(decode(1).status, DECODE_ARP);

	ethernet(0x88cc);
	put_zeros(&frame, 28);
	CHECK_EQ(decode(1).status, DECODE_NOT_IP);

	CHECK_EQ(decode(127).status, DECODE_ODD_LINK);

	ethernet(0x0800);
	hello();
	frame.p[14 + 6] = 0x20; /* more fragments */
	d = decode(1);
	CHECK_EQ(d.status, DECODE_FRAGMENT);
	CHECK_EQ(d.piece.id, 0x1234);
	CHECK_EQ(d.piece.offset, 0);
	CHECK(d.piece.more);
	CHECK_EQ(d.piece.data.len, 25);

	ethernet(0x0800);
	hello();
	frame.p[14] = 0x44; /* header length 16 */
	CHECK_EQ(decode(1).status, DECODE_BROKEN);
}

TEST(R06_a_header_cut_at_any_byte_is_cut_and_never_read_past)
{
	ethernet(0x0800);
	hello();
	for (size_t cut = 0; cut < 14 + 20 + 20; cut++) {
		uint8_t *copy = malloc(cut ? cut : 1); /* for the sanitizer */
		struct decoded d;

		memcpy(copy, frame.p, cut);
		decode_frame(1, bytes_of(copy, cut), (uint32_t)frame.len, &d);
		CHECK_EQ(d.status, DECODE_CUT);
		free(copy);
	}
}

TEST(padding_is_no_payload_and_snapped_bytes_are_counted)
{
	struct decoded d;

	ethernet(0x0800);
	hello();
	put_zeros(&frame, 10);
	d = decode(1);
	check_hello(&d);
	CHECK_EQ(d.missing, 0);

	ethernet(0x0800);
	hello();
	decode_frame(1, bytes_of(frame.p, frame.len - 2), (uint32_t)frame.len,
		     &d);
	CHECK_BYTES(d.payload, bytes_of_text("hel"));
	CHECK_EQ(d.missing, 2);
}

TEST(random_frames_are_decoded_without_leaving_them)
{
	static const uint32_t links[] = { 0,   1,   9,	 12,  51,  101,
					  104, 108, 113, 228, 229, 276 };

	for (int i = 0; i < 300000; i++) {
		size_t len = t_random_below(160);
		uint8_t *copy = malloc(len ? len : 1);
		struct decoded d;

		for (size_t j = 0; j < len; j++)
			copy[j] = (uint8_t)t_random();
		/* Often enough a type that leads somewhere. */
		if (len > 40 && i % 4 == 0) {
			static const uint16_t types[] = { 0x0800, 0x86dd,
							  0x8100, 0x8847 };
			uint16_t type = types[t_random_below(4)];

			copy[12] = (uint8_t)(type >> 8);
			copy[13] = (uint8_t)type;
			copy[14] = (uint8_t)(0x40 + t_random_below(64));
		}
		decode_frame(links[t_random_below(12)], bytes_of(copy, len),
			     (uint32_t)t_random_below(300), &d);
		if (d.payload.len) {
			CHECK(d.payload.p >= copy);
			CHECK(d.payload.p + d.payload.len <= copy + len);
		}
		free(copy);
	}
}

/* -- as far as asked ------------------------------------------------------ */

/* GRE in GRE, with the flow of hello() inside. */
static void nested(void)
{
	ethernet(0x0800);
	ip4(IP_GRE, 4 + 20 + 4 + 45);
	put_be32(&frame, 0x0800);
	ip4(IP_GRE, 4 + 45);
	put_be32(&frame, 0x0800);
	hello();
}

TEST(G37_tunnels_are_entered_to_the_depth_that_is_asked_for)
{
	static const size_t network[] = { 14, 38, 62 };
	struct decoded d;

	nested();
	for (unsigned depth = 0; depth <= 2; depth++) {
		decode_frame_to(1, buf_bytes(&frame), (uint32_t)frame.len,
				depth, &d);
		CHECK_EQ(d.status, DECODE_OK);
		CHECK_EQ(d.depth, depth);
		CHECK_EQ(d.protocol, depth < 2 ? IP_GRE : IP_TCP);
		CHECK(d.network.p == frame.p + network[depth]);
		CHECK_EQ(d.inner.linktype, depth ? 101 : 1);
		CHECK(d.inner.data.p ==
		      (depth ? frame.p + network[depth] : frame.p));
		CHECK_EQ(d.inner.wire_len,
			 frame.len - (depth ? network[depth] : 0));
	}
	check_hello(&d);
}

TEST(G36_erspan_inside_gre_is_one_tunnel_with_a_frame_in_it)
{
	struct decoded d;

	ethernet(0x0800);
	ip4(IP_GRE, 8 + 8 + 14 + 45);
	put_be32(&frame, 0x100088be);
	put_be32(&frame, 1);
	put_be32(&frame, 0x10010000);
	put_be32(&frame, 0);
	put_bytes(&frame, t_hex("020000000004 020000000003 0800"));
	hello();
	decode_frame_to(1, buf_bytes(&frame), (uint32_t)frame.len, 1, &d);
	check_hello(&d);
	CHECK_EQ(d.inner.linktype, 1);
	CHECK(d.inner.data.p == frame.p + 14 + 20 + 16);
	decode_frame_to(1, buf_bytes(&frame), (uint32_t)frame.len, 0, &d);
	CHECK_EQ(d.protocol, IP_GRE);
	CHECK(d.inner.data.p == frame.p);
}

TEST(what_the_link_padded_is_not_of_the_packet)
{
	struct decoded d;

	ethernet(0x0800);
	hello();
	put_zeros(&frame, 7);
	d = decode(1);
	CHECK_EQ(d.network.len, 45);
}
