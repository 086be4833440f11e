/* SPDX-License-Identifier: Apache-2.0 */
/*
 * analyze_live.c - sources that have no end of their own: an interface, a
 * feed, sensors that push.  A spool has a file of its own.
 */
#include "cmd/analyze_input_priv.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/pcapstream.h"
#include "engine/capture/filter.h"
#include "engine/capture/ring.h"
#include "engine/intake/intake.h"
#include "sys/interface.h"

static const char part[] = "analyze";

enum {
	TICK_MS = 100,
	RING_BATCH = 1024,
	COUNT_EVERY_NS = 200000000,
	SENSORS_MAX = 64,
	READ_CHUNK = 256 << 10,
	PUSH_BATCH = 512
};

/* -- an interface
 * ----------------------------------------------------------------- */

struct live {
	struct input *in;
	struct ring *ring;
	struct filter *filter;
	const struct stream_source *source;
	uint32_t linktype;
	uint64_t index;
	const char *expression; /* the ring's filter; NULL: everything */
	int ifindex;
	uint64_t down_ns;    /* wall clock; 0: it is up */
	uint64_t counted_ns; /* monotonic */
	uint64_t last_ns;    /* of the last packet */
	struct packet batch[RING_BATCH];
};

static int open_live(struct live *l, struct err *err)
{
	const struct input_config *cfg = &l->in->cfg;
	struct ring_config ring = { .iface = cfg->iface,
				    .bytes = cfg->ring_bytes,
				    .snaplen = cfg->snaplen,
				    .queues = 1,
				    .promiscuous = cfg->promiscuous };
	struct filter_config filter = { .expression = l->expression,
					.snaplen = cfg->snaplen };
	struct interface i;

	if (interface_find(cfg->iface, &i, err) < 0)
		return err->code;
	l->ifindex = i.index;
	l->linktype = filter.linktype = ring_linktype(&i);
	l->filter = filter_new(&filter, err);
	if (l->filter)
		l->ring = ring_open(&ring, &i, l->filter, err);
	return l->ring ? 0 : err->code;
}

/* What the kernel lost is a hole at this place. */
static int count_losses(struct live *l, struct err *err)
{
	struct ring_counts c = { 0 };
	struct analyze_loss loss = { .reason = "kernel",
				     .index = l->index,
				     .begin_ns = l->last_ns };
	struct sys *sys = sys_host();

	l->counted_ns = sys->mono_ns(sys);
	if (ring_counts(l->ring, &c, err) < 0)
		return err->code;
	atomic_fetch_add(&l->in->filtered, c.filtered);
	if (!c.drops)
		return 0;
	atomic_fetch_add(&l->in->dropped_kernel, c.drops);
	loss.packets = c.drops;
	loss.end_ns = sys->wall_ns(sys);
	if (l->source)
		analyze_lost(l->in->cfg.analyze, l->source, &loss);
	return 0;
}

static int take_live(struct live *l, struct err *err)
{
	struct sys *sys = sys_host();
	int n = ring_take(l->ring, l->batch, RING_BATCH);

	if (n > 0 && !l->source)
		l->source = input_source(l->in, l->in->cfg.iface, l->batch, 1);
	if (n > 0) {
		l->last_ns = l->batch[n - 1].time_ns;
		if (input_give(l->in, l->source, l->linktype, l->batch, n,
			       l->index, err) < 0)
			return err->code;
		l->index += (uint64_t)n;
	}
	if (ring_lost(l->ring) ||
	    sys->mono_ns(sys) - l->counted_ns > COUNT_EVERY_NS)
		return count_losses(l, err) < 0 ? err->code : n;
	return n;
}

static void close_live(struct live *l)
{
	ring_close(l->ring);
	filter_free(l->filter);
	l->ring = NULL;
	l->filter = NULL;
}

/* It went down, or away; whatever comes of it later goes on behind a hole. */
static void goes_down(struct live *l)
{
	struct sys *sys = sys_host();

	if (l->down_ns)
		return;
	l->down_ns = sys->wall_ns(sys);
	log_warn(part, "the interface %s is down; analysis goes on when it is "
		 "back", l->in->cfg.iface);
}

static void comes_up(struct live *l)
{
	struct sys *sys = sys_host();
	const struct analyze_loss loss = { .reason = "interface",
					   .index = l->index,
					   .begin_ns = l->down_ns,
					   .end_ns = sys->wall_ns(sys) };

	l->down_ns = 0;
	log_info(part, "listening to %s again", l->in->cfg.iface);
	if (l->source)
		analyze_lost(l->in->cfg.analyze, l->source, &loss);
}

