/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir collector - mirror an agent's spools, and keep doing so.
 *
 * One thread with one loop: the link, the numbers, the configuration.  Each
 * mirror has its spool's own threads besides.
 */
#include "cmd/cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/text.h"
#include "cmd/common.h"
#include "cmd/feed_numbers.h"
#include "cmd/keys.h"
#include "codec/keyfile.h"
#include "engine/config/peer.h"
#include "engine/feed/feed.h"
#include "engine/link/dialer.h"
#include "engine/link/keysink.h"
#include "engine/link/mirror.h"
#include "engine/link/network.h"
#include "engine/metrics/metrics.h"
#include "sys/loop.h"
#include "sys/sock.h"
#include "sys/sys.h"

enum {
	SOURCES_MAX = 32,
	/* All that a collector sends is small, and never stays unread long. */
	PATIENCE_MS = 3000
};

static const uint64_t config_every_ns = UINT64_C(1000000000);
static const uint64_t nudge_every_ns = UINT64_C(300000000);

struct source {
	struct collector *of;
	int number; /* in the tables of `of` */
	uint16_t id;
	char *name, *dir; /* owned */
};

struct collector {
	/* what was asked for */
	const char *config_dir, *mirror_dir, *listen, *metrics_addr;
	const char *sslkeylog_file, *key_file, *agent, *agent_key;
	struct opt_list ids, names;
	uint64_t noise_port, snaplen, ack_every;
	uint64_t retention, retention_age, rotate;
	bool any_key_mode, only_ipcap;

	uint8_t agent_public[NOISE_KEY]; /* agent_key, read */
	struct feed_config feed;	 /* listen, read */
	struct noise_keypair key;
	struct source sources[SOURCES_MAX];
	struct mirror *mirrors[SOURCES_MAX];
	struct feed *feeds[SOURCES_MAX];
	struct link_beat beats[SOURCES_MAX];
	int n_sources;
	struct link_collector_counts counts;
	struct keysink *keys;
	struct loop *loop;
	struct link_dialer *dialer;
	struct link_watch *watch;
	struct loop_timer *timer;
	uint64_t version, config_ns; /* of the configuration, as last read */
	bool waiting;		     /* for it; was said */
	int network;
	struct loop_watch *network_watch;
	uint64_t nudged_ns;
	struct metrics *metrics;
	struct metrics_server *metrics_server;
};

/* -- what was asked for -------------------------------------------------- */

/* "game.2" would be taken for the second spool of "game". */
static bool names_directory(const char *name)
{
	const char *dot = strrchr(name, '.');

	if (!*name || *name == '.' || strchr(name, '/'))
		return false;
	return !dot || dot[1 + strspn(dot + 1, "0123456789")];
}

static int read_source(struct collector *c, int i, struct err *err)
{
	struct source *s = &c->sources[i];
	uint64_t id;

	if (text_to_uint(c->ids.at[i], &id) < 0 || id > UINT16_MAX)
		return err_set(err, ERR_USAGE, "--src-id is 0 to 65535, not %s",
			       c->ids.at[i]);
	*s = (struct source){ .of = c, .number = i, .id = (uint16_t)id };
	c->n_sources = i + 1;
	if (i < c->names.n) {
		const char *name = c->names.at[i];

		if (!names_directory(name))
			return err_set(err, ERR_USAGE,
				       "--src-name %s cannot name a "
				       "directory of a mirror",
				       name);
		s->name = mem_text(name);
	} else {
		s->name = mem_format("src%u", s->id);
	}
	s->dir = mem_format("%s/%s", c->mirror_dir, s->name);
	for (int k = 0; k < i; k++)
		if (c->sources[k].id == s->id ||
		    strcmp(c->sources[k].name, s->name) == 0)
			return err_set(err, ERR_USAGE,
				       "source %u (%s) is "
				       "given twice",
				       s->id, s->name);
	return 0;
}

static int read_agent(struct collector *c, struct err *err)
{
	if (!c->agent != !c->agent_key)
		return err_set(err, ERR_USAGE,
			       "--agent and --agent-key go "
			       "together: an agent is known by its key");
	if (!c->agent)
		return 0;
	if (key_parse(bytes_of_text(c->agent_key), c->agent_public) < 0)
		return err_set(err, ERR_USAGE,
			       "--agent-key %.60s is not a "
			       "public key: %d characters, as keygen prints "
			       "them",
			       c->agent_key, KEYFILE_TEXT);
	return cmd_address_check("--agent", c->agent, err);
}

