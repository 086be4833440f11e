/* SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

#include <malloc.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "codec/pcapstream.h"
#include "codec/record.h"

enum { SEEN_MAX = 4096 };

/* All that came out of a stream, copied. */
struct seen {
	int rc; /* of pcapstream_end(), or the failure before it */
	uint64_t offset;
	int n;
	struct pcapstream_item at[SEEN_MAX];
	struct pcapstream_counts counts;
	struct buf copies;
};

static struct seen seen;

static struct bytes keep_copy(struct bytes in)
{
	struct bytes out = { .len = in.len };

	out.p = (const uint8_t *)seen.copies.len; /* a place; see packet_at() */
	put_bytes(&seen.copies, in);
	return out;
}

static struct bytes kept(struct bytes in)
{
	return bytes_of(seen.copies.p + (size_t)in.p, in.len);
}

static void gather(struct pcapstream *s)
{
	struct pcapstream_item item;

	while ((seen.rc = pcapstream_next(s, &item)) == 0) {
		assert_true(seen.n < SEEN_MAX);
		item.packet.data = keep_copy(item.packet.data);
		item.body = keep_copy(item.body);
		item.options = keep_copy(item.options);
		seen.at[seen.n++] = item;
	}
}

/* Feed all of it in pieces of at most `piece` bytes, 0: of random size. */
static void read_all(struct bytes in, size_t piece)
{
	struct pcapstream *s = pcapstream_new(PCAPSTREAM_CHUNK);

	buf_clear(&seen.copies);
	seen.n = 0;
	seen.rc = ERR_AGAIN;
	while (in.len && seen.rc == ERR_AGAIN) {
		size_t n = piece ? piece : 1 + t_random_below(64);

		n = n < in.len ? n : in.len;
		pcapstream_feed(s, bytes_of(in.p, n));
		in = bytes_of(in.p + n, in.len - n);
		gather(s);
	}
	if (seen.rc == ERR_AGAIN)
		seen.rc = pcapstream_end(s);
	seen.offset = pcapstream_offset(s);
	seen.counts = *pcapstream_counts(s);
	CHECK_EQ(pcapstream_why(s) != NULL, seen.rc != 0);
	pcapstream_free(s);
}

static const struct pcapstream_item *packet_at(int n)
{
	for (int i = 0; i < seen.n; i++)
		if (seen.at[i].kind == PCAPSTREAM_PACKET && n-- == 0)
			return &seen.at[i];
	fail_msg("there is no packet %d", n);
	return NULL;
}

static int count_of(enum pcapstream_kind kind)
{
	int n = 0;

	for (int i = 0; i < seen.n; i++)
		n += seen.at[i].kind == kind;
	return n;
}

/* -- building captures in either order of bytes ------------------------- */

static bool big; /* the order of what is being built */

static void put_16(struct buf *b, uint16_t v)
{
	if (big)
		put_be16(b, v);
	else
		put_le16(b, v);
}

static void put_32(struct buf *b, uint32_t v)
{
	if (big)
		put_be32(b, v);
	else
		put_le32(b, v);
}

static void put_64(struct buf *b, uint64_t v)
{
	if (big)
		put_be64(b, v);
	else
		put_le64(b, v);
}

static void put_head(struct buf *b, uint32_t magic, uint16_t minor)
{
	put_32(b, magic);
	put_16(b, 2);
	put_16(b, minor);
	put_32(b, 0);
	put_32(b, 0);
	put_32(b, 96);
	put_32(b, 0x50000071); /* a frame check sequence is told of, too */
}

static void put_classic(struct buf *b, uint32_t sec, uint32_t frac,
			uint32_t len, uint32_t wire, const char *text)
{
	put_32(b, sec);
	put_32(b, frac);
	put_32(b, len);
	put_32(b, wire);
	put_text(b, text);
}

static void put_padding(struct buf *b, size_t len)
{
	put_zeros(b, (4 - len % 4) % 4);
}

static void put_block(struct buf *b, uint32_t type, const struct buf *body)
{
	uint32_t len = (uint32_t)body->len + 12;

	put_32(b, type);
	put_32(b, len);
	put_bytes(b, buf_bytes(body));
	put_32(b, len);
}

static void put_option(struct buf *b, uint16_t code, struct bytes value)
{
	put_16(b, code);
	put_16(b, (uint16_t)value.len);
	put_bytes(b, value);
	put_padding(b, value.len);
}

