/* SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

#include "base/buf.h"
#include "codec/hex.h"
#include "codec/noise.h"

/* Two ends that talk through memory. */
struct ends {
	struct noise_keypair collector, agent;
	struct noise_handshake i, r;
	struct noise_transport ti, tr;
	struct buf wire, got;
};

static void fill(uint8_t key[NOISE_KEY], uint8_t with)
{
	for (int i = 0; i < NOISE_KEY; i++)
		key[i] = (uint8_t)(with + i);
}

/* Fixed keys: every run of a test sees the same bytes. */
static struct ends *begin(struct bytes prologue_i, struct bytes prologue_r)
{
	static struct ends e;
	uint8_t key[NOISE_KEY];

	e = (struct ends){ 0 };
	fill(key, 0x01);
	noise_keypair_of(&e.collector, key);
	fill(key, 0x41);
	noise_keypair_of(&e.agent, key);
	fill(key, 0x81);
	noise_initiate(&e.i, &e.collector, key, e.agent.public, prologue_i);
	fill(key, 0xc1);
	noise_respond(&e.r, &e.agent, key, prologue_r);
	return &e;
}

static struct bytes none(void)
{
	return bytes_of(NULL, 0);
}

static void end(struct ends *e)
{
	noise_handshake_release(&e->i);
	noise_handshake_release(&e->r);
	noise_transport_release(&e->ti);
	noise_transport_release(&e->tr);
	buf_release(&e->wire);
	buf_release(&e->got);
}

static struct ends *connected(void)
{
	struct ends *e = begin(none(), none());

	CHECK_EQ(noise_write_1(&e->i, none(), &e->wire), 0);
	CHECK_EQ(e->wire.len, NOISE_MESSAGE_1);
	CHECK_EQ(noise_read_1(&e->r, buf_bytes(&e->wire)), 0);
	CHECK_EQ(noise_accept_1(&e->r, buf_bytes(&e->wire), NULL), 0);
	buf_clear(&e->wire);
	CHECK_EQ(noise_write_2(&e->r, none(), &e->wire), 0);
	CHECK_EQ(e->wire.len, NOISE_MESSAGE_2);
	CHECK_EQ(noise_read_2(&e->i, buf_bytes(&e->wire), NULL), 0);
	buf_clear(&e->wire);
	noise_split(&e->i, &e->ti);
	noise_split(&e->r, &e->tr);
	return e;
}

TEST(I28_both_ends_learn_the_same_and_hear_each_other)
{
	struct ends *e = connected();
	size_t used;

	CHECK_BYTES(bytes_of(e->ti.hash, NOISE_HASH),
		    bytes_of(e->tr.hash, NOISE_HASH));
	CHECK_EQ(noise_seal(&e->ti.out, bytes_of_text("there"), &e->wire), 0);
	CHECK_EQ(noise_open(&e->tr.in, buf_bytes(&e->wire), &used, &e->got), 0);
	CHECK_EQ(used, e->wire.len);
	CHECK_BYTES(buf_bytes(&e->got), bytes_of_text("there"));
	buf_clear(&e->wire);
	buf_clear(&e->got);
	CHECK_EQ(noise_seal(&e->tr.out, bytes_of_text("back"), &e->wire), 0);
	CHECK_EQ(noise_open(&e->ti.in, buf_bytes(&e->wire), &used, &e->got), 0);
	CHECK_BYTES(buf_bytes(&e->got), bytes_of_text("back"));
	end(e);
}

/*
 * Written down once, and read back by another implementation of the
 * specification, rekeying included.
 */
static const char message_1[] =
	"883186b800b41d5cf0429695da9b3cc4f328ebcd184a6e482fa578c103f06c77"
	"ea16bb645d1e73000f51b401c88ed94908a3cf3adfea068086a2a2c961e514dd"
	"f80536d89bc642ebb049dcd8d6e71b10149b3d8a1cd0eb306706cd958a466d82"
	"4aadb657b9ac871af4f02c01b4";
