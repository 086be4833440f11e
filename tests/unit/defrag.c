/* SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

#include "base/buf.h"
#include "engine/flow/defrag.h"

static const uint8_t seed[16] = { 1, 2, 3 };

static struct decoded piece(uint32_t id, uint32_t offset, bool more,
			    const char *text)
{
	return (struct decoded){
		.status = DECODE_FRAGMENT,
		.protocol = IP_UDP,
		.src = { .version = 4, .b = { [15] = 1 } },
		.dst = { .version = 4, .b = { [15] = 2 } },
		.piece = { id, offset, more, bytes_of_text(text) },
	};
}

/* A UDP datagram of 8 + 24 bytes, in pieces of 8. */
static const char *const parts[] = { "\x01\x01\x02\x02", "AAAAAAAA",
				     "BBBBBBBB", "CCCCCCCC" };

static bool put_part(struct defrag *g, int i, struct decoded *d)
{
	uint8_t head[8] = { 1, 1, 2, 2, 0, 32, 0, 0 };

	*d = piece(7, (uint32_t)i * 8, i != 3, parts[i]);
	if (i == 0)
		d->piece.data = bytes_of(head, 8);
	return defrag_put(g, d, 0);
}

TEST(fragments_in_any_order_give_the_datagram)
{
	static const int orders[][4] = { { 0, 1, 2, 3 }, { 3, 2, 1, 0 },
					 { 2, 0, 3, 1 }, { 1, 3, 0, 2 } };
	struct defrag_config cfg = DEFRAG_CONFIG_DEFAULT;

	for (size_t o = 0; o < 4; o++) {
		struct defrag *g = defrag_new(&cfg, seed);
		struct defrag_counters c;
		struct decoded d;

		for (int i = 0; i < 3; i++)
			CHECK(!put_part(g, orders[o][i], &d));
		CHECK(put_part(g, orders[o][3], &d));
		CHECK_EQ(d.status, DECODE_OK);
		CHECK_EQ(d.dst_port, 0x0202);
		CHECK_BYTES(d.payload,
			    bytes_of_text("AAAAAAAABBBBBBBBCCCCCCCC"));
		defrag_counters(g, &c);
		CHECK_EQ(c.waiting, 0);
		CHECK_EQ(c.bytes, 0);
		defrag_free(g);
	}
}

TEST(a_contained_copy_is_ignored_and_a_partial_overlap_drops_all)
{
	struct defrag_config cfg = DEFRAG_CONFIG_DEFAULT;
	struct defrag *g = defrag_new(&cfg, seed);
	struct defrag_counters c;
	struct decoded d;

	put_part(g, 0, &d);
	put_part(g, 1, &d);
	d = piece(7, 8, true, "XXXXXXXX"); /* the same place, other bytes */
	CHECK(!defrag_put(g, &d, 0));
	put_part(g, 2, &d);
	CHECK(put_part(g, 3, &d));
	CHECK_BYTES(bytes_of(d.payload.p, 8), bytes_of_text("AAAAAAAA"));

	put_part(g, 0, &d);
	put_part(g, 1, &d);
	d = piece(7, 8, true, "XXXXXXXXXXXXXXXX"); /* covers more */
	CHECK(!defrag_put(g, &d, 0));
	CHECK(!put_part(g, 2, &d));
	CHECK(!put_part(g, 3, &d));
	defrag_counters(g, &c);
	CHECK_EQ(c.repeated, 1);
	CHECK_EQ(c.overlaps, 1);
	CHECK_EQ(c.whole, 1);
	defrag_free(g);
}

TEST(two_ends_or_a_crooked_middle_drop_the_datagram)
{
	struct defrag_config cfg = DEFRAG_CONFIG_DEFAULT;
	struct defrag *g = defrag_new(&cfg, seed);
	struct defrag_counters c;
	struct decoded d;

	put_part(g, 3, &d);
	d = piece(7, 32, false, "more");
	CHECK(!defrag_put(g, &d, 0));
	for (int i = 0; i < 3; i++)
		CHECK(!put_part(g, i, &d));
	d = piece(8, 0, true, "1234567");
	CHECK(!defrag_put(g, &d, 0));
	d = piece(9, 65528, true, "1234567812345678");
	CHECK(!defrag_put(g, &d, 0));
	defrag_counters(g, &c);
	CHECK_EQ(c.overlaps, 1);
	CHECK_EQ(c.broken, 2);
	defrag_free(g);
}

TEST(waiting_fragments_are_bounded_in_number_bytes_and_time)
{
	struct defrag_config cfg = { .datagrams_max = 100, .pieces_max = 8,
				     .bytes_max = 200000,
				     .wait_ns = 1000 };
	struct defrag *g = defrag_new(&cfg, seed);
	struct defrag_counters c;
	struct decoded d;

	for (uint32_t i = 0; i < 5000; i++) {
		d = piece(i, 8 * (uint32_t)t_random_below(8000), true,
			  "AAAAAAAA");
		defrag_put(g, &d, 0);
		defrag_counters(g, &c);
		CHECK(c.waiting <= cfg.datagrams_max);
		CHECK(c.bytes <= cfg.bytes_max);
	}
	d = piece(70000, 0, true, "AAAAAAAA");
	defrag_put(g, &d, 2000);
	defrag_counters(g, &c);
	CHECK_EQ(c.waiting, 1);
	CHECK(c.evicted > 4000);
	for (uint32_t i = 1; i < 20; i++) { /* holes between all of them */
		d = piece(70000, 16 * i, true, "AAAAAAAA");
		CHECK(!defrag_put(g, &d, 2000));
	}
	defrag_counters(g, &c);
	CHECK_EQ(c.overlaps, 1); /* pieces_max */
	defrag_free(g);
}
