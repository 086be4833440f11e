/* SPDX-License-Identifier: Apache-2.0 */
#include "spool_here.h"

#include <fcntl.h>
#include <glob.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/spool/examine.h"
#include "engine/spool/spool_priv.h"

static const char *file_of(uint64_t first, const char *kind)
{
	char name[FILE_NAME_MAX];

	segment_name(name, first, kind);
	return t_path("spool/src1/%s", name);
}

/* Put back the spool that `saved` holds, in place of the present one. */
static void restore(const char *saved)
{
	remove_dir(t_path("spool/src1"));
	copy_dir(saved, t_path("spool/src1"));
}

TEST(what_was_committed_reads_back)
{
	struct spool *s = open_here();
	struct got g;

	write_some(s, 10, 7);
	CHECK_EQ(spool_next(s), 70);
	g = read_all();
	CHECK_EQ(g.packets, 70);
	CHECK_EQ(g.begins, 1);
	CHECK_EQ(g.starts, 1);
	CHECK_EQ(g.gaps + g.damaged, 0);
	spool_close(s);
	g = read_all();
	CHECK_EQ(g.packets, 70);
}

TEST(what_was_not_committed_is_not_seen)
{
	struct spool *s = open_here();
	struct got g;

	write_some(s, 1, 3);
	append_run(s, 4);
	g = read_all();
	CHECK_EQ(g.packets, 3);
	commit(s);
	g = read_all();
	CHECK_EQ(g.packets, 7);
	spool_close(s);
}

TEST(I04_five_restarts_leave_indices_without_hole_or_repeat)
{
	struct spool_status st;
	struct got g;

	for (int i = 0; i < 5; i++) {
		struct spool *s = open_here();

		CHECK_EQ(spool_next(s), (uint64_t)i * 33);
		write_some(s, 3, 11);
		spool_status(s, &st);
		CHECK_EQ(st.incarnation, (uint64_t)i + 1);
		CHECK_EQ(st.head, (uint64_t)(i + 1) * 33);
		spool_close(s);
	}
	g = read_all();
	CHECK_EQ(g.packets, 165);
	CHECK_EQ(g.starts, 5);
	CHECK_EQ(g.begins, 1);
	CHECK_EQ(g.gaps + g.damaged, 0);
}

TEST(I09_a_pcap_torn_at_any_byte_is_cut_to_whole_batches)
{
	struct spool *s = open_here();
	const char *saved = t_path("saved");
	size_t end[6];
	struct bytes whole;

	for (int i = 0; i < 6; i++) {
		write_some(s, 1, 2);
		end[i] = t_load(file_of(0, "pcap")).len;
	}
	copy_dir(t_path("spool/src1"), saved);
	spool_close(s);
	whole = t_load(t_path("saved/00000000000000000000.pcap"));
	for (size_t cut = end[2]; cut <= end[5]; cut++) {
		uint64_t kept = 0;
		struct got g;

		restore(saved);
		t_save(file_of(0, "pcap"), bytes_of(whole.p, cut));
		for (int i = 0; i < 6; i++)
			kept += cut >= end[i] ? 2 : 0;
		s = open_here();
		CHECK_EQ(spool_next(s), kept);
		write_some(s, 1, 5);
		spool_close(s);
		g = read_all();
		CHECK_EQ(g.packets, kept + 5);
		CHECK_EQ(g.gaps + g.damaged, 0);
	}
}

TEST(I09_an_idx_torn_at_any_byte_is_cut_to_whole_batches)
{
	struct spool *s = open_here();
	const char *saved = t_path("saved");
	struct bytes whole;

	write_some(s, 6, 2);
	copy_dir(t_path("spool/src1"), saved);
	spool_close(s);
	whole = t_load(t_path("saved/00000000000000000000.idx"));
	CHECK_EQ(whole.len, IDX_HEADER + 7 * IDX_ENTRY);
	for (size_t cut = whole.len - 3 * IDX_ENTRY; cut <= whole.len; cut++) {
		/* One entry is the NOTE of the start. */
		uint64_t kept = ((cut - IDX_HEADER) / IDX_ENTRY - 1) * 2;
		struct got g;

		restore(saved);
		t_save(file_of(0, "idx"), bytes_of(whole.p, cut));
		s = open_here();
		CHECK_EQ(spool_next(s), kept);
		write_some(s, 1, 5);
		spool_close(s);
		g = read_all();
		CHECK_EQ(g.packets, kept + 5);
		CHECK_EQ(g.gaps + g.damaged, 0);
	}
}

/* -- segments ------------------------------------------------------------ */

static struct scan_dir segments_here(void)
{
	struct scan_dir names;
	struct err err = ERR_NONE;

	CHECK_OK(scan_list(sys_here(), t_path("spool/src1"), &names, &err),
		 &err);
	return names;
}

static struct spool *open_small(uint64_t segment_max)
{
	struct spool_config cfg = config_here();

	cfg.segment_max = segment_max;
	return open_with(&cfg);
}

static size_t count_glob(const char *pattern)
{
	glob_t g;
	size_t n = 0;

	if (glob(t_path("spool/src1/%s", pattern), 0, NULL, &g) == 0) {
		n = g.gl_pathc;
		globfree(&g);
	}
	return n;
}

TEST(I05_only_segments_match_the_pattern_of_capture_files)
{
	struct spool *s = open_small(2 << 10);
	struct scan_dir names;

	write_some(s, 20, 5);
	housekeep(s);
	names = segments_here();
	CHECK(names.n_segments >= 3);
	CHECK_EQ(names.n_spares, 1);
	CHECK_EQ(count_glob("*.pcap"), names.n_segments);
	CHECK_EQ(count_glob(".spare-*.pcap"), 1);
	scan_release(&names);
	spool_close(s);
	CHECK_EQ(count_glob(".spare-*"), 0);
}

