/* SPDX-License-Identifier: Apache-2.0 */
/*
 * show_decoded.h - a stream's messages, layers undone, for people and programs.
 */
#ifndef CMD_SHOW_DECODED_H
#define CMD_SHOW_DECODED_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct store_row;
struct store_view;

enum show_mode { SHOW_TEXT, SHOW_HEX, SHOW_RAW, SHOW_JSON };

struct show_decoded {
	enum show_mode mode;
	int way;	    /* only this direction; -1: both */
	const char *layers; /* NULL: as the heads say */
	uint64_t out_max;   /* bytes of a body */
};

int show_decoded(struct store_view *v, const struct store_row *row,
		 const struct show_decoded *how, struct err *err);

#endif
