/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sift/sift.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/decode.h"
#include "engine/capfile/capfile.h"
#include "engine/sift/dedup.h"
#include "engine/sift/output_priv.h"
#include "engine/sift/rules.h"

struct sifting {
	const struct sift_config *cfg;
	struct rules *rules;
	struct capfile *file;
	const char *name;
	struct dedup *dedup;
	struct sift_output **outputs; /* owned; one a filter */
	struct sift_result *results;
	struct sift_counts *counts;
	uint32_t snaplen;
	bool nanoseconds;
};

static void on_item(void *arg, const struct pcapstream_item *item)
{
	struct sifting *s = arg;

	if (item->kind != PCAPSTREAM_INTERFACE)
		return;
	if (item->from.snaplen > s->snaplen)
		s->snaplen = item->from.snaplen;
	if (item->from.resolution != 6)
		s->nanoseconds = true;
}

/*
 * Take the packet out of its tunnels.  One whose tunnel is broken is left as
 * it is, and looked at from outside.
 */
static void decapsulate(struct sifting *s, struct capfile_packet *p,
			struct decoded *d)
{
	unsigned depth = s->cfg->decap_depth < 0 || s->cfg->decap_depth >
							    DECODE_TUNNELS_MAX
				 ? DECODE_TUNNELS_MAX
				 : (unsigned)s->cfg->decap_depth;

	decode_frame_to(p->linktype, p->packet.data, p->packet.wire_len, depth,
			d);
	if (d->inner.data.p == p->packet.data.p)
		return;
	if (d->status == DECODE_CUT || d->status == DECODE_BROKEN) {
		s->counts->decap_errors++;
		decode_frame_to(p->linktype, p->packet.data, p->packet.wire_len,
				0, d);
		return;
	}
	s->counts->decapsulated++;
	p->packet.data = d->inner.data;
	p->packet.wire_len = d->inner.wire_len;
	p->linktype = d->inner.linktype;
}

static int give(struct sifting *s, size_t i, const struct capfile_packet *p,
		struct err *err)
{
	if (!s->outputs[i]) {
		const struct sift_output_config cfg = {
			.dir = s->cfg->dir,
			.filter = rules_name(s->rules, i),
			.name = s->name,
			.compress = s->cfg->compress,
			.micro = !s->nanoseconds,
			.snaplen = s->snaplen && s->snaplen < PACKET_MAX
					   ? s->snaplen
					   : PACKET_SNAPLEN,
		};

		s->outputs[i] = sift_output_new(&cfg);
	}
	s->results[i].matched++;
	s->results[i].bytes += p->packet.data.len;
	return sift_output_put(s->outputs[i], p->linktype, &p->packet, err);
}

static int one_packet(struct sifting *s, struct capfile_packet *p,
		      struct err *err)
{
	struct decoded d;
	struct rules_packet now = { .packet = &p->packet, .decoded = &d };

	s->counts->packets++;
	if (s->cfg->decap)
		decapsulate(s, p, &d);
	else
		decode_frame_to(p->linktype, p->packet.data, p->packet.wire_len,
				0, &d);
	if (d.status != DECODE_OK && d.status != DECODE_FRAGMENT)
		s->counts->undecoded++;
	if (s->dedup && dedup_seen(s->dedup, d.network, p->packet.time_ns)) {
		s->counts->doubles++;
		return 0;
	}
	now.linktype = p->linktype;
	for (size_t i = 0; i < rules_count(s->rules); i++) {
		int rc = rules_take(s->rules, i, &now, err);

		if (rc == 1)
			rc = give(s, i, p, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int read_all(struct sifting *s, struct err *warning, struct err *err)
{
	struct capfile_packet p;
	struct err why = ERR_NONE;
	int rc;

	while ((rc = capfile_next(s->file, &p, &why)) == 0)
		if (one_packet(s, &p, err) < 0)
			return err->code;
	if (rc == ERR_END && capfile_warning(s->file))
		err_set(warning, ERR_DAMAGED, "%s", capfile_warning(s->file));
	if (rc == ERR_END)
		return 0;
	/* Broken in the middle: what was read before is good. */
	if (s->counts->packets) {
		*warning = why;
		return 0;
	}
	*err = why;
	return rc;
}

int sift_file(const struct sift_config *cfg, struct rules *rules,
	      const char *input, const char *name, struct sift_result *results,
	      struct sift_counts *counts, struct err *warning, struct err *err)
{
	size_t n = rules_count(rules);
	struct sifting s = { .cfg = cfg,
			     .rules = rules,
			     .name = name,
			     .results = results,
			     .counts = counts };
	int rc;

	memset(results, 0, n * sizeof(*results));
	*counts = (struct sift_counts){ 0 };
	s.file = capfile_open(input, err);
	if (!s.file)
		return err->code;
	capfile_on_item(s.file, on_item, &s);
	s.outputs = mem_array(n, sizeof(struct sift_output *));
	if (cfg->dedup_ns)
		s.dedup = dedup_new(cfg->dedup_ns);
	rc = read_all(&s, warning, err);
	for (size_t i = 0; i < n; i++) {
		struct err why = ERR_NONE;

		if (sift_output_end(s.outputs[i], rc == 0, &why) < 0 &&
		    rc == 0) {
			rc = why.code;
			*err = why;
		}
	}
	free(s.outputs);
	dedup_free(s.dedup);
	capfile_close(s.file);
	return rc;
}

/* -- names ---------------------------------------------------------------- */

static void cut_suffix(char *name, const char *suffix)
{
	size_t len = strlen(name), n = strlen(suffix);

	if (len > n && strcmp(name + len - n, suffix) == 0)
		name[len - n] = '\0';
}

static char *bare_name(const char *input, bool with_folders)
{
	const char *slash = strrchr(input, '/');
	char *name = mem_text(with_folders || !slash ? input : slash + 1);

	cut_suffix(name, ".gz");
	cut_suffix(name, ".zst");
	cut_suffix(name, ".lz4");
	cut_suffix(name, ".pcap");
	cut_suffix(name, ".pcapng");
	for (char *p = name; *p; p++)
		if (*p == '/')
			*p = '_';
	return name;
}

struct named {
	char *name;
	size_t i;
};

static int by_name(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	return c ? c : (x->i > y->i) - (x->i < y->i);
}

/*
 * Names that stand more than once: first they get their folders, and where
 * that does not part them ("a/b" and "a_b"), their number.
 */
static void part_doubles(struct named *all, size_t n, const char *const *inputs,
			 bool numbers)
{
	size_t from = 0, to;

	qsort(all, n, sizeof(*all), by_name);
	for (; from < n; from = to) {
		to = from + 1;
		while (to < n && strcmp(all[to].name, all[from].name) == 0)
			to++;
		for (size_t k = from; to - from > 1 && k < to; k++) {
			char *old = all[k].name;

			all[k].name =
				numbers ? mem_format("%s.%zu", old,
						     all[k].i + 1)
					: bare_name(inputs[all[k].i], true);
			free(old);
		}
	}
}

char **sift_names(const char *const *inputs, size_t n)
{
	struct named *all = mem_array(n + 1, sizeof(*all));
	char **names = mem_array(n + 1, sizeof(*names));

	for (size_t i = 0; i < n; i++)
		all[i] = (struct named){ bare_name(inputs[i], false), i };
	part_doubles(all, n, inputs, false);
	/* A number may make a name that another input has: again. */
	part_doubles(all, n, inputs, true);
	part_doubles(all, n, inputs, true);
	for (size_t i = 0; i < n; i++)
		names[all[i].i] = all[i].name;
	free(all);
	return names;
}