TEST(spares_under_their_old_names_are_taken_over)
{
	static const char *const kinds[] = { "pcap", "idx" };
	struct spool *s;
	struct scan_dir names;
	struct got g;

	/* The last segment has not got its name yet: none, one or both of its
	 * files; and there is the spare behind it. */
	for (int named = 0; named < 4; named++) {
		remove_dir(t_path("spool"));
		s = open_small(2 << 10);
		write_some(s, 20, 5);
		spool_close(s);
		names = segments_here();
		for (int k = 0; k < 2; k++) {
			uint64_t last =
				names.segments[names.n_segments - 1].number;
			const char *old =
				t_path("spool/src1/spare-7.%s", kinds[k]);

			if (!(named & 1 << k))
				CHECK_EQ(rename(file_of(last, kinds[k]), old),
					 0);
			t_save(t_path("spool/src1/spare-8.%s", kinds[k]),
			       bytes_of("", 0));
		}
		scan_release(&names);
		s = open_small(2 << 10);
		CHECK_EQ(spool_next(s), 100);
		CHECK_EQ(count_glob("spare-*"), 0);
		write_some(s, 1, 5);
		spool_close(s);
		g = read_all();
		CHECK_EQ(g.packets, 105);
		CHECK_EQ(g.gaps + g.damaged, 0);
	}
}

TEST(I03_times_keep_nine_digits)
{
	struct spool *s = open_here();
	struct packet p;
	struct cursor c;
	struct bytes file;

	write_some(s, 1, 3);
	spool_close(s);
	file = t_load(file_of(0, "pcap"));
	c = cursor_on(file);
	skip_bytes(&c, PCAP_HEADER);
	for (uint64_t i = 0; i < 3; i++) {
		CHECK_EQ(record_next(&c, &p), 0);
		CHECK_EQ(p.time_ns, packet_number(i).time_ns);
		CHECK(p.time_ns % 1000 != 0);
	}
}

TEST(I05_every_segment_is_a_pcap_file_and_names_sort_in_order)
{
	struct spool *s = open_small(8 << 10);
	struct scan_dir names;
	uint64_t packets = 0;

	write_some(s, 60, 10);
	spool_close(s);
	names = segments_here();
	CHECK(names.n_segments > 2);
	for (size_t i = 0; i < names.n_segments; i++) {
		struct bytes file =
			t_load(file_of(names.segments[i].number, "pcap"));
		struct pcap_head head;
		struct cursor c;
		struct packet p;

		CHECK_EQ(names.segments[i].number, packets);
		CHECK_EQ(pcap_head_parse(file, &head), 0);
		CHECK(!head.micro && !head.swapped);
		CHECK_EQ(head.linktype, 1);
		c = cursor_on(file);
		skip_bytes(&c, PCAP_HEADER);
		while (record_next(&c, &p) == 0)
			packets++;
		CHECK(cursor_done(&c));
	}
	CHECK_EQ(packets, 600);
	scan_release(&names);
}

static uint64_t later_ns;

static uint64_t late_mono(struct sys *sys)
{
	return sys_host()->mono_ns(sys) + later_ns;
}

TEST(I06_a_segment_is_sealed_by_its_size_and_by_its_age)
{
	struct spool_config cfg = config_here();
	struct spool_status st;
	struct err err = ERR_NONE;
	struct sys late = *sys_here();
	struct spool *s;

	s = open_small(8 << 10);
	write_some(s, 60, 10);
	spool_status(s, &st);
	CHECK(st.segments > 1);
	spool_close(s);

	late.mono_ns = late_mono;
	later_ns = 0;
	cfg.source_dir = t_path("spool/src2");
	s = spool_open(&late, &cfg, &err);
	CHECK(s != NULL);
	write_some(s, 1, 1);
	commit(s);
	CHECK_EQ(t_load(t_path("spool/src2/00000000000000000000.idx")).len,
		 IDX_HEADER + 2 * IDX_ENTRY);
	later_ns = UINT64_C(61000000000);
	commit(s); /* nothing new: only the age */
	CHECK_EQ(t_load(t_path("spool/src2/00000000000000000000.idx")).len,
		 IDX_HEADER + 3 * IDX_ENTRY);
	write_some(s, 1, 1);
	CHECK(t_load(t_path("spool/src2/00000000000000000001.idx")).len > 0);
	spool_close(s);
}

TEST(I07_the_seal_names_first_last_and_length_of_its_file)
{
	struct spool *s = open_small(2 << 10);
	struct spool_identity id;
	struct scan_dir names;
	struct err err = ERR_NONE;

	write_some(s, 40, 5);
	spool_close(s);
	CHECK_OK(identity_load(sys_here(), t_path("spool/src1"), &id, &err),
		 &err);
	names = segments_here();
	CHECK(names.n_segments > 3);
	for (size_t i = 0; i < names.n_segments; i++) {
		uint64_t first = names.segments[i].number;
		struct scan_ends ends;

		CHECK_EQ(scan_ends(sys_here(), t_path("spool/src1"), &id, first,
				   &ends),
			 0);
		CHECK(ends.sealed);
		CHECK_EQ(ends.head.first, first);
		CHECK_EQ(ends.length, t_load(file_of(first, "pcap")).len);
		CHECK_EQ(ends.end, i + 1 < names.n_segments
					   ? names.segments[i + 1].number
					   : 200);
	}
	scan_release(&names);
}

