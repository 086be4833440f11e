/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir search - find stored streams by what they are and what they say.
 *
 * One thread.  A signal ends the search at its next look at the clock; what
 * was found until then stands, and the last line says how far it got.
 */
#include "cmd/cmd.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/text.h"
#include "cmd/progress.h"
#include "cmd/rules_here.h"
#include "cmd/store_text.h"
#include "codec/json.h"
#include "engine/query/rules.h"
#include "engine/query/search.h"
#include "engine/store/view.h"
#include "sys/sys.h"

enum {
	FOUND,
	NOTHING,
	WRONG,
	INTERRUPTED = 130,
	WORDS_MAX = 256,
	AROUND = 32,	  /* bytes shown on each side of a match */
	CONTENT_MAX = 256 /* and of itself */
};

static volatile sig_atomic_t interrupted;

struct finder {
	const char *dir, *save_tag;
	bool json, count, progress, keys;
	uint64_t matches_max;
	struct query *query;
	struct store_view *view;
	struct progress line;
	uint64_t begun_ns, said_ns;
	bool color;
	struct err *err;
};

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

static void catch_signals(void)
{
	struct sigaction act = { .sa_handler = on_signal };

	/* The second one ends the process as ever. */
	act.sa_flags = (int)SA_RESETHAND;
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
}

static uint64_t mono_ns(void)
{
	return sys_host()->mono_ns(sys_host());
}

/* -- a match with what stands around it ------------------------------------------- */

struct excerpt {
	struct buf before, content, after;
	uint64_t start, end;
};

static void excerpt_release(struct excerpt *e)
{
	buf_release(&e->before);
	buf_release(&e->content);
	buf_release(&e->after);
}

static int on_piece(void *arg, const struct store_piece *piece)
{
	struct excerpt *e = arg;

	for (uint64_t i = 0; i < piece->len && !piece->hole; i++) {
		uint64_t at = piece->offset + i;

		put_u8(at < e->start ? &e->before
		       : at < e->end ? &e->content
				     : &e->after,
		       piece->data.p[i]);
	}
	/* What lies on the other side of a hole does not stand beside it. */
	if (piece->hole && piece->offset < e->start)
		buf_clear(&e->before);
	return piece->hole && piece->offset >= e->end;
}

static struct excerpt excerpt_of(struct finder *f, uint64_t id,
				 const struct search_match *m)
{
	uint64_t len = m->end - m->start;
	struct excerpt e = { .start = m->start,
			     .end = m->start + (len < CONTENT_MAX
							? len
							: CONTENT_MAX) };
	uint64_t from = m->start > AROUND ? m->start - AROUND : 0;
	uint64_t to = m->end == e.end ? m->end + AROUND : e.end;
	struct err gone = ERR_NONE;

	store_view_read(f->view, id, m->way, from, to - from, on_piece, &e,
			&gone);
	return e;
}

/* Control bytes could command the terminal, so they are written out. */
static void print_bytes(struct bytes b)
{
	for (size_t i = 0; i < b.len; i++) {
		uint8_t c = b.p[i];

		if (c == '\n')
			fputs("\\n", stdout);
		else if (c == '\r')
			fputs("\\r", stdout);
		else if (c == '\\')
			fputs("\\\\", stdout);
		else if (c >= ' ' && c < 0x7f)
			putchar(c);
		else
			printf("\\x%02x", c);
	}
}

static void print_match(struct finder *f, uint64_t id,
			const struct search_match *m)
{
	struct excerpt e = excerpt_of(f, id, m);

	printf("  %c %" PRIu64 "..%" PRIu64 "  ", m->client ? '>' : '<',
	       m->start, m->end);
	print_bytes(buf_bytes(&e.before));
	fputs(f->color ? "\033[1;31m" : "", stdout);
	print_bytes(buf_bytes(&e.content));
	fputs(f->color ? "\033[0m" : "", stdout);
	print_bytes(buf_bytes(&e.after));
	putchar('\n');
	excerpt_release(&e);
}

static void put_match(struct finder *f, uint64_t id,
		      const struct search_match *m, struct buf *to)
{
	struct excerpt e = excerpt_of(f, id, m);
	struct buf term = { 0 };
	const char way[] = { (char)('a' + m->way), '\0' };

	search_term_text(f->query, m->term, &term);
	json_begin(to, NULL);
	json_text(to, "term", buf_bytes(&term));
	json_word(to, "direction", way);
	json_word(to, "from", m->client ? "client" : "server");
	json_uint(to, "start", m->start);
	json_uint(to, "end", m->end);
	json_base64(to, "before", buf_bytes(&e.before));
	json_base64(to, "content", buf_bytes(&e.content));
	json_base64(to, "after", buf_bytes(&e.after));
	json_end(to);
	buf_release(&term);
	excerpt_release(&e);
}

/* -- hits ---------------------------------------------------------------------------- */

static void print_hit(struct finder *f, const struct search_hit *hit,
		      const struct store_row *row)
{
	store_row_line(stdout, row);
	for (size_t i = 0; i < hit->n_matches; i++)
		print_match(f, hit->id, &hit->matches[i]);
	if (hit->matches_total > hit->n_matches)
		printf("  and %" PRIu64 " more\n",
		       hit->matches_total - hit->n_matches);
}

