/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feed.c - the listener: who may come, when to look, how it ends.
 *
 * Clients that have everything rest until the spool grows: its reader's
 * descriptor tells so, or feed_wake(), or, where there is neither, a look
 * every few milliseconds.  All others are woken by their sockets.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/expression.h"
#include "engine/feed/feed_priv.h"
#include "engine/feed/names.h"
#include "engine/feed/places.h"
#include "sys/loop.h"
#include "sys/sock.h"

enum {
	ACCEPT_TURN = 64,
	OUTCOMES_MAX = 64,
	LINES_A_SECOND = 40,
	POLL_NS = 5000000,
	ENDER_NS = 20000000,
	/* A socket, and what its reader holds open. */
	CLIENT_FILES = 5,
	OTHER_FILES = 200
};

#define TICK_NS	      UINT64_C(1000000000)
#define STUCK_NS      UINT64_C(10000000000)
#define END_HEAD_NS   UINT64_C(5000000000)
#define END_RECORD_NS UINT64_C(200000000)

/* -- the log --------------------------------------------------------------- */

void feed_log(struct feed *f, enum log_level level, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	if (!log_wants(level))
		return;
	if (f->lines_left == 0) {
		f->lines_lost++;
		return;
	}
	f->lines_left--;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	log_at(level, "feed", "%s", line);
}

static void new_second_of_log(struct feed *f)
{
	if (f->lines_lost)
		log_info("feed",
			 "%u more lines about clients of %s in the "
			 "last second",
			 f->lines_lost, f->address);
	f->lines_left = LINES_A_SECOND;
	f->lines_lost = 0;
}

/* -- what records become --------------------------------------------------- */

const struct outcome *
feed_outcome(struct feed *f, const struct spool_identity *id, struct err *err)
{
	uint32_t told = id->snaplen && id->snaplen < FEED_CAPLEN ? id->snaplen
								 : FEED_CAPLEN;
	struct outcome *o;
	int n = 0;

	for (o = f->outcomes; o; o = o->next, n++)
		if (o->linktype == id->linktype && o->snaplen == id->snaplen)
			return o;
	if (n == OUTCOMES_MAX) {
		err_set(err, ERR_LIMIT,
			"more than %d kinds of spools in one source",
			OUTCOMES_MAX);
		return NULL;
	}
	o = mem_alloc(sizeof(*o));
	if (f->cfg.filter[0]) {
		o->filter = expression_new(f->cfg.filter, id->linktype, err);
		if (!o->filter) {
			free(o);
			return NULL;
		}
	}
	o->linktype = id->linktype;
	o->snaplen = id->snaplen;
	o->variant = (struct variant){
		.nano = f->cfg.nano,
		.filter = o->filter,
		.snaplen =
			f->cfg.max_caplen ? (uint32_t)f->cfg.max_caplen : told
	};
	o->next = f->outcomes;
	f->outcomes = o;
	return o;
}

/*
 * The link type comes with the first packet, but a filter that compiles for
 * neither of the two usual ones is a slip of the pen: say so at once.
 */
int feed_config_check(const struct feed_config *cfg, struct err *err)
{
	static const uint32_t usual[] = { 1 /* Ethernet */, 101 /* raw IP */ };
	struct err last = ERR_NONE;

	if (!cfg->filter[0])
		return 0;
	for (int i = 1; i >= 0; i--) {
		struct expression *filter =
			expression_new(cfg->filter, usual[i], &last);

		expression_free(filter);
		if (filter)
			return 0;
	}
	*err = last;
	return err->code;
}

/* -- growth ---------------------------------------------------------------- */

static void serve_idle(struct feed *f)
{
	struct client *next;

	for (struct client *c = f->clients; c; c = next) {
		next = c->next;
		if (c->idle)
			client_serve(c);
	}
}

/* Follow the source to its end; true when there was something new. */
static bool has_grown(struct feed *f)
{
	struct spool_event ev;
	struct err err = ERR_NONE;
	bool grown = false;
	int rc;

	while ((rc = spool_reader_next(f->tail, &ev, &err)) == 0 ||
	       rc == ERR_DAMAGED)
		grown = true;
	return grown;
}

