/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/layer/layer.h"

#include "layers_here.h"
#include "t.h"

/* -- what comes out ----------------------------------------------- */

struct example {
	enum layer_kind kind;
	const char *in, *out;
	enum layer_status status;
	int at;		 /* of a failure */
	int behind;	 /* bytes behind the end */
	const char *why; /* a part of it */
};

/* Text; a line of hex digits for what is no text begins with "x:". */
static const struct example examples[] = {
	{ LAYER_CHUNKED, "4\r\nWiki\r\n7;x=y\r\npedia i\r\n0\r\n\r\n",
	  "Wikipedia i", LAYER_OK },
	{ LAYER_CHUNKED, "A\r\n0123456789\r\n0\r\nA: b\r\nC: d\r\n\r\nHTTP",
	  "0123456789", LAYER_OK, .behind = 4 },
	{ LAYER_CHUNKED, "2\nab\n0\n\n", "ab", LAYER_OK },
	{ LAYER_CHUNKED, "2\r\nab\r\n0\r\n", "ab", LAYER_OK },
	{ LAYER_CHUNKED, "0\r\n\r\n", "", LAYER_OK },
	{ LAYER_CHUNKED, "4\r\nWi", "Wi", LAYER_FAILED, 5, .why = "ends" },
	{ LAYER_CHUNKED, "2\r\nabc", "ab", LAYER_FAILED, 5,
	  .why = "longer than its size" },
	{ LAYER_CHUNKED, "2\r\nab\r\nxy\r\n", "ab", LAYER_FAILED, 7,
	  .why = "no number" },
	{ LAYER_CHUNKED, "1234567890abcdef\r\n", "", LAYER_FAILED, 15,
	  .why = "past all numbers" },
	{ LAYER_CHUNKED, "2\r\nab\r\n\r\n", "ab", LAYER_FAILED, 7,
	  .why = "no number" },
	{ LAYER_CHUNKED, "{\"a\":1}", "{\"a\":1}", LAYER_NOOP,
	  .why = "size of a chunk" },
	{ LAYER_GZIP,
	  "x:1f8b08000000000000034b040043beb7e801000000", "a", LAYER_OK },
	/* Two members, zeros behind them as tar pads. */
	{ LAYER_GZIP,
	  "x:1f8b08000000000000034b040043beb7e801000000"
	  "1f8b08000000000000034b040043beb7e8010000000000", "aa", LAYER_OK,
	  .behind = 2 },
	{ LAYER_GZIP,
	  "x:1f8b08000000000000034b040043beb7e801000000 1f8b", "a", LAYER_OK,
	  .behind = 2 },
	{ LAYER_GZIP, "x:1f8b08000000000000034b040043beb7e801000000 1f8b21",
	  "a", LAYER_OK, .behind = 3 },
	/* A wrong checksum: what came out stands. */
	{ LAYER_GZIP, "x:1f8b08000000000000034b040043beb7e901000000", "a",
	  LAYER_FAILED, 17, .why = "incorrect data check" },
	{ LAYER_GZIP, "x:1f8b08000000000000034b04", "a", LAYER_FAILED, 12,
	  .why = "ends early" },
	{ LAYER_GZIP, "x:1f8b08", "", LAYER_FAILED, 3, .why = "ends early" },
	{ LAYER_GZIP, "x:1f8b", "\x1f\x8b", LAYER_NOOP, .why = "like gzip" },
	{ LAYER_GZIP, "<html>", "<html>", LAYER_NOOP, .why = "like gzip" },
	{ LAYER_GZIP, "", "", LAYER_NOOP, .why = "nothing" },
	{ LAYER_ZLIB, "x:789c4b040000620062 6162", "a", LAYER_OK,
	  .behind = 2 },
	{ LAYER_ZLIB, "x:789d4b040000620062", "x\x9d" "K\4", LAYER_NOOP,
	  .why = "zlib" },
	{ LAYER_DEFLATE, "x:789c4b040000620062", "a", LAYER_OK },
	{ LAYER_DEFLATE, "x:4b0400", "a", LAYER_OK },
	{ LAYER_DEFLATE, "x:4b", "K", LAYER_NOOP, .why = "too short" },
	{ LAYER_RAW_DEFLATE, "x:4b0400 62", "a", LAYER_OK, .behind = 1 },
	{ LAYER_RAW_DEFLATE, "x:07", "", LAYER_FAILED, 1,
	  .why = "invalid block type" },
	{ LAYER_RAW_DEFLATE, "x:4b", "", LAYER_FAILED, 1, .why = "ends" },
	{ LAYER_BROTLI, "x:0b00806103 62", "a", LAYER_OK, .behind = 1 },
	{ LAYER_BROTLI, "x:0b0080", "", LAYER_FAILED, 3, .why = "ends early" },
	{ LAYER_BROTLI, "x:ffffffff", "", LAYER_FAILED, -1, .why = "" },
	{ LAYER_ZSTD, "x:28b52ffd2001090000 61", "a", LAYER_OK },
	/* A skippable frame, a frame, then something else. */
	{ LAYER_ZSTD, "x:502a4d1802000000ffff 28b52ffd2001090000 61 3c68746d",
	  "a", LAYER_OK, .behind = 4 },
	{ LAYER_ZSTD, "x:28b52ffd2001090000 61 28b5", "a", LAYER_OK,
	  .behind = 2 },
	{ LAYER_ZSTD, "x:28b52ffd20", "", LAYER_FAILED, 5,
	  .why = "ends early" },
	{ LAYER_ZSTD, "x:28b52f", "(\xb5/", LAYER_NOOP, .why = "like zstd" },
	/* A window of 2 GiB is not taken. */
	{ LAYER_ZSTD, "x:28b52ffd00a8090000 61", "", LAYER_FAILED, -1,
	  .why = "memory" },
	{ LAYER_BASE64, "aGVsbG8=", "hello", LAYER_OK },
	{ LAYER_BASE64, "aGVs\r\nbG 8", "hello", LAYER_OK },
	{ LAYER_BASE64, "aGVsbA==aGk=\n", "hellhi", LAYER_OK },
	{ LAYER_BASE64, "-_-_+/+/", "\xfb\xff\xbf\xfb\xff\xbf", LAYER_OK },
	{ LAYER_BASE64, "aGVsb", "hel", LAYER_FAILED, 4, .why = "left over" },
	{ LAYER_BASE64, "aGVsbG8!aGVs", "hello", LAYER_FAILED, 7,
	  .why = "character" },
	{ LAYER_BASE64, "aGVs=", "hel", LAYER_FAILED, 4, .why = "character" },
	{ LAYER_BASE64, "{}", "{}", LAYER_NOOP, .why = "begin" },
	{ LAYER_HEX, "48656c6C6f", "Hello", LAYER_OK },
	{ LAYER_HEX, "48:65 6c\r\n6c 6f", "Hello", LAYER_OK },
	{ LAYER_HEX, "4865 6c6", "Hel", LAYER_FAILED, 7, .why = "left over" },
	{ LAYER_HEX, "4865g", "He", LAYER_FAILED, 4, .why = "no digit" },
	{ LAYER_HEX, "zz", "zz", LAYER_NOOP, .why = "begin" },
	{ LAYER_URL, "a%20b+c%2Bd", "a b c+d", LAYER_OK },
	{ LAYER_URL, "100%&%zz%4", "100%&%zz%4", LAYER_NOOP,
	  .why = "nothing in it is coded" },
	{ LAYER_URL, "%%41%4%42", "%A%4B", LAYER_OK },
	{ LAYER_PERCENT, "a%2Fb+c", "a/b+c", LAYER_OK },
	{ LAYER_PERCENT, "a+c", "a+c", LAYER_NOOP },
	{ LAYER_JSON, "{\"a\\n\\u0041\\/\": \"\\u00e4\\ud83d\\ude00\\\"\"}",
	  "{\"a\nA/\": \"\xc3\xa4\xf0\x9f\x98\x80\"\"}", LAYER_OK },
	/* Halves of pairs, and what is no escape, stay as they are. */
	{ LAYER_JSON, "[\"\\ud83dx\\ude00\\x\\u12\", \"\\ud83d\\u0041\", \"\\ud83d\\n\"]",
	  "[\"\\ud83dx\\ude00\\x\\u12\", \"\\ud83dA\", \"\\ud83d\n\"]",
	  LAYER_OK },
	{ LAYER_JSON, "[\"\\ud83d\\ud83d\\ude00\", \"\\ud83d\\u00",
	  "[\"\\ud83d\xf0\x9f\x98\x80\", \"\\ud83d\\u00", LAYER_OK },
	{ LAYER_JSON, "{\"a\": 1, \\n}", "{\"a\": 1, \\n}", LAYER_NOOP },
	{ LAYER_JSON, "[\"aGVsbG8gd29ybGQ=\"]", "[\"aGVsbG8gd29ybGQ=\"]",
	  LAYER_NOOP },
	{ LAYER_JSON_BASE64,
	  "{\"username\":\"aGVsbG8gd29ybGQ=\",\"b\":\"a\\u0062\"}",
	  "{\"username\":\"hello world\",\"b\":\"ab\"}", LAYER_OK },
	/* As PHP writes it; words; an end inside. */
	{ LAYER_JSON_BASE64, "[\"L2V0Yy9w\\/YXNz\\/\",\"password\"]",
	  "[\"L2V0Yy9w/YXNz/\",\"password\"]", LAYER_OK },
	{ LAYER_JSON_BASE64, "[\"aHR0cDov\\/\\/\"]", "[\"aHR0cDov//\"]",
	  LAYER_OK },
	{ LAYER_JSON_BASE64, "[\"Pz8\\/Pz8\\/\"]", "[\"??????\"]", LAYER_OK },
	{ LAYER_JSON_BASE64, "[\"aGVsbG8gd29ybGQ", "[\"aGVsbG8gd29ybGQ",
	  LAYER_NOOP },
	{ LAYER_JSON_BASE64, "[\"iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB\"]",
	  "x:5b2289504e470d0a1a0a0000000d49484452000000010000000122 5d",
	  LAYER_OK },
	/* RFC 6455's own example, a ping between two frames, a close. */
	{ LAYER_WEBSOCKET,
	  "x:8185 37fa213d 7f9f4d5158 0103 48656c 8904 70696e67 8002 6c6f"
	  " 8800", "HelloHello", LAYER_OK },
	/* RFC 7692's: the second message uses the first one's window. */
	{ LAYER_WEBSOCKET, "x:c107 f248cdc9c90700 c105 f200110000",
	  "HelloHello", LAYER_OK },
	{ LAYER_WEBSOCKET, "x:8105 4865", "He", LAYER_FAILED, 4,
	  .why = "inside a message" },
	{ LAYER_WEBSOCKET, "x:8102 4865 8300", "He", LAYER_FAILED, 4,
	  .why = "opcode" },
	{ LAYER_WEBSOCKET, "GET /", "GET /", LAYER_NOOP,
	  .why = "WebSocket frame" },
};

