/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two ends fed to each other: what is in the spool is in the mirror, once.
 */
#include "engine/link/memory.h"
#include "link_here.h"

/* Which end speaks only ipcap's protocol. */
static const struct {
	bool agent, collector;
	const char *protocol;
} pairs[] = {
	{ false, false, "weir" },
	{ true, false, "ipcap" },
	{ false, true, "ipcap" },
	{ true, true, "ipcap" },
};
enum { PAIRS = 4 };

static void begin(struct pair *p, int i)
{
	remove_dir(t_path("spool"));
	remove_dir(t_path("mirror"));
	pair_init(p);
	p->agent_cfg.only_ipcap = pairs[i].agent;
	p->collector_cfg.only_ipcap = pairs[i].collector;
}

static void write_spool(int batches, uint32_t count)
{
	struct spool *s = open_here();

	write_some(s, batches, count);
	spool_close(s);
}

TEST(X06_every_pair_of_ends_carries_a_spool_into_a_mirror)
{
	for (int i = 0; i < PAIRS; i++) {
		struct pair p;

		begin(&p, i);
		write_spool(7, 100);
		pair_connect(&p);
		pair_go(&p);
		CHECK_STR(link_collector_protocol(p.collector),
			  pairs[i].protocol);
		check_mirror(&p, 700, 700);
		CHECK_EQ(atomic_load(&p.agent_counts.packets), 700);
		pair_release(&p);
	}
}

/* Append to the spool while somebody may be reading it. */
static void append(int batches, uint32_t count)
{
	write_spool(batches, count);
}

static void wipe_spool(void)
{
	remove_dir(t_path("spool/src1"));
}

/* Only the segments; id, lock and live stay. */
static void wipe_segments(void)
{
	DIR *d = opendir(t_path("spool/src1"));
	struct dirent *e;

	while ((e = readdir(d)))
		if (strstr(e->d_name, ".pcap") || strstr(e->d_name, ".idx"))
			remove(t_path("spool/src1/%s", e->d_name));
	closedir(d);
}

TEST(X06_every_pair_goes_on_where_it_stopped)
{
	for (int i = 0; i < PAIRS; i++) {
		struct pair p;

		begin(&p, i);
		write_spool(3, 50);
		pair_session(&p);
		check_mirror(&p, 150, 150);
		append(2, 70);
		pair_session(&p);
		check_mirror(&p, 290, 290);
		/* The mirror's own restart changes nothing. */
		mirror_close(p.mirror);
		p.mirror = mirror_here();
		append(1, 10);
		pair_session(&p);
		check_mirror(&p, 300, 300);
		CHECK(p.agent_counts.packets <= 300 + 150 + 290);
		pair_release(&p);
	}
}

TEST(I37_with_and_without_compression_the_mirrors_are_equal)
{
	for (int i = 0; i < PAIRS; i++) {
		uint64_t crossed[2];

		for (int packed = 0; packed < 2; packed++) {
			struct pair p;

			begin(&p, i);
			p.agent_cfg.compress = packed;
			write_spool(5, 200);
			pair_connect(&p);
			pair_go(&p);
			crossed[packed] = p.crossed;
			check_mirror(&p, 1000, 1000);
			pair_release(&p);
		}
		CHECK(crossed[1] < crossed[0] * 3 / 4);
	}
}

/* A run of about 1 MiB, half of it or all of bytes that nothing shrinks. */
static void append_mebibyte(struct spool *s, bool half)
{
	struct run r = { .first = spool_next(s) };
	struct err err = ERR_NONE;
	struct buf b = { 0 };

	for (uint64_t i = 0; b.len < 1 << 20; i++) {
		uint8_t data[1024];
		struct packet p = packet_number(r.first + i);

		for (size_t k = 0; k < sizeof(data); k++)
			data[k] = half && k & 512 ? (uint8_t)('a' + i % 17)
						  : (uint8_t)t_random();
		p.data = bytes_of(data, sizeof(data));
		p.wire_len = sizeof(data);
		put_record(&b, &p);
	}
	r.records = buf_bytes(&b);
	CHECK_EQ(run_measure(&r), 0);
	CHECK_OK(spool_append(s, &r, NULL, &err), &err);
	commit(s);
	buf_release(&b);
}

