/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packet.h - what travels through Weir: packets, and runs of them.
 *
 * A packet is what was captured.  A run is a batch of packets in the form in
 * which they lie in the spool, travel over the link and go out on the feed:
 * classic pcap records, little-endian, nanoseconds, one behind the other
 * (doc/spool-format.md, "Records").  Runs are handed on whole, never re-coded.
 */
#ifndef CODEC_PACKET_H
#define CODEC_PACKET_H

#include "base/bytes.h"

struct err;

enum {
	/* A larger record is refused everywhere: file, spool, link, feed. */
	PACKET_MAX = 16 << 20,
	/* What capture asks for, and what spool headers say by default. */
	PACKET_SNAPLEN = 262144,
	/* seconds, nanoseconds, captured length, original length */
	RECORD_HEADER = 16,
	/* A run holds at least one record and at most this much. */
	RUN_COUNT_MAX = 65536,
	RUN_BYTES_MAX = PACKET_MAX + RECORD_HEADER
};

struct packet {
	struct bytes data; /* as captured; borrowed */
	uint64_t time_ns;  /* since 1970, UTC */
	uint32_t wire_len; /* its length on the wire; may exceed data.len */
};

struct run {
	uint64_t first; /* index of its first packet */
	uint32_t count;
	uint32_t crc;	      /* CRC-32C of the records */
	uint64_t min_ns;      /* earliest and latest time in it */
	uint64_t max_ns;
	uint64_t chain;	      /* doc/spool-format.md, "Chain" */
	struct bytes records; /* borrowed; empty while it is not loaded */
};

/* Where packets come from; a card in ARCHITECTURE.md lists them all. */
struct packet_source {
	/*
	 * Fill up to max packets; returns how many, 0 when none is there
	 * now, ERR_END at the end of all.  They stay valid until the next
	 * call.
	 */
	int (*take)(void *self, struct packet *p, int max, struct err *err);
	void *self;
};

/* Where packets go: a spool, a file, a feed; the giver need not know. */
struct packet_sink {
	int (*give)(void *self, const struct packet *p, int n,
		    struct err *err);
	void *self;
};

#endif
