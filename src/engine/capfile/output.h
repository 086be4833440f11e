/* SPDX-License-Identifier: Apache-2.0 */
/*
 * output.h - packets into a classic pcap file, a pipe or standard output.
 *
 * Records are gathered and written whole: when a write to a file fails, what
 * is left of it is cut back to the last whole record, so that a full disk
 * leaves a capture that every program reads.  Nothing is synced; a spool is
 * for that.  One thread at a time.
 */
#ifndef ENGINE_CAPFILE_OUTPUT_H
#define ENGINE_CAPFILE_OUTPUT_H

#include "codec/packet.h"
#include "codec/record.h"

struct capfile_output;
struct err;

/*
 * Begin the file at `path` anew, "-" is standard output.  The header goes out
 * with the first flush; head->swapped is not looked at.  NULL on failure.
 */
struct capfile_output *capfile_output_open(const char *path,
					   const struct pcap_head *head,
					   struct err *err);

/* The same into a descriptor, which is taken; `name` is for sentences. */
struct capfile_output *capfile_output_on_fd(int fd, const char *name,
					    const struct pcap_head *head);

/*
 * The same into whatever `write` does with whole records, for a packer; it
 * returns 0 or a negative code with a sentence, which stays.  `self` is
 * borrowed until the close.
 */
struct capfile_output *
capfile_output_on(int (*write)(void *self, struct bytes bytes, struct err *err),
		  void *self, const char *name, const struct pcap_head *head);

/*
 * Copy packets.  With head->micro the last three digits of a time are lost.
 * 0, ERR_LIMIT for one over PACKET_MAX, or ERR_FAILED, which stays.
 */
int capfile_output_put(struct capfile_output *o, const struct packet *p, int n,
		       struct err *err);

/* All that was put is handed to the system; for a pipe with a reader. */
int capfile_output_flush(struct capfile_output *o, struct err *err);

struct packet_sink capfile_output_sink(struct capfile_output *o);

/* Flush and close.  NULL is fine. */
int capfile_output_close(struct capfile_output *o, struct err *err);

#endif
