/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir filter - many captures through many named filters, in one pass.
 *
 * Threads take the next file from one counter; each has rules of its own, and
 * writes only the files that come of its input.
 */
#include "cmd/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/when.h"
#include "cmd/common.h"
#include "cmd/dataset_options.h"
#include "cmd/progress.h"
#include "codec/json.h"
#include "engine/config/yamltree.h"
#include "engine/dataset/find.h"
#include "engine/dataset/pattern.h"
#include "engine/sift/asn.h"
#include "engine/sift/rules.h"
#include "engine/sift/sift.h"
#include "sys/sock.h"

enum { WORKERS_MAX = 256, WAIT_MS = 200, DEDUP_WINDOW_S = 6 };

static const char part[] = "filter";

struct options {
	const char *yaml, *output, *regexp, *maxmind, *report;
	struct opt_list inputs, suffixes;
	int64_t workers, depth;
	bool decap, compress, dedup;
	uint64_t dedup_window;
	struct cmd_logs logs;
};

/* What came of one file; written by the worker that had it. */
struct outcome {
	struct sift_counts counts;
	struct sift_result *results; /* owned */
	uint64_t begin_ns, took_ns;  /* wall clock; monotonic */
	struct err err, warning;
};

struct filtering {
	const struct options *opt;
	const struct sift_config *cfg;
	const struct yaml_doc *doc;
	const char **inputs;
	char **names;
	struct outcome *outcomes;
	size_t n;
	atomic_size_t next, done;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	unsigned running; /* under lock */
	struct err err;	  /* under lock: no rules, no database */
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* -- workers -------------------------------------------------------------- */

static void one_file(struct filtering *f, struct rules *rules, size_t i)
{
	struct outcome *o = &f->outcomes[i];
	uint64_t begin = clock_ns(CLOCK_MONOTONIC);

	o->begin_ns = clock_ns(CLOCK_REALTIME);
	o->results = mem_array(rules_count(rules), sizeof(*o->results));
	sift_file(f->cfg, rules, f->inputs[i], f->names[i], o->results,
		  &o->counts, &o->warning, &o->err);
	o->took_ns = clock_ns(CLOCK_MONOTONIC) - begin;
	atomic_fetch_add(&f->done, 1);
}

static void *work(void *arg)
{
	struct filtering *f = arg;
	struct err err = ERR_NONE;
	struct rules *rules = NULL;
	struct asn *asn = NULL;
	size_t i;

	if (f->opt->maxmind)
		asn = asn_open(f->opt->maxmind, &err);
	if (!err.code)
		rules = rules_new(f->doc, asn, &err);
	while (rules && (i = atomic_fetch_add(&f->next, 1)) < f->n)
		one_file(f, rules, i);
	rules_free(rules);
	asn_close(asn);
	pthread_mutex_lock(&f->lock);
	if (err.code)
		f->err = err;
	f->running--;
	pthread_cond_signal(&f->ended);
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

static void wait_for_workers(struct filtering *f)
{
	struct progress line;

	progress_begin(&line);
	pthread_mutex_lock(&f->lock);
	while (f->running) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += WAIT_MS * 1000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&f->ended, &f->lock, &until);
		if (progress_due(&line))
			progress_draw(&line, "%zu of %zu files",
				      atomic_load(&f->done), f->n);
	}
	pthread_mutex_unlock(&f->lock);
	progress_end(&line);
}

static int run_workers(struct filtering *f, struct err *err)
{
	unsigned want =
		(unsigned)(f->opt->workers < 1 || f->opt->workers > WORKERS_MAX
				   ? WORKERS_MAX
				   : f->opt->workers);
	pthread_t threads[WORKERS_MAX];
	unsigned n = 0;
	int rc = 0;

	if (want > f->n)
		want = (unsigned)f->n;
	f->running = want;
	while (n < want && rc == 0) {
		rc = pthread_create(&threads[n], NULL, work, f);
		n += rc == 0;
	}
	pthread_mutex_lock(&f->lock);
	f->running -= want - n;
	pthread_mutex_unlock(&f->lock);
	wait_for_workers(f);
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	if (f->err.code)
		*err = f->err;
	else if (rc && n == 0)
		err_sys(err, rc, "no thread can be started");
	return err->code;
}

/* -- what came of it ------------------------------------------------------ */

