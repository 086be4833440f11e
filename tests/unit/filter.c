/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's program is compared with exclude_matches(), which shares no
 * code with it: by this kernel itself, on a pair of local sockets, and by a
 * small interpreter that knows the numbers which travel beside a frame.
 */
#include "t.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_arp.h>
#include <linux/if_packet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "engine/capture/exclude.h"
#include "engine/capture/filter.h"
#include "engine/capture/linktype.h"

/* What the kernel knows beside the bytes. */
struct beside {
	uint32_t protocol, tag_present, packet_type, hardware;
};

static bool load(const struct beside *by, struct bytes p, uint32_t k, int size,
		 uint32_t *a)
{
	switch (k - (uint32_t)SKF_AD_OFF) {
	case SKF_AD_PROTOCOL:
		return *a = by->protocol, true;
	case SKF_AD_VLAN_TAG_PRESENT:
		return *a = by->tag_present, true;
	case SKF_AD_PKTTYPE:
		return *a = by->packet_type, true;
	case SKF_AD_HATYPE:
		return *a = by->hardware, true;
	}
	if ((uint64_t)k + (uint64_t)size > p.len)
		return false;
	*a = 0;
	for (int i = 0; i < size; i++)
		*a = *a << 8 | p.p[k + (uint32_t)i];
	return true;
}

static uint32_t run(const struct filter *f, const struct beside *by,
		    struct bytes p)
{
	size_t n;
	const struct sock_filter *code = filter_program(f, &n);
	uint32_t a = 0, x = 0, m[16] = { 0 };

	for (size_t pc = 0; pc < n; pc++) {
		const struct sock_filter *in = &code[pc];
		uint32_t k = in->k;
		bool yes;

		switch (in->code) {
		case BPF_RET | BPF_K:
			return k;
		case BPF_LD | BPF_W | BPF_LEN:
			a = (uint32_t)p.len;
			continue;
		case BPF_LD | BPF_W | BPF_IND:
		case BPF_LD | BPF_H | BPF_IND:
		case BPF_LD | BPF_B | BPF_IND:
			k += x;
			/* fall through */
		case BPF_LD | BPF_W | BPF_ABS:
		case BPF_LD | BPF_H | BPF_ABS:
		case BPF_LD | BPF_B | BPF_ABS:
			if (!load(by, p, k,
				  BPF_SIZE(in->code) == BPF_W	? 4
				  : BPF_SIZE(in->code) == BPF_H ? 2
								: 1,
				  &a))
				return 0;
			continue;
		case BPF_LDX | BPF_B | BPF_MSH:
			if (k >= p.len)
				return 0;
			x = (p.p[k] & 15u) * 4;
			continue;
		case BPF_LD | BPF_MEM:
			a = m[k];
			continue;
		case BPF_LDX | BPF_MEM:
			x = m[k];
			continue;
		case BPF_LDX | BPF_W | BPF_IMM:
			x = k;
			continue;
		case BPF_ST:
			m[k] = a;
			continue;
		case BPF_STX:
			m[k] = x;
			continue;
		case BPF_MISC | BPF_TAX:
			x = a;
			continue;
		case BPF_MISC | BPF_TXA:
			a = x;
			continue;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= k;
			continue;
		case BPF_ALU | BPF_ADD | BPF_K:
			a += k;
			continue;
		case BPF_ALU | BPF_ADD | BPF_X:
			a += x;
			continue;
		case BPF_ALU | BPF_SUB | BPF_X:
			a -= x;
			continue;
		case BPF_ALU | BPF_LSH | BPF_K:
			a <<= k;
			continue;
		case BPF_JMP | BPF_JA:
			pc += k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			yes = a == k;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			yes = a > k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			yes = a >= k;
			break;
		case BPF_JMP | BPF_JGE | BPF_X:
			yes = a >= x;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			yes = a & k;
			break;
		default:
			fail_msg("instruction %zu has code %x", pc, in->code);
			return 0;
		}
		pc += yes ? in->jt : in->jf;
	}
	fail_msg("the program runs over its end");
	return 0;
}

