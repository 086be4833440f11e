/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/protocol/protocol.h"

#include <stdlib.h>
#include <strings.h>

#include "base/mem.h"
#include "codec/dns.h"
#include "codec/http1.h"
#include "codec/http2.h"
#include "codec/quic.h"
#include "codec/tls.h"
#include "codec/websocket.h"

enum {
	TCP = 6,
	UDP = 17,
	PORT_DNS = 53,
	PORT_NETBIOS = 137,
	PORT_MDNS = 5353,
	PORT_LLMNR = 5355,
	HEAD = 16 /* bytes that are enough to know a protocol */
};

enum parser {
	LOOKING,
	HTTP1,
	TLS,
	DNS,
	WEBSOCKET,
	HTTP2,
	QUIC,
	NOTHING /* not looked at any more */
};

struct look {
	uint8_t head[HEAD]; /* the first bytes from `start` on */
	size_t n;
	uint64_t start, next;
	bool settled; /* not a beginning that we know */
	bool joined;  /* the parser has had bytes of this direction */
};

struct protocol_stream {
	struct protocols *home;
	enum parser parser;
	bool dns_port, udp;
	bool netbios;	   /* its names look like DNS, and are none */
	uint8_t datagrams; /* that were looked at in vain */
	uint32_t errors;
	size_t held; /* bytes, as last counted */
	struct look look[2];
	/* What a 101 response says of what comes. */
	enum parser to; /* WEBSOCKET, HTTP2, or LOOKING */
	int to_client;	/* for HTTP/2: the client's way plus one */
	struct websocket_deflate deflate;
	union {
		void *any; /* owned */
		struct http1_stream *http1;
		struct tls_stream *tls;
		struct dns_stream *dns;
		struct websocket_stream *websocket;
		struct http2_stream *http2;
		struct quic_stream *quic;
	} of;
	/* The call that is under way. */
	const struct message_sink *sink;
	uint32_t told;
};

struct protocols {
	struct protocol_config cfg;
	struct protocol_counters counters;
};

struct protocols *protocols_new(const struct protocol_config *cfg)
{
	struct protocols *p = mem_alloc(sizeof(*p));

	p->cfg = *cfg;
	return p;
}

void protocols_free(struct protocols *p)
{
	free(p);
}

void protocols_counters(const struct protocols *p, struct protocol_counters *c)
{
	*c = p->counters;
}

/* -- parsers come and go --------------------------------------------------- */

static const size_t sizes[] = {
	[HTTP1] = sizeof(struct http1_stream),
	[TLS] = sizeof(struct tls_stream),
	[DNS] = sizeof(struct dns_stream),
	[WEBSOCKET] = sizeof(struct websocket_stream),
	[HTTP2] = sizeof(struct http2_stream),
	[QUIC] = sizeof(struct quic_stream),
};

static size_t bytes_held(const struct protocol_stream *s)
{
	size_t n = sizeof(*s) + (s->of.any ? sizes[s->parser] : 0);

	for (int i = 0; s->of.any && i < 2; i++) {
		if (s->parser == HTTP1)
			n += s->of.http1->way[i].bytes.cap;
		else if (s->parser == TLS)
			n += s->of.tls->way[i].bytes.cap;
		else if (s->parser == DNS)
			n += s->of.dns->way[i].bytes.cap;
		else if (s->parser == WEBSOCKET)
			n += websocket_way_held(&s->of.websocket->way[i]);
		else if (s->parser == HTTP2)
			n += http2_way_held(&s->of.http2->way[i]);
		else if (s->parser == QUIC)
			n += s->of.quic->way[i].bytes.cap;
	}
	return n;
}

static void count_bytes(struct protocol_stream *s)
{
	size_t now = bytes_held(s);

	s->home->counters.bytes += now - s->held;
	s->held = now;
}

static void end_http2(struct protocol_stream *s)
{
	s->home->counters.forgotten += s->of.http2->forgotten;
	http2_stream_release(s->of.http2);
}

