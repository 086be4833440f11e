/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link.c - what one core carries from a spool to a mirror.
 *
 * Both ends in this process, fed to each other, spool and mirror in memory:
 * reading, compressing, sealing, opening, checking and staging are measured,
 * disk and network are not.  Records are a mix that compresses to about a
 * third, like traffic of a game.
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

static uint64_t pass(struct link_end *from, struct link_end *to, uint64_t now,
		     struct err *err)
{
	struct bytes out = link_wire_out(from->wire);

	if (!out.len || !to->calls->hungry(to))
		return 0;
	must(to->calls->take(to, out, now, err), err);
	link_wire_sent(from->wire, out.len);
	return out.len;
}

/* Everything once across; how many bytes crossed. */
static uint64_t carry(struct link_agent_config *ac,
		      struct link_collector_config *cc, struct mirror *m,
		      uint64_t end)
{
	struct link_agent *agent = link_agent_new(ac, 1);
	struct link_collector *collector = link_collector_new(cc, 1);
	struct link_end *a = link_agent_end(agent);
	struct link_end *c = link_collector_end(collector);
	struct err err = ERR_NONE;
	uint64_t crossed = 0;

	while (mirror_next(m) < end || mirror_durable(m) < end) {
		uint64_t n;

		must(c->calls->work(c, 1, &err), &err);
		must(a->calls->work(a, 1, &err), &err);
		n = pass(c, a, 1, &err) + pass(a, c, 1, &err);
		crossed += n;
		if (!n && mirror_fd(m) >= 0) {
			struct pollfd p = { mirror_fd(m), POLLIN, 0 };

			poll(&p, 1, 100);
			mirror_clear(m);
		}
	}
	link_agent_free(agent);
	link_collector_free(collector);
	return crossed;
}

static void measure(struct sys *sys, bool compress, bool ipcap, uint64_t end)
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
					.compress = compress,
					.only_ipcap = ipcap };
	struct mirror_config mc = { .sys = sys,
				    .source = 1,
				    .name = "bench",
				    .spool = SPOOL_CONFIG_DEFAULT,
				    .writer = SPOOL_WRITER_CONFIG_DEFAULT };
	struct link_collector_config cc = {
		.sys = sys, .key = &ck, .n_mirrors = 1, .ack_every = 4096
	};
	struct link_beat beat = { 0 };
	struct mirror_status st;
	struct err err = ERR_NONE;
	struct mirror *m;
	char dir[32];
	double began;
	uint64_t crossed;

	noise_keypair_of(&ak, (const uint8_t[NOISE_KEY]){ 1 });
	noise_keypair_of(&ck, (const uint8_t[NOISE_KEY]){ 2 });
	snprintf(dir, sizeof(dir), "mirror%d", number);
	sys_mkdir_all(sys, dir);
	snprintf(dir, sizeof(dir), "mirror%d/src1", number++);
	mc.dir = dir;
	mc.spool.reserve = false;
	m = mirror_open(&mc, &err);
	must(m ? 0 : -1, &err);
	ac.collectors = (const uint8_t(*)[NOISE_KEY])ck.public;
	cc.agent = ak.public;
	cc.mirrors = &m;
	cc.beats = &beat;
	began = now_s();
	crossed = carry(&ac, &cc, m, end);
	began = now_s() - began;
	mirror_status(m, &st);
	printf("%-5s %-11s %7.1f MB/s of records, %8.0f packets/s, %4.1f %% "
	       "on the wire\n",
	       ipcap ? "ipcap" : "weir", compress ? "compressed" : "plain",
	       (double)st.bytes / 1e6 / began, (double)st.packets / began,
	       100.0 * (double)crossed / (double)st.bytes);
	mirror_close(m);
}

int main(int argc, char **argv)
{
	uint64_t bytes = (argc > 1 ? strtoull(argv[1], NULL, 10) : 64) << 20;
	struct sys *sys = sys_memory_new(bytes * 6 + (256 << 20));
	struct err err = ERR_NONE;
	struct spool_reader *r;
	struct spool_reader_status st;

	log_setup(LOG_ERROR, false);
	fill(sys, bytes);
	r = spool_reader_open(sys, "spool/src1", &err);
	must(r ? spool_reader_status(r, &st, &err) : -1, &err);
	spool_reader_close(r);
	for (int i = 0; i < 4; i++)
		measure(sys, i & 1, i & 2, st.head);
	sys_memory_free(sys);
	return 0;
}
