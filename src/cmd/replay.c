/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir replay - a set of captures sent again, each packet at its time.
 *
 * The main thread has the loop: signals, the line on the terminal, a word
 * every five seconds, and the report.
 */
#include "cmd/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/text.h"
#include "base/when.h"
#include "cmd/common.h"
#include "cmd/dataset_options.h"
#include "cmd/progress.h"
#include "cmd/replay_outputs.h"
#include "codec/json.h"
#include "engine/dataset/map.h"
#include "engine/dataset/pattern.h"
#include "engine/replay/replay.h"
#include "sys/loop.h"
#include "sys/sock.h"

#define NS_PER_S UINT64_C(1000000000)
#define TICK_NS	 UINT64_C(200000000)

enum { TICKS_A_WORD = 25, FILES_OPEN = 4096 };

static const char part[] = "replay";

struct options {
	const char *json, *regexp, *file, *bpf, *from, *to, *late, *stale,
		*split, *report;
	struct opt_list interfaces;
	bool loop_infinite, scale, wait_disable, skip_ooo, reorder, top_speed,
		pace;
	int64_t loops, skip_mtu;
	uint64_t scale_ns, sort_ns, pps, bps, gap_max_ns, late_ns;
	double factor;
	struct cmd_logs logs;
};

struct replaying {
	const struct options *opt;
	struct loop *loop;
	struct loop_timer *tick;
	struct loop_watch *end;
	struct replay *replay;
	struct replay_outputs *outputs;
	struct progress line;
	uint64_t set_ns; /* deadline of the last packet, as planned; 0: ? */
	unsigned ticks;
	uint64_t told_sent, told_late;
};

/* -- what is to be sent --------------------------------------------------- */

static bool named(void *arg, const struct dataset_file *f)
{
	return pattern_matches(arg, f->path);
}

/* Whatever is named on the command line is mapped now; else the map it is. */
static int load_set(const struct options *opt, const struct opt_args *args,
		    struct pattern *pattern, struct dataset *set,
		    struct err *err)
{
	static const char *const suffixes[] = { "pcap", "pcapng" };
	struct map_config cfg = { .paths = args->at,
				  .n_paths = (size_t)args->n,
				  .suffixes = suffixes,
				  .n_suffixes = 2,
				  .pattern = pattern,
				  .workers = 4 };
	struct map_counts counts;

	if (args->n) {
		if (map_files(&cfg, set, &counts, err) < 0)
			return err->code;
	} else {
		if (dataset_load(opt->json, set, err) < 0)
			return err_within(err, "the map of the set (weir map "
					       "makes one)");
		dataset_keep(set, named, pattern);
	}
	if (set->n_failed)
		log_warn(part,
			 "%zu files of the set could not be read when it "
			 "was mapped",
			 set->n_failed);
	if (set->packets == 0)
		return err_set(err, ERR_FAILED,
			       "there is no packet to send: %zu files are "
			       "wanted, and none has one",
			       set->n_files);
	return 0;
}

/* A map that is not of these files any more would plan wrongly. */
static int check_fresh(const struct options *opt, const struct dataset *set,
		       struct err *err)
{
	bool refuse = strcmp(opt->stale, "refuse") == 0;

	if (strcmp(opt->stale, "ignore") == 0)
		return 0;
	for (size_t i = 0; i < set->n_files; i++) {
		struct err why = ERR_NONE;

		if (dataset_fresh(&set->files[i], true, &why))
			continue;
		if (refuse || why.code != ERR_GONE)
			return err_set(err, ERR_GONE,
				       "%s; map the set again, or say --stale "
				       "warn",
				       why.text);
		log_warn(part, "%s", why.text);
	}
	return 0;
}

/* -- how ------------------------------------------------------------------ */

static int parse_time(const char *name, const char *text, uint64_t *ns,
		      struct err *err)
{
	*ns = UINT64_MAX;
	if (!text || !*text || when_parse(text, ns) == 0)
		return 0;
	return err_set(err, ERR_USAGE,
		       "--%s takes a time in UTC such as \"2006-01-02 "
		       "15:04:05.25\", not \"%s\"",
		       name, text);
}

