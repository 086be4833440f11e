/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.c - one client: a place in the spool, and how it moves on.
 *
 * A step sends a bit of the header or of a chunk, or takes the next event of
 * the spool.  A turn is a bounded number of steps, so that everybody gets one.
 * Between two turns a client holds no bytes: which run, and how many bytes of
 * its chunk are sent, is all there is to know.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/mem.h"
#include "engine/feed/feed_priv.h"
#include "engine/feed/names.h"
#include "engine/feed/places.h"
#include "sys/loop.h"
#include "sys/sock.h"

enum {
	TURN_STEPS = 64,
	TURN_BYTES = 512 << 10,
	SEND_BUFFER = 512 << 10,
	UPSTREAM_MAX = 64 << 10,
	MARKS_FIRST = 64,
	MOVING_NS = 20000000 /* since it last took something */
};

enum step {
	STEP_ON,    /* take another one */
	STEP_FULL,  /* the socket takes no more */
	STEP_EMPTY, /* the spool has no more */
	STEP_GONE   /* the client is closed */
};

/* from=client: bytes of the stream from `start` on are this run's chunk. */
struct mark {
	uint64_t start, len;
	uint64_t first, end; /* packets of the run */
	uint32_t skip;
	uint8_t origin[SPOOL_ID];
};

/* -- where a client stopped ------------------------------------------------ */

/* Forget what its machine has acknowledged, but for the last one. */
static void trim_marks(struct client *c)
{
	uint64_t acked = c->sent - sock_unacked(c->socket);
	size_t n = 0;

	while (n + 1 < c->n_marks &&
	       c->marks[n].start + c->marks[n].len <= acked)
		n++;
	if (n == 0)
		return;
	c->n_marks -= n;
	memmove(c->marks, c->marks + n, c->n_marks * sizeof(*c->marks));
}

static void add_mark(struct client *c, const struct chunk *k)
{
	struct mark *m;

	if (c->n_marks == c->marks_cap) {
		trim_marks(c);
		if (c->n_marks * 2 >= c->marks_cap) {
			c->marks_cap =
				c->marks_cap ? c->marks_cap * 2 : MARKS_FIRST;
			c->marks =
				mem_grow(c->marks, c->marks_cap * sizeof(*m));
		}
	}
	c->marked = true;
	m = &c->marks[c->n_marks++];
	*m = (struct mark){ .start = c->sent,
			    .len = k->len,
			    .first = c->run.run.first,
			    .end = c->run.run.first + c->run.run.count,
			    .skip = c->skip };
	memcpy(m->origin, c->origin, SPOOL_ID);
}

/* The first packet of a run that does not lie in its first `len` bytes. */
static uint64_t packet_behind(struct client *c, const struct mark *m,
			      size_t len)
{
	struct feed *f = c->feed;
	struct spool_seek to = { .place = SPOOL_INDEX, .index = m->first };
	struct err err = ERR_NONE;
	struct spool_reader *r = spool_reader_open(f->sys, f->dir, &err);
	struct spool_event ev = { 0 };
	struct buf records = { 0 };
	uint64_t next = m->first + m->skip;
	int rc = -1;

	memcpy(to.origin, m->origin, SPOOL_ID);
	if (r && spool_reader_seek(r, &to, &err) == 0)
		do
			rc = spool_reader_next(r, &ev, &err);
		while (rc == 0 && ev.kind != SPOOL_EVENT_RUN);
	if (rc == 0 && ev.run.first == m->first &&
	    spool_reader_load(r, &ev, &records, &err) == 0)
		next = m->first + chunk_packets_in(&c->outcome->variant,
						   ev.run.records, m->skip,
						   len);
	buf_release(&records);
	spool_reader_close(r);
	return next;
}

static void remember_place(struct client *c)
{
	uint64_t acked = c->sent - sock_unacked(c->socket);
	struct place place = { .next = c->at };
	const struct mark *m = NULL;

	if (!c->feed->places || !c->outcome)
		return;
	memcpy(place.origin, c->origin, SPOOL_ID);
	for (size_t i = 0; i < c->n_marks; i++)
		if (acked >= c->marks[i].start || i == 0)
			m = &c->marks[i];
	if (m) {
		memcpy(place.origin, m->origin, SPOOL_ID);
		place.next = acked >= m->start + m->len ? m->end
			     : acked <= m->start
				     ? m->first + m->skip
				     : packet_behind(c, m, acked - m->start);
	}
	places_put(c->feed->places, c->peer, &place);
}

