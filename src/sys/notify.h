/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify.h - telling the service manager how we are (sd_notify).
 *
 * Where no manager listens (NOTIFY_SOCKET is not set) every call does nothing.
 * One thread.
 */
#ifndef SYS_NOTIFY_H
#define SYS_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

struct notify;

/* Reads the environment; never fails, and never waits later. */
struct notify *notify_open(void);
void notify_close(struct notify *n); /* NULL is fine */

/* READY=1, the first time only. */
void notify_ready(struct notify *n);

/* One line for people; said only when it changed. */
void notify_status(struct notify *n, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

void notify_stopping(struct notify *n);

/* How often the manager wants to hear from us, halved; 0: never. */
uint64_t notify_watchdog_ns(const struct notify *n);
void notify_watchdog(struct notify *n);

#endif
