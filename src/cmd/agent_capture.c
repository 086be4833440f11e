/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir agent capture - an interface, or a capture file, into a spool.
 *
 * The ring thread takes packets off the interface, the spool's writer makes
 * them durable; this thread only looks after them: signals, the counters
 * others read, the service manager's watchdog.
 */
#include "cmd/cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/common.h"
#include "cmd/import.h"
#include "cmd/progress.h"
#include "engine/capture/capture.h"
#include "engine/metrics/metrics.h"
#include "sys/loop.h"
#include "sys/notify.h"
#include "sys/sys.h"

static const char part[] = "capture";

enum { LIVE_TICK_NS = 200000000, FILE_TICK_NS = 20000000 };

struct options {
	const char *spool_dir, *iface, *file, *name, *filter, *metrics_addr;
	const char *speed;
	uint64_t src_id, snaplen, ring_mib, queues;
	struct opt_list ports, hosts;
	bool promiscuous, realtime, loop;
	struct spool_config spool;
};

struct job {
	const struct options *o;
	struct exclude exclude;
	double speed;
	char *source_dir, *links; /* owned */
	struct capture *capture;  /* one of these two */
	struct import *import;
	struct loop *loop;
	struct loop_timer *tick, *watchdog;
	struct notify *notify;
	struct progress progress;
	struct metrics *metrics;
	struct metrics_server *server;
	struct capture_status now; /* as of the last tick */
};

/* -- what was asked for -------------------------------------------------- */

static int read_exclusions(struct job *j, struct err *err)
{
	const struct options *o = j->o;
	struct buf hidden = { 0 };

	for (int i = 0; i < o->ports.n; i++)
		if (exclude_add_port(&j->exclude, o->ports.at[i], err) < 0)
			return err_within(err, "--exclude-port");
	for (int i = 0; i < o->hosts.n; i++)
		if (exclude_add_net(&j->exclude, o->hosts.at[i], err) < 0)
			return err_within(err, "--mgmt");
	if (!exclude_is_empty(&j->exclude)) {
		exclude_describe(&j->exclude, &hidden);
		log_warn(part, "as asked, nothing of this is captured, whoever "
			 "sends it: %.*s", (int)hidden.len,
			 (const char *)hidden.p);
	}
	buf_release(&hidden);
	return 0;
}

static int read_speed(struct job *j, struct err *err)
{
	const char *text = j->o->speed;
	char *end;

	j->speed = j->o->realtime ? 1 : 0;
	if (!text || !*text)
		return 0;
	j->speed = strtod(text, &end);
	if (*end || !(j->speed >= 0.001 && j->speed <= 1e6))
		return err_set(err, ERR_USAGE, "--speed takes a factor from "
			       "0.001 to 1000000, not \"%s\"", text);
	return 0;
}

static int read_options(struct job *j, struct err *err)
{
	const struct options *o = j->o;
	bool timed = o->realtime || o->loop || (o->speed && *o->speed);

	if (timed && !*o->file)
		return err_set(err, ERR_USAGE, "--realtime, --speed and --loop "
			       "are for a --pcap-file");
	if (o->loop && strcmp(o->file, "-") == 0)
		return err_set(err, ERR_USAGE, "--loop cannot read standard "
			       "input a second time");
	if (o->name && (!*o->name || strlen(o->name) > SPOOL_NAME_MAX))
		return err_set(err, ERR_USAGE, "--src-name has 1 to %d "
			       "characters", SPOOL_NAME_MAX);
	if (read_speed(j, err) < 0)
		return err->code;
	return read_exclusions(j, err);
}

static struct spool_config spool_of(const struct job *j)
{
	struct spool_config cfg = j->o->spool;

	cfg.source_dir = j->source_dir;
	snprintf(cfg.want.name, sizeof(cfg.want.name), "%s", j->o->name);
	return cfg;
}

/* -- metrics --------------------------------------------------------------- */

#define NUMBER(name, what)                                                     \
	static double name(void *arg)                                          \
	{                                                                      \
		const struct job *j = arg;                                     \
                                                                               \
		return (double)(what);                                         \
	}
