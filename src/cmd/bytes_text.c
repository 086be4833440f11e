/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/bytes_text.h"

#include <ctype.h>
#include <inttypes.h>

enum { HEX_ROW = 16 };

void bytes_print_hex(FILE *out, uint64_t offset, struct bytes b)
{
	for (size_t at = 0; at < b.len; at += HEX_ROW) {
		size_t n = b.len - at < HEX_ROW ? b.len - at : HEX_ROW;

		fprintf(out, "%08" PRIx64 " ", offset + at);
		for (size_t i = 0; i < HEX_ROW; i++)
			if (i < n)
				fprintf(out, " %02x", b.p[at + i]);
			else
				fputs("   ", out);
		fputs("  ", out);
		for (size_t i = 0; i < n; i++)
			putc(isprint(b.p[at + i]) ? b.p[at + i] : '.', out);
		putc('\n', out);
	}
}

void bytes_print_text(FILE *out, struct bytes b, bool *fresh_line)
{
	for (size_t i = 0; i < b.len; i++) {
		uint8_t c = b.p[i];

		if (c == '\n' || c == '\t' || (c >= ' ' && c < 0x7f))
			putc(c, out);
		else if (c != '\r' || i + 1 == b.len || b.p[i + 1] != '\n')
			fprintf(out, "\\x%02x", c);
	}
	if (b.len)
		*fresh_line = b.p[b.len - 1] == '\n';
}