static void put_section(struct buf *b)
{
	struct buf body = { 0 };

	put_32(&body, 0x1a2b3c4d);
	put_16(&body, 1);
	put_16(&body, 0);
	put_64(&body, UINT64_MAX);
	put_option(&body, 1, bytes_of_text("day one"));
	put_option(&body, 0, bytes_of_text(""));
	put_block(b, 0x0a0d0d0a, &body);
	buf_release(&body);
}

static void put_interface(struct buf *b, uint16_t linktype, uint32_t snaplen,
			  int resolution, int64_t offset_s)
{
	struct buf body = { 0 };
	struct buf value = { 0 };
	uint8_t one = (uint8_t)resolution;

	put_16(&body, linktype);
	put_16(&body, 0);
	put_32(&body, snaplen);
	if (resolution >= 0)
		put_option(&body, 9, bytes_of(&one, 1));
	put_64(&value, (uint64_t)offset_s);
	if (offset_s)
		put_option(&body, 14, buf_bytes(&value));
	put_block(b, 1, &body);
	buf_release(&body);
	buf_release(&value);
}

static void put_packet_body(struct buf *body, uint64_t ticks, uint32_t len,
			    uint32_t wire, const char *text)
{
	put_32(body, (uint32_t)(ticks >> 32));
	put_32(body, (uint32_t)ticks);
	put_32(body, len);
	put_32(body, wire);
	put_text(body, text);
	put_padding(body, strlen(text));
}

static void put_enhanced(struct buf *b, uint32_t interface, uint64_t ticks,
			 const char *text)
{
	struct buf body = { 0 };
	uint32_t len = (uint32_t)strlen(text);

	put_32(&body, interface);
	put_packet_body(&body, ticks, len, len + 7, text);
	put_option(&body, 1, bytes_of_text("look here"));
	put_block(b, 6, &body);
	buf_release(&body);
}

static void put_kind(struct buf *b, uint32_t type, const char *text)
{
	struct buf body = { 0 };

	put_text(&body, text);
	put_padding(&body, strlen(text));
	put_block(b, type, &body);
	buf_release(&body);
}

static void put_secrets(struct buf *b, const char *text)
{
	struct buf body = { 0 };

	put_32(&body, 0x544c534b);
	put_32(&body, (uint32_t)strlen(text));
	put_text(&body, text);
	put_padding(&body, strlen(text));
	put_block(b, 10, &body);
	buf_release(&body);
}

/* A bit of everything, and where each thing ends. */
static int put_everything(struct buf *b, size_t *ends)
{
	int n = 0;

	put_section(b);
	ends[n++] = b->len;
	put_interface(b, 1, 0, -1, 0);
	ends[n++] = b->len;
	put_interface(b, 113, 65535, 9, 3600);
	ends[n++] = b->len;
	put_enhanced(b, 1, 1700000000123456789, "nanoseconds");
	ends[n++] = b->len;
	put_kind(b, 0x0bad, "nobody knows this");
	put_enhanced(b, 0, 1700000000123456, "microseconds!");
	ends[n++] = b->len;
	put_secrets(b, "CLIENT_RANDOM 00 00");
	ends[n++] = b->len;
	put_kind(b, 4, "four");
	ends[n++] = b->len;
	put_section(b);
	ends[n++] = b->len;
	put_interface(b, 101, 0, 128 + 10, 0);
	ends[n++] = b->len;
	put_enhanced(b, 0, 1024 + 512, "");
	ends[n++] = b->len;
	return n;
}

/* -- classic pcap ------------------------------------------------------- */

TEST(I03_every_magic_gives_the_same_packets_with_all_digits_it_has)
{
	static const struct {
		uint32_t magic;
		uint32_t frac, want_frac;
		int more;
	} kinds[] = {
		{ 0xa1b2c3d4, 123456, 123456000, 0 },
		{ 0xa1b23c4d, 123456789, 123456789, 0 },
		{ 0xa1b2cd34, 123456, 123456000, 8 },
	};

	for (int i = 0; i < 6; i++) {
		struct buf b = { 0 };

		big = i & 1;
		put_head(&b, kinds[i / 2].magic, 4);
		for (int k = 0; k < 2; k++) {
			put_classic(&b, 1700000000, kinds[i / 2].frac, 5 + k,
				    1500, "");
			put_zeros(&b, (size_t)kinds[i / 2].more);
			put_text(&b, k ? "second" : "first");
		}
		read_all(buf_bytes(&b), 0);
		CHECK_EQ(seen.rc, 0);
		CHECK_EQ(seen.n, 3);
		CHECK_EQ(seen.at[0].kind, PCAPSTREAM_INTERFACE);
		CHECK_EQ(seen.at[0].from.linktype, 113);
		CHECK_EQ(seen.at[0].from.snaplen, 96);
		CHECK_EQ(seen.at[0].from.resolution, i / 2 == 1 ? 9 : 6);
		CHECK_BYTES(kept(packet_at(0)->packet.data),
			    bytes_of_text("first"));
		CHECK_BYTES(kept(packet_at(1)->packet.data),
			    bytes_of_text("second"));
		CHECK_EQ(packet_at(1)->packet.wire_len, 1500);
		CHECK(packet_at(1)->packet.time_ns ==
		      UINT64_C(1700000000000000000) + kinds[i / 2].want_frac);
		buf_release(&b);
	}
	big = false;
}

