/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse.c - from a text to the tree, by recursive descent.
 *
 *	query   = either
 *	either  = both { "or" both }
 *	both    = not { ["and"] not }
 *	not     = ( "-" | "not" ) not | order
 *	order   = one { "then" one }
 *	one     = "(" either ")" | key op value { "," value } | payload
 *
 * The depth is counted in the two places that recurse.  After the first
 * failure everything returns 0, and the sentence of the first one stands.
 */
#include "engine/query/query_priv.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/mem.h"

enum { KEY_MAX = 32, NOTHING = QUERY_NODES_MAX + 1 };

struct parser {
	struct query *q;
	const char *text;
	size_t at, len;
	uint64_t now_ns;
	int depth;
	struct query_place *place;
	struct err *err;
};

/* -- failing -------------------------------------------------------------------- */

static uint32_t fail(struct parser *p, size_t at, size_t len, const char *fmt,
		     ...) __attribute__((format(printf, 4, 5)));

static uint32_t fail(struct parser *p, size_t at, size_t len, const char *fmt,
		     ...)
{
	char words[ERR_TEXT];
	va_list ap;

	if (p->err->code)
		return 0;
	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	*p->place = (struct query_place){ at, len };
	err_set(p->err, ERR_USAGE, "at character %zu: %s", at + 1, words);
	return 0;
}

/* The sentence is there; say where. */
static uint32_t failed(struct parser *p, size_t at, size_t len)
{
	*p->place = (struct query_place){ at, len };
	err_within(p->err, "at character %zu", at + 1);
	return 0;
}

/* -- the tree --------------------------------------------------------------------- */

static uint32_t add_node(struct parser *p, enum query_kind kind)
{
	struct query *q = p->q;

	if (q->n_nodes == QUERY_NODES_MAX)
		return fail(p, p->at, 0, "more than %d conditions",
			    QUERY_NODES_MAX);
	q->nodes[++q->n_nodes] = (struct query_node){ .kind = kind };
	return q->n_nodes;
}

static struct query_value *add_value(struct parser *p)
{
	if (p->q->n_values == QUERY_VALUES_MAX) {
		fail(p, p->at, 0, "more than %d values", QUERY_VALUES_MAX);
		return NULL;
	}
	return &p->q->values[p->q->n_values++];
}

/* A list of children that grows at its end. */
struct children {
	uint32_t first, last, n;
};

static void add_child(struct parser *p, struct children *c, uint32_t child)
{
	if (!child || child == NOTHING)
		return;
	if (c->last)
		p->q->nodes[c->last].next = child;
	else
		c->first = child;
	c->last = child;
	c->n++;
}

/* One child needs nobody above it. */
static uint32_t above(struct parser *p, enum query_kind kind,
		      const struct children *c)
{
	uint32_t node;

	if (c->n < 2)
		return c->first;
	node = add_node(p, kind);
	if (node)
		p->q->nodes[node].first = c->first;
	return node;
}

/* -- characters --------------------------------------------------------------------- */

static char peek(const struct parser *p)
{
	return p->at < p->len ? p->text[p->at] : '\0';
}

static void skip_blanks(struct parser *p)
{
	while (p->at < p->len && isspace((unsigned char)p->text[p->at]))
		p->at++;
}

static bool in_key(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '.';
}

/* How long the word at `at` is, if it could be a key. */
static size_t word_len(const struct parser *p)
{
	size_t n = 0;

	if (!isalpha((unsigned char)peek(p)))
		return 0;
	while (p->at + n < p->len && in_key(p->text[p->at + n]))
		n++;
	return n;
}

/* A connecting word stands alone: "or:" would be a key. */
static bool at_word(const struct parser *p, const char *word)
{
	size_t n = word_len(p);
	char behind = p->at + n < p->len ? p->text[p->at + n] : ' ';

	return n == strlen(word) && strncasecmp(p->text + p->at, word, n) == 0 &&
	       (isspace((unsigned char)behind) || strchr("()\"/-", behind));
}

static bool take_word(struct parser *p, const char *word)
{
	skip_blanks(p);
	if (!at_word(p, word))
		return false;
	p->at += strlen(word);
	skip_blanks(p);
	return true;
}

/* -- values --------------------------------------------------------------------------- */

enum spelling { BARE, QUOTED, REGEX, HEXED };

