/* SPDX-License-Identifier: Apache-2.0 */
/*
 * streamsum FILE - what Weir's decoder and reassembly make of a capture.
 *
 * One JSON object on standard output: counts of packets a decode status, the
 * number of conversations, and for each TCP flow, in the order of its first
 * packet, both ends and for both directions the bytes, their SHA-256 and the
 * gaps.  tests/golden/streams.py compares it with what other tools saw.
 */
#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/buf.h"
#include "codec/dns.h"
#include "codec/http1.h"
#include "codec/tls.h"
#include "engine/capfile/capfile.h"
#include "engine/flow/defrag.h"
#include "engine/flow/flow.h"

struct gap {
	uint64_t at; /* in the bytes that were delivered */
	uint64_t len;
};

struct direction {
	EVP_MD_CTX *sha;
	uint64_t bytes;
	struct gap *gaps;
	size_t n_gaps;
};

struct stream {
	struct flow flow; /* a copy, made at its end */
	uint64_t order;
	struct direction way[2];
	struct dns_stream dns;
	struct http1_stream http;
	struct tls_stream tls;
	bool is_tls, is_http;
};

static struct buf hellos; /* ["sni","ja3"],… */
static struct buf names;  /* "name",… of DNS queries */
static struct buf requests; /* ["GET","/"],… */
static uint64_t n_responses;

static struct stream **streams;
static size_t n_streams;
static uint64_t statuses[DECODE_STATUSES];
static uint64_t udp_flows, other_flows;

static void on_opened(void *self, struct flow *f)
{
	struct stream *s;

	(void)self;
	if (f->protocol == IP_UDP)
		udp_flows++;
	else if (f->protocol != IP_TCP)
		other_flows++;
	if (f->protocol != IP_TCP)
		return;
	s = mem_alloc(sizeof(*s));
	for (int i = 0; i < 2; i++) {
		s->way[i].sha = EVP_MD_CTX_new();
		EVP_DigestInit_ex(s->way[i].sha, EVP_sha256(), NULL);
	}
	s->order = n_streams;
	streams = mem_grow(streams, (n_streams + 1) * sizeof(*streams));
	streams[n_streams++] = s;
	f->owner = s;
}

static void put_json_text(struct buf *b, const char *text)
{
	put_u8(b, '"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			put_u8(b, '\\');
		put_u8(b, (uint8_t)*text);
	}
	put_u8(b, '"');
}

static void on_message(void *self, const struct message *m)
{
	(void)self;
	if (m->dns && !m->dns->response)
		for (size_t i = 0;
		     i < m->dns->n_records && i < m->dns->questions; i++) {
			put_text(&names, names.len ? "," : "");
			put_json_text(&names, m->dns->records[i].name);
		}
	if (m->tls && m->tls->hello == TLS_CLIENT_HELLO) {
		put_text(&hellos, hellos.len ? ",[" : "[");
		put_json_text(&hellos, m->tls->sni);
		put_format(&hellos, ",\"%s\",\"%s\"]", m->tls->ja3,
			   m->tls->ja4);
	}
}

static void put_json_bytes(struct buf *b, struct bytes text)
{
	char *copy = mem_format("%.*s", (int)text.len, (const char *)text.p);

	put_json_text(b, copy);
	free(copy);
}

static void on_http(void *self, const struct message *m)
{
	(void)self;
	if (m->kind == MESSAGE_RESPONSE)
		n_responses++;
	if (m->kind != MESSAGE_REQUEST)
		return;
	put_text(&requests, requests.len ? ",[" : "[");
	put_json_bytes(&requests, m->http->method);
	put_u8(&requests, ',');
	put_json_bytes(&requests, m->http->target);
	put_u8(&requests, ']');
}

static const struct message_sink http_messages = { .message = on_http };

static const struct message_sink messages = { .message = on_message };

static bool is_dns(const struct flow *f)
{
	return f->end[0].port == 53 || f->end[1].port == 53;
}

static void parse(struct stream *stream, struct flow *f,
		  const struct flow_slice *s)
{
	if (s->offset == 0 && tls_looks_like(s->data))
		stream->is_tls = true;
	if (!stream->is_http && http1_looks_like(s->data))
		stream->is_http = true;
	if (stream->is_http)
		http1_stream_feed(&stream->http, s->way, s->offset, s->data,
				  &http_messages);
	if (stream->is_tls)
		tls_stream_feed(&stream->tls, s->way, s->offset, s->data,
				&messages);
	if (is_dns(f)) {
		stream->dns.tcp = true;
		dns_stream_feed(&stream->dns, s->way, s->offset, s->data,
				&messages);
	}
}

static void on_slice(void *self, struct flow *f, const struct flow_slice *s)
{
	struct stream *stream = f->owner;
	struct dns_stream udp = { .tcp = false };

	(void)self;
	if (f->protocol == IP_UDP && is_dns(f))
		dns_stream_feed(&udp, s->way, s->offset, s->data, &messages);
	if (!stream)
		return;
	parse(stream, f, s);
	EVP_DigestUpdate(stream->way[s->way].sha, s->data.p, s->data.len);
	stream->way[s->way].bytes += s->data.len;
}

