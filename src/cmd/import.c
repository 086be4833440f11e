/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/import.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/capfile/capfile.h"
#include "engine/capture/filter.h"
#include "sys/sys.h"

static const char part[] = "capture";

enum {
	BATCH = 256,
	BATCH_BYTES = 1 << 20, /* or one larger packet */
	/* Sooner than this a packet is not worth a sleep of its own. */
	CLOSE_NS = 200000,
	LOOP_GAP_NS = 1000000 /* between the last packet and the first again */
};

struct import {
	struct import_config cfg;
	struct sys *sys;
	struct capfile *file;
	int fd;	  /* of the file, which owns it */
	bool own; /* nobody else reads through this description */
	struct filter *filter;
	struct spool_writer *writer;
	struct spool_identity identity; /* what the spool says it has */
	pthread_t thread;
	bool started;
	int halt; /* eventfd, readable from the stop on */
	atomic_bool stop, ended;
	atomic_uint_fast64_t captured, filtered, position, size;

	/* The reading thread's own. */
	struct packet batch[BATCH];
	int n;
	size_t bytes;
	uint64_t shift_ns;	       /* added to the times of this round */
	uint64_t first_ns, last_ns;    /* of this round, as stored */
	uint64_t begin_mono, begin_ns; /* this moment was that time */
	bool begun;
	struct err failure;
};

static bool stopped(const struct import *im)
{
	return atomic_load(&im->stop);
}

/* Until then on the monotonic clock, or the stop. */
static void sleep_until(const struct import *im, uint64_t at)
{
	struct pollfd halt = { .fd = im->halt, .events = POLLIN };
	uint64_t now = im->sys->mono_ns(im->sys);

	if (at > now) {
		struct timespec t = {
			.tv_sec = (time_t)((at - now) / 1000000000),
			.tv_nsec = (long)((at - now) % 1000000000),
		};

		ppoll(&halt, 1, &t, NULL);
	}
}

/* Reading waits here when the disk is slower than the file. */
static void wait_for_room(const struct import *im)
{
	struct pollfd fds[2] = {
		{ .fd = im->halt, .events = POLLIN },
		{ .fd = spool_writer_fd(im->writer), .events = POLLIN },
	};

	for (;;) {
		struct spool_writer_status s;
		uint64_t count;

		spool_writer_status(im->writer, &s);
		if (stopped(im) ||
		    s.staged_bytes + im->bytes <= s.staging_max / 2)
			return;
		if (poll(fds, 2, 100) > 0 && fds[1].revents)
			(void)!read(fds[1].fd, &count, sizeof(count));
	}
}

static void give(struct import *im)
{
	int taken;

	if (im->n == 0)
		return;
	wait_for_room(im);
	taken = spool_writer_put(im->writer, im->batch, im->n);
	atomic_fetch_add(&im->captured, (uint64_t)taken);
	im->n = 0;
	im->bytes = 0;
}

/* Keep the recorded spacing: everything before this packet is given first. */
static void pace(struct import *im, uint64_t time_ns)
{
	uint64_t after, due;

	if (!im->begun) {
		im->begun = true;
		im->begin_ns = time_ns;
		im->begin_mono = im->sys->mono_ns(im->sys);
	}
	after = time_ns > im->begin_ns ? time_ns - im->begin_ns : 0;
	due = im->begin_mono + (uint64_t)((double)after / im->cfg.speed);
	if (due <= im->sys->mono_ns(im->sys) + CLOSE_NS)
		return;
	give(im);
	spool_writer_flush(im->writer);
	sleep_until(im, due);
}

static void one(struct import *im, struct packet p)
{
	uint64_t time_ns = p.time_ns + im->shift_ns;

	if (!filter_wants(im->filter, &p)) {
		atomic_fetch_add(&im->filtered, 1);
		return;
	}
	p.time_ns = time_ns;
	if (im->first_ns == 0 || time_ns < im->first_ns)
		im->first_ns = time_ns;
	if (time_ns > im->last_ns)
		im->last_ns = time_ns;
	if (im->cfg.speed > 0)
		pace(im, time_ns);
	im->batch[im->n++] = p;
	im->bytes += p.data.len + RECORD_HEADER;
	/* The packet's bytes are lent until the next one is read. */
	if (im->n == BATCH || im->bytes >= BATCH_BYTES)
		give(im);
}

/* Nothing there now: what was given becomes durable meanwhile. */
static void wait_for_pipe(const struct import *im)
{
	struct pollfd fds[2] = {
		{ .fd = im->halt, .events = POLLIN },
		{ .fd = im->fd, .events = POLLIN },
	};

	spool_writer_flush(im->writer);
	poll(fds, 2, -1);
}

static int read_once(struct import *im, struct err *err)
{
	struct packet_source from = capfile_source(im->file);

	while (!stopped(im)) {
		struct packet p[BATCH];
		int n = from.take(from.self, p, BATCH, err);

		atomic_store(&im->position, capfile_position(im->file));
		if (n == ERR_END)
			return 0;
		if (n < 0)
			return n;
		for (int i = 0; i < n && !stopped(im); i++)
			one(im, p[i]);
		give(im);
		if (n == 0)
			wait_for_pipe(im);
	}
	return 0;
}

