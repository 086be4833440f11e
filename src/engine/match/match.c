/* SPDX-License-Identifier: Apache-2.0 */
/*
 * match.c - Hyperscan says where, PCRE2 says from where to where.
 *
 * A stream remembers, a pattern at a time, that something ended behind
 * `from`: the end of the last match given.  After each slice the patterns with
 * such a sign are settled: PCRE2 searches the window from there on.  A match
 * that reaches the end of what is there and could go on is "partial" and waits
 * for more bytes, or for the end.
 */
#define PCRE2_CODE_UNIT_WIDTH 8

#include "engine/match/match.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <hs/hs.h>
#include <pcre2.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

enum {
	MATCH_LIMIT = 200000, /* PCRE2's steps in one search */
	DEPTH_LIMIT = 1000,
	SIGNS_FIRST = 4
};

struct compiled {
	struct match_pattern pattern; /* texts are ours */
	uint8_t *literal;	      /* of fixed bytes: start = end - len */
	size_t literal_len;
	pcre2_code *code; /* regexes */
	uint32_t width;	  /* longest match, UINT32_MAX for no limit */
	bool refused;	  /* not in the database: PCRE2 alone */
};

struct match_set {
	atomic_uint references;
	struct compiled *all;
	struct match_pattern *shown; /* the same patterns, for the caller */
	size_t n;
	size_t n_refused;
	hs_database_t *db; /* NULL when Hyperscan has nothing to do */
	uint32_t window;   /* bytes of the past that a stream keeps */
	atomic_uint_fast64_t over_budget;
};

struct match_scratch {
	hs_scratch_t *hs;
	pcre2_match_data *data;
	pcre2_match_context *context;
	struct buf subject;
};

/* A pattern of which something ended and is not settled yet. */
struct sign {
	uint32_t pattern;
	uint64_t from; /* nothing of it before: end of the last match given */
	bool due;      /* something ended behind `from` */
};

struct match_stream {
	struct match_set *set;
	hs_stream_t *hs;
	uint64_t next; /* offset of the next byte */
	uint64_t since; /* of the first byte after the last gap */
	struct buf past; /* the last bytes before `next` */
	struct sign *signs;
	size_t n_signs, signs_cap;
};

char *match_key(char out[MATCH_KEY], const struct match_pattern *p)
{
	static const char *const kinds[] = { "substring", "regex", "binary" };
	bool stored = p->id >= MATCH_STORED;

	snprintf(out, MATCH_KEY, "%s:%u", stored ? "stored" : kinds[p->kind],
		 stored ? p->id - MATCH_STORED : p->id);
	return out;
}

const char *match_tag(const struct match_pattern *p)
{
	if (p->id >= MATCH_STORED)
		return p->name;
	if (p->role == MATCH_ANY)
		return NULL;
	return p->role == MATCH_FLAG_IN ? "flag-in" : "flag-out";
}

/* -- hex --------------------------------------------------------------------- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int match_parse_hex(const char *text, uint8_t *out, size_t cap, size_t *len,
		    struct err *err)
{
	const char *p = text;
	int high = -1;

	*len = 0;
	for (; *p; p++) {
		int digit = hex_digit(*p);

		if (high < 0 && p[0] == '0' && (p[1] | 0x20) == 'x') {
			p++;
			continue;
		}
		if (high < 0 && strchr(" :-_,\t\n", *p))
			continue;
		if (digit < 0)
			return err_set(err, ERR_MALFORMED,
				       "\"%s\" is no hex pattern: \"%c\" is no "
				       "hex digit",
				       text, *p);
		if (high < 0) {
			high = digit;
			continue;
		}
		if (*len == cap)
			return err_set(err, ERR_MALFORMED,
				       "a hex pattern has more than %zu bytes",
				       cap);
		out[(*len)++] = (uint8_t)(high << 4 | digit);
		high = -1;
	}
	if (high >= 0)
		return err_set(err, ERR_MALFORMED,
			       "\"%s\" has an odd number of hex digits", text);
	if (!*len)
		return err_set(err, ERR_MALFORMED, "a hex pattern is empty");
	return 0;
}

/* -- compiling ----------------------------------------------------------------- */

