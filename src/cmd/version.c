/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir version - which build this is.
 */
#include "cmd/cmd.h"

#include <stdio.h>

#include "version.h"

int cmd_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("%s %s\n", program_name, WEIR_VERSION);
	return 0;
}
