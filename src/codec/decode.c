/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode.c - one function a header; each says which header comes next.
 */
#include "codec/decode.h"

#include <arpa/inet.h>
#include <limits.h>

#include "base/cursor.h"

/* The header that comes next, or how the walk ends. */
enum next {
	NEXT_ETHERNET,
	NEXT_ETHERTYPE, /* w->type names it */
	NEXT_IP,	/* the first nibble tells which */
	NEXT_IP4,
	NEXT_IP6,
	NEXT_MPLS,
	NEXT_PPPOE,
	NEXT_PPP,
	NEXT_TRANSPORT, /* w->type is the IP protocol number */
	NEXT_GRE,
	NEXT_ERSPAN2,
	NEXT_ERSPAN3,
	NEXT_VXLAN,
	NEXT_GENEVE,
	NEXT_SLL,
	NEXT_SLL2,
	NEXT_NULL,
	NEXT_LOOP,
	NEXT_HDLC,
	NEXT_END /* d->status says how */
};

struct walk {
	struct cursor c;
	uint32_t lost; /* wire bytes behind the cursor's end, not captured */
	uint32_t type;
	unsigned tunnels_left; /* that may be entered */
	struct decoded *d;
};

enum ethertype {
	TYPE_IP4 = 0x0800,
	TYPE_ARP = 0x0806,
	TYPE_TEB = 0x6558, /* Ethernet inside GRE, Geneve */
	TYPE_VLAN = 0x8100,
	TYPE_IP6 = 0x86dd,
	TYPE_MPLS = 0x8847,
	TYPE_MPLS_MULTICAST = 0x8848,
	TYPE_PPPOE = 0x8864,
	TYPE_ERSPAN2 = 0x88be,
	TYPE_ERSPAN3 = 0x22eb,
	TYPE_QINQ = 0x88a8,
	TYPE_QINQ_OLD = 0x9100
};

enum {
	PORT_VXLAN = 4789,
	PORT_GENEVE = 6081,
	LENGTH_NOT_TYPE = 0x600, /* smaller: IEEE 802.3 length */
	EXTENSIONS_MAX = 8,	 /* IPv6 extension headers in a row */
	LINK_ETHERNET = 1,
	LINK_RAW = 101
};

static enum next end(struct walk *w, enum decode_status status)
{
	w->d->status = status;
	return NEXT_END;
}

/* Every header asks this once, after its last field. */
static enum next unless_cut(struct walk *w, enum next next)
{
	return w->c.short_ ? end(w, DECODE_CUT) : next;
}

/* What begins here is a frame of its own, where its kind has a link type. */
static void keep_inner(struct walk *w, enum next next)
{
	bool ip = next == NEXT_IP || next == NEXT_IP4 || next == NEXT_IP6 ||
		  (next == NEXT_ETHERTYPE &&
		   (w->type == TYPE_IP4 || w->type == TYPE_IP6));
	bool ethernet = next == NEXT_ETHERNET ||
			(next == NEXT_ETHERTYPE && w->type == TYPE_TEB);

	if (!ip && !ethernet)
		return;
	w->d->inner = (struct decoded_inner){
		.data = bytes_of(w->c.p, w->c.len),
		.linktype = ip ? LINK_RAW : LINK_ETHERNET,
		.wire_len = (uint32_t)w->c.len + w->lost,
	};
}

static enum next enter_tunnel(struct walk *w, enum decode_tunnel kind,
			      enum next next)
{
	struct decoded *d = w->d;

	if (w->c.short_)
		return end(w, DECODE_CUT);
	if (d->depth == DECODE_TUNNELS_MAX)
		return end(w, DECODE_TOO_DEEP);
	d->depth++;
	d->tunnels |= (uint8_t)kind;
	if (kind != DECODE_MPLS && kind != DECODE_PPPOE)
		keep_inner(w, next);
	return next;
}

/* -- link layers ---------------------------------------------------------- */

static enum next ethernet(struct walk *w)
{
	skip_bytes(&w->c, 12);
	w->type = get_be16(&w->c);
	return unless_cut(w, NEXT_ETHERTYPE);
}

