/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extract.c - one reader; packers that each have whole members.
 *
 * A member belongs to one packer, so its bytes stay in order; the next member
 * goes to the next packer.  Pieces travel through one bounded channel each.
 */
#include "engine/archive/extract.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/siphash.h"
#include "engine/archive/archive.h"
#include "engine/archive/outfile_priv.h"
#include "sys/channel.h"

enum { PIECE = 256 << 10, PIECES_A_PACKER = 16, NAME_MAX_BYTES = 240 };

/* Bytes for a file, or its end. */
struct piece {
	struct outfile *file;
	struct buf bytes;
	bool last, drop;
};

struct packer {
	struct channel *work;
	pthread_t thread;
	bool running;
	struct err err; /* read when it has ended */
	atomic_bool failed;
};

struct extracting {
	const struct extract_config *cfg;
	struct extract_counts *counts;
	struct archive *archive;
	struct packer packers[EXTRACT_WORKERS_MAX];
	unsigned n_packers, turn;

	char **names; /* owned; an open table of those given out */
	size_t n_names, cap;
};

/* -- names that were given out -------------------------------------------- */

static size_t place_of(char *const *names, size_t cap, const char *name)
{
	static const struct siphash_key key = { 0x77656972, 0x74617262 };
	size_t i = siphash(&key, bytes_of_text(name)) % cap;

	while (names[i] && strcmp(names[i], name) != 0)
		i = (i + 1) % cap;
	return i;
}

static void grow_names(struct extracting *x)
{
	size_t cap = x->cap ? 2 * x->cap : 1024;
	char **bigger = mem_array(cap, sizeof(*bigger));

	for (size_t i = 0; i < x->cap; i++)
		if (x->names[i])
			bigger[place_of(bigger, cap, x->names[i])] =
				x->names[i];
	free(x->names);
	x->names = bigger;
	x->cap = cap;
}

static bool is_taken(const struct extracting *x, const char *name)
{
	return x->cap && x->names[place_of(x->names, x->cap, name)];
}

static void give_out(struct extracting *x, const char *name)
{
	if (x->n_names * 2 >= x->cap)
		grow_names(x);
	x->names[place_of(x->names, x->cap, name)] = mem_text(name);
	x->n_names++;
}

/* The last part, or NULL where there is none that could be a file's. */
static const char *base_name(const char *name)
{
	const char *slash = strrchr(name, '/');
	const char *base = slash ? slash + 1 : name;

	if (!*base || strcmp(base, ".") == 0 || strcmp(base, "..") == 0 ||
	    strlen(base) > NAME_MAX_BYTES)
		return NULL;
	return base;
}

/* "./y/c.pcap" is "y_c.pcap"; what is too long keeps its end. */
static char *name_with_folders(const char *name)
{
	size_t len;
	char *flat;

	while (*name == '/' || (name[0] == '.' && name[1] == '/'))
		name += *name == '/' ? 1 : 2;
	len = strlen(name);
	if (len > NAME_MAX_BYTES)
		name += len - NAME_MAX_BYTES;
	flat = mem_text(name);
	for (char *p = flat; *p; p++)
		if (*p == '/')
			*p = '_';
	return flat;
}

/* A name in the folder that no member of this archive has yet. */
static char *choose_name(struct extracting *x, const char *name)
{
	const char *base = base_name(name);
	char *chosen;

	if (!base)
		return NULL;
	chosen = mem_text(base);
	if (is_taken(x, chosen)) {
		x->counts->renamed++;
		free(chosen);
		chosen = name_with_folders(name);
	}
	for (unsigned i = 2; is_taken(x, chosen); i++) {
		char *next = mem_format("%u_%s", i, base);

		free(chosen);
		chosen = next;
	}
	give_out(x, chosen);
	return chosen;
}

/* -- packers -------------------------------------------------------------- */

