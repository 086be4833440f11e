/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer that has the right key and says wrong things: what an agent may do
 * to a collector, and a collector to an agent.
 */
#include "base/crc32c.h"
#include "codec/ipcap.h"
#include "codec/weirlink.h"
#include "codec/zframe.h"
#include "link_here.h"

/* An agent whose every word is the test's. */
struct evil {
	struct pair p; /* for its keys, its mirror and its collector */
	struct link_wire wire;
	bool weir;
	uint64_t sent;
	int over; /* what the collector's call gave when it ended */
};

static bool on_allowed(void *arg, const uint8_t key[NOISE_KEY])
{
	const struct evil *e = arg;

	return noise_key_equal(key, e->p.collector_key.public);
}

static bool on_answer(void *arg, struct bytes hello, struct buf *answer)
{
	const struct evil *e = arg;
	const struct weirlink_hello ours = { 1, 1, 0 };

	(void)hello;
	if (e->weir)
		put_weirlink_hello(answer, &ours);
	return e->weir;
}

/* All that the collector has to say goes to the wire, and back. */
static void exchange(struct evil *e)
{
	struct link_end *c = link_collector_end(e->p.collector);
	struct err err = ERR_NONE;

	for (int i = 0; i < 1000 && !e->over; i++) {
		struct bytes out;

		if (c->calls->work(c, e->p.now, &e->p.collector_err) < 0)
			e->over = e->p.collector_err.code;
		out = link_wire_out(c->wire);
		link_wire_take(&e->wire, out);
		link_wire_sent(c->wire, out.len);
		while (link_wire_step(&e->wire, &err) == 0)
			;
		CHECK_OK(link_wire_flush(&e->wire, e->p.now, &err), &err);
		if (!link_wire_out(&e->wire).len && !out.len &&
		    c->calls->hungry(c))
			return;
		if (c->calls->take(c, link_wire_out(&e->wire), e->p.now,
				   &e->p.collector_err) < 0)
			e->over = e->p.collector_err.code;
		link_wire_sent(&e->wire, link_wire_out(&e->wire).len);
		pair_settle(&e->p);
	}
}

static void shake(struct evil *e)
{
	const struct link_wire_asks asks = { on_allowed, on_answer, e };

	e->sent = 0;
	e->over = 0;
	e->p.collector_err = ERR_NONE;
	e->p.collector = link_collector_new(&e->p.collector_cfg, e->p.now);
	link_wire_answer(&e->wire, &e->p.agent_key,
			 (const uint8_t[NOISE_KEY]){ 7 }, &asks);
	exchange(e);
	CHECK(e->wire.open);
}

static void begin(struct evil *e, bool weir)
{
	memset(e, 0, sizeof(*e));
	remove_dir(t_path("mirror"));
	pair_init(&e->p);
	e->weir = weir;
	shake(e);
}

static void leave(struct evil *e)
{
	link_collector_free(e->p.collector);
	e->p.collector = NULL;
	link_wire_release(&e->wire);
}

static void end(struct evil *e)
{
	leave(e);
	mirror_close(e->p.mirror);
}

/* -- words --------------------------------------------------------------- */

static void put_frame(struct evil *e, struct weirlink_frame *f)
{
	f->source = f->source ? f->source : 1;
	f->sequence = e->sent++;
	put_weirlink(&e->wire.plain, f);
}

static void say_source(struct evil *e, int verdict, int origin, uint64_t at)
{
	struct weirlink_frame f = { .type = WEIRLINK_SOURCE, .at = at };

	f.as_source = (struct weirlink_source){
		.verdict = (uint8_t)verdict,
		.linktype = 1,
		.snaplen = 65536,
		.oldest = at,
		.head = at,
		.name = "game",
	};
	f.as_source.origin[0] = (uint8_t)origin;
	f.as_source.id[0] = (uint8_t)origin;
	put_frame(e, &f);
	exchange(e);
}

