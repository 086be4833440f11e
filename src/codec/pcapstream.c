/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/pcapstream.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/pcapstream_priv.h"

static const uint8_t pcapng_magic[4] = { 0x0a, 0x0d, 0x0d, 0x0a };

struct pcapstream *pcapstream_new(size_t chunk)
{
	struct pcapstream *s = mem_alloc(sizeof(*s));

	assert(chunk > 0);
	s->chunk = chunk;
	s->want = sizeof(pcapng_magic);
	s->hungry = true;
	return s;
}

void pcapstream_free(struct pcapstream *s)
{
	if (!s)
		return;
	free(s->p);
	free(s->interfaces);
	free(s);
}

/*
 * Space for at least n bytes at the tail.  A record that is being waited for
 * gets as much again as has come of it: it costs few moves, and a length that
 * is merely claimed costs nothing.
 */
static void make_room(struct pcapstream *s, size_t n)
{
	size_t kept = s->tail - s->head;
	size_t missing = s->want > kept ? s->want - kept : 0;

	if (s->head && kept)
		memmove(s->p, s->p + s->head, kept);
	s->head = 0;
	s->tail = kept;
	if (n < missing && n < kept)
		n = missing < kept ? missing : kept;
	if (s->cap - kept < n) {
		s->cap = kept + n;
		s->p = mem_grow(s->p, s->cap);
	}
}

uint8_t *pcapstream_room(struct pcapstream *s, size_t *len)
{
	assert(s->hungry);
	if (s->head == s->tail)
		s->head = s->tail = 0;
	if (s->cap - s->tail < (s->chunk + 1) / 2)
		make_room(s, s->chunk);
	*len = s->cap - s->tail;
	return s->p + s->tail;
}

void pcapstream_added(struct pcapstream *s, size_t n)
{
	assert(n <= s->cap - s->tail);
	s->tail += n;
}

void pcapstream_feed(struct pcapstream *s, struct bytes in)
{
	assert(s->hungry);
	if (!in.len)
		return;
	if (s->cap - s->tail < in.len)
		make_room(s, in.len > s->chunk ? in.len : s->chunk);
	memcpy(s->p + s->tail, in.p, in.len);
	s->tail += in.len;
}

static int begin(struct pcapstream *s, struct pcapstream_item *item)
{
	if (memcmp(pending(s).p, pcapng_magic, sizeof(pcapng_magic)) != 0)
		return pcapfile_begin(s, item);
	s->format = PCAPSTREAM_PCAPNG;
	return pcapng_next(s, item);
}

int pcapstream_next(struct pcapstream *s, struct pcapstream_item *item)
{
	int rc;

	if (s->failed)
		return s->failed;
	s->hungry = true;
	if (pending(s).len < s->want)
		return ERR_AGAIN;

	*item = (struct pcapstream_item){ .offset = s->offset };
	if (s->format == PCAPSTREAM_PCAP)
		rc = pcapfile_next(s, item);
	else if (s->format == PCAPSTREAM_PCAPNG)
		rc = pcapng_next(s, item);
	else
		rc = begin(s, item);
	s->hungry = rc == ERR_AGAIN;
	if (rc == 0)
		s->want = 1;
	return rc;
}

int pcapstream_end(struct pcapstream *s)
{
	if (s->failed)
		return s->failed;
	if (s->offset == 0 && pending(s).len == 0)
		return fail(s, ERR_UNKNOWN, "it is empty");
	if (s->offset == 0 && pending(s).len < sizeof(pcapng_magic))
		return fail(s, ERR_UNKNOWN, "it is too short for a capture");
	if (s->skip_left || s->skip_trailer || pending(s).len)
		return fail(s, ERR_DAMAGED, "the bytes end inside a record");
	return 0;
}

uint64_t pcapstream_offset(const struct pcapstream *s)
{
	return s->offset;
}

const char *pcapstream_why(const struct pcapstream *s)
{
	return s->why;
}

enum pcapstream_format pcapstream_format(const struct pcapstream *s)
{
	return s->format;
}

const struct pcapstream_counts *pcapstream_counts(const struct pcapstream *s)
{
	return &s->counts;
}
