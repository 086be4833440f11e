/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir bench - how fast this machine turns packets into streams, and whether
 * that is slower than it was.
 *
 * Loads are in memory before the clock starts.  A run is what weir analyze
 * does with them: decode, flows, reassembly, patterns, protocols; the median
 * of the runs counts.
 */
#include "cmd/cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/opt.h"
#include "cmd/analyze_protocol.h"
#include "cmd/bench_load.h"
#include "cmd/common.h"
#include "codec/json.h"
#include "engine/analyze/analyze.h"
#include "engine/match/match.h"
#include "sys/sys.h"
#include "version.h"

enum {
	FILES_MAX = 64,
	RUNS_MAX = 100,
	WORKERS_LIST = 16,
	BATCH = 4096,
	PATTERNS_MAX = 1000,
	WINDOW = 4096
};

struct options {
	struct opt_list fixtures;
	const char *workers, *baseline, *format, *output;
	uint64_t flows, messages, runs, warmups, patterns, slower_pct;
	bool fail;
	struct cmd_logs logs;
};

struct result {
	const char *load;
	unsigned workers;
	uint64_t packets, bytes, streams, matches;
	double seconds[RUNS_MAX], median;
	double before; /* packets a second of the baseline; 0: none */
	bool slower;
};

struct bench {
	const struct options *o;
	struct match_set *patterns;
	char *baseline; /* its text; owned */
	FILE *out;
	int n_results, n_slower;
};

/* -- one run ----------------------------------------------------------------------- */

static int take_all(const struct bench *b, const struct bench_load *l,
		    struct result *r, double *seconds, struct err *err)
{
	const struct protocol_config protocols = PROTOCOL_CONFIG_DEFAULT;
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct stream_source source = { .name = "bench" };
	const struct stream_source *from;
	struct analyze_counters c;
	struct sys *sys = sys_host();
	struct parsers *parsers;
	struct analyze *a;
	uint64_t begun;

	cfg.workers = r->workers;
	cfg.patterns = b->patterns;
	a = analyze_new(&cfg, err);
	if (!a)
		return err->code;
	parsers = parsers_new(a, &protocols);
	from = analyze_source(a, &source);
	begun = sys->mono_ns(sys);
	for (size_t at = 0; at < l->n; at += BATCH)
		analyze_packets(a, from, l->linktype, l->packets + at,
				l->n - at < BATCH ? (int)(l->n - at) : BATCH,
				at);
	analyze_finish(a);
	*seconds = (double)(sys->mono_ns(sys) - begun) / 1e9;
	analyze_counters(a, &c);
	r->streams = c.streams;
	r->matches = c.matches;
	r->packets = c.packets;
	r->bytes = c.bytes;
	analyze_free(a);
	parsers_free(parsers);
	return 0;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int measure(const struct bench *b, const struct bench_load *l,
		   struct result *r, struct err *err)
{
	double sorted[RUNS_MAX], unused;
	uint64_t runs = b->o->runs;