static enum next sll(struct walk *w)
{
	skip_bytes(&w->c, 14);
	w->type = get_be16(&w->c);
	return unless_cut(w, NEXT_ETHERTYPE);
}

static enum next sll2(struct walk *w)
{
	w->type = get_be16(&w->c);
	skip_bytes(&w->c, 18);
	return unless_cut(w, NEXT_ETHERTYPE);
}

/* BSD's loopback: the address family in the byte order of the capturer. */
static enum next loopback(struct walk *w)
{
	uint32_t family = get_le32(&w->c);

	if (w->c.short_)
		return end(w, DECODE_CUT);
	if (family > 0xffff)
		family = __builtin_bswap32(family);
	switch (family) {
	case 2:
		return NEXT_IP4;
	case 10: /* Linux */
	case 24: /* NetBSD, OpenBSD */
	case 28: /* FreeBSD */
	case 30: /* macOS */
		return NEXT_IP6;
	default:
		return end(w, DECODE_NOT_IP);
	}
}

static enum next hdlc(struct walk *w)
{
	skip_bytes(&w->c, 2);
	w->type = get_be16(&w->c);
	return unless_cut(w, NEXT_ETHERTYPE);
}

static enum next vlan(struct walk *w)
{
	uint16_t tci = get_be16(&w->c);
	struct decoded *d = w->d;

	w->type = get_be16(&w->c);
	if (!w->c.short_ && d->n_vlans < DECODE_VLANS_MAX)
		d->vlans[d->n_vlans++] = tci & 0xfff;
	return unless_cut(w, NEXT_ETHERTYPE);
}

static enum next ethertype(struct walk *w)
{
	switch (w->type) {
	case TYPE_IP4:
		return NEXT_IP4;
	case TYPE_IP6:
		return NEXT_IP6;
	case TYPE_VLAN:
	case TYPE_QINQ:
	case TYPE_QINQ_OLD:
		return vlan(w);
	case TYPE_ARP:
		return end(w, DECODE_ARP);
	case TYPE_MPLS:
	case TYPE_MPLS_MULTICAST:
		return NEXT_MPLS;
	case TYPE_PPPOE:
		return NEXT_PPPOE;
	case TYPE_TEB:
		return NEXT_ETHERNET;
	case TYPE_ERSPAN2:
		return NEXT_ERSPAN2;
	case TYPE_ERSPAN3:
		return NEXT_ERSPAN3;
	default:
		return end(w, DECODE_NOT_IP);
	}
}

/* The label stack says nothing of what it carries; a nibble has to do. */
static enum next mpls(struct walk *w)
{
	uint32_t entry = get_be32(&w->c);

	if (w->c.short_)
		return end(w, DECODE_CUT);
	if (!(entry & 0x100)) /* not the bottom of the stack */
		return NEXT_MPLS;
	if (!w->c.len)
		return end(w, DECODE_CUT);
	if (w->c.p[0] >> 4 == 0) {
		skip_bytes(&w->c, 4); /* control word, RFC 4385 */
		return enter_tunnel(w, DECODE_MPLS, NEXT_ETHERNET);
	}
	return enter_tunnel(w, DECODE_MPLS, NEXT_IP);
}

static enum next ppp(struct walk *w)
{
	uint32_t protocol;

	/* Address and control are often left out; Cisco's differ. */
	if (w->c.len >= 2 && w->c.p[0] == 0xff && w->c.p[1] == 0x03)
		skip_bytes(&w->c, 2);
	else if (w->c.len >= 2 && (w->c.p[0] & 0x7f) == 0x0f && !w->c.p[1])
		return NEXT_HDLC;
	protocol = get_u8(&w->c);
	if (!(protocol & 1)) /* not compressed to one byte */
		protocol = protocol << 8 | get_u8(&w->c);
	if (w->c.short_)
		return end(w, DECODE_CUT);
	switch (protocol) {
	case 0x21:
		return NEXT_IP4;
	case 0x57:
		return NEXT_IP6;
	case 0x281:
		return NEXT_MPLS;
	default:
		return end(w, DECODE_NOT_IP);
	}
}

