/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/capture/ring.h"

#include <assert.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_arp.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>

#include "base/err.h"
#include "base/mem.h"
#include "engine/capture/filter.h"
#include "engine/capture/linktype.h"
#include "sys/interface.h"
#include "sys/packet_socket.h"

enum {
	LOST_AGAIN_NS = 5000000, /* between two readings because of a loss */
	BLOCKS_AT_ONCE = 64	 /* before the caller may look around again */
};

struct queue {
	struct packet_socket *socket;
	struct tpacket_block_desc *block; /* being walked, or NULL */
	struct tpacket3_hdr *next;	  /* NULL: the block is used up */
	uint32_t left;			  /* packets from next on */
	bool after_loss;		  /* counters are read first */
};

struct ring {
	struct ring_config cfg;
	const struct filter *filter; /* borrowed */
	uint32_t linktype;
	struct queue queue[RING_QUEUES_MAX];
	unsigned queues;
	uint64_t filtered;
	uint64_t counted_ns; /* wall clock of the last ring_counts() */
	bool lost;
	bool holds;
};

static uint64_t wall_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint32_t ring_linktype(const struct interface *i)
{
	switch (i->hardware) {
	case ARPHRD_ETHER:
	case ARPHRD_LOOPBACK:
		return LINKTYPE_ETHERNET;
	case ARPHRD_NONE:
	case ARPHRD_RAWIP:
		return LINKTYPE_RAW;
	case ARPHRD_IEEE80211:
		return LINKTYPE_IEEE802_11;
	case ARPHRD_IEEE80211_PRISM:
		return LINKTYPE_IEEE802_11_PRISM;
	case ARPHRD_IEEE80211_RADIOTAP:
		return LINKTYPE_IEEE802_11_RADIOTAP;
	default:
		/* PPP, tunnels, "any": the kernel takes the header off. */
		return LINKTYPE_LINUX_SLL2;
	}
}

static int attach(struct ring *r, const struct sock_filter *code, size_t n,
		  struct err *err)
{
	for (unsigned i = 0; i < r->queues; i++)
		if (packet_socket_filter(r->queue[i].socket, code, n, err) < 0)
			return err->code;
	return 0;
}

int ring_filter(struct ring *r, const struct filter *f, struct err *err)
{
	size_t n;
	const struct sock_filter *code = filter_program(f, &n);

	r->filter = f;
	return attach(r, code, n, err);
}

int ring_stop(struct ring *r, struct err *err)
{
	static const struct sock_filter nothing = { .code = BPF_RET | BPF_K };

	return attach(r, &nothing, 1, err);
}

static int open_queues(struct ring *r, const struct interface *i,
		       struct err *err)
{
	uint64_t blocks = r->cfg.bytes / RING_BLOCK;
	struct packet_socket_config cfg = {
		.name = r->cfg.iface,
		.index = i->index,
		.cooked = r->linktype == LINKTYPE_LINUX_SLL2,
		.block = RING_BLOCK,
		.blocks = blocks < 2 ? 2 : (uint32_t)blocks,
		.retire_ms = RING_RETIRE_MS,
	};

	for (unsigned q = 0; q < r->cfg.queues; q++) {
		r->queue[q].socket = packet_socket_open(&cfg, err);
		if (!r->queue[q].socket)
			return err->code;
		r->queues++;
	}
	return 0;
}

static int start_queues(struct ring *r, const struct interface *i,
			struct err *err)
{
	int group = -1;

	for (unsigned q = 0; q < r->queues; q++) {
		struct packet_socket *s = r->queue[q].socket;

		if (packet_socket_start(s, err) < 0)
			return err->code;
		if (r->queues > 1 && packet_socket_share(s, &group, err) < 0) {
			if (!i->up)
				err->code = ERR_AGAIN;
			return err->code;
		}
	}
	if (r->cfg.promiscuous && i->index)
		return packet_socket_promiscuous(r->queue[0].socket, err);
	return 0;
}

