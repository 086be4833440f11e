/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run that measures well consists of records that, written again, are the
 * same bytes.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "codec/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run run = { .records = bytes_of(data, size) };
	struct cursor c = cursor_on(run.records);
	struct buf again = { 0 };
	struct packet p;
	uint32_t n = 0;

	if (run_measure(&run) < 0)
		return 0;
	for (; record_next(&c, &p) == 0; n++) {
		put_record(&again, &p);
		if (p.time_ns < run.min_ns || p.time_ns > run.max_ns)
			abort();
	}
	if (n != run.count || !bytes_equal(buf_bytes(&again), run.records))
		abort();
	buf_release(&again);
	return 0;
}
