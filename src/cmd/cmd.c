/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd.c - finding a subcommand, the list of them, and how each one ends.
 */
#include "cmd/cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/text.h"

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE };

/* Help as a manual page: `weir help --man [COMMAND]`, for tools/gen-man. */
static bool as_manual;

/* Does argv begin with this name?  Returns how many words it took. */
static int matches(const char *name, int argc, char **argv)
{
	size_t first = strcspn(name, " ");

	if (argc < 1 || strlen(argv[0]) != first ||
	    strncmp(name, argv[0], first) != 0)
		return 0;
	if (!name[first])
		return 1;
	return argc > 1 && strcmp(name + first + 1, argv[1]) == 0 ? 2 : 0;
}

static const struct command *find(int argc, char **argv, int *words)
{
	for (const struct command *c = commands; c->name; c++) {
		*words = matches(c->name, argc, argv);
		if (!*words && c->also)
			*words = matches(c->also, argc, argv);
		if (*words)
			return c;
	}
	return NULL;
}

static void print_list(FILE *out)
{
	fprintf(out,
		"Weir: packets from a wire to a mirror to any reader, none "
		"lost in silence.\n\nUsage: %s COMMAND [OPTIONS]\n\n"
		"Commands:\n",
		program_name);
	for (const struct command *c = commands; c->name; c++)
		fprintf(out, "  %-16s %s\n", c->name, c->one_line);
	fprintf(out, "\n%s help COMMAND tells all about one of them.\n",
		program_name);
}

/* The page weir(1). */
static void print_manual(FILE *out)
{
	fputs(".TH WEIR 1 \"\" weir\n.SH NAME\nweir \\- packets from a wire to "
	      "a mirror to any reader, none lost in silence\n.SH SYNOPSIS\n"
	      ".B weir\n.I COMMAND\n[OPTIONS]\n.SH COMMANDS\n",
	      out);
	for (const struct command *c = commands; c->name; c++)
		fprintf(out, ".TP\n.B %s\n%s; see\n.BR weir\\-%.*s%s%s (1)\n",
			c->name, c->one_line, (int)strcspn(c->name, " "),
			c->name, strchr(c->name, ' ') ? "\\-" : "",
			strchr(c->name, ' ') ? strchr(c->name, ' ') + 1 : "");
	fputs(".SH EXIT STATUS\n0 when done, 1 when it failed, 2 when it was "
	      "used wrongly.\n",
	      out);
}

static int unknown(int argc, char **argv)
{
	const char *nearest = NULL;
	unsigned best = 4;

	for (const struct command *c = commands; c->name; c++) {
		char typed[80];
		unsigned d;

		snprintf(typed, sizeof(typed), "%s%s%s", argv[0],
			 strchr(c->name, ' ') && argc > 1 ? " " : "",
			 strchr(c->name, ' ') && argc > 1 ? argv[1] : "");
		d = text_distance(typed, c->name);
		if (d < best) {
			best = d;
			nearest = c->name;
		}
	}
	if (nearest)
		fprintf(stderr,
			"%s: there is no command %s; did you mean %s?\n",
			program_name, argv[0], nearest);
	else
		fprintf(stderr,
			"%s: there is no command %s; %s help lists them\n",
			program_name, argv[0], program_name);
	return EXIT_USAGE;
}

static int help(int argc, char **argv)
{
	static char ask[] = "--help";
	const struct command *c;
	int words;

	if (argc > 0 && strcmp(argv[0], "--man") == 0) {
		as_manual = true;
		argc--;
		argv++;
	}
	if (argc < 1) {
		if (as_manual)
			print_manual(stdout);
		else
			print_list(stdout);
		return EXIT_DONE;
	}
	c = find(argc, argv, &words);
	if (!c)
		return unknown(argc, argv);
	return c->run(2, (char *[]){ argv[words - 1], ask, NULL });
}

/* -- a configuration file ------------------------------------------------- */

static const char *config_path;
static bool (*example_leaves_out)(const char *option);

const char *cmd_config(void)
{
	return config_path;
}

/*
 * --config FILE may stand before the command or behind it, since it belongs to
 * none: it is taken out of the words.
 */
static int take_config(int *argc, char **argv, struct err *err)
{
	int kept = 1;

	for (int i = 1; i < *argc; i++) {
		const char *word = argv[i];
		const char *name = word + (word[0] == '-') +
				   (word[0] == '-' && word[1] == '-');

		if (strcmp(word, "--") == 0) {
			while (i < *argc)
				argv[kept++] = argv[i++];
			break;
		}
		if (word[0] != '-' || strncmp(name, "config", 6) != 0 ||
		    (name[6] && name[6] != '=')) {
			argv[kept++] = argv[i];
			continue;
		}
		if (name[6] == '=')
			config_path = name + 7;
		else if (i + 1 < *argc)
			config_path = argv[++i];
		else
			return err_set(err, ERR_USAGE,
				       "--config needs a value: FILE");
	}
	*argc = kept;
	argv[kept] = NULL;
	return 0;
}

