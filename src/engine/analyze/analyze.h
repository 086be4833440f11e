/* SPDX-License-Identifier: Apache-2.0 */
/*
 * analyze.h - packets in; streams, matches and their events out.
 *
 * One thread, the source's, gives packets.  They are decoded and defragmented
 * there; then either the same thread follows the flows (one worker), or each
 * flow goes to one of several workers, chosen by a keyed hash that is the same
 * for both directions.  Packets for a worker are copied once, into a batch
 * that is used again and again; nothing is allocated and no lock is taken a
 * packet.
 *
 * Queues are bounded.  When a worker is behind, the source waits; a live
 * source (cfg.live) must not, so packets are dropped for that worker, counted,
 * and told as a gap of the source.  Caps hold for the whole process, whatever
 * the number of workers.
 */
#ifndef ENGINE_ANALYZE_ANALYZE_H
#define ENGINE_ANALYZE_ANALYZE_H

#include "codec/packet.h"
#include "engine/analyze/stream.h"
#include "engine/flow/defrag.h"
#include "engine/flow/flow.h"

struct analyze;
struct err;
struct match_set;
struct output;

enum { ANALYZE_WORKERS_MAX = 64, ANALYZE_HEAD_MAX = 4096 };

struct analyze_config {
	struct flow_config flow; /* flow.seed is filled in */
	struct defrag_config defrag;
	unsigned workers;	/* 0: one a processor */
	uint32_t queue_packets; /* that wait for one worker */
	bool live;		/* rather drop than wait */
	bool dump;		/* a raw_packet event each; no flows */
	bool inventory;		/* stream_open, _update, _close events */
	uint64_t streams_max;	/* at once */
	uint64_t memory_max;	/* bytes of all open streams; 0: no limit */
	uint32_t preview;	/* bytes kept of each direction's start */
	uint64_t update_packets, update_bytes; /* 0: never for that reason */
	struct match_set *patterns; /* a reference is taken; or NULL */
	uint64_t patterns_version;
	uint64_t stream_matches_max, matches_max;
	struct output *output;	/* JSON lines; borrowed; or NULL */
	uint32_t output_events; /* a worker gathers before it writes */
};

#define ANALYZE_CONFIG_DEFAULT                                                 \
	((struct analyze_config){ .flow = FLOW_CONFIG_DEFAULT,                 \
				  .defrag = DEFRAG_CONFIG_DEFAULT,             \
				  .workers = 1,                                \
				  .queue_packets = 4096,                       \
				  .inventory = true,                           \
				  .streams_max = 1000000,                      \
				  .preview = 256,                              \
				  .update_packets = 64,                        \
				  .update_bytes = 65536,                       \
				  .stream_matches_max = 1024,                  \
				  .matches_max = 1000000,                      \
				  .output_events = 4096 })

/* Packets that a source says it has not: a hole as an object. */
struct analyze_loss {
	const char *reason; /* "kernel", "retention", "damage", … */
	uint64_t index;	    /* of the packet behind the hole */
	uint64_t packets;   /* how many are missing; 0: nobody knows */
	uint64_t begin_ns, end_ns;
	bool numbered; /* they had indices of their own */
	bool past;     /* an earlier run has told of it */
};

/* NULL on failure. */
struct analyze *analyze_new(const struct analyze_config *cfg, struct err *err);
unsigned analyze_workers(const struct analyze *a);

/*
 * Before the first packet, for each worker (0 to analyze_workers() - 1): who
 * hears of its streams.  Returns the slot in stream.owner, the same for each
 * worker when sinks are added in the same order; -1 when all are taken.
 */
int analyze_add_sink(struct analyze *a, unsigned worker,
		     const struct stream_sink *sink);

/* Who hears of marks: see analyze_mark(). */
struct analyze_marks {
	void *arg;
	/* On any worker's thread. */
	void (*passed)(void *arg, const struct stream_source *source,
		       uint64_t oldest, uint64_t index);
};
void analyze_hear_marks(struct analyze *a, const struct analyze_marks *who);

/* -- the source's thread -------------------------------------------------- */

/* A source begins; it is copied, and stays until analyze_free(). */
const struct stream_source *analyze_source(struct analyze *a,
					   const struct stream_source *source);

/* Packets of one link type, the first of which has number `first`. */
void analyze_packets(struct analyze *a, const struct stream_source *source,
		     uint32_t linktype, const struct packet *p, int n,
		     uint64_t first);

void analyze_lost(struct analyze *a, const struct stream_source *source,
		  const struct analyze_loss *loss);

/*
 * Every packet before `index` has been given.  When all workers have followed
 * them, analyze_marks.passed hears of it, with the first packet of the oldest
 * flow that was open then (or `index`): an analysis that begins there can
 * follow each of them from its start.  `leave`: one will, and the sinks are told.
 */
void analyze_mark(struct analyze *a, const struct stream_source *source,
		  uint64_t index, bool leave);

/*
 * Packets of this source before `given` have been followed by an earlier run,
 * in which flows began with the packets begins[] (ascending; taken, from malloc).  They
 * are followed again, counted as packets_again, and begin no other flow.
 */
void analyze_past(struct analyze *a, const struct stream_source *source,
		  uint64_t given, uint64_t *begins, size_t n);

/* All flows end here, as at the end of the input; others may follow. */
void analyze_end_flows(struct analyze *a);

/* Nothing more is there now: what waits in batches and buffers goes on. */
void analyze_flush(struct analyze *a);

/* A live source is quiet: its time goes on all the same. */
void analyze_tick(struct analyze *a, uint64_t now_ns);

/* The end of all input: every flow ends, every event is written. */
void analyze_finish(struct analyze *a);

/* -- any thread ------------------------------------------------------------ */

/*
 * Streams that begin from now on are searched for these patterns (NULL: for
 * none); those that are open go on with theirs, and all sinks have heard of
 * them when it returns.  A reference is taken.  The version is told with each
 * stream; that of cfg->patterns is cfg->patterns_version.
 */
void analyze_set_patterns(struct analyze *a, struct match_set *set,
			  uint64_t version);

struct analyze_counters {
	uint64_t packets, bytes;
	uint64_t packets_again; /* of an earlier run; in no other number here */
	uint64_t decoded[DECODE_STATUSES];
	uint64_t source_gaps, source_lost; /* as the source told */
	uint64_t queue_dropped;
	uint64_t events;
	uint64_t streams, streams_open, streams_bytes;
	uint64_t streams_refused; /* flows over streams_max */
	uint64_t streams_matched;
	uint64_t slices, slice_bytes;
	uint64_t matches, matches_dropped;
	struct flow_counters flow;
	struct defrag_counters defrag;
	uint64_t workers;
	uint64_t queue_packets, queue_room; /* of the fullest queue */
	uint64_t busiest, busiest_packets;  /* worker */
};
void analyze_counters(struct analyze *a, struct analyze_counters *c);

void analyze_free(struct analyze *a); /* after analyze_finish(); NULL is fine */

#endif
