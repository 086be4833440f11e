/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/jsonread.h"

#include "base/buf.h"
#include "t.h"

static void note(void *arg, const struct json_member *m)
{
	struct buf *b = arg;

	put_format(b, "%.*s %d ", (int)m->name.len, (const char *)m->name.p,
		   (int)m->kind);
	if (m->kind == JSON_STRING)
		json_put_string(b, m);
	else
		put_bytes(b, m->value);
	put_u8(b, '\n');
}

static void check_read(const char *text, const char *want)
{
	struct buf out = { 0 };

	CHECK_EQ(json_read(bytes_of_text(text), note, &out), 0);
	put_u8(&out, 0);
	CHECK_STR((const char *)out.p, want);
	buf_release(&out);
}

TEST(members_come_one_by_one)
{
	check_read("{}", "");
	check_read(" {\"a\":1,\"b\" : \"x\\ny\", \"\":null }\n",
		   "a 1 1\nb 0 x\ny\n 3 null\n");
	check_read("{\"a\":{\"b\":[1,{\"c\":[]}]},\"d\":[[],{}],\"e\":false}",
		   "a 4 {\"b\":[1,{\"c\":[]}]}\nd 5 [[],{}]\ne 2 false\n");
	check_read("{\"a\":-0.5e+3}", "a 1 -0.5e+3\n");
}

TEST(strings_lose_their_escapes)
{
	check_read("{\"a\":\"\\\"\\\\\\/\\u00e4\\ud83d\\ude00\"}",
		   "a 0 \"\\/\xc3\xa4\xf0\x9f\x98\x80\n");
	check_read("{\"a\":\"\\ud83d!\\ude00\"}",
		   "a 0 \xef\xbf\xbd!\xef\xbf\xbd\n");
	check_read("{\"a\":\"\\ud83d\\u0041\"}", "a 0 \xef\xbf\xbd" "A\n");
	check_read("{\"a\":\"\\ud83d\\ud83d\\ude00\"}",
		   "a 0 \xef\xbf\xbd\xf0\x9f\x98\x80\n");
}

TEST(what_is_no_object_is_refused_as_a_whole)
{
	static const char *const bad[] = {
		"", " ", "1", "[]", "\"a\"", "{", "}", "{}}", "{} x",
		"{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "{a:1}",
		"{\"a\":1 \"b\":2}", "{\"a\":01}", "{\"a\":1.}", "{\"a\":-}",
		"{\"a\":1e}", "{\"a\":+1}", "{\"a\":tru}", "{\"a\":truee}",
		"{\"a\":\"\\x\"}", "{\"a\":\"\\u12g4\"}", "{\"a\":\"\\",
		"{\"a\":\"\n\"}", "{\"a\":\"", "{\"a\":[1,]}", "{\"a\":[}",
		"{\"a\":[1}]", "{\"a\":{\"b\"}}", "{\"a\":[1 2]}",
		"{\"a\":1,\"b\":nul}", "{\"a\":\"\\u12\"}",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct buf out = { 0 };

		if (json_read(bytes_of_text(bad[i]), note, &out) == 0 ||
		    out.len)
			fail_msg("%s was taken", bad[i]);
		buf_release(&out);
	}
}

TEST(depth_is_bounded)
{
	for (int depth = 1; depth <= JSON_DEPTH_MAX + 1; depth++) {
		struct buf text = { 0 }, out = { 0 };

		put_text(&text, "{\"a\":");
		for (int i = 1; i < depth; i++)
			put_u8(&text, '[');
		put_u8(&text, '1');
		for (int i = 1; i < depth; i++)
			put_u8(&text, ']');
		put_u8(&text, '}');
		CHECK_EQ(json_read(buf_bytes(&text), note, &out),
			 depth <= JSON_DEPTH_MAX ? 0 : ERR_MALFORMED);
		buf_release(&text);
		buf_release(&out);
	}
}

static void take_uint(void *arg, const struct json_member *m)
{
	uint64_t *v = arg;

	if (json_to_uint(m, v) < 0)
		*v = 77;
}

TEST(numbers_that_do_not_fit_are_no_numbers)
{
	static const struct {
		const char *text;
		uint64_t want;
	} cases[] = {
		{ "{\"a\":0}", 0 },
		{ "{\"a\":18446744073709551615}", UINT64_MAX },
		{ "{\"a\":18446744073709551616}", 77 },
		{ "{\"a\":-1}", 77 },
		{ "{\"a\":1.0}", 77 },
		{ "{\"a\":1e3}", 77 },
		{ "{\"a\":\"1\"}", 77 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint64_t v = 1;

		CHECK_EQ(json_read(bytes_of_text(cases[i].text), take_uint,
				   &v), 0);
		CHECK(v == cases[i].want);
	}
}
