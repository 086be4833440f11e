/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jsonread.h - one JSON object, member by member (RFC 8259).
 *
 * For lines that other programs write.  Nothing is built and nothing copied: a
 * value is a borrowed piece of the text.  The whole text is checked, nested
 * values too, to a depth of JSON_DEPTH_MAX.
 */
#ifndef CODEC_JSONREAD_H
#define CODEC_JSONREAD_H

#include "base/bytes.h"

struct buf;

enum { JSON_DEPTH_MAX = 32 };

enum json_kind {
	JSON_STRING,
	JSON_NUMBER,
	JSON_BOOL,
	JSON_NULL,
	JSON_OBJECT,
	JSON_LIST
};

struct json_member {
	struct bytes name; /* as written, without quotes */
	enum json_kind kind;
	struct bytes value; /* as written; a string without its quotes */
};

/* Calls fn for each member of the object; 0, or ERR_MALFORMED. */
int json_read(struct bytes text,
	      void (*fn)(void *arg, const struct json_member *m), void *arg);

bool json_is_named(const struct json_member *m, const char *name);

/* A string's characters, escapes undone, behind what is in b. */
void json_put_string(struct buf *b, const struct json_member *m);

/* A number without sign, point and exponent that fits; or ERR_MALFORMED. */
int json_to_uint(const struct json_member *m, uint64_t *v);

/* true, and not anything else. */
bool json_is_true(const struct json_member *m);

#endif