struct ring *ring_open(const struct ring_config *cfg, const struct interface *i,
		       const struct filter *f, struct err *err)
{
	struct ring *r = mem_alloc(sizeof(*r));

	assert(cfg->queues >= 1 && cfg->queues <= RING_QUEUES_MAX);
	r->cfg = *cfg;
	r->linktype = ring_linktype(i);
	r->counted_ns = wall_ns();
	/*
	 * Nothing passes until all queues share the interface: before that
	 * each of them would give the same packet.
	 */
	if (open_queues(r, i, err) < 0 || ring_stop(r, err) < 0 ||
	    start_queues(r, i, err) < 0 || ring_filter(r, f, err) < 0) {
		ring_close(r);
		return NULL;
	}
	return r;
}

void ring_close(struct ring *r)
{
	if (!r)
		return;
	for (unsigned q = 0; q < r->queues; q++)
		packet_socket_close(r->queue[q].socket);
	free(r);
}

static uint64_t stamp(const struct tpacket3_hdr *h)
{
	return (uint64_t)h->tp_sec * 1000000000 + h->tp_nsec;
}

/* Hand a used-up block back and begin the next one, if it is there. */
static void next_block(const struct ring *r, struct queue *q)
{
	const struct tpacket_hdr_v1 *h;

	if (q->block && !q->next) {
		packet_socket_release(q->socket);
		q->block = NULL;
	}
	if (q->block)
		return;
	q->block = packet_socket_block(q->socket);
	if (!q->block)
		return;
	h = &q->block->hdr.bh1;
	q->left = h->num_pkts;
	q->next =
		q->left ? (void *)((uint8_t *)q->block + h->offset_to_first_pkt)
			: NULL;
	/* The flag stays on until the counters are read: is it news? */
	q->after_loss = q->next && (h->block_status & TP_STATUS_LOSING) &&
			stamp(q->next) > r->counted_ns + LOST_AGAIN_NS;
}

static bool has_used_up_block(const struct ring *r)
{
	for (unsigned i = 0; i < r->queues; i++)
		if (r->queue[i].block && !r->queue[i].next)
			return true;
	return false;
}

static void step(struct queue *q)
{
	q->left--;
	q->next =
		q->left ? (void *)((uint8_t *)q->next + q->next->tp_next_offset)
			: NULL;
}

static void store_be16(uint8_t *to, unsigned v)
{
	to[0] = (uint8_t)(v >> 8);
	to[1] = (uint8_t)v;
}

/* Returns where the frame begins now. */
static uint8_t *put_tag_back(uint8_t *frame, const struct tpacket3_hdr *h,
			     size_t before)
{
	unsigned type = h->tp_status & TP_STATUS_VLAN_TPID_VALID
				? h->hv1.tp_vlan_tpid
				: ETHERTYPE_VLAN;

	memmove(frame - VLAN_TAG, frame, before);
	frame -= VLAN_TAG;
	store_be16(frame + before, type);
	store_be16(frame + before + 2, h->hv1.tp_vlan_tci);
	return frame;
}

/*
 * Put the cooked header in front.  With a tag beside the packet the header's
 * protocol is the tag's type, and tag and inner protocol begin the payload.
 */
static uint8_t *put_cooked_header(uint8_t *payload,
				  const struct tpacket3_hdr *h, bool tagged)
{
	struct sockaddr_ll from;
	uint8_t *p = payload;

	memcpy(&from, (const uint8_t *)h + TPACKET_ALIGN(sizeof(*h)),
	       sizeof(from));
	if (tagged) {
		p -= VLAN_TAG;
		store_be16(p, h->hv1.tp_vlan_tci);
		memcpy(p + 2, &from.sll_protocol, 2);
	}
	p -= SLL2_HEADER;
	memset(p, 0, SLL2_HEADER);
	if (tagged)
		store_be16(p, h->tp_status & TP_STATUS_VLAN_TPID_VALID
				      ? h->hv1.tp_vlan_tpid
				      : ETHERTYPE_VLAN);
	else
		store_be16(p, ntohs(from.sll_protocol));
	store_be16(p + 4, (unsigned)from.sll_ifindex >> 16);
	store_be16(p + 6, (unsigned)from.sll_ifindex & 0xffff);
	store_be16(p + 8, from.sll_hatype);
	p[10] = from.sll_pkttype;
	p[11] = from.sll_halen;
	memcpy(p + 12, from.sll_addr, 8);
	return p;
}

