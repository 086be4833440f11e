/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/analyze/content.h"

void content_see(struct content *c, struct bytes data)
{
	size_t n = CONTENT_SAMPLE - c->seen;

	if (n > data.len)
		n = data.len;
	for (size_t i = 0; i < n; i++) {
		uint8_t b = data.p[i];

		if (b >= 0x20 && b != 0x7f)
			c->printable++;
		else if (b == '\n' || b == '\r' || b == '\t')
			c->printable++;
		else if (b)
			c->control++;
		else
			c->nul++;
	}
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
