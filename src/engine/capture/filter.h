/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter.h - which packets a capture takes, as one program for the kernel.
 *
 * A packet is taken when no exclusion matches it and the expression, in the
 * language of tcpdump, does.  Both are decided on the bytes as they are stored,
 * whatever the network card did with the VLAN tag: the program does not see a
 * tag that travels beside the frame, so for such a frame the kernel decides
 * the exclusions and filter_expression() the rest, once the tag is back.
 *
 * A filter is made on any thread and never changes.
 */
#ifndef ENGINE_CAPTURE_FILTER_H
#define ENGINE_CAPTURE_FILTER_H

#include "codec/packet.h"

struct err;
struct exclude;
struct filter;
struct sock_filter;

/*
 * The library's compiler needs time with the square of the expression's
 * length: 8 KiB are some seconds, 64 KiB six minutes.
 */
enum { FILTER_TEXT_MAX = 8 << 10, FILTER_PROGRAM_MAX = 4096 };

struct filter_config {
	const char *expression;	       /* NULL or "": everything */
	const struct exclude *exclude; /* NULL: nothing */
	uint32_t linktype;
	uint32_t snaplen; /* what the kernel keeps of a packet */
};

/*
 * NULL when the expression does not compile (ERR_USAGE), or when it or the
 * whole program is over its bound (ERR_LIMIT).  Nothing is borrowed.
 */
struct filter *filter_new(const struct filter_config *cfg, struct err *err);
void filter_free(struct filter *f); /* NULL is fine */

/* The same expression, not compiled again, with other exclusions. */
struct filter *filter_again(const struct filter *f, const struct exclude *x,
			    struct err *err);

/* For SO_ATTACH_FILTER; borrowed from the filter. */
const struct sock_filter *filter_program(const struct filter *f, size_t *n);

/* What the expression alone says. */
bool filter_expression(const struct filter *f, const struct packet *p);

/* The whole decision, for packets that no kernel looked at. */
bool filter_wants(const struct filter *f, const struct packet *p);

/* Is the expression left to filter_expression() for every packet? */
bool filter_is_late(const struct filter *f);

#endif
