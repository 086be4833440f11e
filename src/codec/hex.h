/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hex.h - bytes as hexadecimal digits.
 */
#ifndef CODEC_HEX_H
#define CODEC_HEX_H

#include "base/bytes.h"

/* Lower case; `out` holds 2 * in.len + 1 characters.  Returns out. */
char *hex_of(char *out, struct bytes in);

/* Exactly 2 * len digits of either case, or ERR_MALFORMED. */
int hex_parse(struct bytes text, uint8_t *out, size_t len);

#endif
