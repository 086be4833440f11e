/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/http1.h"

#include "messages_here.h"
#include "t.h"

/* What one side says, in one or more slices; "\1" in front: the other side. */
struct exchange {
	const char *what;
	const char *say[8];
	const char *expect;
	uint32_t header_max;
};

static const struct exchange exchanges[] = {
	{ "pipelined requests",
	  { "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
	    "\1HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 404 No"
	    "\r\nContent-Length: 0\r\n\r\n" },
	  "0 request complete [0,28) body 28+0: GET /a\n"
	  "0 request complete [28,47) body 47+0: GET /b\n"
	  "1 response complete [0,40) body 38+2: 200 OK\n"
	  "1 response complete [40,78) body 78+0: 404 No\n" },
	{ "chunks with an extension and a trailer",
	  { "\1HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n"
	    "4;x=y\r\nWiki\r\n5\r\npedia\r\n0\r\nX-Sum: 1\r\n\r\n",
	    "\1HTTP/1.1 204 None\r\n\r\n" },
	  "1 response complete [0,91) body 53+9: 200 OK\n"
	  "1 response complete [91,112) body 112+0: 204 None\n" },
	{ "an interim response and a body in the request",
	  { "POST /p HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3"
	    "\r\n\r\n",
	    "\1HTTP/1.1 100 Continue\r\n\r\n", "abc",
	    "\1HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n" },
	  "1 response complete [0,25) body 25+0: 100 Continue\n"
	  "0 request complete [0,64) body 61+3: POST /p\n"
	  "1 response complete [25,68) body 68+0: 201 Created\n" },
	{ "HEAD has no body, whatever its length says",
	  { "HEAD / HTTP/1.1\r\n\r\n",
	    "\1HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"
	    "HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n" },
	  "0 request complete [0,19) body 19+0: HEAD /\n"
	  "1 response complete [0,40) body 40+0: 200 OK\n"
	  "1 response complete [40,80) body 80+0: 304 Same\n" },
	{ "a body that ends with the stream",
	  { "\1HTTP/1.0 200 OK\r\n\r\nall of it" },
	  "1 response complete [0,28) body 19+9: 200 OK\n" },
	{ "bare line feeds, empty lines between messages",
	  { "\r\n\nGET / HTTP/1.0\nA: b\n\n\r\nGET /2 HTTP/1.0\n\n" },
	  "0 request complete [3,24) body 24+0: GET /\n"
	  "0 request complete [26,43) body 43+0: GET /2\n" },
	{ "CONNECT and what comes behind it",
	  { "CONNECT h:443 HTTP/1.1\r\n\r\n",
	    "\1HTTP/1.1 200 Go\r\n\r\n\x16\x03\x01",
	    "\x16\x03\x01" },
	  "0 request complete [0,26) body 26+0: CONNECT h:443\n"
	  "1 response complete [0,19) body 19+0: 200 Go\n" },
	{ "CONNECT refused: HTTP goes on",
	  { "CONNECT h:443 HTTP/1.1\r\n\r\n",
	    "\1HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno",
	    "GET / HTTP/1.1\r\n\r\n" },
	  "0 request complete [0,26) body 26+0: CONNECT h:443\n"
	  "1 response complete [0,40) body 38+2: 403 No\n"
	  "0 request complete [26,44) body 44+0: GET /\n" },
	{ "a stream that ends inside a body",
	  { "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc" },
	  "0 request partial [0,41) body 38+3: POST /\n" },
	{ "a stream that ends inside a head",
	  { "GET / HTTP/1.1\r\nHost: x\r\n" },
	  "0 error parse_error [0,25) body 0+0: "
	  "the stream ended inside a head\n" },
	{ "no HTTP at all",
	  { "\x80\x01\x02 nothing of ours" },
	  "0 error parse_error [0,0) body 0+0: "
	  "what stands here is no HTTP message\n" },
	{ "a field without a colon",
	  { "GET / HTTP/1.1\r\nnonsense\r\n\r\n" },
	  "0 error parse_error [0,28) body 0+0: "
	  "what stands here is no HTTP message\n" },
	{ "a length that is none",
	  { "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n" },
	  "0 request partial [0,39) body 39+0: POST /\n"
	  "0 error parse_error [39,39) body 0+0: "
	  "a Content-Length that is no single number\n" },
	{ "two lengths that differ",
	  { "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n"
	    "\r\n" },
	  "0 request partial [0,57) body 57+0: POST /\n"
	  "0 error parse_error [57,57) body 0+0: "
	  "a Content-Length that is no single number\n" },
	{ "a length past all numbers",
	  { "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n" },
	  "0 request partial [0,57) body 57+0: POST /\n"
	  "0 error parse_error [57,57) body 0+0: "
	  "a Content-Length that is no single number\n" },
	{ "a chunk size that is none",
	  { "\1HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n" },
	  "1 response partial [0,47) body 47+0: 200 OK\n"
	  "1 error parse_error [47,52) body 0+0: "
	  "a chunk size that is no number\n" },
	{ "a chunk longer than it says",
	  { "\1HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "2\r\nabc" },
	  "1 response partial [0,52) body 47+2: 200 OK\n"
	  "1 error parse_error [52,53) body 0+0: "
	  "a chunk longer than its size\n" },
	{ "trailers over the limit",
	  { "\1HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
	    "X: 01234567890123456789012345678901234567890123456789" },
	  "1 response partial [0,50) body 47+0: 200 OK\n"
	  "1 error parse_error [50,103) body 0+0: "
	  "trailers longer than the limit\n",
	  48 },
};

static bool is_other(const char *say)
{
	return say[0] == 1;
}

/* Feed an exchange, each slice cut at `cut` (0: whole, SIZE_MAX: bytes). */
static void play(const struct exchange *e, size_t cut, struct buf *out)
{
	struct message_sink sink = { .self = out, .message = note_message };
	struct http1_stream s = { .header_max = e->header_max };
	uint64_t at[2] = { 0, 0 };

	for (size_t i = 0; i < 8 && e->say[i]; i++) {
		int way = is_other(e->say[i]);
		struct bytes b = bytes_of_text(e->say[i] + way);
		size_t step = cut == SIZE_MAX ? 1 : cut ? cut : b.len;

		for (size_t k = 0; k < b.len;) {
			size_t n = b.len - k < step ? b.len - k : step;

			http1_stream_feed(&s, way, at[way],
					  bytes_of(b.p + k, n), &sink);
			at[way] += n;
			k += n;
			if (cut != SIZE_MAX)
				step = b.len; /* one cut, then the rest */
		}
	}
	http1_stream_end(&s, 0, &sink);
	http1_stream_end(&s, 1, &sink);
	http1_stream_release(&s);
}

static size_t longest(const struct exchange *e)
{
	size_t n = 0;

	for (size_t i = 0; i < 8 && e->say[i]; i++)
		if (strlen(e->say[i]) > n)
			n = strlen(e->say[i]);
	return n;
}

TEST(R29_messages_have_their_boundaries)
{
	for (size_t i = 0; i < sizeof(exchanges) / sizeof(*exchanges); i++) {
		struct buf out = { 0 };

		play(&exchanges[i], 0, &out);
		if (strcmp(text_here(&out), exchanges[i].expect) != 0)
			fail_msg("%s:\n%s", exchanges[i].what,
				 text_here(&out));
		buf_release(&out);
	}
}

TEST(R29_messages_are_the_same_however_slices_are_cut)
{
	for (size_t i = 0; i < sizeof(exchanges) / sizeof(*exchanges); i++) {
		const struct exchange *e = &exchanges[i];

		for (size_t cut = 0; cut <= longest(e); cut++) {
			struct buf out = { 0 };

			play(e, cut ? cut : SIZE_MAX, &out);
			/* What is behind an error depends on the slices. */
			if (!strstr(e->expect, "error"))
				CHECK_STR(text_here(&out), e->expect);
			buf_release(&out);
		}
	}
}

TEST(R31_a_head_over_the_limit_is_an_error_and_memory_stays_flat)
{
	struct buf out = { 0 };
	struct message_sink sink = { .self = &out, .message = note_message };
	struct http1_stream s = { .header_max = 0 };
	char line[1024];
	uint64_t at = 0;

	memset(line, 'a', sizeof(line));
	http1_stream_feed(&s, 0, 0, bytes_of_text("GET / HTTP/1.1\r\nX: "),
			  &sink);
	at = 19;
	for (int i = 0; i < 4096; i++) {
		http1_stream_feed(&s, 0, at, bytes_of(line, sizeof(line)),
				  &sink);
		at += sizeof(line);
		CHECK(s.way[0].bytes.cap <= 256 << 10);
	}
	CHECK_STR(text_here(&out), "0 error parse_error [0,65555) body 0+0: "
				   "a head longer than the limit\n");
	/* The next head is read again. */
	buf_clear(&out);
	http1_stream_feed(&s, 0, at, bytes_of_text("GET /2 HTTP/1.1\r\n\r\n"),
			  &sink);
	CHECK(strstr(text_here(&out), "GET /2") != NULL);
	http1_stream_release(&s);
	buf_release(&out);
}

TEST(behind_an_error_a_whole_first_line_begins_anew)
{
	const struct exchange smuggled = {
		.say = { "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"
			 "GET /more HTTP/1.1\r\n\r\n",
			 "0\r\n\r\nPUT /it HTTP/1.0.8\r\n\r\n" },
	};
	struct buf out = { 0 };

	play(&smuggled, 0, &out);
	CHECK_STR(text_here(&out),
		  "0 request partial [0,39) body 39+0: POST /\n"
		  "0 error parse_error [39,39) body 0+0: "
		  "a Content-Length that is no single number\n"
		  "0 request complete [39,61) body 61+0: GET /more\n"
		  "0 error parse_error [61,66) body 0+0: "
		  "what stands here is no HTTP message\n"
		  "0 request complete [66,88) body 88+0: PUT /it\n");
	buf_release(&out);
}

TEST(a_first_line_is_one_with_any_method)
{
	CHECK(http1_begins(bytes_of_text("FETCH /x HTTP/1.1\r\n")));
	CHECK(http1_begins(bytes_of_text("HTTP/1.0 200 Fine\n")));
	CHECK(!http1_begins(bytes_of_text("FETCH /x HTTP/1.1")));
	CHECK(!http1_begins(bytes_of_text("FETCH /x\r\n")));
	CHECK(!http1_begins(bytes_of_text("RTSP/1.0 200 OK\r\n")));
	CHECK(!http1_begins(bytes_of_text("PRI * HTTP/2.0\r\n\r\n")));
	CHECK(!http1_begins(bytes_of_text("\r\n")));
	CHECK(!http1_begins(bytes_of_text("")));
}

TEST(a_gap_inside_a_body_is_bridged_and_one_over_a_head_is_not)
{
	struct buf out = { 0 };
	struct message_sink sink = { .self = &out, .message = note_message };
	struct http1_stream s = { .header_max = 0 };

	http1_stream_feed(
		&s, 1, 0,
		bytes_of_text("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx"),
		&sink);
	http1_stream_gap(&s, 1, 140 - 9, &sink);
	http1_stream_feed(&s, 1, 131, bytes_of_text("123456789"), &sink);
	CHECK_STR(text_here(&out),
		  "1 response partial [0,140) body 40+10: 200 OK\n");
	buf_clear(&out);
	http1_stream_feed(&s, 1, 140, bytes_of_text("HTTP/1.1 20"), &sink);
	http1_stream_gap(&s, 1, 200, &sink);
	http1_stream_feed(&s, 1, 200, bytes_of_text("dy of something"), &sink);
	CHECK_EQ(out.len, 0);
	http1_stream_feed(&s, 1, 215,
			  bytes_of_text("HTTP/1.1 204 Fine\r\n\r\n"), &sink);
	CHECK_STR(text_here(&out),
		  "1 response complete [215,236) body 236+0: 204 Fine\n");
	http1_stream_release(&s);
	buf_release(&out);
}

TEST(a_head_tells_its_fields_folded_ones_too)
{
	struct http_head h;
	const char *text = "GET /a b HTTP/1.1\r\nHost : x.example \r\n"
			   "Long: one\r\n  two\r\nEmpty:\r\n\r\n";

	CHECK_EQ(http_head_parse(bytes_of_text(text), &h), 0);
	CHECK_BYTES(h.target, bytes_of_text("/a b"));
	CHECK_BYTES(http_field(&h, "HOST"), bytes_of_text("x.example"));
	CHECK_BYTES(http_field(&h, "long"), bytes_of_text("one\r\n  two"));
	CHECK_EQ(http_field(&h, "empty").len, 0);
	CHECK_EQ(http_field(&h, "absent").len, 0);
	CHECK_EQ(h.n_fields, 3);
}

TEST(more_fields_than_are_kept_are_counted)
{
	struct buf b = { 0 };
	struct http_head h;

	put_text(&b, "GET / HTTP/1.1\r\n");
	for (int i = 0; i < HTTP_FIELDS_MAX + 10; i++)
		put_format(&b, "F%d: v\r\n", i);
	put_text(&b, "\r\n");
	CHECK_EQ(http_head_parse(buf_bytes(&b), &h), 0);
	CHECK_EQ(h.n_fields, HTTP_FIELDS_MAX);
	CHECK_EQ(h.fields_seen, HTTP_FIELDS_MAX + 10);
	buf_release(&b);
}

TEST(X11_fifty_requests_on_one_connection)
{
	struct buf out = { 0 }, all = { 0 };
	struct message_sink sink = { .self = &out, .message = note_message };
	struct http1_stream s = { .header_max = 0 };
	int lines = 0;

	for (int i = 0; i < 50; i++)
		put_format(&all, "GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", i);
	http1_stream_feed(&s, 0, 0, buf_bytes(&all), &sink);
	for (const char *p = text_here(&out); *p; p++)
		lines += *p == '\n';
	CHECK_EQ(lines, 50);
	CHECK_EQ(s.n_pending, 50);
	CHECK_EQ(s.way[0].ordinal, 50);
	http1_stream_release(&s);
	buf_release(&all);
	buf_release(&out);
}
