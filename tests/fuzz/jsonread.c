/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An object is told whole or not at all; its values lie inside of it, and a
 * value that is an object can be read like one.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "codec/jsonread.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	struct bytes all;
	size_t n;
};

static void nothing(void *arg, const struct json_member *m)
{
	(void)arg;
	(void)m;
}

static void on_member(void *arg, const struct json_member *m)
{
	struct seen *seen = arg;
	struct buf text = { 0 };

	seen->n++;
	if (m->value.len && (m->value.p < seen->all.p ||
			     m->value.p + m->value.len >
				     seen->all.p + seen->all.len))
		abort();
	json_put_string(&text, m);
	if (text.len > m->value.len)
		abort();
	if (m->kind == JSON_OBJECT && json_read(m->value, nothing, NULL) < 0)
		abort();
	buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen seen = { .all = bytes_of(data, size) };

	if (json_read(seen.all, on_member, &seen) < 0 && seen.n)
		abort();
	return 0;
}
