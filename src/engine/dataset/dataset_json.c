/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dataset_json.c - the set as JSON (doc/data-sets.md, "meta.json").
 */
#include "engine/dataset/dataset.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/when.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "codec/jsontoken.h"
#include "sys/sys.h"

enum { VERSION = 1 };

/* -- writing -------------------------------------------------------------- */

static void put_when(struct buf *b, const char *name, uint64_t ns)
{
	char text[WHEN_SIZE];

	json_word(b, name, when_format(text, ns));
}

static void put_span(struct buf *b, const char *name, const char *human,
		     uint64_t ns)
{
	char text[WHEN_SIZE];

	json_uint(b, name, ns);
	json_word(b, human, when_span(text, ns));
}

/* Names need not be UTF-8; what JSON cannot say stands beside in base64. */
static bool is_utf8(const char *text)
{
	struct buf b = { 0 };
	bool same;

	/* The writer gives U+FFFD for each byte that is none. */
	json_word(&b, NULL, text);
	same = !memmem(b.p, b.len, "\xef\xbf\xbd", 3) &&
	       !memmem(b.p, b.len, "\\ufffd", 6);
	buf_release(&b);
	return same;
}

static void put_path(struct buf *b, const char *path)
{
	json_word(b, "path", path);
	if (!is_utf8(path))
		json_base64(b, "path_base64", bytes_of_text(path));
}

static double rate(uint64_t n, uint64_t ns)
{
	return ns ? (double)n / ((double)ns / 1e9) : 0;
}

/* The members that gophercap knows, in its order. */
static void put_known(struct buf *b, const struct dataset_file *f,
		      uint64_t set_ns)
{
	const struct dataset_tally *t = &f->tally;
	/* A file without packets stands at the set's beginning. */
	uint64_t from = t->packets ? t->min_ns : set_ns;
	uint64_t to = t->packets ? t->max_ns : set_ns;

	put_path(b, f->path);
	json_uint(b, "snaplen", f->snaplen);
	json_uint(b, "packets", t->packets);
	json_uint(b, "size", t->captured);
	json_uint(b, "max_packet_size", t->largest);
	json_uint(b, "out_of_order", t->out_of_order);
	put_when(b, "beginning", from);
	put_when(b, "end", to);
	json_decimal(b, "pps", rate(t->packets, to - from), 3);
	put_span(b, "duration", "duration_human", to - from);
	put_span(b, "delay", "delay_human", from - set_ns);
}

static void put_file(struct buf *b, const struct dataset_file *f,
		     uint64_t set_ns)
{
	json_begin(b, NULL);
	put_known(b, f, set_ns);
	json_uint(b, "wire_size", f->tally.wire);
	json_uint(b, "max_backward", f->tally.backward_ns);
	if (f->tally.packets) {
		put_when(b, "first", f->tally.first_ns);
		put_when(b, "last", f->tally.last_ns);
	}
	if (f->format)
		json_word(b, "format", f->format);
	if (f->packed)
		json_word(b, "packed", f->packed);
	if (f->known_linktype)
		json_uint(b, "link_type", f->linktype);
	if (f->mixed_linktypes)
		json_bool(b, "mixed_link_types", true);
	json_word(b, "precision", f->nanoseconds ? "ns" : "us");
	if (f->bytes || f->mtime_ns) {
		json_uint(b, "bytes", f->bytes);
		put_when(b, "mtime", f->mtime_ns);
		json_uint(b, "inode", f->inode);
		json_hex64(b, "digest", f->digest);
	}
	if (f->damage)
		json_word(b, "damage", f->damage);
	json_end(b);
}

static void put_failed(struct buf *b, const struct dataset_failed *f)
{
	json_begin(b, NULL);
	put_path(b, f->path);
	json_word(b, "error", f->why);
	json_end(b);
}

void dataset_put_json(const struct dataset *d, struct buf *out)
{
	json_begin(out, NULL);
	json_uint(out, "version", VERSION);
	put_when(out, "beginning", d->min_ns);
	put_when(out, "end", d->max_ns);
	json_list(out, "files");
	for (size_t i = 0; i < d->n_files; i++) {
		put_text(out, i ? ",\n" : "\n");
		put_file(out, &d->files[i], d->min_ns);
	}
	json_list_end(out);
	if (d->n_failed) {
		json_list(out, "failed");
		for (size_t i = 0; i < d->n_failed; i++) {
			put_text(out, i ? ",\n" : "\n");
			put_failed(out, &d->failed[i]);
		}
		json_list_end(out);
	}
	json_end(out);
	put_text(out, "\n");
}