static void print_hit_json(struct finder *f, const struct search_hit *hit,
			   const struct store_row *row)
{
	struct buf b = { 0 };

	json_list(&b, "found");
	for (size_t i = 0; i < hit->n_matches; i++)
		put_match(f, hit->id, &hit->matches[i], &b);
	json_list_end(&b);
	json_uint(&b, "found_total", hit->matches_total);
	store_row_json_with(stdout, row, buf_bytes(&b));
	buf_release(&b);
}

static int on_hit(void *self, const struct search_hit *hit)
{
	struct finder *f = self;
	struct store_row row;
	struct err gone = ERR_NONE;

	if (f->count ||
	    store_view_row(f->view, hit->id, &row, &gone) < 0)
		return 0;
	progress_end(&f->line);
	if (f->json)
		print_hit_json(f, hit, &row);
	else
		print_hit(f, hit, &row);
	fflush(stdout);
	return ferror(stdout);
}

/* -- how far it is --------------------------------------------------------------------- */

/* "1.2 GiB of 3.4 GiB, 812 of 4112 streams" */
static void words_of(const struct search_state *s, char *out, size_t cap)
{
	char done[TEXT_SIZE], all[TEXT_SIZE];

	text_of_size(done, s->bytes);
	text_of_size(all, s->bytes_total);
	if (s->total_known)
		snprintf(out, cap,
			 "%s of %s, %" PRIu64 " of %" PRIu64 " streams", done,
			 all, s->streams, s->streams_total);
	else
		snprintf(out, cap, "%s, %" PRIu64 " streams so far", done,
			 s->streams);
}

static int on_progress(void *self, const struct search_state *state)
{
	struct finder *f = self;
	char words[160];
	uint64_t at;

	if (interrupted)
		return 1;
	if (progress_due(&f->line)) {
		words_of(state, words, sizeof(words));
		progress_draw(&f->line, "searched %s; %" PRIu64 " found", words,
			      state->hits);
	}
	if (!f->progress || f->line.terminal)
		return 0;
	at = mono_ns();
	if (at >= f->said_ns + 1000000000) {
		words_of(state, words, sizeof(words));
		fprintf(stderr, "searched %s; %" PRIu64 " found\n", words,
			state->hits);
		f->said_ns = at;
	}
	return 0;
}

static const char *end_words(enum search_end end)
{
	switch (end) {
	case SEARCH_LIMIT:
		return "the limit was reached; ";
	case SEARCH_STOPPED:
		return "stopped; ";
	default:
		return "";
	}
}

static void say_end(const struct finder *f, const struct search_state *s)
{
	char words[160], size[TEXT_SIZE];

	words_of(s, words, sizeof(words));
	fprintf(stderr, "%" PRIu64 " found; %ssearched %s in %.2f s\n", s->hits,
		end_words(s->end), words,
		(double)(mono_ns() - f->begun_ns) / 1e9);
	if (s->missing)
		fprintf(stderr,
			"%s of payload are not in the store any more and could "
			"not be searched\n", text_of_size(size, s->missing));
	if (s->unordered)
		fprintf(stderr,
			"in %" PRIu64 " streams it is not known for all of it "
			"what came when\n", s->unordered);
}

static void say_end_json(const struct finder *f, const struct search_state *s)
{
	static const char *const ends[] = { "failed", "done", "limit",
					    "stopped" };
	struct buf b = { 0 };

	json_begin(&b, NULL);
	json_begin(&b, "searched");
	json_word(&b, "end", ends[s->end]);
	json_uint(&b, "found", s->hits);
	json_uint(&b, "streams", s->streams);
	json_uint(&b, "bytes", s->bytes);
	if (s->total_known) {
		json_uint(&b, "streams_total", s->streams_total);
		json_uint(&b, "bytes_total", s->bytes_total);
	}
	json_uint(&b, "missing_bytes", s->missing);
	json_uint(&b, "unordered_streams", s->unordered);
	json_decimal(&b, "seconds", (double)(mono_ns() - f->begun_ns) / 1e9, 3);
	json_end(&b);
	json_end(&b);
	printf("%.*s\n", (int)b.len, (const char *)b.p);
	buf_release(&b);
}

/* -- the command -------------------------------------------------------------------------- */

static void print_keys(void)
{
	struct query_key_info k;

	for (size_t i = 0; query_key_info(i, &k); i++) {
		char name[64];

		snprintf(name, sizeof(name), "%s%s%s", k.name,
			 k.also ? ", " : "", k.also ? k.also : "");
		printf("%-24s %s; %s\n", name, k.about, k.values);
	}
}

static char *join(const struct opt_args *args)
{
	struct buf b = { 0 };

	for (int i = 0; i < args->n; i++) {
		put_text(&b, i ? " " : "");
		put_text(&b, args->at[i]);
	}
	put_u8(&b, 0);
	return (char *)b.p;
}

