/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/noise.h"

#include <assert.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

enum { NONCE = 12 };

static const char protocol[NOISE_HASH + 1] = "Noise_IK_25519_ChaChaPoly_SHA256";

/* libcrypto says no here only when it has no memory for a size of ours. */
static void must(bool ok)
{
	assert(ok);
}

/* -- X25519 ------------------------------------------------------------- */

void noise_keypair_of(struct noise_keypair *pair,
		      const uint8_t secret[NOISE_KEY])
{
	size_t len = NOISE_KEY;
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL,
						     secret, NOISE_KEY);

	must(key && EVP_PKEY_get_raw_public_key(key, pair->public, &len) == 1);
	memcpy(pair->secret, secret, NOISE_KEY);
	EVP_PKEY_free(key);
}

bool noise_key_equal(const uint8_t a[NOISE_KEY], const uint8_t b[NOISE_KEY])
{
	return CRYPTO_memcmp(a, b, NOISE_KEY) == 0;
}

/* With both halves given, libcrypto does not compute the public one again. */
static EVP_PKEY *private_key(const struct noise_keypair *pair)
{
	uint8_t secret[NOISE_KEY], public[NOISE_KEY];
	OSSL_PARAM params[] = {
		OSSL_PARAM_octet_string("priv", secret, NOISE_KEY),
		OSSL_PARAM_octet_string("pub", public, NOISE_KEY),
		OSSL_PARAM_END
	};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "X25519", NULL);
	EVP_PKEY *key = NULL;

	memcpy(secret, pair->secret, NOISE_KEY);
	memcpy(public, pair->public, NOISE_KEY);
	must(ctx && EVP_PKEY_fromdata_init(ctx) == 1 &&
	     EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) == 1);
	EVP_PKEY_CTX_free(ctx);
	mem_wipe(secret, sizeof(secret));
	return key;
}

/* ERR_AUTH for a point that would make the secret known to everybody. */
static int dh(const struct noise_keypair *own, const uint8_t theirs[NOISE_KEY],
	      uint8_t shared[NOISE_KEY])
{
	static const uint8_t zeros[NOISE_KEY];
	size_t len = NOISE_KEY;
	EVP_PKEY *key = private_key(own);
	EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL,
						     theirs, NOISE_KEY);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	bool ok;

	must(peer && ctx && EVP_PKEY_derive_init(ctx) == 1);
	ok = EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
	     EVP_PKEY_derive(ctx, shared, &len) == 1 && len == NOISE_KEY &&
	     !noise_key_equal(shared, zeros);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(peer);
	EVP_PKEY_free(key);
	return ok ? 0 : ERR_AUTH;
}

/* -- ChaCha20-Poly1305 -------------------------------------------------- */

static EVP_CIPHER_CTX *cipher_new(const uint8_t k[NOISE_KEY], bool encrypt)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	must(ctx && EVP_CipherInit_ex(ctx, EVP_chacha20_poly1305(), NULL, k,
				      NULL, encrypt) == 1);
	return ctx;
}

/* The nonce is four zero bytes and the number, little-endian. */
static void begin(EVP_CIPHER_CTX *ctx, uint64_t n, struct bytes ad)
{
	uint8_t nonce[NONCE] = { 0 };
	int len;

	for (int i = 0; i < 8; i++)
		nonce[4 + i] = (uint8_t)(n >> 8 * i);
	must(EVP_CipherInit_ex(ctx, NULL, NULL, NULL, nonce, -1) == 1);
	if (ad.len)
		must(EVP_CipherUpdate(ctx, NULL, &len, ad.p, (int)ad.len) == 1);
}

/* Ciphertext and tag go to `to`, which may be where the plaintext lies. */
static void seal(EVP_CIPHER_CTX *ctx, uint64_t n, struct bytes ad,
		 struct bytes plain, uint8_t *to)
{
	int len = 0;

