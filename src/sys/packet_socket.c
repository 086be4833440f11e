/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/packet_socket.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"

struct packet_socket {
	struct packet_socket_config cfg;
	char name[IF_NAMESIZE];
	int fd;
	uint8_t *ring;
	uint32_t next; /* the block to look at */
};

static int set(struct packet_socket *s, int option, const void *v, size_t len,
	       const char *what, struct err *err)
{
	if (setsockopt(s->fd, SOL_PACKET, option, v, (socklen_t)len) < 0)
		return err_sys(err, errno, "cannot %s on interface %s", what,
			       s->name);
	return 0;
}

static int open_socket(struct packet_socket *s, struct err *err)
{
	/* Protocol 0: nothing is received before bind(). */
	s->fd = socket(AF_PACKET,
		       (s->cfg.cooked ? SOCK_DGRAM : SOCK_RAW) | SOCK_CLOEXEC |
			       SOCK_NONBLOCK,
		       0);
	if (s->fd >= 0)
		return 0;
	if (errno == EPERM || errno == EACCES)
		return err_set(err, ERR_FAILED,
			       "capturing from %s needs the right CAP_NET_RAW: "
			       "run as root or give it with setcap or "
			       "AmbientCapabilities=",
			       s->name);
	return err_sys(err, errno, "cannot open a packet socket for %s",
		       s->name);
}

static int make_ring(struct packet_socket *s, struct err *err)
{
	struct tpacket_req3 req = {
		.tp_block_size = s->cfg.block,
		.tp_block_nr = s->cfg.blocks,
		/* Not a bound in version 3, but checked all the same. */
		.tp_frame_size = 2048,
		.tp_frame_nr = s->cfg.block / 2048 * s->cfg.blocks,
		.tp_retire_blk_tov = s->cfg.retire_ms,
	};
	size_t len = (size_t)s->cfg.block * s->cfg.blocks;
	char size[TEXT_SIZE];
	void *p;

	if (setsockopt(s->fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)) <
	    0)
		return err_sys(err, errno,
			       "the kernel gives no ring of %s for interface "
			       "%s; a smaller --ring-mib may help",
			       text_of_size(size, len), s->name);
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	if (p == MAP_FAILED)
		return err_sys(err, errno, "cannot map the ring of %s",
			       text_of_size(size, len));
	s->ring = p;
	return 0;
}

struct packet_socket *packet_socket_open(const struct packet_socket_config *cfg,
					 struct err *err)
{
	struct packet_socket *s = mem_alloc(sizeof(*s));
	int version = TPACKET_V3;
	unsigned room = PACKET_SOCKET_ROOM;

	s->cfg = *cfg;
	s->cfg.name = s->name;
	strncpy(s->name, cfg->name, sizeof(s->name) - 1);
	if (open_socket(s, err) < 0 ||
	    set(s, PACKET_VERSION, &version, sizeof(version),
		"ask for a version 3 ring", err) < 0 ||
	    set(s, PACKET_RESERVE, &room, sizeof(room),
		"reserve room for VLAN tags", err) < 0 ||
	    make_ring(s, err) < 0) {
		packet_socket_close(s);
		return NULL;
	}
	return s;
}

void packet_socket_close(struct packet_socket *s)
{
	if (!s)
		return;
	if (s->ring)
		munmap(s->ring, (size_t)s->cfg.block * s->cfg.blocks);
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

int packet_socket_filter(struct packet_socket *s, const struct sock_filter *f,
			 size_t n, struct err *err)
{
	struct sock_fprog program = {
		.len = (unsigned short)n,
		.filter = (struct sock_filter *)(uintptr_t)f, /* only read */
	};

	if (setsockopt(s->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
		       sizeof(program)) < 0)
		return err_sys(err, errno,
			       "the kernel refuses the filter of %zu "
			       "instructions for %s",
			       n, s->name);
	return 0;
}

int packet_socket_start(struct packet_socket *s, struct err *err)
{
	struct sockaddr_ll a = { .sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_ALL),
				 .sll_ifindex = s->cfg.index };

	if (bind(s->fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return 0;
	if (errno == ENODEV || errno == ENXIO)
		return err_set(err, ERR_GONE, "interface %s went away",
			       s->name);
	return err_sys(err, errno, "cannot listen on interface %s", s->name);
}

int packet_socket_promiscuous(struct packet_socket *s, struct err *err)
{
	struct packet_mreq m = { .mr_ifindex = s->cfg.index,
				 .mr_type = PACKET_MR_PROMISC };

	return set(s, PACKET_ADD_MEMBERSHIP, &m, sizeof(m),
		   "switch to promiscuous mode", err);
}

int packet_socket_share(struct packet_socket *s, int *group, struct err *err)
{
	unsigned how = PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_DEFRAG;
	unsigned v = (*group < 0 ? 0 : (unsigned)*group) | how << 16;
	socklen_t len = sizeof(v);

	if (*group < 0)
		v |= (unsigned)PACKET_FANOUT_FLAG_UNIQUEID << 16;
	if (setsockopt(s->fd, SOL_PACKET, PACKET_FANOUT, &v, sizeof(v)) < 0)
		return err_sys(err, errno,
			       "cannot share interface %s among several queues",
			       s->name);
	if (getsockopt(s->fd, SOL_PACKET, PACKET_FANOUT, &v, &len) < 0)
		return err_sys(err, errno, "cannot ask for the group of %s",
			       s->name);
	*group = v & 0xffff;
	return 0;
}

int packet_socket_fd(const struct packet_socket *s)
{
	return s->fd;
}

int packet_socket_error(struct packet_socket *s)
{
	int number = 0;
	socklen_t len = sizeof(number);

	getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &number, &len);
	return number;
}

static struct tpacket_block_desc *block_at(struct packet_socket *s)
{
	return (void *)(s->ring + (size_t)s->next * s->cfg.block);
}

struct tpacket_block_desc *packet_socket_block(struct packet_socket *s)
{
	struct tpacket_block_desc *b = block_at(s);

	if (__atomic_load_n(&b->hdr.bh1.block_status, __ATOMIC_ACQUIRE) &
	    TP_STATUS_USER)
		return b;
	return NULL;
}

void packet_socket_release(struct packet_socket *s)
{
	__atomic_store_n(&block_at(s)->hdr.bh1.block_status, TP_STATUS_KERNEL,
			 __ATOMIC_RELEASE);
	s->next = (s->next + 1) % s->cfg.blocks;
}

int packet_socket_counts(struct packet_socket *s,
			 struct packet_socket_counts *c, struct err *err)
{
	struct tpacket_stats_v3 stats = { 0 };
	socklen_t len = sizeof(stats);

	*c = (struct packet_socket_counts){ 0 };
	if (getsockopt(s->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len) < 0)
		return err_sys(err, errno, "cannot read the counters of %s",
			       s->name);
	c->packets = stats.tp_packets;
	c->drops = stats.tp_drops;
	c->freezes = stats.tp_freeze_q_cnt;
	return 0;
}