/* -- coming and going ------------------------------------------------------ */

static void watch(struct client *c, int what)
{
	if (c->half_closed)
		what &= ~LOOP_READ;
	if (what != c->watched)
		loop_watch_change(c->watch, what);
	c->watched = what;
}

void client_close(struct client *c, const char *why)
{
	struct feed *f = c->feed;

	remember_place(c);
	feed_log(f, LOG_INFO, "client %s left after %llu packets%s%s", c->peer,
		 (unsigned long long)c->packets, why ? ": " : "",
		 why ? why : "");
	*(c->prev ? &c->prev->next : &f->clients) = c->next;
	if (c->next)
		c->next->prev = c->prev;
	f->n_clients--;
	count_set(&f->count.clients, f->n_clients);
	loop_watch_free(c->watch);
	f->sys->hang_up(f->sys, c->socket);
	spool_reader_close(c->reader);
	buf_release(&c->rest);
	free(c->marks);
	free(c);
	feed_links_changed(f);
}

bool client_hear(struct client *c)
{
	struct feed *f = c->feed;
	char rest[4096];
	ssize_t n = f->sys->recv(f->sys, c->socket, rest, sizeof(rest));

	if (n < 0 && n != -EAGAIN && n != -EINTR) {
		client_close(c, strerror((int)-n));
		return false;
	}
	if (n > 0 && (c->upstream += (uint64_t)n) > UPSTREAM_MAX) {
		client_close(c, "it sent more than 64 KiB");
		return false;
	}
	/* It may only have said that it has nothing to say. */
	if (n == 0) {
		c->half_closed = true;
		watch(c, c->watched);
	}
	return true;
}

static void on_socket(void *arg, int socket, int what)
{
	struct client *c = arg;

	(void)socket;
	if ((what & LOOP_READ) && !client_hear(c))
		return;
	if (what & LOOP_WRITE)
		client_serve(c);
}

/* Where nothing is there yet the client begins with the first packet. */
static int seek(struct client *c, const struct spool_seek *to, struct err *err)
{
	int rc = spool_reader_seek(c->reader, to, err);

	if (rc != ERR_AGAIN)
		return rc;
	*err = ERR_NONE;
	return 0;
}

static int seek_first(struct client *c, struct spool_seek *to, struct err *err)
{
	int rc = seek(c, to, err);

	if (rc != ERR_UNKNOWN && rc != ERR_GONE)
		return rc;
	to->place = rc == ERR_UNKNOWN ? SPOOL_OLDEST : SPOOL_LIVE;
	feed_log(c->feed, LOG_WARN, "client %s begins %s: %s", c->peer,
		 rc == ERR_UNKNOWN ? "with the oldest packet" : "live",
		 err->text);
	*err = ERR_NONE;
	c->want_index = false;
	return seek(c, to, err);
}

/* Another reader at the same address has the place. */
static bool has_twin(const struct client *c)
{
	for (const struct client *o = c->feed->clients; o; o = o->next)
		if (o != c && places_same_host(o->peer, c->peer))
			return true;
	return false;
}

static int take_place(struct client *c, struct err *err)
{
	struct feed *f = c->feed;
	struct spool_seek to = { .place = SPOOL_LIVE };
	struct place place;
	uint64_t now;

	switch (f->cfg.from) {
	case FEED_LIVE:
		break;
	case FEED_OLDEST:
		to.place = SPOOL_OLDEST;
		break;
	case FEED_INDEX:
		to.place = SPOOL_INDEX;
		to.index = f->cfg.from_value;
		break;
	case FEED_TIME:
		to.place = SPOOL_TIME;
		to.time_ns = f->cfg.from_value;
		break;
	case FEED_AGO:
		now = f->sys->wall_ns(f->sys);
		to.place = SPOOL_TIME;
		to.time_ns =
			now > f->cfg.from_value ? now - f->cfg.from_value : 0;
		break;
	case FEED_CLIENT:
		if (has_twin(c) || !places_get(f->places, c->peer, &place))
			break;
		to.place = SPOOL_INDEX;
		to.index = place.next;
		memcpy(to.origin, place.origin, SPOOL_ID);
		break;
	}
	c->want_index = to.place == SPOOL_INDEX;
	c->want_time = to.place == SPOOL_TIME;
	c->want = c->want_time ? to.time_ns : to.index;
	c->reader = spool_reader_open(f->sys, f->dir, err);
	return c->reader ? seek_first(c, &to, err) : err->code;
}

