/* SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

#include "base/buf.h"
#include "base/crc32c.h"
#include "base/cursor.h"
#include "codec/cbor.h"
#include "codec/ipcap.h"
#include "codec/record.h"
#include "codec/zframe.h"

static const struct ipcap_preamble pond = {
	.compression = "zstd",
	.sources = { { .id = 3,
		       .linktype = 101,
		       .snaplen = 262144,
		       .name = "pond",
		       .kind = "afpacket",
		       .epoch = "0123456789abcdef" } },
	.n_sources = 1,
	.resume = { { 3, 70000 } },
	.n_resume = 1,
};

/* -- the preamble ------------------------------------------------------- */

static const char pond_hex[] =
	"504d58310001de2e1a560078a36b636f6d7072657373696f6e647a7374646773"
	"6f757263657381a662696403646e616d6564706f6e64686c696e6b7479706518"
	"6567736e61706c656e1a00040000646b696e646861667061636b65746565706f"
	"6368703031323334353637383961626364656669726573756d6541636ba1031a"
	"00011170";

static void check_pond(const struct ipcap_preamble *p)
{
	CHECK_STR(p->compression, "zstd");
	CHECK_EQ(p->n_sources, 1);
	CHECK_EQ(p->sources[0].id, 3);
	CHECK_EQ(p->sources[0].linktype, 101);
	CHECK_EQ(p->sources[0].snaplen, 262144);
	CHECK_STR(p->sources[0].name, "pond");
	CHECK_STR(p->sources[0].kind, "afpacket");
	CHECK_STR(p->sources[0].epoch, "0123456789abcdef");
	CHECK_EQ(p->n_resume, 1);
	CHECK_EQ(p->resume[0].source, 3);
	CHECK_EQ(p->resume[0].index, 70000);
}

TEST(I31_the_preamble_is_written_and_read_byte_for_byte)
{
	struct buf b = { 0 };
	struct ipcap_preamble p;
	size_t used;

	put_ipcap_preamble(&b, &pond);
	CHECK_BYTES(buf_bytes(&b), t_hex(pond_hex));
	for (size_t cut = 0; cut < b.len; cut++)
		CHECK_EQ(ipcap_preamble_parse(bytes_of(b.p, cut), &used, &p),
			 ERR_AGAIN);
	put_u8(&b, 0xd0); /* the first frame follows */
	CHECK_EQ(ipcap_preamble_parse(buf_bytes(&b), &used, &p), 0);
	CHECK_EQ(used, b.len - 1);
	check_pond(&p);
	buf_release(&b);
}

/*
 * A changed length may ask for more bytes first: what comes is then refused.
 * Enough of it follows here.
 */
TEST(I31_every_bit_of_the_preamble_counts)
{
	struct buf b = { 0 };
	struct ipcap_preamble p;
	size_t used, len;

	put_ipcap_preamble(&b, &pond);
	len = b.len;
	put_zeros(&b, 1 << 16);
	for (size_t at = 0; at < len * 8; at++) {
		uint8_t bit = (uint8_t)(1 << at % 8);

		b.p[at / 8] ^= bit;
		CHECK(ipcap_preamble_parse(buf_bytes(&b), &used, &p) !=
		      ERR_AGAIN);
		CHECK(ipcap_preamble_parse(buf_bytes(&b), &used, &p) < 0);
		b.p[at / 8] ^= bit;
	}
	buf_release(&b);
}

TEST(I31_an_unknown_version_is_refused_and_at_once)
{
	struct ipcap_preamble p;
	size_t used;

	CHECK_EQ(ipcap_preamble_parse(t_hex("504d5831 0002"), &used, &p),
		 ERR_UNKNOWN);
	CHECK_EQ(ipcap_preamble_parse(t_hex("504d5832"), &used, &p),
		 ERR_MALFORMED);
	CHECK_EQ(ipcap_preamble_parse(t_hex("d0ca"), &used, &p), ERR_MALFORMED);
}

