/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader.h - reading a source from its spools, in any thread or process.
 *
 * A reader has a place: it walks the siblings of a source in order and gives
 * what lies there as events.  It never writes, takes no lock, holds at most
 * one segment open, and never gives what is not durable.  One thread a reader.
 *
 * A segment that retention removes stays readable to who has it open, so that
 * a reader at work loses nothing; but its blocks are free only when the last
 * one has let go.  Who may stand still for long asks spool_reader_status() now
 * and then: it lets go of what was removed SPOOL_RETIRED_NS ago.
 */
#ifndef ENGINE_SPOOL_READER_H
#define ENGINE_SPOOL_READER_H

#include "engine/spool/spool.h"

struct buf;
struct spool_reader;

enum spool_event_kind {
	SPOOL_EVENT_BEGIN = 1, /* a spool begins: identity; also the first */
	SPOOL_EVENT_RUN,       /* run, not loaded yet */
	SPOOL_EVENT_NOTE,      /* DROP, GAP or NOTE of the writer */
	SPOOL_EVENT_GAP	       /* [from, to) will not come: retention, damage */
};

/* Valid until the next call on the reader. */
struct spool_event {
	enum spool_event_kind kind;
	const struct spool_identity *identity; /* of the spool it lies in */
	uint64_t at;			       /* index where it stands */
	struct run run; /* RUN; records is empty until loaded */
	int file;	/* RUN: handle of the .pcap, and where it lies */
	uint64_t offset;
	uint32_t length;
	struct spool_note note; /* NOTE, GAP (value is the end) */
};

/* Where a reader is, or wants to be. */
enum spool_place {
	SPOOL_OLDEST, /* the first packet of the first sibling */
	SPOOL_LIVE,   /* what becomes durable from now on */
	SPOOL_INDEX,  /* `index` in the newest spool with that origin, or in
			 the newest of all when origin is zero */
	SPOOL_TIME    /* the first run whose latest time is >= time_ns */
};

struct spool_seek {
	enum spool_place place;
	uint8_t origin[SPOOL_ID];
	uint64_t index;
	uint64_t time_ns;
};

/*
 * Works before the source exists: next then says ERR_AGAIN.  The first event
 * is always a BEGIN.  NULL on failure (the directory may not be read).
 */
struct spool_reader *spool_reader_open(struct sys *sys, const char *source_dir,
				       struct err *err);
void spool_reader_close(struct spool_reader *r);

/*
 * Move; the next event is a BEGIN.  An index inside a run gives that whole run
 * first; one below the oldest gives a GAP and then the oldest; one above the
 * head is ERR_GONE, an unknown origin ERR_UNKNOWN, and the place stays.  Notes
 * that stand exactly at an index come after a seek to it, also when they were
 * given before.
 */
int spool_reader_seek(struct spool_reader *r, const struct spool_seek *to,
		      struct err *err);

/*
 * The next event.  0; ERR_AGAIN when everything durable was given (wait on
 * spool_reader_fd() or a timer); ERR_DAMAGED with a sentence when the index
 * itself is broken here: the next call goes on behind it, after a GAP.
 */
int spool_reader_next(struct spool_reader *r, struct spool_event *ev,
		      struct err *err);

/*
 * Read the run of a RUN event to the end of `out`, check its CRC and set
 * ev->run.records (borrowed from out).  ERR_DAMAGED when the bytes are not
 * what was written; the next event is then a GAP over exactly that run.
 */
int spool_reader_load(struct spool_reader *r, struct spool_event *ev,
		      struct buf *out, struct err *err);

/* The chain value behind the batch that ends at `index` in the spool with
 * that origin (0 at a spool's first index).  0 or ERR_GONE, ERR_UNKNOWN. */
int spool_reader_chain(struct spool_reader *r, const uint8_t origin[SPOOL_ID],
		       uint64_t index, uint64_t *chain, struct err *err);

#define SPOOL_RETIRED_NS UINT64_C(10000000000)

/* A RUN event is not valid any more after this call either. */
struct spool_reader_status {
	bool exists;
	struct spool_identity identity; /* of the newest spool */
	uint64_t oldest, head, dropped, bytes;
	uint64_t position;  /* index of the next event */
	uint64_t newest_ns; /* latest time of the last run given */
	bool writer_alive;
};
int spool_reader_status(struct spool_reader *r,
			struct spool_reader_status *status, struct err *err);

/*
 * Readable when the source may have grown (inotify); drain by calling
 * spool_reader_next() until ERR_AGAIN.  -1 where there is none: poll.
 */
int spool_reader_fd(struct spool_reader *r);

#endif
