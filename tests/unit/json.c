/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What our writer writes, another library reads, and as the same thing.
 */
#include "t.h"

#include <jansson.h>

#include "base/buf.h"
#include "codec/base64.h"
#include "codec/json.h"

static json_t *parse(const struct buf *b)
{
	json_error_t why;
	json_t *j = json_loadb((const char *)b->p, b->len,
			       JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &why);

	if (!j)
		fail_msg("%s at byte %d of %.*s", why.text, why.position,
			 (int)b->len, (const char *)b->p);
	return j;
}

/* Write a text, read it back. */
static struct bytes there_and_back(struct bytes text)
{
	static struct buf back;
	struct buf b = { 0 };
	json_t *j;

	json_begin(&b, NULL);
	json_text(&b, "t", text);
	json_end(&b);
	j = parse(&b);
	buf_clear(&back);
	put_bytes(&back, bytes_of(json_string_value(json_object_get(j, "t")),
				  json_string_length(json_object_get(j, "t"))));
	json_decref(j);
	buf_release(&b);
	return buf_bytes(&back);
}

TEST(objects_lists_and_numbers_come_back_as_they_went)
{
	struct buf b = { 0 };
	json_t *j;

	json_begin(&b, NULL);
	json_uint(&b, "zero", 0);
	json_uint(&b, "large", INT64_MAX);
	json_list(&b, "list");
	json_word(&b, NULL, "a");
	json_uint(&b, NULL, 7);
	json_begin(&b, NULL);
	json_end(&b);
	json_list(&b, NULL);
	json_list_end(&b);
	json_none(&b, NULL);
	json_list_end(&b);
	json_bool(&b, "yes", true);
	json_decimal(&b, "half", 0.5, 3);
	json_decimal(&b, "none", 0.0 / 0.0, 1);
	json_hex64(&b, "id", 0x0123456789abcdef);
	json_raw(&b, "raw", bytes_of_text("{\"x\":[1]}"));
	json_begin(&b, "empty");
	json_end(&b);
	json_end(&b);
	j = parse(&b);
	CHECK_EQ(json_integer_value(json_object_get(j, "zero")), 0);
	CHECK(json_integer_value(json_object_get(j, "large")) == INT64_MAX);
	CHECK_EQ(json_array_size(json_object_get(j, "list")), 5);
	CHECK(json_is_true(json_object_get(j, "yes")));
	CHECK(json_is_null(json_object_get(j, "none")));
	CHECK_STR(json_string_value(json_object_get(j, "id")),
		  "0123456789abcdef");
	CHECK_EQ(json_object_size(json_object_get(j, "raw")), 1);
	CHECK_EQ(json_object_size(json_object_get(j, "empty")), 0);
	json_decref(j);
	buf_release(&b);
}

TEST(a_second_line_begins_without_a_comma)
{
	struct buf b = { 0 };

	for (int i = 0; i < 2; i++) {
		json_begin(&b, NULL);
		json_end(&b);
		put_u8(&b, '\n');
	}
	CHECK_BYTES(buf_bytes(&b), bytes_of_text("{}\n{}\n"));
	buf_release(&b);
}

TEST(every_valid_character_is_kept)
{
	struct buf in = { 0 };

	for (uint32_t c = 0; c <= 0x10ffff; c++) {
		if (c >= 0xd800 && c <= 0xdfff)
			continue;
		if (c < 0x80) {
			put_u8(&in, (uint8_t)c);
		} else if (c < 0x800) {
			put_u8(&in, (uint8_t)(0xc0 | c >> 6));
			put_u8(&in, (uint8_t)(0x80 | (c & 63)));
		} else if (c < 0x10000) {
			put_u8(&in, (uint8_t)(0xe0 | c >> 12));
			put_u8(&in, (uint8_t)(0x80 | (c >> 6 & 63)));
			put_u8(&in, (uint8_t)(0x80 | (c & 63)));
		} else {
			put_u8(&in, (uint8_t)(0xf0 | c >> 18));
			put_u8(&in, (uint8_t)(0x80 | (c >> 12 & 63)));
			put_u8(&in, (uint8_t)(0x80 | (c >> 6 & 63)));
			put_u8(&in, (uint8_t)(0x80 | (c & 63)));
		}
	}
	CHECK_BYTES(there_and_back(buf_bytes(&in)), buf_bytes(&in));
	buf_release(&in);
}

TEST(bytes_that_are_no_character_become_one_that_says_so)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "\xff", "\xef\xbf\xbd" },
		{ "a\x80z", "a\xef\xbf\xbdz" },
		{ "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd" }, /* too long */
		{ "\xe0\x80\xaf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd" }, /* cut */
		{ "\xf4\x90\x80\x80",
		  "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		CHECK_BYTES(there_and_back(bytes_of_text(cases[i].in)),
			    bytes_of_text(cases[i].out));
}

TEST(any_bytes_at_all_can_be_read_back)
{
	for (int round = 0; round < 20000; round++) {
		uint8_t in[40];
		size_t n = t_random_below(sizeof(in));

		for (size_t i = 0; i < n; i++)
			in[i] = (uint8_t)(t_random() >> 11);
		there_and_back(bytes_of(in, n));
	}
}

TEST(base64_is_that_of_the_codec)
{
	struct buf b = { 0 };
	json_t *j;

	json_begin(&b, NULL);
	json_base64(&b, "b", bytes_of("\0\xff z", 4));
	json_base64(&b, "e", bytes_of(NULL, 0));
	json_end(&b);
	j = parse(&b);
	CHECK_STR(json_string_value(json_object_get(j, "b")), "AP8geg==");
	CHECK_STR(json_string_value(json_object_get(j, "e")), "");
	json_decref(j);
	buf_release(&b);
}
