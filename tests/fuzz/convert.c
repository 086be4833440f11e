/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a converter writes, line by line: an answer ends once, with a sentence
 * unless it is done, and its pieces lie in its bytes one behind the other.
 */
#include <stdlib.h>

#include "engine/convert/convert_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct convert_answer *a)
{
	size_t at = 0;

	for (size_t i = 0; i < a->n; i++) {
		const struct convert_chunk *c = &a->chunks[i];

		if (c->at != at || c->way < 0 || c->way > 1)
			abort();
		at += c->len;
	}
	if (at != a->bytes.len)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct convert_answer a = { .n = 0 };
	int over = 0;

	while (size && !over) {
		const uint8_t *end = memchr(data, '\n', size);
		size_t n = end ? (size_t)(end - data) : size;

		over = convert_answer_line(&a, 0x1f, bytes_of(data, n));
		check(&a);
		if (over && a.state != CONVERT_DONE && !a.err.text[0])
			abort();
		n += end != NULL;
		data += n;
		size -= n;
	}
	convert_answer_release(&a);
	return 0;
}
