/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/packet_sender.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"

enum {
	SEND_BUFFER = 4 << 20,
	QDISC_BYPASS = 20, /* PACKET_QDISC_BYPASS */
	VLAN_HEADER = 4
};

struct packet_sender {
	int fd;
	char *name;
	struct packet_sender_facts facts;
	uint64_t drops; /* when it was opened */
	struct iovec vectors[PACKET_SENDER_BATCH];
	struct mmsghdr messages[PACKET_SENDER_BATCH];
};

static uint64_t read_drops(const char *name)
{
	unsigned long long v = 0;
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/net/%s/statistics/tx_dropped",
		 name);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%llu", &v) != 1)
		v = 0;
	fclose(f);
	return v;
}

static int learn(struct packet_sender *s, struct ifreq *r, struct err *err)
{
	if (ioctl(s->fd, SIOCGIFHWADDR, r) < 0)
		return err_sys(err, errno, "interface %s", s->name);
	s->facts.hardware = r->ifr_hwaddr.sa_family;
	if (ioctl(s->fd, SIOCGIFMTU, r) < 0)
		return err_sys(err, errno, "interface %s", s->name);
	s->facts.mtu = (uint32_t)r->ifr_mtu;
	if (s->facts.hardware == ARPHRD_ETHER ||
	    s->facts.hardware == ARPHRD_LOOPBACK)
		s->facts.header = ETH_HLEN;
	if (ioctl(s->fd, SIOCGIFFLAGS, r) < 0)
		return err_sys(err, errno, "interface %s", s->name);
	if (!(r->ifr_flags & IFF_UP))
		return err_set(err, ERR_FAILED,
			       "interface %s is down: ip link set %s up",
			       s->name, s->name);
	return 0;
}

static int attach(struct packet_sender *s, struct err *err)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET };
	int one = 1, size = SEND_BUFFER;
	struct ifreq r = { 0 };

	if (strlen(s->name) >= sizeof(r.ifr_name))
		return err_set(err, ERR_USAGE, "\"%.40s\" is no interface",
			       s->name);
	strcpy(r.ifr_name, s->name);
	/* Protocol 0: nothing is received. */
	s->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (s->fd < 0 && errno == EPERM)
		return err_set(err, ERR_FAILED,
			       "sending on %s needs the right CAP_NET_RAW (or "
			       "root)",
			       s->name);
	if (s->fd < 0)
		return err_sys(err, errno, "a packet socket");
	if (ioctl(s->fd, SIOCGIFINDEX, &r) < 0)
		return err_sys(err, errno, "there is no interface %s", s->name);
	to.sll_ifindex = r.ifr_ifindex;
	if (bind(s->fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return err_sys(err, errno, "interface %s", s->name);
	/* Both only help: without them it works as well. */
	setsockopt(s->fd, SOL_PACKET, QDISC_BYPASS, &one, sizeof(one));
	setsockopt(s->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return learn(s, &r, err);
}

struct packet_sender *packet_sender_open(const char *interface, struct err *err)
{
	struct packet_sender *s = mem_alloc(sizeof(*s));

	s->fd = -1;
	s->name = mem_text(interface);
	if (attach(s, err) < 0) {
		packet_sender_close(s);
		return NULL;
	}
	for (int i = 0; i < PACKET_SENDER_BATCH; i++) {
		s->messages[i].msg_hdr.msg_iov = &s->vectors[i];
		s->messages[i].msg_hdr.msg_iovlen = 1;
	}
	s->drops = read_drops(interface);
	return s;
}

void packet_sender_close(struct packet_sender *s)
{
	if (!s)
		return;
	if (s->fd >= 0)
		close(s->fd);
	free(s->name);
	free(s);
}

const struct packet_sender_facts *
packet_sender_facts(const struct packet_sender *s)
{
	return &s->facts;
}

const char *packet_sender_name(const struct packet_sender *s)
{
	return s->name;
}

int packet_sender_send(struct packet_sender *s, const struct bytes *frames,
		       int n)
{
	int sent;

	if (n > PACKET_SENDER_BATCH)
		n = PACKET_SENDER_BATCH;
	for (int i = 0; i < n; i++) {
		s->vectors[i].iov_base = (void *)frames[i].p;
		s->vectors[i].iov_len = frames[i].len;
	}
	do
		sent = n == 1 ? (int)send(s->fd, frames[0].p, frames[0].len, 0)
			      : sendmmsg(s->fd, s->messages, (unsigned)n, 0);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return -errno;
	return n == 1 ? 1 : sent;
}

uint64_t packet_sender_drops(struct packet_sender *s)
{
	uint64_t now = read_drops(s->name);

	return now > s->drops ? now - s->drops : 0;
}
