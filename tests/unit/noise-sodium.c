/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handshake and the records once more, written straight from the
 * specification over another library's primitives.
 */
#include "t.h"

#include <sodium.h>

#include "base/buf.h"
#include "codec/noise.h"

/* -- the specification, in libsodium's words ---------------------------- */

struct state {
	uint8_t h[32], ck[32], k[32];
	uint64_t n;
};

static void mix_hash(struct state *s, struct bytes data)
{
	crypto_hash_sha256_state sha;

	crypto_hash_sha256_init(&sha);
	crypto_hash_sha256_update(&sha, s->h, 32);
	crypto_hash_sha256_update(&sha, data.p, data.len);
	crypto_hash_sha256_final(&sha, s->h);
}

static void hmac(const uint8_t key[32], const uint8_t *data, size_t len,
		 uint8_t out[32])
{
	crypto_auth_hmacsha256(out, data, len, key);
}

static void hkdf(const uint8_t ck[32], const uint8_t *data, size_t len,
		 uint8_t one[32], uint8_t two[32])
{
	uint8_t temp[32], more[33];

	hmac(ck, data, len, temp);
	more[0] = 1;
	hmac(temp, more, 1, one);
	memcpy(more, one, 32);
	more[32] = 2;
	hmac(temp, more, 33, two);
}

static void mix_dh(struct state *s, const uint8_t secret[32],
		   const uint8_t public[32])
{
	uint8_t shared[32];

	CHECK_EQ(crypto_scalarmult(shared, secret, public), 0);
	hkdf(s->ck, shared, 32, s->ck, s->k);
	s->n = 0;
}

static void nonce_of(uint8_t nonce[12], uint64_t n)
{
	memset(nonce, 0, 12);
	for (int i = 0; i < 8; i++)
		nonce[4 + i] = (uint8_t)(n >> 8 * i);
}

static void encrypt_and_hash(struct state *s, struct bytes plain,
			     struct buf *out)
{
	uint8_t *to = buf_reserve(out, plain.len + 16);
	uint8_t nonce[12];
	unsigned long long len;

	nonce_of(nonce, s->n++);
	crypto_aead_chacha20poly1305_ietf_encrypt(to, &len, plain.p, plain.len,
						  s->h, 32, NULL, nonce, s->k);
	mix_hash(s, bytes_of(to, (size_t)len));
	buf_added(out, (size_t)len);
}

/* -- both against each other -------------------------------------------- */

static void random_key(uint8_t key[32])
{
	for (int i = 0; i < 32; i++)
		key[i] = (uint8_t)t_random();
}

static void public_of(uint8_t public[32], const uint8_t secret[32])
{
	CHECK_EQ(crypto_scalarmult_base(public, secret), 0);
}

static struct bytes random_bytes(uint8_t *at, size_t most)
{
	size_t len = (size_t)t_random_below(most + 1);

	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)t_random();
	return bytes_of(at, len);
}