	begin(ctx, n, ad);
	if (plain.len)
		must(EVP_CipherUpdate(ctx, to, &len, plain.p, (int)plain.len) ==
		     1);
	must((size_t)len == plain.len);
	must(EVP_CipherFinal_ex(ctx, to + plain.len, &len) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, NOISE_TAG,
				 to + plain.len) == 1);
}

/* What a changed message decrypts to must reach nobody: it is wiped. */
static int open(EVP_CIPHER_CTX *ctx, uint64_t n, struct bytes ad,
		struct bytes sealed, uint8_t *to)
{
	size_t plain = sealed.len - NOISE_TAG;
	uint8_t tag[NOISE_TAG], none[1];
	int len = 0;

	assert(sealed.len >= NOISE_TAG);
	memcpy(tag, sealed.p + plain, NOISE_TAG);
	begin(ctx, n, ad);
	must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, NOISE_TAG, tag) ==
	     1);
	if (plain)
		must(EVP_CipherUpdate(ctx, to, &len, sealed.p, (int)plain) ==
		     1);
	if (EVP_CipherFinal_ex(ctx, none, &len) == 1)
		return 0;
	if (plain)
		mem_wipe(to, plain);
	return ERR_AUTH;
}

/* -- the symmetric state (section 5.2 of the specification) ------------- */

static void mix_hash(struct noise_handshake *hs, struct bytes data)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	must(ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
	     EVP_DigestUpdate(ctx, hs->h, NOISE_HASH) == 1 &&
	     EVP_DigestUpdate(ctx, data.p, data.len) == 1 &&
	     EVP_DigestFinal_ex(ctx, hs->h, NULL) == 1);
	EVP_MD_CTX_free(ctx);
}

static void hmac(const uint8_t key[NOISE_HASH], const void *data, size_t len,
		 uint8_t out[NOISE_HASH])
{
	must(HMAC(EVP_sha256(), key, NOISE_HASH, data, len, out, NULL) != NULL);
}

/* HKDF with two outputs (section 4.3); `first` may be `ck`. */
static void hkdf(const uint8_t ck[NOISE_HASH], struct bytes input,
		 uint8_t first[NOISE_HASH], uint8_t second[NOISE_HASH])
{
	uint8_t temp[NOISE_HASH];
	uint8_t more[NOISE_HASH + 1];

	hmac(ck, input.p ? input.p : temp, input.len, temp);
	more[0] = 1;
	hmac(temp, more, 1, first);
	memcpy(more, first, NOISE_HASH);
	more[NOISE_HASH] = 2;
	hmac(temp, more, sizeof(more), second);
	mem_wipe(temp, sizeof(temp));
	mem_wipe(more, sizeof(more));
}

/* MixKey(DH(own, theirs)): what the tokens ee, es, se and ss do. */
static int mix_dh(struct noise_handshake *hs, const struct noise_keypair *own,
		  const uint8_t theirs[NOISE_KEY])
{
	uint8_t shared[NOISE_KEY];
	int rc = dh(own, theirs, shared);

	if (rc == 0) {
		hkdf(hs->ck, bytes_of(shared, NOISE_KEY), hs->ck, hs->k);
		hs->n = 0;
		hs->has_k = true;
	}
	mem_wipe(shared, sizeof(shared));
	return rc;
}

static void encrypt_and_hash(struct noise_handshake *hs, struct bytes plain,
			     struct buf *out)
{
	uint8_t *to = buf_reserve(out, plain.len + NOISE_TAG);
	EVP_CIPHER_CTX *ctx = cipher_new(hs->k, true);

	assert(hs->has_k);
	seal(ctx, hs->n++, bytes_of(hs->h, NOISE_HASH), plain, to);
	EVP_CIPHER_CTX_free(ctx);
	mix_hash(hs, bytes_of(to, plain.len + NOISE_TAG));
	buf_added(out, plain.len + NOISE_TAG);
}

