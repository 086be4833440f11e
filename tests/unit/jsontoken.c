/* SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

#include "base/buf.h"
#include "codec/json.h"
#include "codec/jsontoken.h"

/* Walk it to its end; the last code, and how many tokens there were. */
static int walk(struct bytes text, int *n)
{
	struct json_reader r = json_reader_on(text);
	struct json_token t;
	int rc;

	*n = 0;
	while ((rc = json_next(&r, &t)) == 0)
		++*n;
	CHECK_EQ(json_next(&r, &t), rc);
	return rc;
}

static int walk_text(const char *text)
{
	int n;

	return walk(bytes_of_text(text), &n);
}

TEST(whole_values_end_and_others_do_not)
{
	static const char *const good[] = {
		"{}",
		"[]",
		" [ ] ",
		"null",
		"true",
		"false",
		"0",
		"-0.5e+10",
		"\"\"",
		"{\"a\":1,\"b\":[{},[],\"x\",null]}",
		"[1,2 ,\n3\t,\r4]",
		"\"\\u00e4\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
	};
	static const char *const bad[] = {
		"",	     " ",
		"{",	     "[",
		"{]",	     "[}",
		"[1,]",	     "{,}",
		"{\"a\"}",   "{\"a\":}",
		"{a:1}",     "01",
		"-",	     "1.",
		"1e",	     ".5",
		"+1",	     "nul",
		"truer",     "[] []",
		"\"",	     "\"\\x\"",
		"\"\\u12\"", "\"\n\"",
		"[1 2]",     "{\"a\":1 \"b\":2}",
		"[1]]",	     "}",
		"NaN",	     "{\"a\":1,}",
		"'a'",
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		CHECK_EQ(walk_text(good[i]), ERR_END);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (walk_text(bad[i]) != ERR_MALFORMED)
			fail_msg("taken: %s", bad[i]);
}

TEST(a_text_cut_at_any_byte_is_never_whole)
{
	static const char text[] =
		"{\"a\":[1,2.5,{\"b\":\"\\u00e4x\"}],\"c\":null}";

	for (size_t cut = 0; cut < sizeof(text) - 1; cut++) {
		int n;

		CHECK_EQ(walk(bytes_of(text, cut), &n), ERR_MALFORMED);
	}
}

TEST(nesting_stops_at_its_bound)
{
	char deep[2 * JSON_DEPTH_MAX + 3];
	int n;

	memset(deep, '[', JSON_DEPTH_MAX);
	memset(deep + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	CHECK_EQ(walk(bytes_of(deep, 2 * JSON_DEPTH_MAX), &n), ERR_END);
	CHECK_EQ(n, 2 * JSON_DEPTH_MAX);
	memset(deep, '[', JSON_DEPTH_MAX + 1);
	memset(deep + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
	CHECK_EQ(walk(bytes_of(deep, 2 * JSON_DEPTH_MAX + 2), &n),
		 ERR_MALFORMED);
	CHECK_EQ(n, JSON_DEPTH_MAX);
}

TEST(members_are_found_by_name_and_others_passed_over)
{
	struct json_reader r = json_reader_on(bytes_of_text(
		"{\"x\":{\"a\":[1,{\"a\":9}]},\"a\":5,\"b\":-7,\"c\":\"t\"}"));
	struct json_token t;
	uint64_t a = 0;
	int64_t b = 0;
	int rc;

	CHECK_EQ(json_next(&r, &t), 0);
	CHECK_EQ(t.kind, JSON_OBJECT);
	while ((rc = json_next(&r, &t)) == 0 && t.kind != JSON_OBJECT_END) {
		if (json_named(&t, "a"))
			CHECK_EQ(json_uint_of(&t, &a), 0);
		else if (json_named(&t, "b"))
			CHECK_EQ(json_int_of(&t, &b), 0);
		else
			CHECK_EQ(json_skip(&r, &t), 0);
	}
	CHECK_EQ(rc, 0);
	CHECK_EQ(json_next(&r, &t), ERR_END);
	CHECK_EQ(a, 5);
	CHECK_EQ(b, -7);
}

TEST(numbers_that_do_not_fit_are_refused)
{
	static const struct {
		const char *text;
		int as_uint, as_int;
	} cases[] = {
		{ "0", 0, 0 },
		{ "18446744073709551615", 0, ERR_MALFORMED },
		{ "18446744073709551616", ERR_MALFORMED, ERR_MALFORMED },
		{ "9223372036854775807", 0, 0 },
		{ "-9223372036854775807", ERR_MALFORMED, 0 },
		{ "-1", ERR_MALFORMED, 0 },
		{ "1.5", ERR_MALFORMED, ERR_MALFORMED },
		{ "1e3", ERR_MALFORMED, ERR_MALFORMED },
		{ "\"1\"", ERR_MALFORMED, ERR_MALFORMED },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct json_reader r =
			json_reader_on(bytes_of_text(cases[i].text));
		struct json_token t;
		uint64_t u;
		int64_t s;

		CHECK_EQ(json_next(&r, &t), 0);
		CHECK_EQ(json_uint_of(&t, &u), cases[i].as_uint);
		CHECK_EQ(json_int_of(&t, &s), cases[i].as_int);
	}
}

TEST(escapes_are_undone)
{
	struct json_reader r = json_reader_on(bytes_of_text(
		"\"a\\u00e4\\u20ac\\ud83d\\ude00\\ud83dx\\n\\\"\\/\\u0000\""));
	struct buf out = { 0 };
	struct json_token t;

	CHECK_EQ(json_next(&r, &t), 0);
	json_text_of(&t, &out);
	CHECK_BYTES(buf_bytes(&out),
		    bytes_of("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"
			     "\xef\xbf\xbdx\n\"/\0",
			     18));
	buf_release(&out);
}

TEST(what_the_writer_writes_is_read_back)
{
	struct buf text = { 0 }, again = { 0 };
	struct json_reader r;
	struct json_token t;
	char in[256];

	for (int i = 0; i < 128; i++)
		in[i] = (char)i;
	json_begin(&text, NULL);
	json_text(&text, "t", bytes_of(in, 128));
	json_list(&text, "l");
	json_uint(&text, NULL, UINT64_MAX);
	json_list_end(&text);
	json_end(&text);
	r = json_reader_on(buf_bytes(&text));
	CHECK_EQ(json_next(&r, &t), 0);
	CHECK_EQ(json_next(&r, &t), 0);
	json_text_of(&t, &again);
	CHECK_BYTES(buf_bytes(&again), bytes_of(in, 128));
	while (json_next(&r, &t) == 0)
		;
	CHECK_EQ(json_next(&r, &t), ERR_END);
	buf_release(&text);
	buf_release(&again);
}
