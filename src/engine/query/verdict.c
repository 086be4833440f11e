/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verdict.c - the tree, with three answers: yes, no, not known yet.
 */
#include "engine/query/search_priv.h"

static enum verdict of_term(const struct query_node *n,
			    const struct knowledge *k)
{
	if (k->found[n->term] & n->key->side)
		return YES;
	return k->all ? NO : OPEN;
}

static enum verdict of_node(const struct query *q, uint32_t at,
			    const struct candidate *c,
			    const struct knowledge *k);

/* AND: a NO decides; OR: a YES decides. */
static enum verdict of_list(const struct query *q, const struct query_node *n,
			    enum verdict decides, const struct candidate *c,
			    const struct knowledge *k)
{
	enum verdict all = decides == NO ? YES : NO;

	for (uint32_t child = n->first; child; child = q->nodes[child].next) {
		enum verdict v = of_node(q, child, c, k);

		if (v == decides)
			return v;
		if (v == OPEN)
			all = OPEN;
	}
	return all;
}

static enum verdict of_node(const struct query *q, uint32_t at,
			    const struct candidate *c,
			    const struct knowledge *k)
{
	const struct query_node *n = &q->nodes[at];
	enum verdict v;

	switch (n->kind) {
	case QUERY_TEST:
		return c->tests[at / 64] >> (at % 64) & 1 ? YES : NO;
	case QUERY_TERM:
		return of_term(n, k);
	case QUERY_THEN:
		return k->then[at];
	case QUERY_NOT:
		v = of_node(q, n->first, c, k);
		return v == OPEN ? OPEN : v == YES ? NO : YES;
	case QUERY_AND:
		return of_list(q, n, NO, c, k);
	case QUERY_OR:
		return of_list(q, n, YES, c, k);
	}
	return NO;
}

enum verdict verdict_of(const struct query *q, const struct candidate *c,
			const struct knowledge *k)
{
	return q->root ? of_node(q, q->root, c, k) : YES;
}
