/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/store_dir.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/up_state.h"

const char *store_dir_default(void)
{
	static char dir[PATH_MAX];
	char db[PATH_MAX + 16], *state;

	if (access("store/store.db", F_OK) == 0)
		return "store";
	state = up_state_default();
	snprintf(dir, sizeof(dir), "%s/store", state);
	snprintf(db, sizeof(db), "%s/store.db", dir);
	free(state);
	return access(db, F_OK) == 0 ? dir : "store";
}
