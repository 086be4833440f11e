/* SPDX-License-Identifier: Apache-2.0 */
#include "store_here.h"

#include <pthread.h>
#include <sqlite3.h>
#include <time.h>

#include "base/mem.h"

static struct store_config config(void)
{
	struct store_config cfg = STORE_CONFIG_DEFAULT;

	cfg.dir = t_path("store");
	cfg.commit_ns = 0;
	return cfg;
}

static struct store *open_here(const struct store_config *cfg)
{
	struct err err = ERR_NONE;
	struct store *s = store_open(cfg, &err);

	if (!s)
		fail_msg("%s", err.text);
	return s;
}

static void checkpoint(struct store *s, uint64_t at)
{
	struct store_position p = { .resume = at, .given = at };
	struct err err = ERR_NONE;

	memcpy(p.origin, here_origin, STORE_ORIGIN);
	CHECK_OK(store_checkpoint(s, &p, &err), &err);
}

static struct store_row get(struct store_view *v, uint64_t n)
{
	struct store_row row;
	struct err err = ERR_NONE;

	CHECK_OK(store_view_row(v, id_of(n), &row, &err), &err);
	return row;
}

/* A whole stream of `len` bytes each way, in packets of 1000. */
static void whole_stream(struct store_shard *sh, uint64_t n, size_t len)
{
	struct store_row row = row_of(n);
	struct store_stream *st = store_begin(sh, &row);

	CHECK(st != NULL);
	for (size_t at = 0; at < len; at += 1000)
		for (int way = 0; way < 2; way++)
			say(st, &row, n, way,
			    len - at < 1000 ? len - at : 1000);
	finish(st, &row);
}

TEST(X07_rows_and_payload_are_the_same_after_reopening)
{
	struct store_config cfg = config();
	struct store *s = open_here(&cfg);
	struct store_view *v;
	struct store_row row;

	whole_stream(store_shard(s, 0), 1, 10);
	whole_stream(store_shard(s, 0), 2, 5000);
	whole_stream(store_shard(s, 0), 3, 700000);
	store_close(s);
	s = open_here(&cfg);
	v = store_view_of(s);
	CHECK_EQ(look(v, 1, 0).bytes, 10);
	CHECK_EQ(look(v, 2, 1).bytes, 5000);
	CHECK_EQ(look(v, 3, 0).bytes, 700000);
	row = get(v, 3);
	CHECK_EQ(row.id, id_of(3));
	CHECK_EQ(row.flow.way[1].packets, 700);
	CHECK_EQ(row.flow.first_index, 30);
	CHECK_EQ(row.flow.ended, FLOW_END_FIN);
	CHECK_EQ(row.flow.end[0].address.version, 4);
	CHECK_EQ(row.flow.end[0].address.b[15], 1);
	CHECK_EQ(row.flow.end[1].address.version, 6);
	CHECK_EQ(row.flow.end[1].address.b[0], 0x20);
	CHECK_EQ(row.flow.end[1].port, 80);
	CHECK_STR(row.service, "http");
	CHECK_EQ(row.kept[0], 700000);
	CHECK_EQ(row.end[1], 700000);
	store_view_close(v);
	store_close(s);
}

TEST(a_stream_can_be_read_at_once_from_memory_and_file)
{
	struct store_config cfg = config();
	struct store *s = open_here(&cfg);
	struct store_view *v = store_view_of(s);
	struct store_row row = row_of(1);
	struct store_stream *st = store_begin(store_shard(s, 0), &row);

	for (int i = 1; i <= 50; i++) {
		say(st, &row, 1, i % 2, 777);
		store_update(st, &row);
		CHECK_EQ(look(v, 1, i % 2).bytes,
			 (uint64_t)(i + 1) / 2 * 777);
		CHECK_EQ(get(v, 1).flow.way[1].packets, (i + 1) / 2);
		if (i % 7 == 0)
			checkpoint(s, 0);
	}
	finish(st, &row);
	CHECK_EQ(look(v, 1, 1).bytes, 25 * 777);
	store_view_close(v);
	store_close(s);
}

