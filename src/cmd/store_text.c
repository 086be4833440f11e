/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/store_text.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "base/err.h"
#include "base/text.h"
#include "engine/store/store.h"

int store_read_id(const char *text, uint64_t *id, struct err *err)
{
	char *end;

	*id = strtoull(text, &end, 16);
	if (!isxdigit((unsigned char)*text) || *end || end - text > 16)
		return err_set(err, ERR_USAGE,
			       "a stream's id has up to 16 hexadecimal digits, "
			       "as weir streams prints it; \"%s\" is none",
			       text);
	return 0;
}

char *store_endpoint(char out[ENDPOINT_TEXT], const struct store_row *row,
		     int end)
{
	const struct flow_endpoint *e = &row->flow.end[end];
	char address[ADDRESS_TEXT];

	address_text(address, &e->address);
	snprintf(out, ENDPOINT_TEXT,
		 e->address.version == 6 ? "[%s]:%u" : "%s:%u", address,
		 e->port);
	return out;
}

static const char *protocol_name(uint8_t protocol)
{
	switch (protocol) {
	case IP_TCP:
		return "tcp";
	case IP_UDP:
		return "udp";
	case IP_SCTP:
		return "sctp";
	case IP_ICMP:
	case IP_ICMP6:
		return "icmp";
	}
	return "ip";
}

const char *store_protocol(const struct store_row *row)
{
	return protocol_name(row->flow.protocol);
}

static const char *state_name(const struct store_row *row)
{
	if (row->evicted)
		return "evicted";
	if (row->flow.ended || row->flow.state == FLOW_CLOSED)
		return "closed";
	return row->flow.state == FLOW_CLOSING ? "closing" : "open";
}

static void time_text(char *out, size_t cap, uint64_t ns)
{
	time_t seconds = (time_t)(ns / 1000000000);
	struct tm tm;
	size_t n;

	gmtime_r(&seconds, &tm);
	n = strftime(out, cap, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, cap - n, ".%06" PRIu64 "Z", ns % 1000000000 / 1000);
}

void store_row_line(FILE *out, const struct store_row *row)
{
	int a = row->flow.opener == 1;
	char from[ENDPOINT_TEXT], to[ENDPOINT_TEXT], when[64];

	time_text(when, sizeof(when), row->flow.first_ns);
	fprintf(out,
		"%016" PRIx64 " %s %s %s > %s %s %" PRIu64 "/%" PRIu64
		" bytes, %" PRIu64 " matches, %s%s\n",
		row->id, when, protocol_name(row->flow.protocol),
		store_endpoint(from, row, a), store_endpoint(to, row, !a),
		row->service[0] ? row->service : "unknown", row->kept[a],
		row->kept[!a], row->matches, state_name(row),
		row->pinned ? ", pinned" : "");
}

static void json_way(FILE *out, const struct store_row *row, int way)
{
	const struct flow_way *w = &row->flow.way[way];
	char end[ENDPOINT_TEXT];

	fprintf(out,
		"\"%c\":{\"endpoint\":\"%s\",\"packets\":%" PRIu64
		",\"wire_bytes\":%" PRIu64 ",\"end\":%" PRIu64
		",\"kept\":%" PRIu64 ",\"gaps\":%" PRIu32
		",\"gap_bytes\":%" PRIu64 ",\"conflicts\":%" PRIu32 "}",
		'a' + way, store_endpoint(end, row, way), w->packets, w->bytes,
		row->end[way], row->kept[way], w->gaps, w->gap_bytes,
		w->conflicts);
}

void store_row_json(FILE *out, const struct store_row *row)
{
	store_row_json_with(out, row, bytes_of(NULL, 0));
}

void store_row_json_with(FILE *out, const struct store_row *row,
			 struct bytes more)
{
	static const char *const kinds[] = { "unknown", "text", "binary",
					     "mixed" };
	char service[128];

	text_to_json(service, sizeof(service), row->service);
	fprintf(out,
		"{\"stream_id\":\"%016" PRIx64 "\",\"flow_key\":\"%016" PRIx64
		"\",\"protocol\":\"%s\",\"state\":\"%s\",\"opener\":\"%c\","
		"\"first_packet\":%" PRIu64 ",\"first_ns\":%" PRIu64
		",\"last_ns\":%" PRIu64 ",\"service\":\"%s\",\"content\":\"%s\","
		"\"matches\":%" PRIu64 ",\"dropped_bytes\":%" PRIu64
		",\"evicted\":%s,\"pinned\":%s,",
		row->id, row->flow_key, protocol_name(row->flow.protocol),
		state_name(row), row->flow.opener ? 'b' : 'a',
		row->flow.first_index, row->flow.first_ns, row->flow.last_ns,
		service, kinds[row->content_kind & 3], row->matches,
		row->dropped_bytes, row->evicted ? "true" : "false",
		row->pinned ? "true" : "false");
	json_way(out, row, 0);
	fputc(',', out);
	json_way(out, row, 1);
	if (more.len) {
		fputc(',', out);
		fwrite(more.p, 1, more.len, out);
	}
	fputs("}\n", out);
}
