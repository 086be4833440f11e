/* SPDX-License-Identifier: Apache-2.0 */
/*
 * output_priv.h - the files that one filter makes of one input.
 */
#ifndef ENGINE_SIFT_OUTPUT_PRIV_H
#define ENGINE_SIFT_OUTPUT_PRIV_H

#include "codec/packet.h"

struct err;
struct sift_output;

struct sift_output_config {
	const char *dir, *filter, *name;
	bool compress, micro;
	uint32_t snaplen;
};

/* Nothing is made before the first packet.  Texts are borrowed. */
struct sift_output *sift_output_new(const struct sift_output_config *cfg);

int sift_output_put(struct sift_output *o, uint32_t linktype,
		    const struct packet *p, struct err *err);

/* Give the files their names, or, with !keep, remove them.  Frees. */
int sift_output_end(struct sift_output *o, bool keep, struct err *err);

#endif
