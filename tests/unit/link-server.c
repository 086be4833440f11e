/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's door: strangers, floods, replays and successors, over loopback.
 * The clock is the test's.
 */
#include <errno.h>

#include "codec/weirlink.h"
#include "engine/link/rate.h"
#include "engine/link/server.h"
#include "engine/link/wire.h"
#include "link_here.h"

struct door {
	struct pair p; /* for its keys and its source */
	struct link_server_config cfg;
	struct link_server *server;
	uint64_t now;
	int links_moved;
};

struct client {
	int socket;
	struct link_wire wire;
	bool gone; /* the server has hung up */
};

static void on_links(void *arg)
{
	((struct door *)arg)->links_moved++;
}

static void open_door(struct door *d)
{
	struct err err = ERR_NONE;
	struct spool *s;

	memset(d, 0, sizeof(*d));
	remove_dir(t_path("spool"));
	remove_dir(t_path("mirror"));
	pair_init(&d->p);
	s = open_here();
	write_some(s, 2, 25);
	spool_close(s);
	d->now = d->p.now;
	d->cfg.agent = d->p.agent_cfg;
	d->cfg.agent.collectors = (const uint8_t(*)[NOISE_KEY])d->p.listed;
	d->cfg.listen = "127.0.0.1:0";
	d->cfg.on_links = on_links;
	d->cfg.arg = d;
	d->server = link_server_new(&d->cfg, &err);
	if (!d->server)
		fail_msg("%s", err.text);
}

static void close_door(struct door *d)
{
	link_server_free(d->server);
	mirror_close(d->p.mirror);
}

static void run(struct door *d)
{
	uint64_t at;

	link_server_run(d->server, d->now, &at);
}

static void dial(struct door *d, struct client *c, uint8_t e_secret)
{
	const struct weirlink_hello hello = { 1, 1, 0 };
	struct buf b = { 0 };
	struct pollfd p;

	*c = (struct client){ .socket = sys_host()->dial(
				      sys_host(),
				      link_server_bound(d->server)) };
	CHECK(c->socket >= 0);
	p = (struct pollfd){ .fd = c->socket, .events = POLLOUT };
	CHECK(poll(&p, 1, 5000) == 1);
	put_weirlink_hello(&b, &hello);
	link_wire_dial(&c->wire, &d->p.collector_key,
		       (const uint8_t[NOISE_KEY]){ e_secret },
		       d->p.agent_key.public, buf_bytes(&b));
	c->wire.rekeys = true;
	buf_release(&b);
}

static void drop(struct client *c)
{
	sys_host()->hang_up(sys_host(), c->socket);
	c->gone = true;
	link_wire_release(&c->wire);
}

static void send_out(struct client *c)
{
	struct bytes out = link_wire_out(&c->wire);

	if (out.len)
		CHECK_EQ(
			sys_host()->send(sys_host(), c->socket, out.p, out.len),
			out.len);
	link_wire_sent(&c->wire, out.len);
}

/* Until the condition holds, both sides running; false after the limit. */
#define UNTIL(d, c, what)                                                      \
	do {                                                                   \
		int tries_ = 0;                                                \
		for (; !(what) && tries_ < 2000; tries_++) {                   \
			run(d);                                                \
			take_in(c);                                            \
			if (!(what))                                           \
				poll(NULL, 0, 1);                              \
		}                                                              \
		CHECK(tries_ < 2000);                                          \
	} while (0)

static void take_in(struct client *c)
{
	struct err err = ERR_NONE;
	uint8_t chunk[16384];
	ssize_t n;

	while (!c->gone) {
		n = sys_host()->recv(sys_host(), c->socket, chunk,
				     sizeof(chunk));
		if (n == -EAGAIN)
			break;
		c->gone = n <= 0;
		if (n > 0)
			link_wire_take(&c->wire, bytes_of(chunk, (size_t)n));
	}
	while (link_wire_step(&c->wire, &err) == 0)
		;
}

static void ask(struct client *c)
{
	const struct weirlink_entry e = { .source = 1 };
	struct err err = ERR_NONE;

	put_weirlink_resume(&c->wire.plain, 0, &e, 1);
	CHECK_OK(link_wire_flush(&c->wire, 1, &err), &err);
	send_out(c);
}

TEST(an_older_connection_lives_until_the_newer_one_has_spoken)
{
	struct client old, new;
	struct door d;
	char line[160];
	size_t before;

	open_door(&d);
	dial(&d, &old, 1);
	send_out(&old);
	UNTIL(&d, &old, old.wire.open);
	CHECK_EQ(link_server_live(d.server), 0);
	ask(&old);
	UNTIL(&d, &old, link_wire_in(&old.wire).len > 1000);
	CHECK_EQ(link_server_live(d.server), 1);
	CHECK(link_server_link(d.server, 0, line, sizeof(line)));
	CHECK(strncmp(line, "127.0.0.1 ", 10) == 0);
	CHECK(!link_server_link(d.server, 1, line, sizeof(line)));

	dial(&d, &new, 2);
	send_out(&new);
	UNTIL(&d, &new, new.wire.open);
	before = link_wire_in(&old.wire).len;
	d.now += LINK_BEAT_NS;
	UNTIL(&d, &old, link_wire_in(&old.wire).len > before);
	CHECK(!old.gone);
	ask(&new);
	UNTIL(&d, &old, old.gone);
	UNTIL(&d, &new, link_wire_in(&new.wire).len > 1000);
	CHECK_EQ(link_server_live(d.server), 1);
	CHECK(d.links_moved >= 2);
	drop(&old);
	drop(&new);
	for (int i = 0; i < 2000 && link_server_live(d.server); i++) {
		run(&d);
		poll(NULL, 0, 1);
	}
	CHECK_EQ(link_server_live(d.server), 0);
	close_door(&d);
}

