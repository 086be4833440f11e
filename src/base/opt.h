/* SPDX-License-Identifier: Apache-2.0 */
/*
 * opt.h - one table of options: parser, help text, manual and environment.
 *
 * A command lists its options once, with their bounds and words; defaults are
 * the values that the destinations hold when opt_parse() is called.  A value
 * given on the command line beats the environment, which beats a configuration
 * file (opt_set), which beats the default.  Every option has a variable: of
 * --dir-src of `weir map` it is WEIR_MAP_DIR_SRC.
 * "--name value", "--name=value", "-name value" (the predecessors' spelling)
 * and "-n value" are all understood; "--" ends the options.
 */
#ifndef BASE_OPT_H
#define BASE_OPT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct err;

/*
 * A text option that may be repeated; the texts are borrowed from argv, or,
 * where one word held several, from copies that live as long as the list.
 */
struct opt_list {
	const char **at; /* owned */
	int n;
	char **copies; /* owned, all of them */
	int n_copies;
	bool given; /* the first one given replaces the defaults */
};

enum opt_kind {
	OPT_KIND_END,
	OPT_KIND_FLAG,	   /* bool; --no-NAME and NAME=false switch it off */
	OPT_KIND_TEXT,	   /* const char * */
	OPT_KIND_UINT,	   /* uint64_t within bounds */
	OPT_KIND_INT,	   /* int64_t, any */
	OPT_KIND_DECIMAL,  /* double, above 0 */
	OPT_KIND_SIZE,	   /* uint64_t bytes, text_to_size() */
	OPT_KIND_DURATION, /* uint64_t nanoseconds, text_to_duration_ns() */
	OPT_KIND_LIST,	   /* struct opt_list */
	OPT_KIND_COUNT	   /* no value; int counts how often it was given */
};

struct opt {
	enum opt_kind kind;
	char letter; /* 0 for none */
	const char *name;
	void *to;
	uint64_t min, max;
	const char *arg;  /* the argument's word in the help, NULL for none */
	const char *help; /* lower case, no full stop */
	const char *env;  /* environment variable, or NULL */
	bool list_commas; /* OPT_KIND_LIST: "a,b" is two values */
};

#define OPT_FLAG(letter_, name_, to_, help_)                                   \
	{ .kind = OPT_KIND_FLAG, .letter = letter_, .name = name_, .to = to_,  \
	  .help = help_ }
#define OPT_TEXT(letter_, name_, to_, arg_, help_)                             \
	{ .kind = OPT_KIND_TEXT, .letter = letter_, .name = name_, .to = to_,  \
	  .arg = arg_, .help = help_ }
#define OPT_UINT(letter_, name_, to_, min_, max_, arg_, help_)                 \
	{ .kind = OPT_KIND_UINT, .letter = letter_, .name = name_, .to = to_,  \
	  .min = min_, .max = max_, .arg = arg_, .help = help_ }
#define OPT_INT(letter_, name_, to_, arg_, help_)                              \
	{ .kind = OPT_KIND_INT, .letter = letter_, .name = name_, .to = to_,   \
	  .arg = arg_, .help = help_ }
#define OPT_DECIMAL(letter_, name_, to_, arg_, help_)                          \
	{ .kind = OPT_KIND_DECIMAL, .letter = letter_, .name = name_,          \
	  .to = to_, .arg = arg_, .help = help_ }
#define OPT_SIZE(letter_, name_, to_, min_, max_, help_)                       \
	{ .kind = OPT_KIND_SIZE, .letter = letter_, .name = name_, .to = to_,  \
	  .min = min_, .max = max_, .arg = "BYTES", .help = help_ }
#define OPT_DURATION(letter_, name_, to_, min_, max_, help_)                   \
	{ .kind = OPT_KIND_DURATION, .letter = letter_, .name = name_,         \
	  .to = to_, .min = min_, .max = max_, .arg = "TIME", .help = help_ }
#define OPT_LIST(letter_, name_, to_, arg_, help_)                             \
	{ .kind = OPT_KIND_LIST, .letter = letter_, .name = name_, .to = to_,  \
	  .arg = arg_, .help = help_ }
/* The same, with an environment variable that stands in for the option. */
#define OPT_TEXT_ENV(letter_, name_, to_, arg_, help_, env_)                   \
	{ .kind = OPT_KIND_TEXT, .letter = letter_, .name = name_, .to = to_,  \
	  .arg = arg_, .help = help_, .env = env_ }
#define OPT_LIST_ENV(letter_, name_, to_, arg_, help_, env_)                   \
	{ .kind = OPT_KIND_LIST, .letter = letter_, .name = name_, .to = to_,  \
	  .arg = arg_, .help = help_, .env = env_, .list_commas = true }
#define OPT_END()                                                              \
	{ .kind = OPT_KIND_END }

/* What a command is, for its help and its manual page. */
struct opt_command {
	const char *program;  /* NULL is weir */
	const char *name;     /* "agent capture" */
	const char *one_line; /* the name of the manual page says it */
	const char *synopsis; /* "[OPTIONS] FILE…", after the name */
	const char *about;    /* paragraphs, printed above the options */
	const char *examples; /* lines, printed below them; or NULL */
	const struct opt *opts;
	int args_min, args_max; /* words that are not options */
};

/* What opt_parse() found besides the options. */
struct opt_args {
	const char **at; /* borrowed from argv */
	int n;
	bool help; /* --help: nothing else was checked */
};

/*
 * Take a value from a configuration file, before opt_parse(); `value` is
 * borrowed like argv.  Of a list each call adds one.  0, ERR_UNKNOWN when the
 * command has no option of that name, or ERR_USAGE with a sentence.
 */
int opt_set(const struct opt_command *cmd, const char *name, const char *value,
	    struct err *err);

/*
 * Read argv[1…] into the destinations.  0, or ERR_USAGE with a sentence that
 * names the option, the value and the bounds, and the nearest right spelling
 * of a wrong name.  args->at points into argv, which is reordered.
 */
int opt_parse(const struct opt_command *cmd, int argc, char **argv,
	      struct opt_args *args, struct err *err);

/*
 * Print the help, 80 columns wide, with each option's present value as its
 * default.
 */
void opt_help(const struct opt_command *cmd, FILE *out);

/* The same as a manual page of section 1, in roff. */
void opt_manual(const struct opt_command *cmd, FILE *out);

/*
 * All options with their present values as part of a YAML file: `name` and a
 * mapping below it.  Those whose name `leave_out` wants are left out.
 */
void opt_example(const struct opt_command *cmd, const char *name,
		 bool (*leave_out)(const char *option), FILE *out);

void opt_list_release(struct opt_list *list);

#endif
