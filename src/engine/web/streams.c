/* SPDX-License-Identifier: Apache-2.0 */
/*
 * streams.c - the list of streams, one of them, its matches and messages.
 */
#include "engine/web/web_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "codec/base64.h"
#include "codec/message.h"

enum {
	ROWS_DEFAULT = 100,
	SCAN_MAX = 20000, /* rows looked at for one answer */
	MESSAGES_DEFAULT = 128,
	MESSAGES_MAX = 1024,
	PATTERNS_MAX = 64 /* named in a row */
};

/* -- a row --------------------------------------------------------------------- */

const char *web_protocol_name(uint8_t protocol)
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

const char *web_status_name(const struct store_row *row)
{
	if (row->flow.ended || row->flow.state == FLOW_CLOSED)
		return "closed";
	return row->flow.state == FLOW_CLOSING ? "closing" : "open";
}

const char *web_kind_name(const struct store_row *row)
{
	static const char *const names[] = { "unknown", "text", "binary",
					     "mixed" };

	return names[row->content_kind & 3];
}

static const char *end_name(uint8_t end)
{
	static const char *const names[] = { "",     "fin",	"rst",
					     "idle", "reused",	"evicted",
					     "input" };

	return end < sizeof(names) / sizeof(*names) ? names[end] : "";
}

static void put_endpoint(struct buf *b, const char *name,
			 const struct flow_endpoint *e)
{
	char text[ADDRESS_TEXT];

	json_begin(b, name);
	json_word(b, "addr", address_text(text, &e->address));
	json_uint(b, "port", e->port);
	json_end(b);
}

/* Ids of patterns that were found in a stream, each once. */
struct found {
	char ids[PATTERNS_MAX][24];
	int n;
	uint64_t matches;
};

static int on_found(void *arg, const struct store_match *m)
{
	struct found *f = arg;
	char id[24];

	f->matches++;
	snprintf(id, sizeof(id), "%.*s", (int)m->pattern.len,
		 (const char *)m->pattern.p);
	for (int i = 0; i < f->n; i++)
		if (strcmp(f->ids[i], id) == 0)
			return 0;
	if (f->n < PATTERNS_MAX)
		memcpy(f->ids[f->n++], id, sizeof(id));
	return 0;
}

static struct found patterns_of(struct web *w, const struct store_row *row)
{
	struct found f = { .n = 0 };
	struct err ignored = ERR_NONE;

	if (row->matches)
		store_view_matches(w->view, row->id, on_found, &f, &ignored);
	return f;
}

static bool rule_fits(const struct notes_rule *rule,
		      const struct store_row *row, const struct found *found)
{
	const char *v = rule->value;
	uint64_t number;

	switch (rule->kind) {
	case NOTES_STREAM:
		return strtoull(v, NULL, 16) == row->id;
	case NOTES_SERVICE:
		return strcmp(row->service[0] ? row->service : "unknown", v) ==
		       0;
	case NOTES_PROTOCOL:
		return strcmp(web_protocol_name(row->flow.protocol), v) == 0;
	case NOTES_PORT:
		return text_to_uint(v, &number) == 0 &&
		       (row->flow.end[0].port == number ||
			row->flow.end[1].port == number);
	case NOTES_CONTENT_KIND:
		return strcmp(web_kind_name(row), v) == 0;
	case NOTES_STATUS:
		return strcmp(web_status_name(row), v) == 0;
	case NOTES_PATTERN:
		for (int i = 0; i < found->n; i++)
			if (strcmp(found->ids[i], v) == 0)
				return true;
		return false;
	case NOTES_RULE_KINDS:
		break;
	}
	return false;
}

/* Why it is hidden, into `out`; "" when it is not. */
static void hidden_because(struct web *w, const struct store_row *row,
			   const struct found *found, char out[192])
{
	const struct notes_rule *rules;
	size_t n;

	out[0] = 0;
	if (notes_state(w->notes, row->id).hidden) {
		snprintf(out, 192, "stream");
		return;
	}
	rules = notes_rules(w->notes, &n);
	for (size_t i = 0; i < n; i++)
		if (rule_fits(&rules[i], row, found)) {
			snprintf(out, 192, "%s:%s",
				 notes_kind_name(rules[i].kind),
				 rules[i].value);
			return;
		}
}

