/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checker.c - doc/spool-format.md, read by somebody else.
 *
 * Section names in the comments are those of that page.
 */
#include "model/checker.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "sys/sys.h"

enum {
	HEAD = 128,
	ENTRY = 64,
	PCAP_HEAD = 24,
	RECORD_HEAD = 16,
	PACKET_BYTES_MAX = 16 << 20,
	FILES_MAX = 4096,
	SIBLINGS = 64
};

enum { BATCH = 1, DROP = 2, GAP = 3, NOTE = 4, SEAL = 5 };

static void *get_room(void *p, size_t size)
{
	void *q = realloc(p, size ? size : 1);

	if (!q)
		abort();
	return q;
}

static uint64_t le(const uint8_t *p, int bytes)
{
	uint64_t v = 0;

	while (bytes-- > 0)
		v = v << 8 | p[bytes];
	return v;
}

static uint32_t crc_table[256];

__attribute__((constructor)) static void fill_crc_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t v = i;

		for (int bit = 0; bit < 8; bit++)
			v = v >> 1 ^ (v & 1 ? 0x82f63b78u : 0);
		crc_table[i] = v;
	}
}

static uint32_t crc_more(uint32_t crc, const uint8_t *p, size_t len)
{
	crc = ~crc;
	for (size_t i = 0; i < len; i++)
		crc = crc >> 8 ^ crc_table[(crc ^ p[i]) & 0xff];
	return ~crc;
}

void checker_violation(struct checked *c, const char *fmt, ...)
{
	va_list ap;

	if (c->violations++)
		return;
	va_start(ap, fmt);
	vsnprintf(c->first, sizeof(c->first), fmt, ap);
	va_end(ap);
}

/* -- files -------------------------------------------------------------- */

struct blob {
	uint8_t *p; /* owned */
	size_t len;
};

/* False when it cannot be read. */
static bool slurp(struct sys *sys, const char *dir, const char *name,
		  struct blob *out)
{
	char path[512];
	uint64_t size = 0;
	bool good;
	int file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	*out = (struct blob){ NULL, 0 };
	file = sys->open(sys, path, SYS_READ);
	if (file < 0)
		return false;
	good = sys->size(sys, file, &size) == 0;
	out->p = get_room(NULL, (size_t)size);
	out->len = (size_t)size;
	for (size_t done = 0; good && done < size;) {
		ssize_t n = sys->pread(sys, file, out->p + done,
				       (size_t)size - done, done);

		good = n > 0;
		done += good ? (size_t)n : 0;
	}
	sys->close(sys, file);
	return good;
}

/* One file of a segment, or of what may be one. */
struct file {
	char name[64];
	bool idx, spare;
	uint64_t number; /* first index, or the spare's number */
	struct blob bytes;
};

struct folder {
	struct file *f; /* owned, with their bytes */
	size_t n;
};

/* "<20 digits>.pcap", ".spare-<n>.idx", without the dot once; section "Files
 * of one spool". */
static bool name_of_file(const char *name, struct file *out)
{
	const char *digits = name, *dot = strrchr(name, '.');
	size_t n;

	if (name[0] == '.')
		digits++;
	*out = (struct file){ .spare = strncmp(digits, "spare-", 6) == 0 };
	if (out->spare)
		digits += 6;
	else if (digits != name)
		return false;
	n = strspn(digits, "0123456789");
	if (!dot || digits + n != dot || n == 0 || strlen(name) > 60 ||
	    (!out->spare && n != 20))
		return false;
	out->idx = strcmp(dot, ".idx") == 0;
	if (!out->idx && strcmp(dot, ".pcap") != 0)
		return false;
	out->number = strtoull(digits, NULL, 10);
	strcpy(out->name, name);
	return true;
}

static void on_name(void *arg, const char *name)
{
	struct folder *d = arg;
	struct file file;

	if (d->n >= FILES_MAX || !name_of_file(name, &file))
		return;
	d->f = get_room(d->f, (d->n + 1) * sizeof(*d->f));
	d->f[d->n++] = file;
}

static void folder_release(struct folder *d)
{
	for (size_t i = 0; i < d->n; i++)
		free(d->f[i].bytes.p);
	free(d->f);
}

/* -- `id` --------------------------------------------------------------- */