/* A run of packets as spool_here.h makes them, perhaps with a lie in it. */
static void make_run(struct weirlink_frame *f, struct buf *b, uint64_t first,
		     uint32_t count)
{
	struct run r = { .first = first };

	for (uint32_t i = 0; i < count; i++) {
		struct packet p = packet_number(first + i);

		put_record(b, &p);
	}
	r.records = buf_bytes(b);
	CHECK_EQ(run_measure(&r), 0);
	*f = (struct weirlink_frame){ .type = WEIRLINK_RUN, .at = first };
	f->as_run = (struct weirlink_run){ .run = r,
					   .raw_len = (uint32_t)b->len,
					   .body = r.records };
}

static void say_run(struct evil *e, uint64_t first, uint32_t count)
{
	struct weirlink_frame f;
	struct buf b = { 0 };

	make_run(&f, &b, first, count);
	put_frame(e, &f);
	exchange(e);
	buf_release(&b);
}

static void say_gap(struct evil *e, uint64_t from, uint64_t to)
{
	struct weirlink_frame f = { .type = WEIRLINK_GAP, .at = from };

	f.as_gap = (struct weirlink_gap){ .to = to, .reason = 1 };
	put_frame(e, &f);
	exchange(e);
}

static void check_have(struct evil *e, uint64_t packets, uint64_t next)
{
	struct got g = mirror_got(&e->p);

	CHECK_EQ(g.damaged, 0);
	CHECK_EQ(g.packets, packets);
	CHECK_EQ(g.next, next);
}

/* Thirty packets are there, then something is said. */
static void begin_with_thirty(struct evil *e)
{
	begin(e, true);
	say_source(e, WEIRLINK_FRESH, 1, 0);
	say_run(e, 0, 30);
	CHECK_EQ(e->over, 0);
}

TEST(I45_a_run_over_the_commit_point_gives_only_what_is_new)
{
	struct evil e;

	begin_with_thirty(&e);
	say_run(&e, 20, 30);
	CHECK_EQ(e.over, 0);
	say_run(&e, 0, 50);
	say_run(&e, 49, 1);
	check_have(&e, 50, 50);
	end(&e);
}

TEST(I46_a_hole_without_a_gap_ends_the_session_and_nothing_is_committed)
{
	struct evil e;

	begin_with_thirty(&e);
	say_run(&e, 31, 10);
	CHECK_EQ(e.over, ERR_MALFORMED);
	check_have(&e, 30, 30);
	end(&e);
}

/* Each says one wrong thing; true where the session must end. */
static void lie_of_index(struct evil *e)
{
	struct weirlink_frame f;
	struct buf b = { 0 };

	make_run(&f, &b, 30, 1);
	f.at = (UINT64_C(1) << 63) - 1;
	put_frame(e, &f);
	exchange(e);
	buf_release(&b);
}

static void lie_of_sign(struct evil *e)
{
	struct weirlink_frame f;
	struct buf b = { 0 };

	make_run(&f, &b, 30, 1);
	f.at = UINT64_MAX;
	put_frame(e, &f);
	exchange(e);
	buf_release(&b);
}

static void lie_of_crc(struct evil *e)
{
	struct weirlink_frame f;
	struct buf b = { 0 };

	make_run(&f, &b, 30, 3);
	f.as_run.run.crc++;
	put_frame(e, &f);
	exchange(e);
	buf_release(&b);
}

static void lie_of_count(struct evil *e)
{
	struct weirlink_frame f;
	struct buf b = { 0 };

	make_run(&f, &b, 30, 3);
	f.as_run.run.count = 4;
	put_frame(e, &f);
	exchange(e);
	buf_release(&b);
}

static void lie_of_time(struct evil *e)
{
	struct weirlink_frame f;
	struct buf b = { 0 };

	make_run(&f, &b, 30, 3);
	f.as_run.run.min_ns--;
	put_frame(e, &f);
	exchange(e);
	buf_release(&b);
}

