/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir analyze - packets into streams, matches and their events.
 *
 * The reading thread takes packets from the source and dispatches them; with
 * more than one worker each of those follows its share of the flows.  This
 * thread has the loop: signals, health, metrics, the end.
 */
#include "cmd/cmd.h"

#include <errno.h>
#include <ftw.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/opt.h"
#include "cmd/analyze_api.h"
#include "base/text.h"
#include "cmd/analyze_health.h"
#include "cmd/analyze_input.h"
#include "cmd/analyze_protocol.h"
#include "cmd/analyze_rules.h"
#include "cmd/analyze_store.h"
#include "cmd/common.h"
#include "cmd/progress.h"
#include "engine/analyze/analyze.h"
#include "engine/analyze/output.h"
#include "engine/match/match.h"
#include "engine/metrics/metrics.h"
#include "engine/store/store.h"
#include "sys/loop.h"

static const char part[] = "analyze";

enum { LOOK_NS = 200000000, LIVE_COMMIT_NS = 100000000,
       /* What a queue holds for a packet, and the rest of the program. */
       QUEUE_PACKET = 1600, QUEUE_BATCH = 256, PROGRAM_BYTES = 32 << 20, FILES_MAX = 4096, QUEUE_MAX = 1 << 20 };

struct options {
	struct opt_list files, substrings, regexes, binaries, flags_in,
		flags_out;
	const char *iface, *from, *listen, *spool, *expression, *output, *mode;
	const char *identity, *metrics_addr, *policy, *store;
	uint64_t content_max, stream_content_max, memory_max, store_max;
	struct opt_list keep;
	bool no_parser, list, promisc, immediate, no_inventory, follow, events;
	uint64_t packets_max, snaplen, ring_bytes, timeout_ms, batch, workers;
	uint64_t queue, event_queue, health_ms, flows_max, idle_ms, early_bytes;
	uint64_t early_segments, streams_max, preview, update_packets;
	uint64_t update_bytes, stream_matches, matches, window;
	uint64_t half_open_max, hole_ms, stream_messages;
	struct protocol_config parsers;
	const char *api, *api_token_file;
	struct opt_list api_hosts;
	uint64_t deltas, slice, highlights, hex_row, rows;
	struct cmd_logs logs;
};

struct job {
	const struct options *o;
	const char **files; /* options and words, in their order */
	int n_files;
	struct match_set *patterns;
	struct output *output;
	char *output_path; /* owned */
	struct analyze *analyze;
	struct keeper *keeper;
	struct ruler *ruler;
	char *own_store; /* a folder that goes with us; owned, or NULL */
	struct api *api;
	bool over_now;	 /* nothing more will come in */
	bool complete;	 /* because nothing more is there */
	struct parsers *parsers;
	struct input *input;
	struct loop *loop;
	struct loop_wake *over;
	struct loop_timer *look, *report;
	struct health health;
	struct metrics *metrics;
	struct metrics_server *server;
	struct progress progress;
	uint64_t memory_max;
	struct store_keep *keep; /* owned */
	size_t n_keep;
	struct {
		uint64_t streams, early, fragments, parsers, store, cache;
	} share; /* of it, in bytes */
};

/* -- flags of rustmate that ask for what other parts do
 * ------------------------- */

#define PARSERS "--max-http1-parser-states bounds the parsers of all protocols"
static const struct {
	const char *name;
	bool value;
	const char *why;
} elsewhere[] = {
	{ "disable-stream-content", false,
	  "payload is kept where --store asks for it" },
	{ "stream-content-segment-bytes", true,
	  "the store's segments follow from its cap" },
	{ "disable-stream-view", false,
	  "the page is there where --api-listen asks for it" },
	{ "max-stream-view-matches-per-stream", true,
	  "--max-pattern-matches-per-stream bounds them" },
	{ "max-stream-transform-bytes", true, "the page transforms nothing" },
	{ "max-dns-parser-states", true, PARSERS },
	{ "max-websocket-parser-states", true, PARSERS },
	{ "max-tls-parser-states", true, PARSERS },
	{ "max-http1-buffer-bytes", true, "bodies are not gathered" },
	{ "service-profile-file", true, "there are no profiles" },
	{ "stream-offload-queue-depth", true,
	  "streams are followed by their own worker" },
	{ "stream-offload-backpressure", true,
	  "streams are followed by their own worker" },
};

/* How many words of argv it takes; 0 when it is none of these. */
static int words_of_other(const char *word)
{
	for (size_t i = 0; i < sizeof(elsewhere) / sizeof(*elsewhere); i++) {
		size_t n = strlen(elsewhere[i].name);

		if (strncmp(word, "--", 2) != 0 ||
		    strncmp(word + 2, elsewhere[i].name, n) != 0 ||
		    (word[2 + n] && word[2 + n] != '='))
			continue;
		log_warn(part, "--%s has no effect: %s", elsewhere[i].name,
			 elsewhere[i].why);
		return elsewhere[i].value && !word[2 + n] ? 2 : 1;
	}
	return 0;
}

