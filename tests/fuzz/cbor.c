/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every reader stays inside the bytes, and moves on when it takes something.
 */
#include <stdlib.h>

#include "base/err.h"
#include "codec/cbor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As a message is read: what is known is taken, all else skipped. */
static int walk(struct cursor *c, int depth)
{
	struct cursor start = *c;
	struct cbor_walk w;
	char text[24];
	uint64_t v;
	int rc;

	if (cbor_null(c) || cbor_uint(c, UINT64_MAX, &v) == 0)
		return 0;
	*c = start;
	rc = cbor_text(c, text, sizeof(text));
	if (strlen(text) >= sizeof(text))
		abort();
	if (rc == 0)
		return 0;
	*c = start;
	if (depth > 4 || cbor_array(c, &w) < 0) {
		*c = start;
		return cbor_skip(c);
	}
	while ((rc = cbor_more(c, &w)) > 0)
		if (walk(c, depth + 1) < 0)
			return ERR_MALFORMED;
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_on(bytes_of(data, size));
	struct cursor skipped = c;
	int took = walk(&c, 0);

	/* Walked or skipped, it ends at the same place.  (A walk may get
	 * deeper: each skip inside it counts from one.) */
	if (took == 0 && cbor_skip(&skipped) == 0 && skipped.p != c.p)
		abort();
	if (took == 0 && c.len >= size)
		abort();
	return 0;
}
