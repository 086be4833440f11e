/* SPDX-License-Identifier: Apache-2.0 */
/*
 * asset.h - the files of the page, as page/built has them.
 */
#ifndef ENGINE_WEB_ASSET_H
#define ENGINE_WEB_ASSET_H

#include "base/bytes.h"

struct asset {
	const char *name; /* "app.js" */
	struct bytes content;
};

extern const struct asset assets[];
extern const int n_assets;

#endif
