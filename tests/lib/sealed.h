/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sealed.h - QUIC Initial packets, made by the rules of RFC 9001 so that tests
 * can say what stands in them.
 */
#ifndef TESTS_LIB_SEALED_H
#define TESTS_LIB_SEALED_H

#include <openssl/evp.h>

#include "base/buf.h"
#include "codec/quic.h"

/* Append a packet with these frames, at least three bytes of them. */
static inline void seal_initial(const struct quic_keys *k, uint32_t version,
				struct bytes dcid, uint8_t number,
				struct bytes frames, struct buf *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	size_t start = out->len, head;
	uint8_t nonce[12], mask[16], *p;
	int n, sealed;

	put_u8(out, 0xc0);
	put_be32(out, version);
	put_u8(out, (uint8_t)dcid.len);
	put_bytes(out, dcid);
	put_be16(out, 0); /* no source id, no token */
	put_be32(out, (uint32_t)(0x80000000u + 1 + frames.len + 16));
	put_u8(out, number);
	head = out->len - start;
	p = buf_reserve(out, frames.len + 32) - head;
	memcpy(nonce, k->iv, sizeof(nonce));
	nonce[11] ^= number;
	EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, k->key, nonce);
	EVP_EncryptUpdate(ctx, NULL, &n, p, (int)head);
	EVP_EncryptUpdate(ctx, p + head, &sealed, frames.p, (int)frames.len);
	EVP_EncryptFinal_ex(ctx, p + head + sealed, &n);
	EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, p + head + sealed);
	buf_added(out, (size_t)sealed + 16);
	EVP_EncryptInit_ex(ctx, EVP_aes_128_ecb(), NULL, k->mask, NULL);
	EVP_EncryptUpdate(ctx, mask, &n, p + head + 3, 16);
	p[0] ^= mask[0] & 0x0f;
	p[head - 1] ^= mask[1];
	EVP_CIPHER_CTX_free(ctx);
}

#endif