static void end_parser(struct protocol_stream *s, enum parser next)
{
	if (s->of.any && s->parser == HTTP1)
		http1_stream_release(s->of.http1);
	else if (s->of.any && s->parser == TLS)
		tls_stream_release(s->of.tls);
	else if (s->of.any && s->parser == DNS)
		dns_stream_release(s->of.dns);
	else if (s->of.any && s->parser == WEBSOCKET)
		websocket_stream_release(s->of.websocket);
	else if (s->of.any && s->parser == HTTP2)
		end_http2(s);
	else if (s->of.any && s->parser == QUIC)
		quic_stream_release(s->of.quic);
	free(s->of.any);
	s->of.any = NULL;
	s->parser = next;
	for (int i = 0; i < 2; i++)
		s->look[i] = (struct look){ .start = s->look[i].next,
					    .next = s->look[i].next };
}

static void begin_parser(struct protocol_stream *s, enum parser parser)
{
	s->parser = parser;
	switch (parser) {
	case HTTP1:
		s->of.http1 = mem_alloc(sizeof(*s->of.http1));
		s->of.http1->header_max = s->home->cfg.header_max;
		break;
	case TLS:
		s->of.tls = mem_alloc(sizeof(*s->of.tls));
		break;
	case DNS:
		s->of.dns = mem_alloc(sizeof(*s->of.dns));
		s->of.dns->tcp = !s->udp;
		break;
	case WEBSOCKET:
		s->of.websocket = mem_alloc(sizeof(*s->of.websocket));
		s->of.websocket->deflate = s->deflate;
		s->of.websocket->payload_max = s->home->cfg.payload_max;
		break;
	case HTTP2:
		s->of.http2 = mem_alloc(sizeof(*s->of.http2));
		s->of.http2->header_max = s->home->cfg.header_max;
		s->of.http2->client = s->to_client;
		break;
	case QUIC:
		s->of.quic = mem_alloc(sizeof(*s->of.quic));
		break;
	case LOOKING:
	case NOTHING:
		break;
	}
	s->look[0].joined = s->look[1].joined = false;
}

static bool has_port(const uint16_t port[2], uint16_t wanted)
{
	return port[0] == wanted || port[1] == wanted;
}

struct protocol_stream *protocol_stream_new(struct protocols *p,
					    uint8_t ip_protocol,
					    const uint16_t port[2])
{
	struct protocol_stream *s;
	bool dns = has_port(port, PORT_DNS);
	bool udp_dns =
		dns || has_port(port, PORT_MDNS) || has_port(port, PORT_LLMNR);

	if (ip_protocol != TCP && ip_protocol != UDP)
		return NULL;
	if (p->counters.streams >= p->cfg.streams_max) {
		p->counters.refused++;
		return NULL;
	}
	s = mem_alloc(sizeof(*s));
	s->home = p;
	s->dns_port = dns;
	s->udp = ip_protocol == UDP;
	s->netbios = has_port(port, PORT_NETBIOS);
	if (s->udp && udp_dns)
		begin_parser(s, DNS);
	if (++p->counters.streams > p->counters.streams_peak)
		p->counters.streams_peak = p->counters.streams;
	count_bytes(s);
	return s;
}

/* -- messages on their way out --------------------------------------------- */

/* A response opens something else: what, is told by its head. */
static void note_upgrade(struct protocol_stream *s, const struct message *m)
{
	struct bytes to = m->http->upgrade;

	if (m->protocol != MESSAGE_HTTP1 || m->http->status != 101)
		return;
	s->to = LOOKING;
	if (to.len == 9 && strncasecmp((const char *)to.p, "websocket", 9) == 0)
		s->to = WEBSOCKET;
	if (to.len == 3 && strncasecmp((const char *)to.p, "h2c", 3) == 0)
		s->to = HTTP2;
	s->to_client = !m->way + 1;
	s->deflate = websocket_deflate_of(
		http_field(m->http, "sec-websocket-extensions"), m->way);
}