/* The port of the first feed; 0: none that others could follow. */
static uint64_t first_port(const struct collector *c)
{
	const char *colon = strrchr(c->feed.listen, ':');
	uint64_t port;

	return colon && text_to_uint(colon + 1, &port) == 0 ? port : 0;
}

static int read_listen(struct collector *c, struct err *err)
{
	if (!*c->listen)
		return 0;
	c->feed = FEED_CONFIG_DEFAULT;
	if (feed_config_parse(&c->feed, c->listen, err) < 0)
		return err->code;
	if (first_port(c) + (uint64_t)c->n_sources > 65536)
		return err_set(err, ERR_USAGE,
			       "--listen %s leaves no "
			       "port for source %d",
			       c->listen, c->n_sources);
	return feed_config_check(&c->feed, err);
}

static int read_sources(struct collector *c, struct err *err)
{
	if (c->ids.n > SOURCES_MAX)
		return err_set(err, ERR_USAGE,
			       "%d sources, at most %d are "
			       "collected by one collector",
			       c->ids.n, SOURCES_MAX);
	for (int i = 0; i < c->ids.n; i++)
		if (read_source(c, i, err) < 0)
			return err->code;
	return 0;
}

/* All that can be wrong with what was asked for, before anything is opened. */
static int read_options(struct collector *c, struct err *err)
{
	if (read_sources(c, err) < 0 || read_agent(c, err) < 0 ||
	    read_listen(c, err) < 0)
		return err->code;
	return cmd_keys_load(c->key_file, c->any_key_mode, &c->key, err);
}

static int open_mirrors(struct collector *c, struct err *err)
{
	int rc = sys_mkdir_all(sys_host(), c->mirror_dir);

	if (rc < 0)
		return err_sys(err, -rc, "cannot make %s", c->mirror_dir);
	for (int i = 0; i < c->n_sources; i++) {
		const struct source *s = &c->sources[i];
		struct mirror_config cfg = {
			.sys = sys_host(),
			.dir = s->dir,
			.source = s->id,
			.name = s->name,
			.spool = SPOOL_CONFIG_DEFAULT,
			.writer = SPOOL_WRITER_CONFIG_DEFAULT,
		};

		cfg.spool.keep_max = c->retention;
		cfg.spool.keep_age_ns = c->retention_age;
		cfg.spool.segment_max = c->rotate;
		cfg.writer.staging_max = UINT64_C(64) << 20;
		c->mirrors[i] = mirror_open(&cfg, err);
		if (!c->mirrors[i])
			return err->code;
	}
	return 0;
}

/*
 * A feed for each source: the first at the address asked for, the others on
 * the ports behind it.
 */
static int open_feed(struct collector *c, int i, struct err *err)
{
	struct feed_config cfg = c->feed;
	char *colon = strrchr(cfg.listen, ':');
	uint64_t port = first_port(c);

	if (i && port)
		snprintf(colon + 1,
			 sizeof(cfg.listen) - (size_t)(colon + 1 - cfg.listen),
			 "%u", (unsigned)port + (unsigned)i);
	c->feeds[i] =
		feed_new(c->loop, sys_host(), c->sources[i].dir, &cfg, err);
	if (!c->feeds[i])
		return err->code;
	log_info("feed", "%s is served at %s", c->sources[i].name,
		 feed_address(c->feeds[i]));
	return 0;
}

static int open_feeds(struct collector *c, struct err *err)
{
	for (int i = 0; *c->listen && i < c->n_sources; i++)
		if (open_feed(c, i, err) < 0)
			return err->code;
	return 0;
}

/* -- whom to dial -------------------------------------------------------- */

static void read_config(struct collector *c)
{
	struct err err = ERR_NONE;
	char address[PEER_ADDRESS_MAX];
	struct peer peer;
	int rc = peer_load(c->config_dir, &peer, &err);

	if (rc < 0) {
		if (rc != ERR_GONE || !c->waiting)
			log_warn("config", "%s; waiting for it", err.text);
		c->waiting = rc == ERR_GONE;
		return;
	}
	c->waiting = false;
	if (c->noise_port)
		peer.port = (uint16_t)c->noise_port;
	peer_address(address, &peer);
	log_info("config", "the agent is %s", address);
	link_dialer_target(c->dialer, address, peer.key);
}

/* Changed files are seen within a second. */
static void look_at_config(struct collector *c, uint64_t now)
{
	uint64_t version;

	if (c->agent || now - c->config_ns < config_every_ns)
		return;
	c->config_ns = now;
	version = peer_version(c->config_dir);
	if (version == c->version)
		return;
	c->version = version;
	read_config(c);
}