static void write_mebibytes(int n, bool half)
{
	struct spool *s = open_here();

	for (int i = 0; i < n; i++)
		append_mebibyte(s, half);
	spool_close(s);
}

/* A wire that takes so many bytes of the agent's each 10 ms. */
static void pass_slowly(struct pair *p, size_t each, int times)
{
	struct link_end *a = link_agent_end(p->agent);
	struct link_end *c = link_collector_end(p->collector);

	for (int i = 0; i < times; i++) {
		struct bytes out;
		size_t n;

		p->now += 10 * MS;
		(void)c->calls->work(c, p->now, &p->collector_err);
		(void)pair_pass(p, PAIR_TO_AGENT, c, a, &p->agent_err);
		(void)a->calls->work(a, p->now, &p->agent_err);
		out = link_wire_out(a->wire);
		n = out.len < each ? out.len : each;
		CHECK_OK(c->calls->take(c, bytes_of(out.p, n), p->now,
					&p->collector_err),
			 &p->collector_err);
		link_wire_sent(a->wire, n);
		CHECK_EQ(p->agent_err.code, 0);
		pair_settle(p);
	}
}

static bool is_at(const struct pair *p, const char *compression)
{
	return strcmp(link_agent_compression(p->agent), compression) == 0;
}

TEST(I37_a_narrow_wire_makes_the_agent_compress_harder)
{
	for (int i = 0; i < PAIRS; i++) {
		struct pair p;

		begin(&p, i);
		write_mebibytes(12, true);
		pair_connect(&p);
		CHECK_STR(link_agent_compression(p.agent), "level -1");
		/* A trial: it need not stay, it brings little here. */
		for (int k = 0; k < 40 && !is_at(&p, "level 1"); k++)
			pass_slowly(&p, 100 << 10, 1);
		CHECK_STR(link_agent_compression(p.agent), "level 1");
		pair_hang_up(&p);
		p.agent_cfg.compress = false;
		pair_connect(&p);
		pass_slowly(&p, 100 << 10, 25);
		CHECK_STR(link_agent_compression(p.agent), "off");
		pair_release(&p);
	}
}

TEST(I37_what_does_not_shrink_is_sent_as_it_is)
{
	for (int i = 0; i < PAIRS; i++) {
		struct pair p;

		begin(&p, i);
		write_mebibytes(3, false);
		pair_connect(&p);
		pair_go(&p);
		CHECK(p.crossed > 3 << 20);
		CHECK(p.crossed < (3 << 20) + (3 << 20) / 50);
		pair_release(&p);
	}
}

TEST(packets_that_become_durable_while_connected_follow)
{
	for (int i = 0; i < PAIRS; i++) {
		struct pair p;

		begin(&p, i);
		write_spool(1, 5);
		pair_connect(&p);
		pair_go(&p);
		for (uint64_t n = 1; n < 20; n++) {
			append(1, 5);
			pair_go(&p);
			check_mirror(&p, 5 * (n + 1), 5 * (n + 1));
		}
		pair_release(&p);
	}
}

TEST(a_source_that_does_not_exist_yet_is_waited_for)
{
	for (int i = 0; i < PAIRS; i++) {
		struct pair p;

		begin(&p, i);
		mkdir(t_path("spool"), 0700);
		pair_connect(&p);
		pair_go(&p);
		write_spool(2, 30);
		pair_go(&p);
		check_mirror(&p, 60, 60);
		pair_release(&p);
	}
}

TEST(I43_a_hundred_cuts_in_one_transfer_give_each_packet_once)
{
	for (int i = 0; i < PAIRS; i++) {
		struct pair p;
		int cuts = 0;

		begin(&p, i);
		write_spool(100, 20);
		for (; cuts < 100; cuts++) {
			p.cut = 200 + t_random_below(4000);
			pair_connect(&p);
			if (!pair_run(&p))
				break;
			pair_hang_up(&p);
		}
		CHECK(cuts > 5);
		pair_hang_up(&p);
		p.cut = NO_CUT;
		pair_session(&p);
		check_mirror(&p, 2000, 2000);
		pair_release(&p);
	}
}

/* -- what is lost is said ------------------------------------------------ */

