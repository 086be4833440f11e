/* SPDX-License-Identifier: Apache-2.0 */
/*
 * regex.c - an expression over one text of a row.
 */
#define PCRE2_CODE_UNIT_WIDTH 8

#include "engine/query/query_priv.h"

#include <stdlib.h>

#include <pcre2.h>

#include "base/mem.h"

enum { STEPS_MAX = 200000, DEEP_MAX = 1000 };

struct query_regex {
	pcre2_code *code;
	pcre2_match_data *data;
	pcre2_match_context *context;
};

struct query_regex *query_regex_new(const char *text, struct err *err)
{
	struct query_regex *r = mem_alloc(sizeof(*r));
	PCRE2_UCHAR words[160];
	PCRE2_SIZE at;
	int number;

	r->code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED,
				PCRE2_NEVER_UTF, &number, &at, NULL);
	if (!r->code) {
		pcre2_get_error_message(number, words, sizeof(words));
		err_set(err, ERR_USAGE,
			"the regex is wrong at its character %zu: %s", at + 1,
			(char *)words);
		query_regex_free(r);
		return NULL;
	}
	r->data = pcre2_match_data_create(1, NULL);
	r->context = pcre2_match_context_create(NULL);
	if (!r->data || !r->context) {
		err_set(err, ERR_LIMIT, "no memory for a regex");
		query_regex_free(r);
		return NULL;
	}
	pcre2_set_match_limit(r->context, STEPS_MAX);
	pcre2_set_depth_limit(r->context, DEEP_MAX);
	return r;
}

void query_regex_free(struct query_regex *r)
{
	if (!r)
		return;
	pcre2_code_free(r->code);
	pcre2_match_data_free(r->data);
	pcre2_match_context_free(r->context);
	free(r);
}

bool query_regex_finds(struct query_regex *r, struct bytes in)
{
	return pcre2_match(r->code, in.len ? in.p : (PCRE2_SPTR) "", in.len, 0,
			   0, r->data, r->context) >= 0;
}