static struct filter *filter_of(uint32_t linktype, const char *expression,
				const struct exclude *x)
{
	struct filter_config cfg = { .expression = expression,
				     .exclude = x,
				     .linktype = linktype,
				     .snaplen = 262144 };
	struct err err = ERR_NONE;
	struct filter *f = filter_new(&cfg, &err);

	if (!f)
		fail_msg("%s", err.text);
	return f;
}

/* -- packets that nearly match ----------------------------------------- */

static const uint8_t v4_pool[][4] = {
	{ 10, 0, 0, 1 }, { 10, 0, 0, 2 }, { 11, 0, 0, 1 }, { 192, 0, 2, 1 }
};
static const uint8_t v6_pool[][16] = { { 0xfd, [15] = 1 },
				       { 0xfd, [15] = 2 },
				       { 0xfe, 0x80, [15] = 1 } };
static const uint16_t port_pool[] = { 7878, 80, 49152, 22 };

static const struct exclude *rules(void)
{
	static struct exclude x;
	struct err err = ERR_NONE;

	memset(&x, 0, sizeof(x));
	CHECK_OK(exclude_add_port(&x, "7878", &err), &err);
	CHECK_OK(exclude_add_port(&x, "22", &err), &err);
	CHECK_OK(exclude_add_net(&x, "11.0.0.0/8", &err), &err);
	CHECK_OK(exclude_add_net(&x, "fe80::/10", &err), &err);
	CHECK_OK(exclude_add_net(&x, "192.0.2.3", &err), &err);
	CHECK_OK(exclude_add_net(&x, "fd00::4:0:0:0:3", &err), &err);
	CHECK_EQ(exclude_set_links(&x,
				   bytes_of_text("10.0.0.1 80 10.0.0.2 49152\n"
						 "fd00::1 80 fd00::2 49152\n")),
		 0);
	return &x;
}

static uint16_t one_of_ports(void)
{
	return port_pool[t_random_below(4)];
}

static void put_transport(struct buf *b)
{
	put_be16(b, one_of_ports());
	put_be16(b, one_of_ports());
	put_zeros(b, (size_t)t_random_below(20));
}

static void put_v4(struct buf *b)
{
	uint64_t r = t_random();
	unsigned words = r % 4 == 0 ? (unsigned)t_random_below(16) : 5;

	put_u8(b, (uint8_t)((r >> 8) % 16 == 0 ? 0x60 | words : 0x40 | words));
	put_zeros(b, 5);
	put_be16(b, (r >> 16) % 8 == 0	 ? 0x2000
		    : (r >> 16) % 8 == 1 ? (uint16_t)(r >> 32)
					 : 0x4000);
	put_u8(b, 64);
	put_u8(b, (r >> 20) % 8 == 0 ? 17 : 6);
	put_be16(b, 0);
	put_bytes(b, bytes_of(v4_pool[t_random_below(4)], 4));
	put_bytes(b, bytes_of(v4_pool[t_random_below(4)], 4));
	put_zeros(b, words > 5 ? 4 * (words - 5) : 0);
	put_transport(b);
}

static void put_v6(struct buf *b)
{
	uint64_t r = t_random();

	put_u8(b, r % 16 == 0 ? 0x40 : 0x60);
	put_zeros(b, 5);
	put_u8(b, (r >> 8) % 8 == 0 ? 44 : 6);
	put_u8(b, 64);
	put_bytes(b, bytes_of(v6_pool[t_random_below(3)], 16));
	put_bytes(b, bytes_of(v6_pool[t_random_below(3)], 16));
	put_transport(b);
}

/* Tags and network type, then the packet itself. */
static void put_typed(struct buf *b, struct buf *after_type)
{
	static const uint16_t tag[] = { 0x8100, 0x88a8, 0x9100 };
	static const uint16_t type[] = { 0x0800, 0x86dd, 0x0806, 0x0800 };
	int tags = (int)t_random_below(4), which = (int)t_random_below(4);

	for (int i = 0; i < tags; i++) {
		put_be16(i ? after_type : b, tag[t_random_below(3)]);
		put_be16(after_type, (uint16_t)t_random());
	}
	put_be16(tags ? after_type : b, type[which]);
	if (which == 1)
		put_v6(after_type);
	else
		put_v4(after_type);
}

