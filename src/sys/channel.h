/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel.h - pointers from one thread to another, in order and bounded.
 *
 * For batches, never for single packets: each call takes a lock.  What a full
 * channel means is the sender's choice at each call: wait, or be told.  Any
 * number of threads may send and receive.
 */
#ifndef SYS_CHANNEL_H
#define SYS_CHANNEL_H

#include <stdbool.h>

struct channel;

struct channel *channel_new(unsigned room); /* at least 1 */
void channel_free(struct channel *c);	    /* nobody waits; NULL is fine */

/* False when the channel is full and !wait, or closed. */
bool channel_send(struct channel *c, void *item, bool wait);

/*
 * The oldest item; NULL when none came within timeout_ms (-1: for ever), or
 * when the channel is closed and empty.
 */
void *channel_receive(struct channel *c, int timeout_ms);

/* Nothing more can be sent; what is in it can still be received. */
void channel_close(struct channel *c);
bool channel_over(struct channel *c); /* closed and empty */

unsigned channel_length(struct channel *c);

#endif
