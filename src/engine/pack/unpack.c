/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/pack/unpack.h"

#include <stdlib.h>

#include <lz4frame.h>
#include <zstd.h>

#include "base/err.h"
#include "base/mem.h"
#include "engine/pack/gunzip_priv.h"

struct step {
	struct bytes *in;
	uint8_t *out;
	size_t room;
	size_t *made;
};

struct packing {
	const char *name;
	uint8_t magic[UNPACK_MAGIC];
	uint8_t mask[UNPACK_MAGIC]; /* which bits of it count */
	int (*step)(struct unpack *u, const struct step *s);
};

struct unpack {
	const struct packing *packing;
	const char *why; /* sticky: NULL while all is well */
	bool inside;	 /* a member has begun and not ended */
	struct gunzip *gunzip;
	ZSTD_DStream *zstd;
	LZ4F_dctx *lz4;
};

static void advance(struct bytes *in, size_t n)
{
	in->p += n;
	in->len -= n;
}

static int broken(struct unpack *u, const char *why)
{
	u->why = why ? why : "its packed bytes are broken";
	return ERR_MALFORMED;
}

/*
 * A member is unpacked by itself.  The next one must begin with its magic; the
 * zeros of a padded tape or anything else behind it is not ours.
 */
static int step_gzip(struct unpack *u, const struct step *s)
{
	bool ended;

	if (!u->inside && s->in->len && s->in->p[0] != 0x1f)
		return ERR_END;
	u->inside |= s->in->len > 0;
	if (gunzip_step(u->gunzip, s->in, s->out, s->room, s->made, &ended) < 0)
		return broken(u, gunzip_why(u->gunzip));
	if (ended)
		u->inside = false;
	return 0;
}

static int step_zstd(struct unpack *u, const struct step *s)
{
	ZSTD_inBuffer in = { .src = s->in->p, .size = s->in->len };
	ZSTD_outBuffer out = { .dst = s->out, .size = s->room };
	size_t rc = ZSTD_decompressStream(u->zstd, &out, &in);

	*s->made = out.pos;
	advance(s->in, in.pos);
	if (ZSTD_isError(rc))
		return broken(u, ZSTD_getErrorName(rc));
	if (in.pos || out.pos)
		u->inside = rc != 0;
	return 0;
}

static int step_lz4(struct unpack *u, const struct step *s)
{
	size_t taken = s->in->len, made = s->room;
	size_t rc =
		LZ4F_decompress(u->lz4, s->out, &made, s->in->p, &taken, NULL);

	if (LZ4F_isError(rc))
		return broken(u, LZ4F_getErrorName(rc));
	*s->made = made;
	advance(s->in, taken);
	if (taken || made)
		u->inside = rc != 0;
	return 0;
}

static const struct packing packings[] = {
	{ "gzip", { 0x1f, 0x8b }, { 0xff, 0xff }, step_gzip },
	{ "zstd",
	  { 0x28, 0xb5, 0x2f, 0xfd },
	  { 0xff, 0xff, 0xff, 0xff },
	  step_zstd },
	/* A skippable frame may come first. */
	{ "zstd",
	  { 0x50, 0x2a, 0x4d, 0x18 },
	  { 0xf0, 0xff, 0xff, 0xff },
	  step_zstd },
	{ "lz4",
	  { 0x04, 0x22, 0x4d, 0x18 },
	  { 0xff, 0xff, 0xff, 0xff },
	  step_lz4 },
	{ "the old form of lz4",
	  { 0x02, 0x21, 0x4c, 0x18 },
	  { 0xff, 0xff, 0xff, 0xff },
	  NULL },
	{ "xz", { 0xfd, '7', 'z', 'X' }, { 0xff, 0xff, 0xff, 0xff }, NULL },
	{ "bzip2", { 'B', 'Z', 'h' }, { 0xff, 0xff, 0xff }, NULL },
	{ "zip", { 'P', 'K', 3, 4 }, { 0xff, 0xff, 0xff, 0xff }, NULL },
};

static bool begins_with(struct bytes head, const struct packing *p)
{
	for (size_t i = 0; i < UNPACK_MAGIC; i++)
		if (p->mask[i] &&
		    (i >= head.len || (head.p[i] & p->mask[i]) != p->magic[i]))
			return false;
	return true;
}

static const struct packing *find_packing(struct bytes head)
{
	for (size_t i = 0; i < sizeof(packings) / sizeof(*packings); i++)
		if (begins_with(head, &packings[i]))
			return &packings[i];
	return NULL;
}

struct unpack *unpack_new(struct bytes head, const char **foreign)
{
	const struct packing *packing = find_packing(head);
	struct unpack *u;

	*foreign = packing && !packing->step ? packing->name : NULL;
	if (!packing || *foreign)
		return NULL;
	u = mem_alloc(sizeof(*u));
	u->packing = packing;
	if (packing->step == step_gzip)
		u->gunzip = gunzip_new();
	else if (packing->step == step_zstd)
		u->zstd = ZSTD_createDStream();
	else
		LZ4F_createDecompressionContext(&u->lz4, LZ4F_VERSION);
	return u;
}

void unpack_free(struct unpack *u)
{
	if (!u)
		return;
	gunzip_free(u->gunzip);
	ZSTD_freeDStream(u->zstd);
	LZ4F_freeDecompressionContext(u->lz4);
	free(u);
}

const char *unpack_name(const struct unpack *u)
{
	return u->packing->name;
}

int unpack_step(struct unpack *u, struct bytes *in, uint8_t *out, size_t room,
		size_t *made)
{
	struct step s = { .in = in, .out = out, .room = room, .made = made };

	size_t before = in->len;
	int rc;

	*made = 0;
	if (u->why)
		return ERR_MALFORMED;
	rc = u->packing->step(u, &s);
	/* With room and input something must move. */
	if (rc == 0 && in->len && in->len == before && !*made)
		return broken(u, NULL);
	return rc;
}

bool unpack_whole(const struct unpack *u)
{
	return !u->inside;
}

const char *unpack_why(const struct unpack *u)
{
	return u->why;
}
