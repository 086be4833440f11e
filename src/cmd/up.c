/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir up - all of it on this machine, in one process tree.
 *
 *	agent capture → spool → agent listen ⇢ collector → mirror → feed
 *	                                                         ↳ analyze → store
 *
 * This process only supervises: it makes keys and configuration, starts the
 * four others (the same program), reads the two spools for the counters it
 * shows, and ends everything in the order in which packets flow.
 */
#include "cmd/cmd.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/text.h"
#include "cmd/common.h"
#include "cmd/progress.h"
#include "cmd/up_state.h"
#include "engine/feed/feed.h"
#include "engine/spool/reader.h"
#include "engine/supervise/supervise.h"
#include "sys/loop.h"
#include "sys/sys.h"

static const char PART[] = "up";
static const char CAPTURE[] = "capture";

#define PAGE "127.0.0.1:4280"

enum {
	REGEXES_MAX = 8,
	TICK_MS = 200,
	LOG_MS = 10000,
	DRAIN_MS = 2000, /* for the mirror to catch up at the end */
	SAMPLES = 5	 /* ticks over which the rate is taken */
};

enum source { SOURCE_SAMPLE, SOURCE_FILE, SOURCE_INTERFACE };

/* One of the two spools, as seen from outside. */
struct watched {
	struct spool_reader *reader;
	struct spool_reader_status now;
	uint64_t packets; /* since we started; over all siblings */
	struct spool_reader_status begun; /* when we started */
	uint64_t dropped;
	bool seen;
};

struct up {
	const char *listen;
	const char *state_dir;
	const char *speed;
	bool top_speed, analyze;
	uint64_t keep_max; /* spool and mirror, each */
	const char *page; /* as asked for */
	char *page_at;	  /* where it really is; owned, or NULL */
	struct opt_list regexes;
	uint64_t store_max;
	struct cmd_logs logs;

	enum source source;
	const char *what; /* file or interface */
	char *sample;
	char self[PATH_MAX];
	struct up_state state;
	char *feed; /* what the collector is told: address and options */

	struct loop *loop;
	struct supervisor *sup;
	struct loop_timer *tick;
	struct progress line;
	struct watched spool, mirror;
	uint64_t samples[SAMPLES]; /* mirror.packets at the last ticks */
	unsigned n_ticks;
	uint64_t next_log_ns;
	int probe; /* a connection to the feed under way; -1 for none */
	bool announced;
	bool played; /* the file is at its end */
	uint64_t drain_until_ns; /* 0: nobody asked us to end */
	bool ending;
	int failed; /* exit status when a file could not be played */
	struct err err;
};

static uint64_t now_ns(void)
{
	return sys_host()->mono_ns(sys_host());
}

/* -- where packets come from ---------------------------------------------- */

/* In the build folder, or where it was installed. */
static char *find_sample(const char *self)
{
	char *copy = mem_text(self);
	char *path = mem_format("%s/../tools/sample.pcap", dirname(copy));

	free(copy);
	if (access(path, R_OK) == 0)
		return path;
	free(path);
	path = mem_text(WEIR_DATADIR "/sample.pcap");
	if (access(path, R_OK) == 0)
		return path;
	free(path);
	return NULL;
}

static int may_capture(const char *name, struct err *err)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_set(err, ERR_FAILED,
			       "capturing from %s needs root (or the "
			       "capability net_raw): %s",
			       name, strerror(errno));
	close(fd);
	return 0;
}

static int choose_source(struct up *up, const struct opt_args *args,
			 struct err *err)
{
	if (args->n == 0) {
		up->source = SOURCE_SAMPLE;
		up->what = up->sample = find_sample(up->self);
		return up->sample ? 0
				  : err_set(err, ERR_FAILED,
					    "the sample capture is neither "
					    "beside %s nor in %s; name a FILE "
					    "or an interface",
					    up->self, WEIR_DATADIR);
	}
	up->what = args->at[0];
	if (access(up->what, R_OK) == 0) {
		up->source = SOURCE_FILE;
		return 0;
	}
	if (if_nametoindex(up->what) == 0)
		return err_set(err, ERR_FAILED,
			       "%s is neither a file that can be read nor an "
			       "interface of this machine",
			       up->what);
	up->source = SOURCE_INTERFACE;
	return may_capture(up->what, err);
}

