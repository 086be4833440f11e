/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/capture/exclude.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/text.h"
#include "engine/capture/linktype.h"

enum { TCP = 6, FRAGMENT_OFFSET = 0x1fff, TAGS_MAX = 2, LINE_TEXT = 160 };

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

/* An IPv4 address inside IPv6, as a socket for both gives it, is IPv4. */
static int read_address(const char *text, uint8_t *version, uint8_t addr[16])
{
	memset(addr, 0, 16);
	*version = 4;
	if (inet_pton(AF_INET, text, addr) == 1)
		return 0;
	*version = 6;
	if (inet_pton(AF_INET6, text, addr) != 1)
		return ERR_MALFORMED;
	if (memcmp(addr, mapped, sizeof(mapped)) == 0) {
		memmove(addr, addr + 12, 4);
		memset(addr + 4, 0, 12);
		*version = 4;
	}
	return 0;
}

static int read_port(const char *text, uint16_t *port)
{
	uint64_t v;

	if (text_to_uint(text, &v) < 0 || v < 1 || v > 65535)
		return ERR_MALFORMED;
	*port = (uint16_t)v;
	return 0;
}

int exclude_add_port(struct exclude *x, const char *text, struct err *err)
{
	uint16_t port;

	if (read_port(text, &port) < 0)
		return err_set(err, ERR_USAGE,
			       "\"%s\" is not a TCP port: give 1 to 65535",
			       text);
	for (int i = 0; i < x->n_ports; i++)
		if (x->ports[i] == port)
			return 0;
	if (x->n_ports == EXCLUDE_PORTS_MAX)
		return err_set(err, ERR_USAGE,
			       "more than %d ports to leave out; give a "
			       "--filter instead",
			       EXCLUDE_PORTS_MAX);
	x->ports[x->n_ports++] = port;
	return 0;
}

static void keep_prefix(struct exclude_net *net)
{
	for (int i = 0; i < 16; i++) {
		int left = net->bits - 8 * i;

		if (left < 8)
			net->addr[i] &= left <= 0 ? 0 : (0xff00 >> left) & 0xff;
	}
}

int exclude_add_net(struct exclude *x, const char *text, struct err *err)
{
	struct exclude_net net;
	char host[64];
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	uint64_t bits, most;

	if (len >= sizeof(host))
		len = 0;
	memcpy(host, text, len);
	host[len] = 0;
	if (read_address(host, &net.version, net.addr) < 0)
		return err_set(err, ERR_USAGE,
			       "\"%s\" is not an address or network such as "
			       "10.0.0.7, 10.0.0.0/8 or fd00::/8",
			       text);
	most = net.version == 4 ? 32 : 128;
	bits = most;
	if (slash && (text_to_uint(slash + 1, &bits) < 0 || bits > most))
		return err_set(err, ERR_USAGE,
			       "the prefix of \"%s\" must lie between 0 and "
			       "%llu",
			       text, (unsigned long long)most);
	if (x->n_nets == EXCLUDE_NETS_MAX)
		return err_set(err, ERR_USAGE,
			       "more than %d hosts to leave out; give their "
			       "networks instead",
			       EXCLUDE_NETS_MAX);
	net.bits = (uint8_t)bits;
	keep_prefix(&net);
	x->nets[x->n_nets++] = net;
	return 0;
}

static int read_link(char *line, struct exclude_link *link)
{
	char *word[5] = { 0 };
	uint8_t other;
	int n = 0;

	for (char *w; n < 5 && (w = strsep(&line, " \t\r"));)
		if (*w)
			word[n++] = w;
	if (n != 4 ||
	    read_address(word[0], &link->version, link->end[0].addr) < 0 ||
	    read_port(word[1], &link->end[0].port) < 0 ||
	    read_address(word[2], &other, link->end[1].addr) < 0 ||
	    read_port(word[3], &link->end[1].port) < 0)
		return ERR_MALFORMED;
	return link->version == other ? 0 : ERR_MALFORMED;
}

int exclude_set_links(struct exclude *x, struct bytes text)
{
	struct cursor c = cursor_on(text);
	int passed_over = 0;

	x->n_links = 0;
	while (c.len) {
		const uint8_t *end = memchr(c.p, '\n', c.len);
		struct bytes in =
			get_bytes(&c, end ? (size_t)(end - c.p) : c.len);
		struct exclude_link link;
		char line[LINE_TEXT];

		if (end)
			skip_bytes(&c, 1);
		if (in.len == 0 || in.p[0] == '#')
			continue;
		snprintf(line, sizeof(line), "%.*s", (int)in.len,
			 (const char *)in.p);
		if (in.len >= sizeof(line) || read_link(line, &link) < 0 ||
		    x->n_links == EXCLUDE_LINKS_MAX)
			passed_over++;
		else
			x->links[x->n_links++] = link;
	}
	return passed_over;
}