static void put_hidden(struct buf *b, const char *why)
{
	json_bool(b, "hidden", *why != 0);
	if (*why)
		json_word(b, "hidden_reason", why);
	else
		json_none(b, "hidden_reason");
}

static void put_found(struct buf *b, const struct store_row *row,
		      const struct found *found)
{
	json_uint(b, "match_count", row->matches);
	json_uint(b, "stored_match_count", found->matches);
	json_list(b, "pattern_ids");
	for (int i = 0; i < found->n; i++)
		json_word(b, NULL, found->ids[i]);
	json_list_end(b);
}

static void put_sizes(struct web *w, struct buf *b, const struct store_row *row)
{
	const struct flow_way *a = &row->flow.way[0], *z = &row->flow.way[1];
	struct err ignored = ERR_NONE;
	uint64_t chunks = 0;

	store_view_turn_count(w->view, row->id, &chunks, &ignored);
	json_uint(b, "packets", a->packets + z->packets);
	json_uint(b, "bytes", a->bytes + z->bytes);
	json_uint(b, "payload_bytes", a->payload + z->payload);
	json_uint(b, "stream_bytes", a->delivered + z->delivered);
	json_uint(b, "stream_chunks", chunks);
	json_uint(b, "gap_bytes", a->gap_bytes + z->gap_bytes);
	json_uint(b, "client_bytes", row->flow.way[row->flow.opener].delivered);
	json_uint(b, "server_bytes",
		  row->flow.way[!row->flow.opener].delivered);
}

static void put_row(struct web *w, struct buf *b, const char *name,
		    const struct store_row *row, const struct found *found,
		    const char *why)
{
	struct notes_state state = notes_state(w->notes, row->id);

	json_begin(b, name);
	json_uint(b, "stream_id", row->id);
	json_hex64(b, "stream_id_hex", row->id);
	json_hex64(b, "flow_key", row->flow_key);
	json_uint(b, "content_shard", 0);
	json_uint(b, "first_seen_us", row->flow.first_ns / 1000);
	json_uint(b, "last_seen_us", row->flow.last_ns / 1000);
	json_word(b, "protocol", web_protocol_name(row->flow.protocol));
	put_endpoint(b, "endpoint_a", &row->flow.end[0]);
	put_endpoint(b, "endpoint_b", &row->flow.end[1]);
	json_word(b, "opener", row->flow.opener ? "b" : "a");
	json_word(b, "service", row->service[0] ? row->service : "unknown");
	json_word(b, "status", web_status_name(row));
	json_word(b, "ended", end_name(row->flow.ended));
	json_word(b, "content_kind", web_kind_name(row));
	put_sizes(w, b, row);
	put_found(b, row, found);
	json_bool(b, "favorite", state.favorite);
	put_hidden(b, why);
	json_bool(b, "pinned", row->pinned);
	json_bool(b, "evicted", row->evicted);
	json_end(b);
}

void web_put_row(struct web *w, struct buf *b, const char *name,
		 const struct store_row *row)
{
	struct found found = patterns_of(w, row);
	char why[192];

	hidden_because(w, row, &found, why);
	put_row(w, b, name, row, &found, why);
}

bool web_put_row_of(struct web *w, struct buf *b, uint64_t id)
{
	struct err err = ERR_NONE;
	struct store_row row;

	if (store_view_row(w->view, id, &row, &err) < 0)
		return false;
	web_put_row(w, b, NULL, &row);
	return true;
}

/* -- the list ---------------------------------------------------------------------- */

struct list {
	struct web *web;
	struct store_row *rows; /* owned */
	size_t n, limit;
	uint64_t scanned, port;
	bool hidden_too, favorites, matched, more;
	const char *protocol, *kind, *status, *pattern;
	struct store_row last; /* that was looked at */
};