static int check_speed(const struct up *up, struct err *err)
{
	char *end;
	double v = strtod(up->speed, &end);

	if (*up->speed && !*end && v >= 0.001 && v <= 1e6)
		return 0;
	return err_set(err, ERR_USAGE,
		       "--speed takes a factor from 0.001 to 1000000, not "
		       "\"%s\"",
		       up->speed);
}

/* -- the feed's address --------------------------------------------------- */

/* "host:port" without the options behind it; ":port" is asked on loopback. */
static char *feed_address_of(const struct up *up)
{
	int len = (int)strcspn(up->listen, ",");

	return mem_format("%s%.*s", up->listen[0] == ':' ? "127.0.0.1" : "",
			  len, up->listen);
}

/* What the collector would be told again and again is told once, here. */
static int check_listen(const struct up *up, struct err *err)
{
	struct sys *sys = sys_host();
	struct feed_config feed = FEED_CONFIG_DEFAULT;
	char *address;
	int socket;

	if (feed_config_parse(&feed, up->listen, err) < 0)
		return err->code;
	address = feed_address_of(up);
	socket = sys->listen(sys, address);
	if (socket >= 0)
		sys->hang_up(sys, socket);
	else if (socket == -EADDRINUSE)
		err_set(err, ERR_BUSY,
			"another program listens on %s; end it, or choose "
			"another port with --listen 127.0.0.1:4243",
			address);
	else
		err_sys(err, -socket, "--listen %s", address);
	free(address);
	return socket < 0 ? err->code : 0;
}

/* -- what the spools say -------------------------------------------------- */

static int watch_open(struct watched *w, const char *root, struct err *err)
{
	char *dir = mem_format("%s/src1", root);

	w->reader = spool_reader_open(sys_host(), dir, err);
	free(dir);
	return w->reader ? 0 : err->code;
}

/* Ask again, and add what is new; a new sibling counts from 0. */
static void watch_look(struct watched *w)
{
	struct spool_reader_status before = w->now;
	struct err err = ERR_NONE;
	bool same;

	if (spool_reader_status(w->reader, &w->now, &err) < 0 ||
	    !w->now.exists) {
		w->now = before;
		return;
	}
	same = memcmp(before.identity.id, w->now.identity.id, SPOOL_ID) == 0;
	if (w->seen && (!same || w->now.head >= before.head)) {
		w->packets += w->now.head - (same ? before.head : 0);
		w->dropped += w->now.dropped - (same ? before.dropped : 0);
	}
	w->seen = true;
}

/* A reader measures the files every few seconds only; a new one does at once. */
static void look_afresh(struct watched *w, const char *root)
{
	struct err err = ERR_NONE;

	spool_reader_close(w->reader);
	if (watch_open(w, root, &err) == 0)
		watch_look(w);
}

/* What was there before we came is not ours to count. */
static void watch_begin(struct watched *w)
{
	watch_look(w);
	w->seen = true;
	w->begun = w->now;
}

/* The index of the first packet that came after that. */
static uint64_t first_of_run(const struct watched *w)
{
	return memcmp(w->begun.identity.id, w->now.identity.id, SPOOL_ID) == 0
		       ? w->begun.head
		       : 0;
}

static uint64_t lag(const struct up *up)
{
	const struct spool_reader_status *from = &up->spool.now;
	const struct spool_reader_status *to = &up->mirror.now;
	bool same = memcmp(from->identity.origin, to->identity.origin,
			   SPOOL_ID) == 0;

	if (!same)
		return from->head;
	return from->head > to->head ? from->head - to->head : 0;
}