/* Point at what is wrong, below the query. */
static void show_place(const char *text, const struct query_place *place)
{
	size_t n = place->len ? place->len : 1;

	if (strpbrk(text, "\n\t\033\r"))
		return;
	fprintf(stderr, "  %s\n  %*s", text, (int)place->at, "");
	for (size_t i = 0; i < n && i < 200; i++)
		fputc('^', stderr);
	fputc('\n', stderr);
}

static int run(struct finder *f, struct err *err)
{
	const struct search_config cfg = {
		.dir = f->dir,
		.matches_max = f->count ? 0 : (uint32_t)f->matches_max,
		.window = SEARCH_WINDOW,
	};
	const struct search_sink sink = { f, on_hit, on_progress };
	struct search_state state;

	f->view = store_view_open(NULL, f->dir, NULL, err);
	if (!f->view)
		return WRONG;
	f->color = isatty(STDOUT_FILENO);
	f->begun_ns = f->said_ns = mono_ns();
	catch_signals();
	progress_begin(&f->line);
	search_run(f->query, &cfg, &sink, &state, err);
	progress_end(&f->line);
	store_view_close(f->view);
	if (f->count)
		printf("%" PRIu64 "\n", state.hits);
	if (f->json && !f->count)
		say_end_json(f, &state);
	else
		say_end(f, &state);
	fflush(stdout);
	if (err->code)
		return WRONG;
	if (state.end == SEARCH_STOPPED && interrupted)
		return INTERRUPTED;
	return state.hits ? FOUND : NOTHING;
}

/* Remember the query; whoever writes the store puts the tag on. */
static int save(const struct finder *f, struct err *err)
{
	struct rule rule = {
		.kind = RULE_QUERY,
		.text = (char *)(uintptr_t)query_text(f->query),
	};

	if (strlen(f->save_tag) >= RULE_NAME)
		err_set(err, ERR_USAGE, "a tag has at most %d characters",
			RULE_NAME - 1);
	else
		strcpy(rule.name, f->save_tag);
	if (!err->code)
		rules_remember(f->dir, &rule, err);
	return err->code ? WRONG : FOUND;
}

static int search(struct finder *f, const struct opt_args *args)
{
	char *text = join(args);
	struct query_place place;
	struct err err = ERR_NONE;
	int status = WRONG;

	f->query = query_parse(text, sys_host()->wall_ns(sys_host()), &place,
			       &err);
	if (f->query)
		status = f->save_tag ? save(f, &err) : run(f, &err);
	cmd_exit("search", &err);
	if (!f->query)
		show_place(text, &place);
	query_free(f->query);
	free(text);
	return status;
}

static const char about[] =
	"Find streams of a store by what they are and by what they say, newest\n"
	"first, each as soon as it is found, with the place of every match.  The\n"
	"store may be written meanwhile.  What was searched is said at the end.\n"
	"\n"
	"Conditions stand side by side (service:http port:8000..8100), with or,\n"
	"not (or -) and brackets; data: looks into the payload, cdata: into what\n"
	"the client said, sdata: the server; \"text\", /regex/ and x\"de ad\" are\n"
	"what it may look for, and then demands an order.  doc/query.md tells it\n"
	"all.  A query that begins with - stands behind --.\n"
	"\n"
	"Exit status: 0 when something was found, 1 when nothing was, 2 when the\n"
	"query is wrong or the store cannot be read, 130 when it was interrupted.";

static const char examples[] =
	"  weir search service:http 'sdata:/FLAG\\{\\w+\\}/' time:-10m..\n"
	"  weir search 'cdata:\"DELETE\" then sdata:\"ok\" host:10.60.0.0/16'\n"
	"  weir search --count state:reset\n"
	"  weir search --json 'x\"de ad be ef\" limit:10'\n";

int cmd_search(int argc, char **argv)
{
	struct finder f = { .dir = "store", .matches_max = 3 };
	const struct opt opts[] = {
		OPT_TEXT('d', "store", &f.dir, "DIR", "the store to search"),
		OPT_FLAG('c', "count", &f.count,
			 "print only how many streams were found"),
		OPT_FLAG(0, "json", &f.json,
			 "one JSON object a stream, and one at the end"),
		OPT_UINT('m', "matches", &f.matches_max, 0, 100000, "N",
			 "matches shown of each stream; the others are counted"),
		OPT_FLAG(0, "progress", &f.progress,
			 "say once a second how far it is; a terminal is told "
			 "in any case"),
		OPT_TEXT(0, "save-tag", &f.save_tag, "NAME",
			 "do not search now: remember the query, and tag every "
			 "stream that it is true of, old and new, when it has "
			 "ended"),
		OPT_FLAG(0, "keys", &f.keys, "list the keys of the language"),
		OPT_END()
	};
	const struct opt_command cmd = {
		.name = "search",
		.synopsis = "[OPTIONS] QUERY…",
		.about = about,
		.examples = examples,
		.opts = opts,
		.args_max = WORDS_MAX,
	};
	struct opt_args args;
	int status;

	if (!cmd_begin(&cmd, argc, argv, &args, &status))
		return status;
	if (f.keys) {
		print_keys();
		return FOUND;
	}
	return search(&f, &args);
}