static int plan_window(const struct options *opt, const struct dataset *set,
		       struct merge_config *m, struct err *err)
{
	char from[WHEN_SIZE], to[WHEN_SIZE];

	if (parse_time("time-from", opt->from, &m->from_ns, err) < 0 ||
	    parse_time("time-to", opt->to, &m->to_ns, err) < 0)
		return err->code;
	if ((m->from_ns != UINT64_MAX && m->from_ns > set->max_ns) ||
	    (m->to_ns != UINT64_MAX && m->to_ns < set->min_ns) ||
	    (m->from_ns != UINT64_MAX && m->to_ns != UINT64_MAX &&
	     m->from_ns > m->to_ns))
		return err_set(
			err, ERR_USAGE,
			"nothing lies between --time-from and --time-to: "
			"the set goes from %s to %s",
			when_format(from, set->min_ns),
			when_format(to, set->max_ns));
	return 0;
}

/* How long what is wanted of the set is, in recorded time. */
static uint64_t recorded_span(const struct merge_config *m)
{
	const struct dataset *set = m->set;
	uint64_t from = set->min_ns, to = set->max_ns, longest = 0;

	if (m->from_ns != UINT64_MAX && m->from_ns > from)
		from = m->from_ns;
	if (m->to_ns != UINT64_MAX && m->to_ns < to)
		to = m->to_ns;
	for (size_t i = 0; m->all_at_once && i < set->n_files; i++) {
		const struct dataset_tally *t = &set->files[i].tally;

		if (t->max_ns - t->min_ns > longest)
			longest = t->max_ns - t->min_ns;
	}
	return m->all_at_once ? longest : to > from ? to - from : 0;
}

static int plan_speed(const struct options *opt, uint64_t span_ns,
		      struct schedule *s, struct err *err)
{
	int ways = opt->scale + opt->top_speed + (opt->pps > 0) +
		   (opt->bps > 0) + (opt->factor != 1);

	/* gophercap's scaling overrides its factor. */
	if (opt->scale && opt->factor != 1)
		ways--;
	if (ways > 1)
		return err_set(err, ERR_USAGE,
			       "one speed at a time: --time-scale-enabled, "
			       "--time-modifier, --pps, --bps or --top-speed");
	schedule_by_factor(s, opt->factor);
	s->gap_max_ns = opt->gap_max_ns;
	if (opt->scale)
		schedule_by_duration(s, span_ns, opt->scale_ns);
	if (opt->top_speed)
		s->kind = SCHEDULE_TOP;
	if (opt->pps || opt->bps) {
		s->kind = opt->pps ? SCHEDULE_PPS : SCHEDULE_BPS;
		s->rate = opt->pps ? opt->pps : opt->bps;
	}
	return 0;
}

static int check_words(const struct options *opt, struct err *err)
{
	if (strcmp(opt->late, "catch-up") != 0 &&
	    strcmp(opt->late, "burst") != 0)
		return err_set(err, ERR_USAGE,
			       "--late is catch-up or burst, not \"%s\"",
			       opt->late);
	if (strcmp(opt->stale, "refuse") != 0 &&
	    strcmp(opt->stale, "warn") != 0 &&
	    strcmp(opt->stale, "ignore") != 0)
		return err_set(err, ERR_USAGE,
			       "--stale is refuse, warn or ignore, not \"%s\"",
			       opt->stale);
	if (opt->skip_mtu < 0 || opt->skip_mtu > PACKET_MAX)
		return err_set(err, ERR_USAGE,
			       "--skip-mtu is a length in bytes; 0 asks the "
			       "interface");
	return 0;
}

static int plan(const struct options *opt, const struct dataset *set,
		struct replay_config *cfg, struct err *err)
{
	*cfg = (struct replay_config){
		.merge = { .set = set,
			   .all_at_once = opt->wait_disable,
			   .skip_out_of_order = opt->skip_ooo,
			   .sort = opt->reorder,
			   .sort_ns = opt->sort_ns },
		.expression = opt->bpf,
		.length_max = (uint32_t)opt->skip_mtu,
		.loops = opt->loop_infinite || opt->loops < 1
				 ? 0
				 : (uint64_t)opt->loops,
		.wait = !opt->file || !*opt->file || opt->pace,
		.late = strcmp(opt->late, "burst") == 0 ? REPLAY_LATE_BURST
							: REPLAY_LATE_CATCH_UP,
		.late_ns = opt->late_ns,
	};
	if (plan_window(opt, set, &cfg->merge, err) < 0)
		return err->code;
	return plan_speed(opt, recorded_span(&cfg->merge), &cfg->schedule, err);
}

