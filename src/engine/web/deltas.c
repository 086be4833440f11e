/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deltas.c - what changed: by long poll, and as server-sent events.
 */
#include "engine/web/web_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "sys/sys.h"

enum {
	DELTAS_DEFAULT = 1024,
	DELTAS_MAX = 8192,
	WAIT_MAX_MS = 30000,
	EVENTS_AT_ONCE = 512,
	BEHIND_MAX = 1 << 20, /* bytes a client may leave lying */
	WAITERS_MAX = 128
};

static const uint64_t beat_ns = 10000000000; /* a sign of life */
/* A page cannot draw more often; what comes meanwhile is one event. */
static const uint64_t event_every_ns = 50000000;

/* A client that is answered when something is new. */
struct waiter {
	struct web *web;
	struct http_request *r;
	bool events;   /* a stream of events; else one answer */
	uint64_t cursor, limit;
	uint64_t until_ns, last_ns;
	struct waiter *next;
};

static uint64_t now(void)
{
	struct sys *sys = sys_host();

	return sys->mono_ns(sys);
}

/* -- entries as JSON ----------------------------------------------------------- */

/* Is there a later entry of the same stream among them? */
static bool told_later(const struct change *e, size_t n, size_t i)
{
	for (size_t k = i + 1; k < n && k < i + 256; k++)
		if (e[k].kind == CHANGE_STREAM && e[k].stream == e[i].stream)
			return true;
	return false;
}

static void put_found(struct buf *b, const struct change *e)
{
	const char *name = strchr(e->text, ' ');

	json_list(b, "matches");
	json_begin(b, NULL);
	json_uint(b, "stream_id", e->stream);
	json_hex64(b, "stream_id_hex", e->stream);
	json_text(b, "pattern_id",
		  name ? bytes_of(e->text, (size_t)(name - e->text))
		       : bytes_of_text(e->text));
	json_word(b, "pattern_name", name ? name + 1 : "");
	json_word(b, "direction", e->way ? "b_to_a" : "a_to_b");
	json_uint(b, "logical_start", e->start);
	json_uint(b, "logical_end", e->end);
	json_end(b);
	json_list_end(b);
}

static void put_entry(struct web *w, struct buf *b, const struct change *e)
{
	static const char *const kinds[] = { "streams", "matches", "status",
					     "stats", "note" };

	json_begin(b, NULL);
	json_uint(b, "cursor", e->cursor);
	json_word(b, "kind", kinds[e->kind]);
	switch (e->kind) {
	case CHANGE_STREAM:
		json_list(b, "streams");
		web_put_row_of(w, b, e->stream);
		json_list_end(b);
		break;
	case CHANGE_MATCH:
		put_found(b, e);
		break;
	case CHANGE_STATUS:
		json_word(b, "run_status", e->text);
		break;
	case CHANGE_STATS:
		if (w->cfg.numbers)
			w->cfg.numbers(w->cfg.arg, b);
		break;
	case CHANGE_NOTE:
		json_word(b, "what", e->text);
		break;
	}
	json_end(b);
}

/* A row that comes again soon, and all numbers but the newest, say nothing. */
static bool says_nothing(const struct change *e, size_t n, size_t i)
{
	if (e[i].kind == CHANGE_STREAM)
		return told_later(e, n, i);
	if (e[i].kind == CHANGE_STATS)
		for (size_t k = i + 1; k < n; k++)
			if (e[k].kind == CHANGE_STATS)
				return true;
	return false;
}

/* What is behind `cursor`, as members of an object; the new cursor. */
static uint64_t put_deltas(struct web *w, struct buf *b, uint64_t cursor,
			   size_t limit)
{
	struct changes_range range = changes_range(w->changes);
	struct change *e = mem_array(limit ? limit : 1, sizeof(*e));
	bool missed = cursor + 1 < range.first || cursor >= range.next;
	size_t n;
	char status[16];

	if (missed)
		cursor = range.first - 1;
	n = changes_read(w->changes, cursor + 1, e, limit);
	json_list(b, "deltas");
	for (size_t i = 0; i < n; i++)
		if (!says_nothing(e, n, i))
			put_entry(w, b, &e[i]);
	json_list_end(b);
	if (n)
		cursor = e[n - 1].cursor;
	free(e);
	json_uint(b, "next_cursor", cursor);
	json_uint(b, "latest_cursor", range.next - 1);
	json_uint(b, "dropped_before", range.first - 1);
	json_bool(b, "missed", missed);
	json_word(b, "run_status", web_status_of(w, status));
	return cursor;
}

/* -- waiting ------------------------------------------------------------------------ */

static void waiter_free(struct waiter *waiter)
{
	struct waiter **at = &waiter->web->waiters;

	while (*at != waiter)
		at = &(*at)->next;
	*at = waiter->next;
	free(waiter);
}

