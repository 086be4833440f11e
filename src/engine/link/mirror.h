/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mirror.h - the collector's copy of one source: a spool with the sender's
 * origin and numbers.
 *
 * The commit point is the spool itself: what is durable in it, and nothing
 * else, is acknowledged.  The mirror takes only what comes next; a spool that
 * is not the continuation begins beside the old ones, which are never touched.
 * It outlives connections.  One thread, besides the spool's own.
 */
#ifndef ENGINE_LINK_MIRROR_H
#define ENGINE_LINK_MIRROR_H

#include "codec/weirlink.h"
#include "engine/spool/spool.h"
#include "engine/spool/writer.h"

struct err;
struct mirror;
struct sys;

enum {
	MIRROR_SPOOLS_MAX = 16, /* remembered, the newest first */
	MIRROR_SIBLINGS_A_DAY = 16
};
#define MIRROR_GAP_MAX (UINT64_C(1) << 32)

struct mirror_config {
	struct sys *sys;
	const char *dir;  /* "mirror/src1"; siblings are made beside it */
	uint16_t source;  /* its number at the agent */
	const char *name; /* for logs */
	struct spool_config spool; /* segments and retention */
	struct spool_writer_config writer;
};

struct mirror_status {
	bool begun; /* there is a spool */
	struct spool_identity identity;
	uint64_t next, durable;
	uint64_t packets, bytes; /* put since the start */
	uint64_t gaps, missing;	 /* GAPs, and the packets in them */
	uint64_t doubles;	 /* packets dropped by index */
	uint64_t siblings;	 /* begun because the source diverged */
	uint64_t oldest, spool_bytes;
	bool degraded;
	char trouble[160];
};

/*
 * Take the mirror's lock and go on with what is there.  ERR_BUSY: another
 * collector has it.  cfg is copied, its texts are borrowed.
 */
struct mirror *mirror_open(const struct mirror_config *cfg, struct err *err);

/* Everything that was put becomes durable.  NULL is ignored. */
void mirror_close(struct mirror *m);

/* What to ask for: entries for a RESUME, newest first; how many. */
int mirror_entries(const struct mirror *m, struct weirlink_entry *entries,
		   int max);

/*
 * What follows belongs to this spool, from index `first` on.  It is made when
 * its first packet, gap or note comes, unless it is the one in use: then
 * `first` must not leave a hole, which the next put sees.  `anew` makes
 * another one even so.
 */
void mirror_turn(struct mirror *m, const struct spool_identity *spool,
		 uint64_t first, bool anew);

/*
 * Put a whole run; what is below the next index is dropped as double.  0;
 * ERR_FULL: keep it and come again when mirror_fd() is readable; ERR_MALFORMED
 * for a hole, records that do not fit their description, or an index beyond
 * all; ERR_LIMIT when too many spools have begun.  `chained`: r->chain is the
 * sender's; otherwise the mirror computes it.
 */
int mirror_put_run(struct mirror *m, struct run *r, bool chained,
		   uint64_t now_ns, struct err *err);
int mirror_put_gap(struct mirror *m, uint64_t from, uint64_t to,
		   unsigned reason, uint64_t now_ns, struct err *err);
int mirror_put_note(struct mirror *m, uint64_t at,
		    const struct spool_note *note, uint64_t now_ns,
		    struct err *err);

uint64_t mirror_next(const struct mirror *m);
/* First index that is not durable, in the spool that is in use. */
uint64_t mirror_durable(const struct mirror *m);
/* The spool in use; NULL before there is one. */
const struct spool_identity *mirror_identity(const struct mirror *m);
/* The one that the next put goes to: the same, or what it was turned to. */
const struct spool_identity *mirror_target(const struct mirror *m);

/* Readable when mirror_durable() has moved; -1 before there is a spool; it
 * may change with each put.  mirror_clear() reads it empty. */
int mirror_fd(const struct mirror *m);
void mirror_clear(struct mirror *m);
/* Another number where it is another descriptor. */
uint64_t mirror_life(const struct mirror *m);

const struct mirror_config *mirror_config(const struct mirror *m);
void mirror_status(const struct mirror *m, struct mirror_status *status);

#endif
