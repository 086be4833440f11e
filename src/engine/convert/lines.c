/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lines.c - what is said to a converter and what it says, as doc/converters.md
 * has it.
 */
#include "engine/convert/convert_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "codec/jsonread.h"

/* A line of data; a longer piece is cut into several. */
enum { DATA_MAX = 48 << 10 };

/* -- requests ----------------------------------------------------- */

static void begin_line(struct convert_request *r, const char *what)
{
	json_begin(&r->lines, NULL);
	json_word(&r->lines, "do", what);
	json_hex64(&r->lines, "id", r->id);
}

static void end_line(struct convert_request *r)
{
	json_end(&r->lines);
	put_u8(&r->lines, '\n');
}

static void put_opening(struct convert_request *r,
			const struct convert_about *about)
{
	begin_line(r, "begin");
	json_uint(&r->lines, "version", 1);
	json_word(&r->lines, "service", about->service);
	json_word(&r->lines, "protocol", about->protocol);
	json_word(&r->lines, "a", about->endpoint[0]);
	json_word(&r->lines, "b", about->endpoint[1]);
	json_word(&r->lines, "opener", about->opener ? "b" : "a");
	end_line(r);
}

static void put_data(struct convert_request *r, int way, uint64_t offset,
		     uint64_t time_ns, struct bytes data)
{
	begin_line(r, "data");
	json_word(&r->lines, "from", way ? "b" : "a");
	json_uint(&r->lines, "offset", offset);
	json_uint(&r->lines, "time_ns", time_ns);
	json_base64(&r->lines, "data", data);
	end_line(r);
}

bool convert_request_data(struct convert_request *r, int way, uint64_t offset,
			  uint64_t time_ns, struct bytes data)
{
	uint64_t room = r->input_max - r->input;

	if (data.len > room) {
		r->cut = true;
		data.len = (size_t)room;
	}
	r->input += data.len;
	for (size_t at = 0; at < data.len; at += DATA_MAX) {
		size_t n = data.len - at < DATA_MAX ? data.len - at : DATA_MAX;

		put_data(r, way, offset + at, time_ns,
			 bytes_of(data.p + at, n));
	}
	return !r->cut;
}

void convert_request_missing(struct convert_request *r, int way,
			     uint64_t offset, uint64_t len, const char *why)
{
	begin_line(r, "missing");
	json_word(&r->lines, "from", way ? "b" : "a");
	json_uint(&r->lines, "offset", offset);
	json_uint(&r->lines, "length", len);
	json_word(&r->lines, "why", why);
	end_line(r);
}

void convert_request_end(struct convert_request *r)
{
	begin_line(r, "end");
	json_bool(&r->lines, "cut", r->cut);
	end_line(r);
}

void convert_request_release(struct convert_request *r)
{
	buf_release(&r->lines);
	*r = (struct convert_request){ 0 };
}

void convert_request_begin(struct convert_request *r, const struct converter *c,
			   const struct convert_about *about)
{
	*r = (struct convert_request){
		.id = about->id,
		.input_max = converter_config(c)->input_max,
	};
	put_opening(r, about);
}

/* -- answers ------------------------------------------------------ */

/* The members of a line that mean something. */
struct answer_line {
	bool has_id, has_data, done, has_error, has_from, has_offset, wrong;
	char id[32];
	int way;
	uint64_t offset, length;
	bool has_length;
	struct json_member data, error;
};

static void take_id(struct answer_line *l, const struct json_member *m)
{
	l->has_id = m->kind == JSON_STRING && m->value.len < sizeof(l->id);
	if (l->has_id) {
		memcpy(l->id, m->value.p, m->value.len);
		l->id[m->value.len] = '\0';
	}
}

