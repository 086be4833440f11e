/* SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

#include "base/buf.h"
#include "codec/weirlink.h"

static const uint8_t some_id[16] = "0123456789abcdef";

/* One frame of each type. */
static void put_each(struct buf *b)
{
	struct weirlink_frame f = { .source = 7, .sequence = 3, .at = 11 };
	struct weirlink_entry e[2] = {
		{ .source = 1, .next = 5 },
		{ .source = 2, .flags = WEIRLINK_HAS, .next = 6, .chain = 9 }
	};

	memcpy(e[1].origin, some_id, 16);
	put_weirlink_resume(b, 0, e, 2);
	f.type = WEIRLINK_ACK;
	put_weirlink(b, &f);
	f.type = WEIRLINK_SOURCE;
	f.as_source = (struct weirlink_source){ .verdict = WEIRLINK_FRESH,
						.linktype = 101,
						.snaplen = 262144,
						.oldest = 4,
						.head = 8,
						.name = "game" };
	memcpy(f.as_source.origin, some_id, 16);
	put_weirlink(b, &f);
	f.type = WEIRLINK_RUN;
	f.as_run = (struct weirlink_run){ .run = { .count = 1,
						   .crc = 77,
						   .min_ns = 5,
						   .max_ns = 6,
						   .chain = 99 },
					  .raw_len = 16,
					  .body = bytes_of(some_id, 16) };
	put_weirlink(b, &f);
	f.type = WEIRLINK_GAP;
	f.as_gap = (struct weirlink_gap){ .to = 12, .reason = 1 };
	put_weirlink(b, &f);
	f.type = WEIRLINK_NOTE;
	f.as_note = (struct weirlink_note){ .is = 2, .reason = 3, .value = 4 };
	put_weirlink(b, &f);
	f.type = WEIRLINK_BEAT;
	f.as_beat = (struct weirlink_beat){ .oldest = 1, .wall_ns = 2 };
	put_weirlink(b, &f);
	f.type = WEIRLINK_ERROR;
	f.as_error.code = 4;
	f.as_error.sentence = bytes_of_text("no");
	put_weirlink(b, &f);
	f.type = WEIRLINK_KEYLOG;
	f.payload = bytes_of_text("CLIENT_RANDOM a b");
	put_weirlink(b, &f);
	f.type = WEIRLINK_END;
	f.payload = bytes_of(NULL, 0);
	put_weirlink(b, &f);
}

TEST(each_frame_reads_back_as_it_was_put)
{
	static const uint8_t order[] = { WEIRLINK_RESUME, WEIRLINK_ACK,
					 WEIRLINK_SOURCE, WEIRLINK_RUN,
					 WEIRLINK_GAP,	  WEIRLINK_NOTE,
					 WEIRLINK_BEAT,	  WEIRLINK_ERROR,
					 WEIRLINK_KEYLOG, WEIRLINK_END };
	struct weirlink_frame f;
	struct weirlink_entry e;
	struct buf b = { 0 };
	size_t at = 0, size;

	put_each(&b);
	for (size_t i = 0; i < sizeof(order); i++) {
		CHECK_EQ(weirlink_parse(buf_from(&b, at), &f, &size), 0);
		CHECK_EQ(f.type, order[i]);
		at += size;
		switch (f.type) {
		case WEIRLINK_RESUME:
			CHECK_EQ(f.entries, 2);
			weirlink_entry_at(&f, 1, &e);
			CHECK_EQ(e.source, 2);
			CHECK_EQ(e.next, 6);
			CHECK_EQ(e.chain, 9);
			CHECK(memcmp(e.origin, some_id, 16) == 0);
			break;
		case WEIRLINK_SOURCE:
			CHECK_EQ(f.source, 7);
			CHECK_EQ(f.as_source.linktype, 101);
			CHECK_EQ(f.as_source.head, 8);
			CHECK_STR(f.as_source.name, "game");
			break;
		case WEIRLINK_RUN:
			CHECK_EQ(f.as_run.run.first, 11);
			CHECK_EQ(f.as_run.run.crc, 77);
			CHECK_EQ(f.as_run.run.chain, 99);
			CHECK_BYTES(f.as_run.run.records,
				    bytes_of(some_id, 16));
			break;
		case WEIRLINK_GAP:
			CHECK_EQ(f.as_gap.to, 12);
			break;
		case WEIRLINK_NOTE:
			CHECK_EQ(f.as_note.value, 4);
			break;
		case WEIRLINK_ERROR:
			CHECK_BYTES(f.as_error.sentence, bytes_of_text("no"));
			break;
		}
	}
	CHECK_EQ(at, b.len);
	buf_release(&b);
}