static void say_end(const struct import *im)
{
	const char *warning = capfile_warning(im->file);
	uint64_t others = capfile_other_linktype(im->file);

	if (warning)
		log_warn(part, "%s", warning);
	if (others)
		log_warn(part,
			 "%s has %llu packets of other link types than "
			 "%u, which one spool cannot hold; they are left out",
			 im->cfg.path, (unsigned long long)others,
			 im->identity.linktype);
}

/* A description of our own, so that nobody else's becomes non-blocking. */
static int open_input(struct import *im)
{
	bool in = strcmp(im->cfg.path, "-") == 0;
	int fd = open(in ? "/dev/stdin" : im->cfg.path, O_RDONLY | O_CLOEXEC);

	im->own = fd >= 0;
	return fd >= 0 || !in ? fd : dup(STDIN_FILENO);
}

static int open_file(struct import *im, struct err *err)
{
	uint32_t linktype = 0;

	im->fd = open_input(im);
	if (im->fd < 0)
		return err_sys(err, errno, "cannot open %s", im->cfg.path);
	im->file = capfile_open_fd(im->fd, im->cfg.path);
	if (capfile_linktype(im->file, &linktype, err) < 0)
		return err->code == ERR_END
			       ? err_set(err, ERR_MALFORMED,
					 "%s has no packet and no link type",
					 im->cfg.path)
			       : err->code;
	if (im->started && linktype != im->identity.linktype)
		return err_set(err, ERR_MALFORMED,
			       "%s has link type %u now, it "
			       "was %u",
			       im->cfg.path, linktype, im->identity.linktype);
	im->identity.linktype = linktype;
	capfile_only(im->file, linktype);
	/* The stop must not wait for a pipe on which nothing comes. */
	if (capfile_size(im->file) == 0 && im->own)
		(void)fcntl(im->fd, F_SETFL, O_NONBLOCK);
	atomic_store(&im->size, capfile_size(im->file));
	return 0;
}

static int next_round(struct import *im, struct err *err)
{
	if (im->last_ns)
		im->shift_ns += im->last_ns - im->first_ns + LOOP_GAP_NS;
	else
		/* Nothing to give: do not read an empty file in a circle. */
		sleep_until(im, im->sys->mono_ns(im->sys) + 100000000);
	im->first_ns = im->last_ns = 0;
	capfile_close(im->file);
	im->file = NULL;
	return open_file(im, err);
}

static void *run(void *arg)
{
	struct import *im = arg;
	int rc;

	do {
		rc = read_once(im, &im->failure);
		say_end(im);
		if (rc == 0 && im->cfg.loop && !stopped(im))
			rc = next_round(im, &im->failure);
	} while (rc == 0 && im->cfg.loop && !stopped(im));
	spool_writer_flush(im->writer);
	atomic_store(&im->ended, true);
	return NULL;
}

static int open_spool(struct import *im, struct err *err)
{
	struct spool_config cfg = im->cfg.spool;
	struct spool *s;

	cfg.want.linktype = im->identity.linktype;
	cfg.want.snaplen = PACKET_SNAPLEN;
	s = spool_open(im->sys, &cfg, err);
	if (s)
		im->writer = spool_writer_start(s, &im->cfg.writer, err);
	return im->writer ? 0 : err->code;
}

static int begin(struct import *im, struct err *err)
{
	struct filter_config cfg = { .expression = im->cfg.expression,
				     .exclude = &im->cfg.exclude,
				     .snaplen = PACKET_SNAPLEN };
	int number;

	im->halt = eventfd(0, EFD_CLOEXEC);
	if (im->halt < 0)
		return err_sys(err, errno, "cannot make an eventfd");
	if (open_file(im, err) < 0)
		return err->code;
	cfg.linktype = im->identity.linktype;
	im->filter = filter_new(&cfg, err);
	if (!im->filter || open_spool(im, err) < 0)
		return err->code;
	im->started = true;
	number = pthread_create(&im->thread, NULL, run, im);
	if (number) {
		im->started = false;
		return err_sys(err, number, "cannot start the reading thread");
	}
	pthread_setname_np(im->thread, "read");
	return 0;
}

static int free_import(struct import *im, struct err *err)
{
	int rc = 0;

	if (im->writer)
		rc = spool_writer_stop(im->writer, err);
	capfile_close(im->file);
	filter_free(im->filter);
	if (im->halt >= 0)
		close(im->halt);
	free(im);
	return rc;
}

struct import *import_start(struct sys *sys, const struct import_config *cfg,
			    struct err *err)
{
	struct import *im = mem_alloc(sizeof(*im));
	struct err scrap = ERR_NONE;

	im->cfg = *cfg;
	im->sys = sys;
	im->halt = -1;
	if (begin(im, err) == 0)
		return im;
	free_import(im, &scrap);
	return NULL;
}

void import_status(const struct import *im, struct import_status *s)
{
	s->captured = atomic_load(&im->captured);
	s->filtered = atomic_load(&im->filtered);
	s->position = atomic_load(&im->position);
	s->size = atomic_load(&im->size);
	s->linktype = im->identity.linktype;
	s->ended = atomic_load(&im->ended);
	spool_writer_status(im->writer, &s->writer);
}

int import_stop(struct import *im, struct err *err)
{
	struct err failure;
	uint64_t count = 1;

	atomic_store(&im->stop, true);
	(void)!write(im->halt, &count, sizeof(count));
	pthread_join(im->thread, NULL);
	failure = im->failure;
	if (free_import(im, err) < 0)
		return err->code;
	if (failure.code)
		*err = failure;
	return failure.code;
}
