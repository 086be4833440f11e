/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/ipcap.h"

#include <assert.h>
#include <strings.h>

#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/err.h"
#include "codec/cbor.h"
#include "codec/record.h"

enum { FRAME_MAGIC = 0xd0ca, FRAME_CRC_AT = 28, NS_PER_S = 1000000000 };

static const char preamble_magic[4] = "PMX1";

static void store_be(uint8_t *to, uint64_t v, size_t size)
{
	for (size_t i = size; i > 0; i--, v >>= 8)
		to[i - 1] = (uint8_t)v;
}

/* -- the preamble ------------------------------------------------------- */

static void put_source(struct buf *b, const struct ipcap_source *s)
{
	put_cbor_map(b, s->epoch[0] ? 6 : 5);
	put_cbor_text(b, "id");
	put_cbor_uint(b, s->id);
	put_cbor_text(b, "name");
	put_cbor_text(b, s->name);
	put_cbor_text(b, "linktype");
	put_cbor_uint(b, s->linktype);
	put_cbor_text(b, "snaplen");
	put_cbor_uint(b, s->snaplen);
	put_cbor_text(b, "kind");
	put_cbor_text(b, s->kind);
	if (s->epoch[0]) {
		put_cbor_text(b, "epoch");
		put_cbor_text(b, s->epoch);
	}
}

static void put_preamble_body(struct buf *b, const struct ipcap_preamble *p)
{
	put_cbor_map(b, 3);
	put_cbor_text(b, "compression");
	put_cbor_text(b, p->compression);
	put_cbor_text(b, "sources");
	put_cbor_array(b, (uint64_t)p->n_sources);
	for (int i = 0; i < p->n_sources; i++)
		put_source(b, &p->sources[i]);
	put_cbor_text(b, "resumeAck");
	put_cbor_map(b, (uint64_t)p->n_resume);
	for (int i = 0; i < p->n_resume; i++) {
		put_cbor_uint(b, p->resume[i].source);
		put_cbor_uint(b, p->resume[i].index);
	}
}

void put_ipcap_preamble(struct buf *b, const struct ipcap_preamble *p)
{
	size_t start = b->len;
	struct bytes body;

	put_bytes(b, bytes_of(preamble_magic, sizeof(preamble_magic)));
	put_be16(b, IPCAP_VERSION);
	put_zeros(b, 6);
	put_preamble_body(b, p);
	body = buf_from(b, start + IPCAP_PREAMBLE_HEAD);
	assert(body.len <= UINT16_MAX); /* by the bounds of the struct */
	store_be(b->p + start + 6, crc32c(body), 4);
	store_be(b->p + start + 10, body.len, 2);
}

/* Null stands for the zero value, as it does for ipcap's reader. */
static int get_number(struct cursor *c, uint64_t max, uint64_t *v)
{
	*v = 0;
	return cbor_null(c) ? 0 : cbor_uint(c, max, v);
}

static int get_text(struct cursor *c, char *out, size_t cap)
{
	out[0] = '\0';
	return cbor_null(c) ? 0 : cbor_text(c, out, cap);
}

/*
 * One key of a map.  Keys of another kind, or longer than any that we know,
 * come out empty and match nothing.
 */
static int get_key(struct cursor *c, char *key, size_t cap)
{
	struct cursor start = *c;

	if (cbor_text(c, key, cap) == 0)
		return 0;
	key[0] = '\0';
	*c = start;
	return cbor_skip(c);
}

/* ipcap's reader does not tell capitals from small letters in keys. */
static bool is(const char *key, const char *name)
{
	return strcasecmp(key, name) == 0;
}

static int get_source_field(struct cursor *c, const char *key,
			    struct ipcap_source *s)
{
	uint64_t v;
	int rc;