/* A spool of small segments, of which retention took the first ones. */
static uint64_t write_reaped(int batches)
{
	struct spool_config cfg = config_here();
	struct err err = ERR_NONE;
	struct spool_status st;
	struct spool *s;

	cfg.segment_max = 4096;
	cfg.keep_max = 40000;
	s = open_with(&cfg);
	for (int i = 0; i < batches; i++) {
		write_some(s, 1, 20);
		CHECK_OK(spool_housekeep(s, &err), &err);
	}
	spool_status(s, &st);
	spool_close(s);

	CHECK(st.oldest > 0);
	return st.oldest;
}

TEST(I40_packets_that_retention_took_are_one_gap)
{
	for (int i = 0; i < PAIRS; i++) {
		struct mirror_status st;
		struct pair p;
		uint64_t oldest;

		begin(&p, i);
		write_spool(1, 20);
		pair_session(&p);
		oldest = write_reaped(100);
		pair_session(&p);
		check_mirror(&p, 20 + 2020 - oldest, 2020);
		mirror_status(p.mirror, &st);
		CHECK_EQ(st.gaps, 1);
		CHECK_EQ(st.missing, oldest - 20);
		pair_release(&p);
	}
}

TEST(I40_a_fresh_mirror_says_what_was_gone_before_it_asked)
{
	for (int i = 0; i < PAIRS; i++) {
		struct got g;
		struct pair p;
		uint64_t oldest;

		begin(&p, i);
		oldest = write_reaped(100);
		pair_session(&p);
		g = mirror_got(&p);
		CHECK_EQ(g.gaps, 1);
		CHECK_EQ(g.gap_from[0], 0);
		CHECK_EQ(g.gap_to[0], oldest);
		CHECK_EQ(g.gap_reason[0], SPOOL_GAP_RETENTION);
		/* Resuming right behind a gap is no divergence. */
		pair_session(&p);
		mirror_close(p.mirror);
		p.mirror = mirror_here();
		append(1, 10);
		pair_session(&p);
		g = mirror_got(&p);
		CHECK_EQ(g.begins, 1);
		CHECK_EQ(g.next, 2010);
		pair_release(&p);
	}
}

TEST(a_mirror_that_stopped_right_behind_a_gap_goes_on)
{
	for (int i = 0; i < PAIRS; i++) {
		uint64_t most, oldest;
		struct pair p;
		struct got g;

		begin(&p, i);
		oldest = write_reaped(40);
		pair_connect(&p);
		pair_go(&p);
		most = p.crossed;
		pair_release(&p);
		for (uint64_t cut = 100; cut < most; cut += 1 + most / 10) {
			begin(&p, i);
			CHECK_EQ(write_reaped(40), oldest);
			p.cut = cut;
			pair_connect(&p);
			(void)pair_run(&p);
			pair_hang_up(&p);
			mirror_close(p.mirror);
			p.mirror = mirror_here();
			p.cut = NO_CUT;
			pair_session(&p);
			g = mirror_got(&p);
			CHECK_EQ(g.begins, 1);
			CHECK_EQ(g.gaps, 1);

			CHECK_EQ(g.next, 800);
			CHECK_EQ(g.packets, 800 - oldest);
			pair_release(&p);
		}
	}
}

/* -- another spool ------------------------------------------------------- */

TEST(I47_a_wiped_spool_loses_nothing_of_the_new_one)
{
	for (int i = 0; i < PAIRS; i++) {
		struct got g;
		struct pair p;

		begin(&p, i);
		write_spool(2, 50);
		pair_session(&p);
		check_mirror(&p, 100, 100);
		wipe_spool();
		write_spool(5, 100);
		/* An ipcap collector may have to ask twice. */
		pair_try(&p, 3);
		g = mirror_got(&p);
		CHECK_EQ(g.begins, 2);
		CHECK_EQ(g.packets, 600);
		CHECK_EQ(g.gaps, 0);
		CHECK_EQ(g.next, 500);
		pair_release(&p);
	}
}

TEST(I48_a_wipe_that_keeps_the_id_file_loses_nothing_of_the_new_packets)
{
	for (int i = 0; i < PAIRS; i++) {
		struct got g;
		struct pair p;

		begin(&p, i);
		write_spool(2, 500);
		pair_session(&p);
		wipe_segments();
		write_spool(5, 50);
		pair_try(&p, 3);
		g = mirror_got(&p);
		CHECK_EQ(g.packets, 1250);
		CHECK_EQ(g.begins, 2);
		pair_release(&p);
	}
}

/* The agent's machine was set back to an earlier state, and captured on. */
TEST(a_spool_that_was_rolled_back_is_never_merged)
{
	for (int i = 0; i < PAIRS; i++) {
		struct got g;
		struct pair p;

		begin(&p, i);
		write_spool(2, 50);
		copy_dir(t_path("spool/src1"), t_path("spool-copy"));
		append(2, 50);
		pair_session(&p);
		check_mirror(&p, 200, 200);
		wipe_spool();
		copy_dir(t_path("spool-copy"), t_path("spool/src1"));
		append(1, 30);
		pair_try(&p, 3);
		g = mirror_got(&p);
		CHECK_EQ(g.begins, 2);
		CHECK_EQ(g.packets, 200 + 130);
		CHECK_EQ(g.next, 130);
		remove_dir(t_path("spool-copy"));
		pair_release(&p);
	}
}

/* As long as before, but with other batches: only the chain can tell. */
TEST(a_spool_with_another_past_is_told_by_its_chain)
{
	struct got g;
	struct pair p;

	begin(&p, 0);
	write_spool(2, 50);
	copy_dir(t_path("spool/src1"), t_path("spool-copy"));
	append(2, 50);
	pair_session(&p);
	wipe_spool();
	copy_dir(t_path("spool-copy"), t_path("spool/src1"));
	append(4, 25);
	append(1, 50);
	pair_session(&p);
	g = mirror_got(&p);
	CHECK_EQ(g.begins, 2);
	CHECK_EQ(g.packets, 200 + 250);
	pair_release(&p);
}

/* The source itself begins a sibling in the middle of a session. */
TEST(a_next_spool_of_the_source_follows_in_the_mirror)
{
	for (int i = 0; i < PAIRS; i++) {
		struct spool_config cfg = config_here();
		struct spool *s;
		struct got g;
		struct pair p;

		begin(&p, i);
		write_spool(2, 50);
		pair_connect(&p);
		pair_go(&p);
		cfg.begin_anew = true;
		s = open_with(&cfg);
		write_some(s, 3, 40);
		spool_close(s);
		(void)pair_live(&p, 3);
		pair_hang_up(&p);
		pair_try(&p, 2);
		g = mirror_got(&p);
		CHECK_EQ(g.begins, 2);
		CHECK_EQ(g.packets, 220);
		CHECK_EQ(g.next, 120);
		pair_release(&p);
	}
}

/* -- once a second ------------------------------------------------------- */

/* How often the agent was heard to say where its head is. */
static uint64_t beats_in(struct pair *p, int seconds)
{
	uint64_t before = p->beat.heard_ns, beats = 0;

	for (int i = 0; i < seconds * 20; i++) {
		p->now += 50 * MS;
		pair_go(p);
		if (p->beat.heard_ns != before)
			beats++;
		before = p->beat.heard_ns;
	}
	return beats;
}

TEST(I38_I39_an_idle_link_says_its_head_once_a_second)
{
	for (int i = 0; i < PAIRS; i++) {
		struct pair p;
		uint64_t beats;

		begin(&p, i);
		write_spool(1, 5);
		pair_connect(&p);
		pair_go(&p);
		beats = beats_in(&p, 10);
		CHECK(beats >= 9 && beats <= 11);
		CHECK_EQ(p.beat.head, 5);
		CHECK(p.beat.bytes > 0);
		append(1, 5);
		(void)beats_in(&p, 3);
		CHECK_EQ(p.beat.head, 10);
		/* A clock that jumps makes no burst of them. */
		p.now += 15000 * (uint64_t)MS;
		pair_go(&p);
		beats = beats_in(&p, 5);
		CHECK(beats >= 4 && beats <= 6);
		pair_release(&p);
	}
}

static bool some_stats(void *arg, const struct link_source *source,
		       struct link_capture_stats *stats)
{
	(void)arg;
	(void)source;
	*stats = (struct link_capture_stats){ 70, 8, 9 };
	return true;
}

TEST(I39_what_capture_has_counted_reaches_the_collector_within_3_s)
{
	for (int i = 0; i < PAIRS; i++) {
		struct pair p;

		begin(&p, i);
		p.agent_cfg.stats = some_stats;
		write_spool(1, 5);
		pair_connect(&p);
		CHECK_EQ(pair_live(&p, 3), 0);
		CHECK_EQ(p.beat.captured, 70);
		CHECK_EQ(p.beat.dropped_kernel, 8);
		CHECK_EQ(p.beat.dropped_interface, 9);
		pair_release(&p);
	}
}

