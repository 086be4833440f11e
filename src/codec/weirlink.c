/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/weirlink.h"

#include <assert.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/err.h"

static const char hello_magic[4] = "WEIR";

enum { SKIPPABLE = 0x80 };

void put_weirlink_hello(struct buf *b, const struct weirlink_hello *h)
{
	put_bytes(b, bytes_of(hello_magic, sizeof(hello_magic)));
	put_u8(b, h->low);
	put_u8(b, h->high);
	put_le16(b, 0);
	put_le32(b, h->features);
}

int weirlink_hello_parse(struct bytes in, struct weirlink_hello *h)
{
	struct cursor c = cursor_on(in);
	struct bytes magic = get_bytes(&c, sizeof(hello_magic));

	if (!bytes_equal(magic, bytes_of(hello_magic, sizeof(hello_magic))))
		return ERR_UNKNOWN;
	h->low = get_u8(&c);
	h->high = get_u8(&c);
	skip_bytes(&c, 2);
	h->features = get_le32(&c);
	return c.short_ || h->low > h->high ? ERR_UNKNOWN : 0;
}

/* -- reading ------------------------------------------------------------- */

static void copy_id(struct cursor *c, uint8_t id[WEIRLINK_ID])
{
	struct bytes b = get_bytes(c, WEIRLINK_ID);

	memset(id, 0, WEIRLINK_ID);
	if (b.len)
		memcpy(id, b.p, WEIRLINK_ID);
}

static int parse_resume(struct cursor *c, struct weirlink_frame *f)
{
	f->entries = get_le16(c);
	if (f->entries > WEIRLINK_ENTRIES_MAX)
		return ERR_LIMIT;
	skip_bytes(c, (size_t)f->entries * WEIRLINK_ENTRY);
	return 0;
}

static int parse_source(struct cursor *c, struct weirlink_source *s)
{
	struct bytes name;

	s->verdict = get_u8(c);
	skip_bytes(c, 3);
	s->linktype = get_le32(c);
	s->snaplen = get_le32(c);
	skip_bytes(c, 4);
	copy_id(c, s->id);
	copy_id(c, s->origin);
	s->oldest = get_le64(c);
	s->head = get_le64(c);
	name = get_bytes(c, WEIRLINK_NAME);
	memset(s->name, 0, sizeof(s->name));
	if (name.len)
		memcpy(s->name, name.p, name.len);
	if (s->verdict < WEIRLINK_RESUMED || s->verdict > WEIRLINK_NEXT)
		return ERR_MALFORMED;
	if (s->oldest > s->head || s->head >= WEIRLINK_INDEX_END)
		return ERR_MALFORMED;
	return 0;
}

static int parse_run(struct cursor *c, uint64_t at, struct weirlink_run *r)
{
	r->run = (struct run){ .first = at, .count = get_le32(c) };
	r->raw_len = get_le32(c);
	r->codec = get_u8(c);
	skip_bytes(c, 3);
	r->run.crc = get_le32(c);
	r->run.chain = get_le64(c);
	r->run.min_ns = get_le64(c);
	r->run.max_ns = get_le64(c);
	skip_bytes(c, 4);
	r->body = get_rest(c);
	if (r->run.count < 1 || r->run.count > RUN_COUNT_MAX)
		return ERR_LIMIT;
	if (r->raw_len < RECORD_HEADER || r->raw_len > RUN_BYTES_MAX)
		return ERR_LIMIT;
	switch (r->codec) {
	case WEIRLINK_PLAIN:
		r->run.records = r->body;
		return r->body.len == r->raw_len ? 0 : ERR_MALFORMED;
	case WEIRLINK_ZSTD_FRAME:
		return r->body.len <= r->raw_len ? 0 : ERR_MALFORMED;
	default:
		return ERR_MALFORMED;
	}
}

static int parse_gap(struct cursor *c, uint64_t at, struct weirlink_gap *g)
{
	g->to = get_le64(c);
	g->reason = get_le16(c);
	skip_bytes(c, 6);
	g->begin_ns = get_le64(c);
	g->end_ns = get_le64(c);
	/* A gap that goes back would move the resume point back. */
	return g->to <= at || g->to >= WEIRLINK_INDEX_END ? ERR_MALFORMED : 0;
}

