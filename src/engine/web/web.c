/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/web/web_priv.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "codec/base64.h"
#include "sys/sys.h"

static const uint64_t stats_every_ns = 1000000000;

static const struct http_route routes[] = {
	{ "GET", "/", web_page },
	{ "GET", "/app.js", web_page },
	{ "GET", "/styles.css", web_page },
	{ "GET", "/api/health", web_health },
	{ "GET", "/api/streams", web_streams },
	{ "GET", "/api/streams/{id}", web_stream },
	{ "GET", "/api/streams/{id}/matches", web_matches },
	{ "GET", "/api/streams/{id}/messages", web_messages },
	{ "GET", "/api/streams/{id}/content", web_content },
	{ "GET", "/api/streams/{id}/conversation", web_conversation },
	{ "PATCH", "/api/streams/{id}/state", web_set_state },
	{ "GET", "/api/view/hide-rules", web_rules },
	{ "POST", "/api/view/hide-rules", web_add_rule },
	{ "DELETE", "/api/view/hide-rules", web_remove_rule },
	{ "DELETE", "/api/view/hide-rules/{id}", web_remove_rule },
	{ "GET", "/api/search", web_search },
	{ "GET", "/api/query/keys", web_query_keys },
	{ "GET", "/api/live/deltas", web_deltas },
	{ "GET", "/api/live/events", web_events },
};

/* -- parameters --------------------------------------------------------------- */

bool web_take_uint(struct http_request *r, const char *name, uint64_t most,
		   uint64_t *v)
{
	const char *text = http_query(r, name);

	if (!text)
		return true;
	if (text_to_uint(text, v) == 0 && *v <= most)
		return true;
	http_fail(r, 400, "%s takes a number up to %llu, not \"%.40s\"", name,
		  (unsigned long long)most, text);
	return false;
}

bool web_take_bool(struct http_request *r, const char *name, bool *v)
{
	const char *text = http_query(r, name);

	if (!text)
		return true;
	if (strcmp(text, "true") == 0 || strcmp(text, "1") == 0)
		*v = true;
	else if (strcmp(text, "false") == 0 || strcmp(text, "0") == 0)
		*v = false;
	else {
		http_fail(r, 400, "%s takes true or false, not \"%.40s\"",
			  name, text);
		return false;
	}
	return true;
}

static bool all_hex(const char *text)
{
	size_t n = strspn(text, "0123456789abcdefABCDEF");

	return n > 0 && n <= 16 && text[n] == 0;
}

bool web_parse_id(const char *text, uint64_t ids[2], int *n)
{
	bool prefixed = strncmp(text, "0x", 2) == 0;
	const char *digits = prefixed ? text + 2 : text;
	bool decimal = !prefixed && text_to_uint(text, &ids[1]) == 0;

	*n = 0;
	/* As we write it ourselves: 16 hexadecimal digits, maybe all decimal. */
	if (all_hex(digits) && (prefixed || strlen(digits) == 16))
		ids[(*n)++] = strtoull(digits, NULL, 16);
	if (decimal)
		ids[*n] = ids[1], ++*n;
	/* Hexadecimal beyond doubt, though somebody has cut its zeros. */
	if (!*n && all_hex(digits))
		ids[(*n)++] = strtoull(digits, NULL, 16);
	return *n > 0;
}

void web_store_failed(struct http_request *r, const struct err *err)
{
	http_fail(r, err->code == ERR_GONE ? 404 : 500, "%s", err->text);
}

bool web_take_stream(struct web *w, struct http_request *r,
		     struct store_row *row)
{
	const char *text = http_param(r, 0);
	struct err err = ERR_NONE;
	uint64_t ids[2];
	int n;

	if (!web_parse_id(text, ids, &n)) {
		http_fail(r, 400,
			  "\"%.40s\" is no stream id: 16 hexadecimal digits, "
			  "or a decimal number",
			  text);
		return false;
	}
	for (int i = 0; i < n; i++) {
		err = ERR_NONE;
		if (store_view_row(w->view, ids[i], row, &err) == 0)
			return true;
		if (err.code != ERR_GONE)
			break;
	}
	web_store_failed(r, &err);
	return false;
}

/* -- health --------------------------------------------------------------------- */

