/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A capture of the loopback of a network namespace of its own; skipped where
 * the user may not make one.
 */
#include "t.h"

#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "codec/capture_stats.h"
#include "engine/capture/capture.h"
#include "engine/capture/linktype.h"
#include "sys/interface.h"
#include "sys/sys.h"

/* -- a world whose disk can hang ------------------------------------------ */

static atomic_bool hangs;

static void pause_ms(int ms)
{
	struct timespec t = { 0, ms * 1000000L };

	nanosleep(&t, NULL);
}

static int slow_sync(struct sys *sys, int file)
{
	while (atomic_load(&hangs))
		pause_ms(1);
	return sys_host()->sync(sys, file);
}

static struct sys *hanging(void)
{
	static struct sys sys;

	sys = *sys_host();
	sys.sync = slow_sync;
	atomic_store(&hangs, false);
	return &sys;
}

/* -- the loopback ----------------------------------------------------------- */

static void own_network(void)
{
	struct ifreq r = { .ifr_name = "lo" };
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		t_skip("no right to make a network namespace");
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK_EQ(ioctl(fd, SIOCGIFFLAGS, &r), 0);
	r.ifr_flags |= IFF_UP;
	CHECK_EQ(ioctl(fd, SIOCSIFFLAGS, &r), 0);
	close(fd);
}

/* UDP to a port on which one of our sockets listens: no ICMP comes back. */
static void send_packets(int n)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(a);
	int to = socket(AF_INET, SOCK_DGRAM, 0);
	int from = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK_EQ(bind(to, (struct sockaddr *)&a, len), 0);
	CHECK_EQ(getsockname(to, (struct sockaddr *)&a, &len), 0);
	for (int i = 0; i < n; i++)
		CHECK_EQ(sendto(from, "packet", 6, 0, (struct sockaddr *)&a,
				len), 6);
	close(to);
	close(from);
}

static struct capture_config config(void)
{
	struct capture_config cfg = {
		.ring = { .iface = "lo",
			  .bytes = 4 << 20,
			  .snaplen = PACKET_SNAPLEN,
			  .queues = 1 },
		.spool = SPOOL_CONFIG_DEFAULT,
		.writer = SPOOL_WRITER_CONFIG_DEFAULT,
	};

	cfg.spool.source_dir = t_path("src1");
	strcpy(cfg.spool.want.name, "test");
	cfg.writer.staging_max = 8 << 20;
	return cfg;
}

static struct capture_status status_of(struct capture *c)
{
	struct capture_status s;

	capture_status(c, &s);
	return s;
}

/* Wait until so many are captured, at most five seconds. */
static bool captures(struct capture *c, uint64_t n)
{
	for (int i = 0; i < 5000 && status_of(c).captured < n; i++)
		pause_ms(1);
	return status_of(c).captured == n;
}

TEST(a_capture_takes_each_packet_of_the_loopback_once)
{
	struct capture_config cfg = config();
	struct capture_status last;
	struct err err = ERR_NONE;
	struct capture *c;

	own_network();
	c = capture_start(sys_host(), &cfg, &err);
	if (!c)
		fail_msg("%s", err.text);
	send_packets(300);
	CHECK(captures(c, 300));
	CHECK(status_of(c).up);
	CHECK_OK(capture_stop(c, &last, &err), &err);
	CHECK(last.captured == 300);
	CHECK(last.writer.spool.head <= 300);
	CHECK_EQ(last.linktype, LINKTYPE_ETHERNET);
}

TEST(what_was_sent_before_the_stop_is_durable_after_it)
{
	struct capture_config cfg = config();
	struct capture_status last;
	struct err err = ERR_NONE;
	struct spool_config again = config().spool;
	struct capture *c;
	struct spool *s;

	own_network();
	c = capture_start(sys_host(), &cfg, &err);
	CHECK(c != NULL);
	send_packets(1000);
	/* At once: most of them are still in the ring. */
	CHECK_OK(capture_stop(c, &last, &err), &err);
	CHECK(last.captured == 1000);
	again.want.linktype = LINKTYPE_ETHERNET;
	again.want.snaplen = PACKET_SNAPLEN;
	s = spool_open(sys_host(), &again, &err);
	CHECK(s != NULL);
	CHECK(spool_next(s) == 1000);
	spool_close(s);
}