/* -- running ------------------------------------------------------------- */

static void run(void *arg)
{
	struct collector *c = arg;
	uint64_t now = sys_host()->mono_ns(sys_host());
	uint64_t at;

	look_at_config(c, now);
	link_dialer_run(c->dialer, now, &at);
	link_watch_begin(c->watch);
	link_dialer_watch(c->dialer, c->watch);
	link_watch_end(c->watch);
	if (!c->agent && c->config_ns + config_every_ns < at)
		at = c->config_ns + config_every_ns;
	loop_timer_in(c->timer, at > now ? at - now : 0);
}

static void on_network(void *arg, int fd, int what)
{
	struct collector *c = arg;
	uint64_t now = sys_host()->mono_ns(sys_host());

	(void)what;
	network_clear(fd);
	/* Changes come in flocks; a dial each would never get an answer. */
	if (now - c->nudged_ns < nudge_every_ns)
		return;
	c->nudged_ns = now;
	link_dialer_nudge(c->dialer);
	run(c);
}

static void on_keyline(void *arg, struct bytes line)
{
	struct collector *c = arg;

	if (c->keys && keysink_put(c->keys, line))
		atomic_fetch_add(&c->counts.keylines, 1);
}

static void tune(void *arg, int socket)
{
	(void)arg;
	sock_prepare_link(socket, PATIENCE_MS);
}

/* -- numbers ------------------------------------------------------------- */

static struct mirror_status mirror_of(const void *arg)
{
	const struct source *s = arg;
	struct mirror_status st;

	mirror_status(s->of->mirrors[s->number], &st);
	return st;
}

static const struct link_beat *beat_of(const void *arg)
{
	const struct source *s = arg;

	return &s->of->beats[s->number];
}

static double committed(void *arg)
{
	return (double)mirror_of(arg).durable;
}

static double lag(void *arg)
{
	uint64_t head = beat_of(arg)->head, durable = mirror_of(arg).durable;

	return head > durable ? (double)(head - durable) : 0;
}

static double committed_bytes(void *arg)
{
	return (double)mirror_of(arg).bytes;
}

static double gaps(void *arg)
{
	return (double)mirror_of(arg).gaps;
}

static double missing(void *arg)
{
	return (double)mirror_of(arg).missing;
}

static double doubles(void *arg)
{
	return (double)mirror_of(arg).doubles;
}

static double siblings(void *arg)
{
	return (double)mirror_of(arg).siblings;
}

static double mirror_bytes(void *arg)
{
	return (double)mirror_of(arg).spool_bytes;
}

static double degraded(void *arg)
{
	return mirror_of(arg).degraded;
}

static double reconnects(void *arg)
{
	struct link_dialer_status st;

	link_dialer_status(((struct source *)arg)->of->dialer, &st);
	return (double)st.reconnects;
}

static double connected(void *arg)
{
	struct link_dialer_status st;

	link_dialer_status(((struct source *)arg)->of->dialer, &st);
	return st.connected;
}

static double corrupt(void *arg)
{
	return (double)atomic_load(
		&((struct source *)arg)->of->counts.corrupt_frames);
}

static double captured(void *arg)
{
	return (double)beat_of(arg)->captured;
}

static double kernel_drops(void *arg)
{
	return (double)beat_of(arg)->dropped_kernel;
}

static double interface_drops(void *arg)
{
	return (double)beat_of(arg)->dropped_interface;
}

static double spool_bytes(void *arg)
{
	return (double)beat_of(arg)->bytes;
}

