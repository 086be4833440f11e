/* SPDX-License-Identifier: Apache-2.0 */
/*
 * streamsum FILE... - what Weir's decoder and reassembly make of captures.
 *
 * One JSON object a file on standard output, with a form feed behind each one
 * when there are several: counts of packets a decode status, the
 * number of conversations, and for each TCP flow, in the order of its first
 * packet, both ends and for both directions the bytes, their SHA-256 and the
 * gaps.  tests/golden/streams.py compares it with what other tools saw.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "codec/dns.h"
#include "codec/http1.h"
#include "codec/tls.h"
#include "engine/analyze/service.h"
#include "engine/capfile/capfile.h"
#include "engine/flow/defrag.h"
#include "engine/flow/flow.h"
#include "engine/protocol/protocol.h"

struct gap {
	uint64_t at; /* in the bytes that were delivered */
	uint64_t len;
};

enum { HEAD = 512, DATAGRAMS = 4 };

struct direction {
	uint8_t head[HEAD];
	size_t n_head;
	unsigned slices;
	EVP_MD_CTX *sha;
	uint64_t bytes;
	struct gap *gaps;
	size_t n_gaps;
};

struct stream {
	struct flow flow; /* a copy, made at its end */
	uint64_t order;
	struct direction way[2];
	EVP_MD_CTX *both; /* in the order in which bytes were delivered */
	struct protocol_stream *protocol;
	struct service service;
};

static struct protocols *protocols;
static struct buf hellos;    /* ["sni","ja3","ja4"],… */
static struct buf names;     /* "name",… of DNS queries */
static struct buf requests;  /* ["GET","/","host"],… */
static struct buf requests2; /* the same of HTTP/2: "GET host /",… */
static struct buf quic;	     /* as hellos */
static struct buf errors;    /* "sentence",… */
static struct buf services;  /* "tcp:http",… of flows that say something */
static uint64_t n_responses, n_frames;

static struct stream **streams;
static size_t n_streams;
static uint64_t statuses[DECODE_STATUSES];
static uint64_t udp_flows, other_flows;

static struct stream *new_tcp_stream(void)
{
	struct stream *s = mem_alloc(sizeof(*s));

	for (int i = 0; i < 2; i++) {
		s->way[i].sha = EVP_MD_CTX_new();
		EVP_DigestInit_ex(s->way[i].sha, EVP_sha256(), NULL);
	}
	s->both = EVP_MD_CTX_new();
	EVP_DigestInit_ex(s->both, EVP_sha256(), NULL);
	s->order = n_streams;
	streams = mem_grow(streams, (n_streams + 1) * sizeof(*streams));
	streams[n_streams++] = s;
	return s;
}

static void on_opened(void *self, struct flow *f)
{
	uint16_t port[2] = { f->end[0].port, f->end[1].port };
	struct stream *s;

	(void)self;
	if (f->protocol == IP_UDP)
		udp_flows++;
	else if (f->protocol != IP_TCP)
		other_flows++;
	if (f->protocol != IP_TCP && f->protocol != IP_UDP)
		return;
	s = f->protocol == IP_TCP ? new_tcp_stream() : mem_alloc(sizeof(*s));
	s->service = service_of_ports(f->protocol, port[0], port[1]);
	s->protocol = protocol_stream_new(protocols, f->protocol, port);
	f->owner = s;
}

static void put_json_text(struct buf *b, const char *text)
{
	put_u8(b, '"');
	for (; *text; text++) {
		uint8_t c = (uint8_t)*text;

		if (c < 0x20 || c == '"' || c == '\\' || c > 0x7e)
			put_format(b, "\\u%04x", c);
		else
			put_u8(b, c);
	}
	put_u8(b, '"');
}

static void put_json_bytes(struct buf *b, struct bytes text)
{
	char *copy = mem_format("%.*s", (int)text.len, (const char *)text.p);

	put_json_text(b, copy);
	free(copy);
}

static void note_dns(const struct dns_packet *d)
{
	for (size_t i = 0; i < d->n_records && i < d->questions; i++) {
		put_text(&names, names.len ? "," : "");
		put_json_text(&names, d->records[i].name);
	}
}

