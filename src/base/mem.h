/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem.h - memory for sizes that we choose.
 *
 * These never return NULL: running out of memory for a size of our own is a
 * bug of the plan, and the program stops.  A size that a stranger chooses is
 * compared with a bound first.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

/* Zero-filled; free with free(). */
void *mem_alloc(size_t size);

/* n elements of `size` bytes each, zero-filled; the product may not wrap. */
void *mem_array(size_t n, size_t size);

void *mem_grow(void *p, size_t size);

char *mem_text(const char *text);

/* printf into a fresh string. */
char *mem_format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Wipe a secret in a way that the compiler keeps. */
void mem_wipe(void *p, size_t len);

#endif