static enum next pppoe(struct walk *w)
{
	skip_bytes(&w->c, 6);
	return enter_tunnel(w, DECODE_PPPOE, NEXT_PPP);
}

/* -- IP ------------------------------------------------------------------- */

static struct address address4(struct cursor *c)
{
	struct address a = { .version = 4, .b = { [10] = 0xff, [11] = 0xff } };
	struct bytes b = get_bytes(c, 4);

	if (b.len)
		memcpy(a.b + 12, b.p, 4);
	return a;
}

static struct address address6(struct cursor *c)
{
	struct address a = { .version = 6 };
	struct bytes b = get_bytes(c, 16);

	if (b.len)
		memcpy(a.b, b.p, 16);
	return a;
}

/*
 * IP says that `len` bytes follow.  What the link layer padded is cut off;
 * what was not captured is counted.
 */
static void bound_to(struct walk *w, uint32_t len)
{
	if (len <= w->c.len) {
		w->c.len = len;
		w->lost = 0;
	} else {
		w->lost = len - (uint32_t)w->c.len;
	}
}

static enum next fragment(struct walk *w, uint32_t id, uint32_t offset,
			  bool more)
{
	w->d->piece = (struct decoded_piece){
		.id = id,
		.offset = offset,
		.more = more,
		.data = get_rest(&w->c),
	};
	w->d->missing = w->lost;
	return end(w, DECODE_FRAGMENT);
}

static enum next ip4(struct walk *w)
{
	size_t captured = w->c.len;
	uint8_t first = get_u8(&w->c);
	uint32_t head = (first & 15u) * 4;
	uint32_t total, id, frag;

	skip_bytes(&w->c, 1);
	total = get_be16(&w->c);
	id = get_be16(&w->c);
	frag = get_be16(&w->c);
	w->d->ttl = get_u8(&w->c);
	w->type = w->d->protocol = get_u8(&w->c);
	skip_bytes(&w->c, 2);
	w->d->src = address4(&w->c);
	w->d->dst = address4(&w->c);
	if (w->c.short_)
		return end(w, DECODE_CUT);
	/* A frame of segmentation offload may leave the length at zero. */
	if (total == 0)
		total = (uint32_t)captured + w->lost;
	if (first >> 4 != 4 || head < 20 || total < head)
		return end(w, DECODE_BROKEN);
	skip_bytes(&w->c, head - 20);
	if (w->c.short_)
		return end(w, DECODE_CUT);
	bound_to(w, total - head);
	w->d->network = bytes_of(w->c.p - head, w->c.len + head);
	if (frag & 0x3fff)
		return fragment(w, id, (frag & 0x1fff) * 8, frag & 0x2000);
	return NEXT_TRANSPORT;
}

/* Hop-by-hop, routing, destination options, mobility, HIP, shim6. */
static bool is_extension(uint32_t type)
{
	return type == 0 || type == 43 || type == 60 || type == 135 ||
	       type == 139 || type == 140;
}

static enum next extensions(struct walk *w)
{
	enum { FRAGMENT = 44, AUTHENTICATION = 51 };

	for (int i = 0; i <= EXTENSIONS_MAX; i++) {
		uint32_t len;

		if (w->type == FRAGMENT) {
			uint32_t next = get_u8(&w->c);
			uint32_t at, id;

			skip_bytes(&w->c, 1);
			at = get_be16(&w->c);
			id = get_be32(&w->c);
			if (w->c.short_)
				return end(w, DECODE_CUT);
			w->type = w->d->protocol = (uint8_t)next;
			/* An atomic fragment is whole (RFC 6946). */
			if (at & 0xfff9)
				return fragment(w, id, at & 0xfff8u, at & 1);
			continue;
		}
		if (w->type == AUTHENTICATION) {
			w->type = get_u8(&w->c);
			len = (get_u8(&w->c) + 2u) * 4;
		} else if (is_extension(w->type)) {
			w->type = get_u8(&w->c);
			len = (get_u8(&w->c) + 1u) * 8;
		} else {
			w->d->protocol = (uint8_t)w->type;
			return NEXT_TRANSPORT;
		}
		skip_bytes(&w->c, len - 2);
		if (w->c.short_)
			return end(w, DECODE_CUT);
	}
	return end(w, DECODE_TOO_DEEP);
}

