/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Searching a store: terms over every border, their order, what is missing,
 * and how a search ends.
 */
#include "store_here.h"

#include <stdatomic.h>
#include <time.h>

#include "base/mem.h"
#include "engine/query/search.h"

#define NOW UINT64_C(1795608000000000000)

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

static void commit(struct store *s)
{
	struct err err = ERR_NONE;

	CHECK_OK(store_checkpoint(s, NULL, &err), &err);
}

/* -- streams of our own words --------------------------------------------------- */

struct talk {
	struct store_stream *st;
	struct store_row row;
};

static struct talk begin(struct store *s, uint64_t n)
{
	struct talk t = { .row = row_of(n) };

	t.st = store_begin(store_shard(s, 0), &t.row);
	CHECK(t.st != NULL);
	return t;
}

static void bytes_say(struct talk *t, int way, struct bytes data)
{
	struct flow_way *w = &t->row.flow.way[way];

	count_packet(&t->row, way, data.len);
	w->delivered += data.len;
	store_append(t->st, way, w->offset - data.len, data,
		     t->row.flow.last_ns, t->row.flow.way[0].packets +
						  t->row.flow.way[1].packets);
	store_update(t->st, &t->row);
}

static void text_say(struct talk *t, int way, const char *text)
{
	bytes_say(t, way, bytes_of_text(text));
}

/* "<" begins what the server says, ">" the client; "|" ends a packet. */
static void whole_talk(struct store *s, uint64_t n, const char *script)
{
	struct talk t = begin(s, n);
	char *copy = mem_text(script), *rest = copy, *part;
	int way = 0;

	while ((part = strsep(&rest, "|"))) {
		if (*part == '<' || *part == '>')
			way = *part++ == '<';
		text_say(&t, way, part);
	}
	finish(t.st, &t.row);
	free(copy);
}

/* -- searching ---------------------------------------------------------------------- */

struct found {
	uint64_t id[64];
	size_t n;
	struct search_match first;
	uint64_t matches;
	struct search_state state;
	int (*progress)(void *self, const struct search_state *state);
	uint64_t stop_after;
};

static int on_hit(void *self, const struct search_hit *hit)
{
	struct found *f = self;

	if (f->n < 64)
		f->id[f->n] = hit->id;
	if (!f->n && hit->n_matches)
		f->first = hit->matches[0];
	f->n++;
	f->matches += hit->matches_total;
	return f->stop_after && f->n == f->stop_after;
}

static void search(struct found *f, const char *text, uint32_t matches_max)
{
	struct err err = ERR_NONE;
	struct query *q = query_parse(text, NOW, NULL, &err);
	const struct search_config cfg = { .dir = t_path("store"),
					   .matches_max = matches_max };
	const struct search_sink sink = { f, on_hit, f->progress };

	if (!q)
		fail_msg("%s", err.text);
	CHECK_OK(search_run(q, &cfg, &sink, &f->state, &err), &err);
	query_free(q);
}

/* Which streams, by number, newest first: "3 1". */
static const char *numbers(const char *text)
{
	static char out[256];
	struct found f = { 0 };
	size_t len = 0;

	search(&f, text, 0);
	CHECK_EQ(f.state.end, SEARCH_DONE);
	CHECK_EQ(f.state.hits, f.n);
	out[0] = '\0';
	for (size_t i = 0; i < f.n; i++) {
		uint64_t n = 0;

		while (id_of(n) != f.id[i])
			n++;
		len += (size_t)snprintf(out + len, sizeof(out) - len,
					"%s%u", i ? " " : "", (unsigned)n);
	}
	return out;
}

#define CHECK_FOUND(text, want) CHECK_STR(numbers(text), want)

TEST(X08_terms_look_at_the_side_they_are_asked_for)
{
	struct store_config cfg = config();
	struct store *s = open_here(&cfg);

	whole_talk(s, 1, ">GET /|<FLAG{a}");
	whole_talk(s, 2, ">FLAG{b}|<ok");
	whole_talk(s, 3, ">GET|<nothing");
	commit(s);
	CHECK_FOUND("", "3 2 1");
	CHECK_FOUND("data:FLAG", "2 1");
	CHECK_FOUND("cdata:FLAG", "2");
	CHECK_FOUND("sdata:FLAG", "1");
	CHECK_FOUND("-data:FLAG", "3");
	CHECK_FOUND("cdata:GET -sdata:/FLAG\\{.\\}/", "3");
	CHECK_FOUND("sdata:/^nothing$/ or cdata:\"FLAG{b}\"", "3 2");
	CHECK_FOUND("-(data:GET or data:FLAG)", "");
	CHECK_FOUND("service:http -data:GET", "2");
	CHECK_FOUND("service:dns or data:GET", "3 1");
	CHECK_FOUND("/get/i", "3 1");
	store_close(s);
}

