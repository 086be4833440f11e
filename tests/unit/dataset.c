/* SPDX-License-Identifier: Apache-2.0 */
#include "captures_here.h"

#include <sys/stat.h>
#include <unistd.h>
#include <utime.h>

#include "engine/capfile/capfile.h"
#include "engine/dataset/map.h"
#include "engine/dataset/pattern.h"

static const char *const pcap_suffix[] = { "pcap" };

static int map_here(struct map_config cfg, struct dataset *d)
{
	const char *dir = t_dir();
	struct map_counts counts;
	struct err err = ERR_NONE;
	int rc;

	if (!cfg.n_paths) {
		cfg.paths = &dir;
		cfg.n_paths = 1;
	}
	if (!cfg.suffixes) {
		cfg.suffixes = pcap_suffix;
		cfg.n_suffixes = 1;
	}
	rc = map_files(&cfg, d, &counts, &err);
	if (rc < 0)
		CHECK(err.text[0]);
	return rc < 0 ? rc : (int)counts.reused;
}

static const struct dataset_tally *only_tally(const struct dataset *d)
{
	CHECK_EQ(d->n_files, 1);
	return &d->files[0].tally;
}

TEST(G01_folders_are_searched_by_suffix)
{
	static const uint64_t times[] = { SECOND };
	struct dataset d;

	mkdir(t_path("a"), 0700);
	mkdir(t_path("a/b"), 0700);
	here_file("z.pcap", times, 1);
	here_file("a/y.pcap", times, 1);
	here_file("a/b/x.pcap", times, 1);
	here_file("a/b/notes.txt", times, 1);
	CHECK_EQ(symlink("..", t_path("a/b/round.pcap")), 0);
	CHECK_EQ(map_here((struct map_config){ .workers = 2 }, &d), 0);
	CHECK_EQ(d.n_files, 3);
	CHECK_STR(d.files[0].path, t_path("a/b/x.pcap"));
	CHECK_STR(d.files[1].path, t_path("a/y.pcap"));
	CHECK_STR(d.files[2].path, t_path("z.pcap"));
	CHECK_EQ(d.n_failed, 0);
	dataset_release(&d);
}

TEST(G10_a_pattern_keeps_what_it_matches)
{
	static const uint64_t times[] = { SECOND };
	struct err err = ERR_NONE;
	struct pattern *p = pattern_new("w-\\d+/b", &err);
	struct dataset d;

	mkdir(t_path("w-12"), 0700);
	here_file("w-12/a.pcap", times, 1);
	here_file("w-12/b.pcap", times, 1);
	here_file("b.pcap", times, 1);
	CHECK_EQ(
		map_here((struct map_config){ .pattern = p, .workers = 1 }, &d),
		0);
	CHECK_EQ(d.n_files, 1);
	CHECK_STR(d.files[0].path, t_path("w-12/b.pcap"));
	dataset_release(&d);
	pattern_free(p);
	CHECK(!pattern_new("a(b", &err));
	CHECK_EQ(err.code, ERR_USAGE);
}

TEST(G03_beginning_and_end_are_the_earliest_and_the_latest)
{
	static const uint64_t times[] = { 5 * SECOND, 9 * SECOND, 2 * SECOND,
					  7 * SECOND };
	const struct dataset_tally *t;
	struct dataset d;

	here_file("shuffled.pcap", times, 4);
	CHECK_EQ(map_here((struct map_config){ .workers = 1 }, &d), 0);
	t = only_tally(&d);
	CHECK_EQ(t->min_ns, 2 * SECOND);
	CHECK_EQ(t->max_ns, 9 * SECOND);
	CHECK_EQ(t->first_ns, 5 * SECOND);
	CHECK_EQ(t->last_ns, 7 * SECOND);
	CHECK_EQ(t->packets, 4);
	CHECK_EQ(t->captured, 240);
	CHECK_EQ(t->backward_ns, 7 * SECOND);
	dataset_release(&d);
}

TEST(G04_equal_times_are_in_order_and_one_inversion_is_one)
{
	static const uint64_t equal[] = { 3, 3, 3, 3 }, one[] = { 1, 2, 1, 3 };
	struct dataset d;

	here_file("equal.pcap", equal, 4);
	CHECK_EQ(map_here((struct map_config){ .workers = 1 }, &d), 0);
	CHECK_EQ(only_tally(&d)->out_of_order, 0);
	dataset_release(&d);
	unlink(t_path("equal.pcap"));
	here_file("one.pcap", one, 4);
	CHECK_EQ(map_here((struct map_config){ .workers = 1 }, &d), 0);
	CHECK_EQ(only_tally(&d)->out_of_order, 1);
	dataset_release(&d);
}

