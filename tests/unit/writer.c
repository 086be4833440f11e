/* SPDX-License-Identifier: Apache-2.0 */
#include "spool_here.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/spool/writer.h"

enum { LIMIT_MS = 20000 };

#ifndef __has_feature
#define __has_feature(what) 0
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__) ||           \
	__has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

/* The machine, with a disk that counts, stops, or refuses when told to. */
static struct {
	struct sys sys; /* first: the calls get it back */
	_Atomic int syncs, writes;
	_Atomic bool hold, refuse_sync, refuse_write;
	_Atomic bool swallow; /* take what is written, and keep nothing */
	_Atomic bool gated;   /* as many syncs as are let through */
	_Atomic int let_through;
	_Atomic int error;
} moody;

static int moody_sync(struct sys *sys, int file)
{
	(void)sys;
	(void)file;
	while (atomic_load(&moody.hold))
		usleep(1000);
	while (atomic_load(&moody.gated) && !atomic_load(&moody.let_through))
		usleep(100);
	if (atomic_load(&moody.gated))
		atomic_fetch_sub(&moody.let_through, 1);
	atomic_fetch_add(&moody.syncs, 1);
	return atomic_load(&moody.refuse_sync) ? -atomic_load(&moody.error) : 0;
}

static ssize_t moody_pwrite(struct sys *sys, int file, const void *from,
			    size_t len, uint64_t at)
{
	atomic_fetch_add(&moody.writes, 1);
	if (atomic_load(&moody.refuse_write))
		return -atomic_load(&moody.error);
	if (atomic_load(&moody.swallow))
		return (ssize_t)len;
	return sys_host()->pwrite(sys, file, from, len, at);
}

static int moody_reserve(struct sys *sys, int file, uint64_t bytes)
{
	(void)sys;
	(void)file;
	(void)bytes;
	return atomic_load(&moody.refuse_write) ? -atomic_load(&moody.error)
						: 0;
}

static struct sys *moody_sys(void)
{
	log_setup(LOG_ERROR, false);
	memset(&moody, 0, sizeof(moody));
	moody.sys = *sys_here();
	moody.sys.sync = moody_sync;
	moody.sys.pwrite = moody_pwrite;
	moody.sys.reserve = moody_reserve;
	return &moody.sys;
}

static struct spool_writer *start_with(struct spool_config cfg,
				       struct spool_writer_config wcfg)
{
	struct err err = ERR_NONE;
	struct spool *s = spool_open(moody_sys(), &cfg, &err);
	struct spool_writer *w;

	if (!s)
		fail_msg("spool_open: %s", err.text);
	w = spool_writer_start(s, &wcfg, &err);
	if (!w)
		fail_msg("spool_writer_start: %s", err.text);
	return w;
}

static struct spool_writer *start_here(uint64_t staging)
{
	struct spool_writer_config wcfg = SPOOL_WRITER_CONFIG_DEFAULT;

	wcfg.staging_max = staging;
	return start_with(config_here(), wcfg);
}

static void stop(struct spool_writer *w)
{
	struct err err = ERR_NONE;

	CHECK_OK(spool_writer_stop(w, &err), &err);
}

static int put_one(struct spool_writer *w, uint64_t i)
{
	struct packet p = packet_number(i);

	return spool_writer_put(w, &p, 1);
}