static void on_growth(void *arg, int fd, int what)
{
	(void)fd;
	(void)what;
	if (has_grown(arg))
		serve_idle(arg);
}

static void on_wake(void *arg)
{
	serve_idle(arg);
}

static void on_poll(void *arg)
{
	struct feed *f = arg;

	on_growth(f, -1, 0);
	loop_timer_in(f->poll, POLL_NS);
}

void feed_wake(struct feed *f)
{
	loop_wake(f->wake);
}

static int watch_growth(struct feed *f, struct err *err)
{
	const struct spool_seek live = { .place = SPOOL_LIVE };
	int fd;

	f->tail = spool_reader_open(f->sys, f->dir, err);
	if (!f->tail)
		return err->code;
	if (spool_reader_seek(f->tail, &live, err) == ERR_AGAIN)
		*err = ERR_NONE; /* there is nothing yet */
	if (err->code)
		return err->code;
	fd = spool_reader_fd(f->tail);
	if (fd >= 0) {
		f->growth = loop_watch(f->loop, fd, LOOP_READ, on_growth, f);
		on_growth(f, fd, LOOP_READ);
		return 0;
	}
	f->poll = loop_timer(f->loop, on_poll, f);
	loop_timer_in(f->poll, POLL_NS);
	return 0;
}

/* -- coming ---------------------------------------------------------------- */

/* Somebody who left without our noticing makes room for who is here. */
static bool make_room(struct feed *f)
{
	struct client *oldest = NULL;

	for (struct client *c = f->clients; c; c = c->next)
		if (c->half_closed)
			oldest = c;
	if (oldest)
		client_close(oldest, "others want its room");
	return f->n_clients < f->cfg.clients_max;
}

/*
 * from=client: the same reader again, whose last connection is still open here
 * because only its own side was closed, which we may not even have heard yet.
 */
static void take_over(struct feed *f, const char *peer)
{
	struct client *next;

	for (struct client *c = f->clients; c; c = next) {
		next = c->next;
		if (places_same_host(c->peer, peer) &&
		    (c->half_closed || client_hear(c)) && c->half_closed)
			client_close(c, "it came again");
	}
}

static void take_in(struct feed *f, int socket, const char *peer)
{
	if (f->places)
		take_over(f, peer);
	if (f->n_clients >= f->cfg.clients_max && !make_room(f)) {
		count_add(&f->count.refused, 1);
		f->sys->hang_up(f->sys, socket);
		feed_log(f, LOG_WARN,
			 "client %s refused: %llu are connected, the limit of "
			 "%s",
			 peer, (unsigned long long)f->n_clients, f->address);
		return;
	}
	client_new(f, socket, peer);
}

static void accept_later(struct feed *f, bool later)
{
	for (int i = 0; i < 2; i++)
		if (f->accepting[i])
			loop_watch_change(f->accepting[i],
					  later ? 0 : LOOP_READ);
}

static void on_accept(void *arg, int fd, int what)
{
	struct feed *f = arg;
	char peer[SYS_PEER_MAX];

	(void)what;
	for (int i = 0; i < ACCEPT_TURN; i++) {
		int s = f->sys->accept(f->sys, fd, peer);

		if (s >= 0) {
			take_in(f, s, peer);
		} else if (s == -EMFILE || s == -ENFILE || s == -ENOMEM ||
			   s == -ENOBUFS) {
			/* The tick tries again: until then it would only spin.
			 */
			feed_log(f, LOG_ERROR, "cannot accept at %s: %s",
				 f->address, strerror(-s));
			accept_later(f, true);
			return;
		} else if (s == -EAGAIN) {
			return;
		}
	}
}

static int listen_at(struct feed *f, int i, const char *address,
		     struct err *err)
{
	int s = f->sys->listen(f->sys, address);

