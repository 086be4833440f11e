/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spooltool.c - spools with known packets, for tests of what carries them.
 *
 *	spooltool fill DIR COUNT [RATE]   append COUNT packets (RATE a second)
 *	spooltool check DIR [FROM]        read all; say what is there
 *	spooltool sum DIR                 SHA-256 over all records, by spool
 *	spooltool head DIR                first index that is not durable
 *	spooltool await DIR NEXT SECONDS  wait until it is NEXT or more
 *
 * Packet i of a spool always has the same content, so "check" knows each one
 * that is wrong, missing without a gap, or there twice.  It prints one line a
 * spool: origin, first, next, packets, gaps, missing, drops; status 1 when
 * something is wrong.  SIGTERM ends "fill" after a last commit; SPOOL_KEEP,
 * SPOOL_SEGMENT, SPOOL_BATCH (bytes) and SPOOL_LINKTYPE in its environment
 * take the place of the spool's defaults.
 */
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/err.h"
#include "codec/hex.h"
#include "codec/record.h"
#include "engine/spool/reader.h"
#include "engine/spool/writer.h"
#include "sys/sys.h"

static volatile sig_atomic_t stopped;

static void on_stop(int sig)
{
	(void)sig;
	stopped = 1;
}

static void die(const struct err *err)
{
	fprintf(stderr, "spooltool: %s\n", err->text);
	exit(1);
}

/* Mostly small, some large, bytes that compress about as packets do. */
static struct packet packet_number(uint64_t i)
{
	static uint8_t data[8][2048];
	uint8_t *p = data[i % 8];
	size_t len = 40 + i * 7919 % 200 + (i % 16 == 0 ? 1200 : 0);
	uint64_t x = i * UINT64_C(0x9e3779b97f4a7c15) + 1;

	for (size_t k = 0; k < len; k += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(p + k, &x, 8);
		if (k > 64)
			memset(p + k, (int)(i % 26 + 'a'), 8);
	}
	return (struct packet){ .data = bytes_of(p, len),
				.time_ns = UINT64_C(1700000000000000000) +
					   i * 12345,
				.wire_len = (uint32_t)(len + i % 3) };
}

/* -- fill ---------------------------------------------------------------- */

static void pace(uint64_t done, double rate, const struct timespec *begun)
{
	struct timespec now;
	double ahead;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ahead = (double)done / rate -
		((double)(now.tv_sec - begun->tv_sec) +
		 (double)(now.tv_nsec - begun->tv_nsec) / 1e9);
	if (ahead > 0) {
		struct timespec nap = { (time_t)ahead,
					(long)((ahead - (time_t)ahead) * 1e9) };

		nanosleep(&nap, NULL);
	}
}

static int fill(const char *dir, uint64_t count, double rate)
{
	struct spool_config cfg = SPOOL_CONFIG_DEFAULT;
	struct spool_writer_config wcfg = SPOOL_WRITER_CONFIG_DEFAULT;
	struct err err = ERR_NONE;
	const char *keep = getenv("SPOOL_KEEP"), *seg = getenv("SPOOL_SEGMENT");
	const char *linktype = getenv("SPOOL_LINKTYPE");
	const char *batch = getenv("SPOOL_BATCH");
	struct timespec begun;
	struct spool_writer *w;
	struct spool *s;
	uint64_t next;

	/*
	 * A run crosses the link whole or not at all: however long a commit
	 * takes on a busy machine, one must fit between two cuts of a wire.
	 */
	wcfg.batch_max = 16 << 10;
	cfg.source_dir = dir;
	cfg.reserve = false;
	cfg.keep_max = keep ? strtoull(keep, NULL, 10) : cfg.keep_max;
	cfg.segment_max = seg ? strtoull(seg, NULL, 10) : cfg.segment_max;
	wcfg.batch_max = batch ? strtoull(batch, NULL, 10) : wcfg.batch_max;
	strcpy(cfg.want.name, "test");
	cfg.want.linktype = linktype ? (uint32_t)atoi(linktype) : 1;
	cfg.want.snaplen = PACKET_SNAPLEN;
	sys_mkdir_all(sys_host(), dir);
	s = spool_open(sys_host(), &cfg, &err);
	if (!s)
		die(&err);
	next = spool_next(s);
	w = spool_writer_start(s, &wcfg, &err);
	if (!w)
		die(&err);
	clock_gettime(CLOCK_MONOTONIC, &begun);
	for (uint64_t i = 0; i < count && !stopped; i++) {
		struct packet p = packet_number(next + i);

		while (spool_writer_put(w, &p, 1) != 1)
			nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
		if (rate > 0)
			pace(i + 1, rate, &begun);
	}
	if (spool_writer_stop(w, &err) < 0)
		die(&err);
	return 0;
}

/* -- check --------------------------------------------------------------- */

struct seen {
	bool any;
	char origin[2 * SPOOL_ID + 1];
	uint64_t first, next, packets, gaps, missing, drops, wrong;
	EVP_MD_CTX *sum;
};

