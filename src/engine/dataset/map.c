/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map.c - the workers.
 *
 * What there is to do is cut into jobs before the first thread starts: a file,
 * or a part of a large one.  Workers take the next job from one counter, the
 * largest first, and write only what is theirs; when all have ended, parts are
 * put together, in the order of the file.
 */
#include "engine/dataset/map.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/err.h"
#include "base/mem.h"
#include "engine/dataset/find.h"
#include "engine/dataset/scan_priv.h"

enum {
	PROGRESS_MS = 200,
	PARTS_MAX = 64,
	SHARE_FILES_MAX = 64 /* with more, each worker has its own */
};

/* One file of the result. */
struct entry {
	const struct found_file *found;
	struct dataset_file file;
	struct err failed;	 /* code 0: described */
	struct scan_file *open;	 /* shared by its parts */
	struct scan_part *parts; /* owned; NULL: read whole */
	size_t n_parts;
};

struct job {
	struct entry *entry;
	struct scan_part *part; /* NULL: the whole file */
	uint64_t bytes;
};

struct mapping {
	const struct map_config *cfg;
	struct entry *entries; /* owned */
	size_t n_entries;
	struct job *jobs; /* owned */
	size_t n_jobs;
	atomic_size_t next, files_done;
	atomic_uint_fast64_t bytes_done;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	unsigned running; /* under lock */
};

/* -- what is known already ------------------------------------------------ */

static int by_path(const void *a, const void *b)
{
	const struct dataset_file *const *x = a, *const *y = b;

	return strcmp((*x)->path, (*y)->path);
}

/* Pointers to the known files, sorted by path; NULL when there is none. */
static const struct dataset_file **sort_known(const struct dataset *known)
{
	const struct dataset_file **all;

	if (!known || !known->n_files)
		return NULL;
	all = mem_array(known->n_files, sizeof(*all));
	for (size_t i = 0; i < known->n_files; i++)
		all[i] = &known->files[i];
	qsort(all, known->n_files, sizeof(*all), by_path);
	return all;
}

static const struct dataset_file *
find_known(const struct dataset_file *const *all, size_t n, const char *path)
{
	struct dataset_file key = { .path = (char *)path };
	const struct dataset_file *at = &key, *const * found;

	found = all ? bsearch(&at, all, n, sizeof(*all), by_path) : NULL;
	return found ? *found : NULL;
}

static bool unchanged(const struct dataset_file *k, const struct found_file *f)
{
	return k && k->format && k->mtime_ns && k->bytes == f->bytes &&
	       k->mtime_ns == f->mtime_ns && k->inode == f->inode;
}

static struct dataset_file copy_of(const struct dataset_file *k)
{
	struct dataset_file f = *k;

	f.path = mem_text(k->path);
	f.damage = k->damage ? mem_text(k->damage) : NULL;
	return f;
}

/* -- jobs ----------------------------------------------------------------- */

static void add_job(struct mapping *m, struct entry *e, struct scan_part *part,
		    uint64_t bytes)
{
	if ((m->n_jobs & (m->n_jobs - 1)) == 0)
		m->jobs = mem_grow(m->jobs, (m->n_jobs ? 2 * m->n_jobs : 1) *
						    sizeof(*m->jobs));
	m->jobs[m->n_jobs++] = (struct job){ e, part, bytes };
}

/* Where the parts of a file begin; a guess that finds nothing ends them. */
static void cut_parts(struct entry *e, size_t n, uint64_t size)
{
	uint64_t from = 24;

	e->parts = mem_array(n, sizeof(*e->parts));
	for (size_t i = 1; i <= n; i++) {
		uint64_t to = i == n ? size : scan_guess(e->open, size / n * i);
		struct scan_part *part = &e->parts[e->n_parts];

		if (to <= from)
			continue;
		*part = (struct scan_part){ .from = from, .to = to };
		e->n_parts++;
		from = to;
		if (from >= size)
			break;
	}
}

static void plan_entry(struct mapping *m, struct entry *e, unsigned workers)
{
	uint64_t split =
		m->cfg->split_bytes ? m->cfg->split_bytes : MAP_SPLIT_BYTES;
	uint64_t size = e->found->bytes, n = size / split + 1;

	if (n > workers * 2)
		n = workers * 2;
	if (n > PARTS_MAX)
		n = PARTS_MAX;
	if (workers < 2 || n < 2 || m->n_entries > SHARE_FILES_MAX) {
		add_job(m, e, NULL, size);
		return;
	}
	e->open = scan_open(e->found->path, &e->failed);
	if (!e->open || !scan_hops(e->open)) {
		scan_close(e->open);
		e->open = NULL;
		e->failed = ERR_NONE;
		add_job(m, e, NULL, size);
		return;
	}
	cut_parts(e, (size_t)n, scan_size(e->open));
	for (size_t i = 0; i < e->n_parts; i++)
		add_job(m, e, &e->parts[i], e->parts[i].to - e->parts[i].from);
}

static int largest_first(const void *a, const void *b)
{
	const struct job *x = a, *y = b;

	return x->bytes < y->bytes ? 1 : x->bytes > y->bytes ? -1 : 0;
}

static void plan(struct mapping *m, const struct found *found,
		 struct map_counts *counts)
{
	const struct dataset *known = m->cfg->known;
	const struct dataset_file **sorted = sort_known(known);
	unsigned workers = m->cfg->workers ? m->cfg->workers : MAP_WORKERS_MAX;

