/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spool.c - what a durable spool costs over bare writing.
 *
 * The spool's writer takes packets as fast as they are given, and commits them
 * in groups.  The bare loop writes and syncs the same bytes to the same two
 * files a segment, in groups of the size that the writer's were just before;
 * its files are made ready beforehand, outside the measured time.  They take
 * turns, so that what else the machine does hits both; medians of the rounds
 * are compared.  The claims: at least 0.8 of bare writing, half a million
 * packets and 5 Gbit a second, 99 of 100 packets durable within 10 ms at a
 * steady rate, and staging that costs little more than a copy and a checksum.
 *
 *	bench-spool [--json] [DIR [ROUNDS [MEBIBYTES]]]
 */
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/record.h"
#include "engine/spool/format.h"
#include "engine/spool/writer.h"
#include "sys/sys.h"

enum {
	ROUNDS_MAX = 101,
	PACKET = 1500,
	RECORD = PACKET + RECORD_HEADER,
	BURST = 64, /* packets a put, as a capture ring gives them */
	BATCH = 256 << 10,
	SEGMENT = 64 << 20,
	LONE = 100, /* packets alone, a round */
	STEADY_RATE = 100000,
	STEADY = 50000 /* packets at that rate, a round */
};

enum measure {
	SPOOL_RATE, /* bytes/s */
	BARE_RATE,
	SPOOL_PPS,
	STAGE_NS, /* of the producer's own time for a packet */
	COPY_NS,
	LONE_P50, /* ns */
	LONE_P99,
	BARE_LONE_P50,
	BARE_LONE_P99,
	STEADY_P50,
	STEADY_P99,
	MEASURES
};

struct bench {
	const char *dir;
	uint64_t packets; /* a round */
	int rounds;
	double got[MEASURES][ROUNDS_MAX];
	uint8_t *content; /* BURST packets */
	uint64_t group;	  /* bytes of records that a commit of ours had */
};

static _Noreturn void fail(const char *what, const char *why)
{
	fprintf(stderr, "bench-spool: %s: %s\n", what, why);
	exit(1);
}

static void must(int rc, const char *what)
{
	if (rc < 0)
		fail(what, strerror(-rc));
}

