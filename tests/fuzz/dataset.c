/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map of a set: JSON from anywhere is read or refused with a sentence,
 * and what was read is the same when it is written and read again.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "engine/dataset/dataset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dataset d = { 0 }, again = { 0 };
	struct buf first = { 0 }, second = { 0 };
	struct err err = ERR_NONE;
	int rc = dataset_parse(bytes_of(data, size), "fuzz", &d, &err);

	if (rc < 0 && (!err.text[0] || d.n_files))
		abort();
	if (rc == 0) {
		dataset_put_json(&d, &first);
		if (dataset_parse(buf_bytes(&first), "again", &again, &err) < 0)
			abort();
		dataset_put_json(&again, &second);
		if (!bytes_equal(buf_bytes(&first), buf_bytes(&second)))
			abort();
	}
	buf_release(&first);
	buf_release(&second);
	dataset_release(&d);
	dataset_release(&again);
	return 0;
}