static void half_a_record(struct evil *e)
{
	struct weirlink_frame f;
	struct buf b = { 0 };

	make_run(&f, &b, 30, 3);
	f.as_run.body.len--;
	f.as_run.raw_len--;
	put_frame(e, &f);
	exchange(e);
	buf_release(&b);
}

static void no_zstd(struct evil *e)
{
	struct weirlink_frame f;
	struct buf b = { 0 };

	make_run(&f, &b, 30, 3);
	f.as_run.codec = WEIRLINK_ZSTD_FRAME;
	put_frame(e, &f);
	exchange(e);
	buf_release(&b);
}

/* 16 MiB of zeros in a few bytes, said to be a few bytes too. */
static void a_bomb(struct evil *e)
{
	struct weirlink_frame f;
	struct buf b = { 0 }, zeros = { 0 }, packed = { 0 };
	struct zframe z = { 0 };

	make_run(&f, &b, 30, 30);
	put_zeros(&zeros, 16 << 20);
	zframe_pack(&z, buf_bytes(&zeros), &packed);
	CHECK(packed.len < b.len);
	f.as_run.codec = WEIRLINK_ZSTD_FRAME;
	f.as_run.body = buf_bytes(&packed);
	put_frame(e, &f);
	exchange(e);
	zframe_release(&z);
	buf_release(&b);
	buf_release(&zeros);
	buf_release(&packed);
}

static void a_gap_from_beyond(struct evil *e)
{
	say_gap(e, 31, 40);
}

static void a_gap_back(struct evil *e)
{
	struct weirlink_frame f = { .type = WEIRLINK_GAP, .at = 30 };

	f.as_gap.to = 10;
	put_frame(e, &f);
	exchange(e);
}

static void a_gap_too_wide(struct evil *e)
{
	say_gap(e, 30, 31 + MIRROR_GAP_MAX);
}

static void a_gap_to_the_end(struct evil *e)
{
	say_gap(e, 30, UINT64_C(1) << 63);
}

static void another_source(struct evil *e)
{
	struct weirlink_frame f = { .type = WEIRLINK_GAP,
				    .source = 9,
				    .at = 30 };

	f.as_gap.to = 31;
	put_frame(e, &f);
	exchange(e);
}

static void a_note_from_beyond(struct evil *e)
{
	struct weirlink_frame f = { .type = WEIRLINK_NOTE, .at = 31 };

	f.as_note.is = SPOOL_IS_DROP;
	put_frame(e, &f);
	exchange(e);
}

static void a_resumed_stranger(struct evil *e)
{
	say_source(e, WEIRLINK_RESUMED, 2, 0);
}

static void out_of_sequence(struct evil *e)
{
	e->sent++;
	say_run(e, 30, 1);
}

static void type_55(struct evil *e)
{
	struct weirlink_frame f = { .type = 0x55 };

	put_frame(e, &f);
	exchange(e);
}

static void a_collectors_frame(struct evil *e)
{
	struct weirlink_frame f = { .type = WEIRLINK_ACK };

	put_frame(e, &f);
	exchange(e);
}

static void four_gigabytes(struct evil *e)
{
	struct weirlink_frame f = { .type = WEIRLINK_END };
	size_t at = e->wire.plain.len;

	put_frame(e, &f);
	memset(e->wire.plain.p + at + 4, 0xff, 4);
	exchange(e);
}