/* A preamble around this body. */
static int parse_body(struct bytes body, struct ipcap_preamble *p)
{
	struct buf b = { 0 };
	size_t used;
	int rc;

	put_text(&b, "PMX1");
	put_be16(&b, IPCAP_VERSION);
	put_be32(&b, crc32c(body));
	put_be16(&b, (uint16_t)body.len);
	put_bytes(&b, body);
	rc = ipcap_preamble_parse(buf_bytes(&b), &used, p);
	buf_release(&b);
	return rc;
}

TEST(a_preamble_in_another_spelling_says_the_same)
{
	/* Capitals, another order, indefinite lengths, longer integers, a
	 * text in chunks, and unknown keys of every kind. */
	static const char body[] =
		"bf"
		"69524553554d4541434b bf 190003 1b0000000000011170 ff"
		"6573696d7473 8401f6fb3ff199999999999a44deadbeef"
		"20 6161"
		"67534f5552434553 9f"
		"bf 65 45504f4348 7f 6830313233343536376838396162636465 66 ff"
		"  686c696e6b74797065 190065"
		"  65636f6c6f72 a1616101"
		"  6269641b0000000000000003"
		"  646e616d65 64706f6e64 67534e41504c454e 1a00040000"
		"  646b696e64 686166 7061636b6574 ff"
		"ff"
		"6b636f6d7072657373696f6e 647a737464"
		"ff";
	struct ipcap_preamble p;

	CHECK_EQ(parse_body(t_hex(body), &p), 0);
	check_pond(&p);
}

TEST(a_preamble_with_little_in_it_is_taken)
{
	struct ipcap_preamble p;

	CHECK_EQ(parse_body(t_hex("a0"), &p), 0);
	CHECK_EQ(p.n_sources + p.n_resume, 0);
	CHECK_EQ(parse_body(t_hex("a1 67736f7572636573 80"), &p), 0);
	CHECK_EQ(parse_body(t_hex("a1 67736f7572636573 81a0"), &p), 0);
	CHECK_EQ(p.n_sources, 1);
	/* null stands for nothing */
	CHECK_EQ(parse_body(t_hex("a3 67736f7572636573 f6"
				  "69726573756d6541636b f6"
				  "6b636f6d7072657373696f6e f6"),
			    &p),
		 0);
	CHECK_STR(p.compression, "");
}

TEST(a_preamble_that_does_not_fit_is_refused)
{
	struct ipcap_preamble p;
	struct buf b = { 0 };

	/* one byte behind the map */
	CHECK_EQ(parse_body(t_hex("a000"), &p), ERR_MALFORMED);
	/* not a map */
	CHECK_EQ(parse_body(t_hex("80"), &p), ERR_MALFORMED);
	/* linktype 70000 */
	CHECK_EQ(parse_body(t_hex("a1 67736f7572636573 81a1"
				  "686c696e6b74797065 1a00011170"),
			    &p),
		 ERR_LIMIT);
	/* a negative id */
	CHECK_EQ(parse_body(t_hex("a1 67736f7572636573 81a1 626964 20"), &p),
		 ERR_MALFORMED);
	/* a name of one byte too many */
	put_bytes(&b, t_hex("a1 67736f7572636573 81a1 646e616d65 790100"));
	for (int i = 0; i < IPCAP_NAME_MAX; i++)
		put_u8(&b, 'x');
	CHECK_EQ(parse_body(buf_bytes(&b), &p), ERR_LIMIT);
	buf_release(&b);
}

TEST(as_many_sources_as_fit_and_no_more)
{
	for (int extra = 0; extra < 2; extra++) {
		struct buf b = { 0 };
		struct ipcap_preamble p;

		put_cbor_map(&b, 2);
		put_cbor_text(&b, "sources");
		put_cbor_array(&b, (uint64_t)IPCAP_SOURCES_MAX + extra);
		for (int i = 0; i < IPCAP_SOURCES_MAX + extra; i++)
			put_cbor_map(&b, 0);
		put_cbor_text(&b, "resumeAck");
		put_cbor_map(&b, IPCAP_SOURCES_MAX);
		for (int i = 0; i < IPCAP_SOURCES_MAX; i++) {
			put_cbor_uint(&b, (uint64_t)i);
			put_cbor_uint(&b, UINT64_MAX);
		}
		CHECK_EQ(parse_body(buf_bytes(&b), &p), extra ? ERR_LIMIT : 0);
		buf_release(&b);
	}
}