static enum next ip6(struct walk *w)
{
	size_t captured = w->c.len;
	uint8_t first = get_u8(&w->c);
	uint32_t len;

	skip_bytes(&w->c, 3);
	len = get_be16(&w->c);
	w->type = get_u8(&w->c);
	w->d->ttl = get_u8(&w->c);
	w->d->src = address6(&w->c);
	w->d->dst = address6(&w->c);
	if (w->c.short_)
		return end(w, DECODE_CUT);
	if (first >> 4 != 6)
		return end(w, DECODE_BROKEN);
	if (len == 0) /* offload, or a jumbogram */
		len = (uint32_t)captured - 40 + w->lost;
	bound_to(w, len);
	w->d->network = bytes_of(w->c.p - 40, w->c.len + 40);
	return extensions(w);
}

static enum next ip_any(struct walk *w)
{
	if (!w->c.len)
		return end(w, DECODE_CUT);
	switch (w->c.p[0] >> 4) {
	case 4:
		return NEXT_IP4;
	case 6:
		return NEXT_IP6;
	default:
		return end(w, DECODE_NOT_IP);
	}
}

/* -- tunnels -------------------------------------------------------------- */

static enum next gre(struct walk *w)
{
	uint16_t flags = get_be16(&w->c);
	uint16_t type = get_be16(&w->c);
	bool sequence = flags & 0x1000;

	w->type = type;
	if ((flags & 7) == 1) { /* PPTP, RFC 2637 */
		skip_bytes(&w->c, 4);
		skip_bytes(&w->c, sequence ? 4 : 0);
		skip_bytes(&w->c, flags & 0x80 ? 4 : 0);
		return enter_tunnel(w, DECODE_GRE, NEXT_PPP);
	}
	skip_bytes(&w->c, flags & 0xc000 ? 4 : 0); /* checksum, offset */
	skip_bytes(&w->c, flags & 0x2000 ? 4 : 0); /* key */
	skip_bytes(&w->c, sequence ? 4 : 0);
	/* ERSPAN type I has no header of its own and no sequence number. */
	if (type == TYPE_ERSPAN2 && !sequence)
		return enter_tunnel(w, DECODE_ERSPAN, NEXT_ETHERNET);
	return enter_tunnel(w, DECODE_GRE, NEXT_ETHERTYPE);
}

static enum next erspan2(struct walk *w)
{
	skip_bytes(&w->c, 8);
	return enter_tunnel(w, DECODE_ERSPAN, NEXT_ETHERNET);
}

static enum next erspan3(struct walk *w)
{
	uint16_t flags;

	skip_bytes(&w->c, 10);
	flags = get_be16(&w->c);
	skip_bytes(&w->c, flags & 1 ? 8 : 0); /* platform subheader */
	/* Frame type 2 carries IP without an Ethernet header. */
	return enter_tunnel(w, DECODE_ERSPAN,
			    (flags >> 11 & 31) == 2 ? NEXT_IP : NEXT_ETHERNET);
}

static enum next vxlan(struct walk *w)
{
	skip_bytes(&w->c, 8);
	return enter_tunnel(w, DECODE_VXLAN, NEXT_ETHERNET);
}

static enum next geneve(struct walk *w)
{
	uint8_t options = get_u8(&w->c) & 0x3f;

	skip_bytes(&w->c, 1);
	w->type = get_be16(&w->c);
	skip_bytes(&w->c, 4 + options * 4u);
	return enter_tunnel(w, DECODE_GENEVE, NEXT_ETHERTYPE);
}

/* -- transport ------------------------------------------------------------ */

static enum next whole(struct walk *w)
{
	w->d->payload = get_rest(&w->c);
	w->d->missing = w->lost;
	return end(w, DECODE_OK);
}

