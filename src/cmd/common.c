/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/common.h"

#include "base/err.h"
#include "base/log.h"
#include "cmd/cmd.h"

bool cmd_logs_begin(const struct opt_command *cmd, const struct cmd_logs *logs,
		    int *status)
{
	enum log_level level;
	struct err err = ERR_NONE;

	if (log_level_of(logs->level, &level) < 0) {
		err_set(&err, ERR_USAGE,
			"--log takes error, warn, info or debug, not \"%s\"",
			logs->level);
		*status = cmd_exit(cmd->name, &err);
		return false;
	}
	log_setup(logs->debug ? LOG_DEBUG : level, logs->json);
	return true;
}
