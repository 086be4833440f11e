/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feed.h - PCAP-over-IP: one spool, read by any number of clients.
 *
 * A client connects and gets a classic pcap file that never ends: 24 bytes of
 * header as soon as the link type is known, never before, then whole records.
 * Each client is a place in the spool, moved by one thread and its loop: one
 * that reads slowly, or not at all, lags there and costs nobody else anything.
 * What it lags behind by lies in the spool, not in memory: a feed holds at
 * most cache_max bytes of converted records, whatever its clients do.
 *
 * A client never gets a part of a record followed by something else.  It is
 * closed, so that it comes again and gets a new header, when the link type
 * changes and (unless told otherwise) when packets are missing: doc/feed.md.
 *
 * It reads through spool/reader.h only, so a capture's spool, a mirror and a
 * spool in memory are served alike.  Everything runs on the loop's thread,
 * except feed_wake().
 */
#ifndef ENGINE_FEED_FEED_H
#define ENGINE_FEED_FEED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct buf;
struct err;
struct feed;
struct loop;
struct sys;

enum {
	FEED_LISTEN_MAX = 256,
	FEED_FILTER_MAX = 4096,
	FEED_CAPLEN = 65535 /* what every reader in use accepts */
};

/* Where a new client begins. */
enum feed_from {
	FEED_LIVE,   /* with what becomes durable from now on */
	FEED_OLDEST, /* with the oldest packet there is */
	FEED_INDEX,  /* with packet number from_value */
	FEED_TIME,   /* with the first packet at from_value, ns since 1970 */
	FEED_AGO,    /* the same, from_value ns before it connects */
	FEED_CLIENT  /* where this client's address stopped; else live */
};

struct feed_config {
	char listen[FEED_LISTEN_MAX]; /* "host:port"; port 0 picks one */
	enum feed_from from;
	uint64_t from_value;
	bool nano;	      /* nanoseconds; else microseconds */
	bool continue_at_gap; /* else close the client, to begin afresh */
	bool drop_slow;	      /* close who takes nothing for slow_ns */
	uint64_t slow_ns;
	uint64_t max_caplen; /* the header's snaplen, longer records are cut;
				0: the source's, at most FEED_CAPLEN */
	char filter[FEED_FILTER_MAX]; /* tcpdump's language; "": all */
	uint64_t clients_max;
	uint64_t cache_max; /* bytes of converted records kept */
	bool names;	    /* log the clients' names, looked up aside */
};

#define FEED_CONFIG_DEFAULT                                                    \
	((struct feed_config){ .listen = "localhost:4242",                     \
			       .slow_ns = UINT64_C(10000000000),               \
			       .clients_max = 256,                             \
			       .cache_max = UINT64_C(64) << 20 })

/*
 * "HOST:PORT[,KEY=VALUE]…" over what cfg holds already; the keys are in
 * doc/feed.md.  0, or ERR_USAGE with a sentence that names the key, the value
 * and what it may be.
 */
int feed_config_parse(struct feed_config *cfg, const char *text,
		      struct err *err);

/* What parsing does not see: does the filter compile?  0, or ERR_USAGE. */
int feed_config_check(const struct feed_config *cfg, struct err *err);

/*
 * Listen, and serve the source whose spool is (or will be) source_dir.  NULL
 * on failure: the address is taken, the filter does not compile.
 */
struct feed *feed_new(struct loop *loop, struct sys *sys,
		      const char *source_dir, const struct feed_config *cfg,
		      struct err *err);

/* Close everything at once.  NULL is ignored. */
void feed_free(struct feed *f);

/* Where it listens, "127.0.0.1:4242"; borrowed. */
const char *feed_address(const struct feed *f);

/* The spool may have grown; any thread may call, as often as it likes. */
void feed_wake(struct feed *f);

/*
 * Who is connected, one line each: "address port address port", ours first.
 * What a capture must leave out that would else show its own feed.
 */
void feed_links(const struct feed *f, struct buf *out);

/* Call fn whenever that has changed, before a new client gets anything. */
void feed_on_links(struct feed *f, void (*fn)(void *arg), void *arg);

enum feed_end {
	FEED_END_HEAD,	/* when a client has everything that is durable */
	FEED_END_RECORD /* as soon as its present record is whole */
};

/*
 * Accept nobody any more and close each client there; done(arg) is called
 * once, when none is left.  One that takes nothing any more is given up:
 * after 5 s (HEAD) or 200 ms (RECORD).
 */
void feed_end(struct feed *f, enum feed_end how, void (*done)(void *arg),
	      void *arg);

/* Written by the loop's thread only; any thread may read. */
struct feed_counters {
	atomic_uint_fast64_t clients;	/* connected now */
	atomic_uint_fast64_t behind;	/* packets the slowest has to go */
	atomic_uint_fast64_t connected; /* ever */
	atomic_uint_fast64_t refused;	/* over clients_max */
	atomic_uint_fast64_t packets;	/* sent, over all clients */
	atomic_uint_fast64_t bytes;
	atomic_uint_fast64_t clipped;  /* packets sent shorter than captured */
	atomic_uint_fast64_t filtered; /* packets a filter left out */
	atomic_uint_fast64_t gaps;     /* met by clients */
	atomic_uint_fast64_t missing;  /* packets in them */
	atomic_uint_fast64_t slow;     /* clients closed because they were */
	atomic_uint_fast64_t cached;   /* bytes of converted records held */
};
const struct feed_counters *feed_counters(const struct feed *f);

#endif