	for (uint64_t i = 0; i < b->o->warmups; i++)
		if (take_all(b, l, r, &unused, err) < 0)
			return err->code;
	for (uint64_t i = 0; i < runs; i++)
		if (take_all(b, l, r, &r->seconds[i], err) < 0)
			return err->code;
	memcpy(sorted, r->seconds, sizeof(sorted));
	qsort(sorted, runs, sizeof(*sorted), by_size);
	r->median = (sorted[(runs - 1) / 2] + sorted[runs / 2]) / 2;
	if (r->median <= 0)
		r->median = 1e-9;
	return 0;
}

/* -- the baseline -------------------------------------------------------------------- */

static int read_baseline(struct bench *b, struct err *err)
{
	struct buf all = { 0 };
	FILE *f;
	size_t n;

	if (!b->o->baseline)
		return 0;
	f = fopen(b->o->baseline, "re");
	if (!f)
		return err_set(err, ERR_FAILED, "cannot open %s",
			       b->o->baseline);
	while ((n = fread(buf_reserve(&all, 65536), 1, 65536, f)) > 0)
		buf_added(&all, n);
	fclose(f);
	put_u8(&all, 0);
	b->baseline = (char *)all.p;
	if (!strstr(b->baseline, "\"packets_per_sec\":"))
		return err_set(err, ERR_FAILED,
			       "%s is no report of weir bench",
			       b->o->baseline);
	return 0;
}

/* Reports have a result a line; ours are the only ones that are read. */
static double rate_before(const struct bench *b, const struct result *r)
{
	static const char rate[] = "\"packets_per_sec\":";
	struct buf key = { 0 };
	const char *line, *at;
	double v = 0;

	if (!b->baseline)
		return 0;
	json_begin(&key, NULL);
	json_word(&key, "load", r->load);
	json_uint(&key, "workers", r->workers);
	put_text(&key, ",");
	put_u8(&key, 0);
	line = strstr(b->baseline, (const char *)key.p);
	at = line ? strstr(line, rate) : NULL;
	if (at && !memchr(line, '\n', (size_t)(at - line)))
		v = strtod(at + sizeof(rate) - 1, NULL);
	buf_release(&key);
	return v;
}

static void compare(struct bench *b, struct result *r)
{
	double now = (double)r->packets / r->median;

	r->before = rate_before(b, r);
	r->slower = r->before > 0 &&
		    now < r->before *
				    (1 - (double)b->o->slower_pct / 100);
	b->n_slower += r->slower;
}

/* -- the report ------------------------------------------------------------------------ */

static void write_result(struct bench *b, const struct result *r)
{
	bool lines = strcmp(b->o->format, "jsonl") == 0;
	double rate = (double)r->packets / r->median;
	struct buf o = { 0 };

	json_begin(&o, NULL);
	json_word(&o, "load", r->load);
	json_uint(&o, "workers", r->workers);
	json_uint(&o, "packets", r->packets);
	json_uint(&o, "bytes", r->bytes);
	json_uint(&o, "streams", r->streams);
	json_uint(&o, "matches", r->matches);
	json_decimal(&o, "median_seconds", r->median, 6);
	json_decimal(&o, "packets_per_sec", rate, 0);
	json_decimal(&o, "bytes_per_sec", (double)r->bytes / r->median, 0);
	if (r->before > 0) {
		json_decimal(&o, "baseline_packets_per_sec", r->before, 0);
		json_decimal(&o, "change_pct",
			     (rate - r->before) * 100 / r->before, 1);
		json_bool(&o, "regression", r->slower);
	}
	json_end(&o);
	fprintf(b->out, "%s%.*s", b->n_results++ && !lines ? ",\n" : "",
		(int)o.len, (const char *)o.p);
	if (lines)
		fputc('\n', b->out);
	fflush(b->out);
	buf_release(&o);
}

static void begin_report(struct bench *b)
{
	if (strcmp(b->o->format, "json") == 0)
		fprintf(b->out,
			"{\"tool\":\"weir bench\",\"version\":\"%s\","
			"\"processors\":%ld,\"runs\":%llu,\"warmups\":%llu,"
			"\"patterns\":%llu,\"results\":[\n", WEIR_VERSION,
			sysconf(_SC_NPROCESSORS_ONLN),
			(unsigned long long)b->o->runs,
			(unsigned long long)b->o->warmups,
			(unsigned long long)b->o->patterns);
}

static void end_report(struct bench *b)
{
	if (strcmp(b->o->format, "json") == 0)
		fprintf(b->out, "\n],\"regressions\":%d}\n", b->n_slower);
}

/* -- all of it ------------------------------------------------------------------------- */

/* Expressions of the kind that people look for; none is in the loads. */
static int compile_patterns(struct bench *b, struct err *err)
{
	size_t n = (size_t)b->o->patterns;
	struct match_pattern *all = mem_array(n + 1, sizeof(*all));

	for (size_t i = 0; i < n; i++) {
		char *text = i % 2 ? mem_format("token-%zu-[0-9a-f]{8}", i)
				   : mem_format("secret number %zu", i);

		all[i] = (struct match_pattern){
			.kind = i % 2 ? MATCH_REGEX : MATCH_SUBSTRING,
			.id = (uint32_t)i,
			.name = text,
			.text = text,
		};
	}
	if (n)
		b->patterns = match_compile(all, n, WINDOW, err);
	for (size_t i = 0; i < n; i++)
		free((char *)(uintptr_t)all[i].text);
	free(all);
	return err->code;
}

static int read_workers(const char *text, unsigned list[WORKERS_LIST], int *n,
			struct err *err)
{
	const char *at = text;

	for (*n = 0; *n < WORKERS_LIST; (*n)++) {
		char *end;
		unsigned long v = strtoul(at, &end, 10);

		if (end == at || v > ANALYZE_WORKERS_MAX ||
		    (*end && *end != ','))
			break;
		list[*n] = (unsigned)v;
		at = end + 1;
		if (!*end) {
			++*n;
			return 0;
		}
	}
	return err_set(err, ERR_USAGE,
		       "--workers takes numbers up to %d with commas between, "
		       "0 for one a processor, not \"%s\"",
		       ANALYZE_WORKERS_MAX, text);
}

static int run_load(struct bench *b, const struct bench_load *l,
		    struct err *err)
{
	unsigned workers[WORKERS_LIST];
	int n;

	if (read_workers(b->o->workers, workers, &n, err) < 0)
		return err->code;
	for (int i = 0; i < n && err->code == 0; i++) {
		struct result r = { .load = l->name, .workers = workers[i] };

		if (measure(b, l, &r, err) < 0)
			break;
		compare(b, &r);
		write_result(b, &r);
	}
	return err->code;
}

static int run_loads(struct bench *b, const struct opt_args *args,
		     struct err *err)
{
	static const char *const usual[] = { "http-requests",
					     "out-of-order-http",
					     "http-keep-alive",
					     "mixed-services",
					     "udp-elephant",
					     "tcp-elephant" };
	const struct bench_size size = { b->o->flows, b->o->messages };
	const struct opt_list *named = &b->o->fixtures;
	int fixtures = named->n ? named->n : args->n ? 0 : 6;

