/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/feed/chunk.h"

#include "base/cursor.h"
#include "base/err.h"
#include "codec/expression.h"
#include "codec/record.h"
#include "t.h"

/* n packets: lengths and times differ; the first byte tells which it is. */
static void put_packets(struct buf *b, int n, size_t len)
{
	static uint8_t data[100000];

	for (int i = 0; i < n; i++) {
		struct packet p = { .data = bytes_of(data, len + (size_t)i % 7),
				    .time_ns = UINT64_C(1700000000999999999) +
					       (uint64_t)i * 1000,
				    .wire_len = 9000 };

		data[0] = (uint8_t)i;
		put_record(b, &p);
	}
}

static struct chunk make(const struct variant *v, uint32_t skip, int n,
			 size_t len)
{
	struct chunk k = { .key = { .first = 1000, .skip = skip } };
	struct buf b = { 0 };

	put_packets(&b, n, len);
	CHECK_EQ(chunk_make(&k, v, &b), 0);
	CHECK_EQ(b.cap == 0, !k.plain);
	buf_release(&b);
	return k;
}

TEST(B15_microseconds_by_default_and_nothing_else_changes)
{
	const struct variant v = { .snaplen = 65535 };
	struct chunk k = make(&v, 0, 50, 60);
	struct cursor c = cursor_on(buf_bytes(&k.bytes));
	struct packet p;

	CHECK(!k.plain);
	CHECK_EQ(k.records, 50);
	CHECK_EQ(k.len, k.bytes.len);
	for (int i = 0; i < 50; i++) {
		uint64_t ns =
			UINT64_C(1700000000999999999) + (uint64_t)i * 1000;

		/* A fraction in microseconds is below 10^9 as well. */
		CHECK_EQ(record_next(&c, &p), 0);
		CHECK_EQ(p.time_ns / 1000000000, ns / 1000000000);
		CHECK_EQ(p.time_ns % 1000000000, ns % 1000000000 / 1000);
		CHECK_EQ(p.data.len, 60 + i % 7);
		CHECK_EQ(p.data.p[0], i);
		CHECK_EQ(p.wire_len, 9000);
	}
	CHECK(cursor_done(&c));
	chunk_release(&k);
}

TEST(B15_nanoseconds_go_out_as_they_lie)
{
	const struct variant v = { .nano = true, .snaplen = 65535 };
	struct chunk k = make(&v, 0, 50, 60);
	struct buf b = { 0 };

	put_packets(&b, 50, 60);
	CHECK(k.plain);
	CHECK_EQ(k.bytes.cap, 0);
	CHECK_EQ(k.len, b.len);
	CHECK_EQ(k.head, 0);
	chunk_release(&k);

	k = make(&v, 3, 50, 60);
	CHECK_EQ(k.head, 3 * 16 + 60 + 61 + 62);
	CHECK_EQ(k.head + k.len, b.len);
	CHECK_EQ(k.records, 47);
	chunk_release(&k);
	buf_release(&b);
}

TEST(B15_no_record_is_longer_than_the_snaplen)
{
	static const bool units[] = { false, true };

	for (int u = 0; u < 2; u++) {
		const struct variant v = { .nano = units[u], .snaplen = 63 };
		struct chunk k = make(&v, 0, 14, 60);
		struct cursor c = cursor_on(buf_bytes(&k.bytes));
		struct packet p;

		CHECK(!k.plain);
		CHECK_EQ(k.clipped, 6); /* 64, 65 and 66, twice */
		for (int i = 0; i < 14; i++) {
			CHECK_EQ(record_next(&c, &p), 0);
			CHECK_EQ(p.data.len, i % 7 < 3 ? 60 + i % 7 : 63);
			CHECK_EQ(p.data.p[0], i);
			CHECK_EQ(p.wire_len, 9000);
		}
		CHECK(cursor_done(&c));
		chunk_release(&k);
	}
}

