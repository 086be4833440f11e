/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/capfile/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/mem.h"

enum { GATHER = 1 << 20 };

struct capfile_output {
	int fd; /* -1: there is a writer */
	int (*write)(void *self, struct bytes bytes, struct err *err);
	void *self;
	char *name;
	bool micro;
	struct buf out;	  /* whole records */
	uint64_t written; /* bytes that the system took */
	struct err failed;
};

struct capfile_output *capfile_output_on_fd(int fd, const char *name,
					    const struct pcap_head *head)
{
	struct capfile_output *o = mem_alloc(sizeof(*o));

	o->fd = fd;
	o->name = mem_text(name);
	o->micro = head->micro;
	put_pcap_head(&o->out, head);
	return o;
}

struct capfile_output *
capfile_output_on(int (*write)(void *self, struct bytes bytes, struct err *err),
		  void *self, const char *name, const struct pcap_head *head)
{
	struct capfile_output *o = capfile_output_on_fd(-1, name, head);

	o->write = write;
	o->self = self;
	return o;
}

struct capfile_output *capfile_output_open(const char *path,
					   const struct pcap_head *head,
					   struct err *err)
{
	int fd;

	if (strcmp(path, "-") == 0) {
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
		path = "standard output";
	} else {
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	}
	if (fd < 0) {
		err_sys(err, errno, "%s cannot be written", path);
		return NULL;
	}
	return capfile_output_on_fd(fd, path, head);
}

/* How many of the first `done` bytes are whole records (and the header). */
static size_t whole_part(const struct capfile_output *o, size_t done)
{
	struct cursor c = cursor_on(bytes_of(o->out.p, done));
	struct packet p;

	if (o->written == 0)
		skip_bytes(&c, PCAP_HEADER);
	while (!c.short_ && record_next(&c, &p) == 0)
		;
	return c.short_ ? 0 : done - c.len;
}

/* From a file the part of a record is cut off; a pipe takes nothing back. */
static int give_up(struct capfile_output *o, size_t done, int number)
{
	size_t whole = whole_part(o, done);
	off_t end = lseek(o->fd, 0, SEEK_CUR);

	o->written += whole;
	err_sys(&o->failed, number, "%s cannot be written past byte %llu",
		o->name, (unsigned long long)o->written);
	if (end >= 0 && ftruncate(o->fd, end - (off_t)(done - whole)) < 0)
		err_within(&o->failed, "its end is a record in part");
	return o->failed.code;
}

int capfile_output_flush(struct capfile_output *o, struct err *err)
{
	size_t done = 0;

	if (o->write && !o->failed.code && o->out.len) {
		o->write(o->self, buf_bytes(&o->out), &o->failed);
		done = o->out.len;
	}
	while (!o->failed.code && done < o->out.len) {
		ssize_t n = write(o->fd, o->out.p + done, o->out.len - done);

		if (n >= 0)
			done += (size_t)n;
		else if (errno != EINTR)
			give_up(o, done, errno);
	}
	if (o->failed.code) {
		if (err)
			*err = o->failed;
		return o->failed.code;
	}
	o->written += done;
	buf_clear(&o->out);
	return 0;
}

static void put_one(struct capfile_output *o, const struct packet *p)
{
	uint8_t *to = buf_reserve(&o->out, RECORD_HEADER + p->data.len);

	if (o->micro)
		record_head_micro_at(to, p);
	else
		record_head_at(to, p);
	buf_added(&o->out, RECORD_HEADER);
	put_bytes(&o->out, p->data);
}

int capfile_output_put(struct capfile_output *o, const struct packet *p, int n,
		       struct err *err)
{
	for (int i = 0; i < n; i++) {
		if (p[i].data.len > PACKET_MAX)
			return err_set(err, ERR_LIMIT,
				       "%s: a packet of %zu bytes is over the "
				       "16 MiB that a record may have",
				       o->name, p[i].data.len);
		put_one(o, &p[i]);
		if (o->out.len >= GATHER && capfile_output_flush(o, err) < 0)
			return o->failed.code;
	}
	return 0;
}

static int give(void *self, const struct packet *p, int n, struct err *err)
{
	return capfile_output_put(self, p, n, err);
}

struct packet_sink capfile_output_sink(struct capfile_output *o)
{
	return (struct packet_sink){ .give = give, .self = o };
}

int capfile_output_close(struct capfile_output *o, struct err *err)
{
	int rc;

	if (!o)
		return 0;
	rc = capfile_output_flush(o, err);
	if (o->fd >= 0 && close(o->fd) < 0 && rc == 0)
		rc = err_sys(err, errno, "%s cannot be closed", o->name);
	buf_release(&o->out);
	free(o->name);
	free(o);
	return rc;
}
