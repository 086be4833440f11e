/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd.h - what main() knows of the subcommands.
 *
 * One file a subcommand: options, wiring, exit status.  A cmd_*() function
 * gets its own words from argv[0] (the last word of its name) on.  Exit status:
 * 0 done, 1 failed, 2 used wrongly.  Data goes to standard output, talk to
 * standard error.
 */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include <stdbool.h>

struct err;
struct opt_args;
struct opt_command;

struct command {
	const char *name;      /* "agent capture": one word or two */
	const char *also;      /* a predecessor's spelling, or NULL */
	const char *one_line;  /* for the list */
	int (*run)(int argc, char **argv);
};

/* The table of this program; ends with a NULL name. */
extern const struct command commands[];
extern const char *const program_name;

/*
 * Options out of a YAML file, which the command line then overrides; `path` is
 * NULL where --config was not given.  NULL in a program that reads none.
 */
extern int (*const cmd_settings)(const struct opt_command *cmd,
				 const char *path, struct err *err);

/* What --config says, wherever it stood; or NULL. */
const char *cmd_config(void);

/* Print the options of all commands as such a file. */
void cmd_print_example(bool (*leave_out)(const char *option));

int cmd_main(int argc, char **argv);

/*
 * Parse, and answer --help.  True when the command goes on; otherwise *status
 * is what it returns.
 */
bool cmd_begin(const struct opt_command *cmd, int argc, char **argv,
	       struct opt_args *args, int *status);

/* Print what went wrong, if anything did; returns the exit status. */
int cmd_exit(const char *name, const struct err *err);

int cmd_agent_capture(int argc, char **argv);
int cmd_agent_listen(int argc, char **argv);
int cmd_analyze(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_broker(int argc, char **argv);
int cmd_collector(int argc, char **argv);
int cmd_eve2filter(int argc, char **argv);
int cmd_example_config(int argc, char **argv);
int cmd_extract(int argc, char **argv);
int cmd_filter(int argc, char **argv);
int cmd_keygen(int argc, char **argv);
int cmd_pattern_add(int argc, char **argv);
int cmd_pattern_list(int argc, char **argv);
int cmd_pattern_remove(int argc, char **argv);
int cmd_map(int argc, char **argv);
int cmd_recover(int argc, char **argv);
int cmd_search(int argc, char **argv);
int cmd_replay(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_streams(int argc, char **argv);
int cmd_tar_extract(int argc, char **argv);
int cmd_up(int argc, char **argv);
int cmd_version(int argc, char **argv);

#endif