/* What costs nothing to look at comes first. */
static bool is_wanted(struct list *l, const struct store_row *row)
{
	struct found found;
	char why[192];

	if ((l->matched && !row->matches) ||
	    (l->protocol &&
	     strcmp(l->protocol, web_protocol_name(row->flow.protocol)) != 0) ||
	    (l->port && row->flow.end[0].port != l->port &&
	     row->flow.end[1].port != l->port) ||
	    (l->kind && strcmp(l->kind, web_kind_name(row)) != 0) ||
	    (l->status && strcmp(l->status, web_status_name(row)) != 0) ||
	    (l->favorites && !notes_state(l->web->notes, row->id).favorite))
		return false;
	if (!l->pattern && l->hidden_too)
		return true;
	found = patterns_of(l->web, row);
	if (l->pattern) {
		const struct notes_rule rule = { .kind = NOTES_PATTERN };
		struct notes_rule named = rule;

		snprintf(named.value, sizeof(named.value), "%s", l->pattern);
		if (!rule_fits(&named, row, &found))
			return false;
	}
	hidden_because(l->web, row, &found, why);
	return l->hidden_too || !*why;
}

static int on_row(void *arg, const struct store_row *row)
{
	struct list *l = arg;

	if (l->n == l->limit || l->scanned == SCAN_MAX) {
		l->more = true;
		return 1;
	}
	l->scanned++;
	l->last = *row;
	if (is_wanted(l, row))
		l->rows[l->n++] = *row;
	return 0;
}

/* "1790000000000000000-00c0ffee00c0ffee": the row that was looked at last. */
static bool take_cursor(struct http_request *r, struct store_filter *f)
{
	const char *text = http_query(r, "cursor");
	char *end;

	if (!text || !*text || strcmp(text, "0") == 0)
		return true;
	f->behind = true;
	f->behind_ns = strtoull(text, &end, 10);
	if (*end == '-') {
		f->behind_id = strtoull(end + 1, &end, 16);
		if (*end == 0)
			return true;
	}
	http_fail(r, 400,
		  "\"%.60s\" is no cursor: give next_cursor of the answer "
		  "before",
		  text);
	return false;
}

static bool take_list(struct web *w, struct http_request *r, struct list *l,
		      struct store_filter *f)
{
	uint64_t limit = ROWS_DEFAULT < w->cfg.rows_max ? ROWS_DEFAULT
						       : w->cfg.rows_max;

	if (!take_cursor(r, f) ||
	    !web_take_uint(r, "limit", w->cfg.rows_max, &limit) ||
	    !web_take_uint(r, "port", 65535, &l->port) ||
	    !web_take_bool(r, "include_hidden", &l->hidden_too) ||
	    !web_take_bool(r, "only_favorites", &l->favorites) ||
	    !web_take_bool(r, "only_matched", &l->matched))
		return false;
	if (!limit) {
		http_fail(r, 400, "limit is at least 1");
		return false;
	}
	f->service = http_query(r, "service");
	l->protocol = http_query(r, "protocol");
	l->kind = http_query(r, "content_kind");
	l->status = http_query(r, "status");
	l->pattern = http_query(r, "pattern_id");
	l->web = w;
	l->limit = (size_t)limit;
	return true;
}

void web_streams(void *app, struct http_request *r)
{
	struct web *w = app;
	struct list l = { .n = 0 };
	struct store_filter f = { .limit = 0 };
	struct err err = ERR_NONE;
	struct buf *b = http_out(r);
	char cursor[64];

	if (!take_list(w, r, &l, &f))
		return;
	l.rows = mem_array(l.limit, sizeof(*l.rows));
	if (store_view_rows(w->view, &f, on_row, &l, &err) < 0) {
		free(l.rows);
		web_store_failed(r, &err);
		return;
	}
	json_begin(b, NULL);
	json_list(b, "rows");
	for (size_t i = 0; i < l.n; i++)
		web_put_row(w, b, NULL, &l.rows[i]);
	json_list_end(b);
	snprintf(cursor, sizeof(cursor), "%" PRIu64 "-%016" PRIx64,
		 l.last.flow.first_ns, l.last.id);
	if (l.more)
		json_word(b, "next_cursor", cursor);
	else
		json_none(b, "next_cursor");
	json_uint(b, "scanned", l.scanned);
	json_end(b);
	free(l.rows);
	http_json(r, 200);
}

