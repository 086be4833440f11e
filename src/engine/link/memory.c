/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/link/memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "codec/hex.h"
#include "sys/sys.h"

enum { PATH_SIZE = 1024, LINE_SIZE = 128 };

static int path_of(char path[PATH_SIZE], const char *dir, const char *name,
		   struct err *err)
{
	int n = snprintf(path, PATH_SIZE, "%s/%s", dir, name);

	if (n < 0 || n >= PATH_SIZE)
		return err_set(err, ERR_LIMIT, "the path %s/%s is too long",
			       dir, name);
	return 0;
}

int memory_replace(struct sys *sys, const char *dir, const char *name,
		   const char *text, struct err *err)
{
	char path[PATH_SIZE], next[PATH_SIZE + 8];
	int file, rc;

	if (path_of(path, dir, name, err) < 0)
		return err->code;
	snprintf(next, sizeof(next), "%s.tmp", path);
	rc = sys->mkdir(sys, dir);
	if (rc < 0 && rc != -EEXIST)
		return err_sys(err, -rc, "cannot make %s", dir);
	file = sys->open(sys, next, SYS_WRITE | SYS_CREATE | SYS_TRUNCATE);
	if (file < 0)
		return err_sys(err, -file, "cannot write %s", next);
	rc = sys_write_full(sys, file, text, strlen(text), 0);
	sys->close(sys, file);
	if (rc == 0)
		rc = sys->rename(sys, next, path);
	return rc < 0 ? err_sys(err, -rc, "cannot write %s", path) : 0;
}

int memory_put_ack(struct sys *sys, const char *source_dir,
		   const char *fingerprint, uint64_t index,
		   const uint8_t origin[SPOOL_ID], struct err *err)
{
	char dir[PATH_SIZE], line[LINE_SIZE], hex[2 * SPOOL_ID + 1];

	if (path_of(dir, source_dir, "peers", err) < 0)
		return err->code;
	snprintf(line, sizeof(line), "%llu %s\n", (unsigned long long)index,
		 hex_of(hex, bytes_of(origin, SPOOL_ID)));
	return memory_replace(sys, dir, fingerprint, line, err);
}

static int served_dir(char dir[PATH_SIZE], char name[LINE_SIZE],
		      const char *spool_dir, uint16_t source,
		      const char *fingerprint, struct err *err)
{
	snprintf(name, LINE_SIZE, "%u-%s", source, fingerprint);
	return path_of(dir, spool_dir, "served", err);
}

void memory_get_served(struct sys *sys, const char *spool_dir, uint16_t source,
		       const char *fingerprint, struct served *s)
{
	char dir[PATH_SIZE], name[LINE_SIZE], path[PATH_SIZE];
	char line[LINE_SIZE] = "", *end;
	ssize_t n = -1;
	int file;

	*s = (struct served){ .known = false };
	if (served_dir(dir, name, spool_dir, source, fingerprint, NULL) < 0 ||
	    path_of(path, dir, name, NULL) < 0)
		return;
	file = sys->open(sys, path, SYS_READ);
	if (file < 0)
		return;
	n = sys->pread(sys, file, line, sizeof(line) - 1, 0);
	sys->close(sys, file);
	if (n <= 2 * SPOOL_ID || line[2 * SPOOL_ID] != ' ')
		return;
	line[n] = '\0';
	end = strchr(line, '\n');
	if (!end)
		return;
	*end = '\0';
	if (text_to_uint(line + 2 * SPOOL_ID + 1, &s->fallen) < 0)
		return;
	s->known = hex_parse(bytes_of(line, 2 * SPOOL_ID), s->origin,
			     SPOOL_ID) == 0;
}

int memory_put_served(struct sys *sys, const char *spool_dir, uint16_t source,
		      const char *fingerprint, const struct served *s,
		      struct err *err)
{
	char dir[PATH_SIZE], name[LINE_SIZE], line[LINE_SIZE];
	char hex[2 * SPOOL_ID + 1];

	if (served_dir(dir, name, spool_dir, source, fingerprint, err) < 0)
		return err->code;
	snprintf(line, sizeof(line), "%s %llu\n",
		 hex_of(hex, bytes_of(s->origin, SPOOL_ID)),
		 (unsigned long long)s->fallen);
	return memory_replace(sys, dir, name, line, err);
}

/*
 * What came from ipcap, by its files or by the link, keeps the epoch that it
 * had there: an ipcap collector that knows it goes on where it is.
 */
void served_epoch(char out[SERVED_EPOCH + 1], const struct served *s)
{
	static const char from_ipcap[] = "ipcap-e";
	const size_t mark = sizeof(from_ipcap) - 1;
	bool old = memcmp(s->origin, from_ipcap, mark) == 0;
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | s->origin[old ? i + 8 : i];
	if (old)
		v += s->origin[mark];
	snprintf(out, SERVED_EPOCH + 1, "%016llx",
		 (unsigned long long)(v + s->fallen));
}