static const char message_2[] =
	"3a553d74792d727efa9b9a4cde3da1ad93f1a2d0c09cb639b1a3c0fda14cbe24"
	"ebaeaa92595d1b42800037f186ca4077d5c07b420bd0";
static const char session_hash[] =
	"f1114149ce03c060856eab05c67232665c642cf415946c79030e019ba4526c0c";
static const char over[] = "0014b455c0cb345cfa6ca9fed2d8621b8e7d635b32a9";
static const char and_out[] =
	"00179e5314af26e400b12e3ac6a611e2bdf71a381df83382e6";
static const char again[] = "0015444c2ec08956f869a9fa32d85d7e7c0fbf587a5647";

static void check_seal(struct ends *e, struct noise_cipher *c,
		       const char *plain, const char *wire)
{
	buf_clear(&e->wire);
	CHECK_EQ(noise_seal(c, bytes_of_text(plain), &e->wire), 0);
	CHECK_BYTES(buf_bytes(&e->wire), t_hex(wire));
}

TEST(I28_a_written_down_session_is_made_again_byte_for_byte)
{
	struct bytes prologue = bytes_of_text("a prologue");
	struct ends *e = begin(prologue, prologue);

	CHECK_EQ(noise_write_1(&e->i, bytes_of_text("who is there?"), &e->wire),
		 0);
	CHECK_BYTES(buf_bytes(&e->wire), t_hex(message_1));
	CHECK_EQ(noise_read_1(&e->r, buf_bytes(&e->wire)), 0);
	CHECK_EQ(noise_accept_1(&e->r, buf_bytes(&e->wire), NULL), 0);
	buf_clear(&e->wire);
	CHECK_EQ(noise_write_2(&e->r, bytes_of_text("a weir"), &e->wire), 0);
	CHECK_BYTES(buf_bytes(&e->wire), t_hex(message_2));
	CHECK_EQ(noise_read_2(&e->i, buf_bytes(&e->wire), NULL), 0);
	noise_split(&e->i, &e->ti);
	noise_split(&e->r, &e->tr);
	CHECK_BYTES(bytes_of(e->ti.hash, NOISE_HASH), t_hex(session_hash));
	check_seal(e, &e->ti.out, "over", over);
	check_seal(e, &e->tr.out, "and out", and_out);
	noise_rekey(&e->ti.out);
	check_seal(e, &e->ti.out, "again", again);
	end(e);
}

TEST(I28_the_responder_knows_the_caller_before_ss)
{
	struct ends *e = begin(none(), none());

	CHECK_EQ(noise_write_1(&e->i, bytes_of_text("hello"), &e->wire), 0);
	CHECK_EQ(noise_read_1(&e->r, buf_bytes(&e->wire)), 0);
	CHECK(noise_key_equal(e->r.rs, e->collector.public));
	CHECK(!noise_key_equal(e->r.rs, e->agent.public));
	CHECK_EQ(noise_accept_1(&e->r, buf_bytes(&e->wire), &e->got), 0);
	CHECK_BYTES(buf_bytes(&e->got), bytes_of_text("hello"));
	end(e);
}

TEST(I28_a_message_1_for_another_agent_is_refused)
{
	struct ends *e = begin(none(), none());
	uint8_t key[NOISE_KEY];

	CHECK_EQ(noise_write_1(&e->i, none(), &e->wire), 0);
	fill(key, 0xc1);
	noise_respond(&e->r, &e->collector, key, none());
	CHECK_EQ(noise_read_1(&e->r, buf_bytes(&e->wire)), ERR_AUTH);
	CHECK_EQ(e->r.step, NOISE_DEAD);
	end(e);
}