static void pass_on(void *self, const struct message *m)
{
	struct protocol_stream *s = self;
	struct protocol_counters *c = &s->home->counters;

	if (m->http)
		note_upgrade(s, m);
	if (m->kind == MESSAGE_ERROR)
		s->errors++;
	if (s->told >= s->home->cfg.messages_max ||
	    s->errors > s->home->cfg.errors_max) {
		c->messages_dropped++;
		return;
	}
	s->told++;
	c->messages++;
	c->errors += m->kind == MESSAGE_ERROR;
	s->sink->message(s->sink->self, m);
}

static struct message_sink begin_call(struct protocol_stream *s,
				      const struct message_sink *sink)
{
	s->sink = sink;
	s->told = 0;
	return (struct message_sink){ .self = s, .message = pass_on };
}

static void end_call(struct protocol_stream *s)
{
	struct protocol_counters *c = &s->home->counters;

	s->sink = NULL;
	if (s->parser == QUIC && quic_stream_done(s->of.quic))
		end_parser(s, NOTHING);
	if (s->errors > s->home->cfg.errors_max && s->parser != NOTHING) {
		end_parser(s, NOTHING);
		c->gave_up++;
	}
	count_bytes(s);
	if (c->bytes > s->home->cfg.bytes_max && s->of.any) {
		end_parser(s, NOTHING);
		count_bytes(s);
		c->over_bytes++;
	}
}

/* -- looking --------------------------------------------------------------- */

/* What begins like this?  LOOKING: more bytes are needed. */
static enum parser recognise(const struct protocol_stream *s,
			     const struct look *l)
{
	struct bytes head = bytes_of(l->head, l->n);
	bool enough = l->n == HEAD;

	if (tls_looks_like(head))
		return l->n >= 6 ? TLS : LOOKING;
	if (http2_looks_like(head))
		return enough || (l->n >= HTTP2_FRAME_HEAD && !head.p[0])
			       ? HTTP2
			       : LOOKING;
	if (http1_looks_like(head))
		return enough || memchr(head.p, ' ', head.len) ||
				       (head.len >= 7 &&
					memcmp(head.p, "HTTP/1.", 7) == 0)
			       ? HTTP1
			       : LOOKING;
	if (s->dns_port)
		return DNS;
	return NOTHING;
}

/* A ClientHello where nobody expected one: the whole of its head fits. */
static bool hello_begins(struct bytes b)
{
	return b.len >= 9 && b.p[5] == 1 && b.p[6] == 0 && tls_looks_like(b);
}

/*
 * What begins at a slice though the direction began with something else, or
 * with a method that is not in the books?
 */
static enum parser recognise_later(const struct look *l, struct bytes data)
{
	struct bytes head = l->n ? bytes_of(l->head, l->n) : data;

	if (l->settled && hello_begins(data))
		return TLS;
	/* A head that is on its way may be continued by anything. */
	if (!l->settled && http1_looks_like(head))
		return NOTHING;
	return http1_begins(data) ? HTTP1 : NOTHING;
}

static void feed_parser(struct protocol_stream *s, int way, uint64_t offset,
			struct bytes data, const struct message_sink *sink);

/* A parser was chosen: it gets what was gathered while looking. */
static void hand_over(struct protocol_stream *s, enum parser parser,
		      const struct message_sink *sink)
{
	struct look look[2] = { s->look[0], s->look[1] };

	begin_parser(s, parser);
	for (int i = 0; i < 2; i++)
		if (look[i].n && !look[i].settled)
			feed_parser(s, i, look[i].start,
				    bytes_of(look[i].head, look[i].n), sink);
}

/* How many of the bytes were taken; the rest is for whoever was found. */
static size_t look_at_start(struct protocol_stream *s, int way,
			    struct bytes data, const struct message_sink *sink)
{
	struct look *l = &s->look[way];
	size_t n = data.len < HEAD - l->n ? data.len : HEAD - l->n;
	enum parser found;

