/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/sock.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { KEEP_IDLE_S = 20, KEEP_EACH_S = 10, KEEP_TRIES = 4 };
enum { LINK_IDLE_S = 3, LINK_EACH_S = 2 };

static void set(int socket, int level, int name, int value)
{
	setsockopt(socket, level, name, &value, sizeof(value));
}

void sock_allow(size_t n)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= n)
		return;
	limit.rlim_cur = n < limit.rlim_max ? n : limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

void sock_prepare(int socket, int send_bytes)
{
	set(socket, SOL_SOCKET, SO_SNDBUF, send_bytes);
	set(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(socket, IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S);
	set(socket, IPPROTO_TCP, TCP_KEEPINTVL, KEEP_EACH_S);
	set(socket, IPPROTO_TCP, TCP_KEEPCNT, KEEP_TRIES);
}

void sock_prepare_link(int socket, int patience_ms)
{
	set(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(socket, IPPROTO_TCP, TCP_KEEPIDLE, LINK_IDLE_S);
	set(socket, IPPROTO_TCP, TCP_KEEPINTVL, LINK_EACH_S);
	/* How many probes follows from it too. */
	set(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, patience_ms);
}

size_t sock_unacked(int socket)
{
	int n = 0;

	return ioctl(socket, SIOCOUTQ, &n) == 0 && n > 0 ? (size_t)n : 0;
}

bool sock_dead(int socket)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	return getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
	       info.tcpi_state == TCP_CLOSE;
}
