/* SPDX-License-Identifier: Apache-2.0 */
/*
 * siphash.h - a keyed hash for tables whose keys an enemy may choose.
 *
 * SipHash-1-3 (Aumasson and Bernstein, 2012; the reduced-round form that hash
 * tables use).  With a key from the kernel nobody outside can make keys that
 * collide.
 */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include "base/bytes.h"

struct siphash_key {
	uint64_t k0, k1;
};

static inline uint64_t siphash_rotate(uint64_t v, int by)
{
	return v << by | v >> (64 - by);
}

static inline void siphash_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = siphash_rotate(v[1], 13) ^ v[0];
	v[0] = siphash_rotate(v[0], 32);
	v[2] += v[3];
	v[3] = siphash_rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = siphash_rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = siphash_rotate(v[1], 17) ^ v[2];
	v[2] = siphash_rotate(v[2], 32);
}

static inline uint64_t siphash(const struct siphash_key *key, struct bytes in)
{
	uint64_t v[4] = {
		key->k0 ^ UINT64_C(0x736f6d6570736575),
		key->k1 ^ UINT64_C(0x646f72616e646f6d),
		key->k0 ^ UINT64_C(0x6c7967656e657261),
		key->k1 ^ UINT64_C(0x7465646279746573),
	};
	uint64_t last = (uint64_t)in.len << 56;
	uint64_t word;

	for (; in.len >= 8; in.p += 8, in.len -= 8) {
		memcpy(&word, in.p, 8);
		v[3] ^= word;
		siphash_round(v);
		v[0] ^= word;
	}
	for (size_t i = 0; i < in.len; i++)
		last |= (uint64_t)in.p[i] << (8 * i);
	v[3] ^= last;
	siphash_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		siphash_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif
