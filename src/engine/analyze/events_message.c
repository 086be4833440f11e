/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events_message.c - messages of protocols, as JSON lines.
 *
 * Each is a protocol_message with its ranges; HTTP, DNS and TLS hellos are
 * told a second time as rustmate's older analyzers do (http_request,
 * dns_message, tls_packet_record), which scripts may wait for.
 */
#include "engine/analyze/analyze_priv.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#include "codec/dns.h"
#include "codec/http1.h"
#include "codec/json.h"
#include "codec/message.h"
#include "codec/tls.h"
#include "codec/websocket.h"

enum { WEBSOCKET_PREVIEW = 128, PARTS_TOLD = 64 };

static const char *event_type(const struct message *m, char room[48])
{
	const char *protocol = message_protocol_name(m->protocol);
	const char *what = "message";

	if (m->status == MESSAGE_PARSE_ERROR || m->kind == MESSAGE_ERROR)
		what = "parse_error";
	else if (m->kind == MESSAGE_REQUEST)
		what = m->protocol == MESSAGE_DNS ? "query" : "request";
	else if (m->kind == MESSAGE_RESPONSE)
		what = "response";
	else if (m->kind == MESSAGE_FRAME)
		what = "frame";
	else if (m->kind == MESSAGE_RECORD)
		what = "record";
	snprintf(room, 48, "%s_%s", protocol, what);
	return room;
}

static void put_range(struct buf *b, const char *start, const char *end,
		      const struct message_range *r)
{
	if (r->start == r->end) {
		json_none(b, start);
		json_none(b, end);
		return;
	}
	json_uint(b, start, r->start);
	json_uint(b, end, r->end);
}

/* The pieces of a body between which others lie. */
static void put_parts(struct buf *b, const struct message *m)
{
	uint32_t n = m->n_parts < PARTS_TOLD ? m->n_parts : PARTS_TOLD;

	json_list(b, "body_parts");
	for (uint32_t i = 0; i < n; i++) {
		json_begin(b, NULL);
		json_uint(b, "start", m->parts[i].start);
		json_uint(b, "end", m->parts[i].end);
		json_end(b);
	}
	json_list_end(b);
	json_bool(b, "body_parts_truncated", m->parts_seen > n);
}

/* -- HTTP ---------------------------------------------------------------------
 */

static void put_text_if(struct buf *b, const char *name, struct bytes text)
{
	if (text.len)
		json_text(b, name, text);
}

static void put_http_line(struct buf *b, const struct http_head *h)
{
	put_text_if(b, "method", h->method);
	put_text_if(b, "target", h->target);
	put_text_if(b, "version", h->version);
	if (h->status) {
		json_uint(b, "status_code", h->status);
		json_text(b, "reason", h->reason);
	}
}

static void put_http(struct buf *b, const struct http_head *h)
{
	json_begin(b, "http");
	put_http_line(b, h);
	json_list(b, "headers");
	for (size_t i = 0; i < h->n_fields; i++) {
		json_begin(b, NULL);
		json_text(b, "name", h->fields[i].name);
		json_text(b, "value", h->fields[i].value);
		json_end(b);
	}
	json_list_end(b);
	json_bool(b, "headers_truncated", h->fields_seen > h->n_fields);
	put_text_if(b, "host", http_host(h));
	put_text_if(b, "transfer_encoding", http_field(h, "transfer-encoding"));
	put_text_if(b, "content_encoding", http_field(h, "content-encoding"));
	json_end(b);
}

/* Is the field's name among those before it?  A JSON object has it once. */
static bool is_again(const struct http_head *h, size_t i)
{
	struct bytes name = h->fields[i].name;

	for (size_t n = 0; n < i; n++)
		if (h->fields[n].name.len == name.len &&
		    strncasecmp((const char *)h->fields[n].name.p,
				(const char *)name.p, name.len) == 0)
			return true;
	return false;
}

static void put_headers(struct events *e, const struct http_head *h)
{
	struct buf *b = &e->lines;

	json_begin(b, "headers");
	for (size_t i = 0; i < h->n_fields; i++) {
		struct bytes name = h->fields[i].name;

		if (is_again(h, i))
			continue;
		/* The stranger's name: a text, with a colon behind it. */
		buf_clear(&e->scratch);
		for (size_t n = 0; n < name.len; n++)
			put_u8(&e->scratch, (uint8_t)tolower(name.p[n]));
		json_text(b, NULL, buf_bytes(&e->scratch));
		put_u8(b, ':');
		json_text(b, NULL, h->fields[i].value);
	}
	json_end(b);
}

