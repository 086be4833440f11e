/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/pack/gunzip_priv.h"

#include <stdlib.h>

#include <isa-l/igzip_lib.h>

#include "base/err.h"
#include "base/mem.h"

struct gunzip {
	struct inflate_state state;
	const char *why;
};

static void begin(struct gunzip *g)
{
	isal_inflate_init(&g->state);
	g->state.crc_flag = ISAL_GZIP; /* header and checksum, too */
}

struct gunzip *gunzip_new(void)
{
	struct gunzip *g = mem_alloc(sizeof(*g));

	begin(g);
	return g;
}

void gunzip_free(struct gunzip *g)
{
	free(g);
}

static const char *name_of(int rc)
{
	switch (rc) {
	case ISAL_INCORRECT_CHECKSUM:
		return "incorrect data check";
	case ISAL_INVALID_LOOKBACK:
		return "invalid distance too far back";
	case ISAL_INVALID_WRAPPER:
	case ISAL_UNSUPPORTED_METHOD:
		return "incorrect header";
	default:
		return "invalid block or code";
	}
}

int gunzip_step(struct gunzip *g, struct bytes *in, uint8_t *out, size_t room,
		size_t *made, bool *ended)
{
	size_t taken;
	int rc;

	g->state.next_in = (uint8_t *)in->p;
	g->state.avail_in =
		(uint32_t)(in->len < UINT32_MAX ? in->len : UINT32_MAX);
	g->state.next_out = out;
	g->state.avail_out = (uint32_t)(room < UINT32_MAX ? room : UINT32_MAX);
	rc = isal_inflate(&g->state);
	*made = (size_t)(g->state.next_out - out);
	taken = (size_t)(g->state.next_in - in->p);
	in->p += taken;
	in->len -= taken;
	*ended = rc == ISAL_DECOMP_OK &&
		 g->state.block_state == ISAL_BLOCK_FINISH;
	if (*ended)
		begin(g);
	if (rc >= 0)
		return 0;
	g->why = name_of(rc);
	return ERR_MALFORMED;
}

const char *gunzip_why(const struct gunzip *g)
{
	return g->why;
}
