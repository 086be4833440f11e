/* SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

#include "base/buf.h"
#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/opt.h"
#include "base/text.h"
#include "base/when.h"

TEST(crc32c_gives_the_check_value)
{
	CHECK_EQ(crc32c(bytes_of_text("123456789")), 0xe3069283u);
}

TEST(crc32c_in_hardware_equals_the_table_for_every_length_and_alignment)
{
	enum { MOST = 4096 };
	static uint8_t data[MOST + 8];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)t_random();
	for (size_t len = 0; len <= MOST; len++) {
		struct bytes in = bytes_of(data + len % 8, len);
		uint32_t whole = crc32c_portable(0, in);
		size_t cut = t_random_below(len + 1);

		CHECK_EQ(crc32c(in), whole);
		/* In two pieces, so that the first begins from any state and
		 * the second lies anywhere. */
		CHECK_EQ(crc32c_more(crc32c(bytes_of(in.p, cut)),
				     bytes_of(in.p + cut, len - cut)),
			 whole);
	}
	for (size_t align = 0; align < 8; align++)
		for (size_t len = 0; len <= MOST; len += 1 + len / 64) {
			struct bytes in = bytes_of(data + align, len);
			uint32_t from = (uint32_t)t_random();

			CHECK_EQ(crc32c_more(from, in),
				 crc32c_portable(from, in));
		}
}

TEST(crc32c_of_many_blocks_equals_the_table)
{
	size_t len = 300007;
	uint8_t *data = test_malloc(len);

	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)t_random();
	CHECK_EQ(crc32c(bytes_of(data, len)),
		 crc32c_portable(0, bytes_of(data, len)));
	test_free(data);
}

TEST(a_cursor_never_reads_past_its_end_and_stays_short)
{
	struct cursor c = cursor_on(t_hex("01 02 03"));

	CHECK_EQ(get_be16(&c), 0x0102);
	CHECK_EQ(get_be16(&c), 0);
	CHECK(c.short_);
	CHECK_EQ(get_u8(&c), 0);
	CHECK(!cursor_done(&c));
}

TEST(puts_and_gets_are_inverse)
{
	struct buf b = { 0 };
	struct cursor c;

	put_u8(&b, 0x12);
	put_be16(&b, 0x3456);
	put_le32(&b, 0x789abcde);
	put_be64(&b, UINT64_C(0x0123456789abcdef));
	c = cursor_on(buf_bytes(&b));
	CHECK_EQ(get_u8(&c), 0x12);
	CHECK_EQ(get_be16(&c), 0x3456);
	CHECK_EQ(get_le32(&c), 0x789abcde);
	CHECK(get_be64(&c) == UINT64_C(0x0123456789abcdef));
	CHECK(cursor_done(&c));
	buf_release(&b);
}

TEST(sizes_and_times_are_read_whole_or_refused)
{
	static const struct {
		const char *text;
		int rc;
		uint64_t want;
	} sizes[] = {
		{ "0", 0, 0 },
		{ "65536", 0, 65536 },
		{ "64KiB", 0, 65536 },
		{ "48GiB", 0, UINT64_C(48) << 30 },
		{ "1k", 0, 1024 },
		{ "", ERR_MALFORMED, 0 },
		{ "-1", ERR_MALFORMED, 0 },
		{ " 1", ERR_MALFORMED, 0 },
		{ "1 k", ERR_MALFORMED, 0 },
		{ "1x", ERR_MALFORMED, 0 },
		{ "18446744073709551616", ERR_LIMIT, 0 },
		{ "99999999999G", ERR_LIMIT, 0 },
	};
	uint64_t v;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		CHECK_EQ(text_to_size(sizes[i].text, &v), sizes[i].rc);
		if (sizes[i].rc == 0)
			CHECK(v == sizes[i].want);
	}
	CHECK_EQ(text_to_duration_ns("500ms", &v), 0);
	CHECK(v == 500000000);
	CHECK_EQ(text_to_duration_ns("2", &v), 0);
	CHECK(v == 2000000000);
}

TEST(durations_are_read_as_go_writes_them)
{
	static const struct {
		const char *text;
		int rc;
		uint64_t want;
	} cases[] = {
		{ "1h0m0s", 0, 3600 * UINT64_C(1000000000) },
		{ "1h2m3.5s", 0, 3723500000000 },
		{ "0.25ms", 0, 250000 },
		{ "1.5h", 0, 5400 * UINT64_C(1000000000) },
		{ "1.5", 0, 1500000000 },
		{ "300us", 0, 300000 },
		{ "", ERR_MALFORMED, 0 },
		{ "1h5", ERR_MALFORMED, 0 },
		{ "5 s", ERR_MALFORMED, 0 },
		{ "1.s", ERR_MALFORMED, 0 },
		{ ".5s", ERR_MALFORMED, 0 },
		{ "-1s", ERR_MALFORMED, 0 },
		{ "1hm", ERR_MALFORMED, 0 },
		{ "1parsec", ERR_MALFORMED, 0 },
		{ "999999999h", ERR_LIMIT, 0 },
	};
	uint64_t v;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		CHECK_EQ(text_to_duration_ns(cases[i].text, &v), cases[i].rc);
		if (cases[i].rc == 0)
			CHECK(v == cases[i].want);
	}
}

