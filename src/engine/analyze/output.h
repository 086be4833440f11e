/* SPDX-License-Identifier: Apache-2.0 */
/*
 * output.h - JSON lines into a file, from any thread.
 *
 * A file that is there is never written over: it is renamed to NAME.1 (or the
 * first number that is free), which is said.  Lines are handed over in whole
 * chunks, so those of several threads never mix.
 */
#ifndef ENGINE_ANALYZE_OUTPUT_H
#define ENGINE_ANALYZE_OUTPUT_H

#include "base/bytes.h"

struct err;
struct output;

/* "-" is standard output.  NULL on failure. */
struct output *output_open(const char *path, struct err *err);

/*
 * Whole lines; waits as long as the file does.  After a failure nothing more
 * is written.
 */
void output_write(struct output *o, struct bytes lines);

/* True once writing has failed; the sentence is output_close()'s. */
bool output_failed(const struct output *o);
uint64_t output_bytes(const struct output *o);

/* 0, or why something is missing from the file.  NULL is fine. */
int output_close(struct output *o, struct err *err);

#endif