/* The end that spoke first may be the higher one. */
TEST(X08_the_client_is_the_one_that_called)
{
	struct store_config cfg = config();
	struct store *s = open_here(&cfg);
	struct talk t = begin(s, 1);

	t.row.flow.opener = t.row.caller = 1;
	text_say(&t, 1, "question");
	text_say(&t, 0, "answer");
	finish(t.st, &t.row);
	commit(s);
	CHECK_FOUND("cdata:question sdata:answer cport:80 sport:40000", "1");
	CHECK_FOUND("sdata:question", "");
	CHECK_FOUND("chost:2001:db8::/32 shost:10.0.0.1 cbytes:8", "1");
	store_close(s);
}

TEST(X08_a_match_is_exact_over_every_border_of_packets)
{
	struct store_config cfg = config();
	struct store *s = open_here(&cfg);
	static const char text[] = "xxFLAG{0123}yy";
	struct found f = { 0 };

	for (size_t cut = 1; cut < sizeof(text) - 1; cut++) {
		struct talk t = begin(s, cut);

		bytes_say(&t, 0, bytes_of(text, cut));
		text_say(&t, 1, "-");
		bytes_say(&t, 0, bytes_of(text + cut, sizeof(text) - 1 - cut));
		finish(t.st, &t.row);
	}
	commit(s);
	search(&f, "/FLAG\\{\\d+\\}/", 5);
	CHECK_EQ(f.n, sizeof(text) - 2);
	CHECK_EQ(f.matches, f.n);
	CHECK_EQ(f.first.start, 2);
	CHECK_EQ(f.first.end, 12);
	CHECK(f.first.client);
	store_close(s);
}

/* Runs of 512 bytes and more, then of 256 KiB, in blocks of 512 KiB. */
TEST(X09_a_match_is_exact_over_borders_of_runs_blocks_and_segments)
{
	struct store_config cfg = config();
	struct store *s;
	struct talk t;
	uint8_t *all = mem_alloc(3 << 20);
	static const uint32_t at[] = { 510, 1535, 262142, 524284, 786430,
				       1048575, 2097150 };
	struct found f = { 0 };

	cfg.payload_max = 4 << 20; /* segments of 256 KiB */
	s = open_here(&cfg);
	memset(all, 'a', 3 << 20);
	for (size_t i = 0; i < sizeof(at) / sizeof(*at); i++)
		memcpy(all + at[i], "\0\xff{}\0", 5);
	t = begin(s, 1);
	for (size_t n = 0; n < 3 << 20; n += 4096) {
		bytes_say(&t, 0, bytes_of(all + n, 4096));
		if (n % (64 << 10) == 0)
			commit(s);
	}
	finish(t.st, &t.row);
	commit(s);
	search(&f, "x\"00 ff 7b 7d 00\"", 100);
	CHECK_EQ(f.n, 1);
	CHECK_EQ(f.matches, sizeof(at) / sizeof(*at));
	CHECK_EQ(f.first.start, 510);
	CHECK_EQ(f.state.bytes, 3 << 20);
	CHECK_EQ(f.state.missing, 0);
	store_close(s);
	free(all);
}

TEST(X08_then_demands_an_order_in_a_direction_and_across)
{
	struct store_config cfg = config();
	struct store *s = open_here(&cfg);

	whole_talk(s, 1, ">login|<ok|>DELETE|<done");
	whole_talk(s, 2, ">DELETE|<done|>login|<ok");
	whole_talk(s, 3, ">login DELETE|<ok done");
	commit(s);
	CHECK_FOUND("data:login then data:DELETE", "3 1");
	CHECK_FOUND("data:DELETE then data:login", "2");
	CHECK_FOUND("sdata:ok then cdata:DELETE", "1");
	CHECK_FOUND("cdata:login then sdata:ok then cdata:DELETE then "
		    "sdata:done", "1");
	CHECK_FOUND("-(data:login then data:DELETE)", "2");
	CHECK_FOUND("data:DELETE then (sdata:ok or sdata:nope)", "3 2");
	CHECK_FOUND("data:DELETE then data:login or sdata:ok then cdata:DELETE",
		    "2 1");
	/* Both end where the other begins, not over each other. */
	CHECK_FOUND("data:log then data:in", "3 2 1");
	CHECK_FOUND("data:logi then data:in", "");
	/* The same packet is not later than itself, another side's is. */
	CHECK_FOUND("data:done then data:done", "");
	store_close(s);
}

