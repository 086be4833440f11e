/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow.h - packets in, conversations and their payload in order out.
 *
 * A flow table belongs to one thread (a shard); the caller sees to it that all
 * packets of a 5-tuple reach the same one.  Every flow has one place in a
 * fixed pool; finding, idling out and evicting cost the same however many
 * there are.  What a flow's owner wants to know comes through struct
 * flow_sink, called from flow_table_packet() and flow_table_tick() only.
 *
 * TCP (reassembly in tcp.c): payload is handed on in sequence order, each byte
 * once.  What arrives early waits in memory under caps; a hole that will not
 * be filled is given up after a bound and reported as a gap.  Overlaps are
 * resolved as a Linux kernel does, or by another policy; where the copies
 * differ, the sink gets both.  The cost of a packet is bounded whatever is in
 * it and whatever came before.
 *
 * UDP, SCTP, ICMP and others: a flow is what both ends exchange until it is
 * idle; each datagram's payload is one slice.
 */
#ifndef ENGINE_FLOW_FLOW_H
#define ENGINE_FLOW_FLOW_H

#include "codec/decode.h"

struct flow;
struct flow_table;

enum flow_state {
	FLOW_HALF_OPEN, /* TCP: no answer yet */
	FLOW_OPEN,
	FLOW_CLOSING, /* one side has said FIN */
	FLOW_CLOSED   /* both FIN, or RST; waits for stragglers */
};

enum flow_end {
	FLOW_END_NONE,
	FLOW_END_FIN,	  /* closed by both sides */
	FLOW_END_RST,
	FLOW_END_IDLE,
	FLOW_END_REUSED,  /* a new connection on the same 4-tuple */
	FLOW_END_EVICTED, /* the table was full */
	FLOW_END_INPUT	  /* the input ended */
};

enum flow_policy {
	FLOW_POLICY_LINUX, /* the segment with the lower start wins */
	FLOW_POLICY_FIRST, /* what came first stays */
	FLOW_POLICY_LAST   /* what came last replaces it */
};

/* Why bytes are missing from a direction. */
enum flow_gap {
	FLOW_GAP_LOST,	  /* acknowledged by the other side, never seen */
	FLOW_GAP_LIMIT,	  /* a cap on waiting data was reached */
	FLOW_GAP_END,	  /* the flow ended before it came */
	FLOW_GAP_SNAPPED, /* on the wire, cut off by the capture's snaplen */
	FLOW_GAP_SOURCE	  /* the source itself reported lost packets */
};

struct flow_endpoint {
	struct address address;
	uint16_t port;
};

struct flow_way {
	uint64_t packets;
	uint64_t bytes;	      /* on the wire, all headers */
	uint64_t payload;     /* of all packets, repeats included */
	uint64_t delivered;   /* handed to the sink; gaps not counted */
	uint64_t offset;      /* of the next byte; gaps counted */
	uint64_t gap_bytes;
	uint32_t gaps;
	uint32_t repeated;    /* segments that held nothing new */
	uint32_t early;	      /* segments that came before their turn */
	uint32_t conflicts;   /* overlaps with other content */
	uint32_t ignored;     /* segments that no receiver would take */
	uint32_t first_seq, last_seq; /* as rustmate reports them */
	bool syn, fin, rst, urgent;
};

/* What everybody may read of a flow; a flow stays where it is until closed. */
struct flow {
	struct flow_endpoint end[2]; /* sorted: family, address, port */
	uint8_t protocol;
	uint8_t state;	 /* enum flow_state */
	uint8_t ended;	 /* enum flow_end */
	uint8_t opener;	 /* way of the first packet, or of the SYN: 0 or 1 */
	uint16_t vlan;	 /* outermost tag of the first packet, or 0 */
	uint8_t tunnels; /* of the first packet */
	uint64_t first_index; /* of its first packet in the source */
	uint64_t first_ns, last_ns;
	struct flow_way way[2]; /* way 0: from end[0] to end[1] */
	void *owner;		/* the sink's */
	/* The sink's, from opened() on: after so many packets it is over, as
	 * an earlier run saw it end; 0: nobody knows. */
	uint64_t packets_known;
};

/*
 * Packets that an earlier run has followed already come by again so that what
 * was open then can go on.  That run says where its flows began: elsewhere
 * none does.
 */
enum flow_past {
	FLOW_PAST_NONE,	  /* it is new */
	FLOW_PAST_BEGINS, /* a flow began with it */
	FLOW_PAST_GOES_ON /* it was of a flow that began before, or of none */
};

/* A packet's place and time, for those who keep references. */
struct flow_packet {
	uint64_t index;
	uint64_t time_ns;
	uint32_t wire_len;
	struct bytes frame;
	enum flow_past past;
};