NUMBER(captured, j->now.captured)
NUMBER(dropped_kernel, j->now.dropped_kernel)
NUMBER(dropped_interface, j->now.dropped_interface)
NUMBER(filtered, j->now.filtered)
NUMBER(is_up, j->now.up)
NUMBER(dropped_staging, j->now.writer.dropped_staging)
NUMBER(dropped_disk, j->now.writer.dropped_disk)
NUMBER(staged_bytes, j->now.writer.staged_bytes)
NUMBER(durable_age, j->now.writer.durable_age_ns / 1e9)
NUMBER(commit_max, j->now.writer.commit_ns_max / 1e9)
NUMBER(spool_bytes, j->now.writer.spool.bytes)
NUMBER(spool_head, j->now.writer.spool.head)
NUMBER(spool_oldest, j->now.writer.spool.oldest)
NUMBER(spool_removed, j->now.writer.spool.reaped)
NUMBER(spool_missed, j->now.writer.spool.reaped_unacked)

static int serve_metrics(struct job *j, struct err *err)
{
	static const struct {
		struct metric what;
		double (*value)(void *arg);
	} all[] = {
		{ { METRIC_COUNTER, "weir_capture_packets_total",
		    "Packets given to the spool.", NULL }, captured },
		{ { METRIC_COUNTER, "weir_capture_kernel_drops_total",
		    "Packets that found no room in the kernel's ring.", NULL },
		  dropped_kernel },
		{ { METRIC_COUNTER, "weir_capture_interface_drops_total",
		    "Packets that the interface itself lost.", NULL },
		  dropped_interface },
		{ { METRIC_COUNTER, "weir_capture_filtered_total",
		    "Packets that the expression left out late.", NULL },
		  filtered },
		{ { METRIC_COUNTER, "weir_capture_staging_drops_total",
		    "Packets that found no room in memory.", NULL },
		  dropped_staging },
		{ { METRIC_COUNTER, "weir_capture_disk_drops_total",
		    "Packets that the disk would not take.", NULL },
		  dropped_disk },
		{ { METRIC_GAUGE, "weir_capture_up",
		    "1 while the interface is up.", NULL }, is_up },
		{ { METRIC_GAUGE, "weir_capture_staged_bytes",
		    "Bytes in memory that are not durable yet.", NULL },
		  staged_bytes },
		{ { METRIC_GAUGE, "weir_capture_durable_age_seconds",
		    "Age of the oldest packet that is not durable.", NULL },
		  durable_age },
		{ { METRIC_GAUGE, "weir_capture_commit_seconds_max",
		    "The longest commit so far.", NULL }, commit_max },
		{ { METRIC_GAUGE, "weir_spool_bytes",
		    "Bytes of all files of the source.", NULL }, spool_bytes },
		{ { METRIC_GAUGE, "weir_spool_head",
		    "First index that is not durable.", NULL }, spool_head },
		{ { METRIC_GAUGE, "weir_spool_oldest",
		    "First index still on disk.", NULL }, spool_oldest },
		{ { METRIC_COUNTER, "weir_spool_removed_packets_total",
		    "Packets that retention removed.", NULL }, spool_removed },
		{ { METRIC_COUNTER,
		    "weir_spool_removed_unacknowledged_packets_total",
		    "Packets that retention removed before every collector "
		    "had them.", NULL }, spool_missed },
	};
	char id[8];

	if (!j->o->metrics_addr || !*j->o->metrics_addr)
		return 0;
	snprintf(id, sizeof(id), "%u", (unsigned)j->o->src_id);
	j->metrics = metrics_new();
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		struct metric what = all[i].what;

		what.labels = metrics_labels(j->metrics, "src", id, NULL);
		metrics_add(j->metrics, &what, all[i].value, j);
	}
	j->server = metrics_serve(j->loop, j->metrics, j->o->metrics_addr, err);
	return j->server ? 0 : err->code;
}

/* -- running ------------------------------------------------------------- */

static void take_stock(struct job *j)
{
	if (j->capture) {
		capture_status(j->capture, &j->now);
	} else {
		struct import_status s;

		import_status(j->import, &s);
		j->now = (struct capture_status){ .captured = s.captured,
						  .filtered = s.filtered,
						  .linktype = s.linktype,
						  .up = !s.ended,
						  .spooling = true,
						  .writer = s.writer };
	}
}

static uint64_t lost(const struct capture_status *s)
{
	return s->dropped_kernel + s->dropped_interface +
	       s->writer.dropped_staging + s->writer.dropped_disk;
}

static void show(struct job *j)
{
	const struct capture_status *s = &j->now;
	char size[TEXT_SIZE];

	text_of_size(size, s->writer.spool.bytes);
	notify_status(j->notify, "%s %s: %llu packets, %llu lost, %s spooled%s%s",
		      *j->o->file ? j->o->file : j->o->iface,
		      s->up ? "up" : "down", (unsigned long long)s->captured,
		      (unsigned long long)lost(s), size,
		      s->writer.degraded ? "; " : "", s->writer.trouble);
	if (progress_due(&j->progress))
		progress_draw(&j->progress,
			      "%llu packets, %llu lost, %llu durable, %s",
			      (unsigned long long)s->captured,
			      (unsigned long long)lost(s),
			      (unsigned long long)s->writer.spool.head, size);
}

