/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expression.h - "tcp port 80": which packets are meant, in tcpdump's words.
 *
 * Compiled once by libpcap for one link type, then asked for each packet.
 * Made on any thread; it never changes, so any thread may ask.
 */
#ifndef CODEC_EXPRESSION_H
#define CODEC_EXPRESSION_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct expression;
struct packet;

/* A longer text takes the compiler seconds, and a hostile one minutes. */
enum { EXPRESSION_MAX = 4095 };

/* NULL when it does not compile (ERR_USAGE) or is too long (ERR_LIMIT). */
struct expression *expression_new(const char *text, uint32_t linktype,
				  struct err *err);
void expression_free(struct expression *e); /* NULL is fine */

bool expression_matches(const struct expression *e, const struct packet *p);

#endif