/* Take them out of argv, saying so; returns the new argc. */
static int drop_others(int argc, char **argv)
{
	int n = 0;

	for (int i = 0; i < argc;) {
		int words = i ? words_of_other(argv[i]) : 0;

		if (!words)
			argv[n++] = argv[i];
		i += words ? words : 1;
	}
	return n;
}

/* -- interfaces
 * ------------------------------------------------------------------- */

static void print_flags(unsigned flags)
{
	static const struct {
		unsigned flag;
		const char *name;
	} names[] = { { IFF_UP, "up" },
		      { IFF_RUNNING, "running" },
		      { IFF_LOOPBACK, "loopback" },
		      { IFF_BROADCAST, "broadcast" },
		      { IFF_POINTOPOINT, "point-to-point" },
		      { IFF_MULTICAST, "multicast" },
		      { IFF_PROMISC, "promiscuous" } };
	bool first = true;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (!(flags & names[i].flag))
			continue;
		printf("%s%s", first ? "" : ",", names[i].name);
		first = false;
	}
	if (first)
		printf("down");
}

static void print_addresses(const struct ifaddrs *all, const char *name)
{
	for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
		char text[NI_MAXHOST];
		bool v4 = i->ifa_addr && i->ifa_addr->sa_family == AF_INET;
		bool v6 = i->ifa_addr && i->ifa_addr->sa_family == AF_INET6;

		if (strcmp(i->ifa_name, name) != 0 || !(v4 || v6))
			continue;
		if (getnameinfo(i->ifa_addr,
				v4 ? sizeof(struct sockaddr_in)
				   : sizeof(struct sockaddr_in6),
				text, sizeof(text), NULL, 0,
				NI_NUMERICHOST) == 0)
			printf(" %s", text);
	}
}

/* One line each: name, flags, addresses. */
static void list_interfaces(struct err *err)
{
	struct if_nameindex *names = if_nameindex();
	struct ifaddrs *all = NULL;

	if (!names || getifaddrs(&all) < 0)
		err_set(err, ERR_FAILED,
			"the kernel does not list its "
			"interfaces");
	for (int n = 0; all && names[n].if_name; n++) {
		unsigned flags = 0;

		for (const struct ifaddrs *i = all; i; i = i->ifa_next)
			if (strcmp(i->ifa_name, names[n].if_name) == 0)
				flags = i->ifa_flags;
		printf("%s ", names[n].if_name);
		print_flags(flags);
		print_addresses(all, names[n].if_name);
		printf("\n");
	}
	freeifaddrs(all);
	if_freenameindex(names);
}

/* -- what was asked for
 * ------------------------------------------------------------- */

static void add_patterns(struct match_pattern *to, size_t *n,
			 const struct opt_list *list, enum match_kind kind,
			 enum match_role role, uint32_t *next_id)
{
	for (int i = 0; i < list->n; i++)
		to[(*n)++] = (struct match_pattern){ .kind = kind,
						     .id = (*next_id)++,
						     .name = list->at[i],
						     .text = list->at[i],
						     .role = role };
}

static int compile_patterns(struct job *j, struct err *err)
{
	const struct options *o = j->o;
	size_t n = 0, most = (size_t)o->substrings.n + (size_t)o->regexes.n +
			     (size_t)o->binaries.n + (size_t)o->flags_in.n +
			     (size_t)o->flags_out.n;
	struct match_pattern *all = mem_array(most + 1, sizeof(*all));
	uint32_t substring = 0, regex = 0, binary = 0;

	add_patterns(all, &n, &o->substrings, MATCH_SUBSTRING, MATCH_ANY,
		     &substring);
	add_patterns(all, &n, &o->regexes, MATCH_REGEX, MATCH_ANY, &regex);
	add_patterns(all, &n, &o->binaries, MATCH_BINARY, MATCH_ANY, &binary);
	add_patterns(all, &n, &o->flags_in, MATCH_REGEX, MATCH_FLAG_IN, &regex);
	add_patterns(all, &n, &o->flags_out, MATCH_REGEX, MATCH_FLAG_OUT,
		     &regex);
	if (n)
		j->patterns = match_compile(all, n, (uint32_t)o->window, err);
	free(all);
	if (err->code)
		err->code = ERR_USAGE;
	return err->code;
}

static int read_policy(const struct options *o, enum flow_policy *policy,
		       struct err *err)
{
	static const char *const names[] = { "linux", "first", "last" };

	for (int i = 0; i < 3; i++) {
		if (strcmp(o->policy, names[i]) != 0)
			continue;
		*policy = (enum flow_policy)i;
		return 0;
	}
	return err_set(err, ERR_USAGE,
		       "--overlap takes linux, first or last, not \"%s\"",
		       o->policy);
}

