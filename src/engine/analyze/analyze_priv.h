/* SPDX-License-Identifier: Apache-2.0 */
/*
 * analyze_priv.h - what the dispatcher, the shards and the events share.
 */
#ifndef ENGINE_ANALYZE_ANALYZE_PRIV_H
#define ENGINE_ANALYZE_ANALYZE_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/siphash.h"
#include "engine/analyze/analyze.h"

struct channel;

/* -- patterns.c --------------------------------------------------------------
 */

/* What new streams are searched for; it may become another one at any time. */
struct patterns {
	pthread_mutex_t lock;
	struct match_set *set; /* a reference; or NULL */
	uint64_t version;
	atomic_uint_fast64_t changes;
};

void patterns_init(struct patterns *p, struct match_set *set, uint64_t version);
void patterns_release(struct patterns *p);
void patterns_set(struct patterns *p, struct match_set *set, uint64_t version);
/* A reference for the caller. */
struct match_set *patterns_get(struct patterns *p, uint64_t *version,
			       uint64_t *changes);

/* Caps and counts of the whole process, touched at most once a stream. */
struct shared_counts {
	atomic_uint_fast64_t streams_open;
	atomic_uint_fast64_t matches;
	atomic_uint_fast64_t held; /* bytes of memory of the open ones */
};

/* On its way through all workers; whoever comes last tells and frees it. */
struct mark {
	const struct analyze_marks *who;
	const struct stream_source *source;
	uint64_t index, now_ns;
	bool leave;
	atomic_uint_fast64_t oldest;
	atomic_uint left; /* workers that it has not passed */
};

/* -- events.c ----------------------------------------------------------------
 */

/* Lines on their way into the output; one thread's. */
struct events {
	struct output *output; /* NULL: they are counted only */
	struct buf lines, scratch;
	uint32_t waiting, waiting_max;
	uint64_t count;
};

void events_init(struct events *e, struct output *output, uint32_t waiting_max);
void events_flush(struct events *e);
void events_release(struct events *e);

/* Nobody reads them: an event is counted, not written. */
bool events_silent(struct events *e);

void events_packet(struct events *e, uint32_t linktype, const struct packet *p);
/* `kind` is "stream_open", "stream_update" or "stream_close"; p may be NULL. */
void events_stream(struct events *e, const char *kind, const struct stream *s,
		   uint32_t preview, int way, const struct flow_packet *p);
void events_match(struct events *e, const struct stream *s, int way,
		  const struct match *m, uint64_t time_ns);
void events_gap(struct events *e, const struct stream *s, int way,
		uint64_t offset, uint64_t len, enum flow_gap why,
		uint64_t time_ns);
void events_message(struct events *e, const struct stream *s,
		    const struct message *m, uint64_t time_ns);
/* A line about one direction of a stream, up to and behind its fields. */
void events_begin(struct events *e, const char *analyzer, const char *type,
		  const struct stream *s, int way, uint64_t time_ns,
		  uint64_t length);
void events_end(struct events *e);
void events_source_gap(struct events *e, const struct stream_source *source,
		       uint32_t linktype, const struct analyze_loss *loss);

/* -- shard.c -----------------------------------------------------------------
 */

/* Only numbers of 64 bits: copied as such. */
struct shard_counts {
	uint64_t packets, events;
	uint64_t streams, streams_refused, streams_matched;
	uint64_t slices, slice_bytes, matches_dropped;
	struct flow_counters flow;
};

struct shard;

struct shard_config {
	const struct analyze_config *cfg;
	struct shared_counts *shared;
	struct patterns *patterns;
	unsigned number, of;
};

struct shard *shard_new(const struct shard_config *cfg, struct err *err);
void shard_free(struct shard *sh);
/* Any thread: whatever stream was beginning has been told to all sinks. */
void shard_wait_beginning(struct shard *sh);
int shard_add_sink(struct shard *sh, const struct stream_sink *sink);

/* All of these from one thread. */
void shard_source(struct shard *sh, const struct stream_source *source);
void shard_packet(struct shard *sh, uint32_t linktype, const struct decoded *d,
		  const struct flow_packet *p, uint64_t now_ns);
void shard_lost(struct shard *sh, uint64_t now_ns);
void shard_tick(struct shard *sh, uint64_t now_ns);
void shard_mark(struct shard *sh, struct mark *m);
void shard_end_flows(struct shard *sh, uint64_t now_ns);
void shard_finish(struct shard *sh, uint64_t now_ns);
/* Write what waits and publish the counts. */
void shard_flush(struct shard *sh);
void shard_publish(struct shard *sh);

/* Any thread: as of the last publishing. */
void shard_counts(struct shard *sh, struct shard_counts *c);

/* -- worker.c: shards with a thread each
 * ---------------------------------------- */

struct worker;

struct worker *worker_start(struct shard *sh, uint32_t queue_packets,
			    struct err *err);

/*
 * Give a packet, copied.  False when the queue is full and !wait: then it is
 * dropped and counted, and the shard is told of the hole at the next chance.
 */
bool worker_packet(struct worker *w, const struct stream_source *source,
		   uint32_t linktype, const struct decoded *d,
		   const struct flow_packet *p, uint64_t now_ns, bool wait);
enum worker_order { WORKER_LOST = 1, WORKER_TICK, WORKER_END, WORKER_MARK };
void worker_order(struct worker *w, enum worker_order what, uint64_t now_ns,
		  bool wait);
void worker_mark(struct worker *w, struct mark *m); /* waits for room */
void worker_flush(struct worker *w, bool wait);

/* How many packets wait; any thread. */
uint32_t worker_waiting(struct worker *w);

/* Hand over everything, let the shard finish at now_ns, end the thread. */
void worker_stop(struct worker *w, uint64_t now_ns);
void worker_free(struct worker *w); /* NULL is fine */

/* -- counts: words of 64 bits, written by one thread, read by any ------------
 */

void counts_publish(atomic_uint_fast64_t *to, const void *from, size_t size);
void counts_read(void *to, atomic_uint_fast64_t *from, size_t size);

#endif
