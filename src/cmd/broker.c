/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir broker - one capture, handed to many readers as PCAP-over-IP.
 *
 * A command's output, standard input, an interface or another feed goes into
 * a spool, in memory unless told otherwise, and feeds serve from there.  The
 * main thread has the loop: feeds, the command's end and what it says.  The
 * intake's thread reads the source and fills the spool; what it owns here
 * (struct store) nobody else touches until it is stopped.
 */
#include "cmd/cmd.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/words.h"
#include "cmd/common.h"
#include "cmd/feed_numbers.h"
#include "engine/capture/capture.h"
#include "engine/feed/feed.h"
#include "engine/intake/intake.h"
#include "engine/metrics/metrics.h"
#include "engine/spool/writer.h"
#include "sys/child.h"
#include "sys/loop.h"
#include "sys/sys.h"

enum {
	GRACE_MS = 300,	    /* for the command, before SIGKILL */
	TALK_MAX = 900,	    /* of a line of the command's standard error */
	STAGING = 64 << 20, /* what a stall of the spool may take */
	WAIT_MS = 2,
	WAITS_MAX = 5000, /* ten seconds */
	FEEDS_MAX = 16,
	MEMORY_SEGMENTS = 32 /* so much goes at once when memory is full */
};

#define SETTLE_NS UINT64_C(1000000000)

#define CAPTURE_TICK_NS UINT64_C(200000000)

struct options {
	const char *command, *iface, *from, *read_spool, *spool_dir;
	const char *metrics_addr;
	struct opt_list listen;
	uint64_t memory;
	bool numeric;
	struct cmd_logs logs;
};

/* The spool being written; the intake's. */
struct store {
	struct sys *sys;
	const char *dir;
	uint64_t memory; /* 0: on disk */
	struct spool_writer *writer;
	uint32_t linktype;
	atomic_bool hurry; /* set by the main thread: wait for nothing */
	/* What came, for the main thread to show. */
	atomic_uint_fast64_t packets, bytes;
};

struct broker {
	const struct options *opt;
	struct loop *loop;
	struct sys *memory; /* owned; NULL: on disk */
	char *dir;
	struct store store;
	struct feed_config *listeners; /* opt->listen, read; owned */
	struct feed *feeds[FEEDS_MAX];
	int n_feeds, n_ended;

	struct words words;
	struct child child;
	struct loop_watch *child_end, *child_talk;
	struct buf talk; /* a line that is not whole yet */

	struct capture *capture;
	struct loop_timer *capture_tick;
	char *links; /* who is connected: not to be captured */

	struct metrics *metrics;
	struct metrics_server *metrics_server;

	struct intake *intake;
	struct loop_wake *intake_end;
	struct loop_timer *settle;
	bool stream_over, command_over, ending;
	struct err stream_err;
};

/* -- the spool ------------------------------------------------------------- */

static struct spool_config spool_config(const struct store *s,
					uint32_t linktype, uint32_t snaplen)
{
	struct spool_config cfg = SPOOL_CONFIG_DEFAULT;

	cfg.source_dir = s->dir;
	strcpy(cfg.want.name, "broker");
	cfg.want.linktype = linktype;
	cfg.want.snaplen =
		snaplen && snaplen < PACKET_MAX ? snaplen : PACKET_SNAPLEN;
	if (s->memory) {
		cfg.segment_max = s->memory / MEMORY_SEGMENTS;
		/* What clients still hold when it is removed needs room too. */
		cfg.keep_max = s->memory / 4 * 3;
		cfg.keeps_little = true;
		cfg.reserve = false;
	}
	return cfg;
}

/* Nothing is lost in silence, though nothing should be lost here. */
static void tell_losses(const struct spool_writer_status *w)
{
	uint64_t lost = w->dropped_staging + w->dropped_disk;

	if (lost)
		log_warn("broker", "%llu packets found no room and are lost",
			 (unsigned long long)lost);
}

static void store_close(struct store *s)
{
	struct spool_writer_status last;
	struct err err = ERR_NONE;

	if (!s->writer)
		return;
	spool_writer_status(s->writer, &last);
	tell_losses(&last);
	if (spool_writer_stop(s->writer, &err) < 0)
		log_error("broker", "%s", err.text);
	s->writer = NULL;
}

