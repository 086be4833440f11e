/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page.c - the files of the page: three, in the program itself.
 */
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "engine/web/asset.h"
#include "engine/web/web_priv.h"

static const struct asset *asset_of(const char *path)
{
	const char *name = strcmp(path, "/") == 0 ? "index.html" : path + 1;

	for (int i = 0; i < n_assets; i++)
		if (strcmp(assets[i].name, name) == 0)
			return &assets[i];
	return NULL;
}

static const char *type_of(const char *name)
{
	const char *dot = strrchr(name, '.');

	if (dot && strcmp(dot, ".js") == 0)
		return "text/javascript; charset=utf-8";
	if (dot && strcmp(dot, ".css") == 0)
		return "text/css; charset=utf-8";
	return "text/html; charset=utf-8";
}

/* A browser may keep a file, and asks whether it is still the same. */
void web_page(void *app, struct http_request *r)
{
	const struct asset *a = asset_of(http_path(r));
	const char *have = http_header(r, "If-None-Match");
	char tag[16];

	(void)app;
	if (!a) {
		http_fail(r, 404, "there is nothing at %.200s", http_path(r));
		return;
	}
	snprintf(tag, sizeof(tag), "\"%08x\"", crc32c(a->content));
	http_set(r, "ETag", tag);
	http_set(r, "Cache-Control", "no-cache");
	if (have && strcmp(have, tag) == 0) {
		http_answer(r, 304, type_of(a->name));
		return;
	}
	put_bytes(http_out(r), a->content);
	http_answer(r, 200, type_of(a->name));
}
