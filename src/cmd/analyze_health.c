/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/analyze_health.h"

#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "cmd/analyze_store.h"
#include "codec/json.h"
#include "engine/analyze/output.h"
#include "engine/metrics/metrics.h"
#include "sys/sys.h"

/* One number, under the name that rustmate gives it where it has it. */
struct number {
	const char *name;
	const char *help;
	bool grows;
	uint64_t (*value)(const struct health_sample *s);
};

#define NUMBER(name, what)                                                     \
	static uint64_t name(const struct health_sample *s)                    \
	{                                                                      \
		const struct analyze_counters *a = &s->analyze;                \
                                                                               \
		(void)a;                                                       \
		return (what);                                                 \
	}
NUMBER(packets, a->packets)
NUMBER(packets_again, a->packets_again)
NUMBER(bytes, a->bytes)
NUMBER(events, a->events)
NUMBER(decode_errors, a->decoded[DECODE_CUT] + a->decoded[DECODE_BROKEN] +
			      a->decoded[DECODE_TOO_DEEP] +
			      a->decoded[DECODE_ODD_LINK])
NUMBER(decoded_ok, a->decoded[DECODE_OK])
NUMBER(decoded_fragment, a->decoded[DECODE_FRAGMENT])
NUMBER(decoded_arp, a->decoded[DECODE_ARP])
NUMBER(decoded_not_ip, a->decoded[DECODE_NOT_IP])
NUMBER(decoded_cut, a->decoded[DECODE_CUT])
NUMBER(decoded_broken, a->decoded[DECODE_BROKEN])
NUMBER(decoded_too_deep, a->decoded[DECODE_TOO_DEEP])
NUMBER(decoded_odd_link, a->decoded[DECODE_ODD_LINK])
NUMBER(source_received, s->input.received)
NUMBER(source_dropped, s->input.dropped_kernel + a->queue_dropped)
NUMBER(source_interface_dropped, s->input.dropped_interface)
NUMBER(source_filtered, s->input.filtered)
NUMBER(source_gaps, a->source_gaps)
NUMBER(source_lost, a->source_lost)
NUMBER(queue_dropped, a->queue_dropped)
NUMBER(active_flows, a->flow.open)
NUMBER(created_flows, a->flow.opened)
NUMBER(evicted_flows, a->flow.evicted + a->flow.half_open_evicted)
NUMBER(idle_flows, a->flow.idled)
NUMBER(half_open_flows, a->flow.half_open)
NUMBER(reused_flows, a->flow.reused)
NUMBER(tcp_stream_chunks, a->slices)
NUMBER(tcp_stream_bytes, a->slice_bytes)
NUMBER(tcp_gaps, a->flow.gaps)
NUMBER(tcp_gap_bytes, a->flow.gap_bytes)
NUMBER(tcp_retransmissions, a->flow.repeated)
NUMBER(tcp_overlaps, a->flow.conflicts)
NUMBER(tcp_ignored, a->flow.ignored)
NUMBER(tcp_waiting_bytes, a->flow.early_bytes)
NUMBER(tcp_waiting_peak, a->flow.early_bytes_peak)
NUMBER(fragments_whole, a->defrag.whole)
NUMBER(fragments_waiting, a->defrag.waiting)
NUMBER(fragments_dropped, a->defrag.overlaps + a->defrag.broken +
				  a->defrag.timed_out + a->defrag.evicted)
NUMBER(active_streams, a->streams_open)
NUMBER(created_streams, a->streams)
NUMBER(refused_streams, a->streams_refused)
NUMBER(pattern_matches, a->matches)
NUMBER(pattern_dropped, a->matches_dropped)
NUMBER(pattern_streams, a->streams_matched)
NUMBER(workers, a->workers)
NUMBER(queue_len, a->queue_packets)
NUMBER(queue_capacity, a->queue_room)
NUMBER(busiest_worker, a->busiest)
NUMBER(busiest_packets, a->busiest_packets)
NUMBER(streams_bytes, a->streams_bytes)
NUMBER(resident, s->resident)
NUMBER(store_streams, s->store.streams)
NUMBER(store_payload, s->store.payload_bytes)
NUMBER(store_rows, s->store.rows_bytes)
NUMBER(store_waiting, s->store.waiting_bytes)
NUMBER(store_waits, s->store.waits)
NUMBER(store_dropped, s->store.dropped_bytes)
NUMBER(store_evicted, s->store.evicted_streams)
NUMBER(store_removed, s->store.removed_streams)
NUMBER(store_tags, s->store.dropped_tags)
NUMBER(store_unkept, s->unkept)

