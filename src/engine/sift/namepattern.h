/* SPDX-License-Identifier: Apache-2.0 */
/*
 * namepattern.h - how Suricata names its captures: "pcap.%n.%t".
 *
 * %n is the number of a thread, %i its id, %t seconds since 1970; all else
 * stands for itself.  Pure.
 */
#ifndef ENGINE_SIFT_NAMEPATTERN_H
#define ENGINE_SIFT_NAMEPATTERN_H

#include <stdbool.h>
#include <stdint.h>

struct err;

struct name_parts {
	bool has_thread, has_time;
	uint64_t thread, time_s;
};

/* 0, or ERR_USAGE: a "%" that is none of the three, or one of them twice. */
int name_pattern_check(const char *pattern, struct err *err);

/* Does the whole name follow the pattern? */
bool name_pattern_match(const char *pattern, const char *name,
			struct name_parts *parts);

#endif