TEST(gaps_are_shown_where_they_are)
{
	struct store_config cfg = config();
	struct store *s = open_here(&cfg);
	struct store_view *v = store_view_of(s);
	struct store_row row = row_of(1);
	struct store_stream *st = store_begin(store_shard(s, 0), &row);

	for (int round = 0; round < 3; round++) {
		say(st, &row, 1, 0, 100);
		store_gap(st, 0, row.flow.way[0].offset, 50, FLOW_GAP_LOST, 9);
		row.flow.way[0].offset += 50;
		if (round == 1)
			checkpoint(s, 0);
	}
	for (int again = 0; again < 2; again++) {
		struct seen seen = look(v, 1, 0);
		struct seen part = { .n = 1, .next = 120 };
		struct err err = ERR_NONE;

		CHECK_EQ(seen.bytes, 300);
		CHECK_EQ(seen.holes, 3);
		CHECK_EQ(seen.hole_bytes, 150);
		CHECK_EQ(seen.why, FLOW_GAP_LOST);
		CHECK_OK(store_view_read(v, id_of(1), 0, 120, 60, on_piece,
					 &part, &err),
			 &err);
		CHECK_EQ(part.wrong, 0);
		CHECK_EQ(part.hole_bytes, 30);
		CHECK_EQ(part.bytes, 30);
		if (!again)
			finish(st, &row);
	}
	store_view_close(v);
	store_close(s);
}

static int add_turn(void *arg, const struct store_turn *turn)
{
	struct buf *b = arg;

	put_format(b, "%d:%d+%d@%d ", turn->way, (int)turn->offset,
		   (int)turn->len, (int)turn->packet);
	return 0;
}

TEST(turns_tell_who_said_how_much_in_order)
{
	struct store_config cfg = config();
	struct store *s = open_here(&cfg);
	struct store_view *v = store_view_of(s);
	struct store_row row = row_of(1);
	struct store_stream *st = store_begin(store_shard(s, 0), &row);
	struct err err = ERR_NONE;
	struct buf b = { 0 };

	say(st, &row, 1, 0, 5);
	say(st, &row, 1, 1, 7);
	checkpoint(s, 0);
	say(st, &row, 1, 0, 3);
	CHECK_OK(store_view_turns(v, id_of(1), add_turn, &b, &err), &err);
	put_u8(&b, 0);
	CHECK_STR((char *)b.p, "0:0+5@11 1:0+7@12 0:5+3@13 ");
	buf_release(&b);
	finish(st, &row);
	store_view_close(v);
	store_close(s);
}

/* -- found in it ------------------------------------------------------------- */

static int add_message(void *arg, const struct store_message *m)
{
	struct buf *b = arg;

	put_format(b, "%.*s %d-%d;", (int)m->summary.len,
		   (const char *)m->summary.p, (int)m->start, (int)m->end);
	return 0;
}

static int add_match(void *arg, const struct store_match *m)
{
	struct buf *b = arg;

	put_format(b, "%.*s %d-%d;", (int)m->pattern.len,
		   (const char *)m->pattern.p, (int)m->start, (int)m->end);
	return 0;
}

static int add_tag(void *arg, const char *tag)
{
	put_format(arg, "#%s;", tag);
	return 0;
}

static void find_things(struct store_stream *st)
{
	struct store_message m = { .end = 40,
				   .summary = bytes_of_text("GET /") };
	struct store_match match = { .start = 3, .end = 9,
				     .pattern = bytes_of_text("regex:0") };

	store_message(st, &m);
	m.ordinal = 1;
	m.start = 40;
	m.end = 90;
	m.time_ns = 1;
	store_message(st, &m);
	store_match(st, &match);
	store_tag(st, "flag");
}

TEST(X07_messages_matches_tags_pins_and_comments_outlive_the_process)
{
	struct store_config cfg = config();
	struct store *s = open_here(&cfg);
	struct store_row row = row_of(1);
	struct store_stream *st = store_begin(store_shard(s, 0), &row);
	char comment[STORE_TEXT_MAX];
	struct err err = ERR_NONE;
	struct buf b = { 0 };
	struct store_view *v;

	find_things(st);
	CHECK_OK(store_pin(s, id_of(1), true, &err), &err);
	CHECK_OK(store_comment(s, id_of(1), "look here", &err), &err);
	CHECK_EQ(store_pin(s, id_of(99), true, &err), ERR_GONE);
	err = ERR_NONE;
	store_close(s);

	/* The same again: nothing is there twice, nothing is forgotten. */
	s = open_here(&cfg);
	st = store_begin(store_shard(s, 0), &row);
	find_things(st);
	finish(st, &row);
	store_close(s);

	v = store_view_open(NULL, cfg.dir, NULL, &err);
	CHECK(v != NULL);
	CHECK_OK(store_view_messages(v, id_of(1), add_message, &b, &err), &err);
	CHECK_OK(store_view_matches(v, id_of(1), add_match, &b, &err), &err);
	CHECK_OK(store_view_tags(v, id_of(1), add_tag, &b, &err), &err);
	CHECK_OK(store_view_comment(v, id_of(1), comment, &err), &err);
	put_u8(&b, 0);
	CHECK_STR((char *)b.p, "GET / 0-40;GET / 40-90;regex:0 3-9;#flag;");
	CHECK_STR(comment, "look here");
	CHECK_EQ(get(v, 1).pinned, 1);
	buf_release(&b);
	store_view_close(v);
}