/* Wait on the descriptor until `index` is durable. */
static void wait_durable(struct spool_writer *w, uint64_t index)
{
	struct pollfd p = { .fd = spool_writer_fd(w), .events = POLLIN };
	uint64_t count;

	for (int i = 0; spool_writer_durable(w) < index; i++) {
		CHECK(i < LIMIT_MS / 10);
		if (poll(&p, 1, 10) > 0)
			CHECK_EQ(read(p.fd, &count, sizeof(count)), 8);
	}
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

TEST(I08_a_lone_packet_is_synced_well_within_500_ms)
{
	struct spool_writer *w = start_here(1 << 20);
	uint64_t begin = now_ms();
	int syncs;

	syncs = atomic_load(&moody.syncs);
	CHECK_EQ(put_one(w, 0), 1);
	wait_durable(w, 1);
	CHECK(now_ms() - begin < 400);
	/* The .pcap and the .idx. */
	CHECK(atomic_load(&moody.syncs) >= syncs + 2);
	stop(w);
	CHECK_EQ(read_all().packets, 1);
}

TEST(packets_put_in_any_grouping_are_read_back_in_order)
{
	enum { N = 60000 };
	struct spool_writer *w = start_here(1 << 20);
	struct got g;
	uint64_t i = 0;

	while (i < N) {
		struct packet p[4];
		int n = 1 + (int)t_random_below(4), taken;

		if ((uint64_t)n > N - i)
			n = (int)(N - i);
		for (int k = 0; k < n; k++)
			p[k] = packet_number(i + (uint64_t)k);
		taken = spool_writer_put(w, p, n);
		/* What found no room is put again, so that numbers stay. */
		i += (uint64_t)taken;
		if (taken < n)
			wait_durable(w, i);
		if (t_random_below(1000) == 0)
			spool_writer_flush(w);
	}
	CHECK_EQ(spool_writer_next(w), N);
	stop(w);
	g = read_all();
	CHECK_EQ(g.packets, N);
	CHECK_EQ(g.gaps + g.damaged, 0);
}

/*
 * After each pause the ring begins at its start again; what lay unused behind
 * must not count as used until the next commit.
 */
TEST(a_pause_takes_no_room_from_what_follows_it)
{
	struct spool_writer *w = start_here(64 << 10);
	uint64_t i = 0;

	for (int round = 0; round < 20; round++) {
		atomic_store(&moody.hold, true);
		/* Some 40 KiB. */
		for (int k = 0; k < 700; k++, i++)
			CHECK_EQ(put_one(w, i), 1);
		atomic_store(&moody.hold, false);
		wait_durable(w, i);
	}
	stop(w);
	CHECK_EQ(read_all().packets, i);
}

/* The housekeeper has made the next segment, and syncs nothing now. */
static void wait_for_spare(void)
{
	for (int i = 0; access(t_path("spool/src1/.spare-2.idx"), F_OK); i++) {
		CHECK(i < LIMIT_MS / 10);
		usleep(10000);
	}
	usleep(10000);
}

/* Pages of this process that hold something. */
static uint64_t resident_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long long pages = 0;

	CHECK(f && fscanf(f, "%*u %llu", &pages) == 1);
	fclose(f);
	return pages * 4096;
}

/*
 * While the disk is at one MiB the next one is staged, so that never all of it
 * is durable: a ring would walk through all of its memory.
 */
TEST(a_source_that_the_disk_keeps_up_with_stays_in_few_pages)
{
	enum { MIB = 1 << 20, SIZE = 1 << 16, A_MIB = MIB / SIZE };
	static uint8_t data[SIZE - RECORD_HEADER];
	const struct packet p = { .data = bytes_of(data, sizeof(data)),
				  .time_ns = 1,
				  .wire_len = sizeof(data) };
	struct spool_config cfg = config_here();
	struct spool_writer_config wcfg = SPOOL_WRITER_CONFIG_DEFAULT;
	struct spool_writer *w;
	uint64_t before;

	if (SANITIZED)
		t_skip("a sanitizer has memory of its own");
	cfg.segment_max = 256 * MIB;
	wcfg.staging_max = 128 * MIB;
	wcfg.commit_min_ns = 0;
	w = start_with(cfg, wcfg);
	wait_for_spare();
	atomic_store(&moody.swallow, true);
	atomic_store(&moody.gated, true);
	before = resident_bytes();
	for (uint64_t n = 0; n < 160; n++) {
		for (int i = 0; i < A_MIB; i++)
			CHECK_EQ(spool_writer_put(w, &p, 1), 1);
		/* The two syncs of one commit. */
		atomic_store(&moody.let_through, 2);
		for (int i = 0; atomic_load(&moody.let_through); i++) {
			CHECK(i < LIMIT_MS);
			usleep(1000);
		}
	}
	CHECK(resident_bytes() - before < 40 * MIB);
	atomic_store(&moody.gated, false);
	stop(w);
}