TEST(the_largest_preamble_fits_its_length)
{
	struct ipcap_preamble *p = calloc(1, sizeof(*p));
	struct ipcap_preamble *back = calloc(1, sizeof(*back));
	struct buf b = { 0 };
	size_t used;

	memset(p->compression, 'c', sizeof(p->compression) - 1);
	p->n_sources = p->n_resume = IPCAP_SOURCES_MAX;
	for (int i = 0; i < IPCAP_SOURCES_MAX; i++) {
		struct ipcap_source *s = &p->sources[i];

		memset(s, 'x', sizeof(*s));
		s->name[sizeof(s->name) - 1] = '\0';
		s->kind[sizeof(s->kind) - 1] = '\0';
		s->epoch[sizeof(s->epoch) - 1] = '\0';
		p->resume[i] = (struct ipcap_resume){ UINT16_MAX, UINT64_MAX };
	}
	put_ipcap_preamble(&b, p);
	CHECK_EQ(ipcap_preamble_parse(buf_bytes(&b), &used, back), 0);
	CHECK(memcmp(p->sources, back->sources, sizeof(p->sources)) == 0);
	buf_release(&b);
	free(back);
	free(p);
}

/* -- frames ------------------------------------------------------------- */

static const char ack_hex[] =
	"d0ca010300000003000000000000000000000000000000000000001269a489a6"
	"000300000000000111700000000000000000b6447e51";
static const char gap_hex[] =
	"d0ca011300040003000000000000000000000000000000000000001253936b85"
	"0003000000000001117000000000000138804ca9066c";
static const char beat_hex[] =
	"d0ca0111000000030000000000000000000000000000000900000010c1145e64"
	"17979cfe3d85cd15000000000001388220c3dd91";
static const char stats_hex[] =
	"d0ca011200000003000000000000000000000000000000090000005e5e4aa058"
	"a66863617074757265641a000138826e64726f707065645f6b65726e656c0166"
	"696664726f70006b73706f6f6c5f62797465731b000000012a05f2006c6f6c64"
	"6573745f67706964781a000111706a686561645f67706964781a000138824c29"
	"defa";
static const char batch_hex[] =
	"d0ca0102000000030000000000013880000000000000000000000035914af33a"
	"0002000000006553f100075bcd15000000040000000464726f70000000006553"
	"f101000000000000003c0000000762792064726f705233767b";

/* The frame in hex, parsed; written again it must be the same. */
static struct ipcap_frame frame_of(const char *hex)
{
	struct bytes in = t_hex(hex);
	struct ipcap_frame f;
	struct buf again = { 0 };
	size_t used;

	CHECK_EQ(ipcap_frame_parse(in, &used, &f), 0);
	CHECK_EQ(used, in.len);
	put_ipcap_frame(&again, &f);
	CHECK_BYTES(buf_bytes(&again), in);
	buf_release(&again);
	return f;
}

TEST(I32_an_ack_is_read)
{
	struct ipcap_frame f = frame_of(ack_hex);
	struct ipcap_ack a;
	struct buf b = { 0 };

	CHECK_EQ(f.type, IPCAP_ACK);
	CHECK_EQ(ipcap_ack_parse(f.payload, &a), 0);
	CHECK(a.source == 3 && a.next == 70000 && a.seq == 0);
	put_ipcap_ack(&b, &a);
	CHECK_BYTES(buf_bytes(&b), f.payload);
	put_zeros(&b, 7); /* ignored */
	CHECK_EQ(ipcap_ack_parse(buf_bytes(&b), &a), 0);
	CHECK_EQ(ipcap_ack_parse(bytes_of(b.p, IPCAP_ACK_SIZE - 1), &a),
		 ERR_MALFORMED);
	buf_release(&b);
}

