/* SPDX-License-Identifier: Apache-2.0 */
/*
 * web_priv.h - what the answers of the API share.  One thread, the server's,
 * runs all of it.
 */
#ifndef ENGINE_WEB_WEB_PRIV_H
#define ENGINE_WEB_WEB_PRIV_H

#include <pthread.h>

#include "base/buf.h"
#include "base/err.h"
#include "codec/json.h"
#include "engine/store/view.h"
#include "engine/web/http.h"
#include "engine/web/changes.h"
#include "engine/web/notes.h"
#include "engine/web/web.h"

struct waiter;
struct search_job;

struct web {
	struct web_config cfg;
	char *token; /* owned, or NULL */
	struct http_server *http;
	struct changes *changes;
	struct notes *notes;
	struct store_view *view;
	pthread_mutex_t status_lock;
	char run_status[16];
	struct waiter *waiters; /* long polls and event streams; a list */
	struct search_job *searches; /* a list */
	uint64_t stats_ns;	/* when numbers were last told */
};

/* "running", …; borrowed until the next call. */
const char *web_status_of(struct web *w, char out[16]);

/* admit.c: may this request be answered?  Else it has been. */
bool web_admit(void *app, struct http_request *r);
/* May it listen there?  0, or a sentence. */
int web_may_listen(const struct web_config *cfg, struct err *err);

/* -- parameters: false when the request has been answered with 400 ------------ */

bool web_take_uint(struct http_request *r, const char *name, uint64_t most,
		   uint64_t *v);
bool web_take_bool(struct http_request *r, const char *name, bool *v);

/* A stream's id: 16 hexadecimal digits, 0x…, or a decimal number. */
bool web_parse_id(const char *text, uint64_t ids[2], int *n);
/* The row of the stream in the path; false: answered with 400 or 404. */
bool web_take_stream(struct web *w, struct http_request *r,
		     struct store_row *row);

/* ?direction=a_to_b or b_to_a. */
bool web_take_direction(struct http_request *r, int *way);

/* Answers with what went wrong in the store. */
void web_store_failed(struct http_request *r, const struct err *err);

/* -- rows ---------------------------------------------------------------------- */

void web_put_row(struct web *w, struct buf *b, const char *name,
		 const struct store_row *row);
const char *web_status_name(const struct store_row *row);
const char *web_protocol_name(uint8_t protocol);
const char *web_kind_name(const struct store_row *row);
void web_put_match(struct buf *b, const struct store_match *m);


/* -- routes ---------------------------------------------------------------------- */

void web_page(void *app, struct http_request *r);
void web_health(void *app, struct http_request *r);
void web_streams(void *app, struct http_request *r);
void web_stream(void *app, struct http_request *r);
void web_matches(void *app, struct http_request *r);
void web_messages(void *app, struct http_request *r);
void web_content(void *app, struct http_request *r);
void web_conversation(void *app, struct http_request *r);
void web_set_state(void *app, struct http_request *r);
void web_rules(void *app, struct http_request *r);
void web_add_rule(void *app, struct http_request *r);
void web_remove_rule(void *app, struct http_request *r);
void web_deltas(void *app, struct http_request *r);
void web_events(void *app, struct http_request *r);
void web_search(void *app, struct http_request *r);
void web_query_keys(void *app, struct http_request *r);

/* A row of the store by its id, as JSON; false: it has gone. */
bool web_put_row_of(struct web *w, struct buf *b, uint64_t id);

/* deltas.c: something is new, or time has passed. */
void web_serve_waiters(struct web *w);

/* search.c: write what was found. */
void web_serve_searches(struct web *w);

#endif