static void on_gap(void *self, struct flow *f, int way, uint64_t offset,
		   uint64_t len, enum flow_gap why, uint64_t ns)
{
	struct stream *stream = f->owner;
	struct direction *d;

	(void)self;
	(void)why;
	(void)ns;
	if (!stream)
		return;
	tls_stream_gap(&stream->tls, way, offset + len, &messages);
	if (stream->is_http)
		http1_stream_gap(&stream->http, way, offset + len,
				 &http_messages);
	dns_stream_gap(&stream->dns, way, offset + len, &messages);
	d = &stream->way[way];
	d->gaps = mem_grow(d->gaps, (d->n_gaps + 1) * sizeof(*d->gaps));
	d->gaps[d->n_gaps++] = (struct gap){ d->bytes, len };
}

static void on_closed(void *self, struct flow *f)
{
	(void)self;
	struct stream *stream = f->owner;

	if (!stream)
		return;
	stream->flow = *f;
	for (int way = 0; stream->is_http && way < 2; way++)
		http1_stream_end(&stream->http, way, &http_messages);
}

static void print_direction(const char *name, struct direction *d,
			    const struct flow_way *w)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	EVP_DigestFinal_ex(d->sha, sum, &len);
	printf("\"%s\":{\"bytes\":%llu,\"conflicts\":%u,\"ignored\":%u,"
	       "\"gaps\":[",
	       name, (unsigned long long)d->bytes, w->conflicts, w->ignored);
	for (size_t i = 0; i < d->n_gaps; i++)
		printf("%s[%llu,%llu]", i ? "," : "",
		       (unsigned long long)d->gaps[i].at,
		       (unsigned long long)d->gaps[i].len);
	printf("],\"sha256\":\"");
	for (unsigned i = 0; i < len; i++)
		printf("%02x", sum[i]);
	printf("\"}");
	EVP_MD_CTX_free(d->sha);
	free(d->gaps);
}

static void print_end(const char *name, const struct flow_endpoint *e)
{
	char text[ADDRESS_TEXT];

	printf("\"%s\":\"%s%s%s:%u\"", name,
	       e->address.version == 6 ? "[" : "",
	       address_text(text, &e->address),
	       e->address.version == 6 ? "]" : "", e->port);
}

static void print_all(const char *error, const char *warning)
{
	printf("{\"error\":%s,\"warning\":%s,\"status\":{",
	       error ? "true" : "false", warning ? "true" : "false");
	for (int i = 0; i < DECODE_STATUSES; i++)
		printf("%s\"%s\":%llu", i ? "," : "",
		       decode_status_name((enum decode_status)i),
		       (unsigned long long)statuses[i]);
	printf("},\"hellos\":[%.*s],\"dns_names\":[%.*s]", (int)hellos.len,
	       hellos.len ? (char *)hellos.p : "", (int)names.len,
	       names.len ? (char *)names.p : "");
	printf(",\"http_requests\":[%.*s],\"http_responses\":%llu",
	       (int)requests.len, requests.len ? (char *)requests.p : "",
	       (unsigned long long)n_responses);
	printf(",\"tcp_streams\":%zu,\"udp_streams\":%llu,\"tcp\":[",
	       n_streams, (unsigned long long)udp_flows);
	for (size_t i = 0; i < n_streams; i++) {
		struct stream *s = streams[i];

		printf("%s\n{", i ? "," : "");
		print_end("a", &s->flow.end[0]);
		printf(",");
		print_end("b", &s->flow.end[1]);
		printf(",\"opener\":%u,\"packets\":%llu,", s->flow.opener,
		       (unsigned long long)(s->flow.way[0].packets +
					    s->flow.way[1].packets));
		print_direction("from_a", &s->way[0], &s->flow.way[0]);
		printf(",");
		print_direction("from_b", &s->way[1], &s->flow.way[1]);
		printf("}");
		tls_stream_release(&s->tls);
		dns_stream_release(&s->dns);
		http1_stream_release(&s->http);
		free(s);
	}
	printf("]}\n");
	free(streams);
}

int main(int argc, char **argv)
{
	static const struct flow_sink sink = { .opened = on_opened,
					       .slice = on_slice,
					       .gap = on_gap,
					       .closed = on_closed };
	/* The others never end a conversation because it was quiet. */
	struct flow_config cfg = FLOW_CONFIG_DEFAULT;
	struct defrag_config defrag_cfg = DEFRAG_CONFIG_DEFAULT;
	struct flow_table *table;
	struct defrag *defrag = defrag_new(&defrag_cfg, cfg.seed);
	struct err err = ERR_NONE;
	struct capfile *f = argc == 2 ? capfile_open(argv[1], &err) : NULL;
	struct capfile_packet in;
	uint64_t index = 0;
	int rc;

	cfg.idle_ns = UINT64_MAX / 4;
	table = flow_table_new(&cfg, &sink);
	if (!f) {
		fprintf(stderr, "streamsum: %s\n",
			argc == 2 ? err.text : "one FILE");
		return 2;
	}
	while ((rc = capfile_next(f, &in, &err)) == 0) {
		struct flow_packet p = { index++, in.packet.time_ns,
					 in.packet.wire_len, in.packet.data };
		struct decoded d;

		decode_frame(in.linktype, p.frame, p.wire_len, &d);
		statuses[d.status]++;
		if (d.status == DECODE_FRAGMENT &&
		    !defrag_put(defrag, &d, p.time_ns))
			continue;
		if (d.status == DECODE_OK)
			flow_table_packet(table, &d, &p);
	}
	flow_table_finish(table);
	print_all(rc == ERR_END ? NULL : err.text, capfile_warning(f));
	capfile_close(f);
	flow_table_free(table);
	defrag_free(defrag);
	return 0;
}