TEST(times_are_read_and_written)
{
	static const struct {
		const char *text;
		int rc;
		uint64_t ns;
		const char *again;
	} cases[] = {
		{ "1970-01-01T00:00:00Z", 0, 0, "1970-01-01T00:00:00Z" },
		{ "2023-11-14T22:13:20.5Z", 0, 1700000000500000000,
		  "2023-11-14T22:13:20.5Z" },
		{ "2023-11-14 22:13:20", 0, 1700000000000000000,
		  "2023-11-14T22:13:20Z" },
		{ "2023-11-14T23:13:20.000000001+01:00", 0, 1700000000000000001,
		  "2023-11-14T22:13:20.000000001Z" },
		{ "2023-11-14T20:13:20-0200", 0, 1700000000000000000,
		  "2023-11-14T22:13:20Z" },
		{ "2024-02-29", 0, 1709164800000000000,
		  "2024-02-29T00:00:00Z" },
		{ "2023-11-14T22:13:60Z", 0, 1700000040000000000,
		  "2023-11-14T22:14:00Z" },
		{ "2100-02-29T00:00:00Z", ERR_MALFORMED, 0, NULL },
		{ "0001-01-01T00:00:00Z", ERR_LIMIT, 0, NULL },
		{ "9999-01-01T00:00:00Z", ERR_LIMIT, 0, NULL },
		{ "2023-13-14T22:13:20Z", ERR_MALFORMED, 0, NULL },
		{ "2023-11-14T24:13:20Z", ERR_MALFORMED, 0, NULL },
		{ "2023-11-14T22:13:20.Z", ERR_MALFORMED, 0, NULL },
		{ "2023-11-14T22:13:20Zx", ERR_MALFORMED, 0, NULL },
		{ "yesterday", ERR_MALFORMED, 0, NULL },
		{ "", ERR_MALFORMED, 0, NULL },
	};
	char text[WHEN_SIZE];
	uint64_t ns;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		CHECK_EQ(when_parse(cases[i].text, &ns), cases[i].rc);
		if (cases[i].rc == 0) {
			CHECK(ns == cases[i].ns);
			CHECK_STR(when_format(text, ns), cases[i].again);
		}
	}
}

TEST(any_time_is_the_same_when_written_and_read)
{
	for (int i = 0; i < 10000; i++) {
		uint64_t in = t_random() % UINT64_C(18446000000000000000), out;
		char text[WHEN_SIZE];

		CHECK_EQ(when_parse(when_format(text, in), &out), 0);
		CHECK(in == out);
	}
}

TEST(spans_are_written_as_go_writes_them)
{
	char text[WHEN_SIZE];

	CHECK_STR(when_span(text, 0), "0s");
	CHECK_STR(when_span(text, 999), "999ns");
	CHECK_STR(when_span(text, 1500), "1.5\xc2\xb5s");
	CHECK_STR(when_span(text, 2000000), "2ms");
	CHECK_STR(when_span(text, 1990000000), "1.99s");
	CHECK_STR(when_span(text, 90 * UINT64_C(1000000000)), "1m30s");
	CHECK_STR(when_span(text, 3600 * UINT64_C(1000000000)), "1h0m0s");
}

TEST(json_text_is_valid_whatever_bytes_come)
{
	char out[64];

	text_to_json(out, sizeof(out), "a\"b\\c\n\x01\xff\xc3\xa4");
	CHECK_STR(out, "a\\\"b\\\\c\\u000a\\u0001\\ufffd\xc3\xa4");
	text_to_json(out, 4, "abcdef");
	CHECK_STR(out, "abc");
}

struct options {
	bool flag, json;
	const char *text;
	uint64_t number, size, time;
	struct opt_list list;
};

static int parse(struct options *o, struct opt_args *args, struct err *err,
		 char **argv)
{
	struct opt opts[] = {
		OPT_FLAG('f', "flag", &o->flag, "a flag"),
		OPT_FLAG(0, "json", &o->json, "another"),
		OPT_TEXT('l', "listen", &o->text, "ADDR", "a text"),
		OPT_UINT('n', "number", &o->number, 1, 10, "N", "a number"),
		OPT_SIZE(0, "size", &o->size, 1, 1 << 20, "a size"),
		OPT_DURATION(0, "time", &o->time, 0, UINT64_MAX, "a time"),
		OPT_LIST(0, "peer", &o->list, "KEY", "repeatable"),
		OPT_END(),
	};
	struct opt_command cmd = { .name = "test",
				   .synopsis = "FILE",
				   .about = "",
				   .opts = opts,
				   .args_max = 2 };
	int argc = 0;

	opts[2].env = "WEIR_TEST_LISTEN";
	while (argv[argc])
		argc++;
	return opt_parse(&cmd, argc, argv, args, err);
}