static enum next tcp(struct walk *w)
{
	struct decoded_tcp *t = &w->d->tcp;
	uint16_t flags;
	uint32_t head;

	w->d->src_port = get_be16(&w->c);
	w->d->dst_port = get_be16(&w->c);
	t->seq = get_be32(&w->c);
	t->ack = get_be32(&w->c);
	flags = get_be16(&w->c);
	t->window = get_be16(&w->c);
	skip_bytes(&w->c, 2);
	t->urgent = get_be16(&w->c);
	head = (flags >> 12) * 4u;
	t->flags = (uint8_t)flags;
	if (w->c.short_)
		return end(w, DECODE_CUT);
	if (head < 20)
		return end(w, DECODE_BROKEN);
	t->options = get_bytes(&w->c, head - 20);
	return w->c.short_ ? end(w, DECODE_CUT) : whole(w);
}

/* A tunnel over UDP is believed when its fixed bits are right. */
static bool looks_like_vxlan(struct cursor c)
{
	uint32_t flags = get_be32(&c);

	return !c.short_ && c.len > 4 + 14 && flags == 0x08000000;
}

static bool looks_like_geneve(struct cursor c)
{
	uint8_t version = get_u8(&c) >> 6;
	uint8_t flags = get_u8(&c);
	uint16_t type = get_be16(&c);

	return !c.short_ && version == 0 && !(flags & 0x3f) &&
	       (type == TYPE_TEB || type == TYPE_IP4 || type == TYPE_IP6);
}

/* One that was allowed; ERSPAN inside GRE is entered with it. */
static enum next tunnel(struct walk *w, enum next next)
{
	w->tunnels_left--;
	return next;
}

static enum next udp(struct walk *w)
{
	uint32_t len;

	w->d->src_port = get_be16(&w->c);
	w->d->dst_port = get_be16(&w->c);
	len = get_be16(&w->c);
	skip_bytes(&w->c, 2);
	if (w->c.short_)
		return end(w, DECODE_CUT);
	/* Zero: a jumbogram or offload; the IP length stands. */
	if (len >= 8 && len - 8 < w->c.len + w->lost)
		bound_to(w, len - 8);
	else if (len && len < 8)
		return end(w, DECODE_BROKEN);
	if (!w->tunnels_left)
		return whole(w);
	if (w->d->dst_port == PORT_VXLAN && looks_like_vxlan(w->c))
		return tunnel(w, NEXT_VXLAN);
	if (w->d->dst_port == PORT_GENEVE && looks_like_geneve(w->c))
		return tunnel(w, NEXT_GENEVE);
	return whole(w);
}

static enum next sctp(struct walk *w)
{
	w->d->src_port = get_be16(&w->c);
	w->d->dst_port = get_be16(&w->c);
	skip_bytes(&w->c, 8);
	return w->c.short_ ? end(w, DECODE_CUT) : whole(w);
}

static enum next transport(struct walk *w)
{
	bool ip = w->type == IP_IN_IP || w->type == IP_IN_IP6;

	if (ip || w->type == IP_GRE) {
		if (!w->tunnels_left)
			return whole(w);
		w->tunnels_left--;
	}
	switch (w->type) {
	case IP_TCP:
		return tcp(w);
	case IP_UDP:
		return udp(w);
	case IP_SCTP:
		return sctp(w);
	case IP_IN_IP:
		return enter_tunnel(w, DECODE_IP_IN_IP, NEXT_IP4);
	case IP_IN_IP6:
		return enter_tunnel(w, DECODE_IP_IN_IP, NEXT_IP6);
	case IP_GRE:
		return NEXT_GRE;
	default: /* ICMP and all others: the payload is theirs to read */
		return whole(w);
	}
}

/* -- the walk ------------------------------------------------------------- */

