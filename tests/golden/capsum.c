/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capsum - what a capture holds, in numbers that two captures can be compared
 * by.
 *
 *	capsum FILE|-            a line for each link type
 *	capsum --json FILE...    an object for each file
 *
 * The sum of a link type is SHA-256 over its packets in their order: time (ns,
 * 64 bits), length on the wire, captured length (32 bits each), all
 * little-endian, and the bytes.  So it does not depend on the format, its
 * order of bytes, its packing or its snaplen.  Exit status: 0, 1 when a file
 * could not be read to its end, 2 when used wrongly.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "engine/capfile/capfile.h"

enum { TYPES_MAX = 64, SHA256_SIZE = 32 };

struct type_sum {
	uint32_t linktype;
	uint64_t packets;
	EVP_MD_CTX *hash;
};

struct summary {
	struct type_sum types[TYPES_MAX];
	int n_types;
	uint64_t packets, captured, wire, snapped;
	uint64_t first_ns, last_ns, min_ns, max_ns;
	uint64_t secrets, names, stats;
	struct buf interfaces; /* their link types, as JSON */
	struct buf snaplens;
};

static struct type_sum *type_of(struct summary *s, uint32_t linktype)
{
	struct type_sum *t;

	for (int i = 0; i < s->n_types; i++)
		if (s->types[i].linktype == linktype)
			return &s->types[i];
	if (s->n_types == TYPES_MAX) {
		fprintf(stderr, "capsum: over %d link types\n", TYPES_MAX);
		exit(1);
	}
	t = &s->types[s->n_types++];
	t->linktype = linktype;
	t->hash = EVP_MD_CTX_new();
	EVP_DigestInit_ex(t->hash, EVP_sha256(), NULL);
	return t;
}

static void add_to_sum(struct type_sum *t, const struct packet *p)
{
	uint64_t numbers[2] = { p->time_ns,
				p->wire_len | (uint64_t)p->data.len << 32 };

	numbers[0] = htole64(numbers[0]);
	numbers[1] = htole64(numbers[1]);
	EVP_DigestUpdate(t->hash, numbers, sizeof(numbers));
	EVP_DigestUpdate(t->hash, p->data.p, p->data.len);
	t->packets++;
}

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

static void hex_sum(struct type_sum *t, char out[2 * SHA256_SIZE + 1])
{
	uint8_t sum[SHA256_SIZE];

	EVP_DigestFinal_ex(t->hash, sum, NULL);
	for (int i = 0; i < SHA256_SIZE; i++)
		snprintf(out + 2 * i, 3, "%02x", sum[i]);
}

static int by_linktype(const void *a, const void *b)
{
	const struct type_sum *x = a, *y = b;

	return (x->linktype > y->linktype) - (x->linktype < y->linktype);
}

static void print_lines(struct summary *s)
{
	char sum[2 * SHA256_SIZE + 1];

	for (int i = 0; i < s->n_types; i++) {
		hex_sum(&s->types[i], sum);
		printf("linktype %u packets %llu sha256 %s\n",
		       s->types[i].linktype,
		       (unsigned long long)s->types[i].packets, sum);
	}
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
	char sum[2 * SHA256_SIZE + 1];

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
	for (int i = 0; i < s->n_types; i++) {
		hex_sum(&s->types[i], sum);
		printf("%s\"%u\":[%llu,\"%s\"]", i ? "," : "",
		       s->types[i].linktype,
		       (unsigned long long)s->types[i].packets, sum);
	}
	printf("}}\n");
}

static void release(struct summary *s)
{
	for (int i = 0; i < s->n_types; i++)
		EVP_MD_CTX_free(s->types[i].hash);
	buf_release(&s->interfaces);
	buf_release(&s->snaplens);
}

static bool sum_file(const char *path, bool json)
{
	struct summary s = { 0 };
	struct capfile_packet p;
	struct err err = ERR_NONE;
	struct capfile *f = capfile_open(path, &err);

	if (f)
		capfile_on_item(f, on_item, &s);
	while (f && capfile_next(f, &p, &err) == 0) {
		add(&s, &p.packet);
		add_to_sum(type_of(&s, p.linktype), &p.packet);
	}
	qsort(s.types, (size_t)s.n_types, sizeof(*s.types), by_linktype);
	if (json) {
		print_json(&s, f, path, &err);
	} else {
		print_lines(&s);
		if (f && capfile_warning(f))
			fprintf(stderr, "capsum: %s\n", capfile_warning(f));
		if (err.code)
			fprintf(stderr, "capsum: %s\n", err.text);
	}
	release(&s);
	capfile_close(f);
	return err.code == 0;
}

int main(int argc, char **argv)
{
	bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
	bool all = true;

	if (argc < 2 + json) {
		fputs("usage: capsum [--json] FILE...   (- is standard "
		      "input)\n",
		      stderr);
		return 2;
	}
	for (int i = 1 + json; i < argc; i++)
		all &= sum_file(argv[i], json);
	return all ? 0 : 1;
}
