/* SPDX-License-Identifier: Apache-2.0 */
#include "captures_here.h"

#include "engine/dataset/map.h"
#include "engine/replay/histogram.h"
#include "engine/replay/merge.h"
#include "engine/replay/replay.h"
#include "engine/replay/schedule.h"

#define START (1700000000 * SECOND)

/* -- schedule ------------------------------------------------------------- */

TEST(G14_a_deadline_depends_on_its_own_time_only)
{
	struct schedule s = { 0 };

	schedule_by_factor(&s, 1);
	schedule_begin(&s, START, 0);
	/* A thousand hours of packets 33 333 ns apart, seen here and there. */
	for (uint64_t i = 0; i < UINT64_C(108000000000); i += 999999937)
		CHECK(schedule_next(&s, START + i * 33333, 60) == i * 33333);
}

TEST(G17_G18_factors_are_exact_in_both_directions)
{
	static const struct {
		double factor;
		uint64_t recorded, want;
	} cases[] = {
		{ 0.5, SECOND, 2 * SECOND },
		{ 2, SECOND, SECOND / 2 },
		{ 1.7, 17 * SECOND, 10 * SECOND },
		{ 10, SECOND, SECOND / 10 },
		{ 0.001, 86400 * SECOND, 86400000 * SECOND },
		{ 1000000, SECOND, 1000 },
		{ 1e-9, 1, SECOND },
	};
	struct schedule s = { 0 };

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		schedule_by_factor(&s, cases[i].factor);
		CHECK(schedule_span(&s, cases[i].recorded) == cases[i].want);
	}
	schedule_by_duration(&s, 2 * SECOND, 4 * SECOND);
	CHECK(schedule_span(&s, SECOND) == 2 * SECOND);
	schedule_by_duration(&s, 2 * SECOND, 1050000000);
	CHECK(schedule_span(&s, 2 * SECOND) == 1050000000);
	schedule_by_duration(&s, 0, 4 * SECOND); /* equal times */
	schedule_begin(&s, START, 0);
	CHECK(schedule_next(&s, START, 60) == 0);
	CHECK(schedule_next(&s, START, 60) == 0);
}

TEST(times_that_go_back_move_nothing_behind_them)
{
	struct schedule s = { 0 };

	schedule_by_factor(&s, 1);
	schedule_begin(&s, START, 100);
	CHECK(schedule_next(&s, START, 60) == 100);
	CHECK(schedule_next(&s, START + 50, 60) == 150);
	CHECK(schedule_next(&s, START - SECOND, 60) == 150);
	CHECK(schedule_next(&s, START + 60, 60) == 160);
}

TEST(long_pauses_are_cut_and_short_ones_kept)
{
	struct schedule s = { 0 };

	schedule_by_factor(&s, 1);
	s.gap_max_ns = SECOND;
	schedule_begin(&s, START, 0);
	schedule_next(&s, START, 60);
	CHECK(schedule_next(&s, START + SECOND / 2, 60) == SECOND / 2);
	CHECK(schedule_next(&s, START + 100 * SECOND, 60) == 3 * SECOND / 2);
	CHECK(schedule_next(&s, START + 101 * SECOND, 60) == 5 * SECOND / 2);
}

TEST(fixed_rates_count_packets_and_bits)
{
	struct schedule s = { .kind = SCHEDULE_PPS, .rate = 3 };

	schedule_begin(&s, START, 0);
	for (uint64_t i = 0; i < 3000000; i++)
		CHECK(schedule_next(&s, START, 60) == i * SECOND / 3);
	s = (struct schedule){ .kind = SCHEDULE_BPS, .rate = 8000 };
	schedule_begin(&s, START, 0);
	CHECK(schedule_next(&s, START, 1000) == 0);
	CHECK(schedule_next(&s, START, 500) == SECOND);
	CHECK(schedule_next(&s, START, 1) == SECOND * 3 / 2);
}

/* -- histogram ------------------------------------------------------------ */

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

TEST(X25_a_histogram_is_right_within_its_steps)
{
	static struct histogram h;
	enum { N = 20000 };
	static uint64_t values[N];

	for (int i = 0; i < N; i++) {
		values[i] = t_random() >> (t_random_below(60) + 2);
		histogram_add(&h, values[i]);
	}
	qsort(values, N, sizeof(*values), by_value);
	for (int percent = 1; percent <= 100; percent++) {
		uint64_t real = values[(N * percent + 99) / 100 - 1];
		uint64_t told = histogram_at(&h, percent / 100.0);

		CHECK(told >= real);
		CHECK(told <= real + real / 15 + 1);
	}
	CHECK(histogram_at(&h, 1) == values[N - 1]);
	CHECK_EQ(histogram_above(&h, UINT64_MAX), 0);
}

