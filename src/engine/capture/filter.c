/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program, in this order: the second copy of loopback traffic is dropped,
 * exclusions are dropped, the rest is left to the expression.  A load beyond
 * the end of a packet ends a classic BPF program with "drop", so every load of
 * the exclusions stands behind a comparison with the packet's length.
 */
#include "engine/capture/filter.h"

#include <linux/if_arp.h>
#include <linux/if_packet.h>
#include <pcap/pcap.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "engine/capture/exclude.h"
#include "engine/capture/filter_asm.h"
#include "engine/capture/linktype.h"

struct filter {
	uint32_t linktype;
	uint32_t snaplen;
	struct exclude exclude;
	struct bpf_program expression; /* bf_len 0: everything */
	struct program program;
};

enum label { KEEP, DROP, NETWORK, IS_IPV4, IS_IPV6, TWO_TAGS, A_TAG };

/* Scratch cells of the program. */
enum { AT_NETWORK, AT_TRANSPORT, BOTH_PORTS };

enum {
	LOAD_WORD = BPF_LD | BPF_W | BPF_ABS,
	LOAD_HALF = BPF_LD | BPF_H | BPF_ABS,
	LOAD_BYTE = BPF_LD | BPF_B | BPF_ABS,
	WORD_AT_X = BPF_LD | BPF_W | BPF_IND,
	HALF_AT_X = BPF_LD | BPF_H | BPF_IND,
	BYTE_AT_X = BPF_LD | BPF_B | BPF_IND,
	LOAD_LEN = BPF_LD | BPF_W | BPF_LEN,
	LOAD_CELL = BPF_LD | BPF_MEM,
	X_CELL = BPF_LDX | BPF_MEM,
	X_IS = BPF_LDX | BPF_IMM,
	AND = BPF_ALU | BPF_AND | BPF_K,
	ADD = BPF_ALU | BPF_ADD | BPF_K,
	ADD_X = BPF_ALU | BPF_ADD | BPF_X,
	LESS_X = BPF_ALU | BPF_SUB | BPF_X,
	SHIFT_LEFT = BPF_ALU | BPF_LSH | BPF_K,
	IS = BPF_JEQ | BPF_K,
	AT_LEAST = BPF_JGE | BPF_K,
	ANY_BIT = BPF_JSET | BPF_K,
	TCP = 6
};

static uint32_t word_of(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

/*
 * On a loopback interface each packet passes twice, once out and once in; the
 * copy on its way out is one too many.
 */
static void drop_loopback_echo(struct program *p)
{
	asm_op(p, LOAD_WORD, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE));
	asm_skip_unless(p, IS, PACKET_OUTGOING, 3);
	asm_op(p, LOAD_WORD, (uint32_t)(SKF_AD_OFF + SKF_AD_HATYPE));
	asm_if(p, IS, ARPHRD_LOOPBACK, DROP);
}

/*
 * The type is in the accumulator and belongs to what begins at `at`: look
 * through up to `tags` tags and go to NETWORK with the type in the accumulator
 * and X where the network header begins.
 */
static void look_through_tags(struct program *p, uint32_t at, int tags)
{
	for (; tags > 0; tags--, at += VLAN_TAG) {
		asm_if(p, IS, ETHERTYPE_VLAN, A_TAG);
		asm_if(p, IS, ETHERTYPE_QINQ, A_TAG);
		asm_if(p, IS, ETHERTYPE_QINQ_OLD, A_TAG);
		asm_op(p, X_IS, at);
		asm_goto(p, NETWORK);
		asm_label(p, A_TAG);
		asm_op(p, LOAD_LEN, 0);
		asm_unless(p, AT_LEAST, at + VLAN_TAG, KEEP);
		asm_op(p, LOAD_HALF, at + 2);
	}
	asm_op(p, X_IS, at);
	asm_goto(p, NETWORK);
}