struct word {
	enum spelling how;
	size_t at, len; /* in the text, with its quotes */
	struct buf bytes;
};

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Behind a backslash inside of quotes. */
static void take_escape(struct parser *p, struct word *w)
{
	static const char from[] = "ntr0\\\"*", to[] = "\n\t\r\0\\\"*";
	char c = peek(p);
	const char *known = c ? strchr(from, c) : NULL;
	int high, low;

	if (known) {
		p->at++;
		put_u8(&w->bytes, (uint8_t)to[known - from]);
		return;
	}
	high = c == 'x' && p->at + 2 < p->len ? hex_digit(p->text[p->at + 1])
					      : -1;
	low = high >= 0 ? hex_digit(p->text[p->at + 2]) : -1;
	if (low < 0) {
		fail(p, p->at - 1, 2,
		     "a backslash in quotes stands before n, t, r, 0, \\, \" or "
		     "as \\x41");
		return;
	}
	put_u8(&w->bytes, (uint8_t)(high << 4 | low));
	p->at += 3;
}

/* Up to the closing mark; the opening one has been taken. */
static bool take_quoted(struct parser *p, struct word *w)
{
	while (p->at < p->len && peek(p) != '"' && !p->err->code) {
		char c = p->text[p->at++];

		if (c == '\\')
			take_escape(p, w);
		else
			put_u8(&w->bytes, (uint8_t)c);
	}
	if (p->at == p->len)
		fail(p, w->at, p->len - w->at, "a quote is never closed");
	p->at++;
	return !p->err->code;
}

static bool take_hex(struct parser *p, struct word *w)
{
	int high = -1;

	for (; p->at < p->len && peek(p) != '"'; p->at++) {
		int digit = hex_digit(peek(p));

		if (high < 0 && strchr(" :-_,\t\n", peek(p)))
			continue;
		if (digit < 0) {
			fail(p, p->at, 1, "\"%c\" is no hexadecimal digit",
			     peek(p));
			return false;
		}
		if (high >= 0)
			put_u8(&w->bytes, (uint8_t)(high << 4 | digit));
		high = high < 0 ? digit : -1;
	}
	if (p->at == p->len)
		fail(p, w->at, p->len - w->at, "a quote is never closed");
	else if (high >= 0)
		fail(p, w->at, p->at - w->at,
		     "an odd number of hexadecimal digits");
	p->at++;
	return !p->err->code;
}

/* "/re/is": the letters become the regex's own (?is). */
static bool take_regex(struct parser *p, struct word *w)
{
	size_t letters;
	struct buf all = { 0 };

	while (p->at < p->len && peek(p) != '/') {
		char c = p->text[p->at++];

		if (c == '\\' && p->at < p->len) {
			if (peek(p) != '/')
				put_u8(&w->bytes, (uint8_t)c);
			c = p->text[p->at++];
		}
		put_u8(&w->bytes, (uint8_t)c);
	}
	if (p->at == p->len) {
		fail(p, w->at, p->len - w->at, "a /regex/ is never closed");
		return false;
	}
	letters = ++p->at;
	while (isalnum((unsigned char)peek(p)))
		if (!strchr("ismx", p->text[p->at++])) {
			fail(p, p->at - 1, 1,
			     "behind a /regex/ may stand i, s, m and x");
			return false;
		}
	if (p->at > letters) {
		put_text(&all, "(?");
		put_bytes(&all, bytes_of(p->text + letters, p->at - letters));
		put_text(&all, ")");
		put_bytes(&all, buf_bytes(&w->bytes));
		buf_release(&w->bytes);
		w->bytes = all;
	}
	return true;
}

static void take_bare(struct parser *p, struct word *w, const char *ends)
{
	while (p->at < p->len && !isspace((unsigned char)peek(p)) &&
	       !strchr(ends, peek(p)))
		put_u8(&w->bytes, (uint8_t)p->text[p->at++]);
	if (w->bytes.len == 0)
		fail(p, w->at, 1, "a value is missing here");
	else if (peek(p) == '(' || peek(p) == '"')
		fail(p, p->at, 1,
		     "%c inside of a word: put the whole value in quotes",
		     peek(p));
}

/* Where something in the payload is meant, / begins a regex. */
static bool take_value(struct parser *p, struct word *w, bool slashes,
		       const char *ends)
{
	*w = (struct word){ .at = p->at };
	if (peek(p) == '"') {
		w->how = QUOTED;
		p->at++;
		take_quoted(p, w);
	} else if (slashes && peek(p) == '/') {
		w->how = REGEX;
		p->at++;
		take_regex(p, w);
	} else if (peek(p) == 'x' && p->at + 1 < p->len &&
		   p->text[p->at + 1] == '"') {
		w->how = HEXED;
		p->at += 2;
		take_hex(p, w);
	} else {
		take_bare(p, w, ends);
	}
	w->len = p->at - w->at;
	if (p->err->code) {
		buf_release(&w->bytes);
		return false;
	}
	return true;
}