static void put_older_http(struct events *e, const struct message *m)
{
	struct buf *b = &e->lines;

	json_word(b, "line", m->summary);
	put_http_line(b, m->http);
	put_headers(e, m->http);
	json_uint(b, "body_bytes_expected", m->body_bytes);
}

/* -- DNS
 * ------------------------------------------------------------------------ */

static void put_record(struct buf *b, const struct dns_record *r, bool question)
{
	char type[16];

	json_begin(b, NULL);
	json_word(b, "name", r->name);
	json_word(b, question ? "qtype" : "rr_type",
		  dns_type_name(r->type, type));
	json_uint(b, question ? "qclass" : "class", r->class);
	if (!question) {
		json_uint(b, "ttl", r->ttl);
		json_base64(b, "data", r->data);
	}
	json_end(b);
}

static size_t put_records(struct buf *b, const char *name,
			  const struct dns_packet *d, size_t from, size_t n)
{
	size_t i = from;

	json_list(b, name);
	for (; i < from + n && i < d->n_records; i++)
		put_record(b, &d->records[i], from == 0);
	json_list_end(b);
	return i;
}

static void put_dns(struct buf *b, const struct dns_packet *d)
{
	size_t i;

	json_begin(b, "dns");
	json_uint(b, "transaction_id", d->id);
	json_uint(b, "opcode", d->opcode);
	json_uint(b, "rcode", d->rcode);
	json_bool(b, "query", !d->response);
	i = put_records(b, "questions", d, 0, d->questions);
	i = put_records(b, "answers", d, i, i ? d->answers : 0);
	i = put_records(b, "authorities", d, i, i ? d->authorities : 0);
	put_records(b, "additionals", d, i, i ? d->additionals : 0);
	json_bool(b, "records_truncated",
		  d->n_records < (size_t)d->questions + d->answers +
					 d->authorities + d->additionals);
	json_end(b);
}

static void put_older_dns(struct buf *b, const struct dns_packet *d)
{
	json_uint(b, "transaction_id", d->id);
	json_bool(b, "is_response", d->response);
	json_uint(b, "opcode", d->opcode);
	json_uint(b, "rcode", d->rcode);
	json_uint(b, "questions", d->questions);
	json_uint(b, "answers", d->answers);
	json_uint(b, "authorities", d->authorities);
	json_uint(b, "additionals", d->additionals);
}

/* -- TLS
 * -------------------------------------------------------------------------- */

static void put_code(struct buf *b, const char *name, uint16_t code)
{
	char text[8];

	snprintf(text, sizeof(text), "0x%04x", code);
	json_word(b, name, text);
}

static void put_word_if(struct buf *b, const char *name, const char *text)
{
	if (*text)
		json_word(b, name, text);
}

static void put_tls(struct buf *b, const struct tls_facts *t)
{
	json_begin(b, "tls");
	json_uint(b, "content_type", t->content_type);
	put_code(b, "record_version", t->version);
	json_uint(b, "record_len", t->length);
	if (t->handshake_type)
		json_uint(b, "handshake_type", t->handshake_type);
	if (t->hello != TLS_NO_HELLO) {
		put_code(b, "handshake_version", t->hello_version);
		put_word_if(b, "sni", t->sni);
		json_list(b, "alpn");
		for (size_t i = 0; i < t->n_alpn; i++)
			json_word(b, NULL, t->alpn[i]);
		json_list_end(b);
		json_uint(b, "cipher_suites", t->ciphers.n);
		if (t->hello == TLS_SERVER_HELLO && t->ciphers.n)
			put_code(b, "cipher_suite", t->ciphers.at[0]);
		put_word_if(b, t->hello == TLS_CLIENT_HELLO ? "ja3" : "ja3s",
			    t->ja3);
		put_word_if(b, "ja4", t->ja4);
	}
	put_word_if(b, "subject", t->subject);
	put_word_if(b, "issuer", t->issuer);
	json_end(b);
}

static void put_older_tls(struct buf *b, const struct tls_facts *t)
{
	json_uint(b, "content_type", t->content_type);
	put_code(b, "version", t->version);
	json_uint(b, "record_len", t->length);
	json_uint(b, "handshake_type", t->handshake_type);
}

/* -- WebSocket ----------------------------------------------------------------
 */

static const char *opcode_name(enum websocket_opcode opcode)
{
	switch (opcode) {
	case WEBSOCKET_CONTINUATION:
		return "continuation";
	case WEBSOCKET_TEXT:
		return "text";
	case WEBSOCKET_BINARY:
		return "binary";
	case WEBSOCKET_CLOSE:
		return "close";
	case WEBSOCKET_PING:
		return "ping";
	case WEBSOCKET_PONG:
		return "pong";
	}
	return "reserved";
}

