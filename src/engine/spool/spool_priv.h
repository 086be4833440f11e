/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spool_priv.h - what the files of this folder share among themselves.
 *
 * Bottom up: source.c (siblings, id, live), scan.c (what lies in a spool, read
 * only), recover.c (what a crash left), segment.c (one segment being written),
 * spool.c (committing), house.c (names, spares, retention), and on them
 * reader.c, writer.c, examine.c and mend.c.
 */
#ifndef ENGINE_SPOOL_SPOOL_PRIV_H
#define ENGINE_SPOOL_SPOOL_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/err.h"
#include "engine/spool/format.h"
#include "engine/spool/siblings.h"
#include "engine/spool/spool.h"
#include "sys/sys.h"

/* -- source.c ------------------------------------------------------------ */

/* Paths; the caller frees them. */
char *source_parent(const char *source_dir);
char *path_in(const char *dir, const char *name);

/*
 * Like err_sys() with a positive errno, but the code is ERR_FULL when the
 * reason is that there is no room.
 */
int err_disk(struct err *err, int number, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* 0, ERR_GONE when there is none, ERR_DAMAGED, ERR_FAILED. */
int identity_load(struct sys *sys, const char *dir, struct spool_identity *id,
		  struct err *err);
int identity_save(struct sys *sys, const char *dir,
		  const struct spool_identity *id, struct err *err);

/* The file's whole content, at most `max` bytes.  0 or a negated errno. */
int file_load(struct sys *sys, const char *path, size_t max, struct buf *out);

/* 0 or ERR_MALFORMED; `file` is a handle of the `live` file. */
int live_load(struct sys *sys, int file, struct live *live);
/* The one in `dir`; false where there is none that can be believed. */
bool live_find(struct sys *sys, const char *dir, struct live *live);
int live_put(struct sys *sys, int file, const struct live *live);

/* -- scan.c -------------------------------------------------------------- */

/* Which of a segment's, or a spare's, two files are there. */
struct scan_pair {
	uint64_t number; /* first index, or the spare's number */
	bool pcap, idx;
};

struct scan_dir {
	struct scan_pair *segments; /* ascending; owned */
	size_t n_segments;
	struct scan_pair *spares; /* ascending; owned */
	size_t n_spares;
	struct scan_pair *old; /* spares under their old names; owned */
	size_t n_old;
	struct scan_pair *made; /* "mend-" and a segment's name; owned */
	size_t n_made;
};

/* ERR_GONE when there is no such directory. */
int scan_list(struct sys *sys, const char *dir, struct scan_dir *out,
	      struct err *err);
void scan_release(struct scan_dir *s);

/* An index file in memory. */
struct scan_index {
	struct buf bytes;
	uint64_t first;
	uint32_t seed;
	uint32_t n;  /* whole entries, valid or not */
	bool headed; /* the header is valid and of this spool and segment */
	struct idx_head head;
};

/* 0 or a negated errno; releases what it held before. */
int scan_index_load(struct sys *sys, const char *path,
		    const struct spool_identity *id, uint64_t first,
		    struct scan_index *out);
/* Without knowing the first index: believe the header, if it is valid. */
int scan_index_load_spare(struct sys *sys, const char *path,
			  const struct spool_identity *id,
			  struct scan_index *out);
int scan_entry(const struct scan_index *x, uint32_t i, struct idx_entry *e);
void scan_index_release(struct scan_index *x);

/* What the entries from the first on to the first unreal one say. */
struct scan_walk {
	uint32_t entries; /* real ones, one behind the other */
	uint32_t batches;
	uint64_t end;  /* one past the last packet */
	uint64_t next; /* where the next segment begins: end, or a GAP's to */
	uint64_t chain;
	uint64_t dropped; /* DROPs in it */
	uint64_t lost;	  /* indices in its GAPs */
	uint64_t length;  /* of the .pcap that they describe */
	uint64_t incarnation;
	uint64_t end_ns; /* latest time of a batch, or of the seal */
	bool sealed;
	/* Entry `entries` is not real, though it was durable once: a later
	 * commit is real, or `live` says so. */
	bool damaged;
	/* It was durable once, but its file ends before it. */
	bool shortened;
	uint64_t durable; /* where `live` says that it goes on; 0: no word */
};

/*
 * Walk at most `limit` entries.  With a .pcap handle a batch is real when its
 * records have the entry's CRC; with -1 entries are believed.
 */
int scan_walk(struct sys *sys, const struct scan_index *x, int pcap,
	      uint32_t limit, struct scan_walk *w, struct err *err);

/*
 * The same for the newest segment of a spool.  A seal there proves that all
 * before its own commit was durable; of that commit each batch is checked.
 * `live` is NULL where it is not known.
 */
int scan_last(struct sys *sys, const struct scan_index *x, int pcap,
	      const struct live *live, struct scan_walk *w, struct err *err);

/* Do the records have that CRC?  1, 0, or a negated errno of reading. */
int scan_records_good(struct sys *sys, int pcap, const struct idx_entry *e,
		      struct buf *scratch);

/* How a segment begins and ends, from its header and its last entries. */
struct scan_ends {
	bool headed;
	struct idx_head head;
	bool sealed;
	uint64_t end, next, chain;
	uint64_t length; /* that the SEAL names */
	uint64_t sealed_ns;
	bool gap; /* ends with a GAP: chains need not join */
	uint64_t pcap_len, idx_len;
};
/* 0 or a negated errno.  `end` and what follows are set where sealed. */
int scan_ends(struct sys *sys, const char *dir, const struct spool_identity *id,
	      uint64_t first, struct scan_ends *out);

/* "dir/00000000000000000017.idx"; the caller frees it. */
char *segment_path(const char *dir, uint64_t first, const char *kind);
char *spare_path(const char *dir, uint64_t number, const char *kind);
char *old_spare_path(const char *dir, uint64_t number, const char *kind);

/* -- mend.c -------------------------------------------------------------- */

/* Copy a file of the spool into damaged/, unless the same is there already. */
int keep_aside(struct sys *sys, const char *dir, const char *name,
	       struct err *err);

/*
 * Finish a mending that was interrupted, or throw away what it had made; all
 * or nothing of it takes place.  1 when names have changed, else 0.
 */
int mend_settle(struct sys *sys, const char *dir, const struct scan_dir *names,
		struct err *err);

/* Mend the last of these segments, and tell each damage in the log. */
int mend_last(struct sys *sys, const char *dir, const struct spool_identity *id,
	      const struct scan_dir *names, const struct live *live,
	      struct err *err);

/* -- recover.c ----------------------------------------------------------- */

/* A finished segment that retention may take. */
struct kept {
	unsigned sibling;
	uint64_t first, end, next;
	uint64_t bytes;
	uint64_t sealed_ns; /* wall clock */
};

/* What is left to write on after recovery. */
struct recovered {
	struct kept *kept; /* finished segments of this spool; owned */
	size_t n_kept;
	bool any;	/* there is a segment; false: wiped, or new */
	bool open;	/* `last` goes on being written */
	uint64_t first; /* of the last segment */
	struct idx_head head;
	struct scan_walk last;
	uint64_t spare; /* next unused spare number */
};

/* Settle names, check the joins, cut a torn tail; the lock is held. */
int spool_recover(struct sys *sys, const char *dir,
		  const struct spool_identity *id, unsigned sibling,
		  struct recovered *out, struct err *err);
void recovered_release(struct recovered *r);

/* Show readers all that was recovered, where no writer goes on with it. */
int live_settle(struct sys *sys, const char *dir, const struct recovered *r,
		struct err *err);

/* Finished segments of a spool that nobody writes any more, for retention. */
int kept_load(struct sys *sys, const char *dir, unsigned sibling,
	      struct kept **list, size_t *n, struct err *err);

/* -- acks.c -------------------------------------------------------------- */

/* The place that every collector has acknowledged; all before it is theirs. */
struct acks {
	bool any; /* there is a collector */
	unsigned sibling;
	uint64_t index;
};

void acks_load(struct spool *s, struct acks *least);
bool acks_cover(const struct acks *a, const struct kept *k);

/* -- segment.c ----------------------------------------------------------- */

/* One segment with its two files open for writing. */
struct segment {
	bool open;
	int pcap, idx;
	uint64_t spare; /* its number while it has no name of its own */
	bool named;
	bool replaces; /* another file has its name: see house.c */
	bool reserved;
	bool sealed;
	bool poisoned;
	uint64_t first, end, next;
	uint64_t length;    /* durable bytes of the .pcap; 0: no header yet */
	uint32_t entries;   /* durable entries */
	uint32_t batches;   /* durable BATCH entries */
	uint64_t begun_ns;  /* mono, when its first batch became durable */
	uint64_t sealed_ns; /* wall clock */
};

/* Create a spare's files, reserve their blocks, make both durable. */
int segment_prepare(struct sys *sys, const char *dir, uint64_t spare,
		    uint64_t reserve, struct segment *out, struct err *err);
void segment_close(struct sys *sys, struct segment *g);
/* Remove the files of an unnamed one, durably, and close it. */
int segment_discard(struct sys *sys, const char *dir, struct segment *g,
		    struct err *err);
/* Give it its name. */
int segment_name_it(struct sys *sys, const char *dir, const struct segment *g,
		    struct err *err);
/* The path it has now; the caller frees it. */
char *segment_where(const char *dir, const struct segment *g, const char *kind);

/* -- spool.c and house.c ------------------------------------------------- */

/* Appended, not durable. */
struct item {
	bool is_note;
	bool counted; /* a DROP that was durable in a segment given up */
	struct spool_note note;
	uint64_t at;	/* index where it stands */
	struct run run; /* records.p is NULL when they lie in `copies` */
	size_t copy;	/* where */
	uint64_t chain; /* behind it */
};

struct spool {
	struct sys *sys;
	struct spool_config cfg;
	char *source_dir;
	char *dir;
	unsigned sibling;
	struct spool_identity identity;
	int lock_file, live_file;
	uint64_t incarnation, boot;

	/* -- the committing thread's */
	struct item *items;
	size_t n_items, items_cap;
	struct buf copies, out;
	_Atomic uint64_t next; /* first index not appended; others look */
	uint64_t next_chain;   /* behind all that was appended */
	uint64_t pending;      /* bytes of records in items */
	struct segment seg;    /* changed with `lock` held: the keeper looks */
	uint32_t before;       /* entries of the last finished segment */
	uint64_t litter;       /* a spare that could not be removed, or 0 */
	uint64_t dropped_before; /* DROPs up to its end */

	/* -- `house` is held for slow work on the directory, `lock` only for
	 * moments; who wants both takes `house` first */
	pthread_mutex_t house, lock;

	/* -- under house */
	uint64_t next_spare;
	bool trouble_said;
	uint64_t warned_ns, missed_ns;
	bool warned, missed;

	/* -- under lock */
	struct segment ready; /* the prepared spare; open when there is one */
	struct segment *done; /* finished, not yet named and closed; in order */
	size_t n_done, done_cap;
	struct kept *kept; /* finished, named; oldest first */
	size_t n_kept, kept_cap;
	uint64_t kept_bytes;
	struct {
		uint64_t segment, head;
		uint32_t entries;
	} shown;	 /* what readers may see */
	bool live_stale; /* the last write of `live` failed */
	uint64_t head, chain, dropped;
	uint64_t commits, reaped, reaped_unacked, poisoned, segments;
	uint64_t seg_bytes; /* of the segment being written */

	/* -- who does the housekeeping, when somebody does */
	void (*wake_keeper)(void *arg);
	void *keeper;
};

/* Names, spares and retention are left to a thread that is woken so. */
void spool_set_keeper(struct spool *s, void (*wake)(void *arg), void *arg);

/*
 * spool_append() without a copy: the records stay as they are until they are
 * durable.
 */
int spool_append_lent(struct spool *s, const struct run *r,
		      const uint64_t *chain, struct err *err);

/* Name what is durable and has no name yet, close what is finished. */
int house_names(struct spool *s, struct err *err);
/* Remove the oldest segments until the spool is within its caps. */
int house_retain(struct spool *s, struct err *err);
/* The next segment to write into: the prepared one, or one made now. */
int house_take_spare(struct spool *s, struct segment *out, struct err *err);
/* Remove the oldest segment.  False when there is none to remove. */
bool house_reap_one(struct spool *s, struct err *err);
/* `lock` is held: write `live`. */
void live_write_locked(struct spool *s);
uint64_t spool_oldest_locked(const struct spool *s);

#endif
