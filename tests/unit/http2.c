/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/http2.h"

#include "codec/http1.h"
#include "messages_here.h"
#include "t.h"

enum {
	DATA,
	HEADERS,
	PRIORITY,
	RST,
	SETTINGS,
	PUSH,
	PING,
	GOAWAY,
	WINDOW,
	CONTINUATION
};

static const char PREFACE[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/* Both directions as they are fed, in turns; a negative length is a gap. */
struct talk {
	struct buf bytes;
	struct turn {
		int way;
		long len;
	} turns[64];
	size_t n;
};

static void turn(struct talk *t, int way, long len)
{
	CHECK(t->n < 64);
	t->turns[t->n++] = (struct turn){ way, len };
}

static void put_frame(struct buf *b, uint8_t type, uint8_t flags, uint32_t id,
		      struct bytes payload)
{
	put_u8(b, 0);
	put_be16(b, (uint16_t)payload.len);
	put_u8(b, type);
	put_u8(b, flags);
	put_be32(b, id);
	put_bytes(b, payload);
}

static void frame(struct talk *t, int way, uint8_t type, uint8_t flags,
		  uint32_t id, const char *hex)
{
	size_t was = t->bytes.len;

	put_frame(&t->bytes, type, flags, id, t_hex(hex));
	turn(t, way, (long)(t->bytes.len - was));
}

static void preface(struct talk *t)
{
	put_text(&t->bytes, PREFACE);
	turn(t, 0, (long)strlen(PREFACE));
	frame(t, 0, SETTINGS, 0, 0, "");
}

/* "0 request complete stream 1 [24,50) parts [40,43)+[52,55) …" */
static void note(void *self, const struct message *m)
{
	struct buf *b = self;

	put_format(b, "%d %s %s stream %u [%llu,%llu)", m->way,
		   kind_here(m->kind), message_status_name(m->status),
		   m->stream, (unsigned long long)m->all.start,
		   (unsigned long long)m->all.end);
	for (uint32_t i = 0; i < m->n_parts; i++)
		put_format(b, "%s[%llu,%llu)", i ? "+" : " parts ",
			   (unsigned long long)m->parts[i].start,
			   (unsigned long long)m->parts[i].end);
	put_format(b, " %llu: %s", (unsigned long long)m->body_bytes,
		   m->summary);
	for (size_t i = 0; m->http && i < m->http->n_trailers; i++)
		put_format(b, " +%.*s", (int)m->http->trailers[i].name.len,
			   (const char *)m->http->trailers[i].name.p);
	put_u8(b, '\n');
}

/* `step`: into slices of how many bytes; 0: as the turns are. */
static void play(const struct talk *t, size_t step, struct buf *out,
		 uint64_t *forgotten)
{
	struct message_sink sink = { out, note };
	struct http2_stream s = { .header_max = 0 };
	uint64_t at[2] = { 0, 0 };
	size_t from = 0;

	for (size_t i = 0; i < t->n; i++) {
		int way = t->turns[i].way;
		size_t len = (size_t)labs(t->turns[i].len), n;

		if (t->turns[i].len < 0) {
			at[way] += len;
			http2_stream_gap(&s, way, at[way], &sink);
			continue;
		}
		for (size_t k = 0; k < len; k += n) {
			n = step && step < len - k ? step : len - k;
			http2_stream_feed(&s, way, at[way],
					  bytes_of(t->bytes.p + from + k, n),
					  &sink);
			at[way] += n;
		}
		from += len;
	}
	http2_stream_end(&s, 0, &sink);
	http2_stream_end(&s, 1, &sink);
	if (forgotten)
		*forgotten = s.forgotten;
	http2_stream_release(&s);
}

/* The same in every way of cutting; the talk is over then. */
static void expect(struct talk *t, const char *text)
{
	struct buf out = { 0 };

	for (size_t step = 0; step < 40; step++) {
		buf_clear(&out);
		play(t, step, &out, NULL);
		CHECK_STR(text_here(&out), text);
	}
	buf_release(&out);
	buf_release(&t->bytes);
}

/* Header blocks: a GET of "/", a POST of "/p", 200, 103, trailers. */
static const char GET[] = "828684", POST[] = "838644022f70", OK[] = "88",
		  EARLY[] = "0803313033", TRAILERS[] = "400573756d2d31 0131";

TEST(R29_streams_that_interleave_have_their_parts)
{
	struct talk t = { .n = 0 };

	preface(&t);			     /* 33 */
	frame(&t, 0, HEADERS, 4, 1, POST);   /* 48 */
	frame(&t, 0, HEADERS, 5, 3, GET);    /* 60 */
	frame(&t, 0, DATA, 0, 1, "616263");  /* 72 */
	frame(&t, 1, SETTINGS, 0, 0, "");    /* 9 */
	frame(&t, 1, HEADERS, 4, 3, OK);     /* 19 */
	frame(&t, 0, DATA, 1, 1, "6465");    /* 83 */
	frame(&t, 1, HEADERS, 4, 1, "be88"); /* the table is empty: an error */
	expect(&t, "0 request complete stream 3 [48,60) 0: GET /\n"
		   "0 request complete stream 1 [33,83) parts [69,72)+[81,83) "
		   "5: POST /p\n"
		   "1 error parse_error stream 0 [19,30) 0: "
		   "a header block that breaks its format\n"
		   "1 response partial stream 3 [9,19) 0: 200\n"
		   "1 response partial stream 1 [19,30) 0: "
		   "stream 1, fields not known\n");
}

TEST(R29_continuation_padding_and_priority_are_no_part_of_a_block)
{
	struct talk t = { .n = 0 };

	preface(&t);
	/* Padded, with priority; the block in three frames, one empty. */
	frame(&t, 0, HEADERS, 1 | 8 | 32, 1, "02 80000000ff 83 0000");
	frame(&t, 0, CONTINUATION, 0, 1, "");
	frame(&t, 0, CONTINUATION, 4, 1, "8644022f70");
	frame(&t, 1, HEADERS, 4, 1, OK);
	frame(&t, 1, PRIORITY, 0, 9, "0000000000");
	frame(&t, 1, DATA, 8, 1, "02 6161 0000");
	frame(&t, 1, DATA, 8 | 1, 1, "00");
	expect(&t, "0 request complete stream 1 [33,74) 0: POST /p\n"
		   "1 response complete stream 1 [0,48) parts [34,36) 2: "
		   "200\n");
}

TEST(R29_interim_answers_trailers_and_promises)
{
	struct talk t = { .n = 0 };

	preface(&t);
	frame(&t, 0, HEADERS, 5, 1, GET);
	frame(&t, 1, HEADERS, 4, 1, EARLY);
	frame(&t, 1, PUSH, 4, 1, "00000002 828684");
	frame(&t, 1, HEADERS, 4, 1, OK);
	frame(&t, 1, DATA, 0, 1, "61");
	frame(&t, 1, HEADERS, 5, 1, TRAILERS);
	frame(&t, 1, HEADERS, 5, 2, OK);
	expect(&t, "0 request complete stream 1 [33,45) 0: GET /\n"
		   "1 response complete stream 1 [0,14) 0: 103\n"
		   "1 request complete stream 2 [14,30) 0: GET /\n"
		   "1 response complete stream 1 [30,68) parts [49,50) 1: 200 "
		   "+sum-1\n"
		   "1 response complete stream 2 [68,78) 0: 200\n");
}

TEST(R29_resets_and_goaway_are_told)
{
	struct talk t = { .n = 0 };

	preface(&t);
	frame(&t, 0, HEADERS, 4, 1, POST);
	frame(&t, 1, HEADERS, 4, 1, OK);
	frame(&t, 1, RST, 0, 1, "00000008");
	frame(&t, 0, GOAWAY, 0, 0, "00000001 00000000 6279");
	frame(&t, 0, RST, 0, 7, "0000ffff");
	expect(&t, "0 request partial stream 1 [33,48) 0: POST /p\n"
		   "1 response partial stream 1 [0,10) 0: 200\n"
		   "1 frame complete stream 1 [10,23) 0: "
		   "stream 1 reset: cancel\n"
		   "0 frame complete stream 0 [48,67) 0: "
		   "going away, last stream 1: no error\n"
		   "0 frame complete stream 7 [67,80) 0: "
		   "stream 7 reset: unknown error\n");
}

TEST(R29_without_the_client_a_servers_settings_begin_it)
{
	struct talk t = { .n = 0 };

	frame(&t, 1, SETTINGS, 0, 0, "000300000064");
	frame(&t, 1, HEADERS, 5, 1, OK);
	CHECK(http2_looks_like(bytes_of(t.bytes.p, 15)));
	for (size_t i = 1; i < 15; i++)
		CHECK(http2_looks_like(bytes_of(t.bytes.p, i)));
	CHECK(http2_looks_like(bytes_of_text("PRI * H")));
	CHECK(!http2_looks_like(bytes_of_text("PROPFIND ")));
	CHECK(!http2_looks_like(t_hex("000000040000000001")));
	CHECK(!http2_looks_like(t_hex("000005040000000000")));
	expect(&t, "1 response complete stream 1 [15,25) 0: 200\n");
}

TEST(a_gap_inside_data_breaks_that_message_only)
{
	struct talk t = { .n = 0 };

	preface(&t);
	frame(&t, 1, HEADERS, 4, 1, OK);
	frame(&t, 1, DATA, 1, 1, "616263646566");
	t.turns[t.n - 1].len = 9 + 2; /* the first two bytes of it … */
	turn(&t, 1, -3);
	t.bytes.len -= 3;
	t.bytes.p[t.bytes.len - 1] = 'f';
	turn(&t, 1, 1); /* … and the last */
	frame(&t, 1, HEADERS, 5, 3, OK);
	expect(&t, "1 response partial stream 1 [0,25) parts [19,25) 3: 200\n"
		   "1 response complete stream 3 [25,35) 0: 200\n");
}

TEST(a_gap_over_headers_loses_fields_and_says_so_once)
{
	struct talk t = { .n = 0 };
	struct buf out = { 0 };

	preface(&t);
	frame(&t, 1, SETTINGS, 0, 0, "");
	turn(&t, 1, -100);
	frame(&t, 1, DATA, 0, 1, "6162"); /* its head was in the hole */
	frame(&t, 1, HEADERS, 5, 3, OK);
	frame(&t, 1, DATA, 1, 1, "63");
	play(&t, 0, &out, NULL);
	CHECK_STR(text_here(&out),
		  "1 error parse_error stream 0 [9,109) 0: "
		  "a hole: header fields are not known from here on\n"
		  "1 response partial stream 3 [120,130) 0: "
		  "stream 3, fields not known\n"
		  "1 response partial stream 1 [109,140) "
		  "parts [118,120)+[139,140) 3: stream 1, fields not known\n");
	buf_release(&out);
	buf_release(&t.bytes);
}

TEST(behind_a_gap_frames_are_found_again_inside_a_slice)
{
	struct talk t = { .n = 0 };
	struct buf out = { 0 };

	preface(&t);
	turn(&t, 0, -50);
	put_text(&t.bytes, "the rest of some frame");
	frame(&t, 0, HEADERS, 5, 3, GET);
	frame(&t, 0, HEADERS, 5, 5, GET);
	/* As one slice. */
	t.turns[t.n - 2].len += t.turns[t.n - 1].len + 22;
	t.n--;
	play(&t, 0, &out, NULL);
	CHECK_STR(text_here(&out),
		  "0 error parse_error stream 0 [33,83) 0: "
		  "a hole: header fields are not known from here on\n"
		  "0 request partial stream 3 [105,117) 0: "
		  "stream 3, fields not known\n"
		  "0 request partial stream 5 [117,129) 0: "
		  "stream 5, fields not known\n");
	buf_release(&out);
	buf_release(&t.bytes);
}

TEST(R31_what_breaks_framing_ends_the_direction)
{
	static const struct {
		uint8_t type, flags;
		uint32_t id;
		const char *hex, *why;
	} wrong[] = {
		{ DATA, 0, 0, "61", "a frame of a stream where none may be" },
		{ SETTINGS, 0, 1, "", "a frame of a stream where none may be" },
		{ SETTINGS, 0, 0, "00",
		  "a frame of a length that its kind cannot have" },
		{ PING, 0, 0, "00",
		  "a frame of a length that its kind cannot have" },
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct talk t = { .n = 0 };
		struct buf out = { 0 };

		preface(&t);
		frame(&t, 0, wrong[i].type, wrong[i].flags, wrong[i].id,
		      wrong[i].hex);
		frame(&t, 0, HEADERS, 5, 3, GET);
		play(&t, 0, &out, NULL);
		CHECK(strstr(text_here(&out), wrong[i].why) != NULL);
		CHECK(strstr(text_here(&out), "GET") == NULL);
		buf_release(&out);
		buf_release(&t.bytes);
	}
}

TEST(R31_blocks_that_break_off_and_padding_that_lies_are_errors)
{
	struct talk t = { .n = 0 };

	preface(&t);
	frame(&t, 0, HEADERS, 1, 1, "82"); /* its end never comes */
	frame(&t, 0, HEADERS, 5, 3, GET);
	frame(&t, 0, DATA, 8, 5, "05 61");
	expect(&t, "0 error parse_error stream 0 [43,52) 0: "
		   "a header block that is broken off\n"
		   "0 request partial stream 3 [43,55) 0: "
		   "stream 3, fields not known\n"
		   "0 error parse_error stream 0 [55,66) 0: "
		   "padding longer than its frame\n");
}

TEST(settings_bound_what_the_other_side_sends)
{
	struct talk t = { .n = 0 };
	struct buf big = { 0 };

	preface(&t);
	/* Its table may have 8192 bytes, its frames as much as ever. */
	frame(&t, 1, SETTINGS, 0, 0, "000100002000");
	frame(&t, 0, HEADERS, 5, 1, "3fe13f 828684"); /* 8192 */
	frame(&t, 0, HEADERS, 5, 3, "3fe23f 828684"); /* 8193 */
	put_zeros(&big, 16385);
	put_frame(&t.bytes, DATA, 0, 1, buf_bytes(&big));
	turn(&t, 0, 16385 + 9);
	expect(&t, "0 request complete stream 1 [33,48) 0: GET /\n"
		   "0 error parse_error stream 0 [48,63) 0: "
		   "a header block that breaks its format\n"
		   "0 request partial stream 3 [48,63) 0: "
		   "stream 3, fields not known\n"
		   "0 error parse_error stream 0 [63,72) 0: "
		   "a frame longer than was agreed\n");
	buf_release(&big);
}

/* -- caps ------------------------------------------------------------------ */

TEST(R31_streams_over_the_cap_push_the_oldest_out)
{
	struct talk t = { .n = 0 };
	struct buf out = { 0 };
	uint64_t forgotten;

	preface(&t);
	for (uint32_t i = 0; i < HTTP2_STREAMS_MAX + 2; i++)
		put_frame(&t.bytes, HEADERS, 4, 1 + 2 * i, t_hex(POST));
	turn(&t, 0, (HTTP2_STREAMS_MAX + 2) * 15);
	play(&t, 0, &out, &forgotten);
	CHECK_EQ(forgotten, 2);
	CHECK(strncmp(text_here(&out),
		      "0 request partial stream 1 [33,48) 0: POST /p\n",
		      46) == 0);
	buf_release(&out);
	buf_release(&t.bytes);
}

TEST(R31_a_block_over_the_limit_is_an_error_and_memory_stays_flat)
{
	struct buf out = { 0 }, b = { 0 }, payload = { 0 };
	struct message_sink sink = { &out, note };
	struct http2_stream s = { .header_max = 1024 };

	put_text(&b, PREFACE);
	put_frame(&b, HEADERS, 0, 1, t_hex(GET));
	put_zeros(&payload, 1000);
	for (int i = 0; i < 100; i++)
		put_frame(&b, CONTINUATION, i == 99 ? 4 : 0, 1,
			  buf_bytes(&payload));
	http2_stream_feed(&s, 0, 0, buf_bytes(&b), &sink);
	CHECK(s.way[0].block.cap <= 2048 && s.way[0].payload.cap <= 4096);
	CHECK(strstr(text_here(&out), "over the limit") != NULL);
	http2_stream_end(&s, 0, &sink);
	http2_stream_release(&s);
	buf_release(&out);
	buf_release(&b);
	buf_release(&payload);
}

struct counted {
	size_t kept, seen, parts, parts_seen;
};

static void count(void *self, const struct message *m)
{
	struct counted *c = self;

	c->parts = m->n_parts;
	c->parts_seen = m->parts_seen;
	if (m->http) {
		c->kept = m->http->n_fields;
		c->seen = m->http->fields_seen;
	}
}

TEST(R31_fields_and_parts_over_their_caps_are_counted)
{
	struct buf b = { 0 }, block = { 0 };
	struct counted c = { 0 };
	struct message_sink sink = { &c, count };
	struct http2_stream s = { .header_max = 0 };

	put_text(&b, PREFACE);
	for (int i = 0; i < 200; i++)
		put_u8(&block, 0x82);
	put_frame(&b, HEADERS, 4, 1, buf_bytes(&block));
	for (int i = 0; i <= HTTP2_PARTS_MAX; i++)
		put_frame(&b, DATA, i == HTTP2_PARTS_MAX, 1,
			  bytes_of_text("x"));
	http2_stream_feed(&s, 0, 0, buf_bytes(&b), &sink);
	CHECK_EQ(c.kept, HTTP_FIELDS_MAX);
	CHECK_EQ(c.seen, 200);
	CHECK_EQ(c.parts, HTTP2_PARTS_MAX);
	CHECK_EQ(c.parts_seen, HTTP2_PARTS_MAX + 1);

	/* One reference a byte, each to a kilobyte: bounded all the same. */
	buf_clear(&b);
	buf_clear(&block);
	put_text(&block, "@"); /* a literal, into the table */
	put_be16(&block, 0x0161);
	put_u8(&block, 0x7f);
	put_be16(&block, 0x8107); /* of 1024 bytes */
	put_zeros(&block, 1024);
	for (int i = 0; i < 500; i++)
		put_u8(&block, 0xbe);
	put_frame(&b, HEADERS, 4, 3, buf_bytes(&block));
	http2_stream_feed(&s, 0, s.way[0].next, buf_bytes(&b), &sink);
	CHECK_EQ(s.way[0].n, 1);
	CHECK(http2_way_held(&s.way[0]) <= 256 << 10);
	http2_stream_end(&s, 0, &sink);
	CHECK_EQ(c.seen, 501);
	http2_stream_release(&s);
	buf_release(&b);
	buf_release(&block);
}