TEST(an_agent_that_lies_ends_the_session_and_changes_nothing)
{
	static void (*const lies[])(struct evil *) = {
		lie_of_index,
		lie_of_sign,
		lie_of_crc,
		lie_of_count,
		lie_of_time,
		half_a_record,
		no_zstd,
		a_bomb,
		a_gap_from_beyond,
		a_gap_back,
		a_gap_too_wide,
		a_gap_to_the_end,
		another_source,
		a_note_from_beyond,
		a_resumed_stranger,
		out_of_sequence,
		type_55,
		a_collectors_frame,
		four_gigabytes,
	};

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct evil e;

		begin_with_thirty(&e);
		lies[i](&e);
		if (!e.over)
			fail_msg("lie %zu was believed", i);
		check_have(&e, 30, 30);
		/* And an honest session goes on from there. */
		leave(&e);
		shake(&e);
		say_source(&e, WEIRLINK_RESUMED, 1, 30);
		say_run(&e, 30, 5);
		CHECK_EQ(e.over, 0);
		check_have(&e, 35, 35);
		end(&e);
	}
}

TEST(I34_an_unknown_frame_that_may_be_skipped_is)
{
	struct weirlink_frame f = { .type = 0xf0 };
	struct evil e;

	begin_with_thirty(&e);
	f.payload = bytes_of_text("from a newer peer");
	put_frame(&e, &f);
	say_run(&e, 30, 5);
	CHECK_EQ(e.over, 0);
	check_have(&e, 35, 35);
	end(&e);
}

TEST(packets_before_their_source_are_refused)
{
	struct evil e;

	begin(&e, true);
	say_run(&e, 0, 5);
	CHECK_EQ(e.over, ERR_MALFORMED);
	CHECK(mirror_identity(e.p.mirror) == NULL);
	end(&e);
}

TEST(an_agent_that_begins_one_spool_after_another_runs_dry)
{
	struct evil e;
	int i;

	begin_with_thirty(&e);
	for (i = 2; i < 40 && !e.over; i++) {
		say_source(&e, WEIRLINK_DIVERGED, i, 0);
		say_run(&e, 0, 3);
	}
	CHECK_EQ(e.over, ERR_LIMIT);
	CHECK_EQ(i - 2, MIRROR_SIBLINGS_A_DAY + 1);
	CHECK(strstr(e.p.collector_err.text, "16 spools in a day"));
	/* What it had is still there. */
	CHECK_EQ(read_dir(t_path("mirror/src1")).packets,
		 30 + 3 * MIRROR_SIBLINGS_A_DAY);
	/* A spool that stays empty costs nothing. */
	leave(&e);
	shake(&e);
	for (i = 100; i < 140; i++)
		say_source(&e, WEIRLINK_DIVERGED, i, 0);
	CHECK_EQ(e.over, 0);
	end(&e);
}

TEST(I41_an_agent_that_falls_silent_is_dropped_after_20_s)
{
	struct evil e;

	begin_with_thirty(&e);
	e.p.now += LINK_SILENCE_NS - 1;
	exchange(&e);
	CHECK_EQ(e.over, 0);
	e.p.now += 1;
	exchange(&e);
	CHECK_EQ(e.over, ERR_FAILED);
	end(&e);
}

TEST(I30_an_agent_that_does_not_answer_the_handshake_is_dropped)
{
	struct evil e = { .weir = true };
	struct link_end *c;

	pair_init(&e.p);
	e.p.collector = link_collector_new(&e.p.collector_cfg, e.p.now);
	c = link_collector_end(e.p.collector);
	CHECK_EQ(c->calls->deadline(c), e.p.now + LINK_HANDSHAKE_NS);
	CHECK_EQ(c->calls->work(c, e.p.now + LINK_HANDSHAKE_NS - 1,
				&e.p.collector_err),
		 0);
	CHECK(c->calls->work(c, e.p.now + LINK_HANDSHAKE_NS,
			     &e.p.collector_err) < 0);
	end(&e);
}

/* -- ipcap's frames ------------------------------------------------------ */

