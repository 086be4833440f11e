/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outfile_priv.h - one member on its way to the disk.
 */
#ifndef ENGINE_ARCHIVE_OUTFILE_PRIV_H
#define ENGINE_ARCHIVE_OUTFILE_PRIV_H

#include "base/bytes.h"
#include "engine/archive/extract.h"

struct err;
struct outfile;

/* DIR/NAME, with the packing's suffix.  Mode without set-id bits. */
struct outfile *outfile_new(const char *dir, const char *name,
			    enum extract_packing packing, uint32_t mode,
			    struct err *err);
int outfile_write(struct outfile *o, struct bytes data, struct err *err);

/* Whole: give it its name.  Frees, also on failure. */
int outfile_keep(struct outfile *o, struct err *err);

/* Remove what was written.  Frees; NULL is fine. */
void outfile_drop(struct outfile *o);

#endif