TEST(lengths_of_old_versions_are_put_in_order)
{
	static const struct {
		uint16_t minor;
		uint32_t first, second;
	} cases[] = {
		{ 4, 3, 60 }, { 3, 3, 60 }, { 3, 60, 3 },
		{ 2, 60, 3 }, { 0, 60, 3 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct buf b = { 0 };

		put_head(&b, 0xa1b2c3d4, cases[i].minor);
		put_classic(&b, 1, 1, cases[i].first, cases[i].second, "abc");
		read_all(buf_bytes(&b), 1);
		CHECK_EQ(seen.rc, 0);
		CHECK_EQ(packet_at(0)->packet.data.len, 3);
		CHECK_EQ(packet_at(0)->packet.wire_len, 60);
		buf_release(&b);
	}
}

TEST(a_fraction_of_more_than_a_second_counts_on_and_is_counted)
{
	struct buf b = { 0 };

	put_head(&b, 0xa1b2c3d4, 4);
	put_classic(&b, 10, 999999, 1, 1, "a");
	put_classic(&b, 10, 1000000, 1, 1, "b");
	put_classic(&b, 10, UINT32_MAX, 1, 1, "c");
	put_classic(&b, UINT32_MAX, UINT32_MAX, 1, 1, "d");
	read_all(buf_bytes(&b), 0);
	CHECK_EQ(seen.rc, 0);
	CHECK(packet_at(0)->packet.time_ns == UINT64_C(10999999000));
	CHECK(packet_at(1)->packet.time_ns == UINT64_C(11000000000));
	CHECK(packet_at(2)->packet.time_ns == UINT64_C(4304967295000));
	/* The last time that a record of ours can hold. */
	CHECK(packet_at(3)->packet.time_ns == UINT64_C(4294967295999999999));
	CHECK_EQ(seen.counts.odd_times, 3);
	buf_release(&b);
}

TEST(a_record_longer_than_the_snaplen_of_the_header_is_taken)
{
	struct buf b = { 0 };

	put_head(&b, 0xa1b23c4d, 4);
	put_classic(&b, 1, 1, 100, 100, "");
	put_zeros(&b, 100);
	read_all(buf_bytes(&b), 0);
	CHECK_EQ(seen.rc, 0);
	CHECK_EQ(packet_at(0)->packet.data.len, 100);
	buf_release(&b);
}

TEST(I12_large_records_between_small_ones_arrive_whole)
{
	static const uint32_t sizes[] = { 60, 65549, 60, PACKET_MAX, 60 };
	struct buf b = { 0 };

	put_head(&b, 0xa1b23c4d, 4);
	for (int i = 0; i < 5; i++) {
		put_classic(&b, 1, 1, sizes[i], sizes[i], "");
		memset(buf_reserve(&b, sizes[i]), 'a' + i, sizes[i]);
		buf_added(&b, sizes[i]);
	}
	read_all(buf_bytes(&b), 4096);
	CHECK_EQ(seen.rc, 0);
	for (int i = 0; i < 5; i++) {
		struct bytes data = kept(packet_at(i)->packet.data);

		CHECK_EQ(data.len, sizes[i]);
		CHECK_EQ(data.p[0], 'a' + i);
		CHECK_EQ(data.p[data.len - 1], 'a' + i);
	}
	buf_release(&b);
	buf_release(&seen.copies);
}

TEST(I12_a_record_over_the_limit_is_refused_and_what_came_before_is_kept)
{
	struct buf b = { 0 };
	size_t good;

	put_head(&b, 0xa1b23c4d, 4);
	put_classic(&b, 1, 1, 4, 4, "good");
	good = b.len;
	put_classic(&b, 1, 1, PACKET_MAX + 1, PACKET_MAX + 1, "");
	read_all(buf_bytes(&b), 0);
	CHECK_EQ(seen.rc, ERR_LIMIT);
	CHECK_EQ(count_of(PCAPSTREAM_PACKET), 1);
	CHECK_EQ(seen.offset, good);
	buf_release(&b);
}

TEST(a_pcap_cut_at_any_byte_keeps_every_whole_record)
{
	struct buf b = { 0 };
	size_t ends[3];

	put_head(&b, 0xa1b23c4d, 4);
	for (int i = 0; i < 3; i++) {
		put_classic(&b, 1, 1, 7, 7, "payload");
		ends[i] = b.len;
	}
	for (size_t cut = 0; cut <= b.len; cut++) {
		int whole = 0;
		bool clean = cut == PCAP_HEADER;

		for (int i = 0; i < 3; i++) {
			whole += cut >= ends[i];
			clean |= cut == ends[i];
		}
		read_all(bytes_of(b.p, cut), 0);
		CHECK_EQ(count_of(PCAPSTREAM_PACKET), whole);
		CHECK_EQ(seen.rc, clean	    ? 0
				  : cut < 4 ? ERR_UNKNOWN
					    : ERR_DAMAGED);
		CHECK_EQ(seen.offset, whole		   ? ends[whole - 1]
				      : cut >= PCAP_HEADER ? PCAP_HEADER
							   : 0);
	}
	buf_release(&b);
}

TEST(a_tail_of_zeros_is_damage_and_holds_no_packet)
{
	struct buf b = { 0 };
	size_t good;

	put_head(&b, 0xa1b23c4d, 4);
	put_classic(&b, 1, 1, 7, 7, "payload");
	good = b.len;
	put_zeros(&b, 4096);
	read_all(buf_bytes(&b), 0);
	CHECK_EQ(seen.rc, ERR_DAMAGED);
	CHECK_EQ(seen.offset, good);
	CHECK_EQ(count_of(PCAPSTREAM_PACKET), 1);

	buf_clear(&b);
	put_section(&b);
	put_zeros(&b, 64);
	read_all(buf_bytes(&b), 0);
	CHECK_EQ(seen.rc, ERR_DAMAGED);
	buf_release(&b);
}

TEST(what_is_no_capture_is_refused_at_once)
{
	static const char *const heads[] = {
		"00000000 00000000",
		"4749463839610000",  /* a picture */
		"1f8b0800 00000000", /* still packed */
		"d4c3b2a1 0300 0400 00000000 00000000 00000000 00000000",
		"0a0d0d0a 1c000000 4d3c2b1a 0200 0000 ffffffffffffffff"
		"1c000000",
	};

	for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
		read_all(t_hex(heads[i]), 1);
		CHECK_EQ(seen.rc, ERR_UNKNOWN);
		CHECK_EQ(seen.n, 0);
	}
	read_all(bytes_of(NULL, 0), 1);
	CHECK_EQ(seen.rc, ERR_UNKNOWN);
}

