/* SPDX-License-Identifier: Apache-2.0 */
#include "spool_here.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/spool/spool_priv.h"
#include "engine/spool/writer.h"

static struct spool *open_capped(uint64_t segment_max, uint64_t keep_max)
{
	struct spool_config cfg = config_here();

	log_setup(LOG_ERROR, false);
	cfg.segment_max = segment_max;
	cfg.keep_max = keep_max;
	return open_with(&cfg);
}

static void write_and_keep_house(struct spool *s, int batches, uint32_t count)
{
	for (int i = 0; i < batches; i++) {
		write_some(s, 1, count);
		housekeep(s);
	}
}

/* -- retention ------------------------------------------------------------- */

TEST(I14_a_reader_reads_on_in_a_segment_that_was_removed)
{
	struct spool *s = open_capped(1 << 10, 0);
	struct spool_reader *r = reader_here();
	struct spool_event ev;
	struct err err = ERR_NONE;
	struct got g = { 0 };
	char first[FILE_NAME_MAX];

	write_some(s, 20, 5);
	spool_close(s);
	/* Into the oldest segment, not to its end. */
	for (int i = 0; i < 3; i++) {
		CHECK_OK(spool_reader_next(r, &ev, &err), &err);
		take_event(r, &ev, &g);
	}
	CHECK_EQ(g.packets, 5);
	s = open_capped(1 << 10, 1);
	housekeep(s);
	segment_name(first, 0, "pcap");
	CHECK(access(t_path("spool/src1/%s", first), F_OK) != 0);
	read_on(r, &g);
	/* The rest of its segment, and then one gap to the oldest. */
	CHECK_EQ(g.gaps, 1);
	CHECK(g.gap_from[0] > 5);
	CHECK_EQ(g.gap_to[0], 100);
	CHECK_EQ(g.gap_reason[0], SPOOL_GAP_RETENTION);
	CHECK_EQ(g.packets, g.gap_from[0]);
	CHECK_EQ(g.damaged, 0);
	spool_close(s);
	spool_reader_close(r);
}

TEST(I15_a_parked_reader_neither_fills_the_disk_nor_misses_a_number)
{
	struct spool *s = open_capped(1 << 10, 4 << 10);
	struct spool_reader *r = reader_here();
	struct spool_event ev;
	struct err err = ERR_NONE;
	struct spool_status st;
	struct got g = { 0 };

	write_some(s, 3, 5);
	for (int i = 0; i < 3; i++) {
		CHECK_OK(spool_reader_next(r, &ev, &err), &err);
		take_event(r, &ev, &g);
	}
	for (int i = 0; i < 200; i++) {
		write_and_keep_house(s, 1, 5);
		spool_status(s, &st);
		CHECK(st.bytes <= (4 << 10) + (1 << 10) + 1024);
	}
	read_on(r, &g);
	CHECK_EQ(g.gaps, 1);
	CHECK_EQ(g.gap_reason[0], SPOOL_GAP_RETENTION);
	CHECK_EQ(g.gap_to[0], st.oldest);
	CHECK_EQ(g.packets + g.lost, 1015);
	spool_close(s);
	spool_reader_close(r);
}

/* How many files that have no name any more this process holds. */
static int held_without_name(void)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;
	int n = 0;

	CHECK(d != NULL);
	while ((e = readdir(d))) {
		char path[300];
		ssize_t len =
			readlinkat(dirfd(d), e->d_name, path, sizeof(path) - 1);

		if (len <= 0)
			continue;
		path[len] = '\0';
		n += strstr(path, "spool/src1/") && strstr(path, "(deleted)");
	}
	closedir(d);
	return n;
}

static uint64_t clock_here;

static uint64_t moved_mono(struct sys *sys)
{
	(void)sys;
	return clock_here;
}