TEST(I32_a_gap_is_read)
{
	struct ipcap_frame f = frame_of(gap_hex);
	struct ipcap_gap g;

	CHECK(f.type == IPCAP_GAP && f.flags == IPCAP_GAP_FLAG);
	CHECK_EQ(ipcap_gap_parse(f.payload, &g), 0);
	CHECK(g.source == 3 && g.from == 70000 && g.to == 80000);
	CHECK_EQ(ipcap_gap_parse(bytes_of(f.payload.p, 17), &g), ERR_MALFORMED);
}

TEST(I32_a_heartbeat_is_read)
{
	struct ipcap_frame f = frame_of(beat_hex);
	struct ipcap_heartbeat h;

	CHECK(f.type == IPCAP_HEARTBEAT && f.seq == 9);
	CHECK_EQ(ipcap_heartbeat_parse(f.payload, &h), 0);
	CHECK(h.wall_ns == 1700000000123456789 && h.head == 80002);
	CHECK_EQ(ipcap_heartbeat_parse(bytes_of(f.payload.p, 15), &h),
		 ERR_MALFORMED);
}

TEST(I39_stats_are_read_in_any_order_and_spelling)
{
	struct ipcap_frame f = frame_of(stats_hex);
	struct ipcap_stats s;

	CHECK_EQ(f.type, IPCAP_STATS);
	CHECK_EQ(ipcap_stats_parse(f.payload, &s), 0);
	CHECK(s.captured == 80002 && s.dropped_kernel == 1 && s.ifdrop == 0);
	CHECK(s.spool_bytes == 5000000000 && s.oldest == 70000);
	CHECK_EQ(s.head, 80002);
	CHECK_EQ(ipcap_stats_parse(t_hex("bf 66494644524f50 1b0000000000000005"
					 "6178 f5 ff"),
				   &s),
		 0);
	CHECK(s.ifdrop == 5 && s.captured == 0);
	for (size_t cut = 0; cut < f.payload.len; cut++)
		CHECK_EQ(ipcap_stats_parse(bytes_of(f.payload.p, cut), &s),
			 ERR_MALFORMED);
	CHECK_EQ(s.ifdrop, 5); /* what is refused changes nothing */
}

TEST(I32_every_bit_of_a_frame_counts)
{
	static const char *const frames[] = { ack_hex, gap_hex, beat_hex,
					      stats_hex, batch_hex };

	for (int i = 0; i < 5; i++) {
		struct bytes in = t_hex(frames[i]);
		struct buf b = { 0 };
		struct ipcap_frame f;
		size_t used;

		put_bytes(&b, in);
		for (size_t at = 0; at < in.len * 8; at++) {
			uint8_t bit = (uint8_t)(1 << at % 8);
			int rc;

			b.p[at / 8] ^= bit;
			rc = ipcap_frame_parse(buf_bytes(&b), &used, &f);
			CHECK(rc < 0 && rc != ERR_AGAIN);
			b.p[at / 8] ^= bit;
		}
		CHECK_EQ(ipcap_frame_parse(buf_bytes(&b), &used, &f), 0);
		buf_release(&b);
	}
}

TEST(I32_a_frame_cut_anywhere_asks_for_more)
{
	struct bytes in = t_hex(batch_hex);
	struct ipcap_frame f;
	size_t used;

	for (size_t cut = 0; cut < in.len; cut++)
		CHECK_EQ(ipcap_frame_parse(bytes_of(in.p, cut), &used, &f),
			 ERR_AGAIN);
}

/* A frame's head with a right checksum that declares this much. */
static struct bytes head_declaring(uint32_t len)
{
	static struct buf b;

	buf_clear(&b);
	put_bytes(&b, bytes_of(t_hex(batch_hex).p, 24));
	put_be32(&b, len);
	put_be32(&b, crc32c(buf_bytes(&b)));
	return buf_bytes(&b);
}

TEST(I33_a_declared_payload_is_judged_before_room_is_made)
{
	static const uint32_t lens[] = { IPCAP_PAYLOAD_MAX + 1, 1U << 31,
					 UINT32_MAX };
	struct ipcap_frame f;

	for (int i = 0; i < 3; i++) {
		struct ipcap_reader r = { 0 };
		size_t cap;

		put_bytes(ipcap_reader_room(&r), head_declaring(lens[i]));
		cap = r.in.cap;
		CHECK_EQ(ipcap_reader_frame(&r, &f), ERR_LIMIT);
		CHECK_EQ(r.in.cap, cap);
		ipcap_reader_release(&r);
	}
}

