/* SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

#include "base/buf.h"
#include "engine/capture/exclude.h"
#include "engine/capture/linktype.h"

#define MACS	  "020000000001 020000000002"
#define IPV4	  "45000028 00010000 40060000 0a000001 0a000002"
#define TO_7878	  "c000 1ec6 00000001 00000000 50020000 00000000"
#define FROM_7878 "1ec6 c000 00000001 00000000 50020000 00000000"
#define TO_80	  "c000 0050 00000001 00000000 50020000 00000000"
#define IPV6                                                                   \
	"60000000 00140640 fd000000000000000000000000000001 "                  \
	"fd000000000000000000000000000002"

static struct exclude port_7878(void)
{
	struct exclude x = { 0 };
	struct err err = ERR_NONE;

	CHECK_OK(exclude_add_port(&x, "7878", &err), &err);
	return x;
}

static struct exclude net_of(const char *text)
{
	struct exclude x = { 0 };
	struct err err = ERR_NONE;

	CHECK_OK(exclude_add_net(&x, text, &err), &err);
	return x;
}

static bool out(const struct exclude *x, uint32_t linktype, const char *hex)
{
	return exclude_matches(x, linktype, t_hex(hex));
}

TEST(I17_a_port_is_left_out_both_ways_behind_any_header)
{
	static const struct {
		uint32_t linktype;
		const char *head; /* before the IPv4 header */
	} heads[] = {
		{ LINKTYPE_ETHERNET, MACS "0800" },
		{ LINKTYPE_ETHERNET, MACS "8100 0005 0800" },
		{ LINKTYPE_ETHERNET, MACS "88a8 0005 8100 0006 0800" },
		{ LINKTYPE_ETHERNET, MACS "9100 0000 8100 0006 0800" },
		{ LINKTYPE_RAW, "" },
		{ LINKTYPE_LINUX_SLL2,
		  "0800 0000 00000002 0001 00 06 0200000000010000" },
		{ LINKTYPE_LINUX_SLL2,
		  "8100 0000 00000002 0001 00 06 0200000000010000 0005 0800" },
	};
	struct exclude x = port_7878();

	for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
		char hex[512];

		snprintf(hex, sizeof(hex), "%s" IPV4 TO_7878, heads[i].head);
		CHECK(out(&x, heads[i].linktype, hex));
		snprintf(hex, sizeof(hex), "%s" IPV4 FROM_7878, heads[i].head);
		CHECK(out(&x, heads[i].linktype, hex));
		snprintf(hex, sizeof(hex), "%s" IPV4 TO_80, heads[i].head);
		CHECK(!out(&x, heads[i].linktype, hex));
	}
	CHECK(out(&x, LINKTYPE_ETHERNET, MACS "86dd" IPV6 TO_7878));
	CHECK(out(&x, LINKTYPE_ETHERNET,
		  MACS "88a8 0001 8100 0002 86dd" IPV6 FROM_7878));
	CHECK(out(&x, LINKTYPE_RAW, IPV6 TO_7878));
	CHECK(!out(&x, LINKTYPE_RAW, IPV6 TO_80));
}

TEST(what_cannot_be_read_for_certain_is_kept)
{
	struct exclude x = port_7878();

	/* three tags; UDP; an extension header; a link type not known */
	CHECK(!out(&x, LINKTYPE_ETHERNET,
		   MACS "8100 0001 8100 0002 8100 0003 0800" IPV4 TO_7878));
	CHECK(!out(&x, LINKTYPE_RAW,
		   "45000028 00010000 40110000 0a000001 "
		   "0a000002" TO_7878));
	CHECK(!out(
		&x, LINKTYPE_RAW,
		"60000000 00140040 fd000000000000000000000000000001 "
		"fd000000000000000000000000000002 06000000 00000000" TO_7878));
	CHECK(!out(&x, 105, IPV4 TO_7878));
	/* a header length below 20; a version that is not the type's */
	CHECK(!out(&x, LINKTYPE_RAW,
		   "44000028 00010000 40060000 0a000001 "
		   "0a000002" TO_7878));
	CHECK(!out(
		&x, LINKTYPE_ETHERNET,
		MACS
		"0800 65000028 00010000 40060000 0a000001 0a000002" TO_7878));
	/* options move the ports */
	CHECK(out(&x, LINKTYPE_RAW,
		  "46000028 00010000 40060000 0a000001 "
		  "0a000002 01010101" TO_7878));
	CHECK(!out(&x, LINKTYPE_RAW,
		   "46000028 00010000 40060000 0a000001 "
		   "0a000002" TO_7878));
}

