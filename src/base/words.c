/* SPDX-License-Identifier: Apache-2.0 */
#include "base/words.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

static const char blanks[] = " \t\n\r\v\f";

static void add(struct words *w, struct buf *word)
{
	put_u8(word, 0);
	w->at = mem_grow(w->at, (w->n + 2) * sizeof(*w->at));
	w->at[w->n++] = mem_text((const char *)word->p);
	w->at[w->n] = NULL;
	buf_clear(word);
}

/* What stands between the quotes; returns the place of the closing one. */
static const char *quoted(struct buf *word, const char *p)
{
	char quote = *p++;

	for (; *p && *p != quote; p++) {
		if (quote == '"' && p[0] == '\\' && p[1] == '\n') {
			p++;
			continue;
		}
		if (quote == '"' && p[0] == '\\' && p[1] &&
		    strchr("\"\\$`", p[1]))
			p++;
		put_u8(word, (uint8_t)*p);
	}
	return p;
}

/* One word from p on; returns what stands behind it, NULL on failure. */
static const char *one(struct buf *word, const char *text, const char *p,
		       struct err *err)
{
	for (; *p && !strchr(blanks, *p); p++) {
		const char *open = p;

		if (*p == '\\') {
			if (!*++p) {
				err_set(err, ERR_USAGE,
					"the command ends with a backslash: %s",
					text);
				return NULL;
			}
			if (*p != '\n')
				put_u8(word, (uint8_t)*p);
			continue;
		}
		if (*p != '"' && *p != '\'') {
			put_u8(word, (uint8_t)*p);
			continue;
		}
		p = quoted(word, p);
		if (!*p) {
			err_set(err, ERR_USAGE,
				"the quote %c at character %zu of the command "
				"is never closed: %s",
				*open, (size_t)(open - text) + 1, text);
			return NULL;
		}
	}
	return p;
}

int words_split(struct words *w, const char *text, struct err *err)
{
	struct buf word = { 0 };
	const char *p = text + strspn(text, blanks);

	*w = (struct words){ .at = mem_array(1, sizeof(*w->at)) };
	while (p && *p) {
		p = one(&word, text, p, err);
		if (!p)
			break;
		add(w, &word);
		p += strspn(p, blanks);
	}
	buf_release(&word);
	if (p)
		return 0;
	words_release(w);
	return err->code;
}

void words_release(struct words *w)
{
	for (size_t i = 0; i < w->n; i++)
		free(w->at[i]);
	free(w->at);
	*w = (struct words){ 0 };
}