	if (is(key, "name"))
		return get_text(c, s->name, sizeof(s->name));
	if (is(key, "kind"))
		return get_text(c, s->kind, sizeof(s->kind));
	if (is(key, "epoch"))
		return get_text(c, s->epoch, sizeof(s->epoch));
	if (is(key, "id")) {
		rc = get_number(c, UINT16_MAX, &v);
		s->id = (uint16_t)v;
		return rc;
	}
	if (is(key, "linktype")) {
		rc = get_number(c, UINT16_MAX, &v);
		s->linktype = (uint16_t)v;
		return rc;
	}
	if (is(key, "snaplen")) {
		rc = get_number(c, UINT32_MAX, &v);
		s->snaplen = (uint32_t)v;
		return rc;
	}
	return cbor_skip(c);
}

static int get_source(struct cursor *c, struct ipcap_source *s)
{
	struct cbor_walk w;
	char key[32];
	int rc = cbor_map(c, &w);

	*s = (struct ipcap_source){ 0 };
	if (rc < 0)
		return rc;
	while ((rc = cbor_more(c, &w)) > 0) {
		rc = get_key(c, key, sizeof(key));
		if (rc == 0)
			rc = get_source_field(c, key, s);
		if (rc < 0)
			return rc;
	}
	return rc;
}

static int get_sources(struct cursor *c, struct ipcap_preamble *p)
{
	struct cbor_walk w;
	int rc;

	p->n_sources = 0;
	if (cbor_null(c))
		return 0;
	rc = cbor_array(c, &w);
	if (rc < 0)
		return rc;
	while ((rc = cbor_more(c, &w)) > 0) {
		if (p->n_sources == IPCAP_SOURCES_MAX)
			return ERR_LIMIT;
		rc = get_source(c, &p->sources[p->n_sources++]);
		if (rc < 0)
			return rc;
	}
	return rc;
}

static int get_resume(struct cursor *c, struct ipcap_preamble *p)
{
	struct cbor_walk w;
	int rc;

	p->n_resume = 0;
	if (cbor_null(c))
		return 0;
	rc = cbor_map(c, &w);
	if (rc < 0)
		return rc;
	while ((rc = cbor_more(c, &w)) > 0) {
		struct ipcap_resume *r = &p->resume[p->n_resume];
		uint64_t source;

		if (p->n_resume++ == IPCAP_SOURCES_MAX)
			return ERR_LIMIT;
		rc = cbor_uint(c, UINT16_MAX, &source);
		if (rc == 0)
			rc = cbor_uint(c, UINT64_MAX, &r->index);
		if (rc < 0)
			return rc;
		r->source = (uint16_t)source;
	}
	return rc;
}

static int get_preamble_field(struct cursor *c, const char *key,
			      struct ipcap_preamble *p)
{
	if (is(key, "compression"))
		return get_text(c, p->compression, sizeof(p->compression));
	if (is(key, "sources"))
		return get_sources(c, p);
	if (is(key, "resumeAck"))
		return get_resume(c, p);
	return cbor_skip(c);
}

static int parse_preamble_body(struct bytes body, struct ipcap_preamble *p)
{
	struct cursor c = cursor_on(body);
	struct cbor_walk w;
	char key[32];
	int rc = cbor_map(&c, &w);

	*p = (struct ipcap_preamble){ 0 };
	if (rc < 0)
		return rc;
	while ((rc = cbor_more(&c, &w)) > 0) {
		rc = get_key(&c, key, sizeof(key));
		if (rc == 0)
			rc = get_preamble_field(&c, key, p);
		if (rc < 0)
			return rc;
	}
	if (rc < 0)
		return rc;
	return cursor_done(&c) ? 0 : ERR_MALFORMED;
}

int ipcap_preamble_parse(struct bytes in, size_t *used,
			 struct ipcap_preamble *p)
{
	struct cursor c = cursor_on(in);
	size_t n = in.len < sizeof(preamble_magic) ? in.len
						   : sizeof(preamble_magic);
	struct bytes magic = get_bytes(&c, n);
	struct bytes body;
	uint16_t version;
	uint32_t crc;