static void put_websocket(struct buf *b, const struct websocket_frame *f)
{
	json_begin(b, "websocket");
	json_uint(b, "opcode", f->opcode);
	json_word(b, "opcode_name", opcode_name(f->opcode));
	json_bool(b, "masked", f->masked);
	json_bool(b, "rsv1", f->compressed);
	json_bool(b, "control", f->opcode >= WEBSOCKET_CLOSE);
	json_uint(b, "frames", f->frames);
	json_uint(b, "payload_bytes", f->wire_bytes);
	if (f->opcode == WEBSOCKET_CLOSE && f->payload.len >= 2)
		json_uint(b, "close_code",
			  (uint64_t)f->payload.p[0] << 8 | f->payload.p[1]);
	if (f->opcode == WEBSOCKET_TEXT && f->payload.len)
		json_text(b, "text_preview",
			  bytes_of(f->payload.p,
				   f->payload.len < WEBSOCKET_PREVIEW
					   ? f->payload.len
					   : WEBSOCKET_PREVIEW));
	json_end(b);
}

/* -- lines
 * ---------------------------------------------------------------------------
 */

static void put_message(struct buf *b, const struct stream *s,
			const struct message *m)
{
	bool error =
		m->kind == MESSAGE_ERROR || m->status == MESSAGE_PARSE_ERROR;

	json_hex64(b, "stream_id", s->id);
	json_hex64(b, "stream_id_hex", s->id);
	json_uint(b, "message_id", m->ordinal << 1 | (unsigned)m->way);
	json_word(b, "protocol", message_protocol_name(m->protocol));
	json_word(b, "kind",
		  m->kind == MESSAGE_REQUEST	? "request"
		  : m->kind == MESSAGE_RESPONSE ? "response"
						: "unknown");
	json_word(b, "status",
		  error ? "parse_error" : message_status_name(m->status));
	json_word(b, "direction", m->way ? "b_to_a" : "a_to_b");
	json_uint(b, "ordinal", m->ordinal);
	json_word(b, "summary", m->summary);
	json_uint(b, "logical_start", m->all.start);
	json_uint(b, "logical_end", m->all.end);
	put_range(b, "header_start", "header_end", &m->head);
	put_range(b, "body_start", "body_end", &m->body);
	json_uint(b, "wire_bytes", m->all.end - m->all.start);
	json_uint(b, "header_bytes", m->head.end - m->head.start);
	json_uint(b, "body_bytes", m->body_bytes);
	if (m->stream)
		json_uint(b, "http2_stream", m->stream);
	if (m->n_parts)
		put_parts(b, m);
	if (m->http)
		put_http(b, m->http);
	if (m->dns)
		put_dns(b, m->dns);
	if (m->tls)
		put_tls(b, m->tls);
	if (m->websocket)
		put_websocket(b, m->websocket);
	if (m->error)
		json_word(b, "error", m->error);
}

static void put_older(struct events *e, const struct stream *s,
		      const struct message *m, uint64_t time_ns)
{
	const char *analyzer = m->http ? "http" : m->dns ? "dns" : "tls_meta";
	const char *type = m->dns ? "dns_message" : "tls_packet_record";

	if (m->http)
		type = m->kind == MESSAGE_REQUEST ? "http_request"
						  : "http_response";
	events_begin(e, analyzer, type, s, m->way, time_ns,
		     m->all.end - m->all.start);
	json_hex64(&e->lines, "stream_id", s->id);
	if (m->http)
		put_older_http(e, m);
	else if (m->dns)
		put_older_dns(&e->lines, m->dns);
	else
		put_older_tls(&e->lines, m->tls);
	json_uint(&e->lines, "stream_sequence_start", m->all.start);
	events_end(e);
}

void events_message(struct events *e, const struct stream *s,
		    const struct message *m, uint64_t time_ns)
{
	char type[48];

	if (events_silent(e))
		return;
	events_begin(e, "protocol_message", event_type(m, type), s, m->way,
		     time_ns, m->all.end - m->all.start);
	put_message(&e->lines, s, m);
	events_end(e);
	if (m->kind == MESSAGE_ERROR || m->status == MESSAGE_PARSE_ERROR)
		return;
	if (m->http || m->dns || (m->tls && m->tls->hello != TLS_NO_HELLO))
		put_older(e, s, m, time_ns);
}
