/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capfile.h - packets out of a capture file, a pipe or standard input.
 *
 * Whatever codec/pcapstream.h reads, plain or packed with gzip, zstd or lz4
 * (also several members or frames one behind the other); what it is is seen
 * from its first bytes, never from its name.  Everything streams: memory does
 * not depend on the size of the file, and a pipe that is still being written
 * gives each packet as soon as it is whole.
 *
 * A file that ends inside a record is read up to there and then simply ends,
 * with a capfile_warning(); one that breaks its format fails after its last
 * good packet.  One thread at a time per file.
 */
#ifndef ENGINE_CAPFILE_CAPFILE_H
#define ENGINE_CAPFILE_CAPFILE_H

#include "codec/packet.h"
#include "codec/pcapstream.h"

struct capfile;
struct err;

struct capfile_packet {
	struct packet packet;
	uint32_t linktype;    /* LINKTYPE_ number */
	uint32_t interface;   /* counted through the whole file */
	struct bytes options; /* pcapstream_option_next(); a comment, say */
	bool swapped;	      /* options are big-endian */
};

/* NULL on failure.  "-" is standard input. */
struct capfile *capfile_open(const char *path, struct err *err);

/*
 * The same from a descriptor, which is taken; `name` is for sentences.  It may
 * be non-blocking: then ERR_AGAIN means that nothing is there now.
 */
struct capfile *capfile_open_fd(int fd, const char *name);

void capfile_close(struct capfile *f); /* NULL is fine */

/*
 * What the next packet's link type is; where no packet is left, that of the
 * first interface.  Reads on as far as it must.  0, ERR_AGAIN, ERR_END when
 * not even an interface is told, or a failure.
 */
int capfile_linktype(struct capfile *f, uint32_t *linktype, struct err *err);

/* From now on only packets of this type; the others are counted. */
void capfile_only(struct capfile *f, uint32_t linktype);

/*
 * Hear of all items that are no packets: sections, interfaces, names, secrets,
 * statistics.  They are valid during the call.
 */
void capfile_on_item(struct capfile *f,
		     void (*fn)(void *arg, const struct pcapstream_item *item),
		     void *arg);

/*
 * The next packet, valid until the next call with this file.  0, ERR_END,
 * ERR_AGAIN, or a failure that stays.
 */
int capfile_next(struct capfile *f, struct capfile_packet *p, struct err *err);

/*
 * Packets in batches.  A batch never mixes link types: where the type changes
 * a batch ends, and capfile_linktype() tells the next one's.
 */
struct packet_source capfile_source(struct capfile *f);

/* A sentence about a damaged end, when reading is over; or NULL. */
const char *capfile_warning(const struct capfile *f);

/* Bytes of the file read so far, and in all; 0 where nobody knows (a pipe). */
uint64_t capfile_position(const struct capfile *f);
uint64_t capfile_size(const struct capfile *f);

uint64_t capfile_other_linktype(const struct capfile *f); /* packets left out */
const struct pcapstream_counts *capfile_counts(const struct capfile *f);
enum pcapstream_format capfile_format(const struct capfile *f);

/* "gzip", "zstd", "lz4", or NULL. */
const char *capfile_packed_with(const struct capfile *f);

#endif