static int take_literal(struct compiled *c, struct err *err)
{
	size_t len = strlen(c->pattern.text);

	c->literal = mem_alloc(len);
	if (c->pattern.kind == MATCH_BINARY)
		return match_parse_hex(c->pattern.text, c->literal, len,
				       &c->literal_len, err);
	memcpy(c->literal, c->pattern.text, len);
	c->literal_len = len;
	return 0;
}

static int take_regex(struct compiled *c, struct err *err)
{
	int number;
	PCRE2_SIZE at;
	PCRE2_UCHAR words[160];

	/* Bytes, not characters: `.` is any byte but a line feed. */
	c->code = pcre2_compile((PCRE2_SPTR)c->pattern.text,
				PCRE2_ZERO_TERMINATED, PCRE2_NEVER_UTF, &number,
				&at, NULL);
	if (!c->code) {
		pcre2_get_error_message(number, words, sizeof(words));
		return err_set(err, ERR_MALFORMED,
			       "the regex \"%s\" is wrong at character %zu: %s",
			       c->pattern.text, at + 1, (char *)words);
	}
	/* Where this machine forbids it, the interpreter does the same. */
	pcre2_jit_compile(c->code, PCRE2_JIT_COMPLETE |
					   PCRE2_JIT_PARTIAL_HARD |
					   PCRE2_JIT_PARTIAL_SOFT);
	return 0;
}

static int take(struct compiled *c, const struct match_pattern *p,
		struct err *err)
{
	size_t len = strlen(p->text);

	c->pattern = *p;
	c->pattern.text = mem_text(p->text);
	c->pattern.name = mem_text(p->name ? p->name : p->text);
	if (!len)
		return err_set(err, ERR_MALFORMED, "a pattern is empty");
	if (len > MATCH_PATTERN_MAX)
		return err_set(err, ERR_LIMIT,
			       "a pattern has %zu bytes, more than %d", len,
			       MATCH_PATTERN_MAX);
	return p->kind == MATCH_REGEX ? take_regex(c, err)
				      : take_literal(c, err);
}

/* Hyperscan's spelling of a literal. */
static char *escaped(const struct compiled *c)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < c->literal_len; i++)
		put_format(&b, "\\x%02x", c->literal[i]);
	put_u8(&b, 0);
	return (char *)b.p;
}

/* Does it compile alone?  Also tells how wide it gets. */
static bool hyperscan_takes(struct compiled *c, const char *text)
{
	hs_expr_info_t *info = NULL;
	hs_compile_error_t *why = NULL;
	hs_database_t *db = NULL;

	if (hs_expression_info(text, 0, &info, &why) != HS_SUCCESS) {
		hs_free_compile_error(why);
		return false;
	}
	c->width = info->max_width;
	free(info);
	if (hs_compile(text, 0, HS_MODE_STREAM, NULL, &db, &why) !=
	    HS_SUCCESS) {
		hs_free_compile_error(why);
		return false;
	}
	hs_free_database(db);
	return true;
}

static int build_database(struct match_set *set, struct err *err)
{
	const char **texts = mem_array(set->n, sizeof(*texts));
	unsigned *flags = mem_array(set->n, sizeof(*flags));
	unsigned *ids = mem_array(set->n, sizeof(*ids));
	char **ours = mem_array(set->n, sizeof(*ours));
	hs_compile_error_t *why = NULL;
	unsigned n = 0;
	int rc = 0;

	for (size_t i = 0; i < set->n; i++) {
		struct compiled *c = &set->all[i];
		const char *text = c->pattern.text;

		if (c->literal)
			text = ours[i] = escaped(c);
		if (!hyperscan_takes(c, text)) {
			c->refused = true;
			c->width = UINT32_MAX;
			set->n_refused++;
			continue;
		}
		texts[n] = text;
		ids[n++] = (unsigned)i;
	}
	if (n && hs_compile_multi(texts, flags, ids, n, HS_MODE_STREAM, NULL,
				  &set->db, &why) != HS_SUCCESS) {
		rc = err_set(err, ERR_MALFORMED,
			     "the patterns cannot be compiled together: %s",
			     why->message);
		hs_free_compile_error(why);
	}
	for (size_t i = 0; i < set->n; i++)
		free(ours[i]);
	free(ours);
	free(texts);
	free(flags);
	free(ids);
	return rc;
}