TEST(I10_a_lost_or_torn_last_entry_costs_nothing_that_follows)
{
	for (size_t lost = 12; lost <= IDX_ENTRY; lost += IDX_ENTRY - 12) {
		struct spool *s;
		struct bytes idx;
		struct got g;

		remove_dir(t_path("spool"));
		s = open_here();
		write_some(s, 6, 250);
		spool_close(s);
		idx = t_load(file_of(0, "idx"));
		t_save(file_of(0, "idx"), bytes_of(idx.p, idx.len - lost));
		s = open_here();
		CHECK_EQ(spool_next(s), 1500);
		write_some(s, 6, 250);
		spool_close(s);
		g = read_all();
		CHECK_EQ(g.packets, 3000);
		CHECK_EQ(g.gaps + g.damaged, 0);
	}
}

TEST(I11_a_missing_segment_stops_the_writer_by_its_name)
{
	struct spool *s = open_small(2 << 10);
	struct spool_config cfg = config_here();
	struct err err = ERR_NONE;
	struct scan_dir names;
	char gone[FILE_NAME_MAX];
	struct got g;

	write_some(s, 40, 5);
	spool_close(s);
	names = segments_here();
	segment_name(gone, names.segments[2].number, "pcap");
	unlink(file_of(names.segments[2].number, "pcap"));
	unlink(file_of(names.segments[2].number, "idx"));
	CHECK(!spool_open(sys_here(), &cfg, &err));
	CHECK_EQ(err.code, ERR_DAMAGED);
	CHECK(strstr(err.text, gone) != NULL);

	/* Readers go on behind it, and know exactly what is missing. */
	g = read_all();
	CHECK_EQ(g.gaps, 1);
	CHECK_EQ(g.gap_from[0], names.segments[2].number);
	CHECK_EQ(g.gap_to[0], names.segments[3].number);
	CHECK_EQ(g.gap_reason[0], SPOOL_GAP_DAMAGE);
	CHECK_EQ(g.packets + g.lost, 200);
	scan_release(&names);
}

/* -- retention ----------------------------------------------------------- */

TEST(I13_whole_segments_go_oldest_first_when_the_cap_is_reached)
{
	struct spool_config cfg = config_here();
	struct spool_status st;
	struct spool *s;
	struct got g;
	uint64_t oldest = 0;

	cfg.segment_max = 1 << 10;
	cfg.keep_max = 2 << 10;
	s = open_with(&cfg);
	for (int i = 0; i < 200; i++) {
		write_some(s, 1, 10);
		housekeep(s);
		spool_status(s, &st);
		/* A segment, its index, and the batch that came last. */
		CHECK(st.bytes <= cfg.keep_max + cfg.segment_max + 1024);
		CHECK(st.oldest >= oldest);
		oldest = st.oldest;
	}
	CHECK(oldest > 1900);
	CHECK_EQ(st.reaped, oldest);
	g = read_all();
	CHECK_EQ(g.next, 2000);
	CHECK_EQ(g.packets, 2000 - oldest);
	spool_close(s);
	s = open_with(&cfg);
	CHECK_EQ(spool_next(s), 2000);
	spool_close(s);
}

TEST(I13_a_run_too_short_for_the_keeper_ends_within_the_cap)
{
	struct spool_config cfg = config_here();
	struct spool *s;
	struct got g;

	cfg.segment_max = 1 << 10;
	cfg.keep_max = 2 << 10;
	s = open_with(&cfg);
	write_some(s, 200, 10);
	spool_close(s);
	g = read_all();
	CHECK_EQ(g.next, 2000);
	CHECK(g.packets > 0);
	CHECK(g.packets < 60);
}

TEST(older_siblings_count_and_go_before_the_newest)
{
	struct spool_config cfg = config_here();
	struct spool_status st;
	struct spool *s = open_here();

	write_some(s, 10, 20);
	spool_close(s);
	cfg.want.linktype = 113;
	cfg.keep_max = 4 << 10;
	cfg.segment_max = 1 << 10;
	s = open_with(&cfg);
	spool_status(s, &st);
	CHECK(st.bytes > 10000);
	write_some(s, 1, 5);
	housekeep(s);
	spool_status(s, &st);
	CHECK_EQ(st.reaped, 200);
	CHECK(st.bytes < cfg.keep_max);
	/* Nothing is left of it, not even the directory. */
	CHECK(access(t_path("spool/src1"), F_OK) != 0);
	spool_close(s);
	CHECK_EQ(read_all().packets, 5);
}

/* A collector's word: all below `index` of the spool of that origin. */
static void put_ack(int collector, uint64_t index,
		    const struct spool_identity *id)
{
	char line[80];
	int n = snprintf(line, sizeof(line), "%llu ",
			 (unsigned long long)index);

	for (int i = 0; i < SPOOL_ID; i++)
		n += snprintf(line + n, sizeof(line) - (size_t)n, "%02x",
			      id->origin[i]);
	line[n++] = '\n';
	mkdir(t_path("spool/src1/peers"), 0700);
	t_save(t_path("spool/src1/peers/%032d", collector),
	       bytes_of(line, (size_t)n));
}