static void put_preamble(struct buf *b, uint64_t from, const char *epoch)
{
	struct ipcap_preamble p = { .compression = "none",
				    .n_sources = 1,
				    .n_resume = 1 };

	p.sources[0] = (struct ipcap_source){ .id = 1,
					      .linktype = 1,
					      .snaplen = 65536 };
	strcpy(p.sources[0].epoch, epoch);
	p.resume[0] = (struct ipcap_resume){ 1, from };
	put_ipcap_preamble(b, &p);
}

static void put_ipcap_packets(struct buf *b, uint64_t base, uint32_t count)
{
	struct ipcap_frame f = { .type = IPCAP_BATCH,
				 .source = 1,
				 .base = base };
	struct buf records = { 0 };
	struct cursor c;
	size_t begun;

	for (uint32_t i = 0; i < count; i++) {
		struct packet p = packet_number(base + i);

		put_record(&records, &p);
	}
	c = cursor_on(buf_bytes(&records));
	begun = ipcap_frame_begin(b);
	CHECK_EQ(put_ipcap_batch(b, &c, 65535, IPCAP_PAYLOAD_MAX), count);
	ipcap_frame_end(b, begun, &f);
	buf_release(&records);
}

static void put_ipcap_gap_frame(struct buf *b, uint64_t from, uint64_t to)
{
	struct ipcap_frame f = { .type = IPCAP_GAP,
				 .flags = IPCAP_GAP_FLAG,
				 .source = 1 };
	struct ipcap_gap g = { 1, from, to };
	size_t begun = ipcap_frame_begin(b);

	put_ipcap_gap(b, &g);
	ipcap_frame_end(b, begun, &f);
}

TEST(I31_I32_each_byte_of_an_ipcap_stream_flipped_commits_nothing_of_it)
{
	struct buf good = { 0 };
	size_t batch;
	struct evil e;

	put_preamble(&good, 0, "00112233445566aa");
	batch = good.len;
	put_ipcap_packets(&good, 0, 3);
	begin(&e, false);
	put_bytes(&e.wire.plain, buf_bytes(&good));
	exchange(&e);
	CHECK_EQ(e.over, 0);
	check_have(&e, 3, 3);
	end(&e);
	for (size_t at = 0; at < good.len; at++) {
		begin(&e, false);
		put_bytes(&e.wire.plain, buf_bytes(&good));
		e.wire.plain.p[at] ^= 0x10;
		exchange(&e);
		/* A length that grew only waits for more. */
		if (!e.over) {
			e.p.now += LINK_SILENCE_NS;
			exchange(&e);
		}
		CHECK(e.over != 0);
		CHECK_EQ(mirror_durable(e.p.mirror), 0);
		if (at >= batch)
			CHECK_EQ(mirror_next(e.p.mirror), 0);
		end(&e);
	}
	buf_release(&good);
}

TEST(I45_I46_ipcap_batches_over_the_commit_point_are_cut_and_holes_refused)
{
	struct evil e;

	begin(&e, false);
	put_preamble(&e.wire.plain, 0, "00112233445566aa");
	put_ipcap_packets(&e.wire.plain, 0, 50);
	put_ipcap_packets(&e.wire.plain, 30, 40);
	exchange(&e);
	CHECK_EQ(e.over, 0);
	check_have(&e, 70, 70);
	put_ipcap_packets(&e.wire.plain, 71, 1);
	exchange(&e);
	CHECK_EQ(e.over, ERR_MALFORMED);
	check_have(&e, 70, 70);
	end(&e);
}

TEST(I35_a_frame_of_one_packet_is_taken)
{
	struct ipcap_frame f = { .type = IPCAP_PKT, .source = 1 };
	struct packet p = packet_number(0);
	struct evil e;
	size_t begun;

	begin(&e, false);
	put_preamble(&e.wire.plain, 0, "00112233445566aa");
	begun = ipcap_frame_begin(&e.wire.plain);
	put_be64(&e.wire.plain, p.time_ns / 1000000000);
	put_be32(&e.wire.plain, (uint32_t)(p.time_ns % 1000000000));
	put_be32(&e.wire.plain, p.wire_len);
	put_be32(&e.wire.plain, (uint32_t)p.data.len);
	put_bytes(&e.wire.plain, p.data);
	ipcap_frame_end(&e.wire.plain, begun, &f);
	exchange(&e);
	CHECK_EQ(e.over, 0);
	check_have(&e, 1, 1);
	end(&e);
}

