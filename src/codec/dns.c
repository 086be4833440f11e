/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/dns.h"

#include <stdio.h>

#include "base/cursor.h"
#include "base/err.h"

enum {
	HEADER = 12,
	POINTER = 0xc0,
	LABELS_MAX = 128,
	TCP_MESSAGE_MAX = 65535 + 2
};

/* A byte of a label as text: dots and what is not printable as \ddd. */
static size_t put_name_byte(char *out, size_t at, uint8_t b)
{
	if (b > 0x20 && b < 0x7f && b != '.' && b != '\\') {
		if (at + 1 < DNS_NAME_MAX)
			out[at++] = (char)b;
	} else if (at + 4 < DNS_NAME_MAX) {
		at += (size_t)sprintf(out + at, "\\%03u", b);
	}
	return at;
}

/*
 * The name at the cursor.  Each pointer leads before the place where the
 * current run of labels began, so there is an end.
 */
static int get_name(struct bytes packet, struct cursor *c,
		    char out[DNS_NAME_MAX])
{
	struct cursor at = *c;
	size_t limit = (size_t)(c->p - packet.p);
	bool jumped = false;
	size_t n = 0;

	for (int labels = 0; labels < LABELS_MAX; labels++) {
		uint8_t len = get_u8(&at);

		if ((len & POINTER) == POINTER) {
			size_t to = (len & 0x3fu) << 8 | get_u8(&at);

			if (at.short_ || to >= limit)
				return ERR_MALFORMED;
			if (!jumped)
				*c = at;
			jumped = true;
			limit = to;
			at = cursor_on(packet);
			skip_bytes(&at, to);
			continue;
		}
		if (at.short_ || len & POINTER)
			return ERR_MALFORMED;
		if (!len) {
			if (!n)
				out[n++] = '.';
			out[n] = '\0';
			if (!jumped)
				*c = at;
			return 0;
		}
		if (n && n + 1 < DNS_NAME_MAX)
			out[n++] = '.';
		for (uint8_t i = 0; i < len; i++)
			n = put_name_byte(out, n, get_u8(&at));
		if (at.short_)
			return ERR_MALFORMED;
	}
	return ERR_MALFORMED;
}

static int get_records(struct bytes packet, struct cursor *c, unsigned n,
		       bool question, struct dns_packet *out)
{
	struct dns_record spare;

	for (unsigned i = 0; i < n; i++) {
		struct dns_record *r = out->n_records < DNS_RECORDS_MAX
					       ? &out->records[out->n_records]
					       : &spare;

		/* Not the whole of it: a name is long, and always set. */
		r->ttl = 0;
		r->data = bytes_of(NULL, 0);
		r->name[0] = '\0';
		if (get_name(packet, c, r->name) < 0)
			return ERR_MALFORMED;
		r->type = get_be16(c);
		r->class = get_be16(c);
		if (!question) {
			r->ttl = get_be32(c);
			r->data = get_bytes(c, get_be16(c));
		}
		if (c->short_)
			return ERR_MALFORMED;
		if (r != &spare)
			out->n_records++;
	}
	return 0;
}

/* Up to where the cursor is left. */
static int parse_front(struct bytes in, struct cursor *c,
		       struct dns_packet *out)
{
	uint16_t flags;

	out->n_records = 0;
	out->id = get_be16(c);
	flags = get_be16(c);
	out->response = flags & 0x8000;
	out->opcode = flags >> 11 & 15;
	out->rcode = flags & 15;
	out->questions = get_be16(c);
	out->answers = get_be16(c);
	out->authorities = get_be16(c);
	out->additionals = get_be16(c);
	if (c->short_ || get_records(in, c, out->questions, true, out) < 0 ||
	    get_records(in, c, out->answers, false, out) < 0 ||
	    get_records(in, c, out->authorities, false, out) < 0 ||
	    get_records(in, c, out->additionals, false, out) < 0)
		return ERR_MALFORMED;
	return 0;
}

int dns_parse(struct bytes in, struct dns_packet *out)
{
	struct cursor c = cursor_on(in);

	return parse_front(in, &c, out);
}

bool dns_looks_like(struct bytes in)
{
	struct cursor c = cursor_on(in), head = c;
	struct dns_packet packet;
	uint16_t flags, questions;

	skip_bytes(&head, 2);
	flags = get_be16(&head);
	questions = get_be16(&head);
	/* One question, the bit that is always zero, a kind that exists. */
	return questions == 1 && !(flags & 0x40) && (flags >> 11 & 15) <= 5 &&
	       parse_front(in, &c, &packet) == 0 && !c.len;
}

const char *dns_type_name(uint16_t type, char room[16])
{
	static const struct {
		uint16_t type;
		const char *name;
	} names[] = {
		{ 1, "A" },	 { 2, "NS" },	  { 5, "CNAME" },
		{ 6, "SOA" },	 { 12, "PTR" },	  { 15, "MX" },
		{ 16, "TXT" },	 { 28, "AAAA" },  { 33, "SRV" },
		{ 35, "NAPTR" }, { 41, "OPT" },	  { 43, "DS" },
		{ 46, "RRSIG" }, { 47, "NSEC" },  { 48, "DNSKEY" },
		{ 64, "SVCB" },	 { 65, "HTTPS" }, { 252, "AXFR" },
		{ 255, "ANY" },	 { 257, "CAA" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i].type == type)
			return names[i].name;
	snprintf(room, 16, "TYPE%u", type);
	return room;
}

