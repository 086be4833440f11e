/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/dataset/pattern.h"

#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/err.h"
#include "base/mem.h"

enum { TEXT_MAX = 8192, STEPS_MAX = 1000000, HEAP_KIB_MAX = 4096 };

struct pattern {
	pcre2_code *code;
};

struct pattern *pattern_new(const char *text, struct err *err)
{
	size_t len = strlen(text), at;
	PCRE2_UCHAR why[128];
	struct pattern *p;
	pcre2_code *code;
	int number;

	if (len > TEXT_MAX) {
		err_set(err, ERR_USAGE,
			"a regular expression of %zu bytes is over the %d that "
			"are taken",
			len, TEXT_MAX);
		return NULL;
	}
	code = pcre2_compile((PCRE2_SPTR)text, len, PCRE2_NEVER_BACKSLASH_C,
			     &number, &at, NULL);
	if (!code) {
		pcre2_get_error_message(number, why, sizeof(why));
		err_set(err, ERR_USAGE,
			"the regular expression \"%s\" is wrong at character "
			"%zu: %s",
			text, at + 1, (const char *)why);
		return NULL;
	}
	p = mem_alloc(sizeof(*p));
	p->code = code;
	return p;
}

void pattern_free(struct pattern *p)
{
	if (!p)
		return;
	pcre2_code_free(p->code);
	free(p);
}

bool pattern_matches(const struct pattern *p, const char *name)
{
	pcre2_match_context *bounds;
	pcre2_match_data *data;
	int rc;

	if (!p)
		return true;
	bounds = pcre2_match_context_create(NULL);
	data = pcre2_match_data_create(1, NULL);
	pcre2_set_match_limit(bounds, STEPS_MAX);
	pcre2_set_heap_limit(bounds, HEAP_KIB_MAX);
	rc = pcre2_match(p->code, (PCRE2_SPTR)name, strlen(name), 0, 0, data,
			 bounds);
	pcre2_match_data_free(data);
	pcre2_match_context_free(bounds);
	return rc >= 0;
}
