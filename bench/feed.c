/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feed.c - a feed to 1, 10 and 50 readers against a bare loop that sends.
 *
 * Both send the same bytes: a spool's packets as microsecond records.  The
 * bare loop has them ready in memory and does nothing but poll and send, the
 * feed reads a spool in memory, checks, converts and shares.  They take turns,
 * so that what else the machine does hits both; medians are compared.  Beside
 * the feed's readers one more is connected that never reads.
 *
 *	bench-feed [--json] [ROUNDS [PACKETS [BYTES]]]
 *
 * The claims: at least 3 million packets a second over all readers, at least
 * 0.8 of the bare loop with 50 of them, no pause of 200 ms.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/record.h"
#include "engine/feed/feed.h"
#include "engine/spool/spool.h"
#include "sys/loop.h"
#include "sys/sys.h"

enum { READERS_MAX = 50, ROUNDS_MAX = 101, RUN = 256 << 10 };

static int packets = 200000, bytes_each = 600, rounds = 5;
static bool json;

static uint64_t now_ns(void)
{
	return sys_host()->mono_ns(sys_host());
}

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "bench-feed: %s failed\n", what);
	exit(1);
}

/* -- readers ------------------------------------------------------------- */

struct reader {
	pthread_t thread;
	int fd;
	uint64_t want, pause_ns, end_ns;
};

/* Takes what comes without copying it, so that the sender is what is slow. */
static void *read_all(void *arg)
{
	struct reader *r = arg;
	static char nowhere[1 << 20];
	uint64_t before = 0;

	while (r->want) {
		size_t most =
			r->want < sizeof(nowhere) ? r->want : sizeof(nowhere);
		ssize_t n = recv(r->fd, nowhere, most, MSG_TRUNC);
		uint64_t now = now_ns();

		if (n <= 0)
			fail("a reader");
		if (before && now - before > r->pause_ns)
			r->pause_ns = now - before;
		before = now;
		r->want -= (uint64_t)n;
	}
	r->end_ns = before;
	return NULL;
}

static int dial(uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
	if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		fail("connecting");
	return fd;
}

struct result {
	double mpps;
	double pause_ms;
};

/* Start n readers; the time from then until the last has all. */
static struct result race(int n, uint16_t port, uint64_t want)
{
	struct reader r[READERS_MAX] = { 0 };
	uint64_t begun = now_ns(), end = 0, pause = 0;

	for (int i = 0; i < n; i++) {
		r[i] = (struct reader){ .fd = dial(port), .want = want };
		if (pthread_create(&r[i].thread, NULL, read_all, &r[i]) != 0)
			fail("a thread");
	}
	for (int i = 0; i < n; i++) {
		pthread_join(r[i].thread, NULL);
		close(r[i].fd);
		if (r[i].end_ns > end)
			end = r[i].end_ns;
		if (r[i].pause_ns > pause)
			pause = r[i].pause_ns;
	}
	return (struct result){
		.mpps = (double)n * packets * 1e3 / (double)(end - begun),
		.pause_ms = (double)pause / 1e6,
	};
}

/* -- the bare loop --------------------------------------------------------- */

struct bare {
	struct buf bytes; /* what each reader gets */
	int listening, n;
};

static void *send_bare(void *arg)
{
	const struct bare *b = arg;
	struct pollfd p[READERS_MAX];
	size_t at[READERS_MAX] = { 0 };
	int left = b->n, send_bytes = 512 << 10;

	for (int i = 0; i < b->n; i++) {
		p[i].fd = accept4(b->listening, NULL, NULL, SOCK_NONBLOCK);
		p[i].events = POLLOUT;
		/* The same room as the feed gives its clients. */
		setsockopt(p[i].fd, SOL_SOCKET, SO_SNDBUF, &send_bytes,
			   sizeof(send_bytes));
	}
	while (left) {
		poll(p, (nfds_t)b->n, -1);
		for (int i = 0; i < b->n; i++) {
			size_t len = b->bytes.len - at[i];
			ssize_t n;

			if (p[i].fd < 0 || !p[i].revents)
				continue;
			n = send(p[i].fd, b->bytes.p + at[i],
				 len < RUN ? len : RUN, MSG_NOSIGNAL);
			at[i] += n > 0 ? (size_t)n : 0;
			if (at[i] < b->bytes.len)
				continue;
			close(p[i].fd);
			p[i].fd = -1;
			left--;
		}
	}
	return NULL;
}

static struct result run_bare(struct bare *b, int n)
{
	struct sys *sys = sys_host();
	char here[SYS_PEER_MAX];
	struct result result;
	pthread_t thread;

	b->n = n;
	b->listening = sys->listen(sys, "127.0.0.1:0");
	if (b->listening < 0 || sys->bound(sys, b->listening, here) < 0)
		fail("listening");
	fcntl(b->listening, F_SETFL, 0);
	if (pthread_create(&thread, NULL, send_bare, b) != 0)
		fail("a thread");
	result = race(n, (uint16_t)atoi(strrchr(here, ':') + 1), b->bytes.len);
	pthread_join(thread, NULL);
	close(b->listening);
	return result;
}

/* -- the feed ----------------------------------------------------------------
 */

static void *turn(void *loop)
{
	loop_run(loop);
	return NULL;
}