static void report(struct seen *s, bool sums)
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	char hex[65];

	if (!s->any)
		return;
	EVP_DigestFinal_ex(s->sum, hash, NULL);
	printf("origin=%s first=%llu next=%llu packets=%llu gaps=%llu "
	       "missing=%llu drops=%llu wrong=%llu",
	       s->origin, (unsigned long long)s->first,
	       (unsigned long long)s->next, (unsigned long long)s->packets,
	       (unsigned long long)s->gaps, (unsigned long long)s->missing,
	       (unsigned long long)s->drops, (unsigned long long)s->wrong);
	if (sums)
		printf(" sha256=%s", hex_of(hex, bytes_of(hash, 32)));
	printf("\n");
}

static void begin(struct seen *s, const struct spool_event *ev, uint64_t *bad,
		  bool sums)
{
	EVP_MD_CTX *sum = s->sum;

	if (s->any)
		*bad += s->wrong;
	report(s, sums);
	*s = (struct seen){
		.any = true, .first = ev->at, .next = ev->at, .sum = sum
	};
	hex_of(s->origin, bytes_of(ev->identity->origin, SPOOL_ID));
	EVP_DigestInit_ex(sum, EVP_sha256(), NULL);
}

static void take_run(struct seen *s, const struct spool_event *ev)
{
	struct cursor c = cursor_on(ev->run.records);
	uint64_t i = ev->run.first;
	struct packet p;

	if (i != s->next)
		s->wrong++;
	while (record_next(&c, &p) == 0) {
		struct packet want = packet_number(i++);

		if (!bytes_equal(p.data, want.data) ||
		    p.time_ns != want.time_ns || p.wire_len != want.wire_len)
			s->wrong++;
		s->packets++;
	}
	EVP_DigestUpdate(s->sum, ev->run.records.p, ev->run.records.len);
	s->next = i;
}

static void take_gap(struct seen *s, uint64_t from, uint64_t to)
{
	if (from != s->next)
		s->wrong++;
	printf("gap [%llu, %llu)\n", (unsigned long long)from,
	       (unsigned long long)to);
	s->gaps++;
	s->missing += to - from;
	s->next = to;
}

static int check(const char *dir, bool sums)
{
	struct err err = ERR_NONE;
	struct spool_reader *r = spool_reader_open(sys_host(), dir, &err);
	struct seen s = { .sum = EVP_MD_CTX_new() };
	struct spool_event ev;
	struct buf b = { 0 };
	uint64_t bad = 0;
	int rc;

	if (!r)
		die(&err);
	while ((rc = spool_reader_next(r, &ev, &err)) == 0) {
		buf_clear(&b);
		if (ev.kind == SPOOL_EVENT_BEGIN)
			begin(&s, &ev, &bad, sums);
		else if (ev.kind == SPOOL_EVENT_GAP ||
			 ev.note.is == SPOOL_IS_GAP)
			take_gap(&s, ev.at, ev.note.value);
		else if (ev.kind == SPOOL_EVENT_NOTE)
			s.drops +=
				ev.note.is == SPOOL_IS_DROP ? ev.note.value : 0;
		else if (spool_reader_load(r, &ev, &b, &err) == 0)
			take_run(&s, &ev);
		else
			die(&err);
		ev.note.is = 0;
	}
	if (rc != ERR_AGAIN)
		die(&err);
	bad += s.wrong;
	report(&s, sums);
	spool_reader_close(r);
	EVP_MD_CTX_free(s.sum);
	buf_release(&b);
	return bad ? 1 : 0;
}

/* -- how far it is ------------------------------------------------------- */

static uint64_t head_of(const char *dir)
{
	struct err err = ERR_NONE;
	struct spool_reader *r = spool_reader_open(sys_host(), dir, &err);
	struct spool_reader_status st = { 0 };

	if (!r || spool_reader_status(r, &st, &err) < 0)
		die(&err);
	spool_reader_close(r);
	return st.head;
}

/* Fine enough to measure by. */
static int await(const char *dir, uint64_t next, uint64_t seconds)
{
	for (uint64_t i = 0; i < seconds * 500; i++) {
		if (head_of(dir) >= next)
			return 0;
		nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
	}
	return 1;
}

int main(int argc, char **argv)
{
	signal(SIGTERM, on_stop);
	signal(SIGINT, on_stop);
	if (argc >= 4 && strcmp(argv[1], "fill") == 0)
		return fill(argv[2], strtoull(argv[3], NULL, 10),
			    argc > 4 ? atof(argv[4]) : 0);
	if (argc >= 3 && strcmp(argv[1], "check") == 0)
		return check(argv[2], false);
	if (argc >= 3 && strcmp(argv[1], "sum") == 0)
		return check(argv[2], true);
	if (argc >= 3 && strcmp(argv[1], "head") == 0)
		return printf("%llu\n", (unsigned long long)head_of(argv[2])) <
		       0;
	if (argc >= 5 && strcmp(argv[1], "await") == 0)
		return await(argv[2], strtoull(argv[3], NULL, 10),
			     strtoull(argv[4], NULL, 10));
	fprintf(stderr, "usage: spooltool fill|check|sum|head|await DIR "
			"[COUNT [RATE] | NEXT SECONDS]\n");
	return 2;
}
