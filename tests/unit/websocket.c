/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/websocket.h"

#include <zlib.h>

#include "messages_here.h"
#include "t.h"

static void feed_in_pieces(struct websocket_stream *s, struct bytes all,
			   size_t step, struct buf *out)
{
	struct message_sink sink = { .self = out, .message = note_message };

	for (size_t at = 0; at < all.len; at += step) {
		size_t n = all.len - at < step ? all.len - at : step;

		websocket_stream_feed(s, 0, at, bytes_of(all.p + at, n),
				      &sink);
	}
	websocket_stream_end(s, 0, &sink);
}

/* "Hello" masked as RFC 6455 shows it; in two frames, a ping between; … */
static const char FRAMES[] =
	"8185 37fa213d 7f9f4d5158"
	"0103 48656c 8904 70696e67 8002 6c6f"
	"82fe0080 00000000"
	"0000000000000000000000000000000000000000000000000000000000000000"
	"0000000000000000000000000000000000000000000000000000000000000000"
	"0000000000000000000000000000000000000000000000000000000000000000"
	"0000000000000000000000000000000000000000000000000000000000000000"
	"8800"
	"8105 4865";

TEST(R30_frames_are_the_same_however_they_are_cut)
{
	struct bytes all = t_hex(FRAMES);

	for (size_t step = 1; step <= all.len; step++) {
		struct websocket_stream s = { .payload_max = 0 };
		struct buf out = { 0 };

		feed_in_pieces(&s, all, step, &out);
		CHECK_STR(text_here(&out),
			  "0 frame complete [0,11) body 6+5: "
			  "text, 5 bytes: Hello\n"
			  "0 frame complete [16,22) body 18+4: "
			  "ping, 4 bytes\n"
			  "0 frame complete [11,26) body 13+5: "
			  "text, 5 bytes: Hello\n"
			  "0 frame complete [26,162) body 34+128: "
			  "binary, 128 bytes\n"
			  "0 frame complete [162,164) body 164+0: "
			  "close, 0 bytes\n"
			  "0 frame partial [164,168) body 166+2: "
			  "text, 2 bytes: He\n");
		websocket_stream_release(&s);
		buf_release(&out);
	}
}

TEST(R30_what_breaks_the_rules_is_one_error)
{
	static const struct {
		const char *hex, *error;
	} bad[] = {
		{ "8300 8300", "an opcode that WebSocket does not have" },
		{ "0900", "a control frame too long or in pieces" },
		{ "897e0100", "a control frame too long or in pieces" },
		{ "c100", "reserved bits that nobody agreed on" },
		{ "9100", "reserved bits that nobody agreed on" },
		{ "8000", "a continuation of nothing" },
		{ "010161 8100", "a message inside a message" },
		{ "827fffffffffffffffff",
		  "a payload length past all numbers" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct websocket_stream s = { .payload_max = 0 };
		struct buf out = { 0 };
		const char *said;

		feed_in_pieces(&s, t_hex(bad[i].hex), 1, &out);
		said = strstr(text_here(&out), "error parse_error");
		if (!said || !strstr(said, bad[i].error) ||
		    strstr(said + 20, "parse_error ["))
			fail_msg("%s: %s", bad[i].hex, text_here(&out));
		websocket_stream_release(&s);
		buf_release(&out);
	}
}

/* One message of a compressed stream: deflate it, drop the flush's tail. */
static void put_compressed(z_stream *z, struct bytes text, struct buf *out)
{
	uint8_t room[1024];
	size_t n;

	z->next_in = (Bytef *)(uintptr_t)text.p;
	z->avail_in = (uInt)text.len;
	z->next_out = room;
	z->avail_out = sizeof(room);
	CHECK_EQ(deflate(z, Z_SYNC_FLUSH), Z_OK);
	n = sizeof(room) - z->avail_out - 4;
	put_u8(out, 0xc1);
	if (n < 126) {
		put_u8(out, (uint8_t)n);
	} else {
		put_u8(out, 126);
		put_be16(out, (uint16_t)n);
	}
	put_bytes(out, bytes_of(room, n));
}

struct last {
	struct buf payload;
	bool inflated, cut;
	int count;
};

static void keep_last(void *self, const struct message *m)
{
	struct last *last = self;

	last->count++;
	last->inflated = m->websocket->inflated;
	last->cut = m->websocket->cut;
	buf_clear(&last->payload);
	put_bytes(&last->payload, m->websocket->payload);
}

TEST(compressed_messages_share_their_past)
{
	struct websocket_stream s = {
		.deflate = websocket_deflate_of(
			bytes_of_text("permessage-deflate; "
				      "client_no_context_takeover"), 0),
	};
	struct bytes text = bytes_of_text("the same words, the same words");
	struct last last = { .count = 0 };
	struct message_sink sink = { .self = &last, .message = keep_last };
	struct buf all = { 0 };
	z_stream z = { .zalloc = NULL };
	size_t first;

	CHECK_EQ(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, 0), Z_OK);
	put_compressed(&z, text, &all);
	first = all.len;
	put_compressed(&z, text, &all);
	CHECK(all.len - first < first); /* it does use the past */
	deflateEnd(&z);
	CHECK(s.deflate.on && !s.deflate.forget[0] && s.deflate.forget[1]);
	for (size_t i = 0; i < all.len; i++)
		websocket_stream_feed(&s, 0, i, bytes_of(all.p + i, 1), &sink);
	CHECK_EQ(last.count, 2);
	CHECK(last.inflated);
	CHECK_BYTES(buf_bytes(&last.payload), text);
	websocket_stream_release(&s);
	buf_release(&last.payload);
	buf_release(&all);
}