static const struct number numbers[] = {
	{ "packets", "Packets taken from the source.", true, packets },
	{ "packets_again", "Packets that an earlier run had followed.", true,
	  packets_again },
	{ "bytes", "Bytes of these packets.", true, bytes },
	{ "events", "Events told.", true, events },
	{ "decode_errors", "Packets that could not be decoded.", true,
	  decode_errors },
	{ "decoded_ok", "Packets decoded to a flow.", true, decoded_ok },
	{ "decoded_fragment", "IP fragments.", true, decoded_fragment },
	{ "decoded_arp", "ARP packets.", true, decoded_arp },
	{ "decoded_not_ip", "Packets of other network protocols.", true,
	  decoded_not_ip },
	{ "decoded_cut", "Packets cut inside a header.", true, decoded_cut },
	{ "decoded_broken", "Packets whose headers contradict themselves.",
	  true, decoded_broken },
	{ "decoded_too_deep", "Packets with more tunnels than are followed.",
	  true, decoded_too_deep },
	{ "decoded_odd_link", "Packets of a link type that is not read.", true,
	  decoded_odd_link },
	{ "source_received_packets", "Packets the source gave.", true,
	  source_received },
	{ "source_dropped_packets", "Packets lost by kernel or queue.", true,
	  source_dropped },
	{ "source_interface_dropped_packets", "Packets lost by the interface.",
	  true, source_interface_dropped },
	{ "source_filtered_packets", "Packets the expression left out.", true,
	  source_filtered },
	{ "source_gaps", "Holes that the source told.", true, source_gaps },
	{ "source_lost_packets", "Packets missing in these holes.", true,
	  source_lost },
	{ "queue_dropped_packets", "Packets dropped before a busy worker.",
	  true, queue_dropped },
	{ "active_flows", "Flows now.", false, active_flows },
	{ "created_flows", "Flows begun.", true, created_flows },
	{ "evicted_flows", "Flows ended for want of room.", true,
	  evicted_flows },
	{ "idle_flows", "Flows ended by silence.", true, idle_flows },
	{ "half_open_flows", "TCP flows without an answer now.", false,
	  half_open_flows },
	{ "reused_flows", "Connections on the ports of an older one.", true,
	  reused_flows },
	{ "tcp_stream_chunks", "Slices of payload in order.", true,
	  tcp_stream_chunks },
	{ "tcp_stream_bytes", "Bytes of payload in order.", true,
	  tcp_stream_bytes },
	{ "tcp_gaps", "Holes in streams.", true, tcp_gaps },
	{ "tcp_gap_bytes", "Bytes missing in them.", true, tcp_gap_bytes },
	{ "tcp_retransmissions", "Segments with nothing new.", true,
	  tcp_retransmissions },
	{ "tcp_overlaps", "Overlaps with other content.", true, tcp_overlaps },
	{ "tcp_ignored", "Segments no receiver would take.", true,
	  tcp_ignored },
	{ "tcp_waiting_bytes", "Early payload that waits now.", false,
	  tcp_waiting_bytes },
	{ "tcp_waiting_bytes_peak", "The most that waited.", false,
	  tcp_waiting_peak },
	{ "fragments_whole", "Datagrams put together.", true, fragments_whole },
	{ "fragments_waiting", "Datagrams that wait for pieces.", false,
	  fragments_waiting },
	{ "fragments_dropped", "Datagrams and pieces given up.", true,
	  fragments_dropped },
	{ "inventory_active_streams", "Streams now.", false, active_streams },
	{ "inventory_created_streams", "Streams begun.", true,
	  created_streams },
	{ "inventory_dropped_new_streams", "Flows over the cap on streams.",
	  true, refused_streams },
	{ "pattern_matches", "Pattern matches told.", true, pattern_matches },
	{ "pattern_dropped_matches", "Pattern matches over a cap.", true,
	  pattern_dropped },
	{ "pattern_matched_streams", "Streams with a match.", true,
	  pattern_streams },
	{ "workers", "Workers.", false, workers },
	{ "worker_queue_max_len", "Packets in the fullest queue now.", false,
	  queue_len },
	{ "worker_queue_max_capacity", "Packets that a queue takes.", false,
	  queue_capacity },
	{ "busiest_worker", "Number of the busiest worker.", false,
	  busiest_worker },
	{ "busiest_worker_packets", "Packets that it took.", true,
	  busiest_packets },
	{ "streams_memory_bytes", "Memory of the open streams, about.", false,
	  streams_bytes },
	{ "resident_bytes", "Memory of this process.", false, resident },
	{ "store_streams", "Streams in the store.", false, store_streams },
	{ "store_payload_bytes", "Its payload on disk.", false,
	  store_payload },
	{ "store_rows_bytes", "Its rows on disk.", false, store_rows },
	{ "store_waiting_bytes", "What waits in memory to be written.", false,
	  store_waiting },
	{ "store_waits", "How often analysis waited for its disk.", true,
	  store_waits },
	{ "store_dropped_bytes", "Payload over its caps.", true,
	  store_dropped },
	{ "store_evicted_streams", "Streams whose payload made room.", true,
	  store_evicted },
	{ "store_removed_streams", "Streams whose rows made room.", true,
	  store_removed },
	{ "store_dropped_tags", "Tags over the cap of a stream.", true,
	  store_tags },
	{ "store_unkept_streams",
	  "Streams without an answer that it had no time for.", true,
	  store_unkept },
};

enum { NUMBERS = sizeof(numbers) / sizeof(*numbers) };

