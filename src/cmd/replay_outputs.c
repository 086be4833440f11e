/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/replay_outputs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "codec/decode.h"
#include "engine/capfile/output.h"
#include "engine/dataset/dataset.h"
#include "sys/packet_sender.h"

enum { VLAN_TAG = 4 };

struct output {
	struct replay_outputs *all;
	struct packet_sender *sender;
	struct capfile_output *file;
	uint32_t linktype; /* of a file */
};

struct replay_outputs {
	struct output at[REPLAY_OUTPUTS_MAX];
	int n;
	bool paced;
	uint64_t first_ns;
	bool by_port, by_network;
	struct address network;
	unsigned bits; /* of network, in 128 */
};

/* -- interfaces ----------------------------------------------------------- */

static const char *hardware_takes(uint16_t hardware)
{
	return hardware == ARPHRD_ETHER || hardware == ARPHRD_LOOPBACK
		       ? "Ethernet frames (link type 1)"
		       : "IP packets (link type 101)";
}

static bool interface_takes(const struct packet_sender *s, uint32_t linktype)
{
	uint16_t hardware = packet_sender_facts(s)->hardware;

	if (hardware == ARPHRD_ETHER || hardware == ARPHRD_LOOPBACK)
		return linktype == 1;
	/* Tunnels: packets begin with their IP header. */
	return linktype == 101 || linktype == 12 || linktype == 14 ||
	       linktype == 228 || linktype == 229;
}

static int give_interface(void *self, const struct replay_packet *p, int n,
			  struct err *err)
{
	struct output *o = self;
	struct bytes frames[REPLAY_BATCH];
	int sent;

	for (int i = 0; i < n; i++)
		frames[i] = p[i].packet.data;
	sent = packet_sender_send(o->sender, frames, n);
	if (sent > 0)
		return sent;
	if (sent == -ENOBUFS || sent == -EAGAIN)
		return 0;
	/* Too long, or too short for a header: this one never will go. */
	if (sent == -EMSGSIZE || sent == -EINVAL)
		return ERR_LIMIT;
	return err_sys(err, -sent, "sending on %s",
		       packet_sender_name(o->sender));
}

/* -- a file --------------------------------------------------------------- */

static int give_file(void *self, const struct replay_packet *p, int n,
		     struct err *err)
{
	struct output *o = self;

	for (int i = 0; i < n; i++) {
		struct packet again = p[i].packet;

		again.time_ns = o->all->first_ns + p[i].deadline_ns;
		if (capfile_output_put(o->file, &again, 1, err) < 0)
			return ERR_FAILED;
	}
	if (o->all->paced && capfile_output_flush(o->file, err) < 0)
		return ERR_FAILED;
	return n;
}

static int open_file(struct replay_outputs *o,
		     const struct replay_outputs_config *cfg, struct err *err)
{
	struct pcap_head head = { .snaplen = PACKET_SNAPLEN, .micro = true };
	bool known = false;

	for (size_t i = 0; i < cfg->set->n_files; i++) {
		const struct dataset_file *f = &cfg->set->files[i];

		if (f->nanoseconds)
			head.micro = false;
		if (f->known_linktype && f->tally.packets && !known) {
			head.linktype = f->linktype;
			known = true;
		}
	}
	o->at[0].all = o;
	o->at[0].linktype = head.linktype;
	o->at[0].file = capfile_output_open(cfg->file, &head, err);
	o->n = 1;
	return o->at[0].file ? 0 : err->code;
}

/* -- which way ------------------------------------------------------------ */

static bool in_network(const struct replay_outputs *o, const struct address *a)
{
	unsigned whole = o->bits / 8, rest = o->bits % 8;

	if (a->version != o->network.version ||
	    memcmp(a->b, o->network.b, whole) != 0)
		return false;
	return !rest || (a->b[whole] ^ o->network.b[whole]) >> (8 - rest) == 0;
}

/*
 * The first interface has the clients: what they send goes out there.  What
 * tells nothing goes there as well.
 */
static int choose(void *arg, const struct merge_packet *p)
{
	struct replay_outputs *o = arg;
	struct decoded d;

	if (o->n < 2)
		return 0;
	decode_frame(p->linktype, p->packet.data, p->packet.wire_len, &d);
	if (d.status != DECODE_OK && d.status != DECODE_FRAGMENT)
		return 0;
	if (o->by_network)
		return !in_network(o, &d.src) && in_network(o, &d.dst);
	/* The lower port is the server's. */
	return d.src_port && d.src_port < d.dst_port;
}

static bool takes(void *arg, int sink, uint32_t linktype)
{
	struct replay_outputs *o = arg;
	const struct output *at = &o->at[sink];

	return at->file ? linktype == at->linktype
			: interface_takes(at->sender, linktype);
}

static int parse_split(struct replay_outputs *o, const char *split,
		       struct err *err)
{
	char copy[ADDRESS_TEXT + 8];
	uint64_t bits = 128;
	char *slash;