void client_new(struct feed *f, int socket, const char *peer)
{
	struct client *c = mem_alloc(sizeof(*c));
	struct err err = ERR_NONE;

	c->feed = f;
	c->socket = socket;
	c->moved_ns = feed_now(f);
	memcpy(c->peer, peer, strlen(peer) + 1);
	c->next = f->clients;
	if (c->next)
		c->next->prev = c;
	f->clients = c;
	count_set(&f->count.clients, ++f->n_clients);
	count_add(&f->count.connected, 1);
	sock_prepare(socket, SEND_BUFFER);
	c->watched = LOOP_READ;
	c->watch = loop_watch(f->loop, socket, c->watched, on_socket, c);
	f->sys->bound(f->sys, socket, c->here);
	feed_links_changed(f);
	feed_log(f, LOG_INFO, "client %s connected", peer);
	names_ask(f->names, peer);
	if (take_place(c, &err) < 0)
		client_close(c, err.text);
	else
		client_serve(c);
}

/* -- steps ----------------------------------------------------------------- */

static enum step gone(struct client *c, const char *why)
{
	client_close(c, why);
	return STEP_GONE;
}

/* The result of a send, as a step; *n is 0 unless something moved. */
static enum step moved(struct client *c, ssize_t rc, size_t wanted, size_t *n)
{
	*n = 0;
	if (rc == -EAGAIN)
		return STEP_FULL;
	if (rc == -EINTR)
		return STEP_ON;
	if (rc <= 0)
		return gone(c, rc ? strerror((int)-rc)
				  : "its run has become shorter on disk");
	*n = (size_t)rc;
	c->sent += *n;
	c->moved_ns = feed_now(c->feed);
	count_add(&c->feed->count.bytes, *n);
	return *n < wanted ? STEP_FULL : STEP_ON;
}

static enum step send_head(struct client *c)
{
	size_t left = sizeof(c->head) - c->head_done, n;
	struct sys *sys = c->feed->sys;
	enum step step = moved(
		c, sys->send(sys, c->socket, c->head + c->head_done, left),
		left, &n);

	if (step != STEP_GONE)
		c->head_done += n;
	return step;
}

static enum step send_rest(struct client *c)
{
	size_t left = c->rest.len, n;
	struct sys *sys = c->feed->sys;
	enum step step =
		moved(c, sys->send(sys, c->socket, c->rest.p, left), left, &n);

	if (step == STEP_GONE)
		return step;
	buf_consume(&c->rest, n);
	if (c->rest.len == 0)
		buf_release(&c->rest);
	return step;
}

static void make_head(struct client *c)
{
	struct buf b = { 0 };
	struct pcap_head head = { .linktype = c->outcome->linktype,
				  .snaplen = c->outcome->variant.snaplen,
				  .micro = !c->feed->cfg.nano };

	put_pcap_head(&b, &head);
	memcpy(c->head, b.p, sizeof(c->head));
	buf_release(&b);
}

/* A spool begins.  What the header said must stay true in it. */
static enum step on_begin(struct client *c, const struct spool_event *ev)
{
	const struct spool_identity *id = ev->identity;
	struct err err = ERR_NONE;
	const struct outcome *o = feed_outcome(c->feed, id, &err);

	if (!o)
		return gone(c, err.text);
	if (c->outcome && c->outcome->linktype != o->linktype)
		return gone(c, "the link type has changed");
	if (c->outcome && c->outcome->variant.snaplen != o->variant.snaplen)
		return gone(c, "the snaplen has changed");
	memcpy(c->spool, id->id, SPOOL_ID);
	memcpy(c->origin, id->origin, SPOOL_ID);
	c->at = c->want_index && c->want > ev->at ? c->want : ev->at;
	if (!c->outcome) {
		c->outcome = o;
		make_head(c);
		feed_log(c->feed, LOG_DEBUG,
			 "client %s gets link type %u, snaplen %u, from packet "
			 "%llu of %s on",
			 c->peer, o->linktype, o->variant.snaplen,
			 (unsigned long long)c->at, id->name);
	}
	return STEP_ON;
}

static enum step on_gap(struct client *c, uint64_t from, uint64_t to)
{
	struct feed *f = c->feed;
	char why[96];

	c->at = to;
	count_add(&f->count.gaps, 1);
	count_add(&f->count.missing, to - from);
	/* Nothing came before: its header is still fresh. */
	if (f->cfg.continue_at_gap || c->packets == 0)
		return STEP_ON;
	snprintf(why, sizeof(why), "packets %llu to %llu are missing",
		 (unsigned long long)from, (unsigned long long)to - 1);
	return gone(c, why);
}

