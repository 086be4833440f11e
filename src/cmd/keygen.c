/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir keygen - a static key pair for one end of a link.
 *
 * Files and what --out prints are those of ipcap keygen, so that either program
 * reads what the other wrote.
 */
#include "cmd/cmd.h"

#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/opt.h"
#include "cmd/keys.h"
#include "codec/keyfile.h"

struct keygen {
	const char *out;
	const char *public_of;
	bool force;
	bool any_mode;
};

/* The bare key, for peer=$(weir keygen --public FILE). */
static void print_public(const struct noise_keypair *pair)
{
	char text[KEYFILE_TEXT + 1];

	printf("%s\n", key_text(text, pair->public));
}

static void print_both(const struct noise_keypair *pair)
{
	char text[KEYFILE_TEXT + 1];

	printf("private: %s\n", key_text(text, pair->secret));
	mem_wipe(text, sizeof(text));
	printf("public:  %s\n", key_text(text, pair->public));
}

static int write_file(const struct keygen *k, const struct noise_keypair *pair,
		      struct err *err)
{
	int rc = cmd_keys_save(k->out, k->force, pair, err);

	if (rc == ERR_BUSY)
		return err_set(err, ERR_BUSY,
			       "%s is there already, and peers may know its "
			       "public key; --force replaces it",
			       k->out);
	if (rc < 0)
		return rc;
	fprintf(stderr, "wrote private key to %s\n", k->out);
	printf("public key: ");
	print_public(pair);
	return 0;
}

static int run(const struct keygen *k, struct err *err)
{
	struct noise_keypair pair;
	int rc = 0;

	if (k->force && !k->out)
		return err_set(
			err, ERR_USAGE,
			"--force needs --out FILE: there is nothing else "
			"to replace");
	if (k->public_of && k->out)
		return err_set(err, ERR_USAGE,
			       "--public reads a key and --out makes one: give "
			       "one of them");
	if (k->public_of) {
		rc = cmd_keys_load(k->public_of, k->any_mode, &pair, err);
		if (rc == 0)
			print_public(&pair);
	} else {
		cmd_keys_make(&pair);
		if (k->out)
			rc = write_file(k, &pair, err);
		else
			print_both(&pair);
	}
	mem_wipe(&pair, sizeof(pair));
	/* A key that did not reach its reader must not look made. */
	if (rc == 0 && fflush(stdout) != 0)
		rc = err_set(err, ERR_FAILED,
			     "cannot write the key to standard output");
	return rc;
}

int cmd_keygen(int argc, char **argv)
{
	struct keygen k = { 0 };
	const struct opt opts[] = {
		OPT_TEXT('o', "out", &k.out, "FILE",
			 "write the secret key to FILE, mode 0600"),
		OPT_FLAG('f', "force", &k.force,
			 "replace a key that FILE holds already"),
		OPT_TEXT('p', "public", &k.public_of, "FILE",
			 "print the public key of the one in FILE, and nothing "
			 "else"),
		CMD_KEYS_ANY_MODE(&k.any_mode),
		OPT_END()
	};
	const struct opt_command cmd = {
		.name = "keygen",
		.synopsis = "[--out FILE | --public FILE]",
		.about = "Make a key pair for an agent or a collector.  The "
			 "secret key stays in its file;\nthe public key, "
			 "printed, goes to the other end.  Without --out both "
			 "are printed\nand nothing is written.",
		.examples = "  weir keygen --out agent.key\n"
			    "  weir keygen --public agent.key\n",
		.opts = opts,
	};
	struct opt_args args;
	struct err err = ERR_NONE;
	int status;

	if (!cmd_begin(&cmd, argc, argv, &args, &status))
		return status;
	run(&k, &err);
	return cmd_exit(cmd.name, &err);
}