/* Who only wants to look needs no store of a name. */
static const char *store_dir(struct job *j, struct err *err)
{
	const char *tmp = getenv("TMPDIR");

	if (j->o->store)
		return j->o->store;
	j->own_store = mem_format("%s/weir-page-XXXXXX", tmp ? tmp : "/tmp");
	if (mkdtemp(j->own_store))
		return j->own_store;
	err_sys(err, errno, "%s cannot be made", j->own_store);
	free(j->own_store);
	j->own_store = NULL;
	return NULL;
}

/* The first line of the file. */
static int read_token(const char *path, char token[WEB_TOKEN_MAX + 2],
		      struct err *err)
{
	FILE *f = fopen(path, "re");

	if (!f)
		return err_sys(err, errno, "%s cannot be read", path);
	if (!fgets(token, WEB_TOKEN_MAX + 2, f))
		token[0] = 0;
	token[strcspn(token, "\r\n")] = 0;
	fclose(f);
	return 0;
}

static void start_api(struct job *j, const char *dir, struct err *err)
{
	const struct options *o = j->o;
	struct web_config cfg = WEB_CONFIG_DEFAULT;
	char token[WEB_TOKEN_MAX + 2];

	if (o->api_token_file) {
		if (read_token(o->api_token_file, token, err) < 0)
			return;
		cfg.token = token;
	}

	cfg.address = o->api;
	cfg.hosts = o->api_hosts.at;
	cfg.n_hosts = o->api_hosts.n;
	cfg.dir = dir;
	cfg.store = keeper_store(j->keeper);
	cfg.deltas_max = o->deltas;
	cfg.slice_max = o->slice;
	cfg.highlights_max = (uint32_t)o->highlights;
	cfg.hex_row = (uint32_t)o->hex_row;
	cfg.rows_max = (uint32_t)o->rows;
	j->api = api_start(j->analyze, &cfg, err);
	mem_wipe(token, sizeof(token));
	if (j->api)
		log_info(part, "the page is at http://%s/",
			 api_address(j->api));
}

/* "24h" for all, "dns=1h" for a service. */
static int read_keep(struct job *j, struct err *err)
{
	const struct opt_list *list = &j->o->keep;

	j->keep = mem_array((size_t)list->n + 1, sizeof(*j->keep));
	for (int i = 0; i < list->n; i++) {
		struct store_keep *k = &j->keep[j->n_keep++];
		const char *time = strchr(list->at[i], '=');
		int len = time ? (int)(time - list->at[i]) : 0;

		snprintf(k->service, sizeof(k->service), "%.*s", len,
			 list->at[i]);
		if (text_to_duration_ns(time ? time + 1 : list->at[i],
					&k->age_ns) < 0)
			return err_set(err, ERR_USAGE,
				       "--store-keep takes a time like 24h, or "
				       "dns=1h, not \"%s\"", list->at[i]);
	}
	return 0;
}

