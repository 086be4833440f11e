/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network.h - learn that the machine's network has changed.
 *
 * A link that came up, an address or a route that is new: whoever waits to
 * dial again need not wait any longer.
 */
#ifndef ENGINE_LINK_NETWORK_H
#define ENGINE_LINK_NETWORK_H

/* A descriptor that becomes readable by a change; -1 where there is none. */
int network_open(void);

/* Read it empty. */
void network_clear(int fd);

#endif
