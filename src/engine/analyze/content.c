/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/analyze/content.h"

/* Three counts in one number: a table saves comparing each byte. */
#define PRINTABLE UINT64_C(1)
#define CONTROL (UINT64_C(1) << 20)
#define NUL (UINT64_C(1) << 40)

static const uint64_t weights[256] = {
	[0] = NUL,
	[1 ... 8] = CONTROL,
	['\t'] = PRINTABLE,
	['\n'] = PRINTABLE,
	[11 ... 12] = CONTROL,
	['\r'] = PRINTABLE,
	[14 ... 31] = CONTROL,
	[32 ... 126] = PRINTABLE,
	[127] = CONTROL,
	[128 ... 255] = PRINTABLE,
};

void content_see(struct content *c, struct bytes data)
{
	size_t n = CONTENT_SAMPLE - c->seen;
	uint64_t sum = 0;

	if (n > data.len)
		n = data.len;
	for (size_t i = 0; i < n; i++)
		sum += weights[data.p[i]];
	c->printable += sum % CONTROL;
	c->control += sum / CONTROL % CONTROL;
	c->nul += sum / NUL;
	c->seen = (uint16_t)(c->seen + n);
}

enum content_kind content_kind(const struct content *c)
{
	if (!c->seen)
		return CONTENT_UNKNOWN;
	if (c->nul || c->control * 100 > c->seen * 5)
		return CONTENT_BINARY;
	return c->printable * 100 >= c->seen * 90 ? CONTENT_TEXT
						  : CONTENT_MIXED;
}

enum content_kind content_of_both(enum content_kind a, enum content_kind b)
{
	if (a == CONTENT_UNKNOWN || a == b)
		return b;
	return b == CONTENT_UNKNOWN ? a : CONTENT_MIXED;
}

const char *content_name(enum content_kind kind)
{
	static const char *const names[] = { "unknown", "text", "binary",
					     "mixed" };

	return names[kind];
}