TEST(random_handshakes_agree_with_another_library)
{
	uint8_t s_i[32], e_i[32], s_r[32], e_r[32];
	uint8_t S_i[32], E_i[32], S_r[32], E_r[32];
	uint8_t prologue_at[200], payload_at[200], one[32], two[32];

	CHECK(sodium_init() >= 0);
	for (int round = 0; round < 50; round++) {
		struct bytes prologue = random_bytes(prologue_at, 200);
		struct bytes payload = random_bytes(payload_at, 200);
		struct state s = { 0 };
		struct noise_keypair pair_i, pair_r;
		struct noise_handshake i, r;
		struct noise_transport ti, tr;
		struct buf want = { 0 }, got = { 0 };

		random_key(s_i);
		random_key(e_i);
		random_key(s_r);
		random_key(e_r);
		public_of(S_i, s_i);
		public_of(E_i, e_i);
		public_of(S_r, s_r);
		public_of(E_r, e_r);
		noise_keypair_of(&pair_i, s_i);
		noise_keypair_of(&pair_r, s_r);
		CHECK(noise_key_equal(pair_i.public, S_i));
		CHECK(noise_key_equal(pair_r.public, S_r));

		memcpy(s.h, "Noise_IK_25519_ChaChaPoly_SHA256", 32);
		memcpy(s.ck, s.h, 32);
		mix_hash(&s, prologue);
		mix_hash(&s, bytes_of(S_r, 32));
		put_bytes(&want, bytes_of(E_i, 32));
		mix_hash(&s, bytes_of(E_i, 32));
		mix_dh(&s, e_i, S_r);
		encrypt_and_hash(&s, bytes_of(S_i, 32), &want);
		mix_dh(&s, s_i, S_r);
		encrypt_and_hash(&s, payload, &want);

		noise_initiate(&i, &pair_i, e_i, S_r, prologue);
		CHECK_EQ(noise_write_1(&i, payload, &got), 0);
		CHECK_BYTES(buf_bytes(&got), buf_bytes(&want));
		noise_respond(&r, &pair_r, e_r, prologue);
		CHECK_EQ(noise_read_1(&r, buf_bytes(&want)), 0);
		CHECK_EQ(noise_accept_1(&r, buf_bytes(&want), NULL), 0);

		buf_clear(&want);
		buf_clear(&got);
		put_bytes(&want, bytes_of(E_r, 32));
		mix_hash(&s, bytes_of(E_r, 32));
		mix_dh(&s, e_r, E_i);
		mix_dh(&s, e_r, S_i);
		encrypt_and_hash(&s, payload, &want);
		CHECK_EQ(noise_write_2(&r, payload, &got), 0);
		CHECK_BYTES(buf_bytes(&got), buf_bytes(&want));
		CHECK_EQ(noise_read_2(&i, buf_bytes(&want), NULL), 0);

		noise_split(&i, &ti);
		noise_split(&r, &tr);
		hkdf(s.ck, payload_at, 0, one, two);
		CHECK(noise_key_equal(ti.out.k, one));
		CHECK(noise_key_equal(ti.in.k, two));
		CHECK_BYTES(bytes_of(ti.hash, 32), bytes_of(s.h, 32));
		noise_transport_release(&ti);
		noise_transport_release(&tr);
		buf_release(&want);
		buf_release(&got);
	}
}

/* A transport with keys of its own. */
static void random_transport(struct noise_transport *t)
{
	struct noise_keypair pair;
	struct noise_handshake i, r;
	struct noise_transport other;
	struct buf m = { 0 };
	struct bytes none = { 0 };
	uint8_t key[32];

	random_key(key);
	noise_keypair_of(&pair, key);
	noise_initiate(&i, &pair, key, pair.public, none);
	noise_respond(&r, &pair, key, none);
	CHECK_EQ(noise_write_1(&i, none, &m), 0);
	CHECK_EQ(noise_read_1(&r, buf_bytes(&m)), 0);
	CHECK_EQ(noise_accept_1(&r, buf_bytes(&m), NULL), 0);
	buf_clear(&m);
	CHECK_EQ(noise_write_2(&r, none, &m), 0);
	CHECK_EQ(noise_read_2(&i, buf_bytes(&m), NULL), 0);
	noise_split(&i, t);
	noise_split(&r, &other);
	noise_transport_release(&other);
	buf_release(&m);
}

TEST(random_records_and_rekeys_agree_with_another_library)
{
	struct noise_transport t;
	uint8_t *plain_at = malloc(NOISE_PLAIN_MAX);
	uint8_t *sealed = malloc(NOISE_MESSAGE_MAX);
	uint8_t nonce[12], zeros[32] = { 0 }, key[48];
	unsigned long long len;

	CHECK(sodium_init() >= 0);
	random_transport(&t);
	for (int round = 0; round < 300; round++) {
		struct bytes plain = random_bytes(
			plain_at, round % 10 ? 300 : NOISE_PLAIN_MAX);
		struct buf got = { 0 };

		memcpy(key, t.out.k, 32);
		nonce_of(nonce, t.out.n);
		crypto_aead_chacha20poly1305_ietf_encrypt(sealed, &len, plain.p,
							  plain.len, NULL, 0,
							  NULL, nonce, key);
		CHECK_EQ(noise_seal(&t.out, plain, &got), 0);
		if (plain.len)
			CHECK_BYTES(buf_from(&got, 2),
				    bytes_of(sealed, (size_t)len));
		if (round % 7 == 0) {
			nonce_of(nonce, UINT64_MAX);
			memcpy(sealed, key, 32);
			crypto_aead_chacha20poly1305_ietf_encrypt(
				key, &len, zeros, 32, NULL, 0, NULL, nonce,
				sealed);
			noise_rekey(&t.out);
			CHECK(noise_key_equal(t.out.k, key));
		}
		buf_release(&got);
	}
	noise_transport_release(&t);
	free(plain_at);
	free(sealed);
}