TEST(G05_degenerate_files_are_described)
{
	static const uint64_t equal[] = { 4 * SECOND, 4 * SECOND };
	struct buf json = { 0 };
	struct dataset d, again = { 0 };
	struct err err = ERR_NONE;
	struct bytes whole;

	here_file("a-none.pcap", equal, 0);
	here_file("b-one.pcap", equal, 1);
	here_file("c-equal.pcap", equal, 2);
	whole = t_load(here_file("d-cut.pcap", equal, 2));
	t_save(t_path("d-cut.pcap"), bytes_of(whole.p, whole.len - 3));
	t_save(t_path("e-empty.pcap"), bytes_of("", 0));
	t_save(t_path("f-text.pcap"), bytes_of_text("no capture at all"));
	CHECK_EQ(map_here((struct map_config){ .workers = 3 }, &d), 0);
	CHECK_EQ(d.n_files, 4);
	CHECK_EQ(d.n_failed, 2);
	CHECK_EQ(d.files[0].tally.packets, 0);
	CHECK_EQ(d.files[1].tally.packets, 1);
	CHECK_EQ(d.files[2].tally.packets, 2);
	CHECK_EQ(d.files[3].tally.packets, 1);
	CHECK(d.files[3].damage && strstr(d.files[3].damage, "d-cut.pcap is "
							     "damaged at byte "
							     "100"));
	CHECK(strstr(d.failed[0].why, "e-empty.pcap"));
	CHECK(strstr(d.failed[1].why, "f-text.pcap is not a capture"));

	dataset_put_json(&d, &json);
	CHECK_OK(dataset_parse(buf_bytes(&json), "map", &again, &err), &err);
	CHECK_EQ(again.n_files, 4);
	CHECK_EQ(again.n_failed, 2);
	CHECK_EQ(again.packets, 4);
	CHECK_EQ(again.min_ns, 4 * SECOND);
	CHECK_EQ(again.max_ns, 4 * SECOND);
	buf_release(&json);
	dataset_release(&d);
	dataset_release(&again);
}

/* A file of many records in any order of times; returns its path. */
static const char *random_file(const char *name, int n, struct buf *b)
{
	const char *path = t_path("%s", name);

	buf_clear(b);
	here_head(b);
	for (int i = 0; i < n; i++)
		here_packet(b, 1700000000 * SECOND + t_random_below(SECOND),
			    20 + t_random_below(1400), t_random());
	t_save(path, buf_bytes(b));
	return path;
}

static void check_same(const struct dataset *a, const struct dataset *b)
{
	struct buf x = { 0 }, y = { 0 };

	dataset_put_json(a, &x);
	dataset_put_json(b, &y);
	CHECK_BYTES(buf_bytes(&x), buf_bytes(&y));
	buf_release(&x);
	buf_release(&y);
}

TEST(G07_the_map_is_the_same_for_any_number_of_workers)
{
	static const unsigned workers[] = { 1, 2, 4, 0 };
	struct buf b = { 0 };
	struct dataset first, d;

	for (int i = 0; i < 20; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%d.pcap", i * 7 % 20);
		random_file(name, (int)t_random_below(300), &b);
	}
	CHECK_EQ(map_here((struct map_config){ .workers = 1 }, &first), 0);
	CHECK_EQ(first.n_files, 20);
	for (size_t i = 0; i < sizeof(workers) / sizeof(*workers); i++) {
		CHECK_EQ(map_here((struct map_config){ .workers = workers[i],
						       .split_bytes = 40000 },
				  &d),
			 0);
		check_same(&first, &d);
		dataset_release(&d);
	}
	dataset_release(&first);
	buf_release(&b);
}

/* Payload that looks like records: the guess of where a part begins is wrong,
 * and the map is right all the same. */
