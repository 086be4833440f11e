/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base64.h - bytes in the alphabet of RFC 4648, section 4, with padding.
 */
#ifndef CODEC_BASE64_H
#define CODEC_BASE64_H

#include "base/bytes.h"

/* The characters for `len` bytes, without a NUL. */
#define BASE64_SIZE(len) (((len) + 2) / 3 * 4)

/* `out` holds BASE64_SIZE(in.len) + 1 characters.  Returns out. */
char *base64_of(char *out, struct bytes in);

/*
 * The text must stand for exactly `len` bytes, in its only right spelling: no
 * blanks, full padding, spare bits zero.  0, or ERR_MALFORMED.
 */
int base64_parse(struct bytes text, uint8_t *out, size_t len);

#endif
