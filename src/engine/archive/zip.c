/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zip.c - members by the list at the archive's end, read at their places.
 */
#include "engine/archive/archive_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "codec/zipfile.h"

enum {
	S_TYPE = 0170000,
	S_REGULAR = 0100000,
	S_FOLDER = 0040000,
	S_SYMLINK = 0120000,
	DEFLATED = 8
};

struct zip {
	int fd;
	char *name;
	uint64_t file_size, position;
	struct zipfile_end end;
	uint64_t list_at; /* of the next entry */
	uint64_t entry_no;
	struct buf list; /* what of the list was read */

	struct buf member_name;
	struct zipfile_entry entry; /* of the present member; no name */
	bool open, known;	    /* its bytes may be read; method known */
	uint64_t at;		    /* of its next packed byte */
	uint64_t packed_left, made;
	uint32_t crc;
	struct inflate_state state;
	bool inflated;
	uint8_t *in, *out;    /* owned */
	struct bytes pending; /* of in */
	struct err failed;
};

static int fail(struct zip *z, struct err *err)
{
	if (err)
		*err = z->failed;
	return z->failed.code;
}

static int read_at(struct zip *z, uint64_t at, void *to, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(z->fd, (uint8_t *)to + done, len - done,
				  (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(&z->failed, errno, "%s cannot be read",
				       z->name);
		if (n == 0)
			return err_set(&z->failed, ERR_DAMAGED,
				       "%s is damaged: it ends at byte %llu, "
				       "where more is expected",
				       z->name,
				       (unsigned long long)(at + done));
		done += (size_t)n;
	}
	if (at + len > z->position)
		z->position = at + len;
	return 0;
}

static int find_end64(struct zip *z)
{
	uint8_t end64[ZIPFILE_END64];
	int rc;

	if (z->end.end64_offset > z->file_size ||
	    read_at(z, z->end.end64_offset, end64, sizeof(end64)) < 0)
		return ERR_MALFORMED;
	rc = zipfile_end64_parse(bytes_of(end64, sizeof(end64)), &z->end);
	return rc;
}

static int find_list(struct zip *z)
{
	size_t len = z->file_size < ZIPFILE_TAIL_MAX ? (size_t)z->file_size
						     : ZIPFILE_TAIL_MAX;
	uint8_t *tail = mem_alloc(len + 1);
	int rc = read_at(z, z->file_size - len, tail, len);

	if (rc == 0)
		rc = zipfile_end_parse(bytes_of(tail, len), &z->end);
	if (rc == 0 && z->end.needs_end64)
		rc = find_end64(z);
	free(tail);
	if (rc < 0 && !z->failed.code)
		err_set(&z->failed, rc,
			rc == ERR_UNKNOWN
				? "%s is a part of a zip archive; the parts "
				  "must be put together first"
				: "%s is damaged: its list of members is not "
				  "found at its end",
			z->name);
	z->list_at = z->end.offset;
	return rc;
}

struct zip *zip_open(int fd, const char *name, uint64_t size, struct err *err)
{
	struct zip *z = mem_alloc(sizeof(*z));

	z->fd = fd;
	z->name = mem_text(name);
	z->file_size = size;
	z->in = mem_alloc(ARCHIVE_BUFFER);
	z->out = mem_alloc(ARCHIVE_BUFFER);
	if (find_list(z) == 0)
		return z;
	fail(z, err);
	zip_close(z);
	return NULL;
}

void zip_close(struct zip *z)
{
	if (!z)
		return;
	close(z->fd);
	free(z->name);
	free(z->in);
	free(z->out);
	buf_release(&z->list);
	buf_release(&z->member_name);
	free(z);
}

uint64_t zip_position(const struct zip *z)
{
	return z->position;
}

/* -- members -------------------------------------------------------------- */

/* More of the list, at least one byte. */
static int read_list(struct zip *z)
{
	uint64_t left = z->end.offset + z->end.size - z->list_at;
	size_t n = left < ARCHIVE_BUFFER ? (size_t)left : ARCHIVE_BUFFER;

	if (z->list_at > z->end.offset + z->end.size || n == 0)
		return err_set(&z->failed, ERR_DAMAGED,
			       "%s is damaged: its list of members ends after "
			       "%llu of %llu",
			       z->name, (unsigned long long)z->entry_no,
			       (unsigned long long)z->end.entries);
	if (read_at(z, z->list_at, buf_reserve(&z->list, n), n) < 0)
		return z->failed.code;
	buf_added(&z->list, n);
	z->list_at += n;
	return 0;
}

static int next_entry(struct zip *z)
{
	int rc;

	while ((rc = zipfile_entry_parse(buf_bytes(&z->list), &z->entry)) ==
	       ERR_AGAIN)
		if (read_list(z) < 0)
			return z->failed.code;
	if (rc < 0)
		return err_set(&z->failed, ERR_DAMAGED,
			       "%s is damaged: entry %llu of its list of "
			       "members is broken",
			       z->name, (unsigned long long)z->entry_no + 1);
	buf_clear(&z->member_name);
	put_bytes(&z->member_name, z->entry.name);
	put_u8(&z->member_name, 0);
	buf_consume(&z->list, z->entry.length);
	z->entry_no++;
	return 0;
}

static enum tarball_type type_of(const struct zip *z)
{
	size_t len = z->member_name.len;

	if (len > 1 && z->member_name.p[len - 2] == '/')
		return TARBALL_FOLDER;
	switch (z->entry.mode & S_TYPE) {
	case 0:
	case S_REGULAR:
		return TARBALL_FILE;
	case S_FOLDER:
		return TARBALL_FOLDER;
	case S_SYMLINK:
		return TARBALL_LINK;
	default:
		return TARBALL_DEVICE;
	}
}

/* Where the member's bytes begin: its own header says how long it is. */
static int open_member(struct zip *z)
{
	uint8_t local[ZIPFILE_LOCAL];
	size_t length;

	if (read_at(z, z->entry.offset, local, sizeof(local)) < 0)
		return z->failed.code;
	if (zipfile_local_parse(bytes_of(local, sizeof(local)), &length) < 0)
		return err_set(&z->failed, ERR_DAMAGED,
			       "%s is damaged at byte %llu: member %s does not "
			       "begin there",
			       z->name, (unsigned long long)z->entry.offset,
			       (const char *)z->member_name.p);
	z->at = z->entry.offset + length;
	z->packed_left = z->entry.packed;
	z->made = 0;
	z->crc = 0;
	z->pending = bytes_of(NULL, 0);
	z->inflated = z->entry.method == 0;
	isal_inflate_init(&z->state);
	z->open = true;
	return 0;
}

int zip_next(struct zip *z, struct archive_member *m, struct err *err)
{
	if (z->failed.code)
		return fail(z, err);
	z->open = false;
	if (z->entry_no == z->end.entries)
		return ERR_END;
	if (next_entry(z) < 0 || open_member(z) < 0)
		return fail(z, err);
	*m = (struct archive_member){
		.name = (const char *)z->member_name.p,
		.type = type_of(z),
		.size = z->entry.size,
		.mode = z->entry.mode & 07777 ? z->entry.mode & 07777 : 0644,
	};
	if (m->type == TARBALL_FILE &&
	    (z->entry.encrypted ||
	     (z->entry.method != 0 && z->entry.method != DEFLATED)))
		m->type = TARBALL_OTHER;
	return 0;
}

static int broken(struct zip *z, const char *why)
{
	return err_set(&z->failed, ERR_DAMAGED,
		       "%s is damaged in member %s: %s", z->name,
		       (const char *)z->member_name.p, why);
}

static int refill(struct zip *z)
{
	size_t n = z->packed_left < ARCHIVE_BUFFER ? (size_t)z->packed_left
						   : ARCHIVE_BUFFER;

	if (z->pending.len || n == 0)
		return 0;
	if (read_at(z, z->at, z->in, n) < 0)
		return z->failed.code;
	z->at += n;
	z->packed_left -= n;
	z->pending = bytes_of(z->in, n);
	return 0;
}

static int take_stored(struct zip *z, struct bytes *data)
{
	if (refill(z) < 0)
		return z->failed.code;
	*data = z->pending;
	z->pending = bytes_of(NULL, 0);
	return 0;
}

static int take_deflated(struct zip *z, struct bytes *data)
{
	size_t made = 0;

	while (!made && !z->inflated) {
		size_t before;
		int rc;

		if (refill(z) < 0)
			return z->failed.code;
		before = z->pending.len;
		z->state.next_in = (uint8_t *)z->pending.p;
		z->state.avail_in = (uint32_t)before;
		z->state.next_out = z->out;
		z->state.avail_out = ARCHIVE_BUFFER;
		rc = isal_inflate(&z->state);
		made = (size_t)(z->state.next_out - z->out);
		z->pending = bytes_of(z->state.next_in, z->state.avail_in);
		z->inflated = z->state.block_state == ISAL_BLOCK_FINISH;
		if (rc < 0)
			return broken(z, "its packed bytes are broken");
		if (!made && !z->inflated && !z->packed_left &&
		    z->pending.len == before)
			return broken(z, "its packed bytes end too early");
	}
	*data = bytes_of(z->out, made);
	return 0;
}

int zip_read(struct zip *z, struct bytes *data, struct err *err)
{
	int rc;

	if (z->failed.code)
		return fail(z, err);
	if (!z->open)
		return ERR_END;
	rc = z->entry.method ? take_deflated(z, data) : take_stored(z, data);
	if (rc < 0)
		return fail(z, err);
	if (data->len) {
		z->crc = crc32_gzip_refl(z->crc, data->p, data->len);
		z->made += data->len;
		if (z->made > z->entry.size) {
			broken(z, "it unpacks to more than its entry says");
			return fail(z, err);
		}
		return 0;
	}
	z->open = false;
	if (z->made != z->entry.size || z->crc != z->entry.crc) {
		broken(z, "its length or checksum is wrong");
		return fail(z, err);
	}
	return ERR_END;
}
