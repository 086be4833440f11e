/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/link/dialer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "sys/sys.h"

#include "engine/link/mirror.h"
#include "engine/link/pump.h"
#include "engine/link/rate.h"

static const uint64_t ms = 1000000;

enum {
	PAUSE_FIRST_MS = 100,
	PAUSE_MOVED_MS = 200, /* after a session that brought packets */
	PAUSE_MOST_MS = 5000,
	HEALTHY_MS = 10000,
	/* An agent says something each second; after this much silence we dial
	 * beside the session. */
	DOUBT_MS = 1500,
	/*
	 * A lost SYN is repeated after 1, 3 and 7 s only, so while nobody
	 * answers another dial goes out each DIAL_MS.  All but one are given
	 * up after QUICK_MS; the one is for the far away.
	 */
	DIAL_MS = 250,
	QUICK_MS = 1000,
	PATIENT_MS = 8000,
	DIALS = 1 + QUICK_MS / DIAL_MS,
	/* For the answer to the handshake; doubles while none comes. */
	SHAKE_FIRST_MS = 1000,
	SHAKE_MOST_MS = 10000
};

/* A socket that was dialled; the first of the table is the patient one. */
struct dial {
	int socket; /* -1: none */
	uint64_t number, since_ns;
};

/* A connection.  Its end is NULL where there is none. */
struct line {
	struct link_collector *end;
	struct link_pump pump;
	uint64_t number;
	uint64_t since_ns;
};

/*
 * There is at most one session, and one attempt at the next one: dials first,
 * then a handshake on the one that was answered first.  The attempt goes on
 * beside a session that has fallen silent, until that is heard again.
 */
struct link_dialer {
	struct link_dialer_config cfg;
	struct sys *sys;
	char *address; /* owned; NULL: nobody to dial */
	uint8_t agent[NOISE_KEY];

	struct line session; /* the handshake is done */
	bool told_live;
	uint64_t live_ns;
	uint64_t heard, heard_ns; /* bytes of it, and when the last came */

	struct dial dials[DIALS];
	struct line shaking;
	uint64_t next_ns; /* not before: the next dial */
	uint64_t pause_ms, shake_ms;

	bool asked_again; /* the session before this one ended for that */
	struct rate_log log;
	uint64_t numbers; /* of all sockets: tells those on one fd apart */
	uint64_t attempts, sessions, received, sent;
	uint64_t packets; /* in all mirrors when this session began */
};

struct link_dialer *link_dialer_new(const struct link_dialer_config *cfg)
{
	struct link_dialer *d = mem_alloc(sizeof(*d));

	d->cfg = *cfg;
	d->sys = cfg->collector.sys;
	d->cfg.collector.agent = d->agent;
	for (int i = 0; i < DIALS; i++)
		d->dials[i].socket = -1;
	d->pause_ms = PAUSE_FIRST_MS;
	d->shake_ms = SHAKE_FIRST_MS;
	return d;
}

static void hang_up(struct link_dialer *d, struct line *l)
{
	if (!l->end)
		return;
	d->received += l->pump.received;
	d->sent += l->pump.sent;
	link_pump_release(&l->pump);
	link_collector_free(l->end);
	l->end = NULL;
}

static void drop_dials(struct link_dialer *d)
{
	for (int i = 0; i < DIALS; i++) {
		if (d->dials[i].socket >= 0)
			d->sys->hang_up(d->sys, d->dials[i].socket);
		d->dials[i].socket = -1;
	}
}

/* The attempt begins again, not before next_ns. */
static void drop_attempt(struct link_dialer *d)
{
	drop_dials(d);
	hang_up(d, &d->shaking);
}

static bool attempting(const struct link_dialer *d)
{
	for (int i = 0; i < DIALS; i++)
		if (d->dials[i].socket >= 0)
			return true;
	return d->shaking.end;
}

static void leave(struct link_dialer *d)
{
	struct err err = ERR_NONE;

	drop_attempt(d);
	if (d->session.end) {
		link_collector_leave(d->session.end);
		(void)link_pump_run(&d->session.pump, d->sys->mono_ns(d->sys),
				    &err);
	}
	hang_up(d, &d->session);
}

