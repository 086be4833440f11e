/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query_priv.h - the tree, the table of keys, and what turns them into SQL.
 */
#ifndef ENGINE_QUERY_QUERY_PRIV_H
#define ENGINE_QUERY_QUERY_PRIV_H

#include "base/buf.h"
#include "base/err.h"
#include "engine/query/query.h"

/* -- keys.c -------------------------------------------------------------------- */

enum query_type {
	QUERY_NUMBER,
	QUERY_SIZE,
	QUERY_DURATION,
	QUERY_TIME,
	QUERY_HEX, /* up to 16 digits */
	QUERY_NET, /* an address, with or without /BITS */
	QUERY_TEXT,
	QUERY_WORD, /* one of a few; each has its own SQL */
	QUERY_PAYLOAD,
	QUERY_SORT,
	QUERY_LIMIT
};

struct query_word {
	const char *name;
	const char *sql;
};

/* Whose payload. */
enum query_side { QUERY_CLIENT = 1, QUERY_SERVER = 2, QUERY_BOTH = 3 };

/*
 * One row a key.  A condition holds where it holds for sql[0] or sql[1]; the
 * stream's row is called s.  `inside` names the rows of another table.
 */
struct query_key {
	const char *name, *also;
	enum query_type type;
	const char *sql[2];
	const char *inside; /* "tags t WHERE t.stream=s.id", or NULL */
	const struct query_word *words;
	enum query_side side;
	const char *about;
};

extern const struct query_key query_keys[]; /* ends with a NULL name */
const struct query_key *query_key_find(const char *name);
/* The nearest right spelling, or NULL where nothing is near. */
const char *query_key_nearest(const char *name);
const struct query_word *query_word_find(const struct query_word *words,
					 const char *name);
const char *query_word_nearest(const struct query_word *words,
			       const char *name);

/* -- value.c --------------------------------------------------------------------- */

enum query_how {
	QUERY_RANGE, /* lo to hi, both included */
	QUERY_IN_NET,
	QUERY_EQUAL, /* a text, whatever the case */
	QUERY_LIKE,  /* with % for any run of characters, \ before others */
	QUERY_HOLDS, /* the text somewhere inside */
	QUERY_REGEX,
	QUERY_IS     /* a word */
};

struct query_value {
	enum query_how how;
	uint64_t lo, hi;
	uint8_t net[16]; /* IPv4 behind ::ffff:0:0/96 */
	uint8_t bits;	 /* of those 128 */
	char *text;	 /* owned */
	const struct query_word *word;
};

/* As lo..hi; `op` is one of ':' '<' '>' 'l' (<=) 'g' (>=). */
int query_range_read(enum query_type type, char op, const char *text,
		     uint64_t now_ns, struct query_value *v, struct err *err);
int query_net_read(const char *text, struct query_value *v, struct err *err);

/* -- the tree -------------------------------------------------------------------- */

enum query_kind {
	QUERY_AND,
	QUERY_OR,
	QUERY_NOT,
	QUERY_TEST, /* a condition on rows */
	QUERY_TERM, /* something in the payload */
	QUERY_THEN  /* children are terms, or an OR of terms */
};

/* Children are a list: first, then next of each.  0 is no node. */
struct query_node {
	enum query_kind kind;
	uint32_t first, next;
	const struct query_key *key; /* TEST, TERM */
	uint32_t value, n_values;    /* TEST */
	uint32_t term;		     /* TERM */
};

/* Something to look for; the same one in two places is one term. */
struct query_term {
	bool regex;
	char *text; /* owned; a regex, or hexadecimal digits */
};

struct query {
	char *text; /* owned */
	struct query_node nodes[QUERY_NODES_MAX + 1];
	uint32_t n_nodes; /* the first one is at 1 */
	uint32_t root;	  /* 0: every stream */
	struct query_value values[QUERY_VALUES_MAX];
	uint32_t n_values;
	struct query_term terms[QUERY_TERMS_MAX];
	uint32_t n_terms, n_thens;
	const struct query_word *sort;
	bool sort_up;
	uint64_t limit;
};

/* -- sql.c ------------------------------------------------------------------------ */

struct sqlite3;
struct sqlite3_stmt;

/*
 * The conditions on rows as SQL; what the payload decides is NULL there, and
 * SQL's own logic of three values carries it upwards.  Values are ?1, ?2, …
 */
struct query_sql {
	struct buf where; /* of the whole tree; "1" where it is empty */
	struct buf tests; /* ",(…)" for each TEST, in the order of nodes */
	int n_tests;
	int n_bound; /* parameters used */
};
void query_sql_make(const struct query *q, struct query_sql *sql);
void query_sql_release(struct query_sql *sql);

/* Functions that the SQL calls; 0 or ERR_FAILED. */
int query_sql_functions(struct sqlite3 *db, struct err *err);
void query_sql_bind(const struct query *q, struct sqlite3_stmt *st);

/* -- regex.c ----------------------------------------------------------------------- */

/* As the pattern library reads them: bytes, not characters. */
struct query_regex;
struct query_regex *query_regex_new(const char *text, struct err *err);
void query_regex_free(struct query_regex *r);
bool query_regex_finds(struct query_regex *r, struct bytes in);

#endif
