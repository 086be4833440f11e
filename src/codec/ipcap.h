/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipcap.h - the messages of ipcap's protocol, version 1, inside Noise records.
 *
 * The collector speaks first: one ACK frame with the next index it wants.  The
 * agent answers with the preamble and then frames: GAP, batches, and once a
 * second STATS and HEARTBEAT.  All numbers are big-endian.
 *
 *	preamble   "PMX1", u16 version, u32 CRC-32C of the body, u16 length,
 *		   body: a CBOR map
 *	frame	   u16 magic, u8 version, u8 type, u16 flags, u16 source,
 *		   u64 base index, u64 sequence, u32 payload length,
 *		   u32 CRC-32C of these 28 bytes; payload; u32 CRC-32C of it
 *
 * What is read is forgiven as ipcap's own ends forgive it, so that every real
 * peer gets on: unknown keys and trailing bytes are passed over, flags and
 * sequence numbers are not checked.  Stricter than ipcap, on purpose: a time
 * that no pcap record can hold, and texts and lists beyond the bounds below.
 * Laxer: a frame of type PKT is taken, which ipcap's collector refuses.
 *
 * Nothing here is allocated for a length before it is held against its bound.
 */
#ifndef CODEC_IPCAP_H
#define CODEC_IPCAP_H

#include "base/buf.h"
#include "base/bytes.h"

struct cursor;

enum {
	IPCAP_VERSION = 1,
	IPCAP_PREAMBLE_HEAD = 12,
	IPCAP_FRAME_HEAD = 32,
	IPCAP_FRAME_TAIL = 4,
	IPCAP_PAYLOAD_MAX = 8 << 20,
	IPCAP_INFLATED_MAX = 32 << 20, /* of a compressed batch */
	IPCAP_BATCH_HEAD = 2,
	IPCAP_RECORD_HEAD = 20,
	IPCAP_BATCH_COUNT = 256, /* what an agent puts in one */
	IPCAP_BATCH_BYTES = 1 << 20,
	IPCAP_ACK_SIZE = 18,
	IPCAP_SOURCES_MAX = 32,
	IPCAP_NAME_MAX = 256
};

enum ipcap_type {
	IPCAP_PKT = 0x01, /* one record; no agent sends it */
	IPCAP_BATCH = 0x02,
	IPCAP_ACK = 0x03,
	IPCAP_SRCINFO = 0x10, /* no agent sends it; its content is ignored */
	IPCAP_HEARTBEAT = 0x11,
	IPCAP_STATS = 0x12,
	IPCAP_GAP = 0x13,
	IPCAP_KEYLOG = 0xa0 /* one line of TLS secrets, without its newline */
};

enum ipcap_flag {
	IPCAP_COMPRESSED = 1,
	IPCAP_KEYFRAME = 2, /* never sent */
	IPCAP_GAP_FLAG = 4
};

/* -- the preamble ------------------------------------------------------- */

struct ipcap_source {
	uint16_t id;
	uint16_t linktype;
	uint32_t snaplen;
	char name[IPCAP_NAME_MAX];
	char kind[32];
	char epoch[64]; /* empty for none; names one life of the spool */
};

struct ipcap_resume {
	uint16_t source;
	uint64_t index; /* served from here */
};

struct ipcap_preamble {
	char compression[32]; /* "none", "zstd", or anything: flags decide */
	struct ipcap_source sources[IPCAP_SOURCES_MAX];
	int n_sources;
	struct ipcap_resume resume[IPCAP_SOURCES_MAX];
	int n_resume;
};

void put_ipcap_preamble(struct buf *b, const struct ipcap_preamble *p);

/*
 * Parse the preamble at the head of `in`; *used is its length.  0, ERR_AGAIN
 * (more is needed), ERR_MALFORMED, ERR_UNKNOWN (another version), ERR_DAMAGED
 * (the checksum), ERR_LIMIT (a value that does not fit).
 */
int ipcap_preamble_parse(struct bytes in, size_t *used,
			 struct ipcap_preamble *p);

/* -- frames ------------------------------------------------------------- */

struct ipcap_frame {
	uint8_t type;
	uint16_t flags;
	uint16_t source;
	uint64_t base;	      /* index of the first packet; 0 but in batches */
	uint64_t seq;	      /* counts each type from 0 in each connection */
	struct bytes payload; /* borrowed */
};

/* One whole frame; f->payload must not exceed IPCAP_PAYLOAD_MAX. */
void put_ipcap_frame(struct buf *b, const struct ipcap_frame *f);

