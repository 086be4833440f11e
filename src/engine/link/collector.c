/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collector.c - what both protocols of the dialling end have in common.
 */
#include "engine/link/collector_priv.h"

#include <assert.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "sys/sys.h"

static int take(struct link_end *e, struct bytes in, uint64_t now_ns,
		struct err *err);
static int work(struct link_end *e, uint64_t now_ns, struct err *err);
static uint64_t deadline(const struct link_end *e);
static bool hungry(const struct link_end *e);

static const struct link_end_calls calls = { take, work, deadline, hungry };

struct link_collector *
link_collector_new(const struct link_collector_config *cfg, uint64_t now_ns)
{
	struct link_collector *c = mem_alloc(sizeof(*c));
	const struct weirlink_hello hello = {
		.low = WEIRLINK_VERSION,
		.high = WEIRLINK_VERSION,
		.features = WEIRLINK_ZSTD | WEIRLINK_KEYLINES,
	};
	uint8_t e_secret[NOISE_KEY];
	struct buf b = { 0 };

	assert(cfg->n_mirrors > 0 && cfg->n_mirrors <= COLLECTOR_MIRRORS_MAX);
	c->cfg = *cfg;
	c->end = (struct link_end){ .calls = &calls, .wire = &c->wire };
	c->began_ns = c->heard_ns = now_ns;
	cfg->sys->random(cfg->sys, e_secret, sizeof(e_secret));
	if (!cfg->only_ipcap)
		put_weirlink_hello(&b, &hello);
	link_wire_dial(&c->wire, cfg->key, e_secret, cfg->agent, buf_bytes(&b));
	mem_wipe(e_secret, sizeof(e_secret));
	buf_release(&b);
	return c;
}

void link_collector_free(struct link_collector *c)
{
	if (!c)
		return;
	link_wire_release(&c->wire);
	zframe_release(&c->z);
	buf_release(&c->unpacked);
	buf_release(&c->records);
	mem_wipe(c, sizeof(*c));
	free(c);
}

struct link_end *link_collector_end(struct link_collector *c)
{
	return &c->end;
}

bool link_collector_shaken(const struct link_collector *c)
{
	return c->wire.open;
}

bool link_collector_live(const struct link_collector *c)
{
	return c->live;
}

const char *link_collector_protocol(const struct link_collector *c)
{
	return c->weir ? "weir" : "ipcap";
}

bool link_collector_again(const struct link_collector *c)
{
	return c->again;
}

void link_collector_leave(struct link_collector *c)
{
	c->leaving = true;
}

/* -- for the protocols --------------------------------------------------- */

int collector_corrupt(struct link_collector *c, int code, struct err *err,
		      const char *what)
{
	if (c->cfg.counts)
		atomic_fetch_add(&c->cfg.counts->corrupt_frames, 1);
	return err_set(err, code, "the agent sent %s", what);
}

void collector_keyline(struct link_collector *c, struct bytes line)
{
	if (!c->cfg.on_keyline || line.len > WEIRLINK_KEYLINE_MAX)
		return;
	c->cfg.on_keyline(c->cfg.arg, line);
}

/* -- the calls ----------------------------------------------------------- */

/* Both handshake messages are done: which protocol, and the question. */
static int ask(struct link_collector *c, struct err *err)
{
	struct weirlink_hello h;

	c->asked = true;
	if (c->cfg.only_ipcap ||
	    weirlink_hello_parse(buf_bytes(&c->wire.answer), &h) < 0)
		return collector_ipcap_ask(c, err);
	if (h.low > WEIRLINK_VERSION || h.high < WEIRLINK_VERSION)
		return err_set(err, ERR_FAILED,
			       "the agent speaks versions %u "
			       "to %u of the link, this collector version %d; "
			       "update the older end",
			       h.low, h.high, WEIRLINK_VERSION);
	c->weir = true;
	c->wire.rekeys = true;
	return collector_weir_ask(c, err);
}

static int take_frames(struct link_collector *c, struct err *err)
{
	int rc = c->weir ? collector_weir_take(c, err)
			 : collector_ipcap_take(c, err);

	c->stalled = rc == ERR_FULL;
	if (c->stalled)
		*err = ERR_NONE;
	return rc;
}

/* Take all frames that have a place, and open records while they do. */
static int take_all(struct link_collector *c, struct err *err)
{
	int rc = 0;

	if (c->stalled)
		rc = take_frames(c, err);
	while (rc == 0) {
		rc = link_wire_step(&c->wire, err);
		if (rc < 0)
			break;
		if (!c->asked)
			rc = ask(c, err);
		if (rc == 0 && c->wire.proven) {
			c->heard_ns = c->now_ns;
			rc = take_frames(c, err);
		}
	}
	return rc == ERR_AGAIN || rc == ERR_FULL ? 0 : rc;
}

static int take(struct link_end *e, struct bytes in, uint64_t now_ns,
		struct err *err)
{
	struct link_collector *c = (struct link_collector *)e;

	c->now_ns = now_ns;
	link_wire_take(&c->wire, in);
	return take_all(c, err);
}

static int check_time(struct link_collector *c, struct err *err)
{
	if (!c->asked && c->now_ns - c->began_ns >= LINK_HANDSHAKE_NS)
		return err_set(err, ERR_FAILED,
			       "no answer to the handshake "
			       "within 10 s");
	/* While we do not listen the agent cannot be heard. */
	if (c->stalled)
		c->heard_ns = c->now_ns;
	if (c->now_ns - c->heard_ns >= LINK_SILENCE_NS)
		return err_set(err, ERR_FAILED,
			       "the agent has been silent for 20 s");
	return 0;
}

static void say(struct link_collector *c)
{
	if (c->weir)
		collector_weir_ack(c);
	else
		collector_ipcap_ack(c);
	if (c->leaving && c->weir && !c->left)
		collector_weir_end(c);
	c->left = c->leaving;
}

static int work(struct link_end *e, uint64_t now_ns, struct err *err)
{
	struct link_collector *c = (struct link_collector *)e;
	int rc;

	c->now_ns = now_ns;
	rc = c->stalled ? take_all(c, err) : 0;
	if (rc == 0)
		rc = check_time(c, err);
	if (c->asked && c->wire.open) {
		struct err late = ERR_NONE;
		int flushed;

		if (rc == 0)
			say(c);
		flushed = link_wire_flush(&c->wire, now_ns, &late);
		if (rc == 0 && flushed < 0)
			return err_set(err, flushed, "%s", late.text);
	}
	return rc;
}

/* Only what will be said then: work must move each deadline on. */
static bool owes_ack(const struct link_collector *c, int i)
{
	if (c->weir)
		return true;
	return i == 0 && c->sources[i].announced && c->ipcap.heard;
}

static uint64_t deadline(const struct link_end *e)
{
	const struct link_collector *c = (const struct link_collector *)e;
	uint64_t at = c->heard_ns + LINK_SILENCE_NS;

	if (!c->asked)
		return c->began_ns + LINK_HANDSHAKE_NS;
	for (int i = 0; i < c->cfg.n_mirrors; i++)
		if (owes_ack(c, i) &&
		    c->sources[i].acked_ns + LINK_BEAT_NS < at)
			at = c->sources[i].acked_ns + LINK_BEAT_NS;
	return at;
}

static bool hungry(const struct link_end *e)
{
	const struct link_collector *c = (const struct link_collector *)e;

	return !c->stalled;
}