static bool hex_of(const char *text, uint8_t out[CHECKER_ID])
{
	for (int i = 0; i < CHECKER_ID; i++) {
		unsigned v;

		if (sscanf(text + (ptrdiff_t)2 * i, "%2x", &v) != 1)
			return false;
		out[i] = (uint8_t)v;
	}
	return true;
}

static bool id_parse(const struct blob *b, struct checked_spool *s)
{
	char text[1025], id[33], origin[33], *line;
	unsigned crc;

	if (b->len == 0 || b->len > 1024)
		return false;
	memcpy(text, b->p, b->len);
	text[b->len] = '\0';
	line = strstr(text, "\ncrc32c ");
	if (!line || sscanf(line, "\ncrc32c %8x", &crc) != 1 ||
	    strlen(line) != strlen("\ncrc32c 89abcdef\n") ||
	    text[b->len - 1] != '\n' ||
	    crc_more(0, b->p, (size_t)(line + 1 - text)) != crc)
		return false;
	return sscanf(text,
		      "weir-spool 1\nid %32[0-9a-f]\norigin %32[0-9a-f]\n"
		      "name %64s\nlinktype %u\nsnaplen %u\n",
		      id, origin, s->name, &s->linktype, &s->snaplen) == 5 &&
	       hex_of(id, s->id) && hex_of(origin, s->origin);
}

/* -- one segment -------------------------------------------------------- */

struct segment {
	uint64_t first, chain, incarnation, dropped;
	uint32_t before; /* entries of the one before that count */
	const struct file *idx, *pcap;
	/* what the walk found */
	size_t entries; /* real ones, one behind the other */
	uint64_t end, next, end_chain, length, lost;
	uint32_t batches;
	bool sealed, gap;
	bool behind_gap; /* the segment before ends with one */
};

/* Section "Index": the header. */
static bool head_parse(const struct file *f, const struct checked_spool *s,
		       struct segment *g)
{
	const uint8_t *p = f->bytes.p;

	*g = (struct segment){ .idx = f };
	if (f->bytes.len < HEAD || memcmp(p, "WEIRIDX1", 8) != 0 ||
	    le(p + 8, 4) != 1 || le(p + 12, 4) != HEAD ||
	    memcmp(p + 16, s->id, CHECKER_ID) != 0 ||
	    le(p + 124, 4) != crc_more(0, p, 124))
		return false;
	g->first = le(p + 32, 8);
	g->chain = le(p + 40, 8);
	g->incarnation = le(p + 48, 8);
	g->dropped = le(p + 72, 8);
	g->before = (uint32_t)le(p + 80, 4);
	return le(p + 64, 4) == s->linktype && le(p + 68, 4) == s->snaplen;
}

static size_t entries_in(const struct segment *g)
{
	return (g->idx->bytes.len - HEAD) / ENTRY;
}

/* Entry i, or NULL when its checksum is wrong. */
static const uint8_t *entry_at(const struct segment *g, size_t i)
{
	const uint8_t *p = g->idx->bytes.p + HEAD + i * ENTRY;
	uint32_t crc = crc_more(0, g->idx->bytes.p + 16, 24);

	return le(p + 60, 4) == crc_more(crc, p, 60) ? p : NULL;
}

/* The records of a BATCH, or NULL when they are not what was written. */
static const uint8_t *records_of(const struct segment *g, const uint8_t *e)
{
	uint64_t at = le(e + 16, 8), len = le(e + 24, 4);

	if (!g->pcap || at > g->pcap->bytes.len ||
	    len > g->pcap->bytes.len - at)
		return NULL;
	return crc_more(0, g->pcap->bytes.p + at, (size_t)len) == le(e + 28, 4)
		       ? g->pcap->bytes.p + at
		       : NULL;
}

/* Section "Index": the chain. */
static uint64_t chain_of(uint64_t before, const uint8_t *e)
{
	uint8_t in[44], hash[32];

	for (int i = 0; i < 8; i++)
		in[i] = (uint8_t)(before >> 8 * i);
	memcpy(in + 8, e + 8, 8);
	memcpy(in + 16, e + 4, 4);
	memcpy(in + 20, e + 24, 8);
	memcpy(in + 28, e + 32, 16);
	SHA256(in, sizeof(in), hash);
	return le(hash, 8);
}

