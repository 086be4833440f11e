/* SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

#include "base/buf.h"
#include "engine/match/match.h"

static struct buf found; /* "regex:0 3-9 token=;" … */

static void on_found(void *self, const struct match *m)
{
	static const char *const kinds[] = { "substring", "regex", "binary" };

	(void)self;
	put_format(&found, "%s:%u %llu-%llu %.*s;", kinds[m->pattern->kind],
		   m->pattern->id, (unsigned long long)m->start,
		   (unsigned long long)m->end, (int)m->content.len,
		   (const char *)m->content.p);
}

static const struct match_sink sink = { .found = on_found };

static struct match_set *compile(const struct match_pattern *p, size_t n)
{
	struct err err = ERR_NONE;
	struct match_set *set = match_compile(p, n, 4096, &err);

	if (!set)
		fail_msg("%s", err.text);
	return set;
}

/* Feed text in pieces that end at the given places, then close. */
static const char *scan(struct match_set *set, const char *text, size_t step)
{
	struct err err = ERR_NONE;
	struct match_scratch *scratch = match_scratch_new(set, &err);
	struct match_stream *m = match_stream_open(set);
	size_t len = strlen(text);

	CHECK(scratch != NULL);
	buf_clear(&found);
	for (size_t at = 0; at < len; at += step)
		match_stream_feed(m, scratch, at,
				  bytes_of(text + at, len - at < step
							      ? len - at
							      : step),
				  &sink);
	match_stream_close(m, scratch, &sink);
	match_scratch_free(scratch);
	put_u8(&found, 0);
	return (const char *)found.p;
}

TEST(R20_a_pattern_split_at_each_byte_matches_once_with_its_offsets)
{
	static const struct match_pattern p[] = {
		{ MATCH_SUBSTRING, 0, NULL, "FLAG", MATCH_ANY },
		{ MATCH_REGEX, 0, NULL, "flag\\{[0-9a-f]{8}\\}", MATCH_ANY },
		{ MATCH_BINARY, 0, NULL, "de ad be ef", MATCH_ANY },
	};
	static const char text[] =
		"xxFLAGyy\xde\xad\xbe\xef..flag{0123abcd}zz";
	struct match_set *set = compile(p, 3);

	for (size_t step = 1; step < sizeof(text); step++) {
		const char *got = scan(set, text, step);

		CHECK(strstr(got, "substring:0 2-6 FLAG;"));
		CHECK(strstr(got, "binary:0 8-12 \xde\xad\xbe\xef;"));
		CHECK(strstr(got, "regex:0 14-28 flag{0123abcd};"));
		CHECK_EQ(strlen(got), strlen("substring:0 2-6 FLAG;"
					     "binary:0 8-12 abcd;"
					     "regex:0 14-28 flag{0123abcd};"));
	}
	match_set_put(set);
}

TEST(R21_a_growing_match_is_reported_once_with_its_whole_length)
{
	static const struct match_pattern p[] = {
		{ MATCH_REGEX, 0, NULL, "token=[a-z0-9]+", MATCH_ANY },
	};
	struct match_set *set = compile(p, 1);

	for (size_t step = 1; step < 30; step++) {
		CHECK_STR(scan(set, "a token=abcdef0123456789 b", step),
			  "regex:0 2-24 token=abcdef0123456789;");
		CHECK_STR(scan(set, "token=1 token=22&token=333", step),
			  "regex:0 0-7 token=1;regex:0 8-16 token=22;"
			  "regex:0 17-26 token=333;");
	}
	match_set_put(set);
}

TEST(an_anchor_holds_at_the_stream_s_start_only)
{
	static const struct match_pattern p[] = {
		{ MATCH_REGEX, 0, NULL, "^GET", MATCH_ANY },
	};
	struct match_set *set = compile(p, 1);

	for (size_t step = 1; step < 12; step++)
		CHECK_STR(scan(set, "GET a\nGET GET", step),
			  "regex:0 0-3 GET;");
	match_set_put(set);
}

