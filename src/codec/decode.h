/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode.h - from the bytes of a frame to the flow it belongs to.
 *
 * One pure walk over the headers: link layer, VLAN, MPLS, PPPoE, IPv4 and
 * IPv6 with extension headers, tunnels to a depth, then TCP, UDP, SCTP or
 * ICMP.  It allocates nothing, keeps nothing and never reads past what was
 * captured.  Bad checksums and frames longer than the MTU are accepted, since
 * an offloading network card makes both.
 *
 * Sources: RFC 791, 8200 (IP), 9293 (TCP), 768 (UDP), 9260 (SCTP), 2784 and
 * 2890 (GRE), 7348 (VXLAN), 8926 (Geneve), 3032 (MPLS), 2516 (PPPoE), IEEE
 * 802.1Q, the LINKTYPE_ registry.
 */
#ifndef CODEC_DECODE_H
#define CODEC_DECODE_H

#include "base/bytes.h"

enum {
	DECODE_VLANS_MAX = 4,	/* kept; deeper tags are walked over */
	DECODE_TUNNELS_MAX = 8, /* deeper is DECODE_TOO_DEEP */
	DECODE_HEADERS_MAX = 40 /* of any kind in one frame */
};

enum decode_status {
	DECODE_OK,	 /* addresses, protocol and payload are set */
	DECODE_FRAGMENT, /* one piece of a datagram; see struct decoded_piece */
	DECODE_ARP,
	DECODE_NOT_IP,	 /* some other network protocol */
	DECODE_CUT,	 /* a header runs past what was captured */
	DECODE_BROKEN,	 /* a header contradicts itself */
	DECODE_TOO_DEEP, /* more tunnels or headers than we follow */
	DECODE_ODD_LINK, /* a link type that we do not read */
	DECODE_STATUSES
};

/* What was peeled off on the way, as bits. */
enum decode_tunnel {
	DECODE_GRE = 1,
	DECODE_ERSPAN = 2,
	DECODE_VXLAN = 4,
	DECODE_GENEVE = 8,
	DECODE_IP_IN_IP = 16,
	DECODE_MPLS = 32,
	DECODE_PPPOE = 64
};

enum ip_protocol {
	IP_ICMP = 1,
	IP_IN_IP = 4,
	IP_TCP = 6,
	IP_UDP = 17,
	IP_IN_IP6 = 41,
	IP_GRE = 47,
	IP_ICMP6 = 58,
	IP_SCTP = 132
};

enum tcp_flag {
	TCP_FIN = 1,
	TCP_SYN = 2,
	TCP_RST = 4,
	TCP_PSH = 8,
	TCP_ACK = 16,
	TCP_URG = 32
};

/* IPv4 lies in the last four bytes behind ::ffff:0:0/96. */
struct address {
	uint8_t b[16];
	uint8_t version; /* 4 or 6 */
};

struct decoded_tcp {
	uint32_t seq, ack;
	uint16_t window, urgent;
	uint8_t flags;
	struct bytes options;
};

/* A fragment: `data` is bytes [offset, offset + len) of what IP carries. */
struct decoded_piece {
	uint32_t id;
	uint32_t offset;
	bool more; /* not the last one */
	struct bytes data;
};

struct decoded_inner {
	struct bytes data;
	uint32_t linktype, wire_len;
};

struct decoded {
	enum decode_status status;
	uint8_t tunnels; /* bits of enum decode_tunnel */
	uint8_t depth;	 /* how many of them */
	uint8_t n_vlans;
	uint16_t vlans[DECODE_VLANS_MAX]; /* outermost first, id only */
	struct address src, dst;	  /* of the innermost IP header */
	uint8_t protocol;
	uint8_t ttl;
	uint16_t src_port, dst_port; /* 0 where there are none */
	struct decoded_tcp tcp;	     /* protocol IP_TCP */
	struct decoded_piece piece;  /* DECODE_FRAGMENT */
	struct bytes payload;	     /* borrowed from the frame */
	uint32_t missing; /* payload bytes on the wire, not captured */
	/* From the innermost IP header on, without what the link padded. */
	struct bytes network;
	/* What the innermost tunnel that was entered carries; the frame itself
	 * where none was. */
	struct decoded_inner inner;
};

/*
 * Walk one frame.  `wire_len` is its length on the wire.  All of *d is set.
 */
void decode_frame(uint32_t linktype, struct bytes frame, uint32_t wire_len,
		  struct decoded *d);

/*
 * The same, entering at most `depth` tunnels of those that IP carries (GRE,
 * ERSPAN, VXLAN, Geneve, IP in IP; ERSPAN inside GRE is one).  What is not
 * entered is a packet of its outer addresses.  MPLS and PPPoE belong to the
 * link layer and do not count.
 */
void decode_frame_to(uint32_t linktype, struct bytes frame, uint32_t wire_len,
		     unsigned depth, struct decoded *d);

/*
 * Go on where a fragment left off: `datagram` is the whole payload of an IP
 * packet whose pieces were put together; d is what the last piece gave.
 */
void decode_datagram(struct bytes datagram, struct decoded *d);

/* Which header of the link layer a type has: "ethernet", "linux_sll", … */
const char *decode_link_name(uint32_t linktype);

const char *decode_status_name(enum decode_status status);

/* "10.60.1.3" or "2001:db8::1"; returns out. */
enum { ADDRESS_TEXT = 46 };
char *address_text(char out[ADDRESS_TEXT], const struct address *a);

#endif
