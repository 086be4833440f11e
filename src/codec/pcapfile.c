/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pcapfile.c - classic pcap: one header, then records.
 */
#include "codec/pcapstream_priv.h"

#include "codec/record.h"

enum { MODIFIED_HEADER = 24, NS_PER_S = 1000000000 };

static const struct magic {
	uint32_t number;
	uint32_t tick_ns;
	size_t record_header;
} magics[] = {
	{ 0xa1b2c3d4, 1000, RECORD_HEADER },
	{ 0xa1b23c4d, 1, RECORD_HEADER },
	/* Records go on with interface index, protocol and packet type. */
	{ 0xa1b2cd34, 1000, MODIFIED_HEADER },
};

static const struct magic *find_magic(uint32_t number)
{
	for (size_t i = 0; i < sizeof(magics) / sizeof(*magics); i++)
		if (magics[i].number == number)
			return &magics[i];
	return NULL;
}

/* False for a version that is not known. */
static bool set_version(struct pcapstream *s, uint16_t major, uint16_t minor)
{
	s->lengths = LENGTHS_CAPTURED_FIRST;
	if (major == 543 && minor == 0) /* DG/UX */
		s->lengths = LENGTHS_ORIGINAL_FIRST;
	else if (major != 2)
		return false;
	else if (minor < 3)
		s->lengths = LENGTHS_ORIGINAL_FIRST;
	else if (minor == 3)
		s->lengths = LENGTHS_EITHER;
	return true;
}

int pcapfile_begin(struct pcapstream *s, struct pcapstream_item *item)
{
	struct cursor c = cursor_on(pending(s));
	uint32_t number = get_le32(&c);
	const struct magic *magic = find_magic(number);
	uint16_t major, minor;

	s->swapped = !magic;
	if (!magic)
		magic = find_magic(__builtin_bswap32(number));
	if (!magic)
		return fail(s, ERR_UNKNOWN, "no capture begins like this");
	if (pending(s).len < PCAP_HEADER)
		return want(s, PCAP_HEADER);

	major = get_16(&c, s->swapped);
	minor = get_16(&c, s->swapped);
	if (!set_version(s, major, minor))
		return fail(s, ERR_UNKNOWN, "its pcap version is not known");
	skip_bytes(&c, 8); /* time zone and accuracy; nobody sets them */
	s->only.snaplen = get_32(&c, s->swapped);
	/* The upper bits tell of a frame check sequence, or are reserved. */
	s->only.linktype = get_32(&c, s->swapped) & 0xffff;
	s->only.resolution = magic->tick_ns == 1 ? 9 : 6;
	s->tick_ns = magic->tick_ns;
	s->record_header = magic->record_header;
	s->format = PCAPSTREAM_PCAP;

	item->kind = PCAPSTREAM_INTERFACE;
	item->from = s->only;
	item->swapped = s->swapped;
	take(s, PCAP_HEADER);
	return 0;
}

static bool lengths_swapped(const struct pcapstream *s, uint32_t first,
			    uint32_t second)
{
	return s->lengths == LENGTHS_ORIGINAL_FIRST ||
	       (s->lengths == LENGTHS_EITHER && first > second);
}

int pcapfile_next(struct pcapstream *s, struct pcapstream_item *item)
{
	struct cursor c = cursor_on(pending(s));
	uint32_t sec, frac, len, wire;
	uint64_t ns;

	if (c.len < s->record_header)
		return want(s, s->record_header);
	sec = get_32(&c, s->swapped);
	frac = get_32(&c, s->swapped);
	len = get_32(&c, s->swapped);
	wire = get_32(&c, s->swapped);
	if ((sec | frac | len | wire) == 0)
		return fail(s, ERR_DAMAGED, "a record header is all zeros");
	if (lengths_swapped(s, len, wire)) {
		uint32_t first = len;

		len = wire;
		wire = first;
	}
	if (len > PACKET_MAX)
		return fail(s, ERR_LIMIT, "a record claims over 16 MiB");
	if (pending(s).len < s->record_header + len)
		return want(s, s->record_header + len);

	/* A fraction of more than a second counts on into the seconds. */
	ns = (uint64_t)frac * s->tick_ns;
	if (ns >= NS_PER_S)
		s->counts.odd_times++;
	ns += (uint64_t)sec * NS_PER_S;
	skip_bytes(&c, s->record_header - RECORD_HEADER);
	item->kind = PCAPSTREAM_PACKET;
	item->packet.data = get_bytes(&c, len);
	item->packet.wire_len = wire;
	item->packet.time_ns = ns < TIME_MOST_NS ? ns : TIME_MOST_NS;
	item->from = s->only;
	item->swapped = s->swapped;
	s->counts.packets++;
	take(s, s->record_header + len);
	return 0;
}
