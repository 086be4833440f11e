/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment.c - the two files of a segment, from spare to name.
 */
#include <errno.h>
#include <stdlib.h>

#include "engine/spool/spool_priv.h"

enum { RW_NEW = SYS_READ | SYS_WRITE | SYS_CREATE | SYS_TRUNCATE };

char *segment_where(const char *dir, const struct segment *g, const char *kind)
{
	return g->named ? segment_path(dir, g->first, kind)
			: spare_path(dir, g->spare, kind);
}

static int create(struct sys *sys, const char *dir, uint64_t spare,
		  const char *kind, uint64_t reserve, bool *reserved,
		  struct err *err)
{
	char *path = spare_path(dir, spare, kind);
	int file = sys->open(sys, path, RW_NEW);
	int rc = file < 0 ? file : 0;

	if (rc < 0)
		err_disk(err, -rc, "%s cannot be created", path);
	if (rc == 0 && reserve) {
		rc = sys->reserve(sys, file, reserve);
		*reserved = rc == 0;
		/* A file system without reservations is no reason to stop. */
		if (rc == -EOPNOTSUPP || rc == -ENOSYS || rc == -EINVAL)
			rc = 0;
		if (rc < 0)
			err_disk(err, -rc, "%s: no room for %llu bytes", path,
				 (unsigned long long)reserve);
	}
	free(path);
	if (rc == 0)
		return file;
	if (file >= 0)
		sys->close(sys, file);
	return err->code;
}

/* 0 when both are gone, or a negated errno. */
static int remove_files(struct sys *sys, const char *dir,
			const struct segment *g)
{
	static const char *const kinds[] = { "pcap", "idx" };
	int rc = 0;

	for (int i = 0; i < 2; i++) {
		char *path = spare_path(dir, g->spare, kinds[i]);
		int gone = sys->unlink(sys, path);

		if (gone < 0 && gone != -ENOENT)
			rc = gone;
		free(path);
	}
	return rc;
}

int segment_prepare(struct sys *sys, const char *dir, uint64_t spare,
		    uint64_t reserve, struct segment *out, struct err *err)
{
	struct segment g = {
		.open = true, .spare = spare, .pcap = -1, .idx = -1
	};
	int rc = 0;

	g.pcap = create(sys, dir, spare, "pcap", reserve, &g.reserved, err);
	if (g.pcap >= 0)
		g.idx = create(sys, dir, spare, "idx", reserve / 1024,
			       &g.reserved, err);
	/* Together at the end: the file system's journal is written once. */
	if (g.pcap >= 0 && g.idx >= 0 &&
	    ((rc = sys->sync(sys, g.pcap)) < 0 ||
	     (rc = sys->sync(sys, g.idx)) < 0 ||
	     (rc = sys->sync_dir(sys, dir)) < 0))
		err_disk(err, -rc, "%s/spare-%llu cannot be synced", dir,
			 (unsigned long long)spare);
	if (g.pcap < 0 || g.idx < 0 || rc < 0) {
		segment_close(sys, &g);
		remove_files(sys, dir, &g);
		return err->code;
	}
	*out = g;
	return 0;
}

void segment_close(struct sys *sys, struct segment *g)
{
	if (g->open && g->pcap >= 0)
		sys->close(sys, g->pcap);
	if (g->open && g->idx >= 0)
		sys->close(sys, g->idx);
	g->open = false;
	g->pcap = g->idx = -1;
}

int segment_discard(struct sys *sys, const char *dir, struct segment *g,
		    struct err *err)
{
	int rc = remove_files(sys, dir, g);

	if (rc < 0)
		return err_disk(err, -rc, "%s/spare-%llu cannot be removed",
				dir, (unsigned long long)g->spare);
	rc = sys->sync_dir(sys, dir);
	if (rc < 0)
		return err_disk(err, -rc, "%s cannot be synced", dir);
	segment_close(sys, g);
	return 0;
}

static int rename_one(struct sys *sys, const char *dir, const struct segment *g,
		      const char *kind, bool sync, struct err *err)
{
	char *from = spare_path(dir, g->spare, kind);
	char *to = segment_path(dir, g->first, kind);
	int rc = sys->rename(sys, from, to);

	/* Renamed already by an earlier call that failed behind it. */
	if (rc == -ENOENT)
		rc = 0;
	if (rc < 0)
		err_disk(err, -rc, "%s cannot be renamed to %s", from, to);
	else if (sync && (rc = sys->sync_dir(sys, dir)) < 0)
		err_disk(err, -rc, "%s cannot be synced", dir);
	free(from);
	free(to);
	return rc < 0 ? err->code : 0;
}

int segment_name_it(struct sys *sys, const char *dir, const struct segment *g,
		    struct err *err)
{
	/*
	 * Where it takes the name of one that was given up, the new .idx must
	 * never meet the old .pcap: the first rename is made durable alone.
	 */
	if (rename_one(sys, dir, g, "pcap", g->replaces, err) < 0)
		return err->code;
	return rename_one(sys, dir, g, "idx", true, err);
}
