/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcpcut.c - a TCP proxy that breaks connections, for tests of resuming.
 *
 *	tcpcut LISTEN-PORT TARGET-PORT CUTS SEED MIN-BYTES MAX-BYTES
 *
 * Each of the first CUTS connections dies by a reset after a random number of
 * bytes (both ways together) in [MIN, MAX]; those behind them live.  Both
 * ports are on 127.0.0.1.  Prints a line when the last cut is done.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static uint64_t seed;

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static struct sockaddr_in local(const char *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)atoi(port)) };

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return at;
}

static void reset(int fd)
{
	const struct linger now = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

/* At most `left` bytes one way; how many, or -1 when it is over. */
static ssize_t move(int from, int to, uint64_t left)
{
	char data[16384];
	size_t want = left < sizeof(data) ? (size_t)left : sizeof(data);
	ssize_t n = read(from, data, want), done = 0;

	if (n <= 0)
		return -1;
	while (done < n) {
		ssize_t m = write(to, data + done, (size_t)(n - done));

		if (m <= 0)
			return -1;
		done += m;
	}
	return n;
}

static void carry(int a, int b, uint64_t left)
{
	while (left) {
		struct pollfd p[2] = { { a, POLLIN, 0 }, { b, POLLIN, 0 } };
		ssize_t n = 0;

		if (poll(p, 2, -1) < 0)
			break;
		if (p[0].revents && (n = move(a, b, left)) < 0)
			break;
		left -= (uint64_t)n;
		n = 0;
		if (left && p[1].revents && (n = move(b, a, left)) < 0)
			break;
		left -= (uint64_t)n;
	}
	reset(a);
	reset(b);
}

int main(int argc, char **argv)
{
	struct sockaddr_in here, there;
	int on = 1, door;
	long cuts;

	if (argc != 7) {
		fprintf(stderr, "usage: tcpcut LISTEN TARGET CUTS SEED MIN "
				"MAX\n");
		return 2;
	}
	here = local(argv[1]);
	there = local(argv[2]);
	cuts = atol(argv[3]);
	seed = strtoull(argv[4], NULL, 10) | 1;
	door = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(door, (struct sockaddr *)&here, sizeof(here)) < 0 ||
	    listen(door, 16) < 0) {
		perror("tcpcut");
		return 1;
	}
	for (;;) {
		uint64_t min = strtoull(argv[5], NULL, 10);
		uint64_t max = strtoull(argv[6], NULL, 10);
		int a = accept(door, NULL, NULL);
		int b = socket(AF_INET, SOCK_STREAM, 0);

		if (a < 0)
			continue;
		if (connect(b, (struct sockaddr *)&there, sizeof(there)) < 0) {
			reset(a);
			close(b);
			continue;
		}
		carry(a, b,
		      cuts > 0 ? min + next_random() % (max - min + 1)
			       : UINT64_MAX);
		if (--cuts == 0) {
			printf("cuts done\n");
			fflush(stdout);
		}
	}
}
