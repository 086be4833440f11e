/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A capture, its listener and a collector on two machines of the model world,
 * under one seed: whatever is cut, delayed, killed or refused on the way, in
 * the end the mirror has each packet that was durable at the source, once, in
 * order, and nothing else; and a reader of the mirror was given just that.
 *
 * A run has a stormy part, in which anything may happen, and a calm one, in
 * which the mirror must catch up by itself.  The bytes are judged by the
 * checker, which shares no code with either end.  A seed that fails is
 * printed; WEIR_SIM_SEED runs it alone, and WEIR_TEST_LONG=1 runs many more.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/record.h"
#include "engine/link/dialer.h"
#include "engine/link/mirror.h"
#include "engine/link/server.h"
#include "engine/spool/reader.h"
#include "engine/spool/spool.h"
#include "model/checker.h"
#include "model/disk.h"
#include "model/net.h"
#include "t.h"

#define SOURCE "spool/src1"
#define MIRROR "mirror/src1"

/* One thread, and nothing for ThreadSanitizer to find: a share will do. */
#ifndef __has_feature
#define __has_feature(what) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
enum { SHARE = 8 };
#else
enum { SHARE = 1 };
#endif

enum { WHY = 1200, STORM_STEPS = 250, CALM_STEPS = 3000 };

static const uint64_t ms = 1000000;

enum machine { AGENT, COLLECTOR };

struct world {
	uint64_t seed, chance; /* what it began with, and where it is */
	struct net *net;
	struct disk *disk[2];
	struct noise_keypair key[2];
	uint8_t listed[1][NOISE_KEY];
	struct link_source link_source;
	struct mirror *mirrors[1];
	struct link_beat beat;

	/* each is NULL while its process is not there */
	struct spool *spool;
	struct link_server *server;
	struct mirror *mirror;
	struct link_dialer *dialer;

	/* what was promised: durable packets of the source */
	struct oracle oracle;
	uint8_t id[SPOOL_ID];
	uint64_t durable; /* at the source */
	uint64_t life;
	struct buf pending; /* records, appended and not durable */
	uint64_t pending_first;

	uint64_t mirrored; /* the most that was ever durable in the mirror */
	struct spool_reader *reader; /* of the mirror, NULL: to be opened */
	uint64_t read;		     /* what it was given */

	uint64_t cuts, kills, power_cuts, faults;
	struct err err;
	char why[WHY];
};

/* -- chance -------------------------------------------------------------- */