void cmd_print_example(bool (*leave_out)(const char *option))
{
	example_leaves_out = leave_out;
	for (const struct command *c = commands; c->name; c++)
		c->run(1, (char *[]){ (char *)c->name, NULL });
	example_leaves_out = NULL;
}

/* The name of a command as a key: "agent-capture". */
static void print_example(const struct opt_command *cmd)
{
	char *key = mem_text(cmd->name);

	for (char *p = key; *p; p++)
		if (*p == ' ')
			*p = '-';
	opt_example(cmd, key, example_leaves_out, stdout);
	free(key);
}

static int read_settings(const struct opt_command *cmd, struct err *err)
{
	if (cmd_settings)
		return cmd_settings(cmd, config_path, err);
	if (!config_path)
		return 0;
	return err_set(err, ERR_USAGE,
		       "%s reads no configuration file; its options stand on "
		       "the command line or in the environment",
		       program_name);
}

static bool is_one_of(const char *word, const char *a, const char *b,
		      const char *c)
{
	return strcmp(word, a) == 0 || strcmp(word, b) == 0 ||
	       strcmp(word, c) == 0;
}

int cmd_main(int argc, char **argv)
{
	const struct command *c;
	struct err err = ERR_NONE;
	int words;

	if (take_config(&argc, argv, &err) < 0) {
		fprintf(stderr, "%s: %s\n", program_name, err.text);
		return EXIT_USAGE;
	}
	if (argc < 2) {
		print_list(stderr);
		return EXIT_USAGE;
	}
	argc--;
	argv++;
	if (is_one_of(argv[0], "help", "--help", "-h"))
		return help(argc - 1, argv + 1);
	if (is_one_of(argv[0], "--version", "-V", "version"))
		return cmd_version(argc, argv);
	c = find(argc, argv, &words);
	if (!c)
		return unknown(argc, argv);
	return c->run(argc - words + 1, argv + words - 1);
}

/* What a command says of itself, in the words of this program's table. */
static struct opt_command own(const struct opt_command *cmd)
{
	struct opt_command mine = *cmd;

	mine.program = program_name;
	for (const struct command *c = commands; c->name; c++) {
		/* weir-agent leaves the "agent" out. */
		if (c->also && strcmp(c->also, cmd->name) == 0)
			mine.name = c->name;
		if (strcmp(c->name, mine.name) == 0)
			mine.one_line = c->one_line;
	}
	return mine;
}

/* Lines that begin "weir NAME", as one types them with this program. */
static char *own_examples(const struct opt_command *cmd,
			  const struct opt_command *own)
{
	char *text = mem_text(""), *typed = mem_format("  weir %s", cmd->name);
	const char *rest = cmd->examples;

	for (const char *at; (at = strstr(rest, typed));) {
		char *more = mem_format("%s%.*s  %s %s", text, (int)(at - rest),
					rest, own->program, own->name);

		free(text);
		text = more;
		rest = at + strlen(typed);
	}
	free(typed);
	typed = mem_format("%s%s", text, rest);
	free(text);
	return typed;
}

static void print_help(const struct opt_command *cmd)
{
	struct opt_command mine = own(cmd);
	char *examples = NULL;

	if (cmd->examples)
		mine.examples = examples = own_examples(cmd, &mine);
	if (as_manual)
		opt_manual(&mine, stdout);
	else
		opt_help(&mine, stdout);
	free(examples);
}

bool cmd_begin(const struct opt_command *cmd, int argc, char **argv,
	       struct opt_args *args, int *status)
{
	struct opt_command mine = own(cmd);
	struct err err = ERR_NONE;

	if (example_leaves_out) {
		print_example(cmd);
		*status = EXIT_DONE;
		return false;
	}
	if (read_settings(cmd, &err) < 0 ||
	    opt_parse(&mine, argc, argv, args, &err) < 0) {
		*status = cmd_exit(cmd->name, &err);
		return false;
	}
	if (args->help) {
		print_help(cmd);
		*status = EXIT_DONE;
		return false;
	}
	return true;
}

int cmd_exit(const char *name, const struct err *err)
{
	struct opt_command mine = own(&(struct opt_command){ .name = name });

	if (!err->code)
		return EXIT_DONE;
	fprintf(stderr, "%s %s: %s\n", mine.program, mine.name, err->text);
	return err->code == ERR_USAGE ? EXIT_USAGE : EXIT_FAILED;
}
