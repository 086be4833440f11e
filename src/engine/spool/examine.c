/* SPDX-License-Identifier: Apache-2.0 */
/*
 * examine.c - every file of a spool against the format, nothing changed.
 */
#include "engine/spool/examine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/record.h"
#include "engine/spool/mend_priv.h"

void check_fault(struct check *c, const char *kind, uint64_t offset,
		 uint64_t from, uint64_t to, const char *what)
{
	char *path = segment_path(c->dir, c->first, kind);
	const struct spool_fault fault = { .file = path,
					   .offset = offset,
					   .from = from,
					   .to = to,
					   .what = what };

	c->bad = true;
	c->report->faults++;
	c->report->bad += to - from;
	if (c->how->on_fault)
		c->how->on_fault(c->how->arg, &fault);
	free(path);
}

static void check_heads(struct check *c)
{
	struct pcap_head want = { .linktype = c->report->identity.linktype,
				  .snaplen = c->report->identity.snaplen };
	uint8_t room[PCAP_HEADER], there[PCAP_HEADER];
	struct buf b = { .p = room, .cap = sizeof(room) };

	put_pcap_head(&b, &want);
	if (c->pcap >= 0 &&
	    (sys_read_full(c->sys, c->pcap, there, sizeof(there), 0) < 0 ||
	     memcmp(there, room, sizeof(room)) != 0))
		check_fault(c, "pcap", 0, c->first, c->first,
			    "the header is not what was written");
	if (!c->x.headed)
		check_fault(c, "idx", 0, c->first, c->first,
			    "the header is not what was written");
}

/* Is entry e, with records where it has some, as written? */
static bool good_entry(struct check *c, const struct idx_entry *e)
{
	if (e->type != ENTRY_BATCH || !c->data)
		return true;
	c->done += e->length;
	if (c->how->on_progress)
		c->how->on_progress(c->how->arg, c->done, c->total);
	return c->pcap >= 0 &&
	       scan_records_good(c->sys, c->pcap, e, &c->scratch) == 1;
}

static void count_note(struct check *c, const struct idx_entry *e)
{
	if (e->type == ENTRY_DROP)
		c->report->dropped += e->value;
	if (e->type == ENTRY_GAP) {
		c->report->gaps++;
		c->report->lost += e->value - e->index;
	}
}

/*
 * Behind the last good entry: nothing may be missing up to the next segment,
 * nor, in the last one, up to where `live` says that it was durable.
 */
static void check_end(struct check *c, uint32_t bad_from)
{
	uint64_t end = c->has_next ? c->next : c->durable;
	bool missing = !c->has_next && end > c->at;

	if (bad_from != UINT32_MAX)
		check_fault(c, "idx",
			    IDX_HEADER + (uint64_t)bad_from * IDX_ENTRY, c->at,
			    end > c->at ? end : c->at,
			    "the index is not what was written");
	else if (missing)
		check_fault(c, "pcap", c->pcap_len, c->at, end,
			    "packets that were durable are not there");
	if ((missing || bad_from != UINT32_MAX) && end > c->at)
		c->at = end;
}

/* Entries from c->at on, up to c->limit, told apart good from bad. */
void check_entries(struct check *c)
{
	struct idx_entry e;
	uint32_t bad_from = UINT32_MAX;

	for (uint32_t i = 0; i < c->limit; i++) {
		bool sealing;

		if (scan_entry(&c->x, i, &e) < 0 || e.index < c->at) {
			sealing = false;
			if (scan_entry(&c->x, i, &e) == 0)
				sealing = e.type == ENTRY_SEAL && c->gap;
			if (!sealing && bad_from == UINT32_MAX)
				bad_from = i;
			continue;
		}
		if (bad_from != UINT32_MAX || e.index > c->at) {
			uint32_t at = bad_from != UINT32_MAX ? bad_from : i;

			check_fault(c, "idx",
				    IDX_HEADER + (uint64_t)at * IDX_ENTRY,
				    c->at, e.index,
				    "the index is not what was written");
			c->at = e.index;
			bad_from = UINT32_MAX;
		}
		count_note(c, &e);
		if (e.type == ENTRY_GAP) {
			c->gap = true;
			c->at = e.value;
		}
		if (e.type != ENTRY_BATCH)
			continue;
		if (!good_entry(c, &e))
			check_fault(c, "pcap", e.value, e.index,
				    e.index + e.packets,
				    "the packets are not what was written");
		c->at = e.index + e.packets;
	}
	check_end(c, bad_from);
}

