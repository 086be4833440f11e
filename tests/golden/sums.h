/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sums.h - one SHA-256 for each link type over all its packets.
 *
 * It covers, packet by packet: time (ns, 64 bits), length on the wire, captured
 * length (32 bits each), all little-endian, and the bytes.
 */
#ifndef TESTS_GOLDEN_SUMS_H
#define TESTS_GOLDEN_SUMS_H

#include <openssl/evp.h>

#include "codec/packet.h"

enum { SUMS_MAX = 64, SUM_HEX = 65 };

struct sum {
	uint32_t linktype;
	uint64_t packets;
	EVP_MD_CTX *hash;
	char hex[SUM_HEX]; /* set by sums_finish() */
};

/* A zeroed one is empty. */
struct sums {
	struct sum at[SUMS_MAX];
	int n;
};

/* Ends the program when there are over SUMS_MAX link types. */
void sums_add(struct sums *s, uint32_t linktype, const struct packet *p);

/* In the order of link types from now on, with their hex. */
void sums_finish(struct sums *s);
bool sums_equal(const struct sums *a, const struct sums *b);
void sums_release(struct sums *s);

#endif