TEST(I13_what_every_collector_has_goes_first_and_other_packets_are_counted)
{
	struct spool_config cfg = config_here();
	struct spool_status st;
	uint64_t alone, boundary = 0;
	struct spool *s;

	log_setup(LOG_ERROR, false);
	cfg.segment_max = 1 << 10;
	cfg.keep_max = 4 << 10;
	s = open_with(&cfg);
	do {
		write_some(s, 1, 5);
		housekeep(s);
		spool_status(s, &st);
	} while (st.oldest < 100);
	/* There was no collector that could have missed something. */
	CHECK_EQ(st.reaped_unacked, 0);
	alone = st.reaped;

	/* Of two the one that is less far counts. */
	put_ack(1, 100000, &st.identity);
	put_ack(2, 203, &st.identity);
	t_save(t_path("spool/src1/peers/no collector"), bytes_of("9", 1));
	do {
		if (st.oldest <= 203)
			boundary = st.oldest;
		write_some(s, 1, 5);
		housekeep(s);
		spool_status(s, &st);
		/* The oldest that is left ends behind what it has. */
		if (st.oldest <= 203)
			CHECK_EQ(st.reaped_unacked, 0);
	} while (st.oldest < 300);
	CHECK_EQ(st.reaped, st.oldest);
	CHECK(boundary > alone);
	CHECK_EQ(st.reaped_unacked, st.oldest - boundary);

	/* Nonsense is no word of having anything. */
	boundary = st.oldest;
	t_save(t_path("spool/src1/peers/%032d", 2), bytes_of("99999\n", 6));
	alone = st.reaped_unacked;
	do {
		write_some(s, 1, 5);
		housekeep(s);
		spool_status(s, &st);
	} while (st.oldest < 400);
	CHECK_EQ(st.reaped_unacked - alone, st.oldest - boundary);
	spool_close(s);
}

TEST(a_collector_of_a_later_spool_is_done_with_those_before)
{
	for (int later = 0; later < 2; later++) {
		struct spool_config cfg = config_here();
		struct spool_identity first;
		struct spool_status st;
		struct spool *s;

		log_setup(LOG_ERROR, false);
		remove_dir(t_path("spool"));
		cfg.segment_max = 1 << 10;
		s = open_with(&cfg);
		write_some(s, 20, 5);
		spool_status(s, &st);
		first = st.identity;
		spool_close(s);
		cfg.want.linktype = 101;
		cfg.keep_max = 2 << 10;
		s = open_with(&cfg);
		spool_status(s, &st);
		/* Nothing of the later one, or a bit of the first. */
		put_ack(1, later ? 0 : 40, later ? &st.identity : &first);
		housekeep(s);
		spool_status(s, &st);
		CHECK(st.reaped > 60);
		if (later)
			CHECK_EQ(st.reaped_unacked, 0);
		else
			CHECK(st.reaped_unacked > st.reaped - 45 &&
			      st.reaped_unacked < st.reaped - 20);
		spool_close(s);
	}
}

TEST(age_retention_removes_what_was_sealed_long_ago)
{
	struct spool_config cfg = config_here();
	struct spool_status st;
	struct spool *s;

	cfg.segment_max = 1 << 10;
	cfg.keep_age_ns = 1;
	s = open_with(&cfg);
	write_some(s, 20, 10);
	housekeep(s);
	spool_status(s, &st);
	CHECK(st.oldest > 150);
	CHECK_EQ(st.head, 200);
	spool_close(s);
}

/* Lines of the log that contain `word` while fn runs. */
static int count_log(const char *word, void (*fn)(void))
{
	const char *path = t_path("log");
	int saved = dup(2), n = 0;
	FILE *f = fopen(path, "w");
	struct bytes all;

	CHECK(saved >= 0 && f != NULL);
	dup2(fileno(f), 2);
	fn();
	dup2(saved, 2);
	close(saved);
	fclose(f);
	all = t_load(path);
	for (const char *p = (const char *)all.p; (p = strstr(p, word)) != NULL;
	     p++)
		n++;
	return n;
}

static bool keeps_little;

static void fill_to_71_percent(void)
{
	struct spool_config cfg = config_here();
	struct spool_status st;
	struct spool *s;

	remove_dir(t_path("spool"));
	cfg.keep_max = 100000;
	cfg.keeps_little = keeps_little;
	s = open_with(&cfg);
	do {
		write_some(s, 1, 5);
		housekeep(s);
		spool_status(s, &st);
	} while (st.bytes < 71000);
	for (int i = 0; i < 10; i++)
		housekeep(s);
	CHECK_EQ(st.oldest, 0);
	spool_close(s);
}

TEST(I16_one_warning_at_70_percent)
{
	log_setup(LOG_WARN, false);
	keeps_little = false;
	CHECK_EQ(count_log("may keep", fill_to_71_percent), 1);
	/* One that is full all the time, as in memory, has nothing to warn of.
	 */
	keeps_little = true;
	CHECK_EQ(count_log("may keep", fill_to_71_percent), 0);
}

/* -- identity ------------------------------------------------------------ */

TEST(I22_another_link_type_begins_another_spool)
{
	struct spool_config cfg = config_here();
	struct spool *s = open_here();
	struct spool_status st;
	struct got g;

	write_some(s, 2, 5);
	spool_close(s);
	cfg.want.linktype = 113;
	s = open_with(&cfg);
	spool_status(s, &st);
	CHECK_STR(st.dir, t_path("spool/src1.2"));
	CHECK_EQ(st.identity.linktype, 113);
	CHECK_EQ(spool_next(s), 0);
	write_some(s, 1, 3);
	spool_close(s);
	g = read_all();
	CHECK_EQ(g.begins, 2);
	CHECK_EQ(g.packets, 13);
	/* And the second is gone on with. */
	s = open_with(&cfg);
	CHECK_EQ(spool_next(s), 3);
	spool_close(s);
}

