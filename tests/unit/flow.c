/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nasty TCP, as tables: what a receiver would read, and what is marked.
 */
#include "t.h"

#include "base/buf.h"
#include "base/siphash.h"
#include "engine/flow/flow.h"

enum { A_TO_B, B_TO_A };

/* What the sink saw of all flows, in order. */
static struct buf content[2];
static struct buf story; /* "open", "gap 3+2 lost", "closed fin" … */
static uint64_t time_ns;
static struct flow last;

static void on_opened(void *self, struct flow *f)
{
	(void)self;
	(void)f;
	put_text(&story, "open;");
}

static void on_slice(void *self, struct flow *f, const struct flow_slice *s)
{
	(void)self;
	(void)f;
	put_bytes(&content[s->way], s->data);
}

static void on_gap(void *self, struct flow *f, int way, uint64_t offset,
		   uint64_t len, enum flow_gap why, uint64_t ns)
{
	static const char *const names[] = { "lost", "limit", "end",
					     "snapped", "source" };

	(void)self;
	(void)f;
	(void)ns;
	(void)way;
	put_text(&content[way], "_");
	put_format(&story, "gap %llu+%llu %s;", (unsigned long long)offset,
		   (unsigned long long)len, names[why]);
}

static void on_conflict(void *self, struct flow *f, int way, uint64_t offset,
			struct bytes loser, uint64_t ns)
{
	(void)self;
	(void)f;
	(void)way;
	(void)ns;
	put_format(&story, "conflict %llu %.*s;", (unsigned long long)offset,
		   (int)loser.len, (const char *)loser.p);
}

static void on_closed(void *self, struct flow *f)
{
	static const char *const names[] = { "?",      "fin",	  "rst",
					     "idle",   "reused",  "evicted",
					     "input" };

	(void)self;
	last = *f;
	put_format(&story, "closed %s;", names[f->ended]);
}

static const struct flow_sink sink = {
	.opened = on_opened,
	.slice = on_slice,
	.gap = on_gap,
	.conflict = on_conflict,
	.closed = on_closed,
};

static struct flow_table *fresh(const struct flow_config *cfg)
{
	for (int i = 0; i < 2; i++)
		buf_release(&content[i]);
	buf_release(&story);
	time_ns = 1000000000;
	return flow_table_new(cfg, &sink);
}

static struct decoded segment(int way, uint32_t seq, uint32_t ack, int flags,
			      struct bytes data)
{
	struct decoded d = {
		.status = DECODE_OK,
		.protocol = IP_TCP,
		.src = { .version = 4, .b = { [12] = 10, [15] = 1 } },
		.dst = { .version = 4, .b = { [12] = 10, [15] = 2 } },
		.src_port = 1000,
		.dst_port = 80,
		.tcp = { .seq = seq, .ack = ack, .flags = (uint8_t)flags },
		.payload = data,
	};

	if (way == B_TO_A) {
		struct address a = d.src;

		d.src = d.dst;
		d.dst = a;
		d.src_port = 80;
		d.dst_port = 1000;
	}
	return d;
}

static void put(struct flow_table *t, struct decoded d)
{
	struct flow_packet p = { .time_ns = time_ns += 1000,
				 .wire_len = 54 + (uint32_t)d.payload.len };

	flow_table_packet(t, &d, &p);
}

static void send_text(struct flow_table *t, int way, uint32_t seq,
		      const char *text)
{
	put(t, segment(way, seq, 1, TCP_ACK, bytes_of_text(text)));
}

/* Client numbers its bytes from 1 (SYN 0), the server from 1 too. */
static void handshake(struct flow_table *t)
{
	put(t, segment(A_TO_B, 0, 0, TCP_SYN, bytes_of("", 0)));
	put(t, segment(B_TO_A, 0, 1, TCP_SYN | TCP_ACK, bytes_of("", 0)));
	put(t, segment(A_TO_B, 1, 1, TCP_ACK, bytes_of("", 0)));
}