static void put_result(struct buf *b, const struct filtering *f, size_t i,
		       const struct rules *rules, size_t k)
{
	const struct outcome *o = &f->outcomes[i];
	double seconds = (double)o->took_ns / 1e9;
	char text[WHEN_SIZE];

	json_begin(b, NULL);
	json_word(b, "input", f->inputs[i]);
	json_word(b, "filter", rules_name(rules, k));
	json_uint(b, "count", o->counts.packets);
	json_uint(b, "matched", o->results[k].matched);
	json_uint(b, "bytes", o->results[k].bytes);
	json_uint(b, "errors", o->counts.undecoded);
	json_uint(b, "decapsulated", o->counts.decapsulated);
	json_uint(b, "decap_errors", o->counts.decap_errors);
	json_uint(b, "skipped",
		  o->counts.packets - o->counts.doubles -
			  o->results[k].matched);
	json_word(b, "start", when_format(text, o->begin_ns));
	json_word(b, "took", when_span(text, o->took_ns));
	json_decimal(b, "rate",
		     seconds > 0 ? (double)o->counts.packets / seconds : 0, 1);
	json_uint(b, "dedup", o->counts.doubles);
	json_decimal(b, "dedup_ratio",
		     o->counts.packets ? (double)o->counts.doubles /
						 (double)o->counts.packets
				       : 0,
		     4);
	if (o->warning.code)
		json_word(b, "warning", o->warning.text);
	json_end(b);
	put_text(b, "\n");
}

static int write_report(const struct filtering *f, const struct rules *rules,
			struct err *err)
{
	const char *path = f->opt->report;
	struct buf b = { 0 };
	size_t done = 0;
	int fd;

	for (size_t i = 0; i < f->n; i++)
		for (size_t k = 0; k < rules_count(rules); k++)
			if (!f->outcomes[i].err.code)
				put_result(&b, f, i, rules, k);
	fd = strcmp(path, "-") == 0
		     ? dup(STDOUT_FILENO)
		     : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
			    0644);
	while (fd >= 0 && done < b.len) {
		ssize_t n = write(fd, b.p + done, b.len - done);

		if (n < 0 && errno != EINTR)
			break;
		done += n > 0 ? (size_t)n : 0;
	}
	if (fd < 0 || done < b.len || close(fd) < 0)
		err_sys(err, errno, "the report %s cannot be written", path);
	buf_release(&b);
	return err->code;
}

static int tell(const struct filtering *f, const struct rules *rules,
		struct err *err)
{
	uint64_t packets = 0, doubles = 0, errors = 0;
	size_t failed = 0;

	for (size_t i = 0; i < f->n; i++) {
		const struct outcome *o = &f->outcomes[i];

		packets += o->counts.packets;
		doubles += o->counts.doubles;
		errors += o->counts.decap_errors;
		if (o->warning.code)
			log_warn(part, "%s", o->warning.text);
		if (o->err.code)
			log_error(part, "%s", o->err.text);
		failed += o->err.code != 0;
	}
	for (size_t k = 0; k < rules_count(rules); k++) {
		uint64_t matched = 0;

		for (size_t i = 0; i < f->n; i++)
			if (f->outcomes[i].results)
				matched += f->outcomes[i].results[k].matched;
		log_info(part, "%s: %llu of %llu packets", rules_name(rules, k),
			 (unsigned long long)matched,
			 (unsigned long long)packets);
	}
	if (doubles || errors)
		log_info(part,
			 "%llu doubles were dropped, %llu tunnels are "
			 "broken",
			 (unsigned long long)doubles,
			 (unsigned long long)errors);
	if (failed)
		return err_set(err, ERR_FAILED,
			       "%zu of %zu files could not be filtered", failed,
			       f->n);
	return 0;
}

/* -- the beginning -------------------------------------------------------- */

static int filter_files(const struct options *opt, const struct yaml_doc *doc,
			struct rules *rules, struct found *found,
			struct err *err)
{
	const struct sift_config cfg = {
		.dir = opt->output,
		.decap = opt->decap,
		.decap_depth = opt->depth,
		.compress = opt->compress,
		.dedup_ns = opt->dedup ? opt->dedup_window : 0,
	};
	struct filtering f = { .opt = opt,
			       .cfg = &cfg,
			       .doc = doc,
			       .n = found->n,
			       .lock = PTHREAD_MUTEX_INITIALIZER,
			       .ended = PTHREAD_COND_INITIALIZER };

	f.inputs = mem_array(f.n, sizeof(*f.inputs));
	f.outcomes = mem_array(f.n, sizeof(*f.outcomes));
	for (size_t i = 0; i < f.n; i++)
		f.inputs[i] = found->at[i].path;
	f.names = sift_names(f.inputs, f.n);
	sock_allow(rules_count(rules) * 2 * 64 + 256);
	run_workers(&f, err);
	if (!err->code && opt->report)
		write_report(&f, rules, err);
	if (!err->code)
		tell(&f, rules, err);
	for (size_t i = 0; i < f.n; i++) {
		free(f.names[i]);
		free(f.outcomes[i].results);
	}
	free(f.names);
	free(f.outcomes);
	free(f.inputs);
	return err->code;
}

