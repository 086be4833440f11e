/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/recover_ipcap.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "codec/hex.h"
#include "codec/ipcap_spool.h"
#include "codec/record.h"
#include "engine/capfile/capfile.h"
#include "engine/spool/reader.h"
#include "engine/spool/spool.h"
#include "sys/sys.h"

enum {
	MANIFEST_MAX = 64 << 20,
	FILES_MAX = 1 << 20,
	BATCH_BYTES = 256 << 10,
	COMMIT_BYTES = 8 << 20,
	EPOCH_BYTES = 8,
	ORIGIN_PART = 7, /* doc/link-protocol.md, "ipcap": the origin */
	ORIGIN_EPOCH = 8
};

/* One capture file, and what the manifest says of it. */
struct file {
	uint64_t seq;
	bool known;
	struct ipcap_segment says;
};

struct work {
	const struct recover_ipcap *how;
	struct recover_ipcap_report *report;
	struct file *files; /* ascending; owned */
	size_t n;
	uint64_t index; /* of the next packet */
	bool any;
	uint32_t linktype; /* of the last packet */
	unsigned part;	   /* how often it has changed */

	/* while packets are brought into a source */
	char *source;
	bool has_epoch;
	uint8_t epoch[EPOCH_BYTES];
	unsigned from_part; /* those before it are there */
	struct spool *spool;
	struct buf records;
	uint64_t first, uncommitted;
	uint32_t count;
};

static char *path_of(const struct work *w, const struct file *f)
{
	return mem_format("%s/src%u-%020" PRIu64 ".pcap", w->how->dir,
			  w->how->id, f->seq);
}

static void fault(struct work *w, const struct file *f, uint64_t from,
		  uint64_t to, const char *what)
{
	char *path = path_of(w, f);

	if (w->how->on_fault)
		w->how->on_fault(w->how->arg, path, from, to, what);
	w->report->missing += to - from;
	free(path);
}

/* -- what lies there ------------------------------------------------------- */

struct listing {
	struct work *w;
	uint16_t id;
};

static void add_file(void *arg, const char *name)
{
	struct listing *l = arg;
	struct work *w = l->w;
	uint64_t seq;
	uint16_t id;

	if (ipcap_segment_name(name, &id, &seq) < 0 || id != l->id ||
	    w->n == FILES_MAX)
		return;
	if ((w->n & (w->n - 1)) == 0)
		w->files = mem_grow(w->files,
				    (w->n ? 2 * w->n : 1) * sizeof(*w->files));
	w->files[w->n++] = (struct file){ .seq = seq };
}

static int by_seq(const void *a, const void *b)
{
	const struct file *x = a, *y = b;

	return (x->seq > y->seq) - (x->seq < y->seq);
}

static int list_files(struct work *w, struct err *err)
{
	struct listing l = { w, w->how->id };
	int rc = sys_host()->list(sys_host(), w->how->dir, add_file, &l);

	if (rc < 0)
		return err_sys(err, -rc, "%s cannot be listed", w->how->dir);
	if (w->n)
		qsort(w->files, w->n, sizeof(*w->files), by_seq);
	return 0;
}

bool recover_ipcap_there(const char *dir, uint16_t id)
{
	const struct recover_ipcap how = { .dir = dir, .id = id };
	struct work w = { .how = &how };
	bool there = list_files(&w, NULL) == 0 && w.n;

	free(w.files);
	return there;
}

/* A small file as a whole; empty where there is none. */
static int load(const struct work *w, const char *name, struct buf *b,
		struct err *err)
{
	char *path = mem_format("%s/%s", w->how->dir, name);
	struct sys *sys = sys_host();
	int file = sys->open(sys, path, SYS_READ);
	uint64_t size = 0;
	int rc = file < 0 ? file : sys->size(sys, file, &size);

	if (rc == 0 && size > MANIFEST_MAX)
		rc = -EFBIG;
	if (rc == 0)
		rc = sys_read_full(sys, file, buf_reserve(b, size + 1), size,
				   0);
	if (rc == 0)
		buf_added(b, size);
	if (file >= 0)
		sys->close(sys, file);
	if (rc < 0 && rc != -ENOENT)
		err_sys(err, -rc, "%s cannot be read", path);
	free(path);
	return rc < 0 && rc != -ENOENT ? err->code : 0;
}

