/* SPDX-License-Identifier: Apache-2.0 */
/*
 * services.c - TLS by its look, a vault with a menu, and an arena over UDP.
 */
#include "sample.h"

/* -- TLS ---------------------------------------------------------------- */

enum {
	HELLO_CLIENT = 1,
	HELLO_SERVER = 2,
	RECORD_HANDSHAKE = 22,
	RECORD_CHANGE = 20,
	RECORD_DATA = 23
};

static void poke_be16(struct buf *b, size_t at)
{
	size_t len = b->len - at - 2;

	b->p[at] = (uint8_t)(len >> 8);
	b->p[at + 1] = (uint8_t)len;
}

/* Room for a length of two bytes, told by poke_be16() when it is known. */
static size_t open_length(struct buf *b)
{
	put_be16(b, 0);
	return b->len - 2;
}

static void put_extension(struct buf *b, uint16_t type, struct bytes body)
{
	put_be16(b, type);
	put_be16(b, (uint16_t)body.len);
	put_bytes(b, body);
}

static void put_server_name(struct buf *b, const struct path *path)
{
	size_t outer, list, name;

	put_be16(b, 0);
	outer = open_length(b);
	list = open_length(b);
	put_u8(b, 0);
	name = open_length(b);
	put_format(b, "vault.team%u.example", path->end[1].team);
	poke_be16(b, name);
	poke_be16(b, list);
	poke_be16(b, outer);
}

/* A share of X25519; in a server's it stands without a list around it. */
static void put_key_share(struct gen *g, struct buf *b, bool list)
{
	put_be16(b, 51);
	put_be16(b, list ? 38 : 36);
	if (list)
		put_be16(b, 36);
	put_be16(b, 29);
	put_be16(b, 32);
	put_noise(g, b, 32);
}

static void put_client_extensions(struct gen *g, struct buf *b,
				  const struct path *path)
{
	size_t all = open_length(b);

	put_server_name(b, path);
	put_extension(b, 23, nothing()); /* extended_master_secret */
	put_extension(b, 10, bytes_of("\0\4\0\x1d\0\x17", 6));
	put_extension(b, 11, bytes_of("\1\0", 2));
	put_extension(b, 16, bytes_of("\0\x0c\2h2\x08http/1.1", 14));
	put_extension(b, 13, bytes_of("\0\x08\4\3\x08\4\4\1\5\3", 10));
	put_extension(b, 43, bytes_of("\4\3\4\3\3", 5));
	put_extension(b, 45, bytes_of("\1\1", 2));
	put_key_share(g, b, true);
	poke_be16(b, all);
}

static void put_hello(struct gen *g, struct buf *b, const struct path *path,
		      uint8_t type, struct bytes session)
{
	static const uint8_t ciphers[] = { 0x13, 1,    0x13, 2,	   0x13, 3,
					   0xc0, 0x2b, 0xc0, 0x2f, 0xcc, 0xa9 };
	size_t record, body, all;

	put_u8(b, RECORD_HANDSHAKE);
	put_be16(b, 0x0301);
	record = open_length(b);
	put_u8(b, type);
	put_u8(b, 0);
	body = open_length(b);
	put_be16(b, 0x0303);
	put_noise(g, b, 32);
	put_u8(b, 32);
	put_bytes(b, session);
	if (type == HELLO_CLIENT) {
		put_be16(b, sizeof(ciphers));
		put_bytes(b, bytes_of(ciphers, sizeof(ciphers)));
		put_be16(b, 0x0100); /* one compression: none */
		put_client_extensions(g, b, path);
	} else {
		put_be16(b, 0x1301);
		put_u8(b, 0);
		all = open_length(b);
		put_extension(b, 43, bytes_of("\3\4", 2));
		put_key_share(g, b, false);
		poke_be16(b, all);
	}
	poke_be16(b, body);
	poke_be16(b, record);
}

static void put_tls_record(struct gen *g, struct buf *b, uint8_t type,
			   size_t len)
{
	put_u8(b, type);
	put_be16(b, 0x0303);
	put_be16(b, (uint16_t)len);
	if (type == RECORD_CHANGE)
		put_u8(b, 1);
	else
		put_noise(g, b, len);
}

static void shake_hands(struct conn *c, struct buf *b)
{
	struct buf session = { 0 };

	put_noise(c->g, &session, 32);
	put_hello(c->g, b, &c->path, HELLO_CLIENT, buf_bytes(&session));
	conn_say_buf(c, 0, b);
	put_hello(c->g, b, &c->path, HELLO_SERVER, buf_bytes(&session));
	put_tls_record(c->g, b, RECORD_CHANGE, 1);
	put_tls_record(c->g, b, RECORD_DATA, between(c->g, 900, 2600));
	conn_say_buf(c, 1, b);
	put_tls_record(c->g, b, RECORD_CHANGE, 1);
	put_tls_record(c->g, b, RECORD_DATA, 53);
	conn_say_buf(c, 0, b);
	buf_release(&session);
}