static int run(const struct options *opt, const struct opt_args *args,
	       struct pattern *pattern, struct err *err)
{
	struct map_config look = { .suffixes = opt->suffixes.at,
				   .n_suffixes = (size_t)opt->suffixes.n,
				   .pattern = pattern };
	const char **paths = dataset_paths(&opt->inputs, args, &look.n_paths);
	struct found found = { 0 };
	struct yaml_doc *doc = NULL;
	struct rules *rules = NULL;
	struct asn *asn = NULL;

	look.paths = paths;
	doc = yamltree_load(opt->yaml, err);
	if (doc && opt->maxmind)
		asn = asn_open(opt->maxmind, err);
	if (doc && !err->code)
		rules = rules_new(doc, asn, err);
	if (rules && find_files(&look, &found, err) == 0) {
		if (found.n == 0)
			err_set(err, ERR_FAILED,
				"no file is wanted: %zu were looked at; "
				"--suffix tells how they end",
				found.other);
		else
			filter_files(opt, doc, rules, &found, err);
	}
	rules_free(rules);
	asn_close(asn);
	yamltree_free(doc);
	found_release(&found);
	free(paths);
	return err->code;
}

static int check(const struct options *opt, const struct opt_args *args,
		 struct err *err)
{
	if (opt->inputs.n + args->n == 0)
		return err_set(err, ERR_USAGE,
			       "which captures? name files or folders: "
			       "--input DIR");
	if (!opt->output || !*opt->output)
		return err_set(err, ERR_USAGE,
			       "where to? name a folder: --output DIR");
	return 0;
}

static const char about[] =
	"Write the packets that named filters take, each to a folder of its "
	"own.\n"
	"\n"
	"The filters stand in a YAML file, as gophercap has them: a name, and\n"
	"conditions on subnet, port, ether, asn or raw (an expression in "
	"tcpdump's\n"
	"words). A packet is taken when every condition holds; one holds when "
	"any of\n"
	"its matches does. Each capture is read once for all filters. What "
	"filter F\n"
	"takes of x.pcap goes to OUTPUT/F/x.pcap; inputs of one name are told "
	"apart\n"
	"by their folders. Times and original lengths are kept.";

static const char examples[] =
	"  weir filter --yaml filter.yml --input /data --output /data/out\n"
	"  weir filter --yaml filter.yml --input /data --output out --decap "
	"\\\n"
	"      --dedup --compress";

int cmd_filter(int argc, char **argv)
{
	struct options opt = {
		.yaml = "filter.yml",
		.workers = 4,
		.depth = -1,
		.dedup_window = DEDUP_WINDOW_S * UINT64_C(1000000000),
		.logs = CMD_LOGS_DEFAULT,
	};
	const struct opt opts[] = {
		OPT_TEXT(0, "yaml", &opt.yaml, "FILE", "the filters"),
		OPT_LIST(0, "input", &opt.inputs, "PATH",
			 "a capture, or a folder of them; also a bare word"),
		OPT_TEXT(0, "output", &opt.output, "DIR",
			 "where each filter gets a folder"),
		OPT_INT(0, "workers", &opt.workers, "N",
			"how many files are read at once; below 1: all"),
		OPT_LIST_ENV(0, "suffix", &opt.suffixes, "SUFFIX",
			     "how wanted files of a folder end", NULL),
		DATASET_OPTION_REGEXP(&opt.regexp),
		OPT_FLAG(0, "decap", &opt.decap,
			 "take packets out of their tunnels first"),
		OPT_INT(0, "decap-depth", &opt.depth, "N",
			"tunnels in tunnels that are opened; below 0: all"),
		OPT_FLAG(0, "compress", &opt.compress, "write gzip"),
		OPT_FLAG(0, "dedup", &opt.dedup,
			 "drop packets that were seen a moment ago"),
		OPT_DURATION(0, "dedup-window", &opt.dedup_window, 1,
			     UINT64_MAX, "how long that moment is"),
		OPT_TEXT(0, "maxmind-asn", &opt.maxmind, "FILE",
			 "database for conditions on AS numbers"),
		OPT_TEXT(0, "report", &opt.report, "FILE",
			 "a JSON line for each capture and filter; - is "
			 "standard output"),
		CMD_LOGS_OPTIONS(&opt.logs),
		OPT_END()
	};
	const struct opt_command cmd = { .name = "filter",
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
		if (check(&opt, &args, &err) == 0 &&
		    dataset_pattern(opt.regexp, &pattern, &err) == 0)
			run(&opt, &args, pattern, &err);
		status = cmd_exit(cmd.name, &err);
	}
	pattern_free(pattern);
	opt_list_release(&opt.inputs);
	opt_list_release(&opt.suffixes);
	return status;
}
