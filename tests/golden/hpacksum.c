/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hpacksum - header blocks from standard input, decoded.
 *
 * One block a line, in hex; an empty line begins another direction, with
 * tables that are empty.  For each block one JSON list of [name, value] on
 * standard output, or a text: why not.
 */
#include <stdio.h>

#include "codec/hex.h"
#include "codec/hpack.h"
#include "codec/json.h"

enum { LINE_MAX_BYTES = 1 << 20 };

static void put_field(void *self, const struct hpack_field *f)
{
	struct buf *b = self;

	json_list(b, NULL);
	json_text(b, NULL, f->name);
	json_text(b, NULL, f->value);
	json_list_end(b);
}

static void decode(struct hpack *h, struct bytes block)
{
	struct buf out = { 0 };
	struct hpack_sink sink = { &out, put_field };

	json_list(&out, NULL);
	if (hpack_decode(h, block, &sink) < 0) {
		puts("\"it breaks its format\"");
	} else {
		json_list_end(&out);
		printf("%.*s\n", (int)out.len, (const char *)out.p);
	}
	buf_release(&out);
}

int main(void)
{
	static char line[LINE_MAX_BYTES];
	static uint8_t block[LINE_MAX_BYTES / 2];
	struct hpack h;

	hpack_begin(&h);
	while (fgets(line, sizeof(line), stdin)) {
		size_t len = strcspn(line, "\n");

		if (!len) {
			hpack_release(&h);
			hpack_begin(&h);
		} else if (hex_parse(bytes_of(line, len), block, len / 2) ==
			   0) {
			decode(&h, bytes_of(block, len / 2));
		} else {
			puts("\"no hex\"");
		}
	}
	hpack_release(&h);
	return 0;
}
