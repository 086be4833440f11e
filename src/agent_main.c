/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent_main.c - the subcommands of weir-agent, the static executable for
 * hosts where nothing may be installed: capture, spool and hand over.
 *
 * The words are those of weir; "agent" in front of them may be left out.
 */
#include "cmd/cmd.h"

#include <stddef.h>

#include <openssl/crypto.h>

const char *const program_name = "weir-agent";

/* It would need a library that is not linked. */
int (*const cmd_settings)(const struct opt_command *cmd, const char *path,
			  struct err *err) = NULL;

const struct command commands[] = {
	{ "capture", "agent capture", "an interface or a file into a spool",
	  cmd_agent_capture },
	{ "listen", "agent listen", "serve spools to collectors",
	  cmd_agent_listen },
	{ "keygen", "agent keygen", "make a key pair, or print a public key",
	  cmd_keygen },
	{ "recover", "agent recover", "tell what spools hold, and mend them",
	  cmd_recover },
	{ "version", NULL, "print which build this is", cmd_version },
	{ NULL, NULL, NULL, NULL },
};

/*
 * The host's openssl.cnf may name modules to load, and a static program can
 * load none: what the file says is for other programs.
 */
int main(int argc, char **argv)
{
	OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	return cmd_main(argc, argv);
}
