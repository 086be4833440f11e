/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/feed_numbers.h"

#include <stddef.h>

#include "engine/feed/feed.h"
#include "engine/metrics/metrics.h"

/* Where in struct feed_counters each one lies. */
static const struct {
	enum metric_type type;
	const char *name, *help;
	size_t at;
} numbers[] = {
	{ METRIC_GAUGE, "weir_feed_clients", "Readers connected.",
	  offsetof(struct feed_counters, clients) },
	{ METRIC_GAUGE, "weir_feed_behind_packets",
	  "Packets that the slowest reader has to go.",
	  offsetof(struct feed_counters, behind) },
	{ METRIC_COUNTER, "weir_feed_connections_total",
	  "Readers that connected, ever.",
	  offsetof(struct feed_counters, connected) },
	{ METRIC_COUNTER, "weir_feed_refused_total",
	  "Readers refused: too many were connected.",
	  offsetof(struct feed_counters, refused) },
	{ METRIC_COUNTER, "weir_feed_packets_total",
	  "Packets sent, over all readers.",
	  offsetof(struct feed_counters, packets) },
	{ METRIC_COUNTER, "weir_feed_bytes_total",
	  "Bytes sent, over all readers.",
	  offsetof(struct feed_counters, bytes) },
	{ METRIC_COUNTER, "weir_feed_clipped_packets_total",
	  "Packets sent shorter than they were captured.",
	  offsetof(struct feed_counters, clipped) },
	{ METRIC_COUNTER, "weir_feed_filtered_packets_total",
	  "Packets that the listener's filter left out.",
	  offsetof(struct feed_counters, filtered) },
	{ METRIC_COUNTER, "weir_feed_gaps_total", "Gaps that readers met.",
	  offsetof(struct feed_counters, gaps) },
	{ METRIC_COUNTER, "weir_feed_missing_packets_total",
	  "Packets in these gaps.", offsetof(struct feed_counters, missing) },
	{ METRIC_COUNTER, "weir_feed_slow_clients_total",
	  "Readers closed because they took nothing.",
	  offsetof(struct feed_counters, slow) },
	{ METRIC_GAUGE, "weir_feed_cache_bytes",
	  "Bytes of converted records that are kept.",
	  offsetof(struct feed_counters, cached) },
};

void cmd_feed_numbers(struct metrics *m, const struct feed *f)
{
	const char *labels = metrics_labels(m, "listen", feed_address(f), NULL);
	const char *counters = (const char *)feed_counters(f);

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		metrics_add_count(m,
				  &(struct metric){ .type = numbers[i].type,
						    .name = numbers[i].name,
						    .help = numbers[i].help,
						    .labels = labels },
				  (const void *)(counters + numbers[i].at));
}
