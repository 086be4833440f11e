/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feed_priv.h - what the files of this folder share.
 *
 * feed.c listens, wakes and ends; client.c moves one client on.
 */
#ifndef ENGINE_FEED_FEED_PRIV_H
#define ENGINE_FEED_FEED_PRIV_H

#include "base/log.h"
#include "codec/record.h"
#include "engine/feed/chunk.h"
#include "engine/feed/feed.h"
#include "engine/spool/reader.h"
#include "sys/sys.h"

struct expression;
struct names;
struct places;

/* What the records of spools with this link type and snaplen become. */
struct outcome {
	struct outcome *next;
	uint32_t linktype, snaplen; /* as the spool says */
	struct expression *filter;  /* owned; NULL: none */
	struct variant variant;
};

struct client {
	struct feed *feed;
	struct client *prev, *next;
	char peer[SYS_PEER_MAX], here[SYS_PEER_MAX];
	int socket;
	struct loop_watch *watch;
	int watched;	  /* LOOP_READ | LOOP_WRITE */
	bool half_closed; /* it will send nothing any more; it may read */
	bool idle;	  /* has everything; waits for the spool to grow */

	struct spool_reader *reader;
	const struct outcome *outcome; /* NULL until the header is made */
	uint8_t spool[SPOOL_ID];       /* where it is */
	uint8_t origin[SPOOL_ID];
	uint64_t at; /* first packet it has not got all of */

	uint8_t head[PCAP_HEADER];
	size_t head_done;

	struct spool_event run; /* RUN, while in_run */
	bool in_run;
	bool marked;	 /* it is in `marks` */
	uint32_t skip;	 /* packets of it that are not for this client */
	size_t done;	 /* bytes of its chunk that are sent */
	struct buf rest; /* of a record whose run was left; goes out first */
	bool closing;	 /* and then there is nothing more */

	bool want_index, want_time; /* the first run may begin too early */
	uint64_t want;

	uint64_t sent; /* bytes, header included */
	uint64_t packets;
	uint64_t upstream;
	uint64_t moved_ns; /* when it last took something */

	struct mark *marks; /* from=client: what it may not have got yet */
	size_t n_marks, marks_cap;
};

struct feed {
	struct loop *loop;
	struct sys *sys;
	char *dir;
	struct feed_config cfg;
	char address[SYS_PEER_MAX];
	int listening[2]; /* -1: none */
	struct loop_watch *accepting[2];

	struct spool_reader
		*tail; /* owns the descriptor that tells of growth */
	struct loop_watch *growth;
	struct loop_timer *poll; /* where there is no such descriptor */
	struct loop_wake *wake;
	struct loop_timer *tick;

	struct client *clients; /* newest first */
	uint64_t n_clients;
	struct outcome *outcomes;
	struct chunk_cache *cache;
	struct places *places; /* from=client only */
	struct names *names;
	struct feed_counters count;
	unsigned lines_left; /* of the log, this second */
	unsigned lines_lost;

	void (*on_links)(void *arg);
	void *on_links_arg;

	bool ending;
	enum feed_end how;
	uint64_t end_ns;
	struct loop_timer *ender;
	void (*done)(void *arg);
	void *done_arg;
};

static inline void count_add(atomic_uint_fast64_t *c, uint64_t n)
{
	atomic_store_explicit(c,
			      atomic_load_explicit(c, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

static inline void count_set(atomic_uint_fast64_t *c, uint64_t v)
{
	atomic_store_explicit(c, v, memory_order_relaxed);
}

static inline uint64_t feed_now(const struct feed *f)
{
	return f->sys->mono_ns(f->sys);
}

/* An event of one client.  A storm of them is summed up, not written out. */
void feed_log(struct feed *f, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Somebody has come or gone. */
void feed_links_changed(struct feed *f);

/* NULL, with a sentence, when the filter does not compile for it. */
const struct outcome *
feed_outcome(struct feed *f, const struct spool_identity *id, struct err *err);

/* Takes the socket.  Nothing is sent yet. */
void client_new(struct feed *f, int socket, const char *peer);

/* Send what goes now, a bounded amount.  The client may be gone afterwards. */
void client_serve(struct client *c);

/* What it says is nothing to us, but what it says at length ends it.  False
 * when the client is gone. */
bool client_hear(struct client *c);

/* Say why, remember its place, hang up, free.  `why` may be NULL. */
void client_close(struct client *c, const char *why);

/*
 * What it reads was removed: let its files go now, whether it takes anything
 * or not, and go on with what there is (a gap, and the oldest).
 */
void client_let_go(struct client *c);

/* Close it where its present record ends. */
void client_end_at_record(struct client *c);

#endif