TEST(X06_what_came_from_ipcap_keeps_its_epoch)
{
	struct served s = { .known = true, .fallen = 0 };
	char epoch[SERVED_EPOCH + 1];

	memcpy(s.origin, "ipcap-e\0\x01\x23\x45\x67\x89\xab\xcd\xef", 16);
	served_epoch(epoch, &s);
	CHECK_STR(epoch, "0123456789abcdef");
	s.fallen = 1;
	served_epoch(epoch, &s);
	CHECK_STR(epoch, "0123456789abcdf0");
	s.origin[0] ^= 1;
	served_epoch(epoch, &s);
	CHECK(strcmp(epoch, "0123456789abcdf0") != 0);
}

static void check_ack(const char *print, unsigned index)
{
	struct bytes id = t_load(t_path("spool/src1/id"));
	const char *origin = strstr((const char *)id.p, "origin ") + 7;
	char line[64];

	snprintf(line, sizeof(line), "%u %.32s\n", index, origin);
	CHECK_BYTES(t_load(t_path("spool/src1/peers/%s", print)),
		    bytes_of_text(line));
}

TEST(the_agent_keeps_on_disk_how_far_the_collector_is)
{
	for (int i = 0; i < PAIRS; i++) {
		char print[LINK_FINGERPRINT + 1];
		struct pair p;

		begin(&p, i);
		write_spool(3, 100);
		pair_connect(&p);
		CHECK_EQ(pair_live(&p, 4), 0);
		link_fingerprint(print, p.collector_key.public);
		check_ack(print, 300);
		append(1, 50);
		CHECK_EQ(pair_live(&p, 4), 0);
		check_ack(print, 350);
		pair_release(&p);
	}
}

TEST(I41_a_weir_agent_drops_a_collector_that_falls_silent)
{
	struct link_end *a;
	struct pair p;

	begin(&p, 0);
	write_spool(1, 5);
	pair_connect(&p);
	pair_go(&p);
	a = link_agent_end(p.agent);
	p.now += LINK_SILENCE_NS - 1;
	CHECK_EQ(a->calls->work(a, p.now, &p.agent_err), 0);
	p.now++;
	CHECK_EQ(a->calls->work(a, p.now, &p.agent_err), ERR_FAILED);
	pair_release(&p);
}

/* -- losses that capture has noted --------------------------------------- */

/* A note has no number whose being durable could be waited for. */
static uint64_t drops_settled(struct pair *p, uint64_t want)
{
	uint64_t drops = 0;

	for (int tries = 0; tries < 1000; tries++) {
		drops = mirror_got(p).drops;
		if (drops >= want)
			break;
		poll(NULL, 0, 5);
	}
	return drops;
}

TEST(drops_are_carried_to_their_place_and_not_twice)
{
	const struct spool_note drop = { .is = SPOOL_IS_DROP,
					 .reason = SPOOL_DROP_KERNEL,
					 .value = 7,
					 .begin_ns = 1,
					 .end_ns = 2 };
	struct err err = ERR_NONE;
	struct spool *s;
	struct pair p;

	begin(&p, 0);
	s = open_here();
	write_some(s, 1, 30);
	CHECK_OK(spool_append_note(s, &drop, &err), &err);
	commit(s);
	pair_session(&p);
	pair_session(&p);
	mirror_close(p.mirror);
	p.mirror = mirror_here();
	pair_session(&p);
	CHECK_EQ(drops_settled(&p, 7), 7);
	write_some(s, 1, 10);
	CHECK_OK(spool_append_note(s, &drop, &err), &err);
	commit(s);
	spool_close(s);
	pair_session(&p);
	CHECK_EQ(drops_settled(&p, 14), 14);
	check_mirror(&p, 40, 40);
	pair_release(&p);
}

/* -- a mirror whose disk is slow ------------------------------------------ */