/* Entries that count: what the next header says, or what is real. */
static int find_limit(struct check *c, struct err *err)
{
	struct scan_index after = { 0 };
	struct scan_walk w;
	char *path;

	c->limit = c->x.n;
	if (!c->has_next) {
		/* The newest segment is missing as a whole. */
		if (c->has_live && c->live.segment > c->first)
			c->durable = c->live.head;
		if (c->pcap < 0 || !c->has_idx)
			return 0;
		if (scan_last(c->sys, &c->x, c->pcap,
			      c->has_live ? &c->live : NULL, &w, err) < 0)
			return err->code;
		c->torn = !w.damaged;
		if (c->torn)
			c->limit = w.entries;
		else if (w.durable)
			c->durable = w.durable;
		c->length = w.length;
		return 0;
	}
	path = segment_path(c->dir, c->next, "idx");
	if (scan_index_load(c->sys, path, &c->report->identity, c->next,
			    &after) == 0 &&
	    after.headed && after.head.before <= c->x.n)
		c->limit = after.head.before;
	scan_index_release(&after);
	free(path);
	return 0;
}

int check_open(struct check *c, const struct scan_pair *pair, struct err *err)
{
	char *pcap = segment_path(c->dir, pair->number, "pcap");
	char *idx = segment_path(c->dir, pair->number, "idx");
	int rc;

	c->first = c->at = pair->number;
	c->bad = c->torn = c->gap = false;
	c->length = c->pcap_len = c->durable = 0;
	c->pcap = c->sys->open(c->sys, pcap, SYS_READ);
	if (c->pcap >= 0)
		c->sys->size(c->sys, c->pcap, &c->pcap_len);
	rc = scan_index_load(c->sys, idx, &c->report->identity, c->first,
			     &c->x);
	c->has_idx = rc == 0;
	if (c->pcap < 0 && c->pcap != -ENOENT)
		rc = err_sys(err, -c->pcap, "%s cannot be opened", pcap);
	else if (rc < 0 && rc != -ENOENT)
		rc = err_sys(err, -rc, "%s cannot be read", idx);
	else
		rc = find_limit(c, err);
	free(pcap);
	free(idx);
	return rc;
}

void check_close(struct check *c)
{
	if (c->pcap >= 0)
		c->sys->close(c->sys, c->pcap);
	c->pcap = -1;
	scan_index_release(&c->x);
}

/* One segment, and whether the next one joins it. */
void check_segment(struct check *c)
{
	c->data = c->how->verify || !c->has_next;
	if (c->pcap < 0)
		check_fault(c, "pcap", 0, c->first,
			    c->has_next ? c->next : c->first,
			    "the file is missing");
	if (!c->has_idx)
		check_fault(c, "idx", 0, c->first,
			    c->has_next ? c->next : c->first,
			    "the file is missing; --repair makes it again from "
			    "the packets");
	if (c->pcap >= 0 && c->has_idx) {
		check_heads(c);
		check_entries(c);
	} else if (c->has_next) {
		c->at = c->next;
	}
	if (c->has_next && c->next != c->at)
		check_fault(c, "pcap", c->pcap_len, c->at,
			    c->next > c->at ? c->next : c->at,
			    "the next segment does not begin where this one "
			    "ends");
	if (c->torn) {
		uint64_t idx_len = IDX_HEADER + (uint64_t)c->limit * IDX_ENTRY;

		c->report->torn +=
			(c->pcap_len > c->length ? c->pcap_len - c->length
						 : 0) +
			(c->x.bytes.len > idx_len ? c->x.bytes.len - idx_len
						  : 0);
	}
}

