/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The encrypted stream: two ends fed to each other.
 */
#include "t.h"

#include "engine/link/wire.h"

static struct noise_keypair agent_key, collector_key;

struct ends {
	struct link_wire dial, answer;
	bool allow;
	const char *reply; /* what message 2 carries */
};

static bool on_allowed(void *arg, const uint8_t key[NOISE_KEY])
{
	const struct ends *e = arg;

	return e->allow && noise_key_equal(key, collector_key.public);
}

static bool on_answer(void *arg, struct bytes hello, struct buf *answer)
{
	const struct ends *e = arg;

	put_text(answer, e->reply);
	return hello.len > 0;
}

static void begin(struct ends *e, const uint8_t *pinned, const char *hello)
{
	static const uint8_t secret[4][NOISE_KEY] = { "a", "b", "c", "d" };
	const struct link_wire_asks asks = { on_allowed, on_answer, e };

	noise_keypair_of(&agent_key, secret[0]);
	noise_keypair_of(&collector_key, secret[1]);
	link_wire_dial(&e->dial, &collector_key, secret[2],
		       pinned ? pinned : agent_key.public,
		       bytes_of_text(hello));
	link_wire_answer(&e->answer, &agent_key, secret[3], &asks);
}

static void end(struct ends *e)
{
	link_wire_release(&e->dial);
	link_wire_release(&e->answer);
}

/* What `from` has to send goes to `to`, which takes every step it can. */
static int pass(struct link_wire *from, struct link_wire *to, struct err *err)
{
	struct bytes out = link_wire_out(from);
	int rc;

	link_wire_take(to, out);
	link_wire_sent(from, out.len);
	do
		rc = link_wire_step(to, err);
	while (rc == 0);
	return rc;
}

static void shake(struct ends *e)
{
	struct err err = ERR_NONE;

	CHECK_EQ(pass(&e->dial, &e->answer, &err), ERR_AGAIN);
	CHECK_EQ(pass(&e->answer, &e->dial, &err), ERR_AGAIN);
	CHECK(e->dial.open && e->answer.open);
}

static void say(struct link_wire *from, struct link_wire *to, const char *text,
		uint64_t now_ns)
{
	struct err err = ERR_NONE;

	put_text(&from->plain, text);
	CHECK_OK(link_wire_flush(from, now_ns, &err), &err);
	CHECK_EQ(pass(from, to, &err), ERR_AGAIN);
	CHECK_BYTES(link_wire_in(to), bytes_of_text(text));
	to->in_at = to->in.len;
}

TEST(I28_both_ends_prove_themselves_and_payloads_arrive)
{
	struct ends e = { .allow = true, .reply = "pong" };

	begin(&e, NULL, "ping");
	shake(&e);
	CHECK_BYTES(buf_bytes(&e.dial.answer), bytes_of_text("pong"));
	CHECK(noise_key_equal(e.answer.peer, collector_key.public));
	CHECK(!e.answer.proven);
	say(&e.dial, &e.answer, "question", 1);
	CHECK(e.answer.proven);
	say(&e.answer, &e.dial, "answer", 1);
	end(&e);
}

TEST(I28_a_collector_that_is_not_listed_gets_nothing)
{
	struct ends e = { .allow = false, .reply = "" };
	struct err err = ERR_NONE;

	begin(&e, NULL, "");
	CHECK_EQ(pass(&e.dial, &e.answer, &err), ERR_AUTH);
	CHECK_EQ(link_wire_out(&e.answer).len, 0);
	end(&e);
}

TEST(I28_an_agent_with_another_key_cannot_read_message_1)
{
	struct ends e = { .allow = true, .reply = "" };
	struct err err = ERR_NONE;
	uint8_t other[NOISE_KEY];

	noise_keypair_of(&collector_key, (const uint8_t[NOISE_KEY]){ 9 });
	memcpy(other, collector_key.public, NOISE_KEY);
	begin(&e, other, "");
	CHECK_EQ(pass(&e.dial, &e.answer, &err), ERR_AUTH);
	end(&e);
}

TEST(an_agent_key_of_low_order_fails_and_says_so)
{
	static const uint8_t zero[NOISE_KEY];
	struct ends e = { .allow = true, .reply = "" };
	struct err err = ERR_NONE;

	begin(&e, zero, "");
	CHECK_EQ(link_wire_out(&e.dial).len, 0);
	link_wire_take(&e.dial, bytes_of("\0\1x", 3));
	CHECK_EQ(link_wire_step(&e.dial, &err), ERR_AUTH);
	end(&e);
}