TEST(I50_after_an_ipcap_gap_no_file_spans_it)
{
	struct got g;
	struct evil e;

	begin(&e, false);
	put_preamble(&e.wire.plain, 0, "00112233445566aa");
	put_ipcap_packets(&e.wire.plain, 0, 3);
	/* What a gap says of its begin is not believed, as in ipcap. */
	put_ipcap_gap_frame(&e.wire.plain, 500, 10);
	put_ipcap_packets(&e.wire.plain, 10, 3);
	put_ipcap_gap_frame(&e.wire.plain, 3, 10);
	put_ipcap_packets(&e.wire.plain, 13, 2);
	exchange(&e);
	CHECK_EQ(e.over, 0);
	g = mirror_got(&e.p);
	CHECK_EQ(g.packets, 8);
	CHECK_EQ(g.gaps, 1);
	CHECK_EQ(g.gap_from[0], 3);
	CHECK_EQ(g.gap_to[0], 10);
	CHECK(t_load(t_path("mirror/src1/%020d.pcap", 0)).len > 24);
	CHECK(t_load(t_path("mirror/src1/%020d.pcap", 10)).len > 24);
	put_ipcap_gap_frame(&e.wire.plain, 15, 16 + MIRROR_GAP_MAX);
	exchange(&e);
	CHECK_EQ(e.over, ERR_MALFORMED);
	end(&e);
}

TEST(I33_an_ipcap_frame_over_the_cap_is_refused_by_its_head)
{
	struct ipcap_frame f = { .type = IPCAP_BATCH, .source = 1 };
	struct evil e;
	size_t begun;

	begin(&e, false);
	put_preamble(&e.wire.plain, 0, "");
	begun = ipcap_frame_begin(&e.wire.plain);
	put_zeros(&e.wire.plain, IPCAP_PAYLOAD_MAX);
	ipcap_frame_end(&e.wire.plain, begun, &f);
	/* One more byte, with the checksum of the head made right again. */
	e.wire.plain.p[begun + 27]++;
	{
		uint8_t *h = e.wire.plain.p + begun;
		uint32_t crc;

		h[24] = 0x00;
		h[25] = 0x80;
		h[26] = 0x00;
		h[27] = 0x01;
		crc = crc32c(bytes_of(h, 28));
		for (int i = 0; i < 4; i++)
			h[28 + i] = (uint8_t)(crc >> (24 - 8 * i));
	}
	e.wire.plain.len = begun + 32;
	exchange(&e);
	CHECK_EQ(e.over, ERR_LIMIT);
	end(&e);
}

TEST(I47_an_ipcap_agent_with_another_epoch_is_asked_from_its_first_packet)
{
	struct got g;
	struct evil e;

	begin(&e, false);
	put_preamble(&e.wire.plain, 0, "00112233445566aa");
	put_ipcap_packets(&e.wire.plain, 0, 100);
	exchange(&e);
	check_have(&e, 100, 100);
	leave(&e);
	/* It took 100 for an index of its new spool. */
	shake(&e);
	put_preamble(&e.wire.plain, 100, "ffeeddccbbaa9988");
	exchange(&e);
	CHECK_EQ(e.over, ERR_END);
	CHECK(link_collector_again(e.p.collector));
	CHECK_EQ(mirror_next(e.p.mirror), 0);
	leave(&e);
	shake(&e);
	put_preamble(&e.wire.plain, 0, "ffeeddccbbaa9988");
	put_ipcap_packets(&e.wire.plain, 0, 250);
	put_ipcap_packets(&e.wire.plain, 250, 250);
	exchange(&e);
	CHECK_EQ(e.over, 0);
	g = mirror_got(&e.p);
	CHECK_EQ(g.packets, 600);
	CHECK_EQ(g.begins, 2);
	end(&e);
}

