/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - the subcommands of weir.
 */
#include "cmd/cmd.h"

#include <stddef.h>

#include "cmd/settings.h"

const char *const program_name = "weir";

int (*const cmd_settings)(const struct opt_command *cmd, const char *path,
			  struct err *err) = settings_apply;

const struct command commands[] = {
	{ "agent capture", NULL, "an interface or a file into a spool",
	  cmd_agent_capture },
	{ "agent listen", NULL, "serve spools to collectors",
	  cmd_agent_listen },
	{ "analyze", NULL, "streams, matches and events out of packets",
	  cmd_analyze },
	{ "bench", NULL, "how fast packets become streams here", cmd_bench },
	{ "broker", NULL, "hand one capture to many readers", cmd_broker },
	{ "collector", NULL, "mirror an agent's spools", cmd_collector },
	{ "eve2filter", NULL, "filters of packets out of alerts",
	  cmd_eve2filter },
	{ "example-config", "exampleConfig", "options of all commands as YAML",
	  cmd_example_config },
	{ "extract", NULL, "the packets of one event's flow", cmd_extract },
	{ "filter", NULL, "captures through named filters", cmd_filter },
	{ "keygen", NULL, "make a key pair, or print a public key",
	  cmd_keygen },
	{ "map", NULL, "what is in a set of captures", cmd_map },
	{ "pattern add", NULL, "look for something, also in the past",
	  cmd_pattern_add },
	{ "pattern list", NULL, "what is looked for, and how far it is",
	  cmd_pattern_list },
	{ "pattern remove", NULL, "look for it no more", cmd_pattern_remove },
	{ "map", NULL, "what is in a set of captures", cmd_map },
	{ "recover", NULL, "tell what spools hold, and mend them",
	  cmd_recover },
	{ "replay", NULL, "captures again, each packet at its time",
	  cmd_replay },
	{ "search", NULL, "find streams by what they are and say", cmd_search },
	{ "show", NULL, "what a stored stream says", cmd_show },
	{ "streams", NULL, "list what a store holds", cmd_streams },
	{ "tar-extract", "tarExtract", "captures out of an archive",
	  cmd_tar_extract },
	{ "up", NULL, "run everything on this machine", cmd_up },
	{ "version", NULL, "print which build this is", cmd_version },
	{ NULL, NULL, NULL, NULL },
};

int main(int argc, char **argv)
{
	return cmd_main(argc, argv);
}
