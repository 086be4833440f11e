/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir agent listen - give what capture has spooled to the collectors that
 * hold a listed key.
 *
 * It reads the spools and shares nothing with the capture process but files:
 * whatever happens here, capture goes on.
 */
#include "cmd/cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/text.h"
#include "cmd/common.h"
#include "cmd/keys.h"
#include "codec/capture_stats.h"
#include "codec/keyfile.h"
#include "engine/link/memory.h"
#include "engine/link/server.h"
#include "engine/metrics/metrics.h"
#include "sys/loop.h"
#include "sys/sock.h"
#include "sys/sys.h"

enum {
	PATIENCE_MS = 20000, /* as long as a collector may be silent */
	COLLECTORS_MAX = 64,
	LINE_SIZE = 160
};

struct listen {
	/* what was asked for */
	const char *spool_dir, *listen, *key_file, *keylog_file, *metrics_addr;
	struct opt_list ids, names, peers;
	bool compress, any_key_mode, only_ipcap;

	struct noise_keypair key;
	uint8_t collectors[COLLECTORS_MAX][NOISE_KEY];
	struct link_source sources[LINK_SOURCES_MAX];
	char *dirs[LINK_SOURCES_MAX]; /* owned */
	int n_sources;
	struct link_agent_counts counts;
	struct loop *loop;
	struct link_server *server;
	struct link_watch *watch;
	struct loop_timer *timer;
	struct metrics *metrics;
	struct metrics_server *metrics_server;
};

/* -- what was asked for -------------------------------------------------- */

static int read_source(struct listen *l, int i, struct err *err)
{
	struct link_source *s = &l->sources[i];
	uint64_t id;

	if (text_to_uint(l->ids.at[i], &id) < 0 || id > UINT16_MAX)
		return err_set(err, ERR_USAGE, "--src-id is 0 to 65535, not %s",
			       l->ids.at[i]);
	s->id = (uint16_t)id;
	s->name = i < l->names.n ? l->names.at[i] : "";
	l->dirs[i] = mem_format("%s/src%u", l->spool_dir, s->id);
	s->dir = l->dirs[i];
	for (int k = 0; k < i; k++)
		if (l->sources[k].id == s->id)
			return err_set(err, ERR_USAGE,
				       "--src-id %u is given twice", s->id);
	l->n_sources = i + 1;
	return 0;
}

static int read_sources(struct listen *l, struct err *err)
{
	if (l->ids.n > LINK_SOURCES_MAX)
		return err_set(err, ERR_USAGE,
			       "%d sources, at most %d are "
			       "served by one agent",
			       l->ids.n, LINK_SOURCES_MAX);
	for (int i = 0; i < l->ids.n; i++)
		if (read_source(l, i, err) < 0)
			return err->code;
	return 0;
}

static int read_keys(struct listen *l, struct err *err)
{
	if (!l->peers.n)
		return err_set(err, ERR_USAGE,
			       "no --peer is given: name the "
			       "public key of each collector that may connect "
			       "(weir keygen prints it)");
	if (l->peers.n > COLLECTORS_MAX)
		return err_set(err, ERR_USAGE, "%d --peer, at most %d",
			       l->peers.n, COLLECTORS_MAX);
	for (int i = 0; i < l->peers.n; i++)
		if (key_parse(bytes_of_text(l->peers.at[i]), l->collectors[i]) <
		    0)
			return err_set(err, ERR_USAGE,
				       "--peer %.60s is not a "
				       "public key: %d characters, as keygen "
				       "prints them",
				       l->peers.at[i], KEYFILE_TEXT);
	return cmd_keys_load(l->key_file, l->any_key_mode, &l->key, err);
}

/* -- running ------------------------------------------------------------- */

static void run(void *arg)
{
	struct listen *l = arg;
	uint64_t now = sys_host()->mono_ns(sys_host());
	uint64_t at;

	link_server_run(l->server, now, &at);
	link_watch_begin(l->watch);
	link_server_watch(l->server, l->watch);
	link_watch_end(l->watch);
	loop_timer_in(l->timer, at > now ? at - now : 0);
}

static void tune(void *arg, int socket)
{
	(void)arg;
	sock_prepare_link(socket, PATIENCE_MS);
}

