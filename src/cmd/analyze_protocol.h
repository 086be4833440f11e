/* SPDX-License-Identifier: Apache-2.0 */
/*
 * analyze_protocol.h - the parsers of protocols, plugged into an analysis.
 *
 * A sink at each worker: it feeds what a stream says to engine/protocol, and
 * hands each message to all sinks and to the events (stream_message()).
 */
#ifndef CMD_ANALYZE_PROTOCOL_H
#define CMD_ANALYZE_PROTOCOL_H

#include "engine/protocol/protocol.h"

struct analyze;
struct parsers;

/*
 * Before the first packet.  The caps are of the process: each worker has its
 * share.  NULL when no place for a sink is left.
 */
struct parsers *parsers_new(struct analyze *a,
			    const struct protocol_config *cfg);

/* After analyze_finish(); NULL is fine. */
void parsers_free(struct parsers *p);

#endif