TEST(I15_a_parked_reader_lets_go_of_a_removed_segment_in_time)
{
	struct sys sys = *sys_here();
	struct spool *s = open_capped(1 << 10, 4 << 10);
	struct spool_reader_status status;
	struct spool_reader *r;
	struct spool_event ev;
	struct err err = ERR_NONE;
	struct got g = { 0 };

	sys.mono_ns = moved_mono;
	clock_here = 0;
	write_some(s, 3, 5);
	r = spool_reader_open(&sys, t_path("spool/src1"), &err);
	CHECK(r != NULL);
	for (int i = 0; i < 3; i++) {
		CHECK_OK(spool_reader_next(r, &ev, &err), &err);
		take_event(r, &ev, &g);
	}
	write_and_keep_house(s, 100, 5);
	for (int i = 0; i < 2; i++) {
		CHECK_OK(spool_reader_status(r, &status, &err), &err);
		CHECK_EQ(held_without_name(), 2);
		clock_here += SPOOL_RETIRED_NS - 1;
	}
	clock_here++;
	CHECK_OK(spool_reader_status(r, &status, &err), &err);
	CHECK_EQ(held_without_name(), 0);
	/* What it did not get in time is one gap. */
	read_on(r, &g);
	CHECK_EQ(g.gaps, 1);
	CHECK_EQ(g.gap_from[0], 5);
	CHECK_EQ(g.gap_reason[0], SPOOL_GAP_RETENTION);
	CHECK_EQ(g.gap_to[0], status.oldest);
	CHECK_EQ(g.packets + g.lost, 515);
	spool_close(s);
	spool_reader_close(r);
}

/* -- places ---------------------------------------------------------------- */

static struct got read_here_on(struct spool_reader *r)
{
	struct got g = { 0 };

	read_on(r, &g);
	return g;
}

TEST(an_index_inside_a_run_gives_the_whole_run_first)
{
	struct spool *s = open_capped(1 << 10, 0);
	struct spool_reader *r = reader_here();

	write_some(s, 20, 5);
	for (uint64_t i = 0; i <= 100; i++) {
		struct got g;

		seek_to(r, SPOOL_INDEX, i);
		g = read_here_on(r);
		CHECK_EQ(g.begins, 1);
		CHECK_EQ(g.packets, i == 100 ? 0 : 100 - i / 5 * 5);
		CHECK_EQ(g.next, 100);
		CHECK_EQ(g.gaps + g.damaged, 0);
	}
	spool_close(s);
	spool_reader_close(r);
}

TEST(an_index_that_is_gone_or_ahead_or_of_a_stranger)
{
	struct spool *s = open_capped(1 << 10, 3 << 10);
	struct spool_reader *r = reader_here();
	struct spool_seek to = { .place = SPOOL_INDEX, .index = 1001 };
	struct spool_status st;
	struct err err = ERR_NONE;
	struct got g;

	write_and_keep_house(s, 100, 5);
	spool_status(s, &st);
	seek_to(r, SPOOL_INDEX, 3);
	g = read_here_on(r);
	CHECK_EQ(g.gaps, 1);
	CHECK_EQ(g.gap_from[0], 3);
	CHECK_EQ(g.gap_to[0], st.oldest);
	CHECK_EQ(g.packets, 500 - st.oldest);
	CHECK_EQ(spool_reader_seek(r, &to, &err), ERR_GONE);
	to.index = 500;
	CHECK_OK(spool_reader_seek(r, &to, &err), &err);
	memset(to.origin, 3, SPOOL_ID);
	CHECK_EQ(spool_reader_seek(r, &to, &err), ERR_UNKNOWN);
	memcpy(to.origin, st.identity.origin, SPOOL_ID);
	CHECK_OK(spool_reader_seek(r, &to, &err), &err);
	spool_close(s);
	spool_reader_close(r);
}

TEST(live_gives_only_what_becomes_durable_from_now_on)
{
	struct spool *s = open_capped(1 << 10, 0);
	struct spool_reader *r = reader_here();
	struct got g;

	write_some(s, 7, 5);
	seek_to(r, SPOOL_LIVE, 0);
	g = read_here_on(r);
	CHECK_EQ(g.begins, 1);
	CHECK_EQ(g.packets, 0);
	append_run(s, 5);
	CHECK_EQ(read_here_on(r).packets, 0);
	commit(s);
	CHECK_EQ(read_here_on(r).packets, 5);
	for (int i = 0; i < 30; i++) {
		write_some(s, 1, 5);
		CHECK_EQ(read_here_on(r).packets, 5);
	}
	spool_close(s);
	spool_reader_close(r);
}

TEST(a_time_leads_to_the_first_run_that_reaches_it)
{
	struct spool *s = open_capped(1 << 10, 0);
	struct spool_reader *r = reader_here();

	write_some(s, 40, 5);
	for (uint64_t i = 0; i < 200; i += 3) {
		struct got g;

		seek_to(r, SPOOL_TIME, packet_number(i).time_ns);
		g = read_here_on(r);
		CHECK_EQ(g.packets, 200 - i / 5 * 5);
	}
	seek_to(r, SPOOL_TIME, 0);
	CHECK_EQ(read_here_on(r).packets, 200);
	seek_to(r, SPOOL_TIME, packet_number(199).time_ns + 1);
	CHECK_EQ(read_here_on(r).packets, 0);
	spool_close(s);
	spool_reader_close(r);
}