/* A link type, at first or anew: what came before is made durable and ends. */
static int store_begin(void *self, uint32_t linktype, uint32_t snaplen,
		       struct err *err)
{
	struct store *s = self;
	struct spool_config cfg = spool_config(s, linktype, snaplen);
	struct spool_writer_config how = SPOOL_WRITER_CONFIG_DEFAULT;
	struct spool *spool;

	if (s->writer && s->linktype == linktype)
		return 0;
	if (s->writer)
		log_info("broker", "the link type changes from %u to %u",
			 s->linktype, linktype);
	store_close(s);
	how.staging_max = STAGING;
	log_debug("broker", "the source has link type %u, snaplen %u", linktype,
		  snaplen);
	spool = spool_open(s->sys, &cfg, err);
	if (spool)
		s->writer = spool_writer_start(spool, &how, err);
	s->linktype = linktype;
	return s->writer ? 0 : err->code;
}

/*
 * Has the spool taken what is staged, and made room for what it took?  What is
 * staged goes into memory whether there is room or not, so it counts as well.
 */
static bool has_room(const struct store *s, uint64_t bytes)
{
	uint64_t share = s->memory / 16, most;
	struct spool_writer_status now;

	spool_writer_status(s->writer, &now);
	if (s->memory && now.spool.bytes > s->memory / 4 * 3 + share)
		return false;
	most = now.staging_max / 2;
	if (s->memory && share < most)
		most = share;
	return now.staged_bytes == 0 || now.staged_bytes + bytes <= most;
}

/* A pipe can wait, so nothing is dropped for want of room; but not for ever:
 * the writer knows best what to do with a disk that refuses. */
static void wait_for_room(struct store *s, uint64_t bytes)
{
	struct pollfd moved = { .fd = spool_writer_fd(s->writer),
				.events = POLLIN };
	uint64_t n;
	ssize_t done;

	for (int i = 0; i < WAITS_MAX && !has_room(s, bytes); i++) {
		if (atomic_load(&s->hurry))
			return;
		poll(&moved, 1, WAIT_MS);
		done = read(moved.fd, &n, sizeof(n));
		(void)done; /* it only clears the descriptor */
	}
}

static int store_give(void *self, const struct packet *p, int n,
		      struct err *err)
{
	struct store *s = self;
	uint64_t bytes = 0;

	(void)err;
	for (int i = 0; i < n; i++)
		bytes += RECORD_HEADER + p[i].data.len;
	wait_for_room(s, bytes);
	spool_writer_put(s->writer, p, n);
	atomic_fetch_add_explicit(&s->packets, (uint64_t)n,
				  memory_order_relaxed);
	atomic_fetch_add_explicit(&s->bytes, bytes, memory_order_relaxed);
	return 0;
}

/* -- the command ----------------------------------------------------------- */

static void say_line(struct buf *line)
{
	while (line->len &&
	       (line->p[line->len - 1] == '\r' || line->p[line->len - 1] == 0))
		line->len--;
	if (line->len)
		log_info("command", "%.*s", (int)line->len,
			 (const char *)line->p);
	buf_clear(line);
}

/* What the command says on its standard error, a line a log line. */
static void on_talk(void *arg, int fd, int what)
{
	struct broker *b = arg;
	char piece[4096];
	ssize_t n = read(fd, piece, sizeof(piece));

	(void)what;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		say_line(&b->talk);
		loop_watch_free(b->child_talk);
		b->child_talk = NULL;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (piece[i] != '\n')
			put_u8(&b->talk, (uint8_t)piece[i]);
		if (piece[i] == '\n' || b->talk.len == TALK_MAX)
			say_line(&b->talk);
	}
}

/* Its last words, which may tell why it ended. */
static void hear_out(struct broker *b)
{
	struct pollfd p = { .fd = b->child.talk, .events = POLLIN };

	while (b->child_talk && poll(&p, 1, 0) > 0)
		on_talk(b, b->child.talk, LOOP_READ);
	say_line(&b->talk);
}

/* -- an interface ---------------------------------------------------------- */

/* Our own feeds must not be captured, or they would feed themselves. */
static void on_links(void *arg)
{
	struct broker *b = arg;
	struct sys *sys = b->store.sys;
	struct buf text = { 0 };
	struct err err = ERR_NONE;
	int rc;

	if (!b->capture)
		return;
	for (int i = 0; i < b->n_feeds; i++)
		feed_links(b->feeds[i], &text);
	rc = sys_replace_file(sys, b->links, text.p, text.len);
	if (rc < 0) {
		err_sys(&err, -rc, "%s", b->links);
		log_error("broker",
			  "what readers get may be captured again: %s",
			  err.text);
	}
	buf_release(&text);
	capture_tick(b->capture);
}

