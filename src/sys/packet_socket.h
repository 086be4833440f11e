/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packet_socket.h - one AF_PACKET socket with a TPACKET_V3 ring.
 *
 * The kernel writes packets into blocks of memory that it shares with us and
 * hands over a block when it is full or after a few milliseconds; we hand it
 * back.  No call a packet.  One thread, except packet_socket_filter().
 */
#ifndef SYS_PACKET_SOCKET_H
#define SYS_PACKET_SOCKET_H

#include <linux/if_packet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct packet_socket;
struct sock_filter;

/*
 * Free bytes before each packet in the ring, enough to put a header in front
 * (20 bytes of SLL2 and a VLAN tag).  Memory of the ring may be written to.
 */
enum { PACKET_SOCKET_ROOM = 32 };

struct packet_socket_config {
	const char *name; /* of the interface, for sentences */
	int index;	  /* 0: all interfaces */
	bool cooked;	  /* without the link-layer header */
	uint32_t block;	  /* bytes, a power of two */
	uint32_t blocks;
	uint32_t retire_ms; /* hand a block over after this long */
};

/*
 * An open socket that takes nothing yet: the filter goes on before it is
 * started, so no packet slips past it.  NULL on failure: the sentence says
 * which right is missing or how much memory was asked for.
 */
struct packet_socket *packet_socket_open(const struct packet_socket_config *cfg,
					 struct err *err);
void packet_socket_close(struct packet_socket *s); /* NULL is fine */

/* Attach a program, or replace it while packets flow. */
int packet_socket_filter(struct packet_socket *s, const struct sock_filter *f,
			 size_t n, struct err *err);

/* Bind to the interface.  From here on packets come, when it is up. */
int packet_socket_start(struct packet_socket *s, struct err *err);

/* Receive what is not for us as well, as long as the socket is open. */
int packet_socket_promiscuous(struct packet_socket *s, struct err *err);

/*
 * Share the packets of the interface among sockets by flow.  The first one has
 * *group -1 and is told the group's number.  The interface must be up.
 */
int packet_socket_share(struct packet_socket *s, int *group, struct err *err);

/* For poll(): readable when a block is there, POLLERR when it went down. */
int packet_socket_fd(const struct packet_socket *s);

/* The error behind POLLERR, which is thereby forgotten: a positive errno. */
int packet_socket_error(struct packet_socket *s);

/* The next block that is ours, in order, or NULL; then hand it back. */
struct tpacket_block_desc *packet_socket_block(struct packet_socket *s);
void packet_socket_release(struct packet_socket *s);

/*
 * What the kernel counted since the last call.  `packets` includes drops.
 */
struct packet_socket_counts {
	uint64_t packets, drops, freezes;
};
int packet_socket_counts(struct packet_socket *s,
			 struct packet_socket_counts *c, struct err *err);

#endif
