/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The query language: what is understood, and what is said about the rest.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "engine/query/query.h"

#include "lib/t.h"

/* 2026-11-25T12:00:00Z */
#define NOW UINT64_C(1795608000000000000)

static struct buf printed;

static const char *understood(const char *text)
{
	struct err err = ERR_NONE;
	struct query *q = query_parse(text, NOW, NULL, &err);

	buf_clear(&printed);
	if (q)
		query_print(q, &printed);
	else
		put_text(&printed, err.text);
	put_u8(&printed, 0);
	query_free(q);
	return (const char *)printed.p;
}

#define CHECK_QUERY(text, want) CHECK_STR(understood(text), want)

static void check_wrong(const char *text, size_t at, size_t len,
			const char *words)
{
	struct query_place place;
	struct err err = ERR_NONE;
	struct query *q = query_parse(text, NOW, &place, &err);

	if (q)
		fail_msg("%s is taken as %s", text, understood(text));
	CHECK_EQ(err.code, ERR_USAGE);
	if (!strstr(err.text, words))
		fail_msg("%s: \"%s\" does not say \"%s\"", text, err.text,
			 words);
	CHECK_EQ(place.at, at);
	CHECK_EQ(place.len, len);
}

TEST(X08_conditions_side_by_side_must_all_hold)
{
	CHECK_QUERY("", "");
	CHECK_QUERY("  ", "");
	CHECK_QUERY("port:80", "port:80");
	CHECK_QUERY("service:http port:80", "(service:\"http\" port:80)");
	CHECK_QUERY("service:http and port:80", "(service:\"http\" port:80)");
	CHECK_QUERY("port=1 AND port:2 port:3", "(port:1 port:2 port:3)");
}

TEST(X08_or_binds_less_than_and_and_not_more)
{
	CHECK_QUERY("port:1 port:2 or port:3",
		    "((port:1 port:2) or port:3)");
	CHECK_QUERY("port:1 (port:2 or port:3)",
		    "(port:1 (port:2 or port:3))");
	CHECK_QUERY("-port:1 port:2", "(-port:1 port:2)");
	CHECK_QUERY("not port:1 or !port:2", "(-port:1 or -port:2)");
	CHECK_QUERY("-(port:1 or port:2)", "-(port:1 or port:2)");
	CHECK_QUERY("not not port:1", "--port:1");
	CHECK_QUERY("port!=1", "-port:1");
	CHECK_QUERY("((port:1))", "port:1");
}

TEST(X08_numbers_are_compared_and_come_in_ranges_and_lists)
{
	CHECK_QUERY("port:80,443,8000..8100",
		    "(port:80 or port:443 or port:8000..8100)");
	CHECK_QUERY("bytes>1k", "bytes:1025..");
	CHECK_QUERY("bytes>=1k", "bytes:1024..");
	CHECK_QUERY("bytes<1k", "bytes:0..1023");
	CHECK_QUERY("bytes<=1KiB", "bytes:0..1024");
	CHECK_QUERY("size:..2M", "bytes:0..2097152");
	CHECK_QUERY("packets:5..", "packets:5..");
	CHECK_QUERY("bytes<0", "bytes<0");
	CHECK_QUERY("bytes<0 or matches:18446744073709551615",
		    "(bytes<0 or matches:18446744073709551615)");
	CHECK_QUERY("id:5f2a90c1d3b47e68", "id:5f2a90c1d3b47e68");
	CHECK_QUERY("id:A", "id:000000000000000a");
	check_wrong("port:90..80", 5, 6, "goes backwards");
	check_wrong("port:", 5, 1, "a value is missing");
	check_wrong("port:http", 5, 4, "a whole number");
	check_wrong("port:-1", 5, 2, "a whole number");
	check_wrong("port:99999999999999999999", 5, 20, "a whole number");
	check_wrong("bytes:..", 6, 2, "bytes, like");
	check_wrong("id:xyz", 3, 3, "hexadecimal");
	check_wrong("id:0123456789abcdef0", 3, 17, "hexadecimal");
	check_wrong("id>5", 0, 3, "compared with : only");
}

TEST(X08_a_duration_or_a_time_stands_for_all_of_its_unit)
{
	CHECK_QUERY("duration:5s", "duration:5000000000ns..5999999999ns");
	CHECK_QUERY("dur>500ms", "duration:501000000ns..");
	CHECK_QUERY("dur<1m", "duration:0ns..59999999999ns");
	CHECK_QUERY("dur:7ns", "duration:7ns");
	CHECK_QUERY("time:2026-11-25",
		    "time:@1795564800.000000000..@1795651199.999999999");
	CHECK_QUERY("time:2026-11-25T10:00",
		    "time:@1795600800.000000000..@1795600859.999999999");
	CHECK_QUERY("time:2026-11-25T10:00:07.5Z",
		    "time:@1795600807.500000000..@1795600807.599999999");
	CHECK_QUERY("time>=2026-11-25T10:00+01:00",
		    "time:@1795597200.000000000..");
	CHECK_QUERY("time:10:00..10:30",
		    "time:@1795600800.000000000..@1795602659.999999999");
	CHECK_QUERY("time:-10m", "time:@1795607400.000000000..");
	CHECK_QUERY("time:-10m..-5m",
		    "time:@1795607400.000000000..@1795607700.000000000");
	CHECK_QUERY("last<now", "last:@0.000000000..@1795607999.999999999");
	CHECK_QUERY("time:@1700000000",
		    "time:@1700000000.000000000..@1700000000.999999999");
	check_wrong("time:2026-13-01", 5, 10, "a time, like");
	check_wrong("time:2026-11-25T25:00", 5, 16, "a time, like");
	check_wrong("time:yesterday", 5, 9, "a time, like");
	check_wrong("duration:5x", 9, 2, "a duration, like");
}

