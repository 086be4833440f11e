/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sift/flowpick.h"

#include <stdlib.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/mem.h"
#include "codec/packet.h"

enum { PIECES = 256 };

/* A datagram whose first piece was of the flow. */
struct datagram {
	struct address src, dst;
	uint32_t id;
	bool used;
};

struct flowpick {
	struct eve_event event;
	struct datagram pieces[PIECES]; /* a ring */
	unsigned next;
};

static bool has_ports(uint8_t protocol)
{
	return protocol == IP_TCP || protocol == IP_UDP || protocol == IP_SCTP;
}

struct flowpick *flowpick_new(const struct eve_event *e, struct err *err)
{
	const struct eve_flow *w = &e->flow;
	struct flowpick *f;

	if (!w->src.version || w->src.version != w->dst.version) {
		err_set(err, ERR_USAGE,
			"the event tells no src_ip and dest_ip of one kind");
		return NULL;
	}
	if (!w->protocol) {
		err_set(err, ERR_USAGE,
			"the event's proto \"%s\" is not known; TCP, UDP, "
			"SCTP, ICMP, IPv6-ICMP and GRE are",
			w->proto);
		return NULL;
	}
	if (e->tunnel_depth > DECODE_TUNNELS_MAX) {
		err_set(err, ERR_USAGE,
			"the event's tunnel is %llu deep; %d are followed",
			(unsigned long long)e->tunnel_depth,
			DECODE_TUNNELS_MAX);
		return NULL;
	}
	f = mem_alloc(sizeof(*f));
	f->event = *e;
	return f;
}

void flowpick_free(struct flowpick *f)
{
	free(f);
}

static bool same(const struct address *a, const struct address *b)
{
	return a->version == b->version &&
	       memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

/* Ports of 0 in the packet: it has none to tell. */
static bool is_flow(const struct eve_flow *w, const struct decoded *d,
		    uint16_t src_port, uint16_t dst_port)
{
	bool ports = has_ports(w->protocol);

	if (d->protocol != w->protocol)
		return false;
	if (same(&d->src, &w->src) && same(&d->dst, &w->dst) &&
	    (!ports || (src_port == w->src_port && dst_port == w->dst_port)))
		return true;
	return same(&d->src, &w->dst) && same(&d->dst, &w->src) &&
	       (!ports || (src_port == w->dst_port && dst_port == w->src_port));
}

static bool is_kept_piece(const struct flowpick *f, const struct decoded *d)
{
	for (int i = 0; i < PIECES; i++)
		if (f->pieces[i].used && f->pieces[i].id == d->piece.id &&
		    same(&f->pieces[i].src, &d->src) &&
		    same(&f->pieces[i].dst, &d->dst))
			return true;
	return false;
}

/* The first piece has the ports; it vouches for the others. */
static bool takes_piece(struct flowpick *f, const struct decoded *d)
{
	struct cursor c = cursor_on(d->piece.data);
	uint16_t src, dst;

	if (d->protocol != f->event.flow.protocol)
		return false;
	if (!has_ports(d->protocol))
		return is_flow(&f->event.flow, d, 0, 0);
	if (d->piece.offset)
		return is_kept_piece(f, d);
	src = get_be16(&c);
	dst = get_be16(&c);
	if (c.short_ || !is_flow(&f->event.flow, d, src, dst))
		return false;
	f->pieces[f->next++ % PIECES] = (struct datagram){
		.src = d->src, .dst = d->dst, .id = d->piece.id, .used = true
	};
	return true;
}

static bool either_way(const struct eve_flow *w, const struct decoded *d)
{
	return (same(&d->src, &w->src) && same(&d->dst, &w->dst)) ||
	       (same(&d->src, &w->dst) && same(&d->dst, &w->src));
}

bool flowpick_takes(struct flowpick *f, uint32_t linktype,
		    const struct packet *p)
{
	const struct eve_event *e = &f->event;
	struct decoded d;

	if (e->tunnel_depth && e->tunnel.src.version) {
		decode_frame_to(linktype, p->data, p->wire_len, 0, &d);
		if (!either_way(&e->tunnel, &d))
			return false;
	}
	decode_frame_to(linktype, p->data, p->wire_len,
			(unsigned)e->tunnel_depth, &d);
	if (d.status == DECODE_FRAGMENT)
		return takes_piece(f, &d);
	return d.status == DECODE_OK &&
	       is_flow(&e->flow, &d, d.src_port, d.dst_port);
}
