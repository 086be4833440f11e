/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tarball.c - one block at a time; POSIX.1-2017 "pax", and GNU tar's manual.
 */
#include "codec/tarball.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

enum state {
	HEADER,	  /* a block that begins a member, or the end */
	EXTENDED, /* the content of a pax header or a GNU long name */
	SPARSE,	  /* more of a GNU sparse header, a block a time */
	CONTENT,  /* a member's bytes */
	PADDING,  /* up to the next block */
	ENDED
};

/* Where the fields of a header lie. */
enum {
	NAME = 0,
	NAME_LEN = 100,
	MODE = 100,
	SIZE = 124,
	CHECKSUM = 148,
	TYPE = 156,
	SPARSE_MORE = 482,	 /* in a header of type 'S' */
	SPARSE_MORE_STILL = 504, /* in the blocks behind it */
	MAGIC = 257,
	PREFIX = 345,
	PREFIX_LEN = 155
};

struct tarball {
	enum state state;
	enum state after_padding;
	struct buf block; /* a header that is not whole yet */
	uint64_t left;	  /* bytes of content or extension */
	uint64_t padding;
	uint64_t offset;
	bool hidden; /* the content is passed over */
	bool any;    /* a header was good */
	int zeros;   /* blocks of zeros in a row */

	struct buf extended;
	uint8_t extended_type;
	/* What an extension said about the next member. */
	struct buf next_name;
	bool have_name, have_size, sparse;
	uint64_t next_size;

	struct buf name;
	int failed;
	const char *why;
};

struct tarball *tarball_new(void)
{
	return mem_alloc(sizeof(struct tarball));
}

void tarball_free(struct tarball *t)
{
	if (!t)
		return;
	buf_release(&t->block);
	buf_release(&t->extended);
	buf_release(&t->next_name);
	buf_release(&t->name);
	free(t);
}

static int fail(struct tarball *t, int code, const char *why)
{
	t->why = why;
	return t->failed = code;
}

static struct bytes take(struct tarball *t, struct bytes *in, uint64_t most)
{
	size_t n = in->len < most ? in->len : (size_t)most;
	struct bytes out = bytes_of(in->p, n);

	in->p += n;
	in->len -= n;
	t->offset += n;
	return out;
}

/* -- numbers -------------------------------------------------------------- */

/* GNU's large numbers: the first bit set, the rest big-endian. */
static int base256(const uint8_t *p, size_t len, uint64_t *v)
{
	*v = 0;
	if (p[0] != 0x80)
		return ERR_MALFORMED; /* negative, or over 2^64 */
	for (size_t i = 1; i < len; i++) {
		if (*v >> 56)
			return ERR_MALFORMED;
		*v = *v << 8 | p[i];
	}
	return 0;
}

/* Octal digits, with blanks or NULs around them. */
static int number(const uint8_t *p, size_t len, uint64_t *v)
{
	size_t i = 0;

	if (p[0] & 0x80)
		return base256(p, len, v);
	*v = 0;
	while (i < len && p[i] == ' ')
		i++;
	for (; i < len && p[i] >= '0' && p[i] <= '7'; i++) {
		if (*v >> 61)
			return ERR_MALFORMED;
		*v = *v << 3 | (unsigned)(p[i] - '0');
	}
	while (i < len && (p[i] == ' ' || p[i] == '\0'))
		i++;
	return i == len ? 0 : ERR_MALFORMED;
}

/* Some old programs added signed bytes. */
static bool checksum_fits(const uint8_t *h)
{
	int64_t plain = 0, sign = 0;
	uint64_t want;

	if (number(h + CHECKSUM, 8, &want) < 0)
		return false;
	for (int i = 0; i < TARBALL_BLOCK; i++) {
		bool own = i >= CHECKSUM && i < CHECKSUM + 8;

		plain += own ? ' ' : h[i];
		sign += own ? ' ' : (int8_t)h[i];
	}
	return (int64_t)want == plain || (int64_t)want == sign;
}

/* -- headers -------------------------------------------------------------- */

static bool all_zero(const uint8_t *p)
{
	for (int i = 0; i < TARBALL_BLOCK; i++)
		if (p[i])
			return false;
	return true;
}

static size_t text_length(const uint8_t *p, size_t most)
{
	const uint8_t *end = memchr(p, 0, most);

	return end ? (size_t)(end - p) : most;
}

static void set_name(struct tarball *t, const uint8_t *h)
{
	buf_clear(&t->name);
	if (t->have_name) {
		put_bytes(&t->name, buf_bytes(&t->next_name));
	} else {
		/* GNU's header has other things where ustar has a prefix. */
		if (memcmp(h + MAGIC, "ustar\0", 6) == 0 && h[PREFIX]) {
			put_bytes(&t->name, bytes_of(h + PREFIX,
						     text_length(h + PREFIX,
								 PREFIX_LEN)));
			put_u8(&t->name, '/');
		}
		put_bytes(&t->name,
			  bytes_of(h + NAME, text_length(h + NAME, NAME_LEN)));
	}
	put_u8(&t->name, 0);
}

