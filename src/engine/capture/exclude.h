/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exclude.h - which packets are left out of a capture, and why.
 *
 * Three reasons: the exact addresses and ports of a live link of ours, a TCP
 * port, a host or network.  Both directions count.  Whatever cannot be read
 * for certain is kept: a fragment that is not the first has no ports, a
 * header cut short or one behind an IPv6 extension header is not guessed at,
 * other protocols have no TCP ports.  One or two VLAN tags are looked through.
 *
 * exclude_matches() decides for bytes as they are stored; filter.h turns the
 * same rules into a program for the kernel.  Pure: no clock, no descriptor.
 */
#ifndef ENGINE_CAPTURE_EXCLUDE_H
#define ENGINE_CAPTURE_EXCLUDE_H

#include "base/bytes.h"

struct buf;
struct err;

enum { EXCLUDE_PORTS_MAX = 64, EXCLUDE_NETS_MAX = 256, EXCLUDE_LINKS_MAX = 64 };

/* Network order; the first 4 bytes for IPv4. */
struct exclude_net {
	uint8_t version; /* 4 or 6 */
	uint8_t bits;	 /* bits behind the prefix are zero */
	uint8_t addr[16];
};

struct exclude_end {
	uint8_t addr[16];
	uint16_t port;
};

struct exclude_link {
	uint8_t version;
	struct exclude_end end[2];
};

struct exclude {
	uint16_t ports[EXCLUDE_PORTS_MAX];
	int n_ports;
	struct exclude_net nets[EXCLUDE_NETS_MAX];
	int n_nets;
	struct exclude_link links[EXCLUDE_LINKS_MAX];
	int n_links;
};

static inline bool exclude_is_empty(const struct exclude *x)
{
	return x->n_ports + x->n_nets + x->n_links == 0;
}

/* "7878".  0 or ERR_USAGE; a port that is there already counts once. */
int exclude_add_port(struct exclude *x, const char *text, struct err *err);

/* "10.0.0.7", "10.0.0.0/8", "fd00::/8".  0 or ERR_USAGE. */
int exclude_add_net(struct exclude *x, const char *text, struct err *err);

/*
 * Replace the links by those in the text of a links file: one a line, "address
 * port address port" (doc/capture.md).  Lines that are not of that form and
 * links beyond the cap are passed over, so their packets are captured; the
 * number of them is returned.
 */
int exclude_set_links(struct exclude *x, struct bytes text);

/* "TCP port 7878, 10.0.0.0/8": what is hidden by options, for a log line. */
void exclude_describe(const struct exclude *x, struct buf *out);

/* Is this packet left out?  Link types 1, 101, 276; others are never. */
bool exclude_matches(const struct exclude *x, uint32_t linktype,
		     struct bytes packet);

#endif
