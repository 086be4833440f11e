/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dedup.h - has this packet been here already, a moment ago?
 *
 * The same packet seen at two points of a network has other MAC addresses,
 * other VLAN tags, another time to live and another header checksum: all else
 * from the IP header on is compared, by a keyed 128-bit hash.  "A moment" is
 * packet time, counted from the first of the doubles.  What is no IP is never
 * a double.  Memory is bounded: with more packets in the window than
 * DEDUP_MAX the oldest are forgotten, which is counted.
 */
#ifndef ENGINE_SIFT_DEDUP_H
#define ENGINE_SIFT_DEDUP_H

#include "codec/decode.h"

struct dedup;

enum { DEDUP_MAX = 1 << 20 };

struct dedup *dedup_new(uint64_t window_ns);
void dedup_free(struct dedup *d); /* NULL is fine */

/* True when it is a double.  `network` is the packet from its IP header on. */
bool dedup_seen(struct dedup *d, struct bytes network, uint64_t time_ns);

uint64_t dedup_forgotten(const struct dedup *d);

#endif