static void on_tick(void *arg)
{
	struct job *j = arg;
	bool live = j->capture != NULL;

	if (live)
		capture_tick(j->capture);
	take_stock(j);
	show(j);
	if (j->now.spooling)
		notify_ready(j->notify);
	if (!live && !j->now.up)
		loop_stop(j->loop);
	else
		loop_timer_in(j->tick, live ? LIVE_TICK_NS : FILE_TICK_NS);
}

/* The manager hears from us only while packets move. */
static void on_watchdog(void *arg)
{
	struct job *j = arg;

	if (!j->capture || capture_moves(j->capture))
		notify_watchdog(j->notify);
	else
		log_warn(part, "nothing has moved for half the watchdog's time");
	loop_timer_in(j->watchdog, notify_watchdog_ns(j->notify));
}

static int begin_file(struct job *j, struct err *err)
{
	struct import_config cfg = {
		.path = j->o->file,
		.expression = j->o->filter,
		.exclude = j->exclude,
		.speed = j->speed,
		.loop = j->o->loop,
		.spool = spool_of(j),
		.writer = SPOOL_WRITER_CONFIG_DEFAULT,
	};

	j->import = import_start(sys_host(), &cfg, err);
	return j->import ? 0 : err->code;
}

static int begin_live(struct job *j, struct err *err)
{
	struct capture_config cfg = {
		.ring = { .iface = j->o->iface,
			  .bytes = j->o->ring_mib << 20,
			  .snaplen = (uint32_t)j->o->snaplen,
			  .queues = (unsigned)j->o->queues,
			  .promiscuous = j->o->promiscuous },
		.expression = j->o->filter,
		.exclude = j->exclude,
		.links = j->links,
		.spool = spool_of(j),
		.writer = SPOOL_WRITER_CONFIG_DEFAULT,
	};

	j->capture = capture_start(sys_host(), &cfg, err);
	return j->capture ? 0 : err->code;
}

static int run(struct job *j, struct err *err)
{
	/* A pipe may keep us waiting here, when a signal still ends us. */
	if ((*j->o->file ? begin_file(j, err) : begin_live(j, err)) < 0)
		return err->code;
	j->loop = loop_new(err);
	if (!j->loop || serve_metrics(j, err) < 0)
		return err->code;
	progress_begin(&j->progress);
	j->tick = loop_timer(j->loop, on_tick, j);
	on_tick(j);
	if (notify_watchdog_ns(j->notify)) {
		j->watchdog = loop_timer(j->loop, on_watchdog, j);
		loop_timer_in(j->watchdog, notify_watchdog_ns(j->notify));
	}
	loop_run(j->loop);
	notify_stopping(j->notify);
	return 0;
}

/* Drain, sync, and say what has become of it; the first failure counts. */
static void end(struct job *j, struct err *err)
{
	bool begun = j->capture || j->import;
	struct err later = ERR_NONE;

	progress_end(&j->progress);
	if (j->import) {
		take_stock(j);
		import_stop(j->import, &later);
	}
	if (j->capture)
		capture_stop(j->capture, &j->now, &later);
	if (!err->code)
		*err = later;
	if (begun && !err->code)
		log_info(part, "done: %llu packets, %llu lost",
			 (unsigned long long)j->now.captured,
			 (unsigned long long)lost(&j->now));
	metrics_server_free(j->server);
	metrics_free(j->metrics);
	loop_timer_free(j->tick);
	loop_timer_free(j->watchdog);
	loop_free(j->loop);
	notify_close(j->notify);
	free(j->source_dir);
	free(j->links);
}

static void capture(const struct options *o, struct err *err)
{
	struct job j = { .o = o };

	j.notify = notify_open();
	j.source_dir = mem_format("%s/src%u", o->spool_dir,
				  (unsigned)o->src_id);
	j.links = mem_format("%s/links", o->spool_dir);
	if (read_options(&j, err) == 0)
		run(&j, err);
	end(&j, err);
}

