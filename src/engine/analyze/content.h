/* SPDX-License-Identifier: Apache-2.0 */
/*
 * content.h - is it text?  Told from the first bytes of a direction.
 *
 * rustmate's rule: any NUL byte, or more than 5 % control characters, is
 * binary; at least 90 % printable (bytes from 0x80 on count as such) is text;
 * everything else is mixed.  Pure.
 */
#ifndef ENGINE_ANALYZE_CONTENT_H
#define ENGINE_ANALYZE_CONTENT_H

#include "base/bytes.h"

enum { CONTENT_SAMPLE = 4096 }; /* bytes looked at */

/* The numbers stand in the store. */
enum content_kind {
	CONTENT_UNKNOWN = 0,
	CONTENT_TEXT = 1,
	CONTENT_BINARY = 2,
	CONTENT_MIXED = 3
};

struct content {
	uint16_t seen;
	uint16_t printable; /* blanks and line ends too */
	uint16_t control;
	uint16_t nul;
};

void content_see(struct content *c, struct bytes data);
enum content_kind content_kind(const struct content *c);

/* Of a stream, from those of its directions. */
enum content_kind content_of_both(enum content_kind a, enum content_kind b);

const char *content_name(enum content_kind kind);

#endif