TEST(I28_another_prologue_is_refused)
{
	struct ends *e =
		begin(bytes_of_text("weir 1"), bytes_of_text("weir 2"));

	CHECK_EQ(noise_write_1(&e->i, none(), &e->wire), 0);
	CHECK_EQ(noise_read_1(&e->r, buf_bytes(&e->wire)), ERR_AUTH);
	end(e);
}

/* Read message 1 as a responder who takes anybody. */
static int read_1(struct ends *e, struct bytes message)
{
	struct noise_keypair s = e->agent;
	uint8_t key[NOISE_KEY];
	int rc;

	fill(key, 0xc1);
	noise_respond(&e->r, &s, key, none());
	rc = noise_read_1(&e->r, message);
	return rc < 0 ? rc : noise_accept_1(&e->r, message, NULL);
}

TEST(every_byte_of_message_1_counts)
{
	struct ends *e = begin(none(), none());

	CHECK_EQ(noise_write_1(&e->i, bytes_of_text("payload"), &e->wire), 0);
	for (size_t at = 0; at < e->wire.len; at++) {
		/* The topmost bit of an X25519 key is ignored by RFC 7748,
		 * but the hash covers it. */
		e->wire.p[at] ^= 0x80;
		CHECK_EQ(read_1(e, buf_bytes(&e->wire)), ERR_AUTH);
		e->wire.p[at] ^= 0x80;
	}
	for (size_t len = 0; len < e->wire.len; len++)
		CHECK_EQ(read_1(e, bytes_of(e->wire.p, len)),
			 len < NOISE_MESSAGE_1 ? ERR_MALFORMED : ERR_AUTH);
	CHECK_EQ(read_1(e, buf_bytes(&e->wire)), 0);
	end(e);
}

TEST(every_byte_of_message_2_counts)
{
	struct ends *e = begin(none(), none());
	struct noise_handshake waiting;
	struct buf second = { 0 };

	CHECK_EQ(noise_write_1(&e->i, none(), &e->wire), 0);
	CHECK_EQ(read_1(e, buf_bytes(&e->wire)), 0);
	CHECK_EQ(noise_write_2(&e->r, bytes_of_text("payload"), &second), 0);
	waiting = e->i;
	for (size_t at = 0; at < second.len; at++) {
		second.p[at] ^= 1;
		e->i = waiting;
		CHECK_EQ(noise_read_2(&e->i, buf_bytes(&second), NULL),
			 ERR_AUTH);
		CHECK_EQ(e->i.step, NOISE_DEAD);
		second.p[at] ^= 1;
	}
	for (size_t len = 0; len < second.len; len++) {
		e->i = waiting;
		CHECK_EQ(noise_read_2(&e->i, bytes_of(second.p, len), NULL),
			 len < NOISE_MESSAGE_2 ? ERR_MALFORMED : ERR_AUTH);
	}
	e->i = waiting;
	CHECK_EQ(noise_read_2(&e->i, buf_bytes(&second), &e->got), 0);
	CHECK_BYTES(buf_bytes(&e->got), bytes_of_text("payload"));
	noise_handshake_release(&waiting);
	buf_release(&second);
	end(e);
}

TEST(payloads_reach_the_largest_message_and_no_further)
{
	struct ends *e = begin(none(), none());
	size_t most = NOISE_MESSAGE_MAX - NOISE_MESSAGE_1;
	uint8_t *bulk = calloc(1, NOISE_MESSAGE_MAX);

	CHECK_EQ(noise_write_1(&e->i, bytes_of(bulk, most), &e->wire), 0);
	CHECK_EQ(e->wire.len, NOISE_MESSAGE_MAX);
	CHECK_EQ(read_1(e, buf_bytes(&e->wire)), 0);
	end(e);
	e = begin(none(), none());
	CHECK_EQ(noise_write_1(&e->i, bytes_of(bulk, most + 1), &e->wire),
		 ERR_LIMIT);
	CHECK_EQ(e->wire.len, 0);
	free(bulk);
	end(e);
}