TEST(a_file_shared_among_workers_is_counted_right_whatever_is_in_its_packets)
{
	struct buf inner = { 0 }, b = { 0 };
	struct dataset one, many;

	for (int i = 0; i < 200; i++)
		here_packet(&inner, 1700000000 * SECOND + (uint64_t)i, 60,
			    t_random());
	here_head(&b);
	for (uint64_t i = 0; i < 60; i++) {
		struct packet p = { .data = buf_bytes(&inner),
				    .time_ns = 1700000000 * SECOND + i,
				    .wire_len = (uint32_t)inner.len };

		put_record(&b, &p);
	}
	t_save(t_path("nested.pcap"), buf_bytes(&b));
	CHECK_EQ(map_here((struct map_config){ .workers = 1 }, &one), 0);
	CHECK_EQ(only_tally(&one)->packets, 60);
	CHECK_EQ(map_here((struct map_config){ .workers = 4,
					       .split_bytes = 50000 },
			  &many),
		 0);
	check_same(&one, &many);
	dataset_release(&one);
	dataset_release(&many);
	buf_release(&b);
	buf_release(&inner);
}

/* The file as capfile reads it; the sentence about its end, or "". */
static void read_through(const char *path, uint64_t *packets, uint64_t *bytes,
			 char why[ERR_TEXT])
{
	struct err err = ERR_NONE;
	struct capfile *c = capfile_open(path, &err);
	struct capfile_packet p;
	int rc;

	*packets = *bytes = 0;
	while ((rc = capfile_next(c, &p, &err)) == 0) {
		++*packets;
		*bytes += p.packet.data.len;
	}
	snprintf(why, ERR_TEXT, "%s",
		 rc != ERR_END	      ? err.text
		 : capfile_warning(c) ? capfile_warning(c)
				      : "");
	capfile_close(c);
}

/* Hopping and reading through say the same, also of what is broken. */
TEST(a_file_damaged_anywhere_is_described_like_one_that_is_read_through)
{
	struct buf b = { 0 };

	random_file("x.pcap", 40, &b);
	for (int round = 0; round < 500; round++) {
		size_t len =
			b.len - (round & 1 ? t_random_below(b.len - 24) : 0);
		uint8_t *copy = malloc(len);
		uint64_t packets, bytes;
		char why[ERR_TEXT];
		struct dataset d;

		memcpy(copy, b.p, len);
		for (int i = 0; i < round % 4 && len > 24; i++)
			copy[24 + t_random_below(len - 24)] =
				t_random_below(2) ? 0 : (uint8_t)t_random();
		t_save(t_path("x.pcap"), bytes_of(copy, len));
		read_through(t_path("x.pcap"), &packets, &bytes, why);
		CHECK_EQ(map_here((struct map_config){ .workers = 1 }, &d), 0);
		CHECK_EQ(only_tally(&d)->packets, packets);
		CHECK_EQ(only_tally(&d)->captured, bytes);
		CHECK_STR(d.files[0].damage ? d.files[0].damage : "", why);
		dataset_release(&d);
		free(copy);
	}
	buf_release(&b);
}

TEST(an_unchanged_file_is_not_read_again)
{
	static const uint64_t times[] = { SECOND, 2 * SECOND };
	struct dataset first, second;
	struct bytes content;
	struct stat st;
	struct utimbuf when;

	here_file("a.pcap", times, 2);
	here_file("b.pcap", times, 2);
	CHECK_EQ(map_here((struct map_config){ .workers = 1 }, &first), 0);
	CHECK_EQ(map_here((struct map_config){ .workers = 1, .known = &first },
			  &second),
		 2);
	check_same(&first, &second);
	dataset_release(&second);

	content = t_load(t_path("a.pcap"));
	CHECK_EQ(stat(t_path("a.pcap"), &st), 0);
	when = (struct utimbuf){ st.st_atime, st.st_mtime + 10 };
	t_save(t_path("a.pcap"), content);
	CHECK_EQ(utime(t_path("a.pcap"), &when), 0);
	CHECK_EQ(map_here((struct map_config){ .workers = 1, .known = &first },
			  &second),
		 1);
	dataset_release(&second);
	dataset_release(&first);
}

TEST(G11_a_file_changed_since_it_was_mapped_is_noticed)
{
	static const uint64_t times[] = { SECOND, 2 * SECOND, 3 * SECOND };
	struct err err = ERR_NONE;
	struct dataset d;

	here_file("a.pcap", times, 2);
	CHECK_EQ(map_here((struct map_config){ .workers = 1 }, &d), 0);
	CHECK(dataset_fresh(&d.files[0], true, &err));
	here_file("a.pcap", times, 3);
	CHECK(!dataset_fresh(&d.files[0], false, &err));
	CHECK(strstr(err.text, "a.pcap has changed since it was mapped"));
	unlink(t_path("a.pcap"));
	CHECK(!dataset_fresh(&d.files[0], false, &err));
	dataset_release(&d);
}

