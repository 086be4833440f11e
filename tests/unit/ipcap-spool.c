/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/ipcap_spool.h"

#include "t.h"

static int parse(const char *line, struct ipcap_segment *s)
{
	return ipcap_segment_parse(bytes_of_text(line), s);
}

TEST(a_line_of_the_manifest_is_read_in_any_order_of_its_members)
{
	struct ipcap_segment s;

	CHECK_EQ(parse("{\"seq\":7,\"file\":\"src1-7.pcap\",\"start\":10,"
		       "\"end\":20,\"vlen\":4096,\"sealed\":true}",
		       &s),
		 0);
	CHECK_EQ(s.seq, 7);
	CHECK_EQ(s.start, 10);
	CHECK_EQ(s.end, 20);
	CHECK_EQ(s.vlen, 4096);
	CHECK(s.sealed);
	CHECK_STR(s.file, "src1-7.pcap");
	CHECK_EQ(parse("{ \"end\": 18446744073709551615 , \"new\": \"a\", "
		       "\"x\": null, \"vlen\": 0, \"start\": 1, \"seq\": 2, "
		       "\"file\": \"f\" }\r",
		       &s),
		 0);
	CHECK_EQ(s.end, UINT64_MAX);
	CHECK(!s.sealed);
}

TEST(a_torn_or_foreign_line_is_refused)
{
	static const char whole[] =
		"{\"seq\":7,\"file\":\"src1-7.pcap\",\"start\":10,"
		"\"end\":20,\"vlen\":4096,\"sealed\":true}";
	static const char *const bad[] = {
		"[]",
		"{}",
		"{\"seq\":1,\"file\":\"f\",\"start\":3,\"end\":2,\"vlen\":0}",
		"{\"seq\":-1,\"file\":\"f\",\"start\":1,\"end\":2,\"vlen\":0}",
		"{\"seq\":1,\"file\":\"\\\"\",\"start\":1,\"end\":2,\"vlen\":"
		"0}",
		"{\"seq\":18446744073709551616,\"file\":\"f\",\"start\":1,"
		"\"end\":2,\"vlen\":0}",
		"{\"seq\":1,\"file\":\"f\",\"start\":1,\"end\":2,\"vlen\":0}x",
		"{\"seq\":1,\"file\":{},\"start\":1,\"end\":2,\"vlen\":0}",
	};
	struct ipcap_segment s;

	CHECK_EQ(parse(whole, &s), 0);
	for (size_t len = 0; len < sizeof(whole) - 1; len++)
		CHECK(ipcap_segment_parse(bytes_of(whole, len), &s) < 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (parse(bad[i], &s) == 0)
			fail_msg("%s is taken", bad[i]);
}

TEST(only_the_names_that_ipcap_writes_are_its_files)
{
	static const char *const bad[] = {
		"src1-0000000000000000007.pcap",
		"src1-00000000000000000007.pcap2",
		"src01-00000000000000000007.pcap",
		"src65536-00000000000000000007.pcap",
		"src-00000000000000000007.pcap",
		"mirror-src1-00000000000000000007.pcap",
		"src1-0000000000000000000x.pcap",
		"src1-99999999999999999999.pcap",
		"",
	};
	uint64_t seq;
	uint16_t id;

	CHECK_EQ(
		ipcap_segment_name("src1-00000000000000000007.pcap", &id, &seq),
		0);
	CHECK_EQ(id, 1);
	CHECK_EQ(seq, 7);
	CHECK_EQ(ipcap_segment_name("src65535-00000000000000000000.pcap", &id,
				    &seq),
		 0);
	CHECK_EQ(id, 65535);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (ipcap_segment_name(bad[i], &id, &seq) == 0)
			fail_msg("%s is taken", bad[i]);
}