/* -- reading -------------------------------------------------------------- */

struct parse {
	struct json_reader r;
	struct dataset *d;
	const char *name;
	struct buf text; /* of the present value, with a NUL */
	struct err *err;
};

static int bad(struct parse *p, const char *what)
{
	return err_set(p->err, ERR_MALFORMED, "%s, byte %zu: %s", p->name,
		       json_offset(&p->r), what);
}

static int next(struct parse *p, struct json_token *t)
{
	if (json_next(&p->r, t) < 0)
		return bad(p, "this is no JSON that a map could have written");
	return 0;
}

static int take_uint(struct parse *p, const struct json_token *t, uint64_t *v)
{
	return json_uint_of(t, v) < 0 ? bad(p, "a whole number is expected")
				      : 0;
}

/* The text, up to the next one; a NUL inside is refused. */
static const char *take_text(struct parse *p, const struct json_token *t)
{
	buf_clear(&p->text);
	if (t->kind != JSON_TEXT) {
		bad(p, "a text is expected");
		return NULL;
	}
	json_text_of(t, &p->text);
	if (p->text.len && memchr(p->text.p, 0, p->text.len)) {
		bad(p, "a text with a NUL");
		return NULL;
	}
	put_u8(&p->text, 0);
	return (const char *)p->text.p;
}

static int take_when(struct parse *p, const struct json_token *t, uint64_t *ns)
{
	const char *text = take_text(p, t);

	if (!text)
		return p->err->code;
	/* gophercap's zero time is the year 1. */
	if (when_parse(text, ns) == ERR_MALFORMED)
		return bad(p, "a time such as 2026-11-25T06:54:03Z is "
			      "expected");
	return 0;
}

/* The path that stands in base64, in place of the text, with its NUL. */
static int undo_base64(struct buf *text)
{
	size_t n = text->len - 1, len = n / 4 * 3;
	struct buf plain = { 0 };
	int rc;

	for (size_t i = n; i > 0 && len && text->p[i - 1] == '='; i--)
		len--;
	rc = base64_parse(bytes_of(text->p, n), buf_reserve(&plain, len + 1),
			  len);
	buf_added(&plain, len);
	if (rc == 0 && memchr(plain.p, 0, len))
		rc = ERR_MALFORMED;
	buf_clear(text);
	put_bytes(text, buf_bytes(&plain));
	put_u8(text, 0);
	buf_release(&plain);
	return rc;
}

static int take_path(struct parse *p, const struct json_token *t, char **path,
		     bool base64)
{
	if (!take_text(p, t))
		return p->err->code;
	if ((base64 && undo_base64(&p->text) < 0) || p->text.len < 2 ||
	    p->text.len > DATASET_PATH_MAX)
		return bad(p, "this is no path");
	free(*path);
	*path = mem_text((const char *)p->text.p);
	return 0;
}

static const char *one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(text, *words) == 0)
			return *words;
	return NULL;
}

static int take_digest(struct parse *p, const struct json_token *t, uint64_t *v)
{
	const char *text = take_text(p, t);
	char *end;

	if (!text)
		return p->err->code;
	if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
		return bad(p, "a digest has 16 hexadecimal digits");
	*v = strtoull(text, &end, 16);
	return 0;
}

enum member_kind { UINT, WHEN, WORD_FORMAT, WORD_PACKED, PRECISION };

struct member {
	const char *name;
	enum member_kind kind;
	size_t at;
};

#define IN_FILE(field) offsetof(struct dataset_file, field)

static const struct member members[] = {
	{ "packets", UINT, IN_FILE(tally.packets) },
	{ "size", UINT, IN_FILE(tally.captured) },
	{ "max_packet_size", UINT, IN_FILE(tally.largest) },
	{ "out_of_order", UINT, IN_FILE(tally.out_of_order) },
	{ "wire_size", UINT, IN_FILE(tally.wire) },
	{ "max_backward", UINT, IN_FILE(tally.backward_ns) },
	{ "bytes", UINT, IN_FILE(bytes) },
	{ "inode", UINT, IN_FILE(inode) },
	{ "beginning", WHEN, IN_FILE(tally.min_ns) },
	{ "end", WHEN, IN_FILE(tally.max_ns) },
	{ "first", WHEN, IN_FILE(tally.first_ns) },
	{ "last", WHEN, IN_FILE(tally.last_ns) },
	{ "mtime", WHEN, IN_FILE(mtime_ns) },
	{ "format", WORD_FORMAT, IN_FILE(format) },
	{ "packed", WORD_PACKED, IN_FILE(packed) },
	{ "precision", PRECISION, IN_FILE(nanoseconds) },
};

