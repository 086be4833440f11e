/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/intake/intake.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/packet.h"
#include "codec/pcapstream.h"
#include "sys/sys.h"

enum {
	BATCH = 512,
	READ_CHUNK = 256 << 10,
	RETRY_FIRST_MS = 100,
	RETRY_MOST_MS = 5000
};

struct intake {
	struct intake_config cfg;
	struct intake_counters count;
	pthread_t thread;
	int halt; /* eventfd: readable when it is to end */
	atomic_bool halted;
	struct err err; /* the thread's, until it is joined */
};

/* One stream: a descriptor's, or one connection's. */
struct stream {
	struct intake *i;
	int fd;
	struct pcapstream *s;
	bool begun;
	uint32_t linktype, snaplen;
	unsigned changes;
	bool told; /* that packets are left out */
	struct packet batch[BATCH];
	int n;
};

static void add(atomic_uint_fast64_t *c, uint64_t n)
{
	atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

static bool halted(const struct intake *i)
{
	return atomic_load(&i->halted);
}

/* -- items ----------------------------------------------------------------- */

static int flush(struct stream *st, struct err *err)
{
	struct intake *i = st->i;
	int n = st->n;

	st->n = 0;
	if (n == 0)
		return 0;
	add(&i->count.packets, (uint64_t)n);
	return i->cfg.sink.give(i->cfg.sink.self, st->batch, n, err);
}

static int begin(struct stream *st, const struct pcapstream_interface *from,
		 struct err *err)
{
	struct intake *i = st->i;

	if (flush(st, err) < 0)
		return err->code;
	st->begun = true;
	st->linktype = from->linktype;
	st->snaplen = from->snaplen;
	return i->cfg.sink.begin(i->cfg.sink.self, from->linktype,
				 from->snaplen, err);
}

static int on_packet(struct stream *st, const struct pcapstream_item *item,
		     struct err *err)
{
	if (!st->begun || item->from.linktype != st->linktype) {
		if (st->changes == INTAKE_CHANGES_MAX) {
			add(&st->i->count.left_out, 1);
			if (!st->told)
				log_warn("intake",
					 "%s changes its link type for more "
					 "than the %dth time: packets of other "
					 "types than %u are left out now",
					 st->i->cfg.name, INTAKE_CHANGES_MAX,
					 st->linktype);
			st->told = true;
			return 0;
		}
		st->changes += st->begun;
		if (begin(st, &item->from, err) < 0)
			return err->code;
	}
	st->batch[st->n++] = item->packet;
	return st->n == BATCH ? flush(st, err) : 0;
}

/* Why a stream is broken, as a sentence. */
static int broken(struct stream *st, int rc, struct err *err)
{
	const char *why = pcapstream_why(st->s);

	return err_set(err, rc, "%s at byte %llu: %s", st->i->cfg.name,
		       (unsigned long long)pcapstream_offset(st->s),
		       why ? why : "not a capture");
}

/* All items that have arrived whole. */
static int take_items(struct stream *st, struct err *err)
{
	struct pcapstream_item item;
	int rc;

	while ((rc = pcapstream_next(st->s, &item)) == 0) {
		if (item.kind == PCAPSTREAM_INTERFACE && !st->begun)
			rc = begin(st, &item.from, err);
		else if (item.kind == PCAPSTREAM_PACKET)
			rc = on_packet(st, &item, err);
		if (rc < 0)
			return rc;
	}
	/* What came before the damage is whole and wanted. */
	if (flush(st, err) < 0)
		return err->code;
	return rc == ERR_AGAIN ? 0 : broken(st, rc, err);
}

/* -- bytes ----------------------------------------------------------------- */

/* Wait for the descriptor, at most `ms` (-1: for ever); false when halted. */
static bool wait_for(struct intake *i, int fd, short what, int ms)
{
	struct pollfd p[2] = { { .fd = i->halt, .events = POLLIN },
			       { .fd = fd, .events = what } };

	while (poll(p, fd < 0 ? 1 : 2, ms) < 0 && errno == EINTR)
		;
	return !halted(i);
}

/* The stream is at its end: was it a whole one? */
static int at_end(struct stream *st, uint64_t bytes, struct err *err)
{
	int rc = bytes ? pcapstream_end(st->s) : 0;

	if (rc == ERR_DAMAGED) {
		log_warn("intake",
			 "%s ended within a record, at byte %llu: all packets "
			 "before it are kept",
			 st->i->cfg.name,
			 (unsigned long long)pcapstream_offset(st->s));
		return 0;
	}
	return rc < 0 ? broken(st, rc, err) : 0;
}

static int read_stream(struct intake *i, int fd, struct err *err)
{
	struct stream *st = mem_alloc(sizeof(*st));
	uint64_t bytes = 0;
	int rc = 0;

	st->i = i;
	st->fd = fd;
	st->s = pcapstream_new(READ_CHUNK);
	while (rc == 0 && wait_for(i, fd, POLLIN, -1)) {
		size_t room;
		uint8_t *to = pcapstream_room(st->s, &room);
		ssize_t n = read(fd, to, room);

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			rc = err_sys(err, errno, "reading %s", i->cfg.name);
		if (n == 0)
			rc = at_end(st, bytes, err);
		if (n <= 0)
			break;
		bytes += (uint64_t)n;
		add(&i->count.bytes, (uint64_t)n);
		pcapstream_added(st->s, (size_t)n);
		rc = take_items(st, err);
	}
	pcapstream_free(st->s);
	free(st);
	return rc;
}

/* -- another feed ---------------------------------------------------------- */

static int connect_to(struct intake *i, struct err *err)
{
	struct sys *sys = i->cfg.sys;
	int s = sys->dial(sys, i->cfg.address), rc = s;

	if (s >= 0) {
		wait_for(i, s, POLLOUT, RETRY_MOST_MS);
		rc = sys->dialled(sys, s);
		if (rc < 0)
			sys->hang_up(sys, s);
	}
	if (rc == -EINPROGRESS)
		return err_set(err, ERR_FAILED,
			       "%s does not answer within %d s", i->cfg.address,
			       RETRY_MOST_MS / 1000);
	if (rc < 0)
		return err_sys(err, -rc, "cannot connect to %s",
			       i->cfg.address);
	return s;
}

/* A failure is told once, not at each try. */
static void tell(struct err *last, const struct err *err)
{
	if (strcmp(last->text, err->text) != 0)
		log_warn("intake", "%s; trying again", err->text);
	*last = *err;
}

static int some_of(struct sys *sys, int ms)
{
	uint16_t chance;

	sys->random(sys, &chance, sizeof(chance));
	return ms / 2 + (int)(ms / 2 * (long)chance / UINT16_MAX);
}

static void follow(struct intake *i)
{
	struct sys *sys = i->cfg.sys;
	struct err last = ERR_NONE;
	int delay_ms = RETRY_FIRST_MS;

	while (!halted(i)) {
		struct err err = ERR_NONE;
		uint64_t before = atomic_load(&i->count.packets);
		int s = connect_to(i, &err);

		if (s >= 0) {
			add(&i->count.connects, 1);
			log_info("intake", "connected to %s", i->cfg.address);
			last = ERR_NONE;
			if (read_stream(i, s, &err) == 0 && !halted(i))
				err_set(&err, ERR_END,
					"%s closed the "
					"connection",
					i->cfg.address);
			sys->hang_up(sys, s);
			if (atomic_load(&i->count.packets) != before)
				delay_ms = RETRY_FIRST_MS;
		}
		if (halted(i))
			break;
		tell(&last, &err);
		wait_for(i, -1, 0, some_of(sys, delay_ms));
		delay_ms = delay_ms * 2 < RETRY_MOST_MS ? delay_ms * 2
							: RETRY_MOST_MS;
	}
}

/* -- the thread ------------------------------------------------------------ */

static void *work(void *arg)
{
	struct intake *i = arg;

	if (i->cfg.address)
		follow(i);
	else
		read_stream(i, i->cfg.fd, &i->err);
	if (i->cfg.ended)
		i->cfg.ended(i->cfg.arg);
	return NULL;
}

struct intake *intake_start(const struct intake_config *cfg, struct err *err)
{
	struct intake *i = mem_alloc(sizeof(*i));
	int rc;

	i->cfg = *cfg;
	i->halt = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = i->halt < 0 ? errno : pthread_create(&i->thread, NULL, work, i);
	if (rc == 0)
		return i;
	err_sys(err, rc, "a thread that reads %s", cfg->name);
	if (i->halt >= 0)
		close(i->halt);
	free(i);
	return NULL;
}

int intake_stop(struct intake *i, struct err *err)
{
	uint64_t one = 1;
	ssize_t done;
	int rc;

	if (!i)
		return 0;
	atomic_store(&i->halted, true);
	done = write(i->halt, &one, sizeof(one));
	(void)done; /* only a full counter fails, and that wakes as well */
	pthread_join(i->thread, NULL);
	close(i->halt);
	rc = i->err.code;
	if (rc < 0)
		*err = i->err;
	free(i);
	return rc;
}

const struct intake_counters *intake_counters(const struct intake *i)
{
	return &i->count;
}
