/* SPDX-License-Identifier: Apache-2.0 */
/*
 * siblings.h - which spools a source has: "src1", "src1.2", "src1.3" …
 */
#ifndef ENGINE_SPOOL_SIBLINGS_H
#define ENGINE_SPOOL_SIBLINGS_H

#include <stddef.h>

struct err;
struct sys;

/* The numbers of a source's spools, ascending; "src1" itself is 1. */
struct siblings {
	unsigned *at; /* owned */
	size_t n;
};

/* By names alone: a listed one may hold nothing.  A missing parent directory
 * is an empty list. */
int siblings_list(struct sys *sys, const char *source_dir, struct siblings *out,
		  struct err *err);
void siblings_release(struct siblings *s);

/* The directory of spool `number`; the caller frees it. */
char *sibling_dir(const char *source_dir, unsigned number);

#endif