/* As a C string, which is the caller's; the buffer is empty then. */
static char *text_of(struct word *w)
{
	char *text;

	put_u8(&w->bytes, 0);
	text = (char *)w->bytes.p;
	w->bytes = (struct buf){ 0 };
	return text;
}

/* -- payload ---------------------------------------------------------------------------- */

static char *hex_of(struct bytes b)
{
	struct buf hex = { 0 };

	for (size_t i = 0; i < b.len; i++)
		put_format(&hex, "%02x", b.p[i]);
	put_u8(&hex, 0);
	return (char *)hex.p;
}

/* Takes text. */
static uint32_t find_or_add_term(struct parser *p, bool regex, char *text)
{
	struct query *q = p->q;
	uint32_t i = 0;

	while (i < q->n_terms && (q->terms[i].regex != regex ||
				  strcmp(q->terms[i].text, text) != 0))
		i++;
	if (i < q->n_terms || i == QUERY_TERMS_MAX)
		free(text);
	else
		q->terms[q->n_terms++] = (struct query_term){ regex, text };
	return i;
}

/* What the pattern library takes, it must take in one piece. */
enum { REGEX_MAX = 4096, LITERAL_MAX = 2048 };

/* A wrong one is told with its place, before anything is searched. */
static bool check_regex(struct parser *p, const struct word *w,
			const char *text)
{
	struct query_regex *r = query_regex_new(text, p->err);

	query_regex_free(r);
	if (!r)
		failed(p, w->at, w->len);
	return r;
}

static uint32_t make_term(struct parser *p, const struct query_key *key,
			  struct word *w)
{
	bool regex = w->how == REGEX;
	size_t most = regex ? REGEX_MAX : LITERAL_MAX;
	uint32_t node, term;
	char *text;

	if (!w->bytes.len)
		return fail(p, w->at, w->len,
			    "nothing to look for: it is empty");
	if (w->bytes.len > most)
		return fail(p, w->at, w->len, "longer than %zu bytes", most);
	if (regex && memchr(w->bytes.p, 0, w->bytes.len))
		return fail(p, w->at, w->len, "a zero byte is \\x00 there");
	text = regex ? text_of(w) : hex_of(buf_bytes(&w->bytes));
	if (regex && !check_regex(p, w, text)) {
		free(text);
		return 0;
	}
	term = find_or_add_term(p, regex, text);
	if (term == QUERY_TERMS_MAX)
		return fail(p, w->at, w->len, "more than %d things to look for",
			    QUERY_TERMS_MAX);
	node = add_node(p, QUERY_TERM);
	if (node) {
		p->q->nodes[node].key = key;
		p->q->nodes[node].term = term;
	}
	return node;
}

static uint32_t take_payload(struct parser *p, const struct query_key *key)
{
	struct word w;
	uint32_t node;

	if (!take_value(p, &w, true, "()\""))
		return 0;
	node = make_term(p, key, &w);
	buf_release(&w.bytes);
	return node;
}

/* -- conditions on rows --------------------------------------------------------------------- */

/* A text with * in it becomes LIKE's pattern. */
static char *like_of(struct bytes b)
{
	struct buf out = { 0 };

	for (size_t i = 0; i < b.len; i++) {
		if (strchr("%_\\", b.p[i]))
			put_u8(&out, '\\');
		put_u8(&out, b.p[i] == '*' ? '%' : b.p[i]);
	}
	put_u8(&out, 0);
	return (char *)out.p;
}

static bool set_text(struct parser *p, char op, struct word *w,
		     struct query_value *v)
{
	if (memchr(w->bytes.p ? w->bytes.p : (const uint8_t *)"", 0,
		   w->bytes.len)) {
		fail(p, w->at, w->len, "this holds a zero byte; rows do not");
		return false;
	}
	if (w->how == REGEX) {
		v->how = QUERY_REGEX;
		v->text = text_of(w);
		return check_regex(p, w, v->text);
	}
	if (op == '~') {
		v->how = QUERY_HOLDS;
		v->text = text_of(w);
	} else if (w->how == BARE && memchr(w->bytes.p, '*', w->bytes.len)) {
		v->how = QUERY_LIKE;
		v->text = like_of(buf_bytes(&w->bytes));
	} else {
		v->how = QUERY_EQUAL;
		v->text = text_of(w);
	}
	return true;
}