/* -- listing ------------------------------------------------------------------ */

struct listed {
	uint64_t n, last_ns, wrong;
};

static int on_row(void *arg, const struct store_row *row)
{
	struct listed *l = arg;

	l->wrong += l->n && row->flow.first_ns >= l->last_ns;
	l->last_ns = row->flow.first_ns;
	l->n++;
	return 0;
}

TEST(rows_come_newest_first_over_many_pages)
{
	struct store_config cfg = config();
	struct store *s = open_here(&cfg);
	struct store_view *v = store_view_of(s);
	struct store_filter all = { 0 }, few = { .limit = 3 };
	struct store_filter none = { .service = "dns" };
	struct listed l = { 0 }, f = { 0 }, d = { 0 };
	struct err err = ERR_NONE;

	for (uint64_t n = 0; n < 1000; n++)
		whole_stream(store_shard(s, 0), n * 7 % 1000, 20);
	CHECK_OK(store_view_rows(v, &all, on_row, &l, &err), &err);
	CHECK_EQ(l.n, 1000);
	CHECK_EQ(l.wrong, 0);
	CHECK_OK(store_view_rows(v, &few, on_row, &f, &err), &err);
	CHECK_EQ(f.n, 3);
	CHECK_OK(store_view_rows(v, &none, on_row, &d, &err), &err);
	CHECK_EQ(d.n, 0);
	store_view_close(v);
	store_close(s);
}

TEST(a_store_is_written_by_one_process_and_read_by_others)
{
	struct store_config cfg = config();
	struct store *s = open_here(&cfg), *other;
	struct err err = ERR_NONE;
	struct store_view *v;
	struct store_row row;

	other = store_open(&cfg, &err);
	CHECK(other == NULL);
	CHECK_EQ(err.code, ERR_BUSY);
	err = ERR_NONE;
	whole_stream(store_shard(s, 0), 1, 3000);
	v = store_view_open(NULL, cfg.dir, NULL, &err);
	CHECK(v != NULL);
	CHECK_EQ(store_view_row(v, id_of(1), &row, &err), ERR_GONE);
	err = ERR_NONE;
	checkpoint(s, 1);
	CHECK_EQ(get(v, 1).kept[0], 3000);
	CHECK_EQ(look(v, 1, 1).bytes, 3000);
	store_view_close(v);
	store_close(s);
}

/* -- caps ----------------------------------------------------------------------- */

enum { CAP = 4 << 20 };

struct shard_run {
	struct store *s;
	int n;
};

static void *many_streams(void *arg)
{
	struct shard_run *run = arg;

	for (uint64_t n = 0; n < 60; n++)
		whole_stream(store_shard(run->s, run->n),
			     n * 8 + (uint64_t)run->n, 40000);
	return NULL;
}

TEST(R17_caps_hold_for_the_whole_process_with_eight_workers)
{
	struct store_config cfg = config();
	struct shard_run runs[8];
	pthread_t threads[8];
	struct store_counters c;
	struct store_view *v;
	struct store *s;
	uint64_t whole = 0, evicted = 0;

	cfg.shards = 8;
	cfg.payload_max = CAP;
	cfg.memory_max = 256 << 10;
	s = open_here(&cfg);
	for (int i = 0; i < 8; i++) {
		runs[i] = (struct shard_run){ s, i };
		CHECK_EQ(pthread_create(&threads[i], NULL, many_streams,
					&runs[i]),
			 0);
	}
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	checkpoint(s, 0);
	store_counters(s, &c);
	CHECK(c.payload_bytes <= CAP);
	CHECK(c.waiting_peak <= cfg.memory_max + 8 * (1000 + 32));
	CHECK(c.evicted_streams > 0);
	CHECK_EQ(c.dropped_bytes, 0);
	v = store_view_of(s);
	for (uint64_t n = 0; n < 480; n++) {
		struct store_row row = get(v, n);
		struct seen seen = look(v, n, 0);

		/* All of it or nothing, and the numbers stay. */
		CHECK_EQ(row.end[0], 40000);
		whole += seen.bytes == 40000;
		evicted += seen.bytes == 0 && seen.hole_bytes == 40000 &&
			   seen.why == STORE_HOLE_EVICTED && row.evicted;
	}
	CHECK_EQ(whole + evicted, 480);
	CHECK_EQ(evicted, c.evicted_streams);
	CHECK(whole > 20);
	store_view_close(v);
	store_close(s);
}

