/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32c.h"

enum { POLYNOMIAL_SLICES = 8 };

static uint32_t table[POLYNOMIAL_SLICES][256];

/* Filled before main(), so that no thread ever sees it half-made. */
__attribute__((constructor)) static void fill_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
		table[0][i] = crc;
	}
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
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t
crc32c_hardware(uint32_t crc, struct bytes in)
{
	const uint8_t *p = in.p;
	size_t len = in.len;
	uint64_t state = ~crc;

	for (; len >= 8; len -= 8, p += 8) {
		uint64_t word;

		memcpy(&word, p, sizeof(word));
		state = _mm_crc32_u64(state, word);
	}
	for (; len > 0; len--, p++)
		state = _mm_crc32_u8((uint32_t)state, *p);
	return ~(uint32_t)state;
}

static int has_hardware(void)
{
	return __builtin_cpu_supports("sse4.2");
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
