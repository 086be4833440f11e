/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capfile.c - file to stream, stream to packets.
 *
 * Plain files are read straight into the stream's own buffer; packed ones go
 * through `raw`.  One packet may be held back: the one that was looked at to
 * tell its link type.
 */
#include "engine/capfile/capfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "engine/pack/unpack.h"

enum { READ_SIZE = 1 << 20, RAW_SIZE = 256 << 10 };

struct capfile {
	int fd;
	char *name;
	uint64_t position, size;
	struct pcapstream *stream;

	uint8_t *raw; /* owned; for a plain file only until it is known */
	struct bytes packed; /* what of raw is not unpacked yet */
	struct unpack *unpack;
	bool sniffed;
	bool ended; /* nothing more comes from fd */

	bool holding; /* `held` is the next packet */
	struct pcapstream_item held;
	bool have_first;
	uint32_t first_linktype; /* of the first interface */

	bool limited;
	uint32_t only;
	uint64_t other_linktype;

	void (*on_item)(void *arg, const struct pcapstream_item *item);
	void *arg;

	struct err failed;  /* sticky */
	struct err warning; /* code 0: none */
};

/* -- opening -------------------------------------------------------------- */

struct capfile *capfile_open_fd(int fd, const char *name)
{
	struct capfile *f = mem_alloc(sizeof(*f));
	struct stat st;

	f->fd = fd;
	f->name = mem_text(name);
	f->stream = pcapstream_new(READ_SIZE);
	f->raw = mem_alloc(RAW_SIZE);
	f->packed.p = f->raw;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		f->size = (uint64_t)st.st_size;
	posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return f;
}

struct capfile *capfile_open(const char *path, struct err *err)
{
	int fd;

	if (strcmp(path, "-") == 0) {
		fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
		path = "standard input";
	} else {
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	}
	if (fd < 0) {
		err_sys(err, errno, "%s cannot be opened", path);
		return NULL;
	}
	return capfile_open_fd(fd, path);
}

void capfile_close(struct capfile *f)
{
	if (!f)
		return;
	close(f->fd);
	pcapstream_free(f->stream);
	unpack_free(f->unpack);
	free(f->raw);
	free(f->name);
	free(f);
}

/* -- sentences ------------------------------------------------------------ */

static const char *where(const struct capfile *f)
{
	return f->unpack ? " of what it unpacks to" : "";
}

static unsigned long long at(const struct capfile *f)
{
	return pcapstream_offset(f->stream);
}

static unsigned long long n_read(const struct capfile *f)
{
	return pcapstream_counts(f->stream)->packets;
}

/* Read up to a torn end: all that is whole is there, and so it ends. */
static int end_damaged(struct capfile *f, const char *why)
{
	err_set(&f->warning, ERR_DAMAGED,
		"%s is damaged at byte %llu%s: %s; the %llu packets before it "
		"were read",
		f->name, at(f), where(f), why, n_read(f));
	return ERR_END;
}

static int fail_stream(struct capfile *f, int code)
{
	const char *why = pcapstream_why(f->stream);

	if (code == ERR_DAMAGED)
		return end_damaged(f, why);
	if (code == ERR_UNKNOWN && n_read(f) == 0)
		return err_set(&f->failed, code,
			       "%s is not a capture: %s; pcap and pcapng are "
			       "read, also packed with gzip, zstd or lz4",
			       f->name, why);
	return err_set(&f->failed, code,
		       "%s cannot be read on from byte %llu%s: %s; the %llu "
		       "packets before it were read",
		       f->name, at(f), where(f), why, n_read(f));
}

static int fail_unpack(struct capfile *f)
{
	return err_set(&f->failed, ERR_MALFORMED,
		       "%s cannot be unpacked (%s) near its byte %llu: %s; the "
		       "%llu packets before it were read",
		       f->name, unpack_name(f->unpack),
		       (unsigned long long)(f->position - f->packed.len),
		       unpack_why(f->unpack), n_read(f));
}

