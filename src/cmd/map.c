/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir map - what is in a set of capture files: times, counts, sizes.
 *
 * The map is one JSON file.  It is replaced as a whole when all is known, and
 * what it said before spares reading the files that did not change.
 */
#include "cmd/cmd.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/text.h"
#include "base/when.h"
#include "cmd/common.h"
#include "cmd/dataset_options.h"
#include "cmd/progress.h"
#include "engine/dataset/map.h"
#include "engine/dataset/pattern.h"

enum { FAILED_LINES_MAX = 20 };

static const char part[] = "map";

struct options {
	struct opt_list dirs, suffixes;
	const char *json, *regexp;
	int64_t workers;
	bool fresh;
	struct cmd_logs logs;
};

struct drawing {
	struct progress line;
	uint64_t begin_ns;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void on_progress(void *arg, const struct map_progress *p)
{
	struct drawing *d = arg;
	double took = (double)(now_ns() - d->begin_ns) / 1e9;
	double rate = took > 0 ? (double)p->bytes_done / took : 0;
	double left = p->bytes > p->bytes_done
			      ? (double)(p->bytes - p->bytes_done)
			      : 0;
	char done[TEXT_SIZE], all[TEXT_SIZE], speed[TEXT_SIZE];

	if (!progress_due(&d->line))
		return;
	progress_draw(
		&d->line,
		"%zu of %zu files, %s of %s (%.0f %%), %s/s, %.0f s left",
		p->files_done, p->files, text_of_size(done, p->bytes_done),
		text_of_size(all, p->bytes),
		p->bytes ? 100.0 * (double)p->bytes_done / (double)p->bytes
			 : 0.0,
		text_of_size(speed, (uint64_t)rate),
		rate > 0 ? left / rate : 0.0);
}

/* What an earlier run left; a map that cannot be read spares nothing. */
static void load_known(const struct options *opt, struct dataset *known)
{
	struct err err = ERR_NONE;
	int rc;

	if (opt->fresh || strcmp(opt->json, "-") == 0)
		return;
	rc = dataset_load(opt->json, known, &err);
	if (rc < 0 && rc != ERR_GONE)
		log_warn(part, "every file is read: %s", err.text);
}

static void tell_files(const struct dataset *d)
{
	size_t damaged = 0;

	for (size_t i = 0; i < d->n_files; i++)
		if (d->files[i].damage && damaged++ < FAILED_LINES_MAX)
			log_warn(part, "%s", d->files[i].damage);
	for (size_t i = 0; i < d->n_failed && i < FAILED_LINES_MAX; i++)
		log_error(part, "%s", d->failed[i].why);
	if (damaged > FAILED_LINES_MAX || d->n_failed > FAILED_LINES_MAX)
		log_warn(part,
			 "in all %zu files are damaged and %zu failed; "
			 "the map names them all",
			 damaged, d->n_failed);
}

static void tell_sum(const struct dataset *d, const struct map_counts *counts,
		     uint64_t took_ns)
{
	char bytes[TEXT_SIZE], from[WHEN_SIZE], to[WHEN_SIZE], took[WHEN_SIZE];

	log_info(part,
		 "%zu files (%zu known already) in %s: %llu packets, %s, from "
		 "%s to %s",
		 d->n_files, counts->reused,
		 when_span(took, took_ns - took_ns % 1000000),
		 (unsigned long long)d->packets, text_of_size(bytes, d->bytes),
		 when_format(from, d->min_ns), when_format(to, d->max_ns));
}

/* The map is written also when some files failed; then the status is 1. */
static int judge(const struct dataset *d, const char *json, struct err *err)
{
	if (d->n_files == 0)
		return err_set(err, ERR_FAILED,
			       "none of the %zu files could be read; %s is as "
			       "it was",
			       d->n_failed, json);
	if (dataset_save(json, d, err) < 0)
		return err->code;
	if (d->n_failed)
		return err_set(err, ERR_FAILED,
			       "%zu of %zu files could not be read; the map of "
			       "the others is in %s",
			       d->n_failed, d->n_failed + d->n_files, json);
	return 0;
}

static int run(const struct options *opt, const struct opt_args *args,
	       struct pattern *pattern, struct err *err)
{
	struct dataset known = { 0 }, d = { 0 };
	struct drawing drawing = { .begin_ns = now_ns() };
	struct map_config cfg = {
		.suffixes = opt->suffixes.at,
		.n_suffixes = (size_t)opt->suffixes.n,
		.pattern = pattern,
		.workers = opt->workers < 1 ? 0
			   : opt->workers > MAP_WORKERS_MAX
				   ? MAP_WORKERS_MAX
				   : (unsigned)opt->workers,
		.known = &known,
		.progress = on_progress,
		.arg = &drawing,
	};
	struct map_counts counts;
	int rc;

