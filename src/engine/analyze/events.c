/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events.c - what happened, as JSON lines.
 *
 * rustmate's envelope, names and fields (doc/analyze.md lists them), and ours
 * behind them.  Numbers of a stream are those of its flow at this moment.
 */
#include "engine/analyze/analyze_priv.h"

#include <stdio.h>

#include "codec/json.h"
#include "engine/analyze/output.h"
#include "engine/match/match.h"

enum {
	CHUNK = 64 << 10,    /* bytes gathered at the most */
	LONG_LINE = 32 << 10 /* a longer one makes the buffer grow */
};

static const char *const way_names[2] = { "a_to_b", "b_to_a" };

void events_init(struct events *e, struct output *output, uint32_t waiting_max)
{
	e->output = output;
	e->waiting_max = waiting_max;
	buf_reserve(&e->lines, CHUNK + LONG_LINE);
	buf_reserve(&e->scratch, LONG_LINE);
}

void events_flush(struct events *e)
{
	if (e->output)
		output_write(e->output, buf_bytes(&e->lines));
	buf_clear(&e->lines);
	e->waiting = 0;
}

void events_release(struct events *e)
{
	buf_release(&e->lines);
	buf_release(&e->scratch);
}

static void end_line(struct events *e)
{
	json_end(&e->lines);
	put_u8(&e->lines, '\n');
	e->count++;
	if (++e->waiting >= e->waiting_max || e->lines.len >= CHUNK)
		events_flush(e);
}

bool events_silent(struct events *e)
{
	e->count += e->output == NULL;
	return e->output == NULL;
}

/* -- the envelope ------------------------------------------------------------
 */

static void begin_line(struct buf *b, const char *analyzer, const char *type,
		       uint64_t time_ns, uint64_t length, uint32_t linktype)
{
	json_begin(b, NULL);
	json_uint(b, "ts_sec", time_ns / 1000000000);
	json_uint(b, "ts_usec", time_ns / 1000 % 1000000);
	json_word(b, "analyzer", analyzer);
	json_word(b, "event_type", type);
	json_uint(b, "length", length);
	json_word(b, "link_layer", decode_link_name(linktype));
	json_uint(b, "linktype", linktype);
}

static void put_protocol(struct buf *b, const struct flow *f)
{
	char other[16];

	switch (f->protocol) {
	case IP_TCP:
		json_word(b, "protocol", "tcp");
		break;
	case IP_UDP:
		json_word(b, "protocol", "udp");
		break;
	case IP_ICMP:
		json_word(b, "protocol", "icmpv4");
		break;
	case IP_ICMP6:
		json_word(b, "protocol", "icmpv6");
		break;
	case IP_SCTP:
		json_word(b, "protocol", "sctp");
		break;
	default:
		snprintf(other, sizeof(other), "ip%u", f->protocol);
		json_word(b, "protocol", other);
	}
}

static bool has_ports(const struct flow *f)
{
	return f->protocol == IP_TCP || f->protocol == IP_UDP ||
	       f->protocol == IP_SCTP;
}

static void put_ends(struct buf *b, const struct flow *f, int way)
{
	char text[ADDRESS_TEXT];

	put_protocol(b, f);
	json_word(b, "source_addr", address_text(text, &f->end[way].address));
	json_word(b, "destination_addr",
		  address_text(text, &f->end[!way].address));
	if (!has_ports(f))
		return;
	json_uint(b, "source_port", f->end[way].port);
	json_uint(b, "destination_port", f->end[!way].port);
}

void events_begin(struct events *e, const char *analyzer, const char *type,
		  const struct stream *s, int way, uint64_t time_ns,
		  uint64_t length)
{
	begin_line(&e->lines, analyzer, type, time_ns, length, s->linktype);
	put_ends(&e->lines, s->flow, way);
	json_begin(&e->lines, "fields");
}

void events_end(struct events *e)
{
	json_end(&e->lines);
	end_line(e);
}

/* -- streams ------------------------------------------------------------------
 */

/* Text as rustmate shows it: one line, and a dot for what is not printable. */
static void put_preview_text(struct buf *b, struct bytes in)
{
	char text[4 * ANALYZE_HEAD_MAX];
	size_t n = 0;

	for (size_t i = 0; i < in.len; i++) {
		static const char from[] = "\n\r\t", to[] = "nrt";
		const char *at = in.p[i] ? strchr(from, in.p[i]) : NULL;

		if (at) {
			text[n++] = '\\';
			text[n++] = to[at - from];
		} else {
			text[n++] = in.p[i] >= 0x20 && in.p[i] < 0x7f
					    ? (char)in.p[i]
					    : '.';
		}
	}
	json_text(b, "preview_text", bytes_of(text, n));
}