/* -- while it runs -------------------------------------------------------- */

static double a_second(uint64_t n, uint64_t ns)
{
	return ns ? (double)n * 1e9 / (double)ns : 0;
}

static void draw(struct replaying *r, const struct replay_status *s)
{
	char bytes[TEXT_SIZE], at[WHEN_SIZE], all[WHEN_SIZE];

	if (!progress_due(&r->line))
		return;
	progress_draw(
		&r->line,
		"%llu packets, %s, %.0f a second, %s of %s, 99 %% within "
		"%.1f us",
		(unsigned long long)s->sent, text_of_size(bytes, s->bytes),
		a_second(s->sent, s->took_ns),
		when_span(at, s->took_ns - s->took_ns % 100000000),
		r->set_ns ? when_span(all, r->set_ns - r->set_ns % 100000000)
			  : "?",
		(double)s->error_p99_ns / 1e3);
}

/* Every five seconds, and a warning when packets were late meanwhile. */
static void say_word(struct replaying *r, const struct replay_status *s)
{
	uint64_t sent = s->sent - r->told_sent, late = s->late - r->told_late;
	char bound[WHEN_SIZE];

	log_info(part,
		 "written %llu packets, %.0f pps, oversize %llu, failed %llu",
		 (unsigned long long)s->sent,
		 (double)sent * 1e9 / (double)(TICKS_A_WORD * TICK_NS),
		 (unsigned long long)s->oversize,
		 (unsigned long long)s->failed);
	if (late)
		log_warn(part,
			 "the time is not kept: of the last %llu packets %llu "
			 "were more than %s late",
			 (unsigned long long)sent, (unsigned long long)late,
			 when_span(bound, r->opt->late_ns));
	r->told_sent = s->sent;
	r->told_late = s->late;
}

static void on_tick(void *arg)
{
	struct replaying *r = arg;
	struct replay_status s;

	replay_status(r->replay, &s);
	if (++r->ticks % TICKS_A_WORD == 0)
		say_word(r, &s);
	draw(r, &s);
	loop_timer_in(r->tick, TICK_NS);
}

static void on_end(void *arg, int fd, int what)
{
	struct replaying *r = arg;

	(void)fd;
	(void)what;
	loop_stop(r->loop);
}

/* -- the end -------------------------------------------------------------- */

static void put_errors(struct buf *b, const struct replay_status *s)
{
	json_begin(b, "error_ns");
	json_uint(b, "p50", s->error_p50_ns);
	json_uint(b, "p90", s->error_p90_ns);
	json_uint(b, "p99", s->error_p99_ns);
	json_uint(b, "p99_9", s->error_p999_ns);
	json_uint(b, "max", s->error_max_ns);
	json_end(b);
}

static void put_report(struct buf *b, const struct replay_status *s,
		       uint64_t drops, uint64_t late_bound_ns)
{
	char drift[32];

	json_begin(b, NULL);
	json_uint(b, "sent", s->sent);
	json_uint(b, "bytes", s->bytes);
	json_uint(b, "loops", s->loops);
	json_uint(b, "failed", s->failed);
	json_uint(b, "oversize", s->oversize);
	json_uint(b, "filtered", s->filtered);
	json_uint(b, "other_link_type", s->other_linktype);
	json_uint(b, "outside_window", s->merge.outside);
	json_uint(b, "out_of_order_skipped", s->merge.out_of_order);
	json_uint(b, "unsorted", s->merge.unsorted);
	json_uint(b, "damaged_files", s->merge.damaged_files);
	json_uint(b, "interface_drops", drops);
	json_uint(b, "retries", s->retries);
	json_decimal(b, "wanted_pps", a_second(s->sent, s->wanted_ns), 3);
	json_decimal(b, "achieved_pps", a_second(s->sent, s->took_ns), 3);
	json_decimal(b, "achieved_bps", a_second(s->bytes * 8, s->took_ns), 0);
	json_uint(b, "wanted_ns", s->wanted_ns);
	json_uint(b, "took_ns", s->took_ns);
	json_uint(b, "late", s->late);
	json_uint(b, "late_bound_ns", late_bound_ns);
	json_uint(b, "stalls", s->stalls);
	put_errors(b, s);
	snprintf(drift, sizeof(drift), "%lld", (long long)s->drift_ns);
	json_raw(b, "drift_ns", bytes_of_text(drift));
	json_end(b);
	put_text(b, "\n");
}

