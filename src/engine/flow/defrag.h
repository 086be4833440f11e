/* SPDX-License-Identifier: Apache-2.0 */
/*
 * defrag.h - IP fragments put together as a Linux host does.
 *
 * A fragment that lies wholly inside what is there is ignored (the first copy
 * wins).  Any other overlap, a second end at another place, or a middle piece
 * that is no multiple of eight bytes drops the whole datagram, and what is
 * still to come of it (RFC 5722; Linux does the same for IPv4).  Everything is
 * bounded: datagrams, pieces of each, bytes of all, and the time they wait.
 * One thread.
 */
#ifndef ENGINE_FLOW_DEFRAG_H
#define ENGINE_FLOW_DEFRAG_H

#include "codec/decode.h"

struct defrag;

struct defrag_config {
	uint32_t datagrams_max; /* waiting at once; the oldest goes first */
	uint32_t pieces_max;	/* of one datagram */
	uint64_t bytes_max;	/* of all */
	uint64_t wait_ns;	/* from the first piece */
};

#define DEFRAG_CONFIG_DEFAULT                                                  \
	((struct defrag_config){ .datagrams_max = 4096,                        \
				 .pieces_max = 256,                            \
				 .bytes_max = UINT64_C(64) << 20,              \
				 .wait_ns = UINT64_C(30000000000) })

struct defrag_counters {
	uint64_t pieces, whole;
	uint64_t repeated;  /* pieces that held nothing new */
	uint64_t overlaps;  /* datagrams dropped for it */
	uint64_t broken;    /* pieces that cannot be */
	uint64_t timed_out; /* datagrams that waited too long */
	uint64_t evicted;   /* datagrams that a cap pushed out */
	uint64_t waiting, bytes;
};

struct defrag *defrag_new(const struct defrag_config *cfg,
			  const uint8_t seed[16]);
void defrag_free(struct defrag *g);

/*
 * Take the piece in d (DECODE_FRAGMENT).  True when its datagram is whole: d
 * is then what decode_datagram() makes of it, and its payload is borrowed
 * until the next call.
 */
bool defrag_put(struct defrag *g, struct decoded *d, uint64_t now_ns);

void defrag_counters(const struct defrag *g, struct defrag_counters *c);

#endif
