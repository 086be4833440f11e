/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eve.h - one event of Suricata's EVE log: which flow it speaks of.
 */
#ifndef ENGINE_SIFT_EVE_H
#define ENGINE_SIFT_EVE_H

#include "codec/decode.h"

struct err;

enum {
	EVE_LINE_MAX = 16 << 20,
	EVE_WORD_MAX = 64,
	EVE_FILE_MAX = 1024 /* of a capture_file */
};

struct eve_flow {
	struct address src, dst; /* version 0: not told */
	uint16_t src_port, dst_port;
	uint8_t protocol;	  /* 0: not told, or not known here */
	char proto[EVE_WORD_MAX]; /* as written */
};

struct eve_event {
	char type[EVE_WORD_MAX]; /* event_type */
	uint64_t time_ns;	 /* 0: not told */
	uint64_t flow_id;	 /* 0: not told */
	char capture_file[EVE_FILE_MAX];
	struct eve_flow flow;
	uint64_t tunnel_depth; /* 0: no tunnel */
	struct eve_flow tunnel;
};

/*
 * Read one JSON object; what is not known is passed over.  0, or
 * ERR_MALFORMED: no JSON, or a known member of the wrong kind.
 */
int eve_parse(struct bytes json, struct eve_event *e);

#endif
