/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crc32c.h - the Castagnoli checksum (RFC 3720, appendix B.4).
 *
 * Reflected, initial value and final xor all ones; "123456789" gives E3069283.
 * Uses the processor's own instruction where there is one.
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stdint.h>

#include "base/bytes.h"

uint32_t crc32c(struct bytes in);

/* Go on from an earlier result: crc32c(ab) == crc32c_more(crc32c(a), b). */
uint32_t crc32c_more(uint32_t crc, struct bytes in);

/* The table version, whatever the processor; for the test that compares. */
uint32_t crc32c_portable(uint32_t crc, struct bytes in);

#endif
