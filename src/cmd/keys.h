/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keys.h - key files, for the commands that need one.
 */
#ifndef CMD_KEYS_H
#define CMD_KEYS_H

#include <stdbool.h>

#include "codec/noise.h"

struct err;

#define CMD_KEYS_ANY_MODE(to)                                                  \
	OPT_FLAG(0, "any-key-mode", to,                                        \
		 "take a key file that others may read, too")

/*
 * The pair whose secret half the file at `path` holds.  ERR_AUTH where others
 * may read the file, unless any_mode.  Wipe it when it is no longer needed.
 */
int cmd_keys_load(const char *path, bool any_mode, struct noise_keypair *pair,
		  struct err *err);

/* A fresh pair. */
void cmd_keys_make(struct noise_keypair *pair);

/* ERR_BUSY where there is a file already, unless `replace`. */
int cmd_keys_save(const char *path, bool replace,
		  const struct noise_keypair *pair, struct err *err);

#endif
