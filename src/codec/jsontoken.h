/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jsontoken.h - JSON from somebody else, taken piece by piece (RFC 8259).
 *
 *	struct json_reader r = json_reader_on(text);
 *	struct json_token t;
 *
 *	while ((rc = json_next(&r, &t)) == 0 && t.kind != JSON_OBJECT_END) {
 *		if (json_named(&t, "path"))
 *			...
 *		else
 *			json_skip(&r, &t);
 *	}
 *
 * Nothing is allocated or copied: tokens borrow from the text.  The reader is
 * strict about the grammar, follows at most JSON_DEPTH_MAX levels, and its
 * failure stays.
 */
#ifndef CODEC_JSONTOKEN_H
#define CODEC_JSONTOKEN_H

#include "base/bytes.h"

struct buf;

enum { JSON_DEPTH_MAX = 64 };

enum json_kind {
	JSON_OBJECT,
	JSON_OBJECT_END,
	JSON_LIST,
	JSON_LIST_END,
	JSON_TEXT,
	JSON_NUMBER,
	JSON_TRUE,
	JSON_FALSE,
	JSON_NONE
};

struct json_token {
	enum json_kind kind;
	struct bytes name; /* of a member: between its quotes, escapes as are */
	struct bytes raw;  /* a text between its quotes; a number's digits */
};

struct json_reader {
	struct bytes left;
	const uint8_t *start;
	uint64_t lists; /* a bit a level: list or object */
	int depth;
	bool begun, value; /* something stands before the next one */
	int failed;
};

static inline struct json_reader json_reader_on(struct bytes text)
{
	return (struct json_reader){ .left = text, .start = text.p };
}

/*
 * The next token.  0; ERR_END behind the whole value, when nothing but blanks
 * is left; or ERR_MALFORMED, also for nesting that is too deep.
 */
int json_next(struct json_reader *r, struct json_token *t);

/* Pass over the rest of the object or list that t opens; else do nothing. */
int json_skip(struct json_reader *r, const struct json_token *t);

/* Bytes read so far: where it failed. */
size_t json_offset(const struct json_reader *r);

bool json_named(const struct json_token *t, const char *name);

/* Append a JSON_TEXT as UTF-8, escapes undone; lone surrogates are U+FFFD. */
void json_text_of(const struct json_token *t, struct buf *out);

/* A JSON_NUMBER.  0, or ERR_MALFORMED when it is none or does not fit. */
int json_uint_of(const struct json_token *t, uint64_t *v);
int json_int_of(const struct json_token *t, int64_t *v);

#endif