static void put_packet(struct buf *b, uint32_t linktype)
{
	struct buf rest = { 0 };
	size_t least = 0;

	if (linktype == LINKTYPE_RAW) {
		if (t_random() % 2)
			put_v4(b);
		else
			put_v6(b);
	} else {
		if (linktype == LINKTYPE_ETHERNET)
			put_zeros(b, 12);
		put_typed(b, &rest);
		if (linktype == LINKTYPE_LINUX_SLL2)
			put_zeros(b, SLL2_HEADER - 2);
		least = b->len;
		put_bytes(b, buf_bytes(&rest));
	}
	buf_release(&rest);
	if (t_random() % 4 == 0)
		b->len = least + (size_t)t_random_below(b->len - least + 1);
}

/* -- the comparison ------------------------------------------------------ */

static void differ(uint32_t linktype, const char *how, struct bytes p)
{
	for (size_t i = 0; i < p.len; i++)
		print_error("%02x", p.p[i]);
	fail_msg("link type %u, %s: another decision", linktype, how);
}

/* As the kernel shows it when the outermost tag is beside the frame. */
static void check_tag_beside(const struct filter *f, uint32_t linktype,
			     struct bytes p, bool keep)
{
	size_t at = linktype == LINKTYPE_ETHERNET ? 12 : SLL2_HEADER - 2;
	struct beside by = { .tag_present = 1 };
	uint8_t frame[512];

	if (p.len < at + 6)
		return;
	if (linktype == LINKTYPE_ETHERNET) {
		if (p.p[12] != 0x81 && p.p[12] != 0x88)
			return;
		memcpy(frame, p.p, 12);
		memcpy(frame + 12, p.p + 16, p.len - 16);
		if ((run(f, &by, bytes_of(frame, p.len - 4)) != 0) != keep)
			differ(linktype, "tag beside", p);
		return;
	}
	if (p.p[0] != 0x81 && p.p[0] != 0x88)
		return;
	by.protocol = (uint32_t)p.p[22] << 8 | p.p[23];
	if ((run(f, &by, bytes_of(p.p + 24, p.len - 24)) != 0) != keep)
		differ(linktype, "cooked, tag beside", p);
}

static void check_inside(const struct filter *f, uint32_t linktype,
			 struct bytes p, bool keep)
{
	struct beside by = { 0 };

	if (linktype == LINKTYPE_LINUX_SLL2) {
		by.protocol = (uint32_t)p.p[0] << 8 | p.p[1];
		p = bytes_of(p.p + SLL2_HEADER, p.len - SLL2_HEADER);
	}
	if ((run(f, &by, p) != 0) != keep)
		differ(linktype, "tags inside", p);
}

TEST(I17_I18_I19_the_program_decides_as_the_reader_of_bytes_does)
{
	static const uint32_t linktypes[] = { LINKTYPE_ETHERNET, LINKTYPE_RAW,
					      LINKTYPE_LINUX_SLL2 };
	const struct exclude *x = rules();
	unsigned kept = 0, all = 0;

	for (int l = 0; l < 3; l++) {
		struct filter *f = filter_of(linktypes[l], NULL, x);

		for (int i = 0; i < 100000; i++) {
			struct buf b = { 0 };
			bool keep;

			put_packet(&b, linktypes[l]);
			keep = !exclude_matches(x, linktypes[l], buf_bytes(&b));
			check_inside(f, linktypes[l], buf_bytes(&b), keep);
			if (linktypes[l] != LINKTYPE_RAW)
				check_tag_beside(f, linktypes[l], buf_bytes(&b),
						 keep);
			kept += keep;
			all++;
			buf_release(&b);
		}
		filter_free(f);
	}
	/* The packets must try both answers often. */
	CHECK(kept > all / 5 && kept < all / 5 * 4);
}