TEST(patterns_that_hyperscan_refuses_run_in_pcre2)
{
	static const struct match_pattern p[] = {
		{ MATCH_REGEX, 0, NULL, "(a+)-\\1!", MATCH_ANY },
		{ MATCH_REGEX, 1, NULL, "(?<=id=)\\d+;", MATCH_ANY },
	};
	struct match_set *set = compile(p, 2);
	struct match_counters c;

	match_counters(set, &c);
	CHECK_EQ(c.refused, 2);
	for (size_t step = 1; step < 30; step++) {
		const char *got = scan(set, "aaa-aaa! id=42; xid=7;", step);

		CHECK(strstr(got, "regex:0 0-8 aaa-aaa!;"));
		CHECK(strstr(got, "regex:1 12-15 42;;"));
		CHECK(strstr(got, "regex:1 20-22 7;;"));
	}
	match_set_put(set);
}

TEST(nothing_matches_across_a_gap)
{
	static const struct match_pattern p[] = {
		{ MATCH_SUBSTRING, 0, NULL, "abcd", MATCH_ANY },
		{ MATCH_REGEX, 0, NULL, "x[0-9]+", MATCH_ANY },
	};
	struct match_set *set = compile(p, 2);
	struct err err = ERR_NONE;
	struct match_scratch *scratch = match_scratch_new(set, &err);
	struct match_stream *m = match_stream_open(set);

	buf_clear(&found);
	match_stream_feed(m, scratch, 0, bytes_of_text("x12ab"), &sink);
	match_stream_feed(m, scratch, 100, bytes_of_text("cd x34"), &sink);
	match_stream_feed(m, scratch, 106, bytes_of_text("5abcd"), &sink);
	match_stream_close(m, scratch, &sink);
	put_u8(&found, 0);
	CHECK_STR((char *)found.p, "regex:0 0-3 x12;substring:0 107-111 abcd;"
				   "regex:0 103-107 x345;");
	match_scratch_free(scratch);
	match_set_put(set);
}

TEST(R22_hex_in_every_spelling_is_the_same_bytes)
{
	static const char *const same[] = { "de ad be ef", "0xDEADBEEF",
					    "de:ad:be:ef", "DEAD-beef",
					    "0xde 0xad 0xbe 0xef" };
	struct err err = ERR_NONE;
	uint8_t out[16];
	size_t len;

	for (size_t i = 0; i < 5; i++) {
		CHECK_OK(match_parse_hex(same[i], out, 16, &len, &err), &err);
		CHECK_BYTES(bytes_of(out, len), t_hex("deadbeef"));
	}
	CHECK_EQ(match_parse_hex("abc", out, 16, &len, &err), ERR_MALFORMED);
	CHECK_EQ(match_parse_hex("zz", out, 16, &len, &err), ERR_MALFORMED);
	CHECK_EQ(match_parse_hex("", out, 16, &len, &err), ERR_MALFORMED);
}

TEST(a_wrong_pattern_is_named)
{
	static const struct match_pattern p[] = {
		{ MATCH_REGEX, 0, NULL, "fine", MATCH_ANY },
		{ MATCH_REGEX, 1, NULL, "a(b", MATCH_ANY },
	};
	struct err err = ERR_NONE;

	CHECK(match_compile(p, 2, 4096, &err) == NULL);
	CHECK(strstr(err.text, "a(b"));
}

TEST(catastrophic_patterns_cost_a_budget_and_no_more)
{
	static const struct match_pattern p[] = {
		{ MATCH_REGEX, 0, NULL, "((a+)+)\\2$", MATCH_ANY },
	};
	struct match_set *set = compile(p, 1);
	struct match_counters c;
	char text[2001];

	memset(text, 'a', 2000);
	text[1999] = 'b';
	text[2000] = 0;
	scan(set, text, 500);
	match_counters(set, &c);
	CHECK(c.budget > 0);
	match_set_put(set);
}