TEST(what_finds_no_room_is_one_DROP_at_its_place)
{
	struct spool_writer *w = start_here(64 << 10);
	struct spool_writer_status st;
	uint64_t taken = 0, lost = 0;
	struct got g;

	atomic_store(&moody.hold, true);
	for (int i = 0; i < 5000; i++) {
		if (put_one(w, taken))
			taken++;
		else
			lost++;
	}
	CHECK(taken > 500);
	CHECK(lost > 500);
	spool_writer_status(w, &st);
	CHECK_EQ(st.dropped_staging, lost);
	CHECK_EQ(spool_writer_next(w), taken);
	atomic_store(&moody.hold, false);
	wait_durable(w, taken);
	CHECK_EQ(put_one(w, taken), 1);
	stop(w);
	g = read_all();
	CHECK_EQ(g.packets, taken + 1);
	CHECK_EQ(g.drops, lost);
}

TEST(losses_are_recorded_though_no_packet_follows)
{
	struct spool_writer *w = start_here(64 << 10);
	uint64_t taken = 0, lost = 0;
	struct got g;

	atomic_store(&moody.hold, true);
	for (int i = 0; i < 3000; i++) {
		if (put_one(w, taken))
			taken++;
		else
			lost++;
	}
	CHECK(lost > 0);
	atomic_store(&moody.hold, false);
	stop(w);
	g = read_all();
	CHECK_EQ(g.packets, taken);
	CHECK_EQ(g.drops, lost);
}

TEST(a_sync_that_fails_loses_nothing_and_poisons_its_segment)
{
	struct spool_writer *w = start_here(1 << 20);
	struct spool_writer_status st;
	struct got g;

	CHECK_EQ(put_one(w, 0), 1);
	wait_durable(w, 1);
	atomic_store(&moody.error, EIO);
	atomic_store(&moody.refuse_sync, true);
	for (uint64_t i = 1; i < 200; i++)
		CHECK_EQ(put_one(w, i), 1);
	for (int i = 0;; i++) {
		spool_writer_status(w, &st);
		if (st.degraded)
			break;
		CHECK(i < LIMIT_MS);
		usleep(1000);
	}
	CHECK(strstr(st.trouble, "cannot be synced") != NULL);
	CHECK_EQ(spool_writer_durable(w), 1);
	CHECK(st.durable_age_ns > 0);
	atomic_store(&moody.refuse_sync, false);
	wait_durable(w, 200);
	spool_writer_status(w, &st);
	CHECK(!st.degraded);
	CHECK(st.spool.poisoned >= 1);
	stop(w);
	g = read_all();
	CHECK_EQ(g.packets, 200);
	CHECK_EQ(g.gaps + g.damaged, 0);
}

TEST(a_full_disk_stops_nothing_and_its_losses_are_counted_as_such)
{
	struct spool_writer *w = start_here(64 << 10);
	struct spool_writer_status st;
	uint64_t taken = 0, lost = 0;
	struct got g;

	CHECK_EQ(put_one(w, taken++), 1);
	wait_durable(w, 1);
	atomic_store(&moody.error, ENOSPC);
	atomic_store(&moody.refuse_write, true);
	CHECK_EQ(put_one(w, taken++), 1);
	for (int i = 0;; i++) {
		spool_writer_status(w, &st);
		if (st.degraded)
			break;
		CHECK(i < LIMIT_MS);
		usleep(1000);
	}
	for (int i = 0; i < 5000; i++) {
		if (put_one(w, taken))
			taken++;
		else
			lost++;
	}
	spool_writer_status(w, &st);
	CHECK(lost > 0);
	CHECK_EQ(st.dropped_disk, lost);
	CHECK_EQ(st.dropped_staging, 0);
	atomic_store(&moody.refuse_write, false);
	wait_durable(w, taken);
	stop(w);
	g = read_all();
	CHECK_EQ(g.packets, taken);
	CHECK_EQ(g.drops, lost);
	CHECK_EQ(g.gaps + g.damaged, 0);
}

