/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/layer/chain.h"

#include "codec/http1.h"
#include "layers_here.h"
#include "t.h"

static struct layer_chain *chain_here(const char *text,
				      const struct layer_limits *limits)
{
	struct layer_limits defaults = LAYER_LIMITS_DEFAULT;
	struct layer_plan plan;
	struct err err = ERR_NONE;

	CHECK_OK(layer_plan_parse(&plan, text, &err), &err);
	return layer_chain_new(&plan, limits ? limits : &defaults);
}

static void feed_pieces(struct layer_chain *c, struct bytes in, size_t step)
{
	for (size_t at = 0; at < in.len; at += step) {
		size_t n = in.len - at < step ? in.len - at : step;

		if (!layer_chain_feed(c, bytes_of(in.p + at, n)))
			break;
	}
	layer_chain_end(c, NULL);
}

/* -- plans -------------------------------------------------------- */

static const char *text_of(const struct layer_plan *plan)
{
	static char text[256];
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < plan->n; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s",
				      i ? "," : "",
				      layer_name(plan->kind[i]));
	if (plan->unknown.len)
		snprintf(text + n, sizeof(text) - n, "?%.*s",
			 (int)plan->unknown.len,
			 (const char *)plan->unknown.p);
	return text;
}

TEST(R38_chains_are_written_with_any_of_the_signs)
{
	struct layer_plan plan;
	struct err err = ERR_NONE;

	CHECK_EQ(layer_plan_parse(&plan, "chunked, gzip|base64+hex > url",
				  &err), 0);
	CHECK_STR(text_of(&plan), "chunked,gzip,base64,hex,url");
	CHECK_EQ(layer_plan_parse(&plan, " ", &err), 0);
	CHECK_EQ(plan.n, 0);
	CHECK_EQ(layer_plan_parse(&plan, "gzip,,hex", &err), ERR_USAGE);
	CHECK_EQ(layer_plan_parse(&plan, "gzip,gunzip", &err), ERR_USAGE);
	CHECK(strstr(err.text, "\"gunzip\" is no layer"));
	CHECK_EQ(layer_plan_parse(&plan, "hex,hex,hex,hex,hex,hex,hex,hex",
				  &err), 0);
	CHECK_EQ(layer_plan_parse(&plan, "hex,hex,hex,hex,hex,hex,hex,hex,hex",
				  &err), ERR_USAGE);
	CHECK(strstr(err.text, "more than 8 layers"));
}

TEST(R38_the_head_of_a_message_tells_its_layers)
{
	static const struct {
		const char *fields, *plan;
	} heads[] = {
		{ "Transfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n",
		  "chunked,gzip" },
		{ "transfer-encoding: GZIP , chunked\r\n", "chunked,gzip" },
		{ "Content-Encoding: deflate, br\r\n", "br,deflate" },
		{ "Content-Encoding: deflate\r\nContent-Encoding: x-gzip\r\n",
		  "gzip,deflate" },
		{ "Content-Encoding: identity\r\n", "" },
		{ "Transfer-Encoding:\r\n gzip,\r\n\tchunked\r\n",
		  "chunked,gzip" },
		{ "Content-Encoding: zstd, compress, br\r\n", "br?compress" },
		{ "Content-Type: text/html\r\n", "" },
		{ "Content-Encoding:\r\nContent-Encoding: ,,\r\n", "" },
	};

	for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
		struct buf text = { 0 };
		struct http_head head;
		struct layer_plan plan;

		put_format(&text, "HTTP/1.1 200 OK\r\n%s\r\n",
			   heads[i].fields);
		CHECK_EQ(http_head_parse(buf_bytes(&text), &head), 0);
		layer_plan_of_http(&plan, &head);
		CHECK_STR(text_of(&plan), heads[i].plan);
		buf_release(&text);
	}
}

TEST(a_head_with_many_codings_is_bounded)
{
	struct buf text = { 0 };
	struct http_head head;
	struct layer_plan plan;

	put_text(&text, "HTTP/1.1 200 OK\r\nContent-Encoding: ");
	for (int i = 0; i < 1000; i++)
		put_text(&text, "gzip,");
	put_text(&text, "gzip\r\n\r\n");
	CHECK_EQ(http_head_parse(buf_bytes(&text), &head), 0);
	layer_plan_of_http(&plan, &head);
	CHECK_EQ(plan.n, LAYER_CHAIN_MAX);
	CHECK_EQ(plan.unknown.len, 4);
	buf_release(&text);
}

/* -- bytes through several layers --------------------------------- */

/* Words in gzip in chunks, and the same in zstd in brotli in base64. */
static struct buf words, in_chunks, in_base64;

static void make_coded(void)
{
	struct buf b = { 0 }, c = { 0 };
	char *text;

	put_words(&words, 50000);
	put_gzip(&b, buf_bytes(&words));
	put_chunked(&in_chunks, buf_bytes(&b), 1000);
	buf_clear(&b);
	put_zstd(&b, buf_bytes(&words));
	put_brotli(&c, buf_bytes(&b));
	for (size_t i = 0; i < c.len; i++) /* twice hex: no packer needed */
		put_format(&in_base64, "%02x", c.p[i]);
	text = (char *)in_base64.p;
	CHECK(text != NULL);
	buf_release(&b);
	buf_release(&c);
}

static void drop_coded(void)
{
	buf_release(&words);
	buf_release(&in_chunks);
	buf_release(&in_base64);
}

