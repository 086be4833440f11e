/* SPDX-License-Identifier: Apache-2.0 */
#include "base/opt.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"

enum { LIST_MAX = 4096, VARIABLE_MAX = 128 };

static const char *program(const struct opt_command *cmd)
{
	return cmd->program ? cmd->program : "weir";
}

static const struct opt *by_name(const struct opt *opts, const char *name,
				 size_t len)
{
	for (; opts->kind != OPT_KIND_END; opts++)
		if (opts->name && strlen(opts->name) == len &&
		    strncmp(opts->name, name, len) == 0)
			return opts;
	return NULL;
}

static const struct opt *by_letter(const struct opt *opts, char letter)
{
	for (; opts->kind != OPT_KIND_END; opts++)
		if (opts->letter == letter)
			return opts;
	return NULL;
}

static int unknown(const struct opt_command *cmd, const char *word,
		   struct err *err)
{
	const char *name = word + strspn(word, "-");
	size_t len = strcspn(name, "=");
	char *typed = mem_format("%.*s", (int)len, name);
	const char *nearest = "help";
	unsigned best = text_distance(typed, nearest);

	for (const struct opt *o = cmd->opts; o->kind != OPT_KIND_END; o++) {
		unsigned d = o->name ? text_distance(typed, o->name) : best;

		if (d < best) {
			best = d;
			nearest = o->name;
		}
	}
	/* One wrong letter in four is a slip; more is another word. */
	if (best <= 1 + len / 4 && best < len)
		err_set(err, ERR_USAGE,
			"there is no option %s; did you mean --%s?", word,
			nearest);
	else
		err_set(err, ERR_USAGE,
			"there is no option %s; %s help %s lists them", word,
			program(cmd), cmd->name);
	free(typed);
	return ERR_USAGE;
}

static void list_add(struct opt_list *list, const char *value)
{
	if (!list->given) {
		list->n = 0;
		list->given = true;
	}
	list->at =
		mem_grow(list->at, (size_t)(list->n + 1) * sizeof(*list->at));
	list->at[list->n++] = value;
}

static char *keep_copy(struct opt_list *list, const char *value)
{
	size_t size = (size_t)(list->n_copies + 1) * sizeof(*list->copies);

	list->copies = mem_grow(list->copies, size);
	return list->copies[list->n_copies++] = mem_text(value);
}

static int set_list(const struct opt *o, const char *value, struct err *err)
{
	struct opt_list *list = o->to;

	if (list->given && list->n >= LIST_MAX)
		return err_set(err, ERR_USAGE,
			       "--%s was given more than %d times", o->name,
			       LIST_MAX);
	if (o->list_commas && strchr(value, ',')) {
		char *copy = keep_copy(list, value);

		for (char *p; (p = strsep(&copy, ","));)
			if (*p)
				list_add(list, p);
		return 0;
	}
	if (*value || !o->list_commas)
		list_add(list, value);
	else
		list->given = true, list->n = 0;
	return 0;
}

/* A bound as one would type it. */
static const char *bound(char out[TEXT_SIZE], const struct opt *o, uint64_t v)
{
	if (o->kind == OPT_KIND_SIZE)
		return text_of_size(out, v);
	snprintf(out, TEXT_SIZE, "%llu%s",
		 (unsigned long long)(o->kind == OPT_KIND_DURATION ? v / 1000000
								   : v),
		 o->kind == OPT_KIND_DURATION ? "ms" : "");
	return out;
}

static int out_of_bounds(const struct opt *o, const char *value,
			 struct err *err)
{
	char lo[TEXT_SIZE], hi[TEXT_SIZE];

	if (o->max == UINT64_MAX)
		return err_set(err, ERR_USAGE,
			       "--%s is %s; it must be at least %s", o->name,
			       value, bound(lo, o, o->min));
	return err_set(err, ERR_USAGE,
		       "--%s is %s; it must lie between %s and %s", o->name,
		       value, bound(lo, o, o->min), bound(hi, o, o->max));
}