/* Each byte of message 1, of message 2 and of a record, one bit flipped. */
TEST(I28_a_flipped_bit_anywhere_ends_the_connection)
{
	for (int stage = 0; stage < 3; stage++) {
		for (size_t at = 0;; at++) {
			struct ends e = { .allow = true, .reply = "x" };
			struct err err = ERR_NONE;
			struct link_wire *from = &e.dial, *to = &e.answer;
			int rc;

			begin(&e, NULL, "hello");
			if (stage == 1) {
				pass(&e.dial, &e.answer, &err);
				from = &e.answer;
				to = &e.dial;
			} else if (stage == 2) {
				shake(&e);
				put_text(&e.dial.plain, "resume");
				link_wire_flush(&e.dial, 1, &err);
			}
			if (at >= link_wire_out(from).len) {
				end(&e);
				break;
			}
			from->out.p[from->out_at + at] ^= 1;
			rc = pass(from, to, &err);
			/* A length made longer waits, and never opens. */
			if (at >= 2)
				CHECK(rc != ERR_AGAIN);
			CHECK(!(stage == 0   ? to->open
				: stage == 1 ? to->open
					     : to->proven));
			end(&e);
		}
	}
}

TEST(I33_a_message_1_over_the_bound_is_refused_by_its_length_alone)
{
	struct ends e = { .allow = true, .reply = "" };
	struct err err = ERR_NONE;

	begin(&e, NULL, "");
	link_wire_take(&e.answer, bytes_of("\x10\x01", 2));
	CHECK_EQ(link_wire_step(&e.answer, &err), ERR_LIMIT);
	end(&e);
}

TEST(message_1_of_any_length_up_to_the_bound_is_judged)
{
	for (size_t len = 0; len < 120; len++) {
		struct ends e = { .allow = true, .reply = "" };
		struct err err = ERR_NONE;
		uint8_t zeros[256] = { 0, (uint8_t)len };

		begin(&e, NULL, "");
		link_wire_take(&e.answer, bytes_of(zeros, 2 + len));
		CHECK(link_wire_step(&e.answer, &err) != 0);
		CHECK(!e.answer.open);
		end(&e);
	}
}

TEST(keys_are_renewed_after_records_bytes_and_time_and_nothing_is_lost)
{
	struct ends e = { .allow = true, .reply = "" };
	uint64_t now = 1000;

	begin(&e, NULL, "weir");
	shake(&e);
	e.dial.rekeys = true;
	e.dial.rekey_records = 3;
	for (int i = 0; i < 10; i++)
		say(&e.dial, &e.answer, "by records", now);
	CHECK_EQ(e.dial.rekeyed_out, 3);
	CHECK_EQ(e.answer.rekeyed_in, 3);
	e.answer.rekey_bytes = 25;
	for (int i = 0; i < 10; i++)
		say(&e.answer, &e.dial, "0123456789", now);
	CHECK_EQ(e.answer.rekeyed_out, 3);
	e.answer.rekey_bytes = LINK_REKEY_BYTES;
	say(&e.answer, &e.dial, "a", now);
	now += LINK_REKEY_NS;
	say(&e.answer, &e.dial, "b", now);
	CHECK_EQ(e.answer.rekeyed_out, 4);
	say(&e.answer, &e.dial, "c", now);
	CHECK_EQ(e.answer.rekeyed_out, 4);
	CHECK_EQ(e.dial.rekeyed_in, 4);
	end(&e);
}

TEST(an_empty_record_means_nothing_to_an_ipcap_session)
{
	struct ends e = { .allow = true, .reply = "" };
	struct err err = ERR_NONE;
	uint8_t *record;

	begin(&e, NULL, "");
	shake(&e);
	record = buf_reserve(&e.dial.out, NOISE_RECORD_EXTRA);
	CHECK_EQ(noise_seal_record(&e.dial.t.out, record, 0), 0);
	buf_added(&e.dial.out, NOISE_RECORD_EXTRA);
	CHECK_EQ(pass(&e.dial, &e.answer, &err), ERR_AGAIN);
	CHECK_EQ(e.answer.rekeyed_in, 0);
	say(&e.dial, &e.answer, "goes on", 1);
	end(&e);
}

TEST(long_plaintext_crosses_in_pieces_of_any_size)
{
	struct ends e = { .allow = true, .reply = "" };
	struct err err = ERR_NONE;
	struct bytes out;
	size_t at = 0;

	begin(&e, NULL, "");
	shake(&e);
	for (int i = 0; i < 50000; i++)
		put_be32(&e.answer.plain, (uint32_t)i);
	CHECK_OK(link_wire_flush(&e.answer, 1, &err), &err);
	out = link_wire_out(&e.answer);
	while (at < out.len) {
		size_t n = 1 + t_random_below(9000);

		if (n > out.len - at)
			n = out.len - at;
		link_wire_take(&e.dial, bytes_of(out.p + at, n));
		at += n;
		while (link_wire_step(&e.dial, &err) == 0)
			;
	}
	CHECK_EQ(link_wire_in(&e.dial).len, 200000);
	CHECK_EQ(link_wire_in(&e.dial).p[199999], 49999 & 0xff);
	end(&e);
}
