/* SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

#include "base/buf.h"
#include "codec/cbor.h"

TEST(integers_are_written_shortest_and_read_at_any_length)
{
	static const struct {
		uint64_t v;
		const char *hex;
	} table[] = {
		{ 0, "00" },
		{ 23, "17" },
		{ 24, "1818" },
		{ 255, "18ff" },
		{ 256, "190100" },
		{ 65535, "19ffff" },
		{ 65536, "1a00010000" },
		{ 4294967295, "1affffffff" },
		{ 4294967296, "1b0000000100000000" },
		{ UINT64_MAX, "1bffffffffffffffff" },
	};
	static const char *const seven[] = { "07", "1807", "190007",
					     "1a00000007",
					     "1b0000000000000007" };

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct buf b = { 0 };
		struct cursor c;
		uint64_t v;

		put_cbor_uint(&b, table[i].v);
		CHECK_BYTES(buf_bytes(&b), t_hex(table[i].hex));
		c = cursor_on(buf_bytes(&b));
		CHECK_EQ(cbor_uint(&c, UINT64_MAX, &v), 0);
		CHECK(v == table[i].v && cursor_done(&c));
		for (size_t cut = 0; cut < b.len; cut++) {
			c = cursor_on(bytes_of(b.p, cut));
			CHECK_EQ(cbor_uint(&c, UINT64_MAX, &v), ERR_MALFORMED);
		}
		buf_release(&b);
	}
	for (size_t i = 0; i < sizeof(seven) / sizeof(seven[0]); i++) {
		struct cursor c = cursor_on(t_hex(seven[i]));
		uint64_t v;

		CHECK_EQ(cbor_uint(&c, 7, &v), 0);
		CHECK_EQ(v, 7);
		c = cursor_on(t_hex(seven[i]));
		CHECK_EQ(cbor_uint(&c, 6, &v), ERR_LIMIT);
	}
}

TEST(what_is_no_unsigned_integer_is_refused)
{
	static const char *const wrong[] = { "",   "1c",     "1f", "20",   "40",
					     "60", "80",     "a0", "c200", "f4",
					     "f6", "f90000", "ff" };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct cursor c = cursor_on(t_hex(wrong[i]));
		uint64_t v;

		CHECK_EQ(cbor_uint(&c, UINT64_MAX, &v), ERR_MALFORMED);
	}
}

TEST(text_is_read_whole_or_in_chunks)
{
	static const char *const pond[] = { "64706f6e64", "7804706f6e64",
					    "7f62706f626e64ff",
					    "7f6064706f6e6460ff" };
	char out[5];

	for (size_t i = 0; i < sizeof(pond) / sizeof(pond[0]); i++) {
		struct cursor c = cursor_on(t_hex(pond[i]));

		CHECK_EQ(cbor_text(&c, out, sizeof(out)), 0);
		CHECK_STR(out, "pond");
		CHECK(cursor_done(&c));
		c = cursor_on(t_hex(pond[i]));
		CHECK_EQ(cbor_text(&c, out, 4), ERR_LIMIT);
	}
}

TEST(text_that_lies_is_refused)
{
	static const char *const wrong[] = {
		"64706f6e",		/* cut short */
		"7bffffffffffffffff61", /* longer than there are bytes */
		"44706f6e64",		/* bytes, not text */
		"7f44706f6e64ff",	/* a chunk of another kind */
		"7f7f61ffff",		/* chunks within a chunk */
		"7f64706f6e64",		/* no end */
		"6400610062",		/* a NUL inside */
	};
	char out[16];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct cursor c = cursor_on(t_hex(wrong[i]));

		CHECK_EQ(cbor_text(&c, out, sizeof(out)), ERR_MALFORMED);
	}
}

TEST(arrays_and_maps_are_walked_with_or_without_a_length)
{
	static const char *const three[] = { "83010203", "9803010203",
					     "9f010203ff" };

	for (size_t i = 0; i < 3; i++) {
		struct cursor c = cursor_on(t_hex(three[i]));
		struct cbor_walk w;
		uint64_t v, sum = 0;

		CHECK_EQ(cbor_array(&c, &w), 0);
		while (cbor_more(&c, &w) > 0) {
			CHECK_EQ(cbor_uint(&c, 3, &v), 0);
			sum += v;
		}
		CHECK_EQ(sum, 6);
		CHECK(cursor_done(&c));
	}
}

TEST(a_list_that_promises_more_than_there_is_is_refused)
{
	static const char *const lists[] = { "8301", "9bffffffffffffffff01",
					     "9f01" };

	for (size_t i = 0; i < 3; i++) {
		struct cursor c = cursor_on(t_hex(lists[i]));
		struct cbor_walk w;
		uint64_t v;
		int rc;

		CHECK_EQ(cbor_array(&c, &w), 0);
		CHECK_EQ(cbor_more(&c, &w), 1);
		CHECK_EQ(cbor_uint(&c, 1, &v), 0);
		rc = cbor_more(&c, &w);
		CHECK_EQ(rc, ERR_MALFORMED);
	}
}

TEST(any_sound_value_can_be_skipped)
{
	static const char *const values[] = {
		"00",
		"3903e7",
		"4401020304",
		"5f42010243030405ff",
		"6161",
		"7f61616162ff",
		"80",
		"9f8101ff",
		"a26161016162820203",
		"bf61610161629f0203ffff",
		"c074323031332d30332d32315432303a30343a30305a",
		"f4",
		"f6",
		"f7",
		"f818",
		"f93c00",
		"fa47c35000",
		"fb3ff199999999999a",
		"d9d9f783010203",
	};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct bytes in = t_hex(values[i]);
		struct cursor c = cursor_on(in);

		CHECK_EQ(cbor_skip(&c), 0);
		CHECK(cursor_done(&c));
		for (size_t cut = 0; cut < in.len; cut++) {
			c = cursor_on(bytes_of(in.p, cut));
			CHECK(cbor_skip(&c) == ERR_MALFORMED);
		}
	}
}

/* `n` arrays, each the only element of the one before. */
static int skip_nested(uint8_t opening, int n)
{
	struct buf b = { 0 };
	struct cursor c;
	int rc;

	for (int i = 0; i < n; i++)
		put_u8(&b, opening);
	put_u8(&b, 0);
	for (int i = 0; opening == 0x9f && i < n; i++)
		put_u8(&b, 0xff);
	c = cursor_on(buf_bytes(&b));
	rc = cbor_skip(&c);
	buf_release(&b);
	return rc;
}

TEST(nesting_ends_at_the_cap)
{
	static const uint8_t openings[] = { 0x81, 0x9f, 0xc1 };

	for (int i = 0; i < 3; i++) {
		CHECK_EQ(skip_nested(openings[i], CBOR_DEPTH_MAX - 1), 0);
		CHECK_EQ(skip_nested(openings[i], CBOR_DEPTH_MAX),
			 ERR_MALFORMED);
		CHECK_EQ(skip_nested(openings[i], 1000000), ERR_MALFORMED);
	}
}

TEST(noise_is_read_without_leaving_the_bytes)
{
	for (int round = 0; round < 20000; round++) {
		uint8_t *in = malloc(40); /* a fresh one, for the sanitizer */
		size_t len = (size_t)t_random_below(41);
		struct cursor c = cursor_on(bytes_of(in, len));

		for (size_t i = 0; i < 40; i++)
			in[i] = (uint8_t)t_random();
		if (cbor_skip(&c) == 0)
			CHECK(c.len < len || len == 0);
		free(in);
	}
}