/* Where does the network header begin, and which one is it? */
static void find_network(struct program *p, uint32_t linktype)
{
	bool ethernet = linktype == LINKTYPE_ETHERNET;
	uint32_t at = ethernet ? 14 : 0;

	asm_op(p, LOAD_LEN, 0);
	asm_unless(p, AT_LEAST, ethernet ? 14 : 1, KEEP);
	if (linktype == LINKTYPE_RAW) {
		asm_op(p, X_IS, 0);
		asm_op(p, LOAD_BYTE, 0);
		asm_op(p, AND, 0xf0);
		asm_if(p, IS, 0x40, IS_IPV4);
		asm_if(p, IS, 0x60, IS_IPV6);
		asm_goto(p, KEEP);
		return;
	}
	/* A tag beside the frame is the first of the two. */
	asm_op(p, LOAD_WORD, (uint32_t)(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT));
	asm_if(p, IS, 0, TWO_TAGS);
	for (int tags = 1; tags <= 2; tags++) {
		asm_op(p, ethernet ? LOAD_HALF : LOAD_WORD,
		       ethernet ? 12
				: (uint32_t)(SKF_AD_OFF + SKF_AD_PROTOCOL));
		look_through_tags(p, at, tags);
		if (tags == 1)
			asm_label(p, TWO_TAGS);
	}
	asm_label(p, NETWORK);
	asm_if(p, IS, ETHERTYPE_IPV4, IS_IPV4);
	asm_if(p, IS, ETHERTYPE_IPV6, IS_IPV6);
	asm_goto(p, KEEP);
}

/* X is where a header of at least `len` bytes and that version begins. */
static void check_header(struct program *p, uint32_t len, uint32_t version)
{
	asm_op(p, BPF_STX, AT_NETWORK);
	asm_op(p, LOAD_LEN, 0);
	asm_op(p, LESS_X, 0);
	asm_unless(p, AT_LEAST, len, KEEP);
	asm_op(p, BYTE_AT_X, 0);
	asm_op(p, AND, 0xf0);
	asm_unless(p, IS, version << 4, KEEP);
}

/* Drop when the address at X + at lies in the network. */
static void drop_net(struct program *p, const struct exclude_net *net,
		     uint32_t at)
{
	int words = (net->bits + 31) / 32;

	/* Each word costs three instructions, and the last a jump more. */
	for (int i = 0; i < words; i++) {
		int bits = net->bits - 32 * i;
		uint32_t mask = bits >= 32 ? UINT32_MAX : ~(UINT32_MAX >> bits);

		asm_op(p, WORD_AT_X, at + 4u * (uint32_t)i);
		asm_op(p, AND, mask);
		asm_skip_unless(p, IS, word_of(net->addr + 4 * i),
				(uint8_t)(3 * (words - 1 - i) + 1));
	}
	asm_goto(p, DROP);
}

static void drop_nets(struct program *p, const struct exclude *x, int version)
{
	uint32_t src = version == 4 ? 12 : 8, dst = version == 4 ? 16 : 24;

	for (int i = 0; i < x->n_nets; i++) {
		if (x->nets[i].version != version)
			continue;
		drop_net(p, &x->nets[i], src);
		drop_net(p, &x->nets[i], dst);
	}
}

static void drop_address_pair(struct program *p, const struct exclude_link *l,
			      int from)
{
	const struct exclude_end *src = &l->end[from], *dst = &l->end[!from];
	int words = l->version == 4 ? 1 : 4;
	uint32_t at = l->version == 4 ? 12 : 8;

	asm_op(p, LOAD_CELL, BOTH_PORTS);
	asm_skip_unless(p, IS, (uint32_t)src->port << 16 | dst->port,
			(uint8_t)(4 * words + 1));
	for (int i = 0; i < 2 * words; i++) {
		const uint8_t *addr = i < words ? src->addr + 4 * i
						: dst->addr + 4 * (i - words);

		asm_op(p, WORD_AT_X, at + 4u * (uint32_t)i);
		asm_skip_unless(p, IS, word_of(addr),
				(uint8_t)(2 * (2 * words - 1 - i) + 1));
	}
	asm_goto(p, DROP);
}