static void on_capture_tick(void *arg)
{
	struct broker *b = arg;

	capture_tick(b->capture);
	loop_timer_in(b->capture_tick, CAPTURE_TICK_NS);
}

static int start_capture(struct broker *b, struct err *err)
{
	struct capture_config cfg = {
		.ring = { .iface = b->opt->iface,
			  .bytes = 64 << 20,
			  .snaplen = PACKET_SNAPLEN,
			  .queues = 1,
			  .promiscuous = true },
		.spool = spool_config(&b->store, 0, 0),
		.writer = SPOOL_WRITER_CONFIG_DEFAULT,
	};

	cfg.writer.staging_max = STAGING;
	cfg.links = b->links = mem_format("%s.links", b->dir);
	b->capture = capture_start(b->store.sys, &cfg, err);
	if (!b->capture)
		return err->code;
	for (int i = 0; i < b->n_feeds; i++)
		feed_on_links(b->feeds[i], on_links, b);
	on_links(b);
	b->capture_tick = loop_timer(b->loop, on_capture_tick, b);
	on_capture_tick(b);
	return 0;
}

/* -- the end --------------------------------------------------------------- */

static void on_feed_done(void *arg)
{
	struct broker *b = arg;

	if (++b->n_ended == b->n_feeds)
		loop_stop(b->loop);
}

static void end_feeds(struct broker *b, enum feed_end how)
{
	b->ending = true;
	b->n_ended = 0;
	for (int i = 0; i < b->n_feeds; i++)
		feed_end(b->feeds[i], how, on_feed_done, b);
}

/* The source is over when its stream is, and the command too if there is one:
 * all that came is durable then, and the clients get it. */
static void end_if_over(struct broker *b)
{
	if (!b->stream_over || !b->command_over || b->ending)
		return;
	end_feeds(b, FEED_END_HEAD);
}

static void on_stream_over(void *arg)
{
	struct broker *b = arg;

	if (b->stream_over)
		return;
	b->stream_over = true;
	intake_stop(b->intake, &b->stream_err);
	b->intake = NULL;
	store_close(&b->store);
	if (!b->command_over)
		loop_timer_in(b->settle, SETTLE_NS);
	end_if_over(b);
}

static void on_command_over(void *arg, int fd, int what)
{
	struct broker *b = arg;

	(void)fd;
	(void)what;
	if (!child_reap(&b->child))
		return;
	loop_watch_free(b->child_end);
	b->child_end = NULL;
	b->command_over = true;
	hear_out(b);
	if (!b->stream_over)
		loop_timer_in(b->settle, SETTLE_NS);
	end_if_over(b);
}

/*
 * One of the two is over for a second, the other is not: the command closed
 * its output and lives on, or something that it started holds the output open.
 */
static void on_settle(void *arg)
{
	struct broker *b = arg;

	if (!b->command_over)
		child_stop(&b->child, GRACE_MS);
	b->command_over = true;
	if (!b->stream_over)
		on_stream_over(b);
	end_if_over(b);
}

/* Called on the intake's thread. */
static void on_intake_ended(void *arg)
{
	loop_wake(arg);
}

/* -- the beginning --------------------------------------------------------- */

static int read_command(struct broker *b, struct err *err)
{
	if (words_split(&b->words, b->opt->command, err) < 0)
		return err->code;
	if (b->words.n == 0)
		return err_set(err, ERR_USAGE,
			       "the command is blank; write for example --cmd "
			       "\"tcpdump -i eth0 -n -U -w -\"");
	return 0;
}

/* "TCP@host:port", as Wireshark writes it, or without the "TCP@". */
static const char *from_address(const struct options *opt)
{
	bool marked = opt->from && strncmp(opt->from, "TCP@", 4) == 0;

	return marked ? opt->from + 4 : opt->from;
}

