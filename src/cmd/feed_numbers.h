/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feed_numbers.h - what a feed counts, for Prometheus; broker and collector.
 */
#ifndef CMD_FEED_NUMBERS_H
#define CMD_FEED_NUMBERS_H

struct feed;
struct metrics;

/* weir_feed_…{listen="ADDRESS"}; the feed must outlive the metrics. */
void cmd_feed_numbers(struct metrics *m, const struct feed *f);

#endif
