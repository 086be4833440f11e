/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.h - what an agent keeps on disk about its collectors.
 *
 * Two small files, each replaced as a whole: how far a collector has
 * acknowledged (for retention), and which spool an ipcap collector was given
 * last.  Losing either loses no packet, so neither is synced.
 */
#ifndef ENGINE_LINK_MEMORY_H
#define ENGINE_LINK_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/spool/spool.h"

struct err;
struct sys;

/* DIR/NAME holds `text` and nothing else; DIR is made where it is missing. */
int memory_replace(struct sys *sys, const char *dir, const char *name,
		   const char *text, struct err *err);

/* <source dir>/peers/<fingerprint>: an index, and in the spool of which origin
 * it counts (doc/spool-format.md). */
int memory_put_ack(struct sys *sys, const char *source_dir,
		   const char *fingerprint, uint64_t index,
		   const uint8_t origin[SPOOL_ID], struct err *err);

/* doc/link-protocol.md, "ipcap". */
struct served {
	bool known;
	uint8_t origin[SPOOL_ID];
	uint64_t fallen; /* how often that spool fell behind the collector */
};

/* <spool dir>/served/<source>-<fingerprint>; not known when unreadable. */
void memory_get_served(struct sys *sys, const char *spool_dir, uint16_t source,
		       const char *fingerprint, struct served *s);
int memory_put_served(struct sys *sys, const char *spool_dir, uint16_t source,
		      const char *fingerprint, const struct served *s,
		      struct err *err);

/* 16 hex digits and a NUL: what ipcap calls the epoch. */
enum { SERVED_EPOCH = 16 };
void served_epoch(char out[SERVED_EPOCH + 1], const struct served *s);

#endif
