/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search.c - queries: each on a thread of its own, results as they are found.
 *
 * The searching thread puts results into a bounded list and waits when it is
 * full; the server's thread turns them into lines of JSON.  A client that
 * hangs up ends its search within one step of it.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/query/search.h"
#include "engine/web/web_priv.h"
#include "sys/sys.h"

enum {
	SEARCHES_MAX = 4,
	RESULTS_MAX = 256, /* found, not written yet */
	MATCHES_MAX = 16,  /* of one stream, in its line */
	BEHIND_MAX = 1 << 20
};

struct result {
	uint64_t id, matches_total;
	struct search_match matches[MATCHES_MAX];
	size_t n;
};

struct search_job {
	struct web *web;
	struct http_request *r; /* NULL: the client has gone */
	struct query *query;
	pthread_t thread;
	atomic_bool stop;
	struct search_job *next;

	/* Between both threads, under lock. */
	pthread_mutex_t lock;
	pthread_cond_t room;
	struct result results[RESULTS_MAX];
	size_t first, n;
	struct search_state state;
	bool state_new, over;
	struct err err;
};

/* -- the searching thread --------------------------------------------------------- */

static int on_hit(void *self, const struct search_hit *hit)
{
	struct search_job *s = self;
	struct result *to;

	pthread_mutex_lock(&s->lock);
	while (s->n == RESULTS_MAX && !atomic_load(&s->stop))
		pthread_cond_wait(&s->room, &s->lock);
	if (s->n < RESULTS_MAX) {
		to = &s->results[(s->first + s->n++) % RESULTS_MAX];
		to->id = hit->id;
		to->matches_total = hit->matches_total;
		to->n = hit->n_matches < MATCHES_MAX ? hit->n_matches
						     : MATCHES_MAX;
		memcpy(to->matches, hit->matches,
		       to->n * sizeof(*to->matches));
	}
	pthread_mutex_unlock(&s->lock);
	http_wake(s->web->http);
	return atomic_load(&s->stop);
}

static int on_progress(void *self, const struct search_state *state)
{
	struct search_job *s = self;

	pthread_mutex_lock(&s->lock);
	s->state = *state;
	s->state_new = true;
	pthread_mutex_unlock(&s->lock);
	return atomic_load(&s->stop);
}

static void *run(void *arg)
{
	struct search_job *s = arg;
	struct search_config cfg = { .dir = s->web->cfg.dir,
				     .matches_max = MATCHES_MAX,
				     .window = SEARCH_WINDOW };
	struct search_sink sink = { s, on_hit, on_progress };
	struct search_state state = { .hits = 0 };
	struct err err = ERR_NONE;

	search_run(s->query, &cfg, &sink, &state, &err);
	pthread_mutex_lock(&s->lock);
	s->state = state;
	s->err = err;
	s->over = true;
	pthread_mutex_unlock(&s->lock);
	http_wake(s->web->http);
	return NULL;
}

/* -- lines --------------------------------------------------------------------------- */

static void put_matches(struct search_job *s, struct buf *b,
			const struct result *f)
{
	struct buf term = { 0 };

	json_list(b, "found");
	for (size_t i = 0; i < f->n; i++) {
		const struct search_match *m = &f->matches[i];

		buf_clear(&term);
		search_term_text(s->query, m->term, &term);
		json_begin(b, NULL);
		json_text(b, "term", buf_bytes(&term));
		json_word(b, "direction", m->way ? "b_to_a" : "a_to_b");
		json_bool(b, "client", m->client);
		json_uint(b, "logical_start", m->start);
		json_uint(b, "logical_end", m->end);
		json_end(b);
	}
	json_list_end(b);
	json_uint(b, "found_total", f->matches_total);
	buf_release(&term);
}

static void put_hit(struct search_job *s, struct buf *b,
		    const struct result *f)
{
	struct err err = ERR_NONE;
	struct store_row row;

	/* It may have had to make room since. */
	if (store_view_row(s->web->view, f->id, &row, &err) < 0)
		return;
	json_begin(b, NULL);
	web_put_row(s->web, b, "row", &row);
	put_matches(s, b, f);
	json_end(b);
	put_u8(b, '\n');
}

