/* SPDX-License-Identifier: Apache-2.0 */
/*
 * noise.c - what our records cost over a bare loop of the same cipher.
 *
 * Both seal (and open) the same bytes in messages of the largest size, with
 * one context and a new nonce each.  They take turns, so that what else the
 * machine does hits both; the medians of the rounds are compared.  The claim:
 * at least 0.8 of the bare loop.
 *
 *	bench-noise [ROUNDS [MEBIBYTES]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/evp.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "codec/noise.h"

enum { ROUNDS_MAX = 101, CHUNK = 16 * NOISE_PLAIN_MAX };

/* The two ends, and a chunk as it is, as it is sealed, and as it came out. */
struct bench {
	struct noise_transport near, far;
	EVP_CIPHER_CTX *bare_seal, *bare_open;
	uint64_t bare_n;
	uint8_t *plain;
	struct buf wire, back;
	size_t chunks; /* in a round */
};

static void must(bool ok)
{
	if (!ok) {
		fprintf(stderr, "bench-noise: the cipher failed\n");
		exit(1);
	}
}

static void connect_ends(struct bench *b)
{
	uint8_t key[NOISE_KEY] = { 1 };
	struct noise_keypair s_near, s_far;
	struct noise_handshake i, r;
	struct buf m = { 0 };
	struct bytes none = { 0 };

	noise_keypair_of(&s_near, key);
	key[0] = 2;
	noise_keypair_of(&s_far, key);
	noise_initiate(&i, &s_near, key, s_far.public, none);
	noise_respond(&r, &s_far, key, none);
	must(noise_write_1(&i, none, &m) == 0 &&
	     noise_read_1(&r, buf_bytes(&m)) == 0 &&
	     noise_accept_1(&r, buf_bytes(&m), NULL) == 0);
	buf_clear(&m);
	must(noise_write_2(&r, none, &m) == 0 &&
	     noise_read_2(&i, buf_bytes(&m), NULL) == 0);
	noise_split(&i, &b->near);
	noise_split(&r, &b->far);
	buf_release(&m);
}

static EVP_CIPHER_CTX *bare_new(bool seal)
{
	uint8_t key[NOISE_KEY] = { 7 };
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	must(EVP_CipherInit_ex(ctx, EVP_chacha20_poly1305(), NULL, key, NULL,
			       seal) == 1);
	return ctx;
}

static void bare_begin(EVP_CIPHER_CTX *ctx, uint64_t n)
{
	uint8_t nonce[12] = { 0 };

	memcpy(nonce + 4, &n, sizeof(n));
	must(EVP_CipherInit_ex(ctx, NULL, NULL, NULL, nonce, -1) == 1);
}

static void bare_seal(struct bench *b, uint8_t *to, uint64_t n)
{
	uint8_t *from = b->plain;
	int len;

	for (; from < b->plain + CHUNK; from += NOISE_PLAIN_MAX) {
		bare_begin(b->bare_seal, n++);
		must(EVP_CipherUpdate(b->bare_seal, to, &len, from,
				      NOISE_PLAIN_MAX) == 1);
		to += NOISE_PLAIN_MAX;
		must(EVP_CipherFinal_ex(b->bare_seal, to, &len) == 1);
		must(EVP_CIPHER_CTX_ctrl(b->bare_seal, EVP_CTRL_AEAD_GET_TAG,
					 NOISE_TAG, to) == 1);
		to += NOISE_TAG;
	}
}