	memcpy(l->head + l->n, data.p, n);
	l->n += n;
	l->next += n;
	found = recognise(s, l);
	if (found == NOTHING || (found == LOOKING && l->n == HEAD))
		l->settled = true;
	else if (found != LOOKING)
		hand_over(s, found, sink);
	return n;
}

static void look_on(struct protocol_stream *s, int way, uint64_t offset,
		    struct bytes data, const struct message_sink *sink)
{
	struct look *l = &s->look[way];
	enum parser later = recognise_later(l, data);

	if (later != NOTHING) {
		/* The other side is still where it was. */
		s->look[!way].settled = true;
		l->settled = false;
		l->next = offset;
		begin_parser(s, later);
		feed_parser(s, way, offset, data, sink);
		return;
	}
	while (data.len && s->parser == LOOKING && !l->settled) {
		size_t n = look_at_start(s, way, data, sink);

		offset += n;
		data = bytes_of(data.p + n, data.len - n);
	}
	l->next = offset + data.len;
	if (s->parser != LOOKING) {
		if (data.len)
			feed_parser(s, way, offset, data, sink);
		return;
	}
	if (s->look[0].next > PROTOCOL_LOOK || s->look[1].next > PROTOCOL_LOOK)
		end_parser(s, NOTHING);
}

/* -- feeding --------------------------------------------------------------- */

/* HTTP has ended here; `data` from `offset` on is something else. */
static void change_over(struct protocol_stream *s, int way, uint64_t offset,
			struct bytes data, const struct message_sink *sink)
{
	uint64_t other = s->of.http1->way[!way].next;

	s->look[!way].next = other;
	s->look[way].next = offset;
	end_parser(s, LOOKING);
	if (s->to != LOOKING)
		begin_parser(s, s->to);
	s->to = LOOKING;
	s->to_client = 0;
	if (!data.len)
		return;
	if (s->parser == LOOKING)
		look_on(s, way, offset, data, sink);
	else
		feed_parser(s, way, offset, data, sink);
}

static void feed_http1(struct protocol_stream *s, int way, uint64_t offset,
		       struct bytes data, const struct message_sink *sink)
{
	size_t n = http1_stream_feed(s->of.http1, way, offset, data, sink);

	if (s->udp) { /* SSDP: a datagram is all of it */
		http1_stream_end(s->of.http1, way, sink);
		return;
	}
	if (s->of.http1->upgraded &&
	    s->of.http1->way[way].state == HTTP1_TUNNEL)
		change_over(s, way, offset + n,
			    bytes_of(data.p + n, data.len - n), sink);
}

/* Does the direction begin it, too?  What was there may still be on its way. */
static bool joins(struct protocol_stream *s, int way, struct bytes data)
{
	if (!s->look[way].settled)
		return true;
	if (s->parser == HTTP1)
		return http1_looks_like(data);
	if (s->parser == TLS)
		return tls_looks_like(data) || data.p[0] == 21; /* an alert */
	return true;
}

static void feed_parser(struct protocol_stream *s, int way, uint64_t offset,
			struct bytes data, const struct message_sink *sink)
{
	struct look *l = &s->look[way];
	bool first = !l->joined;

	if (first && !joins(s, way, data))
		return;
	l->joined = true;
	switch (s->parser) {
	case HTTP1:
		if (first)
			s->of.http1->way[way].next = offset;
		feed_http1(s, way, offset, data, sink);
		break;
	case TLS:
		if (first)
			s->of.tls->way[way].next = offset;
		tls_stream_feed(s->of.tls, way, offset, data, sink);
		break;
	case DNS:
		if (first)
			s->of.dns->way[way].next = offset;
		dns_stream_feed(s->of.dns, way, offset, data, sink);
		break;
	case WEBSOCKET:
		if (first)
			s->of.websocket->way[way].next = offset;
		websocket_stream_feed(s->of.websocket, way, offset, data, sink);
		break;
	case HTTP2:
		if (first)
			s->of.http2->way[way].next = offset;
		http2_stream_feed(s->of.http2, way, offset, data, sink);
		break;
	case QUIC:
		quic_stream_feed(s->of.quic, way, offset, data, sink);
		break;
	case LOOKING:
	case NOTHING:
		break;
	}
}