TEST(this_kernel_runs_the_program_with_the_same_result)
{
	static const uint32_t linktypes[] = { LINKTYPE_ETHERNET, LINKTYPE_RAW };
	const struct exclude *x = rules();

	for (int l = 0; l < 2; l++) {
		struct filter *f = filter_of(linktypes[l], NULL, x);
		struct sock_fprog program;
		size_t n;
		int s[2];

		program.filter = (void *)(uintptr_t)filter_program(f, &n);
		program.len = (unsigned short)n;
		CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, s), 0);
		CHECK_EQ(setsockopt(s[1], SOL_SOCKET, SO_ATTACH_FILTER,
				    &program, sizeof(program)),
			 0);
		for (int i = 0; i < 20000; i++) {
			struct buf b = { 0 };
			uint8_t back[512];
			bool keep;

			put_packet(&b, linktypes[l]);
			keep = !exclude_matches(x, linktypes[l], buf_bytes(&b));
			CHECK(send(s[0], b.p, b.len, 0) >= 0);
			if ((recv(s[1], back, sizeof(back), MSG_DONTWAIT) >=
			     0) != keep)
				differ(linktypes[l], "in this kernel",
				       buf_bytes(&b));
			buf_release(&b);
		}
		close(s[0]);
		close(s[1]);
		filter_free(f);
	}
}

/* -- expressions --------------------------------------------------------- */

#define MACS	  "020000000001 020000000002"
#define UDP_TO_53 "4500001c 00010000 40110000 0a000001 0a000002 c0000035 0008"

TEST(the_expression_sees_the_bytes_as_they_are_stored)
{
	struct bytes plain = t_hex(MACS "0800" UDP_TO_53 "0000");
	struct bytes tagged = t_hex(MACS "8100 0005 0800" UDP_TO_53 "0000");
	struct packet p = { .data = plain, .wire_len = (uint32_t)plain.len };
	struct packet q = { .data = tagged, .wire_len = (uint32_t)tagged.len };
	struct beside none = { 0 }, tag = { .tag_present = 1 };
	struct filter *f = filter_of(LINKTYPE_ETHERNET, "udp port 53", NULL);

	CHECK(run(f, &none, plain) == 262144);
	CHECK(run(f, &none, tagged) == 0);
	/* Tag beside the frame: left to us, with the tag back in place. */
	CHECK(run(f, &tag, plain) == 262144);
	CHECK(filter_expression(f, &p));
	CHECK(!filter_expression(f, &q));
	filter_free(f);

	f = filter_of(LINKTYPE_ETHERNET, "vlan 5 and udp port 53", NULL);
	CHECK(run(f, &none, plain) == 0);
	CHECK(run(f, &none, tagged) == 262144);
	CHECK(run(f, &tag, plain) == 262144);
	CHECK(!filter_expression(f, &p));
	CHECK(filter_expression(f, &q));
	CHECK(filter_wants(f, &q));
	filter_free(f);
}

TEST(an_exclusion_beats_the_expression)
{
	struct exclude x = { 0 };
	struct err err = ERR_NONE;
	struct bytes plain = t_hex(MACS "0800" UDP_TO_53 "0000");
	struct packet p = { .data = plain, .wire_len = (uint32_t)plain.len };
	struct beside none = { 0 };
	struct filter *f;

	CHECK_OK(exclude_add_net(&x, "10.0.0.1", &err), &err);
	f = filter_of(LINKTYPE_ETHERNET, "udp", &x);
	CHECK(run(f, &none, plain) == 0);
	CHECK(!filter_wants(f, &p));
	filter_free(f);
	f = filter_of(LINKTYPE_LINUX_SLL2, "udp", NULL);
	CHECK(filter_is_late(f));
	CHECK(run(f, &none, t_hex("4500")) == 262144);
	filter_free(f);
}