TEST(I19_a_fragment_that_is_not_the_first_has_no_ports)
{
	struct exclude x = port_7878();

	CHECK(!out(&x, LINKTYPE_RAW,
		   "45000028 00010001 40060000 0a000001 "
		   "0a000002" TO_7878));
	CHECK(!out(&x, LINKTYPE_RAW,
		   "45000028 00013fff 40060000 0a000001 "
		   "0a000002" FROM_7878));
	/* the first one has, and "do not fragment" says nothing */
	CHECK(out(&x, LINKTYPE_RAW,
		  "45000028 00012000 40060000 0a000001 "
		  "0a000002" TO_7878));
	CHECK(out(&x, LINKTYPE_RAW,
		  "45000028 00014000 40060000 0a000001 "
		  "0a000002" TO_7878));
}

TEST(I18_hosts_and_networks_are_left_out_both_ways)
{
	struct exclude x = net_of("10.0.0.0/8");

	CHECK(out(&x, LINKTYPE_RAW, IPV4 TO_80));
	CHECK(out(&x, LINKTYPE_RAW,
		  "45000028 00010000 40110000 0a000001 "
		  "c0000202 00000000"));
	CHECK(out(&x, LINKTYPE_RAW,
		  "45000028 00010007 40060000 c0000202 "
		  "0affffff 00000000"));
	CHECK(!out(&x, LINKTYPE_RAW,
		   "45000028 00010000 40060000 0b000001 "
		   "09ffffff" TO_80));
	CHECK(!out(&x, LINKTYPE_RAW, IPV6 TO_80));
	x = net_of("10.0.0.2");
	CHECK(out(&x, LINKTYPE_RAW, IPV4 TO_80));
	x = net_of("10.0.0.3");
	CHECK(!out(&x, LINKTYPE_RAW, IPV4 TO_80));
	x = net_of("10.0.0.6/29");
	CHECK(out(&x, LINKTYPE_RAW, IPV4 TO_80));
	x = net_of("0.0.0.0/0");
	CHECK(out(&x, LINKTYPE_RAW, IPV4 TO_80));
	CHECK(!out(&x, LINKTYPE_RAW, IPV6 TO_80));
	x = net_of("fd00::/15");
	CHECK(out(&x, LINKTYPE_RAW, IPV6 TO_80));
	x = net_of("fd00::2/128");
	CHECK(out(&x, LINKTYPE_RAW, IPV6 TO_80));
	x = net_of("fe00::/9");
	CHECK(!out(&x, LINKTYPE_RAW, IPV6 TO_80));
}

TEST(a_live_link_is_left_out_by_its_exact_four_numbers)
{
	struct exclude x = { 0 };

	CHECK_EQ(exclude_set_links(
			 &x, bytes_of_text("10.0.0.2 7878 10.0.0.1 49152\n"
					   "# a remark\n"
					   "fd00::1 49152 fd00::2 7878")),
		 0);
	CHECK_EQ(x.n_links, 2);
	CHECK(out(&x, LINKTYPE_RAW, IPV4 TO_7878));
	CHECK(!out(&x, LINKTYPE_RAW, IPV4 FROM_7878));
	CHECK(!out(&x, LINKTYPE_RAW, IPV4 TO_80));
	CHECK(out(&x, LINKTYPE_RAW,
		  "45000028 00010000 40060000 0a000002 "
		  "0a000001" FROM_7878));
	CHECK(out(&x, LINKTYPE_RAW, IPV6 TO_7878));
	CHECK(!out(&x, LINKTYPE_RAW, IPV6 FROM_7878));
	/* how a socket for both versions writes an IPv4 address */
	CHECK_EQ(
		exclude_set_links(&x, bytes_of_text("::ffff:10.0.0.2 7878 "
						    "::ffff:10.0.0.1 49152\n")),
		0);
	CHECK(out(&x, LINKTYPE_RAW, IPV4 TO_7878));
	CHECK_EQ(exclude_set_links(&x, bytes_of_text("")), 0);
	CHECK(!out(&x, LINKTYPE_RAW, IPV4 TO_7878));
}