static enum parser recognise_datagram(const struct protocol_stream *s,
				      struct bytes data)
{
	if (quic_looks_like(data))
		return QUIC;
	if (http1_begins(data))
		return HTTP1;
	return !s->netbios && dns_looks_like(data) ? DNS : NOTHING;
}

/* Of UDP it is known by a datagram, or not at all. */
static void look_at_datagram(struct protocol_stream *s, int way,
			     uint64_t offset, struct bytes data,
			     const struct message_sink *sink)
{
	enum parser found = recognise_datagram(s, data);

	if (found != NOTHING) {
		begin_parser(s, found);
		feed_parser(s, way, offset, data, sink);
	} else if (++s->datagrams == PROTOCOL_DATAGRAMS) {
		end_parser(s, NOTHING);
	}
}

void protocol_stream_feed(struct protocol_stream *s, int way, uint64_t offset,
			  struct bytes data, const struct message_sink *sink)
{
	struct message_sink ours;

	if (!s || s->parser == NOTHING || !data.len)
		return;
	ours = begin_call(s, sink);
	if (s->parser == LOOKING && s->udp)
		look_at_datagram(s, way, offset, data, &ours);
	else if (s->parser == LOOKING)
		look_on(s, way, offset, data, &ours);
	else
		feed_parser(s, way, offset, data, &ours);
	end_call(s);
}

/* The start of a direction is missing, or what was gathered of it is torn. */
static void gap_while_looking(struct look *l, uint64_t to)
{
	if (l->n)
		l->settled = true;
	l->start = l->next = to;
}

void protocol_stream_gap(struct protocol_stream *s, int way, uint64_t offset,
			 uint64_t len, const struct message_sink *sink)
{
	uint64_t to = offset + len;
	struct message_sink ours;

	if (!s || s->parser == NOTHING)
		return;
	ours = begin_call(s, sink);
	if (s->parser == LOOKING)
		gap_while_looking(&s->look[way], to);
	else if (s->parser == HTTP1)
		http1_stream_gap(s->of.http1, way, to, &ours);
	else if (s->parser == TLS)
		tls_stream_gap(s->of.tls, way, to, &ours);
	else if (s->parser == DNS)
		dns_stream_gap(s->of.dns, way, to, &ours);
	else if (s->parser == HTTP2)
		http2_stream_gap(s->of.http2, way, to, &ours);
	else if (s->parser == WEBSOCKET)
		websocket_stream_gap(s->of.websocket, way, to, &ours);
	s->look[way].joined = true;
	end_call(s);
}

static void end_way(struct protocol_stream *s, int way,
		    const struct message_sink *sink)
{
	if (s->parser == HTTP1)
		http1_stream_end(s->of.http1, way, sink);
	else if (s->parser == TLS)
		tls_stream_end(s->of.tls, way, sink);
	else if (s->parser == DNS)
		dns_stream_end(s->of.dns, way, sink);
	else if (s->parser == WEBSOCKET)
		websocket_stream_end(s->of.websocket, way, sink);
	else if (s->parser == HTTP2)
		http2_stream_end(s->of.http2, way, sink);
	else if (s->parser == QUIC)
		quic_stream_end(s->of.quic, way, sink);
}

void protocol_stream_end(struct protocol_stream *s,
			 const struct message_sink *sink)
{
	struct message_sink ours;

	if (!s)
		return;
	ours = begin_call(s, sink);
	end_way(s, 0, &ours);
	end_way(s, 1, &ours);
	end_parser(s, NOTHING);
	s->home->counters.bytes -= s->held;
	s->home->counters.streams--;
	free(s);
}
