/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/config/settings.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "engine/config/yamltree.h"

enum { SETTINGS_MAX = 65536, PATH_BYTES_MAX = 512 };

static char *join(const char *path, const char *key)
{
	char *all = mem_format("%s%s%s", path, *path && key ? "-" : "",
			       key ? key : "");

	for (char *p = all; *p; p++)
		*p = *p == '.' || *p == '_' ? '-'
					    : (char)tolower((unsigned char)*p);
	return all;
}

static int add(struct settings *s, const struct yaml_node *n, char *path,
	       struct err *err)
{
	if (s->n == SETTINGS_MAX) {
		free(path);
		return yamltree_error(s->doc, n, err, "over %d settings",
				      SETTINGS_MAX);
	}
	if ((s->n & (s->n - 1)) == 0)
		s->at = mem_grow(s->at, (s->n ? 2 * s->n : 1) * sizeof(*s->at));
	s->at[s->n++] = (struct setting){ .path = path,
					  .value = n->text,
					  .line = n->line };
	return 0;
}

static int flatten(struct settings *s, const struct yaml_node *n,
		   const char *above, struct err *err)
{
	char *path = join(above, n->key);
	int rc = 0;

	if (strlen(path) > PATH_BYTES_MAX)
		rc = yamltree_error(s->doc, n, err,
				    "the keys down to here are too "
				    "long");
	else if (n->kind == YAML_TEXT)
		return add(s, n, path, err);
	for (const struct yaml_node *c = n->first; c && rc == 0; c = c->next)
		rc = flatten(s, c, path, err);
	free(path);
	return rc;
}

int settings_load(const char *path, struct settings *s, struct err *err)
{
	int rc = 0;

	*s = (struct settings){ .doc = yamltree_load(path, err) };
	if (!s->doc)
		return err->code;
	if (yamltree_root(s->doc)->kind != YAML_MAP)
		rc = yamltree_error(s->doc, yamltree_root(s->doc), err,
				    "\"key: value\" is expected");
	else
		rc = flatten(s, yamltree_root(s->doc), "", err);
	if (rc < 0)
		settings_release(s);
	return rc;
}

void settings_release(struct settings *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->at[i].path);
	free(s->at);
	yamltree_free(s->doc);
	*s = (struct settings){ 0 };
}