void link_dialer_free(struct link_dialer *d)
{
	if (!d)
		return;
	leave(d);
	free(d->address);
	free(d);
}

static void at_once(struct link_dialer *d)
{
	d->next_ns = 0;
	d->pause_ms = PAUSE_FIRST_MS;
	d->shake_ms = SHAKE_FIRST_MS;
}

void link_dialer_target(struct link_dialer *d, const char *address,
			const uint8_t agent[NOISE_KEY])
{
	bool same = address && d->address && strcmp(address, d->address) == 0 &&
		    noise_key_equal(agent, d->agent);

	if (same || (!address && !d->address))
		return;
	leave(d);
	free(d->address);
	d->address = address ? mem_text(address) : NULL;
	if (address)
		memcpy(d->agent, agent, NOISE_KEY);
	at_once(d);
}

void link_dialer_nudge(struct link_dialer *d)
{
	if (d->session.end && !attempting(d))
		return;
	drop_attempt(d);
	at_once(d);
}

/* -- the attempt --------------------------------------------------------- */

/* Full jitter: many collectors of one agent do not come back in step. */
static void pause(struct link_dialer *d, uint64_t now_ns)
{
	uint32_t r;

	d->sys->random(d->sys, &r, sizeof(r));
	d->next_ns = now_ns + r % (d->pause_ms + 1) * ms;
	d->pause_ms *= 2;
	if (d->pause_ms > PAUSE_MOST_MS)
		d->pause_ms = PAUSE_MOST_MS;
}

static void say(struct link_dialer *d, uint64_t now_ns, const char *what,
		const char *why)
{
	char more[64];

	if (rate_log(&d->log, now_ns, more))
		log_warn("link", "agent %s: %s%s%s", d->address, what, why,
			 more);
}

/* Says the world that the way there is broken, not that nobody is there? */
static bool no_way(int why)
{
	return why == ENETUNREACH || why == EHOSTUNREACH || why == ENETDOWN ||
	       why == EADDRNOTAVAIL || why == ETIMEDOUT;
}

/* A way that opens is found by asking; one who refuses is given time. */
static void dial_failed(struct link_dialer *d, int why, uint64_t now_ns)
{
	say(d, now_ns, "cannot dial: ", strerror(why));
	if (no_way(why))
		return; /* next_ns stands */
	drop_dials(d);
	pause(d, now_ns);
}

/* The patient place while it is free, then any other. */
static struct dial *place_for_dial(struct link_dialer *d)
{
	for (int i = 0; i < DIALS; i++)
		if (d->dials[i].socket < 0)
			return &d->dials[i];
	return NULL;
}

static void dial(struct link_dialer *d, uint64_t now_ns)
{
	struct dial *at = place_for_dial(d);

	d->next_ns = now_ns + DIAL_MS * ms;
	if (!at)
		return;
	d->attempts++;
	at->socket = d->sys->dial(d->sys, d->address);
	at->number = ++d->numbers;
	at->since_ns = now_ns;
	if (at->socket < 0) {
		dial_failed(d, -at->socket, now_ns);
		at->socket = -1;
	}
}

static void shake_hands(struct link_dialer *d, struct dial *at, uint64_t now_ns)
{
	struct line *l = &d->shaking;

	if (d->cfg.tune)
		d->cfg.tune(d->cfg.arg, at->socket);
	l->end = link_collector_new(&d->cfg.collector, now_ns);
	link_pump_init(&l->pump, d->sys, at->socket, link_collector_end(l->end),
		       now_ns);
	l->number = at->number;
	l->since_ns = now_ns;
	at->socket = -1;
	drop_dials(d);
}