static void tell(const struct replay_status *s, uint64_t drops,
		 uint64_t late_ns)
{
	char took[WHEN_SIZE], bound[WHEN_SIZE];

	log_info(part,
		 "%llu packets in %s: wanted %.1f pps, achieved %.1f pps, late "
		 "packets %llu (over %s), oversize=%llu, failed=%llu, "
		 "filtered=%llu",
		 (unsigned long long)s->sent, when_span(took, s->took_ns),
		 a_second(s->sent, s->wanted_ns), a_second(s->sent, s->took_ns),
		 (unsigned long long)s->late, when_span(bound, late_ns),
		 (unsigned long long)s->oversize, (unsigned long long)s->failed,
		 (unsigned long long)s->filtered);
	if (s->error_max_ns)
		log_info(part,
			 "error p50 %.1f us, p90 %.1f, p99 %.1f, p99.9 %.1f, "
			 "max %.1f us; the last packet was %.1f us late",
			 (double)s->error_p50_ns / 1e3,
			 (double)s->error_p90_ns / 1e3,
			 (double)s->error_p99_ns / 1e3,
			 (double)s->error_p999_ns / 1e3,
			 (double)s->error_max_ns / 1e3,
			 (double)s->drift_ns / 1e3);
	if (s->merge.out_of_order || s->merge.unsorted)
		log_info(part,
			 "%llu packets out of order were left out, %llu could "
			 "not be sorted in the window",
			 (unsigned long long)s->merge.out_of_order,
			 (unsigned long long)s->merge.unsorted);
	if (drops)
		log_warn(part, "the interface dropped %llu packets",
			 (unsigned long long)drops);
}

/* Not all of it was sent: so many, and why. */
static int judge(const struct replay_status *s, bool own_bound, struct err *err)
{
	uint64_t oversize = own_bound ? 0 : s->oversize;

	if (!s->failed && !s->other_linktype && !oversize)
		return 0;
	return err_set(
		err, ERR_FAILED,
		"%llu packets were sent; not sent were %llu too long for "
		"the interface, %llu that it refused, and %llu of "
		"another link type; a larger MTU (ip link set IFACE mtu "
		"9000) helps against the first",
		(unsigned long long)s->sent, (unsigned long long)oversize,
		(unsigned long long)s->failed,
		(unsigned long long)s->other_linktype);
}

static int write_report(const char *path, const struct buf *b, struct err *err)
{
	int fd = strcmp(path, "-") == 0
			 ? dup(STDOUT_FILENO)
			 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
				0644);
	ssize_t n = fd < 0 ? -1 : write(fd, b->p, b->len);

	if (n != (ssize_t)b->len || close(fd) < 0)
		return err_sys(err, errno, "the report %s cannot be written",
			       path);
	return 0;
}

static int finish(struct replaying *r, struct err *err)
{
	struct replay_status s;
	struct buf b = { 0 };
	uint64_t drops;
	int rc;

	progress_end(&r->line);
	rc = replay_stop(r->replay, &s, err);
	drops = replay_outputs_drops(r->outputs);
	if (replay_outputs_close(r->outputs, rc == 0 ? err : NULL) < 0 &&
	    rc == 0)
		rc = err->code;
	tell(&s, drops, r->opt->late_ns);
	put_report(&b, &s, drops, r->opt->late_ns);
	if (r->opt->report && rc == 0)
		rc = write_report(r->opt->report, &b, err);
	if (rc < 0)
		err_within(err, "after %llu packets",
			   (unsigned long long)s.sent);
	else
		judge(&s, r->opt->skip_mtu > 0, err);
	buf_release(&b);
	return err->code;
}

