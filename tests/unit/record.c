/* SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

#include "base/buf.h"
#include "base/cursor.h"
#include "codec/record.h"

static struct packet packet_of(const char *text, uint64_t ns)
{
	return (struct packet){ .data = bytes_of_text(text),
				.time_ns = ns,
				.wire_len = (uint32_t)strlen(text) };
}

TEST(records_read_back_as_they_were_put)
{
	struct packet in[] = { packet_of("abc", 1700000000123456789),
			       packet_of("", 1), packet_of("x", 999999999) };
	struct buf b = { 0 };
	struct run r;
	struct cursor c;
	struct packet p;

	for (int i = 0; i < 3; i++)
		put_record(&b, &in[i]);
	r.records = buf_bytes(&b);
	CHECK_EQ(run_measure(&r), 0);
	CHECK_EQ(r.count, 3);
	CHECK(r.min_ns == 1);
	CHECK(r.max_ns == 1700000000123456789);
	c = cursor_on(r.records);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(record_next(&c, &p), 0);
		CHECK_BYTES(p.data, in[i].data);
		CHECK(p.time_ns == in[i].time_ns);
	}
	CHECK_EQ(record_next(&c, &p), ERR_END);
	buf_release(&b);
}

TEST(a_run_cut_at_any_byte_is_refused)
{
	struct buf b = { 0 };
	struct packet p = packet_of("payload", 5);
	struct run r;

	put_record(&b, &p);
	for (size_t cut = 0; cut < b.len; cut++) {
		r.records = bytes_of(b.p, cut);
		CHECK_EQ(run_measure(&r), ERR_MALFORMED);
	}
	buf_release(&b);
}

TEST(a_tail_of_zeros_holds_no_packet)
{
	uint8_t zeros[64] = { 0 };
	struct cursor c = cursor_on(bytes_of(zeros, sizeof(zeros)));
	struct packet p;

	CHECK_EQ(record_next(&c, &p), ERR_MALFORMED);
}

TEST(all_four_magics_are_read)
{
	static const struct {
		const char *hex;
		bool swapped, micro;
	} heads[] = {
		{ "d4c3b2a1", false, true },
		{ "4d3cb2a1", false, false },
		{ "a1b2c3d4", true, true },
		{ "a1b23c4d", true, false },
	};
	struct pcap_head head;

	for (size_t i = 0; i < 4; i++) {
		struct buf b = { 0 };

		put_bytes(&b, t_hex(heads[i].hex));
		put_bytes(&b, t_hex(heads[i].swapped
					    ? "00020004 00000000 00000000 "
					      "00040000 00000071"
					    : "02000400 00000000 00000000 "
					      "00000400 71000000"));
		CHECK_EQ(pcap_head_parse(buf_bytes(&b), &head), 0);
		CHECK_EQ(head.swapped, heads[i].swapped);
		CHECK_EQ(head.micro, heads[i].micro);
		CHECK_EQ(head.snaplen, 262144);
		CHECK_EQ(head.linktype, 113);
		buf_release(&b);
	}
	CHECK_EQ(pcap_head_parse(t_hex("0a0d0d0a"), &head), ERR_UNKNOWN);
	CHECK_EQ(pcap_head_parse(t_hex("d4c3b2"), &head), ERR_MALFORMED);
}

TEST(a_header_in_microseconds_says_the_same_time_cut_short)
{
	struct packet p = { .data = bytes_of_text("abc"),
			    .time_ns = 1700000000123456789,
			    .wire_len = 1500 };
	uint8_t ns[RECORD_HEADER], us[RECORD_HEADER];

	record_head_at(ns, &p);
	record_head_micro_at(us, &p);
	CHECK_BYTES(bytes_of(us, 16),
		    t_hex("00f15365 40e20100 03000000 dc050000"));
	memcpy(us + 4, ns + 4, 4);
	CHECK_BYTES(bytes_of(us, 16), bytes_of(ns, 16));
}
