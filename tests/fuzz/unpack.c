/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packed bytes through a pipe: packets, an end, a warning or a sentence, and
 * never anything else.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "engine/capfile/capfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct capfile_packet p;
	struct err err = ERR_NONE;
	struct capfile *f;
	int rc;

	if (fd < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	f = capfile_open_fd(fd, "fuzz");
	while ((rc = capfile_next(f, &p, &err)) == 0)
		;
	if (rc == ERR_AGAIN || (rc != ERR_END && !err.text[0]))
		abort();
	if (capfile_next(f, &p, &err) != rc)
		abort();
	capfile_close(f);
	return 0;
}
