/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view.h - reading a store: rows, payload with its gaps, what was found in it.
 *
 * A view of a running store (store_view_of) sees everything that was given
 * before the call, written or not.  A view of a directory (store_view_open)
 * may live in any process and sees what was committed last.  One thread uses a
 * view.  Calls hand out rows and bytes that are borrowed until the callback
 * returns; a callback that returns non-zero ends the walk.
 */
#ifndef ENGINE_STORE_VIEW_H
#define ENGINE_STORE_VIEW_H

#include "engine/store/store.h"

struct store_view;

/* sys and payload_dir as in struct store_config.  NULL on failure. */
struct store_view *store_view_open(struct sys *sys, const char *dir,
				   const char *payload_dir, struct err *err);
struct store_view *store_view_of(struct store *s);
void store_view_close(struct store_view *v);

struct store_filter {
	const char *service;		/* NULL: any */
	uint64_t limit;			/* 0: all */
	bool behind;			/* only rows older than this one: */
	uint64_t behind_ns, behind_id;
};

/* Newest first, by first time and then id. */
int store_view_rows(struct store_view *v, const struct store_filter *f,
		    int (*fn)(void *arg, const struct store_row *row),
		    void *arg, struct err *err);

/* 0, or ERR_GONE: there is no such stream. */
int store_view_row(struct store_view *v, uint64_t id, struct store_row *row,
		   struct err *err);

/* The spool with the packets of a source, or NULL; to be freed. */
char *store_view_spool(struct store_view *v,
		       const uint8_t origin[STORE_ORIGIN]);

/* Why there are no bytes: a flow_gap, or one of these. */
enum store_hole {
	STORE_HOLE_CAP = 16, /* over a cap */
	STORE_HOLE_EVICTED,  /* it had to make room */
	STORE_HOLE_DAMAGED   /* the file is not what was written */
};
const char *store_hole_name(int why);

struct store_piece {
	uint64_t offset, len;
	bool hole;
	int why;	   /* of a hole */
	struct bytes data; /* of `len` bytes otherwise */
};

/*
 * Bytes [from, from + len) of a direction, as far as it goes, in order; what
 * is missing is a hole.
 */
int store_view_read(struct store_view *v, uint64_t id, int way, uint64_t from,
		    uint64_t len,
		    int (*fn)(void *arg, const struct store_piece *piece),
		    void *arg, struct err *err);

/* One store_append(): who said how much when. */
struct store_turn {
	int way;
	uint64_t offset, time_ns, packet;
	uint32_t len;
};
int store_view_turns(struct store_view *v, uint64_t id,
		     int (*fn)(void *arg, const struct store_turn *turn),
		     void *arg, struct err *err);

/* How many there are. */
int store_view_turn_count(struct store_view *v, uint64_t id, uint64_t *n,
			  struct err *err);

int store_view_messages(struct store_view *v, uint64_t id,
			int (*fn)(void *arg, const struct store_message *m),
			void *arg, struct err *err);
int store_view_matches(struct store_view *v, uint64_t id,
		       int (*fn)(void *arg, const struct store_match *m),
		       void *arg, struct err *err);
int store_view_tags(struct store_view *v, uint64_t id,
		    int (*fn)(void *arg, const char *tag), void *arg,
		    struct err *err);

/* "" where there is none. */
int store_view_comment(struct store_view *v, uint64_t id,
		       char out[STORE_TEXT_MAX], struct err *err);

#endif