static void bare_open(struct bench *b, uint8_t *from, uint8_t *to, uint64_t n)
{
	uint8_t none[NOISE_TAG];
	int len;

	for (int i = 0; i < CHUNK / NOISE_PLAIN_MAX; i++) {
		bare_begin(b->bare_open, n++);
		must(EVP_CIPHER_CTX_ctrl(b->bare_open, EVP_CTRL_AEAD_SET_TAG,
					 NOISE_TAG,
					 from + NOISE_PLAIN_MAX) == 1);
		must(EVP_CipherUpdate(b->bare_open, to, &len, from,
				      NOISE_PLAIN_MAX) == 1);
		must(EVP_CipherFinal_ex(b->bare_open, none, &len) == 1);
		from += NOISE_PLAIN_MAX + NOISE_TAG;
		to += NOISE_PLAIN_MAX;
	}
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

enum { BARE_SEAL, OUR_SEAL, BARE_OPEN, OUR_OPEN, KINDS };

/* One round of each; adds the nanoseconds of processor time to ns[kind]. */
static void round_of(struct bench *b, uint64_t ns[KINDS])
{
	uint8_t *wire = buf_reserve(&b->wire, noise_sealed_size(CHUNK));
	uint8_t *back = buf_reserve(&b->back, CHUNK + NOISE_MESSAGE_MAX);
	size_t used;

	memset(ns, 0, KINDS * sizeof(*ns));
	for (size_t i = 0; i < b->chunks; i++) {
		uint64_t t[5];

		t[0] = now_ns();
		bare_seal(b, wire, b->bare_n);
		t[1] = now_ns();
		bare_open(b, wire, back, b->bare_n);
		t[2] = now_ns();
		b->bare_n += CHUNK / NOISE_PLAIN_MAX;
		buf_clear(&b->wire);
		must(noise_seal(&b->near.out, bytes_of(b->plain, CHUNK),
				&b->wire) == 0);
		t[3] = now_ns();
		buf_clear(&b->back);
		must(noise_open(&b->far.in, buf_bytes(&b->wire), &used,
				&b->back) == 0);
		t[4] = now_ns();
		must(b->back.len == CHUNK &&
		     memcmp(b->back.p, b->plain, CHUNK) == 0);
		ns[BARE_SEAL] += t[1] - t[0];
		ns[BARE_OPEN] += t[2] - t[1];
		ns[OUR_SEAL] += t[3] - t[2];
		ns[OUR_OPEN] += t[4] - t[3];
		wire = b->wire.p;
		back = b->back.p;
	}
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static double median_gbs(const struct bench *b, uint64_t *ns, size_t rounds)
{
	qsort(ns, rounds, sizeof(*ns), compare);
	return (double)(b->chunks * CHUNK) / (double)ns[rounds / 2];
}

static void print_row(const char *what, double bare, double ours)
{
	printf("%-12s bare %6.2f GB/s   ours %6.2f GB/s   ratio %5.3f%s\n",
	       what, bare, ours, ours / bare,
	       ours / bare < 0.8 ? "   under 0.8" : "");
}

static size_t argument(int argc, char **argv, int at, size_t otherwise)
{
	unsigned long v = argc > at ? strtoul(argv[at], NULL, 10) : 0;

	return v ? v : otherwise;
}

int main(int argc, char **argv)
{
	static uint64_t ns[KINDS][ROUNDS_MAX];
	size_t rounds = argument(argc, argv, 1, 7);
	struct bench b = { .chunks = argument(argc, argv, 2, 256) };

	if (rounds > ROUNDS_MAX)
		rounds = ROUNDS_MAX;
	connect_ends(&b);
	b.bare_seal = bare_new(true);
	b.bare_open = bare_new(false);
	b.plain = mem_alloc(CHUNK);
	for (size_t i = 0; i < CHUNK; i++)
		b.plain[i] = (uint8_t)(i * 31 >> 4);
	for (size_t r = 0; r < rounds; r++) {
		uint64_t one[KINDS];

		round_of(&b, one);
		for (int k = 0; k < KINDS; k++)
			ns[k][r] = one[k];
	}
	printf("noise: ChaCha20-Poly1305, %d-byte messages, %zu rounds of "
	       "%zu MiB, median, processor time\n",
	       NOISE_MESSAGE_MAX, rounds, b.chunks * CHUNK >> 20);
	print_row("seal", median_gbs(&b, ns[BARE_SEAL], rounds),
		  median_gbs(&b, ns[OUR_SEAL], rounds));
	print_row("open", median_gbs(&b, ns[BARE_OPEN], rounds),
		  median_gbs(&b, ns[OUR_OPEN], rounds));
	noise_transport_release(&b.near);
	noise_transport_release(&b.far);
	EVP_CIPHER_CTX_free(b.bare_seal);
	EVP_CIPHER_CTX_free(b.bare_open);
	buf_release(&b.wire);
	buf_release(&b.back);
	free(b.plain);
	return 0;
}
