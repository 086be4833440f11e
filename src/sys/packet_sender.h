/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packet_sender.h - frames onto an interface, many a call.
 *
 * One AF_PACKET socket that receives nothing, past the queueing discipline
 * where the kernel lets us.  One thread.
 */
#ifndef SYS_PACKET_SENDER_H
#define SYS_PACKET_SENDER_H

#include <stdint.h>

#include "base/bytes.h"

struct err;
struct packet_sender;

enum { PACKET_SENDER_BATCH = 64 };

struct packet_sender_facts {
	uint16_t hardware; /* ARPHRD_… */
	uint32_t mtu;	   /* without the link-layer header */
	uint32_t header;   /* bytes of that header; 0 where there is none */
};

/* NULL on failure: the sentence says which right or interface is missing. */
struct packet_sender *packet_sender_open(const char *interface,
					 struct err *err);
void packet_sender_close(struct packet_sender *s); /* NULL is fine */

const struct packet_sender_facts *
packet_sender_facts(const struct packet_sender *s);
const char *packet_sender_name(const struct packet_sender *s);

/*
 * Send the first of up to PACKET_SENDER_BATCH frames; returns how many went.
 * When the very first cannot be sent, a negated errno: -EMSGSIZE (longer than
 * the interface takes), -ENOBUFS (its queue is full; try again), others.
 */
int packet_sender_send(struct packet_sender *s, const struct bytes *frames,
		       int n);

/* What the interface itself counted as dropped since it was opened. */
uint64_t packet_sender_drops(struct packet_sender *s);

#endif