static struct bytes bytes_here(const char *text)
{
	return strncmp(text, "x:", 2) == 0 ? t_hex(text + 2)
					   : bytes_of_text(text);
}

static bool is_as_said(const struct outcome *o, const struct example *e)
{
	struct bytes out = bytes_here(e->out);
	bool cut = e->kind == LAYER_ZLIB && e->status == LAYER_NOOP;

	return o->result.status == e->status &&
	       (cut ? o->out.len > out.len &&
			       memcmp(o->out.p, out.p, out.len) == 0
		    : bytes_equal(buf_bytes(&o->out), out)) &&
	       o->result.out == o->out.len &&
	       o->result.behind == (uint64_t)e->behind &&
	       (e->status != LAYER_FAILED || e->at < 0 ||
		o->result.at == (uint64_t)e->at) &&
	       (!e->why || (o->result.why && strstr(o->result.why, e->why)));
}

static void check_example(const struct example *e, struct outcome *o,
			  const char *how, size_t n)
{
	if (!is_as_said(o, e))
		fail_msg("%s of %s, %s %zu: %s at %llu, %llu behind, \"%.*s\", "
			 "%s",
			 layer_name(e->kind), e->in, how, n,
			 layer_status_name(o->result.status),
			 (unsigned long long)o->result.at,
			 (unsigned long long)o->result.behind, (int)o->out.len,
			 o->out.len ? (const char *)o->out.p : "",
			 o->result.why ? o->result.why : "-");
	outcome_release(o);
}

