/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h - streams that outlive memory, restarts and kill -9.
 *
 * Payload lies in packed append-only segment files, each direction of a stream
 * in a few long runs; rows (streams, gaps, messages, matches, tags, marks) lie
 * in SQLite.  doc/store-format.md names every byte and column.
 *
 * Whoever follows streams calls through a store_shard, each from one thread;
 * one thread of the store's own does all the writing.  What was appended can
 * be read at once (view.h), from memory or from the files, and survives a
 * crash once store_checkpoint() has returned 0.  What came later is made again
 * by analysing from the position on: ids are made from packet numbers, so it
 * lands in the same rows, and bytes that are there already are compared and
 * skipped.
 *
 * Memory that waits to be written is bounded: store_append() waits for the
 * disk.  When writing has failed, nothing more is kept or made durable, what
 * is lost is counted, and store_checkpoint() says why.
 */
#ifndef ENGINE_STORE_STORE_H
#define ENGINE_STORE_STORE_H

#include "engine/flow/flow.h"

struct err;
struct store;
struct store_shard;
struct store_stream;
struct sys;

enum { STORE_ORIGIN = 16, STORE_TEXT_MAX = 4096 };

/* Streams go when their last packet is so much older than the newest. */
struct store_keep {
	char service[32]; /* "": all services that no other one names */
	uint64_t age_ns;
};

struct store_config {
	struct sys *sys;	 /* of the payload files; NULL: the machine's */
	const char *dir;	 /* of the rows, which SQLite writes itself */
	const char *payload_dir; /* NULL: DIR/payload */
	uint64_t payload_max; /* bytes on disk; the oldest streams go first */
	uint64_t memory_max;  /* bytes not written yet, of all shards */
	uint64_t stream_max;  /* payload kept of one stream */
	uint64_t streams_max; /* rows; the oldest go first */
	uint64_t rows_max;    /* bytes that they take on disk; 0: no limit */
	const struct store_keep *keep; /* copied; see below */
	size_t n_keep;
	uint64_t cache_max;   /* bytes of the database in memory */
	uint64_t commit_ns;   /* rows are shown to other processes this often */
	int shards;
};

enum {
	STORE_PAYLOAD_LEAST = 2 << 20,
	STORE_SHARDS_MAX = 64,
	STORE_TAGS_MAX = 256
};

#define STORE_CONFIG_DEFAULT                                                   \
	((struct store_config){ .payload_max = UINT64_C(16) << 30,             \
				.memory_max = UINT64_C(64) << 20,              \
				.stream_max = UINT64_C(1) << 30,               \
				.streams_max = 10000000,                       \
				.cache_max = UINT64_C(64) << 20,               \
				.commit_ns = UINT64_C(1000000000),             \
				.shards = 1 })

/* One stream's row; the numbers of `flow` are those of flow.h. */
struct store_row {
	uint64_t id;	   /* one for life; never given to another stream */
	uint64_t flow_key; /* rustmate's hash of the endpoints */
	uint8_t origin[STORE_ORIGIN]; /* where its packets came from */
	struct flow flow;	      /* owner is not stored */
	char service[32];
	char service_source[16]; /* "payload", "port" */
	uint8_t content_kind;	 /* 0 unknown, 1 text, 2 binary, 3 mixed */
	uint64_t last_index; /* its last packet in the source */
	uint64_t matches, matches_dropped;   /* found; over a cap */
	uint64_t messages, messages_dropped; /* the same */
	uint64_t patterns; /* version of those that it is searched for */
	uint8_t caller;	   /* way of the one who called: the client */

	/* The store's own: what a caller sets here is not looked at. */
	uint64_t end[2];	/* offset behind the last byte given */
	uint64_t kept[2];	/* payload bytes there, gaps not counted */
	uint64_t dropped_bytes; /* payload over a cap, counted, not kept */
	uint8_t over;		/* 1: store_end() was called */
	uint8_t capped;		/* bit 0, 1: nothing more is kept of a way */
	uint8_t evicted;	/* 1: the payload had to make room */
	uint8_t pinned;		/* 1: it never has to */
};

/* Creates what is not there.  NULL: ERR_BUSY while another one writes it. */
struct store *store_open(const struct store_config *cfg, struct err *err);

/* Writes everything that was given and makes it durable; NULL is fine. */
void store_close(struct store *s);

/*
 * Where analysis of a source goes on.  `resume` is the first packet that must
 * be read again: not behind the first packet of any stream that was open.
 * Every packet before `given` had been given.
 */
struct store_position {
	uint8_t origin[STORE_ORIGIN];
	uint64_t resume, given;
};

/* For p->origin; zeros where nothing is known of it. */
void store_position(struct store *s, struct store_position *p);

