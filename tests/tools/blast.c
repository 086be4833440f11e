/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blast - numbered packets onto an interface, as many a second as asked.
 *
 * Each carries its number, 8 bytes big-endian, at the head of its payload, so
 * a receiver sees what is missing and what came twice.  Used by the tests (any
 * kind of frame, few of them) and by the benches (one kind, as many as go).
 * Prints how many were sent and how long it took.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/text.h"

enum { BATCH = 64, TAGS_MAX = 4, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17 };

static const char *iface = "", *tun = "", *src = "10.0.0.1", *dst = "10.0.0.2",
		  *to_mac = "02:00:00:00:00:02";
static uint64_t count = 1, size = 60, rate, first, from_port = 40000,
		to_port = 9, fragment, flows = 1;
static bool tcp;
static struct opt_list tags;

static void fail(const char *what)
{
	fprintf(stderr, "blast: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* "8100:2005" is the tag type and the 16 bits behind it, in hex. */
static void put_tags(struct buf *b)
{
	for (int i = 0; i < tags.n; i++) {
		unsigned type, tci;

		if (sscanf(tags.at[i], "%x:%x", &type, &tci) != 2) {
			fprintf(stderr, "blast: --tag is TYPE:TCI in hex\n");
			exit(2);
		}
		put_be16(b, (uint16_t)type);
		put_be16(b, (uint16_t)tci);
	}
}

static uint16_t sum_of(struct bytes in)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < in.len; i += 2)
		sum += (uint32_t)in.p[i] << 8 | in.p[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void put_ip(struct buf *b, size_t payload)
{
	uint8_t a[2][16];
	bool six = strchr(dst, ':');
	size_t len = six ? 16 : 4, at = b->len;
	uint8_t protocol = tcp ? PROTOCOL_TCP : PROTOCOL_UDP;

	if (inet_pton(six ? AF_INET6 : AF_INET, src, a[0]) != 1 ||
	    inet_pton(six ? AF_INET6 : AF_INET, dst, a[1]) != 1) {
		fprintf(stderr, "blast: --src and --dst are two addresses\n");
		exit(2);
	}
	if (six) {
		put_be32(b, 0x60000000);
		put_be16(b, (uint16_t)payload);
		put_u8(b, protocol);
		put_u8(b, 64);
	} else {
		put_be16(b, 0x4500);
		put_be16(b, (uint16_t)(payload + 20));
		put_be16(b, 1);
		put_be16(b, (uint16_t)fragment);
		put_u8(b, 64);
		put_u8(b, protocol);
		put_be16(b, 0);
	}
	put_bytes(b, bytes_of(a[0], len));
	put_bytes(b, bytes_of(a[1], len));
	if (!six) {
		uint16_t sum = sum_of(buf_from(b, at));

		b->p[at + 10] = (uint8_t)(sum >> 8);
		b->p[at + 11] = (uint8_t)sum;
	}
}

/* Headers, then payload up to the size; the number goes to *number_at. */
static void make_frame(struct buf *b, bool ethernet, size_t *number_at)
{
	bool six = strchr(dst, ':');
	size_t transport = tcp ? 20 : 8, head;
	unsigned m[6] = { 0 };

	if (ethernet) {
		sscanf(to_mac, "%x:%x:%x:%x:%x:%x", &m[0], &m[1], &m[2], &m[3],
		       &m[4], &m[5]);
		for (int i = 0; i < 6; i++)
			put_u8(b, (uint8_t)m[i]);
		put_bytes(b, bytes_of("\x02\x00\x00\x00\x00\x01", 6));
		put_tags(b);
		put_be16(b, six ? ETH_P_IPV6 : ETH_P_IP);
	}
	head = b->len + (six ? 40 : 20) + transport;
	if (size < head + 8)
		size = head + 8;
	put_ip(b, size - b->len - (six ? 40 : 20));
	put_be16(b, (uint16_t)from_port);
	put_be16(b, (uint16_t)to_port);
	if (tcp) {
		put_be64(b, 0);
		put_be32(b, 0x50182000);
		put_be32(b, 0);
	} else {
		put_be16(b, (uint16_t)(size - head + transport));
		put_be16(b, 0);
	}
	*number_at = b->len;
	put_zeros(b, size - b->len);
}

static int open_interface(void)
{
	struct sockaddr_ll a = { .sll_family = AF_PACKET,
				 .sll_ifindex = (int)if_nametoindex(iface) };
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		fail(iface);
	return fd;
}

/* Makes the TUN device too; it is gone when we end, unless it was there. */
static int open_tun(void)
{
	struct ifreq r = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR);

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", tun);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &r) < 0)
		fail(tun);
	return fd;
}

/* `at` is where the payload begins; the first port stands before it. */
static void number(uint8_t *at, uint64_t n)
{
	uint64_t port = from_port + n % flows;
	uint8_t *transport = at - (tcp ? 20 : 8);

	transport[0] = (uint8_t)(port >> 8);
	transport[1] = (uint8_t)port;
	for (int i = 0; i < 8; i++)
		at[i] = (uint8_t)(n >> (56 - 8 * i));
}

/* Send n frames that stand ready; a full queue is waited for. */
static void send_batch(int fd, struct mmsghdr *m, unsigned n)
{
	while (n) {
		int sent = *tun ? (int)(write(fd, m->msg_hdr.msg_iov->iov_base,
					      m->msg_hdr.msg_iov->iov_len) > 0)
				: sendmmsg(fd, m, n, 0);

		if (sent < 0 && errno != ENOBUFS && errno != EINTR &&
		    errno != EAGAIN)
			fail("send");
		if (sent > 0) {
			m += sent;
			n -= (unsigned)sent;
		}
	}
}

static void blast(int fd)
{
	struct mmsghdr m[BATCH] = { 0 };
	struct iovec v[BATCH];
	struct buf frame[BATCH] = { 0 };
	uint64_t begin = now_ns();
	size_t at = 0;

	for (int i = 0; i < BATCH; i++) {
		make_frame(&frame[i], !*tun, &at);
		v[i] = (struct iovec){ frame[i].p, frame[i].len };
		m[i].msg_hdr.msg_iov = &v[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	for (uint64_t sent = 0; sent < count;) {
		uint64_t n = count - sent < BATCH ? count - sent : BATCH;

		if (rate) {
			uint64_t due = begin + sent * 1000000000 / rate;
			struct timespec t = { (time_t)(due / 1000000000),
					      (long)(due % 1000000000) };

			/* At low rates one by one, evenly. */
			n = rate < 10000 ? 1 : n;
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t,
					NULL);
		}
		for (uint64_t i = 0; i < n; i++)
			number(frame[i].p + at, first + sent + i);
		send_batch(fd, m, (unsigned)n);
		sent += n;
	}
	printf("sent %llu of %llu bytes in %.3f s\n", (unsigned long long)count,
	       (unsigned long long)size, (double)(now_ns() - begin) / 1e9);
	for (int i = 0; i < BATCH; i++)
		buf_release(&frame[i]);
}

int main(int argc, char **argv)
{
	const struct opt opts[] = {
		OPT_TEXT('i', "iface", &iface, "IFACE", "send there"),
		OPT_TEXT('t', "tun", &tun, "NAME",
			 "or make this TUN device and give it bare IP"),
		OPT_UINT('n', "count", &count, 1, UINT64_MAX, "N", "how many"),
		OPT_UINT(0, "first", &first, 0, UINT64_MAX, "N",
			 "number of the first"),
		OPT_UINT('s', "size", &size, 0, 65000, "BYTES",
			 "length of the frame"),
		OPT_UINT('r', "rate", &rate, 0, 100000000, "PPS",
			 "packets a second; 0: as fast as it goes"),
		OPT_TEXT(0, "src", &src, "ADDR", "from this address"),
		OPT_TEXT(0, "dst", &dst, "ADDR", "to this address"),
		OPT_TEXT(0, "mac", &to_mac, "MAC", "to this station"),
		OPT_UINT(0, "from-port", &from_port, 0, 65535, "PORT",
			 "from this port"),
		OPT_UINT(0, "flows", &flows, 1, 10000, "N",
			 "and the next ones, in turns: so many flows"),
		OPT_UINT(0, "to-port", &to_port, 0, 65535, "PORT",
			 "to this port"),
		OPT_UINT(0, "fragment", &fragment, 0, 65535, "BITS",
			 "IPv4 flags and fragment offset"),
		OPT_FLAG(0, "tcp", &tcp, "TCP instead of UDP"),
		OPT_LIST(0, "tag", &tags, "TYPE:TCI",
			 "a VLAN tag in hex, outermost first"),
		OPT_END()
	};
	const struct opt_command cmd = { .name = "blast",
					 .synopsis = "[OPTIONS]",
					 .about = "Numbered packets.",
					 .opts = opts };
	struct opt_args args;
	struct err err = ERR_NONE;
	int fd;

	if (opt_parse(&cmd, argc, argv, &args, &err) < 0) {
		fprintf(stderr, "blast: %s\n", err.text);
		return 2;
	}
	if (args.help) {
		opt_help(&cmd, stdout);
		return 0;
	}
	fd = *tun ? open_tun() : open_interface();
	blast(fd);
	/* Whoever looks at a TUN device needs it to stay for a moment. */
	if (*tun) {
		fflush(stdout);
		(void)!getchar();
	}
	close(fd);
	opt_list_release(&tags);
	return 0;
}