/* -- bytes ---------------------------------------------------------------- */

/* 0 with *n bytes (none: the end), ERR_AGAIN or a failure. */
static int read_some(struct capfile *f, uint8_t *to, size_t len, size_t *n)
{
	ssize_t got;

	do
		got = read(f->fd, to, len);
	while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN)
		return ERR_AGAIN;
	if (got < 0)
		return err_sys(&f->failed, errno,
			       "%s cannot be read at byte %llu", f->name,
			       (unsigned long long)f->position);
	f->position += (uint64_t)got;
	*n = (size_t)got;
	f->ended = got == 0;
	return 0;
}

/* What is it?  Needs the first bytes, which a pipe may give one by one. */
static int sniff(struct capfile *f)
{
	const char *foreign;
	size_t n;
	int rc;

	while (f->packed.len < UNPACK_MAGIC && !f->ended) {
		rc = read_some(f, f->raw + f->packed.len,
			       RAW_SIZE - f->packed.len, &n);
		if (rc < 0)
			return rc;
		f->packed.len += n;
	}
	f->sniffed = true;
	f->unpack = unpack_new(f->packed, &foreign);
	if (foreign)
		return err_set(&f->failed, ERR_UNKNOWN,
			       "%s is packed with %s, which is not read here: "
			       "unpack it first, or pack it with gzip, zstd "
			       "or lz4",
			       f->name, foreign);
	if (!f->unpack) {
		pcapstream_feed(f->stream, f->packed);
		free(f->raw);
		f->raw = NULL;
		f->packed = bytes_of(NULL, 0);
	}
	return 0;
}

static int end_stream(struct capfile *f)
{
	int rc = pcapstream_end(f->stream);

	return rc < 0 ? fail_stream(f, rc) : ERR_END;
}

static int fill_plain(struct capfile *f)
{
	size_t len, n;
	uint8_t *to = pcapstream_room(f->stream, &len);
	int rc = f->ended ? 0 : read_some(f, to, len, &n);

	if (rc < 0)
		return rc;
	if (f->ended)
		return end_stream(f);
	pcapstream_added(f->stream, n);
	return 0;
}

/* The packed bytes are all there. */
static int end_packed(struct capfile *f)
{
	if (!unpack_whole(f->unpack))
		return end_damaged(f, "its packed data end too early");
	return end_stream(f);
}

static int fill_packed(struct capfile *f)
{
	size_t len, n, made, before;
	uint8_t *to = pcapstream_room(f->stream, &len);
	int rc;

	for (;;) {
		before = f->packed.len;
		rc = unpack_step(f->unpack, &f->packed, to, len, &made);
		if (rc == ERR_END)
			return end_packed(f);
		/* What was unpacked before it broke is good. */
		if (made) {
			pcapstream_added(f->stream, made);
			return 0;
		}
		if (rc < 0)
			return fail_unpack(f);
		if (f->packed.len < before)
			continue;
		if (f->ended)
			return end_packed(f);
		rc = read_some(f, f->raw, RAW_SIZE, &n);
		if (rc < 0)
			return rc;
		f->packed = bytes_of(f->raw, n);
	}
}

/* More bytes for the stream.  0, ERR_AGAIN, ERR_END or a failure. */
static int fill(struct capfile *f)
{
	int rc;

	if (!f->sniffed) {
		rc = sniff(f);
		if (rc < 0 || !f->unpack)
			return rc;
	}
	return f->unpack ? fill_packed(f) : fill_plain(f);
}

/* -- packets -------------------------------------------------------------- */

/* The stream's next packet of a type that is wanted. */
static int next_item(struct capfile *f, struct pcapstream_item *item)
{
	int rc;

	while ((rc = pcapstream_next(f->stream, item)) == 0) {
		if (item->kind == PCAPSTREAM_PACKET) {
			if (!f->limited || item->from.linktype == f->only)
				return 0;
			f->other_linktype++;
			continue;
		}
		if (item->kind == PCAPSTREAM_INTERFACE && !f->have_first) {
			f->have_first = true;
			f->first_linktype = item->from.linktype;
		}
		if (f->on_item)
			f->on_item(f->arg, item);
	}
	return rc == ERR_AGAIN ? rc : fail_stream(f, rc);
}