static void add_packet(struct checked_spool *s, uint64_t index,
		       const uint8_t *record, size_t len)
{
	if ((s->n & (s->n - 1)) == 0)
		s->p = get_room(s->p, (s->n ? 2 * s->n : 1) * sizeof(*s->p));
	s->p[s->n].index = index;
	SHA256(record, len, s->p[s->n].hash);
	s->n++;
}

/* Section "Records": whole records, as many as the entry says. */
static const char *take_records(struct checked_spool *s, const uint8_t *e,
				const uint8_t *p)
{
	uint64_t len = le(e + 24, 4), index = le(e + 8, 8), n = 0;
	uint64_t earliest = UINT64_MAX, latest = 0;

	while (len) {
		uint64_t ns, size;

		if (len < RECORD_HEAD)
			return "a record is cut short";
		ns = le(p, 4) * 1000000000 + le(p + 4, 4);
		size = RECORD_HEAD + le(p + 8, 4);
		if (le(p + 4, 4) >= 1000000000 || size > len ||
		    size > RECORD_HEAD + PACKET_BYTES_MAX)
			return "a record is malformed";
		earliest = ns < earliest ? ns : earliest;
		latest = ns > latest ? ns : latest;
		add_packet(s, index + n++, p, (size_t)size);
		p += size;
		len -= size;
	}
	if (n == 0 || n != le(e + 4, 4))
		return "the number of records is not the entry's";
	if (earliest != le(e + 32, 8) || latest != le(e + 40, 8))
		return "the times of the records are not the entry's";
	return NULL;
}

/*
 * May entry e stand where the walk is?  This is what makes it real; that it is
 * also right (chain, times, counts) is asked of the real ones later.
 */
static bool is_real(const struct segment *g, const uint8_t *e)
{
	if (!e || g->sealed || le(e + 8, 8) != g->end)
		return false;
	if (e[0] == SEAL)
		return le(e + 16, 8) == g->length;
	if (g->gap)
		return false;
	if (e[0] == BATCH)
		return le(e + 16, 8) == g->length && records_of(g, e);
	return e[0] == DROP || e[0] == GAP || e[0] == NOTE;
}

static void walk_step(struct segment *g, const uint8_t *e)
{
	g->entries++;
	switch (e[0]) {
	case BATCH:
		g->batches++;
		g->end = g->next = le(e + 8, 8) + le(e + 4, 4);
		g->length += le(e + 24, 4);
		g->end_chain = le(e + 48, 8);
		break;
	case DROP:
		g->lost += le(e + 16, 8);
		break;
	case GAP:
		g->gap = true;
		g->next = le(e + 16, 8);
		break;
	case SEAL:
		g->sealed = true;
		break;
	default:
		break;
	}
}

static void walk(struct segment *g, size_t limit)
{
	size_t n = entries_in(g);

	g->entries = 0;
	g->end = g->next = g->first;
	g->end_chain = g->chain;
	g->length = PCAP_HEAD;
	g->lost = g->batches = 0;
	g->sealed = g->gap = false;
	while (g->entries < n && g->entries < limit) {
		const uint8_t *e = entry_at(g, g->entries);

		if (!is_real(g, e))
			break;
		walk_step(g, e);
	}
}

/* -- the segments of a spool -------------------------------------------- */

struct chain_of_segments {
	struct segment *g;
	size_t n;
};

/* May this .pcap belong to that .idx?  A rename may have reached the disk for
 * one of them only ("After a crash", 2). */
static bool may_pair(const struct file *idx, const struct file *pcap,
		     uint64_t first)
{
	if (pcap->idx)
		return false;
	if (!pcap->spare)
		return pcap->number == first;
	return !idx->spare || idx->number == pcap->number;
}

/* Of several pairs for one first index the one with most in it. */
static void add_candidate(struct chain_of_segments *all,
			  const struct segment *g)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->g[i].first == g->first) {
			if (g->entries > all->g[i].entries)
				all->g[i] = *g;
			return;
		}
	all->g = get_room(all->g, (all->n + 1) * sizeof(*all->g));
	all->g[all->n++] = *g;
}

