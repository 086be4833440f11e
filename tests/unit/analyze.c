/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams as their sinks see them, with one worker and with several.
 */
#include "t.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "analyze_here.h"
#include "base/mem.h"
#include "engine/match/match.h"

static struct err err;

/* What one sink heard of all streams of one worker. */
struct ear {
	int slot;
	int opened, closed, packets, changed, gaps;
	uint64_t gap_bytes;
	enum flow_gap gap_why;
	uint64_t last_id, bytes[2];
	struct buf story;   /* calls, a letter each */
	struct buf way[2];  /* payload */
	struct buf matches; /* "pattern way start-end;" */
	struct service service;
	enum content_kind kind;
};

static void on_opened(void *self, struct stream *s)
{
	struct ear *e = self;

	s->owner[e->slot] = e;
	e->opened++;
	e->last_id = s->id;
	put_u8(&e->story, 'o');
}

static void on_packet(void *self, struct stream *s, int way,
		      const struct flow_packet *p)
{
	struct ear *e = self;

	(void)way;
	(void)p;
	CHECK(s->owner[e->slot] == e);
	e->packets++;
}

static void on_slice(void *self, struct stream *s, const struct flow_slice *b)
{
	struct ear *e = self;

	CHECK(s->owner[e->slot] == e);
	e->bytes[b->way] += b->data.len;
	put_bytes(&e->way[b->way], b->data);
}

static void on_gap(void *self, struct stream *s, int way, uint64_t offset,
		   uint64_t len, enum flow_gap why, uint64_t time_ns)
{
	struct ear *e = self;

	(void)s;
	(void)way;
	(void)offset;
	(void)time_ns;
	e->gaps++;
	e->gap_bytes += len;
	e->gap_why = why;
}

static void on_match(void *self, struct stream *s, int way,
		     const struct match *m)
{
	struct ear *e = self;

	(void)s;
	put_format(&e->matches, "%s %d %llu-%llu;", m->pattern->name, way,
		   (unsigned long long)m->start, (unsigned long long)m->end);
}

static void on_changed(void *self, struct stream *s)
{
	struct ear *e = self;

	(void)s;
	e->changed++;
}

static void on_closed(void *self, struct stream *s)
{
	struct ear *e = self;

	e->closed++;
	e->service = s->service;
	e->kind = s->kind;
	put_format(&e->story, "c(%s)", stream_end_name(s->flow->ended));
}

/* An ear at each worker. */
static struct ear ears[ANALYZE_WORKERS_MAX];

static void listen_to(struct analyze *a)
{
	for (unsigned i = 0; i < ANALYZE_WORKERS_MAX; i++) {
		struct ear *e = &ears[i];

		for (int way = 0; way < 2; way++)
			buf_release(&e->way[way]);
		buf_release(&e->story);
		buf_release(&e->matches);
		*e = (struct ear){ 0 };
	}
	for (unsigned i = 0; i < analyze_workers(a); i++) {
		const struct stream_sink sink = { .self = &ears[i],
						  .opened = on_opened,
						  .packet = on_packet,
						  .slice = on_slice,
						  .gap = on_gap,
						  .match = on_match,
						  .changed = on_changed,
						  .closed = on_closed };

		ears[i].slot = analyze_add_sink(a, i, &sink);
	}
}

static struct here begin(const struct analyze_config *cfg)
{
	struct here h;
	struct analyze *a;

	err = ERR_NONE;
	a = analyze_new(cfg, &err);
	if (!a)
		fail_msg("%s", err.text);
	listen_to(a);
	here_begin(&h, a);
	return h;
}

static struct bytes heard(int way)
{
	return buf_bytes(&ears[0].way[way]);
}

static const char *text_of(struct buf *b)
{
	put_u8(b, 0);
	b->len--;
	return (const char *)b->p;
}

