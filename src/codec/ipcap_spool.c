/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/ipcap_spool.h"

#include <stdio.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/text.h"

enum { SEQ_DIGITS = 20, HAS_ALL = 31 };

static void skip_blanks(struct cursor *c)
{
	while (c->len && (*c->p == ' ' || *c->p == '\t' || *c->p == '\r'))
		skip_bytes(c, 1);
}

static bool take(struct cursor *c, char what)
{
	skip_blanks(c);
	if (!c->len || *c->p != (uint8_t)what)
		return false;
	skip_bytes(c, 1);
	return true;
}

/* "text"; ipcap writes nothing that would need an escape. */
static bool take_text(struct cursor *c, struct bytes *text)
{
	const uint8_t *end;

	if (!take(c, '"'))
		return false;
	end = c->len ? memchr(c->p, '"', c->len) : NULL;
	if (!end)
		return false;
	*text = get_bytes(c, (size_t)(end - c->p));
	skip_bytes(c, 1);
	return !memchr(text->p, '\\', text->len);
}

/* A number, true, false or null, as it stands there. */
static struct bytes take_word(struct cursor *c)
{
	const uint8_t *from;
	size_t n = 0;

	skip_blanks(c);
	from = c->p;
	while (n < c->len && ((from[n] >= '0' && from[n] <= '9') ||
			      (from[n] >= 'a' && from[n] <= 'z')))
		n++;
	return get_bytes(c, n);
}

static bool is(struct bytes a, const char *text)
{
	return a.len == strlen(text) && memcmp(a.p, text, a.len) == 0;
}

static bool number_of(struct bytes word, uint64_t *v)
{
	char digits[24];

	if (word.len < 1 || word.len >= sizeof(digits))
		return false;
	memcpy(digits, word.p, word.len);
	digits[word.len] = '\0';
	return text_to_uint(digits, v) == 0;
}

/* A member's value; *has counts which of the five came.  False: malformed. */
static bool take_value(struct cursor *c, struct bytes key,
		       struct ipcap_segment *s, unsigned *has)
{
	const struct {
		const char *key;
		uint64_t *v;
	} numbers[] = { { "seq", &s->seq },
			{ "start", &s->start },
			{ "end", &s->end },
			{ "vlen", &s->vlen } };
	struct bytes value;

	skip_blanks(c);
	if (c->len && *c->p == '"') {
		if (!take_text(c, &value))
			return false;
		if (!is(key, "file"))
			return true;
		if (value.len >= IPCAP_FILE_MAX ||
		    (value.len && memchr(value.p, '\0', value.len)))
			return false;
		memcpy(s->file, value.p, value.len);
		s->file[value.len] = '\0';
		*has |= 16;
		return true;
	}
	value = take_word(c);
	if (is(key, "sealed"))
		s->sealed = is(value, "true");
	for (unsigned i = 0; i < 4; i++) {
		if (!is(key, numbers[i].key))
			continue;
		if (!number_of(value, numbers[i].v))
			return false;
		*has |= 1u << i;
	}
	return value.len > 0;
}

int ipcap_segment_parse(struct bytes line, struct ipcap_segment *s)
{
	struct cursor c = cursor_on(line);
	struct bytes key;
	unsigned has = 0;

	*s = (struct ipcap_segment){ .sealed = false };
	if (line.len > IPCAP_LINE_MAX || !take(&c, '{'))
		return ERR_MALFORMED;
	do {
		if (!take_text(&c, &key) || !take(&c, ':') ||
		    !take_value(&c, key, s, &has))
			return ERR_MALFORMED;
	} while (take(&c, ','));
	if (!take(&c, '}'))
		return ERR_MALFORMED;
	skip_blanks(&c);
	return c.len == 0 && has == HAS_ALL && s->end >= s->start
		       ? 0
		       : ERR_MALFORMED;
}

int ipcap_segment_name(const char *name, uint16_t *id, uint64_t *seq)
{
	char again[IPCAP_FILE_MAX], digits[SEQ_DIGITS + 1];
	const char *dash = strrchr(name, '-');
	uint64_t number;

	if (strncmp(name, "src", 3) != 0 || !dash || dash < name + 4 ||
	    dash > name + 8 || strlen(dash) != SEQ_DIGITS + 6)
		return ERR_UNKNOWN;
	memcpy(digits, name + 3, (size_t)(dash - name - 3));
	digits[dash - name - 3] = '\0';
	if (text_to_uint(digits, &number) < 0 || number > UINT16_MAX)
		return ERR_UNKNOWN;
	*id = (uint16_t)number;
	memcpy(digits, dash + 1, SEQ_DIGITS);
	digits[SEQ_DIGITS] = '\0';
	if (text_to_uint(digits, seq) < 0)
		return ERR_UNKNOWN;
	snprintf(again, sizeof(again), "src%u-%020llu.pcap", *id,
		 (unsigned long long)*seq);
	return strcmp(again, name) == 0 ? 0 : ERR_UNKNOWN;
}