TEST(I26_a_second_writer_is_refused)
{
	struct spool_config cfg = config_here();
	struct spool *s = open_here();
	struct err err = ERR_NONE;

	CHECK(!spool_open(sys_here(), &cfg, &err));
	CHECK_EQ(err.code, ERR_BUSY);
	cfg.want.linktype = 113; /* not even for a sibling */
	CHECK(!spool_open(sys_here(), &cfg, &err));
	CHECK_EQ(err.code, ERR_BUSY);
	write_some(s, 1, 1);
	spool_close(s);
}

TEST(I48_a_wipe_that_keeps_the_id_begins_another_spool)
{
	struct spool *s = open_here();
	struct spool_status st;
	uint8_t id[SPOOL_ID];
	struct got g;

	write_some(s, 5, 50);
	spool_status(s, &st);
	memcpy(id, st.identity.id, SPOOL_ID);
	spool_close(s);
	unlink(file_of(0, "pcap"));
	unlink(file_of(0, "idx"));
	s = open_here();
	spool_status(s, &st);
	CHECK(memcmp(id, st.identity.id, SPOOL_ID) != 0);
	write_some(s, 5, 50);
	spool_close(s);
	g = read_all();
	CHECK_EQ(g.packets, 250);
	CHECK_EQ(g.begins, 2);
}

TEST(a_mirror_takes_id_origin_and_first_index)
{
	struct spool_config cfg = config_here();
	struct spool_status st;
	struct spool *s;
	struct got g;

	memset(cfg.want.id, 7, SPOOL_ID);
	cfg.first = 1000;
	s = open_with(&cfg);
	spool_status(s, &st);
	CHECK_EQ(st.identity.id[3], 7);
	CHECK_EQ(st.identity.origin[3], 7);
	CHECK_EQ(spool_next(s), 1000);
	write_some(s, 2, 10);
	spool_close(s);
	memset(cfg.want.origin, 9, SPOOL_ID);
	s = open_with(&cfg);
	CHECK_EQ(spool_next(s), 1000);
	spool_status(s, &st);
	CHECK_STR(st.dir, t_path("spool/src1.2"));
	spool_close(s);
	g = read_all();
	CHECK_EQ(g.packets, 20);
	CHECK_EQ(g.begins, 2);
}

/* -- notes ---------------------------------------------------------------- */

static void append_note(struct spool *s, struct spool_note note)
{
	struct err err = ERR_NONE;

	CHECK_OK(spool_append_note(s, &note, &err), &err);
}

TEST(losses_and_gaps_are_kept_at_their_place_and_summed_for_ever)
{
	struct spool_config cfg = config_here();
	struct spool_status st;
	struct spool *s;
	struct got g;

	cfg.segment_max = 1 << 10;
	s = open_with(&cfg);
	for (int i = 0; i < 20; i++) {
		write_some(s, 1, 5);
		append_note(s, (struct spool_note){ .is = SPOOL_IS_DROP,
						    .reason = 1,
						    .value = 3 });
	}
	append_note(s, (struct spool_note){ .is = SPOOL_IS_GAP,
					    .reason = SPOOL_GAP_RETENTION,
					    .value = 1000 });
	CHECK_EQ(spool_next(s), 1000);
	write_some(s, 1, 5);
	spool_close(s);
	g = read_all();
	CHECK_EQ(g.packets, 105);
	CHECK_EQ(g.drops, 60);
	CHECK_EQ(g.gaps, 1);
	CHECK_EQ(g.gap_from[0], 100);
	CHECK_EQ(g.gap_to[0], 1000);
	cfg.keep_max = 1;
	s = open_with(&cfg);
	housekeep(s);
	spool_status(s, &st);
	CHECK_EQ(st.dropped, 60);
	CHECK_EQ(st.oldest, 1005);
	spool_close(s);
}

TEST(a_gap_at_the_very_end_is_gone_on_behind)
{
	struct spool *s = open_here();
	struct got g;

	write_some(s, 1, 5);
	append_note(s, (struct spool_note){
			       .is = SPOOL_IS_GAP, .reason = 1, .value = 50 });
	commit(s);
	spool_close(s);
	s = open_here();
	CHECK_EQ(spool_next(s), 50);
	write_some(s, 1, 5);
	spool_close(s);
	g = read_all();
	CHECK_EQ(g.packets, 10);
	CHECK_EQ(g.lost, 45);
}

/* -- what lies --------------------------------------------------------------
 */

TEST(X1_a_tail_of_zeros_mints_no_packet)
{
	static const size_t sizes[] = { 1,  15,	 16,  17,   63,
					64, 511, 512, 4096, 1 << 20 };
	struct spool *s = open_here();
	const char *saved = t_path("saved");

	write_some(s, 4, 3);
	copy_dir(t_path("spool/src1"), saved);
	spool_close(s);
	for (int which = 1; which < 4; which++)
		for (size_t i = 0; i < 10; i++) {
			static const char *const kinds[] = { "pcap", "idx" };
			struct buf b = { 0 };
			struct got g;

			restore(saved);
			for (int k = 0; k < 2; k++) {
				buf_clear(&b);
				put_bytes(&b, t_load(file_of(0, kinds[k])));
				put_zeros(&b, sizes[i]);
				if (which & 1 << k)
					t_save(file_of(0, kinds[k]),
					       buf_bytes(&b));
			}
			buf_release(&b);
			g = read_all();
			CHECK_EQ(g.packets, 12);
			s = open_here();
			CHECK_EQ(spool_next(s), 12);
			write_some(s, 1, 1);
			spool_close(s);
			g = read_all();
			CHECK_EQ(g.packets, 13);
			CHECK_EQ(g.gaps + g.damaged, 0);
		}
}