static int parse_note(struct cursor *c, struct weirlink_note *n)
{
	n->is = get_u8(c);
	skip_bytes(c, 1);
	n->reason = get_le16(c);
	skip_bytes(c, 4);
	n->value = get_le64(c);
	n->begin_ns = get_le64(c);
	n->end_ns = get_le64(c);
	return n->is == 2 || n->is == 4 ? 0 : ERR_MALFORMED;
}

static int parse_beat(struct cursor *c, uint64_t at, struct weirlink_beat *b)
{
	b->oldest = get_le64(c);
	b->captured = get_le64(c);
	b->dropped_kernel = get_le64(c);
	b->dropped_interface = get_le64(c);
	b->dropped = get_le64(c);
	b->bytes = get_le64(c);
	b->wall_ns = get_le64(c);
	b->mono_ns = get_le64(c);
	return b->oldest <= at ? 0 : ERR_MALFORMED;
}

static int parse_payload(struct weirlink_frame *f)
{
	struct cursor c = cursor_on(f->payload);
	int result = 0;

	switch (f->type) {
	case WEIRLINK_RESUME:
		result = parse_resume(&c, f);
		break;
	case WEIRLINK_SOURCE:
		result = parse_source(&c, &f->as_source);
		break;
	case WEIRLINK_RUN:
		result = parse_run(&c, f->at, &f->as_run);
		break;
	case WEIRLINK_GAP:
		result = parse_gap(&c, f->at, &f->as_gap);
		break;
	case WEIRLINK_NOTE:
		result = parse_note(&c, &f->as_note);
		break;
	case WEIRLINK_BEAT:
		result = parse_beat(&c, f->at, &f->as_beat);
		break;
	case WEIRLINK_ERROR:
		f->as_error.code = get_le16(&c);
		f->as_error.sentence = get_rest(&c);
		break;
	case WEIRLINK_ACK:
	case WEIRLINK_END:
	case WEIRLINK_KEYLOG:
		break;
	default:
		return f->type & SKIPPABLE ? ERR_UNKNOWN : ERR_MALFORMED;
	}
	return c.short_ ? ERR_MALFORMED : result;
}

int weirlink_parse(struct bytes in, struct weirlink_frame *f, size_t *size)
{
	struct cursor c = cursor_on(in);
	uint32_t len;

	f->type = get_u8(&c);
	skip_bytes(&c, 1);
	f->source = get_le16(&c);
	len = get_le32(&c);
	f->sequence = get_le64(&c);
	f->at = get_le64(&c);
	if (c.short_)
		return ERR_AGAIN;
	if (len > WEIRLINK_PAYLOAD_MAX)
		return ERR_LIMIT;
	if (f->at >= WEIRLINK_INDEX_END)
		return ERR_MALFORMED;
	f->payload = get_bytes(&c, len);
	if (c.short_)
		return ERR_AGAIN;
	*size = WEIRLINK_HEADER + len;
	return parse_payload(f);
}

void weirlink_entry_at(const struct weirlink_frame *f, int i,
		       struct weirlink_entry *e)
{
	struct cursor c = cursor_on(f->payload);

	assert(f->type == WEIRLINK_RESUME && i >= 0 && i < f->entries);
	skip_bytes(&c, 2 + (size_t)i * WEIRLINK_ENTRY);
	e->source = get_le16(&c);
	e->flags = get_le16(&c);
	skip_bytes(&c, 4);
	copy_id(&c, e->origin);
	e->next = get_le64(&c);
	e->chain = get_le64(&c);
}

/* -- writing ------------------------------------------------------------- */

static void put_id(struct buf *b, const uint8_t id[WEIRLINK_ID])
{
	put_bytes(b, bytes_of(id, WEIRLINK_ID));
}