/* The first end counts, whichever side it is on, whatever comes between. */
TEST(X08_then_takes_the_earliest_of_many)
{
	struct store_config cfg = config();
	struct store *s = open_here(&cfg);

	whole_talk(s, 1, "<a|>b|<a|>a");
	whole_talk(s, 2, ">b|<a");
	whole_talk(s, 3, ">a|<b|>c|<a|>b");
	whole_talk(s, 4, ">c|<b|>a");
	commit(s);
	CHECK_FOUND("data:a then data:b", "3 1");
	CHECK_FOUND("data:a then data:b then data:c", "3");
	CHECK_FOUND("data:a then data:b then data:a", "3 1");
	CHECK_FOUND("data:c then data:b then data:a", "4");
	store_close(s);
}

TEST(X08_a_hole_is_a_border_and_what_is_gone_is_counted)
{
	struct store_config cfg = config();
	struct store *s = open_here(&cfg);
	struct talk t = begin(s, 1);
	struct found f = { 0 };

	text_say(&t, 0, "FL");
	store_gap(t.st, 0, 2, 10, FLOW_GAP_LOST, 1);
	t.row.flow.way[0].offset += 10;
	t.row.flow.way[0].gaps++;
	text_say(&t, 0, "AG and FLAG");
	finish(t.st, &t.row);
	whole_talk(s, 2, ">FL|AG");
	commit(s);
	CHECK_FOUND("data:FLAG", "2 1");
	CHECK_FOUND("data:/FL.*AG and/s", "");
	search(&f, "data:FLAG gaps>0", 9);
	CHECK_EQ(f.n, 1);
	CHECK_EQ(f.first.start, 12 + 7);
	CHECK_EQ(f.state.missing, 0);
	store_close(s);
}

TEST(X08_what_the_store_has_no_more_is_told)
{
	struct store_config cfg = config();
	struct store *s;
	struct found f = { 0 };

	cfg.stream_max = 1000;
	s = open_here(&cfg);
	for (uint64_t n = 1; n < 3; n++) {
		struct talk t = begin(s, n);
		uint8_t room[1500];

		memset(room, 'x', sizeof(room));
		bytes_say(&t, 0, bytes_of(room, sizeof(room)));
		finish(t.st, &t.row);
	}
	commit(s);
	search(&f, "data:x", 1);
	CHECK_EQ(f.n, 2);
	CHECK_EQ(f.state.bytes, 2000);
	CHECK_EQ(f.state.missing, 1000);
	CHECK_FOUND("state:capped", "2 1");
	store_close(s);
}

/* Damage of a run: the rest is searched, the run is missing. */
TEST(X08_a_damaged_run_is_missing_and_the_rest_is_found)
{
	struct store_config cfg = config();
	struct store *s = open_here(&cfg);
	struct found f = { 0 };
	const char *path = t_path("store/payload/00000000.seg");
	struct bytes segment;
	uint8_t *copy, *at;

	whole_talk(s, 1, ">needle one");
	whole_talk(s, 2, ">needle two");
	commit(s);
	store_close(s);
	segment = t_load(path);
	copy = mem_alloc(segment.len);
	memcpy(copy, segment.p, segment.len);
	at = memmem(copy, segment.len, "needle one", 10);
	CHECK(at != NULL);
	at[9] ^= 1;
	t_save(path, bytes_of(copy, segment.len));
	free(copy);
	search(&f, "data:needle", 1);
	CHECK_EQ(f.n, 1);
	CHECK_EQ(f.id[0], id_of(2));
	CHECK_EQ(f.state.missing, 10);
}

TEST(X08_streams_that_grow_are_searched_as_far_as_they_are_committed)
{
	struct store_config cfg = config();
	struct store *s = open_here(&cfg);
	struct talk t = begin(s, 1);

	text_say(&t, 0, "FL");
	commit(s);
	CHECK_FOUND("data:FLAG", "");
	CHECK_FOUND("data:/FL/ state:open", "1");
	text_say(&t, 0, "AG");
	commit(s);
	CHECK_FOUND("data:FLAG", "1");
	store_close(s);
}

TEST(X08_sort_and_limit_of_many)
{
	struct store_config cfg = config();
	struct store *s = open_here(&cfg);
	struct found f = { 0 };

	for (uint64_t n = 1; n < 1000; n++) {
		char text[64];

		snprintf(text, sizeof(text), ">x%.*s", (int)(n * 7 % 31),
			 "0123456789012345678901234567890");
		whole_talk(s, n, text);
	}
	commit(s);
	search(&f, "data:x", 0);
	CHECK_EQ(f.n, 999);
	CHECK_EQ(f.id[0], id_of(999));
	CHECK_EQ(f.id[63], id_of(936));
	CHECK_EQ(f.state.streams_total, 999);
	f = (struct found){ 0 };
	search(&f, "data:x limit:5", 0);
	CHECK_EQ(f.n, 5);
	CHECK_EQ(f.state.end, SEARCH_LIMIT);
	f = (struct found){ 0 };
	search(&f, "data:x sort:bytes limit:3", 0);
	CHECK_EQ(f.id[0], id_of(983)); /* the newest with n * 7 % 31 = 30 */
	CHECK_EQ(f.id[1], id_of(952));
	f = (struct found){ 0 };
	search(&f, "data:x sort:-time", 0);
	CHECK_EQ(f.n, 999);
	CHECK_EQ(f.id[0], id_of(1));
	CHECK_EQ(f.id[63], id_of(64));
	store_close(s);
}