static void note_hello(struct buf *to, const struct tls_facts *t)
{
	put_text(to, to->len ? ",[" : "[");
	put_json_text(to, t->sni);
	put_format(to, ",\"%s\",\"%s\"]", t->ja3, t->ja4);
}

static void note_request2(const struct http_head *h)
{
	char *text = mem_format(
		"%.*s %.*s %.*s", (int)h->method.len, (const char *)h->method.p,
		(int)h->authority.len, (const char *)h->authority.p,
		(int)h->target.len, (const char *)h->target.p);

	put_text(&requests2, requests2.len ? "," : "");
	put_json_text(&requests2, text);
	free(text);
}

static void note_request(const struct http_head *h)
{
	put_text(&requests, requests.len ? ",[" : "[");
	put_json_bytes(&requests, h->method);
	put_u8(&requests, ',');
	put_json_bytes(&requests, h->target);
	put_u8(&requests, ',');
	put_json_bytes(&requests, http_field(h, "host"));
	put_u8(&requests, ']');
}

static void on_message(void *self, const struct message *m)
{
	(void)self;
	if (m->kind == MESSAGE_ERROR) {
		put_text(&errors, errors.len ? "," : "");
		put_json_text(&errors, m->error);
	} else if (m->http && m->protocol == MESSAGE_HTTP2) {
		if (m->kind == MESSAGE_REQUEST)
			note_request2(m->http);
	} else if (m->http && m->kind == MESSAGE_REQUEST) {
		note_request(m->http);
	} else if (m->http) {
		n_responses++;
	}
	n_frames += m->websocket != NULL;
	if (m->dns && !m->dns->response)
		note_dns(m->dns);
	if (m->tls && m->tls->hello == TLS_CLIENT_HELLO)
		note_hello(m->protocol == MESSAGE_QUIC ? &quic : &hellos,
			   m->tls);
}

static const struct message_sink messages = { .message = on_message };

/* The start of a direction, as long as it has no hole; datagrams alone. */
static void guess_service(struct stream *stream, const struct flow *f,
			  const struct flow_slice *s)
{
	struct direction *d = &stream->way[s->way];
	size_t n =
		s->data.len < HEAD - d->n_head ? s->data.len : HEAD - d->n_head;

	if (f->protocol == IP_UDP) {
		if (d->slices++ < DATAGRAMS)
			service_see(&stream->service, IP_UDP, s->way, s->data);
		return;
	}
	if (!n || s->offset != d->n_head)
		return;
	memcpy(d->head + d->n_head, s->data.p, n);
	d->n_head += n;
	service_see(&stream->service, IP_TCP, s->way,
		    bytes_of(d->head, d->n_head));
}

static void note_service(const struct stream *stream, const struct flow *f)
{
	if (!f->way[0].bytes && !f->way[1].bytes)
		return;
	put_format(&services, "%s\"%s:%s\"", services.len ? "," : "",
		   f->protocol == IP_TCP ? "tcp" : "udp", stream->service.name);
}

static void on_slice(void *self, struct flow *f, const struct flow_slice *s)
{
	struct stream *stream = f->owner;

	(void)self;
	if (!stream)
		return;
	guess_service(stream, f, s);
	protocol_stream_feed(stream->protocol, s->way, s->offset, s->data,
			     &messages);
	if (f->protocol != IP_TCP)
		return;
	EVP_DigestUpdate(stream->way[s->way].sha, s->data.p, s->data.len);
	EVP_DigestUpdate(stream->both, s->data.p, s->data.len);
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
	protocol_stream_gap(stream->protocol, way, offset, len, &messages);
	d = &stream->way[way];
	d->gaps = mem_grow(d->gaps, (d->n_gaps + 1) * sizeof(*d->gaps));
	d->gaps[d->n_gaps++] = (struct gap){ d->bytes, len };
}

static void on_closed(void *self, struct flow *f)
{
	struct stream *stream = f->owner;

	(void)self;
	if (!stream)
		return;
	protocol_stream_end(stream->protocol, &messages);
	note_service(stream, f);
	if (f->protocol == IP_TCP) {
		stream->flow = *f;
		return;
	}
	free(stream->way[0].gaps);
	free(stream->way[1].gaps);
	free(stream);
}