/* All of it lies before where this client wants to begin. */
static bool too_early(const struct client *c, const struct run *r)
{
	return (c->want_index && r->first + r->count <= c->want) ||
	       (c->want_time && r->max_ns < c->want);
}

/* How many packets at the front of its first run are not wanted. */
static int first_skip(struct client *c, struct err *err)
{
	const struct run *r = &c->run.run;
	struct buf records = { 0 };
	struct packet p;
	struct cursor at;
	int rc = 0;

	if (c->want_index && c->want > r->first)
		c->skip = (uint32_t)(c->want - r->first);
	if (c->want_time) {
		rc = spool_reader_load(c->reader, &c->run, &records, err);
		at = cursor_on(buf_bytes(&records));
		while (rc == 0 && record_next(&at, &p) == 0 &&
		       p.time_ns < c->want)
			c->skip++;
		buf_release(&records);
	}
	c->want_index = c->want_time = false;
	return rc;
}

static enum step on_run(struct client *c, const struct spool_event *ev)
{
	struct err err = ERR_NONE;

	if (too_early(c, &ev->run))
		return STEP_ON;
	c->run = *ev;
	c->at = ev->run.first;
	c->skip = 0;
	c->done = 0;
	c->marked = false;
	c->in_run = first_skip(c, &err) == 0;
	if (!c->in_run && err.code != ERR_DAMAGED)
		return gone(c, err.text);
	c->at += c->skip;
	return STEP_ON;
}

static enum step next_event(struct client *c)
{
	struct spool_event ev;
	struct err err = ERR_NONE;
	int rc = spool_reader_next(c->reader, &ev, &err);

	if (rc == ERR_AGAIN || rc == ERR_END)
		return STEP_EMPTY;
	if (rc == ERR_DAMAGED) {
		feed_log(c->feed, LOG_WARN, "%s", err.text);
		return STEP_ON;
	}
	if (rc < 0)
		return gone(c, err.text);
	switch (ev.kind) {
	case SPOOL_EVENT_BEGIN:
		return on_begin(c, &ev);
	case SPOOL_EVENT_RUN:
		return on_run(c, &ev);
	case SPOOL_EVENT_GAP:
		return on_gap(c, ev.at, ev.note.value);
	case SPOOL_EVENT_NOTE:
		if (ev.note.is == SPOOL_IS_GAP)
			return on_gap(c, ev.at, ev.note.value);
		break;
	}
	return STEP_ON;
}

/*
 * The chunk of the present run, from the cache or made now.  NULL with
 * ERR_DAMAGED when the run is not what was written, or another failure.
 */
static const struct chunk *chunk_of(struct client *c, struct err *err)
{
	struct feed *f = c->feed;
	struct chunk_key key = { .first = c->run.run.first, .skip = c->skip };
	struct chunk made, *k;
	struct buf records;

	memcpy(key.spool, c->spool, SPOOL_ID);
	k = chunk_cache_find(f->cache, &key);
	if (k)
		return k;
	records = chunk_cache_spare(f->cache);
	if (spool_reader_load(c->reader, &c->run, &records, err) < 0) {
		buf_release(&records);
		return NULL;
	}
	made.key = key;
	if (chunk_make(&made, &c->outcome->variant, &records) < 0) {
		err_set(err, ERR_DAMAGED,
			"packets %llu to %llu of %s are no whole records",
			(unsigned long long)key.first,
			(unsigned long long)(key.first + c->run.run.count - 1),
			f->dir);
		return NULL;
	}
	chunk_cache_give_back(f->cache, &records);
	k = chunk_cache_add(f->cache, &made);
	count_set(&f->count.cached, chunk_cache_bytes(f->cache));
	return k;
}

/*
 * Is anybody about to ask for this client's run?  Who waits for the spool to
 * grow is, and who is behind it and on the move; who has long taken nothing
 * will find the run in the spool.
 */
static bool wanted_soon(const struct client *c)
{
	uint64_t first = c->run.run.first;

	for (const struct client *o = c->feed->clients; o; o = o->next)
		if (o != c && o->at <= first &&
		    (o->idle || o->moved_ns + MOVING_NS > c->moved_ns))
			return true;
	return false;
}

/*
 * A chunk that all have is given up at once: the next one is then made in the
 * same room, which the processor still has near.
 */
