/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/config/yamltree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <yaml.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

enum { CHUNK_NODES = 256, CHUNK_TEXT = 64 << 10 };

/* Memory is given back all at once. */
struct chunk {
	struct chunk *before;
	size_t used, cap;
	_Alignas(16) uint8_t bytes[];
};

struct yaml_doc {
	char *name;
	struct chunk *chunks;
	struct yaml_node *root;
	size_t n_nodes;
};

/* Where the next node goes. */
struct level {
	struct yaml_node *parent;
	struct yaml_node **end;
	const char *key; /* waits for its value */
};

struct build {
	struct yaml_doc *doc;
	struct level levels[YAML_LEVELS_MAX];
	int depth;
	struct err *err;
};

static void *take(struct yaml_doc *doc, size_t size)
{
	struct chunk *c = doc->chunks;
	void *p;

	size = (size + 15) & ~(size_t)15;
	if (!c || c->cap - c->used < size) {
		size_t cap = size > CHUNK_TEXT ? size : CHUNK_TEXT;

		c = mem_alloc(sizeof(*c) + cap);
		c->before = doc->chunks;
		c->cap = cap;
		doc->chunks = c;
	}
	p = c->bytes + c->used;
	c->used += size;
	return p;
}

static const char *take_text(struct yaml_doc *doc, const yaml_event_t *e)
{
	size_t len = e->data.scalar.length;
	char *text = take(doc, len + 1);

	memcpy(text, e->data.scalar.value, len);
	return text;
}

static int bad(const struct build *b, const yaml_event_t *e, const char *what)
{
	return err_set(b->err, ERR_MALFORMED, "%s, line %zu: %s", b->doc->name,
		       e->start_mark.line + 1, what);
}

static struct yaml_node *add_node(struct build *b, const yaml_event_t *e,
				  enum yaml_kind kind)
{
	struct level *l = b->depth ? &b->levels[b->depth - 1] : NULL;
	struct yaml_node *n;

	if (++b->doc->n_nodes > YAML_NODES_MAX) {
		err_set(b->err, ERR_LIMIT, "%s, line %zu: over %d items",
			b->doc->name, e->start_mark.line + 1, YAML_NODES_MAX);
		return NULL;
	}
	n = take(b->doc, sizeof(*n));
	*n = (struct yaml_node){ .kind = kind,
				 .line = (unsigned)e->start_mark.line + 1 };
	if (!l) {
		b->doc->root = n;
		return n;
	}
	n->key = l->key;
	l->key = NULL;
	*l->end = n;
	l->end = &n->next;
	return n;
}

static bool wants_key(const struct build *b)
{
	const struct level *l = b->depth ? &b->levels[b->depth - 1] : NULL;

	return l && l->parent->kind == YAML_MAP && !l->key;
}

static int take_scalar(struct build *b, const yaml_event_t *e)
{
	struct yaml_node *n;

	if (strlen((const char *)e->data.scalar.value) != e->data.scalar.length)
		return bad(b, e, "a NUL");
	if (wants_key(b)) {
		b->levels[b->depth - 1].key = take_text(b->doc, e);
		return 0;
	}
	n = add_node(b, e, YAML_TEXT);
	if (!n)
		return b->err->code;
	n->text = take_text(b->doc, e);
	n->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	return 0;
}

static int open_level(struct build *b, const yaml_event_t *e,
		      enum yaml_kind kind)
{
	struct yaml_node *n;

	if (wants_key(b))
		return bad(b, e, "a key that is no text");
	if (b->depth == YAML_LEVELS_MAX)
		return bad(b, e, "nested too deep");
	n = add_node(b, e, kind);
	if (!n)
		return b->err->code;
	b->levels[b->depth++] = (struct level){ .parent = n, .end = &n->first };
	return 0;
}