TEST(I25_a_capture_moves_until_the_disk_hangs_and_then_again)
{
	struct capture_config cfg = config();
	struct capture_status last;
	struct err err = ERR_NONE;
	struct capture *c;

	own_network();
	c = capture_start(hanging(), &cfg, &err);
	CHECK(c != NULL);
	/* The thread turns ten times a second, also with nothing to do. */
	capture_moves(c);
	pause_ms(300);
	CHECK(capture_moves(c));
	atomic_store(&hangs, true);
	send_packets(100);
	CHECK(captures(c, 100));
	capture_moves(c);
	pause_ms(300);
	CHECK(!capture_moves(c));
	CHECK(status_of(c).writer.staged_bytes > 0);
	atomic_store(&hangs, false);
	for (int i = 0; i < 5000 && status_of(c).writer.staged_bytes; i++)
		pause_ms(1);
	pause_ms(150);
	CHECK(capture_moves(c));
	CHECK_OK(capture_stop(c, &last, &err), &err);
}

TEST(what_cannot_work_fails_at_the_start)
{
	struct capture_config cfg = config();
	struct err err = ERR_NONE;

	own_network();
	cfg.expression = "nonsense here";
	CHECK(capture_start(sys_host(), &cfg, &err) == NULL);
	CHECK_EQ(err.code, ERR_USAGE);
	cfg = config();
	cfg.ring.bytes = UINT64_C(1) << 50;
	err = ERR_NONE;
	CHECK(capture_start(sys_host(), &cfg, &err) == NULL);
	CHECK(strstr(err.text, "--ring-mib") != NULL);
}

TEST(the_counters_file_reads_back_and_shows_damage)
{
	struct capture_stats in = { .time_ns = 1700000000123456789,
				    .captured = 10,
				    .dropped_kernel = 20,
				    .dropped_interface = 30,
				    .filtered = 40,
				    .up = true };
	uint8_t b[CAPTURE_STATS_SIZE];
	struct capture_stats out;

	capture_stats_store(b, &in);
	CHECK_EQ(capture_stats_parse(bytes_of(b, sizeof(b)), &out), 0);
	CHECK(out.time_ns == in.time_ns && out.captured == 10 &&
	      out.dropped_kernel == 20 && out.dropped_interface == 30 &&
	      out.filtered == 40 && out.up);
	for (size_t i = 0; i < sizeof(b); i++) {
		CHECK_EQ(capture_stats_parse(bytes_of(b, i), &out),
			 ERR_MALFORMED);
		b[i] ^= 1;
		CHECK_EQ(capture_stats_parse(bytes_of(b, sizeof(b)), &out),
			 ERR_MALFORMED);
		b[i] ^= 1;
	}
}

TEST(I21_the_link_type_is_that_of_the_interface)
{
	static const struct {
		uint16_t hardware;
		uint32_t linktype;
	} all[] = {
		{ ARPHRD_ETHER, 1 },	   { ARPHRD_LOOPBACK, 1 },
		{ ARPHRD_NONE, 101 },	   { ARPHRD_RAWIP, 101 },
		{ ARPHRD_IEEE80211, 105 }, { ARPHRD_IEEE80211_RADIOTAP, 127 },
		{ ARPHRD_PPP, 276 },	   { ARPHRD_TUNNEL, 276 },
		{ ARPHRD_IPGRE, 276 },	   { 0xffff, 276 },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		struct interface it = { .hardware = all[i].hardware };

		CHECK_EQ(ring_linktype(&it), all[i].linktype);
	}
}