/* As much of the past as the longest of the patterns needs. */
static uint32_t window_for(const struct match_set *set, uint32_t most)
{
	uint32_t need = 0;

	for (size_t i = 0; i < set->n; i++) {
		const struct compiled *c = &set->all[i];

		if (c->literal && !c->refused)
			continue;
		if (c->width > need)
			need = c->width;
	}
	/* One byte more, for what looks behind (\b, ^). */
	return need < most ? need + (need > 0) : most;
}

struct match_set *match_compile(const struct match_pattern *patterns, size_t n,
				uint32_t window, struct err *err)
{
	struct match_set *set;

	if (n > MATCH_PATTERNS_MAX) {
		err_set(err, ERR_LIMIT, "%zu patterns are more than %d", n,
			MATCH_PATTERNS_MAX);
		return NULL;
	}
	assert(window <= MATCH_WINDOW_MAX);
	set = mem_alloc(sizeof(*set));
	atomic_init(&set->references, 1);
	set->all = mem_array(n, sizeof(*set->all));
	for (size_t i = 0; i < n; i++) {
		set->n++;
		if (take(&set->all[i], &patterns[i], err) < 0) {
			match_set_put(set);
			return NULL;
		}
	}
	if (build_database(set, err) < 0) {
		match_set_put(set);
		return NULL;
	}
	set->window = window_for(set, window);
	set->shown = mem_array(n, sizeof(*set->shown));
	for (size_t i = 0; i < n; i++)
		set->shown[i] = set->all[i].pattern;
	return set;
}

void match_set_get(struct match_set *set)
{
	atomic_fetch_add(&set->references, 1);
}

void match_set_put(struct match_set *set)
{
	if (!set || atomic_fetch_sub(&set->references, 1) != 1)
		return;
	for (size_t i = 0; i < set->n; i++) {
		struct compiled *c = &set->all[i];

		free((char *)(uintptr_t)c->pattern.text);
		free((char *)(uintptr_t)c->pattern.name);
		free(c->literal);
		pcre2_code_free(c->code);
	}
	if (set->db)
		hs_free_database(set->db);
	free(set->all);
	free(set->shown);
	free(set);
}

const struct match_pattern *match_set_patterns(const struct match_set *set,
					       size_t *n)
{
	*n = set->n;
	return set->shown;
}

void match_counters(const struct match_set *set, struct match_counters *c)
{
	c->refused = set->n_refused;
	c->budget = atomic_load_explicit(&set->over_budget,
					 memory_order_relaxed);
}

/* -- scratch ------------------------------------------------------------------- */

struct match_scratch *match_scratch_new(struct match_set *set, struct err *err)
{
	struct match_scratch *s = mem_alloc(sizeof(*s));

	s->data = pcre2_match_data_create(1, NULL);
	s->context = pcre2_match_context_create(NULL);
	if (!s->data || !s->context ||
	    (set->db && hs_alloc_scratch(set->db, &s->hs) != HS_SUCCESS)) {
		err_set(err, ERR_LIMIT, "no memory for matching");
		match_scratch_free(s);
		return NULL;
	}
	pcre2_set_match_limit(s->context, MATCH_LIMIT);
	pcre2_set_depth_limit(s->context, DEPTH_LIMIT);
	return s;
}

int match_scratch_fit(struct match_scratch *s, struct match_set *set,
		      struct err *err)
{
	if (set->db && hs_alloc_scratch(set->db, &s->hs) != HS_SUCCESS)
		return err_set(err, ERR_LIMIT, "no memory for matching");
	return 0;
}