int cmd_agent_capture(int argc, char **argv)
{
	struct options o = {
		.spool_dir = "/var/lib/weir/spool",
		.iface = "game",
		.file = "",
		.src_id = 1,
		.snaplen = PACKET_SNAPLEN,
		.ring_mib = 256,
		.queues = 1,
		.promiscuous = true,
		.spool = SPOOL_CONFIG_DEFAULT,
	};
	struct cmd_logs logs = CMD_LOGS_DEFAULT;
	struct opt opts[] = {
		OPT_TEXT('d', "spool-dir", &o.spool_dir, "DIR",
			 "where the spool is; the source lies in DIR/srcN"),
		OPT_UINT('i', "src-id", &o.src_id, 0, 65535, "N",
			 "the source's number"),
		OPT_TEXT('n', "src-name", &o.name, "NAME",
			 "the source's name (default srcN)"),
		OPT_TEXT_ENV(0, "iface", &o.iface, "IFACE",
			     "the interface, or any for all of them",
			     "IPCAP_IFACE"),
		OPT_TEXT('r', "pcap-file", &o.file, "FILE",
			 "take this file instead of an interface; - is "
			 "standard input"),
		OPT_TEXT('f', "filter", &o.filter, "BPF",
			 "capture only what this expression matches"),
		OPT_LIST_ENV(0, "exclude-port", &o.ports, "PORT",
			     "capture no TCP to or from this port; besides "
			     "live links, which are always left out",
			     "IPCAP_EXCLUDE_PORTS"),
		OPT_LIST(0, "mgmt", &o.hosts, "HOST",
			 "capture nothing to or from this address or network"),
		OPT_UINT('s', "snaplen", &o.snaplen, 64, PACKET_SNAPLEN,
			 "BYTES", "keep this much of each packet"),
		OPT_UINT(0, "ring-mib", &o.ring_mib, 1, 65536, "MIB",
			 "the kernel's buffer, for each queue"),
		OPT_UINT(0, "fanout", &o.queues, 1, RING_QUEUES_MAX, "N",
			 "read N queues, merged by time stamp"),
		OPT_FLAG('p', "promisc", &o.promiscuous,
			 "also packets for other hosts"),
		OPT_SIZE(0, "rotate-bytes", &o.spool.segment_max, 1024,
			 UINT64_C(1) << 40, "begin a new segment after this"),
		OPT_DURATION(0, "rotate-time", &o.spool.segment_age_ns,
			     100000000, UINT64_C(604800000000000),
			     "seal a segment with packets after this"),
		OPT_SIZE(0, "retention-bytes", &o.spool.keep_max, 1024,
			 UINT64_MAX, "keep at most this, oldest goes first"),
		OPT_DURATION(0, "retention-age", &o.spool.keep_age_ns, 0,
			     UINT64_MAX, "keep no longer than this; 0 is for "
			     "ever"),
		OPT_FLAG(0, "realtime", &o.realtime,
			 "a file: with the spacing it was recorded with"),
		OPT_TEXT(0, "speed", &o.speed, "FACTOR",
			 "a file: this much faster than recorded"),
		OPT_FLAG(0, "loop", &o.loop,
			 "a file: again and again, times going on"),
		OPT_TEXT('m', "metrics-addr", &o.metrics_addr, "ADDR:PORT",
			 "serve numbers for Prometheus there; a port alone is "
			 "on loopback"),
		CMD_LOGS_OPTIONS(&logs),
		OPT_END()
	};
	const struct opt_command cmd = {
		.name = "agent capture",
		.synopsis = "[--iface IFACE | --pcap-file FILE] [OPTIONS]",
		.about = "Capture an interface, or take a capture file, into "
			 "the crash-safe spool\nDIR/srcN.  Ends on SIGTERM or "
			 "SIGINT when everything captured is on disk, and\n"
			 "with a file at its end.  An interface that is not "
			 "there, or goes away, is\nwaited for.",
		.examples =
			"  weir agent capture --iface eth0 -d spool\n"
			"  weir agent capture --iface any --filter 'not port 22'"
			"\n  weir agent capture --pcap-file day1.pcapng.zst "
			"-d spool\n",
		.opts = opts,
	};
	struct opt_args args;
	struct err err = ERR_NONE;
	char name[16];
	int status;

	for (struct opt *p = opts; p->kind != OPT_KIND_END; p++)
		p->list_commas = p->kind == OPT_KIND_LIST;
	if (!cmd_begin(&cmd, argc, argv, &args, &status) ||
	    !cmd_logs_begin(&cmd, &logs, &status))
		return status;
	snprintf(name, sizeof(name), "src%u", (unsigned)o.src_id);
	if (!o.name)
		o.name = name;
	capture(&o, &err);
	opt_list_release(&o.ports);
	opt_list_release(&o.hosts);
	return cmd_exit(cmd.name, &err);
}