/*
 * Everything that was given by all shards before the call is durable when it
 * returns 0, and so is the position; p may be NULL: the position stays.
 */
int store_checkpoint(struct store *s, const struct store_position *p,
		     struct err *err);

/*
 * The same without waiting: the position is durable with the next commit,
 * together with what had been given.
 */
void store_put_position(struct store *s, const struct store_position *p);

/*
 * Analysis of a source goes on and will be given every packet from `from` on.
 * Streams that were open and began before cannot go on: they are closed as at
 * the end of input.  Gives the first packets of all streams that began later,
 * ascending, in *begins, which is the caller's to free.
 */
int store_resume(struct store *s, const uint8_t origin[STORE_ORIGIN],
		 uint64_t from, uint64_t **begins, size_t *n,
		 struct err *err);

/* The spool that has, or had, the packets of a source. */
int store_put_source(struct store *s, const uint8_t origin[STORE_ORIGIN],
		     const char *spool, struct err *err);

struct store_shard *store_shard(struct store *s, int n);

/*
 * A stream begins, or is met again after a restart: then what is there is
 * kept.  NULL where it is no stream at all but the tail of one that had ended
 * before the position; the other calls take NULL and do nothing.
 */
struct store_stream *store_begin(struct store_shard *sh,
				 const struct store_row *row);

/*
 * Much waits for the disk: who cannot wait begins no stream now that has
 * nothing to say yet.
 */
bool store_pressed(const struct store *s);
size_t store_stream_weight(void); /* bytes of memory of an open stream */

/* How many packets it had when an earlier run saw its end; 0: none did. */
uint64_t store_packets_known(const struct store_stream *st);

/* The next bytes of a direction, with the packet that completed them. */
void store_append(struct store_stream *st, int way, uint64_t offset,
		  struct bytes data, uint64_t time_ns, uint64_t packet);
void store_gap(struct store_stream *st, int way, uint64_t offset, uint64_t len,
	       enum flow_gap why, uint64_t time_ns);

/* A unit that a protocol parser found; ranges are offsets of its direction. */
struct store_message {
	uint8_t way, protocol, status; /* numbers of codec/message.h */
	uint64_t ordinal;	       /* of its protocol and direction */
	uint64_t start, end, head_start, head_end, body_start, body_end;
	uint64_t body_bytes, link, code, time_ns;
	struct bytes kind, summary, error, method, target, host, version, name;
	struct bytes extra; /* JSON */
};
void store_message(struct store_stream *st, const struct store_message *m);

struct store_match {
	uint8_t way;
	uint64_t start, end, time_ns;
	struct bytes pattern; /* "regex:0" */
	struct bytes name, content;
};
void store_match(struct store_stream *st, const struct store_match *m);
/* A stream has up to STORE_TAGS_MAX tags; more are counted only. */
void store_tag(struct store_stream *st, const char *tag);

/* The row as it is now; cheap, written with the next batch. */
void store_update(struct store_stream *st, const struct store_row *row);
void store_end(struct store_stream *st, const struct store_row *row);

/*
 * What people do, from any thread; durable when it returns 0.  A comment
 * replaces the one before; "" takes it away.
 */
int store_pin(struct store *s, uint64_t id, bool on, struct err *err);
int store_comment(struct store *s, uint64_t id, const char *text,
		  struct err *err);

/*
 * For what belongs beside the rows: run statements on the writer's connection,
 * inside its open transaction; they are durable with the next commit.  The
 * writer waits meanwhile, so let it be little.  Any thread; fn returns 0 or an
 * error, and may not call the store.
 */
struct sqlite3;
int store_with_rows(struct store *s,
		    int (*fn)(void *arg, struct sqlite3 *db, struct err *err),
		    void *arg, struct err *err);

/* The same from another process than the one that writes the store. */
int store_outside_pin(const char *dir, uint64_t id, bool on, struct err *err);

struct store_counters {
	uint64_t streams;	/* rows */
	uint64_t payload_bytes; /* on disk, all files */
	uint64_t rows_bytes;	/* in use in the database */
	uint64_t waiting_bytes; /* in memory, and the most ever */
	uint64_t waiting_peak;
	uint64_t dropped_bytes; /* over a cap, or after a failure */
	uint64_t evicted_streams, evicted_bytes;
	uint64_t removed_streams; /* rows over streams_max */
	uint64_t skipped_bytes;	  /* given again after a restart */
	uint64_t differing_bytes; /* of those: not what is there */
	uint64_t waits;		  /* appends that waited for the disk */
	uint64_t dropped_tags;	  /* over STORE_TAGS_MAX */
};
void store_counters(struct store *s, struct store_counters *c);

#endif
