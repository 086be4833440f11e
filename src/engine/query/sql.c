/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sql.c - conditions on rows, for SQLite.
 *
 * Only the table of keys and numbers of parameters get into the text; what
 * people wrote is bound.  Deep down in the tree, and where the payload
 * decides, there is NULL: the rows that SQLite leaves out are surely none, and
 * of the others each TEST is a column, out of which verdict.c decides.
 */
#include "engine/query/query_priv.h"

#include <arpa/inet.h>
#include <sqlite3.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/decode.h"

/* SQLite's parser has a stack of a hundred places. */
enum { DEEP = 8 };

static void put_value(struct buf *b, const struct query_key *key,
		      const struct query_value *v, uint32_t at, int sql)
{
	const char *e = key->sql[sql];
	unsigned n = 2 * at + 1;

	switch (v->how) {
	case QUERY_RANGE:
		if (key->type == QUERY_HEX)
			put_format(b, "(%s)=?%u", e, n);
		else
			put_format(b, "(%s) BETWEEN ?%u AND ?%u", e, n, n + 1);
		break;
	case QUERY_IN_NET:
		if (v->bits == 128)
			put_format(b, "(%s)=?%u", e, n);
		else
			put_format(b, "weir_in_net(%s,?%u,?%u)", e, n, n + 1);
		break;
	case QUERY_EQUAL:
		put_format(b, "(%s)=?%u COLLATE NOCASE", e, n);
		break;
	case QUERY_LIKE:
	case QUERY_HOLDS:
		put_format(b, "(%s) LIKE ?%u ESCAPE '\\'", e, n);
		break;
	case QUERY_REGEX:
		put_format(b, "weir_regex(?%u,%s)", n, e);
		break;
	case QUERY_IS:
		put_format(b, "(%s)", v->word->sql);
		break;
	}
}

static void put_values(struct buf *b, const struct query *q,
		       const struct query_node *n, int sql)
{
	for (uint32_t i = 0; i < n->n_values; i++) {
		uint32_t at = n->value + i;

		put_text(b, i ? " OR " : "(");
		put_value(b, n->key, &q->values[at], at, sql);
	}
	put_text(b, ")");
}

/* True or false, never NULL: a row without a value does not hold. */
static void put_test(struct buf *b, const struct query *q,
		     const struct query_node *n)
{
	const struct query_key *key = n->key;

	if (key->inside)
		put_format(b, "EXISTS(SELECT 1 FROM %s AND ", key->inside);
	put_text(b, "((");
	put_values(b, q, n, 0);
	if (key->sql[1]) {
		put_text(b, " OR ");
		put_values(b, q, n, 1);
	}
	put_text(b, ") IS TRUE)");
	if (key->inside)
		put_text(b, ")");
}

static void put_node(struct buf *b, const struct query *q, uint32_t at,
		     int deep)
{
	const struct query_node *n = &q->nodes[at];

	if (n->kind == QUERY_TERM || n->kind == QUERY_THEN || deep == DEEP) {
		put_text(b, "NULL");
	} else if (n->kind == QUERY_TEST) {
		put_test(b, q, n);
	} else if (n->kind == QUERY_NOT) {
		put_text(b, "(NOT ");
		put_node(b, q, n->first, deep + 1);
		put_text(b, ")");
	} else {
		put_text(b, "(");
		for (uint32_t c = n->first; c; c = q->nodes[c].next) {
			if (c != n->first)
				put_text(b, n->kind == QUERY_AND ? " AND "
								 : " OR ");
			put_node(b, q, c, deep + 1);
		}
		put_text(b, ")");
	}
}

void query_sql_make(const struct query *q, struct query_sql *sql)
{
	*sql = (struct query_sql){ .n_bound = (int)(2 * q->n_values) };
	if (q->root)
		put_node(&sql->where, q, q->root, 0);
	else
		put_text(&sql->where, "1");
	put_u8(&sql->where, 0);
	for (uint32_t i = 1; i <= q->n_nodes; i++) {
		if (q->nodes[i].kind != QUERY_TEST)
			continue;
		put_text(&sql->tests, ",");
		put_test(&sql->tests, q, &q->nodes[i]);
		sql->n_tests++;
	}
	put_u8(&sql->tests, 0);
}

void query_sql_release(struct query_sql *sql)
{
	buf_release(&sql->where);
	buf_release(&sql->tests);
}

/* -- binding ------------------------------------------------------------------- */

static void bind_number(sqlite3_stmt *st, int at, uint64_t v)
{
	sqlite3_bind_int64(st, at, v > INT64_MAX ? INT64_MAX : (int64_t)v);
}