static int take_member(struct parse *p, const struct json_token *t,
		       const struct member *m, struct dataset_file *f)
{
	static const char *const formats[] = { "pcap", "pcapng", NULL };
	static const char *const packings[] = { "gzip", "zstd", "lz4", NULL };
	void *to = (char *)f + m->at;
	const char *text;

	if (m->kind == UINT)
		return take_uint(p, t, to);
	if (m->kind == WHEN)
		return take_when(p, t, to);
	text = take_text(p, t);
	if (!text)
		return p->err->code;
	if (m->kind == PRECISION)
		f->nanoseconds = strcmp(text, "ns") == 0;
	else
		*(const char **)to = one_of(
			text, m->kind == WORD_FORMAT ? formats : packings);
	return 0;
}

static int take_u32(struct parse *p, const struct json_token *t, uint32_t *to)
{
	uint64_t v;

	if (take_uint(p, t, &v) < 0)
		return p->err->code;
	if (v > UINT32_MAX)
		return bad(p, "a number over 32 bits");
	*to = (uint32_t)v;
	return 0;
}

static int take_file_value(struct parse *p, const struct json_token *t,
			   struct dataset_file *f)
{
	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++)
		if (json_named(t, members[i].name))
			return take_member(p, t, &members[i], f);
	if (json_named(t, "path") && !f->path)
		return take_path(p, t, &f->path, false);
	if (json_named(t, "path_base64"))
		return take_path(p, t, &f->path, true);
	if (json_named(t, "snaplen"))
		return take_u32(p, t, &f->snaplen);
	if (json_named(t, "link_type")) {
		f->known_linktype = true;
		return take_u32(p, t, &f->linktype);
	}
	if (json_named(t, "mixed_link_types")) {
		f->mixed_linktypes = t->kind == JSON_TRUE;
	} else if (json_named(t, "digest")) {
		return take_digest(p, t, &f->digest);
	} else if (json_named(t, "damage")) {
		const char *text = take_text(p, t);

		if (!text)
			return p->err->code;
		free(f->damage);
		f->damage = mem_text(text);
	}
	if (json_skip(&p->r, t) < 0)
		return bad(p, "this is no JSON");
	return 0;
}

static int check_file(struct parse *p, struct dataset_file *f)
{
	struct dataset_tally *t = &f->tally;

	if (!f->path)
		return bad(p, "a file without a path");
	if (t->max_ns < t->min_ns) {
		/* What gophercap says of one packet: its end is the year 1. */
		if (t->max_ns)
			return bad(p, "a file ends before it begins");
		t->max_ns = t->min_ns;
	}
	return 0;
}

static int take_file(struct parse *p, const struct json_token *open)
{
	struct dataset *d = p->d;
	struct dataset_file *f;
	struct json_token t;
	int rc;

	if (open->kind != JSON_OBJECT)
		return bad(p, "a file is expected");
	if (d->n_files == DATASET_FILES_MAX)
		return err_set(p->err, ERR_LIMIT,
			       "%s has over %d files; map parts of the set",
			       p->name, DATASET_FILES_MAX);
	if ((d->n_files & (d->n_files - 1)) == 0)
		d->files =
			mem_grow(d->files, (d->n_files ? 2 * d->n_files : 1) *
						   sizeof(*d->files));
	f = &d->files[d->n_files++];
	*f = (struct dataset_file){ 0 };
	while ((rc = next(p, &t)) == 0 && t.kind != JSON_OBJECT_END)
		if (take_file_value(p, &t, f) < 0)
			return p->err->code;
	return rc < 0 ? rc : check_file(p, f);
}

