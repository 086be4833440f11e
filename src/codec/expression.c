/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/expression.h"

#include <stdlib.h>
#include <string.h>

#include <pcap/pcap.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/packet.h"

enum { LINKTYPE_RAW = 101 };

struct expression {
	struct bpf_program program;
};

struct expression *expression_new(const char *text, uint32_t linktype,
				  struct err *err)
{
	struct expression *e;
	pcap_t *pcap;

	if (strlen(text) > EXPRESSION_MAX) {
		err_set(err, ERR_LIMIT,
			"a filter has at most %d characters, not %zu",
			EXPRESSION_MAX, strlen(text));
		return NULL;
	}
	/* What files call 101 the library calls otherwise. */
	pcap = pcap_open_dead(linktype == LINKTYPE_RAW ? DLT_RAW
						       : (int)linktype,
			      PACKET_SNAPLEN);
	if (!pcap) {
		err_set(err, ERR_FAILED, "libpcap cannot compile a filter");
		return NULL;
	}
	e = mem_alloc(sizeof(*e));
	if (pcap_compile(pcap, &e->program, text, 1, PCAP_NETMASK_UNKNOWN) <
	    0) {
		err_set(err, ERR_USAGE,
			"the filter \"%.200s\" does not compile for link type "
			"%u: "
			"%s",
			text, linktype, pcap_geterr(pcap));
		free(e);
		e = NULL;
	}
	pcap_close(pcap);
	return e;
}

void expression_free(struct expression *e)
{
	if (!e)
		return;
	pcap_freecode(&e->program);
	free(e);
}

bool expression_matches(const struct expression *e, const struct packet *p)
{
	const struct pcap_pkthdr head = {
		.caplen = (bpf_u_int32)p->data.len,
		.len = p->wire_len,
	};

	return pcap_offline_filter(&e->program, &head, p->data.p) != 0;
}
