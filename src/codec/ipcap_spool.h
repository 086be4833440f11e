/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipcap_spool.h - what ipcap writes about the capture files of its spool.
 *
 * A spool of ipcap is a folder of src<ID>-<20 digits>.pcap, numbered by the
 * order of writing, and manifest.ndjson: a line of JSON for each file that is
 * finished, with the numbers of its packets.  Pure; nothing is believed but
 * its form.
 */
#ifndef CODEC_IPCAP_SPOOL_H
#define CODEC_IPCAP_SPOOL_H

#include "base/bytes.h"

enum { IPCAP_LINE_MAX = 4096, IPCAP_FILE_MAX = 64 };

struct ipcap_segment {
	char file[IPCAP_FILE_MAX];
	uint64_t seq;
	uint64_t start, end; /* packets [start, end) */
	uint64_t vlen;	     /* bytes of the file that were durable */
	bool sealed;
};

/*
 * One line.  0, or ERR_MALFORMED: no object, or one without seq, file, start,
 * end and vlen.  Other members are passed over.
 */
int ipcap_segment_parse(struct bytes line, struct ipcap_segment *s);

/* 0, or ERR_UNKNOWN for the name of any other file. */
int ipcap_segment_name(const char *name, uint16_t *id, uint64_t *seq);

#endif