struct flow_slice {
	int way;
	uint64_t offset; /* of its first byte in this direction */
	struct bytes data; /* borrowed until the call returns */
	const struct flow_packet *from; /* packet that made it deliverable */
};

/*
 * Any of these may be NULL.  The flow may be read, and owner set; nothing else.
 */
struct flow_sink {
	void *self;
	void (*opened)(void *self, struct flow *f);
	/* After each packet of the flow, with its slices already given. */
	void (*packet)(void *self, struct flow *f, int way,
		       const struct flow_packet *p);
	void (*slice)(void *self, struct flow *f, const struct flow_slice *s);
	void (*gap)(void *self, struct flow *f, int way, uint64_t offset,
		    uint64_t len, enum flow_gap why, uint64_t time_ns);
	/* Delivered earlier and seen again: compare, if you keep the bytes. */
	void (*repeated)(void *self, struct flow *f, int way, uint64_t offset,
			 struct bytes again, uint64_t time_ns);
	/* Bytes that lost against others at the same place. */
	void (*conflict)(void *self, struct flow *f, int way, uint64_t offset,
			 struct bytes loser, uint64_t time_ns);
	void (*closed)(void *self, struct flow *f); /* last call; see ended */
};

struct flow_config {
	uint32_t flows_max;
	uint32_t half_open_max;	     /* of them; the oldest goes first */
	uint64_t idle_ns;	     /* no packet for this long ends a flow */
	uint64_t closed_ns;	     /* a closed one waits this long */
	uint32_t early_segments_max; /* waiting, a direction */
	uint64_t early_bytes_max;    /* waiting, a direction */
	uint64_t early_total_max;    /* waiting, the whole table */
	uint64_t hole_ns;	     /* an acknowledged hole is given up after */
	enum flow_policy policy;
	uint8_t seed[16];	     /* from the kernel: never a constant */
};

#define FLOW_CONFIG_DEFAULT                                                    \
	((struct flow_config){                                                 \
		.flows_max = 1000000,                                          \
		.half_open_max = 200000,                                       \
		.idle_ns = UINT64_C(120000000000),                             \
		.closed_ns = UINT64_C(2000000000),                             \
		.early_segments_max = 128,                                     \
		.early_bytes_max = 1 << 20,                                    \
		.early_total_max = UINT64_C(256) << 20,                        \
		.hole_ns = UINT64_C(500000000),                                \
		.policy = FLOW_POLICY_LINUX })

struct flow_counters {
	uint64_t packets, opened, closed, open;
	uint64_t idled, evicted, half_open_evicted, reused;
	uint64_t half_open;
	uint64_t early_bytes, early_bytes_peak; /* waiting now, and the most */
	uint64_t gaps, gap_bytes, conflicts, repeated, ignored;
	uint64_t tails; /* packets of flows that had ended in an earlier run */
};

struct flow_table *flow_table_new(const struct flow_config *cfg,
				  const struct flow_sink *sink);
void flow_table_free(struct flow_table *t); /* without closing calls */

/*
 * The time of the source is now_ns; call it before each packet when several
 * tables share a source, so that a quiet flow ends at the same packet in each
 * of them.  It may go back, as a clock that is set does: flows from the other
 * side of the step end a few with each packet.
 */
void flow_table_clock(struct flow_table *t, uint64_t now_ns);

/* One packet with d->status DECODE_OK. */
void flow_table_packet(struct flow_table *t, const struct decoded *d,
		       const struct flow_packet *p);

/*
 * The source lost packets here: every open TCP direction takes its next hole
 * for one of the source's until it has caught up.
 */
void flow_table_source_gap(struct flow_table *t, uint64_t now_ns);

/* Time has come to now_ns: end what is idle.  Bounded work a call. */
void flow_table_tick(struct flow_table *t, uint64_t now_ns);

/* End all that have been quiet for too long by now, however many. */
void flow_table_settle(struct flow_table *t);

/*
 * End all flows, giving what still waits: those that have been quiet for too
 * long by now with FLOW_END_IDLE, all others with FLOW_END_INPUT.
 */
void flow_table_finish(struct flow_table *t);

/* End the flow that the table can spare best; false: there is none. */
bool flow_table_evict(struct flow_table *t);
size_t flow_table_weight(void); /* bytes of memory that a flow takes */

/* The first packet of the oldest flow that is open; `none` where none is. */
uint64_t flow_table_oldest(const struct flow_table *t, uint64_t none);

void flow_table_counters(const struct flow_table *t, struct flow_counters *c);

/*
 * A hash of the 5-tuple that is the same for both directions: for choosing
 * the shard.  The key must be the process's own.
 */
struct siphash_key;
uint64_t flow_hash(const struct siphash_key *key, const struct decoded *d);

/* rustmate's 64-bit hash of protocol and endpoints, kept as flow_key. */
uint64_t flow_endpoint_hash(const struct flow *f);

#endif