static int decrypt_and_hash(struct noise_handshake *hs, struct bytes sealed,
			    uint8_t *to)
{
	EVP_CIPHER_CTX *ctx = cipher_new(hs->k, false);
	int rc = open(ctx, hs->n, bytes_of(hs->h, NOISE_HASH), sealed, to);

	assert(hs->has_k);
	EVP_CIPHER_CTX_free(ctx);
	if (rc < 0)
		return rc;
	hs->n++;
	mix_hash(hs, sealed);
	return 0;
}

static int decrypt_payload(struct noise_handshake *hs, struct bytes sealed,
			   struct buf *payload)
{
	struct buf dropped = { 0 };
	struct buf *to = payload ? payload : &dropped;
	size_t len = sealed.len - NOISE_TAG;
	int rc = decrypt_and_hash(hs, sealed, buf_reserve(to, len + 1));

	if (rc == 0)
		buf_added(to, len);
	buf_release(&dropped);
	return rc;
}

/* -- the handshake ------------------------------------------------------ */

void noise_handshake_release(struct noise_handshake *hs)
{
	mem_wipe(hs, sizeof(*hs)); /* NOISE_DEAD is 0 */
}

static int fail(struct noise_handshake *hs, int code)
{
	noise_handshake_release(hs);
	return code;
}

/* The name is as long as a hash, so it is the first one as it stands. */
static void initialize(struct noise_handshake *hs,
		       const struct noise_keypair *s,
		       const uint8_t e_secret[NOISE_KEY],
		       const uint8_t responder[NOISE_KEY],
		       struct bytes prologue)
{
	*hs = (struct noise_handshake){ .s = *s };
	memcpy(hs->e.secret, e_secret, NOISE_KEY);
	memcpy(hs->h, protocol, NOISE_HASH);
	memcpy(hs->ck, protocol, NOISE_HASH);
	mix_hash(hs, prologue);
	mix_hash(hs, bytes_of(responder, NOISE_KEY)); /* <- s */
}

void noise_initiate(struct noise_handshake *hs, const struct noise_keypair *s,
		    const uint8_t e_secret[NOISE_KEY],
		    const uint8_t responder[NOISE_KEY], struct bytes prologue)
{
	initialize(hs, s, e_secret, responder, prologue);
	memcpy(hs->rs, responder, NOISE_KEY);
	hs->initiator = true;
	hs->step = NOISE_WRITES_1;
}

void noise_respond(struct noise_handshake *hs, const struct noise_keypair *s,
		   const uint8_t e_secret[NOISE_KEY], struct bytes prologue)
{
	initialize(hs, s, e_secret, s->public, prologue);
	hs->step = NOISE_READS_1;
}

/* Our ephemeral public key, computed only now: a stranger shall cost little. */
static void send_e(struct noise_handshake *hs, struct buf *out)
{
	uint8_t secret[NOISE_KEY];

	memcpy(secret, hs->e.secret, NOISE_KEY);
	noise_keypair_of(&hs->e, secret);
	mem_wipe(secret, sizeof(secret));
	put_bytes(out, bytes_of(hs->e.public, NOISE_KEY));
	mix_hash(hs, bytes_of(hs->e.public, NOISE_KEY));
}

static void take_e(struct noise_handshake *hs, struct bytes message)
{
	memcpy(hs->re, message.p, NOISE_KEY);
	mix_hash(hs, bytes_of(hs->re, NOISE_KEY));
}

int noise_write_1(struct noise_handshake *hs, struct bytes payload,
		  struct buf *out)
{
	size_t start = out->len;

	assert(hs->step == NOISE_WRITES_1);
	if (payload.len > NOISE_MESSAGE_MAX - NOISE_MESSAGE_1)
		return fail(hs, ERR_LIMIT);
	/* e */
	send_e(hs, out);
	/* es */
	if (mix_dh(hs, &hs->e, hs->rs) < 0)
		goto refused;
	/* s */
	encrypt_and_hash(hs, bytes_of(hs->s.public, NOISE_KEY), out);
	/* ss */
	if (mix_dh(hs, &hs->s, hs->rs) < 0)
		goto refused;
	encrypt_and_hash(hs, payload, out);
	hs->step = NOISE_READS_2;
	return 0;
refused:
	out->len = start;
	return fail(hs, ERR_AUTH);
}