static bool set_word(struct parser *p, const struct query_key *key,
		     struct word *w, struct query_value *v)
{
	char *name = text_of(w);
	const char *nearest;

	v->how = QUERY_IS;
	v->word = query_word_find(key->words, name);
	nearest = query_word_nearest(key->words, name);
	if (!v->word && nearest)
		fail(p, w->at, w->len, "%s has no \"%s\"; did you mean %s?",
		     key->name, name, nearest);
	else if (!v->word)
		fail(p, w->at, w->len, "%s has no \"%s\"; it may be %s, %s, …",
		     key->name, name, key->words[0].name, key->words[1].name);
	free(name);
	return v->word;
}

/* One value of a condition on rows, out of w. */
static bool set_value(struct parser *p, const struct query_key *key, char op,
		      struct word *w)
{
	struct query_value *v = add_value(p);
	char *text;
	int rc;

	if (!v)
		return false;
	if (key->type == QUERY_TEXT)
		return set_text(p, op, w, v);
	if (w->how == REGEX || w->how == HEXED ||
	    (w->bytes.len && memchr(w->bytes.p, 0, w->bytes.len))) {
		fail(p, w->at, w->len, "%s takes no such value", key->name);
		return false;
	}
	if (key->type == QUERY_WORD)
		return set_word(p, key, w, v);
	text = text_of(w);
	rc = key->type == QUERY_NET
		     ? query_net_read(text, v, p->err)
		     : query_range_read(key->type, op, text, p->now_ns, v,
					p->err);
	free(text);
	if (rc < 0)
		failed(p, w->at, w->len);
	return rc == 0;
}

static uint32_t take_values(struct parser *p, const struct query_key *key,
			    char op)
{
	uint32_t node = add_node(p, QUERY_TEST);
	uint32_t first = p->q->n_values;

	do {
		struct word w;
		bool good = node && take_value(p, &w, op == '~', "(),\"");

		if (!good)
			return 0;
		good = set_value(p, key, op, &w);
		buf_release(&w.bytes);
		if (!good)
			return 0;
	} while (peek(p) == ',' && p->at++ < p->len);
	p->q->nodes[node].key = key;
	p->q->nodes[node].value = first;
	p->q->nodes[node].n_values = p->q->n_values - first;
	return node;
}

/* -- sort and limit ------------------------------------------------------------------------- */

static uint32_t take_sort(struct parser *p, const struct query_key *key)
{
	struct query_value v = { .how = QUERY_IS };
	struct word w;
	bool up = peek(p) == '-';

	p->at += up;
	if (!take_value(p, &w, false, "(),\"") || !set_word(p, key, &w, &v))
		return 0;
	p->q->sort = v.word;
	p->q->sort_up = up;
	return NOTHING;
}

static uint32_t take_limit(struct parser *p, const struct query_key *key)
{
	struct query_value v;
	struct word w;
	char *text;
	int rc;

	if (!take_value(p, &w, false, "(),\""))
		return 0;
	text = text_of(&w);
	rc = query_range_read(key->type, '=', text, 0, &v, p->err);
	free(text);
	if (rc < 0)
		return failed(p, w.at, w.len);
	p->q->limit = v.lo;
	return NOTHING;
}

/* -- conditions ------------------------------------------------------------------------------- */

/*
 * ':' also for "=", 'l' for "<=", 'g' for ">=", '!' for "!="; '\0': none of
 * them.
 */
static char take_operator(struct parser *p)
{
	char c = peek(p);
	bool equal = p->at + 1 < p->len && p->text[p->at + 1] == '=';

	if (!c || !strchr(":=<>~!", c) || (c == '!' && !equal))
		return '\0';
	p->at++;
	if (c == '!') {
		p->at++;
		return '!';
	}
	if ((c == '<' || c == '>') && equal) {
		p->at++;
		return c == '<' ? 'l' : 'g';
	}
	return c == '=' ? ':' : c;
}

static bool may_compare(enum query_type type)
{
	return type == QUERY_NUMBER || type == QUERY_SIZE ||
	       type == QUERY_DURATION || type == QUERY_TIME;
}