/* -- pcapng ------------------------------------------------------------- */

static void check_everything(void)
{
	struct pcapstream_option option;
	struct cursor c;

	CHECK_EQ(seen.rc, 0);
	CHECK_EQ(seen.n, 10);
	CHECK_EQ(count_of(PCAPSTREAM_SECTION), 2);
	CHECK_EQ(seen.counts.skipped_blocks, 1);
	CHECK_EQ(seen.counts.broken_options, 0);

	CHECK_BYTES(kept(packet_at(0)->packet.data),
		    bytes_of_text("nanoseconds"));
	CHECK_EQ(packet_at(0)->interface, 1);
	CHECK_EQ(packet_at(0)->from.linktype, 113);
	CHECK_EQ(packet_at(0)->from.snaplen, 65535);
	CHECK_EQ(packet_at(0)->packet.wire_len, 18);
	CHECK(packet_at(0)->packet.time_ns == UINT64_C(1700003600123456789));
	c = cursor_on(kept(packet_at(0)->options));
	CHECK_EQ(pcapstream_option_next(&c, packet_at(0)->swapped, &option), 0);
	CHECK_EQ(option.code, PCAPSTREAM_OPTION_COMMENT);
	CHECK_BYTES(option.value, bytes_of_text("look here"));
	CHECK_EQ(pcapstream_option_next(&c, packet_at(0)->swapped, &option),
		 ERR_END);

	CHECK_EQ(packet_at(1)->interface, 0);
	CHECK_EQ(packet_at(1)->from.linktype, 1);
	CHECK(packet_at(1)->packet.time_ns == UINT64_C(1700000000123456000));

	/* Interfaces begin anew in a section, their numbers here do not. */
	CHECK_EQ(packet_at(2)->interface, 2);
	CHECK_EQ(packet_at(2)->from.linktype, 101);
	CHECK(packet_at(2)->packet.time_ns == 1500000000);
}

