/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir version - which build this is.
 */
#include "cmd/cmd.h"

#include <stdio.h>

#include "base/opt.h"
#include "version.h"

int cmd_version(int argc, char **argv)
{
	const struct opt opts[] = { OPT_END() };
	const struct opt_command cmd = {
		.name = "version",
		.synopsis = "",
		.about = "Print which build this is.",
		.opts = opts,
	};
	struct opt_args args;
	int status;

	if (!cmd_begin(&cmd, argc, argv, &args, &status))
		return status;
	printf("%s %s\n", program_name, WEIR_VERSION);
	return 0;
}