int noise_read_1(struct noise_handshake *hs, struct bytes message)
{
	assert(hs->step == NOISE_READS_1);
	if (message.len < NOISE_MESSAGE_1 || message.len > NOISE_MESSAGE_MAX)
		return fail(hs, ERR_MALFORMED);
	/* e */
	take_e(hs, message);
	/* es */
	if (mix_dh(hs, &hs->s, hs->re) < 0)
		return fail(hs, ERR_AUTH);
	/* s */
	if (decrypt_and_hash(
		    hs, bytes_of(message.p + NOISE_KEY, NOISE_KEY + NOISE_TAG),
		    hs->rs) < 0)
		return fail(hs, ERR_AUTH);
	hs->step = NOISE_ACCEPTS_1;
	return 0;
}

int noise_accept_1(struct noise_handshake *hs, struct bytes message,
		   struct buf *payload)
{
	size_t head = NOISE_MESSAGE_1 - NOISE_TAG;

	assert(hs->step == NOISE_ACCEPTS_1 && message.len >= NOISE_MESSAGE_1);
	/* ss */
	if (mix_dh(hs, &hs->s, hs->rs) < 0 ||
	    decrypt_payload(hs, bytes_of(message.p + head, message.len - head),
			    payload) < 0)
		return fail(hs, ERR_AUTH);
	hs->step = NOISE_WRITES_2;
	return 0;
}

int noise_write_2(struct noise_handshake *hs, struct bytes payload,
		  struct buf *out)
{
	size_t start = out->len;

	assert(hs->step == NOISE_WRITES_2);
	if (payload.len > NOISE_MESSAGE_MAX - NOISE_MESSAGE_2)
		return fail(hs, ERR_LIMIT);
	/* e */
	send_e(hs, out);
	/* ee, se */
	if (mix_dh(hs, &hs->e, hs->re) < 0 || mix_dh(hs, &hs->e, hs->rs) < 0) {
		out->len = start;
		return fail(hs, ERR_AUTH);
	}
	encrypt_and_hash(hs, payload, out);
	hs->step = NOISE_SPLITS;
	return 0;
}

int noise_read_2(struct noise_handshake *hs, struct bytes message,
		 struct buf *payload)
{
	assert(hs->step == NOISE_READS_2);
	if (message.len < NOISE_MESSAGE_2 || message.len > NOISE_MESSAGE_MAX)
		return fail(hs, ERR_MALFORMED);
	/* e */
	take_e(hs, message);
	/* ee, se */
	if (mix_dh(hs, &hs->e, hs->re) < 0 || mix_dh(hs, &hs->s, hs->re) < 0)
		return fail(hs, ERR_AUTH);
	if (decrypt_payload(
		    hs,
		    bytes_of(message.p + NOISE_KEY, message.len - NOISE_KEY),
		    payload) < 0)
		return fail(hs, ERR_AUTH);
	hs->step = NOISE_SPLITS;
	return 0;
}

/* -- the transport ------------------------------------------------------ */

void noise_split(struct noise_handshake *hs, struct noise_transport *t)
{
	struct noise_cipher *first = hs->initiator ? &t->out : &t->in;
	struct noise_cipher *second = hs->initiator ? &t->in : &t->out;

	assert(hs->step == NOISE_SPLITS);
	*t = (struct noise_transport){ 0 };
	hkdf(hs->ck, bytes_of(NULL, 0), first->k, second->k);
	t->out.ctx = cipher_new(t->out.k, true);
	t->in.ctx = cipher_new(t->in.k, false);
	memcpy(t->hash, hs->h, NOISE_HASH);
	noise_handshake_release(hs);
}

void noise_transport_release(struct noise_transport *t)
{
	EVP_CIPHER_CTX_free(t->out.ctx); /* wipes its key */
	EVP_CIPHER_CTX_free(t->in.ctx);
	mem_wipe(t, sizeof(*t));
}