static int run_planned(struct replaying *r, const struct dataset *set,
		       struct replay_config *cfg, struct err *err)
{
	const struct options *opt = r->opt;
	const struct replay_outputs_config out = {
		.interfaces = &opt->interfaces,
		.file = opt->file,
		.paced = opt->pace,
		.split = opt->split,
		.set = set,
		.first_ns = cfg->merge.from_ns != UINT64_MAX &&
					    cfg->merge.from_ns > set->min_ns
				    ? cfg->merge.from_ns
				    : set->min_ns,
	};

	r->outputs = replay_outputs_open(&out, err);
	if (!r->outputs)
		return err->code;
	replay_outputs_use(r->outputs, cfg);
	if (!cfg->length_max)
		cfg->length_max = replay_outputs_length_max(r->outputs);
	r->loop = loop_new(err);
	if (r->loop)
		r->replay = replay_start(cfg, err);
	if (r->replay) {
		r->end = loop_watch(r->loop, replay_fd(r->replay), LOOP_READ,
				    on_end, r);
		r->tick = loop_timer(r->loop, on_tick, r);
		loop_timer_in(r->tick, TICK_NS);
		loop_run(r->loop);
		loop_watch_free(r->end);
		loop_timer_free(r->tick);
		finish(r, err);
	} else {
		replay_outputs_close(r->outputs, NULL);
	}
	loop_free(r->loop);
	return err->code;
}

static int run(const struct options *opt, const struct opt_args *args,
	       struct pattern *pattern, struct err *err)
{
	struct replaying r = { .opt = opt };
	struct replay_config cfg;
	struct dataset set = { 0 };

	if (check_words(opt, err) == 0 &&
	    load_set(opt, args, pattern, &set, err) == 0 &&
	    check_fresh(opt, &set, err) == 0 &&
	    plan(opt, &set, &cfg, err) == 0) {
		if (cfg.schedule.kind == SCHEDULE_RECORDED &&
		    !opt->gap_max_ns && cfg.loops)
			r.set_ns = cfg.loops *
				   schedule_span(&cfg.schedule,
						 recorded_span(&cfg.merge));
		sock_allow(set.n_files < FILES_OPEN ? set.n_files + 64
						    : FILES_OPEN);
		progress_begin(&r.line);
		run_planned(&r, &set, &cfg, err);
	}
	dataset_release(&set);
	return err->code;
}

static const char about[] =
	"Send the packets of a set of captures again, each at its time.\n"
	"\n"
	"The set is what weir map found, or what is named here. All files are "
	"merged\n"
	"on one clock, whatever their order and overlap. Every packet has an "
	"absolute\n"
	"time, so nothing drifts; what was late, and how late, is told at the "
	"end,\n"
	"and a warning while it runs. Packets that the interface cannot take "
	"are\n"
	"counted, and the status is 1 then.\n"
	"\n"
	"With --out-file packets go into a capture file instead, with the "
	"times at\n"
	"which they would be sent; standard output (-) can be piped into weir "
	"broker\n"
	"-.";

static const char examples[] =
	"  weir replay --out-interface veth0 --dump-json /data/map.json\n"
	"  weir replay --out-interface veth0 --time-scale-enabled \\\n"
	"      --time-scale-duration 4h\n"
	"  weir replay --out-interface veth0 --time-from \"2020-09-28 "
	"06:00:00\" \\\n"
	"      --out-bpf \"not udp\"\n"
	"  weir replay a.pcap b.pcap --out-file - --pace | weir broker -";

