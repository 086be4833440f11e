/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/link/wire.h"

#include <assert.h>
#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"

static void begin(struct link_wire *w, bool initiator)
{
	*w = (struct link_wire){ .initiator = initiator,
				 .rekey_records = LINK_REKEY_RECORDS,
				 .rekey_bytes = LINK_REKEY_BYTES,
				 .rekey_ns = LINK_REKEY_NS };
}

/* Put the length in front of a handshake message that begins at `start`. */
static void close_message(struct buf *b, size_t start)
{
	size_t len = b->len - start - NOISE_RECORD_HEAD;

	b->p[start] = (uint8_t)(len >> 8);
	b->p[start + 1] = (uint8_t)len;
}

void link_wire_dial(struct link_wire *w, const struct noise_keypair *own,
		    const uint8_t e_secret[NOISE_KEY],
		    const uint8_t agent[NOISE_KEY], struct bytes hello)
{
	begin(w, true);
	memcpy(w->peer, agent, NOISE_KEY);
	noise_initiate(&w->hs, own, e_secret, agent, bytes_of(NULL, 0));
	put_be16(&w->out, 0);
	/*
	 * An agent's key that is no point of the curve fails here; the peer
	 * then waits in vain, and step() says why.
	 */
	if (noise_write_1(&w->hs, hello, &w->out) == 0)
		close_message(&w->out, 0);
	else
		buf_clear(&w->out);
}

void link_wire_answer(struct link_wire *w, const struct noise_keypair *own,
		      const uint8_t e_secret[NOISE_KEY],
		      const struct link_wire_asks *asks)
{
	begin(w, false);
	w->asks = *asks;
	noise_respond(&w->hs, own, e_secret, bytes_of(NULL, 0));
}

void link_wire_release(struct link_wire *w)
{
	noise_handshake_release(&w->hs);
	noise_transport_release(&w->t);
	buf_release(&w->answer);
	buf_release(&w->raw);
	if (w->in.p)
		mem_wipe(w->in.p, w->in.len);
	buf_release(&w->in);
	buf_release(&w->plain);
	buf_release(&w->out);
	mem_wipe(w, sizeof(*w));
}

/* Forget what was done with, when it is the larger part. */
static void tidy(struct buf *b, size_t *at)
{
	if (*at * 2 < b->len)
		return;
	buf_consume(b, *at);
	*at = 0;
}

void link_wire_take(struct link_wire *w, struct bytes in)
{
	tidy(&w->raw, &w->raw_at);
	put_bytes(&w->raw, in);
}

void link_wire_sent(struct link_wire *w, size_t n)
{
	w->out_at += n;
	assert(w->out_at <= w->out.len);
	tidy(&w->out, &w->out_at);
}

/* The next length and what stands behind it; ERR_AGAIN when not all there. */
static int next_message(struct link_wire *w, size_t max, struct bytes *message,
			struct err *err)
{
	struct bytes raw = buf_from(&w->raw, w->raw_at);
	size_t len;

	if (raw.len < NOISE_RECORD_HEAD)
		return ERR_AGAIN;
	len = (size_t)raw.p[0] << 8 | raw.p[1];
	if (len > max)
		return err_set(err, ERR_LIMIT,
			       "a handshake message of %zu bytes, at most %zu "
			       "are taken",
			       len, max);
	if (raw.len < NOISE_RECORD_HEAD + len)
		return ERR_AGAIN;
	*message = bytes_of(raw.p + NOISE_RECORD_HEAD, len);
	return 0;
}

static int refused(int code, struct err *err)
{
	return err_set(err, code,
		       "the handshake failed: the peer's key, ours "
		       "or the message is not what it must be");
}

static int read_2(struct link_wire *w, struct err *err)
{
	struct bytes message;
	int rc = next_message(w, NOISE_MESSAGE_MAX, &message, err);

	if (w->hs.step == NOISE_DEAD)
		return err_set(err, ERR_AUTH,
			       "the agent's key is not a usable key");
	if (rc < 0)
		return rc;
	rc = noise_read_2(&w->hs, message, &w->answer);
	if (rc < 0)
		return refused(rc, err);
	w->raw_at += NOISE_RECORD_HEAD + message.len;
	noise_split(&w->hs, &w->t);
	w->open = true;
	return 0;
}