static uint64_t rate(struct up *up)
{
	uint64_t *oldest = &up->samples[up->n_ticks % SAMPLES];
	uint64_t grown = up->mirror.packets - *oldest;

	*oldest = up->mirror.packets;
	up->n_ticks++;
	return grown * 1000 / (SAMPLES * TICK_MS);
}

static void show_counters(struct up *up)
{
	uint64_t per_second = rate(up);
	char bytes[TEXT_SIZE], text[256];

	snprintf(text, sizeof(text),
		 "%llu packets, %llu/s, lag %llu, drops %llu, %s in the mirror",
		 (unsigned long long)up->mirror.packets,
		 (unsigned long long)per_second, (unsigned long long)lag(up),
		 (unsigned long long)up->spool.dropped,
		 text_of_size(bytes, up->mirror.now.bytes));
	if (up->line.terminal && up->announced) {
		progress_draw(&up->line, "%s", text);
	} else if (!up->line.terminal && now_ns() >= up->next_log_ns) {
		if (up->next_log_ns)
			log_info(PART, "%s", text);
		up->next_log_ns = now_ns() + UINT64_C(1000000) * LOG_MS;
	}
}

/* -- saying that it runs --------------------------------------------------- */

static void announce(struct up *up, const char *address)
{
	static const char *const kind[] = {
		[SOURCE_SAMPLE] = "the sample capture, again and again,",
		[SOURCE_FILE] = "capture file",
		[SOURCE_INTERFACE] = "interface",
	};
	const char *port = strrchr(address, ':');

	if (up->page_at)
		printf("The page is at http://%s/\n\n", up->page_at);
	printf("Packets of %s%s%s are on %s. Try, from another terminal:\n\n"
	       "  tshark -i TCP@%s\n"
	       "  tcpdump -nr - </dev/tcp/%.*s/%s    (in bash)\n%s%s%s\n"
	       "Kept in %s; Ctrl-C ends it.\n",
	       kind[up->source], up->source == SOURCE_SAMPLE ? "" : " ",
	       up->source == SOURCE_SAMPLE ? "" : up->what, address, address,
	       (int)(port ? port - address : 0), address, port ? port + 1 : "",
	       up->analyze ? "  weir streams --store " : "",
	       up->analyze ? up->state.store : "", up->analyze ? "\n" : "",
	       up->state.dir);
	fflush(stdout);
	up->announced = true;
}

/* The addresses are printed when somebody answers there. */
static void probe_feed(struct up *up)
{
	struct sys *sys = sys_host();
	char *address;
	int rc;

	if (up->announced)
		return;
	address = feed_address_of(up);
	if (up->probe < 0)
		up->probe = sys->dial(sys, address);
	if (up->probe >= 0) {
		rc = sys->dialled(sys, up->probe);
		if (rc == 0)
			announce(up, address);
		if (rc != -EINPROGRESS) {
			sys->hang_up(sys, up->probe);
			up->probe = -1;
		}
	}
	free(address);
}

/* -- the children ---------------------------------------------------------- */

static void on_line(void *arg, const char *name, struct bytes line)
{
	struct up *up = arg;

	(void)name;
	progress_end(&up->line);
	fprintf(stderr, "%.*s\n", (int)line.len, (const char *)line.p);
}

static void on_done(void *arg, const char *name, int status)
{
	struct up *up = arg;

	(void)name;
	if (up->drain_until_ns)
		return;
	up->played = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	if (up->played) {
		log_info(PART,
			 "%s is at its end; its packets stay on %s until Ctrl-C",
			 up->what, up->listen);
		return;
	}
	up->failed = 1;
	loop_stop(up->loop);
}

static void on_gone(void *arg)
{
	struct up *up = arg;

	loop_stop(up->loop);
}

struct words {
	const char *at[SUPERVISE_ARGS_MAX + 1];
	int n;
};

static void add(struct words *w, const char *first, const char *second)
{
	w->at[w->n++] = first;
	if (second)
		w->at[w->n++] = second;
}