static uint32_t negate(struct parser *p, uint32_t child)
{
	uint32_t node = child ? add_node(p, QUERY_NOT) : 0;

	if (node)
		p->q->nodes[node].first = child;
	return node;
}

static uint32_t take_condition(struct parser *p, const struct query_key *key,
			       size_t at)
{
	char op = take_operator(p);
	bool negative = op == '!';
	uint32_t node;

	op = negative ? ':' : op;
	if ((strchr("<>lg", op) && !may_compare(key->type)) ||
	    (op == '~' && key->type != QUERY_TEXT &&
	     key->type != QUERY_PAYLOAD))
		return fail(p, at, p->at - at, "%s is compared with : only",
			    key->name);
	if (key->type == QUERY_SORT || key->type == QUERY_LIMIT) {
		if (negative || p->depth)
			return fail(p, at, p->at - at,
				    "%s: stands beside the conditions, not "
				    "inside of them", key->name);
		return key->type == QUERY_SORT ? take_sort(p, key)
					       : take_limit(p, key);
	}
	node = key->type == QUERY_PAYLOAD ? take_payload(p, key)
					  : take_values(p, key, op);
	return negative ? negate(p, node) : node;
}

/* Does an operator stand there? */
static bool is_operator(const struct parser *p, size_t at)
{
	char c = at < p->len ? p->text[at] : '\0';

	if (c == '!')
		return at + 1 < p->len && p->text[at + 1] == '=';
	return c && strchr(":=<>~", c);
}

/* The word that begins here is no key, or nothing stands behind it. */
static uint32_t no_condition(struct parser *p, size_t len)
{
	size_t at = p->at;
	char word[KEY_MAX + 1];
	const char *nearest;
	bool key = len && is_operator(p, at + len);

	while (!key && at + len < p->len &&
	       !isspace((unsigned char)p->text[at + len]))
		len++;
	snprintf(word, sizeof(word), "%.*s", (int)(len < KEY_MAX ? len : KEY_MAX),
		 p->text + at);
	if (!key)
		return fail(p, at, len,
			    "\"%s\" is no condition; data:\"%s\" looks for it "
			    "in the payload", word, word);
	nearest = len <= KEY_MAX ? query_key_nearest(word) : NULL;
	if (nearest)
		return fail(p, at, len, "there is no key %s; did you mean %s?",
			    word, nearest);
	return fail(p, at, len,
		    "there is no key %s; weir search --keys lists them", word);
}

static const struct query_key *take_key(struct parser *p, size_t len)
{
	char word[KEY_MAX + 1];
	const struct query_key *key;

	if (!len || len > KEY_MAX || !is_operator(p, p->at + len))
		return NULL;
	memcpy(word, p->text + p->at, len);
	word[len] = '\0';
	key = query_key_find(word);
	if (key)
		p->at += len;
	return key;
}

static uint32_t take_either(struct parser *p);

static uint32_t take_brackets(struct parser *p)
{
	size_t at = p->at++;
	uint32_t node;

	if (++p->depth > QUERY_DEPTH_MAX)
		return fail(p, at, 1, "more than %d brackets inside each other",
			    QUERY_DEPTH_MAX);
	node = take_either(p);
	p->depth--;
	skip_blanks(p);
	if (node && peek(p) != ')')
		return fail(p, at, 1, "this bracket is never closed");
	if (node == NOTHING)
		return fail(p, at, p->at + 1 - at, "nothing is in the brackets");
	p->at++;
	return node;
}

static uint32_t take_one(struct parser *p)
{
	static const char bare[] = "data";
	const struct query_key *key;
	size_t at, len;

	skip_blanks(p);
	at = p->at;
	if (peek(p) == '(')
		return take_brackets(p);
	if (peek(p) == '"' || peek(p) == '/' ||
	    (peek(p) == 'x' && at + 1 < p->len && p->text[at + 1] == '"'))
		return take_payload(p, query_key_find(bare));
	if (peek(p) == ')')
		return fail(p, at, 1, "nothing is open that could be closed "
				      "here, or a condition is missing");
	if (at == p->len)
		return fail(p, at ? at - 1 : 0, 1, "a condition is missing "
						   "behind this");
	len = word_len(p);
	key = take_key(p, len);
	if (!key)
		return no_condition(p, len);
	return take_condition(p, key, at);
}

/* -- connecting ---------------------------------------------------------------------------------- */