/* -- how it ends --------------------------------------------------------------------- */

static int stop_at_once(void *self, const struct search_state *state)
{
	(void)self;
	(void)state;
	return 1;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

TEST(X09_a_search_that_is_told_to_stop_stops)
{
	struct store_config cfg = config();
	struct store *s = open_here(&cfg);
	struct found f = { .progress = stop_at_once };
	struct talk t = begin(s, 1);
	uint8_t *room = mem_alloc(1 << 20);
	uint64_t from;

	for (int i = 0; i < 64; i++)
		bytes_say(&t, 0, bytes_of(room, 1 << 20));
	finish(t.st, &t.row);
	commit(s);
	from = now_ns();
	search(&f, "data:/(x|y)+z/ -data:FLAG", 0);
	CHECK_EQ(f.state.end, SEARCH_STOPPED);
	CHECK(f.state.bytes < 64 << 20);
	CHECK(now_ns() - from < 1000000000);
	f = (struct found){ .stop_after = 1 };
	search(&f, "", 0);
	CHECK_EQ(f.state.end, SEARCH_STOPPED);
	free(room);
	store_close(s);
}

TEST(X08_the_deepest_query_is_answered)
{
	struct store_config cfg = config();
	struct store *s = open_here(&cfg);
	struct buf b = { 0 };

	whole_talk(s, 1, ">a");
	commit(s);
	for (int i = 0; i < QUERY_DEPTH_MAX / 2; i++)
		put_text(&b, "-(port:80 ");
	put_text(&b, "data:a");
	for (int i = 0; i < QUERY_DEPTH_MAX / 2; i++)
		put_text(&b, ")");
	put_u8(&b, 0);
	CHECK_FOUND((const char *)b.p, "1");
	buf_clear(&b);
	for (int i = 0; i < QUERY_VALUES_MAX; i++)
		put_format(&b, "%s10.0.0.%d/31", i ? "," : "host:", i % 200 + 2);
	put_u8(&b, 0);
	CHECK_FOUND((const char *)b.p, "");
	buf_clear(&b);
	for (int i = 0; i < 250; i++)
		put_text(&b, "port:80 or ");
	put_text(&b, "port:1");
	put_u8(&b, 0);
	CHECK_FOUND((const char *)b.p, "1");
	buf_release(&b);
	store_close(s);
}

TEST(X08_rows_by_their_numbers_texts_and_tags)
{
	struct store_config cfg = config();
	struct store *s = open_here(&cfg);
	struct err err = ERR_NONE;
	struct talk t = begin(s, 1);
	const struct store_match m = { .way = 1, .start = 2, .end = 6,
				       .pattern = bytes_of_text("regex:0"),
				       .name = bytes_of_text("flag") };

	text_say(&t, 1, "a FLAG");
	store_tag(t.st, "flag-out");
	store_match(t.st, &m);
	t.row.matches = 1;
	finish(t.st, &t.row);
	whole_talk(s, 2, ">abc");
	commit(s);
	CHECK_OK(store_pin(s, id_of(2), true, &err), &err);
	CHECK_OK(store_comment(s, id_of(1), "Look at this", &err), &err);
	CHECK_FOUND("tag:flag-out", "1");
	CHECK_FOUND("tag:FLAG-*", "1");
	CHECK_FOUND("-tag:*", "2");
	CHECK_FOUND("pattern:flag", "1");
	CHECK_FOUND("pattern:regex:0 matches>0", "1");
	CHECK_FOUND("mark:pinned", "2");
	CHECK_FOUND("mark:comment comment~\"AT this\"", "1");
	CHECK_FOUND("comment~/^Look .*s$/", "1");
	CHECK_FOUND("bytes:3", "2");
	CHECK_FOUND("sbytes>=6 cbytes<1", "1");
	CHECK_FOUND("packets:1 duration:10ns", "2 1");
	CHECK_FOUND("host:10.0.0.0/8 host:2001:db8::7", "2 1");
	CHECK_FOUND("host:10.0.0.0/30 -host:10.0.0.2/31", "2 1");
	CHECK_FOUND("host:11.0.0.0/8", "");
	CHECK_FOUND("protocol:udp or port:81", "");
	CHECK_FOUND("time:@0.001002..@0.001003", "2");
	store_close(s);
}