/*
 * A file is over at some time, and somebody may connect later: its readers
 * begin with the first packet of this run.  Others see what is happening now.
 */
static void choose_feed(struct up *up)
{
	if (up->source == SOURCE_FILE && !strchr(up->listen, ','))
		up->feed = mem_format(
			"%s,from=%llu", up->listen,
			(unsigned long long)first_of_run(&up->spool));
	else
		up->feed = mem_text(up->listen);
}

/* Ours tell what matters; theirs only speak up when something is wrong. */
static void add_logs(struct words *w, const struct up *up)
{
	const char *level = up->logs.level;

	if (up->logs.debug)
		level = "debug";
	else if (strcmp(level, "info") == 0)
		level = "warn";
	add(w, "--log", level);
	if (up->logs.json)
		add(w, "--json", NULL);
}

static int start_capture(struct up *up, struct err *err)
{
	struct words w = { { up->self, "agent", "capture" }, 3 };
	char keep[24];

	snprintf(keep, sizeof(keep), "%llu", (unsigned long long)up->keep_max);
	add(&w, "--spool-dir", up->state.spool);
	add(&w, "--retention-bytes", keep);
	if (up->source == SOURCE_INTERFACE) {
		add(&w, "--iface", up->what);
	} else {
		add(&w, "--pcap-file", up->what);
		if (!up->top_speed)
			add(&w, "--speed", up->speed);
		if (up->source == SOURCE_SAMPLE)
			add(&w, "--loop", NULL);
	}
	add_logs(&w, up);
	return supervisor_add(up->sup, CAPTURE, w.at,
			      up->source == SOURCE_FILE, err);
}

static int start_listen(struct up *up, struct err *err)
{
	struct words w = { { up->self, "agent", "listen" }, 3 };
	char address[32];

	snprintf(address, sizeof(address), "127.0.0.1:%u", up->state.link_port);
	add(&w, "--spool-dir", up->state.spool);
	add(&w, "--listen", address);
	add(&w, "--key", up->state.agent_key);
	add(&w, "--peer", up->state.collector_public);
	add_logs(&w, up);
	return supervisor_add(up->sup, "listen", w.at, false, err);
}

static int start_collector(struct up *up, struct err *err)
{
	struct words w = { { up->self, "collector" }, 2 };
	char keep[24];

	snprintf(keep, sizeof(keep), "%llu", (unsigned long long)up->keep_max);
	add(&w, "--config-dir", up->state.config);
	add(&w, "--mirror-dir", up->state.mirror);
	add(&w, "--key", up->state.collector_key);
	add(&w, "--listen", up->feed);
	add(&w, "--mirror-retention-bytes", keep);
	add_logs(&w, up);
	return supervisor_add(up->sup, "collector", w.at, false, err);
}

/*
 * The page's own address is for everybody to remember; where it is taken, as
 * by another weir up, any port does.
 */
static void choose_page(struct up *up)
{
	struct sys *sys = sys_host();
	char here[SYS_PEER_MAX];
	int socket;

	if (!*up->page)
		return;
	socket = sys->listen(sys, up->page);
	if (socket < 0 && strcmp(up->page, PAGE) == 0)
		socket = sys->listen(sys, "127.0.0.1:0");
	if (socket >= 0 && sys->bound(sys, socket, here) == 0)
		up->page_at = mem_text(here);
	else
		up->page_at = mem_text(up->page); /* weir analyze says why not */
	if (socket >= 0)
		sys->hang_up(sys, socket);
}

/* Reads the mirror as any client does: nobody waits for it. */
static int start_analyze(struct up *up, struct err *err)
{
	struct words w = { { up->self, "analyze" }, 2 };
	char *source = mem_format("%s/src1", up->state.mirror);
	char bytes[32];
	int rc;

	snprintf(bytes, sizeof(bytes), "%llu",
		 (unsigned long long)up->store_max);
	add(&w, "--spool", source);
	add(&w, "--store", up->state.store);
	add(&w, "--store-max-bytes", bytes);
	add(&w, "--no-events", NULL);
	add(&w, "--health-interval-ms", "0");
	choose_page(up);
	if (up->page_at)
		add(&w, "--api-listen", up->page_at);
	for (int i = 0; i < up->regexes.n && i < REGEXES_MAX; i++)
		add(&w, "--regex", up->regexes.at[i]);
	add_logs(&w, up);
	rc = supervisor_add(up->sup, "analyze", w.at, false, err);
	free(source);
	return rc;
}

