/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir pattern add, list, remove - what a store looks for, in what comes and
 * in what it has.
 */
#include "cmd/cmd.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/opt.h"
#include "cmd/rules_here.h"
#include "codec/json.h"
#include "engine/match/match.h"
#include "engine/query/rules.h"

static const char *const kinds[] = { "text", "regex", "hex", "query" };
static const char *const roles[] = { "any", "flag-in", "flag-out" };

/* -- add ------------------------------------------------------------------------- */

struct adding {
	const char *dir, *text[3], *role;
};

static int fill(struct rule *rule, const struct adding *o, const char *name,
		struct err *err)
{
	int n = 0;

	*rule = (struct rule){ .id = 0 };
	for (int i = 0; i < 3; i++) {
		if (!o->text[i])
			continue;
		n++;
		rule->kind = (enum rule_kind)i;
		rule->text = (char *)(uintptr_t)o->text[i];
	}
	if (n != 1)
		return err_set(err, ERR_USAGE,
			       "give one of --regex, --text and --hex");
	if (strlen(name) >= RULE_NAME)
		return err_set(err, ERR_USAGE,
			       "a name has at most %d characters",
			       RULE_NAME - 1);
	strcpy(rule->name, name);
	for (uint8_t i = 0; o->role && i < 3; i++)
		if (strcmp(roles[i], o->role) == 0)
			rule->role = i;
	if (o->role && strcmp(roles[rule->role], o->role) != 0)
		return err_set(err, ERR_USAGE,
			       "--role takes flag-in, flag-out or any, not "
			       "\"%s\"", o->role);
	return 0;
}

int cmd_pattern_add(int argc, char **argv)
{
	struct adding o = { .dir = "store" };
	const struct opt opts[] = {
		OPT_TEXT('d', "store", &o.dir, "DIR", "whose streams"),
		OPT_TEXT('e', "regex", &o.text[RULE_REGEX], "REGEX",
			 "look for this expression"),
		OPT_TEXT('t', "text", &o.text[RULE_SUBSTRING], "TEXT",
			 "look for this text"),
		OPT_TEXT('x', "hex", &o.text[RULE_BINARY], "HEX",
			 "look for these bytes"),
		OPT_TEXT(0, "role", &o.role, "ROLE",
			 "flag-in: only on its way to the one who was called; "
			 "flag-out: only back"),
		OPT_END()
	};
	const struct opt_command cmd = {
		.name = "pattern add",
		.synopsis = "[OPTIONS] NAME",
		.about =
			"Look for a pattern in the streams of a store: from "
			"now on in those that\nbegin, and in all that are "
			"there, newest first.  Streams that have it get\nthe "
			"tag NAME.\n\nWhere weir analyze writes the store, it "
			"takes the pattern up at once, and goes\nthrough the "
			"past when live traffic leaves time; weir pattern list "
			"tells how far\nit is.  Otherwise that is done here.",
		.examples =
			"  weir pattern add flag --regex 'FLAG\\{\\w+\\}' "
			"--role flag-out\n"
			"  weir pattern add elf --hex '7f 45 4c 46'\n",
		.opts = opts,
		.args_min = 1,
		.args_max = 1,
	};
	struct opt_args args;
	struct rule rule;
	struct err err = ERR_NONE;
	int status;

	if (!cmd_begin(&cmd, argc, argv, &args, &status))
		return status;
	if (fill(&rule, &o, args.at[0], &err) == 0)
		rules_remember(o.dir, &rule, &err);
	return cmd_exit(cmd.name, &err);
}

/* -- list ------------------------------------------------------------------------- */

static void print_rule(const struct rule *rule)
{
	char text[RULES_TEXT];

	printf("%-16s %-5s %s%s%s\n%16s %" PRIu64 " found; %s\n", rule->name,
	       kinds[rule->kind], rule->text, rule->role ? " " : "",
	       rule->role ? roles[rule->role] : "", "", rule->past.found,
	       rules_text(text, rule));
}

static void print_rule_json(const struct rule *rule)
{
	const struct rule_past *past = &rule->past;
	struct buf b = { 0 };

	json_begin(&b, NULL);
	json_word(&b, "name", rule->name);
	json_word(&b, "kind", kinds[rule->kind]);
	json_text(&b, "text", bytes_of_text(rule->text));
	json_word(&b, "role", roles[rule->role % 3]);
	json_uint(&b, "version", rule->version);
	json_bool(&b, "past_done", past->done);
	json_uint(&b, "found", past->found);
	json_uint(&b, "streams", past->streams);
	json_uint(&b, "bytes", past->bytes);
	if (past->total_known) {
		json_uint(&b, "streams_total", past->streams_total);
		json_uint(&b, "bytes_total", past->bytes_total);
	}
	json_decimal(&b, "work_seconds", (double)past->work_ns / 1e9, 3);
	json_end(&b);
	printf("%.*s\n", (int)b.len, (const char *)b.p);
	buf_release(&b);
}

static void list(const char *dir, bool json, struct err *err)
{
	struct rules *r = rules_open(dir, err);
	struct rule *all = NULL;
	uint64_t version;
	size_t n = 0;

	if (r)
		rules_load(r, &all, &n, &version, err);
	for (size_t i = 0; i < n; i++)
		if (json)
			print_rule_json(&all[i]);
		else
			print_rule(&all[i]);
	rules_free_list(all, n);
	rules_close(r);
}

int cmd_pattern_list(int argc, char **argv)
{
	const char *dir = "store";
	bool json = false;
	const struct opt opts[] = {
		OPT_TEXT('d', "store", &dir, "DIR", "whose patterns"),
		OPT_FLAG(0, "json", &json, "one JSON object a line"),
		OPT_END()
	};
	const struct opt_command cmd = {
		.name = "pattern list",
		.synopsis = "[OPTIONS]",
		.about = "List the patterns and saved queries of a store, in "
			 "how many streams of the past\neach was found, how "
			 "much of the past was searched and how long the\nrest "
			 "may take.",
		.examples = "  weir pattern list --store store\n",
		.opts = opts,
	};
	struct opt_args args;
	struct err err = ERR_NONE;
	int status;

	if (!cmd_begin(&cmd, argc, argv, &args, &status))
		return status;
	list(dir, json, &err);
	fflush(stdout);
	return cmd_exit(cmd.name, &err);
}

/* -- remove ------------------------------------------------------------------------ */

int cmd_pattern_remove(int argc, char **argv)
{
	const char *dir = "store";
	const struct opt opts[] = {
		OPT_TEXT('d', "store", &dir, "DIR", "whose pattern"),
		OPT_END()
	};
	const struct opt_command cmd = {
		.name = "pattern remove",
		.synopsis = "[OPTIONS] NAME",
		.about = "Take a pattern or a saved query away.  The matches "
			 "and tags that it made stay.",
		.examples = "  weir pattern remove flag\n",
		.opts = opts,
		.args_min = 1,
		.args_max = 1,
	};
	struct opt_args args;
	struct err err = ERR_NONE;
	struct rules *r;
	int status;

	if (!cmd_begin(&cmd, argc, argv, &args, &status))
		return status;
	r = rules_open(dir, &err);
	if (r)
		rules_remove(r, args.at[0], &err);
	rules_close(r);
	return cmd_exit(cmd.name, &err);
}