TEST(R38_each_coding_gives_the_same_however_it_is_cut)
{
	for (size_t i = 0; i < sizeof(examples) / sizeof(*examples); i++) {
		const struct example *e = &examples[i];
		struct bytes in = bytes_here(e->in);
		struct outcome o;

		for (size_t step = 0; step <= in.len; step++) {
			o = undo_here(e->kind, in, step);
			check_example(e, &o, "in pieces of", step);
		}
		for (size_t cut = 0; cut <= in.len; cut++) {
			begin_here(&o, e->kind);
			feed_here(&o, bytes_of(in.p, cut));
			feed_here(&o, bytes_of(in.p + cut, in.len - cut));
			end_here(&o);
			check_example(e, &o, "cut at", cut);
		}
	}
}

TEST(R38_names_of_http_and_of_rustmate_are_known)
{
	static const struct {
		const char *name;
		enum layer_kind kind;
	} names[] = {
		{ "GZip", LAYER_GZIP },	    { "x-gzip", LAYER_GZIP },
		{ "br", LAYER_BROTLI },	    { "brotli", LAYER_BROTLI },
		{ "deflate", LAYER_DEFLATE }, { "url_decode", LAYER_URL },
		{ "http_chunked", LAYER_CHUNKED },
		{ "websocket_deflate", LAYER_WEBSOCKET },
	};
	enum layer_kind kind;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		CHECK_EQ(layer_kind_of(bytes_of_text(names[i].name), &kind),
			 0);
		CHECK_EQ(kind, names[i].kind);
	}
	for (int i = 0; i < LAYER_KINDS; i++) {
		const char *name = layer_name((enum layer_kind)i);

		CHECK_EQ(layer_kind_of(bytes_of_text(name), &kind), 0);
		CHECK_EQ((int)kind, i);
	}
	CHECK_EQ(layer_kind_of(bytes_of_text("compress"), &kind), ERR_UNKNOWN);
	CHECK_EQ(layer_kind_of(bytes_of_text(""), &kind), ERR_UNKNOWN);
}