static int set_number(const struct opt *o, const char *value, struct err *err)
{
	uint64_t v = 0;
	int rc = o->kind == OPT_KIND_UINT   ? text_to_uint(value, &v)
		 : o->kind == OPT_KIND_SIZE ? text_to_size(value, &v)
					    : text_to_duration_ns(value, &v);
	static const char *const like[] = {
		[OPT_KIND_UINT] = "a whole number",
		[OPT_KIND_SIZE] = "a size such as 64MiB",
		[OPT_KIND_DURATION] = "a time such as 500ms or 10s",
	};

	if (rc == ERR_MALFORMED)
		return err_set(err, ERR_USAGE, "--%s takes %s, not \"%s\"",
			       o->name, like[o->kind], value);
	if (rc == 0 && v >= o->min && v <= o->max) {
		*(uint64_t *)o->to = v;
		return 0;
	}
	return out_of_bounds(o, value, err);
}

static int set_int(const struct opt *o, const char *value, struct err *err)
{
	bool minus = value[0] == '-';
	uint64_t v;

	if (text_to_uint(value + minus, &v) < 0 || v > INT64_MAX)
		return err_set(err, ERR_USAGE,
			       "--%s takes a whole number, not \"%s\"", o->name,
			       value);
	*(int64_t *)o->to = minus ? -(int64_t)v : (int64_t)v;
	return 0;
}

static int set_decimal(const struct opt *o, const char *value, struct err *err)
{
	char *end;
	double v;

	errno = 0;
	v = strtod(value, &end);
	if (end == value || *end || errno || !isfinite(v) || v <= 0)
		return err_set(err, ERR_USAGE,
			       "--%s takes a number above 0 such as 1.5, not "
			       "\"%s\"",
			       o->name, value);
	*(double *)o->to = v;
	return 0;
}

static int set_flag(const struct opt *o, const char *value, struct err *err)
{
	static const char *const yes[] = { "true", "1", "yes", "on", NULL };
	static const char *const no[] = { "false", "0", "no", "off", NULL };

	for (int i = 0; yes[i]; i++) {
		if (!value || strcmp(value, yes[i]) == 0) {
			*(bool *)o->to = true;
			return 0;
		}
		if (strcmp(value, no[i]) == 0) {
			*(bool *)o->to = false;
			return 0;
		}
	}
	return err_set(err, ERR_USAGE, "--%s takes true or false, not \"%s\"",
		       o->name, value);
}

static int set(const struct opt *o, const char *value, struct err *err)
{
	switch (o->kind) {
	case OPT_KIND_FLAG:
		return set_flag(o, value, err);
	case OPT_KIND_TEXT:
		*(const char **)o->to = value;
		return 0;
	case OPT_KIND_UINT:
	case OPT_KIND_SIZE:
	case OPT_KIND_DURATION:
		return set_number(o, value, err);
	case OPT_KIND_INT:
		return set_int(o, value, err);
	case OPT_KIND_DECIMAL:
		return set_decimal(o, value, err);
	case OPT_KIND_LIST:
		return set_list(o, value, err);
	case OPT_KIND_COUNT:
		++*(int *)o->to;
		return 0;
	case OPT_KIND_END:
		break;
	}
	return 0;
}

static bool takes_value(const struct opt *o)
{
	return o->kind != OPT_KIND_FLAG && o->kind != OPT_KIND_COUNT;
}

/* A list that is not begun afresh by what comes next on the way. */
static void begin_lists(const struct opt *o)
{
	for (; o->kind != OPT_KIND_END; o++)
		if (o->kind == OPT_KIND_LIST)
			((struct opt_list *)o->to)->given = false;
}

int opt_set(const struct opt_command *cmd, const char *name, const char *value,
	    struct err *err)
{
	const struct opt *o = by_name(cmd->opts, name, strlen(name));

	return o ? set(o, value, err) : ERR_UNKNOWN;
}

/* WEIR_AGENT_CAPTURE_RING_BYTES for --ring-bytes of "agent capture". */
static const char *own_variable(const struct opt_command *cmd,
				const struct opt *o, char name[VARIABLE_MAX])
{
	snprintf(name, VARIABLE_MAX, "WEIR_%s_%s", cmd->name, o->name);
	for (char *p = name; *p; p++)
		*p = isalnum((unsigned char)*p)
			     ? (char)toupper((unsigned char)*p)
			     : '_';
	return getenv(name);
}

static int from_variable(const struct opt *o, const char *name,
			 const char *value, struct err *err)
{
	if (set(o, value, err) < 0)
		return err_within(err, "environment variable %s", name);
	/* The command line starts a list afresh. */
	if (o->kind == OPT_KIND_LIST)
		((struct opt_list *)o->to)->given = false;
	return 0;
}

