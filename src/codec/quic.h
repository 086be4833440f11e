/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic.h - what QUIC says to everybody: the hellos of its first flight.
 *
 * Initial packets are encrypted with keys that follow from a connection id in
 * them (RFC 9001, section 5; RFC 9369 for version 2), so that who sees the
 * first packets can read them.  Known are versions 1 and 2, the drafts from 21
 * on, what Google and Facebook used of these, and those that ask for a version
 * negotiation.  The CRYPTO frames of any
 * number of packets are put in order, up to a cap; the client's hello, and the
 * server's, are messages with what codec/tls.h reads from them.  A packet that
 * does not verify says nothing and is passed by.
 */
#ifndef CODEC_QUIC_H
#define CODEC_QUIC_H

#include "base/buf.h"
#include "codec/message.h"

enum {
	QUIC_CRYPTO_MAX = 16 << 10, /* bytes of handshake, a direction */
	QUIC_PIECES_MAX = 64,	    /* with holes between them */
	QUIC_PACKETS_MAX = 32	    /* Initials tried, a direction */
};

/* Does a datagram begin with an Initial packet of a version we know? */
bool quic_looks_like(struct bytes datagram);

struct quic_keys {
	uint8_t key[16], iv[12], mask[16]; /* mask: of header protection */
};

enum quic_side { QUIC_CLIENT, QUIC_SERVER };

/*
 * A side's keys for a client's first destination connection id.  ERR_UNKNOWN
 * for another version.
 */
int quic_initial_keys(uint32_t version, struct bytes dcid, enum quic_side side,
		      struct quic_keys *keys);

struct quic_way {
	uint64_t ordinal;
	uint64_t start, end; /* of the datagrams that the hello came in */
	uint32_t tried;	     /* Initial packets */
	struct buf bytes;    /* of CRYPTO frames, holes as zeros */
	struct quic_piece {
		uint32_t from, to;
	} pieces[QUIC_PIECES_MAX]; /* of `bytes` that have come, in order */
	size_t n_pieces;
	bool done;
};

/* Zeroed is ready; release gives memory back. */
struct quic_stream {
	struct quic_way way[2];
	struct quic_keys keys[2]; /* by enum quic_side */
	int client;		  /* its way plus one; 0: no keys yet */
};

/* A datagram. */
void quic_stream_feed(struct quic_stream *s, int way, uint64_t offset,
		      struct bytes datagram, const struct message_sink *sink);

/* The end: hellos under way are PARTIAL. */
void quic_stream_end(struct quic_stream *s, int way,
		     const struct message_sink *sink);
void quic_stream_release(struct quic_stream *s);

/* Nothing more can be learnt. */
bool quic_stream_done(const struct quic_stream *s);

#endif