/*
 * The receiving end waits for the first packet of a file, which says in which
 * spool, and where in it, this run begins.
 */
static bool may_receive(const struct up *up)
{
	return up->source != SOURCE_FILE || up->spool.packets > 0 ||
	       !supervisor_runs(up->sup, CAPTURE);
}

static int start_receiving(struct up *up, struct err *err)
{
	if (up->feed || !may_receive(up))
		return 0;
	choose_feed(up);
	if (start_collector(up, err) < 0 ||
	    (up->analyze && start_analyze(up, err) < 0))
		return err->code;
	return start_listen(up, err);
}

/* -- running, and ending ---------------------------------------------------- */

/*
 * The source ends first; the others when the mirror has all of it, or when it
 * has had its time.
 */
static void go_on_ending(struct up *up)
{
	bool drained = !supervisor_runs(up->sup, CAPTURE) && lag(up) == 0;

	if (up->ending || (!drained && now_ns() < up->drain_until_ns))
		return;
	up->ending = true;
	supervisor_end(up->sup);
}

static void on_tick(void *arg)
{
	struct up *up = arg;

	watch_look(&up->spool);
	watch_look(&up->mirror);
	loop_timer_in(up->tick, UINT64_C(1000000) * TICK_MS);
	if (up->drain_until_ns) {
		go_on_ending(up);
		return;
	}
	if (start_receiving(up, &up->err) < 0) {
		loop_stop(up->loop);
		return;
	}
	probe_feed(up);
	show_counters(up);
}

static void run(struct up *up)
{
	char bytes[TEXT_SIZE];

	loop_run(up->loop); /* until a signal, or a file that cannot be played */
	progress_end(&up->line);
	up->drain_until_ns = now_ns() + UINT64_C(1000000) * DRAIN_MS;
	supervisor_end_one(up->sup, CAPTURE);
	loop_timer_in(up->tick, 1000000);
	loop_run(up->loop); /* until all are gone */
	look_afresh(&up->mirror, up->state.mirror);
	log_info(PART, "ended: %llu packets, %s in %s",
		 (unsigned long long)up->mirror.packets,
		 text_of_size(bytes, up->mirror.now.bytes), up->state.mirror);
}

static int prepare(struct up *up, const struct opt_args *args, struct err *err)
{
	ssize_t n = readlink("/proc/self/exe", up->self, sizeof(up->self) - 1);

	if (n < 0)
		return err_sys(err, errno, "/proc/self/exe");
	up->self[n] = 0;
	if (check_speed(up, err) < 0 || choose_source(up, args, err) < 0 ||
	    check_listen(up, err) < 0 ||
	    up_state_open(&up->state, up->state_dir, err) < 0)
		return err->code;
	if (!up->state.link_port)
		return err_set(err, ERR_FAILED,
			       "no port of 127.0.0.1 is free for the link");
	if (watch_open(&up->spool, up->state.spool, err) < 0 ||
	    watch_open(&up->mirror, up->state.mirror, err) < 0)
		return err->code;
	watch_begin(&up->spool);
	watch_begin(&up->mirror);
	return 0;
}

static int start_all(struct up *up, struct err *err)
{
	struct supervisor_config cfg = SUPERVISOR_CONFIG_DEFAULT;

	cfg.on_line = on_line;
	cfg.on_done = on_done;
	cfg.on_gone = on_gone;
	cfg.arg = up;
	up->loop = loop_new(err);
	if (!up->loop)
		return err->code;
	up->sup = supervisor_new(up->loop, &cfg);
	up->tick = loop_timer(up->loop, on_tick, up);
	loop_timer_in(up->tick, UINT64_C(1000000) * TICK_MS);
	progress_begin(&up->line);
	if (start_capture(up, err) < 0)
		return err->code;
	return start_receiving(up, err);
}

