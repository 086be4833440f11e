/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML from anywhere, as filters: refused with a sentence, or usable on any
 * packet.
 */
#include <stdlib.h>

#include "base/err.h"
#include "codec/packet.h"
#include "engine/config/yamltree.h"
#include "engine/sift/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = ERR_NONE;
	struct yaml_doc *doc =
		yamltree_parse(bytes_of(data, size), "fuzz", &err);
	struct rules *r = doc ? rules_new(doc, NULL, &err) : NULL;
	const struct packet p = { .data = bytes_of(data, size),
				  .wire_len = (uint32_t)size };
	struct decoded d;
	const struct rules_packet rp = { &p, 1, &d };

	if (!r && !err.text[0])
		abort();
	decode_frame_to(1, p.data, p.wire_len, 0, &d);
	for (size_t i = 0; r && i < rules_count(r); i++)
		rules_take(r, i, &rp, &err);
	rules_free(r);
	yamltree_free(doc);
	return 0;
}