/* All points of small order, and their spellings beyond the prime. */
static const char *const low_order[] = {
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0000000000000000000000000000000000000000000000000000000000000080",
	"0100000000000000000000000000000000000000000000000000000000000080",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
};

enum { LOW_ORDER = sizeof(low_order) / sizeof(low_order[0]) };

TEST(points_of_low_order_are_refused_in_every_place)
{
	for (int n = 0; n < LOW_ORDER; n++) {
		struct bytes point = t_hex(low_order[n]);
		struct ends *e = begin(none(), none());
		struct noise_handshake waiting = e->i;
		uint8_t key[NOISE_KEY];

		/* as the agent's key that a collector was told to call */
		fill(key, 0x81);
		noise_initiate(&e->i, &e->collector, key, point.p, none());
		CHECK_EQ(noise_write_1(&e->i, none(), &e->wire), ERR_AUTH);
		CHECK_EQ(e->wire.len, 0);
		/* as e of message 1 */
		put_bytes(&e->wire, point);
		put_zeros(&e->wire, NOISE_MESSAGE_1 - NOISE_KEY);
		CHECK_EQ(read_1(e, buf_bytes(&e->wire)), ERR_AUTH);
		/* as e of message 2 */
		buf_clear(&e->wire);
		CHECK_EQ(noise_write_1(&waiting, none(), &e->wire), 0);
		buf_clear(&e->wire);
		put_bytes(&e->wire, point);
		put_zeros(&e->wire, NOISE_MESSAGE_2 - NOISE_KEY);
		CHECK_EQ(noise_read_2(&waiting, buf_bytes(&e->wire), NULL),
			 ERR_AUTH);
		end(e);
	}
}

TEST(a_caller_with_a_static_key_of_low_order_is_refused_at_ss)
{
	for (int n = 0; n < LOW_ORDER; n++) {
		struct ends *e = begin(none(), none());

		/* An honest caller but for the key that it shows: it knows
		 * what `ss` will be, whoever it is. */
		memcpy(e->i.s.public, t_hex(low_order[n]).p, NOISE_KEY);
		CHECK_EQ(noise_write_1(&e->i, none(), &e->wire), 0);
		CHECK_EQ(noise_read_1(&e->r, buf_bytes(&e->wire)), 0);
		CHECK_EQ(noise_accept_1(&e->r, buf_bytes(&e->wire), NULL),
			 ERR_AUTH);
		end(e);
	}
}

TEST(a_long_run_is_cut_into_full_records)
{
	struct ends *e = connected();
	size_t len = 3 * NOISE_PLAIN_MAX + 5;
	uint8_t *bulk = malloc(len);
	size_t used;

	for (size_t i = 0; i < len; i++)
		bulk[i] = (uint8_t)(i * 7 >> 3);
	CHECK_EQ(noise_sealed_size(len), len + 4 * NOISE_RECORD_EXTRA);
	CHECK_EQ(noise_sealed_size(NOISE_PLAIN_MAX),
		 NOISE_MESSAGE_MAX + NOISE_RECORD_HEAD);
	CHECK_EQ(noise_sealed_size(0), 0);
	CHECK_EQ(noise_seal(&e->ti.out, bytes_of(bulk, len), &e->wire), 0);
	CHECK_EQ(e->wire.len, noise_sealed_size(len));
	CHECK_EQ(e->ti.out.n, 4);
	CHECK_EQ(noise_open(&e->tr.in, buf_bytes(&e->wire), &used, &e->got), 0);
	CHECK_EQ(used, e->wire.len);
	CHECK_BYTES(buf_bytes(&e->got), bytes_of(bulk, len));
	free(bulk);
	end(e);
}

