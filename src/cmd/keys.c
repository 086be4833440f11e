/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/keys.h"

#include <errno.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "cmd/cmd.h"
#include "codec/keyfile.h"
#include "sys/secret.h"
#include "sys/sys.h"

int cmd_keys_load(const char *path, bool any_mode, struct noise_keypair *pair,
		  struct err *err)
{
	uint8_t secret[NOISE_KEY];
	struct buf file = { 0 };
	int rc;

	if (access(path, F_OK) < 0 && errno == ENOENT)
		return err_set(err, ERR_FAILED,
			       "there is no key file %s; %s keygen --out %s "
			       "makes one",
			       path, program_name, path);
	rc = secret_load(path, any_mode, KEYFILE_MAX, &file, err);
	if (rc == 0 && keyfile_parse(buf_bytes(&file), secret) < 0)
		rc = err_set(err, ERR_MALFORMED,
			     "%s holds no key: its first line must be the "
			     "%d characters that keygen writes",
			     path, KEYFILE_TEXT);
	if (rc == 0)
		noise_keypair_of(pair, secret);
	secret_release(&file);
	mem_wipe(secret, sizeof(secret));
	return rc;
}

void cmd_keys_make(struct noise_keypair *pair)
{
	struct sys *sys = sys_host();
	uint8_t secret[NOISE_KEY];

	sys->random(sys, secret, sizeof(secret));
	noise_keypair_of(pair, secret);
	mem_wipe(secret, sizeof(secret));
}

int cmd_keys_save(const char *path, bool replace,
		  const struct noise_keypair *pair, struct err *err)
{
	struct buf file = { 0 };
	int rc;

	put_keyfile(&file, pair->secret);
	rc = secret_save(path, replace, buf_bytes(&file), err);
	secret_release(&file);
	return rc;
}
