/* SPDX-License-Identifier: Apache-2.0 */
/*
 * analyze_api.h - the page of a running analysis: streams as they change.
 *
 * A sink of every worker's streams tells the page's log (engine/web/changes.h)
 * which ones are others now, each at the most ten times a second.
 */
#ifndef CMD_ANALYZE_API_H
#define CMD_ANALYZE_API_H

#include "engine/web/web.h"

struct analyze;
struct api;
struct err;
struct health;
struct store;

/*
 * Before the first packet; of cfg, numbers and arg are filled in.
 */
struct api *api_start(struct analyze *a, const struct web_config *cfg,
		      struct err *err);
const char *api_address(const struct api *a);

/* What health_look() saw, for those who ask the page. */
void api_numbers(struct api *a, const struct health *health);
void api_status(struct api *a, const char *status);

/* After analyze_finish(), before the store goes; NULL is fine. */
void api_stop(struct api *a);

#endif