TEST(G09_interfaces_sections_and_resolutions_in_both_orders_of_bytes)
{
	static const size_t pieces[] = { 1, 3, 0, 1 << 20 };
	size_t ends[16];

	for (int i = 0; i < 8; i++) {
		struct buf b = { 0 };

		big = i & 1;
		put_everything(&b, ends);
		read_all(buf_bytes(&b), pieces[i / 2]);
		check_everything();
		buf_release(&b);
	}
	big = false;
}

TEST(G09_sections_of_both_orders_may_follow_one_another)
{
	struct buf b = { 0 };

	for (int i = 0; i < 4; i++) {
		big = i & 1;
		put_section(&b);
		put_interface(&b, 113, 0, 9, 0);
		put_enhanced(&b, 0, 77, "either");
	}
	big = false;
	read_all(buf_bytes(&b), 0);
	CHECK_EQ(seen.rc, 0);
	for (int i = 0; i < 4; i++) {
		CHECK_EQ(packet_at(i)->swapped, i & 1);
		CHECK_EQ(packet_at(i)->interface, i);
		CHECK_EQ(packet_at(i)->from.linktype, 113);
		CHECK_EQ(packet_at(i)->packet.wire_len, 13);
		CHECK(packet_at(i)->packet.time_ns == 77);
	}
	buf_release(&b);
}

/* A block of this packet length or secrets length, after an interface. */
static void read_large(uint32_t type, uint32_t len)
{
	struct buf b = { 0 }, body = { 0 };

	put_section(&b);
	put_interface(&b, 1, 0, 9, 0);
	put_32(&body, 0);
	if (type == 6)
		put_packet_body(&body, 1, len, len, "");
	else
		put_32(&body, len);
	put_zeros(&body, len);
	put_padding(&body, len);
	put_block(&b, type, &body);
	put_enhanced(&b, 0, 1, "after it");
	read_all(buf_bytes(&b), 100000);
	buf_release(&b);
	buf_release(&body);
}

TEST(I12_blocks_at_the_limit_are_taken_and_over_it_refused_or_skipped)
{
	read_large(6, PACKET_MAX);
	CHECK_EQ(seen.rc, 0);
	CHECK_EQ(packet_at(0)->packet.data.len, PACKET_MAX);
	read_large(6, PACKET_MAX + 1);
	CHECK_EQ(seen.rc, ERR_LIMIT);
	CHECK_EQ(count_of(PCAPSTREAM_PACKET), 0);

	read_large(10, PACKET_MAX);
	CHECK_EQ(seen.rc, 0);
	CHECK_EQ(count_of(PCAPSTREAM_SECRETS), 1);
	read_large(10, PCAPSTREAM_BLOCK_MAX);
	CHECK_EQ(seen.rc, 0);
	CHECK_EQ(count_of(PCAPSTREAM_SECRETS), 0);
	CHECK_EQ(seen.counts.skipped_blocks, 1);
	CHECK_EQ(count_of(PCAPSTREAM_PACKET), 1);
	buf_release(&seen.copies);
}

TEST(secrets_names_and_comments_are_handed_out)
{
	struct buf b = { 0 };
	size_t ends[16];

	put_everything(&b, ends);
	read_all(buf_bytes(&b), 0);
	CHECK_EQ(seen.at[5].kind, PCAPSTREAM_SECRETS);
	CHECK_EQ(seen.at[5].secrets_type, 0x544c534b);
	CHECK_BYTES(kept(seen.at[5].body),
		    bytes_of_text("CLIENT_RANDOM 00 00"));
	CHECK_EQ(seen.at[6].kind, PCAPSTREAM_NAMES);
	CHECK_BYTES(kept(seen.at[6].body), bytes_of_text("four"));
	buf_release(&b);
}

