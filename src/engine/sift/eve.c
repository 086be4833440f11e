/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sift/eve.h"

#include <arpa/inet.h>
#include <strings.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/when.h"
#include "codec/jsontoken.h"

static const struct {
	const char *name;
	uint8_t protocol;
} protocols[] = {
	{ "TCP", IP_TCP },	   { "UDP", IP_UDP }, { "SCTP", IP_SCTP },
	{ "ICMP", IP_ICMP },	   { "GRE", IP_GRE }, { "ICMPv6", IP_ICMP6 },
	{ "IPv6-ICMP", IP_ICMP6 },
};

/* A text of at most cap - 1 bytes; longer ones and others are malformed. */
static int take_word(const struct json_token *t, char *to, size_t cap)
{
	struct buf b = { 0 };
	int rc = ERR_MALFORMED;

	if (t->kind == JSON_TEXT)
		json_text_of(t, &b);
	if (t->kind == JSON_TEXT && b.len < cap &&
	    (!b.len || !memchr(b.p, 0, b.len))) {
		if (b.len)
			memcpy(to, b.p, b.len);
		to[b.len] = '\0';
		rc = 0;
	}
	buf_release(&b);
	return rc;
}

static int take_address(const struct json_token *t, struct address *a)
{
	char text[ADDRESS_TEXT];

	if (take_word(t, text, sizeof(text)) < 0)
		return ERR_MALFORMED;
	*a = (struct address){ .version = 6 };
	if (strchr(text, ':'))
		return inet_pton(AF_INET6, text, a->b) == 1 ? 0 : ERR_MALFORMED;
	a->version = 4;
	a->b[10] = a->b[11] = 0xff;
	return inet_pton(AF_INET, text, a->b + 12) == 1 ? 0 : ERR_MALFORMED;
}

static int take_port(const struct json_token *t, uint16_t *port)
{
	uint64_t v;

	if (json_uint_of(t, &v) < 0 || v > 65535)
		return ERR_MALFORMED;
	*port = (uint16_t)v;
	return 0;
}

static int take_proto(const struct json_token *t, struct eve_flow *f)
{
	if (take_word(t, f->proto, sizeof(f->proto)) < 0)
		return ERR_MALFORMED;
	f->protocol = 0;
	for (size_t i = 0; i < sizeof(protocols) / sizeof(*protocols); i++)
		if (strcasecmp(f->proto, protocols[i].name) == 0)
			f->protocol = protocols[i].protocol;
	return 0;
}

/* 1 when the member was one of a flow, 0 when it was not. */
static int take_flow(const struct json_token *t, struct eve_flow *f)
{
	int rc;

	if (json_named(t, "src_ip"))
		rc = take_address(t, &f->src);
	else if (json_named(t, "dest_ip"))
		rc = take_address(t, &f->dst);
	else if (json_named(t, "src_port"))
		rc = take_port(t, &f->src_port);
	else if (json_named(t, "dest_port"))
		rc = take_port(t, &f->dst_port);
	else if (json_named(t, "proto"))
		rc = take_proto(t, f);
	else
		return 0;
	return rc < 0 ? rc : 1;
}

static int take_tunnel(struct json_reader *r, struct eve_event *e)
{
	struct json_token t;
	int rc;

	while ((rc = json_next(r, &t)) == 0 && t.kind != JSON_OBJECT_END) {
		rc = take_flow(&t, &e->tunnel);
		if (rc == 0 && json_named(&t, "depth"))
			rc = json_uint_of(&t, &e->tunnel_depth);
		else if (rc == 0)
			rc = json_skip(r, &t);
		if (rc < 0)
			return rc;
	}
	return rc;
}

static int take_time(const struct json_token *t, uint64_t *ns)
{
	char text[EVE_WORD_MAX];

	if (take_word(t, text, sizeof(text)) < 0)
		return ERR_MALFORMED;
	return when_parse(text, ns);
}

static int take_member(struct json_reader *r, const struct json_token *t,
		       struct eve_event *e)
{
	int rc = take_flow(t, &e->flow);

	if (rc)
		return rc < 0 ? rc : 0;
	if (json_named(t, "event_type"))
		return take_word(t, e->type, sizeof(e->type));
	if (json_named(t, "timestamp"))
		return take_time(t, &e->time_ns);
	if (json_named(t, "flow_id"))
		return json_uint_of(t, &e->flow_id);
	if (json_named(t, "capture_file"))
		return take_word(t, e->capture_file, sizeof(e->capture_file));
	if (json_named(t, "tunnel") && t->kind == JSON_OBJECT)
		return take_tunnel(r, e);
	return json_skip(r, t);
}

int eve_parse(struct bytes json, struct eve_event *e)
{
	struct json_reader r = json_reader_on(json);
	struct json_token t;
	int rc = json_next(&r, &t);

	*e = (struct eve_event){ 0 };
	if (rc < 0 || t.kind != JSON_OBJECT)
		return ERR_MALFORMED;
	while ((rc = json_next(&r, &t)) == 0 && t.kind != JSON_OBJECT_END)
		if (take_member(&r, &t, e) < 0)
			return ERR_MALFORMED;
	return rc == 0 && json_next(&r, &t) == ERR_END ? 0 : ERR_MALFORMED;
}
