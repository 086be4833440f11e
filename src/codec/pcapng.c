/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pcapng.c - pcapng: sections of blocks, each with a type and two lengths.
 */
#include "codec/pcapstream_priv.h"

#include "base/mem.h"

enum block_type {
	BLOCK_INTERFACE = 1,
	BLOCK_OLD_PACKET = 2,
	BLOCK_SIMPLE_PACKET = 3,
	BLOCK_NAMES = 4,
	BLOCK_STATS = 5,
	BLOCK_PACKET = 6,
	BLOCK_SECRETS = 10,
	BLOCK_SECTION = 0x0a0d0d0a
};

enum {
	BLOCK_HEAD = 8, /* type, length */
	BLOCK_LEAST = 12,
	SECTION_LEAST = 28,
	ORDER_MAGIC = 0x1a2b3c4d,
	NS_PER_S = 1000000000
};

enum { OPTION_END = 0, OPTION_RESOLUTION = 9, OPTION_OFFSET = 14 };

enum { RESOLUTION_DEFAULT = 6, RESOLUTION_BINARY = 128 };

static size_t padded(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

/* -- options ------------------------------------------------------------ */

int pcapstream_option_next(struct cursor *c, bool swapped,
			   struct pcapstream_option *option)
{
	struct cursor at = *c;

	if (at.len == 0)
		return ERR_END;
	option->code = get_16(&at, swapped);
	option->value.len = get_16(&at, swapped);
	if (!at.short_ && option->code == OPTION_END)
		return option->value.len ? ERR_MALFORMED : ERR_END;
	option->value = get_bytes(&at, option->value.len);
	skip_bytes(&at, padded(option->value.len) - option->value.len);
	if (at.short_)
		return ERR_MALFORMED;
	*c = at;
	return 0;
}

static bool options_whole(struct bytes options, bool swapped)
{
	struct cursor c = cursor_on(options);
	struct pcapstream_option option;
	int rc;

	while ((rc = pcapstream_option_next(&c, swapped, &option)) == 0)
		;
	return rc == ERR_END;
}

/* The packet counts more than what is said about it. */
static void set_options(struct pcapstream *s, struct pcapstream_item *item,
			struct bytes options)
{
	item->options = options;
	if (options_whole(options, s->swapped))
		return;
	item->options.len = 0;
	s->counts.broken_options++;
}

/* -- interfaces --------------------------------------------------------- */

static int interface_option(struct pcapstream_interface *i, bool swapped,
			    const struct pcapstream_option *option)
{
	struct cursor c = cursor_on(option->value);

	switch (option->code) {
	case OPTION_RESOLUTION:
		i->resolution = get_u8(&c);
		return cursor_done(&c) ? 0 : ERR_MALFORMED;
	case OPTION_OFFSET:
		i->offset_s = (int64_t)(swapped ? get_be64(&c) : get_le64(&c));
		return cursor_done(&c) ? 0 : ERR_MALFORMED;
	default:
		return 0;
	}
}

static int interface_options(struct pcapstream_interface *i, bool swapped,
			     struct bytes options)
{
	struct cursor c = cursor_on(options);
	struct pcapstream_option option;
	int rc;

	while ((rc = pcapstream_option_next(&c, swapped, &option)) == 0)
		if (interface_option(i, swapped, &option) < 0)
			return ERR_MALFORMED;
	return rc == ERR_END ? 0 : rc;
}

static void add_interface(struct pcapstream *s,
			  const struct pcapstream_interface *i)
{
	if (s->n_interfaces == s->cap_interfaces) {
		s->cap_interfaces =
			s->cap_interfaces ? s->cap_interfaces * 2 : 4;
		s->interfaces =
			mem_grow(s->interfaces, s->cap_interfaces * sizeof(*i));
	}
	s->interfaces[s->n_interfaces++] = *i;
}

static int read_interface(struct pcapstream *s, struct cursor *c,
			  struct pcapstream_item *item)
{
	struct pcapstream_interface i = { .resolution = RESOLUTION_DEFAULT };

	i.linktype = get_16(c, s->swapped);
	skip_bytes(c, 2);
	i.snaplen = get_32(c, s->swapped);
	if (c->short_)
		return fail(s, ERR_MALFORMED, "an interface block is short");
	item->options = get_rest(c);
	/* Without them every later time would be wrong. */
	if (interface_options(&i, s->swapped, item->options) < 0)
		return fail(s, ERR_MALFORMED,
			    "an interface block has broken options");
	if (s->n_interfaces == PCAPSTREAM_INTERFACES_MAX)
		return fail(s, ERR_LIMIT,
			    "a section has over 65536 interfaces");
	item->kind = PCAPSTREAM_INTERFACE;
	item->interface = s->first_interface + s->n_interfaces;
	item->from = i;
	add_interface(s, &i);
	return 0;
}

/* -- packets ------------------------------------------------------------ */

static __int128 ns_of_ticks(const struct pcapstream_interface *i, uint64_t t)
{
	static const uint64_t ten_to[] = {
		1,
		10,
		100,
		1000,
		10000,
		100000,
		1000000,
		10000000,
		100000000,
		1000000000,
		10000000000,
		100000000000,
		1000000000000,
		10000000000000,
		100000000000000,
		1000000000000000,
		10000000000000000,
		100000000000000000,
		1000000000000000000,
		10000000000000000000u,
	};
	unsigned n = i->resolution & (RESOLUTION_BINARY - 1);
	__int128 ns;

	if (i->resolution & RESOLUTION_BINARY)
		ns = (__int128)t * NS_PER_S >> n;
	else if (n <= 9)
		ns = (__int128)t * ten_to[9 - n];
	else
		ns = n - 9 < sizeof(ten_to) / sizeof(*ten_to)
			     ? t / ten_to[n - 9]
			     : 0;
	return ns + (__int128)i->offset_s * NS_PER_S;
}

/*
 * A time that no record can hold becomes the nearest one that it can, and is
 * counted.
 */
static uint64_t time_within(struct pcapstream *s, __int128 ns)
{
	if (ns >= 0 && ns <= (__int128)TIME_MOST_NS)
		return (uint64_t)ns;
	s->counts.odd_times++;
	return ns < 0 ? 0 : TIME_MOST_NS;
}

/* `len` bytes at the cursor are the packet. */
static int set_packet(struct pcapstream *s, struct cursor *c,
		      struct pcapstream_item *item, uint32_t len)
{
	if (c->short_)
		return fail(s, ERR_MALFORMED, "a packet block is short");
	if (len > PACKET_MAX)
		return fail(s, ERR_LIMIT, "a packet has over 16 MiB");
	item->kind = PCAPSTREAM_PACKET;
	item->packet.data = get_bytes(c, len);
	skip_bytes(c, padded(len) - len);
	if (c->short_)
		return fail(s, ERR_MALFORMED,
			    "a packet is longer than its block");
	set_options(s, item, get_rest(c));
	/* Such a packet has no place among records. */
	if (!len && !item->packet.wire_len && !item->packet.time_ns) {
		s->counts.empty++;
		return ERR_UNKNOWN;
	}
	s->counts.packets++;
	return 0;
}

static int set_interface(struct pcapstream *s, struct pcapstream_item *item,
			 uint32_t id)
{
	if (id >= s->n_interfaces)
		return fail(s, ERR_MALFORMED,
			    "a packet's interface was never told");
	item->interface = s->first_interface + id;
	item->from = s->interfaces[id];
	return 0;
}

static int read_packet(struct pcapstream *s, struct cursor *c,
		       struct pcapstream_item *item, bool old)
{
	uint32_t id, len;
	uint64_t ticks;

	id = old ? get_16(c, s->swapped) : get_32(c, s->swapped);
	if (old)
		skip_bytes(c, 2); /* packets lost before this one */
	ticks = (uint64_t)get_32(c, s->swapped) << 32;
	ticks |= get_32(c, s->swapped);
	len = get_32(c, s->swapped);
	item->packet.wire_len = get_32(c, s->swapped);
	if (set_interface(s, item, id) < 0)
		return s->failed;
	item->packet.time_ns = time_within(s, ns_of_ticks(&item->from, ticks));
	return set_packet(s, c, item, len);
}

static int read_simple_packet(struct pcapstream *s, struct cursor *c,
			      struct pcapstream_item *item)
{
	uint32_t len = get_32(c, s->swapped);

	item->packet.wire_len = len;
	if (set_interface(s, item, 0) < 0)
		return s->failed;
	if (item->from.snaplen && len > item->from.snaplen)
		len = item->from.snaplen;
	/* The block's own length is the last word; there are no options. */
	if (len > c->len)
		len = (uint32_t)c->len;
	c->len = padded(len);
	return set_packet(s, c, item, len);
}

/* -- the other blocks --------------------------------------------------- */

static int read_section(struct pcapstream *s, struct cursor *c,
			struct pcapstream_item *item)
{
	uint16_t major, minor;

	skip_bytes(c, 4); /* the order of bytes was looked at already */
	major = get_16(c, s->swapped);
	minor = get_16(c, s->swapped);
	skip_bytes(c, 8); /* the section's length; often not told */
	if (c->short_)
		return fail(s, ERR_MALFORMED, "a section block is short");
	if (major != 1 || (minor != 0 && minor != 2))
		return fail(s, ERR_UNKNOWN, "its pcapng version is not known");
	s->first_interface += s->n_interfaces;
	s->n_interfaces = 0;
	item->kind = PCAPSTREAM_SECTION;
	set_options(s, item, get_rest(c));
	return 0;
}

static int read_names(struct pcapstream *s, struct cursor *c,
		      struct pcapstream_item *item)
{
	item->kind = PCAPSTREAM_NAMES;
	item->body = get_rest(c);
	(void)s;
	return 0;
}

static int read_stats(struct pcapstream *s, struct cursor *c,
		      struct pcapstream_item *item)
{
	uint32_t id = get_32(c, s->swapped);

	item->body = get_bytes(c, 8);
	/* Of an interface that was never told: nothing that can be used. */
	if (c->short_ || id >= s->n_interfaces)
		return ERR_UNKNOWN;
	set_interface(s, item, id);
	item->kind = PCAPSTREAM_STATS;
	set_options(s, item, get_rest(c));
	return 0;
}

static int read_secrets(struct pcapstream *s, struct cursor *c,
			struct pcapstream_item *item)
{
	uint32_t len;

	item->secrets_type = get_32(c, s->swapped);
	len = get_32(c, s->swapped);
	item->body = get_bytes(c, len);
	skip_bytes(c, padded(len) - len);
	if (c->short_)
		return ERR_UNKNOWN;
	item->kind = PCAPSTREAM_SECRETS;
	set_options(s, item, get_rest(c));
	return 0;
}

/* 0 with an item, ERR_UNKNOWN for a block without one, or s->failed. */
static int read_block(struct pcapstream *s, uint32_t type, struct bytes body,
		      struct pcapstream_item *item)
{
	struct cursor c = cursor_on(body);

	item->swapped = s->swapped;
	switch (type) {
	case BLOCK_SECTION:
		return read_section(s, &c, item);
	case BLOCK_INTERFACE:
		return read_interface(s, &c, item);
	case BLOCK_PACKET:
		return read_packet(s, &c, item, false);
	case BLOCK_OLD_PACKET:
		return read_packet(s, &c, item, true);
	case BLOCK_SIMPLE_PACKET:
		return read_simple_packet(s, &c, item);
	case BLOCK_NAMES:
		return read_names(s, &c, item);
	case BLOCK_STATS:
		return read_stats(s, &c, item);
	case BLOCK_SECRETS:
		return read_secrets(s, &c, item);
	default:
		return ERR_UNKNOWN;
	}
}

/* -- framing ------------------------------------------------------------ */

/* Go past a block without keeping it: any length, no memory. */
static int skip_on(struct pcapstream *s)
{
	size_t n = pending(s).len;
	struct cursor c;

	if (n > s->skip_left)
		n = s->skip_left;
	take(s, n);
	s->skip_left -= (uint32_t)n;
	if (s->skip_left)
		return want(s, 1);
	if (pending(s).len < 4)
		return want(s, 4);
	c = cursor_on(pending(s));
	if (get_32(&c, s->swapped) != s->skip_trailer)
		return fail(s, ERR_MALFORMED,
			    "a block's two lengths are not the same");
	s->skip_trailer = 0;
	s->counts.skipped_blocks++;
	take(s, 4);
	return 0;
}

/* What a section's first bytes say about the order of bytes in it. */
static int read_order(struct pcapstream *s, struct cursor c)
{
	uint32_t magic;

	skip_bytes(&c, 4);
	magic = get_le32(&c);
	if (c.short_)
		return want(s, BLOCK_LEAST);
	s->swapped = magic != ORDER_MAGIC;
	if (s->swapped && __builtin_bswap32(magic) != ORDER_MAGIC)
		return fail(s, ERR_MALFORMED,
			    "a section does not tell its order of bytes");
	return 0;
}

static bool is_essential(uint32_t type)
{
	return type == BLOCK_SECTION || type == BLOCK_INTERFACE ||
	       type == BLOCK_PACKET || type == BLOCK_OLD_PACKET ||
	       type == BLOCK_SIMPLE_PACKET;
}

static bool is_read(uint32_t type)
{
	return is_essential(type) || type == BLOCK_NAMES ||
	       type == BLOCK_STATS || type == BLOCK_SECRETS;
}

/* Is the whole block pending, trailer and all?  0, ERR_AGAIN or a failure. */
static int check_block(struct pcapstream *s, uint32_t type, uint32_t told)
{
	uint64_t total = padded(told);
	struct cursor c;

	if (told < (type == BLOCK_SECTION ? SECTION_LEAST : BLOCK_LEAST))
		return fail(s, ERR_MALFORMED, "a block is too short");
	if (total > PCAPSTREAM_BLOCK_MAX && is_essential(type))
		return fail(s, ERR_LIMIT, "a block claims over 17 MiB");
	if (total > PCAPSTREAM_BLOCK_MAX || !is_read(type)) {
		if (total > UINT32_MAX)
			return fail(s, ERR_LIMIT, "a block claims 4 GiB");
		s->skip_left = (uint32_t)total - 4;
		s->skip_trailer = told;
		return 0;
	}
	if (pending(s).len < total)
		return want(s, total);
	c = cursor_on(bytes_of(pending(s).p + total - 4, 4));
	if (get_32(&c, s->swapped) != told)
		return fail(s, ERR_MALFORMED,
			    "a block's two lengths are not the same");
	return 0;
}

/* One block.  Like pcapng_next(), and ERR_UNKNOWN for one without an item. */
static int next_block(struct pcapstream *s, struct pcapstream_item *item)
{
	struct cursor c = cursor_on(pending(s));
	uint32_t type, told;
	int rc;

	*item = (struct pcapstream_item){ .offset = s->offset };
	if (c.len < BLOCK_HEAD)
		return want(s, BLOCK_HEAD);
	/* A section's type reads the same both ways. */
	type = get_32(&c, s->swapped);
	if (type == BLOCK_SECTION) {
		rc = read_order(s, c);
		if (rc < 0)
			return rc;
	}
	told = get_32(&c, s->swapped);
	if ((type | told) == 0)
		return fail(s, ERR_DAMAGED, "a block's head is all zeros");
	rc = check_block(s, type, told);
	if (rc < 0)
		return rc;
	if (s->skip_left)
		return ERR_UNKNOWN;

	rc = read_block(s, type, bytes_of(c.p, padded(told) - BLOCK_LEAST),
			item);
	if (s->failed)
		return s->failed;
	take(s, padded(told));
	return rc;
}

int pcapng_next(struct pcapstream *s, struct pcapstream_item *item)
{
	int rc;

	do {
		rc = s->skip_trailer ? skip_on(s) : 0;
		if (rc == 0)
			rc = next_block(s, item);
	} while (rc == ERR_UNKNOWN && !s->failed);
	return rc;
}