TEST(frames_cut_at_any_byte_wait_for_more)
{
	struct weirlink_frame f;
	struct buf b = { 0 };
	size_t at = 0, size = 0;

	put_each(&b);
	while (at < b.len) {
		CHECK_EQ(weirlink_parse(buf_from(&b, at), &f, &size), 0);
		for (size_t cut = 0; cut < size; cut++) {
			size_t other;

			CHECK_EQ(weirlink_parse(bytes_of(b.p + at, cut), &f,
						&other),
				 ERR_AGAIN);
		}
		at += size;
	}
	buf_release(&b);
}

/* Parse one frame with `patch` at `where` in it. */
static int patched(uint8_t type, size_t where, uint8_t value)
{
	struct weirlink_frame f;
	struct buf b = { 0 };
	size_t at = 0, size = 0;
	int rc;

	put_each(&b);
	while (b.p[at] != type) {
		CHECK_EQ(weirlink_parse(buf_from(&b, at), &f, &size), 0);
		at += size;
	}
	b.p[at + where] = value;
	rc = weirlink_parse(buf_from(&b, at), &f, &size);
	buf_release(&b);
	return rc;
}

TEST(what_breaks_a_bound_is_refused)
{
	enum { H = WEIRLINK_HEADER };

	CHECK_EQ(patched(WEIRLINK_ACK, 23, 0x80), ERR_MALFORMED); /* index */
	CHECK_EQ(patched(WEIRLINK_ACK, 7, 0x02), ERR_LIMIT);	  /* length */
	CHECK_EQ(patched(WEIRLINK_RESUME, H + 1, 2), ERR_LIMIT);
	CHECK_EQ(patched(WEIRLINK_RESUME, H, 3), ERR_MALFORMED);
	CHECK_EQ(patched(WEIRLINK_SOURCE, H, 0), ERR_MALFORMED);
	CHECK_EQ(patched(WEIRLINK_SOURCE, H, 5), ERR_MALFORMED);
	CHECK_EQ(patched(WEIRLINK_SOURCE, H + 48 + 7, 0xff), ERR_MALFORMED);
	CHECK_EQ(patched(WEIRLINK_RUN, H, 0), ERR_LIMIT); /* count */
	CHECK_EQ(patched(WEIRLINK_RUN, H + 2, 2), ERR_LIMIT);
	CHECK_EQ(patched(WEIRLINK_RUN, H + 4, 15), ERR_LIMIT); /* raw */
	CHECK_EQ(patched(WEIRLINK_RUN, H + 7, 2), ERR_LIMIT);
	CHECK_EQ(patched(WEIRLINK_RUN, H + 4, 17), ERR_MALFORMED);
	CHECK_EQ(patched(WEIRLINK_RUN, H + 8, 2), ERR_MALFORMED); /* codec */
	CHECK_EQ(patched(WEIRLINK_GAP, H, 11), ERR_MALFORMED);	  /* to */
	CHECK_EQ(patched(WEIRLINK_GAP, H + 7, 0x80), ERR_MALFORMED);
	CHECK_EQ(patched(WEIRLINK_NOTE, H, 3), ERR_MALFORMED);
	CHECK_EQ(patched(WEIRLINK_BEAT, H, 12), ERR_MALFORMED); /* oldest */
	CHECK_EQ(patched(WEIRLINK_END, 0, 0x55), ERR_MALFORMED);
	CHECK_EQ(patched(WEIRLINK_END, 0, 0xf0), ERR_UNKNOWN);
}

TEST(a_hello_is_told_from_anything_else)
{
	struct weirlink_hello h = { .low = 1, .high = 3, .features = 2 }, got;
	struct buf b = { 0 };

	put_weirlink_hello(&b, &h);
	CHECK_EQ(b.len, WEIRLINK_HELLO);
	CHECK_EQ(weirlink_hello_parse(buf_bytes(&b), &got), 0);
	CHECK_EQ(got.high, 3);
	CHECK_EQ(got.features, 2);
	for (size_t cut = 0; cut < b.len; cut++)
		CHECK_EQ(weirlink_hello_parse(bytes_of(b.p, cut), &got),
			 ERR_UNKNOWN);
	put_text(&b, "and what comes later");
	CHECK_EQ(weirlink_hello_parse(buf_bytes(&b), &got), 0);
	b.p[0] ^= 1;
	CHECK_EQ(weirlink_hello_parse(buf_bytes(&b), &got), ERR_UNKNOWN);
	buf_release(&b);
}
