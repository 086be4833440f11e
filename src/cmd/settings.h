/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings.h - options of a command out of a YAML file.
 *
 * A key's path names the command and the option, however it is nested:
 * map.dir-src, map.dir.src and "map: {dir: {src: …}}" are --dir-src of weir
 * map.  The section "global" is for every command that has the option.
 * gophercap's names are understood (doc/data-sets.md, "Configuration").
 */
#ifndef CMD_SETTINGS_H
#define CMD_SETTINGS_H

struct err;
struct opt_command;

/*
 * Take what `path` says for this command; NULL: gophercap's own file in the
 * home directory, for the commands it has, where it is there.  0 or a sentence
 * that names file and line.
 */
int settings_apply(const struct opt_command *cmd, const char *path,
		   struct err *err);

#endif