static void await_answers(struct link_dialer *d, uint64_t now_ns)
{
	for (int i = 0; i < DIALS && !d->shaking.end; i++) {
		struct dial *at = &d->dials[i];
		int rc;

		if (at->socket < 0)
			continue;
		rc = d->sys->dialled(d->sys, at->socket);
		if (rc == 0) {
			shake_hands(d, at, now_ns);
			return;
		}
		if (rc == -EINPROGRESS &&
		    now_ns - at->since_ns < (i ? QUICK_MS : PATIENT_MS) * ms)
			continue;
		d->sys->hang_up(d->sys, at->socket);
		at->socket = -1;
		if (rc == -EINPROGRESS)
			say(d, now_ns, "no answer", "");
		else
			dial_failed(d, -rc, now_ns);
	}
}

static uint64_t packets_put(const struct link_dialer *d)
{
	uint64_t sum = 0;

	for (int i = 0; i < d->cfg.collector.n_mirrors; i++) {
		struct mirror_status st;

		mirror_status(d->cfg.collector.mirrors[i], &st);
		sum += st.packets;
	}
	return sum;
}

/* The agent has answered: whatever there was before is over. */
static void begin_session(struct link_dialer *d, uint64_t now_ns)
{
	if (d->session.end && d->told_live)
		log_info("link",
			 "agent %s: it was silent; it goes on over "
			 "a new connection",
			 d->address);
	hang_up(d, &d->session);
	d->session = d->shaking;
	d->shaking.end = NULL;
	d->told_live = false;
	d->heard = d->session.pump.received;
	d->heard_ns = now_ns;
	d->packets = packets_put(d);
	d->shake_ms = SHAKE_FIRST_MS;
}

/* What the end says is wrong with it, when there was no session yet. */
static void say_failed(struct link_dialer *d, const struct line *l,
		       const struct err *err, uint64_t now_ns)
{
	if (!link_collector_shaken(l->end))
		say(d, now_ns, err->text,
		    " in the handshake; is our key on "
		    "its list, and its key the one we were given?");
	else
		say(d, now_ns, err->text, "");
}

static void shake(struct link_dialer *d, uint64_t now_ns)
{
	struct line *l = &d->shaking;
	struct err err = ERR_NONE;
	int rc = link_pump_run(&l->pump, now_ns, &err);

	if (rc < 0) {
		say_failed(d, l, &err, now_ns);
		hang_up(d, l);
		pause(d, now_ns);
	} else if (link_collector_shaken(l->end)) {
		begin_session(d, now_ns);
	} else if (now_ns - l->since_ns >= d->shake_ms * ms) {
		say(d, now_ns, "no answer to the handshake", "");
		hang_up(d, l);
		d->next_ns = now_ns;
		d->shake_ms *= 2;
		if (d->shake_ms > SHAKE_MOST_MS)
			d->shake_ms = SHAKE_MOST_MS;
	}
}

static void attempt(struct link_dialer *d, uint64_t now_ns)
{
	if (!d->shaking.end)
		await_answers(d, now_ns);
	if (!d->shaking.end && now_ns >= d->next_ns)
		dial(d, now_ns);
	if (d->shaking.end)
		shake(d, now_ns);
}

/* -- the session --------------------------------------------------------- */

static void ended(struct link_dialer *d, uint64_t now_ns, const struct err *err)
{
	bool again = link_collector_again(d->session.end);
	bool healthy = d->told_live && now_ns - d->live_ns >= HEALTHY_MS * ms;

	if (d->told_live)
		log_info("link", "agent %s: the session ends: %s", d->address,
			 err->text);
	else
		say_failed(d, &d->session, err, now_ns);
	hang_up(d, &d->session);
	if (healthy)
		d->pause_ms = PAUSE_FIRST_MS;
	else if (d->pause_ms > PAUSE_MOVED_MS && packets_put(d) != d->packets)
		d->pause_ms = PAUSE_MOVED_MS;
	if (!attempting(d))
		pause(d, now_ns);
	/* Once: an agent that never agrees must not make us spin. */
	if (again && !d->asked_again)
		d->next_ns = now_ns;
	d->asked_again = again;
}