static void put_source(struct buf *b, const struct weirlink_source *s)
{
	size_t name = strlen(s->name);

	assert(name <= WEIRLINK_NAME);
	put_u8(b, s->verdict);
	put_zeros(b, 3);
	put_le32(b, s->linktype);
	put_le32(b, s->snaplen);
	put_le32(b, 0);
	put_id(b, s->id);
	put_id(b, s->origin);
	put_le64(b, s->oldest);
	put_le64(b, s->head);
	put_text(b, s->name);
	put_zeros(b, WEIRLINK_NAME - name);
}

static void put_run(struct buf *b, const struct weirlink_run *r)
{
	put_le32(b, r->run.count);
	put_le32(b, r->raw_len);
	put_u8(b, r->codec);
	put_zeros(b, 3);
	put_le32(b, r->run.crc);
	put_le64(b, r->run.chain);
	put_le64(b, r->run.min_ns);
	put_le64(b, r->run.max_ns);
	put_le32(b, 0);
	put_bytes(b, r->body);
}

static void put_gap(struct buf *b, const struct weirlink_gap *g)
{
	put_le64(b, g->to);
	put_le16(b, g->reason);
	put_zeros(b, 6);
	put_le64(b, g->begin_ns);
	put_le64(b, g->end_ns);
}

static void put_note(struct buf *b, const struct weirlink_note *n)
{
	put_u8(b, n->is);
	put_u8(b, 0);
	put_le16(b, n->reason);
	put_le32(b, 0);
	put_le64(b, n->value);
	put_le64(b, n->begin_ns);
	put_le64(b, n->end_ns);
}

static void put_beat(struct buf *b, const struct weirlink_beat *t)
{
	put_le64(b, t->oldest);
	put_le64(b, t->captured);
	put_le64(b, t->dropped_kernel);
	put_le64(b, t->dropped_interface);
	put_le64(b, t->dropped);
	put_le64(b, t->bytes);
	put_le64(b, t->wall_ns);
	put_le64(b, t->mono_ns);
}

static void put_payload(struct buf *b, const struct weirlink_frame *f)
{
	switch (f->type) {
	case WEIRLINK_SOURCE:
		put_source(b, &f->as_source);
		break;
	case WEIRLINK_RUN:
		put_run(b, &f->as_run);
		break;
	case WEIRLINK_GAP:
		put_gap(b, &f->as_gap);
		break;
	case WEIRLINK_NOTE:
		put_note(b, &f->as_note);
		break;
	case WEIRLINK_BEAT:
		put_beat(b, &f->as_beat);
		break;
	case WEIRLINK_ERROR:
		put_le16(b, f->as_error.code);
		put_bytes(b, f->as_error.sentence);
		break;
	default:
		put_bytes(b, f->payload);
		break;
	}
}

static void put_header(struct buf *b, const struct weirlink_frame *f)
{
	put_u8(b, f->type);
	put_u8(b, 0);
	put_le16(b, f->source);
	put_le32(b, 0); /* close_frame() fills it in */
	put_le64(b, f->sequence);
	put_le64(b, f->at);
}

static void close_frame(struct buf *b, size_t start)
{
	size_t len = b->len - start - WEIRLINK_HEADER;

	assert(len <= WEIRLINK_PAYLOAD_MAX);
	for (int i = 0; i < 4; i++)
		b->p[start + 4 + i] = (uint8_t)(len >> (8 * i));
}

void put_weirlink(struct buf *b, const struct weirlink_frame *f)
{
	size_t start = b->len;

	put_header(b, f);
	put_payload(b, f);
	close_frame(b, start);
}

void put_weirlink_resume(struct buf *b, uint64_t sequence,
			 const struct weirlink_entry *entries, int n)
{
	const struct weirlink_frame f = { .type = WEIRLINK_RESUME,
					  .sequence = sequence };
	size_t start = b->len;

	assert(n >= 0 && n <= WEIRLINK_ENTRIES_MAX);
	put_header(b, &f);
	put_le16(b, (uint16_t)n);
	for (int i = 0; i < n; i++) {
		put_le16(b, entries[i].source);
		put_le16(b, entries[i].flags);
		put_le32(b, 0);
		put_id(b, entries[i].origin);
		put_le64(b, entries[i].next);
		put_le64(b, entries[i].chain);
		put_le64(b, 0);
	}
	close_frame(b, start);
}