TEST(R13_a_connection_opens_speaks_and_closes)
{
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct here h = begin(&cfg);

	here_handshake(&h);
	here_text(&h, 0, "GET / HTTP/1.1\r\n\r\n");
	here_text(&h, 1, "HTTP/1.1 200 OK\r\n\r\nhello");
	here_fin(&h, 0);
	analyze_finish(h.a);
	CHECK_STR(text_of(&ears[0].story), "oc(fin)");
	CHECK_EQ(ears[0].packets, 8);
	CHECK_BYTES(heard(0), bytes_of_text("GET / HTTP/1.1\r\n\r\n"));
	CHECK_BYTES(heard(1), bytes_of_text("HTTP/1.1 200 OK\r\n\r\nhello"));
	CHECK_STR(ears[0].service.name, "http");
	CHECK_EQ(ears[0].service.source, SERVICE_PORT_AND_PAYLOAD);
	CHECK_EQ(ears[0].kind, CONTENT_TEXT);
	analyze_free(h.a);
	buf_release(&h.frame);
}

TEST(R12_a_second_connection_on_the_same_ports_is_another_stream)
{
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct here h = begin(&cfg);
	uint64_t first;

	here_handshake(&h);
	here_text(&h, 0, "one");
	here_fin(&h, 0);
	first = ears[0].last_id;
	h.next[0] = 500000;
	here_put(&h, 0, h.next[0]++, TCP_SYN, bytes_of(NULL, 0));
	here_text(&h, 0, "two");
	here_end(&h);
	CHECK_EQ(ears[0].opened, 2);
	CHECK(ears[0].last_id != first);
	CHECK_BYTES(heard(0), bytes_of_text("onetwo"));
}

TEST(R07_the_id_is_of_the_source_and_the_first_packet)
{
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct here h = begin(&cfg);

	h.index = 77;
	here_handshake(&h);
	CHECK(ears[0].last_id == streamid_of(h.source->origin, 77));
	here_end(&h);
}

TEST(R11_a_lost_segment_is_a_gap_and_the_rest_comes)
{
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct here h = begin(&cfg);

	here_handshake(&h);
	here_text(&h, 0, "abc");
	h.next[0] += 5;
	here_text(&h, 0, "xyz");
	here_put(&h, 1, h.next[1], TCP_ACK, bytes_of(NULL, 0));
	h.time_ns += UINT64_C(1000000000);
	here_put(&h, 1, h.next[1], TCP_ACK, bytes_of(NULL, 0));
	CHECK_BYTES(heard(0), bytes_of_text("abcxyz"));
	CHECK_EQ(ears[0].gaps, 1);
	CHECK_EQ(ears[0].gap_bytes, 5);
	CHECK_EQ(ears[0].gap_why, FLOW_GAP_LOST);
	here_end(&h);
}

TEST(X03_what_the_source_lost_is_a_gap_of_the_source_in_the_stream)
{
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct here h = begin(&cfg);
	const struct analyze_loss loss = { .reason = "kernel",
					   .packets = 3,
					   .index = 4 };
	struct analyze_counters c;

	here_handshake(&h);
	here_text(&h, 0, "abc");
	analyze_lost(h.a, h.source, &loss);
	h.next[0] += 7;
	here_text(&h, 0, "xyz");
	CHECK_BYTES(heard(0), bytes_of_text("abcxyz"));
	CHECK_EQ(ears[0].gap_bytes, 7);
	CHECK_EQ(ears[0].gap_why, FLOW_GAP_SOURCE);
	analyze_counters(h.a, &c);
	CHECK_EQ(c.source_gaps, 1);
	CHECK_EQ(c.source_lost, 3);
	here_end(&h);
}

