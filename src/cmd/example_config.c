/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir example-config - the options of all commands, as a file for --config.
 */
#include "cmd/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/opt.h"
#include "cmd/dataset_options.h"

/* They stand once, in the section for all. */
static bool is_global(const char *option)
{
	return strcmp(option, "dump-json") == 0 ||
	       strcmp(option, "file-regexp") == 0;
}

static void print_all(void)
{
	printf("# Options of weir's commands, with their present values.  What "
	       "stands on the\n# command line or in the environment comes "
	       "first.  Lines behind #name: are not set.\n"
	       "global:\n  # where the map of the set is kept\n  dump-json: "
	       "\"%s\"\n  # only files whose path this matches\n  file-regexp: "
	       "\"\"\n",
	       dataset_default_json());
	cmd_print_example(is_global);
}

/* Standard output is the new file from here on. */
static int redirect(const char *path, bool force, struct err *err)
{
	int how = force ? O_TRUNC : O_EXCL;
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | how, 0644);

	if (fd < 0 && errno == EEXIST)
		return err_set(err, ERR_FAILED,
			       "%s is there already; --force overwrites it",
			       path);
	if (fd < 0)
		return err_sys(err, errno, "%s cannot be written", path);
	fflush(stdout);
	if (dup2(fd, STDOUT_FILENO) < 0)
		return err_sys(err, errno, "%s cannot be written", path);
	close(fd);
	return 0;
}

static const char about[] =
	"Print the options of all commands as YAML, for --config.\n"
	"\n"
	"With --config FILE they are written to that file. It is accepted as "
	"it is:\n"
	"each value is the default. Keys may be nested or written with dots;\n"
	"gophercap's files are read too.";

static const char examples[] = "  weir example-config > weir.yml\n"
			       "  weir --config weir.yml map";

int cmd_example_config(int argc, char **argv)
{
	bool force = false;
	const struct opt opts[] = {
		OPT_FLAG(0, "force", &force, "overwrite the file"), OPT_END()
	};
	const struct opt_command cmd = { .name = "example-config",
					 .synopsis = "[OPTIONS]",
					 .about = about,
					 .examples = examples,
					 .opts = opts };
	const char *path = cmd_config();
	struct opt_args args;
	struct err err = ERR_NONE;
	int status;

	if (!cmd_begin(&cmd, argc, argv, &args, &status))
		return status;
	if (!path || redirect(path, force, &err) == 0) {
		print_all();
		if (fflush(stdout) != 0)
			err_sys(&err, errno, "%s cannot be written",
				path ? path : "standard output");
	}
	return cmd_exit(cmd.name, &err);
}
