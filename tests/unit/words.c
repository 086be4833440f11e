/* SPDX-License-Identifier: Apache-2.0 */
#include "base/words.h"

#include "t.h"

/* The words of `text`, each in brackets. */
static const char *cut(const char *text)
{
	static char out[1024];
	struct words w;
	struct err err = ERR_NONE;

	CHECK_OK(words_split(&w, text, &err), &err);
	out[0] = 0;
	for (size_t i = 0; i < w.n; i++) {
		strcat(out, "[");
		strcat(out, w.at[i]);
		strcat(out, "]");
	}
	CHECK(w.at[w.n] == NULL);
	words_release(&w);
	return out;
}

TEST(blanks_separate_and_quotes_keep)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
		{ "tcpdump -i eth0 -w -", "[tcpdump][-i][eth0][-w][-]" },
		{ "  a\t\nb  ", "[a][b]" },
		{ "'a b' \"c d\"", "[a b][c d]" },
		{ "a'b'\"c\"d", "[abcd]" },
		{ "'' \"\"", "[][]" },
		{ "'\\' \"\\\\ \\\" \\$ \\x\"", "[\\][\\ \" $ \\x]" },
		{ "a\\ b \\'c", "[a b]['c]" },
		{ "'say \"no\"' \"it's\"", "[say \"no\"][it's]" },
		{ "a\\\nb \"c\\\nd\"", "[ab][cd]" },
		{ "$HOME * ; | # >", "[$HOME][*][;][|][#][>]" },
		{ "\xc3\xa9 '\xff'", "[\xc3\xa9][\xff]" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		CHECK_STR(cut(cases[i].text), cases[i].words);
}

TEST(B13_blanks_alone_are_no_words)
{
	CHECK_STR(cut(""), "");
	CHECK_STR(cut(" \t\n"), "");
}

TEST(an_open_quote_or_a_last_backslash_is_told_with_its_place)
{
	static const struct {
		const char *text, *place;
	} cases[] = { { "ab 'cd", "character 4" },
		      { "\"x", "character 1" },
		      { "a \"b\\\"", "character 3" },
		      { "a \\", "ends with a backslash" } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct words w;
		struct err err = ERR_NONE;

		CHECK_EQ(words_split(&w, cases[i].text, &err), ERR_USAGE);
		CHECK(strstr(err.text, cases[i].place) != NULL);
		words_release(&w);
	}
}

/* Quoting any bytes in single quotes gives them back. */
TEST(whatever_is_quoted_comes_back)
{
	for (int round = 0; round < 2000; round++) {
		char in[64], text[400], *to = text;
		size_t len = t_random_below(sizeof(in));
		struct words w;
		struct err err = ERR_NONE;

		*to++ = '\'';
		for (size_t i = 0; i < len; i++) {
			in[i] = (char)(1 + t_random_below(255));
			if (in[i] == '\'')
				to = stpcpy(to, "'\\''");
			else
				*to++ = in[i];
		}
		*to++ = '\'';
		*to = 0;
		CHECK_OK(words_split(&w, text, &err), &err);
		CHECK_EQ(w.n, 1);
		CHECK_BYTES(bytes_of_text(w.at[0]), bytes_of(in, len));
		words_release(&w);
	}
}
