/* SPDX-License-Identifier: Apache-2.0 */
/*
 * acks.c - how far the collectors of a source are, as its listener notes it.
 *
 * Another process writes these files (doc/spool-format.md, "peers"), so they
 * may be missing, old, or nonsense: then less is acknowledged, never more.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/text.h"
#include "codec/hex.h"
#include "engine/spool/spool_priv.h"

enum { PEERS_MAX = 256, LINE_MAX_BYTES = 128, FINGERPRINT = 32 };

struct peers {
	char names[PEERS_MAX][FINGERPRINT + 1];
	size_t n;
};

static void add_peer(void *arg, const char *name)
{
	struct peers *p = arg;

	if (p->n == PEERS_MAX || strlen(name) != FINGERPRINT ||
	    strspn(name, "0123456789abcdef") != FINGERPRINT)
		return;
	memcpy(p->names[p->n++], name, FINGERPRINT + 1);
}

/* The newest spool of this origin; 0 when there is none. */
static unsigned sibling_of(struct spool *s, const uint8_t origin[SPOOL_ID])
{
	struct siblings all;
	unsigned found = 0;

	if (memcmp(origin, s->identity.origin, SPOOL_ID) == 0)
		return s->sibling;
	if (siblings_list(s->sys, s->source_dir, &all, NULL) < 0)
		return 0;
	for (size_t i = all.n; i > 0 && !found; i--) {
		char *dir = sibling_dir(s->source_dir, all.at[i - 1]);
		struct spool_identity id;

		if (identity_load(s->sys, dir, &id, NULL) == 0 &&
		    memcmp(origin, id.origin, SPOOL_ID) == 0)
			found = all.at[i - 1];
		free(dir);
	}
	siblings_release(&all);
	return found;
}

/* "300 4f1c...\n"; nothing is acknowledged where it is anything else. */
static void read_peer(struct spool *s, const char *path, struct acks *ack)
{
	uint8_t origin[SPOOL_ID];
	struct buf b = { 0 };
	char line[LINE_MAX_BYTES + 1] = "", *blank, *end;

	*ack = (struct acks){ .any = true };
	if (file_load(s->sys, path, LINE_MAX_BYTES, &b) == 0 && b.len)
		memcpy(line, b.p, b.len);
	buf_release(&b);
	blank = strchr(line, ' ');
	end = strchr(line, '\n');
	if (!blank || !end || end - blank - 1 != 2 * SPOOL_ID)
		return;
	*blank = *end = '\0';
	if (text_to_uint(line, &ack->index) < 0 ||
	    hex_parse(bytes_of_text(blank + 1), origin, SPOOL_ID) < 0)
		return;
	ack->sibling = sibling_of(s, origin);
}

void acks_load(struct spool *s, struct acks *least)
{
	char *dir = path_in(s->source_dir, "peers");
	struct peers *peers = mem_alloc(sizeof(*peers));

	*least = (struct acks){ 0 };
	s->sys->list(s->sys, dir, add_peer, peers);
	for (size_t i = 0; i < peers->n; i++) {
		char *path = path_in(dir, peers->names[i]);
		struct acks one;

		read_peer(s, path, &one);
		if (!least->any || one.sibling < least->sibling ||
		    (one.sibling == least->sibling && one.index < least->index))
			*least = one;
		free(path);
	}
	free(peers);
	free(dir);
}

bool acks_cover(const struct acks *a, const struct kept *k)
{
	return a->sibling > k->sibling ||
	       (a->sibling == k->sibling && k->next <= a->index);
}
