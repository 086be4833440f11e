/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/dns.h"

#include "messages_here.h"
#include "t.h"

/* Query of A www.example.org. */
static const char QUERY[] =
	"1234 0100 0001 0000 0000 0000"
	"03777777 076578616d706c65 036f7267 00 0001 0001";
/* Its answer, the name by a pointer. */
static const char ANSWER[] =
	"1234 8180 0001 0001 0000 0000"
	"03777777 076578616d706c65 036f7267 00 0001 0001"
	"c00c 0001 0001 0000003c 0004 5db8d822";

TEST(R30_a_datagram_looks_like_dns_only_as_a_whole)
{
	struct bytes q = t_hex("1234 0100 0001 0000 0000 0000 0161 00"
			       "0001 0001");

	CHECK(dns_looks_like(q));
	for (size_t n = 0; n < q.len; n++)
		CHECK(!dns_looks_like(bytes_of(q.p, n)));
	CHECK(!dns_looks_like(t_hex("1234 0100 0001 0000 0000 0000 0161 00"
				    "0001 0001 00")));
	CHECK(!dns_looks_like(t_hex("1234 0140 0001 0000 0000 0000 0161 00"
				    "0001 0001")));
	CHECK(!dns_looks_like(t_hex("1234 3100 0001 0000 0000 0000 0161 00"
				    "0001 0001")));
	CHECK(!dns_looks_like(t_hex("1234 0100 0000 0000 0000 0000")));
}

TEST(R30_names_and_records_are_read)
{
	struct dns_packet p;

	CHECK_EQ(dns_parse(t_hex(ANSWER), &p), 0);
	CHECK(p.response);
	CHECK_EQ(p.id, 0x1234);
	CHECK_EQ(p.n_records, 2);
	CHECK_STR(p.records[0].name, "www.example.org");
	CHECK_STR(p.records[1].name, "www.example.org");
	CHECK_EQ(p.records[1].ttl, 60);
	CHECK_BYTES(p.records[1].data, t_hex("5db8d822"));
}

TEST(odd_names_stay_readable)
{
	struct dns_packet p;

	CHECK_EQ(dns_parse(t_hex("0000 0100 0001 0000 0000 0000 00 0002 0001"),
			   &p), 0);
	CHECK_STR(p.records[0].name, ".");
	CHECK_EQ(dns_parse(t_hex("0000 0100 0001 0000 0000 0000"
				 "04 61 2e 00 ff 00 0001 0001"), &p), 0);
	CHECK_STR(p.records[0].name, "a\\046\\000\\255");
}

TEST(R30_what_is_broken_is_malformed)
{
	static const struct {
		const char *what, *hex;
	} bad[] = {
		{ "nothing", "" },
		{ "half a header", "1234 0100 0001" },
		{ "a question that is not there",
		  "1234 0100 0001 0000 0000 0000" },
		{ "a pointer to itself",
		  "1234 0100 0001 0000 0000 0000 c00c 0001 0001" },
		{ "a pointer forwards",
		  "1234 0100 0001 0000 0000 0000 c00e 00 00 0001 0001" },
		{ "two pointers at each other",
		  "1234 0100 0002 0000 0000 0000 0161 c012 0001 0001"
		  "0162 c00c 0001 0001" },
		{ "a label of a kind that is not used",
		  "1234 0100 0001 0000 0000 0000 4161 00 0001 0001" },
		{ "data cut off",
		  "1234 8100 0000 0001 0000 0000 00 0001 0001 00000000 0004"
		  "7f00" },
	};
	struct dns_packet p;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (dns_parse(t_hex(bad[i].hex), &p) != ERR_MALFORMED)
			fail_msg("%s was taken", bad[i].what);
}