TEST(a_name_that_is_not_utf8_survives_the_map)
{
	static const uint64_t times[] = { SECOND };
	struct err err = ERR_NONE;
	struct buf json = { 0 };
	struct dataset d, again = { 0 };

	here_file("b\xff\xfe\x01\"\\.pcap", times, 1);
	CHECK_EQ(map_here((struct map_config){ .workers = 1 }, &d), 0);
	dataset_put_json(&d, &json);
	CHECK_OK(dataset_parse(buf_bytes(&json), "map", &again, &err), &err);
	CHECK_STR(again.files[0].path, d.files[0].path);
	buf_release(&json);
	dataset_release(&d);
	dataset_release(&again);
}

/* What gophercap 0.3 wrote for three files, one of them of a single packet. */
static const char gophercap[] =
	"{\"beginning\":\"2023-11-14T22:13:20Z\","
	"\"end\":\"2023-11-14T22:13:22.5+01:00\",\"files\":[{\"path\":\"a."
	"pcap\","
	"\"snaplen\":65535,\"packets\":199,\"size\":11940,"
	"\"max_packet_size\":60,\"out_of_order\":1,"
	"\"beginning\":\"2023-11-14T22:13:20Z\","
	"\"end\":\"2023-11-14T22:13:21.99Z\",\"pps\":100.0001,"
	"\"duration\":1990000000,\"duration_human\":\"1.99s\",\"delay\":0,"
	"\"delay_human\":\"0s\"},{\"path\":\"b.pcap\",\"snaplen\":65535,"
	"\"packets\":0,\"beginning\":\"2023-11-14T22:13:21Z\","
	"\"end\":\"0001-01-01T00:00:00Z\"}]}";

TEST(G02_a_map_of_gophercap_is_read)
{
	struct err err = ERR_NONE;
	struct dataset d = { 0 };

	CHECK_OK(dataset_parse(bytes_of_text(gophercap), "m", &d, &err), &err);
	CHECK_EQ(d.n_files, 2);
	CHECK_EQ(d.files[0].tally.packets, 199);
	CHECK_EQ(d.files[0].tally.min_ns, 1700000000 * SECOND);
	CHECK_EQ(d.files[0].tally.max_ns, 1700000001 * SECOND + 990000000);
	CHECK_EQ(d.files[1].tally.max_ns, d.files[1].tally.min_ns);
	CHECK(!d.files[0].format);
	dataset_release(&d);
}

TEST(a_map_cut_or_changed_anywhere_is_refused_with_a_sentence)
{
	size_t len = strlen(gophercap);
	struct dataset d = { 0 };

	for (size_t cut = 0; cut < len; cut++) {
		struct err err = ERR_NONE;

		CHECK(dataset_parse(bytes_of(gophercap, cut), "m", &d, &err) <
		      0);
		CHECK(strncmp(err.text, "m, byte ", 8) == 0);
		CHECK_EQ(d.n_files, 0);
	}
	for (int i = 0; i < 2000; i++) {
		struct err err = ERR_NONE;
		char *copy = strdup(gophercap);

		copy[t_random_below(len)] = (char)t_random();
		if (dataset_parse(bytes_of(copy, len), "m", &d, &err) == 0)
			dataset_release(&d);
		else
			CHECK(err.text[0]);
		free(copy);
	}
}

TEST(G06_a_map_is_replaced_whole_or_not_at_all)
{
	static const uint64_t times[] = { SECOND };
	const char *path = t_path("map.json");
	struct err err = ERR_NONE;
	struct dataset d, again;

	here_file("a.pcap", times, 1);
	CHECK_EQ(map_here((struct map_config){ .workers = 1 }, &d), 0);
	CHECK_OK(dataset_save(path, &d, &err), &err);
	mkdir(t_path("map.json.tmp"), 0700); /* the way is blocked */
	CHECK(dataset_save(path, &d, &err) < 0);
	CHECK_OK(dataset_load(path, &again, &err), &err);
	CHECK_EQ(again.n_files, 1);
	dataset_release(&again);
	CHECK_EQ(dataset_load(t_path("none"), &again, &err), ERR_GONE);
	rmdir(t_path("map.json.tmp"));
	dataset_release(&d);
}