static void finish_run(struct client *c, const struct chunk *k)
{
	struct feed *f = c->feed;
	const struct chunk_key key = k->key;

	c->in_run = false;
	c->at = c->run.run.first + c->run.run.count;
	c->packets += k->records;
	count_add(&f->count.packets, k->records);
	count_add(&f->count.clipped, k->clipped);
	count_add(&f->count.filtered, k->left_out);
	if (!wanted_soon(c)) {
		chunk_cache_drop(f->cache, &key);
		count_set(&f->count.cached, chunk_cache_bytes(f->cache));
	}
}

static ssize_t send_chunk(struct client *c, const struct chunk *k, size_t len)
{
	struct sys *sys = c->feed->sys;
	uint64_t at = c->run.offset + k->head + c->done;

	if (k->plain)
		return sys->send_file(sys, c->socket, c->run.file, &at, len);
	return sys->send(sys, c->socket, k->bytes.p + c->done, len);
}

static enum step send_run(struct client *c)
{
	struct err err = ERR_NONE;
	const struct chunk *k = chunk_of(c, &err);
	enum step step;
	size_t left, n;

	if (!k && (err.code != ERR_DAMAGED || c->done))
		return gone(c, err.text);
	if (!k) {
		feed_log(c->feed, LOG_WARN, "%s", err.text);
		c->in_run = false;
		return STEP_ON;
	}
	if (c->feed->places && !c->marked)
		add_mark(c, k);
	if (c->done < k->len) {
		left = k->len - c->done;
		step = moved(c, send_chunk(c, k, left), left, &n);
		if (step == STEP_GONE)
			return step;
		c->done += n;
		if (n < left)
			return step;
	}
	finish_run(c, k);
	return STEP_ON;
}

static enum step one_step(struct client *c)
{
	if (c->outcome && c->head_done < sizeof(c->head))
		return send_head(c);
	if (c->rest.len)
		return send_rest(c);
	if (c->closing)
		return gone(c, NULL);
	return c->in_run ? send_run(c) : next_event(c);
}

void client_serve(struct client *c)
{
	uint64_t begun = c->sent;
	enum step step = STEP_ON;

	c->idle = false;
	for (int i = 0; i < TURN_STEPS && step == STEP_ON; i++) {
		if (c->sent - begun >= TURN_BYTES)
			break;
		step = one_step(c);
	}
	if (step == STEP_GONE)
		return;
	c->idle = step == STEP_EMPTY;
	if (c->idle && c->feed->ending)
		client_close(c, NULL);
	else
		watch(c, c->idle ? LOOP_READ : LOOP_READ | LOOP_WRITE);
}

/*
 * The rest of the record that has begun, as bytes of our own, so that the run
 * may be left where it ends.  *next is the first packet behind it.
 */
static int keep_rest(struct client *c, uint64_t *next, struct err *err)
{
	const struct chunk *k = chunk_of(c, err);
	struct buf records = { 0 };
	uint32_t n = 0;
	size_t end;

	if (!k || spool_reader_load(c->reader, &c->run, &records, err) < 0) {
		buf_release(&records);
		return err->code;
	}
	end = chunk_record_end(k->plain ? buf_from(&records, k->head)
					: buf_bytes(&k->bytes),
			       c->done, &n);
	*next = c->run.run.first + chunk_packets_in(&c->outcome->variant,
						    buf_bytes(&records),
						    c->skip, end);
	put_bytes(&c->rest,
		  bytes_of((k->plain ? records.p + k->head : k->bytes.p) +
				   c->done,
			   end - c->done));
	c->packets += n;
	count_add(&c->feed->count.packets, n);
	buf_release(&records);
	return 0;
}

void client_let_go(struct client *c)
{
	struct spool_seek to = { .place = SPOOL_INDEX, .index = c->at };
	struct err err = ERR_NONE;

	if (c->in_run && c->done && keep_rest(c, &to.index, &err) < 0) {
		client_close(c, err.text);
		return;
	}
	memcpy(to.origin, c->origin, SPOOL_ID);
	c->in_run = false;
	c->at = to.index;
	if (seek(c, &to, &err) < 0)
		client_close(c, err.text);
	else
		client_serve(c);
}

void client_end_at_record(struct client *c)
{
	struct err err = ERR_NONE;

	if (c->in_run && c->done && keep_rest(c, &c->at, &err) < 0) {
		client_close(c, err.text);
		return;
	}
	c->in_run = false;
	c->closing = true;
	client_serve(c);
}
