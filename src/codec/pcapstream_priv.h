/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pcapstream_priv.h - what pcapstream.c, pcapfile.c and pcapng.c share.
 *
 * pcapstream.c owns the buffer; the two formats look at what is pending, and
 * either take a record from its front or say how much of it they want.
 */
#ifndef CODEC_PCAPSTREAM_PRIV_H
#define CODEC_PCAPSTREAM_PRIV_H

#include "codec/pcapstream.h"

#include "base/cursor.h"
#include "base/err.h"

/* The last time that a record's 32 bits of seconds can hold. */
#define TIME_MOST_NS (UINT64_C(4294967296) * 1000000000 - 1)

/* How a classic file orders captured and original length in a record. */
enum length_order {
	LENGTHS_CAPTURED_FIRST,
	LENGTHS_ORIGINAL_FIRST, /* before version 2.3 */
	LENGTHS_EITHER		/* 2.3: both were written */
};

struct pcapstream {
	uint8_t *p; /* owned */
	size_t cap;
	size_t head; /* first pending byte */
	size_t tail; /* one past the last */
	size_t chunk;
	size_t want;	 /* pending bytes below which nothing is to be had */
	uint64_t offset; /* of head in the stream */
	bool hungry;	 /* the last answer was ERR_AGAIN */

	int failed; /* sticky code */
	const char *why;
	enum pcapstream_format format;
	struct pcapstream_counts counts;
	bool swapped; /* numbers are big-endian */

	/* classic pcap */
	size_t record_header; /* bytes */
	uint32_t tick_ns;     /* one unit of the fraction */
	enum length_order lengths;
	struct pcapstream_interface only;

	/* pcapng; both tables are of the current section */
	struct pcapstream_interface *interfaces; /* owned */
	uint32_t n_interfaces, cap_interfaces;
	uint32_t first_interface; /* its number in the stream */
	uint32_t skip_left;	  /* of a block that is not read */
	uint32_t skip_trailer;	  /* the length that must end it; 0: none */
};

static inline struct bytes pending(const struct pcapstream *s)
{
	return bytes_of(s->p + s->head, s->tail - s->head);
}

/* Nothing to be had before `n` bytes are pending. */
static inline int want(struct pcapstream *s, size_t n)
{
	s->want = n;
	return ERR_AGAIN;
}

static inline void take(struct pcapstream *s, size_t n)
{
	s->head += n;
	s->offset += n;
}

static inline int fail(struct pcapstream *s, int code, const char *why)
{
	s->why = why;
	return s->failed = code;
}

static inline uint16_t get_16(struct cursor *c, bool swapped)
{
	return swapped ? get_be16(c) : get_le16(c);
}

static inline uint32_t get_32(struct cursor *c, bool swapped)
{
	return swapped ? get_be32(c) : get_le32(c);
}

/* The file header; each record.  0 with an item, ERR_AGAIN or a failure. */
int pcapfile_begin(struct pcapstream *s, struct pcapstream_item *item);
int pcapfile_next(struct pcapstream *s, struct pcapstream_item *item);
int pcapng_next(struct pcapstream *s, struct pcapstream_item *item);

#endif