static void up_release(struct up *up)
{
	loop_timer_free(up->tick);
	supervisor_free(up->sup);
	loop_free(up->loop);
	if (up->probe >= 0)
		sys_host()->hang_up(sys_host(), up->probe);
	spool_reader_close(up->spool.reader);
	spool_reader_close(up->mirror.reader);
	up_state_close(&up->state);
	free(up->feed);
	free(up->page_at);
	free(up->sample);
}

int cmd_up(int argc, char **argv)
{
	struct up up = { .listen = "127.0.0.1:4242",
			 .speed = "1",
			 .analyze = true,
			 .keep_max = UINT64_C(48) << 30,
			 .page = PAGE,
			 .store_max = UINT64_C(4) << 30,
			 .logs = CMD_LOGS_DEFAULT,
			 .state = { .lock = -1 },
			 .probe = -1 };
	const struct opt opts[] = {
		OPT_TEXT('l', "listen", &up.listen, "ADDR:PORT",
			 "where readers connect"),
		OPT_TEXT('d', "state-dir", &up.state_dir, "DIR",
			 "keys, spool and mirror; else the user's state folder"),
		OPT_TEXT('s', "speed", &up.speed, "FACTOR",
			 "play a file so many times as fast"),
		OPT_FLAG('t', "top-speed", &up.top_speed,
			 "play a file as fast as it goes"),
		OPT_TEXT('p', "page", &up.page, "ADDR:PORT",
			 "where the page is; another port of loopback where "
			 "its own is taken; \"\" is nowhere"),
		OPT_LIST('e', "regex", &up.regexes, "REGEX",
			 "mark what this finds, as flags do; may be repeated"),
		OPT_FLAG(0, "analyze", &up.analyze,
			 "make streams of the packets, for weir streams and "
			 "weir show; --no-analyze leaves that out"),
		OPT_SIZE(0, "retention-bytes", &up.keep_max, 1 << 20,
			 UINT64_MAX,
			 "what spool and mirror may take, each; the oldest "
			 "goes first"),
		OPT_SIZE(0, "store-max-bytes", &up.store_max,
			 UINT64_C(16) << 20, UINT64_C(1) << 50,
			 "all of the store; the oldest streams make room"),
		CMD_LOGS_OPTIONS(&up.logs),
		OPT_END()
	};
	const struct opt_command cmd = {
		.name = "up",
		.synopsis = "[OPTIONS] [FILE.pcap|INTERFACE]",
		.about = "Run everything on this machine: packets of an "
			 "interface, a capture file or,\nwithout a word, of a "
			 "sample capture are spooled, carried over an "
			 "encrypted link\nto a mirror, and served to any reader "
			 "of PCAP-over-IP.  What was said becomes\nstreams, "
			 "which weir streams lists and the page shows while "
			 "they grow.\nKeys are made on first start.  A file is "
			 "played once, at the speed of its\ntimes, and stays "
			 "readable until Ctrl-C.",
		.examples = "  weir up\n  weir up eth0\n"
			    "  weir up --top-speed night.pcap\n"
			    "  tshark -i TCP@127.0.0.1:4242\n",
		.opts = opts,
		.args_max = 1,
	};
	struct opt_args args;
	int status;

	if (!cmd_begin(&cmd, argc, argv, &args, &status) ||
	    !cmd_logs_begin(&cmd, &up.logs, &status))
		return status;
	if (prepare(&up, &args, &up.err) == 0 && start_all(&up, &up.err) == 0)
		run(&up);
	up_release(&up);
	opt_list_release(&up.regexes);
	status = cmd_exit(cmd.name, &up.err);
	return status ? status : up.failed;
}