/* -- one stream ------------------------------------------------------------------------ */

void web_put_match(struct buf *b, const struct store_match *m)
{
	const uint8_t *colon = m->pattern.len
				       ? memchr(m->pattern.p, ':',
						m->pattern.len)
				       : NULL;

	json_text(b, "pattern_id", m->pattern);
	json_text(b, "pattern_name", m->name);
	json_text(b, "pattern_type",
		  colon ? bytes_of(m->pattern.p, (size_t)(colon - m->pattern.p))
			: m->pattern);
	json_word(b, "direction", m->way ? "b_to_a" : "a_to_b");
	json_uint(b, "logical_start", m->start);
	json_uint(b, "logical_end", m->end);
}

static int on_match(void *arg, const struct store_match *m)
{
	struct buf *b = arg;

	json_begin(b, NULL);
	web_put_match(b, m);
	json_uint(b, "match_len", m->end - m->start);
	json_base64(b, "match_base64", m->content);
	json_text(b, "match_text", m->content);
	json_uint(b, "timestamp_us", m->time_ns / 1000);
	json_end(b);
	return 0;
}

static int put_matches(struct web *w, struct buf *b, uint64_t id,
		       struct err *err)
{
	json_list(b, "matches");
	store_view_matches(w->view, id, on_match, b, err);
	json_list_end(b);
	return err->code;
}

static void put_way(struct buf *b, const struct store_row *row, int way)
{
	const struct flow_way *f = &row->flow.way[way];

	json_begin(b, way ? "b_to_a" : "a_to_b");
	json_uint(b, "packets", f->packets);
	json_uint(b, "bytes", f->bytes);
	json_uint(b, "payload_bytes", f->payload);
	json_uint(b, "stream_bytes", f->delivered);
	json_uint(b, "logical_end", row->end[way]);
	json_uint(b, "kept_bytes", row->kept[way]);
	json_uint(b, "gaps", f->gaps);
	json_uint(b, "gap_bytes", f->gap_bytes);
	json_uint(b, "conflicts", f->conflicts);
	json_uint(b, "first_sequence", f->first_seq);
	json_uint(b, "last_sequence", f->last_seq);
	json_end(b);
}

void web_stream(void *app, struct http_request *r)
{
	struct web *w = app;
	struct buf *b = http_out(r);
	struct err err = ERR_NONE;
	struct store_row row;

	if (!web_take_stream(w, r, &row))
		return;
	json_begin(b, NULL);
	web_put_row(w, b, "row", &row);
	json_begin(b, "directions");
	put_way(b, &row, 0);
	put_way(b, &row, 1);
	json_end(b);
	if (put_matches(w, b, row.id, &err) < 0) {
		web_store_failed(r, &err);
		return;
	}
	json_uint(b, "content_shard", 0);
	json_end(b);
	http_json(r, 200);
}

void web_matches(void *app, struct http_request *r)
{
	struct web *w = app;
	struct buf *b = http_out(r);
	struct err err = ERR_NONE;
	struct store_row row;

	if (!web_take_stream(w, r, &row))
		return;
	json_begin(b, NULL);
	json_uint(b, "stream_id", row.id);
	json_hex64(b, "stream_id_hex", row.id);
	if (put_matches(w, b, row.id, &err) < 0) {
		web_store_failed(r, &err);
		return;
	}
	json_end(b);
	http_json(r, 200);
}

/* -- messages --------------------------------------------------------------------------- */

struct messages {
	struct buf *b;
	const char *protocol, *kind, *status;
	int way; /* -1: both */
	uint64_t from, limit, total;
};