/* -- the way back ------------------------------------------------- */

/*
 * What a span promises, asked of the layer itself: without the input up to its
 * end the byte is not there, and before its start nobody could know it.
 */
static void check_span(enum layer_kind kind, struct bytes in, struct bytes out,
		       uint64_t at, struct layer_span span)
{
	struct outcome o;

	CHECK(span.start < span.end && span.end <= in.len);
	begin_here(&o, kind);
	feed_here(&o, bytes_of(in.p, (size_t)span.start));
	if (o.out.len > at)
		fail_msg("%s: byte %llu is there before its span [%llu,%llu)",
			 layer_name(kind), (unsigned long long)at,
			 (unsigned long long)span.start,
			 (unsigned long long)span.end);
	feed_here(&o, bytes_of(in.p + span.start,
			       (size_t)(span.end - span.start)));
	end_here(&o);
	/* Those two wait for a whole string, a whole message. */
	if (kind != LAYER_JSON_BASE64 && kind != LAYER_WEBSOCKET &&
	    (o.out.len <= at || o.out.p[at] != out.p[at]))
		fail_msg("%s: byte %llu is not made of its span [%llu,%llu)",
			 layer_name(kind), (unsigned long long)at,
			 (unsigned long long)span.start,
			 (unsigned long long)span.end);
	outcome_release(&o);
}

static void check_map(enum layer_kind kind, struct bytes in, size_t step,
		      unsigned samples)
{
	struct outcome o = undo_here(kind, in, step);
	const struct layer_map *m = layer_map(o.layer);
	struct layer_span last = { 0, 0 };

	CHECK_EQ(layer_map_end(m), o.out.len);
	for (uint64_t at = 0; at < o.out.len; at++) {
		struct layer_span s = layer_map_back(
			m, (struct layer_span){ at, at + 1 });

		CHECK(s.start >= last.start && s.end >= last.end);
		last = s;
		if (samples >= o.out.len ||
		    t_random_below(o.out.len) < samples)
			check_span(kind, in, buf_bytes(&o.out), at, s);
	}
	outcome_release(&o);
}

TEST(R38_each_byte_leads_back_to_what_gave_it)
{
	for (size_t i = 0; i < sizeof(examples) / sizeof(*examples); i++) {
		const struct example *e = &examples[i];
		struct bytes in = bytes_here(e->in);

		if (e->status != LAYER_OK)
			continue;
		check_map(e->kind, in, 0, 1000);
		check_map(e->kind, in, 1, 1000);
	}
}