/*
 * The same without a copy of the payload: begin, put the payload, end with
 * what begin returned.  f->payload is not looked at.
 */
size_t ipcap_frame_begin(struct buf *b);
void ipcap_frame_end(struct buf *b, size_t begun, const struct ipcap_frame *f);

/*
 * Parse the frame at the head of `in`; *used is its length and the payload
 * borrows from `in`.  0, ERR_AGAIN (more is needed), ERR_MALFORMED (the
 * magic), ERR_UNKNOWN (the version), ERR_DAMAGED (either checksum) or
 * ERR_LIMIT (it declares more than IPCAP_PAYLOAD_MAX).  The head is judged as
 * soon as it is there, so nobody has to wait for, or make room for, a payload
 * that is refused.
 */
int ipcap_frame_parse(struct bytes in, size_t *used, struct ipcap_frame *f);

enum ipcap_manner { IPCAP_TAKES, IPCAP_SKIPS, IPCAP_REFUSES };

/* What a collector does with a frame of this type. */
enum ipcap_manner ipcap_collector_manner(uint8_t type);

/*
 * A byte stream on its way to become messages.  A zeroed one is empty.  What
 * it holds stays below one largest frame and what its user adds at a time.
 */
struct ipcap_reader {
	struct buf in;
	size_t at; /* before it, all is done with */
};

/* Where to append what has come in.  Ends all loans of payloads. */
struct buf *ipcap_reader_room(struct ipcap_reader *r);

/* Codes as above.  A frame's payload is lent until the next _room(). */
int ipcap_reader_preamble(struct ipcap_reader *r, struct ipcap_preamble *p);
int ipcap_reader_frame(struct ipcap_reader *r, struct ipcap_frame *f);

void ipcap_reader_release(struct ipcap_reader *r);

/* -- payloads ----------------------------------------------------------- */

/* All parsers: 0 or ERR_MALFORMED (too short); more bytes are ignored. */

struct ipcap_ack {
	uint16_t source;
	uint64_t next; /* everything below it is committed */
	uint64_t seq;  /* of the last batch committed */
};

void put_ipcap_ack(struct buf *b, const struct ipcap_ack *a);
int ipcap_ack_parse(struct bytes in, struct ipcap_ack *a);

/* Packets [from, to) are lost; a collector goes by `to` alone. */
struct ipcap_gap {
	uint16_t source;
	uint64_t from, to;
};

void put_ipcap_gap(struct buf *b, const struct ipcap_gap *g);
int ipcap_gap_parse(struct bytes in, struct ipcap_gap *g);

struct ipcap_heartbeat {
	uint64_t wall_ns;
	uint64_t head; /* the agent's next index */
};

void put_ipcap_heartbeat(struct buf *b, const struct ipcap_heartbeat *h);
int ipcap_heartbeat_parse(struct bytes in, struct ipcap_heartbeat *h);

struct ipcap_stats {
	uint64_t captured;
	uint64_t dropped_kernel;
	uint64_t ifdrop;
	uint64_t spool_bytes;
	uint64_t oldest; /* "oldest_gpidx" */
	uint64_t head;	 /* "head_gpidx" */
};

void put_ipcap_stats(struct buf *b, const struct ipcap_stats *s);
/* A collector ignores a frame that this refuses. */
int ipcap_stats_parse(struct bytes in, struct ipcap_stats *s);

/* -- packets ------------------------------------------------------------ */

/*
 * Append a batch payload made of the next records of a run (codec/record.h).
 * It closes before count_max (at most 65535) or bytes_max would be exceeded,
 * but takes one packet always.  Returns how many, the cursor moves behind
 * them; 0 at the end of the records.  ERR_LIMIT where the first packet alone
 * is over IPCAP_PAYLOAD_MAX: the peer has to be told of a gap.  ERR_MALFORMED
 * where the records are not sound.
 */
int put_ipcap_batch(struct buf *b, struct cursor *records, uint32_t count_max,
		    size_t bytes_max);

/*
 * Append the packets of a batch, or of the one record of a PKT frame, to a
 * run's records; *count says how many.  0; ERR_MALFORMED where it ends early
 * or a time fits no record; ERR_LIMIT where a packet is over PACKET_MAX.
 * `records` keeps its length on failure.  A fraction of a second over 10^9 is
 * carried, and the one header that our files cannot hold, all zero, gets the
 * time 1 ns.
 */
int ipcap_batch_records(struct bytes payload, struct buf *records,
			uint32_t *count);
int ipcap_pkt_records(struct bytes payload, struct buf *records,
		      uint32_t *count);

#endif