static const char *text_of(struct buf *b)
{
	put_u8(b, 0);
	b->len--;
	return (const char *)b->p;
}

struct step {
	uint32_t at; /* offset in the stream, from 0 */
	const char *text;
};

/* Measured on a Linux kernel: what the application reads. */
TEST(R09_overlaps_are_resolved_as_linux_does)
{
	static const struct {
		struct step steps[4];
		const char *want;
		uint32_t conflicts;
	} cases[] = {
		/* delivered first wins */
		{ { { 0, "AAAA" }, { 2, "BBBB" } }, "AAAABB", 0 },
		/* queued [4,8)=A, then [2,6)=B: lower start wins */
		{ { { 4, "AAAA" }, { 2, "BBBB" }, { 0, "xx" } },
		  "xxBBBBAA", 1 },
		{ { { 2, "AAAA" }, { 4, "BBBB" }, { 0, "xx" } },
		  "xxAAAABB", 1 },
		/* a covering one replaces */
		{ { { 4, "AA" }, { 2, "BBBBBB" }, { 0, "xx" } },
		  "xxBBBBBB", 1 },
		{ { { 2, "AA" }, { 2, "BBBB" }, { 0, "xx" } }, "xxBBBB", 1 },
		{ { { 4, "AA" }, { 2, "BBBB" }, { 0, "xx" } }, "xxBBBB", 1 },
		/* inside, or the same: what is there stays */
		{ { { 2, "AAAA" }, { 3, "BB" }, { 0, "xx" } }, "xxAAAA", 1 },
		{ { { 2, "AAAA" }, { 2, "BBBB" }, { 0, "xx" } },
		  "xxAAAA", 1 },
		/* a bridge over two */
		{ { { 2, "AA" }, { 6, "AA" }, { 3, "BBBB" }, { 0, "xx" } },
		  "xxAABBBA", 2 },
		/* in order over what waits */
		{ { { 2, "AAAA" }, { 0, "BBBB" } }, "BBBBAA", 0 },
		/* the same content twice is no conflict */
		{ { { 2, "AAAA" }, { 4, "AAAA" }, { 0, "xx" } },
		  "xxAAAAAA", 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct flow_config cfg = FLOW_CONFIG_DEFAULT;
		struct flow_table *t = fresh(&cfg);

		handshake(t);
		for (size_t s = 0; s < 4 && cases[i].steps[s].text; s++)
			send_text(t, A_TO_B, cases[i].steps[s].at + 1,
				  cases[i].steps[s].text);
		CHECK_STR(text_of(&content[A_TO_B]), cases[i].want);
		flow_table_finish(t);
		CHECK_EQ(last.way[A_TO_B].conflicts, cases[i].conflicts);
		flow_table_free(t);
	}
}

TEST(R09_any_order_of_segments_gives_the_same_bytes)
{
	struct flow_config cfg = FLOW_CONFIG_DEFAULT;

	for (int round = 0; round < 300; round++) {
		struct flow_table *t = fresh(&cfg);
		uint32_t isn = (uint32_t)(UINT32_MAX - t_random_below(2000));
		char stream[1501];
		uint32_t cut[64];
		int order[64], n = 0;

		for (int i = 0; i < 1500; i++)
			stream[i] = (char)('a' + t_random_below(26));
		stream[1500] = 0;
		for (uint32_t at = 0; at < 1500; n++) {
			cut[n] = at;
			order[n] = n;
			at += 20 + (uint32_t)t_random_below(60);
		}
		cut[n] = 1500;
		for (int i = n - 1; i > 0; i--) {
			int j = (int)t_random_below((uint64_t)i + 1);
			int o = order[i];

			order[i] = order[j];
			order[j] = o;
		}
		put(t, segment(A_TO_B, isn, 0, TCP_SYN, bytes_of("", 0)));
		put(t, segment(B_TO_A, 0, isn + 1, TCP_SYN | TCP_ACK,
			       bytes_of("", 0)));
		for (int i = 0; i < n; i++) {
			int o = order[i];

			put(t, segment(A_TO_B, isn + 1 + cut[o], 1, TCP_ACK,
				       bytes_of(stream + cut[o],
						cut[o + 1] - cut[o])));
		}
		CHECK_STR(text_of(&content[A_TO_B]), stream);
		flow_table_free(t);
	}
}

TEST(R11_a_lost_segment_is_a_gap_and_the_rest_comes)
{
	struct flow_config cfg = FLOW_CONFIG_DEFAULT;
	struct flow_table *t = fresh(&cfg);

	handshake(t);
	send_text(t, A_TO_B, 1, "one");
	send_text(t, A_TO_B, 7, "three");
	CHECK_STR(text_of(&content[A_TO_B]), "one");
	/* The receiver has it: it is our capture that lacks it. */
	put(t, segment(B_TO_A, 1, 12, TCP_ACK, bytes_of("", 0)));
	time_ns += 600000000;
	put(t, segment(B_TO_A, 1, 12, TCP_ACK, bytes_of("", 0)));
	CHECK_STR(text_of(&content[A_TO_B]), "one_three");
	CHECK_STR(text_of(&story), "open;gap 3+3 lost;");
	flow_table_free(t);
}

TEST(R10_waiting_data_never_exceeds_its_caps)
{
	struct flow_config cfg = FLOW_CONFIG_DEFAULT;
	struct flow_table *t;
	struct flow_counters c;

	cfg.early_bytes_max = 64 << 10;
	cfg.early_segments_max = 16;
	t = fresh(&cfg);
	handshake(t);
	for (uint32_t i = 0; i < 5000; i++) {
		send_text(t, A_TO_B, 11 + i * 7, "abcd");
		flow_table_counters(t, &c);
		CHECK(c.early_bytes <= cfg.early_bytes_max);
	}
	flow_table_finish(t);
	CHECK(last.way[A_TO_B].delivered == 5000 * 4);
	CHECK_EQ(last.way[A_TO_B].gaps, 5000);
	flow_table_counters(t, &c);
	CHECK_EQ(c.early_bytes, 0);
	flow_table_free(t);
}

TEST(R09_a_window_of_single_bytes_in_reverse_is_put_together)
{
	struct flow_config cfg = FLOW_CONFIG_DEFAULT;
	struct flow_table *t = fresh(&cfg);

	handshake(t);
	for (uint32_t i = 1460; i > 0; i--)
		send_text(t, A_TO_B, i, (char[]){ (char)('a' + i % 26), 0 });
	CHECK_EQ(content[A_TO_B].len, 1460);
	for (uint32_t i = 0; i < 1460; i++)
		CHECK_EQ(content[A_TO_B].p[i], 'a' + (i + 1) % 26);
	flow_table_free(t);
}

TEST(R12_a_port_used_again_is_another_stream)
{
	struct flow_config cfg = FLOW_CONFIG_DEFAULT;
	struct flow_table *t = fresh(&cfg);

	handshake(t);
	send_text(t, A_TO_B, 1, "first");
	put(t, segment(A_TO_B, 6, 1, TCP_ACK | TCP_FIN, bytes_of("", 0)));
	put(t, segment(B_TO_A, 1, 7, TCP_ACK | TCP_FIN, bytes_of("", 0)));
	put(t, segment(A_TO_B, 7, 2, TCP_ACK, bytes_of("", 0)));
	put(t, segment(A_TO_B, 90000, 0, TCP_SYN, bytes_of("", 0)));
	put(t, segment(B_TO_A, 70000, 90001, TCP_SYN | TCP_ACK,
		       bytes_of("", 0)));
	send_text(t, A_TO_B, 90001, "second");
	CHECK_STR(text_of(&story), "open;closed fin;open;");
	CHECK_STR(text_of(&content[A_TO_B]), "firstsecond");
	flow_table_free(t);
}

TEST(R12_a_port_used_again_after_an_end_that_was_missed)
{
	struct flow_config cfg = FLOW_CONFIG_DEFAULT;
	struct flow_table *t = fresh(&cfg);

	handshake(t);
	send_text(t, A_TO_B, 1, "first");
	put(t, segment(A_TO_B, 90000, 0, TCP_SYN, bytes_of("", 0)));
	CHECK_STR(text_of(&story), "open;");
	put(t, segment(B_TO_A, 70000, 90001, TCP_SYN | TCP_ACK,
		       bytes_of("", 0)));
	send_text(t, A_TO_B, 90001, "second");
	send_text(t, B_TO_A, 70001, "answer");
	CHECK_STR(text_of(&story), "open;closed reused;open;");
	CHECK_STR(text_of(&content[A_TO_B]), "firstsecond");
	CHECK_STR(text_of(&content[B_TO_A]), "answer");
	flow_table_free(t);
}

TEST(a_syn_in_the_middle_changes_nothing)
{
	struct flow_config cfg = FLOW_CONFIG_DEFAULT;
	struct flow_table *t = fresh(&cfg);

	handshake(t);
	send_text(t, A_TO_B, 1, "abc");
	put(t, segment(A_TO_B, 50000, 0, TCP_SYN, bytes_of_text("evil")));
	send_text(t, A_TO_B, 4, "def");
	CHECK_STR(text_of(&content[A_TO_B]), "abcdef");
	flow_table_free(t);
}

TEST(R13_fin_and_rst_end_a_stream_only_when_the_receiver_would)
{
	struct flow_config cfg = FLOW_CONFIG_DEFAULT;
	struct flow_table *t = fresh(&cfg);

	handshake(t);
	put(t, segment(B_TO_A, 90000, 0, TCP_RST, bytes_of("", 0)));
	send_text(t, A_TO_B, 1, "abc");
	put(t, segment(A_TO_B, 4, 1, TCP_ACK | TCP_FIN, bytes_of_text("d")));
	send_text(t, A_TO_B, 5, "after");
	CHECK_STR(text_of(&content[A_TO_B]), "abcd");
	put(t, segment(B_TO_A, 1, 6, TCP_RST | TCP_ACK,
		       bytes_of_text("junk")));
	CHECK_EQ(content[B_TO_A].len, 0);
	flow_table_finish(t);
	CHECK_STR(text_of(&story), "open;closed rst;");
	flow_table_free(t);
}

TEST(a_refused_connection_is_a_flow_that_ended_by_rst)
{
	struct flow_config cfg = FLOW_CONFIG_DEFAULT;
	struct flow_table *t = fresh(&cfg);

	put(t, segment(A_TO_B, 100, 0, TCP_SYN, bytes_of("", 0)));
	put(t, segment(B_TO_A, 0, 101, TCP_RST | TCP_ACK, bytes_of("", 0)));
	flow_table_finish(t);
	CHECK_STR(text_of(&story), "open;closed rst;");
	CHECK_EQ(last.opener, A_TO_B);
	flow_table_free(t);
}

TEST(R08_the_table_is_bounded_and_evicts_the_oldest)
{
	struct flow_config cfg = FLOW_CONFIG_DEFAULT;
	struct flow_table *t;
	struct flow_counters c;

	cfg.flows_max = 1000;
	cfg.half_open_max = 100;
	t = fresh(&cfg);
	for (uint32_t i = 0; i < 10000; i++) {
		struct decoded d = segment(A_TO_B, 0, 0, TCP_SYN,
					   bytes_of("", 0));

		d.src.b[13] = (uint8_t)(i >> 8);
		d.src.b[14] = (uint8_t)i;
		put(t, d);
		flow_table_counters(t, &c);
		CHECK(c.half_open <= 100);
	}
	for (uint32_t i = 0; i < 10000; i++) {
		struct decoded d = segment(A_TO_B, 0, 0, TCP_ACK,
					   bytes_of_text("x"));

		d.dst.b[13] = (uint8_t)(i >> 8);
		d.dst.b[14] = (uint8_t)i;
		put(t, d);
	}
	flow_table_counters(t, &c);
	CHECK_EQ(c.open, 1000);
	CHECK_EQ(c.half_open_evicted, 10000 - 100);
	CHECK(c.opened == 20000);
	CHECK(c.closed == 19000);
	flow_table_free(t);
}

TEST(an_idle_flow_ends_and_the_next_packet_begins_another)
{
	struct flow_config cfg = FLOW_CONFIG_DEFAULT;
	struct flow_table *t = fresh(&cfg);

	handshake(t);
	send_text(t, A_TO_B, 1, "a");
	time_ns += cfg.idle_ns;
	flow_table_tick(t, time_ns + 1);
	CHECK_STR(text_of(&story), "open;closed idle;");
	flow_table_free(t);
}

/* A packet of the past, numbered. */
static void put_past(struct flow_table *t, struct decoded d, uint64_t index,
		     enum flow_past past)
{
	struct flow_packet p = { .index = index,
				 .time_ns = time_ns += 1000,
				 .wire_len = 60,
				 .past = past };

	flow_table_packet(t, &d, &p);
}

TEST(X07_in_the_past_flows_begin_where_they_began_and_nowhere_else)
{
	struct flow_config cfg = FLOW_CONFIG_DEFAULT;
	struct flow_table *t = fresh(&cfg);
	struct decoded d = segment(A_TO_B, 1, 1, TCP_ACK, bytes_of_text("a"));
	struct flow_counters c;

	put_past(t, d, 10, FLOW_PAST_GOES_ON); /* the tail of an older one */
	CHECK_STR(text_of(&story), "");
	CHECK_EQ(flow_table_oldest(t, 77), 77);
	put_past(t, d, 11, FLOW_PAST_BEGINS);
	put_past(t, d, 12, FLOW_PAST_GOES_ON);
	CHECK_STR(text_of(&story), "open;");
	put_past(t, d, 13, FLOW_PAST_BEGINS); /* one ended in between */
	CHECK_STR(text_of(&story), "open;closed reused;open;");
	CHECK_EQ(flow_table_oldest(t, 77), 13);
	flow_table_counters(t, &c);
	CHECK_EQ(c.tails, 1);
	CHECK_EQ(c.open, 1);
	flow_table_free(t);
}

TEST(the_oldest_flow_is_known_whichever_ends)
{
	struct flow_config cfg = FLOW_CONFIG_DEFAULT;
	struct flow_table *t = fresh(&cfg);

	for (uint64_t i = 0; i < 5; i++) {
		struct decoded d = segment(A_TO_B, 1, 1, TCP_ACK,
					   bytes_of_text("a"));

		d.src_port = (uint16_t)(2000 + i);
		put_past(t, d, 100 + i, FLOW_PAST_NONE);
		time_ns += cfg.idle_ns / 8;
	}
	CHECK_EQ(flow_table_oldest(t, 0), 100);
	time_ns += cfg.idle_ns / 2;
	flow_table_tick(t, time_ns);
	CHECK_EQ(flow_table_oldest(t, 0), 102);
	flow_table_finish(t);
	CHECK_EQ(flow_table_oldest(t, 5), 5);
	flow_table_free(t);
}

TEST(the_seed_decides_the_buckets)
{
	struct siphash_key a = { 1, 2 }, b = { 1, 3 };
	struct decoded d = segment(A_TO_B, 0, 0, TCP_SYN, bytes_of("", 0));
	struct decoded r = segment(B_TO_A, 0, 0, TCP_SYN, bytes_of("", 0));

	CHECK(flow_hash(&a, &d) != flow_hash(&b, &d));
	CHECK(flow_hash(&a, &d) == flow_hash(&a, &r));
}