static bool text_is(struct bytes b, const char *text)
{
	return bytes_equal(b, bytes_of_text(text));
}

static bool message_wanted(const struct messages *o,
			   const struct store_message *m)
{
	return (o->way < 0 || o->way == m->way) &&
	       (!o->protocol ||
		strcmp(o->protocol,
		       message_protocol_name(
			       (enum message_protocol)m->protocol)) == 0) &&
	       (!o->kind || text_is(m->kind, o->kind)) &&
	       (!o->status ||
		strcmp(o->status, message_status_name(
					  (enum message_status)m->status)) ==
			0);
}

static int on_message(void *arg, const struct store_message *m)
{
	struct messages *o = arg;
	struct buf *b = o->b;

	if (!message_wanted(o, m))
		return 0;
	if (o->total++ < o->from || o->total > o->from + o->limit)
		return 0;
	json_begin(b, NULL);
	json_word(b, "protocol",
		  message_protocol_name((enum message_protocol)m->protocol));
	json_text(b, "kind", m->kind);
	json_word(b, "status",
		  message_status_name((enum message_status)m->status));
	json_word(b, "direction", m->way ? "b_to_a" : "a_to_b");
	json_uint(b, "ordinal", m->ordinal);
	json_text(b, "summary", m->summary);
	json_uint(b, "logical_start", m->start);
	json_uint(b, "logical_end", m->end);
	json_uint(b, "header_start", m->head_start);
	json_uint(b, "header_end", m->head_end);
	json_uint(b, "body_start", m->body_start);
	json_uint(b, "body_end", m->body_end);
	json_uint(b, "wire_bytes", m->end - m->start);
	json_uint(b, "header_bytes", m->head_end - m->head_start);
	json_uint(b, "body_bytes", m->body_bytes);
	json_uint(b, "timestamp_us", m->time_ns / 1000);
	json_text(b, "method", m->method);
	json_text(b, "target", m->target);
	json_text(b, "host", m->host);
	json_uint(b, "code", m->code);
	json_text(b, "name", m->name);
	if (m->extra.len)
		json_raw(b, "extra", m->extra);
	if (m->error.len)
		json_text(b, "error", m->error);
	json_end(b);
	return 0;
}

bool web_take_direction(struct http_request *r, int *way)
{
	const char *text = http_query(r, "direction");

	if (!text)
		return true;
	if (strcmp(text, "a_to_b") == 0)
		*way = 0;
	else if (strcmp(text, "b_to_a") == 0)
		*way = 1;
	else {
		http_fail(r, 400,
			  "direction takes a_to_b or b_to_a, not \"%.40s\"",
			  text);
		return false;
	}
	return true;
}

void web_messages(void *app, struct http_request *r)
{
	struct web *w = app;
	struct buf *b = http_out(r);
	struct messages o = { .b = b,
			      .protocol = http_query(r, "protocol"),
			      .kind = http_query(r, "kind"),
			      .status = http_query(r, "status"),
			      .way = -1,
			      .limit = MESSAGES_DEFAULT };
	struct err err = ERR_NONE;
	struct store_row row;

	if (!web_take_direction(r, &o.way) ||
	    !web_take_uint(r, "cursor", UINT64_MAX / 2, &o.from) ||
	    !web_take_uint(r, "limit", MESSAGES_MAX, &o.limit) ||
	    !web_take_stream(w, r, &row))
		return;
	json_begin(b, NULL);
	json_uint(b, "stream_id", row.id);
	json_hex64(b, "stream_id_hex", row.id);
	json_list(b, "messages");
	if (store_view_messages(w->view, row.id, on_message, &o, &err) < 0) {
		web_store_failed(r, &err);
		return;
	}
	json_list_end(b);
	json_uint(b, "total", o.total);
	if (o.total > o.from + o.limit)
		json_uint(b, "next_cursor", o.from + o.limit);
	else
		json_none(b, "next_cursor");
	json_end(b);
	http_json(r, 200);
}