void match_scratch_free(struct match_scratch *s)
{
	if (!s)
		return;
	hs_free_scratch(s->hs);
	pcre2_match_data_free(s->data);
	pcre2_match_context_free(s->context);
	buf_release(&s->subject);
	free(s);
}

/* -- streams ------------------------------------------------------------------- */

struct match_stream *match_stream_open(struct match_set *set)
{
	struct match_stream *m = mem_alloc(sizeof(*m));

	match_set_get(set);
	m->set = set;
	return m;
}

size_t match_stream_memory(const struct match_stream *m)
{
	size_t state = 0;

	if (m->hs)
		hs_stream_size(m->set->db, &state);
	return sizeof(*m) + state + m->past.cap +
	       m->signs_cap * sizeof(*m->signs);
}

static struct sign *sign_of(struct match_stream *m, uint32_t pattern)
{
	for (size_t i = 0; i < m->n_signs; i++)
		if (m->signs[i].pattern == pattern)
			return &m->signs[i];
	if (m->n_signs == m->signs_cap) {
		m->signs_cap = m->signs_cap ? 2 * m->signs_cap : SIGNS_FIRST;
		m->signs = mem_grow(m->signs,
				    m->signs_cap * sizeof(*m->signs));
	}
	m->signs[m->n_signs] = (struct sign){ pattern, m->since, false };
	return &m->signs[m->n_signs++];
}

struct scan {
	struct match_stream *m;
	const struct match_sink *sink;
	uint64_t offset; /* of the data */
	uint64_t base;	 /* Hyperscan counts from here */
};

static int on_end(unsigned id, unsigned long long from, unsigned long long to,
		  unsigned flags, void *arg)
{
	const struct scan *scan = arg;
	const struct compiled *c = &scan->m->set->all[id];
	uint64_t end = scan->base + to;

	(void)from;
	(void)flags;
	if (c->literal) {
		const struct match m = {
			.pattern = &c->pattern,
			.start = end - c->literal_len,
			.end = end,
			.content = bytes_of(c->literal, c->literal_len),
		};

		scan->sink->found(scan->sink->self, &m);
	} else {
		struct sign *s = sign_of(scan->m, id);

		if (end > s->from)
			s->due = true;
	}
	return 0;
}

/* What PCRE2 searches: the kept past and the new data, side by side. */
struct view {
	struct bytes bytes;
	uint64_t base; /* offset of its first byte */
};

enum settled { SETTLED, WAITS };

static void give(const struct compiled *c, const struct view *v, size_t start,
		 size_t end, const struct match_sink *sink)
{
	const struct match m = {
		.pattern = &c->pattern,
		.start = v->base + start,
		.end = v->base + end,
		.content = bytes_of(v->bytes.p + start, end - start),
	};

	sink->found(sink->self, &m);
}

/* All matches of a pattern behind s->from; `over` when nothing follows. */
static enum settled settle(struct match_stream *m,
			   struct match_scratch *scratch, struct sign *s,
			   const struct view *v, bool over,
			   const struct match_sink *sink)
{
	const struct compiled *c = &m->set->all[s->pattern];
	uint32_t how = PCRE2_NOTEMPTY | (over ? 0 : PCRE2_PARTIAL_HARD) |
		       (v->base > m->since ? PCRE2_NOTBOL : 0);
	PCRE2_SIZE *span = pcre2_get_ovector_pointer(scratch->data);

	for (;;) {
		uint64_t from = s->from > v->base ? s->from : v->base;
		size_t at = (size_t)(from - v->base);
		int rc;

		if (at >= v->bytes.len)
			return SETTLED;
		rc = pcre2_match(c->code, v->bytes.p, v->bytes.len, at, how,
				 scratch->data, scratch->context);
		if (rc == PCRE2_ERROR_PARTIAL) {
			/* Kept as it is while its start stays in sight. */
			if (v->bytes.len - span[0] < m->set->window ||
			    !m->set->window)
				return WAITS;
			how &= ~(uint32_t)PCRE2_PARTIAL_HARD;
			continue;
		}
		if (rc < 0) {
			if (rc != PCRE2_ERROR_NOMATCH)
				atomic_fetch_add_explicit(
					&m->set->over_budget, 1,
					memory_order_relaxed);
			return SETTLED;
		}
		give(c, v, span[0], span[1], sink);
		s->from = v->base + span[1];
	}
}