/* X is where the ports are, AT_NETWORK holds where the addresses are. */
static void drop_ports(struct program *p, const struct exclude *x, int version)
{
	asm_op(p, BPF_STX, AT_TRANSPORT);
	asm_op(p, BPF_MISC | BPF_TXA, 0);
	asm_op(p, ADD, 4);
	asm_op(p, BPF_MISC | BPF_TAX, 0);
	asm_op(p, LOAD_LEN, 0);
	asm_unless(p, BPF_JGE | BPF_X, 0, KEEP);
	asm_op(p, X_CELL, AT_TRANSPORT);
	for (uint32_t at = 0; at < 4 && x->n_ports; at += 2) {
		asm_op(p, HALF_AT_X, at);
		for (int i = 0; i < x->n_ports; i++)
			asm_if(p, IS, x->ports[i], DROP);
	}
	asm_op(p, WORD_AT_X, 0);
	asm_op(p, BPF_ST, BOTH_PORTS);
	asm_op(p, X_CELL, AT_NETWORK);
	for (int i = 0; i < x->n_links; i++) {
		if (x->links[i].version != version)
			continue;
		drop_address_pair(p, &x->links[i], 0);
		drop_address_pair(p, &x->links[i], 1);
	}
	asm_goto(p, KEEP);
}

static void exclude_ipv4(struct program *p, const struct exclude *x)
{
	asm_label(p, IS_IPV4);
	check_header(p, 20, 4);
	drop_nets(p, x, 4);
	asm_op(p, BYTE_AT_X, 9);
	asm_unless(p, IS, TCP, KEEP);
	asm_op(p, HALF_AT_X, 6);
	asm_if(p, ANY_BIT, 0x1fff, KEEP); /* not the first fragment */
	asm_op(p, BYTE_AT_X, 0);
	asm_op(p, AND, 15);
	asm_op(p, SHIFT_LEFT, 2);
	asm_unless(p, AT_LEAST, 20, KEEP);
	asm_op(p, ADD_X, 0);
	asm_op(p, BPF_MISC | BPF_TAX, 0);
	drop_ports(p, x, 4);
}

static void exclude_ipv6(struct program *p, const struct exclude *x)
{
	asm_label(p, IS_IPV6);
	check_header(p, 40, 6);
	drop_nets(p, x, 6);
	asm_op(p, BYTE_AT_X, 6);
	asm_unless(p, IS, TCP, KEEP);
	asm_op(p, BPF_MISC | BPF_TXA, 0);
	asm_op(p, ADD, 40);
	asm_op(p, BPF_MISC | BPF_TAX, 0);
	drop_ports(p, x, 6);
}

static bool understood(uint32_t linktype)
{
	return linktype == LINKTYPE_ETHERNET || linktype == LINKTYPE_RAW ||
	       linktype == LINKTYPE_LINUX_SLL2;
}

static void put_program(struct filter *f)
{
	struct program *p = &f->program;

	drop_loopback_echo(p);
	if (!exclude_is_empty(&f->exclude) && understood(f->linktype)) {
		find_network(p, f->linktype);
		exclude_ipv4(p, &f->exclude);
		exclude_ipv6(p, &f->exclude);
	} else {
		asm_goto(p, KEEP);
	}
	asm_label(p, DROP);
	asm_op(p, BPF_RET | BPF_K, 0);
	asm_label(p, KEEP);
	if (f->expression.bf_len && !filter_is_late(f)) {
		asm_op(p, LOAD_WORD,
		       (uint32_t)(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT));
		asm_skip_unless(p, BPF_JGT | BPF_K, 0, 1);
		asm_op(p, BPF_RET | BPF_K, f->snaplen);
		put_bytes(&p->code, bytes_of(f->expression.bf_insns,
					     f->expression.bf_len *
						     sizeof(struct bpf_insn)));
	} else {
		asm_op(p, BPF_RET | BPF_K, f->snaplen);
	}
}

/* Direction, interface, mark: what a stored packet cannot tell any more. */
static bool asks_beyond_the_bytes(const struct bpf_program *program)
{
	for (u_int i = 0; i < program->bf_len; i++) {
		const struct bpf_insn *in = &program->bf_insns[i];

		if (BPF_CLASS(in->code) == BPF_LD &&
		    BPF_MODE(in->code) == BPF_ABS && (int32_t)in->k < 0)
			return true;
	}
	return false;
}