static int take_event(struct build *b, const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_SCALAR_EVENT:
		return take_scalar(b, e);
	case YAML_MAPPING_START_EVENT:
		return open_level(b, e, YAML_MAP);
	case YAML_SEQUENCE_START_EVENT:
		return open_level(b, e, YAML_LIST);
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		b->depth--;
		return 0;
	case YAML_ALIAS_EVENT:
		return bad(b, e, "aliases are not taken");
	default:
		return 0;
	}
}

static int build_tree(struct build *b, yaml_parser_t *p)
{
	for (;;) {
		yaml_event_t e;
		bool end;
		int rc;

		if (!yaml_parser_parse(p, &e))
			return err_set(b->err, ERR_MALFORMED,
				       "%s, line %zu: %s", b->doc->name,
				       p->problem_mark.line + 1,
				       p->problem ? p->problem : "no YAML");
		end = e.type == YAML_STREAM_END_EVENT ||
		      e.type == YAML_DOCUMENT_END_EVENT;
		rc = take_event(b, &e);
		yaml_event_delete(&e);
		if (rc < 0 || end)
			return rc;
	}
}

struct yaml_doc *yamltree_parse(struct bytes text, const char *name,
				struct err *err)
{
	struct yaml_doc *doc = mem_alloc(sizeof(*doc));
	struct err scrap = ERR_NONE;
	struct build b = { .doc = doc, .err = err ? err : &scrap };
	yaml_parser_t p;
	int rc;

	doc->name = mem_text(name);
	if (text.len > YAML_FILE_MAX)
		rc = err_set(b.err, ERR_LIMIT, "%s has over 64 MiB", name);
	else if (!yaml_parser_initialize(&p))
		rc = err_set(b.err, ERR_FAILED, "no memory to read %s", name);
	else {
		yaml_parser_set_input_string(
			&p, text.p ? text.p : (const uint8_t *)"", text.len);
		rc = build_tree(&b, &p);
		yaml_parser_delete(&p);
	}
	if (rc < 0) {
		yamltree_free(doc);
		return NULL;
	}
	/* "---" and nothing else is a text of no length. */
	if (!doc->root || (doc->root->kind == YAML_TEXT && !*doc->root->text)) {
		doc->root = take(doc, sizeof(*doc->root));
		*doc->root = (struct yaml_node){ .kind = YAML_MAP, .line = 1 };
	}
	return doc;
}

struct yaml_doc *yamltree_load(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct yaml_doc *doc = NULL;
	struct buf text = { 0 };
	ssize_t n = 1;

	if (fd < 0) {
		int code = errno == ENOENT ? ERR_GONE : ERR_FAILED;

		err_sys(err, errno, "%s cannot be opened", path);
		if (err)
			err->code = code;
		return NULL;
	}
	while (n > 0 && text.len <= YAML_FILE_MAX) {
		n = read(fd, buf_reserve(&text, 1 << 16), 1 << 16);
		if (n > 0)
			buf_added(&text, (size_t)n);
		else if (n < 0 && errno == EINTR)
			n = 1;
	}
	if (n < 0)
		err_sys(err, errno, "%s cannot be read", path);
	else
		doc = yamltree_parse(buf_bytes(&text), path, err);
	close(fd);
	buf_release(&text);
	return doc;
}

void yamltree_free(struct yaml_doc *doc)
{
	if (!doc)
		return;
	while (doc->chunks) {
		struct chunk *c = doc->chunks;

		doc->chunks = c->before;
		free(c);
	}
	free(doc->name);
	free(doc);
}

const struct yaml_node *yamltree_root(const struct yaml_doc *doc)
{
	return doc->root;
}

const char *yamltree_name(const struct yaml_doc *doc)
{
	return doc->name;
}

int yamltree_error(const struct yaml_doc *doc, const struct yaml_node *at,
		   struct err *err, const char *fmt, ...)
{
	char what[ERR_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return err_set(err, ERR_USAGE, "%s, line %u: %s", doc->name, at->line,
		       what);
}