TEST(I33_the_largest_payload_is_taken)
{
	uint8_t *bulk = calloc(1, IPCAP_PAYLOAD_MAX);
	struct ipcap_frame f = { .type = IPCAP_BATCH,
				 .payload = bytes_of(bulk, IPCAP_PAYLOAD_MAX) };
	struct buf b = { 0 };
	size_t used;

	put_ipcap_frame(&b, &f);
	CHECK_EQ(ipcap_frame_parse(buf_bytes(&b), &used, &f), 0);
	CHECK_EQ(f.payload.len, IPCAP_PAYLOAD_MAX);
	buf_release(&b);
	free(bulk);
}

TEST(I34_unknown_types_are_skipped_above_80_and_refused_below)
{
	static const uint8_t takes[] = { 0x01, 0x02, 0x11, 0x12, 0x13, 0xa0 };
	static const uint8_t skips[] = { 0x10, 0x80, 0xa1, 0xa2, 0xf0, 0xff };
	static const uint8_t refuses[] = { 0x00, 0x03, 0x04, 0x14, 0x55, 0x7f };

	for (int i = 0; i < 6; i++) {
		CHECK_EQ(ipcap_collector_manner(takes[i]), IPCAP_TAKES);
		CHECK_EQ(ipcap_collector_manner(skips[i]), IPCAP_SKIPS);
		CHECK_EQ(ipcap_collector_manner(refuses[i]), IPCAP_REFUSES);
	}
}

TEST(a_reader_fed_byte_by_byte_gives_the_same_messages)
{
	static const char *const frames[] = { ack_hex, gap_hex, beat_hex,
					      stats_hex, batch_hex };
	struct ipcap_reader r = { 0 };
	struct ipcap_preamble p;
	struct ipcap_frame f;
	struct buf in = { 0 };
	bool begun = false;
	int n = 0;

	put_ipcap_preamble(&in, &pond);
	for (int i = 0; i < 5; i++)
		put_bytes(&in, t_hex(frames[i]));
	for (size_t at = 0; at < in.len; at++) {
		int rc;

		put_u8(ipcap_reader_room(&r), in.p[at]);
		rc = begun ? ipcap_reader_frame(&r, &f)
			   : ipcap_reader_preamble(&r, &p);
		CHECK(rc == 0 || rc == ERR_AGAIN);
		if (rc == 0 && begun)
			CHECK_EQ(f.type, t_hex(frames[n++]).p[3]);
		begun = begun || rc == 0;
	}
	check_pond(&p);
	CHECK_EQ(n, 5);
	CHECK_EQ(ipcap_reader_room(&r)->len, 0);
	ipcap_reader_release(&r);
	buf_release(&in);
}

/* -- packets ------------------------------------------------------------ */

TEST(I36_a_batch_becomes_records_and_a_batch_again)
{
	struct ipcap_frame f = frame_of(batch_hex);
	struct buf records = { 0 }, again = { 0 };
	struct cursor c;
	struct packet p;
	uint32_t count;

	CHECK_EQ(f.base, 80000);
	CHECK_EQ(ipcap_batch_records(f.payload, &records, &count), 0);
	CHECK_EQ(count, 2);
	c = cursor_on(buf_bytes(&records));
	CHECK_EQ(record_next(&c, &p), 0);
	CHECK(p.time_ns == 1700000000123456789 && p.wire_len == 4);
	CHECK_BYTES(p.data, bytes_of_text("drop"));
	CHECK_EQ(record_next(&c, &p), 0);
	CHECK(p.time_ns == 1700000001000000000 && p.wire_len == 60);
	CHECK_BYTES(p.data, bytes_of_text("by drop"));
	c = cursor_on(buf_bytes(&records));
	CHECK_EQ(put_ipcap_batch(&again, &c, IPCAP_BATCH_COUNT,
				 IPCAP_BATCH_BYTES),
		 2);
	CHECK_BYTES(buf_bytes(&again), f.payload);
	CHECK_EQ(put_ipcap_batch(&again, &c, IPCAP_BATCH_COUNT,
				 IPCAP_BATCH_BYTES),
		 0);
	buf_release(&records);
	buf_release(&again);
}

