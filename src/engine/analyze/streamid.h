/* SPDX-License-Identifier: Apache-2.0 */
/*
 * streamid.h - a stream's one name for life, out of where it began.
 *
 * The id is the index of the stream's first packet, sent through a bijection
 * on 64 bits whose key is the source's origin.  A packet begins at most one
 * stream, so two streams of a source never share an id; those of two sources
 * do as rarely as random numbers would.  Whoever does not know the origin (a
 * spool's is random) cannot choose an id, and the same packets of the same
 * source get the same ids in every run, with any number of workers.
 */
#ifndef ENGINE_ANALYZE_STREAMID_H
#define ENGINE_ANALYZE_STREAMID_H

#include <stdint.h>

enum { ORIGIN_SIZE = 16 };

uint64_t streamid_of(const uint8_t origin[ORIGIN_SIZE], uint64_t index);

/* Back again: which packet it was. */
uint64_t streamid_index(const uint8_t origin[ORIGIN_SIZE], uint64_t id);

#endif