static void put_way(struct buf *b, const struct stream *s, int way,
		    uint32_t preview)
{
	const struct flow_way *f = &s->flow->way[way];
	const struct stream_way *w = &s->way[way];
	enum content_kind kind = content_kind(&w->content);
	struct bytes head = bytes_of(
		w->head, w->head_len < preview ? w->head_len : preview);
	bool numbered = s->flow->protocol == IP_TCP && f->packets;

	json_begin(b, way_names[way]);
	json_uint(b, "packets", f->packets);
	json_uint(b, "bytes", f->bytes);
	json_uint(b, "payload_bytes", f->payload);
	json_uint(b, "stream_bytes", f->delivered);
	json_uint(b, "stream_chunks", w->slices);
	if (numbered) {
		json_uint(b, "first_sequence", f->first_seq);
		json_uint(b, "last_sequence", f->last_seq);
	} else {
		json_none(b, "first_sequence");
		json_none(b, "last_sequence");
	}
	json_word(b, "content_kind", content_name(kind));
	json_base64(b, "preview_base64", head);
	if (head.len && (kind == CONTENT_TEXT || kind == CONTENT_MIXED))
		put_preview_text(b, head);
	else
		json_none(b, "preview_text");
	json_uint(b, "logical_bytes", f->offset);
	json_uint(b, "gaps", f->gaps);
	json_uint(b, "gap_bytes", f->gap_bytes);
	json_uint(b, "retransmissions", f->repeated);
	json_uint(b, "out_of_order", f->early);
	json_uint(b, "conflicts", f->conflicts);
	json_end(b);
}

static void put_end(struct buf *b, const char *name,
		    const struct flow_endpoint *e)
{
	char text[ADDRESS_TEXT];

	json_begin(b, name);
	json_word(b, "addr", address_text(text, &e->address));
	json_uint(b, "port", e->port);
	json_end(b);
}

static void put_service(struct buf *b, const struct service *s)
{
	json_begin(b, "service");
	json_word(b, "name", s->name);
	json_word(b, "side", service_side_name(s->side));
	json_uint(b, "confidence", s->confidence);
	json_word(b, "source", service_source_name(s->source));
	json_word(b, "evidence", s->evidence);
	json_end(b);
}

/* What rustmate does not know of a stream. */
static void put_ours(struct buf *b, const struct stream *s)
{
	const struct flow *f = s->flow;

	json_hex64(b, "flow_key", s->flow_key);
	json_word(b, "source", s->source->name);
	json_uint(b, "first_packet", f->first_index);
	json_word(b, "opener", f->opener ? "b" : "a");
	json_bool(b, "half_open", f->state == FLOW_HALF_OPEN);
	if (f->vlan)
		json_uint(b, "vlan", f->vlan);
	json_uint(b, "matches", s->matches);
	json_uint(b, "matches_dropped", s->matches_dropped);
}

static void put_stream(struct buf *b, const struct stream *s, uint32_t preview)
{
	const struct flow *f = s->flow;
	const struct flow_way *ab = &f->way[0], *ba = &f->way[1];

	json_hex64(b, "stream_id", s->id);
	json_uint(b, "first_seen_us", f->first_ns / 1000);
	json_uint(b, "last_seen_us", f->last_ns / 1000);
	put_protocol(b, f);
	put_end(b, "endpoint_a", &f->end[0]);
	put_end(b, "endpoint_b", &f->end[1]);
	json_uint(b, "content_shard", s->shard);
	put_service(b, &s->service);
	json_word(b, "status", stream_status(s));
	json_word(b, "content_kind", content_name(s->kind));
	json_uint(b, "packets", ab->packets + ba->packets);
	json_uint(b, "bytes", ab->bytes + ba->bytes);
	json_uint(b, "payload_bytes", ab->payload + ba->payload);
	json_uint(b, "stream_bytes", ab->delivered + ba->delivered);
	json_uint(b, "stream_chunks", s->way[0].slices + s->way[1].slices);
	json_begin(b, "directions");
	put_way(b, s, 0, preview);
	put_way(b, s, 1, preview);
	json_end(b);
	put_ours(b, s);
}

