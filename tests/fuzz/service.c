/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first bytes of a stream, said by either end, between ports that the
 * input chooses: a guess has a name, a reason and a confidence, and is only
 * ever replaced by a better one.
 */
#include <stdlib.h>

#include "base/cursor.h"
#include "engine/analyze/service.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_on(bytes_of(data, size));
	uint8_t how = get_u8(&c);
	uint16_t a = get_be16(&c), b = get_be16(&c);
	uint8_t protocol = how & 1 ? 6 : 17;
	struct service s = service_of_ports(protocol, a, b);

	for (int way = how >> 1 & 1; c.len && !c.short_; way = !way) {
		size_t n = get_u8(&c);
		struct bytes in = get_bytes(&c, n < c.len ? n : c.len);
		uint8_t was = s.source;

		/* A copy, so that a read past its end is seen. */
		uint8_t *copy = malloc(in.len + 1);

		if (in.len)
			memcpy(copy, in.p, in.len);
		copy = realloc(copy, in.len ? in.len : 1);
		service_see(&s, protocol, way, bytes_of(copy, in.len));
		free(copy);
		if (!s.name || !s.evidence || s.confidence > 100 ||
		    s.side > SERVICE_SIDE_UNKNOWN ||
		    (was != SERVICE_UNKNOWN && s.source == SERVICE_UNKNOWN))
			abort();
	}
	return 0;
}