static unsigned threads_of(const struct options *o)
{
	return o->workers ? (unsigned)o->workers
			  : (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
}

static uint64_t at_most(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * One cap for the process: what has a size of its own takes its part, the
 * open streams have the rest.
 */
static void share_memory(struct job *j)
{
	const struct options *o = j->o;
	uint64_t all = o->memory_max, used = PROGRAM_BYTES;

	if (!all)
		all = (uint64_t)sysconf(_SC_PHYS_PAGES) / 2 *
		      (uint64_t)sysconf(_SC_PAGESIZE);
	j->memory_max = all;
	used += threads_of(o) * (o->queue + 3 * QUEUE_BATCH) * QUEUE_PACKET;
	if (o->iface)
		used += o->ring_bytes;
	used += o->flows_max * 2 * sizeof(uint32_t); /* the tables' buckets */
	j->share.early = at_most(UINT64_C(256) << 20, all / 8);
	j->share.fragments = at_most(UINT64_C(64) << 20, all / 32);
	j->share.parsers = at_most(UINT64_C(256) << 20, all / 8);
	used += j->share.early + j->share.fragments + j->share.parsers;
	if (o->store || o->api) {
		j->share.store = at_most(UINT64_C(64) << 20, all / 16);
		j->share.cache = at_most(UINT64_C(64) << 20, all / 16);
		/* What is being written is there twice. */
		used += 2 * j->share.store + j->share.cache;
	}
	j->share.streams = all / 4;
	if (all > used && all - used > all / 4)
		j->share.streams = all - used;
}

static void start_rules(struct job *j, const char *dir, struct err *err)
{
	const struct ruler_config cfg = {
		.analyze = j->analyze,
		.store = keeper_store(j->keeper),
		.dir = dir,
		.own = j->patterns,
		.window = (uint32_t)j->o->window,
		.matches_max = j->o->stream_matches,
	};

	j->ruler = ruler_new(&cfg, err);
}

static void start_store(struct job *j, struct err *err)
{
	struct store_config cfg = STORE_CONFIG_DEFAULT;
	const struct keeper_config how = {
		.messages_max = j->o->stream_messages,
		.live = j->o->iface != NULL,
	};

	cfg.dir = store_dir(j, err);
	if (!cfg.dir)
		return;
	cfg.payload_max = j->o->content_max;
	if (j->o->store_max) {
		cfg.payload_max = at_most(cfg.payload_max,
					  j->o->store_max / 8 * 5);
		/* The rest: what is journalled is there twice. */
		cfg.rows_max = j->o->store_max / 8 * 2;
	}
	cfg.keep = j->keep;
	cfg.n_keep = j->n_keep;
	cfg.stream_max = j->o->stream_content_max;
	/* Who looks at what is happening now does not wait for a second. */
	if (j->o->api || (j->n_files == 0 && j->o->follow))
		cfg.commit_ns = LIVE_COMMIT_NS;
	cfg.memory_max = j->share.store;
	cfg.cache_max = j->share.cache;
	j->keeper = keeper_new(j->analyze, &cfg, &how, err);
	if (j->keeper)
		start_rules(j, cfg.dir, err);
	if (j->ruler && j->o->api)
		start_api(j, cfg.dir, err);
}

static int start_analysis(struct job *j, struct err *err)
{
	const struct options *o = j->o;
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct protocol_config parsers = o->parsers;

	share_memory(j);
	if (read_keep(j, err) < 0)
		return err->code;
	if (read_policy(o, &cfg.flow.policy, err) < 0)
		return err->code;
	cfg.flow.flows_max = (uint32_t)o->flows_max;
	cfg.flow.half_open_max = (uint32_t)o->half_open_max;
	cfg.flow.idle_ns = o->idle_ms * 1000000;
	cfg.flow.hole_ns = o->hole_ms * 1000000;
	cfg.flow.early_bytes_max = o->early_bytes;
	cfg.flow.early_segments_max = (uint32_t)o->early_segments;
	cfg.workers = (unsigned)o->workers;
	cfg.queue_packets = (uint32_t)o->queue;
	cfg.live = o->iface != NULL;
	cfg.dump = strcmp(o->mode, "dump") == 0;
	cfg.inventory = !o->no_inventory;
	cfg.streams_max = o->streams_max;
	cfg.preview = (uint32_t)o->preview;
	cfg.update_packets = o->update_packets;
	cfg.update_bytes = o->update_bytes;
	cfg.patterns = j->patterns;
	cfg.stream_matches_max = o->stream_matches;
	cfg.matches_max = o->matches;
	cfg.output = j->output;
	cfg.output_events = (uint32_t)o->event_queue;
	cfg.flow.early_total_max = j->share.early;
	cfg.defrag.bytes_max = j->share.fragments;
	cfg.memory_max = j->share.streams;
	parsers.bytes_max = j->share.parsers;
	j->analyze = analyze_new(&cfg, err);
	if (j->analyze && (o->store || o->api))
		start_store(j, err);
	if (j->analyze && !err->code && !cfg.dump && !o->no_parser)
		j->parsers = parsers_new(j->analyze, &parsers);
	return err->code;
}

/* A file's events lie beside it, under its name. */
static void name_output(struct job *j)
{
	struct stat st;
	const char *file = j->n_files == 1 ? j->files[0] : NULL;

	if (j->o->output)
		j->output_path = mem_text(j->o->output);
	else if (file && strcmp(file, "-") != 0 && stat(file, &st) == 0 &&
		 !S_ISDIR(st.st_mode))
		j->output_path = mem_format("%s.jsonl", file);
	else
		j->output_path = mem_text("out.jsonl");
}

static int gather_files(struct job *j, const struct opt_args *args,
			struct err *err)
{
	const struct options *o = j->o;
	int sources;

	j->files = mem_array((size_t)(o->files.n + args->n) + 1,
			     sizeof(*j->files));
	for (int i = 0; i < o->files.n; i++)
		j->files[j->n_files++] = o->files.at[i];
	for (int i = 0; i < args->n; i++)
		j->files[j->n_files++] = args->at[i];
	sources = (j->n_files > 0) + (o->iface != NULL) + (o->from != NULL) +
		  (o->listen != NULL) + (o->spool != NULL);
	if (sources == 0)
		return err_set(err, ERR_USAGE,
			       "there is no source: name capture files or "
			       "folders, or give --iface, --from, "
			       "--listen-feed or --spool");
	if (sources > 1)
		return err_set(err, ERR_USAGE,
			       "one kind of source at a time: files, --iface, "
			       "--from, --listen-feed or --spool");
	if (strcmp(o->mode, "analyze") != 0 && strcmp(o->mode, "dump") != 0)
		return err_set(err, ERR_USAGE,
			       "--mode takes analyze or dump, not \"%s\"",
			       o->mode);
	for (int i = 0; i < j->n_files; i++)
		if (strcmp(j->files[i], "-") != 0) {
			struct stat st;

			if (stat(j->files[i], &st) < 0)
				return err_set(err, ERR_FAILED,
					       "%s is not there", j->files[i]);
		}
	return 0;
}

/* -- running
 * ---------------------------------------------------------------------------
 */

static void on_over(void *arg)
{
	loop_stop(((struct job *)arg)->loop);
}

/* On the reading thread. */
static void on_input_ended(void *arg)
{
	loop_wake(arg);
}

static void on_look(void *arg)
{
	struct job *j = arg;

	if (progress_due(&j->progress)) {
		const struct analyze_counters *a = &j->health.now.analyze;

		health_look(&j->health);
		progress_draw(&j->progress,
			      "%llu packets, %llu streams, %llu matches",
			      (unsigned long long)a->packets,
			      (unsigned long long)a->streams,
			      (unsigned long long)a->matches);
	}
	if (j->api && !j->over_now) {
		health_look(&j->health);
		api_numbers(j->api, &j->health);
	}
	loop_timer_in(j->look, LOOK_NS);
}

static void on_report(void *arg)
{
	struct job *j = arg;

	health_report(&j->health, "running", true);
	loop_timer_in(j->report, j->o->health_ms * 1000000);
}

static int start_input(struct job *j, struct err *err)
{
	const struct options *o = j->o;
	const char *from = o->from;
	struct input_config cfg = {
		.analyze = j->analyze,
		.output = j->output,
		.files = j->files,
		.n_files = j->n_files,
		.iface = o->iface,
		.from = from && strncmp(from, "TCP@", 4) == 0 ? from + 4 : from,
		.listen = o->listen,
		.spool = o->spool,
		.follow = o->follow,
		.identity = o->identity,
		.expression = o->expression,
		.packets_max = o->packets_max,
		.batch = (uint32_t)o->batch,
		.snaplen = (uint32_t)o->snaplen,
		.timeout_ms = (uint32_t)o->timeout_ms,
		.ring_bytes = o->ring_bytes,
		.promiscuous = o->promisc,
		.ended = on_input_ended,
		.arg = j->over,
	};

	if (j->keeper)
		cfg.memory = keeper_memory(j->keeper);
	j->input = input_start(&cfg, err);
	if (j->input && input_address(j->input))
		log_info(part, "sensors may push to %s",
			 input_address(j->input));
	return j->input ? 0 : err->code;
}

static int serve_metrics(struct job *j, struct err *err)
{
	if (!j->o->metrics_addr || !*j->o->metrics_addr)
		return 0;
	j->metrics = metrics_new();
	health_add_metrics(&j->health, j->metrics);
	j->server = metrics_serve(j->loop, j->metrics, j->o->metrics_addr, err);
	if (j->server)
		log_info(part, "metrics are served at port %u",
			 metrics_server_port(j->server));
	return j->server ? 0 : err->code;
}

/* Take no more in, end all flows. */
static void take_no_more(struct job *j, struct err *err)
{
	struct err later = ERR_NONE;

	if (j->over_now)
		return;
	j->over_now = true;
	progress_end(&j->progress);
	if (j->input)
		health_look(&j->health);
	input_stop(j->input, err->code ? &later : err);
	if (j->analyze)
		analyze_finish(j->analyze);
	j->health.input = NULL;
}

/* All is read; who looks at it may take the time. */
static void stay(struct job *j, struct err *err)
{
	struct err later = ERR_NONE;

	take_no_more(j, err);
	store_checkpoint(keeper_store(j->keeper), NULL,
			 err->code ? &later : err);
	loop_timer_cancel(j->report);
	health_look(&j->health);
	api_numbers(j->api, &j->health);
	api_status(j->api, err->code ? "failed" : "completed");
	log_info(part, "all is read; the page stays at http://%s/ until Ctrl-C",
		 api_address(j->api));
	loop_run(j->loop);
}

static int run(struct job *j, struct err *err)
{
	if (compile_patterns(j, err) < 0)
		return err->code;
	if (j->o->events) {
		name_output(j);
		j->output = output_open(j->output_path, err);
	}
	/* The page has a loop of its own: a signal that comes early must find
	   this one, too. */
	if (!err->code)
		j->loop = loop_new(err);
	if (err->code || start_analysis(j, err) < 0)
		return err->code;
	j->over = loop_wake_new(j->loop, on_over, j);
	if (!j->over)
		return err_set(err, ERR_FAILED, "no descriptor is left");
	if (start_input(j, err) < 0 ||
	    (j->ruler && ruler_start(j->ruler, err) < 0))
		return err->code;
	j->health = (struct health){ .analyze = j->analyze,
				     .input = j->input,
				     .output = j->output,
				     .keeper = j->keeper,
				     .memory_max = j->memory_max };
	health_begin(&j->health);
	if (serve_metrics(j, err) < 0)
		return err->code;
	progress_begin(&j->progress);
	j->look = loop_timer(j->loop, on_look, j);
	loop_timer_in(j->look, LOOK_NS);
	j->report = loop_timer(j->loop, on_report, j);
	if (j->o->health_ms)
		loop_timer_in(j->report, j->o->health_ms * 1000000);
	j->complete = loop_run(j->loop) == 0;
	if (j->complete && j->api)
		stay(j, err);
	return err->code;
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* A folder that we made, with a store and a page's notes in it. */
static void remove_own_store(struct job *j)
{
	if (j->own_store &&
	    nftw(j->own_store, remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0)
		log_warn(part, "%s could not be removed", j->own_store);
	free(j->own_store);
}

/* Read no more, end all flows, write all events, say what it came to. */
static void end(struct job *j, struct err *err)
{
	bool ran = j->input != NULL;
	struct err later = ERR_NONE;

	metrics_server_free(j->server);
	metrics_free(j->metrics);
	take_no_more(j, err);
	api_stop(j->api);
	if (j->ruler && j->complete && !j->api && !err->code)
		ruler_finish(j->ruler, err);
	ruler_free(j->ruler);
	if (ran)
		health_look(&j->health);
	j->health.keeper = NULL;
	keeper_end(j->keeper, err->code ? &later : err);
	remove_own_store(j);
	if (ran)
		health_report(&j->health, err->code ? "failed" : "completed",
			      false);
	output_close(j->output, err->code ? &later : err);
	if (ran && !err->code)
		log_info(part,
			 "done: %llu packets, %llu streams, %llu matches, "
			 "%llu events%s%s",
			 (unsigned long long)j->health.now.analyze.packets,
			 (unsigned long long)j->health.now.analyze.streams,
			 (unsigned long long)j->health.now.analyze.matches,
			 (unsigned long long)j->health.now.analyze.events,
			 j->output_path ? " in " : "",
			 j->output_path ? j->output_path : "");
	analyze_free(j->analyze);
	parsers_free(j->parsers);
	match_set_put(j->patterns);
	loop_timer_free(j->look);
	loop_timer_free(j->report);
	loop_wake_free(j->over);
	loop_free(j->loop);
	free(j->files);
	free(j->output_path);
	free(j->keep);
}

static void analyze(const struct options *o, const struct opt_args *args,
		    struct err *err)
{
	struct job j = { .o = o };

	if (gather_files(&j, args, err) == 0)
		run(&j, err);
	end(&j, err);
}

static const char about[] =
	"Turn packets into streams: every conversation reassembled, counted,\n"
	"classified and searched for patterns, told as JSON lines.  The\n"
	"packets come from capture files and folders of them, standard input\n"
	"(-), an interface, another program's feed, sensors that push, or a\n"
	"spool that grows.\n"
	"\n"
	"The events are those of rustmate, under its names; doc/analyze.md\n"
	"has them all.  A file of events that is there is renamed, never\n"
	"written over.";

static const char examples[] =
	"  weir analyze day1.pcap --regex 'FLAG\\{[A-Za-z0-9_]+\\}' -o -\n"
	"  weir analyze captures/ --workers 0 --output day.jsonl\n"
	"  weir analyze --iface eth0 --bpf 'tcp or udp' --health-interval-ms "
	"1000\n"
	"  weir analyze --from TCP@localhost:4242\n"
	"  weir analyze --spool mirror/src1\n";

int cmd_analyze(int argc, char **argv)
{
	struct options o = {
		.mode = "analyze",
		.policy = "linux",
		.follow = true,
		.events = true,
		.snaplen = 262144,
		.ring_bytes = 64 << 20,
		.timeout_ms = 100,
		.batch = 4096,
		.queue = 4096,
		.event_queue = 4096,
		.health_ms = 1000,
		.flows_max = 1000000,
		.idle_ms = 120000,
		.early_bytes = 1 << 20,
		.early_segments = 128,
		.streams_max = 1000000,
		.preview = 256,
		.update_packets = 64,
		.update_bytes = 65536,
		.stream_matches = 1024,
		.matches = 1000000,
		.window = 4096,
		.half_open_max = 200000,
		.hole_ms = 500,
		.content_max = UINT64_C(16) << 30,
		.stream_content_max = 1 << 30,
		.stream_messages = 65536,
		.parsers = PROTOCOL_CONFIG_DEFAULT,
		.deltas = 16384,
		.slice = 64 << 10,
		.highlights = 4096,
		.hex_row = 16,
		.rows = WEB_ROWS_MAX,
		.logs = CMD_LOGS_DEFAULT,
	};
	uint64_t parsers = o.parsers.streams_max;
	uint64_t head = o.parsers.header_max, messages = o.parsers.messages_max;
	const struct opt opts[] = {
		OPT_LIST('p', "pcap", &o.files, "FILE",
			 "a capture file or a folder of them; - is standard "
			 "input; may be repeated, or given without --pcap"),
		OPT_TEXT('i', "iface", &o.iface, "IFACE",
			 "capture from this interface"),
		OPT_TEXT(0, "from", &o.from, "TCP@HOST:PORT",
			 "read a feed, and connect again when it ends"),
		OPT_TEXT(0, "listen-feed", &o.listen, "HOST:PORT",
			 "take captures that sensors push there"),
		OPT_TEXT(0, "spool", &o.spool, "DIR",
			 "read a spool or mirror as it grows"),
		OPT_FLAG(0, "follow", &o.follow,
			 "wait for more at the end of a spool"),
		OPT_TEXT(0, "source-id", &o.identity, "TEXT",
			 "who the source is, for the stream ids; else its "
			 "first packets say"),
		OPT_FLAG(0, "list-interfaces", &o.list,
			 "print name, flags and addresses of the interfaces"),
		OPT_TEXT('o', "output", &o.output, "FILE",
			 "where the events go; - is standard output (default "
			 "FILE.jsonl beside the capture, else out.jsonl)"),
		OPT_FLAG(0, "events", &o.events,
			 "write the events; --no-events where the store is "
			 "enough"),
		OPT_TEXT(0, "store", &o.store, "DIR",
			 "keep streams and their payload there, for weir "
			 "streams and weir show"),
		OPT_SIZE(0, "store-max-bytes", &o.store_max,
			 UINT64_C(16) << 20, UINT64_C(1) << 50,
			 "the store: all of its files; the oldest streams make "
			 "room, pinned ones stay"),
		OPT_LIST(0, "store-keep", &o.keep, "[SERVICE=]TIME",
			 "the store: streams go so long after their last "
			 "packet; may be repeated, once a service"),
		OPT_SIZE(0, "max-stream-content-bytes", &o.content_max,
			 STORE_PAYLOAD_LEAST, UINT64_C(1) << 50,
			 "the store: all payload; the oldest makes room"),
		OPT_SIZE(0, "max-stream-content-bytes-per-stream",
			 &o.stream_content_max, 0, UINT64_C(1) << 50,
			 "the store: kept of one stream, from its start"),
		OPT_UINT(0, "max-stream-messages", &o.stream_messages, 0,
			 UINT32_MAX, "N",
			 "the store: messages kept of one stream; more are "
			 "counted"),
		OPT_TEXT('m', "mode", &o.mode, "MODE",
			 "analyze, or dump: one event a packet"),
		OPT_UINT(0, "max-packets", &o.packets_max, 0, UINT64_MAX, "N",
			 "stop after so many packets; 0 is never"),
		OPT_TEXT(0, "capture-filter", &o.expression, "BPF",
			 "only packets that this expression matches"),
		OPT_TEXT(0, "bpf", &o.expression, "BPF",
			 "the same as --capture-filter"),
		OPT_UINT(0, "capture-snaplen", &o.snaplen, 64, 262144, "BYTES",
			 "keep this much of each packet of an interface"),
		OPT_UINT(0, "capture-buffer-size", &o.ring_bytes, 2 << 20,
			 UINT64_C(1) << 36, "BYTES", "the kernel's buffer"),
		OPT_UINT(0, "capture-read-timeout-ms", &o.timeout_ms, 1, 60000,
			 "MS", "look at a quiet interface so often"),
		OPT_FLAG(0, "promisc", &o.promisc,
			 "an interface: also packets for other hosts"),
		OPT_FLAG(0, "immediate", &o.immediate,
			 "packets are always taken at once; accepted as it is"),
		OPT_UINT(0, "batch-size", &o.batch, 1, 65536, "N",
			 "packets taken from the source at once"),
		OPT_UINT(0, "workers", &o.workers, 0, ANALYZE_WORKERS_MAX, "N",
			 "threads that follow flows; 0 is one a processor"),
		OPT_UINT(0, "worker-queue-depth", &o.queue, 1, QUEUE_MAX, "N",
			 "packets that wait for one worker"),
		OPT_UINT(0, "event-queue-depth", &o.event_queue, 1, QUEUE_MAX,
			 "N", "events that a worker gathers, at most 64 KiB"),
		OPT_UINT(0, "health-interval-ms", &o.health_ms, 0, 86400000,
			 "MS", "say how it goes so often; 0 is never"),
		OPT_TEXT(0, "metrics-addr", &o.metrics_addr, "ADDR:PORT",
			 "serve the same numbers for Prometheus"),
		OPT_SIZE(0, "memory-max", &o.memory_max, 64 << 20,
			 UINT64_C(1) << 50,
			 "of the process, whatever the workers; the quietest "
			 "streams end (default half of the machine's)"),
		OPT_UINT(0, "max-flows", &o.flows_max, 1, 16000000, "N",
			 "flows at once; the quietest goes first"),
		OPT_UINT(0, "max-half-open-flows", &o.half_open_max, 1,
			 16000000, "N", "of them, TCP flows without an answer"),
		OPT_UINT(0, "flow-idle-timeout-ms", &o.idle_ms, 1,
			 UINT64_C(31536000000), "MS",
			 "a flow ends after so long without a packet"),
		OPT_UINT(0, "max-tcp-buffered-bytes-per-flow", &o.early_bytes,
			 2048, 1 << 30, "BYTES",
			 "early payload that waits, a direction"),
		OPT_UINT(0, "max-tcp-out-of-order-segments-per-direction",
			 &o.early_segments, 1, 65536, "N",
			 "early segments that wait"),
		OPT_UINT(0, "tcp-hole-timeout-ms", &o.hole_ms, 0, 3600000, "MS",
			 "an acknowledged hole is given up after"),
		OPT_TEXT(0, "overlap", &o.policy, "POLICY",
			 "which of two copies of payload counts: linux, first "
			 "or last"),
		OPT_FLAG(0, "disable-stream-inventory", &o.no_inventory,
			 "no stream_open, stream_update and stream_close"),
		OPT_UINT(0, "max-streams", &o.streams_max, 1, 16000000, "N",
			 "streams at once"),
		OPT_UINT(0, "stream-preview-bytes", &o.preview, 0,
			 ANALYZE_HEAD_MAX, "BYTES",
			 "of each direction, in its events"),
		OPT_UINT(0, "stream-update-packets", &o.update_packets, 0,
			 UINT64_MAX, "N", "an update after so many; 0: none"),
		OPT_UINT(0, "stream-update-bytes", &o.update_bytes, 0,
			 UINT64_MAX, "BYTES",
			 "an update after so many; 0: none"),
		OPT_LIST(0, "pattern", &o.substrings, "TEXT",
			 "find this text; may be repeated"),
		OPT_LIST(0, "regex", &o.regexes, "REGEX",
			 "find this expression; may be repeated"),
		OPT_LIST(0, "binary-pattern", &o.binaries, "HEX",
			 "find these bytes; may be repeated"),
		OPT_LIST(0, "flag-in", &o.flags_in, "REGEX",
			 "find this on its way to the one who was called"),
		OPT_LIST(0, "flag-out", &o.flags_out, "REGEX",
			 "find this on its way to the one who called"),
		OPT_UINT(0, "max-pattern-matches-per-stream", &o.stream_matches,
			 0, UINT32_MAX, "N", "more are counted only"),
		OPT_UINT(0, "max-pattern-matches-total", &o.matches, 0,
			 UINT64_MAX, "N", "more are counted only"),
		OPT_UINT(0, "pattern-regex-window-bytes", &o.window, 1,
			 MATCH_WINDOW_MAX, "BYTES",
			 "the longest match of an expression"),
		OPT_FLAG(0, "disable-stream-parser", &o.no_parser,
			 "do not look for messages of protocols"),
		OPT_UINT(0, "max-http1-parser-states", &parsers, 1, 16000000,
			 "N", "streams whose messages are parsed at once"),
		OPT_UINT(0, "max-http1-header-bytes", &head, 256, 16 << 20,
			 "BYTES", "of one HTTP head; a longer one is an error"),
		OPT_UINT(0, "max-parser-messages-per-chunk", &messages, 1,
			 UINT32_MAX, "N", "told of one slice of payload"),
		OPT_TEXT(0, "api-listen", &o.api, "ADDR:PORT",
			 "serve the page and its API there, and stay after "
			 "the end; a port alone is on loopback"),
		OPT_TEXT(0, "api-token-file", &o.api_token_file, "FILE",
			 "its first line is what whoever asks has to know; "
			 "other addresses than loopback need it"),
		OPT_LIST(0, "api-host", &o.api_hosts, "NAME",
			 "a name that browsers may use for us, besides "
			 "addresses and localhost; may be repeated"),
		OPT_UINT(0, "api-delta-capacity", &o.deltas, 16, 1 << 24, "N",
			 "changes that the page can ask for later"),
		OPT_UINT(0, "max-stream-slice-bytes", &o.slice, 1, 16 << 20,
			 "BYTES", "of content in one answer of the page"),
		OPT_UINT(0, "max-stream-slice-highlights", &o.highlights, 0,
			 1 << 20, "N", "matches shown in one answer"),
		OPT_UINT(0, "stream-slice-hex-row-bytes", &o.hex_row, 1, 64,
			 "N", "bytes in a row of hex"),
		OPT_UINT(0, "stream-view-query-limit", &o.rows, 1,
			 WEB_ROWS_MAX, "N", "streams in one answer"),
		CMD_LOGS_OPTIONS(&o.logs),
		OPT_END()
	};
	const struct opt_command cmd = {
		.name = "analyze",
		.synopsis = "[OPTIONS] [FILE|FOLDER|-]…",
		.about = about,
		.examples = examples,
		.opts = opts,
		.args_max = FILES_MAX,
	};
	struct opt_args args;
	struct err err = ERR_NONE;
	int status;

	argc = drop_others(argc, argv);
	if (cmd_begin(&cmd, argc, argv, &args, &status) &&
	    cmd_logs_begin(&cmd, &o.logs, &status)) {
		o.parsers.streams_max = (uint32_t)parsers;
		o.parsers.header_max = (uint32_t)head;
		o.parsers.messages_max = (uint32_t)messages;
		if (o.list)
			list_interfaces(&err);
		else
			analyze(&o, &args, &err);
		status = cmd_exit(cmd.name, &err);
	}
	opt_list_release(&o.files);
	opt_list_release(&o.keep);
	opt_list_release(&o.substrings);
	opt_list_release(&o.regexes);
	opt_list_release(&o.binaries);
	opt_list_release(&o.flags_in);
	opt_list_release(&o.flags_out);
	opt_list_release(&o.api_hosts);
	return status;
}