static void put_state(struct search_job *s, struct buf *b,
		      const struct search_state *state, bool over)
{
	static const char *const ends[] = { "running", "done", "limit",
					    "stopped" };

	json_begin(b, NULL);
	json_begin(b, over ? "end" : "progress");
	json_word(b, "state", ends[state->end]);
	json_uint(b, "hits", state->hits);
	json_uint(b, "searched_streams", state->streams);
	json_uint(b, "searched_bytes", state->bytes);
	json_bool(b, "total_known", state->total_known);
	json_uint(b, "total_streams", state->streams_total);
	json_uint(b, "total_bytes", state->bytes_total);
	json_uint(b, "missing_bytes", state->missing);
	if (over && s->err.code)
		json_word(b, "error", s->err.text);
	json_end(b);
	json_end(b);
	put_u8(b, '\n');
}

static void search_free(struct search_job *s)
{
	struct search_job **at = &s->web->searches;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	atomic_store(&s->stop, true);
	pthread_mutex_lock(&s->lock);
	pthread_cond_signal(&s->room);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->room);
	query_free(s->query);
	free(s);
}

/* What was found since the last time; true when that was all. */
static bool write_news(struct search_job *s)
{
	struct search_state state;
	struct buf b = { 0 };
	bool over = false, more = true, told;

	while (more && http_behind(s->r) + b.len < BEHIND_MAX) {
		struct result f;

		pthread_mutex_lock(&s->lock);
		more = s->n > 0;
		if (more) {
			f = s->results[s->first];
			s->first = (s->first + 1) % RESULTS_MAX;
			s->n--;
			pthread_cond_signal(&s->room);
		}
		over = !more && s->over;
		pthread_mutex_unlock(&s->lock);
		if (more)
			put_hit(s, &b, &f);
	}
	pthread_mutex_lock(&s->lock);
	state = s->state;
	told = s->state_new;
	s->state_new = false;
	pthread_mutex_unlock(&s->lock);
	if (told || over)
		put_state(s, &b, &state, over);
	http_write(s->r, buf_bytes(&b));
	buf_release(&b);
	return over;
}

void web_serve_searches(struct web *w)
{
	struct search_job *next;

	for (struct search_job *s = w->searches; s; s = next) {
		next = s->next;
		if (write_news(s)) {
			http_stream_end(s->r);
			search_free(s);
		}
	}
}

/* -- the route ------------------------------------------------------------------------- */

static void on_gone(void *arg)
{
	search_free(arg);
}

static int start(struct search_job *s)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&s->thread, NULL, run, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

static void refuse(struct http_request *r, const struct err *err,
		   const struct query_place *place)
{
	struct buf *b = http_out(r);

	json_begin(b, NULL);
	json_word(b, "error", err->text);
	json_uint(b, "at", place->at);
	json_uint(b, "len", place->len);
	json_end(b);
	http_json(r, 400);
}

void web_search(void *app, struct http_request *r)
{
	struct web *w = app;
	const char *text = http_query(r, "q");
	struct sys *sys = sys_host();
	struct query_place place = { 0 };
	struct err err = ERR_NONE;
	struct search_job *s;
	int n = 0;

	for (s = w->searches; s; s = s->next)
		n++;
	if (n >= SEARCHES_MAX) {
		http_fail(r, 503, "%d searches run already; end one first",
			  SEARCHES_MAX);
		return;
	}
	s = mem_alloc(sizeof(*s));
	s->query = query_parse(text ? text : "", sys->wall_ns(sys), &place,
			       &err);
	if (!s->query) {
		refuse(r, &err, &place);
		free(s);
		return;
	}
	s->web = w;
	s->r = r;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->room, NULL);
	if (start(s)) {
		query_free(s->query);
		free(s);
		http_fail(r, 503, "no thread is left");
		return;
	}
	s->next = w->searches;
	w->searches = s;
	http_stream(r, "application/x-ndjson", on_gone, s);
}

/* What a query may say, for help and completion. */
void web_query_keys(void *app, struct http_request *r)
{
	struct query_key_info info;
	struct buf *b = http_out(r);

	(void)app;
	json_begin(b, NULL);
	json_list(b, "keys");
	for (size_t i = 0; query_key_info(i, &info); i++) {
		json_begin(b, NULL);
		json_word(b, "name", info.name);
		json_word(b, "also", info.also ? info.also : "");
		json_word(b, "values", info.values);
		json_word(b, "about", info.about);
		json_end(b);
	}
	json_list_end(b);
	json_end(b);
	http_json(r, 200);
}
