/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/link/keysink.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "sys/sys.h"

enum {
	SLOTS = KEYSINK_MAX * 2,
	RANDOM_HEX = 64, /* at most, in the second field */
	SECRET_HEX = 96,
	BLOCK = 64 << 10
};

struct keysink {
	struct sys *sys;
	int file;
	uint64_t end;	/* length of the file */
	uint64_t *seen; /* SLOTS hashes of lines, open addressing; owned */
	uint32_t n;
	uint64_t key; /* of the hash: the sender must not know it */
	bool told;
};

/* -- what a line is ------------------------------------------------------ */

static bool is_label(struct bytes word)
{
	static const char *const labels[] = {
		"CLIENT_RANDOM",
		"CLIENT_EARLY_TRAFFIC_SECRET",
		"CLIENT_HANDSHAKE_TRAFFIC_SECRET",
		"SERVER_HANDSHAKE_TRAFFIC_SECRET",
		"CLIENT_TRAFFIC_SECRET_0",
		"SERVER_TRAFFIC_SECRET_0",
		"EARLY_EXPORTER_SECRET",
		"EXPORTER_SECRET",
	};

	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++)
		if (bytes_equal(word, bytes_of_text(labels[i])))
			return true;
	return false;
}

static bool is_hex(struct bytes word, size_t most)
{
	if (!word.len || word.len > most)
		return false;
	for (size_t i = 0; i < word.len; i++)
		if (!isxdigit(word.p[i]))
			return false;
	return true;
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* Cut the next word off; empty when there is none. */
static struct bytes word(struct bytes *line)
{
	size_t n = 0, skip = 0;
	struct bytes w;

	while (n < line->len && !is_blank(line->p[n]))
		n++;
	w = bytes_of(line->p, n);
	while (n + skip < line->len && is_blank(line->p[n + skip]))
		skip++;
	*line = bytes_of(line->p + n + skip, line->len - n - skip);
	return w;
}

struct bytes keysink_check(struct bytes line)
{
	struct bytes left;
	bool good;

	while (line.len && isspace(line.p[line.len - 1]))
		line.len--;
	while (line.len && isspace(line.p[0]))
		line = bytes_of(line.p + 1, line.len - 1);
	left = line;
	good = line.len && line.len <= KEYSINK_LINE && is_label(word(&left)) &&
	       is_hex(word(&left), RANDOM_HEX) &&
	       is_hex(word(&left), SECRET_HEX) && !left.len;
	return good ? line : bytes_of(NULL, 0);
}

/* -- doubles ------------------------------------------------------------- */

static uint64_t hash(uint64_t h, struct bytes line)
{
	for (size_t i = 0; i < line.len; i++) {
		h = (h ^ line.p[i]) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 29;
	}
	return h | 1; /* 0 is an empty slot */
}

/* True where it was not there; the table has room. */
static bool insert(struct keysink *k, struct bytes line)
{
	uint64_t h = hash(k->key, line);
	size_t at = (size_t)(h >> 20) % SLOTS;

	for (; k->seen[at]; at = (at + 1) % SLOTS)
		if (k->seen[at] == h)
			return false;
	k->seen[at] = h;
	k->n++;
	return true;
}

/* -- the file ------------------------------------------------------------ */

static void load_lines(struct keysink *k, struct buf *b)
{
	const uint8_t *end;

	while (b->len && k->n < KEYSINK_MAX &&
	       (end = memchr(b->p, '\n', b->len))) {
		struct bytes line =
			keysink_check(bytes_of(b->p, (size_t)(end - b->p)));

		if (line.len)
			insert(k, line);
		buf_consume(b, (size_t)(end - b->p) + 1);
	}
	/* Longer than any key line: nobody's key. */
	if (b->len > KEYSINK_LINE)
		buf_clear(b);
}

/* A line that a crash has torn gets its newline, so that none is glued on. */
static int load(struct keysink *k, const char *path, struct err *err)
{
	struct buf b = { 0 };
	uint8_t last = '\n';
	ssize_t n;
	int rc = 0;

	for (;;) {
		n = k->sys->pread(k->sys, k->file, buf_reserve(&b, BLOCK),
				  BLOCK, k->end);
		if (n <= 0)
			break;
		buf_added(&b, (size_t)n);
		last = b.p[b.len - 1];
		k->end += (uint64_t)n;
		load_lines(k, &b);
	}
	buf_release(&b);
	if (n == 0 && last != '\n') {
		rc = sys_write_full(k->sys, k->file, "\n", 1, k->end);
		k->end++;
	}
	if (n < 0)
		rc = (int)n;
	return rc < 0 ? err_sys(err, -rc, "cannot read %s", path) : 0;
}

struct keysink *keysink_open(struct sys *sys, const char *path, struct err *err)
{
	struct keysink *k = mem_alloc(sizeof(*k));

	k->sys = sys;
	k->seen = mem_array(SLOTS, sizeof(*k->seen));
	sys->random(sys, &k->key, sizeof(k->key));
	k->file = sys->open(sys, path, SYS_READ | SYS_WRITE | SYS_CREATE);
	if (k->file < 0)
		err_sys(err, -k->file, "cannot open %s", path);
	if (k->file < 0 || load(k, path, err) < 0) {
		keysink_close(k);
		return NULL;
	}
	return k;
}

void keysink_close(struct keysink *k)
{
	if (!k)
		return;
	if (k->file >= 0)
		k->sys->close(k->sys, k->file);
	free(k->seen);
	free(k);
}

bool keysink_put(struct keysink *k, struct bytes line)
{
	char text[KEYSINK_LINE + 1];
	int rc;

	line = keysink_check(line);
	if (!line.len)
		return false;
	if (k->n == KEYSINK_MAX) {
		if (!k->told)
			log_warn("keys",
				 "over %d TLS keys: no other one is "
				 "taken",
				 KEYSINK_MAX);
		k->told = true;
		return false;
	}
	if (!insert(k, line))
		return false;
	memcpy(text, line.p, line.len);
	text[line.len] = '\n';
	rc = sys_write_full(k->sys, k->file, text, line.len + 1, k->end);
	if (rc < 0) {
		if (!k->told)
			log_error("keys",
				  "cannot write the file of TLS keys: "
				  "%s",
				  strerror(-rc));
		k->told = true;
		return false;
	}
	k->end += line.len + 1;
	return true;
}