static enum tarball_type type_of(const struct tarball *t, uint8_t c)
{
	switch (c) {
	case '\0':
	case '0':
	case '7':
		if (t->sparse)
			return TARBALL_SPARSE;
		/* Before POSIX a folder was a file with a slash behind it. */
		return t->name.len > 1 && t->name.p[t->name.len - 2] == '/'
			       ? TARBALL_FOLDER
			       : TARBALL_FILE;
	case '1':
	case '2':
		return TARBALL_LINK;
	case '3':
	case '4':
	case '6':
		return TARBALL_DEVICE;
	case '5':
		return TARBALL_FOLDER;
	case 'S':
		return TARBALL_SPARSE;
	default:
		return TARBALL_OTHER;
	}
}

static bool is_extension(uint8_t c)
{
	return c == 'x' || c == 'g' || c == 'L' || c == 'K';
}

static void begin_content(struct tarball *t, uint64_t size)
{
	t->left = size;
	t->padding = (TARBALL_BLOCK - size % TARBALL_BLOCK) % TARBALL_BLOCK;
}

static int begin_extension(struct tarball *t, uint8_t type, uint64_t size)
{
	if (size > TARBALL_EXTENDED_MAX)
		return fail(t, ERR_LIMIT, "an extended header is over 1 MiB");
	t->extended_type = type;
	buf_clear(&t->extended);
	begin_content(t, size);
	t->state = EXTENDED;
	return ERR_AGAIN;
}

/* Links and devices have no content, whatever their size says. */
static bool has_content(uint8_t type)
{
	return !(type >= '1' && type <= '6');
}

static int begin_member(struct tarball *t, const uint8_t *h,
			struct tarball_item *item)
{
	uint64_t size, mode;
	uint8_t type = h[TYPE];

	if (number(h + SIZE, 12, &size) < 0)
		return fail(t, ERR_MALFORMED, "a size that is no number");
	if (is_extension(type))
		return begin_extension(t, type, size);
	if (t->have_size)
		size = t->next_size;
	if (!has_content(type))
		size = 0;
	if (size > UINT64_MAX / 4)
		return fail(t, ERR_MALFORMED, "a size over 4 EiB");
	set_name(t, h);
	if (number(h + MODE, 8, &mode) < 0)
		mode = 0644;
	*item = (struct tarball_item){ .kind = TARBALL_MEMBER,
				       .type = type_of(t, type),
				       .name = (const char *)t->name.p,
				       .size = size,
				       .mode = (uint32_t)mode & 07777 };
	t->have_name = t->have_size = t->sparse = false;
	t->hidden = item->type != TARBALL_FILE;
	begin_content(t, size);
	t->state = type == 'S' && h[SPARSE_MORE] ? SPARSE : CONTENT;
	return 0;
}

static int take_sparse(struct tarball *t, struct bytes *in)
{
	put_bytes(&t->block, take(t, in, TARBALL_BLOCK - t->block.len));
	if (t->block.len < TARBALL_BLOCK)
		return ERR_AGAIN;
	if (!t->block.p[SPARSE_MORE_STILL])
		t->state = CONTENT;
	buf_clear(&t->block);
	return ERR_AGAIN;
}

static int take_header(struct tarball *t, struct bytes *in,
		       struct tarball_item *item)
{
	uint8_t h[TARBALL_BLOCK];

	put_bytes(&t->block, take(t, in, TARBALL_BLOCK - t->block.len));
	if (t->block.len < TARBALL_BLOCK)
		return ERR_AGAIN;
	memcpy(h, t->block.p, sizeof(h));
	buf_clear(&t->block);
	if (all_zero(h)) {
		if (++t->zeros == 2) {
			t->state = ENDED;
			return ERR_END;
		}
		return ERR_AGAIN;
	}
	if (!checksum_fits(h))
		return fail(t, ERR_MALFORMED,
			    t->any ? "a header's checksum is wrong"
				   : "this is no tar archive");
	t->zeros = 0;
	t->any = true;
	return begin_member(t, h, item);
}

/* -- pax and GNU extensions ----------------------------------------------- */

static int keep_name(struct tarball *t, struct bytes name)
{
	if (name.len > TARBALL_NAME_MAX)
		return fail(t, ERR_LIMIT, "a name is over 64 KiB");
	buf_clear(&t->next_name);
	put_bytes(&t->next_name,
		  bytes_of(name.p, text_length(name.p, name.len)));
	t->have_name = true;
	return 0;
}

static int pax_size(struct tarball *t, struct bytes value)
{
	uint64_t v = 0;

	for (size_t i = 0; i < value.len; i++)
		if (value.p[i] < '0' || value.p[i] > '9' ||
		    __builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (unsigned)(value.p[i] - '0'), &v))
			return fail(t, ERR_MALFORMED,
				    "a pax size that is no "
				    "number");
	t->next_size = v;
	t->have_size = true;
	return 0;
}