TEST(X2_entries_of_another_spool_are_not_believed)
{
	struct spool_config other = config_here();
	struct spool *s = open_here();
	const char *saved = t_path("saved");
	struct bytes stale;
	struct buf b = { 0 };
	struct got g;

	write_some(s, 2, 3);
	copy_dir(t_path("spool/src1"), saved);
	spool_close(s);
	other.source_dir = t_path("spool/src2");
	s = open_with(&other);
	write_some(s, 6, 3);
	spool_close(s);
	restore(saved);
	/* The same packets, the same places, the same first index. */
	stale = t_load(t_path("spool/src2/00000000000000000000.idx"));
	put_bytes(&b, t_load(file_of(0, "idx")));
	put_bytes(&b, bytes_of(stale.p + b.len, stale.len - b.len));
	t_save(file_of(0, "idx"), buf_bytes(&b));
	t_save(file_of(0, "pcap"),
	       t_load(t_path("spool/src2/00000000000000000000.pcap")));
	s = open_here();
	CHECK_EQ(spool_next(s), 6);
	write_some(s, 1, 3);
	spool_close(s);
	g = read_all();
	CHECK_EQ(g.packets, 9);
	buf_release(&b);
}

/* Flip one bit of a file, look, flip it back. */
static void flip_each_bit(const char *path, uint64_t packets,
			  uint64_t most_lost)
{
	struct bytes whole = t_load(path);
	uint8_t *copy = test_malloc(whole.len);

	memcpy(copy, whole.p, whole.len);
	for (size_t bit = 0; bit < whole.len * 8; bit++) {
		int fd = open(path, O_WRONLY);
		uint8_t flipped = copy[bit / 8] ^ (uint8_t)(1 << bit % 8);
		struct got g;

		CHECK_EQ(pwrite(fd, &flipped, 1, (off_t)bit / 8), 1);
		g = read_all();
		CHECK_EQ(pwrite(fd, &copy[bit / 8], 1, (off_t)bit / 8), 1);
		close(fd);
		/* Never silent, and nothing but the batch that was hit. */
		CHECK(g.damaged >= 1);
		CHECK_EQ(g.packets + g.lost, packets);
		CHECK(g.lost <= most_lost);
	}
	test_free(copy);
}

TEST(no_flipped_bit_is_silent_or_costs_more_than_its_batch)
{
	struct spool *s = open_here();

	write_some(s, 4, 2);
	append_note(s, (struct spool_note){
			       .is = SPOOL_IS_DROP, .reason = 1, .value = 3 });
	commit(s);
	spool_close(s);
	CHECK_EQ(read_all().packets, 8);
	flip_each_bit(file_of(0, "pcap"), 8, 2);
	flip_each_bit(file_of(0, "idx"), 8, 2);
}

static uint64_t faults_lost;
static char fault_file[300];

static void on_fault(void *arg, const struct spool_fault *f)
{
	(void)arg;
	faults_lost += f->to - f->from;
	snprintf(fault_file, sizeof(fault_file), "%s", f->file);
}

static struct spool_report examine_here(void)
{
	const struct spool_examine how = { .verify = true,
					   .on_fault = on_fault };
	struct spool_report report;
	struct err err = ERR_NONE;

	faults_lost = 0;
	CHECK_OK(spool_examine(sys_here(), t_path("spool/src1"), &how, &report,
			       &err),
		 &err);
	return report;
}

static void mend_here(void)
{
	const struct spool_examine how = { 0 };
	struct err err = ERR_NONE;

	CHECK_OK(spool_mend(sys_here(), t_path("spool/src1"), &how, &err),
		 &err);
}

/* -- damage where it was durable ------------------------------------------ */

static void spoil(const char *path, uint64_t at)
{
	int fd = open(path, O_RDWR);
	uint8_t byte;

	CHECK_EQ(pread(fd, &byte, 1, (off_t)at), 1);
	byte ^= 0x10;
	CHECK_EQ(pwrite(fd, &byte, 1, (off_t)at), 1);
	close(fd);
}

/* Commits of two packets each, in segments as large as that, killed. */
static void write_commits_and_die(int commits, uint64_t segment_max)
{
	struct spool *s;

	log_setup(LOG_ERROR, false);
	remove_dir(t_path("spool"));
	remove_dir(t_path("saved"));
	s = open_small(segment_max);
	write_some(s, commits, 2);
	copy_dir(t_path("spool/src1"), t_path("saved"));
	spool_close(s);
	restore(t_path("saved"));
}

static void write_and_die(uint64_t segment_max)
{
	write_commits_and_die(4, segment_max);
}

/* The start mends it: [from, to) is a gap, the rest is there, 8 is next. */
static void check_mended_by_start(uint64_t from, uint64_t to)
{
	for (int again = 0; again < 2; again++) {
		struct spool *s = open_here();
		uint64_t more = again ? 3 : 0;
		struct got g;

		CHECK_EQ(spool_next(s), 8 + more);
		g = read_all();
		CHECK_EQ(g.damaged, 0);
		CHECK_EQ(g.packets, 8 - (to - from) + more);
		CHECK_EQ(g.gaps, to > from);
		if (to > from) {
			CHECK_EQ(g.gap_from[0], from);
			CHECK_EQ(g.gap_to[0], to);
			CHECK_EQ(g.gap_reason[0], SPOOL_GAP_DAMAGE);
		}
		write_some(s, 1, 3);
		spool_close(s);
	}
	CHECK_EQ(examine_here().faults, 0);
}