TEST(X08_networks_of_both_families)
{
	CHECK_QUERY("host:10.60.0.0/16", "host:10.60.0.0/16");
	CHECK_QUERY("chost:10.60.1.3", "chost:10.60.1.3/32");
	CHECK_QUERY("shost:2001:DB8::/32,::1",
		    "(shost:2001:db8::/32 or shost:::1/128)");
	check_wrong("host:10.60.0.0/33", 5, 12, "not an address");
	check_wrong("host:team1", 5, 5, "not an address");
	check_wrong("host:10.1", 5, 4, "not an address");
}

TEST(X08_texts_are_equal_like_or_hold_something)
{
	CHECK_QUERY("service:HTTP", "service:\"HTTP\"");
	CHECK_QUERY("http.target:/api/*,/login",
		    "(http.target:/api/* or http.target:\"/login\")");
	CHECK_QUERY("target:\"a*b c\"", "http.target:\"a*b c\"");
	CHECK_QUERY("target:50%_*", "http.target:50%_*");
	CHECK_QUERY("comment~look", "comment~\"look\"");
	CHECK_QUERY("comment~/lo+k\\/x/i", "comment~/(?i)lo+k\\/x/");
	CHECK_QUERY("tag:a,b", "(tag:\"a\" or tag:\"b\")");
	check_wrong("comment~/(/", 8, 3, "the regex is wrong");
	check_wrong("tag:\"a\\0b\"", 4, 6, "zero byte");
	check_wrong("port~80", 0, 5, "compared with : only");
}

TEST(X08_words_of_few_are_known)
{
	CHECK_QUERY("state:open,HALF", "(state:open or state:half)");
	CHECK_QUERY("status:reset", "state:reset");
	CHECK_QUERY("protocol:udp content:text",
		    "(protocol:udp content:text)");
	check_wrong("state:opne", 6, 4, "did you mean open?");
	check_wrong("protocol:quux", 9, 4, "it may be tcp, udp, …");
}

TEST(X08_payload_as_word_text_regex_and_bytes_with_direction)
{
	CHECK_QUERY("data:GET", "data:x\"474554\"");
	CHECK_QUERY("\"a b\"", "data:x\"612062\"");
	CHECK_QUERY("in~\"x\\n\\x00\\\"\"", "cdata:x\"780a0022\"");
	CHECK_QUERY("out~/FLG\\w+/", "sdata:/FLG\\w+/");
	CHECK_QUERY("/a\\/b/is", "data:/(?is)a\\/b/");
	CHECK_QUERY("x\"de:ad BE-ef\"", "data:x\"deadbeef\"");
	CHECK_QUERY("data:a,b", "data:x\"612c62\"");
	CHECK_QUERY("data:\"\xc3\xa4\"", "data:x\"c3a4\"");
	check_wrong("data:\"\"", 5, 2, "it is empty");
	check_wrong("data:/x", 5, 2, "never closed");
	check_wrong("data:\"x", 5, 2, "never closed");
	check_wrong("x\"d\"", 0, 3, "odd number");
	check_wrong("x\"dg\"", 3, 1, "no hexadecimal digit");
	check_wrong("data:/a/q", 8, 1, "may stand i, s, m and x");
	check_wrong("\"\\q\"", 1, 2, "a backslash in quotes");
	check_wrong("data:f(x)", 6, 1, "in quotes");
}

TEST(X08_then_binds_closest_and_joins_payload_only)
{
	CHECK_QUERY("service:http out~/F\\w+/ then in~DELETE port:1",
		    "(service:\"http\" (sdata:/F\\w+/ then "
		    "cdata:x\"44454c455445\") port:1)");
	CHECK_QUERY("\"a\" then (in~b or out~c) then \"d\"",
		    "(data:x\"61\" then (cdata:x\"62\" or sdata:x\"63\") then "
		    "data:x\"64\")");
	CHECK_QUERY("-\"a\" then \"b\"", "-(data:x\"61\" then data:x\"62\")");
	check_wrong("port:1 then \"a\"", 0, 12, "then stands between");
	check_wrong("\"a\" then port:1", 9, 6, "then stands between");
	check_wrong("\"a\" then (port:1 or \"b\")", 9, 15,
		    "then stands between");
	check_wrong("\"a\" then", 7, 1, "a condition is missing");
}