/* As the kernel counts it; 0 where it does not say. */
static uint64_t resident_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long long all, resident = 0;

	if (f && fscanf(f, "%llu %llu", &all, &resident) != 2)
		resident = 0;
	if (f)
		fclose(f);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void look(struct health *h, struct health_sample *s)
{
	struct sys *sys = sys_host();

	s->at_ns = sys->mono_ns(sys);
	analyze_counters(h->analyze, &s->analyze);
	if (h->input)
		input_status(h->input, &s->input);
	if (h->keeper)
		keeper_counters(h->keeper, &s->store, &s->unkept);
	s->resident = resident_bytes();
}

void health_begin(struct health *h)
{
	look(h, &h->before);
	h->now = h->before;
}

void health_look(struct health *h)
{
	look(h, &h->now);
}

static double rate(const struct health *h, uint64_t before, uint64_t now)
{
	uint64_t ns = h->now.at_ns - h->before.at_ns;

	return ns ? (double)(now - before) * 1e9 / (double)ns : 0;
}

/* How much more the busiest worker has than its share. */
static double skew(const struct analyze_counters *a)
{
	uint64_t all = a->decoded[DECODE_OK];

	return all ? (double)a->busiest_packets * (double)a->workers /
			       (double)all
		   : 0;
}

static void put_rates(const struct health *h, struct buf *b)
{
	const struct health_sample *was = &h->before, *is = &h->now;

	json_decimal(b, "packets_per_sec", rate(h, packets(was), packets(is)),
		     1);
	json_decimal(b, "bytes_per_sec", rate(h, bytes(was), bytes(is)), 1);
	json_decimal(b, "events_per_sec", rate(h, events(was), events(is)), 1);
	json_decimal(b, "source_received_per_sec",
		     rate(h, source_received(was), source_received(is)), 1);
	json_decimal(b, "source_dropped_per_sec",
		     rate(h, source_dropped(was), source_dropped(is)), 1);
	json_decimal(b, "source_interface_dropped_per_sec",
		     rate(h, source_interface_dropped(was),
			  source_interface_dropped(is)),
		     1);
	json_decimal(b, "worker_packet_skew_ratio", skew(&is->analyze), 3);
}

void health_put(const struct health *h, struct buf *b)
{
	for (int i = 0; i < NUMBERS; i++)
		json_uint(b, numbers[i].name, numbers[i].value(&h->now));
	put_rates(h, b);
}

static void write_line(const struct health *h, const char *status)
{
	struct sys *sys = sys_host();
	uint64_t now = sys->wall_ns(sys);
	struct buf b = { 0 };

	json_begin(&b, NULL);
	json_uint(&b, "ts_sec", now / 1000000000);
	json_uint(&b, "ts_usec", now / 1000 % 1000000);
	json_word(&b, "analyzer", "health");
	json_word(&b, "event_type", "health");
	json_begin(&b, "fields");
	json_word(&b, "run_status", status);
	health_put(h, &b);
	json_end(&b);
	json_end(&b);
	put_u8(&b, '\n');
	output_write(h->output, buf_bytes(&b));
	buf_release(&b);
}

void health_report(struct health *h, const char *status, bool log)
{
	const struct analyze_counters *a = &h->now.analyze;

	look(h, &h->now);
	if (h->output)
		write_line(h, status);
	if (log)
		log_info("health",
			 "%llu packets (%.0f/s, %.1f MB/s), %llu flows, %llu "
			 "streams, %llu events, %llu matches, %llu lost, "
			 "%llu gaps, queue %llu of %llu, skew %.2f",
			 (unsigned long long)a->packets,
			 rate(h, h->before.analyze.packets, a->packets),
			 rate(h, h->before.analyze.bytes, a->bytes) / 1e6,
			 (unsigned long long)a->flow.open,
			 (unsigned long long)a->streams,
			 (unsigned long long)a->events,
			 (unsigned long long)a->matches,
			 (unsigned long long)(source_dropped(&h->now) +
					      a->source_lost),
			 (unsigned long long)a->flow.gaps,
			 (unsigned long long)a->queue_packets,
			 (unsigned long long)a->queue_room, skew(a));
	h->before = h->now;
}

/* -- Prometheus
 * ------------------------------------------------------------------ */

/* A number of a health, as the registry wants it. */
static struct metric_of {
	struct health *health;
	const struct number *number;
	char name[80];
} all[NUMBERS];

static double value(void *arg)
{
	const struct metric_of *m = arg;
	struct health_sample s = { 0 };

	look(m->health, &s);
	return (double)m->number->value(&s);
}

void health_add_metrics(struct health *h, struct metrics *m)
{
	for (int i = 0; i < NUMBERS; i++) {
		const struct number *n = &numbers[i];
		struct metric what = {
			.type = n->grows ? METRIC_COUNTER : METRIC_GAUGE,
			.name = all[i].name,
			.help = n->help,
		};

		all[i].health = h;
		all[i].number = n;
		snprintf(all[i].name, sizeof(all[i].name), "weir_analyze_%s%s",
			 n->name, n->grows ? "_total" : "");
		metrics_add(m, &what, value, &all[i]);
	}
}