TEST(a_pcapng_cut_at_any_byte_keeps_every_whole_block)
{
	struct buf b = { 0 };
	size_t ends[16];
	int n = put_everything(&b, ends);

	for (size_t cut = 4; cut < b.len; cut++) {
		int whole = 0;
		bool clean = false;

		for (int i = 0; i < n; i++) {
			whole += cut >= ends[i];
			clean |= cut == ends[i];
		}
		read_all(bytes_of(b.p, cut), 0);
		CHECK_EQ(seen.n, whole);
		/* After the block that is skipped it is clean, too. */
		if (clean)
			CHECK_EQ(seen.rc, 0);
		else if (seen.rc)
			CHECK_EQ(seen.rc, ERR_DAMAGED);
		CHECK(seen.rc == ERR_DAMAGED || clean ||
		      seen.counts.skipped_blocks == 1);
	}
	buf_release(&b);
}

TEST(every_resolution_becomes_nanoseconds)
{
	static const struct {
		int resolution;
		int64_t offset_s;
		uint64_t ticks, want;
		uint64_t odd;
	} cases[] = {
		{ 0, 0, 7, 7000000000, 0 },
		{ 3, 0, 1500, 1500000000, 0 },
		{ 6, 0, 1, 1000, 0 },
		{ 9, 0, 1, 1, 0 },
		{ 12, 0, 1999, 1, 0 },
		{ 28, 0, UINT64_MAX, 1, 0 },
		{ 29, 0, UINT64_MAX, 0, 0 },
		{ 127, 0, UINT64_MAX, 0, 0 },
		{ 128, 0, 3, 3000000000, 0 },
		{ 128 + 32, 0, UINT64_C(3) << 31, 1500000000, 0 },
		{ 128 + 127, 0, UINT64_MAX, 0, 0 },
		{ 9, -1, 1000000001, 1, 0 },
		{ 9, -2, 1000000001, 0, 1 },
		{ 9, INT64_MIN, 5, 0, 1 },
		{ 9, INT64_MAX, 5, UINT64_C(4294967295999999999), 1 },
		{ 0, 0, UINT64_MAX, UINT64_C(4294967295999999999), 1 },
		{ 9, 0, UINT64_MAX, UINT64_C(4294967295999999999), 1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct buf b = { 0 };

		put_section(&b);
		put_interface(&b, 1, 0, cases[i].resolution, cases[i].offset_s);
		put_enhanced(&b, 0, cases[i].ticks, "x");
		read_all(buf_bytes(&b), 0);
		CHECK_EQ(seen.rc, 0);
		CHECK(packet_at(0)->packet.time_ns == cases[i].want);
		CHECK_EQ(seen.counts.odd_times, cases[i].odd);
		buf_release(&b);
	}
}

TEST(simple_and_old_packets_are_read)
{
	struct buf b = { 0 }, body = { 0 };

	put_section(&b);
	put_interface(&b, 1, 5, -1, 0);
	put_32(&body, 1500);
	put_text(&body, "first...");
	put_block(&b, 3, &body);

	buf_clear(&body);
	put_16(&body, 0);
	put_16(&body, 3);
	put_packet_body(&body, 2000000, 3, 70, "old");
	put_block(&b, 2, &body);
	read_all(buf_bytes(&b), 0);
	CHECK_EQ(seen.rc, 0);
	CHECK_BYTES(kept(packet_at(0)->packet.data), bytes_of_text("first"));
	CHECK_EQ(packet_at(0)->packet.wire_len, 1500);
	CHECK(packet_at(0)->packet.time_ns == 0);
	CHECK_BYTES(kept(packet_at(1)->packet.data), bytes_of_text("old"));
	CHECK_EQ(packet_at(1)->packet.wire_len, 70);
	CHECK(packet_at(1)->packet.time_ns == 2000000000);
	buf_release(&body);
	buf_release(&b);
}

TEST(a_packet_without_time_and_length_is_counted_not_handed_out)
{
	struct buf b = { 0 }, body = { 0 };

	put_section(&b);
	put_interface(&b, 1, 0, 9, 0);
	put_32(&body, 0);
	put_packet_body(&body, 0, 0, 0, "");
	put_block(&b, 6, &body);
	put_enhanced(&b, 0, 1, "x");
	read_all(buf_bytes(&b), 0);
	CHECK_EQ(seen.rc, 0);
	CHECK_EQ(count_of(PCAPSTREAM_PACKET), 1);
	CHECK_EQ(seen.counts.empty, 1);
	CHECK_EQ(seen.counts.packets, 1);
	buf_release(&body);
	buf_release(&b);
}

TEST(broken_options_cost_a_packet_its_options_only)
{
	struct buf b = { 0 }, body = { 0 };

	put_section(&b);
	put_interface(&b, 1, 0, 9, 0);
	put_32(&body, 0);
	put_packet_body(&body, 5, 4, 4, "data");
	put_16(&body, 1);
	put_16(&body, 5); /* longer than what is there */
	put_text(&body, "abcd");
	put_block(&b, 6, &body);
	put_enhanced(&b, 0, 6, "next");
	read_all(buf_bytes(&b), 0);
	CHECK_EQ(seen.rc, 0);
	CHECK_EQ(count_of(PCAPSTREAM_PACKET), 2);
	CHECK_BYTES(kept(packet_at(0)->packet.data), bytes_of_text("data"));
	CHECK_EQ(packet_at(0)->options.len, 0);
	CHECK_EQ(seen.counts.broken_options, 1);
	buf_release(&body);
	buf_release(&b);
}

/* A section, an interface, and this block of which lengths may lie. */
static int verdict_on(const char *hex)
{
	struct buf b = { 0 };

	put_section(&b);
	put_interface(&b, 1, 0, 9, 0);
	put_bytes(&b, t_hex(hex));
	read_all(buf_bytes(&b), 0);
	buf_release(&b);
	CHECK_EQ(count_of(PCAPSTREAM_PACKET), 0);
	return seen.rc;
}

TEST(lengths_that_lie_are_refused)
{
	/* a block shorter than its own frame */
	CHECK_EQ(verdict_on("06000000 08000000 08000000"), ERR_MALFORMED);
	/* two lengths that differ, read and skipped */
	CHECK_EQ(verdict_on("04000000 0c000000 10000000"), ERR_MALFORMED);
	CHECK_EQ(verdict_on("99000000 0c000000 10000000"), ERR_MALFORMED);
	/* a packet too short for its numbers */
	CHECK_EQ(verdict_on("06000000 10000000 00000000 10000000"),
		 ERR_MALFORMED);
	/* a packet of 8 bytes in a block that has 4 */
	CHECK_EQ(verdict_on("06000000 24000000 00000000 00000000 01000000"
			    "08000000 08000000 aabbccdd 24000000"),
		 ERR_MALFORMED);
	/* an interface that was never told */
	CHECK_EQ(verdict_on("06000000 20000000 01000000 00000000 01000000"
			    "00000000 00000000 20000000"),
		 ERR_MALFORMED);
	/* an interface with a resolution of two bytes */
	CHECK_EQ(verdict_on("01000000 1c000000 01000000 00000000 09000200"
			    "09090000 1c000000"),
		 ERR_MALFORMED);
	/* a block that claims more than any packet may have */
	CHECK_EQ(verdict_on("06000000 00000002 00000000"), ERR_LIMIT);
	/* secrets that are longer than their block are of no use to anybody */
	CHECK_EQ(verdict_on("0a000000 18000000 4b534c54 08000000 aabbccdd"
			    "18000000"),
		 0);
	CHECK_EQ(count_of(PCAPSTREAM_SECRETS), 0);
}

TEST(at_the_cap_of_interfaces_one_more_is_refused)
{
	struct pcapstream *s = pcapstream_new(PCAPSTREAM_CHUNK);
	struct pcapstream_item item;
	struct buf b = { 0 };
	int n = 0, rc = ERR_AGAIN;

	put_section(&b);
	pcapstream_feed(s, buf_bytes(&b));
	CHECK_EQ(pcapstream_next(s, &item), 0);
	buf_clear(&b);
	put_interface(&b, 1, 0, -1, 0);
	while (pcapstream_next(s, &item) == ERR_AGAIN) {
		pcapstream_feed(s, buf_bytes(&b));
		rc = pcapstream_next(s, &item);
		if (rc < 0)
			break;
		CHECK_EQ(item.interface, n);
		n++;
	}
	CHECK_EQ(rc, ERR_LIMIT);
	CHECK_EQ(n, PCAPSTREAM_INTERFACES_MAX);
	pcapstream_free(s);
	buf_release(&b);
}

/* -- bounds ------------------------------------------------------------- */

static size_t heap_now(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

TEST(memory_grows_with_what_came_not_with_what_is_claimed)
{
	struct pcapstream *s = pcapstream_new(PCAPSTREAM_CHUNK);
	struct pcapstream_item item;
	struct buf b = { 0 };
	uint8_t zeros[4096] = { 0 };
	size_t before = heap_now();

	put_head(&b, 0xa1b23c4d, 4);
	put_classic(&b, 1, 1, PACKET_MAX, PACKET_MAX, "x");
	pcapstream_feed(s, buf_bytes(&b));
	CHECK_EQ(pcapstream_next(s, &item), 0);
	CHECK_EQ(pcapstream_next(s, &item), ERR_AGAIN);
	CHECK(heap_now() - before < 2 * PCAPSTREAM_CHUNK);
	for (size_t n = 0; n < 1 << 20; n += sizeof(zeros)) {
		pcapstream_feed(s, bytes_of(zeros, sizeof(zeros)));
		CHECK_EQ(pcapstream_next(s, &item), ERR_AGAIN);
	}
	CHECK(heap_now() - before < 3 << 20);
	for (size_t n = 1 << 20; n < PACKET_MAX; n += sizeof(zeros)) {
		pcapstream_feed(s, bytes_of(zeros, sizeof(zeros)));
		if (n + sizeof(zeros) < PACKET_MAX)
			CHECK_EQ(pcapstream_next(s, &item), ERR_AGAIN);
	}
	CHECK_EQ(pcapstream_next(s, &item), 0);
	CHECK(heap_now() - before < PACKET_MAX + 3 * PCAPSTREAM_CHUNK);
	pcapstream_free(s);

	/* A block that is skipped is not kept at all. */
	s = pcapstream_new(PCAPSTREAM_CHUNK);
	buf_clear(&b);
	put_section(&b);
	put_bytes(&b, t_hex("99000000 fcffffff"));
	pcapstream_feed(s, buf_bytes(&b));
	CHECK_EQ(pcapstream_next(s, &item), 0);
	for (size_t n = 0; n < 64 << 20; n += sizeof(zeros)) {
		CHECK_EQ(pcapstream_next(s, &item), ERR_AGAIN);
		pcapstream_feed(s, bytes_of(zeros, sizeof(zeros)));
	}
	CHECK(heap_now() - before < 3 * PCAPSTREAM_CHUNK);
	CHECK_EQ(pcapstream_next(s, &item), ERR_AGAIN);
	CHECK_EQ(pcapstream_end(s), ERR_DAMAGED);
	pcapstream_free(s);
	buf_release(&b);
}

TEST(a_batch_may_be_gathered_before_the_next_bytes_come)
{
	struct pcapstream *s = pcapstream_new(1 << 16);
	struct pcapstream_item items[8];
	struct buf b = { 0 };
	uint8_t *room;
	size_t len;
	int n = 0, rc;

	put_head(&b, 0xa1b23c4d, 4);
	for (int i = 0; i < 6; i++)
		put_classic(&b, 1, (uint32_t)i, 6, 6, "packet");
	/* The middle one comes in two halves. */
	for (int half = 0; half < 2; half++) {
		size_t from = half ? 100 : 0;
		size_t to = half ? b.len : 100;

		room = pcapstream_room(s, &len);
		CHECK(len >= to - from);
		memcpy(room, b.p + from, to - from);
		pcapstream_added(s, to - from);
		for (n = 0; (rc = pcapstream_next(s, &items[n])) == 0; n++)
			;
		CHECK_EQ(rc, ERR_AGAIN);
		for (int i = half ? 0 : 1; i < n; i++)
			CHECK_BYTES(items[i].packet.data,
				    bytes_of_text("packet"));
	}
	CHECK_EQ(n, 3);
	CHECK_EQ(pcapstream_end(s), 0);
	pcapstream_free(s);
	buf_release(&b);
}

TEST(changed_bytes_end_in_a_verdict_whatever_the_chunking)
{
	struct buf b = { 0 };
	size_t ends[16];

	put_everything(&b, ends);
	for (int round = 0; round < 3000; round++) {
		size_t at = t_random_below(b.len);
		uint8_t old = b.p[at];
		int rc, n;

		b.p[at] = (uint8_t)t_random();
		read_all(buf_bytes(&b), 1);
		rc = seen.rc;
		n = seen.n;
		read_all(buf_bytes(&b), 1 << 20);
		CHECK_EQ(seen.rc, rc);
		CHECK_EQ(seen.n, n);
		b.p[at] = old;
	}
	buf_release(&b);
	buf_release(&seen.copies);
}
