/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/zipfile.h"

#include "base/cursor.h"
#include "base/err.h"

enum {
	SIGN_END = 0x06054b50,
	SIGN_LOCATOR = 0x07064b50,
	SIGN_END64 = 0x06064b50,
	SIGN_ENTRY = 0x02014b50,
	SIGN_LOCAL = 0x04034b50,
	END_LENGTH = 22,
	LOCATOR_LENGTH = 20,
	EXTRA_64 = 1,
	MADE_BY_UNIX = 3
};

static uint32_t word_at(const uint8_t *p)
{
	struct cursor c = cursor_on(bytes_of(p, 4));

	return get_le32(&c);
}

/* The locator stands right before the end record. */
static void look_for_locator(struct bytes tail, size_t at,
			     struct zipfile_end *end)
{
	struct cursor c;

	if (at < LOCATOR_LENGTH)
		return;
	c = cursor_on(bytes_of(tail.p + at - LOCATOR_LENGTH, LOCATOR_LENGTH));
	if (get_le32(&c) != SIGN_LOCATOR)
		return;
	skip_bytes(&c, 4);
	end->end64_offset = get_le64(&c);
	end->needs_end64 = true;
}

static int parse_end_at(struct bytes tail, size_t at, struct zipfile_end *end)
{
	struct cursor c = cursor_on(bytes_of(tail.p + at, tail.len - at));
	uint16_t disk, list_disk, here, comment;

	*end = (struct zipfile_end){ 0 };
	skip_bytes(&c, 4);
	disk = get_le16(&c);
	list_disk = get_le16(&c);
	here = get_le16(&c);
	end->entries = get_le16(&c);
	end->size = get_le32(&c);
	end->offset = get_le32(&c);
	comment = get_le16(&c);
	if (c.short_ || c.len != comment)
		return ERR_MALFORMED;
	look_for_locator(tail, at, end);
	if (!end->needs_end64 && (disk || list_disk || here != end->entries))
		return ERR_UNKNOWN;
	return 0;
}

int zipfile_end_parse(struct bytes tail, struct zipfile_end *end)
{
	/* The last one that fits: a comment may look like another. */
	for (size_t i = END_LENGTH; i <= tail.len; i++) {
		size_t at = tail.len - i;
		int rc;

		if (word_at(tail.p + at) != SIGN_END)
			continue;
		rc = parse_end_at(tail, at, end);
		if (rc != ERR_MALFORMED)
			return rc;
	}
	return ERR_MALFORMED;
}

int zipfile_end64_parse(struct bytes in, struct zipfile_end *end)
{
	struct cursor c = cursor_on(in);
	uint32_t disk, list_disk;
	uint64_t here;

	if (get_le32(&c) != SIGN_END64)
		return ERR_MALFORMED;
	skip_bytes(&c, 12);
	disk = get_le32(&c);
	list_disk = get_le32(&c);
	here = get_le64(&c);
	end->entries = get_le64(&c);
	end->size = get_le64(&c);
	end->offset = get_le64(&c);
	end->needs_end64 = false;
	if (c.short_)
		return ERR_MALFORMED;
	return disk || list_disk || here != end->entries ? ERR_UNKNOWN : 0;
}

/* The numbers that did not fit, in this order, only those. */
static int parse_extra(struct bytes extra, struct zipfile_entry *e)
{
	struct cursor all = cursor_on(extra);

	while (all.len >= 4) {
		uint16_t id = get_le16(&all), len = get_le16(&all);
		struct cursor c = cursor_on(get_bytes(&all, len));

		if (all.short_)
			return 0; /* others wrote it; it is not ours to mend */
		if (id != EXTRA_64)
			continue;
		if (e->size == UINT32_MAX)
			e->size = get_le64(&c);
		if (e->packed == UINT32_MAX)
			e->packed = get_le64(&c);
		if (e->offset == UINT32_MAX)
			e->offset = get_le64(&c);
		return c.short_ ? ERR_MALFORMED : 0;
	}
	return 0;
}

int zipfile_entry_parse(struct bytes in, struct zipfile_entry *e)
{
	struct cursor c = cursor_on(in);
	uint16_t made_by, flags, name, extra, comment;
	struct bytes more;
	uint32_t attributes;

	*e = (struct zipfile_entry){ 0 };
	if (in.len >= 4 && get_le32(&c) != SIGN_ENTRY)
		return ERR_MALFORMED;
	made_by = get_le16(&c);
	skip_bytes(&c, 2);
	flags = get_le16(&c);
	e->method = get_le16(&c);
	skip_bytes(&c, 4);
	e->crc = get_le32(&c);
	e->packed = get_le32(&c);
	e->size = get_le32(&c);
	name = get_le16(&c);
	extra = get_le16(&c);
	comment = get_le16(&c);
	skip_bytes(&c, 4);
	attributes = get_le32(&c);
	e->offset = get_le32(&c);
	e->name = get_bytes(&c, name);
	more = get_bytes(&c, extra);
	skip_bytes(&c, comment);
	if (in.len < 4 || c.short_)
		return ERR_AGAIN;
	e->encrypted = flags & 1;
	if (made_by >> 8 == MADE_BY_UNIX)
		e->mode = attributes >> 16;
	e->length = (size_t)ZIPFILE_ENTRY + name + extra + comment;
	return parse_extra(more, e);
}

int zipfile_local_parse(struct bytes in, size_t *length)
{
	struct cursor c = cursor_on(in);
	uint16_t name, extra;

	if (get_le32(&c) != SIGN_LOCAL)
		return ERR_MALFORMED;
	skip_bytes(&c, 22);
	name = get_le16(&c);
	extra = get_le16(&c);
	*length = (size_t)ZIPFILE_LOCAL + name + extra;
	return c.short_ ? ERR_MALFORMED : 0;
}
