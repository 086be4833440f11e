/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gen-sample FILE.pcap [SEED] - a minute of an attack-and-defence game, as one
 * team's box sees it, for a first run.
 *
 * Nothing in it was ever sent: eight teams, 10.60.N.2 and fd60::N:2, with
 * their services (notes 8080, chat 3000, vault 1337, TLS 443 and 8443, arena
 * 27777/udp), checkers that put flags in and others that take them out, and
 * what goes wrong on real wires.  Checksums are right; the same seed gives the
 * same bytes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "codec/record.h"
#include "sample.h"

enum { SECONDS = 60, PACKETS = 28000, TEAMS = 8 };
#define SECOND_NS UINT64_C(1000000000)
#define START_NS  (UINT64_C(1767225600) * SECOND_NS) /* 2026-01-01 */

static const struct story {
	void (*tell)(struct gen *g, uint64_t at, struct path *path);
	unsigned weight; /* of 1000 */
} stories[] = {
	{ web_story, 330 },   { pipelined_story, 60 }, { chat_story, 25 },
	{ tls_story, 110 },   { vault_story, 240 },    { arena_story, 9 },
	{ names_story, 120 }, { ping_story, 40 },      { closed_story, 20 },
	{ scan_story, 6 },    { who_has_story, 40 },
};

/*
 * Most of it comes in bursts: a round begins every ten seconds, and whoever
 * has a script starts it then.  Some connections are older than the capture.
 */
static uint64_t draw_time(struct gen *g)
{
	uint64_t at = START_NS - 2 * SECOND_NS;

	if (below(g, 5) < 2)
		return at + draw(g) % (SECOND_NS * (SECONDS + 2));
	at = START_NS + below(g, SECONDS / 10) * 10 * SECOND_NS;
	at += draw(g) % SECOND_NS;
	while (below(g, 3))
		at += draw(g) % (SECOND_NS / 2);
	return at;
}

/* Others come to our box, and we go to theirs. */
static struct path draw_path(struct gen *g)
{
	struct host theirs = { (uint8_t)between(g, 2, TEAMS), 2 };

	if (below(g, 3) == 0)
		return path_to(g, box, theirs, 0);
	theirs.n = (uint8_t)between(g, 10, 14);
	return path_to(g, theirs, box, 0);
}

static void tell_one(struct gen *g)
{
	uint64_t at = draw_time(g);
	struct path path = draw_path(g);
	unsigned pick = below(g, 1000);
	const struct story *s = stories;

	while (pick >= s->weight)
		pick -= (s++)->weight;
	s->tell(g, at, &path);
}

static int by_time(const void *a, const void *b)
{
	const struct frame *x = a, *y = b;

	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* Only what the minute saw: some of it has no beginning, some no end. */
static void put_file(struct gen *g, struct buf *out)
{
	const struct pcap_head head = { .linktype = 1,
					.snaplen = PACKET_SNAPLEN };

	put_pcap_head(out, &head);
	qsort(g->frames, g->n, sizeof(*g->frames), by_time);
	for (size_t i = 0; i < g->n; i++) {
		const struct frame *f = &g->frames[i];
		struct packet p = {
			.data = bytes_of(g->bytes.p + f->offset, f->len),
			.time_ns = f->time_ns,
			.wire_len = (uint32_t)f->len,
		};

		if (f->time_ns >= START_NS &&
		    f->time_ns < START_NS + SECONDS * SECOND_NS)
			put_record(out, &p);
	}
}

int main(int argc, char **argv)
{
	struct gen g = { .state = argc > 2 ? strtoull(argv[2], NULL, 0) : 2 };
	struct buf out = { 0 };
	FILE *f;
	bool ok;

	if (argc < 2) {
		fprintf(stderr, "usage: gen-sample FILE.pcap [SEED]\n");
		return 2;
	}
	while (g.n < PACKETS)
		tell_one(&g);
	put_file(&g, &out);
	f = fopen(argv[1], "wb");
	ok = f && fwrite(out.p, 1, out.len, f) == out.len;
	if (f)
		ok = fclose(f) == 0 && ok;
	if (!ok)
		perror(argv[1]);
	buf_release(&out);
	buf_release(&g.bytes);
	free(g.frames);
	return ok ? 0 : 1;
}
