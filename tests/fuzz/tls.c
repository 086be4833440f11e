/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records, hellos and certificates: the same messages whole and byte by byte,
 * one behind the other.
 */
#include <stdlib.h>

#include "codec/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	uint64_t count, sum, end;
};

static void on_message(void *self, const struct message *m)
{
	struct seen *seen = self;

	if (m->all.start < seen->end || m->all.end < m->all.start)
		abort();
	seen->end = m->all.end;
	seen->count++;
	seen->sum = seen->sum * 31 + m->all.end + m->tls->ciphers.n +
		    strlen(m->tls->sni) + strlen(m->tls->ja4) +
		    (uint64_t)m->status;
}

static struct seen read_all(struct bytes in, size_t step)
{
	struct seen seen = { 0 };
	struct message_sink sink = { .self = &seen, .message = on_message };
	struct tls_stream s = { .way[0].next = 0 };

	for (size_t at = 0; at < in.len; at += step) {
		size_t n = in.len - at < step ? in.len - at : step;

		tls_stream_feed(&s, 0, at, bytes_of(in.p + at, n), &sink);
	}
	tls_stream_end(&s, 0, &sink);
	tls_stream_release(&s);
	return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = bytes_of(data, size);
	struct tls_facts facts = { .length = 0 };
	struct seen whole, pieces;

	(void)tls_hello_parse(in, true, &facts);
	if (!size)
		return 0;
	whole = read_all(in, size);
	pieces = read_all(in, 1);
	if (whole.count != pieces.count || whole.sum != pieces.sum)
		abort();
	return 0;
}