static void take_line(struct work *w, struct bytes line)
{
	struct ipcap_segment s;
	struct file key, *f;
	uint64_t seq;
	uint16_t id;

	/* A line that is torn or of another source says nothing. */
	if (ipcap_segment_parse(line, &s) < 0 ||
	    ipcap_segment_name(s.file, &id, &seq) < 0 || id != w->how->id ||
	    seq != s.seq || !w->n)
		return;
	key.seq = seq;
	f = bsearch(&key, w->files, w->n, sizeof(key), by_seq);
	if (!f)
		return;
	f->known = true;
	f->says = s;
}

static int read_manifest(struct work *w, struct err *err)
{
	struct buf b = { 0 };
	int rc = load(w, "manifest.ndjson", &b, err);
	const uint8_t *from = b.p, *end = b.p + b.len;

	while (rc == 0 && from < end) {
		const uint8_t *line = memchr(from, '\n', (size_t)(end - from));
		const uint8_t *to = line ? line : end;

		take_line(w, bytes_of(from, (size_t)(to - from)));
		from = to + 1;
	}
	buf_release(&b);
	return rc;
}

static int read_epoch(struct work *w, struct err *err)
{
	struct buf b = { 0 };
	int rc = load(w, "epoch", &b, err);
	size_t n = b.len;

	while (n && (b.p[n - 1] == '\n' || b.p[n - 1] == ' '))
		n--;
	w->has_epoch = rc == 0 &&
		       hex_parse(bytes_of(b.p, n), w->epoch, EPOCH_BYTES) == 0;
	buf_release(&b);
	return rc;
}

/* -- into a source --------------------------------------------------------- */

static void origin_of(const struct work *w, unsigned part,
		      uint8_t origin[SPOOL_ID])
{
	memset(origin, 0, SPOOL_ID);
	memcpy(origin, part || !w->has_epoch ? "ipcap-p" : "ipcap-e",
	       ORIGIN_PART);
	origin[ORIGIN_PART] = (uint8_t)part;
	memcpy(origin + ORIGIN_EPOCH, w->epoch, EPOCH_BYTES);
}

/* Which part of it the source's newest spool is, if it was begun before. */
static int find_part(struct work *w, struct err *err)
{
	struct spool_reader *r = spool_reader_open(sys_host(), w->source, err);
	struct spool_reader_status st = { 0 };
	uint8_t origin[SPOOL_ID];
	int rc = r ? spool_reader_status(r, &st, err) : err->code;

	for (unsigned part = 0; rc == 0 && st.exists && part < 256; part++) {
		origin_of(w, part, origin);
		if (memcmp(origin, st.identity.origin, SPOOL_ID) == 0)
			w->from_part = part;
	}
	spool_reader_close(r);
	return rc;
}

static int flush(struct work *w, bool commit, struct err *err)
{
	struct run run = { .first = w->first,
			   .records = buf_bytes(&w->records) };

	if (w->count) {
		if (run_measure(&run) < 0)
			return err_set(err, ERR_FAILED,
				       "packet %" PRIu64 " makes no record",
				       w->first);
		if (spool_append(w->spool, &run, NULL, err) < 0)
			return err->code;
		w->uncommitted += w->records.len;
		w->report->brought += w->count;
	}
	buf_clear(&w->records);
	w->count = 0;
	if (!commit && w->uncommitted < COMMIT_BYTES)
		return 0;
	w->uncommitted = 0;
	if (spool_commit(w->spool, err) < 0)
		return err->code;
	return spool_housekeep(w->spool, err);
}

static int leave_spool(struct work *w, struct err *err)
{
	int rc = w->spool ? flush(w, true, err) : 0;

	spool_close(w->spool);
	w->spool = NULL;
	return rc;
}

static int enter_spool(struct work *w, uint64_t first, struct err *err)
{
	struct spool_config cfg = SPOOL_CONFIG_DEFAULT;

	cfg.source_dir = w->source;
	snprintf(cfg.want.name, sizeof(cfg.want.name), "src%u", w->how->id);
	cfg.want.linktype = w->linktype;
	cfg.want.snaplen = PACKET_SNAPLEN;
	origin_of(w, w->part, cfg.want.origin);
	cfg.first = first;
	cfg.keep_max = 0; /* nothing is removed to bring something in */
	w->spool = spool_open(sys_host(), &cfg, err);
	return w->spool ? 0 : err->code;
}

/* Up to `index` nothing is there. */
static int skip_to(struct work *w, uint64_t index, struct err *err)
{
	const struct spool_note gap = { .is = SPOOL_IS_GAP,
					.reason = SPOOL_GAP_DAMAGE,
					.value = index };

	if (flush(w, false, err) < 0)
		return err->code;
	return index > spool_next(w->spool)
		       ? spool_append_note(w->spool, &gap, err)
		       : 0;
}