TEST(R14_changes_are_told_by_count_and_bytes_and_at_once_when_it_matters)
{
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct here h;
	int before;

	cfg.update_packets = 10;
	cfg.update_bytes = 100;
	h = begin(&cfg);
	h.port[1] = 31337;
	here_handshake(&h);
	CHECK_EQ(ears[0].changed, 1); /* the stream itself */
	here_text(&h, 0, "hi");
	CHECK_EQ(ears[0].changed, 2); /* it has a kind now */
	for (int i = 0; i < 9; i++)
		here_text(&h, 0, "x");
	CHECK_EQ(ears[0].changed, 2);
	here_text(&h, 0, "x");
	CHECK_EQ(ears[0].changed, 3); /* ten packets */
	before = ears[0].changed;
	here_say(&h, 1,
		 bytes_of("yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
			  "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
			  "yyyyyyyyyyy",
			  100));
	CHECK_EQ(ears[0].changed, before + 1); /* a hundred bytes */
	here_put(&h, 0, h.next[0]++, TCP_FIN | TCP_ACK, bytes_of(NULL, 0));
	CHECK_EQ(ears[0].changed, before + 2); /* closing */
	here_put(&h, 1, h.next[1]++, TCP_FIN | TCP_ACK, bytes_of(NULL, 0));
	CHECK_EQ(ears[0].changed, before + 3); /* closed */
	here_end(&h);
}

/* -- patterns
 * ------------------------------------------------------------------- */

static struct match_set *patterns_of(const struct match_pattern *all, size_t n)
{
	struct match_set *set = match_compile(all, n, 4096, &err);

	if (!set)
		fail_msg("%s", err.text);
	return set;
}

TEST(R20_a_pattern_cut_at_each_byte_is_found_once_in_its_place)
{
	static const struct match_pattern all[] = {
		{ MATCH_SUBSTRING, 0, "flag", "flag{x}", MATCH_ANY },
		{ MATCH_BINARY, 0, "hex", "66 6c:61-67", MATCH_ANY },
	};
	const char *text = "..flag{x}..";

	for (size_t cut = 1; cut < strlen(text); cut++) {
		struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
		struct match_set *set = patterns_of(all, 2);
		struct here h;

		cfg.patterns = set;
		h = begin(&cfg);
		match_set_put(set);
		here_handshake(&h);
		here_say(&h, 1, bytes_of(text, cut));
		here_say(&h, 1, bytes_of(text + cut, strlen(text) - cut));
		here_end(&h);
		CHECK(strstr(text_of(&ears[0].matches), "flag 1 2-9;"));
		CHECK(strstr(text_of(&ears[0].matches), "hex 1 2-6;"));
		CHECK_EQ(ears[0].matches.len, strlen("flag 1 2-9;hex 1 2-6;"));
	}
}

TEST(R21_a_growing_match_is_told_once_with_its_full_length)
{
	static const struct match_pattern all[] = {
		{ MATCH_REGEX, 0, "token", "token=[a-z0-9]+", MATCH_ANY },
	};
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct match_set *set = patterns_of(all, 1);
	struct here h;

	cfg.patterns = set;
	h = begin(&cfg);
	match_set_put(set);
	here_handshake(&h);
	here_text(&h, 0, "token=a");
	for (int i = 0; i < 9; i++)
		here_text(&h, 0, "bc1");
	here_text(&h, 0, ";");
	here_end(&h);
	CHECK_STR(text_of(&ears[0].matches), "token 0 0-34;");
}

TEST(flags_count_only_in_their_direction)
{
	static const struct match_pattern all[] = {
		{ MATCH_REGEX, 0, "in", "F\\d", MATCH_FLAG_IN },
		{ MATCH_REGEX, 1, "out", "F\\d", MATCH_FLAG_OUT },
	};
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct match_set *set = patterns_of(all, 2);
	struct here h;

	cfg.patterns = set;
	h = begin(&cfg);
	match_set_put(set);
	here_handshake(&h);
	here_text(&h, 0, "put F1;");
	here_text(&h, 1, "take F2;");
	here_end(&h);
	CHECK_STR(text_of(&ears[0].matches), "in 0 4-6;out 1 5-7;");
}

