/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service.h - which service a stream belongs to: a guess.
 *
 * Ports say it from the first packet on; payload, once seen, knows better.
 * Names, ports, sides, evidence and confidence are rustmate's; the payload
 * rules are stricter than its own where those took other protocols for theirs
 * (doc/analyze.md, "Services").  Pure.
 */
#ifndef ENGINE_ANALYZE_SERVICE_H
#define ENGINE_ANALYZE_SERVICE_H

#include "base/bytes.h"

enum service_side { SERVICE_SIDE_A, SERVICE_SIDE_B, SERVICE_SIDE_UNKNOWN };

enum service_source {
	SERVICE_UNKNOWN,
	SERVICE_PORT,
	SERVICE_PAYLOAD,
	SERVICE_PORT_AND_PAYLOAD
};

struct service {
	const char *name; /* "http"; "unknown" */
	const char *evidence;
	uint8_t side;	    /* who serves: enum service_side */
	uint8_t confidence; /* 0 to 100 */
	uint8_t source;	    /* enum service_source */
};

/* From the ports of ends a and b. */
struct service service_of_ports(uint8_t protocol, uint16_t a, uint16_t b);

/*
 * From the first bytes that went in direction `way` (0: from a to b).  True
 * when *s is another guess now.
 */
bool service_see(struct service *s, uint8_t protocol, int way,
		 struct bytes head);

const char *service_side_name(enum service_side side);
const char *service_source_name(enum service_source source);

#endif
