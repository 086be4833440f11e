/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sift/output_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/decode.h"
#include "engine/capfile/output.h"
#include "engine/pack/gzip.h"

enum { LINKTYPES_MAX = 16 };

/* One file, for the packets of one link type. */
struct part {
	uint32_t linktype;
	int fd;	    /* under the packer; -1: capfile_output's own */
	char *path; /* while it is written */
	struct gzip *gzip;
	struct capfile_output *out;
};

struct sift_output {
	struct sift_output_config cfg;
	struct part parts[LINKTYPES_MAX];
	int n;
};

struct sift_output *sift_output_new(const struct sift_output_config *cfg)
{
	struct sift_output *o = mem_alloc(sizeof(*o));

	o->cfg = *cfg;
	return o;
}

static int write_gzip(void *self, struct bytes bytes, struct err *err)
{
	return gzip_write(self, bytes, err);
}

static int make_dir(const struct sift_output *o, struct err *err)
{
	char *dir = mem_format("%s/%s", o->cfg.dir, o->cfg.filter);
	int rc = 0;

	if ((mkdir(o->cfg.dir, 0750) < 0 && errno != EEXIST) ||
	    (mkdir(dir, 0750) < 0 && errno != EEXIST))
		rc = err_sys(err, errno, "the folder %s cannot be made", dir);
	free(dir);
	return rc;
}

static int open_part(struct sift_output *o, struct part *p, struct err *err)
{
	const struct pcap_head head = { .linktype = p->linktype,
					.snaplen = o->cfg.snaplen,
					.micro = o->cfg.micro };

	p->fd = -1;
	if (make_dir(o, err) < 0)
		return err->code;
	p->path = mem_format("%s/%s/%s.%u.part", o->cfg.dir, o->cfg.filter,
			     o->cfg.name, p->linktype);
	if (!o->cfg.compress) {
		p->out = capfile_output_open(p->path, &head, err);
		return p->out ? 0 : err->code;
	}
	p->fd = open(p->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (p->fd < 0)
		return err_sys(err, errno, "%s cannot be written", p->path);
	p->gzip = gzip_new(p->fd, p->path);
	p->out = capfile_output_on(write_gzip, p->gzip, p->path, &head);
	return 0;
}

int sift_output_put(struct sift_output *o, uint32_t linktype,
		    const struct packet *p, struct err *err)
{
	int i = 0;

	while (i < o->n && o->parts[i].linktype != linktype)
		i++;
	if (i == LINKTYPES_MAX)
		return err_set(err, ERR_LIMIT,
			       "%s: filter %s takes packets of over %d link "
			       "types",
			       o->cfg.name, o->cfg.filter, LINKTYPES_MAX);
	if (i == o->n) {
		o->parts[i].linktype = linktype;
		o->n++;
		if (open_part(o, &o->parts[i], err) < 0)
			return err->code;
	}
	return capfile_output_put(o->parts[i].out, p, 1, err);
}

static int close_part(struct part *p, struct err *err)
{
	int rc = capfile_output_close(p->out, err);

	if (p->gzip && rc == 0)
		rc = gzip_finish(p->gzip, err);
	gzip_free(p->gzip);
	if (p->fd >= 0 && close(p->fd) < 0 && rc == 0)
		rc = err_sys(err, errno, "%s cannot be closed", p->path);
	p->out = NULL;
	p->gzip = NULL;
	p->fd = -1;
	return rc;
}

/* The first link type has the plain name; more of them add theirs. */
static char *name_of(const struct sift_output *o, const struct part *p)
{
	const char *suffix = o->cfg.compress ? ".pcap.gz" : ".pcap";

	if (p == o->parts)
		return mem_format("%s/%s/%s%s", o->cfg.dir, o->cfg.filter,
				  o->cfg.name, suffix);
	return mem_format("%s/%s/%s.linktype-%u%s", o->cfg.dir, o->cfg.filter,
			  o->cfg.name, p->linktype, suffix);
}

static int name_part(const struct sift_output *o, const struct part *p,
		     struct err *err)
{
	char *to = name_of(o, p);
	int rc = 0;

	if (rename(p->path, to) < 0)
		rc = err_sys(err, errno, "%s cannot be made", to);
	free(to);
	return rc;
}

int sift_output_end(struct sift_output *o, bool keep, struct err *err)
{
	struct err scrap = ERR_NONE;
	int rc = 0;

	if (!o)
		return 0;
	for (int i = 0; i < o->n; i++) {
		struct part *p = &o->parts[i];
		int closed = close_part(p, rc == 0 && keep ? err : &scrap);

		if (rc == 0 && keep)
			rc = closed;
		if (rc == 0 && keep)
			rc = name_part(o, p, err);
		if ((rc < 0 || !keep) && p->path)
			unlink(p->path);
		free(p->path);
	}
	free(o);
	return rc;
}