TEST(B17_a_filter_leaves_out_and_gives_memory_back)
{
	struct err err = ERR_NONE;
	struct expression *filter = expression_new("ether[0] = 9", 1, &err);
	const struct variant v = { .snaplen = 65535, .filter = filter };
	struct chunk k;
	struct cursor c;
	struct packet p;

	CHECK(filter != NULL);
	k = make(&v, 0, 200, 1000);
	c = cursor_on(buf_bytes(&k.bytes));
	CHECK_EQ(k.records, 1);
	CHECK_EQ(k.left_out, 199);
	CHECK_EQ(record_next(&c, &p), 0);
	CHECK_EQ(p.data.p[0], 9);
	CHECK(cursor_done(&c));
	CHECK_EQ(k.bytes.cap, k.bytes.len);
	chunk_release(&k);
	expression_free(filter);
}

TEST(every_byte_belongs_to_the_record_that_ends_behind_it)
{
	const struct variant v = { .snaplen = 62 };
	struct chunk k = make(&v, 2, 20, 60);
	struct buf b = { 0 };
	size_t end = 0;
	uint32_t records;

	put_packets(&b, 20, 60);
	CHECK_EQ(chunk_record_end(buf_bytes(&k.bytes), 0, &records), 0);
	CHECK_EQ(records, 0);
	CHECK_EQ(chunk_packets_in(&v, buf_bytes(&b), 2, 0), 2);
	for (uint32_t i = 2; i < 20; i++) {
		size_t begin = end;

		end += RECORD_HEADER + (i % 7 < 2 ? 60 + i % 7 : 62);
		for (size_t at = begin + 1; at <= end; at++) {
			CHECK_EQ(chunk_record_end(buf_bytes(&k.bytes), at,
						  &records),
				 end);
			CHECK_EQ(records, i - 1);
			CHECK_EQ(chunk_packets_in(&v, buf_bytes(&b), 2, at),
				 at == end ? i + 1 : i);
		}
	}
	CHECK_EQ(end, k.len);
	chunk_release(&k);
	buf_release(&b);
}

TEST(bytes_that_are_no_records_are_refused)
{
	const struct variant v = { .snaplen = 65535 };
	struct chunk k = { .key = { .first = 0 } };
	struct buf b = { 0 };

	put_packets(&b, 3, 60);
	put_zeros(&b, 16);
	CHECK_EQ(chunk_make(&k, &v, &b), ERR_MALFORMED);
	CHECK_EQ(b.cap, 0);
}

static struct chunk *add(struct chunk_cache *c, uint64_t first)
{
	const struct variant v = { .snaplen = 65535 };
	struct chunk k = make(&v, 0, 10, 1000);

	k.key.first = first;
	return chunk_cache_add(c, &k);
}

TEST(the_cache_keeps_to_its_bound_and_forgets_the_oldest_use)
{
	struct chunk_cache *c = chunk_cache_new(200 << 10);
	struct chunk_key key = { .first = 0 };
	uint64_t most = 0;

	for (uint64_t i = 0; i < 1000; i++) {
		add(c, i);
		if (chunk_cache_bytes(c) > most)
			most = chunk_cache_bytes(c);
		key.first = 0; /* used each time, so it stays */
		CHECK(chunk_cache_find(c, &key) != NULL);
	}
	CHECK(most <= 200 << 10);
	CHECK(most > 150 << 10);
	for (uint64_t i = 1; i < 1000; i++) {
		key.first = i;
		CHECK_EQ(chunk_cache_find(c, &key) != NULL, i >= 989);
	}
	key.first = 999;
	key.skip = 1;
	CHECK(chunk_cache_find(c, &key) == NULL);
	chunk_cache_free(c);
}

TEST(a_chunk_over_the_bound_is_kept_until_the_next)
{
	struct chunk_cache *c = chunk_cache_new(1000);
	struct chunk_key key = { .first = 7 };

	CHECK_EQ(add(c, 7)->records, 10);
	CHECK(chunk_cache_find(c, &key) != NULL);
	add(c, 8);
	CHECK(chunk_cache_find(c, &key) == NULL);
	chunk_cache_free(c);
}