	const char **paths = dataset_paths(&opt->dirs, args, &cfg.n_paths);

	cfg.paths = paths;
	load_known(opt, &known);
	progress_begin(&drawing.line);
	rc = map_files(&cfg, &d, &counts, err);
	progress_end(&drawing.line);
	if (rc == 0) {
		tell_files(&d);
		tell_sum(&d, &counts, now_ns() - drawing.begin_ns);
		rc = judge(&d, opt->json, err);
	}
	free(paths);
	dataset_release(&d);
	dataset_release(&known);
	return rc;
}

static const char about[] =
	"Look through capture files once and keep what is in them.\n"
	"\n"
	"Folders are searched with all that lies below them. For each file the "
	"map\n"
	"has its first and last, earliest and latest time, packets, bytes, "
	"link type,\n"
	"what is out of order and what is damaged; weir replay needs it, and\n"
	"gophercap reads it. Classic pcap and pcapng, plain or packed with "
	"gzip, zstd\n"
	"or lz4.\n"
	"\n"
	"A file that did not change since the last map is not read again. The "
	"map is\n"
	"replaced as a whole at the end, or left as it was. A file with a "
	"damaged end\n"
	"is described up to there; one that cannot be read at all is named in "
	"the\n"
	"map, and the status is 1.";

static const char examples[] =
	"  weir map /data/captures --dump-json /data/map.json\n"
	"  weir map --dir-src /data --file-suffix pcap --file-regexp "
	"'worker-[0-3]/'";

int cmd_map(int argc, char **argv)
{
	struct options opt = {
		.json = dataset_default_json(),
		.workers = 4,
		.logs = CMD_LOGS_DEFAULT,
	};
	const struct opt opts[] = {
		OPT_LIST(0, "dir-src", &opt.dirs, "DIR",
			 "a folder of captures; the same as a bare word"),
		OPT_LIST_ENV(0, "file-suffix", &opt.suffixes, "SUFFIX",
			     "how wanted files end, before .gz or .zst", NULL),
		OPT_INT(0, "file-workers", &opt.workers, "N",
			"how many files are read at once; below 1: all"),
		DATASET_OPTION_JSON(&opt.json),
		DATASET_OPTION_REGEXP(&opt.regexp),
		OPT_FLAG(0, "fresh", &opt.fresh,
			 "read every file, whatever an earlier map says"),
		CMD_LOGS_OPTIONS(&opt.logs),
		OPT_END()
	};
	const struct opt_command cmd = { .name = "map",
					 .synopsis = "[OPTIONS] [PATH…]",
					 .about = about,
					 .examples = examples,
					 .opts = opts,
					 .args_max = 4096 };
	struct pattern *pattern = NULL;
	struct opt_args args;
	struct err err = ERR_NONE;
	int status;

	dataset_default_suffixes(&opt.suffixes);
	if (cmd_begin(&cmd, argc, argv, &args, &status) &&
	    cmd_logs_begin(&cmd, &opt.logs, &status)) {
		if (opt.dirs.n + args.n == 0)
			err_set(&err, ERR_USAGE,
				"which captures? name a folder: weir map "
				"/data/captures");
		else if (dataset_pattern(opt.regexp, &pattern, &err) == 0)
			run(&opt, &args, pattern, &err);
		status = cmd_exit(cmd.name, &err);
	}
	pattern_free(pattern);
	opt_list_release(&opt.dirs);
	opt_list_release(&opt.suffixes);
	return status;
}
