/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link.c - what one core carries from a spool to a mirror.
 *
 * Both ends in this process, fed to each other, spool and mirror in memory:
 * reading, compressing, sealing, opening, checking and staging are measured,
 * disk and network are not.  Records are a mix that compresses to about a
 * third, like traffic of a game.  The wire between the ends takes all, or so
 * many bytes a second; compression is off, of one level, or chosen by the
 * agent.  What the first second, or the first half, brings is not counted: the
 * agent chooses then.
 *
 *	bench-link [MEBIBYTES]
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "codec/record.h"
#include "engine/link/agent.h"
#include "engine/link/collector.h"
#include "engine/link/mirror.h"
#include "engine/link/wire.h"
#include "engine/spool/reader.h"
#include "sys/sys.h"

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(int rc, const struct err *err)
{
	if (rc < 0) {
		fprintf(stderr, "bench-link: %s\n", err->text);
		exit(1);
	}
}

static void put_packet(struct buf *b, uint64_t i)
{
	uint8_t data[700];
	uint64_t x = i + 1;
	struct packet p = { .data = bytes_of(data, sizeof(data)),
			    .time_ns = 1700000000000000000 + i * 1000,
			    .wire_len = sizeof(data) };

	memset(data, (int)('a' + i % 20), sizeof(data));
	for (size_t k = 0; k < 200; k += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(data + k, &x, 8);
	}
	put_record(b, &p);
}

/* `bytes` of records in runs of about 256 KiB. */
static void fill(struct sys *sys, uint64_t bytes)
{
	struct spool_config cfg = SPOOL_CONFIG_DEFAULT;
	struct err err = ERR_NONE;
	struct spool *s;
	uint64_t done = 0, i = 0;

	cfg.source_dir = "spool/src1";
	cfg.reserve = false;
	strcpy(cfg.want.name, "bench");
	cfg.want.linktype = 1;
	cfg.want.snaplen = PACKET_SNAPLEN;
	s = spool_open(sys, &cfg, &err);
	must(s ? 0 : -1, &err);
	while (done < bytes) {
		struct run r = { .first = spool_next(s) };
		struct buf b = { 0 };

		while (b.len < 256 << 10)
			put_packet(&b, i++);
		r.records = buf_bytes(&b);
		must(run_measure(&r), &err);
		must(spool_append(s, &r, NULL, &err), &err);
		must(spool_commit(s, &err), &err);
		must(spool_housekeep(s, &err), &err);
		done += b.len;
		buf_release(&b);
	}
	spool_close(s);
}

/* A wire that takes so many bytes a second; 0: all. */
struct throttle {
	double rate, tokens, at_s;
};

static size_t may_pass(struct throttle *t, size_t len)
{
	const double most = 256 << 10; /* of what was left unused before */
	double now = now_s();

	if (t->rate <= 0)
		return len;
	t->tokens += (now - t->at_s) * t->rate;
	t->at_s = now;
	if (t->tokens > most)
		t->tokens = most;
	if ((double)len > t->tokens)
		len = t->tokens > 0 ? (size_t)t->tokens : 0;
	t->tokens -= (double)len;
	return len;
}

static uint64_t pass(struct link_end *from, struct link_end *to,
		     struct throttle *t, uint64_t now, struct err *err)
{
	struct bytes out = link_wire_out(from->wire);
	size_t n;

	if (!out.len || !to->calls->hungry(to))
		return 0;
	n = may_pass(t, out.len);
	if (!n)
		return 0;
	must(to->calls->take(to, bytes_of(out.p, n), now, err), err);
	link_wire_sent(from->wire, n);
	return n;
}

/* One transfer. */
struct carried {
	double began_s, seconds; /* of what is counted */
	uint64_t first, bytes, crossed, packets;
	bool counting;
};

static void begin_counting(struct carried *r, const struct mirror_status *st)
{
	r->counting = true;
	r->began_s = now_s();
	r->first = st->bytes;
	r->packets = st->packets;
	r->crossed = 0;
}

/* As much as goes in four seconds. */
static struct carried carry(struct link_agent *agent,
			    struct link_collector *collector, struct mirror *m,
			    const struct run *all, double rate)
{
	struct link_end *a = link_agent_end(agent);
	struct link_end *c = link_collector_end(collector);
	struct throttle t = { .rate = rate, .at_s = now_s() }, back = { 0 };
	struct carried r = { .began_s = now_s() };
	double began = now_s();
	struct mirror_status st;
	struct err err = ERR_NONE;

	do {
		uint64_t now = (uint64_t)(now_s() * 1e9);
		uint64_t n;

		must(c->calls->work(c, now, &err), &err);
		must(a->calls->work(a, now, &err), &err);
		n = pass(c, a, &back, now, &err) + pass(a, c, &t, now, &err);
		r.crossed += n;
		mirror_status(m, &st);
		if (!n && mirror_fd(m) >= 0) {
			struct pollfd p = { mirror_fd(m), POLLIN, 0 };

			poll(&p, 1, 1);
			mirror_clear(m);
		}
		if (!r.counting &&
		    (st.packets > all->count / 2 || now_s() - began > 1))
			begin_counting(&r, &st);
	} while (mirror_next(m) < all->count && now_s() - began < 4);
	r.seconds = now_s() - r.began_s;
	r.bytes = st.bytes - r.first;
	r.packets = st.packets - r.packets;
	return r;
}