	if (n && memcmp(magic.p, preamble_magic, n) != 0)
		return ERR_MALFORMED;
	version = get_be16(&c);
	if (!c.short_ && version != IPCAP_VERSION)
		return ERR_UNKNOWN;
	crc = get_be32(&c);
	body = get_bytes(&c, get_be16(&c));
	if (c.short_)
		return ERR_AGAIN;
	if (crc32c(body) != crc)
		return ERR_DAMAGED;
	*used = IPCAP_PREAMBLE_HEAD + body.len;
	return parse_preamble_body(body, p);
}

/* -- frames ------------------------------------------------------------- */

size_t ipcap_frame_begin(struct buf *b)
{
	size_t begun = b->len;

	put_zeros(b, IPCAP_FRAME_HEAD);
	return begun;
}

void ipcap_frame_end(struct buf *b, size_t begun, const struct ipcap_frame *f)
{
	struct bytes payload = buf_from(b, begun + IPCAP_FRAME_HEAD);
	uint32_t crc = crc32c(payload);
	uint8_t *head = b->p + begun;

	assert(payload.len <= IPCAP_PAYLOAD_MAX);
	store_be(head, FRAME_MAGIC, 2);
	head[2] = IPCAP_VERSION;
	head[3] = f->type;
	store_be(head + 4, f->flags, 2);
	store_be(head + 6, f->source, 2);
	store_be(head + 8, f->base, 8);
	store_be(head + 16, f->seq, 8);
	store_be(head + 24, payload.len, 4);
	store_be(head + FRAME_CRC_AT, crc32c(bytes_of(head, FRAME_CRC_AT)), 4);
	put_be32(b, crc);
}

void put_ipcap_frame(struct buf *b, const struct ipcap_frame *f)
{
	size_t begun = ipcap_frame_begin(b);

	put_bytes(b, f->payload);
	ipcap_frame_end(b, begun, f);
}

int ipcap_frame_parse(struct bytes in, size_t *used, struct ipcap_frame *f)
{
	struct cursor c = cursor_on(in);
	struct bytes head = get_bytes(&c, FRAME_CRC_AT);
	struct cursor h = cursor_on(head);
	uint32_t head_crc = get_be32(&c);
	uint32_t len, crc;
	uint16_t magic;
	uint8_t version;

	if (c.short_)
		return ERR_AGAIN;
	magic = get_be16(&h);
	version = get_u8(&h);
	*f = (struct ipcap_frame){ .type = get_u8(&h) };
	f->flags = get_be16(&h);
	f->source = get_be16(&h);
	f->base = get_be64(&h);
	f->seq = get_be64(&h);
	len = get_be32(&h);
	if (magic != FRAME_MAGIC)
		return ERR_MALFORMED;
	if (version != IPCAP_VERSION)
		return ERR_UNKNOWN;
	if (crc32c(head) != head_crc)
		return ERR_DAMAGED;
	if (len > IPCAP_PAYLOAD_MAX)
		return ERR_LIMIT;
	f->payload = get_bytes(&c, len);
	crc = get_be32(&c);
	if (c.short_)
		return ERR_AGAIN;
	if (crc32c(f->payload) != crc)
		return ERR_DAMAGED;
	*used = IPCAP_FRAME_HEAD + len + IPCAP_FRAME_TAIL;
	return 0;
}

enum ipcap_manner ipcap_collector_manner(uint8_t type)
{
	switch (type) {
	case IPCAP_PKT:
	case IPCAP_BATCH:
	case IPCAP_HEARTBEAT:
	case IPCAP_STATS:
	case IPCAP_GAP:
	case IPCAP_KEYLOG:
		return IPCAP_TAKES;
	case IPCAP_SRCINFO:
		return IPCAP_SKIPS;
	default:
		return type & 0x80 ? IPCAP_SKIPS : IPCAP_REFUSES;
	}
}

