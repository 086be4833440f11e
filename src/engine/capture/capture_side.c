/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture_side.c - what may wait for a disk or a lock of the kernel, and is
 * therefore done beside the packets: the links file, the interface's own
 * losses, the counters file.
 */
#include "engine/capture/capture_priv.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "codec/capture_stats.h"
#include "sys/sys.h"

static const char part[] = "capture";

enum { LINKS_FILE_MAX = 64 << 10 };

/* Empty where there is no file; false when it could not be read. */
static bool read_links(struct capture *c, struct buf *out)
{
	int file = c->sys->open(c->sys, c->cfg.links, SYS_READ);
	uint64_t size = 0;
	bool whole = false;

	if (file < 0)
		return true;
	if (c->sys->size(c->sys, file, &size) >= 0 && size <= LINKS_FILE_MAX &&
	    sys_read_full(c->sys, file, buf_reserve(out, size), size, 0) >= 0) {
		buf_added(out, size);
		whole = true;
	}
	c->sys->close(c->sys, file);
	return whole;
}

void capture_side_links(struct capture *c)
{
	struct buf now = { 0 };
	struct exclude x = c->cfg.exclude;
	int passed_over;

	if (!c->cfg.links)
		return;
	if (!read_links(c, &now) ||
	    bytes_equal(buf_bytes(&now), buf_bytes(&c->links))) {
		buf_release(&now);
		return;
	}
	buf_release(&c->links);
	c->links = now;
	passed_over = exclude_set_links(&x, buf_bytes(&now));
	if (passed_over)
		log_warn(part,
			 "%s has %d lines that are no link or are beyond "
			 "%d; their packets are captured",
			 c->cfg.links, passed_over, EXCLUDE_LINKS_MAX);
	if (x.n_links != c->n_links)
		log_info(part, "live links left out: %d", x.n_links);
	c->n_links = x.n_links;
	capture_side_exclude(c, &x);
}

static void ask_losses(struct capture *c)
{
	int index = atomic_load(&c->index);
	struct err err = ERR_NONE;
	uint64_t lost;

	if (!index || interface_losses(index, &lost, &err) < 0)
		return;
	if (index != c->losses_of || lost < c->losses_before) {
		c->losses_of = index;
	} else {
		atomic_fetch_add(&c->iface_losses, lost - c->losses_before);
		atomic_fetch_add(&c->dropped_interface,
				 lost - c->losses_before);
	}
	c->losses_before = lost;
}

void capture_side_stats(struct capture *c)
{
	struct capture_stats s = {
		.time_ns = c->sys->wall_ns(c->sys),
		.captured = atomic_load(&c->captured),
		.dropped_kernel = atomic_load(&c->dropped_kernel),
		.dropped_interface = atomic_load(&c->dropped_interface),
		.filtered = atomic_load(&c->filtered),
		.up = atomic_load(&c->up) && !atomic_load(&c->stop),
	};
	uint8_t bytes[CAPTURE_STATS_SIZE];

	if (c->stats_file < 0) {
		char *path = mem_format("%s.stats", c->cfg.spool.source_dir);

		c->stats_file = c->sys->open(c->sys, path,
					     SYS_READ | SYS_WRITE | SYS_CREATE);
		free(path);
	}
	if (c->stats_file < 0)
		return;
	capture_stats_store(bytes, &s);
	/* Counters for others to look at: a failure costs no packet. */
	(void)sys_write_full(c->sys, c->stats_file, bytes, sizeof(bytes), 0);
}

void capture_tick(struct capture *c)
{
	uint64_t now = c->sys->mono_ns(c->sys);

	capture_side_links(c);
	if (now < c->side_ns)
		return;
	c->side_ns = now + CAPTURE_SIDE_NS;
	ask_losses(c);
	capture_side_stats(c);
}

void capture_side_close(struct capture *c)
{
	if (c->stats_file >= 0)
		c->sys->close(c->sys, c->stats_file);
	buf_release(&c->links);
}
