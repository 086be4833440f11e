/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keyfile.h - keys as ipcap writes them: the base64 of 32 bytes.
 *
 * A key file is one such line and a newline.  When one is read, blank lines
 * and lines that begin with # may stand before it, and whatever follows it is
 * ignored.
 */
#ifndef CODEC_KEYFILE_H
#define CODEC_KEYFILE_H

#include "base/bytes.h"
#include "codec/base64.h"

struct buf;

enum {
	KEYFILE_KEY = 32,
	KEYFILE_TEXT = BASE64_SIZE(KEYFILE_KEY),
	KEYFILE_MAX = 4096 /* a larger file is none */
};

/* 0, ERR_MALFORMED (the line is not a key) or ERR_END (no line at all). */
int keyfile_parse(struct bytes file, uint8_t key[KEYFILE_KEY]);

/* What a file with this key holds. */
void put_keyfile(struct buf *b, const uint8_t key[KEYFILE_KEY]);

/* A key in a command line or a configuration; blanks around it are allowed. */
int key_parse(struct bytes text, uint8_t key[KEYFILE_KEY]);

/* Returns out. */
char *key_text(char out[KEYFILE_TEXT + 1], const uint8_t key[KEYFILE_KEY]);

#endif
