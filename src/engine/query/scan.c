/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.c - all payload terms of a query over one stream.
 *
 * One pass of the pattern library finds every term in both directions.  For
 * "a then b" the earliest end of a comes out of it; the next pass looks for
 * the earliest end of b behind that, and so on.  The earliest is enough: what
 * lies behind a later end of a lies behind the earliest one, too, since what
 * both sides said is one order, packet by packet.  So a stream of any length
 * takes as much memory as a short one, and few streams get to a second pass.
 */
#include "engine/query/search_priv.h"

#include <stdlib.h>

#include "base/mem.h"
#include "engine/match/match.h"

enum {
	SLICE = 64 << 10,   /* between two looks at the watch */
	SPELLS_MAX = 4 << 20
};

/* While one side spoke: bytes from `offset` on belong to spell `n`. */
struct spell {
	uint64_t offset, n;
};

struct spells {
	struct spell *at; /* owned */
	size_t n, room;
};

/* Where a match ended. */
struct place {
	int way;
	uint64_t end, spell;
};

/* One "then": which step is looked for, and behind what. */
struct sequence {
	uint32_t node, step; /* of the tree; a child of node */
	bool open, behind, found;
	struct place after, best;
};

struct scan {
	const struct query *q;
	struct pieces *pieces;
	struct match_set *set;
	struct match_scratch *scratch;
	uint8_t wanted[QUERY_TERMS_MAX]; /* sides, of each term */
	uint8_t sides;			 /* of any term */
	struct knowledge known;
	struct sequence *sequences; /* owned */
	size_t n_sequences;
	struct search_match *matches; /* owned */
	size_t matches_max, n_matches;
	uint64_t matches_total;
	uint64_t unordered;
	struct spells spells[2];
	bool spells_loaded;

	/* The pass that is under way. */
	const struct candidate *c;
	const struct scan_watch *watch;
	struct match_stream *stream;
	struct err *err;
	int way;
	bool first_pass, decided, stopped;
};

/* -- making ------------------------------------------------------------------------ */

static int compile(struct scan *s, uint32_t window, struct err *err)
{
	struct match_pattern patterns[QUERY_TERMS_MAX];

	for (uint32_t i = 0; i < s->q->n_terms; i++) {
		const struct query_term *t = &s->q->terms[i];

		patterns[i] = (struct match_pattern){
			.kind = t->regex ? MATCH_REGEX : MATCH_BINARY,
			.id = i,
			.text = t->text,
		};
	}
	s->set = match_compile(patterns, s->q->n_terms, window, err);
	if (s->set)
		s->scratch = match_scratch_new(s->set, err);
	return err->code;
}

static void note_sides(struct scan *s)
{
	const struct query *q = s->q;

	for (uint32_t i = 1; i <= q->n_nodes; i++) {
		if (q->nodes[i].kind != QUERY_TERM)
			continue;
		s->wanted[q->nodes[i].term] |= q->nodes[i].key->side;
		s->sides |= q->nodes[i].key->side;
	}
}

static void note_sequences(struct scan *s)
{
	const struct query *q = s->q;

	s->sequences = mem_array(q->n_thens + 1, sizeof(*s->sequences));
	for (uint32_t i = 1; i <= q->n_nodes; i++)
		if (q->nodes[i].kind == QUERY_THEN)
			s->sequences[s->n_sequences++].node = i;
}

struct scan *scan_new(const struct query *q, const struct search_config *cfg,
		      struct pieces *pieces, struct err *err)
{
	struct scan *s = mem_alloc(sizeof(*s));

	s->q = q;
	s->pieces = pieces;
	s->matches_max = cfg->matches_max;
	s->matches = mem_array(s->matches_max + 1, sizeof(*s->matches));
	note_sides(s);
	note_sequences(s);
	if (compile(s, cfg->window ? cfg->window : SEARCH_WINDOW, err) == 0)
		return s;
	scan_free(s);
	return NULL;
}

void scan_free(struct scan *s)
{
	if (!s)
		return;
	match_scratch_free(s->scratch);
	match_set_put(s->set);
	free(s->spells[0].at);
	free(s->spells[1].at);
	free(s->sequences);
	free(s->matches);
	free(s);
}

uint64_t scan_unordered(const struct scan *s)
{
	return s->unordered;
}

