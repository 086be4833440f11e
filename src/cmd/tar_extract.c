/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir tar-extract - chosen members of an archive, without unpacking it first.
 */
#include "cmd/cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/text.h"
#include "cmd/common.h"
#include "cmd/dataset_options.h"
#include "cmd/progress.h"
#include "engine/archive/extract.h"
#include "engine/dataset/pattern.h"

static const char part[] = "tar-extract";

struct options {
	const char *archive, *dir, *regexp;
	bool gzip, zstd, dry_run;
	uint64_t bytes_max, workers;
	struct cmd_logs logs;
};

struct extraction {
	const struct options *opt;
	struct pattern *pattern;
	struct progress line;
};

static bool on_wanted(void *arg, const char *name)
{
	const struct extraction *x = arg;

	return pattern_matches(x->pattern, name);
}

static void on_event(void *arg, const struct extract_event *e)
{
	(void)arg;
	switch (e->fate) {
	case EXTRACT_LISTED:
		printf("%12llu %s\n", (unsigned long long)e->size, e->name);
		break;
	case EXTRACT_WRITTEN:
		log_debug(part, "%s is %s", e->name, e->as);
		break;
	case EXTRACT_NO_FILE:
		log_warn(part, "passed over, for it is no plain file: %s",
			 e->name);
		break;
	case EXTRACT_BAD_NAME:
		log_warn(part, "passed over, for its name is none: %s",
			 e->name);
		break;
	}
}

static void on_progress(void *arg, const struct extract_progress *p)
{
	struct extraction *x = arg;
	char read[TEXT_SIZE], size[TEXT_SIZE], bytes[TEXT_SIZE];

	if (!progress_due(&x->line))
		return;
	progress_draw(&x->line, "%s of %s read, %llu members, %llu written, %s",
		      text_of_size(read, p->position),
		      p->size ? text_of_size(size, p->size) : "?",
		      (unsigned long long)p->members,
		      (unsigned long long)p->written,
		      text_of_size(bytes, p->bytes));
}

/* Without a limit of the user's: what fits on the disk. */
static uint64_t room_for(const struct options *opt)
{
	struct statvfs fs;

	if (opt->bytes_max)
		return opt->bytes_max;
	if (opt->dry_run || opt->gzip || opt->zstd)
		return UINT64_MAX;
	if (statvfs(opt->dir, &fs) < 0 && statvfs(".", &fs) < 0)
		return UINT64_MAX;
	return (uint64_t)fs.f_bavail * fs.f_frsize;
}

static void tell(const struct options *opt, const struct extract_counts *c)
{
	char bytes[TEXT_SIZE];

	if (opt->dry_run)
		log_info(part, "%llu of %llu members would be written",
			 (unsigned long long)(c->wanted - c->no_files -
					      c->bad_names),
			 (unsigned long long)c->members);
	else
		log_info(part, "%llu of %llu members are in %s, %s",
			 (unsigned long long)c->written,
			 (unsigned long long)c->members, opt->dir,
			 text_of_size(bytes, c->bytes));
	if (c->renamed)
		log_info(part,
			 "%llu have their folders in their names, for another "
			 "one was called the same",
			 (unsigned long long)c->renamed);
	if (c->no_files || c->bad_names)
		log_warn(part, "%llu were no plain files, %llu had no name",
			 (unsigned long long)c->no_files,
			 (unsigned long long)c->bad_names);
}

static int run(const struct options *opt, struct pattern *pattern,
	       struct err *err)
{
	struct extraction x = { .opt = opt, .pattern = pattern };
	const struct extract_config cfg = {
		.archive = opt->archive,
		.dir = opt->dir ? opt->dir : ".",
		.packing = opt->gzip   ? EXTRACT_GZIP
			   : opt->zstd ? EXTRACT_ZSTD
				       : EXTRACT_PLAIN,
		.workers = (unsigned)opt->workers,
		.dry_run = opt->dry_run,
		.bytes_max = room_for(opt),
		.wanted = on_wanted,
		.event = on_event,
		.progress = on_progress,
		.arg = &x,
	};
	struct extract_counts counts;
	int rc;

	progress_begin(&x.line);
	rc = extract_archive(&cfg, &counts, err);
	progress_end(&x.line);
	tell(opt, &counts);
	return rc;
}

static int check(const struct options *opt, struct err *err)
{
	if (!opt->archive || !*opt->archive)
		return err_set(err, ERR_USAGE,
			       "which archive? --in-tarball FILE; - is "
			       "standard input");
	if (!opt->dry_run && (!opt->dir || !*opt->dir))
		return err_set(err, ERR_USAGE,
			       "where to? --out-dir DIR; --dryrun only lists");
	if (opt->gzip && opt->zstd)
		return err_set(err, ERR_USAGE,
			       "one packing at a time: --out-gzip or "
			       "--out-zstd");
	return 0;
}

static const char about[] =
	"Write the chosen members of an archive to a folder, in one pass.\n"
	"\n"
	"tar, also packed with gzip, zstd, lz4 or xz, and zip; from a file, or "
	"(but\n"
	"for zip) from standard input. A member is chosen by a regular "
	"expression on\n"
	"its whole name, and written under the last part of it. Nothing is "
	"written\n"
	"outside of the folder, links and devices are passed over, and members "
	"of one\n"
	"name are kept apart. Of a damaged archive the whole members stay, and "
	"the\n"
	"status is 1.";

static const char examples[] =
	"  weir tar-extract --in-tarball big.tar.gz --file-regexp 'owl-2001' "
	"--dryrun\n"
	"  weir tar-extract --in-tarball big.tar.gz --out-dir /data --out-gzip";

int cmd_tar_extract(int argc, char **argv)
{
	struct options opt = { .workers = 2, .logs = CMD_LOGS_DEFAULT };
	const struct opt opts[] = {
		OPT_TEXT(0, "in-tarball", &opt.archive, "FILE",
			 "the archive; also a bare word; - is standard input"),
		DATASET_OPTION_REGEXP(&opt.regexp),
		OPT_TEXT(0, "out-dir", &opt.dir, "DIR", "where members go"),
		OPT_FLAG(0, "out-gzip", &opt.gzip, "pack them with gzip"),
		OPT_FLAG(0, "out-zstd", &opt.zstd, "pack them with zstd"),
		OPT_UINT(0, "workers", &opt.workers, 1, EXTRACT_WORKERS_MAX,
			 "N", "how many are packed at once"),
		OPT_FLAG(0, "dryrun", &opt.dry_run, "list them, write nothing"),
		OPT_SIZE(0, "max-bytes", &opt.bytes_max, 0, UINT64_MAX,
			 "stop beyond so much; 0: what fits on the disk"),
		CMD_LOGS_OPTIONS(&opt.logs),
		OPT_END()
	};
	const struct opt_command cmd = { .name = "tar-extract",
					 .synopsis = "[OPTIONS] [ARCHIVE]",
					 .about = about,
					 .examples = examples,
					 .opts = opts,
					 .args_max = 1 };
	struct pattern *pattern = NULL;
	struct opt_args args;
	struct err err = ERR_NONE;
	int status;

	if (cmd_begin(&cmd, argc, argv, &args, &status) &&
	    cmd_logs_begin(&cmd, &opt.logs, &status)) {
		if (args.n)
			opt.archive = args.at[0];
		if (check(&opt, &err) == 0 &&
		    dataset_pattern(opt.regexp, &pattern, &err) == 0)
			run(&opt, pattern, &err);
		status = cmd_exit(cmd.name, &err);
	}
	pattern_free(pattern);
	return status;
}
