/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line of a manifest, or the name of a file.  What is taken is in bounds.
 */
#include <stdlib.h>
#include <string.h>

#include "codec/ipcap_spool.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ipcap_segment s;
	char name[128] = "";
	uint64_t seq;
	uint16_t id;

	if (ipcap_segment_parse(bytes_of(data, size), &s) == 0 &&
	    (s.end < s.start || strlen(s.file) >= sizeof(s.file)))
		abort();
	memcpy(name, data, size < sizeof(name) ? size : sizeof(name) - 1);
	(void)ipcap_segment_name(name, &id, &seq);
	return 0;
}
