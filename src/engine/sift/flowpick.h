/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowpick.h - is this packet of that flow?
 *
 * Both directions, and fragments that follow a first one of the flow.  A flow
 * inside a tunnel is looked for there, and the tunnel's own addresses must be
 * right.  One thread.
 */
#ifndef ENGINE_SIFT_FLOWPICK_H
#define ENGINE_SIFT_FLOWPICK_H

#include "engine/sift/eve.h"

struct err;
struct flowpick;
struct packet;

/* NULL with a sentence when the event does not tell enough of a flow. */
struct flowpick *flowpick_new(const struct eve_event *e, struct err *err);
void flowpick_free(struct flowpick *f); /* NULL is fine */

bool flowpick_takes(struct flowpick *f, uint32_t linktype,
		    const struct packet *p);

#endif
