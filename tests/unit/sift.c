/* SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

#include "base/buf.h"
#include "codec/packet.h"
#include "engine/config/yamltree.h"
#include "engine/sift/dedup.h"
#include "engine/sift/eve.h"
#include "engine/sift/flowpick.h"
#include "engine/sift/namepattern.h"
#include "engine/sift/rules.h"
#include "engine/sift/sift.h"

#define SECOND UINT64_C(1000000000)

/* An Ethernet frame: IPv4, UDP or TCP, from 10.0.0.a to 10.0.0.b. */
static struct bytes frame(uint8_t a, uint8_t b, uint16_t sport, uint16_t dport,
			  uint8_t protocol)
{
	static uint8_t f[14 + 20 + 20];
	uint8_t *ip = f + 14, *l4 = ip + 20;

	memset(f, 0, sizeof(f));
	f[5] = b;
	f[11] = a;
	f[12] = 8;
	ip[0] = 0x45;
	ip[3] = 40;
	ip[8] = 64;
	ip[9] = protocol;
	ip[12] = ip[16] = 10;
	ip[15] = a;
	ip[19] = b;
	l4[0] = (uint8_t)(sport >> 8);
	l4[1] = (uint8_t)sport;
	l4[2] = (uint8_t)(dport >> 8);
	l4[3] = (uint8_t)dport;
	if (protocol == IP_UDP)
		l4[5] = 20;
	l4[12] = 0x50;
	return bytes_of(f, sizeof(f));
}

static struct rules *rules_of(const char *yaml, struct yaml_doc **doc)
{
	struct err err = ERR_NONE;
	struct rules *r;

	*doc = yamltree_parse(bytes_of_text(yaml), "test", &err);
	if (!*doc)
		fail_msg("%s", err.text);
	r = rules_new(*doc, NULL, &err);
	if (!r)
		fail_msg("%s", err.text);
	return r;
}

static int takes(struct rules *r, struct bytes data)
{
	const struct packet p = { .data = data,
				  .wire_len = (uint32_t)data.len };
	struct decoded d;
	const struct rules_packet rp = { &p, 1, &d };
	struct err err = ERR_NONE;

	decode_frame_to(1, data, p.wire_len, 0, &d);
	return rules_take(r, 0, &rp, &err);
}

/* Network, port, and whether each condition is negated: AND of both. */
TEST(G35_the_truth_table_of_two_conditions)
{
	for (int bits = 0; bits < 16; bits++) {
		bool net = bits & 1, port = bits & 2, no_net = bits & 4,
		     no_port = bits & 8;
		char yaml[512];
		struct yaml_doc *doc;
		struct rules *r;

		snprintf(yaml, sizeof(yaml),
			 "f:\n  conditions:\n"
			 "    - {kind: subnet, negate: %s, match: [10.0.0.7]}\n"
			 "    - {kind: port, negate: %s, match: [80/tcp]}\n",
			 no_net ? "true" : "false", no_port ? "true" : "false");
		r = rules_of(yaml, &doc);
		CHECK_EQ(takes(r, frame(1, net ? 7 : 9, 1000, port ? 80 : 81,
					IP_TCP)),
			 (net != no_net) && (port != no_port));
		rules_free(r);
		yamltree_free(doc);
	}
}

TEST(G35_any_match_of_a_condition_is_enough_and_either_end_counts)
{
	struct yaml_doc *doc;
	struct rules *r = rules_of(
		"f: {conditions: [{kind: port, match: [53/udp, 80/tcp]}]}",
		&doc);

	CHECK_EQ(takes(r, frame(1, 2, 53, 9, IP_UDP)), 1);
	CHECK_EQ(takes(r, frame(1, 2, 9, 53, IP_UDP)), 1);
	CHECK_EQ(takes(r, frame(1, 2, 9, 80, IP_TCP)), 1);
	CHECK_EQ(takes(r, frame(1, 2, 9, 80, IP_UDP)), 0);
	CHECK_EQ(takes(r, frame(1, 2, 9, 53, IP_TCP)), 0);
	rules_free(r);
	yamltree_free(doc);
}