TEST(R23_the_caps_on_matches_hold_for_a_stream_and_for_all)
{
	static const struct match_pattern all[] = {
		{ MATCH_SUBSTRING, 0, "a", "a", MATCH_ANY },
	};
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct match_set *set = patterns_of(all, 1);
	struct analyze_counters c;
	struct here h;

	cfg.patterns = set;
	cfg.stream_matches_max = 4;
	cfg.matches_max = 10;
	cfg.workers = 4;
	h = begin(&cfg);
	match_set_put(set);
	for (int i = 0; i < 5; i++) {
		h.port[0] = (uint16_t)(5000 + i);
		here_handshake(&h);
		here_text(&h, 0, "aaaaaaa");
	}
	analyze_finish(h.a);
	analyze_counters(h.a, &c);
	CHECK_EQ(c.matches, 10);
	CHECK_EQ(c.matches_dropped, 25);
	analyze_free(h.a);
	buf_release(&h.frame);
}

/* -- workers
 * ---------------------------------------------------------------------- */

TEST(R26_a_udp_flow_of_5000_packets_is_complete_with_eight_workers)
{
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct buf sent = { 0 };
	struct here h;
	int whole = 0;

	cfg.workers = 8;
	h = begin(&cfg);
	h.protocol = IP_UDP;
	for (int i = 0; i < 5000; i++) {
		uint8_t data[900];

		for (size_t n = 0; n < sizeof(data); n++)
			data[n] = (uint8_t)(i + (int)n);
		put_bytes(&sent, bytes_of(data, sizeof(data)));
		here_put(&h, 0, 0, 0, bytes_of(data, sizeof(data)));
	}
	here_end(&h);
	for (int i = 0; i < 8; i++) {
		if (!ears[i].opened)
			continue;
		CHECK_EQ(ears[i].opened, 1);
		CHECK_BYTES(buf_bytes(&ears[i].way[0]), buf_bytes(&sent));
		whole++;
	}
	CHECK_EQ(whole, 1);
	buf_release(&sent);
}

/* Many connections at once; a sum over what each of them was heard to say. */
static uint64_t sum_of_many(unsigned workers, int *opened)
{
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct here h;
	uint64_t sum = 0;

	cfg.workers = workers;
	h = begin(&cfg);
	for (int round = 0; round < 40; round++)
		for (int i = 0; i < 100; i++) {
			char text[64];

			h.port[0] = (uint16_t)(2000 + i);
			if (round == 0)
				here_put(&h, 0, 99, TCP_SYN, bytes_of(NULL, 0));
			h.next[0] = 100 + (uint32_t)round * 20;
			snprintf(text, sizeof(text), "line %4d of %4d..\n",
				 round, i);
			here_text(&h, 0, text);
		}
	here_end(&h);
	*opened = 0;
	for (unsigned i = 0; i < workers; i++) {
		*opened += ears[i].opened;
		sum += ears[i].bytes[0];
		CHECK_EQ(ears[i].opened, ears[i].closed);
		CHECK_EQ(ears[i].gaps, 0);
	}
	return sum;
}

TEST(R25_one_two_and_eight_workers_hear_the_same)
{
	int opened;

	for (unsigned workers = 1; workers <= 8; workers *= 2) {
		CHECK(sum_of_many(workers, &opened) == 40 * 100 * 20);
		CHECK_EQ(opened, 100);
	}
}

TEST(R08_a_table_of_few_flows_takes_ten_times_as_many)
{
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct analyze_counters c;
	struct here h;

	cfg.flow.flows_max = 100;
	h = begin(&cfg);
	for (int i = 0; i < 1000; i++) {
		h.port[0] = (uint16_t)(1000 + i);
		here_text(&h, 0, "hello");
	}
	analyze_counters(h.a, &c);
	CHECK_EQ(c.flow.open, 100);
	CHECK_EQ(c.streams_open, 100);
	CHECK_EQ(c.flow.evicted, 900);
	CHECK_EQ(ears[0].opened, 1000);
	CHECK_EQ(ears[0].closed, 900);
	here_end(&h);
	CHECK_EQ(ears[0].closed, 1000);
}