static void on_member(void *arg, const struct json_member *m)
{
	struct answer_line *l = arg;

	if (json_is_named(m, "id")) {
		take_id(l, m);
	} else if (json_is_named(m, "from")) {
		l->has_from = m->kind == JSON_STRING && m->value.len == 1 &&
			      (m->value.p[0] == 'a' || m->value.p[0] == 'b');
		l->way = l->has_from && m->value.p[0] == 'b';
		l->wrong |= !l->has_from;
	} else if (json_is_named(m, "data")) {
		l->has_data = m->kind == JSON_STRING;
		l->wrong |= !l->has_data;
		l->data = *m;
	} else if (json_is_named(m, "offset")) {
		l->has_offset = json_to_uint(m, &l->offset) == 0;
		l->wrong |= !l->has_offset;
	} else if (json_is_named(m, "length")) {
		l->has_length = json_to_uint(m, &l->length) == 0;
		l->wrong |= !l->has_length;
	} else if (json_is_named(m, "error")) {
		l->has_error = m->kind == JSON_STRING;
		l->wrong |= !l->has_error;
		l->error = *m;
	} else if (json_is_named(m, "done")) {
		l->done = json_is_true(m);
	}
}

static int nonsense(struct convert_answer *a, const char *why)
{
	a->state = CONVERT_NONSENSE;
	err_set(&a->err, ERR_MALFORMED, "%s", why);
	return 1;
}

static int refused(struct convert_answer *a, const struct json_member *error)
{
	struct buf text = { 0 };

	json_put_string(&text, error);
	a->state = CONVERT_REFUSED;
	err_set(&a->err, ERR_FAILED, "the converter says: %.*s",
		text.len < 200 ? (int)text.len : 200,
		text.len ? (const char *)text.p : "");
	buf_release(&text);
	return 1;
}

static int take_data(struct convert_answer *a, const struct answer_line *l)
{
	struct convert_chunk chunk = { .way = l->way,
				       .at = a->bytes.len,
				       .has_range =
					       l->has_offset && l->has_length,
				       .from = l->offset,
				       .to = l->offset + l->length };
	struct buf text = { 0 };
	size_t padding = 0, len;
	int rc;

	json_put_string(&text, &l->data);
	while (padding < 2 && padding < text.len &&
	       text.p[text.len - 1 - padding] == '=')
		padding++;
	len = text.len / 4 * 3;
	len = len > padding ? len - padding : 0;
	rc = base64_parse(buf_bytes(&text), buf_reserve(&a->bytes, len + 3),
			  len);
	buf_release(&text);
	if (rc < 0)
		return nonsense(a, "its data is no base64");
	if (a->n == CONVERT_CHUNKS_MAX)
		return nonsense(a, "more than 65536 pieces in one answer");
	buf_added(&a->bytes, len);
	chunk.len = len;
	if (a->n == a->cap) {
		a->cap = a->cap ? 2 * a->cap : 8;
		a->chunks = mem_grow(a->chunks, a->cap * sizeof(*a->chunks));
	}
	a->chunks[a->n++] = chunk;
	return 0;
}

int convert_answer_line(struct convert_answer *a, uint64_t id,
			struct bytes line)
{
	struct answer_line l = { .way = 0 };
	char wanted[32];

	snprintf(wanted, sizeof(wanted), "%016" PRIx64, id);
	if (json_read(line, on_member, &l) < 0)
		return nonsense(a, "it wrote a line that is no JSON object");
	if (!l.has_id || strcmp(l.id, wanted) != 0)
		return nonsense(a, "it answered to another id than it was "
				   "asked about");
	if (l.wrong || (l.has_data && !l.has_from) ||
	    l.length > UINT64_MAX - l.offset)
		return nonsense(a, "a member of its line is not what it must "
				   "be");
	if (l.has_data && take_data(a, &l) != 0)
		return 1;
	if (l.has_error)
		return refused(a, &l.error);
	if (l.done)
		a->state = CONVERT_DONE;
	return l.done;
}

void convert_answer_release(struct convert_answer *a)
{
	buf_release(&a->bytes);
	free(a->chunks);
	*a = (struct convert_answer){ 0 };
}
