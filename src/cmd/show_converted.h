/* SPDX-License-Identifier: Apache-2.0 */
/*
 * show_converted.h - what a program of the user's makes of a stream.
 */
#ifndef CMD_SHOW_CONVERTED_H
#define CMD_SHOW_CONVERTED_H

#include "cmd/show_decoded.h"

struct show_converted {
	enum show_mode mode;
	int way;	       /* only this direction; -1: both */
	const char *converter; /* a command line */
	uint64_t time_ns;      /* that it may take */
};

/* What came is printed, also when the rest did not; then err says why. */
int show_converted(struct store_view *v, const struct store_row *row,
		   const struct show_converted *how, struct err *err);

#endif
