/* SPDX-License-Identifier: Apache-2.0 */
/*
 * end.h - one end of one connection, as its driver sees it.
 *
 * An end is a state machine without I/O: bytes of the network go in by take,
 * bytes for the network lie in the wire's `out`, time is an argument.  The
 * driver (pump.h, or a test) calls work whenever bytes came in, something was
 * sent, the deadline has come, or a spool may have moved; all calls may be
 * made too often.  A failure of either call ends the connection, and what is
 * still in `out` may be sent before.
 */
#ifndef ENGINE_LINK_END_H
#define ENGINE_LINK_END_H

#include "base/bytes.h"

struct err;
struct link_end;
struct link_wire;

/* Above this much waiting to be sent, an end makes nothing more. */
enum { LINK_OUT_HIGH = 512 << 10 };

#define LINK_SILENCE_NS	  UINT64_C(20000000000)
#define LINK_HANDSHAKE_NS UINT64_C(10000000000)
#define LINK_BEAT_NS	  UINT64_C(1000000000)

struct link_end_calls {
	int (*take)(struct link_end *e, struct bytes in, uint64_t now_ns,
		    struct err *err);
	int (*work)(struct link_end *e, uint64_t now_ns, struct err *err);
	/* When work wants to be called again, at the latest. */
	uint64_t (*deadline)(const struct link_end *e);
	/* False: leave the bytes in the network; the disk is behind. */
	bool (*hungry)(const struct link_end *e);
};

/* The first member of each end. */
struct link_end {
	const struct link_end_calls *calls;
	struct link_wire *wire;
};

#endif
