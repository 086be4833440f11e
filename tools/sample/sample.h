/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sample.h - inventing a minute of a game's traffic, for gen-sample.
 *
 * A struct gen collects frames with their times in any order.  wire.c knows
 * addresses and checksums, tcp.c connections and what goes wrong with them,
 * and the stories (web.c, services.c, small.c) what people do.  The same seed
 * gives the same bytes.
 */
#ifndef TOOLS_SAMPLE_SAMPLE_H
#define TOOLS_SAMPLE_SAMPLE_H

#include "base/buf.h"

enum { MS = 1000000, US = 1000 }; /* in ns */
enum { IP_ICMP = 1, IP_TCP = 6, IP_UDP = 17, IP_ICMP6 = 58 };
enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16 };

struct frame {
	uint64_t time_ns;
	size_t order; /* keeps equal times in the order they were made */
	size_t offset, len;
};

struct gen {
	struct buf bytes;
	struct frame *frames; /* owned */
	size_t n, cap;
	uint64_t state;
};

/* 10.60.TEAM.N, or fd60::TEAM:N. */
struct host {
	uint8_t team;
	uint8_t n;
};

/* Two ends and how they are joined; [0] asks, [1] answers. */
struct path {
	struct host end[2];
	uint16_t port[2];
	uint16_t vlan; /* 0: none */
	bool v6;
};

static const struct host box = { 1, 2 };     /* where the capture is made */
static const struct host gateway = { 1, 1 }; /* and its way out */

/* -- chance: wire.c ----------------------------------------------------- */

uint64_t draw(struct gen *g);
uint32_t below(struct gen *g, uint32_t n);
uint32_t between(struct gen *g, uint32_t lo, uint32_t hi);
void put_noise(struct gen *g, struct buf *b, size_t n);
void put_word(struct gen *g, struct buf *b, size_t letters);
void put_flag(struct gen *g, struct buf *b);
void put_name_of(struct gen *g, struct buf *b); /* a person's */

/* A path from a client's free port to `port` of a server. */
struct path path_to(struct gen *g, struct host client, struct host server,
		    uint16_t port);

/* -- packets: wire.c ---------------------------------------------------- */

static inline struct bytes nothing(void)
{
	return bytes_of(NULL, 0);
}

void put_mac(struct buf *b, struct host h);
void put_ipv4_address(struct buf *b, struct host h);
void put_ipv6_address(struct buf *b, struct host h);

/* Whole frames. */
void frame_at(struct gen *g, uint64_t time_ns, struct bytes frame);

/*
 * A packet around a transport header with its payload; `check` says where its
 * checksum field lies, which is zero.  What is too long is sent in fragments.
 */
void packet_at(struct gen *g, uint64_t time_ns, const struct path *path,
	       int from, uint8_t protocol, struct bytes transport,
	       size_t check);
void datagram_at(struct gen *g, uint64_t time_ns, const struct path *path,
		 int from, struct bytes payload);

/* -- connections: tcp.c ------------------------------------------------- */

struct conn {
	struct gen *g;
	struct path path;
	uint32_t seq[2];
	uint32_t clock[2]; /* what each end's timestamps began with */
	uint64_t now_ns;
	uint32_t half_rtt_us;
	unsigned trouble; /* of 1000 segments */
};

struct conn conn_new(struct gen *g, const struct path *path, uint64_t time_ns);
void conn_open(struct conn *c);
void conn_say(struct conn *c, int from, struct bytes what);
void conn_say_buf(struct conn *c, int from, struct buf *b); /* and clear it */
void conn_think(struct conn *c, uint32_t max_ms);
void conn_close(struct conn *c, int first);
void conn_reset(struct conn *c, int from);
void conn_refused(struct conn *c);

/* -- stories ------------------------------------------------------------ */

/* Each begins at `at`; the path is its own to change. */
void web_story(struct gen *g, uint64_t at, struct path *path);
void pipelined_story(struct gen *g, uint64_t at, struct path *path);
void chat_story(struct gen *g, uint64_t at, struct path *path);
void tls_story(struct gen *g, uint64_t at, struct path *path);
void vault_story(struct gen *g, uint64_t at, struct path *path);
void arena_story(struct gen *g, uint64_t at, struct path *path);
void names_story(struct gen *g, uint64_t at, struct path *path);
void ping_story(struct gen *g, uint64_t at, struct path *path);
void closed_story(struct gen *g, uint64_t at, struct path *path);
void scan_story(struct gen *g, uint64_t at, struct path *path);
void who_has_story(struct gen *g, uint64_t at, struct path *path);

#endif
