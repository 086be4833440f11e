/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture.h - an interface captured into a spool, whatever the interface does.
 *
 * One thread walks the kernel's ring and copies what is in it into the spool
 * writer's staging memory; it waits for nothing else.  When the interface goes
 * away it is looked for again, after 0.1 to 2 seconds, and at once when the
 * kernel tells of a change; down and up are noted in the spool at their place.
 * An interface that comes back with another link type gets the next spool of
 * the source.  What the kernel or the interface lost becomes a DROP where it
 * was lost.
 *
 * The other calls belong to one thread, the one that started it.
 */
#ifndef ENGINE_CAPTURE_CAPTURE_H
#define ENGINE_CAPTURE_CAPTURE_H

#include "engine/capture/exclude.h"
#include "engine/capture/ring.h"
#include "engine/spool/writer.h"

struct capture;
struct sys;

/* All texts are borrowed until the capture is stopped. */
struct capture_config {
	struct ring_config ring;
	const char *expression;	   /* NULL: everything */
	struct exclude exclude;	   /* besides the live links */
	const char *links;	   /* file of the live links, or NULL */
	struct spool_config spool; /* its link type and snaplen are set here */
	struct spool_writer_config writer;
};

struct capture_status {
	uint64_t captured; /* packets given to the spool */
	uint64_t dropped_kernel;
	uint64_t dropped_interface;
	uint64_t filtered; /* passed the kernel, not the expression */
	uint64_t downs;	   /* times the interface went down */
	uint32_t linktype;
	int links;     /* live links that are left out */
	bool up;       /* packets may come */
	bool spooling; /* writer is filled in */
	struct spool_writer_status writer;
};

/*
 * Open ring and spool and start the thread.  An interface that is not there
 * yet is waited for; anything else that is wrong fails here.
 */
struct capture *capture_start(struct sys *sys, const struct capture_config *cfg,
			      struct err *err);

/*
 * Take what the ring holds, make it durable, close everything and free it.
 * 0 when every packet taken is durable; `last` says what was counted.
 */
int capture_stop(struct capture *c, struct capture_status *last,
		 struct err *err);

/*
 * Follow the links file, ask for the interface's losses, write the counters
 * file.  Call it five times a second.
 */
void capture_tick(struct capture *c);

void capture_status(struct capture *c, struct capture_status *s);

/*
 * Has it moved since the last call: the thread has turned, and packets became
 * durable or none was waiting to?  What a watchdog wants to know.
 */
bool capture_moves(struct capture *c);

#endif