static int read_listeners(struct broker *b, struct err *err)
{
	const struct opt_list *list = &b->opt->listen;

	if (list->n > FEEDS_MAX)
		return err_set(err, ERR_USAGE,
			       "--listen was given %d times; at most %d "
			       "listeners are possible",
			       list->n, FEEDS_MAX);
	b->listeners = mem_array((size_t)list->n, sizeof(*b->listeners));
	for (int i = 0; i < list->n; i++) {
		struct feed_config *cfg = &b->listeners[i];

		*cfg = FEED_CONFIG_DEFAULT;
		cfg->names = !b->opt->numeric;
		if (b->opt->iface)
			cfg->clients_max =
				EXCLUDE_LINKS_MAX / (unsigned)list->n;
		if (feed_config_parse(cfg, list->at[i], err) < 0 ||
		    feed_config_check(cfg, err) < 0)
			return err->code;
	}
	return 0;
}

/* All that can be wrong with what was asked for, before anything is opened. */
static int read_options(struct broker *b, struct err *err)
{
	if (read_listeners(b, err) < 0)
		return err->code;
	if (b->opt->command)
		return read_command(b, err);
	if (b->opt->from)
		return cmd_address_check("--from", from_address(b->opt), err);
	return 0;
}

static int start_command(struct broker *b, struct err *err)
{
	if (child_start(&b->child, b->words.at, err) < 0)
		return err->code;
	log_debug("broker", "process %d runs %s, %zu words in all",
		  (int)b->child.pid, b->words.at[0], b->words.n);
	b->child_end = loop_watch(b->loop, b->child.end, LOOP_READ,
				  on_command_over, b);
	b->child_talk =
		loop_watch(b->loop, b->child.talk, LOOP_READ, on_talk, b);
	b->command_over = false;
	return 0;
}

static int start_intake(struct broker *b, struct err *err)
{
	const struct options *opt = b->opt;
	struct intake_config cfg = {
		.sys = sys_host(),
		.name = opt->from      ? from_address(opt)
			: opt->command ? "the command's output"
				       : "standard input",
		.fd = opt->command ? b->child.out : STDIN_FILENO,
		.address = from_address(opt),
		.sink = { store_begin, store_give, &b->store },
		.ended = on_intake_ended,
	};

	b->intake_end = loop_wake_new(b->loop, on_stream_over, b);
	if (!b->intake_end)
		return err_set(err, ERR_FAILED, "no descriptor is left");
	cfg.arg = b->intake_end;
	b->intake = intake_start(&cfg, err);
	return err->code;
}

static int start_feeds(struct broker *b, struct err *err)
{
	struct sys *sys = b->memory ? b->memory : sys_host();

	for (int i = 0; i < b->opt->listen.n; i++) {
		struct feed *f =
			feed_new(b->loop, sys, b->dir, &b->listeners[i], err);

		if (!f)
			return err->code;
		b->feeds[b->n_feeds++] = f;
		log_info("broker",
			 "readers may connect to %s; try: tshark -i "
			 "TCP@%s",
			 feed_address(f), feed_address(f));
	}
	return 0;
}

static double captured(void *arg)
{
	const struct broker *b = arg;
	struct capture_status st;

	capture_status(b->capture, &st);
	return (double)st.captured;
}

static double lost(void *arg)
{
	const struct broker *b = arg;
	struct capture_status st;

	capture_status(b->capture, &st);
	return (double)(st.dropped_kernel + st.dropped_interface +
			st.writer.dropped_staging + st.writer.dropped_disk);
}

/* What the source gave, unless somebody else writes the spool. */
static void add_source_numbers(struct broker *b)
{
	const struct metric packets = { METRIC_COUNTER,
					"weir_broker_packets_total",
					"Packets that the source gave.", NULL };
	const struct metric bytes = { METRIC_COUNTER, "weir_broker_bytes_total",
				      "Bytes of their records.", NULL };
	const struct metric missed = { METRIC_COUNTER,
				       "weir_broker_lost_packets_total",
				       "Packets that found no room.", NULL };

	if (b->capture) {
		metrics_add(b->metrics, &packets, captured, b);
		metrics_add(b->metrics, &missed, lost, b);
	} else if (!b->opt->read_spool) {
		metrics_add_count(b->metrics, &packets, &b->store.packets);
		metrics_add_count(b->metrics, &bytes, &b->store.bytes);
	}
}

static int serve_metrics(struct broker *b, struct err *err)
{
	const char *address = b->opt->metrics_addr;

	if (!address || !*address)
		return 0;
	b->metrics = metrics_new();
	for (int i = 0; i < b->n_feeds; i++)
		cmd_feed_numbers(b->metrics, b->feeds[i]);
	add_source_numbers(b);
	b->metrics_server = metrics_serve(b->loop, b->metrics, address, err);
	return b->metrics_server ? 0 : err->code;
}