TEST(message_1_played_a_thousand_times_harms_no_session)
{
	struct client live, again;
	struct buf message = { 0 };
	struct door d;
	size_t before;

	open_door(&d);
	dial(&d, &live, 1);
	put_bytes(&message, link_wire_out(&live.wire));
	send_out(&live);
	UNTIL(&d, &live, live.wire.open);
	ask(&live);
	UNTIL(&d, &live, link_wire_in(&live.wire).len > 1000);
	for (int i = 0; i < 1000; i++) {
		dial(&d, &again, 9);
		buf_clear(&again.wire.out);
		put_bytes(&again.wire.out, buf_bytes(&message));
		put_bytes(&again.wire.out,
			  bytes_of("\0\x20"
				   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
				   34));
		send_out(&again);
		d.now += 60 * (uint64_t)MS;
		run(&d);
		drop(&again);
		run(&d);
		take_in(&live);
		CHECK(!live.gone);
		/* The live one has to speak, or it would be silent by now. */
		if (i % 100 == 0) {
			struct weirlink_frame f = {
				.type = WEIRLINK_ACK,
				.source = 1,
				.sequence = 1 + (uint64_t)i / 100
			};
			struct err err = ERR_NONE;

			put_weirlink(&live.wire.plain, &f);
			CHECK_OK(link_wire_flush(&live.wire, 1, &err), &err);
			send_out(&live);
		}
	}
	CHECK_EQ(link_server_live(d.server), 1);
	before = link_wire_in(&live.wire).len;
	d.now += LINK_BEAT_NS;
	UNTIL(&d, &live, link_wire_in(&live.wire).len > before);
	CHECK_EQ(atomic_load(&d.p.agent_counts.sessions), 1);
	drop(&live);
	buf_release(&message);
	close_door(&d);
}

TEST(I30_strangers_that_say_nothing_give_way_and_are_closed_after_10_s)
{
	struct client strangers[LINK_HALF_OPEN + 6], good;
	struct door d;
	int open = 0;

	open_door(&d);
	for (int i = 0; i < LINK_HALF_OPEN + 6; i++) {
		dial(&d, &strangers[i], 1);
		d.now += 60 * (uint64_t)MS; /* slower than the rate allows */
		run(&d);
		CHECK(link_server_half_open(d.server) <= LINK_HALF_OPEN);
	}
	CHECK_EQ(link_server_half_open(d.server), LINK_HALF_OPEN);
	for (int i = 0; i < LINK_HALF_OPEN + 6; i++) {
		take_in(&strangers[i]);
		open += !strangers[i].gone;
		if (i < 6)
			CHECK(strangers[i].gone);
	}
	CHECK_EQ(open, LINK_HALF_OPEN);
	/* The one with the key gets in all the same. */
	dial(&d, &good, 2);
	send_out(&good);
	UNTIL(&d, &good, good.wire.open);
	ask(&good);
	UNTIL(&d, &good, link_wire_in(&good.wire).len > 1000);
	d.now += LINK_HANDSHAKE_NS;
	run(&d);
	CHECK_EQ(link_server_half_open(d.server), 0);
	CHECK_EQ(link_server_live(d.server), 1);
	for (int i = 0; i < LINK_HALF_OPEN + 6; i++)
		drop(&strangers[i]);
	drop(&good);
	close_door(&d);
}

TEST(one_address_may_knock_five_times_at_once_and_twenty_times_a_second)
{
	struct rate r;
	uint64_t now = 1000000000;
	int passed = 0;

	rate_init(&r, LINK_RATE, LINK_BURST);
	for (int i = 0; i < 100; i++)
		passed += rate_allows(&r, "10.0.0.1:1", now);
	CHECK_EQ(passed, LINK_BURST);
	/* Another address has its own count; another port has not. */
	CHECK(rate_allows(&r, "10.0.0.2:1", now));
	CHECK(!rate_allows(&r, "10.0.0.1:2", now));
	passed = 0;
	for (int ms = 1; ms <= 1000; ms++)
		passed +=
			rate_allows(&r, "10.0.0.1:1", now + (uint64_t)ms * MS);
	CHECK_EQ(passed, LINK_RATE);
	/* A flood of other addresses costs the table, not the memory. */
	for (int i = 0; i < 100000; i++) {
		char address[32];

		snprintf(address, sizeof(address), "10.%d.%d.%d:1",
			 i >> 16 & 255, i >> 8 & 255, i & 255);
		rate_allows(&r, address, now);
	}
	rate_release(&r);
}

TEST(a_flood_of_failures_is_one_line_a_second)
{
	struct rate_log l = { 0 };
	char more[64];
	int lines = 0;

	for (int i = 0; i < 10000; i++)
		lines += rate_log(&l, (uint64_t)i * MS, more);
	CHECK_EQ(lines, 10);
	CHECK_STR(more, " (and 999 more like it)");
}

TEST(a_flood_of_connections_is_turned_away_by_the_rate)
{
	struct client many[40];
	struct door d;

	open_door(&d);
	for (int i = 0; i < 40; i++)
		dial(&d, &many[i], 1);
	for (int i = 0; i < 10; i++)
		run(&d);
	CHECK_EQ(link_server_half_open(d.server), LINK_BURST);
	CHECK_EQ(atomic_load(&d.p.agent_counts.connections), 40);
	for (int i = 0; i < 40; i++)
		drop(&many[i]);
	close_door(&d);
}