/* n records of `len` bytes each. */
static struct buf records_of(int n, size_t len)
{
	uint8_t *data = calloc(1, len + 1);
	struct buf b = { 0 };

	for (int i = 0; i < n; i++)
		put_record(&b, &(struct packet){ .data = bytes_of(data, len),
						 .time_ns = 1 + (uint64_t)i,
						 .wire_len = 1 });
	free(data);
	return b;
}

TEST(I36_a_batch_closes_at_either_bound)
{
	static const struct {
		int n;
		size_t len;
		int first; /* packets in the first batch */
	} table[] = {
		{ 600, 10, 256 },
		{ 256, 4072, 256 }, /* 1 MiB less a little */
		{ 256, 4076, 255 }, /* 2 bytes over with the last one */
		{ 20, 60000, 17 },
		{ 3, 2 << 20, 1 }, /* too large, so alone */
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct buf records = records_of(table[i].n, table[i].len);
		struct cursor c = cursor_on(buf_bytes(&records));
		struct buf b = { 0 };
		int n, seen = 0;

		while ((n = put_ipcap_batch(&b, &c, IPCAP_BATCH_COUNT,
					    IPCAP_BATCH_BYTES)) > 0) {
			CHECK(n == 1 || b.len <= IPCAP_BATCH_BYTES);
			CHECK(n <= IPCAP_BATCH_COUNT);
			if (!seen)
				CHECK_EQ(n, table[i].first);
			seen += n;
			buf_clear(&b);
		}
		CHECK_EQ(n, 0);
		CHECK_EQ(seen, table[i].n);
		buf_release(&b);
		buf_release(&records);
	}
}

TEST(a_packet_over_the_payload_is_told_apart)
{
	size_t most = IPCAP_PAYLOAD_MAX - IPCAP_BATCH_HEAD - IPCAP_RECORD_HEAD;

	for (size_t extra = 0; extra < 2; extra++) {
		struct buf records = records_of(1, most + extra);
		struct cursor c = cursor_on(buf_bytes(&records));
		struct buf b = { 0 };

		CHECK_EQ(put_ipcap_batch(&b, &c, IPCAP_BATCH_COUNT,
					 IPCAP_BATCH_BYTES),
			 extra ? ERR_LIMIT : 1);
		CHECK_EQ(b.len, extra ? 0 : (size_t)IPCAP_PAYLOAD_MAX);
		CHECK_EQ(c.len, extra ? records.len : 0);
		buf_release(&b);
		buf_release(&records);
	}
}

TEST(I35_a_single_packet_frame_gives_one_record)
{
	struct bytes in = t_hex("000000006553f100 075bcd15 0000003c 00000004"
				"64726f70");
	struct buf records = { 0 };
	struct cursor c;
	struct packet p;
	uint32_t count;

	CHECK_EQ(ipcap_pkt_records(in, &records, &count), 0);
	CHECK_EQ(count, 1);
	c = cursor_on(buf_bytes(&records));
	CHECK_EQ(record_next(&c, &p), 0);
	CHECK(p.time_ns == 1700000000123456789 && p.wire_len == 60);
	CHECK_BYTES(p.data, bytes_of_text("drop"));
	buf_clear(&records);
	for (size_t cut = 0; cut < in.len; cut++)
		CHECK_EQ(ipcap_pkt_records(bytes_of(in.p, cut), &records,
					   &count),
			 ERR_MALFORMED);
	CHECK_EQ(records.len, 0);
	buf_release(&records);
}

static int take_batch(const char *hex, uint32_t *count, struct packet *p)
{
	static struct buf records;
	struct cursor c;
	int rc;

	buf_clear(&records);
	rc = ipcap_batch_records(t_hex(hex), &records, count);
	CHECK(rc == 0 || records.len == 0);
	c = cursor_on(buf_bytes(&records));
	if (rc == 0 && *count)
		CHECK_EQ(record_next(&c, p), 0);
	return rc;
}