const char *web_status_of(struct web *w, char out[16])
{
	pthread_mutex_lock(&w->status_lock);
	memcpy(out, w->run_status, sizeof(w->run_status));
	pthread_mutex_unlock(&w->status_lock);
	return out;
}

static void put_view(struct web *w, struct buf *b)
{
	size_t rules;

	notes_rules(w->notes, &rules);
	json_begin(b, "view");
	json_uint(b, "favorites", notes_favorites(w->notes));
	json_uint(b, "hidden", notes_hidden(w->notes));
	json_uint(b, "hide_rules", rules);
	json_uint(b, "version", notes_version(w->notes));
	json_end(b);
}

static void put_http(struct web *w, struct buf *b)
{
	struct http_counters c;

	http_counters(w->http, &c);
	json_begin(b, "http");
	json_uint(b, "requests", c.requests);
	json_uint(b, "refused", c.refused);
	json_uint(b, "connections", c.connections);
	json_end(b);
}

void web_health(void *app, struct http_request *r)
{
	struct web *w = app;
	struct changes_range range = changes_range(w->changes);
	struct buf *b = http_out(r);
	char status[16];

	json_begin(b, NULL);
	json_word(b, "status", "ok");
	json_word(b, "run_status", web_status_of(w, status));
	if (w->cfg.numbers)
		w->cfg.numbers(w->cfg.arg, b);
	put_view(w, b);
	put_http(w, b);
	json_uint(b, "latest_delta_cursor", range.next - 1);
	json_uint(b, "dropped_delta_cursor", range.first - 1);
	json_end(b);
	http_json(r, 200);
}

/* -- life --------------------------------------------------------------------------- */

static void on_woken(void *app)
{
	web_serve_waiters(app);
	web_serve_searches(app);
}

static void on_tick(void *app)
{
	struct web *w = app;
	struct sys *sys = sys_host();
	uint64_t now = sys->mono_ns(sys);

	changes_settle(w->changes, now);
	if (now - w->stats_ns >= stats_every_ns) {
		w->stats_ns = now;
		changes_stats(w->changes);
	}
	web_serve_waiters(w);
	web_serve_searches(w);
}

/* Any thread; the server is there before anybody follows streams. */
static void on_live(void *arg)
{
	struct web *w = arg;

	http_wake(w->http);
}

static int open_parts(struct web *w, struct err *err)
{
	char *path = mem_format("%s/page.db", w->cfg.dir);

	w->notes = notes_open(path, err);
	free(path);
	if (!w->notes)
		return err->code;
	w->view = w->cfg.store ? store_view_of(w->cfg.store)
			       : store_view_open(NULL, w->cfg.dir, NULL, err);
	return w->view ? 0 : err->code;
}

struct web *web_start(const struct web_config *cfg, struct err *err)
{
	struct web *w = mem_alloc(sizeof(*w));
	const struct http_config http = {
		.address = cfg->address,
		.hosts = cfg->hosts,
		.n_hosts = cfg->n_hosts,
		.routes = routes,
		.n_routes = sizeof(routes) / sizeof(*routes),
		.app = w,
		.admit = web_admit,
		.woken = on_woken,
		.tick = on_tick,
	};

	w->cfg = *cfg;
	pthread_mutex_init(&w->status_lock, NULL);
	snprintf(w->run_status, sizeof(w->run_status), "running");
	w->changes = changes_new(cfg->deltas_max, on_live, w);
	if (cfg->token)
		w->token = mem_text(cfg->token);
	if (web_may_listen(cfg, err) == 0 && open_parts(w, err) == 0 &&
	    http_start(&w->http, &http, err) == 0)
		return w;
	web_stop(w);
	return NULL;
}

void web_stop(struct web *w)
{
	if (!w)
		return;
	http_stop(w->http);
	store_view_close(w->view);
	notes_close(w->notes);
	changes_free(w->changes);
	pthread_mutex_destroy(&w->status_lock);
	if (w->token)
		mem_wipe(w->token, strlen(w->token));
	free(w->token);
	free(w);
}

const char *web_address(const struct web *w)
{
	return http_address(w->http);
}

struct changes *web_changes(struct web *w)
{
	return w->changes;
}

void web_run_status(struct web *w, const char *status)
{
	pthread_mutex_lock(&w->status_lock);
	snprintf(w->run_status, sizeof(w->run_status), "%s", status);
	pthread_mutex_unlock(&w->status_lock);
	changes_status(w->changes, status);
}