/* Which of the sources is asked for?  More than one is a mistake, but a
 * command from the environment steps back for anything on the command line. */
static int choose_source(struct options *opt, const struct opt_args *args,
			 struct err *err)
{
	bool dash = args->n > 0;
	int n = (opt->iface != NULL) + (opt->from != NULL) +
		(opt->read_spool != NULL) + dash;

	if (dash && strcmp(args->at[0], "-") != 0)
		return err_set(err, ERR_USAGE,
			       "\"%s\" is no source; \"-\" is standard input, "
			       "and a command goes behind --cmd",
			       args->at[0]);
	if (n > 0 && opt->command == getenv("PCAP_COMMAND"))
		opt->command = NULL;
	n += opt->command != NULL;
	if (n > 1)
		return err_set(err, ERR_USAGE,
			       "one source at a time: --cmd, --iface, --from, "
			       "--read-spool or -");
	if (n == 0 && isatty(STDIN_FILENO))
		return err_set(err, ERR_USAGE,
			       "there is no source: give --cmd, --iface, "
			       "--from, --read-spool, or a capture on standard "
			       "input");
	return 0;
}

static int start_source(struct broker *b, struct err *err)
{
	if (b->opt->read_spool)
		return 0;
	if (b->opt->iface)
		return start_capture(b, err);
	if (b->opt->command && start_command(b, err) < 0)
		return err->code;
	return start_intake(b, err);
}

static void place_spool(struct broker *b)
{
	const struct options *opt = b->opt;

	if (opt->read_spool) {
		b->dir = mem_text(opt->read_spool);
	} else if (opt->spool_dir) {
		b->dir = mem_format("%s/broker", opt->spool_dir);
	} else {
		b->memory = sys_memory_new(opt->memory);
		b->dir = mem_text("/broker");
	}
	b->store.sys = b->memory ? b->memory : sys_host();
	b->store.dir = b->dir;
	b->store.memory = b->memory ? opt->memory : 0;
}

/* A signal: the present record of each client still becomes whole. */
static void end_now(struct broker *b)
{
	if (b->ending)
		return;
	end_feeds(b, FEED_END_RECORD);
	if (b->n_feeds)
		loop_run(b->loop);
}

static void release(struct broker *b)
{
	struct capture_status last;
	struct err ignored = ERR_NONE;

	for (int i = 0; i < b->n_feeds; i++)
		feed_on_links(b->feeds[i], NULL, NULL);
	if (b->capture) {
		if (capture_stop(b->capture, &last, &ignored) < 0)
			log_error("broker", "%s", ignored.text);
		tell_losses(&last.writer);
		if (last.dropped_kernel)
			log_warn("broker",
				 "%llu packets found no room in the kernel and "
				 "are lost",
				 (unsigned long long)last.dropped_kernel);
	}
	metrics_server_free(b->metrics_server);
	metrics_free(b->metrics);
	loop_timer_free(b->capture_tick);
	free(b->links);
	loop_watch_free(b->child_end);
	loop_watch_free(b->child_talk);
	child_stop(&b->child, GRACE_MS);
	atomic_store(&b->store.hurry, true);
	intake_stop(b->intake, &ignored);
	store_close(&b->store);
	for (int i = 0; i < b->n_feeds; i++)
		feed_free(b->feeds[i]);
	child_release(&b->child);
	loop_wake_free(b->intake_end);
	loop_timer_free(b->settle);
	loop_free(b->loop);
	sys_memory_free(b->memory);
	words_release(&b->words);
	buf_release(&b->talk);
	free(b->listeners);
	free(b->dir);
}

static void run(const struct options *opt, struct err *err)
{
	struct broker b = { .opt = opt,
			    .child = CHILD_NONE,
			    .command_over = true,
			    .stream_err = ERR_NONE };

	place_spool(&b);
	if (read_options(&b, err) == 0)
		b.loop = loop_new(err);
	if (b.loop) {
		b.settle = loop_timer(b.loop, on_settle, &b);
		if (start_feeds(&b, err) == 0 && start_source(&b, err) == 0 &&
		    serve_metrics(&b, err) == 0 && loop_run(b.loop) > 0)
			end_now(&b);
		else if (err->code == 0 && opt->command)
			child_verdict(&b.child, opt->command, err);
	}
	if (err->code == 0)
		*err = b.stream_err;
	release(&b);
}