	m->entries = mem_array(found->n ? found->n : 1, sizeof(*m->entries));
	m->n_entries = found->n;
	for (size_t i = 0; i < found->n; i++) {
		struct entry *e = &m->entries[i];
		const struct dataset_file *k = find_known(
			sorted, known ? known->n_files : 0, found->at[i].path);

		e->found = &found->at[i];
		if (unchanged(k, e->found)) {
			e->file = copy_of(k);
			counts->reused++;
			atomic_fetch_add(&m->files_done, 1);
			continue;
		}
		plan_entry(m, e, workers);
	}
	free(sorted);
	if (m->n_jobs)
		qsort(m->jobs, m->n_jobs, sizeof(*m->jobs), largest_first);
}

/* -- workers -------------------------------------------------------------- */

static void do_job(struct mapping *m, const struct job *j)
{
	struct entry *e = j->entry;
	struct scan_file *s;

	if (j->part) {
		scan_hop(e->open, j->part, &m->bytes_done);
		return;
	}
	s = scan_open(e->found->path, &e->failed);
	if (s)
		scan_whole(s, &e->file, &m->bytes_done, &e->failed);
	scan_close(s);
	atomic_fetch_add(&m->files_done, 1);
}

static void *work(void *arg)
{
	struct mapping *m = arg;
	size_t i;

	while ((i = atomic_fetch_add(&m->next, 1)) < m->n_jobs)
		do_job(m, &m->jobs[i]);
	pthread_mutex_lock(&m->lock);
	m->running--;
	pthread_cond_signal(&m->ended);
	pthread_mutex_unlock(&m->lock);
	return NULL;
}

static void tell_progress(struct mapping *m)
{
	struct map_progress p = { .files = m->n_entries };

	for (size_t i = 0; i < m->n_jobs; i++)
		p.bytes += m->jobs[i].bytes;
	p.files_done = atomic_load(&m->files_done);
	p.bytes_done = atomic_load(&m->bytes_done);
	m->cfg->progress(m->cfg->arg, &p);
}

static void wait_for_workers(struct mapping *m)
{
	pthread_mutex_lock(&m->lock);
	while (m->running) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += PROGRESS_MS * 1000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&m->ended, &m->lock, &until);
		if (!m->cfg->progress || !m->running)
			continue;
		pthread_mutex_unlock(&m->lock);
		tell_progress(m);
		pthread_mutex_lock(&m->lock);
	}
	pthread_mutex_unlock(&m->lock);
}

static int run_workers(struct mapping *m, struct err *err)
{
	unsigned want = m->cfg->workers ? m->cfg->workers : MAP_WORKERS_MAX;
	pthread_t threads[MAP_WORKERS_MAX];
	unsigned n = 0;
	int rc = 0;

	if (want > m->n_jobs)
		want = (unsigned)m->n_jobs;
	m->running = want;
	while (n < want && rc == 0) {
		rc = pthread_create(&threads[n], NULL, work, m);
		n += rc == 0;
	}
	/* With fewer threads than asked for it takes longer. */
	pthread_mutex_lock(&m->lock);
	m->running -= want - n;
	pthread_mutex_unlock(&m->lock);
	wait_for_workers(m);
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	if (rc && n == 0 && want)
		return err_sys(err, rc, "no thread can be started");
	return 0;
}

/* -- putting together ----------------------------------------------------- */

/*
 * Parts whose ends meet are one run of records.  Where a part does not end at
 * the next one's beginning the guess was wrong: it is hopped through again
 * from where the records really go on.
 */
static int join_parts(struct mapping *m, struct entry *e)
{
	struct scan_part all = { .from = 24,
				 .end = 24,
				 .to = scan_size(e->open) };

	for (size_t i = 0; i < e->n_parts && !all.why; i++) {
		struct scan_part *p = &e->parts[i];

		if (all.end >= p->to)
			continue;
		if (p->from != all.end) {
			*p = (struct scan_part){ .from = all.end, .to = p->to };
			scan_hop(e->open, p, &m->bytes_done);
		}
		tally_join(&all.tally, &p->tally);
		all.end = p->end;
		all.why = p->why;
		all.too_long = p->too_long;
		all.number = p->number;
	}
	return scan_finish(e->open, &all, &e->file, &e->failed);
}

static void keep_failed(struct dataset *d, struct entry *e)
{
	d->failed[d->n_failed++] = (struct dataset_failed){
		.path = mem_text(e->found->path),
		.why = mem_text(e->failed.text),
	};
}

static void collect(struct mapping *m, struct dataset *d)
{
	d->files = mem_array(m->n_entries + 1, sizeof(*d->files));
	d->failed = mem_array(m->n_entries + 1, sizeof(*d->failed));
	for (size_t i = 0; i < m->n_entries; i++) {
		struct entry *e = &m->entries[i];

		if (e->parts)
			join_parts(m, e);
		if (e->failed.code)
			keep_failed(d, e);
		else
			d->files[d->n_files++] = e->file;
		scan_close(e->open);
		free(e->parts);
	}
	dataset_sum(d);
}

int map_files(const struct map_config *cfg, struct dataset *d,
	      struct map_counts *counts, struct err *err)
{
	struct mapping m = { .cfg = cfg,
			     .lock = PTHREAD_MUTEX_INITIALIZER,
			     .ended = PTHREAD_COND_INITIALIZER };
	struct found found = { 0 };
	int rc = find_files(cfg, &found, err);

	*counts = (struct map_counts){ 0 };
	*d = (struct dataset){ 0 };
	if (rc == 0 && found.n == 0)
		rc = err_set(err, ERR_GONE,
			     "no file is wanted: %zu files were looked at, and "
			     "none has the suffix and the pattern that are "
			     "asked for",
			     found.other);
	if (rc == 0) {
		plan(&m, &found, counts);
		counts->other = found.other;
		rc = run_workers(&m, err);
		collect(&m, d);
	}
	if (rc < 0)
		dataset_release(d);
	free(m.entries);
	free(m.jobs);
	found_release(&found);
	return rc;
}