TEST(R18_content_under_the_cap_is_readable_however_long_it_was_quiet)
{
	struct store_config cfg = config();
	struct store *s;
	struct store_view *v;

	cfg.payload_max = 16 << 20;
	s = open_here(&cfg);
	v = store_view_of(s);
	for (uint64_t n = 0; n < 100; n++) {
		whole_stream(store_shard(s, 0), n, 30000);
		if (n % 10 == 0)
			checkpoint(s, n);
	}
	for (uint64_t n = 0; n < 100; n++)
		CHECK_EQ(look(v, n, 1).bytes, 30000);
	store_view_close(v);
	store_close(s);
}

TEST(the_oldest_go_first_and_pinned_or_open_streams_stay)
{
	struct store_config cfg = config();
	struct store_row row = row_of(5000);
	struct err err = ERR_NONE;
	struct store_counters c;
	struct store_stream *st;
	struct store_view *v;
	struct store *s;

	cfg.payload_max = CAP;
	s = open_here(&cfg);
	v = store_view_of(s);
	st = store_begin(store_shard(s, 0), &row);
	say(st, &row, 5000, 0, 3000);
	whole_stream(store_shard(s, 0), 0, 50000);
	CHECK_OK(store_pin(s, id_of(0), true, &err), &err);
	for (uint64_t n = 1; n < 200; n++)
		whole_stream(store_shard(s, 0), n, 50000);
	say(st, &row, 5000, 0, 2000);
	checkpoint(s, 0);
	CHECK_EQ(look(v, 0, 0).bytes, 50000);
	CHECK_EQ(look(v, 0, 1).bytes, 50000);
	CHECK_EQ(look(v, 5000, 0).bytes, 5000);
	CHECK_EQ(look(v, 1, 0).why, STORE_HOLE_EVICTED);
	CHECK_EQ(look(v, 199, 0).bytes, 50000);
	store_counters(s, &c);
	CHECK(c.payload_bytes <= CAP);
	CHECK_EQ(c.dropped_bytes, 0);
	finish(st, &row);
	store_view_close(v);
	store_close(s);
	v = store_view_open(NULL, cfg.dir, NULL, &err);
	CHECK_EQ(look(v, 0, 0).bytes, 50000);
	CHECK_EQ(look(v, 5000, 0).bytes, 5000);
	store_view_close(v);
}

TEST(what_does_not_fit_beside_pinned_streams_is_dropped_and_counted)
{
	struct store_config cfg = config();
	struct err err = ERR_NONE;
	struct store_counters c;
	struct store_view *v;
	uint64_t kept = 0;
	struct store *s;

	cfg.payload_max = STORE_PAYLOAD_LEAST;
	s = open_here(&cfg);
	v = store_view_of(s);
	for (uint64_t n = 0; n < 50; n++) {
		whole_stream(store_shard(s, 0), n, 60000);
		CHECK_OK(store_pin(s, id_of(n), true, &err), &err);
		store_counters(s, &c);
		CHECK(c.payload_bytes <= STORE_PAYLOAD_LEAST);
	}
	for (uint64_t n = 0; n < 50; n++) {
		kept += look(v, n, 0).bytes + look(v, n, 1).bytes;
		CHECK_EQ(look(v, n, 0).next, 60000);
	}
	CHECK(c.dropped_bytes > 0);
	CHECK(kept > STORE_PAYLOAD_LEAST / 2);
	CHECK_EQ(kept + c.dropped_bytes + c.evicted_bytes, 50 * 120000);
	store_view_close(v);
	store_close(s);
}