static enum next (*const headers[])(struct walk *) = {
	[NEXT_ETHERNET] = ethernet,
	[NEXT_ETHERTYPE] = ethertype,
	[NEXT_IP] = ip_any,
	[NEXT_IP4] = ip4,
	[NEXT_IP6] = ip6,
	[NEXT_MPLS] = mpls,
	[NEXT_PPPOE] = pppoe,
	[NEXT_PPP] = ppp,
	[NEXT_TRANSPORT] = transport,
	[NEXT_GRE] = gre,
	[NEXT_ERSPAN2] = erspan2,
	[NEXT_ERSPAN3] = erspan3,
	[NEXT_VXLAN] = vxlan,
	[NEXT_GENEVE] = geneve,
	[NEXT_SLL] = sll,
	[NEXT_SLL2] = sll2,
	[NEXT_NULL] = loopback,
	[NEXT_LOOP] = loopback,
	[NEXT_HDLC] = hdlc,
};

static const struct {
	uint32_t linktype;
	enum next first;
	const char *name;
} links[] = {
	{ 0, NEXT_NULL, "bsd_loopback" }, { 1, NEXT_ETHERNET, "ethernet" },
	{ 9, NEXT_PPP, "ppp" },		  { 12, NEXT_IP, "raw_ip" },
	{ 14, NEXT_IP, "raw_ip" },	  { 50, NEXT_PPP, "ppp" },
	{ 51, NEXT_PPPOE, "pppoe" },	  { 101, NEXT_IP, "raw_ip" },
	{ 104, NEXT_HDLC, "hdlc" },	  { 108, NEXT_LOOP, "bsd_loopback" },
	{ 113, NEXT_SLL, "linux_sll" },	  { 228, NEXT_IP4, "raw_ip" },
	{ 229, NEXT_IP6, "raw_ip" },	  { 276, NEXT_SLL2, "linux_sll2" },
};

static void walk(struct walk *w, enum next next)
{
	for (int i = 0; next != NEXT_END; i++) {
		if (i == DECODE_HEADERS_MAX) {
			w->d->status = DECODE_TOO_DEEP;
			return;
		}
		next = headers[next](w);
	}
}

void decode_frame_to(uint32_t linktype, struct bytes frame, uint32_t wire_len,
		     unsigned depth, struct decoded *d)
{
	struct walk w = { .c = cursor_on(frame),
			  .tunnels_left = depth,
			  .d = d };

	*d = (struct decoded){ .status = DECODE_ODD_LINK,
			       .inner = { frame, linktype, wire_len } };
	if (wire_len > frame.len)
		w.lost = wire_len - (uint32_t)frame.len;
	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++)
		if (links[i].linktype == linktype) {
			walk(&w, links[i].first);
			return;
		}
}

void decode_frame(uint32_t linktype, struct bytes frame, uint32_t wire_len,
		  struct decoded *d)
{
	decode_frame_to(linktype, frame, wire_len, UINT_MAX, d);
}

void decode_datagram(struct bytes datagram, struct decoded *d)
{
	struct walk w = { .c = cursor_on(datagram),
			  .type = d->protocol,
			  .tunnels_left = UINT_MAX,
			  .d = d };

	if (d->src.version == 6)
		walk(&w, extensions(&w));
	else
		walk(&w, NEXT_TRANSPORT);
}

const char *decode_link_name(uint32_t linktype)
{
	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++)
		if (links[i].linktype == linktype)
			return links[i].name;
	return "unsupported";
}

const char *decode_status_name(enum decode_status status)
{
	static const char *const names[DECODE_STATUSES] = {
		[DECODE_OK] = "ok",
		[DECODE_FRAGMENT] = "fragment",
		[DECODE_ARP] = "arp",
		[DECODE_NOT_IP] = "not_ip",
		[DECODE_CUT] = "cut",
		[DECODE_BROKEN] = "broken",
		[DECODE_TOO_DEEP] = "too_deep",
		[DECODE_ODD_LINK] = "odd_link",
	};

	return names[status];
}

char *address_text(char out[ADDRESS_TEXT], const struct address *a)
{
	if (a->version == 4)
		inet_ntop(AF_INET, a->b + 12, out, ADDRESS_TEXT);
	else
		inet_ntop(AF_INET6, a->b, out, ADDRESS_TEXT);
	return out;
}
