/* SPDX-License-Identifier: Apache-2.0 */
#include "sums.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

enum { SHA256_SIZE = 32 };

static struct sum *sum_of(struct sums *s, uint32_t linktype)
{
	struct sum *sum;

	for (int i = 0; i < s->n; i++)
		if (s->at[i].linktype == linktype)
			return &s->at[i];
	if (s->n == SUMS_MAX) {
		fprintf(stderr, "over %d link types in one sum\n", SUMS_MAX);
		exit(1);
	}
	sum = &s->at[s->n++];
	sum->linktype = linktype;
	sum->hash = EVP_MD_CTX_new();
	EVP_DigestInit_ex(sum->hash, EVP_sha256(), NULL);
	return sum;
}

void sums_add(struct sums *s, uint32_t linktype, const struct packet *p)
{
	struct sum *sum = sum_of(s, linktype);
	uint64_t numbers[2] = { htole64(p->time_ns),
				htole64(p->wire_len | (uint64_t)p->data.len
							      << 32) };

	EVP_DigestUpdate(sum->hash, numbers, sizeof(numbers));
	EVP_DigestUpdate(sum->hash, p->data.p, p->data.len);
	sum->packets++;
}

static int by_linktype(const void *a, const void *b)
{
	const struct sum *x = a, *y = b;

	return (x->linktype > y->linktype) - (x->linktype < y->linktype);
}

void sums_finish(struct sums *s)
{
	uint8_t digest[SHA256_SIZE];

	qsort(s->at, (size_t)s->n, sizeof(*s->at), by_linktype);
	for (int i = 0; i < s->n; i++) {
		EVP_DigestFinal_ex(s->at[i].hash, digest, NULL);
		for (int k = 0; k < SHA256_SIZE; k++)
			snprintf(s->at[i].hex + 2 * k, 3, "%02x", digest[k]);
	}
}

bool sums_equal(const struct sums *a, const struct sums *b)
{
	bool equal = a->n == b->n;

	for (int i = 0; equal && i < a->n; i++)
		equal = a->at[i].linktype == b->at[i].linktype &&
			a->at[i].packets == b->at[i].packets &&
			strcmp(a->at[i].hex, b->at[i].hex) == 0;
	return equal;
}

void sums_release(struct sums *s)
{
	for (int i = 0; i < s->n; i++)
		EVP_MD_CTX_free(s->at[i].hash);
	*s = (struct sums){ 0 };
}