TEST(damage_in_the_last_segment_becomes_a_gap_and_the_writer_goes_on)
{
	for (uint64_t b = 0; b < 4; b++) {
		struct bytes pcap, idx;
		uint64_t at = PCAP_HEADER;

		/* Its packets: the last one too, as `live` tells that they
		 * were durable. */
		write_and_die(1 << 20);
		for (uint64_t i = 0; i <= 2 * b; i++)
			at += RECORD_HEADER + (i < 2 * b ? 20 + i % 40 : 3);
		spoil(file_of(0, "pcap"), at);
		pcap = t_load(file_of(0, "pcap"));
		idx = t_load(file_of(0, "idx"));
		CHECK_EQ(examine_here().bad, 2);
		CHECK_BYTES(t_load(file_of(0, "pcap")), pcap);
		check_mended_by_start(2 * b, 2 * b + 2);
		/* And what it was can still be looked into. */
		CHECK_BYTES(t_load(t_path("spool/src1/damaged/"
					  "00000000000000000000.pcap")),
			    pcap);
		CHECK_BYTES(
			t_load(t_path(
				"spool/src1/damaged/00000000000000000000.idx")),
			idx);

		/* Its entry, behind the NOTE of the start. */
		write_and_die(1 << 20);
		spoil(file_of(0, "idx"), IDX_HEADER + (b + 1) * IDX_ENTRY + 9);
		check_mended_by_start(2 * b, 2 * b + 2);
	}
	/* An entry that no packet hangs on. */
	write_and_die(1 << 20);
	spoil(file_of(0, "idx"), IDX_HEADER + 9);
	check_mended_by_start(0, 0);
}

TEST(damage_in_the_last_of_several_segments_becomes_a_gap)
{
	uint64_t last = 0;

	for (int what = 0; what < 3; what++) {
		struct scan_dir names;

		write_and_die(150);
		names = segments_here();
		CHECK(names.n_segments > 1);
		last = names.segments[names.n_segments - 1].number;
		scan_release(&names);
		if (what == 0) {
			spoil(file_of(last, "pcap"), PCAP_HEADER + 20);
			check_mended_by_start(last, last + 2);
		} else {
			/* Its first entry, or its header. */
			spoil(file_of(last, "idx"),
			      what == 1 ? IDX_HEADER : 40);
			check_mended_by_start(what == 1 ? last : 0,
					      what == 1 ? last + 2 : 0);
		}
	}
}

TEST(a_reader_goes_on_in_what_was_made_of_its_damaged_segment)
{
	/* It has read up to a place before, in, or behind the damage. */
	for (int read = 1; read <= 7; read++) {
		struct spool_reader *r;
		struct spool_event ev;
		struct err err = ERR_NONE;
		struct got g = { 0 };
		struct spool *s;

		write_commits_and_die(8, 1 << 20);
		r = reader_here();
		for (int i = 0; i < 1 + read; i++) {
			CHECK_OK(spool_reader_next(r, &ev, &err), &err);
			take_event(r, &ev, &g);
		}
		CHECK_EQ(g.packets, 2 * (read - 1));
		/* The third of eight batches. */
		spoil(file_of(0, "pcap"),
		      PCAP_HEADER + 5 * RECORD_HEADER + 4 * 20 + 6);
		s = open_here();
		write_some(s, 2, 2);
		read_on(r, &g);
		CHECK_EQ(g.next, 20);
		CHECK_EQ(g.packets, read > 3 ? 20 : 18);
		CHECK_EQ(g.lost, read > 3 ? 0 : 2);
		spool_close(s);
		spool_reader_close(r);
	}
}

TEST(what_live_says_was_durable_is_no_torn_tail)
{
	const uint64_t last = PCAP_HEADER + 6 * RECORD_HEADER + 6 * 20 + 15 +
			      RECORD_HEADER + 3;
	struct spool *s;

	/* Nobody says that the last batch was ever there. */
	write_and_die(1 << 20);
	unlink(t_path("spool/src1/live"));
	spoil(file_of(0, "pcap"), last);
	s = open_here();
	CHECK_EQ(spool_next(s), 6);
	spool_close(s);
	CHECK_EQ(read_all().gaps, 0);
	CHECK(access(t_path("spool/src1/damaged"), F_OK) != 0);

	/* An older word of `live`, as a power cut may leave it. */
	write_and_die(1 << 20);
	s = open_small(1 << 20);
	write_some(s, 1, 2);
	spool_close(s);
	t_save(t_path("spool/src1/live"), t_load(t_path("saved/live")));
	s = open_here();
	CHECK_EQ(spool_next(s), 10);
	spool_close(s);
	CHECK_EQ(read_all().packets, 10);
}

TEST(I09_a_shortened_file_is_cut_and_its_torn_end_kept)
{
	struct bytes pcap;
	struct spool *s;

	write_and_die(1 << 20);
	pcap = t_load(file_of(0, "pcap"));
	t_save(file_of(0, "pcap"), bytes_of(pcap.p, pcap.len - 5));
	s = open_here();
	CHECK_EQ(spool_next(s), 6);
	spool_close(s);
	CHECK_EQ(read_all().packets, 6);
	CHECK_BYTES(
		t_load(t_path("spool/src1/damaged/00000000000000000000.pcap")),
		bytes_of(pcap.p, pcap.len - 5));
}

TEST(a_newest_segment_that_is_gone_stops_the_writer_by_its_name)
{
	struct spool_config cfg = config_here();
	struct err err = ERR_NONE;
	struct scan_dir names;
	char gone[FILE_NAME_MAX];
	uint64_t last;
	struct got g;

	write_and_die(150);
	names = segments_here();
	last = names.segments[names.n_segments - 1].number;
	scan_release(&names);
	segment_name(gone, last, "pcap");
	unlink(file_of(last, "pcap"));
	unlink(file_of(last, "idx"));
	CHECK(!spool_open(sys_here(), &cfg, &err));
	CHECK_EQ(err.code, ERR_DAMAGED);
	CHECK(strstr(err.text, gone) != NULL);
	mend_here();
	check_mended_by_start(last, 8);
	g = read_all();
	CHECK_EQ(g.lost, 8 - last);
}