TEST(batches_are_forgiven_what_ipcap_forgives)
{
	struct packet p;
	uint32_t count;

	/* none at all */
	CHECK_EQ(take_batch("0000", &count, &p), 0);
	CHECK_EQ(count, 0);
	/* bytes behind the last record */
	CHECK_EQ(take_batch("0001 0000000000000005 00000007 00000009 00000001"
			    "61 ffffff",
			    &count, &p),
		 0);
	CHECK(p.time_ns == 5000000007 && p.wire_len == 9);
	/* captured more than there was on the wire */
	CHECK_EQ(take_batch("0001 0000000000000005 00000000 00000001 00000002"
			    "6161",
			    &count, &p),
		 0);
	CHECK(p.wire_len == 1 && p.data.len == 2);
	/* 1 999 999 999 nanoseconds: carried into the seconds */
	CHECK_EQ(take_batch("0001 0000000000000005 773593ff 00000000 00000000",
			    &count, &p),
		 0);
	CHECK(p.time_ns == 6999999999);
	/* a header of zeros would be no record */
	CHECK_EQ(take_batch("0001 0000000000000000 00000000 00000000 00000000",
			    &count, &p),
		 0);
	CHECK(p.time_ns == 1 && p.data.len == 0);
}

TEST(batches_that_lie_are_refused_and_leave_nothing)
{
	static const struct {
		const char *hex;
		int want;
	} table[] = {
		{ "", ERR_MALFORMED },
		{ "00", ERR_MALFORMED },
		{ "0001", ERR_MALFORMED },
		/* two announced, one there */
		{ "0002 0000000000000005 00000000 00000001 00000001 61",
		  ERR_MALFORMED },
		/* longer than what is left, and than any packet */
		{ "0001 0000000000000005 00000000 00000001 00000002 61",
		  ERR_MALFORMED },
		{ "0001 0000000000000005 00000000 00000001 ffffffff 61",
		  ERR_LIMIT },
		{ "0001 0000000000000005 00000000 00000001 01000001 61",
		  ERR_LIMIT },
		/* 2^32 seconds, plainly and by way of the nanoseconds */
		{ "0001 0000000100000000 00000000 00000001 00000001 61",
		  ERR_MALFORMED },
		{ "0001 00000000ffffffff 3b9aca00 00000001 00000001 61",
		  ERR_MALFORMED },
		{ "0001 ffffffffffffffff ffffffff 00000001 00000001 61",
		  ERR_MALFORMED },
	};
	struct packet p;
	uint32_t count;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		CHECK_EQ(take_batch(table[i].hex, &count, &p), table[i].want);
}

/* -- compressed batches ------------------------------------------------- */

static void check_pack(struct zframe *z, struct bytes plain)
{
	struct buf packed = { 0 }, back = { 0 };

	zframe_pack(z, plain, &packed);
	/* magic; then a descriptor with the single-segment (20), checksum (04)
	 * bits: where the content is not small, its size is there as well */
	CHECK_BYTES(bytes_of(packed.p, 4), t_hex("28b52ffd"));
	CHECK_EQ(packed.p[4] & 0x24, 0x24);
	CHECK_EQ(zframe_unpack(z, buf_bytes(&packed), &back, plain.len), 0);
	CHECK_BYTES(buf_bytes(&back), plain);
	if (plain.len) {
		buf_clear(&back);
		CHECK_EQ(zframe_unpack(z, buf_bytes(&packed), &back,
				       plain.len - 1),
			 ERR_LIMIT);
		CHECK_EQ(back.len, 0);
	}
	buf_release(&packed);
	buf_release(&back);
}

TEST(I37_batches_of_all_sizes_pack_into_one_segment_and_back)
{
	static const size_t sizes[] = { 0,	     1,	      255,
					256,	     1024,    1025,
					65536 + 256, 1 << 20, (1 << 20) + 1,
					8 << 20 };
	uint8_t *bulk = malloc(8 << 20);
	struct zframe z = { 0 };

	for (size_t i = 0; i < 8 << 20; i++)
		bulk[i] = (uint8_t)((i * i >> 7) ^ (i >> 11));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		check_pack(&z, bytes_of(bulk, sizes[i]));
	zframe_release(&z);
	free(bulk);
}

