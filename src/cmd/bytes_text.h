/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bytes_text.h - bytes of strangers on a terminal, which they may not command.
 */
#ifndef CMD_BYTES_TEXT_H
#define CMD_BYTES_TEXT_H

#include <stdbool.h>
#include <stdio.h>

#include "base/bytes.h"

/* Rows of an offset, 16 bytes in digits, and the same as text. */
void bytes_print_hex(FILE *out, uint64_t offset, struct bytes b);

/*
 * Text as it is, other bytes as \x1b.  *fresh_line becomes whether a line end
 * came last; no bytes leave it as it was.
 */
void bytes_print_text(FILE *out, struct bytes b, bool *fresh_line);

#endif