void events_stream(struct events *e, const char *kind, const struct stream *s,
		   uint32_t preview, int way, const struct flow_packet *p)
{
	if (events_silent(e))
		return;
	events_begin(e, "stream_inventory", kind, s, way,
		     p ? p->time_ns : s->flow->last_ns, p ? p->frame.len : 0);
	put_stream(&e->lines, s, preview);
	if (s->flow->ended != FLOW_END_NONE)
		json_word(&e->lines, "end", stream_end_name(s->flow->ended));
	events_end(e);
}

/* -- what happens in a stream
 * ---------------------------------------------------- */

static bool is_textish(struct bytes in)
{
	for (size_t i = 0; i < in.len; i++)
		if ((in.p[i] < 0x20 || in.p[i] > 0x7e) &&
		    !strchr("\n\r\t", in.p[i]))
			return false;
	return in.len > 0;
}

static void put_match_text(struct events *e, struct bytes in)
{
	struct buf *text = &e->scratch;

	buf_clear(text);
	for (size_t i = 0; i < in.len; i++) {
		switch (in.p[i]) {
		case '\n':
			put_text(text, "\\n");
			break;
		case '\r':
			put_text(text, "\\r");
			break;
		case '\t':
			put_text(text, "\\t");
			break;
		default:
			put_u8(text, in.p[i]);
		}
	}
	json_text(&e->lines, "match_text", buf_bytes(text));
}

static void put_pattern(struct buf *b, const struct match_pattern *p)
{
	static const char *const kinds[] = { "substring", "regex", "binary" };
	char id[MATCH_KEY];

	json_word(b, "pattern_id", match_key(id, p));
	json_word(b, "pattern_name", p->name);
	json_word(b, "pattern_type", kinds[p->kind]);
	if (p->role != MATCH_ANY)
		json_word(b, "role",
			  p->role == MATCH_FLAG_IN ? "flag_in" : "flag_out");
}

void events_match(struct events *e, const struct stream *s, int way,
		  const struct match *m, uint64_t time_ns)
{
	struct buf *b = &e->lines;

	if (events_silent(e))
		return;
	events_begin(e, "pattern", "pattern_match", s, way, time_ns,
		     m->end - m->start);
	json_hex64(b, "stream_id", s->id);
	put_pattern(b, m->pattern);
	json_word(b, "direction", way_names[way]);
	json_uint(b, "logical_start", m->start);
	json_uint(b, "logical_end", m->end);
	json_uint(b, "match_len", m->end - m->start);
	json_base64(b, "match_base64", m->content);
	if (is_textish(m->content))
		put_match_text(e, m->content);
	else
		json_none(b, "match_text");
	events_end(e);
}

void events_gap(struct events *e, const struct stream *s, int way,
		uint64_t offset, uint64_t len, enum flow_gap why,
		uint64_t time_ns)
{
	struct buf *b = &e->lines;

	if (events_silent(e))
		return;
	events_begin(e, "stream", "stream_gap", s, way, time_ns, 0);
	json_hex64(b, "stream_id", s->id);
	json_word(b, "direction", way_names[way]);
	json_uint(b, "logical_start", offset);
	json_uint(b, "logical_end", offset + len);
	json_uint(b, "gap_bytes", len);
	json_word(b, "reason", stream_gap_name(why));
	events_end(e);
}

/* -- what happens to the source
 * --------------------------------------------------- */

void events_source_gap(struct events *e, const struct stream_source *source,
		       uint32_t linktype, const struct analyze_loss *loss)
{
	struct buf *b = &e->lines;

	if (events_silent(e))
		return;
	begin_line(b, "source", "source_gap", loss->end_ns, 0, linktype);
	json_begin(b, "fields");
	json_word(b, "source", source->name);
	json_word(b, "reason", loss->reason);
	json_uint(b, "index", loss->index);
	json_uint(b, "packets", loss->packets);
	json_bool(b, "numbered", loss->numbered);
	json_uint(b, "begin_us", loss->begin_ns / 1000);
	json_uint(b, "end_us", loss->end_ns / 1000);
	json_end(b);
	end_line(e);
}

void events_packet(struct events *e, uint32_t linktype, const struct packet *p)
{
	struct buf *b = &e->lines;

	if (events_silent(e))
		return;
	begin_line(b, "packet", "raw_packet", p->time_ns, p->data.len,
		   linktype);
	json_begin(b, "fields");
	json_base64(b, "data_base64", p->data);
	json_end(b);
	end_line(e);
}
