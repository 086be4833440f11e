/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer.h - where the agent is and which key it has, from ipcap's files.
 *
 * vulnbox.yml: ip, noise_port (7878), noise_pubkey.  infra.yml: pcap_dir,
 * which is read and checked like ipcap's program does, and not used.  Other
 * keys are ignored; what is there twice counts the last time.  The files are
 * bounded in size, depth and count, and aliases are refused.
 */
#ifndef ENGINE_CONFIG_PEER_H
#define ENGINE_CONFIG_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct err;

enum {
	PEER_FILE_MAX = 64 << 10,
	PEER_HOST_MAX = 255,
	PEER_KEY = 32,
	PEER_PORT = 7878
};

struct peer {
	char host[PEER_HOST_MAX + 1];
	uint16_t port;
	uint8_t key[PEER_KEY];
};

/*
 * Read DIR/vulnbox.yml, and DIR/infra.yml where it is.  0; ERR_GONE when the
 * former is not there (yet); otherwise a sentence that names file and line.
 */
int peer_load(const char *dir, struct peer *peer, struct err *err);

/* The content of vulnbox.yml; `file` is for the sentence. */
int peer_parse(struct bytes text, const char *file, struct peer *peer,
	       struct err *err);

/* "host:port", with brackets where the host is an IPv6 address. */
enum { PEER_ADDRESS_MAX = PEER_HOST_MAX + 16 };
void peer_address(char out[PEER_ADDRESS_MAX], const struct peer *peer);

/*
 * A number that changes when one of the two files was changed, replaced,
 * made or removed.
 */
uint64_t peer_version(const char *dir);

#endif
