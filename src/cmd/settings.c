/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/settings.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/opt.h"
#include "engine/config/settings.h"

enum { SECTION_MAX = 64 };

static const char *const gophercap_commands[] = {
	"map", "replay", "tar-extract", "filter", "extract", "eve2filter", NULL,
};

/* Keys that are not spelled like their options; NULL: nothing of ours. */
static const struct {
	const char *section, *key, *option;
} spellings[] = {
	{ "replay", "disable-wait", "wait-disable" },
	{ "replay", "skip-out-of-order", "skip-ooo" },
	{ "replay", "reorder-enabled", "reorder" },
	{ "replay", "time-scale-perfile", NULL },
	{ "tarball", "in-file", "in-tarball" },
	{ "filter", "decap-enabled", "decap" },
	{ "filter", "dedup-enabled", "dedup" },
};

/* Other names of a command's section. */
static const struct {
	const char *command, *section;
} sections[] = {
	{ "tar-extract", "tarball" },
	{ "tar-extract", "tarextract" },
	{ "example-config", "exampleconfig" },
};

/* Read once; the options borrow from it as long as the process lives. */
static struct settings loaded;

static bool is_gophercaps(const char *command)
{
	for (int i = 0; gophercap_commands[i]; i++)
		if (strcmp(gophercap_commands[i], command) == 0)
			return true;
	return false;
}

/* What follows "SECTION-" in the path, or NULL. */
static const char *behind(const char *path, const char *section)
{
	size_t len = strlen(section);

	return strncmp(path, section, len) == 0 && path[len] == '-'
		       ? path + len + 1
		       : NULL;
}

/* The option's name, in *section that of the section; NULL: not for us. */
static const char *key_for(const struct opt_command *cmd, const char *path,
			   const char **section)
{
	static char own[SECTION_MAX];
	const char *key;

	strncpy(own, cmd->name, sizeof(own) - 1);
	for (char *p = own; *p; p++)
		if (*p == ' ')
			*p = '-';
	*section = own;
	key = behind(path, own);
	for (size_t i = 0; !key && i < sizeof(sections) / sizeof(*sections);
	     i++)
		if (strcmp(sections[i].command, own) == 0) {
			*section = sections[i].section;
			key = behind(path, *section);
		}
	if (!key) {
		*section = "global";
		key = behind(path, *section);
	}
	return key;
}

/* The option's own spelling; NULL where it means nothing here. */
static const char *spelled(const char *section, const char *key)
{
	for (size_t i = 0; i < sizeof(spellings) / sizeof(*spellings); i++)
		if (strcmp(spellings[i].section, section) == 0 &&
		    strcmp(spellings[i].key, key) == 0)
			return spellings[i].option;
	return key;
}

static int one_setting(const struct opt_command *cmd, const char *path,
		       const struct setting *s, struct err *err)
{
	const char *section, *option;
	const char *key = key_for(cmd, s->path, &section);
	int rc;

	/* An empty value is "not set", as in gophercap's example. */
	if (!key || !*s->value)
		return 0;
	option = spelled(section, key);
	if (!option)
		return 0;
	rc = opt_set(cmd, option, s->value, err);
	if (rc == ERR_UNKNOWN && strcmp(section, "global") == 0)
		return 0;
	if (rc == ERR_UNKNOWN)
		return err_set(err, ERR_USAGE,
			       "%s, line %u: weir %s has no option --%s", path,
			       s->line, cmd->name, option);
	return rc < 0 ? err_within(err, "%s, line %u", path, s->line) : 0;
}

int settings_apply(const struct opt_command *cmd, const char *path,
		   struct err *err)
{
	const char *home = getenv("HOME");
	char *own = NULL;
	int rc = 0;

	/* To this one the file is what it writes. */
	if (strcmp(cmd->name, "example-config") == 0)
		return 0;
	if (!path && home && is_gophercaps(cmd->name))
		path = own = mem_format("%s/.go-replay.yaml", home);
	if (!path)
		return 0;
	rc = settings_load(path, &loaded, err);
	if (rc == ERR_GONE && own) {
		*err = ERR_NONE;
		rc = 0;
	} else if (rc == 0 && own) {
		log_info("config", "options are read from %s", own);
	}
	for (size_t i = 0; rc == 0 && i < loaded.n; i++)
		rc = one_setting(cmd, path, &loaded.at[i], err);
	if (rc < 0)
		err->code = ERR_USAGE;
	free(own);
	return rc;
}
