/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common.h - what every living command has in common.
 *
 *	struct cmd_logs logs = CMD_LOGS_DEFAULT;
 *	const struct opt opts[] = {
 *		...
 *		CMD_LOGS_OPTIONS(&logs),
 *		OPT_END()
 *	};
 *	...
 *	if (!cmd_begin(&cmd, argc, argv, &args, &status) ||
 *	    !cmd_logs_begin(&cmd, &logs, &status))
 *		return status;
 */
#ifndef CMD_COMMON_H
#define CMD_COMMON_H

#include <stdbool.h>

#include "base/opt.h"

struct err;

struct cmd_logs {
	bool debug;	   /* the same as level "debug" */
	bool json;
	const char *level; /* borrowed from argv */
};

#define CMD_LOGS_DEFAULT ((struct cmd_logs){ .level = "info" })

#define CMD_LOGS_OPTIONS(logs)                                                 \
	OPT_TEXT(0, "log", &(logs)->level, "LEVEL",                            \
		 "log error, warn, info or debug"),                            \
	OPT_FLAG(0, "debug", &(logs)->debug, "the same as --log debug"),       \
	OPT_FLAG(0, "json", &(logs)->json, "log lines of JSON")

/*
 * Set the log up as asked.  True when the command goes on; otherwise the level
 * was a wrong word, which has been said, and *status is what it returns.
 */
bool cmd_logs_begin(const struct opt_command *cmd, const struct cmd_logs *logs,
		    int *status);

/* Is what `option` was given an address to dial, "host:port"?  0, or
 * ERR_USAGE with a sentence; whether anybody is there is another question. */
int cmd_address_check(const char *option, const char *text, struct err *err);

#endif