TEST(R17_a_stream_keeps_its_first_bytes_up_to_its_cap)
{
	struct store_config cfg = config();
	struct store_counters c;
	struct store_view *v;
	struct store *s;

	cfg.stream_max = 5500;
	s = open_here(&cfg);
	v = store_view_of(s);
	whole_stream(store_shard(s, 0), 1, 5000);
	CHECK_EQ(look(v, 1, 0).bytes + look(v, 1, 1).bytes, 5500);
	CHECK_EQ(look(v, 1, 0).hole_bytes + look(v, 1, 1).hole_bytes, 4500);
	CHECK_EQ(look(v, 1, 0).why, STORE_HOLE_CAP);
	CHECK_EQ(get(v, 1).dropped_bytes, 4500);
	store_counters(s, &c);
	CHECK_EQ(c.dropped_bytes, 4500);
	store_view_close(v);
	store_close(s);
}

TEST(rows_over_their_bound_go_oldest_first_with_all_that_hangs_on_them)
{
	struct store_config cfg = config();
	struct err err = ERR_NONE;
	struct store_counters c;
	struct store_view *v;
	struct store_row row;
	struct store *s;

	cfg.streams_max = 100;
	s = open_here(&cfg);
	v = store_view_of(s);
	for (uint64_t n = 0; n < 150; n++) {
		whole_stream(store_shard(s, 0), n, 20);
		if (n == 3)
			CHECK_OK(store_pin(s, id_of(3), true, &err), &err);
	}
	checkpoint(s, 0);
	store_counters(s, &c);
	CHECK_EQ(c.streams, 100);
	CHECK_EQ(c.removed_streams, 50);
	CHECK_EQ(store_view_row(v, id_of(2), &row, &err), ERR_GONE);
	CHECK_EQ(get(v, 3).pinned, 1);
	CHECK_EQ(get(v, 149).kept[0], 20);
	store_view_close(v);
	store_close(s);
}

static int count_tag(void *arg, const char *tag)
{
	(void)tag;
	++*(uint64_t *)arg;
	return 0;
}

TEST(X22_a_hundred_thousand_tags_on_one_stream_are_bounded)
{
	struct store_config cfg = config();
	struct store *s = open_here(&cfg);
	struct store_view *v = store_view_of(s);
	struct store_row row = row_of(1);
	struct store_stream *st = store_begin(store_shard(s, 0), &row);
	struct err err = ERR_NONE;
	struct store_counters c;
	uint64_t n = 0;
	char tag[32];

	for (int i = 0; i < 100000; i++) {
		snprintf(tag, sizeof(tag), "tag %d", i);
		store_tag(st, tag);
	}
	store_tag(st, "tag 0"); /* one that is there is not dropped */
	checkpoint(s, 0);
	CHECK_OK(store_view_tags(v, id_of(1), count_tag, &n, &err), &err);
	CHECK_EQ(n, STORE_TAGS_MAX);
	store_counters(s, &c);
	CHECK(c.dropped_tags >= 100000 - STORE_TAGS_MAX);
	CHECK(c.dropped_tags <= 100001 - STORE_TAGS_MAX);
	finish(st, &row);
	store_view_close(v);
	store_close(s);
}

TEST(X21_a_pin_can_be_set_by_another_process_than_the_writer)
{
	struct store_config cfg = config();
	struct err err = ERR_NONE;
	struct store_view *v;
	struct store *s;

	cfg.payload_max = CAP;
	cfg.commit_ns = 10000000;
	s = open_here(&cfg);
	v = store_view_of(s);
	whole_stream(store_shard(s, 0), 0, 50000);
	checkpoint(s, 0);
	CHECK_OK(store_outside_pin(cfg.dir, id_of(0), true, &err), &err);
	CHECK_EQ(store_outside_pin(cfg.dir, id_of(77), true, &err), ERR_GONE);
	err = ERR_NONE;
	for (uint64_t n = 1; n < 100; n++)
		whole_stream(store_shard(s, 0), n, 50000);
	checkpoint(s, 0);
	CHECK_EQ(look(v, 0, 0).bytes, 50000);
	CHECK_EQ(look(v, 1, 0).why, STORE_HOLE_EVICTED);
	store_view_close(v);
	store_close(s);
}