/* -- who spoke when ----------------------------------------------------------------- */

struct turns {
	struct scan *s;
	int way; /* of the last one */
	uint64_t n;
	bool full;
};

static int on_turn(void *arg, const struct store_turn *turn)
{
	struct turns *t = arg;
	struct spells *list = &t->s->spells[turn->way];

	if (turn->way == t->way)
		return 0;
	if (list->n == SPELLS_MAX) {
		t->full = true;
		return 1;
	}
	if (list->n == list->room) {
		list->room = list->room ? 2 * list->room : 64;
		list->at = mem_grow(list->at, list->room * sizeof(*list->at));
	}
	list->at[list->n++] = (struct spell){ turn->offset, ++t->n };
	t->way = turn->way;
	return 0;
}

static void load_spells(struct scan *s)
{
	struct turns t = { .s = s, .way = -1 };
	struct err gone = ERR_NONE;

	s->spells[0].n = s->spells[1].n = 0;
	s->spells_loaded = true;
	store_view_turns(pieces_view(s->pieces), s->c->id, on_turn, &t, &gone);
	if (t.full || gone.code)
		s->unordered++;
}

static uint64_t spell_of(struct scan *s, int way, uint64_t offset)
{
	const struct spells *list = &s->spells[way];
	size_t low = 0, high = list->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (list->at[middle].offset <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? list->at[low - 1].n : 0;
}

/* -- sequences ------------------------------------------------------------------------ */

static bool step_wants(const struct query *q, uint32_t step, uint32_t term,
		       int side)
{
	const struct query_node *n = &q->nodes[step];

	if (n->kind == QUERY_TERM)
		return n->term == term && (n->key->side & side);
	for (uint32_t c = n->first; c; c = q->nodes[c].next)
		if (q->nodes[c].term == term && (q->nodes[c].key->side & side))
			return true;
	return false;
}

static bool lies_behind(struct scan *s, const struct match *m,
			const struct place *after)
{
	if (after->way == s->way)
		return m->start >= after->end;
	return spell_of(s, s->way, m->start) > after->spell;
}

static void consider(struct scan *s, struct sequence *seq,
		     const struct match *m)
{
	struct place place = { .way = s->way, .end = m->end };

	if (!s->spells_loaded)
		load_spells(s);
	if (seq->behind && !lies_behind(s, m, &seq->after))
		return;
	place.spell = spell_of(s, s->way, m->end - 1);
	if (seq->found && (place.spell > seq->best.spell ||
			   (place.spell == seq->best.spell &&
			    place.end >= seq->best.end)))
		return;
	seq->best = place;
	seq->found = true;
}

/* A pass is over: on to the next step, or it is decided. */
static void advance(struct scan *s, struct sequence *seq)
{
	uint32_t next = s->q->nodes[seq->step].next;

	if (!seq->open)
		return;
	if (!seq->found || !next) {
		s->known.then[seq->node] = seq->found ? YES : NO;
		seq->open = false;
		return;
	}
	seq->after = seq->best;
	seq->behind = true;
	seq->found = false;
	seq->step = next;
}

/* Could anything be found of each step?  Spares most streams a second pass. */
static bool is_possible(struct scan *s, const struct sequence *seq)
{
	const struct query *q = s->q;

	for (uint32_t step = seq->step; step; step = q->nodes[step].next) {
		bool any = false;

		for (uint32_t t = 0; t < q->n_terms && !any; t++)
			any = step_wants(q, step, t, s->known.found[t]);
		if (!any)
			return false;
	}
	return true;
}

static void rule_out(struct scan *s)
{
	for (size_t i = 0; i < s->n_sequences; i++) {
		struct sequence *seq = &s->sequences[i];

		if (seq->open && !is_possible(s, seq)) {
			s->known.then[seq->node] = NO;
			seq->open = false;
		}
	}
}

/* -- one pass ---------------------------------------------------------------------------- */

static void keep_match(struct scan *s, const struct match *m, bool client)
{
	s->matches_total++;
	if (s->n_matches < s->matches_max)
		s->matches[s->n_matches++] = (struct search_match){
			.term = m->pattern->id,
			.way = (uint8_t)s->way,
			.client = client,
			.start = m->start,
			.end = m->end,
		};
}

static void on_match(void *self, const struct match *m)
{
	struct scan *s = self;
	uint32_t term = m->pattern->id;
	bool client = s->way == s->c->caller;
	int side = client ? QUERY_CLIENT : QUERY_SERVER;

	if (!(s->wanted[term] & side))
		return;
	if (s->first_pass) {
		keep_match(s, m, client);
		if (!(s->known.found[term] & side)) {
			s->known.found[term] |= (uint8_t)side;
			s->decided = verdict_of(s->q, s->c, &s->known) != OPEN;
		}
	}
	for (size_t i = 0; i < s->n_sequences; i++)
		if (s->sequences[i].open &&
		    step_wants(s->q, s->sequences[i].step, term, side))
			consider(s, &s->sequences[i], m);
}

/* Nothing more has to be known of this stream. */
static bool is_enough(const struct scan *s)
{
	return s->stopped || (s->decided && !s->matches_max);
}

static int on_piece(void *arg, const struct store_piece *piece)
{
	struct scan *s = arg;
	const struct match_sink sink = { s, on_match };
	bool gone = piece->hole && piece->why >= (int)STORE_HOLE_CAP;
	uint64_t n;

	if (piece->hole) {
		if (gone && s->first_pass)
			s->stopped = s->watch->looked(s->watch->arg, 0,
						      piece->len) != 0;
		return s->stopped;
	}
	for (uint64_t at = 0; at < piece->len && !is_enough(s); at += n) {
		n = piece->len - at < SLICE ? piece->len - at : SLICE;
		match_stream_feed(s->stream, s->scratch, piece->offset + at,
				  bytes_of(piece->data.p + at, (size_t)n),
				  &sink);
		s->stopped = s->watch->looked(s->watch->arg,
					      s->first_pass ? n : 0, 0) != 0;
	}
	return is_enough(s);
}

static void pass(struct scan *s)
{
	const struct match_sink sink = { s, on_match };

	for (int i = 0; i < 2 && !is_enough(s) && !s->err->code; i++) {
		int side = i == 0 ? QUERY_CLIENT : QUERY_SERVER;

		s->way = i == 0 ? s->c->caller : !s->c->caller;
		if (!(s->sides & side))
			continue;
		s->stream = match_stream_open(s->set);
		pieces_read(s->pieces, s->c, s->way, on_piece, s, s->err);
		match_stream_close(s->stream, s->scratch, &sink);
		s->stream = NULL;
	}
}

static bool any_open(const struct scan *s)
{
	for (size_t i = 0; i < s->n_sequences; i++)
		if (s->sequences[i].open)
			return true;
	return false;
}

static void begin(struct scan *s, const struct candidate *c)
{
	s->known = (struct knowledge){ .all = false };
	s->c = c;
	s->n_matches = 0;
	s->matches_total = 0;
	s->spells_loaded = s->decided = s->stopped = false;
	for (size_t i = 0; i < s->n_sequences; i++) {
		struct sequence *seq = &s->sequences[i];
		uint32_t node = seq->node;

		*seq = (struct sequence){ .node = node, .open = true,
					  .step = s->q->nodes[node].first };
		s->known.then[node] = OPEN;
	}
}

static enum verdict decide(struct scan *s)
{
	enum verdict v = verdict_of(s->q, s->c, &s->known);

	s->first_pass = true;
	while (v == OPEN && !s->stopped && !s->err->code) {
		pass(s);
		if (!s->decided)
			s->known.all = true;
		s->first_pass = false;
		for (size_t i = 0; i < s->n_sequences; i++)
			advance(s, &s->sequences[i]);
		rule_out(s);
		v = verdict_of(s->q, s->c, &s->known);
		if (!any_open(s))
			break;
	}
	return v;
}

int scan_candidate(struct scan *s, const struct candidate *c,
		   const struct scan_watch *watch, enum verdict *v,
		   struct search_hit *hit, struct err *err)
{
	s->watch = watch;
	s->err = err;
	begin(s, c);
	*v = decide(s);
	*hit = (struct search_hit){ .id = c->id,
				    .first_ns = c->first_ns,
				    .matches = s->matches,
				    .n_matches = s->n_matches,
				    .matches_total = s->matches_total };
	if (err->code)
		return err->code;
	return s->stopped ? ERR_END : 0;
}
