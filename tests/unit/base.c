/* SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

#include "base/buf.h"
#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/opt.h"
#include "base/text.h"

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
	struct opt_command cmd = { .name = "test", .synopsis = "FILE",
				   .about = "", .opts = opts, .args_max = 2 };
	int argc = 0;

	opts[2].env = "WEIR_TEST_LISTEN";
	while (argv[argc])
		argc++;
	return opt_parse(&cmd, argc, argv, args, err);
}

#define ARGV(...)                                                              \
	((char *[]){ (char[]){ "test" }, __VA_ARGS__, NULL })
#define W(text) ((char[]){ text })

TEST(options_are_understood_in_every_spelling)
{
	struct options o = { .json = true };
	struct opt_args args;
	struct err err = ERR_NONE;

	/* Of this block: the options borrow from it. */
	char **argv = ARGV(W("-f"), W("file"), W("-listen"), W(":1"),
			   W("--number=7"), W("--size"), W("64KiB"),
			   W("--no-json"), W("--peer"), W("a"), W("--peer=b"),
			   W("--"), W("-x"));

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
