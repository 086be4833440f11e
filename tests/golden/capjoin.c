/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capjoin DIR FILE... - all packets of many captures, a file a link type.
 *
 * Writes DIR/<link type>.pcap with nanoseconds and a snaplen of 16 MiB, in the
 * order of the files.  A file that breaks off gives what it has.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "engine/capfile/capfile.h"
#include "engine/capfile/output.h"

enum { LINKTYPES = 65536 };

static struct capfile_output *outputs[LINKTYPES];

static struct capfile_output *output_for(const char *dir, uint32_t linktype)
{
	const struct pcap_head head = { .linktype = linktype,
					.snaplen = PACKET_MAX };
	struct err err = ERR_NONE;
	char *path;

	if (linktype >= LINKTYPES)
		return NULL;
	if (outputs[linktype])
		return outputs[linktype];
	path = mem_format("%s/%u.pcap", dir, linktype);
	outputs[linktype] = capfile_output_open(path, &head, &err);
	if (!outputs[linktype]) {
		fprintf(stderr, "capjoin: %s\n", err.text);
		exit(1);
	}
	free(path);
	return outputs[linktype];
}

static void join(const char *dir, const char *path)
{
	struct err err = ERR_NONE;
	struct capfile *f = capfile_open(path, &err);
	struct capfile_packet p;

	if (!f)
		return;
	while (capfile_next(f, &p, &err) == 0) {
		struct capfile_output *o = output_for(dir, p.linktype);

		if (o && capfile_output_put(o, &p.packet, 1, &err) < 0) {
			fprintf(stderr, "capjoin: %s\n", err.text);
			exit(1);
		}
	}
	capfile_close(f);
}

int main(int argc, char **argv)
{
	struct err err = ERR_NONE;

	for (int i = 2; i < argc; i++)
		join(argv[1], argv[i]);
	for (int i = 0; i < LINKTYPES; i++)
		if (outputs[i] && capfile_output_close(outputs[i], &err) < 0) {
			fprintf(stderr, "capjoin: %s\n", err.text);
			return 1;
		}
	return 0;
}