static bool may_follow(const struct query *q, uint32_t node)
{
	const struct query_node *n = &q->nodes[node];

	if (n->kind == QUERY_TERM)
		return true;
	if (n->kind != QUERY_OR)
		return false;
	for (uint32_t c = n->first; c; c = q->nodes[c].next)
		if (q->nodes[c].kind != QUERY_TERM)
			return false;
	return true;
}

static bool check_step(struct parser *p, size_t at, uint32_t node)
{
	if (node && (node == NOTHING || !may_follow(p->q, node)))
		fail(p, at, p->at - at,
		     "then stands between things in the payload, or brackets "
		     "with or between such things");
	return !p->err->code;
}

static uint32_t take_order(struct parser *p)
{
	struct children c = { 0 };
	uint32_t node;
	size_t at;

	skip_blanks(p);
	at = p->at;
	node = take_one(p);
	if (!node || !take_word(p, "then"))
		return node;
	if (!check_step(p, at, node))
		return 0;
	add_child(p, &c, node);
	do {
		at = p->at;
		node = take_one(p);
		if (!check_step(p, at, node))
			return 0;
		add_child(p, &c, node);
	} while (take_word(p, "then"));
	p->q->n_thens++;
	return above(p, QUERY_THEN, &c);
}

static uint32_t take_not(struct parser *p)
{
	size_t at;
	uint32_t node;

	skip_blanks(p);
	at = p->at;
	if (peek(p) == '-' || peek(p) == '!')
		p->at++;
	else if (!take_word(p, "not"))
		return take_order(p);
	if (++p->depth > QUERY_DEPTH_MAX)
		return fail(p, at, 1, "more than %d negations inside each other",
			    QUERY_DEPTH_MAX);
	node = take_not(p);
	p->depth--;
	return negate(p, node);
}

/* Is there another condition in this list? */
static bool goes_on(struct parser *p)
{
	skip_blanks(p);
	return p->at < p->len && peek(p) != ')' && !at_word(p, "or");
}

static uint32_t take_both(struct parser *p)
{
	struct children c = { 0 };

	do {
		uint32_t node = take_not(p);

		if (!node)
			return 0;
		add_child(p, &c, node);
	} while (take_word(p, "and") || goes_on(p));
	return c.n ? above(p, QUERY_AND, &c) : NOTHING;
}

static uint32_t take_either(struct parser *p)
{
	struct children c = { 0 };
	size_t at = p->at;
	uint32_t node = take_both(p);
	bool nothing = node == NOTHING;

	add_child(p, &c, node);
	while (node && take_word(p, "or")) {
		node = take_both(p);
		nothing |= node == NOTHING;
		add_child(p, &c, node);
		if (nothing)
			return fail(p, at, p->at - at,
				    "a condition is missing beside the or");
	}
	return nothing || !node ? node : above(p, QUERY_OR, &c);
}

static void take_all(struct parser *p)
{
	uint32_t node;

	skip_blanks(p);
	if (p->at == p->len)
		return;
	node = take_either(p);
	skip_blanks(p);
	if (node && p->at < p->len)
		fail(p, p->at, 1, "this bracket was never opened");
	p->q->root = node == NOTHING ? 0 : node;
}

struct query *query_parse(const char *text, uint64_t now_ns,
			  struct query_place *place, struct err *err)
{
	struct query_place nowhere;
	struct query *q;
	struct parser p = { .text = text, .len = strlen(text),
			    .now_ns = now_ns, .err = err,
			    .place = place ? place : &nowhere };

	*p.place = (struct query_place){ 0, 0 };
	if (p.len > QUERY_TEXT_MAX) {
		err_set(err, ERR_USAGE,
			"the query has %zu bytes, more than %d", p.len,
			QUERY_TEXT_MAX);
		return NULL;
	}
	q = mem_alloc(sizeof(*q));
	q->text = mem_text(text);
	p.q = q;
	take_all(&p);
	if (!err->code)
		return q;
	query_free(q);
	return NULL;
}

void query_free(struct query *q)
{
	if (!q)
		return;
	for (uint32_t i = 0; i < q->n_values; i++)
		free(q->values[i].text);
	for (uint32_t i = 0; i < q->n_terms; i++)
		free(q->terms[i].text);
	free(q->text);
	free(q);
}

const char *query_text(const struct query *q)
{
	return q->text;
}

bool query_needs_payload(const struct query *q)
{
	return q->n_terms > 0;
}

bool query_is_sorted(const struct query *q)
{
	return q->sort;
}

uint64_t query_limit(const struct query *q)
{
	return q->limit;
}
