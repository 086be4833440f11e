/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/keyfile.h"

#include "base/buf.h"
#include "base/cursor.h"
#include "base/err.h"

static bool blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct bytes trim(struct bytes in)
{
	while (in.len && blank(in.p[0]))
		in = bytes_of(in.p + 1, in.len - 1);
	while (in.len && blank(in.p[in.len - 1]))
		in.len--;
	return in;
}

static struct bytes next_line(struct cursor *c)
{
	const uint8_t *end = c->len ? memchr(c->p, '\n', c->len) : NULL;

	return get_bytes(c, end ? (size_t)(end - c->p) + 1 : c->len);
}

int keyfile_parse(struct bytes file, uint8_t key[KEYFILE_KEY])
{
	struct cursor c = cursor_on(file);

	while (c.len) {
		struct bytes line = trim(next_line(&c));

		if (line.len && line.p[0] != '#')
			return base64_parse(line, key, KEYFILE_KEY);
	}
	return ERR_END;
}

void put_keyfile(struct buf *b, const uint8_t key[KEYFILE_KEY])
{
	char *to = (char *)buf_reserve(b, KEYFILE_TEXT + 1);

	key_text(to, key);
	to[KEYFILE_TEXT] = '\n';
	buf_added(b, KEYFILE_TEXT + 1);
}

int key_parse(struct bytes text, uint8_t key[KEYFILE_KEY])
{
	return base64_parse(trim(text), key, KEYFILE_KEY);
}

char *key_text(char out[KEYFILE_TEXT + 1], const uint8_t key[KEYFILE_KEY])
{
	return base64_of(out, bytes_of(key, KEYFILE_KEY));
}
