/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source.c - the spools of a source, and the small files of one spool.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/text.h"
#include "engine/spool/spool_priv.h"

enum { SIBLINGS_MAX = 1000000 };

char *path_in(const char *dir, const char *name)
{
	return mem_format("%s/%s", dir, name);
}

/* Length without the slashes at its end; "/" keeps its one. */
static size_t trimmed(const char *path)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	return len;
}

static const char *base_of(const char *path)
{
	const char *slash = memrchr(path, '/', trimmed(path));

	return slash ? slash + 1 : path;
}

char *source_parent(const char *source_dir)
{
	const char *base = base_of(source_dir);

	if (base == source_dir)
		return mem_text(".");
	if (base == source_dir + 1)
		return mem_text("/");
	return mem_format("%.*s", (int)(base - 1 - source_dir), source_dir);
}

char *sibling_dir(const char *source_dir, unsigned number)
{
	int len = (int)trimmed(source_dir);

	if (number == 1)
		return mem_format("%.*s", len, source_dir);
	return mem_format("%.*s.%u", len, source_dir, number);
}

struct listing {
	const char *base;
	size_t base_len;
	struct siblings *out;
};

static void add_sibling(void *arg, const char *name)
{
	struct listing *l = arg;
	struct siblings *s = l->out;
	uint64_t number = 1;

	if (strncmp(name, l->base, l->base_len) != 0)
		return;
	name += l->base_len;
	if (*name && (name[0] != '.' || name[1] < '1' || name[1] > '9' ||
		      text_to_uint(name + 1, &number) < 0 || number < 2 ||
		      number > SIBLINGS_MAX))
		return;
	s->at = mem_grow(s->at, (s->n + 1) * sizeof(*s->at));
	s->at[s->n++] = (unsigned)number;
}

static int by_number(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	return (x > y) - (x < y);
}

int siblings_list(struct sys *sys, const char *source_dir, struct siblings *out,
		  struct err *err)
{
	const char *base = base_of(source_dir);
	struct listing l = { base,
			     trimmed(source_dir) - (size_t)(base - source_dir),
			     out };
	char *parent = source_parent(source_dir);
	int rc;

	*out = (struct siblings){ 0 };
	rc = sys->list(sys, parent, add_sibling, &l);
	if (rc < 0 && rc != -ENOENT) {
		err_sys(err, -rc, "%s cannot be listed", parent);
		free(parent);
		siblings_release(out);
		return ERR_FAILED;
	}
	free(parent);
	if (out->n)
		qsort(out->at, out->n, sizeof(*out->at), by_number);
	return 0;
}

void siblings_release(struct siblings *s)
{
	free(s->at);
	*s = (struct siblings){ 0 };
}

int err_disk(struct err *err, int number, const char *fmt, ...)
{
	char text[ERR_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err_sys(err, number, "%s", text);
	if (number != ENOSPC && number != EDQUOT)
		return ERR_FAILED;
	if (err)
		err->code = ERR_FULL;
	return ERR_FULL;
}

int file_load(struct sys *sys, const char *path, size_t max, struct buf *out)
{
	int file = sys->open(sys, path, SYS_READ);
	uint64_t size = 0;
	int rc;

	if (file < 0)
		return file;
	rc = sys->size(sys, file, &size);
	if (rc == 0 && size > max)
		rc = -EFBIG;
	if (rc == 0) {
		buf_clear(out);
		rc = sys_read_full(sys, file, buf_reserve(out, (size_t)size),
				   (size_t)size, 0);
	}
	if (rc == 0)
		buf_added(out, (size_t)size);
	sys->close(sys, file);
	return rc;
}

int identity_load(struct sys *sys, const char *dir, struct spool_identity *id,
		  struct err *err)
{
	char *path = path_in(dir, "id");
	struct buf text = { 0 };
	int rc = file_load(sys, path, IDENTITY_MAX, &text);

	if (rc == -ENOENT || rc == -ENOTDIR)
		rc = err_set(err, ERR_GONE, "%s: there is no such file", path);
	else if (rc == -EFBIG)
		rc = err_set(
			err, ERR_DAMAGED,
			"%s is longer than %d bytes; weir recover --repair "
			"sets that right",
			path, IDENTITY_MAX);
	else if (rc < 0)
		rc = err_sys(err, -rc, "%s cannot be read", path);
	else if (identity_parse(buf_bytes(&text), id) < 0)
		rc = err_set(err, ERR_DAMAGED,
			     "%s is damaged: its checksum does not match; weir "
			     "recover --repair sets that right",
			     path);
	buf_release(&text);
	free(path);
	return rc;
}

int identity_save(struct sys *sys, const char *dir,
		  const struct spool_identity *id, struct err *err)
{
	char *path = path_in(dir, "id");
	struct buf text = { 0 };
	int rc;

	put_identity(&text, id);
	rc = sys_replace_file(sys, path, text.p, text.len);
	if (rc < 0)
		rc = err_disk(err, -rc, "%s cannot be written", path);
	buf_release(&text);
	free(path);
	return rc;
}

int live_load(struct sys *sys, int file, struct live *live)
{
	uint8_t raw[LIVE_SIZE];

	/* Torn by a writer that is just at it: a moment later it is whole. */
	for (int i = 0; i < 10; i++)
		if (sys_read_full(sys, file, raw, sizeof(raw), 0) == 0 &&
		    live_parse(bytes_of(raw, sizeof(raw)), live) == 0)
			return 0;
	return ERR_MALFORMED;
}

bool live_find(struct sys *sys, const char *dir, struct live *live)
{
	char *path = path_in(dir, "live");
	int file = sys->open(sys, path, SYS_READ);
	bool found = file >= 0 && live_load(sys, file, live) == 0;

	if (file >= 0)
		sys->close(sys, file);
	free(path);
	return found;
}

int live_put(struct sys *sys, int file, const struct live *live)
{
	uint8_t room[LIVE_SIZE];
	struct buf b = { .p = room, .cap = sizeof(room) };

	put_live(&b, live);
	return sys_write_full(sys, file, b.p, b.len, 0);
}