TEST(X21_streams_go_by_age_each_service_by_its_own)
{
	static const struct store_keep keep[] = {
		{ "", UINT64_C(1000000000) },
		{ "dns", UINT64_C(10000000) },
	};
	struct store_config cfg = config();
	struct err err = ERR_NONE;
	struct store_view *v;
	struct store *s;

	cfg.keep = keep;
	cfg.n_keep = 2;
	s = open_here(&cfg);
	v = store_view_of(s);
	for (uint64_t n = 0; n < 6; n++) {
		struct store_row row = row_of(n);
		struct store_stream *st;

		strcpy(row.service, n % 2 ? "dns" : "http");
		/* 0 and 1 are two seconds old, 2 and 3 half a second. */
		row.flow.first_ns = row.flow.last_ns =
			UINT64_C(5000000000) -
			(n < 2 ? UINT64_C(2000000000)
			       : n < 4 ? UINT64_C(500000000) : 0);
		st = store_begin(store_shard(s, 0), &row);
		say(st, &row, n, 0, 10);
		finish(st, &row);
	}
	CHECK_OK(store_pin(s, id_of(1), true, &err), &err);
	checkpoint(s, 0);
	for (uint64_t n = 0; n < 6; n++) {
		struct store_row row;
		bool there = store_view_row(v, id_of(n), &row, &err) == 0;

		err = ERR_NONE;
		CHECK_EQ(there, n == 1 || n == 2 || n >= 4);
	}
	store_view_close(v);
	store_close(s);
}

TEST(a_store_without_its_segments_is_read_as_holes)
{
	struct store_config cfg = config();
	struct err err = ERR_NONE;
	struct store *s = open_here(&cfg);
	struct store_view *v;
	struct seen seen;
	char path[512];

	whole_stream(store_shard(s, 0), 0, 300000);
	store_close(s);
	snprintf(path, sizeof(path), "%s/payload/00000000.seg", cfg.dir);
	CHECK_EQ(remove(path), 0);
	v = store_view_open(NULL, cfg.dir, NULL, &err);
	seen = look(v, 0, 0);
	CHECK_EQ(seen.bytes, 0);
	CHECK_EQ(seen.hole_bytes, 300000);
	CHECK_EQ(seen.why, STORE_HOLE_DAMAGED);
	store_view_close(v);
}

/* -- met again --------------------------------------------------------------------- */

TEST(R19_offsets_go_on_after_eviction_and_a_restart)
{
	struct store_config cfg = config();
	struct store_row row = row_of(1), begun = row;
	struct store_stream *st;
	struct store_view *v;
	struct seen seen;
	struct store *s;

	cfg.payload_max = STORE_PAYLOAD_LEAST;
	s = open_here(&cfg);
	st = store_begin(store_shard(s, 0), &row);
	say(st, &row, 1, 0, 4000);
	store_update(st, &row);
	store_close(s);

	/* Nobody holds it now: it makes room for others. */
	s = open_here(&cfg);
	v = store_view_of(s);
	for (uint64_t n = 10; n < 60; n++)
		whole_stream(store_shard(s, 0), n, 60000);
	checkpoint(s, 0);
	CHECK_EQ(look(v, 1, 0).why, STORE_HOLE_EVICTED);
	st = store_begin(store_shard(s, 0), &begun);
	CHECK(st != NULL);
	say(st, &begun, 1, 0, 4000);
	say(st, &begun, 1, 0, 500);
	finish(st, &begun);
	seen = look(v, 1, 0);
	CHECK_EQ(seen.next, 4500);
	CHECK_EQ(get(v, 1).end[0], 4500);
	store_view_close(v);
	store_close(s);
}

TEST(what_is_given_again_is_compared_and_skipped)
{
	struct store_config cfg = config();
	struct store_row row = row_of(1), again = row;
	struct store *s = open_here(&cfg);
	struct store_stream *st = store_begin(store_shard(s, 0), &row);
	uint8_t other[300] = { 0 };
	struct store_counters c;
	struct store_view *v;

	for (int i = 0; i < 10; i++)
		say(st, &row, 1, 0, 300);
	store_update(st, &row);
	store_close(s);
	s = open_here(&cfg);
	v = store_view_of(s);
	st = store_begin(store_shard(s, 0), &again);
	for (int i = 0; i < 6; i++) /* other borders than before */
		say(st, &again, 1, 0, 490);
	store_update(st, &again);
	CHECK_EQ(get(v, 1).flow.way[0].packets, 10);
	say(st, &again, 1, 0, 1000);
	CHECK_EQ(look(v, 1, 0).bytes, 3940);
	store_append(st, 0, 300, bytes_of(other, sizeof(other)), 1, 1);
	finish(st, &again);
	CHECK_EQ(look(v, 1, 0).bytes, 3940);
	store_counters(s, &c);
	CHECK_EQ(c.skipped_bytes, 3300);
	CHECK_EQ(c.differing_bytes, 300);
	store_view_close(v);
	store_close(s);
}