TEST(packed_bytes_lead_back_to_a_step_of_the_input)
{
	static const struct {
		enum layer_kind kind;
		void (*put)(struct buf *b, struct bytes in);
	} packers[] = { { LAYER_GZIP, put_gzip },
			{ LAYER_BROTLI, put_brotli },
			{ LAYER_ZSTD, put_zstd } };
	struct buf words = { 0 };

	put_words(&words, 300000);
	for (size_t i = 0; i < 3; i++) {
		struct buf packed = { 0 };
		struct outcome o;
		struct layer_span s;

		/* Two members, where a coding has those. */
		packers[i].put(&packed, buf_bytes(&words));
		if (packers[i].kind != LAYER_BROTLI)
			packers[i].put(&packed, buf_bytes(&words));
		check_map(packers[i].kind, buf_bytes(&packed), 0, 40);
		check_map(packers[i].kind, buf_bytes(&packed), 777, 40);
		o = undo_here(packers[i].kind, buf_bytes(&packed), 0);
		s = layer_map_back(layer_map(o.layer),
				   (struct layer_span){ 200000, 200001 });
		/* zstd gives whole blocks, the others steps. */
		CHECK(s.end - s.start <=
		      (packers[i].kind == LAYER_ZSTD ? 80000u : 1100u));
		outcome_release(&o);
		buf_release(&packed);
	}
	buf_release(&words);
}

TEST(exact_codings_lead_back_exactly)
{
	struct bytes in = bytes_of_text("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
	struct outcome o = undo_here(LAYER_CHUNKED, in, 0);
	struct layer_span s;

	for (uint64_t at = 0; at < 5; at++) {
		s = layer_map_back(layer_map(o.layer),
				   (struct layer_span){ at, at + 1 });
		CHECK_EQ(s.end - s.start, 1);
		CHECK_EQ(in.p[s.start], "abcde"[at]);
	}
	s = layer_map_back(layer_map(o.layer), (struct layer_span){ 1, 4 });
	CHECK_EQ(s.start, 4);
	CHECK_EQ(s.end, 12);
	/* Behind the end, and empty. */
	s = layer_map_back(layer_map(o.layer), (struct layer_span){ 5, 9 });
	CHECK_EQ(s.end - s.start, 0);
	s = layer_map_back(layer_map(o.layer), (struct layer_span){ 3, 3 });
	CHECK_EQ(s.end - s.start, 0);
	outcome_release(&o);

	o = undo_here(LAYER_BASE64, bytes_of_text("aGVs bG8gd29y\nbGQ="), 0);
	s = layer_map_back(layer_map(o.layer), (struct layer_span){ 6, 7 });
	CHECK_EQ(s.start, 9); /* "w" of "bG8gd29y": its second group */
	CHECK_EQ(s.end, 13);
	outcome_release(&o);
}

TEST(a_map_with_too_many_runs_gets_coarse_and_stays_right)
{
	struct buf in = { 0 };
	struct outcome o;
	struct layer_span s;

	for (int i = 0; i < LAYER_RUNS_MAX; i++)
		put_text(&in, "a%41");
	o = undo_here(LAYER_URL, buf_bytes(&in), 0);
	CHECK_EQ(layer_map(o.layer)->n, LAYER_RUNS_MAX);
	CHECK(layer_map(o.layer)->coarse);
	CHECK_EQ(layer_map_end(layer_map(o.layer)), o.out.len);
	s = layer_map_back(layer_map(o.layer),
			   (struct layer_span){ o.out.len - 1, o.out.len });
	CHECK(s.start < in.len - 4);
	CHECK_EQ(s.end, in.len);
	s = layer_map_back(layer_map(o.layer), (struct layer_span){ 2, 3 });
	CHECK_EQ(s.start, 4);
	CHECK_EQ(s.end, 5);
	CHECK(layer_held(o.layer) < 4 << 20);
	outcome_release(&o);
	buf_release(&in);
}

/* -- random ------------------------------------------------------- */

static void put_base64_lines(struct buf *b, struct bytes in)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < in.len; i += 3) {
		uint32_t v = (uint32_t)in.p[i] << 16;
		size_t n = in.len - i < 3 ? in.len - i : 3;

		v |= n > 1 ? (uint32_t)in.p[i + 1] << 8 : 0;
		v |= n > 2 ? in.p[i + 2] : 0;
		for (size_t c = 0; c < 4; c++)
			put_u8(b, c > n ? '=' : digits[v >> (18 - 6 * c) & 63]);
		if (t_random_below(19) == 0)
			put_text(b, "\r\n");
	}
}