static struct result run_feed(struct sys *sys, int n, uint64_t want)
{
	struct feed_config cfg = FEED_CONFIG_DEFAULT;
	struct err err = ERR_NONE;
	struct loop *loop = loop_new(&err);
	struct result result;
	struct feed *feed;
	pthread_t thread;
	uint16_t port;
	int stuck;

	feed_config_parse(&cfg, "127.0.0.1:0,from=oldest", &err);
	feed = feed_new(loop, sys, "/bench", &cfg, &err);
	if (!feed || pthread_create(&thread, NULL, turn, loop) != 0)
		fail("the feed");
	port = (uint16_t)atoi(strrchr(feed_address(feed), ':') + 1);
	stuck = dial(port);
	result = race(n, port, want);
	loop_stop(loop);
	pthread_join(thread, NULL);
	close(stuck);
	feed_free(feed);
	loop_free(loop);
	return result;
}

/* -- what is sent
 * --------------------------------------------------------------- */

/* The spool, and what its readers get, byte for byte. */
static struct sys *make_packets(struct buf *wire)
{
	uint64_t all = (uint64_t)packets * (uint64_t)(bytes_each + 16);
	struct sys *sys = sys_memory_new(all * 2 + (64 << 20));
	struct spool_config cfg = SPOOL_CONFIG_DEFAULT;
	struct pcap_head head = { .linktype = 1,
				  .snaplen = FEED_CAPLEN,
				  .micro = true };
	struct packet p = { .data = bytes_of(mem_alloc((size_t)bytes_each),
					     (size_t)bytes_each),
			    .wire_len = (uint32_t)bytes_each };
	struct err err = ERR_NONE;
	struct buf records = { 0 };
	struct run run = { 0 };
	struct spool *spool;

	cfg.source_dir = "/bench";
	strcpy(cfg.want.name, "bench");
	cfg.want.linktype = 1;
	cfg.want.snaplen = PACKET_SNAPLEN;
	cfg.reserve = false;
	spool = spool_open(sys, &cfg, &err);
	if (!spool)
		fail(err.text);
	put_pcap_head(wire, &head);
	for (int i = 1; i <= packets; i++) {
		p.time_ns = UINT64_C(1700000000000000000) + (uint64_t)i * 1000;
		record_head_micro_at(buf_reserve(wire, RECORD_HEADER), &p);
		buf_added(wire, RECORD_HEADER);
		put_bytes(wire, p.data);
		put_record(&records, &p);
		if (records.len + RECORD_HEADER + p.data.len <= RUN &&
		    i < packets)
			continue;
		run.first = spool_next(spool);
		run.records = buf_bytes(&records);
		if (run_measure(&run) < 0 ||
		    spool_append(spool, &run, NULL, &err) < 0 ||
		    spool_commit(spool, &err) < 0 ||
		    spool_housekeep(spool, &err) < 0)
			fail("filling the spool");
		buf_clear(&records);
	}
	spool_close(spool);
	buf_release(&records);
	free((void *)p.data.p);
	return sys;
}

/* -- the table
 * -------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v)
{
	qsort(v, (size_t)rounds, sizeof(*v), by_value);
	return v[rounds / 2];
}

static void measure(int n, struct bare *bare, struct sys *sys)
{
	double b[ROUNDS_MAX], f[ROUNDS_MAX], ratio[ROUNDS_MAX], pause = 0;

	for (int i = 0; i < rounds; i++) {
		struct result r = run_feed(sys, n, bare->bytes.len);

		f[i] = r.mpps;
		if (r.pause_ms > pause)
			pause = r.pause_ms;
		b[i] = run_bare(bare, n).mpps;
		ratio[i] = f[i] / b[i];
	}
	printf(json ? "{\"bench\":\"feed\",\"readers\":%d,\"rounds\":%d,"
		      "\"packets\":%d,\"bytes\":%d,\"bare_mpps\":%.3f,"
		      "\"feed_mpps\":%.3f,\"ratio\":%.3f,"
		      "\"longest_pause_ms\":%.1f}\n"
		    : "%7d %6d %8d %6d %9.2f %9.2f %6.2f %9.1f\n",
	       n, rounds, packets, bytes_each, median(b), median(f),
	       median(ratio), pause);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static const int readers[] = { 1, 10, 50 };
	int *const numbers[] = { &rounds, &packets, &bytes_each };
	struct bare bare = { 0 };
	struct sys *sys;
	int k = 0;

	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--json") == 0)
			json = true;
		else if (k < 3)
			*numbers[k++] = atoi(argv[i]);
	if (rounds < 1 || rounds > ROUNDS_MAX || packets < 1 ||
	    bytes_each < 1 || bytes_each > FEED_CAPLEN) {
		fprintf(stderr, "usage: bench-feed [--json] [ROUNDS [PACKETS "
				"[BYTES]]]\n");
		return 2;
	}
	log_setup(LOG_ERROR, false);
	sys = make_packets(&bare.bytes);
	if (!json)
		printf("readers rounds  packets  bytes bare_mpps feed_mpps  "
		       "ratio  pause_ms\n");
	for (size_t i = 0; i < sizeof(readers) / sizeof(*readers); i++)
		measure(readers[i], &bare, sys);
	buf_release(&bare.bytes);
	sys_memory_free(sys);
	return 0;
}