static const char about[] =
	"Read packets from one source and hand them to any number of\n"
	"readers as PCAP-over-IP. The source is one of: a command that\n"
	"writes a capture to its standard output (--cmd; it is not run by a\n"
	"shell), a capture on standard input, an interface (--iface), another\n"
	"feed (--from), or a spool that somebody else writes (--read-spool).\n"
	"pcap and pcapng are both understood.\n"
	"\n"
	"A reader begins with the next packet, in microseconds, with records\n"
	"of at most 65535 bytes, unless its listener says otherwise: options\n"
	"follow the address behind commas, and --listen may be repeated.\n"
	"\n"
	"  from=live|oldest|client|NUMBER|time:2026-03-01T10:00:00Z|ago:10m\n"
	"  unit=us|ns  max-caplen=BYTES  filter=EXPRESSION  clients=N\n"
	"  on-gap=close|continue  on-slow=lag|drop  slow-after=TIME\n"
	"  cache=BYTES\n"
	"\n"
	"The broker ends when its source does, after all readers got\n"
	"everything. That a command failed is told, and kept as a failure.";

static const char examples[] =
	"  weir broker --cmd \"tcpdump -i eth0 -n --immediate-mode -U -w -\"\n"
	"  weir broker --read-spool spool/src1 --listen localhost:4242 \\\n"
	"      --listen localhost:4243,from=oldest,unit=ns\n"
	"  tshark -i TCP@127.0.0.1:4242\n"
	"  nc localhost 4242 | tcpdump -nr -\n";

static struct opt_list one_text(const char *text)
{
	struct opt_list list = { .at = mem_alloc(sizeof(*list.at)), .n = 1 };

	list.at[0] = text;
	return list;
}

int cmd_broker(int argc, char **argv)
{
	struct options opt = { .listen = one_text("localhost:4242"),
			       .memory = 256 << 20,
			       .logs = CMD_LOGS_DEFAULT };
	const struct opt opts[] = {
		{ .kind = OPT_KIND_TEXT,
		  .name = "cmd",
		  .to = &opt.command,
		  .arg = "COMMAND",
		  .help = "run it and read its output",
		  .env = "PCAP_COMMAND" },
		OPT_TEXT('i', "iface", &opt.iface, "NAME",
			 "capture from this interface; \"any\" is all of them"),
		OPT_TEXT(0, "from", &opt.from, "TCP@HOST:PORT",
			 "read another feed, and connect again when it ends"),
		OPT_TEXT(0, "read-spool", &opt.read_spool, "DIR",
			 "serve a spool that is there; nothing is written"),
		{ .kind = OPT_KIND_LIST,
		  .letter = 'l',
		  .name = "listen",
		  .to = &opt.listen,
		  .arg = "HOST:PORT[,KEY=VALUE]",
		  .help = "where readers connect, and what they get",
		  .env = "LISTEN_ADDRESS" },
		OPT_SIZE(0, "memory", &opt.memory, 64 << 20, UINT64_C(1) << 40,
			 "how much is kept in memory"),
		OPT_TEXT(0, "spool-dir", &opt.spool_dir, "DIR",
			 "keep packets there, not in memory"),
		OPT_FLAG('n', "numeric", &opt.numeric,
			 "do not look up the names of readers"),
		OPT_TEXT('m', "metrics-addr", &opt.metrics_addr, "ADDR:PORT",
			 "serve numbers for Prometheus there; a port alone is "
			 "on loopback"),
		CMD_LOGS_OPTIONS(&opt.logs),
		OPT_END()
	};
	const struct opt_command cmd = { .name = "broker",
					 .synopsis = "[OPTIONS] [-]",
					 .about = about,
					 .examples = examples,
					 .opts = opts,
					 .args_max = 1 };
	struct opt_args args;
	struct err err = ERR_NONE;
	int status;

	if (cmd_begin(&cmd, argc, argv, &args, &status) &&
	    cmd_logs_begin(&cmd, &opt.logs, &status)) {
		if (choose_source(&opt, &args, &err) == 0)
			run(&opt, &err);
		status = cmd_exit(cmd.name, &err);
	}
	opt_list_release(&opt.listen);
	return status;
}
