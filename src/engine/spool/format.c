/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/spool/format.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include <openssl/sha.h>

#include "base/buf.h"
#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/text.h"

static const char idx_magic[] = "WEIRIDX1";
static const char live_magic[] = "WEIRLIV1";

/* -- id ----------------------------------------------------------------- */

bool source_name_good(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if (name[i] <= ' ' || name[i] > '~')
			return false;
	return len >= 1 && len <= SPOOL_NAME_MAX;
}

static void put_hex_line(struct buf *b, const char *key,
			 const uint8_t id[SPOOL_ID])
{
	put_format(b, "%s ", key);
	for (int i = 0; i < SPOOL_ID; i++)
		put_format(b, "%02x", id[i]);
	put_text(b, "\n");
}

void put_identity(struct buf *b, const struct spool_identity *id)
{
	size_t start = b->len;

	put_text(b, "weir-spool 1\n");
	put_hex_line(b, "id", id->id);
	put_hex_line(b, "origin", id->origin);
	put_format(b, "name %s\n", id->name);
	put_format(b, "linktype %" PRIu32 "\n", id->linktype);
	put_format(b, "snaplen %" PRIu32 "\n", id->snaplen);
	put_format(b, "crc32c %08" PRIx32 "\n", crc32c(buf_from(b, start)));
}

/* Take "key value\n" off the text; value is a copy. */
static int take_line(struct cursor *c, const char *key, char *value, size_t cap)
{
	size_t key_len = strlen(key);
	const uint8_t *end = c->len ? memchr(c->p, '\n', c->len) : NULL;
	size_t len = end ? (size_t)(end - c->p) : 0;

	if (!end || len < key_len + 2 || memcmp(c->p, key, key_len) != 0 ||
	    c->p[key_len] != ' ' || len - key_len - 1 >= cap)
		return ERR_MALFORMED;
	skip_bytes(c, key_len + 1);
	len -= key_len + 1;
	memcpy(value, get_bytes(c, len).p, len);
	value[len] = '\0';
	skip_bytes(c, 1);
	return strlen(value) == len ? 0 : ERR_MALFORMED;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
				      : -1;
}