TEST(R38_chains_undo_layer_after_layer_however_they_are_fed)
{
	static const size_t steps[] = { 1, 7, 1000, 1 << 20 };

	make_coded();
	for (size_t i = 0; i < 4; i++) {
		struct layer_chain *c = chain_here("chunked,gzip", NULL);

		feed_pieces(c, buf_bytes(&in_chunks), steps[i]);
		CHECK_BYTES(layer_chain_output(c), buf_bytes(&words));
		CHECK(layer_chain_whole(c));
		CHECK_EQ(layer_chain_result(c, 0)->status, LAYER_OK);
		CHECK_EQ(layer_chain_result(c, 0)->in, in_chunks.len);
		CHECK_EQ(layer_chain_result(c, 1)->out, words.len);
		layer_chain_free(c);

		c = chain_here("hex,br,zstd", NULL);
		feed_pieces(c, buf_bytes(&in_base64), steps[i]);
		CHECK_BYTES(layer_chain_output(c), buf_bytes(&words));
		CHECK(layer_chain_whole(c));
		layer_chain_free(c);
	}
	drop_coded();
}

TEST(R38_a_byte_of_the_last_layer_leads_back_to_the_wire)
{
	struct layer_chain *c = chain_here("chunked,gzip", NULL), *again;
	struct layer_span s, last = { 0, 0 };

	make_coded();
	feed_pieces(c, buf_bytes(&in_chunks), 4096);
	for (uint64_t at = 0; at < words.len; at += 997) {
		s = layer_chain_back(c, (struct layer_span){ at, at + 1 });
		CHECK(s.start < s.end && s.end <= in_chunks.len);
		CHECK(s.start >= last.start && s.end - s.start < 1200);
		last = s;
		/* The wire up to there gives the byte; before it, not. */
		again = chain_here("chunked,gzip", NULL);
		layer_chain_feed(again, bytes_of(in_chunks.p,
						 (size_t)s.start));
		CHECK(layer_chain_output(again).len <= at);
		layer_chain_feed(again,
				 bytes_of(in_chunks.p + s.start,
					  (size_t)(s.end - s.start)));
		CHECK(layer_chain_output(again).len > at);
		layer_chain_free(again);
	}
	s = layer_chain_back(c, (struct layer_span){ 0, words.len });
	CHECK_EQ(s.start, 5); /* behind "3e8\r\n" */
	layer_chain_free(c);
	drop_coded();
}

TEST(R38_what_is_not_coded_passes_and_the_note_says_so)
{
	struct layer_chain *c = chain_here("gzip,url", NULL);

	feed_pieces(c, bytes_of_text("a%20b"), 2);
	CHECK_BYTES(layer_chain_output(c), bytes_of_text("a b"));
	CHECK_EQ(layer_chain_result(c, 0)->status, LAYER_NOOP);
	CHECK(strstr(layer_chain_result(c, 0)->why, "like gzip"));
	CHECK_EQ(layer_chain_result(c, 1)->status, LAYER_OK);
	CHECK(layer_chain_whole(c));
	layer_chain_free(c);

	c = chain_here("", NULL);
	feed_pieces(c, bytes_of_text("abc"), 2);
	CHECK_BYTES(layer_chain_output(c), bytes_of_text("abc"));
	CHECK_EQ(layer_chain_back(c, (struct layer_span){ 1, 2 }).start, 1);
	layer_chain_free(c);
}

TEST(R38_a_failure_in_the_middle_keeps_what_came_out)
{
	struct layer_chain *c;
	size_t broken;

	make_coded();
	broken = in_chunks.len / 2;
	/* The chunk that lies there gets another size. */
	while (memcmp(in_chunks.p + broken, "\r\n3e8\r\n", 7) != 0)
		broken++;
	in_chunks.p[broken + 2] = '!';
	c = chain_here("chunked,gzip", NULL);
	feed_pieces(c, buf_bytes(&in_chunks), 500);
	CHECK_EQ(layer_chain_result(c, 0)->status, LAYER_FAILED);
	CHECK_EQ(layer_chain_result(c, 0)->at, broken + 2);
	CHECK_EQ(layer_chain_result(c, 1)->status, LAYER_FAILED);
	CHECK(strstr(layer_chain_result(c, 1)->why, "in front of it failed"));
	CHECK(!layer_chain_whole(c));
	CHECK(layer_chain_output(c).len > words.len / 3);
	CHECK_BYTES(layer_chain_output(c),
		    bytes_of(words.p, layer_chain_output(c).len));
	layer_chain_free(c);
	drop_coded();
}

TEST(a_failure_behind_stops_what_is_in_front)
{
	struct layer_chain *c = chain_here("chunked,hex", NULL);

	CHECK(!layer_chain_feed(c, bytes_of_text("4\r\n41x1\r\n4\r\n4142")));
	layer_chain_end(c, NULL);
	CHECK_EQ(layer_chain_result(c, 0)->status, LAYER_STOPPED);
	CHECK_EQ(layer_chain_result(c, 1)->status, LAYER_FAILED);
	CHECK_EQ(layer_chain_result(c, 1)->at, 2);
	CHECK_BYTES(layer_chain_output(c), bytes_of_text("A"));
	layer_chain_free(c);
}

TEST(a_hole_in_the_wire_is_said_by_the_layer_it_meets)
{
	struct layer_chain *c = chain_here("chunked,percent", NULL);

	CHECK(layer_chain_feed(c, bytes_of_text("9\r\na%20b")));
	layer_chain_end(c, "bytes are missing");
	CHECK_STR(layer_chain_result(c, 0)->why, "bytes are missing");
	CHECK_BYTES(layer_chain_output(c), bytes_of_text("a b"));
	layer_chain_free(c);

	/* Behind the last chunk nothing was needed. */
	c = chain_here("chunked,percent", NULL);
	CHECK(layer_chain_feed(c, bytes_of_text("1\r\na\r\n0\r\n\r\n")));
	layer_chain_end(c, "bytes are missing");
	CHECK(layer_chain_whole(c));
	layer_chain_free(c);
}
