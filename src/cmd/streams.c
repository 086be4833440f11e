/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir streams - which streams a store holds, newest first.
 */
#include "cmd/cmd.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/opt.h"
#include "cmd/store_dir.h"
#include "cmd/store_text.h"
#include "engine/query/search.h"
#include "engine/store/view.h"

struct streams {
	const char *dir, *service, *pin, *unpin, *tag;
	uint64_t limit;
	bool json;
	struct store_view *view;
};

static int on_row(void *arg, const struct store_row *row)
{
	const struct streams *o = arg;

	if (o->json)
		store_row_json(stdout, row);
	else
		store_row_line(stdout, row);
	return ferror(stdout);
}

static void pin(const struct streams *o, struct err *err)
{
	uint64_t id;

	if (store_read_id(o->pin ? o->pin : o->unpin, &id, err) == 0)
		store_outside_pin(o->dir, id, o->pin != NULL, err);
}

static int on_hit(void *self, const struct search_hit *hit)
{
	const struct streams *o = self;
	struct store_row row;
	struct err gone = ERR_NONE;

	if (store_view_row(o->view, hit->id, &row, &gone) < 0)
		return 0;
	return on_row(self, &row);
}

static void put_quoted(struct buf *b, const char *key, const char *text)
{
	put_format(b, " %s:\"", key);
	for (; *text; text++)
		put_format(b, strchr("\"\\", *text) ? "\\%c" : "%c", *text);
	put_u8(b, '"');
}

/* What has a tag is found as a search finds it. */
static void search(struct streams *o, struct err *err)
{
	const struct search_config cfg = { .dir = o->dir };
	const struct search_sink sink = { o, on_hit, NULL };
	struct search_state state;
	struct buf text = { 0 };
	struct query *q;

	put_quoted(&text, "tag", o->tag);
	if (o->service)
		put_quoted(&text, "service", o->service);
	if (o->limit)
		put_format(&text, " limit:%llu", (unsigned long long)o->limit);
	put_u8(&text, 0);
	q = query_parse((const char *)text.p, 0, NULL, err);
	if (q)
		search_run(q, &cfg, &sink, &state, err);
	query_free(q);
	buf_release(&text);
}

static void run(struct streams *o, struct err *err)
{
	struct store_filter f = { .service = o->service, .limit = o->limit };

	o->view = store_view_open(NULL, o->dir, NULL, err);
	if (o->view && o->tag)
		search(o, err);
	else if (o->view)
		store_view_rows(o->view, &f, on_row, o, err);
	store_view_close(o->view);
}

int cmd_streams(int argc, char **argv)
{
	struct streams o = { .limit = 100 };
	const struct opt opts[] = {
		OPT_TEXT('d', "store", &o.dir, "DIR", STORE_DIR_HELP),
		OPT_TEXT('s', "service", &o.service, "NAME",
			 "only streams of this service, like http"),
		OPT_TEXT('t', "tag", &o.tag, "NAME",
			 "only streams that have this tag"),
		OPT_UINT('n', "limit", &o.limit, 0, UINT64_MAX, "N",
			 "how many at the most; 0 is all"),
		OPT_TEXT(0, "pin", &o.pin, "ID",
			 "list nothing; keep this stream whatever makes room"),
		OPT_TEXT(0, "unpin", &o.unpin, "ID",
			 "list nothing; let it go like others"),
		OPT_FLAG(0, "json", &o.json, "one JSON object a line"),
		OPT_END()
	};
	const struct opt_command cmd = {
		.name = "streams",
		.synopsis = "[OPTIONS]",
		.about =
			"List the streams that a store holds, newest first: id, "
			"time of the first\npacket, the two ends (the one that "
			"spoke first stands left), service, bytes\neach way, "
			"matches and state.  The store may be written "
			"meanwhile.\n\n"
			"doc/store-format.md has the tables; any SQLite can ask "
			"them more.",
		.examples = "  weir streams --store store --service http\n"
			    "  weir streams --store store --json --limit 0\n",
		.opts = opts,
	};
	struct opt_args args;
	struct err err = ERR_NONE;
	int status;

	if (!cmd_begin(&cmd, argc, argv, &args, &status))
		return status;
	if (!o.dir)
		o.dir = store_dir_default();
	if (o.pin || o.unpin)
		pin(&o, &err);
	else
		run(&o, &err);
	fflush(stdout);
	return cmd_exit(cmd.name, &err);
}
