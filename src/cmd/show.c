/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir show - what a stream says, in the order in which it was said.
 */
#include "cmd/cmd.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/opt.h"
#include "cmd/bytes_text.h"
#include "cmd/rebuild.h"
#include "cmd/show_converted.h"
#include "cmd/show_decoded.h"
#include "cmd/store_dir.h"
#include "cmd/store_text.h"
#include "codec/base64.h"
#include "engine/store/view.h"

enum { LAYER_MOST = 1 << 30 };

struct show {
	const char *dir, *direction;
	bool raw, hex, text, json;
	bool decoded;
	const char *layers, *spool, *pcap;
	struct rebuilt *again; /* what had to make room, from the spool */
	uint64_t decoded_max;
	const char *converter;
	uint64_t converter_ns;
	struct store_view *view;
	struct store_row row;
	struct err *err;

	/* What one side says until the other one speaks. */
	int way;
	uint64_t to, time_ns;
	uint64_t shown[2]; /* offset up to which a direction was printed */
	bool fresh_line;
};

/* -- pieces ---------------------------------------------------------------------- */

static void print_json(const struct show *s, const struct store_piece *piece)
{
	printf("{\"direction\":\"%c\",\"offset\":%" PRIu64 ",\"length\":%" PRIu64
	       ",\"time_ns\":%" PRIu64, 'a' + s->way, piece->offset,
	       piece->len, s->time_ns);
	if (piece->hole) {
		printf(",\"missing\":\"%s\"}\n", store_hole_name(piece->why));
	} else {
		char *data = mem_alloc(BASE64_SIZE(piece->len) + 1);

		printf(",\"data\":\"%s\"}\n", base64_of(data, piece->data));
		free(data);
	}
}

static void print_hole(struct show *s, const struct store_piece *piece)
{
	printf("%s[%" PRIu64 " bytes missing: %s]\n", s->fresh_line ? "" : "\n",
	       piece->len, store_hole_name(piece->why));
	s->fresh_line = true;
}

static int on_piece(void *arg, const struct store_piece *piece)
{
	struct show *s = arg;

	if (s->json)
		print_json(s, piece);
	else if (s->raw)
		fwrite(piece->data.p, 1, piece->data.len, stdout);
	else if (piece->hole)
		print_hole(s, piece);
	else if (s->hex)
		bytes_print_hex(stdout, piece->offset, piece->data);
	else
		bytes_print_text(stdout, piece->data, &s->fresh_line);
	return ferror(stdout);
}

/* -- the conversation ------------------------------------------------------------- */

static void print_mark(struct show *s, uint64_t from)
{
	char one[ENDPOINT_TEXT], other[ENDPOINT_TEXT];

	printf("%s--- %c: %s > %s, bytes %" PRIu64 " to %" PRIu64 "\n",
	       s->fresh_line ? "" : "\n", 'a' + s->way,
	       store_endpoint(one, &s->row, s->way),
	       store_endpoint(other, &s->row, !s->way), from, s->to);
	s->fresh_line = true;
}

/* Print what one side said up to s->to; holes before it belong to it. */
static void say(struct show *s)
{
	uint64_t from = s->shown[s->way];

	if (s->to <= from)
		return;
	s->shown[s->way] = s->to;
	if (s->direction && s->way != s->direction[0] - 'a')
		return;
	if (!s->raw && !s->json)
		print_mark(s, from);
	store_view_read(s->view, s->row.id, s->way, from, s->to - from,
			on_piece, s, s->err);
}

static int on_turn(void *arg, const struct store_turn *turn)
{
	struct show *s = arg;

	if (turn->way != s->way) {
		say(s);
		s->way = turn->way;
		s->time_ns = turn->time_ns;
	}
	if (s->to <= s->shown[s->way])
		s->time_ns = turn->time_ns;
	s->to = turn->offset + turn->len;
	return s->err->code || ferror(stdout);
}

static void converse(struct show *s)
{
	s->way = -1;
	store_view_turns(s->view, s->row.id, on_turn, s, s->err);
	if (s->way >= 0)
		say(s);
	/* What no turn tells of: holes at the end, what came over a cap. */
	for (s->way = 0; s->way < 2 && !s->err->code; s->way++) {
		s->to = s->row.end[s->way];
		s->time_ns = s->row.flow.last_ns;
		say(s);
	}
	if (!s->raw && !s->fresh_line)
		putchar('\n');
}

/* Payload that is gone from the store may be in the packets still. */
static void look_in_spool(struct show *s)
{
	struct err err = ERR_NONE;
	char *known = NULL;

	if (!s->spool && s->row.evicted)
		known = store_view_spool(s->view, s->row.origin);
	if (s->spool)
		s->again = rebuild(&s->row, s->spool, s->err);
	else if (known)
		s->again = rebuild(&s->row, known, &err);
	if (err.code)
		fprintf(stderr, "weir show: %s\n", err.text);
	free(known);
	if (s->again) {
		store_view_close(s->view);
		s->view = rebuilt_view(s->again);
		store_view_row(s->view, s->row.id, &s->row, s->err);
	}
}

static void export_packets(struct show *s)
{
	char *known = s->spool ? mem_text(s->spool)
			       : store_view_spool(s->view, s->row.origin);

	if (known)
		rebuild_capture(&s->row, known, s->pcap, s->err);
	else
		err_set(s->err, ERR_USAGE,
			"the store knows no spool with the stream's packets; "
			"name one with --spool");
	free(known);
}

