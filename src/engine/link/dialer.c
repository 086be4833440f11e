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
	ANSWER_MS = 1000, /* for the other side's kernel to answer a dial */
	ANSWER_FAR_MS = 8000
};

enum state { NOBODY, PAUSING, DIALLING, UP };

struct link_dialer {
	struct link_dialer_config cfg;
	struct sys *sys;
	enum state state;
	char *address; /* owned */
	uint8_t agent[NOISE_KEY];
	int socket; /* while dialling; then the pump has it */
	struct link_pump pump;
	struct link_collector *end;
	uint64_t number;   /* of the connection */
	uint64_t until_ns; /* of the pause, or for an answer */
	uint64_t up_ns;
	uint64_t pause_ms;
	bool told_live;
	bool asked_again; /* the session before this one ended for that */
	struct rate_log log;
	uint64_t attempts, sessions, received, sent;
	uint64_t packets; /* in all mirrors when this session began */
};

struct link_dialer *link_dialer_new(const struct link_dialer_config *cfg)
{
	struct link_dialer *d = mem_alloc(sizeof(*d));

	d->cfg = *cfg;
	d->sys = cfg->collector.sys;
	d->cfg.collector.agent = d->agent;
	d->socket = -1;
	d->pause_ms = PAUSE_FIRST_MS;
	return d;
}

static void hang_up(struct link_dialer *d)
{
	if (d->socket >= 0)
		d->sys->hang_up(d->sys, d->socket);
	d->socket = -1;
	if (!d->end)
		return;
	d->received += d->pump.received;
	d->sent += d->pump.sent;
	link_pump_release(&d->pump);
	link_collector_free(d->end);
	d->end = NULL;
}

static void leave(struct link_dialer *d)
{
	struct err err = ERR_NONE;

	if (d->end) {
		link_collector_leave(d->end);
		(void)link_pump_run(&d->pump, d->sys->mono_ns(d->sys), &err);
	}
	hang_up(d);
}

void link_dialer_free(struct link_dialer *d)
{
	if (!d)
		return;
	leave(d);
	free(d->address);
	free(d);
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
	d->state = address ? PAUSING : NOBODY;
	d->until_ns = 0;
	d->pause_ms = PAUSE_FIRST_MS;
}

void link_dialer_nudge(struct link_dialer *d)
{
	if (d->state == PAUSING || d->state == DIALLING) {
		hang_up(d);
		d->state = PAUSING;
		d->until_ns = 0;
		d->pause_ms = PAUSE_FIRST_MS;
	}
}

/* -- the states ---------------------------------------------------------- */

/* Full jitter: many collectors of one agent do not come back in step. */
static void pause(struct link_dialer *d, uint64_t now_ns)
{
	uint32_t r;

	d->sys->random(d->sys, &r, sizeof(r));
	d->until_ns = now_ns + r % (d->pause_ms + 1) * ms;
	d->pause_ms *= 2;
	if (d->pause_ms > PAUSE_MOST_MS)
		d->pause_ms = PAUSE_MOST_MS;
	d->state = PAUSING;
}

static void say(struct link_dialer *d, uint64_t now_ns, const char *what,
		const char *why)
{
	char more[64];

	if (rate_log(&d->log, now_ns, more))
		log_warn("link", "agent %s: %s%s%s", d->address, what, why,
			 more);
}