void tls_story(struct gen *g, uint64_t at, struct path *path)
{
	struct conn c;
	struct buf b = { 0 };

	path->port[1] = below(g, 2) ? 443 : 8443;
	c = conn_new(g, path, at);
	conn_open(&c);
	shake_hands(&c, &b);
	for (uint32_t n = between(g, 1, 6); n; n--) {
		put_tls_record(g, &b, RECORD_DATA, between(g, 60, 900));
		conn_say_buf(&c, 0, &b);
		conn_think(&c, 40);
		put_tls_record(g, &b, RECORD_DATA, between(g, 300, 9000));
		conn_say_buf(&c, 1, &b);
		conn_think(&c, 600);
	}
	conn_close(&c, 0);
	buf_release(&b);
}

/* -- a vault ------------------------------------------------------------ */

static const char menu[] = "\n1) register\n2) log in\n3) put something in\n"
			   "4) take it out\n5) leave\n> ";

static void answer(struct conn *c, struct buf *b, const char *text)
{
	put_text(b, text);
	conn_say_buf(c, 1, b);
	conn_think(c, 60);
}

/* Choose from the menu, then answer one question. */
static void choose(struct conn *c, struct buf *b, char item, const char *ask)
{
	put_format(b, "%c\n", item);
	conn_say_buf(c, 0, b);
	answer(c, b, ask);
}

static void enter(struct conn *c, struct buf *b, bool new)
{
	choose(c, b, new ? '1' : '2', "name: ");
	put_name_of(c->g, b);
	put_text(b, "\n");
	conn_say_buf(c, 0, b);
	answer(c, b, "password: ");
	put_word(c->g, b, 12);
	put_text(b, "\n");
	conn_say_buf(c, 0, b);
	answer(c, b, new ? "welcome\n" : "hello again\n");
}

static void put_in(struct conn *c, struct buf *b)
{
	choose(c, b, '3', "what? ");
	put_flag(c->g, b);
	put_text(b, "\n");
	conn_say_buf(c, 0, b);
	put_format(b, "it lies in box %u\n", below(c->g, 100000));
	answer(c, b, menu);
}

static void take_out(struct conn *c, struct buf *b)
{
	choose(c, b, '4', "which box? ");
	switch (below(c->g, 4)) {
	case 0:
		put_format(b, "-%u\n", below(c->g, 100000));
		break;
	case 1:
		put_format(b, "%%p.%%p.%%p.%%%u$s\n", between(c->g, 4, 40));
		break;
	default:
		put_format(b, "%u\n", below(c->g, 100000));
	}
	conn_say_buf(c, 0, b);
	put_text(b, "in it is: ");
	put_flag(c->g, b);
	answer(c, b, menu);
}

void vault_story(struct gen *g, uint64_t at, struct path *path)
{
	struct conn c;
	struct buf b = { 0 };

	path->port[1] = 1337;
	c = conn_new(g, path, at);
	conn_open(&c);
	put_text(&b, "=== the vault of team ");
	put_format(&b, "%u ===\n", path->end[1].team);
	answer(&c, &b, menu);
	enter(&c, &b, below(g, 2));
	answer(&c, &b, menu);
	for (uint32_t n = between(g, 1, 4); n; n--) {
		if (below(g, 2))
			put_in(&c, &b);
		else
			take_out(&c, &b);
	}
	if (below(g, 6) == 0) {
		conn_reset(&c, below(g, 2) != 0);
	} else {
		conn_say(&c, 0, bytes_of_text("5\n"));
		conn_say(&c, 1, bytes_of_text("goodbye\n"));
		conn_close(&c, 1);
	}
	buf_release(&b);
}

/* -- an arena ----------------------------------------------------------- */

enum { MOVE = 1, STATE = 2, MAP = 3 };

static void put_arena_head(struct buf *b, uint8_t what, uint32_t tick)
{
	put_text(b, "ARN");
	put_u8(b, what);
	put_be32(b, tick);
}

/* Thirty moves a second, the state of all players back, the map at times. */
void arena_story(struct gen *g, uint64_t at, struct path *path)
{
	uint32_t n = between(g, 60, 500), half_rtt_us = between(g, 100, 9000);
	struct buf b = { 0 };

	path->port[1] = 27777;
	for (uint32_t tick = 0; tick < n; tick++) {
		at += 33 * MS + below(g, 900 * US);
		if (below(g, 60)) { /* some are lost on the way */
			put_arena_head(&b, MOVE, tick);
			put_noise(g, &b, 12);
			datagram_at(g, at, path, 0, buf_bytes(&b));
			buf_clear(&b);
		}
		put_arena_head(&b, tick % 150 ? STATE : MAP, tick);
		put_noise(g, &b, tick % 150 ? between(g, 4, 24) * 10 : 3900);
		datagram_at(g, at + half_rtt_us * US, path, 1, buf_bytes(&b));
		buf_clear(&b);
	}
	buf_release(&b);
}