TEST(R31_a_bomb_in_a_message_stops_at_the_cap)
{
	struct websocket_stream s = { .deflate.on = true,
				      .payload_max = 1000 };
	struct last last = { .count = 0 };
	struct message_sink sink = { .self = &last, .message = keep_last };
	struct buf all = { 0 };
	uint8_t *zeros = calloc(1, 500000);
	z_stream z = { .zalloc = NULL };

	CHECK_EQ(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, 0), Z_OK);
	put_compressed(&z, bytes_of(zeros, 500000), &all);
	deflateEnd(&z);
	websocket_stream_feed(&s, 0, 0, buf_bytes(&all), &sink);
	CHECK_EQ(last.count, 1);
	CHECK(last.inflated && last.cut);
	CHECK_EQ(last.payload.len, 1000);
	websocket_stream_release(&s);
	buf_release(&last.payload);
	buf_release(&all);
	free(zeros);
}

TEST(R31_a_long_message_is_measured_and_not_kept)
{
	struct websocket_stream s = { .payload_max = 1000 };
	struct buf out = { 0 };
	struct message_sink sink = { .self = &out, .message = note_message };
	uint8_t zeros[4096] = { 0 };
	uint64_t at = 10;

	websocket_stream_feed(&s, 0, 0, t_hex("827f0000000000400000"), &sink);
	for (int i = 0; i < 1024; i++, at += sizeof(zeros)) {
		websocket_stream_feed(&s, 0, at,
				      bytes_of(zeros, sizeof(zeros)), &sink);
		CHECK(websocket_way_held(&s.way[0]) <= 2048);
	}
	CHECK_STR(text_here(&out), "0 frame complete [0,4194314) body "
				   "10+4194304: binary, 4194304 bytes\n");
	websocket_stream_release(&s);
	buf_release(&out);
}

TEST(a_gap_inside_a_payload_keeps_the_framing)
{
	struct websocket_stream s = { .payload_max = 0 };
	struct buf out = { 0 };
	struct message_sink sink = { .self = &out, .message = note_message };

	websocket_stream_feed(&s, 0, 0, t_hex("820a 0000"), &sink);
	websocket_stream_gap(&s, 0, 10, &sink);
	websocket_stream_feed(&s, 0, 10, t_hex("0000 8900"), &sink);
	CHECK_STR(text_here(&out),
		  "0 frame partial [0,12) body 2+4: binary, 4 bytes\n"
		  "0 frame complete [12,14) body 14+0: ping, 0 bytes\n");
	websocket_stream_release(&s);
	buf_release(&out);
}
