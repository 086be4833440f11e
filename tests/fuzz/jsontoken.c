/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON from anywhere: the reader ends, stays within its text, and a text that
 * it takes whole is refused when a byte is cut off a container's end.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "codec/jsontoken.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int walk(struct bytes text, bool skip)
{
	struct json_reader r = json_reader_on(text);
	struct buf out = { 0 };
	struct json_token t;
	size_t n = 0;
	int rc;

	while ((rc = json_next(&r, &t)) == 0) {
		uint64_t u;
		int64_t s;

		if (++n > text.len || json_offset(&r) > text.len)
			abort();
		json_uint_of(&t, &u);
		json_int_of(&t, &s);
		if (t.kind == JSON_TEXT)
			json_text_of(&t, &out);
		if (skip && json_skip(&r, &t) < 0)
			break;
	}
	rc = json_next(&r, &t);
	buf_release(&out);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int rc = walk(bytes_of(data, size), false);

	if (rc == 0 || (rc != ERR_END && rc != ERR_MALFORMED))
		abort();
	if (walk(bytes_of(data, size), true) != rc)
		abort();
	if (rc == ERR_END && (data[size - 1] == '}' || data[size - 1] == ']') &&
	    walk(bytes_of(data, size - 1), false) != ERR_MALFORMED)
		abort();
	return 0;
}
