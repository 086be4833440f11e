/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/common.h"

#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
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

int cmd_address_check(const char *option, const char *text, struct err *err)
{
	const char *colon = strrchr(text, ':');
	uint64_t port;

	if (colon && colon > text && text_to_uint(colon + 1, &port) == 0 &&
	    port > 0 && port <= UINT16_MAX)
		return 0;
	return err_set(err, ERR_USAGE,
		       "%s %.200s is not an address: HOST:PORT, for example "
		       "10.10.3.2:7878",
		       option, text);
}