static int take_failed(struct parse *p, const struct json_token *open)
{
	struct dataset *d = p->d;
	struct dataset_failed *f;
	struct json_token t;
	int rc;

	if (open->kind != JSON_OBJECT)
		return bad(p, "an object is expected");
	if (d->n_failed == DATASET_FILES_MAX)
		return err_set(p->err, ERR_LIMIT, "%s has over %d failed files",
			       p->name, DATASET_FILES_MAX);
	if ((d->n_failed & (d->n_failed - 1)) == 0)
		d->failed = mem_grow(d->failed,
				     (d->n_failed ? 2 * d->n_failed : 1) *
					     sizeof(*d->failed));
	f = &d->failed[d->n_failed++];
	*f = (struct dataset_failed){ 0 };
	while ((rc = next(p, &t)) == 0 && t.kind != JSON_OBJECT_END) {
		const char *text;

		if (json_named(&t, "error")) {
			text = take_text(p, &t);
			if (!text)
				return p->err->code;
			free(f->why);
			f->why = mem_text(text);
		} else if (json_named(&t, "path_base64") ||
			   (json_named(&t, "path") && !f->path)) {
			if (take_path(p, &t, &f->path,
				      json_named(&t, "path_base64")) < 0)
				return p->err->code;
		} else if (json_skip(&p->r, &t) < 0) {
			return bad(p, "this is no JSON");
		}
	}
	if (rc == 0 && (!f->path || !f->why))
		return bad(p, "path and error are expected");
	return rc;
}

/* A list whose elements `take` takes. */
static int take_list(struct parse *p, const struct json_token *open,
		     int (*take)(struct parse *, const struct json_token *))
{
	struct json_token t;
	int rc;

	/* A Go program writes null for an empty list. */
	if (open->kind == JSON_NONE)
		return 0;
	if (open->kind != JSON_LIST)
		return bad(p, "a list is expected");
	while ((rc = next(p, &t)) == 0 && t.kind != JSON_LIST_END)
		if (take(p, &t) < 0)
			return p->err->code;
	return rc;
}

static int take_set(struct parse *p)
{
	struct json_token t;
	bool files = false;
	int rc;

	if (next(p, &t) < 0)
		return p->err->code;
	if (t.kind != JSON_OBJECT)
		return bad(p, "this is not what a map writes");
	while ((rc = next(p, &t)) == 0 && t.kind != JSON_OBJECT_END) {
		if (json_named(&t, "files")) {
			files = true;
			rc = take_list(p, &t, take_file);
		} else if (json_named(&t, "failed")) {
			rc = take_list(p, &t, take_failed);
		} else if (json_skip(&p->r, &t) < 0) {
			rc = bad(p, "this is no JSON");
		}
		if (rc < 0)
			return rc;
	}
	if (rc == 0 && json_next(&p->r, &t) != ERR_END)
		return bad(p, "something follows the set");
	if (rc == 0 && !files)
		return bad(p, "there is no list of files");
	return rc;
}

int dataset_parse(struct bytes json, const char *name, struct dataset *d,
		  struct err *err)
{
	struct err scrap = ERR_NONE;
	struct parse p = { .r = json_reader_on(json),
			   .d = d,
			   .name = name,
			   .err = err ? err : &scrap };
	int rc = take_set(&p);

	buf_release(&p.text);
	if (rc < 0)
		dataset_release(d);
	else
		dataset_sum(d);
	return rc;
}

/* -- files ---------------------------------------------------------------- */

static int read_text(int fd, const char *path, struct buf *text,
		     struct err *err)
{
	for (;;) {
		ssize_t n = read(fd, buf_reserve(text, 1 << 16), 1 << 16);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "%s cannot be read", path);
		if (n == 0)
			return 0;
		buf_added(text, (size_t)n);
		if (text->len > DATASET_JSON_MAX)
			return err_set(err, ERR_LIMIT, "%s has over 1 GiB",
				       path);
	}
}

int dataset_load(const char *path, struct dataset *d, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;
	struct buf text = { 0 };

	*d = (struct dataset){ 0 };
	if (fd < 0) {
		rc = errno == ENOENT ? ERR_GONE : ERR_FAILED;
		err_sys(err, errno, "%s cannot be opened", path);
		if (err)
			err->code = rc;
		return rc;
	}
	rc = read_text(fd, path, &text, err);
	close(fd);
	if (rc == 0)
		rc = dataset_parse(buf_bytes(&text), path, d, err);
	buf_release(&text);
	return rc;
}

int dataset_save(const char *path, const struct dataset *d, struct err *err)
{
	struct buf text = { 0 };
	int rc = 0;

	dataset_put_json(d, &text);
	if (strcmp(path, "-") == 0) {
		if (fwrite(text.p, 1, text.len, stdout) != text.len ||
		    fflush(stdout) != 0)
			rc = -errno;
		path = "standard output";
	} else {
		rc = sys_replace_file(sys_host(), path, text.p, text.len);
	}
	buf_release(&text);
	return rc < 0 ? err_sys(err, -rc, "%s cannot be written", path) : 0;
}