static int take_hex(struct cursor *c, const char *key, uint8_t *out, size_t n)
{
	char value[80];

	if (take_line(c, key, value, sizeof(value)) < 0 ||
	    strlen(value) != 2 * n)
		return ERR_MALFORMED;
	for (size_t i = 0; i < n; i++) {
		int high = hex_digit(value[2 * i]);
		int low = hex_digit(value[2 * i + 1]);

		if (high < 0 || low < 0)
			return ERR_MALFORMED;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

static int take_u32(struct cursor *c, const char *key, uint32_t *out)
{
	char value[80];
	uint64_t v;

	if (take_line(c, key, value, sizeof(value)) < 0 ||
	    text_to_uint(value, &v) < 0 || v > UINT32_MAX)
		return ERR_MALFORMED;
	*out = (uint32_t)v;
	return 0;
}

int identity_parse(struct bytes in, struct spool_identity *id)
{
	struct cursor c = cursor_on(in);
	char version[8];
	uint8_t sum[4];
	uint32_t crc;

	*id = (struct spool_identity){ 0 };
	if (in.len > IDENTITY_MAX ||
	    take_line(&c, "weir-spool", version, sizeof(version)) < 0 ||
	    strcmp(version, "1") != 0 ||
	    take_hex(&c, "id", id->id, SPOOL_ID) < 0 ||
	    take_hex(&c, "origin", id->origin, SPOOL_ID) < 0 ||
	    take_line(&c, "name", id->name, sizeof(id->name)) < 0 ||
	    !source_name_good(id->name) ||
	    take_u32(&c, "linktype", &id->linktype) < 0 ||
	    take_u32(&c, "snaplen", &id->snaplen) < 0)
		return ERR_MALFORMED;
	crc = crc32c(bytes_of(in.p, in.len - c.len));
	if (take_hex(&c, "crc32c", sum, sizeof(sum)) < 0 || !cursor_done(&c))
		return ERR_MALFORMED;
	return crc == ((uint32_t)sum[0] << 24 | (uint32_t)sum[1] << 16 |
		       (uint32_t)sum[2] << 8 | sum[3])
		       ? 0
		       : ERR_MALFORMED;
}

/* -- index -------------------------------------------------------------- */

void put_idx_head(struct buf *b, const struct idx_head *head)
{
	size_t start = b->len;

	put_text(b, idx_magic);
	put_le32(b, 1);
	put_le32(b, IDX_HEADER);
	put_bytes(b, bytes_of(head->id, SPOOL_ID));
	put_le64(b, head->first);
	put_le64(b, head->chain);
	put_le64(b, head->incarnation);
	put_le64(b, head->created_ns);
	put_le32(b, head->linktype);
	put_le32(b, head->snaplen);
	put_le64(b, head->dropped);
	put_le32(b, head->before);
	put_zeros(b, IDX_HEADER - 4 - (b->len - start));
	put_le32(b, crc32c(buf_from(b, start)));
}

int idx_head_parse(struct bytes in, struct idx_head *head)
{
	struct cursor c = cursor_on(in);
	struct bytes id;

	if (in.len < IDX_HEADER || memcmp(in.p, idx_magic, 8) != 0)
		return ERR_MALFORMED;
	skip_bytes(&c, 8);
	if (get_le32(&c) != 1 || get_le32(&c) != IDX_HEADER)
		return ERR_MALFORMED;
	id = get_bytes(&c, SPOOL_ID);
	memcpy(head->id, id.p, SPOOL_ID);
	head->first = get_le64(&c);
	head->chain = get_le64(&c);
	head->incarnation = get_le64(&c);
	head->created_ns = get_le64(&c);
	head->linktype = get_le32(&c);
	head->snaplen = get_le32(&c);
	head->dropped = get_le64(&c);
	head->before = get_le32(&c);
	c = cursor_on(bytes_of(in.p + IDX_HEADER - 4, 4));
	if (get_le32(&c) != crc32c(bytes_of(in.p, IDX_HEADER - 4)))
		return ERR_MALFORMED;
	return 0;
}

uint32_t entry_seed(const uint8_t id[SPOOL_ID], uint64_t first)
{
	uint8_t raw[8];

	for (int i = 0; i < 8; i++)
		raw[i] = (uint8_t)(first >> (8 * i));
	return crc32c_more(crc32c(bytes_of(id, SPOOL_ID)),
			   bytes_of(raw, sizeof(raw)));
}

void put_entry(struct buf *b, uint32_t seed, const struct idx_entry *e)
{
	size_t start = b->len;

	put_u8(b, (uint8_t)e->type);
	put_u8(b, 0);
	put_le16(b, e->reason);
	put_le32(b, e->packets);
	put_le64(b, e->index);
	put_le64(b, e->value);
	put_le32(b, e->length);
	put_le32(b, e->crc);
	put_le64(b, e->begin_ns);
	put_le64(b, e->end_ns);
	put_le64(b, e->chain);
	put_le32(b, e->synced);
	put_le32(b, crc32c_more(seed, buf_from(b, start)));
	assert(b->len - start == IDX_ENTRY);
}

int entry_parse(struct bytes in, uint32_t seed, struct idx_entry *e)
{
	struct cursor c = cursor_on(in);
	uint8_t type = get_u8(&c);

	skip_bytes(&c, 1);
	e->reason = get_le16(&c);
	e->packets = get_le32(&c);
	e->index = get_le64(&c);
	e->value = get_le64(&c);
	e->length = get_le32(&c);
	e->crc = get_le32(&c);
	e->begin_ns = get_le64(&c);
	e->end_ns = get_le64(&c);
	e->chain = get_le64(&c);
	e->synced = get_le32(&c);
	if (get_le32(&c) != crc32c_more(seed, bytes_of(in.p, IDX_ENTRY - 4)) ||
	    c.short_ || type < ENTRY_BATCH || type > ENTRY_SEAL)
		return ERR_MALFORMED;
	e->type = (enum entry_type)type;
	if (e->type == ENTRY_BATCH &&
	    (e->packets == 0 || e->packets > RUN_COUNT_MAX ||
	     e->length < RECORD_HEADER || e->length > RUN_BYTES_MAX))
		return ERR_MALFORMED;
	if (e->type == ENTRY_GAP && e->value <= e->index)
		return ERR_MALFORMED;
	return 0;
}

uint64_t chain_behind(uint64_t chain, const struct run *r, uint32_t length)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	uint8_t room[44];
	struct buf b = { .p = room, .cap = sizeof(room) };
	struct cursor c = cursor_on(bytes_of(digest, 8));

	put_le64(&b, chain);
	put_le64(&b, r->first);
	put_le32(&b, r->count);
	put_le32(&b, length);
	put_le32(&b, r->crc);
	put_le64(&b, r->min_ns);
	put_le64(&b, r->max_ns);
	assert(b.p == room && b.len == sizeof(room));
	SHA256(b.p, b.len, digest);
	return get_le64(&c);
}

void entry_of_note(struct idx_entry *e, const struct spool_note *note,
		   uint64_t at)
{
	*e = (struct idx_entry){
		.type = (enum entry_type)note->is,
		.reason = note->reason,
		.index = at,
		.value = note->value,
		.begin_ns = note->begin_ns,
		.end_ns = note->end_ns,
	};
}

void note_of_entry(struct spool_note *note, const struct idx_entry *e)
{
	*note = (struct spool_note){
		.is = e->type == ENTRY_DROP  ? SPOOL_IS_DROP
		      : e->type == ENTRY_GAP ? SPOOL_IS_GAP
					     : SPOOL_IS_NOTE,
		.reason = e->reason,
		.value = e->value,
		.begin_ns = e->begin_ns,
		.end_ns = e->end_ns,
	};
}

/* -- live --------------------------------------------------------------- */

void put_live(struct buf *b, const struct live *live)
{
	size_t start = b->len;

	put_text(b, live_magic);
	put_le64(b, live->boot);
	put_le64(b, live->incarnation);
	put_le64(b, live->oldest);
	put_le64(b, live->head);
	put_le64(b, live->dropped);
	put_le64(b, live->segment);
	put_le32(b, live->entries);
	put_le32(b, crc32c(buf_from(b, start)));
}

int live_parse(struct bytes in, struct live *live)
{
	struct cursor c = cursor_on(in);

	if (in.len != LIVE_SIZE || memcmp(in.p, live_magic, 8) != 0)
		return ERR_MALFORMED;
	skip_bytes(&c, 8);
	live->boot = get_le64(&c);
	live->incarnation = get_le64(&c);
	live->oldest = get_le64(&c);
	live->head = get_le64(&c);
	live->dropped = get_le64(&c);
	live->segment = get_le64(&c);
	live->entries = get_le32(&c);
	return get_le32(&c) == crc32c(bytes_of(in.p, LIVE_SIZE - 4))
		       ? 0
		       : ERR_MALFORMED;
}

/* -- names -------------------------------------------------------------- */

void segment_name(char out[FILE_NAME_MAX], uint64_t first, const char *kind)
{
	snprintf(out, FILE_NAME_MAX, "%020" PRIu64 ".%s", first, kind);
}

void spare_name(char out[FILE_NAME_MAX], uint64_t number, const char *kind)
{
	snprintf(out, FILE_NAME_MAX, ".spare-%" PRIu64 ".%s", number, kind);
}

void old_spare_name(char out[FILE_NAME_MAX], uint64_t number, const char *kind)
{
	snprintf(out, FILE_NAME_MAX, "spare-%" PRIu64 ".%s", number, kind);
}

int file_name_parse(const char *name, struct file_name *out)
{
	static const char dotted[] = ".spare-";
	char again[FILE_NAME_MAX], digits[24];
	const char *kind, *dot, *from = name;
	size_t len;

	out->old = strncmp(name, dotted + 1, strlen(dotted + 1)) == 0;
	out->spare = out->old || strncmp(name, dotted, strlen(dotted)) == 0;
	if (out->spare)
		from += strlen(dotted) - out->old;
	dot = strchr(from, '.');
	len = dot ? (size_t)(dot - from) : 0;
	if (len < 1 || len >= sizeof(digits))
		return ERR_UNKNOWN;
	memcpy(digits, from, len);
	digits[len] = '\0';
	if (text_to_uint(digits, &out->number) < 0)
		return ERR_UNKNOWN;
	out->idx = strcmp(dot, ".idx") == 0;
	kind = out->idx ? "idx" : "pcap";

	/* One spelling a file: what we would not write ourselves is not ours.
	 */
	if (out->old)
		old_spare_name(again, out->number, kind);
	else if (out->spare)
		spare_name(again, out->number, kind);
	else
		segment_name(again, out->number, kind);
	return strcmp(again, name) == 0 ? 0 : ERR_UNKNOWN;
}