/* The text somewhere inside, as LIKE's pattern. */
static void bind_holds(sqlite3_stmt *st, int at, const char *text)
{
	struct buf b = { 0 };

	put_u8(&b, '%');
	for (; *text; text++) {
		if (strchr("%_\\", *text))
			put_u8(&b, '\\');
		put_u8(&b, (uint8_t)*text);
	}
	put_u8(&b, '%');
	sqlite3_bind_text(st, at, (const char *)b.p, (int)b.len,
			  SQLITE_TRANSIENT);
	buf_release(&b);
}

static void bind_net(sqlite3_stmt *st, int at, const struct query_value *v)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct address one = { .version = 6 };
	char text[ADDRESS_TEXT];

	/* As the store spells it. */
	if (v->bits == 128) {
		if (memcmp(v->net, mapped, 12) == 0)
			one.version = 4;
		memcpy(one.b, v->net, sizeof(one.b));
		sqlite3_bind_text(st, at, address_text(text, &one), -1,
				  SQLITE_TRANSIENT);
		return;
	}
	sqlite3_bind_blob(st, at, v->net, sizeof(v->net), SQLITE_STATIC);
	sqlite3_bind_int(st, at + 1, v->bits);
}

static void bind_value(sqlite3_stmt *st, int at, const struct query_value *v,
		       bool hex)
{
	switch (v->how) {
	case QUERY_RANGE:
		if (hex) {
			sqlite3_bind_int64(st, at, (int64_t)v->lo);
			break;
		}
		bind_number(st, at, v->lo);
		bind_number(st, at + 1, v->hi);
		break;
	case QUERY_IN_NET:
		bind_net(st, at, v);
		break;
	case QUERY_HOLDS:
		bind_holds(st, at, v->text);
		break;
	case QUERY_EQUAL:
	case QUERY_LIKE:
	case QUERY_REGEX:
		sqlite3_bind_text(st, at, v->text, -1, SQLITE_STATIC);
		break;
	case QUERY_IS:
		break;
	}
}

void query_sql_bind(const struct query *q, sqlite3_stmt *st)
{
	for (uint32_t i = 1; i <= q->n_nodes; i++) {
		const struct query_node *n = &q->nodes[i];

		if (n->kind != QUERY_TEST)
			continue;
		for (uint32_t k = n->value; k < n->value + n->n_values; k++)
			bind_value(st, (int)(2 * k + 1), &q->values[k],
				   n->key->type == QUERY_HEX);
	}
}

/* -- functions ---------------------------------------------------------------------- */

static bool address_of(const char *text, uint8_t out[16])
{
	memset(out, 0, 16);
	if (inet_pton(AF_INET, text, out + 12) == 1) {
		out[10] = out[11] = 0xff;
		return true;
	}
	return inet_pton(AF_INET6, text, out) == 1;
}

/* weir_in_net(address, net, bits) */
static void in_net(sqlite3_context *c, int n, sqlite3_value **args)
{
	const char *text = (const char *)sqlite3_value_text(args[0]);
	const uint8_t *net = sqlite3_value_blob(args[1]);
	int bits = sqlite3_value_int(args[2]);
	uint8_t address[16];
	int whole = bits / 8, rest = bits % 8;
	bool in = text && net && address_of(text, address) &&
		  memcmp(address, net, (size_t)whole) == 0;

	(void)n;
	if (in && rest)
		in = (address[whole] ^ net[whole]) >> (8 - rest) == 0;
	sqlite3_result_int(c, in);
}

static void free_regex(void *arg)
{
	query_regex_free(arg);
}

/* weir_regex(expression, text); an expression is compiled once a statement. */
static void finds(sqlite3_context *c, int n, sqlite3_value **args)
{
	struct query_regex *r = sqlite3_get_auxdata(c, 0);
	const void *text = sqlite3_value_blob(args[1]);
	size_t len = (size_t)sqlite3_value_bytes(args[1]);
	struct query_regex *fresh = NULL;

	(void)n;
	if (!r)
		r = fresh = query_regex_new(
			(const char *)sqlite3_value_text(args[0]), NULL);
	sqlite3_result_int(
		c, r && sqlite3_value_type(args[1]) != SQLITE_NULL &&
			   query_regex_finds(r, bytes_of(text, len)));
	if (fresh)
		sqlite3_set_auxdata(c, 0, fresh, free_regex);
}

int query_sql_functions(sqlite3 *db, struct err *err)
{
	const int how = SQLITE_UTF8 | SQLITE_DETERMINISTIC;

	if (sqlite3_create_function(db, "weir_in_net", 3, how, NULL, in_net,
				    NULL, NULL) != SQLITE_OK ||
	    sqlite3_create_function(db, "weir_regex", 2, how, NULL, finds, NULL,
				    NULL) != SQLITE_OK)
		return err_set(err, ERR_FAILED, "%s", sqlite3_errmsg(db));
	return 0;
}