/* -- the agent under a hostile collector --------------------------------- */

struct asker {
	struct pair p;
	struct link_wire wire;
	uint64_t sent;
	int over;
};

static void ask_exchange(struct asker *k)
{
	struct link_end *a = link_agent_end(k->p.agent);
	struct err err = ERR_NONE;

	for (int i = 0; i < 1000 && !k->over; i++) {
		struct bytes out = link_wire_out(&k->wire);

		if (a->calls->take(a, out, k->p.now, &k->p.agent_err) < 0 ||
		    a->calls->work(a, k->p.now, &k->p.agent_err) < 0)
			k->over = k->p.agent_err.code;
		link_wire_sent(&k->wire, out.len);
		out = link_wire_out(a->wire);
		link_wire_take(&k->wire, out);
		link_wire_sent(a->wire, out.len);
		if (!out.len && !link_wire_out(&k->wire).len)
			return;
		while (link_wire_step(&k->wire, &err) == 0)
			;
		k->wire.in_at = k->wire.in.len;
	}
}

static void ask_begin(struct asker *k, bool weir)
{
	const struct weirlink_hello hello = { 1, 1, 0 };
	struct buf b = { 0 };

	memset(k, 0, sizeof(*k));
	remove_dir(t_path("mirror"));
	remove_dir(t_path("spool"));
	pair_init(&k->p);
	{
		struct spool *s = open_here();

		write_some(s, 3, 20);
		spool_close(s);
	}
	k->p.agent_cfg.collectors = (const uint8_t(*)[NOISE_KEY])k->p.listed;
	k->p.agent = link_agent_new(&k->p.agent_cfg, k->p.now);
	if (weir)
		put_weirlink_hello(&b, &hello);
	link_wire_dial(&k->wire, &k->p.collector_key,
		       (const uint8_t[NOISE_KEY]){ 8 }, k->p.agent_key.public,
		       buf_bytes(&b));
	buf_release(&b);
	ask_exchange(k);
	CHECK(k->wire.open);
	CHECK(!link_agent_live(k->p.agent));
}

static void ask_end(struct asker *k)
{
	link_wire_release(&k->wire);
	link_agent_free(k->p.agent);
	mirror_close(k->p.mirror);
}

static void flush(struct asker *k)
{
	struct err err = ERR_NONE;

	CHECK_OK(link_wire_flush(&k->wire, k->p.now, &err), &err);
	ask_exchange(k);
}

TEST(an_agent_closes_at_what_no_collector_says)
{
	static const uint8_t types[] = { WEIRLINK_ACK, WEIRLINK_SOURCE,
					 WEIRLINK_RUN, 0x55, WEIRLINK_END };

	for (size_t i = 0; i < sizeof(types); i++) {
		struct weirlink_frame f = { .type = types[i], .at = 1 };
		struct asker k;

		ask_begin(&k, true);
		f.as_source.verdict = 1;
		if (types[i] == WEIRLINK_RUN)
			f.as_run.raw_len = 16;
		put_weirlink(&k.wire.plain, &f);
		flush(&k);
		CHECK(k.over < 0);
		ask_end(&k);
	}
}

TEST(a_source_that_an_agent_does_not_have_is_refused_with_a_sentence)
{
	const struct weirlink_entry e = { .source = 5 };
	struct asker k;

	ask_begin(&k, true);
	put_weirlink_resume(&k.wire.plain, 0, &e, 1);
	flush(&k);
	CHECK_EQ(k.over, ERR_UNKNOWN);
	CHECK_STR(k.p.agent_err.text, "there is no source 5 here");
	ask_end(&k);
}