TEST(more_records_than_are_kept_are_still_walked)
{
	struct buf b = { 0 };
	struct dns_packet p;

	put_bytes(&b, t_hex("1234 8180 0000 0050 0000 0000"));
	for (int i = 0; i < 80; i++)
		put_bytes(&b, t_hex("00 0001 0001 00000000 0000"));
	CHECK_EQ(dns_parse(buf_bytes(&b), &p), 0);
	CHECK_EQ(p.n_records, DNS_RECORDS_MAX);
	b.len--;
	CHECK_EQ(dns_parse(buf_bytes(&b), &p), ERR_MALFORMED);
	buf_release(&b);
}

static void put_framed(struct buf *b, const char *hex)
{
	struct bytes m = t_hex(hex);

	put_be16(b, (uint16_t)m.len);
	put_bytes(b, m);
}

static void feed_in_pieces(struct bytes all, size_t step, struct buf *out)
{
	struct message_sink sink = { .self = out, .message = note_message };
	struct dns_stream s = { .tcp = true };

	for (size_t at = 0; at < all.len; at += step) {
		size_t n = all.len - at < step ? all.len - at : step;

		dns_stream_feed(&s, 0, at, bytes_of(all.p + at, n), &sink);
	}
	dns_stream_end(&s, 0, &sink);
	dns_stream_release(&s);
}

TEST(R30_messages_over_tcp_are_the_same_however_they_are_cut)
{
	struct buf all = { 0 };
	const char *expect =
		"0 request complete [0,35) body 2+33: "
		"query A www.example.org\n"
		"0 response complete [35,86) body 37+49: "
		"response A www.example.org\n"
		"0 request partial [86,89) body 0+0: "
		"a DNS message that is cut off\n";

	put_framed(&all, QUERY);
	put_framed(&all, ANSWER);
	put_bytes(&all, t_hex("0020 12"));
	for (size_t step = 1; step <= all.len; step++) {
		struct buf out = { 0 };

		feed_in_pieces(buf_bytes(&all), step, &out);
		CHECK_STR(text_here(&out), expect);
		buf_release(&out);
	}
	buf_release(&all);
}

TEST(R30_a_stream_that_is_no_dns_is_one_error)
{
	struct buf out = { 0 };

	feed_in_pieces(t_hex("0003 414243 0003 414243"), 1, &out);
	CHECK_STR(text_here(&out), "0 error parse_error [0,2) body 0+0: "
				   "a length shorter than any DNS message\n");
	buf_release(&out);
}

TEST(a_gap_ends_the_reading_of_a_direction_over_tcp_only)
{
	struct buf out = { 0 };
	struct message_sink sink = { .self = &out, .message = note_message };
	struct dns_stream tcp = { .tcp = true }, udp = { .tcp = false };
	struct bytes q = t_hex(QUERY);

	dns_stream_gap(&tcp, 0, 100, &sink);
	dns_stream_feed(&tcp, 0, 100, q, &sink);
	CHECK_EQ(out.len, 0);
	dns_stream_gap(&udp, 0, 100, &sink);
	dns_stream_feed(&udp, 0, 100, q, &sink);
	CHECK_STR(text_here(&out), "0 request complete [100,133) body 100+33: "
				   "query A www.example.org\n");
	dns_stream_release(&tcp);
	buf_release(&out);
}

TEST(R31_memory_is_one_message_at_most)
{
	struct buf out = { 0 };
	struct message_sink sink = { .self = &out, .message = note_message };
	struct dns_stream s = { .tcp = true };
	uint8_t bytes[1000];
	uint64_t at = 0;

	memset(bytes, 0xff, sizeof(bytes)); /* lengths of 65535, no DNS */
	for (int i = 0; i < 1000; i++, at += sizeof(bytes)) {
		dns_stream_feed(&s, 0, at, bytes_of(bytes, sizeof(bytes)),
				&sink);
		CHECK(s.way[0].bytes.cap <= 128 << 10);
	}
	dns_stream_release(&s);
	buf_release(&out);
}

TEST(types_have_names)
{
	char room[16];

	CHECK_STR(dns_type_name(28, room), "AAAA");
	CHECK_STR(dns_type_name(65280, room), "TYPE65280");
}
