/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines: every one parses, and says what rustmate's readers expect.
 */
#include "t.h"

#include <jansson.h>

#include "analyze_here.h"
#include "base/mem.h"
#include "codec/base64.h"
#include "codec/http1.h"
#include "engine/analyze/output.h"
#include "engine/match/match.h"

enum { LINES_MAX = 4096 };

static struct err err;
static json_t *lines[LINES_MAX];
static int n_lines;

static struct here begin(struct analyze_config *cfg)
{
	struct here h;

	err = ERR_NONE;
	cfg->output = output_open(t_path("out.jsonl"), &err);
	if (!cfg->output)
		fail_msg("%s", err.text);
	here_begin(&h, analyze_new(cfg, &err));
	return h;
}

/* End it, and read all lines. */
static void end(struct here *h, const struct analyze_config *cfg)
{
	struct bytes all;

	here_end(h);
	CHECK_OK(output_close(cfg->output, &err), &err);
	all = t_load(t_path("out.jsonl"));
	n_lines = 0;
	while (all.len) {
		const uint8_t *nl = memchr(all.p, '\n', all.len);
		json_error_t why;

		CHECK(nl != NULL);
		CHECK(n_lines < LINES_MAX);
		lines[n_lines] =
			json_loadb((const char *)all.p, (size_t)(nl - all.p),
				   JSON_REJECT_DUPLICATES, &why);
		if (!lines[n_lines])
			fail_msg("line %d: %s", n_lines, why.text);
		n_lines++;
		all.len -= (size_t)(nl + 1 - all.p);
		all.p = nl + 1;
	}
}

static void forget(void)
{
	while (n_lines)
		json_decref(lines[--n_lines]);
}

static const char *type_of(int i)
{
	return json_string_value(json_object_get(lines[i], "event_type"));
}

/* The n-th line of a type, or a failure. */
static json_t *line(const char *type, int n)
{
	for (int i = 0; i < n_lines; i++)
		if (strcmp(type_of(i), type) == 0 && n-- == 0)
			return lines[i];
	fail_msg("there are too few lines of type %s", type);
	return NULL;
}

static int count(const char *type)
{
	int n = 0;

	for (int i = 0; i < n_lines; i++)
		n += strcmp(type_of(i), type) == 0;
	return n;
}

/* "fields.service.name" of a line. */
static json_t *at(json_t *j, const char *path)
{
	char name[64];

	while (*path) {
		size_t n = strcspn(path, ".");

		memcpy(name, path, n);
		name[n] = 0;
		j = json_object_get(j, name);
		path += n + (path[n] == '.');
	}
	return j;
}

static const char *text_at(json_t *j, const char *path)
{
	const char *text = json_string_value(at(j, path));

	if (!text)
		fail_msg("no text at %s", path);
	return text;
}

static long long number_at(json_t *j, const char *path)
{
	CHECK(json_is_integer(at(j, path)));
	return json_integer_value(at(j, path));
}

TEST(R14_a_stream_s_lines_have_rustmate_s_fields)
{
	static const char *const fields[] = {
		"stream_id",
		"first_seen_us",
		"last_seen_us",
		"protocol",
		"endpoint_a.addr",
		"endpoint_a.port",
		"endpoint_b.addr",
		"content_shard",
		"service.name",
		"service.side",
		"service.confidence",
		"service.source",
		"service.evidence",
		"status",
		"content_kind",
		"packets",
		"bytes",
		"payload_bytes",
		"stream_bytes",
		"stream_chunks",
		"directions.a_to_b.packets",
		"directions.b_to_a.preview_base64",
		"directions.b_to_a.preview_text",
		"directions.a_to_b.first_sequence",
		"directions.a_to_b.last_sequence",
		"directions.a_to_b.content_kind",
		"flow_key",
	};
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct here h = begin(&cfg);
	json_t *open, *close;

	here_handshake(&h);
	here_text(&h, 0, "GET / HTTP/1.1\r\n\r\n");
	here_fin(&h, 0);
	end(&h, &cfg);
	open = line("stream_open", 0);
	close = line("stream_close", 0);
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		if (!at(json_object_get(open, "fields"), fields[i]))
			fail_msg("%s is missing", fields[i]);
	CHECK_STR(text_at(open, "analyzer"), "stream_inventory");
	CHECK_STR(text_at(open, "link_layer"), "ethernet");
	CHECK_STR(text_at(open, "protocol"), "tcp");
	CHECK_STR(text_at(open, "source_addr"), "10.0.0.1");
	CHECK_EQ(number_at(open, "source_port"), 40000);
	CHECK_EQ(number_at(open, "ts_sec"), 1700000000);
	CHECK_EQ(number_at(open, "ts_usec"), 1000);
	CHECK_EQ(number_at(open, "length"), 54);
	CHECK_STR(text_at(open, "fields.status"), "open");
	CHECK_STR(text_at(close, "fields.status"), "closed");
	CHECK_STR(text_at(close, "fields.end"), "fin");
	CHECK_STR(text_at(close, "fields.service.name"), "http");
	CHECK_STR(text_at(close, "fields.directions.a_to_b.preview_text"),
		  "GET / HTTP/1.1\\r\\n\\r\\n");
	CHECK_EQ(strlen(text_at(open, "fields.stream_id")), 16);
	CHECK_STR(text_at(open, "fields.stream_id"),
		  text_at(close, "fields.stream_id"));
	forget();
}

