/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spool_here.h - small spools for the tests of spool, reader and writer.
 *
 * Packet number i always has the same content, so that one read back tells
 * whether it is the one that was written under that index.
 */
#ifndef TESTS_UNIT_SPOOL_HERE_H
#define TESTS_UNIT_SPOOL_HERE_H

#include <dirent.h>
#include <ftw.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "codec/record.h"
#include "engine/spool/format.h"
#include "engine/spool/reader.h"
#include "engine/spool/spool.h"
#include "sys/sys.h"
#include "t.h"

static inline struct spool_config config_here(void)
{
	struct spool_config cfg = SPOOL_CONFIG_DEFAULT;

	cfg.source_dir = t_path("spool/src1");
	cfg.reserve = false;
	strcpy(cfg.want.name, "game");
	cfg.want.linktype = 1;
	cfg.want.snaplen = PACKET_SNAPLEN;
	return cfg;
}

static inline int no_sync(struct sys *sys, int file)
{
	(void)sys;
	(void)file;
	return 0;
}

static inline int no_sync_dir(struct sys *sys, const char *path)
{
	(void)sys;
	(void)path;
	return 0;
}

/* The machine without waiting for its disk; what syncs promise is the model
 * disk's to prove. */
static inline struct sys *sys_here(void)
{
	static struct sys fast;

	/* Once: the writer's threads read it from then on. */
	if (!fast.sync) {
		fast = *sys_host();
		fast.sync = no_sync;
		fast.sync_dir = no_sync_dir;
	}
	return &fast;
}

static inline struct spool *open_with(const struct spool_config *cfg)
{
	struct err err = ERR_NONE;
	struct spool *s = spool_open(sys_here(), cfg, &err);

	if (!s)
		fail_msg("spool_open: %s", err.text);
	return s;
}

static inline struct spool *open_here(void)
{
	struct spool_config cfg = config_here();

	return open_with(&cfg);
}

/* Content and time of packet i; *len bytes of it in a static place. */
static inline struct packet packet_number(uint64_t i)
{
	static __thread uint8_t data[4][64];
	uint8_t *p = data[i % 4];

	memset(p, (int)('a' + i % 26), sizeof(data[0]));
	memcpy(p, &i, sizeof(i));
	return (struct packet){ .data = bytes_of(p, 20 + i % 40),
				.time_ns = UINT64_C(1700000000000000001) +
					   i * 1000003,
				.wire_len = (uint32_t)(100 + i % 40) };
}

static inline void append_run(struct spool *s, uint32_t count)
{
	struct err err = ERR_NONE;
	struct buf b = { 0 };
	struct run r = { .first = spool_next(s) };

	for (uint32_t i = 0; i < count; i++) {
		struct packet p = packet_number(r.first + i);

		put_record(&b, &p);
	}
	r.records = buf_bytes(&b);
	CHECK_EQ(run_measure(&r), 0);
	CHECK_OK(spool_append(s, &r, NULL, &err), &err);
	buf_release(&b);
}

static inline void commit(struct spool *s)
{
	struct err err = ERR_NONE;

	CHECK_OK(spool_commit(s, &err), &err);
}

/* `batches` commits of `count` packets each. */
static inline void write_some(struct spool *s, int batches, uint32_t count)
{
	for (int i = 0; i < batches; i++) {
		append_run(s, count);
		commit(s);
	}
}

static inline void housekeep(struct spool *s)
{
	struct err err = ERR_NONE;

	CHECK_OK(spool_housekeep(s, &err), &err);
}

static inline struct spool_reader *reader_here(void)
{
	struct err err = ERR_NONE;
	struct spool_reader *r =
		spool_reader_open(sys_here(), t_path("spool/src1"), &err);

	if (!r)
		fail_msg("spool_reader_open: %s", err.text);
	return r;
}

static inline void seek_to(struct spool_reader *r, enum spool_place place,
			   uint64_t value)
{
	const struct spool_seek to = { .place = place,
				       .index = value,
				       .time_ns = value };
	struct err err = ERR_NONE;

	CHECK_OK(spool_reader_seek(r, &to, &err), &err);
}

/* What a reader got until nothing more was there. */
struct got {
	uint64_t packets, next, gaps, lost, begins, damaged, drops, starts;
	uint64_t gap_from[64], gap_to[64];
	uint16_t gap_reason[64];
	char sentence[ERR_TEXT];
};

