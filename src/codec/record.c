/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/record.h"

#include <assert.h>

#include "base/buf.h"
#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/err.h"

enum { NS_PER_S = 1000000000, NS_PER_US = 1000 };

static const uint32_t magic_ns = 0xa1b23c4d;
static const uint32_t magic_us = 0xa1b2c3d4;

void put_pcap_head(struct buf *b, const struct pcap_head *head)
{
	put_le32(b, head->micro ? magic_us : magic_ns);
	put_le16(b, 2);
	put_le16(b, 4);
	put_le32(b, 0);
	put_le32(b, 0);
	put_le32(b, head->snaplen);
	put_le32(b, head->linktype);
}

int pcap_head_parse(struct bytes in, struct pcap_head *head)
{
	struct cursor c = cursor_on(in);
	uint32_t magic = get_le32(&c);
	uint32_t be = __builtin_bswap32(magic);

	if (c.short_)
		return ERR_MALFORMED;
	head->swapped = be == magic_ns || be == magic_us;
	head->micro = magic == magic_us || be == magic_us;
	if (!head->swapped && !head->micro && magic != magic_ns)
		return ERR_UNKNOWN;
	skip_bytes(&c, 12);
	head->snaplen = get_le32(&c);
	head->linktype = get_le32(&c);
	if (head->swapped) {
		head->snaplen = __builtin_bswap32(head->snaplen);
		head->linktype = __builtin_bswap32(head->linktype);
	}
	/* The upper bits tell of a frame check sequence, or are reserved. */
	head->linktype &= 0xffff;
	return c.short_ ? ERR_MALFORMED : 0;
}

static void store_le32(uint8_t *to, uint32_t v)
{
	to[0] = (uint8_t)v;
	to[1] = (uint8_t)(v >> 8);
	to[2] = (uint8_t)(v >> 16);
	to[3] = (uint8_t)(v >> 24);
}

void record_head_at(uint8_t *to, const struct packet *p)
{
	assert(p->data.len <= PACKET_MAX);
	store_le32(to, (uint32_t)(p->time_ns / NS_PER_S));
	store_le32(to + 4, (uint32_t)(p->time_ns % NS_PER_S));
	store_le32(to + 8, (uint32_t)p->data.len);
	store_le32(to + 12, p->wire_len);
}

void record_head_micro_at(uint8_t *to, const struct packet *p)
{
	record_head_at(to, p);
	store_le32(to + 4, (uint32_t)(p->time_ns % NS_PER_S / NS_PER_US));
}

void put_record(struct buf *b, const struct packet *p)
{
	record_head_at(buf_reserve(b, RECORD_HEADER + p->data.len), p);
	buf_added(b, RECORD_HEADER);
	put_bytes(b, p->data);
}

int record_next(struct cursor *c, struct packet *p)
{
	struct cursor at = *c;
	uint32_t sec, frac, len, wire;

	if (at.len == 0)
		return ERR_END;
	sec = get_le32(&at);
	frac = get_le32(&at);
	len = get_le32(&at);
	wire = get_le32(&at);
	if (at.short_ || frac >= NS_PER_S || len > PACKET_MAX ||
	    (sec | frac | len | wire) == 0)
		return ERR_MALFORMED;
	p->data = get_bytes(&at, len);
	p->time_ns = (uint64_t)sec * NS_PER_S + frac;
	p->wire_len = wire;
	if (at.short_)
		return ERR_MALFORMED;
	*c = at;
	return 0;
}

int run_measure(struct run *r)
{
	struct cursor c = cursor_on(r->records);
	struct packet p;
	int rc;

	r->count = 0;
	r->min_ns = UINT64_MAX;
	r->max_ns = 0;
	while ((rc = record_next(&c, &p)) == 0) {
		if (r->count == RUN_COUNT_MAX)
			return ERR_MALFORMED;
		r->count++;
		if (p.time_ns < r->min_ns)
			r->min_ns = p.time_ns;
		if (p.time_ns > r->max_ns)
			r->max_ns = p.time_ns;
	}
	if (rc != ERR_END || r->count == 0)
		return ERR_MALFORMED;
	r->crc = crc32c(r->records);
	return 0;
}