TEST(networks_of_every_length_are_right)
{
	for (int bits = 0; bits <= 32; bits++) {
		char yaml[128];
		struct yaml_doc *doc;
		struct rules *r;
		uint32_t net = (uint32_t)t_random();
		uint32_t mask = bits ? UINT32_MAX << (32 - bits) : 0;

		snprintf(yaml, sizeof(yaml),
			 "f: {conditions: [{kind: subnet, match: "
			 "[%u.%u.%u.%u/%d]}]}",
			 net >> 24, net >> 16 & 255, net >> 8 & 255, net & 255,
			 bits);
		r = rules_of(yaml, &doc);
		for (int i = 0; i < 200; i++) {
			uint8_t *f = (uint8_t *)frame(1, 2, 1, 2, IP_UDP).p;
			uint32_t a = (uint32_t)t_random() & ~mask;

			a |= i & 1 ? net & mask : (uint32_t)t_random() & mask;
			for (int k = 0; k < 4; k++) {
				f[26 + k] = (uint8_t)(a >> (24 - 8 * k));
				f[30 + k] = f[26 + k];
			}
			CHECK_EQ(takes(r, bytes_of(f, 54)),
				 (a & mask) == (net & mask));
		}
		rules_free(r);
		yamltree_free(doc);
	}
}

TEST(what_is_no_filter_is_refused_with_its_line)
{
	static const char *const bad[] = {
		"",
		"[]",
		"f:",
		"f: {}",
		"f: {conditions: []}",
		"f: {conditions: [{kind: subnet}]}",
		"f: {conditions: [{match: [a]}]}",
		"f: {conditions: [{kind: subnet, match: []}]}",
		"f: {conditions: [{kind: subnet, match: [10.0.0.0/33]}]}",
		"f: {conditions: [{kind: subnet, match: [10.0.0]}]}",
		"f: {conditions: [{kind: port, match: [65536/tcp]}]}",
		"f: {conditions: [{kind: port, match: [80/icmp]}]}",
		"f: {conditions: [{kind: ether, match: [00:11:22:33:44]}]}",
		"f: {conditions: [{kind: asn, match: [1]}]}",
		"f: {conditions: [{kind: raw, match: [\"no such words\"]}]}",
		"f: {conditions: [{kind: port, match: [[80]]}]}",
		"f: {conditions: [{kind: port, match: [80], extra: 1}]}",
		"f: {conditions: [{kind: port, negate: maybe, match: [80]}]}",
		"\"..\": {conditions: [{kind: port, match: [80]}]}",
		"a/b: {conditions: [{kind: port, match: [80]}]}",
		"f: {conditions: [{kind: port, match: [80]}]}\n"
		"f: {conditions: [{kind: port, match: [80]}]}",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct err err = ERR_NONE;
		struct yaml_doc *doc =
			yamltree_parse(bytes_of_text(bad[i]), "test", &err);
		struct rules *r = doc ? rules_new(doc, NULL, &err) : NULL;

		if (r)
			fail_msg("taken: %s", bad[i]);
		CHECK(strncmp(err.text, "test, line ", 11) == 0);
		yamltree_free(doc);
	}
}

/* -- doubles -------------------------------------------------------------- */

static bool seen(struct dedup *d, uint64_t time_ns, uint8_t a, uint8_t ttl)
{
	uint8_t *f = (uint8_t *)frame(a, 9, 1, 2, IP_UDP).p;

	f[14 + 8] = ttl;
	f[14 + 10] = (uint8_t)(255 - ttl); /* the header's checksum */
	return dedup_seen(d, bytes_of(f + 14, 40), time_ns);
}

