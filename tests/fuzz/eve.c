/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event of an EVE log from anywhere, and a packet asked against its flow.
 */
#include <stdlib.h>

#include "base/err.h"
#include "codec/packet.h"
#include "engine/sift/flowpick.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct packet p = { .data = bytes_of(data, size),
				  .wire_len = (uint32_t)size };
	struct err err = ERR_NONE;
	struct eve_event e;
	struct flowpick *f;

	if (eve_parse(bytes_of(data, size), &e) < 0)
		return 0;
	f = flowpick_new(&e, &err);
	if (!f && !err.text[0])
		abort();
	if (f)
		flowpick_takes(f, 1, &p);
	flowpick_free(f);
	return 0;
}