static inline void check_run(const struct spool_event *ev)
{
	struct cursor c = cursor_on(ev->run.records);
	uint64_t i = ev->run.first;
	struct packet p;

	while (record_next(&c, &p) == 0) {
		struct packet want = packet_number(i++);

		CHECK_BYTES(p.data, want.data);
		CHECK_EQ(p.time_ns, want.time_ns);
		CHECK_EQ(p.wire_len, want.wire_len);
	}
	CHECK_EQ(i, ev->run.first + ev->run.count);
}

static inline void note_gap(struct got *g, uint64_t from, uint64_t to,
			    uint16_t reason)
{
	CHECK(to > from);
	if (g->gaps < 64) {
		g->gap_from[g->gaps] = from;
		g->gap_to[g->gaps] = to;
		g->gap_reason[g->gaps] = reason;
	}
	g->gaps++;
	g->lost += to - from;
	CHECK_EQ(from, g->next);
	g->next = to;
}

static inline void take_event(struct spool_reader *r, struct spool_event *ev,
			      struct got *g)
{
	struct buf b = { 0 };
	struct err err = ERR_NONE;

	switch (ev->kind) {
	case SPOOL_EVENT_BEGIN:
		g->begins++;
		g->next = ev->at;
		break;
	case SPOOL_EVENT_RUN:
		if (spool_reader_load(r, ev, &b, &err) == 0) {
			check_run(ev);
			if (!g->begins && !g->packets && !g->gaps)
				g->next = ev->run.first; /* goes on */
			CHECK_EQ(ev->run.first, g->next);
			g->packets += ev->run.count;
			g->next += ev->run.count;
		} else {
			CHECK_EQ(err.code, ERR_DAMAGED);
			memcpy(g->sentence, err.text, sizeof(g->sentence));
			g->damaged++;
		}
		break;
	case SPOOL_EVENT_NOTE:
		if (ev->note.is == SPOOL_IS_GAP)
			note_gap(g, ev->at, ev->note.value, ev->note.reason);
		else if (ev->note.is == SPOOL_IS_DROP)
			g->drops += ev->note.value;
		else if (ev->note.reason == SPOOL_NOTE_START)
			g->starts++;
		break;
	case SPOOL_EVENT_GAP:
		note_gap(g, ev->at, ev->note.value, ev->note.reason);
		break;
	}
	buf_release(&b);
}

static inline void read_on(struct spool_reader *r, struct got *g)
{
	struct spool_event ev;
	struct err err = ERR_NONE;

	for (int calls = 0; calls < 1000000; calls++) {
		int rc = spool_reader_next(r, &ev, &err);

		if (rc == ERR_AGAIN)
			return;
		if (rc == ERR_DAMAGED) {
			memcpy(g->sentence, err.text, sizeof(g->sentence));
			g->damaged++;
			continue;
		}
		CHECK_OK(rc, &err);
		take_event(r, &ev, g);
	}
	fail_msg("a reader without end");
}

/* All of a source from its oldest packet on, by a fresh reader. */
static inline struct got read_from(struct sys *sys, const char *source_dir)
{
	struct err err = ERR_NONE;
	struct spool_reader *r = spool_reader_open(sys, source_dir, &err);
	struct got g = { 0 };

	if (!r)
		fail_msg("spool_reader_open: %s", err.text);
	seek_to(r, SPOOL_OLDEST, 0);
	read_on(r, &g);
	spool_reader_close(r);
	return g;
}

static inline struct got read_all(void)
{
	return read_from(sys_here(), t_path("spool/src1"));
}

/* A copy of a spool directory as a crash at this moment would leave it. */
static inline void copy_dir(const char *from, const char *to)
{
	DIR *d = opendir(from);
	struct dirent *e;

	CHECK(d != NULL);
	mkdir(to, 0700);
	while ((e = readdir(d))) {
		char *a, *b;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		a = mem_format("%s/%s", from, e->d_name);
		b = mem_format("%s/%s", to, e->d_name);
		if (e->d_type == DT_DIR)
			copy_dir(a, b);
		else
			t_save(b, t_load(a));
		free(a);
		free(b);
	}
	closedir(d);
}

static inline int remove_one(const char *path, const struct stat *st, int type,
			     struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void remove_dir(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