static bool is_written(struct sys *sys, const char *dir)
{
	char *path = path_in(dir, "lock");
	int file = sys->open(sys, path, SYS_READ);
	bool locked = file >= 0 && sys->locked(sys, file) == 1;

	if (file >= 0)
		sys->close(sys, file);
	free(path);
	return locked;
}

int id_from_headers(struct sys *sys, const char *dir,
		    const struct scan_dir *names, struct spool_identity *id)
{
	for (size_t i = 0; i < names->n_segments; i++) {
		char *path =
			segment_path(dir, names->segments[i].number, "idx");
		struct buf b = { 0 };
		struct idx_head head;
		int rc = file_load(sys, path, IDX_HEADER + (64 << 20), &b);

		if (rc == 0)
			rc = idx_head_parse(buf_bytes(&b), &head);
		buf_release(&b);
		free(path);
		if (rc < 0)
			continue;
		memcpy(id->id, head.id, SPOOL_ID);
		memcpy(id->origin, head.id, SPOOL_ID);
		id->linktype = head.linktype;
		id->snaplen = head.snaplen;
		id->name[0] = '\0';
		return 0;
	}
	return ERR_DAMAGED;
}

static int check_id(struct check *c, const struct scan_dir *names,
		    struct err *err)
{
	struct spool_fault fault = { .what = err->text };
	char *path;
	int rc = identity_load(c->sys, c->dir, &c->report->identity, err);

	if (rc == 0 || rc == ERR_FAILED ||
	    (rc == ERR_GONE && !names->n_segments))
		return rc;
	path = path_in(c->dir, "id");
	fault.file = path;
	c->report->faults++;
	if (c->how->on_fault)
		c->how->on_fault(c->how->arg, &fault);
	free(path);
	if (id_from_headers(c->sys, c->dir, names, &c->report->identity) < 0)
		return rc;
	*err = ERR_NONE;
	return 0;
}

static uint64_t total_bytes(struct check *c, const struct scan_dir *names)
{
	struct scan_ends ends;
	uint64_t total = 0;

	for (size_t i = 0; i < names->n_segments; i++)
		if (scan_ends(c->sys, c->dir, &c->report->identity,
			      names->segments[i].number, &ends) == 0)
			total += ends.pcap_len + ends.idx_len;
	return total;
}

/* Retention was cut off between the two files: the next start goes on. */
bool half_reaped(const struct check *c, const struct scan_pair *pair)
{
	return !c->any && !pair->pcap && c->has_next;
}

void check_place(struct check *c, const struct scan_dir *names, size_t i)
{
	c->has_next = i + 1 < names->n_segments;
	c->next = c->has_next ? names->segments[i + 1].number : 0;
}

int spool_examine(struct sys *sys, const char *dir,
		  const struct spool_examine *how, struct spool_report *out,
		  struct err *err)
{
	struct check c = {
		.sys = sys, .dir = dir, .how = how, .report = out, .pcap = -1
	};
	struct scan_dir names;
	int rc;

	*out = (struct spool_report){ 0 };
	if (scan_list(sys, dir, &names, err) < 0)
		return err->code;
	/* Before the index: what that says is then never less. */
	c.has_live = live_find(sys, dir, &c.live);
	out->written = is_written(sys, dir);
	out->segments = names.n_segments;
	rc = check_id(&c, &names, err);
	if (rc == 0)
		out->bytes = c.total = total_bytes(&c, &names);
	if (rc == 0 && names.n_segments)
		out->oldest = out->head = names.segments[0].number;
	for (size_t i = 0; rc == 0 && i < names.n_segments; i++) {
		check_place(&c, &names, i);
		if (half_reaped(&c, &names.segments[i]))
			continue;
		rc = check_open(&c, &names.segments[i], err);
		if (rc == 0) {
			if (!c.any)
				out->oldest = c.first;
			if (!c.any && c.x.headed)
				out->dropped = c.x.head.dropped;
			c.any = true;
			check_segment(&c);
			out->head = c.at;
		}
		check_close(&c);
	}
	buf_release(&c.scratch);
	scan_release(&names);
	return rc;
}
