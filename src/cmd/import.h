/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import.h - the packets of a capture file into a spool.
 *
 * As fast as the spool takes them, or with the spacing they were recorded
 * with.  None is dropped: where the spool is slower, reading waits.  A thread
 * reads; the other calls belong to the thread that started it.
 */
#ifndef CMD_IMPORT_H
#define CMD_IMPORT_H

#include "engine/capture/exclude.h"
#include "engine/spool/writer.h"

struct err;
struct import;
struct sys;

struct import_config {
	const char *path;	/* "-": standard input */
	const char *expression; /* NULL: everything */
	struct exclude exclude;
	double speed; /* 1: as recorded, 2: twice as fast; 0: at once */
	bool loop;    /* again and again, later by the file's length */
	struct spool_config spool; /* link type and snaplen are the file's */
	struct spool_writer_config writer;
};

struct import_status {
	uint64_t captured;	 /* packets given to the spool */
	uint64_t filtered;	 /* left out by expression or exclusions */
	uint64_t position, size; /* bytes; size 0 where nobody knows */
	uint32_t linktype;
	bool ended; /* all is read, or reading has failed */
	struct spool_writer_status writer;
};

/*
 * Open the file and the spool; texts are borrowed until the stop.  A pipe is
 * waited for until its first packet is there.
 */
struct import *import_start(struct sys *sys, const struct import_config *cfg,
			    struct err *err);
void import_status(const struct import *im, struct import_status *s);

/*
 * End, also before the file has ended, make durable what was read, and free.
 * 0, or the failure of reading or of the spool.
 */
int import_stop(struct import *im, struct err *err);

#endif