TEST(a_mirror_without_room_stops_the_reading_and_loses_nothing)
{
	for (int i = 0; i < PAIRS; i++) {
		struct mirror_config cfg;
		struct err err = ERR_NONE;
		struct spool *s;
		struct pair p;

		begin(&p, i);
		s = open_here();
		for (int k = 0; k < 30; k++)
			append_run(s, 2000);
		commit(s);
		spool_close(s);
		cfg = *mirror_config(p.mirror);
		mirror_close(p.mirror);
		cfg.dir = t_path("mirror/src1");
		cfg.writer.staging_max = 400 << 10;
		p.mirror = mirror_open(&cfg, &err);
		CHECK(p.mirror != NULL);
		pair_session(&p);
		check_mirror(&p, 60000, 60000);
		CHECK_EQ(atomic_load(&p.agent_counts.packets), 60000);
		pair_release(&p);
	}
}

/* -- a chain ------------------------------------------------------------- */

TEST(X05_a_mirror_of_a_mirror_is_the_same_spool)
{
	struct spool_identity first, second;
	char *mirror_path, *second_path;
	struct mirror_config mc;
	struct err err = ERR_NONE;
	struct mirror *m;
	uint64_t oldest;
	struct pair p;
	struct got g;

	begin(&p, 0);
	write_spool(2, 20);
	pair_session(&p);
	oldest = write_reaped(100);
	pair_session(&p);
	(void)mirror_got(&p);
	first = *mirror_identity(p.mirror);
	mc = *mirror_config(p.mirror);
	/* The mirror is served while it is a mirror. */
	m = p.mirror;
	mirror_path = mem_text(t_path("mirror/src1"));
	second_path = mem_text(t_path("second"));
	p.source.dir = mirror_path;
	mc.dir = second_path;
	p.mirror = mirror_open(&mc, &err);
	CHECK(p.mirror != NULL);
	pair_session(&p);
	pair_settle(&p);
	CHECK_EQ(mirror_next(p.mirror), 2040);
	second = *mirror_identity(p.mirror);
	CHECK(memcmp(first.origin, second.origin, SPOOL_ID) == 0);
	CHECK(memcmp(first.id, second.id, SPOOL_ID) != 0);
	/* Resuming the chain is resuming. */
	pair_session(&p);
	CHECK_EQ(mirror_next(p.mirror), 2040);
	mirror_close(p.mirror);
	p.mirror = NULL;
	g = read_dir(second_path);
	CHECK_EQ(g.begins, 1);
	CHECK_EQ(g.gaps, 1);
	CHECK_EQ(g.gap_from[0], 40);
	CHECK_EQ(g.gap_to[0], oldest);
	CHECK_EQ(g.packets, 40 + 2040 - oldest);
	pair_release(&p);
	mirror_close(m);
	remove_dir(second_path);
	free(mirror_path);
	free(second_path);
}

TEST(I61_several_sources_share_a_link_without_cross_talk)
{
	struct link_source sources[2];
	struct mirror *mirrors[2];
	struct link_beat beats[2] = { 0 };
	struct spool_config cfg = config_here();
	struct mirror_config mc;
	struct err err = ERR_NONE;
	struct spool *s;
	struct pair p;

	begin(&p, 0);
	write_spool(3, 50);
	cfg.source_dir = t_path("spool/src5");
	cfg.want.linktype = 101;
	s = open_with(&cfg);
	write_some(s, 2, 35);
	spool_close(s);
	sources[0] = p.source;
	sources[1] = (struct link_source){ .id = 5,
					   .name = "",
					   .dir = t_path("spool/src5") };
	p.agent_cfg.sources = sources;
	p.agent_cfg.n_sources = 2;
	mc = *mirror_config(p.mirror);
	mc.source = 5;
	mc.dir = t_path("mirror/src5");
	mirrors[0] = p.mirror;
	mirrors[1] = mirror_open(&mc, &err);
	CHECK(mirrors[1] != NULL);
	p.collector_cfg.mirrors = mirrors;
	p.collector_cfg.beats = beats;
	p.collector_cfg.n_mirrors = 2;
	pair_connect(&p);
	CHECK_EQ(pair_live(&p, 3), 0);
	check_mirror(&p, 150, 150);
	CHECK_EQ(mirror_next(mirrors[1]), 70);
	CHECK_EQ(mirror_identity(mirrors[1])->linktype, 101);
	CHECK_EQ(beats[0].head, 150);
	CHECK_EQ(beats[1].head, 70);
	pair_hang_up(&p);
	mirror_close(mirrors[1]);
	CHECK_EQ(read_dir(t_path("mirror/src5")).packets, 70);
	pair_release(&p);
}