TEST(records_in_place_are_the_same_bytes)
{
	struct ends *e = connected();
	uint8_t record[NOISE_RECORD_EXTRA + 6] = { 0,	0,   's', 'e',
						   'c', 'r', 'e', 't' };

	CHECK_EQ(noise_seal(&e->ti.out, bytes_of_text("secret"), &e->wire), 0);
	e->ti.out.n = 0;
	CHECK_EQ(noise_seal_record(&e->ti.out, record, 6), 0);
	CHECK_BYTES(bytes_of(record, sizeof(record)), buf_bytes(&e->wire));
	CHECK_EQ(noise_open_record(&e->tr.in, record + NOISE_RECORD_HEAD,
				   6 + NOISE_TAG),
		 0);
	CHECK_BYTES(bytes_of(record + NOISE_RECORD_HEAD, 6),
		    bytes_of_text("secret"));
	end(e);
}

TEST(an_empty_record_is_read_as_nothing)
{
	struct ends *e = connected();
	uint8_t record[NOISE_RECORD_EXTRA];
	size_t used;

	CHECK_EQ(noise_seal_record(&e->ti.out, record, 0), 0);
	CHECK_EQ(noise_open(&e->tr.in, bytes_of(record, sizeof(record)), &used,
			    &e->got),
		 0);
	CHECK_EQ(used, sizeof(record));
	CHECK_EQ(e->got.len, 0);
	CHECK_EQ(e->tr.in.n, 1);
	end(e);
}

TEST(a_stream_opens_from_pieces_of_any_size)
{
	struct ends *e = connected();
	struct buf in = { 0 };
	size_t used;

	for (int i = 0; i < 4; i++)
		CHECK_EQ(noise_seal(&e->ti.out, bytes_of_text("piecemeal "),
				    &e->wire),
			 0);
	for (size_t at = 0; at < e->wire.len; at++) {
		put_u8(&in, e->wire.p[at]);
		CHECK_EQ(noise_open(&e->tr.in, buf_bytes(&in), &used, &e->got),
			 0);
		buf_consume(&in, used);
	}
	CHECK_EQ(in.len, 0);
	CHECK_EQ(e->got.len, 40);
	buf_release(&in);
	end(e);
}

TEST(a_changed_record_is_refused_and_moves_nothing)
{
	struct ends *e = connected();
	size_t good, used;

	CHECK_EQ(noise_seal(&e->ti.out, bytes_of_text("first"), &e->wire), 0);
	good = e->wire.len;
	CHECK_EQ(noise_seal(&e->ti.out, bytes_of_text("second"), &e->wire), 0);
	for (size_t at = good + NOISE_RECORD_HEAD; at < e->wire.len; at++) {
		e->tr.in.n = 0;
		buf_clear(&e->got);
		e->wire.p[at] ^= 4;
		CHECK_EQ(noise_open(&e->tr.in, buf_bytes(&e->wire), &used,
				    &e->got),
			 ERR_AUTH);
		CHECK_EQ(used, good);
		CHECK_EQ(e->tr.in.n, 1);
		CHECK_BYTES(buf_bytes(&e->got), bytes_of_text("first"));
		/* what it decrypted to is not left lying about */
		CHECK_BYTES(bytes_of(e->got.p + e->got.len, 6),
			    bytes_of("\0\0\0\0\0", 6));
		e->wire.p[at] ^= 4;
	}
	/* The failures cost nothing: the right bytes still open. */
	CHECK_EQ(
		noise_open(&e->tr.in, buf_from(&e->wire, good), &used, &e->got),
		0);
	end(e);
}

TEST(records_out_of_order_or_twice_are_refused)
{
	struct ends *e = connected();
	size_t first, used;

	CHECK_EQ(noise_seal(&e->ti.out, bytes_of_text("first"), &e->wire), 0);
	first = e->wire.len;
	CHECK_EQ(noise_seal(&e->ti.out, bytes_of_text("second"), &e->wire), 0);
	CHECK_EQ(noise_open(&e->tr.in, buf_from(&e->wire, first), &used,
			    &e->got),
		 ERR_AUTH);
	CHECK_EQ(noise_open(&e->tr.in, bytes_of(e->wire.p, first), &used,
			    &e->got),
		 0);
	CHECK_EQ(noise_open(&e->tr.in, bytes_of(e->wire.p, first), &used,
			    &e->got),
		 ERR_AUTH);
	end(e);
}