/* -- merging -------------------------------------------------------------- */

struct expected {
	uint64_t time_ns, number;
};

static int by_time(const void *a, const void *b)
{
	const struct expected *x = a, *y = b;

	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	return x->number < y->number ? -1 : 1;
}

static void map_here(struct dataset *d)
{
	static const char *const suffix[] = { "pcap" };
	const char *dir = t_dir();
	const struct map_config cfg = { .paths = &dir,
					.n_paths = 1,
					.suffixes = suffix,
					.n_suffixes = 1,
					.workers = 1 };
	struct map_counts counts;
	struct err err = ERR_NONE;

	CHECK_OK(map_files(&cfg, d, &counts, &err), &err);
}

static uint64_t number_of(const struct merge_packet *p)
{
	uint64_t v;

	memcpy(&v, p->packet.data.p, sizeof(v));
	return v;
}

/*
 * `files` files of random length that overlap at random; within each the times
 * rise.  Numbers are of the file and the place in it, so that equal times have
 * one right order.
 */
static size_t make_set(int files, struct expected *all)
{
	size_t n = 0;

	for (int f = 0; f < files; f++) {
		uint64_t time = START + t_random_below(5000) * 1000;
		struct buf b = { 0 };

		here_head(&b);
		for (uint64_t i = t_random_below(200); i > 0; i--) {
			uint64_t number = (uint64_t)f << 32 | (1000 - i);

			here_packet(&b, time, 60, number);
			all[n++] = (struct expected){ time, number };
			time += t_random_below(4) * 1000;
		}
		t_save(t_path("%03d.pcap", f), buf_bytes(&b));
		buf_release(&b);
	}
	return n;
}

TEST(X24_files_in_any_order_and_overlap_come_out_on_one_clock)
{
	static struct expected all[50 * 200];
	struct merge_packet p;
	struct err err = ERR_NONE;
	struct dataset d;
	struct merge *m;

	for (int round = 0; round < 20; round++) {
		size_t n = make_set(1 + (int)t_random_below(50), all);

		map_here(&d);
		qsort(all, n, sizeof(*all), by_time);
		m = merge_new(&(struct merge_config){
			.set = &d,
			.from_ns = UINT64_MAX,
			.to_ns = UINT64_MAX,
		});
		for (int again = 0; again < 2; again++) {
			for (size_t i = 0; i < n; i++) {
				CHECK_OK(merge_next(m, &p, &err), &err);
				CHECK(p.packet.time_ns == all[i].time_ns);
				CHECK(number_of(&p) == all[i].number);
			}
			CHECK_EQ(merge_next(m, &p, &err), ERR_END);
			merge_rewind(m);
		}
		merge_free(m);
		dataset_release(&d);
		for (int f = 0; f < 50; f++)
			remove(t_path("%03d.pcap", f));
	}
}

TEST(G24_sorting_in_the_maps_window_loses_nothing)
{
	enum { N = 3000 };
	static uint64_t times[N];
	struct merge_packet p;
	struct err err = ERR_NONE;
	struct dataset d;
	struct merge *m;
	uint64_t last = 0;

	for (uint64_t i = 0; i < N; i++)
		times[i] = START + i * 1000 + t_random_below(100) * 1000;
	here_file("shuffled.pcap", times, N);
	map_here(&d);
	m = merge_new(&(struct merge_config){ .set = &d,
					      .from_ns = UINT64_MAX,
					      .to_ns = UINT64_MAX,
					      .sort = true });
	for (int i = 0; i < N; i++) {
		CHECK_OK(merge_next(m, &p, &err), &err);
		CHECK(p.packet.time_ns >= last);
		last = p.packet.time_ns;
	}
	CHECK_EQ(merge_next(m, &p, &err), ERR_END);
	CHECK_EQ(merge_counts(m)->unsorted, 0);
	merge_free(m);
	dataset_release(&d);
}

TEST(G19_G23_windows_and_leaving_out_count_what_they_leave)
{
	static const uint64_t times[] = { START + 1, START + 5, START + 3,
					  START + 7, START + 9 };
	struct merge_config cfg = { .from_ns = START + 3,
				    .to_ns = START + 7,
				    .skip_out_of_order = true };
	struct merge_packet p;
	struct err err = ERR_NONE;
	struct dataset d;
	struct merge *m;

	here_file("a.pcap", times, 5);
	map_here(&d);
	cfg.set = &d;
	m = merge_new(&cfg);
	CHECK_OK(merge_next(m, &p, &err), &err);
	CHECK(p.packet.time_ns == START + 5);
	CHECK_OK(merge_next(m, &p, &err), &err);
	CHECK(p.packet.time_ns == START + 7);
	CHECK_EQ(merge_next(m, &p, &err), ERR_END);
	CHECK_EQ(merge_counts(m)->outside, 2);
	CHECK_EQ(merge_counts(m)->out_of_order, 1);
	merge_free(m);
	dataset_release(&d);
}