static void dial(struct link_dialer *d, uint64_t now_ns)
{
	bool far = d->attempts++ % 4 == 3;

	d->number++;
	d->socket = d->sys->dial(d->sys, d->address);
	if (d->socket < 0) {
		say(d, now_ns, "cannot dial: ", strerror(-d->socket));
		d->socket = -1;
		pause(d, now_ns);
		return;
	}
	if (d->cfg.tune)
		d->cfg.tune(d->cfg.arg, d->socket);
	d->until_ns = now_ns + (far ? ANSWER_FAR_MS : ANSWER_MS) * ms;
	d->state = DIALLING;
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

static void await_answer(struct link_dialer *d, uint64_t now_ns)
{
	int rc = d->sys->dialled(d->sys, d->socket);

	if (rc == 0) {
		d->end = link_collector_new(&d->cfg.collector, now_ns);
		link_pump_init(&d->pump, d->sys, d->socket,
			       link_collector_end(d->end), now_ns);
		d->socket = -1;
		d->told_live = false;
		d->packets = packets_put(d);
		d->state = UP;
		return;
	}
	if (rc == -EINPROGRESS && now_ns < d->until_ns)
		return;
	hang_up(d);
	if (rc == -EINPROGRESS) {
		/* The wait was the pause. */
		say(d, now_ns, "no answer", "");
		d->state = PAUSING;
		d->until_ns = now_ns;
		return;
	}
	say(d, now_ns, "cannot dial: ", strerror(-rc));
	pause(d, now_ns);
}

static void ended(struct link_dialer *d, uint64_t now_ns, const struct err *err)
{
	bool again = link_collector_again(d->end);
	bool healthy = d->told_live && now_ns - d->up_ns >= HEALTHY_MS * ms;

	if (d->told_live)
		log_info("link", "agent %s: the session ends: %s", d->address,
			 err->text);
	else if (!link_collector_shaken(d->end))
		say(d, now_ns, err->text,
		    " in the handshake; is our key on "
		    "its list, and its key the one we were given?");
	else
		say(d, now_ns, err->text, "");
	hang_up(d);
	if (healthy)
		d->pause_ms = PAUSE_FIRST_MS;
	else if (d->pause_ms > PAUSE_MOVED_MS && packets_put(d) != d->packets)
		d->pause_ms = PAUSE_MOVED_MS;
	pause(d, now_ns);
	/* Once: an agent that never agrees must not make us spin. */
	if (again && !d->asked_again)
		d->until_ns = now_ns;
	d->asked_again = again;
}

static void pump(struct link_dialer *d, uint64_t now_ns)
{
	struct err err = ERR_NONE;
	int rc;

	for (int i = 0; i < d->cfg.collector.n_mirrors; i++)
		mirror_clear(d->cfg.collector.mirrors[i]);
	rc = link_pump_run(&d->pump, now_ns, &err);
	if (!d->told_live && link_collector_live(d->end)) {
		d->told_live = true;
		d->up_ns = now_ns;
		d->sessions++;
		if (d->cfg.collector.counts)
			atomic_fetch_add(&d->cfg.collector.counts->sessions, 1);
		log_info("link", "agent %s is connected and speaks %s",
			 d->address, link_collector_protocol(d->end));
	}
	if (rc < 0)
		ended(d, now_ns, &err);
}

void link_dialer_run(struct link_dialer *d, uint64_t now_ns,
		     uint64_t *deadline_ns)
{
	if (d->state == PAUSING && now_ns >= d->until_ns)
		dial(d, now_ns);
	if (d->state == DIALLING)
		await_answer(d, now_ns);
	if (d->state == UP)
		pump(d, now_ns);
	switch (d->state) {
	case NOBODY:
		*deadline_ns = now_ns + LINK_BEAT_NS;
		break;
	case PAUSING:
	case DIALLING:
		*deadline_ns = d->until_ns;
		break;
	case UP:
		*deadline_ns = d->pump.more ? now_ns : d->pump.deadline_ns;
		break;
	}
}

void link_dialer_watch(const struct link_dialer *d, struct link_watch *w)
{
	if (d->state == DIALLING)
		link_watch_want(w, d->socket, d->number, false, true);
	if (d->state != UP)
		return;
	link_watch_want(w, d->pump.socket, d->number, d->pump.wants_read,
			d->pump.wants_write);
	for (int i = 0; i < d->cfg.collector.n_mirrors; i++) {
		const struct mirror *m = d->cfg.collector.mirrors[i];

		if (mirror_fd(m) >= 0)
			link_watch_want(w, mirror_fd(m), mirror_life(m), true,
					false);
	}
}

void link_dialer_status(const struct link_dialer *d,
			struct link_dialer_status *status)
{
	*status = (struct link_dialer_status){
		.connected = d->end && link_collector_live(d->end),
		.protocol = d->end ? link_collector_protocol(d->end) : "none",
		.reconnects = d->sessions ? d->sessions - 1 : 0,
		.attempts = d->attempts,
		.received = d->received + (d->end ? d->pump.received : 0),
		.sent = d->sent + (d->end ? d->pump.sent : 0),
	};
}
