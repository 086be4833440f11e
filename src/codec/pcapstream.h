/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pcapstream.h - packets out of capture bytes that arrive piece by piece.
 *
 * Bytes go in, in any chunking, from a file, a socket or a pipe; items come
 * out: interfaces, packets, and what a pcapng says besides.  Classic pcap (all
 * four magics, versions 2.0 to 2.4, and the "modified" one with longer record
 * headers) and pcapng (doc/capture-files.md says what is read how).  No
 * descriptor, no clock, no thread; one thread at a time per stream.
 *
 *	while ((n = recv(fd, pcapstream_room(s, &len), len, 0)) > 0) {
 *		pcapstream_added(s, n);
 *		while ((rc = pcapstream_next(s, &item)) == 0)
 *			...
 *		if (rc != ERR_AGAIN)
 *			break;
 *	}
 *	if (n == 0)
 *		rc = pcapstream_end(s);
 *
 * Everything an item points to stays valid until the next pcapstream_room()
 * or pcapstream_feed(), so a whole batch may be gathered first.
 *
 * Memory is bounded whatever comes: a record or block is kept while it is
 * incomplete, at most PCAPSTREAM_BLOCK_MAX, and room grows only with bytes
 * that really arrived, never with a length that was merely claimed.
 */
#ifndef CODEC_PCAPSTREAM_H
#define CODEC_PCAPSTREAM_H

#include "codec/packet.h"

struct cursor;
struct pcapstream;

enum {
	/* A packet of PACKET_MAX and a MiB of options around it. */
	PCAPSTREAM_BLOCK_MAX = PACKET_MAX + (1 << 20),
	PCAPSTREAM_INTERFACES_MAX = 65536, /* in one section */
	PCAPSTREAM_CHUNK = 64 << 10	   /* good for a connection */
};

enum pcapstream_format {
	PCAPSTREAM_UNKNOWN, /* not enough bytes yet */
	PCAPSTREAM_PCAP,
	PCAPSTREAM_PCAPNG
};

/* A classic pcap has one interface, told before the first packet. */
struct pcapstream_interface {
	uint32_t linktype;  /* LINKTYPE_ number */
	uint32_t snaplen;   /* as the file says it; 0: no limit is told */
	uint8_t resolution; /* n: 10^-n s; 128 + n: 2^-n s */
	int64_t offset_s;   /* already added to the packets' times */
};

enum pcapstream_kind {
	PCAPSTREAM_SECTION,   /* pcapng: interfaces are forgotten; options */
	PCAPSTREAM_INTERFACE, /* the fields of it; options */
	PCAPSTREAM_PACKET,
	/* pcapng, kept for others: */
	PCAPSTREAM_NAMES,  /* body: the records of a name resolution block */
	PCAPSTREAM_STATS,  /* body: time high, low; for `interface` */
	PCAPSTREAM_SECRETS /* body: the secrets; secrets_type */
};

struct pcapstream_item {
	enum pcapstream_kind kind;
	uint64_t offset; /* where its record or block begins in the stream */

	struct packet packet;
	/* Counted from 0 over the whole stream, through all sections. */
	uint32_t interface;
	struct pcapstream_interface from; /* what that interface is */

	struct bytes body;
	uint32_t secrets_type;
	struct bytes options; /* pcapstream_option_next() reads them */
	bool swapped;	      /* body and options are big-endian */
};

enum { PCAPSTREAM_OPTION_COMMENT = 1 };

struct pcapstream_option {
	uint16_t code;
	struct bytes value; /* not terminated */
};

struct pcapstream_counts {
	uint64_t packets;
	uint64_t odd_times;	 /* fraction over a second, or out of range */
	uint64_t empty;		 /* no time, no length: nothing to hand out */
	uint64_t broken_options; /* whose packet was handed out without them */
	uint64_t skipped_blocks; /* of kinds that are not read here */
};

/* `chunk` is about how much one pcapstream_room() offers. */
struct pcapstream *pcapstream_new(size_t chunk);
void pcapstream_free(struct pcapstream *s);

/*
 * Where the next bytes go and how many fit (at least one); pcapstream_added()
 * tells how many came.  Only when pcapstream_next() has said ERR_AGAIN, and
 * at the very beginning.
 */
uint8_t *pcapstream_room(struct pcapstream *s, size_t *len);
void pcapstream_added(struct pcapstream *s, size_t n);

/* The same by a copy of `in`, all of it. */
void pcapstream_feed(struct pcapstream *s, struct bytes in);

/*
 * The next item.  0, ERR_AGAIN when more bytes are needed, or a failure that
 * stays: ERR_UNKNOWN (no capture file, or of a version that is not known),
 * ERR_LIMIT (a packet over PACKET_MAX, too many interfaces), ERR_MALFORMED
 * (bytes that break the format) or ERR_DAMAGED (a tail of zeros).  All items
 * before the failure are whole.
 */
int pcapstream_next(struct pcapstream *s, struct pcapstream_item *item);

/*
 * No more bytes will come.  0 when the last record was whole, ERR_DAMAGED when
 * it was cut, ERR_UNKNOWN when there was no capture at all, or the failure
 * that pcapstream_next() told.
 */
int pcapstream_end(struct pcapstream *s);

/* Where the first record begins that was not handed out. */
uint64_t pcapstream_offset(const struct pcapstream *s);

/* What is wrong there, as the middle of a sentence; NULL while all is well. */
const char *pcapstream_why(const struct pcapstream *s);

enum pcapstream_format pcapstream_format(const struct pcapstream *s);
const struct pcapstream_counts *pcapstream_counts(const struct pcapstream *s);

/* 0, ERR_END after the last one; options of an item are known to be whole. */
int pcapstream_option_next(struct cursor *c, bool swapped,
			   struct pcapstream_option *option);

#endif
