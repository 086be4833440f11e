/* SPDX-License-Identifier: Apache-2.0 */
/*
 * noise.h - Noise_IK_25519_ChaChaPoly_SHA256 (revision 34), without any I/O.
 *
 *	IK:
 *	  <- s
 *	  ...
 *	  -> e, es, s, ss
 *	  <- e, ee, se
 *
 * The initiator knows whom it calls; the responder learns who calls and asks
 * its allow-list.  Both then hold a noise_transport: a stream of records, each
 * a 16-bit big-endian length and that many bytes of ciphertext.
 *
 * Whoever calls brings the randomness, the socket and the clock.  Message 1
 * can be replayed by anybody who saw it: nothing may change because of it
 * before a first record has been opened.  An object belongs to one thread at a
 * time; the two directions of a transport may live in two threads.
 */
#ifndef CODEC_NOISE_H
#define CODEC_NOISE_H

#include "base/bytes.h"

struct buf;
struct evp_cipher_ctx_st;

enum {
	NOISE_KEY = 32,
	NOISE_HASH = 32,
	NOISE_TAG = 16,
	NOISE_MESSAGE_MAX = 65535, /* of the handshake, and of a record */
	NOISE_PLAIN_MAX = NOISE_MESSAGE_MAX - NOISE_TAG,
	NOISE_MESSAGE_1 = 96, /* what a payload comes on top of */
	NOISE_MESSAGE_2 = 48,
	NOISE_RECORD_HEAD = 2,
	NOISE_RECORD_EXTRA = NOISE_RECORD_HEAD + NOISE_TAG
};

/* No nonce from here on is ever used; a session ends long before. */
#define NOISE_NONCE_END (1ULL << 60)

/* X25519 keys as in key files: not clamped. */
struct noise_keypair {
	uint8_t secret[NOISE_KEY];
	uint8_t public[NOISE_KEY];
};

/* The pair that belongs to a secret key. */
void noise_keypair_of(struct noise_keypair *pair,
		      const uint8_t secret[NOISE_KEY]);

/* In a time that does not depend on the keys. */
bool noise_key_equal(const uint8_t a[NOISE_KEY], const uint8_t b[NOISE_KEY]);

/* -- the handshake ----------------------------------------------------- */

enum noise_step {
	NOISE_DEAD, /* failed, or released */
	NOISE_WRITES_1,
	NOISE_READS_2,
	NOISE_READS_1,
	NOISE_ACCEPTS_1,
	NOISE_WRITES_2,
	NOISE_SPLITS
};

/* The caller's storage; the names of the specification. */
struct noise_handshake {
	bool initiator;
	enum noise_step step;
	bool has_k;
	uint8_t ck[NOISE_HASH], h[NOISE_HASH], k[NOISE_KEY];
	uint64_t n;
	struct noise_keypair s, e;
	uint8_t rs[NOISE_KEY], re[NOISE_KEY];
};

/*
 * Begin.  `s` is our static pair, `e_secret` 32 random bytes for this
 * handshake alone, `prologue` what both sides must agree on.  All is copied.
 */
void noise_initiate(struct noise_handshake *hs, const struct noise_keypair *s,
		    const uint8_t e_secret[NOISE_KEY],
		    const uint8_t responder[NOISE_KEY], struct bytes prologue);
void noise_respond(struct noise_handshake *hs, const struct noise_keypair *s,
		   const uint8_t e_secret[NOISE_KEY], struct bytes prologue);

/*
 * The four moves, without the length in front of each message.  0, or
 * ERR_AUTH (the peer is not who it must be, or the message was changed),
 * ERR_MALFORMED (too short or long), ERR_LIMIT (our payload is too long).
 * After a failure the handshake is dead and its keys are wiped.  Payloads are
 * appended to a buffer, or dropped where it is NULL.
 *
 * The responder reads message 1 in two moves, so that a stranger costs no
 * more than one multiplication: noise_read_1() decrypts the caller's static
 * key, which is then in hs->rs; noise_accept_1() gets the same message once
 * that key has been found on the allow-list.
 */
int noise_write_1(struct noise_handshake *hs, struct bytes payload,
		  struct buf *out);
int noise_read_1(struct noise_handshake *hs, struct bytes message);
int noise_accept_1(struct noise_handshake *hs, struct bytes message,
		   struct buf *payload);
int noise_write_2(struct noise_handshake *hs, struct bytes payload,
		  struct buf *out);
int noise_read_2(struct noise_handshake *hs, struct bytes message,
		 struct buf *payload);

/* Wipe everything.  Needed on every path; twice does no harm. */
void noise_handshake_release(struct noise_handshake *hs);

/* -- the transport ----------------------------------------------------- */

/* One direction. */
struct noise_cipher {
	struct evp_cipher_ctx_st *ctx; /* owned; only the nonce changes */
	uint64_t n;		       /* of the next record */
	uint8_t k[NOISE_KEY];
};

/* A zeroed one is safe to release. */
struct noise_transport {
	struct noise_cipher out, in;
	uint8_t hash[NOISE_HASH]; /* names this session; not secret */
};

/* After both messages; the handshake is wiped. */
void noise_split(struct noise_handshake *hs, struct noise_transport *t);

void noise_transport_release(struct noise_transport *t);

/* How many bytes noise_seal() adds for `len` bytes of plaintext. */
size_t noise_sealed_size(size_t len);

/*
 * Append `plain`, cut into as few records as it takes, to `out`; nothing for
 * nothing.  0, or ERR_LIMIT at the end of the nonces, with nothing appended.
 */
int noise_seal(struct noise_cipher *c, struct bytes plain, struct buf *out);

/*
 * One record in place: `len` bytes of plaintext, at most NOISE_PLAIN_MAX, lie
 * NOISE_RECORD_HEAD bytes behind `record`, with room for a tag after them.
 */
int noise_seal_record(struct noise_cipher *c, uint8_t *record, size_t len);

/*
 * Open all whole records at the head of `stream` and append what they hold to
 * `plain`; *used is how much of the stream they were.  0, ERR_MALFORMED (a
 * length that cannot be), ERR_AUTH (a record that was changed) or ERR_LIMIT.
 * A failure moves neither nonce nor *used past the good records before it;
 * the session cannot go on.
 */
int noise_open(struct noise_cipher *c, struct bytes stream, size_t *used,
	       struct buf *plain);

/* One record's ciphertext in place; the plaintext is its first len - 16. */
int noise_open_record(struct noise_cipher *c, uint8_t *sealed, size_t len);

/*
 * The specification's REKEY(): a new key out of the old one; the nonce goes
 * on.  Both ends must do it between the same two records.
 */
void noise_rekey(struct noise_cipher *c);

#endif