TEST(a_record_shorter_than_its_tag_is_refused_at_once)
{
	struct ends *e = connected();
	uint8_t head[2] = { 0, NOISE_TAG - 1 };
	size_t used;

	CHECK_EQ(noise_open(&e->tr.in, bytes_of(head, 2), &used, &e->got),
		 ERR_MALFORMED);
	end(e);
}

TEST(no_record_is_made_or_read_past_the_last_nonce)
{
	static const uint64_t at[] = { NOISE_NONCE_END, UINT64_MAX - 1,
				       UINT64_MAX };
	struct ends *e = connected();
	uint8_t record[NOISE_RECORD_EXTRA + 1];
	uint8_t bulk[NOISE_PLAIN_MAX + 1] = { 0 };
	size_t used;

	e->ti.out.n = NOISE_NONCE_END - 1;
	e->tr.in.n = NOISE_NONCE_END - 1;
	/* two records: one too many */
	CHECK_EQ(noise_seal(&e->ti.out, bytes_of(bulk, sizeof(bulk)), &e->wire),
		 ERR_LIMIT);
	CHECK_EQ(e->wire.len, 0);
	CHECK_EQ(noise_seal(&e->ti.out, bytes_of("x", 1), &e->wire), 0);
	CHECK_EQ(noise_open(&e->tr.in, buf_bytes(&e->wire), &used, &e->got), 0);
	for (int i = 0; i < 3; i++) {
		e->ti.out.n = at[i];
		e->tr.in.n = at[i];
		CHECK_EQ(noise_seal(&e->ti.out, bytes_of("x", 1), &e->got),
			 ERR_LIMIT);
		CHECK_EQ(noise_seal_record(&e->ti.out, record, 1), ERR_LIMIT);
		CHECK_EQ(noise_open(&e->tr.in, buf_bytes(&e->wire), &used,
				    &e->got),
			 ERR_LIMIT);
		CHECK(e->ti.out.n == at[i] && e->tr.in.n == at[i]);
	}
	end(e);
}

TEST(rekeying_is_heard_by_both_or_by_none)
{
	struct ends *e = connected();
	uint8_t before[NOISE_KEY];
	size_t used;

	memcpy(before, e->ti.out.k, NOISE_KEY);
	CHECK_EQ(noise_seal(&e->ti.out, bytes_of_text("old"), &e->wire), 0);
	noise_rekey(&e->ti.out);
	CHECK(!noise_key_equal(before, e->ti.out.k));
	CHECK_EQ(e->ti.out.n, 1);
	CHECK_EQ(noise_seal(&e->ti.out, bytes_of_text("new"), &e->wire), 0);
	CHECK_EQ(noise_open(&e->tr.in, buf_bytes(&e->wire), &used, &e->got),
		 ERR_AUTH);
	noise_rekey(&e->tr.in);
	CHECK_EQ(
		noise_open(&e->tr.in, buf_from(&e->wire, used), &used, &e->got),
		0);
	CHECK_BYTES(buf_bytes(&e->got), bytes_of_text("oldnew"));
	end(e);
}

TEST(a_finished_handshake_leaves_no_key_behind)
{
	struct ends *e = connected();
	uint8_t zeros[sizeof(e->i)] = { 0 };

	CHECK(memcmp(&e->i, zeros, sizeof(e->i)) == 0);
	CHECK(memcmp(&e->r, zeros, sizeof(e->r)) == 0);
	end(e);
	CHECK(memcmp(&e->ti, zeros, sizeof(e->ti)) == 0);
}
