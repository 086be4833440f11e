/* SPDX-License-Identifier: Apache-2.0 */
/*
 * match.h - many patterns in one pass over streams that grow.
 *
 * A match_set is compiled once and never changes; it may be used by any number
 * of threads, each with a match_scratch of its own.  A match_stream is the
 * state of one direction of one stream, fed slice by slice, so that a match
 * over any border is found with its exact offsets.
 *
 * Hyperscan scans (streaming); it says where matches end.  For a pattern that
 * is not of fixed length PCRE2 then finds the span: from the left, each match
 * once, with the length that it has when it can grow no more.  It looks at the
 * last bytes of the stream only, as many as the longest pattern needs and
 * `window` at the most.  Patterns that Hyperscan refuses run in PCRE2 alone,
 * with a budget.
 */
#ifndef ENGINE_MATCH_MATCH_H
#define ENGINE_MATCH_MATCH_H

#include "base/bytes.h"

struct err;
struct match_set;
struct match_scratch;
struct match_stream;

enum match_kind { MATCH_SUBSTRING, MATCH_REGEX, MATCH_BINARY };
enum match_role { MATCH_ANY, MATCH_FLAG_IN, MATCH_FLAG_OUT };

struct match_pattern {
	enum match_kind kind;
	uint32_t id;	  /* counts from 0 within its kind: "regex:0" */
	const char *name; /* shown to people; may be the text itself */
	const char *text; /* as given; BINARY: hex digits */
	enum match_role role;
};

enum {
	MATCH_PATTERN_MAX = 4096, /* bytes of one pattern's text */
	MATCH_PATTERNS_MAX = 10000,
	MATCH_WINDOW_MAX = 64 << 10
};

/* Ids from here on are those of patterns that a store remembers. */
enum { MATCH_STORED = 1 << 20, MATCH_KEY = 32 };

/* "regex:0", or "stored:7"; returns out. */
char *match_key(char out[MATCH_KEY], const struct match_pattern *p);

/* What a stream is tagged with that has a match; NULL: with nothing. */
const char *match_tag(const struct match_pattern *p);

/*
 * "de ad be ef", "0xDEADBEEF" and "de:ad" are the same bytes.  0, or
 * ERR_MALFORMED with a sentence (odd digits, something else).
 */
int match_parse_hex(const char *text, uint8_t *out, size_t cap, size_t *len,
		    struct err *err);

/*
 * The patterns are copied.  NULL with a sentence that names the bad one.  The
 * caller holds one reference.
 */
struct match_set *match_compile(const struct match_pattern *patterns, size_t n,
				uint32_t window, struct err *err);
void match_set_get(struct match_set *set);
void match_set_put(struct match_set *set); /* NULL is fine */
const struct match_pattern *match_set_patterns(const struct match_set *set,
					       size_t *n);

/* One a thread; it may outlive the set.  NULL on failure. */
struct match_scratch *match_scratch_new(struct match_set *set,
					struct err *err);
/* Make it serve another set, too; the ones before stay served. */
int match_scratch_fit(struct match_scratch *s, struct match_set *set,
		      struct err *err);
void match_scratch_free(struct match_scratch *s);

struct match {
	const struct match_pattern *pattern;
	uint64_t start, end;  /* offsets in the direction's stream */
	struct bytes content; /* borrowed; its last bytes, if it is long */
};

struct match_sink {
	void *self;
	/* A match that cannot grow any more; each one once. */
	void (*found)(void *self, const struct match *m);
};

/* State for one direction; holds a reference to the set. */
struct match_stream *match_stream_open(struct match_set *set);

/* The next bytes, at `offset`; a jump (a gap) starts the scan afresh. */
void match_stream_feed(struct match_stream *m, struct match_scratch *scratch,
		       uint64_t offset, struct bytes data,
		       const struct match_sink *sink);

/* The end: matches that could still have grown are given.  Frees m. */
void match_stream_close(struct match_stream *m, struct match_scratch *scratch,
			const struct match_sink *sink);

size_t match_stream_memory(const struct match_stream *m);

struct match_counters {
	uint64_t refused; /* patterns that only PCRE2 takes */
	uint64_t budget;  /* searches that were given up, over their budget */
};
void match_counters(const struct match_set *set, struct match_counters *c);

#endif