static void do_piece(struct packer *p, struct piece *piece)
{
	struct err err = ERR_NONE;

	if (piece->bytes.len && !atomic_load(&p->failed))
		outfile_write(piece->file, buf_bytes(&piece->bytes), &err);
	if (piece->last && (piece->drop || atomic_load(&p->failed)))
		outfile_drop(piece->file);
	else if (piece->last && err.code)
		outfile_drop(piece->file);
	else if (piece->last)
		outfile_keep(piece->file, &err);
	if (err.code && !atomic_load(&p->failed)) {
		p->err = err;
		atomic_store(&p->failed, true);
	}
	buf_release(&piece->bytes);
	free(piece);
}

static void *run_packer(void *arg)
{
	struct packer *p = arg;
	struct piece *piece;

	while ((piece = channel_receive(p->work, -1)))
		do_piece(p, piece);
	return NULL;
}

static int start_packers(struct extracting *x, struct err *err)
{
	unsigned n = x->cfg->packing == EXTRACT_PLAIN || x->cfg->dry_run
			     ? 0
			     : x->cfg->workers;

	if (n > EXTRACT_WORKERS_MAX)
		n = EXTRACT_WORKERS_MAX;
	for (unsigned i = 0; i < n; i++) {
		struct packer *p = &x->packers[i];
		int rc;

		p->work = channel_new(PIECES_A_PACKER);
		rc = pthread_create(&p->thread, NULL, run_packer, p);
		x->n_packers++;
		p->running = rc == 0;
		if (rc)
			return err_sys(err, rc, "no thread can be started");
	}
	return 0;
}

static int stop_packers(struct extracting *x, struct err *err)
{
	int rc = 0;

	for (unsigned i = 0; i < x->n_packers; i++) {
		struct packer *p = &x->packers[i];

		channel_close(p->work);
		if (p->running)
			pthread_join(p->thread, NULL);
		channel_free(p->work);
		if (p->err.code && rc == 0) {
			*err = p->err;
			rc = p->err.code;
		}
	}
	return rc;
}

static bool any_failed(const struct extracting *x)
{
	for (unsigned i = 0; i < x->n_packers; i++)
		if (atomic_load(&x->packers[i].failed))
			return true;
	return false;
}

static void send_piece(struct packer *p, struct outfile *file,
		       struct buf *bytes, bool last, bool drop)
{
	struct piece *piece = mem_alloc(sizeof(*piece));

	*piece = (struct piece){
		.file = file, .bytes = *bytes, .last = last, .drop = drop
	};
	*bytes = (struct buf){ 0 };
	channel_send(p->work, piece, true);
}

/* -- members -------------------------------------------------------------- */

static int count_bytes(struct extracting *x, size_t n, struct err *err)
{
	x->counts->bytes += n;
	if (x->counts->bytes <= x->cfg->bytes_max)
		return 0;
	return err_set(err, ERR_LIMIT,
		       "%s unpacks to more than %llu bytes, the limit; is it a "
		       "bomb? --max-bytes allows more",
		       x->cfg->archive, (unsigned long long)x->cfg->bytes_max);
}

static void tell_progress(struct extracting *x)
{
	const struct extract_progress p = {
		.position = archive_position(x->archive),
		.size = archive_size(x->archive),
		.members = x->counts->members,
		.written = x->counts->written,
		.bytes = x->counts->bytes,
	};

	if (x->cfg->progress)
		x->cfg->progress(x->cfg->arg, &p);
}

/* The member's bytes to a packer; the last piece ends the file there. */
static int pack_member(struct extracting *x, struct outfile *file,
		       struct err *err)
{
	struct packer *p = &x->packers[x->turn++ % x->n_packers];
	struct buf bytes = { 0 };
	struct bytes data;
	int rc;

