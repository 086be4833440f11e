/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collector_priv.h - what the files of the dialling end share.
 */
#ifndef ENGINE_LINK_COLLECTOR_PRIV_H
#define ENGINE_LINK_COLLECTOR_PRIV_H

#include "codec/weirlink.h"
#include "codec/zframe.h"

#include "engine/link/collector.h"
#include "engine/link/mirror.h"
#include "engine/link/wire.h"

enum {
	COLLECTOR_MIRRORS_MAX = 32,
	COLLECTOR_BATCHES = 64 /* batches on their way to the disk */
};

/* One source on one connection. */
struct collector_source {
	bool announced;
	uint64_t acked;	   /* what the last ACK said */
	uint64_t acked_ns; /* and when */
};

struct collector_ipcap {
	bool preamble; /* it has come */
	bool heard;    /* a frame came since the last ACK */
	uint64_t wanted;
	uint16_t source;
	/* Where batches end, for the sequence number in an ACK. */
	struct {
		uint64_t end, seq;
	} sent[COLLECTOR_BATCHES];
	unsigned n_sent;
	uint64_t seq_done;
};

struct link_collector {
	struct link_end end;
	struct link_collector_config cfg;
	struct link_wire wire;
	bool weir;
	bool asked; /* RESUME, or the first ACK, is out */
	bool live;
	bool stalled; /* a frame waits for room in the mirror's staging */
	bool again;
	bool leaving, left;
	uint64_t began_ns, heard_ns;
	uint64_t now_ns;	 /* of the call that runs */
	uint64_t sent, received; /* Weir frames, each way */
	struct collector_source sources[COLLECTOR_MIRRORS_MAX];
	struct collector_ipcap ipcap;
	struct zframe z;
	struct buf unpacked, records;
};

/* ERR_FULL: the frame stays where it is; come again. */
int collector_weir_ask(struct link_collector *c, struct err *err);
int collector_weir_take(struct link_collector *c, struct err *err);
void collector_weir_ack(struct link_collector *c);
void collector_weir_end(struct link_collector *c);
int collector_ipcap_ask(struct link_collector *c, struct err *err);
int collector_ipcap_take(struct link_collector *c, struct err *err);
void collector_ipcap_ack(struct link_collector *c);

/* A frame that is not what it must be: counted; returns code. */
int collector_corrupt(struct link_collector *c, int code, struct err *err,
		      const char *what);

/* A key line of either protocol goes on, if it is one. */
void collector_keyline(struct link_collector *c, struct bytes line);

#endif
