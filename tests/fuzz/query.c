/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The query language: whatever is understood is understood the same when it is
 * written in the parser's own spelling.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "engine/query/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint64_t now = UINT64_C(1795608000000000000);

static struct buf print(const struct query *q)
{
	struct buf b = { 0 };

	query_print(q, &b);
	put_u8(&b, 0);
	return b;
}

static void print_and_read_again(const struct query *q)
{
	struct err err = ERR_NONE;
	struct buf once = print(q), twice;
	struct query *again;

	/* Its own spelling may be longer than what may be read. */
	if (once.len > QUERY_TEXT_MAX) {
		buf_release(&once);
		return;
	}
	again = query_parse((const char *)once.p, now, NULL, &err);
	if (!again) {
		/* Brackets of its own may be too many, and lists. */
		if (!strstr(err.text, "more than"))
			abort();
		buf_release(&once);
		return;
	}
	twice = print(again);
	if (!bytes_equal(buf_bytes(&once), buf_bytes(&twice)))
		abort();
	query_free(again);
	buf_release(&once);
	buf_release(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = mem_alloc(size + 1);
	struct query_place place;
	struct err err = ERR_NONE;
	struct query *q;

	memcpy(text, data, size);
	q = query_parse(text, now, &place, &err);
	if (!q && (!err.text[0] || place.at > strlen(text)))
		abort();
	if (q)
		print_and_read_again(q);
	query_free(q);
	free(text);
	return 0;
}