/* Capture leaves exactly these connections out. */
static void write_links(void *arg)
{
	struct listen *l = arg;
	struct err err = ERR_NONE;
	struct buf text = { 0 };
	char line[LINE_SIZE];

	for (int i = 0; link_server_link(l->server, i, line, sizeof(line)); i++)
		put_format(&text, "%s\n", line);
	put_u8(&text, '\0');
	if (memory_replace(sys_host(), l->spool_dir, "links",
			   (const char *)text.p, &err) < 0)
		log_warn("link",
			 "%s; capture may take the link's own packets "
			 "in",
			 err.text);
	buf_release(&text);
}

/* What the capture process has counted lies beside the source. */
static bool read_stats(void *arg, const struct link_source *source,
		       struct link_capture_stats *stats)
{
	struct sys *sys = sys_host();
	uint8_t bytes[CAPTURE_STATS_SIZE];
	struct capture_stats s;
	char *path = mem_format("%s.stats", source->dir);
	int file = sys->open(sys, path, SYS_READ), rc;

	(void)arg;
	free(path);
	if (file < 0)
		return false;
	rc = sys_read_full(sys, file, bytes, sizeof(bytes), 0);
	sys->close(sys, file);
	if (rc < 0 ||
	    capture_stats_parse(bytes_of(bytes, sizeof(bytes)), &s) < 0)
		return false;
	*stats = (struct link_capture_stats){
		.captured = s.captured,
		.dropped_kernel = s.dropped_kernel,
		.dropped_interface = s.dropped_interface,
	};
	return true;
}

static double live(void *arg)
{
	return link_server_live(((struct listen *)arg)->server);
}

static double half_open(void *arg)
{
	return link_server_half_open(((struct listen *)arg)->server);
}

static int serve_metrics(struct listen *l, struct err *err)
{
	const struct {
		const char *name, *help;
		const atomic_uint_fast64_t *count;
	} counts[] = {
		{ "weir_agent_connections_total", "Connections accepted.",
		  &l->counts.connections },
		{ "weir_agent_handshakes_failed_total",
		  "Connections that ended before a collector was proven.",
		  &l->counts.handshakes_failed },
		{ "weir_agent_sessions_total",
		  "Connections on which a collector was proven.",
		  &l->counts.sessions },
		{ "weir_agent_sent_packets_total",
		  "Packets given to collectors, doubles included.",
		  &l->counts.packets },
		{ "weir_agent_sent_bytes_total",
		  "Bytes of their records, before compression.",
		  &l->counts.bytes },
		{ "weir_agent_gaps_total", "Gaps told to collectors.",
		  &l->counts.gaps },
	};
	const struct metric is_live = { METRIC_GAUGE, "weir_agent_collectors",
					"Collectors connected.", NULL };
	const struct metric is_half = { METRIC_GAUGE, "weir_agent_half_open",
					"Connections not proven yet.", NULL };

	if (!l->metrics_addr || !*l->metrics_addr)
		return 0;
	l->metrics = metrics_new();
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		metrics_add_count(l->metrics,
				  &(struct metric){ METRIC_COUNTER,
						    counts[i].name,
						    counts[i].help, NULL },
				  counts[i].count);
	metrics_add(l->metrics, &is_live, live, l);
	metrics_add(l->metrics, &is_half, half_open, l);
	l->metrics_server =
		metrics_serve(l->loop, l->metrics, l->metrics_addr, err);
	return l->metrics_server ? 0 : err->code;
}

static int start(struct listen *l, struct err *err)
{
	const struct link_server_config cfg = {
		.agent = {
			.sys = sys_host(),
			.key = &l->key,
			.collectors =
				(const uint8_t(*)[NOISE_KEY])l->collectors,
			.n_collectors = l->peers.n,
			.sources = l->sources,
			.n_sources = l->n_sources,
			.spool_dir = l->spool_dir,
			.compress = l->compress,
			.only_ipcap = l->only_ipcap,
			.counts = &l->counts,
		},
		.listen = l->listen,
		.tune = tune,
		.on_links = write_links,
		.stats = read_stats,
		.arg = l,
	};

	l->loop = loop_new(err);
	if (!l->loop)
		return err->code;
	l->server = link_server_new(&cfg, err);
	if (!l->server || serve_metrics(l, err) < 0)
		return err->code;
	l->watch = link_watch_new(l->loop, run, l);
	l->timer = loop_timer(l->loop, run, l);
	log_info("link", "listening at %s for %d collector%s",
		 link_server_bound(l->server), l->peers.n,
		 l->peers.n == 1 ? "" : "s");
	if (l->keylog_file && *l->keylog_file)
		log_warn("link",
			 "--keylog-file %s: this version relays no "
			 "TLS keys",
			 l->keylog_file);
	write_links(l);
	run(l);
	return 0;
}

