/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An archive of any kind: members, an end or a sentence; zip as well as tar in
 * each packing.  A bomb costs no more than a million bytes here.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "engine/archive/archive.h"

enum { BYTES_MAX = 1 << 20, MEMBERS_MAX = 1000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int walk(struct archive *a, struct err *err)
{
	struct archive_member m;
	struct bytes b;
	size_t bytes = 0, members = 0;
	int rc;

	while ((rc = archive_next(a, &m, err)) == 0) {
		if (!m.name || ++members > MEMBERS_MAX)
			break;
		while ((rc = archive_read(a, &b, err)) == 0) {
			if (!b.len)
				abort();
			bytes += b.len;
			if (bytes > BYTES_MAX)
				return 0;
		}
		if (rc != ERR_END)
			break;
	}
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC), rc;
	struct err err = ERR_NONE;
	struct archive *a;
	char path[64];

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	a = archive_open(path, &err);
	rc = a ? walk(a, &err) : err.code;
	if (rc < 0 && rc != ERR_END && !err.text[0])
		abort();
	archive_close(a);
	close(fd);
	return 0;
}