static int by_first(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

static void find_segments(const struct folder *d, const struct checked_spool *s,
			  struct chain_of_segments *all)
{
	struct segment g;

	for (size_t i = 0; i < d->n; i++) {
		if (!d->f[i].idx || !head_parse(&d->f[i], s, &g) ||
		    (!d->f[i].spare && d->f[i].number != g.first))
			continue;
		for (size_t j = 0; j < d->n; j++) {
			if (!may_pair(&d->f[i], &d->f[j], g.first))
				continue;
			g.pcap = &d->f[j];
			walk(&g, SIZE_MAX);
			/* With a spare's file it counts from its first real
			 * batch on; before, it is a spare or half reaped. */
			if (g.batches || !(d->f[i].spare || d->f[j].spare))
				add_candidate(all, &g);
		}
	}
	if (all->n)
		qsort(all->g, all->n, sizeof(*all->g), by_first);
}

/* -- is it right? ------------------------------------------------------- */

static void add_gap(struct checked *c, struct checked_spool *s,
		    const uint8_t *e)
{
	uint64_t from = le(e + 8, 8), to = le(e + 16, 8);
	unsigned reason = (unsigned)le(e + 2, 2);

	if (to <= from || reason < 1 || reason > 4)
		checker_violation(c,
				  "GAP [%" PRIu64 ", %" PRIu64 ") of reason %u",
				  from, to, reason);
	s->gaps = get_room(s->gaps, (s->n_gaps + 1) * sizeof(*s->gaps));
	s->gaps[s->n_gaps++] = (struct checked_gap){ from, to, reason };
}

static void check_entry(struct checked *c, struct checked_spool *s,
			const struct segment *g, size_t i, uint64_t *chain,
			unsigned *batches)
{
	const uint8_t *e = entry_at(g, i);
	uint64_t at = le(e + 8, 8);
	const char *wrong;

	if (e[1] || le(e + 56, 4) > i)
		checker_violation(c,
				  "entry %zu of segment %" PRIu64
				  " has bytes that make no sense",
				  i, g->first);
	if (e[0] == BATCH) {
		/* Behind a GAP what it is chained to may be lost. */
		*chain = g->behind_gap && !*batches ? le(e + 48, 8)
						    : chain_of(*chain, e);
		++*batches;
		wrong = take_records(s, e, records_of(g, e));
		if (wrong)
			checker_violation(c, "batch at %" PRIu64 ": %s", at,
					  wrong);
	} else if (e[0] == GAP) {
		add_gap(c, s, e);
	} else if (e[0] == DROP &&
		   (le(e + 2, 2) < 1 || le(e + 2, 2) > 4 || !le(e + 16, 8))) {
		checker_violation(c, "DROP at %" PRIu64 " of reason %u", at,
				  (unsigned)le(e + 2, 2));
	}
	if (le(e + 48, 8) != *chain)
		checker_violation(c, "chain at %" PRIu64 " is broken", at);
}

static void check_pcap_head(struct checked *c, const struct checked_spool *s,
			    const struct segment *g)
{
	static const uint8_t magic[8] = { 0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0 };
	const struct blob *b = &g->pcap->bytes;

	if (b->len < PCAP_HEAD || memcmp(b->p, magic, 8) != 0 ||
	    le(b->p + 8, 8) != 0 || le(b->p + 16, 4) != s->snaplen ||
	    le(b->p + 20, 4) != s->linktype)
		checker_violation(c, "%s does not begin as a pcap file",
				  g->pcap->name);
}

/*
 * Behind the first entry that is not real nothing may stand that was written
 * after it had been made durable: that would be damage, not a torn tail.
 */
static void check_tail(struct checked *c, const struct segment *g,
		       enum checker_how how)
{
	for (size_t i = g->entries + 1; i < entries_in(g); i++) {
		const uint8_t *e = entry_at(g, i);

		if (e && le(e + 56, 4) > g->entries && le(e + 56, 4) <= i &&
		    (e[0] != BATCH || records_of(g, e)))
			checker_violation(c,
					  "segment %" PRIu64 ": entry %zu is "
					  "not real but entry %zu is",
					  g->first, g->entries, i);
	}
	if (how == CHECKER_CLOSED &&
	    (g->idx->bytes.len != HEAD + g->entries * ENTRY ||
	     g->pcap->bytes.len != g->length))
		checker_violation(
			c,
			"segment %" PRIu64 " kept a tail: .idx has "
			"%zu bytes for %zu entries, .pcap %zu of %" PRIu64,
			g->first, g->idx->bytes.len, g->entries,
			g->pcap->bytes.len, g->length);
}

/* One that is followed by another: its successor says what counts in it. */
static void check_finished(struct checked *c, struct segment *g,
			   const struct segment *next)
{
	size_t had = g->entries;

	walk(g, next->before);
	if (g->entries != next->before)
		checker_violation(c,
				  "segment %" PRIu64 " has %zu real entries, "
				  "the next one counts on %u",
				  g->first, had, next->before);
}

static void check_segment(struct checked *c, struct checked_spool *s,
			  const struct segment *g)
{
	uint64_t chain = g->chain;
	unsigned batches = 0;
	const uint8_t *seal;

	for (size_t i = 0; i < g->entries; i++)
		check_entry(c, s, g, i, &chain, &batches);
	if (g->dropped != s->dropped && s->segments)
		checker_violation(c,
				  "segment %" PRIu64 " counts %" PRIu64
				  " drops before it, not %" PRIu64,
				  g->first, g->dropped, s->dropped);
	s->dropped = g->dropped + g->lost;
	s->segments++;
	s->next = g->next;
	s->chain = chain;
	if (!g->sealed)
		return;
	seal = entry_at(g, g->entries - 1);
	if (le(seal + 4, 4) != g->batches)
		checker_violation(c,
				  "the SEAL of segment %" PRIu64
				  " counts %" PRIu64 " batches, not %u",
				  g->first, le(seal + 4, 4), g->batches);
}

static void check_segments(struct checked *c, struct checked_spool *s,
			   struct chain_of_segments *all, enum checker_how how)
{
	bool after_gap = true; /* the oldest is chained to what is gone */

	for (size_t i = 0; i < all->n; i++) {
		struct segment *g = &all->g[i];
		bool last = i + 1 == all->n;

		/* Records may have reached the disk before their header. */
		if (!last || how == CHECKER_CLOSED)
			check_pcap_head(c, s, g);
		if (last)
			check_tail(c, g, how);
		else
			check_finished(c, g, &all->g[i + 1]);
		if (i == 0)
			s->oldest = g->first;
		else if (g->first != s->next)
			checker_violation(
				c, "segment %" PRIu64 " follows on %" PRIu64,
				g->first, s->next);
		if (!after_gap && g->chain != s->chain)
			checker_violation(
				c, "segment %" PRIu64 " is chained to another",
				g->first);
		if (how == CHECKER_CLOSED && (g->idx->spare || g->pcap->spare))
			checker_violation(
				c, "segment %" PRIu64 " has not got its name",
				g->first);
		g->behind_gap = i && after_gap;
		check_segment(c, s, g);
		after_gap = g->gap;
	}
}

/* Each number once, ascending, and missing only in gaps. */
static void check_numbers(struct checked *c, const struct checked_spool *s)
{
	uint64_t at = s->oldest;
	size_t gap = 0;

	for (size_t i = 0; i < s->n; i++) {
		while (gap < s->n_gaps && s->gaps[gap].from == at)
			at = s->gaps[gap++].to;
		if (s->p[i].index != at)
			checker_violation(c,
					  "packet %" PRIu64
					  " stands where %" PRIu64 " should",
					  s->p[i].index, at);
		at = s->p[i].index + 1;
	}
	while (gap < s->n_gaps && s->gaps[gap].from == at)
		at = s->gaps[gap++].to;
	if (gap != s->n_gaps || at != s->next)
		checker_violation(
			c, "the numbers end at %" PRIu64 ", not %" PRIu64, at,
			s->next);
}

/* Section "live": it is never ahead of the disk, but for what was reaped. */
static void check_live(struct checked *c, struct sys *sys, const char *dir,
		       const struct checked_spool *s, uint64_t reaped)
{
	struct blob b;

	if (slurp(sys, dir, "live", &b) && b.len == 64 &&
	    memcmp(b.p, "WEIRLIV1", 8) == 0 &&
	    le(b.p + 60, 4) == crc_more(0, b.p, 60) &&
	    le(b.p + 32, 8) > s->next && le(b.p + 32, 8) > reaped)
		checker_violation(c,
				  "live promises up to %" PRIu64
				  ", the disk has %" PRIu64,
				  le(b.p + 32, 8), s->next);
	free(b.p);
}

/* Halves and failed spares must be gone behind a recovery. */
static void check_litter(struct checked *c, const struct folder *d,
			 const struct chain_of_segments *all)
{
	for (size_t i = 0; i < d->n; i++) {
		bool known = d->f[i].spare;

		for (size_t j = 0; j < all->n; j++)
			known |= all->g[j].idx == &d->f[i] ||
				 all->g[j].pcap == &d->f[i];
		if (!known)
			checker_violation(c, "%s belongs to no segment",
					  d->f[i].name);
	}
}

static void check_spool(struct checked *c, struct sys *sys, const char *dir,
			enum checker_how how, uint64_t reaped,
			struct checked_spool *s)
{
	struct folder d = { 0 };
	struct chain_of_segments all = { 0 };

	if (sys->list(sys, dir, on_name, &d) < 0)
		checker_violation(c, "%s cannot be listed", dir);
	for (size_t i = 0; i < d.n; i++) {
		if (!slurp(sys, dir, d.f[i].name, &d.f[i].bytes))
			checker_violation(c, "%s/%s cannot be read", dir,
					  d.f[i].name);
		s->bytes += d.f[i].bytes.len;
	}
	find_segments(&d, s, &all);
	check_segments(c, s, &all, how);
	check_numbers(c, s);
	check_live(c, sys, dir, s, reaped);
	if (how == CHECKER_CLOSED)
		check_litter(c, &d, &all);
	free(all.g);
	folder_release(&d);
}

/* -- the spools of a source --------------------------------------------- */

struct siblings {
	const char *base;
	size_t base_len;
	unsigned n[SIBLINGS];
	size_t count;
};

static void on_sibling(void *arg, const char *name)
{
	struct siblings *s = arg;
	unsigned number = 1;
	int used = 0;

	if (strncmp(name, s->base, s->base_len) != 0 || s->count == SIBLINGS)
		return;
	name += s->base_len;
	if (*name && (sscanf(name, ".%u%n", &number, &used) != 1 ||
		      name[used] || number < 2))
		return;
	s->n[s->count++] = number;
}

static int by_number(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	return (x > y) - (x < y);
}

/* An `id` that never became durable is no spool yet: nothing was in it. */
static void take_spool(struct checked *c, struct sys *sys, const char *dir,
		       enum checker_how how, uint64_t reaped)
{
	struct checked_spool s = { 0 };
	struct blob id;

	if (slurp(sys, dir, "id", &id)) {
		if (id_parse(&id, &s)) {
			check_spool(c, sys, dir, how, reaped, &s);
			c->spools = get_room(c->spools, (c->n + 1) * sizeof(s));
			c->spools[c->n++] = s;
		} else {
			checker_violation(c, "%s/id is malformed", dir);
		}
	}
	free(id.p);
}

static const struct checked_spool *spool_by_id(const struct checked *c,
					       const uint8_t id[CHECKER_ID])
{
	for (size_t i = 0; i < c->n; i++)
		if (memcmp(c->spools[i].id, id, CHECKER_ID) == 0)
			return &c->spools[i];
	return NULL;
}

static const struct checked_packet *packet_at(const struct checked_spool *s,
					      uint64_t index)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (s->p[mid].index < index)
			low = mid + 1;
		else
			high = mid;
	}
	return low < s->n && s->p[low].index == index ? &s->p[low] : NULL;
}

