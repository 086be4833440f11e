/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sift/rules.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "codec/expression.h"
#include "engine/config/yamltree.h"
#include "engine/sift/asn.h"

enum { MATCHES_MAX = 65536, LINKTYPES_MAX = 16, MAC = 6 };

enum kind { SUBNET, PORT, ETHER, ASN, RAW, KINDS };

static const char *const kind_names[KINDS] = { "subnet", "port", "ether", "asn",
					       "raw" };

/* Both versions lie in one space, as in struct address. */
struct subnet {
	uint64_t high, low, mask_high, mask_low;
	uint8_t version;
};

struct port {
	uint16_t number;
	uint8_t protocol; /* 0: TCP, UDP or SCTP */
};

/* One text of a raw condition, compiled for the link types seen. */
struct raw {
	const char *text; /* borrowed from the document */
	uint32_t linktype[LINKTYPES_MAX];
	struct expression *compiled[LINKTYPES_MAX];
	int n;
};

union match {
	struct subnet subnet;
	struct port port;
	uint8_t mac[MAC];
	uint32_t asn;
	struct raw raw;
};

struct condition {
	enum kind kind;
	bool negate;
	union match *matches; /* owned */
	size_t n;
};

struct rule {
	char *name;
	struct condition *conditions; /* owned */
	size_t n;
};

struct rules {
	struct rule *at; /* owned */
	size_t n;
	struct asn *asn; /* borrowed */
};

/* What is being read. */
struct reading {
	const struct yaml_doc *doc;
	struct rules *rules;
	struct err *err;
};

/* -- texts ---------------------------------------------------------------- */

