/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/expression.h"

#include "codec/packet.h"
#include "t.h"

/* UDP 10.0.0.1:1000 to 10.0.0.2:53, without its Ethernet header. */
static const char udp[] =
	"4500001c 00000000 40110000 0a000001 0a000002 03e80035 00080000";
static const char ether[] = "020000000001 020000000002 0800";

static bool matches(const char *text, uint32_t linktype, struct bytes data)
{
	struct packet p = { .data = data, .wire_len = (uint32_t)data.len };
	struct err err = ERR_NONE;
	struct expression *e = expression_new(text, linktype, &err);
	bool yes;

	if (!e)
		fail_msg("%s", err.text);
	yes = expression_matches(e, &p);
	expression_free(e);
	return yes;
}

TEST(an_expression_is_asked_in_terms_of_its_link_type)
{
	struct bytes raw = t_hex(udp);
	char both[256];
	struct bytes frame;

	snprintf(both, sizeof(both), "%s %s", ether, udp);
	frame = t_hex(both);
	CHECK(matches("udp port 53", 1, frame));
	CHECK(!matches("tcp port 53", 1, frame));
	CHECK(matches("src host 10.0.0.1 and dst port 53", 101, raw));
	CHECK(!matches("src host 10.0.0.2", 101, raw));
	CHECK(!matches("udp port 53", 1, raw));
}

TEST(a_packet_cut_short_matches_nothing_beyond_its_end)
{
	struct bytes raw = t_hex(udp);

	for (size_t len = 0; len < 24; len++)
		CHECK(!matches("udp dst port 53", 101, bytes_of(raw.p, len)));
	CHECK(matches("udp dst port 53", 101, bytes_of(raw.p, 24)));
}

TEST(what_does_not_compile_is_told_with_the_reason)
{
	struct err err = ERR_NONE;
	char longest[EXPRESSION_MAX + 2];

	CHECK(expression_new("port port", 1, &err) == NULL);
	CHECK_EQ(err.code, ERR_USAGE);
	CHECK(strstr(err.text, "\"port port\"") != NULL);
	CHECK(expression_new("ether host 02:00:00:00:00:01", 101, &err) ==
	      NULL);
	CHECK_EQ(err.code, ERR_USAGE);

	memset(longest, ' ', sizeof(longest));
	longest[EXPRESSION_MAX + 1] = 0;
	CHECK(expression_new(longest, 1, &err) == NULL);
	CHECK_EQ(err.code, ERR_LIMIT);
	CHECK(strstr(err.text, "4095") != NULL);
}