struct buf *ipcap_reader_room(struct ipcap_reader *r)
{
	buf_consume(&r->in, r->at);
	r->at = 0;
	return &r->in;
}

int ipcap_reader_preamble(struct ipcap_reader *r, struct ipcap_preamble *p)
{
	size_t used = 0;
	int rc = ipcap_preamble_parse(buf_from(&r->in, r->at), &used, p);

	if (rc == 0)
		r->at += used;
	return rc;
}

int ipcap_reader_frame(struct ipcap_reader *r, struct ipcap_frame *f)
{
	size_t used = 0;
	int rc = ipcap_frame_parse(buf_from(&r->in, r->at), &used, f);

	if (rc == 0)
		r->at += used;
	return rc;
}

void ipcap_reader_release(struct ipcap_reader *r)
{
	buf_release(&r->in);
	r->at = 0;
}

/* -- payloads ----------------------------------------------------------- */

static int result(const struct cursor *c)
{
	return c->short_ ? ERR_MALFORMED : 0;
}

void put_ipcap_ack(struct buf *b, const struct ipcap_ack *a)
{
	put_be16(b, a->source);
	put_be64(b, a->next);
	put_be64(b, a->seq);
}

int ipcap_ack_parse(struct bytes in, struct ipcap_ack *a)
{
	struct cursor c = cursor_on(in);

	a->source = get_be16(&c);
	a->next = get_be64(&c);
	a->seq = get_be64(&c);
	return result(&c);
}

void put_ipcap_gap(struct buf *b, const struct ipcap_gap *g)
{
	put_be16(b, g->source);
	put_be64(b, g->from);
	put_be64(b, g->to);
}

int ipcap_gap_parse(struct bytes in, struct ipcap_gap *g)
{
	struct cursor c = cursor_on(in);

	g->source = get_be16(&c);
	g->from = get_be64(&c);
	g->to = get_be64(&c);
	return result(&c);
}

void put_ipcap_heartbeat(struct buf *b, const struct ipcap_heartbeat *h)
{
	put_be64(b, h->wall_ns);
	put_be64(b, h->head);
}

int ipcap_heartbeat_parse(struct bytes in, struct ipcap_heartbeat *h)
{
	struct cursor c = cursor_on(in);

	h->wall_ns = get_be64(&c);
	h->head = get_be64(&c);
	return result(&c);
}

/* In the order in which ipcap writes them. */
static const struct {
	const char *key;
	size_t at;
} stats_fields[] = {
	{ "captured", offsetof(struct ipcap_stats, captured) },
	{ "dropped_kernel", offsetof(struct ipcap_stats, dropped_kernel) },
	{ "ifdrop", offsetof(struct ipcap_stats, ifdrop) },
	{ "spool_bytes", offsetof(struct ipcap_stats, spool_bytes) },
	{ "oldest_gpidx", offsetof(struct ipcap_stats, oldest) },
	{ "head_gpidx", offsetof(struct ipcap_stats, head) },
};

enum { STATS_FIELDS = sizeof(stats_fields) / sizeof(stats_fields[0]) };

void put_ipcap_stats(struct buf *b, const struct ipcap_stats *s)
{
	put_cbor_map(b, STATS_FIELDS);
	for (int i = 0; i < STATS_FIELDS; i++) {
		uint64_t v;

		memcpy(&v, (const uint8_t *)s + stats_fields[i].at, sizeof(v));
		put_cbor_text(b, stats_fields[i].key);
		put_cbor_uint(b, v);
	}
}

static int get_stats_field(struct cursor *c, const char *key,
			   struct ipcap_stats *s)
{
	for (int i = 0; i < STATS_FIELDS; i++) {
		uint64_t v;
		int rc;

		if (!is(key, stats_fields[i].key))
			continue;
		rc = get_number(c, UINT64_MAX, &v);
		memcpy((uint8_t *)s + stats_fields[i].at, &v, sizeof(v));
		return rc;
	}
	return cbor_skip(c);
}