int cmd_replay(int argc, char **argv)
{
	struct options opt = {
		.json = dataset_default_json(),
		.late = "catch-up",
		.stale = "refuse",
		.loops = 1,
		.scale_ns = 3600 * NS_PER_S,
		.factor = 1,
		.late_ns = 1000000,
		.logs = CMD_LOGS_DEFAULT,
	};
	const struct opt opts[] = {
		DATASET_OPTION_JSON(&opt.json),
		DATASET_OPTION_REGEXP(&opt.regexp),
		OPT_LIST(0, "out-interface", &opt.interfaces, "IFACE",
			 "where to; twice: clients' side, servers' side"),
		OPT_TEXT(0, "out-file", &opt.file, "FILE",
			 "a capture file instead; - is standard output"),
		OPT_FLAG(0, "pace", &opt.pace,
			 "keep the time with --out-file, too"),
		OPT_TEXT(0, "out-bpf", &opt.bpf, "EXPRESSION",
			 "send only packets that it matches"),
		OPT_TEXT(0, "split", &opt.split, "HOW",
			 "with two interfaces: port, or the clients' network"),
		OPT_INT(0, "loop-count", &opt.loops, "N",
			"how often; below 1: until it is stopped"),
		OPT_FLAG(0, "loop-infinite", &opt.loop_infinite,
			 "until it is stopped"),
		OPT_TEXT(0, "time-from", &opt.from, "TIME",
			 "the first packet that is sent, in UTC"),
		OPT_TEXT(0, "time-to", &opt.to, "TIME",
			 "the last packet that is sent, in UTC"),
		OPT_FLAG(0, "time-scale-enabled", &opt.scale,
			 "make it last --time-scale-duration"),
		OPT_DURATION(0, "time-scale-duration", &opt.scale_ns, 1,
			     UINT64_MAX, "how long it lasts then"),
		OPT_DECIMAL(0, "time-modifier", &opt.factor, "N",
			    "N times as fast; 0.5 is half as fast"),
		OPT_UINT(0, "pps", &opt.pps, 0, 1000000000, "N",
			 "N packets a second, whatever was recorded"),
		OPT_UINT(0, "bps", &opt.bps, 0, UINT64_C(1000000000000), "N",
			 "N bits a second, whatever was recorded"),
		OPT_FLAG(0, "top-speed", &opt.top_speed, "do not wait"),
		OPT_DURATION(0, "max-gap", &opt.gap_max_ns, 0, UINT64_MAX,
			     "cut longer pauses to it; 0: keep them"),
		OPT_FLAG(0, "wait-disable", &opt.wait_disable,
			 "let all files begin at once"),
		OPT_FLAG(0, "skip-ooo", &opt.skip_ooo,
			 "leave out packets earlier than one before them"),
		OPT_FLAG(0, "reorder", &opt.reorder,
			 "sort the packets of each file"),
		OPT_DURATION(0, "reorder-window", &opt.sort_ns, 0, UINT64_MAX,
			     "how far they are looked for; 0: as the map says"),
		OPT_INT(0, "skip-mtu", &opt.skip_mtu, "BYTES",
			"leave out longer packets; 0: what the interface "
			"takes"),
		OPT_TEXT(0, "late", &opt.late, "HOW",
			 "after a stall: catch-up at twice the rate, or burst"),
		OPT_DURATION(0, "late-bound", &opt.late_ns, 1, UINT64_MAX,
			     "a packet is late beyond it"),
		OPT_TEXT(0, "stale", &opt.stale, "HOW",
			 "files changed since the map: refuse, warn, ignore"),
		OPT_TEXT(0, "report", &opt.report, "FILE",
			 "the last numbers as JSON; - is standard output"),
		CMD_LOGS_OPTIONS(&opt.logs),
		OPT_END()
	};
	const struct opt_command cmd = { .name = "replay",
					 .synopsis = "[OPTIONS] [PATH…]",
					 .about = about,
					 .examples = examples,
					 .opts = opts,
					 .args_max = 4096 };
	struct pattern *pattern = NULL;
	struct opt_args args;
	struct err err = ERR_NONE;
	int status;

	opt.interfaces.at = mem_array(1, sizeof(*opt.interfaces.at));
	opt.interfaces.at[0] = "eth0";
	opt.interfaces.n = 1;
	if (cmd_begin(&cmd, argc, argv, &args, &status) &&
	    cmd_logs_begin(&cmd, &opt.logs, &status)) {
		if (dataset_pattern(opt.regexp, &pattern, &err) == 0)
			run(&opt, &args, pattern, &err);
		status = cmd_exit(cmd.name, &err);
	}
	pattern_free(pattern);
	opt_list_release(&opt.interfaces);
	return status;
}