/* -- the whole ------------------------------------------------------------ */

struct taken {
	uint64_t numbers[4096];
	int n, refuse_every, calls, fail_at;
};

static int take(void *self, const struct replay_packet *p, int n,
		struct err *err)
{
	struct taken *t = self;
	int some = 1 + t->calls % n;

	t->calls++;
	if (t->fail_at && t->n >= t->fail_at)
		return err_set(err, ERR_FAILED, "the wire is cut");
	if (t->refuse_every && t->calls % t->refuse_every == 0)
		return t->calls % (2 * t->refuse_every) ? 0 : ERR_LIMIT;
	for (int i = 0; i < some; i++)
		memcpy(&t->numbers[t->n++], p[i].packet.data.p, 8);
	return some;
}

static void wait_for_end(struct replay *r)
{
	struct replay_status s;

	do
		replay_status(r, &s);
	while (!s.ended);
}

static void start_and_end(struct replay_config *cfg, struct taken *t,
			  struct replay_status *s, struct err *err)
{
	struct replay *r;

	cfg->sinks[0] = (struct replay_sink){ take, t };
	cfg->n_sinks = 1;
	r = replay_start(cfg, err);
	CHECK(r != NULL);
	wait_for_end(r);
	replay_stop(r, s, err);
}

TEST(G12_every_packet_is_given_once_in_order_whatever_the_sink_takes)
{
	static uint64_t times[1000];
	static struct taken t;
	struct replay_config cfg = { .merge = { .from_ns = UINT64_MAX,
						.to_ns = UINT64_MAX },
				     .schedule = { .kind = SCHEDULE_TOP },
				     .loops = 3 };
	struct replay_status s;
	struct err err = ERR_NONE;
	struct dataset d;

	for (uint64_t i = 0; i < 1000; i++)
		times[i] = START + i * 10;
	here_file("a.pcap", times, 1000);
	map_here(&d);
	cfg.merge.set = &d;
	start_and_end(&cfg, &t, &s, &err);
	CHECK_EQ(err.code, 0);
	CHECK_EQ(t.n, 3000);
	for (int i = 0; i < 3000; i++)
		CHECK_EQ(t.numbers[i], i % 1000);
	CHECK_EQ(s.sent, 3000);
	CHECK_EQ(s.loops, 3);

	t = (struct taken){ .refuse_every = 7 };
	start_and_end(&cfg, &t, &s, &err);
	CHECK_EQ(s.sent + s.failed, 3000);
	CHECK_EQ(s.sent, t.n);
	CHECK(s.failed > 0 && s.retries > 0);
	dataset_release(&d);
}

TEST(G25_a_sink_that_fails_ends_it_with_its_sentence_and_exact_counts)
{
	static uint64_t times[1000];
	static struct taken t = { .fail_at = 100 };
	struct replay_config cfg = { .merge = { .from_ns = UINT64_MAX,
						.to_ns = UINT64_MAX },
				     .schedule = { .kind = SCHEDULE_TOP },
				     .loops = 0 };
	struct replay_status s;
	struct err err = ERR_NONE;
	struct dataset d;

	for (uint64_t i = 0; i < 1000; i++)
		times[i] = START + i * 10;
	here_file("a.pcap", times, 1000);
	map_here(&d);
	cfg.merge.set = &d;
	start_and_end(&cfg, &t, &s, &err);
	CHECK_EQ(err.code, ERR_FAILED);
	CHECK_STR(err.text, "the wire is cut");
	CHECK_EQ(s.sent, t.n);
	dataset_release(&d);
}

TEST(G20_an_endless_replay_stops_when_it_is_told)
{
	static const uint64_t times[] = { START, START + SECOND };
	static struct taken t;
	struct replay_config cfg = { .merge = { .from_ns = UINT64_MAX,
						.to_ns = UINT64_MAX },
				     .loops = 0,
				     .wait = true };
	struct replay_status s = { 0 };
	struct err err = ERR_NONE;
	struct dataset d;
	struct replay *r;

	here_file("a.pcap", times, 2);
	map_here(&d);
	cfg.merge.set = &d;
	schedule_by_factor(&cfg.schedule, 1);
	cfg.sinks[0] = (struct replay_sink){ take, &t };
	r = replay_start(&cfg, &err);
	CHECK(r != NULL);
	while (s.sent == 0)
		replay_status(r, &s);
	CHECK_OK(replay_stop(r, &s, &err), &err);
	CHECK(s.sent >= 1);
	dataset_release(&d);
}