static uint64_t word_of(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

static uint64_t mask_of(unsigned bits)
{
	return bits == 0 ? 0 : bits >= 64 ? UINT64_MAX : ~(UINT64_MAX >> bits);
}

static int parse_address(const char *text, struct address *a)
{
	*a = (struct address){ .version = 6 };
	if (strchr(text, ':'))
		return inet_pton(AF_INET6, text, a->b) == 1 ? 0 : ERR_MALFORMED;
	a->version = 4;
	a->b[10] = a->b[11] = 0xff;
	return inet_pton(AF_INET, text, a->b + 12) == 1 ? 0 : ERR_MALFORMED;
}

/* "10.0.0.0/8", or an address alone, which is a network of one. */
static int parse_subnet(const char *text, union match *m)
{
	char copy[ADDRESS_TEXT + 8];
	struct address a;
	uint64_t bits;
	char *slash;

	if (strlen(text) >= sizeof(copy))
		return ERR_MALFORMED;
	strcpy(copy, text);
	slash = strchr(copy, '/');
	if (slash)
		*slash++ = '\0';
	if (parse_address(copy, &a) < 0)
		return ERR_MALFORMED;
	bits = a.version == 4 ? 32 : 128;
	if (slash && (text_to_uint(slash, &bits) < 0 ||
		      bits > (a.version == 4 ? 32 : 128)))
		return ERR_MALFORMED;
	bits += a.version == 4 ? 96 : 0;
	m->subnet.version = a.version;
	m->subnet.mask_high = mask_of((unsigned)bits);
	m->subnet.mask_low = bits > 64 ? mask_of((unsigned)bits - 64) : 0;
	m->subnet.high = word_of(a.b) & m->subnet.mask_high;
	m->subnet.low = word_of(a.b + 8) & m->subnet.mask_low;
	return 0;
}

/* "443/tcp"; a number alone is of any protocol that has ports. */
static int parse_port(const char *text, union match *m)
{
	char copy[32];
	uint64_t number;
	char *slash;

	if (strlen(text) >= sizeof(copy))
		return ERR_MALFORMED;
	strcpy(copy, text);
	slash = strchr(copy, '/');
	if (slash)
		*slash++ = '\0';
	if (text_to_uint(copy, &number) < 0 || number > 65535)
		return ERR_MALFORMED;
	m->port = (struct port){ .number = (uint16_t)number };
	if (!slash)
		return 0;
	m->port.protocol = strcasecmp(slash, "tcp") == 0    ? IP_TCP
			   : strcasecmp(slash, "udp") == 0  ? IP_UDP
			   : strcasecmp(slash, "sctp") == 0 ? IP_SCTP
							    : 0;
	return m->port.protocol ? 0 : ERR_MALFORMED;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "0A:1b:…", also with "-" or nothing between the bytes. */
static int parse_mac(const char *text, union match *m)
{
	for (int i = 0; i < MAC; i++) {
		int high, low;

		if (i && (*text == ':' || *text == '-'))
			text++;
		high = hex_digit(text[0]);
		low = high < 0 ? -1 : hex_digit(text[1]);
		if (low < 0)
			return ERR_MALFORMED;
		m->mac[i] = (uint8_t)(high << 4 | low);
		text += 2;
	}
	return *text ? ERR_MALFORMED : 0;
}

static int parse_asn(const char *text, union match *m)
{
	uint64_t v;

	if (strncasecmp(text, "as", 2) == 0)
		text += 2;
	if (text_to_uint(text, &v) < 0 || v > UINT32_MAX)
		return ERR_MALFORMED;
	m->asn = (uint32_t)v;
	return 0;
}

/* Wrong in every link type: tell it now and not at the first packet. */
static int parse_raw(const struct reading *r, const struct yaml_node *n,
		     union match *m)
{
	struct err err = ERR_NONE;
	struct expression *e = expression_new(n->text, 1, &err);

	if (!e)
		return yamltree_error(r->doc, n, r->err, "%s", err.text);
	expression_free(e);
	m->raw = (struct raw){ .text = n->text };
	return 0;
}

static int parse_match(const struct reading *r, enum kind kind,
		       const struct yaml_node *n, union match *m)
{
	static const char *const like[] = {
		[SUBNET] = "a network such as 10.0.0.0/8 or 2001:db8::/32",
		[PORT] = "a port such as 443/tcp",
		[ETHER] = "an address such as 00:1b:21:3c:9d:f8",
		[ASN] = "an AS number such as 64500",
		[RAW] = "an expression",
	};
	int rc = ERR_MALFORMED;

	if (n->kind == YAML_TEXT && kind == RAW)
		return parse_raw(r, n, m);
	if (n->kind == YAML_TEXT)
		rc = kind == SUBNET  ? parse_subnet(n->text, m)
		     : kind == PORT  ? parse_port(n->text, m)
		     : kind == ETHER ? parse_mac(n->text, m)
				     : parse_asn(n->text, m);
	if (rc < 0)
		return yamltree_error(r->doc, n, r->err,
				      "%s is expected, not "
				      "\"%.60s\"",
				      like[kind], n->text ? n->text : "a list");
	return 0;
}

/* -- the file ------------------------------------------------------------- */

static int read_matches(const struct reading *r, const struct yaml_node *list,
			struct condition *c)
{
	size_t n = 0;

	if (list->kind != YAML_LIST)
		return yamltree_error(r->doc, list, r->err,
				      "match is a list, such as [10.0.0.0/8]");
	for (const struct yaml_node *m = list->first; m; m = m->next)
		n++;
	if (n == 0 || n > MATCHES_MAX)
		return yamltree_error(
			r->doc, list, r->err,
			"match has %zu elements; 1 to %d are taken", n,
			MATCHES_MAX);
	c->matches = mem_array(n, sizeof(*c->matches));
	for (const struct yaml_node *m = list->first; m; m = m->next) {
		if (parse_match(r, c->kind, m, &c->matches[c->n]) < 0)
			return r->err->code;
		c->n++;
	}
	return 0;
}

static int read_kind(const struct reading *r, const struct yaml_node *n,
		     struct condition *c)
{
	for (int i = 0; i < KINDS && n->kind == YAML_TEXT; i++)
		if (strcasecmp(n->text, kind_names[i]) == 0) {
			c->kind = (enum kind)i;
			if (c->kind == ASN && !r->rules->asn)
				return yamltree_error(
					r->doc, n, r->err,
					"a condition on AS numbers needs "
					"--maxmind-asn FILE");
			return 0;
		}
	return yamltree_error(r->doc, n, r->err,
			      "kind is subnet, port, ether, asn or raw, not "
			      "\"%.60s\"",
			      n->text ? n->text : "a list");
}

static int read_negate(const struct reading *r, const struct yaml_node *n,
		       struct condition *c)
{
	static const char *const yes[] = { "true", "yes", "on", NULL };
	static const char *const no[] = { "false", "no", "off", NULL };

	for (int i = 0; n->kind == YAML_TEXT && yes[i]; i++) {
		if (strcasecmp(n->text, yes[i]) == 0) {
			c->negate = true;
			return 0;
		}
		if (strcasecmp(n->text, no[i]) == 0)
			return 0;
	}
	return yamltree_error(r->doc, n, r->err, "negate is true or false");
}

static int read_condition(const struct reading *r, const struct yaml_node *map,
			  struct condition *c)
{
	const struct yaml_node *kind = NULL, *match = NULL;

	for (const struct yaml_node *n = map->first; n; n = n->next) {
		if (!n->key)
			break;
		if (strcmp(n->key, "kind") == 0) {
			kind = n;
		} else if (strcmp(n->key, "match") == 0) {
			match = n;
		} else if (strcmp(n->key, "negate") == 0) {
			if (read_negate(r, n, c) < 0)
				return r->err->code;
		} else {
			return yamltree_error(
				r->doc, n, r->err,
				"a condition has kind, negate and "
				"match, and no \"%.60s\"",
				n->key);
		}
	}
	if (!kind || !match)
		return yamltree_error(r->doc, map, r->err,
				      "a condition needs kind and match");
	if (read_kind(r, kind, c) < 0)
		return r->err->code;
	return read_matches(r, match, c);
}

/* It becomes the name of a folder. */
static bool safe_name(const char *name)
{
	return *name && strlen(name) <= RULE_NAME_MAX && !strchr(name, '/') &&
	       strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static const struct yaml_node *conditions_of(const struct yaml_node *rule)
{
	for (const struct yaml_node *n = rule->first; n; n = n->next)
		if (n->key && strcmp(n->key, "conditions") == 0)
			return n;
	return NULL;
}

static int read_rule(const struct reading *r, const struct yaml_node *node,
		     struct rule *rule)
{
	const struct yaml_node *list = conditions_of(node);
	size_t n = 0;

	if (!safe_name(node->key))
		return yamltree_error(
			r->doc, node, r->err,
			"\"%.60s\" cannot be the name of a folder", node->key);
	rule->name = mem_text(node->key);
	if (!list || list->kind != YAML_LIST || !list->first)
		return yamltree_error(
			r->doc, node, r->err,
			"filter \"%s\" needs a list of conditions", rule->name);
	for (const struct yaml_node *c = list->first; c; c = c->next)
		n++;
	rule->conditions = mem_array(n, sizeof(*rule->conditions));
	for (const struct yaml_node *c = list->first; c; c = c->next)
		if (read_condition(r, c, &rule->conditions[rule->n++]) < 0)
			return r->err->code;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct rule *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int read_rules(const struct reading *r)
{
	const struct yaml_node *root = yamltree_root(r->doc);
	struct rules *rules = r->rules;
	size_t n = 0;

	if (root->kind == YAML_MAP)
		for (const struct yaml_node *c = root->first; c; c = c->next)
			n++;
	if (n == 0 || n > RULES_MAX)
		return yamltree_error(r->doc, root, r->err,
				      "1 to %d named filters are expected",
				      RULES_MAX);
	rules->at = mem_array(n, sizeof(*rules->at));
	for (const struct yaml_node *c = root->first; c; c = c->next)
		if (read_rule(r, c, &rules->at[rules->n++]) < 0)
			return r->err->code;
	qsort(rules->at, rules->n, sizeof(*rules->at), by_name);
	for (size_t i = 1; i < rules->n; i++)
		if (strcmp(rules->at[i - 1].name, rules->at[i].name) == 0)
			return yamltree_error(r->doc, root, r->err,
					      "filter \"%s\" is there twice",
					      rules->at[i].name);
	return 0;
}

struct rules *rules_new(const struct yaml_doc *doc, struct asn *asn,
			struct err *err)
{
	struct rules *rules = mem_alloc(sizeof(*rules));
	struct reading r = { .doc = doc, .rules = rules, .err = err };

	rules->asn = asn;
	if (read_rules(&r) == 0)
		return rules;
	rules_free(rules);
	return NULL;
}

static void free_condition(struct condition *c)
{
	for (size_t i = 0; i < c->n && c->kind == RAW; i++)
		for (int k = 0; k < c->matches[i].raw.n; k++)
			expression_free(c->matches[i].raw.compiled[k]);
	free(c->matches);
}

void rules_free(struct rules *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++) {
		for (size_t k = 0; k < r->at[i].n; k++)
			free_condition(&r->at[i].conditions[k]);
		free(r->at[i].conditions);
		free(r->at[i].name);
	}
	free(r->at);
	free(r);
}

size_t rules_count(const struct rules *r)
{
	return r->n;
}

const char *rules_name(const struct rules *r, size_t i)
{
	return r->at[i].name;
}

/* -- packets -------------------------------------------------------------- */

static bool in_subnet(const struct subnet *s, const struct address *a)
{
	return a->version == s->version &&
	       (word_of(a->b) & s->mask_high) == s->high &&
	       (word_of(a->b + 8) & s->mask_low) == s->low;
}

static bool is_port(const struct port *p, const struct decoded *d)
{
	if (d->status != DECODE_OK ||
	    (d->protocol != IP_TCP && d->protocol != IP_UDP &&
	     d->protocol != IP_SCTP))
		return false;
	return (!p->protocol || p->protocol == d->protocol) &&
	       (p->number == d->src_port || p->number == d->dst_port);
}

static bool is_mac(const uint8_t mac[MAC], const struct rules_packet *p)
{
	const struct bytes *b = &p->packet->data;

	return p->linktype == 1 && b->len >= 2 * MAC &&
	       (memcmp(b->p, mac, MAC) == 0 ||
		memcmp(b->p + MAC, mac, MAC) == 0);
}

static bool is_asn(struct rules *r, uint32_t number, const struct decoded *d)
{
	return asn_of(r->asn, &d->src) == number ||
	       asn_of(r->asn, &d->dst) == number;
}

static int is_raw(struct raw *raw, const struct rules_packet *p,
		  struct err *err)
{
	int i = 0;

	while (i < raw->n && raw->linktype[i] != p->linktype)
		i++;
	if (i == LINKTYPES_MAX)
		return err_set(err, ERR_LIMIT,
			       "\"%s\" over more than %d link types", raw->text,
			       LINKTYPES_MAX);
	if (i == raw->n) {
		struct expression *e =
			expression_new(raw->text, p->linktype, err);

		if (!e)
			return err->code;
		raw->linktype[i] = p->linktype;
		raw->compiled[i] = e;
		raw->n++;
	}
	return expression_matches(raw->compiled[i], p->packet);
}

static bool has_addresses(const struct decoded *d)
{
	return (d->status == DECODE_OK || d->status == DECODE_FRAGMENT ||
		d->status == DECODE_CUT) &&
	       d->src.version && d->src.version == d->dst.version;
}

static int one_match(struct rules *r, enum kind kind, union match *m,
		     const struct rules_packet *p, struct err *err)
{
	const struct decoded *d = p->decoded;

	switch (kind) {
	case SUBNET:
		return has_addresses(d) && (in_subnet(&m->subnet, &d->src) ||
					    in_subnet(&m->subnet, &d->dst));
	case PORT:
		return is_port(&m->port, d);
	case ETHER:
		return is_mac(m->mac, p);
	case ASN:
		return has_addresses(d) && is_asn(r, m->asn, d);
	case RAW:
		return is_raw(&m->raw, p, err);
	case KINDS:
		break;
	}
	return 0;
}

static int one_condition(struct rules *r, struct condition *c,
			 const struct rules_packet *p, struct err *err)
{
	int hit = 0;

	for (size_t i = 0; i < c->n && !hit; i++)
		hit = one_match(r, c->kind, &c->matches[i], p, err);
	return hit < 0 ? hit : hit != c->negate;
}

int rules_take(struct rules *r, size_t i, const struct rules_packet *p,
	       struct err *err)
{
	struct rule *rule = &r->at[i];
	int hit = 1;

	for (size_t k = 0; k < rule->n && hit == 1; k++)
		hit = one_condition(r, &rule->conditions[k], p, err);
	return hit;
}