static int compile(struct filter *f, const struct filter_config *cfg,
		   struct err *err)
{
	/* What a file calls 101 the library calls 12. */
	int dlt = cfg->linktype == LINKTYPE_RAW ? DLT_RAW : (int)cfg->linktype;
	pcap_t *dead = pcap_open_dead(dlt, (int)cfg->snaplen);

	if (!dead)
		return err_set(err, ERR_FAILED, "no memory for the filter");
	if (pcap_compile(dead, &f->expression, cfg->expression, 1,
			 PCAP_NETMASK_UNKNOWN) < 0) {
		err_set(err, ERR_USAGE,
			"the filter \"%.200s\" is wrong for "
			"link type %u: %s",
			cfg->expression, cfg->linktype, pcap_geterr(dead));
		pcap_close(dead);
		return err->code;
	}
	pcap_close(dead);
	if (asks_beyond_the_bytes(&f->expression))
		return err_set(err, ERR_USAGE,
			       "the filter \"%.200s\" asks for the direction "
			       "or the interface, which a stored packet does "
			       "not tell; give addresses or ports instead",
			       cfg->expression);
	return 0;
}

/* Write the program and look at its size; takes the filter. */
static struct filter *finish(struct filter *f, struct err *err)
{
	size_t n;

	put_program(f);
	n = program_len(&f->program);
	if (n <= FILTER_PROGRAM_MAX)
		return f;
	err_set(err, ERR_LIMIT,
		"the filter and the exclusions make %zu "
		"instructions; the kernel takes %d: name networks instead of "
		"hosts",
		n, FILTER_PROGRAM_MAX);
	filter_free(f);
	return NULL;
}

struct filter *filter_new(const struct filter_config *cfg, struct err *err)
{
	const char *text = cfg->expression ? cfg->expression : "";
	struct filter *f;

	if (strlen(text) > FILTER_TEXT_MAX) {
		err_set(err, ERR_LIMIT,
			"the filter has %zu bytes; %d are the "
			"most",
			strlen(text), FILTER_TEXT_MAX);
		return NULL;
	}
	f = mem_alloc(sizeof(*f));
	f->linktype = cfg->linktype;
	f->snaplen = cfg->snaplen;
	if (cfg->exclude)
		f->exclude = *cfg->exclude;
	if (text[strspn(text, " \t\n")] && compile(f, cfg, err) < 0) {
		filter_free(f);
		return NULL;
	}
	return finish(f, err);
}

struct filter *filter_again(const struct filter *f, const struct exclude *x,
			    struct err *err)
{
	struct filter *g = mem_alloc(sizeof(*g));
	size_t size = f->expression.bf_len * sizeof(struct bpf_insn);

	g->linktype = f->linktype;
	g->snaplen = f->snaplen;
	g->exclude = *x;
	if (size) {
		g->expression.bf_len = f->expression.bf_len;
		g->expression.bf_insns = mem_alloc(size);
		memcpy(g->expression.bf_insns, f->expression.bf_insns, size);
	}
	return finish(g, err);
}

void filter_free(struct filter *f)
{
	if (!f)
		return;
	program_release(&f->program);
	pcap_freecode(&f->expression);
	free(f);
}

const struct sock_filter *filter_program(const struct filter *f, size_t *n)
{
	*n = program_len(&f->program);
	return (const struct sock_filter *)(const void *)f->program.code.p;
}

bool filter_expression(const struct filter *f, const struct packet *p)
{
	if (!f->expression.bf_len)
		return true;
	return bpf_filter(f->expression.bf_insns, p->data.p, p->wire_len,
			  (u_int)p->data.len) != 0;
}

bool filter_wants(const struct filter *f, const struct packet *p)
{
	return !exclude_matches(&f->exclude, f->linktype, p->data) &&
	       filter_expression(f, p);
}

bool filter_is_late(const struct filter *f)
{
	return f->expression.bf_len && f->linktype == LINKTYPE_LINUX_SLL2;
}
