/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/interface.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"

#define ARPHRD_OF_ANY 0xffff

static int ask(int fd, unsigned long what, struct ifreq *r, const char *name,
	       struct err *err)
{
	if (ioctl(fd, what, r) == 0)
		return 0;
	if (errno == ENODEV || errno == ENXIO)
		return err_set(err, ERR_GONE, "there is no interface named %s",
			       name);
	return err_sys(err, errno, "cannot look up interface %s", name);
}

int interface_find(const char *name, struct interface *i, struct err *err)
{
	struct ifreq r = { 0 };
	int fd, rc;

	*i = (struct interface){ .hardware = ARPHRD_OF_ANY, .up = true };
	if (strcmp(name, "any") == 0)
		return 0;
	if (strlen(name) >= sizeof(r.ifr_name))
		return err_set(err, ERR_GONE,
			       "there is no interface named %s: "
			       "names have at most %zu characters",
			       name, sizeof(r.ifr_name) - 1);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, errno, "cannot look up interface %s", name);
	memcpy(r.ifr_name, name, strlen(name));
	rc = ask(fd, SIOCGIFINDEX, &r, name, err);
	i->index = r.ifr_ifindex;
	if (rc == 0)
		rc = ask(fd, SIOCGIFHWADDR, &r, name, err);
	i->hardware = r.ifr_hwaddr.sa_family;
	if (rc == 0)
		rc = ask(fd, SIOCGIFFLAGS, &r, name, err);
	i->up = (r.ifr_flags & IFF_UP) && (r.ifr_flags & IFF_RUNNING);
	close(fd);
	return rc;
}

void interface_names(struct buf *out)
{
	struct if_nameindex *all = if_nameindex();

	for (int i = 0; all && all[i].if_index; i++)
		put_format(out, "%s%s", i ? ", " : "", all[i].if_name);
	if_freenameindex(all);
}

int interface_watch(void)
{
	struct sockaddr_nl me = { .nl_family = AF_NETLINK,
				  .nl_groups = RTMGRP_LINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
			NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&me, sizeof(me)) < 0) {
		int number = errno;

		close(fd);
		return -number;
	}
	return fd;
}

void interface_watch_drain(int fd)
{
	char scrap[64]; /* what changed is asked for by name */

	/* ENOBUFS says that messages were lost, which is a change too. */
	while (recv(fd, scrap, sizeof(scrap), MSG_TRUNC) >= 0 ||
	       errno == ENOBUFS || errno == EINTR)
		;
}

static uint64_t losses_of(const struct nlmsghdr *h, size_t len)
{
	const struct ifinfomsg *info = NLMSG_DATA(h);
	const struct rtattr *a = IFLA_RTA(info);
	int left = (int)(len - NLMSG_LENGTH(sizeof(*info)));
	struct rtnl_link_stats64 s = { 0 };

	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == IFLA_STATS64)
			memcpy(&s, RTA_DATA(a),
			       RTA_PAYLOAD(a) < sizeof(s) ? RTA_PAYLOAD(a)
							  : sizeof(s));
	return s.rx_missed_errors + s.rx_fifo_errors;
}

int interface_losses(int index, uint64_t *lost, struct err *err)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg info;
	} query = { .h = { .nlmsg_len = sizeof(query),
			   .nlmsg_type = RTM_GETLINK,
			   .nlmsg_flags = NLM_F_REQUEST },
		    .info = { .ifi_index = index } };
	_Alignas(struct nlmsghdr) char answer[16384];
	const struct nlmsghdr *h = (const void *)answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	ssize_t n = -1;
	int number;

	*lost = 0;
	if (fd >= 0 && send(fd, &query, sizeof(query), 0) >= 0)
		n = recv(fd, answer, sizeof(answer), 0);
	number = errno;
	if (fd >= 0)
		close(fd);
	if (n < 0)
		return err_sys(err, number,
			       "cannot ask for the losses of interface %d",
			       index);
	if ((size_t)n < NLMSG_LENGTH(sizeof(query.info)) ||
	    h->nlmsg_type != RTM_NEWLINK || h->nlmsg_len > (size_t)n)
		return err_set(err, ERR_GONE, "there is no interface %d",
			       index);
	*lost = losses_of(h, h->nlmsg_len);
	return 0;
}
