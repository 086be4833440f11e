/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rebuild.h - a stream made again from the packets of its spool.
 *
 * For payload that had to make room in the store while the packets are still
 * there.  The packets from the stream's first to its last are followed as
 * analysis does by default, into a store of its own in a temporary folder, so
 * that whatever reads stores can read it.
 */
#ifndef CMD_REBUILD_H
#define CMD_REBUILD_H

struct err;
struct rebuilt;
struct store_row;
struct store_view;

/* `spool` is a source's directory.  NULL with a sentence. */
struct rebuilt *rebuild(const struct store_row *row, const char *spool,
			struct err *err);
struct store_view *rebuilt_view(struct rebuilt *r);
void rebuilt_free(struct rebuilt *r); /* and its folder; NULL is fine */

/* Its packets, as a capture file of nanoseconds; "-" is standard output. */
int rebuild_capture(const struct store_row *row, const char *spool,
		    const char *path, struct err *err);

#endif
