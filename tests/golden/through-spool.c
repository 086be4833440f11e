/* SPDX-License-Identifier: Apache-2.0 */
/*
 * through-spool FILE... - what goes into a spool comes out of it, bit by bit.
 *
 * Each capture is read into a spool in memory (a sibling for each change of
 * the link type, small segments) and out of it again; the sums of both sides
 * (sums.h) must be the same.  One line of TAP a file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/log.h"
#include "codec/record.h"
#include "engine/capfile/capfile.h"
#include "engine/spool/reader.h"
#include "engine/spool/spool.h"
#include "sums.h"
#include "sys/sys.h"

enum { BATCH = 64, RUN_BYTES = 64 << 10, SEGMENT = 256 << 10 };

struct way {
	struct sys *sys;
	struct spool *spool;
	uint32_t linktype;
	struct buf run; /* records that wait to be appended */
	struct sums in, out;
};

static int append_run(struct way *w, struct err *err)
{
	struct run run = { .records = buf_bytes(&w->run) };
	int rc;

	if (!w->run.len)
		return 0;
	run.first = spool_next(w->spool);
	if (run_measure(&run) < 0)
		return err_set(err, ERR_MALFORMED,
			       "what was put as records is none");
	rc = spool_append(w->spool, &run, NULL, err);
	if (rc == 0)
		rc = spool_commit(w->spool, err);
	if (rc == 0)
		rc = spool_housekeep(w->spool, err);
	buf_clear(&w->run);
	return rc;
}

static int open_spool(struct way *w, uint32_t linktype, struct err *err)
{
	struct spool_config cfg = SPOOL_CONFIG_DEFAULT;

	cfg.source_dir = "spool/golden";
	cfg.segment_max = SEGMENT;
	cfg.reserve = false;
	cfg.want.linktype = linktype;
	cfg.want.snaplen = PACKET_SNAPLEN;
	strcpy(cfg.want.name, "golden");
	w->linktype = linktype;
	w->spool = spool_open(w->sys, &cfg, err);
	return w->spool ? 0 : err->code;
}

static int put(struct way *w, const struct packet *p, uint32_t linktype,
	       struct err *err)
{
	if (w->spool && linktype != w->linktype) {
		if (append_run(w, err) < 0)
			return err->code;
		spool_close(w->spool);
		w->spool = NULL;
	}
	if (!w->spool && open_spool(w, linktype, err) < 0)
		return err->code;
	if (w->run.len + RECORD_HEADER + p->data.len > RUN_BYTES &&
	    append_run(w, err) < 0)
		return err->code;
	put_record(&w->run, p);
	sums_add(&w->in, linktype, p);
	return 0;
}

/* A file that ends in damage is as good as any, up to there. */
static int fill(struct way *w, const char *path, struct err *err)
{
	struct err why = ERR_NONE;
	struct capfile *f = capfile_open(path, err);
	struct capfile_packet p;
	int rc = f ? 0 : err->code;

	while (rc == 0 && capfile_next(f, &p, &why) == 0)
		rc = put(w, &p.packet, p.linktype, err);
	capfile_close(f);
	return rc == 0 && w->spool ? append_run(w, err) : rc;
}

static int add_run(struct way *w, const struct spool_event *ev, struct err *err)
{
	struct cursor c = cursor_on(ev->run.records);
	struct packet p;
	uint32_t n = 0;

	for (; record_next(&c, &p) == 0; n++)
		sums_add(&w->out, ev->identity->linktype, &p);
	return n == ev->run.count ? 0
				  : err_set(err, ERR_MALFORMED,
					    "a run has not all its records");
}

static int empty(struct way *w, struct err *err)
{
	struct spool_reader *r = spool_reader_open(w->sys, "spool/golden", err);
	struct spool_event ev;
	struct buf b = { 0 };
	int rc = r ? 0 : err->code;

	while (rc == 0 && (rc = spool_reader_next(r, &ev, err)) == 0) {
		buf_clear(&b);
		if (ev.kind == SPOOL_EVENT_RUN)
			rc = spool_reader_load(r, &ev, &b, err);
		if (rc == 0 && ev.kind == SPOOL_EVENT_RUN)
			rc = add_run(w, &ev, err);
		if (ev.kind == SPOOL_EVENT_GAP)
			rc = err_set(err, ERR_GONE, "there is a gap at %llu",
				     (unsigned long long)ev.at);
	}
	buf_release(&b);
	spool_reader_close(r);
	return rc == ERR_AGAIN ? 0 : rc;
}

static bool check(int number, const char *path)
{
	struct way w = { .sys = sys_memory_new(UINT64_C(1) << 30) };
	struct err err = ERR_NONE;
	bool ok;
	int rc;

	sys_mkdir_all(w.sys, "spool");
	rc = fill(&w, path, &err);
	if (rc == 0)
		rc = empty(&w, &err);
	sums_finish(&w.in);
	sums_finish(&w.out);
	ok = rc == 0 && sums_equal(&w.in, &w.out);
	printf("%s %d - %s\n", ok ? "ok" : "not ok", number, path);
	if (rc < 0)
		printf("# %s\n", err.text);
	else if (!ok)
		printf("# what came out is not what went in\n");
	spool_close(w.spool);
	sys_memory_free(w.sys);
	buf_release(&w.run);
	sums_release(&w.in);
	sums_release(&w.out);
	return ok;
}

int main(int argc, char **argv)
{
	bool all = true;

	log_setup(LOG_ERROR, false); /* a change of link type is no news here */
	printf("1..%d\n", argc - 1);
	for (int i = 1; i < argc; i++)
		all &= check(i, argv[i]);
	return all ? 0 : 1;
}