/* -- looking and mending -----------------------------------------------------
 */

TEST(I60_a_look_at_a_spool_tells_head_oldest_and_bytes_and_changes_nothing)
{
	struct spool *s = open_small(2 << 10);
	struct spool_report report;
	struct spool_status st;

	write_some(s, 30, 5);
	append_note(s, (struct spool_note){
			       .is = SPOOL_IS_DROP, .reason = 1, .value = 3 });
	commit(s);
	spool_status(s, &st);
	report = examine_here(); /* while it is written */
	CHECK(report.written);
	CHECK_EQ(report.head, 150);
	CHECK_EQ(report.faults, 0);
	spool_close(s);
	copy_dir(t_path("spool/src1"), t_path("saved"));
	report = examine_here();
	CHECK(!report.written);
	CHECK_EQ(report.oldest, 0);
	CHECK_EQ(report.head, 150);
	CHECK_EQ(report.dropped, 3);
	CHECK_EQ(report.bytes, st.bytes + IDX_ENTRY); /* the last seal */
	CHECK_EQ(report.faults + report.torn, 0);
	CHECK_STR(report.identity.name, "game");
	CHECK_BYTES(t_load(t_path("saved/live")),
		    t_load(t_path("spool/src1/live")));
}

/* Break something, mend it, and see what is left. */
static void check_mended(uint64_t packets, uint64_t lost)
{
	struct spool_report report = examine_here();
	struct spool *s;
	struct got g;

	CHECK(report.faults > 0);
	mend_here();
	report = examine_here();
	CHECK_EQ(report.faults, 0);
	CHECK_EQ(report.torn, 0);
	g = read_all();
	CHECK_EQ(g.damaged, 0);
	CHECK_EQ(g.packets, packets);
	CHECK_EQ(g.lost, lost);
	s = open_here();
	CHECK_EQ(spool_next(s), packets + lost);
	write_some(s, 1, 5);
	spool_close(s);
	CHECK_EQ(read_all().packets, packets + 5);
}

static void write_for_mending(void)
{
	struct spool *s = open_small(2 << 10);

	write_some(s, 30, 5);
	spool_close(s);
	if (access(t_path("saved"), F_OK) != 0)
		copy_dir(t_path("spool/src1"), t_path("saved"));
}

TEST(I60_mending_keeps_every_good_packet_of_a_damaged_segment)
{
	struct scan_dir names;
	int fd;

	write_for_mending();
	names = segments_here();
	for (size_t i = 0; i < names.n_segments; i++) {
		uint64_t first = names.segments[i].number;

		/* A batch of the .pcap. */
		restore(t_path("saved"));
		fd = open(file_of(first, "pcap"), O_WRONLY);
		CHECK_EQ(pwrite(fd, "X", 1, 400), 1);
		close(fd);
		check_mended(145, 5);
		/* An entry; the very first one is a note. */
		for (uint64_t e = 0; e < 4; e++) {
			restore(t_path("saved"));
			if (IDX_HEADER + (e + 2) * IDX_ENTRY >
			    t_load(file_of(first, "idx")).len)
				break; /* a torn seal is a torn tail */
			fd = open(file_of(first, "idx"), O_WRONLY);
			CHECK_EQ(pwrite(fd, "X", 1,
					(off_t)(IDX_HEADER + e * IDX_ENTRY +
						20)),
				 1);
			close(fd);
			if (e || first)
				check_mended(145, 5);
			else
				check_mended(150, 0);
		}
		/* Its headers. */
		restore(t_path("saved"));
		fd = open(file_of(first, "idx"), O_WRONLY);
		CHECK_EQ(pwrite(fd, "X", 1, 33), 1);
		close(fd);
		check_mended(150, 0);
		/* The whole index. */
		restore(t_path("saved"));
		unlink(file_of(first, "idx"));
		check_mended(150, 0);
	}
	scan_release(&names);
}

TEST(I60_mending_records_a_missing_segment_and_sets_files_aside)
{
	struct scan_dir names;
	char name[FILE_NAME_MAX];
	uint64_t n;

	write_for_mending();
	names = segments_here();
	n = names.segments[2].number - names.segments[1].number;
	unlink(file_of(names.segments[1].number, "pcap"));
	unlink(file_of(names.segments[1].number, "idx"));
	check_mended(150 - n, n);
	restore(t_path("saved"));
	unlink(file_of(names.segments[1].number, "pcap"));
	check_mended(150 - n, n);
	segment_name(name, names.segments[1].number, "idx");
	CHECK_EQ(access(t_path("spool/src1/damaged/%s", name), F_OK), 0);
	scan_release(&names);
}

TEST(I60_a_bit_of_the_id_is_put_right)
{
	struct bytes id;

	write_for_mending();
	id = t_load(t_path("spool/src1/id"));
	for (size_t at = 0; at < id.len; at += 7) {
		int fd;
		uint8_t bad = id.p[at] ^ 4;

		restore(t_path("saved"));
		fd = open(t_path("spool/src1/id"), O_WRONLY);
		CHECK_EQ(pwrite(fd, &bad, 1, (off_t)at), 1);
		close(fd);
		check_mended(150, 0);
		CHECK_BYTES(t_load(t_path("spool/src1/id")), id);
	}
}