TEST(other_exclusions_leave_the_expression_as_it_is)
{
	struct exclude x = { 0 };
	struct err err = ERR_NONE;
	struct bytes plain = t_hex(MACS "0800" UDP_TO_53 "0000");
	struct beside none = { 0 };
	struct filter *f = filter_of(LINKTYPE_ETHERNET, "udp port 53", NULL);
	struct filter *g, *h;

	CHECK_OK(exclude_add_net(&x, "10.0.0.1", &err), &err);
	g = filter_again(f, &x, &err);
	CHECK(g != NULL);
	h = filter_again(g, &(struct exclude){ 0 }, &err);
	CHECK(h != NULL);
	filter_free(f);
	CHECK(run(g, &none, plain) == 0);
	filter_free(g);
	CHECK(run(h, &none, plain) == 262144);
	CHECK(run(h, &none,
		  t_hex(MACS "0800"
			     "4500")) == 0);
	filter_free(h);
}

TEST(the_second_copy_on_a_loopback_is_dropped)
{
	struct filter *f = filter_of(LINKTYPE_ETHERNET, NULL, NULL);
	struct beside out = { .packet_type = PACKET_OUTGOING,
			      .hardware = ARPHRD_LOOPBACK };
	struct beside in = { .packet_type = PACKET_HOST,
			     .hardware = ARPHRD_LOOPBACK };
	struct beside wire = { .packet_type = PACKET_OUTGOING,
			       .hardware = ARPHRD_ETHER };

	CHECK(run(f, &out, t_hex("00")) == 0);
	CHECK(run(f, &in, t_hex("00")) == 262144);
	CHECK(run(f, &wire, t_hex("00")) == 262144);
	filter_free(f);
}

static int refused(const char *expression, const struct exclude *x,
		   struct err *err)
{
	struct filter_config cfg = { .expression = expression,
				     .exclude = x,
				     .linktype = LINKTYPE_ETHERNET,
				     .snaplen = 262144 };
	struct filter *f = filter_new(&cfg, err);

	CHECK(f == NULL);
	return err->code;
}

TEST(a_filter_that_fails_never_means_everything)
{
	struct err err = ERR_NONE;

	CHECK_EQ(refused("tcp prot 80", NULL, &err), ERR_USAGE);
	CHECK(strstr(err.text, "tcp prot 80") != NULL);
	err = ERR_NONE;
	CHECK_EQ(refused("inbound", NULL, &err), ERR_USAGE);
	err = ERR_NONE;
	CHECK_EQ(refused("ether[-1] = 0", NULL, &err), ERR_USAGE);
}

TEST(text_and_program_have_their_bounds)
{
	struct exclude x = { 0 };
	struct err err = ERR_NONE;
	struct buf b = { 0 };

	put_text(&b, "udp");
	while (b.len <= FILTER_TEXT_MAX)
		put_text(&b, " or udp");
	put_u8(&b, 0);
	CHECK_EQ(refused((char *)b.p, NULL, &err), ERR_LIMIT);
	CHECK(strstr(err.text, "8192") != NULL);
	/* As many IPv6 hosts as fit in no program. */
	for (int i = 0; i < EXCLUDE_NETS_MAX; i++)
		CHECK_OK(exclude_add_net(&x, "fd00::1", &err), &err);
	err = ERR_NONE;
	CHECK_EQ(refused(NULL, &x, &err), ERR_LIMIT);
	CHECK(strstr(err.text, "4096") != NULL);
	buf_release(&b);
}

TEST(all_links_at_their_cap_fit_beside_a_few_hosts)
{
	struct exclude x = { 0 };
	struct err err = ERR_NONE;
	struct buf b = { 0 };
	struct filter *f;

	for (int i = 0; i < EXCLUDE_LINKS_MAX; i++)
		put_format(&b, "fd00::1 7878 fd00::%x 50000\n", i + 2);
	CHECK_EQ(exclude_set_links(&x, buf_bytes(&b)), 0);
	for (int i = 0; i < 16; i++)
		CHECK_OK(exclude_add_net(&x, "fd01::1", &err), &err);
	f = filter_of(LINKTYPE_ETHERNET, "tcp or udp", &x);
	filter_free(f);
	buf_release(&b);
}