TEST(R17_flows_over_the_cap_on_streams_are_counted_and_do_no_harm)
{
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct analyze_counters c;
	struct here h;

	cfg.streams_max = 10;
	h = begin(&cfg);
	for (int i = 0; i < 50; i++) {
		h.port[0] = (uint16_t)(1000 + i);
		here_text(&h, 0, "hello");
	}
	analyze_finish(h.a);
	analyze_counters(h.a, &c);
	CHECK_EQ(c.streams_refused, 40);
	CHECK_EQ(c.streams_open, 0);
	analyze_free(h.a);
	buf_release(&h.frame);
}

TEST(R06_every_decode_status_is_counted)
{
	static const struct {
		const char *hex;
		enum decode_status status;
		uint32_t linktype;
	} cases[] = {
		{ "000000000000 000000000000 0806 0001", DECODE_ARP, 1 },
		{ "000000000000 000000000000 88b5 0001", DECODE_NOT_IP, 1 },
		{ "000000000000 000000000000 0800 4500", DECODE_CUT, 1 },
		{ "000000000000 000000000000 0800 4500001c000020004011"
		  "0000 0a000001 0a000002 0102030405060708",
		  DECODE_FRAGMENT, 1 },
		{ "00", DECODE_ODD_LINK, 147 },
	};
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct here h = begin(&cfg);
	struct analyze_counters c;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bytes b = t_hex(cases[i].hex);
		const struct packet p = { b, 1000, (uint32_t)b.len };

		analyze_packets(h.a, h.source, cases[i].linktype, &p, 1, i);
	}
	analyze_counters(h.a, &c);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		CHECK_EQ(c.decoded[cases[i].status], 1);
	CHECK_EQ(c.packets, 5);
	here_end(&h);
}

TEST(a_clock_set_back_does_not_end_each_packet_s_stream)
{
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct here h = begin(&cfg);

	here_handshake(&h);
	here_text(&h, 0, "before");
	h.time_ns -= UINT64_C(3600000000000);
	h.port[0]++;
	here_handshake(&h);
	for (int i = 0; i < 10; i++)
		here_text(&h, 0, "after");
	CHECK_EQ(ears[0].opened, 2);
	here_end(&h);
	CHECK_EQ(ears[0].bytes[0], 6 + 50);
}

TEST(a_quiet_flow_that_speaks_again_is_another_stream_whoever_else_speaks)
{
	for (unsigned workers = 1; workers <= 8; workers *= 8) {
		struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
		struct here h;
		int opened = 0;

		cfg.workers = workers;
		h = begin(&cfg);
		for (int i = 0; i < 100; i++) {
			h.port[0] = (uint16_t)(1000 + i);
			here_text(&h, 0, "hello");
		}
		h.time_ns += UINT64_C(121000000000);
		for (int i = 99; i >= 0; i--) {
			h.port[0] = (uint16_t)(1000 + i);
			here_text(&h, 0, "again");
		}
		here_end(&h);
		for (unsigned i = 0; i < workers; i++)
			opened += ears[i].opened;
		CHECK_EQ(opened, 200);
	}
}

/* -- queues
 * ------------------------------------------------------------------------- */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void on_gated(void *self, struct stream *s, int way,
		     const struct flow_packet *p)
{
	(void)self;
	(void)s;
	(void)way;
	(void)p;
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
}

static struct here begin_gated(const struct analyze_config *cfg)
{
	const struct stream_sink sink = { .packet = on_gated };
	struct here h = begin(cfg);

	for (unsigned i = 0; i < analyze_workers(h.a); i++)
		CHECK_EQ(analyze_add_sink(h.a, i, &sink), 1);
	return h;
}

