/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capsum - what captures hold, in numbers that two of them can be compared by.
 *
 *	capsum FILE...           a line for each link type, over all the files
 *	                         one after another; - is standard input
 *	capsum --json FILE...    an object for each file
 *
 * The sums (sums.h) do not depend on the format, its order of bytes, its
 * packing or its snaplen, and the segments of a spool have the sum of what went
 * into it.  Exit status: 0, 1 when a file could not be read to its end, 2 when
 * used wrongly.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/text.h"
#include "engine/capfile/capfile.h"
#include "sums.h"

struct summary {
	struct sums sums;
	uint64_t packets, captured, wire, snapped;
	uint64_t first_ns, last_ns, min_ns, max_ns;
	uint64_t secrets, names, stats;
	struct buf interfaces; /* their link types, as JSON */
	struct buf snaplens;
};

static void add(struct summary *s, const struct packet *p)
{
	if (s->packets++ == 0)
		s->first_ns = s->min_ns = s->max_ns = p->time_ns;
	s->last_ns = p->time_ns;
	s->min_ns = p->time_ns < s->min_ns ? p->time_ns : s->min_ns;
	s->max_ns = p->time_ns > s->max_ns ? p->time_ns : s->max_ns;
	s->captured += p->data.len;
	s->wire += p->wire_len;
	s->snapped += p->data.len < p->wire_len;
}

static void on_item(void *arg, const struct pcapstream_item *item)
{
	struct summary *s = arg;

	s->secrets += item->kind == PCAPSTREAM_SECRETS;
	s->names += item->kind == PCAPSTREAM_NAMES;
	s->stats += item->kind == PCAPSTREAM_STATS;
	if (item->kind != PCAPSTREAM_INTERFACE)
		return;
	put_format(&s->interfaces, "%s%u", s->interfaces.len ? "," : "",
		   item->from.linktype);
	put_format(&s->snaplens, "%s%u", s->snaplens.len ? "," : "",
		   item->from.snaplen);
}

static void print_lines(const struct sums *s)
{
	for (int i = 0; i < s->n; i++)
		printf("linktype %u packets %llu sha256 %s\n",
		       s->at[i].linktype, (unsigned long long)s->at[i].packets,
		       s->at[i].hex);
}

static void print_text(const char *name, const char *text)
{
	char body[2 * ERR_TEXT];

	text_to_json(body, sizeof(body), text);
	printf("\"%s\":\"%s\",", name, body);
}

static void print_number(const char *name, uint64_t v)
{
	printf("\"%s\":%llu,", name, (unsigned long long)v);
}

static void print_counts(const struct pcapstream_counts *c)
{
	print_number("odd_times", c->odd_times);
	print_number("empty", c->empty);
	print_number("broken_options", c->broken_options);
	print_number("skipped_blocks", c->skipped_blocks);
}

static void print_json(struct summary *s, struct capfile *f, const char *path,
		       const struct err *err)
{
	printf("{");
	print_text("file", path);
	print_number("packets", s->packets);
	print_number("captured_bytes", s->captured);
	print_number("wire_bytes", s->wire);
	print_number("snapped_packets", s->snapped);
	print_number("first_ns", s->first_ns);
	print_number("last_ns", s->last_ns);
	print_number("min_ns", s->min_ns);
	print_number("max_ns", s->max_ns);
	print_number("secrets", s->secrets);
	print_number("names", s->names);
	print_number("stats", s->stats);
	if (f && capfile_warning(f))
		print_text("warning", capfile_warning(f));
	if (err->code)
		print_text("error", err->text);
	if (f)
		print_counts(capfile_counts(f));
	printf("\"linktypes\":[%.*s],", (int)s->interfaces.len,
	       s->interfaces.p ? (char *)s->interfaces.p : "");
	printf("\"snaplen\":[%.*s],", (int)s->snaplens.len,
	       s->snaplens.p ? (char *)s->snaplens.p : "");
	printf("\"sums\":{");
	for (int i = 0; i < s->sums.n; i++)
		printf("%s\"%u\":[%llu,\"%s\"]", i ? "," : "",
		       s->sums.at[i].linktype,
		       (unsigned long long)s->sums.at[i].packets,
		       s->sums.at[i].hex);
	printf("}}\n");
}

static void release(struct summary *s)
{
	sums_release(&s->sums);
	buf_release(&s->interfaces);
	buf_release(&s->snaplens);
}

/* NULL when it cannot be opened; *err says how the reading ended. */
static struct capfile *read_file(const char *path, struct summary *s,
				 struct err *err)
{
	struct capfile *f = capfile_open(path, err);
	struct capfile_packet p;

	if (f)
		capfile_on_item(f, on_item, s);
	while (f && capfile_next(f, &p, err) == 0) {
		add(s, &p.packet);
		sums_add(&s->sums, p.linktype, &p.packet);
	}
	return f;
}

static bool print_each(int n, char **paths)
{
	bool all = true;

	for (int i = 0; i < n; i++) {
		struct summary s = { 0 };
		struct err err = ERR_NONE;
		struct capfile *f = read_file(paths[i], &s, &err);

		sums_finish(&s.sums);
		print_json(&s, f, paths[i], &err);
		release(&s);
		capfile_close(f);
		all &= err.code == 0;
	}
	return all;
}

static bool print_together(int n, char **paths)
{
	struct summary s = { 0 };
	bool all = true;

	for (int i = 0; i < n; i++) {
		struct err err = ERR_NONE;
		struct capfile *f = read_file(paths[i], &s, &err);

		if (f && capfile_warning(f))
			fprintf(stderr, "capsum: %s\n", capfile_warning(f));
		if (err.code)
			fprintf(stderr, "capsum: %s\n", err.text);
		capfile_close(f);
		all &= err.code == 0;
	}
	sums_finish(&s.sums);
	print_lines(&s.sums);
	release(&s);
	return all;
}

int main(int argc, char **argv)
{
	bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
	int first = json ? 2 : 1;

	if (argc <= first) {
		fputs("usage: capsum [--json] FILE...   (- is standard "
		      "input)\n",
		      stderr);
		return 2;
	}
	if (json)
		return print_each(argc - first, argv + first) ? 0 : 1;
	return print_together(argc - first, argv + first) ? 0 : 1;
}