static void ask_oracle(struct checked *c, const struct oracle *o, uint64_t at)
{
	for (size_t i = 0; i < c->n; i++) {
		uint64_t may = o->reaped > o->first ? o->reaped : o->first;

		if (c->spools[i].n && c->spools[i].oldest > may)
			checker_violation(
				c,
				"it begins at %" PRIu64
				", retention took only up to %" PRIu64,
				c->spools[i].oldest, may);
	}
	for (size_t i = 0; i < o->n; i++) {
		const struct oracle_packet *p = &o->p[i];
		const struct checked_spool *s = spool_by_id(c, p->spool);
		const struct checked_packet *got;

		if (p->since > at || p->index < o->reaped)
			continue;
		got = s ? packet_at(s, p->index) : NULL;
		c->lost += !got;
		if (!got)
			checker_violation(c,
					  "packet %" PRIu64 " was durable "
					  "since change %" PRIu64
					  " and is lost",
					  p->index, p->since);
		else if (memcmp(got->hash, p->hash, CHECKER_HASH) != 0)
			checker_violation(
				c, "packet %" PRIu64 " has another content",
				p->index);
	}
}

void checker_run(struct sys *sys, const char *source_dir, enum checker_how how,
		 const struct oracle *o, uint64_t at, struct checked *out)
{
	const char *slash = strrchr(source_dir, '/');
	struct siblings s = { .base = slash ? slash + 1 : source_dir };
	char dir[512];

	*out = (struct checked){ 0 };
	s.base_len = strlen(s.base);
	snprintf(dir, sizeof(dir), "%.*s",
		 slash ? (int)(slash - source_dir) : 1,
		 slash ? source_dir : ".");
	sys->list(sys, dir[0] ? dir : "/", on_sibling, &s);
	qsort(s.n, s.count, sizeof(*s.n), by_number);
	for (size_t i = 0; i < s.count; i++) {
		snprintf(dir, sizeof(dir), s.n[i] == 1 ? "%s" : "%s.%u",
			 source_dir, s.n[i]);
		take_spool(out, sys, dir, how, o ? o->reaped : 0);
	}
	if (o)
		ask_oracle(out, o, at);
}

