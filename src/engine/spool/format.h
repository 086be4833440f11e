/* SPDX-License-Identifier: Apache-2.0 */
/*
 * format.h - the bytes of a spool: names, id, index header, entries, live.
 *
 * Pure: layouts as doc/spool-format.md has them, no file is touched.  Parsers
 * return 0 or ERR_MALFORMED and never believe a byte that no checksum covers.
 */
#ifndef ENGINE_SPOOL_FORMAT_H
#define ENGINE_SPOOL_FORMAT_H

#include "engine/spool/spool.h"

struct buf;

enum {
	IDENTITY_MAX = 1024,
	IDX_HEADER = 128,
	IDX_ENTRY = 64,
	/* A segment is sealed before its index grows past this. */
	IDX_ENTRIES_MAX = 1 << 20,
	LIVE_SIZE = 64,
	FILE_NAME_MAX = 40
};

enum entry_type {
	ENTRY_BATCH = 1,
	ENTRY_DROP = 2,
	ENTRY_GAP = 3,
	ENTRY_NOTE = 4,
	ENTRY_SEAL = 5
};

struct idx_head {
	uint8_t id[SPOOL_ID];
	uint64_t first;
	uint64_t chain; /* before its first batch */
	uint64_t incarnation;
	uint64_t created_ns;
	uint32_t linktype;
	uint32_t snaplen;
	uint64_t dropped; /* sum of all DROPs before this segment */
	uint32_t before;  /* entries of the segment before that count */
};

struct idx_entry {
	enum entry_type type;
	uint16_t reason;
	uint32_t packets; /* SEAL: batches, modulo 2^32 */
	uint64_t index;
	uint64_t value; /* offset, packets lost, to, value, length */
	uint32_t length;
	uint32_t crc;
	uint64_t begin_ns;
	uint64_t end_ns;
	uint64_t chain;
	uint32_t synced; /* entries of the file that were durable before */
};

struct live {
	uint64_t boot;
	uint64_t incarnation;
	uint64_t oldest;
	uint64_t head;
	uint64_t dropped;
	uint64_t segment; /* first index of the newest one under its name */
	uint32_t entries; /* of it that are durable */
};

void put_identity(struct buf *b, const struct spool_identity *id);
int identity_parse(struct bytes in, struct spool_identity *id);

/* Is it a name a source may have: printable ASCII, no blanks, 1 to 64? */
bool source_name_good(const char *name);

void put_idx_head(struct buf *b, const struct idx_head *head);
int idx_head_parse(struct bytes in, struct idx_head *head);

/* What entry checksums of this segment start from. */
uint32_t entry_seed(const uint8_t id[SPOOL_ID], uint64_t first);
void put_entry(struct buf *b, uint32_t seed, const struct idx_entry *e);
int entry_parse(struct bytes in, uint32_t seed, struct idx_entry *e);

void put_live(struct buf *b, const struct live *live);
int live_parse(struct bytes in, struct live *live);

/* The chain value behind a run: r->first, count, crc, times and length. */
uint64_t chain_behind(uint64_t chain, const struct run *r, uint32_t length);

/* In front of a segment's name: it is about to take the place of that one. */
#define MEND_PREFIX "mend-"

/* "00000000000000000017.pcap"; kind is "pcap" or "idx". */
void segment_name(char out[FILE_NAME_MAX], uint64_t first, const char *kind);
/* ".spare-7.pcap": the dot keeps it out of "*.pcap". */
void spare_name(char out[FILE_NAME_MAX], uint64_t number, const char *kind);
/* The same as it was called once, without the dot. */
void old_spare_name(char out[FILE_NAME_MAX], uint64_t number, const char *kind);

struct file_name {
	bool spare;
	bool old; /* a spare under its old name */
	bool idx; /* else .pcap */
	uint64_t number;
};

/* ERR_UNKNOWN for any name that is none of a segment's or a spare's. */
int file_name_parse(const char *name, struct file_name *out);

void entry_of_note(struct idx_entry *e, const struct spool_note *note,
		   uint64_t at);
void note_of_entry(struct spool_note *note, const struct idx_entry *e);

#endif
