/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams of both directions.  What comes raw seldom verifies, so half of
 * the inputs are the frames inside a packet that is sealed here: so the
 * reassembly behind the encryption is reached.
 */
#include <stdlib.h>

#include "../lib/sealed.h"
#include "base/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t cid[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

static void on_message(void *self, const struct message *m)
{
	uint64_t *fed = self;

	if (m->all.end < m->all.start || m->all.end > fed[m->way] ||
	    (m->kind == MESSAGE_ERROR) != (m->error != NULL))
		abort();
}

static void check(const struct quic_way *w)
{
	uint32_t at = 0;

	if (w->n_pieces > QUIC_PIECES_MAX || w->bytes.len > QUIC_CRYPTO_MAX)
		abort();
	for (size_t i = 0; i < w->n_pieces; i++) {
		if (w->pieces[i].from < at + (i > 0) ||
		    w->pieces[i].to <= w->pieces[i].from)
			abort();
		at = w->pieces[i].to;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t fed[2] = { 0, 0 };
	struct message_sink sink = { .self = fed, .message = on_message };
	struct quic_stream s = { .client = 0 };
	struct cursor c = cursor_on(bytes_of(data, size));
	struct bytes dcid = bytes_of(cid, sizeof(cid));
	struct quic_keys keys[2];

	quic_initial_keys(1, dcid, QUIC_CLIENT, &keys[0]);
	quic_initial_keys(1, dcid, QUIC_SERVER, &keys[1]);
	while (c.len) {
		uint8_t how = get_u8(&c);
		int way = how & 1;
		size_t n = (size_t)(how >> 2) << 4 | get_u8(&c);
		struct bytes in = get_bytes(&c, n < c.len ? n : c.len);
		struct buf datagram = { 0 };
		uint64_t at = fed[way];

		if (how & 2)
			seal_initial(&keys[way], 1, dcid, 0, in, &datagram);
		else
			put_bytes(&datagram, in);
		fed[way] += datagram.len;
		quic_looks_like(buf_bytes(&datagram));
		quic_stream_feed(&s, way, at, buf_bytes(&datagram), &sink);
		check(&s.way[way]);
		buf_release(&datagram);
	}
	quic_stream_end(&s, 0, &sink);
	quic_stream_end(&s, 1, &sink);
	quic_stream_release(&s);
	return 0;
}