static bool key_is(struct bytes key, const char *name)
{
	return bytes_equal(key, bytes_of_text(name));
}

static int pax_record(struct tarball *t, struct bytes key, struct bytes value)
{
	if (key_is(key, "path"))
		return keep_name(t, value);
	if (key_is(key, "size"))
		return pax_size(t, value);
	/* Its real name stands in one of these, its content in pieces. */
	if (key.len > 11 && memcmp(key.p, "GNU.sparse.", 11) == 0)
		t->sparse = true;
	if (key_is(key, "GNU.sparse.name"))
		return keep_name(t, value);
	return 0;
}

/* "25 path=some/where\n": the length counts all of it. */
static int pax_records(struct tarball *t, struct bytes in)
{
	while (in.len) {
		size_t len = 0, i = 0;
		const uint8_t *equals;
		struct bytes rest;

		for (; i < in.len && i < 9 && in.p[i] >= '0' && in.p[i] <= '9';
		     i++)
			len = len * 10 + (size_t)(in.p[i] - '0');
		if (i == 0 || i + 1 >= len || len > in.len || in.p[i] != ' ' ||
		    in.p[len - 1] != '\n')
			return fail(t, ERR_MALFORMED,
				    "a pax record is "
				    "broken");
		rest = bytes_of(in.p + i + 1, len - i - 2);
		equals = rest.len ? memchr(rest.p, '=', rest.len) : NULL;
		if (!equals)
			return fail(t, ERR_MALFORMED,
				    "a pax record is "
				    "broken");
		i = (size_t)(equals - rest.p);
		if (pax_record(t, bytes_of(rest.p, i),
			       bytes_of(rest.p + i + 1, rest.len - i - 1)) < 0)
			return t->failed;
		in = bytes_of(in.p + len, in.len - len);
	}
	return 0;
}

static int take_extension(struct tarball *t, struct bytes *in)
{
	struct bytes piece = take(t, in, t->left);
	int rc = 0;

	put_bytes(&t->extended, piece);
	t->left -= piece.len;
	if (t->left)
		return ERR_AGAIN;
	/* Of a global header only what is said of single members matters. */
	if (t->extended_type == 'x')
		rc = pax_records(t, buf_bytes(&t->extended));
	else if (t->extended_type == 'L')
		rc = keep_name(t, buf_bytes(&t->extended));
	t->state = PADDING;
	t->after_padding = HEADER;
	return rc < 0 ? rc : ERR_AGAIN;
}

/* -- content -------------------------------------------------------------- */

static int take_content(struct tarball *t, struct bytes *in,
			struct tarball_item *item)
{
	struct bytes piece = take(t, in, t->left);

	t->left -= piece.len;
	if (piece.len && !t->hidden) {
		*item = (struct tarball_item){ .kind = TARBALL_DATA,
					       .data = piece };
		return 0;
	}
	if (t->left)
		return ERR_AGAIN;
	t->state = PADDING;
	t->after_padding = HEADER;
	*item = (struct tarball_item){ .kind = TARBALL_MEMBER_END };
	return 0;
}

static int step(struct tarball *t, struct bytes *in, struct tarball_item *item)
{
	switch (t->state) {
	case HEADER:
		return take_header(t, in, item);
	case EXTENDED:
		return take_extension(t, in);
	case SPARSE:
		return take_sparse(t, in);
	case CONTENT:
		return take_content(t, in, item);
	case PADDING:
		t->padding -= take(t, in, t->padding).len;
		if (!t->padding)
			t->state = t->after_padding;
		return ERR_AGAIN;
	case ENDED:
		break;
	}
	return ERR_END;
}

/* Can it go on without more bytes? */
static bool needs_none(const struct tarball *t)
{
	return (t->state == CONTENT || t->state == EXTENDED) ? t->left == 0
	       : t->state == PADDING			     ? t->padding == 0
							     : false;
}

int tarball_next(struct tarball *t, struct bytes *in, struct tarball_item *item)
{
	int rc = ERR_AGAIN;

	if (t->failed)
		return t->failed;
	while (rc == ERR_AGAIN &&
	       (in->len || needs_none(t) || t->state == ENDED))
		rc = step(t, in, item);
	return rc;
}

int tarball_end(const struct tarball *t)
{
	if (t->failed)
		return t->failed;
	if (t->state == ENDED)
		return 0;
	/* Without the closing zeros, but between two members. */
	if (t->any && (t->state == HEADER || t->state == PADDING) &&
	    !t->block.len && !t->padding && !t->have_name)
		return 0;
	return ERR_DAMAGED;
}

const char *tarball_why(const struct tarball *t)
{
	return t->why ? t->why : "it ends too early";
}

uint64_t tarball_offset(const struct tarball *t)
{
	return t->offset;
}
