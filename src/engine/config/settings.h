/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings.h - options of commands that stand in a YAML file.
 *
 *	map:
 *	  dir-src: /data          # --dir-src of weir map
 *	  file: {workers: 8}      # --file-workers
 *	global:
 *	  dump: {json: /data/map.json}
 *
 * A setting is the path to a text: its keys in lower case with "-" between
 * them, whether they were nested or written with dots, dashes or underscores.
 * A list gives one setting an element.
 */
#ifndef ENGINE_CONFIG_SETTINGS_H
#define ENGINE_CONFIG_SETTINGS_H

#include <stddef.h>

struct err;
struct yaml_doc;

struct setting {
	char *path;	   /* owned: "map-dir-src" */
	const char *value; /* borrowed from the document */
	unsigned line;
};

struct settings {
	struct yaml_doc *doc; /* owned */
	struct setting *at;   /* owned */
	size_t n;
};

/* 0, ERR_GONE when the file is not there, or a sentence with its line. */
int settings_load(const char *path, struct settings *s, struct err *err);
void settings_release(struct settings *s);

#endif
