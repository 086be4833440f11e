/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store whose files were cut or changed where the input says: reading it and
 * writing on may fail, with a sentence, and never more than that.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/log.h"
#include "engine/store/store.h"
#include "engine/store/view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILES_MAX = 8, STREAMS = 5, NAME = 64 };

static char dir[64];
static struct {
	char name[NAME]; /* below the directory */
	struct buf content;
} files[FILES_MAX];
static int n_files;

static struct store_row row_of(uint64_t n)
{
	struct store_row row = {
		.id = (n + 1) * UINT64_C(0x9e3779b97f4a7c15),
		.flow = { .protocol = IP_TCP,
			  .state = FLOW_OPEN,
			  .first_index = n,
			  .end = { { { .version = 4 }, 80 },
				   { { .version = 6 }, 4000 } } },
	};

	row.flow.way[0].packets = 10;
	return row;
}

static void fill(struct store *s, bool end)
{
	static const uint8_t bytes[3000] = "what is said";

	for (uint64_t n = 0; n < STREAMS; n++) {
		struct store_row row = row_of(n);
		struct store_stream *st = store_begin(store_shard(s, 0), &row);
		struct store_match m = { .end = 4 };
		struct store_message text = { .end = 9 };

		store_append(st, n & 1, 0, bytes_of(bytes, 100 + 600 * n), 1,
			     n);
		store_gap(st, n & 1, 100 + 600 * n, 50, FLOW_GAP_LOST, 2);
		store_append(st, n & 1, 150 + 600 * n, bytes_of(bytes, 40), 3,
			     n);
		store_match(st, &m);
		store_message(st, &text);
		store_tag(st, "tag");
		if (end)
			store_end(st, &row);
	}
}

static struct store *open_store(struct err *err)
{
	struct store_config cfg = STORE_CONFIG_DEFAULT;

	cfg.dir = dir;
	cfg.payload_max = STORE_PAYLOAD_LEAST;
	cfg.commit_ns = 0;
	return store_open(&cfg, err);
}

static void learn(const char *name)
{
	char path[NAME * 3];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY);
	if (fd < 0 || fstat(fd, &st) < 0 || n_files == FILES_MAX)
		abort();
	snprintf(files[n_files].name, NAME, "%s", name);
	if (read(fd, buf_reserve(&files[n_files].content, (size_t)st.st_size),
		 (size_t)st.st_size) != st.st_size)
		abort();
	buf_added(&files[n_files++].content, (size_t)st.st_size);
	close(fd);
}

static void clear(const char *below)
{
	char path[NAME * 8];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s%s", dir, below);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%s%s/%s", dir, below, e->d_name);
		unlink(path);
	}
	if (d)
		closedir(d);
}

static void remove_all(void)
{
	char payload[NAME * 2];

	clear("/payload");
	clear("");
	snprintf(payload, sizeof(payload), "%s/payload", dir);
	rmdir(payload);
	rmdir(dir);
}

static void prepare(void)
{
	struct err err = ERR_NONE;
	struct store *s;

	log_setup(LOG_ERROR, false);
	snprintf(dir, sizeof(dir), "%s/weir-fuzz-store-%d",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
		 (int)getpid());
	atexit(remove_all);
	s = open_store(&err);
	if (!s)
		abort();
	fill(s, false);
	store_close(s);
	learn("store.db");
	learn("payload/00000000.seg");
}

/* A file as it was, with changes: place, and what is put or cut there. */
static void write_changed(int n, struct cursor *c)
{
	struct buf all = { 0 };
	char path[NAME * 3];
	unsigned changes = get_u8(c) % 16;
	int fd;

	put_bytes(&all, buf_bytes(&files[n].content));
	while (changes-- && c->len && all.len) {
		uint32_t at = get_le32(c) % (uint32_t)all.len;
		uint8_t how = get_u8(c);

		if (how == 255)
			all.len = at;
		else
			all.p[at] ^= (uint8_t)(how + 1);
	}
	snprintf(path, sizeof(path), "%s/%s", dir, files[n].name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, all.p, all.len) != (ssize_t)all.len)
		abort();
	close(fd);
	buf_release(&all);
}

/* One line of text, or nothing. */
static void check_err(struct err *err)
{
	if (err->code && (!err->text[0] || strchr(err->text, '\n')))
		abort();
	*err = ERR_NONE;
}

static int on_piece(void *arg, const struct store_piece *p)
{
	uint64_t *n = arg;

	if (!p->len || (!p->hole && p->data.len != p->len))
		abort();
	return ++*n > 100000;
}

static int on_turn(void *arg, const struct store_turn *turn)
{
	(void)arg;
	(void)turn;
	return 0;
}

static int on_match(void *arg, const struct store_match *m)
{
	(void)m;
	return ++*(uint64_t *)arg > 1000;
}

static int on_row(void *arg, const struct store_row *row)
{
	uint64_t *ids = arg;

	if (ids[0] < STREAMS * 2)
		ids[++ids[0]] = row->id;
	return 0;
}

static void read_all(void)
{
	struct err err = ERR_NONE;
	struct store_view *v = store_view_open(NULL, dir, NULL, &err);
	const struct store_filter all = { .limit = 100 };
	uint64_t ids[STREAMS * 2 + 1] = { 0 };

	check_err(&err);
	if (v)
		store_view_rows(v, &all, on_row, ids, &err);
	check_err(&err);
	for (uint64_t i = 1; v && i <= ids[0]; i++) {
		uint64_t n = 0;

		for (int way = 0; way < 2; way++)
			store_view_read(v, ids[i], way, 0, UINT64_MAX,
					on_piece, &n, &err);
		check_err(&err);
		store_view_turns(v, ids[i], on_turn, NULL, &err);
		check_err(&err);
		store_view_matches(v, ids[i], on_match, &n, &err);
		check_err(&err);
	}
	store_view_close(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_on(bytes_of(data, size));
	struct err err = ERR_NONE;
	struct store *s;

	if (!n_files)
		prepare();
	clear("/payload");
	clear("");
	for (int i = 0; i < n_files; i++)
		write_changed(i, &c);
	read_all();
	s = open_store(&err);
	check_err(&err);
	if (s)
		fill(s, true);
	store_close(s);
	read_all();
	return 0;
}
