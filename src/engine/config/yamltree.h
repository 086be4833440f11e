/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yamltree.h - a YAML file as a tree of texts, lists and mappings.
 *
 * The library of that name has yaml_free() and others: ours are yamltree_*().
 * Everything is a text until somebody who knows what it means reads it, so
 * "no" and "0755" are what they look like.  One document; aliases and keys
 * that are no texts are refused; size, depth and number of nodes are bounded.
 */
#ifndef ENGINE_CONFIG_YAMLTREE_H
#define ENGINE_CONFIG_YAMLTREE_H

#include "base/bytes.h"

struct err;

enum {
	YAML_FILE_MAX = 64 << 20,
	YAML_NODES_MAX = 1 << 22,
	YAML_LEVELS_MAX = 32
};

enum yaml_kind { YAML_TEXT, YAML_LIST, YAML_MAP };

struct yaml_node {
	enum yaml_kind kind;
	unsigned line;
	const char *key;		/* in a mapping; else NULL */
	const char *text;		/* YAML_TEXT, or NULL */
	bool quoted;			/* the text stood in quotes */
	struct yaml_node *first, *next; /* of a list or mapping */
};

struct yaml_doc;

/*
 * `name` is for sentences, which tell the line.  NULL on failure.  An empty
 * file is an empty mapping.
 */
struct yaml_doc *yamltree_parse(struct bytes text, const char *name,
				struct err *err);

/* The same with a file; ERR_GONE when it is not there. */
struct yaml_doc *yamltree_load(const char *path, struct err *err);

void yamltree_free(struct yaml_doc *doc); /* NULL is fine */

/* Valid as long as the document. */
const struct yaml_node *yamltree_root(const struct yaml_doc *doc);
const char *yamltree_name(const struct yaml_doc *doc);

/* "FILE, line N: what"; returns the code. */
int yamltree_error(const struct yaml_doc *doc, const struct yaml_node *at,
		   struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
