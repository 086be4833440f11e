/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_dir.h - which store is meant where none was named.
 */
#ifndef CMD_STORE_DIR_H
#define CMD_STORE_DIR_H

#define STORE_DIR_HELP                                                         \
	"the store to read (default: store in this folder, else that of "      \
	"weir up)"

/* The one in this folder when it is there, else that of this user's weir up.
 * The text stays. */
const char *store_dir_default(void);

#endif
