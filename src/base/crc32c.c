/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32c.h"

enum { POLYNOMIAL_SLICES = 8 };

static const uint32_t polynomial = 0x82f63b78;

static uint32_t table[POLYNOMIAL_SLICES][256];

/* Times x^n; reflected, the highest power is the lowest bit. */
static uint32_t times_x(uint32_t a, int n)
{
	for (; n > 0; n--)
		a = a & 1 ? a >> 1 ^ polynomial : a >> 1;
	return a;
}

/* Filled before main(), so that no thread ever sees it half-made. */
__attribute__((constructor)) static void fill_table(void)
{
	for (uint32_t i = 0; i < 256; i++)
		table[0][i] = times_x(i, 8);
	for (uint32_t i = 0; i < 256; i++)
		for (int s = 1; s < POLYNOMIAL_SLICES; s++)
			table[s][i] = table[s - 1][i] >> 8 ^
				      table[0][table[s - 1][i] & 255];
}

static uint32_t load_le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[3] << 24;
}

uint32_t crc32c_portable(uint32_t crc, struct bytes in)
{
	const uint8_t *p = in.p;
	size_t len = in.len;

	crc = ~crc;
	for (; len >= 8; len -= 8, p += 8) {
		uint32_t a = load_le32(p) ^ crc;
		uint32_t b = load_le32(p + 4);

		crc = table[7][a & 255] ^ table[6][a >> 8 & 255] ^
		      table[5][a >> 16 & 255] ^ table[4][a >> 24] ^
		      table[3][b & 255] ^ table[2][b >> 8 & 255] ^
		      table[1][b >> 16 & 255] ^ table[0][b >> 24];
	}
	for (; len > 0; len--, p++)
		crc = crc >> 8 ^ table[0][(crc ^ *p) & 255];
	return ~crc;
}

#if defined(__x86_64__)
#include <immintrin.h>

/*
 * The instruction takes eight bytes a cycle, but has its result only after
 * three: one chain of it leaves two thirds of the time unused.  So a block is
 * cut into three parts of as many words, whose chains run side by side.
 *
 * What a chain has at its end must still pass over the words behind its part.
 * In the ring of polynomials modulo P that is a product with x^(64 w) for w
 * words, and a carry-less product with a constant, taken through one more step
 * of the instruction, is just that.  Reflected, the product of a and k stands
 * for a k x, and the step multiplies by x^32: k is x^(64 w - 33).
 */
enum {
	PART_MAX = 128, /* words; three of these at once */
	PART_MIN = 4	/* below this joining costs more than it gains */
};

static uint32_t over_words[2 * PART_MAX + 1];

__attribute__((constructor)) static void fill_over_words(void)
{
	/* x^31 is the lowest bit. */
	over_words[1] = 1;
	for (int w = 2; w <= 2 * PART_MAX; w++)
		over_words[w] = times_x(over_words[w - 1], 64);
}

__attribute__((target("sse4.2"))) static inline uint64_t step(uint64_t state,
							      const uint8_t *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return _mm_crc32_u64(state, word);
}

__attribute__((target("pclmul,sse4.2"))) static inline __m128i
times(uint64_t state, uint32_t k)
{
	return _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)state),
				    _mm_cvtsi32_si128((int)k), 0);
}

/* Over 3 * words words at p. */
__attribute__((target("pclmul,sse4.2"))) static uint64_t
three_parts(uint64_t a, const uint8_t *p, size_t words)
{
	const uint8_t *q = p + 8 * words, *r = q + 8 * words;
	uint64_t b = 0, c = 0;
	__m128i moved;

	for (size_t i = 0; i < 8 * words; i += 8) {
		a = step(a, p + i);
		b = step(b, q + i);
		c = step(c, r + i);
	}
	moved = _mm_xor_si128(times(a, over_words[2 * words]),
			      times(b, over_words[words]));
	return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(moved)) ^ c;
}

__attribute__((target("pclmul,sse4.2"))) static uint32_t
crc32c_hardware(uint32_t crc, struct bytes in)
{
	const uint8_t *p = in.p;
	size_t len = in.len;
	uint64_t state = ~crc;

	while (len >= 3 * 8 * PART_MIN) {
		size_t words = len / (3 * 8);

		if (words > PART_MAX)
			words = PART_MAX;
		state = three_parts(state, p, words);
		p += 3 * 8 * words;
		len -= 3 * 8 * words;
	}
	for (; len >= 8; len -= 8, p += 8)
		state = step(state, p);
	for (; len > 0; len--, p++)
		state = _mm_crc32_u8((uint32_t)state, *p);
	return ~(uint32_t)state;
}

static int has_hardware(void)
{
	return __builtin_cpu_supports("sse4.2") &&
	       __builtin_cpu_supports("pclmul");
}
#else
static uint32_t crc32c_hardware(uint32_t crc, struct bytes in)
{
	return crc32c_portable(crc, in);
}

static int has_hardware(void)
{
	return 0;
}
#endif

uint32_t crc32c_more(uint32_t crc, struct bytes in)
{
	return has_hardware() ? crc32c_hardware(crc, in)
			      : crc32c_portable(crc, in);
}

uint32_t crc32c(struct bytes in)
{
	return crc32c_more(0, in);
}
