/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/show_converted.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "cmd/bytes_text.h"
#include "cmd/store_text.h"
#include "codec/json.h"
#include "engine/convert/convert.h"
#include "engine/store/view.h"

/* -- the stream into a request ------------------------------------ */

struct asking {
	struct store_view *view;
	const struct store_row *row;
	struct convert_request *request;
	struct err *err;
	/* What one side says until the other one speaks. */
	int way;
	uint64_t asked[2], to, time_ns;
};

static int on_piece(void *arg, const struct store_piece *piece)
{
	struct asking *a = arg;

	if (!piece->hole)
		return !convert_request_data(a->request, a->way, piece->offset,
					     a->time_ns, piece->data);
	convert_request_missing(a->request, a->way, piece->offset, piece->len,
				store_hole_name(piece->why));
	return 0;
}

static void ask_run(struct asking *a)
{
	uint64_t from = a->asked[a->way];

	if (a->to <= from || a->request->cut)
		return;
	a->asked[a->way] = a->to;
	store_view_read(a->view, a->row->id, a->way, from, a->to - from,
			on_piece, a, a->err);
}

static int on_turn(void *arg, const struct store_turn *turn)
{
	struct asking *a = arg;

	if (a->way >= 0 && turn->way != a->way)
		ask_run(a);
	if (turn->way != a->way || a->to <= a->asked[turn->way])
		a->time_ns = turn->time_ns;
	a->way = turn->way;
	a->to = turn->offset + turn->len;
	return a->err->code || a->request->cut;
}

static void make_request(struct asking *a, const struct converter *c)
{
	char end[2][ENDPOINT_TEXT];
	struct convert_about about = {
		.id = a->row->id,
		.service = a->row->service,
		.protocol = store_protocol(a->row),
		.endpoint = { store_endpoint(end[0], a->row, 0),
			      store_endpoint(end[1], a->row, 1) },
		.opener = a->row->flow.opener == 1,
	};

	convert_request_begin(a->request, c, &about);
	a->way = -1;
	store_view_turns(a->view, a->row->id, on_turn, a, a->err);
	if (a->way >= 0)
		ask_run(a);
	for (a->way = 0; a->way < 2; a->way++) {
		a->to = a->row->end[a->way];
		a->time_ns = a->row->flow.last_ns;
		ask_run(a);
	}
	convert_request_end(a->request);
}

/* -- the answer --------------------------------------------------- */

static void print_title(const struct store_row *row,
			const struct convert_chunk *chunk, bool fresh_line)
{
	char from[ENDPOINT_TEXT], to[ENDPOINT_TEXT];

	printf("%s--- %c: %s > %s, converted", fresh_line ? "" : "\n",
	       'a' + chunk->way, store_endpoint(from, row, chunk->way),
	       store_endpoint(to, row, !chunk->way));
	if (chunk->has_range)
		printf(", from bytes %" PRIu64 " to %" PRIu64, chunk->from,
		       chunk->to);
	putchar('\n');
}

static void print_json(const struct convert_chunk *chunk, struct bytes data)
{
	struct buf b = { 0 };

	json_begin(&b, NULL);
	json_word(&b, "direction", chunk->way ? "b" : "a");
	if (chunk->has_range) {
		json_uint(&b, "start", chunk->from);
		json_uint(&b, "end", chunk->to);
	}
	json_base64(&b, "data", data);
	json_end(&b);
	put_u8(&b, '\n');
	fwrite(b.p, 1, b.len, stdout);
	buf_release(&b);
}

static void print_answer(const struct store_row *row,
			 const struct show_converted *how,
			 const struct convert_answer *answer)
{
	bool fresh_line = true;

	for (size_t i = 0; i < answer->n && !ferror(stdout); i++) {
		const struct convert_chunk *chunk = &answer->chunks[i];
		struct bytes data =
			bytes_of(answer->bytes.p + chunk->at, chunk->len);

		if (how->way >= 0 && chunk->way != how->way)
			continue;
		if (how->mode == SHOW_RAW) {
			fwrite(data.p, 1, data.len, stdout);
			continue;
		}
		if (how->mode == SHOW_JSON) {
			print_json(chunk, data);
			continue;
		}
		print_title(row, chunk, fresh_line);
		fresh_line = true;
		if (how->mode == SHOW_HEX)
			bytes_print_hex(stdout, 0, data);
		else
			bytes_print_text(stdout, data, &fresh_line);
	}
	if (!fresh_line)
		putchar('\n');
}

int show_converted(struct store_view *v, const struct store_row *row,
		   const struct show_converted *how, struct err *err)
{
	struct converter_config cfg = CONVERTER_CONFIG_DEFAULT;
	struct convert_request request = { .id = row->id };
	struct convert_answer answer = { .n = 0 };
	struct asking a = {
		.view = v, .row = row, .request = &request, .err = err
	};
	struct converter *c;

	cfg.command = how->converter;
	cfg.processes = 1;
	cfg.stream_ns = how->time_ns;
	c = converter_new(&cfg, err);
	if (!c)
		return err->code;
	make_request(&a, c);
	if (!err->code && converter_run(c, &request, &answer) != CONVERT_DONE)
		err_set(err, ERR_FAILED, "%s: %s: %s", how->converter,
			convert_state_name(answer.state), answer.err.text);
	print_answer(row, how, &answer);
	convert_answer_release(&answer);
	convert_request_release(&request);
	converter_free(c);
	return err->code;
}