#define ARGV(...) ((char *[]){ (char[]){ "test" }, __VA_ARGS__, NULL })
#define W(text)	  ((char[]){ text })

TEST(options_are_understood_in_every_spelling)
{
	struct options o = { .json = true };
	struct opt_args args;
	struct err err = ERR_NONE;

	/* Of this block: the options borrow from it. */
	char **argv =
		ARGV(W("-f"), W("file"), W("-listen"), W(":1"), W("--number=7"),
		     W("--size"), W("64KiB"), W("--no-json"), W("--peer"),
		     W("a"), W("--peer=b"), W("--"), W("-x"));

	CHECK_OK(parse(&o, &args, &err, argv), &err);
	CHECK(o.flag);
	CHECK(!o.json);
	CHECK_STR(o.text, ":1");
	CHECK_EQ(o.number, 7);
	CHECK_EQ(o.size, 65536);
	CHECK_EQ(o.list.n, 2);
	CHECK_STR(o.list.at[1], "b");
	CHECK_EQ(args.n, 2);
	CHECK_STR(args.at[1], "-x");
	opt_list_release(&o.list);
}

TEST(a_wrong_option_gets_the_nearest_right_spelling)
{
	struct options o = { 0 };
	struct opt_args args;
	struct err err = ERR_NONE;

	CHECK_EQ(parse(&o, &args, &err, ARGV(W("--listne"), W("x"))),
		 ERR_USAGE);
	CHECK(strstr(err.text, "did you mean --listen?"));
	CHECK_EQ(parse(&o, &args, &err, ARGV(W("--number"), W("11"))),
		 ERR_USAGE);
	CHECK(strstr(err.text, "between 1 and 10"));
	CHECK_EQ(parse(&o, &args, &err, ARGV(W("--number"))), ERR_USAGE);
}

TEST(the_command_line_beats_the_environment_beats_the_default)
{
	char **flag = ARGV(W("-l"), W("flag"));
	struct options o = { .text = "default" };
	struct opt_args args;
	struct err err = ERR_NONE;

	CHECK_OK(parse(&o, &args, &err, ARGV(W("a"))), &err);
	CHECK_STR(o.text, "default");
	setenv("WEIR_TEST_LISTEN", "from-env", 1);
	CHECK_OK(parse(&o, &args, &err, ARGV(W("a"))), &err);
	CHECK_STR(o.text, "from-env");
	CHECK_OK(parse(&o, &args, &err, flag), &err);
	CHECK_STR(o.text, "flag");
	unsetenv("WEIR_TEST_LISTEN");
}

TEST(every_option_has_a_variable_and_a_place_in_a_file)
{
	int64_t whole = 4;
	double factor = 1;
	struct opt_list list = { 0 };
	const struct opt opts[] = {
		OPT_INT(0, "whole-number", &whole, "N", "a number"),
		OPT_DECIMAL(0, "factor", &factor, "N", "a factor"),
		OPT_LIST(0, "dir", &list, "DIR", "repeatable"), OPT_END()
	};
	const struct opt_command cmd = {
		.name = "some thing", .synopsis = "", .about = "", .opts = opts
	};
	struct opt_args args;
	struct err err = ERR_NONE;
	char **none = ARGV(NULL), **minus = ARGV(W("--whole-number"), W("-7"));
	char **dirs = ARGV(W("--dir"), W("c"));

	CHECK_EQ(opt_set(&cmd, "whole-number", "5", &err), 0);
	CHECK_EQ(opt_set(&cmd, "factor", "0.5", &err), 0);
	CHECK_EQ(opt_set(&cmd, "dir", "a", &err), 0);
	CHECK_EQ(opt_set(&cmd, "dir", "b", &err), 0);
	CHECK_EQ(opt_set(&cmd, "nothing", "x", &err), ERR_UNKNOWN);
	CHECK_EQ(opt_set(&cmd, "factor", "0", &err), ERR_USAGE);
	CHECK_EQ(opt_set(&cmd, "factor", "nan", &err), ERR_USAGE);
	CHECK_EQ(opt_set(&cmd, "whole-number", "1.5", &err), ERR_USAGE);
	CHECK_OK(opt_parse(&cmd, 1, none, &args, &err), &err);
	CHECK_EQ(whole, 5);
	CHECK_EQ(list.n, 2);
	setenv("WEIR_SOME_THING_WHOLE_NUMBER", "6", 1);
	CHECK_OK(opt_parse(&cmd, 1, none, &args, &err), &err);
	CHECK_EQ(whole, 6);
	CHECK_OK(opt_parse(&cmd, 3, minus, &args, &err), &err);
	CHECK_EQ(whole, -7);
	CHECK_OK(opt_parse(&cmd, 3, dirs, &args, &err), &err);
	CHECK_EQ(list.n, 1);
	CHECK_STR(list.at[0], "c");
	unsetenv("WEIR_SOME_THING_WHOLE_NUMBER");
	opt_list_release(&list);
}