	for (int i = 0; i < fixtures + args->n && err->code == 0; i++) {
		struct bench_load l = { 0 };
		const char *name = i >= fixtures ? args->at[i - fixtures]
				   : named->n	 ? named->at[i]
						 : usual[i];

		if (i < fixtures)
			bench_load_make(&l, name, &size, err);
		else
			bench_load_file(&l, name, err);
		if (err->code == 0)
			run_load(b, &l, err);
		bench_load_release(&l);
	}
	return err->code;
}

static void bench(const struct options *o, const struct opt_args *args,
		  struct err *err)
{
	struct bench b = { .o = o, .out = stdout };

	if (strcmp(o->format, "json") != 0 && strcmp(o->format, "jsonl") != 0)
		err_set(err, ERR_USAGE,
			"--format takes json or jsonl, not \"%s\"", o->format);
	if (!err->code && o->output && strcmp(o->output, "-") != 0) {
		b.out = fopen(o->output, "we");
		if (!b.out)
			err_set(err, ERR_FAILED, "cannot write %s", o->output);
	}
	if (!err->code && read_baseline(&b, err) == 0 &&
	    compile_patterns(&b, err) == 0) {
		begin_report(&b);
		run_loads(&b, args, err);
		end_report(&b);
	}
	if (!err->code && (fflush(b.out) || ferror(b.out)))
		err_set(err, ERR_FAILED, "the report could not be written");
	if (b.out && b.out != stdout)
		fclose(b.out);
	if (!err->code && b.n_slower && o->fail)
		err_set(err, ERR_FAILED,
			"%d of %d results are more than %llu %% slower than "
			"in %s", b.n_slower, b.n_results,
			(unsigned long long)o->slower_pct, o->baseline);
	match_set_put(b.patterns);
	free(b.baseline);
}

int cmd_bench(int argc, char **argv)
{
	struct options o = {
		.workers = "1,0",
		.format = "json",
		.flows = 50000,
		.messages = 4,
		.runs = 3,
		.warmups = 1,
		.slower_pct = 10,
		.fail = true,
		.logs = CMD_LOGS_DEFAULT,
	};
	const struct opt opts[] = {
		OPT_LIST('f', "fixture", &o.fixtures, "NAME",
			 "a load that is made; may be repeated (default: all)"),
		OPT_UINT(0, "flows", &o.flows, 1, 10000000, "N",
			 "of a load; fewer where each says more"),
		OPT_UINT(0, "messages-per-flow", &o.messages, 1, 1000000, "N",
			 "exchanges of each"),
		OPT_TEXT('w', "workers", &o.workers, "LIST",
			 "numbers of workers to try; 0 is one a processor"),
		OPT_UINT(0, "runs", &o.runs, 1, RUNS_MAX, "N",
			 "whose median counts"),
		OPT_UINT(0, "warmups", &o.warmups, 0, RUNS_MAX, "N",
			 "runs before, which do not"),
		OPT_UINT(0, "patterns", &o.patterns, 0, PATTERNS_MAX, "N",
			 "look for so many patterns meanwhile"),
		OPT_TEXT('b', "baseline", &o.baseline, "FILE",
			 "an earlier report to compare with"),
		OPT_UINT(0, "max-regression-pct", &o.slower_pct, 1, 99, "PCT",
			 "so much slower than the baseline is too slow"),
		OPT_FLAG(0, "fail-on-regression", &o.fail,
			 "exit with status 1 when something is too slow"),
		OPT_TEXT(0, "format", &o.format, "FORMAT",
			 "json, or jsonl: a result a line"),
		OPT_TEXT('o', "output", &o.output, "FILE",
			 "where the report goes (default standard output)"),
		CMD_LOGS_OPTIONS(&o.logs),
		OPT_END()
	};
	const struct opt_command cmd = {
		.name = "bench",
		.synopsis = "[OPTIONS] [FILE]…",
		.about =
			"Measure how fast packets become streams: loads that "
			"are made (http-requests,\nout-of-order-http, "
			"http-keep-alive, mixed-services, udp-elephant, "
			"tcp-elephant)\nor capture files, which are read into "
			"memory first.  With an earlier report as\nbaseline, "
			"what has become too slow is told by the exit status.",
		.examples = "  weir bench --workers 1,2 -o today.json\n"
			    "  weir bench --workers 1,2 --baseline today.json\n"
			    "  weir bench --patterns 100 day1.pcap\n",
		.opts = opts,
		.args_max = FILES_MAX,
	};
	struct opt_args args;
	struct err err = ERR_NONE;
	int status;

	if (cmd_begin(&cmd, argc, argv, &args, &status) &&
	    cmd_logs_begin(&cmd, &o.logs, &status)) {
		bench(&o, &args, &err);
		status = cmd_exit(cmd.name, &err);
	}
	opt_list_release(&o.fixtures);
	return status;
}