TEST(I37_a_bomb_is_refused_at_the_limit)
{
	size_t at_most = IPCAP_INFLATED_MAX;
	uint8_t *zeros = calloc(1, at_most + 1);
	struct zframe z = { 0 };
	struct buf bomb = { 0 }, out = { 0 };

	/* 32 MiB of zeros, in a few kilobytes: the most that is taken */
	zframe_pack(&z, bytes_of(zeros, at_most), &bomb);
	CHECK(bomb.len < 8192);
	CHECK_EQ(zframe_unpack(&z, buf_bytes(&bomb), &out, at_most), 0);
	CHECK_EQ(out.len, at_most);
	buf_release(&out);
	/* and one byte more, in a frame of its own */
	zframe_pack(&z, bytes_of(zeros, 1), &bomb);
	CHECK_EQ(zframe_unpack(&z, buf_bytes(&bomb), &out, at_most), ERR_LIMIT);
	CHECK_EQ(out.len, 0);
	buf_release(&out);
	buf_release(&bomb);
	zframe_release(&z);
	free(zeros);
}

TEST(I37_a_frame_that_declares_a_terabyte_gets_no_room)
{
	/* single segment, eight bytes of size, then one raw byte */
	struct bytes in = t_hex("28b52ffd e0 0000000000010000 090000 61");
	struct zframe z = { 0 };
	struct buf out = { 0 };

	CHECK_EQ(zframe_unpack(&z, in, &out, 1 << 20), ERR_LIMIT);
	CHECK(out.cap <= 4 << 20);
	buf_release(&out);
	zframe_release(&z);
}

TEST(I37_a_damaged_frame_is_refused_wherever_it_is_cut_or_changed)
{
	struct zframe z = { 0 };
	struct buf packed = { 0 }, out = { 0 };
	static const char words[] = "over the weir, over the weir, by the weir";

	zframe_pack(&z, bytes_of_text(words), &packed);
	for (size_t cut = 0; cut < packed.len; cut++)
		CHECK_EQ(zframe_unpack(&z, bytes_of(packed.p, cut), &out, 4096),
			 ERR_MALFORMED);
	for (size_t at = 0; at < packed.len; at++) {
		packed.p[at] ^= 0x40;
		if (zframe_unpack(&z, buf_bytes(&packed), &out, 4096) == 0)
			fail_msg("byte %zu does not count", at);
		CHECK_EQ(out.len, 0);
		packed.p[at] ^= 0x40;
	}
	/* None of it harms the next one. */
	CHECK_EQ(zframe_unpack(&z, buf_bytes(&packed), &out, 4096), 0);
	CHECK_BYTES(buf_bytes(&out), bytes_of_text(words));
	buf_release(&packed);
	buf_release(&out);
	zframe_release(&z);
}

TEST(I37_several_frames_and_skippable_ones_are_taken_together)
{
	struct zframe z = { 0 };
	struct buf in = { 0 }, out = { 0 };

	put_bytes(&in, t_hex("502a4d18 03000000 616263"));
	zframe_pack(&z, bytes_of_text("drop "), &in);
	put_bytes(&in, t_hex("5f2a4d18 00000000"));
	zframe_pack(&z, bytes_of_text(""), &in);
	zframe_pack(&z, bytes_of_text("by drop"), &in);
	CHECK_EQ(zframe_unpack(&z, buf_bytes(&in), &out, 100), 0);
	CHECK_BYTES(buf_bytes(&out), bytes_of_text("drop by drop"));
	buf_clear(&out);
	CHECK_EQ(zframe_unpack(&z, buf_bytes(&in), &out, 11), ERR_LIMIT);
	put_text(&in, "tail");
	CHECK_EQ(zframe_unpack(&z, buf_bytes(&in), &out, 100), ERR_MALFORMED);
	buf_release(&in);
	buf_release(&out);
	zframe_release(&z);
}