static int bring(struct work *w, uint64_t index, const struct packet *p,
		 struct err *err)
{
	if (w->part < w->from_part)
		return 0;
	if (!w->spool && enter_spool(w, index, err) < 0)
		return err->code;
	if (!w->count && index < spool_next(w->spool))
		return 0; /* from an earlier try */
	if (index != spool_next(w->spool) + w->count &&
	    skip_to(w, index, err) < 0)
		return err->code;
	if (!w->count)
		w->first = index;
	put_record(&w->records, p);
	w->count++;
	return w->records.len >= BATCH_BYTES || w->count == RUN_COUNT_MAX
		       ? flush(w, false, err)
		       : 0;
}

/* -- file by file ------------------------------------------------------------
 */

static int take_packet(struct work *w, const struct capfile_packet *p,
		       struct err *err)
{
	if (w->any && p->linktype != w->linktype) {
		if (w->how->into && leave_spool(w, err) < 0)
			return err->code;
		w->part++;
	}
	w->any = true;
	w->linktype = p->linktype;
	w->report->packets++;
	w->report->linktypes = w->part + 1;
	return w->how->into ? bring(w, w->index, &p->packet, err) : 0;
}

static int read_file(struct work *w, const struct file *f, bool last,
		     struct err *err)
{
	uint64_t most = f->known ? f->says.end - f->says.start : UINT64_MAX;
	char *path = path_of(w, f);
	struct capfile *c = capfile_open(path, err);
	struct err why = ERR_NONE;
	struct capfile_packet p;
	uint64_t n = 0;
	int rc = 0;

	free(path);
	if (!c)
		return err->code;
	w->report->bytes += capfile_size(c);
	while (rc == 0 && n < most && capfile_next(c, &p, &why) == 0) {
		rc = take_packet(w, &p, err);
		w->index++;
		n++;
	}
	if (rc == 0 && n < most && f->known) {
		fault(w, f, w->index, f->says.end,
		      "the file ends before the packets that the manifest "
		      "tells of");
		w->index = f->says.end;
	} else if (rc == 0 && n < most &&
		   (capfile_warning(c) || why.code != ERR_END)) {
		if (last)
			w->report->torn = true;
		else
			fault(w, f, w->index, w->index,
			      "the file ends inside a record");
	}
	capfile_close(c);
	return rc;
}

/* The manifest's numbers win over the count. */
static int place_file(struct work *w, size_t i, struct err *err)
{
	const struct file *f = &w->files[i];

	if (f->known && i && f->says.start < w->index)
		return err_set(err, ERR_DAMAGED,
			       "src%u-%020" PRIu64 ".pcap begins at packet "
			       "%" PRIu64 " in the manifest, and those before "
			       "it end at %" PRIu64
			       "; correct or remove its line",
			       w->how->id, f->seq, f->says.start, w->index);
	if (f->known && i && f->says.start > w->index)
		fault(w, f, w->index, f->says.start,
		      "no file has the packets before it");
	if (f->known)
		w->index = f->says.start;
	if (!i)
		w->report->oldest = w->index;
	return 0;
}

static int read_all(struct work *w, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < w->n; i++) {
		w->report->files++;
		rc = place_file(w, i, err);
		if (rc == 0)
			rc = read_file(w, &w->files[i], i + 1 == w->n, err);
	}
	w->report->head = w->index;
	return rc;
}

int recover_ipcap(const struct recover_ipcap *how,
		  struct recover_ipcap_report *report, struct err *err)
{
	struct work w = { .how = how, .report = report };
	int rc;

	*report = (struct recover_ipcap_report){ 0 };
	if (how->into)
		w.source = mem_format("%s/src%u", how->into, how->id);
	rc = list_files(&w, err);
	if (rc == 0)
		rc = read_manifest(&w, err);
	if (rc == 0)
		rc = read_epoch(&w, err);
	if (rc == 0 && how->into)
		rc = find_part(&w, err);
	if (rc == 0)
		rc = read_all(&w, err);
	if (rc == 0 && w.spool)
		rc = skip_to(&w, w.index, err);
	if (rc == 0)
		rc = leave_spool(&w, err);
	spool_close(w.spool);
	buf_release(&w.records);
	free(w.source);
	free(w.files);
	return rc;
}