static void end(struct listen *l)
{
	link_server_free(l->server);
	l->server = NULL;
	metrics_server_free(l->metrics_server);
	metrics_free(l->metrics);
	loop_timer_free(l->timer);
	link_watch_free(l->watch);
	loop_free(l->loop);
	for (int i = 0; i < LINK_SOURCES_MAX; i++)
		free(l->dirs[i]);
	mem_wipe(&l->key, sizeof(l->key));
	opt_list_release(&l->ids);
	opt_list_release(&l->names);
	opt_list_release(&l->peers);
}

static int forget_links(const struct listen *l)
{
	char *path = mem_format("%s/links", l->spool_dir);
	int rc = sys_host()->unlink(sys_host(), path);

	free(path);
	return rc;
}

int cmd_agent_listen(int argc, char **argv)
{
	struct listen l = {
		.spool_dir = "/var/lib/weir/spool",
		.listen = ":7878",
		.key_file = "/etc/weir/agent.key",
		.compress = true,
	};
	struct cmd_logs logs = CMD_LOGS_DEFAULT;
	const struct opt opts[] = {
		OPT_TEXT('d', "spool-dir", &l.spool_dir, "DIR",
			 "where capture spools"),
		OPT_LIST('i', "src-id", &l.ids, "N",
			 "a source to serve, DIR/srcN; repeat for several "
			 "(default 1)"),
		OPT_LIST('n', "src-name", &l.names, "NAME",
			 "its name for an ipcap collector, in the same order"),
		OPT_TEXT('l', "listen", &l.listen, "ADDR:PORT",
			 "where collectors connect; :PORT is every address"),
		OPT_TEXT('k', "key", &l.key_file, "FILE",
			 "this agent's secret key"),
		CMD_KEYS_ANY_MODE(&l.any_key_mode),
		OPT_LIST_ENV('p', "peer", &l.peers, "KEY",
			     "public key of a collector that may connect; "
			     "repeat for several",
			     "IPCAP_COLLECTOR_PUB"),
		OPT_FLAG('z', "compress", &l.compress,
			 "compress what shrinks by it, harder while the "
			 "network is what is short, not at all while the "
			 "processor is"),
		OPT_FLAG(0, "only-ipcap", &l.only_ipcap,
			 "speak ipcap's protocol to every collector"),
		OPT_TEXT_ENV(0, "keylog-file", &l.keylog_file, "PATH",
			     "taken for ipcap's sake; TLS keys are not "
			     "relayed",
			     "IPCAP_KEYLOG_DIR"),
		OPT_TEXT('m', "metrics-addr", &l.metrics_addr, "ADDR:PORT",
			 "serve numbers for Prometheus there; a port alone is "
			 "on loopback"),
		CMD_LOGS_OPTIONS(&logs),
		OPT_END()
	};
	const struct opt_command cmd = {
		.name = "agent listen",
		.synopsis = "--peer KEY [OPTIONS]",
		.about = "Serve spools to collectors over an encrypted link "
			 "that resumes.  A collector is\nany program that "
			 "holds a listed key and speaks Weir's protocol or "
			 "ipcap's.\nThe spools are only read; DIR/links names "
			 "the live connections, for capture to\nleave out.",
		.examples = "  weir agent listen --peer "
			    "4Fz…= --key agent.key -d spool\n",
		.opts = opts,
	};
	struct opt_args args;
	struct err err = ERR_NONE;
	int status;

	if (!cmd_begin(&cmd, argc, argv, &args, &status) ||
	    !cmd_logs_begin(&cmd, &logs, &status))
		return status;
	if (!l.ids.n) {
		l.ids.at = mem_array(1, sizeof(*l.ids.at));
		l.ids.at[l.ids.n++] = "1";
	}
	if (read_sources(&l, &err) == 0 && read_keys(&l, &err) == 0 &&
	    start(&l, &err) == 0) {
		loop_run(l.loop);
		forget_links(&l);
	}
	end(&l);
	return cmd_exit(cmd.name, &err);
}
