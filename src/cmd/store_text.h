/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_text.h - a stream's row for people and for machines.
 */
#ifndef CMD_STORE_TEXT_H
#define CMD_STORE_TEXT_H

#include <stdint.h>
#include <stdio.h>

#include "base/bytes.h"

struct err;
struct store_row;

void store_row_line(FILE *out, const struct store_row *row);
void store_row_json(FILE *out, const struct store_row *row);
/* With more members behind its own: `more` is what stands inside of {}. */
void store_row_json_with(FILE *out, const struct store_row *row,
			 struct bytes more);

/* An id as store_row_line() prints it; ERR_USAGE. */
int store_read_id(const char *text, uint64_t *id, struct err *err);

/* "tcp" */
const char *store_protocol(const struct store_row *row);

/* "10.0.0.1:80" or "[2001:db8::1]:80"; returns out. */
enum { ENDPOINT_TEXT = 64 };
char *store_endpoint(char out[ENDPOINT_TEXT], const struct store_row *row,
		     int end);

#endif
