/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent_priv.h - what the files of the serving end share.
 */
#ifndef ENGINE_LINK_AGENT_PRIV_H
#define ENGINE_LINK_AGENT_PRIV_H

#include "codec/weirlink.h"
#include "codec/zframe.h"
#include "engine/spool/reader.h"

#include "engine/link/agent.h"
#include "engine/link/memory.h"
#include "engine/link/squeeze.h"
#include "engine/link/wire.h"

/* A collector has nothing longer to say in one frame. */
enum { AGENT_FRAME_MAX = 16 << 10 };

/* One source on one connection. */
struct agent_source {
	const struct link_source *is;
	struct spool_reader *reader;
	bool wanted;
	bool begun;			/* a SOURCE has been sent */
	uint8_t verdict;		/* what the next SOURCE will say */
	struct weirlink_entry *entries; /* what the collector has; owned */
	int n_entries;
	uint8_t origin[SPOOL_ID]; /* of the spool being served */
	uint64_t given;		  /* first index of it not yet sent */
	uint64_t acked;		  /* and how much is acknowledged */
	bool ack_moved;
};

/* What only an ipcap session has. */
struct agent_ipcap {
	struct agent_source *source; /* once the first ACK is there */
	uint64_t wanted;
	struct served was;	/* what this collector was given before */
	struct served now;	/* and is given in this session */
	bool confirmed;		/* `now` is on disk */
	bool placed, announced; /* reader is placed; preamble is out */
	bool over;		/* the next spool has begun */
	uint64_t from;		/* first index that is to be sent */
	struct buf pending;	/* records of the batch that grows */
	uint64_t pending_first;
	uint32_t pending_n;
	uint64_t seq_batch, seq_beat, seq_stats, seq_gap;
};

struct link_agent {
	struct link_end end;
	struct link_agent_config cfg;
	struct link_wire wire;
	char fingerprint[LINK_FINGERPRINT + 1];
	bool weir;	/* the hello was one */
	bool zstd;	/* may be sent */
	bool told_live; /* on_live() was called */
	bool resumed;	/* the collector has said what it wants */
	bool ended;	/* it said END */
	uint64_t began_ns, heard_ns, beat_ns, poll_ns, acked_ns;
	uint64_t now_ns;	 /* of the call that runs */
	uint64_t sent, received; /* Weir frames, each way */
	int turn;		 /* the source whose turn it is */
	bool idle;		 /* all readers have said ERR_AGAIN */
	struct agent_source sources[LINK_SOURCES_MAX];
	struct agent_ipcap ipcap;
	struct zframe z;
	struct buf load, batch, packed;
	struct squeeze squeeze;
	/* Since the last accounting: when it was, time spent making frames, and
	 * bytes of records in them. */
	uint64_t squeezed_ns, spent_ns, given;
	bool wanting; /* records waited when the last frame was made */
};

/* The two protocols: whatever is decrypted, and whatever may be sent. */
int agent_weir_take(struct link_agent *a, struct err *err);
int agent_weir_give(struct link_agent *a, struct err *err);
int agent_weir_beat(struct link_agent *a, struct err *err);
int agent_ipcap_take(struct link_agent *a, struct err *err);
int agent_ipcap_give(struct link_agent *a, struct err *err);
int agent_ipcap_beat(struct link_agent *a, struct err *err);

/* The reader of a source that is wanted, opened at its oldest. */
int agent_source_open(struct link_agent *a, struct agent_source *s,
		      struct err *err);
struct agent_source *agent_source_find(struct link_agent *a, uint16_t id);

/*
 * Close a record here if there is enough for one: what the peer gets before
 * the wire breaks is then whole frames.
 */
int agent_close_record(struct link_agent *a, size_t enough, struct err *err);
enum { AGENT_RECORD = 4096 };

/*
 * Append `records` to `out` compressed, where that is to be done now and makes
 * them smaller; false leaves `out` as it was.
 */
bool agent_pack(struct link_agent *a, struct bytes records, struct buf *out);

void agent_count(struct link_agent *a, uint64_t packets, uint64_t bytes);
struct link_capture_stats agent_stats(struct link_agent *a,
				      const struct agent_source *s);

#endif