TEST(R13_open_closing_and_closed_are_told_in_this_order)
{
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct here h = begin(&cfg);
	static const char *const want[] = { "open", "closing", "closed",
					    "closed" };

	here_handshake(&h);
	here_fin(&h, 1);
	end(&h, &cfg);
	CHECK_EQ(n_lines, 4);
	for (int i = 0; i < 4; i++)
		CHECK_STR(text_at(lines[i], "fields.status"), want[i]);
	CHECK_STR(type_of(0), "stream_open");
	CHECK_STR(type_of(3), "stream_close");
	forget();
}

TEST(R15_the_preview_is_256_bytes_and_binary_has_no_text)
{
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct here h = begin(&cfg);
	uint8_t data[400];
	json_t *close;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)i;
	here_handshake(&h);
	here_say(&h, 0, bytes_of(data, sizeof(data)));
	end(&h, &cfg);
	close = line("stream_close", 0);
	CHECK_EQ(strlen(text_at(close,
				"fields.directions.a_to_b.preview_base64")),
		 BASE64_SIZE(256));
	CHECK(json_is_null(at(close, "fields.directions.a_to_b.preview_text")));
	CHECK_STR(text_at(close, "fields.content_kind"), "binary");
	forget();
}

TEST(R20_a_match_says_where_and_what)
{
	static const struct match_pattern all[] = {
		{ MATCH_REGEX, 3, "F.*;", "F[^;]*;", MATCH_ANY },
	};
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct here h;
	json_t *m;

	cfg.patterns = match_compile(all, 1, 4096, &err);
	h = begin(&cfg);
	match_set_put(cfg.patterns);
	here_handshake(&h);
	here_text(&h, 1, "..F\n\t1;..F\xff;");
	end(&h, &cfg);
	m = line("pattern_match", 0);
	CHECK_STR(text_at(m, "analyzer"), "pattern");
	CHECK_STR(text_at(m, "source_addr"), "10.0.0.2");
	CHECK_STR(text_at(m, "fields.pattern_id"), "regex:3");
	CHECK_STR(text_at(m, "fields.pattern_name"), "F.*;");
	CHECK_STR(text_at(m, "fields.pattern_type"), "regex");
	CHECK_STR(text_at(m, "fields.direction"), "b_to_a");
	CHECK_EQ(number_at(m, "fields.logical_start"), 2);
	CHECK_EQ(number_at(m, "fields.logical_end"), 7);
	CHECK_EQ(number_at(m, "fields.match_len"), 5);
	CHECK_EQ(number_at(m, "length"), 5);
	CHECK_STR(text_at(m, "fields.match_base64"), "RgoJMTs=");
	CHECK_STR(text_at(m, "fields.match_text"), "F\\n\\t1;");
	m = line("pattern_match", 1);
	CHECK(json_is_null(at(m, "fields.match_text")));
	CHECK_EQ(number_at(line("stream_close", 0), "fields.matches"), 2);
	forget();
}

TEST(X03_holes_are_lines_of_their_own)
{
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct here h = begin(&cfg);
	const struct analyze_loss loss = { .reason = "retention",
					   .index = 9,
					   .packets = 5,
					   .numbered = true };
	json_t *gap;

	here_handshake(&h);
	analyze_lost(h.a, h.source, &loss);
	h.next[0] += 100;
	here_text(&h, 0, "behind the hole");
	end(&h, &cfg);
	gap = line("source_gap", 0);
	CHECK_STR(text_at(gap, "fields.reason"), "retention");
	CHECK_EQ(number_at(gap, "fields.packets"), 5);
	CHECK_STR(text_at(gap, "fields.source"), "here");
	gap = line("stream_gap", 0);
	CHECK_STR(text_at(gap, "fields.reason"), "source");
	CHECK_EQ(number_at(gap, "fields.logical_start"), 0);
	CHECK_EQ(number_at(gap, "fields.gap_bytes"), 100);
	CHECK_STR(text_at(gap, "fields.direction"), "a_to_b");
	CHECK_EQ(number_at(line("stream_close", 0),
			   "fields.directions.a_to_b.gap_bytes"),
		 100);
	forget();
}

