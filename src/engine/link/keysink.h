/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keysink.h - the file of TLS keys that a collector gathers.
 *
 * Only lines that are keys get in, each once: a label of the NSS key log
 * format and two fields of hex digits, at most 256 bytes.  What the file holds
 * at the start counts too.  Memory is bounded: after KEYSINK_MAX different
 * lines no other one is taken, and that is said once.
 */
#ifndef ENGINE_LINK_KEYSINK_H
#define ENGINE_LINK_KEYSINK_H

#include <stdint.h>

#include "base/bytes.h"

struct err;
struct keysink;
struct sys;

enum { KEYSINK_LINE = 256, KEYSINK_MAX = 1 << 19 };

/* The file is made where it is missing. */
struct keysink *keysink_open(struct sys *sys, const char *path,
			     struct err *err);
void keysink_close(struct keysink *k); /* NULL is fine */

/* True when the line went into the file now. */
bool keysink_put(struct keysink *k, struct bytes line);

/* Blanks around it are cut; empty where it is no key line. */
struct bytes keysink_check(struct bytes line);

#endif