TEST(a_collector_that_talks_without_end_is_cut_off)
{
	struct asker k;

	ask_begin(&k, true);
	put_zeros(&k.wire.plain, 4);
	k.wire.plain.p[0] = WEIRLINK_RESUME;
	put_le32(&k.wire.plain, 1 << 20);
	put_zeros(&k.wire.plain, 16 + 20000);
	flush(&k);
	CHECK_EQ(k.over, ERR_LIMIT);
	ask_end(&k);
}

TEST(I31_the_first_frame_of_an_ipcap_collector_must_be_a_whole_ack)
{
	static const struct {
		uint8_t type;
		size_t len;
		bool good;
	} cases[] = {
		{ IPCAP_ACK, 18, true },	/* as it is */
		{ IPCAP_ACK, 32, true },	/* A01 */
		{ IPCAP_ACK, 17, false },	/* A02 */
		{ IPCAP_HEARTBEAT, 18, false }, /* A05 */
		{ 0xf0, 18, false },		/* A06 */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ipcap_frame f = { .type = cases[i].type,
					 .source = 9,
					 .flags = 0xffff,
					 .seq = 3 };
		uint8_t zeros[32] = { 0 };
		struct asker k;

		ask_begin(&k, false);
		f.payload = bytes_of(zeros, cases[i].len);
		put_ipcap_frame(&k.wire.plain, &f);
		flush(&k);
		CHECK_EQ(k.over == 0, cases[i].good);
		CHECK_EQ(atomic_load(&k.p.agent_counts.packets),
			 cases[i].good ? 60 : 0);
		ask_end(&k);
	}
}

TEST(I30_a_collector_that_says_nothing_is_dropped_after_10_s)
{
	struct asker k;
	struct link_end *a;

	ask_begin(&k, true);
	a = link_agent_end(k.p.agent);
	CHECK_EQ(a->calls->deadline(a), k.p.now + LINK_HANDSHAKE_NS);
	k.p.now += LINK_HANDSHAKE_NS - 1;
	ask_exchange(&k);
	CHECK_EQ(k.over, 0);
	k.p.now++;
	ask_exchange(&k);
	CHECK_EQ(k.over, ERR_AUTH);
	ask_end(&k);
}

/* Nothing on disk may move before a first record: anybody can repeat it. */
TEST(message_1_played_again_changes_nothing)
{
	struct asker k;
	struct link_agent *copy;
	struct link_end *a;
	struct buf message = { 0 };
	struct err err = ERR_NONE;
	struct bytes out;

	ask_begin(&k, true);
	{
		const struct weirlink_hello hello = { 1, 1, 0 };
		struct link_wire again;
		struct buf b = { 0 };

		put_weirlink_hello(&b, &hello);
		link_wire_dial(&again, &k.p.collector_key,
			       (const uint8_t[NOISE_KEY]){ 8 },
			       k.p.agent_key.public, buf_bytes(&b));
		put_bytes(&message, link_wire_out(&again));
		link_wire_release(&again);
		buf_release(&b);
	}
	copy = link_agent_new(&k.p.agent_cfg, k.p.now);
	a = link_agent_end(copy);
	CHECK_EQ(a->calls->take(a, buf_bytes(&message), k.p.now, &err), 0);
	CHECK_EQ(a->calls->work(a, k.p.now, &err), 0);
	out = link_wire_out(a->wire);
	CHECK(out.len > 0);
	CHECK(!link_agent_live(copy));
	CHECK_EQ(atomic_load(&k.p.agent_counts.sessions), 0);
	/* A record of another session does not open here. */
	CHECK(a->calls->take(a, bytes_of("\0\20aaaaaaaaaaaaaaaa", 18), k.p.now,
			     &err) < 0);
	CHECK(!link_agent_live(copy));
	link_agent_free(copy);
	buf_release(&message);
	ask_end(&k);
}
