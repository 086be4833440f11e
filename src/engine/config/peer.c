/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/config/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "codec/keyfile.h"

enum { EVENTS_MAX = 4096, DEPTH_MAX = 16, KEY_MAX = 64, PATH_SIZE = 1024 };

/* Called for each scalar under a key of the outermost mapping. */
typedef int (*scalar_fn)(void *arg, const char *key, const char *value,
			 unsigned line, struct err *err);

/* A walk through one file. */
struct walk {
	const char *file;
	scalar_fn fn;
	void *arg;
	int depth;	       /* of open mappings and sequences */
	bool mapped;	       /* the outermost thing is a mapping */
	bool have_key;	       /* `key` waits for its value */
	char key[KEY_MAX + 1]; /* empty: one that nobody knows */
	struct err *err;
};

static int bad(const struct walk *w, const yaml_event_t *e, const char *what)
{
	return err_set(w->err, ERR_MALFORMED, "%s, line %zu: %s", w->file,
		       e->start_mark.line + 1, what);
}

static int take_scalar(struct walk *w, const yaml_event_t *e)
{
	const char *text = (const char *)e->data.scalar.value;
	size_t len = e->data.scalar.length;

	if (w->depth == 0)
		return len ? bad(w, e, "\"key: value\" is expected") : 0;
	if (w->depth > 1 || !w->mapped)
		return 0;
	if (strlen(text) != len)
		return bad(w, e, "a NUL");
	if (!w->have_key) {
		w->have_key = true;
		snprintf(w->key, sizeof(w->key), "%s",
			 len <= KEY_MAX ? text : "");
		return 0;
	}
	w->have_key = false;
	return w->fn(w->arg, w->key, text, (unsigned)e->start_mark.line + 1,
		     w->err);
}

static int open_value(struct walk *w, const yaml_event_t *e)
{
	if (w->depth == 0)
		w->mapped = e->type == YAML_MAPPING_START_EVENT;
	if (w->depth == 0 && !w->mapped)
		return bad(w, e, "\"key: value\" is expected");
	/* As a key it would be one that nobody knows. */
	if (++w->depth > DEPTH_MAX)
		return bad(w, e, "nested too deep");
	return 0;
}

static void close_value(struct walk *w)
{
	w->depth--;
	if (w->depth == 1 && !w->have_key) {
		w->have_key = true;
		w->key[0] = '\0';
	} else if (w->depth == 1) {
		w->have_key = false;
	}
}

static int take_event(struct walk *w, const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_SCALAR_EVENT:
		return take_scalar(w, e);
	case YAML_MAPPING_START_EVENT:
	case YAML_SEQUENCE_START_EVENT:
		return open_value(w, e);
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		close_value(w);
		return 0;
	case YAML_ALIAS_EVENT:
		return bad(w, e, "aliases are not taken");
	default:
		return 0;
	}
}

static int walk_events(struct walk *w, yaml_parser_t *p)
{
	for (int i = 0; i < EVENTS_MAX; i++) {
		yaml_event_t e;
		bool end;
		int rc;

		if (!yaml_parser_parse(p, &e))
			return err_set(w->err, ERR_MALFORMED,
				       "%s, line %zu: %s", w->file,
				       p->problem_mark.line + 1,
				       p->problem ? p->problem : "no YAML");
		end = e.type == YAML_STREAM_END_EVENT ||
		      e.type == YAML_DOCUMENT_END_EVENT;
		rc = take_event(w, &e);
		yaml_event_delete(&e);
		if (rc < 0 || end)
			return rc;
	}
	return err_set(w->err, ERR_LIMIT, "%s has over %d items", w->file,
		       EVENTS_MAX);
}

static int walk_text(struct bytes text, const char *file, scalar_fn fn,
		     void *arg, struct err *err)
{
	struct walk w = { .file = file, .fn = fn, .arg = arg, .err = err };
	yaml_parser_t p;
	int rc;

	if (text.len > PEER_FILE_MAX)
		return err_set(err, ERR_LIMIT, "%s has over %d bytes", file,
			       PEER_FILE_MAX);
	if (!yaml_parser_initialize(&p))
		return err_set(err, ERR_FAILED, "no memory to read %s", file);
	yaml_parser_set_input_string(&p, text.p, text.len);
	rc = walk_events(&w, &p);
	yaml_parser_delete(&p);
	return rc;
}

/* -- vulnbox.yml --------------------------------------------------------- */

struct reading {
	struct peer *peer;
	const char *file;
	bool has_host, has_key;
};