static void print_sum(EVP_MD_CTX *sha)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	EVP_DigestFinal_ex(sha, sum, &len);
	EVP_MD_CTX_free(sha);
	for (unsigned i = 0; i < len; i++)
		printf("%02x", sum[i]);
}

static void print_direction(const char *name, struct direction *d,
			    const struct flow_way *w)
{
	printf("\"%s\":{\"bytes\":%llu,\"conflicts\":%u,\"ignored\":%u,"
	       "\"gaps\":[",
	       name, (unsigned long long)d->bytes, w->conflicts, w->ignored);
	for (size_t i = 0; i < d->n_gaps; i++)
		printf("%s[%llu,%llu]", i ? "," : "",
		       (unsigned long long)d->gaps[i].at,
		       (unsigned long long)d->gaps[i].len);
	printf("],\"sha256\":\"");
	print_sum(d->sha);
	printf("\"}");
	free(d->gaps);
}

static void print_end(const char *name, const struct flow_endpoint *e)
{
	char text[ADDRESS_TEXT];

	printf("\"%s\":\"%s%s%s:%u\"", name, e->address.version == 6 ? "[" : "",
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
	printf(",\"services\":[%.*s]", (int)services.len,
	       services.len ? (char *)services.p : "");
	printf(",\"http2_requests\":[%.*s],\"quic\":[%.*s]", (int)requests2.len,
	       requests2.len ? (char *)requests2.p : "", (int)quic.len,
	       quic.len ? (char *)quic.p : "");
	printf(",\"http_requests\":[%.*s],\"http_responses\":%llu"
	       ",\"websocket\":%llu,\"errors\":[%.*s]",
	       (int)requests.len, requests.len ? (char *)requests.p : "",
	       (unsigned long long)n_responses, (unsigned long long)n_frames,
	       (int)errors.len, errors.len ? (char *)errors.p : "");
	printf(",\"tcp_streams\":%zu,\"udp_streams\":%llu,\"tcp\":[", n_streams,
	       (unsigned long long)udp_flows);
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
		printf(",\"both\":\"");
		print_sum(s->both);
		printf("\"}");
		free(s);
	}
	printf("]}\n");
	free(streams);
	buf_release(&hellos);
	buf_release(&names);
	buf_release(&requests);
	buf_release(&requests2);
	buf_release(&quic);
	buf_release(&services);
	buf_release(&errors);
}

static int tell(const char *path)
{
	static const struct flow_sink sink = { .opened = on_opened,
					       .slice = on_slice,
					       .gap = on_gap,
					       .closed = on_closed };
	/* The others never end a conversation because it was quiet. */
	struct flow_config cfg = FLOW_CONFIG_DEFAULT;
	struct defrag_config defrag_cfg = DEFRAG_CONFIG_DEFAULT;
	struct protocol_config protocol_cfg = PROTOCOL_CONFIG_DEFAULT;
	struct flow_table *table;
	struct defrag *defrag = defrag_new(&defrag_cfg, cfg.seed);
	struct err err = ERR_NONE;
	struct capfile *f = capfile_open(path, &err);
	struct capfile_packet in;
	uint64_t index = 0;
	int rc;

	cfg.idle_ns = UINT64_MAX / 4;
	table = flow_table_new(&cfg, &sink);
	protocols = protocols_new(&protocol_cfg);
	if (!f) {
		fprintf(stderr, "streamsum: %s\n", err.text);
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
	protocols_free(protocols);
	defrag_free(defrag);
	return 0;
}

/*
 * A child for each of several files: what is wrong with one (a leak, too) is
 * told in its place, and the start of a program is paid for once.
 */
static void tell_in_child(const char *path)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		exit(tell(path));
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
		printf("FAILED");
	printf("\f");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	if (argc == 2)
		return tell(argv[1]);
	for (int i = 1; i < argc; i++)
		tell_in_child(argv[i]);
	return argc > 2 ? 0 : 2;
}