/* The first ten have ipcap's names. */
static const struct {
	enum metric_type type;
	const char *name, *help;
	double (*value)(void *arg);
} numbers[] = {
	{ METRIC_GAUGE, "ipcap_collector_committed_gpidx",
	  "First packet index that is not durable in the mirror.", committed },
	{ METRIC_GAUGE, "ipcap_collector_lag_gpidx",
	  "Packets durable at the agent and not in the mirror.", lag },
	{ METRIC_COUNTER, "ipcap_collector_committed_bytes_total",
	  "Bytes of records put into the mirror.", committed_bytes },
	{ METRIC_COUNTER, "ipcap_collector_gaps_total",
	  "Ranges of packets that will not come.", gaps },
	{ METRIC_COUNTER, "ipcap_collector_reconnects_total",
	  "Sessions after the first one.", reconnects },
	{ METRIC_COUNTER, "ipcap_collector_corrupt_frames_total",
	  "Frames that were not what they must be.", corrupt },
	{ METRIC_COUNTER, "ipcap_agent_captured_total",
	  "Packets captured, as the agent says.", captured },
	{ METRIC_COUNTER, "ipcap_agent_kernel_drops_total",
	  "Packets lost in the agent's kernel.", kernel_drops },
	{ METRIC_COUNTER, "ipcap_agent_ifdrops_total",
	  "Packets lost at the agent's interface.", interface_drops },
	{ METRIC_GAUGE, "ipcap_agent_spool_bytes",
	  "Bytes of the agent's spool.", spool_bytes },
	{ METRIC_GAUGE, "weir_collector_connected", "Whether the link is up.",
	  connected },
	{ METRIC_COUNTER, "weir_collector_missing_packets_total",
	  "Packets in the gaps.", missing },
	{ METRIC_COUNTER, "weir_collector_double_packets_total",
	  "Packets that came again and were dropped.", doubles },
	{ METRIC_COUNTER, "weir_collector_siblings_total",
	  "Spools begun beside the mirror's first.", siblings },
	{ METRIC_GAUGE, "weir_collector_mirror_bytes", "Bytes of the mirror.",
	  mirror_bytes },
	{ METRIC_GAUGE, "weir_collector_degraded",
	  "Whether the mirror's disk refuses.", degraded },
};

static int serve_metrics(struct collector *c, struct err *err)
{
	if (!c->metrics_addr || !*c->metrics_addr)
		return 0;
	c->metrics = metrics_new();
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		for (int k = 0; k < c->n_sources; k++) {
			const struct metric m = {
				.type = numbers[i].type,
				.name = numbers[i].name,
				.help = numbers[i].help,
				.labels = metrics_labels(c->metrics, "src",
							 c->sources[k].name,
							 NULL),
			};

			metrics_add(c->metrics, &m, numbers[i].value,
				    &c->sources[k]);
		}
	for (int k = 0; k < c->n_sources; k++)
		if (c->feeds[k])
			cmd_feed_numbers(c->metrics, c->feeds[k]);
	c->metrics_server =
		metrics_serve(c->loop, c->metrics, c->metrics_addr, err);
	return c->metrics_server ? 0 : err->code;
}

/* -- beginning and ending ------------------------------------------------ */

static void start_link(struct collector *c)
{
	const struct link_dialer_config cfg = {
		.collector = {
			.sys = sys_host(),
			.key = &c->key,
			.mirrors = c->mirrors,
			.beats = c->beats,
			.n_mirrors = c->n_sources,
			.ack_every = c->ack_every,
			.only_ipcap = c->only_ipcap,
			.on_keyline = on_keyline,
			.arg = c,
			.counts = &c->counts,
		},
		.tune = tune,
	};

	c->dialer = link_dialer_new(&cfg);
	c->watch = link_watch_new(c->loop, run, c);
	c->timer = loop_timer(c->loop, run, c);
	c->network = network_open();
	if (c->network >= 0)
		c->network_watch = loop_watch(c->loop, c->network, LOOP_READ,
					      on_network, c);
	if (c->agent)
		link_dialer_target(c->dialer, c->agent, c->agent_public);
}

static int start(struct collector *c, struct err *err)
{
	c->loop = loop_new(err);
	if (!c->loop || open_mirrors(c, err) < 0 || open_feeds(c, err) < 0)
		return err->code;
	if (c->sslkeylog_file && *c->sslkeylog_file) {
		c->keys = keysink_open(sys_host(), c->sslkeylog_file, err);
		if (!c->keys)
			return err->code;
	}
	if (serve_metrics(c, err) < 0)
		return err->code;
	start_link(c);
	run(c);
	return 0;
}

static void end(struct collector *c)
{
	link_dialer_free(c->dialer);
	c->dialer = NULL;
	metrics_server_free(c->metrics_server);
	metrics_free(c->metrics);
	loop_watch_free(c->network_watch);
	if (c->network >= 0)
		close(c->network);
	loop_timer_free(c->timer);
	link_watch_free(c->watch);
	for (int i = 0; i < c->n_sources; i++)
		feed_free(c->feeds[i]);
	loop_free(c->loop);
	for (int i = 0; i < c->n_sources; i++) {
		mirror_close(c->mirrors[i]);
		free(c->sources[i].name);
		free(c->sources[i].dir);
	}
	keysink_close(c->keys);
	mem_wipe(&c->key, sizeof(c->key));
	opt_list_release(&c->ids);
	opt_list_release(&c->names);
}