/*
 * Like next_item(), and reads on when it must; with `gathered` packets in a
 * batch it must not, since that would move them.
 */
static int next_packet(struct capfile *f, struct pcapstream_item *item,
		       int gathered)
{
	int rc;

	if (f->holding) {
		*item = f->held;
		f->holding = false;
		return 0;
	}
	if (f->failed.code)
		return f->failed.code;
	if (f->warning.code)
		return ERR_END;
	while ((rc = next_item(f, item)) == ERR_AGAIN) {
		if (gathered)
			return ERR_AGAIN;
		rc = fill(f);
		if (rc < 0)
			return rc;
	}
	return rc;
}

/* The caller's code, and the sentence that goes with it. */
static int answer(const struct capfile *f, int rc, struct err *err)
{
	if (f->failed.code && rc == f->failed.code && err)
		*err = f->failed;
	return rc;
}

int capfile_next(struct capfile *f, struct capfile_packet *p, struct err *err)
{
	struct pcapstream_item item;
	int rc = next_packet(f, &item, 0);

	if (rc < 0)
		return answer(f, rc, err);
	p->packet = item.packet;
	p->linktype = item.from.linktype;
	p->interface = item.interface;
	p->options = item.options;
	p->swapped = item.swapped;
	return 0;
}

static void hold(struct capfile *f, const struct pcapstream_item *item)
{
	f->held = *item;
	f->holding = true;
}

int capfile_linktype(struct capfile *f, uint32_t *linktype, struct err *err)
{
	struct pcapstream_item item;
	int rc = next_packet(f, &item, 0);

	if (rc == 0) {
		hold(f, &item);
		*linktype = item.from.linktype;
	} else if (rc == ERR_END && f->have_first) {
		*linktype = f->first_linktype;
		return 0;
	}
	return answer(f, rc, err);
}

static int take_batch(void *self, struct packet *p, int max, struct err *err)
{
	struct capfile *f = self;
	struct pcapstream_item item;
	uint32_t linktype = 0;
	int n = 0, rc = 0;

	while (n < max && (rc = next_packet(f, &item, n)) == 0) {
		if (n && item.from.linktype != linktype) {
			hold(f, &item);
			break;
		}
		linktype = item.from.linktype;
		p[n++] = item.packet;
	}
	if (n || rc == ERR_AGAIN)
		return n;
	return answer(f, rc, err);
}

struct packet_source capfile_source(struct capfile *f)
{
	return (struct packet_source){ .take = take_batch, .self = f };
}

void capfile_only(struct capfile *f, uint32_t linktype)
{
	f->limited = true;
	f->only = linktype;
	if (f->holding && f->held.from.linktype != linktype) {
		f->holding = false;
		f->other_linktype++;
	}
}

void capfile_on_item(struct capfile *f,
		     void (*fn)(void *arg, const struct pcapstream_item *item),
		     void *arg)
{
	f->on_item = fn;
	f->arg = arg;
}

/* -- questions ------------------------------------------------------------ */

const char *capfile_warning(const struct capfile *f)
{
	return f->warning.code ? f->warning.text : NULL;
}

uint64_t capfile_position(const struct capfile *f)
{
	return f->position;
}

uint64_t capfile_size(const struct capfile *f)
{
	return f->size;
}

uint64_t capfile_other_linktype(const struct capfile *f)
{
	return f->other_linktype;
}

const struct pcapstream_counts *capfile_counts(const struct capfile *f)
{
	return pcapstream_counts(f->stream);
}

enum pcapstream_format capfile_format(const struct capfile *f)
{
	return pcapstream_format(f->stream);
}

const char *capfile_packed_with(const struct capfile *f)
{
	return f->unpack ? unpack_name(f->unpack) : NULL;
}
