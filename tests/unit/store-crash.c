/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power is cut behind sampled changes to the payload files, which lie on the
 * model disk; the rows lie on the machine's.  A disk on which every call fails
 * from the n-th change on keeps the store from committing, so the rows are
 * those of the last commit before the cut.
 */
#include "store_here.h"

#include "model/disk.h"

enum { STREAMS = 24, CHECKPOINT_EVERY = 6 };

static struct store *open_on(struct disk *d, const char *dir, struct err *err)
{
	struct store_config cfg = STORE_CONFIG_DEFAULT;

	cfg.sys = disk_sys(d);
	cfg.dir = dir;
	cfg.payload_dir = "payload";
	cfg.payload_max = STORE_PAYLOAD_LEAST;
	cfg.commit_ns = 0;
	return store_open(&cfg, err);
}

/* Bytes a direction of stream n: short ones, long ones. */
static size_t length_of(uint64_t n)
{
	return n % 5 == 0 ? 70000 : 300 + (size_t)n * 37;
}

static void give_stream(struct store_shard *sh, uint64_t n)
{
	struct store_row row = row_of(n);
	struct store_stream *st = store_begin(sh, &row);

	for (size_t at = 0; at < length_of(n); at += 1000)
		for (int way = 0; way < 2; way++)
			say(st, &row, n, way,
			    length_of(n) - at < 1000 ? length_of(n) - at
						     : 1000);
	finish(st, &row);
}

/* The same every time; stream 1000 is open all along. */
static uint64_t analyse(struct store *s)
{
	struct store_position p = { .given = 0 };
	struct store_row row = row_of(1000);
	struct store_stream *st;
	uint64_t acknowledged = 0;

	row.flow.first_index = 0;
	memcpy(p.origin, here_origin, STORE_ORIGIN);
	st = store_begin(store_shard(s, 0), &row);
	for (uint64_t n = 0; n < STREAMS; n++) {
		struct err err = ERR_NONE;

		say(st, &row, 1000, 0, 500);
		give_stream(store_shard(s, 0), n);
		p.given = (n + 1) * 10;
		if ((n + 1) % CHECKPOINT_EVERY == 0 &&
		    store_checkpoint(s, &p, &err) == 0)
			acknowledged = n + 1;
	}
	finish(st, &row);
	return acknowledged;
}

static void check_all(struct store *s, uint64_t n_streams)
{
	struct store_view *v = store_view_of(s);

	for (uint64_t n = 0; n < n_streams; n++)
		for (int way = 0; way < 2; way++)
			CHECK_EQ(look(v, n, way).bytes, length_of(n));
	if (n_streams)
		CHECK(look(v, 1000, 0).bytes >= 500 * n_streams);
	store_view_close(v);
}

/* Cut behind change `after`, look, go on from the position, look again. */
static uint64_t cut(uint64_t after, enum disk_fate fate)
{
	const char *dir = t_path("rows-%d-%d", (int)after, (int)fate);
	struct disk *d = disk_new(1), *left;
	struct err err = ERR_NONE;
	struct store_counters c;
	uint64_t acknowledged;
	struct store *s;

	s = open_on(d, dir, &err);
	CHECK(s != NULL);
	disk_fail(d, (struct disk_fault){ .calls = DISK_CHANGE, .nth = after,
					  .error = 5, .sticky = true });
	acknowledged = analyse(s);
	store_close(s);
	left = disk_crash(d, disk_ops(d), fate, after);
	disk_free(d);

	s = open_on(left, dir, &err);
	if (!s)
		fail_msg("cut %d: %s", (int)after, err.text);
	check_all(s, acknowledged);
	CHECK_EQ(analyse(s), STREAMS);
	check_all(s, STREAMS);
	store_counters(s, &c);
	CHECK_EQ(c.differing_bytes, 0);
	CHECK_EQ(c.dropped_bytes, 0);
	CHECK_EQ(c.streams, STREAMS + 1);
	store_close(s);
	disk_free(left);
	return acknowledged;
}

TEST(X07_a_cut_at_any_change_leaves_the_last_checkpoint_and_it_goes_on)
{
	uint64_t before = 0, between = 0;

	for (uint64_t after = 1; after < 40; after += 4) {
		uint64_t n = cut(after, DISK_LOSE_ALL);

		before += n == 0;
		between += n > 0 && n < STREAMS;
		cut(after + 2, DISK_BY_CHANCE);
	}
	CHECK(before > 0); /* the cuts were where they matter */
	CHECK(between > 0);
}
