/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weirlink.h - the frames of the link between two Weir ends.
 *
 * Layouts are in doc/link-protocol.md, "Weir".  Pure functions; what a parsed
 * frame points at is borrowed from the input.
 */
#ifndef CODEC_WEIRLINK_H
#define CODEC_WEIRLINK_H

#include "codec/packet.h"

struct buf;

enum {
	WEIRLINK_VERSION = 1,
	WEIRLINK_HELLO = 12,
	WEIRLINK_HEADER = 24,
	WEIRLINK_RUN_HEADER = 44,
	WEIRLINK_PAYLOAD_MAX = (16 << 20) + (64 << 10),
	WEIRLINK_ENTRIES_MAX = 256,
	WEIRLINK_ENTRY = 48,
	WEIRLINK_SENTENCE_MAX = 200,
	WEIRLINK_KEYLINE_MAX = 256,
	WEIRLINK_ID = 16,
	WEIRLINK_NAME = 64
};

/* No index reaches this. */
#define WEIRLINK_INDEX_END (UINT64_C(1) << 63)

enum weirlink_feature { WEIRLINK_ZSTD = 1, WEIRLINK_KEYLINES = 2 };

struct weirlink_hello {
	uint8_t low, high;
	uint32_t features;
};

void put_weirlink_hello(struct buf *b, const struct weirlink_hello *h);

/* 0, or ERR_UNKNOWN where no hello stands (an ipcap peer, or noise). */
int weirlink_hello_parse(struct bytes in, struct weirlink_hello *h);

enum weirlink_type {
	WEIRLINK_RESUME = 0x01,
	WEIRLINK_ACK = 0x02,
	WEIRLINK_SOURCE = 0x10,
	WEIRLINK_RUN = 0x11,
	WEIRLINK_GAP = 0x12,
	WEIRLINK_NOTE = 0x13,
	WEIRLINK_BEAT = 0x14,
	WEIRLINK_ERROR = 0x7e,
	WEIRLINK_END = 0x7f,
	WEIRLINK_KEYLOG = 0x85
};

enum weirlink_verdict {
	WEIRLINK_RESUMED = 1,
	WEIRLINK_FRESH = 2,
	WEIRLINK_DIVERGED = 3,
	WEIRLINK_NEXT = 4
};

enum weirlink_codec { WEIRLINK_PLAIN = 0, WEIRLINK_ZSTD_FRAME = 1 };

enum { WEIRLINK_HAS = 1, WEIRLINK_CHAIN = 2 };

/* What a collector has of one spool of one source. */
struct weirlink_entry {
	uint16_t source;
	uint16_t flags; /* WEIRLINK_HAS, WEIRLINK_CHAIN */
	uint8_t origin[WEIRLINK_ID];
	uint64_t next, chain;
};

struct weirlink_source {
	uint8_t verdict;
	uint32_t linktype, snaplen;
	uint8_t id[WEIRLINK_ID], origin[WEIRLINK_ID];
	uint64_t oldest, head;
	char name[WEIRLINK_NAME + 1];
};

struct weirlink_run {
	struct run run; /* records only where codec is WEIRLINK_PLAIN */
	uint32_t raw_len;
	uint8_t codec;
	struct bytes body; /* as it travels */
};

struct weirlink_gap {
	uint64_t to;
	uint16_t reason;
	uint64_t begin_ns, end_ns;
};

struct weirlink_note {
	uint8_t is;
	uint16_t reason;
	uint64_t value, begin_ns, end_ns;
};

struct weirlink_beat {
	uint64_t oldest, captured, dropped_kernel, dropped_interface;
	uint64_t dropped; /* all losses recorded in the spool */
	uint64_t bytes, wall_ns, mono_ns;
};

struct weirlink_frame {
	uint8_t type;
	uint16_t source;
	uint64_t sequence, at;
	struct bytes payload;
	union {
		struct weirlink_source as_source;
		struct weirlink_run as_run;
		struct weirlink_gap as_gap;
		struct weirlink_note as_note;
		struct weirlink_beat as_beat;
		struct {
			uint16_t code;
			struct bytes sentence;
		} as_error;
		uint16_t entries; /* RESUME; weirlink_entry_at() reads one */
	};
};

/*
 * The frame at the head of `in`: its size is *size.  0; ERR_AGAIN when it is
 * not whole yet; ERR_MALFORMED; ERR_LIMIT when it declares too much, which is
 * seen as soon as its header is there.  ERR_UNKNOWN for a type that may be
 * skipped: *size is valid.  A type that may not is ERR_MALFORMED.
 */
int weirlink_parse(struct bytes in, struct weirlink_frame *f, size_t *size);

/* Entry i of a RESUME that has been parsed. */
void weirlink_entry_at(const struct weirlink_frame *f, int i,
		       struct weirlink_entry *e);

/*
 * Writing: f->type, source, sequence, at and the part of the union that the
 * type has.  For a RUN the body comes from as_run.body; for a KEYLOG from
 * payload.
 */
void put_weirlink(struct buf *b, const struct weirlink_frame *f);

void put_weirlink_resume(struct buf *b, uint64_t sequence,
			 const struct weirlink_entry *entries, int n);

#endif
