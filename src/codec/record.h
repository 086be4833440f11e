/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.h - pcap records as Weir keeps them: little-endian, nanoseconds.
 *
 * Pure functions over borrowed bytes; doc/spool-format.md, "Records".
 */
#ifndef CODEC_RECORD_H
#define CODEC_RECORD_H

#include "codec/packet.h"

struct buf;
struct cursor;

enum { PCAP_HEADER = 24 };

/* What the 24 bytes at the head of a classic pcap file say. */
struct pcap_head {
	uint32_t linktype;
	uint32_t snaplen;
	bool swapped; /* big-endian */
	bool micro;   /* fractions are microseconds, not nanoseconds */
};

/* Little-endian header with the magic that head->micro asks for. */
void put_pcap_head(struct buf *b, const struct pcap_head *head);

/* Any of the four magics.  0, ERR_MALFORMED or ERR_UNKNOWN (another magic). */
int pcap_head_parse(struct bytes in, struct pcap_head *head);

/* Append one record; data.len must not exceed PACKET_MAX. */
void put_record(struct buf *b, const struct packet *p);

/* Write only a record's header, RECORD_HEADER bytes, at `to`. */
void record_head_at(uint8_t *to, const struct packet *p);

/* The same with microseconds, for a file whose header says so. */
void record_head_micro_at(uint8_t *to, const struct packet *p);

/*
 * Read the record at the cursor; the packet borrows from it.  0, ERR_END when
 * nothing is left, or ERR_MALFORMED: cut short, fraction >= 10^9, longer than
 * PACKET_MAX, or all of its header zero (a tail of zeros is no packet).
 * The cursor moves only on success.
 */
int record_next(struct cursor *c, struct packet *p);

/*
 * Walk all records of a run and fill count, min_ns, max_ns and crc; records
 * must be set.  0, or ERR_MALFORMED unless it is 1 to RUN_COUNT_MAX whole
 * records.
 */
int run_measure(struct run *r);

#endif