static int from_environment(const struct opt_command *cmd, struct err *err)
{
	for (const struct opt *o = cmd->opts; o->kind != OPT_KIND_END; o++) {
		char name[VARIABLE_MAX];
		const char *value = o->env ? getenv(o->env) : NULL;

		if (value && *value && from_variable(o, o->env, value, err) < 0)
			return err->code;
		value = o->kind == OPT_KIND_COUNT ? NULL
						  : own_variable(cmd, o, name);
		if (value && *value && from_variable(o, name, value, err) < 0)
			return err->code;
	}
	return 0;
}

/* One option word at argv[*i]; moves *i over a value of its own. */
static int one_option(const struct opt_command *cmd, int argc, char **argv,
		      int *i, struct err *err)
{
	const char *word = argv[*i];
	const char *name = word + 1 + (word[1] == '-');
	size_t len = strcspn(name, "=");
	const char *value = name[len] == '=' ? name + len + 1 : NULL;
	const struct opt *o = by_name(cmd->opts, name, len);

	if (!o && len == 1)
		o = by_letter(cmd->opts, name[0]);
	if (!o && strncmp(name, "no-", 3) == 0 && !value) {
		o = by_name(cmd->opts, name + 3, len - 3);
		if (o && o->kind == OPT_KIND_FLAG)
			return set_flag(o, "false", err);
		o = NULL;
	}
	if (!o)
		return unknown(cmd, word, err);
	if (takes_value(o) && !value) {
		if (*i + 1 >= argc)
			return err_set(err, ERR_USAGE, "--%s needs a value: %s",
				       o->name, o->arg);
		value = argv[++*i];
	}
	return set(o, value, err);
}