static void take_packets(struct show *s)
{
	if (s->pcap)
		export_packets(s);
	else
		look_in_spool(s);
}

static enum show_mode mode_of(const struct show *s)
{
	return s->raw	? SHOW_RAW
	       : s->hex ? SHOW_HEX
	       : s->json ? SHOW_JSON
			 : SHOW_TEXT;
}

static void decode(struct show *s)
{
	struct show_decoded how = {
		.mode = mode_of(s),
		.way = s->direction ? s->direction[0] - 'a' : -1,
		.layers = s->layers,
		.out_max = s->decoded_max,
	};

	show_decoded(s->view, &s->row, &how, s->err);
}

static void convert(struct show *s)
{
	struct show_converted how = {
		.mode = mode_of(s),
		.way = s->direction ? s->direction[0] - 'a' : -1,
		.converter = s->converter,
		.time_ns = s->converter_ns,
	};

	show_converted(s->view, &s->row, &how, s->err);
}

static void run(struct show *s, const char *text, struct err *err)
{
	uint64_t id = 0;

	s->err = err;
	s->fresh_line = true;
	if (s->raw + s->hex + s->text + s->json > 1)
		err_set(err, ERR_USAGE,
			"--raw, --hex, --text and --json exclude each other");
	else if (s->converter && (s->decoded || s->layers))
		err_set(err, ERR_USAGE,
			"--converter does its own decoding: --decoded and "
			"--layers are for Weir's");
	else if (s->direction && strcmp(s->direction, "a") != 0 &&
		 strcmp(s->direction, "b") != 0)
		err_set(err, ERR_USAGE, "--direction takes a or b, not \"%s\"",
			s->direction);
	else if (store_read_id(text, &id, err) == 0)
		s->view = store_view_open(
			NULL, s->dir ? s->dir : store_dir_default(), NULL,
			err);
	if (s->view && store_view_row(s->view, id, &s->row, err) == 0)
		take_packets(s);
	if (s->view && err->code == 0 && !s->pcap) {
		if (s->converter)
			convert(s);
		else if (s->decoded || s->layers)
			decode(s);
		else
			converse(s);
	}
	if (!s->again)
		store_view_close(s->view);
	rebuilt_free(s->again);
}

int cmd_show(int argc, char **argv)
{
	struct show s = { .decoded_max = 16 << 20,
			  .converter_ns = UINT64_C(10000000000) };
	const struct opt opts[] = {
		OPT_TEXT('d', "store", &s.dir, "DIR", STORE_DIR_HELP),
		OPT_TEXT(0, "pcap", &s.pcap, "FILE",
			 "print nothing; write its packets there, from the "
			 "spool"),
		OPT_TEXT(0, "spool", &s.spool, "DIR",
			 "not from the store, but from the packets of this "
			 "spool"),
		OPT_FLAG(0, "text", &s.text,
			 "text, other bytes written out; this is the default"),
		OPT_FLAG(0, "hex", &s.hex, "offsets, hexadecimal digits, text"),
		OPT_FLAG(0, "raw", &s.raw,
			 "the bytes alone; what is missing leaves no trace"),
		OPT_FLAG(0, "json", &s.json, "one JSON object a piece"),
		OPT_TEXT(0, "direction", &s.direction, "a|b",
			 "only what this end said"),
		OPT_FLAG(0, "decoded", &s.decoded,
			 "message by message, what is chunked or packed undone"),
		OPT_TEXT(0, "layers", &s.layers, "LIST",
			 "what to undo, outermost first, instead of \"auto\": "
			 "as the messages say"),
		OPT_SIZE(0, "decoded-max", &s.decoded_max, 1, LAYER_MOST,
			 "how long a decoded body may get"),
		OPT_TEXT(0, "converter", &s.converter, "COMMAND",
			 "what this program makes of it (doc/converters.md)"),
		OPT_DURATION(0, "converter-time", &s.converter_ns, 1000000,
			     UINT64_C(3600000000000),
			     "how long that may take"),
		OPT_END()
	};
	const struct opt_command cmd = {
		.name = "show",
		.synopsis = "[OPTIONS] ID",
		.about =
			"Print a stream of a store: who said what, in the order "
			"in which the packets\ncame, and what is missing with "
			"the reason.  ID is what weir streams prints.\nThe "
			"stream may still be growing.\n\n"
			"--decoded prints HTTP and WebSocket messages with "
			"their bodies as they were\nmeant, and which layers "
			"that took.  --layers names them: chunked, gzip, zlib,\n"
			"deflate, raw-deflate, br, zstd, base64, hex, url, "
			"percent, json, json-base64,\nwebsocket, and auto for "
			"what a message's head says.",
		.examples =
			"  weir show 5f2a90c1d3b47e68 --store store\n"
			"  weir show 5f2a90c1d3b47e68 --raw --direction b >page\n"
			"  weir show 5f2a90c1d3b47e68 --decoded\n"
			"  weir show 5f2a90c1d3b47e68 --layers auto,base64\n",
		.opts = opts,
		.args_min = 1,
		.args_max = 1,
	};
	struct opt_args args;
	struct err err = ERR_NONE;
	int status;

	if (!cmd_begin(&cmd, argc, argv, &args, &status))
		return status;
	run(&s, args.at[0], &err);
	fflush(stdout);
	return cmd_exit(cmd.name, &err);
}
