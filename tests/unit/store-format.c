/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "engine/store/format.h"

#include "lib/t.h"

TEST(a_flipped_bit_in_a_header_is_refused)
{
	struct extent_head h = { .id = 77, .pos = 5, .cap = 4096, .way = 2 };
	struct extent_head back;
	struct buf seg = { 0 }, ext = { 0 };
	uint32_t number;

	put_segment_head(&seg, 9, 1234);
	put_extent_head(&ext, &h);
	CHECK_EQ(seg.len, SEGMENT_HEADER);
	CHECK_EQ(ext.len, EXTENT_HEADER);
	CHECK_EQ(segment_head_parse(buf_bytes(&seg), &number), 0);
	CHECK_EQ(number, 9);
	CHECK_EQ(extent_head_parse(buf_bytes(&ext), &back), 0);
	CHECK_EQ(back.id, 77);
	CHECK_EQ(back.pos, 5);
	CHECK_EQ(back.cap, 4096);
	CHECK_EQ(back.way, 2);
	for (size_t bit = 0; bit < 8 * SEGMENT_HEADER; bit++) {
		seg.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CHECK(segment_head_parse(buf_bytes(&seg), &number) < 0);
		seg.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t bit = 0; bit < 8 * EXTENT_HEADER; bit++) {
		ext.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CHECK(extent_head_parse(buf_bytes(&ext), &back) < 0);
		ext.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t n = 0; n < SEGMENT_HEADER; n++)
		CHECK(segment_head_parse(bytes_of(seg.p, n), &number) < 0);
	buf_release(&seg);
	buf_release(&ext);
}

TEST(runs_must_follow_each_other_and_be_full)
{
	struct extent e[2] = {
		{ .segment = 1, .offset = 96, .cap = 512, .used = 512 },
		{ .segment = 2, .offset = 96, .cap = 900, .used = 10,
		  .pos = 512 },
	};
	struct buf b = { 0 };
	size_t n;

	put_extent(&b, &e[0]);
	put_extent(&b, &e[1]);
	CHECK_EQ(extents_check(buf_bytes(&b), &n), 0);
	CHECK_EQ(n, 2);
	CHECK_EQ(extent_at(buf_bytes(&b), 1).cap, 900);
	CHECK(extents_check(bytes_of(b.p, b.len - 1), &n) < 0);
	buf_clear(&b);
	e[1].pos = 513;
	put_extent(&b, &e[0]);
	put_extent(&b, &e[1]);
	CHECK(extents_check(buf_bytes(&b), &n) < 0);
	buf_release(&b);
}

TEST(names_are_read_back_and_others_refused)
{
	char name[SEGMENT_NAME];
	uint32_t number;

	payload_name(name, 0x1f);
	CHECK_STR(name, "0000001f.seg");
	CHECK_EQ(payload_name_parse(name, &number), 0);
	CHECK_EQ(number, 0x1f);
	CHECK(payload_name_parse("1f.seg", &number) < 0);
	CHECK(payload_name_parse("0000001f.seg.tmp", &number) < 0);
	CHECK(payload_name_parse("store.db", &number) < 0);
}