static void pump(struct link_dialer *d, uint64_t now_ns)
{
	struct line *l = &d->session;
	struct err err = ERR_NONE;
	int rc;

	for (int i = 0; i < d->cfg.collector.n_mirrors; i++)
		mirror_clear(d->cfg.collector.mirrors[i]);
	rc = link_pump_run(&l->pump, now_ns, &err);
	/* What we do not read we cannot hear. */
	if (l->pump.received != d->heard || !l->pump.wants_read)
		d->heard_ns = now_ns;
	d->heard = l->pump.received;
	if (!d->told_live && link_collector_live(l->end)) {
		d->told_live = true;
		d->live_ns = now_ns;
		d->sessions++;
		if (d->cfg.collector.counts)
			atomic_fetch_add(&d->cfg.collector.counts->sessions, 1);
		log_info("link", "agent %s is connected and speaks %s",
			 d->address, link_collector_protocol(l->end));
	}
	if (rc < 0)
		ended(d, now_ns, &err);
}

/*
 * Has a session that should have been heard fallen silent?  An ipcap agent
 * without packets says nothing before its preamble.
 */
static bool doubtful(const struct link_dialer *d, uint64_t now_ns)
{
	return d->told_live && now_ns - d->heard_ns >= DOUBT_MS * ms;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* When the attempt wants to be looked at. */
static uint64_t attempt_deadline(const struct link_dialer *d)
{
	const struct line *l = &d->shaking;
	uint64_t at;

	if (l->end)
		return earlier(l->pump.deadline_ns,
			       l->since_ns + d->shake_ms * ms);
	/* Dials that are given up are followed by one each DIAL_MS anyway. */
	at = d->next_ns;
	for (int i = 1; i < DIALS; i++)
		if (d->dials[i].socket >= 0)
			at = earlier(at, d->dials[i].since_ns + QUICK_MS * ms);
	return at;
}

static uint64_t next_run(const struct link_dialer *d, uint64_t now_ns)
{
	bool doubt = doubtful(d, now_ns);
	uint64_t at = now_ns + LINK_BEAT_NS;

	if (d->session.end) {
		if (d->session.pump.more)
			return now_ns;
		at = d->session.pump.deadline_ns;
		if (d->told_live && !doubt)
			at = earlier(at, d->heard_ns + DOUBT_MS * ms);
	}
	if (!d->session.end || doubt)
		at = earlier(at, attempt_deadline(d));
	return at;
}

void link_dialer_run(struct link_dialer *d, uint64_t now_ns,
		     uint64_t *deadline_ns)
{
	*deadline_ns = now_ns + LINK_BEAT_NS;
	if (!d->address)
		return;
	if (d->session.end)
		pump(d, now_ns);
	if (!d->session.end || doubtful(d, now_ns)) {
		attempt(d, now_ns);
	} else if (attempting(d)) {
		drop_attempt(d);
		at_once(d);
	}
	*deadline_ns = next_run(d, now_ns);
}

void link_dialer_watch(const struct link_dialer *d, struct link_watch *w)
{
	const struct line *lines[] = { &d->session, &d->shaking };

	for (int i = 0; i < DIALS; i++)
		if (d->dials[i].socket >= 0)
			link_watch_want(w, d->dials[i].socket,
					d->dials[i].number, false, true);
	for (int i = 0; i < 2; i++)
		if (lines[i]->end)
			link_watch_want(w, lines[i]->pump.socket,
					lines[i]->number,
					lines[i]->pump.wants_read,
					lines[i]->pump.wants_write);
	for (int i = 0; d->session.end && i < d->cfg.collector.n_mirrors; i++) {
		const struct mirror *m = d->cfg.collector.mirrors[i];

		if (mirror_fd(m) >= 0)
			link_watch_want(w, mirror_fd(m), mirror_life(m), true,
					false);
	}
}

void link_dialer_status(const struct link_dialer *d,
			struct link_dialer_status *status)
{
	const struct line *l = &d->session;

	*status = (struct link_dialer_status){
		.connected = l->end && link_collector_live(l->end),
		.protocol = l->end ? link_collector_protocol(l->end) : "none",
		.reconnects = d->sessions ? d->sessions - 1 : 0,
		.attempts = d->attempts,
		.received = d->received + (l->end ? l->pump.received : 0),
		.sent = d->sent + (l->end ? l->pump.sent : 0),
	};
}
