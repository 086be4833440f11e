/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/dataset_options.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "engine/dataset/pattern.h"

const char *dataset_default_json(void)
{
	static char path[4096];
	const char *dir = getenv("TMPDIR");

	snprintf(path, sizeof(path), "%s/mapped-files.json",
		 dir && *dir ? dir : "/tmp");
	return path;
}

int dataset_pattern(const char *text, struct pattern **pattern, struct err *err)
{
	*pattern = NULL;
	if (!text || !*text)
		return 0;
	*pattern = pattern_new(text, err);
	return *pattern ? 0 : err->code;
}