static void on_gone(void *arg)
{
	waiter_free(arg);
}

static struct waiter *waiter_new(struct web *w, struct http_request *r,
				 uint64_t cursor)
{
	struct waiter *waiter;
	int n = 0;

	for (waiter = w->waiters; waiter; waiter = waiter->next)
		n++;
	if (n >= WAITERS_MAX) {
		http_fail(r, 503, "%d clients wait for changes already",
			  WAITERS_MAX);
		return NULL;
	}
	waiter = mem_alloc(sizeof(*waiter));
	waiter->web = w;
	waiter->r = r;
	waiter->cursor = cursor;
	waiter->next = w->waiters;
	w->waiters = waiter;
	return waiter;
}

static void answer(struct web *w, struct http_request *r, uint64_t cursor,
		   uint64_t limit)
{
	struct buf *b = http_out(r);

	json_begin(b, NULL);
	put_deltas(w, b, cursor, (size_t)limit);
	json_end(b);
	http_json(r, 200);
}

/* A poll is answered when there is something, or its time is over. */
static void serve_poll(struct waiter *waiter, uint64_t at)
{
	struct web *w = waiter->web;
	struct changes_range range = changes_range(w->changes);

	if (waiter->cursor + 1 >= range.next && at < waiter->until_ns)
		return;
	answer(w, waiter->r, waiter->cursor, waiter->limit);
	waiter_free(waiter);
}

void web_deltas(void *app, struct http_request *r)
{
	struct web *w = app;
	uint64_t cursor = 0, limit = DELTAS_DEFAULT, wait_ms = 0;
	struct waiter *waiter;

	if (!web_take_uint(r, "cursor", UINT64_MAX / 2, &cursor) ||
	    !web_take_uint(r, "limit", DELTAS_MAX, &limit) ||
	    !web_take_uint(r, "wait_ms", WAIT_MAX_MS, &wait_ms))
		return;
	if (!limit) {
		http_fail(r, 400, "limit is at least 1");
		return;
	}
	/* A cursor of another run is from the future: it is told so at once. */
	if (!wait_ms || cursor + 1 != changes_range(w->changes).next) {
		answer(w, r, cursor, limit);
		return;
	}
	waiter = waiter_new(w, r, cursor);
	if (!waiter)
		return;
	waiter->limit = limit;
	waiter->until_ns = now() + wait_ms * 1000000;
	http_keep(r, on_gone, waiter);
}

/* -- server-sent events ---------------------------------------------------------------- */

static void put_event(struct waiter *waiter, struct buf *b)
{
	struct buf json = { 0 };

	json_begin(&json, NULL);
	waiter->cursor = put_deltas(waiter->web, &json, waiter->cursor,
				    EVENTS_AT_ONCE);
	json_end(&json);
	put_format(b, "id: %llu\ndata: ",
		   (unsigned long long)waiter->cursor);
	put_bytes(b, buf_bytes(&json));
	put_text(b, "\n\n");
	buf_release(&json);
}

/* Whoever does not read gets nothing more until it has; then it has missed. */
static void serve_events(struct waiter *waiter, uint64_t at)
{
	struct changes_range range = changes_range(waiter->web->changes);
	struct buf b = { 0 };

	if (http_behind(waiter->r) > BEHIND_MAX ||
	    at - waiter->last_ns < event_every_ns)
		return;
	if (waiter->cursor + 1 < range.next)
		put_event(waiter, &b);
	else if (at - waiter->last_ns >= beat_ns)
		put_text(&b, ": still here\n\n");
	if (b.len) {
		waiter->last_ns = at;
		http_write(waiter->r, buf_bytes(&b));
	}
	buf_release(&b);
}

void web_events(void *app, struct http_request *r)
{
	struct web *w = app;
	const char *last = http_header(r, "Last-Event-ID");
	struct changes_range range = changes_range(w->changes);
	uint64_t cursor = range.next - 1;
	struct waiter *waiter;

	if (!web_take_uint(r, "cursor", UINT64_MAX / 2, &cursor))
		return;
	if (last)
		(void)text_to_uint(last, &cursor);
	waiter = waiter_new(w, r, cursor);
	if (!waiter)
		return;
	waiter->events = true;
	http_stream(r, "text/event-stream", on_gone, waiter);
	http_write(r, bytes_of_text("retry: 1000\n\n"));
	serve_events(waiter, now());
}

void web_serve_waiters(struct web *w)
{
	uint64_t at = now();
	struct waiter *next;

	for (struct waiter *i = w->waiters; i; i = next) {
		next = i->next;
		if (i->events)
			serve_events(i, at);
		else
			serve_poll(i, at);
	}
}
