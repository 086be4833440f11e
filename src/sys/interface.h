/* SPDX-License-Identifier: Apache-2.0 */
/*
 * interface.h - what the kernel says about a network interface.
 */
#ifndef SYS_INTERFACE_H
#define SYS_INTERFACE_H

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct err;

struct interface {
	int index;	   /* 0 for "any" */
	uint16_t hardware; /* ARPHRD_…; ARPHRD_VOID for "any" */
	bool up;	   /* switched on and with a carrier */
};

/*
 * Look the interface up by name; never waits for the kernel's big network
 * lock.  0, ERR_GONE when there is none of that name, or ERR_FAILED.
 */
int interface_find(const char *name, struct interface *i, struct err *err);

/* The names there are, with ", " between them, for a sentence. */
void interface_names(struct buf *out);

/*
 * A descriptor that becomes readable when some interface changes, or a negated
 * errno.  interface_watch_drain() makes it wait for the next change.
 */
int interface_watch(void);
void interface_watch_drain(int fd);

/*
 * Packets that the interface itself lost (missed, no buffer) since it was
 * made.  May wait for the kernel's lock.  0, ERR_GONE or ERR_FAILED.
 */
int interface_losses(int index, uint64_t *lost, struct err *err);

#endif