static uint64_t chance(struct world *w)
{
	uint64_t z = (w->chance += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint64_t below(struct world *w, uint64_t n)
{
	return chance(w) % n;
}

static bool one_in(struct world *w, uint64_t n)
{
	return below(w, n) == 0;
}

/* The first thing that is wrong is kept. */
__attribute__((format(printf, 2, 3))) static void wrong(struct world *w,
							const char *fmt, ...)
{
	va_list ap;

	if (w->why[0])
		return;
	va_start(ap, fmt);
	vsnprintf(w->why, sizeof(w->why), fmt, ap);
	va_end(ap);
}

static struct sys *sys_of(struct world *w, enum machine m)
{
	return disk_sys(w->disk[m]);
}

static uint64_t now_at(struct world *w, enum machine m)
{
	return disk_clock(w->disk[m])->mono_ns;
}

/* -- processes ----------------------------------------------------------- */

static struct spool_config small_config(void)
{
	struct spool_config cfg = SPOOL_CONFIG_DEFAULT;

	strcpy(cfg.want.name, "src1");
	cfg.want.linktype = 1;
	cfg.want.snaplen = 65535;
	cfg.segment_max = 2048;
	cfg.keep_max = 0;
	cfg.reserve = false;
	return cfg;
}

static void start_capture(struct world *w)
{
	struct spool_config cfg = small_config();
	struct spool_status st;

	cfg.source_dir = SOURCE;
	w->err = ERR_NONE;
	w->spool = spool_open(sys_of(w, AGENT), &cfg, &w->err);
	if (!w->spool) {
		if (w->err.code == ERR_DAMAGED)
			wrong(w, "the capture stops: %s", w->err.text);
		return;
	}
	spool_status(w->spool, &st);
	if (!w->oracle.n)
		memcpy(w->id, st.identity.id, SPOOL_ID);
	else if (memcmp(w->id, st.identity.id, SPOOL_ID) != 0)
		wrong(w, "the source has begun another spool");
	if (st.head < w->durable)
		wrong(w,
		      "the source was durable up to %" PRIu64
		      " and goes on at %" PRIu64,
		      w->durable, st.head);
	buf_clear(&w->pending);
}

static void start_server(struct world *w)
{
	const struct link_server_config cfg = {
		.agent = { .sys = sys_of(w, AGENT),
			   .key = &w->key[AGENT],
			   .collectors = (const uint8_t(*)[NOISE_KEY])w->listed,
			   .n_collectors = 1,
			   .sources = &w->link_source,
			   .n_sources = 1,
			   .spool_dir = "spool",
			   .compress = w->seed % 2 == 0 },
		.listen = ":7878",
	};

	w->server = link_server_new(&cfg, &w->err);
}

static void start_collector(struct world *w)
{
	struct mirror_config cfg = { .sys = sys_of(w, COLLECTOR),
				     .dir = MIRROR,
				     .source = 1,
				     .name = "src1",
				     .spool = small_config(),
				     .writer = SPOOL_WRITER_CONFIG_DEFAULT };
	struct link_dialer_config dialer = { 0 };

	cfg.spool.segment_max = 3000;
	cfg.writer.staging_max = 1 << 20;
	cfg.writer.at_once = true;
	w->err = ERR_NONE;
	if (sys_mkdir_all(cfg.sys, "mirror") < 0)
		return;
	w->mirror = mirror_open(&cfg, &w->err);
	if (!w->mirror) {
		if (w->err.code == ERR_DAMAGED)
			wrong(w, "the collector stops: %s", w->err.text);
		return;
	}
	if (mirror_identity(w->mirror) &&
	    mirror_durable(w->mirror) < w->mirrored)
		wrong(w,
		      "the mirror was durable up to %" PRIu64
		      " and goes on at %" PRIu64,
		      w->mirrored, mirror_durable(w->mirror));
	w->mirrors[0] = w->mirror;
	dialer.collector = (struct link_collector_config){
		.sys = cfg.sys,
		.key = &w->key[COLLECTOR],
		.mirrors = w->mirrors,
		.beats = &w->beat,
		.n_mirrors = 1,
		.ack_every = 4,
	};
	w->dialer = link_dialer_new(&dialer);
	link_dialer_target(w->dialer, "agent:7878", w->key[AGENT].public);
}

static void end_agent(struct world *w, bool capture, bool server)
{
	if (server) {
		link_server_free(w->server);
		w->server = NULL;
	}
	if (capture) {
		spool_close(w->spool);
		w->spool = NULL;
	}
}

static void end_collector(struct world *w)
{
	spool_reader_close(w->reader);
	w->reader = NULL;
	link_dialer_free(w->dialer);
	w->dialer = NULL;
	mirror_close(w->mirror);
	w->mirror = NULL;
}

/* All processes of a machine are gone, with or without its power. */
static void crash(struct world *w, enum machine m, bool power)
{
	struct disk *d = w->disk[m];

	net_leave(w->net, d);
	disk_kill(d);
	if (m == AGENT)
		end_agent(w, true, true);
	else
		end_collector(w);
	if (power) {
		w->disk[m] =
			disk_crash(d, disk_ops(d), DISK_BY_CHANCE, chance(w));
		disk_clock(w->disk[m])->boot_id = 1 + chance(w) % 1000000;
		disk_free(d);
		w->power_cuts++;
	} else {
		disk_start(d);
		disk_fail(d, (struct disk_fault){ 0 });
		w->kills++;
	}
	net_join(w->net, w->disk[m], m == AGENT ? "agent" : "collector");
}

static void start_missing(struct world *w)
{
	if (!w->spool)
		start_capture(w);
	if (!w->server)
		start_server(w);
	if (!w->mirror)
		start_collector(w);
}

/* -- work ---------------------------------------------------------------- */

static void append(struct world *w, uint32_t count)
{
	size_t start = w->pending.len;
	struct run run = { .first = spool_next(w->spool) };

	if (!w->pending.len)
		w->pending_first = run.first;
	w->life++;
	for (uint32_t i = 0; i < count; i++) {
		uint8_t data[400];
		uint64_t index = run.first + i;
		size_t len = 20 + (size_t)(index * 97 % 300);
		struct packet packet = { .data = bytes_of(data, len),
					 .time_ns = (1700000000 + index) *
						    1000000000,
					 .wire_len = (uint32_t)len };

		for (size_t k = 0; k < len; k++)
			data[k] = (uint8_t)(index * 31 + w->life * 7 + k);
		put_record(&w->pending, &packet);
	}
	run.records = buf_from(&w->pending, start);
	CHECK_EQ(run_measure(&run), 0);
	if (spool_append(w->spool, &run, NULL, &w->err) < 0)
		w->pending.len = start;
}

/*
 * What the spool calls durable: also where a commit has failed behind its
 * syncs, when it only could not give a segment its name.
 */
static void promise(struct world *w)
{
	struct cursor c = cursor_on(buf_bytes(&w->pending));
	struct spool_status st;
	struct packet p;
	const uint8_t *from;

	spool_status(w->spool, &st);
	for (from = c.p; w->pending_first < st.head && record_next(&c, &p) == 0;
	     from = c.p)
		oracle_add(&w->oracle, w->id, w->pending_first++, from,
			   (size_t)(c.p - from), 0);
	buf_consume(&w->pending, w->pending.len - c.len);
	w->durable = st.head;
}

static void capture_some(struct world *w)
{
	if (!w->spool)
		return;
	append(w, 1 + (uint32_t)below(w, 4));
	if (one_in(w, 3))
		append(w, 1 + (uint32_t)below(w, 2));
	w->err = ERR_NONE;
	(void)spool_commit(w->spool, &w->err);
	promise(w);
	if (one_in(w, 4))
		(void)spool_housekeep(w->spool, &w->err);
}

/* What a client of the mirror gets: all, in order, once. */
static void read_mirror(struct world *w)
{
	struct spool_seek to = { .place = SPOOL_INDEX, .index = w->read };
	struct spool_event ev;

	if (!w->mirror || !mirror_identity(w->mirror))
		return;
	if (!w->reader) {
		w->reader = spool_reader_open(sys_of(w, COLLECTOR), MIRROR,
					      &w->err);
		if (w->reader &&
		    spool_reader_seek(w->reader, &to, &w->err) < 0) {
			spool_reader_close(w->reader);
			w->reader = NULL;
		}
	}
	while (w->reader && spool_reader_next(w->reader, &ev, &w->err) == 0) {
		if (ev.kind == SPOOL_EVENT_GAP ||
		    (ev.kind == SPOOL_EVENT_NOTE && ev.note.is == SPOOL_IS_GAP))
			wrong(w,
			      "a gap from %" PRIu64 " to %" PRIu64
			      " in the mirror",
			      ev.at, ev.note.value);
		if (ev.kind != SPOOL_EVENT_RUN)
			continue;
		if (ev.run.first + ev.run.count <= w->read)
			wrong(w, "packet %" PRIu64 " is given twice",
			      ev.run.first);
		else if (ev.run.first > w->read)
			wrong(w, "packet %" PRIu64 " comes after %" PRIu64,
			      ev.run.first, w->read);
		w->read = ev.run.first + ev.run.count;
		if (w->read > w->durable && w->spool)
			wrong(w,
			      "packet %" PRIu64
			      " is in the mirror, and durable only up to "
			      "%" PRIu64,
			      w->read - 1, w->durable);
	}
}

static void run_link(struct world *w)
{
	uint64_t at;

	if (w->server)
		link_server_run(w->server, now_at(w, AGENT), &at);
	if (w->dialer)
		link_dialer_run(w->dialer, now_at(w, COLLECTOR), &at);
	if (w->mirror && mirror_identity(w->mirror) &&
	    mirror_durable(w->mirror) > w->mirrored)
		w->mirrored = mirror_durable(w->mirror);
}

/* -- weather ------------------------------------------------------------- */

static void change_weather(struct world *w)
{
	struct net_weather *weather = net_weather(w->net);

	weather->latency_ns = below(w, 4) * below(w, 100) * ms;
	weather->piece_max = one_in(w, 2) ? 0 : 1 + (size_t)below(w, 2000);
	weather->window_max = 500 + (size_t)below(w, 64 << 10);
	weather->partition = one_in(w, 5);
}

static void let_fail(struct world *w)
{
	/* Not a full disk: that makes room over the oldest packets. */
	int error = one_in(w, 3) ? 0 : EIO;

	disk_fail(
		w->disk[below(w, 2)],
		(struct disk_fault){ .calls = error ? DISK_CHANGE : DISK_WRITE,
				     .nth = below(w, 12),
				     .error = error });
	w->faults++;
}

static void misfortune(struct world *w)
{
	switch (below(w, 10)) {
	case 0:
	case 1:
		change_weather(w);
		break;
	case 2:
	case 3:
		net_cut_next(w->net, (enum net_way)below(w, 2), below(w, 3000));
		w->cuts++;
		break;
	case 4:
		net_reset_all(w->net);
		w->cuts++;
		break;
	case 5:
		let_fail(w);
		break;
	case 6:
		crash(w, (enum machine)below(w, 2), one_in(w, 2));
		break;
	case 7: /* the whole room is dark */
		crash(w, AGENT, true);
		crash(w, COLLECTOR, true);
		break;
	case 8: /* one process ends well, or only the listener is killed */
		end_agent(w, one_in(w, 2), true);
		break;
	default:
		end_collector(w);
		break;
	}
}

static void pass_time(struct world *w)
{
	if (one_in(w, 3) || !net_advance_to_next(w->net))
		net_advance(w->net, 1 + below(w, 400) * ms);
}

static void storm(struct world *w)
{
	for (int i = 0; i < STORM_STEPS && !w->why[0]; i++) {
		if (one_in(w, 6))
			misfortune(w);
		if (one_in(w, 3))
			start_missing(w);
		if (one_in(w, 3))
			capture_some(w);
		run_link(w);
		if (one_in(w, 4))
			read_mirror(w);
		pass_time(w);
	}
}

static void calm(struct world *w)
{
	*net_weather(w->net) = (struct net_weather){ .latency_ns = 5 * ms,
						     .window_max = 64 << 10 };
	for (int m = 0; m < 2; m++)
		disk_fail(w->disk[m], (struct disk_fault){ 0 });
	start_missing(w);
	for (int i = 0; i < CALM_STEPS && !w->why[0]; i++) {
		start_missing(w);
		if (i == 3)
			capture_some(w);
		run_link(w);
		read_mirror(w);
		if (w->mirror && mirror_identity(w->mirror) && i > 3 &&
		    mirror_durable(w->mirror) == w->durable &&
		    w->read == w->durable)
			return;
		if (!net_advance_to_next(w->net) || i % 8 == 0)
			net_advance(w->net, 50 * ms);
	}
	wrong(w,
	      "in calm weather the mirror comes to %" PRIu64
	      ", its reader to %" PRIu64 ", the source to %" PRIu64 ": %s",
	      w->mirrored, w->read, w->durable, w->err.text);
}

/* -- the verdict --------------------------------------------------------- */

/* The spool that holds packets; one whose very first write failed is empty. */
static const struct checked_spool *
only_spool(struct world *w, const struct checked *c, const char *whose)
{
	const struct checked_spool *found = NULL;

	for (size_t i = 0; i < c->n; i++) {
		if (!c->spools[i].n)
			continue;
		if (found)
			wrong(w, "two spools with packets %s", whose);
		found = &c->spools[i];
	}
	if (!found)
		wrong(w, "no packets %s", whose);
	return found;
}

static void compare(struct world *w, const struct checked_spool *source,
		    const struct checked_spool *mirror)
{
	if (mirror->n != source->n || mirror->n_gaps || mirror->oldest ||
	    mirror->chain != source->chain)
		wrong(w,
		      "%zu packets at the source, %zu in the mirror, with "
		      "%zu gaps%s",
		      source->n, mirror->n, mirror->n_gaps,
		      mirror->chain != source->chain ? ", of another chain"
						     : "");
}

static void judge(struct world *w)
{
	const struct checked_spool *from, *to;
	struct checked source, mirror;

	end_agent(w, true, true);
	end_collector(w);
	checker_run(sys_of(w, AGENT), SOURCE, CHECKER_CLOSED, &w->oracle,
		    UINT64_MAX, &source);
	checker_run(sys_of(w, COLLECTOR), MIRROR, CHECKER_CLOSED, NULL, 0,
		    &mirror);
	checker_mirror(&mirror, &source);
	if (source.violations)
		wrong(w, "the source: %s", source.first);
	if (mirror.violations)
		wrong(w, "the mirror: %s", mirror.first);
	from = only_spool(w, &source, "at the source");
	to = only_spool(w, &mirror, "in the mirror");
	if (from && to)
		compare(w, from, to);
	checked_release(&source);
	checked_release(&mirror);
}

static void begin(struct world *w, uint64_t seed)
{
	*w = (struct world){ .seed = seed, .chance = seed };
	w->net = net_new();
	net_weather(w->net)->latency_ns = ms;
	for (int m = 0; m < 2; m++) {
		w->disk[m] = disk_new(seed * 2 + (uint64_t)m);
		noise_keypair_of(&w->key[m], (const uint8_t[NOISE_KEY]){
						     (uint8_t)(1 + m) });
		net_join(w->net, w->disk[m], m ? "collector" : "agent");
	}
	memcpy(w->listed[0], w->key[COLLECTOR].public, NOISE_KEY);
	w->link_source =
		(struct link_source){ .id = 1, .name = "", .dir = SOURCE };
}

static void end(struct world *w)
{
	end_agent(w, true, true);
	end_collector(w);
	oracle_release(&w->oracle);
	buf_release(&w->pending);
	net_free(w->net);
	for (int m = 0; m < 2; m++)
		disk_free(w->disk[m]);
}

struct tally {
	uint64_t seeds, packets, cuts, kills, power_cuts, faults;
};

static void run_seed(uint64_t seed, struct tally *t)
{
	struct world w;
	char why[WHY];

	begin(&w, seed);
	storm(&w);
	if (!w.why[0])
		calm(&w);
	if (!w.why[0])
		judge(&w);
	t->seeds++;
	t->packets += w.durable;
	t->cuts += w.cuts;
	t->kills += w.kills;
	t->power_cuts += w.power_cuts;
	t->faults += w.faults;
	memcpy(why, w.why, sizeof(why));
	end(&w);
	if (why[0])
		fail_msg("WEIR_SIM_SEED=%" PRIu64 ": %s", seed, why);
}

TEST(I43_each_durable_packet_is_mirrored_once_whatever_happens_on_the_way)
{
	const char *one = getenv("WEIR_SIM_SEED");
	const char *many = getenv("WEIR_TEST_LONG");
	uint64_t seeds = many && strcmp(many, "1") == 0 ? 20000 : 200 / SHARE;
	struct tally t = { 0 };

	log_setup(one ? LOG_DEBUG : LOG_ERROR, false);
	if (one)
		run_seed(strtoull(one, NULL, 10), &t);
	for (uint64_t seed = 1; !one && seed <= seeds; seed++)
		run_seed(seed, &t);
	printf("# %" PRIu64 " seeds: %" PRIu64 " packets, %" PRIu64
	       " cuts, %" PRIu64 " kills, %" PRIu64 " power cuts, %" PRIu64
	       " disk faults\n",
	       t.seeds, t.packets, t.cuts, t.kills, t.power_cuts, t.faults);
}