static bool asks_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 ||
		    strcmp(argv[i], "-help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

int opt_parse(const struct opt_command *cmd, int argc, char **argv,
	      struct opt_args *args, struct err *err)
{
	bool only_words = false;
	int words = 0;

	*args = (struct opt_args){ .at = (const char **)argv + 1 };
	if (asks_help(argc, argv)) {
		args->help = true;
		return 0;
	}
	begin_lists(cmd->opts);
	if (from_environment(cmd, err) < 0)
		return err->code;
	for (int i = 1; i < argc; i++) {
		if (only_words || argv[i][0] != '-' || !argv[i][1]) {
			argv[1 + words++] = argv[i];
		} else if (strcmp(argv[i], "--") == 0) {
			only_words = true;
		} else if (one_option(cmd, argc, argv, &i, err) < 0) {
			return err->code;
		}
	}
	args->n = words;
	if (words > cmd->args_max)
		return err_set(err, ERR_USAGE,
			       "\"%s\" is one word too many; usage: %s %s %s",
			       args->at[cmd->args_max], program(cmd), cmd->name,
			       cmd->synopsis);
	if (words < cmd->args_min)
		return err_set(err, ERR_USAGE,
			       "something is missing; usage: %s %s %s",
			       program(cmd), cmd->name, cmd->synopsis);
	return 0;
}

static void print_default(const struct opt *o, FILE *out)
{
	const struct opt_list *list = o->to;
	char size[TEXT_SIZE];
	uint64_t v;

	switch (o->kind) {
	case OPT_KIND_FLAG:
		if (*(const bool *)o->to)
			fputs(" (on; --no-", out), fputs(o->name, out),
				fputs(" switches it off)", out);
		break;
	case OPT_KIND_TEXT:
		if (*(const char **)o->to && **(const char **)o->to)
			fprintf(out, " (%s)", *(const char **)o->to);
		break;
	case OPT_KIND_UINT:
		fprintf(out, " (%llu)",
			(unsigned long long)*(const uint64_t *)o->to);
		break;
	case OPT_KIND_INT:
		fprintf(out, " (%lld)", (long long)*(const int64_t *)o->to);
		break;
	case OPT_KIND_DECIMAL:
		if (*(const double *)o->to > 0)
			fprintf(out, " (%g)", *(const double *)o->to);
		break;
	case OPT_KIND_SIZE:
		v = *(const uint64_t *)o->to;
		fprintf(out, " (%s)",
			v == UINT64_MAX ? "no limit" : text_of_size(size, v));
		break;
	case OPT_KIND_DURATION:
		v = *(const uint64_t *)o->to;
		if (v % 1000000000 == 0)
			fprintf(out, " (%llus)",
				(unsigned long long)(v / 1000000000));
		else
			fprintf(out, " (%llums)",
				(unsigned long long)(v / 1000000));
		break;
	case OPT_KIND_LIST:
		for (int i = 0; i < list->n; i++)
			fprintf(out, "%s%s%s", i ? "," : " (", list->at[i],
				i + 1 == list->n ? ")" : "");
		break;
	case OPT_KIND_COUNT:
	case OPT_KIND_END:
		break;
	}
}

/* How many columns the first `len` bytes of UTF-8 take. */
static int columns(const char *text, size_t len)
{
	int n = 0;

	for (size_t i = 0; i < len; i++)
		n += ((unsigned char)text[i] & 0xc0) != 0x80;
	return n;
}

/* Words from column `at` on; lines after the first begin at `indent`. */
static void print_wrapped(const char *text, int at, int indent, FILE *out)
{
	enum { WIDTH = 79 };

	while (*text) {
		size_t len = strcspn(text, " ");
		int wide = columns(text, len);

		if (at > indent && at + 1 + wide > WIDTH) {
			fprintf(out, "\n%*s", indent, "");
			at = indent;
		} else if (at > indent) {
			fputc(' ', out);
			at++;
		}
		fwrite(text, 1, len, out);
		at += wide;
		text += len + strspn(text + len, " ");
	}
	fputc('\n', out);
}

/* "-l, --listen ADDR:PORT" */
static int print_spelling(const struct opt *o, FILE *out)
{
	int used = fprintf(out, "  ");

	if (o->letter)
		used += fprintf(out, "-%c, ", o->letter);
	used += fprintf(out, "--%s", o->name);
	if (o->arg && takes_value(o))
		used += fprintf(out, " %s", o->arg);
	return used;
}

static void print_option(const struct opt *o, FILE *out)
{
	enum { COLUMN = 30 };
	int used = print_spelling(o, out);
	char *text = NULL;
	size_t len;
	FILE *gather = open_memstream(&text, &len);

	assert(gather);
	fputs(o->help, gather);
	print_default(o, gather);
	if (o->env)
		fprintf(gather, " [%s]", o->env);
	fclose(gather);
	if (used > COLUMN - 2)
		fputc('\n', out), used = 0;
	fprintf(out, "%*s", COLUMN - used, "");
	print_wrapped(text, COLUMN, COLUMN, out);
	free(text);
}

void opt_help(const struct opt_command *cmd, FILE *out)
{
	fprintf(out, "Usage: %s %s%s%s\n\n%s\n", program(cmd), cmd->name,
		*cmd->synopsis ? " " : "", cmd->synopsis, cmd->about);
	if (cmd->opts->kind != OPT_KIND_END)
		fputs("\nOptions:\n", out);
	for (const struct opt *o = cmd->opts; o->kind != OPT_KIND_END; o++)
		print_option(o, out);
	if (cmd->examples)
		fprintf(out, "\nExamples:\n%s", cmd->examples);
}

/* Text in roff: nothing in it may be taken for a request or an escape. */
static void roff(const char *text, FILE *out)
{
	bool at_start = true;

	for (; *text; text++) {
		if (at_start && (*text == '.' || *text == '\''))
			fputs("\\&", out);
		at_start = *text == '\n';
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-')
			fputs("\\-", out);
		else
			fputc(*text, out);
	}
}

/* "agent capture" is the page weir-agent-capture(1). */
static void roff_title(const char *name, FILE *out)
{
	fputs(".TH WEIR\\-", out);
	for (const char *p = name; *p; p++)
		fputc(*p == ' ' ? '-' : toupper((unsigned char)*p), out);
	fputs(" 1 \"\" weir\n.SH NAME\nweir\\-", out);
	for (const char *p = name; *p; p++)
		fputs(*p == ' ' ? "\\-" : (char[]){ *p, 0 }, out);
}

static void roff_option(const struct opt *o, FILE *out)
{
	fputs(".TP\n", out);
	if (o->letter)
		fprintf(out, "\\fB\\-%c\\fR, ", o->letter);
	fputs("\\fB\\-\\-", out);
	roff(o->name, out);
	fputs("\\fR", out);
	if (o->arg && takes_value(o))
		fprintf(out, " \\fI%s\\fR", o->arg);
	fputc('\n', out);
	roff(o->help, out);
	print_default(o, out);
	if (o->env)
		fprintf(out, "; environment: %s", o->env);
	fputs(".\n", out);
}

void opt_manual(const struct opt_command *cmd, FILE *out)
{
	roff_title(cmd->name, out);
	fprintf(out, " \\- %s\n.SH SYNOPSIS\n.B %s %s\n",
		cmd->one_line ? cmd->one_line : cmd->name, program(cmd),
		cmd->name);
	roff(cmd->synopsis, out);
	/* Lines are filled, but for those that begin with blanks. */
	fputs("\n.SH DESCRIPTION\n", out);
	roff(cmd->about, out);
	fputs("\n", out);
	if (cmd->opts->kind != OPT_KIND_END)
		fputs(".SH OPTIONS\n", out);
	for (const struct opt *o = cmd->opts; o->kind != OPT_KIND_END; o++)
		roff_option(o, out);
	if (cmd->examples) {
		fputs(".SH EXAMPLES\n.nf\n", out);
		roff(cmd->examples, out);
		fputs("\n.fi\n", out);
	}
	fputs(".SH EXIT STATUS\n0 when done, 1 when it failed, 2 when it was "
	      "used wrongly.\n.SH SEE ALSO\n.BR weir (1)\n",
	      out);
}

/* -- a configuration file ------------------------------------------------- */

static void yaml_text(const char *text, FILE *out)
{
	fputc('"', out);
	for (; text && *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

static void yaml_duration(uint64_t ns, FILE *out)
{
	if (ns % 1000000000 == 0)
		fprintf(out, "%llus", (unsigned long long)(ns / 1000000000));
	else
		fprintf(out, "%lluns", (unsigned long long)ns);
}

static void yaml_value(const struct opt *o, FILE *out)
{
	const struct opt_list *list = o->to;

	switch (o->kind) {
	case OPT_KIND_FLAG:
		fputs(*(const bool *)o->to ? "true" : "false", out);
		break;
	case OPT_KIND_TEXT:
		yaml_text(*(const char **)o->to, out);
		break;
	case OPT_KIND_UINT:
	case OPT_KIND_SIZE:
		fprintf(out, "%llu",
			(unsigned long long)*(const uint64_t *)o->to);
		break;
	case OPT_KIND_INT:
		fprintf(out, "%lld", (long long)*(const int64_t *)o->to);
		break;
	case OPT_KIND_DECIMAL:
		fprintf(out, "%g", *(const double *)o->to);
		break;
	case OPT_KIND_DURATION:
		yaml_duration(*(const uint64_t *)o->to, out);
		break;
	case OPT_KIND_LIST:
		fputc('[', out);
		for (int i = 0; i < list->n; i++) {
			fputs(i ? ", " : "", out);
			yaml_text(list->at[i], out);
		}
		fputc(']', out);
		break;
	case OPT_KIND_COUNT:
	case OPT_KIND_END:
		break;
	}
}

/* What is not set has no value that could be written: it is shown, not set. */
static bool unset(const struct opt *o)
{
	return (o->kind == OPT_KIND_TEXT && !*(const char **)o->to) ||
	       (o->kind == OPT_KIND_DECIMAL && *(const double *)o->to <= 0);
}

void opt_example(const struct opt_command *cmd, const char *name,
		 bool (*leave_out)(const char *option), FILE *out)
{
	bool any = false;

	for (const struct opt *o = cmd->opts; o->kind != OPT_KIND_END; o++) {
		if (o->kind == OPT_KIND_COUNT || leave_out(o->name))
			continue;
		if (!any)
			fprintf(out, "%s:\n", name);
		any = true;
		fprintf(out, "  # %s\n  %s%s: ", o->help, unset(o) ? "#" : "",
			o->name);
		yaml_value(o, out);
		fputc('\n', out);
	}
}

void opt_list_release(struct opt_list *list)
{
	for (int i = 0; i < list->n_copies; i++)
		free(list->copies[i]);
	free(list->copies);
	free(list->at);
	*list = (struct opt_list){ 0 };
}