	if (s < 0)
		return err_sys(err, -s, "cannot listen at %s", address);
	f->listening[i] = s;
	f->accepting[i] = loop_watch(f->loop, s, LOOP_READ, on_accept, f);
	return 0;
}

/* "localhost" is two addresses, and readers try either one first. */
static int listen_all(struct feed *f, struct err *err)
{
	static const char name[] = "localhost:";
	const char *address = f->cfg.listen;
	bool local = strncmp(address, name, sizeof(name) - 1) == 0;
	char text[SYS_PEER_MAX];
	struct err other = ERR_NONE;
	int rc;

	if (local) {
		snprintf(text, sizeof(text), "127.0.0.1:%s",
			 address + sizeof(name) - 1);
		address = text;
	}
	if (listen_at(f, 0, address, err) < 0)
		return err->code;
	rc = f->sys->bound(f->sys, f->listening[0], f->address);
	if (rc < 0)
		return err_sys(err, -rc, "the address of %s", address);
	if (local) {
		snprintf(text, sizeof(text), "[::1]%s",
			 strrchr(f->address, ':'));
		listen_at(f, 1, text, &other);
	}
	return 0;
}

static void stop_listening(struct feed *f)
{
	for (int i = 0; i < 2; i++) {
		loop_watch_free(f->accepting[i]);
		f->accepting[i] = NULL;
		if (f->listening[i] >= 0)
			f->sys->hang_up(f->sys, f->listening[i]);
		f->listening[i] = -1;
	}
}

/* "10.0.0.7:80" or "[::1]:80" as two words. */
static void put_end(struct buf *out, const char *end)
{
	const char *colon = strrchr(end, ':');
	size_t skip = end[0] == '[';

	if (colon)
		put_format(out, "%.*s %s",
			   (int)((size_t)(colon - end) - 2 * skip), end + skip,
			   colon + 1);
}

void feed_links(const struct feed *f, struct buf *out)
{
	for (const struct client *c = f->clients; c; c = c->next) {
		put_end(out, c->here);
		put_u8(out, ' ');
		put_end(out, c->peer);
		put_u8(out, '\n');
	}
}

void feed_on_links(struct feed *f, void (*fn)(void *arg), void *arg)
{
	f->on_links = fn;
	f->on_links_arg = arg;
}

void feed_links_changed(struct feed *f)
{
	if (f->on_links)
		f->on_links(f->on_links_arg);
}

/* -- every second ---------------------------------------------------------- */

static bool is_at(const struct client *c, const struct spool_reader_status *s)
{
	return memcmp(c->spool, s->identity.id, SPOOL_ID) == 0;
}

/* Why this client has to go, or NULL. */
static const char *unwanted(struct feed *f, const struct client *c,
			    const struct spool_reader_status *now)
{
	uint64_t still_ns = feed_now(f) - c->moved_ns;

	if (c->half_closed && sock_dead(c->socket))
		return "its machine has closed the connection";
	if (c->idle)
		return NULL;
	if (f->cfg.drop_slow && still_ns >= f->cfg.slow_ns)
		return "it takes nothing";
	/* It would keep the files of a spool that is over for ever. */
	if (c->outcome && !is_at(c, now) && still_ns >= STUCK_NS)
		return "it takes nothing, and the spool it reads is over";
	return NULL;
}

static void look_after(struct feed *f, struct client *c,
		       const struct spool_reader_status *now, uint64_t *behind)
{
	const char *why = unwanted(f, c, now);

	if (why) {
		if (!c->half_closed)
			count_add(&f->count.slow, 1);
		client_close(c, why);
		return;
	}
	if (!c->outcome || !is_at(c, now))
		return;
	if (now->head > c->at && now->head - c->at > *behind)
		*behind = now->head - c->at;
	if (c->in_run && c->at < now->oldest)
		client_let_go(c);
}