static void put_hex_pairs(struct buf *b, struct bytes in)
{
	for (size_t i = 0; i < in.len; i++)
		put_format(b, t_random_below(16) ? "%02x" : "%02X ", in.p[i]);
}

static void put_escapes(struct buf *b, struct bytes in)
{
	for (size_t i = 0; i < in.len; i++)
		if (strchr("% +\r\n", in.p[i]) || t_random_below(8) == 0)
			put_format(b, "%%%02X", in.p[i]);
		else
			put_u8(b, in.p[i]);
}

static void put_random_chunks(struct buf *b, struct bytes in)
{
	put_chunked(b, in, 1 + t_random_below(5000));
}

static void put_raw(struct buf *b, struct bytes in)
{
	put_deflated(b, in, -15);
}

static void put_zlib(struct buf *b, struct bytes in)
{
	put_deflated(b, in, 15);
}

TEST(what_was_coded_comes_back)
{
	static const struct {
		enum layer_kind kind;
		void (*put)(struct buf *b, struct bytes in);
	} coders[] = {
		{ LAYER_CHUNKED, put_random_chunks },
		{ LAYER_GZIP, put_gzip },
		{ LAYER_ZLIB, put_zlib },
		{ LAYER_DEFLATE, put_zlib },
		{ LAYER_DEFLATE, put_raw },
		{ LAYER_RAW_DEFLATE, put_raw },
		{ LAYER_BROTLI, put_brotli },
		{ LAYER_ZSTD, put_zstd },
		{ LAYER_BASE64, put_base64_lines },
		{ LAYER_HEX, put_hex_pairs },
		{ LAYER_URL, put_escapes },
		{ LAYER_PERCENT, put_escapes },
	};

	for (size_t i = 0; i < sizeof(coders) / sizeof(*coders); i++)
		for (int round = 0; round < 6; round++) {
			struct buf plain = { 0 }, coded = { 0 };
			struct outcome o;

			put_words(&plain, 1 + t_random_below(1 << 16));
			coders[i].put(&coded, buf_bytes(&plain));
			o = undo_here(coders[i].kind, buf_bytes(&coded),
				      1 + t_random_below(9000));
			/* A short text may have nothing to escape. */
			CHECK_EQ(o.result.status,
				 bytes_equal(buf_bytes(&coded),
					     buf_bytes(&plain))
					 ? LAYER_NOOP
					 : LAYER_OK);
			CHECK_BYTES(buf_bytes(&o.out), buf_bytes(&plain));
			CHECK_EQ(o.result.in, coded.len);
			outcome_release(&o);
			buf_release(&plain);
			buf_release(&coded);
		}
}

/* -- ends before the end ------------------------------------------ */

static bool want_some(void *self, struct bytes out)
{
	struct buf *b = self;

	put_bytes(b, out);
	return b->len < 10000;
}

TEST(who_wants_no_more_gets_no_more)
{
	struct layer_limits limits = LAYER_LIMITS_DEFAULT;
	struct layer *l = layer_new(LAYER_GZIP, &limits);
	struct buf plain = { 0 }, coded = { 0 }, got = { 0 };
	struct layer_sink sink = { &got, want_some };

	put_words(&plain, 1 << 20);
	put_gzip(&coded, buf_bytes(&plain));
	layer_feed(l, buf_bytes(&coded), &sink);
	layer_end(l, &sink);
	CHECK_EQ(layer_result(l)->status, LAYER_STOPPED);
	CHECK(got.len >= 10000 && got.len < 10000 + (32 << 10));
	layer_free(l);
	buf_release(&plain);
	buf_release(&coded);
	buf_release(&got);
}

TEST(missing_bytes_are_a_failure_where_they_are_missing)
{
	struct layer_limits limits = LAYER_LIMITS_DEFAULT;
	struct layer *l = layer_new(LAYER_CHUNKED, &limits);
	struct buf got = { 0 };
	struct layer_sink sink = { &got, take_here };

	layer_feed(l, bytes_of_text("5\r\nabc"), &sink);
	layer_break(l, "a hole", &sink);
	CHECK_EQ(layer_result(l)->status, LAYER_FAILED);
	CHECK_EQ(layer_result(l)->at, 6);
	CHECK_STR(layer_result(l)->why, "a hole");
	CHECK_EQ(got.len, 3);
	layer_free(l);
	buf_release(&got);
}
