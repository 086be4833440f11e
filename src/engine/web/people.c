/* SPDX-License-Identifier: Apache-2.0 */
/*
 * people.c - what people change: favourites, hidden streams, hide rules.
 */
#include "engine/web/web_priv.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* The body as an object; NULL: answered with 400. */
static json_t *take_object(struct http_request *r)
{
	struct bytes body = http_body(r);
	json_error_t why;
	json_t *o = json_loadb((const char *)body.p, body.len,
			       JSON_REJECT_DUPLICATES, &why);

	if (json_is_object(o))
		return o;
	if (o)
		http_fail(r, 400, "the body is JSON, but no object");
	else
		http_fail(r, 400, "the body is no JSON: %s at byte %d",
			  why.text, why.position);
	json_decref(o);
	return NULL;
}

/* Who says it, as long as there is no sign-in: the page's "name". */
static void take_name(json_t *o, char by[NOTES_BY])
{
	const char *name = json_string_value(json_object_get(o, "by"));

	snprintf(by, NOTES_BY, "%s", name ? name : "");
}

static bool take_flag(struct http_request *r, json_t *o, const char *name,
		      bool *v)
{
	json_t *is = json_object_get(o, name);

	if (!is)
		return true;
	if (json_is_boolean(is)) {
		*v = json_is_true(is);
		return true;
	}
	http_fail(r, 400, "%s takes true or false", name);
	return false;
}

static void answer_row(struct web *w, struct http_request *r,
		       const struct store_row *row)
{
	struct buf *b = http_out(r);

	json_begin(b, NULL);
	web_put_row(w, b, "row", row);
	json_uint(b, "version", notes_version(w->notes));
	json_end(b);
	http_json(r, 200);
}

void web_set_state(void *app, struct http_request *r)
{
	struct web *w = app;
	struct err err = ERR_NONE;
	struct notes_state state;
	struct store_row row;
	char by[NOTES_BY];
	json_t *o;

	if (!web_take_stream(w, r, &row))
		return;
	o = take_object(r);
	if (!o)
		return;
	state = notes_state(w->notes, row.id);
	take_name(o, by);
	if (take_flag(r, o, "favorite", &state.favorite) &&
	    take_flag(r, o, "hidden", &state.hidden)) {
		if (notes_set_state(w->notes, row.id, state, by, &err) < 0) {
			http_fail(r, err.code == ERR_FULL ? 409 : 500, "%s",
				  err.text);
		} else {
			changes_stream(w->changes, row.id);
			answer_row(w, r, &row);
		}
	}
	json_decref(o);
}

/* -- hide rules -------------------------------------------------------------- */

static void put_rule(struct buf *b, const struct notes_rule *rule)
{
	json_begin(b, NULL);
	json_uint(b, "id", rule->id);
	json_word(b, "kind", notes_kind_name(rule->kind));
	json_word(b, "value", rule->value);
	json_word(b, "by", rule->by);
	json_uint(b, "created_us", rule->at_ns / 1000);
	json_end(b);
}

static void answer_rules(struct web *w, struct http_request *r)
{
	const struct notes_rule *rules;
	struct buf *b = http_out(r);
	size_t n;

	rules = notes_rules(w->notes, &n);
	json_begin(b, NULL);
	json_list(b, "rules");
	for (size_t i = 0; i < n; i++)
		put_rule(b, &rules[i]);
	json_list_end(b);
	json_uint(b, "version", notes_version(w->notes));
	json_end(b);
	http_json(r, 200);
}

void web_rules(void *app, struct http_request *r)
{
	answer_rules(app, r);
}

/* A stream's id and a port have one spelling, so that a rule fits or not. */
static bool take_value(struct http_request *r, struct notes_rule *rule,
		       json_t *value)
{
	const char *text = json_string_value(value);
	char number[32];
	uint64_t ids[2], port;
	int n;

	if (json_is_integer(value)) {
		snprintf(number, sizeof(number), "%" PRIu64,
			 (uint64_t)json_integer_value(value));
		text = number;
	}
	if (!text || !*text || strlen(text) >= sizeof(rule->value)) {
		http_fail(r, 400, "value is a text of 1 to %d bytes",
			  NOTES_VALUE - 1);
		return false;
	}
	snprintf(rule->value, sizeof(rule->value), "%s", text);
	if (rule->kind == NOTES_STREAM) {
		if (!web_parse_id(text, ids, &n)) {
			http_fail(r, 400, "\"%s\" is no stream id", text);
			return false;
		}
		snprintf(rule->value, sizeof(rule->value), "%016" PRIx64,
			 ids[0]);
	} else if (rule->kind == NOTES_PORT) {
		if (text_to_uint(text, &port) < 0 || port > 65535) {
			http_fail(r, 400, "\"%s\" is no port", text);
			return false;
		}
		snprintf(rule->value, sizeof(rule->value), "%" PRIu64, port);
	}
	return true;
}

static bool take_rule(struct http_request *r, json_t *o,
		      struct notes_rule *rule)
{
	const char *kind = json_string_value(json_object_get(o, "kind"));
	int number = kind ? notes_kind_of(kind) : -1;

	if (number < 0) {
		http_fail(r, 400,
			  "kind is stream, service, protocol, port, "
			  "content_kind, status or pattern, not \"%.40s\"",
			  kind ? kind : "");
		return false;
	}
	rule->kind = (enum notes_rule_kind)number;
	take_name(o, rule->by);
	return take_value(r, rule, json_object_get(o, "value"));
}

void web_add_rule(void *app, struct http_request *r)
{
	struct web *w = app;
	struct notes_rule rule = { .id = 0 };
	struct err err = ERR_NONE;
	json_t *o = take_object(r);

	if (!o)
		return;
	if (take_rule(r, o, &rule)) {
		if (notes_add_rule(w->notes, &rule, &err) < 0) {
			http_fail(r, err.code == ERR_FULL ? 409 : 500, "%s",
				  err.text);
		} else {
			changes_note(w->changes, 0, "hide_rules");
			answer_rules(w, r);
		}
	}
	json_decref(o);
}

/* By id in the path, or ?id=, or ?kind= and value=. */
static bool find_rule(struct web *w, struct http_request *r, uint64_t *id)
{
	const char *given = *http_param(r, 0) ? http_param(r, 0)
					      : http_query(r, "id");
	const char *kind = http_query(r, "kind");
	const char *value = http_query(r, "value");
	const struct notes_rule *rules;
	size_t n;

	if (given && text_to_uint(given, id) == 0)
		return true;
	rules = notes_rules(w->notes, &n);
	for (size_t i = 0; kind && value && i < n; i++)
		if (strcmp(notes_kind_name(rules[i].kind), kind) == 0 &&
		    strcmp(rules[i].value, value) == 0) {
			*id = rules[i].id;
			return true;
		}
	if (kind && value)
		http_fail(r, 404, "no rule hides %.40s %.100s", kind, value);
	else
		http_fail(r, 400, "name the rule: its id, or kind and value");
	return false;
}

void web_remove_rule(void *app, struct http_request *r)
{
	struct web *w = app;
	struct err err = ERR_NONE;
	uint64_t id;

	if (!find_rule(w, r, &id))
		return;
	if (notes_remove_rule(w->notes, id, &err) < 0) {
		web_store_failed(r, &err);
	} else {
		changes_note(w->changes, 0, "hide_rules");
		answer_rules(w, r);
	}
}
