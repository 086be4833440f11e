/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sock.h - what a server needs to know of its clients' sockets.
 *
 * For descriptors of the machine (sys_host(), sys_memory_new()).
 */
#ifndef SYS_SOCK_H
#define SYS_SOCK_H

#include <stdbool.h>
#include <stddef.h>

/* Let the process have `n` descriptors, or as many as it may allow itself. */
void sock_allow(size_t n);

/*
 * Bound what the kernel holds for the peer to about `send_bytes`, and learn
 * within about a minute when the peer's machine is gone.
 */
void sock_prepare(int socket, int send_bytes);

/*
 * For a link: learn when the peer's machine is gone, by what it does not
 * acknowledge within `patience_ms`, or by probes while nothing is sent.
 */
void sock_prepare_link(int socket, int patience_ms);

/* Bytes handed to the kernel that the peer's machine has not acknowledged. */
size_t sock_unacked(int socket);

/* The connection is over for both directions. */
bool sock_dead(int socket);

#endif