TEST(the_chain_is_known_at_every_end_of_a_batch_and_nowhere_else)
{
	struct spool *s = open_capped(1 << 10, 0);
	struct spool_reader *r = reader_here();
	uint8_t any[SPOOL_ID] = { 0 };
	struct spool_status st;
	struct err err = ERR_NONE;
	uint64_t chain, last = 0;

	for (int i = 0; i < 20; i++) {
		write_some(s, 1, 5);
		spool_status(s, &st);
		CHECK(st.chain != last);
		last = st.chain;
		CHECK_OK(spool_reader_chain(r, any, st.head, &chain, &err),
			 &err);
		CHECK(chain == last);
		CHECK_EQ(spool_reader_chain(r, any, st.head - 1, &chain, &err),
			 ERR_GONE);
		CHECK_EQ(spool_reader_chain(r, any, st.head + 5, &chain, &err),
			 ERR_GONE);
	}
	CHECK_OK(spool_reader_chain(r, any, 0, &chain, &err), &err);
	CHECK_EQ(chain, 0);
	any[0] = 1;
	CHECK_EQ(spool_reader_chain(r, any, 5, &chain, &err), ERR_UNKNOWN);
	spool_close(s);
	spool_reader_close(r);
}

/* -- waiting ----------------------------------------------------------------
 */

TEST(a_reader_may_be_there_before_its_source)
{
	struct spool_reader *r = reader_here();
	struct spool_reader_status st;
	struct spool_event ev;
	struct err err = ERR_NONE;
	struct spool *s;
	struct got g;

	CHECK_EQ(spool_reader_next(r, &ev, &err), ERR_AGAIN);
	CHECK_OK(spool_reader_status(r, &st, &err), &err);
	CHECK(!st.exists);
	s = open_capped(1 << 10, 0);
	write_some(s, 3, 5);
	g = read_here_on(r);
	CHECK_EQ(g.begins, 1);
	CHECK_EQ(g.packets, 15);
	CHECK_OK(spool_reader_status(r, &st, &err), &err);
	CHECK(st.exists);
	CHECK(st.writer_alive);
	CHECK_EQ(st.head, 15);
	CHECK_EQ(st.position, 15);
	CHECK_EQ(st.newest_ns, packet_number(14).time_ns);
	CHECK(st.bytes > 500);
	spool_close(s);
	CHECK_OK(spool_reader_status(r, &st, &err), &err);
	CHECK(!st.writer_alive);
	spool_reader_close(r);
}

static bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

TEST(the_descriptor_tells_of_growth_and_of_a_new_spool)
{
	struct spool_config cfg = config_here();
	struct err err = ERR_NONE;
	struct spool *s = open_capped(1 << 10, 0);
	struct spool_reader *r =
		spool_reader_open(sys_host(), cfg.source_dir, &err);
	int fd;

	CHECK(r != NULL);
	fd = spool_reader_fd(r);
	CHECK(fd >= 0);
	(void)read_here_on(r);
	CHECK(!readable(fd, 0));
	write_some(s, 1, 5);
	CHECK(readable(fd, 5000));
	CHECK_EQ(read_here_on(r).packets, 5);
	CHECK(!readable(fd, 0));
	spool_close(s);
	(void)read_here_on(r);
	cfg.want.linktype = 113;
	s = open_with(&cfg);
	write_some(s, 1, 3);
	CHECK(readable(fd, 5000));
	CHECK_EQ(read_here_on(r).packets, 3);
	write_some(s, 1, 3);
	CHECK(readable(fd, 5000));
	CHECK_EQ(read_here_on(r).packets, 3);
	spool_close(s);
	spool_reader_close(r);
}

/* A user may have some 128 descriptors of this kind, and we serve more. */
TEST(only_a_reader_that_is_asked_for_its_descriptor_takes_one)
{
	enum { MANY = 200 };
	struct spool_config cfg = config_here();
	struct err err = ERR_NONE;
	struct spool *s = open_capped(1 << 20, 0);
	struct spool_reader *r[MANY];
	int fd;

	for (int i = 0; i < MANY; i++) {
		r[i] = spool_reader_open(sys_host(), cfg.source_dir, &err);
		CHECK(r[i] != NULL);
		(void)read_here_on(r[i]);
	}
	/* What grew before it was asked for is told as well. */
	write_some(s, 1, 5);
	fd = spool_reader_fd(r[MANY - 1]);
	CHECK(fd >= 0);
	CHECK(readable(fd, 5000));
	CHECK_EQ(read_here_on(r[MANY - 1]).packets, 5);
	CHECK(!readable(fd, 0));
	for (int i = 0; i < MANY; i++)
		spool_reader_close(r[i]);
	spool_close(s);
}

