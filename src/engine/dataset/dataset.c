/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/dataset/dataset.h"

#include <stdlib.h>

#include "base/err.h"

void dataset_file_release(struct dataset_file *f)
{
	free(f->path);
	free(f->damage);
	*f = (struct dataset_file){ 0 };
}

void dataset_release(struct dataset *d)
{
	for (size_t i = 0; i < d->n_files; i++)
		dataset_file_release(&d->files[i]);
	for (size_t i = 0; i < d->n_failed; i++) {
		free(d->failed[i].path);
		free(d->failed[i].why);
	}
	free(d->files);
	free(d->failed);
	*d = (struct dataset){ 0 };
}

void dataset_sum(struct dataset *d)
{
	bool any = false;

	d->min_ns = d->max_ns = d->packets = d->captured = d->bytes = 0;
	for (size_t i = 0; i < d->n_files; i++) {
		const struct dataset_tally *t = &d->files[i].tally;

		d->packets += t->packets;
		d->captured += t->captured;
		d->bytes += d->files[i].bytes;
		if (!t->packets)
			continue;
		if (!any || t->min_ns < d->min_ns)
			d->min_ns = t->min_ns;
		if (!any || t->max_ns > d->max_ns)
			d->max_ns = t->max_ns;
		any = true;
	}
}

void dataset_keep(struct dataset *d,
		  bool (*wanted)(void *arg, const struct dataset_file *f),
		  void *arg)
{
	size_t kept = 0;

	for (size_t i = 0; i < d->n_files; i++) {
		if (wanted(arg, &d->files[i]))
			d->files[kept++] = d->files[i];
		else
			dataset_file_release(&d->files[i]);
	}
	d->n_files = kept;
	dataset_sum(d);
}

const struct dataset_file *dataset_find(const struct dataset *d,
					const char *path)
{
	for (size_t i = 0; i < d->n_files; i++)
		if (strcmp(d->files[i].path, path) == 0)
			return &d->files[i];
	return NULL;
}
