/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dataset_options.h - what the commands on data sets have in common.
 *
 * The options of gophercap's that stand before or behind any of its commands,
 * and how a part of a set is chosen by name.
 */
#ifndef CMD_DATASET_OPTIONS_H
#define CMD_DATASET_OPTIONS_H

#include <stddef.h>

#include "base/opt.h"

struct err;
struct opt_args;
struct pattern;

#define DATASET_OPTION_JSON(to)                                                \
	OPT_TEXT(0, "dump-json", to, "FILE", "where the map of the set is kept")
#define DATASET_OPTION_REGEXP(to)                                              \
	OPT_TEXT(0, "file-regexp", to, "REGEX",                                \
		 "only files whose path this matches")

/* "mapped-files.json" in TMPDIR or /tmp; lives as long as the process. */
const char *dataset_default_json(void);

/* pcap and pcapng, before anything is given. */
void dataset_default_suffixes(struct opt_list *suffixes);

/* What a list and bare words name together; free() it. */
const char **dataset_paths(const struct opt_list *list,
			   const struct opt_args *args, size_t *n);

/*
 * The pattern of a text that may be NULL or empty: *pattern is NULL then.  0
 * or ERR_USAGE.
 */
int dataset_pattern(const char *text, struct pattern **pattern,
		    struct err *err);

#endif