/* Compression: none, of one level, or what the agent chooses. */
enum { PLAIN = 100, CHOSEN = 0 };

static struct mirror *mirror_number(struct sys *sys, int number)
{
	struct mirror_config mc = { .sys = sys,
				    .source = 1,
				    .name = "bench",
				    .spool = SPOOL_CONFIG_DEFAULT,
				    .writer = SPOOL_WRITER_CONFIG_DEFAULT };
	struct err err = ERR_NONE;
	static char dir[32]; /* as long as the mirror */
	struct mirror *m;

	snprintf(dir, sizeof(dir), "mirror%d", number);
	sys_mkdir_all(sys, dir);
	snprintf(dir, sizeof(dir), "mirror%d/src1", number);
	mc.dir = dir;
	mc.spool.reserve = false;
	mc.spool.segment_max = 16 << 20;
	mc.spool.keep_max = 64 << 20;
	m = mirror_open(&mc, &err);
	must(m ? 0 : -1, &err);
	return m;
}

static void measure(struct sys *sys, int level, bool ipcap, double rate,
		    const struct run *all)
{
	static int number;
	const struct link_source source = { 1, "", "spool/src1" };
	struct noise_keypair ak, ck;
	struct link_agent_config ac = { .sys = sys,
					.key = &ak,
					.n_collectors = 1,
					.sources = &source,
					.n_sources = 1,
					.spool_dir = "spool",
					.compress = level != PLAIN,
					.level = level == PLAIN ? 0 : level,
					.only_ipcap = ipcap };
	struct mirror *m = mirror_number(sys, number++);
	struct link_beat beat = { 0 };
	struct link_collector_config cc = { .sys = sys,
					    .key = &ck,
					    .agent = ak.public,
					    .mirrors = &m,
					    .beats = &beat,
					    .n_mirrors = 1,
					    .ack_every = 4096 };
	uint64_t now = (uint64_t)(now_s() * 1e9);
	struct link_agent *agent;
	struct link_collector *collector;
	struct carried r;
	char what[32] = "plain";

	noise_keypair_of(&ak, (const uint8_t[NOISE_KEY]){ 1 });
	noise_keypair_of(&ck, (const uint8_t[NOISE_KEY]){ 2 });
	ac.collectors = (const uint8_t(*)[NOISE_KEY])ck.public;
	agent = link_agent_new(&ac, now);
	collector = link_collector_new(&cc, now);
	r = carry(agent, collector, m, all, rate);
	if (level == CHOSEN)
		snprintf(what, sizeof(what), "chosen: %s",
			 link_agent_compression(agent));
	else if (level != PLAIN)
		snprintf(what, sizeof(what), "level %d", level);
	printf("%-5s %-18s %7.1f MB/s of records, %8.0f packets/s, %4.1f %% "
	       "on the wire\n",
	       ipcap ? "ipcap" : "weir", what,
	       (double)r.bytes / 1e6 / r.seconds, (double)r.packets / r.seconds,
	       100.0 * (double)r.crossed / (double)r.bytes);
	link_agent_free(agent);
	link_collector_free(collector);
	mirror_close(m);
}

int main(int argc, char **argv)
{
	static const double rates[] = { 0, 300e6, 100e6, 20e6 };
	static const int levels[] = { PLAIN, -1, 1, CHOSEN };
	uint64_t bytes = (argc > 1 ? strtoull(argv[1], NULL, 10) : 384) << 20;
	struct sys *sys = sys_memory_new(bytes * 2 + (UINT64_C(4) << 30));
	struct err err = ERR_NONE;
	struct spool_reader *r;
	struct spool_reader_status st;
	struct run all = { 0 };

	log_setup(LOG_ERROR, false);
	fill(sys, bytes);
	r = spool_reader_open(sys, "spool/src1", &err);
	must(r ? spool_reader_status(r, &st, &err) : -1, &err);
	spool_reader_close(r);
	all.count = (uint32_t)st.head;
	for (int i = 0; i < 4; i++) {
		if (rates[i] > 0)
			printf("a wire of %.0f MB/s\n", rates[i] / 1e6);
		else
			printf("a wire that takes all\n");
		for (int k = 0; k < 4; k++)
			measure(sys, levels[k], false, rates[i], &all);
	}
	printf("ipcap's protocol, a wire that takes all\n");
	measure(sys, PLAIN, true, 0, &all);
	measure(sys, CHOSEN, true, 0, &all);
	sys_memory_free(sys);
	return 0;
}
