/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/dataset_options.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "engine/dataset/pattern.h"

const char *dataset_default_json(void)
{
	static char path[4096];
	const char *dir = getenv("TMPDIR");

	snprintf(path, sizeof(path), "%s/mapped-files.json",
		 dir && *dir ? dir : "/tmp");
	return path;
}

void dataset_default_suffixes(struct opt_list *suffixes)
{
	suffixes->at = mem_array(2, sizeof(*suffixes->at));
	suffixes->at[0] = "pcap";
	suffixes->at[1] = "pcapng";
	suffixes->n = 2;
}

const char **dataset_paths(const struct opt_list *list,
			   const struct opt_args *args, size_t *n)
{
	const char **paths =
		mem_array((size_t)(list->n + args->n) + 1, sizeof(*paths));

	for (int i = 0; i < list->n; i++)
		paths[i] = list->at[i];
	for (int i = 0; i < args->n; i++)
		paths[list->n + i] = args->at[i];
	*n = (size_t)(list->n + args->n);
	return paths;
}

int dataset_pattern(const char *text, struct pattern **pattern, struct err *err)
{
	*pattern = NULL;
	if (!text || !*text)
		return 0;
	*pattern = pattern_new(text, err);
	return *pattern ? 0 : err->code;
}