TEST(I12_huge_packets_between_small_ones_are_kept_whole)
{
	static uint8_t big[PACKET_MAX + 100];
	struct spool_writer *w = start_here(40 << 20);
	static const size_t sizes[] = { 60,	    65549, 60,
					PACKET_MAX, 60,	   PACKET_MAX + 100,
					60 };
	struct spool_reader *r;
	struct spool_event ev;
	struct err err = ERR_NONE;
	struct buf b = { 0 };
	int seen = 0;

	for (int i = 0; i < 7; i++) {
		struct packet p = { .data = bytes_of(big, sizes[i]),
				    .time_ns = 1,
				    .wire_len = (uint32_t)sizes[i] };

		memset(big, i + 1, sizes[i]);
		CHECK_EQ(spool_writer_put(w, &p, 1), 1);
		wait_durable(w, (uint64_t)i + 1);
	}
	stop(w);

	spool_close(open_here()); /* and they survive a restart */
	r = reader_here();
	while (spool_reader_next(r, &ev, &err) == 0) {
		struct cursor c;
		struct packet p;

		if (ev.kind != SPOOL_EVENT_RUN)
			continue;
		buf_clear(&b);
		CHECK_OK(spool_reader_load(r, &ev, &b, &err), &err);
		c = cursor_on(ev.run.records);
		while (record_next(&c, &p) == 0) {
			size_t want = sizes[seen] > PACKET_MAX ? PACKET_MAX
							       : sizes[seen];

			CHECK_EQ(p.data.len, want);
			CHECK_EQ(p.wire_len, sizes[seen]);
			CHECK_EQ(p.data.p[want - 1], seen + 1);
			seen++;
		}
	}
	CHECK_EQ(seen, 7);
	buf_release(&b);
	spool_reader_close(r);
}

TEST(runs_of_a_mirror_keep_their_batches_and_their_chain)
{
	struct spool_writer *w = start_here(1 << 20);
	struct spool_note gap = { .is = SPOOL_IS_GAP,
				  .value = 100,
				  .reason = SPOOL_GAP_RETENTION };
	struct err err = ERR_NONE;
	uint8_t zero[SPOOL_ID] = { 0 };
	struct spool_reader *r;
	struct buf b = { 0 };
	struct run run = { 0 };
	uint64_t chain = 0x1234, read_back = 0;

	for (uint64_t i = 0; i < 3; i++) {
		struct packet p = packet_number(i);

		put_record(&b, &p);
	}
	run.records = buf_bytes(&b);
	CHECK_EQ(run_measure(&run), 0);
	CHECK_OK(spool_writer_put_run(w, &run, &chain, &err), &err);
	CHECK_EQ(spool_writer_note(w, &gap), 0);
	CHECK_EQ(spool_writer_next(w), 100);
	run.first = 100;
	chain = 0x5678;
	CHECK_OK(spool_writer_put_run(w, &run, &chain, &err), &err);
	wait_durable(w, 103);
	stop(w);
	r = reader_here();
	CHECK_OK(spool_reader_chain(r, zero, 3, &read_back, &err), &err);
	CHECK_EQ(read_back, 0x1234);
	CHECK_OK(spool_reader_chain(r, zero, 103, &read_back, &err), &err);
	CHECK_EQ(read_back, 0x5678);
	CHECK_EQ(spool_reader_chain(r, zero, 2, &read_back, &err), ERR_GONE);
	spool_reader_close(r);
	buf_release(&b);
}

TEST(a_run_that_finds_no_room_is_refused_and_fits_later)
{
	struct spool_writer *w = start_here(8 << 10);
	struct spool *s;
	struct err err = ERR_NONE;
	struct buf b = { 0 };
	struct run run = { 0 };
	int rc;

	for (uint64_t i = 0; i < 30; i++) {
		struct packet p = packet_number(i);

		put_record(&b, &p);
	}
	run.records = buf_bytes(&b);
	CHECK_EQ(run_measure(&run), 0);
	atomic_store(&moody.hold, true);
	while ((rc = spool_writer_put_run(w, &run, NULL, &err)) == 0)
		run.first += run.count;
	CHECK_EQ(rc, ERR_FULL);
	CHECK_EQ(spool_writer_next(w), run.first);
	atomic_store(&moody.hold, false);
	wait_durable(w, run.first);
	CHECK_OK(spool_writer_put_run(w, &run, NULL, &err), &err);
	stop(w);
	s = open_here();
	CHECK_EQ(spool_next(s), run.first + run.count);
	spool_close(s);
	buf_release(&b);
}