int cmd_collector(int argc, char **argv)
{
	struct collector c = {
		.config_dir = "/config",
		.mirror_dir = "/traffic",
		.listen = "127.0.0.1:4242",
		.key_file = "/etc/weir/collector.key",
		.snaplen = PACKET_SNAPLEN,
		.ack_every = 4096,
		.retention = UINT64_C(48) << 30,
		.rotate = UINT64_C(64) << 20,
		.network = -1,
	};
	struct cmd_logs logs = CMD_LOGS_DEFAULT;
	const struct opt opts[] = {
		OPT_TEXT('a', "agent", &c.agent, "HOST:PORT",
			 "the agent, instead of DIR/vulnbox.yml"),
		OPT_TEXT(0, "agent-key", &c.agent_key, "KEY", "its public key"),
		OPT_TEXT('c', "config-dir", &c.config_dir, "DIR",
			 "where vulnbox.yml is; changes are taken at once"),
		OPT_UINT(0, "noise-port", &c.noise_port, 0, 65535, "PORT",
			 "the agent's port, instead of the file's; 0: the "
			 "file's"),
		OPT_TEXT('d', "mirror-dir", &c.mirror_dir, "DIR",
			 "where the mirrors are, DIR/srcN each"),
		OPT_LIST('i', "src-id", &c.ids, "N",
			 "the agent's number of a source to mirror; repeat "
			 "for several (default 1)"),
		OPT_LIST('n', "src-name", &c.names, "NAME",
			 "its name here, in the same order: DIR/NAME"),
		OPT_TEXT('k', "key", &c.key_file, "FILE",
			 "this collector's secret key"),
		CMD_KEYS_ANY_MODE(&c.any_key_mode),
		OPT_TEXT('l', "listen", &c.listen, "ADDR:PORT[,KEY=VALUE]...",
			 "serve the first mirror as PCAP-over-IP there, the "
			 "next one a port higher, and so on; empty: nowhere"),
		OPT_SIZE(0, "mirror-retention-bytes", &c.retention, 1024,
			 UINT64_MAX,
			 "what a mirror may take; its oldest goes "
			 "first"),
		OPT_DURATION(0, "mirror-retention-age", &c.retention_age, 0,
			     UINT64_MAX,
			     "how old a packet may get; 0: any "
			     "age"),
		OPT_SIZE(0, "mirror-rotate-bytes", &c.rotate, 1024,
			 UINT64_C(1) << 40, "length of a mirror's files"),
		OPT_UINT(0, "ack-every", &c.ack_every, 1, UINT32_MAX, "PACKETS",
			 "acknowledge after so many, and once a "
			 "second"),
		OPT_UINT(0, "snaplen", &c.snaplen, 1, PACKET_MAX, "BYTES",
			 "taken for ipcap's sake; the agent says it"),
		OPT_TEXT(0, "sslkeylog-file", &c.sslkeylog_file, "FILE",
			 "gather TLS keys that the agent relays there"),
		OPT_FLAG(0, "only-ipcap", &c.only_ipcap,
			 "speak ipcap's protocol to any agent"),
		OPT_TEXT('m', "metrics-addr", &c.metrics_addr, "ADDR:PORT",
			 "serve numbers for Prometheus there; a port alone is "
			 "on loopback"),
		CMD_LOGS_OPTIONS(&logs),
		OPT_END()
	};
	const struct opt_command cmd = {
		.name = "collector",
		.synopsis = "[--agent HOST:PORT --agent-key KEY] [OPTIONS]",
		.about = "Mirror an agent's sources over the encrypted link: "
			 "each packet once, durable\nbefore it is "
			 "acknowledged, whatever breaks meanwhile.  The agent "
			 "is weir agent\nlisten or ipcap's.  A mirror is a "
			 "spool and can be served on by weir agent\nlisten.",
		.examples = "  weir collector --agent 10.10.3.2:7878 "
			    "--agent-key 8uQ…= -d mirror\n",
		.opts = opts,
	};
	struct opt_args args;
	struct err err = ERR_NONE;
	int status;

	if (!cmd_begin(&cmd, argc, argv, &args, &status) ||
	    !cmd_logs_begin(&cmd, &logs, &status))
		return status;
	if (!c.ids.n) {
		c.ids.at = mem_array(1, sizeof(*c.ids.at));
		c.ids.at[c.ids.n++] = "1";
	}
	if (read_options(&c, &err) == 0 && start(&c, &err) == 0)
		loop_run(c.loop);
	end(&c);
	return cmd_exit(cmd.name, &err);
}