TEST(losses_at_the_head_are_seen_when_they_are_durable)
{
	const struct spool_note drop = { .is = SPOOL_IS_DROP,
					 .reason = 1,
					 .value = 9 };
	struct spool *s = open_capped(1 << 10, 0);
	struct spool_reader *r = reader_here();
	struct err err = ERR_NONE;

	write_some(s, 1, 5);
	(void)read_here_on(r);
	CHECK_OK(spool_append_note(s, &drop, &err), &err);
	CHECK_EQ(read_here_on(r).drops, 0);
	commit(s);
	CHECK_EQ(read_here_on(r).drops, 9);
	CHECK_EQ(read_here_on(r).drops, 0);
	spool_close(s);
	spool_reader_close(r);
}

/* -- siblings and damage ------------------------------------------------------
 */

TEST(siblings_come_in_order_each_with_its_BEGIN)
{
	struct spool_config cfg = config_here();
	struct spool_reader *r = reader_here();
	struct got g = { 0 };

	log_setup(LOG_ERROR, false);
	for (uint32_t i = 1; i <= 3; i++) {
		struct spool *s;

		cfg.want.linktype = i;
		s = open_with(&cfg);
		write_some(s, (int)i, 4);
		spool_close(s);
		if (i == 2)
			read_on(r, &g); /* follows from the first on */
	}
	CHECK_EQ(g.begins, 2);
	CHECK_EQ(g.packets, 12);
	read_on(r, &g);
	CHECK_EQ(g.begins, 3);
	CHECK_EQ(g.packets, 24);
	CHECK_EQ(read_all().packets, 24);
	spool_reader_close(r);
}

TEST(a_damaged_batch_is_one_gap_over_exactly_that_batch)
{
	struct spool *s = open_capped(0, 0);
	struct got g;
	int fd;

	write_some(s, 10, 5);
	spool_close(s);
	fd = open(t_path("spool/src1/00000000000000000000.pcap"), O_WRONLY);
	CHECK_EQ(pwrite(fd, "X", 1, 700), 1);
	close(fd);
	g = read_all();
	CHECK_EQ(g.gaps, 1);
	CHECK_EQ(g.gap_reason[0], SPOOL_GAP_DAMAGE);
	CHECK_EQ(g.gap_from[0] % 5, 0);
	CHECK_EQ(g.gap_to[0], g.gap_from[0] + 5);
	CHECK_EQ(g.packets, 45);
	CHECK(strstr(g.sentence, "00000000000000000000.pcap") != NULL);
}

/* -- together
 * ------------------------------------------------------------------ */

enum { STREAM = 40000 };

static void *produce(void *arg)
{
	struct spool_writer *w = arg;
	uint64_t i = 0;

	while (i < STREAM) {
		struct packet p = packet_number(i);

		if (spool_writer_put(w, &p, 1))
			i++;
		else
			usleep(500);
	}
	return NULL;
}

TEST(a_reader_at_the_heels_of_a_writer_gets_everything_once)
{
	struct spool_writer_config wcfg = SPOOL_WRITER_CONFIG_DEFAULT;
	struct spool_config cfg = config_here();
	struct spool_reader *r = reader_here();
	struct err err = ERR_NONE;
	struct spool_writer *w;
	struct got g = { 0 };
	pthread_t producer;

	log_setup(LOG_ERROR, false);
	cfg.segment_max = 100 << 10;
	cfg.reserve = true;
	wcfg.staging_max = 1 << 20;
	wcfg.batch_max = 4 << 10;
	wcfg.commit_min_ns = 0;
	w = spool_writer_start(open_with(&cfg), &wcfg, &err);
	CHECK(w != NULL);
	CHECK_EQ(pthread_create(&producer, NULL, produce, w), 0);
	for (int i = 0; g.next < STREAM; i++) {
		read_on(r, &g);
		CHECK(i < 1000000);
	}
	pthread_join(producer, NULL);
	CHECK_OK(spool_writer_stop(w, &err), &err);
	read_on(r, &g);
	CHECK_EQ(g.packets, STREAM);
	CHECK_EQ(g.gaps + g.damaged, 0);
	spool_reader_close(r);
}
