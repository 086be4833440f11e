/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/show_decoded.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "cmd/bytes_text.h"
#include "cmd/store_text.h"
#include "codec/json.h"
#include "engine/layers/layers.h"
#include "engine/store/view.h"

struct printer {
	const struct show_decoded *how;
	const struct store_row *row;
	bool fresh_line;
	struct buf line; /* of JSON */
};

/* -- for people --------------------------------------------------- */

static void print_title(struct printer *d, const struct layers_item *item)
{
	char from[ENDPOINT_TEXT], to[ENDPOINT_TEXT];

	printf("%s--- %c: %s > %s, bytes %" PRIu64 " to %" PRIu64,
	       d->fresh_line ? "" : "\n", 'a' + item->way,
	       store_endpoint(from, d->row, item->way),
	       store_endpoint(to, d->row, !item->way), item->range.start,
	       item->range.end);
	if (item->message)
		printf(", %s%s: %s",
		       message_protocol_name(item->message->protocol),
		       item->message->status == MESSAGE_PARTIAL ? ", in part"
								: "",
		       item->message->summary);
	putchar('\n');
	d->fresh_line = true;
}

static void print_step(const struct layers_step *s)
{
	const struct layer_result *r = &s->result;

	printf("    %s: ", s->name);
	if (r->status == LAYER_NOOP)
		printf("unchanged, %s", r->why);
	else if (r->status == LAYER_OK)
		printf("%" PRIu64 " bytes into %" PRIu64, r->in, r->out);
	else
		printf("%s at byte %" PRIu64 ", %s; %" PRIu64 " bytes came out",
		       r->status == LAYER_STOPPED ? "stopped" : "failed", r->at,
		       r->why, r->out);
	if (r->behind)
		printf("; %" PRIu64 " bytes stand behind it", r->behind);
	putchar('\n');
}

static void print_notes(struct printer *d, const struct layers_item *item)
{
	for (size_t i = 0; i < item->n_steps; i++)
		print_step(&item->step[i]);
	if (item->unknown.len) {
		fputs("    ", stdout);
		bytes_print_text(stdout, item->unknown, &d->fresh_line);
		puts(": a coding that Weir does not undo");
		d->fresh_line = true;
	}
	if (item->missing)
		printf("    %" PRIu64 " bytes of it are missing\n",
		       item->missing);
	if (item->too_long)
		puts("    it goes on; --decoded-max shows more");
}

static void print_body(struct printer *d, const struct layers_item *item)
{
	if (d->how->mode == SHOW_HEX) {
		bytes_print_hex(stdout, item->range.start, item->head);
		bytes_print_hex(stdout, 0, item->body);
	} else {
		bytes_print_text(stdout, item->head, &d->fresh_line);
		bytes_print_text(stdout, item->body, &d->fresh_line);
	}
}

/* -- for programs ------------------------------------------------- */

static void put_steps(struct buf *b, const struct layers_item *item)
{
	json_list(b, "layers");
	for (size_t i = 0; i < item->n_steps; i++) {
		const struct layer_result *r = &item->step[i].result;

		json_begin(b, NULL);
		json_word(b, "name", item->step[i].name);
		json_word(b, "status", layer_status_name(r->status));
		json_uint(b, "input_bytes", r->in);
		json_uint(b, "output_bytes", r->out);
		if (r->status == LAYER_FAILED || r->status == LAYER_STOPPED)
			json_uint(b, "at", r->at);
		if (r->behind)
			json_uint(b, "behind", r->behind);
		if (r->why)
			json_word(b, "note", r->why);
		json_end(b);
	}
	json_list_end(b);
}

static void put_message(struct buf *b, const struct message *m)
{
	json_word(b, "protocol", message_protocol_name(m->protocol));
	json_word(b, "status", message_status_name(m->status));
	json_word(b, "summary", m->summary);
	if (m->stream)
		json_uint(b, "stream", m->stream);
}

static void print_json(struct printer *d, const struct layers_item *item)
{
	struct buf *b = &d->line;

	buf_clear(b);
	json_begin(b, NULL);
	json_word(b, "direction", item->way ? "b" : "a");
	json_uint(b, "start", item->range.start);
	json_uint(b, "end", item->range.end);
	json_uint(b, "time_ns", item->time_ns);
	if (item->message)
		put_message(b, item->message);
	put_steps(b, item);
	if (item->unknown.len)
		json_text(b, "unknown", item->unknown);
	json_uint(b, "missing", item->missing);
	json_bool(b, "truncated_by_limit", item->too_long);
	json_bool(b, "whole", item->whole);
	if (item->head.len)
		json_base64(b, "head", item->head);
	json_base64(b, "data", item->body);
	json_end(b);
	put_u8(b, '\n');
	fwrite(b->p, 1, b->len, stdout);
}

/* -- all of it ----------------------------------------------------------------
 */

static int on_item(void *self, const struct layers_item *item)
{
	struct printer *d = self;

	if (d->how->way >= 0 && item->way != d->how->way)
		return 0;
	if (d->how->mode == SHOW_JSON) {
		print_json(d, item);
	} else if (d->how->mode == SHOW_RAW) {
		fwrite(item->body.p, 1, item->body.len, stdout);
	} else {
		print_title(d, item);
		print_notes(d, item);
		print_body(d, item);
	}
	return ferror(stdout);
}

int show_decoded(struct store_view *v, const struct store_row *row,
		 const struct show_decoded *how, struct err *err)
{
	struct printer d = { .how = how, .row = row, .fresh_line = true };
	struct layers_config cfg = { .limits = LAYER_LIMITS_DEFAULT };
	struct layers_sink sink = { &d, on_item };

	cfg.limits.out_max = how->out_max;
	if (layers_plan_parse(&cfg.plan, how->layers, err) < 0)
		return err->code;
	layers_of_stream(v, row, &cfg, &sink, err);
	if (!d.fresh_line && how->mode == SHOW_TEXT)
		putchar('\n');
	buf_release(&d.line);
	return err->code;
}