static int on_vulnbox(void *arg, const char *key, const char *value,
		      unsigned line, struct err *err)
{
	struct reading *r = arg;
	uint64_t port;

	if (strcmp(key, "ip") == 0) {
		size_t len = strlen(value);

		if (!len || len > PEER_HOST_MAX ||
		    strspn(value, "0123456789abcdefghijklmnopqrstuvwxyz"
				  "ABCDEFGHIJKLMNOPQRSTUVWXYZ.:-_%") != len)
			return err_set(err, ERR_MALFORMED,
				       "%s, line %u: \"%.60s\" is no address",
				       r->file, line, value);
		memcpy(r->peer->host, value, len + 1);
		r->has_host = true;
	} else if (strcmp(key, "noise_port") == 0) {
		if (text_to_uint(value, &port) < 0 || port < 1 || port > 65535)
			return err_set(err, ERR_MALFORMED,
				       "%s, line %u: "
				       "noise_port is 1 to 65535, not "
				       "\"%.60s\"",
				       r->file, line, value);
		r->peer->port = (uint16_t)port;
	} else if (strcmp(key, "noise_pubkey") == 0) {
		if (key_parse(bytes_of_text(value), r->peer->key) < 0)
			return err_set(err, ERR_MALFORMED,
				       "%s, line %u: "
				       "noise_pubkey is the base64 of 32 "
				       "bytes, as keygen prints it",
				       r->file, line);
		r->has_key = true;
	}
	return 0;
}

int peer_parse(struct bytes text, const char *file, struct peer *peer,
	       struct err *err)
{
	struct reading r = { .peer = peer, .file = file };

	*peer = (struct peer){ .port = PEER_PORT };
	if (walk_text(text, file, on_vulnbox, &r, err) < 0)
		return err->code;
	if (!r.has_host || !r.has_key)
		return err_set(err, ERR_MALFORMED, "%s lacks %s", file,
			       r.has_host ? "noise_pubkey" : "ip");
	return 0;
}

static int on_infra(void *arg, const char *key, const char *value,
		    unsigned line, struct err *err)
{
	if (strcmp(key, "pcap_dir") == 0 && !*value)
		return err_set(err, ERR_MALFORMED,
			       "%s, line %u: pcap_dir is empty",
			       (const char *)arg, line);
	return 0;
}

/* -- files --------------------------------------------------------------- */

static void path_of(char path[PATH_SIZE], const char *dir, const char *name)
{
	snprintf(path, PATH_SIZE, "%s/%s", dir, name);
}

/* 0, ERR_GONE or a sentence.  `text` holds PEER_FILE_MAX + 1 bytes. */
static int load(const char *path, char *text, size_t *len, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n;

	*len = 0;
	if (fd < 0 && errno == ENOENT)
		return err_set(err, ERR_GONE, "%s is not there", path);
	if (fd < 0)
		return err_sys(err, errno, "cannot open %s", path);
	while ((n = read(fd, text + *len, PEER_FILE_MAX + 1 - *len)) > 0)
		*len += (size_t)n;
	if (n < 0)
		err_sys(err, errno, "cannot read %s", path);
	close(fd);
	return n < 0 ? err->code : 0;
}

int peer_load(const char *dir, struct peer *peer, struct err *err)
{
	char *text = mem_alloc(PEER_FILE_MAX + 1);
	char path[PATH_SIZE];
	size_t len;
	int rc;

	path_of(path, dir, "infra.yml");
	rc = load(path, text, &len, err);
	if (rc == 0)
		rc = walk_text(bytes_of(text, len), path, on_infra, path, err);
	if (rc == 0 || rc == ERR_GONE) {
		path_of(path, dir, "vulnbox.yml");
		*err = ERR_NONE;
		rc = load(path, text, &len, err);
		if (rc == 0)
			rc = peer_parse(bytes_of(text, len), path, peer, err);
	}
	free(text);
	return rc;
}

void peer_address(char out[PEER_ADDRESS_MAX], const struct peer *peer)
{
	bool six = strchr(peer->host, ':');

	snprintf(out, PEER_ADDRESS_MAX, "%s%s%s:%u", six ? "[" : "", peer->host,
		 six ? "]" : "", peer->port);
}

static uint64_t mixed(uint64_t h, uint64_t v)
{
	return (h ^ v) * UINT64_C(1099511628211);
}

uint64_t peer_version(const char *dir)
{
	static const char *const names[] = { "vulnbox.yml", "infra.yml" };
	uint64_t h = UINT64_C(14695981039346656037);

	for (int i = 0; i < 2; i++) {
		char path[PATH_SIZE];
		struct stat st;

		path_of(path, dir, names[i]);
		if (stat(path, &st) < 0) {
			h = mixed(h, 1);
			continue;
		}
		h = mixed(h, (uint64_t)st.st_mtim.tv_sec);
		h = mixed(h, (uint64_t)st.st_mtim.tv_nsec);
		h = mixed(h, (uint64_t)st.st_size);
		h = mixed(h, (uint64_t)st.st_ino);
	}
	return h;
}