void checked_release(struct checked *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->spools[i].p);
		free(c->spools[i].gaps);
	}
	free(c->spools);
	*c = (struct checked){ 0 };
}

/* -- comparing ---------------------------------------------------------- */

static bool spools_equal(const struct checked_spool *a,
			 const struct checked_spool *b)
{
	if (memcmp(a->id, b->id, CHECKER_ID) != 0 || a->n != b->n ||
	    a->next != b->next || a->chain != b->chain ||
	    a->dropped != b->dropped || a->n_gaps != b->n_gaps)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->p[i].index != b->p[i].index ||
		    memcmp(a->p[i].hash, b->p[i].hash, CHECKER_HASH) != 0)
			return false;
	for (size_t i = 0; i < a->n_gaps; i++)
		if (a->gaps[i].from != b->gaps[i].from ||
		    a->gaps[i].to != b->gaps[i].to)
			return false;
	return true;
}

/* Spools without a packet say nothing, and may be missing. */
bool checked_equal(const struct checked *a, const struct checked *b)
{
	size_t i = 0, j = 0;

	for (;;) {
		while (i < a->n && !a->spools[i].n)
			i++;
		while (j < b->n && !b->spools[j].n)
			j++;
		if (i == a->n || j == b->n)
			return i == a->n && j == b->n;
		if (!spools_equal(&a->spools[i++], &b->spools[j++]))
			return false;
	}
}