	while ((rc = archive_read(x->archive, &data, err)) == 0) {
		rc = count_bytes(x, data.len, err);
		if (rc == 0 && any_failed(x))
			rc = ERR_FAILED; /* the packer's sentence is told */
		if (rc < 0)
			break;
		put_bytes(&bytes, data);
		if (bytes.len >= PIECE)
			send_piece(p, file, &bytes, false, false);
		tell_progress(x);
	}
	send_piece(p, file, &bytes, true, rc != ERR_END);
	return rc == ERR_END ? 0 : rc;
}

static int write_member(struct extracting *x, struct outfile *file,
			struct err *err)
{
	struct bytes data;
	int rc;

	while ((rc = archive_read(x->archive, &data, err)) == 0) {
		rc = count_bytes(x, data.len, err);
		if (rc == 0)
			rc = outfile_write(file, data, err);
		if (rc < 0)
			break;
		tell_progress(x);
	}
	if (rc == ERR_END)
		return outfile_keep(file, err);
	outfile_drop(file);
	return rc;
}

static void tell(struct extracting *x, enum extract_fate fate,
		 const struct archive_member *m, const char *as)
{
	const struct extract_event e = {
		.fate = fate, .name = m->name, .as = as, .size = m->size
	};

	if (x->cfg->event)
		x->cfg->event(x->cfg->arg, &e);
}

static int one_file(struct extracting *x, const struct archive_member *m,
		    struct err *err)
{
	char *name = choose_name(x, m->name);
	struct outfile *file;
	int rc;

	if (!name) {
		x->counts->bad_names++;
		tell(x, EXTRACT_BAD_NAME, m, NULL);
		return 0;
	}
	if (x->cfg->dry_run) {
		tell(x, EXTRACT_LISTED, m, name);
		free(name);
		return 0;
	}
	tell(x, EXTRACT_WRITTEN, m, name);
	file = outfile_new(x->cfg->dir, name, x->cfg->packing, m->mode, err);
	free(name);
	if (!file)
		return err->code;
	rc = x->n_packers ? pack_member(x, file, err)
			  : write_member(x, file, err);
	x->counts->written += rc == 0;
	return rc;
}

static int one_member(struct extracting *x, const struct archive_member *m,
		      struct err *err)
{
	if (++x->counts->members > EXTRACT_MEMBERS_MAX)
		return err_set(err, ERR_LIMIT, "%s has over %d members",
			       x->cfg->archive, EXTRACT_MEMBERS_MAX);
	if (m->type == TARBALL_FOLDER ||
	    (x->cfg->wanted && !x->cfg->wanted(x->cfg->arg, m->name)))
		return 0;
	x->counts->wanted++;
	if (m->type != TARBALL_FILE) {
		x->counts->no_files++;
		tell(x, EXTRACT_NO_FILE, m, NULL);
		return 0;
	}
	return one_file(x, m, err);
}

static int all_members(struct extracting *x, struct err *err)
{
	struct archive_member m;
	int rc;

	while ((rc = archive_next(x->archive, &m, err)) == 0) {
		rc = one_member(x, &m, err);
		if (rc < 0)
			return rc;
		tell_progress(x);
	}
	return rc == ERR_END ? 0 : rc;
}

int extract_archive(const struct extract_config *cfg,
		    struct extract_counts *counts, struct err *err)
{
	struct extracting x = { .cfg = cfg, .counts = counts };
	struct err packing = ERR_NONE;
	int rc;

	*counts = (struct extract_counts){ 0 };
	if (!cfg->dry_run && mkdir(cfg->dir, 0750) < 0 && errno != EEXIST)
		return err_sys(err, errno, "the folder %s cannot be made",
			       cfg->dir);
	x.archive = archive_open(cfg->archive, err);
	if (!x.archive)
		return err->code;
	rc = start_packers(&x, err);
	if (rc == 0)
		rc = all_members(&x, err);
	if (stop_packers(&x, &packing) < 0) {
		*err = packing;
		rc = packing.code;
	}
	archive_close(x.archive);
	for (size_t i = 0; i < x.cap; i++)
		free(x.names[i]);
	free(x.names);
	return rc;
}