static uint64_t clock_ns(clockid_t which)
{
	struct timespec t;

	clock_gettime(which, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t now(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static int ascending(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double percentile(uint64_t *v, size_t n, double p)
{
	qsort(v, n, sizeof(*v), ascending);
	return (double)v[(size_t)((double)(n - 1) * p)];
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void clear(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* -- the spool ------------------------------------------------------------- */

static struct spool_writer *start(const char *path)
{
	struct spool_config cfg = SPOOL_CONFIG_DEFAULT;
	struct spool_writer_config wcfg = SPOOL_WRITER_CONFIG_DEFAULT;
	struct err err = ERR_NONE;
	struct spool_writer *w = NULL;
	struct spool *s;

	clear(path);
	cfg.source_dir = path;
	strcpy(cfg.want.name, "bench");
	cfg.want.linktype = 1;
	cfg.want.snaplen = PACKET_SNAPLEN;
	s = spool_open(sys_host(), &cfg, &err);
	if (s)
		w = spool_writer_start(s, &wcfg, &err);
	if (!w)
		fail("no spool", err.text);
	return w;
}

static void stop(struct spool_writer *w, const char *path)
{
	struct err err = ERR_NONE;

	if (spool_writer_stop(w, &err) < 0)
		fail("the spool did not end well", err.text);
	clear(path);
}

static void wait_durable(struct spool_writer *w, uint64_t index)
{
	struct pollfd p = { .fd = spool_writer_fd(w), .events = POLLIN };
	uint64_t count;

	while (spool_writer_durable(w) < index)
		if (poll(&p, 1, 1000) > 0)
			(void)!read(p.fd, &count, sizeof(count));
}

static void burst_of(const struct bench *b, struct packet p[BURST])
{
	uint64_t wall = clock_ns(CLOCK_REALTIME);

	for (int i = 0; i < BURST; i++)
		p[i] = (struct packet){
			.data = bytes_of(b->content + i * PACKET, PACKET),
			.time_ns = wall + (uint64_t)i,
			.wire_len = PACKET
		};
}

/* As fast as it goes, without overrunning staging: a loss is a failure here. */
static void spool_flood(struct bench *b, int round)
{
	char *path = mem_format("%s/bench-flood", b->dir);
	struct spool_writer *w = start(path);
	struct spool_writer_status st;
	struct packet p[BURST];
	uint64_t begin = now(), own = 0, took, commits;

	spool_writer_status(w, &st);
	commits = st.spool.commits;
	for (uint64_t put = 0; put < b->packets; put += BURST) {
		uint64_t at;

		while ((put - spool_writer_durable(w)) * RECORD > 128 << 20)
			usleep(200);
		burst_of(b, p);
		at = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		if (spool_writer_put(w, p, BURST) != BURST)
			fail("a packet found no room", "staging is too small");
		own += clock_ns(CLOCK_THREAD_CPUTIME_ID) - at;
	}
	wait_durable(w, b->packets);
	took = now() - begin;
	spool_writer_status(w, &st);
	commits = st.spool.commits - commits;
	b->group = b->packets * RECORD / (commits ? commits : 1);
	b->got[SPOOL_RATE][round] =
		(double)(b->packets * RECORD) * 1e9 / (double)took;
	b->got[SPOOL_PPS][round] = (double)b->packets * 1e9 / (double)took;
	b->got[STAGE_NS][round] = (double)own / (double)b->packets;
	stop(w, path);
	free(path);
}

static void spool_lone(struct bench *b, int round)
{
	char *path = mem_format("%s/bench-lone", b->dir);
	struct spool_writer *w = start(path);
	uint64_t took[LONE];
	struct packet p[BURST];

	burst_of(b, p);
	for (int i = 0; i < LONE; i++) {
		uint64_t begin = now();

		if (spool_writer_put(w, p, 1) != 1)
			fail("a packet found no room", "when it was alone");
		wait_durable(w, (uint64_t)i + 1);
		took[i] = now() - begin;
		usleep(3000); /* alone: past the least time between commits */
	}
	b->got[LONE_P50][round] = percentile(took, LONE, 0.5);
	b->got[LONE_P99][round] = percentile(took, LONE, 0.99);
	stop(w, path);
	free(path);
}

/* Give those that are durable now their time. */
static uint64_t settle(struct spool_writer *w, uint64_t *at, uint64_t from)
{
	uint64_t durable = spool_writer_durable(w), t = now();

	for (; from < durable; from++)
		at[from] = t - at[from];
	return from;
}

static void spool_steady(struct bench *b, int round)
{
	char *path = mem_format("%s/bench-steady", b->dir);
	struct spool_writer *w = start(path);
	uint64_t *at = mem_array(STEADY, sizeof(*at));
	uint64_t begin = now(), put = 0, settled = 0;
	struct packet p[BURST];
	struct pollfd fd = { .fd = spool_writer_fd(w), .events = POLLIN };

	burst_of(b, p);
	while (settled < STEADY) {
		uint64_t due = (now() - begin) * STEADY_RATE / 1000000000;
		uint64_t count;

		due = due < STEADY ? due : STEADY;
		while (put < due) {
			int n = due - put < BURST ? (int)(due - put) : BURST;

			for (int i = 0; i < n; i++)
				at[put + (uint64_t)i] = now();
			if (spool_writer_put(w, p, n) != n)
				fail("a packet found no room",
				     "at a slow rate");
			put += (uint64_t)n;
		}
		if (poll(&fd, 1, put < STEADY ? 0 : 1000) > 0)
			(void)!read(fd.fd, &count, sizeof(count));
		settled = settle(w, at, settled);
		usleep(100);
	}
	b->got[STEADY_P50][round] = percentile(at, STEADY, 0.5);
	b->got[STEADY_P99][round] = percentile(at, STEADY, 0.99);
	free(at);
	stop(w, path);
	free(path);
}

/* -- the bare loop -----------------------------------------------------------
 */

struct bare {
	int pcap, idx;
};

static int bare_file(const struct bench *b, int n, const char *kind,
		     uint64_t reserve)
{
	struct sys *sys = sys_host();
	char *path = mem_format("%s/bench-bare/%d.%s", b->dir, n, kind);
	int file = sys->open(sys, path, SYS_READ | SYS_WRITE | SYS_CREATE);

	must(file, path);
	(void)sys->reserve(sys, file, reserve);
	must(sys->sync(sys, file), path);
	free(path);
	return file;
}

static struct bare *bare_begin(const struct bench *b, int n)
{
	char *path = mem_format("%s/bench-bare", b->dir);
	struct bare *files = mem_array((size_t)n, sizeof(*files));

	clear(path);
	must(sys_mkdir_all(sys_host(), path), path);
	for (int i = 0; i < n; i++) {
		files[i].pcap = bare_file(b, i, "pcap", SEGMENT);
		files[i].idx = bare_file(b, i, "idx", SEGMENT / 1024);
	}
	must(sys_host()->sync_dir(sys_host(), path), path);
	free(path);
	return files;
}

static void bare_end(const struct bench *b, struct bare *files, int n)
{
	char *path = mem_format("%s/bench-bare", b->dir);

	for (int i = 0; i < n; i++) {
		close(files[i].pcap);
		close(files[i].idx);
	}
	free(files);
	clear(path);
	free(path);
}

/* `len` bytes in batches and their entries, then a sync of both. */
static void bare_commit(const struct bare *f, const uint8_t *from, uint64_t len,
			uint64_t at, uint64_t idx_at)
{
	struct sys *sys = sys_host();
	uint64_t entries = (len + BATCH - 1) / BATCH;

	for (uint64_t done = 0; done < len; done += BATCH)
		must(sys_write_full(sys, f->pcap, from,
				    len - done < BATCH ? len - done : BATCH,
				    at + done),
		     "bare write");
	must(sys_write_full(sys, f->idx, from, entries * IDX_ENTRY, idx_at),
	     "bare write");
	must(sys->sync(sys, f->pcap), "bare sync");
	must(sys->sync(sys, f->idx), "bare sync");
}

static void bare_flood(struct bench *b, int round)
{
	uint64_t total = b->packets * RECORD, at = 0, idx_at = 0, begin;
	int n = (int)(total / SEGMENT) + 2, file = 0;
	struct bare *files = bare_begin(b, n);
	uint8_t *from = mem_alloc(BATCH + SEGMENT / BATCH * IDX_ENTRY);

	begin = now();
	for (uint64_t done = 0; done < total;) {
		uint64_t len =
			b->group < total - done ? b->group : total - done;

		if (len > SEGMENT - at)
			len = SEGMENT - at;
		bare_commit(&files[file], from, len, at, idx_at);
		at += len;
		idx_at += (len + BATCH - 1) / BATCH * IDX_ENTRY;
		done += len;
		if (at == SEGMENT) {
			at = idx_at = 0;
			file++;
		}
	}
	b->got[BARE_RATE][round] =
		(double)total * 1e9 / (double)(now() - begin);
	free(from);
	bare_end(b, files, n);
}

static void bare_lone(struct bench *b, int round)
{
	struct bare *files = bare_begin(b, 1);
	uint64_t took[LONE];

	for (int i = 0; i < LONE; i++) {
		uint64_t begin = now();

		bare_commit(files, b->content, RECORD, (uint64_t)i * RECORD,
			    (uint64_t)i * IDX_ENTRY);
		took[i] = now() - begin;
		usleep(3000);
	}
	b->got[BARE_LONE_P50][round] = percentile(took, LONE, 0.5);
	b->got[BARE_LONE_P99][round] = percentile(took, LONE, 0.99);
	bare_end(b, files, 1);
}

/* What staging cannot avoid: the copy and the checksum, over as much memory. */
static void copy_and_sum(struct bench *b, int round)
{
	enum { ROOM = 64 << 20 };
	uint8_t *to = mem_alloc(ROOM);
	uint64_t own, at = 0;
	uint32_t crc = 0;

	memset(to, 1, ROOM);
	own = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	for (uint64_t i = 0; i < b->packets; i++) {
		if (at + RECORD > ROOM)
			at = 0;
		memcpy(to + at + RECORD_HEADER, b->content + i % BURST * PACKET,
		       PACKET);
		crc = crc32c_more(crc, bytes_of(to + at, RECORD));
		at += RECORD;
	}
	own = clock_ns(CLOCK_THREAD_CPUTIME_ID) - own;
	if (crc == 1) /* so that the loop is not thrown away */
		putc('\0', stderr);
	b->got[COPY_NS][round] = (double)own / (double)b->packets;
	free(to);
}

/* -- telling ------------------------------------------------------------------
 */

static int ascending_double(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(struct bench *b, enum measure m)
{
	qsort(b->got[m], (size_t)b->rounds, sizeof(double), ascending_double);
	return b->got[m][b->rounds / 2];
}

static void print_table(const double m[MEASURES], int rounds, uint64_t group)
{
	printf("%d rounds, medians; %.1f MiB a commit\n\n", rounds,
	       (double)group / (1 << 20));
	printf("%-34s %10s %10s %7s\n", "", "spool", "bare", "ratio");
	printf("%-34s %10.0f %10.0f %7.2f\n", "durable, MB/s",
	       m[SPOOL_RATE] / 1e6, m[BARE_RATE] / 1e6,
	       m[SPOOL_RATE] / m[BARE_RATE]);
	printf("%-34s %10.2f\n", "durable, million packets/s",
	       m[SPOOL_PPS] / 1e6);
	printf("%-34s %10.2f\n", "durable, Gbit/s", m[SPOOL_RATE] * 8 / 1e9);
	printf("%-34s %10.0f %10.0f %7.2f\n", "staging a packet, ns",
	       m[STAGE_NS], m[COPY_NS], m[STAGE_NS] / m[COPY_NS]);
	printf("%-34s %10.2f %10.2f %7.2f\n", "a lone packet, p50 ms",
	       m[LONE_P50] / 1e6, m[BARE_LONE_P50] / 1e6,
	       m[LONE_P50] / m[BARE_LONE_P50]);
	printf("%-34s %10.2f %10.2f %7.2f\n", "a lone packet, p99 ms",
	       m[LONE_P99] / 1e6, m[BARE_LONE_P99] / 1e6,
	       m[LONE_P99] / m[BARE_LONE_P99]);
	printf("%-34s %10.2f\n", "100,000 packets/s, p50 ms",
	       m[STEADY_P50] / 1e6);
	printf("%-34s %10.2f\n", "100,000 packets/s, p99 ms",
	       m[STEADY_P99] / 1e6);
}

static void print_json(const double m[MEASURES], int rounds, uint64_t group)
{
	static const char *const names[MEASURES] = {
		"spool_bytes_per_s",	"bare_bytes_per_s",
		"spool_packets_per_s",	"stage_ns",
		"copy_and_checksum_ns", "lone_p50_ns",
		"lone_p99_ns",		"bare_lone_p50_ns",
		"bare_lone_p99_ns",	"steady_p50_ns",
		"steady_p99_ns"
	};

	printf("{\"bench\":\"spool\",\"rounds\":%d,\"commit_bytes\":%llu",
	       rounds, (unsigned long long)group);
	for (int i = 0; i < MEASURES; i++)
		printf(",\"%s\":%.0f", names[i], m[i]);
	printf(",\"ratio\":%.3f}\n", m[SPOOL_RATE] / m[BARE_RATE]);
}

int main(int argc, char **argv)
{
	static struct bench b = { .dir = ".", .rounds = 5 };
	bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
	double m[MEASURES];
	int mib = 512;

	argc -= json;
	argv += json;
	if (argc > 1)
		b.dir = argv[1];
	if (argc > 2)
		b.rounds = atoi(argv[2]);
	if (argc > 3)
		mib = atoi(argv[3]);
	if (b.rounds < 1 || b.rounds > ROUNDS_MAX || mib < 1)
		fail("usage",
		     "bench-spool [--json] [DIR [ROUNDS [MEBIBYTES]]]");
	log_setup(LOG_ERROR, false);
	b.packets = ((uint64_t)mib << 20) / RECORD / BURST * BURST;
	b.content = mem_alloc(BURST * PACKET);
	memset(b.content, 'x', BURST * PACKET);
	for (int round = 0; round < b.rounds; round++) {
		spool_flood(&b, round);
		bare_flood(&b, round);
		spool_lone(&b, round);
		bare_lone(&b, round);
		spool_steady(&b, round);
		copy_and_sum(&b, round);
	}
	for (int i = 0; i < MEASURES; i++)
		m[i] = median(&b, (enum measure)i);
	(json ? print_json : print_table)(m, b.rounds, b.group);
	free(b.content);
	return 0;
}