TEST(lines_that_are_no_link_and_links_beyond_the_cap_are_passed_over)
{
	struct exclude x = { 0 };
	struct buf b = { 0 };

	CHECK_EQ(
		exclude_set_links(&x, bytes_of_text("10.0.0.2 7878 10.0.0.1\n"
						    "10.0.0.2 7878 fd00::1 2\n"
						    "10.0.0.2 0 10.0.0.1 2\n"
						    "10.0.0.2 1 10.0.0.1 2 3\n"
						    "x y z 1\n"
						    "10.0.0.2 1 10.0.0.1 2\n")),
		5);
	CHECK_EQ(x.n_links, 1);
	for (int i = 0; i < EXCLUDE_LINKS_MAX + 3; i++)
		put_format(&b, "10.0.0.2 7878 10.0.0.1 %d\n", i + 1);
	CHECK_EQ(exclude_set_links(&x, buf_bytes(&b)), 3);
	CHECK_EQ(x.n_links, EXCLUDE_LINKS_MAX);
	buf_release(&b);
}

TEST(ports_and_networks_have_a_cap_and_wrong_ones_are_named)
{
	struct exclude x = { 0 };
	struct err err = ERR_NONE;
	char text[32];

	for (int i = 1; i <= EXCLUDE_PORTS_MAX; i++) {
		snprintf(text, sizeof(text), "%d", i);
		CHECK_OK(exclude_add_port(&x, text, &err), &err);
	}
	CHECK_OK(exclude_add_port(&x, "1", &err), &err);
	CHECK_EQ(exclude_add_port(&x, "65", &err), ERR_USAGE);
	CHECK_EQ(exclude_add_port(&x, "65536", &err), ERR_USAGE);
	CHECK(strstr(err.text, "65536") != NULL);
	for (int i = 0; i < EXCLUDE_NETS_MAX; i++)
		CHECK_OK(exclude_add_net(&x, "10.0.0.1", &err), &err);
	CHECK_EQ(exclude_add_net(&x, "10.0.0.1", &err), ERR_USAGE);
	x.n_nets = 0;
	CHECK_EQ(exclude_add_net(&x, "10.0.0.1/33", &err), ERR_USAGE);
	CHECK_EQ(exclude_add_net(&x, "10.0.0.1/", &err), ERR_USAGE);
	CHECK_EQ(exclude_add_net(&x, "host.example", &err), ERR_USAGE);
	CHECK_EQ(exclude_add_net(&x, "fd00::/129", &err), ERR_USAGE);
}

TEST(what_options_hide_can_be_said)
{
	struct exclude x = port_7878();
	struct err err = ERR_NONE;
	struct buf b = { 0 };

	CHECK_OK(exclude_add_net(&x, "10.9.8.7/8", &err), &err);
	CHECK_OK(exclude_add_net(&x, "fd00::1", &err), &err);
	exclude_describe(&x, &b);
	CHECK_BYTES(buf_bytes(&b),
		    bytes_of_text("TCP port 7878, 10.0.0.0/8, fd00::1/128"));
	buf_release(&b);
}

TEST(I20_a_million_random_buffers_are_survived)
{
	static const uint32_t linktypes[] = { 1, 101, 276, 105 };
	struct exclude x = port_7878();
	struct err err = ERR_NONE;

	CHECK_OK(exclude_add_net(&x, "10.0.0.0/8", &err), &err);
	CHECK_EQ(exclude_set_links(&x, bytes_of_text("1.2.3.4 5 6.7.8.9 10\n"
						     "fd00::1 5 fd00::2 6")),
		 0);
	for (int i = 0; i < 1000000; i++) {
		size_t len = (size_t)(i % 201);
		/* Exactly its size, so that a read beyond it is seen. */
		uint8_t *p = malloc(len);
		uint64_t r = 0;

		for (size_t k = 0; k < len; k++) {
			if (k % 8 == 0)
				r = t_random();
			p[k] = (uint8_t)(r >> 8 * (k % 8));
		}
		/* Most of them get beyond the first test of a type. */
		if (len > 22 && i % 4)
			memcpy(p + 12,
			       i % 4 == 1   ? "\x08\x00\x45"
			       : i % 4 == 2 ? "\x86\xdd\x60"
					    : "\x81\x00\x00",
			       3);
		exclude_matches(&x, linktypes[i / 201 % 4], bytes_of(p, len));
		free(p);
	}
}