	o->by_port = !split || !*split || strcmp(split, "port") == 0;
	if (o->by_port)
		return 0;
	snprintf(copy, sizeof(copy), "%s", split);
	slash = strchr(copy, '/');
	if (slash)
		*slash++ = '\0';
	o->network.version = strchr(copy, ':') ? 6 : 4;
	if (o->network.version == 4)
		o->network.b[10] = o->network.b[11] = 0xff;
	if (inet_pton(o->network.version == 4 ? AF_INET : AF_INET6, copy,
		      o->network.b + (o->network.version == 4 ? 12 : 0)) != 1 ||
	    (slash && (text_to_uint(slash, &bits) < 0 ||
		       bits > (o->network.version == 4 ? 32 : 128))))
		return err_set(err, ERR_USAGE,
			       "--split is port or the network of the "
			       "clients, such as 10.0.0.0/8, not \"%s\"",
			       split);
	if (slash && o->network.version == 4)
		bits += 96;
	o->bits = (unsigned)bits;
	o->by_network = true;
	return 0;
}

/* -- all ------------------------------------------------------------------ */

static int open_interfaces(struct replay_outputs *o,
			   const struct replay_outputs_config *cfg,
			   struct err *err)
{
	if (cfg->interfaces->n > REPLAY_OUTPUTS_MAX)
		return err_set(err, ERR_USAGE,
			       "--out-interface was given %d times; two are "
			       "possible: the clients' side and the servers'",
			       cfg->interfaces->n);
	for (int i = 0; i < cfg->interfaces->n; i++) {
		o->at[i].all = o;
		o->at[i].sender =
			packet_sender_open(cfg->interfaces->at[i], err);
		if (!o->at[i].sender)
			return err->code;
		o->n++;
	}
	return parse_split(o, cfg->split, err);
}

/* A set of which nothing fits is a mistake; some of it is counted. */
static int check_linktypes(struct replay_outputs *o, const struct dataset *set,
			   struct err *err)
{
	const struct dataset_file *wrong = NULL;

	for (size_t i = 0; i < set->n_files; i++) {
		const struct dataset_file *f = &set->files[i];

		if (!f->tally.packets)
			continue;
		if (!f->known_linktype || f->mixed_linktypes ||
		    takes(o, 0, f->linktype))
			return 0;
		wrong = f;
	}
	if (!wrong)
		return 0;
	return err_set(
		err, ERR_FAILED,
		"%s has link type %u, and %s takes %s: nothing of the "
		"set can be sent there",
		wrong->path, wrong->linktype,
		packet_sender_name(o->at[0].sender),
		hardware_takes(packet_sender_facts(o->at[0].sender)->hardware));
}

struct replay_outputs *
replay_outputs_open(const struct replay_outputs_config *cfg, struct err *err)
{
	struct replay_outputs *o = mem_alloc(sizeof(*o));
	int rc;

	o->first_ns = cfg->first_ns;
	o->paced = cfg->paced;
	if (cfg->file && *cfg->file)
		rc = open_file(o, cfg, err);
	else
		rc = open_interfaces(o, cfg, err);
	if (rc == 0 && !o->at[0].file)
		rc = check_linktypes(o, cfg->set, err);
	if (rc == 0)
		return o;
	replay_outputs_close(o, NULL);
	return NULL;
}

void replay_outputs_use(struct replay_outputs *o, struct replay_config *cfg)
{
	cfg->choose = choose;
	cfg->takes = takes;
	cfg->arg = o;
	cfg->n_sinks = o->n;
	for (int i = 0; i < o->n; i++)
		cfg->sinks[i] = (struct replay_sink){
			.give = o->at[i].file ? give_file : give_interface,
			.self = &o->at[i],
		};
}

uint32_t replay_outputs_length_max(const struct replay_outputs *o)
{
	uint32_t least = UINT32_MAX;

	for (int i = 0; i < o->n; i++) {
		const struct packet_sender_facts *f;

		if (!o->at[i].sender)
			return 0;
		f = packet_sender_facts(o->at[i].sender);
		/* A frame with a VLAN tag may be longer by it. */
		if (f->mtu + f->header + VLAN_TAG < least)
			least = f->mtu + f->header + VLAN_TAG;
	}
	return least;
}

uint64_t replay_outputs_drops(const struct replay_outputs *o)
{
	uint64_t sum = 0;

	for (int i = 0; i < o->n; i++)
		if (o->at[i].sender)
			sum += packet_sender_drops(o->at[i].sender);
	return sum;
}

int replay_outputs_close(struct replay_outputs *o, struct err *err)
{
	int rc = 0;

	if (!o)
		return 0;
	for (int i = 0; i < o->n; i++) {
		packet_sender_close(o->at[i].sender);
		if (o->at[i].file)
			rc = capfile_output_close(o->at[i].file, err);
	}
	free(o);
	return rc;
}