void exclude_describe(const struct exclude *x, struct buf *out)
{
	const char *between = "";
	char host[INET6_ADDRSTRLEN];

	for (int i = 0; i < x->n_ports; i++) {
		put_format(out, "%sTCP port %u", between, x->ports[i]);
		between = ", ";
	}
	for (int i = 0; i < x->n_nets; i++) {
		const struct exclude_net *n = &x->nets[i];

		inet_ntop(n->version == 4 ? AF_INET : AF_INET6, n->addr, host,
			  sizeof(host));
		put_format(out, "%s%s/%u", between, host, n->bits);
		between = ", ";
	}
}

static bool in_net(const struct exclude_net *net, const uint8_t *addr)
{
	unsigned whole = net->bits / 8, rest = net->bits % 8;

	if (memcmp(net->addr, addr, whole) != 0)
		return false;
	return rest == 0 ||
	       (addr[whole] & (0xff00 >> rest) & 0xff) == net->addr[whole];
}

static bool in_some_net(const struct exclude *x, int version, struct bytes src,
			struct bytes dst)
{
	for (int i = 0; i < x->n_nets; i++)
		if (x->nets[i].version == version &&
		    (in_net(&x->nets[i], src.p) || in_net(&x->nets[i], dst.p)))
			return true;
	return false;
}

static bool is_end(const struct exclude_end *end, struct bytes addr,
		   uint16_t port)
{
	return end->port == port && memcmp(end->addr, addr.p, addr.len) == 0;
}

static bool ports_match(const struct exclude *x, int version, struct bytes src,
			struct bytes dst, struct cursor *tcp)
{
	uint16_t from = get_be16(tcp), to = get_be16(tcp);

	if (tcp->short_)
		return false;
	for (int i = 0; i < x->n_ports; i++)
		if (x->ports[i] == from || x->ports[i] == to)
			return true;
	for (int i = 0; i < x->n_links; i++) {
		const struct exclude_end *e = x->links[i].end;

		if (x->links[i].version != version)
			continue;
		if ((is_end(&e[0], src, from) && is_end(&e[1], dst, to)) ||
		    (is_end(&e[1], src, from) && is_end(&e[0], dst, to)))
			return true;
	}
	return false;
}

static bool ipv4_matches(const struct exclude *x, struct cursor c)
{
	uint8_t first = get_u8(&c);
	size_t head = (first & 15) * 4u;
	uint16_t fragment;
	uint8_t protocol;
	struct bytes src, dst;

	skip_bytes(&c, 5);
	fragment = get_be16(&c);
	skip_bytes(&c, 1);
	protocol = get_u8(&c);
	skip_bytes(&c, 2);
	src = get_bytes(&c, 4);
	dst = get_bytes(&c, 4);
	if (c.short_ || first >> 4 != 4)
		return false;
	if (in_some_net(x, 4, src, dst))
		return true;
	if (protocol != TCP || (fragment & FRAGMENT_OFFSET) || head < 20)
		return false;
	skip_bytes(&c, head - 20);
	return ports_match(x, 4, src, dst, &c);
}

static bool ipv6_matches(const struct exclude *x, struct cursor c)
{
	uint8_t first = get_u8(&c);
	uint8_t next;
	struct bytes src, dst;

	skip_bytes(&c, 5);
	next = get_u8(&c);
	skip_bytes(&c, 1);
	src = get_bytes(&c, 16);
	dst = get_bytes(&c, 16);
	if (c.short_ || first >> 4 != 6)
		return false;
	if (in_some_net(x, 6, src, dst))
		return true;
	return next == TCP && ports_match(x, 6, src, dst, &c);
}

bool exclude_matches(const struct exclude *x, uint32_t linktype,
		     struct bytes packet)
{
	struct cursor c = cursor_on(packet);
	uint16_t type;

	switch (linktype) {
	case LINKTYPE_ETHERNET:
		skip_bytes(&c, 12);
		type = get_be16(&c);
		break;
	case LINKTYPE_LINUX_SLL2:
		type = get_be16(&c);
		skip_bytes(&c, SLL2_HEADER - 2);
		break;
	case LINKTYPE_RAW:
		if (packet.len == 0)
			return false;
		type = packet.p[0] >> 4 == 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
		break;
	default:
		return false;
	}
	for (int i = 0; i < TAGS_MAX && is_vlan_type(type); i++) {
		skip_bytes(&c, 2);
		type = get_be16(&c);
	}
	if (c.short_)
		return false;
	if (type == ETHERTYPE_IPV4)
		return ipv4_matches(x, c);
	return type == ETHERTYPE_IPV6 && ipv6_matches(x, c);
}