static size_t record_count(size_t len)
{
	return len / NOISE_PLAIN_MAX + (len % NOISE_PLAIN_MAX != 0);
}

size_t noise_sealed_size(size_t len)
{
	return len + record_count(len) * NOISE_RECORD_EXTRA;
}

static void seal_record(struct noise_cipher *c, struct bytes plain,
			uint8_t *record)
{
	size_t sealed = plain.len + NOISE_TAG;

	assert(plain.len <= NOISE_PLAIN_MAX);
	record[0] = (uint8_t)(sealed >> 8);
	record[1] = (uint8_t)sealed;
	seal(c->ctx, c->n++, bytes_of(NULL, 0), plain,
	     record + NOISE_RECORD_HEAD);
}

int noise_seal(struct noise_cipher *c, struct bytes plain, struct buf *out)
{
	size_t size = noise_sealed_size(plain.len);
	uint8_t *to = buf_reserve(out, size);

	if (c->n >= NOISE_NONCE_END ||
	    record_count(plain.len) > NOISE_NONCE_END - c->n)
		return ERR_LIMIT;
	while (plain.len) {
		size_t len = plain.len < NOISE_PLAIN_MAX ? plain.len
							 : NOISE_PLAIN_MAX;

		seal_record(c, bytes_of(plain.p, len), to);
		to += len + NOISE_RECORD_EXTRA;
		plain = bytes_of(plain.p + len, plain.len - len);
	}
	buf_added(out, size);
	return 0;
}

int noise_seal_record(struct noise_cipher *c, uint8_t *record, size_t len)
{
	if (c->n >= NOISE_NONCE_END)
		return ERR_LIMIT;
	seal_record(c, bytes_of(record + NOISE_RECORD_HEAD, len), record);
	return 0;
}

static int open_record(struct noise_cipher *c, struct bytes sealed, uint8_t *to)
{
	int rc;

	if (sealed.len < NOISE_TAG || sealed.len > NOISE_MESSAGE_MAX)
		return ERR_MALFORMED;
	if (c->n >= NOISE_NONCE_END)
		return ERR_LIMIT;
	rc = open(c->ctx, c->n, bytes_of(NULL, 0), sealed, to);
	if (rc == 0)
		c->n++;
	return rc;
}

int noise_open(struct noise_cipher *c, struct bytes stream, size_t *used,
	       struct buf *plain)
{
	*used = 0;
	while (stream.len - *used >= NOISE_RECORD_HEAD) {
		const uint8_t *head = stream.p + *used;
		size_t len = (size_t)head[0] << 8 | head[1];
		int rc;

		if (len < NOISE_TAG)
			return ERR_MALFORMED;
		if (stream.len - *used < NOISE_RECORD_HEAD + len)
			return 0;
		rc = open_record(c, bytes_of(head + NOISE_RECORD_HEAD, len),
				 buf_reserve(plain, len));
		if (rc < 0)
			return rc;
		buf_added(plain, len - NOISE_TAG);
		*used += NOISE_RECORD_HEAD + len;
	}
	return 0;
}

int noise_open_record(struct noise_cipher *c, uint8_t *sealed, size_t len)
{
	return open_record(c, bytes_of(sealed, len), sealed);
}

void noise_rekey(struct noise_cipher *c)
{
	uint8_t zeros[NOISE_KEY] = { 0 };
	uint8_t sealed[NOISE_KEY + NOISE_TAG];
	EVP_CIPHER_CTX *ctx = cipher_new(c->k, true);

	seal(ctx, UINT64_MAX, bytes_of(NULL, 0), bytes_of(zeros, NOISE_KEY),
	     sealed);
	EVP_CIPHER_CTX_free(ctx);
	memcpy(c->k, sealed, NOISE_KEY);
	mem_wipe(sealed, sizeof(sealed));
	/* -1: the context keeps its direction. */
	must(EVP_CipherInit_ex(c->ctx, NULL, NULL, c->k, NULL, -1) == 1);
}
