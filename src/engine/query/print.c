/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print.c - a query in one spelling, which parses into the same query.
 */
#include "engine/query/query_priv.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

static void put_quoted(struct buf *b, const char *text)
{
	put_u8(b, '"');
	for (; *text; text++) {
		uint8_t c = (uint8_t)*text;

		if (c == '"' || c == '\\')
			put_format(b, "\\%c", c);
		else if (c < ' ' || c >= 0x7f)
			put_format(b, "\\x%02x", c);
		else
			put_u8(b, c);
	}
	put_u8(b, '"');
}

static void put_regex(struct buf *b, const char *text)
{
	put_u8(b, '/');
	for (; *text; text++) {
		if (*text == '/')
			put_u8(b, '\\');
		put_u8(b, (uint8_t)*text);
		/* What stands behind a backslash is its own already. */
		if (*text == '\\' && text[1])
			put_u8(b, (uint8_t)*++text);
	}
	put_u8(b, '/');
}

static void put_like(struct buf *b, const char *text)
{
	for (; *text; text++) {
		if (*text == '\\' && text[1])
			put_u8(b, (uint8_t)*++text);
		else
			put_u8(b, *text == '%' ? '*' : (uint8_t)*text);
	}
}

static void put_number(struct buf *b, enum query_type type, uint64_t v)
{
	if (type == QUERY_TIME)
		put_format(b, "@%" PRIu64 ".%09" PRIu64, v / 1000000000,
			   v % 1000000000);
	else if (type == QUERY_DURATION)
		put_format(b, "%" PRIu64 "ns", v);
	else
		put_format(b, "%" PRIu64, v);
}

static void put_range(struct buf *b, enum query_type type,
		      const struct query_value *v)
{
	if (type == QUERY_HEX) {
		put_format(b, "%016" PRIx64, v->lo);
		return;
	}
	put_number(b, type, v->lo);
	if (v->hi == v->lo && type != QUERY_TIME)
		return;
	put_text(b, "..");
	if (v->hi != UINT64_MAX)
		put_number(b, type, v->hi);
}

static void put_net(struct buf *b, const struct query_value *v)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	char text[INET6_ADDRSTRLEN];
	bool v4 = v->bits >= 96 && memcmp(v->net, mapped, 12) == 0;

	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? v->net + 12 : v->net, text,
		  sizeof(text));
	put_format(b, "%s/%d", text, v->bits - (v4 ? 96 : 0));
}

static void put_value(struct buf *b, const struct query_key *key,
		      const struct query_value *v)
{
	switch (v->how) {
	case QUERY_RANGE:
		put_range(b, key->type, v);
		break;
	case QUERY_IN_NET:
		put_net(b, v);
		break;
	case QUERY_EQUAL:
	case QUERY_HOLDS:
		put_quoted(b, v->text);
		break;
	case QUERY_LIKE:
		put_like(b, v->text);
		break;
	case QUERY_REGEX:
		put_regex(b, v->text);
		break;
	case QUERY_IS:
		put_text(b, v->word->name);
		break;
	}
}

/* Values that need another operator stand apart. */
static char operator_for(const struct query_value *v)
{
	if (v->how == QUERY_HOLDS || v->how == QUERY_REGEX)
		return '~';
	return v->how == QUERY_RANGE && v->lo > v->hi ? '<' : ':';
}

static void put_test(const struct query *q, const struct query_node *n,
		     struct buf *b)
{
	char last = '\0';

	if (n->n_values > 1)
		put_u8(b, '(');
	for (uint32_t i = 0; i < n->n_values; i++) {
		const struct query_value *v = &q->values[n->value + i];
		char op = operator_for(v);

		put_format(b, "%s%s%c", last ? " or " : "", n->key->name, op);
		if (op == '<')
			put_u8(b, '0');
		else
			put_value(b, n->key, v);
		last = op;
	}
	if (n->n_values > 1)
		put_u8(b, ')');
}

static void put_term(const struct query *q, const struct query_node *n,
		     struct buf *b)
{
	const struct query_term *t = &q->terms[n->term];

	put_format(b, "%s:", n->key->name);
	if (t->regex)
		put_regex(b, t->text);
	else
		put_format(b, "x\"%s\"", t->text);
}

static void put_node(const struct query *q, uint32_t at, struct buf *b)
{
	static const char *const between[] = { [QUERY_AND] = " ",
					       [QUERY_OR] = " or ",
					       [QUERY_THEN] = " then " };
	const struct query_node *n = &q->nodes[at];

	switch (n->kind) {
	case QUERY_TEST:
		put_test(q, n, b);
		return;
	case QUERY_TERM:
		put_term(q, n, b);
		return;
	case QUERY_NOT:
		put_u8(b, '-');
		put_node(q, n->first, b);
		return;
	default:
		break;
	}
	put_u8(b, '(');
	for (uint32_t c = n->first; c; c = q->nodes[c].next) {
		if (c != n->first)
			put_text(b, between[n->kind]);
		put_node(q, c, b);
	}
	put_u8(b, ')');
}

void query_print(const struct query *q, struct buf *to)
{
	if (q->root)
		put_node(q, q->root, to);
	if (q->sort)
		put_format(to, "%ssort:%s%s", to->len ? " " : "",
			   q->sort_up ? "-" : "", q->sort->name);
	if (q->limit)
		put_format(to, "%slimit:%" PRIu64, to->len ? " " : "",
			   q->limit);
}
