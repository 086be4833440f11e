/* SPDX-License-Identifier: Apache-2.0 */
/*
 * asn.h - which autonomous system an address belongs to, by a MaxMind file.
 *
 * One thread; the last answers are kept, since addresses come in crowds.
 */
#ifndef ENGINE_SIFT_ASN_H
#define ENGINE_SIFT_ASN_H

#include "codec/decode.h"

struct asn;
struct err;

struct asn *asn_open(const char *path, struct err *err);
void asn_close(struct asn *a); /* NULL is fine */

/* 0 where nobody knows. */
uint32_t asn_of(struct asn *a, const struct address *address);

#endif