static void on_tick(void *arg)
{
	struct feed *f = arg;
	struct spool_reader_status now = { 0 };
	struct client *next;
	struct err err = ERR_NONE;
	uint64_t behind = 0;

	new_second_of_log(f);
	accept_later(f, false);
	/* Should a word about growth have been lost, this is how long it takes
	 * to be made up for. */
	on_growth(f, -1, 0);
	spool_reader_status(f->tail, &now, &err);
	for (struct client *c = f->clients; c; c = next) {
		next = c->next;
		look_after(f, c, &now, &behind);
	}
	count_set(&f->count.behind, behind);
	loop_timer_in(f->tick, TICK_NS);
}

/* -- beginning and ending -------------------------------------------------- */

struct feed *feed_new(struct loop *loop, struct sys *sys,
		      const char *source_dir, const struct feed_config *cfg,
		      struct err *err)
{
	struct feed *f;

	if (feed_config_check(cfg, err) < 0)
		return NULL;
	f = mem_alloc(sizeof(*f));
	f->loop = loop;
	f->sys = sys;
	f->dir = mem_text(source_dir);
	f->cfg = *cfg;
	f->listening[0] = f->listening[1] = -1;
	f->lines_left = LINES_A_SECOND;
	f->cache = chunk_cache_new(cfg->cache_max);
	sock_allow(cfg->clients_max * CLIENT_FILES + OTHER_FILES);
	if (cfg->from == FEED_CLIENT)
		f->places = places_new();
	if (cfg->names)
		f->names = names_start();
	f->tick = loop_timer(loop, on_tick, f);
	loop_timer_in(f->tick, TICK_NS);
	f->wake = loop_wake_new(loop, on_wake, f);
	if (!f->wake)
		err_set(err, ERR_FAILED, "no descriptor is left for a feed");
	if (!f->wake || watch_growth(f, err) < 0 || listen_all(f, err) < 0) {
		feed_free(f);
		return NULL;
	}
	return f;
}

static void free_outcomes(struct feed *f)
{
	while (f->outcomes) {
		struct outcome *o = f->outcomes;

		f->outcomes = o->next;
		expression_free(o->filter);
		free(o);
	}
}

void feed_free(struct feed *f)
{
	if (!f)
		return;
	stop_listening(f);
	while (f->clients)
		client_close(f->clients, NULL);
	loop_watch_free(f->growth);
	loop_timer_free(f->poll);
	loop_timer_free(f->tick);
	loop_timer_free(f->ender);
	loop_wake_free(f->wake);
	spool_reader_close(f->tail);
	names_stop(f->names);
	places_free(f->places);
	chunk_cache_free(f->cache);
	free_outcomes(f);
	free(f->dir);
	free(f);
}

const char *feed_address(const struct feed *f)
{
	return f->address;
}

const struct feed_counters *feed_counters(const struct feed *f)
{
	return &f->count;
}

static void on_ender(void *arg)
{
	struct feed *f = arg;
	uint64_t now = feed_now(f);
	struct client *next;

	for (struct client *c = f->clients; c; c = next) {
		uint64_t since =
			c->moved_ns > f->end_ns ? c->moved_ns : f->end_ns;

		next = c->next;
		if (f->how == FEED_END_RECORD ? now - f->end_ns >= END_RECORD_NS
					      : now - since >= END_HEAD_NS) {
			count_add(&f->count.slow, 1);
			client_close(c, "it takes nothing, and this is the "
					"end");
		}
	}
	if (f->clients) {
		loop_timer_in(f->ender, ENDER_NS);
		return;
	}
	if (f->done)
		f->done(f->done_arg);
	f->done = NULL;
}

void feed_end(struct feed *f, enum feed_end how, void (*done)(void *arg),
	      void *arg)
{
	struct client *next;

	f->ending = true;
	f->how = how;
	f->end_ns = feed_now(f);
	f->done = done;
	f->done_arg = arg;
	stop_listening(f);
	for (struct client *c = f->clients; c; c = next) {
		next = c->next;
		if (how == FEED_END_RECORD)
			client_end_at_record(c);
		else if (c->idle)
			client_serve(c);
	}
	if (!f->ender)
		f->ender = loop_timer(f->loop, on_ender, f);
	loop_timer_in(f->ender, f->clients ? ENDER_NS : 0);
}