TEST(R27_a_live_source_never_waits_and_what_it_drops_is_counted_and_told)
{
	enum { N = 20000 };
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct analyze_counters c;
	struct here h;
	uint64_t taken = 0;

	cfg.workers = 2;
	cfg.queue_packets = 1024;
	cfg.live = true;
	h = begin_gated(&cfg);
	h.protocol = IP_UDP;
	pthread_mutex_lock(&gate);
	for (int i = 0; i < N; i++)
		here_text(&h, 0, "x");
	analyze_counters(h.a, &c);
	CHECK(c.queue_dropped > N / 2);
	CHECK(c.queue_packets <= cfg.queue_packets + 256);
	pthread_mutex_unlock(&gate);
	analyze_finish(h.a);
	analyze_counters(h.a, &c);
	for (int i = 0; i < 2; i++)
		taken += (uint64_t)ears[i].packets;
	CHECK(taken + c.queue_dropped == N);
	CHECK(c.source_gaps >= 1);
	analyze_free(h.a);
	buf_release(&h.frame);
}

struct pusher {
	struct here *h;
	atomic_bool done;
};

static void *push_many(void *arg)
{
	struct pusher *p = arg;

	for (int i = 0; i < 20000; i++)
		here_text(p->h, 0, "x");
	atomic_store(&p->done, true);
	return NULL;
}

TEST(R27_a_file_waits_for_a_worker_that_is_behind_and_loses_nothing)
{
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct analyze_counters c = { 0 };
	struct pusher p = { 0 };
	pthread_t thread;
	struct here h;

	cfg.workers = 2;
	cfg.queue_packets = 1024;
	h = begin_gated(&cfg);
	h.protocol = IP_UDP;
	p.h = &h;
	pthread_mutex_lock(&gate);
	CHECK_EQ(pthread_create(&thread, NULL, push_many, &p), 0);
	/* Until the queue is as full as it gets. */
	for (int i = 0; i < 50000 && c.queue_packets < 1000; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
		analyze_counters(h.a, &c);
	}
	CHECK(c.queue_packets >= 1000);
	CHECK(!atomic_load(&p.done));
	pthread_mutex_unlock(&gate);
	pthread_join(thread, NULL);
	analyze_finish(h.a);
	analyze_counters(h.a, &c);
	CHECK_EQ(c.queue_dropped, 0);
	CHECK_EQ(ears[0].packets + ears[1].packets, 20000);
	analyze_free(h.a);
	buf_release(&h.frame);
}

/* -- link types
 * ------------------------------------------------------------------------ */

TEST(R05_the_same_packets_behind_five_link_layers_are_the_same_stream)
{
	static const struct {
		uint32_t linktype;
		const char *head; /* in front of the IP packet */
	} links[] = {
		{ 1, "000000000000 000000000000 0800" },
		{ 113, "0000 0001 0006 000000000000 0000 0800" },
		{ 276, "0800 0000 00000001 0001 00 06 000000000000 0000" },
		{ 101, "" },
		{ 0, "02000000" },
	};
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;

	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++) {
		struct here h = begin(&cfg);

		for (uint32_t n = 0; n < 3; n++) {
			const struct here_packet hp = {
				.protocol = IP_TCP,
				.port = { 40000, 8080 },
				.seq = 100 + 4 * n,
				.flags = TCP_ACK,
				.payload = bytes_of("abcdefghijkl" + 4 * n, 4),
			};
			struct buf frame = { 0 };
			struct packet p = { .time_ns = 1000 + n };

			here_frame(&h.frame, &hp);
			put_bytes(&frame, t_hex(links[i].head));
			put_bytes(&frame, buf_from(&h.frame, 14));
			p.data = buf_bytes(&frame);
			p.wire_len = (uint32_t)frame.len;
			analyze_packets(h.a, h.source, links[i].linktype, &p, 1,
					n);
			buf_release(&frame);
		}
		here_end(&h);
		CHECK_EQ(ears[0].opened, 1);
		CHECK_BYTES(heard(0), bytes_of_text("abcdefghijkl"));
		CHECK(ears[0].last_id ==
		      streamid_of((const uint8_t[16]){ 1, 2, 3 }, 0));
	}
}
