/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture_stats.h - the small file in which a capture tells its counters.
 *
 * "src1.stats" beside "src1", rewritten in place each second and read by who
 * serves the spool; doc/capture.md, "Counters".
 */
#ifndef CODEC_CAPTURE_STATS_H
#define CODEC_CAPTURE_STATS_H

#include "base/bytes.h"

enum { CAPTURE_STATS_SIZE = 64 };

struct capture_stats {
	uint64_t time_ns;	    /* when it was written */
	uint64_t captured;	    /* packets given to the spool */
	uint64_t dropped_kernel;    /* no room in the kernel's ring */
	uint64_t dropped_interface; /* lost by the interface itself */
	uint64_t filtered;	    /* passed the kernel, not the expression */
	bool up;		    /* capturing now */
};

void capture_stats_store(uint8_t to[CAPTURE_STATS_SIZE],
			 const struct capture_stats *s);

/* 0 or ERR_MALFORMED; while it is being rewritten a second try may help. */
int capture_stats_parse(struct bytes in, struct capture_stats *s);

#endif