TEST(a_tail_behind_the_position_is_not_taken_for_a_stream)
{
	struct store_config cfg = config();
	struct store_row row = row_of(5), tail = row_of(5);
	struct store_position p = { 0 };
	struct store *s = open_here(&cfg);

	whole_stream(store_shard(s, 0), 5, 100);
	checkpoint(s, 60);
	store_close(s);
	s = open_here(&cfg);
	memcpy(p.origin, here_origin, STORE_ORIGIN);
	store_position(s, &p);
	CHECK_EQ(p.resume, 60);
	CHECK_EQ(p.given, 60);
	tail.id++;
	tail.flow.first_index = 55;
	CHECK(store_begin(store_shard(s, 0), &tail) == NULL);
	store_append(NULL, 0, 0, bytes_of("x", 1), 0, 0);
	store_end(NULL, &row);
	tail.flow.first_index = 60;
	CHECK(store_begin(store_shard(s, 0), &tail) != NULL);
	store_close(s);
}

/* -- large --------------------------------------------------------------------------- */

TEST(a_stream_of_100_MB_comes_back_in_order)
{
	enum { PACKET = 50000, PACKETS = 2000 };
	struct store_config cfg = config();
	struct store *s = open_here(&cfg);
	struct store_row row = row_of(1);
	struct store_stream *st = store_begin(store_shard(s, 0), &row);
	struct store_counters c;
	struct store_view *v;

	for (int i = 0; i < PACKETS; i++)
		say(st, &row, 1, 0, PACKET);
	v = store_view_of(s);
	CHECK_EQ(look(v, 1, 0).bytes, (uint64_t)PACKET * PACKETS);
	finish(st, &row);
	checkpoint(s, 0);
	CHECK_EQ(look(v, 1, 0).bytes, (uint64_t)PACKET * PACKETS);
	store_counters(s, &c);
	CHECK(c.waiting_peak <= cfg.memory_max + PACKET + 32);
	CHECK(c.payload_bytes < (uint64_t)PACKET * PACKETS * 101 / 100 + 1000000);
	store_view_close(v);
	store_close(s);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

TEST(many_rows_and_how_fast_they_go_in)
{
	const char *wanted = getenv("WEIR_STORE_ROWS");
	uint64_t rows = wanted ? strtoull(wanted, NULL, 10) : 50000;
	struct store_config cfg = config();
	struct store *s = open_here(&cfg);
	struct store_counters c;
	double begun = seconds(), took;

	for (uint64_t n = 0; n < rows; n++)
		whole_stream(store_shard(s, 0), n, 40);
	checkpoint(s, 0);
	took = seconds() - begun;
	store_counters(s, &c);
	CHECK_EQ(c.streams, rows);
	printf("# %llu streams of 80 bytes in %.2f s: %.0f a second, "
	       "%.0f bytes of payload files each\n",
	       (unsigned long long)rows, took, (double)rows / took,
	       (double)c.payload_bytes / (double)rows);
	store_close(s);
}

/* -- SQL-able ---------------------------------------------------------------------------- */

TEST(the_columns_can_be_asked_in_SQL)
{
	struct store_config cfg = config();
	struct store *s = open_here(&cfg);
	sqlite3_stmt *st;
	sqlite3 *db;

	whole_stream(store_shard(s, 0), 1, 1500);
	store_close(s);
	CHECK_EQ(sqlite3_open(t_path("store/store.db"), &db), SQLITE_OK);
	CHECK_EQ(sqlite3_prepare_v2(
			 db,
			 "SELECT address_a||':'||port_a||' '||address_b||' '||"
			 "packets_a||' '||kept_b||' '||end_b||' '||protocol||"
			 "' '||ended||' '||first_ns||' '||service FROM streams",
			 -1, &st, NULL),
		 SQLITE_OK);
	CHECK_EQ(sqlite3_step(st), SQLITE_ROW);
	CHECK_STR((const char *)sqlite3_column_text(st, 0),
		  "10.0.0.1:40000 2001:db8::7 2 1500 1500 6 1 1001000 http");
	sqlite3_finalize(st);
	sqlite3_close(db);
}