void checker_mirror(struct checked *mirror, const struct checked *source)
{
	for (size_t i = 0; i < mirror->n; i++) {
		const struct checked_spool *m = &mirror->spools[i];
		const struct checked_spool *s = spool_by_id(source, m->origin);

		if (!s && m->n) {
			checker_violation(mirror, "a mirror of no spool that "
						  "the source has");
			continue;
		}
		for (size_t k = 0; k < m->n; k++) {
			const struct checked_packet *p =
				packet_at(s, m->p[k].index);

			if (!p && m->p[k].index >= s->oldest)
				checker_violation(mirror,
						  "packet %" PRIu64
						  " is not in the source",
						  m->p[k].index);
			else if (p && memcmp(p->hash, m->p[k].hash,
					     CHECKER_HASH) != 0)
				checker_violation(mirror,
						  "packet %" PRIu64
						  " differs from the source's",
						  m->p[k].index);
		}
	}
}

/* -- the oracle --------------------------------------------------------- */

void oracle_add(struct oracle *o, const uint8_t spool[CHECKER_ID],
		uint64_t index, const void *record, size_t len, uint64_t since)
{
	struct oracle_packet *p;

	if ((o->n & (o->n - 1)) == 0)
		o->p = get_room(o->p, (o->n ? 2 * o->n : 1) * sizeof(*o->p));
	p = &o->p[o->n++];
	*p = (struct oracle_packet){ .index = index, .since = since };
	memcpy(p->spool, spool, CHECKER_ID);
	SHA256(record, len, p->hash);
}

void oracle_release(struct oracle *o)
{
	free(o->p);
	*o = (struct oracle){ 0 };
}