/* -- streams --------------------------------------------------------------- */

static void tell_error(struct dns_way *w, int way, struct message_range all,
		       const char *error, const struct message_sink *sink)
{
	struct message m = {
		.protocol = MESSAGE_DNS,
		.kind = MESSAGE_ERROR,
		.status = MESSAGE_PARSE_ERROR,
		.way = way,
		.ordinal = w->ordinal++,
		.all = all,
		.error = error,
	};

	message_summary(&m, "%s", error);
	sink->message(sink->self, &m);
}

static void describe(struct message *m, const struct dns_packet *packet)
{
	const struct dns_record *first = &packet->records[0];
	const char *what = packet->response ? "response" : "query";
	char room[16];

	if (packet->n_records)
		message_summary(m, "%s %s %s%s", what,
				dns_type_name(first->type, room), first->name,
				packet->rcode ? " failed" : "");
	else
		message_summary(m, "%s without a question%s", what,
				packet->rcode ? " failed" : "");
}

static void report(struct dns_way *w, int way, uint64_t start,
		   struct bytes whole, size_t framing,
		   const struct message_sink *sink)
{
	struct bytes in = bytes_of(whole.p + framing, whole.len - framing);
	struct dns_packet packet;
	struct message m = {
		.protocol = MESSAGE_DNS,
		.status = MESSAGE_COMPLETE,
		.way = way,
		.all = { start, start + whole.len },
		.head = { start, start + framing },
		.body = { start + framing, start + whole.len },
		.body_bytes = in.len,
		.dns = &packet,
	};

	if (dns_parse(in, &packet) < 0) {
		tell_error(w, way, m.all,
			   "not a DNS message, or one that is cut off", sink);
		return;
	}
	m.kind = packet.response ? MESSAGE_RESPONSE : MESSAGE_REQUEST;
	m.ordinal = w->ordinal++;
	describe(&m, &packet);
	sink->message(sink->self, &m);
}

/* Whole messages from the front of what is gathered. */
static void take_whole(struct dns_way *w, int way,
		       const struct message_sink *sink)
{
	size_t done = 0;

	while (w->bytes.len - done >= 2 && !w->lost) {
		const uint8_t *p = w->bytes.p + done;
		size_t len = 2u + ((size_t)p[0] << 8 | p[1]);

		if (len < 2 + HEADER) {
			w->lost = true;
			tell_error(w, way,
				   (struct message_range){
					   w->start + done,
					   w->start + w->bytes.len },
				   "a length shorter than any DNS message",
				   sink);
			break;
		}
		if (w->bytes.len - done < len)
			break;
		report(w, way, w->start + done, bytes_of(p, len), 2, sink);
		done += len;
	}
	buf_consume(&w->bytes, done);
	w->start += done;
	if (w->lost || !w->bytes.len)
		buf_release(&w->bytes);
}

void dns_stream_feed(struct dns_stream *s, int way, uint64_t offset,
		     struct bytes data, const struct message_sink *sink)
{
	struct dns_way *w = &s->way[way];

	if (offset != w->next)
		dns_stream_gap(s, way, offset, sink);
	w->next = offset + data.len;
	if (!s->tcp) {
		report(w, way, offset, data, 0, sink);
		return;
	}
	while (data.len && !w->lost) {
		size_t room = TCP_MESSAGE_MAX - w->bytes.len;
		size_t n = data.len < room ? data.len : room;

		if (!w->bytes.len)
			w->start = w->next - data.len;
		put_bytes(&w->bytes, bytes_of(data.p, n));
		data.p += n;
		data.len -= n;
		take_whole(w, way, sink);
	}
}

void dns_stream_end(struct dns_stream *s, int way,
		    const struct message_sink *sink)
{
	struct dns_way *w = &s->way[way];
	struct message m = {
		.protocol = MESSAGE_DNS,
		.kind = MESSAGE_REQUEST,
		.status = MESSAGE_PARTIAL,
		.way = way,
		.all = { w->start, w->start + w->bytes.len },
	};

	if (!w->bytes.len)
		return;
	/* The bit that tells an answer is the first of its third byte. */
	if (w->bytes.len > 4 && w->bytes.p[4] & 0x80)
		m.kind = MESSAGE_RESPONSE;
	m.ordinal = w->ordinal++;
	message_summary(&m, "a DNS message that is cut off");
	sink->message(sink->self, &m);
	buf_release(&w->bytes);
}

void dns_stream_gap(struct dns_stream *s, int way, uint64_t to,
		    const struct message_sink *sink)
{
	struct dns_way *w = &s->way[way];

	if (s->tcp) {
		dns_stream_end(s, way, sink);
		w->lost = true;
	}
	w->next = to;
}

void dns_stream_release(struct dns_stream *s)
{
	buf_release(&s->way[0].bytes);
	buf_release(&s->way[1].bytes);
}
