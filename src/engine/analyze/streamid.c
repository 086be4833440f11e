/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/analyze/streamid.h"

#include "base/siphash.h"

/*
 * A Feistel network over two halves of 32 bits with a keyed hash as its round
 * function; four rounds are a pseudorandom permutation (Luby, Rackoff 1988).
 */
enum { ROUNDS = 4 };

static uint32_t scramble(const struct siphash_key *key, uint32_t half,
			 int round)
{
	uint8_t in[5] = { (uint8_t)half, (uint8_t)(half >> 8),
			  (uint8_t)(half >> 16), (uint8_t)(half >> 24),
			  (uint8_t)round };

	return (uint32_t)siphash(key, bytes_of(in, sizeof(in)));
}

static struct siphash_key key_of(const uint8_t origin[ORIGIN_SIZE])
{
	struct siphash_key key = { 0, 0 };

	for (int i = 0; i < 8; i++) {
		key.k0 |= (uint64_t)origin[i] << (8 * i);
		key.k1 |= (uint64_t)origin[8 + i] << (8 * i);
	}
	return key;
}

uint64_t streamid_of(const uint8_t origin[ORIGIN_SIZE], uint64_t index)
{
	struct siphash_key key = key_of(origin);
	uint32_t left = (uint32_t)(index >> 32), right = (uint32_t)index;

	for (int i = 0; i < ROUNDS; i++) {
		uint32_t next = left ^ scramble(&key, right, i);

		left = right;
		right = next;
	}
	return (uint64_t)left << 32 | right;
}

uint64_t streamid_index(const uint8_t origin[ORIGIN_SIZE], uint64_t id)
{
	struct siphash_key key = key_of(origin);
	uint32_t left = (uint32_t)(id >> 32), right = (uint32_t)id;

	for (int i = ROUNDS; i > 0; i--) {
		uint32_t before = right ^ scramble(&key, left, i - 1);

		right = left;
		left = before;
	}
	return (uint64_t)left << 32 | right;
}