/* One of the same name may be another interface. */
static void look_for_it(struct live *l)
{
	struct err err = ERR_NONE;
	struct interface i;

	if (interface_find(l->in->cfg.iface, &i, &err) < 0)
		return;
	if (i.index != l->ifindex) {
		close_live(l);
		l->ifindex = -1;
		if (open_live(l, &err) < 0) {
			close_live(l);
			l->ifindex = -1;
			return;
		}
	}
	if (i.up)
		comes_up(l);
}

static int wait_for_ring(struct live *l, struct err *err)
{
	struct pollfd fds[RING_QUEUES_MAX + 1];
	int n = l->ring ? ring_pollfds(l->ring, fds) : 0;
	int ms = (int)l->in->cfg.timeout_ms;
	struct sys *sys = sys_host();
	int number;

	fds[n] = (struct pollfd){ .fd = l->in->halt, .events = POLLIN };
	if (poll(fds, (nfds_t)n + 1, ms < TICK_MS ? ms : TICK_MS) == 0) {
		if (l->source)
			analyze_tick(l->in->cfg.analyze, sys->wall_ns(sys));
		if (l->down_ns)
			look_for_it(l);
		return 0;
	}
	number = l->ring ? ring_error(l->ring) : 0;
	if (number == ENETDOWN || number == ENODEV || number == ENXIO)
		goes_down(l);
	else if (number)
		return err_sys(err, number, "the interface %s",
			       l->in->cfg.iface);
	return 0;
}

int input_read_interface(struct input *in, struct err *err)
{
	struct live *l = mem_alloc(sizeof(*l));
	int rc;

	l->in = in;
	l->expression = in->cfg.expression;
	in->cfg.expression = NULL; /* what comes is filtered already */
	rc = open_live(l, err);
	if (rc == 0)
		log_info(part, "listening to %s", in->cfg.iface);
	while (rc == 0 && !input_stopped(in)) {
		int n = l->ring ? take_live(l, err) : 0;

		if (n > 0)
			continue;
		if (n == 0)
			analyze_flush(in->cfg.analyze);
		rc = n < 0 ? n : wait_for_ring(l, err);
	}
	close_live(l);
	free(l);
	return rc;
}

/* -- a feed
 * ---------------------------------------------------------------------------
 */

struct feed_input {
	struct input *in;
	const struct stream_source *source;
	uint32_t linktype;
	uint64_t index, last_ns;
};

static int feed_begin(void *self, uint32_t linktype, uint32_t snaplen,
		      struct err *err)
{
	struct feed_input *f = self;
	const struct analyze_loss loss = { .reason = "reconnect",
					   .index = f->index,
					   .begin_ns = f->last_ns,
					   .end_ns = f->last_ns };

	(void)snaplen;
	(void)err;
	/* Nobody knows whether something came between two connections. */
	if (f->source)
		analyze_lost(f->in->cfg.analyze, f->source, &loss);
	f->linktype = linktype;
	return 0;
}

static int feed_give(void *self, const struct packet *p, int n, struct err *err)
{
	struct feed_input *f = self;
	int rc;

	if (n == 0)
		return 0;
	if (!f->source)
		f->source = input_source(f->in, f->in->cfg.from, p, 1);
	rc = input_give(f->in, f->source, f->linktype, p, n, f->index, err);
	f->index += (uint64_t)n;
	f->last_ns = p[n - 1].time_ns;
	analyze_flush(f->in->cfg.analyze);
	return rc;
}

int input_read_feed(struct input *in, struct err *err)
{
	struct feed_input f = { .in = in };
	struct intake_config cfg = { .sys = sys_host(),
				     .name = in->cfg.from,
				     .address = in->cfg.from,
				     .sink = { feed_begin, feed_give, &f } };
	struct intake *intake = intake_start(&cfg, err);

	if (!intake)
		return err->code;
	while (input_wait(in, -1, TICK_MS))
		;
	return intake_stop(intake, err);
}

/* -- sensors that push
 * ------------------------------------------------------------------ */

struct sensor {
	int fd; /* -1: free */
	char peer[SYS_PEER_MAX];
	struct pcapstream *stream;
	const struct stream_source *source;
	uint64_t index;
};

