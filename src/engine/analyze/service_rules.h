/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service_rules.h - which service the first bytes of a direction speak of.
 *
 * One table of tests, the sure ones first; a test reads what is there and
 * nothing else.  Pure.  Why these, and no detection library:
 * doc/decisions/7-own-service-rules.md.
 */
#ifndef ENGINE_ANALYZE_SERVICE_RULES_H
#define ENGINE_ANALYZE_SERVICE_RULES_H

#include "base/bytes.h"

/* Who serves, seen from the one who sent these bytes. */
enum service_who { SERVICE_NOBODY, SERVICE_SENDER, SERVICE_RECEIVER };

struct service_rule {
	const char *name, *evidence;
	enum service_who who;
	uint8_t confidence;
	bool port_knows_side; /* if there is a known one */
};

/*
 * What fits the first bytes of a direction over IP protocol `protocol`, where
 * `by_port` is what the ports say ("unknown").  False: nothing does.
 */
bool service_rule_of(const char *by_port, uint8_t protocol, struct bytes in,
		     struct service_rule *r);

#endif
