/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rules.h - named filters of packets, from gophercap's YAML.
 *
 *	web:
 *	  conditions:
 *	    - kind: subnet          # subnet, port, ether, asn, raw
 *	      match: [10.0.0.0/8, 192.0.2.7]
 *	    - kind: port
 *	      negate: true
 *	      match: [443/tcp]
 *
 * A filter takes a packet when every condition does; a condition does when any
 * of its matches is of either end of the packet, or, negated, none is
 * (doc/data-sets.md, "Filters").
 *
 * A set of rules belongs to one thread: what it has compiled and looked up is
 * in it.
 */
#ifndef ENGINE_SIFT_RULES_H
#define ENGINE_SIFT_RULES_H

#include "codec/decode.h"
#include "codec/packet.h"

struct asn;
struct err;
struct rules;
struct yaml_doc;

enum { RULES_MAX = 65536, RULE_NAME_MAX = 200 };

/* A packet with what decode_frame() said of it. */
struct rules_packet {
	const struct packet *packet;
	uint32_t linktype;
	const struct decoded *decoded;
};

/*
 * NULL with a sentence that tells the line.  `asn` is borrowed; NULL refuses
 * conditions of that kind.
 */
struct rules *rules_new(const struct yaml_doc *doc, struct asn *asn,
			struct err *err);
void rules_free(struct rules *r); /* NULL is fine */

size_t rules_count(const struct rules *r);
const char *rules_name(const struct rules *r, size_t i); /* safe as a name */

/*
 * Does filter i take the packet?  1, 0, or ERR_USAGE when a raw condition has
 * no meaning for this link type.
 */
int rules_take(struct rules *r, size_t i, const struct rules_packet *p,
	       struct err *err);

#endif