int ipcap_stats_parse(struct bytes in, struct ipcap_stats *s)
{
	struct cursor c = cursor_on(in);
	struct ipcap_stats read = { 0 };
	struct cbor_walk w;
	char key[32];
	int rc = cbor_map(&c, &w);

	if (rc < 0)
		return ERR_MALFORMED;
	while ((rc = cbor_more(&c, &w)) > 0)
		if (get_key(&c, key, sizeof(key)) < 0 ||
		    get_stats_field(&c, key, &read) < 0)
			return ERR_MALFORMED;
	if (rc < 0 || !cursor_done(&c))
		return ERR_MALFORMED;
	*s = read;
	return 0;
}

/* -- packets ------------------------------------------------------------ */

static void put_packet(struct buf *b, const struct packet *p)
{
	put_be64(b, p->time_ns / NS_PER_S);
	put_be32(b, (uint32_t)(p->time_ns % NS_PER_S));
	put_be32(b, p->wire_len);
	put_be32(b, (uint32_t)p->data.len);
	put_bytes(b, p->data);
}

int put_ipcap_batch(struct buf *b, struct cursor *records, uint32_t count_max,
		    size_t bytes_max)
{
	size_t start = b->len;
	uint32_t count = 0;
	int rc = 0;

	assert(count_max >= 1 && count_max <= UINT16_MAX);
	assert(bytes_max <= IPCAP_PAYLOAD_MAX);
	put_be16(b, 0);
	while (count < count_max) {
		struct cursor next = *records;
		struct packet p;
		size_t len;

		rc = record_next(&next, &p);
		if (rc < 0)
			break;
		len = b->len - start + IPCAP_RECORD_HEAD + p.data.len;
		if (len > (count ? bytes_max : (size_t)IPCAP_PAYLOAD_MAX)) {
			rc = ERR_LIMIT;
			break;
		}
		put_packet(b, &p);
		*records = next;
		count++;
	}
	if (count) {
		store_be(b->p + start, count, 2);
		return (int)count;
	}
	b->len = start;
	return rc == ERR_END ? 0 : rc;
}

static int get_packet(struct cursor *c, struct buf *records)
{
	uint64_t sec = get_be64(c);
	uint32_t nsec = get_be32(c);
	uint32_t wire_len = get_be32(c);
	uint32_t len = get_be32(c);
	struct packet p = { .wire_len = wire_len };

	if (!c->short_ && len > PACKET_MAX)
		return ERR_LIMIT;
	p.data = get_bytes(c, len);
	if (c->short_ || sec > UINT32_MAX)
		return ERR_MALFORMED;
	p.time_ns = sec * NS_PER_S + nsec;
	if (p.time_ns / NS_PER_S > UINT32_MAX)
		return ERR_MALFORMED;
	if (!p.time_ns && !p.data.len && !p.wire_len)
		p.time_ns = 1;
	put_record(records, &p);
	return 0;
}

static int get_packets(struct cursor *c, uint32_t n, struct buf *records)
{
	size_t start = records->len;

	for (uint32_t i = 0; i < n; i++) {
		int rc = get_packet(c, records);

		if (rc < 0) {
			records->len = start;
			return rc;
		}
	}
	return 0;
}

int ipcap_batch_records(struct bytes payload, struct buf *records,
			uint32_t *count)
{
	struct cursor c = cursor_on(payload);

	*count = get_be16(&c);
	return c.short_ ? ERR_MALFORMED : get_packets(&c, *count, records);
}

int ipcap_pkt_records(struct bytes payload, struct buf *records,
		      uint32_t *count)
{
	struct cursor c = cursor_on(payload);

	*count = 1;
	return get_packets(&c, 1, records);
}