TEST(X08_sort_and_limit_stand_beside_the_conditions)
{
	CHECK_QUERY("port:1 sort:bytes limit:10", "port:1 sort:bytes limit:10");
	CHECK_QUERY("limit:3", "limit:3");
	CHECK_QUERY("sort:-duration", "sort:-duration");
	check_wrong("(port:1 limit:3)", 8, 6, "stands beside");
	check_wrong("-limit:3", 1, 6, "stands beside");
	check_wrong("port:1 or limit:3", 0, 17, "beside the or");
	check_wrong("sort:colour", 5, 6, "sort has no");
	check_wrong("limit:x", 6, 1, "a whole number");
}

TEST(X08_a_wrong_key_is_told_with_its_place_and_the_nearest)
{
	check_wrong("port:1 sevice:http", 7, 6, "did you mean service?");
	check_wrong("dtaa:x", 0, 4, "did you mean data?");
	check_wrong("http.hots:x", 0, 9, "did you mean http.host?");
	check_wrong("quuxquux:1", 0, 8, "there is no key quuxquux");
	check_wrong("hello world", 0, 5, "data:\"hello\" looks for it");
	check_wrong("@", 0, 1, "is no condition");
	check_wrong("(port:1", 0, 1, "never closed");
	check_wrong("port:1)", 6, 1, "never opened");
	check_wrong(")", 0, 1, "a condition is missing");
	check_wrong("port:1 or", 8, 1, "a condition is missing");
	check_wrong("or port:1", 0, 2, "is no condition");
	check_wrong("()", 1, 1, "a condition is missing");
	check_wrong("not", 2, 1, "a condition is missing");
}

static char *repeat(const char *what, int n, const char *end)
{
	struct buf b = { 0 };

	for (int i = 0; i < n; i++)
		put_text(&b, what);
	put_text(&b, end);
	put_u8(&b, 0);
	return (char *)b.p;
}

static void check_bound(const char *what, int most, const char *end,
			const char *words)
{
	char *good = repeat(what, most, end);
	char *over = repeat(what, most + 1, end);
	struct err err = ERR_NONE;
	struct query *q = query_parse(good, NOW, NULL, &err);

	if (!q)
		fail_msg("%d times %s: %s", most, what, err.text);
	query_free(q);
	CHECK(query_parse(over, NOW, NULL, &err) == NULL);
	if (!strstr(err.text, words))
		fail_msg("\"%s\" does not say \"%s\"", err.text, words);
	free(good);
	free(over);
}

TEST(X08_every_size_has_a_bound)
{
	struct err err = ERR_NONE;
	struct buf b = { 0 };

	check_bound("-", QUERY_DEPTH_MAX, "port:1", "negations inside");
	check_bound("port:1 ", QUERY_NODES_MAX - 2, "port:1",
		    "more than 256 conditions");
	check_bound("port:1,1,1,1,1,1,1,1 ", QUERY_VALUES_MAX / 8, "",
		    "more than 512 values");
	for (int i = 0; i <= QUERY_TERMS_MAX; i++)
		put_format(&b, "data:t%d ", i);
	put_u8(&b, 0);
	CHECK(query_parse((const char *)b.p, NOW, NULL, &err) == NULL);
	CHECK(strstr(err.text, "more than 64 things"));
	buf_release(&b);
	check_bound(" ", QUERY_TEXT_MAX, "", "bytes, more than");
}

/* Brackets, too: each pair one deeper. */
TEST(X08_brackets_have_a_bound)
{
	for (int n = QUERY_DEPTH_MAX; n <= QUERY_DEPTH_MAX + 1; n++) {
		char *open = repeat("(", n, "port:1");
		char *close = repeat(")", n, "");
		char *text = mem_format("%s%s", open, close);
		struct err err = ERR_NONE;
		struct query *q = query_parse(text, NOW, NULL, &err);

		CHECK_EQ(q != NULL, n == QUERY_DEPTH_MAX);
		query_free(q);
		free(open);
		free(close);
		free(text);
	}
}

/* The page tells of every key, and of no other one. */
TEST(X08_the_page_and_the_table_of_keys_are_the_same)
{
	const char *source = getenv("WEIR_SOURCE");
	struct query_key_info k;
	struct bytes page;
	char *path, *text;

	if (!source)
		t_skip("WEIR_SOURCE does not say where doc/ is");
	path = mem_format("%s/doc/query.md", source);
	page = t_load(path);
	text = mem_alloc(page.len + 1);
	memcpy(text, page.p, page.len);
	for (size_t i = 0; query_key_info(i, &k); i++) {
		char row[96];

		snprintf(row, sizeof(row), k.also ? "| `%s`, `%s` |"
						  : "| `%s` |",
			 k.name, k.also);
		if (!strstr(text, row))
			fail_msg("doc/query.md has no row %s", row);
	}
	free(text);
	free(path);
}