static int answer_1(struct link_wire *w, struct err *err)
{
	struct buf hello = { 0 }, answer = { 0 };
	struct bytes message;
	size_t start = w->out.len;
	int rc = next_message(w, LINK_MESSAGE_1_MAX, &message, err);

	if (rc < 0)
		return rc;
	rc = noise_read_1(&w->hs, message);
	if (rc < 0)
		return refused(rc, err);
	if (!w->asks.allowed(w->asks.arg, w->hs.rs))
		return err_set(err, ERR_AUTH,
			       "a key that is not on the list of collectors");
	memcpy(w->peer, w->hs.rs, NOISE_KEY);
	rc = noise_accept_1(&w->hs, message, &hello);
	if (rc == 0) {
		w->rekeys =
			w->asks.answer(w->asks.arg, buf_bytes(&hello), &answer);
		put_be16(&w->out, 0);
		rc = noise_write_2(&w->hs, buf_bytes(&answer), &w->out);
	}
	buf_release(&hello);
	buf_release(&answer);
	if (rc < 0)
		return refused(rc, err);
	close_message(&w->out, start);
	w->raw_at += NOISE_RECORD_HEAD + message.len;
	noise_split(&w->hs, &w->t);
	w->open = true;
	return 0;
}

static int open_record(struct link_wire *w, struct err *err)
{
	struct bytes raw = buf_from(&w->raw, w->raw_at);
	size_t before, used, len;
	int rc;

	if (raw.len < NOISE_RECORD_HEAD)
		return ERR_AGAIN;
	len = (size_t)raw.p[0] << 8 | raw.p[1];
	if (len >= NOISE_TAG && raw.len < NOISE_RECORD_HEAD + len)
		return ERR_AGAIN;
	tidy(&w->in, &w->in_at);
	before = w->in.len;
	if (raw.len > NOISE_RECORD_HEAD + len)
		raw.len = NOISE_RECORD_HEAD + len;
	rc = noise_open(&w->t.in, raw, &used, &w->in);
	if (rc < 0)
		return err_set(err, rc, "record %llu does not decrypt",
			       (unsigned long long)w->records_in);
	w->raw_at += used;
	w->records_in++;
	w->proven = true;
	if (w->rekeys && w->in.len == before) {
		noise_rekey(&w->t.in);
		w->rekeyed_in++;
	}
	return 0;
}

int link_wire_step(struct link_wire *w, struct err *err)
{
	if (w->open)
		return open_record(w, err);
	return w->initiator ? read_2(w, err) : answer_1(w, err);
}

static bool key_is_old(const struct link_wire *w, uint64_t now_ns)
{
	return w->key_records >= w->rekey_records ||
	       w->key_bytes >= w->rekey_bytes ||
	       (w->key_records && now_ns - w->key_since_ns >= w->rekey_ns);
}

static int rekey(struct link_wire *w, uint64_t now_ns)
{
	uint8_t *record = buf_reserve(&w->out, NOISE_RECORD_EXTRA);
	int rc = noise_seal_record(&w->t.out, record, 0);

	if (rc < 0)
		return rc;
	buf_added(&w->out, NOISE_RECORD_EXTRA);
	noise_rekey(&w->t.out);
	w->key_records = 0;
	w->key_bytes = 0;
	w->key_since_ns = now_ns;
	w->rekeyed_out++;
	return 0;
}

int link_wire_flush(struct link_wire *w, uint64_t now_ns, struct err *err)
{
	struct bytes left = buf_bytes(&w->plain);
	int rc = 0;

	if (!left.len)
		return 0;
	assert(w->open);
	if (!w->t.out.n)
		w->key_since_ns = now_ns;
	while (rc == 0 && left.len) {
		size_t n =
			left.len < LINK_RECORD_MAX ? left.len : LINK_RECORD_MAX;

		rc = noise_seal(&w->t.out, bytes_of(left.p, n), &w->out);
		w->key_records++;
		w->key_bytes += n;
		left = bytes_of(left.p + n, left.len - n);
		if (rc == 0 && w->rekeys && key_is_old(w, now_ns))
			rc = rekey(w, now_ns);
	}
	buf_clear(&w->plain);
	if (rc < 0)
		return err_set(err, rc,
			       "this session has used up its keys; "
			       "a new one begins");
	return 0;
}