TEST(R04_dump_mode_gives_every_packet_back)
{
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct here h;

	cfg.dump = true;
	h = begin(&cfg);
	here_handshake(&h);
	for (int i = 0; i < 2; i++)
		here_text(&h, 0, i ? "" : "last");
	end(&h, &cfg);
	CHECK_EQ(n_lines, 5);
	CHECK_EQ(count("raw_packet"), 5);
	{
		const char *text = text_at(lines[3], "fields.data_base64");
		uint8_t frame[58];

		CHECK_EQ(
			base64_parse(bytes_of_text(text), frame, sizeof(frame)),
			0);
		CHECK_BYTES(bytes_of(frame + 54, 4), bytes_of_text("last"));
	}
	forget();
}

TEST(without_the_inventory_only_other_lines_come)
{
	static const struct match_pattern all[] = {
		{ MATCH_SUBSTRING, 0, "x", "x", MATCH_ANY },
	};
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct here h;

	cfg.inventory = false;
	cfg.patterns = match_compile(all, 1, 4096, &err);
	h = begin(&cfg);
	match_set_put(cfg.patterns);
	here_handshake(&h);
	here_text(&h, 0, "x");
	end(&h, &cfg);
	CHECK_EQ(n_lines, 1);
	CHECK_EQ(count("pattern_match"), 1);
	forget();
}

/* -- messages
 * ------------------------------------------------------------------- */

/* A sink that makes a message of the first slice of each stream. */
static void on_slice(void *self, struct stream *s, const struct flow_slice *b)
{
	static const char text[] = "POST /a\xff?b=\"1\" HTTP/1.1\r\nHost: h\r\n"
				   "X-\"Odd\": 1\r\nhost: again\r\n\r\n";
	struct bytes in = bytes_of(text, sizeof(text) - 1);
	struct http_head head;
	struct message m = { .protocol = MESSAGE_HTTP1,
			     .kind = MESSAGE_REQUEST,
			     .way = b->way,
			     .all = { 0, 80 },
			     .head = { 0, 60 },
			     .body_bytes = 20,
			     .http = &head };

	(void)self;
	if (b->offset)
		return;
	CHECK_EQ(http_head_parse(in, &head), 0);
	message_summary(&m, "POST /a");
	stream_message(s, &m);
	m = (struct message){ .protocol = MESSAGE_TLS,
			      .kind = MESSAGE_ERROR,
			      .way = b->way,
			      .error = "no record" };
	stream_message(s, &m);
}

TEST(R29_messages_of_parsers_become_lines)
{
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct here h = begin(&cfg);
	const struct stream_sink sink = { .slice = on_slice };
	json_t *m;

	CHECK_EQ(analyze_add_sink(h.a, 0, &sink), 0);
	here_handshake(&h);
	here_text(&h, 0, "anything");
	end(&h, &cfg);
	CHECK_STR(type_of(0), "stream_open");
	m = line("http1_request", 0);
	CHECK_STR(text_at(m, "analyzer"), "protocol_message");
	CHECK_STR(text_at(m, "fields.summary"), "POST /a");
	CHECK_STR(text_at(m, "fields.http.method"), "POST");
	CHECK_STR(text_at(m, "fields.http.target"), "/a\xef\xbf\xbd?b=\"1\"");
	CHECK_EQ(json_array_size(at(m, "fields.http.headers")), 3);
	CHECK_EQ(number_at(m, "fields.header_end"), 60);
	CHECK(json_is_null(at(m, "fields.body_start")));
	m = line("http_request", 0);
	CHECK_STR(text_at(m, "analyzer"), "http");
	CHECK_STR(text_at(m, "fields.headers.host"), "h");
	m = line("tls_parse_error", 0);
	CHECK_STR(text_at(m, "fields.status"), "parse_error");
	CHECK_STR(text_at(m, "fields.error"), "no record");
	forget();
}

/* -- the file
 * ---------------------------------------------------------------------- */

TEST(R46_a_file_that_is_there_is_kept_under_another_name)
{
	const char *path = t_path("events.jsonl");

	t_save(path, bytes_of_text("first\n"));
	for (int i = 0; i < 2; i++) {
		struct output *o = output_open(path, &err);

		CHECK(o != NULL);
		output_write(o, bytes_of_text(i ? "third\n" : "second\n"));
		CHECK_OK(output_close(o, &err), &err);
	}
	CHECK_BYTES(t_load(path), bytes_of_text("third\n"));
	CHECK_BYTES(t_load(t_path("events.jsonl.1")), bytes_of_text("first\n"));
	CHECK_BYTES(t_load(t_path("events.jsonl.2")),
		    bytes_of_text("second\n"));
}

TEST(a_file_that_cannot_be_written_says_why)
{
	struct output *o;

	CHECK(output_open(t_path("no/such/folder"), &err) == NULL);
	CHECK(strstr(err.text, "no/such/folder") != NULL);
	err = ERR_NONE;
	o = output_open("/dev/full", &err);
	CHECK(o != NULL);
	output_write(o, bytes_of_text("line\n"));
	CHECK(output_failed(o));
	CHECK(output_close(o, &err) < 0);
	CHECK(strstr(err.text, "/dev/full") != NULL);
}
