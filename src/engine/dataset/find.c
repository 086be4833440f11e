/* SPDX-License-Identifier: Apache-2.0 */
/*
 * find.c - the files below some folders.
 *
 * Links to files are followed, links to folders are not: nothing is found
 * twice, and nothing goes round for ever.
 */
#include "engine/dataset/find.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/mem.h"
#include "engine/dataset/pattern.h"

void found_release(struct found *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->at[i].path);
	free(f->at);
	*f = (struct found){ 0 };
}

static bool ends_with(const char *name, size_t len, const char *end)
{
	size_t n = strlen(end);

	return n <= len && memcmp(name + len - n, end, n) == 0;
}

/* The length of the name without ".gz" or what else a packing adds. */
static size_t without_packing(const char *name)
{
	static const char *const packings[] = { ".gz", ".gzip", ".zst", ".zstd",
						".lz4" };
	size_t len = strlen(name);

	for (size_t i = 0; i < sizeof(packings) / sizeof(*packings); i++)
		if (ends_with(name, len, packings[i]))
			return len - strlen(packings[i]);
	return len;
}

static bool wanted_name(const struct map_config *cfg, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	size_t len = strlen(name), bare = without_packing(name);
	bool ends = cfg->n_suffixes == 0;

	for (size_t i = 0; i < cfg->n_suffixes && !ends; i++)
		ends = ends_with(name, len, cfg->suffixes[i]) ||
		       ends_with(name, bare, cfg->suffixes[i]);
	return ends && pattern_matches(cfg->pattern, path);
}

static int add(struct found *f, const char *path, const struct stat *st,
	       struct err *err)
{
	if (f->n == DATASET_FILES_MAX)
		return err_set(err, ERR_LIMIT,
			       "there are over %d files; map parts of the set, "
			       "with --file-regexp for example",
			       DATASET_FILES_MAX);
	if ((f->n & (f->n - 1)) == 0)
		f->at = mem_grow(f->at, (f->n ? 2 * f->n : 1) * sizeof(*f->at));
	f->at[f->n++] = (struct found_file){
		.path = mem_text(path),
		.bytes = (uint64_t)st->st_size,
		.mtime_ns = (uint64_t)st->st_mtim.tv_sec * 1000000000 +
			    (uint64_t)st->st_mtim.tv_nsec,
		.inode = st->st_ino,
	};
	return 0;
}

static int walk(const struct map_config *cfg, struct found *f, const char *path,
		int depth, struct err *err);

static int one_entry(const struct map_config *cfg, struct found *f,
		     const char *path, int depth, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return 0; /* it went away meanwhile */
	if (S_ISDIR(st.st_mode))
		return walk(cfg, f, path, depth + 1, err);
	if (!wanted_name(cfg, path)) {
		f->other++;
		return 0;
	}
	if (S_ISLNK(st.st_mode) && stat(path, &st) < 0)
		return 0;
	if (!S_ISREG(st.st_mode))
		return 0;
	return add(f, path, &st, err);
}

static int walk(const struct map_config *cfg, struct found *f, const char *path,
		int depth, struct err *err)
{
	struct dirent *e;
	DIR *d;
	int rc = 0;

	if (depth > MAP_DEPTH_MAX)
		return err_set(err, ERR_LIMIT,
			       "%s lies more than %d folders deep", path,
			       MAP_DEPTH_MAX);
	d = opendir(path);
	if (!d)
		return err_sys(err, errno, "the folder %s cannot be read",
			       path);
	while (rc == 0 && (e = readdir(d)) != NULL) {
		size_t len = strlen(path);
		char *inner;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		inner = mem_format("%s%s%s", path,
				   len && path[len - 1] == '/' ? "" : "/",
				   e->d_name);
		rc = one_entry(cfg, f, inner, depth, err);
		free(inner);
	}
	closedir(d);
	return rc;
}

static int by_path(const void *a, const void *b)
{
	const struct found_file *x = a, *y = b;

	return strcmp(x->path, y->path);
}

/* The same file given twice is one. */
static void drop_doubles(struct found *f)
{
	size_t kept = 0;

	for (size_t i = 0; i < f->n; i++) {
		if (kept && strcmp(f->at[kept - 1].path, f->at[i].path) == 0)
			free(f->at[i].path);
		else
			f->at[kept++] = f->at[i];
	}
	f->n = kept;
}

int find_files(const struct map_config *cfg, struct found *f, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; i < cfg->n_paths && rc == 0; i++) {
		const char *path = cfg->paths[i];
		struct stat st;

		if (stat(path, &st) < 0)
			rc = err_sys(err, errno, "%s cannot be mapped", path);
		else if (S_ISDIR(st.st_mode))
			rc = walk(cfg, f, path, 0, err);
		else
			rc = add(f, path, &st, err);
	}
	if (rc == 0 && f->n) {
		qsort(f->at, f->n, sizeof(*f->at), by_path);
		drop_doubles(f);
	}
	return rc;
}