static void say_goodbye(struct input *in, struct sensor *s, const char *why)
{
	struct sys *sys = sys_host();

	log_info(part, "the sensor %s %s after %llu packets", s->peer, why,
		 (unsigned long long)s->index);
	sys->hang_up(sys, s->fd);
	pcapstream_free(s->stream);
	*s = (struct sensor){ .fd = -1 };
	analyze_flush(in->cfg.analyze);
}

static void welcome(struct input *in, struct sensor *all)
{
	struct sys *sys = sys_host();
	char peer[SYS_PEER_MAX];
	int fd = sys->accept(sys, in->listener, peer);

	if (fd < 0)
		return;
	for (int i = 0; i < SENSORS_MAX; i++) {
		if (all[i].fd >= 0)
			continue;
		all[i] =
			(struct sensor){ .fd = fd,
					 .stream = pcapstream_new(READ_CHUNK) };
		memcpy(all[i].peer, peer, sizeof(peer));
		log_info(part, "a sensor at %s pushes", peer);
		return;
	}
	log_warn(part, "the sensor %s is sent away: %d push already", peer,
		 SENSORS_MAX);
	sys->hang_up(sys, fd);
}

/* Whole packets, in runs of one link type. */
static int take_pushed(struct input *in, struct sensor *s, struct err *err)
{
	struct packet batch[PUSH_BATCH];
	struct pcapstream_item item;
	uint32_t linktype = 0;
	int n = 0, rc, given = 0;

	for (;;) {
		rc = pcapstream_next(s->stream, &item);
		if (rc == 0 && item.kind != PCAPSTREAM_PACKET)
			continue;
		if (n && (rc < 0 || n == PUSH_BATCH ||
			  item.from.linktype != linktype)) {
			if (!s->source)
				s->source = input_source(in, s->peer, batch, 1);
			given = input_give(in, s->source, linktype, batch, n,
					   s->index, err);
			s->index += (uint64_t)n;
			n = 0;
		}
		if (rc < 0 || given < 0)
			return given < 0 ? given : rc;
		linktype = item.from.linktype;
		batch[n++] = item.packet;
	}
}

static int hear(struct input *in, struct sensor *s, struct err *err)
{
	struct sys *sys = sys_host();
	size_t room;
	uint8_t *to = pcapstream_room(s->stream, &room);
	ssize_t got = sys->recv(sys, s->fd, to, room);
	int rc;

	if (got == -EAGAIN || got == -EINTR)
		return 0;
	if (got <= 0) {
		say_goodbye(in, s, got ? "was lost" : "went");
		return 0;
	}
	pcapstream_added(s->stream, (size_t)got);
	rc = take_pushed(in, s, err);
	if (err->code)
		return err->code;
	if (rc != ERR_AGAIN)
		say_goodbye(in, s, "sent what is no capture");
	return 0;
}

static int hear_all(struct input *in, struct sensor *all, struct err *err)
{
	struct pollfd fds[SENSORS_MAX + 2];
	int rc = 0;

	for (int i = 0; i < SENSORS_MAX; i++)
		fds[i] = (struct pollfd){ .fd = all[i].fd, .events = POLLIN };
	fds[SENSORS_MAX] = (struct pollfd){ in->listener, POLLIN, 0 };
	fds[SENSORS_MAX + 1] = (struct pollfd){ in->halt, POLLIN, 0 };
	if (poll(fds, SENSORS_MAX + 2, 0) == 0) {
		analyze_flush(in->cfg.analyze);
		poll(fds, SENSORS_MAX + 2, -1);
	}
	for (int i = 0; i < SENSORS_MAX && rc == 0; i++)
		if (all[i].fd >= 0 && fds[i].revents)
			rc = hear(in, &all[i], err);
	if (fds[SENSORS_MAX].revents)
		welcome(in, all);
	return rc;
}

int input_read_pushed(struct input *in, struct err *err)
{
	struct sensor *all = mem_array(SENSORS_MAX, sizeof(*all));
	int rc = 0;

	for (int i = 0; i < SENSORS_MAX; i++)
		all[i].fd = -1;
	while (rc == 0 && !input_stopped(in))
		rc = hear_all(in, all, err);
	for (int i = 0; i < SENSORS_MAX; i++)
		if (all[i].fd >= 0)
			say_goodbye(in, &all[i], "is cut off");
	free(all);
	return rc;
}