/* What the wire had; true when the expression must still be asked. */
static bool restore(const struct ring *r, struct tpacket3_hdr *h,
		    struct packet *p)
{
	bool tagged = h->tp_status & TP_STATUS_VLAN_VALID;
	uint8_t *at = (uint8_t *)h + h->tp_mac;
	uint8_t *begin = at;
	size_t len;

	if (r->linktype == LINKTYPE_LINUX_SLL2)
		begin = put_cooked_header(at, h, tagged);
	else if (tagged && r->linktype == LINKTYPE_ETHERNET &&
		 h->tp_snaplen >= ETHERNET_ADDRESSES)
		begin = put_tag_back(at, h, ETHERNET_ADDRESSES);
	len = h->tp_snaplen + (size_t)(at - begin);
	p->wire_len = h->tp_len + (uint32_t)(at - begin);
	p->time_ns = stamp(h);
	p->data = bytes_of(begin, len < r->cfg.snaplen ? len : r->cfg.snaplen);
	return tagged || filter_is_late(r->filter);
}

/*
 * The queue with the earliest packet; NULL when there is none, or when another
 * queue may still show an earlier one.
 */
static struct queue *earliest(struct ring *r, uint64_t now)
{
	struct queue *best = NULL;
	bool missing = false;

	for (unsigned i = 0; i < r->queues; i++) {
		struct queue *q = &r->queue[i];

		if (!q->next)
			missing = true;
		else if (!best || stamp(q->next) < stamp(best->next))
			best = q;
	}
	/* A stamp far ahead means that the clock was set back: do not wait. */
	r->holds = best && missing && r->queues > 1 &&
		   stamp(best->next) + RING_WINDOW_NS > now &&
		   stamp(best->next) < now + RING_WINDOW_NS;
	return r->holds ? NULL : best;
}

static int take_ready(struct ring *r, struct packet *p, int max)
{
	uint64_t now = r->queues > 1 ? wall_ns() : 0;
	int n = 0;

	for (unsigned i = 0; i < r->queues; i++)
		next_block(r, &r->queue[i]);
	while (n < max) {
		struct queue *q = earliest(r, now);
		struct tpacket3_hdr *h;

		if (!q)
			break;
		if (q->after_loss) {
			r->lost = true;
			break;
		}
		h = q->next;
		step(q);
		if (restore(r, h, &p[n]) &&
		    !filter_expression(r->filter, &p[n]))
			r->filtered++;
		else
			n++;
	}
	return n;
}

int ring_take(struct ring *r, struct packet *p, int max)
{
	int n = take_ready(r, p, max);

	/* Blocks without a single wanted packet do not mean that none waits. */
	for (int i = 0; n == 0 && i < BLOCKS_AT_ONCE; i++) {
		if (r->lost || !has_used_up_block(r))
			break;
		n = take_ready(r, p, max);
	}
	return n;
}

bool ring_lost(const struct ring *r)
{
	return r->lost;
}

bool ring_holds(const struct ring *r)
{
	return r->holds;
}

int ring_pollfds(const struct ring *r, struct pollfd *fds)
{
	for (unsigned i = 0; i < r->queues; i++)
		fds[i] = (struct pollfd){
			.fd = packet_socket_fd(r->queue[i].socket),
			.events = POLLIN,
		};
	return (int)r->queues;
}

int ring_error(struct ring *r)
{
	int number = 0;

	for (unsigned i = 0; i < r->queues; i++) {
		int one = packet_socket_error(r->queue[i].socket);

		number = one ? one : number;
	}
	return number;
}

int ring_counts(struct ring *r, struct ring_counts *c, struct err *err)
{
	*c = (struct ring_counts){ .filtered = r->filtered };
	r->filtered = 0;
	r->lost = false;
	r->counted_ns = wall_ns();
	for (unsigned i = 0; i < r->queues; i++) {
		struct packet_socket_counts one;

		if (packet_socket_counts(r->queue[i].socket, &one, err) < 0)
			return err->code;
		c->packets += one.packets;
		c->drops += one.drops;
		r->queue[i].after_loss = false;
	}
	return 0;
}
