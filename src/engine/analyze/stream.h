/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.h - what is known of one conversation, and who wants to hear of it.
 *
 * A stream stands beside each flow, in the same shard and thread, from its
 * first packet until the flow ends.  Everything that keeps, parses or shows
 * streams is a struct stream_sink; the calls about one stream come in order
 * and from one thread.  A sink keeps its own things in s->owner[slot].
 *
 * Whoever parses protocols is a sink too, and hands what it found to
 * stream_message(), which tells all sinks.  Sinks hear in the order in which
 * they were added, and of the end in the opposite one: parsers come last, so
 * that a message is told after its bytes and before the end.
 */
#ifndef ENGINE_ANALYZE_STREAM_H
#define ENGINE_ANALYZE_STREAM_H

#include "engine/analyze/content.h"
#include "engine/analyze/service.h"
#include "engine/analyze/streamid.h"
#include "engine/flow/flow.h"

struct match;
struct match_set;
struct match_stream;
struct message;

enum { STREAM_SINKS_MAX = 4, STREAM_SOURCE_NAME = 96 };

/* Where packets come from; they are numbered within it. */
struct stream_source {
	uint8_t origin[ORIGIN_SIZE];   /* the key of its stream ids */
	char name[STREAM_SOURCE_NAME]; /* for people */
};

struct stream_way {
	struct content content;
	struct match_stream *match; /* NULL: no payload yet, or no patterns */
	uint64_t slices;
	uint16_t head_len;
	uint8_t *head; /* the first bytes, head_len of them */
};

struct stream {
	uint64_t id;
	uint64_t flow_key; /* rustmate's hash of the endpoints */
	const struct flow *flow;
	const struct stream_source *source; /* of its first packet */
	unsigned shard;
	uint32_t linktype; /* of its first packet */
	struct service service;
	enum content_kind kind;
	struct stream_way way[2];
	uint32_t matches, matches_dropped;
	struct match_set *patterns; /* it is searched for; NULL: none */
	uint64_t patterns_version;
	uint64_t packets_known; /* flow.h; a sink may set it in opened() */
	void *owner[STREAM_SINKS_MAX]; /* the sinks' */

	/* What the last event said; see events.c. */
	bool announced;
	uint8_t told_state;
	enum content_kind told_kind;
	const char *told_service;
	uint64_t told_packets, told_bytes;

	uint64_t held; /* bytes of memory, about */
	void *home;    /* its shard */
};

/* Any call may be NULL. */
struct stream_sink {
	void *self;
	size_t weight; /* bytes of memory that it keeps of an open stream */
	void (*opened)(void *self, struct stream *s);
	void (*packet)(void *self, struct stream *s, int way,
		       const struct flow_packet *p);
	/* Payload in order; the stream's counters have it in already. */
	void (*slice)(void *self, struct stream *s, const struct flow_slice *b);
	void (*gap)(void *self, struct stream *s, int way, uint64_t offset,
		    uint64_t len, enum flow_gap why, uint64_t time_ns);
	void (*conflict)(void *self, struct stream *s, int way, uint64_t offset,
			 struct bytes loser, uint64_t time_ns);
	/* Within the caps on matches. */
	void (*match)(void *self, struct stream *s, int way,
		      const struct match *m);
	void (*message)(void *self, struct stream *s, const struct message *m);
	/* State, kind or service are others now, or it grew enough to tell. */
	void (*changed)(void *self, struct stream *s);
	void (*closed)(void *self, struct stream *s); /* the last call */
	/* Some ten times a second, and whenever the source pauses. */
	void (*settle)(void *self);
	/* A later run goes on here: the ends that follow are of this run
	 * only, and not of the conversations. */
	void (*leave)(void *self);
};

/* For parsers, during one of their own calls: tell all sinks. */
void stream_message(struct stream *s, const struct message *m);

/*
 * The direction of the one who called: who sent the SYN; where that was not
 * seen, who does not serve, or who has the higher port.
 */
int stream_caller(const struct stream *s);

const char *stream_status(const struct stream *s); /* open, closing, closed */
const char *stream_gap_name(enum flow_gap why);
const char *stream_end_name(enum flow_end end);

#endif