TEST(G38_doubles_are_of_packet_time_and_of_everything_but_what_routers_change)
{
	struct dedup *d = dedup_new(6 * SECOND);

	CHECK(!seen(d, 100 * SECOND, 1, 64));
	CHECK(seen(d, 101 * SECOND, 1, 64));
	CHECK(seen(d, 101 * SECOND, 1, 63));
	CHECK(!seen(d, 101 * SECOND, 2, 64));
	CHECK(!seen(d, 110 * SECOND, 1, 64));
	CHECK(seen(d, 111 * SECOND, 1, 64));
	/* What is no IP is never one. */
	CHECK(!dedup_seen(d, bytes_of("", 0), 111 * SECOND));
	CHECK(!dedup_seen(d, bytes_of("", 0), 111 * SECOND));
	dedup_free(d);
}

TEST(the_memory_for_doubles_is_bounded_and_what_is_forgotten_counted)
{
	struct dedup *d = dedup_new(UINT64_MAX);
	uint8_t ip[28] = { 0x45, [9] = 17 };

	for (uint32_t i = 0; i < DEDUP_MAX + 10; i++) {
		memcpy(ip + 12, &i, 4);
		CHECK(!dedup_seen(d, bytes_of(ip, sizeof(ip)), i));
	}
	CHECK_EQ(dedup_forgotten(d), 10);
	CHECK(dedup_seen(d, bytes_of(ip, sizeof(ip)), DEDUP_MAX + 10));
	dedup_free(d);
}

/* -- events --------------------------------------------------------------- */

static const char event[] =
	"{\"timestamp\":\"2023-11-14T22:13:20.5+0000\",\"flow_id\":12345,"
	"\"event_type\":\"alert\",\"src_ip\":\"10.0.0.1\",\"src_port\":1000,"
	"\"dest_ip\":\"10.0.0.2\",\"dest_port\":80,\"proto\":\"TCP\","
	"\"capture_file\":\"pcap.1.2\",\"alert\":{\"src_ip\":[1,{}]},"
	"\"tunnel\":{\"src_ip\":\"2001:db8::1\",\"depth\":2,\"x\":[]}}";

TEST(an_event_tells_its_flow)
{
	struct eve_event e;

	CHECK_EQ(eve_parse(bytes_of_text(event), &e), 0);
	CHECK_STR(e.type, "alert");
	CHECK(e.time_ns == 1700000000500000000);
	CHECK_EQ(e.flow_id, 12345);
	CHECK_STR(e.capture_file, "pcap.1.2");
	CHECK_EQ(e.flow.src_port, 1000);
	CHECK_EQ(e.flow.protocol, IP_TCP);
	CHECK_EQ(e.flow.dst.b[15], 2);
	CHECK_EQ(e.tunnel.src.version, 6);
	CHECK_EQ(e.tunnel_depth, 2);
}

TEST(an_event_cut_anywhere_is_refused)
{
	struct eve_event e;

	for (size_t cut = 0; cut < sizeof(event) - 1; cut++)
		CHECK_EQ(eve_parse(bytes_of(event, cut), &e), ERR_MALFORMED);
	CHECK_EQ(eve_parse(bytes_of_text("{\"src_port\":65536}"), &e),
		 ERR_MALFORMED);
	CHECK_EQ(eve_parse(bytes_of_text("{\"src_ip\":\"10.0.0\"}"), &e),
		 ERR_MALFORMED);
	CHECK_EQ(eve_parse(bytes_of_text("[]"), &e), ERR_MALFORMED);
}

static bool picks(struct flowpick *f, struct bytes data)
{
	const struct packet p = { .data = data,
				  .wire_len = (uint32_t)data.len };

	return flowpick_takes(f, 1, &p);
}