static void settle_all(struct match_stream *m, struct match_scratch *scratch,
		       const struct view *v, bool over,
		       const struct match_sink *sink)
{
	for (size_t i = 0; i < m->n_signs; i++) {
		struct sign *s = &m->signs[i];

		if (s->due &&
		    settle(m, scratch, s, v, over, sink) == SETTLED)
			s->due = false;
	}
}

static bool any_due(const struct match_stream *m)
{
	for (size_t i = 0; i < m->n_signs; i++)
		if (m->signs[i].due)
			return true;
	return false;
}

/* Patterns that Hyperscan does not know have always something to look for. */
static void mark_refused(struct match_stream *m)
{
	if (!m->set->n_refused)
		return;
	for (size_t i = 0; i < m->set->n; i++)
		if (m->set->all[i].refused && m->set->all[i].code)
			sign_of(m, (uint32_t)i)->due = true;
}

static struct view view_of(struct match_stream *m,
			   struct match_scratch *scratch, struct bytes data)
{
	buf_clear(&scratch->subject);
	put_bytes(&scratch->subject, buf_bytes(&m->past));
	put_bytes(&scratch->subject, data);
	return (struct view){ buf_bytes(&scratch->subject),
			      m->next - m->past.len };
}

/* Keep the last bytes for what comes. */
static void remember(struct match_stream *m, struct bytes data)
{
	size_t window = m->set->window;
	size_t keep;

	if (!window)
		return;
	if (data.len >= window) {
		buf_clear(&m->past);
		put_bytes(&m->past, bytes_of(data.p + data.len - window,
					     window));
		return;
	}
	keep = window - data.len;
	if (m->past.len > keep)
		buf_consume(&m->past, m->past.len - keep);
	put_bytes(&m->past, data);
}

static void close_hs(struct match_stream *m, struct match_scratch *scratch,
		     struct scan *scan)
{
	if (m->hs)
		hs_close_stream(m->hs, scratch->hs, on_end, scan);
	m->hs = NULL;
}

/* What has been seen is all there is before a gap or the end. */
static void finish(struct match_stream *m, struct match_scratch *scratch,
		   const struct match_sink *sink)
{
	struct scan scan = { m, sink, m->next, m->since };

	close_hs(m, scratch, &scan);
	if (any_due(m)) {
		struct view v = view_of(m, scratch, bytes_of(NULL, 0));

		settle_all(m, scratch, &v, true, sink);
	}
	m->n_signs = 0;
}

void match_stream_feed(struct match_stream *m, struct match_scratch *scratch,
		       uint64_t offset, struct bytes data,
		       const struct match_sink *sink)
{
	struct scan scan = { m, sink, offset, 0 };

	if (offset != m->next) {
		finish(m, scratch, sink);
		buf_clear(&m->past);
		m->next = m->since = offset;
	}
	if (!data.len)
		return;
	scan.base = m->since;
	if (m->set->db && !m->hs &&
	    hs_open_stream(m->set->db, 0, &m->hs) != HS_SUCCESS)
		m->hs = NULL;
	if (m->hs)
		hs_scan_stream(m->hs, (const char *)data.p,
			       (unsigned)data.len, 0, scratch->hs, on_end,
			       &scan);
	mark_refused(m);
	if (any_due(m)) {
		struct view v = view_of(m, scratch, data);

		settle_all(m, scratch, &v, false, sink);
	}
	remember(m, data);
	m->next = offset + data.len;
}

void match_stream_close(struct match_stream *m, struct match_scratch *scratch,
			const struct match_sink *sink)
{
	if (!m)
		return;
	finish(m, scratch, sink);
	match_set_put(m->set);
	buf_release(&m->past);
	free(m->signs);
	free(m);
}
