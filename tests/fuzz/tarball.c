/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tar archive from anywhere: how its bytes are cut changes nothing, and its
 * members never give more bytes than came in.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "codec/tarball.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int read_pieces(struct bytes in, size_t piece, struct buf *out)
{
	struct tarball *t = tarball_new();
	struct tarball_item item;
	size_t all = in.len, given = 0;
	int rc = ERR_AGAIN;

	while (rc == ERR_AGAIN && in.len) {
		size_t n = in.len < piece ? in.len : piece;
		struct bytes now = bytes_of(in.p, n);

		in = bytes_of(in.p + n, in.len - n);
		while ((rc = tarball_next(t, &now, &item)) == 0) {
			if (item.kind == TARBALL_MEMBER)
				put_format(out, "<%s %d %llu>", item.name,
					   item.type,
					   (unsigned long long)item.size);
			else if (item.kind == TARBALL_DATA)
				put_bytes(out, item.data);
			else
				put_text(out, "</>");
			given += item.kind == TARBALL_DATA ? item.data.len : 0;
		}
	}
	if (given > all || (rc < 0 && !tarball_why(t)))
		abort();
	if (rc == ERR_AGAIN)
		rc = tarball_end(t);
	tarball_free(t);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = { 0 }, pieces = { 0 };
	size_t piece = size ? 1 + data[size - 1] : 1;
	int rc = read_pieces(bytes_of(data, size), size + 1, &whole);

	if (read_pieces(bytes_of(data, size), piece, &pieces) != rc ||
	    !bytes_equal(buf_bytes(&whole), buf_bytes(&pieces)))
		abort();
	buf_release(&whole);
	buf_release(&pieces);
	return 0;
}