TEST(G42_a_flow_is_both_directions_and_its_fragments_and_nothing_else)
{
	static const char udp[] =
		"{\"src_ip\":\"10.0.0.1\",\"dest_ip\":\"10.0.0.2\","
		"\"src_port\":1000,\"dest_port\":53,\"proto\":\"UDP\"}";
	struct err err = ERR_NONE;
	struct eve_event e;
	struct flowpick *f;
	uint8_t *raw;

	CHECK_EQ(eve_parse(bytes_of_text(udp), &e), 0);
	f = flowpick_new(&e, &err);
	CHECK(f != NULL);
	CHECK(picks(f, frame(1, 2, 1000, 53, IP_UDP)));
	CHECK(picks(f, frame(2, 1, 53, 1000, IP_UDP)));
	CHECK(!picks(f, frame(1, 2, 53, 1000, IP_UDP)));
	CHECK(!picks(f, frame(1, 2, 1000, 53, IP_TCP)));
	CHECK(!picks(f, frame(1, 3, 1000, 53, IP_UDP)));
	/* A later fragment without, then with its first one. */
	raw = (uint8_t *)frame(1, 2, 0, 0, IP_UDP).p;
	raw[14 + 5] = 77;
	raw[14 + 7] = 100;
	CHECK(!picks(f, bytes_of(raw, 54)));
	raw = (uint8_t *)frame(1, 2, 1000, 53, IP_UDP).p;
	raw[14 + 5] = 77;
	raw[14 + 6] = 0x20;
	CHECK(picks(f, bytes_of(raw, 54)));
	raw = (uint8_t *)frame(1, 2, 0, 0, IP_UDP).p;
	raw[14 + 5] = 77;
	raw[14 + 7] = 100;
	CHECK(picks(f, bytes_of(raw, 54)));
	flowpick_free(f);
}

TEST(an_event_of_an_unknown_protocol_is_refused_and_takes_nothing)
{
	struct err err = ERR_NONE;
	struct eve_event e;

	CHECK_EQ(eve_parse(bytes_of_text("{\"src_ip\":\"10.0.0.1\",\"dest_ip\":"
					 "\"10.0.0.2\",\"proto\":\"XYZ\"}"),
			   &e),
		 0);
	CHECK(!flowpick_new(&e, &err));
	CHECK(strstr(err.text, "XYZ"));
}

/* -- names ---------------------------------------------------------------- */

TEST(G43_names_follow_suricatas_patterns)
{
	static const struct {
		const char *pattern, *name;
		bool fits;
		uint64_t thread, time;
	} cases[] = {
		{ "pcap.%n.%t", "pcap.3.1700000000", true, 3, 1700000000 },
		{ "pcap.%n.%t", "pcap.3.1700000000.lz4", false, 0, 0 },
		{ "pcap.%n.%t", "pcapx3.1700000000", false, 0, 0 },
		{ "pcap.%n.%t", "pcap..1700000000", false, 0, 0 },
		{ "log-%t-%i.pcap", "log-12-34.pcap", true, 34, 12 },
		{ "x%t", "x5", true, 0, 5 },
		{ "x%t", "x99999999999999999999999", false, 0, 0 },
	};
	struct err err = ERR_NONE;
	struct name_parts p;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		CHECK_OK(name_pattern_check(cases[i].pattern, &err), &err);
		CHECK_EQ(
			name_pattern_match(cases[i].pattern, cases[i].name, &p),
			cases[i].fits);
		if (cases[i].fits) {
			CHECK(p.thread == cases[i].thread);
			CHECK(p.time_s == cases[i].time);
		}
	}
	CHECK_EQ(name_pattern_check("pcap.%n", &err), ERR_USAGE);
	CHECK_EQ(name_pattern_check("%t.%t", &err), ERR_USAGE);
	CHECK_EQ(name_pattern_check("%t.%x", &err), ERR_USAGE);
}

TEST(G40_every_input_gets_a_name_of_its_own)
{
	static const char *const inputs[] = {
		"/d/log.1.16", "/d/log.2.16", "/d/x/c.pcap", "/d/y/c.pcap",
		"/d/a/b.pcap", "/d/a_b.pcap", "/d/b.pcap",   "/d/c.pcap.gz",
	};
	enum { N = sizeof(inputs) / sizeof(*inputs) };
	char **names = sift_names(inputs, N);

	CHECK_STR(names[0], "log.1.16");
	CHECK_STR(names[1], "log.2.16");
	CHECK_STR(names[2], "_d_x_c");
	for (int i = 0; i < N; i++)
		for (int k = 0; k < i; k++)
			CHECK(strcmp(names[i], names[k]) != 0);
	for (int i = 0; i < N; i++)
		free(names[i]);
	free(names);
}
